//! Real-name verification (实名认证): a person files name and identity number, an enterprise its name, credit code and legal
//! representative; the authority decides, and what it decided is the account's identifier ([`crate::authorisation`]).
//!
//! ```text
//! file    filing, withdrawing, evidence: by the person
//! desk    what waits, approving and refusing: by the authority
//! revoke  taking a verification back, and what falls with it
//! remind  what is to be answered soon, or was to be
//! ```
//!
//! Filing tells nothing of others: whether a number is verified for another account is told at the desk alone. Names and number rest
//! sealed, and only while they are needed; evidence is taken away when it was decided. An enterprise's account gets its organisation here
//! and nowhere else: the one that has the credit code, or a new one.
//!
//! Who needs it: whoever signed up by themselves ([`admit`]). Accounts that others opened (the administrator, an outside identity service)
//! are vouched for by whoever opened them, and count as they did.

mod desk;
mod file;
mod remind;
mod revoke;

use chrono::NaiveDate;
use model::account::{Role, User};
use model::code::OpenLevel;
use model::entry::Entry;
use model::identity::{SubjectKind, half_hidden};
use model::realname::{RealNameDetails, RealNameFiling, RealNameSeen, RealNameState, SignUp};
use model::{Actor, Code, Error, Op, Result};
use policy::Target;
use serde::{Deserialize, Serialize};

pub use self::desk::{
    DeskFiling, RealNameOrder, decide, desk, evidence_at_desk, filing, has_desk, number,
};
pub use self::file::{attach, detach, evidence, file, withdraw};
pub(crate) use self::remind::remind;
pub use self::revoke::revoke;
pub(crate) use self::revoke::stands;
use crate::{App, authorisation};

/// Days and limits (`[signup.real_name]`).
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RealNameRules {
    /// Working days from filing to the answer.
    pub days: u32,
    /// Working days before that day from which the desk is reminded; 0: on the day.
    #[serde(default)]
    pub remind: u32,
    /// Filings of one account in 24 hours.
    pub filings_a_day: u32,
    /// Scans of one filing, and most bytes of one.
    pub files: usize,
    pub bytes: u64,
    /// Whoever signed up by themselves is verified before any application for restricted-open data.
    pub every_application: bool,
}

/// Where the caller stands, and what it can do about it.
#[derive(Clone, Debug, Serialize)]
pub struct Standing {
    pub state: RealNameState,
    pub kind: SubjectKind,
    /// The verified or filed number with its middle hidden; empty when there is none.
    pub shown: String,
    /// The newest filing.
    pub filing: Option<RealNameFiling>,
    /// What is kept of the sign-up; `None`: somebody else opened the account.
    pub sign_up: Option<SignUp>,
    /// The account belongs to an organisation, which is known already.
    pub of_org: bool,
    pub may_file: bool,
    /// Day by which a filing under review is to be answered.
    pub due: Option<NaiveDate>,
}

fn context(id: &str) -> String {
    format!("realname.details {id}")
}

/// An account, as what is filed and decided is about.
fn target(account: &str) -> Target {
    Target { owner: Some(account.to_owned()), ..Target::plain("User", account) }
}

fn missing(id: &str) -> Error {
    let shown: String = id.chars().take(64).collect();
    Error::not_found("实名认证申请", "real-name filing", &shown)
}

/// As what an account is verified: an enterprise by its credit code, everybody else by the identity number.
fn kind_of(op: &Op) -> SubjectKind {
    if op.actor.has(Role::Enterprise) { SubjectKind::Company } else { SubjectKind::Person }
}

/// Where the caller stands.
pub async fn standing(app: &App, op: &Op) -> Result<Standing> {
    let Actor::User { id, org, .. } = &op.actor else {
        return Err(Error::of(Code::SignInRequired));
    };
    let kind = kind_of(op);
    let filing = app.store.real_name_newest(id).await?;
    let sign_up = app.store.sign_up_get(id).await?;
    let of_org = org.is_some() && kind == SubjectKind::Company;
    let (state, kind, shown) = match authorisation::subject(app, op).await? {
        Some(subject) => (RealNameState::Verified, subject.kind, subject.shown),
        None => match (unconfirmed(filing.as_ref()), filing.as_ref()) {
            (RealNameState::Unverified, _) | (_, None) => {
                (RealNameState::Unverified, kind, String::new())
            }
            (state, Some(f)) => (state, f.kind, f.shown.clone()),
        },
    };
    let open = !matches!(state, RealNameState::Verified | RealNameState::Review);
    let due = filing.as_ref().filter(|f| f.state == RealNameState::Review).map(|f| f.due);
    Ok(Standing { state, kind, shown, filing, sign_up, of_org, may_file: open && !of_org, due })
}

/// Where an account stands by its newest filing while nobody has confirmed who it is.
fn unconfirmed(newest: Option<&RealNameFiling>) -> RealNameState {
    match newest.map(|f| f.state) {
        Some(state @ (RealNameState::Review | RealNameState::Refused | RealNameState::Revoked)) => {
            state
        }
        _ => RealNameState::Unverified,
    }
}

/// Who an account is, for its administrator; `None`: of a public body's people nobody asks.
pub(crate) async fn of_account(app: &App, user: &User) -> Result<Option<RealNameSeen>> {
    let newest = app.store.real_name_newest(&user.id).await?;
    let sign_up = app.store.sign_up_get(&user.id).await?;
    let outside = user.roles.iter().any(|r| matches!(r, Role::Citizen | Role::Enterprise));
    if !outside && newest.is_none() && sign_up.is_none() {
        return Ok(None);
    }
    let confirmed = app.store.subject_of(&user.id).await?.is_some()
        || authorisation::enterprise_of(app, user.org.as_deref(), &user.roles).await?.is_some();
    let state = match confirmed {
        true => RealNameState::Verified,
        false => unconfirmed(newest.as_ref()),
    };
    Ok(Some(RealNameSeen { state, sign_up, filing: newest.map(|f| f.id).unwrap_or_default() }))
}

/// Whether an account's real name is verified: its identity number was confirmed, by the administrator who saw the document or by a
/// filing; an enterprise's by a filing.
pub(crate) async fn verified(app: &App, account: &str) -> Result<bool> {
    let Some(row) = app.store.subject_of(account).await? else { return Ok(false) };
    // A credit code that the administrator entered says whose data they are, and has never said who the person is.
    Ok(row.kind == SubjectKind::Person
        || app
            .store
            .real_name_newest(account)
            .await?
            .is_some_and(|f| f.state == RealNameState::Verified))
}

/// Refuses an account whose verification was revoked; and one that somebody opened for themselves and that is not verified, where that is demanded of who applies for the data
/// set: by its way of opening (实名认证开放) or, by the rule file, of every application.
pub(crate) async fn admit(app: &App, op: &Op, entry: &Entry) -> Result<()> {
    let account = op.actor.id();
    stands(app, account, Code::RuleBroken).await?;
    let by_attribute = entry.draft.profile.open_level == Some(OpenLevel::RealName);
    if !by_attribute && !app.rules.signup.real_name.every_application {
        return Ok(());
    }
    let vouched = app.store.sign_up_get(account).await?.is_none();
    if vouched || app.store.subject_of(account).await?.is_some() {
        return Ok(());
    }
    let (title, code) = (&entry.draft.title, &entry.draft.code);
    Err(Error::new(
        Code::RuleBroken,
        format!("申请《{title}》须先完成实名认证：/account/realname"),
        format!("your real name must be verified before you apply for `{code}`: /account/realname"),
    )
    .with_reasons(vec!["realname.required".to_owned()]))
}

/// The details of a filing, opened; `None` when they are not kept any more.
async fn details(app: &App, id: &str) -> Result<Option<RealNameDetails>> {
    let sealed = app.store.real_name_sealed(id).await?;
    if sealed.is_empty() {
        return Ok(None);
    }
    let plain = app.keys.vault().open(&context(id), &sealed)?;
    let details = serde_json::from_slice(&plain)
        .map_err(|e| Error::internal("details of a real-name filing").caused_by(e))?;
    Ok(Some(details))
}

fn shown(number: &str) -> String {
    half_hidden(number)
}
