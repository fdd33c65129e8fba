//! Bounds of calling, and the counters of how often subjects are asked about.

use model::bounds::{Bounds, BoundsKind};
use model::{Error, Result};
use policy::{Action, Permit};
use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};

use crate::Store;
use crate::db::{fail, json, text, to_json};

/// What is set for one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundsRow {
    pub kind: BoundsKind,
    pub holder: String,
    pub bounds: Bounds,
    pub set_at: String,
    pub set_by: String,
}

/// Whose counters: an application (or an address of the public), an entry, a day (`YYYY-MM-DD`).
#[derive(Clone, Copy, Debug)]
pub struct SubjectKey<'a> {
    pub application: &'a str,
    pub entry: &'a str,
    pub day: &'a str,
}

impl Store {
    /// Sets the bounds of a thing; bounds of nothing are taken away. Every process notices by the ledger epoch.
    pub async fn bounds_set(&self, permit: &Permit, row: &BoundsRow) -> Result<()> {
        permit.require(&[Action::BoundsSet])?;
        let mut tx = self.db.begin().await?;
        let done = match row.bounds.any() {
            true => {
                sqlx::query(
                    "INSERT INTO bounds (kind, holder, body, set_at, set_by) VALUES ($1, $2, $3, $4, $5)
                     ON CONFLICT (kind, holder) DO UPDATE SET body = $3, set_at = $4, set_by = $5",
                )
                .bind(row.kind.as_str())
                .bind(row.holder.as_str())
                .bind(to_json(&row.bounds)?)
                .bind(row.set_at.as_str())
                .bind(row.set_by.as_str())
                .execute(&mut *tx)
                .await
            }
            false => {
                sqlx::query("DELETE FROM bounds WHERE kind = $1 AND holder = $2")
                    .bind(row.kind.as_str())
                    .bind(row.holder.as_str())
                    .execute(&mut *tx)
                    .await
            }
        };
        done.map_err(fail)?;
        crate::entry::touch(&mut tx).await?;
        tx.commit().await.map_err(fail)
    }

    /// What is set for a thing.
    pub async fn bounds_get(&self, kind: BoundsKind, holder: &str) -> Result<Option<BoundsRow>> {
        sqlx::query("SELECT * FROM bounds WHERE kind = $1 AND holder = $2")
            .bind(kind.as_str())
            .bind(holder)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| read(&row))
            .transpose()
    }

    /// Everything that bounds a call; an empty name stands for none.
    pub async fn bounds_of(
        &self,
        application: &str,
        request: &str,
        entry: &str,
    ) -> Result<Vec<BoundsRow>> {
        sqlx::query(
            "SELECT * FROM bounds WHERE (kind = 'application' AND holder = $1) OR (kind = 'request' AND holder = $2)
             OR (kind = 'entry' AND holder = $3) ORDER BY kind",
        )
        .bind(application)
        .bind(request)
        .bind(entry)
        .fetch_all(self.db.pool())
        .await
        .map_err(fail)?
        .iter()
        .map(read)
        .collect()
    }

    /// Counts one ask about each of these subjects, or about none of them: `false` when one was asked about `most` times today.
    /// Counting, not a governed write: it can only lessen what a grant allows. The counts are on disk before the answer.
    pub async fn subject_take(
        &self,
        key: SubjectKey<'_>,
        subjects: &[String],
        most: u32,
    ) -> Result<bool> {
        let mut tx = self.db.begin().await?;
        // In one order everywhere, so that two that share subjects wait for each other and nothing more.
        let mut subjects: Vec<&String> = subjects.iter().collect();
        subjects.sort_unstable();
        for subject in subjects {
            let done = sqlx::query(
                "INSERT INTO subject_day (application, entry, day, subject, asks) VALUES ($1, $2, $3, $4, 1)
                 ON CONFLICT (application, entry, day, subject) DO UPDATE SET asks = subject_day.asks + 1
                 WHERE subject_day.asks < $5",
            )
            .bind(key.application)
            .bind(key.entry)
            .bind(key.day)
            .bind(subject.as_str())
            .bind(i64::from(most))
            .execute(&mut *tx)
            .await
            .map_err(fail)?;
            if done.rows_affected() == 0 {
                tx.rollback().await.map_err(fail)?;
                return Ok(false);
            }
        }
        tx.commit().await.map_err(fail)?;
        Ok(true)
    }

    /// Takes asks back that were not answered through no fault of the caller.
    pub async fn subject_return(&self, key: SubjectKey<'_>, subjects: &[String]) -> Result<()> {
        let mut tx = self.db.begin().await?;
        let mut subjects: Vec<&String> = subjects.iter().collect();
        subjects.sort_unstable();
        for subject in subjects {
            less(&mut tx, key, subject).await?;
        }
        tx.commit().await.map_err(fail)
    }

    /// Forgets counters of days before one; answers how many.
    pub async fn subject_forget(&self, permit: &Permit, before: &str) -> Result<u64> {
        permit.require(&[Action::SystemWork])?;
        let done = sqlx::query("DELETE FROM subject_day WHERE day < $1")
            .bind(before)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(done.rows_affected())
    }
}

async fn less(
    tx: &mut Transaction<'static, Any>,
    key: SubjectKey<'_>,
    subject: &str,
) -> Result<()> {
    sqlx::query(
        "UPDATE subject_day SET asks = asks - 1 WHERE application = $1 AND entry = $2 AND day = $3 AND subject = $4 AND asks > 0",
    )
    .bind(key.application)
    .bind(key.entry)
    .bind(key.day)
    .bind(subject)
    .execute(&mut **tx)
    .await
    .map_err(fail)?;
    Ok(())
}

fn read(row: &AnyRow) -> Result<BoundsRow> {
    let kind = text(row, "kind")?;
    Ok(BoundsRow {
        kind: BoundsKind::parse(&kind)
            .ok_or_else(|| Error::internal(format!("bounds of `{kind}`")))?,
        holder: text(row, "holder")?,
        bounds: json(row, "body")?,
        set_at: text(row, "set_at")?,
        set_by: text(row, "set_by")?,
    })
}
