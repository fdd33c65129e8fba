//! What differs between two versions of a view, as files: rows before and after, as the grant showed them.
//!
//! Parcels say what happened at the source; what happened for a receiver is found by comparing what it was shown, as in
//! [`crate::change`]. A row whose granted items look as before is not told.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arrow::array::{Array as _, ArrayRef, BooleanArray, RecordBatch, StringArray};
use arrow::compute::{self, filter_record_batch};
use arrow::datatypes::{DataType as ArrowType, Field, Schema, SchemaRef};
use datafusion::dataframe::DataFrame;
use datafusion::execution::{SendableRecordBatchStream, SessionStateBuilder};
use datafusion::logical_expr::{BinaryExpr, Expr, JoinType, Operator};
use datafusion::prelude::SessionContext;
use futures::future::BoxFuture;
use futures::{FutureExt, TryStreamExt};
use model::{Error, Result};
use policy::Grant;

use super::Place;
use super::make::Making;
use super::manifest::{self, Manifest, SharedFile};
use super::plan::{self, MARK, Shown};
use super::writer::Writer;
use crate::change::Arrived;
use crate::fault;
use crate::lake::DeltaLake;
use crate::schema::RECORD_ID;
use crate::table::Loaded;
use crate::view::{self, Narrow, named};

/// Column that says what happened to a row.
const CHANGE: &str = "_change_type";
/// What stands before the columns of the older side.
const THEN: &str = "dsc_then_";

impl DeltaLake {
    /// See [`policy::port::Shares::share_change_make`].
    pub(super) async fn make_change(
        &self,
        grant: &Grant,
        place: &Place,
        (from, to): (i64, i64),
        attempt: &str,
        done: Arc<AtomicU64>,
    ) -> Result<Manifest> {
        let name = manifest::change_name(from, to);
        if let Some(there) = Manifest::read(place, &name).await? {
            return Ok(there);
        }
        if !super::plain(attempt) || from >= to {
            return Err(Error::internal("lake: a change of no versions"));
        }
        let older = self.shared_table(grant, from).await?;
        let newer = self.shared_table(grant, to).await?;
        let (then, now) = (Loaded::of(&older)?, Loaded::of(&newer)?);
        let making = Making { lake: self, grant, place, attempt, done };
        let files = making.difference(&then, &now, from, to).boxed().await?;
        let columns = manifest::shapes(&plan::columns(grant, &now.columns()?)?);
        let written: Vec<String> = files.iter().map(|f| f.name.clone()).collect();
        Manifest { version: to, columns, files }.keep(place, &name, &written).await
    }
}

/// Rows that differ: joined by the key (the older side's columns with [`THEN`] before their names, a side that lacks a row
/// empty), or of one side with what happened to all of them.
type Differing = (SendableRecordBatchStream, Option<&'static str>);

impl Making<'_> {
    /// Writes what differs.
    async fn difference(
        &self,
        then: &Loaded<'_>,
        now: &Loaded<'_>,
        from: i64,
        to: i64,
    ) -> Result<Vec<SharedFile>> {
        let (parts, schema) = self.differing(then, now, from, to).boxed().await?;
        let prefix = format!("{}-c", self.attempt);
        let told = changing(&schema);
        let mut writer = Writer::new(self.place, &prefix, told, Arc::clone(&self.done));
        let failed = |e| fault::plan("the changes of a shared view", e);
        for (mut rows, word) in parts {
            while let Some(batch) = rows.try_next().await.map_err(failed)? {
                match word {
                    Some(word) => writer.write(&worded(batch.columns(), word)?).await?,
                    None => {
                        for part in sides(&batch, &schema)? {
                            writer.write(&part).await?;
                        }
                    }
                }
            }
        }
        writer.end().await
    }

    async fn differing(
        &self,
        then: &Loaded<'_>,
        now: &Loaded<'_>,
        from: i64,
        to: i64,
    ) -> Result<(Vec<Differing>, SchemaRef)> {
        let (before, stored) = (then.columns()?, now.columns()?);
        let shown = Shown::of(self.lake, self.grant, &stored);
        let schema = Arc::clone(&shown.schema);
        let session = self.lake.session(true);
        let arrived = self.lake.arrived(&session, now, from, to).await?;
        let keyed = !now.rules.key.is_empty() && then.rules.key == now.rules.key;
        let mut parts = Vec::new();
        match (keyed, arrived) {
            (false, Some(arrived)) => {
                for part in arrived {
                    let rows = shown.rows(part.rows, &part.stored, false)?;
                    parts.push((started(rows).await?, Some("insert")));
                }
            }
            (false, None) => {
                let old = view::view(&session, then).await?;
                parts.push((started(shown.rows(old, &before, false)?).await?, Some("delete")));
                let new = view::view(&session, now).await?;
                parts.push((started(shown.rows(new, &stored, false)?).await?, Some("insert")));
            }
            (true, arrived) => {
                let (session, keys) = match arrived {
                    // A parcel that replaced everything: both sides are sorted and merged, neither is held.
                    None => (merging(&session), None),
                    Some(arrived) => match Arrived::keys(arrived)? {
                        Some(keys) => (session, Some(keys)),
                        None => return Ok((parts, schema)),
                    },
                };
                let narrow = Narrow { keys, after: None };
                let old = view::view_of(&session, then, Some(&narrow)).await?;
                let new = view::view_of(&session, now, Some(&narrow)).await?;
                let old = shown.rows(old, &before, true)?;
                let new = shown.rows(new, &stored, true)?;
                parts.push((started(joined(old, new, &schema)?).await?, None));
            }
        }
        Ok((parts, schema))
    }
}

fn started(rows: DataFrame) -> BoxFuture<'static, Result<SendableRecordBatchStream>> {
    async move {
        let started = rows.execute_stream().await;
        started.map_err(|e| fault::plan("the changes of a shared view", e))
    }
    .boxed()
}

/// The columns of a change.
fn changing(schema: &SchemaRef) -> SchemaRef {
    let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(CHANGE, ArrowType::Utf8, true)));
    Arc::new(Schema::new(fields))
}

/// A session that joins by sorting, so that no side is held in memory.
fn merging(session: &SessionContext) -> SessionContext {
    let mut config = session.copied_config();
    config.options_mut().optimizer.prefer_hash_join = false;
    let state = SessionStateBuilder::new_from_existing(session.state()).with_config(config);
    SessionContext::new_with_state(state.build())
}

/// Both sides by the hash of the key, where they differ.
fn joined(old: DataFrame, new: DataFrame, schema: &SchemaRef) -> Result<DataFrame> {
    let failed = |e| fault::plan("the changes of a shared view", e);
    let then = |name: &str| format!("{THEN}{name}");
    let names =
        || [RECORD_ID, MARK].into_iter().chain(schema.fields().iter().map(|f| f.name().as_str()));
    let old = old
        .select(names().map(|name| named(name).alias(then(name))).collect::<Vec<_>>())
        .map_err(failed)?;
    let differs = schema.fields().iter().map(|f| {
        let (old, new) = (named(&then(f.name())), named(f.name()));
        Expr::BinaryExpr(BinaryExpr::new(Box::new(old), Operator::IsDistinctFrom, Box::new(new)))
    });
    let one_side = named(MARK).is_null().or(named(&then(MARK)).is_null());
    let differs = differs.fold(one_side, Expr::or);
    let mark = then(MARK);
    old.join(new, JoinType::Full, &[mark.as_str()], &[MARK], None)
        .and_then(|rows| rows.filter(differs))
        .map_err(failed)
}

/// Rows of one side with what happened to them.
fn worded(columns: &[ArrayRef], word: &str) -> Result<RecordBatch> {
    let rows = columns.first().map_or(0, |c| c.len());
    let words: ArrayRef = Arc::new(StringArray::from(vec![word; rows]));
    // Names and types are the writer's to set.
    let all = columns.iter().cloned().chain([words]);
    let named = all.enumerate().map(|(at, column)| (at.to_string(), column, true));
    RecordBatch::try_from_iter_with_nullable(named).map_err(fault::arrow)
}

/// The rows of a joined batch: inserted, deleted, and updated ones before and after.
fn sides(batch: &RecordBatch, schema: &SchemaRef) -> Result<Vec<RecordBatch>> {
    let lacks = |what: &str| Error::internal(format!("lake: a change without `{what}`"));
    let column = |name: &str| batch.column_by_name(name).ok_or_else(|| lacks(name));
    let side = |before: &str| -> Result<Vec<ArrayRef>> {
        let names =
            std::iter::once(RECORD_ID).chain(schema.fields().iter().map(|f| f.name().as_str()));
        names.map(|name| column(&format!("{before}{name}")).cloned()).collect()
    };
    let there = |before: &str| -> Result<BooleanArray> {
        compute::is_not_null(column(&format!("{before}{MARK}"))?).map_err(fault::arrow)
    };
    let (old, new) = (there(THEN)?, there("")?);
    let not = |side: &BooleanArray| compute::not(side).map_err(fault::arrow);
    let both = compute::and(&old, &new).map_err(fault::arrow)?;
    let gone = compute::and(&old, &not(&new)?).map_err(fault::arrow)?;
    let come = compute::and(&new, &not(&old)?).map_err(fault::arrow)?;
    let (then, now) = (side(THEN)?, side("")?);
    [
        (&then, "delete", &gone),
        (&then, "update_preimage", &both),
        (&now, "update_postimage", &both),
        (&now, "insert", &come),
    ]
    .into_iter()
    .map(|(columns, word, which)| {
        filter_record_batch(&worded(columns, word)?, which).map_err(fault::arrow)
    })
    .collect()
}
