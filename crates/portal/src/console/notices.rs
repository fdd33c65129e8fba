//! Notices (消息): the inbox of what the platform tells a person, and their subscriptions to searches and things.

use std::sync::Arc;

use app::notice;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use minijinja::{Value, context};
use model::asset::Node;
use model::notice::{Notice, Watched};
use model::{Error, Result};

use crate::console::{PAGE, done, next_link};
use crate::form::Posted;
use crate::visit::{Lang, Visit};
use crate::{Answer, Door, label};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/notices", get(page))
        .route("/console/notices/read", post(read_all))
        .route("/console/notices/{id}/open", post(open))
        .route("/console/subscriptions", post(subscribe))
        .route("/console/subscriptions/end", post(unsubscribe))
}

async fn page(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let unread_only = visit.q("view") == Some("unread");
    let page = notice::list(app, op, unread_only, visit.q("after"), PAGE).await?;
    let rows: Vec<Value> = page.items.iter().map(|n| row(&visit, n)).collect();
    let subscriptions: Vec<Value> = notice::subscriptions(app, op)
        .await?
        .iter()
        .map(|s| {
            let href = match (s.kind, Node::parse(&s.subject)) {
                (Watched::Search, _) => format!("/console/search/saved/{}", s.subject),
                (Watched::Thing, Some(node)) => address(&node),
                (Watched::Thing, None) => String::new(),
            };
            context! { kind => s.kind.as_str(), subject => &s.subject, title => &s.title, href, at => &s.created_at }
        })
        .collect();
    let context = context! {
        rows, subscriptions, unread_only, next => next_link(&visit, "after", page.next.as_deref()),
        done => visit.q("done"),
    };
    door.page(&visit, "console/notices.html", context).await
}

/// A notice in words of the reader's language.
fn row(visit: &Visit, n: &Notice) -> Value {
    let words = match n.kind.as_str() {
        "quality" => n
            .words
            .split(' ')
            .filter_map(|part| part.split_once('='))
            .map(|(word, count)| format!("{} {count}", label::label("quality", word, visit.lang)))
            .collect::<Vec<_>>()
            .join(visit.t("，", ", ")),
        "approval.ended" => label::label("phase", &n.words, visit.lang),
        kind if kind.starts_with("restricted.") || kind.starts_with("sandbox.") => {
            said(&n.words, visit.lang)
        }
        _ => n.words.clone(),
    };
    context! {
        id => &n.id, kind => label::label("notice", &n.kind, visit.lang), title => &n.title, words, at => &n.at,
        unread => n.read_at.is_none(),
    }
}

/// Words of a notice of restricted opening or of a sandbox: names of states and ways stand in it in Chinese, a decision in both languages.
fn said(words: &str, lang: Lang) -> String {
    const KINDS: [&str; 5] =
        ["use_state", "use_deed", "sandbox_run", "release_way", "sandbox_extension"];
    let named = |part: &str| {
        KINDS.iter().find_map(|kind| {
            let all = label::choices(kind, Lang::Zh);
            let (word, _) = all.into_iter().find(|(_, zh)| *zh == part)?;
            Some(label::label(kind, word, lang))
        })
    };
    let other = |part: &str| match lang {
        Lang::Zh => matches!(part, "agreed" | "refused"),
        Lang::En => matches!(part, "同意" | "驳回"),
    };
    let parts = words.split(' ').filter(|part| !other(part));
    parts.map(|part| named(part).unwrap_or_else(|| part.to_owned())).collect::<Vec<_>>().join(" ")
}

fn address(node: &Node) -> String {
    match node.ledger {
        model::asset::Ledger::Data => format!("/console/entries/{}", node.id),
        ledger => format!("/console/ledger/{ledger}/{}", node.id),
    }
}

/// Leads to the thing; the notice is read from now on.
async fn open(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    let notice = notice::open(&door.app, &visit.op, &id).await?;
    Ok(axum::response::IntoResponse::into_response(axum::response::Redirect::to(&notice.href)))
}

async fn read_all(State(door): State<Arc<Door>>, visit: Visit, _posted: Posted) -> Answer {
    notice::read_all(&door.app, &visit.op).await?;
    done("/console/notices", "read")
}

/// What a form names: a kept search by its id, or a thing (`data:ID`, `cloud:ID`).
fn subject(posted: &Posted) -> Result<(Watched, String)> {
    let kind = Watched::parse(posted.get("kind"));
    match kind.map(|k| (k, posted.get("subject").to_owned())) {
        Some((kind, subject)) if !subject.is_empty() => Ok((kind, subject)),
        _ => Err(Error::invalid("请选择要订阅的内容", "choose what to subscribe to").field(
            "kind",
            "search 或 thing",
            "search or thing",
        )),
    }
}

/// Back to the page the form stood on, if it is one of the console.
fn back(posted: &Posted) -> &str {
    let back = posted.get("back");
    if back.starts_with("/console/") { back } else { "/console/notices" }
}

async fn subscribe(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    match subject(&posted)? {
        (Watched::Search, id) => notice::subscribe_search(&door.app, &visit.op, &id).await?,
        (Watched::Thing, key) => {
            let node = Node::parse(&key)
                .ok_or_else(|| Error::not_found("订阅对象", "thing to subscribe to", "?"))?;
            notice::subscribe_thing(&door.app, &visit.op, &node).await?;
        }
    }
    done(back(&posted), "subscribed")
}

async fn unsubscribe(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    let (kind, subject) = subject(&posted)?;
    notice::unsubscribe(&door.app, &visit.op, kind, &subject).await?;
    done(back(&posted), "unsubscribed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_notice_are_of_the_readers_language() {
        assert_eq!(said("生效中", Lang::En), "In force");
        assert_eq!(said("生效中", Lang::Zh), "生效中");
        assert!(said("p_by_state 接口 同意 agreed", Lang::En).ends_with(" agreed"));
        assert_eq!(said("p_by_state 接口 同意 agreed", Lang::Zh), "p_by_state 接口 同意");
        assert_eq!(said("甲 乙", Lang::En), "甲 乙");
    }
}
