//! Certificates of applications in the control store.

use model::Result;
use policy::{Action, Permit};
use serde::Serialize;
use sqlx::any::AnyRow;

use crate::Store;
use crate::db::{fail, on_duplicate, text};

/// One certificate by which an application may call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Certificate {
    /// SHA-256 of it, lower hex.
    pub thumbprint: String,
    pub application: String,
    /// What its owner calls it.
    pub name: String,
    pub added_at: String,
    pub added_by: String,
}

impl Store {
    /// Enters a certificate; one is of one application.
    pub async fn certificate_insert(&self, permit: &Permit, new: &Certificate) -> Result<()> {
        permit.require(&[Action::ApplicationManage])?;
        sqlx::query(
            "INSERT INTO certificate (thumbprint, application, name, added_at, added_by) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(new.thumbprint.as_str())
        .bind(new.application.as_str())
        .bind(new.name.as_str())
        .bind(new.added_at.as_str())
        .bind(new.added_by.as_str())
        .execute(self.db.pool())
        .await
        .map_err(|e| on_duplicate(e, "该证书已登记", "this certificate is registered already"))?;
        Ok(())
    }

    /// Takes a certificate of an application away; every process notices by the ledger epoch.
    pub async fn certificate_delete(
        &self,
        permit: &Permit,
        application: &str,
        thumbprint: &str,
    ) -> Result<bool> {
        permit.require(&[Action::ApplicationManage])?;
        let mut tx = self.db.begin().await?;
        let done =
            sqlx::query("DELETE FROM certificate WHERE thumbprint = $1 AND application = $2")
                .bind(thumbprint)
                .bind(application)
                .execute(&mut *tx)
                .await
                .map_err(fail)?;
        crate::entry::touch(&mut tx).await?;
        tx.commit().await.map_err(fail)?;
        Ok(done.rows_affected() == 1)
    }

    /// Certificates of an application, the newest first.
    pub async fn certificates_of(&self, application: &str) -> Result<Vec<Certificate>> {
        let sql =
            "SELECT * FROM certificate WHERE application = $1 ORDER BY added_at DESC LIMIT 100";
        sqlx::query(sql)
            .bind(application)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(read)
            .collect()
    }

    /// Whether a certificate is an application's still, and the application in use.
    pub async fn certificate_stands(&self, application: &str, thumbprint: &str) -> Result<bool> {
        let found = sqlx::query(
            "SELECT 1 AS one FROM certificate c JOIN application a ON a.id = c.application
             WHERE c.thumbprint = $1 AND c.application = $2 AND a.active <> 0",
        )
        .bind(thumbprint)
        .bind(application)
        .fetch_optional(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(found.is_some())
    }

    /// Whose a certificate is.
    pub async fn certificate_get(&self, thumbprint: &str) -> Result<Option<Certificate>> {
        sqlx::query("SELECT * FROM certificate WHERE thumbprint = $1")
            .bind(thumbprint)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| read(&row))
            .transpose()
    }
}

fn read(row: &AnyRow) -> Result<Certificate> {
    Ok(Certificate {
        thumbprint: text(row, "thumbprint")?,
        application: text(row, "application")?,
        name: text(row, "name")?,
        added_at: text(row, "added_at")?,
        added_by: text(row, "added_by")?,
    })
}
