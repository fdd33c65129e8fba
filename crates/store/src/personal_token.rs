//! Personal tokens in the control store. A person makes and ends their own, as sessions: no permit is asked for these. What ends a
//! person's sessions for good ends them, too, in the same breath (see `account`).

use model::Result;
use model::account::PersonalToken;
use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};

use crate::Store;
use crate::db::{fail, maybe, number, text};

impl Store {
    /// Enters a token unless its owner has as many as may be; answers whether it did. Those whose time is over at `at` go first.
    pub async fn personal_token_insert(
        &self,
        user: &str,
        digest: &str,
        new: &PersonalToken,
        at: &str,
        most: u32,
    ) -> Result<bool> {
        let mut tx = self.db.begin().await?;
        sqlx::query("DELETE FROM personal_token WHERE user_id = $1 AND expires_at <= $2")
            .bind(user)
            .bind(at)
            .execute(&mut *tx)
            .await
            .map_err(fail)?;
        let held = sqlx::query("SELECT COUNT(*) AS n FROM personal_token WHERE user_id = $1")
            .bind(user)
            .fetch_one(&mut *tx)
            .await
            .map_err(fail)?;
        if number(&held, "n")? >= i64::from(most) {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO personal_token (digest, id, user_id, name, tail, created_at, expires_at, last_used_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, NULL)",
        )
        .bind(digest)
        .bind(new.id.as_str())
        .bind(user)
        .bind(new.name.as_str())
        .bind(new.tail.as_str())
        .bind(new.created_at.as_str())
        .bind(new.expires_at.as_str())
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        tx.commit().await.map_err(fail)?;
        Ok(true)
    }

    /// Tokens of a person, the newest first, those whose time is over included.
    pub async fn personal_tokens_of(&self, user: &str) -> Result<Vec<PersonalToken>> {
        sqlx::query("SELECT * FROM personal_token WHERE user_id = $1 ORDER BY id DESC LIMIT 200")
            .bind(user)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(read)
            .collect()
    }

    /// A token by its digest, with the id of whose it is.
    pub async fn personal_token_get(
        &self,
        digest: &str,
    ) -> Result<Option<(String, PersonalToken)>> {
        sqlx::query("SELECT * FROM personal_token WHERE digest = $1")
            .bind(digest)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| Ok((text(&row, "user_id")?, read(&row)?)))
            .transpose()
    }

    /// Notes that a token was used at `at`.
    pub async fn personal_token_used(&self, id: &str, at: &str) -> Result<()> {
        sqlx::query("UPDATE personal_token SET last_used_at = $1 WHERE id = $2")
            .bind(at)
            .bind(id)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(())
    }

    /// Takes a token of a person away; answers its name, `None` when there is none of theirs.
    pub async fn personal_token_delete(&self, user: &str, id: &str) -> Result<Option<String>> {
        sqlx::query("DELETE FROM personal_token WHERE user_id = $1 AND id = $2 RETURNING name")
            .bind(user)
            .bind(id)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| text(&row, "name"))
            .transpose()
    }
}

/// Ends all tokens of a person within what ends their rights.
pub(crate) async fn end(tx: &mut Transaction<'static, Any>, user: &str) -> Result<()> {
    sqlx::query("DELETE FROM personal_token WHERE user_id = $1")
        .bind(user)
        .execute(&mut **tx)
        .await
        .map_err(fail)?;
    Ok(())
}

fn read(row: &AnyRow) -> Result<PersonalToken> {
    Ok(PersonalToken {
        id: text(row, "id")?,
        name: text(row, "name")?,
        tail: text(row, "tail")?,
        created_at: text(row, "created_at")?,
        expires_at: text(row, "expires_at")?,
        last_used_at: maybe(row, "last_used_at")?,
    })
}
