//! Share applications: the list, one application with its steps, and the decision on it.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use minijinja::context;
use model::halt::HaltKind;
use model::request::{RequestFilter, RequestState};
use model::{Error, Kind};

use crate::console::{PAGE, done, next_link};
use crate::form::Posted;
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/requests", get(list))
        .route("/console/requests/{id}", get(detail))
        .route("/console/requests/{id}/decide", post(decide))
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let user = &visit.session()?.user;
    let org = user.org.clone();
    let view = visit.q("view").unwrap_or("all");
    let filter = RequestFilter {
        org: org.clone().filter(|_| view == "mine"),
        applicant: (view == "mine" && org.is_none()).then(|| user.id.clone()),
        provider: org.filter(|_| view == "provided"),
        state: visit.q("state").and_then(RequestState::parse),
        after: visit.q("after").map(str::to_owned),
        limit: PAGE,
        ..RequestFilter::default()
    };
    let page = app::sharing::list(&door.app, &visit.op, &filter).await?;
    let context = context! {
        requests => value(&page.items), view, state => visit.q("state"),
        next => next_link(&visit, "after", page.next.as_deref()),
    };
    door.page(&visit, "console/requests.html", context).await
}

async fn detail(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let request = app::sharing::get(app, op, &id).await?;
    let steps = app::sharing::steps(app, op, &id).await?;
    let moves = app::sharing::moves(app, op, &request).await?;
    // Names of the wanted items, as far as the reader may see the entry.
    let entry = match app::catalogue::get(app, op, &request.entry).await {
        Ok(entry) => Some(entry),
        Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Denied) => None,
        Err(error) => return Err(error.into()),
    };
    let items: Vec<_> = request
        .items
        .iter()
        .map(|id| {
            let item = entry.as_ref().and_then(|e| e.draft.item(id));
            context! { identifier => id, item => value(item) }
        })
        .collect();
    let delivers = app::delivery::of_request(app, op, &request);
    let context = context! {
        delivers,
        request => value(&request), steps => value(&steps), moves, items,
        entry_seen => entry.is_some(),
        halt => value(app::halt::of(app, HaltKind::Entry, &request.entry).await?),
        app_halt => value(app::halt::of(app, HaltKind::Application, &request.application).await?),
        endpoint => format!("{}/api/v1/{}", door.gateway(&visit), request.entry_code),
        done => visit.q("done"),
    };
    door.page(&visit, "console/request.html", context).await
}

async fn decide(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let (app, op, reason) = (&door.app, &visit.op, posted.get("reason"));
    let word = posted.get("do");
    match word {
        "approve" => app::sharing::review(app, op, &id, true, reason).await?,
        "reject" => app::sharing::review(app, op, &id, false, reason).await?,
        "undo" => app::sharing::undo(app, op, &id, reason).await?,
        "revoke" => app::sharing::revoke(app, op, &id, reason).await?,
        _ => {
            return Err(Error::invalid(
                format!("没有操作 `{word}`"),
                format!("there is no action `{word}`"),
            )
            .into());
        }
    };
    done(&format!("/console/requests/{id}"), word)
}
