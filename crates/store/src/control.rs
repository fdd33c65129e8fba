//! Figures over the control store for the control page, each by an index.

use model::Result;
use serde::Serialize;
use sqlx::any::AnyRow;

use crate::Store;
use crate::db::{fail, number, text};

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
