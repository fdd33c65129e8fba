//! Making a view at a version: from the newest one before it where only some rows differ, else as a whole.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int64Type, SchemaRef};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::SessionContext;
use deltalake_core::DeltaTable;
use futures::{FutureExt, TryStreamExt};
use model::{Error, Result};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use policy::Grant;
use tokio::task::JoinSet;
use tracing::info;

use super::manifest::{self, Manifest, SharedFile};
use super::plan::{self, Shown};
use super::writer::{self, FILE_BYTES, IDS, Writer};
use super::{Place, unknown};
use crate::change::Arrived;
use crate::fault;
use crate::lake::DeltaLake;
use crate::schema::RECORD_ID;
use crate::table::Loaded;
use crate::view::{self, Narrow, named};

/// From so many rows on, a view is made on all processors.
const PARALLEL_ROWS: u64 = 500_000;
/// Most rows that are taken out of a view before it is made as a whole.
const MOST_GONE: usize = 2_000_000;
/// A file that is worth being written together with others.
const SMALL_BYTES: u64 = (FILE_BYTES / 8) as u64;
/// Small files that a view may have.
const MOST_SMALL: usize = 8;

/// What the making of a version needs.
pub(super) struct Making<'a> {
    pub(super) lake: &'a DeltaLake,
    pub(super) grant: &'a Grant,
    pub(super) place: &'a Place,
    pub(super) attempt: &'a str,
    pub(super) done: Arc<AtomicU64>,
}

impl DeltaLake {
    /// See [`policy::port::Shares::share_make`].
    pub(super) async fn make_view(
        &self,
        grant: &Grant,
        place: &Place,
        version: i64,
        attempt: &str,
        done: Arc<AtomicU64>,
    ) -> Result<Manifest> {
        let name = manifest::version_name(version);
        if let Some(there) = Manifest::read(place, &name).await? {
            return Ok(there);
        }
        if !super::plain(attempt) {
            return Err(Error::internal("lake: an attempt without a name"));
        }
        let table = self.shared_table(grant, version).await?;
        let making = Making { lake: self, grant, place, attempt, done };
        let before = Manifest::before(place, version).await?;
        let (mut made, written) = match making.on(before, &table, version).boxed().await? {
            Some(made) => made,
            None => making.whole(&table).boxed().await?,
        };
        made.sort_by_key(|f| (f.first, f.last));
        let stored = Loaded::of(&table)?.columns()?;
        let columns = manifest::shapes(&plan::columns(grant, &stored)?);
        let (files, anew) = (made.len(), written.len());
        let manifest = Manifest { version, columns, files: made };
        let kept = manifest.keep(place, &name, &written).await?;
        info!(
            entry.code = grant.code(),
            table.version = version,
            file.all = files,
            file.written = anew,
            "a shared view was made"
        );
        Ok(kept)
    }
}

/// All files of a version, and the names of those that were written for it.
type Made = (Vec<SharedFile>, Vec<String>);

fn names(files: &[SharedFile]) -> Vec<String> {
    files.iter().map(|f| f.name.clone()).collect()
}

impl Making<'_> {
    async fn whole(&self, table: &DeltaTable) -> Result<Made> {
        let (streams, schema) = self.whole_streams(table).boxed().await?;
        let mut tasks = JoinSet::new();
        for (at, stream) in streams.into_iter().enumerate() {
            let prefix = format!("{}-{at}", self.attempt);
            let done = Arc::clone(&self.done);
            let writer = Writer::new(self.place, &prefix, Arc::clone(&schema), done);
            tasks.spawn(pour(stream, writer).boxed());
        }
        let mut files = Vec::new();
        let mut failure = None;
        while let Some(ended) = tasks.join_next().await {
            match ended {
                Ok(Ok(written)) => files.extend(written),
                Ok(Err(e)) => failure = failure.or(Some(e)),
                Err(e) => {
                    let ended = Error::internal("lake: the writer of a view ended").caused_by(e);
                    failure = failure.or(Some(ended));
                }
            }
        }
        let written = names(&files);
        match failure {
            None => Ok((files, written)),
            Some(e) => {
                writer::discard(self.place, &written).await;
                Err(e)
            }
        }
    }

    /// All rows that the grant shows of a version.
    async fn whole_streams(&self, table: &DeltaTable) -> Result<(Vec<Rows>, SchemaRef)> {
        let loaded = Loaded::of(table)?;
        let stored = loaded.columns()?;
        let known: Option<u64> = loaded.files()?.iter().map(|(_, rows)| *rows).sum();
        let session = self.lake.session(known.is_none_or(|rows| rows >= PARALLEL_ROWS));
        let shown = Shown::of(self.lake, self.grant, &stored);
        let rows = view::view(&session, &loaded).await?;
        let rows = shown.rows(rows, &stored, false)?;
        let streams = rows.execute_stream_partitioned().boxed().await;
        Ok((streams.map_err(|e| fault::plan("starting a shared view", e))?, shown.schema))
    }

    /// The files of `before` with what has changed since; `None` when the view must be made as a whole.
    async fn on(
        &self,
        before: Option<Manifest>,
        table: &DeltaTable,
        version: i64,
    ) -> Result<Option<Made>> {
        let Some(before) = before else { return Ok(None) };
        match self.since(&before, table, version).boxed().await? {
            Some(since) => self.changed(before.files, since).boxed().await.map(Some),
            None => Ok(None),
        }
    }

    /// What has changed since `before`; `None` when that cannot be told row by row.
    async fn since(
        &self,
        before: &Manifest,
        table: &DeltaTable,
        version: i64,
    ) -> Result<Option<Since>> {
        let older = self.lake.shared_table(self.grant, before.version).boxed().await?;
        let (then, now) = (Loaded::of(&older)?, Loaded::of(table)?);
        let stored = now.columns()?;
        let columns = manifest::shapes(&plan::columns(self.grant, &stored)?);
        if columns != before.columns || then.rules.key != now.rules.key {
            return Ok(None);
        }
        let session = self.lake.session(true);
        let arrived = self.lake.arrived(&session, &now, before.version, version).await?;
        let Some(arrived) = arrived else { return Ok(None) };
        let shown = Shown::of(self.lake, self.grant, &stored);
        let schema = Arc::clone(&shown.schema);
        if now.rules.key.is_empty() {
            let added = started(&shown, arrived).boxed().await?;
            return Ok(Some(Since { gone: HashSet::new(), added, schema }));
        }
        let Some(keys) = Arrived::keys(arrived)? else {
            return Ok(Some(Since { gone: HashSet::new(), added: Vec::new(), schema }));
        };
        let narrow = Narrow { keys: Some(keys), after: None };
        let gone = numbers(&session, &then, &narrow).boxed().await?;
        let Some(gone) = gone else { return Ok(None) };
        let new = view::view_of(&session, &now, Some(&narrow)).await?;
        let new = shown.rows(new, &stored, false)?.execute_stream().boxed().await;
        let added = vec![new.map_err(|e| fault::plan("adding to a shared view", e))?];
        Ok(Some(Since { gone, added, schema }))
    }

    /// Takes rows out of the files that hold them and adds others.
    async fn changed(&self, files: Vec<SharedFile>, since: Since) -> Result<Made> {
        let Since { gone, added, schema } = since;
        let mut writer = Writer::new(self.place, self.attempt, schema, Arc::clone(&self.done));
        let mut touched = touched(self.place, &files, &gone).await?;
        if files.iter().filter(|f| f.bytes < SMALL_BYTES).count() >= MOST_SMALL {
            for file in files.iter().filter(|f| f.bytes < SMALL_BYTES) {
                if !touched.contains_key(&file.name) {
                    touched.insert(file.name.clone(), ids(self.place, &file.name).await?);
                }
            }
        }
        let (mut kept, mut anew) = (Vec::new(), Vec::new());
        for file in files {
            match touched.remove(&file.name) {
                Some(ids) => anew.push((file, ids)),
                None => kept.push(file),
            }
        }
        for (file, ids) in anew {
            without(self.place, &file.name, &ids, &gone, &mut writer).boxed().await?;
        }
        for mut rows in added {
            let failed = |e| fault::plan("adding to a shared view", e);
            while let Some(batch) = rows.try_next().await.map_err(failed)? {
                writer.write(&batch).await?;
            }
        }
        let written = writer.end().await?;
        let named = names(&written);
        kept.extend(written);
        Ok((kept, named))
    }
}

/// Rows on their way.
type Rows = SendableRecordBatchStream;

/// What has changed since an earlier version.
struct Since {
    /// Record numbers of rows that are not shown any more, or not as they were.
    gone: HashSet<i64>,
    added: Vec<Rows>,
    schema: SchemaRef,
}

async fn pour(mut rows: SendableRecordBatchStream, mut writer: Writer) -> Result<Vec<SharedFile>> {
    while let Some(batch) =
        rows.try_next().await.map_err(|e| fault::plan("making a shared view", e))?
    {
        writer.write(&batch).await?;
    }
    writer.end().await
}

/// Rows of parcels without a key, as shown.
async fn started(shown: &Shown<'_>, arrived: Vec<Arrived>) -> Result<Vec<Rows>> {
    let mut streams = Vec::new();
    for part in arrived {
        let rows = shown.rows(part.rows, &part.stored, false)?.execute_stream().boxed().await;
        streams.push(rows.map_err(|e| fault::plan("adding to a shared view", e))?);
    }
    Ok(streams)
}

/// Record numbers of the rows of some keys; `None` when there are too many to hold.
async fn numbers(
    session: &SessionContext,
    then: &Loaded<'_>,
    narrow: &Narrow,
) -> Result<Option<HashSet<i64>>> {
    let failed = |e| fault::plan("rows that changed", e);
    let rows = view::view_of(session, then, Some(narrow)).await?;
    let rows = rows.select(vec![named(RECORD_ID)]).map_err(failed)?;
    let mut rows = rows.execute_stream().boxed().await.map_err(failed)?;
    let mut found = HashSet::new();
    while let Some(batch) = rows.try_next().await.map_err(failed)? {
        let column = batch.columns().first();
        found.extend(
            column.into_iter().flat_map(|c| c.as_primitive::<Int64Type>().iter()).flatten(),
        );
        if found.len() > MOST_GONE {
            return Ok(None);
        }
    }
    Ok(Some(found))
}

/// Files that hold one of these rows, with the record numbers of all of theirs.
async fn touched(
    place: &Place,
    files: &[SharedFile],
    gone: &HashSet<i64>,
) -> Result<HashMap<String, Vec<i64>>> {
    let mut sorted: Vec<i64> = gone.iter().copied().collect();
    sorted.sort_unstable();
    let mut found = HashMap::new();
    for file in files {
        let from = sorted.partition_point(|id| *id < file.first);
        if sorted.get(from).is_none_or(|id| *id > file.last) {
            continue;
        }
        let ids = ids(place, &file.name).await?;
        if ids.iter().any(|id| gone.contains(id)) {
            found.insert(file.name.clone(), ids);
        }
    }
    Ok(found)
}

/// Record numbers of a file's rows, in their order.
async fn ids(place: &Place, name: &str) -> Result<Vec<i64>> {
    let mut ids = Vec::new();
    for batch in batches(place, &format!("{name}{IDS}")).await? {
        let batch = batch.map_err(fault::arrow)?;
        for column in batch.columns() {
            ids.extend(column.as_primitive::<Int64Type>().values().iter());
        }
    }
    Ok(ids)
}

async fn batches(place: &Place, name: &str) -> Result<ParquetRecordBatchReader> {
    let bytes = place.bytes(name).await?.ok_or_else(|| unknown(name))?;
    ParquetRecordBatchReaderBuilder::try_new(bytes)
        .and_then(|b| b.with_batch_size(8192).build())
        .map_err(fault::parquet)
}

/// Writes a file's rows anew, except those that are gone.
async fn without(
    place: &Place,
    name: &str,
    ids: &[i64],
    gone: &HashSet<i64>,
    writer: &mut Writer,
) -> Result<()> {
    let mut left = ids;
    for batch in batches(place, name).await? {
        let batch = batch.map_err(fault::arrow)?;
        let Some((here, rest)) = left.split_at_checked(batch.num_rows()) else {
            return Err(Error::internal("lake: a view's file has more rows than numbers"));
        };
        left = rest;
        let stays: BooleanArray = here.iter().map(|id| Some(!gone.contains(id))).collect();
        let numbers = arrow::array::Int64Array::from(here.to_vec());
        let mut columns: Vec<arrow::array::ArrayRef> = vec![Arc::new(numbers)];
        columns.extend(batch.columns().iter().cloned());
        let fields = plan::ids_schema()
            .fields()
            .iter()
            .chain(batch.schema().fields())
            .cloned()
            .collect::<Vec<_>>();
        let schema = Arc::new(arrow::datatypes::Schema::new(fields));
        let whole = RecordBatch::try_new(schema, columns).map_err(fault::arrow)?;
        writer.write(&filter_record_batch(&whole, &stays).map_err(fault::arrow)?).await?;
    }
    Ok(())
}
