//! Delta Sharing in the control store: digests of bearer tokens, versions of views with their last use, reads that have begun.

use model::Result;
use model::delta::{DeltaToken, DeltaView};
use policy::{Action, Permit};
use sqlx::any::AnyRow;

use crate::Store;
use crate::db::{fail, number, signed, text};

impl Store {
    /// Keeps the digest of a new token, unless the application holds as many that still work; answers whether it did.
    pub async fn delta_token_insert(
        &self,
        permit: &Permit,
        token: &DeltaToken,
        digest: &str,
        most: u32,
    ) -> Result<bool> {
        permit.require(&[Action::ApplicationManage])?;
        let mut tx = self.db.begin().await?;
        let held = sqlx::query(
            "SELECT COUNT(*) AS n FROM delta_token WHERE application = $1 AND ends_at > $2",
        )
        .bind(token.application.as_str())
        .bind(token.made_at.as_str())
        .fetch_one(&mut *tx)
        .await
        .map_err(fail)?;
        if number(&held, "n")? >= i64::from(most) {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO delta_token (id, application, digest, made_at, made_by, ends_at, purpose) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(token.id.as_str())
        .bind(token.application.as_str())
        .bind(digest)
        .bind(token.made_at.as_str())
        .bind(token.made_by.as_str())
        .bind(token.ends_at.as_str())
        .bind(token.purpose.as_str())
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        tx.commit().await.map_err(fail)?;
        Ok(true)
    }

    /// Has tokens of an application end by a time: one of them, or all; answers how many.
    pub async fn delta_token_end(
        &self,
        permit: &Permit,
        application: &str,
        id: Option<&str>,
        by: &str,
    ) -> Result<u64> {
        permit.require(&[Action::ApplicationManage])?;
        let done = sqlx::query(
            "UPDATE delta_token SET ends_at = $1 WHERE application = $2 AND ($3 = '' OR id = $3) AND ends_at > $1",
        )
        .bind(by)
        .bind(application)
        .bind(id.unwrap_or_default())
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(done.rows_affected())
    }

    /// Tokens of an application, newest first (the first hundred).
    pub async fn delta_tokens(&self, application: &str) -> Result<Vec<DeltaToken>> {
        sqlx::query("SELECT * FROM delta_token WHERE application = $1 ORDER BY id DESC LIMIT 100")
            .bind(application)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(read_token)
            .collect()
    }

    /// The token with this digest.
    pub async fn delta_token_of(&self, digest: &str) -> Result<Option<DeltaToken>> {
        sqlx::query("SELECT * FROM delta_token WHERE digest = $1")
            .bind(digest)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .as_ref()
            .map(read_token)
            .transpose()
    }

    /// Whether a token works at a time, and its application too.
    pub async fn delta_token_stands(&self, id: &str, now: &str) -> Result<bool> {
        let found = sqlx::query(
            "SELECT 1 AS one FROM delta_token t JOIN application a ON a.id = t.application
             WHERE t.id = $1 AND t.ends_at > $2 AND a.active <> 0",
        )
        .bind(id)
        .bind(now)
        .fetch_optional(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(found.is_some())
    }

    /// Notes the use of a token.
    pub async fn delta_token_used(&self, id: &str, at: &str) -> Result<()> {
        sqlx::query("UPDATE delta_token SET used_at = $1 WHERE id = $2")
            .bind(at)
            .bind(id)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(())
    }

    /// Notes that a version of a view was asked for, and how it was made when that is new.
    pub async fn delta_view_used(&self, view: &DeltaView) -> Result<()> {
        sqlx::query(
            "INSERT INTO delta_view (id, version, application, entry, files, row_count, bytes, made_at, millis, used_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             ON CONFLICT (id, version) DO UPDATE SET used_at = $10",
        )
        .bind(view.id.as_str())
        .bind(view.version)
        .bind(view.application.as_str())
        .bind(view.entry.as_str())
        .bind(signed(view.files))
        .bind(signed(view.rows))
        .bind(signed(view.bytes))
        .bind(view.made_at.as_str())
        .bind(signed(view.millis))
        .bind(view.used_at)
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// Versions of views, by id; those of one application or of all.
    pub async fn delta_views(&self, application: Option<&str>) -> Result<Vec<DeltaView>> {
        sqlx::query(
            "SELECT * FROM delta_view WHERE $1 = '' OR application = $1 ORDER BY id, version DESC",
        )
        .bind(application.unwrap_or_default())
        .fetch_all(self.db.pool())
        .await
        .map_err(fail)?
        .iter()
        .map(|row| {
            let count = |name| Ok(u64::try_from(number(row, name)?).unwrap_or(0));
            Ok(DeltaView {
                id: text(row, "id")?,
                version: number(row, "version")?,
                application: text(row, "application")?,
                entry: text(row, "entry")?,
                files: count("files")?,
                rows: count("row_count")?,
                bytes: count("bytes")?,
                made_at: text(row, "made_at")?,
                millis: count("millis")?,
                used_at: number(row, "used_at")?,
            })
        })
        .collect()
    }

    /// Forgets a view: one version, or all of it.
    pub async fn delta_view_forget(
        &self,
        permit: &Permit,
        id: &str,
        version: Option<i64>,
    ) -> Result<()> {
        permit.require(&[Action::SystemWork])?;
        sqlx::query("DELETE FROM delta_view WHERE id = $1 AND ($2 < 0 OR version = $2)")
            .bind(id)
            .bind(version.unwrap_or(-1))
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(())
    }

    /// When a read began and was last heard of, milliseconds since 1970.
    pub async fn delta_read(&self, id: &str) -> Result<Option<(i64, i64)>> {
        sqlx::query("SELECT begun_at, last_at FROM delta_read WHERE id = $1")
            .bind(id)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| Ok((number(&row, "begun_at")?, number(&row, "last_at")?)))
            .transpose()
    }

    /// Notes that a read began, or goes on.
    pub async fn delta_read_note(&self, id: &str, at: i64) -> Result<()> {
        sqlx::query(
            "INSERT INTO delta_read (id, begun_at, last_at) VALUES ($1, $2, $2) ON CONFLICT (id) DO UPDATE SET last_at = $2",
        )
        .bind(id)
        .bind(at)
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// Forgets reads that were last heard of before a time; answers how many.
    pub async fn delta_reads_forget(&self, permit: &Permit, before: i64) -> Result<u64> {
        permit.require(&[Action::SystemWork])?;
        let done = sqlx::query("DELETE FROM delta_read WHERE last_at < $1")
            .bind(before)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(done.rows_affected())
    }
}

fn read_token(row: &AnyRow) -> Result<DeltaToken> {
    Ok(DeltaToken {
        id: text(row, "id")?,
        application: text(row, "application")?,
        made_at: text(row, "made_at")?,
        made_by: text(row, "made_by")?,
        ends_at: text(row, "ends_at")?,
        used_at: text(row, "used_at")?,
        purpose: text(row, "purpose")?,
    })
}
