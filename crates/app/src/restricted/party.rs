//! The applications of one account, for those who decide who it is: what stands or falls with its verification.

use chrono::NaiveDate;
use model::restricted::{UseApplication, UseState};
use model::{Op, Result};
use policy::{Action, Target};
use serde::Serialize;
use store::restricted::UseFilter;

use super::{provider_of, tell};
use crate::App;

/// Applications looked at together.
const TOGETHER: u32 = 200;

/// An application that is under way or in force.
#[derive(Clone, Debug, Serialize)]
pub struct UseOfAccount {
    pub number: String,
    /// Of its first data set.
    pub title: String,
    pub state: UseState,
    /// Last day of use.
    pub until: NaiveDate,
}

/// What an account has under way or in force: what the caller may read, and how many more there are.
#[derive(Clone, Debug, Default, Serialize)]
pub struct UsesOfAccount {
    pub listed: Vec<UseOfAccount>,
    pub elsewhere: usize,
}

/// What an account has applied for and is not over, newest first.
async fn under_way(app: &App, account: &str) -> Result<Vec<UseApplication>> {
    use UseState::{Countersigning, InForce, Reviewing, Signing, Suspended};
    let mut found = Vec::new();
    let mut before: Option<String> = None;
    loop {
        let filter = UseFilter {
            applicant: Some(account),
            before: before.as_deref(),
            limit: TOGETHER,
            ..UseFilter::default()
        };
        let page = app.store.restricted_list(&filter).await?;
        let Some(last) = page.last() else { return Ok(found) };
        before = Some(last.id.clone());
        found.extend(page.into_iter().filter(|a| {
            matches!(a.state, Reviewing | Signing | Countersigning | InForce | Suspended)
        }));
    }
}

/// What stands or falls with who an account is.
pub(crate) async fn of_account(app: &App, op: &Op, account: &str) -> Result<UsesOfAccount> {
    let mut uses = UsesOfAccount::default();
    for a in under_way(app, account).await? {
        let target = Target::restricted(&a, provider_of(&a, op));
        if !app.may(op, Action::RestrictedRead, &target) {
            uses.elsewhere += 1;
            continue;
        }
        uses.listed.push(UseOfAccount {
            title: a.entries.first().map(|e| e.title.clone()).unwrap_or_default(),
            number: a.number,
            state: a.state,
            until: a.until,
        });
    }
    Ok(uses)
}

/// The verification of an account was revoked (`filing`: id of what was verified): the desks of what it has under way or in force are
/// told. It is kept already: a notice that cannot be given does not undo it.
pub(crate) async fn party_revoked(app: &App, op: &Op, account: &str, filing: &str) {
    match under_way(app, account).await {
        Ok(uses) => {
            for a in &uses {
                tell::revoked(app, op, a, filing).await;
            }
        }
        Err(e) => {
            tracing::warn!(error = e.operator_text(), "desks were not told of a revoked real name");
        }
    }
}
