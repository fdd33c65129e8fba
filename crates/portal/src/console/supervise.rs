//! Pages of those who watch over the house: the security officer's rules in force, the administrator's overview.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use minijinja::context;

use crate::console::{PAGE, next_link};
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new().route("/console/security", get(security)).route("/console/system", get(system))
}

async fn security(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let rules = app::security::in_force(&door.app, &visit.op).await?;
    let limit = usize::try_from(PAGE).unwrap_or(50);
    let page = app::security::declared(&door.app, &visit.op, visit.q("after"), limit).await?;
    let context = context! {
        rules => value(&rules), declared => value(&page.items),
        next => next_link(&visit, "after", page.next.as_deref()),
    };
    door.page(&visit, "console/security.html", context).await
}

async fn system(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let overview = app::overview::overview(&door.app, &visit.op).await?;
    let context = context! { overview => value(&overview) };
    door.page(&visit, "console/system.html", context).await
}
