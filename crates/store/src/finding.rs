//! Findings of the rule packs in the control store: per entry and rule how many places, with sums per organisation that
//! are kept in the same transaction, so that no page counts the whole ledger (*constant page*).

use std::collections::BTreeMap;

use model::Result;
use model::finding::{FindingRow, FindingSum, Level, RuleHits};
use policy::{Action, Permit};
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Transaction};

use crate::Store;
use crate::clause::Clause;
use crate::db::{fail, number, page, text};
use crate::entry::Held;

/// Under which name the store keeps by which rules its findings were made.
const MARK: &str = "finding_mark";
/// Everybody's sums.
const ALL: &str = "";

/// Findings of one entry as they were computed from what was read at `updated_at`.
#[derive(Clone, Debug)]
pub struct Linted {
    pub entry: String,
    pub org: String,
    pub updated_at: String,
    pub hits: Vec<RuleHits>,
}

impl Store {
    /// Writes findings anew for entries that have not changed since they were read.
    pub async fn finding_put(&self, permit: &Permit, all: &[Linted]) -> Result<()> {
        permit.require(&[Action::SystemWork])?;
        let mut tx = self.db.begin().await?;
        let mut moves = Moves::new();
        for one in all {
            let row = sqlx::query("SELECT updated_at FROM entry WHERE id = $1")
                .bind(one.entry.as_str())
                .fetch_optional(&mut *tx)
                .await
                .map_err(fail)?;
            let now = row.map(|row| text(&row, "updated_at")).transpose()?;
            if now.as_deref() == Some(one.updated_at.as_str()) {
                replace(&mut tx, &one.entry, &one.org, &one.hits, &mut moves).await?;
            }
        }
        settle(&mut tx, moves).await?;
        tx.commit().await.map_err(fail)
    }

    /// By which rules the findings were made, and up to which entry when the making goes on.
    pub async fn finding_mark(&self) -> Result<Option<String>> {
        self.meta_get(MARK).await
    }

    pub async fn finding_set_mark(&self, permit: &Permit, mark: &str) -> Result<()> {
        self.meta_set(permit, MARK, mark).await
    }

    /// The next entries after an id, in order of id, whole.
    pub async fn entry_held_after(&self, after: &str, limit: u32) -> Result<Vec<Held>> {
        let sql = format!("SELECT * FROM entry WHERE id > $1 ORDER BY id LIMIT {}", page(limit));
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(after)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?;
        let mut held = rows.iter().map(crate::entry::read).collect::<Result<Vec<_>>>()?;
        self.fill_items(&mut held).await?;
        Ok(held)
    }

    /// A page of entries with findings, by entry and rule; `after` is the pair last seen.
    pub async fn finding_list(
        &self,
        org: Option<&str>,
        rule: Option<&str>,
        after: Option<(&str, &str)>,
        limit: u32,
    ) -> Result<Vec<FindingRow>> {
        let mut c = Clause::default();
        if let Some(org) = org {
            c.and_text("f.org =", org);
        }
        if let Some(rule) = rule {
            c.and_text("f.rule =", rule);
        }
        if let Some((entry, seen)) = after {
            if rule.is_some() {
                c.and_text("f.entry >", entry);
            } else {
                c.and_text("(f.entry, f.rule) > (", entry);
                c.more(",", seen);
                c.close();
            }
        }
        let sql = format!(
            "SELECT f.entry, f.rule, f.level, f.places, e.code, e.title, e.org FROM finding f
             JOIN entry e ON e.id = f.entry{} ORDER BY f.entry, f.rule LIMIT {}",
            c.sql(),
            page(limit)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for value in c.values() {
            query = query.bind(value.clone());
        }
        let rows = query.fetch_all(self.db.pool()).await.map_err(fail)?;
        rows.iter()
            .map(|row| {
                Ok(FindingRow {
                    entry: text(row, "entry")?,
                    code: text(row, "code")?,
                    title: text(row, "title")?,
                    org: text(row, "org")?,
                    rule: text(row, "rule")?,
                    level: level(row)?,
                    places: number(row, "places")?,
                })
            })
            .collect()
    }

    /// Sums by rule, of an organisation or of everybody.
    pub async fn finding_rules(&self, org: Option<&str>) -> Result<Vec<FindingSum>> {
        let sql = "SELECT rule AS name, level, entries, places FROM finding_sum
                   WHERE org = $1 AND entries > 0 ORDER BY level, entries DESC, rule";
        let rows = sqlx::query(sql)
            .bind(org.unwrap_or(ALL))
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?;
        rows.iter().map(sum).collect()
    }

    /// Sums by organisation, of one rule when it is given (of all rules `entries` counts an entry once per rule); by
    /// organisation id, `after` the last one seen.
    pub async fn finding_orgs(
        &self,
        rule: Option<&str>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<FindingSum>> {
        let mut c = Clause::default();
        c.and("entries > 0");
        c.and_text("org >", after.unwrap_or(ALL));
        if let Some(rule) = rule {
            c.and_text("rule =", rule);
        }
        let sql = format!(
            "SELECT org AS name, MIN(level) AS level, CAST(SUM(entries) AS BIGINT) AS entries,
                 CAST(SUM(places) AS BIGINT) AS places
             FROM finding_sum{} GROUP BY org ORDER BY org LIMIT {}",
            c.sql(),
            page(limit)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for value in c.values() {
            query = query.bind(value.clone());
        }
        query.fetch_all(self.db.pool()).await.map_err(fail)?.iter().map(sum).collect()
    }
}

fn level(row: &AnyRow) -> Result<Level> {
    let word = text(row, "level")?;
    Level::parse(&word)
        .ok_or_else(|| model::Error::internal(format!("finding level `{word}` is unknown")))
}

fn sum(row: &AnyRow) -> Result<FindingSum> {
    Ok(FindingSum {
        of: text(row, "name")?,
        level: level(row)?,
        entries: number(row, "entries")?,
        places: number(row, "places")?,
    })
}

/// Says that findings must be made anew, inside the transaction that made them untrue.
pub(crate) async fn forget_mark(tx: &mut Transaction<'static, Any>) -> Result<()> {
    sqlx::query("DELETE FROM meta WHERE name = $1")
        .bind(MARK)
        .execute(&mut **tx)
        .await
        .map_err(fail)?;
    Ok(())
}

/// What the sums of an organisation and a rule move by: level, entries, places.
pub(crate) type Moves = BTreeMap<(String, String), (Level, i64, i64)>;

/// Puts an entry's findings in place of those kept; `moves` learns by how much the sums change. They are settled once, at
/// the end of the transaction and in order, so that two transactions do not wait for each other.
pub(crate) async fn replace(
    tx: &mut Transaction<'static, Any>,
    entry: &str,
    org: &str,
    hits: &[RuleHits],
    moves: &mut Moves,
) -> Result<()> {
    let kept = sqlx::query("SELECT rule, level, places FROM finding WHERE entry = $1")
        .bind(entry)
        .fetch_all(&mut **tx)
        .await
        .map_err(fail)?;
    let mut old: BTreeMap<String, (Level, i64)> = BTreeMap::new();
    let mut by = |rule: &str, level: Level, entries: i64, places: i64| {
        for of in [ALL, org] {
            let m = moves.entry((of.to_owned(), rule.to_owned())).or_insert((level, 0, 0));
            *m = (level, m.1 + entries, m.2 + places);
        }
    };
    for row in &kept {
        let (rule, level, places) = (text(row, "rule")?, level(row)?, number(row, "places")?);
        by(&rule, level, -1, -places);
        old.insert(rule, (level, places));
    }
    for hit in hits {
        by(&hit.rule, hit.level, 1, hit.places);
        if old.remove(&hit.rule) == Some((hit.level, hit.places)) {
            continue;
        }
        sqlx::query(
            "INSERT INTO finding (entry, rule, org, level, places) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (entry, rule) DO UPDATE SET level = excluded.level, places = excluded.places",
        )
        .bind(entry)
        .bind(hit.rule.as_str())
        .bind(org)
        .bind(hit.level.as_str())
        .bind(hit.places)
        .execute(&mut **tx)
        .await
        .map_err(fail)?;
    }
    for rule in old.keys() {
        sqlx::query("DELETE FROM finding WHERE entry = $1 AND rule = $2")
            .bind(entry)
            .bind(rule.as_str())
            .execute(&mut **tx)
            .await
            .map_err(fail)?;
    }
    Ok(())
}

/// Moves the sums.
pub(crate) async fn settle(tx: &mut Transaction<'static, Any>, moves: Moves) -> Result<()> {
    for ((org, rule), (level, entries, places)) in moves {
        if entries == 0 && places == 0 {
            continue;
        }
        sqlx::query(
            "INSERT INTO finding_sum (org, rule, level, entries, places) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (org, rule) DO UPDATE SET level = excluded.level,
                 entries = finding_sum.entries + excluded.entries, places = finding_sum.places + excluded.places",
        )
        .bind(org)
        .bind(rule)
        .bind(level.as_str())
        .bind(entries)
        .bind(places)
        .execute(&mut **tx)
        .await
        .map_err(fail)?;
    }
    Ok(())
}
