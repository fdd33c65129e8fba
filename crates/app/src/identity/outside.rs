//! Signing in by an outside identity. What a sign-in under way needs lies sealed in the store, under the digest of a token that only the
//! browser it began in has (a cookie); it is taken out once. The session that is opened at the end is new, whatever there was before.

use guard::{hash, keys, signature};
use model::identity::{OutsideLink, OutsideService};
use model::{Actor, Code, Error, Op, Result};
use policy::port::OutsideBack;
use serde::{Deserialize, Serialize};

use super::first;
use crate::account::{Session, attempt};
use crate::{App, account, audit};

/// What is kept of a sign-in under way.
#[derive(Serialize, Deserialize)]
struct Pending {
    service: String,
    state: String,
    nonce: String,
    verifier: String,
    redirect: String,
    /// Path to go to after it.
    next: String,
    /// The signed-in person who wants to be tied to the outside identity; empty: somebody signs in.
    account: String,
}

/// How a sign-in at an outside service ended.
#[derive(Debug)]
pub enum OutsideEnd {
    /// Somebody is signed in; and the path they wanted.
    In(Box<Session>, String),
    /// The signed-in person is tied to the outside identity.
    Linked,
}

/// Services that are offered.
#[must_use]
pub fn services(app: &App) -> Vec<OutsideService> {
    app.identity.services.read().clone()
}

fn service(app: &App, name: &str) -> Result<OutsideService> {
    let found = app.identity.services.read().iter().find(|s| s.name == name).cloned();
    found.ok_or_else(|| {
        Error::not_found("身份服务", "identity service", &name.chars().take(40).collect::<String>())
    })
}

fn context(digest: &str) -> String {
    format!("outside.pending {digest}")
}

/// Begins: the address for the browser, and the token that goes into its cookie. Who is signed in will be tied to the identity.
pub async fn outside_begin(
    app: &App,
    op: &Op,
    name: &str,
    redirect: &str,
    next: &str,
) -> Result<(String, String)> {
    let service = &service(app, name)?;
    // Each beginning asks the service: so many of an address, given back when somebody is signed in.
    match attempt::by_address(app, op) {
        Ok(()) => {}
        Err(attempt::Refusal::Told(error) | attempt::Refusal::Untold(error)) => return Err(error),
    }
    let begun = app.identity.outside.begin(service, redirect).await?;
    let token = keys::token(32)?;
    let digest = hash::sha256_hex(token.as_bytes());
    let pending = Pending {
        service: service.name.clone(),
        state: begun.state,
        nonce: begun.nonce,
        verifier: begun.verifier,
        redirect: redirect.to_owned(),
        next: next.to_owned(),
        account: match &op.actor {
            Actor::User { id, .. } => id.clone(),
            _ => String::new(),
        },
    };
    let text = serde_json::to_vec(&pending)
        .map_err(|e| Error::internal("cannot write JSON").caused_by(e))?;
    let sealed = app.keys.vault().seal(&context(&digest), &text)?;
    let now = op.at.timestamp_millis();
    let ends_at = now.saturating_add(app.rules.identity.outside.minutes.saturating_mul(60_000));
    app.store.outside_pending_put(&digest, &sealed, ends_at, now).await?;
    Ok((begun.url, token))
}

/// The browser is back: with the cookie's token, and what the service added to the address.
pub async fn outside_back(
    app: &App,
    op: &Op,
    name: &str,
    token: &str,
    told: &[(String, String)],
) -> Result<OutsideEnd> {
    let service = &service(app, name)?;
    let get = |name: &str| first(told, name);
    let lost = || {
        Error::new(
            Code::WrongCredentials,
            "登录请求已失效，或不是在本浏览器中发起的，请重新登录",
            "this sign-in is over, or was not begun in this browser: sign in again",
        )
    };
    let digest = hash::sha256_hex(token.as_bytes());
    let sealed = app.store.outside_pending_take(&digest, op.at.timestamp_millis()).await?;
    let Some(sealed) = sealed else { return refuse(app, op, service, lost()).await };
    let text = app.keys.vault().open(&context(&digest), &sealed)?;
    let kept: Pending = serde_json::from_slice(&text)
        .map_err(|e| Error::internal("a sign-in under way").caused_by(e))?;
    // Another service's answer is not this one's (mix-up, RFC 9700 §4.4).
    let issuer = get("iss");
    if kept.service != service.name
        || !signature::equal(kept.state.as_bytes(), get("state").as_bytes())
        || (!issuer.is_empty() && issuer != service.issuer)
    {
        return refuse(app, op, service, lost()).await;
    }
    if !get("error").is_empty() || get("code").is_empty() {
        let error = Error::new(
            Code::WrongCredentials,
            "外部身份服务没有完成登录，请重试或改用其他方式登录",
            "the outside service did not sign you in: try again, or sign in another way",
        );
        return refuse(app, op, service, error).await;
    }
    let back = OutsideBack {
        redirect: &kept.redirect,
        code: get("code"),
        nonce: &kept.nonce,
        verifier: &kept.verifier,
    };
    let person = match app.identity.outside.finish(service, back).await {
        Ok(person) => person,
        Err(error) => return refuse(app, op, service, error).await,
    };
    attempt::forgive_address(app, op);
    let known = app.store.outside_account(&service.name, &person.subject).await?;
    if !kept.account.is_empty() {
        // Only the person it was begun for, still signed in here.
        if op.actor.id() != kept.account {
            return refuse(app, op, service, lost()).await;
        }
        return link(app, op, service, &person.subject, known.as_deref()).await;
    }
    let account = match known {
        Some(account) => account,
        None if service.create => {
            let user = account::citizen_of(app, op, &person.name).await?;
            let at = op.stamp();
            if !app.store.outside_link(&service.name, &person.subject, &user.id, &at).await? {
                return refuse(app, op, service, lost()).await;
            }
            user.id
        }
        None => {
            let error = Error::new(
                Code::WrongCredentials,
                "该外部身份尚未关联本平台账号：请先用账号密码登录，在“我的账号”中关联",
                "no account is tied to this outside identity: sign in by password and tie it under “My account” first",
            );
            return refuse(app, op, service, error).await;
        }
    };
    let session = account::vouched(app, op, &account, &service.name).await?;
    Ok(OutsideEnd::In(Box::new(session), kept.next))
}

async fn link(
    app: &App,
    op: &Op,
    service: &OutsideService,
    subject: &str,
    known: Option<&str>,
) -> Result<OutsideEnd> {
    let own = op.actor.id();
    let done = match known {
        Some(account) => account == own,
        None => app.store.outside_link(&service.name, subject, own, &op.stamp()).await?,
    };
    if !done {
        return Err(Error::new(
            Code::Duplicate,
            "该外部身份已关联另一账号",
            "this outside identity is tied to another account",
        ));
    }
    audit::record(app, audit::event(op, "identity.link", &service.name)).await?;
    Ok(OutsideEnd::Linked)
}

async fn refuse<T>(app: &App, op: &Op, service: &OutsideService, error: Error) -> Result<T> {
    audit::refused(app, op, "account.login", &format!("outside {}", service.name), &error).await?;
    Err(error)
}

/// Outside identities one's account is tied to.
pub async fn outside_of(app: &App, op: &Op) -> Result<Vec<OutsideLink>> {
    app.store.outside_links(op.actor.id()).await
}

/// Unties one's account from a service.
pub async fn outside_unlink(app: &App, op: &Op, name: &str) -> Result<()> {
    if !app.store.outside_unlink(name, op.actor.id()).await? {
        return Err(Error::not_found("外部身份", "outside identity", name));
    }
    audit::record(app, audit::event(op, "identity.unlink", name)).await
}
