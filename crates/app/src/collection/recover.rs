//! Runs that a crash interrupted are finished or begun anew. What is in the lake tells which; whose run it is, its lease.

use std::path::PathBuf;
use std::sync::Arc;

use model::parcel::{Run, RunState};
use model::{Code, Error, Op, Result};
use policy::{Action, Permit, Target};
use store::parcel::{RunFilter, RunRecord};

use super::resume::{Kept, Resume};
use super::work::{self, Job};
use super::{lease, pipe, replay, spool};
use crate::{App, audit};

/// Days that files stay in the inbox which no run waits for (kept so that a person can look at what failed).
const DAYS_KEPT: u64 = 7;

/// Finishes or restarts runs whose process is gone. Loses and doubles nothing, and leaves alone what another process is
/// doing, so that a worker may call it now and then in the background, beside running collections. Answers how many were taken
/// up; it returns when they have ended.
pub async fn recover(app: &Arc<App>) -> Result<u64> {
    let op = Op::system(app.now());
    let mut waiting: Vec<RunRecord> = Vec::new();
    loop {
        let after = waiting.last().map(|r| r.run.id.clone());
        let filter = RunFilter {
            unfinished: true,
            after: after.as_deref(),
            limit: 1000,
            ..RunFilter::default()
        };
        let page = app.store.run_list(&filter).await?;
        if page.is_empty() {
            break;
        }
        waiting.extend(page);
    }
    let wanted: Vec<PathBuf> = waiting
        .iter()
        .filter_map(|r| Resume::of_text(&r.source))
        .filter_map(|r| work::file_of(&r))
        .collect();
    spool::sweep(app, &wanted, DAYS_KEPT).await;
    // Runs of this very process are not interrupted.
    // A rail's run goes on with its rail.
    waiting.retain(|r| r.run.channel != "rail");
    waiting
        .retain(|r| app.collections.of(&r.run.id).is_none() && crate::lease::over(app, &r.lease));
    // Oldest first: parcels land in the order they were handed over.
    waiting.reverse();
    let mut count = 0;
    for seen in waiting {
        let system =
            audit::permit(app, &op, Action::SystemWork, &Target::plain("System", "collection"))
                .await?;
        let Some(record) = lease::claim(app, &system, &seen).await? else { continue };
        count += 1;
        let (id, state) = (record.run.id.clone(), record.run.state);
        let run = again(app, &op, system, record).await?;
        tracing::info!(
            run.id = id,
            run.before = state.as_str(),
            run.state = run.state.as_str(),
            "an interrupted collection was taken up"
        );
    }
    Ok(count)
}

async fn again(app: &Arc<App>, op: &Op, system: Permit, record: RunRecord) -> Result<Run> {
    let run = record.run;
    let Some(entry) = app.store.entry_get(&run.entry).await? else {
        let error = Error::not_found("目录", "entry", &run.entry);
        return Ok(work::failed(app, op, &system, run, error).await);
    };
    let Some(resume) = Resume::of_text(&record.source) else {
        return Ok(work::failed(app, op, &system, run, interrupted()).await);
    };
    let collect: Arc<Permit> =
        Arc::new(audit::permit(app, op, Action::DataCollect, &Target::entry(&entry)).await?);
    let mut job = Job { op: op.clone(), run, resume, permit: Arc::new(system), collect };
    if let Kept::Replay { .. } = &job.resume.source {
        app.collections.begin(&job.run);
        return Ok(replay::guarded(Arc::clone(app), job).await);
    }
    if let Kept::Pipe(_) = &job.resume.source {
        return pipe::taken_up(app, job, entry).await;
    }
    // Committed by this run before the crash: only what follows is missing.
    if job.resume.committing
        && let Some(parcel) = &job.run.parcel
        && let Some(landing) = app.lake.landed(&entry.draft.code, parcel).await?
    {
        let (id, permit) = (job.run.id.clone(), Arc::clone(&job.permit));
        let rest = async {
            let lock = app.collections.lock_of(&entry.id);
            let _alone = lock.lock().await;
            let file = work::file_of(&job.resume);
            match work::finish(app, &mut job, &entry, landing.version).await {
                Ok(()) => {
                    if let Some(file) = file.filter(|f| spool::in_inbox(app, f)) {
                        spool::discard(&file).await;
                    }
                    job.run
                }
                Err(error) => work::failed(app, op, &job.permit, job.run, error).await,
            }
        };
        return Ok(lease::held(app, &permit, &id, rest).await);
    }
    if let Some(file) = work::file_of(&job.resume)
        && !tokio::fs::try_exists(&file).await.unwrap_or(false)
    {
        return Ok(work::failed(app, op, &job.permit, job.run, interrupted()).await);
    }
    job.resume.committing = false;
    job.run.state = RunState::Queued;
    app.collections.begin(&job.run);
    Ok(work::guarded(Arc::clone(app), job).await)
}

fn interrupted() -> Error {
    Error::new(
        Code::SourceUnavailable,
        "归集被中断且源文件已不在收件目录，未入湖任何数据；请重新上传",
        "the collection was interrupted and its file is no longer in the inbox; nothing was landed: upload it again",
    )
}
