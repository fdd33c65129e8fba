//! Assets of the ledgers (applications, components, cloud resources) in the control store, with their steps.
//!
//! A change carries the version it was read in: the second of two writers is told `Stale`. One call is one
//! transaction, however many assets it brings, so that an intake cut off by a crash leaves all of it or nothing.

use model::asset::{Asset, AssetDraft, AssetFilter, AssetStep, Ledger};
use model::{Code, Error, Op, Result};
use policy::{Action, Permit};
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Transaction};

use crate::Store;
use crate::clause::Clause;
use crate::db::{fail, json, maybe, number, on_duplicate, page, text, to_json};

/// One change of an asset.
#[derive(Clone, Debug)]
pub struct AssetChange {
    /// What it is to be; its `version` is the new one.
    pub asset: Asset,
    /// The version it was read in; `None` enters a new asset.
    pub base: Option<i64>,
    /// The name without what does not tell names apart, for finding duplicates.
    pub name_key: String,
    pub action: &'static str,
    pub from: String,
    pub reason: String,
}

/// What a link's end or a list of look-alikes shows of an asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetHead {
    pub id: String,
    pub ledger: Ledger,
    pub code: String,
    pub name: String,
    pub org: String,
    pub region: String,
    pub state: String,
}

/// Figures of one organisation's assets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrgQuality {
    pub org: String,
    pub assets: i64,
    /// Mean completeness, 0 to 100.
    pub score: i64,
    pub stale: i64,
    pub ownerless: i64,
}

pub(crate) const WRITERS: &[Action] =
    &[Action::AssetCompile, Action::AssetImport, Action::SystemWork];
/// Field of the application ledger that holds the key of calls.
const CALL_KEY: &str = "access_key";
/// Rows of one INSERT; times the columns it stays below what SQLite binds.
const CHUNK: usize = 60;

impl Store {
    /// Writes changes, all or none. `Stale` when an asset was changed since it was read, `Duplicate` when a code is
    /// taken.
    pub async fn asset_apply(
        &self,
        permit: &Permit,
        op: &Op,
        changes: &[AssetChange],
    ) -> Result<()> {
        permit.require(WRITERS)?;
        let mut tx = self.db.begin().await?;
        let fresh: Vec<&AssetChange> = changes.iter().filter(|c| c.base.is_none()).collect();
        for chunk in fresh.chunks(CHUNK) {
            insert(&mut tx, chunk).await?;
            steps(&mut tx, op, chunk).await?;
        }
        for change in changes {
            if let Some(base) = change.base {
                update(&mut tx, change, base).await?;
                step(&mut tx, op, change).await?;
            }
        }
        touch_assets(&mut tx).await?;
        tx.commit().await.map_err(fail)
    }

    /// One asset by id, or by `ledger` and code.
    pub async fn asset_get(&self, id: &str) -> Result<Option<Asset>> {
        sqlx::query("SELECT * FROM asset WHERE id = $1")
            .bind(id)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| read(&row))
            .transpose()
    }

    /// Assets of a ledger by their codes (any number), also merged ones.
    pub async fn asset_by_codes(&self, ledger: Ledger, codes: &[String]) -> Result<Vec<Asset>> {
        let mut out = Vec::new();
        for chunk in codes.chunks(400) {
            let marks: Vec<String> = (2..chunk.len() + 2).map(|n| format!("${n}")).collect();
            let sql =
                format!("SELECT * FROM asset WHERE ledger = $1 AND code IN ({})", marks.join(", "));
            let mut query = sqlx::query(AssertSqlSafe(sql)).bind(ledger.as_str());
            for code in chunk {
                query = query.bind(code.clone());
            }
            for row in query.fetch_all(self.db.pool()).await.map_err(fail)? {
                out.push(read(&row)?);
            }
        }
        Ok(out)
    }

    /// A page of assets, newest first; `after` is the id of the last one seen.
    pub async fn asset_list(&self, filter: &AssetFilter) -> Result<Vec<Asset>> {
        let c = clause(filter);
        let sql =
            format!("SELECT * FROM asset{} ORDER BY id DESC LIMIT {}", c.sql(), page(filter.limit));
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for value in c.values() {
            query = query.bind(value.clone());
        }
        query.fetch_all(self.db.pool()).await.map_err(fail)?.iter().map(read).collect()
    }

    /// How many assets a filter shows (its position and limit do not count).
    pub async fn asset_count(&self, filter: &AssetFilter) -> Result<u64> {
        let c = clause(&AssetFilter { after: None, ..filter.clone() });
        let sql = format!("SELECT COUNT(*) AS n FROM asset{}", c.sql());
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for value in c.values() {
            query = query.bind(value.clone());
        }
        let row = query.fetch_one(self.db.pool()).await.map_err(fail)?;
        Ok(u64::try_from(number(&row, "n")?).unwrap_or(0))
    }

    /// Heads of assets by id, in no order.
    pub async fn asset_heads(&self, ids: &[String]) -> Result<Vec<AssetHead>> {
        let mut out = Vec::new();
        for chunk in ids.chunks(500) {
            let marks: Vec<String> = (1..=chunk.len()).map(|n| format!("${n}")).collect();
            let sql = format!(
                "SELECT id, ledger, code, name, org, region, state FROM asset WHERE id IN ({})",
                marks.join(", ")
            );
            out.extend(self.heads(sql, chunk).await?);
        }
        Ok(out)
    }

    /// Assets of a ledger whose name is the same but for what does not tell names apart; at most `limit`.
    pub async fn asset_named(
        &self,
        ledger: Ledger,
        name_key: &str,
        limit: u32,
    ) -> Result<Vec<AssetHead>> {
        let sql = format!(
            "SELECT id, ledger, code, name, org, region, state FROM asset
             WHERE ledger = $1 AND name_key = $2 AND merged_into IS NULL ORDER BY id LIMIT {}",
            page(limit)
        );
        self.heads(sql, &[ledger.as_str().to_owned(), name_key.to_owned()]).await
    }

    /// Name keys of an organisation's assets of a ledger, with their heads (to find similar names).
    pub async fn asset_names_of(&self, ledger: Ledger, org: &str) -> Result<Vec<AssetHead>> {
        let sql = "SELECT id, ledger, code, name, org, region, state FROM asset
             WHERE org = $1 AND ledger = $2 AND merged_into IS NULL ORDER BY id";
        self.heads(sql.to_owned(), &[org.to_owned(), ledger.as_str().to_owned()]).await
    }

    /// Steps of an asset's life, oldest first.
    pub async fn asset_steps(&self, id: &str) -> Result<Vec<AssetStep>> {
        sqlx::query("SELECT * FROM asset_step WHERE asset = $1 ORDER BY seq")
            .bind(id)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| {
                Ok(AssetStep {
                    asset: text(row, "asset")?,
                    seq: number(row, "seq")?,
                    at: text(row, "at")?,
                    actor: text(row, "actor")?,
                    actor_name: text(row, "actor_name")?,
                    action: text(row, "action")?,
                    from: text(row, "from_state")?,
                    to: text(row, "to_state")?,
                    reason: text(row, "reason")?,
                })
            })
            .collect()
    }

    /// Merges one asset into another: `keep` is written, `drop` points to it, links of `drop` become links of `keep`.
    pub async fn asset_merge(
        &self,
        permit: &Permit,
        op: &Op,
        keep: &AssetChange,
        drop: &AssetChange,
    ) -> Result<()> {
        permit.require(WRITERS)?;
        let key = |a: &Asset| format!("{}:{}", a.draft.ledger, a.id);
        let (kept, dropped) = (key(&keep.asset), key(&drop.asset));
        let mut tx = self.db.begin().await?;
        for change in [keep, drop] {
            update(&mut tx, change, change.base.unwrap_or(0)).await?;
            step(&mut tx, op, change).await?;
        }
        for (mine, other) in [("from", "to"), ("to", "from")] {
            let copy = format!(
                "INSERT INTO asset_link ({mine}_node, {mine}_base, {other}_node, {other}_base, kind, at, actor_name)
                 SELECT $1, $1, {other}_node, {other}_base, kind, at, actor_name FROM asset_link
                 WHERE {mine}_node = $2 AND {other}_node <> $1
                 ON CONFLICT DO NOTHING"
            );
            // The same two values, so that the numbering holds.
            let clear = format!("DELETE FROM asset_link WHERE {mine}_node = $2 AND $1 <> $2");
            for sql in [copy, clear] {
                sqlx::query(AssertSqlSafe(sql))
                    .bind(kept.as_str())
                    .bind(dropped.as_str())
                    .execute(&mut *tx)
                    .await
                    .map_err(fail)?;
            }
        }
        crate::link::log(&mut tx, &[("merge", &dropped, &kept, "")]).await?;
        touch_assets(&mut tx).await?;
        tx.commit().await.map_err(fail)
    }

    /// Figures of every organisation's assets; stale is what was not changed since `stale_before`.
    pub async fn asset_quality(&self, stale_before: &str) -> Result<Vec<OrgQuality>> {
        sqlx::query(
            "SELECT org, COUNT(*) AS assets, CAST(AVG(score) AS BIGINT) AS score,
                    CAST(SUM(CASE WHEN updated_at < $1 THEN 1 ELSE 0 END) AS BIGINT) AS stale,
                    CAST(SUM(CASE WHEN owner = '' THEN 1 ELSE 0 END) AS BIGINT) AS ownerless
             FROM asset WHERE merged_into IS NULL GROUP BY org",
        )
        .bind(stale_before)
        .fetch_all(self.db.pool())
        .await
        .map_err(fail)?
        .iter()
        .map(|row| {
            Ok(OrgQuality {
                org: text(row, "org")?,
                assets: number(row, "assets")?,
                score: number(row, "score")?,
                stale: number(row, "stale")?,
                ownerless: number(row, "ownerless")?,
            })
        })
        .collect()
    }

    /// Assets that nothing is linked with, by organisation.
    pub async fn orphans_by_org(&self) -> Result<Vec<(String, i64)>> {
        let c = clause(&AssetFilter { orphan: true, ..AssetFilter::default() });
        let sql = format!("SELECT org, COUNT(*) AS n FROM asset{} GROUP BY org", c.sql());
        let rows = sqlx::query(AssertSqlSafe(sql));
        let rows = rows.fetch_all(self.db.pool()).await.map_err(fail)?;
        rows.iter().map(|row| Ok((text(row, "org")?, number(row, "n")?))).collect()
    }

    /// Keeps a month's ranking; a month that is kept already stays as it is.
    pub async fn rank_keep(&self, permit: &Permit, month: &str, orgs: &[OrgQuality]) -> Result<()> {
        permit.require(&[Action::SystemWork])?;
        let mut tx = self.db.begin().await?;
        for o in orgs {
            sqlx::query(
                "INSERT INTO ledger_rank (month, org, score, assets, stale, ownerless)
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
            )
            .bind(month)
            .bind(o.org.as_str())
            .bind(o.score)
            .bind(o.assets)
            .bind(o.stale)
            .bind(o.ownerless)
            .execute(&mut *tx)
            .await
            .map_err(fail)?;
        }
        tx.commit().await.map_err(fail)
    }

    /// The kept ranking of a month, best first; empty when none was kept.
    pub async fn rank_get(&self, month: &str) -> Result<Vec<OrgQuality>> {
        sqlx::query("SELECT * FROM ledger_rank WHERE month = $1 ORDER BY score DESC, stale, org")
            .bind(month)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| {
                Ok(OrgQuality {
                    org: text(row, "org")?,
                    assets: number(row, "assets")?,
                    score: number(row, "score")?,
                    stale: number(row, "stale")?,
                    ownerless: number(row, "ownerless")?,
                })
            })
            .collect()
    }

    /// A number that grows with every change of the asset ledgers, also by other processes.
    pub async fn asset_epoch(&self) -> Result<i64> {
        let row = sqlx::query("SELECT value FROM meta WHERE name = 'asset_epoch'")
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?;
        row.map_or(Ok(0), |row| Ok(text(&row, "value")?.parse().unwrap_or(0)))
    }

    async fn heads(&self, sql: String, values: &[String]) -> Result<Vec<AssetHead>> {
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for value in values {
            query = query.bind(value.clone());
        }
        query
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| {
                Ok(AssetHead {
                    id: text(row, "id")?,
                    ledger: ledger(row)?,
                    code: text(row, "code")?,
                    name: text(row, "name")?,
                    org: text(row, "org")?,
                    region: text(row, "region")?,
                    state: text(row, "state")?,
                })
            })
            .collect()
    }
}

/// Digits of a region code that all below it share.
fn region_prefix(code: &str) -> &str {
    let trimmed = code.strip_suffix("0000").or_else(|| code.strip_suffix("00"));
    trimmed.unwrap_or(code)
}

fn clause(filter: &AssetFilter) -> Clause {
    let mut c = Clause::default();
    c.and("merged_into IS NULL");
    if let Some(ledger) = filter.ledger {
        c.and_text("ledger =", ledger.as_str());
    }
    if let Some(after) = &filter.after {
        c.and_text("id <", after);
    }
    if let Some(org) = &filter.org {
        c.and_text("org =", org);
    }
    if let Some(region) = &filter.region {
        let digits = region_prefix(region);
        c.and_text("region >=", &format!("{digits:0<6}"));
        c.and_text("region <=", &format!("{digits:9<6}"));
    }
    if let Some(state) = &filter.state {
        c.and_text("state =", state);
    }
    if let Some(part) = filter.text.as_deref().map(str::trim).filter(|t| !t.is_empty()) {
        c.and_like(&["name", "code"], part);
    }
    if let Some(before) = &filter.stale_before {
        c.and_text("updated_at <", before);
    }
    if filter.ownerless {
        c.and("owner = ''");
    }
    if filter.orphan {
        c.and("NOT EXISTS (SELECT 1 FROM asset_link WHERE from_node = asset.ledger || ':' || asset.id)");
        c.and(
            "NOT EXISTS (SELECT 1 FROM asset_link WHERE to_node = asset.ledger || ':' || asset.id)",
        );
    }
    c
}

/// Marks that an asset ledger changed, inside the transaction that changes it.
pub(crate) async fn touch_assets(tx: &mut Transaction<'static, Any>) -> Result<()> {
    sqlx::query(
        "INSERT INTO meta (name, value) VALUES ('asset_epoch', '1')
         ON CONFLICT (name) DO UPDATE SET value = CAST(CAST(meta.value AS BIGINT) + 1 AS TEXT)",
    )
    .execute(&mut **tx)
    .await
    .map_err(fail)?;
    Ok(())
}

/// `($1, $2, …), ($n, …)` for `rows` rows of `columns` columns.
fn marks(rows: usize, columns: usize) -> String {
    (0..rows)
        .map(|r| {
            let row: Vec<String> = (1..=columns).map(|c| format!("${}", r * columns + c)).collect();
            format!("({})", row.join(", "))
        })
        .collect::<Vec<_>>()
        .join(", ")
}

async fn insert(tx: &mut Transaction<'static, Any>, changes: &[&AssetChange]) -> Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "INSERT INTO asset (id, ledger, code, name, name_key, org, region, state, owner, version, score, created_at,
             created_by, updated_at, call_key, body) VALUES {}",
        marks(changes.len(), 16)
    );
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for change in changes {
        let (a, d) = (&change.asset, &change.asset.draft);
        query = query
            .bind(a.id.clone())
            .bind(d.ledger.as_str())
            .bind(d.code.clone())
            .bind(d.name.clone())
            .bind(change.name_key.clone())
            .bind(d.org.clone())
            .bind(d.region.clone())
            .bind(a.state.clone())
            .bind(d.owner.clone())
            .bind(a.version)
            .bind(a.score)
            .bind(a.created_at.clone())
            .bind(a.created_by.clone())
            .bind(a.updated_at.clone())
            .bind(d.field(CALL_KEY).to_owned())
            .bind(to_json(d)?);
    }
    query.execute(&mut **tx).await.map_err(|e| {
        let codes: Vec<&str> =
            changes.iter().take(5).map(|c| c.asset.draft.code.as_str()).collect();
        let codes = codes.join(", ");
        on_duplicate(
            e,
            &format!("编号已被使用（{codes} 等），请换一个编号"),
            &format!("a code is taken already (among {codes} …), choose another"),
        )
    })?;
    Ok(())
}

async fn update(tx: &mut Transaction<'static, Any>, change: &AssetChange, base: i64) -> Result<()> {
    let (a, d) = (&change.asset, &change.asset.draft);
    let done = sqlx::query(
        "UPDATE asset SET name = $1, name_key = $2, org = $3, region = $4, state = $5, owner = $6, version = $7,
             score = $8, updated_at = $9, merged_into = $10, body = $11, call_key = $12
         WHERE id = $13 AND version = $14",
    )
    .bind(d.name.as_str())
    .bind(change.name_key.as_str())
    .bind(d.org.as_str())
    .bind(d.region.as_str())
    .bind(a.state.as_str())
    .bind(d.owner.as_str())
    .bind(a.version)
    .bind(a.score)
    .bind(a.updated_at.as_str())
    .bind(a.merged_into.as_deref())
    .bind(to_json(d)?)
    .bind(d.field(CALL_KEY))
    .bind(a.id.as_str())
    .bind(base)
    .execute(&mut **tx)
    .await
    .map_err(fail)?;
    if done.rows_affected() == 1 {
        return Ok(());
    }
    Err(Error::new(
        Code::Stale,
        format!("`{}` 刚被他人修改，请刷新后重试", d.code),
        format!("`{}` was just changed by someone else, reload and try again", d.code),
    ))
}

/// First steps of new assets, many at once.
async fn steps(
    tx: &mut Transaction<'static, Any>,
    op: &Op,
    changes: &[&AssetChange],
) -> Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "INSERT INTO asset_step (asset, seq, at, actor, actor_name, action, from_state, to_state, reason, body)
         VALUES {}",
        marks(changes.len(), 10)
    );
    let (stamp, id, name) = (op.stamp(), op.actor.id().to_owned(), op.actor.name().to_owned());
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for change in changes {
        query = query
            .bind(change.asset.id.clone())
            .bind(1_i64)
            .bind(stamp.clone())
            .bind(id.clone())
            .bind(name.clone())
            .bind(change.action)
            .bind(change.from.clone())
            .bind(change.asset.state.clone())
            .bind(change.reason.clone())
            // The declaration of a new asset is in the asset itself until it changes.
            .bind("");
    }
    query.execute(&mut **tx).await.map_err(fail)?;
    Ok(())
}

async fn step(tx: &mut Transaction<'static, Any>, op: &Op, change: &AssetChange) -> Result<()> {
    sqlx::query(
        "INSERT INTO asset_step (asset, seq, at, actor, actor_name, action, from_state, to_state, reason, body)
         VALUES ($1, (SELECT COALESCE(MAX(seq), 0) + 1 FROM asset_step WHERE asset = $1), $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(change.asset.id.as_str())
    .bind(op.stamp())
    .bind(op.actor.id())
    .bind(op.actor.name())
    .bind(change.action)
    .bind(change.from.as_str())
    .bind(change.asset.state.as_str())
    .bind(change.reason.as_str())
    .bind(to_json(&change.asset.draft)?)
    .execute(&mut **tx)
    .await
    .map_err(fail)?;
    Ok(())
}

fn ledger(row: &AnyRow) -> Result<Ledger> {
    let word = text(row, "ledger")?;
    Ledger::of_word(&word)
        .ok_or_else(|| Error::internal(format!("asset column `ledger` holds `{word}`")))
}

fn read(row: &AnyRow) -> Result<Asset> {
    let draft: AssetDraft = json(row, "body")?;
    Ok(Asset {
        id: text(row, "id")?,
        draft,
        state: text(row, "state")?,
        version: number(row, "version")?,
        score: number(row, "score")?,
        created_at: text(row, "created_at")?,
        created_by: text(row, "created_by")?,
        updated_at: text(row, "updated_at")?,
        merged_into: maybe(row, "merged_into")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_covers_what_is_below_it() {
        assert_eq!(region_prefix("330000"), "33");
        assert_eq!(region_prefix("330100"), "3301");
        assert_eq!(region_prefix("330106"), "330106");
        assert_eq!(region_prefix("331000"), "3310");
        assert_eq!(marks(2, 2), "($1, $2), ($3, $4)");
    }
}
