//! Deliveries: rows of a grant into a table of a city's PostgreSQL, MySQL or MariaDB.
//!
//! ```text
//! shape      names, keys and what stands in the way of a given table
//! postgres   COPY into a temporary table, then one DELETE and one INSERT … ON CONFLICT for each piece
//! mysql      DELETE and INSERT … ON DUPLICATE KEY UPDATE of many rows each
//! ```
//!
//! *exactly-once*: the table `qiantang_outflow` beside the target holds one line for each flow, with the position that its rows
//! stand at. A delivery locks that line, compares the position with the one it was made for, writes, and sets the new
//! position, all in one transaction. So two processes cannot both deliver, and a delivery whose commit was not heard of is
//! seen when the line is read again.

mod mysql;
mod postgres;
mod shape;

use async_trait::async_trait;
use model::{Code, Error, Result};
use policy::Grant;
use policy::port::{Outlet, OutletAddress, OutletColumn, OutletLine, OutletSurvey};

use crate::outgoing::Outgoing;
use crate::query::{self, Connected};

/// Table of positions.
const FLOWS: &str = "qiantang_outflow";

/// Databases of PostgreSQL, MySQL and MariaDB that rows are delivered to. It holds where it may connect to only: make one
/// and share it.
#[derive(Clone, Debug, Default)]
pub struct Outlets {
    outgoing: Outgoing,
}

impl Outlets {
    /// Delivers where `outgoing` lets go.
    #[must_use]
    pub fn reaching(outgoing: Outgoing) -> Self {
        Self { outgoing }
    }

    async fn connect(&self, at: &OutletAddress) -> Result<Connected> {
        query::connect(&self.outgoing, &at.url).await
    }
}

#[async_trait]
impl Outlet for Outlets {
    async fn survey(&self, at: &OutletAddress, columns: &[OutletColumn]) -> Result<OutletSurvey> {
        let plan = shape::Plan::of(at, columns)?;
        match self.connect(at).await? {
            Connected::Postgres(client, driver) => {
                postgres::Line::new(client, driver, plan).survey().await
            }
            Connected::Mysql(conn) => mysql::Line::new(conn, plan).survey().await,
        }
    }

    async fn open(
        &self,
        _grant: &Grant,
        at: &OutletAddress,
        columns: &[OutletColumn],
    ) -> Result<Box<dyn OutletLine>> {
        let plan = shape::Plan::of(at, columns)?;
        Ok(match self.connect(at).await? {
            Connected::Postgres(client, driver) => {
                let mut line = postgres::Line::new(client, driver, plan);
                line.prepare().await?;
                Box::new(line)
            }
            Connected::Mysql(conn) => {
                let mut line = mysql::Line::new(conn, plan);
                line.prepare().await?;
                Box::new(line)
            }
        })
    }

    async fn forget(&self, at: &OutletAddress) -> Result<()> {
        let plan = shape::Plan::of(at, &[])?;
        match self.connect(at).await? {
            Connected::Postgres(client, driver) => {
                postgres::Line::new(client, driver, plan).forget().await
            }
            Connected::Mysql(conn) => mysql::Line::new(conn, plan).forget().await,
        }
    }
}

/// The target stands elsewhere than the delivery was made for.
fn elsewhere() -> Error {
    Error::new(
        Code::Stale,
        "目标库的位置已变化（另一进程已投送，或目标库已从备份恢复），将从其当前位置继续",
        "the target stands at another position (another process delivered, or it was restored from a backup); the delivery goes on from there",
    )
}

/// What the target's server did not accept.
fn refused(said: &str) -> Error {
    let said = crate::why::cut(said, 300);
    Error::new(
        Code::RuleBroken,
        format!("目标库拒绝：{said}"),
        format!("the target refused: {said}"),
    )
}

/// The target cannot be used now.
fn away(said: &str) -> Error {
    Error::new(
        Code::SourceUnavailable,
        "目标库暂时不可用，将自动重试",
        "the target is not available now; it will be tried again",
    )
    .detail(crate::why::cut(said, 300))
}
