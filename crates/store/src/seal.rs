//! Seals over the audit chain and their time stamps, in the control store: apart from the chain they vouch for.

use model::evidence::{Sealed, Stamp};
use model::{Error, Result};
use policy::{Action, Permit};
use sqlx::any::AnyRow;

use crate::Store;
use crate::db::{fail, json, maybe, page, to_json};

impl Store {
    /// Adds a seal. A number or a last record that is there already is refused: another process was quicker.
    pub async fn seal_insert(&self, permit: &Permit, sealed: &Sealed) -> Result<()> {
        permit.require(&[Action::SystemWork])?;
        let body = to_json(sealed)?;
        sqlx::query("INSERT INTO seal (number, last, body) VALUES ($1, $2, $3)")
            .bind(sealed.seal.number)
            .bind(sealed.seal.last)
            .bind(body)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(())
    }

    /// Keeps the stamp of a seal. One that is there already stays: the earlier time says more.
    pub async fn seal_stamp(&self, permit: &Permit, number: i64, stamp: &Stamp) -> Result<()> {
        permit.require(&[Action::SystemWork])?;
        sqlx::query(
            "INSERT INTO seal_stamp (number, body) VALUES ($1, $2) ON CONFLICT (number) DO NOTHING",
        )
        .bind(number)
        .bind(to_json(stamp)?)
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// Seals that have no stamp, newest first.
    pub async fn seals_unstamped(&self, limit: u32) -> Result<Vec<Sealed>> {
        let rows = sqlx::query(
            "SELECT body, CAST(NULL AS TEXT) AS stamp FROM seal WHERE NOT EXISTS (SELECT 1 FROM seal_stamp t WHERE t.number = seal.number)
             ORDER BY number DESC LIMIT $1",
        )
        .bind(page(limit))
        .fetch_all(self.db.pool())
        .await
        .map_err(fail)?;
        rows.iter().map(read).collect()
    }

    /// The newest seal.
    pub async fn seal_newest(&self) -> Result<Option<Sealed>> {
        Ok(self.seals(None, 1).await?.pop())
    }

    /// The seal over a record, behind the one before it.
    pub async fn seal_over(&self, record: i64) -> Result<(Option<Sealed>, Option<Sealed>)> {
        let rows = sqlx::query(
            "SELECT s.body AS body, t.body AS stamp FROM seal s LEFT JOIN seal_stamp t ON t.number = s.number
             WHERE s.last >= (SELECT COALESCE(MAX(last), 0) FROM seal WHERE last < $1) ORDER BY s.last LIMIT 2",
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
        let rows = sqlx::query(
            "SELECT s.body AS body, t.body AS stamp FROM seal s LEFT JOIN seal_stamp t ON t.number = s.number
             WHERE s.number < $1 ORDER BY s.number DESC LIMIT $2",
        )
        .bind(before.unwrap_or(i64::MAX))
        .bind(page(limit))
        .fetch_all(self.db.pool())
        .await
        .map_err(fail)?;
        rows.iter().map(read).collect()
    }
}

fn read(row: &AnyRow) -> Result<Sealed> {
    let stamp = match maybe(row, "stamp")? {
        Some(text) => {
            Some(serde_json::from_str(&text).map_err(|e| Error::internal("a stamp").caused_by(e))?)
        }
        None => None,
    };
    Ok(Sealed { stamp, ..json(row, "body")? })
}
