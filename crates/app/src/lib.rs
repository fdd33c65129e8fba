//! The rooms of the business: every rule once, same verb on every floor.
//!
//! A room is a module of free functions `verb(app, op, …)`; [`App`] holds what they need: the control store, the
//! policy engine, the engines as ports, the keys, the rules and the clock. Doors (gateway, portal) call rooms;
//! rooms ask `policy` for a `Permit` or a `Grant`, then call `store` and the ports, and leave an audit record.

pub mod account;
pub mod approval;
pub mod audit;
pub mod authorisation;
pub mod basket;
pub mod catalogue;
pub mod channel;
pub mod collection;
pub mod contest;
pub mod control;
pub mod delivery;
pub mod delta;
pub mod dispatch;
pub mod evidence;
pub mod exchange;
pub(crate) mod follow;
pub mod halt;
pub mod harvest;
pub mod identity;
pub mod interface;
pub(crate) mod lease;
pub mod ledger;
pub mod news;
pub mod notice;
mod noticing;
pub mod opening;
pub mod operation;
pub mod org;
pub mod outflow;
pub mod oversight;
pub mod overview;
mod pace;
pub mod pipeline;
pub mod production;
pub mod project;
pub mod rail;
mod rate;
pub mod realname;
pub mod reconcile;
pub mod report;
pub mod restricted;
pub mod rules;
pub mod security;
pub mod sharing;
pub mod upload;
pub mod usage;
pub mod voice;
pub mod wire;

use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use model::calendar::Calendar;
use model::{Actor, Op, Result};
use policy::port::{Clock, Intake, Lake, Paper, Search, Shelf, Transform, Upstream};
use policy::{Permit, Policy};
use store::Store;

// Doors import `app` and `model` only: what they need of `policy` to call a room comes with the room.
pub use policy::port::{ReadOptions, Source};
pub use policy::{Action, GrantColumn, Target};

/// Everything a room needs. Cheap to share as `Arc<App>`.
pub struct App {
    pub store: Store,
    pub policy: Policy,
    pub lake: Arc<dyn Lake>,
    pub intake: Arc<dyn Intake>,
    pub transform: Arc<dyn Transform>,
    pub search: Arc<dyn Search>,
    pub shelf: Arc<dyn Shelf>,
    /// Services of departments behind proxied interfaces.
    pub upstream: Arc<dyn Upstream>,
    pub clock: Arc<dyn Clock>,
    pub keys: guard::keys::KeyRing,
    pub calendar: Calendar,
    pub rules: rules::Rules,
    pub folders: Folders,
    /// State of the account room: credential cache, nonces, lock-outs.
    pub accounts: account::Memory,
    /// State of the sharing room: cached grants and quota counters.
    pub shares: sharing::Memory,
    /// State of the collection room: progress of running collections, one lock per entry.
    pub collections: collection::Memory,
    /// Figures of the dashboard, kept for a moment.
    pub boards: control::Memory,
    /// Rails of this process, and the engine that follows them.
    pub rails: rail::Memory,
    /// Turns of pipelines in this process.
    pub pipelines: pipeline::Memory,
    /// Return flows of this process, and the engine that delivers them.
    pub outflows: outflow::Memory,
    /// Deliveries of this process.
    pub deliveries: delivery::Memory,
    /// Delta Sharing: views being made, reads that have begun.
    pub delta: delta::Memory,
    /// The signer of receipts and seals.
    pub evidence: evidence::Memory,
    /// Interfaces in memory, by code.
    pub interfaces: interface::Memory,
    /// Statements and jobs of projects in this process, and the engine they run on.
    pub projects: project::Memory,
    /// What this process knows of emergency stops.
    pub halts: halt::Memory,
    /// Comparisons of this process.
    pub reconciles: reconcile::Memory,
    /// The identity provider's keys, and outside identity services.
    pub identity: identity::Memory,
    /// What looks at links that people wrote.
    pub voices: voice::Memory,
    /// What prints papers.
    pub papers: Arc<dyn Paper>,
    /// What reads other catalogues.
    pub harvests: harvest::Memory,
}

/// Folders of this process.
#[derive(Clone, Debug)]
pub struct Folders {
    /// Uploaded sources wait here until they have landed.
    pub inbox: PathBuf,
    /// Where exchanges lie when nothing else is said; those of the operator's list come after it.
    pub exchange: PathBuf,
}

impl App {
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }
    /// Whether the caller could do this (to show or hide a link; the room decides again).
    #[must_use]
    pub fn may(&self, op: &Op, action: Action, target: &Target) -> bool {
        self.policy.decide(op, action, target).allowed
    }
    /// The platform in the caller's stead, with its permit, for what follows from a step.
    pub(crate) fn platform(&self, op: &Op) -> Result<(Op, Permit)> {
        let system = Op { actor: Actor::System, ..op.clone() };
        let platform = Target::plain("System", "platform");
        let permit = self.policy.permit(&system, Action::SystemWork, &platform)?;
        Ok((system, permit))
    }
    /// An operation of `actor` at the present time.
    #[must_use]
    pub fn op(&self, actor: Actor, source: &str) -> Op {
        Op::begun(actor, source.to_owned(), self.now())
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("folders", &self.folders).finish_non_exhaustive()
    }
}

/// One page of a list with the position of the next. *constant page*: keyset only.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// A page of the `limit + 1` rows that were asked for: the one too many tells that there are more.
    pub(crate) fn cut(mut items: Vec<T>, limit: u32, id: impl Fn(&T) -> String) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(id);
        Self { items, next }
    }
}
