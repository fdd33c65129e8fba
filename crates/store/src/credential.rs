//! Short-lived credentials of applications: secrets of the older calling convention and access tokens. An application makes and
//! uses up its own, as a person its sessions: no permit is asked for them, but one is for taking all of them away.

use model::Result;
use policy::{Action, Permit};
use sqlx::any::AnyRow;

use crate::Store;
use crate::db::{fail, number, text};

/// A secret of the older convention as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRow {
    pub id: String,
    pub sealed: String,
    /// Milliseconds since 1970.
    pub issued_at: i64,
    pub ends_at: i64,
}

/// A token as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    /// Id of the application.
    pub application: String,
    /// Codes parted by spaces; empty is all that is granted.
    pub scope: String,
    pub ends_at: i64,
}

impl Store {
    /// Secrets of an application that end after a moment, the newest first (the first two hundred).
    pub async fn convention_secrets(
        &self,
        application: &str,
        kind: &str,
        after: i64,
    ) -> Result<Vec<SecretRow>> {
        sqlx::query(
            "SELECT id, sealed, issued_at, ends_at FROM convention_secret
             WHERE application = $1 AND kind = $2 AND ends_at > $3 ORDER BY ends_at DESC LIMIT 200",
        )
        .bind(application)
        .bind(kind)
        .bind(after)
        .fetch_all(self.db.pool())
        .await
        .map_err(fail)?
        .iter()
        .map(read_secret)
        .collect()
    }

    /// Enters a secret, and forgets those of its kind that ended before `forget`.
    pub async fn convention_secret_insert(
        &self,
        application: &str,
        kind: &str,
        row: &SecretRow,
        forget: i64,
    ) -> Result<()> {
        let mut tx = self.db.begin().await?;
        sqlx::query(
            "INSERT INTO convention_secret (id, application, kind, sealed, issued_at, ends_at) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(row.id.as_str())
        .bind(application)
        .bind(kind)
        .bind(row.sealed.as_str())
        .bind(row.issued_at)
        .bind(row.ends_at)
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        sqlx::query(
            "DELETE FROM convention_secret WHERE application = $1 AND kind = $2 AND ends_at < $3",
        )
        .bind(application)
        .bind(kind)
        .bind(forget)
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        tx.commit().await.map_err(fail)
    }

    /// Lets a secret last longer; `false` when it is gone meanwhile.
    pub async fn convention_secret_extend(&self, id: &str, ends_at: i64) -> Result<bool> {
        let done = sqlx::query("UPDATE convention_secret SET ends_at = $1 WHERE id = $2")
            .bind(ends_at)
            .bind(id)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(done.rows_affected() == 1)
    }

    /// How many applications hold a secret of the older convention that is good.
    pub async fn convention_users(&self, now: i64) -> Result<i64> {
        let row = sqlx::query(
            "SELECT COUNT(DISTINCT application) AS n FROM convention_secret WHERE ends_at > $1",
        )
        .bind(now)
        .fetch_one(self.db.pool())
        .await
        .map_err(fail)?;
        number(&row, "n")
    }

    /// Enters a token unless the application holds as many as it may; answers whether it did. Ended ones are forgotten.
    pub async fn access_token_insert(
        &self,
        digest: &str,
        row: &TokenRow,
        now: i64,
        most: u32,
    ) -> Result<bool> {
        let mut tx = self.db.begin().await?;
        sqlx::query("DELETE FROM access_token WHERE application = $1 AND ends_at <= $2")
            .bind(row.application.as_str())
            .bind(now)
            .execute(&mut *tx)
            .await
            .map_err(fail)?;
        let held = sqlx::query("SELECT COUNT(*) AS n FROM access_token WHERE application = $1")
            .bind(row.application.as_str())
            .fetch_one(&mut *tx)
            .await
            .map_err(fail)?;
        if number(&held, "n")? >= i64::from(most) {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO access_token (digest, application, scope, ends_at) VALUES ($1, $2, $3, $4)",
        )
        .bind(digest)
        .bind(row.application.as_str())
        .bind(row.scope.as_str())
        .bind(row.ends_at)
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        tx.commit().await.map_err(fail)?;
        Ok(true)
    }

    /// A token by its digest.
    pub async fn access_token_get(&self, digest: &str) -> Result<Option<TokenRow>> {
        sqlx::query("SELECT application, scope, ends_at FROM access_token WHERE digest = $1")
            .bind(digest)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| {
                Ok(TokenRow {
                    application: text(&row, "application")?,
                    scope: text(&row, "scope")?,
                    ends_at: number(&row, "ends_at")?,
                })
            })
            .transpose()
    }

    /// Takes a token of an application away; every process notices by the ledger epoch.
    pub async fn access_token_delete(&self, application: &str, digest: &str) -> Result<()> {
        let mut tx = self.db.begin().await?;
        let gone = sqlx::query("DELETE FROM access_token WHERE digest = $1 AND application = $2")
            .bind(digest)
            .bind(application)
            .execute(&mut *tx)
            .await
            .map_err(fail)?;
        if gone.rows_affected() > 0 {
            crate::entry::touch(&mut tx).await?;
        }
        tx.commit().await.map_err(fail)
    }

    /// Takes all short-lived credentials of an application away; every process notices by the ledger epoch.
    pub async fn credentials_drop(&self, permit: &Permit, application: &str) -> Result<()> {
        permit.require(&[Action::ApplicationManage, Action::SystemWork])?;
        let mut tx = self.db.begin().await?;
        for sql in [
            "DELETE FROM convention_secret WHERE application = $1",
            "DELETE FROM access_token WHERE application = $1",
            "DELETE FROM identity_token WHERE application = $1",
            "DELETE FROM identity_code WHERE application = $1",
        ] {
            sqlx::query(sql).bind(application).execute(&mut *tx).await.map_err(fail)?;
        }
        crate::entry::touch(&mut tx).await?;
        tx.commit().await.map_err(fail)
    }
}

fn read_secret(row: &AnyRow) -> Result<SecretRow> {
    Ok(SecretRow {
        id: text(row, "id")?,
        sealed: text(row, "sealed")?,
        issued_at: number(row, "issued_at")?,
        ends_at: number(row, "ends_at")?,
    })
}
