//! Before a collection begins: the order is checked, and the run is kept with all that is needed to go on after a crash.

use std::sync::Arc;

use model::entry::Entry;
use model::parcel::Run;
use model::{Code, Error, Op, Result};
use policy::port::Source;
use policy::{Action, Permit};
use store::parcel::RunRecord;

use super::resume::{Kept, Options, Resume};
use super::retry::Recipe;
use super::work::{Job, new_run, written};
use super::{Order, allowed, extract, retry, spool};
use crate::{App, catalogue};

/// Checks the order and keeps the run. From here on a crash loses nothing.
pub(super) async fn prepare(app: &Arc<App>, op: &Op, order: Order) -> Result<Job> {
    prepare_as(app, op, order, None).await
}

/// A channel that collects, with the ids it has chosen beforehand: after a crash it looks for them.
pub(super) struct Given<'a> {
    pub(super) channel: &'a str,
    pub(super) run: Option<&'a str>,
    pub(super) parcel: Option<String>,
}

/// The same for a channel.
pub(super) async fn prepare_as(
    app: &Arc<App>,
    op: &Op,
    order: Order,
    given: Option<Given<'_>>,
) -> Result<Job> {
    let entry = catalogue::get(app, op, &order.entry).await?;
    let permit = Arc::new(allowed(app, op, Action::DataCollect, &entry).await?);
    not_by_rail(app, &entry).await?;
    let mut run = new_run(app, op, &entry, &order);
    let named = given.is_some();
    let mut parcel = None;
    if let Some(given) = given {
        given.channel.clone_into(&mut run.channel);
        parcel = given.parcel;
        if let Some(id) = given.run {
            id.clone_into(&mut run.id);
        }
    }
    let mut options = Options::of(&order.options);
    let mut recipe = None;
    let source = match order.source {
        Source::File { path, name } => {
            recipe = Some(Recipe::File {
                path: path.clone(),
                name: name.clone(),
                mode: order.mode,
                options: options.clone(),
            });
            let about = tokio::fs::metadata(&path).await.map_err(|e| gone(&name).caused_by(e))?;
            run.bytes_total = about.len();
            run.checksum = spool::checksum(app, &path).await?;
            Kept::File { path, name, checksum: run.checksum.clone() }
        }
        Source::Query { url, sql, name } => {
            let url = app.keys.vault().seal(&context(&run.id), url.as_bytes())?;
            Kept::Query { url, sql, name }
        }
        given @ (Source::Cells { .. } | Source::Feed { .. }) => {
            let kept = written(app, &run.id, &given, &entry, &order.options, |_| {}).await?;
            options = extract::options(order.options.operation_column.is_some());
            kept
        }
    };
    let resume = Resume { source, options, committing: false, anew: false, parcel };
    keep(app, op, &permit, &entry, &run, &resume).await?;
    // A channel runs again in its own way.
    if let Some(recipe) = recipe.filter(|_| !named) {
        retry::keep(app, &permit, &run.id, &recipe).await?;
    }
    Ok(Job { op: op.clone(), run, resume, collect: Arc::clone(&permit), permit })
}

/// Refuses when a rail feeds the entry: rows from elsewhere would differ from its source.
pub(super) async fn not_by_rail(app: &App, entry: &Entry) -> Result<()> {
    if let Some(rail) = app.store.rail_of_entry(&entry.id).await? {
        return Err(Error::new(
            Code::WrongState,
            format!(
                "该目录由数据高铁「{rail}」实时供数，另行归集会与源库不一致；如需改用其他方式，请先移除该数据高铁"
            ),
            format!(
                "the rail `{rail}` feeds this entry, and rows from elsewhere would differ from its source; remove the rail first to collect in another way"
            ),
        ));
    }
    Ok(())
}

/// Keeps a new run and shows it as live.
pub(super) async fn keep(
    app: &App,
    op: &Op,
    permit: &Permit,
    entry: &Entry,
    run: &Run,
    resume: &Resume,
) -> Result<()> {
    let record = RunRecord {
        run: run.clone(),
        org: entry.draft.org.clone(),
        source: resume.to_text()?,
        lease: crate::lease::taken(app),
    };
    app.store.run_insert(permit, op, &record).await?;
    app.collections.begin(run);
    Ok(())
}

/// What a sealed source URL is bound to.
pub(super) fn context(run: &str) -> String {
    format!("run:{run}")
}

fn gone(name: &str) -> Error {
    Error::new(
        Code::SourceUnavailable,
        format!("收件目录中没有文件 `{name}`，请重新上传"),
        format!("the file `{name}` is not in the inbox; upload it again"),
    )
}
