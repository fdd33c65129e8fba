//! What was made of open data, with the data sets it uses.

use model::Result;
use model::voice::showcase::{Showcase, ShowcaseState};
use policy::Permit;

use super::{Most, VOICES};
use crate::Store;
use crate::clause::Clause;
use crate::db::{fail, page, signed, to_json};

/// Which showcases a list wants, newest first.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShowcaseFilter<'a> {
    pub state: Option<ShowcaseState>,
    pub writer: Option<&'a str>,
    /// Those that use this data set (by id) and are shown.
    pub entry: Option<&'a str>,
    /// Those that use a data set of a region whose code begins so (`model::region::prefix_of`) and are shown.
    pub below: Option<&'a str>,
    /// Part of what was written.
    pub text: Option<&'a str>,
    pub before: Option<&'a str>,
    pub limit: u32,
}

fn shown(showcase: &Showcase) -> i64 {
    i64::from(showcase.state == ShowcaseState::Public)
}

impl Store {
    /// Keeps what was handed in; `false` when its writer has handed in as many as are allowed.
    pub async fn showcase_insert(
        &self,
        permit: &Permit,
        showcase: &Showcase,
        most: Most<'_>,
    ) -> Result<bool> {
        permit.require(VOICES)?;
        let mut tx = self.db.begin().await?;
        if most.reached(&mut tx, ("showcase", "created_at"), &showcase.writer).await? {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO showcase (id, state, writer, created_at, edit, body) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(showcase.id.as_str())
        .bind(showcase.state.as_str())
        .bind(showcase.writer.as_str())
        .bind(showcase.created_at.as_str())
        .bind(signed(showcase.edit))
        .bind(to_json(showcase)?)
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        for (entry, _) in &showcase.entries {
            sqlx::query("INSERT INTO showcase_entry (showcase, entry, shown) VALUES ($1, $2, $3)")
                .bind(showcase.id.as_str())
                .bind(entry.as_str())
                .bind(shown(showcase))
                .execute(&mut *tx)
                .await
                .map_err(fail)?;
        }
        tx.commit().await.map_err(fail)?;
        Ok(true)
    }

    /// Writes a changed showcase, if nobody has changed it since it was read; answers whether it did.
    pub async fn showcase_update(
        &self,
        permit: &Permit,
        showcase: &Showcase,
        seen: u64,
    ) -> Result<bool> {
        permit.require(VOICES)?;
        let mut tx = self.db.begin().await?;
        let done = sqlx::query(
            "UPDATE showcase SET state = $1, edit = $2, body = $3 WHERE id = $4 AND edit = $5",
        )
        .bind(showcase.state.as_str())
        .bind(signed(showcase.edit))
        .bind(to_json(showcase)?)
        .bind(showcase.id.as_str())
        .bind(signed(seen))
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        if done.rows_affected() != 1 {
            return Ok(false);
        }
        sqlx::query("UPDATE showcase_entry SET shown = $1 WHERE showcase = $2")
            .bind(shown(showcase))
            .bind(showcase.id.as_str())
            .execute(&mut *tx)
            .await
            .map_err(fail)?;
        tx.commit().await.map_err(fail)?;
        Ok(true)
    }

    pub async fn showcase_get(&self, id: &str) -> Result<Option<Showcase>> {
        self.db.body("showcase", id).await
    }

    /// A page of showcases, newest first.
    pub async fn showcase_list(&self, filter: &ShowcaseFilter<'_>) -> Result<Vec<Showcase>> {
        let mut clause = Clause::default();
        for (condition, value) in [
            ("state =", filter.state.map(ShowcaseState::as_str)),
            ("writer =", filter.writer),
            ("id <", filter.before),
        ] {
            if let Some(value) = value {
                clause.and_text(condition, value);
            }
        }
        if let Some(text) = filter.text {
            clause.and_like(&["body"], text);
        }
        if let Some(entry) = filter.entry {
            clause.and_text(
                "id IN (SELECT showcase FROM showcase_entry WHERE shown = 1 AND entry =",
                entry,
            );
            clause.close();
        }
        if let Some(prefix) = filter.below {
            clause.and_text(
                "id IN (SELECT showcase FROM showcase_entry WHERE shown = 1 AND entry IN (SELECT id FROM entry WHERE region LIKE",
                &format!("{prefix}%"),
            );
            clause.close();
            clause.close();
        }
        let sql = format!(
            "SELECT body FROM showcase{} ORDER BY id DESC LIMIT {}",
            clause.sql(),
            page(filter.limit)
        );
        self.db.bodies(sql, &clause).await
    }
}
