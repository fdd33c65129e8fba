//! What people do with rails. Whoever may collect into an organisation's entries (`data.collect`) keeps its rails.

use std::sync::Arc;

use model::audit::AuditEvent;
use model::entry::Entry;
use model::parcel::RunState;
use model::rail::{
    Rail, RailFigures, RailIncident, RailNew, RailState, RailTable, RailWish, TableFigures,
};
use model::schema::TableName;
use model::{Code, Error, Op, Result};
use policy::port::{RailAddress, RailBinding, RailSurvey};
use policy::{Action, Permit, Target};
use serde::Serialize;
use store::rail::RailRecord;

use super::work::{self, OWNER};
use crate::{App, Page, audit, catalogue, channel, collection};

/// A rail with its tables, to be shown.
#[derive(Clone, Debug, Serialize)]
pub struct RailView {
    #[serde(flatten)]
    pub rail: Rail,
    pub figures: RailFigures,
    pub tables: Vec<TableView>,
    /// Incidents that wait for a person.
    pub open_incidents: u64,
}

/// A table of it.
#[derive(Clone, Debug, Serialize)]
pub struct TableView {
    #[serde(flatten)]
    pub table: RailTable,
    pub figures: TableFigures,
}

/// A page of rails.
pub type RailPage = Page<RailView>;

/// Rails of the caller's organisation; all of them for the platform itself.
pub async fn list(app: &App, op: &Op, after: Option<&str>, limit: u32) -> Result<RailPage> {
    let org = channel::own(app, op, "rails").await?;
    let limit = if limit == 0 { 50 } else { limit.min(200) };
    let records = app.store.rail_list(org.as_deref(), after, limit + 1).await?;
    let Page { items: records, next } = Page::cut(records, limit, |r| r.rail.id.clone());
    let mut items = Vec::new();
    for record in records {
        items.push(view(app, record).await?);
    }
    Ok(Page { items, next })
}

/// One rail. One that the caller may not keep is not found.
pub async fn get(app: &App, op: &Op, id: &str) -> Result<RailView> {
    let (record, _) = known(app, op, id).await?;
    view(app, record).await
}

/// Incidents of a rail, newest first.
pub async fn incidents(
    app: &App,
    op: &Op,
    id: &str,
    before: Option<&str>,
    limit: u32,
) -> Result<Page<RailIncident>> {
    let (record, _) = known(app, op, id).await?;
    let limit = if limit == 0 { 50 } else { limit.min(200) };
    let items = app.store.rail_incidents(&record.rail.id, before, limit + 1).await?;
    Ok(Page::cut(items, limit, |i| i.id.clone()))
}

async fn view(app: &App, record: RailRecord) -> Result<RailView> {
    let tables = app.store.rail_tables(&record.rail.id).await?;
    let open_incidents = app.store.rail_open_incidents(&record.rail.id).await?;
    Ok(RailView {
        rail: record.rail,
        figures: record.figures,
        tables: tables
            .into_iter()
            .map(|kept| TableView { table: kept.table, figures: kept.figures })
            .collect(),
        open_incidents,
    })
}

async fn known(app: &App, op: &Op, id: &str) -> Result<(RailRecord, Permit)> {
    let missing = || Error::not_found("数据高铁", "rail", id);
    let record = app.store.rail_get(id).await?.ok_or_else(missing)?;
    let target = Target::of_org("Entry", id, &record.rail.org);
    let permit = audit::permit_hidden(app, op, Action::DataCollect, &target, id, missing).await?;
    Ok((record, permit))
}

/// Tables that a stored source offers.
pub async fn survey(app: &App, op: &Op, source: &str) -> Result<RailSurvey> {
    let source = collection::source::get(app, op, source).await?;
    let at = RailAddress {
        url: collection::source::url_of(app, &source.id).await?.to_string(),
        slot: String::new(),
        publication: String::new(),
        given: false,
        from: String::new(),
    };
    app.rails.port.survey(&at, &[]).await
}

/// What stands in the way of a rail, table by table. Nothing is changed anywhere.
pub async fn check(app: &App, op: &Op, new: &RailNew) -> Result<RailSurvey> {
    let source = collection::source::get(app, op, &new.source).await?;
    if new.tables.is_empty() {
        return Err(Error::invalid("请至少选择一张表", "choose at least one table").field(
            "tables",
            "请选择",
            "choose",
        ));
    }
    let mut bindings = Vec::new();
    for (place, entry) in &new.tables {
        let entry = collected(app, op, entry).await?;
        bindings.push(RailBinding {
            place: place.clone(),
            items: entry.draft.items.clone(),
            known: Vec::new(),
        });
    }
    let at = RailAddress {
        url: collection::source::url_of(app, &source.id).await?.to_string(),
        slot: new.slot.clone(),
        publication: new.publication.clone(),
        given: !new.slot.is_empty(),
        from: String::new(),
    };
    app.rails.port.survey(&at, &bindings).await
}

/// An entry the caller may collect into.
async fn collected(app: &App, op: &Op, entry: &str) -> Result<Entry> {
    let entry = catalogue::get(app, op, entry).await?;
    audit::permit(app, op, Action::DataCollect, &Target::entry(&entry)).await?;
    Ok(entry)
}

/// Makes a rail; it begins within a second or so. What stands in the way is told and nothing is made.
pub async fn create(app: &Arc<App>, op: &Op, new: RailNew) -> Result<RailView> {
    let source = collection::source::get(app, op, &new.source).await?;
    let target = Target::of_org("Entry", "rails", &source.org);
    let permit = audit::permit(app, op, Action::DataCollect, &target).await?;
    let new = named(new)?;
    fit(&check(app, op, &new).await?)?;
    let id = op.new_id();
    let word = format!("qt_{}", id.replace(|c: char| !c.is_ascii_alphanumeric(), ""));
    let given = !new.slot.is_empty();
    let rules = &app.rules.rail;
    let rail = Rail {
        org: source.org.clone(),
        name: new.name.clone(),
        source: source.id.clone(),
        source_name: source.name.clone(),
        place: source.place(),
        slot: if given { new.slot.clone() } else { word.to_ascii_lowercase() },
        publication: if given { new.publication.clone() } else { word.to_ascii_lowercase() },
        given,
        policy: new.policy.unwrap_or(model::rail::RailPolicy::Hold),
        alarm_bytes: new.alarm_bytes.unwrap_or(rules.alarm_bytes).max(1),
        ceiling_bytes: new.ceiling_bytes.unwrap_or(rules.ceiling_bytes).max(1),
        wish: RailWish::Run,
        created_at: op.stamp(),
        created_by: op.actor.name().to_owned(),
        id,
    };
    let mut tables = Vec::new();
    for (place, entry) in &new.tables {
        let entry = collected(app, op, entry).await?;
        let name = format!("{} {place}", source.name);
        let collect = audit::permit(app, op, Action::DataCollect, &Target::entry(&entry)).await?;
        tables.push(RailTable {
            rail: rail.id.clone(),
            place: place.clone(),
            run: work::run_of(app, op, &collect, &entry, &name).await?,
            entry_code: entry.draft.code.clone(),
            entry_title: entry.draft.title.clone(),
            entry: entry.id,
            anew: false,
        });
    }
    if let Err(error) = app.store.rail_insert(&permit, &rail, &tables).await {
        end_runs(app, &permit, &tables).await?;
        return Err(error);
    }
    record(app, op, "rail.create", &rail, &new.tables.len().to_string()).await?;
    known_tables(app, op, &permit, &rail, tables.iter()).await;
    get(app, op, &rail.id).await
}

/// Has the catalogue know what tables are like now, so that a later change of one is a draft for the owner of its entry
/// (`catalogue::schema`); answers whether one is open. The rail goes on without, when the source cannot be asked.
pub(super) async fn known_tables(
    app: &App,
    op: &Op,
    permit: &Permit,
    rail: &Rail,
    tables: impl Iterator<Item = &RailTable>,
) -> bool {
    let looked = async {
        let mut known = Vec::new();
        for table in tables {
            let (schema, name) = table.place.split_once('.').unwrap_or(("public", &table.place));
            let of = TableName { schema: schema.to_owned(), name: name.to_owned() };
            known.extend(app.store.entry_get(&table.entry).await?.map(|entry| (entry, of)));
        }
        let source = (rail.source.as_str(), rail.source_name.as_str());
        catalogue::schema::look_at(app, op, permit, source, &known).await
    };
    match looked.await {
        Ok(open) => !open.is_empty(),
        Err(error) => {
            let error = error.operator_text();
            tracing::warn!(rail.id = rail.id, error, "a rail's tables were not compared");
            false
        }
    }
}

fn named(mut new: RailNew) -> Result<RailNew> {
    for text in [&mut new.name, &mut new.slot, &mut new.publication] {
        *text = text.trim().to_owned();
    }
    if new.name.is_empty()
        || new.name.chars().count() > 100
        || new.name.chars().any(char::is_control)
    {
        return Err(Error::invalid(
            "请填写名称（最多 100 字）",
            "give a name (100 characters at most)",
        )
        .field("name", "请填写名称", "give a name"));
    }
    if new.slot.is_empty() != new.publication.is_empty() {
        return Err(Error::invalid(
            "复制槽与发布须同时填写，或都留空由平台创建",
            "name both slot and publication, or neither to have them made",
        )
        .field("slot", "请核对", "check"));
    }
    let word = |text: &str| {
        text.len() <= 63
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    if !word(&new.slot) || !word(&new.publication) {
        return Err(Error::invalid(
            "复制槽与发布的名称只能含小写字母、数字和下划线",
            "names of slots and publications hold a-z, 0-9 and _ only",
        )
        .field("slot", "请核对", "check"));
    }
    let mut seen = std::collections::HashSet::new();
    if let Some((place, _)) = new.tables.iter().find(|(place, _)| !seen.insert(place.clone())) {
        return Err(Error::invalid(
            format!("表 {place} 选择了两次"),
            format!("table {place} was chosen twice"),
        ));
    }
    Ok(new)
}

/// Refuses with everything that stands in the way.
fn fit(survey: &RailSurvey) -> Result<()> {
    let mut error = Error::new(
        Code::RuleBroken,
        "数据源尚不满足实时同步的条件",
        "the source cannot be followed yet",
    );
    for (zh, en) in &survey.faults {
        error = error.field("source", zh.clone(), en.clone());
    }
    for table in &survey.tables {
        for (zh, en) in &table.faults {
            error = error.field(table.place.clone(), zh.clone(), en.clone());
        }
    }
    if error.fields().is_empty() { Ok(()) } else { Err(error) }
}

/// Lets a rail rest where it stands; the source keeps its log meanwhile, up to the ceiling.
pub async fn pause(app: &App, op: &Op, id: &str) -> Result<()> {
    let (record, permit) = known(app, op, id).await?;
    let mut rail = record.rail;
    rail.wish = RailWish::Pause;
    app.store.rail_update(&permit, &rail).await?;
    self::record(app, op, "rail.pause", &rail, "").await
}

/// Goes on: after a pause, after a schema change was looked at, after a safe stop.
pub async fn resume(app: &App, op: &Op, id: &str) -> Result<()> {
    let (record, permit) = known(app, op, id).await?;
    let mut rail = record.rail;
    rail.wish = RailWish::Run;
    app.store.rail_settle(&permit, id).await?;
    app.store.rail_update(&permit, &rail).await?;
    app.rails.following.at_once(id);
    self::record(app, op, "rail.resume", &rail, record.figures.state.as_str()).await
}

/// What is set for a rail instead of the rule file's: error budget, reconciliation.
pub async fn rule(app: &App, op: &Op, id: &str) -> Result<model::oversight::ChannelRule> {
    known(app, op, id).await?;
    crate::oversight::rule(app, &model::oversight::rail_channel(id)).await
}

/// Sets it. A rail at work is taken up anew with it, at once.
pub async fn set_rule(
    app: &App,
    op: &Op,
    id: &str,
    rule: &model::oversight::ChannelRule,
) -> Result<()> {
    let (record, _) = known(app, op, id).await?;
    let channel = model::oversight::rail_channel(id);
    crate::oversight::set(app, op, &record.rail.org, &channel, rule).await
}

/// Has tables (all, or one) read anew as a whole, each replacing what the lake shows in one step.
pub async fn heal(app: &App, op: &Op, id: &str, place: Option<&str>) -> Result<()> {
    let (record, permit) = known(app, op, id).await?;
    let marked = app.store.rail_anew(&permit, id, place, true).await?;
    if marked == 0 {
        let place = place.unwrap_or_default();
        return Err(Error::not_found("数据高铁的表", "table of the rail", place));
    }
    self::record(app, op, "rail.heal", &record.rail, place.unwrap_or("*")).await
}

/// Ends a rail: slot and publication are given up at the source. What it brought stays. A source that cannot be reached
/// is told, unless `force`: then its keepers must drop the slot themselves.
pub async fn remove(app: &App, op: &Op, id: &str, force: bool) -> Result<()> {
    let (record, permit) = known(app, op, id).await?;
    let mut rail = record.rail;
    rail.wish = RailWish::Pause;
    app.store.rail_update(&permit, &rail).await?;
    let at = work::address(app, &rail, &record.figures).await?;
    match app.rails.port.release(&at, true).await {
        Ok(()) => {}
        Err(error) if force => tracing::warn!(
            rail.id = id,
            error = error.operator_text(),
            "a rail was removed without its slot"
        ),
        Err(error) => {
            return Err(Error::new(
                Code::SourceUnavailable,
                format!(
                    "无法在数据源释放复制槽 {}：{}；请稍后重试，或强制移除后由数据源管理员删除复制槽",
                    rail.slot,
                    error.zh()
                ),
                format!(
                    "the slot {} could not be given up at the source: {}; try again, or remove by force and have the slot dropped there",
                    rail.slot,
                    error.en()
                ),
            ));
        }
    }
    let tables = app.store.rail_tables(id).await?;
    let tables: Vec<RailTable> = tables.into_iter().map(|kept| kept.table).collect();
    // The runs first: nothing names them any more when the rail is gone.
    end_runs(app, &permit, &tables).await?;
    app.store.rail_delete(&permit, id).await?;
    self::record(app, op, "rail.remove", &rail, if force { "force" } else { "" }).await
}

async fn end_runs(app: &App, permit: &Permit, tables: &[RailTable]) -> Result<()> {
    for table in tables {
        if let Some(mut run) = app.store.run_get(&table.run).await?.map(|r| r.run) {
            run.state = RunState::Succeeded;
            run.finished_at = Some(model::op::stamp(app.now()));
            app.store.run_update(permit, OWNER, &run).await?;
        }
    }
    Ok(())
}

async fn record(app: &App, op: &Op, word: &str, rail: &Rail, scope: &str) -> Result<()> {
    let event = AuditEvent {
        scope: scope.to_owned(),
        reason: format!("{} {}", rail.name, rail.place),
        ..audit::event(op, word, &rail.id)
    };
    audit::record(app, event).await
}

/// Whether a rail waits for a person.
impl RailView {
    #[must_use]
    pub fn waits(&self) -> bool {
        self.open_incidents > 0
            || matches!(
                self.figures.state,
                RailState::Held | RailState::Stopped | RailState::Refused
            )
    }
}
