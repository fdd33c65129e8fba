//! Collection runs: the list, one run with live progress, and its quarantine (mend, replay, give up, download).

use std::sync::Arc;

use app::{Action, Target};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use minijinja::context;
use model::entry::Entry;
use model::parcel::{Run, RunState};

use crate::console::{PAGE, done, next_link};
use crate::form::Posted;
use crate::site::attachment;
use crate::view::value;
use crate::visit::{Visit, encode};
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/runs", get(list))
        .route("/console/runs/{id}", get(detail))
        .route("/console/runs/{id}/progress", get(progress))
        .route("/console/runs/{id}/quarantine.csv", get(quarantine_csv))
        .route("/console/runs/{id}/quarantine/{row}", post(mend))
        .route("/console/runs/{id}/quarantine/{row}/dismiss", post(dismiss))
        .route("/console/runs/{id}/replay", post(replay))
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let state = visit.q("state").and_then(RunState::parse);
    let day = visit.q("day").and_then(|d| d.parse().ok());
    let which = app::collection::Which {
        entry: visit.q("entry"),
        state,
        day,
        ..app::collection::Which::default()
    };
    let page =
        app::collection::runs_where(&door.app, &visit.op, &which, visit.q("after"), PAGE).await?;
    let entry = match visit.q("entry") {
        Some(id) => Some(app::catalogue::get(&door.app, &visit.op, id).await?),
        None => None,
    };
    let live = page.items.iter().any(running);
    let context = context! {
        runs => value(&page.items), entry => value(&entry), live, state => state.map(RunState::as_str),
        day => day.map(|d: chrono::NaiveDate| d.to_string()),
        next => next_link(&visit, "after", page.next.as_deref()),
    };
    door.page(&visit, "console/runs.html", context).await
}

fn running(run: &Run) -> bool {
    matches!(run.state, RunState::Queued | RunState::Running)
}

/// Whole per cent of the source read; `None` when its size is not known.
fn percent(run: &Run) -> Option<u64> {
    match run.state {
        RunState::Succeeded | RunState::Unchanged => Some(100),
        _ => (run.bytes_done.min(run.bytes_total) * 100).checked_div(run.bytes_total),
    }
}

async fn detail(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let run = app::collection::run(app, op, &id).await?;
    let entry = app::catalogue::get(app, op, &run.entry).await?;
    let target = Target::entry(&entry);
    let may_see = app.may(op, Action::QuarantineRead, &target);
    let (rows, next) = if may_see && run.quarantined > 0 {
        let page = app::collection::quarantine(app, op, &id, visit.q("after"), PAGE).await?;
        (page.items, page.next)
    } else {
        (Vec::new(), None)
    };
    let context = context! {
        run => value(&run), live => running(&run), percent => percent(&run),
        entry => value(&entry), columns => columns(&entry, &visit),
        rows => value(&rows), may_see,
        may_mend => app.may(op, Action::QuarantineMend, &target),
        may_apply => rows.iter().any(|r| r.state == "open"),
        next => next_link(&visit, "after", next.as_deref()), after => visit.q("after"),
        again => app::collection::may_retry(app, op, &run).await?,
        done => visit.q("done"),
    };
    door.page(&visit, "console/run.html", context).await
}

/// Names of the cells, in the order of the items.
pub(super) fn columns(entry: &Entry, visit: &Visit) -> Vec<minijinja::Value> {
    let named = |i: &model::item::Item| {
        let name = visit.t(&i.name_cn, if i.name_en.is_empty() { &i.name_cn } else { &i.name_en });
        context! { identifier => &i.identifier, name }
    };
    entry.draft.items.iter().map(named).collect()
}

async fn progress(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let run = app::collection::run(&door.app, &visit.op, &id).await?;
    let live = running(&run);
    let context = context! { run => value(&run), live, percent => percent(&run) };
    let mut response = door.page(&visit, "console/progress.html", context).await?;
    if !live {
        // The run has ended: the whole page shows the outcome and the quarantine.
        response.headers_mut().insert("hx-refresh", axum::http::HeaderValue::from_static("true"));
    }
    Ok(response)
}

async fn quarantine_csv(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
) -> Answer {
    let pieces = app::collection::quarantine_csv(&door.app, &visit.op, &id).await?;
    let head = attachment(&format!("quarantine-{id}.csv"), "text/csv; charset=utf-8");
    Ok((head, Body::from_stream(pieces)).into_response())
}

async fn mend(
    State(door): State<Arc<Door>>,
    Path((id, row)): Path<(String, String)>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let (cells, operation) = (cells_of(&posted), operation_of(&posted));
    app::collection::mend(&door.app, &visit.op, &row, cells, operation).await?;
    done(&back(&id, &posted), "mended")
}

/// The cells of a mended row.
pub(super) fn cells_of(posted: &Posted) -> Vec<Option<String>> {
    let mut cells = Vec::new();
    for n in 0_usize.. {
        let name = format!("cell-{n}");
        if !posted.names().any(|k| k == name) {
            break;
        }
        // An emptied field is a missing value.
        cells.push(Some(posted.raw(&name).to_owned()).filter(|c| !c.is_empty()));
    }
    cells
}

/// Its operation: only a source that told operations has the field.
pub(super) fn operation_of(posted: &Posted) -> Option<String> {
    posted.names().any(|k| k == "operation").then(|| posted.raw("operation").to_owned())
}

async fn dismiss(
    State(door): State<Arc<Door>>,
    Path((id, row)): Path<(String, String)>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    app::collection::dismiss(&door.app, &visit.op, &row, posted.get("reason")).await?;
    done(&back(&id, &posted), "dismissed")
}

/// The page of the list the person was on.
fn back(run: &str, posted: &Posted) -> String {
    match posted.get("after") {
        "" => format!("/console/runs/{run}"),
        after => format!("/console/runs/{run}?after={}", encode(after)),
    }
}

async fn replay(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    let run = app::collection::replay(&door.app, &visit.op, &id).await?;
    done(&format!("/console/runs/{}", run.id), "replayed")
}
