//! Ratings and comments on open data sets: one rating an account, comments with replies, moderated by provider and authority.

use model::account::Role;
use model::voice::comment::{Comment, STARS};
use model::voice::{impersonal, plain, veiled};
use model::{Actor, Code, Error, Op, Result};
use policy::{Action, Target};
use serde::Serialize;
use store::voice::CommentFilter;

use super::{Since, tell, too_many, writer};
use crate::notice::Told;
use crate::{App, Page, audit, opening};

/// Comments shown together.
const PAGE: u32 = 20;

/// A comment as its reader sees it.
#[derive(Clone, Debug, Serialize)]
pub struct CommentSeen {
    pub id: String,
    pub name: String,
    pub official: bool,
    pub at: String,
    /// Empty when it is hidden.
    pub text: String,
    pub hidden: bool,
    /// The reader wrote it.
    pub own: bool,
    pub replies: Vec<CommentSeen>,
}

/// What people think of a data set.
#[derive(Clone, Debug, Serialize)]
pub struct Opinion {
    pub mean: String,
    pub count: u64,
    /// The reader's own rating.
    pub mine: Option<u8>,
    pub comments: Vec<CommentSeen>,
    pub next: Option<String>,
    pub may_moderate: bool,
}

/// A comment on the desk of those who moderate.
#[derive(Clone, Debug, Serialize)]
pub struct CommentAtDesk {
    pub comment: Comment,
    pub reports: u64,
    /// Why it was reported.
    pub reasons: Vec<String>,
}

fn missing(id: &str) -> Error {
    let shown: String = id.chars().take(64).collect();
    Error::not_found("评论", "comment", &shown)
}

/// Ratings and a page of comments of an open data set, newest first. *constant page*.
pub async fn opinion(app: &App, op: &Op, code: &str, before: Option<&str>) -> Result<Opinion> {
    let entry = opening::dataset(app, op, code).await?.entry;
    let stars = app.store.rating_of(&entry.id).await?;
    let mine = match &op.actor {
        Actor::User { id, .. } => app.store.rating_by(&entry.id, id).await?,
        _ => None,
    };
    let found = app.store.comments_of(&entry.id, before, PAGE + 1).await?;
    let page = Page::cut(found, PAGE, |c| c.id.clone());
    let replies = match (page.items.last(), page.items.first()) {
        (Some(oldest), Some(newest)) => {
            app.store.comment_replies(&entry.id, &oldest.id, &newest.id).await?
        }
        _ => Vec::new(),
    };
    let comments = page
        .items
        .into_iter()
        .map(|c| {
            let own = replies.iter().filter(|r| r.parent == c.id);
            let replies = own.map(|r| seen(op, r.clone())).collect();
            CommentSeen { replies, ..seen(op, c) }
        })
        .collect();
    Ok(Opinion {
        mean: stars.mean(),
        count: stars.count,
        mine,
        comments,
        next: page.next,
        may_moderate: app.may(op, Action::CommentModerate, &on(&entry)),
    })
}

fn seen(op: &Op, comment: Comment) -> CommentSeen {
    let hidden = !comment.hidden.is_empty();
    CommentSeen {
        own: matches!(op.actor, Actor::User { .. }) && op.actor.id() == comment.writer,
        text: if hidden { String::new() } else { comment.text },
        hidden,
        id: comment.id,
        name: comment.name,
        official: comment.official,
        at: comment.at,
        replies: Vec::new(),
    }
}

/// Comments on a data set as something to moderate.
fn on(entry: &model::entry::Entry) -> Target {
    Target {
        region: Some(entry.draft.region.clone()),
        ..Target::of_org("Comment", &entry.draft.code, &entry.draft.org)
    }
}

/// Rates an open data set; a second rating takes the place of the first.
pub async fn rate(app: &App, op: &Op, code: &str, stars: u8) -> Result<()> {
    let entry = opening::dataset(app, op, code).await?.entry;
    let permit = writer(app, op, "Comment", code).await?;
    if !STARS.contains(&stars) {
        return Err(Error::invalid("请打 1 至 5 星", "give 1 to 5 stars")
            .field("stars", "1 至 5", "1 to 5"));
    }
    app.store.rating_put(&permit, &entry.id, op.actor.id(), stars, &op.stamp()).await?;
    audit::record(app, audit::event(op, "dataset.rate", code)).await
}

/// Comments on an open data set, or replies to a comment (`parent`).
pub async fn comment(app: &App, op: &Op, code: &str, parent: &str, text: &str) -> Result<String> {
    let entry = opening::dataset(app, op, code).await?.entry;
    let permit = writer(app, op, "Comment", code).await?;
    let rules = &app.rules.voice;
    let text = plain("text", ("评论", "comment"), text, 2, rules.longest.comment)?;
    impersonal("text", &text)?;
    let above = match parent {
        "" => None,
        id => {
            let found = app.store.comment_get(id).await?;
            // A reply stands under a comment, not under a reply.
            let found = found.filter(|c| c.entry == entry.id && c.parent.is_empty());
            Some(found.filter(|c| c.hidden.is_empty()).ok_or_else(|| missing(id))?)
        }
    };
    let official = app.may(op, Action::CommentModerate, &on(&entry));
    let comment = Comment {
        id: op.new_id(),
        entry: entry.id.clone(),
        entry_code: code.to_owned(),
        org: entry.draft.org.clone(),
        region: entry.draft.region.clone(),
        parent: parent.to_owned(),
        writer: op.actor.id().to_owned(),
        name: name(app, op, official).await?,
        official,
        at: op.stamp(),
        text,
        hidden: String::new(),
        hidden_by: String::new(),
        reports: 0,
    };
    let (since, most) = (Since::a_day(op), rules.most.comments);
    if !app.store.comment_insert(&permit, &comment, since.most(most)).await? {
        return Err(too_many(most));
    }
    audit::record(app, audit::event(op, "dataset.comment", code)).await?;
    if let Some(above) = above.filter(|a| a.writer != comment.writer) {
        told(app, op, &above.writer, "comment.reply", &comment, &comment.text).await;
    }
    Ok(comment.id)
}

/// The name shown: of the organisation when it speaks for it, else veiled.
async fn name(app: &App, op: &Op, official: bool) -> Result<String> {
    if official && let Some(org) = op.actor.org() {
        return Ok(app.store.org_get(org).await?.map_or_else(String::new, |o| o.name_cn));
    }
    let user = app.store.user_get(op.actor.id()).await?;
    Ok(user.map_or_else(String::new, |u| veiled(&u.user.display_name)))
}

async fn told(app: &App, op: &Op, to: &str, kind: &'static str, comment: &Comment, words: &str) {
    let told = Told {
        mark: format!("{kind}:{}", comment.id),
        kind,
        title: comment.entry_code.clone(),
        words: words.to_owned(),
        href: format!("/data/{}#comments", comment.entry_code),
    };
    tell::give(app, op, Ok(vec![to.to_owned()]), told).await;
}

/// One comment on an open data set.
async fn standing(app: &App, op: &Op, code: &str, id: &str) -> Result<Comment> {
    let entry = opening::dataset(app, op, code).await?.entry;
    let found = app.store.comment_get(id).await?;
    found.filter(|c| c.entry == entry.id).ok_or_else(|| missing(id))
}

/// Reports a comment to those who moderate, once an account; answers whether it is new.
pub async fn report(app: &App, op: &Op, code: &str, id: &str, reason: &str) -> Result<bool> {
    let comment = standing(app, op, code, id).await?;
    let permit = writer(app, op, "Comment", id).await?;
    let longest = app.rules.voice.longest.comment;
    let reason = plain("reason", ("举报理由", "reason"), reason, 2, longest)?;
    if !comment.hidden.is_empty() {
        return Err(missing(id));
    }
    let new = app.store.comment_report(&permit, id, op.actor.id(), &reason, &op.stamp()).await?;
    if new {
        audit::record(app, audit::event(op, "comment.report", id)).await?;
    }
    Ok(new)
}

/// Hides a comment with a reason, or shows it again.
pub async fn moderate(app: &App, op: &Op, id: &str, hide: bool, reason: &str) -> Result<()> {
    let mut comment = app.store.comment_get(id).await?.ok_or_else(|| missing(id))?;
    let target = Target::comment(&comment);
    let permit =
        audit::permit_hidden(app, op, Action::CommentModerate, &target, id, || missing(id)).await?;
    let least = if hide { 2 } else { 0 };
    let longest = app.rules.voice.longest.comment;
    let reason = plain("reason", ("理由", "reason"), reason, least, longest)?;
    if hide == !comment.hidden.is_empty() {
        return Err(Error::new(
            Code::WrongState,
            "评论已是所要的状态",
            "the comment is so already",
        ));
    }
    comment.hidden = if hide { reason.clone() } else { String::new() };
    comment.hidden_by = op.actor.name().to_owned();
    app.store.comment_moderate(&permit, &comment).await?;
    let word = if hide { "comment.hide" } else { "comment.show" };
    let mut record = audit::event(op, word, id);
    record.reason.clone_from(&reason);
    audit::record(app, record).await?;
    if hide && comment.writer != op.actor.id() {
        told(app, op, &comment.writer, "comment.hidden", &comment, &reason).await;
    }
    Ok(())
}

/// Comments that the caller moderates, newest first: those reported, or all.
pub async fn comment_desk(
    app: &App,
    op: &Op,
    reported: bool,
    before: Option<&str>,
    limit: u32,
) -> Result<Page<CommentAtDesk>> {
    let authority = op.actor.has(Role::Authority);
    let org = op.actor.org().unwrap_or_default();
    let mut own = Target::of_org("Comment", "desk", org);
    own.region = op.actor.region().map(str::to_owned);
    audit::permit(app, op, Action::CommentModerate, &own).await?;
    let limit = if limit == 0 { 50 } else { limit.min(200) };
    let filter =
        CommentFilter { org: (!authority).then_some(org), reported, before, limit: limit + 1 };
    let page = Page::cut(app.store.comment_list(&filter).await?, limit, |c| c.id.clone());
    let mut items = Vec::new();
    for comment in page.items {
        if !app.may(op, Action::CommentModerate, &Target::comment(&comment)) {
            continue;
        }
        let reasons = match comment.reports {
            0 => Vec::new(),
            _ => app.store.comment_reasons(&comment.id).await?,
        };
        items.push(CommentAtDesk { reports: comment.reports, comment, reasons });
    }
    Ok(Page { items, next: page.next })
}
