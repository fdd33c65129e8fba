//! Emergency stops as the engine knows them: while one is in force no [`crate::Grant`] is made that it concerns, and those that
//! callers keep are good no more (the engine's version changes). *no-plain-way-out*: without a grant there is no way.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use model::halt::{Halt, HaltKind};
use model::{Actor, Result};

use crate::Policy;

/// Stops in force. Each [`Policy`] that was read has its own.
#[derive(Debug, Default)]
pub(crate) struct Halts {
    /// How often they have changed.
    turns: AtomicU64,
    by: RwLock<HashMap<(HaltKind, String), Halt>>,
}

impl Policy {
    /// Takes the stops that are in force now in place of those known before. Answers whether that changed anything.
    pub fn halt(&self, halts: Vec<Halt>) -> bool {
        let known = |halt: Halt| Some(((HaltKind::parse(&halt.kind)?, halt.holder.clone()), halt));
        let now: HashMap<_, _> =
            halts.into_iter().filter(Halt::in_force).filter_map(known).collect();
        let mut by = self.halts.by.write().unwrap_or_else(PoisonError::into_inner);
        if *by == now {
            return false;
        }
        *by = now;
        self.halts.turns.fetch_add(1, Ordering::SeqCst);
        true
    }

    /// The stop of a thing, if one is in force.
    #[must_use]
    pub fn halted(&self, kind: HaltKind, holder: &str) -> Option<Halt> {
        let by = self.halts.by.read().unwrap_or_else(PoisonError::into_inner);
        if by.is_empty() {
            return None;
        }
        by.get(&(kind, holder.to_owned())).cloned()
    }

    /// Fails while a thing is stopped.
    pub fn going(&self, kind: HaltKind, holder: &str) -> Result<()> {
        self.halted(kind, holder).map_or(Ok(()), |halt| Err(halt.refusal()))
    }

    /// Fails while a caller, or the entry it reads, is stopped: asked before a grant is made, and piece by piece of what leaves.
    pub fn flowing(&self, caller: &Actor, entry: &str) -> Result<()> {
        if let Actor::Application { id, .. } = caller {
            self.going(HaltKind::Application, id)?;
        }
        self.going(HaltKind::Entry, entry)
    }

    pub(crate) fn halt_turns(&self) -> u64 {
        self.halts.turns.load(Ordering::SeqCst)
    }
}
