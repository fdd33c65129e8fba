//! What people do with sources of harvest: keep them, pause them, begin a turn, and read what it brought and what it could not take.

use std::collections::HashMap;

use model::audit::AuditEvent;
use model::harvest::{
    HarvestNew, HarvestOrigin, HarvestRefusal, HarvestSource, HarvestState, HarvestTurn,
    HarvestWish,
};
use model::org::Org;
use model::pipeline::schedule::Schedule;
use model::region::Region;
use model::{Code, Error, FieldError, Op, Result};
use policy::{Action, Permit, Target};
use serde::Serialize;

use super::mapped::CODE;
use super::tick::{counted, due_after, new_turn};
use crate::{App, Page, audit};

/// Longest name and address of a source, in characters.
const NAME: usize = 80;
const ADDRESS: usize = 1000;

/// A source with its newest turn.
#[derive(Clone, Debug, Serialize)]
pub struct HarvestView {
    pub source: HarvestSource,
    pub turn: Option<HarvestTurn>,
}

/// What a form of a source can be filled with.
#[derive(Clone, Debug, Serialize)]
pub struct HarvestForm {
    pub orgs: Vec<Org>,
    pub regions: Vec<Region>,
}

/// The room as a whole, at the caller's own place.
fn room(op: &Op) -> Target {
    Target::harvest("harvest", op.actor.region().unwrap_or_default())
}

fn target(source: &HarvestSource) -> Target {
    Target::harvest(&source.id, &source.region)
}

/// Whether the caller may keep sources (to show or hide a link).
#[must_use]
pub fn may_keep(app: &App, op: &Op) -> bool {
    app.may(op, Action::HarvestKeep, &room(op))
}

/// Sources that the caller may see, by id, each with its newest turn.
pub async fn list(
    app: &App,
    op: &Op,
    after: Option<&str>,
    limit: u32,
) -> Result<Page<HarvestView>> {
    audit::permit(app, op, Action::HarvestRead, &room(op)).await?;
    let limit = if limit == 0 { 50 } else { limit.min(500) };
    let page = app.store.harvest_source_list(after, limit + 1).await?;
    let Page { items, next } = Page::cut(page, limit, |s| s.id.clone());
    let mut views = Vec::new();
    for source in items {
        if app.may(op, Action::HarvestRead, &target(&source)) {
            views.push(view(app, source).await?);
        }
    }
    Ok(Page { items: views, next })
}

async fn view(app: &App, source: HarvestSource) -> Result<HarvestView> {
    let turn = app.store.harvest_turns(&source.id, None, 1).await?.into_iter().next();
    Ok(HarvestView { source, turn })
}

/// One source; one that the caller may not see is not found.
pub async fn get(app: &App, op: &Op, id: &str) -> Result<HarvestView> {
    let (source, _) = held(app, op, id, Action::HarvestRead).await?;
    view(app, source).await
}

fn missing(id: &str) -> Error {
    let shown: String = id.chars().take(80).collect();
    Error::not_found("采集源", "harvest source", &shown)
}

async fn held(app: &App, op: &Op, id: &str, action: Action) -> Result<(HarvestSource, Permit)> {
    let source = app.store.harvest_source_get(id).await?.ok_or_else(|| missing(id))?;
    let permit =
        audit::permit_hidden(app, op, action, &target(&source), id, || missing(id)).await?;
    Ok((source, permit))
}

/// Organisations and regions for a form.
pub async fn sources(app: &App, op: &Op) -> Result<HarvestForm> {
    audit::permit(app, op, Action::HarvestKeep, &room(op)).await?;
    Ok(HarvestForm { orgs: app.store.orgs_list().await?, regions: app.store.regions_list().await? })
}

/// Keeps a source. It goes by its schedule from now on.
pub async fn create(app: &App, op: &Op, new: &HarvestNew) -> Result<HarvestSource> {
    let place = Target::harvest("new", &new.region);
    let permit = audit::permit(app, op, Action::HarvestKeep, &place).await?;
    let org = checked(app, new).await?;
    answers(app, op, &org).await?;
    let source = HarvestSource {
        id: op.new_id(),
        name: new.name.trim().to_owned(),
        kind: new.kind,
        url: new.url.trim().to_owned(),
        org: org.id,
        org_name: org.name_cn,
        region: new.region.clone(),
        cron: new.cron.trim().to_owned(),
        becomes: new.becomes,
        wish: HarvestWish::Run,
        created_at: op.stamp(),
        created_by: op.actor.id().to_owned(),
        due: due_after(app, &new.cron, op.at),
        since: String::new(),
        full_at: String::new(),
        mark: String::new(),
    };
    app.store.harvest_source_insert(&permit, &source).await?;
    told(app, op, "harvest.create", &source).await?;
    Ok(source)
}

/// Changes a source. What it is pointed at anew is looked at as a whole. Its kind stays: ids of another kind would be others.
pub async fn edit(app: &App, op: &Op, id: &str, new: &HarvestNew) -> Result<HarvestSource> {
    let (mut source, permit) = held(app, op, id, Action::HarvestKeep).await?;
    let place = Target::harvest(id, &new.region);
    audit::permit(app, op, Action::HarvestKeep, &place).await?;
    let org = checked(app, new).await?;
    answers(app, op, &org).await?;
    let lasting = [
        (source.kind != new.kind, "kind", "类型", "kind"),
        (source.org != org.id, "org", "责任单位", "organisation"),
    ];
    for (changed, field, zh, en) in lasting {
        if changed {
            return Err(Error::new(
                Code::RuleBroken,
                format!("采集源的{zh}不能修改，请另建采集源"),
                format!("the {en} of a source stays: keep another source"),
            )
            .field(field, "不能修改", "cannot be changed"));
        }
    }
    if source.url != new.url.trim() {
        let newest = app.store.harvest_turns(id, None, 1).await?;
        if newest.first().is_some_and(|t| t.finished_at.is_none()) {
            return Err(busy());
        }
        (source.since, source.mark) = (String::new(), String::new());
    }
    new.name.trim().clone_into(&mut source.name);
    new.url.trim().clone_into(&mut source.url);
    source.region.clone_from(&new.region);
    new.cron.trim().clone_into(&mut source.cron);
    source.becomes = new.becomes;
    source.due = due_after(app, &source.cron, op.at);
    app.store.harvest_source_update(&permit, &source).await?;
    told(app, op, "harvest.edit", &source).await?;
    Ok(source)
}

/// Entries come in the organisation's name: it must be one of the caller's own region or below.
async fn answers(app: &App, op: &Op, org: &Org) -> Result<()> {
    let place = Target::harvest("new", &org.region);
    audit::permit(app, op, Action::HarvestKeep, &place).await.map(|_| ())
}

/// Everything that is wrong with a form at once; the organisation when nothing is.
async fn checked(app: &App, new: &HarvestNew) -> Result<Org> {
    let mut faults = Vec::new();
    let mut add = |field: &str, zh: String, en: String| {
        faults.push(FieldError { field: field.to_owned(), zh, en });
    };
    let name = new.name.trim().chars().count();
    if name == 0 || name > NAME {
        add(
            "name",
            format!("名称为 1 至 {NAME} 个字"),
            format!("the name has 1 to {NAME} characters"),
        );
    }
    if !address_ok(new.url.trim()) {
        add(
            "url",
            format!(
                "地址应以 http:// 或 https:// 开头，不含用户名、口令和空格，最多 {ADDRESS} 个字"
            ),
            format!(
                "the address begins with http:// or https://, holds no name, password or space, and has {ADDRESS} characters at most"
            ),
        );
    }
    if let Err(why) = Schedule::cron(&new.cron) {
        add(
            "cron",
            "计划应为五段 cron，如 30 2 * * *（每天 2:30）".to_owned(),
            format!("the schedule is a cron pattern of five fields, as 30 2 * * *: {why}"),
        );
    }
    if !app.store.regions_list().await?.iter().any(|r| r.code == new.region) {
        add(
            "region",
            "没有该行政区划，请使用 GB/T 2260 中本省的代码".to_owned(),
            "there is no such region (GB/T 2260)".to_owned(),
        );
    }
    let org = app.store.org_get(&new.org).await?;
    if org.is_none() {
        add("org", "没有登记该机构".to_owned(), "the organisation is not registered".to_owned());
    }
    match org.filter(|_| faults.is_empty()) {
        Some(org) => Ok(org),
        None => Err(Error::invalid(
            format!("采集源有 {} 处需要改正", faults.len()),
            format!("{} fields of the source have to be mended", faults.len()),
        )
        .with_fields(faults)),
    }
}

/// An address of the web without a name or a password before its host. Where it leads is decided when it is asked.
fn address_ok(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let Some(rest) = rest else { return false };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    !host.is_empty()
        && !host.contains('@')
        && !url.chars().any(|c| c.is_whitespace() || c.is_control())
        && url.chars().count() <= ADDRESS
}

/// Lets a source rest; a turn under way comes to its end.
pub async fn pause(app: &App, op: &Op, id: &str) -> Result<()> {
    wish(app, op, id, HarvestWish::Pause, "harvest.pause").await
}

/// Lets a source go by its schedule again.
pub async fn resume(app: &App, op: &Op, id: &str) -> Result<()> {
    wish(app, op, id, HarvestWish::Run, "harvest.resume").await
}

async fn wish(app: &App, op: &Op, id: &str, wish: HarvestWish, word: &str) -> Result<()> {
    let (mut source, permit) = held(app, op, id, Action::HarvestKeep).await?;
    source.wish = wish;
    source.due = due_after(app, &source.cron, op.at);
    app.store.harvest_source_update(&permit, &source).await?;
    told(app, op, word, &source).await
}

/// Begins a turn now. `whole`: everything is looked at; `accepts_loss`: also when most of it is gone, which is then believed.
pub async fn run(
    app: &App,
    op: &Op,
    id: &str,
    (whole, accepts_loss): (bool, bool),
) -> Result<HarvestTurn> {
    let (source, permit) = held(app, op, id, Action::HarvestKeep).await?;
    let turn = new_turn(app, op, &source, whole, accepts_loss);
    if !app.store.harvest_turn_open(&permit, &turn, &op.stamp()).await? {
        return Err(busy());
    }
    let word = if accepts_loss { "harvest.run_accepting_loss" } else { "harvest.run" };
    told(app, op, word, &source).await?;
    Ok(turn)
}

fn busy() -> Error {
    Error::new(
        Code::WrongState,
        "该采集源已有一次采集在等待或进行中，请等它结束",
        "a turn of this source waits or runs already: wait for its end",
    )
}

/// Turns of a source, newest first.
pub async fn turns(
    app: &App,
    op: &Op,
    id: &str,
    before: Option<&str>,
    limit: u32,
) -> Result<Page<HarvestTurn>> {
    held(app, op, id, Action::HarvestRead).await?;
    let limit = if limit == 0 { 20 } else { limit.min(200) };
    let turns = app.store.harvest_turns(id, before, limit + 1).await?;
    Ok(Page::cut(turns, limit, |t| t.id.clone()))
}

/// One turn of a source: what it brought so far.
pub async fn report(app: &App, op: &Op, id: &str, turn: &str) -> Result<HarvestTurn> {
    held(app, op, id, Action::HarvestRead).await?;
    let record = app.store.harvest_turn_get(turn).await?.filter(|r| r.turn.source == id);
    let shown: String = turn.chars().take(80).collect();
    let mut turn =
        record.map(|r| r.turn).ok_or_else(|| Error::not_found("采集报告", "turn", &shown))?;
    if matches!(turn.state, HarvestState::Waiting | HarvestState::Running) {
        turn.figures = counted(app, &turn).await?;
    }
    Ok(turn)
}

/// What a turn could not take, each with its field and what to mend, in pages by foreign id.
pub async fn refusals(
    app: &App,
    op: &Op,
    id: &str,
    turn: &str,
    after: Option<&str>,
    limit: u32,
) -> Result<Page<HarvestRefusal>> {
    let turn = report(app, op, id, turn).await?;
    let limit = if limit == 0 { 50 } else { limit.min(500) };
    let found = app.store.harvest_refusals(&turn.id, after.unwrap_or_default(), limit + 1).await?;
    Ok(Page::cut(found, limit, |r| r.foreign_id.clone()))
}

/// Where an entry comes from, if another catalogue brought it. The caller has seen the entry, which is what is open about it.
pub async fn origin(app: &App, code: &str) -> Result<Option<HarvestOrigin>> {
    if !brought(code) {
        return Ok(None);
    }
    app.store.harvest_origin_of(code).await
}

/// The same of many entries, by code; those that no other catalogue brought are not in it.
pub async fn origins(app: &App, codes: &[&str]) -> Result<HashMap<String, HarvestOrigin>> {
    let codes: Vec<&str> = codes.iter().copied().filter(|c| brought(c)).collect();
    if codes.is_empty() {
        return Ok(HashMap::new());
    }
    let found = app.store.harvest_origins_of(&codes).await?;
    Ok(found.into_iter().map(|o| (o.entry.clone(), o)).collect())
}

/// Whether an entry's code is one that harvest gives.
pub(crate) fn brought(code: &str) -> bool {
    code.starts_with(CODE)
}

async fn told(app: &App, op: &Op, word: &str, source: &HarvestSource) -> Result<()> {
    let event = AuditEvent {
        scope: format!("{} {} {}", source.kind, source.becomes, source.region),
        reason: source.name.clone(),
        ..audit::event(op, word, &source.id)
    };
    audit::record(app, event).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_of_the_web_and_hold_no_secret() {
        for good in ["https://a.example/", "http://a.example:8080/catalog.ttl?page=1"] {
            assert!(address_ok(good), "{good}");
        }
        for bad in [
            "",
            "a.example",
            "ftp://a.example/",
            "https://",
            "https://u:p@a.example/",
            "https://a b/",
        ] {
            assert!(!address_ok(bad), "{bad}");
        }
    }
}
