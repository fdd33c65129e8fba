//! Counting calls: a rate per second and a quota per day.
//!
//! Calls of a day are taken out of the store in lots and given out of memory, so that ten thousand calls a second do
//! not mean as many writes. The store counts a lot as used when it is taken: a crash loses the rest of a lot for the
//! caller, and never lets one call more through; several processes share one quota exactly.
//!
//! The bound: whichever process dies at whatever moment, the calls answered in a day never pass the quota. What a death costs is
//! the caller's loss, for each of its resources at most the rest of one lot (a hundredth of the quota, `largest_lot` at most).
//! Shown by `usagekill` in the rehearsal house.
//!
//! Above the caller's own quota stand those of its application, organisation and regions (*pools*, `dispatch::quota`).
//! A lot is taken out of all of them in one transaction. When a pool has nothing left, lots that other callers of this
//! process hold and have not used are put back first, so that the last call of a pool is given out, too.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::NaiveDate;
use model::dispatch::HolderKind;
use model::{Code, Error, Op, Result};
use parking_lot::Mutex;
use policy::Quota;
use store::meter::{Pool, QuotaKey, Taken};

use crate::App;
use crate::catalogue::rules::QuotaRules;
use crate::rate::{Flood, Rate, span};

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
    /// Refusals that are written into the audit, and those that leave no record of their own.
    flood: Flood,
    /// Time that look-ups took and nobody has written down yet, microseconds.
    micros: AtomicU64,
}

/// The pools of a caller; shared by all that is remembered of it.
pub(crate) type Pools = Arc<[Pool]>;

#[derive(Clone, Debug, Default)]
struct Lot {
    day: NaiveDate,
    left: u64,
    /// Calls taken out of the store in all, including `left`.
    taken: u64,
    /// The day's quota when the store said that nothing is left.
    used_up_at: Option<u64>,
    /// Where the lot was taken from: there it goes back.
    pools: Pools,
    /// Left in the fullest pool when the lot was taken.
    pool_left: u64,
    /// A pool that had nothing left, and the second in which that was seen: others may put back, so it is asked again.
    short: Option<(i64, Pool)>,
    /// Second of the last call.
    used_at: i64,
}

impl Lot {
    /// The pool that was seen to be used up in this second, if it still stands above the caller as it did.
    fn short_of(&self, second: i64, pools: &[Pool]) -> Option<&Pool> {
        let (at, pool) = self.short.as_ref()?;
        (*at == second && pools.contains(pool)).then_some(pool)
    }
}

impl Meter {
    pub(crate) fn new(kept: Option<(String, String)>) -> Self {
        Self {
            kept,
            rate: Rate::default(),
            lot: Mutex::new(Lot::default()),
            taking: tokio::sync::Mutex::new(()),
            flood: Flood::default(),
            micros: AtomicU64::new(0),
        }
    }

    /// Counts one call; answers the calls left today.
    pub(crate) async fn count(
        &self,
        app: &App,
        op: &Op,
        quota: Quota,
        pools: &Pools,
    ) -> Result<u64> {
        self.rate(op, quota)?;
        let (day, second) = (op.today(), op.at.timestamp());
        loop {
            if let Some(answer) = self.of_lot(day, second, quota.calls_per_day, pools) {
                return answer;
            }
            Box::pin(self.refill(app, day, second, quota.calls_per_day, pools)).await?;
        }
    }

    /// Notes how long a look-up took.
    pub(crate) fn took(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// Writes down the time of look-ups since it was last written.
    pub(crate) async fn tell_time(&self, app: &App, day: &str) -> Result<()> {
        let Some((application, _)) = &self.kept else { return Ok(()) };
        match self.micros.swap(0, Ordering::Relaxed) {
            0 => Ok(()),
            micros => app.store.query_time_add(application, day, micros).await,
        }
    }

    /// A call that failed through no fault of the caller does not count.
    pub(crate) fn uncount(&self, op: &Op) {
        let mut lot = self.lot.lock();
        if lot.day == op.today() {
            lot.left += 1;
        }
    }

    /// Whether this refusal is to be recorded, and how many before it were not: floods of refusals leave one record a second.
    pub(crate) fn tells(&self, op: &Op) -> Option<u64> {
        self.flood.tells(op.at.timestamp())
    }

    /// `None` when the lot is empty and another may be taken.
    fn of_lot(
        &self,
        day: NaiveDate,
        second: i64,
        quota: u64,
        pools: &[Pool],
    ) -> Option<Result<u64>> {
        let mut lot = self.lot.lock();
        if lot.day != day {
            return None;
        }
        if lot.left > 0 {
            lot.left -= 1;
            lot.used_at = second;
            let own = quota.saturating_sub(lot.taken);
            return Some(Ok(own.min(lot.pool_left).saturating_add(lot.left)));
        }
        if lot.used_up_at.is_some_and(|q| q >= quota) {
            return Some(Err(used_up(quota)));
        }
        lot.short_of(second, pools).map(|pool| Err(pool_used_up(pool.holder.kind, pool.limit)))
    }

    async fn refill(
        &self,
        app: &App,
        day: NaiveDate,
        second: i64,
        quota: u64,
        pools: &Pools,
    ) -> Result<()> {
        let _one = self.taking.lock().await;
        {
            let lot = self.lot.lock();
            let decided = lot.left > 0
                || lot.used_up_at.is_some_and(|q| q >= quota)
                || lot.short_of(second, pools).is_some();
            if lot.day == day && decided {
                return Ok(());
            }
        }
        let rules = &app.rules.catalogue.quota;
        let want =
            pools.iter().map(|p| lot_size(rules, p.limit)).fold(lot_size(rules, quota), u64::min);
        let Taken { got, taken, pool_left, short } = match &self.kept {
            Some((application, entry)) => {
                let key = QuotaKey {
                    application: application.clone(),
                    entry: entry.clone(),
                    day: day.to_string(),
                };
                let took = app.store.quota_take(&key, want, quota, pools).await?;
                match took.short.and_then(|n| pools.get(n)) {
                    Some(pool) if gather(app, day, second, pool).await? => {
                        app.store.quota_take(&key, want, quota, pools).await?
                    }
                    _ => took,
                }
            }
            None => {
                let before = {
                    let lot = self.lot.lock();
                    if lot.day == day { lot.taken } else { 0 }
                };
                let got = want.min(quota.saturating_sub(before));
                Taken { got, taken: before + got, pool_left: u64::MAX, short: None }
            }
        };
        let short = short.filter(|_| got == 0).and_then(|n| pools.get(n));
        let mut lot = self.lot.lock();
        let left = if lot.day == day { lot.left } else { 0 };
        *lot = Lot {
            day,
            left: left + got,
            taken,
            used_up_at: (got == 0 && short.is_none()).then_some(quota),
            pools: Arc::clone(pools),
            pool_left,
            short: short.map(|p| (second, p.clone())),
            used_at: second,
        };
        Ok(())
    }

    /// Whether an unused part of a lot out of this pool lies here.
    fn holds(&self, day: NaiveDate, pool: &Pool) -> bool {
        let lot = self.lot.lock();
        lot.day == day && lot.left > 0 && lot.pools.iter().any(|p| p.holder == pool.holder)
    }

    /// Puts the rest of a lot back when nobody has called for a while: the counters are then what was called, and
    /// another process may need it.
    pub(crate) async fn give_back_idle(&self, app: &App, before: i64) -> Result<()> {
        let idle = {
            let lot = self.lot.lock();
            self.kept.is_some() && lot.left > 0 && lot.used_at < before
        };
        if idle { self.give_back(app).await } else { Ok(()) }
    }

    /// Puts the unused rest of the lot back.
    pub(crate) async fn give_back(&self, app: &App) -> Result<()> {
        let _one = self.taking.lock().await;
        self.put_back(app).await
    }

    async fn put_back(&self, app: &App) -> Result<()> {
        let (day, left, pools) = {
            let mut lot = self.lot.lock();
            let left = std::mem::take(&mut lot.left);
            lot.taken = lot.taken.saturating_sub(left);
            (lot.day, left, Arc::clone(&lot.pools))
        };
        let Some((application, entry)) = self.kept.as_ref().filter(|_| left > 0) else {
            return Ok(());
        };
        let (application, entry) = (application.clone(), entry.clone());
        let key = QuotaKey { application, entry, day: day.to_string() };
        app.store.quota_return(&key, left, &pools).await
    }

    /// So many calls a second in the long run, and no more than the burst at once.
    fn rate(&self, op: &Op, quota: Quota) -> Result<()> {
        let Quota { calls_per_second, burst, .. } = quota;
        let burst = burst.max(1);
        if self.rate.take(op.at.timestamp_micros(), burst, span(calls_per_second, burst)) {
            return Ok(());
        }
        Err(Error::new(
            Code::RateLimited,
            format!("调用过于频繁：每秒最多 {calls_per_second} 次（突发 {burst} 次），请稍后再试"),
            format!(
                "too many calls: {calls_per_second} a second at most ({burst} at once), try again shortly"
            ),
        ))
    }
}

/// Has the other callers of this process put back what they took out of a pool and did not use; at most once a second.
/// Answers whether anything went back.
async fn gather(app: &App, day: NaiveDate, second: i64, pool: &Pool) -> Result<bool> {
    if app.shares.gathered.swap(second, Ordering::Relaxed) == second {
        return Ok(false);
    }
    let mut any = false;
    for (_, meter) in &app.shares.meters {
        // One that is taking a lot just now has none to give.
        if meter.holds(day, pool)
            && let Ok(_one) = meter.taking.try_lock()
        {
            meter.put_back(app).await?;
            any = true;
        }
    }
    Ok(any)
}

fn pool_used_up(kind: HolderKind, limit: u64) -> Error {
    let (zh, en) = match kind {
        HolderKind::Application => ("本应用", "the application's quota"),
        HolderKind::Org => ("本单位", "the organisation's quota"),
        HolderKind::Region => ("所在地区", "the region's quota"),
    };
    Error::new(
        Code::QuotaUsedUp,
        format!(
            "{zh}今日的调用总配额 {limit} 次已用完，明日零时（北京时间）恢复；需要更多请在平台“调度”中申请调剂"
        ),
        format!(
            "{en} of {limit} calls a day is used up; it starts anew at midnight (UTC+8). Ask for more under “Dispatch”"
        ),
    )
}

pub(crate) fn lot_size(rules: &QuotaRules, quota: u64) -> u64 {
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
    use model::dispatch::Holder;

    fn op(at: &str) -> Op {
        Op::new(Actor::Nobody, "r".into(), "-".into(), at.parse().unwrap())
    }

    #[test]
    fn the_rate_lets_a_second_of_calls_through_and_recovers() {
        let meter = Meter::new(None);
        let mut now = op("2026-03-02T01:00:00Z");
        let ten = Quota { calls_per_day: 1000, calls_per_second: 10, burst: 10 };
        let passed = (0..50).filter(|_| meter.rate(&now, ten).is_ok()).count();
        assert_eq!(passed, 10);
        now.at += TimeDelta::milliseconds(100);
        assert!(meter.rate(&now, ten).is_ok());
        assert_eq!(meter.rate(&now, ten).unwrap_err().code(), Code::RateLimited);
        now.at += TimeDelta::seconds(5);
        assert_eq!((0..50).filter(|_| meter.rate(&now, ten).is_ok()).count(), 10);
        // A burst of three seconds, at the same rate.
        now.at += TimeDelta::seconds(60);
        let burst = Quota { burst: 30, ..ten };
        assert_eq!((0..50).filter(|_| meter.rate(&now, burst).is_ok()).count(), 30);
        now.at += TimeDelta::seconds(1);
        assert_eq!((0..50).filter(|_| meter.rate(&now, burst).is_ok()).count(), 10);
    }

    #[test]
    fn a_lot_is_given_out_exactly_and_by_day() {
        let meter = Meter::new(None);
        let [today, tomorrow] = [2, 3].map(|day| NaiveDate::from_ymd_opt(2026, 3, day).unwrap());
        assert!(meter.of_lot(today, 1, 10, &[]).is_none());
        *meter.lot.lock() = Lot { day: today, left: 2, taken: 2, pool_left: 100, ..Lot::default() };
        assert_eq!(meter.of_lot(today, 1, 10, &[]).unwrap().unwrap(), 9);
        assert_eq!(meter.of_lot(today, 1, 10, &[]).unwrap().unwrap(), 8);
        assert!(meter.of_lot(today, 1, 10, &[]).is_none());
        meter.lot.lock().used_up_at = Some(10);
        let refused = meter.of_lot(today, 1, 10, &[]).unwrap();
        assert_eq!(refused.unwrap_err().code(), Code::QuotaUsedUp);
        // A larger quota or another day is looked up anew.
        assert!(meter.of_lot(today, 1, 20, &[]).is_none());
        assert!(meter.of_lot(tomorrow, 1, 10, &[]).is_none());
        // A pool without anything left refuses for a second, then it is asked again.
        meter.lot.lock().used_up_at = None;
        let pool = |limit| Pool { holder: Holder::new(HolderKind::Org, "o"), limit };
        meter.lot.lock().short = Some((7, pool(50)));
        let refused = meter.of_lot(today, 7, 10, &[pool(50)]).unwrap().unwrap_err();
        assert!(
            refused.en().contains("organisation") && refused.en().contains("50"),
            "{refused:?}"
        );
        assert!(meter.of_lot(today, 8, 10, &[pool(50)]).is_none());
        assert!(meter.of_lot(today, 7, 10, &[pool(60)]).is_none(), "a raise holds at once");
    }

    #[test]
    fn lots_are_a_hundredth_but_never_nothing() {
        let rules = crate::rules::Rules::shipped().unwrap().catalogue.quota;
        assert_eq!(lot_size(&rules, 10), 1);
        assert_eq!(lot_size(&rules, 10_000), 100);
        assert_eq!(lot_size(&rules, 1_000_000_000), 2000);
    }
}
