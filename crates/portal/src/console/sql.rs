//! SQL of an application: where to connect, its password, its tables, what it has run. A password is shown once.

use std::sync::Arc;

use app::wire::{self, SqlSecret};
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use minijinja::context;

use crate::console::done;
use crate::form::Posted;
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/applications/{id}/sql", get(show))
        .route("/console/applications/{id}/sql/password", post(make))
        .route("/console/applications/{id}/sql/close", post(close))
}

async fn show(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    page(&door, &visit, &id, None).await
}

async fn page(door: &Door, visit: &Visit, id: &str, secret: Option<&SqlSecret>) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let application = app::account::application(app, op, id).await?;
    let may_manage = wire::may_manage(app, op, &application);
    let sql = wire::view(app, op, id).await?;
    let statements = match may_manage {
        true => Some(wire::statements(app, op, id, visit.q("before"), 20).await?),
        false => None,
    };
    let address = &door.config.sql_address;
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "5432"));
    let context = context! {
        application => value(&application), sql => value(&sql), may_manage, host, port,
        statements => value(statements), secret => value(secret), done => visit.q("done"),
    };
    door.page(visit, "console/application_sql.html", context).await
}

async fn make(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    let secret = wire::make_password(&door.app, &visit.op, &id).await?;
    page(&door, &visit, &id, Some(&secret)).await
}

async fn close(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    wire::remove_password(&door.app, &visit.op, &id).await?;
    done(&format!("/console/applications/{id}/sql"), "closed")
}
