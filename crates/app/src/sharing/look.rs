//! Looking at applications: one, lists, steps, and what awaits the caller.

use model::entry::{Entry, EntryFilter};
use model::request::{Request, RequestFilter, RequestState, RequestStep};
use model::{Error, Op, Result};
use policy::{Action, Target};
use store::entry::EntryScope;
use store::request::RequestScope;

use super::Inbox;
use super::ask::can_undo;
use crate::{App, Page};

/// Most things an inbox shows of each kind.
const INBOX: usize = 100;

/// The application, if the caller may know of it; otherwise it is not found.
pub(super) async fn visible(app: &App, op: &Op, id: &str) -> Result<Request> {
    let request = app.store.request_get(id).await?;
    request
        .filter(|r| app.policy.decide(op, Action::RequestRead, &Target::request(r)).allowed)
        .ok_or_else(|| Error::not_found("申请", "application", id))
}

/// One application with its state.
pub async fn get(app: &App, op: &Op, id: &str) -> Result<Request> {
    visible(app, op, id).await
}

/// Applications the caller may see, newest first.
pub async fn list(app: &App, op: &Op, filter: &RequestFilter) -> Result<Page<Request>> {
    let limit = if filter.limit == 0 { 50 } else { filter.limit.min(999) };
    let mut ask = RequestFilter { limit: limit + 1, ..filter.clone() };
    let limit = usize::try_from(limit).unwrap_or(50);
    let scope = scope(app, op);
    let mut items: Vec<Request> = Vec::new();
    loop {
        let page = app.store.request_list(&ask, &scope).await?;
        let last_page = page.len() <= limit;
        for request in page {
            ask.after = Some(request.id.clone());
            if app.policy.decide(op, Action::RequestRead, &Target::request(&request)).allowed {
                items.push(request);
            }
        }
        if items.len() > limit {
            items.truncate(limit);
            let next = items.last().map(|r| r.id.clone());
            return Ok(Page { items, next });
        }
        if last_page {
            return Ok(Page { items, next: None });
        }
    }
}

/// What the store may show this caller at all: everything, if policy lets it read a stranger's application.
fn scope(app: &App, op: &Op) -> RequestScope {
    let strange = Target {
        org: Some(String::new()),
        applicant_org: Some(String::new()),
        ..Target::plain("Request", "")
    };
    if app.policy.decide(op, Action::RequestRead, &strange).allowed {
        return RequestScope::All;
    }
    RequestScope::Of(op.actor.org().unwrap_or_default().to_owned())
}

/// Steps of an application, oldest first.
pub async fn steps(app: &App, op: &Op, id: &str) -> Result<Vec<RequestStep>> {
    let request = visible(app, op, id).await?;
    app.store.request_steps(&request.id).await
}

/// What awaits the caller.
pub async fn inbox(app: &App, op: &Op) -> Result<Inbox> {
    let mut inbox = Inbox { entries: entries(app, op).await?, ..Inbox::default() };
    let org = op.actor.org().unwrap_or_default();
    for (state, action) in [
        (RequestState::ProviderAuditing, Action::RequestReviewProvider),
        (RequestState::AuthorityAuditing, Action::RequestReviewAuthority),
    ] {
        let filter = RequestFilter { state: Some(state), limit: 999, ..RequestFilter::default() };
        let page = app.store.request_list(&filter, &scope(app, op)).await?;
        for request in page {
            if request.org == org && inbox.mine.len() < INBOX && may_undo(app, op, &request) {
                inbox.mine.push(request.clone());
            }
            let target = Target::request(&request);
            if inbox.requests.len() < INBOX && app.policy.decide(op, action, &target).allowed {
                inbox.requests.push(request);
            }
        }
    }
    // What is due first stands first.
    inbox.requests.sort_by(|a, b| (&a.due, &a.id).cmp(&(&b.due, &b.id)));
    Ok(inbox)
}

/// Entries under review that the caller may decide.
async fn entries(app: &App, op: &Op) -> Result<Vec<Entry>> {
    if op.actor.roles().is_empty() {
        return Ok(Vec::new());
    }
    let mut filter = EntryFilter { auditing: true, limit: 200, ..EntryFilter::default() };
    let mut found = Vec::new();
    loop {
        let page = app.store.entry_list(&filter, &EntryScope::All).await?;
        let last_page = page.len() < 200;
        for entry in page {
            filter.after = Some(entry.id.clone());
            let target = Target::entry(&entry);
            if app.policy.decide(op, Action::EntryReview, &target).allowed {
                found.push(entry);
            }
        }
        if last_page || found.len() >= INBOX {
            found.truncate(INBOX);
            return Ok(found);
        }
    }
}

fn may_undo(app: &App, op: &Op, request: &Request) -> bool {
    app.policy.decide(op, Action::RequestUndo, &Target::request(request)).allowed
}

/// Actions the caller may take on an application now: `approve reject undo revoke`.
#[must_use]
pub fn moves(app: &App, op: &Op, request: &Request) -> Vec<&'static str> {
    let target = Target::request(request);
    let may = |action| app.policy.decide(op, action, &target).allowed;
    let mut moves = Vec::new();
    let decide = match request.state {
        RequestState::ProviderAuditing => may(Action::RequestReviewProvider),
        RequestState::AuthorityAuditing => may(Action::RequestReviewAuthority),
        _ => false,
    };
    if decide {
        moves.extend(["approve", "reject"]);
    }
    if can_undo(request.state) && may(Action::RequestUndo) {
        moves.push("undo");
    }
    if request.state == RequestState::Approved && may(Action::RequestRevoke) {
        moves.push("revoke");
    }
    moves
}
