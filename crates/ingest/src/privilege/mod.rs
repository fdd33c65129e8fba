//! What the account of a source may do: read what is wanted, and nothing beyond. Looked at in the database's own catalogue in a
//! read-only transaction; nothing is tried out. Every finding says the SQL that mends it (`docs/sources.md`).

mod mysql;
mod postgres;

use std::time::{Duration, Instant};

use model::schema::TableName;
use model::source::{CheckLevel, SourceCheck, SourceFinding};
use model::{Code, Error, Result};

use crate::outgoing::Outgoing;
use crate::query::{Connected, connect};

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
                let found = postgres::look(&client, wanted, rails, now).await;
                drop(client);
                driver.abort();
                found
            }
            Connected::Mysql(mut conn) => {
                let found = mysql::look(&mut conn, wanted, rails, now).await;
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

fn first(rows: Vec<Vec<String>>) -> Vec<String> {
    rows.into_iter().next().unwrap_or_default()
}

fn column(rows: Vec<Vec<String>>) -> Vec<String> {
    rows.into_iter().filter_map(|row| row.into_iter().next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_compared_in_the_middle_of_the_way() {
        let begun = Instant::now();
        let sent = begun + Duration::from_millis(10);
        let received = sent + Duration::from_millis(20);
        assert_eq!(clock(1_000_000, begun, 1_020_000, sent, received), 0);
        assert_eq!(clock(1_000_000, begun, 8_020_000, sent, received), 7_000);
    }
}
