//! An open rail: its slot, the session that will read the log, the tables' shapes.

use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use futures::stream::BoxStream;
use model::rail::RailColumn;
use model::{Code, Error, Result};
use pgwire_replication::{Lsn, ReplicationClient};
use policy::port::{RailAddress, RailBinding, RailLine, RailPace, RailPiece, RailRows, SlotState};
use tokio::sync::Mutex;

use super::place::{Session, cell, replication};
use super::shape::{Shape, look};
use super::{Position, rows, slot, stream};
use crate::query::broken_off;

/// See [`RailLine`].
pub(super) struct Line {
    at: RailAddress,
    bindings: Vec<RailBinding>,
    pace: RailPace,
    shapes: Vec<Arc<Shape>>,
    start: u64,
    snapshot: Option<String>,
    /// End of the log when the rail was opened without a snapshot of its slot.
    head: u64,
    log: Mutex<Option<ReplicationClient>>,
    landed: std::sync::Mutex<Option<stream::Landed>>,
}

impl Line {
    pub(super) async fn open(
        at: &RailAddress,
        bindings: &[RailBinding],
        pace: RailPace,
    ) -> Result<Self> {
        let session = Session::open(at).await?;
        let mut shapes = Vec::new();
        for binding in bindings {
            let seen = look(&session, &binding.place).await?.ok_or_else(|| gone(&binding.place))?;
            shapes.push(Arc::new(Shape::of_table(&binding.place, &binding.items, &seen)?));
        }
        // A new table is known as it is now.
        let mut bindings = bindings.to_vec();
        for (binding, shape) in bindings.iter_mut().zip(&shapes) {
            if binding.known.is_empty() {
                binding.known = shape.columns();
            }
        }
        let seen = slot::look_by(&session, at).await?;
        slot::publish(&session, at, &bindings).await?;
        let encrypted = session
            .ask("SELECT coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false)::text")
            .await?
            .first()
            .is_some_and(|row| cell(row, 0) == "true");
        let head = u64::from_str_radix(&seen.head, 16).unwrap_or(0);
        let confirmed = u64::from_str_radix(&seen.confirmed, 16).unwrap_or(0);
        let mut log = replication(at, confirmed, encrypted).await?;
        let (start, snapshot) = match seen.state {
            SlotState::Ready => (confirmed, None),
            SlotState::Missing if !at.given => {
                let made = slot::make(&mut log, at).await?;
                (made.start, Some(made.snapshot))
            }
            SlotState::Missing => {
                return Err(super::place::refused(&format!("there is no slot {}", at.slot)));
            }
            SlotState::Busy(pid) => {
                return Err(broken_off().detail(format!("the slot is held by session {pid}")));
            }
            SlotState::Lost(why) => {
                return Err(Error::internal(format!("rail: a lost slot was opened ({why})")));
            }
        };
        Ok(Self {
            at: at.clone(),
            bindings,
            pace,
            shapes,
            start,
            snapshot,
            head,
            log: Mutex::new(Some(log)),
            landed: std::sync::Mutex::default(),
        })
    }
}

pub(super) fn gone(place: &str) -> Error {
    Error::new(
        Code::RuleBroken,
        format!("数据源中没有表 {place}；请核对模式与表名"),
        format!("the source has no table {place}; check its schema and name"),
    )
}

#[async_trait]
impl RailLine for Line {
    fn start(&self) -> String {
        Position { lsn: self.start, change: 0 }.to_string()
    }

    fn shapes(&self) -> Vec<Vec<RailColumn>> {
        self.shapes.iter().map(|shape| shape.columns()).collect()
    }

    async fn rows(
        &self,
        table: usize,
        after: Option<String>,
    ) -> Result<BoxStream<'static, Result<RailRows>>> {
        let shape = self.shapes.get(table).ok_or_else(|| Error::internal("rail: no such table"))?;
        let record = if self.snapshot.is_some() { self.start } else { self.head };
        Ok(rows::start(rows::Job {
            at: self.at.clone(),
            shape: Arc::clone(shape),
            snapshot: self.snapshot.clone(),
            after,
            record,
            chunk_rows: self.pace.chunk_rows.max(1),
        }))
    }

    async fn stream(
        &self,
        after: Vec<Option<String>>,
    ) -> Result<BoxStream<'static, Result<RailPiece>>> {
        let mut log = self
            .log
            .lock()
            .await
            .take()
            .ok_or_else(|| Error::internal("rail: the log is being read already"))?;
        log.start().await.map_err(super::place::log_failed)?;
        log.wait_started().await.map_err(super::place::log_failed)?;
        let after = after
            .iter()
            .map(|text| text.as_deref().and_then(Position::of_text).unwrap_or_default())
            .collect();
        let landed = stream::Landed::default();
        *self.landed.lock().unwrap_or_else(PoisonError::into_inner) = Some(landed.clone());
        let reader =
            stream::Reader::new(self.at.clone(), &self.bindings, log, landed, after, self.pace);
        Ok(stream::start(reader))
    }

    fn confirm(&self, position: &str) {
        let landed = self.landed.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(landed), Some(position)) = (&*landed, Position::of_text(position)) {
            landed.raise(Lsn::from_u64(position.lsn));
        }
    }
}
