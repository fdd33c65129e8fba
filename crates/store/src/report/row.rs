//! Rows of fills, and whose the business keys of an entry are: a key belongs to one organisation, and there to the task of
//! its newest period, so that no report overwrites another's row unseen.

use std::collections::HashSet;

use model::report::{Cells, Task, TaskEvent};
use model::{Error, Result};
use policy::Permit;
use sqlx::{Any, Transaction};

use super::task::{WRITERS, count, put};
use crate::Store;
use crate::db::{fail, json, number, text, to_json};

/// Rows of one statement.
const TOGETHER: usize = 200;

/// A key that another organisation has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyHeld {
    /// Row of the submission.
    pub row: u64,
    pub org: String,
}

pub(super) async fn drop_rows(
    tx: &mut Transaction<'static, Any>,
    task: &str,
    revision: u64,
    n: Option<u64>,
) -> Result<()> {
    let query = match n {
        None => sqlx::query("DELETE FROM report_row WHERE task = $1 AND revision = $2")
            .bind(task)
            .bind(count(revision)),
        Some(n) => {
            sqlx::query("DELETE FROM report_row WHERE task = $1 AND revision = $2 AND n = $3")
                .bind(task)
                .bind(count(revision))
                .bind(count(n))
        }
    };
    query.execute(&mut **tx).await.map_err(fail)?;
    Ok(())
}

/// Writes rows of the draft, new ones and changed ones.
pub(super) async fn put_rows(
    tx: &mut Transaction<'static, Any>,
    task: &str,
    rows: &[(u64, Cells)],
) -> Result<()> {
    for (n, cells) in rows {
        sqlx::query(
            "INSERT INTO report_row (task, revision, n, cells) VALUES ($1, 0, $2, $3)
             ON CONFLICT (task, revision, n) DO UPDATE SET cells = excluded.cells",
        )
        .bind(task)
        .bind(count(*n))
        .bind(to_json(cells)?)
        .execute(&mut **tx)
        .await
        .map_err(fail)?;
    }
    Ok(())
}

/// Writes rows of a revision that has none.
pub(super) async fn write_rows(
    tx: &mut Transaction<'static, Any>,
    task: &str,
    revision: u64,
    rows: &[(u64, Cells)],
) -> Result<()> {
    for some in rows.chunks(TOGETHER) {
        let marks: Vec<String> =
            (0..some.len()).map(|i| format!("($1, $2, ${}, ${})", i * 2 + 3, i * 2 + 4)).collect();
        let sql = format!(
            "INSERT INTO report_row (task, revision, n, cells) VALUES {}",
            marks.join(", ")
        );
        let mut query = sqlx::query::<Any>(sqlx::AssertSqlSafe(sql))
            .bind(task.to_owned())
            .bind(count(revision));
        for (n, cells) in some {
            query = query.bind(count(*n)).bind(to_json(cells)?);
        }
        query.execute(&mut **tx).await.map_err(fail)?;
    }
    Ok(())
}

impl Store {
    /// Rows of a revision (0: the draft) from row `from` on, in order.
    pub async fn report_rows_from(
        &self,
        task: &str,
        revision: u64,
        from: u64,
        limit: u32,
    ) -> Result<Vec<(u64, Cells)>> {
        let sql = format!(
            "SELECT n, cells FROM report_row WHERE task = $1 AND revision = $2 AND n >= $3 ORDER BY n LIMIT {limit}"
        );
        sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(task)
            .bind(count(revision))
            .bind(count(from))
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| Ok((u64::try_from(number(row, "n")?).unwrap_or(0), json(row, "cells")?)))
            .collect()
    }

    /// Rows of a revision besides what is filled once, and the number of the last.
    pub async fn report_rows_count(&self, task: &str, revision: u64) -> Result<(u64, u64)> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS rows_there, COALESCE(MAX(n), 0) AS last FROM report_row
             WHERE task = $1 AND revision = $2 AND n > 0",
        )
        .bind(task)
        .bind(count(revision))
        .fetch_one(self.db.pool())
        .await
        .map_err(fail)?;
        let of = |name| number(&row, name).map(|n| u64::try_from(n).unwrap_or(0));
        Ok((of("rows_there")?, of("last")?))
    }

    /// Accepts a submission whose rows have these keys. Nothing happens when another organisation has one of them: those
    /// are answered (a hundred at most).
    pub async fn report_task_accept(
        &self,
        permit: &Permit,
        task: &Task,
        seen: u64,
        event: &TaskEvent,
        keys: &[(u64, String)],
    ) -> Result<Vec<KeyHeld>> {
        permit.require(WRITERS)?;
        let mut tx = self.db.begin().await?;
        put(&mut tx, task, seen, Some(event)).await?;
        let mut held = Vec::new();
        for (row, key) in keys {
            let done = sqlx::query(
                "INSERT INTO report_key (entry, key_hash, org, period, task) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (entry, key_hash) DO UPDATE SET period = excluded.period, task = excluded.task
                 WHERE report_key.org = excluded.org AND report_key.period <= excluded.period",
            )
            .bind(task.entry.as_str())
            .bind(key.as_str())
            .bind(task.org.as_str())
            .bind(task.period.as_str())
            .bind(task.id.as_str())
            .execute(&mut *tx)
            .await
            .map_err(fail)?;
            if done.rows_affected() == 1 {
                continue;
            }
            let owner =
                sqlx::query("SELECT org FROM report_key WHERE entry = $1 AND key_hash = $2")
                    .bind(task.entry.as_str())
                    .bind(key.as_str())
                    .fetch_optional(&mut *tx)
                    .await
                    .map_err(fail)?
                    .ok_or_else(|| Error::internal("report: a key that is held has no holder"))?;
            let org = text(&owner, "org")?;
            // The same organisation has reported the key for a later period: that row stands.
            if org != task.org {
                held.push(KeyHeld { row: *row, org });
                if held.len() >= 100 {
                    break;
                }
            }
        }
        if held.is_empty() {
            tx.commit().await.map_err(fail)?;
        } else {
            tx.rollback().await.map_err(fail)?;
        }
        Ok(held)
    }

    /// Tasks that own keys of an entry.
    pub async fn report_owners_of(&self, entry: &str) -> Result<Vec<String>> {
        sqlx::query("SELECT DISTINCT task FROM report_key WHERE entry = $1 ORDER BY task")
            .bind(entry)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| text(row, "task"))
            .collect()
    }

    /// Keys that are a task's.
    pub async fn report_keys_of(&self, task: &str) -> Result<HashSet<String>> {
        sqlx::query("SELECT key_hash FROM report_key WHERE task = $1")
            .bind(task)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| text(row, "key_hash"))
            .collect()
    }

    /// Gives keys of a task up: their rows are no longer in the entry.
    pub async fn report_keys_release(
        &self,
        permit: &Permit,
        task: &Task,
        keys: &[String],
    ) -> Result<()> {
        permit.require(WRITERS)?;
        let mut tx = self.db.begin().await?;
        for key in keys {
            sqlx::query("DELETE FROM report_key WHERE entry = $1 AND key_hash = $2 AND task = $3")
                .bind(task.entry.as_str())
                .bind(key.as_str())
                .bind(task.id.as_str())
                .execute(&mut *tx)
                .await
                .map_err(fail)?;
        }
        tx.commit().await.map_err(fail)
    }
}
