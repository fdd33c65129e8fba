//! OAuth 2 client credentials (RFC 6749 §4.4): an application exchanges key and secret for a token that is opaque, short-lived,
//! kept as a digest only, and revoked at once. `scope` names resources and interfaces; what is granted narrows it further.

use std::sync::Arc;

use base64::Engine as _;
use guard::{hash, keys, signature};
use model::account::Application;
use model::{Actor, Code, Error, Op, Result};
use store::credential::TokenRow;

use super::application::credential;
use crate::{App, audit};

/// Most words of a scope, and their longest.
const MOST_WORDS: usize = 100;
const LONGEST_WORD: usize = 63;

/// A token as given out; it is told once.
#[derive(Clone)]
pub struct AccessToken {
    pub token: String,
    pub seconds: i64,
    pub scope: String,
}

impl std::fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessToken").field("scope", &self.scope).finish_non_exhaustive()
    }
}

/// Who a token is of.
#[derive(Debug)]
pub(crate) struct Known {
    actor: Actor,
    scope: Vec<String>,
    /// Milliseconds since 1970.
    ends_at: i64,
}

fn digest(token: &str) -> String {
    hash::sha256_hex(token.as_bytes())
}

/// The `key:secret` of an HTTP Basic header; `None` when it is none.
#[must_use]
pub fn basic(encoded: &str) -> Option<String> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded.trim()).ok()?;
    String::from_utf8(bytes).ok()
}

/// Who has this key and secret. An unknown key and a wrong secret read the same.
async fn client(app: &App, op: &Op, key: &str, secret: &str) -> Result<Actor> {
    let known = application_of(app, op, key, Some(secret)).await?;
    known.map(|(_, actor)| actor).ok_or_else(|| {
        Error::new(
            Code::SignatureMismatch,
            "client_id 或 client_secret 不正确：应为在用应用的 key 与密钥",
            "client_id or client_secret is wrong: they are key and secret of an application in use",
        )
    })
}

/// The application that has an access key and is in use; with a secret only if it is the right one.
pub(crate) async fn application_of(
    app: &App,
    op: &Op,
    key: &str,
    secret: Option<&str>,
) -> Result<Option<(Application, Actor)>> {
    app.shares.look(app, op).await?;
    let known = credential(app, key).await?;
    let right = |k: &Arc<super::Credential>| {
        secret.is_none_or(|s| signature::equal(&k.secret, s.as_bytes()))
    };
    Ok(known.filter(right).map(|k| (k.application.clone(), k.actor.clone())))
}

/// Every word of a scope must be a resource or an interface that the application may know of (RFC 6749 §5.2); whether it is granted is
/// asked with every call. What it may not know of reads as what is not there.
async fn reachable(app: &App, op: &Op, words: &[&str]) -> Result<()> {
    for word in words {
        let there = Box::pin(crate::sharing::knows(app, op, word)).await?
            || Box::pin(crate::interface::known_of(app, op, word)).await?;
        if !there {
            return Err(Error::new(
                Code::InvalidInput,
                format!("scope 中的 `{word}` 不是资源或接口的编码，请核对"),
                format!("`{word}` in `scope` is no code of a resource or an interface"),
            ));
        }
    }
    Ok(())
}

/// Gives out a token for the whole scope asked for (codes parted by spaces; nothing is all that is granted).
pub async fn token(
    app: &App,
    op: &Op,
    key: &str,
    secret: &str,
    scope: &str,
) -> Result<AccessToken> {
    let actor = client(app, op, key, secret).await?;
    crate::halt::admit(app, op, &actor).await?;
    let words: Vec<&str> = scope.split_whitespace().collect();
    let plain = |w: &&str| {
        w.len() <= LONGEST_WORD
            && w.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    };
    if words.len() > MOST_WORDS || !words.iter().all(plain) {
        return Err(Error::new(
            Code::InvalidInput,
            "scope 应为以空格分隔的资源或接口编码",
            "`scope` names resources or interfaces by their codes, parted by spaces",
        ));
    }
    reachable(app, &Op { actor: actor.clone(), ..op.clone() }, &words).await?;
    let rules = &app.rules.interface.token;
    let now = op.at.timestamp_millis();
    let token = keys::token(32)?;
    let row = TokenRow {
        application: actor.id().to_owned(),
        scope: words.join(" "),
        ends_at: now.saturating_add(rules.minutes.saturating_mul(60_000)),
    };
    let most = rules.most_of_one_application;
    if !app.store.access_token_insert(&digest(&token), &row, now, most).await? {
        return Err(Error::new(
            Code::RateLimited,
            format!("该应用有效的令牌已达 {most} 个，请重复使用已取得的令牌"),
            format!("the application holds {most} tokens already: use those it has until they end"),
        ));
    }
    let as_application = Op { actor, ..op.clone() };
    let mut event = audit::event(&as_application, "application.token", &row.application);
    event.scope.clone_from(&row.scope);
    audit::record(app, event).await?;
    Ok(AccessToken { token, seconds: rules.minutes.saturating_mul(60), scope: row.scope })
}

/// Takes a token of one's own away; one that is not there, or somebody else's, is none of the caller's (RFC 7009).
pub async fn token_revoke(app: &App, op: &Op, key: &str, secret: &str, token: &str) -> Result<()> {
    let actor = client(app, op, key, secret).await?;
    app.store.access_token_delete(actor.id(), &digest(token)).await?;
    app.shares.forget();
    app.accounts.tokens.invalidate_all();
    let as_application = Op { actor, ..op.clone() };
    let event =
        audit::event(&as_application, "application.token_revoke", as_application.actor.id());
    audit::record(app, event).await
}

/// Who calls by a token, and what it is limited to.
pub async fn token_call(app: &App, op: &Op, token: &str) -> Result<(Actor, Vec<String>)> {
    app.shares.look(app, op).await?;
    app.accounts.follow(app.shares.epoch());
    let digest = digest(token);
    let known = match app.accounts.tokens.get(&digest) {
        Some(known) => known,
        None => {
            let known = Arc::new(read(app, &digest).await?);
            app.accounts.tokens.insert(digest, Arc::clone(&known));
            known
        }
    };
    if op.at.timestamp_millis() >= known.ends_at {
        return Err(Error::of(Code::SecretExpired));
    }
    Ok((known.actor.clone(), known.scope.clone()))
}

async fn read(app: &App, digest: &str) -> Result<Known> {
    let unknown = || {
        Error::new(
            Code::SignatureMismatch,
            "访问令牌无效或已撤销，请以应用的 key 与密钥向 POST /oauth2/token 重新取得",
            "the access token is unknown or was revoked: fetch another from POST /oauth2/token by the application's key and secret",
        )
    };
    let row = app.store.access_token_get(digest).await?.ok_or_else(unknown)?;
    let application = app.store.application_get(&row.application).await?.ok_or_else(unknown)?;
    let known = credential(app, &application.key).await?.ok_or_else(unknown)?;
    Ok(Known {
        actor: known.actor.clone(),
        scope: row.scope.split_whitespace().map(str::to_owned).collect(),
        ends_at: row.ends_at,
    })
}
