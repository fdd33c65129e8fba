//! What awaits the caller: reviews and decisions, what is due first standing first, and the caller's own affairs.
//!
//! Each pile shows at most [`MOST`] and says when there are more; nothing is cut off in silence.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use model::code::{OnlineState, PublishState};
use model::entry::{Entry, EntryFilter};
use model::request::{Request, RequestFilter, RequestState};
use model::{Op, Result, op};
use policy::{Action, Target};
use serde::Serialize;
use store::entry::EntryScope;
use store::request::{Applicant, RequestScope};

use crate::{App, catalogue};

/// Most things a pile shows.
const MOST: usize = 100;
/// One more than that tells whether there are more.
const ASKED: u32 = 101;
/// Rows read at a time where policy decides each.
const PAGE: u32 = 500;
/// Grants that end within these days are shown.
const ENDING: TimeDelta = TimeDelta::days(30);
/// Refusals are shown for these days.
const REFUSED: TimeDelta = TimeDelta::days(30);

/// What awaits the caller.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Inbox {
    /// Entries awaiting my review.
    pub entries: Vec<Entry>,
    /// Day by which the review of each of them should end, by entry id.
    pub entries_due: BTreeMap<String, String>,
    /// Applications awaiting my decision, what is due first standing first.
    pub requests: Vec<Request>,
    /// My own applications still under way.
    pub mine: Vec<Request>,
    /// Entries of my organisation that were rejected and wait to be mended.
    pub rejected_entries: Vec<Entry>,
    /// My own applications rejected lately and not filed anew.
    pub rejected: Vec<Request>,
    /// My own grants that end soon.
    pub ending: Vec<Request>,
    /// Of which there are more than shown.
    pub more: More,
}

/// Piles that hold more than they show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct More {
    pub entries: bool,
    pub requests: bool,
    pub mine: bool,
    pub rejected_entries: bool,
    pub rejected: bool,
    pub ending: bool,
}

/// What awaits the caller.
pub async fn inbox(app: &App, op: &Op) -> Result<Inbox> {
    let mut inbox = Inbox { requests: to_decide(app, op).await?, ..Inbox::default() };
    if !op.actor.roles().is_empty() {
        inbox.entries = to_review(app, op).await?;
        inbox.rejected_entries = rejected_entries(app, op).await?;
    }
    mine(app, op, &mut inbox).await?;
    inbox.more = More {
        entries: cut(&mut inbox.entries),
        requests: cut(&mut inbox.requests),
        mine: cut(&mut inbox.mine),
        rejected_entries: cut(&mut inbox.rejected_entries),
        rejected: cut(&mut inbox.rejected),
        ending: cut(&mut inbox.ending),
    };
    let due = |e: &Entry| Some((e.id.clone(), catalogue::due(app, e)?.to_string()));
    inbox.entries_due = inbox.entries.iter().filter_map(due).collect();
    Ok(inbox)
}

fn cut<T>(pile: &mut Vec<T>) -> bool {
    let more = pile.len() > MOST;
    pile.truncate(MOST);
    more
}

/// Applications that the caller may decide now.
async fn to_decide(app: &App, op: &Op) -> Result<Vec<Request>> {
    let mut found: Vec<Request> = Vec::new();
    for (state, action) in [
        (RequestState::ProviderAuditing, Action::RequestReviewProvider),
        (RequestState::AuthorityAuditing, Action::RequestReviewAuthority),
    ] {
        let Some(provider) = decides(app, op, action) else { continue };
        let (mut after, mut here) = (None, 0);
        loop {
            let page =
                app.store.requests_due(state, provider.as_deref(), after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some((last.due.clone().unwrap_or_default(), last.id.clone()));
            for request in page {
                let target = Target::request(&request);
                if here <= MOST && app.policy.decide(op, action, &target).allowed {
                    here += 1;
                    found.push(request);
                }
            }
            if here > MOST {
                break;
            }
        }
    }
    found.sort_by(|a, b| (&a.due, &a.id).cmp(&(&b.due, &b.id)));
    Ok(found)
}

/// Whether the caller decides anything of this kind at all, and whose: `Some(None)` = of any provider.
fn decides(app: &App, op: &Op, action: Action) -> Option<Option<String>> {
    let may = |org: &str| {
        let region = match &op.actor {
            model::Actor::User { region, .. } => region.clone(),
            _ => None,
        };
        let org = Some(org.to_owned());
        let target = Target { org, region, ..Target::plain("Request", "") };
        app.policy.decide(op, action, &target).allowed
    };
    // An organisation that nobody is of.
    if may("") {
        return Some(None);
    }
    op.actor.org().filter(|o| may(o)).map(|o| Some(o.to_owned()))
}

/// Entries under review that the caller may decide.
async fn to_review(app: &App, op: &Op) -> Result<Vec<Entry>> {
    let mut filter = EntryFilter { auditing: true, limit: PAGE, ..EntryFilter::default() };
    let mut found = Vec::new();
    loop {
        let page = app.store.entry_list(&filter, &EntryScope::All).await?;
        let Some(last) = page.last() else { return Ok(found) };
        filter.after = Some(last.id.clone());
        for entry in page {
            if app.policy.decide(op, Action::EntryReview, &Target::entry(&entry)).allowed {
                found.push(entry);
            }
        }
        if found.len() > MOST {
            return Ok(found);
        }
    }
}

/// Entries of the caller's organisation that were rejected, newest first, where the caller may mend them.
async fn rejected_entries(app: &App, op: &Op) -> Result<Vec<Entry>> {
    let Some(org) = op.actor.org() else { return Ok(Vec::new()) };
    let of = || EntryFilter { org: Some(org.to_owned()), limit: ASKED, ..EntryFilter::default() };
    let publish = [PublishState::PubReject, PublishState::ChangeReject]
        .map(|state| EntryFilter { publish_state: Some(state), ..of() });
    let online = [OnlineState::UpReject, OnlineState::DownReject, OnlineState::OfflineUpReject]
        .map(|state| EntryFilter { online_state: Some(state), ..of() });
    let mut found: Vec<Entry> = Vec::new();
    for filter in publish.into_iter().chain(online) {
        for entry in app.store.entry_list(&filter, &EntryScope::All).await? {
            let known = found.iter().any(|e| e.id == entry.id);
            let target = Target::entry(&entry);
            if !known && app.policy.decide(op, Action::EntrySubmit, &target).allowed {
                found.push(entry);
            }
        }
    }
    found.sort_by(|a, b| b.updated_at.cmp(&a.updated_at));
    Ok(found)
}

/// The caller's own applications: under way, rejected lately, approved and soon to end.
async fn mine(app: &App, op: &Op, inbox: &mut Inbox) -> Result<()> {
    let may = |r: &Request, action| app.policy.decide(op, action, &Target::request(r)).allowed;
    let person = op.actor.id();
    let whose: Vec<Applicant<'_>> = match &op.actor {
        model::Actor::User { org, .. } => {
            let of_org = org.as_deref().map(Applicant::Org);
            of_org.into_iter().chain([Applicant::Person(person)]).collect()
        }
        _ => return Ok(()),
    };
    let (until, since) = (op::stamp(op.at + ENDING), op::stamp(op.at - REFUSED));
    for whose in whose {
        for state in [RequestState::ProviderAuditing, RequestState::AuthorityAuditing] {
            let (org, applicant) = match whose {
                Applicant::Org(org) => (org, None),
                Applicant::Person(person) => ("", Some(person.to_owned())),
            };
            let filter = RequestFilter {
                org: Some(org.to_owned()),
                applicant,
                state: Some(state),
                limit: ASKED,
                ..RequestFilter::default()
            };
            let page = app.store.request_list(&filter, &RequestScope::All).await?;
            inbox.mine.extend(page.into_iter().filter(|r| may(r, Action::RequestUndo)));
        }
        let refused = app.store.requests_refused(whose, &since, ASKED).await?;
        inbox.rejected.extend(refused.into_iter().filter(|r| may(r, Action::RequestUndo)));
        let ending = app.store.requests_ending(whose, &until, ASKED).await?;
        inbox.ending.extend(ending.into_iter().filter(|r| may(r, Action::RequestUndo)));
    }
    inbox.mine.sort_by(|a, b| b.id.cmp(&a.id));
    inbox.ending.sort_by(|a, b| (&a.expires_at, &a.id).cmp(&(&b.expires_at, &b.id)));
    Ok(())
}
