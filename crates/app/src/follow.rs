//! What a process follows for as long as it lives: rails, return flows and deliveries. Each is one process's at a time; one that failed
//! waits, longer every time, and is tried again; a process that stops lets them end where they stand.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use parking_lot::Mutex;
use store::lease::Lease;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::{App, lease};

/// Those of one kind in this process, by id.
#[derive(Debug)]
pub(crate) struct Following {
    running: Mutex<HashSet<String>>,
    /// Those that wait after a failure: how many failures, and until when.
    waiting: Mutex<HashMap<String, (u32, Instant)>>,
    stopping: watch::Sender<bool>,
}

impl Default for Following {
    fn default() -> Self {
        Self {
            running: Mutex::default(),
            waiting: Mutex::default(),
            stopping: watch::Sender::new(false),
        }
    }
}

impl Following {
    /// The process is stopping.
    pub(crate) fn stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// To be told when the process stops.
    pub(crate) fn told(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    /// Lets all of them end where they stand, and waits for it.
    pub(crate) async fn stop(&self) {
        self.stopping.send_replace(true);
        for _ in 0..300 {
            if self.running.lock().is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub(crate) fn runs(&self, id: &str) -> bool {
        self.running.lock().contains(id)
    }

    /// Whether it may be taken up now: it does not run here, its time has come, and its lease is nobody else's.
    pub(crate) fn may_take(&self, app: &App, id: &str, held: &Lease) -> bool {
        let waits = self.waiting.lock().get(id).is_some_and(|(_, until)| Instant::now() < *until);
        let free = held.owner.is_empty()
            || held.owner == app.collections.owner()
            || lease::over(app, held);
        !self.runs(id) && !waits && free
    }

    /// How many run in this process.
    pub(crate) fn count(&self) -> usize {
        self.running.lock().len()
    }

    pub(crate) fn begun(&self, id: &str) {
        self.running.lock().insert(id.to_owned());
    }

    pub(crate) fn ended(&self, id: &str) {
        self.running.lock().remove(id);
    }

    /// It goes well again, or somebody has looked after it: it waits for nothing.
    pub(crate) fn at_once(&self, id: &str) {
        self.waiting.lock().remove(id);
    }

    /// It has failed and is not tried again before; answers its failures in a row.
    pub(crate) fn put_off(&self, id: &str, pause: impl FnOnce(u32) -> u64) -> u32 {
        let mut waiting = self.waiting.lock();
        let failures = waiting.get(id).map_or(0, |(n, _)| *n).saturating_add(1);
        let until = Instant::now() + Duration::from_millis(pause(failures));
        waiting.insert(id.to_owned(), (failures, until));
        failures
    }
}

/// Milliseconds after so many failures: from `first` doubled each time up to `longest`; at once the longest where a person has
/// to mend something.
pub(crate) fn pause(first: u64, longest: u64, mends: bool) -> impl FnOnce(u32) -> u64 {
    move |failures| match mends {
        true => longest,
        false => first.saturating_mul(1 << failures.min(16).saturating_sub(1)).min(longest),
    }
}
