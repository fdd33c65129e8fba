//! Tail and head that do not fit: how the chain itself keeps the memory of it.

use model::audit::{AuditEvent, AuditFault, AuditRecord};

/// Action of the record that says the chain was found broken before the records behind it.
pub(super) const ACTION: &str = "audit.fault";

/// The head was noted further on than the chain now reaches.
const REMOVED: &str = "removed";
/// The chain holds another record where the head was noted.
const ALTERED: &str = "altered";
/// The chain holds records but its head is gone.
const HEADLESS: &str = "headless";

/// What was found when a writer looked at the end of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Break {
    kind: &'static str,
    /// First record that is missing or altered.
    seq: i64,
    /// Last record the head speaks of.
    until: i64,
    /// Hash the head noted.
    hash: String,
}

impl Break {
    /// Compares the noted head with the chain's end. `at_head` is the hash of the chain's record at the head's number.
    pub(super) fn find(
        head: Option<&(i64, String)>,
        tail: i64,
        at_head: Option<&str>,
        headless_from: i64,
    ) -> Option<Self> {
        match head {
            None if tail >= headless_from => {
                Some(Self { kind: HEADLESS, seq: tail, until: tail, hash: String::new() })
            }
            None => None,
            Some((seq, hash)) if *seq > tail => {
                Some(Self { kind: REMOVED, seq: tail + 1, until: *seq, hash: hash.clone() })
            }
            Some((seq, hash)) if *seq > 0 && at_head != Some(hash.as_str()) => {
                Some(Self { kind: ALTERED, seq: *seq, until: *seq, hash: hash.clone() })
            }
            Some(_) => None,
        }
    }

    /// The record of it. It takes its time from the event behind it: engines know no clock.
    pub(super) fn event(&self, next: &AuditEvent) -> AuditEvent {
        AuditEvent {
            event_id: format!("{}-fault", next.event_id),
            ts: next.ts.clone(),
            actor: "system".into(),
            actor_name: "system".into(),
            source: "-".into(),
            action: ACTION.into(),
            object: format!("{} {}", self.seq, self.until),
            scope: self.hash.clone(),
            result: "failed".into(),
            reason: self.kind.into(),
            trace_id: next.trace_id.clone(),
            ..AuditEvent::default()
        }
    }

    /// The fault as it is told.
    pub(super) fn fault(&self) -> AuditFault {
        told(self.kind, self.seq, self.until)
    }
}

/// The fault a record of the chain tells of, if it is one.
pub(super) fn of_record(record: &AuditRecord) -> Option<AuditFault> {
    let event = &record.event;
    if event.action != ACTION {
        return None;
    }
    let (seq, until) = event.object.split_once(' ').unwrap_or((&event.object, ""));
    let seq = seq.parse().unwrap_or(record.seq);
    Some(told(&event.reason, seq, until.parse().unwrap_or(seq)))
}

fn told(kind: &str, seq: i64, until: i64) -> AuditFault {
    let (kind, zh, en) = match kind {
        ALTERED => (
            ALTERED,
            format!("审计记录 {seq} 在服务停止期间被替换：与链头文件所记摘要不符"),
            format!(
                "audit record {seq} was replaced while nobody wrote: it is not the one the head noted"
            ),
        ),
        HEADLESS => (
            REMOVED,
            format!("审计链头在服务停止期间被删除，记录 {seq} 之后是否有缺失已无法确认"),
            format!(
                "the head of the audit chain was removed while nobody wrote: whether records behind {seq} are missing can no longer be told"
            ),
        ),
        _ => (
            REMOVED,
            format!("审计记录 {seq} 至 {until} 在服务停止期间被删除（链尾被截断）"),
            format!(
                "audit records {seq} to {until} were removed while nobody wrote (the end of the chain was cut off)"
            ),
        ),
    };
    AuditFault { seq, kind: kind.to_owned(), zh, en }
}
