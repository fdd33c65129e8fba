//! Parcels: what a channel hands to the one landing, and what became of it.

use serde::{Deserialize, Serialize};

use crate::code::SyncMode;

/// The head of a parcel: identity and promise. *exactly-once*: `id` lands at most once per entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParcelHead {
    /// Hash of entry, mode, source checksum and reading options.
    pub id: String,
    pub entry: String,
    pub mode: SyncMode,
    /// `file`, `query`
    pub channel: String,
    /// File name or query name, as the user knows it.
    pub source: String,
    /// SHA-256 of the source's bytes (or of the rows read, for a query).
    pub checksum: String,
}

/// The manifest of a landed parcel. `read = accepted + quarantined`, always.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    #[serde(flatten)]
    pub head: ParcelHead,
    pub read: u64,
    pub accepted: u64,
    pub quarantined: u64,
    /// Lake table version after landing.
    pub version: i64,
    pub landed_at: String,
}

/// A row that did not fit: kept, never dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reject {
    /// Data record number, from 1.
    pub record: u64,
    /// Line in the file where the record starts, from 1; 0 when the format has no lines.
    pub line: u64,
    /// Item identifier, or empty when the whole row is wrong.
    pub column: String,
    /// The value that does not fit (cut at 500 characters).
    pub value: String,
    /// Why, and how to mend it, in both languages.
    pub zh: String,
    pub en: String,
    /// All cells of the record as read, for mending and replay.
    pub cells: Vec<Option<String>>,
}

/// State of a collection run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    Queued,
    Running,
    Succeeded,
    Failed,
    /// The same parcel was landed before; nothing changed.
    Unchanged,
}

impl RunState {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            RunState::Queued => "queued",
            RunState::Running => "running",
            RunState::Succeeded => "succeeded",
            RunState::Failed => "failed",
            RunState::Unchanged => "unchanged",
        }
    }
    #[must_use]
    pub fn zh(self) -> &'static str {
        match self {
            RunState::Queued => "排队中",
            RunState::Running => "运行中",
            RunState::Succeeded => "成功",
            RunState::Failed => "失败",
            RunState::Unchanged => "无变化",
        }
    }
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Queued, Self::Running, Self::Succeeded, Self::Failed, Self::Unchanged]
            .into_iter()
            .find(|s| s.as_str() == word)
    }
}

/// One run of a collection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub id: String,
    pub entry: String,
    pub entry_title: String,
    pub state: RunState,
    pub mode: SyncMode,
    pub channel: String,
    pub source: String,
    pub parcel: Option<String>,
    pub checksum: String,
    pub read: u64,
    pub accepted: u64,
    pub quarantined: u64,
    /// Bytes read so far and in all (0 = unknown), for progress.
    pub bytes_done: u64,
    pub bytes_total: u64,
    pub version: Option<i64>,
    /// Why it failed, for the user (zh / en).
    pub message_zh: String,
    pub message_en: String,
    pub started_at: String,
    pub finished_at: Option<String>,
    pub actor: String,
}

/// A quarantined row as kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    pub id: String,
    pub run: String,
    pub entry: String,
    #[serde(flatten)]
    pub reject: Reject,
    /// `open`, `replayed` or `dismissed`
    pub state: String,
    pub at: String,
}

/// What a file is, found without any entry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sniffed {
    /// `csv`, `json`, `jsonl`, `xlsx`, `xls`, `ods`, `parquet`, `geojson`
    pub format: String,
    /// `none`, `gzip`, `zstd`, `zip`
    pub compression: String,
    /// `utf-8`, `utf-8-bom`, `utf-16le`, `utf-16be`, `gb18030`; empty for binary formats
    pub encoding: String,
    /// Field separator for text tables.
    pub delimiter: Option<String>,
    pub quote: Option<String>,
    /// Lines before the header row.
    pub preamble: u64,
    /// Number of header rows (0 = none).
    pub header_rows: u64,
    /// Trailing rows that are notes or totals, not data.
    pub footer: u64,
    /// Sheet read, for workbooks.
    pub sheet: Option<String>,
    pub columns: Vec<SniffedColumn>,
    /// Data records counted, when the whole file was read.
    pub records: Option<u64>,
    /// What a person should know, in both languages.
    pub notes: Vec<(String, String)>,
}

/// A column as found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SniffedColumn {
    /// Header text as written (made unique), or `column_N`.
    pub name: String,
    pub data_type: crate::code::DataType,
    pub nullable: bool,
    /// A few values.
    pub examples: Vec<String>,
}
