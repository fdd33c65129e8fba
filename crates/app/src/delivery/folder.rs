//! Deliveries into a folder: one CSV file for each turn, named by the versions it lies between, so that a turn which is taken up again
//! writes the same name once more. A file is followed by its manifest, its signature and its done-file, in the form that an exchange
//! of files takes (`crate::exchange`).

use std::path::{Path, PathBuf};

use futures::TryStreamExt;
use guard::envelope;
use guard::hash::{HashAlgorithm, Hasher};
use model::code::SyncMode;
use model::delivery::{Delivery, DeliveryCheck, DeliveryFigures, DeliveryReceipt, DeliveryTurn};
use model::{Error, Op, Result};
use policy::port::{OutletChange, ShelfPlace};
use tokio::io::AsyncWriteExt;

use super::stand::Sent;
use super::turn::Work;
use crate::App;
use crate::outflow::granted::Granted;

/// Column that says what happened to a row, in files of changes.
const OPERATION: &str = "qt_operation";

/// A place of files.
pub(super) fn place(url: &str) -> ShelfPlace {
    ShelfPlace { url: url.to_owned(), options: Vec::new() }
}

fn here(e: std::io::Error) -> Error {
    Error::of(model::Code::StoreUnavailable).caused_by(e)
}

fn csv_fault(e: csv::Error) -> Error {
    Error::internal("a CSV file of a delivery").caused_by(e)
}

/// A file of the inbox for a moment; what a crash leaves is swept away by its end `.part`.
fn scratch(app: &App) -> PathBuf {
    app.folders.inbox.join(format!("{}.delivery.part", Op::system(app.now()).new_id()))
}

/// One turn.
pub(super) async fn deliver(work: &Work, granted: &Granted) -> Result<DeliveryReceipt> {
    let (app, delivery) = (&work.app, &work.delivery);
    let record = app.store.delivery_get(&delivery.id).await?;
    let figures = record.map(|r| r.figures).unwrap_or_default();
    let at = figures.version.map(|version| (version, figures.shape.as_str()));
    let Some((mut span, mode)) = work.span(granted, at).await? else {
        let table = figures.file.clone();
        return Ok(DeliveryReceipt { table, ..work.nothing(granted, figures.version, None) });
    };
    // The name is settled before the file is written, so that a turn which is cut off writes the same one again.
    match work.turn.to {
        Some(to) => span.to = to,
        None => {
            let turn = DeliveryTurn { to: Some(span.to), ..work.turn.clone() };
            let owner = app.collections.owner();
            app.store.delivery_settle(&work.permit, owner, (&turn, ""), &figures, None).await?;
        }
    }
    let name = match (mode, span.from) {
        (SyncMode::Incremental, Some(from)) => {
            format!("{}-v{from}-v{}.csv", delivery.table, span.to)
        }
        _ => format!("{}-full-v{}.csv", delivery.table, span.to),
    };
    let entered = work.enter(granted).await?;
    let part = scratch(app);
    let written = async {
        let mut out =
            tokio::io::BufWriter::new(tokio::fs::File::create(&part).await.map_err(here)?);
        let mut head: Vec<&str> = granted.columns.iter().map(|c| c.name.as_str()).collect();
        if mode == SyncMode::Incremental {
            head.insert(0, OPERATION);
        }
        out.write_all(&lines(std::iter::once(head))?).await.map_err(here)?;
        let mut changes = app.lake.changes(&granted.grant, &span).await?;
        let mut sent = Sent::begin(&work.turn.id, &granted.shape, &span, mode);
        while let Some(piece) = changes.try_next().await? {
            let rows = work.tell(granted, &entered, piece, &mut sent).await?;
            out.write_all(&lines(rows.iter().map(|row| cells(row, mode)))?).await.map_err(here)?;
        }
        out.flush().await.map_err(here)?;
        out.into_inner().sync_all().await.map_err(here)?;
        work.still(granted).await?;
        let mut stand = sent.end();
        let rows = stand.upserts + stand.deletes;
        (stand.bytes, stand.sha256) = put(app, delivery, &name, &part, rows, span.to).await?;
        Ok::<_, Error>(stand)
    };
    let done = entered.settled(written.await);
    let _ = tokio::fs::remove_file(&part).await;
    let stand = done?;
    let rows = stand.upserts + stand.deletes;
    Ok(DeliveryReceipt { table: name, ..work.receipt(granted, &stand, Some(rows)) })
}

fn cells(change: &OutletChange, mode: SyncMode) -> Vec<String> {
    let operation = (mode == SyncMode::Incremental).then(|| change.operation.as_str().to_owned());
    let values = change.row.iter().map(|value| value.to_text().unwrap_or_default());
    operation.into_iter().chain(values).collect()
}

fn lines<T: AsRef<[u8]>>(rows: impl Iterator<Item = Vec<T>>) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.write_record(row).map_err(csv_fault)?;
    }
    writer.into_inner().map_err(|e| Error::internal("writing CSV").caused_by(e.to_string()))
}

/// Puts file, signature, manifest and done-file there, in this order; answers bytes and SHA-256 of the file.
async fn put(
    app: &App,
    delivery: &Delivery,
    name: &str,
    part: &Path,
    rows: u64,
    version: i64,
) -> Result<(u64, String)> {
    let (bytes, sha256, sm3) = prints(part).await?;
    let place = place(&delivery.place);
    app.shelf.put(&place, name, part).await?;
    let signature = envelope::sm2_signer(&app.keys)?.sign(sm3.as_bytes())?;
    small(app, &place, &format!("{name}.sm2sig"), signature.as_bytes()).await?;
    let manifest = serde_json::json!({
        "file": name, "bytes": bytes, "rows": rows, "sha256": sha256, "sm3": sm3,
        "entry": delivery.entry_code, "version": version, "delivery": delivery.id,
    });
    let text = format!("{manifest:#}\n");
    small(app, &place, &format!("{name}.manifest.json"), text.as_bytes()).await?;
    small(app, &place, &format!("{name}.done"), b"").await?;
    Ok((bytes, sha256))
}

async fn small(app: &App, place: &ShelfPlace, path: &str, text: &[u8]) -> Result<()> {
    let from = scratch(app);
    tokio::fs::write(&from, text).await.map_err(here)?;
    let put = app.shelf.put(place, path, &from).await;
    let _ = tokio::fs::remove_file(&from).await;
    put
}

/// Bytes, SHA-256 and SM3 of a file of this machine.
async fn prints(path: &Path) -> Result<(u64, String, String)> {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || {
        let (mut sha256, mut sm3) =
            (Hasher::new(HashAlgorithm::Sha256), Hasher::new(HashAlgorithm::Sm3));
        let mut reader = std::fs::File::open(&path).map_err(here)?;
        let (mut buffer, mut bytes) = (vec![0; 1 << 18], 0);
        loop {
            let n = std::io::Read::read(&mut reader, &mut buffer).map_err(here)?;
            let Some(piece) = buffer.get(..n).filter(|p| !p.is_empty()) else { break };
            sha256.update(piece);
            sm3.update(piece);
            bytes += n as u64;
        }
        Ok((bytes, sha256.finish(), sm3.finish()))
    })
    .await
    .map_err(|e| Error::internal("reading a file of a delivery").caused_by(e))?
}

/// The newest file as it lies there, held against its receipt.
pub(super) async fn compare(
    app: &App,
    delivery: &Delivery,
    figures: &DeliveryFigures,
    receipt: &DeliveryReceipt,
) -> Result<DeliveryCheck> {
    let mut check = DeliveryCheck {
        at: Op::system(app.now()).stamp(),
        version: figures.version.unwrap_or_default(),
        granted_rows: receipt.upserts + receipt.deletes,
        granted_sum: receipt.sha256.clone(),
        ..DeliveryCheck::default()
    };
    let copy = scratch(app);
    let found = match app.shelf.fetch(&place(&delivery.place), &figures.file, &copy).await {
        Ok((_, sha256)) => count(&copy).await.map(|rows| Some((rows, sha256))),
        Err(e) if e.kind() == model::Kind::NotFound => Ok(None),
        Err(e) => Err(e),
    };
    let _ = tokio::fs::remove_file(&copy).await;
    if let Some((rows, sha256)) = found? {
        (check.target_rows, check.target_sum) = (rows, sha256);
    }
    check.equal = check.target_sum == check.granted_sum;
    Ok(check)
}

/// Rows of a CSV file, without its head.
async fn count(path: &Path) -> Result<u64> {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || {
        let file = std::io::BufReader::new(std::fs::File::open(&path).map_err(here)?);
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(file);
        let (mut record, mut rows) = (csv::ByteRecord::new(), 0);
        while reader.read_byte_record(&mut record).map_err(csv_fault)? {
            rows += 1;
        }
        Ok(rows)
    })
    .await
    .map_err(|e| Error::internal("reading a file of a delivery").caused_by(e))?
}
