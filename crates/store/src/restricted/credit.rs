//! The credit record. Every change of it counts as one of the ledger: grants that are kept anywhere are looked at anew.

use model::Result;
use model::restricted::CreditRecord;
use policy::{Action, Permit};
use sqlx::{Any, Transaction};

use crate::Store;
use crate::clause::Clause;
use crate::db::{fail, page, signed, to_json};
use crate::entry::touch;

/// Who writes the credit record: who keeps it, who records a breach, and whom it is about (to object).
const KEEPERS: &[Action] = &[
    Action::CreditKeep,
    Action::RestrictedReview,
    Action::RestrictedOversee,
    Action::RestrictedApply,
    Action::SystemWork,
];

/// Which records a list wants, newest first.
#[derive(Clone, Copy, Debug, Default)]
pub struct CreditFilter<'a> {
    pub subject: Option<&'a str>,
    /// Only those not repaired and kept at least until this day.
    pub standing_on: Option<&'a str>,
    pub before: Option<&'a str>,
    pub limit: u32,
}

/// Writes a new record.
pub(super) async fn entered(
    tx: &mut Transaction<'static, Any>,
    permit: &Permit,
    record: &CreditRecord,
) -> Result<()> {
    permit.require(KEEPERS)?;
    sqlx::query(
        "INSERT INTO credit_record (id, subject, standing, until, edit, body) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(record.id.as_str())
    .bind(record.subject.as_str())
    .bind(i64::from(record.repaired_at.is_empty()))
    .bind(record.until.to_string())
    .bind(signed(record.edit))
    .bind(to_json(record)?)
    .execute(&mut **tx)
    .await
    .map_err(fail)?;
    touch(tx).await
}

impl Store {
    pub async fn credit_insert(&self, permit: &Permit, record: &CreditRecord) -> Result<()> {
        let mut tx = self.db.begin().await?;
        entered(&mut tx, permit, record).await?;
        tx.commit().await.map_err(fail)
    }

    /// Writes a changed record, if nobody has changed it since it was read; answers whether it did.
    pub async fn credit_update(
        &self,
        permit: &Permit,
        record: &CreditRecord,
        seen: u64,
    ) -> Result<bool> {
        permit.require(KEEPERS)?;
        let mut tx = self.db.begin().await?;
        let done = sqlx::query(
            "UPDATE credit_record SET standing = $1, edit = $2, body = $3 WHERE id = $4 AND edit = $5",
        )
        .bind(i64::from(record.repaired_at.is_empty()))
        .bind(signed(record.edit))
        .bind(to_json(record)?)
        .bind(record.id.as_str())
        .bind(signed(seen))
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        if done.rows_affected() != 1 {
            return Ok(false);
        }
        touch(&mut tx).await?;
        tx.commit().await.map_err(fail)?;
        Ok(true)
    }

    pub async fn credit_get(&self, id: &str) -> Result<Option<CreditRecord>> {
        self.db.body("credit_record", id).await
    }

    /// A page of records, newest first.
    pub async fn credit_list(&self, filter: &CreditFilter<'_>) -> Result<Vec<CreditRecord>> {
        let mut clause = Clause::default();
        if filter.standing_on.is_some() {
            clause.and("standing = 1");
        }
        for (condition, value) in [
            ("subject =", filter.subject),
            ("until >=", filter.standing_on),
            ("id <", filter.before),
        ] {
            if let Some(value) = value {
                clause.and_text(condition, value);
            }
        }
        let sql = format!(
            "SELECT body FROM credit_record{} ORDER BY id DESC LIMIT {}",
            clause.sql(),
            page(filter.limit)
        );
        self.db.bodies(sql, &clause).await
    }

    /// Takes away records whose time is over on a day; answers how many.
    pub async fn credit_forget(&self, permit: &Permit, today: &str) -> Result<u64> {
        permit.require(&[Action::SystemWork])?;
        let mut tx = self.db.begin().await?;
        let done = sqlx::query("DELETE FROM credit_record WHERE until < $1")
            .bind(today)
            .execute(&mut *tx)
            .await
            .map_err(fail)?
            .rows_affected();
        if done > 0 {
            touch(&mut tx).await?;
        }
        tx.commit().await.map_err(fail)?;
        Ok(done)
    }
}
