//! The workbench: what awaits me, what I asked for, what ran lately; and the review queue.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use minijinja::context;
use model::entry::EntryFilter;

use crate::console::{PAGE, next_link, or_empty};
use crate::view::{staff, value};
use crate::visit::Visit;
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new().route("/console", get(desk)).route("/console/review", get(review))
}

async fn desk(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let inbox = or_empty(app::sharing::inbox(&door.app, &visit.op).await)?;
    let runs = if staff(&visit.op) {
        or_empty(app::collection::runs(&door.app, &visit.op, None, None, 8).await.map(|p| p.items))?
    } else {
        Vec::new()
    };
    let mine = if staff(&visit.op) {
        let filter = EntryFilter {
            org: visit.session()?.user.org.clone(),
            limit: 8,
            ..EntryFilter::default()
        };
        or_empty(app::catalogue::list(&door.app, &visit.op, &filter).await.map(|p| p.items))?
    } else {
        Vec::new()
    };
    let tasks = app::approval::tasks(&door.app, &visit.op, None, 8).await?;
    let context = context! {
        tasks => value(&tasks.items), inbox => value(&inbox), runs => value(&runs), entries => value(&mine),
    };
    door.page(&visit, "console/desk.html", context).await
}

async fn review(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let filter = EntryFilter {
        auditing: true,
        after: visit.q("after").map(str::to_owned),
        limit: PAGE,
        ..EntryFilter::default()
    };
    let page = app::catalogue::list(&door.app, &visit.op, &filter).await?;
    let rows: Vec<_> = page
        .items
        .iter()
        .map(|entry| {
            context! {
                entry => value(entry),
                moves => value(app::catalogue::moves(&door.app, &visit.op, entry)),
            }
        })
        .collect();
    let context = context! {
        rows, next => next_link(&visit, "after", page.next.as_deref()), done => visit.q("done"),
    };
    door.page(&visit, "console/review.html", context).await
}
