//! Figures of what is open, by city; and what was measured of open sets' rows.

use std::collections::{BTreeMap, HashMap};

use model::Result;
use policy::{Action, Permit};
use serde::{Deserialize, Serialize};
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::Store;
use crate::clause::Clause;
use crate::db::{fail, json, number, text, to_json};
use crate::entry::{LIVE, OpenFigures};

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

    /// Figures of what is open by city: the first four digits of the region (`3300` is the province's own).
    pub async fn entry_figures_open_by_city(&self) -> Result<BTreeMap<String, OpenFigures>> {
        let of_entries = format!(
            "SELECT SUBSTR(region, 1, 4) AS city, COUNT(*) AS datasets,
                    CAST(COALESCE(SUM(CASE WHEN open_type = 'unconditional' THEN 1 ELSE 0 END), 0) AS BIGINT) AS interfaces,
                    CAST(COALESCE(SUM(row_count), 0) AS BIGINT) AS total_rows,
                    COUNT(DISTINCT org) AS organisations
             FROM entry WHERE {LIVE} AND open_type <> 'none' GROUP BY SUBSTR(region, 1, 4)"
        );
        let of_items = format!(
            "SELECT SUBSTR(e.region, 1, 4) AS city, COUNT(*) AS items
             FROM item i JOIN entry e ON e.id = i.entry
             WHERE i.open_type <> 'none' AND e.id IN (SELECT id FROM entry WHERE {LIVE} AND open_type <> 'none')
             GROUP BY SUBSTR(e.region, 1, 4)"
        );
        let figure = |row: &AnyRow, column| Ok(u64::try_from(number(row, column)?).unwrap_or(0));
        let mut found = BTreeMap::new();
        let rows = sqlx::query(AssertSqlSafe(of_entries)).fetch_all(self.db.pool()).await;
        for row in rows.map_err(fail)? {
            let figures = OpenFigures {
                datasets: figure(&row, "datasets")?,
                interfaces: figure(&row, "interfaces")?,
                items: 0,
                rows: figure(&row, "total_rows")?,
                organisations: figure(&row, "organisations")?,
            };
            found.insert(text(&row, "city")?, figures);
        }
        let rows = sqlx::query(AssertSqlSafe(of_items)).fetch_all(self.db.pool()).await;
        for row in rows.map_err(fail)? {
            if let Some(figures) = found.get_mut(&text(&row, "city")?) {
                figures.items = figure(&row, "items")?;
            }
        }
        Ok(found)
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
