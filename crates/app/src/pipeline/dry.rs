//! A dry run: reads, transforms, types, and lands nothing.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use model::audit::AuditEvent;
use model::parcel::Reject;
use model::pipeline::file::Place;
use model::pipeline::window::WindowText;
use model::pipeline::{Pipeline, TurnFigures, TurnKind};
use model::{Code, Error, Op, Result};
use policy::port::{Source, TransformPlan};
use serde::Serialize;

use super::check::{self, Checked};
use super::desk::known;
use super::tick::new_turn;
use super::{folder, pull, turn};
use crate::{App, audit};

/// Longest wait.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a turn would bring.
#[derive(Clone, Debug, Serialize)]
pub struct DryRun {
    /// Columns of the source with the item each was matched to.
    pub columns: Vec<(String, Option<String>)>,
    /// Identifiers of the entry's items, the head of `rows`.
    pub items: Vec<String>,
    pub rows: Vec<Vec<Option<String>>>,
    pub rejects: Vec<Reject>,
    pub figures: TurnFigures,
    /// Only the first rows were read.
    pub cut: bool,
    /// What it would read.
    pub window: Option<WindowText>,
    /// Why a turn would stop before landing.
    pub beyond: Option<(String, String)>,
    #[serde(skip)]
    pub plan: Option<TransformPlan>,
}

/// Tries a text (that need not be kept yet), as the pipeline `id` when given.
pub async fn dry_run(
    app: &Arc<App>,
    op: &Op,
    id: Option<&str>,
    text: Option<&str>,
) -> Result<DryRun> {
    let present = match id {
        Some(id) => Some(known(app, op, id).await?.0),
        None => None,
    };
    let kept = present.as_ref().map(|p| p.file.clone());
    let text = text.map(str::to_owned).or(kept).unwrap_or_default();
    let checked = check::check(app, op, &text, present.as_ref()).await?;
    let pipeline = stand_in(op, &checked, &text, present);
    let tried = tokio::time::timeout(PATIENCE, read(app, op, &checked, &pipeline)).await;
    let dry = tried.map_err(|_| {
        let seconds = PATIENCE.as_secs();
        Error::new(
            Code::SourceUnavailable,
            format!("试运行在 {seconds} 秒内没有完成；请核对网络，或把查询写得更窄"),
            format!("the dry run did not end within {seconds} seconds: check the network or narrow the query"),
        )
    })??;
    let event = AuditEvent {
        rows: dry.rows.len() as u64,
        scope: format!("entry={} read={}", pipeline.entry_code, dry.figures.read),
        reason: format!("{} {}", pipeline.name, pipeline.place),
        ..audit::event(op, "pipeline.dry-run", &pipeline.id)
    };
    audit::record(app, event).await?;
    Ok(dry)
}

/// The pipeline that the text would be.
fn stand_in(op: &Op, checked: &Checked, text: &str, present: Option<Pipeline>) -> Pipeline {
    let (id, version) = present.map_or_else(|| ("new".into(), 1), |p| (p.id, p.version));
    Pipeline {
        id,
        version,
        org: checked.org.clone(),
        name: checked.file.name.clone(),
        title: checked.file.title.clone(),
        entry: checked.entry.id.clone(),
        entry_code: checked.entry.draft.code.clone(),
        source: checked.source.clone(),
        place: checked.place.clone(),
        file: text.to_owned(),
        wish: model::pipeline::PipelineWish::Pause,
        created_at: op.stamp(),
        created_by: String::new(),
        updated_at: op.stamp(),
        updated_by: String::new(),
        due: String::new(),
    }
}

async fn read(app: &Arc<App>, op: &Op, checked: &Checked, pipeline: &Pipeline) -> Result<DryRun> {
    let Checked { file, entry, .. } = checked;
    let mut dry = DryRun {
        columns: Vec::new(),
        items: entry.draft.items.iter().map(|i| i.identifier.clone()).collect(),
        rows: Vec::new(),
        rejects: Vec::new(),
        figures: TurnFigures::default(),
        cut: false,
        window: None,
        beyond: None,
        plan: checked.plan.clone(),
    };
    let position = app.lake.position(&entry.draft.code, &turn::track(&pipeline.id)).await?;
    if let Place::Folder { url, pattern } = &file.source.place {
        let place = folder::shelf_place(app, pipeline, url).await?;
        let full = super::tick::whole(file);
        let after = position.filter(|_| !full);
        let found = folder::matching(app, &place, pattern, after.as_deref(), full).await?;
        let Some(found) = found.first() else { return Ok(dry) };
        let fetched = app.folders.inbox.join(format!("{}.fetched", op.new_id()));
        app.shelf.fetch(&place, &found.path, &fetched).await?;
        let source = Source::File { path: fetched.clone(), name: found.path.clone() };
        let done = rows(app, op, checked, &source, &mut dry).await;
        if let Err(e) = tokio::fs::remove_file(&fetched).await {
            tracing::warn!(error = %e, "a fetched file could not be taken away");
        }
        done?;
        return Ok(dry);
    }
    let turn = new_turn(op, &pipeline.id, "dry".into(), TurnKind::Manual, op.at);
    let window = turn::window(app, file, &turn, position.as_deref())?;
    dry.window = window.as_ref().map(model::pipeline::window::Window::text);
    let source = pull::source(app, pipeline, file, window.as_ref(), position.as_deref()).await?;
    rows(app, op, checked, &source, &mut dry).await?;
    Ok(dry)
}

async fn rows(
    app: &Arc<App>,
    op: &Op,
    checked: &Checked,
    source: &Source,
    dry: &mut DryRun,
) -> Result<()> {
    let rules = &app.rules.pipeline;
    let mut pull = pull::open(app, op, &checked.file, &checked.entry, source, 500).await?;
    dry.columns = std::mem::take(&mut pull.columns);
    while let Some(chunk) = pull.chunks.next().await {
        let chunk = chunk?;
        dry.figures.made += chunk.read;
        dry.figures.landed += chunk.batch.rows() as u64;
        dry.figures.quarantined += chunk.rejects.len() as u64;
        let room = rules.shown_rows.saturating_sub(dry.rows.len());
        dry.rows.extend(
            (0..chunk.batch.rows().min(room)).map(|n| {
                chunk.batch.columns.iter().map(|c| c.value(n).to_text()).collect::<Vec<_>>()
            }),
        );
        let room = rules.shown_rows.saturating_sub(dry.rejects.len());
        dry.rejects.extend(chunk.rejects.into_iter().take(room));
        if dry.figures.made >= rules.dry_rows {
            dry.cut = true;
            break;
        }
    }
    let tally = pull.tally.lock();
    dry.figures.read = tally.read;
    dry.figures.refused = tally.refused.len() as u64;
    dry.figures.quarantined += dry.figures.refused;
    let room = rules.shown_rows.saturating_sub(dry.rejects.len());
    dry.rejects.extend(tally.refused.iter().take(room).cloned());
    let f = &dry.figures;
    dry.beyond = checked.file.budget.beyond(f.made + f.refused, f.quarantined);
    Ok(())
}
