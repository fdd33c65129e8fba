//! Tables: finding, loading and remembering them, and what their metadata say of the current view.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use deltalake_core::kernel::Metadata;
use deltalake_core::{DeltaTable, DeltaTableBuilder, ensure_table_uri};
use futures::FutureExt;
use futures::future::BoxFuture;
use model::{Error, Result};
use policy::port::LakeVersion;

use crate::lake::DeltaLake;
use crate::schema::{self, Shape};
use crate::{fault, name};

/// One table of this process: its last known state, and the lock that landings take.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    pub(crate) landing: tokio::sync::Mutex<()>,
    /// What commits say, once read: they never change.
    pub(crate) told: std::sync::Mutex<BTreeMap<u64, Option<LakeVersion>>>,
    known: parking::Known,
}

/// The last known state, kept so that the log is read once and then only followed.
mod parking {
    use deltalake_core::DeltaTable;

    #[derive(Default)]
    pub(super) struct Known(std::sync::Mutex<Option<DeltaTable>>);

    impl std::fmt::Debug for Known {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("Known")
        }
    }

    impl Known {
        pub(super) fn get(&self) -> Option<DeltaTable> {
            self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
        }
        /// Keeps `table` unless a newer state is known already.
        pub(super) fn set(&self, table: &DeltaTable) {
            let mut known = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if known.as_ref().is_none_or(|k| k.version() <= table.version()) {
                *known = Some(table.clone());
            }
        }
    }
}

impl DeltaLake {
    pub(crate) fn slot(&self, code: &str) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Arc::clone(slots.entry(code.to_owned()).or_default())
    }

    /// The table of `code`, not loaded; it need not exist.
    pub(crate) fn blank_table(&self, code: &str) -> Result<DeltaTable> {
        name::check_code(code)?;
        let url = ensure_table_uri(format!("{}{code}", self.root))
            .map_err(|e| fault::delta("table location", e))?;
        DeltaTableBuilder::from_url(url)
            .and_then(DeltaTableBuilder::build)
            .map_err(|e| fault::delta("opening a table", e))
    }

    /// The table of `code` in its newest state; `None` when nothing has landed.
    ///
    /// Boxed, as is what calls for versions: the engine's own futures are deep, and who awaits them need not be looked through.
    pub(crate) fn table<'a>(&'a self, code: &'a str) -> BoxFuture<'a, Result<Option<DeltaTable>>> {
        async move {
            name::check_code(code)?;
            let slot = self.slot(code);
            let mut table = match slot.known.get() {
                Some(table) if !moved(&table).await? => return Ok(Some(table)),
                Some(table) => table,
                None => {
                    // A folder that is not there holds no table; the library would make a store of its own to find that out.
                    if let Some(lake) = &self.folder
                        && !there(lake, code)?
                    {
                        return Ok(None);
                    }
                    let table = self.blank_table(code)?;
                    let there = table
                        .verify_deltatable_existence()
                        .await
                        .map_err(|e| fault::delta("looking for a table", e))?;
                    if !there {
                        return Ok(None);
                    }
                    table
                }
            };
            table.update_state().await.map_err(|e| fault::delta("reading the table's log", e))?;
            slot.known.set(&table);
            Ok(Some(table))
        }
        .boxed()
    }

    /// The table at `version`, or in its newest state. An unknown version is `NotFound`.
    pub(crate) fn table_at<'a>(
        &'a self,
        code: &'a str,
        version: Option<i64>,
    ) -> BoxFuture<'a, Result<Option<DeltaTable>>> {
        async move {
            let table = self.table(code).await?;
            let Some(version) = version else {
                return Ok(table);
            };
            let unknown = || Error::not_found("数据版本", "data version", &version.to_string());
            let (Some(mut table), Ok(wanted)) = (table, u64::try_from(version)) else {
                return Err(unknown());
            };
            match table.version() {
                Some(newest) if wanted == newest => {}
                Some(newest) if wanted < newest => {
                    table
                        .load_version(wanted)
                        .await
                        .map_err(|e| fault::delta("reading an earlier version", e))?;
                }
                _ => return Err(unknown()),
            }
            Ok(Some(table))
        }
        .boxed()
    }
}

/// Whether a table's log goes on behind the version that is known. Versions follow each other, and none is ever taken out of the log: to
/// look for the next one is a fraction of listing what there is.
async fn moved(table: &DeltaTable) -> Result<bool> {
    let failed = |e| fault::delta("looking for the next version", e);
    let Some(version) = table.version() else { return Ok(true) };
    let next = table.log_store().read_commit_entry(version + 1).await.map_err(failed)?;
    Ok(next.is_some())
}

/// Whether a table has a folder. A lake that cannot be looked into has no tables that anybody knows of: that is no empty table.
fn there(lake: &Path, code: &str) -> Result<bool> {
    if lake.join(code).try_exists().map_err(fault::gone)? {
        return Ok(true);
    }
    match lake.try_exists().map_err(fault::gone)? {
        true => Ok(false),
        false => Err(fault::gone("the lake's folder is not there")),
    }
}

/// Name in the metadata: the last full landing and the parcels that went on with it, separated by commas; or the compaction
/// that wrote the whole view anew.
const BASE: &str = "lake.base";
/// Name in the metadata: whether the base's keys occur once each.
const UNIQUE: &str = "lake.unique";
/// Name in the metadata: identifiers of the business key the hashes were made of, separated by commas.
const KEY: &str = "lake.key";

/// What the table's metadata say about merging, as of one version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) base: Vec<String>,
    pub(crate) unique: bool,
    pub(crate) key: Vec<String>,
}

impl Rules {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        let said = metadata.configuration();
        let text = |name: &str| said.get(name).filter(|v| !v.is_empty());
        Self {
            base: text(BASE).map(|v| v.split(',').map(str::to_owned).collect()).unwrap_or_default(),
            unique: text(UNIQUE).is_some_and(|v| v == "true"),
            key: text(KEY).map(|v| v.split(',').map(str::to_owned).collect()).unwrap_or_default(),
        }
    }

    /// The table's configuration. The log is never cleaned: it is the record of what landed when, and what the
    /// promise *exactly-once* rests on.
    pub(crate) fn configuration(&self) -> HashMap<String, String> {
        HashMap::from([
            (BASE.to_owned(), self.base.join(",")),
            (UNIQUE.to_owned(), self.unique.to_string()),
            (KEY.to_owned(), self.key.join(",")),
            ("delta.enableExpiredLogCleanup".to_owned(), "false".to_owned()),
            ("delta.logRetentionDuration".to_owned(), "interval 36500 days".to_owned()),
            ("delta.deletedFileRetentionDuration".to_owned(), "interval 36500 days".to_owned()),
        ])
    }
}

/// A loaded table as the rest of the crate needs it.
pub(crate) struct Loaded<'a> {
    pub(crate) rules: Rules,
    pub(crate) schema: SchemaRef,
    pub(crate) table: &'a DeltaTable,
}

impl<'a> Loaded<'a> {
    pub(crate) fn of(table: &'a DeltaTable) -> Result<Self> {
        let state = table.snapshot().map_err(|e| fault::delta("table state", e))?;
        Ok(Self {
            rules: Rules::of(state.metadata()),
            schema: state.snapshot().arrow_schema(),
            table,
        })
    }

    /// The code of the entry: the table's folder.
    pub(crate) fn code(&self) -> String {
        let url = self.table.table_url().as_str().trim_end_matches('/');
        url.rsplit('/').next().unwrap_or_default().to_owned()
    }

    pub(crate) fn version(&self) -> u64 {
        self.table.version().unwrap_or(0)
    }

    pub(crate) fn columns(&self) -> Result<Vec<Shape>> {
        schema::stored_columns(&self.schema)
    }

    /// Sizes in bytes of the active data files, by path.
    pub(crate) fn sizes(&self) -> Result<HashMap<String, u64>> {
        let state = self.table.snapshot().map_err(|e| fault::delta("table state", e))?;
        let data = state.snapshot().try_log_data().map_err(|e| fault::delta("file list", e))?;
        Ok(data
            .iter()
            .map(|f| (f.path().into_owned(), u64::try_from(f.size()).unwrap_or(0)))
            .collect())
    }

    /// How the files are read together, and each in the order in which it is read: that of the log as it was loaded, which need not be
    /// the same in another process.
    pub(crate) fn layout(&self) -> Result<String> {
        let state = self.table.snapshot().map_err(|e| fault::delta("table state", e))?;
        let data = state.snapshot().try_log_data().map_err(|e| fault::delta("file list", e))?;
        let Rules { base, unique, key } = &self.rules;
        let mut layout = format!("{} {unique} {}", base.join(","), key.join(","));
        for file in data.iter() {
            layout.push('\n');
            layout.push_str(&file.path());
        }
        Ok(layout)
    }

    /// Active data files in the order they were written, with their row counts where the log knows them.
    pub(crate) fn files(&self) -> Result<Vec<(String, Option<u64>)>> {
        let state = self.table.snapshot().map_err(|e| fault::delta("table state", e))?;
        let data = state.snapshot().try_log_data().map_err(|e| fault::delta("file list", e))?;
        let mut files: Vec<(String, Option<u64>)> = data
            .iter()
            .map(|f| {
                let rows = f.num_records().and_then(|n| u64::try_from(n).ok());
                (f.path().into_owned(), rows)
            })
            .collect();
        files.sort();
        Ok(files)
    }
}
