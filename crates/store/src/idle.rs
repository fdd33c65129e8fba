//! What lies idle, as last measured, and proposals to reclaim it.

use model::dispatch::{Idle, IdleKind, Reclaim, ReclaimState};
use model::{Code, Error, Op, Result};
use policy::{Action, Permit};
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::Store;
use crate::clause::Clause;
use crate::db::{fail, maybe, on_duplicate, page, text};
use crate::dispatch::{OrgScope, row_number};
use crate::job::unknown;

/// Which idle things a list wants, longest idle first.
#[derive(Clone, Debug, Default)]
pub struct IdleFilter<'a> {
    pub kind: Option<IdleKind>,
    pub org: Option<&'a str>,
    /// Idle since that day or longer.
    pub until: &'a str,
    /// Day of today: what an objection keeps is left out.
    pub today: &'a str,
    /// Keyset: `since kind thing` of the last one seen.
    pub after: Option<&'a str>,
    pub limit: u32,
}

/// Not proposed already, not kept by an objection.
const FREE: &str =
    "NOT EXISTS (SELECT 1 FROM reclaim r WHERE r.kind = idle.kind AND r.thing = idle.thing
    AND (r.state = 'proposed' OR (r.state = 'objected' AND r.keep_until >= $1)))";

impl Store {
    /// Replaces what is known to lie idle of cloud resources: `low` is every resource under the threshold now. One that
    /// was under it before keeps the day since when.
    pub async fn idle_cloud_put(&self, permit: &Permit, at: &str, low: &[Idle]) -> Result<()> {
        permit.require(&[Action::SystemWork])?;
        for chunk in low.chunks(500) {
            let mut tx = self.db.begin().await?;
            for idle in chunk {
                sqlx::query(
                    "INSERT INTO idle (kind, thing, org, region, title, percent, since, seen_at)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                     ON CONFLICT (kind, thing) DO UPDATE SET org = excluded.org, region = excluded.region,
                         title = excluded.title, percent = excluded.percent, seen_at = excluded.seen_at",
                )
                .bind(idle.kind.as_str())
                .bind(idle.thing.as_str())
                .bind(idle.org.as_str())
                .bind(idle.region.as_str())
                .bind(idle.title.as_str())
                .bind(idle.percent)
                .bind(idle.since.as_str())
                .bind(at)
                .execute(&mut *tx)
                .await
                .map_err(fail)?;
            }
            tx.commit().await.map_err(fail)?;
        }
        Ok(())
    }

    /// Forgets what was not seen idle at `at` any more.
    pub async fn idle_sweep(&self, permit: &Permit, kind: IdleKind, at: &str) -> Result<()> {
        permit.require(&[Action::SystemWork])?;
        sqlx::query("DELETE FROM idle WHERE kind = $1 AND seen_at < $2")
            .bind(kind.as_str())
            .bind(at)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(())
    }

    /// Forgets one thing: it was reclaimed.
    pub async fn idle_forget(&self, permit: &Permit, kind: IdleKind, thing: &str) -> Result<()> {
        permit.require(&[Action::SystemWork])?;
        sqlx::query("DELETE FROM idle WHERE kind = $1 AND thing = $2")
            .bind(kind.as_str())
            .bind(thing)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(())
    }

    /// Puts down grants and applications that nobody has called since `cut` (a day), with the day of the last call or of
    /// the approval. `at` is the stamp of the measurement.
    pub async fn idle_calls_put(&self, permit: &Permit, cut: &str, at: &str) -> Result<()> {
        permit.require(&[Action::SystemWork])?;
        let grants = "INSERT INTO idle (kind, thing, org, region, title, percent, since, seen_at)
             SELECT 'grant', r.id, r.org, COALESCE(o.region, ''), COALESCE(e.title, r.entry) || ' → ' || COALESCE(a.name, ''), CAST(NULL AS BIGINT),
                 COALESCE((SELECT MAX(q.day) FROM quota_day q WHERE q.application = r.application AND q.entry = r.entry AND q.calls > 0),
                     SUBSTR(r.updated_at, 1, 10)), CAST($1 AS TEXT)
             FROM request r LEFT JOIN entry e ON e.id = r.entry LEFT JOIN application a ON a.id = r.application
             LEFT JOIN org o ON o.id = r.org
             WHERE r.state = 'approved' AND r.org <> '' AND SUBSTR(r.updated_at, 1, 10) < $2 AND NOT EXISTS (SELECT 1 FROM quota_day q
                 WHERE q.application = r.application AND q.entry = r.entry AND q.day >= $2 AND q.calls > 0)
             ON CONFLICT (kind, thing) DO UPDATE SET seen_at = excluded.seen_at, since = excluded.since, title = excluded.title";
        let applications = "INSERT INTO idle (kind, thing, org, region, title, percent, since, seen_at)
             SELECT 'application', a.id, a.org, COALESCE(o.region, ''), a.name, CAST(NULL AS BIGINT),
                 COALESCE((SELECT MAX(q.day) FROM quota_day q WHERE q.application = a.id AND q.calls > 0),
                     SUBSTR(a.created_at, 1, 10)), CAST($1 AS TEXT)
             FROM application a LEFT JOIN org o ON o.id = a.org
             WHERE a.active = 1 AND a.org <> '' AND SUBSTR(a.created_at, 1, 10) < $2 AND NOT EXISTS (SELECT 1 FROM quota_day q
                 WHERE q.application = a.id AND q.day >= $2 AND q.calls > 0)
             ON CONFLICT (kind, thing) DO UPDATE SET seen_at = excluded.seen_at, since = excluded.since, title = excluded.title";
        for sql in [grants, applications] {
            sqlx::query(sql).bind(at).bind(cut).execute(self.db.pool()).await.map_err(fail)?;
        }
        Ok(())
    }

    /// A page of what lies idle. *constant page*
    pub async fn idle_list(&self, filter: &IdleFilter<'_>) -> Result<Vec<Idle>> {
        let mut c = Clause::default();
        c.and_text("'' <>", filter.today);
        c.and(FREE);
        c.and_text("since <=", filter.until);
        if let Some(kind) = filter.kind {
            c.and_text("kind =", kind.as_str());
        }
        if let Some(org) = filter.org {
            c.and_text("org =", org);
        }
        if let Some(after) = filter.after {
            let mut parts = after.splitn(3, ' ');
            let mut part = || parts.next().unwrap_or_default().to_owned();
            let (since, kind, thing) = (part(), part(), part());
            c.and_text("(since, kind, thing) > (", &since);
            c.more(",", &kind);
            c.more(",", &thing);
            c.close();
        }
        let sql = format!(
            "SELECT * FROM idle{} ORDER BY since, kind, thing LIMIT {}",
            c.sql(),
            page(filter.limit)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for value in c.values() {
            query = query.bind(value.as_str());
        }
        query.fetch_all(self.db.pool()).await.map_err(fail)?.iter().map(idle_of).collect()
    }

    /// How many things of each kind lie idle.
    pub async fn idle_counts(&self, until_cloud: &str, today: &str) -> Result<Vec<(String, u64)>> {
        let sql = format!(
            "SELECT kind, COUNT(*) AS n FROM idle WHERE '' <> $1 AND {FREE} AND (kind <> 'cloud' OR since <= $2)
             GROUP BY kind ORDER BY kind"
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(today)
            .bind(until_cloud)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| {
                let n = crate::db::number(row, "n")?;
                Ok((text(row, "kind")?, u64::try_from(n).unwrap_or(0)))
            })
            .collect()
    }

    pub async fn idle_get(&self, kind: IdleKind, thing: &str) -> Result<Option<Idle>> {
        sqlx::query("SELECT * FROM idle WHERE kind = $1 AND thing = $2")
            .bind(kind.as_str())
            .bind(thing)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| idle_of(&row))
            .transpose()
    }

    /// Keeps a proposal. `Duplicate` when one awaits its answer already.
    pub async fn reclaim_insert(&self, permit: &Permit, new: &Reclaim) -> Result<()> {
        permit.require(&[Action::ReclaimPropose])?;
        sqlx::query(
            "INSERT INTO reclaim (id, kind, thing, org, region, title, percent, since, state, reason, proposed_by,
                 proposed_by_name, proposed_at, due, answered_by_name, answered_at, answer, keep_until)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, '', NULL, '', '')",
        )
        .bind(new.id.as_str())
        .bind(new.kind.as_str())
        .bind(new.thing.as_str())
        .bind(new.org.as_str())
        .bind(new.region.as_str())
        .bind(new.title.as_str())
        .bind(new.percent)
        .bind(new.since.as_str())
        .bind(new.state.as_str())
        .bind(new.reason.as_str())
        .bind(new.proposed_by.as_str())
        .bind(new.proposed_by_name.as_str())
        .bind(new.proposed_at.as_str())
        .bind(new.due.as_str())
        .execute(self.db.pool())
        .await
        .map_err(|e| {
            on_duplicate(
                e,
                "该资源已有待确认的回收提议",
                "there is a proposal for this that awaits its answer already",
            )
        })?;
        Ok(())
    }

    /// Answers a proposal that awaits it; `WrongState` when somebody was quicker.
    pub async fn reclaim_answer(
        &self,
        permit: &Permit,
        op: &Op,
        id: &str,
        state: ReclaimState,
        answer: &str,
        keep_until: &str,
    ) -> Result<()> {
        permit.require(&[Action::ReclaimAnswer, Action::ReclaimPropose])?;
        let done = sqlx::query(
            "UPDATE reclaim SET state = $1, answered_by_name = $2, answered_at = $3, answer = $4, keep_until = $5
             WHERE id = $6 AND state = 'proposed'",
        )
        .bind(state.as_str())
        .bind(op.actor.name())
        .bind(op.stamp())
        .bind(answer)
        .bind(keep_until)
        .bind(id)
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        if done.rows_affected() == 1 {
            return Ok(());
        }
        Err(Error::new(
            Code::WrongState,
            "该提议已办结，请刷新后查看",
            "the proposal is answered already, reload to see it",
        ))
    }

    pub async fn reclaim_get(&self, id: &str) -> Result<Option<Reclaim>> {
        sqlx::query("SELECT * FROM reclaim WHERE id = $1")
            .bind(id)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| reclaim_of(&row))
            .transpose()
    }

    /// A page of proposals, newest first.
    pub async fn reclaims(
        &self,
        state: Option<ReclaimState>,
        scope: OrgScope<'_>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Reclaim>> {
        let mut c = Clause::default();
        if let Some(state) = state {
            c.and_text("state =", state.as_str());
        }
        if let OrgScope::Of(org) = scope {
            c.and_text("org =", org);
        }
        if let Some(after) = after {
            c.and_text("id <", after);
        }
        let sql =
            format!("SELECT * FROM reclaim{} ORDER BY id DESC LIMIT {}", c.sql(), page(limit));
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for value in c.values() {
            query = query.bind(value.as_str());
        }
        query.fetch_all(self.db.pool()).await.map_err(fail)?.iter().map(reclaim_of).collect()
    }

    /// Proposals whose answer was due before a day.
    pub async fn reclaims_late(&self, today: &str) -> Result<u64> {
        let sql = "SELECT COUNT(*) AS n FROM reclaim WHERE state = 'proposed' AND due < $1";
        let row = sqlx::query(sql).bind(today).fetch_one(self.db.pool()).await.map_err(fail)?;
        Ok(u64::try_from(crate::db::number(&row, "n")?).unwrap_or(0))
    }
}

fn idle_kind(row: &AnyRow) -> Result<IdleKind> {
    let word = text(row, "kind")?;
    IdleKind::parse(&word).ok_or_else(|| unknown("kind", &word))
}

fn idle_of(row: &AnyRow) -> Result<Idle> {
    Ok(Idle {
        kind: idle_kind(row)?,
        thing: text(row, "thing")?,
        org: text(row, "org")?,
        region: text(row, "region")?,
        title: text(row, "title")?,
        percent: row_number(row, "percent")?,
        since: text(row, "since")?,
    })
}

fn reclaim_of(row: &AnyRow) -> Result<Reclaim> {
    let state = text(row, "state")?;
    Ok(Reclaim {
        id: text(row, "id")?,
        kind: idle_kind(row)?,
        thing: text(row, "thing")?,
        org: text(row, "org")?,
        region: text(row, "region")?,
        title: text(row, "title")?,
        percent: row_number(row, "percent")?,
        since: text(row, "since")?,
        state: ReclaimState::parse(&state).ok_or_else(|| unknown("state", &state))?,
        reason: text(row, "reason")?,
        proposed_by: text(row, "proposed_by")?,
        proposed_by_name: text(row, "proposed_by_name")?,
        proposed_at: text(row, "proposed_at")?,
        due: text(row, "due")?,
        answered_by_name: text(row, "answered_by_name")?,
        answered_at: maybe(row, "answered_at")?,
        answer: text(row, "answer")?,
        keep_until: text(row, "keep_until")?,
    })
}
