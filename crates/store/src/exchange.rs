//! Exchanges of files, their files and incidents in the control store. One worker at a time has an exchange (a lease); only it
//! changes its files.

use model::exchange::{Exchange, ExchangeFigures, ExchangeFile, ExchangeIncident};
use model::{Error, Result};
use policy::{Action, Permit};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::Store;
use crate::clause::Clause;
use crate::db::{fail, json, number, on_duplicate, page, text, to_json};
use crate::lease::{Lease, Leased};

/// Exchanges are one turn's at a time.
const LEASED: Leased = ("exchange", "");
const KEEPERS: &[Action] = &[Action::DataCollect];
const WORKERS: &[Action] = &[Action::DataCollect, Action::SystemWork];

/// An exchange as kept.
#[derive(Clone, Debug, PartialEq)]
pub struct ExchangeRecord {
    pub exchange: Exchange,
    pub figures: ExchangeFigures,
    pub lease: Lease,
}

const EXCHANGE: &str = "SELECT body, figures, owner, lease_until FROM exchange";

/// What the worker or a person has to do with a file.
fn work_of(file: &ExchangeFile) -> i64 {
    match (file.state.waits(), file.state.at_work()) {
        (true, _) => 2,
        (false, true) => 1,
        (false, false) => 0,
    }
}

impl Store {
    /// Enters an exchange with its sealed secrets.
    pub async fn exchange_insert(
        &self,
        permit: &Permit,
        exchange: &Exchange,
        sealed: &str,
    ) -> Result<()> {
        permit.require(KEEPERS)?;
        sqlx::query(
            "INSERT INTO exchange (id, org, name, wish, body, figures, sealed) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(exchange.id.as_str())
        .bind(exchange.org.as_str())
        .bind(exchange.name.as_str())
        .bind(exchange.wish.as_str())
        .bind(to_json(exchange)?)
        .bind(to_json(&ExchangeFigures::default())?)
        .bind(sealed)
        .execute(self.db.pool())
        .await
        .map_err(|e| {
            on_duplicate(
                e,
                &format!("本单位已有名为 `{}` 的数据交换，请换一个名称", exchange.name),
                &format!("your organisation has an exchange called `{}` already, choose another name", exchange.name),
            )
        })?;
        Ok(())
    }

    /// Writes what people decided of an exchange.
    pub async fn exchange_update(&self, permit: &Permit, exchange: &Exchange) -> Result<()> {
        permit.require(KEEPERS)?;
        let done = sqlx::query("UPDATE exchange SET wish = $1, body = $2 WHERE id = $3")
            .bind(exchange.wish.as_str())
            .bind(to_json(exchange)?)
            .bind(exchange.id.as_str())
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(missing(&exchange.id)) }
    }

    /// Takes an exchange away with its files' records and incidents; what it brought and the files themselves stay.
    pub async fn exchange_delete(&self, permit: &Permit, id: &str) -> Result<()> {
        permit.require(KEEPERS)?;
        let mut tx = self.db.begin().await?;
        for sql in [
            "DELETE FROM exchange_incident WHERE exchange = $1",
            "DELETE FROM exchange_file WHERE exchange = $1",
            "DELETE FROM exchange WHERE id = $1",
        ] {
            sqlx::query(sql).bind(id).execute(&mut *tx).await.map_err(fail)?;
        }
        tx.commit().await.map_err(fail)
    }

    /// One exchange with its sealed secrets.
    pub async fn exchange_get(&self, id: &str) -> Result<Option<(ExchangeRecord, String)>> {
        let row = sqlx::query(
            "SELECT body, figures, owner, lease_until, sealed FROM exchange WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(self.db.pool())
        .await
        .map_err(fail)?;
        row.as_ref().map(|row| Ok((record_of(row)?, text(row, "sealed")?))).transpose()
    }

    /// The exchange of this name in an organisation.
    pub async fn exchange_named(&self, org: &str, name: &str) -> Result<Option<ExchangeRecord>> {
        let row =
            sqlx::query(sqlx::AssertSqlSafe(format!("{EXCHANGE} WHERE org = $1 AND name = $2")))
                .bind(org)
                .bind(name)
                .fetch_optional(self.db.pool())
                .await
                .map_err(fail)?;
        row.as_ref().map(record_of).transpose()
    }

    /// Exchanges after `after` by id; of an organisation when given.
    pub async fn exchange_list(
        &self,
        org: Option<&str>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ExchangeRecord>> {
        let mut clause = Clause::default();
        if let Some(org) = org {
            clause.and_text("org =", org);
        }
        if let Some(after) = after {
            clause.and_text("id >", after);
        }
        let sql = format!("{EXCHANGE}{} ORDER BY id LIMIT {}", clause.sql(), page(limit));
        self.db.rows(sql, &clause).await?.iter().map(record_of).collect()
    }

    /// Makes an exchange its owner's; `false` when somebody else was quicker.
    pub async fn exchange_claim(
        &self,
        permit: &Permit,
        id: &str,
        seen: &Lease,
        lease: &Lease,
    ) -> Result<bool> {
        permit.require(WORKERS)?;
        self.lease_take(LEASED, id, seen, lease).await
    }

    /// Renews a lease, or ends it with a time that is over.
    pub async fn exchange_beat(&self, permit: &Permit, id: &str, lease: &Lease) -> Result<bool> {
        permit.require(WORKERS)?;
        self.lease_beat(LEASED, id, lease).await
    }

    /// Writes what was found of an exchange; refused when it is another's.
    pub async fn exchange_figures(
        &self,
        permit: &Permit,
        id: &str,
        owner: &str,
        figures: &ExchangeFigures,
    ) -> Result<()> {
        permit.require(WORKERS)?;
        let done = sqlx::query("UPDATE exchange SET figures = $1 WHERE id = $2 AND owner = $3")
            .bind(to_json(figures)?)
            .bind(id)
            .bind(owner)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(not_ours()) }
    }

    /// Keeps a file as it stands now, with an incident that goes with it: all or nothing, and by the owner only.
    pub async fn exchange_file_keep(
        &self,
        permit: &Permit,
        owner: &str,
        file: &ExchangeFile,
        incident: Option<&ExchangeIncident>,
    ) -> Result<()> {
        permit.require(WORKERS)?;
        let mut tx = self.db.begin().await?;
        let ours = sqlx::query("UPDATE exchange SET owner = owner WHERE id = $1 AND owner = $2")
            .bind(file.exchange.as_str())
            .bind(owner)
            .execute(&mut *tx)
            .await
            .map_err(fail)?;
        if ours.rows_affected() != 1 {
            return Err(not_ours());
        }
        let body = to_json(file)?;
        let changed = sqlx::query("UPDATE exchange_file SET work = $1, body = $2 WHERE id = $3")
            .bind(work_of(file))
            .bind(body.as_str())
            .bind(file.id.as_str())
            .execute(&mut *tx)
            .await
            .map_err(fail)?;
        if changed.rows_affected() == 0 {
            sqlx::query("INSERT INTO exchange_file (id, exchange, path, work, body) VALUES ($1, $2, $3, $4, $5)")
                .bind(file.id.as_str())
                .bind(file.exchange.as_str())
                .bind(file.path.as_str())
                .bind(work_of(file))
                .bind(body.as_str())
                .execute(&mut *tx)
                .await
                .map_err(fail)?;
        }
        if let Some(incident) = incident {
            sqlx::query("INSERT INTO exchange_incident (id, exchange, is_open, body) VALUES ($1, $2, $3, $4)")
                .bind(incident.id.as_str())
                .bind(incident.exchange.as_str())
                .bind(i64::from(incident.open))
                .bind(to_json(incident)?)
                .execute(&mut *tx)
                .await
                .map_err(fail)?;
        }
        tx.commit().await.map_err(fail)
    }

    /// Forgets a file that was taken away again before it was whole.
    pub async fn exchange_file_forget(&self, permit: &Permit, id: &str) -> Result<()> {
        permit.require(WORKERS)?;
        sqlx::query("DELETE FROM exchange_file WHERE id = $1 AND work = 1")
            .bind(id)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(())
    }

    /// One file.
    pub async fn exchange_file(&self, id: &str) -> Result<Option<ExchangeFile>> {
        self.db.body("exchange_file", id).await
    }

    /// The newest record of a path.
    pub async fn exchange_file_at(
        &self,
        exchange: &str,
        path: &str,
    ) -> Result<Option<ExchangeFile>> {
        let row = sqlx::query(
            "SELECT body FROM exchange_file WHERE exchange = $1 AND path = $2 ORDER BY id DESC LIMIT 1",
        )
        .bind(exchange)
        .bind(path)
        .fetch_optional(self.db.pool())
        .await
        .map_err(fail)?;
        row.as_ref().map(|row| json(row, "body")).transpose()
    }

    /// Files of an exchange, newest first.
    pub async fn exchange_files(
        &self,
        exchange: &str,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ExchangeFile>> {
        let mut clause = Clause::default();
        clause.and_text("exchange =", exchange);
        if let Some(before) = before {
            clause.and_text("id <", before);
        }
        self.bodies("exchange_file", &clause, "DESC", limit).await
    }

    /// Files the worker (`1`) or a person (`2`) has something to do with, oldest first.
    pub async fn exchange_files_at_work(
        &self,
        exchange: &str,
        work: u8,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ExchangeFile>> {
        let mut clause = Clause::default();
        clause.and_text("exchange =", exchange);
        clause.and(if work == 1 { "work = 1" } else { "work = 2" });
        if let Some(after) = after {
            clause.and_text("id >", after);
        }
        self.bodies("exchange_file", &clause, "ASC", limit).await
    }

    async fn bodies<T: serde::de::DeserializeOwned>(
        &self,
        table: &str,
        clause: &Clause,
        order: &str,
        limit: u32,
    ) -> Result<Vec<T>> {
        let sql = format!(
            "SELECT body FROM {table}{} ORDER BY id {order} LIMIT {}",
            clause.sql(),
            page(limit)
        );
        self.db.bodies(sql, clause).await
    }

    /// How many files the worker and how many a person has something to do with.
    pub async fn exchange_counts(&self, exchange: &str) -> Result<(u64, u64)> {
        let rows = sqlx::query(
            "SELECT work, COUNT(*) AS n FROM exchange_file WHERE exchange = $1 AND work > 0 GROUP BY work",
        )
        .bind(exchange)
        .fetch_all(self.db.pool())
        .await
        .map_err(fail)?;
        let mut counts = (0, 0);
        for row in &rows {
            let n = u64::try_from(row.try_get::<i64, _>("n").map_err(fail)?).unwrap_or(0);
            match number(row, "work")? {
                1 => counts.0 = n,
                _ => counts.1 = n,
            }
        }
        Ok(counts)
    }

    /// Incidents of an exchange, newest first.
    pub async fn exchange_incidents(
        &self,
        exchange: &str,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ExchangeIncident>> {
        let mut clause = Clause::default();
        clause.and_text("exchange =", exchange);
        if let Some(before) = before {
            clause.and_text("id <", before);
        }
        self.bodies("exchange_incident", &clause, "DESC", limit).await
    }
}

fn record_of(row: &AnyRow) -> Result<ExchangeRecord> {
    Ok(ExchangeRecord {
        exchange: json(row, "body")?,
        figures: json(row, "figures")?,
        lease: Lease::of(row)?,
    })
}

fn missing(id: &str) -> Error {
    Error::not_found("数据交换", "exchange", id)
}

fn not_ours() -> Error {
    crate::lease::lost("数据交换", "exchange")
}
