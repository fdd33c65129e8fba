//! Collection runs, landed parcels and quarantined rows in the control store.

use model::oversight::MisfitGroup;
use model::parcel::{Manifest, Quarantined, Run};
use model::{Error, Op, Result};
use policy::{Action, Permit};
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Transaction};

use crate::Store;
use crate::clause::Clause;
use crate::db::{fail, json, page, text, to_json};
use crate::lease::{Lease, Leased};
use crate::misfit::{Counts, Grouping, put_in};

/// Runs are one process's until they end.
const LEASED: Leased = ("run", " AND state IN ('queued', 'running')");
const COLLECT: &[Action] = &[Action::DataCollect, Action::QuarantineMend, Action::SystemWork];

/// Rows of one INSERT statement and of one transaction of quarantined rows.
const ROWS_PER_STATEMENT: usize = 100;
const ROWS_PER_TRANSACTION: usize = 5_000;

/// A run as kept: what the user sees, whose it is, and what is needed to go on after a crash.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRecord {
    pub run: Run,
    /// Organisation that owns the entry.
    pub org: String,
    /// What `app::collection` needs to resume (JSON; secrets in it are sealed).
    pub source: String,
    pub lease: Lease,
}

/// Which runs a list wants, newest first.
#[derive(Clone, Debug, Default)]
pub struct RunFilter<'a> {
    pub entry: Option<&'a str>,
    pub org: Option<&'a str>,
    /// Only queued or running ones.
    pub unfinished: bool,
    /// Word of a state.
    pub state: Option<&'a str>,
    /// Started from one stamp on, and before another.
    pub from: Option<&'a str>,
    pub to: Option<&'a str>,
    /// Keyset position: runs older than this id.
    pub after: Option<&'a str>,
    pub limit: u32,
}

impl Store {
    /// Keeps a new run.
    pub async fn run_insert(&self, permit: &Permit, _op: &Op, record: &RunRecord) -> Result<()> {
        permit.require(COLLECT)?;
        let run = &record.run;
        sqlx::query(
            "INSERT INTO run (id, entry, org, state, started_at, body, source, owner, lease_until)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(run.id.as_str())
        .bind(run.entry.as_str())
        .bind(record.org.as_str())
        .bind(run.state.as_str())
        .bind(run.started_at.as_str())
        .bind(to_json(run)?)
        .bind(record.source.as_str())
        .bind(record.lease.owner.as_str())
        .bind(record.lease.until)
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// Writes a run's state and figures. Refused when the run is another process's.
    pub async fn run_update(&self, permit: &Permit, owner: &str, run: &Run) -> Result<()> {
        permit.require(COLLECT)?;
        let sql = "UPDATE run SET state = $1, body = $2 WHERE id = $3 AND owner = $4";
        let changed = sqlx::query(sql)
            .bind(run.state.as_str())
            .bind(to_json(run)?)
            .bind(run.id.as_str())
            .bind(owner)
            .execute(self.db.pool())
            .await
            .map_err(fail)?
            .rows_affected();
        self.owned(changed, &run.id).await
    }

    /// Replaces what is needed to resume a run (emptied when it has ended, so that no sealed secret outlives it).
    /// Refused when the run is another process's.
    pub async fn run_source_update(
        &self,
        permit: &Permit,
        owner: &str,
        id: &str,
        source: &str,
    ) -> Result<()> {
        permit.require(COLLECT)?;
        let changed = sqlx::query("UPDATE run SET source = $1 WHERE id = $2 AND owner = $3")
            .bind(source)
            .bind(id)
            .bind(owner)
            .execute(self.db.pool())
            .await
            .map_err(fail)?
            .rows_affected();
        self.owned(changed, id).await
    }

    /// Says why a run could not be changed by its owner.
    async fn owned(&self, changed: u64, id: &str) -> Result<()> {
        if changed > 0 {
            return Ok(());
        }
        if self.run_get(id).await?.is_none() {
            return Err(Error::not_found("归集任务", "collection run", id));
        }
        Err(crate::lease::lost("归集任务", "collection run"))
    }

    /// Renews the lease of a run that has not ended; `false` when it is not the owner's any more.
    pub async fn run_beat(&self, permit: &Permit, id: &str, lease: &Lease) -> Result<bool> {
        permit.require(COLLECT)?;
        self.lease_beat(LEASED, id, lease).await
    }

    /// Takes a run up for a new owner, if it is unfinished and its lease is still the one that was seen: of several
    /// processes that try, one succeeds.
    pub async fn run_claim(
        &self,
        permit: &Permit,
        id: &str,
        seen: &Lease,
        lease: &Lease,
    ) -> Result<bool> {
        permit.require(COLLECT)?;
        self.lease_take(LEASED, id, seen, lease).await
    }

    /// One run.
    pub async fn run_get(&self, id: &str) -> Result<Option<RunRecord>> {
        sqlx::query("SELECT org, body, source, owner, lease_until FROM run WHERE id = $1")
            .bind(id)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .as_ref()
            .map(run_of)
            .transpose()
    }

    /// Runs, newest first.
    pub async fn run_list(&self, filter: &RunFilter<'_>) -> Result<Vec<RunRecord>> {
        let mut clause = Clause::default();
        if let Some(entry) = filter.entry {
            clause.and_text("entry =", entry);
        }
        if let Some(org) = filter.org {
            clause.and_text("org =", org);
        }
        if filter.unfinished {
            clause.and("state IN ('queued', 'running')");
        }
        if let Some(state) = filter.state {
            clause.and_text("state =", state);
        }
        if let Some(from) = filter.from {
            clause.and_text("started_at >=", from);
        }
        if let Some(to) = filter.to {
            clause.and_text("started_at <", to);
        }
        if let Some(after) = filter.after {
            clause.and_text("id <", after);
        }
        let sql = format!(
            "SELECT org, body, source, owner, lease_until FROM run{} ORDER BY id DESC LIMIT {}",
            clause.sql(),
            page(filter.limit)
        );
        self.db.rows(sql, &clause).await?.iter().map(run_of).collect()
    }

    /// Runs that started from one stamp to before another, after an id, oldest first.
    pub async fn runs_started(
        &self,
        from: &str,
        to: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<RunRecord>> {
        let sql = format!(
            "SELECT org, body, source, owner, lease_until FROM run
             WHERE started_at >= $1 AND started_at < $2 AND id > $3 ORDER BY id LIMIT {}",
            page(limit)
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(from)
            .bind(to)
            .bind(after)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(run_of)
            .collect()
    }

    /// Keeps what a run needs to be run again (sealed by the room that wrote it).
    pub async fn run_recipe_set(&self, permit: &Permit, id: &str, recipe: &str) -> Result<()> {
        permit.require(COLLECT)?;
        sqlx::query("UPDATE run SET recipe = $1 WHERE id = $2")
            .bind(recipe)
            .bind(id)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(())
    }

    /// What a run needs to be run again; empty when nothing is kept.
    pub async fn run_recipe(&self, id: &str) -> Result<String> {
        let row = sqlx::query("SELECT recipe FROM run WHERE id = $1")
            .bind(id)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?;
        row.map_or(Ok(String::new()), |row| text(&row, "recipe"))
    }

    /// Whether a run of the entry that is newer than `id` has landed something.
    pub async fn run_overtaken(&self, entry: &str, id: &str) -> Result<bool> {
        let sql = "SELECT id FROM run WHERE entry = $1 AND id > $2 AND state IN ('succeeded', 'unchanged') LIMIT 1";
        let row = sqlx::query(sql)
            .bind(entry)
            .bind(id)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(row.is_some())
    }

    /// Keeps the manifest of a landed parcel; kept twice, nothing changes.
    pub async fn parcel_insert(
        &self,
        permit: &Permit,
        run: &str,
        manifest: &Manifest,
    ) -> Result<()> {
        permit.require(COLLECT)?;
        sqlx::query(
            "INSERT INTO parcel (entry, id, run, landed_at, body) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (entry, id) DO NOTHING",
        )
        .bind(manifest.head.entry.as_str())
        .bind(manifest.head.id.as_str())
        .bind(run)
        .bind(manifest.landed_at.as_str())
        .bind(to_json(manifest)?)
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// The manifest of a parcel that landed.
    pub async fn parcel_get(&self, entry: &str, id: &str) -> Result<Option<Manifest>> {
        sqlx::query("SELECT body FROM parcel WHERE entry = $1 AND id = $2")
            .bind(entry)
            .bind(id)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| json(&row, "body"))
            .transpose()
    }

    /// Keeps quarantined rows, in transactions of bounded size. A row with a known id is left as it is.
    pub async fn quarantine_insert(&self, permit: &Permit, rows: &[Quarantined]) -> Result<()> {
        permit.require(COLLECT)?;
        let grouping = self.grouping(rows).await?;
        for chunk in rows.chunks(ROWS_PER_TRANSACTION) {
            let mut tx = self.db.begin().await?;
            let mut counts = Counts::default();
            for some in chunk.chunks(ROWS_PER_STATEMENT) {
                insert_rows(&mut tx, some, &grouping, &mut counts).await?;
            }
            counts.write(&mut tx).await?;
            tx.commit().await.map_err(fail)?;
        }
        Ok(())
    }

    /// Takes a run's open rows away, if it is the owner's: it is to be read again from the start.
    pub async fn quarantine_clear(&self, permit: &Permit, owner: &str, run: &str) -> Result<()> {
        self.misfits_clear(permit, owner, run).await
    }

    /// Quarantined rows of a run in the order of their records; only those in `state` when given.
    pub async fn quarantine_list(
        &self,
        run: &str,
        state: Option<&str>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Quarantined>> {
        let mut clause = Clause::default();
        clause.and_text("run =", run);
        if let Some(state) = state {
            clause.and_text("state =", state);
        }
        if let Some(after) = after {
            clause.and_text("id >", after);
        }
        let sql = format!(
            "SELECT body FROM quarantine{} ORDER BY id LIMIT {}",
            clause.sql(),
            page(limit)
        );
        let rows = self.db.rows(sql, &clause).await?;
        rows.iter().map(|row| json(row, "body")).collect()
    }

    /// One quarantined row.
    pub async fn quarantine_get(&self, id: &str) -> Result<Option<Quarantined>> {
        self.db.body("quarantine", id).await
    }

    /// Rows of a run in each state: open, replayed, dismissed.
    pub async fn quarantine_count(&self, run: &str, state: &str) -> Result<u64> {
        let n: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM quarantine WHERE run = $1 AND state = $2")
                .bind(run)
                .bind(state)
                .fetch_one(self.db.pool())
                .await
                .map_err(fail)?;
        Ok(u64::try_from(n).unwrap_or(0))
    }

    /// Writes back rows (mended cells, new reasons, new states), all or none. Only open rows change: a row that was
    /// replayed or dismissed meanwhile stays so, and the answer is the number of rows that did change.
    pub async fn quarantine_update(&self, permit: &Permit, rows: &[Quarantined]) -> Result<u64> {
        permit.require(COLLECT)?;
        let grouping = self.grouping(rows).await?;
        let mut tx = self.db.begin().await?;
        let (mut changed, mut counts) = (0, Counts::default());
        for row in rows {
            let before = sqlx::query("SELECT grp FROM quarantine WHERE id = $1 AND state = 'open'")
                .bind(row.id.as_str())
                .fetch_optional(&mut *tx)
                .await
                .map_err(fail)?;
            let Some(before) = before else { continue };
            let group = grouping.of(row);
            let done = sqlx::query(
                "UPDATE quarantine SET state = $1, body = $2, grp = $3 WHERE id = $4 AND state = 'open'",
            )
            .bind(row.state.as_str())
            .bind(to_json(row)?)
            .bind(group.id.as_str())
            .bind(row.id.as_str())
            .execute(&mut *tx)
            .await
            .map_err(fail)?
            .rows_affected();
            if done > 0 {
                counts.take(&text(&before, "grp")?, 1);
                if row.state == "open" {
                    counts.add(group, 1);
                }
            }
            changed += done;
        }
        counts.write(&mut tx).await?;
        tx.commit().await.map_err(fail)?;
        Ok(changed)
    }
}

async fn insert_rows(
    tx: &mut Transaction<'static, Any>,
    rows: &[Quarantined],
    grouping: &Grouping,
    counts: &mut Counts,
) -> Result<()> {
    let places: Vec<String> = (0..rows.len())
        .map(|n| {
            let first = n * 7;
            let places: Vec<String> = (1..=7).map(|i| format!("${}", first + i)).collect();
            format!("({})", places.join(","))
        })
        .collect();
    let sql = format!(
        "INSERT INTO quarantine (id, run, entry, state, at, body, grp) VALUES {} ON CONFLICT (id) DO NOTHING RETURNING id",
        places.join(",")
    );
    let mut query = sqlx::query::<Any>(AssertSqlSafe(sql));
    let groups: Vec<MisfitGroup> = rows.iter().map(|row| grouping.of(row)).collect();
    for (row, group) in rows.iter().zip(&groups) {
        query = query
            .bind(row.id.as_str())
            .bind(row.run.as_str())
            .bind(row.entry.as_str())
            .bind(row.state.as_str())
            .bind(row.at.as_str())
            .bind(to_json(row)?)
            .bind(group.id.as_str());
    }
    // A row that was there is not counted again.
    let new = put_in(&query.fetch_all(&mut **tx).await.map_err(fail)?)?;
    for (row, group) in rows.iter().zip(groups) {
        if row.state == "open" && new.contains(&row.id) {
            counts.add(group, 1);
        }
    }
    Ok(())
}

fn run_of(row: &AnyRow) -> Result<RunRecord> {
    let lease = Lease::of(row)?;
    Ok(RunRecord {
        run: json(row, "body")?,
        org: text(row, "org")?,
        source: text(row, "source")?,
        lease,
    })
}
