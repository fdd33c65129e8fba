//! Reading and verifying the chain.

use futures::TryStreamExt;
use guard::chain::ChainVerifier;
use model::Result;
use model::audit::{AuditEvent, AuditFault, AuditFilter, AuditRecord, AuditVerdict};
use policy::{Action, Permit};
use sqlx::any::AnyRow;

use super::AuditLog;
use crate::db::{fail, json, number, page, text};

impl AuditLog {
    /// Records within a filter, newest first.
    pub async fn list(&self, permit: &Permit, filter: &AuditFilter) -> Result<Vec<AuditRecord>> {
        permit.require(&[Action::AuditRead, Action::AuditExport])?;
        let mut query = sqlx::QueryBuilder::<sqlx::Any>::new(
            "SELECT seq, prev_hash, hash, body FROM audit WHERE seq < ",
        );
        query.push_bind(filter.before.unwrap_or(i64::MAX));
        for (column, value) in [
            (" AND actor = ", &filter.actor),
            (" AND object = ", &filter.object),
            (" AND result = ", &filter.result),
        ] {
            if let Some(value) = value.as_deref().filter(|v| !v.is_empty()) {
                query.push(column).push_bind(value.to_owned());
            }
        }
        if let Some(action) = filter.action.as_deref().filter(|v| !v.is_empty()) {
            query.push(" AND (action = ").push_bind(action.to_owned());
            query.push(" OR action LIKE ").push_bind(format!("{}.%", action.replace(['%', '_'], ""))).push(")");
        }
        if let Some(from) = filter.from.as_deref().filter(|v| !v.is_empty()) {
            query.push(" AND ts >= ").push_bind(from.to_owned());
        }
        if let Some(to) = filter.to.as_deref().filter(|v| !v.is_empty()) {
            query.push(" AND ts < ").push_bind(format!("{to}~"));
        }
        query.push(" ORDER BY seq DESC LIMIT ").push_bind(page(filter.limit));
        let rows = query.build().fetch_all(&self.pool).await.map_err(fail)?;
        rows.iter().map(read).collect()
    }

    /// Walks the chain from its first record. Index columns are compared with the hashed body, too.
    pub async fn verify(&self, permit: &Permit) -> Result<AuditVerdict> {
        permit.require(&[Action::AuditExport])?;
        let head = self.head.read().await?;
        let mut verifier = ChainVerifier::new();
        let mut unreadable = None;
        let mut rows = sqlx::query(
            "SELECT seq, ts, actor, action, object, result, prev_hash, hash, body FROM audit ORDER BY seq",
        )
        .fetch(&self.pool);
        while let Some(row) = rows.try_next().await.map_err(fail)? {
            let fault = match read(&row) {
                Ok(record) => verifier.feed(&record).err().or(columns_differ(&row, &record)?),
                Err(_) => Some(altered(number(&row, "seq")?)),
            };
            if fault.is_some() {
                unreadable = fault;
                break;
            }
        }
        let mut verdict = verifier.finish(head.as_ref().map(|(seq, hash)| (*seq, hash.as_str())));
        if let (None, Some(fault)) = (&verdict.fault, unreadable) {
            verdict.fault = Some(fault);
            verdict.intact = false;
        }
        Ok(verdict)
    }

    /// Number of records of an action and object since a time: what quotas are recovered from.
    pub async fn count_since(&self, actor: &str, action: &str, object: &str, since: &str) -> Result<i64> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS n FROM audit WHERE actor = $1 AND action = $2 AND object = $3 AND ts >= $4 AND result = 'ok'",
        )
        .bind(actor)
        .bind(action)
        .bind(object)
        .bind(since)
        .fetch_one(&self.pool)
        .await
        .map_err(fail)?;
        number(&row, "n")
    }
}

fn read(row: &AnyRow) -> Result<AuditRecord> {
    Ok(AuditRecord {
        seq: number(row, "seq")?,
        prev_hash: text(row, "prev_hash")?,
        hash: text(row, "hash")?,
        event: json::<AuditEvent>(row, "body")?,
    })
}

fn columns_differ(row: &AnyRow, record: &AuditRecord) -> Result<Option<AuditFault>> {
    let e = &record.event;
    for (column, value) in
        [("ts", &e.ts), ("actor", &e.actor), ("action", &e.action), ("object", &e.object), ("result", &e.result)]
    {
        if &text(row, column)? != value {
            return Ok(Some(altered(record.seq)));
        }
    }
    Ok(None)
}

fn altered(seq: i64) -> AuditFault {
    AuditFault {
        seq,
        kind: "altered".into(),
        zh: format!("第 {seq} 条记录被篡改"),
        en: format!("record {seq} was altered"),
    }
}
