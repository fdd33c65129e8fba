//! Return flow (回流): rows of an entry that concern a region, delivered to the database of that region's body as they change.
//!
//! What people decide ([`Outflow`]) and what the platform finds ([`OutflowFigures`]) are kept apart, so that neither
//! overwrites the other. How far a target is, is written at the target alone, together with its rows.

use serde::{Deserialize, Serialize};

use crate::code::code_list;

code_list! {
    /// What an outflow is doing.
    OutflowState {
        New = "new", "尚未启动", "Not begun";
        Snapshot = "snapshot", "首次投送", "First delivery";
        Level = "level", "已追平", "Level";
        Delivering = "delivering", "投送中", "Delivering";
        Waiting = "waiting", "故障重试", "Retrying";
        Paused = "paused", "已暂停", "Paused";
        Ended = "ended", "授权已失效", "No longer granted";
        Refused = "refused", "需要处理", "Needs mending";
    }
}
code_list! {
    /// What a person wants of an outflow.
    OutflowWish {
        Run = "run", "运行", "Run";
        Pause = "pause", "暂停", "Pause";
    }
}

/// An outflow as decided by people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outflow {
    pub id: String,
    /// Organisation that receives.
    pub org: String,
    pub org_name: String,
    /// Its region (GB/T 2260): rows of it and of what lies in it go out.
    pub region: String,
    /// Organisation that provides the entry.
    pub provider: String,
    pub entry: String,
    pub entry_code: String,
    pub entry_title: String,
    /// Approved share application, and the application (应用) it was approved for.
    pub request: String,
    pub application: String,
    pub application_name: String,
    /// Items delivered, of those granted; empty: all of them.
    #[serde(default)]
    pub items: Vec<String>,
    /// Stored database of the receiver.
    pub source: String,
    pub source_name: String,
    /// `host:port/database`.
    pub place: String,
    /// Table there, `schema.table` or `table`.
    pub table: String,
    pub wish: OutflowWish,
    pub created_at: String,
    pub created_by: String,
}

/// What is needed to make an outflow.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct OutflowNew {
    /// Id of the approved share application.
    pub request: String,
    /// Id of the receiver's stored database.
    pub source: String,
    /// Table there; empty: the entry's code.
    #[serde(default)]
    pub table: String,
    /// Items wanted, of those granted; empty: all of them.
    #[serde(default)]
    pub items: Vec<String>,
}

/// What the platform finds of an outflow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OutflowFigures {
    pub state: OutflowState,
    /// Why it waits or ended.
    pub zh: String,
    pub en: String,
    /// Version of the lake that the target holds; `None` before the first delivery is whole.
    pub version: Option<i64>,
    /// Newest version of the lake.
    pub head: Option<i64>,
    /// Versions that are not delivered yet.
    pub behind: u64,
    /// Seconds since the oldest of them landed.
    pub lag_seconds: u64,
    /// Rows entered or changed at the target, and rows removed there.
    pub upserts: u64,
    pub deletes: u64,
    /// Transactions at the target.
    pub deliveries: u64,
    pub delivered_at: Option<String>,
    /// From the landing to the target, of the newest delivery, milliseconds.
    pub took_ms: u64,
    pub failures: u32,
    /// Rows at the target and rows granted when they were last compared.
    pub target_rows: Option<u64>,
    pub granted_rows: Option<u64>,
    pub counted_at: Option<String>,
}

impl Default for OutflowFigures {
    fn default() -> Self {
        Self {
            state: OutflowState::New,
            zh: String::new(),
            en: String::new(),
            version: None,
            head: None,
            behind: 0,
            lag_seconds: 0,
            upserts: 0,
            deletes: 0,
            deliveries: 0,
            delivered_at: None,
            took_ms: 0,
            failures: 0,
            target_rows: None,
            granted_rows: None,
            counted_at: None,
        }
    }
}

/// What was delivered on one day, for metering.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutflowDay {
    /// `YYYY-MM-DD`
    pub day: String,
    pub deliveries: u64,
    pub upserts: u64,
    pub deletes: u64,
    pub bytes: u64,
}
