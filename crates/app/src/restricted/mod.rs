//! Restricted opening (受限开放): an application through the one channel, a review together, papers that are signed, use within what was
//! agreed, and a credit record for those who broke the rules.
//!
//! ```text
//! rules   rules/restricted.toml: days, questions, templates      file    an application is filled in, its evidence, submission
//! draft   a draft is read back, changed, thrown away              report  reports on use, suspension and what lifts it
//! act     review, signing, breach, withdrawal: one step           text    the papers' texts, filled and digested
//! sign    a signature is checked                                  stand   grants are made and ended
//! credit  the credit record, and whether it is clean              look    lists, one application, the verification of a paper
//! figures public statistics                                       tick    what time brings
//! people  how people are named on pages                           print   papers as files
//! party   what stands or falls with who an account is
//! ```
//!
//! *one-way-in*: an entry open on conditions is obtained by enterprises and citizens through this room alone; [`crate::sharing`]
//! refuses the way that leads around it. *credit-on-use*, *identity-on-use*: every decision of the gate for such a grant asks [`clean_use`].

mod act;
mod credit;
mod draft;
mod figures;
mod file;
mod look;
mod party;
mod people;
mod print;
mod report;
mod rules;
mod sign;
mod stand;
mod tell;
mod text;
mod tick;

use model::account::Role;
use model::restricted::UseApplication;
use model::restricted::credit::{subject_of_account, subject_of_org};
use model::{Actor, Code, Error, Op, Result};
use policy::{Action, Permit, Target};

pub use self::act::{UseOrder, act};
pub(crate) use self::credit::clean_use;
pub use self::credit::{
    credit_enter, credit_list, credit_mine, credit_object, credit_repair, may_keep_credit,
    may_read_credit,
};
pub use self::draft::{discard, revise, saved};
pub use self::figures::{ProviderFigures, UseFigures, figures};
pub use self::file::{attach, attachment, file};
pub use self::look::{
    DeskReport, DeskUse, UseSeen, Verified, VerifiedSignature, desk, has_desk, mine, open, verify,
};
pub use self::party::{UseOfAccount, UsesOfAccount};
pub(crate) use self::party::{of_account, party_revoked};
pub use self::print::print;
pub(crate) use self::rules::fill;
pub use self::rules::{
    Choice, CreditRules, Method, Phrase, Question, ReportRule, RestrictedDays, RestrictedLongest,
    RestrictedRules, Template,
};
pub use self::sign::{register_key, signing_key};
pub(crate) use self::tell::authority as authority_people;
pub use self::tick::tick;
use crate::{App, account, audit};

/// The party in whose name the caller applies.
struct Party {
    /// Empty for a citizen.
    org: String,
    name: String,
    subject: String,
}

impl Party {
    /// Whether what is an organisation's, or without one an account's, is the party's.
    fn owns(&self, op: &Op, org: &str, account: &str) -> bool {
        self.org == org && (!org.is_empty() || account == op.actor.id())
    }
}

/// Whether the caller may apply at all.
#[must_use]
pub fn may_file(app: &App, op: &Op) -> bool {
    matches!(op.actor, Actor::User { .. }) && app.may(op, Action::RestrictedApply, &own(op))
}

/// An application of the caller's organisation, or of its own.
fn own(op: &Op) -> Target {
    Target {
        owner: Some(op.actor.id().to_owned()),
        applicant_org: op
            .actor
            .org()
            .filter(|o| !o.is_empty() && op.actor.has(Role::Enterprise))
            .map(str::to_owned),
        ..Target::plain("Restricted", "new")
    }
}

/// The permit to apply; whoever is not signed in learns how.
async fn applicant(app: &App, op: &Op) -> Result<(Permit, Party)> {
    if !matches!(op.actor, Actor::User { .. }) {
        return Err(Error::new(
            Code::SignInRequired,
            "请先登录：受限开放由企业以本单位名义、公众以本人名义申请",
            "sign in first: enterprises apply for restricted-open data in their own name, citizens in theirs",
        ));
    }
    let target = own(op);
    let permit = audit::permit(app, op, Action::RestrictedApply, &target).await?;
    let party = match &target.applicant_org {
        Some(id) => {
            let org = app.store.org_get(id).await?;
            let org = org.ok_or_else(|| Error::not_found("机构", "organisation", id))?;
            Party { subject: subject_of_org(&org.uscc), name: org.name_cn, org: org.id }
        }
        None => Party {
            org: String::new(),
            name: account::shown(app, op).await?,
            subject: subject_of_account(op.actor.id()),
        },
    };
    Ok((permit, party))
}

/// An application that there is not, or not for the caller.
fn missing(id: &str) -> Error {
    let shown: String = id.chars().take(64).collect();
    Error::not_found("受限开放申请", "application for restricted-open data", &shown)
}

fn stale() -> Error {
    Error::of(Code::Stale)
}

/// The caller's organisation, where it is among the providers.
fn provider_of<'a>(application: &UseApplication, op: &'a Op) -> Option<&'a str> {
    op.actor.org().filter(|org| application.providers().contains(org))
}
