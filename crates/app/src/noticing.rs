//! When a process last looked at what other processes changed in the store.
//!
//! Both clocks are asked, and whichever says that it is time is believed: real time goes on when the wall clock is set back, so that
//! what was revoked elsewhere is seen all the same; the wall clock goes on while the machine sleeps, which real time does not count.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

/// The last look.
#[derive(Debug)]
pub(crate) struct Noticing {
    began: Instant,
    /// In real time, milliseconds since `began`.
    real: AtomicI64,
    /// By the clock, milliseconds since 1970.
    told: AtomicI64,
}

impl Default for Noticing {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            real: AtomicI64::new(i64::MIN),
            told: AtomicI64::new(i64::MIN),
        }
    }
}

impl Noticing {
    /// Whether somebody is to look now, at most about every `every` milliseconds; `now` is what the clock says, milliseconds since
    /// 1970. Whoever is told so looks: the others are not told again for as long.
    pub(crate) fn due(&self, now: i64, every: i64) -> bool {
        let real = i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.due_at(real, now, every)
    }

    fn due_at(&self, real: i64, now: i64, every: i64) -> bool {
        let last = self.real.load(Ordering::Relaxed);
        let told = self.told.load(Ordering::Relaxed);
        if real.saturating_sub(last) < every && now.saturating_sub(told) < every {
            return false;
        }
        if self.real.compare_exchange(last, real, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return false;
        }
        self.told.store(now, Ordering::Relaxed);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_does_not_keep_a_process_from_looking() {
        let noticing = Noticing::default();
        let noon = 1_772_424_000_000;
        assert!(noticing.due_at(0, noon, 1000), "the first look");
        assert!(!noticing.due_at(999, noon + 999, 1000));
        assert!(noticing.due_at(1000, noon + 1000, 1000));
        // Set back by an hour: a second later it looks, and so on.
        let back = noon - 3_600_000;
        assert!(!noticing.due_at(1500, back, 1000));
        assert!(noticing.due_at(2000, back + 500, 1000));
        assert!(!noticing.due_at(2999, back + 1499, 1000));
        assert!(noticing.due_at(3000, back + 1500, 1000));
        // The machine slept: the clock alone went on.
        assert!(noticing.due_at(3001, noon, 1000));
        assert!(!noticing.due_at(3002, noon + 1, 1000));
    }
}
