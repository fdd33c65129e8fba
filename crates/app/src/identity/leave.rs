//! Signing out at a client's wish (OpenID Connect RP-Initiated Logout 1.0): the session here ends, and with it every token that was not
//! given for use without it. Who is not vouched for by an ID token of this very session is asked; nobody is ever sent to an address that
//! the client has not registered for it.

use guard::identity::Hint;
use guard::{hash, signature};
use model::account::Application;
use model::identity::origin_of;
use model::{Error, Op, Result};
use serde::Serialize;

use super::authorize::Asker;
use super::{LONGEST, claims, first, provider};
use crate::account::Session;
use crate::{App, account, audit};

const PARAMETERS: [&str; 4] = ["id_token_hint", "client_id", "post_logout_redirect_uri", "state"];

/// What comes of a wish to sign out.
#[derive(Debug)]
pub enum Leaving {
    /// The person is asked, or told that nobody is signed in.
    Ask(Box<LeaveAsk>),
    /// Nobody is signed in here any more; the browser goes to this address, or to our own page.
    Gone(Option<String>),
    /// The person stays signed in.
    Stayed,
}

/// What a person is asked.
#[derive(Clone, Debug, Serialize)]
pub struct LeaveAsk {
    /// Name of the application that wishes it; empty: none is named.
    pub application: String,
    /// Its organisation; empty: a citizen's own, or none is named.
    pub org: String,
    /// Somebody is signed in.
    pub signed_in: bool,
    /// Registered address to go on to, and its scheme, host and port; empty: there is none.
    pub back: String,
    pub goal: String,
}

/// A wish whose client and address are right.
struct Wish {
    application: Option<Application>,
    /// An ID token of ours came with it.
    hint: Option<Hint>,
    /// Where to go on to, with the state.
    back: Option<String>,
}

/// Looks at a wish to sign out; whoever brings an ID token of the session that asks has it ended at once.
pub async fn leave(
    app: &App,
    op: &Op,
    asker: Asker<'_>,
    pairs: &[(String, String)],
) -> Result<Leaving> {
    let wish = wish(app, op, asker.issuer, pairs).await?;
    match asker.session {
        Some(session) if vouched(app, &wish, session) => end(app, op, session, wish).await,
        None if wish.hint.is_some() => Ok(Leaving::Gone(wish.back)),
        session => Ok(Leaving::Ask(Box::new(asked(wish, session.is_some())))),
    }
}

/// What the person answered to the same wish.
pub async fn leave_answered(
    app: &App,
    op: &Op,
    asker: Asker<'_>,
    pairs: &[(String, String)],
    agreed: bool,
) -> Result<Leaving> {
    let wish = wish(app, op, asker.issuer, pairs).await?;
    match asker.session {
        Some(session) if agreed => end(app, op, session, wish).await,
        Some(_) => Ok(Leaving::Stayed),
        None => Ok(Leaving::Ask(Box::new(asked(wish, false)))),
    }
}

async fn end(app: &App, op: &Op, session: &Session, wish: Wish) -> Result<Leaving> {
    account::sign_out(app, op, &session.token).await?;
    if let Some(application) = &wish.application {
        audit::record(app, audit::event(op, "identity.logout", &application.id)).await?;
    }
    Ok(Leaving::Gone(wish.back))
}

fn asked(wish: Wish, signed_in: bool) -> LeaveAsk {
    let (application, org) = wish.application.map(|a| (a.name, a.org)).unwrap_or_default();
    let back = wish.back.unwrap_or_default();
    let goal = origin_of(&back).unwrap_or_default();
    LeaveAsk { application, org, signed_in, back, goal }
}

/// Whether the ID token that came with a wish was given out in this very session, to its person.
fn vouched(app: &App, wish: &Wish, session: &Session) -> bool {
    let (Some(application), Some(hint)) = (&wish.application, &wish.hint) else { return false };
    let kept = hash::sha256_hex(session.token.as_bytes());
    let subject = claims::subject(app, &application.id, &session.user.id);
    let sid = claims::session(app, &application.id, &kept);
    signature::equal(subject.as_bytes(), hint.subject.as_bytes())
        & signature::equal(sid.as_bytes(), hint.session.as_bytes())
}

/// Reads a wish. What is wrong with it is told to the person; an ID token that is none of ours counts as none.
async fn wish(app: &App, op: &Op, issuer: &str, pairs: &[(String, String)]) -> Result<Wish> {
    let wrong = || {
        Error::invalid(
            "退出请求有误：应用不存在或已停用，或退出后的返回地址与登记的不完全一致。您可以直接在本平台退出登录",
            "this sign-out request is wrong: the application is unknown or stopped, or the address to go on to is not exactly one it registered. You can sign out on this platform itself",
        )
    };
    let times = |name: &str| pairs.iter().filter(|(n, _)| n == name).count();
    if PARAMETERS.iter().any(|p| times(p) > 1) || first(pairs, "state").len() > LONGEST {
        return Err(wrong());
    }
    let token = first(pairs, "id_token_hint");
    let hint = match token {
        "" => None,
        _ => provider::hint(app, op, issuer, token).await?,
    };
    let named = first(pairs, "client_id");
    let key = match &hint {
        Some(hint) if named.is_empty() || named == hint.audience => hint.audience.as_str(),
        Some(_) => return Err(wrong()),
        None => named,
    };
    let application = match key {
        "" => None,
        _ => account::application_of(app, op, key, None).await?.map(|(found, _)| found),
    };
    let back = match (first(pairs, "post_logout_redirect_uri"), &application) {
        ("", _) => None,
        (address, Some(application)) => {
            let settings = app.store.identity_client(&application.id).await?.ok_or_else(wrong)?;
            if !settings.logouts.iter().any(|l| l == address) {
                return Err(wrong());
            }
            Some(with_state(address, first(pairs, "state")))
        }
        (_, None) => return Err(wrong()),
    };
    Ok(Wish { application, hint, back })
}

/// A registered address with the client's state.
fn with_state(address: &str, state: &str) -> String {
    if state.is_empty() {
        return address.to_owned();
    }
    let joint = if address.contains('?') { '&' } else { '?' };
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("state", state);
    format!("{address}{joint}{}", query.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_added_and_nothing_else() {
        assert_eq!(with_state("https://a/b", ""), "https://a/b");
        assert_eq!(with_state("https://a/b", "x&y=z"), "https://a/b?state=x%26y%3Dz");
        assert_eq!(with_state("https://a/b?c=1", "s"), "https://a/b?c=1&state=s");
    }
}
