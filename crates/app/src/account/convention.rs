//! The province's older calling convention: an application exchanges its secret for a refresh secret, that for a request secret, and
//! signs calls with the latter (`guard::convention`). Kept for programs that exist; off unless somebody switches it on.
//!
//! Programs refresh by a timer, often several of one application at once. Every secret given out stays good until its end, and
//! who refreshes shortly after another gets the same secret, so that nobody's secret is taken away by somebody else's refresh.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use guard::{convention, keys};
use model::{Actor, Code, Error, Op, Result};
use policy::{Action, Target};
use store::credential::SecretRow;
use zeroize::Zeroizing;

use super::Credential;
use super::application::credential;
use crate::rate::Rate;
use crate::{App, audit};

const REFRESH: &str = "refresh";
const REQUEST: &str = "request";

/// What a caller of the older convention signs with.
#[derive(Clone, Copy, Debug)]
pub struct ConventionSign<'a> {
    pub key: &'a str,
    /// `requestTime` as written.
    pub time: &'a str,
    pub sign: &'a str,
}

/// Secrets given out.
#[derive(Clone)]
pub struct ConventionSecrets {
    pub refresh: String,
    /// Milliseconds since 1970.
    pub refresh_ends: i64,
    pub request: String,
    pub request_ends: i64,
}

impl std::fmt::Debug for ConventionSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConventionSecrets")
            .field("request_ends", &self.request_ends)
            .finish_non_exhaustive()
    }
}

/// How the convention stands.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ConventionView {
    pub on: bool,
    /// `on`, `off`, or empty: as configured.
    pub decided: String,
    pub configured: bool,
    /// Applications that hold a secret which is good.
    pub applications: i64,
}

/// Request secrets of one application that this process knows.
pub(crate) struct Issued {
    secrets: Vec<(Zeroizing<Vec<u8>>, i64)>,
    /// Second in which they were read.
    read_at: i64,
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued").field("secrets", &self.secrets.len()).finish_non_exhaustive()
    }
}

/// Calls of one application by the convention.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Of calls that were signed right: nobody else can use it up.
    rate: Rate,
    /// Of wrong signatures for which it is looked up whether a secret that has ended made them.
    wrong: Rate,
    /// Second in which a wrong signature was last looked up in the store.
    asked: AtomicI64,
}

/// Whether the convention is served now.
pub async fn convention_on(app: &App, op: &Op) -> Result<bool> {
    app.interfaces.look(app, op).await?;
    Ok(app.interfaces.convention_on())
}

/// How the convention stands, for its administrator.
pub async fn convention(app: &App, op: &Op) -> Result<ConventionView> {
    audit::permit(app, op, Action::ConventionSet, &Target::plain("System", "convention")).await?;
    app.interfaces.look(app, op).await?;
    Ok(ConventionView {
        on: app.interfaces.convention_on(),
        decided: app.interfaces.convention(),
        configured: app.interfaces.configured(),
        applications: app.store.convention_users(op.at.timestamp_millis()).await?,
    })
}

/// Switches the convention: `on`, `off`, or empty for as configured. Every process follows within a second.
pub async fn convention_set(app: &App, op: &Op, decided: &str) -> Result<()> {
    let target = Target::plain("System", "convention");
    let permit = audit::permit(app, op, Action::ConventionSet, &target).await?;
    if !matches!(decided, "on" | "off" | "") {
        return Err(Error::invalid("应为 on、off 或空", "say `on`, `off` or nothing"));
    }
    app.store.convention_set(&permit, decided).await?;
    app.interfaces.follow(app).await?;
    let mut event = audit::event(op, "convention.set", "convention");
    event.reason = decided.to_owned();
    audit::record(app, event).await
}

/// Refreshes by the application's own secret: a refresh secret and a request secret.
pub async fn convention_by_key(
    app: &App,
    op: &Op,
    sign: &ConventionSign<'_>,
) -> Result<ConventionSecrets> {
    let known = known(app, op, sign).await?;
    if !convention::verify(sign.key, &known.secret, sign.time, sign.sign) {
        return Err(Error::of(Code::SignatureMismatch));
    }
    within_pace(app, op, &known.application.id)?;
    give(app, op, &known).await
}

/// Refreshes by a refresh secret that is good.
pub async fn convention_by_refresh(
    app: &App,
    op: &Op,
    sign: &ConventionSign<'_>,
) -> Result<ConventionSecrets> {
    let known = known(app, op, sign).await?;
    let now = op.at.timestamp_millis();
    let id = &known.application.id;
    if !matches(app, id, REFRESH, now, sign).await? {
        return Err(wrong_or_ended(app, op, id, REFRESH, sign).await?);
    }
    within_pace(app, op, id)?;
    give(app, op, &known).await
}

/// Who signed a call with a request secret.
pub async fn convention_call(app: &App, op: &Op, sign: &ConventionSign<'_>) -> Result<Actor> {
    let known = known(app, op, sign).await?;
    let id = &known.application.id;
    if !by_request_secret(app, op, id, sign).await? {
        return Err(wrong_or_ended(app, op, id, REQUEST, sign).await?);
    }
    within_pace(app, op, id)?;
    Ok(known.actor.clone())
}

/// Whether a request secret that is good made the signature.
async fn by_request_secret(
    app: &App,
    op: &Op,
    id: &str,
    sign: &ConventionSign<'_>,
) -> Result<bool> {
    let (now, second) = (op.at.timestamp_millis(), op.at.timestamp());
    let issued = match app.accounts.issued.get(id) {
        Some(kept) => kept,
        None => read(app, id, now, second).await?,
    };
    if right(&issued, now, sign) {
        return Ok(true);
    }
    // Another process may have given one out since; the store is asked once a second at most.
    if issued.read_at == second || pace(app, id).asked.swap(second, Ordering::Relaxed) == second {
        return Ok(false);
    }
    let issued = read(app, id, now, second).await?;
    Ok(right(&issued, now, sign))
}

/// The application behind a key, within the window of time.
async fn known(app: &App, op: &Op, sign: &ConventionSign<'_>) -> Result<Arc<Credential>> {
    app.shares.look(app, op).await?;
    let time: i64 = sign.time.parse().map_err(|_| {
        Error::new(
            Code::SignatureMissing,
            "requestTime 应为毫秒时间戳",
            "requestTime must be Unix milliseconds",
        )
    })?;
    let window = app.rules.interface.convention.window_seconds.saturating_mul(1000);
    if op.at.timestamp_millis().abs_diff(time) > window.unsigned_abs() {
        return Err(Error::of(Code::TimestampOutOfWindow));
    }
    // An unknown key and a wrong signature read the same.
    credential(app, sign.key).await?.ok_or_else(|| Error::of(Code::SignatureMismatch))
}

/// Takes a call out of the application's pace. Only one that is signed right: whoever knows no more than the key, which is no
/// secret, uses up nothing of the application's. Wrong ones are limited by address, at the door.
fn within_pace(app: &App, op: &Op, application: &str) -> Result<()> {
    let most = app.rules.interface.convention.calls_per_second;
    if pace(app, application).rate.take(op.at.timestamp_micros(), most, 1_000_000) {
        return Ok(());
    }
    Err(Error::new(
        Code::RateLimited,
        format!("调用过于频繁：该方式每个应用每秒最多 {most} 次"),
        format!("too many calls: {most} a second of one application by this convention"),
    ))
}

fn pace(app: &App, application: &str) -> Arc<Pace> {
    app.accounts.paces.get_with(application.to_owned(), Arc::default)
}

fn context(kind: &str, application: &str, id: &str) -> String {
    format!("convention.{kind} {application} {id}")
}

fn right(issued: &Issued, now: i64, sign: &ConventionSign<'_>) -> bool {
    issued
        .secrets
        .iter()
        .filter(|(_, ends)| *ends > now)
        .any(|(secret, _)| convention::verify(sign.key, secret, sign.time, sign.sign))
}

/// The request secrets of an application that are good, remembered for a while.
async fn read(app: &App, application: &str, now: i64, second: i64) -> Result<Arc<Issued>> {
    let mut secrets = Vec::new();
    for row in app.store.convention_secrets(application, REQUEST, now).await? {
        secrets.push((open(app, REQUEST, application, &row)?, row.ends_at));
    }
    let issued = Arc::new(Issued { secrets, read_at: second });
    app.accounts.issued.insert(application.to_owned(), Arc::clone(&issued));
    Ok(issued)
}

fn open(app: &App, kind: &str, application: &str, row: &SecretRow) -> Result<Zeroizing<Vec<u8>>> {
    app.keys.vault().open(&context(kind, application, &row.id), &row.sealed)
}

/// Whether a secret of this kind that ends after a moment made the signature.
async fn matches(
    app: &App,
    application: &str,
    kind: &str,
    after: i64,
    sign: &ConventionSign<'_>,
) -> Result<bool> {
    for row in app.store.convention_secrets(application, kind, after).await? {
        let secret = open(app, kind, application, &row)?;
        if convention::verify(sign.key, &secret, sign.time, sign.sign) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Why no good secret fits: one that has ended would, or none. A flood of wrong ones is not looked up one by one.
async fn wrong_or_ended(
    app: &App,
    op: &Op,
    application: &str,
    kind: &str,
    sign: &ConventionSign<'_>,
) -> Result<Error> {
    let (now, most) = (op.at.timestamp_millis(), app.rules.interface.convention.calls_per_second);
    if !pace(app, application).wrong.take(op.at.timestamp_micros(), most, 1_000_000) {
        return Ok(Error::of(Code::SignatureMismatch));
    }
    let remembered = app.rules.interface.convention.remember_hours.saturating_mul(3_600_000);
    let ended = matches(app, application, kind, now.saturating_sub(remembered), sign).await?;
    Ok(Error::of(if ended { Code::SecretExpired } else { Code::SignatureMismatch }))
}

/// Gives out a pair; recorded, so that it shows who still uses the convention.
async fn give(app: &App, op: &Op, known: &Credential) -> Result<ConventionSecrets> {
    crate::halt::admit(app, op, &known.actor).await?;
    let rules = &app.rules.interface.convention;
    let id = &known.application.id;
    let hours = rules.refresh_hours.saturating_mul(3_600_000);
    let minutes = rules.request_minutes.saturating_mul(60_000);
    let (refresh, refresh_ends) =
        one(app, op, id, REFRESH, hours, rules.refresh_reuse_seconds).await?;
    let (request, request_ends) =
        one(app, op, id, REQUEST, minutes, rules.request_reuse_seconds).await?;
    app.accounts.issued.invalidate(id);
    let as_application = Op { actor: known.actor.clone(), ..op.clone() };
    audit::record(app, audit::event(&as_application, "convention.refresh", id)).await?;
    Ok(ConventionSecrets { refresh, refresh_ends, request, request_ends })
}

/// A secret that lasts from now: the newest one while it is young, else a new one.
async fn one(
    app: &App,
    op: &Op,
    application: &str,
    kind: &str,
    lasts: i64,
    young_seconds: i64,
) -> Result<(String, i64)> {
    let now = op.at.timestamp_millis();
    let ends = now.saturating_add(lasts);
    let rows = app.store.convention_secrets(application, kind, now).await?;
    let young = rows.iter().max_by_key(|r| r.issued_at).filter(|r| {
        now.saturating_sub(r.issued_at) < young_seconds.saturating_mul(1000) && r.issued_at <= now
    });
    if let Some(row) = young
        && app.store.convention_secret_extend(&row.id, ends).await?
    {
        let secret = open(app, kind, application, row)?;
        let text = String::from_utf8(secret.to_vec())
            .map_err(|e| Error::internal("a secret is no text").caused_by(e))?;
        return Ok((text, ends));
    }
    // As the convention's own are: 32 hex digits.
    let secret = keys::hex_token(16)?;
    let id = op.new_id();
    let sealed = app.keys.vault().seal(&context(kind, application, &id), secret.as_bytes())?;
    let remembered = app.rules.interface.convention.remember_hours.saturating_mul(3_600_000);
    let row = SecretRow { id, sealed, issued_at: now, ends_at: ends };
    let forget = now.saturating_sub(remembered);
    app.store.convention_secret_insert(application, kind, &row, forget).await?;
    Ok((secret, ends))
}
