//! Quotas of an interface, beside those of its callers: two interfaces over one resource are counted apart.
//!
//! Calls of a day are taken out of the store in lots and given out of memory, as those of callers are (`sharing::quota`): whichever
//! process dies at whatever moment, a day's quota is never passed. One counter of all callers, one of each application where that is
//! limited. A call counts before the gate is asked and is put back when it comes to nothing; who is not let in at all takes none, so
//! that strangers cannot use an interface up.

use std::sync::Arc;
use std::time::Duration;

use model::interface::{Interface, InterfaceQuota, Kind};
use model::{Code, Error, Op, Result};
use parking_lot::Mutex;
use policy::Action;
use store::interface_day::InterfaceDay;

use crate::rate::{Flood, Rate, span};
use crate::{App, sharing};

/// The counters of this process.
pub(crate) struct Counters(moka::sync::Cache<String, Arc<Counter>>);

impl Default for Counters {
    fn default() -> Self {
        let day = Duration::from_secs(26 * 3600);
        Self(moka::sync::Cache::builder().max_capacity(200_000).time_to_idle(day).build())
    }
}

impl Counters {
    fn of(&self, code: &str, application: &str) -> Arc<Counter> {
        let key = format!("{code}\n{application}");
        self.0.get_with(key, || Arc::new(Counter::new(code, application)))
    }
}

/// Calls of one interface, by all or by one application.
struct Counter {
    code: String,
    /// Empty: of all callers.
    application: String,
    rate: Rate,
    lot: Mutex<Lot>,
    /// One taker at a time.
    taking: tokio::sync::Mutex<()>,
    flood: Flood,
}

#[derive(Debug, Default)]
struct Lot {
    day: String,
    left: u64,
    /// Taken out of the store in all, by every process, when it was last asked.
    taken: u64,
    /// The quota of which nothing was left, and the second in which that was seen: others may put back, so it is asked again.
    used_up: Option<(i64, u64)>,
    used_at: i64,
}

/// A call that was counted.
pub(super) struct Counted {
    day: String,
    counters: Vec<Arc<Counter>>,
    /// Calls left today.
    pub(super) left: Option<u64>,
}

impl Counted {
    /// The call came to nothing: it does not count.
    pub(super) fn put_back(&self) {
        for counter in &self.counters {
            let mut lot = counter.lot.lock();
            if lot.day == self.day {
                lot.left += 1;
            }
        }
    }
}

/// Counts a call of an interface that has quotas, or refuses it with its record; `None`: there is nothing to count.
pub(super) async fn count(app: &App, op: &Op, interface: &Interface) -> Result<Option<Counted>> {
    let quota = interface.quota;
    if !quota.any() || !let_in(app, op, interface).await {
        return Ok(None);
    }
    let all = app.interfaces.counters.of(&interface.code, "");
    if let Err(e) = at_pace(&all, op, &quota) {
        return Err(all.refuse(app, op, e).await);
    }
    let mut counted =
        Counted { day: op.today().to_string(), counters: Vec::with_capacity(2), left: None };
    let of_one = quota
        .application_per_day
        .map(|most| (app.interfaces.counters.of(&interface.code, op.actor.id()), most));
    let of_all = quota.per_day.map(|most| (all, most));
    // The caller's own first: what it may not have is not taken from the others.
    for (counter, most) in of_one.into_iter().chain(of_all) {
        match counter.take(app, op, &counted.day, most).await {
            Ok(Some(left)) => {
                counted.left = Some(counted.left.map_or(left, |l| l.min(left)));
                counted.counters.push(counter);
            }
            Ok(None) => {
                counted.put_back();
                let e = used_up(&counter, most);
                return Err(counter.refuse(app, op, e).await);
            }
            Err(e) => {
                counted.put_back();
                return Err(e);
            }
        }
    }
    Ok(Some(counted))
}

/// Whether the gate would let the caller in. Changes have a way in of their own, and are put back where it is shut.
async fn let_in(app: &App, op: &Op, interface: &Interface) -> bool {
    let action = match interface.draft.kind {
        Kind::Incremental => return true,
        Kind::Verify => Action::RowsVerify,
        _ => Action::RowsQuery,
    };
    sharing::lets_in(app, op, &interface.draft.entry, action).await
}

fn at_pace(all: &Counter, op: &Op, quota: &InterfaceQuota) -> Result<()> {
    let Some(per_second) = quota.per_second else { return Ok(()) };
    let burst = quota.burst.unwrap_or(per_second).max(1);
    if all.rate.take(op.at.timestamp_micros(), burst, span(per_second, burst)) {
        return Ok(());
    }
    let code = &all.code;
    Err(Error::new(
        Code::RateLimited,
        format!("接口 `{code}` 调用过于频繁：全部调用方每秒最多 {per_second} 次（突发 {burst} 次），请稍后再试"),
        format!(
            "too many calls of the interface `{code}`: {per_second} a second at most by all callers ({burst} at once), try \
             again shortly"
        ),
    )
    .with_reasons(vec!["interface.rate".to_owned()]))
}

fn used_up(counter: &Counter, most: u64) -> Error {
    let code = &counter.code;
    let (zh, en, reason) = match counter.application.as_str() {
        "" => ("全部调用方", "by all callers together", "interface.quota"),
        _ => ("每个应用", "by one application", "interface.application-quota"),
    };
    Error::new(
        Code::QuotaUsedUp,
        format!(
            "接口 `{code}` 今日的调用配额（{zh} {most} 次）已用完，明日零时（北京时间）恢复；可由数据提供单位或主管部门在接口页面调整"
        ),
        format!(
            "the interface's quota of {most} calls a day {en} is used up (`{code}`); it starts anew at midnight (UTC+8). The \
             provider or the authority can change it on the interface's page"
        ),
    )
    .with_reasons(vec![reason.to_owned()])
}

impl Counter {
    fn new(code: &str, application: &str) -> Self {
        Self {
            code: code.to_owned(),
            application: application.to_owned(),
            rate: Rate::default(),
            lot: Mutex::default(),
            taking: tokio::sync::Mutex::default(),
            flood: Flood::default(),
        }
    }

    fn key(&self, day: &str) -> InterfaceDay {
        InterfaceDay {
            code: self.code.clone(),
            application: self.application.clone(),
            day: day.to_owned(),
        }
    }

    /// Takes one call; answers how many are left today, `None` when there is none.
    async fn take(&self, app: &App, op: &Op, day: &str, most: u64) -> Result<Option<u64>> {
        let second = op.at.timestamp();
        loop {
            if let Some(taken) = self.of_lot(day, second, most) {
                return Ok(taken);
            }
            self.refill(app, day, second, most).await?;
        }
    }

    /// `None`: the store is to be asked.
    fn of_lot(&self, day: &str, second: i64, most: u64) -> Option<Option<u64>> {
        let mut lot = self.lot.lock();
        if lot.day != day {
            return None;
        }
        if lot.left > 0 {
            lot.left -= 1;
            lot.used_at = second;
            return Some(Some(most.saturating_sub(lot.taken).saturating_add(lot.left)));
        }
        lot.used_up.is_some_and(|(at, of)| at == second && of >= most).then_some(None)
    }

    async fn refill(&self, app: &App, day: &str, second: i64, most: u64) -> Result<()> {
        let _one = self.taking.lock().await;
        {
            let lot = self.lot.lock();
            let decided =
                lot.left > 0 || lot.used_up.is_some_and(|(at, of)| at == second && of >= most);
            if lot.day == day && decided {
                return Ok(());
            }
        }
        let want = sharing::lot_size(&app.rules.catalogue.quota, most);
        let lot = app.store.interface_take(&self.key(day), want, most).await?;
        let mut kept = self.lot.lock();
        let left = if kept.day == day { kept.left } else { 0 };
        *kept = Lot {
            day: day.to_owned(),
            left: left + lot.got,
            taken: lot.taken,
            used_up: (lot.got == 0).then_some((second, most)),
            used_at: second,
        };
        Ok(())
    }

    /// A refusal with its record; of a flood one record a second tells of all.
    async fn refuse(&self, app: &App, op: &Op, e: Error) -> Error {
        match self.flood.tells(op.at.timestamp()) {
            Some(untold) => {
                sharing::refuse_many(app, op, &self.code, "interface.call", e, untold).await
            }
            None => e,
        }
    }

    async fn give_back(&self, app: &App, before: i64) -> Result<()> {
        let _one = self.taking.lock().await;
        let (day, left) = {
            let mut lot = self.lot.lock();
            if lot.left == 0 || lot.used_at >= before {
                return Ok(());
            }
            let left = std::mem::take(&mut lot.left);
            lot.taken = lot.taken.saturating_sub(left);
            (lot.day.clone(), left)
        };
        app.store.interface_return(&self.key(&day), left).await
    }
}

/// Puts lots back out of which nobody has called since `before` (seconds): the store then counts what was called, and another process
/// may need it. Before a calm stop: `i64::MAX`.
pub(crate) async fn give_back(app: &App, before: i64) -> Result<()> {
    for (_, counter) in &app.interfaces.counters.0 {
        counter.give_back(app, before).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lot_is_given_out_by_day_and_an_empty_one_is_asked_again_in_the_next_second() {
        let counter = Counter::new("c", "");
        assert_eq!(counter.of_lot("2026-03-02", 1, 10), None);
        *counter.lot.lock() = Lot { day: "2026-03-02".into(), left: 2, taken: 2, ..Lot::default() };
        assert_eq!(counter.of_lot("2026-03-02", 1, 10), Some(Some(9)));
        assert_eq!(counter.of_lot("2026-03-02", 1, 10), Some(Some(8)));
        assert_eq!(counter.of_lot("2026-03-02", 1, 10), None);
        counter.lot.lock().used_up = Some((1, 10));
        assert_eq!(counter.of_lot("2026-03-02", 1, 10), Some(None));
        assert_eq!(counter.of_lot("2026-03-02", 1, 11), None, "a raise holds at once");
        assert_eq!(counter.of_lot("2026-03-02", 2, 10), None);
        assert_eq!(counter.of_lot("2026-03-03", 1, 10), None);
    }

    #[test]
    fn what_is_put_back_counts_for_its_own_day_only() {
        let counter = Arc::new(Counter::new("c", "a"));
        let counted =
            Counted { day: "2026-03-02".into(), counters: vec![Arc::clone(&counter)], left: None };
        counted.put_back();
        assert_eq!(counter.lot.lock().left, 0);
        counter.lot.lock().day = "2026-03-02".into();
        counted.put_back();
        assert_eq!(counter.lot.lock().left, 1);
    }
}
