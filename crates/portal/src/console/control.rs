//! The control page: the house in figures and tables; every number is a link to the rows behind it.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use minijinja::context;

use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new().route("/console/control", get(page))
}

async fn page(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let board = app::control::board(&door.app, &visit.op).await?;
    let context = context! { board => value(&board) };
    door.page(&visit, "console/control.html", context).await
}
