//! What a caller asks of one resource's rows, whatever dialect it was said in.

use serde::{Deserialize, Serialize};

use crate::value::Value;

/// Comparison of one column. Values are text as written by the caller; the engine reads them by the item's type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    Eq(String),
    Neq(String),
    Gt(String),
    Gte(String),
    Lt(String),
    Lte(String),
    /// SQL LIKE with `%`/`_` (PostgREST writes `*` for `%`), case sensitive.
    Like(String),
    /// Case-insensitive LIKE.
    Ilike(String),
    In(Vec<String>),
    IsNull,
    IsTrue,
    IsFalse,
}

/// A condition over rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    Column { column: String, comparison: Comparison },
    Not(Box<Condition>),
    And(Vec<Condition>),
    Or(Vec<Condition>),
}

impl Condition {
    /// Column names it mentions.
    pub fn columns<'a>(&'a self, into: &mut Vec<&'a str>) {
        match self {
            Condition::Column { column, .. } => into.push(column),
            Condition::Not(inner) => inner.columns(into),
            Condition::And(all) | Condition::Or(all) => {
                for c in all {
                    c.columns(into);
                }
            }
        }
    }
}

/// One sort column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub column: String,
    pub descending: bool,
    /// `None`: the engine's default (nulls last ascending, first descending, as PostgreSQL).
    pub nulls_first: Option<bool>,
}

/// Whether the number of all matching rows is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Count {
    #[default]
    None,
    Exact,
    /// From stored statistics when unfiltered, otherwise exact.
    Estimated,
}

/// Rows wanted from one resource.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RowQuery {
    /// Columns wanted; empty means every granted column. `(column, alias)`.
    pub select: Vec<(String, Option<String>)>,
    pub filter: Option<Condition>,
    pub order: Vec<Order>,
    /// Page size; `None` takes the grant's cap.
    pub limit: Option<u64>,
    /// Rows to skip (kept for PostgREST clients; refused beyond a ceiling, use `after`).
    pub offset: u64,
    /// Keyset position: the opaque token of the previous page.
    pub after: Option<String>,
    pub count: Count,
}

/// A page of rows.
#[derive(Clone, Debug, PartialEq)]
pub struct RowPage {
    pub columns: Vec<String>,
    pub rows: Vec<crate::value::Row>,
    /// Number of all matching rows, when asked for.
    pub total: Option<u64>,
    /// Token of the next page; `None` on the last.
    pub next: Option<String>,
}

impl RowPage {
    /// The cell of a row in a column, where the page has one of that name.
    #[must_use]
    pub fn cell<'a>(&self, row: &'a [Value], column: &str) -> Option<&'a Value> {
        row.get(self.columns.iter().position(|c| c == column)?)
    }
}

/// Figures wanted of one resource's rows, by group.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Grouping {
    /// Columns whose values make the groups, with the names they are answered under.
    pub by: Vec<(String, String)>,
    /// What is computed of which column (empty: of the rows), and its name.
    pub measures: Vec<(crate::interface::How, String, String)>,
    pub filter: Option<Condition>,
    /// Groups of fewer rows are not told.
    pub smallest: u64,
    /// Most groups; a question that makes more is refused.
    pub most: u64,
}

/// Figures by group.
#[derive(Clone, Debug, PartialEq)]
pub struct Groups {
    pub columns: Vec<String>,
    pub rows: Vec<crate::value::Row>,
    /// Groups that are not told.
    pub hidden: u64,
}
