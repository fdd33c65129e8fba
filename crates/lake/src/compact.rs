//! Compaction: many small files written together, so that a table collected every hour stays quick to read.
//!
//! What is seen does not change, and nothing is taken away: the files replaced stay on disk and in the log, so that
//! every earlier version reads as it did (time travel) and every parcel can be replayed as it landed. A compaction is
//! one commit with an application transaction of its own, `compact-<version it was made of>`; it says nothing of a
//! parcel, so that it is no version of the data, and parcels stay *exactly-once* by their own transactions.
//!
//! ```text
//! table                         what is written together                     rules afterwards
//! no key                        small files, rows in landed order            as before
//! base of unique keys, changes  the changes: last row of each key, deletes   as before (they are changes still)
//!   (few against the base)        too, because the base holds their keys
//! the same, changes over 1/4    the view: base and changes merged            base = the compaction, keys unique
//! no base, or keys repeat       the view                                     base = the compaction, keys unique
//! ```

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::SchemaRef;
use datafusion::dataframe::DataFrame;
use deltalake_core::kernel::{Action as LogAction, CommitInfo};
use deltalake_core::protocol::DeltaOperation;
use futures::StreamExt;
use model::{Error, Op, Result};
use policy::port::Compacted;
use serde_json::json;
use std::collections::HashMap;
use tokio::sync::mpsc;
use tracing::info;

use crate::datafile::FileWriter;
use crate::lake::DeltaLake;
use crate::land::{PIECES_WAITING, settle};
use crate::schema::{RECORD_ID, Shape};
use crate::table::{Loaded, Rules};
use crate::upload::{self, DataFile, Uploaded};
use crate::view::{self, Deletes, Reading, files, named};
use crate::{commit, fault, name};

/// Files that are worth writing together.
const MANY: usize = 24;
/// A file of a table without a key that is left as it is.
const LARGE_BYTES: u64 = 128 << 20;
/// The base is written anew when the changes are more than one part in so many of it.
const PART_OF_BASE: u64 = 4;
/// Record batches waiting for the encoder.
const BATCHES_WAITING: usize = 2;

/// What is to be written together.
#[derive(Debug)]
enum Plan {
    /// Files of a table without a key.
    Rows(Vec<String>),
    /// Changes over a base, which stays.
    Changes(Vec<String>),
    /// Everything.
    View(Vec<String>),
}

impl Plan {
    fn of(loaded: &Loaded<'_>) -> Result<Option<Self>> {
        let all = loaded.files()?;
        let paths = || all.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>();
        if loaded.rules.key.is_empty() {
            let sizes = loaded.sizes()?;
            let size = |path: &String| sizes.get(path).copied().unwrap_or(0);
            let small: Vec<String> =
                paths().into_iter().filter(|path| size(path) < LARGE_BYTES).collect();
            return Ok((small.len() >= MANY).then_some(Self::Rows(small)));
        }
        let rows_of = |some: &[String]| -> Option<u64> {
            all.iter().filter(|(path, _)| some.contains(path)).map(|(_, rows)| *rows).sum()
        };
        Ok(match view::reading(loaded)? {
            Reading::Plain => None,
            Reading::Changes { base, later } if later.len() >= MANY => {
                let few = rows_of(&later)
                    .zip(rows_of(&base))
                    .is_some_and(|(later, base)| later.saturating_mul(PART_OF_BASE) < base);
                Some(if few { Self::Changes(later) } else { Self::View(paths()) })
            }
            Reading::Merged if all.len() >= MANY => Some(Self::View(paths())),
            Reading::Changes { .. } | Reading::Merged => None,
        })
    }

    fn replaced(&self) -> &[String] {
        match self {
            Self::Rows(paths) | Self::Changes(paths) | Self::View(paths) => paths,
        }
    }

    /// The rows to be written, in the order they landed.
    async fn rows(&self, lake: &DeltaLake, loaded: &Loaded<'_>) -> Result<DataFrame> {
        let session = lake.session(true);
        let rows = match self {
            Self::Rows(paths) => files(&session, loaded, Some(paths.clone())).await?,
            Self::Changes(paths) => {
                let changes = files(&session, loaded, Some(paths.clone())).await?;
                view::last_of_each_key(changes, loaded, Deletes::Keep)?
            }
            Self::View(_) => view::view(&session, loaded).await?,
        };
        let columns = loaded.schema.fields().iter().map(|f| named(f.name())).collect::<Vec<_>>();
        rows.sort(vec![named(RECORD_ID).sort(true, false)])
            .and_then(|rows| rows.select(columns))
            .map_err(|e| fault::plan("ordering rows to be compacted", e))
    }

    /// What the view goes by afterwards; `None` leaves it.
    fn rules(&self, id: &str, before: &Rules) -> Option<Rules> {
        match self {
            Self::Rows(_) | Self::Changes(_) => None,
            Self::View(_) => {
                Some(Rules { base: vec![id.to_owned()], unique: true, key: before.key.clone() })
            }
        }
    }
}

impl DeltaLake {
    /// See [`policy::port::Lake::compact`].
    pub(crate) async fn compact_table(&self, op: &Op, code: &str) -> Result<Option<Compacted>> {
        name::check_code(code)?;
        let slot = self.slot(code);
        let _alone = slot.landing.lock().await;
        let Some(table) = self.table(code).await? else { return Ok(None) };
        let loaded = Loaded::of(&table)?;
        let Some(plan) = Plan::of(&loaded)? else { return Ok(None) };
        let id = format!("compact-{}", loaded.version());
        let (rows, written) = self.write_together(op, &id, &plan, &loaded).await?;
        let actions = actions(op, &id, &plan, &loaded, &written)?;
        let operation = DeltaOperation::Optimize { predicate: None, target_size: 256 << 20 };
        let version = match commit::write(&table, op, &id, actions, operation).await {
            Ok(version) => i64::try_from(version).unwrap_or(i64::MAX),
            Err(error) => settle(&table, &id, error, &written).await?.version,
        };
        let done = Compacted {
            version,
            files_before: plan.replaced().len() as u64,
            files_after: written.len() as u64,
            rows,
        };
        info!(
            entry.code = code,
            table.version = version,
            file.before = done.files_before,
            file.after = done.files_after,
            "table compacted"
        );
        Ok(Some(done))
    }

    /// Reads, encodes and uploads side by side. Whatever fails, the files are removed again.
    async fn write_together(
        &self,
        op: &Op,
        id: &str,
        plan: &Plan,
        loaded: &Loaded<'_>,
    ) -> Result<(u64, Vec<DataFile>)> {
        let store = loaded.table.object_store();
        let rows = plan.rows(self, loaded).await?;
        let mut batches =
            rows.execute_stream().await.map_err(|e| fault::plan("starting a compaction", e))?;
        let columns = loaded.columns()?;
        let (feed, waiting) = mpsc::channel::<Option<RecordBatch>>(BATCHES_WAITING);
        let (out, pieces) = mpsc::channel(PIECES_WAITING);
        let (id, attempt) = (id.to_owned(), op.new_id());
        let encoding =
            tokio::task::spawn_blocking(move || encode(&id, &attempt, columns, waiting, out));
        let reading = async move {
            while let Some(batch) = batches.next().await {
                let batch = batch.map_err(|e| fault::plan("reading rows to be compacted", e))?;
                // A closed channel means that the encoder has failed; its reason is told below.
                if feed.send(Some(batch)).await.is_err() {
                    return Ok(());
                }
            }
            let _ = feed.send(None).await;
            Ok::<(), Error>(())
        };
        let uploading = upload::upload(std::sync::Arc::clone(&store), pieces);
        let (read, uploaded, encoded) = tokio::join!(reading, uploading, encoding);
        let encoded = encoded
            .unwrap_or_else(|e| Err(Error::internal("lake: the encoder has stopped").caused_by(e)));
        let Uploaded { files, fault } = uploaded;
        let rows = match (read, fault, encoded) {
            (Ok(()), None, Ok(rows)) => rows,
            (Err(error), _, _) | (Ok(()), Some(error), _) | (Ok(()), None, Err(error)) => {
                upload::discard(&store, &files).await;
                return Err(error);
            }
        };
        Ok((rows, files))
    }
}

/// Encodes until the end (`None`) is told. Blocks.
fn encode(
    id: &str,
    attempt: &str,
    columns: Vec<Shape>,
    mut feed: mpsc::Receiver<Option<RecordBatch>>,
    out: mpsc::Sender<crate::encode::Piece>,
) -> Result<u64> {
    let mut files = FileWriter::new(id, attempt, columns, &[], out);
    let schema = files.schema();
    while let Some(next) = feed.blocking_recv() {
        match next {
            Some(batch) => files.write(&stored(&batch, &schema)?, batch.num_rows())?,
            None => return files.end(),
        }
    }
    Err(Error::internal("lake: the stream of a compaction broke off"))
}

/// The columns of a batch with the types that are stored (a plan may have read texts as views).
fn stored(batch: &RecordBatch, schema: &SchemaRef) -> Result<Vec<ArrayRef>> {
    let columns = batch.columns().iter().zip(schema.fields());
    columns
        .map(|(column, field)| cast(column, field.data_type()))
        .collect::<std::result::Result<_, _>>()
        .map_err(fault::arrow)
}

fn actions(
    op: &Op,
    id: &str,
    plan: &Plan,
    loaded: &Loaded<'_>,
    written: &[DataFile],
) -> Result<Vec<LogAction>> {
    // Merging drops rows that others have overtaken; for a tool that reads the files as they lie this is a change.
    let changes = !matches!(plan, Plan::Rows(_));
    let state = loaded.table.snapshot().map_err(|e| fault::delta("table state", e))?;
    let mut actions = vec![LogAction::CommitInfo(CommitInfo {
        timestamp: Some(op.at.timestamp_millis()),
        user_id: Some(op.actor.id().to_owned()),
        operation: Some("OPTIMIZE".to_owned()),
        read_version: Some(loaded.version()),
        is_blind_append: Some(false),
        engine_info: Some("qiantang".to_owned()),
        info: HashMap::from([
            ("compaction".to_owned(), json!(id)),
            ("request".to_owned(), json!(op.request_id)),
        ]),
        ..CommitInfo::default()
    })];
    if let Some(rules) = plan.rules(id, &loaded.rules) {
        actions.push(LogAction::Metadata(commit::ruled(state.metadata().clone(), &rules)?));
    }
    let data = state.snapshot().try_log_data().map_err(|e| fault::delta("file list", e))?;
    for file in data.iter() {
        if plan.replaced().iter().any(|path| *path == file.path()) {
            let mut remove = file.remove_action(changes);
            remove.deletion_timestamp = Some(op.at.timestamp_millis());
            actions.push(LogAction::Remove(remove));
        }
    }
    actions.extend(written.iter().map(|f| LogAction::Add(commit::add(op, f, changes))));
    Ok(actions)
}
