//! Rows of an entry on their way to another organisation: only against a `Grant` made from an approved share application, with its
//! masks and filters, within the bounds that were set, and only after the audit record of the release is written
//! (*every-release-audited*). A file is followed by its manifest and its done-file; then the receiver's receipt is waited for and
//! compared.

use chrono::NaiveDate;
use futures::StreamExt;
use guard::envelope;
use guard::hash::{HashAlgorithm, Hasher};
use model::audit::AuditEvent;
use model::entry::Entry;
use model::exchange::{
    Count, Exchange, ExchangeCipher, ExchangeFile, ExchangeFormat, ExchangeSignature, FileState,
    Receipt,
};
use model::halt::HaltKind;
use model::query::RowQuery;
use model::request::{Request, RequestState};
use model::{Actor, Code, Error, Op, Result};
use policy::port::ShelfPlace;
use policy::{Action, Grant, GrantAsk, Via};
use tokio::io::AsyncWriteExt;

use super::receipt_of;
use super::watch::Work;
use crate::sharing::bounds::{self, Bound, Held};
use crate::sharing::flowing::Mark;
use crate::{App, audit};

/// Files at work taken up together.
const PAGE: u32 = 200;

/// One turn: what is under way goes on, receipts are looked for, and a new version of the entry is sent.
pub(super) async fn turn(work: &mut Work) -> Result<()> {
    let (mut after, mut bounded) = (None::<String>, None);
    for waiting in [1, 2] {
        loop {
            let page = work
                .app
                .store
                .exchange_files_at_work(&work.exchange.id, waiting, after.as_deref(), PAGE)
                .await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id.clone());
            for mut file in page {
                match file.state {
                    // What waits for its hours keeps no receipt from being read.
                    FileState::Writing => match write(work, &mut file).await {
                        Err(e) if bounds::passes(&e) => bounded = Some(e),
                        written => written?,
                    },
                    FileState::Sent | FileState::Overdue => compare(work, &mut file).await?,
                    _ => {}
                }
            }
        }
        after = None;
    }
    if let Some(refusal) = bounded {
        return Err(refusal);
    }
    let Agreed { entry, .. } = agreed(&work.app, &work.exchange).await?;
    let newest = work.app.lake.newest(&entry.draft.code).await?;
    match newest {
        Some(newest) if work.figures.sent_version.is_none_or(|sent| newest.version > sent) => {
            send(work, newest.version).await
        }
        _ => Ok(()),
    }
}

/// What an exchange sends by, as it stands now.
pub(super) struct Agreed {
    entry: Entry,
    /// The approved share application behind it.
    request: Request,
    grant: Grant,
    bound: Option<Bound>,
    /// Of the application that it was approved for.
    op: Op,
}

impl Agreed {
    /// Lets a file out as one call: where it may go to, its hours, and its place among the calls under way. A refusal is recorded.
    async fn enter(&self, app: &App, place: &ShelfPlace) -> Result<Held> {
        let Some(bound) = &self.bound else { return Ok(Held::default()) };
        let op = self.now(app, place);
        match bound.admit(&op, Action::RowsDownload) {
            Ok(held) => Ok(held),
            Err(refusal) => Err(refused(app, &op, &self.entry, refusal).await?),
        }
    }

    /// Fails when the hours are over, or it may not go there any more.
    fn within(&self, app: &App, place: &ShelfPlace) -> Result<()> {
        self.bound.as_ref().map_or(Ok(()), |bound| bound.within(&self.now(app, place)))
    }

    /// The application as it would call now, from where its file is put, for what was agreed.
    fn now(&self, app: &App, place: &ShelfPlace) -> Op {
        Op {
            at: app.now(),
            source: address_of(place).to_owned(),
            purpose: self.grant.purpose().to_owned(),
            ..self.op.clone()
        }
    }
}

/// The address that a place is reached at: of a bucket that of its service. A folder has none (`-`).
fn address_of(place: &ShelfPlace) -> &str {
    let endpoint = place.options.iter().find(|(name, _)| name == "endpoint");
    let service = endpoint.and_then(|(_, url)| url.split_once("://"));
    service.and_then(|(_, rest)| rest.split('/').next()).unwrap_or("-")
}

/// A refusal of what the gate would refuse, once it is recorded.
async fn refused(app: &App, op: &Op, entry: &Entry, refusal: Error) -> Result<Error> {
    let action = Action::RowsDownload.as_str();
    audit::refused(app, op, action, &entry.draft.code, &refusal).await?;
    Ok(refusal)
}

/// The entry, the approved application behind an exchange, and the grant made from it now. A resource that is asked for one subject
/// at a time is not sent whole.
pub(super) async fn agreed(app: &App, exchange: &Exchange) -> Result<Agreed> {
    let (entry, request) = (exchange.entry.as_str(), exchange.request.as_str());
    let ended = || {
        Error::new(
            Code::NoGrant,
            "没有有效的共享授权：发送须以已批准且未到期的共享申请为依据，请接收方重新申请",
            "there is no valid grant: rows go out by an approved share application that has not ended; let the receiver apply again",
        )
    };
    let entry = app
        .store
        .entry_get(entry)
        .await?
        .ok_or_else(|| Error::not_found("目录", "entry", entry))?;
    let request = app
        .store
        .request_get(request)
        .await?
        .filter(|r| r.state == RequestState::Approved && r.entry == entry.id)
        .ok_or_else(ended)?;
    crate::restricted::clean_use(app, &Op::system(app.now()), &request).await?;
    let application = app
        .store
        .application_get(&request.application)
        .await?
        .filter(|a| a.active)
        .ok_or_else(ended)?;
    let op = Op {
        actor: Actor::Application {
            id: application.id,
            key: application.key,
            name: application.name,
            org: application.org,
            // What was granted is sent whatever kind the organisation is.
            public_body: false,
        },
        ..Op::system(app.now())
    };
    let ask = GrantAsk {
        action: Action::RowsDownload,
        entry: &entry,
        via: Via::Request(&request),
        row_cap: u64::MAX,
    };
    app.halts.look(app).await?;
    let grant = match app.policy.grant(&op, &ask) {
        Ok(grant) => grant,
        Err(refusal) => return Err(self::refused(app, &op, &entry, refusal).await?),
    };
    let bound = bounds::of(app, op.actor.id(), &request.id, &entry).await?;
    if let Some(Err(refusal)) = bound.as_ref().map(Bound::in_bulk) {
        return Err(self::refused(app, &op, &entry, refusal).await?);
    }
    Ok(Agreed { entry, request, grant, bound, op })
}

/// A version of the entry is to be sent: kept first, so that a crash leaves a file to go on with.
async fn send(work: &mut Work, version: i64) -> Result<()> {
    let op = Op::system(work.app.now());
    let end = match work.exchange.cipher {
        ExchangeCipher::None => "",
        ExchangeCipher::Sm4 => ".sm4",
    };
    let path = format!(
        "{}-v{version}-{}.{}{end}",
        work.exchange.entry_code,
        op.today().format("%Y%m%d"),
        work.exchange.format.as_str()
    );
    let known = work.app.store.exchange_file_at(&work.exchange.id, &path).await?;
    let mut file = match known {
        Some(file) if file.state == FileState::Writing => file,
        _ => ExchangeFile {
            id: op.new_id(),
            exchange: work.exchange.id.clone(),
            path,
            state: FileState::Writing,
            outcome: None,
            mark: String::new(),
            bytes: 0,
            seen_at: op.stamp(),
            updated_at: op.stamp(),
            sender: Count::default(),
            receiver: Count::default(),
            landed: 0,
            quarantined: 0,
            run: None,
            copy: None,
            version: Some(version),
            archived: None,
            receipt: None,
            due: None,
            zh: String::new(),
            en: String::new(),
        },
    };
    work.keep(&mut file).await?;
    write(work, &mut file).await
}

/// Writing → sent. Done again after a crash it writes the same names.
async fn write(work: &mut Work, file: &mut ExchangeFile) -> Result<()> {
    let mark = Mark::of(&work.app);
    let agreed = agreed(&work.app, &work.exchange).await?;
    let _held = agreed.enter(&work.app, &work.place).await?;
    let part = work.scratch("send");
    let written = fill(work, file, (&agreed, mark), &part).await;
    let put = match written {
        Ok(()) => deliver(work, file, &agreed, &part).await,
        Err(e) => Err(e),
    };
    for made in [part.clone(), sealed_name(&part)] {
        let _ = tokio::fs::remove_file(&made).await;
    }
    put?;
    let days = work.app.rules.exchange.receipt_days;
    let due = work.app.calendar.add_working_days(Op::system(work.app.now()).today(), days);
    file.due = Some(due.to_string());
    file.state = FileState::Sent;
    work.figures.sent_version = file.version.max(work.figures.sent_version);
    work.figures.files += 1;
    work.figures.rows += file.sender.rows.unwrap_or(0);
    work.settled += 1;
    work.keep(file).await?;
    // What was sent stands before the turn ends: a crash does not send it twice.
    work.app
        .store
        .exchange_figures(&work.permit, &work.exchange.id, &work.owner, &work.figures)
        .await
}

/// Rows through the grant into a file of this machine, for as long as it stands: `mark` was taken before it was made.
async fn fill(
    work: &Work,
    file: &mut ExchangeFile,
    (agreed, mut mark): (&Agreed, Mark),
    part: &std::path::Path,
) -> Result<()> {
    let Agreed { entry, request, grant, .. } = agreed;
    let mut renewed = None::<Agreed>;
    let here = |e: std::io::Error| Error::of(Code::StoreUnavailable).caused_by(e);
    let columns: Vec<String> = grant.columns().iter().map(|c| c.identifier.clone()).collect();
    let mut out = tokio::io::BufWriter::new(tokio::fs::File::create(part).await.map_err(here)?);
    if work.exchange.format == ExchangeFormat::Csv {
        out.write_all(&csv_row(columns.iter().map(String::as_str))?).await.map_err(here)?;
    }
    let mut stream = work.app.lake.scan(grant, &RowQuery::default(), file.version).await?;
    let mut rows = 0_u64;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        let now = Op::system(work.app.now());
        grant.check_time(now.at)?;
        if mark.moved(&work.app, &now).await? {
            let again = self::agreed(&work.app, &work.exchange).await?;
            if again.grant.shape() != grant.shape() {
                return Err(changed());
            }
            renewed = Some(again);
        }
        renewed.as_ref().unwrap_or(agreed).within(&work.app, &work.place)?;
        going(work, &request.application, entry).await?;
        let mut text = Vec::new();
        for row in &chunk.rows {
            match work.exchange.format {
                ExchangeFormat::Csv => {
                    let cells: Vec<String> =
                        row.iter().map(|v| v.to_text().unwrap_or_default()).collect();
                    text.extend(csv_row(cells.iter().map(String::as_str))?);
                }
                ExchangeFormat::Jsonl => {
                    let object: serde_json::Map<String, serde_json::Value> = chunk
                        .columns
                        .iter()
                        .zip(row)
                        .map(|(column, value)| Ok((column.clone(), serde_json::to_value(value)?)))
                        .collect::<std::result::Result<_, serde_json::Error>>()
                        .map_err(|e| Error::internal("writing a row").caused_by(e))?;
                    text.extend(serde_json::Value::Object(object).to_string().into_bytes());
                    text.push(b'\n');
                }
            }
        }
        rows += chunk.rows.len() as u64;
        out.write_all(&text).await.map_err(here)?;
    }
    if rows >= grant.row_cap() {
        return Err(Error::new(
            Code::TooLarge,
            format!("《{}》超过单个文件允许的 {} 行，未发送", entry.draft.title, grant.row_cap()),
            format!(
                "`{}` has more than the {} rows allowed in one file; nothing was sent",
                entry.draft.code,
                grant.row_cap()
            ),
        ));
    }
    out.flush().await.map_err(here)?;
    out.into_inner().sync_all().await.map_err(here)?;
    file.sender.rows = Some(rows);
    Ok(())
}

/// What is sent would not be what is granted now: it is written anew.
fn changed() -> Error {
    Error::new(
        Code::Stale,
        "授权的内容刚刚变化，将按新的授权重新发送",
        "the grant has just changed; what it allows now is sent",
    )
}

/// Nothing more is written, and nothing sent, for an application or a resource under an emergency stop.
async fn going(work: &Work, application: &str, entry: &Entry) -> Result<()> {
    let app = &work.app;
    app.halts.look(app).await?;
    app.policy.going(HaltKind::Application, application)?;
    app.policy.going(HaltKind::Entry, &entry.id)
}

fn csv_row<'a>(cells: impl Iterator<Item = &'a str>) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(cells).map_err(|e| Error::internal("writing CSV").caused_by(e))?;
    writer.into_inner().map_err(|e| Error::internal("writing CSV").caused_by(e.to_string()))
}

fn sealed_name(part: &std::path::Path) -> std::path::PathBuf {
    part.with_extension("sm4.part")
}

/// Encrypts when that was agreed, records the release, and puts file, signature, manifest and done-file there, in this order.
async fn deliver(
    work: &Work,
    file: &mut ExchangeFile,
    agreed: &Agreed,
    part: &std::path::Path,
) -> Result<()> {
    let Agreed { request, grant, .. } = agreed;
    let (key, plain, sealed) = (work.secrets.key.clone(), part.to_owned(), sealed_name(part));
    let cipher = work.exchange.cipher;
    let (send, bytes, sha256, sm3) = tokio::task::spawn_blocking(move || {
        let here = |e: std::io::Error| Error::of(Code::StoreUnavailable).caused_by(e);
        let send = match cipher {
            ExchangeCipher::None => plain,
            ExchangeCipher::Sm4 => {
                if std::fs::metadata(&plain).map_err(here)?.len() > envelope::MOST {
                    return Err(envelope::too_large());
                }
                let text = envelope::seal(&key, &std::fs::read(&plain).map_err(here)?)?;
                std::fs::write(&sealed, text).map_err(here)?;
                sealed
            }
        };
        let bytes = std::fs::metadata(&send).map_err(here)?.len();
        let (mut sha256, mut sm3) =
            (Hasher::new(HashAlgorithm::Sha256), Hasher::new(HashAlgorithm::Sm3));
        let mut reader = std::fs::File::open(&send).map_err(here)?;
        let mut buffer = vec![0; 1 << 18];
        loop {
            let n = std::io::Read::read(&mut reader, &mut buffer).map_err(here)?;
            let Some(piece) = buffer.get(..n).filter(|p| !p.is_empty()) else { break };
            sha256.update(piece);
            sm3.update(piece);
        }
        Ok::<_, Error>((send, bytes, sha256.finish(), sm3.finish()))
    })
    .await
    .map_err(|e| Error::internal("preparing a file").caused_by(e))??;
    file.bytes = bytes;
    file.sender =
        Count { rows: file.sender.rows, bytes: Some(bytes), sha256: Some(sha256), sm3: Some(sm3) };
    grant.check_time(work.app.now())?;
    let op = Op::system(work.app.now());
    let event = AuditEvent {
        columns: grant
            .columns()
            .iter()
            .map(|c| c.identifier.as_str())
            .collect::<Vec<_>>()
            .join(","),
        level: grant.grade().as_str().to_owned(),
        rows: file.sender.rows.unwrap_or(0),
        bytes,
        scope: format!(
            "exchange={} file={} version={}",
            work.exchange.id,
            file.path,
            file.version.unwrap_or_default()
        ),
        purpose: grant.purpose().to_owned(),
        request: request.id.clone(),
        org: request.org.clone(),
        masks: grant.masks_text(),
        reason: format!("{} → {}", work.exchange.name, work.exchange.peer),
        ..audit::event(&op, "exchange.send", grant.code())
    };
    audit::record(&work.app, event).await?;
    work.keep(file).await?;
    work.app.shelf.put(&work.place, &file.path, &send).await?;
    if work.exchange.signature == ExchangeSignature::Sm2 {
        let print = file.sender.sm3.as_deref().unwrap_or_default();
        let signature = envelope::sm2_signer(&work.app.keys)?.sign(print.as_bytes())?;
        work.put(&format!("{}.sm2sig", file.path), signature.as_bytes()).await?;
    }
    let name = file.path.rsplit('/').next().unwrap_or(&file.path);
    let manifest = serde_json::json!({
        "file": name, "bytes": bytes, "rows": file.sender.rows,
        "sha256": file.sender.sha256, "sm3": file.sender.sm3,
        "entry": work.exchange.entry_code, "version": file.version, "exchange": work.exchange.name,
    });
    work.put(&format!("{}.manifest.json", file.path), format!("{manifest:#}\n").as_bytes()).await?;
    work.put(&format!("{}.done", file.path), b"").await
}

/// The receipt that came back: both sides' figures beside each other. One that does not come is told, once.
async fn compare(work: &mut Work, file: &mut ExchangeFile) -> Result<()> {
    let at = receipt_of(&work.app.rules.exchange, &file.path);
    let Some(text) = work.small(&at).await? else { return late(work, file).await };
    let read: std::result::Result<Receipt, _> = serde_json::from_slice(&text);
    let Ok(receipt) = read else {
        (file.zh, file.en) = (
            format!("回执 {at} 无法识别，请接收方按约定格式重新出具"),
            format!("the receipt {at} cannot be read; let the receiver issue it again"),
        );
        return work.keep(file).await;
    };
    file.receiver = receipt.receiver.clone();
    (file.landed, file.quarantined, file.receipt) = (receipt.landed, receipt.quarantined, Some(at));
    let differences = file.sender.differences(&receipt.receiver);
    let failed = receipt.outcome == FileState::Failed.as_str();
    if differences.is_empty() && receipt.receiver.whole() && !failed {
        (file.state, file.zh, file.en) = (FileState::Agreed, String::new(), String::new());
        return work.keep(file).await;
    }
    let said: Vec<String> = differences
        .iter()
        .map(|(n, s, r)| format!("{n}: 发送方 sender {s}, 接收方 receiver {r}"))
        .collect();
    let said = if said.is_empty() { receipt.zh.clone() } else { said.join("; ") };
    let said_en = if differences.is_empty() { receipt.en.clone() } else { said.clone() };
    file.state = FileState::Differs;
    (file.zh, file.en) = (
        format!("接收方回执与发送的不一致（{}）：{said}", receipt.outcome),
        format!("the receiver's receipt is not what was sent ({}): {said_en}", receipt.outcome),
    );
    let told = (
        format!("文件 {}：{}", file.path, file.zh),
        format!("the file {}: {}", file.path, file.en),
    );
    work.keep_with(file, Some(told)).await
}

async fn late(work: &mut Work, file: &mut ExchangeFile) -> Result<()> {
    let due = file.due.as_deref().and_then(|d| d.parse::<NaiveDate>().ok());
    let today = Op::system(work.app.now()).today();
    if file.state == FileState::Overdue || due.is_none_or(|due| today <= due) {
        return Ok(());
    }
    file.state = FileState::Overdue;
    (file.zh, file.en) = (
        format!(
            "接收方「{}」在 {} 前没有给出回执，请联系对方核对",
            work.exchange.peer,
            file.due.clone().unwrap_or_default()
        ),
        format!(
            "the receiver `{}` gave no receipt by {}; ask them to look",
            work.exchange.peer,
            file.due.clone().unwrap_or_default()
        ),
    );
    let told = (
        format!("文件 {}：{}", file.path, file.zh),
        format!("the file {}: {}", file.path, file.en),
    );
    work.keep_with(file, Some(told)).await
}
