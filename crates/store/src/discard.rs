//! Drafts that are given up: an entry that was never published and that nothing hangs on goes with its items, versions, steps and findings.
//! What was ever published stays for good; it is withdrawn by review.

use model::entry::Entry;
use model::{Code, Error, Op, Result};
use policy::{Action, Permit};

use crate::db::{fail, number, text};
use crate::{Store, finding};

/// What hangs on an entry, by its id or its code.
const HANGS: &str = "SELECT CAST(CASE WHEN EXISTS (SELECT 1 FROM run WHERE entry IN ($1, $2))
       OR EXISTS (SELECT 1 FROM parcel WHERE entry IN ($1, $2))
       OR EXISTS (SELECT 1 FROM quarantine WHERE entry IN ($1, $2))
       OR EXISTS (SELECT 1 FROM pipeline WHERE entry IN ($1, $2))
       OR EXISTS (SELECT 1 FROM rail_table WHERE entry IN ($1, $2))
       OR EXISTS (SELECT 1 FROM reconciliation WHERE entry IN ($1, $2))
       OR EXISTS (SELECT 1 FROM report_key WHERE entry IN ($1, $2))
       OR EXISTS (SELECT 1 FROM schema_table WHERE entry IN ($1, $2))
       OR EXISTS (SELECT 1 FROM request WHERE entry IN ($1, $2))
       OR EXISTS (SELECT 1 FROM interface WHERE entry IN ($1, $2))
       OR EXISTS (SELECT 1 FROM outflow WHERE entry IN ($1, $2))
       OR EXISTS (SELECT 1 FROM open_assessment WHERE entry IN ($1, $2))
       OR EXISTS (SELECT 1 FROM harvest_origin WHERE entry IN ($1, $2))
     THEN 1 ELSE 0 END AS BIGINT) AS hangs";

impl Store {
    /// Gives up a draft in the state it was read in. `Stale` when it was changed since; `WrongState` when something hangs on it.
    pub async fn entry_discard(&self, permit: &Permit, op: &Op, entry: &Entry) -> Result<()> {
        permit.require(&[Action::EntryCompile])?;
        let (id, code) = (entry.id.as_str(), entry.draft.code.as_str());
        let mut tx = self.db.begin().await?;
        let gone = sqlx::query(
            "DELETE FROM entry WHERE id = $1 AND version = $2 AND publish_state = $3 AND updated_at = $4
               AND published_at IS NULL AND data_at IS NULL AND row_count = 0",
        )
        .bind(id)
        .bind(entry.version)
        .bind(entry.publish_state.as_str())
        .bind(entry.updated_at.as_str())
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        if gone.rows_affected() != 1 {
            return Err(Error::new(
                Code::Stale,
                format!("目录 `{code}` 刚被他人修改，请刷新后重试"),
                format!(
                    "the entry `{code}` was just changed by someone else, reload and try again"
                ),
            ));
        }
        let row = sqlx::query(HANGS).bind(id).bind(code).fetch_one(&mut *tx).await.map_err(fail)?;
        if number(&row, "hangs")? != 0 {
            return Err(Error::new(
                Code::WrongState,
                format!("目录 `{code}` 已有归集任务、接口或申请等与之关联，不能放弃"),
                format!(
                    "collections, interfaces, applications or the like hang on the entry `{code}`: it cannot be given up"
                ),
            ));
        }
        let mut moves = finding::Moves::new();
        finding::replace(&mut tx, id, &entry.draft.org, &[], &mut moves).await?;
        for sql in [
            "DELETE FROM item WHERE entry = $1",
            "DELETE FROM entry_version WHERE entry = $1",
            "DELETE FROM entry_step WHERE entry = $1",
        ] {
            sqlx::query(sql).bind(id).execute(&mut *tx).await.map_err(fail)?;
        }
        finding::settle(&mut tx, moves).await?;
        crate::entry::touch(&mut tx).await?;
        sqlx::query(
            "INSERT INTO entry_discarded (id, code, org, at, actor, moved) VALUES ($1, $2, $3, $4, $5,
               (SELECT CAST(value AS BIGINT) FROM meta WHERE name = 'ledger_epoch'))",
        )
        .bind(id)
        .bind(code)
        .bind(entry.draft.org.as_str())
        .bind(op.stamp())
        .bind(op.actor.id())
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        tx.commit().await.map_err(fail)
    }

    /// Ids of drafts that were given up by changes of the ledger from a number on.
    pub async fn entries_discarded(&self, from: i64) -> Result<Vec<String>> {
        sqlx::query("SELECT id FROM entry_discarded WHERE moved >= $1 ORDER BY moved, id")
            .bind(from)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| text(row, "id"))
            .collect()
    }
}
