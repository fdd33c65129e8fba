//! A failed run, run again: the same file from the inbox, or the same query on the stored source.
//!
//! What is needed is kept with the run, sealed; no password is in it. A retry is a run of its own. It is refused when it
//! could do harm: when something newer has landed since, it would lay older data over it.

use std::path::PathBuf;
use std::sync::Arc;

use model::audit::AuditEvent;
use model::code::SyncMode;
use model::parcel::{Run, RunState};
use model::{Code, Error, Op, Result};
use policy::port::{ReadOptions, Source};
use policy::{Action, Permit, Target};
use serde::{Deserialize, Serialize};
use store::parcel::RunFilter;

use super::resume::Options;
use super::source::{self, QueryOrder};
use super::{Order, known, start};
use crate::{App, audit, catalogue};

/// Channel word of collections by query.
const QUERY: &str = "query";

/// How to run it again.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Recipe {
    File { path: PathBuf, name: String, mode: SyncMode, options: Options },
    Query { source: String, sql: String, mode: SyncMode, operation_column: Option<String> },
}

/// What a recipe is sealed for.
fn context(run: &str) -> String {
    format!("recipe:{run}")
}

/// Keeps how a run is run again.
pub(super) async fn keep(app: &App, permit: &Permit, run: &str, recipe: &Recipe) -> Result<()> {
    let text = serde_json::to_string(recipe)
        .map_err(|e| Error::internal("cannot keep how a run is run again").caused_by(e))?;
    let sealed = app.keys.vault().seal(&context(run), text.as_bytes())?;
    app.store.run_recipe_set(permit, run, &sealed).await
}

/// Whether the caller could run it again now (to show or hide the button; [`retry`] decides again).
pub async fn may_retry(app: &App, op: &Op, run: &Run) -> Result<bool> {
    if run.state != RunState::Failed {
        return Ok(false);
    }
    let Some(entry) = app.store.entry_get(&run.entry).await? else { return Ok(false) };
    Ok(app.may(op, Action::DataCollect, &Target::entry(&entry))
        && !app.store.run_recipe(&run.id).await?.is_empty()
        && !app.store.run_overtaken(&run.entry, &run.id).await?)
}

/// Runs a failed run again; answers the new run at once.
pub async fn retry(app: &Arc<App>, op: &Op, id: &str) -> Result<Run> {
    let record = known(app, op, id).await?;
    let run = record.run;
    let entry = catalogue::get(app, op, &run.entry).await?;
    audit::permit(app, op, Action::DataCollect, &Target::entry(&entry)).await?;
    if run.state != RunState::Failed {
        return Err(Error::new(
            Code::WrongState,
            format!("只能重试失败的任务，该任务处于“{}”", run.state.zh()),
            format!("only a failed run is run again; this one is `{}`", run.state.as_str()),
        ));
    }
    if app.store.run_overtaken(&run.entry, &run.id).await? {
        return Err(Error::new(
            Code::RuleBroken,
            "该目录此后已有更新的数据入湖，重试会以旧数据覆盖新数据；如确需，请重新上传",
            "newer data have landed for this entry since: a retry would lay older ones over them. Upload the file again if that is wanted",
        ));
    }
    let sealed = app.store.run_recipe(&run.id).await?;
    if sealed.is_empty() {
        return Err(Error::new(
            Code::WrongState,
            "该任务没有保留重试所需的信息，请重新上传或重新发起查询",
            "what a retry needs was not kept: upload the file or start the query again",
        ));
    }
    let text = app.keys.vault().open(&context(&run.id), &sealed)?;
    let recipe: Recipe = serde_json::from_slice(&text)
        .map_err(|e| Error::internal("how a run is run again cannot be read").caused_by(e))?;
    let again = match recipe {
        Recipe::File { path, name, mode, options } => {
            let order = Order {
                entry: entry.id,
                source: Source::File { path, name },
                mode,
                options: ReadOptions { batch_rows: 0, ..options.read() },
            };
            start(app, op, order).await?
        }
        Recipe::Query { source, sql, mode, operation_column } => {
            let order = QueryOrder { source, entry: entry.id, sql, mode, operation_column };
            source::collect(app, op, order).await?
        }
    };
    let event = AuditEvent {
        scope: format!("run={} of={}", again.id, run.id),
        ..audit::event(op, "run.retry", &entry.draft.code)
    };
    audit::record(app, event).await?;
    Ok(again)
}

/// Runs looked through for the newest query of an entry.
const LOOKED_THROUGH: u32 = 200;

/// The query that an entry was last collected by.
pub(crate) struct StandingQuery {
    pub(crate) run: Run,
    /// Whether it put all rows in the place of those before.
    pub(crate) whole: bool,
    source: String,
    sql: String,
    operation_column: Option<String>,
}

impl StandingQuery {
    /// The same query once more, with its source's secret.
    pub(crate) async fn source(&self, app: &App) -> Result<(Source, ReadOptions)> {
        let url = source::url_of(app, &self.source).await?;
        let name = self.run.source.clone();
        let options = ReadOptions {
            operation_column: self.operation_column.clone(),
            ..ReadOptions::default()
        };
        Ok((Source::Query { url: url.to_string(), sql: self.sql.clone(), name }, options))
    }
}

/// The newest query whose rows an entry holds, if its statement was kept.
pub(crate) async fn standing_query(app: &App, entry: &str) -> Result<Option<StandingQuery>> {
    let filter = RunFilter { entry: Some(entry), limit: LOOKED_THROUGH, ..RunFilter::default() };
    for record in app.store.run_list(&filter).await? {
        let run = record.run;
        let ended = matches!(run.state, RunState::Succeeded | RunState::Unchanged);
        if !ended || run.channel != QUERY {
            continue;
        }
        let sealed = app.store.run_recipe(&run.id).await?;
        if sealed.is_empty() {
            continue;
        }
        let text = app.keys.vault().open(&context(&run.id), &sealed)?;
        let recipe: Recipe = serde_json::from_slice(&text)
            .map_err(|e| Error::internal("how a run is run again cannot be read").caused_by(e))?;
        if let Recipe::Query { source, sql, mode, operation_column } = recipe {
            let whole = mode == SyncMode::Full;
            return Ok(Some(StandingQuery { run, whole, source, sql, operation_column }));
        }
    }
    Ok(None)
}
