//! Interfaces (接口) by description: what a provider offers of its resources, in versions that live beside each other.
//!
//! ```text
//! desk      what people do: draw up, check, test, publish, deprecate, take offline; subscribers are told
//! check     a description against the catalogue
//! sketch    a description to start from, drawn from an entry
//! known     the interfaces in memory, by code; follows the store's clock
//! call      one call: which version, then by kind: `rows`, `compose`, `outward`, `proxied`
//! quota     how often it may be called, by all and by each application
//! describe  OpenAPI and samples of one interface
//! released  those over results that left a data sandbox
//! ```
//!
//! An interface allows nothing. Every resource a call reads is entered through the gate (`sharing`), by the caller's own share
//! application; the grant's items, masks, row filter and cap hold, and what is described here only narrows them further.

mod call;
mod check;
mod compose;
mod describe;
mod desk;
mod known;
mod outward;
mod proxied;
mod quota;
mod released;
mod rows;
mod sketch;

use model::interface::BreakerRules;
use serde::Deserialize;

pub(crate) use self::call::known_of;
pub use self::call::{Answer, Body, call};
pub use self::describe::{Documented, described, documented, openapi, paged, sample_query};
pub use self::desk::{
    InterfacePage, InterfaceView, Move, called_today, change, create, get, list, may_keep, moves,
    set_quota, set_share, set_until, step, trial, version,
};
pub use self::known::Memory;
pub use self::outward::{FileForm, FileRows};
pub use self::proxied::{UpstreamStanding, standing};
pub(crate) use self::quota::give_back;
pub(crate) use self::released::publish;
pub use self::sketch::sketch;

/// Limits (`rules/interface.toml`).
#[derive(Clone, Debug, Deserialize)]
pub struct InterfaceRules {
    pub effective: String,
    pub follow_ms: i64,
    pub smallest_group: u64,
    pub most_groups: u64,
    pub most_versions: u32,
    /// When a service behind a proxied interface is left alone.
    #[serde(default = "breaker")]
    pub breaker: BreakerRules,
    pub convention: ConventionRules,
    pub token: TokenRules,
}

fn breaker() -> BreakerRules {
    BreakerRules { failures: 5, open_ms: 10_000 }
}

/// The older calling convention.
#[derive(Clone, Debug, Deserialize)]
pub struct ConventionRules {
    pub refresh_hours: i64,
    pub request_minutes: i64,
    pub refresh_reuse_seconds: i64,
    pub request_reuse_seconds: i64,
    pub window_seconds: i64,
    pub calls_per_second: u32,
    pub remember_hours: i64,
}

/// Tokens of OAuth 2 client credentials.
#[derive(Clone, Debug, Deserialize)]
pub struct TokenRules {
    pub minutes: i64,
    pub most_of_one_application: u32,
}
