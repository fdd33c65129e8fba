//! Secrets that pipeline files name as `{secret:NAME}`: headers of interfaces, keys of object stores. They rest sealed, are
//! opened for one pull, and stand in no file, log, record or page.

use model::audit::AuditEvent;
use model::{Error, Op, Result};
use policy::{Action, Permit, Target};
use zeroize::Zeroizing;

use crate::{App, audit};

const BEGIN: &str = "{secret:";
/// Longest secret in bytes.
const LONGEST: usize = 4096;

fn context(org: &str, name: &str) -> String {
    format!("pipeline-secret:{org}:{name}")
}

async fn permit(app: &App, op: &Op, org: &str) -> Result<Permit> {
    audit::permit(app, op, Action::DataCollect, &Target::of_org("Entry", "pipelines", org)).await
}

/// Names of an organisation's secrets, with when each was set.
pub async fn secrets(app: &App, op: &Op) -> Result<Vec<(String, String)>> {
    let org = op.actor.org().unwrap_or_default();
    permit(app, op, org).await?;
    app.store.pipeline_secrets(org).await
}

/// Keeps a secret of one's organisation; one of that name is replaced.
pub async fn secret_set(app: &App, op: &Op, name: &str, value: &str) -> Result<()> {
    let org = op.actor.org().unwrap_or_default();
    let permit = permit(app, op, org).await?;
    let good = (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    if !good {
        return Err(Error::invalid(
            "名称只能含字母、数字、下划线和连字符，最多 64 个字符",
            "the name holds letters, digits, _ and - only, 64 at most",
        )
        .field("name", "请修改名称", "change the name"));
    }
    if value.is_empty() || value.len() > LONGEST || value.chars().any(char::is_control) {
        return Err(Error::invalid(
            format!("密钥不能为空，不含控制字符，最长 {LONGEST} 字节"),
            format!("the secret is not empty, without control characters, {LONGEST} bytes at most"),
        )
        .field("value", "请核对", "check it"));
    }
    let sealed = app.keys.vault().seal(&context(org, name), value.as_bytes())?;
    app.store.pipeline_secret_set(&permit, org, name, &sealed, &op.stamp()).await?;
    record(app, op, "pipeline.secret-set", name).await
}

/// Takes a secret away; pipelines that name it fail with a clear word.
pub async fn secret_remove(app: &App, op: &Op, name: &str) -> Result<()> {
    let org = op.actor.org().unwrap_or_default();
    let permit = permit(app, op, org).await?;
    if !app.store.pipeline_secret_delete(&permit, org, name).await? {
        return Err(Error::not_found("密钥", "secret", name));
    }
    record(app, op, "pipeline.secret-remove", name).await
}

async fn record(app: &App, op: &Op, word: &str, name: &str) -> Result<()> {
    let event = AuditEvent { scope: name.to_owned(), ..audit::event(op, word, "pipelines") };
    audit::record(app, event).await
}

/// Names of the secrets a text asks for.
pub(crate) fn named(text: &str) -> Vec<String> {
    text.split(BEGIN)
        .skip(1)
        .filter_map(|rest| rest.split_once('}').map(|(name, _)| name.to_owned()))
        .collect()
}

/// A text with its secrets filled in.
pub(crate) async fn filled(app: &App, org: &str, text: &str) -> Result<Zeroizing<String>> {
    let mut out = Zeroizing::new(String::new());
    let mut parts = text.split(BEGIN);
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let Some((name, rest)) = part.split_once('}') else {
            out.push_str(BEGIN);
            out.push_str(part);
            continue;
        };
        let sealed = app.store.pipeline_secret(org, name).await?.ok_or_else(|| missing(name))?;
        let opened = app.keys.vault().open(&context(org, name), &sealed)?;
        let value = std::str::from_utf8(&opened)
            .map_err(|e| Error::internal("a secret is no text").caused_by(e))?;
        out.push_str(value);
        out.push_str(rest);
    }
    Ok(out)
}

pub(crate) fn missing(name: &str) -> Error {
    Error::invalid(
        format!("本单位没有名为 `{name}` 的密钥，请先登记"),
        format!("your organisation has no secret called `{name}`: enter it first"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_found() {
        assert_eq!(named("Bearer {secret:token} {secret:b-2}{secret:open"), ["token", "b-2"]);
        assert!(named("{from}").is_empty());
    }
}
