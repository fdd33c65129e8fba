//! The authority's desk of real-name verification: what waits, one filing, the number on demand, the decision, taking it back.

use std::sync::Arc;

use app::realname::{self, RealNameOrder};
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use minijinja::context;
use model::realname::RealNameState;
use model::{Error, Kind};

use crate::console::{PAGE, done, next_link};
use crate::form::Posted;
use crate::identity::scan;
use crate::site::interact::word;
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/realnames", get(list))
        .route("/console/realnames/{id}", get(show))
        .route("/console/realnames/{id}/number", post(number))
        .route("/console/realnames/{id}/moves", post(moves))
        .route("/console/realnames/{id}/files/{file}", get(evidence))
}

/// What the address asks for: what waits, unless it says otherwise.
fn wanted(visit: &Visit) -> Option<RealNameState> {
    match visit.q("state") {
        None => Some(RealNameState::Review),
        said => word(RealNameState::ALL, RealNameState::as_str, said),
    }
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let state = wanted(&visit);
    let page = realname::desk(&door.app, &visit.op, state, visit.q("before"), PAGE).await?;
    let today = visit.op.today();
    let rows: Vec<_> = page
        .items
        .iter()
        .map(|f| context! { filing => value(f), overdue => f.overdue(today) })
        .collect();
    let context = context! {
        rows, state => state.map_or("all", RealNameState::as_str),
        next => next_link(&visit, "before", page.next.as_deref()), done => visit.q("done"),
    };
    door.page(&visit, "console/realnames.html", context).await
}

async fn show(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    page(&door, &visit, &id, None, None).await
}

async fn page(
    door: &Door,
    visit: &Visit,
    id: &str,
    number: Option<String>,
    wrong: Option<(&Error, &Posted)>,
) -> Answer {
    let view = realname::filing(&door.app, &visit.op, id).await?;
    door.names.refresh(&door.app).await;
    let typed = |name: &str| wrong.map(|(_, p)| p.get(name).to_owned());
    let region = typed("region").unwrap_or_else(|| view.region.clone());
    let context = context! {
        v => value(&view), number, region, regions => value(&door.names.get().regions),
        reason => typed("reason").unwrap_or_default(),
        error => wrong.map(|(e, _)| visit.t(e.zh(), e.en()).to_owned()),
        code => wrong.map(|(e, _)| e.code().as_str()),
        fields => value(wrong.map(|(e, _)| e.fields()).unwrap_or_default()),
        done => visit.q("done"),
    };
    door.page_with(visit, "console/realname.html", context, wrong.map(|(error, _)| error)).await
}

async fn number(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    let number = realname::number(&door.app, &visit.op, &id).await?;
    page(&door, &visit, &id, Some(number), None).await
}

async fn moves(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let (app, op, seen) = (&door.app, &visit.op, posted.number("seen")?);
    let said = |name: &str| posted.get(name).to_owned();
    let (outcome, word) = match posted.get("do") {
        "approve" => {
            let order = RealNameOrder::Approve { region: said("region") };
            (realname::decide(app, op, &id, seen, order).await, "approve")
        }
        "refuse" => {
            let order = RealNameOrder::Refuse { reason: said("reason") };
            (realname::decide(app, op, &id, seen, order).await, "reject")
        }
        "revoke" => (realname::revoke(app, op, &id, seen, &said("reason")).await, "unverified"),
        _ => {
            let error = Error::invalid(
                "请选择通过、不通过或撤销",
                "choose to approve, to refuse or to revoke",
            );
            return Err(error.field("do", "必选", "required").into());
        }
    };
    match outcome {
        // What falls with it stands on its page.
        Ok(_) if word == "unverified" => done(&format!("/console/realnames/{id}"), word),
        Ok(_) => {
            // A new organisation has a name on the next page.
            door.names.forget();
            done("/console/realnames", word)
        }
        Err(error) if matches!(error.kind(), Kind::Invalid | Kind::Conflict) => {
            page(&door, &visit, &id, None, Some((&error, &posted))).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn evidence(
    State(door): State<Arc<Door>>,
    Path((id, file)): Path<(String, String)>,
    visit: Visit,
) -> Answer {
    let (file, content) = realname::evidence_at_desk(&door.app, &visit.op, &id, &file).await?;
    Ok(scan(&file, content))
}
