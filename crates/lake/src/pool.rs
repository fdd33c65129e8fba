//! Memory of statements that can spill: whoever needs it has it while there is plenty, and its fair part once it is scarce.
//!
//! DataFusion's fair pool gives each of a plan's operators the same part from the beginning, whether the others need theirs or not: a
//! set of keys that would fit four times is sorted and written to the disk. Here only the last quarter is parted so.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use datafusion::common::{DataFusionError, Result as PlanResult};
use datafusion::execution::memory_pool::{
    FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
};

/// See the module's head.
pub(crate) struct Pool {
    fair: FairSpillPool,
    most: usize,
    /// One grows at a time: what is free is looked at, then taken.
    turn: Mutex<()>,
}

impl Pool {
    /// Of so many bytes.
    pub(crate) fn new(most: usize) -> Self {
        Self { fair: FairSpillPool::new(most), most, turn: Mutex::new(()) }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("most", &self.most).finish_non_exhaustive()
    }
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pool({} of {})", self.reserved(), self.most)
    }
}

impl MemoryPool for Pool {
    fn name(&self) -> &'static str {
        "plenty"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.fair.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.fair.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.fair.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.fair.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> PlanResult<()> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let held = self.fair.reserved();
        let after = held.saturating_add(additional);
        if after <= self.most - self.most / 4 {
            self.fair.grow(reservation, additional);
            return Ok(());
        }
        if after > self.most {
            return Err(DataFusionError::ResourcesExhausted(format!(
                "{} asks for {additional} more bytes where {held} of {} are held",
                reservation.consumer().name(),
                self.most
            )));
        }
        self.fair.try_grow(reservation, additional)
    }

    fn reserved(&self) -> usize {
        self.fair.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.most)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn one_has_most_of_it_and_the_rest_is_parted() {
        let pool: Arc<dyn MemoryPool> = Arc::new(Pool::new(1000));
        let of = |name: &str| MemoryConsumer::new(name).with_can_spill(true).register(&pool);
        let (keys, sums, sort) = (of("keys"), of("sums"), of("sort"));
        keys.try_grow(700).unwrap();
        // Beyond three quarters only up to a third, for there are three.
        keys.try_grow(60).unwrap_err();
        sums.try_grow(200).unwrap();
        sort.try_grow(100).unwrap();
        // All is held, fair or not.
        sort.try_grow(1).unwrap_err();
        keys.shrink(300);
        sort.try_grow(200).unwrap();
        assert_eq!(pool.reserved(), 900);
    }
}
