//! Ratings and comments on data sets.

use model::Result;
use model::voice::comment::{Comment, Stars};
use policy::Permit;
use sqlx::any::AnyRow;

use super::{Most, VOICES};
use crate::Store;
use crate::clause::Clause;
use crate::db::{fail, json, number, page, text, to_json};

/// Which comments a desk wants, newest first.
#[derive(Clone, Copy, Debug, Default)]
pub struct CommentFilter<'a> {
    pub org: Option<&'a str>,
    /// Only those that were reported and still stand.
    pub reported: bool,
    pub before: Option<&'a str>,
    pub limit: u32,
}

fn read(row: &AnyRow) -> Result<Comment> {
    let comment: Comment = json(row, "body")?;
    Ok(Comment { reports: u64::try_from(number(row, "reports")?).unwrap_or(0), ..comment })
}

impl Store {
    /// Keeps an account's rating of a data set; a second one takes the place of the first.
    pub async fn rating_put(
        &self,
        permit: &Permit,
        entry: &str,
        account: &str,
        stars: u8,
        at: &str,
    ) -> Result<()> {
        permit.require(VOICES)?;
        sqlx::query(
            "INSERT INTO dataset_rating (entry, account, stars, at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (entry, account) DO UPDATE SET stars = excluded.stars, at = excluded.at",
        )
        .bind(entry)
        .bind(account)
        .bind(i64::from(stars))
        .bind(at)
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// Ratings of a data set together.
    pub async fn rating_of(&self, entry: &str) -> Result<Stars> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS n, CAST(COALESCE(SUM(stars), 0) AS BIGINT) AS total FROM dataset_rating WHERE entry = $1",
        )
        .bind(entry)
        .fetch_one(self.db.pool())
        .await
        .map_err(fail)?;
        let figure = |name| Ok::<_, model::Error>(u64::try_from(number(&row, name)?).unwrap_or(0));
        Ok(Stars { count: figure("n")?, sum: figure("total")? })
    }

    /// How an account has rated a data set.
    pub async fn rating_by(&self, entry: &str, account: &str) -> Result<Option<u8>> {
        let row = sqlx::query("SELECT stars FROM dataset_rating WHERE entry = $1 AND account = $2")
            .bind(entry)
            .bind(account)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?;
        row.map(|row| Ok(u8::try_from(number(&row, "stars")?).unwrap_or(0))).transpose()
    }

    /// Keeps a comment; `false` when its writer has written as many as are allowed.
    pub async fn comment_insert(
        &self,
        permit: &Permit,
        comment: &Comment,
        most: Most<'_>,
    ) -> Result<bool> {
        permit.require(VOICES)?;
        let mut tx = self.db.begin().await?;
        if most.reached(&mut tx, ("dataset_comment", "at"), &comment.writer).await? {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO dataset_comment (id, entry, org, parent, writer, at, hidden, reports, body)
             VALUES ($1, $2, $3, $4, $5, $6, 0, 0, $7)",
        )
        .bind(comment.id.as_str())
        .bind(comment.entry.as_str())
        .bind(comment.org.as_str())
        .bind(comment.parent.as_str())
        .bind(comment.writer.as_str())
        .bind(comment.at.as_str())
        .bind(to_json(comment)?)
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        tx.commit().await.map_err(fail)?;
        Ok(true)
    }

    pub async fn comment_get(&self, id: &str) -> Result<Option<Comment>> {
        sqlx::query("SELECT body, reports FROM dataset_comment WHERE id = $1")
            .bind(id)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .as_ref()
            .map(read)
            .transpose()
    }

    /// Comments on a data set, newest first; replies are not among them.
    pub async fn comments_of(
        &self,
        entry: &str,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Comment>> {
        let mut clause = Clause::default();
        clause.and_text("entry =", entry);
        clause.and("parent = ''");
        if let Some(before) = before {
            clause.and_text("id <", before);
        }
        let sql = format!(
            "SELECT body, reports FROM dataset_comment{} ORDER BY id DESC LIMIT {}",
            clause.sql(),
            page(limit)
        );
        self.db.rows(sql, &clause).await?.iter().map(read).collect()
    }

    /// Replies to comments whose ids lie between two, oldest first (the first five hundred).
    pub async fn comment_replies(&self, entry: &str, from: &str, to: &str) -> Result<Vec<Comment>> {
        sqlx::query(
            "SELECT body, reports FROM dataset_comment WHERE entry = $1 AND parent >= $2 AND parent <= $3 ORDER BY id LIMIT 500",
        )
        .bind(entry)
        .bind(from)
        .bind(to)
        .fetch_all(self.db.pool())
        .await
        .map_err(fail)?
        .iter()
        .map(read)
        .collect()
    }

    /// Comments for those who moderate, newest first.
    pub async fn comment_list(&self, filter: &CommentFilter<'_>) -> Result<Vec<Comment>> {
        let mut clause = Clause::default();
        if filter.reported {
            clause.and("reports > 0 AND hidden = 0");
        }
        for (condition, value) in [("org =", filter.org), ("id <", filter.before)] {
            if let Some(value) = value {
                clause.and_text(condition, value);
            }
        }
        let sql = format!(
            "SELECT body, reports FROM dataset_comment{} ORDER BY id DESC LIMIT {}",
            clause.sql(),
            page(filter.limit)
        );
        self.db.rows(sql, &clause).await?.iter().map(read).collect()
    }

    /// Writes whether a comment is hidden.
    pub async fn comment_moderate(&self, permit: &Permit, comment: &Comment) -> Result<()> {
        permit.require(VOICES)?;
        sqlx::query("UPDATE dataset_comment SET hidden = $1, body = $2 WHERE id = $3")
            .bind(i64::from(!comment.hidden.is_empty()))
            .bind(to_json(comment)?)
            .bind(comment.id.as_str())
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(())
    }

    /// An account reports a comment; a second time changes nothing and answers `false`.
    pub async fn comment_report(
        &self,
        permit: &Permit,
        id: &str,
        account: &str,
        reason: &str,
        at: &str,
    ) -> Result<bool> {
        permit.require(VOICES)?;
        let mut tx = self.db.begin().await?;
        let done = sqlx::query(
            "INSERT INTO comment_report (comment_id, account, reason, at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (comment_id, account) DO NOTHING",
        )
        .bind(id)
        .bind(account)
        .bind(reason)
        .bind(at)
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        let new = done.rows_affected() == 1;
        if new {
            sqlx::query("UPDATE dataset_comment SET reports = reports + 1 WHERE id = $1")
                .bind(id)
                .execute(&mut *tx)
                .await
                .map_err(fail)?;
        }
        tx.commit().await.map_err(fail)?;
        Ok(new)
    }

    /// Why a comment was reported, newest first (the first fifty).
    pub async fn comment_reasons(&self, id: &str) -> Result<Vec<String>> {
        sqlx::query(
            "SELECT reason FROM comment_report WHERE comment_id = $1 ORDER BY at DESC LIMIT 50",
        )
        .bind(id)
        .fetch_all(self.db.pool())
        .await
        .map_err(fail)?
        .iter()
        .map(|row| text(row, "reason"))
        .collect()
    }
}
