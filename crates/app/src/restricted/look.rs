//! Applications as their parties read them, and the verification of a paper by anybody who holds it.

use guard::signature::equal;
use model::restricted::{
    CreditRecord, PaperKind, PaperSigner, SigningKey, UseApplication, UseDeed, UseEvent,
    UseMetered, UseReportState, UseSide, UseState,
};
use model::{Actor, Error, Op, Result};
use policy::{Action, Target};
use serde::Serialize;
use store::restricted::UseFilter;

use super::file::applies;
use super::{credit, may_file, missing, own, people, provider_of, report, sign};
use crate::{App, Page, audit};

/// An application as one of its parties sees it.
#[derive(Clone, Debug, Serialize)]
pub struct UseSeen {
    pub application: UseApplication,
    pub events: Vec<UseEvent>,
    /// What the reader may do now.
    pub deeds: Vec<UseDeed>,
    pub overdue: bool,
    /// The reader is the applicant's side.
    pub own: bool,
    /// Key by which the reader's side signs.
    pub key: Option<SigningKey>,
    /// What stands in the credit record of the applicant, for those who decide.
    pub credit: Vec<CreditRecord>,
    /// The verification of who applied was revoked: nothing is given until it is verified anew.
    pub revoked: bool,
    /// What the meter counts in the period that the reader is to report on.
    pub metered: UseMetered,
    /// Its report on use was not filed in time.
    pub report_overdue: bool,
}

/// An application on a desk.
#[derive(Clone, Debug, Serialize)]
pub struct DeskUse {
    pub application: UseApplication,
    /// The desk has something to do with it now.
    pub waits: bool,
    pub overdue: bool,
    /// Its report on use was not filed in time.
    pub report_overdue: bool,
}

/// Which reports on use a desk looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeskReport {
    /// Those in this state.
    State(UseReportState),
    /// Those that were to be filed before today.
    Overdue,
}

impl DeskReport {
    /// Of a state's word, or `overdue`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "overdue" => Some(Self::Overdue),
            word => UseReportState::parse(word).map(Self::State),
        }
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Overdue => "overdue",
            Self::State(state) => state.as_str(),
        }
    }
}

/// What anybody is told of a paper whose number and digest they hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verified {
    pub number: String,
    pub title: String,
    pub title_en: String,
    /// Word of a [`UseState`].
    pub state: UseState,
    /// Last day of use.
    pub until: String,
    /// When each side signed, and by which way.
    pub signatures: Vec<VerifiedSignature>,
}

/// One signature, without its signer's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerifiedSignature {
    pub signer: PaperSigner,
    pub way: model::restricted::SignWay,
    pub at: String,
}

/// The application, if the caller may know of it.
pub(super) async fn visible(app: &App, op: &Op, id: &str) -> Result<UseApplication> {
    let found = app.store.restricted_get(id).await?.ok_or_else(|| missing(id))?;
    if applies(app, op, &found) {
        return Ok(found);
    }
    if found.state == UseState::Draft {
        return Err(missing(id));
    }
    let target = Target::restricted(&found, provider_of(&found, op));
    let read = Action::RestrictedRead;
    audit::permit_hidden(app, op, read, &target, &found.number, || missing(id)).await?;
    Ok(found)
}

/// What the caller may do to an application, in all its parts.
fn deeds(app: &App, op: &Op, a: &UseApplication) -> Vec<UseDeed> {
    if applies(app, op, a) {
        let mut deeds = a.deeds(UseSide::Applicant, "");
        let ripe = a.awaited().is_some_and(|r| r.ripe(op.today()));
        deeds.retain(|d| *d != UseDeed::Report || ripe);
        return deeds;
    }
    let provider = provider_of(a, op);
    let target = Target::restricted(a, provider);
    let mut deeds = Vec::new();
    if let Some(org) = provider
        && app.may(op, Action::RestrictedReview, &target)
    {
        deeds = a.deeds(UseSide::Provider, org);
    }
    if app.may(op, Action::RestrictedOversee, &target) {
        for deed in a.deeds(UseSide::Authority, "") {
            if !deeds.contains(&deed) {
                deeds.push(deed);
            }
        }
    }
    deeds
}

/// One application with all that happened to it.
pub async fn open(app: &App, op: &Op, id: &str) -> Result<UseSeen> {
    let mut application = visible(app, op, id).await?;
    let own = applies(app, op, &application);
    let credit = match own {
        true => Vec::new(),
        false => credit::standing(app, op, &application.subject).await?,
    };
    let deeds = deeds(app, op, &application);
    let metered = match application.awaited().filter(|_| deeds.contains(&UseDeed::Report)) {
        Some(open) => report::metered(app, &application, open).await?,
        None => UseMetered::default(),
    };
    let mut events = app.store.restricted_events(&application.id).await?;
    people::name_all(app, &mut application, &mut events).await?;
    Ok(UseSeen {
        events,
        deeds,
        metered,
        report_overdue: application.awaited().is_some_and(|r| r.overdue(op.today())),
        overdue: application.overdue(op.today()),
        own,
        key: sign::signing_key(app, op).await?,
        credit,
        revoked: app.store.real_name_revoked(&application.applicant).await?,
        application,
    })
}

/// A page of the applications of the caller's organisation, or of the caller, newest first. *constant page*.
pub async fn mine(
    app: &App,
    op: &Op,
    before: Option<&str>,
    limit: u32,
) -> Result<Page<UseApplication>> {
    if !matches!(op.actor, Actor::User { .. }) || !may_file(app, op) {
        return Ok(Page { items: Vec::new(), next: None });
    }
    let limit = if limit == 0 { 20 } else { limit.min(200) };
    let target = own(op);
    let filter = UseFilter {
        org: target.applicant_org.as_deref(),
        applicant: target.applicant_org.is_none().then(|| op.actor.id()),
        before,
        limit: limit + 1,
        ..UseFilter::default()
    };
    Ok(Page::cut(app.store.restricted_list(&filter).await?, limit, |a| a.id.clone()))
}

/// Whether the caller decides on applications somewhere.
#[must_use]
pub fn has_desk(app: &App, op: &Op) -> bool {
    let Some(org) = op.actor.org() else { return false };
    let region = op.actor.region().map(str::to_owned);
    let target = Target { region, ..Target::of_org("Restricted", "desk", org) };
    app.may(op, Action::RestrictedRead, &target)
        && (app.may(op, Action::RestrictedReview, &target)
            || app.may(op, Action::RestrictedOversee, &target)
            || op.actor.has(model::account::Role::Auditor))
}

/// A page of the desk, newest first: what asks for data of the caller's organisation; of the authority's (and the auditor's) region all.
/// *constant page*.
pub async fn desk(
    app: &App,
    op: &Op,
    (state, report): (Option<UseState>, Option<DeskReport>),
    before: Option<&str>,
    limit: u32,
) -> Result<Page<DeskUse>> {
    if !has_desk(app, op) {
        return Err(Error::of(model::Code::Denied));
    }
    let limit = if limit == 0 { 50 } else { limit.min(200) };
    let wide = op.actor.has(model::account::Role::Authority)
        || op.actor.has(model::account::Role::Auditor);
    let today = op.today().to_string();
    let filter = UseFilter {
        provider: if wide { None } else { op.actor.org() },
        state,
        report: report.and_then(|report| match report {
            DeskReport::State(state) => Some(state),
            DeskReport::Overdue => None,
        }),
        report_before: (report == Some(DeskReport::Overdue)).then_some(today.as_str()),
        before,
        limit: limit + 1,
        ..UseFilter::default()
    };
    let page = Page::cut(app.store.restricted_list(&filter).await?, limit, |a| a.id.clone());
    // A page may be shorter by what the caller may not see; its position is that of the last one looked at.
    let mut items = Vec::new();
    for application in page.items {
        let target = Target::restricted(&application, provider_of(&application, op));
        if application.state == UseState::Draft || !app.may(op, Action::RestrictedRead, &target) {
            continue;
        }
        let waits = deeds(app, op, &application)
            .iter()
            .any(|d| matches!(d, UseDeed::Approve | UseDeed::Countersign | UseDeed::AcceptReport));
        let overdue = application.overdue(op.today());
        let report_overdue = application.awaited().is_some_and(|r| r.overdue(op.today()));
        items.push(DeskUse { application, waits, overdue, report_overdue });
    }
    people::name_desk(app, &mut items).await?;
    Ok(Page { items, next: page.next })
}

/// What a paper of this number and digest (SM3 or SHA-256 in hex) is worth. Whoever has not both is told nothing, not even whether there
/// is such a number.
pub async fn verify(app: &App, _op: &Op, number: &str, digest: &str) -> Result<Option<Verified>> {
    let number = number.trim().to_uppercase();
    let digest = digest.trim().to_lowercase();
    let Some((of, letters)) = number.rsplit_once('-') else { return Ok(None) };
    let Some(kind) = PaperKind::ALL.iter().copied().find(|k| k.letters() == letters) else {
        return Ok(None);
    };
    let Some(application) = app.store.restricted_get(of).await? else { return Ok(None) };
    let Some(paper) = application.paper(kind) else { return Ok(None) };
    let same = |known: &str| equal(known.as_bytes(), digest.as_bytes());
    if paper.number != number || !(same(&paper.sm3) || same(&paper.sha256)) {
        return Ok(None);
    }
    Ok(Some(Verified {
        number: paper.number.clone(),
        title: paper.title.clone(),
        title_en: paper.title_en.clone(),
        state: application.state,
        until: application.until.to_string(),
        signatures: paper
            .signatures
            .iter()
            .map(|s| VerifiedSignature { signer: s.signer, way: s.way, at: s.at.clone() })
            .collect(),
    }))
}
