//! 应用成果: what was made of open data, linked both ways with the data sets; the form to hand something in.

use std::sync::Arc;

use app::voice;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use minijinja::context;
use model::voice::showcase::{MOST_ENTRIES, MOST_LINKS, ShowcaseKind, ShowcaseNew};
use model::{Error, Kind};

use crate::console::{done, next_link};
use crate::form::Posted;
use crate::site::city::kept;
use crate::site::interact::{may_write, word};
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

/// Showcases of one page.
const PAGE: u32 = 20;

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/showcase", get(list))
        .route("/showcase/new", get(blank).post(submit))
        .route("/showcase/{id}", get(show))
        .route("/showcase/{id}/end", post(end))
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let before = visit.q("before");
    let page = voice::showcases(&door.app, &visit.op, visit.q("region"), before, PAGE).await?;
    let context = context! {
        rows => value(&page.items), first => before.is_some(),
        next => next_link(&visit, "before", page.next.as_deref()),
    };
    door.page(&visit, "site/showcase.html", context).await
}

async fn blank(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let new = ShowcaseNew {
        entries: visit.q("code").map(str::to_owned).into_iter().collect(),
        author: visit.session.as_ref().map(|s| s.user.display_name.clone()).unwrap_or_default(),
        ..ShowcaseNew::default()
    };
    form(&door, &visit, &new, None).await
}

async fn form(door: &Door, visit: &Visit, new: &ShowcaseNew, wrong: Option<&Error>) -> Answer {
    let longest = &door.app.rules.voice.longest;
    let context = context! {
        form => value(new), links => new.links.join("\n"), codes => new.entries.join("\n"),
        most_links => MOST_LINKS, most_entries => MOST_ENTRIES,
        longest => context! { title => longest.title, text => longest.text, author => longest.contact },
        error => wrong.map(|e| visit.t(e.zh(), e.en()).to_owned()),
        fields => value(wrong.map(Error::fields).unwrap_or_default()),
    };
    let mut response = door.page(visit, "site/showcase_new.html", context).await?;
    if wrong.is_some() {
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    Ok(response)
}

async fn submit(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    may_write(&visit)?;
    let lines = |name: &str| -> Vec<String> {
        posted.get(name).lines().map(|l| l.trim().to_owned()).filter(|l| !l.is_empty()).collect()
    };
    let new = ShowcaseNew {
        kind: word(ShowcaseKind::ALL, ShowcaseKind::as_str, Some(posted.get("kind"))),
        title: posted.get("title").to_owned(),
        text: posted.get("text").to_owned(),
        author: posted.get("author").to_owned(),
        links: lines("links"),
        entries: lines("entries"),
    };
    match voice::submit(&door.app, &visit.op, new.clone()).await {
        Ok(showcase) => done(&kept(&door, &visit, &format!("/showcase/{}", showcase.id)), "handed"),
        // A code that is no open data set's is told beside its field.
        Err(error) if matches!(error.kind(), Kind::Invalid | Kind::NotFound) => {
            form(&door, &visit, &new, Some(&error)).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn show(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let view = voice::showcase(&door.app, &visit.op, &id).await?;
    let contest = app::contest::contest_of_showcase(&door.app, &visit.op, &id).await?;
    let context = context! {
        contest => value(contest), view => value(&view), showcase => value(&view.showcase), done => visit.q("done"),
    };
    door.page(&visit, "site/showcase_item.html", context).await
}

async fn end(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    may_write(&visit)?;
    voice::take_down(&door.app, &visit.op, &id).await?;
    done(&kept(&door, &visit, &format!("/showcase/{id}")), "ended")
}
