//! Entries from a department's database: the tables of a source, drafting entries from those chosen, looking again, and
//! what to do with a table that changed.

use std::sync::Arc;

use app::catalogue::schema::{self, DraftOrder};
use app::{Action, Target};
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use minijinja::context;
use model::code::UpdateCycle;
use model::schema::{DriftState, TableName};
use model::{Error, Kind};

use crate::console::{PAGE, done, next_link};
use crate::form::Posted;
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/sources/{id}/tables", get(tables).post(draft))
        .route("/console/sources/{id}/drift", post(look))
        .route("/console/drifts", get(list))
        .route("/console/drifts/{id}", get(one))
        .route("/console/drifts/{id}/take", post(take))
        .route("/console/drifts/{id}/dismiss", post(dismiss))
}

async fn tables(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let source = app::collection::source::get(app, op, &id).await?;
    let (survey, error) = match schema::survey(app, op, &id, visit.q("q"), visit.q("after")).await {
        Ok(survey) => (Some(survey), None),
        // A database that does not answer is told on the page it was asked from.
        Err(e) if matches!(e.kind(), Kind::Unavailable | Kind::Invalid) => (None, Some(e)),
        Err(e) => return Err(e.into()),
    };
    door.names.refresh(app).await;
    let names = door.names.get();
    let region = names.orgs.iter().find(|o| o.id == source.org).map(|o| o.region.clone());
    let target = Target { kind: "Entry", org: Some(source.org.clone()), ..Target::default() };
    let context = context! {
        source => value(&source), survey => value(&survey), q => visit.q("q"), drafted => value(None::<()>),
        next => next_link(&visit, "after", survey.as_ref().and_then(|s| s.next.as_deref())),
        regions => value(&names.regions), region, may_compile => app.may(op, Action::EntryCompile, &target),
        most => app.rules.catalogue.size.tables,
        error => error.as_ref().map(|e| visit.t(e.zh(), e.en())),
        code => error.as_ref().map(|e| e.code().as_str()),
    };
    door.page(&visit, "console/source_tables.html", context).await
}

async fn draft(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let source = app::collection::source::get(app, op, &id).await?;
    let cycle = UpdateCycle::parse(posted.get("update_cycle"))
        .ok_or_else(|| Error::invalid("请选择更新周期", "choose the update cycle"))?;
    let order = DraftOrder {
        source: id,
        tables: posted.all("table").filter_map(TableName::parse).collect(),
        region: posted.get("region").to_owned(),
        update_cycle: cycle,
        share_condition: posted.get("share_condition").to_owned(),
        application: Some(posted.get("application").to_owned()),
    };
    let drafted = schema::draft(app, op, &order).await?;
    let context = context! {
        source => value(&source), survey => value(None::<()>), drafted => value(&drafted),
        made => drafted.iter().filter(|d| d.done).count(), q => None::<String>, next => None::<String>,
        error => None::<String>, code => None::<String>,
    };
    door.page(&visit, "console/source_tables.html", context).await
}

async fn look(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    let looked = schema::look(&door.app, &visit.op, &id).await?;
    show(&door, &visit, Some(&looked)).await
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    show(&door, &visit, None).await
}

async fn show(door: &Door, visit: &Visit, looked: Option<&schema::Looked>) -> Answer {
    let state = match visit.q("state") {
        Some("all") => None,
        word => word.and_then(DriftState::parse).or(Some(DriftState::Open)),
    };
    let page = schema::drifts(&door.app, &visit.op, state, visit.q("after"), PAGE).await?;
    let context = context! {
        drifts => value(&page.items), next => next_link(visit, "after", page.next.as_deref()),
        state => state.map_or("all", DriftState::as_str), looked => value(looked), done => visit.q("done"),
    };
    door.page(visit, "console/drifts.html", context).await
}

async fn one(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    page(&door, &visit, &id, None).await
}

async fn page(door: &Door, visit: &Visit, id: &str, error: Option<&Error>) -> Answer {
    let seen = schema::drift(&door.app, &visit.op, id).await?;
    let context = context! {
        drift => value(&seen.drift), mine => seen.mine, done => visit.q("done"),
        error => error.map(|e| visit.t(e.zh(), e.en())),
        code => error.map(|e| e.code().as_str()),
        fields => value(error.map(Error::fields).unwrap_or_default()),
    };
    let mut response = door.page(visit, "console/drift.html", context).await?;
    if let Some(error) = error {
        *response.status_mut() = axum::http::StatusCode::from_u16(error.code().status())
            .unwrap_or(axum::http::StatusCode::BAD_REQUEST);
    }
    Ok(response)
}

async fn take(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let chosen: Vec<usize> = posted.all("change").filter_map(|n| n.parse().ok()).collect();
    match schema::take(&door.app, &visit.op, &id, &chosen, posted.get("seen")).await {
        Ok(entry) => done(&format!("/console/entries/{}", entry.id), "saved"),
        Err(e) if matches!(e.kind(), Kind::Invalid | Kind::Conflict) => {
            page(&door, &visit, &id, Some(&e)).await
        }
        Err(e) => Err(e.into()),
    }
}

async fn dismiss(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let (reason, seen) = (posted.get("reason"), posted.get("seen"));
    match schema::dismiss(&door.app, &visit.op, &id, reason, seen).await {
        Ok(()) => done("/console/drifts", "settled"),
        Err(e) if matches!(e.kind(), Kind::Invalid | Kind::Conflict) => {
            page(&door, &visit, &id, Some(&e)).await
        }
        Err(e) => Err(e.into()),
    }
}
