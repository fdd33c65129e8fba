//! Applications as their parties read them, and the verification of a paper by anybody who holds it.

use guard::signature::equal;
use model::restricted::{
    CreditRecord, PaperKind, PaperSigner, SigningKey, UseApplication, UseDeed, UseEvent, UseSide,
    UseState,
};
use model::{Actor, Error, Op, Result};
use policy::{Action, Target};
use serde::Serialize;
use store::restricted::UseFilter;

use super::file::applies;
use super::{credit, may_file, missing, own, provider_of, sign};
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
}

/// An application on a desk.
#[derive(Clone, Debug, Serialize)]
pub struct DeskUse {
    pub application: UseApplication,
    /// The desk has something to do with it now.
    pub waits: bool,
    pub overdue: bool,
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
        return a.deeds(UseSide::Applicant, "");
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
    let application = visible(app, op, id).await?;
    let own = applies(app, op, &application);
    let credit = match own {
        true => Vec::new(),
        false => credit::standing(app, op, &application.subject).await?,
    };
    Ok(UseSeen {
        events: app.store.restricted_events(&application.id).await?,
        deeds: deeds(app, op, &application),
        overdue: application.overdue(op.today()),
        own,
        key: sign::signing_key(app, op).await?,
        credit,
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
    state: Option<UseState>,
    before: Option<&str>,
    limit: u32,
) -> Result<Page<DeskUse>> {
    if !has_desk(app, op) {
        return Err(Error::of(model::Code::Denied));
    }
    let limit = if limit == 0 { 50 } else { limit.min(200) };
    let wide = op.actor.has(model::account::Role::Authority)
        || op.actor.has(model::account::Role::Auditor);
    let filter = UseFilter {
        provider: if wide { None } else { op.actor.org() },
        state,
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
            .any(|d| matches!(d, UseDeed::Approve | UseDeed::Countersign));
        let overdue = application.overdue(op.today());
        items.push(DeskUse { application, waits, overdue });
    }
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
