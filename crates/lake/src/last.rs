//! The last row of each changed key, small enough to be held while a view is read: base and changes are then two plain
//! streams, each row asked whether it stands. Nothing is sorted or joined.
//!
//! A key takes some forty bytes. Beyond [`MOST`] rows of changes the view is made by a join and a sort instead, which spill
//! ([`crate::view`]); compaction sees to it that there are seldom so many.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::datatypes::DataType as ArrowType;
use datafusion::common::DataFusionError;
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use futures::TryStreamExt;
use model::{Error, Result};

use crate::cells::Cells;
use crate::fault;
use crate::schema::{HASH, OPERATION, RECORD_ID};
use crate::view::named;

/// Most rows of changes: a table of this size fills 140 MB.
pub(crate) const MOST: u64 = 3_600_000;

/// Keys that have changed, each with its last row.
pub(crate) struct Last {
    rows: HashMap<u128, Row, BuildHasherDefault<AsItIs>>,
}

/// Number of the last row, which only grows from row to row; negative: it is a delete.
#[derive(Clone, Copy)]
struct Row(i64);

impl fmt::Debug for Last {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Last").field("keys", &self.rows.len()).finish()
    }
}

impl Last {
    /// Reads keys, numbers and operations of the changes of the table `code`, of which there are `rows`.
    pub(crate) async fn of(code: &str, changes: &DataFrame, rows: u64) -> Result<Arc<Self>> {
        let columns = vec![named(HASH), named(RECORD_ID), named(OPERATION)];
        let failed = |e| fault::reading(code, "reading changed keys", e);
        let mut stream = changes
            .clone()
            .select(columns)
            .map_err(failed)?
            .execute_stream()
            .await
            .map_err(failed)?;
        // Room for all at once: a table that grows is there twice while it moves.
        let room = usize::try_from(rows).unwrap_or(0);
        let mut last =
            Self { rows: HashMap::with_capacity_and_hasher(room, BuildHasherDefault::default()) };
        while let Some(batch) = stream.try_next().await.map_err(failed)? {
            let [hashes, ids, operations] = batch.columns() else {
                return Err(Error::internal("lake: changed keys have three columns"));
            };
            let keys = keys(hashes)?;
            let (Cells::Integer(ids), operations) =
                (Cells::of(ids.as_ref())?, Cells::of(operations.as_ref())?)
            else {
                return Err(Error::internal("lake: record ids are no numbers"));
            };
            for (row, key) in keys.into_iter().enumerate() {
                let Some(key) = key else { continue };
                let id = ids.value(row).saturating_add(1);
                let told = if operations.text(row) == Some("D") { -id } else { id };
                let slot = last.rows.entry(key).or_insert(Row(told));
                if slot.0.abs() < id {
                    *slot = Row(told);
                }
            }
        }
        Ok(Arc::new(last))
    }

    /// Of the base: whether nothing has become of the row's key since.
    pub(crate) fn untouched(self: &Arc<Self>) -> Expr {
        self.question(false).call(vec![named(HASH)])
    }

    /// Of the changes: whether the row is its key's last, and no delete.
    pub(crate) fn stands(self: &Arc<Self>) -> Expr {
        self.question(true).call(vec![named(HASH), named(RECORD_ID)])
    }

    fn question(self: &Arc<Self>, changes: bool) -> ScalarUDF {
        // Volatile: it is asked where it stands in the plan, and never by the files' statistics.
        let signature = Signature::any(if changes { 2 } else { 1 }, Volatility::Volatile);
        ScalarUDF::new_from_impl(Question { last: Arc::clone(self), changes, signature })
    }
}

/// The hashes of a column as numbers; `None` where there is no key.
fn keys(hashes: &ArrayRef) -> Result<Vec<Option<u128>>> {
    let cells = Cells::of(hashes.as_ref())?;
    (0..hashes.len())
        .map(|row| {
            cells
                .text(row)
                .map(|hex| {
                    u128::from_str_radix(hex, 16)
                        .map_err(|e| Error::internal("lake: the hash of a key").caused_by(e))
                })
                .transpose()
        })
        .collect()
}

/// Hashes are spread already.
#[derive(Clone, Copy, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u128(&mut self, key: u128) {
        self.0 = u64::try_from(key >> 64).unwrap_or_default();
    }
}

struct Question {
    last: Arc<Last>,
    changes: bool,
    signature: Signature,
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl PartialEq for Question {
    fn eq(&self, other: &Self) -> bool {
        self.changes == other.changes && Arc::ptr_eq(&self.last, &other.last)
    }
}
impl Eq for Question {}
impl Hash for Question {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.changes, Arc::as_ptr(&self.last)).hash(state);
    }
}

impl Question {
    fn answer(&self, columns: &[ArrayRef]) -> Result<BooleanArray> {
        let rows = &self.last.rows;
        Ok(match columns {
            [hashes] => keys(hashes)?
                .into_iter()
                .map(|key| Some(key.is_none_or(|key| !rows.contains_key(&key))))
                .collect(),
            [hashes, ids] => {
                let Cells::Integer(ids) = Cells::of(ids.as_ref())? else {
                    return Err(Error::internal("lake: record ids are no numbers"));
                };
                keys(hashes)?
                    .into_iter()
                    .enumerate()
                    .map(|(row, key)| {
                        let last = key.and_then(|key| rows.get(&key));
                        Some(last.is_none_or(|last| last.0 == ids.value(row).saturating_add(1)))
                    })
                    .collect()
            }
            _ => return Err(Error::internal("lake: a row is asked by its key and number")),
        })
    }
}

impl ScalarUDFImpl for Question {
    fn name(&self) -> &str {
        if self.changes { "dsc_stands" } else { "dsc_untouched" }
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[ArrowType]) -> std::result::Result<ArrowType, DataFusionError> {
        Ok(ArrowType::Boolean)
    }
    fn invoke_with_args(
        &self,
        given: ScalarFunctionArgs,
    ) -> std::result::Result<ColumnarValue, DataFusionError> {
        let arrays = ColumnarValue::values_to_arrays(&given.args)?;
        let answer = self.answer(&arrays).map_err(|e| DataFusionError::External(e.into()))?;
        Ok(ColumnarValue::Array(Arc::new(answer)))
    }
}
