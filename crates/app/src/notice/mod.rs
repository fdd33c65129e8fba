//! Notices (消息): what the platform tells people, once each; subscriptions to searches and things; reminders.
//!
//! `tell` is called by rooms where something happens to somebody. `watch` follows the change feed for subscriptions and
//! reminds of what is left lying; it is a chore of the worker. Permission is asked at delivery, as the reader.

mod watch;

use model::notice::{Notice, NoticeNew, Subscription, Watched};
use model::request::{RequestFilter, RequestState};
use model::{Error, Op, Result};
use policy::{Action, Permit, Target};
use store::request::RequestScope;

use crate::{App, Page, audit};

pub(crate) use watch::who_follow;
pub use watch::{Watch, watch};

/// Subscriptions one person keeps.
const MOST: usize = 500;

/// One thing to tell several people.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) mark: String,
    pub(crate) kind: &'static str,
    pub(crate) title: String,
    pub(crate) words: String,
    pub(crate) href: String,
}

/// Tells people something, each once.
pub(crate) async fn tell(
    app: &App,
    system: &Op,
    permit: &Permit,
    people: &[String],
    told: &Told,
) -> Result<()> {
    let mut people = people.to_vec();
    people.sort_unstable();
    people.dedup();
    let notices: Vec<NoticeNew> = people
        .into_iter()
        .map(|owner| NoticeNew {
            owner,
            mark: told.mark.clone(),
            kind: told.kind,
            title: told.title.clone(),
            words: told.words.clone(),
            href: told.href.clone(),
        })
        .collect();
    app.store.notices_put(permit, system, &notices).await.map(|_| ())
}

/// Tells people something, as the platform. What happened is kept already: a notice that cannot be given does not undo it.
pub(crate) async fn give(app: &App, op: &Op, people: Result<Vec<String>>, told: &Told) {
    let given = async {
        let (system, permit) = app.platform(op)?;
        tell(app, &system, &permit, &people?, told).await
    };
    if let Err(e) = given.await {
        tracing::warn!(error = e.operator_text(), "a notice was not given");
    }
}

/// Applications of those who are told together.
const TOGETHER: u32 = 1000;

/// Tells whoever was granted a resource (`entry`: its id), each once.
pub(crate) async fn tell_granted(
    app: &App,
    system: &Op,
    permit: &Permit,
    entry: String,
    told: &Told,
) -> Result<()> {
    let mut filter = RequestFilter {
        entry: Some(entry),
        state: Some(RequestState::Approved),
        limit: TOGETHER,
        ..RequestFilter::default()
    };
    loop {
        let page = app.store.request_list(&filter, &RequestScope::All).await?;
        let people: Vec<String> = page.iter().map(|r| r.applicant.clone()).collect();
        tell(app, system, permit, &people, told).await?;
        match page.last() {
            Some(last) if page.len() == TOGETHER as usize => filter.after = Some(last.id.clone()),
            _ => return Ok(()),
        }
    }
}

fn own(op: &Op) -> Target {
    Target { owner: Some(op.actor.id().to_owned()), ..Target::plain("Notice", "own") }
}

/// The caller's notices, newest first. *constant page*.
pub async fn list(
    app: &App,
    op: &Op,
    unread: bool,
    after: Option<&str>,
    limit: u32,
) -> Result<Page<Notice>> {
    audit::permit(app, op, Action::NoticeKeep, &own(op)).await?;
    let limit = if limit == 0 { 50 } else { limit.min(200) };
    let items = app.store.notices_of(op.actor.id(), unread, after, limit + 1).await?;
    Ok(Page::cut(items, limit, |n| n.id.clone()))
}

/// How many notices the caller has not read, up to a hundred; nobody has none.
pub async fn unread(app: &App, op: &Op) -> Result<u64> {
    if !app.policy.decide(op, Action::NoticeKeep, &own(op)).allowed {
        return Ok(0);
    }
    app.store.notices_unread(op.actor.id()).await
}

/// Opens a notice: it is read from now on. Answers where it leads.
pub async fn open(app: &App, op: &Op, id: &str) -> Result<Notice> {
    let permit = audit::permit(app, op, Action::NoticeKeep, &own(op)).await?;
    let found = app.store.notice_get(op.actor.id(), id).await?;
    let notice = found.ok_or_else(|| Error::not_found("消息", "notice", id))?;
    app.store.notices_read(&permit, op, Some(id)).await?;
    Ok(notice)
}

/// Marks all of the caller's notices as read.
pub async fn read_all(app: &App, op: &Op) -> Result<u64> {
    let permit = audit::permit(app, op, Action::NoticeKeep, &own(op)).await?;
    app.store.notices_read(&permit, op, None).await
}

/// The caller's subscriptions, newest first.
pub async fn subscriptions(app: &App, op: &Op) -> Result<Vec<Subscription>> {
    audit::permit(app, op, Action::NoticeKeep, &own(op)).await?;
    app.store.subscriptions_of(op.actor.id()).await
}

/// Subscribes to a kept search of one's own.
pub async fn subscribe_search(app: &App, op: &Op, search: &str) -> Result<()> {
    let mine = app.store.searches_of(op.actor.id()).await?;
    let saved = mine
        .into_iter()
        .find(|s| s.id == search)
        .ok_or_else(|| Error::not_found("已保存的搜索", "kept search", search))?;
    keep(app, op, Watched::Search, saved.id, saved.name).await
}

/// Subscribes to an entry or asset that one may know of.
pub async fn subscribe_thing(app: &App, op: &Op, node: &model::asset::Node) -> Result<()> {
    let (node, title) = if node.ledger == model::asset::Ledger::Data {
        let entry = crate::catalogue::get(app, op, &node.id).await?;
        (model::asset::Node::entry(&entry.id), entry.draft.title)
    } else {
        let asset = crate::ledger::get(app, op, &node.id).await?;
        (model::asset::Node::asset(asset.draft.ledger, &asset.id), asset.draft.name)
    };
    keep(app, op, Watched::Thing, node.key(), title).await
}

async fn keep(app: &App, op: &Op, kind: Watched, subject: String, title: String) -> Result<()> {
    let permit = audit::permit(app, op, Action::NoticeKeep, &own(op)).await?;
    if app.store.subscriptions_of(op.actor.id()).await?.len() >= MOST {
        return Err(Error::invalid(
            format!("最多订阅 {MOST} 项，请先取消不用的"),
            format!("{MOST} subscriptions at most: end some first"),
        ));
    }
    let of = Subscription {
        id: op.new_id(),
        owner: op.actor.id().to_owned(),
        kind,
        subject,
        title,
        created_at: op.stamp(),
    };
    app.store.subscription_put(&permit, &of).await
}

/// Ends a subscription; ending one that is not there changes nothing.
pub async fn unsubscribe(app: &App, op: &Op, kind: Watched, subject: &str) -> Result<()> {
    let permit = audit::permit(app, op, Action::NoticeKeep, &own(op)).await?;
    app.store.subscription_remove(&permit, op.actor.id(), kind, subject).await.map(|_| ())
}

/// Whether the caller subscribes to a thing.
pub async fn subscribed(app: &App, op: &Op, kind: Watched, subject: &str) -> Result<bool> {
    if !app.policy.decide(op, Action::NoticeKeep, &own(op)).allowed {
        return Ok(false);
    }
    let mine = app.store.subscriptions_of(op.actor.id()).await?;
    Ok(mine.iter().any(|s| s.kind == kind && s.subject == subject))
}
