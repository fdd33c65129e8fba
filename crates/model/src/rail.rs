//! The real-time rail (数据高铁): a department's tables followed by its database's log of changes.
//!
//! A rail is a data source with some of its tables, each bound to an entry. What people decide ([`Rail`], [`RailTable`])
//! and what the platform finds ([`RailFigures`], [`TableFigures`]) are kept apart, so that neither overwrites the other.

use serde::{Deserialize, Serialize};

use crate::code::code_list;

code_list! {
    /// What a rail is doing.
    RailState {
        New = "new", "尚未启动", "Not begun";
        Snapshot = "snapshot", "初始快照", "First snapshot";
        Streaming = "streaming", "实时同步", "Streaming";
        Waiting = "waiting", "故障重试", "Retrying";
        Paused = "paused", "已暂停", "Paused";
        Held = "held", "暂挂待处理", "Held until somebody decides";
        Stopped = "stopped", "安全停止", "Safely stopped";
        Refused = "refused", "需要处理", "Needs mending";
    }
}
code_list! {
    /// What a person wants of a rail.
    RailWish {
        Run = "run", "运行", "Run";
        Pause = "pause", "暂停", "Pause";
    }
}
code_list! {
    /// What is done when the source's table changes its columns.
    RailPolicy {
        Hold = "hold", "暂挂，等待处理", "Hold until somebody decides";
        Follow = "follow", "继续同步仍能对应的列", "Follow with the columns that still match";
        Alert = "alert", "继续同步并告警", "Follow and raise an alarm";
    }
}
code_list! {
    /// What positions in a source's log are made of.
    RailBasis {
        Slot = "slot", "复制槽的日志序号", "Log sequence numbers of a slot";
        Gtid = "gtid", "全局事务号（GTID），主备切换后接续", "GTIDs: goes on after a failover";
        File = "file", "日志文件与偏移，换服务器后整表核补", "Log files and offsets: another server means reading anew";
    }
}
code_list! {
    /// State of one table of a rail.
    TableState {
        Waiting = "waiting", "等待快照", "Waiting for its snapshot";
        Snapshot = "snapshot", "快照中", "Snapshot";
        Streaming = "streaming", "实时同步", "Streaming";
        Uncertain = "uncertain", "待核补", "To be read anew";
    }
}
code_list! {
    /// What happened to a rail.
    IncidentKind {
        SlotLost = "slot_lost", "复制槽或日志丢失", "Slot or log lost";
        OtherSource = "other_source", "数据源被替换", "Another database in its place";
        Moved = "moved", "主备切换", "Another server of the same history";
        Schema = "schema", "表结构变更", "Schema change";
        HeldLog = "held_log", "日志积压", "Log held back";
        Ceiling = "ceiling", "超过上限安全停止", "Stopped at the ceiling";
        Broken = "broken", "连接中断", "Connection broken";
        Refused = "refused", "数据源条件不符", "The source is not fit";
        Healed = "healed", "已核补", "Healed";
        Truncated = "truncated", "源表被清空", "Source table truncated";
        Differs = "differs", "核对有差异", "Reconciliation found differences";
        Budget = "budget", "超出差错预算", "Error budget exceeded";
    }
}

/// A rail as decided by people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rail {
    pub id: String,
    /// Organisation that owns source and entries.
    pub org: String,
    /// Shown; unique within the organisation.
    pub name: String,
    /// Data source.
    pub source: String,
    pub source_name: String,
    /// `host:port/database`.
    pub place: String,
    /// Replication slot and publication at the source.
    pub slot: String,
    pub publication: String,
    /// The slot and the publication were made by the source's keepers: neither made nor removed here.
    pub given: bool,
    pub policy: RailPolicy,
    /// Bytes of log held back at the source that raise an alarm, and that stop the rail safely.
    pub alarm_bytes: u64,
    pub ceiling_bytes: u64,
    pub wish: RailWish,
    pub created_at: String,
    pub created_by: String,
}

/// What is needed to make a rail.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RailNew {
    pub name: String,
    /// Id of the data source.
    pub source: String,
    /// Tables (`schema.table`) with the entries (id or code) they go to.
    pub tables: Vec<(String, String)>,
    pub policy: Option<RailPolicy>,
    pub alarm_bytes: Option<u64>,
    pub ceiling_bytes: Option<u64>,
    /// Given slot and publication; empty to have them made.
    #[serde(default)]
    pub slot: String,
    #[serde(default)]
    pub publication: String,
}

/// What the platform finds of a rail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RailFigures {
    pub state: RailState,
    /// Why it waits, is held or stopped.
    pub zh: String,
    pub en: String,
    /// The slot has been made: when it is missing later, it was lost.
    pub begun: bool,
    /// Identity of the database cluster the positions belong to.
    pub system: String,
    /// Servers of the same history that were followed before this one.
    pub kin: Vec<String>,
    /// What positions are made of, once the source was looked at.
    pub basis: Option<RailBasis>,
    /// The source is another server than before, and its tables are to be compared with the lake.
    pub compare: bool,
    /// Everything of the log up to here has landed.
    pub confirmed: String,
    /// End of the source's log.
    pub head: String,
    /// Bytes of log the source keeps for this rail.
    pub held_bytes: u64,
    /// Rows per second of the last minute or so.
    pub rate: f64,
    pub measured_at: Option<String>,
    pub failures: u32,
}

impl Default for RailFigures {
    fn default() -> Self {
        Self {
            state: RailState::New,
            zh: String::new(),
            en: String::new(),
            begun: false,
            system: String::new(),
            kin: Vec::new(),
            basis: None,
            compare: false,
            confirmed: String::new(),
            head: String::new(),
            held_bytes: 0,
            rate: 0.0,
            measured_at: None,
            failures: 0,
        }
    }
}

/// A table of a rail as decided by people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RailTable {
    pub rail: String,
    /// `schema.table`.
    pub place: String,
    pub entry: String,
    pub entry_code: String,
    pub entry_title: String,
    /// Its run, which misfits are kept under.
    pub run: String,
    /// To be read as a whole before its changes are followed.
    pub anew: bool,
}

/// What the platform finds of a table. The position that counts is the lake's; this one is for looking at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TableFigures {
    pub state: TableState,
    pub columns: Vec<RailColumn>,
    pub position: String,
    /// Rows of the snapshot so far.
    pub snapshot_rows: u64,
    pub read: u64,
    pub landed: u64,
    pub quarantined: u64,
    /// When the source committed what landed last, and when it was visible here.
    pub committed_at: Option<String>,
    pub landed_at: Option<String>,
    /// Milliseconds between the two.
    pub lag_ms: u64,
    /// Rows read and bad ones within the window of the error budget.
    pub window_read: u64,
    pub window_bad: u64,
    pub zh: String,
    pub en: String,
}

impl Default for TableFigures {
    fn default() -> Self {
        Self {
            state: TableState::Waiting,
            columns: Vec::new(),
            position: String::new(),
            snapshot_rows: 0,
            read: 0,
            landed: 0,
            quarantined: 0,
            committed_at: None,
            landed_at: None,
            lag_ms: 0,
            window_read: 0,
            window_bad: 0,
            zh: String::new(),
            en: String::new(),
        }
    }
}

/// A column of a source's table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RailColumn {
    pub name: String,
    /// Type as the database writes it (`numeric(12,2)`).
    pub kind: String,
    /// Part of the primary key.
    pub key: bool,
    /// Item it goes to.
    #[serde(default)]
    pub item: Option<String>,
}

/// Something that happened to a rail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RailIncident {
    pub id: String,
    pub rail: String,
    /// Table, when it concerns one.
    pub table: Option<String>,
    pub kind: IncidentKind,
    pub zh: String,
    pub en: String,
    pub at: String,
    /// Waits for a person.
    pub open: bool,
}
