//! What is open, in the order in which it came and went; and what was measured of open sets' rows and files.

use std::collections::HashMap;

use model::code::{Domain, OpenType};
use model::{Error, Result};
use policy::{Action, Permit};
use serde::{Deserialize, Serialize};
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::Store;
use crate::clause::Clause;
use crate::db::{fail, json, number, page, text, to_json};
use crate::entry::LIVE;

/// How full the rows of an open set are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Measured {
    pub entry: String,
    pub lake_version: i64,
    pub measured_at: String,
    pub rows: i64,
    pub cells: i64,
    pub missing: i64,
    /// Bytes of the files of the version in the lake.
    pub bytes: i64,
    /// Rows in which each item holds something.
    pub items: Vec<(String, i64)>,
}

/// A file of an open set that somebody read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenFile {
    /// Id of the entry.
    pub entry: String,
    /// Its name, as it stands in its address.
    pub file: String,
    /// Digest of all that decides its bytes: of another stamp it is another file.
    pub stamp: String,
    pub bytes: u64,
    /// In lower hex digits.
    pub sha256: String,
    pub known_at: String,
}

/// Where the features of an open set lie. Boxes are west, south, east and north, in degrees (WGS 84).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlacesMeasured {
    pub entry: String,
    pub measured_at: String,
    /// Features whose place could be read, and whether reading ended at its limit.
    pub features: u64,
    pub cut: bool,
    /// Around all of them; nothing where none could be read.
    pub bounds: Option<[f64; 4]>,
    /// Around those of each region, by its code.
    pub regions: Vec<RegionPlace>,
}

/// Where the features of one region lie.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegionPlace {
    /// GB/T 2260.
    pub region: String,
    pub features: u64,
    pub bounds: [f64; 4],
}

/// An entry that moved in the order of the ledger's changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenMove {
    pub id: String,
    pub code: String,
    /// Number of its last change.
    pub moved: i64,
    /// What is open of it; none where nothing is (any more).
    pub open: Option<OpenHead>,
}

/// What is counted of an open set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenHead {
    /// Id of its organisation.
    pub org: String,
    /// GB/T 2260.
    pub region: String,
    pub domain: Domain,
    /// Whether it is open without condition.
    pub free: bool,
    pub tags: Vec<String>,
    /// Items that are open.
    pub items: u64,
    /// Rows of its current view.
    pub rows: u64,
}

impl Store {
    /// Keeps where the features of a set lie.
    pub async fn open_place_put(&self, permit: &Permit, places: &PlacesMeasured) -> Result<()> {
        permit.require(&[Action::SystemWork])?;
        sqlx::query(
            "INSERT INTO open_place (entry, measured_at, body) VALUES ($1, $2, $3)
             ON CONFLICT (entry) DO UPDATE SET measured_at = excluded.measured_at, body = excluded.body",
        )
        .bind(places.entry.as_str())
        .bind(places.measured_at.as_str())
        .bind(to_json(places)?)
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// Where the features of every set lie that was measured, in the order of their ids. Whoever tells it looks first which sets
    /// anybody may still read.
    pub async fn open_places(&self) -> Result<Vec<PlacesMeasured>> {
        let sql = "SELECT body FROM open_place ORDER BY entry".to_owned();
        self.db.bodies(sql, &Clause::default()).await
    }

    /// Entries that moved after a place in the order of the ledger's changes (number of the change and id of the last one seen), in that
    /// order, each with what is open of it. Entries that have not moved since these numbers are kept have the number 0.
    pub async fn open_moves(&self, after: (i64, &str), limit: u32) -> Result<Vec<OpenMove>> {
        let open = format!("{LIVE} AND e.open_type <> 'none'");
        let sql = format!(
            "SELECT e.id, e.code, e.moved, e.org, e.region, e.domain, e.open_type, e.row_count,
                    CAST(CASE WHEN {open} THEN 1 ELSE 0 END AS BIGINT) AS shown,
                    CASE WHEN {open} THEN e.body ELSE '{{}}' END AS body,
                    CAST(CASE WHEN {open} THEN (SELECT COUNT(*) FROM item i WHERE i.entry = e.id AND i.open_type <> 'none')
                         ELSE 0 END AS BIGINT) AS items
             FROM entry e WHERE (e.moved, e.id) > ($1, $2) ORDER BY e.moved, e.id LIMIT {}",
            page(limit)
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(after.0).bind(after.1);
        rows.fetch_all(self.db.pool()).await.map_err(fail)?.iter().map(open_move).collect()
    }

    /// Keeps what was measured of a set.
    pub async fn open_measure_put(&self, permit: &Permit, measured: &Measured) -> Result<()> {
        permit.require(&[Action::SystemWork])?;
        sqlx::query(
            "INSERT INTO open_measure (entry, lake_version, measured_at, row_count, cells, missing, bytes, items)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (entry) DO UPDATE SET lake_version = excluded.lake_version, measured_at = excluded.measured_at,
                 row_count = excluded.row_count, cells = excluded.cells, missing = excluded.missing,
                 bytes = excluded.bytes, items = excluded.items",
        )
        .bind(measured.entry.as_str())
        .bind(measured.lake_version)
        .bind(measured.measured_at.as_str())
        .bind(measured.rows)
        .bind(measured.cells)
        .bind(measured.missing)
        .bind(measured.bytes)
        .bind(to_json(&measured.items)?)
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// What was last measured of a set.
    pub async fn open_measure(&self, entry: &str) -> Result<Option<Measured>> {
        sqlx::query("SELECT * FROM open_measure WHERE entry = $1")
            .bind(entry)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .as_ref()
            .map(measured)
            .transpose()
    }

    /// Keeps what is known of a file; what was known of it when it was made of something else is gone.
    pub async fn open_file_put(&self, permit: &Permit, file: &OpenFile) -> Result<()> {
        permit.require(&[Action::SystemWork])?;
        sqlx::query(
            "INSERT INTO open_file (entry, file, stamp, bytes, sha256, known_at) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (entry, file) DO UPDATE SET stamp = excluded.stamp, bytes = excluded.bytes,
                 sha256 = excluded.sha256, known_at = excluded.known_at",
        )
        .bind(file.entry.as_str())
        .bind(file.file.as_str())
        .bind(file.stamp.as_str())
        .bind(i64::try_from(file.bytes).unwrap_or(i64::MAX))
        .bind(file.sha256.as_str())
        .bind(file.known_at.as_str())
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// What is known of the files of a set, by name.
    pub async fn open_files(&self, entry: &str) -> Result<Vec<OpenFile>> {
        sqlx::query("SELECT * FROM open_file WHERE entry = $1 ORDER BY file")
            .bind(entry)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(open_file)
            .collect()
    }

    /// Of every set that was measured: when, its cells, and the empty ones.
    pub async fn open_measures(&self) -> Result<HashMap<String, (String, i64, i64)>> {
        sqlx::query("SELECT entry, measured_at, cells, missing FROM open_measure")
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| {
                let figures =
                    (text(row, "measured_at")?, number(row, "cells")?, number(row, "missing")?);
                Ok((text(row, "entry")?, figures))
            })
            .collect()
    }
}

fn open_move(row: &AnyRow) -> Result<OpenMove> {
    /// The part of the declaration that is read.
    #[derive(Deserialize)]
    struct Tagged {
        #[serde(default)]
        tags: Vec<String>,
    }
    let open = match number(row, "shown")? {
        0 => None,
        _ => {
            let domain = text(row, "domain")?;
            let domain = Domain::parse(&domain).ok_or_else(|| {
                Error::internal(format!("entry column `domain` holds `{domain}`"))
            })?;
            let count = |column| Ok::<_, Error>(u64::try_from(number(row, column)?).unwrap_or(0));
            Some(OpenHead {
                org: text(row, "org")?,
                region: text(row, "region")?,
                domain,
                free: text(row, "open_type")? == OpenType::Unconditional.as_str(),
                tags: json::<Tagged>(row, "body")?.tags,
                items: count("items")?,
                rows: count("row_count")?,
            })
        }
    };
    Ok(OpenMove {
        id: text(row, "id")?,
        code: text(row, "code")?,
        moved: number(row, "moved")?,
        open,
    })
}

fn open_file(row: &AnyRow) -> Result<OpenFile> {
    Ok(OpenFile {
        entry: text(row, "entry")?,
        file: text(row, "file")?,
        stamp: text(row, "stamp")?,
        bytes: u64::try_from(number(row, "bytes")?).unwrap_or(0),
        sha256: text(row, "sha256")?,
        known_at: text(row, "known_at")?,
    })
}

fn measured(row: &AnyRow) -> Result<Measured> {
    Ok(Measured {
        entry: text(row, "entry")?,
        lake_version: number(row, "lake_version")?,
        measured_at: text(row, "measured_at")?,
        rows: number(row, "row_count")?,
        cells: number(row, "cells")?,
        missing: number(row, "missing")?,
        bytes: number(row, "bytes")?,
        items: json(row, "items")?,
    })
}
