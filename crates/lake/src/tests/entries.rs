//! What the tests land: a lake in a temporary folder, entries, batches, and short ways to read back.

use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use guard::{MaskKey, SecretKey};
use model::batch::{Batch, Column, Operation, TextColumn};
use model::code::{
    DataType, Domain, Grade, OnlineState, OpenType, PublishState, ResourceKind, ShareType,
    SyncMode, UpdateCycle,
};
use model::entry::{Entry, EntryDraft};
use model::item::Item;
use model::parcel::ParcelHead;
use model::value::Value;
use model::{Op, Result};
use policy::port::{LandTarget, Landing};
use tempfile::TempDir;

use crate::cells::Cells;
use crate::schema;
use crate::table::Loaded;
use crate::view::{named, view};
use crate::{DeltaLake, LakeConfig};

/// A lake and the folder it lives in.
pub(super) struct House {
    pub(super) lake: DeltaLake,
    pub(super) folder: TempDir,
}

pub(super) fn house() -> House {
    let folder = tempfile::tempdir().unwrap();
    House { lake: open(&folder), folder }
}

/// The same folder opened once more, as after a restart.
pub(super) fn open(folder: &TempDir) -> DeltaLake {
    let mut config = LakeConfig::new(folder.path().join("lake").to_str().unwrap());
    config.memory_limit_bytes = 128 << 20;
    config.threads = 2;
    DeltaLake::open(&config, MaskKey::new(SecretKey::new([7; 32]))).unwrap()
}

pub(super) fn start() -> DateTime<Utc> {
    DateTime::from_str("2026-03-01T00:00:00Z").unwrap()
}

pub(super) fn op_at(minute: i64) -> Op {
    Op::system(start() + TimeDelta::minutes(minute))
}

pub(super) fn item(identifier: &str, data_type: DataType) -> Item {
    Item::new(identifier, identifier, data_type)
}

pub(super) fn key(identifier: &str, data_type: DataType) -> Item {
    Item { primary: true, nullable: false, ..item(identifier, data_type) }
}

/// A published entry `code` with these items.
pub(super) fn entry(code: &str, items: Vec<Item>) -> Entry {
    let draft = EntryDraft {
        code: code.into(),
        title: code.into(),
        title_en: String::new(),
        description: String::new(),
        org: "org1".into(),
        region: "330106".into(),
        domain: Domain::Other,
        tags: Vec::new(),
        kind: ResourceKind::Table,
        update_cycle: UpdateCycle::Daily,
        sync_mode: SyncMode::Full,
        share_type: ShareType::Unconditional,
        share_condition: String::new(),
        share_basis: String::new(),
        open_type: OpenType::Unconditional,
        open_condition: String::new(),
        open_basis: String::new(),
        raised_grade: None,
        time_range: String::new(),
        source_system: "人口库".into(),
        licence: String::new(),
        attribution: String::new(),
        profile: model::entry::Profile::default(),
        items,
    };
    Entry {
        id: format!("id-{code}"),
        grade: Grade::L1,
        draft,
        publish_state: PublishState::Published,
        online_state: OnlineState::Online,
        version: 1,
        created_at: String::new(),
        created_by: "u1".into(),
        updated_at: String::new(),
        published_at: None,
        rows: 0,
        data_at: None,
    }
}

pub(super) fn target(entry: &Entry) -> LandTarget {
    LandTarget {
        entry: entry.clone(),
        org_name: "市公安局".into(),
        org_uscc: "91330100799655058B".into(),
    }
}

pub(super) fn parcel(id: &str, mode: SyncMode) -> ParcelHead {
    ParcelHead {
        id: id.into(),
        entry: "e".into(),
        mode,
        channel: "file".into(),
        source: format!("{id}.csv"),
        checksum: "00".into(),
        track: None,
        goes_on: false,
    }
}

pub(super) fn texts(values: &[Option<&str>]) -> Column {
    let mut column = TextColumn::with_capacity(values.len());
    values.iter().for_each(|v| column.push(*v));
    Column::Text(column)
}

/// `person`: key `sfzh`, name `xm`.
pub(super) fn person() -> Entry {
    entry("person", vec![key("sfzh", DataType::Text), item("xm", DataType::Text)])
}

/// Rows of `person`: (sfzh, xm, operation).
pub(super) fn people(rows: &[(&str, &str, Operation)]) -> Batch {
    Batch {
        columns: vec![
            texts(&rows.iter().map(|r| Some(r.0)).collect::<Vec<_>>()),
            texts(&rows.iter().map(|r| Some(r.1)).collect::<Vec<_>>()),
        ],
        records: (1..=rows.len() as u64).collect(),
        operations: if rows.iter().all(|r| r.2 == Operation::Insert) {
            Vec::new()
        } else {
            rows.iter().map(|r| r.2).collect()
        },
    }
}

pub(super) fn flow(batches: Vec<Batch>) -> BoxStream<'static, Result<Batch>> {
    stream::iter(batches.into_iter().map(Ok)).boxed()
}

impl House {
    pub(super) async fn land(
        &self,
        minute: i64,
        entry: &Entry,
        id: &str,
        mode: SyncMode,
        batches: Vec<Batch>,
    ) -> Result<Landing> {
        self.lake
            .land_parcel(&op_at(minute), &parcel(id, mode), &target(entry), flow(batches))
            .await
    }

    /// Plain values of the current view (or that of a version), sorted by their text. For tests only: releases go
    /// through a grant.
    pub(super) async fn rows(
        &self,
        code: &str,
        version: Option<i64>,
        columns: &[&str],
    ) -> Vec<Vec<Value>> {
        let table = self.lake.table_at(code, version).await.unwrap().unwrap();
        let loaded = Loaded::of(&table).unwrap();
        let session = self.lake.session(true);
        let batches = view(&session, &loaded)
            .await
            .unwrap()
            .select(columns.iter().map(|c| named(c)).collect::<Vec<_>>())
            .unwrap()
            .collect()
            .await
            .unwrap();
        let mut rows = Vec::new();
        for batch in batches {
            let cells: Vec<_> =
                batch.columns().iter().map(|c| Cells::of(c.as_ref()).unwrap()).collect();
            rows.extend(
                (0..batch.num_rows()).map(|r| cells.iter().map(|c| c.value(r)).collect::<Vec<_>>()),
            );
        }
        rows.sort_by_key(|row| format!("{row:?}"));
        rows
    }

    /// `sfzh xm` of every person in the view.
    pub(super) async fn people(&self, version: Option<i64>) -> Vec<String> {
        self.rows("person", version, &["sfzh", "xm"])
            .await
            .into_iter()
            .map(|row| row.iter().filter_map(Value::to_text).collect::<Vec<_>>().join(" "))
            .collect()
    }

    pub(super) async fn replay(&self, entry: &Entry, parcel: &str) -> Result<Vec<Batch>> {
        self.lake.replay_parcel(entry, parcel).await?.try_collect().await
    }

    /// Names of everything in a table's folder but its log.
    pub(super) fn files(&self, code: &str) -> Vec<String> {
        let folder = self.folder.path().join("lake").join(code);
        let Ok(entries) = std::fs::read_dir(folder) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .filter(|n| n != "_delta_log")
            .collect();
        names.sort();
        names
    }
}

#[test]
fn system_columns_do_not_clash_with_items() {
    for column in schema::system_columns() {
        assert!(!Item::identifier_ok(&column.name), "{}", column.name);
    }
}
