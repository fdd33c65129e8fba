//! Return flow (回流) in the console: the list with lag, rows and last error; making one from an approved share application; one
//! outflow live, with what a person can do.

use std::sync::Arc;

use app::outflow::{self, OutflowView};
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use minijinja::{Value, context};
use model::Error;
use model::outflow::{OutflowNew, OutflowWish};

use crate::console::{PAGE, done, next_link};
use crate::fault::mendable;
use crate::form::Posted;
use crate::view::value;
use crate::visit::{Visit, encode};
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/outflows", get(list).post(create))
        .route("/console/outflows/new", get(new_page))
        .route("/console/outflows/{id}", get(one))
        .route("/console/outflows/{id}/figures", get(figures))
        .route("/console/outflows/{id}/pause", post(pause))
        .route("/console/outflows/{id}/resume", post(resume))
        .route("/console/outflows/{id}/anew", post(anew))
        .route("/console/outflows/{id}/compare", post(compare))
        .route("/console/outflows/{id}/remove", post(remove))
}

fn row(view: &OutflowView) -> Value {
    context! {
        flow => value(view), waits => view.waits(),
        live => view.outflow.wish == OutflowWish::Run,
        resumable => view.outflow.wish == OutflowWish::Pause,
        keeps => view.keeps,
    }
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let page = outflow::list(app, op, visit.q("after"), PAGE).await?;
    let keeps = outflow::may_keep(app, op);
    let offers = match keeps {
        true => Some(outflow::offers(app, op, visit.q("offered"), PAGE).await?),
        false => None,
    };
    let offered: Vec<Value> = offers
        .iter()
        .flat_map(|page| &page.items)
        .map(|offer| {
            context! {
                offer => value(offer),
                fault => offer.fault.as_ref().map(|(zh, en)| visit.t(zh, en)),
            }
        })
        .collect();
    let flows: Vec<Value> = page.items.iter().map(row).collect();
    let context = context! {
        flows, keeps, offered, done => visit.q("done"),
        next => next_link(&visit, "after", page.next.as_deref()),
        more_offers => next_link(&visit, "offered", offers.as_ref().and_then(|o| o.next.as_deref())),
    };
    door.page(&visit, "console/outflows.html", context).await
}

async fn new_page(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let new = OutflowNew {
        request: visit.q("request").unwrap_or_default().to_owned(),
        source: visit.q("source").unwrap_or_default().to_owned(),
        table: visit.q("table").unwrap_or_default().to_owned(),
        items: Vec::new(),
    };
    show_new(&door, &visit, &new, None).await
}

/// The form; once a database is chosen, with what would flow and what stands in the way.
async fn show_new(door: &Door, visit: &Visit, new: &OutflowNew, error: Option<Error>) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let request = app::sharing::get(app, op, &new.request).await?;
    let sources = app::collection::source::list(app, op).await?;
    let (outline, error) = match new.source.is_empty() {
        true => (None, error),
        false => match outflow::check(app, op, new).await {
            Ok(outline) => (Some(outline), error),
            Err(e) if mendable(&e) => (None, Some(error.unwrap_or(e))),
            Err(e) => return Err(e.into()),
        },
    };
    let words = |pairs: &[(String, String)]| -> Vec<String> {
        pairs.iter().map(|(zh, en)| visit.t(zh, en).to_owned()).collect()
    };
    let context = context! {
        request => value(&request), sources => value(&sources),
        form => context! {
            source => &new.source,
            table => if new.table.is_empty() { &request.entry_code } else { &new.table },
        },
        outline => outline.as_ref().map(|o| context! {
            area => &o.area, server => &o.survey.server, table => o.survey.table,
            troubles => words(&o.survey.faults), notes => words(&o.survey.notes),
            columns => o.columns.iter().map(|(id, name, mask, key)| context! { id, name, mask, key }).collect::<Vec<_>>(),
        }),
        error => error.as_ref().map(|e| visit.t(e.zh(), e.en())),
        code => error.as_ref().map(|e| e.code().as_str()),
        fields => value(error.as_ref().map(Error::fields).unwrap_or_default()),
    };
    door.page_with(visit, "console/outflow_new.html", context, error).await
}

async fn create(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    let new = OutflowNew {
        request: posted.get("request").to_owned(),
        source: posted.get("source").to_owned(),
        table: posted.get("table").to_owned(),
        items: Vec::new(),
    };
    match outflow::create(&door.app, &visit.op, &new).await {
        Ok(made) => done(&format!("/console/outflows/{}", made.outflow.id), "created"),
        Err(e) if mendable(&e) => show_new(&door, &visit, &new, Some(e)).await,
        Err(e) => Err(e.into()),
    }
}

async fn one(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let view = outflow::get(&door.app, &visit.op, &id).await?;
    let context = context! { row => row(&view), done => visit.q("done") };
    door.page(&visit, "console/outflow.html", context).await
}

async fn figures(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let view = outflow::get(&door.app, &visit.op, &id).await?;
    door.page(&visit, "console/outflow_figures.html", context! { row => row(&view) }).await
}

fn back(id: &str, word: &str) -> Answer {
    done(&format!("/console/outflows/{}", encode(id)), word)
}

async fn pause(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    outflow::pause(&door.app, &visit.op, &id).await?;
    back(&id, "resting")
}

async fn resume(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    outflow::resume(&door.app, &visit.op, &id).await?;
    back(&id, "resumed")
}

async fn anew(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    outflow::anew(&door.app, &visit.op, &id).await?;
    back(&id, "refilling")
}

async fn compare(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    outflow::compare(&door.app, &visit.op, &id).await?;
    back(&id, "compared")
}

async fn remove(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    outflow::remove(&door.app, &visit.op, &id, posted.get("force") == "1").await?;
    done("/console/outflows", "removed")
}
