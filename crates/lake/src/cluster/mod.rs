//! SQL on several machines: an Apache DataFusion Ballista cluster, by configuration.
//!
//! # Who does what
//!
//! ```text
//! role sql        plans a statement as ever, behind the barrier of each granted table, and sends the finished plan ([`send`])
//! role scheduler  cuts the plan into stages and hands their tasks out ([`scheduler`])
//! role executor   asks for tasks, reads files of the lake, masks, keeps what lies between stages ([`executor`], [`engine`])
//! ```
//!
//! All are roles of the one binary. They know each other by certificates of an authority that is theirs alone: every
//! connection is mutual TLS, and no port answers anybody without one ([`trust`]).
//!
//! # What is kept
//!
//! * *no-plain-way-out*: what is sent was planned here, under a grant. Granted tables arrive as a [`fence`]: below it lie row
//!   filter and masks, above it what the caller asked, and nothing is moved across.
//! * Keys stay where they are. A mask travels as its name, column and grantee; the executor derives the key from its own
//!   master key ([`codec`]).
//! * The same SQL, the same rows: what cannot be sent runs in this process, and so does a statement that the cluster could
//!   not end for a reason of its own.
//! * A statement that needs too much memory fails alone and says so. One that an executor took down with it is asked again,
//!   once, as long as no row of it has gone out.

mod client;
mod codec;
mod engine;
mod executor;
mod fence;
mod scheduler;
mod send;
mod trust;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ballista_core::ids::new_instance_id;
use datafusion::execution::TaskContext;
use datafusion::prelude::SessionContext;
use guard::MaskKey;
use model::Result;

pub use self::executor::{ExecutorConfig, serve_executor};
pub(crate) use self::fence::{size, under};
pub use self::scheduler::{SchedulerConfig, serve_scheduler};
pub(crate) use self::send::{Ready, settings, spread};
pub use self::trust::TrustFiles;

use self::codec::HouseCodec;
use self::trust::Trust;

/// Largest message between the parts of a cluster: a plan over many thousand files.
pub(crate) const MESSAGE: usize = 64 << 20;

/// A cluster as whoever asks it knows it.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// Where the scheduler is, `host:port`.
    pub scheduler: String,
    pub trust: TrustFiles,
    /// Pieces that a statement is cut into at most, per stage.
    pub partitions: usize,
}

/// What has been asked of a cluster since this process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClusterFigures {
    /// Statements whose rows the cluster gave.
    pub answered: u64,
    /// Statements that ran here instead.
    pub taken_back: u64,
    /// Statements that were asked a second time, because what they came to was lost.
    pub asked_again: u64,
}

/// The way to a cluster.
pub(crate) struct Cluster {
    scheduler: String,
    trust: Arc<Trust>,
    partitions: usize,
    codec: HouseCodec,
    /// Functions that executors know, to see before whether they can read a plan.
    known: Arc<TaskContext>,
    /// One session for all statements: executors keep what they know of files by it.
    session: String,
    /// The connection to the scheduler, made when first needed and then kept.
    way: tokio::sync::OnceCell<tonic::transport::Channel>,
    answered: AtomicU64,
    taken_back: AtomicU64,
    asked_again: AtomicU64,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("scheduler", &self.scheduler).finish_non_exhaustive()
    }
}

impl Cluster {
    pub(crate) fn new(config: &ClusterConfig, masks: &MaskKey) -> Result<Self> {
        Ok(Self {
            scheduler: config.scheduler.clone(),
            trust: Arc::new(Trust::read(&config.trust)?),
            partitions: config.partitions.max(1),
            codec: HouseCodec::new(Some(masks.clone()), 0),
            known: SessionContext::new().task_ctx(),
            session: new_instance_id(),
            way: tokio::sync::OnceCell::new(),
            answered: AtomicU64::new(0),
            taken_back: AtomicU64::new(0),
            asked_again: AtomicU64::new(0),
        })
    }

    pub(crate) fn figures(&self) -> ClusterFigures {
        ClusterFigures {
            answered: self.answered.load(Ordering::Relaxed),
            taken_back: self.taken_back.load(Ordering::Relaxed),
            asked_again: self.asked_again.load(Ordering::Relaxed),
        }
    }
}

/// Where a part of the cluster listens, for its errors.
fn listening(what: &'static str, at: SocketAddr, e: impl fmt::Display) -> model::Error {
    model::Error::internal(format!("cluster: the {what} at {at} ended")).caused_by(e.to_string())
}
