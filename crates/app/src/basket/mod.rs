//! The basket (一揽子申请): choose things of all ledgers, fill in one form, and let it be split by owner.
//!
//! `hold` is the basket itself, `file` turns it into a form with parts, each with an approval of its own (`approval`
//! runs them), `files` keeps what is attached, `look` shows forms to those who may see them, `after` is what follows a decision: delivery of what was
//! approved, feedback (成效反馈), disputes in three layers, and the decisions of before as advice.
//!
//! A data part that is approved becomes an approved share application by `sharing::grant_agreed`: the one gate.

mod after;
mod file;
mod files;
mod hold;
mod look;
mod rules;

use model::basket::{AssetRef, Form, Want};

pub(crate) use after::deliver;
pub use after::{Advice, Amend, advice, amend, dispute, feedback, withdraw};
pub use file::{file_demand, file_objection, file_share};
pub(crate) use files::receive;
pub use files::{attach, attachment, detach, files};
pub use hold::{add, list, may_file, remove};
pub(crate) use look::whole;
pub use look::{bundle, bundles, follows, part, part_of};
pub use rules::{BasketRules, ObjectionWord, Word};
pub use store::basket::BundleFilter;

/// One thing wanted, as filed.
#[derive(Clone, Debug)]
pub struct PartNew {
    pub asset: AssetRef,
    pub want: Want,
}

/// A demand for what is not yet catalogued (未编目需求).
#[derive(Clone, Debug)]
pub struct DemandNew {
    pub form: Form,
    pub title: String,
    /// By the rule file's list.
    pub need: String,
    pub detail: String,
    pub fields: String,
    /// Organisation that may hold the data; empty = the authority finds out.
    pub org: String,
}

/// An objection (异议).
#[derive(Clone, Debug)]
pub struct ObjectionNew {
    pub form: Form,
    pub asset: AssetRef,
    pub about: String,
    pub point: String,
    pub detail: String,
}
