//! Rails, their tables and incidents in the control store. Where a table stands is the lake's to say; what is kept here is
//! for people to look at, and for one process at a time to know that the rail is its own.

use model::rail::{Rail, RailFigures, RailIncident, RailTable, TableFigures};
use model::{Error, Result};
use policy::{Action, Permit};
use sqlx::any::AnyRow;

use crate::Store;
use crate::db::{fail, json, number, on_duplicate, page, text, to_json};
use crate::lease::{Lease, Leased};

/// Rails are one process's at a time.
const LEASED: Leased = ("rail", "");
const KEEPERS: &[Action] = &[Action::DataCollect];
const WORKERS: &[Action] = &[Action::DataCollect, Action::SystemWork];

/// A rail as kept.
#[derive(Clone, Debug, PartialEq)]
pub struct RailRecord {
    pub rail: Rail,
    pub figures: RailFigures,
    pub lease: Lease,
}

/// A table as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RailTableRecord {
    pub table: RailTable,
    pub figures: TableFigures,
}

const RAIL: &str = "SELECT body, figures, owner, lease_until FROM rail";

impl Store {
    /// Enters a rail with its tables, all or nothing.
    pub async fn rail_insert(
        &self,
        permit: &Permit,
        rail: &Rail,
        tables: &[RailTable],
    ) -> Result<()> {
        permit.require(KEEPERS)?;
        let mut tx = self.db.begin().await?;
        sqlx::query(
            "INSERT INTO rail (id, org, name, source, wish, body, figures) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(rail.id.as_str())
        .bind(rail.org.as_str())
        .bind(rail.name.as_str())
        .bind(rail.source.as_str())
        .bind(rail.wish.as_str())
        .bind(to_json(rail)?)
        .bind(to_json(&RailFigures::default())?)
        .execute(&mut *tx)
        .await
        .map_err(|e| {
            on_duplicate(
                e,
                &format!("本单位已有名为 `{}` 的数据高铁，请换一个名称", rail.name),
                &format!("your organisation has a rail called `{}` already, choose another name", rail.name),
            )
        })?;
        for table in tables {
            sqlx::query(
                "INSERT INTO rail_table (rail, place, entry, anew, body, figures) VALUES ($1, $2, $3, 0, $4, $5)",
            )
            .bind(table.rail.as_str())
            .bind(table.place.as_str())
            .bind(table.entry.as_str())
            .bind(to_json(table)?)
            .bind(to_json(&TableFigures::default())?)
            .execute(&mut *tx)
            .await
            .map_err(|e| {
                on_duplicate(
                    e,
                    &format!("目录「{}」已由一条数据高铁供数", table.entry_title),
                    &format!("a rail feeds the entry `{}` already", table.entry_code),
                )
            })?;
        }
        tx.commit().await.map_err(fail)
    }

    /// Writes what people decided of a rail.
    pub async fn rail_update(&self, permit: &Permit, rail: &Rail) -> Result<()> {
        permit.require(WORKERS)?;
        let done = sqlx::query("UPDATE rail SET name = $1, wish = $2, body = $3 WHERE id = $4")
            .bind(rail.name.as_str())
            .bind(rail.wish.as_str())
            .bind(to_json(rail)?)
            .bind(rail.id.as_str())
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(missing(&rail.id)) }
    }

    /// Writes what was found of a rail; refused when it is another process's.
    pub async fn rail_figures(
        &self,
        permit: &Permit,
        id: &str,
        owner: &str,
        figures: &RailFigures,
    ) -> Result<()> {
        permit.require(WORKERS)?;
        let done = sqlx::query("UPDATE rail SET figures = $1 WHERE id = $2 AND owner = $3")
            .bind(to_json(figures)?)
            .bind(id)
            .bind(owner)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(not_ours()) }
    }

    /// Takes a rail for `lease`, if it is nobody's any more or the same owner's: of several processes one succeeds.
    pub async fn rail_claim(
        &self,
        permit: &Permit,
        id: &str,
        seen: &Lease,
        lease: &Lease,
    ) -> Result<bool> {
        permit.require(WORKERS)?;
        self.lease_take(LEASED, id, seen, lease).await
    }

    /// Renews a lease (or ends it, with a time that is over); `false` when the rail is not the owner's any more.
    pub async fn rail_beat(&self, permit: &Permit, id: &str, lease: &Lease) -> Result<bool> {
        permit.require(WORKERS)?;
        self.lease_beat(LEASED, id, lease).await
    }

    /// Takes a rail away with its tables and incidents. What it brought stays.
    pub async fn rail_delete(&self, permit: &Permit, id: &str) -> Result<()> {
        permit.require(KEEPERS)?;
        let mut tx = self.db.begin().await?;
        for sql in [
            "DELETE FROM rail_incident WHERE rail = $1",
            "DELETE FROM rail_table WHERE rail = $1",
            "DELETE FROM rail WHERE id = $1",
        ] {
            sqlx::query(sql).bind(id).execute(&mut *tx).await.map_err(fail)?;
        }
        tx.commit().await.map_err(fail)
    }

    /// One rail.
    pub async fn rail_get(&self, id: &str) -> Result<Option<RailRecord>> {
        sqlx::query(sqlx::AssertSqlSafe(format!("{RAIL} WHERE id = $1")))
            .bind(id)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .as_ref()
            .map(rail_of)
            .transpose()
    }

    /// Rails after `after` by id; of an organisation when given.
    pub async fn rail_list(
        &self,
        org: Option<&str>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<RailRecord>> {
        let mut clause = crate::clause::Clause::default();
        if let Some(org) = org {
            clause.and_text("org =", org);
        }
        if let Some(after) = after {
            clause.and_text("id >", after);
        }
        let sql = format!("{RAIL}{} ORDER BY id LIMIT {}", clause.sql(), page(limit));
        self.db.rows(sql, &clause).await?.iter().map(rail_of).collect()
    }

    /// Name of the rail that feeds an entry, if one does.
    pub async fn rail_of_entry(&self, entry: &str) -> Result<Option<String>> {
        sqlx::query(
            "SELECT r.name AS name FROM rail_table t JOIN rail r ON r.id = t.rail WHERE t.entry = $1",
        )
        .bind(entry)
        .fetch_optional(self.db.pool())
        .await
        .map_err(fail)?
        .map(|row| text(&row, "name"))
        .transpose()
    }

    /// How many rails follow a source.
    pub async fn rails_of_source(&self, source: &str) -> Result<u64> {
        let n: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM rail WHERE source = $1")
            .bind(source)
            .fetch_one(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(u64::try_from(n).unwrap_or(0))
    }

    /// Tables of a rail by name.
    pub async fn rail_tables(&self, rail: &str) -> Result<Vec<RailTableRecord>> {
        sqlx::query("SELECT body, figures, anew FROM rail_table WHERE rail = $1 ORDER BY place")
            .bind(rail)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| {
                let mut table: RailTable = json(row, "body")?;
                table.anew = number(row, "anew")? != 0;
                Ok(RailTableRecord { table, figures: json(row, "figures")? })
            })
            .collect()
    }

    /// Writes what was found of a table; refused when the rail is another process's.
    pub async fn rail_table_figures(
        &self,
        permit: &Permit,
        owner: &str,
        table: &RailTable,
        figures: &TableFigures,
    ) -> Result<()> {
        permit.require(WORKERS)?;
        let done = sqlx::query(
            "UPDATE rail_table SET figures = $1 WHERE rail = $2 AND place = $3
             AND EXISTS (SELECT 1 FROM rail WHERE id = $2 AND owner = $4)",
        )
        .bind(to_json(figures)?)
        .bind(table.rail.as_str())
        .bind(table.place.as_str())
        .bind(owner)
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(not_ours()) }
    }

    /// Says whether tables of a rail (all, or one) are to be read as a whole.
    pub async fn rail_anew(
        &self,
        permit: &Permit,
        rail: &str,
        place: Option<&str>,
        anew: bool,
    ) -> Result<u64> {
        permit.require(WORKERS)?;
        let done = sqlx::query(
            "UPDATE rail_table SET anew = $1 WHERE rail = $2 AND ($3 = '' OR place = $3)",
        )
        .bind(i64::from(anew))
        .bind(rail)
        .bind(place.unwrap_or_default())
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(done.rows_affected())
    }

    /// Keeps an incident.
    pub async fn rail_incident(&self, permit: &Permit, incident: &RailIncident) -> Result<()> {
        permit.require(WORKERS)?;
        sqlx::query("INSERT INTO rail_incident (id, rail, is_open, body) VALUES ($1, $2, $3, $4)")
            .bind(incident.id.as_str())
            .bind(incident.rail.as_str())
            .bind(i64::from(incident.open))
            .bind(to_json(incident)?)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(())
    }

    /// Incidents of a rail, newest first.
    pub async fn rail_incidents(
        &self,
        rail: &str,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<RailIncident>> {
        let mut clause = crate::clause::Clause::default();
        clause.and_text("rail =", rail);
        if let Some(before) = before {
            clause.and_text("id <", before);
        }
        let sql = format!(
            "SELECT body, is_open FROM rail_incident{} ORDER BY id DESC LIMIT {}",
            clause.sql(),
            page(limit)
        );
        let rows = self.db.rows(sql, &clause).await?;
        rows.iter()
            .map(|row| {
                let incident: RailIncident = json(row, "body")?;
                Ok(RailIncident { open: number(row, "is_open")? != 0, ..incident })
            })
            .collect()
    }

    /// Closes the open incidents of a rail: somebody has decided.
    pub async fn rail_settle(&self, permit: &Permit, rail: &str) -> Result<()> {
        permit.require(WORKERS)?;
        sqlx::query("UPDATE rail_incident SET is_open = 0 WHERE rail = $1 AND is_open = 1")
            .bind(rail)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(())
    }

    /// Open incidents of a rail.
    pub async fn rail_open_incidents(&self, rail: &str) -> Result<u64> {
        let n: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM rail_incident WHERE rail = $1 AND is_open = 1",
        )
        .bind(rail)
        .fetch_one(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(u64::try_from(n).unwrap_or(0))
    }
}

fn rail_of(row: &AnyRow) -> Result<RailRecord> {
    Ok(RailRecord {
        rail: json(row, "body")?,
        figures: json(row, "figures")?,
        lease: Lease::of(row)?,
    })
}

fn missing(id: &str) -> Error {
    Error::not_found("数据高铁", "rail", id)
}

fn not_ours() -> Error {
    crate::lease::lost("数据高铁", "rail")
}
