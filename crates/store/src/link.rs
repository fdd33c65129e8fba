//! Links between assets and entries: from what depends to what it depends on, read in both directions by index.

use model::asset::{Link, LinkKind, Node};
use model::{Error, Op, Result};
use policy::Permit;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::Store;
use crate::asset::{WRITERS, touch_assets};
use crate::db::{fail, number, text};

/// Nodes asked about in one statement.
const CHUNK: usize = 400;

impl Store {
    /// Writes links; those that stand already are left alone. Answers how many were new.
    pub async fn links_put(
        &self,
        permit: &Permit,
        op: &Op,
        links: &[(Node, Node, LinkKind)],
    ) -> Result<u64> {
        permit.require(WRITERS)?;
        let (stamp, name) = (op.stamp(), op.actor.name().to_owned());
        let mut tx = self.db.begin().await?;
        let mut new = 0;
        for chunk in links.chunks(120) {
            let marks: Vec<String> = (0..chunk.len())
                .map(|r| {
                    let marks: Vec<String> = (1..=7).map(|c| format!("${}", r * 7 + c)).collect();
                    format!("({})", marks.join(", "))
                })
                .collect();
            let sql = format!(
                "INSERT INTO asset_link (from_node, to_node, from_base, to_base, kind, at, actor_name) VALUES {}
                 ON CONFLICT DO NOTHING",
                marks.join(", ")
            );
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for (from, to, kind) in chunk {
                query = query
                    .bind(from.key())
                    .bind(to.key())
                    .bind(from.base().key())
                    .bind(to.base().key())
                    .bind(kind.as_str())
                    .bind(stamp.clone())
                    .bind(name.clone());
            }
            new += query.execute(&mut *tx).await.map_err(fail)?.rows_affected();
        }
        touch_assets(&mut tx).await?;
        tx.commit().await.map_err(fail)?;
        Ok(new)
    }

    /// Takes a link away; says whether it stood.
    pub async fn link_remove(
        &self,
        permit: &Permit,
        from: &Node,
        to: &Node,
        kind: LinkKind,
    ) -> Result<bool> {
        permit.require(WRITERS)?;
        let mut tx = self.db.begin().await?;
        let done = sqlx::query(
            "DELETE FROM asset_link WHERE from_node = $1 AND to_node = $2 AND kind = $3",
        )
        .bind(from.key())
        .bind(to.key())
        .bind(kind.as_str())
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        touch_assets(&mut tx).await?;
        tx.commit().await.map_err(fail)?;
        Ok(done.rows_affected() > 0)
    }

    /// Links that leave these nodes (`back`: that arrive at them), at most `limit`, in the order of the other end.
    pub async fn links_of(&self, nodes: &[Node], back: bool, limit: u64) -> Result<Vec<Link>> {
        let (mine, other) = columns(back);
        let mut out = Vec::new();
        for chunk in nodes.chunks(CHUNK) {
            let left = limit.saturating_sub(u64::try_from(out.len()).unwrap_or(u64::MAX));
            if left == 0 {
                break;
            }
            let sql = format!(
                "SELECT * FROM asset_link WHERE {mine} IN ({}) ORDER BY {mine}, {other}, kind LIMIT {left}",
                marks(chunk.len())
            );
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for node in chunk {
                query = query.bind(node.key());
            }
            for row in query.fetch_all(self.db.pool()).await.map_err(fail)? {
                out.push(read(&row)?);
            }
        }
        Ok(out)
    }

    /// How many links leave these nodes (`back`: arrive at them).
    pub async fn links_count(&self, nodes: &[Node], back: bool) -> Result<u64> {
        let (mine, _) = columns(back);
        let mut sum = 0;
        for chunk in nodes.chunks(CHUNK) {
            let sql = format!(
                "SELECT COUNT(*) AS n FROM asset_link WHERE {mine} IN ({})",
                marks(chunk.len())
            );
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for node in chunk {
                query = query.bind(node.key());
            }
            let row = query.fetch_one(self.db.pool()).await.map_err(fail)?;
            sum += u64::try_from(number(&row, "n")?).unwrap_or(0);
        }
        Ok(sum)
    }

    /// Items of an entry that something is linked to (`back`) or that are linked to something.
    pub async fn links_of_items(&self, entry: &str, back: bool, limit: u64) -> Result<Vec<Link>> {
        let (mine, other) = columns(back);
        let base = if back { "to_base" } else { "from_base" };
        let sql = format!(
            "SELECT * FROM asset_link WHERE {base} = $1 AND {mine} <> $1 ORDER BY {mine}, {other}, kind LIMIT {limit}"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(Node::entry(entry).key())
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?;
        rows.iter().map(read).collect()
    }

    /// Which assets call which entries by approved share applications, with the calls metered so far:
    /// `(asset, entry, calls)`. `back` asks by entries, otherwise by assets.
    pub async fn usage_of(&self, ids: &[String], back: bool) -> Result<Vec<(String, String, i64)>> {
        let column = if back { "r.entry" } else { "a.id" };
        let mut out = Vec::new();
        for chunk in ids.chunks(CHUNK) {
            let sql = format!(
                "SELECT a.id AS asset, r.entry AS entry,
                        CAST(COALESCE((SELECT SUM(q.calls) FROM quota_day q
                             WHERE q.application = r.application AND q.entry = r.entry), 0) AS BIGINT) AS calls
                 FROM asset a JOIN application p ON p.access_key = a.call_key JOIN request r ON r.application = p.id
                 WHERE a.call_key <> '' AND a.merged_into IS NULL AND r.state = 'approved' AND {column} IN ({})
                 ORDER BY a.id, r.entry",
                marks(chunk.len())
            );
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for id in chunk {
                query = query.bind(id.clone());
            }
            for row in query.fetch_all(self.db.pool()).await.map_err(fail)? {
                out.push((text(&row, "asset")?, text(&row, "entry")?, number(&row, "calls")?));
            }
        }
        Ok(out)
    }

    /// All links, for exports and checks, after the last one seen.
    pub async fn links_page(&self, after: Option<&Link>, limit: u32) -> Result<Vec<Link>> {
        let limit = limit.min(5000);
        let rows = match after {
            None => {
                let sql = format!(
                    "SELECT * FROM asset_link ORDER BY from_node, to_node, kind LIMIT {limit}"
                );
                sqlx::query(AssertSqlSafe(sql)).fetch_all(self.db.pool()).await
            }
            Some(last) => {
                let sql = format!(
                    "SELECT * FROM asset_link WHERE (from_node, to_node, kind) > ($1, $2, $3)
                     ORDER BY from_node, to_node, kind LIMIT {limit}"
                );
                sqlx::query(AssertSqlSafe(sql))
                    .bind(last.from.key())
                    .bind(last.to.key())
                    .bind(last.kind.as_str())
                    .fetch_all(self.db.pool())
                    .await
            }
        };
        rows.map_err(fail)?.iter().map(read).collect()
    }
}

fn columns(back: bool) -> (&'static str, &'static str) {
    if back { ("to_node", "from_node") } else { ("from_node", "to_node") }
}

fn marks(n: usize) -> String {
    (1..=n).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ")
}

fn read(row: &AnyRow) -> Result<Link> {
    let node = |column: &str| -> Result<Node> {
        let key = text(row, column)?;
        Node::parse(&key).ok_or_else(|| Error::internal(format!("link column holds `{key}`")))
    };
    let kind = text(row, "kind")?;
    Ok(Link {
        from: node("from_node")?,
        to: node("to_node")?,
        kind: LinkKind::parse(&kind)
            .ok_or_else(|| Error::internal(format!("link kind `{kind}` is not known")))?,
        at: text(row, "at")?,
        actor_name: text(row, "actor_name")?,
    })
}
