//! May X do Y: principals, Cedar policies as files, decisions with reasons, and the two proofs only this crate
//! can make: [`Permit`] (for writes) and [`Grant`] (for releases).
//!
//! *no-plain-way-out*: every port in [`port`] that returns governed rows asks for a `Grant`; every one that
//! changes something asks for a `Permit`. Neither has a public constructor.
//!
//! Inside: `engine` decides, by `cedar` (our words as Cedar entities) and the files under `rules/` (read by `rules`);
//! `release` makes grants, `rows` says which rows they let through, `assess` those of the check before opening, `halt` holds the emergency stops that keep it from making them; `matrix` prints the whole permission table for review.

mod action;
mod assess;
mod cedar;
mod engine;
mod flow;
mod grant;
mod halt;
mod listing;
mod matrix;
mod permit;
pub mod port;
mod release;
mod rows;
mod rules;

pub use action::{Action, Target};
pub use engine::{Decision, Policy};
pub use flow::{BatchAsk, FlowAsk};
pub use grant::{Grant, GrantAsk, GrantColumn, Quota, Via};
pub use listing::{MaskRule, RuleFile};
pub use matrix::matrix;
pub use permit::Permit;
