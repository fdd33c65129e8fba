//! Links between assets and entries: from what depends to what it depends on. Walks are made in memory
//! (`app::ledger`); the log of changes keeps every process level.

use model::asset::{Link, LinkKind, Node};
use model::{Error, Op, Result};
use policy::Permit;
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Transaction};

use crate::Store;
use crate::asset::{WRITERS, touch_assets};
use crate::db::{fail, number, text};

/// Nodes asked about in one statement.
const CHUNK: usize = 400;
/// Links of one call that are logged one by one; more of them are read anew as a whole.
const LOGGED: usize = 2000;
/// Changes kept in the log.
const KEPT: i64 = 200_000;

/// A change of links, by its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkChange {
    pub seq: i64,
    pub what: LinkWhat,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkWhat {
    Add(Node, Node, LinkKind),
    Remove(Node, Node, LinkKind),
    /// Links of the first go to the second.
    Merge(Node, Node),
    /// So many at once that all are to be read anew.
    Load,
}

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
        if links.len() > LOGGED {
            log(&mut tx, &[("load", "", "", "")]).await?;
        } else {
            let keys: Vec<(String, String, LinkKind)> =
                links.iter().map(|(from, to, kind)| (from.key(), to.key(), *kind)).collect();
            let rows: Vec<(&str, &str, &str, &str)> = keys
                .iter()
                .map(|(from, to, kind)| ("add", from.as_str(), to.as_str(), kind.as_str()))
                .collect();
            log(&mut tx, &rows).await?;
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
        if done.rows_affected() > 0 {
            log(&mut tx, &[("remove", &from.key(), &to.key(), kind.as_str())]).await?;
        }
        touch_assets(&mut tx).await?;
        tx.commit().await.map_err(fail)?;
        Ok(done.rows_affected() > 0)
    }

    /// The number of changes of links so far, also by other processes.
    pub async fn link_epoch(&self) -> Result<i64> {
        let row = sqlx::query("SELECT value FROM meta WHERE name = 'link_epoch'")
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?;
        row.map_or(Ok(0), |row| Ok(text(&row, "value")?.parse().unwrap_or(0)))
    }

    /// Changes of links after a number, oldest first; `None` when they are not kept that far back.
    pub async fn links_changed(&self, after: i64) -> Result<Option<Vec<LinkChange>>> {
        let sql = "SELECT * FROM link_log WHERE seq > $1 ORDER BY seq LIMIT 10000";
        let rows = sqlx::query(sql).bind(after).fetch_all(self.db.pool()).await.map_err(fail)?;
        let mut out = Vec::with_capacity(rows.len());
        for (row, seq) in rows.iter().zip(after + 1..) {
            if number(row, "seq")? != seq {
                return Ok(None);
            }
            out.push(LinkChange { seq, what: change(row)? });
        }
        Ok(Some(out))
    }

    /// Which assets call which entries by approved share applications, with the calls metered since a day (included):
    /// `(asset, entry, calls)`. `back` asks by entries, otherwise by assets.
    pub async fn usage_of(
        &self,
        ids: &[String],
        back: bool,
        since: &str,
    ) -> Result<Vec<(String, String, i64)>> {
        let column = if back { "r.entry" } else { "a.id" };
        let mut out = Vec::new();
        for chunk in ids.chunks(CHUNK) {
            let sql = format!(
                "SELECT a.id AS asset, r.entry AS entry,
                        CAST(COALESCE((SELECT SUM(q.calls) FROM quota_day q
                             WHERE q.application = r.application AND q.entry = r.entry AND q.day >= ${since_mark}), 0) AS BIGINT) AS calls
                 FROM asset a JOIN application p ON p.access_key = a.call_key JOIN request r ON r.application = p.id
                 WHERE a.call_key <> '' AND a.merged_into IS NULL AND r.state = 'approved' AND {column} IN ({})
                 ORDER BY a.id, r.entry",
                marks(chunk.len()),
                since_mark = chunk.len() + 1,
            );
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for id in chunk {
                query = query.bind(id.clone());
            }
            query = query.bind(since.to_owned());
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

/// Appends to the log of changes, inside the transaction that makes them. The counter's row is locked until the commit,
/// so that numbers are in the order of commits.
pub(crate) async fn log(
    tx: &mut Transaction<'static, Any>,
    rows: &[(&str, &str, &str, &str)],
) -> Result<()> {
    let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    sqlx::query(
        "INSERT INTO meta (name, value) VALUES ('link_epoch', CAST($1 AS TEXT))
         ON CONFLICT (name) DO UPDATE SET value = CAST(CAST(meta.value AS BIGINT) + $1 AS TEXT)",
    )
    .bind(count)
    .execute(&mut **tx)
    .await
    .map_err(fail)?;
    let row = sqlx::query("SELECT value FROM meta WHERE name = 'link_epoch'")
        .fetch_one(&mut **tx)
        .await
        .map_err(fail)?;
    let last: i64 = text(&row, "value")?
        .parse()
        .map_err(|e| Error::internal("the counter of links is no number").caused_by(e))?;
    for (row, seq) in rows.iter().zip(last - count + 1..) {
        sqlx::query("INSERT INTO link_log (seq, what, from_node, to_node, kind) VALUES ($1, $2, $3, $4, $5)")
            .bind(seq)
            .bind(row.0)
            .bind(row.1)
            .bind(row.2)
            .bind(row.3)
            .execute(&mut **tx)
            .await
            .map_err(fail)?;
    }
    sqlx::query("DELETE FROM link_log WHERE seq < $1")
        .bind(last - KEPT)
        .execute(&mut **tx)
        .await
        .map_err(fail)?;
    Ok(())
}

fn change(row: &AnyRow) -> Result<LinkWhat> {
    let node = |column: &str| -> Result<Node> {
        let key = text(row, column)?;
        Node::parse(&key).ok_or_else(|| Error::internal(format!("link column holds `{key}`")))
    };
    let kind = || -> Result<LinkKind> {
        let kind = text(row, "kind")?;
        LinkKind::parse(&kind)
            .ok_or_else(|| Error::internal(format!("link kind `{kind}` is not known")))
    };
    Ok(match text(row, "what")?.as_str() {
        "add" => LinkWhat::Add(node("from_node")?, node("to_node")?, kind()?),
        "remove" => LinkWhat::Remove(node("from_node")?, node("to_node")?, kind()?),
        "merge" => LinkWhat::Merge(node("from_node")?, node("to_node")?),
        _ => LinkWhat::Load,
    })
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
