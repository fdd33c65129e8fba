//! Counting calls: a rate per second and a quota per day.
//!
//! Calls of a day are taken out of the store in lots and given out of memory, so that ten thousand calls a second do
//! not mean as many writes. The store counts a lot as used when it is taken: a crash loses the rest of a lot for the
//! caller, and never lets one call more through; several processes share one quota exactly.

use std::sync::atomic::{AtomicI64, Ordering};

use model::{Code, Error, Op, Result};
use parking_lot::Mutex;
use policy::Quota;
use store::request::QuotaKey;

use crate::App;
use crate::catalogue::rules::QuotaRules;
use crate::rate::Rate;

/// The counters of one caller at one resource.
#[derive(Debug)]
pub(crate) struct Meter {
    /// `(application, entry)` whose day counter the store keeps; `None` counts in memory only (open data called by
    /// someone who has no application).
    kept: Option<(String, String)>,
    /// Calls of the present second.
    rate: Rate,
    lot: Mutex<Lot>,
    /// One taker at a time.
    taking: tokio::sync::Mutex<()>,
    /// Second in which a refusal was last written into the audit.
    told: AtomicI64,
}

#[derive(Clone, Debug, Default)]
struct Lot {
    day: String,
    left: u64,
    /// Calls taken out of the store in all, including `left`.
    taken: u64,
    /// The day's quota when the store said that nothing is left.
    used_up_at: Option<u64>,
}

impl Meter {
    pub(crate) fn new(kept: Option<(String, String)>) -> Self {
        Self {
            kept,
            rate: Rate::default(),
            lot: Mutex::new(Lot::default()),
            taking: tokio::sync::Mutex::new(()),
            told: AtomicI64::new(i64::MIN),
        }
    }

    /// Counts one call; answers the calls left today.
    pub(crate) async fn count(&self, app: &App, op: &Op, quota: Quota) -> Result<u64> {
        self.rate(op, quota.calls_per_second)?;
        let day = op.today().to_string();
        loop {
            if let Some(answer) = self.of_lot(&day, quota.calls_per_day) {
                return answer;
            }
            self.refill(app, &day, quota.calls_per_day).await?;
        }
    }

    /// A call that failed through no fault of the caller does not count.
    pub(crate) fn uncount(&self, op: &Op) {
        let mut lot = self.lot.lock();
        if lot.day == op.today().to_string() {
            lot.left += 1;
        }
    }

    /// Whether this refusal is the first of its second: floods of refusals leave one record a second.
    pub(crate) fn tells(&self, op: &Op) -> bool {
        let second = op.at.timestamp();
        self.told.swap(second, Ordering::Relaxed) != second
    }

    /// `None` when the lot is empty and another may be taken.
    fn of_lot(&self, day: &str, quota: u64) -> Option<Result<u64>> {
        let mut lot = self.lot.lock();
        if lot.day != day {
            return None;
        }
        if lot.left > 0 {
            lot.left -= 1;
            return Some(Ok(quota.saturating_sub(lot.taken).saturating_add(lot.left)));
        }
        (lot.used_up_at.is_some_and(|q| q >= quota)).then(|| Err(used_up(quota)))
    }

    async fn refill(&self, app: &App, day: &str, quota: u64) -> Result<()> {
        let _one = self.taking.lock().await;
        {
            let lot = self.lot.lock();
            if lot.day == day && (lot.left > 0 || lot.used_up_at.is_some_and(|q| q >= quota)) {
                return Ok(());
            }
        }
        let want = lot_size(&app.rules.catalogue.quota, quota);
        let (got, taken) = match &self.kept {
            Some((application, entry)) => {
                let key = QuotaKey {
                    application: application.clone(),
                    entry: entry.clone(),
                    day: day.to_owned(),
                };
                app.store.quota_take(&key, want, quota).await?
            }
            None => {
                let before = {
                    let lot = self.lot.lock();
                    if lot.day == day { lot.taken } else { 0 }
                };
                let got = want.min(quota.saturating_sub(before));
                (got, before + got)
            }
        };
        let mut lot = self.lot.lock();
        let left = if lot.day == day { lot.left } else { 0 };
        *lot = Lot {
            day: day.to_owned(),
            left: left + got,
            taken,
            used_up_at: (got == 0).then_some(quota),
        };
        Ok(())
    }

    /// Puts the unused rest of the lot back.
    pub(crate) async fn give_back(&self, app: &App) -> Result<()> {
        let _one = self.taking.lock().await;
        let (day, left) = {
            let mut lot = self.lot.lock();
            let left = std::mem::take(&mut lot.left);
            lot.taken = lot.taken.saturating_sub(left);
            (lot.day.clone(), left)
        };
        let Some((application, entry)) = self.kept.as_ref().filter(|_| left > 0) else {
            return Ok(());
        };
        let key = QuotaKey { application: application.clone(), entry: entry.clone(), day };
        app.store.quota_return(&key, left).await
    }

    /// At most `per_second` calls in any second.
    fn rate(&self, op: &Op, per_second: u32) -> Result<()> {
        if self.rate.take(op.at.timestamp_micros(), per_second, 1_000_000) {
            return Ok(());
        }
        Err(Error::new(
            Code::RateLimited,
            format!("调用过于频繁：每秒最多 {per_second} 次，请稍后再试"),
            format!("too many calls: {per_second} a second at most, try again shortly"),
        ))
    }
}

fn lot_size(rules: &QuotaRules, quota: u64) -> u64 {
    (quota / rules.lots.max(1)).clamp(1, rules.largest_lot.max(1))
}

fn used_up(quota: u64) -> Error {
    Error::new(
        Code::QuotaUsedUp,
        format!("今日调用配额 {quota} 次已用完，明日零时（北京时间）恢复；需要更多请变更共享申请"),
        format!(
            "today's quota of {quota} calls is used up; it starts anew at midnight (UTC+8). Apply for more if needed"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;
    use model::Actor;

    fn op(at: &str) -> Op {
        Op::new(Actor::Nobody, "r".into(), "-".into(), at.parse().unwrap())
    }

    #[test]
    fn the_rate_lets_a_second_of_calls_through_and_recovers() {
        let meter = Meter::new(None);
        let mut now = op("2026-03-02T01:00:00Z");
        let passed = (0..50).filter(|_| meter.rate(&now, 10).is_ok()).count();
        assert_eq!(passed, 10);
        now.at += TimeDelta::milliseconds(100);
        assert!(meter.rate(&now, 10).is_ok());
        assert_eq!(meter.rate(&now, 10).unwrap_err().code(), Code::RateLimited);
        now.at += TimeDelta::seconds(5);
        assert_eq!((0..50).filter(|_| meter.rate(&now, 10).is_ok()).count(), 10);
    }

    #[test]
    fn a_lot_is_given_out_exactly_and_by_day() {
        let meter = Meter::new(None);
        assert!(meter.of_lot("2026-03-02", 10).is_none());
        *meter.lot.lock() = Lot { day: "2026-03-02".into(), left: 2, taken: 2, used_up_at: None };
        assert_eq!(meter.of_lot("2026-03-02", 10).unwrap().unwrap(), 9);
        assert_eq!(meter.of_lot("2026-03-02", 10).unwrap().unwrap(), 8);
        assert!(meter.of_lot("2026-03-02", 10).is_none());
        meter.lot.lock().used_up_at = Some(10);
        let refused = meter.of_lot("2026-03-02", 10).unwrap();
        assert_eq!(refused.unwrap_err().code(), Code::QuotaUsedUp);
        // A larger quota or another day is looked up anew.
        assert!(meter.of_lot("2026-03-02", 20).is_none());
        assert!(meter.of_lot("2026-03-03", 10).is_none());
    }

    #[test]
    fn lots_are_a_hundredth_but_never_nothing() {
        let rules = crate::rules::Rules::shipped().unwrap().catalogue.quota;
        assert_eq!(lot_size(&rules, 10), 1);
        assert_eq!(lot_size(&rules, 10_000), 100);
        assert_eq!(lot_size(&rules, 1_000_000_000), 2000);
    }
}
