//! Clients are told that a session has ended (OpenID Connect Back-Channel Logout 1.0): a signed token is posted to the address they have
//! registered for it. Whichever way a session ends (signed out, ended by an administrator or a change, over), its end and what is to be
//! told of it are one transaction of the store (`store::backchannel`), so that a restart loses nothing; a client that does not take it is
//! asked again. Every try is recorded.

use chrono::TimeDelta;
use futures::stream::{self, StreamExt};
use guard::identity::LogoutClaims;
use guard::keys;
use model::{Op, Result};
use policy::Permit;
use store::backchannel::LogoutDue;

use super::{LogoutRules, claims, provider};
use crate::{App, account, audit};

/// Clients taken out of the store together.
const TOGETHER: u32 = 200;
/// Longest time between two tries, in seconds.
const HOUR: i64 = 3600;

/// Tells every client that is due; answers how many took it.
pub async fn tick(app: &App, system: &Op) -> Result<u64> {
    let (_, permit) = app.platform(system)?;
    app.store.sessions_over(&system.stamp()).await?;
    app.store.identity_logouts_forget(&permit).await?;
    let now = system.at.timestamp_millis();
    let mut told = 0;
    loop {
        // Whoever was asked is not due at this moment any more: the round ends.
        let due = app.store.identity_logouts_due(now, TOGETHER).await?;
        if due.is_empty() {
            return Ok(told);
        }
        let permit = &permit;
        let asked = stream::iter(due).map(|due| tell(app, permit, due));
        let side_by_side = app.rules.identity.logout.side_by_side.max(1);
        let taken: Vec<Result<bool>> = asked.buffer_unordered(side_by_side).collect().await;
        for one in taken {
            told += u64::from(one?);
        }
    }
}

/// How many ends of sessions an application was told of and did not take so far, if the caller may see it.
pub async fn untaken(app: &App, op: &Op, id: &str) -> Result<u64> {
    let application = account::application(app, op, id).await?;
    app.store.identity_logouts_untaken(&application.id).await
}

/// Tells one client; whether it took it.
async fn tell(app: &App, permit: &Permit, due: LogoutDue) -> Result<bool> {
    let rules = &app.rules.identity.logout;
    let now = Op::system(app.now());
    let again = now.at + wait(rules, due.tries);
    if !app.store.identity_logout_take(permit, &due, again.timestamp_millis()).await? {
        return Ok(false);
    }
    let session = claims::session(app, &due.application, &due.session);
    let token = token(app, &now, &due, &session).await?;
    let answer = app.identity.outside.logout(&due.address, &token).await;
    let mut event = audit::event(&now, "identity.backchannel", &due.application);
    let tries = due.tries.saturating_add(1);
    let last = tries >= rules.tries;
    event.scope = format!("account={} sid={session} try={tries}", due.account);
    let taken = match &answer {
        Ok(200..=299) => true,
        Ok(status) => {
            event.reason = format!("status {status}");
            false
        }
        Err(error) => {
            tracing::warn!(
                application.id = due.application,
                error = error.operator_text(),
                "a client could not be told of a session's end"
            );
            event.reason = error.code().as_str().to_owned();
            false
        }
    };
    if !taken {
        event.result = "failed".into();
        if last {
            event.reason.push_str(", given up");
        }
    }
    audit::record(app, event).await?;
    if taken || last {
        app.store.identity_logout_done(permit, &due).await?;
    }
    Ok(taken)
}

/// How long to wait after a try that has so many before it.
fn wait(rules: &LogoutRules, before: i64) -> TimeDelta {
    let doubled = u32::try_from(before).ok().and_then(|n| 2_i64.checked_pow(n));
    let seconds = rules.wait_seconds.max(1).saturating_mul(doubled.unwrap_or(HOUR));
    TimeDelta::seconds(seconds.min(HOUR))
}

/// What the client is told, signed; a try again has an id of its own.
async fn token(app: &App, now: &Op, due: &LogoutDue, session: &str) -> Result<String> {
    let claims = LogoutClaims {
        issuer: &due.issuer,
        subject: &claims::subject(app, &due.application, &due.account),
        audience: &due.key,
        session,
        id: &keys::hex_token(16)?,
        issued_at: now.at,
        expires_at: now.at + TimeDelta::seconds(app.rules.identity.logout.token_seconds),
    };
    provider::signer(app, now).await?.logout_token(&claims)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_come_after_twice_as_long_and_an_hour_at_most() {
        let rules =
            LogoutRules { token_seconds: 120, wait_seconds: 30, tries: 16, side_by_side: 8 };
        let seconds: Vec<i64> = [0, 1, 2, 6, 7, 63, 64, i64::MAX]
            .into_iter()
            .map(|before| wait(&rules, before).num_seconds())
            .collect();
        assert_eq!(seconds, [30, 60, 120, 1920, 3600, 3600, 3600, 3600]);
    }
}
