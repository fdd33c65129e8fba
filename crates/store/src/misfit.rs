//! Quarantined rows by reason: counters kept in the same transaction as the rows, so that no page counts the quarantine.

use std::collections::BTreeMap;

use model::oversight::{MisfitGroup, reason_of};
use model::parcel::{Quarantined, Run};
use model::{Error, Result};
use policy::{Action, Permit};
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Row as _, Transaction};

use crate::Store;
use crate::clause::Clause;
use crate::db::{fail, json, number, page, text, to_json};

const MEND: &[Action] = &[Action::DataCollect, Action::QuarantineMend, Action::SystemWork];

/// Where a run's rows are counted: organisation and channel.
#[derive(Clone, Debug, Default)]
struct Whose {
    org: String,
    channel: String,
}

/// What is added to (or, below zero, taken from) a group.
#[derive(Clone, Debug)]
pub(crate) struct Count {
    group: MisfitGroup,
    rows: i64,
}

/// Groups that rows change, by id: always in the same order, so that two transactions never wait for each other in a circle.
#[derive(Debug, Default)]
pub(crate) struct Counts(BTreeMap<String, Count>);

impl Counts {
    pub(crate) fn add(&mut self, group: MisfitGroup, rows: i64) {
        let count = self
            .0
            .entry(group.id.clone())
            .or_insert_with(|| Count { group: group.clone(), rows: 0 });
        if count.group.entry.is_empty() {
            // What was taken from is known by its id alone.
            count.group = group;
        }
        count.rows += rows;
    }

    pub(crate) fn take(&mut self, id: &str, rows: i64) {
        let group = MisfitGroup {
            id: id.to_owned(),
            entry: String::new(),
            org: String::new(),
            channel: String::new(),
            item: String::new(),
            reason: String::new(),
            rows: 0,
            first_at: String::new(),
            last_at: String::new(),
            zh: String::new(),
            en: String::new(),
        };
        self.add(group, -rows);
    }

    /// Writes the counters.
    pub(crate) async fn write(self, tx: &mut Transaction<'static, Any>) -> Result<()> {
        for Count { group, rows } in self.0.into_values() {
            if group.entry.is_empty() {
                sqlx::query("UPDATE quarantine_group SET open_rows = open_rows + $1 WHERE id = $2")
                    .bind(rows)
                    .bind(group.id.as_str())
                    .execute(&mut **tx)
                    .await
                    .map_err(fail)?;
                continue;
            }
            let body = serde_json::json!({ "zh": group.zh, "en": group.en });
            sqlx::query(
                "INSERT INTO quarantine_group (id, entry, org, channel, item, reason, open_rows, first_at, last_at, body)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
                 ON CONFLICT (id) DO UPDATE SET open_rows = quarantine_group.open_rows + excluded.open_rows,
                   first_at = CASE WHEN quarantine_group.open_rows > 0 THEN quarantine_group.first_at ELSE excluded.first_at END,
                   last_at = CASE WHEN excluded.last_at > quarantine_group.last_at THEN excluded.last_at ELSE quarantine_group.last_at END",
            )
            .bind(group.id.as_str())
            .bind(group.entry.as_str())
            .bind(group.org.as_str())
            .bind(group.channel.as_str())
            .bind(group.item.as_str())
            .bind(group.reason.as_str())
            .bind(rows)
            .bind(group.first_at.as_str())
            .bind(group.last_at.as_str())
            .bind(to_json(&body)?)
            .execute(&mut **tx)
            .await
            .map_err(fail)?;
        }
        Ok(())
    }
}

/// Says which group each row of some runs belongs to.
#[derive(Debug, Default)]
pub(crate) struct Grouping(BTreeMap<String, Whose>);

impl Grouping {
    pub(crate) fn of(&self, row: &Quarantined) -> MisfitGroup {
        let whose = self.0.get(&row.run).cloned().unwrap_or_default();
        let r = &row.reject;
        let reason = reason_of(&r.column, &r.en);
        let named = [row.entry.as_str(), &whose.channel, &r.column, &reason].join("\u{1f}");
        let id = guard::hash::sha256_hex(named.as_bytes()).get(..24).unwrap_or_default().to_owned();
        MisfitGroup {
            id,
            entry: row.entry.clone(),
            org: whose.org,
            channel: whose.channel,
            item: r.column.clone(),
            reason,
            rows: 0,
            first_at: row.at.clone(),
            last_at: row.at.clone(),
            // Values stay with the rows: a group's words must tell none.
            zh: without_values(&r.zh),
            en: without_values(&r.en),
        }
    }
}

/// A reason without what it quotes of the row.
fn without_values(text: &str) -> String {
    let text = text.split("；同一行还有").next().unwrap_or(text);
    let text = text.split("; also wrong in this row").next().unwrap_or(text);
    let mut out = String::new();
    for (at, part) in text.split('`').enumerate() {
        out.push_str(if at % 2 == 1 { "…" } else { part });
    }
    out.chars().take(300).collect()
}

impl Store {
    /// Whose the runs of these rows are.
    pub(crate) async fn grouping(&self, rows: &[Quarantined]) -> Result<Grouping> {
        let mut grouping = Grouping::default();
        for row in rows {
            if grouping.0.contains_key(&row.run) {
                continue;
            }
            let found = sqlx::query("SELECT org, body FROM run WHERE id = $1")
                .bind(row.run.as_str())
                .fetch_optional(self.db.pool())
                .await
                .map_err(fail)?;
            let whose = match found {
                Some(found) => {
                    let run: Run = json(&found, "body")?;
                    Whose { org: text(&found, "org")?, channel: run.channel }
                }
                None => Whose::default(),
            };
            grouping.0.insert(row.run.clone(), whose);
        }
        Ok(grouping)
    }

    /// Groups with open rows, the largest first; of an organisation when given. `after`: rows and id of the last one seen.
    pub async fn misfit_groups(
        &self,
        org: Option<&str>,
        after: Option<(u64, &str)>,
        limit: u32,
    ) -> Result<Vec<MisfitGroup>> {
        let mut clause = Clause::default();
        clause.and("open_rows > 0");
        if let Some(org) = org {
            clause.and_text("org =", org);
        }
        if let Some((rows, id)) = after {
            clause.and_text(&format!("(open_rows < {rows} OR (open_rows = {rows} AND id >"), id);
            clause.close();
            clause.close();
        }
        let sql = format!(
            "SELECT * FROM quarantine_group{} ORDER BY open_rows DESC, id LIMIT {}",
            clause.sql(),
            page(limit)
        );
        self.db.rows(sql, &clause).await?.iter().map(group_of).collect()
    }

    /// One group, also when no row waits any more.
    pub async fn misfit_group(&self, id: &str) -> Result<Option<MisfitGroup>> {
        sqlx::query("SELECT * FROM quarantine_group WHERE id = $1")
            .bind(id)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .as_ref()
            .map(group_of)
            .transpose()
    }

    /// Open rows of a group by id.
    pub async fn misfits_of(
        &self,
        group: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Quarantined>> {
        let sql = format!(
            "SELECT body FROM quarantine WHERE grp = $1 AND state = 'open' AND id > $2 ORDER BY id LIMIT {}",
            page(limit)
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(group)
            .bind(after.unwrap_or_default())
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?;
        rows.iter().map(|row| json(row, "body")).collect()
    }

    /// Runs with open rows in a group, at most `limit`.
    pub async fn misfit_runs(&self, group: &str, limit: u32) -> Result<Vec<String>> {
        let sql = format!(
            "SELECT DISTINCT run FROM quarantine WHERE grp = $1 AND state = 'open' ORDER BY run LIMIT {}",
            page(limit)
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(group)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?;
        rows.iter().map(|row| text(row, "run")).collect()
    }

    /// Open rows of a run in a group (in all groups without one), in the order of their ids.
    pub async fn misfits_of_run(
        &self,
        run: &str,
        group: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Quarantined>> {
        let mut clause = Clause::default();
        clause.and_text("run =", run);
        clause.and("state = 'open'");
        if !group.is_empty() {
            clause.and_text("grp =", group);
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

    /// Takes a run's open rows away, if it is the owner's, and out of their groups.
    pub(crate) async fn misfits_clear(
        &self,
        permit: &Permit,
        owner: &str,
        run: &str,
    ) -> Result<()> {
        permit.require(MEND)?;
        // Rows of a pipeline that never came into its transformation are in no group.
        let mine = "run = $1 AND state IN ('open', 'source') AND EXISTS (SELECT 1 FROM run WHERE id = $1 AND owner = $2)";
        let mut tx = self.db.begin().await?;
        let sql = format!(
            "SELECT grp, COUNT(*) AS n FROM quarantine WHERE {mine} AND state = 'open' GROUP BY grp"
        );
        let gone = sqlx::query(AssertSqlSafe(sql))
            .bind(run)
            .bind(owner)
            .fetch_all(&mut *tx)
            .await
            .map_err(fail)?;
        let mut counts = Counts::default();
        for row in &gone {
            counts.take(&text(row, "grp")?, number(row, "n")?);
        }
        sqlx::query(AssertSqlSafe(format!("DELETE FROM quarantine WHERE {mine}")))
            .bind(run)
            .bind(owner)
            .execute(&mut *tx)
            .await
            .map_err(fail)?;
        counts.write(&mut tx).await?;
        tx.commit().await.map_err(fail)
    }
}

/// Ids and groups of rows that an insert did put in.
pub(crate) fn put_in(rows: &[AnyRow]) -> Result<Vec<String>> {
    rows.iter()
        .map(|row| {
            row.try_get::<String, _>("id").map_err(|e| Error::internal("a row's id").caused_by(e))
        })
        .collect()
}

fn group_of(row: &AnyRow) -> Result<MisfitGroup> {
    let body: serde_json::Value = json(row, "body")?;
    let word = |name: &str| body.get(name).and_then(|w| w.as_str()).unwrap_or_default().to_owned();
    Ok(MisfitGroup {
        id: text(row, "id")?,
        entry: text(row, "entry")?,
        org: text(row, "org")?,
        channel: text(row, "channel")?,
        item: text(row, "item")?,
        reason: text(row, "reason")?,
        rows: u64::try_from(number(row, "open_rows")?).unwrap_or(0),
        first_at: text(row, "first_at")?,
        last_at: text(row, "last_at")?,
        zh: word("zh"),
        en: word("en"),
    })
}
