//! The order in which the ledgers changed: entries by when what may be known of them changed, assets by their last
//! change. Read by index from either end, whatever the size of the ledgers.

use model::asset::{Asset, Ledger};
use model::change::{ChangeFilter, Position};
use model::entry::Entry;
use model::{Error, Result};
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::Store;
use crate::clause::Clause;
use crate::db::{fail, json, maybe, number, page, text};
use crate::entry::{EntryScope, LIVE};

/// Regions asked for one by one, each by its index; more of them are a good part of the ledgers.
const BY_REGION: usize = 20;

impl Store {
    /// Entries in the order of their changes, without items, each with its stamp. Beside what `scope` shows, entries are
    /// told that were public knowledge and are no more: the caller is told no more of them than that they went.
    pub async fn entry_changes(
        &self,
        filter: &ChangeFilter,
        scope: &EntryScope,
    ) -> Result<Vec<(Entry, String)>> {
        let mut out = Vec::new();
        for region in places(filter) {
            let mut c = clause(filter, "changed_at", region);
            match scope {
                EntryScope::All => {}
                EntryScope::LiveOr(None) => {
                    c.and(&format!("(({LIVE}) OR published_at IS NOT NULL)"))
                }
                EntryScope::LiveOr(Some(org)) => {
                    c.and_text(&format!("(({LIVE}) OR published_at IS NOT NULL OR org ="), org);
                    c.close();
                }
            }
            if filter.open {
                c.and("open_type <> 'none'");
                c.and("published_at IS NOT NULL");
            }
            let sql = sql("entry", "changed_at", &c, filter);
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for value in c.values() {
                query = query.bind(value.as_str());
            }
            for row in query.fetch_all(self.db.pool()).await.map_err(fail)? {
                out.push((crate::entry::read(&row)?.entry, text(&row, "changed_at")?));
            }
        }
        out.sort_by(|a, b| in_order(filter, (&a.1, &a.0.id), (&b.1, &b.0.id)));
        out.truncate(usize::try_from(page(filter.limit)).unwrap_or(50));
        Ok(out)
    }

    /// When what may be known of an entry last changed.
    pub async fn entry_changed_at(&self, id: &str) -> Result<Option<String>> {
        sqlx::query("SELECT changed_at FROM entry WHERE id = $1")
            .bind(id)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| text(&row, "changed_at"))
            .transpose()
    }

    /// Live entries that did not change since a stamp, by organisation.
    pub async fn stale_entries_by_org(&self, before: &str) -> Result<Vec<(String, i64)>> {
        let sql = format!(
            "SELECT org, COUNT(*) AS n FROM entry WHERE {LIVE} AND changed_at < $1 GROUP BY org"
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(before);
        let rows = rows.fetch_all(self.db.pool()).await.map_err(fail)?;
        rows.iter().map(|row| Ok((text(row, "org")?, number(row, "n")?))).collect()
    }

    /// Assets in the order of their changes, also those that were merged away.
    pub async fn asset_changes(&self, filter: &ChangeFilter) -> Result<Vec<Asset>> {
        let mut out: Vec<Asset> = Vec::new();
        for region in places(filter) {
            let mut c = clause(filter, "updated_at", region);
            if let Some(ledger) = filter.ledger {
                c.and_text("ledger =", ledger.as_str());
            }
            let sql = sql("asset", "updated_at", &c, filter);
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for value in c.values() {
                query = query.bind(value.as_str());
            }
            for row in query.fetch_all(self.db.pool()).await.map_err(fail)? {
                out.push(read(&row)?);
            }
        }
        out.sort_by(|a, b| in_order(filter, (&a.updated_at, &a.id), (&b.updated_at, &b.id)));
        out.truncate(usize::try_from(page(filter.limit)).unwrap_or(50));
        Ok(out)
    }
}

/// The regions to ask for one by one; `None` asks once for all.
fn places(filter: &ChangeFilter) -> Vec<Option<&str>> {
    if filter.org.is_some() || filter.regions.is_empty() || filter.regions.len() > BY_REGION {
        return vec![None];
    }
    filter.regions.iter().map(|r| Some(r.as_str())).collect()
}

fn clause(filter: &ChangeFilter, stamp: &str, region: Option<&str>) -> Clause {
    let mut c = Clause::default();
    if let Some(org) = &filter.org {
        c.and_text("org =", org);
    }
    match region {
        Some(region) => c.and_text("region =", region),
        None if !filter.regions.is_empty() => {
            // Codes of one region and all below it lie side by side.
            let (first, last) = (filter.regions.iter().min(), filter.regions.iter().max());
            if let (Some(first), Some(last)) = (first, last) {
                c.and_text("region >=", first);
                c.and_text("region <=", last);
            }
        }
        None => {}
    }
    if let Some(Position { at, id }) = &filter.after {
        let way = if filter.oldest_first { ">" } else { "<" };
        c.and_text(&format!("({stamp}, id) {way} ("), at);
        c.more(",", id);
        c.close();
    }
    c
}

fn sql(table: &str, stamp: &str, c: &Clause, filter: &ChangeFilter) -> String {
    let way = if filter.oldest_first { "" } else { " DESC" };
    format!(
        "SELECT * FROM {table}{} ORDER BY {stamp}{way}, id{way} LIMIT {}",
        c.sql(),
        page(filter.limit)
    )
}

fn in_order(filter: &ChangeFilter, a: (&str, &str), b: (&str, &str)) -> std::cmp::Ordering {
    if filter.oldest_first { a.cmp(&b) } else { b.cmp(&a) }
}

fn read(row: &AnyRow) -> Result<Asset> {
    let word = text(row, "ledger")?;
    Ledger::of_word(&word)
        .ok_or_else(|| Error::internal(format!("asset column `ledger` holds `{word}`")))?;
    Ok(Asset {
        id: text(row, "id")?,
        draft: json(row, "body")?,
        state: text(row, "state")?,
        version: number(row, "version")?,
        score: number(row, "score")?,
        created_at: text(row, "created_at")?,
        created_by: text(row, "created_by")?,
        updated_at: text(row, "updated_at")?,
        merged_into: maybe(row, "merged_into")?,
    })
}
