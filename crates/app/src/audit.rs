//! Audit: the chain is written by every room; here it is read, exported and verified.

use model::audit::{AuditEvent, AuditFilter, AuditRecord, AuditVerdict};
use model::{Error, Op, Result};

use crate::App;

/// Writes one record and waits until it is durable (group commit). *every-release-audited*: a release calls it before it answers.
pub async fn record(_app: &App, _event: AuditEvent) -> Result<()> {
    Err(Error::internal("not built"))
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
            model::Actor::Application { key, .. } => key.clone(),
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

/// Records, newest first.
pub async fn list(_app: &App, _op: &Op, _filter: &AuditFilter) -> Result<Vec<AuditRecord>> {
    Err(Error::internal("not built"))
}

/// Walks the whole chain.
pub async fn verify(_app: &App, _op: &Op) -> Result<AuditVerdict> {
    Err(Error::internal("not built"))
}

/// Records as CSV, oldest first, within the filter.
pub async fn export(_app: &App, _op: &Op, _filter: &AuditFilter) -> Result<Vec<u8>> {
    Err(Error::internal("not built"))
}
