//! What is measured: which rows, by which column, called by whom; and the same rows for the peers.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use rusqlite::types::Value as Sql;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Outcome;
use crate::calls::{lookup, nonce, now, signed, split};
use crate::enrol::{AppKey, RESOURCE, Ready, Resource, enrol};

/// Rows looked up in turn: enough that one row's luck decides nothing.
const KEYS: usize = 1000;
/// Rows of a page when all are copied.
const PAGE: usize = 10_000;
/// About how many bytes the answer of the scene `list` has.
const LIST_BYTES: usize = 10_000;

#[derive(Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) resource: String,
    pub(crate) key_column: String,
    pub(crate) columns: Vec<String>,
    pub(crate) masked: Vec<String>,
    pub(crate) app: AppKey,
    /// `host:port` and path of the resource.
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) keys: Vec<String>,
    /// Rows of a page of the scene `list`.
    pub(crate) page: usize,
    /// Rows in all.
    pub(crate) rows: usize,
    /// The file of the crowd's credentials, when the demo has a crowd.
    pub(crate) crowd: Option<PathBuf>,
}

/// Applications and interfaces of a crowded demo.
#[derive(Deserialize)]
pub(crate) struct Crowd {
    pub(crate) apps: Vec<AppKey>,
    pub(crate) lookups: Vec<String>,
}

impl Crowd {
    /// Reads the file that the demo names.
    pub(crate) fn read(file: Option<&Path>) -> Outcome<Self> {
        let file = file.ok_or("the demo has no crowd: start it with --crowd")?;
        Ok(serde_json::from_str(&std::fs::read_to_string(file)?)?)
    }
}

impl Plan {
    pub(crate) fn read(dir: &Path) -> Outcome<Self> {
        Ok(serde_json::from_str(&std::fs::read_to_string(dir.join("plan.json"))?)?)
    }

    pub(crate) fn crowd(&self) -> Outcome<Crowd> {
        Crowd::read(self.crowd.as_deref())
    }
}

pub(crate) async fn plan(ready_file: &Path, dir: &Path) -> Outcome {
    let ready: Ready = serde_json::from_str(&std::fs::read_to_string(ready_file)?)?;
    let resource = ready.resources.iter().find(|r| r.code == RESOURCE);
    let resource = resource.ok_or_else(|| format!("the demo has no resource {RESOURCE}"))?;
    let app = enrol(&ready, false).await?.app;
    let client = reqwest::Client::new();
    let first = page(&client, &app, &resource.url, "limit=100").await?.rows;
    let key = key_column(&client, &app, resource, &first).await?;
    let key = key.ok_or("rows came without a mask, or cannot be looked up one by one")?;
    let columns: Vec<String> =
        first.first().map(|r| r.keys().cloned().collect()).unwrap_or_default();
    let bytes = serde_json::to_vec(&first)?.len() / first.len().max(1);
    let mut copy = Copy::begin(dir, &columns, &key)?;
    let mut query = format!("limit={PAGE}");
    loop {
        let answer = page(&client, &app, &resource.url, &query).await?;
        copy.add(&answer.rows)?;
        match answer.next {
            Some(next) => query = next,
            None => break,
        }
    }
    let (rows, keys) = copy.end()?;
    let (host, path) = split(&resource.url)?;
    let plan = Plan {
        resource: resource.code.clone(),
        masked: first.first().map(masked).unwrap_or_default(),
        app,
        key_column: key,
        columns,
        host,
        path,
        keys,
        page: (LIST_BYTES / bytes.max(1)).max(1),
        rows,
        crowd: ready.crowd,
    };
    std::fs::write(dir.join("plan.json"), serde_json::to_vec(&plan)?)?;
    println!(
        "{rows} rows of `{}`, {} of them looked up by `{}`, masked: {}",
        plan.resource,
        plan.keys.len(),
        plan.key_column,
        plan.masked.join(", ")
    );
    Ok(())
}

/// A page of rows and the query of the next.
struct Page {
    rows: Vec<Map<String, Value>>,
    next: Option<String>,
}

async fn page(client: &reqwest::Client, app: &AppKey, url: &str, query: &str) -> Outcome<Page> {
    let (_, path) = split(url)?;
    let mut call = client.get(format!("{url}?{query}"));
    for (name, value) in signed(app, &path, query, &nonce(now()?, 0))? {
        call = call.header(name, value);
    }
    let answer = call.send().await?.error_for_status()?;
    let link = answer.headers().get("link").and_then(|v| v.to_str().ok());
    let next = link
        .and_then(|l| l.split_once('<')?.1.split_once('>'))
        .and_then(|(next, _)| next.split_once('?'))
        .map(|(_, query)| query.to_owned());
    Ok(Page { rows: answer.json().await?, next })
}

/// The first column that is not masked and by which exactly one row is found.
async fn key_column(
    client: &reqwest::Client,
    app: &AppKey,
    resource: &Resource,
    rows: &[Map<String, Value>],
) -> Outcome<Option<String>> {
    let Some(first) = rows.first() else { return Ok(None) };
    if masked(first).is_empty() {
        return Ok(None);
    }
    for (column, value) in first {
        let Some(text) = value.as_str().filter(|t| !t.contains('*')) else { continue };
        let found = page(client, app, &resource.url, &lookup(column, text)).await;
        if found.is_ok_and(|f| f.rows.len() == 1 && f.rows.first() == Some(first)) {
            return Ok(Some(column.clone()));
        }
    }
    Ok(None)
}

pub(crate) fn masked(row: &Map<String, Value>) -> Vec<String> {
    let stars = |v: &Value| v.as_str().is_some_and(|t| t.contains('*'));
    row.iter().filter(|(_, v)| stars(v)).map(|(k, _)| k.clone()).collect()
}

/// The peers' copies: a table of SQLite indexed by the same key, and a CSV file.
struct Copy {
    db: rusqlite::Connection,
    csv: std::io::BufWriter<std::fs::File>,
    columns: Vec<String>,
    insert: String,
    key: String,
    rows: usize,
}

impl Copy {
    fn begin(dir: &Path, columns: &[String], key: &str) -> Outcome<Self> {
        let db = rusqlite::Connection::open(dir.join("bare.db"))?;
        let quoted: Vec<String> = columns.iter().map(|c| format!("\"{c}\"")).collect();
        db.execute_batch(&format!(
            "PRAGMA journal_mode=WAL; CREATE TABLE t ({}); CREATE INDEX k ON t (\"{key}\");",
            quoted.join(", ")
        ))?;
        let mut csv = std::io::BufWriter::new(std::fs::File::create(dir.join("rows.csv"))?);
        writeln!(csv, "{}", columns.join(","))?;
        let insert = format!("INSERT INTO t VALUES ({})", vec!["?"; columns.len()].join(", "));
        Ok(Self { db, csv, columns: columns.to_vec(), insert, key: key.into(), rows: 0 })
    }

    fn add(&mut self, page: &[Map<String, Value>]) -> Outcome {
        let transaction = self.db.transaction()?;
        {
            let mut insert = transaction.prepare_cached(&self.insert)?;
            for row in page {
                let values: Vec<&Value> =
                    self.columns.iter().map(|c| row.get(c).unwrap_or(&Value::Null)).collect();
                insert.execute(rusqlite::params_from_iter(values.iter().map(|v| to_sql(v))))?;
                let cells: Vec<String> = values.iter().map(|v| cell(v)).collect();
                writeln!(self.csv, "{}", cells.join(","))?;
            }
        }
        transaction.commit()?;
        self.rows += page.len();
        Ok(())
    }

    /// How many rows there are, and the keys to look up, spread over all of them.
    fn end(mut self) -> Outcome<(usize, Vec<String>)> {
        self.csv.flush()?;
        let step = (self.rows / KEYS).max(1);
        let sql = format!(
            "SELECT \"{}\" FROM t WHERE rowid % {step} = 1 % {step} LIMIT {KEYS}",
            self.key
        );
        let mut statement = self.db.prepare(&sql)?;
        let keys = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok((self.rows, keys))
    }
}

/// A value as a cell of CSV.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(s) => format!("\"{}\"", s.replace('"', "\"\"")),
        other => other.to_string(),
    }
}

fn to_sql(value: &Value) -> Sql {
    match value {
        Value::Null => Sql::Null,
        Value::Bool(b) => Sql::Integer(i64::from(*b)),
        Value::Number(n) => match n.as_i64() {
            Some(i) => Sql::Integer(i),
            None => Sql::Real(n.as_f64().unwrap_or_default()),
        },
        Value::String(s) => Sql::Text(s.clone()),
        other => Sql::Text(other.to_string()),
    }
}
