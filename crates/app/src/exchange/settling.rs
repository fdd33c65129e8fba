//! The end of an incoming file: its receipt, then its move to the archive or to the refused, then the record. Done again after a
//! crash it writes the same receipt and moves what is still to be moved.

use chrono::{DateTime, Datelike};
use model::audit::AuditEvent;
use model::exchange::{ExchangeFile, FileState, Receipt};
use model::{Error, Kind, Op, Result};

use super::manifest::BESIDE;
use super::watch::Work;
use super::{kept_name, receipt_of};
use crate::audit;

/// Settling → its end: the receipt first, then the move.
pub(super) async fn settle(work: &mut Work, file: &mut ExchangeFile) -> Result<()> {
    let outcome =
        file.outcome.ok_or_else(|| Error::internal("a settling file without its outcome"))?;
    let rules = work.app.rules.exchange.clone();
    let receipt = receipt(work, file, outcome);
    let text = serde_json::to_vec_pretty(&receipt)
        .map_err(|e| Error::internal("writing a receipt").caused_by(e))?;
    let at = receipt_of(&rules, &file.path);
    work.put(&at, &text).await?;
    file.receipt = Some(at);

    let name = kept_name(file);
    let to = match outcome {
        FileState::Failed => {
            let reason = format!("{}\n\n{}\n\n{}\n", file.path, file.zh, file.en);
            work.put(&format!("{}/{name}.reason.txt", rules.failed), reason.as_bytes()).await?;
            format!("{}/{name}", rules.failed)
        }
        _ => {
            let day = DateTime::parse_from_rfc3339(&file.seen_at)
                .map_err(|e| Error::internal("time of a file").caused_by(e))?;
            format!("{}/{}/{:02}/{name}", rules.archive, day.year(), day.month())
        }
    };
    // The file last: while it is there, what lies beside it is its own.
    for end in BESIDE.iter().copied().chain([""]) {
        shift(work, &format!("{}{end}", file.path), &format!("{to}{end}")).await?;
    }
    if let Some(copy) = file.copy.take() {
        // A landed run has taken it away already.
        let _ = tokio::fs::remove_file(&copy).await;
    }
    file.archived = Some(to);
    (file.state, file.outcome) = (outcome, None);
    record(work, file, outcome).await?;
    work.figures.files += 1;
    work.figures.rows += file.landed;
    work.settled += 1;
    metrics::counter!("qt_exchange_files_total", "outcome" => outcome.as_str()).increment(1);
    work.keep(file).await
}

/// Moves a file if it is still there.
async fn shift(work: &Work, from: &str, to: &str) -> Result<()> {
    match work.app.shelf.shift(&work.place, from, to).await {
        Err(e) if e.kind() == Kind::NotFound => Ok(()),
        other => other,
    }
}

fn receipt(work: &Work, file: &ExchangeFile, outcome: FileState) -> Receipt {
    Receipt {
        kind: "qiantang.receipt/1".into(),
        id: file.id.clone(),
        exchange: work.exchange.name.clone(),
        file: file.path.clone(),
        outcome: outcome.as_str().into(),
        sender: file.sender.clone(),
        receiver: file.receiver.clone(),
        landed: file.landed,
        quarantined: file.quarantined,
        entry: work.exchange.entry_code.clone(),
        version: file.version,
        at: file.updated_at.clone(),
        zh: file.zh.clone(),
        en: file.en.clone(),
    }
}

async fn record(work: &Work, file: &ExchangeFile, outcome: FileState) -> Result<()> {
    let op = Op::system(work.app.now());
    let event = AuditEvent {
        rows: file.landed,
        bytes: file.bytes,
        result: if outcome == FileState::Failed { "failed" } else { "ok" }.into(),
        scope: format!(
            "file={} outcome={} run={}",
            file.path,
            outcome.as_str(),
            file.run.as_deref().unwrap_or("-")
        ),
        reason: work.exchange.name.clone(),
        ..audit::event(&op, "exchange.receive", &work.exchange.id)
    };
    audit::record(&work.app, event).await
}
