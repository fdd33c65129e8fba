//! Deliveries into PostgreSQL.

use std::fmt::Write as _;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{SinkExt as _, TryStreamExt as _};
use model::batch::Operation;
use model::code::{DataType, SyncMode};
use model::value::Value;
use model::{Error, Result};
use policy::port::{OutletChange, OutletColumn, OutletLine, OutletRows, OutletSurvey};
use tokio_postgres::{Client, SimpleQueryMessage};

use super::shape::{Found, Plan, Table, occupied, refuse, taken};
use super::{FLOWS, away, elsewhere, refused};

/// Where a piece waits to be merged.
const INCOMING: &str = "pg_temp.qt_incoming";

pub(super) struct Line {
    client: Client,
    driver: tokio::task::JoinHandle<()>,
    plan: Plan,
    /// Changes of the open transaction.
    upserts: i64,
    deletes: i64,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

fn failed(e: tokio_postgres::Error) -> Error {
    match e.as_db_error() {
        // Connections, resources, locks, a server that is stopping: by and by.
        Some(db) => match db.code().code().get(..2) {
            Some("08" | "40" | "53" | "55" | "57" | "58") => away(db.message()),
            _ => refused(&format!("{} ({})", db.message(), db.code().code())),
        },
        None => away(&e.to_string()),
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Whether a column of this type holds values of an item's.
fn fits(data_type: DataType, kind: &str) -> bool {
    let text = matches!(kind, "text" | "varchar" | "bpchar" | "citext");
    match data_type {
        DataType::Text => text,
        DataType::Json => text || matches!(kind, "json" | "jsonb"),
        DataType::Geometry => text || matches!(kind, "geometry" | "geography"),
        DataType::Integer => matches!(kind, "int8" | "int4" | "int2" | "numeric"),
        DataType::Decimal => kind == "numeric",
        DataType::Float => matches!(kind, "float8" | "float4" | "numeric"),
        DataType::Boolean => kind == "bool",
        DataType::Date => matches!(kind, "date" | "timestamp" | "timestamptz"),
        DataType::DateTime => matches!(kind, "timestamp" | "timestamptz"),
    }
}

/// Type of a column that we make.
fn made(column: &OutletColumn) -> String {
    match column.data_type {
        DataType::Text | DataType::Json | DataType::Geometry => "text".to_owned(),
        DataType::Integer => "bigint".to_owned(),
        DataType::Decimal => format!("numeric(38, {})", column.scale),
        DataType::Float => "double precision".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Date => "date".to_owned(),
        DataType::DateTime => "timestamp(6)".to_owned(),
    }
}

impl Line {
    pub(super) fn new(client: Client, driver: tokio::task::JoinHandle<()>, plan: Plan) -> Self {
        Self { client, driver, plan, upserts: 0, deletes: 0 }
    }

    async fn ask(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        let answer = self.client.simple_query(sql).await.map_err(failed)?;
        Ok(answer
            .iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some(
                    (0..row.len())
                        .map(|at| row.try_get(at).ok().flatten().map(str::to_owned))
                        .collect(),
                ),
                _ => None,
            })
            .collect())
    }

    async fn one(&self, sql: &str) -> Result<Option<String>> {
        Ok(self.ask(sql).await?.into_iter().next().and_then(|row| row.into_iter().next()).flatten())
    }

    async fn tell(&self, sql: &str) -> Result<()> {
        self.client.batch_execute(sql).await.map_err(failed)
    }

    fn qualified(&self, name: &str) -> String {
        match &self.plan.schema {
            Some(schema) => format!("{}.{}", quoted(schema), quoted(name)),
            None => quoted(name),
        }
    }

    fn table(&self) -> String {
        self.qualified(&self.plan.table)
    }

    fn flows(&self) -> String {
        self.qualified(FLOWS)
    }

    async fn exists(&self, name: &str) -> Result<bool> {
        let sql = format!("SELECT to_regclass({}) IS NOT NULL", literal(&self.qualified(name)));
        Ok(self.one(&sql).await?.as_deref() == Some("t"))
    }

    /// The table as it is, if it is there.
    async fn look(&self) -> Result<Option<Table>> {
        if !self.exists(&self.plan.table).await? {
            return Ok(None);
        }
        let class = literal(&self.table());
        let columns = self
            .ask(&format!(
                "SELECT a.attname, t.typname, (a.attnotnull AND NOT a.atthasdef AND a.attidentity = '')
                 FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
                 WHERE a.attrelid = {class}::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
            ))
            .await?;
        let cell = |row: &[Option<String>], at: usize| row.get(at).cloned().flatten();
        let unique = self
            .ask(&format!(
                "SELECT string_agg(a.attname, E'\\n' ORDER BY a.attnum) FROM pg_index i
                 JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
                 WHERE i.indrelid = {class}::regclass AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL
                 GROUP BY i.indexrelid"
            ))
            .await?;
        let made = if self.exists(FLOWS).await? {
            let flow = literal(&self.plan.flow);
            let sql = format!("SELECT made FROM {} WHERE flow = {flow}", self.flows());
            self.one(&sql).await?.as_deref() == Some("t")
        } else {
            false
        };
        Ok(Some(Table {
            columns: columns
                .iter()
                .map(|row| Found {
                    name: cell(row, 0).unwrap_or_default(),
                    kind: cell(row, 1).unwrap_or_default(),
                    demanding: cell(row, 2).as_deref() == Some("t"),
                })
                .collect(),
            unique: unique
                .iter()
                .filter_map(|row| cell(row, 0))
                .map(|names| names.split('\n').map(str::to_owned).collect())
                .collect(),
            made,
        }))
    }

    pub(super) async fn survey(&self) -> Result<OutletSurvey> {
        let server = self.one("SELECT 'PostgreSQL ' || current_setting('server_version')").await?;
        let mut survey =
            OutletSurvey { server: server.unwrap_or_default(), ..OutletSurvey::default() };
        let table = self.look().await?;
        survey.table = table.is_some();
        let schema = match &self.plan.schema {
            Some(schema) => literal(schema),
            None => "current_schema()".to_owned(),
        };
        let may = format!("SELECT coalesce(has_schema_privilege({schema}, 'CREATE'), false)");
        let may = self.one(&may).await;
        if !matches!(may.as_ref().map(Option::as_deref), Ok(Some("t")))
            && !(table.is_some() && self.exists(FLOWS).await?)
        {
            survey.faults.push((
                format!("账号不能在目标模式中建表；请授予 CREATE 权限，或由管理员先建好目标表与 {FLOWS}"),
                format!("the account may not make tables in the target's schema; grant CREATE, or have the table and {FLOWS} made by the administrator"),
            ));
        }
        let known = self.known().await?;
        if let Some(found) = &table {
            if !found.made {
                found.faults(&self.plan, &mut survey, fits);
            }
            let sql = format!("SELECT 1 FROM {} LIMIT 1", self.table());
            survey.empty = self.one(&sql).await?.is_none();
            if !survey.empty && !known {
                survey.faults.push(occupied(&self.plan));
            }
        } else {
            survey.empty = true;
        }
        if self.others().await? {
            survey.faults.push(taken(&self.plan));
        }
        Ok(survey)
    }

    /// Whether this flow has delivered here before.
    async fn known(&self) -> Result<bool> {
        if !self.exists(FLOWS).await? {
            return Ok(false);
        }
        let flow = literal(&self.plan.flow);
        let sql = format!("SELECT 1 FROM {} WHERE flow = {flow}", self.flows());
        Ok(self.one(&sql).await?.is_some())
    }

    /// Whether another flow writes into the same table.
    async fn others(&self) -> Result<bool> {
        if !self.exists(FLOWS).await? {
            return Ok(false);
        }
        let (flow, place) = (literal(&self.plan.flow), literal(&self.plan.table));
        let flows = self.flows();
        let sql = format!("SELECT 1 FROM {flows} WHERE table_name = {place} AND flow <> {flow}");
        Ok(self.one(&sql).await?.is_some())
    }

    /// Makes what is missing, and what a piece is brought in by.
    pub(super) async fn prepare(&mut self) -> Result<()> {
        self.tell("SET TimeZone = 'Asia/Shanghai'; SET DateStyle = 'ISO, YMD'; SET client_min_messages = warning")
            .await?;
        if !self.exists(FLOWS).await? {
            self.tell(&format!(
                "CREATE TABLE IF NOT EXISTS {} (flow text PRIMARY KEY, table_name text NOT NULL UNIQUE, made boolean NOT NULL, position text, upserts bigint NOT NULL DEFAULT 0, deletes bigint NOT NULL DEFAULT 0, changed_at timestamptz)",
                self.flows()
            ))
            .await?;
        }
        let mut survey = OutletSurvey::default();
        if self.others().await? {
            survey.faults.push(taken(&self.plan));
        }
        match self.look().await? {
            None => self.make(false).await?,
            Some(found) if found.made => {
                if found.keyed(&self.plan) && found.holds(&self.plan, fits) {
                    self.widen(&found).await?;
                } else {
                    self.make(true).await?;
                }
            }
            Some(found) => {
                found.faults(&self.plan, &mut survey, fits);
                let first = format!("SELECT 1 FROM {} LIMIT 1", self.table());
                if !self.known().await? && self.one(&first).await?.is_some() {
                    survey.faults.push(occupied(&self.plan));
                }
                refuse(&survey)?;
                self.enter(false).await?;
            }
        }
        refuse(&survey)?;
        self.tell(&format!(
            "CREATE TEMP TABLE qt_incoming ON COMMIT DELETE ROWS AS SELECT {}, ''::text AS qt_operation FROM {} WITH NO DATA",
            self.names(),
            self.table()
        ))
        .await
    }

    /// Enters the flow's line, without a position.
    async fn enter(&self, made: bool) -> Result<()> {
        let (flow, place) = (literal(&self.plan.flow), literal(&self.plan.table));
        self.tell(&format!(
            "INSERT INTO {} (flow, table_name, made) VALUES ({flow}, {place}, {made}) ON CONFLICT (flow) DO NOTHING",
            self.flows()
        ))
        .await
    }

    /// Makes the table (`anew`: in place of one of ours that cannot hold the rows any more); nothing has been delivered then.
    async fn make(&self, anew: bool) -> Result<()> {
        let table = self.table();
        let mut sql = "BEGIN;".to_owned();
        if anew {
            let _ = write!(sql, "DROP TABLE {table};");
        }
        let columns: Vec<String> = self
            .plan
            .columns
            .iter()
            .map(|c| {
                let rule = if c.key { " NOT NULL" } else { "" };
                format!("{} {}{rule}", quoted(&c.name), made(c))
            })
            .collect();
        let _ = write!(
            sql,
            "CREATE TABLE {table} ({}, PRIMARY KEY ({}));",
            columns.join(", "),
            self.keys("")
        );
        for column in &self.plan.columns {
            let (name, title) = (quoted(&column.name), literal(&column.title));
            let _ = write!(sql, "COMMENT ON COLUMN {table}.{name} IS {title};");
        }
        let (flow, place) = (literal(&self.plan.flow), literal(&self.plan.table));
        let _ = write!(
            sql,
            "INSERT INTO {} AS f (flow, table_name, made) VALUES ({flow}, {place}, true)
             ON CONFLICT (flow) DO UPDATE SET made = true, position = NULL; COMMIT",
            self.flows()
        );
        self.tell(&sql).await
    }

    /// Adds columns that a table of ours does not have yet.
    async fn widen(&self, found: &Table) -> Result<()> {
        for column in self.plan.columns.iter().filter(|c| found.column(&c.name).is_none()) {
            let (table, name, kind) = (self.table(), quoted(&column.name), made(column));
            self.tell(&format!("ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {name} {kind}"))
                .await?;
        }
        Ok(())
    }

    pub(super) async fn forget(&self) -> Result<()> {
        if !self.exists(FLOWS).await? {
            return Ok(());
        }
        let flow = literal(&self.plan.flow);
        self.tell(&format!("DELETE FROM {} WHERE flow = {flow}", self.flows())).await
    }

    fn names(&self) -> String {
        self.plan.columns.iter().map(|c| quoted(&c.name)).collect::<Vec<_>>().join(", ")
    }

    fn keys(&self, prefix: &str) -> String {
        let keys = self.plan.keys().map(|c| format!("{prefix}{}", quoted(&c.name)));
        keys.collect::<Vec<_>>().join(", ")
    }

    /// Statements that merge what has come in.
    fn merge(&self) -> String {
        let (table, names) = (self.table(), self.names());
        let same: Vec<String> =
            self.plan.keys().map(|c| format!("t.{0} = i.{0}", quoted(&c.name))).collect();
        let set: Vec<String> = self
            .plan
            .columns
            .iter()
            .filter(|c| !c.key)
            .map(|c| format!("{0} = excluded.{0}", quoted(&c.name)))
            .collect();
        let found = match set.is_empty() {
            true => "DO NOTHING".to_owned(),
            false => format!("DO UPDATE SET {}", set.join(", ")),
        };
        format!(
            "DELETE FROM {table} AS t USING {INCOMING} AS i WHERE i.qt_operation = 'D' AND {};
             INSERT INTO {table} ({names}) SELECT {names} FROM {INCOMING} WHERE qt_operation <> 'D' ON CONFLICT ({}) {found};
             TRUNCATE {INCOMING}",
            same.join(" AND "),
            self.keys("")
        )
    }
}

/// A value in COPY's text form.
fn copied(out: &mut String, value: &Value) {
    let Some(text) = value.to_text() else {
        out.push_str("\\N");
        return;
    };
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            other => out.push(other),
        }
    }
}

#[async_trait]
impl OutletLine for Line {
    async fn position(&mut self) -> Result<Option<String>> {
        let flow = literal(&self.plan.flow);
        self.one(&format!("SELECT position FROM {} WHERE flow = {flow}", self.flows())).await
    }

    async fn begin(&mut self, at: Option<&str>, mode: SyncMode) -> Result<()> {
        (self.upserts, self.deletes) = (0, 0);
        self.tell("BEGIN").await?;
        let flow = literal(&self.plan.flow);
        let sql = format!("SELECT position FROM {} WHERE flow = {flow} FOR UPDATE", self.flows());
        let rows = self.ask(&sql).await?;
        let there = rows.first().map(|row| row.first().cloned().flatten());
        if there != Some(at.map(str::to_owned)) {
            self.tell("ROLLBACK").await?;
            return Err(elsewhere());
        }
        if mode == SyncMode::Full {
            self.tell(&format!("DELETE FROM {}", self.table())).await?;
        }
        Ok(())
    }

    async fn write(&mut self, changes: &[OutletChange]) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let copy = format!("COPY {INCOMING} ({}, qt_operation) FROM STDIN", self.names());
        let mut sink = Box::pin(self.client.copy_in::<_, Bytes>(&copy).await.map_err(failed)?);
        let mut text = String::with_capacity(64 << 10);
        for change in changes {
            for value in &change.row {
                copied(&mut text, value);
                text.push('\t');
            }
            text.push_str(change.operation.as_str());
            text.push('\n');
            match change.operation {
                Operation::Delete => self.deletes += 1,
                Operation::Insert | Operation::Update => self.upserts += 1,
            }
            if text.len() >= 60 << 10 {
                sink.send(Bytes::from(std::mem::take(&mut text))).await.map_err(failed)?;
            }
        }
        sink.send(Bytes::from(text)).await.map_err(failed)?;
        sink.as_mut().finish().await.map_err(failed)?;
        drop(sink);
        self.tell(&self.merge()).await
    }

    async fn commit(&mut self, position: &str) -> Result<()> {
        let (flow, position) = (literal(&self.plan.flow), literal(position));
        self.tell(&format!(
            "UPDATE {} SET position = {position}, upserts = upserts + {}, deletes = deletes + {}, changed_at = now() WHERE flow = {flow}; COMMIT",
            self.flows(),
            self.upserts,
            self.deletes
        ))
        .await
    }

    async fn count(&mut self) -> Result<u64> {
        let rows = self.one(&format!("SELECT count(*) FROM {}", self.table())).await?;
        Ok(rows.and_then(|n| n.parse().ok()).unwrap_or(0))
    }

    async fn read(&mut self, into: &mut dyn OutletRows) -> Result<()> {
        let sql = format!("SELECT {} FROM {}", self.names(), self.table());
        let mut messages =
            std::pin::pin!(self.client.simple_query_raw(&sql).await.map_err(failed)?);
        while let Some(message) = messages.try_next().await.map_err(failed)? {
            if let SimpleQueryMessage::Row(row) = message {
                let cells: Vec<Option<&str>> =
                    (0..row.len()).map(|at| row.try_get(at).ok().flatten()).collect();
                into.row(&cells);
            }
        }
        Ok(())
    }
}
