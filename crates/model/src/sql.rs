//! SQL over the PostgreSQL wire: passwords of applications for it, and what they have run.

use serde::{Deserialize, Serialize};

/// An application's password for SQL, as far as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SqlLogin {
    pub application: String,
    /// RFC 3339.
    pub made_at: String,
    /// Person who made it.
    pub made_by: String,
}

/// A statement that an application ran.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SqlStatement {
    /// Trace id of its audit records.
    pub id: String,
    pub application: String,
    /// RFC 3339.
    pub at: String,
    pub text: String,
    /// Codes of the resources it read, comma separated.
    pub tables: String,
    pub rows: u64,
    pub millis: u64,
    /// `running ok refused failed cancelled cut`
    pub outcome: String,
    /// SQLSTATE where it did not end well.
    pub state: String,
}
