//! Reading everything in order of id, for rebuilding search: entries with the few columns of their items that search
//! knows, without reading an item's declaration; for chores, ids and codes alone; and what moved in the order of
//! the ledger's changes.

use std::collections::HashMap;

use model::Result;
use model::entry::Entry;
use sqlx::AssertSqlSafe;

use crate::Store;
use crate::db::{fail, number, page, text};

/// What search knows of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemHead {
    pub identifier: String,
    pub name_cn: String,
    pub name_en: String,
    pub data_type: String,
    pub grade: String,
    pub share_type: String,
    pub open_type: String,
}

impl Store {
    /// Id and code of the next entries after an id, in order of id.
    pub async fn entry_codes(&self, after: &str, limit: u32) -> Result<Vec<(String, String)>> {
        let sql =
            format!("SELECT id, code FROM entry WHERE id > $1 ORDER BY id LIMIT {}", page(limit));
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(after)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?;
        rows.iter().map(|row| Ok((text(row, "id")?, text(row, "code")?))).collect()
    }

    /// Entries that moved after a place in the order of the ledger's changes (number of the change and id of the last one seen), in that
    /// order: id, and number of the last change.
    pub async fn entries_moved(
        &self,
        after: (i64, &str),
        limit: u32,
    ) -> Result<Vec<(String, i64)>> {
        let sql = format!(
            "SELECT id, moved FROM entry WHERE (moved, id) > ($1, $2) ORDER BY moved, id LIMIT {}",
            page(limit)
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(after.0).bind(after.1);
        let rows = rows.fetch_all(self.db.pool()).await.map_err(fail)?;
        rows.iter().map(|row| Ok((text(row, "id")?, number(row, "moved")?))).collect()
    }

    /// The next entries after an id, in order of id, each with its items in their order.
    pub async fn entry_scan(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<(Entry, Vec<ItemHead>)>> {
        let sql = format!("SELECT * FROM entry WHERE id > $1 ORDER BY id LIMIT {}", page(limit));
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(after.unwrap_or_default())
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?;
        let entries = rows.iter().map(crate::entry::read_bare).collect::<Result<Vec<_>>>()?;
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            return Ok(Vec::new());
        };
        let mut items: HashMap<String, Vec<(i64, ItemHead)>> = HashMap::new();
        let rows = sqlx::query(
            "SELECT entry, position, identifier, name_cn, name_en, data_type, grade, share_type, open_type
             FROM item WHERE entry >= $1 AND entry <= $2",
        )
        .bind(first.id.as_str())
        .bind(last.id.as_str())
        .fetch_all(self.db.pool())
        .await
        .map_err(fail)?;
        for row in &rows {
            let head = ItemHead {
                identifier: text(row, "identifier")?,
                name_cn: text(row, "name_cn")?,
                name_en: text(row, "name_en")?,
                data_type: text(row, "data_type")?,
                grade: text(row, "grade")?,
                share_type: text(row, "share_type")?,
                open_type: text(row, "open_type")?,
            };
            let own = items.entry(text(row, "entry")?).or_default();
            own.push((number(row, "position")?, head));
        }
        Ok(entries
            .into_iter()
            .map(|e| {
                let mut own = items.remove(&e.id).unwrap_or_default();
                own.sort_by_key(|(position, _)| *position);
                (e, own.into_iter().map(|(_, head)| head).collect())
            })
            .collect())
    }

    /// A mark of every asset that stands, which changes whenever search's document of it does.
    pub async fn asset_marks(&self) -> Result<Vec<(String, String)>> {
        sqlx::query(
            "SELECT id, CAST(version AS TEXT) || COALESCE(merged_into, '') AS mark FROM asset",
        )
        .fetch_all(self.db.pool())
        .await
        .map_err(fail)?
        .iter()
        .map(|row| Ok((text(row, "id")?, text(row, "mark")?)))
        .collect()
    }

    /// How many documents search should hold: entries, their items, and assets that were not merged away.
    pub async fn document_count(&self) -> Result<u64> {
        let row = sqlx::query(
            "SELECT (SELECT COUNT(*) FROM entry) + (SELECT COUNT(*) FROM item)
                  + (SELECT COUNT(*) FROM asset WHERE merged_into IS NULL) AS n",
        )
        .fetch_one(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(u64::try_from(number(&row, "n")?).unwrap_or(0))
    }
}
