//! The current view: merge on read. Which files are read as they lie and which are merged is decided from the
//! table's metadata ([`Rules`](crate::table::Rules)), so a view of an earlier version is made by the rules of then.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::Column;
use datafusion::dataframe::DataFrame;
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::{Expr, ExprFunctionExt, JoinType};
use datafusion::prelude::{SessionContext, lit};
use futures::FutureExt;
use futures::future::BoxFuture;
use model::{Error, Result};

use crate::last::{Last, MOST};
use crate::name::parcel_of;
use crate::plain::By;
use crate::schema::{BIZ_TIME, HASH, OPERATION, RECORD_ID};
use crate::table::Loaded;
use crate::{fault, plain};

/// How the rows of a table version are to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Every row as it lies: no key, or a base of unique keys alone.
    Plain,
    /// The base as it lies except keys that occur in the later files; of those the last row each.
    Changes { base: Vec<String>, later: Vec<String> },
    /// The last row of each key over all files.
    Merged,
}

/// Decides how to read.
pub(crate) fn reading(loaded: &Loaded<'_>) -> Result<Reading> {
    let rules = &loaded.rules;
    let files = loaded.files()?;
    if rules.key.is_empty() || files.is_empty() {
        return Ok(Reading::Plain);
    }
    let parcels: HashSet<&str> = rules.base.iter().map(String::as_str).collect();
    let (base, later): (Vec<String>, Vec<String>) = files
        .into_iter()
        .map(|(path, _)| path)
        .partition(|path| parcel_of(path).is_some_and(|parcel| parcels.contains(parcel)));
    Ok(match (rules.unique && !base.is_empty(), later.is_empty()) {
        (true, true) => Reading::Plain,
        (true, false) => Reading::Changes { base, later },
        (false, _) => Reading::Merged,
    })
}

/// A column by its exact name.
pub(crate) fn named(name: &str) -> Expr {
    Expr::Column(Column::from_name(name))
}

/// Column of the keys that a view is narrowed to.
pub(crate) const TOUCHED: &str = "dsc_touched";

/// Rows that a view is narrowed to, before it is made.
#[derive(Debug)]
pub(crate) struct Narrow {
    /// Hashes of keys, in the column [`TOUCHED`]; `None`: all.
    pub(crate) keys: Option<DataFrame>,
    /// Only hashes beyond this one.
    pub(crate) after: Option<String>,
}

impl Narrow {
    fn apply(&self, mut rows: DataFrame) -> Result<DataFrame> {
        let failed = |e| fault::plan("narrowing a view", e);
        if let Some(after) = &self.after {
            rows = rows.filter(named(HASH).gt(lit(after.as_str()))).map_err(failed)?;
        }
        match &self.keys {
            None => Ok(rows),
            // The side that is held in memory is the left one: the keys.
            Some(keys) => keys
                .clone()
                .join(rows, JoinType::RightSemi, &[TOUCHED], &[HASH], None)
                .map_err(failed),
        }
    }
}

/// The current view with all stored columns.
pub(crate) fn view<'a>(
    session: &'a SessionContext,
    loaded: &'a Loaded<'_>,
) -> BoxFuture<'a, Result<DataFrame>> {
    view_of(session, loaded, None)
}

/// The same, of some keys.
pub(crate) fn view_of<'a>(
    session: &'a SessionContext,
    loaded: &'a Loaded<'_>,
    narrow: Option<&'a Narrow>,
) -> BoxFuture<'a, Result<DataFrame>> {
    made(session, loaded, narrow).boxed()
}

async fn made(
    session: &SessionContext,
    loaded: &Loaded<'_>,
    narrow: Option<&Narrow>,
) -> Result<DataFrame> {
    view_by(session, loaded, reading(loaded)?, narrow, By::Delta).await
}

/// The same, read as was decided, by one of them.
pub(crate) async fn view_by(
    session: &SessionContext,
    loaded: &Loaded<'_>,
    reading: Reading,
    narrow: Option<&Narrow>,
    by: By,
) -> Result<DataFrame> {
    let files = async |session, loaded, paths| {
        let rows = files_by(session, loaded, paths, by).await?;
        match narrow {
            None => Ok(rows),
            Some(narrow) => narrow.apply(rows),
        }
    };
    match reading {
        Reading::Plain => files(session, loaded, None).await,
        Reading::Merged => {
            last_of_each_key(files(session, loaded, None).await?, loaded, Deletes::Drop)
        }
        Reading::Changes { base, later } => {
            let held = if by == By::Sent { None } else { few(loaded, &later)? };
            let changed = files(session, loaded, Some(later)).await?;
            let base = files(session, loaded, Some(base)).await?;
            if let Some(rows) = held {
                let last = Last::of(&loaded.code(), &changed, rows).await?;
                let standing = changed.filter(last.stands());
                return base
                    .filter(last.untouched())
                    .and_then(|untouched| untouched.union(standing?))
                    .map_err(|e| fault::plan("base and changes", e));
            }
            let keys = changed
                .clone()
                .select(vec![named(HASH).alias("dsc_changed")])
                .map_err(|e| fault::plan("changed keys", e))?;
            // The side that is held in memory is the left one: the changed keys, not the base.
            let untouched = keys
                .join(base, JoinType::RightAnti, &["dsc_changed"], &[HASH], None)
                .map_err(|e| fault::plan("rows without change", e))?;
            untouched
                .union(last_of_each_key(changed, loaded, Deletes::Drop)?)
                .map_err(|e| fault::plan("joining base and changes", e))
        }
    }
}

/// Rows of these files, if the last ones of their keys may be held in memory, as far as the log knows.
fn few(loaded: &Loaded<'_>, later: &[String]) -> Result<Option<u64>> {
    let later: HashSet<&String> = later.iter().collect();
    let rows: Option<u64> = loaded
        .files()?
        .iter()
        .filter(|(path, _)| later.contains(path))
        .map(|(_, rows)| *rows)
        .sum();
    Ok(rows.filter(|rows| *rows <= MOST))
}

async fn files_by(
    session: &SessionContext,
    loaded: &Loaded<'_>,
    paths: Option<Vec<String>>,
    by: By,
) -> Result<DataFrame> {
    if by != By::Delta {
        match plain::files(session, loaded, paths.as_deref(), by)? {
            Some(rows) => return Ok(rows),
            None if by == By::Sent => {
                return Err(Error::internal("lake: a table that only Delta's reader can read"));
            }
            None => {}
        }
    }
    files(session, loaded, paths).await
}

/// Rows of data files (all, or those named) as they lie.
pub(crate) fn files<'a>(
    session: &'a SessionContext,
    loaded: &'a Loaded<'_>,
    paths: Option<Vec<String>>,
) -> BoxFuture<'a, Result<DataFrame>> {
    async move {
        let mut builder = loaded.table.table_provider().with_session(Arc::new(session.state()));
        if let Some(paths) = paths {
            builder = builder.with_file_paths(paths);
        }
        let provider = builder.await.map_err(|e| fault::plan("table provider", e))?;
        session.read_table(provider).map_err(|e| fault::plan("reading files", e))
    }
    .boxed()
}

/// What becomes of a key whose last row is a delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deletes {
    /// Nothing is left of it.
    Drop,
    /// The delete stays, because older files still hold the key.
    Keep,
}

/// The last row of each key.
pub(crate) fn last_of_each_key(
    rows: DataFrame,
    loaded: &Loaded<'_>,
    deletes: Deletes,
) -> Result<DataFrame> {
    const PLACE: &str = "dsc_place";
    let failed = |e| fault::plan("merging by key", e);
    let place = row_number()
        .partition_by(vec![named(HASH)])
        .order_by(vec![named(BIZ_TIME).sort(false, false), named(RECORD_ID).sort(false, false)])
        .build()
        .map_err(failed)?
        .alias(PLACE);
    let columns: Vec<Expr> = loaded.schema.fields().iter().map(|f| named(f.name())).collect();
    let last = named(PLACE).eq(lit(1u64));
    let wanted = match deletes {
        Deletes::Drop => last.and(named(OPERATION).not_eq(lit("D"))),
        Deletes::Keep => last,
    };
    rows.window(vec![place])
        .and_then(|d| d.filter(wanted))
        .and_then(|d| d.select(columns))
        .map_err(failed)
}

impl crate::lake::DeltaLake {
    /// Rows of the current view; 0 when nothing has landed.
    pub(crate) async fn count_rows(&self, code: &str) -> Result<u64> {
        let Some(table) = self.table(code).await? else {
            return Ok(0);
        };
        let loaded = Loaded::of(&table)?;
        if reading(&loaded)? == Reading::Plain {
            // The log knows, unless another tool wrote files without counting.
            let counted: Option<Vec<u64>> =
                loaded.files()?.into_iter().map(|(_, rows)| rows).collect();
            if let Some(counted) = counted {
                return Ok(counted.iter().sum());
            }
        }
        let _alone = self.counting.lock().await;
        let session = self.session(true);
        let rows = view(&session, &loaded)
            .await?
            .count()
            .await
            .map_err(|e| fault::reading(code, "counting rows", e))?;
        Ok(u64::try_from(rows).unwrap_or(u64::MAX))
    }
}
