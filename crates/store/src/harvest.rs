//! Harvest in the control store: sources, their turns with the position after each page, where entries come from, and what was refused.

use model::harvest::{
    HarvestFigures, HarvestOrigin, HarvestOutcome, HarvestRefusal, HarvestSource, HarvestState,
    HarvestTurn,
};
use model::{Error, Result};
use policy::{Action, Permit};
use sqlx::any::AnyRow;

use crate::Store;
use crate::clause::Clause;
use crate::db::{fail, json, number, on_duplicate, page, text, to_json};
use crate::lease::{Lease, Leased};

/// Turns are one process's at a time.
const LEASED: Leased = ("harvest_turn", "");
/// Entries asked for at once.
const TOGETHER: usize = 500;
const KEEPERS: &[Action] = &[Action::HarvestKeep];
const WORKERS: &[Action] = &[Action::HarvestKeep, Action::SystemWork];

/// A turn as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HarvestTurnRecord {
    pub turn: HarvestTurn,
    pub ready_at: String,
    pub lease: Lease,
}

/// How many of the records that were known before a turn it has seen again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HarvestKnown {
    /// Known before the turn and not gone.
    pub before: u64,
    /// Of these, seen in it.
    pub again: u64,
}

const TURN: &str = "SELECT body, ready_at, owner, lease_until FROM harvest_turn";

impl Store {
    /// Enters a source. `Duplicate` when one bears the name already.
    pub async fn harvest_source_insert(
        &self,
        permit: &Permit,
        source: &HarvestSource,
    ) -> Result<()> {
        permit.require(KEEPERS)?;
        sqlx::query(
            "INSERT INTO harvest_source (id, name, wish, due, body) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(source.id.as_str())
        .bind(source.name.as_str())
        .bind(source.wish.as_str())
        .bind(source.due.as_str())
        .bind(to_json(source)?)
        .execute(self.db.pool())
        .await
        .map_err(|e| named(e, &source.name))?;
        Ok(())
    }

    /// Writes a source.
    pub async fn harvest_source_update(
        &self,
        permit: &Permit,
        source: &HarvestSource,
    ) -> Result<()> {
        permit.require(WORKERS)?;
        let done = sqlx::query(
            "UPDATE harvest_source SET name = $1, wish = $2, due = $3, body = $4 WHERE id = $5",
        )
        .bind(source.name.as_str())
        .bind(source.wish.as_str())
        .bind(source.due.as_str())
        .bind(to_json(source)?)
        .bind(source.id.as_str())
        .execute(self.db.pool())
        .await
        .map_err(|e| named(e, &source.name))?;
        if done.rows_affected() == 1 {
            Ok(())
        } else {
            Err(Error::not_found("采集源", "harvest source", &source.id))
        }
    }

    pub async fn harvest_source_get(&self, id: &str) -> Result<Option<HarvestSource>> {
        self.db.body("harvest_source", id).await
    }

    /// Sources after `after` by id.
    pub async fn harvest_source_list(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<HarvestSource>> {
        let mut clause = Clause::default();
        if let Some(after) = after {
            clause.and_text("id >", after);
        }
        let sql = format!(
            "SELECT body FROM harvest_source{} ORDER BY id LIMIT {}",
            clause.sql(),
            page(limit)
        );
        self.db.bodies(sql, &clause).await
    }

    /// Sources that go by schedule and whose time has come.
    pub async fn harvest_due(&self, now: &str, limit: u32) -> Result<Vec<HarvestSource>> {
        let mut clause = Clause::default();
        clause.and("wish = 'run' AND due <> ''");
        clause.and_text("due <=", now);
        let sql = format!(
            "SELECT body FROM harvest_source{} ORDER BY due, id LIMIT {}",
            clause.sql(),
            page(limit)
        );
        self.db.bodies(sql, &clause).await
    }

    /// Opens a turn; `false` when one of the source is open already.
    pub async fn harvest_turn_open(
        &self,
        permit: &Permit,
        turn: &HarvestTurn,
        ready_at: &str,
    ) -> Result<bool> {
        permit.require(WORKERS)?;
        let done = sqlx::query(
            "INSERT INTO harvest_turn (id, source, state, ready_at, owner, lease_until, body) VALUES ($1, $2, $3, $4, '', 0, $5)",
        )
        .bind(turn.id.as_str())
        .bind(turn.source.as_str())
        .bind(turn.state.as_str())
        .bind(ready_at)
        .bind(to_json(turn)?)
        .execute(self.db.pool())
        .await;
        match done {
            Ok(_) => Ok(true),
            Err(sqlx::Error::Database(e)) if e.is_unique_violation() => Ok(false),
            Err(e) => Err(fail(e)),
        }
    }

    /// Turns that are open and may be taken up by their time; whether their lease is over is for the caller to see.
    pub async fn harvest_turns_ready(
        &self,
        now: &str,
        limit: u32,
    ) -> Result<Vec<HarvestTurnRecord>> {
        let mut clause = Clause::default();
        clause.and("state IN ('waiting', 'running')");
        clause.and_text("ready_at <=", now);
        let sql = format!("{TURN}{} ORDER BY ready_at, id LIMIT {}", clause.sql(), page(limit));
        self.db.rows(sql, &clause).await?.iter().map(record_of).collect()
    }

    pub async fn harvest_turn_get(&self, id: &str) -> Result<Option<HarvestTurnRecord>> {
        let mut clause = Clause::default();
        clause.and_text("id =", id);
        let rows = self.db.rows(format!("{TURN}{}", clause.sql()), &clause).await?;
        rows.first().map(record_of).transpose()
    }

    /// Turns of a source, newest first, before `before`.
    pub async fn harvest_turns(
        &self,
        source: &str,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<HarvestTurn>> {
        let select = "SELECT body FROM harvest_turn";
        let rows = self.db.newest(select, ("source", source), before, limit).await?;
        rows.iter().map(|row| json(row, "body")).collect()
    }

    /// Takes a turn for `lease`, if its lease is still the one seen: of several processes one succeeds.
    pub async fn harvest_claim(
        &self,
        permit: &Permit,
        id: &str,
        seen: &Lease,
        lease: &Lease,
    ) -> Result<bool> {
        permit.require(WORKERS)?;
        self.lease_take(LEASED, id, seen, lease).await
    }

    /// Renews a lease (or ends it); `false` when the turn is not the owner's any more.
    pub async fn harvest_beat(&self, permit: &Permit, id: &str, lease: &Lease) -> Result<bool> {
        permit.require(WORKERS)?;
        self.lease_beat(LEASED, id, lease).await
    }

    /// Writes a turn with its position, by its owner only; refused when it is another process's.
    pub async fn harvest_turn_write(
        &self,
        permit: &Permit,
        owner: &str,
        turn: &HarvestTurn,
        ready_at: &str,
    ) -> Result<()> {
        permit.require(WORKERS)?;
        let body = to_json(turn)?;
        let state = (turn.state.as_str(), ready_at);
        if self.lease_write(LEASED, owner, &turn.id, state, &body).await? {
            Ok(())
        } else {
            Err(crate::lease::lost("采集", "harvest"))
        }
    }

    /// Where a record of a source went.
    pub async fn harvest_origin(
        &self,
        source: &str,
        foreign_id: &str,
    ) -> Result<Option<HarvestOrigin>> {
        let mut clause = Clause::default();
        clause.and_text("source =", source);
        clause.and_text("foreign_id =", foreign_id);
        let sql = format!("SELECT body FROM harvest_origin{}", clause.sql());
        self.db.first(sql, &clause).await
    }

    /// Where an entry (by code) comes from.
    pub async fn harvest_origin_of(&self, entry: &str) -> Result<Option<HarvestOrigin>> {
        let mut clause = Clause::default();
        clause.and_text("entry =", entry);
        let sql = format!("SELECT body FROM harvest_origin{}", clause.sql());
        self.db.first(sql, &clause).await
    }

    /// Where entries (by code) come from, as far as others' catalogues brought them.
    pub async fn harvest_origins_of(&self, entries: &[&str]) -> Result<Vec<HarvestOrigin>> {
        let mut found = Vec::new();
        for some in entries.chunks(TOGETHER) {
            let mut clause = Clause::default();
            clause.and_in("entry", some);
            let sql = format!("SELECT body FROM harvest_origin{}", clause.sql());
            found.extend(self.db.bodies::<HarvestOrigin>(sql, &clause).await?);
        }
        Ok(found)
    }

    /// Keeps where a record went; what was kept of it before is written over.
    pub async fn harvest_origin_put(&self, permit: &Permit, origin: &HarvestOrigin) -> Result<()> {
        permit.require(WORKERS)?;
        sqlx::query(
            "INSERT INTO harvest_origin (source, foreign_id, entry, first_turn, seen_turn, outcome, gone_at, body) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (source, foreign_id) DO UPDATE SET entry = excluded.entry, first_turn = excluded.first_turn,
               seen_turn = excluded.seen_turn, outcome = excluded.outcome, gone_at = excluded.gone_at, body = excluded.body",
        )
        .bind(origin.source.as_str())
        .bind(origin.foreign_id.as_str())
        .bind(origin.entry.as_str())
        .bind(origin.first_turn.as_str())
        .bind(origin.seen_turn.as_str())
        .bind(origin.outcome.as_str())
        .bind(origin.gone_at.as_str())
        .bind(to_json(origin)?)
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// Records of a source that are there as far as is known and that a turn has not seen, after `after` by foreign id.
    pub async fn harvest_unseen(
        &self,
        source: &str,
        turn: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<HarvestOrigin>> {
        let mut clause = Clause::default();
        clause.and_text("source =", source);
        clause.and("gone_at = ''");
        clause.and_text("seen_turn <>", turn);
        clause.and_text("foreign_id >", after);
        let sql = format!(
            "SELECT body FROM harvest_origin{} ORDER BY foreign_id LIMIT {}",
            clause.sql(),
            page(limit)
        );
        self.db.bodies(sql, &clause).await
    }

    /// What was known before a turn, and how much of it the turn has seen again.
    pub async fn harvest_known(&self, source: &str, turn: &str) -> Result<HarvestKnown> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS n, CAST(COALESCE(SUM(CASE WHEN seen_turn = $2 THEN 1 ELSE 0 END), 0) AS BIGINT) AS again
             FROM harvest_origin WHERE source = $1 AND gone_at = '' AND first_turn <> $2",
        )
        .bind(source)
        .bind(turn)
        .fetch_one(self.db.pool())
        .await
        .map_err(fail)?;
        let count = |name| Ok::<_, Error>(u64::try_from(number(&row, name)?).unwrap_or(0));
        Ok(HarvestKnown { before: count("n")?, again: count("again")? })
    }

    /// Notes why a record was not taken; noted twice it counts once.
    pub async fn harvest_refuse(
        &self,
        permit: &Permit,
        turn: &str,
        refusal: &HarvestRefusal,
    ) -> Result<()> {
        permit.require(WORKERS)?;
        sqlx::query(
            "INSERT INTO harvest_refusal (turn, foreign_id, body) VALUES ($1, $2, $3)
             ON CONFLICT (turn, foreign_id) DO UPDATE SET body = excluded.body",
        )
        .bind(turn)
        .bind(refusal.foreign_id.as_str())
        .bind(to_json(refusal)?)
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// What a turn refused, after `after` by foreign id.
    pub async fn harvest_refusals(
        &self,
        turn: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<HarvestRefusal>> {
        let mut clause = Clause::default();
        clause.and_text("turn =", turn);
        clause.and_text("foreign_id >", after);
        let sql = format!(
            "SELECT body FROM harvest_refusal{} ORDER BY foreign_id LIMIT {}",
            clause.sql(),
            page(limit)
        );
        self.db.bodies(sql, &clause).await
    }

    /// What a turn has made of the records so far, counted from where they went: a page that was read twice counts once.
    pub async fn harvest_figures(&self, source: &str, turn: &str) -> Result<HarvestFigures> {
        let mut figures = HarvestFigures::default();
        let rows = sqlx::query(
            "SELECT CASE WHEN gone_at = '' THEN outcome ELSE 'gone' END AS what, COUNT(*) AS n FROM harvest_origin WHERE source = $1 AND seen_turn = $2 GROUP BY 1",
        )
        .bind(source)
        .bind(turn)
        .fetch_all(self.db.pool())
        .await
        .map_err(fail)?;
        for row in &rows {
            let n = u64::try_from(number(row, "n")?).unwrap_or(0);
            let what = text(row, "what")?;
            if what == "gone" {
                figures.gone = n;
                continue;
            }
            match HarvestOutcome::parse(&what) {
                Some(HarvestOutcome::New) => figures.new = n,
                Some(HarvestOutcome::Changed) => figures.changed = n,
                Some(HarvestOutcome::Unchanged) => figures.unchanged = n,
                Some(HarvestOutcome::Refused) | None => {}
            }
        }
        let refused: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM harvest_refusal WHERE turn = $1")
                .bind(turn)
                .fetch_one(self.db.pool())
                .await
                .map_err(fail)?;
        figures.refused = u64::try_from(refused).unwrap_or(0);
        figures.seen = figures.new + figures.changed + figures.unchanged + figures.refused;
        Ok(figures)
    }

    /// Turns that were over before `before` go with what they refused; answers how many.
    pub async fn harvest_forget(&self, permit: &Permit, before: &str) -> Result<u64> {
        permit.require(WORKERS)?;
        let over = [HarvestState::Done, HarvestState::Stopped, HarvestState::Failed];
        let mut gone = 0;
        for state in over {
            let sql = "DELETE FROM harvest_refusal WHERE turn IN (SELECT id FROM harvest_turn WHERE state = $1 AND ready_at < $2)";
            sqlx::query(sql)
                .bind(state.as_str())
                .bind(before)
                .execute(self.db.pool())
                .await
                .map_err(fail)?;
            let done = sqlx::query("DELETE FROM harvest_turn WHERE state = $1 AND ready_at < $2")
                .bind(state.as_str())
                .bind(before)
                .execute(self.db.pool())
                .await
                .map_err(fail)?;
            gone += done.rows_affected();
        }
        Ok(gone)
    }
}

fn named(e: sqlx::Error, name: &str) -> Error {
    on_duplicate(
        e,
        &format!("已有名为“{name}”的采集源，请换一个名称"),
        &format!("a harvest source named `{name}` exists already: name it otherwise"),
    )
}

fn record_of(row: &AnyRow) -> Result<HarvestTurnRecord> {
    Ok(HarvestTurnRecord {
        turn: json(row, "body")?,
        ready_at: text(row, "ready_at")?,
        lease: Lease::of(row)?,
    })
}
