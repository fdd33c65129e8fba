//! Records of commands that read beside a running server (SQLite).
//!
//! The chain has one writer. A command that only reads (`audit verify`, `catalogue list`) leaves its records in the
//! file `audit.beside`, one JSON line each, durable before it is told so; the server takes them into the chain by and
//! by ([`super::AuditLog::take_in`]). A crash in between may take a record twice, under the same `event_id`.

use std::io::Write;
use std::path::Path;

use model::audit::AuditEvent;
use model::{Code, Error, Result};
use sqlx::AnyPool;
use tokio::sync::mpsc::Receiver;

use super::Order;
use super::head::Head;
use super::settle::Settled;
use crate::StoreConfig;
use crate::db::to_json;

/// Name of the file in the store's folder.
pub(super) const WAITING: &str = "audit.beside";

pub(super) async fn start(
    config: &StoreConfig,
    mut waiting: Receiver<Order>,
) -> Result<(AnyPool, Head, Settled)> {
    let path = config.folder.join(WAITING);
    let head = config.folder.join("audit.head");
    std::thread::Builder::new()
        .name("audit".into())
        .spawn(move || {
            while let Some(order) = waiting.blocking_recv() {
                let pending = match order {
                    Order::Write(pending) => pending,
                    Order::End(done) => {
                        let _ = done.send(());
                        return;
                    }
                };
                let outcome = leave(&path, &pending.event);
                if let Err(e) = &outcome {
                    tracing::error!(error = %e.operator_text(), "the audit record cannot be left");
                }
                let _ = pending.done.send(outcome.map(|()| 0));
            }
        })
        .map_err(|e| Error::of(Code::AuditUnavailable).caused_by(e))?;
    let settled = Settled::beside(&head);
    Ok((super::write_sqlite::readers(config).await?, Head::File(head), settled))
}

fn unwritable(e: std::io::Error) -> Error {
    Error::of(Code::AuditUnavailable).caused_by(e)
}

/// One line in one write: lines of commands that run at the same time stay whole.
fn leave(path: &Path, event: &AuditEvent) -> Result<()> {
    let line = format!("{}\n", to_json(event)?);
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(unwritable)?;
    file.write_all(line.as_bytes()).map_err(unwritable)?;
    file.sync_all().map_err(unwritable)
}

/// The records that wait. The file is moved away first, so that a line written now waits for the next time.
pub(super) async fn take(waiting: &Path) -> Result<Vec<AuditEvent>> {
    let moved = waiting.with_extension("taking");
    if !tokio::fs::try_exists(&moved).await.map_err(unwritable)? {
        match tokio::fs::rename(waiting, &moved).await {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(unwritable(e)),
        }
    }
    let text = tokio::fs::read_to_string(&moved).await.map_err(unwritable)?;
    // A line that a crash cut off was never acknowledged.
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

/// The records are in the chain.
pub(super) async fn taken(waiting: &Path) -> Result<()> {
    match tokio::fs::remove_file(waiting.with_extension("taking")).await {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(unwritable(e)),
        _ => Ok(()),
    }
}
