//! Helper of `cargo xtask bench gate`: registers an application in a running demo and has its use of a governed
//! resource approved, by the same pages and people as always; copies the rows it may see for a bare axum + SQLite peer,
//! signs calls ahead of the measurement, serves the peer, and compares both answers.
//!
//! ```text
//! gatebench plan  READY DIR          apply and be approved, write DIR/plan.json, DIR/bare.db, DIR/bare.txt
//! gatebench sign  DIR FILE N         write N signed calls, each with its own nonce, one after the other
//! gatebench peer  DIR ADDRESS        serve the bare peer
//! gatebench check DIR ADDRESS        look rows up through both and compare them
//! ```
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use guard::signature::{
    Algorithm, HEADER_KEY, HEADER_NONCE, HEADER_SIGNATURE, HEADER_TIMESTAMP, SignedRequest,
};
use rusqlite::types::Value as Sql;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Rows looked up in turn: enough that one row's luck decides nothing.
const ROWS: usize = 1000;

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        ["plan", ready, dir] => plan(Path::new(ready), Path::new(dir)).await,
        ["sign", dir, file, n] => sign(Path::new(dir), Path::new(file), n),
        ["peer", dir, address] => peer(Path::new(dir), address).await,
        ["check", dir, address] => check(Path::new(dir), address).await,
        _ => Err("usage: gatebench plan|sign|peer|check … (see the head of its source)".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("gatebench: {why}");
            ExitCode::FAILURE
        }
    }
}

/// What is called: the largest governed resource of the demo, and columns of which some leave masked.
const RESOURCE: &str = "fr_jbxx";
const ITEMS: &[&str] = &["tyshxydm", "qymc", "fddbr", "djzt", "clrq"];
/// Calls per day that are applied for: the quota is metered but must not end the measurement.
const CALLS_PER_DAY: &str = "100000000000";

/// What the demo says of itself when it is ready (the parts needed here).
#[derive(Deserialize)]
struct Ready {
    portal: String,
    accounts: Vec<Account>,
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Account {
    role: String,
    user: String,
    password: String,
}

/// An application's credential.
#[derive(Clone, Serialize, Deserialize)]
struct AppKey {
    key: String,
    secret: String,
}

#[derive(Deserialize)]
struct Resource {
    code: String,
    url: String,
}

/// A signed-in person of the demo, using its pages.
struct Person {
    client: reqwest::Client,
    portal: String,
}

impl Person {
    async fn sign_in(ready: &Ready, role: &str) -> Outcome<Self> {
        let found = ready.accounts.iter().find(|a| a.role == role);
        let account = found.ok_or_else(|| format!("the demo has no account of role {role}"))?;
        let client = reqwest::Client::builder().cookie_store(true).build()?;
        let person = Self { client, portal: ready.portal.trim_end_matches('/').to_owned() };
        let fields = [("name", account.user.as_str()), ("password", account.password.as_str())];
        person.post("/login", "/login", &fields).await?;
        Ok(person)
    }

    async fn page(&self, path: &str) -> Outcome<String> {
        let answer = self.client.get(format!("{}{path}", self.portal)).send().await?;
        Ok(answer.error_for_status()?.text().await?)
    }

    /// Posts a form of the page `at`; answers where it led and the page there.
    async fn post(&self, at: &str, to: &str, fields: &[(&str, &str)]) -> Outcome<(String, String)> {
        let page = self.page(at).await?;
        let csrf = between(&page, "name=\"csrf\" value=\"", "\"").ok_or("a page without csrf")?;
        let mut form = vec![("csrf", csrf)];
        form.extend_from_slice(fields);
        let answer = self.client.post(format!("{}{to}", self.portal)).form(&form).send().await?;
        let (status, path) = (answer.status(), answer.url().path().to_owned());
        let text = answer.text().await?;
        if status.is_success() {
            return Ok((path, text));
        }
        let why = between(&text, "<main", "</main>").unwrap_or_default();
        Err(format!("{to} answered {status}:\n{why}").into())
    }
}

/// What stands between two marks.
fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    text.split_once(from)?.1.split_once(to).map(|(found, _)| found)
}

/// Registers an application and has its request approved by all who must.
async fn enrol(ready: &Ready) -> Outcome<AppKey> {
    let consumer = Person::sign_in(ready, "consumer").await?;
    let name = format!("gate bench {}", now()?);
    let fields = [("name", name.as_str()), ("description", "bench")];
    let (_, page) =
        consumer.post("/console/applications", "/console/applications", &fields).await?;
    let part =
        |id: &str| between(&page, &format!("id=\"{id}\">"), "<").map(|t| t.trim().to_owned());
    let app = AppKey {
        key: part("key").ok_or("no key was shown")?,
        secret: part("secret").ok_or("no secret was shown")?,
    };

    let apply = format!("/apply/{RESOURCE}");
    let page = consumer.page(&apply).await?;
    let id = page
        .split("<option value=\"")
        .filter_map(|rest| rest.split_once('"'))
        .find(|(_, rest)| between(rest, ">", "<") == Some(&name))
        .map(|(id, _)| id.to_owned())
        .ok_or("the application cannot be chosen")?;
    let mut fields = vec![
        ("application", id.as_str()),
        ("scene", "bench of the gate"),
        ("legal_basis", "bench"),
        ("period", "90"),
        ("calls_per_day", CALLS_PER_DAY),
    ];
    fields.extend(ITEMS.iter().map(|i| ("items", *i)));
    let (request, _) = consumer.post(&apply, &apply, &fields).await?;
    for role in ["reviewer", "authority"] {
        let person = Person::sign_in(ready, role).await?;
        if person.page(&request).await?.contains("value=\"approve\"") {
            let fields = [("do", "approve"), ("reason", "bench")];
            person.post(&request, &format!("{request}/decide"), &fields).await?;
        }
    }
    Ok(app)
}

/// What is measured: which rows, by which column, called by whom.
#[derive(Serialize, Deserialize)]
struct Plan {
    resource: String,
    key_column: String,
    columns: Vec<String>,
    masked: Vec<String>,
    app: AppKey,
    /// `host:port` and path of the resource.
    host: String,
    path: String,
    keys: Vec<String>,
}

fn ready(path: &Path) -> Outcome<Ready> {
    Ok(serde_json::from_str(&std::fs::read_to_string(path)?)?)
}

fn read_plan(dir: &Path) -> Outcome<Plan> {
    Ok(serde_json::from_str(&std::fs::read_to_string(dir.join("plan.json"))?)?)
}

/// Unix milliseconds.
#[expect(clippy::disallowed_methods, reason = "a client signs with the time of its own clock")]
fn now() -> Outcome<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}

/// `http://host:port/path` into host and path.
fn split(url: &str) -> Outcome<(String, String)> {
    let rest = url.strip_prefix("http://").ok_or("the demo's resources should be http:// URLs")?;
    let (host, path) = rest.split_once('/').ok_or("a resource's URL should have a path")?;
    Ok((host.to_owned(), format!("/{path}")))
}

/// The headers of one signed GET.
fn signed(
    app: &AppKey,
    path: &str,
    query: &str,
    nonce: &str,
) -> Outcome<Vec<(&'static str, String)>> {
    let algorithm = Algorithm::HmacSha256;
    let (timestamp, body_hash) = (now()?, algorithm.body_hash(b""));
    let call =
        SignedRequest { method: "GET", path, query, body_hash: &body_hash, timestamp, nonce };
    Ok(vec![
        (HEADER_KEY, app.key.clone()),
        (HEADER_TIMESTAMP, timestamp.to_string()),
        (HEADER_NONCE, nonce.to_owned()),
        (HEADER_SIGNATURE, call.sign(algorithm, app.secret.as_bytes())),
    ])
}

/// Rows of one signed call; a refusal is `None`.
async fn rows(
    client: &reqwest::Client,
    app: &AppKey,
    url: &str,
    query: &str,
) -> Outcome<Option<Vec<Map<String, Value>>>> {
    let (_, path) = split(url)?;
    let nonce = nonce(now()?, 0);
    let mut call = client.get(format!("{url}?{query}")).timeout(Duration::from_secs(30));
    for (name, value) in signed(app, &path, query, &nonce)? {
        call = call.header(name, value);
    }
    let answer = call.send().await?;
    if !answer.status().is_success() {
        return Ok(None);
    }
    Ok(Some(answer.json().await?))
}

/// A nonce that no other call of this or an earlier run has.
fn nonce(base: i64, number: usize) -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{base:x}-{:x}-{count:x}-{number:08x}", std::process::id())
}

/// The query part of a look-up, percent-encoded for the few characters keys may hold.
fn lookup(column: &str, key: &str) -> String {
    let mut query = format!("{column}=eq.");
    for byte in key.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            query.push(char::from(byte));
        } else {
            let _ = write!(query, "%{byte:02X}");
        }
    }
    query
}

async fn plan(ready_file: &Path, dir: &Path) -> Outcome {
    let ready = ready(ready_file)?;
    let resource = ready.resources.iter().find(|r| r.code == RESOURCE);
    let resource = resource.ok_or_else(|| format!("the demo has no resource {RESOURCE}"))?;
    let app = enrol(&ready).await?;
    let client = reqwest::Client::new();
    let page = rows(&client, &app, &resource.url, &format!("limit={ROWS}")).await?;
    let page = page.filter(|p| p.len() > 1).ok_or("the approved application sees no rows")?;
    let key = key_column(&client, &app, resource, &page).await?;
    let key = key.ok_or("rows came without a mask, or cannot be looked up one by one")?;
    write_plan(dir, resource, app, key, &page)
}

/// The first column that is not masked and by which exactly one row is found.
async fn key_column(
    client: &reqwest::Client,
    app: &AppKey,
    resource: &Resource,
    page: &[Map<String, Value>],
) -> Outcome<Option<String>> {
    let Some(first) = page.first() else { return Ok(None) };
    if masked(first).is_empty() {
        return Ok(None);
    }
    for (column, value) in first {
        let Some(text) = value.as_str().filter(|t| !t.contains('*')) else { continue };
        let found = rows(client, app, &resource.url, &lookup(column, text)).await?;
        if found.is_some_and(|f| f.len() == 1 && f.first() == Some(first)) {
            return Ok(Some(column.clone()));
        }
    }
    Ok(None)
}

fn masked(row: &Map<String, Value>) -> Vec<String> {
    let stars = |v: &Value| v.as_str().is_some_and(|t| t.contains('*'));
    row.iter().filter(|(_, v)| stars(v)).map(|(k, _)| k.clone()).collect()
}

fn write_plan(
    dir: &Path,
    resource: &Resource,
    app: AppKey,
    key_column: String,
    page: &[Map<String, Value>],
) -> Outcome {
    let columns: Vec<String> =
        page.first().map(|r| r.keys().cloned().collect()).unwrap_or_default();
    let (host, path) = split(&resource.url)?;
    let keys: Vec<String> =
        page.iter().filter_map(|r| r.get(&key_column)?.as_str()).map(str::to_owned).collect();
    copy_rows(&dir.join("bare.db"), &columns, &key_column, page)?;
    let mut calls = String::new();
    for key in &keys {
        let query = lookup(&key_column, key);
        write!(calls, "GET {path}?{query} HTTP/1.1\r\nHost: peer\r\n\r\n")?;
    }
    std::fs::write(dir.join("bare.txt"), calls)?;
    let plan = Plan {
        resource: resource.code.clone(),
        masked: page.first().map(masked).unwrap_or_default(),
        app,
        key_column,
        columns,
        host,
        path,
        keys,
    };
    std::fs::write(dir.join("plan.json"), serde_json::to_vec(&plan)?)?;
    println!(
        "{} rows of `{}` looked up by `{}`, masked: {}",
        plan.keys.len(),
        plan.resource,
        plan.key_column,
        plan.masked.join(", ")
    );
    Ok(())
}

/// The peer's table: the same rows and types, indexed by the same key.
fn copy_rows(db: &Path, columns: &[String], key: &str, page: &[Map<String, Value>]) -> Outcome {
    let mut connection = rusqlite::Connection::open(db)?;
    let quoted: Vec<String> = columns.iter().map(|c| format!("\"{c}\"")).collect();
    connection.execute_batch(&format!(
        "PRAGMA journal_mode=WAL; CREATE TABLE t ({}); CREATE INDEX k ON t (\"{key}\");",
        quoted.join(", ")
    ))?;
    let transaction = connection.transaction()?;
    let marks = vec!["?"; columns.len()].join(", ");
    for row in page {
        let values = columns.iter().map(|c| to_sql(row.get(c).unwrap_or(&Value::Null)));
        transaction.execute(
            &format!("INSERT INTO t VALUES ({marks})"),
            rusqlite::params_from_iter(values),
        )?;
    }
    transaction.commit()?;
    Ok(())
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

fn sign(dir: &Path, file: &Path, n: &str) -> Outcome {
    let (plan, n) = (read_plan(dir)?, n.parse::<usize>()?);
    let mut out = std::io::BufWriter::new(std::fs::File::create(file)?);
    let base = now()?;
    for (number, key) in plan.keys.iter().cycle().take(n).enumerate() {
        let query = lookup(&plan.key_column, key);
        write!(out, "GET {}?{query} HTTP/1.1\r\nHost: {}\r\n", plan.path, plan.host)?;
        for (name, value) in signed(&plan.app, &plan.path, &query, &nonce(base, number))? {
            write!(out, "{name}: {value}\r\n")?;
        }
        out.write_all(b"\r\n")?;
    }
    Ok(out.flush()?)
}

/// The bare peer: no signature, no policy, no mask, no audit. One prepared statement per thread.
struct Peer {
    db: PathBuf,
    sql: String,
    key_column: String,
    columns: Vec<String>,
}

thread_local! {
    static CONNECTION: RefCell<Option<rusqlite::Connection>> = const { RefCell::new(None) };
}

async fn peer(dir: &Path, address: &str) -> Outcome {
    let plan = read_plan(dir)?;
    let quoted: Vec<String> = plan.columns.iter().map(|c| format!("\"{c}\"")).collect();
    let state = Arc::new(Peer {
        db: dir.join("bare.db"),
        sql: format!("SELECT {} FROM t WHERE \"{}\" = ?", quoted.join(", "), plan.key_column),
        key_column: plan.key_column,
        columns: plan.columns,
    });
    let router =
        axum::Router::new().route(&plan.path, axum::routing::get(answer)).with_state(state);
    let listener = tokio::net::TcpListener::bind(address).await?;
    Ok(axum::serve(listener, router).await?)
}

async fn answer(
    State(peer): State<Arc<Peer>>,
    Query(query): Query<Vec<(String, String)>>,
) -> axum::response::Response {
    let key = query
        .iter()
        .find(|(name, _)| *name == peer.key_column)
        .and_then(|(_, value)| value.strip_prefix("eq."));
    let found = key.ok_or_else(|| "no key".into()).and_then(|key| find(&peer, key));
    match found {
        Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(why) => (StatusCode::INTERNAL_SERVER_ERROR, why.to_string()).into_response(),
    }
}

fn find(peer: &Peer, key: &str) -> Outcome<Vec<u8>> {
    CONNECTION.with_borrow_mut(|slot| {
        let connection = match slot {
            Some(open) => open,
            None => slot.insert(rusqlite::Connection::open(&peer.db)?),
        };
        let mut statement = connection.prepare_cached(&peer.sql)?;
        let mut rows = statement.query([key])?;
        let mut out = Vec::new();
        while let Some(row) = rows.next()? {
            let mut object = Map::new();
            for (position, column) in peer.columns.iter().enumerate() {
                object.insert(column.clone(), of_sql(row.get(position)?));
            }
            out.push(object);
        }
        Ok(serde_json::to_vec(&out)?)
    })
}

fn of_sql(value: Sql) -> Value {
    match value {
        Sql::Null | Sql::Blob(_) => Value::Null,
        Sql::Integer(i) => i.into(),
        Sql::Real(f) => f.into(),
        Sql::Text(t) => t.into(),
    }
}

/// Both must give the same row, and ours must be masked and refuse what it should.
async fn check(dir: &Path, address: &str) -> Outcome {
    let plan = read_plan(dir)?;
    let app = &plan.app;
    let client = reqwest::Client::new();
    let url = format!("http://{}{}", plan.host, plan.path);
    let step = (plan.keys.len() / 50).max(1);
    for key in plan.keys.iter().step_by(step) {
        let query = lookup(&plan.key_column, key);
        let ours = rows(&client, app, &url, &query).await?.ok_or("a look-up was refused")?;
        let bare: Vec<Map<String, Value>> = client
            .get(format!("http://{address}{}?{query}", plan.path))
            .send()
            .await?
            .json()
            .await?;
        if ours != bare || ours.len() != 1 {
            return Err(format!("row `{key}` differs:\n  {ours:?}\n  {bare:?}").into());
        }
        if ours.first().is_none_or(|row| masked(row).is_empty()) {
            return Err(format!("row `{key}` came without masks").into());
        }
    }
    // The gate was really there: the same call twice is refused, and so is a call without a signature.
    let query = lookup(&plan.key_column, plan.keys.first().ok_or("no rows")?);
    let headers = signed(app, &plan.path, &query, &nonce(now()?, 1))?;
    for expected in [StatusCode::OK, StatusCode::UNAUTHORIZED] {
        let mut call = client.get(format!("{url}?{query}"));
        for (name, value) in &headers {
            call = call.header(*name, value);
        }
        let status = call.send().await?.status();
        if status != expected {
            return Err(format!("a replay should end in {expected}, not {status}").into());
        }
    }
    let bare = client.get(format!("{url}?{query}")).send().await?.status();
    if bare != StatusCode::UNAUTHORIZED
        && bare != StatusCode::FORBIDDEN
        && bare != StatusCode::NOT_FOUND
    {
        return Err(format!("a call without a signature was answered with {bare}").into());
    }
    Ok(())
}
