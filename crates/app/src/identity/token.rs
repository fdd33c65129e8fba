//! The client's way (RFC 6749 §4.1.3, §4.4, §6): codes and refresh tokens become tokens; who is it (userinfo); revocation (RFC 7009);
//! introspection (RFC 7662). A code or refresh token that comes a second time takes everything away that came of it (RFC 9700 §4.14).
//! What was given without `offline_access` ends with the session it was given in (OpenID Connect Core 1.0 §11).

use chrono::{DateTime, TimeDelta, Utc};
use guard::identity::{IdClaims, challenge_of};
use guard::{hash, keys, signature};
use model::identity::Scope;
use model::{Code, Error, Op, Result};
use serde_json::{Value, json};
use store::identity::Given;

use super::claims::{self, ends, stands, subject};
use super::client::{Client, known};
use super::{Presented, Refused, first, provider};
use crate::{App, account, audit};

/// What a client gets; told once.
pub struct Tokens {
    pub access: String,
    pub refresh: Option<String>,
    pub id: Option<String>,
    /// Seconds for which the access token is good.
    pub seconds: i64,
    pub scope: String,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("scope", &self.scope).finish_non_exhaustive()
    }
}

type Outcome<T> = std::result::Result<T, Refused>;

fn digest(token: &str) -> String {
    hash::sha256_hex(token.as_bytes())
}

/// The token endpoint; `form` is what was posted.
pub async fn token(
    app: &App,
    op: &Op,
    issuer: &str,
    presented: Presented<'_>,
    form: &[(String, String)],
) -> Outcome<Tokens> {
    let twice = |name: &str| form.iter().filter(|(n, _)| n == name).count() > 1;
    if ["grant_type", "code", "refresh_token", "scope", "code_verifier"].into_iter().any(twice) {
        return Err(Refused::of("invalid_request", "参数重复", "a parameter stands there twice"));
    }
    match first(form, "grant_type") {
        "authorization_code" => exchange(app, op, issuer, presented, form).await,
        "refresh_token" => refresh(app, op, issuer, presented, form).await,
        "client_credentials" => credentials(app, op, presented, first(form, "scope")).await,
        "" => Err(Refused::of(
            "invalid_request",
            "缺少 grant_type",
            "the parameter grant_type is missing",
        )),
        _ => Err(Refused::of(
            "unsupported_grant_type",
            "只支持 authorization_code、refresh_token、client_credentials",
            "authorization_code, refresh_token and client_credentials are offered",
        )),
    }
}

/// A token of the application itself: the one of `/oauth2/token`.
async fn credentials(app: &App, op: &Op, presented: Presented<'_>, scope: &str) -> Outcome<Tokens> {
    let client = known(app, op, presented).await?;
    let Some(secret) = presented.secret else {
        return Err(Refused::of(
            "unauthorized_client",
            "公开客户端不能使用 client_credentials",
            "a public client cannot use client_credentials",
        ));
    };
    match account::token(app, op, &client.application.key, secret, scope).await {
        Ok(token) => Ok(Tokens {
            access: token.token,
            refresh: None,
            id: None,
            seconds: token.seconds,
            scope: token.scope,
        }),
        Err(e) if e.code() == Code::InvalidInput => Err(Refused::of(
            "invalid_scope",
            "scope 应为以空格分隔的资源或接口编码",
            "`scope` names resources or interfaces by their codes, parted by spaces",
        )),
        Err(e) => Err(e.into()),
    }
}

async fn exchange(
    app: &App,
    op: &Op,
    issuer: &str,
    presented: Presented<'_>,
    form: &[(String, String)],
) -> Outcome<Tokens> {
    let client = known(app, op, presented).await?;
    let code = digest(first(form, "code"));
    let Some((given, ends_at, times)) = app.store.identity_code_take(&code).await? else {
        return refuse(app, op, &client, "unknown code").await;
    };
    if times > 1 {
        app.store.identity_family_end(&given.family).await?;
        return refuse(app, op, &client, "a code was used again: its tokens are revoked").await;
    }
    if given.application != client.application.id {
        return refuse(app, op, &client, "a code of another client").await;
    }
    let proven = challenge_of(first(form, "code_verifier"))
        .is_some_and(|c| signature::equal(c.as_bytes(), given.challenge.as_bytes()));
    if op.at.timestamp_millis() >= ends_at
        || given.redirect != first(form, "redirect_uri")
        || !proven
        || !stands(app, op, &given).await?
    {
        return refuse(app, op, &client, "a code that is over or not bound to this request").await;
    }
    // A session of an earlier version's code is not known, nor told of.
    if !given.session.is_empty() {
        app.store.identity_login(&given, issuer).await?;
    }
    let lasts = TimeDelta::days(app.rules.identity.provider.refresh_days);
    let until = (op.at + lasts).timestamp_millis();
    let tokens = give(app, op, issuer, &client, &given, &given.scope, until).await?;
    // Somebody who came at the same moment with the same code found no tokens to take away.
    if app.store.identity_code_uses(&code).await? > 1 {
        app.store.identity_family_end(&given.family).await?;
        return refuse(app, op, &client, "a code was used again: its tokens are revoked").await;
    }
    Ok(tokens)
}

async fn refresh(
    app: &App,
    op: &Op,
    issuer: &str,
    presented: Presented<'_>,
    form: &[(String, String)],
) -> Outcome<Tokens> {
    let client = known(app, op, presented).await?;
    let old = digest(first(form, "refresh_token"));
    let kept = app.store.identity_token_get(&old).await?;
    let Some(kept) = kept.filter(|k| k.kind == "refresh") else {
        return refuse(app, op, &client, "unknown refresh token").await;
    };
    let given = kept.given;
    if given.application != client.application.id {
        return refuse(app, op, &client, "a refresh token of another client").await;
    }
    if op.at.timestamp_millis() >= kept.ends_at || !stands(app, op, &given).await? {
        return refuse(app, op, &client, "a refresh token that is over").await;
    }
    let had: Vec<&str> = given.scope.split_whitespace().collect();
    let scope = match first(form, "scope") {
        "" => given.scope.clone(),
        asked if asked.split_whitespace().all(|w| had.contains(&w)) => asked.to_owned(),
        _ => {
            return Err(Refused::of(
                "invalid_scope",
                "不能超出原授权范围",
                "no more than was agreed to",
            ));
        }
    };
    if kept.used || !app.store.identity_token_use(&old).await? {
        app.store.identity_family_end(&given.family).await?;
        return refuse(app, op, &client, "a refresh token was used again: its chain is revoked")
            .await;
    }
    // A token that is refreshed says nothing of the nonce (OpenID Connect Core 1.0 §12.2).
    let next = Given { nonce: String::new(), ..given.clone() };
    let tokens = give(app, op, issuer, &client, &next, &scope, kept.ends_at).await?;
    // Whoever withdrew or used it again in between took the old one away with its family.
    if app.store.identity_token_get(&old).await?.is_none() {
        app.store.identity_family_end(&given.family).await?;
        return refuse(app, op, &client, "the chain was revoked meanwhile").await;
    }
    Ok(tokens)
}

/// Gives tokens out: the access token for `scope`, the refresh token for all that was agreed to, until its chain ends; neither outlives
/// the session it is bound to.
async fn give(
    app: &App,
    op: &Op,
    issuer: &str,
    client: &Client,
    given: &Given,
    scope: &str,
    until: i64,
) -> Outcome<Tokens> {
    let rules = &app.rules.identity.provider;
    let now = op.at.timestamp_millis();
    let seconds = rules.access_minutes.saturating_mul(60);
    let Some(over) = ends(app, op, given).await? else { return Err(Refused::grant()) };
    let until = until.min(over);
    let access = keys::token(32)?;
    let narrowed = Given { scope: scope.to_owned(), ..given.clone() };
    let ends_at = now.saturating_add(seconds.saturating_mul(1000)).min(over);
    let seconds = ends_at.saturating_sub(now).max(0) / 1000;
    app.store
        .identity_tokens_insert(&narrowed, &[(digest(&access), "access", ends_at)], now)
        .await?;
    let refresh = keys::token(32)?;
    app.store.identity_tokens_insert(given, &[(digest(&refresh), "refresh", until)], now).await?;
    let id = match Scope::among(scope).contains(&Scope::OpenId) {
        true => Some(id_token(app, op, issuer, client, given, &access).await?),
        false => None,
    };
    let as_client = Op { actor: client.actor.clone(), ..op.clone() };
    let mut event = audit::event(&as_client, "identity.token", &given.account);
    event.scope = scope.to_owned();
    audit::record(app, event).await?;
    Ok(Tokens { access, refresh: Some(refresh), id, seconds, scope: scope.to_owned() })
}

/// Who signed in, when and how; nothing else of the person.
async fn id_token(
    app: &App,
    op: &Op,
    issuer: &str,
    client: &Client,
    given: &Given,
    access: &str,
) -> Result<String> {
    let lasts = TimeDelta::minutes(app.rules.identity.provider.id_minutes);
    let claims = IdClaims {
        issuer,
        subject: &subject(app, &given.application, &given.account),
        audience: &client.application.key,
        issued_at: op.at,
        expires_at: op.at + lasts,
        auth_time: DateTime::<Utc>::from_timestamp(given.auth_time, 0).unwrap_or(op.at),
        context: given.method.map(claims::context).unwrap_or_default(),
        methods: claims::methods(given.method),
        session: &claims::session(app, &given.application, &given.session),
        nonce: &given.nonce,
        access_token: access,
    };
    provider::signer(app, op).await?.id_token(&claims)
}

async fn refuse<T>(app: &App, op: &Op, client: &Client, why: &str) -> Outcome<T> {
    let as_client = Op { actor: client.actor.clone(), ..op.clone() };
    let error = Error::of(Code::SignatureMismatch).detail(why.to_owned());
    let mut event = audit::refusal(&as_client, "identity.token", &client.application.id, &error);
    event.scope = why.to_owned();
    audit::record(app, event).await?;
    Err(Refused::grant())
}

/// Who the person is that an access token stands for, as far as was agreed (OpenID Connect Core 1.0 §5.3).
pub async fn userinfo(app: &App, op: &Op, token: &str) -> Outcome<Value> {
    let bad = || {
        Refused::of(
            "invalid_token",
            "访问令牌无效、已过期或已撤销",
            "the access token is unknown, over or revoked",
        )
    };
    let kept = app.store.identity_token_get(&digest(token)).await?;
    let kept = kept.filter(|k| k.kind == "access" && op.at.timestamp_millis() < k.ends_at);
    let given = kept.ok_or_else(bad)?.given;
    let application = app.store.application_get(&given.application).await?;
    if !application.is_some_and(|a| a.active) {
        return Err(bad());
    }
    if ends(app, op, &given).await?.is_none() {
        return Err(bad());
    }
    if !Scope::among(&given.scope).contains(&Scope::OpenId) {
        return Err(Refused::of(
            "insufficient_scope",
            "访问令牌的范围不含 openid",
            "the access token is not for openid",
        ));
    }
    let known = app.store.user_get(&given.account).await?.filter(|u| u.user.active);
    let user = known.ok_or_else(bad)?.user;
    Ok(Value::Object(claims::told(app, &given, &user).await?))
}

/// Takes a token of one's own away; one that is not there, or another's, is none of the client's (RFC 7009 §2.2).
pub async fn revoke(app: &App, op: &Op, presented: Presented<'_>, token: &str) -> Outcome<()> {
    let client = known(app, op, presented).await?;
    let digest = digest(token);
    if let Some(kept) = app.store.identity_token_get(&digest).await? {
        if kept.given.application != client.application.id {
            return Ok(());
        }
        match kept.kind.as_str() {
            "refresh" => app.store.identity_family_end(&kept.given.family).await?,
            _ => app.store.identity_token_delete(&digest).await?,
        }
        let as_client = Op { actor: client.actor.clone(), ..op.clone() };
        let event = audit::event(&as_client, "identity.revoke", &client.application.id);
        return Ok(audit::record(app, event).await?);
    }
    if let Some(secret) = presented.secret {
        account::token_revoke(app, op, &client.application.key, secret, token).await?;
    }
    Ok(())
}

/// Whether a token of one's own is good (RFC 7662). Of others' tokens nothing is told.
pub async fn introspect(
    app: &App,
    op: &Op,
    issuer: &str,
    presented: Presented<'_>,
    token: &str,
) -> Outcome<Value> {
    let client = known(app, op, presented).await?;
    if !client.proven {
        return Err(Refused::client());
    }
    let off = json!({ "active": false });
    let now = op.at.timestamp_millis();
    let digest = digest(token);
    let key = &client.application.key;
    if let Some(kept) = app.store.identity_token_get(&digest).await? {
        let good = kept.given.application == client.application.id
            && !kept.used
            && now < kept.ends_at
            && stands(app, op, &kept.given).await?;
        if !good {
            return Ok(off);
        }
        let kind = if kept.kind == "access" { "Bearer" } else { "refresh_token" };
        return Ok(json!({
            "active": true, "client_id": key, "aud": key, "iss": issuer, "token_type": kind,
            "scope": kept.given.scope, "exp": kept.ends_at / 1000,
            "sub": subject(app, &kept.given.application, &kept.given.account),
        }));
    }
    let row = app.store.access_token_get(&digest).await?;
    Ok(match row.filter(|r| r.application == client.application.id && now < r.ends_at) {
        Some(row) => json!({
            "active": true, "client_id": key, "iss": issuer, "token_type": "Bearer", "scope": row.scope,
            "exp": row.ends_at / 1000, "sub": key,
        }),
        None => off,
    })
}
