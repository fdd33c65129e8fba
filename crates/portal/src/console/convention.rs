//! The older calling convention: whether it is served, the switch, and what is weak about it.

use std::sync::Arc;

use app::account;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use minijinja::context;

use crate::console::done;
use crate::form::Posted;
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new().route("/console/convention", get(page).post(set))
}

async fn page(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let view = account::convention(&door.app, &visit.op).await?;
    let rules = &door.app.rules.interface.convention;
    let context = context! {
        c => value(&view), gateway => door.gateway(&visit), done => visit.q("done"),
        hours => rules.refresh_hours, minutes => rules.request_minutes, window => rules.window_seconds,
        most => rules.calls_per_second,
    };
    door.page(&visit, "console/convention.html", context).await
}

async fn set(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    let decided = match posted.get("decided") {
        "configured" => "",
        other => other,
    };
    if posted.get("decided").is_empty() {
        return Err(model::Error::invalid("请选择", "choose one").into());
    }
    account::convention_set(&door.app, &visit.op, decided).await?;
    done("/console/convention", "saved")
}
