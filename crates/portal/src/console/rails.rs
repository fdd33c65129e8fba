//! The real-time rail in the console: the list with lag, rate and log held back; making one from a stored source; one rail
//! live, with what happened to it and what a person can do.

use std::sync::Arc;

use app::rail::{self, RailView};
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use minijinja::{Value, context};
use model::entry::EntryFilter;
use model::rail::{RailNew, RailPolicy, RailState, RailWish};
use model::{Error, Kind};

use crate::console::{PAGE, done, next_link};
use crate::fault::mendable;
use crate::form::Posted;
use crate::view::value;
use crate::visit::{Visit, encode};
use crate::{Answer, Door};

/// Tables of one form.
const TABLES: usize = 500;
/// Entries offered while typing.
const OFFERED: u32 = 200;

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/rails", get(list).post(create))
        .route("/console/rails/new", get(new_page))
        .route("/console/rails/{id}", get(one))
        .route("/console/rails/{id}/figures", get(figures))
        .route("/console/rails/{id}/pause", post(pause))
        .route("/console/rails/{id}/resume", post(resume))
        .route("/console/rails/{id}/heal", post(heal))
        .route("/console/rails/{id}/remove", post(remove))
}

fn row(view: &RailView) -> Value {
    let tables = &view.tables;
    context! {
        rail => value(view), waits => view.waits(), live => live(view),
        lag => tables.iter().map(|t| t.figures.lag_ms).max().unwrap_or(0),
        landed => tables.iter().map(|t| t.figures.landed).sum::<u64>(),
        quarantined => tables.iter().map(|t| t.figures.quarantined).sum::<u64>(),
        resumable => view.rail.wish == RailWish::Pause,
    }
}

/// Whether its figures move.
fn live(view: &RailView) -> bool {
    view.rail.wish == RailWish::Run || view.figures.state == RailState::Streaming
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let page = rail::list(&door.app, &visit.op, visit.q("after"), PAGE).await?;
    let sources = app::collection::source::list(&door.app, &visit.op).await?;
    let rails: Vec<Value> = page.items.iter().map(row).collect();
    let context = context! {
        rails, sources => value(&sources), done => visit.q("done"),
        next => next_link(&visit, "after", page.next.as_deref()),
    };
    door.page(&visit, "console/rails.html", context).await
}

async fn new_page(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let source = visit.q("source").unwrap_or_default().to_owned();
    show_new(&door, &visit, &source, None, None).await
}

/// Tables of a source with the entries they may go to.
async fn show_new(
    door: &Door,
    visit: &Visit,
    source: &str,
    posted: Option<&Posted>,
    error: Option<Error>,
) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let source = app::collection::source::get(app, op, source).await?;
    let (survey, error) = match rail::survey(app, op, &source.id).await {
        Ok(survey) => (survey, error),
        Err(e) if mendable(&e) => (Default::default(), Some(error.unwrap_or(e))),
        Err(e) => return Err(e.into()),
    };
    let filter =
        EntryFilter { org: Some(source.org.clone()), limit: OFFERED, ..EntryFilter::default() };
    let entries = app::catalogue::list(app, op, &filter).await?.items;
    let tables: Vec<Value> = survey
        .tables
        .iter()
        .enumerate()
        .map(|(n, table)| {
            let name = table.place.split_once('.').map_or("", |(_, name)| name);
            let same = entries.iter().find(|e| e.draft.code == name);
            let said = posted.map(|p| p.get(&format!("entry-{n}")).to_owned());
            context! {
                place => &table.place, rows => table.rows, columns => table.columns.len(),
                entry => said.unwrap_or_else(|| same.map(|e| e.draft.code.clone()).unwrap_or_default()),
                notes => words(visit, &table.notes),
            }
        })
        .collect();
    let get = |name: &str, or: &str| {
        posted.map(|p| p.get(name).to_owned()).unwrap_or_else(|| or.to_owned())
    };
    let context = context! {
        source => value(&source), server => &survey.server, tables,
        troubles => words(visit, &survey.faults),
        offered => entries.iter().map(|e| context! { code => &e.draft.code, title => &e.draft.title }).collect::<Vec<_>>(),
        form => context! {
            name => get("name", &source.name), policy => get("policy", RailPolicy::Hold.as_str()),
            slot => get("slot", ""), publication => get("publication", ""),
        },
        error => error.as_ref().map(|e| visit.t(e.zh(), e.en())),
        code => error.as_ref().map(|e| e.code().as_str()),
        fields => value(error.as_ref().map(Error::fields).unwrap_or_default()),
    };
    door.page_with(visit, "console/rail_new.html", context, error).await
}

/// Sentences in the visitor's language.
fn words(visit: &Visit, pairs: &[(String, String)]) -> Vec<String> {
    pairs.iter().map(|(zh, en)| visit.t(zh, en).to_owned()).collect()
}

async fn create(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    let mut tables = Vec::new();
    for n in 0..TABLES {
        let place = posted.get(&format!("place-{n}"));
        if place.is_empty() {
            break;
        }
        let entry = posted.get(&format!("entry-{n}"));
        if !entry.is_empty() {
            tables.push((place.to_owned(), entry.to_owned()));
        }
    }
    let new = RailNew {
        name: posted.get("name").to_owned(),
        source: posted.get("source").to_owned(),
        tables,
        policy: RailPolicy::parse(posted.get("policy")),
        alarm_bytes: None,
        ceiling_bytes: None,
        slot: posted.get("slot").to_owned(),
        publication: posted.get("publication").to_owned(),
    };
    let source = new.source.clone();
    match rail::create(&door.app, &visit.op, new).await {
        Ok(made) => done(&format!("/console/rails/{}", made.rail.id), "created"),
        Err(e)
            if mendable(&e) || (e.kind() == Kind::NotFound && !posted.get("name").is_empty()) =>
        {
            show_new(&door, &visit, &source, Some(&posted), Some(e)).await
        }
        Err(e) => Err(e.into()),
    }
}

async fn one(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let view = rail::get(&door.app, &visit.op, &id).await?;
    let incidents = rail::incidents(&door.app, &visit.op, &id, visit.q("before"), PAGE).await?;
    let context = context! {
        row => row(&view), incidents => value(&incidents.items), done => visit.q("done"),
        next => next_link(&visit, "before", incidents.next.as_deref()),
        oversight => super::oversight::of_rail(&door, &visit, &view).await?, rail_id => &id,
    };
    door.page(&visit, "console/rail.html", context).await
}

async fn figures(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let view = rail::get(&door.app, &visit.op, &id).await?;
    door.page(&visit, "console/rail_figures.html", context! { row => row(&view) }).await
}

fn back(id: &str, word: &str) -> Answer {
    done(&format!("/console/rails/{}", encode(id)), word)
}

async fn pause(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    rail::pause(&door.app, &visit.op, &id).await?;
    back(&id, "paused")
}

async fn resume(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    rail::resume(&door.app, &visit.op, &id).await?;
    back(&id, "resumed")
}

async fn heal(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let table = Some(posted.get("table")).filter(|t| !t.is_empty());
    rail::heal(&door.app, &visit.op, &id, table).await?;
    back(&id, "healing")
}

async fn remove(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    rail::remove(&door.app, &visit.op, &id, posted.get("force") == "1").await?;
    done("/console/rails", "removed")
}
