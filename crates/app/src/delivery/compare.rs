//! What a target holds, held against what the grant shows at the version that the target says it holds: counts, sums over all rows
//! and, where they are not too many, how many rows are missing, too many, or other. Nothing of the rows is told; what differs is
//! mended by a turn that brings all anew.

use futures::TryStreamExt;
use model::audit::AuditEvent;
use model::delivery::{Delivery, DeliveryCheck, DeliveryKind};
use model::{Code, Error, Op, Result};
use policy::Action;
use policy::port::{ChangeSpan, OutletRows};

use super::desk::{known, record};
use super::stand::Stand;
use super::tally::Tally;
use super::turn::address;
use super::{folder, granted, permit};
use crate::App;
use crate::outflow::granted::Granted;

/// Looks again when the target moves while it is read.
const TRIES: u32 = 3;

/// Compares, and keeps what was found.
pub async fn compare(app: &App, op: &Op, id: &str) -> Result<DeliveryCheck> {
    let (found, _) = known(app, op, id, Action::DeliveryRead).await?;
    let delivery = found.delivery;
    let check = match delivery.kind {
        DeliveryKind::Database => database(app, &delivery).await?,
        DeliveryKind::Folder => {
            let turns = app.store.delivery_turns(id, None, 200).await?;
            let receipt = turns
                .into_iter()
                .filter_map(|turn| turn.receipt)
                .find(|receipt| !receipt.sha256.is_empty() && receipt.table == found.figures.file)
                .ok_or_else(nothing_yet)?;
            folder::compare(app, &delivery, &found.figures, &receipt).await?
        }
    };
    app.store.delivery_checked(&permit(app).await?, id, &check).await?;
    let event = AuditEvent {
        result: if check.equal { "ok" } else { "differs" }.to_owned(),
        scope: format!(
            "version {} target {} granted {}",
            check.version, check.target_rows, check.granted_rows
        ),
        ..crate::audit::event(op, "delivery.compare", id)
    };
    record(app, &delivery, event).await?;
    Ok(check)
}

async fn database(app: &App, delivery: &Delivery) -> Result<DeliveryCheck> {
    let granted = granted(app, delivery, None).await?;
    let at = address(app, delivery).await?;
    let mut line = app.outflows.port.open(&granted.grant, &at, &granted.columns).await?;
    let most = app.rules.delivery.compare_rows;
    for _ in 0..TRIES {
        let before = line.position().await?;
        let Some(stand) = before.as_deref().and_then(Stand::of_text) else {
            return Err(nothing_yet());
        };
        if stand.shape != granted.shape {
            return Err(Error::new(
                Code::WrongState,
                "授权的内容在上次投送后有变化，请先投送一次再核对",
                "the grant has changed since the last delivery; deliver once, then compare",
            ));
        }
        let mut there = Tally::of(&granted.columns, most);
        line.read(&mut there).await?;
        if line.position().await? != before {
            continue;
        }
        let here = tallied(app, &granted, stand.version, most).await?;
        let difference = here.difference(&there);
        return Ok(DeliveryCheck {
            at: Op::system(app.now()).stamp(),
            version: stand.version,
            target_rows: there.rows(),
            granted_rows: here.rows(),
            equal: (there.rows(), there.sum()) == (here.rows(), here.sum()),
            target_sum: there.sum(),
            granted_sum: here.sum(),
            missing: difference.as_ref().map(|d| d.missing),
            extra: difference.as_ref().map(|d| d.extra),
            different: difference.as_ref().map(|d| d.different),
        });
    }
    Err(Error::new(
        Code::WrongState,
        "目标库正在写入，请稍后再核对",
        "the target is being written to; compare later",
    ))
}

/// What the grant shows at a version. It is added up here and goes nowhere.
async fn tallied(app: &App, granted: &Granted, version: i64, most: usize) -> Result<Tally> {
    let mut tally = Tally::of(&granted.columns, most);
    let span = ChangeSpan { from: None, to: version, after: None };
    let mut rows = app.lake.changes(&granted.grant, &span).await?;
    while let Some(piece) = rows.try_next().await? {
        for row in piece.rows.rows {
            let cells: Vec<Option<String>> =
                granted.row(row).iter().map(model::value::Value::to_text).collect();
            tally.row(&cells.iter().map(Option::as_deref).collect::<Vec<_>>());
        }
    }
    Ok(tally)
}

fn nothing_yet() -> Error {
    Error::new(
        Code::WrongState,
        "还没有投送过数据，无可核对",
        "nothing was delivered yet: there is nothing to compare",
    )
}
