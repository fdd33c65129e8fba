//! The audit chain: append-only, hashed by SM3, durable before it is acknowledged (group commit).
//!
//! Records that arrive while a write is under way are written together by the next one, so the price of a durable
//! write is shared. On SQLite a record is durable in a journal (`journal`) and comes into the chain's table behind it (`settle`);
//! who reads the table waits for what was acknowledged before. On PostgreSQL an advisory lock makes the
//! processes take turns. Beside the chain stands its head (last number and hash): a cut-off tail is noticed, too.
//!
//! A transaction that puts records into the table writes what they add to the meter (`meter`), too: *metered = audited*.
//!
//! Before a writer goes on behind a tail it compares the tail with the head. When they do not fit, the next record of
//! the chain says so (`audit.fault`), so that a tail cut off while the platform stood still cannot be covered up by
//! going on from there: [`AuditLog::verify`] reports that record for ever.

mod beside;
mod checkpoint;
mod fault;
mod head;
mod journal;
mod links;
mod lot;
mod meter;
mod meter_postgres;
mod meter_sqlite;
mod read;
mod settle;
#[cfg(test)]
mod tests;
mod usage;
mod write;
mod write_postgres;
mod write_sqlite;

use std::sync::Arc;

pub use links::Links;
use model::audit::AuditEvent;
use model::{Code, Error, Result};
use sqlx::AnyPool;
use tokio::sync::{mpsc, oneshot};
pub use usage::{UsageAsk, UsageScope};

use crate::{Backend, Db, StoreConfig};

/// The chain of this installation.
#[derive(Debug)]
pub struct AuditLog {
    queue: mpsc::Sender<Order>,
    pool: AnyPool,
    head: head::Head,
    settled: settle::Settled,
    /// Where commands that read beside us leave their records (SQLite only).
    beside: Option<std::path::PathBuf>,
}

/// What a writer is asked for.
pub(crate) enum Order {
    Write(Pending),
    /// To end, and to say so.
    End(oneshot::Sender<()>),
}

/// A record on its way, with the one who waits for it.
pub(crate) struct Pending {
    /// Held by the caller, too, until it is told: what it put together it takes apart, and not the writer.
    event: Arc<AuditEvent>,
    done: oneshot::Sender<Result<i64>>,
}

/// Records waiting at most: more than that and callers wait for room.
const QUEUE: usize = 8192;

impl AuditLog {
    pub(crate) async fn open(config: &StoreConfig, db: &Db) -> Result<Self> {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let (pool, head, settled) = match db.backend() {
            Backend::Sqlite => write_sqlite::start(config, waiting).await?,
            Backend::Postgres => {
                let (pool, head) = write_postgres::start(db, waiting).await?;
                (pool, head, settle::Settled::Always)
            }
        };
        let beside = (db.backend() == Backend::Sqlite).then(|| config.folder.join(beside::WAITING));
        Ok(Self { queue, pool, head, settled, beside })
    }

    /// For a command that reads beside the process that writes the chain.
    pub(crate) async fn open_beside(config: &StoreConfig) -> Result<Self> {
        let (queue, waiting) = mpsc::channel(64);
        let (pool, head, settled) = beside::start(config, waiting).await?;
        Ok(Self { queue, pool, head, settled, beside: None })
    }

    /// Takes what commands beside us left into the chain; answers how many records. Call it now and then.
    pub async fn take_in(&self) -> Result<u64> {
        let Some(waiting) = &self.beside else { return Ok(0) };
        let mut taken = 0;
        for event in beside::take(waiting).await? {
            self.append(event).await?;
            taken += 1;
        }
        beside::taken(waiting).await?;
        Ok(taken)
    }

    /// Appends a record and waits until it is durable; answers its number. *every-release-audited* rests on this.
    pub async fn append(&self, event: impl Into<Arc<AuditEvent>>) -> Result<i64> {
        let (done, outcome) = oneshot::channel();
        let gone = || Error::of(Code::AuditUnavailable);
        let event = event.into();
        let pending = Pending { event: Arc::clone(&event), done };
        self.queue.send(Order::Write(pending)).await.map_err(|_| gone())?;
        let number = outcome.await.map_err(|_| gone())?;
        drop(event);
        number
    }

    /// A cheap question to the chain's table.
    pub async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT 1").execute(&self.pool).await.map_err(crate::db::fail)?;
        if self.queue.is_closed() { Err(Error::of(Code::AuditUnavailable)) } else { Ok(()) }
    }

    /// The chain's table, for a reader: everything whose caller was told stands in it.
    async fn table(&self) -> Result<&AnyPool> {
        self.settled.wait(&self.pool).await?;
        Ok(&self.pool)
    }

    /// The meter, for who only wants figures: where the table cannot be written just now, as it last was.
    async fn figures(&self) -> &AnyPool {
        if let Err(e) = self.settled.wait(&self.pool).await {
            tracing::warn!(error = %e.operator_text(), "figures of use lag behind the audit journal");
        }
        &self.pool
    }

    pub(crate) async fn close(&self) {
        let (done, ended) = oneshot::channel();
        // A writer that has ended already has nothing left to write.
        if self.queue.send(Order::End(done)).await.is_ok() {
            let _ = ended.await;
        }
        self.pool.close().await;
    }
}
