//! Notices to people, and what people subscribe to.

use model::notice::{Notice, NoticeNew, Subscription, Watched};
use model::{Error, Op, Result};
use policy::{Action, Permit};
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::Store;
use crate::db::{fail, maybe, number, page, text};

/// Unread notices are counted up to this.
const MOST_COUNTED: u32 = 100;

impl Store {
    /// Tells people things, each once: what was told already is left alone. Answers how many were new.
    pub async fn notices_put(
        &self,
        permit: &Permit,
        op: &Op,
        notices: &[NoticeNew],
    ) -> Result<u64> {
        permit.require(&[Action::SystemWork])?;
        if notices.is_empty() {
            return Ok(0);
        }
        let mut tx = self.db.begin().await?;
        let mut new = 0;
        for n in notices {
            new += sqlx::query(
                "INSERT INTO notice (id, owner, mark, kind, title, words, href, at, read_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, NULL) ON CONFLICT (owner, mark) DO NOTHING",
            )
            .bind(op.new_id())
            .bind(n.owner.as_str())
            .bind(n.mark.as_str())
            .bind(n.kind)
            .bind(n.title.as_str())
            .bind(n.words.as_str())
            .bind(n.href.as_str())
            .bind(op.stamp())
            .execute(&mut *tx)
            .await
            .map_err(fail)?
            .rows_affected();
        }
        tx.commit().await.map_err(fail)?;
        Ok(new)
    }

    /// A page of a person's notices, newest first; `after` is the id of the last one seen.
    pub async fn notices_of(
        &self,
        owner: &str,
        unread: bool,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Notice>> {
        let only = if unread { " AND read_at IS NULL" } else { "" };
        let from = if after.is_some() { " AND id < $2" } else { "" };
        let sql = format!(
            "SELECT * FROM notice WHERE owner = $1{only}{from} ORDER BY id DESC LIMIT {}",
            page(limit)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql)).bind(owner);
        if let Some(after) = after {
            query = query.bind(after);
        }
        query.fetch_all(self.db.pool()).await.map_err(fail)?.iter().map(read).collect()
    }

    pub async fn notice_get(&self, owner: &str, id: &str) -> Result<Option<Notice>> {
        sqlx::query("SELECT * FROM notice WHERE id = $1 AND owner = $2")
            .bind(id)
            .bind(owner)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| read(&row))
            .transpose()
    }

    /// How many notices a person has not read, counted up to a hundred.
    pub async fn notices_unread(&self, owner: &str) -> Result<u64> {
        let sql = format!(
            "SELECT COUNT(*) AS n FROM (SELECT 1 AS one FROM notice WHERE owner = $1 AND read_at IS NULL LIMIT {MOST_COUNTED}) AS counted"
        );
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(owner)
            .fetch_one(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(u64::try_from(number(&row, "n")?).unwrap_or(0))
    }

    /// Marks one notice (or all, without an id) of a person as read.
    pub async fn notices_read(&self, permit: &Permit, op: &Op, id: Option<&str>) -> Result<u64> {
        permit.require(&[Action::NoticeKeep])?;
        let one = if id.is_some() { " AND id = $3" } else { "" };
        let sql =
            format!("UPDATE notice SET read_at = $1 WHERE owner = $2 AND read_at IS NULL{one}");
        let mut query = sqlx::query(AssertSqlSafe(sql)).bind(op.stamp()).bind(op.actor.id());
        if let Some(id) = id {
            query = query.bind(id);
        }
        Ok(query.execute(self.db.pool()).await.map_err(fail)?.rows_affected())
    }

    /// Forgets notices that were read before a stamp.
    pub async fn notices_forget(&self, permit: &Permit, before: &str) -> Result<u64> {
        permit.require(&[Action::SystemWork])?;
        let done = sqlx::query("DELETE FROM notice WHERE read_at < $1")
            .bind(before)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(done.rows_affected())
    }

    /// Keeps a subscription; the same again changes nothing.
    pub async fn subscription_put(&self, permit: &Permit, of: &Subscription) -> Result<()> {
        permit.require(&[Action::NoticeKeep])?;
        sqlx::query(
            "INSERT INTO subscription (id, owner, kind, subject, title, created_at) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (owner, kind, subject) DO UPDATE SET title = excluded.title",
        )
        .bind(of.id.as_str())
        .bind(of.owner.as_str())
        .bind(of.kind.as_str())
        .bind(of.subject.as_str())
        .bind(of.title.as_str())
        .bind(of.created_at.as_str())
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    pub async fn subscription_remove(
        &self,
        permit: &Permit,
        owner: &str,
        kind: Watched,
        subject: &str,
    ) -> Result<bool> {
        permit.require(&[Action::NoticeKeep])?;
        let done =
            sqlx::query("DELETE FROM subscription WHERE owner = $1 AND kind = $2 AND subject = $3")
                .bind(owner)
                .bind(kind.as_str())
                .bind(subject)
                .execute(self.db.pool())
                .await
                .map_err(fail)?;
        Ok(done.rows_affected() == 1)
    }

    /// A person's subscriptions, newest first.
    pub async fn subscriptions_of(&self, owner: &str) -> Result<Vec<Subscription>> {
        let sql = "SELECT * FROM subscription WHERE owner = $1 ORDER BY id DESC LIMIT 1000";
        sqlx::query(sql)
            .bind(owner)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(read_subscription)
            .collect()
    }

    /// Who subscribes to one thing.
    pub async fn subscribers(&self, kind: Watched, subject: &str) -> Result<Vec<Subscription>> {
        sqlx::query("SELECT * FROM subscription WHERE kind = $1 AND subject = $2 ORDER BY id")
            .bind(kind.as_str())
            .bind(subject)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(read_subscription)
            .collect()
    }

    /// A page of the subscriptions to entries whose data changed after a stamp and after they were subscribed to, by subscription id,
    /// each with the stamp of the data.
    pub async fn subscribers_of_data(
        &self,
        since: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<(Subscription, String)>> {
        let sql = format!(
            "SELECT s.*, e.data_at AS data_at FROM subscription s JOIN entry e ON e.id = SUBSTR(s.subject, 6)
             WHERE s.kind = 'thing' AND s.subject LIKE 'data:%' AND s.id > $2 AND e.data_at > $1 AND e.data_at > s.created_at
             ORDER BY s.id LIMIT {}",
            page(limit)
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(since)
            .bind(after)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| Ok((read_subscription(row)?, text(row, "data_at")?)))
            .collect()
    }

    /// A page of the subscribed searches with their query strings, by subscription id.
    pub async fn searches_watched(
        &self,
        after: &str,
        limit: u32,
    ) -> Result<Vec<(Subscription, String)>> {
        let sql = format!(
            "SELECT s.*, q.query FROM subscription s JOIN saved_search q ON q.id = s.subject AND q.owner = s.owner
             WHERE s.kind = 'search' AND s.id > $1 ORDER BY s.id LIMIT {}",
            page(limit)
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(after)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| Ok((read_subscription(row)?, text(row, "query")?)))
            .collect()
    }
}

fn read(row: &AnyRow) -> Result<Notice> {
    Ok(Notice {
        id: text(row, "id")?,
        kind: text(row, "kind")?,
        title: text(row, "title")?,
        words: text(row, "words")?,
        href: text(row, "href")?,
        at: text(row, "at")?,
        read_at: maybe(row, "read_at")?,
    })
}

fn read_subscription(row: &AnyRow) -> Result<Subscription> {
    let word = text(row, "kind")?;
    Ok(Subscription {
        id: text(row, "id")?,
        owner: text(row, "owner")?,
        kind: Watched::parse(&word)
            .ok_or_else(|| Error::internal(format!("subscription kind `{word}` is unknown")))?,
        subject: text(row, "subject")?,
        title: text(row, "title")?,
        created_at: text(row, "created_at")?,
    })
}
