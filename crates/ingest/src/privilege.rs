//! What the account of a source may do: read what is wanted, and nothing beyond. Looked at in the database's own catalogue in a
//! read-only transaction; nothing is tried out. Every finding says the SQL that mends it (`docs/sources.md`).

use std::time::{Duration, Instant};

use model::schema::TableName;
use model::source::{CheckLevel, SourceCheck, SourceFinding};
use model::{Code, Error, Result};
use mysql_async::prelude::Queryable;

use crate::outgoing::Outgoing;
use crate::query::{Connected, connect, mysql_error, postgres_error};

/// Longest wait for all answers.
const PATIENCE: Duration = Duration::from_secs(30);
/// Objects named in one finding.
const NAMED: usize = 5;

/// Looks at the account of a database. Without `wanted`, at everything it may read; `rails` says that replication is needed;
/// `now` is ours, in microseconds since 1970.
pub(crate) async fn check(
    outgoing: &Outgoing,
    url: &str,
    wanted: &[TableName],
    rails: bool,
    now: i64,
) -> Result<SourceCheck> {
    let looking = async {
        match connect(outgoing, url).await? {
            Connected::Postgres(client, driver) => {
                let found = postgres(&client, wanted, rails, now).await;
                drop(client);
                driver.abort();
                found
            }
            Connected::Mysql(mut conn) => {
                let found = mysql(&mut conn, wanted, rails, now).await;
                if found.is_ok() {
                    let _ = conn.disconnect().await;
                }
                found
            }
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.map_err(|_| {
        Error::new(
            Code::SourceUnavailable,
            "数据源在 30 秒内没有答复权限检查，请核对网络后重试",
            "the source did not answer the check of privileges within 30 seconds; check the network and try again",
        )
    })?
}

fn finding(level: CheckLevel, what: &str, zh: String, en: String, sql: String) -> SourceFinding {
    SourceFinding { level, what: what.to_owned(), zh, en, sql }
}

fn few(names: &[String]) -> String {
    let shown = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > NAMED { format!("{shown}, … ({})", names.len()) } else { shown }
}

/// What both databases are told alike.
fn common(check: &mut SourceCheck) {
    let findings = &mut check.findings;
    if check.tls.is_empty() {
        findings.push(finding(
            CheckLevel::Warn,
            "tls",
            "连接没有加密，密码和数据以明文经过网络；请在数据库启用 TLS，并把数据源改为“必须加密”".into(),
            "the connection is not encrypted: password and rows cross the network in plain; enable TLS in the database and make the source `require` it".into(),
            String::new(),
        ));
    } else {
        findings.push(finding(
            CheckLevel::Ok,
            "tls",
            format!("连接已加密：{}", check.tls),
            format!("the connection is encrypted: {}", check.tls),
            String::new(),
        ));
    }
    let seconds = check.clock_ms.unsigned_abs() as f64 / 1000.0;
    let (level, zh, en) = if check.clock_ms.abs() > 5_000 {
        (
            CheckLevel::Warn,
            format!(
                "数据库时钟与平台相差 {seconds:.1} 秒；按时间增量采集会漏行或重行，请校准时钟（NTP）"
            ),
            format!(
                "the database's clock is {seconds:.1} s from ours; increments by time would miss or repeat rows: set the clocks (NTP)"
            ),
        )
    } else {
        (
            CheckLevel::Ok,
            format!("数据库时钟与平台相差 {seconds:.1} 秒"),
            format!("the database's clock is {seconds:.1} s from ours"),
        )
    };
    findings.push(finding(level, "clock", zh, en, String::new()));
}

/// The server's clock against ours, half the way's time allowed for.
fn clock(now: i64, begun: Instant, at_server: i64, sent: Instant, received: Instant) -> i64 {
    let middle = sent.duration_since(begun) + received.duration_since(sent) / 2;
    let ours = now + i64::try_from(middle.as_micros()).unwrap_or(0);
    (at_server - ours) / 1000
}

fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

// ---------------------------------------------------------------- PostgreSQL

async fn ask(client: &tokio_postgres::Client, sql: &str) -> Result<Vec<Vec<String>>> {
    let answer = client.simple_query(sql).await.map_err(postgres_error)?;
    Ok(answer
        .into_iter()
        .filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => Some(
                (0..row.len())
                    .map(|at| row.try_get(at).ok().flatten().unwrap_or_default().to_owned())
                    .collect(),
            ),
            _ => None,
        })
        .collect())
}

fn first(rows: Vec<Vec<String>>) -> Vec<String> {
    rows.into_iter().next().unwrap_or_default()
}

fn column(rows: Vec<Vec<String>>) -> Vec<String> {
    rows.into_iter().filter_map(|row| row.into_iter().next()).collect()
}

async fn postgres(
    client: &tokio_postgres::Client,
    wanted: &[TableName],
    rails: bool,
    now: i64,
) -> Result<SourceCheck> {
    let begun = Instant::now();
    client.batch_execute("BEGIN TRANSACTION READ ONLY").await.map_err(postgres_error)?;
    let sent = Instant::now();
    let told = first(
        ask(client, "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, current_setting('server_version'),
            current_user, current_database(), coalesce((SELECT version || ' ' || cipher FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl), '')")
        .await?,
    );
    let received = Instant::now();
    let get = |at: usize| told.get(at).cloned().unwrap_or_default();
    let role = ident(&get(2));
    let mut check = SourceCheck {
        server: format!("PostgreSQL {}", get(1)),
        account: get(2),
        tls: get(4),
        clock_ms: clock(now, begun, get(0).parse().unwrap_or(now), sent, received),
        findings: Vec::new(),
    };
    common(&mut check);
    let findings = &mut check.findings;
    let roles = first(ask(client, "SELECT rolsuper::text, rolcreaterole::text, rolcreatedb::text, rolreplication::text, rolbypassrls::text FROM pg_roles WHERE rolname = current_user").await?);
    let is = |at: usize| roles.get(at).is_some_and(|v| v == "true");
    for (at, word, zh, en) in [
        (0, "SUPERUSER", "账号是超级用户", "the account is a superuser"),
        (1, "CREATEROLE", "账号可以建立和修改账号", "the account can make and change roles"),
        (2, "CREATEDB", "账号可以建立数据库", "the account can make databases"),
        (4, "BYPASSRLS", "账号绕过行级安全策略", "the account passes by row security"),
    ] {
        if is(at) {
            findings.push(finding(
                CheckLevel::Bad,
                &word.to_lowercase(),
                format!("{zh}，采集只需只读权限"),
                format!("{en}; collecting needs reading only"),
                format!("ALTER ROLE {role} NO{word};"),
            ));
        }
    }
    match (rails, is(3) || is(0)) {
        (false, true) if !is(0) => findings.push(finding(
            CheckLevel::Bad,
            "replication",
            "账号有复制权限，但没有数据高铁使用该数据源".into(),
            "the account may replicate, and no rail follows this source".into(),
            format!("ALTER ROLE {role} NOREPLICATION;"),
        )),
        (true, false) => findings.push(finding(
            CheckLevel::Bad,
            "replication",
            "有数据高铁使用该数据源，账号却没有复制权限".into(),
            "a rail follows this source, and the account may not replicate".into(),
            format!("ALTER ROLE {role} REPLICATION;"),
        )),
        (true, true) => findings.push(finding(
            CheckLevel::Ok,
            "replication",
            "账号有数据高铁所需的复制权限".into(),
            "the account may replicate, as its rail needs".into(),
            String::new(),
        )),
        _ => {}
    }
    let members = column(ask(client, "SELECT r.rolname FROM pg_roles r WHERE r.rolname IN ('pg_write_all_data', 'pg_execute_server_program', 'pg_write_server_files', 'pg_read_server_files', 'pg_signal_backend', 'pg_database_owner') AND pg_has_role(current_user, r.oid, 'MEMBER')").await?);
    if !is(0) && !members.is_empty() {
        let list = few(&members);
        findings.push(finding(
            CheckLevel::Bad,
            "roles",
            format!("账号属于有写入或服务器权限的角色：{list}"),
            format!("the account is a member of roles that write or reach the server: {list}"),
            members
                .iter()
                .map(|m| format!("REVOKE {} FROM {role};", ident(m)))
                .collect::<Vec<_>>()
                .join(" "),
        ));
    }
    postgres_objects(client, &role, &get(3), wanted, is(0), findings).await?;
    let _ = client.batch_execute("ROLLBACK").await;
    Ok(check)
}

async fn postgres_objects(
    client: &tokio_postgres::Client,
    role: &str,
    database: &str,
    wanted: &[TableName],
    superuser: bool,
    findings: &mut Vec<SourceFinding>,
) -> Result<()> {
    const TABLES: &str = "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%'";
    let mut bad = Vec::new();
    for table in wanted {
        let place = format!("{}.{}", ident(&table.schema), ident(&table.name));
        let literal = place.replace('\'', "''");
        let told = first(ask(client, &format!("SELECT (to_regclass('{literal}') IS NOT NULL)::text, coalesce(has_table_privilege(to_regclass('{literal}'), 'SELECT'), false)::text, coalesce(has_schema_privilege('{}', 'USAGE'), false)::text", table.schema.replace('\'', "''"))).await.unwrap_or_default());
        if !(told.get(1).is_some_and(|v| v == "true") && told.get(2).is_some_and(|v| v == "true")) {
            bad.push((place, table.schema.clone()));
        }
    }
    if !bad.is_empty() {
        let names: Vec<String> = bad.iter().map(|(p, _)| p.clone()).collect();
        let list = few(&names);
        let sql = bad
            .iter()
            .map(|(p, s)| {
                format!(
                    "GRANT USAGE ON SCHEMA {} TO {role}; GRANT SELECT ON {p} TO {role};",
                    ident(s)
                )
            })
            .collect::<Vec<_>>()
            .join(" ");
        findings.push(finding(
            CheckLevel::Bad,
            "read",
            format!("账号不能读需要的表：{list}"),
            format!("the account may not read what is wanted: {list}"),
            sql,
        ));
    } else {
        let count = first(ask(client, &format!("SELECT count(*)::text {TABLES} AND has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE')")).await?);
        let n = count.first().cloned().unwrap_or_default();
        let level = if n == "0" { CheckLevel::Bad } else { CheckLevel::Ok };
        let sql = if n == "0" {
            format!(
                "GRANT USAGE ON SCHEMA public TO {role}; GRANT SELECT ON public.表名 TO {role};"
            )
        } else {
            String::new()
        };
        findings.push(finding(
            level,
            "read",
            format!("账号可读 {n} 张表"),
            format!("the account may read {n} tables"),
            sql,
        ));
    }
    if superuser {
        // All of the following is allowed to it; the one finding says so.
        return Ok(());
    }
    let writable = column(ask(client, &format!("SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) {TABLES} AND (has_table_privilege(c.oid, 'INSERT') OR has_table_privilege(c.oid, 'UPDATE') OR has_table_privilege(c.oid, 'DELETE') OR has_table_privilege(c.oid, 'TRUNCATE')) ORDER BY 1 LIMIT 100")).await?);
    if writable.is_empty() {
        findings.push(finding(
            CheckLevel::Ok,
            "write",
            "账号不能写任何表".into(),
            "the account may write no table".into(),
            String::new(),
        ));
    } else {
        let list = few(&writable);
        findings.push(finding(CheckLevel::Bad, "write", format!("账号可写（增、改、删或清空）表：{list}"), format!("the account may write (insert, update, delete or truncate): {list}"), writable.iter().map(|t| format!("REVOKE INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON {t} FROM {role};")).collect::<Vec<_>>().join(" ")));
    }
    let owned = column(ask(client, &format!("SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) {TABLES} AND pg_has_role(current_user, c.relowner, 'MEMBER') ORDER BY 1 LIMIT 100")).await?);
    if !owned.is_empty() {
        let list = few(&owned);
        findings.push(finding(
            CheckLevel::Bad,
            "owner",
            format!("账号是表的所有者，可改结构和删表：{list}"),
            format!("the account owns tables and can change or drop them: {list}"),
            owned
                .iter()
                .map(|t| format!("ALTER TABLE {t} OWNER TO 管理员账号;"))
                .collect::<Vec<_>>()
                .join(" "),
        ));
    }
    let schemas = column(ask(client, "SELECT quote_ident(nspname) FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema' AND has_schema_privilege(oid, 'CREATE') ORDER BY 1").await?);
    if !schemas.is_empty() {
        let list = few(&schemas);
        findings.push(finding(
            CheckLevel::Bad,
            "ddl",
            format!("账号可在模式中建表：{list}"),
            format!("the account can make tables in schemas: {list}"),
            schemas
                .iter()
                .map(|s| format!("REVOKE CREATE ON SCHEMA {s} FROM {role}, PUBLIC;"))
                .collect::<Vec<_>>()
                .join(" "),
        ));
    }
    let create = first(
        ask(client, "SELECT has_database_privilege(current_database(), 'CREATE')::text").await?,
    );
    if create.first().is_some_and(|v| v == "true") {
        let base = ident(database);
        findings.push(finding(CheckLevel::Warn, "ddl-database", "账号可在库中建模式与发布（仅由平台自建发布的数据高铁需要）".into(), "the account can make schemas and publications in the database (needed only by rails whose publication the platform makes)".into(), format!("REVOKE CREATE ON DATABASE {base} FROM {role};")));
    }
    Ok(())
}

// ---------------------------------------------------------------- MySQL, MariaDB

async fn texts(conn: &mut mysql_async::Conn, sql: &str) -> Result<Vec<Vec<String>>> {
    let rows: Vec<mysql_async::Row> = conn.query(sql).await.map_err(mysql_error)?;
    let text = |value: Option<mysql_async::Value>| match value {
        Some(mysql_async::Value::Bytes(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
        Some(mysql_async::Value::NULL) | None => String::new(),
        Some(other) => other.as_sql(true).trim_matches('\'').to_owned(),
    };
    Ok(rows.into_iter().map(|row| row.unwrap_raw().into_iter().map(text).collect()).collect())
}

async fn mysql(
    conn: &mut mysql_async::Conn,
    wanted: &[TableName],
    rails: bool,
    now: i64,
) -> Result<SourceCheck> {
    let begun = Instant::now();
    conn.query_drop("START TRANSACTION READ ONLY").await.map_err(mysql_error)?;
    let sent = Instant::now();
    let told = first(texts(conn, "SELECT CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED), VERSION(), CURRENT_USER(), COALESCE(DATABASE(), '')").await?);
    let received = Instant::now();
    let get = |at: usize| told.get(at).cloned().unwrap_or_default();
    let tls = first(texts(conn, "SHOW STATUS LIKE 'Ssl_cipher'").await?)
        .get(1)
        .cloned()
        .unwrap_or_default();
    let name = if get(1).to_lowercase().contains("mariadb") { "MariaDB" } else { "MySQL" };
    let account = get(2);
    let who = match account.rsplit_once('@') {
        Some((user, host)) => format!("'{user}'@'{host}'"),
        None => account.clone(),
    };
    let database = get(3);
    let mut check = SourceCheck {
        server: format!("{name} {}", get(1)),
        account,
        tls,
        clock_ms: clock(now, begun, get(0).parse().unwrap_or(now), sent, received),
        findings: Vec::new(),
    };
    common(&mut check);
    let grants: Vec<String> = column(texts(conn, "SHOW GRANTS FOR CURRENT_USER()").await?);
    let findings = &mut check.findings;
    let (mut granted, mut readers) = (false, Vec::new());
    let mut replicates = false;
    for line in &grants {
        let Some(grant) = Granted::of(line) else { continue };
        if grant.option {
            findings.push(finding(
                CheckLevel::Bad,
                "grant-option",
                format!("账号可把权限转授他人（{}）", grant.on),
                format!("the account can hand its privileges on ({})", grant.on),
                format!("REVOKE GRANT OPTION ON {} FROM {who};", grant.on),
            ));
        }
        let beyond: Vec<&String> = grant.privileges.iter().filter(|p| !harmless(p)).collect();
        for privilege in &grant.privileges {
            replicates |= replication(privilege) || privilege == "ALL PRIVILEGES";
            if privilege == "SELECT"
                || privilege == "ALL PRIVILEGES"
                || privilege.starts_with("SELECT (")
            {
                granted = true;
                readers.push(grant.on.clone());
            }
        }
        if !beyond.is_empty() {
            let list = beyond.iter().map(|p| p.as_str()).collect::<Vec<_>>().join(", ");
            let all = beyond.iter().any(|p| *p == "ALL PRIVILEGES");
            let what = if all && grant.on == "*.*" {
                "superuser"
            } else if all || beyond.iter().any(|p| writes(p)) {
                "write"
            } else {
                "beyond"
            };
            let again = if all {
                format!(
                    " GRANT SELECT ON {} TO {who};",
                    if grant.on == "*.*" { format!("`{database}`.*") } else { grant.on.clone() }
                )
            } else {
                String::new()
            };
            findings.push(finding(
                CheckLevel::Bad,
                what,
                format!("账号在 {} 上有超出只读的权限：{list}", grant.on),
                format!("the account has more than reading on {}: {list}", grant.on),
                format!("REVOKE {list} ON {} FROM {who};{again}", grant.on),
            ));
        }
        let copying: Vec<&str> =
            grant.privileges.iter().filter(|p| replication(p)).map(String::as_str).collect();
        if !rails && !copying.is_empty() {
            let list = copying.join(", ");
            findings.push(finding(
                CheckLevel::Bad,
                "replication",
                "账号有复制权限，但没有数据高铁使用该数据源".into(),
                "the account may replicate, and no rail follows this source".into(),
                format!("REVOKE {list} ON *.* FROM {who};"),
            ));
        }
        if grant.on == "*.*" && grant.privileges.iter().any(|p| p == "SELECT") {
            findings.push(finding(
                CheckLevel::Warn,
                "read-all",
                "账号可读服务器上所有库".into(),
                "the account may read every database of the server".into(),
                format!(
                    "REVOKE SELECT ON *.* FROM {who}; GRANT SELECT ON `{database}`.* TO {who};"
                ),
            ));
        }
    }
    if rails && !replicates {
        findings.push(finding(
            CheckLevel::Bad,
            "replication",
            "有数据高铁使用该数据源，账号却没有复制权限".into(),
            "a rail follows this source, and the account may not replicate".into(),
            format!("GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO {who};"),
        ));
    } else if rails {
        findings.push(finding(
            CheckLevel::Ok,
            "replication",
            "账号有数据高铁所需的复制权限".into(),
            "the account may replicate, as its rail needs".into(),
            String::new(),
        ));
    }
    if !findings.iter().any(|f| matches!(f.what.as_str(), "write" | "superuser" | "beyond")) {
        findings.push(finding(
            CheckLevel::Ok,
            "write",
            "账号没有写入、结构和管理权限".into(),
            "the account may neither write nor change structures nor administer".into(),
            String::new(),
        ));
    }
    mysql_reads(conn, wanted, granted, &who, &database, findings).await?;
    let _ = conn.query_drop("ROLLBACK").await;
    Ok(check)
}

async fn mysql_reads(
    conn: &mut mysql_async::Conn,
    wanted: &[TableName],
    granted: bool,
    who: &str,
    database: &str,
    findings: &mut Vec<SourceFinding>,
) -> Result<()> {
    let tick = |name: &str| format!("`{}`", name.replace('`', "``"));
    let mut bad = Vec::new();
    for table in wanted {
        let place = format!("{}.{}", tick(&table.schema), tick(&table.name));
        if conn.query_drop(format!("SELECT 1 FROM {place} LIMIT 0")).await.is_err() {
            bad.push(place);
        }
    }
    let (level, zh, en, sql) = if !bad.is_empty() {
        let list = few(&bad);
        let sql = bad
            .iter()
            .map(|p| format!("GRANT SELECT ON {p} TO {who};"))
            .collect::<Vec<_>>()
            .join(" ");
        (
            CheckLevel::Bad,
            format!("账号不能读需要的表：{list}"),
            format!("the account may not read what is wanted: {list}"),
            sql,
        )
    } else if granted || !wanted.is_empty() {
        (
            CheckLevel::Ok,
            "账号可读需要的表".to_owned(),
            "the account may read what is wanted".to_owned(),
            String::new(),
        )
    } else {
        (
            CheckLevel::Bad,
            "账号没有读取权限".to_owned(),
            "the account may read nothing".to_owned(),
            format!("GRANT SELECT ON {}.* TO {who};", tick(database)),
        )
    };
    findings.push(finding(level, "read", zh, en, sql));
    Ok(())
}

/// A line of `SHOW GRANTS`.
#[derive(Debug, PartialEq, Eq)]
struct Granted {
    privileges: Vec<String>,
    on: String,
    option: bool,
}

impl Granted {
    fn of(line: &str) -> Option<Self> {
        let rest = line.strip_prefix("GRANT ")?;
        let (privileges, rest) = rest.split_once(" ON ")?;
        let (on, rest) = rest.split_once(" TO ")?;
        // A list of columns holds commas of its own.
        let (mut list, mut depth, mut word) = (Vec::new(), 0_u32, String::new());
        for c in privileges.chars() {
            match c {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                ',' if depth == 0 => {
                    list.push(std::mem::take(&mut word).trim().to_uppercase());
                    continue;
                }
                _ => {}
            }
            word.push(c);
        }
        list.push(word.trim().to_uppercase());
        Some(Self {
            privileges: list.into_iter().filter(|p| !p.is_empty()).collect(),
            on: on.to_owned(),
            option: rest.contains("WITH GRANT OPTION"),
        })
    }
}

fn replication(privilege: &str) -> bool {
    [
        "REPLICATION SLAVE",
        "REPLICATION CLIENT",
        "BINLOG MONITOR",
        "REPLICATION REPLICA",
        "SLAVE MONITOR",
        "REPLICA MONITOR",
    ]
    .contains(&privilege)
}

fn writes(privilege: &str) -> bool {
    ["INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "INDEX", "TRIGGER", "DELETE HISTORY"]
        .iter()
        .any(|w| privilege == *w || privilege.starts_with(&format!("{w} (")))
}

/// Reading, or nothing at all.
fn harmless(privilege: &str) -> bool {
    privilege == "USAGE"
        || privilege == "SELECT"
        || privilege == "SHOW VIEW"
        || privilege == "SHOW DATABASES"
        || privilege.starts_with("SELECT (")
        || replication(privilege)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_grants_are_read() {
        let of = |line| Granted::of(line).unwrap();
        let plain = of("GRANT SELECT (`a`, `b`), INSERT ON `d`.`t` TO `u`@`%`");
        assert_eq!(plain.privileges, ["SELECT (`A`, `B`)", "INSERT"]);
        assert_eq!((plain.on.as_str(), plain.option), ("`d`.`t`", false));
        let all = of(
            "GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` IDENTIFIED BY PASSWORD '*X' WITH GRANT OPTION",
        );
        assert_eq!(
            all,
            Granted { privileges: vec!["ALL PRIVILEGES".into()], on: "*.*".into(), option: true }
        );
        assert!(
            harmless("SELECT")
                && harmless("BINLOG MONITOR")
                && !harmless("FILE")
                && !harmless("INSERT")
        );
        assert_eq!(Granted::of("SET DEFAULT ROLE x"), None);
    }

    #[test]
    fn clocks_are_compared_in_the_middle_of_the_way() {
        let begun = Instant::now();
        let sent = begun + Duration::from_millis(10);
        let received = sent + Duration::from_millis(20);
        assert_eq!(clock(1_000_000, begun, 1_020_000, sent, received), 0);
        assert_eq!(clock(1_000_000, begun, 8_020_000, sent, received), 7_000);
    }
}
