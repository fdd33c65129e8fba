//! The control pages: the house in figures, charts and tables, the wall screen, and the rows behind the numbers.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use minijinja::context;
use model::code::UpdateCycle;

use crate::console::{PAGE, next_link};
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/control", get(page))
        .route("/console/control/wall", get(wall))
        .route("/console/control/calls", get(calls))
        .route("/console/control/stale", get(stale))
        .route("/console/control/sources", get(sources))
}

async fn page(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let board = app::control::board(&door.app, &visit.op).await?;
    door.page(&visit, "console/control.html", context! { board => value(&*board) }).await
}

async fn wall(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let board = app::control::board(&door.app, &visit.op).await?;
    door.page(&visit, "console/wall.html", context! { board => value(&*board) }).await
}

async fn calls(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let (year, region) = (visit.q("span") == Some("year"), visit.q("region"));
    let page =
        app::control::callers(&door.app, &visit.op, year, region, visit.q("after"), PAGE).await?;
    let context = context! {
        rows => value(&page.items), year, region,
        next => next_link(&visit, "after", page.next.as_deref()),
    };
    door.page(&visit, "console/control_calls.html", context).await
}

async fn stale(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let cycle = visit.q("cycle").filter(|c| UpdateCycle::ALL.iter().any(|u| u.as_str() == *c));
    let org = visit.q("org");
    let page =
        app::control::stale(&door.app, &visit.op, cycle, org, visit.q("after"), PAGE).await?;
    let context = context! {
        rows => value(&page.items), cycle, org,
        next => next_link(&visit, "after", page.next.as_deref()),
    };
    door.page(&visit, "console/control_stale.html", context).await
}

async fn sources(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let rows = app::control::failing_sources(&door.app, &visit.op).await?;
    door.page(&visit, "console/control_sources.html", context! { rows => value(&rows) }).await
}
