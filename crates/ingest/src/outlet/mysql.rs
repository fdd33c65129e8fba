//! Deliveries into MySQL and MariaDB.
//!
//! Statements that make tables end a transaction here, so the line of positions is set back before a table is made, never after:
//! a process that dies in between begins anew.

use async_trait::async_trait;
use model::batch::Operation;
use model::code::{DataType, SyncMode};
use model::value::Value;
use model::{Error, Result};
use mysql_async::prelude::Queryable;
use policy::port::{OutletChange, OutletColumn, OutletLine, OutletRows, OutletSurvey};

use super::shape::{Found, Plan, Table, occupied, refuse, taken};
use super::{FLOWS, away, elsewhere, refused};

/// Length of one statement, and rows of it, about.
const STATEMENT_BYTES: usize = 512 << 10;
const STATEMENT_ROWS: usize = 2000;

pub(super) struct Line {
    conn: mysql_async::Conn,
    plan: Plan,
    upserts: u64,
    deletes: u64,
    version: String,
}

fn failed(e: mysql_async::Error) -> Error {
    match &e {
        // Too many connections, lock waits, deadlocks, shutdowns, a full disk: by and by.
        mysql_async::Error::Server(said)
            if matches!(
                said.code,
                1021 | 1040 | 1041 | 1053 | 1114 | 1203 | 1205 | 1213 | 1290 | 1927 | 3024 | 3169
            ) =>
        {
            away(&format!("{} ({})", said.message, said.code))
        }
        // The message would repeat a value.
        mysql_async::Error::Server(said) if said.code == 1062 => {
            refused("duplicate entry in another unique index (1062)")
        }
        mysql_async::Error::Server(said) => refused(&format!("{} ({})", said.message, said.code)),
        other => away(&other.to_string()),
    }
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A text in SQL; the session's mode has backslashes escape.
fn literal(text: &str) -> String {
    mysql_async::Value::Bytes(text.as_bytes().to_vec()).as_sql(false)
}

fn fits(data_type: DataType, kind: &str) -> bool {
    let text = matches!(kind, "char" | "varchar" | "text" | "mediumtext" | "longtext" | "tinytext");
    match data_type {
        DataType::Text | DataType::Geometry => text,
        DataType::Json => text || kind == "json",
        DataType::Integer => {
            matches!(kind, "bigint" | "int" | "mediumint" | "smallint" | "decimal")
        }
        DataType::Decimal => kind == "decimal",
        DataType::Float => matches!(kind, "double" | "float" | "decimal"),
        DataType::Boolean => matches!(kind, "tinyint" | "boolean" | "smallint" | "int"),
        DataType::Date => matches!(kind, "date" | "datetime" | "timestamp"),
        DataType::DateTime => matches!(kind, "datetime" | "timestamp"),
    }
}

impl Line {
    pub(super) fn new(conn: mysql_async::Conn, plan: Plan) -> Self {
        Self { conn, plan, upserts: 0, deletes: 0, version: String::new() }
    }

    async fn ask(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        let rows: Vec<mysql_async::Row> = self.conn.query(sql).await.map_err(failed)?;
        Ok(rows.into_iter().map(|row| row.unwrap_raw().into_iter().map(text).collect()).collect())
    }

    async fn one(&mut self, sql: &str) -> Result<Option<String>> {
        Ok(self.ask(sql).await?.into_iter().next().and_then(|row| row.into_iter().next()).flatten())
    }

    async fn tell(&mut self, sql: &str) -> Result<()> {
        self.conn.query_drop(sql).await.map_err(failed)
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

    /// Condition on a table in the tables about tables.
    fn of(&self, name: &str) -> String {
        let schema = match &self.plan.schema {
            Some(schema) => literal(schema),
            None => "DATABASE()".to_owned(),
        };
        format!("TABLE_SCHEMA = {schema} AND TABLE_NAME = {}", literal(name))
    }

    async fn exists(&mut self, name: &str) -> Result<bool> {
        let of = self.of(name);
        let sql = format!("SELECT 1 FROM information_schema.TABLES WHERE {of}");
        Ok(self.one(&sql).await?.is_some())
    }

    async fn settle(&mut self) -> Result<()> {
        for setting in [
            "SET NAMES utf8mb4",
            "SET time_zone = '+08:00'",
            "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
        ] {
            self.tell(setting).await?;
        }
        self.version = self.one("SELECT VERSION()").await?.unwrap_or_default();
        Ok(())
    }

    /// A collation that tells all texts apart, blanks at the end included where the server can.
    fn collation(&self) -> &'static str {
        if self.version.contains("MariaDB") {
            return "utf8mb4_nopad_bin";
        }
        let major = self.version.split('.').next().and_then(|n| n.parse::<u32>().ok());
        if major.unwrap_or(0) >= 8 { "utf8mb4_0900_bin" } else { "utf8mb4_bin" }
    }

    /// Type of a column that we make.
    fn made(&self, column: &OutletColumn) -> String {
        match column.data_type {
            // A key of up to three texts fits the 3072 bytes of an index.
            DataType::Text | DataType::Json | DataType::Geometry if column.key => {
                let texts = self.plan.keys().count().max(3);
                format!("varchar({})", 765 / texts)
            }
            DataType::Text | DataType::Json | DataType::Geometry => "longtext".to_owned(),
            DataType::Integer => "bigint".to_owned(),
            DataType::Decimal => format!("decimal(38, {})", column.scale),
            DataType::Float => "double".to_owned(),
            DataType::Boolean => "tinyint(1)".to_owned(),
            DataType::Date => "date".to_owned(),
            DataType::DateTime => "datetime(6)".to_owned(),
        }
    }

    async fn look(&mut self) -> Result<Option<Table>> {
        if !self.exists(&self.plan.table.clone()).await? {
            return Ok(None);
        }
        let of = self.of(&self.plan.table);
        let columns = self
            .ask(&format!(
                "SELECT COLUMN_NAME, DATA_TYPE, (IS_NULLABLE = 'NO' AND COLUMN_DEFAULT IS NULL AND EXTRA NOT LIKE '%auto_increment%' AND EXTRA NOT LIKE '%GENERATED%')
                 FROM information_schema.COLUMNS WHERE {of} ORDER BY ORDINAL_POSITION"
            ))
            .await?;
        let unique = self
            .ask(&format!(
                "SELECT GROUP_CONCAT(COLUMN_NAME ORDER BY SEQ_IN_INDEX SEPARATOR '\\n') FROM information_schema.STATISTICS
                 WHERE {of} AND NON_UNIQUE = 0 GROUP BY INDEX_NAME"
            ))
            .await?;
        let made = if self.exists(FLOWS).await? {
            let sql = format!(
                "SELECT made FROM {} WHERE flow = {}",
                self.flows(),
                literal(&self.plan.flow)
            );
            self.one(&sql).await?.as_deref() == Some("1")
        } else {
            false
        };
        let cell = |row: &[Option<String>], at: usize| row.get(at).cloned().flatten();
        Ok(Some(Table {
            columns: columns
                .iter()
                .map(|row| Found {
                    name: cell(row, 0).unwrap_or_default(),
                    kind: cell(row, 1).unwrap_or_default().to_ascii_lowercase(),
                    demanding: cell(row, 2).as_deref() == Some("1"),
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

    /// What stands in the way of a table that others made, beside its columns.
    async fn check(&mut self, found: &Table, survey: &mut OutletSurvey) -> Result<()> {
        found.faults(&self.plan, survey, fits);
        let of = self.of(&self.plan.table);
        let engine = self
            .one(&format!("SELECT ENGINE FROM information_schema.TABLES WHERE {of}"))
            .await?
            .unwrap_or_default();
        if !engine.eq_ignore_ascii_case("InnoDB") {
            survey.faults.push((
                format!("目标表的存储引擎 {engine} 不支持事务，请改为 InnoDB"),
                format!("the table's engine {engine} has no transactions; make it InnoDB"),
            ));
        }
        if found.unique.len() > 1 {
            survey.faults.push((
                "目标表另有唯一索引，写入会互相覆盖；请只保留主键".into(),
                "the table has another unique index, by which rows would overwrite each other; keep the key alone".into(),
            ));
        }
        Ok(())
    }

    async fn known(&mut self) -> Result<bool> {
        if !self.exists(FLOWS).await? {
            return Ok(false);
        }
        let flow = literal(&self.plan.flow);
        let sql = format!("SELECT 1 FROM {} WHERE flow = {flow}", self.flows());
        Ok(self.one(&sql).await?.is_some())
    }

    async fn others(&mut self) -> Result<bool> {
        if !self.exists(FLOWS).await? {
            return Ok(false);
        }
        let (flow, place) = (literal(&self.plan.flow), literal(&self.plan.table));
        let flows = self.flows();
        let sql = format!("SELECT 1 FROM {flows} WHERE table_name = {place} AND flow <> {flow}");
        Ok(self.one(&sql).await?.is_some())
    }

    async fn filled(&mut self) -> Result<bool> {
        let sql = format!("SELECT 1 FROM {} LIMIT 1", self.table());
        Ok(self.one(&sql).await?.is_some())
    }

    pub(super) async fn survey(&mut self) -> Result<OutletSurvey> {
        self.settle().await?;
        let mut survey = OutletSurvey { server: self.version.clone(), ..OutletSurvey::default() };
        survey.empty = true;
        if let Some(found) = self.look().await? {
            survey.table = true;
            if !found.made {
                self.check(&found, &mut survey).await?;
            }
            survey.empty = !self.filled().await?;
            if !survey.empty && !self.known().await? {
                survey.faults.push(occupied(&self.plan));
            }
        }
        if self.others().await? {
            survey.faults.push(taken(&self.plan));
        }
        Ok(survey)
    }

    pub(super) async fn prepare(&mut self) -> Result<()> {
        self.settle().await?;
        if !self.exists(FLOWS).await? {
            self.tell(&format!(
                "CREATE TABLE IF NOT EXISTS {} (flow varchar(64) PRIMARY KEY, table_name varchar(63) NOT NULL UNIQUE, made tinyint(1) NOT NULL, position text, upserts bigint NOT NULL DEFAULT 0, deletes bigint NOT NULL DEFAULT 0, changed_at datetime(6)) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin",
                self.flows()
            ))
            .await?;
        }
        let mut survey = OutletSurvey::default();
        if self.others().await? {
            survey.faults.push(taken(&self.plan));
            return refuse(&survey);
        }
        match self.look().await? {
            None => self.make(false).await,
            Some(found) if found.made => {
                if found.keyed(&self.plan) && found.holds(&self.plan, fits) {
                    self.widen(&found).await
                } else {
                    self.make(true).await
                }
            }
            Some(found) => {
                self.check(&found, &mut survey).await?;
                if !self.known().await? && self.filled().await? {
                    survey.faults.push(occupied(&self.plan));
                }
                refuse(&survey)?;
                self.enter(false).await
            }
        }
    }

    async fn enter(&mut self, made: bool) -> Result<()> {
        let (flow, place) = (literal(&self.plan.flow), literal(&self.plan.table));
        let (flows, made) = (self.flows(), i32::from(made));
        self.tell(&format!(
            "INSERT IGNORE INTO {flows} (flow, table_name, made) VALUES ({flow}, {place}, {made})"
        ))
        .await
    }

    async fn make(&mut self, anew: bool) -> Result<()> {
        self.enter(true).await?;
        let flow = literal(&self.plan.flow);
        let flows = self.flows();
        self.tell(&format!("UPDATE {flows} SET made = 1, position = NULL WHERE flow = {flow}"))
            .await?;
        let table = self.table();
        if anew {
            self.tell(&format!("DROP TABLE IF EXISTS {table}")).await?;
        }
        let columns: Vec<String> = self
            .plan
            .columns
            .iter()
            .map(|c| {
                let rule = if c.key { " NOT NULL" } else { " NULL" };
                let (name, kind) = (quoted(&c.name), self.made(c));
                format!("{name} {kind}{rule} COMMENT {}", literal(&c.title))
            })
            .collect();
        let keys = self.keys();
        let collation = self.collation();
        self.tell(&format!(
            "CREATE TABLE {table} ({}, PRIMARY KEY ({keys})) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = {collation}",
            columns.join(", ")
        ))
        .await
    }

    async fn widen(&mut self, found: &Table) -> Result<()> {
        let missing: Vec<OutletColumn> =
            self.plan.columns.iter().filter(|c| found.column(&c.name).is_none()).cloned().collect();
        for column in missing {
            let (table, name, kind) = (self.table(), quoted(&column.name), self.made(&column));
            self.tell(&format!("ALTER TABLE {table} ADD COLUMN {name} {kind} NULL")).await?;
        }
        Ok(())
    }

    pub(super) async fn forget(&mut self) -> Result<()> {
        if !self.exists(FLOWS).await? {
            return Ok(());
        }
        let (flows, flow) = (self.flows(), literal(&self.plan.flow));
        self.tell(&format!("DELETE FROM {flows} WHERE flow = {flow}")).await
    }

    fn keys(&self) -> String {
        self.plan.keys().map(|c| quoted(&c.name)).collect::<Vec<_>>().join(", ")
    }

    /// Which row a delete means.
    fn same(&self, change: &OutletChange) -> String {
        let pairs = self.plan.columns.iter().zip(&change.row).filter(|(c, _)| c.key);
        let parts = pairs.map(|(c, value)| format!("{} = {}", quoted(&c.name), written(value)));
        format!("({})", parts.collect::<Vec<_>>().join(" AND "))
    }

    async fn delete(&mut self, changes: &[OutletChange]) -> Result<()> {
        let table = self.table();
        let mut parts: Vec<String> = Vec::new();
        for change in changes.iter().filter(|c| c.operation == Operation::Delete) {
            parts.push(self.same(change));
            self.deletes += 1;
            if parts.len() == 500 {
                let rows = std::mem::take(&mut parts).join(" OR ");
                self.tell(&format!("DELETE FROM {table} WHERE {rows}")).await?;
            }
        }
        if parts.is_empty() {
            return Ok(());
        }
        self.tell(&format!("DELETE FROM {table} WHERE {}", parts.join(" OR "))).await
    }

    async fn upsert(&mut self, changes: &[OutletChange]) -> Result<()> {
        let table = self.table();
        let names =
            self.plan.columns.iter().map(|c| quoted(&c.name)).collect::<Vec<_>>().join(", ");
        let mut set: Vec<String> = self
            .plan
            .columns
            .iter()
            .filter(|c| !c.key)
            .map(|c| format!("{0} = VALUES({0})", quoted(&c.name)))
            .collect();
        if set.is_empty() {
            set.extend(self.plan.keys().take(1).map(|c| format!("{0} = {0}", quoted(&c.name))));
        }
        let (head, tail) = (
            format!("INSERT INTO {table} ({names}) VALUES "),
            format!(" ON DUPLICATE KEY UPDATE {}", set.join(", ")),
        );
        let mut sql = head.clone();
        let mut rows = 0;
        for change in changes.iter().filter(|c| c.operation != Operation::Delete) {
            sql.push_str(if rows == 0 { "(" } else { ",(" });
            for (at, value) in change.row.iter().enumerate() {
                if at > 0 {
                    sql.push(',');
                }
                sql.push_str(&written(value));
            }
            sql.push(')');
            rows += 1;
            self.upserts += 1;
            if rows >= STATEMENT_ROWS || sql.len() >= STATEMENT_BYTES {
                sql.push_str(&tail);
                self.tell(&sql).await?;
                sql.clone_from(&head);
                rows = 0;
            }
        }
        if rows == 0 {
            return Ok(());
        }
        sql.push_str(&tail);
        self.tell(&sql).await
    }
}

/// A value as it came.
fn text(value: Option<mysql_async::Value>) -> Option<String> {
    match value {
        Some(mysql_async::Value::Bytes(bytes)) => {
            Some(String::from_utf8_lossy(&bytes).into_owned())
        }
        Some(mysql_async::Value::NULL) | None => None,
        Some(other) => Some(other.as_sql(true).trim_matches('\'').to_owned()),
    }
}

/// A value in SQL.
fn written(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Integer(n) => n.to_string(),
        Value::Decimal(n) => n.to_string(),
        // Shortest digits that read back as the same number.
        Value::Float(n) if n.is_finite() => format!("{n:e}"),
        Value::Boolean(b) => u8::from(*b).to_string(),
        Value::DateTime(t) => format!("'{}'", t.format("%Y-%m-%d %H:%M:%S%.6f")),
        other => other.to_text().map_or_else(|| "NULL".to_owned(), |text| literal(&text)),
    }
}

#[async_trait]
impl OutletLine for Line {
    async fn position(&mut self) -> Result<Option<String>> {
        let (flows, flow) = (self.flows(), literal(&self.plan.flow));
        self.one(&format!("SELECT position FROM {flows} WHERE flow = {flow}")).await
    }

    async fn begin(&mut self, at: Option<&str>, mode: SyncMode) -> Result<()> {
        (self.upserts, self.deletes) = (0, 0);
        self.tell("START TRANSACTION").await?;
        let (flows, flow) = (self.flows(), literal(&self.plan.flow));
        let sql = format!("SELECT position FROM {flows} WHERE flow = {flow} FOR UPDATE");
        let rows = self.ask(&sql).await?;
        let there = rows.first().map(|row| row.first().cloned().flatten());
        if there != Some(at.map(str::to_owned)) {
            self.tell("ROLLBACK").await?;
            return Err(elsewhere());
        }
        if mode == SyncMode::Full {
            let table = self.table();
            self.tell(&format!("DELETE FROM {table}")).await?;
        }
        Ok(())
    }

    async fn write(&mut self, changes: &[OutletChange]) -> Result<()> {
        self.delete(changes).await?;
        self.upsert(changes).await
    }

    async fn commit(&mut self, position: &str) -> Result<()> {
        let (flows, flow) = (self.flows(), literal(&self.plan.flow));
        let (position, upserts, deletes) = (literal(position), self.upserts, self.deletes);
        self.tell(&format!(
            "UPDATE {flows} SET position = {position}, upserts = upserts + {upserts}, deletes = deletes + {deletes}, changed_at = NOW(6) WHERE flow = {flow}"
        ))
        .await?;
        self.tell("COMMIT").await
    }

    async fn count(&mut self) -> Result<u64> {
        let table = self.table();
        let rows = self.one(&format!("SELECT COUNT(*) FROM {table}")).await?;
        Ok(rows.and_then(|n| n.parse().ok()).unwrap_or(0))
    }

    async fn read(&mut self, into: &mut dyn OutletRows) -> Result<()> {
        let names: Vec<String> = self.plan.columns.iter().map(|c| quoted(&c.name)).collect();
        let sql = format!("SELECT {} FROM {}", names.join(", "), self.table());
        let mut rows = self.conn.query_iter(sql).await.map_err(failed)?;
        while let Some(row) = rows.next().await.map_err(failed)? {
            let cells: Vec<Option<String>> = row.unwrap_raw().into_iter().map(text).collect();
            into.row(&cells.iter().map(Option::as_deref).collect::<Vec<_>>());
        }
        Ok(())
    }
}
