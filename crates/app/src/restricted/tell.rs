//! Who is told of what happens. It is kept already: a notice that cannot be given does not undo it.

use model::account::Role;
use model::restricted::{CreditRecord, UseApplication, UseDeed, UseSide, UseState};
use model::{Op, Result, region};

use crate::App;
use crate::notice::{self, Told};

/// People of one role at one organisation who are told at most.
const TOLD: u32 = 100;

/// Tells those whom a step concerns.
pub(super) async fn step(app: &App, op: &Op, a: &UseApplication, deed: UseDeed) {
    let (mine, theirs) = match (deed, a.state) {
        (UseDeed::Submit, _) => (None, Some("restricted.filed")),
        (UseDeed::Refuse, _) | (UseDeed::Approve, UseState::Signing) => {
            (Some("restricted.decided"), None)
        }
        (UseDeed::SignAgreement, _) => (None, Some("restricted.sign")),
        (UseDeed::Countersign, _) => (Some("restricted.decided"), None),
        (UseDeed::Report, _) => (None, Some("restricted.report")),
        (UseDeed::AcceptReport | UseDeed::ReturnReport, _) => (Some("restricted.report"), None),
        (UseDeed::Suspend, _) => (Some("restricted.suspended"), Some("restricted.suspended")),
        (UseDeed::Breach | UseDeed::Expire | UseDeed::Lapse, _) => {
            (Some("restricted.ended"), Some("restricted.ended"))
        }
        (UseDeed::Withdraw, _) if !a.submitted_at.is_empty() => (None, Some("restricted.ended")),
        _ => return,
    };
    let words = match deed {
        UseDeed::Report | UseDeed::AcceptReport | UseDeed::ReturnReport => deed.zh(),
        _ => a.state.zh(),
    };
    if let Some(kind) = mine {
        applicant(app, op, a, kind, words).await;
    }
    if let Some(kind) = theirs {
        desks(app, op, a, kind, words).await;
    }
}

/// Tells the applicant.
async fn applicant(app: &App, op: &Op, a: &UseApplication, kind: &'static str, words: &str) {
    let href = format!("/restricted/{}", a.number);
    let told = told(a, kind, words, href);
    notice::give(app, op, Ok(vec![a.applicant.clone()]), &told).await;
}

/// Tells the providers and the authority; never the applicant.
pub(super) async fn desks(app: &App, op: &Op, a: &UseApplication, kind: &'static str, words: &str) {
    let href = format!("/console/restricted/{}", a.number);
    to_desks(app, op, a, &told(a, kind, words, href)).await;
}

/// The verification of who applied was revoked (`filing`: what was verified): whoever decides on the application is told.
pub(super) async fn revoked(app: &App, op: &Op, a: &UseApplication, filing: &str) {
    let kind = "realname.revoked";
    let words = match a.state.agreed() {
        true => "已暂停提供数据 / nothing is given meanwhile",
        false => a.state.zh(),
    };
    let mut told = told(a, kind, words, format!("/console/restricted/{}", a.number));
    told.mark = format!("{kind}:{filing}:{}", a.id);
    to_desks(app, op, a, &told).await;
}

async fn to_desks(app: &App, op: &Op, a: &UseApplication, told: &Told) {
    let people = async {
        let mut people = Vec::new();
        for org in a.providers() {
            for role in [Role::Provider, Role::Reviewer] {
                people.extend(app.store.holders(org, role, TOLD).await?);
            }
        }
        people.extend(authority(app, &a.region).await?);
        people.retain(|p| *p != a.applicant);
        Ok(people)
    };
    notice::give(app, op, people.await, told).await;
}

/// People of the authority of a region, or of the nearest above it that has any.
pub(crate) async fn authority(app: &App, of: &str) -> Result<Vec<String>> {
    let orgs = app.store.orgs_list().await?;
    for region in std::iter::successors(Some(of.to_owned()), |r| region::parent_of(r)) {
        for org in orgs.iter().filter(|o| o.authority && o.region == region) {
            let people = app.store.holders(&org.id, Role::Authority, TOLD).await?;
            if !people.is_empty() {
                return Ok(people);
            }
        }
    }
    Ok(Vec::new())
}

/// Tells whom a credit record is about.
pub(super) async fn subject(app: &App, op: &Op, record: &CreditRecord) {
    let people = async {
        match record.subject.split_once(':') {
            Some(("account", id)) => Ok(vec![id.to_owned()]),
            Some(("uscc", code)) => match app.store.org_of_uscc(code).await? {
                Some(org) => app.store.holders(&org, Role::Enterprise, TOLD).await,
                None => Ok(Vec::new()),
            },
            _ => Ok(Vec::new()),
        }
    };
    let told = Told {
        mark: format!("credit:{}:{}", record.id, record.edit),
        kind: "credit.entered",
        title: record.rule.clone(),
        words: record.repair_reason.clone(),
        href: "/restricted".to_owned(),
    };
    notice::give(app, op, people.await, &told).await;
}

/// A due day is near: whoever has to act is told once a day.
pub(super) async fn due(app: &App, op: &Op, a: &UseApplication, today: &str) {
    let words = a.due.map(|d| d.to_string()).unwrap_or_default();
    let kind = "restricted.due";
    let applicant_acts = matches!(a.state, UseState::Signing | UseState::InForce);
    let mut told = told(a, kind, &words, format!("/restricted/{}", a.number));
    told.mark = format!("{kind}:{}:{today}", a.id);
    if applicant_acts {
        return notice::give(app, op, Ok(vec![a.applicant.clone()]), &told).await;
    }
    if a.state == UseState::Countersigning && a.counterparty() == UseSide::Authority {
        told.href = format!("/console/restricted/{}", a.number);
        return notice::give(app, op, authority(app, &a.region).await, &told).await;
    }
    desks(app, op, a, kind, &words).await;
}

/// A report on use is to be filed soon, or was to be: its party is told once a day.
pub(super) async fn report_due(app: &App, op: &Op, a: &UseApplication, today: &str) {
    let kind = "restricted.report_due";
    let words = a.awaited().map(|r| r.due.to_string()).unwrap_or_default();
    let mut told = told(a, kind, &words, format!("/restricted/{}", a.number));
    told.mark = format!("{kind}:{}:{today}", a.id);
    notice::give(app, op, Ok(vec![a.applicant.clone()]), &told).await;
}

fn told(a: &UseApplication, kind: &'static str, words: &str, href: String) -> Told {
    let title = a.entries.first().map(|e| e.title.as_str()).unwrap_or_default();
    Told {
        mark: format!("{kind}:{}:{}", a.id, a.edit),
        kind,
        title: format!("{} {title}", a.number),
        words: words.to_owned(),
        href,
    }
}
