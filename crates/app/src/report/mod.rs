//! Reporting (信息报送): an organisation asks those below it for data of one of its entries, by a form.
//!
//! ```text
//! design   the form: fields from the entry's items, rules, published versions
//! rule     rules between fields, as expressions
//! plan     who reports how often; opening the tasks of a period down the tree
//! look     tasks, rows and history, for those who may see them
//! fill     the draft: saving, submitting, taking back
//! check    every cell against its field, by the intake that will land it
//! total    a level's figures against those below it
//! sheet    the workbook of a form, out; `book` in, with the place of every fault
//! review   accepting, returning, opening again, withdrawing
//! land     accepted rows into the entry, once
//! tick     what time brings: new periods, reminders, landings that could not be done
//! ```
//!
//! *exactly-once*: a submission lands as one parcel whose id is made of task and submission; the lake knows it.
//! *nothing-dropped*: what was typed is kept as it was typed, right or wrong; a submission is kept for good.

mod book;
mod check;
mod design;
mod files;
mod fill;
mod land;
mod look;
mod plan;
mod review;
mod rule;
mod sheet;
mod tick;
mod total;

use serde::Deserialize;

pub use self::design::{create, form, forms, offer, publish, save, version};
pub use self::files::{attach, attachment, detach};
pub use self::fill::{Saved, Typed, faults, save_draft, submit, take_back};
pub(crate) use self::land::{standing, waiting};
pub use self::look::{
    Desk, Faced, RowsPage, TaskView, desk, events, may_design, rows, task, tasks_of_plan,
};
pub use self::plan::{PlanView, RollUp, TreeRow, issue, plan, plans, roll_up, stop, tree};
pub use self::review::{accept, give_back, withdraw};
pub use self::sheet::{filled, overview, template};
pub use self::tick::tick;
pub use self::total::{Agreement, agreement};

pub use self::book::{Import, import};

/// Limits and reminders (`rules/report.toml`).
#[derive(Clone, Debug, Deserialize)]
pub struct ReportRules {
    pub effective: String,
    pub rows_most: usize,
    pub page_rows: u32,
    pub fields_most: usize,
    pub rules_most: usize,
    pub orgs_most: usize,
    pub groups_most: usize,
    pub cell_most: usize,
    pub faults_shown: usize,
    pub expression_steps: u64,
    pub sheet_bytes: u64,
    pub sheet_unpacked: u64,
    pub remind_before: Vec<i64>,
    pub remind_late_every: i64,
}
