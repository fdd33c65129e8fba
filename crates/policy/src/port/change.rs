//! Changes of an entry as the lake tells them through a grant.

use model::batch::Operation;
use model::value::Rows;

/// From which state of the lake to which, and from where in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeSpan {
    /// Version that the receiver holds; `None`: nothing, so that all of `to` comes as inserts.
    pub from: Option<i64>,
    /// Version that it will hold.
    pub to: i64,
    /// Mark of the last change taken of this very span; the changes after it come.
    pub after: Option<String>,
}

/// What lies before a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangesAhead {
    /// Where the next span should end: the newest version, or fewer where many wait.
    pub to: i64,
    /// Newest version that holds a parcel.
    pub newest: i64,
    /// Versions with parcels that the receiver does not hold.
    pub behind: u64,
    /// When the oldest of them landed, RFC 3339.
    pub since: String,
    /// When the newest of the span landed.
    pub until: String,
}

/// Changes in the order of their marks: each row once in a span.
#[derive(Clone, Debug)]
pub struct Changes {
    pub operations: Vec<Operation>,
    /// Rows as granted, the first column being [`ROW_ID`]. Of a delete only that and the plain key.
    pub rows: Rows,
    /// Mark of each change, growing. It is made of the row's key and must not leave the house in plain.
    pub marks: Vec<String>,
}

/// Column that tells a row from all others without telling its key: the same for one receiver, another for another.
pub const ROW_ID: &str = "qt_row";
