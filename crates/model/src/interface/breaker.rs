//! A circuit breaker: a service that fails again and again is left alone for a while, then tried by one call.

use serde::{Deserialize, Serialize};

use crate::code::code_list;

code_list! {
    /// How it stands.
    BreakerState {
        Closed = "closed", "正常", "Closed";
        Open = "open", "熔断", "Open";
        HalfOpen = "half_open", "试探", "Half open";
    }
}

/// When it opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerRules {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long it stays open, milliseconds.
    pub open_ms: i64,
}

/// The breaker of one service. Time is given, in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Breaker {
    failures: u32,
    /// When it opened.
    opened: Option<i64>,
    /// When the one trial began.
    trying: Option<i64>,
}

impl Breaker {
    /// How it stands now.
    #[must_use]
    pub fn state(&self, rules: BreakerRules, now: i64) -> BreakerState {
        match self.opened {
            None => BreakerState::Closed,
            Some(at) if now.saturating_sub(at) < rules.open_ms => BreakerState::Open,
            Some(_) => BreakerState::HalfOpen,
        }
    }

    /// Lets a call through, or says after how many milliseconds one may be tried. Half open, one call at a time is; a trial that was
    /// given up and told nothing is over after another span.
    pub fn admit(&mut self, rules: BreakerRules, now: i64) -> Result<(), i64> {
        match (self.state(rules, now), self.opened, self.trying) {
            (BreakerState::Closed, ..) => Ok(()),
            (BreakerState::Open, at, _) => {
                Err(at.unwrap_or(now).saturating_add(rules.open_ms).saturating_sub(now))
            }
            (BreakerState::HalfOpen, _, Some(begun))
                if now.saturating_sub(begun) < rules.open_ms =>
            {
                Err(begun.saturating_add(rules.open_ms).saturating_sub(now))
            }
            (BreakerState::HalfOpen, ..) => {
                self.trying = Some(now);
                Ok(())
            }
        }
    }

    /// A call went well.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// A call failed through the service.
    pub fn failed(&mut self, rules: BreakerRules, now: i64) {
        self.failures = self.failures.saturating_add(1);
        if self.trying.take().is_some() || self.failures >= rules.failures {
            self.opened = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: BreakerRules = BreakerRules { failures: 3, open_ms: 1000 };

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_by_one_that_goes_well() {
        let mut breaker = Breaker::default();
        breaker.failed(RULES, 0);
        breaker.failed(RULES, 1);
        breaker.succeeded();
        for n in 0..3 {
            assert_eq!(breaker.admit(RULES, n), Ok(()));
            breaker.failed(RULES, n);
        }
        assert_eq!(breaker.state(RULES, 2), BreakerState::Open);
        assert_eq!(breaker.admit(RULES, 502), Err(500));
        assert_eq!(breaker.state(RULES, 1002), BreakerState::HalfOpen);
        // One trial; a second call waits for it.
        assert_eq!(breaker.admit(RULES, 1002), Ok(()));
        assert_eq!(breaker.admit(RULES, 1003), Err(999));
        breaker.failed(RULES, 1100);
        assert_eq!(breaker.admit(RULES, 1200), Err(900));
        assert_eq!(breaker.admit(RULES, 2100), Ok(()));
        breaker.succeeded();
        assert_eq!(
            (breaker.state(RULES, 2101), breaker.admit(RULES, 2101)),
            (BreakerState::Closed, Ok(()))
        );
    }

    #[test]
    fn a_trial_that_never_came_back_does_not_keep_it_open_for_good() {
        let mut breaker = Breaker::default();
        (0..3).for_each(|n| breaker.failed(RULES, n));
        assert_eq!(breaker.admit(RULES, 1500), Ok(()));
        assert!(breaker.admit(RULES, 2000).is_err());
        assert_eq!(breaker.admit(RULES, 2500), Ok(()));
    }
}
