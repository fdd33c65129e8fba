//! MySQL and MariaDB: tables by query, changes by the binary log (row format, whole rows).
//!
//! A position names the transactions that have been read (`gtid`), so that the rail goes on at a replica that takes the place of
//! its source. A server without GTIDs (MySQL with `gtid_mode=OFF`) is followed by the log's number and the offset in it, and so
//! are positions that older versions kept, until the next transaction has been read. The server keeps its logs by its own rules
//! and for nobody in particular: there is no slot to make or to give up, but a log that was purged before it was read is a loss
//! like a lost slot, and so is a server of another history in its place (`history`).
//!
//! Columns are known by their place alone. When the tables have changed and the log still tells of the old columns in another
//! number, nobody can say which is which: then the tables are read anew.

mod gtid;
mod history;
mod line;
mod opening;
mod stream;
mod value;

use model::rail::RailColumn;
use model::{Error, Result};
use mysql_async::prelude::Queryable;
use policy::port::{RailAddress, RailBinding, RailSurvey};

use self::history::{History, Server, master};
pub(super) use self::history::{head, slot};
pub(super) use self::line::Line;
pub(super) use self::value::{Coder, of_query};
use super::kind::{Kind, TypeSeen};
use super::place::{cut_off, refused};
use super::shape::{Column, Shape, TableSeen};
use super::survey;
use crate::query::{PATIENCE, mysql_conn, mysql_opts, unreachable};
use crate::tls::{self, Wish};

pub(super) fn is(at: &RailAddress) -> bool {
    ["mysql://", "mariadb://"].iter().any(|p| at.url.starts_with(p))
}

/// A session whose values come in the same words.
pub(super) struct Session {
    pub(super) conn: mysql_async::Conn,
}

impl Session {
    pub(super) async fn open(at: &RailAddress) -> Result<Self> {
        let wish = Wish::of(&at.url)?;
        let opts = mysql_opts(&wish)?;
        let place = format!("{}:{}", opts.ip_or_hostname(), opts.tcp_port());
        let connected = tokio::time::timeout(PATIENCE, mysql_conn(opts, wish.mode))
            .await
            .map_err(|_| unreachable(&place).detail("timed out"))?;
        let mut conn = connected.map_err(|e| match (&e, tls::handshake_fault(&e)) {
            (_, Some(fault)) => tls::distrusted(&place, &fault),
            (mysql_async::Error::Server(said), _) => {
                unreachable(&place).detail(format!("server error {}", said.code))
            }
            (other, _) => unreachable(&place).detail(other.to_string()),
        })?;
        for setting in ["SET time_zone = '+08:00'", "SET NAMES utf8mb4"] {
            conn.query_drop(setting).await.map_err(failed)?;
        }
        Ok(Self { conn })
    }

    pub(super) async fn ask(&mut self, sql: &str) -> Result<Vec<Vec<String>>> {
        let rows: Vec<mysql_async::Row> = self.conn.query(sql).await.map_err(failed)?;
        let text = |value: Option<mysql_async::Value>| match value {
            Some(mysql_async::Value::Bytes(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
            Some(mysql_async::Value::NULL) | None => String::new(),
            Some(other) => other.as_sql(true).trim_matches('\'').to_owned(),
        };
        Ok(rows.into_iter().map(|row| row.unwrap_raw().into_iter().map(text).collect()).collect())
    }

    pub(super) async fn tell(&mut self, sql: &str) -> Result<()> {
        self.conn.query_drop(sql).await.map_err(failed)
    }
}

pub(super) fn failed(e: mysql_async::Error) -> Error {
    match &e {
        // The server is being stopped.
        mysql_async::Error::Server(said) if matches!(said.code, 1053 | 1927 | 3169) => {
            cut_off(&said.message)
        }
        mysql_async::Error::Server(said) => refused(&format!("{} ({})", said.message, said.code)),
        other => cut_off(&other.to_string()),
    }
}

pub(super) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

pub(super) fn table(place: &str) -> String {
    let (schema, name) = place.split_once('.').unwrap_or(("", place));
    format!("{}.{}", quoted(schema), quoted(name))
}

/// A table with how its values are read.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) seen: TableSeen,
    coders: Vec<Coder>,
    /// Columns that cannot be followed.
    pub(super) unknown: Vec<String>,
}

impl Look {
    /// How the values of its columns are read.
    pub(super) fn coders(&self) -> Vec<Coder> {
        self.coders.clone()
    }
}

/// Looks a table up; `None` when there is none.
pub(super) async fn look(session: &mut Session, place: &str) -> Result<Option<Look>> {
    let (schema, name) = place.split_once('.').unwrap_or(("", place));
    let of = format!("TABLE_SCHEMA = {} AND TABLE_NAME = {}", literal(schema), literal(name));
    let head = session
        .ask(&format!(
            "SELECT TABLE_TYPE, COALESCE(TABLE_ROWS, 0) FROM information_schema.TABLES WHERE {of}"
        ))
        .await?;
    let Some(head) = head.into_iter().next() else { return Ok(None) };
    let cell = |row: &[String], at: usize| row.get(at).cloned().unwrap_or_default();
    let columns = session
        .ask(&format!(
            "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, COALESCE(CHARACTER_SET_NAME, ''), COALESCE(DATETIME_PRECISION, 0),
               IS_NULLABLE, COLUMN_KEY, EXTRA FROM information_schema.COLUMNS WHERE {of} ORDER BY ORDINAL_POSITION"
        ))
        .await?;
    let unique = session
        .ask(&format!(
            "SELECT INDEX_NAME, COLUMN_NAME FROM information_schema.STATISTICS WHERE {of} AND NON_UNIQUE = 0
             AND SUB_PART IS NULL ORDER BY INDEX_NAME, SEQ_IN_INDEX"
        ))
        .await?;
    let mut seen = TableSeen {
        form: if cell(&head, 0) == "BASE TABLE" { "r" } else { "v" }.to_owned(),
        identity: "f".into(),
        rows: cell(&head, 1).parse().unwrap_or(0),
        readable: true,
        owned: true,
        ..TableSeen::default()
    };
    let (mut coders, mut unknown) = (Vec::new(), Vec::new());
    for row in &columns {
        let (column, data_type, full) = (cell(row, 0), cell(row, 1), cell(row, 2));
        if cell(row, 7).to_ascii_uppercase().contains("GENERATED") {
            seen.generated.push(column.clone());
        }
        let found = value::coder(&data_type, &full, &cell(row, 3), &cell(row, 4));
        if found.is_none() {
            unknown.push(format!("{column} ({full} {})", cell(row, 3)));
        }
        let (coder, kind) = found.unwrap_or((Coder::Plain, Kind::Unknown));
        coders.push(coder);
        seen.columns.push(Column {
            name: column,
            seen: TypeSeen { kind, name: full },
            primary: cell(row, 6) == "PRI",
            identity: true,
            empty: cell(row, 5) != "NO",
        });
    }
    let mut indexes: Vec<(String, Vec<String>)> = Vec::new();
    for row in &unique {
        let (index, column) = (cell(row, 0), cell(row, 1));
        match indexes.last_mut() {
            Some((last, columns)) if *last == index => columns.push(column),
            _ => indexes.push((index, vec![column])),
        }
    }
    seen.unique = indexes.into_iter().map(|(_, columns)| columns).collect();
    Ok(Some(Look { seen, coders, unknown }))
}

/// A table's shape with the coders of its columns.
#[derive(Clone, Debug)]
pub(super) struct Coded {
    pub(super) shape: Shape,
    coders: Vec<Coder>,
}

impl Coded {
    pub(super) fn of(binding: &RailBinding, look: Look) -> Result<Self> {
        let shape = Shape::of_table(&binding.place, &binding.items, &look.seen)?;
        Ok(Self { shape, coders: look.coders })
    }
}

/// Columns as they are shown, when they do not fit.
pub(super) fn bare(look: &Look) -> Vec<RailColumn> {
    survey::shown(&look.seen)
}

/// See [`policy::port::Rail::survey`].
pub(super) async fn survey(at: &RailAddress, tables: &[RailBinding]) -> Result<RailSurvey> {
    let mut session = Session::open(at).await?;
    let mut out = RailSurvey::default();
    server(&mut session, &mut out).await?;
    let named: Vec<String> = match tables.is_empty() {
        false => tables.iter().map(|t| t.place.clone()).collect(),
        true => session
            .ask(
                "SELECT CONCAT(TABLE_SCHEMA, '.', TABLE_NAME) FROM information_schema.TABLES
                 WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA = DATABASE() ORDER BY 1 LIMIT 500",
            )
            .await?
            .into_iter()
            .filter_map(|row| row.into_iter().next())
            .collect(),
    };
    for place in named {
        let binding = tables.iter().find(|t| t.place == place);
        let Some(look) = look(&mut session, &place).await? else {
            let gone = super::line::gone(&place);
            let faults = vec![(gone.zh().to_owned(), gone.en().to_owned())];
            out.tables.push(policy::port::RailSeen { place, faults, ..Default::default() });
            continue;
        };
        let mut seen = survey::described(at, &place, binding, &look.seen);
        seen.notes.retain(|note| !note.1.contains("generated columns"));
        if !look.seen.generated.is_empty() {
            let list = look.seen.generated.join(", ");
            seen.faults.push((
                format!("含生成列的表暂不支持实时同步：{list}"),
                format!("tables with generated columns cannot be followed yet: {list}"),
            ));
        }
        if !look.unknown.is_empty() {
            let list = look.unknown.join(", ");
            seen.faults.push((
                format!("以下列的类型或字符集没有对应关系：{list}"),
                format!("no mapping is known for the type or character set of: {list}"),
            ));
        }
        out.tables.push(seen);
    }
    Ok(out)
}

async fn server(session: &mut Session, out: &mut RailSurvey) -> Result<()> {
    let rows =
        session.ask("SELECT VERSION(), @@log_bin, @@binlog_format, @@binlog_row_image").await?;
    let cell = |at: usize| rows.first().and_then(|r| r.get(at)).cloned().unwrap_or_default();
    out.server = cell(0);
    if !["1", "ON"].contains(&cell(1).as_str()) {
        out.faults.push((
            "数据源没有开启二进制日志；请设置 log_bin 并重启".into(),
            "the source writes no binary log; set log_bin and restart".into(),
        ));
        return Ok(());
    }
    for (at, name, wanted) in [(2, "binlog_format", "ROW"), (3, "binlog_row_image", "FULL")] {
        if !cell(at).eq_ignore_ascii_case(wanted) {
            let now = cell(at);
            out.faults.push((
                format!("{name} 为 {now}；请设为 {wanted}"),
                format!("{name} is {now}; set it to {wanted}"),
            ));
        }
    }
    if master(session).await.is_err() || session.ask("SHOW BINARY LOGS").await.is_err() {
        out.faults.push((
            "账号不能读取日志位置；请执行 GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO 账号".into(),
            "the account cannot see the log's position; run GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO account".into(),
        ));
    }
    let told = session.ask("SHOW GLOBAL VARIABLES LIKE 'log_bin_compress'").await?;
    if told.first().and_then(|row| row.get(1)).is_some_and(|on| on.eq_ignore_ascii_case("ON")) {
        out.faults.push((
            "log_bin_compress 为 ON，压缩的日志事件无法读取；请设为 OFF".into(),
            "log_bin_compress is ON and compressed events cannot be read; set it to OFF".into(),
        ));
    }
    if matches!(Server::look(session).await?.history, History::Files) {
        out.notes.push((
            "数据源未启用 GTID，位置按日志文件与偏移记录：切换到另一台服务器后各表将整表核补；MySQL 请设 gtid_mode=ON".into(),
            "the source has no GTIDs, so positions are log files and offsets: after a switch to another server the tables are read anew. On MySQL set gtid_mode=ON".into(),
        ));
    }
    Ok(())
}
