//! What is kept of a run so that it can go on after a crash. Secrets in it are sealed for this run only.

use std::path::PathBuf;

use guard::hash::sha256_hex;
use model::code::SyncMode;
use model::entry::Entry;
use model::{Error, Result};
use policy::port::ReadOptions;
use serde::{Deserialize, Serialize};

/// The column `run.source`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Resume {
    pub(super) source: Kept,
    #[serde(default)]
    pub(super) options: Options,
    /// The figures are final and the landing's commit comes next: if the parcel is in the lake, this run brought it.
    #[serde(default)]
    pub(super) committing: bool,
    /// The content landed before and something newer lies over it: it lands again, as a parcel of this run.
    #[serde(default)]
    pub(super) anew: bool,
}

/// Where the rows come from, as kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Kept {
    File {
        path: PathBuf,
        name: String,
        checksum: String,
    },
    /// `url` is sealed.
    Query {
        url: String,
        sql: String,
        name: String,
    },
    /// Mended rows of an earlier run; `slice` is the one being landed.
    Replay {
        of: String,
        slice: Option<Slice>,
        /// Only rows of this group of reasons; all without one.
        #[serde(default)]
        group: String,
    },
}

/// Rows of a replay that land together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Slice {
    /// First and last quarantine id.
    pub(super) first: String,
    pub(super) last: String,
    pub(super) parcel: String,
    /// Records left out because newer rows have their keys.
    #[serde(default)]
    pub(super) overtaken: Vec<u64>,
}

/// [`ReadOptions`] as kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Options {
    pub(super) format: Option<String>,
    pub(super) encoding: Option<String>,
    pub(super) delimiter: Option<char>,
    pub(super) sheet: Option<String>,
    pub(super) header_rows: Option<u64>,
    pub(super) operation_column: Option<String>,
}

impl Options {
    pub(super) fn of(options: &ReadOptions) -> Self {
        Self {
            format: options.format.clone(),
            encoding: options.encoding.clone(),
            delimiter: options.delimiter,
            sheet: options.sheet.clone(),
            header_rows: options.header_rows,
            operation_column: options.operation_column.clone(),
        }
    }
    pub(super) fn read(&self) -> ReadOptions {
        ReadOptions {
            format: self.format.clone(),
            encoding: self.encoding.clone(),
            delimiter: self.delimiter,
            sheet: self.sheet.clone(),
            header_rows: self.header_rows,
            batch_rows: 0,
            operation_column: self.operation_column.clone(),
        }
    }
}

impl Resume {
    pub(super) fn to_text(&self) -> Result<String> {
        serde_json::to_string(self)
            .map_err(|e| Error::internal("cannot keep a run's source").caused_by(e))
    }
    /// `None` for a run that needs nothing any more.
    pub(super) fn of_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// Identity of a parcel: the same content read the same way into the same items is the same parcel.
pub(super) fn parcel_id(
    entry: &Entry,
    mode: SyncMode,
    checksum: &str,
    options: &Options,
) -> Result<String> {
    // What decides how a cell is read; titles and attributes of an item may change without making another parcel.
    let items: Vec<_> = entry
        .draft
        .items
        .iter()
        .map(|i| {
            let names = (&i.identifier, &i.name_cn, &i.name_en);
            (
                names,
                i.data_type,
                (i.precision, i.scale, i.length),
                &i.format,
                &i.value_domain,
                (i.primary, i.nullable),
            )
        })
        .collect();
    let text = serde_json::to_string(&(&entry.id, mode.as_str(), checksum, options, items))
        .map_err(|e| Error::internal("cannot name a parcel").caused_by(e))?;
    Ok(sha256_hex(text.as_bytes()))
}
