//! Personal tokens: by one of them the programs of a person who compiles act in that person's name at a machine door (CKAN calls it an
//! API token). A token is random, told once and kept as a digest; it bears a name and an end, is taken away at any time, and ends with
//! what ends the person's sessions: the account's closing, other roles, another organisation, a password given anew by an administrator.
//!
//! A token proves who calls and nothing more: each act goes by policy as the person's own, and is audited as the person's, with the mark
//! `token` behind the address.

use chrono::{DateTime, TimeDelta};
use guard::{hash, keys};
use model::account::PersonalToken;
use model::{Actor, Code, Error, FieldError, Op, Result, op};
use policy::{Action, Target};

use super::person::actor_of;
use crate::{App, audit};

/// What every token begins with: it is known for one wherever it turns up.
pub const PERSONAL: &str = "qtp_";
/// Bytes of chance in a token.
const CHANCE: usize = 32;
/// Longest text that is looked at as one, in bytes.
const LONGEST: usize = 128;
/// Characters by which its owner knows a token again.
const TAIL: usize = 4;
/// Tokens that one person has.
const MOST: u32 = 10;
/// Longest name, in characters.
const NAME: usize = 60;
/// Days that a token is good for at most.
pub const PERSONAL_DAYS_MOST: i64 = 366;
/// Seconds within which further uses are not noted again.
const NOTED: i64 = 60;

/// A token just made; it is told once.
#[derive(Clone)]
pub struct PersonalTokenMade {
    pub token: String,
    pub made: PersonalToken,
}

impl std::fmt::Debug for PersonalTokenMade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PersonalTokenMade").field("name", &self.made.name).finish_non_exhaustive()
    }
}

/// Tokens are for those who compile entries of an organisation.
fn compiling(op: &Op) -> Target {
    Target { kind: "Entry", org: op.actor.org().map(str::to_owned), ..Target::default() }
}

/// Whether the caller may make tokens (to show or hide a form).
#[must_use]
pub fn may_hold_tokens(app: &App, op: &Op) -> bool {
    op.actor.org().is_some() && app.may(op, Action::EntryCompile, &compiling(op))
}

/// Makes a token of one's own, good for so many days.
pub async fn personal_token_make(
    app: &App,
    op: &Op,
    name: &str,
    days: i64,
) -> Result<PersonalTokenMade> {
    if op.actor.org().is_none() {
        let error = Error::new(
            Code::Denied,
            "个人令牌供编目人员的程序使用，须属于一个数源单位",
            "personal tokens are for the programs of those who compile for a department",
        );
        audit::refused(app, op, "account.token_make", op.actor.name(), &error).await?;
        return Err(error);
    }
    audit::permit(app, op, Action::EntryCompile, &compiling(op)).await?;
    let name = name.trim();
    let faults = faults(name, days);
    if !faults.is_empty() {
        return Err(Error::invalid(
            format!("令牌有 {} 处需要改正", faults.len()),
            format!("{} fields of the token have to be mended", faults.len()),
        )
        .with_fields(faults));
    }
    let token = format!("{PERSONAL}{}", keys::token(CHANCE)?);
    let tail: Vec<char> = token.chars().rev().take(TAIL).collect();
    let made = PersonalToken {
        id: op.new_id(),
        name: name.to_owned(),
        tail: tail.into_iter().rev().collect(),
        created_at: op.stamp(),
        expires_at: op::stamp(op.at + TimeDelta::days(days)),
        last_used_at: None,
    };
    let user = op.actor.id();
    let digest = digest(&token);
    if !app.store.personal_token_insert(user, &digest, &made, &op.stamp(), MOST).await? {
        return Err(Error::invalid(
            format!("个人令牌最多 {MOST} 个，请先撤销不再使用的"),
            format!("a person has {MOST} tokens at most: revoke those that are not used any more"),
        ));
    }
    let mut event = audit::event(op, "account.token_make", op.actor.name());
    event.scope = format!("{} …{} → {}", made.name, made.tail, made.expires_at);
    audit::record(app, event).await?;
    Ok(PersonalTokenMade { token, made })
}

fn faults(name: &str, days: i64) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let length = name.chars().count();
    if length == 0 || length > NAME || name.chars().any(char::is_control) {
        faults.push(FieldError {
            field: "name".into(),
            zh: format!("名称为 1 至 {NAME} 个字"),
            en: format!("the name has 1 to {NAME} characters"),
        });
    }
    if !(1..=PERSONAL_DAYS_MOST).contains(&days) {
        faults.push(FieldError {
            field: "days".into(),
            zh: format!("有效期为 1 至 {PERSONAL_DAYS_MOST} 天"),
            en: format!("a token is good for 1 to {PERSONAL_DAYS_MOST} days"),
        });
    }
    faults
}

fn digest(token: &str) -> String {
    hash::sha256_hex(token.as_bytes())
}

/// One's own tokens, the newest first.
pub async fn personal_tokens(app: &App, op: &Op) -> Result<Vec<PersonalToken>> {
    match &op.actor {
        Actor::User { id, .. } => app.store.personal_tokens_of(id).await,
        _ => Err(Error::of(Code::SignInRequired)),
    }
}

/// Takes one of one's own tokens away; the next call by it is refused, in every process.
pub async fn personal_token_revoke(app: &App, op: &Op, id: &str) -> Result<()> {
    let Some(name) = app.store.personal_token_delete(op.actor.id(), id).await? else {
        let shown: String = id.chars().take(64).collect();
        return Err(Error::not_found("令牌", "token", &shown));
    };
    let mut event = audit::event(op, "account.token_revoke", op.actor.name());
    event.scope = name;
    audit::record(app, event).await
}

/// Whether a text looks like a personal token: what does not is some other door's business.
#[must_use]
pub fn is_personal(text: &str) -> bool {
    text.starts_with(PERSONAL) && text.len() <= LONGEST
}

/// Who acts by a token. It is found by its digest, so that nothing of it is compared byte by byte, and looked up each time: what was
/// revoked in another process ends at once. Unknown, revoked and ended with its account read the same.
pub async fn personal_token_call(app: &App, op: &Op, token: &str) -> Result<Actor> {
    let unknown = || {
        Error::new(
            Code::SignatureMismatch,
            "个人令牌无效或已撤销，请在控制台“我的账号 · 个人令牌”中另建",
            "the personal token is unknown or was revoked: make another in the console, My account, Personal tokens",
        )
    };
    if !is_personal(token) {
        return Err(unknown());
    }
    let (user, known) = app.store.personal_token_get(&digest(token)).await?.ok_or_else(unknown)?;
    if known.expires_at <= op.stamp() {
        return Err(Error::new(
            Code::SecretExpired,
            format!("个人令牌“{}”已过期，请在控制台“我的账号 · 个人令牌”中另建", known.name),
            format!(
                "the personal token `{}` has expired: make another in the console, My account, Personal tokens",
                known.name
            ),
        ));
    }
    let held = app.store.user_get(&user).await?.ok_or_else(unknown)?;
    if !held.user.active || held.one_time_until.is_some() {
        return Err(unknown());
    }
    let actor = actor_of(app, &held.user).await?;
    note(app, op, &known, &actor).await?;
    Ok(actor)
}

/// Notes the use, once a minute at most; the first after a day without any is worth a record of its own.
async fn note(app: &App, op: &Op, known: &PersonalToken, actor: &Actor) -> Result<()> {
    let last = known.last_used_at.as_deref().and_then(|at| DateTime::parse_from_rfc3339(at).ok());
    let rested = last.map(|at| op.at - at.to_utc());
    if rested.is_some_and(|rested| rested < TimeDelta::seconds(NOTED)) {
        return Ok(());
    }
    app.store.personal_token_used(&known.id, &op.stamp()).await?;
    if rested.is_some_and(|rested| rested < TimeDelta::days(1)) {
        return Ok(());
    }
    let by = Op { actor: actor.clone(), ..op.clone() };
    let mut event = audit::event(&by, "account.token_use", actor.name());
    event.scope = format!("{} …{}", known.name, known.tail);
    audit::record(app, event).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_days_are_within_bounds() {
        let named = |name: &str, days| {
            faults(name, days).into_iter().map(|f| f.field).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(named("发布脚本", 90), "");
        assert_eq!(named("", 0), "name days");
        assert_eq!(named(&"长".repeat(61), 367), "name days");
        assert_eq!(named("a\nb", 1), "name");
    }

    #[test]
    fn a_token_is_known_by_its_beginning() {
        assert!(is_personal("qtp_abc") && !is_personal("abc") && !is_personal("Bearer qtp_abc"));
        assert!(!is_personal(&format!("{PERSONAL}{}", "x".repeat(LONGEST))));
    }
}
