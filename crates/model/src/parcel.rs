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
    /// `file`, `query`, `rail`, `exchange`
    pub channel: String,
    /// File name or query name, as the user knows it.
    pub source: String,
    /// SHA-256 of the source's bytes (or of the rows read, for a query).
    pub checksum: String,
    /// Where a channel that goes on for ever stands after this parcel; committed together with its rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub track: Option<Track>,
    /// An incremental parcel that goes on with the full one before it: inserts only, and no key that has come before.
    /// Read as it lies, like the full parcel itself.
    #[serde(default)]
    pub goes_on: bool,
}

/// A place in a stream of parcels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Track {
    /// Name of the stream, one for each channel and table.
    pub name: String,
    /// Position after the parcel, in the channel's own words.
    pub position: String,
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
    /// What the source said had happened to the row (`I`, `U`, `D` or as written), when it says so: a mended delete
    /// is still a delete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
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
    /// Identifiers of the items the cells belong to, in their order, as the entry had them when the row was read.
    /// Empty in rows kept before this was told: their cells are in the entry's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<String>,
    /// `open`, `replayed` or `dismissed`
    pub state: String,
    pub at: String,
}

impl Quarantined {
    /// Lays the cells out by the entry's items as they are now: each goes to the item of its name, an item that came
    /// later has none, and cells beyond the items stay at the end. The cell of an item that is gone is left out.
    #[must_use]
    pub fn laid_out(mut self, items: &[crate::item::Item]) -> Self {
        let same = self.items.len() == items.len()
            && self.items.iter().zip(items).all(|(name, item)| *name == item.identifier);
        if same || self.items.is_empty() {
            return self;
        }
        let cell_of = |item: &crate::item::Item| {
            let at = self.items.iter().position(|name| *name == item.identifier)?;
            self.reject.cells.get(at).cloned().flatten()
        };
        let mut cells: Vec<Option<String>> = items.iter().map(cell_of).collect();
        cells.extend(self.reject.cells.iter().skip(self.items.len()).cloned());
        self.reject.cells = cells;
        self.items = items.iter().map(|item| item.identifier.clone()).collect();
        self
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::DataType;
    use crate::item::Item;

    #[test]
    fn cells_follow_their_items_when_the_entry_changes() {
        let cell = |text: &str| Some(text.to_owned());
        let row = Quarantined {
            id: "r-1".into(),
            run: "r".into(),
            entry: "e".into(),
            reject: Reject {
                record: 1,
                line: 2,
                column: "b".into(),
                value: "2".into(),
                zh: String::new(),
                en: String::new(),
                cells: vec![cell("1"), cell("2"), None, cell("beyond")],
                operation: cell("D"),
            },
            items: vec!["a".into(), "b".into(), "c".into()],
            state: "open".into(),
            at: String::new(),
        };
        let item = |id: &str| Item::new(id, id, DataType::Text);
        let same = row.clone().laid_out(&[item("a"), item("b"), item("c")]);
        assert_eq!(same, row);
        let laid = row.clone().laid_out(&[item("c"), item("new"), item("a")]);
        assert_eq!(laid.reject.cells, [None, None, cell("1"), cell("beyond")]);
        assert_eq!(laid.items, ["c", "new", "a"]);
        let old = Quarantined { items: Vec::new(), ..row };
        assert_eq!(old.clone().laid_out(&[item("b")]), old);
        // Rows kept before operations and items were told are still read.
        let kept: Quarantined = serde_json::from_str(
            r#"{"id":"x","run":"r","entry":"e","record":1,"line":1,"column":"","value":"","zh":"","en":"","cells":[null],"state":"open","at":""}"#,
        )
        .unwrap();
        assert_eq!((kept.items.len(), kept.reject.operation), (0, None));
    }
}
