//! Files by their addresses. An address is short-lived and signed: it names the view, the file, the application, the token it was
//! given to and when it ends. Whatever it says, the grant is made anew at every request and must be of the view's shape.
//!
//! A read that began before the address ended goes on: clients read a file in ranges, and a long one must not break in the middle.
//! Reading a file is counted as one call and recorded before its first byte; ranges of the same read are not counted again, unless
//! more is taken than the file holds twice. Addresses and hours that bound the application are asked at every request, and a read
//! has one place among the calls under way for as long as bytes of it flow, in however many ranges.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use guard::{hash, signature};
use model::audit::AuditEvent;
use model::{Code, Error, Kind, Op, Result};
use policy::Grant;
use policy::port::{ShareColumn, ShareFile, ShareView};

use super::shared::{self, FILES_A_SECOND, Table, admit, count, uncount};
use crate::sharing::bounds::Held;
use crate::sharing::flowing::{Footing, Mark, while_standing};
use crate::{App, account, audit, halt, sharing};

/// Purpose of the key that signs addresses.
const KEY: &str = "delta address";
/// How often a read that goes on is noted, milliseconds.
const NOTE: i64 = 60_000;
/// What a reader may take beside the file itself, twice (footers, read again).
const SLACK: u64 = 1 << 20;

/// A read that has begun.
#[derive(Debug)]
pub(super) struct Begun {
    at: i64,
    last: AtomicI64,
    noted: AtomicI64,
    taken: AtomicU64,
}

/// Bytes on their way: what is recorded when they break off, and the read's place among the calls under way.
struct Telling {
    app: Arc<App>,
    broken: AuditEvent,
    _held: Held,
}

/// What an address says.
struct Claims {
    key: String,
    by: String,
    table: String,
    view: String,
    file: String,
    bytes: u64,
    rows: u64,
    version: i64,
    until: i64,
    /// The question that gave it out.
    query: String,
    /// What that said it was for; whoever fetches the file says nothing. Of addresses of the first form: nothing.
    purpose: String,
}

impl Claims {
    fn text(&self) -> String {
        let Self { key, by, table, view, file, bytes, rows, version, until, query, purpose } = self;
        format!(
            "2\n{key}\n{by}\n{table}\n{view}\n{file}\n{bytes}\n{rows}\n{version}\n{until}\n{query}\n{purpose}"
        )
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('\n');
        let with_purpose = match parts.next() {
            Some("1") => false,
            Some("2") => true,
            _ => return None,
        };
        let mut word = || parts.next().map(str::to_owned);
        let claims = Self {
            key: word()?,
            by: word()?,
            table: word()?,
            view: word()?,
            file: word()?,
            bytes: word()?.parse().ok()?,
            rows: word()?.parse().ok()?,
            version: word()?.parse().ok()?,
            until: word()?.parse().ok()?,
            query: word()?,
            purpose: if with_purpose { word()? } else { String::new() },
        };
        parts.next().is_none().then_some(claims)
    }
}

fn mac(app: &App, text: &str) -> [u8; 32] {
    signature::mac_sha256(app.keys.derive(KEY).bytes(), text.as_bytes())
}

/// When addresses that are given out now end.
pub(super) fn until(app: &App, op: &Op) -> i64 {
    op.at.timestamp_millis().saturating_add(app.rules.delta.url_minutes.saturating_mul(60_000))
}

/// The address of a file behind the door's own.
pub(super) fn address(
    app: &App,
    op: &Op,
    table: &Table,
    view: &ShareView,
    file: &ShareFile,
    (by, until): (&str, i64),
) -> Result<String> {
    let model::Actor::Application { key, .. } = &op.actor else {
        return Err(Error::of(Code::SignatureMissing));
    };
    let text = Claims {
        key: key.clone(),
        by: by.to_owned(),
        table: table.name.clone(),
        view: view.id.clone(),
        file: file.name.clone(),
        bytes: file.bytes,
        rows: file.rows,
        version: view.version,
        until,
        query: op.request_id.clone(),
        // Its parts are told apart by lines.
        purpose: op.purpose.chars().filter(|c| !c.is_control()).collect(),
    }
    .text();
    let (said, sealed) =
        (URL_SAFE_NO_PAD.encode(text.as_bytes()), URL_SAFE_NO_PAD.encode(mac(app, &text)));
    // Readers of Delta's own form (the kernel) tell an address that opens by itself by the name of a parameter; `sp` is one they know.
    Ok(format!("/delta-sharing/files/{}?t={said}.{sealed}&sp=r", file.name))
}

/// A file that may be read now.
pub struct Reading {
    pub bytes: u64,
    /// Strong: a file of a name never changes.
    pub tag: String,
    claims: Claims,
    table: Table,
    op: Op,
    id: String,
    begun: Option<Arc<Begun>>,
    /// Taken before the grant was made.
    mark: Mark,
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reading").field("file", &self.claims.file).finish_non_exhaustive()
    }
}

fn wrong() -> Error {
    Error::new(
        Code::SignatureMismatch,
        "文件地址无效，请重新查询取得地址",
        "the address of the file is not valid: query anew to get one",
    )
}

fn ended() -> Error {
    Error::new(
        Code::SecretExpired,
        "文件地址已过期，请重新查询取得新的地址",
        "the address has expired: query anew to get another",
    )
}

/// Checks an address: its signature, the token, the grant as it is now, and the time. Nothing is read or counted yet.
pub async fn open(app: &App, op: &Op, file: &str, token: &str) -> Result<Reading> {
    let claims = read_claims(app, file, token)?;
    app.shares.look(app, op).await?;
    let mark = Mark::of(app);
    let known = account::credential(app, &claims.key).await?;
    let stopped = || {
        Error::new(
            Code::NoGrant,
            "应用已停用，其文件地址已失效",
            "the application is stopped: its addresses do not work any more",
        )
    };
    let known = known.ok_or_else(stopped)?;
    let (actor, purpose) = (known.actor.clone(), claims.purpose.clone());
    let op = Op { actor, purpose, ..op.clone() };
    halt::admit(app, &op, &op.actor).await?;
    if !claims.by.is_empty() && !app.store.delta_token_stands(&claims.by, &op.stamp()).await? {
        return Err(Error::new(
            Code::SecretExpired,
            "取得该地址的令牌已到期或已收回",
            "the token that got this address has ended or was revoked",
        ));
    }
    let table = shared::still(app, &op, &claims.table).await?;
    table.grant.check_time(op.at)?;
    if app.lake.share_id(&table.grant) != claims.view {
        return Err(Error::new(
            Code::GrantExpired,
            "授权的内容已变化，请重新查询取得新的文件地址",
            "what is granted has changed since: query anew for addresses of the files",
        ));
    }
    let id: String = hash::sha256_hex(token.as_bytes()).chars().take(32).collect();
    let begun = begun(app, &op, &id).await?;
    if op.at.timestamp_millis() >= claims.until && begun.is_none() {
        return Err(ended());
    }
    let tag = format!("\"{}-{}\"", claims.view, claims.file);
    Ok(Reading { bytes: claims.bytes, tag, claims, table, op, id, begun, mark })
}

fn read_claims(app: &App, file: &str, token: &str) -> Result<Claims> {
    let (said, sealed) = token.split_once('.').ok_or_else(wrong)?;
    let text = URL_SAFE_NO_PAD.decode(said).ok().and_then(|b| String::from_utf8(b).ok());
    let text = text.ok_or_else(wrong)?;
    let sealed = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| wrong())?;
    if !signature::equal(&mac(app, &text), &sealed) {
        return Err(wrong());
    }
    Claims::parse(&text).filter(|c| c.file == file).ok_or_else(wrong)
}

/// The read behind an address, if it began and goes on.
async fn begun(app: &App, op: &Op, id: &str) -> Result<Option<Arc<Begun>>> {
    let found = match app.delta.reads.get(id) {
        Some(begun) => Some(begun),
        None => app.store.delta_read(id).await?.map(|(at, last)| {
            let begun = Arc::new(Begun {
                at,
                last: AtomicI64::new(last),
                noted: AtomicI64::new(last),
                taken: AtomicU64::new(0),
            });
            app.delta.reads.insert(id.to_owned(), Arc::clone(&begun));
            begun
        }),
    };
    let now = op.at.timestamp_millis();
    let rules = &app.rules.delta;
    let goes_on = |b: &Arc<Begun>| {
        now - b.last.load(Ordering::Relaxed) <= rules.idle_minutes.saturating_mul(60_000)
            && now - b.at <= rules.read_hours.saturating_mul(3_600_000)
    };
    Ok(found.filter(goes_on))
}

impl Reading {
    /// Bytes of the file, having counted and recorded the read if it begins by this. They break off when the grant ends meanwhile.
    pub async fn bytes(
        &self,
        app: &Arc<App>,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        let held = self.enter(app).await?;
        let begun = match &self.begun {
            Some(begun) if begun.taken.load(Ordering::Relaxed) <= self.most() => Arc::clone(begun),
            _ => self.begin(app).await?,
        };
        let now = self.op.at.timestamp_millis();
        begun.last.fetch_max(now, Ordering::Relaxed);
        begun.taken.fetch_add(range.end.saturating_sub(range.start), Ordering::Relaxed);
        if now - begun.noted.load(Ordering::Relaxed) >= NOTE {
            begun.noted.store(now, Ordering::Relaxed);
            app.store.delta_read_note(&self.id, now).await?;
        }
        let bytes = app.lake.share_read(&self.table.grant, &self.claims.file, range).await?;
        let standing = Footing::new(app, &self.op, &self.table.grant, self.mark);
        Ok(self.telling(app, while_standing(standing, bytes), held))
    }

    /// Lets this request in: hours and addresses are those of now. All requests of one read are one call under way. A refusal is
    /// recorded.
    async fn enter(&self, app: &App) -> Result<Held> {
        let op = Op { request_id: format!("delta {}", self.id), ..self.op.clone() };
        match admit(app, &op, &self.table).await {
            Ok(held) => Ok(held),
            Err(refusal) => {
                // Of too many at once there may be a flood.
                if refusal.kind() != Kind::Exhausted {
                    let grant = &self.table.grant;
                    let action = grant.action().as_str();
                    audit::refused(app, &self.op, action, grant.code(), &refusal).await?;
                }
                Err(refusal)
            }
        }
    }

    /// The same bytes, with their place until the last has gone; why they broke off is recorded. Their beginning was, with the whole
    /// of the file.
    fn telling(
        &self,
        app: &Arc<App>,
        bytes: BoxStream<'static, Result<Bytes>>,
        held: Held,
    ) -> BoxStream<'static, Result<Bytes>> {
        let action = format!("{}.end", self.table.grant.action().as_str());
        let broken = audit::event(&self.op, &action, self.table.grant.code());
        let broken = AuditEvent { scope: format!("delta file={}", self.claims.file), ..broken };
        let telling = Arc::new(Telling { app: Arc::clone(app), broken, _held: held });
        let told = bytes.then(move |piece| {
            let telling = Arc::clone(&telling);
            async move {
                if let Err(error) = &piece {
                    audit::broken(&telling.app, telling.broken.clone(), error).await;
                }
                piece
            }
        });
        told.boxed()
    }

    fn most(&self) -> u64 {
        self.claims.bytes.saturating_mul(2).saturating_add(SLACK)
    }

    async fn begin(&self, app: &App) -> Result<Arc<Begun>> {
        let now = self.op.at.timestamp_millis();
        if now >= self.claims.until {
            return Err(ended());
        }
        count(app, &self.op, &self.table, FILES_A_SECOND).await?;
        let Claims { file, version, rows, bytes, .. } = &self.claims;
        let columns = app.lake.share_columns(&self.table.grant, *version).await?;
        let scope = format!("delta file={file} version={version}");
        let event = AuditEvent {
            rows: *rows,
            bytes: *bytes,
            ..event(&self.op, &self.table.grant, &columns, &scope)
        };
        if let Err(e) = audit::record(app, event).await {
            uncount(app, &self.op, &self.table);
            return Err(e);
        }
        app.store.delta_read_note(&self.id, now).await?;
        metrics::counter!("qt_delta_files_total", "entry" => self.table.name.clone()).increment(1);
        let begun = Arc::new(Begun {
            at: self.begun.as_ref().map_or(now, |b| b.at),
            last: AtomicI64::new(now),
            noted: AtomicI64::new(now),
            taken: AtomicU64::new(0),
        });
        app.delta.reads.insert(self.id.clone(), Arc::clone(&begun));
        Ok(begun)
    }
}

/// The record of a question or of a read.
pub(super) fn event(op: &Op, grant: &Grant, columns: &[ShareColumn], scope: &str) -> AuditEvent {
    AuditEvent {
        columns: columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(","),
        level: grant.grade().as_str().to_owned(),
        scope: scope.to_owned(),
        purpose: sharing::purpose(op, grant),
        request: grant.request().unwrap_or_default().to_owned(),
        masks: grant.masks_text(),
        ..audit::event(op, grant.action().as_str(), grant.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_what_its_question_was_for() {
        let text = |form: &str, rest: &str| {
            format!("{form}\nkey\nt1\nfirms\nview\na.parquet\n10\n2\n3\n99\nq1{rest}")
        };
        let read = |text: &str| Claims::parse(text).map(|c| (c.text(), c.purpose));
        let (again, purpose) = read(&text("2", "\n年度核查")).unwrap();
        assert_eq!((again, purpose.as_str()), (text("2", "\n年度核查"), "年度核查"));
        assert_eq!(read(&text("2", "\n")).unwrap().1, "");
        // Addresses that were given out before purposes were in them.
        assert_eq!(read(&text("1", "")).unwrap().1, "");
        for wrong in
            [text("2", ""), text("1", "\nx"), text("2", "\nx\ny"), text("3", "\nx"), "2".to_owned()]
        {
            assert!(read(&wrong).is_none(), "{wrong}");
        }
    }
}
