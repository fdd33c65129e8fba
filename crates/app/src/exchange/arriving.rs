//! An incoming file, step by step. Every step is kept before the next begins, and may be done again after a crash:
//!
//! ```text
//! seen      listed; waits until what was agreed says that it is whole
//! fetched   a durable copy in the inbox, its bytes, checksum and signature verified, decrypted
//! landing   its run has a name; the run is made under that name or found again
//! settling  what becomes of it is known: receipt, then the move to the archive or to the refused, then the end
//! ```

use std::io::BufReader;
use std::path::{Path, PathBuf};

use chrono::DateTime;
use glob::{MatchOptions, Pattern};
use guard::envelope;
use guard::hash::{HashAlgorithm, Hasher};
use model::exchange::{
    Completeness, Count, ExchangeCipher, ExchangeFile, ExchangeSignature, FileState,
};
use model::parcel::{Run, RunState};
use model::{Code, Error, Kind, Op, Result};
use policy::port::{ReadOptions, ShelfFile, Source};

use super::manifest::{self, OF_FOLDER};
use super::settling;
use super::watch::{Work, words};
use crate::collection::{self, Order};

/// Files at work taken up together.
const PAGE: u32 = 200;

/// One turn: what is under way goes on, then the place is looked through.
pub(super) async fn turn(work: &mut Work) -> Result<()> {
    let mut after = None::<String>;
    loop {
        let page = work
            .app
            .store
            .exchange_files_at_work(&work.exchange.id, 1, after.as_deref(), PAGE)
            .await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        for file in page {
            if file.state == FileState::Seen && !still_there(work, &file).await? {
                work.app.store.exchange_file_forget(&work.permit, &file.id).await?;
                continue;
            }
            go_on(work, file).await?;
        }
    }
    look(work).await
}

async fn still_there(work: &Work, file: &ExchangeFile) -> Result<bool> {
    Ok(work.app.shelf.look(&work.place, &file.path).await?.is_some())
}

/// Goes through the place for files that no record is under way for.
async fn look(work: &mut Work) -> Result<()> {
    let pattern = Pattern::new(&work.exchange.pattern).map_err(|e| {
        Error::invalid(
            format!("文件匹配模式 `{}` 有误：{e}", work.exchange.pattern),
            format!("the pattern `{}` is wrong: {e}", work.exchange.pattern),
        )
    })?;
    let exact = MatchOptions { require_literal_separator: true, ..MatchOptions::new() };
    let rules = work.app.rules.exchange.clone();
    let (mut after, mut taken) = (None::<String>, 0);
    while taken < rules.most_files {
        let page = work.app.shelf.list(&work.place, after.as_deref(), rules.page).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.path.clone());
        for found in page {
            let top = found.path.split_once('/').map(|(top, _)| top.to_owned());
            if let Some(own) = top.filter(|top| rules.own().contains(&top.as_str())) {
                // What follows `/` among the characters: all of the folder is behind.
                let behind = format!("{own}0");
                if after.as_deref().is_some_and(|a| a < behind.as_str()) {
                    after = Some(behind);
                }
                continue;
            }
            if manifest::beside(&found.path) || !pattern.matches_with(&found.path, exact) {
                continue;
            }
            if take(work, found).await? {
                taken += 1;
            }
        }
    }
    Ok(())
}

/// Takes up a file that was found; false when it is under way already.
async fn take(work: &mut Work, found: ShelfFile) -> Result<bool> {
    let known = work.app.store.exchange_file_at(&work.exchange.id, &found.path).await?;
    if known.is_some_and(|file| file.state.at_work()) {
        return Ok(false);
    }
    let op = Op::system(work.app.now());
    let mut file = ExchangeFile {
        id: op.new_id(),
        exchange: work.exchange.id.clone(),
        path: found.path,
        state: FileState::Seen,
        outcome: None,
        mark: found.mark,
        bytes: found.bytes,
        seen_at: op.stamp(),
        updated_at: op.stamp(),
        sender: Count::default(),
        receiver: Count::default(),
        landed: 0,
        quarantined: 0,
        run: None,
        copy: None,
        version: None,
        archived: None,
        receipt: None,
        due: None,
        zh: String::new(),
        en: String::new(),
    };
    work.keep(&mut file).await?;
    go_on(work, file).await?;
    Ok(true)
}

/// Takes a file as far as it goes now. What is wrong with the file refuses it; what is wrong at the moment leaves it.
async fn go_on(work: &mut Work, mut file: ExchangeFile) -> Result<()> {
    loop {
        let before = file.state;
        let step = match before {
            FileState::Seen => complete(work, &mut file).await,
            FileState::Fetched => name_run(work, &mut file).await,
            FileState::Landing => land(work, &mut file).await,
            FileState::Settling => settling::settle(work, &mut file).await,
            _ => return Ok(()),
        };
        match step {
            Ok(()) if file.state == before => return Ok(()),
            Ok(()) => {}
            Err(e) if Work::passing(&e) || before == FileState::Settling => return Err(e),
            Err(e) => refuse(work, &mut file, &e).await?,
        }
    }
}

/// The file will not be taken: the reason is kept before anything is moved.
async fn refuse(work: &Work, file: &mut ExchangeFile, error: &Error) -> Result<()> {
    (file.zh, file.en) = words(error);
    file.state = FileState::Settling;
    file.outcome = Some(FileState::Failed);
    let told = (
        format!("文件 {} 未接收：{}", file.path, file.zh),
        format!("the file {} was refused: {}", file.path, file.en),
    );
    work.keep_with(file, Some(told)).await
}

/// Seen → fetched, when it is whole.
async fn complete(work: &mut Work, file: &mut ExchangeFile) -> Result<()> {
    let Some(now) = work.app.shelf.look(&work.place, &file.path).await? else { return Ok(()) };
    let op = Op::system(work.app.now());
    if now.mark != file.mark {
        // Another content: its time begins anew.
        (file.mark, file.bytes, file.seen_at) = (now.mark.clone(), now.bytes, op.stamp());
        work.keep(file).await?;
    }
    let since = DateTime::parse_from_rfc3339(&file.seen_at)
        .map_err(|e| Error::internal("time of a file").caused_by(e))?;
    let age = op.at.signed_duration_since(since).num_seconds();
    let stated = match stated(work, &file.path).await {
        // It may be half written: it has as long as a file has to be quiet.
        Err(e)
            if e.kind() == Kind::Invalid
                && age < i64::from(work.app.rules.exchange.quiet_seconds) =>
        {
            return note(work, file, words(&e)).await;
        }
        other => other?,
    };
    let done = done_file(work, &file.path).await?;
    // Without a done-file a manifest may have come before the end of its file.
    if let Some(bytes) =
        stated.as_ref().and_then(|said| said.bytes).filter(|n| done.is_none() && *n > now.bytes)
    {
        let told = (
            format!("文件现有 {} 字节，清单声明 {bytes} 字节，等待写完", now.bytes),
            format!(
                "the file has {} of the {bytes} bytes its manifest states, and is waited for",
                now.bytes
            ),
        );
        return note(work, file, told).await;
    }
    let whole = match work.exchange.completeness {
        Completeness::Done => done.is_some(),
        Completeness::Manifest => stated.is_some(),
        Completeness::Quiet => age >= i64::from(work.exchange.quiet_seconds),
    };
    let signature = signature(work, &file.path).await?;
    if !whole || (work.exchange.signature != ExchangeSignature::None && signature.is_none()) {
        return Ok(());
    }
    file.sender = stated.or(done.flatten()).unwrap_or_default();
    fetch(work, file, signature).await
}

/// Says on a waiting file what it waits for, when that is new.
async fn note(work: &Work, file: &mut ExchangeFile, told: (String, String)) -> Result<()> {
    if (&file.zh, &file.en) != (&told.0, &told.1) {
        (file.zh, file.en) = told;
        work.keep(file).await?;
    }
    Ok(())
}

/// What the sender says of a file: in a manifest of its own, or in one of its folder.
async fn stated(work: &Work, path: &str) -> Result<Option<Count>> {
    let (folder, name) = path.rsplit_once('/').map_or(("", path), |(f, n)| (f, n));
    for end in [".manifest.json", ".manifest.csv"] {
        let beside = format!("{path}{end}");
        if let Some(text) = work.small(&beside).await?
            && let Some(count) = manifest::count_of(&beside, &text, name, true)?
        {
            return Ok(Some(count));
        }
    }
    for of_folder in OF_FOLDER {
        let beside = if folder.is_empty() {
            (*of_folder).to_owned()
        } else {
            format!("{folder}/{of_folder}")
        };
        if let Some(text) = work.small(&beside).await?
            && let Some(count) = manifest::count_of(&beside, &text, name, false)?
        {
            return Ok(Some(count));
        }
    }
    Ok(None)
}

/// The done-file, with what it says when it says something.
async fn done_file(work: &Work, path: &str) -> Result<Option<Option<Count>>> {
    let name = path.rsplit('/').next().unwrap_or(path);
    for end in [".done", ".ok"] {
        let beside = format!("{path}{end}");
        if let Some(text) = work.small(&beside).await? {
            // Many tools write a word or a time into it: only an object is meant.
            let object = text.trim_ascii_start().starts_with(b"{")
                || text.trim_ascii_start().starts_with(b"[");
            let said = if object { manifest::count_of(&beside, &text, name, true)? } else { None };
            return Ok(Some(said));
        }
    }
    Ok(None)
}

async fn signature(work: &Work, path: &str) -> Result<Option<String>> {
    let end = match work.exchange.signature {
        ExchangeSignature::None => return Ok(None),
        ExchangeSignature::Minisign => ".minisig",
        ExchangeSignature::Sm2 => ".sm2sig",
    };
    let text = work.small(&format!("{path}{end}")).await?;
    Ok(text.map(|text| String::from_utf8_lossy(&text).into_owned()))
}

/// Copies the file, and verifies what was copied.
async fn fetch(work: &mut Work, file: &mut ExchangeFile, signature: Option<String>) -> Result<()> {
    let raw = work.scratch("exchange");
    let fetched = verified(work, file, &raw, signature).await;
    if fetched.is_err() {
        let _ = tokio::fs::remove_file(&raw).await;
    }
    let plain = match fetched {
        // It is not whole yet after all: its time begins anew.
        Err(e) if e.code() == Code::Stale => {
            (file.zh, file.en) = words(&e);
            return work.keep(file).await;
        }
        other => other?,
    };
    file.copy = Some(plain.to_string_lossy().into_owned());
    (file.state, file.zh, file.en) = (FileState::Fetched, String::new(), String::new());
    work.keep(file).await
}

async fn verified(
    work: &mut Work,
    file: &mut ExchangeFile,
    raw: &Path,
    signature: Option<String>,
) -> Result<PathBuf> {
    let app = work.app.clone();
    let most = app.rules.upload.max_bytes;
    if file.bytes > most {
        return Err(Error::new(
            Code::TooLarge,
            format!("文件 {} 字节，超过上限 {most} 字节；请拆分后交付", file.bytes),
            format!(
                "the file has {} bytes, more than the limit of {most}; deliver it in parts",
                file.bytes
            ),
        ));
    }
    let (bytes, sha256) = app.shelf.fetch(&work.place, &file.path, raw).await?;
    let now = app.shelf.look(&work.place, &file.path).await?;
    if now.is_none_or(|now| now.mark != file.mark) {
        return Err(Error::new(
            Code::Stale,
            format!("文件 `{}` 在读取过程中被改动，将重新读取", file.path),
            format!("the file `{}` changed while it was read and will be read again", file.path),
        ));
    }
    file.bytes = bytes;
    let exchange = work.exchange.clone();
    let key = work.secrets.key.clone();
    let (raw, inbox, id) = (raw.to_owned(), app.folders.inbox.clone(), file.id.clone());
    let needs_sm3 = file.sender.sm3.is_some() || exchange.signature == ExchangeSignature::Sm2;
    let (sender, path) = (file.sender.clone(), file.path.clone());
    let (receiver, plain) = tokio::task::spawn_blocking(move || {
        let sm3 = if needs_sm3 { Some(hashed(&raw, HashAlgorithm::Sm3)?) } else { None };
        let receiver = Count { rows: None, bytes: Some(bytes), sha256: Some(sha256.clone()), sm3 };
        let known = Count { rows: None, ..receiver.clone() };
        refuse_differences(&sender.differences(&known))?;
        verify(&exchange, &raw, signature.as_deref(), receiver.sm3.as_deref())?;
        let name = collection::safe_name(path.strip_suffix(".sm4").unwrap_or(&path));
        let plain = match exchange.cipher {
            ExchangeCipher::None => {
                let to = inbox.join(format!("{sha256}.{id}.{name}"));
                std::fs::rename(&raw, &to).map_err(here)?;
                to
            }
            ExchangeCipher::Sm4 => decrypted(&key, &raw, &inbox, &id, &name)?,
        };
        std::fs::File::open(&inbox).and_then(|f| f.sync_all()).map_err(here)?;
        Ok::<_, Error>((receiver, plain))
    })
    .await
    .map_err(|e| Error::internal("verifying a file").caused_by(e))??;
    file.receiver = receiver;
    Ok(plain)
}

fn here(e: std::io::Error) -> Error {
    Error::of(Code::StoreUnavailable).caused_by(e)
}

fn refuse_differences(found: &[(&str, String, String)]) -> Result<()> {
    if found.is_empty() {
        return Ok(());
    }
    let mut error = Error::new(
        Code::InvalidFile,
        "文件与发送方声明的不一致，未接收",
        "the file is not the one the sender states; it was refused",
    );
    for (name, sender, receiver) in found {
        error = error.field(
            *name,
            format!("发送方 {sender}，接收方 {receiver}"),
            format!("sender {sender}, receiver {receiver}"),
        );
    }
    Err(error)
}

fn verify(
    exchange: &model::exchange::Exchange,
    raw: &Path,
    signature: Option<&str>,
    sm3: Option<&str>,
) -> Result<()> {
    let signature = signature.unwrap_or_default();
    let good = match exchange.signature {
        ExchangeSignature::None => true,
        ExchangeSignature::Minisign => {
            let from = BufReader::new(std::fs::File::open(raw).map_err(here)?);
            envelope::minisign_verifies(&exchange.signer, signature, from)?
        }
        ExchangeSignature::Sm2 => {
            envelope::sm2_verifies(&exchange.signer, signature, sm3.unwrap_or_default())
        }
    };
    match good {
        true => Ok(()),
        false => Err(Error::new(
            Code::InvalidFile,
            "文件签名未通过校验：不是约定的签名方所签，或文件已被改动",
            "the signature does not hold: another signer's, or the file was altered",
        )),
    }
}

fn decrypted(key: &str, raw: &Path, inbox: &Path, id: &str, name: &str) -> Result<PathBuf> {
    let part = inbox.join(format!("{id}.plain.part"));
    let opened = (|| {
        if std::fs::metadata(raw).map_err(here)?.len() > envelope::MOST * 3 / 2 {
            return Err(envelope::too_large());
        }
        let plain = envelope::open(key, &std::fs::read(raw).map_err(here)?)?;
        let mut to = std::fs::File::create(&part).map_err(here)?;
        std::io::Write::write_all(&mut to, &plain).map_err(here)?;
        to.sync_all().map_err(here)?;
        let sum = guard::hash::sha256_hex(&plain);
        let to = inbox.join(format!("{sum}.{id}.{name}"));
        std::fs::rename(&part, &to).map_err(here)?;
        Ok(to)
    })();
    if opened.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    let _ = std::fs::remove_file(raw);
    opened
}

fn hashed(path: &Path, algorithm: HashAlgorithm) -> Result<String> {
    use std::io::Read;
    let mut file = std::fs::File::open(path).map_err(here)?;
    let mut hasher = Hasher::new(algorithm);
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer).map_err(here)? {
            0 => return Ok(hasher.finish()),
            n => hasher.update(buffer.get(..n).unwrap_or_default()),
        }
    }
}

/// Fetched → landing: the run has its name before it begins.
async fn name_run(work: &mut Work, file: &mut ExchangeFile) -> Result<()> {
    file.run = Some(Op::system(work.app.now()).new_id());
    file.state = FileState::Landing;
    work.keep(file).await
}

/// Landing → settling: the run is made, or found again.
async fn land(work: &mut Work, file: &mut ExchangeFile) -> Result<()> {
    let app = work.app.clone();
    let id = file.run.clone().ok_or_else(|| Error::internal("a landing file without its run"))?;
    let run = match app.store.run_get(&id).await?.map(|record| record.run) {
        // Its process died in it: the recovery of collections takes it up.
        Some(run) if matches!(run.state, RunState::Queued | RunState::Running) => {
            if collection::recover(&app).await? == 0 {
                return Ok(());
            }
            app.store.run_get(&id).await?.map_or(run, |record| record.run)
        }
        Some(run) => run,
        None => {
            let path = PathBuf::from(file.copy.clone().unwrap_or_default());
            if !tokio::fs::try_exists(&path).await.unwrap_or(false) {
                // The copy is gone before its run was made: it is fetched again.
                file.state = FileState::Seen;
                return work.keep(file).await;
            }
            let order = Order {
                entry: work.exchange.entry.clone(),
                source: Source::File { path, name: file.path.clone() },
                mode: work.exchange.mode,
                options: ReadOptions::default(),
            };
            collection::collect_as(&app, &Op::system(app.now()), order, "exchange", &id).await?
        }
    };
    match run.state {
        RunState::Queued | RunState::Running => return Ok(()),
        RunState::Failed => {
            let refused = Error::new(Code::InvalidFile, run.message_zh, run.message_en);
            return refuse(work, file, &refused).await;
        }
        RunState::Succeeded | RunState::Unchanged => {}
    }
    judge(work, file, &run).await
}

/// What the two sides' figures make of a landed file.
async fn judge(work: &mut Work, file: &mut ExchangeFile, run: &Run) -> Result<()> {
    file.receiver.rows = Some(run.read);
    (file.landed, file.quarantined, file.version) = (run.accepted, run.quarantined, run.version);
    let differences = file.sender.differences(&file.receiver);
    let (outcome, told) = if !differences.is_empty() {
        let list = |sender: &str, receiver: &str| {
            let each =
                differences.iter().map(|(n, s, r)| format!("{n}: {sender} {s}, {receiver} {r}"));
            each.collect::<Vec<_>>().join("; ")
        };
        let told = (
            format!("文件 {} 两方不一致（已入湖）：{}", file.path, list("发送方", "接收方")),
            format!(
                "the sides differ over the file {} (it has landed): {}",
                file.path,
                list("sender", "receiver")
            ),
        );
        (FileState::Differs, Some(told))
    } else if run.state == RunState::Unchanged {
        (FileState::Repeated, None)
    } else if file.sender.whole() {
        (FileState::Agreed, None)
    } else {
        (FileState::Received, None)
    };
    if let Some((zh, en)) = &told {
        (file.zh, file.en) = (zh.clone(), en.clone());
    } else if outcome == FileState::Repeated {
        file.zh = "内容与此前已入湖的文件相同，未重复入湖".into();
        file.en = "the same content had landed before; nothing was landed twice".into();
    }
    file.state = FileState::Settling;
    file.outcome = Some(outcome);
    work.keep_with(file, told).await
}
