//! What the writers of both databases share: the chain's end in memory, and telling those who wait.

use std::sync::Arc;

use model::audit::AuditEvent;
use model::{Code, Error, Result};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::fault::Break;
use super::lot::Lot;
use super::{Order, Pending};

/// Records in one commit at most.
pub(super) const BATCH: usize = 1024;

/// The end of the chain in memory.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) seq: i64,
    pub(super) hash: String,
    /// The end was found not to fit the head; the next record says so.
    pub(super) broken: Option<Break>,
}

impl Tail {
    pub(super) fn genesis() -> Self {
        Self { seq: 0, hash: guard::chain::GENESIS.to_owned(), broken: None }
    }

    /// Links events to the chain, behind the record of a break if one is still untold. The tail moves only when
    /// `keep` is called after the commit.
    pub(super) fn link(&self, events: &[Arc<AuditEvent>]) -> Lot {
        let told = self.broken.as_ref().zip(events.first()).map(|(b, next)| b.event(next));
        let all: Vec<&AuditEvent> = told.iter().chain(events.iter().map(Arc::as_ref)).collect();
        Lot::of(self.seq, &self.hash, all.into_iter())
    }

    pub(super) fn keep(&mut self, seq: i64, hash: &str) {
        self.seq = seq;
        hash.clone_into(&mut self.hash);
        self.broken = None;
    }
}

pub(super) type Waiting = oneshot::Sender<Result<i64>>;

/// What was asked for, by kind.
pub(super) struct Sorted {
    pub(super) events: Vec<Arc<AuditEvent>>,
    pub(super) callers: Vec<Waiting>,
    /// Who wants the writer to end.
    pub(super) ends: Vec<oneshot::Sender<()>>,
}

pub(super) fn sorted(batch: Vec<Order>) -> Sorted {
    let mut all = Sorted {
        events: Vec::with_capacity(batch.len()),
        callers: Vec::with_capacity(batch.len()),
        ends: Vec::new(),
    };
    for order in batch {
        match order {
            Order::Write(Pending { event, done }) => {
                all.events.push(event);
                all.callers.push(done);
            }
            Order::End(done) => all.ends.push(done),
        }
    }
    all
}

/// What everyone who waited for a commit is to be told.
pub(super) enum Told {
    /// The first caller's number; the others' follow it.
    Written(i64, Vec<Waiting>),
    Failed(Vec<Waiting>),
}

impl Told {
    /// The records of the callers, in their order, are the last of those that end with `last`.
    pub(super) fn of(waiting: Vec<Waiting>, last: i64, outcome: Result<()>) -> Self {
        if let Err(e) = outcome {
            tracing::error!(error = %e.operator_text(), "the audit chain cannot be written");
            return Self::Failed(waiting);
        }
        let callers = i64::try_from(waiting.len()).unwrap_or(i64::MAX);
        Self::Written(last.saturating_sub(callers) + 1, waiting)
    }

    pub(super) fn tell(self) {
        match self {
            Self::Written(first, waiting) => {
                for (seq, done) in (first..).zip(waiting) {
                    let _ = done.send(Ok(seq));
                }
            }
            Self::Failed(waiting) => {
                for done in waiting {
                    let _ = done.send(Err(Error::of(Code::AuditUnavailable)));
                }
            }
        }
    }
}

/// A task that tells callers on the runtime's own threads: a thread outside it would wake each of them by a lock of its own.
pub(super) fn bell() -> UnboundedSender<Told> {
    let (ring, mut rung) = tokio::sync::mpsc::unbounded_channel::<Told>();
    tokio::spawn(async move {
        while let Some(told) = rung.recv().await {
            told.tell();
        }
    });
    ring
}

pub(super) fn warn(found: Option<&Break>) {
    if let Some(found) = found {
        let fault = found.fault();
        tracing::error!(
            record.seq = fault.seq,
            "the audit chain does not fit its head: {} / {}",
            fault.en,
            fault.zh
        );
    }
}
