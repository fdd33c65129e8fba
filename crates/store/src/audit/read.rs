//! Reading and verifying the chain.

use chrono::{Days, NaiveDate, Utc};
use futures::TryStreamExt;
use guard::chain::{ChainVerifier, FIRST};
use model::audit::{AuditEvent, AuditFault, AuditFilter, AuditRecord, AuditVerdict};
use model::op::{china, stamp};
use model::{Code, Error, Result};
use policy::{Action, Permit};
use sqlx::any::AnyRow;

use super::links::{Links, Piece};
use super::{AuditLog, fault};
use crate::clause::Clause;
use crate::db::{fail, json, number, page, text};

impl AuditLog {
    /// Records within a filter, newest first.
    pub async fn list(&self, permit: &Permit, filter: &AuditFilter) -> Result<Vec<AuditRecord>> {
        permit.require(&[Action::AuditRead, Action::AuditExport])?;
        let mut c = Clause::default();
        if let Some(before) = filter.before {
            c.and(&format!("seq < {before}"));
        }
        let given = |value: &Option<String>| value.clone().filter(|v| !v.is_empty());
        for (condition, value) in
            [("actor =", &filter.actor), ("object =", &filter.object), ("result =", &filter.result)]
        {
            if let Some(value) = given(value) {
                c.and_text(condition, &value);
            }
        }
        if let Some(action) = given(&filter.action) {
            c.and_text("(action =", &action);
            c.or_text("action LIKE", &format!("{}.%", action.replace(['%', '_'], "")));
            c.close();
        }
        if let Some(from) = given(&filter.from) {
            c.and_text("ts >=", &midnight("from", &from, 0)?);
        }
        if let Some(to) = given(&filter.to) {
            c.and_text("ts <", &midnight("to", &to, 1)?);
        }
        let sql = format!(
            "SELECT seq, prev_hash, hash, body FROM audit{} ORDER BY seq DESC LIMIT {}",
            c.sql(),
            page(filter.limit)
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for value in c.values() {
            query = query.bind(value.as_str());
        }
        let rows = query.fetch_all(self.table().await?).await.map_err(fail)?;
        rows.iter().map(read).collect()
    }

    /// The records behind number `after`, in order; `after` must be `hash` in the chain they go on from. Fails when they do not.
    pub async fn stretch(
        &self,
        permit: &Permit,
        after: i64,
        hash: &str,
        most: u32,
    ) -> Result<Vec<AuditRecord>> {
        permit.require(&[Action::AuditExport])?;
        let rows = sqlx::query(
            "SELECT seq, prev_hash, hash, body FROM audit WHERE seq >= $1 ORDER BY seq LIMIT $2",
        )
        .bind(after)
        .bind(i64::from(most) + 1)
        .fetch_all(self.table().await?)
        .await
        .map_err(fail)?;
        let mut records = rows.iter().map(read).collect::<Result<Vec<_>>>()?;
        if after >= FIRST {
            match records.first() {
                Some(from) if from.seq == after && from.hash == hash => drop(records.remove(0)),
                _ => return Err(broken(unsealed(after))),
            }
        }
        let mut verifier = ChainVerifier::after(after, hash);
        let told = records.iter().find_map(|record| verifier.feed(record).err());
        // A missing record is told by the verifier's end at the latest.
        match told.or_else(|| verifier.finish(None).fault) {
            None => Ok(records),
            Some(fault) => Err(broken(fault)),
        }
    }

    /// Hashes of the records behind number `after`, in order; `after` must be `hash`, and each must say that it stands behind the one
    /// before it. What the records themselves say is not read: a hash that is not theirs is told by [`Self::stretch`] and
    /// [`Self::verify`]. They come as two texts in one row: under load they are tens of thousands a second, and a row for each costs
    /// several times its hash.
    pub async fn links(&self, permit: &Permit, after: i64, hash: &str, most: u32) -> Result<Links> {
        permit.require(&[Action::SystemWork])?;
        let row = sqlx::query(
            "SELECT COUNT(*) AS n, COALESCE(MIN(seq), 0) AS first, COALESCE(MAX(seq), 0) AS last, \
             COALESCE(string_agg(prev_hash, ''), '') AS before, COALESCE(string_agg(hash, ''), '') AS own \
             FROM (SELECT seq, prev_hash, hash FROM audit WHERE seq >= $1 ORDER BY seq LIMIT $2) AS piece",
        )
        .bind(after)
        .bind(i64::from(most) + 1)
        .fetch_one(self.table().await?)
        .await
        .map_err(fail)?;
        let piece = Piece {
            count: number(&row, "n")?,
            first: number(&row, "first")?,
            last: number(&row, "last")?,
            before: text(&row, "before")?,
            own: text(&row, "own")?,
        };
        piece.behind(after, hash).map_err(broken)
    }

    /// Walks the chain from its first record. Index columns are compared with the hashed body, too, and the records that `anchors`
    /// names (number and hash, in order) must be those they name.
    pub async fn verify(&self, permit: &Permit, anchors: &[(i64, String)]) -> Result<AuditVerdict> {
        let mut anchors = anchors.iter().peekable();
        permit.require(&[Action::AuditExport])?;
        let head = self.head.read().await?;
        let mut verifier = ChainVerifier::new();
        let mut unreadable = None;
        // A break that was found and gone on behind: sound in itself, the chain is not.
        let mut told = None;
        let mut rows = sqlx::query(
            "SELECT seq, ts, actor, action, object, result, prev_hash, hash, body FROM audit ORDER BY seq",
        )
        .fetch(self.table().await?);
        while let Some(row) = rows.try_next().await.map_err(fail)? {
            let fault = match read(&row) {
                Ok(record) => {
                    let apart = anchors
                        .next_if(|(seq, _)| *seq <= record.seq)
                        .is_some_and(|anchor| *anchor != (record.seq, record.hash.clone()));
                    told = told.or_else(|| fault::of_record(&record));
                    verifier
                        .feed(&record)
                        .err()
                        .or(columns_differ(&row, &record)?)
                        .or_else(|| apart.then(|| unsealed(record.seq)))
                }
                Err(_) => Some(altered(number(&row, "seq")?)),
            };
            if fault.is_some() {
                unreadable = fault;
                break;
            }
        }
        let mut verdict = verifier.finish(head.as_ref().map(|(seq, hash)| (*seq, hash.as_str())));
        let cut = anchors.next().map(|(seq, _)| unsealed(*seq));
        if let (None, Some(fault)) = (&verdict.fault, unreadable.or(told).or(cut)) {
            verdict.fault = Some(fault);
            verdict.intact = false;
        }
        Ok(verdict)
    }

    /// Number of the last record; 0 when there is none.
    pub(crate) async fn last_number(&self) -> Result<u64> {
        let last = super::settle::last(self.table().await?).await?;
        Ok(u64::try_from(last).unwrap_or(0))
    }

    /// Number of records of an action and object since a time: what quotas are recovered from.
    pub async fn count_since(
        &self,
        actor: &str,
        action: &str,
        object: &str,
        since: &str,
    ) -> Result<i64> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS n FROM audit WHERE actor = $1 AND action = $2 AND object = $3 AND ts >= $4 AND result = 'ok'",
        )
        .bind(actor)
        .bind(action)
        .bind(object)
        .bind(since)
        .fetch_one(self.table().await?)
        .await
        .map_err(fail)?;
        number(&row, "n")
    }
}

/// The instant at which a civil day in China begins (`after` days later), as times are stored.
fn midnight(field: &str, day: &str, after: u64) -> Result<String> {
    let instant = NaiveDate::parse_from_str(day.trim(), "%Y-%m-%d")
        .ok()
        .and_then(|d| d.checked_add_days(Days::new(after)))
        .and_then(|d| d.and_hms_opt(0, 0, 0)?.and_local_timezone(china()).single());
    instant.map(|t| stamp(t.with_timezone(&Utc))).ok_or_else(|| {
        let shown: String = day.chars().take(40).collect();
        let (zh, en) = (
            format!("日期 `{shown}` 应形如 2026-01-31"),
            format!("the day `{shown}` must read like 2026-01-31"),
        );
        Error::new(Code::InvalidQuery, zh.clone(), en.clone()).field(field, zh, en)
    })
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
    for (column, value) in [
        ("ts", &e.ts),
        ("actor", &e.actor),
        ("action", &e.action),
        ("object", &e.object),
        ("result", &e.result),
    ] {
        if &text(row, column)? != value {
            return Ok(Some(altered(record.seq)));
        }
    }
    Ok(None)
}

/// The chain does not go on as it should.
fn broken(fault: AuditFault) -> Error {
    Error::new(Code::AuditUnavailable, fault.zh, fault.en)
}

/// A record that is not the one a signed seal names.
pub(super) fn unsealed(seq: i64) -> AuditFault {
    AuditFault {
        seq,
        kind: "altered".into(),
        zh: format!("第 {seq} 条记录与签名存证不符：其前的记录被改写或删除"),
        en: format!(
            "record {seq} is not the one that was sealed: records up to it were rewritten or removed"
        ),
    }
}

fn altered(seq: i64) -> AuditFault {
    AuditFault {
        seq,
        kind: "altered".into(),
        zh: format!("第 {seq} 条记录被篡改"),
        en: format!("record {seq} was altered"),
    }
}
