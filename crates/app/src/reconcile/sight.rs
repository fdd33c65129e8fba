//! The source of a comparison, open: a table that is asked by ranges of its keys, or a source that is passed through.

use std::collections::HashSet;
use std::sync::Arc;

use model::batch::Batch;
use model::entry::Entry;
use model::reconcile::{FeedKind, Key, Reconciliation};
use model::{Error, Op, Result};
use policy::port::{ProbeRows, ProbeTable};
use policy::{Action, Target};

use super::feed::Own;
use super::passed::{self, Passed};
use super::reread::Reread;
use crate::pipeline::Again;
use crate::{App, audit, rail};

pub(super) enum Sight {
    Table(Arc<dyn ProbeTable>),
    Passed(Box<Passed>),
}

/// Opens what a reconciliation looks at, and says which rows of the lake it may judge. The position is noted in the run.
pub(super) async fn open(
    app: &Arc<App>,
    entry: &Entry,
    run: &mut Reconciliation,
) -> Result<(Sight, Own)> {
    if run.kind == FeedKind::Rail {
        let missing = || Error::not_found("数据高铁", "rail", &run.feed);
        let record = app.store.rail_get(&run.feed).await?.ok_or_else(missing)?;
        let at = rail::address(app, &record.rail, &record.figures).await?;
        let table = rail::port(app).probe(&at, &run.place, &entry.draft.items, None).await?;
        return Ok((Sight::Table(table), Own::all()));
    }
    let mut again = None;
    if run.kind == FeedKind::Pipeline {
        let of = Again::of(app, &run.feed).await?;
        run.upto = of.upto();
        let named = HashSet::from([of.pipeline.name.clone()]);
        match Reread::open(app, entry, of).await? {
            Ok(table) => {
                return Ok((Sight::Table(Arc::new(table)), Own::named(&run.feed, named)));
            }
            Err(of) => again = Some(of),
        }
    }
    let system = Op::system(app.now());
    let permit = audit::permit(app, &system, Action::DataCollect, &Target::entry(entry)).await?;
    let passed = Passed::of(app, permit, entry, run, again).await?;
    let own = passed.own(&run.feed).await?;
    Ok((Sight::Passed(Box::new(passed)), own))
}

impl Sight {
    /// Whether asking for a few rows costs as much as reading everything.
    pub(super) fn dear(&self) -> bool {
        matches!(self, Self::Passed(_))
    }

    pub(super) async fn rows_of(&self, keys: &[Key], record: u64) -> Result<ProbeRows> {
        match self {
            Self::Table(table) => table.rows_of(keys, record).await,
            Self::Passed(passed) => passed.rows_of(keys, record).await,
        }
    }

    pub(super) async fn newer(&self, keys: &[Key]) -> Result<HashSet<Key>> {
        match self {
            Self::Table(table) => table.newer(keys).await,
            Self::Passed(passed) => passed.newer(keys).await,
        }
    }

    pub(super) async fn head(&self) -> Result<String> {
        match self {
            Self::Table(table) => table.head().await,
            Self::Passed(_) => Ok(String::new()),
        }
    }

    pub(super) async fn deletes(
        &self,
        app: &App,
        entry: &Entry,
        keys: &[Key],
        record: u64,
    ) -> Result<Batch> {
        match self {
            Self::Table(table) => Ok(table.deletes(keys, record)),
            Self::Passed(_) => passed::deletes(app, entry, keys, record).await,
        }
    }
}
