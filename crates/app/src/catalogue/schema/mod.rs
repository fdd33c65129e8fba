//! Entries from a department's database (库表导入): a stored source says what tables it holds, the chosen ones become
//! draft entries with their comments, keys and types; later looks (`drift`) open a task where a table has changed.

mod compare;
mod drift;
mod take;

use std::collections::HashMap;

use model::asset::{Ledger, LinkKind, Node};
use model::audit::AuditEvent;
use model::code::{OpenType, ShareType, UpdateCycle};
use model::entry::{Entry, EntryDraft};
use model::item::Item;
use model::schema::{LeftOut, Origin, RelationKind, SourceTable, TableName};
use model::source::DataSource;
use model::{Code, Error, Kind, Op, Result};
use policy::{Action, Target};
use serde::Serialize;

use super::{apply, blank, change_new, check, known, refuse_faults, settled, tidy};
use crate::collection::source;
use crate::{App, audit, ledger};

pub(crate) use drift::look_at;
pub use drift::{DriftSeen, Looked, count, drift, drifts, look, of_entry};
pub use take::{dismiss, take};

/// Tables of one page of a survey.
pub const PAGE: usize = 100;

/// What a source holds, a page of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Survey {
    pub source: DataSource,
    /// Name and version of the server.
    pub product: String,
    pub tables: Vec<Found>,
    /// Tables of the source that the search fits, and position of the next page.
    pub total: usize,
    pub next: Option<String>,
    /// The source holds more tables than a look lists.
    pub more: bool,
    pub left_out: Vec<LeftOut>,
}

/// A table of a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    pub table: SourceTable,
    /// What names it in a form.
    pub key: String,
    /// Whether it can be drafted from.
    pub offered: bool,
    /// The entry that was drafted from it.
    pub entry: Option<(String, String)>,
}

/// Which tables are to be drafted from, and what all their entries have in common.
#[derive(Clone, Debug)]
pub struct DraftOrder {
    pub source: String,
    pub tables: Vec<TableName>,
    pub region: String,
    pub update_cycle: UpdateCycle,
    /// Written as the condition of sharing: entries begin as restricted and not open.
    pub share_condition: String,
    /// Id or code of the application that the tables belong to.
    pub application: Option<String>,
}

/// What became of one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Drafted {
    pub table: String,
    pub done: bool,
    /// The entry: id, code, title.
    pub entry: Option<(String, String, String)>,
    pub items: usize,
    /// What should be known of its columns: name, Chinese, English.
    pub notes: Vec<(String, String, String)>,
    /// Findings against the rule packs that wait for a person.
    pub findings: usize,
    pub zh: String,
    pub en: String,
}

/// Looks at what tables a source holds; `text` narrows by part of name or comment, `after` is the last one seen.
pub async fn survey(
    app: &App,
    op: &Op,
    id: &str,
    text: Option<&str>,
    after: Option<&str>,
) -> Result<Survey> {
    let (source, url, _) = source::reach(app, op, id).await?;
    let found = app.intake.describe(&url, None).await?;
    recorded(app, op, "source.survey", &source, found.tables.len(), String::new()).await?;
    let drafted: HashMap<TableName, String> =
        app.store.origins_of(id).await?.into_iter().map(|o| (o.table.of, o.entry)).collect();
    let part = text.unwrap_or_default().trim().to_lowercase();
    let fits = |t: &SourceTable| {
        part.is_empty()
            || t.of.dotted().to_lowercase().contains(&part)
            || t.comment.to_lowercase().contains(&part)
    };
    let mut tables: Vec<SourceTable> = found.tables.into_iter().filter(fits).collect();
    tables.sort_by(|a, b| a.of.cmp(&b.of));
    let total = tables.len();
    if let Some(after) = after.and_then(TableName::parse) {
        tables.retain(|t| t.of > after);
    }
    let further = tables.len() > PAGE;
    tables.truncate(PAGE);
    let next = tables.last().filter(|_| further).map(|t| t.of.key());
    let ids: Vec<String> = tables.iter().filter_map(|t| drafted.get(&t.of).cloned()).collect();
    let titles: HashMap<String, String> =
        app.store.entry_heads(&ids).await?.into_iter().map(|e| (e.id, e.draft.title)).collect();
    let tables = tables
        .into_iter()
        .map(|table| {
            let entry = drafted
                .get(&table.of)
                .and_then(|id| titles.get(id).map(|title| (id.clone(), title.clone())));
            let offered = table.kind == RelationKind::Table && entry.is_none();
            Found { key: table.of.key(), offered, entry, table }
        })
        .collect();
    Ok(Survey {
        source,
        product: found.product,
        tables,
        total,
        next,
        more: found.more,
        left_out: found.left_out,
    })
}

/// Drafts entries (unpublished) from tables of a source, and says of each what became of it.
pub async fn draft(app: &App, op: &Op, order: &DraftOrder) -> Result<Vec<Drafted>> {
    let most = app.rules.catalogue.size.tables;
    if order.tables.is_empty() {
        return Err(Error::invalid("请选择要编目的表", "choose the tables to catalogue").field(
            "tables",
            "至少选择一张表",
            "choose one at least",
        ));
    }
    if order.tables.len() > most {
        return Err(Error::invalid(
            format!("一次最多编目 {most} 张表，请分批"),
            format!("{most} tables can be catalogued at once at most; do it in lots"),
        ));
    }
    let (source, url, _) = source::reach(app, op, &order.source).await?;
    let compile = Target::of_org("Entry", "schema", &source.org);
    audit::permit(app, op, Action::EntryCompile, &compile).await?;
    let application = match order.application.as_deref().filter(|a| !a.is_empty()) {
        Some(word) => Some(application(app, op, word).await?),
        None => None,
    };
    let found = app.intake.describe(&url, Some(&order.tables)).await?;
    let drafted: HashMap<TableName, String> = app
        .store
        .origins_of(&source.id)
        .await?
        .into_iter()
        .map(|o| (o.table.of, o.entry))
        .collect();
    let mut report = Vec::with_capacity(order.tables.len());
    for wanted in &order.tables {
        let Some(table) = found.tables.iter().find(|t| t.of == *wanted) else {
            report.push(refused(
                wanted,
                "表不存在或无权查看",
                "there is no such table, or the account may not see it",
            ));
            continue;
        };
        if table.kind != RelationKind::Table {
            let (zh, en) = (table.kind.zh(), table.kind.en());
            report.push(refused(
                wanted,
                &format!("{zh}不编目，请为其来源表编目"),
                &format!("a {en} is not catalogued; catalogue the tables it is made of"),
            ));
            continue;
        }
        if drafted.contains_key(wanted) {
            report.push(refused(wanted, "该表已编目", "this table has been catalogued already"));
            continue;
        }
        report.push(one(app, op, order, &source, application.as_ref(), table).await?);
    }
    let made = report.iter().filter(|d| d.done).count();
    let tables: Vec<String> = order.tables.iter().take(20).map(TableName::dotted).collect();
    recorded(app, op, "source.draft", &source, made, tables.join(" ")).await?;
    Ok(report)
}

fn refused(table: &TableName, zh: &str, en: &str) -> Drafted {
    Drafted {
        table: table.dotted(),
        done: false,
        entry: None,
        items: 0,
        notes: Vec::new(),
        findings: 0,
        zh: zh.to_owned(),
        en: en.to_owned(),
    }
}

/// An application of the ledger, by id or code.
async fn application(app: &App, op: &Op, word: &str) -> Result<model::asset::Asset> {
    let found = match ledger::by_code(app, op, Ledger::Application, word).await {
        Err(e) if e.kind() == Kind::NotFound => ledger::get(app, op, word).await,
        other => other,
    };
    found.map_err(|e| match e.kind() {
        Kind::NotFound => Error::not_found("应用", "application", word).field(
            "application",
            "请填写应用台账中的编号",
            "give the code of an application in the ledger",
        ),
        _ => e,
    })
}

async fn one(
    app: &App,
    op: &Op,
    order: &DraftOrder,
    source: &DataSource,
    application: Option<&model::asset::Asset>,
    table: &SourceTable,
) -> Result<Drafted> {
    let draft = tidy(entry_of(app, order, source, application, table).await?);
    let mut report = Drafted { done: true, items: draft.items.len(), ..refused(&table.of, "", "") };
    report.notes = table
        .columns
        .iter()
        .filter(|c| !c.note.0.is_empty())
        .map(|c| (c.name.clone(), c.note.0.clone(), c.note.1.clone()))
        .collect();
    report.findings = super::standard::lint(&app.rules.packs, op.today(), &draft).len();
    match enter(app, op, source, table, draft).await {
        Ok(entry) => {
            let linked = match application {
                Some(a) => link(app, op, &entry, &a.id).await?,
                None => None,
            };
            (report.zh, report.en) = linked.unwrap_or_else(|| {
                (
                    "已生成草稿，请补全后提交审核".to_owned(),
                    "drafted; complete it and hand it in".to_owned(),
                )
            });
            report.entry = Some((entry.id, entry.draft.code, entry.draft.title));
        }
        // What concerns this table only is told beside it.
        Err(e) if matches!(e.kind(), Kind::Invalid | Kind::Conflict | Kind::TooLarge) => {
            report.done = false;
            let place: Vec<&str> = e.fields().iter().map(|f| f.field.as_str()).take(5).collect();
            let place =
                if place.is_empty() { String::new() } else { format!(" [{}]", place.join(", ")) };
            (report.zh, report.en) = (format!("{}{place}", e.zh()), format!("{}{place}", e.en()));
        }
        Err(e) => return Err(e),
    }
    Ok(report)
}

/// The new entry and the table it came from, in one transaction.
async fn enter(
    app: &App,
    op: &Op,
    source: &DataSource,
    table: &SourceTable,
    draft: EntryDraft,
) -> Result<Entry> {
    refuse_faults(check(app, &draft))?;
    known(app, &draft).await?;
    let mut change = change_new(op, draft, "create");
    let target = Target::entry(&change.held.entry);
    let permit = audit::permit(app, op, Action::EntryCompile, &target).await?;
    change.origin = Some(Origin {
        entry: change.held.entry.id.clone(),
        source: source.id.clone(),
        org: source.org.clone(),
        at: op.stamp(),
        table: table.clone(),
    });
    change.reason = format!("{} {}", source.name, table.of.dotted());
    let reason = change.reason.clone();
    apply(app, op, &permit, std::slice::from_mut(&mut change)).await?;
    settled(app, op, "entry.create", &change, reason).await
}

/// Links the entry to the application that produces it; a refusal is told, the draft stays.
async fn link(
    app: &App,
    op: &Op,
    entry: &Entry,
    application: &str,
) -> Result<Option<(String, String)>> {
    let (from, to) = (Node::entry(&entry.id), Node::asset(Ledger::Application, application));
    match ledger::link(app, op, &from, &to, LinkKind::ProducedBy).await {
        Ok(_) => Ok(None),
        Err(e) if matches!(e.kind(), Kind::Denied | Kind::Invalid | Kind::NotFound) => Ok(Some((
            format!("已生成草稿，但未能与应用建立关联：{}", e.zh()),
            format!("drafted, but not linked to the application: {}", e.en()),
        ))),
        Err(e) => Err(e),
    }
}

/// The declaration that a table makes.
async fn entry_of(
    app: &App,
    order: &DraftOrder,
    source: &DataSource,
    application: Option<&model::asset::Asset>,
    table: &SourceTable,
) -> Result<EntryDraft> {
    let comment = table.comment.trim();
    let title: String = comment
        .split(['：', ':', '，', ',', '；', ';', '。', '\n', '\r'])
        .next()
        .map(str::trim)
        .filter(|t| !t.is_empty())
        .unwrap_or(&table.of.name)
        .chars()
        .take(app.rules.catalogue.size.title)
        .collect();
    let place = format!("{}（{}）", source.name, table.of.dotted());
    let description = match comment.is_empty() || comment == title {
        true => format!("{title}，取自数据源 {place}。"),
        false => format!("{comment}。取自数据源 {place}。"),
    };
    let items = items(table);
    let application_name = application.map_or(String::new(), |a| a.draft.name.clone());
    Ok(EntryDraft {
        code: code(app, source, table).await?,
        title,
        title_en: if table.of.name.is_ascii() {
            table.of.name.replace('_', " ")
        } else {
            String::new()
        },
        description: description.chars().take(app.rules.catalogue.size.description).collect(),
        update_cycle: order.update_cycle,
        share_condition: order.share_condition.clone(),
        source_system: if application_name.is_empty() {
            source.name.clone()
        } else {
            application_name
        },
        items,
        ..blank(&source.org, &order.region)
    })
}

/// Items of the columns that the catalogue has a type for: restricted and not open until someone says otherwise.
fn items(table: &SourceTable) -> Vec<Item> {
    table
        .columns
        .iter()
        .filter_map(|c| {
            let mut item = c.item.clone()?;
            item.primary = table.primary.contains(&c.name);
            item.lookup = !item.primary && table.unique.iter().any(|u| *u == [c.name.clone()]);
            if item.primary {
                item.nullable = false;
            }
            closed(&mut item);
            Some(item)
        })
        .collect()
}

/// Shares nothing without conditions and opens nothing: a person decides that.
fn closed(item: &mut Item) {
    if item.share_type == ShareType::Unconditional {
        item.share_type = ShareType::Restricted;
    }
    item.open_type = OpenType::None;
}

/// A code that nobody uses: the table's name, with the schema's and the database's before it where it is taken.
async fn code(app: &App, source: &DataSource, table: &SourceTable) -> Result<String> {
    let plain = |text: &str| -> String {
        let mut out = String::new();
        for c in text.chars() {
            let c = c.to_ascii_lowercase();
            if c.is_ascii_alphanumeric() {
                out.push(c);
            } else if !out.is_empty() && !out.ends_with('_') {
                out.push('_');
            }
        }
        out.trim_end_matches('_').chars().take(44).collect()
    };
    let fit = |text: String| -> String {
        let text =
            if text.starts_with(|c: char| c.is_ascii_lowercase()) && !text.starts_with("dsc_") {
                text
            } else {
                format!("t_{text}")
            };
        if text.len() < 2 { "table_1".to_owned() } else { text }
    };
    let (name, schema, base) =
        (plain(&table.of.name), plain(&table.of.schema), plain(&source.database));
    let join = |a: &str, b: &str| plain(&format!("{a}_{b}"));
    let first = fit(name.clone());
    let wider = [first.clone(), fit(join(&schema, &name)), fit(join(&base, &name))];
    let numbered = (2..1000).map(|n| format!("{first}_{n}"));
    for candidate in wider.into_iter().chain(numbered) {
        if app.store.entry_get(&candidate).await?.is_none() {
            return Ok(candidate);
        }
    }
    Err(Error::new(
        Code::Duplicate,
        format!("找不到可用的目录编码（{first}_2 至 _999 均已使用），请手工编目"),
        format!("no free code was found ({first}_2 to _999 are taken): compile the entry by hand"),
    ))
}

async fn recorded(
    app: &App,
    op: &Op,
    word: &str,
    source: &DataSource,
    rows: usize,
    scope: String,
) -> Result<()> {
    let event = AuditEvent {
        rows: rows as u64,
        scope,
        reason: format!("{} {}", source.name, source.place()),
        ..audit::event(op, word, &source.id)
    };
    audit::record(app, event).await
}
