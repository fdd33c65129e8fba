//! The one commit of a landing, and reading back what commits say: which parcel, when, how many rows.

use std::collections::HashMap;
use std::sync::PoisonError;

use chrono::{DateTime, Utc};
use deltalake_core::kernel::transaction::{CommitBuilder, CommitProperties, TableReference};
use deltalake_core::kernel::{
    Action, Add, CommitInfo, Metadata, MetadataExt, Protocol, Transaction, new_metadata,
};
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::{DeltaTable, kernel};
use futures::{StreamExt, TryStreamExt, stream};
use model::code::SyncMode;
use model::op::stamp;
use model::parcel::ParcelHead;
use model::{Error, Op, Result};
use policy::port::{LakeVersion, Landing};
use serde_json::{Value, json};

use crate::lake::DeltaLake;
use crate::schema::{self, Shape};
use crate::table::{Loaded, Rules};
use crate::upload::DataFile;
use crate::{fault, name};

/// What a commit of ours says of itself, in `commitInfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) parcel: String,
    pub(crate) mode: String,
    pub(crate) rows: u64,
    /// Number the next parcel's first row gets.
    pub(crate) next_id: i64,
    /// `dsc_biz_timestamp` of the parcel.
    pub(crate) biz_time: i64,
    pub(crate) at: Option<i64>,
    /// Where the parcel's track stands after it.
    pub(crate) position: Option<String>,
}

impl Said {
    fn of(info: &CommitInfo) -> Option<Self> {
        let text = |name: &str| info.info.get(name).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            parcel: text("parcel")?,
            mode: text("mode").unwrap_or_default(),
            rows: info.info.get("rows").and_then(Value::as_u64).unwrap_or(0),
            next_id: info.info.get("nextRecordId").and_then(Value::as_i64)?,
            biz_time: info.info.get("bizTimestamp").and_then(Value::as_i64).unwrap_or(0),
            at: info.timestamp,
            position: text("position"),
        })
    }

    fn into_version(self, version: u64) -> LakeVersion {
        let at = self.at.and_then(DateTime::<Utc>::from_timestamp_millis);
        LakeVersion {
            version: i64::try_from(version).unwrap_or(i64::MAX),
            at: at.map(stamp).unwrap_or_default(),
            parcel: self.parcel,
            mode: self.mode,
            rows: self.rows,
        }
    }
}

/// The actions of one commit of the log; empty when the version does not exist.
pub(crate) async fn actions(table: &DeltaTable, version: u64) -> Result<Vec<Action>> {
    let bytes = table
        .log_store()
        .read_commit_entry(version)
        .await
        .map_err(|e| fault::delta("reading a commit", e))?
        .unwrap_or_default();
    serde_json::Deserializer::from_slice(&bytes)
        .into_iter::<Action>()
        .collect::<std::result::Result<_, _>>()
        .map_err(|e| Error::internal(format!("lake: commit {version}")).caused_by(e))
}

/// Whether the commit `version` added these very files.
pub(crate) async fn names(table: &DeltaTable, version: i64, files: &[DataFile]) -> Result<bool> {
    let actions = actions(table, u64::try_from(version).unwrap_or(0)).await?;
    let added = |path: &str| {
        actions.iter().any(|action| matches!(action, Action::Add(add) if add.path == path))
    };
    Ok(files.iter().all(|file| added(&file.path)))
}

/// What commit `version` says, if it is one of ours.
async fn said(table: &DeltaTable, version: u64) -> Result<Option<Said>> {
    Ok(actions(table, version).await?.iter().find_map(|action| match action {
        Action::CommitInfo(info) => Said::of(info),
        _ => None,
    }))
}

/// The newest commit of ours (maintenance by other tools may lie above it).
pub(crate) async fn last_said(table: &DeltaTable) -> Result<Option<Said>> {
    Ok(newest_said(table).await?.map(|(_, said)| said))
}

/// The same with its version.
async fn newest_said(table: &DeltaTable) -> Result<Option<(u64, Said)>> {
    let newest = table.version().unwrap_or(0);
    for version in (0..=newest).rev() {
        if let Some(said) = said(table, version).await? {
            return Ok(Some((version, said)));
        }
    }
    Ok(None)
}

/// Everything a landing commits.
pub(crate) struct Commit<'a> {
    pub(crate) op: &'a Op,
    pub(crate) parcel: &'a ParcelHead,
    pub(crate) files: &'a [DataFile],
    pub(crate) rows: u64,
    pub(crate) next_id: i64,
    pub(crate) biz_time: i64,
    /// Columns the table has from now on; `None` leaves them.
    pub(crate) columns: Option<Vec<Shape>>,
    /// What the view goes by from now on; `None` leaves it.
    pub(crate) rules: Option<Rules>,
}

impl Commit<'_> {
    /// Writes the commit on top of `table` (or as version 0 of a new one). Anyone else's commit in between, and only
    /// that, is `Code::Stale`: record ids and the view were decided on the state read before.
    pub(crate) async fn write(self, table: &DeltaTable) -> Result<u64> {
        let loaded = if table.version().is_some() { Some(Loaded::of(table)?) } else { None };
        let actions = self.actions(loaded.as_ref())?;
        let full = self.parcel.mode == SyncMode::Full;
        let operation = DeltaOperation::Write {
            mode: if full { SaveMode::Overwrite } else { SaveMode::Append },
            partition_by: None,
            predicate: None,
        };
        write(table, self.op, &self.parcel.id, actions, operation).await
    }

    fn actions(&self, loaded: Option<&Loaded<'_>>) -> Result<Vec<Action>> {
        let mut actions = vec![Action::CommitInfo(self.info(loaded))];
        if loaded.is_none() {
            actions.push(Action::Protocol(protocol()?));
        }
        if let Some(metadata) = self.metadata(loaded)? {
            actions.push(Action::Metadata(metadata));
        }
        if let Some(loaded) = loaded.filter(|_| self.parcel.mode == SyncMode::Full) {
            let state = loaded.table.snapshot().map_err(|e| fault::delta("table state", e))?;
            let data = state.snapshot().try_log_data().map_err(|e| fault::delta("file list", e))?;
            for file in data.iter() {
                let mut remove = file.remove_action(true);
                remove.deletion_timestamp = Some(self.op.at.timestamp_millis());
                actions.push(Action::Remove(remove));
            }
        }
        actions.extend(self.files.iter().map(|file| Action::Add(add(self.op, file, true))));
        if let Some(track) = &self.parcel.track {
            // Beside the parcel's own transaction: the newest version of the track, whose commit tells the position.
            let version = loaded.map_or(0, |loaded| loaded.version() + 1);
            actions.push(Action::Txn(Transaction::new_with_last_update(
                &track.name,
                i64::try_from(version).unwrap_or(i64::MAX),
                Some(self.op.at.timestamp_millis()),
            )));
        }
        Ok(actions)
    }

    fn info(&self, loaded: Option<&Loaded<'_>>) -> CommitInfo {
        let parcel = self.parcel;
        let word = |text: &str| Value::String(text.to_owned());
        let position = parcel.track.as_ref().map(|t| ("position".to_owned(), word(&t.position)));
        CommitInfo {
            timestamp: Some(self.op.at.timestamp_millis()),
            user_id: Some(self.op.actor.id().to_owned()),
            operation: Some("WRITE".to_owned()),
            operation_parameters: Some(HashMap::from([(
                "mode".to_owned(),
                word(if parcel.mode == SyncMode::Full { "Overwrite" } else { "Append" }),
            )])),
            read_version: loaded.map(Loaded::version),
            is_blind_append: Some(false),
            engine_info: Some("qiantang".to_owned()),
            info: HashMap::from([
                ("parcel".to_owned(), word(&parcel.id)),
                ("mode".to_owned(), word(parcel.mode.as_str())),
                ("rows".to_owned(), json!(self.rows)),
                ("channel".to_owned(), word(&parcel.channel)),
                ("source".to_owned(), word(&parcel.source)),
                ("checksum".to_owned(), word(&parcel.checksum)),
                ("request".to_owned(), word(&self.op.request_id)),
                ("nextRecordId".to_owned(), json!(self.next_id)),
                ("bizTimestamp".to_owned(), json!(self.biz_time)),
            ])
            .into_iter()
            .chain(position)
            .collect(),
            ..CommitInfo::default()
        }
    }

    /// The table's metadata, when new or changed.
    fn metadata(&self, loaded: Option<&Loaded<'_>>) -> Result<Option<Metadata>> {
        let failed = |e: kernel::Error| Error::internal("lake: table metadata").caused_by(e);
        let Some(loaded) = loaded else {
            let columns = self.columns.as_deref().unwrap_or_default();
            let rules = self.rules.clone().unwrap_or_default();
            let made = new_metadata(
                &schema::delta_schema(columns)?,
                Vec::<String>::new(),
                rules.configuration(),
            );
            return Ok(Some(made.map_err(failed)?));
        };
        if self.columns.is_none() && self.rules.is_none() {
            return Ok(None);
        }
        let state = loaded.table.snapshot().map_err(|e| fault::delta("table state", e))?;
        let mut metadata = state.metadata().clone();
        if let Some(columns) = &self.columns {
            metadata = metadata.with_schema(&schema::delta_schema(columns)?).map_err(failed)?;
        }
        match &self.rules {
            Some(rules) => ruled(metadata, rules).map(Some),
            None => Ok(Some(metadata)),
        }
    }
}

/// The metadata with these rules.
pub(crate) fn ruled(mut metadata: Metadata, rules: &Rules) -> Result<Metadata> {
    for (name, value) in rules.configuration() {
        metadata = metadata
            .add_config_key(name, value)
            .map_err(|e| Error::internal("lake: table metadata").caused_by(e))?;
    }
    Ok(metadata)
}

/// A data file as the log names it. `changes`: whether the rows differ from those of the files it replaces.
pub(crate) fn add(op: &Op, file: &DataFile, changes: bool) -> Add {
    Add {
        path: file.path.clone(),
        size: i64::try_from(file.bytes).unwrap_or(i64::MAX),
        modification_time: op.at.timestamp_millis(),
        data_change: changes,
        stats: Some(json!({ "numRecords": file.rows }).to_string()),
        ..Add::default()
    }
}

/// Commits actions on top of `table`, once, with the application transaction `(id, the version it makes)`.
pub(crate) async fn write(
    table: &DeltaTable,
    op: &Op,
    id: &str,
    actions: Vec<Action>,
    operation: DeltaOperation,
) -> Result<u64> {
    let holds = table.version().map_or(0, |version| version + 1);
    let transaction = Transaction::new_with_last_update(
        id,
        i64::try_from(holds).unwrap_or(i64::MAX),
        Some(op.at.timestamp_millis()),
    );
    let properties = CommitProperties::default()
        .with_max_retries(0)
        .with_cleanup_expired_logs(Some(false))
        .with_application_transaction(transaction);
    let state = table.snapshot().ok();
    let finished = CommitBuilder::from(properties)
        .with_actions(actions)
        .build(state.map(|s| s as &dyn TableReference), table.log_store(), operation)
        .await
        .map_err(fault::commit)?;
    Ok(finished.version())
}

/// Reader 3, writer 7 with the one feature used: times without a zone.
fn protocol() -> Result<Protocol> {
    serde_json::from_value(json!({
        "minReaderVersion": 3,
        "minWriterVersion": 7,
        "readerFeatures": ["timestampNtz"],
        "writerFeatures": ["timestampNtz"],
    }))
    .map_err(|e| Error::internal("lake: table protocol").caused_by(e))
}

impl DeltaLake {
    /// Whether a parcel is in the table, and as which version.
    pub(crate) async fn find_landed(&self, code: &str, parcel: &str) -> Result<Option<Landing>> {
        name::check_parcel(parcel)?;
        match self.table(code).await? {
            Some(table) => landed_in(&table, parcel).await,
            None => Ok(None),
        }
    }

    /// The newest version that holds a parcel.
    pub(crate) async fn find_newest(&self, code: &str) -> Result<Option<LakeVersion>> {
        let Some(table) = self.table(code).await? else { return Ok(None) };
        Ok(newest_said(&table).await?.map(|(version, said)| said.into_version(version)))
    }

    /// Position of the newest parcel of a track.
    pub(crate) async fn find_position(&self, code: &str, track: &str) -> Result<Option<String>> {
        let Some(table) = self.table(code).await? else { return Ok(None) };
        let log_store = table.log_store();
        let version = table
            .snapshot()
            .map_err(|e| fault::delta("table state", e))?
            .snapshot()
            .transaction_version(log_store.as_ref(), track)
            .await
            .map_err(|e| fault::delta("looking a track up", e))?;
        let Some(version) = version.and_then(|v| u64::try_from(v).ok()) else { return Ok(None) };
        Ok(said(&table, version).await?.and_then(|said| said.position))
    }

    /// Versions, newest first. Each commit is read once in the life of the process.
    pub(crate) async fn list_versions(&self, code: &str) -> Result<Vec<LakeVersion>> {
        let Some(table) = self.table(code).await? else {
            return Ok(Vec::new());
        };
        let mut versions = self.told_from(&table, code, 0).await?;
        versions.reverse();
        Ok(versions)
    }

    /// Versions with parcels from `first` on, oldest first.
    pub(crate) async fn told_from(
        &self,
        table: &DeltaTable,
        code: &str,
        first: u64,
    ) -> Result<Vec<LakeVersion>> {
        const AT_ONCE: usize = 8;
        let slot = self.slot(code);
        let newest = table.version().unwrap_or(0);
        if first > newest {
            return Ok(Vec::new());
        }
        let missing: Vec<u64> = {
            let told = slot.told.lock().unwrap_or_else(PoisonError::into_inner);
            (first..=newest).filter(|version| !told.contains_key(version)).collect()
        };
        let read: Vec<(u64, Option<LakeVersion>)> = stream::iter(missing)
            .map(|version| async move {
                let said = said(table, version).await?;
                Ok::<_, Error>((version, said.map(|said| said.into_version(version))))
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let mut told = slot.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.extend(read);
        Ok(told.range(first..=newest).filter_map(|(_, version)| version.clone()).collect())
    }
}

/// Looks a parcel up in a loaded table: its application transaction carries the version that holds it.
pub(crate) async fn landed_in(table: &DeltaTable, parcel: &str) -> Result<Option<Landing>> {
    let log_store = table.log_store();
    let version = table
        .snapshot()
        .map_err(|e| fault::delta("table state", e))?
        .snapshot()
        .transaction_version(log_store.as_ref(), parcel)
        .await
        .map_err(|e| fault::delta("looking a parcel up", e))?;
    let Some(version) = version else {
        return Ok(None);
    };
    let at = u64::try_from(version).map_err(|e| Error::internal("lake: version").caused_by(e))?;
    let rows = said(table, at).await?.filter(|s| s.parcel == parcel).map_or(0, |s| s.rows);
    Ok(Some(Landing { version, rows, repeated: true }))
}
