//! Rows that another room hands over with a parcel id of its own: a report, for one. They go the way of every collection,
//! with a run, a manifest and a lease; the given id makes that they land once, however often they are handed over.

use std::sync::Arc;

use model::code::SyncMode;
use model::parcel::Run;
use model::{Error, Op, Result};
use policy::port::{CellRow, ReadOptions, Source};

use super::{Order, prepare, work};
use crate::App;

/// What is handed over.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    /// Entry id.
    pub(crate) entry: String,
    /// Channel word of run and parcel.
    pub(crate) channel: &'static str,
    /// What the run calls its source.
    pub(crate) name: String,
    pub(crate) mode: SyncMode,
    pub(crate) parcel: String,
    /// Rows with their operations, cells in the order of the entry's items.
    pub(crate) rows: Vec<CellRow>,
}

/// Lands a delivery and waits for its end. The work goes on even when the caller does not wait any more.
pub(crate) async fn deliver(app: &Arc<App>, op: &Op, delivery: Delivery) -> Result<Run> {
    let Delivery { entry, channel, name, mode, parcel, rows } = delivery;
    let options = ReadOptions {
        operation_column: Some("dsc_biz_operation".into()),
        ..ReadOptions::default()
    };
    let order = Order { entry, source: Source::Cells { name, rows }, mode, options };
    let given = prepare::Given { channel, run: None, parcel: Some(parcel) };
    let job = prepare::prepare_as(app, op, order, Some(given)).await?;
    tokio::spawn(work::guarded(Arc::clone(app), job))
        .await
        .map_err(|e| Error::internal("the delivery's task ended early").caused_by(e))
}
