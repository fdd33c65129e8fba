//! How full the rows of open sets are: cells that hold something, counted as anybody may see them.

use std::collections::HashMap;

use async_trait::async_trait;
use futures::StreamExt;
use model::audit::AuditEvent;
use model::entry::Entry;
use model::interface::How;
use model::query::{Grouping, RowQuery};
use model::value::Value;
use model::{Actor, Op, Result};
use policy::{Action, Grant, GrantAsk, Permit, Via};
use store::openness::Measured;

use super::measure::Gauge;
use crate::{App, audit};

/// How full the sets are; made with what was measured before.
pub(super) struct Fullness {
    /// When each set was last measured, by its id.
    known: HashMap<String, String>,
}

impl Fullness {
    pub(super) async fn new(app: &App) -> Result<Self> {
        let known = app.store.open_measures().await?;
        Ok(Self { known: known.into_iter().map(|(entry, (at, _, _))| (entry, at)).collect() })
    }
}

#[async_trait]
impl Gauge for Fullness {
    type Found = Measured;
    const TURN: u64 = 500;
    const WHAT: &'static str = "fullness";

    fn measured_at(&self, entry: &Entry) -> Option<&str> {
        self.known.get(&entry.id).map(String::as_str)
    }

    async fn of(&self, app: &App, op: &Op, entry: &Entry) -> Result<Option<Measured>> {
        of(app, op, entry).await
    }

    async fn keep(app: &App, permit: &Permit, found: &Measured) -> Result<()> {
        app.store.open_measure_put(permit, found).await
    }
}

/// Counts the cells that hold something, as anyone may see them; nothing of the rows is told.
async fn of(app: &App, op: &Op, entry: &Entry) -> Result<Option<Measured>> {
    let nobody = Op { actor: Actor::Nobody, ..op.clone() };
    let held = app.store.serving().position(&entry.id).await?;
    let action = if held.is_some() { Action::RowsPreview } else { Action::RowsDownload };
    let ask = GrantAsk { action, entry, via: Via::Open, row_cap: u64::MAX };
    let grant = app.policy.grant(&nobody, &ask)?;
    let counted = match held {
        Some((_, version)) => Some((version, from_copy(app, &grant).await?)),
        None => match app.lake.newest(&entry.draft.code).await? {
            Some(newest) => Some((newest.version, from_lake(app, &grant).await?)),
            None => None,
        },
    };
    let Some((lake_version, (rows, items))) = counted else { return Ok(None) };
    let columns = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let cells = rows.saturating_mul(columns);
    let filled: i64 = items.iter().map(|(_, n)| *n).sum();
    let bytes = app.lake.bytes(&entry.draft.code).await?;
    let event = AuditEvent {
        columns: items.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(","),
        level: grant.grade().as_str().to_owned(),
        scope: format!("version {lake_version}"),
        ..audit::event(op, "open.measured", &entry.draft.code)
    };
    audit::record(app, event).await?;
    Ok(Some(Measured {
        entry: entry.id.clone(),
        lake_version,
        measured_at: op.stamp(),
        rows,
        cells,
        missing: cells.saturating_sub(filled).max(0),
        bytes: i64::try_from(bytes).unwrap_or(i64::MAX),
        items,
    }))
}

type Counted = (i64, Vec<(String, i64)>);

async fn from_copy(app: &App, grant: &Grant) -> Result<Counted> {
    let names: Vec<String> = plain(grant);
    let measures = std::iter::once((How::Count, String::new(), "rows".to_owned()))
        .chain(names.iter().map(|n| (How::Count, n.clone(), n.clone())))
        .collect();
    let question = Grouping { measures, smallest: 0, most: 1, ..Grouping::default() };
    let found = app.store.serving().statistics(grant, &question).await?;
    let row = found.rows.into_iter().next().unwrap_or_default();
    let at = |n: usize| match row.get(n) {
        Some(Value::Integer(n)) => *n,
        _ => 0,
    };
    Ok((at(0), names.into_iter().enumerate().map(|(n, name)| (name, at(n + 1))).collect()))
}

async fn from_lake(app: &App, grant: &Grant) -> Result<Counted> {
    let names = plain(grant);
    let select = names.iter().map(|n| (n.clone(), None)).collect();
    let limit = Some(app.rules.site.chart.rows);
    let query = RowQuery { select, limit, ..RowQuery::default() };
    let mut stream = app.lake.scan(grant, &query, None).await?;
    let (mut rows, mut filled) = (0, vec![0_i64; names.len()]);
    while let Some(chunk) = stream.next().await {
        for row in &chunk?.rows {
            rows += 1;
            for (count, value) in filled.iter_mut().zip(row) {
                *count += i64::from(!value.is_null());
            }
        }
    }
    Ok((rows, names.into_iter().zip(filled).collect()))
}

/// Items whose values are released as they are.
fn plain(grant: &Grant) -> Vec<String> {
    let columns = grant.columns().iter().filter(|c| c.mask.is_none() && c.filterable);
    columns.map(|c| c.identifier.clone()).collect()
}
