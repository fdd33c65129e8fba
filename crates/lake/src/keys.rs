//! Looking business keys up in landed parcels: how `app` learns that a row mended late was overtaken by a newer one.
//!
//! Parcels are read as they landed, from the newest table state that still holds their files, so that a compaction,
//! which drops overtaken rows and deletes, does not make anybody forget them.

use std::collections::HashMap;

use datafusion::prelude::lit;
use futures::TryStreamExt;
use model::batch::Batch;
use model::entry::Entry;
use model::{Error, Result};
use policy::port::Landing;
use policy::{Action, Permit};

use crate::cells::Cells;
use crate::lake::DeltaLake;
use crate::land::key_positions;
use crate::name::{check_parcel, parcel_of};
use crate::schema::{HASH, RECORD};
use crate::system::key_hashes;
use crate::table::Loaded;
use crate::view::{files, named};
use crate::{commit, fault};

impl DeltaLake {
    /// Fails unless the permit is for work inside the house.
    pub(crate) fn check_keys(&self, permit: &Permit) -> Result<()> {
        permit.require(&[Action::SystemWork, Action::DataCollect, Action::QuarantineMend])
    }

    /// See [`policy::port::Lake::records_of_keys`].
    pub(crate) async fn find_records(
        &self,
        entry: &Entry,
        rows: &Batch,
        parcels: &[String],
    ) -> Result<Vec<Option<u64>>> {
        let nothing = || vec![None; rows.rows()];
        let code = &entry.draft.code;
        let key: Vec<String> = entry.draft.key().into_iter().map(str::to_owned).collect();
        let Some(newest) = self.table(code).await? else { return Ok(nothing()) };
        // With another key the hashes would not compare; landing will say what to do.
        if key.is_empty() || parcels.is_empty() || Loaded::of(&newest)?.rules.key != key {
            return Ok(nothing());
        }
        let hashes = key_hashes(rows, &key_positions(&entry.draft.items, &key)?)?;
        let mut found: HashMap<String, u64> = HashMap::new();
        let mut waiting: Vec<(String, Landing)> = Vec::new();
        for parcel in parcels {
            check_parcel(parcel)?;
            if let Some(landing) = commit::landed_in(&newest, parcel).await? {
                waiting.push((parcel.clone(), landing));
            }
        }
        waiting.sort_by_key(|(_, landing)| std::cmp::Reverse(landing.version));
        let mut table = newest;
        loop {
            let loaded = Loaded::of(&table)?;
            let here = i64::try_from(loaded.version()).unwrap_or(i64::MAX);
            let active = loaded.files()?;
            let (mut paths, mut later) = (Vec::new(), Vec::new());
            for (parcel, landing) in waiting {
                let own =
                    active.iter().filter(|(path, _)| parcel_of(path) == Some(parcel.as_str()));
                let whole = own.clone().map(|(_, rows)| rows.unwrap_or(0)).sum::<u64>();
                if whole == landing.rows || landing.version == here {
                    paths.extend(own.map(|(path, _)| path.clone()));
                } else {
                    later.push((parcel, landing));
                }
            }
            if !paths.is_empty() {
                self.seek(&loaded, paths, &hashes, &mut found).await?;
            }
            waiting = later;
            let Some((_, landing)) = waiting.first() else { break };
            table = self
                .table_at(code, Some(landing.version))
                .await?
                .ok_or_else(|| Error::internal("lake: a table is gone"))?;
        }
        Ok(hashes.iter().map(|hash| found.get(hash).copied()).collect())
    }

    /// Highest record number of each wanted key in these files.
    pub(crate) async fn seek(
        &self,
        loaded: &Loaded<'_>,
        paths: Vec<String>,
        hashes: &[String],
        found: &mut HashMap<String, u64>,
    ) -> Result<()> {
        let failed = |e| fault::plan("looking keys up", e);
        let session = self.session(true);
        let wanted = hashes.iter().map(|hash| lit(hash.as_str())).collect();
        let mut batches = files(&session, loaded, Some(paths))
            .await?
            .filter(named(HASH).in_list(wanted, false))
            .and_then(|rows| rows.select(vec![named(HASH), named(RECORD)]))
            .map_err(failed)?
            .execute_stream()
            .await
            .map_err(failed)?;
        while let Some(batch) = batches.try_next().await.map_err(failed)? {
            let columns = batch
                .columns()
                .iter()
                .map(|column| Cells::of(column.as_ref()))
                .collect::<Result<Vec<_>>>()?;
            let [hash, Cells::Integer(records)] = columns.as_slice() else {
                return Err(Error::internal("lake: keys are of an unexpected type"));
            };
            for (row, record) in records.iter().enumerate() {
                let (Some(hash), Some(record)) = (hash.text(row), record) else { continue };
                let record = u64::try_from(record).unwrap_or(0);
                let known = found.entry(hash.to_owned()).or_default();
                *known = (*known).max(record);
            }
        }
        Ok(())
    }
}
