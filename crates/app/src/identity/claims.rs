//! What a client is told of a person: only what the granted scopes hand over (`Scope::claims`), told by userinfo. The ID token holds who
//! signed in, when and how, and nothing else of the person (OpenID Connect Core 1.0 §5.4).

use chrono::{DateTime, Utc};
use model::account::User;
use model::identity::{Claim, Scope, SignInMethod};
use model::org::Org;
use model::{Op, Result};
use serde_json::{Map, Value};
use store::identity::Given;

use crate::{App, realname};

/// Claims of an ID token beside those of scopes.
pub(super) const PROTOCOL: [&str; 10] =
    ["iss", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "acr", "amr", "sid"];

/// The id of a person for one client: steady, another for every client, and not the login name (OpenID Connect Core 1.0 §8.1).
pub(super) fn subject(app: &App, application: &str, account: &str) -> String {
    app.keys.derive("identity subject").mark(format!("{application}\n{account}").as_bytes())
}

/// The id of a session for one client; empty where the session is not known.
pub(super) fn session(app: &App, application: &str, session: &str) -> String {
    match session {
        "" => String::new(),
        _ => {
            app.keys.derive("identity session").mark(format!("{application}\n{session}").as_bytes())
        }
    }
}

/// The authentication context of a sign-in (`acr`).
#[must_use]
pub(super) fn context(method: SignInMethod) -> &'static str {
    match method {
        SignInMethod::Password => "urn:qiantang:acr:password",
        SignInMethod::Outside => "urn:qiantang:acr:outside",
    }
}

/// Words of RFC 8176 for a sign-in; what an outside service did is not known.
#[must_use]
pub(super) fn methods(method: Option<SignInMethod>) -> &'static [&'static str] {
    match method {
        Some(SignInMethod::Password) => &["pwd"],
        Some(SignInMethod::Outside) | None => &[],
    }
}

/// What the scopes of a token hand over of its person.
pub(super) async fn told(app: &App, given: &Given, user: &User) -> Result<Map<String, Value>> {
    let scopes = Scope::among(&given.scope);
    let org = match &user.org {
        Some(id) if scopes.contains(&Scope::Org) => app.store.org_get(id).await?,
        _ => None,
    };
    let mut said = Map::new();
    for claim in scopes.iter().flat_map(|s| s.claims()) {
        if let Some(value) = value(app, given, user, org.as_ref(), *claim).await? {
            said.insert(claim.as_str().to_owned(), value);
        }
    }
    Ok(said)
}

/// One claim; `None`: there is nothing to tell.
async fn value(
    app: &App,
    given: &Given,
    user: &User,
    org: Option<&Org>,
    claim: Claim,
) -> Result<Option<Value>> {
    Ok(match claim {
        Claim::Subject => Some(subject(app, &given.application, &given.account).into()),
        Claim::Name => Some(user.display_name.clone().into()),
        Claim::PreferredUsername => Some(user.name.clone().into()),
        Claim::UpdatedAt => {
            let at = app.store.user_changed_at(&user.id).await?;
            at.and_then(|at| seconds(&at)).map(Value::from)
        }
        Claim::Locale => (!given.locale.is_empty()).then(|| given.locale.clone().into()),
        Claim::Org => org.map(|o| o.uscc.clone().into()),
        Claim::OrgName => org.map(|o| o.name_cn.clone().into()),
        Claim::RealNameVerified => Some(realname::verified(app, &user.id).await?.into()),
    })
}

/// Seconds since 1970 of a moment (RFC 3339).
pub(super) fn seconds(at: &str) -> Option<i64> {
    at.parse::<DateTime<Utc>>().ok().map(|t| t.timestamp())
}

/// Whether what was given out still stands: its person's account is in use, and so is the session it ends with.
pub(super) async fn stands(app: &App, op: &Op, given: &Given) -> Result<bool> {
    let active = app.store.user_get(&given.account).await?.is_some_and(|u| u.user.active);
    Ok(active && ends(app, op, given).await?.is_some())
}

/// When the session ends that something given out ends with (milliseconds since 1970); the end of days when it ends with none, `None` when
/// that session is over.
pub(super) async fn ends(app: &App, op: &Op, given: &Given) -> Result<Option<i64>> {
    if !given.bound {
        return Ok(Some(i64::MAX));
    }
    let row = app.store.session_get(&given.session).await?;
    let end = row.and_then(|r| r.expires_at.parse::<DateTime<Utc>>().ok());
    Ok(end.map(|e| e.timestamp_millis()).filter(|end| *end > op.at.timestamp_millis()))
}
