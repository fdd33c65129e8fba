//! The audit chain: each record's hash is SM3 over the hash before it and the record's canonical JSON.
//!
//! `hash = hex(SM3(prev_hash || json))`, where `prev_hash` is the 64 hex digits as text (64 zeros before the first
//! record) and `json` is one object: `seq` first, then the event's fields in the order of `AuditEvent`, with empty
//! texts and zero numbers left out, no white space, and of the characters only `"`, `\` and those below U+0020
//! escaped (the latter as `\u00xx`). Anyone can recompute it from an export with a few lines of any language.
//!
//! [`ChainVerifier`] reads records in the order they are kept, one at a time, and names the first that is altered,
//! removed or out of order.

use model::audit::{AuditEvent, AuditFault, AuditRecord, AuditVerdict};

use crate::hash::{HashAlgorithm, Hasher};

/// What stands before the first record.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Number of the first record of a chain.
pub const FIRST: i64 = 1;

/// How many further records are read before a missing one is called removed rather than out of order, and how far
/// a displaced record is looked for.
const WINDOW: i64 = 256;

/// Chains an event behind `prev_hash` as record `seq`.
#[must_use]
pub fn link(prev_hash: &str, seq: i64, event: AuditEvent) -> AuditRecord {
    let hash = digest(prev_hash, seq, &event);
    AuditRecord { seq, prev_hash: prev_hash.to_owned(), hash, event }
}

/// Writes the canonical JSON of an event as record `seq` behind `prev_hash` into `text`, in place of what stood there; answers the
/// record's hash. What is kept of a record need not be written a second time.
pub fn link_text(text: &mut String, prev_hash: &str, seq: i64, event: &AuditEvent) -> String {
    text.clear();
    write_canonical(text, seq, event);
    digest_text(prev_hash, text)
}

/// Hash of a record: 64 lower hex digits.
#[must_use]
pub fn digest(prev_hash: &str, seq: i64, event: &AuditEvent) -> String {
    digest_text(prev_hash, &canonical(seq, event))
}

fn digest_text(prev_hash: &str, text: &str) -> String {
    let mut hasher = Hasher::new(HashAlgorithm::Sm3);
    hasher.update(prev_hash.as_bytes());
    hasher.update(text.as_bytes());
    hasher.finish()
}

/// The canonical JSON of a record, as it is hashed.
#[must_use]
pub fn canonical(seq: i64, event: &AuditEvent) -> String {
    let mut text = String::with_capacity(960);
    write_canonical(&mut text, seq, event);
    text
}

fn write_canonical(out: &mut String, seq: i64, event: &AuditEvent) {
    use std::fmt::Write;
    // Named one by one, so that a new field of the event does not compile until it is placed here.
    let AuditEvent {
        event_id,
        ts,
        actor,
        actor_name,
        org,
        app_key,
        source,
        action,
        object,
        columns,
        level,
        scope,
        rows,
        bytes,
        result,
        reason,
        purpose,
        request,
        masks,
        trace_id,
        interface,
        way,
        micros,
        calls,
    } = event;
    // Writing into a String cannot fail.
    let _ = write!(out, "{{\"seq\":{seq}");
    for (name, value) in [
        (",\"event_id\":\"", event_id),
        (",\"ts\":\"", ts),
        (",\"actor\":\"", actor),
        (",\"actor_name\":\"", actor_name),
        (",\"org\":\"", org),
        (",\"app_key\":\"", app_key),
        (",\"source\":\"", source),
        (",\"action\":\"", action),
        (",\"object\":\"", object),
        (",\"columns\":\"", columns),
        (",\"level\":\"", level),
        (",\"scope\":\"", scope),
    ] {
        write_text(out, name, value);
    }
    for (name, value) in [(",\"rows\":", rows), (",\"bytes\":", bytes)] {
        if *value != 0 {
            let _ = write!(out, "{name}{value}");
        }
    }
    for (name, value) in [
        (",\"result\":\"", result),
        (",\"reason\":\"", reason),
        (",\"purpose\":\"", purpose),
        (",\"request\":\"", request),
        (",\"masks\":\"", masks),
        (",\"trace_id\":\"", trace_id),
        (",\"interface\":\"", interface),
        (",\"way\":\"", way),
    ] {
        write_text(out, name, value);
    }
    for (name, value) in [(",\"micros\":", micros), (",\"calls\":", calls)] {
        if *value != 0 {
            let _ = write!(out, "{name}{value}");
        }
    }
    out.push('}');
}

fn write_text(out: &mut String, name: &str, value: &str) {
    use std::fmt::Write;
    if value.is_empty() {
        return;
    }
    out.push_str(name);
    if value.bytes().any(|b| b < 0x20 || b == b'"' || b == b'\\') {
        for c in value.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                c if c < ' ' => {
                    let _ = write!(out, "\\u{:04x}", u32::from(c));
                }
                c => out.push(c),
            }
        }
    } else {
        out.push_str(value);
    }
    out.push('"');
}

/// Verifies a chain fed record by record in the order it is kept. Constant memory.
#[derive(Clone, Debug)]
pub struct ChainVerifier {
    next: i64,
    head: String,
    records: u64,
    /// A number was missing; whether it was removed or stands further on is decided by what follows.
    gap: Option<Gap>,
    fault: Option<AuditFault>,
}

#[derive(Clone, Debug)]
struct Gap {
    missing: i64,
    found: i64,
    waited: i64,
}

impl Default for ChainVerifier {
    fn default() -> Self {
        Self::new()
    }
}

impl ChainVerifier {
    /// For a chain from its first record.
    #[must_use]
    pub fn new() -> Self {
        Self::after(FIRST - 1, GENESIS)
    }

    /// For the part of a chain behind record `seq` with hash `hash` (an anchor kept elsewhere).
    #[must_use]
    pub fn after(seq: i64, hash: &str) -> Self {
        Self { next: seq + 1, head: hash.to_owned(), records: 0, gap: None, fault: None }
    }

    /// Takes the next record. `Err` names the first fault, now and at every later call. A missing record is
    /// reported once it is clear that it does not stand further on: after 256 records, or by `finish`.
    pub fn feed(&mut self, record: &AuditRecord) -> Result<(), AuditFault> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        match self.judge(record) {
            Ok(()) => Ok(()),
            Err(fault) => {
                self.fault = Some(fault.clone());
                Err(fault)
            }
        }
    }

    fn judge(&mut self, record: &AuditRecord) -> Result<(), AuditFault> {
        if let Some(gap) = &mut self.gap {
            if record.seq == gap.missing {
                return Err(reordered(
                    record.seq,
                    &format!("记录 {} 之后", gap.found),
                    &format!("after record {}", gap.found),
                ));
            }
            gap.waited += 1;
            return if gap.waited < WINDOW { Ok(()) } else { Err(removed(gap.missing, gap.found)) };
        }
        if digest(&record.prev_hash, record.seq, &record.event) != record.hash {
            return Err(self.place_of(record));
        }
        if record.seq > self.next {
            self.gap = Some(Gap { missing: self.next, found: record.seq, waited: 0 });
            return Ok(());
        }
        if record.seq < self.next {
            let last = self.next - 1;
            return Err(reordered(
                record.seq,
                &format!("记录 {last} 之后"),
                &format!("after record {last}"),
            ));
        }
        if record.prev_hash != self.head {
            // The record is sound in itself but does not follow the one before it: that one was replaced whole.
            return Err(replaced((record.seq - 1).max(FIRST), record.seq));
        }
        self.head.clone_from(&record.hash);
        self.next += 1;
        self.records += 1;
        Ok(())
    }

    /// The hash does not fit the number: either the content was altered, or the record was given another number.
    fn place_of(&self, record: &AuditRecord) -> AuditFault {
        let from = self.next.saturating_sub(WINDOW).max(FIRST);
        let true_seq = (from..self.next.saturating_add(WINDOW)).find(|seq| {
            *seq != record.seq && digest(&record.prev_hash, *seq, &record.event) == record.hash
        });
        match true_seq {
            Some(seq) => reordered(
                seq,
                &format!("编号 {} 处", record.seq),
                &format!("at number {}", record.seq),
            ),
            None => altered(record.seq),
        }
    }

    /// The verdict after the last record. `anchor` is number and hash of the newest record as kept elsewhere (an
    /// export, a head row): without it, records cut off the end cannot be noticed.
    #[must_use]
    pub fn finish(mut self, anchor: Option<(i64, &str)>) -> AuditVerdict {
        if self.fault.is_none() {
            self.fault = match (&self.gap, anchor) {
                (Some(gap), _) => Some(removed(gap.missing, gap.found)),
                (None, Some((seq, _))) if seq >= self.next => {
                    Some(removed(self.next, seq.saturating_add(1)))
                }
                (None, Some((seq, hash))) if seq == self.next - 1 && hash != self.head => {
                    Some(altered(seq))
                }
                _ => None,
            };
        }
        AuditVerdict {
            records: self.records,
            intact: self.fault.is_none(),
            fault: self.fault,
            head: self.head,
        }
    }
}

fn fault(seq: i64, kind: &str, zh: String, en: String) -> AuditFault {
    AuditFault { seq, kind: kind.to_owned(), zh, en }
}

fn altered(seq: i64) -> AuditFault {
    fault(
        seq,
        "altered",
        format!("审计记录 {seq} 的内容被改动：摘要不符"),
        format!("audit record {seq} was altered: its hash does not fit its content"),
    )
}

fn replaced(seq: i64, by: i64) -> AuditFault {
    fault(
        seq,
        "altered",
        format!("审计记录 {seq} 被改动或替换：记录 {by} 所接的摘要与其不符"),
        format!(
            "audit record {seq} was altered or replaced: record {by} was chained to another hash"
        ),
    )
}

fn removed(missing: i64, found: i64) -> AuditFault {
    let last = found.saturating_sub(1);
    let (zh, en) = if last > missing {
        (
            format!("审计记录 {missing} 至 {last} 缺失（被删除）"),
            format!("audit records {missing} to {last} were removed"),
        )
    } else {
        (
            format!("审计记录 {missing} 缺失（被删除）"),
            format!("audit record {missing} was removed"),
        )
    };
    fault(missing, "removed", zh, en)
}

fn reordered(seq: i64, zh_where: &str, en_where: &str) -> AuditFault {
    fault(
        seq,
        "reordered",
        format!("审计记录 {seq} 次序错乱：出现在{zh_where}"),
        format!("audit record {seq} is out of order: it stands {en_where}"),
    )
}
