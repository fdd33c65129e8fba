//! Turns of the worker: what has not been compared for long enough is, one after another.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use model::exchange::{ExchangeWay, ExchangeWish};
use model::op::stamp;
use model::oversight::channel_of;
use model::pipeline::file::{Place, Reading};
use model::pipeline::{PipelineFile, PipelineWish};
use model::rail::RailState;
use model::reconcile::{FeedKind, ReconcileState};
use model::report::PlanState;
use model::{Code, Op, Result};
use policy::{Action, Target};
use store::Backend;
use store::reconcile::ReconcileFilter;

use super::desk;
use super::feed::Fed;
use crate::rail::system_permit;
use crate::{App, audit};

/// A comparison of another process that has not ended after so long has died.
const DEAD: TimeDelta = TimeDelta::hours(12);
/// Comparisons of one turn of the job.
const TURN: u64 = 20;
/// Channels looked up together.
const PAGE: u32 = 200;

/// One turn of the job. Answers how many were compared.
pub async fn due(app: &Arc<App>) -> Result<u64> {
    bury(app).await?;
    let mut turn = Turn { app, done: 0 };
    turn.rails().await?;
    turn.pipelines().await?;
    turn.exchanges().await?;
    turn.reports().await?;
    Ok(turn.done)
}

struct Turn<'a> {
    app: &'a Arc<App>,
    done: u64,
}

impl Turn<'_> {
    fn full(&self) -> bool {
        self.done >= TURN
    }

    async fn rails(&mut self) -> Result<()> {
        let mut after = None::<String>;
        loop {
            let page = self.app.store.rail_list(None, after.as_deref(), PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.rail.id.clone());
            for record in page.iter().filter(|record| record.figures.state == RailState::Streaming)
            {
                for table in self.app.store.rail_tables(&record.rail.id).await? {
                    let (kind, id) = (FeedKind::Rail, record.rail.id.clone());
                    let (place, name) = (table.table.place.clone(), table.table.place);
                    self.one(&table.table.entry, Fed { kind, id, place, name }, false).await?;
                }
            }
        }
    }

    async fn pipelines(&mut self) -> Result<()> {
        let mut after = None::<String>;
        loop {
            let page = self.app.store.pipeline_list(None, after.as_deref(), PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.id.clone());
            for pipeline in page.into_iter().filter(|p| p.wish == PipelineWish::Run) {
                let Ok(file) = PipelineFile::parse(&pipeline.file) else { continue };
                let asked = match &file.source.place {
                    Place::Kafka { .. } => continue,
                    Place::Database { read: Reading::Table(_), .. } => file.transform.is_none(),
                    _ => false,
                };
                let name = if pipeline.title.is_empty() { pipeline.name } else { pipeline.title };
                let (kind, id) = (FeedKind::Pipeline, pipeline.id);
                let fed = Fed { kind, id, place: pipeline.place, name };
                self.one(&pipeline.entry, fed, !asked).await?;
            }
        }
    }

    async fn exchanges(&mut self) -> Result<()> {
        let mut after = None::<String>;
        loop {
            let page = self.app.store.exchange_list(None, after.as_deref(), PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.exchange.id.clone());
            for exchange in page.into_iter().map(|record| record.exchange) {
                if exchange.way != ExchangeWay::In || exchange.wish != ExchangeWish::Run {
                    continue;
                }
                let (kind, id) = (FeedKind::Exchange, exchange.id);
                let fed = Fed { kind, id, place: exchange.place, name: exchange.name };
                self.one(&exchange.entry, fed, true).await?;
            }
        }
    }

    async fn reports(&mut self) -> Result<()> {
        let mut after = None::<String>;
        loop {
            let page = self.app.store.report_plan_list(None, after.as_deref(), PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.id.clone());
            for plan in page.into_iter().filter(|plan| plan.state != PlanState::Stopped) {
                let Some(form) = self.app.store.report_form_get(&plan.form).await? else {
                    continue;
                };
                let (id, place) = (form.draft.entry.clone(), form.draft.entry_title.clone());
                let fed = Fed { kind: FeedKind::Report, id, name: place.clone(), place };
                self.one(&form.draft.entry, fed, true).await?;
            }
        }
    }

    /// Compares an entry with one of its sources if the last comparison is old enough, and waits for the end. `reread`: the
    /// whole source has to be read for it.
    async fn one(&mut self, entry: &str, fed: Fed, reread: bool) -> Result<()> {
        if self.full() {
            return Ok(());
        }
        let (app, rules) = (self.app, &self.app.rules.oversight.reconcile);
        let set = crate::oversight::rule(app, &channel_of(fed.kind.as_str(), &fed.id)).await?;
        let every = if reread { rules.reread_hours } else { rules.every_hours };
        let hours = set.reconcile_hours.unwrap_or(every);
        if hours == 0 {
            return Ok(());
        }
        let filter = ReconcileFilter {
            entry: Some(entry),
            feed: Some(&fed.id),
            limit: 1,
            ..ReconcileFilter::default()
        };
        let last = app.store.reconcile_list(&filter).await?.into_iter().next();
        let at = last.and_then(|run| DateTime::parse_from_rfc3339(&run.started_at).ok());
        let every = TimeDelta::hours(i64::try_from(hours).unwrap_or(24 * 366));
        if at.is_some_and(|at| at.with_timezone(&Utc) + every > app.now()) {
            return Ok(());
        }
        let Some(entry) = app.store.entry_get(entry).await? else { return Ok(()) };
        // Nothing has come yet, or there is no key to compare by.
        let begun = app.lake.version_of(&entry.draft.code).await?.is_some();
        if fed.kind != FeedKind::Rail && (!begun || entry.draft.key().is_empty()) {
            return Ok(());
        }
        let op = Op::system(app.now());
        let permit = audit::permit(app, &op, Action::DataCollect, &Target::entry(&entry)).await?;
        let heal = set.heal.unwrap_or(rules.heal);
        match desk::begin(app, &op, &permit, &entry, fed, heal).await {
            Ok(run) => {
                desk::wait(app, &op, &run.id).await?;
                self.done += 1;
                Ok(())
            }
            // Somebody is at it already.
            Err(error) if error.code() == Code::WrongState => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Comparisons whose process has died are said to be so.
async fn bury(app: &App) -> Result<()> {
    let filter = ReconcileFilter {
        state: Some(ReconcileState::Running),
        limit: 200,
        ..ReconcileFilter::default()
    };
    let alone = app.store.backend() == Backend::Sqlite;
    for mut run in app.store.reconcile_list(&filter).await? {
        let begun = DateTime::parse_from_rfc3339(&run.started_at).ok();
        let old = begun.is_none_or(|at| at.with_timezone(&Utc) + DEAD < app.now());
        if app.reconciles.comparing.lock().contains(&run.entry) || !(alone || old) {
            continue;
        }
        run.state = ReconcileState::Failed;
        run.finished_at = Some(stamp(app.now()));
        (run.zh, run.en) = (
            "平台重启，核对中断，请重新核对".into(),
            "the platform was restarted meanwhile; compare again".into(),
        );
        app.store
            .reconcile_update(&system_permit(app).await?, &run, ReconcileState::Running)
            .await?;
    }
    Ok(())
}
