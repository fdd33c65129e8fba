//! Figures over the control store for the control page, each by an index.

use std::collections::HashMap;

use model::Result;
use model::source::DataSource;
use policy::{Action, Permit};
use serde::Serialize;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::Store;
use crate::clause::Clause;
use crate::db::{fail, maybe, number, page, text};

/// A word with how many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    pub word: String,
    pub count: u64,
}

/// Calls of one interface on a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Called {
    pub entry: String,
    pub code: String,
    pub title: String,
    pub org: String,
    pub calls: u64,
}

/// An application that called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Caller {
    pub application: String,
    pub name: String,
    pub org: String,
    pub calls: u64,
}

/// An entry whose collections fail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failing {
    pub entry: String,
    pub code: String,
    pub title: String,
    pub org: String,
    pub failed: u64,
    /// The newest run that failed.
    pub last: String,
}

/// An entry whose data are older than its update cycle allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StaleEntry {
    pub entry: String,
    pub org: String,
    pub region: String,
    pub code: String,
    pub title: String,
    pub cycle: String,
    /// Empty: it never had data.
    pub data_at: String,
    /// Day until which the data were fresh.
    pub due: String,
}

impl Store {
    /// Approvals by phase.
    pub async fn count_approvals(&self) -> Result<Vec<Count>> {
        self.counted(
            "SELECT phase AS word, COUNT(*) AS n FROM approval GROUP BY phase ORDER BY phase",
            &[],
        )
        .await
    }

    /// Running approvals whose answer was due before `today`.
    pub async fn count_late(&self, today: &str) -> Result<u64> {
        let sql = "SELECT 'late' AS word, COUNT(*) AS n FROM approval
                   WHERE phase = 'running' AND due > '' AND due < $1";
        Ok(self.counted(sql, &[today]).await?.first().map_or(0, |c| c.count))
    }

    /// Share applications by state.
    pub async fn count_requests(&self) -> Result<Vec<Count>> {
        self.counted(
            "SELECT state AS word, COUNT(*) AS n FROM request GROUP BY state ORDER BY state",
            &[],
        )
        .await
    }

    /// Collection runs by state.
    pub async fn count_runs(&self) -> Result<Vec<Count>> {
        self.counted(
            "SELECT state AS word, COUNT(*) AS n FROM run GROUP BY state ORDER BY state",
            &[],
        )
        .await
    }

    /// Calls taken from quotas from one day to another, by region of the calling organisation.
    pub async fn calls_by_region(&self, from: &str, to: &str) -> Result<Vec<Count>> {
        let sql = "SELECT COALESCE(o.region, '') AS word, CAST(SUM(q.calls) AS BIGINT) AS n FROM quota_day q
                   LEFT JOIN application a ON a.id = q.application LEFT JOIN org o ON o.id = a.org
                   WHERE q.day >= $1 AND q.day <= $2 GROUP BY COALESCE(o.region, '') ORDER BY 1";
        self.counted(sql, &[from, to]).await
    }

    /// The interfaces called most on a day, at most 10.
    pub async fn calls_by_entry(&self, day: &str) -> Result<Vec<Called>> {
        let sql = "SELECT e.id, e.code, e.title, e.org, CAST(SUM(q.calls) AS BIGINT) AS n FROM quota_day q
                   JOIN entry e ON e.id = q.entry WHERE q.day = $1
                   GROUP BY e.id, e.code, e.title, e.org ORDER BY n DESC, e.code LIMIT 10";
        sqlx::query(sql)
            .bind(day)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| {
                Ok(Called {
                    entry: text(row, "id")?,
                    code: text(row, "code")?,
                    title: text(row, "title")?,
                    org: text(row, "org")?,
                    calls: many(row)?,
                })
            })
            .collect()
    }

    /// Days from one to another on which calls were counted, oldest first, at most 400. One look by index a day.
    pub async fn called_days(&self, from: &str, to: &str) -> Result<Vec<String>> {
        let mut found = Vec::new();
        let mut at = from.to_owned();
        let mut sql = "SELECT MIN(day) AS day FROM quota_day WHERE day >= $1 AND day <= $2";
        while found.len() < 400 {
            let row = sqlx::query(sql)
                .bind(at.as_str())
                .bind(to)
                .fetch_one(self.db.pool())
                .await
                .map_err(fail)?;
            let Some(day) = maybe(&row, "day")? else { break };
            at.clone_from(&day);
            found.push(day);
            sql = "SELECT MIN(day) AS day FROM quota_day WHERE day > $1 AND day <= $2";
        }
        Ok(found)
    }

    /// Calls rolled up by region of the caller, from one day to before another.
    pub async fn called_by_region(&self, from: &str, before: &str) -> Result<Vec<Count>> {
        let sql = "SELECT holder AS word, CAST(SUM(amount) AS BIGINT) AS n FROM usage_day
                   WHERE resource = 'called' AND kind = 'region' AND day >= $1 AND day < $2 GROUP BY holder ORDER BY 1";
        self.counted(sql, &[from, before]).await
    }

    /// A page of applications that called between two days, by id; of callers in one region (not below it) when given.
    pub async fn callers(
        &self,
        from: &str,
        to: &str,
        region: Option<&str>,
        after: &str,
        limit: u32,
    ) -> Result<Vec<Caller>> {
        let within = if region.is_some() { " AND COALESCE(o.region, '') = $4" } else { "" };
        let sql = format!(
            "SELECT q.application, COALESCE(a.name, '') AS name, COALESCE(a.org, '') AS org, CAST(SUM(q.calls) AS BIGINT) AS n
             FROM quota_day q LEFT JOIN application a ON a.id = q.application LEFT JOIN org o ON o.id = a.org
             WHERE q.day >= $1 AND q.day <= $2 AND q.application > $3{within}
             GROUP BY q.application, COALESCE(a.name, ''), COALESCE(a.org, '') ORDER BY q.application LIMIT {}",
            page(limit)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql)).bind(from).bind(to).bind(after);
        if let Some(region) = region {
            query = query.bind(region);
        }
        query
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| {
                Ok(Caller {
                    application: text(row, "application")?,
                    name: text(row, "name")?,
                    org: text(row, "org")?,
                    calls: many(row)?,
                })
            })
            .collect()
    }

    /// Entries whose collections failed since a stamp, most often first.
    pub async fn failing_entries(&self, since: &str, limit: u32) -> Result<Vec<Failing>> {
        let sql = format!(
            "SELECT r.entry, COALESCE(e.code, '') AS code, COALESCE(e.title, r.entry) AS title, COALESCE(e.org, '') AS org,
                 COUNT(*) AS n, MAX(r.id) AS last FROM run r LEFT JOIN entry e ON e.id = r.entry
             WHERE r.state = 'failed' AND r.started_at >= $1 GROUP BY r.entry, COALESCE(e.code, ''), COALESCE(e.title, r.entry), COALESCE(e.org, '')
             ORDER BY n DESC, last DESC LIMIT {}",
            page(limit)
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(since)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| {
                Ok(Failing {
                    entry: text(row, "entry")?,
                    code: text(row, "code")?,
                    title: text(row, "title")?,
                    org: text(row, "org")?,
                    failed: many(row)?,
                    last: text(row, "last")?,
                })
            })
            .collect()
    }

    /// Failed runs since a stamp.
    pub async fn count_failed(&self, since: &str) -> Result<u64> {
        let sql = "SELECT 'failed' AS word, COUNT(*) AS n FROM run WHERE state = 'failed' AND started_at >= $1";
        Ok(self.counted(sql, &[since]).await?.first().map_or(0, |c| c.count))
    }

    /// Data sources whose last trial failed, by name; a house has few sources.
    pub async fn failing_sources(&self, limit: u32) -> Result<Vec<DataSource>> {
        let sql = format!(
            "SELECT body FROM source WHERE body NOT LIKE '%\"tried\":\"ok\"%' AND body NOT LIKE '%\"tried\":\"\"%'
             ORDER BY name, id LIMIT {}",
            page(limit)
        );
        self.db.bodies(sql, &Clause::default()).await
    }

    /// Writes down how large the ledgers are today; the first time, also how large they were in the 30 days before.
    pub async fn ledger_day_put(&self, permit: &Permit, today: &str) -> Result<()> {
        permit.require(&[Action::SystemWork])?;
        let first = self.ledger_days(1).await?.is_empty();
        let mut now = self
            .counted(
                "SELECT ledger AS word, COUNT(*) AS n FROM asset WHERE merged_into IS NULL GROUP BY ledger ORDER BY 1",
                &[],
            )
            .await?;
        for word in ["application", "component", "cloud"] {
            if !now.iter().any(|c| c.word == word) {
                now.push(Count { word: word.into(), count: 0 });
            }
        }
        for sql in [
            "SELECT 'data' AS word, COUNT(*) AS n FROM entry",
            "SELECT 'item' AS word, COUNT(*) AS n FROM item",
        ] {
            now.extend(self.counted(sql, &[]).await?);
        }
        for count in &now {
            self.ledger_day_one(today, &count.word, count.count).await?;
        }
        if first {
            self.ledger_day_past(today, &now).await?;
        }
        Ok(())
    }

    async fn ledger_day_one(&self, day: &str, ledger: &str, total: u64) -> Result<()> {
        sqlx::query(
            "INSERT INTO ledger_day (day, ledger, total) VALUES ($1, $2, $3)
             ON CONFLICT (day, ledger) DO UPDATE SET total = excluded.total",
        )
        .bind(day)
        .bind(ledger)
        .bind(i64::try_from(total).unwrap_or(i64::MAX))
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// What there was at the end of each day before, by when things were entered.
    async fn ledger_day_past(&self, today: &str, now: &[Count]) -> Result<()> {
        for (sql, one) in [
            (
                "SELECT ledger || ' ' || SUBSTR(created_at, 1, 10) AS word, COUNT(*) AS n FROM asset
                 WHERE merged_into IS NULL GROUP BY ledger || ' ' || SUBSTR(created_at, 1, 10) ORDER BY 1",
                "",
            ),
            (
                "SELECT 'data ' || SUBSTR(created_at, 1, 10) AS word, COUNT(*) AS n FROM entry
                 GROUP BY SUBSTR(created_at, 1, 10) ORDER BY 1",
                "data",
            ),
        ] {
            let entered = self.counted(sql, &[]).await?;
            for ledger in now.iter().filter(|c| if one.is_empty() { !matches!(c.word.as_str(), "data" | "item") } else { c.word == one }) {
                let mut total = ledger.count;
                let mut days: Vec<(&str, u64)> = entered
                    .iter()
                    .filter_map(|c| {
                        let (word, day) = c.word.split_once(' ')?;
                        (word == ledger.word).then_some((day, c.count))
                    })
                    .collect();
                days.reverse();
                // Before the things of a day were entered, there were so many fewer: known for the day before it.
                for (day, n) in days.into_iter().take(60) {
                    if day < today {
                        self.ledger_day_one(day, &ledger.word, total).await?;
                    }
                    total = total.saturating_sub(n);
                }
            }
        }
        Ok(())
    }

    /// Sizes of the ledgers on the last `days` days that were written down, oldest first.
    pub async fn ledger_days(&self, days: u32) -> Result<Vec<(String, String, u64)>> {
        let sql = format!(
            "SELECT day, ledger, total AS n FROM ledger_day WHERE day IN
                 (SELECT DISTINCT day FROM ledger_day ORDER BY day DESC LIMIT {}) ORDER BY day, ledger",
            page(days)
        );
        sqlx::query(AssertSqlSafe(sql))
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| Ok((text(row, "day")?, text(row, "ledger")?, many(row)?)))
            .collect()
    }

    /// Replaces what is known of entries older than their update cycle.
    pub async fn stale_put(&self, permit: &Permit, at: &str, stale: &[StaleEntry]) -> Result<()> {
        permit.require(&[Action::SystemWork])?;
        for chunk in stale.chunks(500) {
            let mut tx = self.db.begin().await?;
            for entry in chunk {
                sqlx::query(
                    "INSERT INTO stale_entry (entry, org, region, code, title, cycle, data_at, due, seen_at)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
                     ON CONFLICT (entry) DO UPDATE SET org = excluded.org, region = excluded.region, code = excluded.code,
                         title = excluded.title, cycle = excluded.cycle, data_at = excluded.data_at, due = excluded.due,
                         seen_at = excluded.seen_at",
                )
                .bind(entry.entry.as_str())
                .bind(entry.org.as_str())
                .bind(entry.region.as_str())
                .bind(entry.code.as_str())
                .bind(entry.title.as_str())
                .bind(entry.cycle.as_str())
                .bind(entry.data_at.as_str())
                .bind(entry.due.as_str())
                .bind(at)
                .execute(&mut *tx)
                .await
                .map_err(fail)?;
            }
            tx.commit().await.map_err(fail)?;
        }
        sqlx::query("DELETE FROM stale_entry WHERE seen_at < $1")
            .bind(at)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(())
    }

    /// A page of stale entries, longest stale first; `after` is `due entry` of the last one seen. What has got data since
    /// it was measured is left out.
    pub async fn stale_list(
        &self,
        cycle: Option<&str>,
        org: Option<&str>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<StaleEntry>> {
        let mut c = Clause::default();
        c.and("NOT EXISTS (SELECT 1 FROM entry e WHERE e.id = s.entry AND COALESCE(e.data_at, '') > s.data_at)");
        if let Some(cycle) = cycle {
            c.and_text("s.cycle =", cycle);
        }
        if let Some(org) = org {
            c.and_text("s.org =", org);
        }
        if let Some((due, entry)) = after.and_then(|a| a.split_once(' ')) {
            c.and_text("(s.due, s.entry) > (", due);
            c.more(",", entry);
            c.close();
        }
        let sql = format!(
            "SELECT s.* FROM stale_entry s{} ORDER BY s.due, s.entry LIMIT {}",
            c.sql(),
            page(limit)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for value in c.values() {
            query = query.bind(value.as_str());
        }
        query
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| {
                Ok(StaleEntry {
                    entry: text(row, "entry")?,
                    org: text(row, "org")?,
                    region: text(row, "region")?,
                    code: text(row, "code")?,
                    title: text(row, "title")?,
                    cycle: text(row, "cycle")?,
                    data_at: text(row, "data_at")?,
                    due: text(row, "due")?,
                })
            })
            .collect()
    }

    /// Entries known to be stale.
    pub async fn count_stale(&self) -> Result<u64> {
        let sql = "SELECT 'stale' AS word, COUNT(*) AS n FROM stale_entry";
        Ok(self.counted(sql, &[]).await?.first().map_or(0, |c| c.count))
    }

    /// Applications of the ledger that sign calls: their code and the id of the application (应用) they call as.
    pub async fn application_codes(&self) -> Result<HashMap<String, String>> {
        sqlx::query(
            "SELECT s.code, a.id FROM asset s JOIN application a ON a.access_key = s.call_key
             WHERE s.ledger = 'application' AND s.call_key <> ''",
        )
        .fetch_all(self.db.pool())
        .await
        .map_err(fail)?
        .iter()
        .map(|row| Ok((text(row, "code")?, text(row, "id")?)))
        .collect()
    }

    /// A page of entries that have rows: id, code, organisation.
    pub async fn entries_with_rows(
        &self,
        after: &str,
        limit: u32,
    ) -> Result<Vec<(String, String, String)>> {
        let sql = format!(
            "SELECT id, code, org FROM entry WHERE row_count > 0 AND id > $1 ORDER BY id LIMIT {}",
            page(limit)
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(after)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| Ok((text(row, "id")?, text(row, "code")?, text(row, "org")?)))
            .collect()
    }

    async fn counted(&self, sql: &'static str, values: &[&str]) -> Result<Vec<Count>> {
        let mut query = sqlx::query(sql);
        for value in values {
            query = query.bind(*value);
        }
        query
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| Ok(Count { word: text(row, "word")?, count: many(row)? }))
            .collect()
    }
}

fn many(row: &AnyRow) -> Result<u64> {
    Ok(u64::try_from(number(row, "n")?).unwrap_or(0))
}
