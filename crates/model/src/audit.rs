//! Audit records: facts.md §4.4 fields, chained by SM3.

use serde::{Deserialize, Serialize};

/// What is to be recorded. The chain adds `seq`, `prev_hash` and `hash`. Kept without its empty fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuditEvent {
    pub event_id: String,
    /// RFC 3339 UTC.
    pub ts: String,
    pub actor: String,
    pub actor_name: String,
    pub org: String,
    pub app_key: String,
    pub source: String,
    /// `entry.publish`, `row.query`, `account.login` …
    pub action: String,
    /// Entry code, request id, user name: what it was done to.
    pub object: String,
    /// Columns released or touched, comma separated.
    pub columns: String,
    pub level: String,
    /// Fingerprint of the filter: columns and operators, never values.
    pub scope: String,
    pub rows: u64,
    pub bytes: u64,
    /// `ok`, `denied`, `failed`
    pub result: String,
    pub reason: String,
    pub purpose: String,
    /// Share application that allowed it.
    pub request: String,
    /// Masks applied, e.g. `xm=keep(1,0)`.
    pub masks: String,
    pub trace_id: String,
    /// Interface by which the call came.
    pub interface: String,
    /// Way by which the call came ([`crate::usage::Way`]); empty for pages and the platform's own work.
    pub way: String,
    /// Time of a call from the gate to this record, microseconds; 0: not taken.
    pub micros: u64,
    /// Calls this record stands for, when it is more than one: refusals of a flood leave one record.
    pub calls: u64,
}

/// A record of the chain. `hash = SM3(prev_hash || canonical JSON of seq and event)`, lower hex.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    pub seq: i64,
    pub prev_hash: String,
    pub hash: String,
    #[serde(flatten)]
    pub event: AuditEvent,
}

/// Which records a view wants, newest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AuditFilter {
    pub actor: Option<String>,
    /// Action or its prefix before the dot.
    pub action: Option<String>,
    pub object: Option<String>,
    pub result: Option<String>,
    /// `YYYY-MM-DD` bounds, inclusive: civil days in China.
    pub from: Option<String>,
    pub to: Option<String>,
    /// Keyset position: records with `seq` below it.
    pub before: Option<i64>,
    pub limit: u32,
}

/// Outcome of verifying the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditVerdict {
    pub records: u64,
    pub intact: bool,
    /// First record that is altered, removed or out of order, and why.
    pub fault: Option<AuditFault>,
    /// Hash of the last good record.
    pub head: String,
}

/// A break of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditFault {
    pub seq: i64,
    /// `altered`, `removed`, `reordered`, `headless`; `stamp`: the time stamp of the seal over it is none
    pub kind: String,
    pub zh: String,
    pub en: String,
}
