//! The owner's side: bearer tokens and profile files, what is shared with an application, how its views are.

use chrono::TimeDelta;
use guard::{hash, keys};
use model::account::Application;
use model::delta::{DeltaToken, DeltaView};
use model::op::stamp;
use model::{Actor, Code, Error, Op, Result};
use policy::{Action, Target};
use serde::Serialize;

use super::shared;
use crate::account::{self, managed};
use crate::{App, audit};

/// What a token begins with, so that it is told from others and found where it should not lie.
pub const TOKEN: &str = "qtds_";
/// Uses of a token closer together than this are not noted each, minutes.
const NOTE: i64 = 10;

/// A new token, shown once.
#[derive(Clone)]
pub struct DeltaSecret {
    pub token: String,
    pub ends_at: String,
}

impl std::fmt::Debug for DeltaSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeltaSecret").field("ends_at", &self.ends_at).finish_non_exhaustive()
    }
}

impl DeltaSecret {
    /// The profile file of the protocol, version 1.
    #[must_use]
    pub fn profile(&self, endpoint: &str) -> String {
        let profile = serde_json::json!({
            "shareCredentialsVersion": 1, "endpoint": endpoint,
            "bearerToken": self.token, "expirationTime": self.ends_at,
        });
        format!("{profile:#}\n")
    }
}

/// What a token is made with.
#[derive(Clone, Debug, Default)]
pub struct DeltaTokenAsk {
    /// How long it works; 0: as long as is usual.
    pub days: i64,
    /// The others end when their time to overlap is over.
    pub renew: bool,
    /// What calls by it are for. Clients of the protocol send no header of ours: where bounds want a purpose, the token has it.
    pub purpose: String,
}

/// Who calls by a token.
#[derive(Clone, Debug)]
pub struct Caller {
    pub actor: Actor,
    /// Id of the token.
    pub by: String,
    /// What its calls are for, as was said when it was made; may be empty.
    pub purpose: String,
}

/// What the page of an application says of Delta Sharing.
#[derive(Clone, Debug, Serialize)]
pub struct DeltaPage {
    pub share: &'static str,
    pub tokens: Vec<DeltaToken>,
    /// Whether a token works now, beside each.
    pub works: Vec<bool>,
    pub tables: Vec<DeltaTable>,
    pub days: i64,
    pub days_most: i64,
    pub overlap_hours: i64,
    /// Longest purpose, characters.
    pub purpose_most: usize,
}

/// One table as its owner sees it.
#[derive(Clone, Debug, Serialize)]
pub struct DeltaTable {
    pub schema: String,
    pub name: String,
    pub title: String,
    pub columns: usize,
    /// Identifiers of masked columns.
    pub masked: Vec<String>,
    /// RFC 3339; `None`: long term.
    pub until: Option<String>,
    /// The newest version that was made for it.
    pub view: Option<DeltaView>,
}

/// Whether the caller may make tokens.
#[must_use]
pub fn may_manage(app: &App, op: &Op, application: &Application) -> bool {
    app.may(op, Action::ApplicationManage, &Target::application(application))
}

/// Makes a token; it is told once.
pub async fn token(app: &App, op: &Op, id: &str, ask: &DeltaTokenAsk) -> Result<DeltaSecret> {
    let (application, permit) = managed(app, op, id).await?;
    if !application.active {
        return Err(Error::new(
            Code::WrongState,
            format!("应用 `{}` 已停用，请先启用", application.name),
            format!("the application `{}` is stopped: start it first", application.name),
        ));
    }
    let rules = &app.rules.delta;
    let days = if ask.days == 0 { rules.token_days } else { ask.days };
    if !(1..=rules.token_days_most).contains(&days) {
        let most = rules.token_days_most;
        return Err(Error::invalid(
            format!("令牌有效期为 1 至 {most} 天"),
            format!("a token lasts 1 to {most} days"),
        )
        .field("days", format!("1 至 {most}"), format!("1 to {most}")));
    }
    let purpose = said(app, &ask.purpose)?;
    let secret = DeltaSecret {
        token: format!("{TOKEN}{}", keys::token(32)?),
        ends_at: stamp(op.at + TimeDelta::days(days)),
    };
    if ask.renew {
        let by = stamp(op.at + TimeDelta::hours(rules.overlap_hours));
        app.store.delta_token_end(&permit, id, None, &by).await?;
    }
    let kept = DeltaToken {
        id: op.new_id(),
        application: application.id.clone(),
        made_at: op.stamp(),
        made_by: op.actor.name().to_owned(),
        ends_at: secret.ends_at.clone(),
        used_at: String::new(),
        purpose,
    };
    let digest = hash::sha256_hex(secret.token.as_bytes());
    if !app.store.delta_token_insert(&permit, &kept, &digest, rules.tokens).await? {
        let most = rules.tokens;
        return Err(Error::new(
            Code::RuleBroken,
            format!("该应用有效的令牌已达 {most} 个，请先收回不用的"),
            format!("the application has {most} tokens that work: revoke one first"),
        ));
    }
    let mut event = audit::event(op, "application.delta_token", id);
    event.scope = format!("token={} until={}", kept.id, kept.ends_at);
    event.purpose = kept.purpose;
    audit::record(app, event).await?;
    Ok(secret)
}

/// A purpose as it is kept; the same may be said as with a call.
fn said(app: &App, purpose: &str) -> Result<String> {
    let (purpose, most) = (purpose.trim(), app.rules.bounds.purpose_most);
    if purpose.chars().count() <= most && !purpose.chars().any(char::is_control) {
        return Ok(purpose.to_owned());
    }
    let (zh, en) = (
        format!("调用目的最长 {most} 字，不含换行等控制字符"),
        format!("a purpose has {most} characters at most, without control characters"),
    );
    Err(Error::invalid(zh.clone(), en.clone()).field("purpose", zh, en))
}

/// Takes a token away, or all of them (`token` empty). Addresses it was given stop, too.
pub async fn revoke(app: &App, op: &Op, id: &str, token: &str) -> Result<()> {
    let (_, permit) = managed(app, op, id).await?;
    let one = (!token.is_empty()).then_some(token);
    app.store.delta_token_end(&permit, id, one, &op.stamp()).await?;
    let mut event = audit::event(op, "application.delta_revoke", id);
    event.scope = format!("token={}", if token.is_empty() { "all" } else { token });
    audit::record(app, event).await
}

/// The profile file of version 2, by which clients fetch tokens with the application's own key and secret. The secret is not
/// ours to tell again: its owner puts it in.
pub async fn oauth_profile(app: &App, op: &Op, id: &str, gateway: &str) -> Result<String> {
    let (application, _) = managed(app, op, id).await?;
    let profile = serde_json::json!({
        "shareCredentialsVersion": 2, "type": "oauth_client_credentials",
        "endpoint": format!("{gateway}/delta-sharing"),
        "tokenEndpoint": format!("{gateway}/oauth2/token"),
        "clientId": application.key, "clientSecret": "<应用密钥 / secret of the application>",
    });
    Ok(format!("{profile:#}\n"))
}

/// Who has this token. One that is unknown and one that has ended do not read the same: the owner should know.
pub async fn by_token(app: &App, op: &Op, token: &str) -> Result<Caller> {
    app.shares.look(app, op).await?;
    let unknown = || {
        Error::new(
            Code::SignatureMismatch,
            "令牌无效，或其应用已停用",
            "the token is unknown, or its application is stopped",
        )
    };
    let digest = hash::sha256_hex(token.as_bytes());
    let kept = app.store.delta_token_of(&digest).await?.ok_or_else(unknown)?;
    if kept.ends_at <= op.stamp() {
        return Err(Error::new(
            Code::SecretExpired,
            "令牌已到期或已收回，请在应用的 Delta Sharing 页面重新下载配置文件",
            "the token has ended or was revoked: download a new profile from the application's page",
        ));
    }
    let application = app.store.application_get(&kept.application).await?.ok_or_else(unknown)?;
    let known = account::credential(app, &application.key).await?.ok_or_else(unknown)?;
    let noted = chrono::DateTime::parse_from_rfc3339(&kept.used_at).ok();
    if noted.is_none_or(|at| op.at.signed_duration_since(at) > TimeDelta::minutes(NOTE)) {
        app.store.delta_token_used(&kept.id, &op.stamp()).await?;
    }
    Ok(Caller { actor: known.actor.clone(), by: kept.id, purpose: kept.purpose })
}

/// What the page of an application says of Delta Sharing; who made tokens by the names shown.
pub async fn page(app: &App, op: &Op, id: &str) -> Result<DeltaPage> {
    let application = account::application(app, op, id).await?;
    let mut tokens = match may_manage(app, op, &application) {
        true => app.store.delta_tokens(id).await?,
        false => Vec::new(),
    };
    account::logins_named(app, tokens.iter_mut().map(|t| &mut t.made_by).collect()).await?;
    let now = op.stamp();
    let works = tokens.iter().map(|t| t.ends_at > now).collect();
    let views = app.store.delta_views(Some(id)).await?;
    let tables = match account::credential(app, &application.key).await? {
        Some(known) => {
            let own = app.op(known.actor.clone(), &op.source);
            shared::granted(app, &own).await?.iter().map(|t| told(app, t, &views)).collect()
        }
        None => Vec::new(),
    };
    let rules = &app.rules.delta;
    Ok(DeltaPage {
        share: shared::SHARE,
        tokens,
        works,
        tables,
        days: rules.token_days,
        days_most: rules.token_days_most,
        overlap_hours: rules.overlap_hours,
        purpose_most: app.rules.bounds.purpose_most,
    })
}

fn told(app: &App, table: &shared::Table, views: &[DeltaView]) -> DeltaTable {
    let grant = &table.grant;
    let id = app.lake.share_id(grant);
    DeltaTable {
        schema: table.schema.clone(),
        name: table.name.clone(),
        title: table.title.clone(),
        columns: grant.columns().len(),
        masked: grant
            .columns()
            .iter()
            .filter(|c| c.mask.is_some())
            .map(|c| c.identifier.clone())
            .collect(),
        until: grant.expires_at().map(stamp),
        view: views.iter().filter(|v| v.id == id && v.files > 0).max_by_key(|v| v.version).cloned(),
    }
}
