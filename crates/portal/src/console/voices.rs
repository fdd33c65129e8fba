//! Moderation: comments on data sets of my organisation or region, and what was made of open data and awaits the authority.

use std::sync::Arc;

use app::voice;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use minijinja::context;
use model::Error;
use model::voice::showcase::ShowcaseState;

use crate::console::{PAGE, done, next_link};
use crate::form::Posted;
use crate::site::interact::word;
use crate::site::opinion::wanted;
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/comments", get(comments))
        .route("/console/comments/{id}", post(moderate))
        .route("/console/showcases", get(showcases))
        .route("/console/showcases/{id}", post(review))
}

async fn comments(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let reported = visit.q("view") != Some("all");
    let before = visit.q("before");
    let page = voice::comment_desk(&door.app, &visit.op, reported, before, PAGE).await?;
    let context = context! {
        rows => value(&page.items), reported, done => visit.q("done"),
        next => next_link(&visit, "before", page.next.as_deref()),
    };
    door.page(&visit, "console/comments.html", context).await
}

async fn moderate(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let hide = match wanted(&posted)? {
        "report" => {
            return Err(Error::invalid("请选择隐藏或恢复", "choose to hide or to show it").into());
        }
        word => word == "hide",
    };
    voice::moderate(&door.app, &visit.op, &id, hide, posted.get("reason")).await?;
    done("/console/comments?view=all", if hide { "hide" } else { "show" })
}

async fn showcases(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let all = visit.q("state") == Some("all");
    let state = word(ShowcaseState::ALL, ShowcaseState::as_str, visit.q("state"));
    let state = if all { None } else { Some(state.unwrap_or(ShowcaseState::Waiting)) };
    let before = visit.q("before");
    let page = voice::showcase_desk(&door.app, &visit.op, state, before, PAGE).await?;
    let context = context! {
        rows => value(&page.items), state => state.map_or("all", ShowcaseState::as_str),
        done => visit.q("done"), next => next_link(&visit, "before", page.next.as_deref()),
    };
    door.page(&visit, "console/showcases.html", context).await
}

async fn review(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let show = match posted.get("do") {
        "show" => true,
        "refuse" => false,
        _ => return Err(Error::invalid("请选择展示或不展示", "choose to show it or not").into()),
    };
    voice::review(&door.app, &visit.op, &id, show, posted.get("reason")).await?;
    done("/console/showcases", if show { "show" } else { "refuse" })
}
