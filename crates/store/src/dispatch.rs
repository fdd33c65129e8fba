//! Quotas of holders, their history, requests to move them, and what was used.
//!
//! Use of calls is counted where calls are metered (`request`), in the same table; compute and storage are written by
//! the platform's jobs.

use model::dispatch::{Holder, HolderKind, Resource};
use model::flow::Phase;
use model::{Code, Error, Op, Result};
use policy::{Action, Permit};
use serde::Serialize;
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Transaction};

use crate::Store;
use crate::approval::append;
use crate::clause::Clause;
use crate::db::{fail, maybe, number, page, signed, text};
use crate::entry::touch;
use crate::meter::{Pool, open_pool};

/// A quota as kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QuotaRow {
    pub holder: Holder,
    /// Id of the holder above.
    pub parent: String,
    pub amount: u64,
    /// Used today (calls, compute) or as last measured (storage), in the table's unit.
    pub used: u64,
}

/// What happens to one quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaChange {
    pub resource: Resource,
    pub holder: Holder,
    pub parent: String,
    /// What it was when it was read; `None`: there was none.
    pub was: Option<u64>,
    /// What it is to be; `None` takes it away.
    pub amount: Option<u64>,
    /// `set` or `move`
    pub cause: &'static str,
    /// The move it belongs to.
    pub reference: String,
    pub reason: String,
}

/// A change as it stands in the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QuotaPast {
    pub resource: Resource,
    pub was: Option<i64>,
    pub amount: Option<i64>,
    pub cause: String,
    pub reference: String,
    pub reason: String,
    pub at: String,
    pub actor_name: String,
}

/// A request to move quota.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QuotaMove {
    pub id: String,
    pub resource: Resource,
    pub from: Holder,
    pub to: Holder,
    pub amount: u64,
    pub reason: String,
    /// Organisation that asks, and the one that gives.
    pub org: String,
    pub from_org: String,
    pub applicant: String,
    pub applicant_name: String,
    pub approval: String,
    pub created_at: String,
    pub applied_at: Option<String>,
    /// Of its approval.
    pub phase: Phase,
}

/// Which quotas a list wants.
#[derive(Clone, Copy, Debug)]
pub struct QuotaFilter<'a> {
    pub resource: Resource,
    pub kind: HolderKind,
    /// Right below this holder only.
    pub parent: Option<&'a str>,
    pub scope: OrgScope<'a>,
    /// Whose use is told.
    pub day: &'a str,
    pub after: Option<&'a str>,
    pub limit: u32,
}

/// Whose rows a list may show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrgScope<'a> {
    All,
    Of(&'a str),
}

const WRITERS: &[Action] = &[Action::QuotaSet, Action::SystemWork];

impl Store {
    /// Writes changes of quotas with their history, all or none. `Stale` when one has changed since it was read. With a
    /// move's id the move is marked as applied; one that is applied already changes nothing (answers `false`).
    pub async fn quota_apply(
        &self,
        permit: &Permit,
        op: &Op,
        changes: &[QuotaChange],
        of_move: Option<&str>,
    ) -> Result<bool> {
        permit.require(WRITERS)?;
        let mut tx = self.db.begin().await?;
        if let Some(id) = of_move {
            let sql = "UPDATE quota_move SET applied_at = $1 WHERE id = $2 AND applied_at IS NULL";
            let done =
                sqlx::query(sql).bind(op.stamp()).bind(id).execute(&mut *tx).await.map_err(fail)?;
            if done.rows_affected() == 0 {
                return Ok(false);
            }
        }
        for change in changes {
            write(&mut tx, op, change).await?;
            history(&mut tx, op, change).await?;
            if change.resource == Resource::Calls && change.amount.is_some() {
                open_pool(&mut tx, &change.holder, &op.today().to_string()).await?;
            }
        }
        // Grants remembered by any process carry the pools.
        touch(&mut tx).await?;
        tx.commit().await.map_err(fail)?;
        Ok(true)
    }

    /// Quotas of a resource that regions and organisations have.
    pub async fn quota_tree(&self, resource: Resource) -> Result<Vec<QuotaRow>> {
        sqlx::query(
            "SELECT kind, holder, parent, amount, CAST(0 AS BIGINT) AS used FROM quota
             WHERE resource = $1 AND kind <> 'application' ORDER BY kind, holder",
        )
        .bind(resource.as_str())
        .fetch_all(self.db.pool())
        .await
        .map_err(fail)?
        .iter()
        .map(quota_of)
        .collect()
    }

    /// What the applications of each organisation have together.
    pub async fn quota_of_applications(&self, resource: Resource) -> Result<Vec<(String, u64)>> {
        sqlx::query(
            "SELECT parent, CAST(SUM(amount) AS BIGINT) AS n FROM quota WHERE resource = $1 AND kind = 'application'
             GROUP BY parent ORDER BY parent",
        )
        .bind(resource.as_str())
        .fetch_all(self.db.pool())
        .await
        .map_err(fail)?
        .iter()
        .map(|row| Ok((text(row, "parent")?, unsigned(number(row, "n")?))))
        .collect()
    }

    /// One quota with its use on a day.
    pub async fn quota_get(
        &self,
        resource: Resource,
        holder: &Holder,
        day: &str,
    ) -> Result<Option<QuotaRow>> {
        let sql = format!("{LISTED} WHERE q.resource = $2 AND q.kind = $3 AND q.holder = $4");
        sqlx::query(AssertSqlSafe(sql))
            .bind(day)
            .bind(resource.as_str())
            .bind(holder.kind.as_str())
            .bind(holder.id.as_str())
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| quota_of(&row))
            .transpose()
    }

    /// A page of quotas of a resource and kind of holder, by holder; below one holder when `parent` is given.
    pub async fn quota_list(&self, filter: &QuotaFilter<'_>) -> Result<Vec<QuotaRow>> {
        let QuotaFilter { resource, kind, parent, scope, day, after, limit } = *filter;
        let mut sql = format!("{LISTED} WHERE q.resource = $2 AND q.kind = $3 AND q.holder > $4");
        let mut values = vec![
            day.to_owned(),
            resource.as_str().to_owned(),
            kind.as_str().to_owned(),
            after.unwrap_or_default().to_owned(),
        ];
        if let Some(parent) = parent {
            values.push(parent.to_owned());
            sql.push_str(&format!(" AND q.parent = ${}", values.len()));
        }
        if let OrgScope::Of(org) = scope {
            values.push(org.to_owned());
            let n = values.len();
            let column = if kind == HolderKind::Application { "q.parent" } else { "q.holder" };
            sql.push_str(&format!(" AND {column} = ${n}"));
        }
        sql.push_str(&format!(" ORDER BY q.holder LIMIT {}", page(limit)));
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for value in &values {
            query = query.bind(value.as_str());
        }
        query.fetch_all(self.db.pool()).await.map_err(fail)?.iter().map(quota_of).collect()
    }

    /// Quotas of calls that bind an application: its own, its organisation's, those of the regions above; from below.
    pub async fn quota_pools(
        &self,
        application: &str,
        org: &str,
        regions: &[String],
    ) -> Result<Vec<Pool>> {
        let mut wanted = vec![Holder::new(HolderKind::Application, application)];
        if !org.is_empty() {
            wanted.push(Holder::new(HolderKind::Org, org));
        }
        wanted.extend(regions.iter().map(|r| Holder::new(HolderKind::Region, r)));
        let mut pools = Vec::new();
        for holder in wanted {
            let sql =
                "SELECT amount FROM quota WHERE resource = 'calls' AND kind = $1 AND holder = $2";
            let row = sqlx::query(sql)
                .bind(holder.kind.as_str())
                .bind(holder.id.as_str())
                .fetch_optional(self.db.pool())
                .await
                .map_err(fail)?;
            if let Some(row) = row {
                pools.push(Pool { limit: unsigned(number(&row, "amount")?), holder });
            }
        }
        Ok(pools)
    }

    /// Quotas used to at least `percent` on a day, the fullest first, at most `limit`. `unit` is how much of the table's
    /// unit one of quota is. One row per quota is looked at: call it for figures that are kept, not for a page.
    pub async fn quota_near(
        &self,
        resource: Resource,
        day: &str,
        unit: u64,
        percent: u32,
        limit: u32,
    ) -> Result<Vec<QuotaRow>> {
        let sql = format!(
            "SELECT q.kind, q.holder, q.parent, q.amount, u.amount AS used FROM usage_day u
             JOIN quota q ON q.resource = u.resource AND q.kind = u.kind AND q.holder = u.holder
             WHERE u.resource = $1 AND u.day = $2 AND u.amount * 100.0 >= q.amount * 1.0 * {unit} * {percent} AND u.amount > 0
             ORDER BY u.amount * 1.0 / (q.amount + 1) DESC, q.kind, q.holder LIMIT {}",
            page(limit)
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(resource.as_str())
            .bind(day)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(quota_of)
            .collect()
    }

    /// What happened to the quotas of a holder, newest first.
    pub async fn quota_history(&self, holder: &Holder, limit: u32) -> Result<Vec<QuotaPast>> {
        let sql = format!(
            "SELECT * FROM quota_change WHERE kind = $1 AND holder = $2 ORDER BY id DESC LIMIT {}",
            page(limit)
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(holder.kind.as_str())
            .bind(holder.id.as_str())
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| {
                Ok(QuotaPast {
                    resource: resource(row)?,
                    was: row_number(row, "was")?,
                    amount: row_number(row, "amount")?,
                    cause: text(row, "cause")?,
                    reference: text(row, "reference")?,
                    reason: text(row, "reason")?,
                    at: text(row, "at")?,
                    actor_name: text(row, "actor_name")?,
                })
            })
            .collect()
    }

    /// Keeps a request to move quota together with the first events of its approval.
    pub async fn quota_move_insert(
        &self,
        permit: &Permit,
        new: &QuotaMove,
        events: &[model::flow::Event],
        state: &model::flow::State,
        stage: &str,
    ) -> Result<()> {
        permit.require(&[Action::QuotaAsk])?;
        let mut tx = self.db.begin().await?;
        sqlx::query(
            "INSERT INTO quota_move (id, resource, from_kind, from_holder, to_kind, to_holder, amount, reason, org, from_org,
                 applicant, applicant_name, approval, created_at, applied_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, NULL)",
        )
        .bind(new.id.as_str())
        .bind(new.resource.as_str())
        .bind(new.from.kind.as_str())
        .bind(new.from.id.as_str())
        .bind(new.to.kind.as_str())
        .bind(new.to.id.as_str())
        .bind(signed(new.amount))
        .bind(new.reason.as_str())
        .bind(new.org.as_str())
        .bind(new.from_org.as_str())
        .bind(new.applicant.as_str())
        .bind(new.applicant_name.as_str())
        .bind(new.approval.as_str())
        .bind(new.created_at.as_str())
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        append(&mut tx, &new.approval, events, state, stage).await?;
        tx.commit().await.map_err(fail)
    }

    pub async fn quota_move_get(&self, id: &str) -> Result<Option<QuotaMove>> {
        sqlx::query(AssertSqlSafe(format!("{MOVES} WHERE m.id = $1")))
            .bind(id)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| move_of(&row))
            .transpose()
    }

    /// A page of requests to move quota, newest first.
    pub async fn quota_moves(
        &self,
        scope: OrgScope<'_>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<QuotaMove>> {
        let mut c = Clause::default();
        if let Some(after) = after {
            c.and_text("m.id <", after);
        }
        if let OrgScope::Of(org) = scope {
            c.and_text("(m.org =", org);
            c.or_text("m.from_org =", org);
            c.close();
        }
        let sql = format!("{MOVES}{} ORDER BY m.id DESC LIMIT {}", c.sql(), page(limit));
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for value in c.values() {
            query = query.bind(value.as_str());
        }
        query.fetch_all(self.db.pool()).await.map_err(fail)?.iter().map(move_of).collect()
    }

    /// Writes what was used on a day, replacing what stood there.
    pub async fn usage_set(
        &self,
        permit: &Permit,
        resource: &str,
        day: &str,
        used: &[(Holder, i64)],
    ) -> Result<()> {
        permit.require(&[Action::SystemWork])?;
        for chunk in used.chunks(500) {
            let mut tx = self.db.begin().await?;
            for (holder, amount) in chunk {
                sqlx::query(
                    "INSERT INTO usage_day (resource, kind, holder, day, amount) VALUES ($1, $2, $3, $4, $5)
                     ON CONFLICT (resource, kind, holder, day) DO UPDATE SET amount = excluded.amount",
                )
                .bind(resource)
                .bind(holder.kind.as_str())
                .bind(holder.id.as_str())
                .bind(day)
                .bind(*amount)
                .execute(&mut *tx)
                .await
                .map_err(fail)?;
            }
            tx.commit().await.map_err(fail)?;
        }
        Ok(())
    }

    /// Use of a holder day by day, newest first, at most 60 days.
    pub async fn used_by_day(
        &self,
        resource: Resource,
        holder: &Holder,
    ) -> Result<Vec<(String, i64)>> {
        sqlx::query(
            "SELECT day, amount FROM usage_day WHERE resource = $1 AND kind = $2 AND holder = $3 ORDER BY day DESC LIMIT 60",
        )
        .bind(resource.as_str())
        .bind(holder.kind.as_str())
        .bind(holder.id.as_str())
        .fetch_all(self.db.pool())
        .await
        .map_err(fail)?
        .iter()
        .map(|row| Ok((text(row, "day")?, number(row, "amount")?)))
        .collect()
    }

    /// Adds to the time that look-ups of an application took.
    pub async fn query_time_add(&self, application: &str, day: &str, micros: u64) -> Result<()> {
        sqlx::query(
            "INSERT INTO query_day (application, day, micros) VALUES ($1, $2, $3)
             ON CONFLICT (application, day) DO UPDATE SET micros = query_day.micros + excluded.micros",
        )
        .bind(application)
        .bind(day)
        .bind(signed(micros))
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// Time of look-ups of a day: application, its organisation (may be empty), microseconds.
    pub async fn query_times(&self, day: &str) -> Result<Vec<(String, String, i64)>> {
        sqlx::query(
            "SELECT q.application, COALESCE(a.org, '') AS org, q.micros FROM query_day q
             LEFT JOIN application a ON a.id = q.application WHERE q.day = $1 ORDER BY q.application",
        )
        .bind(day)
        .fetch_all(self.db.pool())
        .await
        .map_err(fail)?
        .iter()
        .map(|row| Ok((text(row, "application")?, text(row, "org")?, number(row, "micros")?)))
        .collect()
    }
}

const LISTED: &str = "SELECT q.kind, q.holder, q.parent, q.amount, COALESCE((SELECT u.amount FROM usage_day u
        WHERE u.resource = q.resource AND u.kind = q.kind AND u.holder = q.holder
          AND (u.day = $1 OR (q.resource = 'storage' AND u.day <= $1)) ORDER BY u.day DESC LIMIT 1), 0) AS used
    FROM quota q";

const MOVES: &str = "SELECT m.*, a.phase FROM quota_move m JOIN approval a ON a.id = m.approval";

async fn write(tx: &mut Transaction<'static, Any>, op: &Op, change: &QuotaChange) -> Result<()> {
    let (resource, kind, holder) =
        (change.resource.as_str(), change.holder.kind.as_str(), change.holder.id.as_str());
    let query = match (change.was, change.amount) {
        (None, None) => return Ok(()),
        (None, Some(amount)) => sqlx::query(
            "INSERT INTO quota (resource, kind, holder, parent, amount, at, actor_name) VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (resource, kind, holder) DO NOTHING",
        )
        .bind(resource)
        .bind(kind)
        .bind(holder)
        .bind(change.parent.as_str())
        .bind(signed(amount))
        .bind(op.stamp())
        .bind(op.actor.name()),
        (Some(was), Some(amount)) => sqlx::query(
            "UPDATE quota SET amount = $4, at = $5, actor_name = $6, parent = $7
             WHERE resource = $1 AND kind = $2 AND holder = $3 AND amount = $8",
        )
        .bind(resource)
        .bind(kind)
        .bind(holder)
        .bind(signed(amount))
        .bind(op.stamp())
        .bind(op.actor.name())
        .bind(change.parent.as_str())
        .bind(signed(was)),
        (Some(was), None) => sqlx::query(
            "DELETE FROM quota WHERE resource = $1 AND kind = $2 AND holder = $3 AND amount = $4",
        )
        .bind(resource)
        .bind(kind)
        .bind(holder)
        .bind(signed(was)),
    };
    if query.execute(&mut **tx).await.map_err(fail)?.rows_affected() == 1 {
        return Ok(());
    }
    Err(Error::new(
        Code::Stale,
        "配额刚被他人修改，请刷新后重试",
        "a quota was just changed by someone else: reload and try again",
    ))
}

async fn history(tx: &mut Transaction<'static, Any>, op: &Op, change: &QuotaChange) -> Result<()> {
    sqlx::query(
        "INSERT INTO quota_change (id, resource, kind, holder, was, amount, cause, reference, reason, at, actor_name)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(op.new_id())
    .bind(change.resource.as_str())
    .bind(change.holder.kind.as_str())
    .bind(change.holder.id.as_str())
    .bind(change.was.map(signed))
    .bind(change.amount.map(signed))
    .bind(change.cause)
    .bind(change.reference.as_str())
    .bind(change.reason.as_str())
    .bind(op.stamp())
    .bind(op.actor.name())
    .execute(&mut **tx)
    .await
    .map_err(fail)?;
    Ok(())
}

fn quota_of(row: &AnyRow) -> Result<QuotaRow> {
    Ok(QuotaRow {
        holder: holder(row, "kind", "holder")?,
        parent: text(row, "parent")?,
        amount: unsigned(number(row, "amount")?),
        used: unsigned(number(row, "used")?),
    })
}

fn move_of(row: &AnyRow) -> Result<QuotaMove> {
    let phase = text(row, "phase")?;
    Ok(QuotaMove {
        id: text(row, "id")?,
        resource: resource(row)?,
        from: holder(row, "from_kind", "from_holder")?,
        to: holder(row, "to_kind", "to_holder")?,
        amount: unsigned(number(row, "amount")?),
        reason: text(row, "reason")?,
        org: text(row, "org")?,
        from_org: text(row, "from_org")?,
        applicant: text(row, "applicant")?,
        applicant_name: text(row, "applicant_name")?,
        approval: text(row, "approval")?,
        created_at: text(row, "created_at")?,
        applied_at: maybe(row, "applied_at")?,
        phase: Phase::parse(&phase)
            .ok_or_else(|| Error::internal(format!("column `phase` holds `{phase}`")))?,
    })
}

fn resource(row: &AnyRow) -> Result<Resource> {
    let word = text(row, "resource")?;
    Resource::parse(&word)
        .ok_or_else(|| Error::internal(format!("column `resource` holds `{word}`")))
}

pub(crate) fn holder(row: &AnyRow, kind: &str, id: &str) -> Result<Holder> {
    let word = text(row, kind)?;
    let kind = HolderKind::parse(&word)
        .ok_or_else(|| Error::internal(format!("column `{kind}` holds `{word}`")))?;
    Ok(Holder { kind, id: text(row, id)? })
}

/// A whole number that may be null.
pub(crate) fn row_number(row: &AnyRow, column: &str) -> Result<Option<i64>> {
    sqlx::Row::try_get(row, column).map_err(fail)
}

fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}
