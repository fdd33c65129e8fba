//! The control store and the serving copy: the only SQL against our own tables, on SQLite or PostgreSQL.
//!
//! One file per resource, same verb as in `app`. Every writing function takes a `Permit`; rows of the serving copy
//! leave only through a `Grant`. SQL is written once with `$1` placeholders, which both databases read; the types are
//! TEXT, BIGINT and DOUBLE PRECISION. SQL rows never leave this crate.

pub mod account;
pub mod approval;
pub mod asset;
pub mod attachment;
pub mod audit;
pub mod authorisation;
pub mod backchannel;
pub mod basket;
pub mod bounds;
pub mod certificate;
pub mod change;
mod clause;
pub mod contest;
pub mod control;
pub mod credential;
mod db;
pub mod delivery;
pub mod delta;
mod discard;
pub mod dispatch;
pub mod entry;
pub mod exchange;
pub mod figures;
pub mod fill;
pub mod finding;
pub mod halt;
pub mod harvest;
pub mod identity;
pub mod idle;
pub mod interface;
pub mod interface_day;
pub mod job;
pub mod lease;
pub mod link;
mod lots;
pub mod meter;
pub mod misfit;
pub mod news;
pub mod notice;
pub mod openness;
pub mod openplan;
pub mod operation;
pub mod org;
pub mod outflow;
pub mod parcel;
pub mod personal_token;
pub mod pipeline;
pub mod project;
pub mod proposal;
pub mod rail;
pub mod realname;
pub mod reconcile;
pub mod report;
pub mod request;
pub mod restricted;
pub mod sandbox;
pub mod scan;
pub mod schema;
pub mod seal;
pub mod seat;
pub mod serving;
pub mod source;
pub mod sql;
mod timeline;
pub mod voice;

use std::path::PathBuf;
use std::sync::Arc;

pub use db::{Backend, Db};
use model::Result;

/// Where the stores are.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// `sqlite:` for files in `folder`, or `postgres://user:password@host/database`.
    pub url: String,
    /// Folder of the SQLite files.
    pub folder: PathBuf,
    /// The platform's keys: masks of served rows and sealed page tokens.
    pub keys: guard::KeyRing,
}

/// All stores of one process.
#[derive(Clone)]
pub struct Store {
    pub(crate) db: Db,
    audit: Arc<audit::AuditLog>,
    serving: Arc<dyn serving::ServingCopy>,
    regions: Arc<org::Regions>,
    takers: lots::Takers,
}

impl Store {
    /// Opens (and where needed creates and migrates) the stores.
    pub async fn open(config: &StoreConfig) -> Result<Self> {
        let db = Db::open(config).await?;
        let audit = Arc::new(audit::AuditLog::open(config, &db).await?);
        let serving = serving::open(config, &db).await?;
        let takers = lots::Takers::start(&db);
        Ok(Self { db, audit, serving, regions: Arc::default(), takers })
    }

    /// Opens SQLite stores for reading, beside the process that writes them. Nothing is created or migrated, rows are
    /// not served; audit records wait in a file until that process takes them into the chain.
    pub async fn open_beside(config: &StoreConfig) -> Result<Self> {
        let db = Db::open_beside(config).await?;
        let audit = Arc::new(audit::AuditLog::open_beside(config).await?);
        let (serving, takers) = (Arc::new(serving::Absent), lots::Takers::none());
        Ok(Self { db, audit, serving, regions: Arc::default(), takers })
    }

    /// The audit chain.
    #[must_use]
    pub fn audit(&self) -> &audit::AuditLog {
        &self.audit
    }

    /// The serving copy.
    #[must_use]
    pub fn serving(&self) -> &dyn serving::ServingCopy {
        self.serving.as_ref()
    }

    #[must_use]
    pub fn backend(&self) -> Backend {
        self.db.backend()
    }

    /// A cheap question to the control store, for readiness.
    pub async fn ping(&self) -> Result<()> {
        self.db.ping().await
    }

    /// Ends the writers after what is queued has been written.
    pub async fn close(&self) {
        self.audit.close().await;
        self.db.close().await;
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("backend", &self.backend()).finish_non_exhaustive()
    }
}
