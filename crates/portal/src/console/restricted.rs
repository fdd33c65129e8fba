//! The desk of 受限开放: applications that ask for data of my organisation or region, and the credit record.

use std::sync::Arc;

use app::restricted::{self, DeskReport};
use axum::Router;
use axum::extract::multipart::MultipartRejection;
use axum::extract::{DefaultBodyLimit, Multipart, Path, State};
use axum::routing::{get, post};
use minijinja::context;
use model::restricted::{CreditNew, UseState};
use model::{Error, Kind};

use crate::console::{PAGE, done, next_link};
use crate::form::Posted;
use crate::site::interact::word;
use crate::site::restricted::{opened, ordered, take_in};
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/restricted", get(list))
        .route("/console/restricted/{number}", get(show))
        .route("/console/restricted/{number}/moves", post(moves))
        .route(
            "/console/restricted/{number}/files",
            post(attach).layer(DefaultBodyLimit::disable()),
        )
        .route("/console/credit", get(credit).post(enter))
        .route("/console/credit/{id}/repair", post(repair))
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let state = word(UseState::ALL, UseState::as_str, visit.q("state"));
    let report = visit.q("report").and_then(DeskReport::parse);
    let page = restricted::desk(app, op, (state, report), visit.q("before"), PAGE).await?;
    let context = context! {
        rows => value(&page.items), state => state.map(UseState::as_str),
        report => report.map(DeskReport::as_str),
        credit => restricted::may_read_credit(app, op), key => value(restricted::signing_key(app, op).await?),
        next => next_link(&visit, "before", page.next.as_deref()), done => visit.q("done"),
    };
    door.page(&visit, "console/restricted.html", context).await
}

async fn show(State(door): State<Arc<Door>>, Path(number): Path<String>, visit: Visit) -> Answer {
    opened(&door, &visit, &number, true, None).await
}

async fn moves(
    State(door): State<Arc<Door>>,
    Path(number): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    ordered(&door, &visit, &number, true, &posted).await
}

async fn attach(
    State(door): State<Arc<Door>>,
    Path(number): Path<String>,
    visit: Visit,
    multipart: Result<Multipart, MultipartRejection>,
) -> Answer {
    take_in(&door, &visit, &number, true, multipart).await
}

async fn credit(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    record(&door, &visit, &CreditNew::default(), None).await
}

async fn record(door: &Door, visit: &Visit, new: &CreditNew, wrong: Option<&Error>) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let standing = visit.q("view") != Some("all");
    let page = restricted::credit_list(app, op, standing, visit.q("before"), PAGE).await?;
    let context = context! {
        rows => value(&page.items), view => if standing { "standing" } else { "all" }, form => value(new),
        keeps => restricted::may_keep_credit(app, op), today => op.today().to_string(),
        years => app.rules.restricted.credit.years, longest => app.rules.restricted.longest.text,
        next => next_link(visit, "before", page.next.as_deref()), done => visit.q("done"),
        error => wrong.map(|e| visit.t(e.zh(), e.en()).to_owned()),
        fields => value(wrong.map(Error::fields).unwrap_or_default()),
    };
    door.page_with(visit, "console/credit.html", context, wrong).await
}

async fn enter(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    let said = |name: &str| posted.get(name).to_owned();
    let new = CreditNew { whom: said("whom"), rule: said("rule"), facts: said("facts") };
    match restricted::credit_enter(&door.app, &visit.op, new.clone()).await {
        Ok(_) => done("/console/credit", "saved"),
        Err(error) if matches!(error.kind(), Kind::Invalid | Kind::NotFound) => {
            record(&door, &visit, &new, Some(&error)).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn repair(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    match restricted::credit_repair(&door.app, &visit.op, &id, posted.get("reason")).await {
        Ok(_) => done("/console/credit", "saved"),
        Err(error) if error.kind() == Kind::Invalid => {
            record(&door, &visit, &CreditNew::default(), Some(&error)).await
        }
        Err(error) => Err(error.into()),
    }
}
