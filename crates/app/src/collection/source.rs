//! Data sources of a department: a PostgreSQL or MySQL database its entries are collected from by one SELECT.
//!
//! Where a source is may be seen by its department; the password may not be seen by anyone. It rests sealed in the
//! control store (like the secrets of applications), is opened for one connection, and stands in no log, no record and
//! no answer. Who may collect into an organisation's entries (`data.collect`), or have rows delivered to it (`outflow.keep`),
//! keeps its sources.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use guard::hash::sha256_hex;
use model::audit::AuditEvent;
use model::code::{DataType, SyncMode};
use model::item::Item;
use model::op::stamp;
use model::parcel::{Reject, Run};
use model::source::{DataSource, SourceKind, SourceNew, SourceTls};
use model::{Code, Error, Op, Result};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use policy::port::{ReadOptions, Source};
use policy::{Action, Permit, Target};
use serde::Serialize;
use zeroize::Zeroizing;

use super::retry::{self, Recipe};
use super::{Order, start};
use crate::{App, account, audit, catalogue};

/// Rows that a preview shows.
const PREVIEW_ROWS: usize = 20;
/// Longest wait for the first rows of a preview or for a trial of the connection.
const PATIENCE: Duration = Duration::from_secs(30);

/// A collection by query.
#[derive(Clone, Debug)]
pub struct QueryOrder {
    /// Id of the source.
    pub source: String,
    /// Entry id or code.
    pub entry: String,
    /// One SELECT.
    pub sql: String,
    pub mode: SyncMode,
    /// Column that says I/U/D, for incremental queries.
    pub operation_column: Option<String>,
}

/// The first rows of a query, read by the entry's items: what a collection would land, and what it would set aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Preview {
    /// Columns of the query with the item each was matched to.
    pub columns: Vec<(String, Option<String>)>,
    /// Identifiers of the items, the head of `rows`.
    pub items: Vec<String>,
    pub rows: Vec<Vec<Option<String>>>,
    pub rejects: Vec<Reject>,
}

/// Sources of the caller's organisation.
pub async fn list(app: &App, op: &Op) -> Result<Vec<DataSource>> {
    let org = op.actor.org().unwrap_or_default();
    keeper(app, op, "sources", org).await?;
    app.store.sources_of(org).await
}

/// One source; who entered it by the name shown. One that the caller may not collect from is not found.
pub async fn get(app: &App, op: &Op, id: &str) -> Result<DataSource> {
    let (mut source, _, _) = known(app, op, id).await?;
    account::logins_named(app, vec![&mut source.created_by]).await?;
    Ok(source)
}

/// Stores a source of one's organisation.
pub async fn create(app: &App, op: &Op, new: SourceNew) -> Result<DataSource> {
    let permit = keeper(app, op, "sources", &new.org).await?;
    app.store.org_require(&new.org).await?;
    let new = checked(new, true)?;
    let id = op.new_id();
    let source = described(op, id, &new, op.stamp());
    let sealed = sealed(app, &source, &new.password)?;
    app.store.source_insert(&permit, &source, &sealed).await?;
    record(app, op, "source.create", &source, String::new()).await?;
    Ok(source)
}

/// Changes a source. Without a password the old one stays, as long as it would go to the same place and account: a
/// stored password is never sent to another host.
pub async fn edit(app: &App, op: &Op, id: &str, new: SourceNew) -> Result<DataSource> {
    let (old, _, permit) = known(app, op, id).await?;
    let new = checked(SourceNew { org: old.org.clone(), ..new }, false)?;
    let same = (&old.host, old.port, &old.account, old.kind, &old.database, old.tls)
        == (&new.host, new.port, &new.account, new.kind, &new.database, new.tls);
    if new.password.is_empty() && !same {
        return Err(Error::invalid(
            "修改了连接信息，请重新填写密码",
            "the connection was changed: enter the password again",
        )
        .field("password", "请重新填写密码", "enter the password again"));
    }
    let source = DataSource {
        created_at: old.created_at,
        created_by: old.created_by,
        ..described(op, old.id, &new, op.stamp())
    };
    let sealed = match new.password.is_empty() {
        true => None,
        false => Some(sealed(app, &source, &new.password)?),
    };
    app.store.source_update(&permit, &source, sealed.as_deref()).await?;
    record(app, op, "source.edit", &source, String::new()).await?;
    Ok(source)
}

/// Takes a source away with its secret. What was collected from it stays.
pub async fn remove(app: &App, op: &Op, id: &str) -> Result<()> {
    let (source, _, permit) = known(app, op, id).await?;
    if app.store.rails_of_source(id).await? > 0 {
        return Err(Error::new(
            Code::WrongState,
            "有数据高铁正在使用该数据源，请先移除数据高铁",
            "a rail follows this source; remove the rail first",
        ));
    }
    if let Some(first) = app.store.pipelines_of_source(id).await?.first() {
        return Err(Error::new(
            Code::WrongState,
            format!("数据管道 `{}` 正在使用该数据源，请先移除管道", first.name),
            format!("the pipeline `{}` reads this source; remove the pipeline first", first.name),
        ));
    }
    if app.store.outflows_of_source(id).await? > 0 {
        return Err(Error::new(
            Code::WrongState,
            "有回流正在向该数据库投送，请先移除回流",
            "an outflow delivers into this database; remove the outflow first",
        ));
    }
    if app.store.deliveries_of_source(id).await? > 0 {
        return Err(Error::new(
            Code::WrongState,
            "有推送任务正在向该数据库投送，请先移除推送任务",
            "a delivery goes into this database; remove the delivery first",
        ));
    }
    app.store.source_delete(&permit, id).await?;
    if permit.action() == Action::DataCollect {
        app.store.origins_forget(&permit, id).await?;
    }
    record(app, op, "source.remove", &source, String::new()).await
}

/// Connects and asks for one row; keeps how it ended.
pub async fn test(app: &App, op: &Op, id: &str) -> Result<DataSource> {
    let (mut source, sealed, permit) = known(app, op, id).await?;
    let url = opened(app, &source.id, &sealed)?;
    let probe = [Item::new("probe", "probe", DataType::Integer)];
    let outcome = first(app, query(&url, "SELECT 1 AS probe", &source), &probe, None).await;
    source.tried_at = Some(stamp(app.now()));
    source.tried = match &outcome {
        Ok(_) => "ok".to_owned(),
        Err(e) => e.code().as_str().to_owned(),
    };
    app.store.source_update(&permit, &source, None).await?;
    record(app, op, "source.test", &source, source.tried.clone()).await?;
    outcome.map(|_| source)
}

/// Reads the first rows of a query by an entry's items. Nothing is landed.
pub async fn preview(app: &App, op: &Op, order: &QueryOrder) -> Result<Preview> {
    let (source, sealed, _) = known(app, op, &order.source).await?;
    let entry = catalogue::get(app, op, &order.entry).await?;
    audit::permit(app, op, Action::DataCollect, &Target::entry(&entry)).await?;
    let url = opened(app, &source.id, &sealed)?;
    let items = &entry.draft.items;
    let asked = query(&url, &order.sql, &source);
    let preview = first(app, asked, items, order.operation_column.clone()).await?;
    let scope = fingerprint(&order.sql);
    let event = AuditEvent {
        rows: preview.rows.len() as u64,
        scope: format!("entry={} {scope}", entry.draft.code),
        reason: source.place(),
        ..audit::event(op, "source.preview", &source.id)
    };
    audit::record(app, event).await?;
    Ok(preview)
}

/// Starts a collection of a query's rows into an entry.
pub async fn collect(app: &Arc<App>, op: &Op, order: QueryOrder) -> Result<Run> {
    let (source, sealed, permit) = known(app, op, &order.source).await?;
    let url = opened(app, &source.id, &sealed)?;
    let name = source.name.replace(['/', '\\'], "_");
    let asked = Source::Query { url: url.to_string(), sql: order.sql.clone(), name };
    let recipe = Recipe::Query {
        source: source.id.clone(),
        sql: order.sql.clone(),
        mode: order.mode,
        operation_column: order.operation_column.clone(),
    };
    let options =
        ReadOptions { operation_column: order.operation_column, ..ReadOptions::default() };
    let order_of = Order { entry: order.entry, source: asked, mode: order.mode, options };
    let run = start(app, op, order_of).await?;
    retry::keep(app, &permit, &run.id, &recipe).await?;
    let event = AuditEvent {
        scope: format!("run={} {}", run.id, fingerprint(&order.sql)),
        reason: source.place(),
        ..audit::event(op, "source.collect", &source.id)
    };
    audit::record(app, event).await?;
    Ok(run)
}

/// A source with its address, its secret included, for one connection: for those who may collect from it.
pub(crate) async fn reach(
    app: &App,
    op: &Op,
    id: &str,
) -> Result<(DataSource, Zeroizing<String>, Permit)> {
    let (source, sealed, permit) = known(app, op, id).await?;
    if permit.action() != Action::DataCollect {
        return Err(Error::not_found("数据源", "data source", id));
    }
    let url = opened(app, &source.id, &sealed)?;
    Ok((source, url, permit))
}

/// A database with its address, its secret included, for those who keep it to have rows delivered into it.
pub(crate) async fn outlet(
    app: &App,
    op: &Op,
    id: &str,
) -> Result<(DataSource, Zeroizing<String>)> {
    let (source, sealed, _) = known(app, op, id).await?;
    let url = opened(app, &source.id, &sealed)?;
    Ok((source, url))
}

/// Who may collect into an organisation's entries keeps its sources; who may have rows delivered to it, its databases.
async fn keeper(app: &App, op: &Op, id: &str, org: &str) -> Result<Permit> {
    let receives = Target::outflow(id, "", org);
    match app.policy.permit(op, Action::DataCollect, &Target::of_org("Entry", id, org)) {
        Ok(permit) => Ok(permit),
        Err(refusal) => match app.policy.permit(op, Action::OutflowKeep, &receives) {
            Ok(permit) => Ok(permit),
            Err(_) => {
                audit::refused(app, op, Action::DataCollect.as_str(), id, &refusal).await?;
                Err(refusal)
            }
        },
    }
}

/// The URL of a source with its secret, for a channel that was allowed to use it.
pub(crate) async fn url_of(app: &App, id: &str) -> Result<Zeroizing<String>> {
    let missing = || Error::not_found("数据源", "data source", id);
    let (source, sealed) = app.store.source_get(id).await?.ok_or_else(missing)?;
    opened(app, &source.id, &sealed)
}

async fn known(app: &App, op: &Op, id: &str) -> Result<(DataSource, String, Permit)> {
    let missing = || Error::not_found("数据源", "data source", id);
    let (source, sealed) = app.store.source_get(id).await?.ok_or_else(missing)?;
    match keeper(app, op, id, &source.org).await {
        Ok(permit) => Ok((source, sealed, permit)),
        Err(refusal) if refusal.kind() == model::Kind::Denied => Err(missing()),
        Err(other) => Err(other),
    }
}

fn checked(mut new: SourceNew, with_password: bool) -> Result<SourceNew> {
    let mut error = Error::invalid("数据源填写有误", "the data source is not filled in right");
    let mut wrong = |field: &str, zh: &str, en: &str| {
        let told = std::mem::replace(&mut error, Error::internal("being filled"));
        error = told.field(field, zh, en);
    };
    for text in [&mut new.name, &mut new.host, &mut new.database, &mut new.account] {
        *text = text.trim().to_owned();
    }
    let plain = |text: &str, most: usize| {
        (1..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control)
    };
    if !plain(&new.name, 100) {
        wrong("name", "请填写名称（最多 100 字）", "give a name (100 characters at most)");
    }
    // Neither a path (a socket of this machine) nor several hosts: one name or address.
    let host_ok = plain(&new.host, 253)
        && (new.host.parse::<std::net::IpAddr>().is_ok()
            || (new.host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
                && new.host.starts_with(|c: char| c.is_ascii_alphanumeric())));
    if !host_ok {
        wrong(
            "host",
            "主机应为一个域名或 IP 地址（不含端口和路径）",
            "the host must be one name or IP address (without port or path)",
        );
    }
    if new.port == 0 {
        wrong("port", "端口应为 1–65535", "the port must be 1 to 65535");
    }
    if !plain(&new.database, 128) {
        wrong("database", "请填写库名", "name the database");
    }
    if !plain(&new.account, 128) {
        wrong(
            "account",
            "请填写账号（建议用只读账号）",
            "name the account (a read-only one is best)",
        );
    }
    if with_password && new.password.is_empty() {
        wrong("password", "请填写密码", "enter the password");
    }
    if new.password.chars().any(char::is_control) || new.password.len() > 1024 {
        wrong(
            "password",
            "密码不能含控制字符，最长 1024 字节",
            "the password may hold no control characters, 1024 bytes at most",
        );
    }
    if error.fields().is_empty() { Ok(new) } else { Err(error) }
}

fn described(op: &Op, id: String, new: &SourceNew, at: String) -> DataSource {
    DataSource {
        id,
        org: new.org.clone(),
        name: new.name.clone(),
        kind: new.kind,
        host: new.host.clone(),
        port: new.port,
        database: new.database.clone(),
        account: new.account.clone(),
        tls: new.tls,
        created_at: at.clone(),
        created_by: op.actor.name().to_owned(),
        updated_at: at,
        tried_at: None,
        tried: String::new(),
    }
}

/// What a sealed URL is bound to.
fn context(id: &str) -> String {
    format!("source:{id}")
}

fn sealed(app: &App, source: &DataSource, password: &str) -> Result<String> {
    app.keys.vault().seal(&context(&source.id), url(source, password).as_bytes())
}

fn opened(app: &App, id: &str, sealed: &str) -> Result<Zeroizing<String>> {
    let bytes = app.keys.vault().open(&context(id), sealed)?;
    std::str::from_utf8(&bytes)
        .map(|text| Zeroizing::new(text.to_owned()))
        .map_err(|e| Error::internal("a source's URL is no text").caused_by(e))
}

/// The connection URL with its parts encoded, so that no part can change what another says.
fn url(source: &DataSource, password: &str) -> Zeroizing<String> {
    let part = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let host =
        if source.host.contains(':') { format!("[{}]", source.host) } else { source.host.clone() };
    let (scheme, tls) = match (source.kind, source.tls) {
        (SourceKind::Postgres, SourceTls::Prefer) => ("postgres", ""),
        (SourceKind::Postgres, SourceTls::Require) => ("postgres", "?sslmode=require"),
        (SourceKind::Mysql, SourceTls::Prefer) => ("mysql", ""),
        (SourceKind::Mysql, SourceTls::Require) => ("mysql", "?require_ssl=true"),
    };
    Zeroizing::new(format!(
        "{scheme}://{}:{}@{host}:{}/{}{tls}",
        part(&source.account),
        part(password),
        source.port,
        part(&source.database),
    ))
}

fn query(url: &str, sql: &str, source: &DataSource) -> Source {
    Source::Query { url: url.to_owned(), sql: sql.to_owned(), name: source.name.clone() }
}

/// The first chunk of a query; the rest is not read.
async fn first(
    app: &App,
    source: Source,
    items: &[Item],
    operation_column: Option<String>,
) -> Result<Preview> {
    let options =
        ReadOptions { batch_rows: PREVIEW_ROWS, operation_column, ..ReadOptions::default() };
    let read = async {
        let mut reading = app.intake.read(&source, items, &options).await?;
        let chunk = reading.chunks.next().await.transpose()?;
        Ok::<_, Error>((reading.columns, chunk))
    };
    let (columns, chunk) = tokio::time::timeout(PATIENCE, read).await.map_err(|_| {
        let seconds = PATIENCE.as_secs();
        Error::new(
            Code::SourceUnavailable,
            format!("数据源在 {seconds} 秒内没有返回数据；请核对网络，或把查询写得更窄"),
            format!("the source gave no rows within {seconds} seconds; check the network or narrow the query"),
        )
    })??;
    let (rows, rejects) = chunk.map_or_else(Default::default, |chunk| {
        let rows = (0..chunk.batch.rows().min(PREVIEW_ROWS))
            .map(|n| chunk.batch.columns.iter().map(|c| c.value(n).to_text()).collect())
            .collect();
        (rows, chunk.rejects.into_iter().take(PREVIEW_ROWS).collect())
    });
    let items = items.iter().map(|i| i.identifier.clone()).collect();
    Ok(Preview { columns, items, rows, rejects })
}

/// Tells queries apart in records without repeating what values they name.
fn fingerprint(sql: &str) -> String {
    let hash = sha256_hex(sql.trim().as_bytes());
    format!("sql=sha256:{}", hash.chars().take(16).collect::<String>())
}

async fn record(app: &App, op: &Op, word: &str, source: &DataSource, scope: String) -> Result<()> {
    let result = if scope.is_empty() || scope == "ok" { "ok" } else { "failed" };
    let event = AuditEvent {
        scope,
        result: result.to_owned(),
        reason: format!("{} {}", source.name, source.place()),
        ..audit::event(op, word, &source.id)
    };
    audit::record(app, event).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(host: &str, password: &str) -> SourceNew {
        SourceNew {
            org: "o".into(),
            name: " 库 ".into(),
            kind: SourceKind::Postgres,
            host: host.into(),
            port: 5432,
            database: "d/b?x=1".into(),
            account: "a@b".into(),
            password: password.into(),
            tls: SourceTls::Require,
        }
    }

    #[test]
    fn parts_cannot_leave_their_place_in_the_url() {
        let op = Op::system("2026-03-02T01:00:00Z".parse().unwrap());
        let good = checked(new("db.example", "p@ss/w:rd#"), true).unwrap();
        assert_eq!(good.name, "库");
        let source = described(&op, "s".into(), &good, op.stamp());
        assert_eq!(
            url(&source, &good.password).as_str(),
            "postgres://a%40b:p%40ss%2Fw%3Ard%23@db.example:5432/d%2Fb%3Fx%3D1?sslmode=require"
        );
        assert_eq!(source.place(), "db.example:5432/d/b?x=1");
    }

    #[test]
    fn sockets_lists_and_gaps_are_refused_by_field() {
        for host in ["", "/var/run/postgresql", "a,b", "a b", "@x", "h:5432", "-h", "h/../x"] {
            let error = checked(new(host, "p"), true).unwrap_err();
            assert_eq!(error.fields()[0].field, "host", "{host}");
        }
        for host in ["10.0.0.1", "::1", "db-1.zj.gov.cn"] {
            assert!(checked(new(host, "p"), true).is_ok(), "{host}");
        }
        assert_eq!(checked(new("h", ""), true).unwrap_err().fields()[0].field, "password");
        assert!(checked(new("h", ""), false).is_ok());
        assert!(!format!("{:?}", new("h", "geheim")).contains("geheim"));
    }
}
