//! Results of jobs: from what they were made, whether they may still be read, and drafts of catalogue entries from them.

use std::collections::HashMap;
use std::sync::Arc;

use model::code::{DataType, Grade, OnlineState, OpenType, PublishState, ShareType};
use model::entry::{Entry, EntryDraft, Profile};
use model::item::Item;
use model::project::result::{Made, MadeBy, MadeColumn, MadeFrom, MadeItem, ProjectResult};
use model::{Code, Error, Op, Result};
use policy::Action;
use policy::port::{SqlColumn, SqlTable};
use serde::Serialize;

use super::room::{application, granted};
use super::{Held, held, seen};
use crate::sharing::Stopped;
use crate::wire::desk::Desk;
use crate::{App, audit, catalogue};

/// A result as members see it.
#[derive(Clone, Debug, Serialize)]
pub struct ResultView {
    pub result: ProjectResult,
    pub readable: bool,
    /// Why not.
    pub zh: String,
    pub en: String,
}

/// Results of a project, each with whether it may be read now.
pub async fn results(app: &Arc<App>, op: &Op, id: &str) -> Result<Vec<ResultView>> {
    let held = seen(app, op, id).await?;
    of(app, op, &held).await
}

pub(super) async fn of(app: &Arc<App>, op: &Op, held: &Held) -> Result<Vec<ResultView>> {
    let found = app.store.project_results(&held.project.id).await?;
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let now = match application(app, held, &op.source).await {
        Ok(own) => granted(&Desk::new(Arc::clone(app)), held, &own).await?,
        Err(_) => Vec::new(),
    };
    Ok(views(found, &now))
}

/// Results, each with whether it may be read by what is granted now.
pub(super) fn views(found: Vec<ProjectResult>, now: &[SqlTable]) -> Vec<ResultView> {
    found
        .into_iter()
        .map(|result| {
            let (zh, en) = match stands(&result.made.sources, now) {
                Ok(()) => Default::default(),
                Err(e) => (e.zh().to_owned(), e.en().to_owned()),
            };
            ResultView { readable: en.is_empty(), zh, en, result }
        })
        .collect()
}

/// Fails while something that a result was made from is under an emergency stop.
pub(super) fn going(sources: &[MadeFrom], stopped: &Stopped) -> Result<()> {
    let stop = sources.iter().find_map(|source| stopped.of(&source.code));
    stop.map_or(Ok(()), Err)
}

/// Fails, naming what has changed, unless everything a result was made from is granted now as it was then.
pub(super) fn stands(sources: &[MadeFrom], now: &[SqlTable]) -> Result<()> {
    for source in sources {
        let table = now.iter().find(|t| t.grant.code() == source.code).ok_or_else(|| {
            Error::new(
                Code::GrantExpired,
                format!("来源 `{}`（{}）的授权已撤销、到期或已移出项目，结果不能再读取", source.code, source.title),
                format!(
                    "`{}`, which it was made from, is not granted to the project any more: it can be read no more",
                    source.code
                ),
            )
        })?;
        let same = rows_of(table) == source.rows
            && source
                .items
                .iter()
                .all(|item| mask_of(table, &item.identifier).as_ref() == Some(&item.mask));
        if !same {
            return Err(Error::new(
                Code::GrantExpired,
                format!(
                    "来源 `{}`（{}）的授权范围已改变，请重新运行作业后再读取",
                    source.code, source.title
                ),
                format!(
                    "the grant of `{}`, which it was made from, has changed: run the job anew to read it",
                    source.code
                ),
            ));
        }
    }
    Ok(())
}

/// The row filter of a grant, as it is compared.
fn rows_of(table: &SqlTable) -> String {
    table.grant.row_filter().map(|f| format!("{f:?}")).unwrap_or_default()
}

/// How an item is masked; `None`: it is not granted.
fn mask_of(table: &SqlTable, identifier: &str) -> Option<String> {
    let column = table.grant.column(identifier)?;
    Some(column.mask.as_ref().map(model::mask::Mask::label).unwrap_or_default())
}

/// Granted resources behind what a statement reads; what it reads of results is followed to what they were made from.
pub(super) fn sources(
    tables: &[SqlTable],
    asked: &[(String, Vec<String>)],
    results: &[ProjectResult],
) -> Vec<MadeFrom> {
    let mut made = Made::default();
    for (code, columns) in asked {
        if let Some(result) = results.iter().find(|r| r.code() == code) {
            made.and(&result.made.sources);
            continue;
        }
        let Some(table) = tables.iter().find(|t| t.grant.code() == code) else { continue };
        let items = columns.iter().filter_map(|name| {
            let column = table.grant.column(name)?;
            Some(MadeItem {
                identifier: column.identifier.clone(),
                name_cn: column.name_cn.clone(),
                grade: column.grade,
                mask: column.mask.as_ref().map(model::mask::Mask::label).unwrap_or_default(),
            })
        });
        made.and(&[MadeFrom {
            code: code.clone(),
            title: table.title.clone(),
            request: table.grant.request().unwrap_or_default().to_owned(),
            items: items.collect(),
            rows: rows_of(table),
        }]);
    }
    made.sources
}

/// Results behind what a statement reads, with the statements that made them: those that it names, and those they were made from.
pub(super) fn behind(asked: &[(String, Vec<String>)], results: &[ProjectResult]) -> Vec<MadeBy> {
    let mut all = Vec::new();
    for result in results.iter().filter(|r| asked.iter().any(|(code, _)| r.code() == code)) {
        all.extend(result.made.behind.iter().cloned());
        all.push(MadeBy { code: result.code().to_owned(), sql: result.made.sql.clone() });
    }
    all.sort();
    all.dedup();
    all
}

/// What is known of the columns that a statement may read, by `table.column`.
pub(super) struct Origins(HashMap<String, Origin>);

struct Origin {
    name_cn: String,
    grade: Grade,
    masked: bool,
}

impl Origins {
    pub(super) fn of(sources: &[MadeFrom], results: &[ProjectResult]) -> Self {
        let mut all = HashMap::new();
        for source in sources {
            for item in &source.items {
                let origin = Origin {
                    name_cn: item.name_cn.clone(),
                    grade: item.grade,
                    masked: !item.mask.is_empty(),
                };
                all.insert(format!("{}.{}", source.code, item.identifier), origin);
            }
        }
        for result in results {
            for item in result.items() {
                let line = result.made.columns.iter().find(|c| c.name == item.identifier);
                let origin = Origin {
                    name_cn: item.name_cn.clone(),
                    grade: item.grade,
                    masked: line.is_some_and(|c| c.masked),
                };
                all.insert(format!("{}.{}", result.code(), item.identifier), origin);
            }
        }
        Self(all)
    }

    fn behind(&self, column: &SqlColumn) -> impl Iterator<Item = &Origin> {
        column.from.iter().filter_map(|name| self.0.get(name))
    }
}

/// Lineage of the columns of a result.
pub(super) fn columns(seen: &[SqlColumn], origins: &Origins) -> Vec<MadeColumn> {
    seen.iter()
        .map(|c| MadeColumn {
            name: c.item.identifier.clone(),
            masked: origins.behind(c).any(|o| o.masked),
            from: c.from.clone(),
            through: c.through.clone(),
            by: c.by.clone(),
        })
        .collect()
}

/// The table of a job as the lake knows it.
pub(super) fn table(
    held: &Held,
    name: &str,
    title: &str,
    items: Vec<Item>,
    op: &Op,
    region: &str,
) -> Entry {
    let project = &held.project;
    let draft = EntryDraft {
        code: project.table(name),
        title: title.to_owned(),
        title_en: String::new(),
        description: format!("项目“{}”的作业结果", project.name),
        org: project.org.clone(),
        region: region.to_owned(),
        domain: model::code::Domain::Other,
        tags: Vec::new(),
        kind: model::code::ResourceKind::Table,
        update_cycle: model::code::UpdateCycle::Irregular,
        sync_mode: model::code::SyncMode::Full,
        share_type: ShareType::None,
        share_condition: String::new(),
        share_basis: "批量共享项目的中间结果，不得再共享".to_owned(),
        open_type: OpenType::None,
        open_condition: String::new(),
        open_basis: "批量共享项目的中间结果，不得开放".to_owned(),
        raised_grade: None,
        time_range: String::new(),
        source_system: String::new(),
        licence: String::new(),
        attribution: String::new(),
        profile: Profile::default(),
        items,
    };
    Entry {
        id: format!("{}.{name}", project.id),
        grade: draft.grade(),
        draft,
        publish_state: PublishState::Published,
        online_state: OnlineState::Online,
        version: 1,
        created_at: op.stamp(),
        // Policy asks whose it is: the application's.
        created_by: project.application.clone(),
        updated_at: op.stamp(),
        published_at: None,
        rows: 0,
        data_at: None,
    }
}

/// Items of a result: names of what is copied, grades of what is behind, and columns that can be named.
pub(super) fn items(seen: &[SqlColumn], origins: &Origins) -> Result<Vec<Item>> {
    let fits = |name: &str| {
        let mut bytes = name.bytes();
        name.len() <= 63
            && bytes.next().is_some_and(|b| b.is_ascii_lowercase())
            && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let mut items: Vec<Item> = Vec::with_capacity(seen.len());
    for column in seen {
        let mut item = column.item.clone();
        let name = item.identifier.clone();
        if !fits(&name) || name.starts_with("dsc_") || items.iter().any(|i| i.identifier == name) {
            return Err(Error::invalid(
                format!(
                    "结果列 `{name}` 须有唯一的英文名称（小写字母、数字、下划线），请用 AS 另起名字"
                ),
                format!(
                    "the column `{name}` needs a name of its own of a-z, 0-9 and _: name it with AS"
                ),
            ));
        }
        if column.by.is_empty()
            && column.from.len() == 1
            && let Some(origin) = origins.behind(column).next()
        {
            item.name_cn.clone_from(&origin.name_cn);
        }
        item.grade = origins.behind(column).map(|o| o.grade).max().unwrap_or(Grade::L1);
        item.share_type = ShareType::None;
        item.open_type = OpenType::None;
        items.push(item);
    }
    Ok(items)
}

/// Makes a draft of a catalogue entry of the application's organisation from a result, its items drawn from the columns; its
/// description and the relation of each item say where it comes from.
pub async fn catalogue(app: &App, op: &Op, id: &str, name: &str) -> Result<Entry> {
    let (held, permit) = held(app, op, id, Action::ProjectWork).await?;
    let missing = || Error::not_found("结果表", "result", name);
    let results = app.store.project_results(&held.project.id).await?;
    let mut result = results.into_iter().find(|r| r.name == name).ok_or_else(missing)?;
    let mut draft = result.table.draft.clone();
    draft.code = format!("{}_{name}", held.project.code);
    let from: Vec<String> =
        result.made.sources.iter().map(|s| format!("{}（{}）", s.title, s.code)).collect();
    draft.description = format!(
        "由批量共享项目“{}”的作业 {name} 产生，来源：{}。",
        held.project.name,
        from.join("、")
    );
    draft.source_system = format!("批量共享项目 {}", held.project.code);
    for (item, column) in draft.items.iter_mut().zip(&result.made.columns) {
        item.relation = column.from.join(", ").chars().take(200).collect();
        item.share_basis = "批量共享结果，须经数源单位同意方可再共享".to_owned();
        item.open_basis = "批量共享结果，不得开放".to_owned();
        if item.data_type == DataType::Text && item.length == 0 {
            item.length = 500;
        }
    }
    let entry = catalogue::create(app, op, draft).await?;
    result.entry = Some(entry.id.clone());
    app.store.project_result_put(&permit, &result).await?;
    let mut event = audit::event(op, "project.catalogue", &held.project.id);
    event.scope = format!("{} → {}", result.code(), entry.draft.code);
    audit::record(app, event).await?;
    Ok(entry)
}
