//! The map of channels in the console: every way in and the way back, from its source to its entry.

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
    Router::new().route("/console/channels", get(map))
}

async fn map(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let page = app::channel::list(&door.app, &visit.op, visit.q("after"), PAGE).await?;
    let context = context! {
        channels => value(&page.items),
        next => next_link(&visit, "after", page.next.as_deref()),
    };
    door.page(&visit, "console/channels.html", context).await
}
