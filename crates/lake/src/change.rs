//! Changes through a grant: what differs between two versions of what somebody may see.
//!
//! Parcels say what happened to a row at its source; what happened for a receiver is another question. A row whose region
//! code changes leaves one city and enters the next, though its parcel calls it an update; a row updated in an item that is
//! not granted does not change at all. So the two views are compared, not the parcels retold:
//!
//! ```text
//! parcels since the receiver's version ─► keys they touched ─┐
//!       view then ─► only those keys ─► filter ─► masks ─► by mark ─┐
//!       view now  ─► only those keys ─► filter ─► masks ─► by mark ─┴► merged: I, U, D
//! ```
//!
//! After a parcel that replaced everything, all keys are compared. Both sides come sorted by a mark (the hash of the key), spill
//! to disk when they are large, and are merged row by row, so that memory does not grow with the table.

use std::collections::VecDeque;
use std::sync::Arc;

use datafusion::dataframe::DataFrame;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::Expr;
use datafusion::prelude::SessionContext;
use deltalake_core::DeltaTable;
use deltalake_core::kernel::Action as LogAction;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt, TryStreamExt};
use model::batch::Operation;
use model::code::SyncMode;
use model::mask::Mask;
use model::value::{Row, Rows, Value};
use model::{Code, Error, Result};
use policy::port::{ChangeSpan, Changes, ChangesAhead, ROW_ID};
use policy::{Action, Grant};

use crate::cells::Cells;
use crate::lake::DeltaLake;
use crate::masking::Masking;
use crate::schema::{HASH, Shape};
use crate::session::CHUNK_ROWS;
use crate::table::Loaded;
use crate::view::{self, Narrow, files, named};
use crate::{commit, fault, filter, masking};

/// Column of the plan that holds the mark.
const MARK: &str = "dsc_mark";

/// Which keys may differ.
enum Touched {
    /// A parcel replaced everything.
    All,
    /// Those of these rows.
    Keys(DataFrame),
    /// None: only maintenance lies in between.
    Nothing,
}

impl DeltaLake {
    /// See [`policy::port::Lake::ahead`].
    pub(crate) async fn find_ahead(
        &self,
        code: &str,
        from: Option<i64>,
        most: usize,
    ) -> Result<Option<ChangesAhead>> {
        let Some(from) = from else {
            let newest = self.find_newest(code).await?;
            return Ok(newest.map(|newest| ChangesAhead {
                to: newest.version,
                newest: newest.version,
                behind: 1,
                since: newest.at.clone(),
                until: newest.at,
            }));
        };
        let Some(table) = self.table(code).await? else { return Err(set_back(from)) };
        let newest = i64::try_from(table.version().unwrap_or(0)).unwrap_or(i64::MAX);
        if from > newest {
            return Err(set_back(from));
        }
        let first = u64::try_from(from.saturating_add(1)).unwrap_or(0);
        let waiting = self.told_from(&table, code, first).await?;
        let (Some(oldest), Some(newest)) = (waiting.first(), waiting.last()) else {
            return Ok(None);
        };
        let last = waiting.get(most.max(1) - 1).unwrap_or(newest);
        Ok(Some(ChangesAhead {
            to: last.version,
            newest: newest.version,
            behind: waiting.len() as u64,
            since: oldest.at.clone(),
            until: last.at.clone(),
        }))
    }

    /// See [`policy::port::Lake::granted`].
    pub(crate) async fn count_granted(&self, grant: &Grant, version: i64) -> Result<u64> {
        let Some(table) = self.table_at(grant.code(), Some(version)).await? else { return Ok(0) };
        let loaded = Loaded::of(&table)?;
        let session = self.session(true);
        let rows =
            filter::granted(view::view(&session, &loaded).await?, grant, &loaded.columns()?)?;
        let rows = rows.count().await;
        let rows = rows.map_err(|e| fault::reading(grant.code(), "counting granted rows", e))?;
        Ok(u64::try_from(rows).unwrap_or(u64::MAX))
    }

    /// See [`policy::port::Lake::changes`].
    pub(crate) async fn change_stream(
        &self,
        grant: &Grant,
        span: &ChangeSpan,
    ) -> Result<BoxStream<'static, Result<Changes>>> {
        // Whoever may download versions whole may be told what they differ in.
        if !matches!(grant.action(), Action::RowsFlow | Action::RowsBatch | Action::RowsDownload) {
            return Err(Error::internal("lake: changes asked for with another grant"));
        }
        if grant.key().is_empty() {
            return Err(no_key(grant.code()));
        }
        let nothing = || Error::not_found("数据版本", "data version", &span.to.to_string());
        let newer = self.table_at(grant.code(), Some(span.to)).await?.ok_or_else(nothing)?;
        let now = Loaded::of(&newer)?;
        if now.rules.key != grant.key() {
            return Err(other_key());
        }
        let older = match span.from {
            None => None,
            Some(from) => self.table_at(grant.code(), Some(from)).await?,
        };
        let then = older.as_ref().map(Loaded::of).transpose()?;
        if then.as_ref().is_some_and(|then| then.rules.key != now.rules.key) {
            return Err(other_key());
        }
        let session = self.session(true);
        let keys = match span.from {
            None => None,
            Some(from) => match self.touched(&session, &now, from, span.to).await? {
                Touched::All => None,
                Touched::Keys(keys) => Some(keys),
                Touched::Nothing => return Ok(stream::empty().boxed()),
            },
        };
        let narrow = Narrow { keys, after: span.after.clone() };
        let old = match &then {
            None => None,
            Some(then) => Some(self.side(&session, grant, then, &narrow).await?),
        };
        let new = Some(self.side(&session, grant, &now, &narrow).await?);
        let columns: Vec<String> = std::iter::once(ROW_ID.to_owned())
            .chain(grant.columns().iter().map(|c| c.identifier.clone()))
            .collect();
        // Of what is gone, the plain key is told and nothing else.
        let told: Vec<bool> = std::iter::once(true)
            .chain(
                grant
                    .columns()
                    .iter()
                    .map(|c| c.mask.is_none() && grant.key().contains(&c.identifier)),
            )
            .collect();
        let merge = Merge { old: Side::of(old), new: Side::of(new), columns: columns.into(), told };
        Ok(stream::try_unfold(merge, |mut merge| async move {
            Ok(merge.piece().await?.map(|piece| (piece, merge)))
        })
        .boxed())
    }

    /// Keys that the parcels after `from`, up to `to`, hold or delete.
    async fn touched(
        &self,
        session: &SessionContext,
        now: &Loaded<'_>,
        from: i64,
        to: i64,
    ) -> Result<Touched> {
        let Some(arrived) = self.arrived(session, now, from, to).await? else {
            return Ok(Touched::All);
        };
        Ok(Arrived::keys(arrived)?.map_or(Touched::Nothing, Touched::Keys))
    }

    /// Rows that the parcels after `from`, up to `to`, brought; `None` when one of them replaced everything.
    pub(crate) fn arrived<'a>(
        &'a self,
        session: &'a SessionContext,
        now: &'a Loaded<'_>,
        from: i64,
        to: i64,
    ) -> BoxFuture<'a, Result<Option<Vec<Arrived>>>> {
        async move {
            let active: Vec<String> = now.files()?.into_iter().map(|(path, _)| path).collect();
            let mut arrived = Vec::new();
            let mut here = Vec::new();
            let number = |version: i64| u64::try_from(version).unwrap_or(0);
            for version in number(from.saturating_add(1))..=number(to) {
                let Some(added) = added(now.table, version).await? else { return Ok(None) };
                if added.iter().all(|path| active.contains(path)) {
                    here.extend(added);
                    continue;
                }
                // Written together with others since: as it was, it is still there.
                let mut table = now.table.clone();
                table
                    .load_version(version)
                    .await
                    .map_err(|e| fault::delta("reading an earlier version", e))?;
                let loaded = Loaded::of(&table)?;
                arrived.push(Arrived::of(session, &loaded, added).await?);
            }
            if !here.is_empty() {
                arrived.push(Arrived::of(session, now, here).await?);
            }
            Ok(Some(arrived))
        }
        .boxed()
    }

    /// What the grant shows of a version, by mark.
    async fn side(
        &self,
        session: &SessionContext,
        grant: &Grant,
        loaded: &Loaded<'_>,
        narrow: &Narrow,
    ) -> Result<SendableRecordBatchStream> {
        let rows = view::view_of(session, loaded, Some(narrow)).await?;
        let rows = filter::granted(rows, grant, &loaded.columns()?)?;
        let masker = Arc::new(Masking::new(&self.mask_key, grant.grantee()));
        let stored = loaded.columns()?;
        let id = masking::masked(&masker, &Mask::Hash, ROW_ID, named(HASH));
        let mut projection: Vec<Expr> = vec![named(HASH).alias(MARK), id.alias(ROW_ID)];
        let columns = grant.columns().iter();
        projection
            .extend(columns.map(|c| masking::shown(&masker, c, &stored).alias(&c.identifier)));
        rows.select(projection)
            .and_then(|rows| rows.sort(vec![named(MARK).sort(true, false)]))
            .map_err(|e| fault::plan("changes", e))?
            .execute_stream()
            .await
            .map_err(|e| fault::plan("starting changes", e))
    }
}

/// Files that a version's parcel brought, none for maintenance; `None` when it replaced everything.
async fn added(table: &DeltaTable, version: u64) -> Result<Option<Vec<String>>> {
    let actions = commit::actions(table, version).await?;
    let said = actions.iter().find_map(|action| match action {
        LogAction::CommitInfo(info) => Some(info),
        _ => None,
    });
    let word = |name: &str| said.and_then(|i| i.info.get(name)).and_then(|v| v.as_str());
    if word("compaction").is_some() {
        return Ok(Some(Vec::new()));
    }
    let added: Vec<String> = actions
        .iter()
        .filter_map(|action| match action {
            LogAction::Add(add) if add.data_change => Some(add.path.clone()),
            _ => None,
        })
        .collect();
    if word("parcel").is_some() {
        let full = word("mode") == Some(SyncMode::Full.as_str());
        return Ok((!full).then_some(added));
    }
    // Another tool's work: maintenance that moved rows alone, or else nobody knows what it did.
    Ok(added.is_empty().then_some(added))
}

/// Rows as parcels brought them, with the columns they are stored by.
pub(crate) struct Arrived {
    pub(crate) rows: DataFrame,
    pub(crate) stored: Vec<Shape>,
}

impl Arrived {
    async fn of(session: &SessionContext, loaded: &Loaded<'_>, paths: Vec<String>) -> Result<Self> {
        let rows = files(session, loaded, Some(paths)).await?;
        Ok(Self { rows, stored: loaded.columns()? })
    }

    /// Hashes of the keys of all rows; `None` when there are none.
    pub(crate) fn keys(arrived: Vec<Self>) -> Result<Option<DataFrame>> {
        arrived.into_iter().try_fold(None, |keys, part| {
            let hashes = part
                .rows
                .select(vec![named(HASH).alias(view::TOUCHED)])
                .map_err(|e| fault::plan("touched keys", e))?;
            join(keys, hashes).map(Some)
        })
    }
}

fn join(keys: Option<DataFrame>, more: DataFrame) -> Result<DataFrame> {
    match keys {
        None => Ok(more),
        Some(keys) => keys.union(more).map_err(|e| fault::plan("touched keys", e)),
    }
}

/// One of the two sorted sides.
struct Side {
    batches: Option<SendableRecordBatchStream>,
    waiting: VecDeque<(String, Row)>,
}

impl Side {
    fn of(batches: Option<SendableRecordBatchStream>) -> Self {
        Self { batches, waiting: VecDeque::new() }
    }

    /// Makes sure that a row waits, if there is one left.
    async fn fill(&mut self) -> Result<()> {
        while self.waiting.is_empty() {
            let Some(batches) = &mut self.batches else { return Ok(()) };
            let failed = |e| fault::plan("reading changes", e);
            let Some(batch) = batches.try_next().await.map_err(failed)? else {
                self.batches = None;
                return Ok(());
            };
            let cells = batch
                .columns()
                .iter()
                .map(|c| Cells::of(c.as_ref()))
                .collect::<Result<Vec<_>>>()?;
            let Some((marks, cells)) = cells.split_first() else {
                return Err(Error::internal("lake: changes without a column"));
            };
            for row in 0..batch.num_rows() {
                let mark = marks
                    .text(row)
                    .ok_or_else(|| Error::internal("lake: a row without the hash of its key"))?;
                self.waiting
                    .push_back((mark.to_owned(), cells.iter().map(|c| c.value(row)).collect()));
            }
        }
        Ok(())
    }
}

struct Merge {
    old: Side,
    new: Side,
    columns: Arc<[String]>,
    /// Columns told of a row that is gone.
    told: Vec<bool>,
}

impl Merge {
    async fn piece(&mut self) -> Result<Option<Changes>> {
        let mut piece = Changes {
            operations: Vec::new(),
            rows: Rows { columns: self.columns.to_vec(), rows: Vec::new() },
            marks: Vec::new(),
        };
        while piece.marks.len() < CHUNK_ROWS {
            self.old.fill().await?;
            self.new.fill().await?;
            let order = match (self.old.waiting.front(), self.new.waiting.front()) {
                (None, None) => break,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some((old, _)), Some((new, _))) => old.cmp(new),
            };
            let old = if order.is_le() { self.old.waiting.pop_front() } else { None };
            let new = if order.is_ge() { self.new.waiting.pop_front() } else { None };
            let (operation, mark, row) = match (old, new) {
                (None, Some((mark, row))) => (Operation::Insert, mark, row),
                (Some((_, before)), Some((mark, row))) if before != row => {
                    (Operation::Update, mark, row)
                }
                (Some((mark, row)), None) => (Operation::Delete, mark, self.gone(row)),
                _ => continue,
            };
            piece.operations.push(operation);
            piece.marks.push(mark);
            piece.rows.rows.push(row);
        }
        Ok((!piece.marks.is_empty()).then_some(piece))
    }

    fn gone(&self, row: Row) -> Row {
        row.into_iter()
            .zip(&self.told)
            .map(|(value, told)| if *told { value } else { Value::Null })
            .collect()
    }
}

fn no_key(code: &str) -> Error {
    Error::new(
        Code::RuleBroken,
        format!("目录 `{code}` 没有主键数据项，无法按变化投送；请由数据提供单位设置主键后重试"),
        format!(
            "the entry `{code}` has no key, so that changes cannot be told; its provider must set one"
        ),
    )
}

fn other_key() -> Error {
    Error::new(
        Code::WrongState,
        "目录的主键已变更，请在重新归集后重新投送全部数据（回流“重新投送”，推送“全量修复”）",
        "the key of the entry has changed; have it collected anew, then have all rows brought anew",
    )
}

fn set_back(version: i64) -> Error {
    Error::new(
        Code::WrongState,
        format!(
            "数据湖中已没有版本 {version}（可能从备份恢复），请重新投送全部数据（回流“重新投送”，推送“全量修复”）"
        ),
        format!(
            "the lake does not know version {version} any more (it may have been restored from a backup); have all rows brought anew"
        ),
    )
}
