//! Reporting (信息报送): a form made from a catalogue entry's items, tasks down the tree of organisations, and totals that
//! agree on the way up.
//!
//! ```text
//! form    fields, rules and limits; a published version never changes
//! task    one organisation's turn for one period: draft, submissions, decisions
//! period  months, quarters, years: which one is over, and when it ended
//! total   sums of numeric fields, and where a level disagrees with those below it
//! ```

mod form;
mod period;
mod task;
mod total;

pub use self::form::{
    Auto, Cells, CodeName, Fault, Form, FormDraft, FormField, FormFiles, FormGroup, FormRule,
    FormVersion, TotalRule,
};
pub use self::period::Every;
pub use self::task::{
    Explained, Landed, Landing, Plan, PlanNew, PlanState, Task, TaskEvent, TaskEventKind, TaskState,
};
pub use self::total::{Difference, TotalGroup, Totals, compare};
