//! Share applications: the list, one application with its steps, and the decision on it.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use minijinja::context;
use model::halt::HaltKind;
use model::request::{RequestFilter, RequestState};
use model::{Error, Kind};

use crate::console::{PAGE, done, next_link, row_range};
use crate::form::Posted;
use crate::items;
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/requests", get(list))
        .route("/console/requests/{id}", get(detail))
        .route("/console/requests/{id}/decide", post(decide))
        .route("/console/requests/{id}/rows", post(limit))
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
    page(&door, &visit, &id, None).await
}

/// The application, with what was wrong with a form on it.
async fn page(door: &Door, visit: &Visit, id: &str, wrong: Option<(&Error, &Posted)>) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let request = app::sharing::get(app, op, id).await?;
    let steps = app::sharing::steps(app, op, id).await?;
    let moves = app::sharing::moves(app, op, &request).await?;
    // Names of the wanted items, as far as the reader may see the entry.
    let entry = items::entry(door, visit, &request.entry).await?;
    let draft = entry.as_ref().map(|e| &e.draft);
    let items = items::named(draft, &request.items);
    let only = request.row_range.only.iter();
    let only: Vec<_> = only
        .map(|o| context! { item => items::named(draft, std::slice::from_ref(&o.item)), values => &o.values })
        .collect();
    let delivers = app::delivery::of_request(app, op, &request);
    let may_limit = entry.is_some() && app::sharing::may_limit(app, op, &request);
    let row_form = entry.as_ref().map(|e| {
        let known: Vec<(String, String)> =
            e.draft.items.iter().map(|i| (i.identifier.clone(), i.name_cn.clone())).collect();
        let range = wrong.map_or_else(|| request.row_range.clone(), |(_, p)| row_range::read(p));
        row_range::form(door, visit, e, &known, &range)
    });
    let context = context! {
        delivers, may_limit, row_form,
        row_org_name => row_range::org_name(door, visit, &request.row_range.org),
        limit_reason => wrong.map(|(_, p)| p.get("reason")).unwrap_or_default(),
        error => wrong.map(|(e, _)| visit.t(e.zh(), e.en()).to_owned()),
        fields => value(wrong.map(|(e, _)| e.fields()).unwrap_or_default()),
        request => value(&request), steps => value(&steps), moves, items, only,
        entry_seen => entry.is_some(),
        halt => value(app::halt::of(app, HaltKind::Entry, &request.entry).await?),
        app_halt => value(app::halt::of(app, HaltKind::Application, &request.application).await?),
        endpoint => format!("{}/api/v1/{}", door.gateway(visit), request.entry_code),
        done => visit.q("done"),
    };
    door.page_with(visit, "console/request.html", context, wrong.map(|(error, _)| error)).await
}

/// Which rows alone are agreed, narrowed by who decides it.
async fn limit(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let (range, reason) = (row_range::read(&posted), posted.get("reason"));
    match app::sharing::limit_rows(&door.app, &visit.op, &id, range, reason).await {
        Ok(_) => done(&format!("/console/requests/{id}"), "limited"),
        Err(error) if matches!(error.kind(), Kind::Invalid | Kind::Conflict) => {
            page(&door, &visit, &id, Some((&error, &posted))).await
        }
        Err(error) => Err(error.into()),
    }
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
