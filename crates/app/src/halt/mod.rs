//! Emergency stops (紧急停用): an application, a resource or an interface out of which nothing goes until the stop is lifted.
//!
//! ```text
//! desk   stop, lift, list: people with the button, and the command line
//! here   how a process knows: one number in the store, asked for every `halt_follow_ms` by a task of its own and by calls
//! ```
//!
//! What a stop does is the policy engine's ([`policy::Policy::halt`]): it makes no grant that a stop concerns, and its version
//! changes, by which every grant that is kept anywhere is good no more. What is on its way asks piece by piece
//! ([`crate::sharing::flowing`]).

mod desk;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use model::halt::HaltKind;
use model::{Actor, Op, Result};

pub use self::desk::{HaltAsk, HaltView, begin, find, lift, list, may_halt, may_read, of};
use crate::{App, audit};

/// What this process knows of stops; what is stopped is in its policy engine.
#[derive(Debug)]
pub struct Memory {
    began: Instant,
    /// The store's number when the stops were last read.
    seen: AtomicI64,
    /// When the number was last asked for, milliseconds since `began`.
    looked: AtomicI64,
    /// One at a time takes stops in.
    taking: tokio::sync::Mutex<()>,
    /// Second in which a call of a stopped application was last recorded.
    told: AtomicI64,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            seen: AtomicI64::new(-1),
            looked: AtomicI64::new(i64::MIN),
            taking: tokio::sync::Mutex::new(()),
            told: AtomicI64::new(i64::MIN),
        }
    }
}

impl Memory {
    /// Notices what other processes have stopped or lifted, at most every `halt_follow_ms`. Real time, not the clock's: a clock
    /// that was set back must not keep a stop from being seen.
    pub(crate) async fn look(&self, app: &App) -> Result<()> {
        let now = i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX);
        let last = self.looked.load(Ordering::Relaxed);
        if now.saturating_sub(last) < app.rules.bounds.halt_follow_ms
            || self
                .looked
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_err()
        {
            return Ok(());
        }
        Box::pin(self.take_in(app)).await
    }

    /// Takes in what changed. Called after a change of this process, too, so that it holds when the click returns.
    pub(crate) async fn take_in(&self, app: &App) -> Result<()> {
        let _one = self.taking.lock().await;
        let changed = app.store.halt_clock().await?;
        if self.seen.load(Ordering::Relaxed) != changed {
            // Read after the number: what is newer than the number is read twice, never missed.
            app.policy.halt(app.store.halts_in_force().await?);
            self.seen.store(changed, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Whether a refusal is the first of its second: a flood of them leaves one record a second.
    fn tells(&self, op: &Op) -> bool {
        let second = op.at.timestamp();
        self.told.swap(second, Ordering::Relaxed) != second
    }
}

/// Follows the stops as long as the process lives: what is on its way looks at its policy engine, not at the store.
pub async fn follow(app: Arc<App>) {
    let pause = u64::try_from(app.rules.bounds.halt_follow_ms).unwrap_or(200).max(20);
    let mut failing = false;
    loop {
        match app.halts.look(&app).await {
            Ok(()) => failing = false,
            Err(e) if !failing => {
                failing = true;
                tracing::error!(error = %e.operator_text(), "emergency stops cannot be followed");
            }
            Err(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

/// Lets a caller who has proved who it is go on, unless its application is stopped: then nothing at all is answered, whatever is
/// asked.
pub async fn admit(app: &App, op: &Op, caller: &Actor) -> Result<()> {
    app.halts.look(app).await?;
    let Actor::Application { id, .. } = caller else { return Ok(()) };
    let Err(refusal) = app.policy.going(HaltKind::Application, id) else { return Ok(()) };
    if app.halts.tells(op) {
        let as_caller = Op { actor: caller.clone(), ..op.clone() };
        Box::pin(audit::refused(app, &as_caller, "application.call", id, &refusal)).await?;
    }
    Err(refusal)
}
