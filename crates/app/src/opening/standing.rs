//! How an open set stands beside its metadata: fresh or late, how full, how it arrived, who uses it.

use chrono::Days;
use model::usage::{UsageBy, UsageFilter};
use model::{Op, Result};
use serde::Serialize;
use store::audit::{UsageAsk, UsageScope};
use store::openness::Measured;
use store::parcel::RunFilter;

use super::Dataset;
use crate::{App, dispatch};

/// Days of which use is told.
const DAYS: u64 = 30;
/// Applications that are counted at most.
const APPLICATIONS: u32 = 500;

/// Everything.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Standing {
    /// Day until which the data are fresh by the declared cycle.
    pub fresh_until: Option<String>,
    pub stale: bool,
    /// Rows of the last run that came to something: read, accepted, put aside.
    pub read: u64,
    pub accepted: u64,
    pub quarantined: u64,
    /// SHA-256 of the source of that run, as it arrived.
    pub checksum: String,
    pub measured: Option<Measured>,
    /// Applications that called it in the last days, and their calls.
    pub applications: u64,
    pub calls: u64,
    /// Calls of anybody by the interface, applications included.
    pub days: u64,
}

/// How a set stands. What is about rows is told of freely open sets only.
pub async fn standing(app: &App, op: &Op, dataset: &Dataset) -> Result<Standing> {
    let entry = &dataset.entry;
    let until = dispatch::fresh_until(app, op, entry)?;
    let mut standing = Standing {
        stale: until.is_some_and(|until| until < op.today()),
        fresh_until: until.map(|day| day.to_string()),
        days: DAYS,
        ..Standing::default()
    };
    let from = op.today().checked_sub_days(Days::new(DAYS - 1)).unwrap_or(op.today());
    let filter = UsageFilter {
        entry: entry.draft.code.clone(),
        from: from.to_string(),
        to: op.today().to_string(),
        way: "api".into(),
        outcome: "ok".into(),
        ..UsageFilter::default()
    };
    let ask = UsageAsk {
        filter: &filter,
        scope: UsageScope::All,
        by: Some(UsageBy::Application),
        after: None,
        limit: APPLICATIONS,
    };
    for row in app.store.audit().usage(&ask).await? {
        standing.calls += row.usage.calls;
        standing.applications += u64::from(!row.word.is_empty());
    }
    if !dataset.free || entry.data_at.is_none() {
        return Ok(standing);
    }
    let last = RunFilter {
        entry: Some(entry.id.as_str()),
        state: Some("succeeded"),
        limit: 1,
        ..RunFilter::default()
    };
    if let Some(record) = app.store.run_list(&last).await?.into_iter().next() {
        standing.read = record.run.read;
        standing.accepted = record.run.accepted;
        standing.quarantined = record.run.quarantined;
        standing.checksum = record.run.checksum;
    }
    standing.measured = app.store.open_measure(&entry.id).await?;
    Ok(standing)
}
