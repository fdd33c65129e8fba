//! What was made of open data: handed in by anybody with an account, shown when the authority has looked at it, linked both ways
//! with the data sets it uses.

use std::collections::HashSet;

use model::region;
use model::voice::plain;
use model::voice::showcase::{
    MOST_ENTRIES, MOST_LINKS, Showcase, ShowcaseNew, ShowcaseState, link,
};
use model::{Actor, Code, Error, Op, Result};
use policy::{Action, Target};
use serde::Serialize;
use store::voice::ShowcaseFilter;

use super::{Since, TOLD, stale, tell, too_many, writer};
use crate::notice::Told;
use crate::{App, Page, audit, opening};

/// Something made of open data as its reader sees it.
#[derive(Clone, Debug, Serialize)]
pub struct ShowcaseSeen {
    pub showcase: Showcase,
    /// Code and titles of the data sets it uses that are open now.
    pub datasets: Vec<(String, String, String)>,
    pub own: bool,
    pub may_review: bool,
}

fn missing(id: &str) -> Error {
    let shown: String = id.chars().take(64).collect();
    Error::not_found("应用成果", "showcase", &shown)
}

/// Whether the caller decides what is shown.
#[must_use]
pub fn may_review(app: &App, op: &Op) -> bool {
    app.may(op, Action::ShowcaseReview, &Target::plain("Showcase", "desk"))
}

/// Hands something in, in the caller's name; it is shown once the authority has looked at it.
pub async fn submit(app: &App, op: &Op, new: ShowcaseNew) -> Result<Showcase> {
    let permit = writer(app, op, "Showcase", "new").await?;
    let rules = &app.rules.voice;
    let kind = new.kind.ok_or_else(|| {
        Error::invalid("请选择成果类型", "choose what kind it is").field("kind", "必选", "required")
    })?;
    let title = plain("title", ("名称", "title"), &new.title, 2, rules.longest.title)?;
    let text = plain("text", ("说明", "description"), &new.text, 10, rules.longest.text)?;
    let author = plain("author", ("署名", "author"), &new.author, 1, rules.longest.contact)?;
    let written: Vec<&str> = parts(&new.links);
    if written.is_empty() || written.len() > MOST_LINKS {
        return Err(Error::invalid(
            format!("请填写 1 至 {MOST_LINKS} 个网址"),
            format!("give 1 to {MOST_LINKS} addresses"),
        )
        .field("links", "每行一个", "one a line"));
    }
    let links = written.into_iter().map(link).collect::<Result<Vec<_>>>()?;
    let codes: Vec<&str> = parts(&new.entries);
    if codes.is_empty() || codes.len() > MOST_ENTRIES {
        return Err(Error::invalid(
            format!("请填写所用的 1 至 {MOST_ENTRIES} 个开放数据集的编码"),
            format!("name 1 to {MOST_ENTRIES} open data sets by their codes"),
        )
        .field("entries", "每行一个编码", "one code a line"));
    }
    let mut entries = Vec::new();
    for code in codes {
        let dataset = opening::dataset(app, op, code).await.map_err(|e| {
            e.field("entries", "没有这个开放数据集", "there is no such open data set")
        })?;
        entries.push((dataset.entry.id, dataset.entry.draft.code));
    }
    let showcase = Showcase {
        id: op.new_id(),
        kind,
        state: ShowcaseState::Waiting,
        title,
        text,
        author,
        links,
        entries,
        writer: op.actor.id().to_owned(),
        created_at: op.stamp(),
        decided_at: String::new(),
        decided_by: String::new(),
        reason: String::new(),
        edit: 1,
    };
    let (since, most) = (Since::a_day(op), rules.most.showcases);
    if !app.store.showcase_insert(&permit, &showcase, since.most(most)).await? {
        return Err(too_many(most));
    }
    audit::record(app, audit::event(op, "showcase.submit", &showcase.id)).await?;
    let reviewers = app.store.holders_anywhere(model::account::Role::Authority, TOLD).await;
    let told = told("showcase.filed", &showcase, &showcase.author);
    tell::give(app, op, reviewers, told).await;
    Ok(showcase)
}

/// Lines without empty ones and without repetition.
fn parts(lines: &[String]) -> Vec<&str> {
    let mut known = HashSet::new();
    lines.iter().map(|l| l.trim()).filter(|l| !l.is_empty() && known.insert(*l)).collect()
}

pub(super) fn told(kind: &'static str, showcase: &Showcase, words: &str) -> Told {
    Told {
        mark: format!("{kind}:{}:{}", showcase.id, showcase.edit),
        kind,
        title: showcase.title.clone(),
        words: words.to_owned(),
        href: format!("/showcase/{}", showcase.id),
    }
}

/// A page of what is shown, newest first. *constant page*.
pub async fn showcases(
    app: &App,
    _op: &Op,
    region: Option<&str>,
    before: Option<&str>,
    limit: u32,
) -> Result<Page<Showcase>> {
    let below = region.map(region::prefix_of).transpose()?;
    let state = Some(ShowcaseState::Public);
    let filter = ShowcaseFilter { state, below, before, ..ShowcaseFilter::default() };
    page(app, filter, limit).await
}

/// What is shown of what uses a data set (by id), newest first.
pub async fn showcases_using(
    app: &App,
    _op: &Op,
    entry: &str,
    limit: u32,
) -> Result<Vec<Showcase>> {
    let filter = ShowcaseFilter { entry: Some(entry), ..ShowcaseFilter::default() };
    Ok(page(app, filter, limit).await?.items)
}

/// What is shown and holds a text in its title, description or author, newest first.
pub async fn showcases_like(
    app: &App,
    _op: &Op,
    text: &str,
    region: Option<&str>,
    limit: u32,
) -> Result<Vec<Showcase>> {
    let below = region.map(region::prefix_of).transpose()?;
    let state = Some(ShowcaseState::Public);
    let filter = ShowcaseFilter { state, below, text: Some(text), ..ShowcaseFilter::default() };
    let low = text.to_lowercase();
    let holds = |s: &Showcase| {
        [&s.title, &s.text, &s.author].iter().any(|t| t.to_lowercase().contains(&low))
    };
    Ok(page(app, filter, limit).await?.items.into_iter().filter(holds).collect())
}

/// What the caller has handed in, newest first.
pub async fn showcases_of(app: &App, op: &Op, limit: u32) -> Result<Vec<Showcase>> {
    if !matches!(op.actor, Actor::User { .. }) {
        return Ok(Vec::new());
    }
    let filter = ShowcaseFilter { writer: Some(op.actor.id()), ..ShowcaseFilter::default() };
    Ok(page(app, filter, limit).await?.items)
}

/// What awaits the authority, or all that was handed in.
pub async fn showcase_desk(
    app: &App,
    op: &Op,
    state: Option<ShowcaseState>,
    before: Option<&str>,
    limit: u32,
) -> Result<Page<Showcase>> {
    let desk = Target::plain("Showcase", "desk");
    audit::permit(app, op, Action::ShowcaseReview, &desk).await?;
    page(app, ShowcaseFilter { state, before, ..ShowcaseFilter::default() }, limit).await
}

async fn page(app: &App, filter: ShowcaseFilter<'_>, limit: u32) -> Result<Page<Showcase>> {
    let limit = if limit == 0 { 20 } else { limit.min(200) };
    let filter = ShowcaseFilter { limit: limit + 1, ..filter };
    Ok(Page::cut(app.store.showcase_list(&filter).await?, limit, |s| s.id.clone()))
}

/// One: what is shown, one's own, or what one may decide on. Others are not found.
pub async fn showcase(app: &App, op: &Op, id: &str) -> Result<ShowcaseSeen> {
    let found = app.store.showcase_get(id).await?.ok_or_else(|| missing(id))?;
    let own = matches!(op.actor, Actor::User { .. }) && op.actor.id() == found.writer;
    let reviews = app.may(op, Action::ShowcaseReview, &Target::showcase(&found));
    if found.state != ShowcaseState::Public && !own && !reviews {
        return Err(missing(id));
    }
    let mut datasets = Vec::new();
    for (_, code) in &found.entries {
        match opening::dataset(app, op, code).await {
            Ok(d) => datasets.push((code.clone(), d.entry.draft.title, d.entry.draft.title_en)),
            Err(e) if e.code() == Code::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(ShowcaseSeen { showcase: found, datasets, own, may_review: reviews })
}

/// The authority shows it, refuses it, or takes it down (`show` = false of one that is shown), with a reason.
pub async fn review(app: &App, op: &Op, id: &str, show: bool, reason: &str) -> Result<Showcase> {
    let mut showcase = app.store.showcase_get(id).await?.ok_or_else(|| missing(id))?;
    let target = Target::showcase(&showcase);
    let permit = match showcase.state {
        ShowcaseState::Public => audit::permit(app, op, Action::ShowcaseReview, &target).await?,
        _ => {
            audit::permit_hidden(app, op, Action::ShowcaseReview, &target, id, || missing(id))
                .await?
        }
    };
    let least = if show { 0 } else { 2 };
    let longest = app.rules.voice.longest.comment;
    let reason = plain("reason", ("理由", "reason"), reason, least, longest)?;
    let next = match (showcase.state, show) {
        (ShowcaseState::Waiting | ShowcaseState::Refused | ShowcaseState::Ended, true) => {
            ShowcaseState::Public
        }
        (ShowcaseState::Waiting, false) => ShowcaseState::Refused,
        (ShowcaseState::Public, false) => ShowcaseState::Ended,
        _ => {
            return Err(Error::new(
                Code::WrongState,
                format!("成果{}，不能再作此决定", showcase.state.zh()),
                format!("it stands at `{}`: this was decided already", showcase.state.en()),
            ));
        }
    };
    let seen = showcase.edit;
    showcase.state = next;
    showcase.edit += 1;
    showcase.decided_at = op.stamp();
    op.actor.name().clone_into(&mut showcase.decided_by);
    showcase.reason.clone_from(&reason);
    if !app.store.showcase_update(&permit, &showcase, seen).await? {
        return Err(stale());
    }
    let mut record = audit::event(op, &format!("showcase.{next}"), id);
    record.reason.clone_from(&reason);
    audit::record(app, record).await?;
    let words = format!("{} {reason}", next.zh());
    let told = told("showcase.decided", &showcase, words.trim());
    tell::give(app, op, Ok(vec![showcase.writer.clone()]), told).await;
    Ok(showcase)
}

/// Its writer takes it down.
pub async fn take_down(app: &App, op: &Op, id: &str) -> Result<Showcase> {
    let mut showcase = app.store.showcase_get(id).await?.ok_or_else(|| missing(id))?;
    if op.actor.id() != showcase.writer {
        return Err(missing(id));
    }
    let permit = writer(app, op, "Showcase", id).await?;
    if showcase.state == ShowcaseState::Ended {
        return Err(Error::of(Code::WrongState));
    }
    let seen = showcase.edit;
    showcase.state = ShowcaseState::Ended;
    showcase.edit += 1;
    if !app.store.showcase_update(&permit, &showcase, seen).await? {
        return Err(stale());
    }
    audit::record(app, audit::event(op, "showcase.ended", id)).await?;
    Ok(showcase)
}
