//! What people do with exchanges. Whoever may collect into an organisation's entries (`data.collect`) keeps its exchanges.

use std::sync::Arc;

use glob::Pattern;
use guard::envelope;
use model::audit::AuditEvent;
use model::exchange::{
    Completeness, Exchange, ExchangeCipher, ExchangeFigures, ExchangeFile, ExchangeFormat,
    ExchangeIncident, ExchangeNew, ExchangeSignature, ExchangeWay, ExchangeWish, FileState,
};
use model::{Code, Error, Op, Result};
use policy::{Action, Permit, Target};
use serde::Serialize;
use store::exchange::ExchangeRecord;

use super::{Secrets, leaving, watch};
use crate::{App, Page, audit, catalogue, channel};

/// An exchange, to be shown.
#[derive(Clone, Debug, Serialize)]
pub struct ExchangeView {
    #[serde(flatten)]
    pub exchange: Exchange,
    pub figures: ExchangeFigures,
    /// Files under way, and files that wait for a person.
    pub under_way: u64,
    pub waiting: u64,
}

/// A page of exchanges.
pub type ExchangePage = Page<ExchangeView>;

/// Exchanges of the caller's organisation; all of them for the platform itself.
pub async fn list(app: &App, op: &Op, after: Option<&str>, limit: u32) -> Result<ExchangePage> {
    let org = channel::own(app, op, "exchanges").await?;
    let limit = if limit == 0 { 50 } else { limit.min(200) };
    let records = app.store.exchange_list(org.as_deref(), after, limit + 1).await?;
    let Page { items: records, next } = Page::cut(records, limit, |r| r.exchange.id.clone());
    let mut items = Vec::new();
    for record in records {
        items.push(view(app, record).await?);
    }
    Ok(Page { items, next })
}

/// One exchange. One that the caller may not keep is not found.
pub async fn get(app: &App, op: &Op, id: &str) -> Result<ExchangeView> {
    let (record, _) = known(app, op, id).await?;
    view(app, record).await
}

/// Id of an exchange by its id, or by its name in one's organisation.
pub async fn named(app: &App, op: &Op, word: &str) -> Result<String> {
    match known(app, op, word).await {
        Ok((record, _)) => Ok(record.exchange.id),
        Err(missing) => match op.actor.org() {
            Some(org) => match app.store.exchange_named(org, word).await? {
                Some(record) => {
                    known(app, op, &record.exchange.id).await.map(|(r, _)| r.exchange.id)
                }
                None => Err(missing),
            },
            None => Err(missing),
        },
    }
}

/// Files of an exchange, newest first.
pub async fn files(
    app: &App,
    op: &Op,
    id: &str,
    before: Option<&str>,
    limit: u32,
) -> Result<Page<ExchangeFile>> {
    known(app, op, id).await?;
    let limit = if limit == 0 { 50 } else { limit.min(200) };
    let items = app.store.exchange_files(id, before, limit + 1).await?;
    Ok(Page::cut(items, limit, |f| f.id.clone()))
}

/// Incidents of an exchange, newest first.
pub async fn incidents(
    app: &App,
    op: &Op,
    id: &str,
    before: Option<&str>,
    limit: u32,
) -> Result<Page<ExchangeIncident>> {
    known(app, op, id).await?;
    let limit = if limit == 0 { 50 } else { limit.min(200) };
    let items = app.store.exchange_incidents(id, before, limit + 1).await?;
    Ok(Page::cut(items, limit, |i| i.id.clone()))
}

async fn view(app: &App, record: ExchangeRecord) -> Result<ExchangeView> {
    let (under_way, waiting) = app.store.exchange_counts(&record.exchange.id).await?;
    Ok(ExchangeView { exchange: record.exchange, figures: record.figures, under_way, waiting })
}

async fn known(app: &App, op: &Op, id: &str) -> Result<(ExchangeRecord, Permit)> {
    let missing = || Error::not_found("数据交换", "exchange", id);
    let (record, _) = app.store.exchange_get(id).await?.ok_or_else(missing)?;
    let target = Target::of_org("Entry", id, &record.exchange.org);
    let permit = audit::permit_hidden(app, op, Action::DataCollect, &target, id, missing).await?;
    Ok((record, permit))
}

/// Makes an exchange for an entry of one's organisation. The place must answer, and an outgoing one needs the receiver's approved
/// application.
pub async fn create(app: &App, op: &Op, new: ExchangeNew) -> Result<ExchangeView> {
    let entry = catalogue::get(app, op, &new.entry).await?;
    let permit = audit::permit(app, op, Action::DataCollect, &Target::entry(&entry)).await?;
    let new = checked(app, new)?;
    let way = new.way.unwrap_or(ExchangeWay::In);
    let (cipher, mut secrets) = (new.cipher.unwrap_or(ExchangeCipher::None), Secrets::default());
    secrets.options = new.options;
    if cipher == ExchangeCipher::Sm4 {
        secrets.key = match new.key.is_empty() {
            true => envelope::key()?.to_string(),
            false => new.key.to_ascii_lowercase(),
        };
    }
    let id = op.new_id();
    let exchange = Exchange {
        org: entry.draft.org.clone(),
        name: new.name,
        way,
        peer: new.peer,
        entry_code: entry.draft.code.clone(),
        entry_title: entry.draft.title.clone(),
        entry: entry.id,
        place: new.place,
        pattern: new.pattern,
        completeness: new.completeness.unwrap_or(Completeness::Done),
        quiet_seconds: new.quiet_seconds.unwrap_or(app.rules.exchange.quiet_seconds),
        mode: new.mode.unwrap_or(entry.draft.sync_mode),
        cipher,
        signature: new.signature.unwrap_or(ExchangeSignature::None),
        signer: new.signer,
        format: new.format.unwrap_or(ExchangeFormat::Csv),
        request: new.request,
        wish: ExchangeWish::Run,
        created_at: op.stamp(),
        created_by: op.actor.name().to_owned(),
        id,
    };
    if way == ExchangeWay::Out {
        leaving::agreed(app, &exchange).await.map_err(|e| {
            let (zh, en) = watch::words(&e);
            e.field("request", zh, en)
        })?;
    }
    app.shelf.list(&secrets.place(&exchange), None, 1).await.map_err(|e| {
        let (zh, en) = watch::words(&e);
        e.field("place", zh, en)
    })?;
    let sealed = secrets.seal(app, &exchange.id)?;
    app.store.exchange_insert(&permit, &exchange, &sealed).await?;
    record(app, op, "exchange.create", &exchange, &exchange.entry_code).await?;
    get(app, op, &exchange.id).await
}

fn checked(app: &App, mut new: ExchangeNew) -> Result<ExchangeNew> {
    let mut error = Error::invalid("数据交换填写有误", "the exchange is not filled in right");
    let mut wrong = |field: &str, zh: &str, en: &str| {
        let told = std::mem::replace(&mut error, Error::internal("being filled"));
        error = told.field(field, zh, en);
    };
    for text in [
        &mut new.name,
        &mut new.peer,
        &mut new.place,
        &mut new.pattern,
        &mut new.key,
        &mut new.signer,
        &mut new.request,
    ] {
        *text = text.trim().to_owned();
    }
    let plain = |text: &str, most: usize| {
        (1..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control)
    };
    if !plain(&new.name, 100) {
        wrong("name", "请填写名称（最多 100 字）", "give a name (100 characters at most)");
    }
    if !plain(&new.peer, 100) {
        wrong("peer", "请填写对方单位", "name the organisation on the other side");
    }
    // A place written as a path is a folder of this machine.
    if new.place.starts_with('/') {
        new.place = format!("file://{}/", new.place.trim_end_matches('/'));
    }
    if !plain(&new.place, 500) {
        wrong("place", "请填写文件位置", "name the place of the files");
    }
    let out = new.way == Some(ExchangeWay::Out);
    if !out {
        if new.pattern.is_empty() {
            new.pattern = "*".to_owned();
        }
        if Pattern::new(&new.pattern).is_err() || new.pattern.len() > 200 {
            wrong(
                "pattern",
                "文件匹配模式有误，应形如 *.csv 或 **/*.zip",
                "the pattern is wrong; it reads like *.csv or **/*.zip",
            );
        }
        let least = app.rules.exchange.quiet_least;
        if new.completeness == Some(Completeness::Quiet)
            && new.quiet_seconds.is_some_and(|n| n < least)
        {
            wrong(
                "quiet_seconds",
                &format!("静默时间不能少于 {least} 秒"),
                &format!("the quiet time is {least} seconds at least"),
            );
        }
        let good = match new.signature.unwrap_or(ExchangeSignature::None) {
            ExchangeSignature::None => true,
            ExchangeSignature::Minisign => envelope::minisign_key_ok(&new.signer),
            ExchangeSignature::Sm2 => {
                new.signer.len() == 130 && new.signer.bytes().all(|b| b.is_ascii_hexdigit())
            }
        };
        if !good {
            wrong(
                "signer",
                "签名方公钥有误：minisign 公钥为一行 Base64，SM2 公钥为 130 位十六进制",
                "the signer's key is wrong: one line of Base64 for minisign, 130 hex digits for SM2",
            );
        }
        new.request.clear();
    } else {
        if new.request.is_empty() {
            wrong(
                "request",
                "发送须填写接收方已批准的共享申请编号",
                "name the approved share application of the receiver",
            );
        }
        if new.cipher == Some(ExchangeCipher::Sm4) && new.key.is_empty() {
            wrong(
                "key",
                "请填写接收方给出的文件密钥",
                "enter the key of files that the receiver gave you",
            );
        }
        new.signer.clear();
        match new.signature.unwrap_or(ExchangeSignature::None) {
            ExchangeSignature::None => {}
            // The receiver checks by this key; the exchange's page shows it.
            ExchangeSignature::Sm2 => new.signer = envelope::sm2_signer(&app.keys)?.public_hex(),
            ExchangeSignature::Minisign => wrong(
                "signature",
                "发送的文件由本平台以 SM2 签名，请选 SM2 或不签名",
                "files that are sent are signed by this platform's SM2 key: choose SM2 or none",
            ),
        }
    }
    if !new.key.is_empty() && !envelope::key_ok(&new.key) {
        wrong("key", "文件密钥应为 64 位十六进制", "the key of files is 64 hex digits");
    }
    if new
        .options
        .iter()
        .any(|(k, v)| k.len() > 100 || v.len() > 2000 || v.chars().any(char::is_control))
    {
        wrong("options", "对象存储选项有误", "the options of the object store are wrong");
    }
    if error.fields().is_empty() { Ok(new) } else { Err(error) }
}

/// The key of an exchange's encrypted files, to be handed to the other side. Every look at it is recorded.
pub async fn key(app: &App, op: &Op, id: &str) -> Result<zeroize::Zeroizing<String>> {
    let (record, _) = known(app, op, id).await?;
    let missing = || Error::not_found("文件密钥", "key of files", id);
    let (_, sealed) = app.store.exchange_get(id).await?.ok_or_else(missing)?;
    let key = zeroize::Zeroizing::new(Secrets::open(app, id, &sealed)?.key);
    if key.is_empty() {
        return Err(missing());
    }
    self::record(app, op, "exchange.key", &record.exchange, "").await?;
    Ok(key)
}

/// Lets an exchange rest; files under way are finished when it goes on.
pub async fn pause(app: &App, op: &Op, id: &str) -> Result<()> {
    wish(app, op, id, ExchangeWish::Pause, "exchange.pause").await
}

/// Goes on.
pub async fn resume(app: &App, op: &Op, id: &str) -> Result<()> {
    wish(app, op, id, ExchangeWish::Run, "exchange.resume").await
}

async fn wish(app: &App, op: &Op, id: &str, wish: ExchangeWish, word: &str) -> Result<()> {
    let (record, permit) = known(app, op, id).await?;
    let exchange = Exchange { wish, ..record.exchange };
    app.store.exchange_update(&permit, &exchange).await?;
    self::record(app, op, word, &exchange, "").await
}

/// Takes one turn now and waits for it; answers how many files were settled.
pub async fn run(app: &Arc<App>, op: &Op, id: &str) -> Result<u64> {
    let (record, _) = known(app, op, id).await?;
    let exchange = record.exchange.clone();
    let done = watch::turn(app, record).await?.ok_or_else(busy)?;
    self::record(app, op, "exchange.run", &exchange, &done.to_string()).await?;
    // What stopped it is told to who asked.
    let view = get(app, op, id).await?;
    match view.figures.zh.is_empty() {
        true => Ok(done),
        false => Err(Error::new(Code::SourceUnavailable, view.figures.zh, view.figures.en)),
    }
}

fn busy() -> Error {
    Error::new(
        Code::WrongState,
        "该数据交换正在处理中，请稍后再试",
        "the exchange is being worked at; try again shortly",
    )
}

/// Hands a refused file in again: it goes back to where it was delivered, with what lay beside it, and is looked at as new. For a
/// file sent whose receipt differs, it is sent again.
pub async fn retry(app: &Arc<App>, op: &Op, id: &str, file: &str) -> Result<()> {
    let (record, permit) = known(app, op, id).await?;
    let missing = || Error::not_found("交换文件", "file of the exchange", file);
    let mut kept =
        app.store.exchange_file(file).await?.filter(|f| f.exchange == id).ok_or_else(missing)?;
    let (exchange, sealed) = app.store.exchange_get(id).await?.ok_or_else(missing)?;
    if !matches!(kept.state, FileState::Failed | FileState::Differs | FileState::Overdue) {
        return Err(Error::new(
            Code::WrongState,
            format!("只能重新交付未接收、不一致或逾期的文件，该文件为“{}”", kept.state.zh()),
            format!(
                "only a refused, differing or overdue file is handed in again; this one is `{}`",
                kept.state.as_str()
            ),
        ));
    }
    let lease = watch::hold(app, &permit, &exchange).await?.ok_or_else(busy)?;
    let done = again(app, &exchange.exchange, &sealed, &mut kept, &permit, &lease).await;
    watch::release(app, &permit, id, &lease).await?;
    done?;
    self::record(app, op, "exchange.retry", &record.exchange, &kept.path).await
}

async fn again(
    app: &App,
    exchange: &Exchange,
    sealed: &str,
    file: &mut ExchangeFile,
    permit: &Permit,
    owner: &str,
) -> Result<()> {
    let place = Secrets::open(app, &exchange.id, sealed)?.place(exchange);
    if exchange.way == ExchangeWay::In {
        let from = file.archived.clone().unwrap_or_default();
        if app.shelf.look(&place, &file.path).await?.is_some() {
            return Err(Error::new(
                Code::Duplicate,
                format!("原位置已有新文件 `{}`，将按新文件处理", file.path),
                format!("there is a new file `{}` already, which is taken as it comes", file.path),
            ));
        }
        for end in super::manifest::BESIDE.iter().copied().chain([""]) {
            match app
                .shelf
                .shift(&place, &format!("{from}{end}"), &format!("{}{end}", file.path))
                .await
            {
                Err(e) if e.code() == Code::NotFound && !end.is_empty() => {}
                other => other?,
            }
        }
        file.state = FileState::Retried;
    } else {
        // It is written under its own name again, and its old receipt does not count any more.
        let receipt = super::receipt_of(&app.rules.exchange, &file.path);
        app.shelf.remove(&place, &receipt).await?;
        (file.state, file.receipt) = (FileState::Writing, None);
    }
    app.store.exchange_file_keep(permit, owner, file, None).await
}

/// Ends an exchange. Files and what they brought stay.
pub async fn remove(app: &App, op: &Op, id: &str) -> Result<()> {
    let (record, permit) = known(app, op, id).await?;
    app.store.exchange_delete(&permit, id).await?;
    self::record(app, op, "exchange.remove", &record.exchange, "").await
}

async fn record(app: &App, op: &Op, word: &str, exchange: &Exchange, scope: &str) -> Result<()> {
    let event = AuditEvent {
        scope: scope.to_owned(),
        reason: format!("{} {}", exchange.name, exchange.place),
        ..audit::event(op, word, &exchange.id)
    };
    audit::record(app, event).await
}
