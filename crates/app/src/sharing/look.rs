//! Looking at applications: one, lists, steps, and what may be done with them.

use model::request::{Request, RequestFilter, RequestState, RequestStep};
use model::{Error, Op, Result};
use policy::{Action, Target};
use store::request::RequestScope;

use super::ask::{approved_before, can_undo};
use crate::{App, Page, account};

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
    RequestScope::Of { org: op.actor.org().map(str::to_owned), person: op.actor.id().to_owned() }
}

/// Steps of an application, oldest first; people by the names shown.
pub async fn steps(app: &App, op: &Op, id: &str) -> Result<Vec<RequestStep>> {
    let request = visible(app, op, id).await?;
    let mut steps = app.store.request_steps(&request.id).await?;
    let people = steps.iter_mut().map(|s| (s.actor.as_str(), &mut s.actor_name));
    account::named(app, people.collect()).await?;
    Ok(steps)
}

/// Actions the caller may take on an application now: `approve reject undo revoke`. What the room would refuse (the
/// second stage by whoever approved the first) is not offered.
pub async fn moves(app: &App, op: &Op, request: &Request) -> Result<Vec<&'static str>> {
    let target = Target::request(request);
    let may = |action| app.policy.decide(op, action, &target).allowed;
    let mut moves = Vec::new();
    match request.state {
        RequestState::ProviderAuditing if may(Action::RequestReviewProvider) => {
            moves.extend(["approve", "reject"]);
        }
        RequestState::AuthorityAuditing if may(Action::RequestReviewAuthority) => {
            if !approved_before(app, op, request).await? {
                moves.push("approve");
            }
            moves.push("reject");
        }
        _ => {}
    }
    if can_undo(request.state) && may(Action::RequestUndo) {
        moves.push("undo");
    }
    if request.state == RequestState::Approved && may(Action::RequestRevoke) {
        moves.push("revoke");
    }
    Ok(moves)
}
