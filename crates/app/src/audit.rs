//! Audit: the chain is written by every room; here it is read, exported and verified.

use model::audit::{AuditEvent, AuditFilter, AuditRecord, AuditVerdict};
use model::{Actor, Error, Op, Result};
use policy::{Action, Permit, Target};

use crate::App;

/// Writes one record and waits until it is durable (group commit). *every-release-audited*: a release calls it before it answers.
pub async fn record(app: &App, event: AuditEvent) -> Result<()> {
    let begun = std::time::Instant::now();
    let written = app.store.audit().append(event).await;
    metrics::histogram!("qt_audit_append_seconds").record(begun.elapsed().as_secs_f64());
    if written.is_err() {
        metrics::counter!("qt_audit_failures_total").increment(1);
    }
    written.map(|_| ())
}

/// An event with what `op` knows filled in.
#[must_use]
pub fn event(op: &Op, action: &str, object: &str) -> AuditEvent {
    AuditEvent {
        event_id: op.new_id(),
        ts: op.stamp(),
        actor: op.actor.id().to_owned(),
        actor_name: op.actor.name().to_owned(),
        org: op.actor.org().unwrap_or_default().to_owned(),
        app_key: match &op.actor {
            Actor::Application { key, .. } => key.clone(),
            _ => String::new(),
        },
        source: op.source.clone(),
        action: action.to_owned(),
        object: object.to_owned(),
        result: "ok".to_owned(),
        trace_id: op.request_id.clone(),
        ..AuditEvent::default()
    }
}

/// Asks policy for a permit; a refusal is recorded before it is answered.
pub async fn permit(app: &App, op: &Op, action: Action, target: &Target) -> Result<Permit> {
    match app.policy.permit(op, action, target) {
        Ok(permit) => Ok(permit),
        Err(refusal) => {
            refused(app, op, action.as_str(), &target.id, &refusal).await?;
            Err(refusal)
        }
    }
}

/// Records a refusal with its code and reasons.
pub async fn refused(
    app: &App,
    op: &Op,
    action: &str,
    object: &str,
    refusal: &Error,
) -> Result<()> {
    let mut event = event(op, action, object);
    event.result = "denied".into();
    event.reason = std::iter::once(refusal.code().as_str().to_owned())
        .chain(refusal.reasons().iter().cloned())
        .collect::<Vec<_>>()
        .join(" ");
    record(app, event).await
}

/// Records, newest first. Reading the audit is itself recorded.
pub async fn list(app: &App, op: &Op, filter: &AuditFilter) -> Result<Vec<AuditRecord>> {
    let permit = permit(app, op, Action::AuditRead, &Target::plain("Audit", "audit")).await?;
    if filter.before.is_none() {
        record(app, event(op, "audit.read", "audit")).await?;
    }
    app.store.audit().list(&permit, filter).await
}

/// Walks the whole chain.
pub async fn verify(app: &App, op: &Op) -> Result<AuditVerdict> {
    let permit = permit(app, op, Action::AuditExport, &Target::plain("Audit", "audit")).await?;
    let verdict = app.store.audit().verify(&permit).await?;
    let mut done = event(op, "audit.verify", "audit");
    done.rows = verdict.records;
    if let Some(fault) = &verdict.fault {
        done.result = "failed".into();
        done.reason = format!("{} {}", fault.kind, fault.seq);
    }
    record(app, done).await?;
    Ok(verdict)
}

/// Records as CSV with a header, newest first, within the filter (all pages of it).
pub async fn export(app: &App, op: &Op, filter: &AuditFilter) -> Result<Vec<u8>> {
    let permit = permit(app, op, Action::AuditExport, &Target::plain("Audit", "audit")).await?;
    let mut writer = csv::Writer::from_writer(Vec::new());
    let broken = |e: csv::Error| Error::internal("cannot write CSV").caused_by(e);
    writer.write_record(COLUMNS).map_err(broken)?;
    let mut page = AuditFilter { limit: 1000, ..filter.clone() };
    let mut rows = 0;
    loop {
        let records = app.store.audit().list(&permit, &page).await?;
        for r in &records {
            writer.write_record(cells(r)).map_err(broken)?;
        }
        rows += records.len() as u64;
        match records.last() {
            Some(last) if records.len() == 1000 => page.before = Some(last.seq),
            _ => break,
        }
    }
    let mut done = event(op, "audit.export", "audit");
    done.rows = rows;
    record(app, done).await?;
    writer.into_inner().map_err(|e| Error::internal("cannot write CSV").caused_by(e.to_string()))
}

const COLUMNS: [&str; 24] = [
    "seq",
    "ts",
    "event_id",
    "actor",
    "actor_name",
    "org",
    "app_key",
    "source",
    "action",
    "object",
    "columns",
    "level",
    "scope",
    "rows",
    "bytes",
    "result",
    "reason",
    "purpose",
    "request",
    "masks",
    "trace_id",
    "prev_hash",
    "hash",
    "algorithm",
];

fn cells(r: &AuditRecord) -> [String; 24] {
    let e = &r.event;
    [
        r.seq.to_string(),
        e.ts.clone(),
        e.event_id.clone(),
        e.actor.clone(),
        e.actor_name.clone(),
        e.org.clone(),
        e.app_key.clone(),
        e.source.clone(),
        e.action.clone(),
        e.object.clone(),
        e.columns.clone(),
        e.level.clone(),
        e.scope.clone(),
        e.rows.to_string(),
        e.bytes.to_string(),
        e.result.clone(),
        e.reason.clone(),
        e.purpose.clone(),
        e.request.clone(),
        e.masks.clone(),
        e.trace_id.clone(),
        r.prev_hash.clone(),
        r.hash.clone(),
        "SM3".to_owned(),
    ]
}
