//! What people think of a data set, on its page: stars, comments with replies, reports, and what was made of it.

use std::sync::Arc;

use app::opening::Dataset;
use app::{notice, voice};
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::post;
use minijinja::{Value, context};
use model::asset::Node;
use model::notice::Watched;
use model::{Error, Result};

use crate::console::{done, next_link};
use crate::form::Posted;
use crate::site::city::kept;
use crate::site::interact::may_write;
use crate::view::value;
use crate::visit::{Visit, encode};
use crate::{Answer, Door};

/// Showcases named on a data set's page.
const SHOWCASES: u32 = 5;

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/data/{code}/rating", post(rate))
        .route("/data/{code}/comments", post(comment))
        .route("/data/{code}/comments/{id}", post(act))
        .route("/data/{code}/follow", post(follow))
}

/// What the data-set page shows of it; without it the page stands all the same.
pub(super) async fn of(door: &Door, visit: &Visit, dataset: &Dataset) -> Value {
    let (app, op) = (&door.app, &visit.op);
    let read = async {
        let before = visit.q("comments");
        let opinion = voice::opinion(app, op, &dataset.entry.draft.code, before).await?;
        let used = voice::showcases_using(app, op, &dataset.entry.id, SHOWCASES).await?;
        let next = next_link(visit, "comments", opinion.next.as_deref());
        Ok::<_, Error>(context! {
            opinion => value(&opinion), showcases => value(&used),
            next => next.map(|n| format!("{n}#comments")),
            longest => app.rules.voice.longest.comment, done => visit.q("done"),
        })
    };
    read.await.unwrap_or_else(|error| {
        tracing::warn!(error = error.operator_text(), "ratings and comments could not be read");
        Value::from(())
    })
}

/// Whether the reader follows the set.
pub(super) async fn follows(door: &Door, visit: &Visit, dataset: &Dataset) -> bool {
    let key = Node::entry(&dataset.entry.id).key();
    let told = notice::subscribed(&door.app, &visit.op, Watched::Thing, &key).await;
    told.unwrap_or_else(|error| {
        tracing::warn!(error = error.operator_text(), "a subscription could not be read");
        false
    })
}

/// From now on its changes and new data are told under Notices, or not any more.
async fn follow(
    State(door): State<Arc<Door>>,
    Path(code): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    visit.session()?;
    may_write(&visit)?;
    let (app, op) = (&door.app, &visit.op);
    let dataset = app::opening::dataset(app, op, &code).await?;
    let node = Node::entry(&dataset.entry.id);
    if posted.get("do") == "end" {
        notice::unsubscribe(app, op, Watched::Thing, &node.key()).await?;
        return done(&back(&door, &visit, &code), "unfollowed");
    }
    notice::subscribe_thing(app, op, &node).await?;
    done(&back(&door, &visit, &code), "followed")
}

fn back(door: &Door, visit: &Visit, code: &str) -> String {
    kept(door, visit, &format!("/data/{}", encode(code)))
}

/// Back to the comments of the page.
fn at_comments(door: &Door, visit: &Visit, code: &str, word: &str) -> Answer {
    done(&back(door, visit, code), &format!("{word}#comments"))
}

async fn rate(
    State(door): State<Arc<Door>>,
    Path(code): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    may_write(&visit)?;
    let stars = match posted.get("stars") {
        "" => 0,
        _ => posted.number("stars")?,
    };
    voice::rate(&door.app, &visit.op, &code, stars).await?;
    done(&back(&door, &visit, &code), "rated")
}

async fn comment(
    State(door): State<Arc<Door>>,
    Path(code): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    may_write(&visit)?;
    let (parent, text) = (posted.get("parent"), posted.get("text"));
    voice::comment(&door.app, &visit.op, &code, parent, text).await?;
    at_comments(&door, &visit, &code, "commented")
}

async fn act(
    State(door): State<Arc<Door>>,
    Path((code, id)): Path<(String, String)>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    may_write(&visit)?;
    let (app, op, reason) = (&door.app, &visit.op, posted.get("reason"));
    let word = wanted(&posted)?;
    match word {
        "report" => {
            voice::report(app, op, &code, &id, reason).await?;
        }
        hide => voice::moderate(app, op, &id, hide == "hide", reason).await?,
    }
    at_comments(&door, &visit, &code, word)
}

/// `report`, `hide` or `show`.
pub(crate) fn wanted(posted: &Posted) -> Result<&'static str> {
    let said = posted.get("do");
    ["report", "hide", "show"].into_iter().find(|w| *w == said).ok_or_else(|| {
        let shown: String = said.chars().take(40).collect();
        Error::invalid(format!("没有操作 `{shown}`"), format!("there is no action `{shown}`"))
    })
}
