//! May X do Y: principals, Cedar policies as files, decisions with reasons, and the two proofs only this crate
//! can make: [`Permit`] (for writes) and [`Grant`] (for releases).
//!
//! *no-plain-way-out*: every port in [`port`] that returns governed rows asks for a `Grant`; every one that
//! changes something asks for a `Permit`. Neither has a public constructor.

mod action;
mod engine;
mod grant;
mod permit;
pub mod port;

pub use action::{Action, Target};
pub use engine::{Decision, Policy};
pub use grant::{Grant, GrantAsk, GrantColumn, Quota, Via};
pub use permit::Permit;
