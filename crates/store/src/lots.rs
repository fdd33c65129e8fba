//! Lots of calls taken out of day counters, many in one transaction.
//!
//! SQLite lets one write at a time, and who finds it busy sleeps before asking again. When callers come in a crowd, each for the
//! first time, their takers would spend their time waiting for each other and for as many commits. Here one task writes for
//! all: what has come together while a commit was under way shares the next. On PostgreSQL, where rows are locked and not the
//! database, each takes by itself.

use model::{Code, Error, Result};
use tokio::sync::{mpsc, oneshot};

use crate::db::signed;
use crate::meter::{Pool, QuotaKey, Taken, take};
use crate::{Backend, Db};

/// Lots in one transaction at most.
const TOGETHER: usize = 256;

/// The way to the task that takes for all; none where each takes by itself.
#[derive(Clone)]
pub(crate) struct Takers(Option<mpsc::Sender<Waiting>>);

/// What is to be taken.
pub(crate) struct Ask {
    pub(crate) key: QuotaKey,
    pub(crate) want: i64,
    pub(crate) limit: i64,
    pub(crate) pools: Vec<Pool>,
}

struct Waiting {
    ask: Ask,
    done: oneshot::Sender<Result<Taken>>,
}

impl Takers {
    /// Each by itself.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Starts the task where it is of use; it ends with the last way to it.
    pub(crate) fn start(db: &Db) -> Self {
        if db.backend() != Backend::Sqlite {
            return Self::none();
        }
        let (queue, waiting) = mpsc::channel(TOGETHER);
        tokio::spawn(run(db.clone(), waiting));
        Self(Some(queue))
    }

    /// Takes a lot, or answers that there is none.
    pub(crate) async fn take(
        &self,
        db: &Db,
        key: &QuotaKey,
        want: u64,
        limit: u64,
        pools: &[Pool],
    ) -> Result<Taken> {
        let (want, limit) = (signed(want), signed(limit));
        let ask = Ask { key: key.clone(), want, limit, pools: pools.to_vec() };
        let Some(queue) = &self.0 else { return alone(db, &ask).await };
        let gone = || Error::of(Code::StoreUnavailable);
        let (done, taken) = oneshot::channel();
        queue.send(Waiting { ask, done }).await.map_err(|_| gone())?;
        taken.await.map_err(|_| gone())?
    }
}

async fn run(db: Db, mut waiting: mpsc::Receiver<Waiting>) {
    let mut batch: Vec<Waiting> = Vec::with_capacity(TOGETHER);
    while waiting.recv_many(&mut batch, TOGETHER).await > 0 {
        // For who has gone away nothing is taken.
        batch.retain(|w| !w.done.is_closed());
        if batch.is_empty() {
            continue;
        }
        match together(&db, &batch).await {
            Ok(taken) => {
                for (w, taken) in batch.drain(..).zip(taken) {
                    let _ = w.done.send(Ok(taken));
                }
            }
            // One that cannot be taken is no other's fault.
            Err(_) => {
                for w in batch.drain(..) {
                    let taken = alone(&db, &w.ask).await;
                    let _ = w.done.send(taken);
                }
            }
        }
    }
}

async fn together(db: &Db, batch: &[Waiting]) -> Result<Vec<Taken>> {
    let mut tx = db.begin().await?;
    let mut all = Vec::with_capacity(batch.len());
    for w in batch {
        all.push(take(&mut tx, &w.ask).await?);
    }
    tx.commit().await.map_err(crate::db::fail)?;
    Ok(all)
}

async fn alone(db: &Db, ask: &Ask) -> Result<Taken> {
    let mut tx = db.begin().await?;
    let taken = take(&mut tx, ask).await?;
    tx.commit().await.map_err(crate::db::fail)?;
    Ok(taken)
}
