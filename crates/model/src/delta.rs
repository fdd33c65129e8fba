//! Delta Sharing: bearer tokens of applications, and the views that are kept for them.

use serde::{Deserialize, Serialize};

/// A bearer token, as far as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeltaToken {
    pub id: String,
    pub application: String,
    /// RFC 3339.
    pub made_at: String,
    /// Person who made it.
    pub made_by: String,
    pub ends_at: String,
    /// When it was last used, about; empty: never.
    pub used_at: String,
    /// What calls by it are for, where they do not say so themselves; empty: nothing was said.
    #[serde(default)]
    pub purpose: String,
}

/// A version of a shared view, as it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeltaView {
    pub id: String,
    pub version: i64,
    pub application: String,
    /// Code of the entry.
    pub entry: String,
    pub files: u64,
    pub rows: u64,
    pub bytes: u64,
    /// RFC 3339.
    pub made_at: String,
    /// How long the making took; 0: it was there.
    pub millis: u64,
    /// When it was last asked for, seconds since 1970.
    pub used_at: i64,
}
