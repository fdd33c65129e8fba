//! Seals over the audit chain, in the control store: apart from the chain they vouch for.

use model::evidence::Sealed;
use model::{Error, Result};
use policy::{Action, Permit};
use sqlx::any::AnyRow;

use crate::Store;
use crate::db::{fail, json, page};

impl Store {
    /// Adds a seal. A number or a last record that is there already is refused: another process was quicker.
    pub async fn seal_insert(&self, permit: &Permit, sealed: &Sealed) -> Result<()> {
        permit.require(&[Action::SystemWork])?;
        let body =
            serde_json::to_string(sealed).map_err(|e| Error::internal("JSON").caused_by(e))?;
        sqlx::query("INSERT INTO seal (number, last, body) VALUES ($1, $2, $3)")
            .bind(sealed.seal.number)
            .bind(sealed.seal.last)
            .bind(body)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(())
    }

    /// The newest seal.
    pub async fn seal_newest(&self) -> Result<Option<Sealed>> {
        Ok(self.seals(None, 1).await?.pop())
    }

    /// The seal over a record, behind the one before it.
    pub async fn seal_over(&self, record: i64) -> Result<(Option<Sealed>, Option<Sealed>)> {
        let rows = sqlx::query(
            "SELECT body FROM seal WHERE last >= (SELECT COALESCE(MAX(last), 0) FROM seal WHERE last < $1)
             ORDER BY last LIMIT 2",
        )
        .bind(record)
        .fetch_all(self.db.pool())
        .await
        .map_err(fail)?;
        let found = rows.iter().map(read).collect::<Result<Vec<_>>>()?;
        let (before, over): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|kept| kept.seal.last < record);
        Ok((before.into_iter().next(), over.into_iter().next()))
    }

    /// Seals, newest first, before a number.
    pub async fn seals(&self, before: Option<i64>, limit: u32) -> Result<Vec<Sealed>> {
        let rows =
            sqlx::query("SELECT body FROM seal WHERE number < $1 ORDER BY number DESC LIMIT $2")
                .bind(before.unwrap_or(i64::MAX))
                .bind(page(limit))
                .fetch_all(self.db.pool())
                .await
                .map_err(fail)?;
        rows.iter().map(read).collect()
    }
}

fn read(row: &AnyRow) -> Result<Sealed> {
    json(row, "body")
}
