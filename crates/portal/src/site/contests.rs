//! 开放大赛: contests with their rounds, works and awards; forming a team, joining one, entering works.

use std::sync::Arc;

use app::contest::{self, WorkNew};
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use minijinja::context;
use model::news::blocks;
use model::{Error, Kind};

use crate::console::{done, next_link};
use crate::form::Posted;
use crate::site::interact::may_write;
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

/// Contests of one page.
const PAGE: u32 = 20;

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/contests", get(list))
        .route("/contests/{id}", get(show))
        .route("/contests/{id}/teams", post(form))
        .route("/contests/{id}/join", post(join))
        .route("/contests/{id}/leave", post(leave))
        .route("/contests/{id}/invitation", post(renew))
        .route("/contests/{id}/works", post(enter))
        .route("/contests/{id}/works/{work}/showcase", post(showcase))
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let before = visit.q("before");
    let page = contest::contests(&door.app, &visit.op, before, PAGE).await?;
    let context = context! {
        rows => value(&page.items), first => before.is_some(), today => visit.op.today().to_string(),
        next => next_link(&visit, "before", page.next.as_deref()),
    };
    door.page(&visit, "site/contests.html", context).await
}

async fn show(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    page(&door, &visit, &id, None, None).await
}

/// The page, with an invitation code that was just made or what was wrong with a form.
async fn page(
    door: &Door,
    visit: &Visit,
    id: &str,
    code: Option<String>,
    wrong: Option<&Error>,
) -> Answer {
    let seen = contest::contest(&door.app, &visit.op, id, false).await?;
    let of = &seen.contest;
    let text = visit.t(&of.text, if of.text_en.is_empty() { &of.text } else { &of.text_en });
    let context = context! {
        view => value(&seen), contest => value(of), blocks => value(blocks(text)), code,
        done => visit.q("done"),
        error => wrong.map(|e| visit.t(e.zh(), e.en()).to_owned()),
        fields => value(wrong.map(Error::fields).unwrap_or_default()),
    };
    door.page_with(visit, "site/contest.html", context, wrong).await
}

/// The page again, with what was wrong, for faults that its forms can mend.
async fn again(door: &Door, visit: &Visit, id: &str, error: Error) -> Answer {
    match error.kind() {
        Kind::Invalid | Kind::Conflict => page(door, visit, id, None, Some(&error)).await,
        _ => Err(error.into()),
    }
}

async fn form(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    may_write(&visit)?;
    match contest::form(&door.app, &visit.op, &id, posted.get("name")).await {
        Ok((_, code)) => page(&door, &visit, &id, Some(code), None).await,
        Err(error) => again(&door, &visit, &id, error).await,
    }
}

async fn join(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    may_write(&visit)?;
    match contest::join(&door.app, &visit.op, &id, posted.get("code")).await {
        Ok(_) => done(&format!("/contests/{id}"), "joined"),
        Err(error) => again(&door, &visit, &id, error).await,
    }
}

async fn leave(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    may_write(&visit)?;
    contest::leave(&door.app, &visit.op, &id).await?;
    done(&format!("/contests/{id}"), "left")
}

async fn renew(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    may_write(&visit)?;
    let (_, code) = contest::renew(&door.app, &visit.op, &id).await?;
    page(&door, &visit, &id, Some(code), None).await
}

async fn enter(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    may_write(&visit)?;
    let new = WorkNew {
        track: posted.get("track").parse().unwrap_or(usize::MAX),
        title: posted.get("title").to_owned(),
        text: posted.get("text").to_owned(),
        link: posted.get("link").to_owned(),
        sets: posted.get("sets").lines().map(str::to_owned).collect(),
    };
    match contest::enter(&door.app, &visit.op, &id, new).await {
        Ok(_) => done(&format!("/contests/{id}"), "entered"),
        Err(error) => again(&door, &visit, &id, error).await,
    }
}

async fn showcase(
    State(door): State<Arc<Door>>,
    Path((id, work)): Path<(String, String)>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    may_write(&visit)?;
    match contest::to_showcase(&door.app, &visit.op, &id, &work).await {
        Ok(showcase) => done(&format!("/showcase/{}", showcase.id), "handed"),
        Err(error) => again(&door, &visit, &id, error).await,
    }
}
