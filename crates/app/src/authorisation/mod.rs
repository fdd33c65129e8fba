//! Authorisation by the subject (主体授权): a person or company lets an application use the data about itself, for a purpose and a term,
//! sees every use, and revokes it with effect from the next call.
//!
//! Whose data they are is told by an identifier that was confirmed: of a person by the system administrator or by a
//! real-name filing, of a company by its organisation. It rests sealed; everywhere else the subject is a keyed hash of it. An authorisation allows nothing by itself: it
//! narrows what is granted, where a bound asks for it (`Bounds::authorised`, `gate`).

mod desk;
pub(crate) mod gate;

use model::account::Role;
use model::ident;
use model::identity::{SubjectKind, SubjectView, half_hidden, one_spelling};
use model::org::{Org, OrgKind};
use model::{Actor, Error, Op, Result};
use policy::{Action, Target};
use serde::Deserialize;
use store::authorisation::SubjectRow;

pub(crate) use self::desk::voided;
pub use self::desk::{AuthorisationView, answer, ask, asked, give, mine, one, revoke};
use crate::{App, audit};

/// Limits, and the letter (`rules/identity.toml`).
#[derive(Clone, Debug, Deserialize)]
pub struct AuthorisationRules {
    pub days_most: u32,
    pub purpose_least: usize,
    pub purpose_most: usize,
    pub letter: Letter,
}

/// The letter (授权书) in both languages, one version of it.
#[derive(Clone, Debug, Deserialize)]
pub struct Letter {
    pub version: String,
    pub zh: String,
    pub en: String,
}

/// The subject behind an account.
pub(super) struct Subject {
    pub(super) mark: String,
    pub(super) kind: SubjectKind,
    identifier: String,
    confirmed_by: String,
}

/// Keyed hash of an identifier, whatever its spelling.
pub(crate) fn mark(app: &App, identifier: &str) -> String {
    app.keys.derive("subject of an authorisation").mark(one_spelling(identifier).as_bytes())
}

/// An identifier in its one spelling, if its check character is right.
pub(crate) fn checked(kind: SubjectKind, identifier: &str) -> Result<String> {
    let identifier = one_spelling(identifier);
    let wrong = |zh: &str, en: &str| Error::invalid(zh, en).field("identifier", zh, en);
    match kind {
        SubjectKind::Person => ident::citizen_id_18(&identifier)
            .map_err(|_| wrong("身份证号不正确", "this is no identity number")),
        SubjectKind::Company => match ident::uscc(&identifier) {
            Ok(()) => Ok(identifier),
            Err(_) => Err(wrong("统一社会信用代码不正确", "this is no unified social credit code")),
        },
    }
}

fn context(account: &str) -> String {
    format!("subject.identifier {account}")
}

/// An account's identifier as it rests.
pub(crate) fn sealed(app: &App, account: &str, identifier: &str) -> Result<String> {
    app.keys.vault().seal(&context(account), identifier.as_bytes())
}

/// The subject behind the caller: the confirmed identifier of the account, or the credit code of an enterprise's organisation.
pub(super) async fn subject_of(app: &App, op: &Op) -> Result<Option<Subject>> {
    let Actor::User { id, org, roles, .. } = &op.actor else { return Ok(None) };
    if let Some(row) = app.store.subject_of(id).await? {
        let plain = app.keys.vault().open(&context(id), &row.sealed)?;
        return Ok(Some(Subject {
            mark: row.mark,
            kind: row.kind,
            identifier: String::from_utf8_lossy(&plain).into_owned(),
            confirmed_by: row.confirmed_by,
        }));
    }
    let known = enterprise_of(app, org.as_deref(), roles).await?;
    Ok(known.map(|org| Subject {
        mark: mark(app, &org.uscc),
        kind: SubjectKind::Company,
        identifier: org.uscc,
        confirmed_by: String::new(),
    }))
}

/// The enterprise whose credit code says whose data are an account's, where no identifier of its own is confirmed.
pub(crate) async fn enterprise_of(
    app: &App,
    org: Option<&str>,
    roles: &[Role],
) -> Result<Option<Org>> {
    let Some(org) = org.filter(|_| roles.contains(&Role::Enterprise)) else { return Ok(None) };
    Ok(app.store.org_get(org).await?.filter(|o| o.kind == OrgKind::Enterprise))
}

/// Who the caller is as a subject; `None`: nobody has confirmed an identifier yet.
pub async fn subject(app: &App, op: &Op) -> Result<Option<SubjectView>> {
    Ok(subject_of(app, op).await?.map(|s| SubjectView {
        kind: s.kind,
        shown: half_hidden(&s.identifier),
        confirmed_by: s.confirmed_by,
    }))
}

/// Confirms whose identifier an account has, after it was looked at by the caller. Never one's own.
pub async fn confirm(
    app: &App,
    op: &Op,
    account: &str,
    kind: SubjectKind,
    identifier: &str,
) -> Result<()> {
    let known = app.store.user_get(account).await?.map(|k| k.user);
    let target = Target {
        org: known.as_ref().and_then(|u| u.org.clone()),
        owner: Some(account.to_owned()),
        ..Target::plain("User", account)
    };
    let permit = audit::permit(app, op, Action::SubjectConfirm, &target).await?;
    let user = known.ok_or_else(|| Error::not_found("用户", "user", account))?;
    let identifier = checked(kind, identifier)?;
    let row = SubjectRow {
        account: user.id.clone(),
        kind,
        mark: mark(app, &identifier),
        sealed: sealed(app, &user.id, &identifier)?,
        confirmed_by: op.actor.id().to_owned(),
        at: op.stamp(),
    };
    app.store.subject_put(&permit, &row).await?;
    let mut event = audit::event(op, "subject.confirm", &user.name);
    event.scope = kind.as_str().to_owned();
    audit::record(app, event).await
}
