//! What people do with pipelines. Whoever may collect into an organisation's entries (`data.collect`) keeps its pipelines; the
//! text they write is kept as it is, version by version.

use std::sync::Arc;

use model::entry::Entry;
use model::pipeline::{Pipeline, PipelineFile, PipelineVersion, PipelineWish, Turn};
use model::{Code, Error, Op, Result};
use policy::port::TransformPlan;
use policy::{Action, Permit, Target};
use serde::Serialize;
use similar::{ChangeTag, TextDiff};

use super::act::{self, record};
use super::check::{self, Checked};
use super::{tick, turn};
use crate::{App, Page, account, audit, channel};

/// A pipeline as shown.
#[derive(Clone, Debug, Serialize)]
pub struct PipelineView {
    #[serde(flatten)]
    pub pipeline: Pipeline,
    /// Newest turn, backfills left out.
    pub last: Option<Turn>,
    /// When rows last landed in its entry, and how many there are.
    pub data_at: Option<String>,
    pub rows: i64,
    pub entry_title: String,
    /// Update cycle declared for the entry, as a word of its code list.
    pub cycle: String,
    /// Position of the watermark in the lake.
    pub position: String,
    pub mode: String,
    pub after: Vec<String>,
}

/// A line of a comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// `same`, `old` or `new`.
    pub tag: &'static str,
    pub old_line: Option<usize>,
    pub new_line: Option<usize>,
    pub text: String,
}

/// Pipelines of the caller's organisation; all of them for the platform itself.
pub async fn list(
    app: &App,
    op: &Op,
    after: Option<&str>,
    limit: u32,
) -> Result<Page<PipelineView>> {
    let org = channel::own(app, op, "pipelines").await?;
    let limit = if limit == 0 { 50 } else { limit.min(200) };
    let found = app.store.pipeline_list(org.as_deref(), after, limit + 1).await?;
    let Page { items: found, next } = Page::cut(found, limit, |p| p.id.clone());
    let mut items = Vec::new();
    for pipeline in found {
        items.push(view(app, pipeline, false).await?);
    }
    Ok(Page { items, next })
}

/// One pipeline; people by the names shown. One that the caller may not keep is not found.
pub async fn get(app: &App, op: &Op, id: &str) -> Result<PipelineView> {
    let (mut pipeline, _) = known(app, op, id).await?;
    let people = vec![&mut pipeline.created_by, &mut pipeline.updated_by];
    account::logins_named(app, people).await?;
    view(app, pipeline, true).await
}

/// The pipeline of that id, or of that name in the caller's organisation (for the platform itself, in any that has it
/// alone).
pub async fn named(app: &App, op: &Op, name: &str) -> Result<Pipeline> {
    match known(app, op, name).await {
        Ok((pipeline, _)) => return Ok(pipeline),
        Err(e) if e.code() == Code::NotFound => {}
        Err(e) => return Err(e),
    }
    let found = match op.actor.org() {
        Some(org) => app.store.pipeline_named(org, name).await?,
        None => {
            let mut all = app.store.pipelines_named(name).await?;
            if all.len() == 1 { all.pop() } else { None }
        }
    };
    let found = found.ok_or_else(|| missing(name))?;
    known(app, op, &found.id).await.map(|(pipeline, _)| pipeline)
}

async fn view(app: &App, pipeline: Pipeline, whole: bool) -> Result<PipelineView> {
    let mut last = app.store.turn_newest(&pipeline.id, "", "9").await?;
    if let Some(last) = &mut last {
        act::live(app, last);
    }
    let entry = app.store.entry_get(&pipeline.entry).await?;
    let file = PipelineFile::parse(&pipeline.file)?;
    let position = match (whole, &entry) {
        (true, Some(entry)) => {
            app.lake.position(&entry.draft.code, &turn::track(&pipeline.id)).await?
        }
        _ => None,
    };
    Ok(PipelineView {
        last,
        data_at: entry.as_ref().and_then(|e| e.data_at.clone()),
        rows: entry.as_ref().map_or(0, |e| e.rows),
        entry_title: entry.as_ref().map(|e| e.draft.title.clone()).unwrap_or_default(),
        cycle: entry.map(|e| e.draft.update_cycle.as_str().to_owned()).unwrap_or_default(),
        position: position.unwrap_or_default(),
        mode: file.mode.as_str().to_owned(),
        after: file.after,
        pipeline,
    })
}

fn missing(id: &str) -> Error {
    Error::not_found("数据管道", "pipeline", id)
}

pub(super) async fn known(app: &App, op: &Op, id: &str) -> Result<(Pipeline, Permit)> {
    let pipeline = app.store.pipeline_get(id).await?.ok_or_else(|| missing(id))?;
    let target = Target::of_org("Entry", id, &pipeline.org);
    let permit =
        audit::permit_hidden(app, op, Action::DataCollect, &target, id, || missing(id)).await?;
    Ok((pipeline, permit))
}

/// The lineage of a pipeline's columns; `None` when it copies them by their names.
pub async fn lineage(app: &App, op: &Op, id: &str) -> Result<(Option<TransformPlan>, Entry)> {
    let (pipeline, _) = known(app, op, id).await?;
    let file = PipelineFile::parse(&pipeline.file)?;
    let entry = app.store.entry_get(&pipeline.entry).await?;
    let entry = entry.ok_or_else(|| Error::not_found("目录", "entry", &pipeline.entry_code))?;
    let plan = match check::ask(app, &file, &entry).await? {
        Some(ask) => Some(app.transform.plan(&ask).await?),
        None => None,
    };
    Ok((plan, entry))
}

/// Makes a pipeline of a file; it runs from its next turn on.
pub async fn create(app: &Arc<App>, op: &Op, text: &str) -> Result<PipelineView> {
    let checked = check::check(app, op, text, None).await?;
    let target = Target::of_org("Entry", "pipelines", &checked.org);
    let permit = audit::permit(app, op, Action::DataCollect, &target).await?;
    app.store.org_require(&checked.org).await?;
    let new = described(app, op, &checked, text, None);
    app.store.pipeline_insert(&permit, &new, &checked.file.after).await?;
    record(app, op, "pipeline.create", &new, format!("entry={}", new.entry_code)).await?;
    get(app, op, &new.id).await
}

/// Writes a new version; `seen` is the version it was made from. The same text again changes nothing.
pub async fn edit(
    app: &Arc<App>,
    op: &Op,
    id: &str,
    text: &str,
    seen: i64,
) -> Result<PipelineView> {
    let (old, permit) = known(app, op, id).await?;
    if old.version != seen {
        return Err(Error::new(
            Code::Stale,
            format!(
                "该管道已是第 {} 版（您从第 {seen} 版开始编辑），请取最新版本后重新编辑",
                old.version
            ),
            format!(
                "the pipeline is at version {} (you began with {seen}): take the newest and edit again",
                old.version
            ),
        ));
    }
    if old.file == text {
        return view(app, old, true).await;
    }
    let checked = check::check(app, op, text, Some(&old)).await?;
    if checked.entry.id != old.entry {
        return Err(Error::new(
            Code::RuleBroken,
            "管道不能改换目录，请新建一个管道",
            "a pipeline stays with its entry: make another one",
        )
        .field(
            "entry",
            format!("应为 {}", old.entry_code),
            format!("must be {}", old.entry_code),
        ));
    }
    let new = described(app, op, &checked, text, Some(&old));
    app.store.pipeline_update(&permit, &new, &checked.file.after).await?;
    record(app, op, "pipeline.edit", &new, format!("version={}", new.version)).await?;
    get(app, op, &new.id).await
}

/// Takes a file in: a new pipeline, or a new version of the one of its name.
pub async fn import(app: &Arc<App>, op: &Op, text: &str) -> Result<PipelineView> {
    let file = PipelineFile::parse(text)?;
    let org = match file.org.as_str() {
        "" => op.actor.org().unwrap_or_default(),
        named => named,
    };
    match app.store.pipeline_named(org, &file.name).await? {
        Some(present) => edit(app, op, &present.id, text, present.version).await,
        None => create(app, op, text).await,
    }
}

fn described(
    app: &App,
    op: &Op,
    checked: &Checked,
    text: &str,
    old: Option<&Pipeline>,
) -> Pipeline {
    let (at, by) = (op.stamp(), op.actor.name().to_owned());
    let wish = old.map_or(PipelineWish::Run, |o| o.wish);
    Pipeline {
        id: old.map_or_else(|| op.new_id(), |o| o.id.clone()),
        org: checked.org.clone(),
        name: checked.file.name.clone(),
        title: checked.file.title.clone(),
        entry: checked.entry.id.clone(),
        entry_code: checked.entry.draft.code.clone(),
        source: checked.source.clone(),
        place: checked.place.clone(),
        version: old.map_or(1, |o| o.version + 1),
        file: text.to_owned(),
        wish,
        created_at: old.map_or_else(|| at.clone(), |o| o.created_at.clone()),
        created_by: old.map_or_else(|| by.clone(), |o| o.created_by.clone()),
        updated_at: at,
        updated_by: by,
        due: match wish {
            PipelineWish::Run => tick::due_after(app, &checked.file, op.at),
            PipelineWish::Pause => String::new(),
        },
    }
}

/// The text of a version, the present one without a number.
pub async fn export(
    app: &App,
    op: &Op,
    id: &str,
    version: Option<i64>,
) -> Result<(Pipeline, String)> {
    let (pipeline, _) = known(app, op, id).await?;
    let text = match version {
        None => pipeline.file.clone(),
        Some(n) => text_of(app, &pipeline, n).await?,
    };
    record(app, op, "pipeline.export", &pipeline, version.unwrap_or(pipeline.version).to_string())
        .await?;
    Ok((pipeline, text))
}

async fn text_of(app: &App, pipeline: &Pipeline, version: i64) -> Result<String> {
    let found = app.store.pipeline_version(&pipeline.id, version).await?;
    found.map(|v| v.file).ok_or_else(|| {
        Error::not_found("管道版本", "version of the pipeline", &version.to_string())
    })
}

/// Versions, newest first; who wrote them by the names shown.
pub async fn versions(
    app: &App,
    op: &Op,
    id: &str,
    before: Option<i64>,
    limit: u32,
) -> Result<Page<PipelineVersion>> {
    let (pipeline, _) = known(app, op, id).await?;
    let limit = if limit == 0 { 20 } else { limit.min(200) };
    let mut items = app.store.pipeline_versions(&pipeline.id, before, limit + 1).await?;
    account::logins_named(app, items.iter_mut().map(|v| &mut v.by).collect()).await?;
    Ok(Page::cut(items, limit, |v| v.version.to_string()))
}

/// What a version has changed against another, line by line.
pub async fn difference(
    app: &App,
    op: &Op,
    id: &str,
    old: i64,
    new: i64,
) -> Result<Vec<Difference>> {
    let (pipeline, _) = known(app, op, id).await?;
    let (old, new) = (text_of(app, &pipeline, old).await?, text_of(app, &pipeline, new).await?);
    Ok(compare(&old, &new))
}

fn compare(old: &str, new: &str) -> Vec<Difference> {
    let diff = TextDiff::from_lines(old, new);
    diff.iter_all_changes()
        .map(|change| Difference {
            tag: match change.tag() {
                ChangeTag::Equal => "same",
                ChangeTag::Delete => "old",
                ChangeTag::Insert => "new",
            },
            old_line: change.old_index().map(|n| n + 1),
            new_line: change.new_index().map(|n| n + 1),
            text: change.value().trim_end_matches(['\n', '\r']).to_owned(),
        })
        .collect()
}

/// Lets a pipeline rest: no turn begins by itself. One that runs goes on to its end.
pub async fn pause(app: &App, op: &Op, id: &str) -> Result<()> {
    let (pipeline, permit) = known(app, op, id).await?;
    app.store.pipeline_wish(&permit, id, PipelineWish::Pause, "").await?;
    record(app, op, "pipeline.pause", &pipeline, String::new()).await
}

/// Goes on with its next turn; what was missed meanwhile is read by it.
pub async fn resume(app: &App, op: &Op, id: &str) -> Result<()> {
    let (pipeline, permit) = known(app, op, id).await?;
    let file = PipelineFile::parse(&pipeline.file)?;
    let due = tick::due_after(app, &file, op.at);
    app.store.pipeline_wish(&permit, id, PipelineWish::Run, &due).await?;
    record(app, op, "pipeline.resume", &pipeline, String::new()).await
}

/// Takes a pipeline away with its versions and turns. What it brought stays; others may not wait for it any more.
pub async fn remove(app: &App, op: &Op, id: &str) -> Result<()> {
    let (pipeline, permit) = known(app, op, id).await?;
    let waiting = app.store.pipelines_after(&pipeline.org, &pipeline.name).await?;
    if let Some(first) = waiting.first() {
        return Err(Error::new(
            Code::WrongState,
            format!("管道 `{}` 依赖本管道，请先修改它", first.name),
            format!("the pipeline `{}` runs after this one: change it first", first.name),
        ));
    }
    app.store.pipeline_delete(&permit, id).await?;
    record(app, op, "pipeline.remove", &pipeline, String::new()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_line_by_line() {
        let told: Vec<(&str, String)> = compare("a = 1\nb = 2\n", "a = 1\nb = 3\nc = 4")
            .into_iter()
            .map(|d| (d.tag, d.text))
            .collect();
        let line = |tag, text: &str| (tag, text.to_owned());
        assert_eq!(
            told,
            [
                line("same", "a = 1"),
                line("old", "b = 2"),
                line("new", "b = 3"),
                line("new", "c = 4")
            ]
        );
    }
}
