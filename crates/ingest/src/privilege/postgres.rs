//! Accounts of PostgreSQL: attributes of the role, memberships, privileges on what is there.

use std::time::Instant;

use model::Result;
use model::schema::TableName;
use model::source::{CheckLevel, SourceCheck, SourceFinding};

use super::{clock, column, common, few, finding, first};
use crate::query::postgres_error;

fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

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

pub(super) async fn look(
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
    objects(client, &role, &get(3), wanted, is(0), findings).await?;
    let _ = client.batch_execute("ROLLBACK").await;
    Ok(check)
}

async fn objects(
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
