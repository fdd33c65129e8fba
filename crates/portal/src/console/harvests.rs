//! Harvest (采集目录) in the console: the sources, keeping one, its turns, and the report of a turn with what could not be taken.

use std::sync::Arc;

use app::harvest::{self, HarvestView};
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use minijinja::context;
use model::Error;
use model::harvest::{HarvestAs, HarvestKind, HarvestNew, HarvestSource};

use crate::console::{PAGE, done, next_link};
use crate::fault::mendable;
use crate::form::Posted;
use crate::view::value;
use crate::visit::{Visit, encode};
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/harvests", get(list).post(create))
        .route("/console/harvests/new", get(new_page))
        .route("/console/harvests/{id}", get(one))
        .route("/console/harvests/{id}/edit", get(edit_page).post(edit))
        .route("/console/harvests/{id}/run", post(run))
        .route("/console/harvests/{id}/pause", post(pause))
        .route("/console/harvests/{id}/resume", post(resume))
        .route("/console/harvests/{id}/turns/{turn}", get(report))
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let page = harvest::list(app, op, visit.q("after"), PAGE).await?;
    let context = context! {
        rows => value(&page.items), keeps => harvest::may_keep(app, op), done => visit.q("done"),
        next => next_link(&visit, "after", page.next.as_deref()),
    };
    door.page(&visit, "console/harvests.html", context).await
}

fn blank() -> HarvestNew {
    HarvestNew {
        name: String::new(),
        kind: HarvestKind::Ckan,
        url: String::new(),
        org: String::new(),
        region: String::new(),
        cron: "30 2 * * *".to_owned(),
        becomes: HarvestAs::Draft,
    }
}

fn of(source: &HarvestSource) -> HarvestNew {
    HarvestNew {
        name: source.name.clone(),
        kind: source.kind,
        url: source.url.clone(),
        org: source.org.clone(),
        region: source.region.clone(),
        cron: source.cron.clone(),
        becomes: source.becomes,
    }
}

fn asked(posted: &Posted) -> HarvestNew {
    HarvestNew {
        name: posted.get("name").to_owned(),
        kind: HarvestKind::parse(posted.get("kind")).unwrap_or(HarvestKind::Ckan),
        url: posted.get("url").to_owned(),
        org: posted.get("org").to_owned(),
        region: posted.get("region").to_owned(),
        cron: posted.get("cron").to_owned(),
        becomes: HarvestAs::parse(posted.get("becomes")).unwrap_or(HarvestAs::Draft),
    }
}

/// The form of a new source, or of `id`.
async fn form(
    door: &Door,
    visit: &Visit,
    new: &HarvestNew,
    id: Option<&str>,
    error: Option<Error>,
) -> Answer {
    let choices = harvest::sources(&door.app, &visit.op).await?;
    let context = context! {
        form => value(new), id, orgs => value(&choices.orgs), regions => value(&choices.regions),
        error => error.as_ref().map(|e| visit.t(e.zh(), e.en())),
        code => error.as_ref().map(|e| e.code().as_str()),
        fields => value(error.as_ref().map(Error::fields).unwrap_or_default()),
    };
    door.page_with(visit, "console/harvest_form.html", context, error).await
}

async fn new_page(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    form(&door, &visit, &blank(), None, None).await
}

async fn create(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    let new = asked(&posted);
    match harvest::create(&door.app, &visit.op, &new).await {
        Ok(source) => back(&source.id, "created"),
        Err(e) if mendable(&e) => form(&door, &visit, &new, None, Some(e)).await,
        Err(e) => Err(e.into()),
    }
}

async fn edit_page(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let view = harvest::get(&door.app, &visit.op, &id).await?;
    form(&door, &visit, &of(&view.source), Some(&id), None).await
}

async fn edit(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let new = asked(&posted);
    match harvest::edit(&door.app, &visit.op, &id, &new).await {
        Ok(source) => back(&source.id, "saved"),
        Err(e) if mendable(&e) => form(&door, &visit, &new, Some(&id), Some(e)).await,
        Err(e) => Err(e.into()),
    }
}

fn back(id: &str, word: &str) -> Answer {
    done(&format!("/console/harvests/{}", encode(id)), word)
}

async fn one(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let HarvestView { source, turn } = harvest::get(app, op, &id).await?;
    let turns = harvest::turns(app, op, &id, visit.q("before"), 0).await?;
    let context = context! {
        it => value(&source), open => turn.as_ref().is_some_and(|t| t.finished_at.is_none()),
        stopped => turn.as_ref().is_some_and(|t| t.state == model::harvest::HarvestState::Stopped),
        turns => value(&turns.items), keeps => harvest::may_keep(app, op), done => visit.q("done"),
        next => next_link(&visit, "before", turns.next.as_deref()),
    };
    door.page(&visit, "console/harvest.html", context).await
}

async fn report(
    State(door): State<Arc<Door>>,
    Path((id, turn)): Path<(String, String)>,
    visit: Visit,
) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let source = harvest::get(app, op, &id).await?.source;
    let told = harvest::report(app, op, &id, &turn).await?;
    let refused = harvest::refusals(app, op, &id, &turn, visit.q("after"), PAGE).await?;
    let context = context! {
        it => value(&source), turn => value(&told), refused => value(&refused.items),
        next => next_link(&visit, "after", refused.next.as_deref()),
    };
    door.page(&visit, "console/harvest_report.html", context).await
}

async fn run(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let how = (posted.ticked("whole"), posted.ticked("accepts_loss"));
    harvest::run(&door.app, &visit.op, &id, how).await?;
    back(&id, "begun")
}

async fn pause(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    harvest::pause(&door.app, &visit.op, &id).await?;
    back(&id, "closed")
}

async fn resume(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    harvest::resume(&door.app, &visit.op, &id).await?;
    back(&id, "opened")
}
