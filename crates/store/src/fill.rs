//! Synthetic ledgers of the size of a province: many rows a statement, for the generator only (it needs the platform's
//! own permit). What people and programs enter goes through `entry_apply` and `asset_apply`.

use model::entry::Entry;
use model::org::Org;
use model::{Op, Result};
use policy::{Action, Permit};
use sqlx::{Any, AssertSqlSafe, Transaction};

use crate::Store;
use crate::db::{fail, to_json};

/// Values bound by one statement at most.
const VALUES: usize = 900;

fn marks(rows: usize, columns: usize) -> String {
    (0..rows)
        .map(|r| {
            let row: Vec<String> = (1..=columns).map(|c| format!("${}", r * columns + c)).collect();
            format!("({})", row.join(", "))
        })
        .collect::<Vec<_>>()
        .join(", ")
}

impl Store {
    /// Enters organisations that are not there yet, in one transaction.
    pub async fn org_fill(&self, permit: &Permit, orgs: &[Org]) -> Result<u64> {
        permit.require(&[Action::SystemWork])?;
        let mut tx = self.db.begin().await?;
        let mut new = 0;
        for chunk in orgs.chunks(VALUES / 8) {
            let sql = format!(
                "INSERT INTO org (id, uscc, name_cn, name_en, kind, region, parent, authority) VALUES {}
                 ON CONFLICT DO NOTHING",
                marks(chunk.len(), 8)
            );
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for org in chunk {
                query = query
                    .bind(org.id.clone())
                    .bind(org.uscc.clone())
                    .bind(org.name_cn.clone())
                    .bind(org.name_en.clone())
                    .bind(to_json(&org.kind)?)
                    .bind(org.region.clone())
                    .bind(org.parent.clone())
                    .bind(i64::from(org.authority));
            }
            new += query.execute(&mut *tx).await.map_err(fail)?.rows_affected();
        }
        tx.commit().await.map_err(fail)?;
        Ok(new)
    }

    /// Enters new entries with their items and their first step, in one transaction. Versions are kept from the first
    /// change on: a synthetic entry has none before.
    pub async fn entry_fill(&self, permit: &Permit, op: &Op, entries: &[Entry]) -> Result<()> {
        permit.require(&[Action::SystemWork])?;
        let mut tx = self.db.begin().await?;
        for chunk in entries.chunks(VALUES / 19) {
            heads(&mut tx, chunk).await?;
        }
        for chunk in entries.chunks(VALUES / 7) {
            steps(&mut tx, op, chunk).await?;
        }
        let rows: Vec<(&str, i64, &model::item::Item)> = entries
            .iter()
            .flat_map(|e| (0_i64..).zip(&e.draft.items).map(|(n, i)| (e.id.as_str(), n, i)))
            .collect();
        for chunk in rows.chunks(VALUES / 12) {
            items(&mut tx, chunk).await?;
        }
        let ids: Vec<&str> = entries.iter().map(|e| e.id.as_str()).collect();
        crate::entry::move_on(&mut tx, &ids).await?;
        // Their findings are not known: the worker asks the rules of every entry anew.
        crate::finding::forget_mark(&mut tx).await?;
        tx.commit().await.map_err(fail)
    }
}

async fn heads(tx: &mut Transaction<'static, Any>, entries: &[Entry]) -> Result<()> {
    let sql = format!(
        "INSERT INTO entry (id, code, title, org, region, domain, share_type, open_type, grade, publish_state,
             online_state, version, body, created_at, created_by, updated_at, published_at, row_count, changed_at) VALUES {}",
        marks(entries.len(), 19)
    );
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for e in entries {
        let d = &e.draft;
        query = query
            .bind(e.id.clone())
            .bind(d.code.clone())
            .bind(d.title.clone())
            .bind(d.org.clone())
            .bind(d.region.clone())
            .bind(d.domain.as_str())
            .bind(d.share_type.as_str())
            .bind(d.open_type.as_str())
            .bind(e.grade.as_str())
            .bind(e.publish_state.as_str())
            .bind(e.online_state.as_str())
            .bind(e.version)
            .bind(crate::entry::body(d)?)
            .bind(e.created_at.clone())
            .bind(e.created_by.clone())
            .bind(e.updated_at.clone())
            .bind(e.published_at.clone())
            .bind(e.rows)
            .bind(e.published_at.clone().unwrap_or_else(|| e.updated_at.clone()));
    }
    query.execute(&mut **tx).await.map_err(fail)?;
    Ok(())
}

async fn steps(tx: &mut Transaction<'static, Any>, op: &Op, entries: &[Entry]) -> Result<()> {
    let sql = format!(
        "INSERT INTO entry_step (entry, seq, at, actor, actor_name, action, from_state, to_state, reason) VALUES {}",
        (0..entries.len())
            .map(|r| {
                let n = r * 7;
                format!(
                    "(${}, 1, ${}, ${}, ${}, ${}, '', ${}, ${})",
                    n + 1,
                    n + 2,
                    n + 3,
                    n + 4,
                    n + 5,
                    n + 6,
                    n + 7
                )
            })
            .collect::<Vec<_>>()
            .join(", ")
    );
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for e in entries {
        query = query
            .bind(e.id.clone())
            .bind(e.created_at.clone())
            .bind(op.actor.id().to_owned())
            .bind(op.actor.name().to_owned())
            .bind("create")
            .bind(e.publish_state.as_str())
            .bind("synthetic");
    }
    query.execute(&mut **tx).await.map_err(fail)?;
    Ok(())
}

async fn items(
    tx: &mut Transaction<'static, Any>,
    rows: &[(&str, i64, &model::item::Item)],
) -> Result<()> {
    let sql = format!(
        "INSERT INTO item (entry, position, identifier, name_cn, name_en, data_type, grade, share_type, open_type,
             is_primary, is_lookup, body) VALUES {}",
        marks(rows.len(), 12)
    );
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for (entry, position, item) in rows {
        query = query
            .bind((*entry).to_owned())
            .bind(*position)
            .bind(item.identifier.clone())
            .bind(item.name_cn.clone())
            .bind(item.name_en.clone())
            .bind(item.data_type.as_str())
            .bind(item.grade.as_str())
            .bind(item.share_type.as_str())
            .bind(item.open_type.as_str())
            .bind(i64::from(item.primary))
            .bind(i64::from(item.lookup))
            .bind(to_json(*item)?);
    }
    query.execute(&mut **tx).await.map_err(fail)?;
    Ok(())
}
