//! Reporting in the control store: forms and plans (`form`), tasks with their history (`task`), rows of fills and whose
//! business keys are (`row`).

mod form;
mod row;
mod task;

pub use self::row::KeyHeld;
pub use self::task::{RowChange, TaskFilter};
