//! A rate: so many at once, so many in a span of time (the generic cell rate algorithm in one number); and what is told of a flood.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// What lies further ahead of now than a whole span and this (µs) was taken before the clock was set back, and fills nothing.
const SET_BACK: i64 = 60_000_000;

/// Instant (µs) until which what was taken so far fills the rate.
#[derive(Debug, Default)]
pub(crate) struct Rate {
    filled: AtomicI64,
}

impl Rate {
    /// Takes one at `now` (µs), when at most `most` are let through in `span` (µs); `false` when there is none left.
    pub(crate) fn take(&self, now: i64, most: u32, span: i64) -> bool {
        let each = each(most, span);
        let mut filled = self.filled.load(Ordering::Relaxed);
        loop {
            let from = match filled.saturating_sub(now) > span.saturating_add(SET_BACK) {
                true => now,
                false => filled.max(now),
            };
            if from - now > span - each {
                return false;
            }
            match self.filled.compare_exchange_weak(
                filled,
                from + each,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(seen) => filled = seen,
            }
        }
    }

    /// Puts one back.
    pub(crate) fn put_back(&self, most: u32, span: i64) {
        self.filled.fetch_sub(each(most, span), Ordering::Relaxed);
    }
}

/// The span (µs) in which a burst fills up, where in the long run `per_second` are let through: `take(now, burst, span)`.
pub(crate) fn span(per_second: u32, burst: u32) -> i64 {
    i64::from(burst).saturating_mul(1_000_000) / i64::from(per_second.max(1))
}

fn each(most: u32, span: i64) -> i64 {
    span / i64::from(most.max(1))
}

/// Refusals that may come in a flood: one a second is told, for all before it.
#[derive(Debug)]
pub(crate) struct Flood {
    /// Second in which one was last told.
    told: AtomicI64,
    /// Those since then that were not; the next that is told stands for them, too.
    untold: AtomicU64,
}

impl Default for Flood {
    fn default() -> Self {
        Self { told: AtomicI64::new(i64::MIN), untold: AtomicU64::new(0) }
    }
}

impl Flood {
    /// Whether the refusal of now is to be told, and how many before it were not.
    pub(crate) fn tells(&self, second: i64) -> Option<u64> {
        if self.told.swap(second, Ordering::Relaxed) == second {
            self.untold.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(self.untold.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_larger_than_a_second_fills_up_at_the_rate() {
        let rate = Rate::default();
        let take = |now| rate.take(now, 5, span(2, 5));
        assert_eq!((0..50).filter(|_| take(0)).count(), 5);
        assert!(!take(400_000) && take(500_000) && !take(500_000));
        assert_eq!((0..50).filter(|_| take(1_500_000)).count(), 2, "two a second");
        assert_eq!((0..50).filter(|_| take(60_000_000)).count(), 5, "never more at once");
        let small = Rate::default();
        assert_eq!((0..50).filter(|_| small.take(0, 1, span(20, 1))).count(), 1);
        assert!(small.take(50_000, 1, span(20, 1)));
    }

    #[test]
    fn so_many_at_once_and_then_one_by_one() {
        let (rate, second) = (Rate::default(), 1_000_000);
        let take = |now| rate.take(now, 10, second);
        assert_eq!((0..50).filter(|_| take(0)).count(), 10);
        assert!(take(100_000) && !take(100_000));
        rate.put_back(10, second);
        assert!(take(100_000) && !take(100_000));
        assert_eq!((0..50).filter(|_| take(5_000_000)).count(), 10);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_shut_the_door() {
        let (rate, second, hour) = (Rate::default(), 1_000_000, 3_600_000_000);
        assert!(rate.take(hour, 10, second));
        assert_eq!((0..50).filter(|_| rate.take(0, 10, second)).count(), 10);
        // A call that took a while and asks by the time it began at gives nothing away.
        assert!((0..50).filter(|_| rate.take(hour, 10, second)).count() == 10);
        assert!(!rate.take(hour - 30_000_000, 10, second));
    }
}
