//! Rows of one parcel as landed, for refreshing the serving copy: movement inside the house, not a release.

use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use model::batch::{Batch, Operation};
use model::entry::Entry;
use model::{Error, Result};
use policy::{Action, Permit};

use crate::cells::{self, Cells};
use crate::lake::DeltaLake;
use crate::name::{check_parcel, parcel_of};
use crate::schema::{self, Kind};
use crate::table::Loaded;
use crate::view::{files, named};
use crate::{commit, fault};

impl DeltaLake {
    /// Fails unless the permit is for work inside the house.
    pub(crate) fn check_replay(&self, permit: &Permit) -> Result<()> {
        permit.require(&[Action::SystemWork, Action::DataCollect])
    }

    /// Batches of a parcel in the order they were landed, columns in the order of the entry's items now; an item the
    /// parcel did not have is empty. A parcel that never landed is `NotFound`.
    pub(crate) async fn replay_parcel(
        &self,
        entry: &Entry,
        parcel: &str,
    ) -> Result<BoxStream<'static, Result<Batch>>> {
        check_parcel(parcel)?;
        let code = &entry.draft.code;
        let unknown = || Error::not_found("数据包", "parcel", parcel);
        let newest = self.table(code).await?.ok_or_else(unknown)?;
        let landing = commit::landed_in(&newest, parcel).await?.ok_or_else(unknown)?;
        let table = self.table_at(code, Some(landing.version)).await?.ok_or_else(unknown)?;
        let loaded = Loaded::of(&table)?;
        let stored = loaded.columns()?;

        let mut expressions = Vec::new();
        let mut shapes: Vec<(String, Kind, bool)> = Vec::new();
        for item in &entry.draft.items {
            let there = stored.iter().any(|c| c.name == item.identifier);
            if there {
                expressions.push(named(&item.identifier));
            }
            shapes.push((item.identifier.clone(), Kind::of_item(item), there));
        }
        expressions.push(named(schema::OPERATION));
        expressions.push(named(schema::RECORD));

        // File after file on one partition: the stored order is the landed order.
        let session = self.session(false);
        let mut streams = Vec::new();
        for (path, _) in loaded.files()? {
            if parcel_of(&path) != Some(parcel) {
                continue;
            }
            let rows = files(&session, &loaded, Some(vec![path]))
                .await?
                .select(expressions.clone())
                .map_err(|e| fault::plan("replay", e))?;
            streams.push(rows);
        }
        let batches = stream::iter(streams)
            .then(|rows| async move {
                rows.execute_stream().await.map_err(|e| fault::plan("starting a replay", e))
            })
            .map_ok(|rows| rows.map_err(|e| fault::plan("replaying rows", e)))
            .try_flatten()
            .and_then(move |batch| std::future::ready(batch_of(&batch, &shapes)));
        Ok(batches.boxed())
    }
}

fn batch_of(read: &arrow::array::RecordBatch, shapes: &[(String, Kind, bool)]) -> Result<Batch> {
    let mut arrays = read.columns().iter();
    let mut next = || arrays.next().ok_or_else(|| Error::internal("lake: a column is missing"));
    let rows = read.num_rows();
    let mut columns = Vec::with_capacity(shapes.len());
    for (name, kind, there) in shapes {
        columns.push(if *there {
            cells::column(next()?.as_ref(), *kind, name)?
        } else {
            cells::empty_column(*kind, rows)
        });
    }
    let operations = operations(&Cells::of(next()?.as_ref())?, rows);
    let records = match Cells::of(next()?.as_ref())? {
        Cells::Integer(numbers) => {
            numbers.iter().map(|n| n.and_then(|n| u64::try_from(n).ok()).unwrap_or(0)).collect()
        }
        other => return Err(Error::internal(format!("lake: record numbers are {other:?}"))),
    };
    Ok(Batch { columns, records, operations })
}

/// Operations per row; empty when every row is an insert.
fn operations(cells: &Cells<'_>, rows: usize) -> Vec<Operation> {
    let operations: Vec<Operation> = (0..rows)
        .map(|row| match cells.text(row) {
            Some("U") => Operation::Update,
            Some("D") => Operation::Delete,
            _ => Operation::Insert,
        })
        .collect();
    if operations.iter().all(|o| *o == Operation::Insert) { Vec::new() } else { operations }
}
