//! Memory of one statement within that of the lake: it may use so much, and together they use no more than there is. What can be
//! spilled is; what cannot fails alone.

use std::fmt;
use std::sync::Arc;

use datafusion::common::Result as PlanResult;
use datafusion::execution::memory_pool::{
    FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
};

/// A pool of its own for a statement, counted in the common one, too.
#[derive(Debug)]
pub(super) struct StatementPool {
    own: FairSpillPool,
    common: Arc<dyn MemoryPool>,
    most: usize,
}

impl StatementPool {
    pub(super) fn new(most: usize, common: Arc<dyn MemoryPool>) -> Self {
        Self { own: FairSpillPool::new(most), common, most }
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
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.own.shrink(reservation, shrink);
        self.common.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> PlanResult<()> {
        self.own.try_grow(reservation, additional)?;
        let grown = self.common.try_grow(reservation, additional);
        if grown.is_err() {
            self.own.shrink(reservation, additional);
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
