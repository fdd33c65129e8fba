//! Landing one parcel: reading, encoding and writing side by side, then one commit.

use chrono::TimeDelta;
use deltalake_core::DeltaTable;
use futures::StreamExt;
use futures::stream::BoxStream;
use model::batch::Batch;
use model::code::SyncMode;
use model::item::Item;
use model::op::china;
use model::parcel::ParcelHead;
use model::{Code, Error, Op, Result};
use policy::port::{LandTarget, Landing};
use policy::{Action, Permit};
use tokio::sync::mpsc;
use tracing::info;

use crate::commit::{self, Commit, Said};
use crate::encode::{self, Encoded, Feed, Plan};
use crate::lake::DeltaLake;
use crate::name;
use crate::schema::{self, Shape};
use crate::system::{Constants, SystemColumns};
use crate::table::{Loaded, Rules};
use crate::upload::{self, Uploaded};

/// Batches waiting for the encoder.
const BATCHES_WAITING: usize = 2;
/// Pieces (1 MiB each) waiting for the uploader.
pub(crate) const PIECES_WAITING: usize = 8;

impl DeltaLake {
    /// Fails unless the permit is for landing into this entry.
    pub(crate) fn check_land(&self, permit: &Permit, target: &LandTarget) -> Result<()> {
        permit.require(&[Action::DataCollect, Action::QuarantineMend, Action::SystemWork])?;
        if permit.action() == Action::DataCollect && permit.target() != target.entry.id {
            return Err(Error::internal(format!(
                "permit for `{}` used to land into `{}`",
                permit.target(),
                target.entry.id
            )));
        }
        Ok(())
    }

    /// Lands a parcel once. See [`policy::port::Lake::land`].
    pub(crate) async fn land_parcel(
        &self,
        op: &Op,
        parcel: &ParcelHead,
        target: &LandTarget,
        rows: BoxStream<'static, Result<Batch>>,
    ) -> Result<Landing> {
        self.land_parcel_upon(op, parcel, target, rows, None).await
    }

    /// The same, upon this version alone when one is given.
    pub(crate) async fn land_parcel_upon(
        &self,
        op: &Op,
        parcel: &ParcelHead,
        target: &LandTarget,
        rows: BoxStream<'static, Result<Batch>>,
        upon: Option<i64>,
    ) -> Result<Landing> {
        let code = &target.entry.draft.code;
        name::check_code(code)?;
        name::check_parcel(&parcel.id)?;
        let slot = self.slot(code);
        let _alone = slot.landing.lock().await;

        let table = self.table(code).await?;
        if let Some(table) = &table
            && let Some(before) = commit::landed_in(table, &parcel.id).await?
        {
            return Ok(before);
        }
        let stands = table.as_ref().and_then(DeltaTable::version);
        if upon.is_some() && upon != stands.and_then(|v| i64::try_from(v).ok()) {
            return Err(Error::of(Code::Stale).detail("lake: the table has moved on"));
        }
        let table = match table {
            Some(table) => table,
            None => self.blank_table(code)?,
        };
        let ground = Ground::survey(&table, parcel, target).await?;
        let landing = ground.land(op, parcel, target, &table, rows).await?;
        info!(
            entry.code = code,
            parcel.id = parcel.id,
            parcel.rows = landing.rows,
            table.version = landing.version,
            "parcel landed"
        );
        Ok(landing)
    }
}

/// What is known before the first row is read.
struct Ground {
    /// Columns of the parcel's files.
    columns: Vec<Shape>,
    /// Columns of the table from now on, when they change.
    grown: Option<Vec<Shape>>,
    key: Vec<String>,
    last: Option<Said>,
    /// What the view goes by now.
    before: Option<Rules>,
}

impl Ground {
    async fn survey(table: &DeltaTable, parcel: &ParcelHead, target: &LandTarget) -> Result<Self> {
        let draft = &target.entry.draft;
        let columns = schema::parcel_columns(&draft.items);
        let key: Vec<String> = draft.key().into_iter().map(str::to_owned).collect();
        if table.version().is_none() {
            return Ok(Self {
                grown: Some(columns.clone()),
                columns,
                key,
                last: None,
                before: None,
            });
        }
        let loaded = Loaded::of(table)?;
        let stored = loaded.columns()?;
        let grown = match parcel.mode {
            SyncMode::Full => (stored != columns).then(|| columns.clone()),
            SyncMode::Incremental => {
                if loaded.rules.key != key {
                    return Err(key_changed(&loaded.rules.key, &key));
                }
                schema::grown(&stored, &columns)?
            }
        };
        let last = commit::last_said(table).await?;
        Ok(Self { columns, grown, key, last, before: Some(loaded.rules) })
    }

    /// Writes the files, then the commit. Whatever fails, the files are removed again.
    async fn land(
        self,
        op: &Op,
        parcel: &ParcelHead,
        target: &LandTarget,
        table: &DeltaTable,
        rows: BoxStream<'static, Result<Batch>>,
    ) -> Result<Landing> {
        let store = table.object_store();
        let biz_time = self.biz_time(op);
        let plan = self.plan(op, parcel, target, biz_time)?;
        let (encoded, Uploaded { files, .. }) = match write_files(plan, &store, rows).await {
            Ok(written) => written,
            Err((error, files)) => {
                upload::discard(&store, &files).await;
                return Err(error);
            }
        };
        let rules = self.rules(parcel, encoded.unique, table.version().is_none());
        let commit = Commit {
            op,
            parcel,
            files: &files,
            rows: encoded.rows,
            next_id: encoded.next_id,
            biz_time,
            columns: self.grown,
            rules,
        };
        match commit.write(table).await {
            Ok(version) => Ok(Landing {
                version: i64::try_from(version).unwrap_or(i64::MAX),
                rows: encoded.rows,
                repeated: false,
            }),
            Err(error) => settle(table, &parcel.id, error, &files).await,
        }
    }

    /// What the view goes by after this parcel; `None` leaves it. `unique`: no key of the parcel came twice.
    fn rules(&self, parcel: &ParcelHead, unique: bool, new: bool) -> Option<Rules> {
        let key = self.key.clone();
        match parcel.mode {
            SyncMode::Full => Some(Rules { base: vec![parcel.id.clone()], unique, key }),
            SyncMode::Incremental if new => Some(Rules { base: Vec::new(), unique: false, key }),
            // A base whose keys repeat is merged with everything after it anyway.
            SyncMode::Incremental => {
                let before = self.before.as_ref().filter(|_| parcel.goes_on)?;
                let grows = before.unique && !before.base.is_empty() && unique;
                let base = before.base.iter().chain([&parcel.id]).cloned().collect();
                grows.then_some(Rules { base, unique, key })
            }
        }
    }

    /// Civil time in China of the operation, later than that of any parcel before.
    fn biz_time(&self, op: &Op) -> i64 {
        let now = civil_micros(op);
        self.last.as_ref().map_or(now, |last| now.max(last.biz_time.saturating_add(1)))
    }

    fn plan(
        &self,
        op: &Op,
        parcel: &ParcelHead,
        target: &LandTarget,
        biz_time: i64,
    ) -> Result<Plan> {
        let draft = &target.entry.draft;
        let constants = Constants {
            city: city_of(&draft.region),
            region: draft.region.clone(),
            org_code: target.org_uscc.clone(),
            org_name: target.org_name.clone(),
            org_system: draft.source_system.clone(),
            org_table: parcel.source.clone(),
            warehouse_table: draft.code.clone(),
            parcel: parcel.id.clone(),
            biz_time,
            landed_time: civil_micros(op),
        };
        let key = key_positions(&draft.items, &self.key)?;
        let first_id = self.last.as_ref().map_or(1, |last| last.next_id);
        Ok(Plan {
            parcel: parcel.id.clone(),
            attempt: op.new_id(),
            columns: self.columns.clone(),
            keyed: !key.is_empty(),
            system: SystemColumns::new(constants, key, first_id),
        })
    }
}

/// Where the items of the key stand.
pub(crate) fn key_positions(items: &[Item], key: &[String]) -> Result<Vec<usize>> {
    key.iter()
        .map(|name| {
            items
                .iter()
                .position(|item| item.identifier == *name)
                .ok_or_else(|| Error::internal(format!("lake: key item `{name}`")))
        })
        .collect()
}

type Files = Vec<upload::DataFile>;

/// Runs reader, encoder and uploader until all have ended. On failure says why (the reader's reason first: the
/// others only follow) and which files are complete.
async fn write_files(
    plan: Plan,
    store: &std::sync::Arc<dyn object_store::ObjectStore>,
    mut rows: BoxStream<'static, Result<Batch>>,
) -> std::result::Result<(Encoded, Uploaded), (Error, Files)> {
    let (feed, batches) = mpsc::channel(BATCHES_WAITING);
    let (out, pieces) = mpsc::channel(PIECES_WAITING);
    let encoding = tokio::task::spawn_blocking(move || encode::encode(plan, batches, out));
    let reading = async move {
        while let Some(batch) = rows.next().await {
            // A closed channel means that the encoder has failed; its reason is told below.
            if feed.send(Feed::Batch(batch?)).await.is_err() {
                return Ok(());
            }
        }
        let _ = feed.send(Feed::End).await;
        Ok(())
    };
    let uploading = upload::upload(std::sync::Arc::clone(store), pieces);
    let (read, mut uploaded, encoded) = tokio::join!(reading, uploading, encoding);
    let encoded = encoded
        .unwrap_or_else(|e| Err(Error::internal("lake: the encoder has stopped").caused_by(e)));
    let fault = uploaded.fault.take();
    match (read, fault, encoded) {
        (Ok(()), None, Ok(encoded)) => Ok((encoded, uploaded)),
        (Err(error), _, _) | (Ok(()), Some(error), _) | (Ok(()), None, Err(error)) => {
            Err((error, uploaded.files))
        }
    }
}

/// After a commit that reported an error: it may have taken place all the same (the error came after), so ask the
/// log before removing anything.
pub(crate) async fn settle(
    table: &DeltaTable,
    id: &str,
    error: Error,
    files: &[upload::DataFile],
) -> Result<Landing> {
    let mut now = table.clone();
    now.update_state().await.map_err(|_| {
        // The log cannot be read, so nobody knows: leave the files, the sweep will decide.
        Error::of(Code::StoreUnavailable).detail(error.operator_text())
    })?;
    let landed = commit::landed_in(&now, id).await?;
    if let Some(landing) = &landed
        && commit::names(&now, landing.version, files).await?
    {
        return Ok(Landing { repeated: false, ..landing.clone() });
    }
    upload::discard(&table.object_store(), files).await;
    // Another process may have landed the very same parcel meanwhile: then it is there.
    landed.ok_or(error)
}

fn key_changed(stored: &[String], now: &[String]) -> Error {
    let word = |key: &[String]| if key.is_empty() { "-".to_owned() } else { key.join(",") };
    let (stored, now) = (word(stored), word(now));
    Error::new(
        Code::RuleBroken,
        format!("目录主键已由 `{stored}` 变更为 `{now}`，增量数据无法合并：请以全量方式重新入湖"),
        format!(
            "the business key changed from `{stored}` to `{now}`, so increments cannot be merged: land a full parcel anew"
        ),
    )
}

/// Microseconds since 1970 of the civil time in China.
fn civil_micros(op: &Op) -> i64 {
    let offset = TimeDelta::seconds(i64::from(china().local_minus_utc()));
    (op.at + offset).timestamp_micros()
}

/// City of a region: its first four digits.
fn city_of(region: &str) -> String {
    region.get(..4).map(|city| format!("{city}00")).unwrap_or_default()
}
