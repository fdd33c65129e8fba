//! Rows of a statement on their way out, watched: cancelled, too long, not granted any more, more than the cap. Whatever becomes
//! of them, the desk is told once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use pgwire::error::{PgWireError, PgWireResult};
use policy::port::{SqlCaller, SqlEnd, SqlRoom, SqlTurn};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::{Interval, MissedTickBehavior};

use super::words::{of_house, of_plan, state_of, told};

/// Whether somebody asked for the running statement to end.
#[derive(Debug, Default)]
pub(super) struct Cancel {
    asked: AtomicBool,
    bell: Notify,
}

impl Cancel {
    /// A new statement begins: what was asked before does not concern it.
    pub(super) fn reset(&self) {
        self.asked.store(false, Ordering::SeqCst);
    }

    pub(super) fn ask(&self) {
        self.asked.store(true, Ordering::SeqCst);
        self.bell.notify_waiters();
    }

    /// Returns when it is asked for.
    pub(super) async fn asked(&self) {
        loop {
            let mut rung = std::pin::pin!(self.bell.notified());
            rung.as_mut().enable();
            if self.asked.load(Ordering::SeqCst) {
                return;
            }
            rung.await;
        }
    }
}

/// Refusal of a statement that was cancelled.
pub(super) fn cancelled() -> PgWireError {
    told("57014", "语句已按要求取消", "the statement was cancelled as asked")
}

/// Refusal of one that took too long.
pub(super) fn too_long(most: Duration) -> PgWireError {
    told(
        "57014",
        format!("语句执行超过 {} 秒，已中止；请缩小范围后再试", most.as_secs_f32()),
        format!(
            "the statement took longer than {} seconds and was ended: narrow it and try again",
            most.as_secs_f32()
        ),
    )
}

/// What a statement under way must answer for.
pub(super) struct Watch {
    desk: Arc<dyn SqlRoom>,
    caller: SqlCaller,
    /// Taken when the desk is told the end.
    turn: Option<SqlTurn>,
    row_cap: u64,
    cancel: Arc<Cancel>,
    began: Instant,
    most: Duration,
    look: Interval,
    rows: u64,
    bytes: u64,
    /// One of the statements that an application may run at once.
    _place: OwnedSemaphorePermit,
}

impl Watch {
    pub(super) fn new(
        desk: Arc<dyn SqlRoom>,
        caller: SqlCaller,
        turn: SqlTurn,
        cancel: Arc<Cancel>,
        began: Instant,
        most: Duration,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let mut look = tokio::time::interval(desk.limits().look);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first turn comes at once, and begin has just asked.
        look.reset();
        let row_cap = turn.row_cap;
        let (turn, rows, bytes) = (Some(turn), 0, 0);
        Self { desk, caller, turn, row_cap, cancel, began, most, look, rows, bytes, _place: place }
    }

    fn left(&self) -> Duration {
        self.most.saturating_sub(self.began.elapsed())
    }

    fn end_of(&self, error: Option<&PgWireError>) -> SqlEnd {
        let state = error.map(state_of).unwrap_or_default();
        let outcome = match state.as_str() {
            "" => "ok",
            "57014" => "cancelled",
            _ => "failed",
        };
        SqlEnd {
            rows: self.rows,
            bytes: self.bytes,
            millis: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
            outcome,
            state,
            reason: String::new(),
        }
    }

    /// Tells the desk how it ended, if that was not told before.
    pub(super) async fn tell(&mut self, error: Option<&PgWireError>) {
        let Some(turn) = self.turn.take() else { return };
        let end = self.end_of(error);
        if let Err(e) = self.desk.end(&self.caller, &turn, end).await {
            tracing::error!(error = %e.operator_text(), "the end of a statement could not be recorded");
        }
    }

    /// Waits for `work` under watch; fails when the statement may not go on.
    pub(super) async fn over<T>(
        &mut self,
        work: impl Future<Output = PgWireResult<T>>,
    ) -> PgWireResult<T> {
        let mut work = std::pin::pin!(work);
        loop {
            let left = self.left();
            tokio::select! {
                biased;
                () = self.cancel.asked() => return Err(cancelled()),
                () = tokio::time::sleep(left) => return Err(too_long(self.most)),
                _ = self.look.tick() => {
                    if let Some(turn) = &self.turn {
                        self.desk.standing(&self.caller, turn).await.map_err(|e| of_house(&e))?;
                    }
                }
                done = &mut work => return done,
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Some(turn) = self.turn.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (desk, caller) = (Arc::clone(&self.desk), self.caller.clone());
        let end = SqlEnd { outcome: "cut", ..self.end_of(None) };
        runtime.spawn(async move {
            if let Err(e) = desk.end(&caller, &turn, end).await {
                tracing::error!(error = %e.operator_text(), "the end of a statement could not be recorded");
            }
        });
    }
}

/// The rows.
pub(super) struct Flow {
    batches: SendableRecordBatchStream,
    watch: Watch,
}

impl Flow {
    pub(super) fn new(batches: SendableRecordBatchStream, watch: Watch) -> Self {
        Self { batches, watch }
    }

    pub(super) fn schema(&self) -> SchemaRef {
        self.batches.schema()
    }

    /// The next rows; `None` at the end.
    pub(super) async fn next(&mut self) -> PgWireResult<Option<RecordBatch>> {
        let Self { batches, watch } = self;
        let next = watch.over(async { batches.next().await.transpose().map_err(of_plan) }).await;
        let next = next.and_then(|batch| match batch {
            Some(batch) => watch.count(batch).map(Some),
            None => Ok(None),
        });
        match &next {
            Ok(Some(_)) => {}
            Ok(None) => watch.tell(None).await,
            Err(e) => watch.tell(Some(e)).await,
        }
        next
    }
}

impl Watch {
    fn count(&mut self, batch: RecordBatch) -> PgWireResult<RecordBatch> {
        let rows = self.rows.saturating_add(batch.num_rows() as u64);
        if rows > self.row_cap {
            return Err(told(
                "54000",
                format!(
                    "结果超过授权允许的每次 {} 行，已中止：请加筛选条件、汇总或分批查询（LIMIT）",
                    self.row_cap
                ),
                format!(
                    "the answer has more than the {} rows that the grant allows at once and was ended: filter, aggregate or ask piece by piece (LIMIT)",
                    self.row_cap
                ),
            ));
        }
        self.rows = rows;
        let bytes = |column: &Arc<dyn Array>| column.to_data().get_slice_memory_size().unwrap_or(0);
        self.bytes += batch.columns().iter().map(bytes).sum::<usize>() as u64;
        Ok(batch)
    }
}
