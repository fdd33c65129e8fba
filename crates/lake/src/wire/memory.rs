//! Memory of one statement within that of the lake: it may use so much, and together they use no more than there is. What can be
//! spilled is; what cannot fails alone.
//!
//! At the door the statements of an application may hold two thirds of what all others leave: however much one asks for, there
//! is room for the next.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::common::{DataFusionError, Result as PlanResult};
use datafusion::execution::memory_pool::{
    MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};

use crate::pool::Pool;

/// What the statements of a session may use.
#[derive(Clone, Debug)]
pub(super) struct Allowance {
    most: usize,
    share: Option<Share>,
}

impl Allowance {
    /// So much for a statement, whatever others have.
    pub(super) fn alone(most: usize) -> Self {
        Self { most, share: None }
    }

    /// A share of all the memory that there is.
    pub(super) fn shared(share: Share) -> Self {
        Self { most: share.part(0), share: Some(share) }
    }

    /// Most bytes that one statement gets.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// What one statement runs in: all that the lake's statements have in common, and a pool of its own.
    pub(super) fn runtime(&self, common: &RuntimeEnv) -> PlanResult<Arc<RuntimeEnv>> {
        let pool = StatementPool {
            own: Pool::new(self.most),
            common: Arc::clone(&common.memory_pool),
            most: self.most,
            share: self.share.clone(),
        };
        RuntimeEnvBuilder::from_runtime_env(common).with_memory_pool(Arc::new(pool)).build_arc()
    }
}

/// What the statements of one application hold, together.
#[derive(Clone, Debug)]
pub(super) struct Share {
    all: usize,
    held: Arc<AtomicUsize>,
}

impl Share {
    /// Nothing yet, of so many bytes.
    pub(super) fn new(all: usize) -> Self {
        Self { all, held: Arc::default() }
    }

    /// What may be held when others hold so much.
    fn part(&self, others: usize) -> usize {
        self.all.saturating_sub(others) / 3 * 2
    }

    fn ask(&self, reserved: usize, additional: usize) -> PlanResult<()> {
        let held = self.held.load(Ordering::Relaxed);
        let part = self.part(reserved.saturating_sub(held));
        match held.saturating_add(additional) > part {
            true => Err(DataFusionError::ResourcesExhausted(format!(
                "{additional} more bytes than {held} where {part} may be held"
            ))),
            false => Ok(()),
        }
    }
}

/// A pool of its own for a statement, counted in the common one, too.
#[derive(Debug)]
struct StatementPool {
    own: Pool,
    common: Arc<dyn MemoryPool>,
    most: usize,
    share: Option<Share>,
}

impl StatementPool {
    fn held(&self) -> Option<&AtomicUsize> {
        self.share.as_ref().map(|share| share.held.as_ref())
    }
}

impl fmt::Display for StatementPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "statement({} of {})", self.own.reserved(), self.most)
    }
}

impl MemoryPool for StatementPool {
    fn name(&self) -> &'static str {
        "statement"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.own.register(consumer);
        self.common.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.own.unregister(consumer);
        self.common.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.own.grow(reservation, additional);
        self.common.grow(reservation, additional);
        if let Some(held) = self.held() {
            held.fetch_add(additional, Ordering::Relaxed);
        }
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.own.shrink(reservation, shrink);
        self.common.shrink(reservation, shrink);
        if let Some(held) = self.held() {
            held.fetch_sub(shrink, Ordering::Relaxed);
        }
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> PlanResult<()> {
        self.own.try_grow(reservation, additional)?;
        let grown = match &self.share {
            Some(share) => share.ask(self.common.reserved(), additional),
            None => Ok(()),
        };
        let grown = grown.and_then(|()| self.common.try_grow(reservation, additional));
        match (&grown, self.held()) {
            (Err(_), _) => self.own.shrink(reservation, additional),
            (Ok(()), Some(held)) => {
                held.fetch_add(additional, Ordering::Relaxed);
            }
            (Ok(()), None) => {}
        }
        grown
    }

    fn reserved(&self) -> usize {
        self.own.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(common: &RuntimeEnv, share: &Share) -> Arc<dyn MemoryPool> {
        let runtime = Allowance::shared(share.clone()).runtime(common).unwrap();
        Arc::clone(&runtime.memory_pool)
    }

    #[test]
    fn there_is_always_room_for_another_application() {
        const ALL: usize = 9000;
        let common =
            RuntimeEnvBuilder::new().with_memory_pool(Arc::new(Pool::new(ALL))).build().unwrap();
        let (one, other) = (Share::new(ALL), Share::new(ALL));
        // Two statements of one application share what is its own.
        let first = MemoryConsumer::new("join").register(&pool(&common, &one));
        let second = MemoryConsumer::new("join").register(&pool(&common, &one));
        first.try_grow(4000).unwrap();
        second.try_grow(2000).unwrap();
        second.try_grow(1).unwrap_err();
        let theirs = MemoryConsumer::new("join").register(&pool(&common, &other));
        theirs.try_grow(2000).unwrap();
        theirs.try_grow(1).unwrap_err();
        // What was refused is nowhere counted; what is given back is there for others.
        assert_eq!(common.memory_pool.reserved(), 8000);
        drop((first, second));
        assert_eq!(common.memory_pool.reserved(), 2000);
        theirs.try_grow(4000).unwrap();
        theirs.try_grow(1).unwrap_err();
        drop(theirs);
        assert_eq!(common.memory_pool.reserved(), 0);
        assert_eq!(one.held.load(Ordering::Relaxed) + other.held.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_is_alone_has_what_it_was_given() {
        let common =
            RuntimeEnvBuilder::new().with_memory_pool(Arc::new(Pool::new(100))).build().unwrap();
        let runtime = Allowance::alone(80).runtime(&common).unwrap();
        let join = MemoryConsumer::new("join").register(&runtime.memory_pool);
        join.try_grow(80).unwrap();
        join.try_grow(1).unwrap_err();
    }
}
