//! 政策动态: policies, notices, news and interpretations on the site of the province or of a city. Written by the authority of the
//! region, shown from their day on, withdrawn with a reason. What is not shown answers 404.

use bytes::Bytes;
use chrono::NaiveDate;
use futures::stream::BoxStream;
use model::news::{News, NewsKind, NewsNew, NewsState};
use model::region::{self, RegionLevel, level_of};
use model::voice::plain;
use model::{Code, Error, Op, Result};
use policy::{Action, Permit, Target};
use store::news::NewsFilter;

use crate::basket::receive;
use crate::upload::{content, forget};
use crate::{App, Page, audit};

/// Longest titles, numbers and texts, in characters.
const TITLE: usize = 120;
const NUMBER: usize = 60;
const TEXT: usize = 30_000;

/// What a reader asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewsAsk<'a> {
    pub kind: Option<NewsKind>,
    /// Region of a city: what is its own and the province's; none: the province's and every city's.
    pub city: Option<&'a str>,
    pub text: Option<&'a str>,
    pub before: Option<&'a str>,
    pub limit: u32,
}

fn missing(id: &str) -> Error {
    let shown: String = id.chars().take(64).collect();
    Error::not_found("政策动态", "notice of the site", &shown)
}

/// Where a page goes on: the day and the id of its last one.
fn position(news: &News) -> String {
    format!("{}.{}", news.day, news.id)
}

/// A page of what is shown, the newest day first. *constant page*.
pub async fn news(app: &App, op: &Op, ask: &NewsAsk<'_>) -> Result<Page<News>> {
    let limit = if ask.limit == 0 { 20 } else { ask.limit.min(100) };
    let today = op.today().to_string();
    let province = ask.city.map(province);
    let regions: Vec<&str> = ask.city.into_iter().chain(province.as_deref()).collect();
    let filter = NewsFilter {
        kind: ask.kind,
        state: Some(NewsState::Public),
        regions: &regions,
        until: Some(&today),
        text: ask.text.map(str::trim).filter(|t| !t.is_empty()),
        before: ask.before,
        limit: limit + 1,
        ..NewsFilter::default()
    };
    Ok(Page::cut(app.store.news_list(&filter).await?, limit, position))
}

/// The province of a region.
fn province(region: &str) -> String {
    format!("{}0000", region.get(..2).unwrap_or_default())
}

/// One that is shown; others are not found.
pub async fn item(app: &App, op: &Op, id: &str) -> Result<News> {
    let found = app.store.news_get(id).await?;
    found.filter(|n| n.shown(op.today())).ok_or_else(|| missing(id))
}

/// A file of one that is shown, with its content.
pub async fn file(
    app: &App,
    op: &Op,
    id: &str,
    file: &str,
) -> Result<(String, BoxStream<'static, std::io::Result<Bytes>>)> {
    let news = item(app, op, id).await?;
    let found = news.files.into_iter().find(|(known, _, _)| known == file);
    let (known, name, _) = found.ok_or_else(|| Error::not_found("附件", "file", file))?;
    Ok((name, content(app, &known).await?))
}

/// Whether the caller writes for the site of the own region.
#[must_use]
pub fn may_write(app: &App, op: &Op) -> bool {
    let region = op.actor.region().unwrap_or_default();
    app.may(op, Action::NewsKeep, &Target::news("desk", region))
}

/// What the caller's desk holds, the newest day first. *constant page*.
pub async fn desk(
    app: &App,
    op: &Op,
    state: Option<NewsState>,
    before: Option<&str>,
    limit: u32,
) -> Result<Page<News>> {
    let region = op.actor.region().unwrap_or_default();
    audit::permit(app, op, Action::NewsKeep, &Target::news("desk", region)).await?;
    let limit = if limit == 0 { 50 } else { limit.min(100) };
    let below = (!region.is_empty()).then(|| region::prefix(region));
    let filter = NewsFilter { state, below, before, limit: limit + 1, ..NewsFilter::default() };
    Ok(Page::cut(app.store.news_list(&filter).await?, limit, position))
}

/// One at the caller's desk; others are not found.
pub async fn kept(app: &App, op: &Op, id: &str) -> Result<News> {
    Ok(held(app, op, id).await?.0)
}

async fn held(app: &App, op: &Op, id: &str) -> Result<(News, Permit)> {
    let news = app.store.news_get(id).await?.ok_or_else(|| missing(id))?;
    let target = Target::news(id, &news.region);
    let permit =
        audit::permit_hidden(app, op, Action::NewsKeep, &target, id, || missing(id)).await?;
    Ok((news, permit))
}

/// Writes a new one, not yet shown.
pub async fn write(app: &App, op: &Op, new: &NewsNew) -> Result<News> {
    let region = region_of(op, &new.region)?;
    let permit = audit::permit(app, op, Action::NewsKeep, &Target::news("new", &region)).await?;
    let (kind, day) = (kind_of(new)?, day_of(op, &new.day)?);
    let mut news = News {
        id: op.new_id(),
        kind,
        state: NewsState::Draft,
        region,
        org: op.actor.org().unwrap_or_default().to_owned(),
        title: String::new(),
        title_en: String::new(),
        text: String::new(),
        text_en: String::new(),
        number: String::new(),
        day,
        files: Vec::new(),
        writer: op.actor.id().to_owned(),
        created_at: op.stamp(),
        updated_at: op.stamp(),
        reason: String::new(),
        edit: 1,
    };
    read(&mut news, new)?;
    app.store.news_insert(&permit, &news).await?;
    audit::record(app, audit::event(op, "news.write", &news.id)).await?;
    Ok(news)
}

/// Changes one. `seen`: the edit that the caller saw.
pub async fn edit(app: &App, op: &Op, id: &str, new: &NewsNew, seen: u64) -> Result<News> {
    let (mut news, _) = held(app, op, id).await?;
    // It may go to another site of the caller's region.
    let region = region_of(op, &new.region)?;
    let permit = audit::permit(app, op, Action::NewsKeep, &Target::news(id, &region)).await?;
    news.kind = kind_of(new)?;
    news.region = region;
    news.day = day_of(op, &new.day)?;
    read(&mut news, new)?;
    news.edit = seen + 1;
    news.updated_at = op.stamp();
    app.store.news_update(&permit, &news, seen).await?;
    audit::record(app, audit::event(op, "news.edit", id)).await?;
    Ok(news)
}

/// Shows one from its day on.
pub async fn publish(app: &App, op: &Op, id: &str) -> Result<News> {
    change(app, op, id, NewsState::Public, "").await
}

/// Takes one off the site, with a reason.
pub async fn withdraw(app: &App, op: &Op, id: &str, reason: &str) -> Result<News> {
    let reason = plain("reason", ("理由", "reason"), reason, 2, 500)?;
    change(app, op, id, NewsState::Withdrawn, &reason).await
}

async fn change(app: &App, op: &Op, id: &str, to: NewsState, reason: &str) -> Result<News> {
    let (mut news, permit) = held(app, op, id).await?;
    let fits = match to {
        NewsState::Public => news.state != NewsState::Public,
        NewsState::Withdrawn => news.state == NewsState::Public,
        NewsState::Draft => false,
    };
    if !fits {
        return Err(Error::new(
            Code::WrongState,
            format!("该内容{}，不能作此操作", news.state.zh()),
            format!("it stands at `{}`", news.state.en()),
        ));
    }
    let seen = news.edit;
    news.edit += 1;
    news.state = to;
    reason.clone_into(&mut news.reason);
    news.updated_at = op.stamp();
    app.store.news_update(&permit, &news, seen).await?;
    let mut event = audit::event(op, &format!("news.{to}"), id);
    event.reason.clone_from(&news.reason);
    audit::record(app, event).await?;
    Ok(news)
}

/// Takes a file in; its content tells its kind.
pub async fn attach(
    app: &App,
    op: &Op,
    id: &str,
    name: &str,
    bytes: BoxStream<'static, Result<Bytes>>,
) -> Result<News> {
    let (mut news, permit) = held(app, op, id).await?;
    let bundle = format!("news-{id}");
    let file = receive(app, op, Some(&bundle), news.files.len(), name, bytes).await?;
    let seen = news.edit;
    news.edit += 1;
    news.files.push((file.id.clone(), file.name.clone(), file.bytes));
    let kept = async {
        let mut event = audit::event(op, "news.attach", id);
        event.scope = format!("{} {} {}", file.media, file.bytes, file.checksum);
        audit::record(app, event).await?;
        app.store.news_update(&permit, &news, seen).await
    };
    if let Err(e) = kept.await {
        forget(app, &file.id).await;
        return Err(e);
    }
    Ok(news)
}

/// Takes a file away.
pub async fn detach(app: &App, op: &Op, id: &str, file: &str) -> Result<News> {
    let (mut news, permit) = held(app, op, id).await?;
    let before = news.files.len();
    news.files.retain(|(known, _, _)| known != file);
    if news.files.len() == before {
        return Err(Error::not_found("附件", "file", file));
    }
    let seen = news.edit;
    news.edit += 1;
    app.store.news_update(&permit, &news, seen).await?;
    forget(app, file).await;
    audit::record(app, audit::event(op, "news.detach", id)).await?;
    Ok(news)
}

/// The province or a city; the caller's own when nothing was said.
fn region_of(op: &Op, said: &str) -> Result<String> {
    let region = match said.trim() {
        "" => op.actor.region().unwrap_or("330000"),
        said => said,
    };
    match level_of(region) {
        Ok(RegionLevel::Province | RegionLevel::City) => Ok(region.to_owned()),
        _ => Err(Error::invalid("请选择省或设区市的站点", "choose the province or a city").field(
            "region",
            "请选择",
            "choose one",
        )),
    }
}

fn kind_of(new: &NewsNew) -> Result<NewsKind> {
    new.kind.ok_or_else(|| {
        Error::invalid("请选择类型", "choose what kind it is").field("kind", "必选", "required")
    })
}

fn day_of(op: &Op, said: &str) -> Result<NaiveDate> {
    match said.trim() {
        "" => Ok(op.today()),
        said => said.parse::<NaiveDate>().map_err(|_| {
            Error::invalid("日期应形如 2026-03-02", "a day is written like 2026-03-02").field(
                "day",
                "请修改日期",
                "change the day",
            )
        }),
    }
}

fn read(news: &mut News, new: &NewsNew) -> Result<()> {
    news.title = plain("title", ("标题", "title"), &new.title, 2, TITLE)?;
    news.title_en = plain("title_en", ("英文标题", "title in English"), &new.title_en, 0, TITLE)?;
    news.number = plain("number", ("文号", "number"), &new.number, 0, NUMBER)?;
    news.text = plain("text", ("正文", "text"), &new.text, 2, TEXT)?;
    news.text_en = plain("text_en", ("英文正文", "text in English"), &new.text_en, 0, TEXT)?;
    Ok(())
}
