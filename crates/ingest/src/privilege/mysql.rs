//! Accounts of MySQL and MariaDB: the lines of `SHOW GRANTS`.

use std::time::Instant;

use model::Result;
use model::schema::TableName;
use model::source::{CheckLevel, SourceCheck, SourceFinding};
use mysql_async::prelude::Queryable;

use super::{clock, column, common, few, finding, first};
use crate::query::mysql_error;

async fn texts(conn: &mut mysql_async::Conn, sql: &str) -> Result<Vec<Vec<String>>> {
    let rows: Vec<mysql_async::Row> = conn.query(sql).await.map_err(mysql_error)?;
    let text = |value: Option<mysql_async::Value>| match value {
        Some(mysql_async::Value::Bytes(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
        Some(mysql_async::Value::NULL) | None => String::new(),
        Some(other) => other.as_sql(true).trim_matches('\'').to_owned(),
    };
    Ok(rows.into_iter().map(|row| row.unwrap_raw().into_iter().map(text).collect()).collect())
}

pub(super) async fn look(
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
    reads(conn, wanted, granted, &who, &database, findings).await?;
    let _ = conn.query_drop("ROLLBACK").await;
    Ok(check)
}

async fn reads(
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
}
