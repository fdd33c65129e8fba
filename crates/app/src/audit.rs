//! Audit: the chain is written by every room; here it is read, exported and verified.
//!
//! What leaves as a stream has two records: one before the first byte (*every-release-audited*), and one with the rows
//! and bytes that truly left, which [`Tally`] writes when the stream ends, fails or is given up.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use model::audit::{AuditEvent, AuditFilter, AuditRecord, AuditVerdict};
use model::spreadsheet::harmless;
use model::{Actor, Error, Op, Result};
use policy::{Action, Permit, Target};

use crate::{App, evidence};

/// How long records are waited for.
static SECONDS: OnceLock<metrics::Histogram> = OnceLock::new();

fn seconds() -> metrics::Histogram {
    metrics::histogram!("qt_audit_append_seconds")
}

/// Looks the chain's figure up once for all: a registry costs every record more than counting. A door that is opened calls it, when
/// the recorder of figures, if any, is installed; until then each record looks it up.
pub fn measured() {
    let _ = SECONDS.get_or_init(seconds);
}

/// Writes one record and waits until it is durable (group commit). *every-release-audited*: a release calls it before it answers.
pub fn record(app: &App, event: AuditEvent) -> impl Future<Output = Result<()>> {
    // Shared from here on: an event is large, and what waits for its record is handed on with it.
    let event = Arc::new(event);
    async move {
        let begun = std::time::Instant::now();
        let written = app.store.audit().append(event).await;
        let took = begun.elapsed().as_secs_f64();
        match SECONDS.get() {
            Some(figure) => figure.record(took),
            None => seconds().record(took),
        }
        if written.is_err() {
            metrics::counter!("qt_audit_failures_total").increment(1);
        }
        written.map(|_| ())
    }
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
            Actor::Application { key, .. } => key.clone(),
            _ => String::new(),
        },
        source: match op.by {
            "" => op.source.clone(),
            by => format!("{} {by}", op.source),
        },
        action: action.to_owned(),
        object: object.to_owned(),
        result: "ok".to_owned(),
        trace_id: op.request_id.clone(),
        interface: op.interface.clone(),
        way: op.way.mark().to_owned(),
        ..AuditEvent::default()
    }
}

/// Asks policy for a permit; a refusal is recorded before it is answered.
pub async fn permit(app: &App, op: &Op, action: Action, target: &Target) -> Result<Permit> {
    match app.policy.permit(op, action, target) {
        Ok(permit) => Ok(permit),
        Err(refusal) => {
            refused(app, op, action.as_str(), &target.id, &refusal).await?;
            Err(refusal)
        }
    }
}

/// The same where a refusal must not tell that the thing is there: it is recorded under `object`, and the caller is answered
/// by `missing`, as for something that does not exist.
pub(crate) async fn permit_hidden(
    app: &App,
    op: &Op,
    action: Action,
    target: &Target,
    object: &str,
    missing: impl FnOnce() -> Error,
) -> Result<Permit> {
    match app.policy.permit(op, action, target) {
        Ok(permit) => Ok(permit),
        Err(refusal) => {
            refused(app, op, action.as_str(), object, &refusal).await?;
            Err(missing())
        }
    }
}

/// Records a refusal with its code and reasons.
pub async fn refused(
    app: &App,
    op: &Op,
    action: &str,
    object: &str,
    refusal: &Error,
) -> Result<()> {
    record(app, self::refusal(op, action, object, refusal)).await
}

/// The record of a refusal.
pub(crate) fn refusal(op: &Op, action: &str, object: &str, refusal: &Error) -> AuditEvent {
    let mut event = event(op, action, object);
    event.result = "denied".into();
    event.reason = reason(refusal);
    event
}

/// Records that what had begun to leave broke off, and why; what has left has left, whether the record can be written or not.
pub(crate) async fn broken(app: &App, mut event: AuditEvent, error: &Error) {
    event.result = "failed".into();
    event.reason = reason(error);
    if let Err(e) = record(app, event).await {
        tracing::error!(error = %e.operator_text(), "a cut-off stream could not be recorded");
    }
}

/// The code of an error and the rules behind it.
fn reason(error: &Error) -> String {
    let own = std::iter::once(error.code().as_str());
    own.chain(error.reasons().iter().map(String::as_str)).collect::<Vec<_>>().join(" ")
}

/// Records, newest first. Reading the audit is itself recorded, every page of it.
pub async fn list(app: &App, op: &Op, filter: &AuditFilter) -> Result<Vec<AuditRecord>> {
    let permit = permit(app, op, Action::AuditRead, &Target::plain("Audit", "audit")).await?;
    let mut reading = event(op, "audit.read", "audit");
    reading.scope = scope(filter);
    record(app, reading).await?;
    app.store.audit().list(&permit, &by_account(app, filter).await?).await
}

/// The filter with the id of the account whose login name it tells: ids are what the chain holds, login names what its readers see.
async fn by_account(app: &App, filter: &AuditFilter) -> Result<AuditFilter> {
    let mut filter = filter.clone();
    let name = filter.actor.as_deref().map(str::trim).unwrap_or_default();
    if !name.is_empty()
        && let Some(account) = app.store.user_by_name(name).await?
    {
        filter.actor = Some(account.user.id);
    }
    Ok(filter)
}

/// Names shown of the people of some records, by their accounts' ids: to stand beside the login names, which are what the chain holds.
/// Whoever may not read records has none to name.
pub async fn people(
    app: &App,
    op: &Op,
    records: &[AuditRecord],
) -> Result<HashMap<String, String>> {
    if !app.may(op, Action::AuditRead, &Target::plain("Audit", "audit")) {
        return Ok(HashMap::new());
    }
    let mut ids: Vec<&str> = records.iter().map(|r| r.event.actor.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    app.store.users_shown(&ids).await
}

/// Walks the whole chain, and holds it against the signed seals over it, and these against their time stamps.
pub async fn verify(app: &App, op: &Op) -> Result<AuditVerdict> {
    let permit = permit(app, op, Action::AuditExport, &Target::plain("Audit", "audit")).await?;
    let seals = evidence::anchors(app).await?;
    let mut verdict = app.store.audit().verify(&permit, &seals.records).await?;
    if let (None, Some(fault)) = (&verdict.fault, seals.fault) {
        verdict.fault = Some(fault);
        verdict.intact = false;
    }
    let mut done = event(op, "audit.verify", "audit");
    done.rows = verdict.records;
    if let Some(fault) = &verdict.fault {
        done.result = "failed".into();
        done.reason = format!("{} {}", fault.kind, fault.seq);
    }
    record(app, done).await?;
    Ok(verdict)
}

/// Which filters were set, and where the page begins; never the values looked for.
fn scope(filter: &AuditFilter) -> String {
    let set = |name: &str, value: &Option<String>| {
        value.as_ref().filter(|v| !v.is_empty()).map(|_| name.to_owned())
    };
    let mut parts: Vec<String> = [
        set("actor", &filter.actor),
        set("action", &filter.action),
        set("object", &filter.object),
        set("result", &filter.result),
        filter.from.as_ref().filter(|d| !d.is_empty()).map(|d| format!("from {d}")),
        filter.to.as_ref().filter(|d| !d.is_empty()).map(|d| format!("to {d}")),
        filter.before.map(|seq| format!("before {seq}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    // A day is a text of the caller's.
    parts.iter_mut().for_each(|p| *p = p.chars().take(40).collect());
    parts.join(", ")
}

/// Counts what a stream gives out and leaves a record of it: by [`Tally::end`], or, when it is dropped before its end,
/// as cut off, unless a part was asked for and given ([`Part`]).
///
/// Of a part the record tells the bytes that were handed over and no rows: it may begin and end in the middle of one, and of a
/// format that is not written row by row nobody can say which it holds. Its `scope` is [`PART`] and which bytes of how many were asked for.
pub struct Tally {
    app: Arc<App>,
    event: Option<AuditEvent>,
    /// Bytes of the whole that were made by now.
    made: u64,
    part: Part,
}

/// How the scope of the record of a part begins; [`AuditEvent::bytes`] counts what of the part was handed over.
pub const PART: &str = "part bytes";

/// What is handed over of a stream of which a part was asked for, as whoever cuts it out says.
#[derive(Clone, Debug, Default)]
pub struct Part(Arc<Cut>);

#[derive(Debug, Default)]
struct Cut {
    span: OnceLock<Span>,
    given: AtomicBool,
}

/// Bytes `from` to `to`, both included, of a file of `whole` bytes.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: u64,
    to: u64,
    whole: u64,
}

impl Part {
    /// Of a stream of `whole` bytes those `from` .. `to`, both included, are handed over and no others. Said before the first of them
    /// is made; said once.
    pub fn only(&self, from: u64, to: u64, whole: u64) {
        if from > 0 || to.saturating_add(1) < whole {
            let _ = self.0.span.set(Span { from, to, whole });
        }
    }

    /// All that was asked for has been handed over, though there is more of the stream: dropped now, it was not cut off.
    pub fn given(&self) {
        self.0.given.store(true, Ordering::Relaxed);
    }
}

impl Span {
    /// How many of the bytes from `first` up to `next` lie in it.
    fn held(&self, first: u64, next: u64) -> u64 {
        next.min(self.to.saturating_add(1)).saturating_sub(first.max(self.from))
    }
}

impl Tally {
    /// `action` is that of the record before the first byte; this one's is `action.end`, with the same trace id.
    #[must_use]
    pub fn new(app: &Arc<App>, op: &Op, action: &str, object: &str) -> Self {
        let event = event(op, &format!("{action}.end"), object);
        Self { app: Arc::clone(app), event: Some(event), made: 0, part: Part::default() }
    }

    /// Of a stream of which no more may be wanted than a part.
    #[must_use]
    pub fn until(mut self, part: &Part) -> Self {
        self.part = part.clone();
        self
    }

    /// Counts what is handed over now.
    pub fn add(&mut self, rows: usize, bytes: usize) {
        let first = self.made;
        self.made = first.saturating_add(bytes as u64);
        if let Some(event) = &mut self.event {
            let held = match self.part.0.span.get() {
                Some(span) => span.held(first, self.made),
                None => bytes as u64,
            };
            event.rows = event.rows.saturating_add(rows as u64);
            event.bytes = event.bytes.saturating_add(held);
        }
    }

    /// The record as it stands.
    fn taken(&mut self) -> Option<AuditEvent> {
        let mut event = self.event.take()?;
        if let Some(Span { from, to, whole }) = self.part.0.span.get() {
            event.rows = 0;
            event.scope = format!("{PART} {from}-{to}/{whole}");
        }
        Some(event)
    }

    /// Writes the record of a stream that came to its end, or of why it did not.
    pub async fn end(mut self, failure: Option<&Error>) -> Result<()> {
        let Some(mut event) = self.taken() else { return Ok(()) };
        if let Some(error) = failure {
            event.result = "failed".into();
            event.reason = reason(error);
        }
        record(&self.app, event).await
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        let Some(mut event) = self.taken() else { return };
        if !self.part.0.given.load(Ordering::Relaxed) {
            event.result = "failed".into();
            event.reason = "cut off".into();
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            tracing::error!(object = event.object, "a cut-off stream could not be recorded");
            return;
        };
        let app = Arc::clone(&self.app);
        runtime.spawn(async move {
            if let Err(e) = record(&app, event).await {
                tracing::error!(error = %e.operator_text(), "a cut-off stream could not be recorded");
            }
        });
    }
}

impl std::fmt::Debug for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tally").field("event", &self.event).finish_non_exhaustive()
    }
}

/// Records of one page of an export.
const EXPORT_PAGE: u32 = 1000;

/// Records as CSV with a header, newest first, within the filter (all pages of it), page by page as it is read. A
/// text that a spreadsheet would take for a formula has an apostrophe before it.
pub async fn export(
    app: &Arc<App>,
    op: &Op,
    filter: &AuditFilter,
) -> Result<BoxStream<'static, Result<Bytes>>> {
    let permit = permit(app, op, Action::AuditExport, &Target::plain("Audit", "audit")).await?;
    // The first page is read before anything is answered: a wrong filter is refused, not broken off.
    let filter = AuditFilter { limit: EXPORT_PAGE, ..by_account(app, filter).await? };
    let first = app.store.audit().list(&permit, &filter).await?;
    let mut begun = event(op, "audit.export", "audit");
    begun.scope = scope(&filter);
    record(app, begun).await?;
    let export = Export {
        app: Arc::clone(app),
        permit,
        filter,
        tally: Tally::new(app, op, "audit.export", "audit"),
    };
    Ok(stream::unfold(Some((export, Some(first), true)), |state| async move {
        let (mut export, page, head) = state?;
        let page = match page {
            Some(page) => Ok(page),
            None => export.app.store.audit().list(&export.permit, &export.filter).await,
        };
        let piece = match page {
            Ok(records) => csv_page(&records, head).map(|bytes| (records, bytes)),
            Err(e) => Err(e),
        };
        match piece {
            Ok((records, bytes)) => {
                export.tally.add(records.len(), bytes.len());
                let full = records.len() >= EXPORT_PAGE as usize;
                match records.last().filter(|_| full) {
                    Some(last) => {
                        export.filter.before = Some(last.seq);
                        Some((Ok(bytes), Some((export, None, false))))
                    }
                    None => match export.tally.end(None).await {
                        Ok(()) => Some((Ok(bytes), None)),
                        Err(e) => Some((Err(e), None)),
                    },
                }
            }
            Err(e) => {
                if let Err(trouble) = export.tally.end(Some(&e)).await {
                    tracing::error!(error = %trouble.operator_text(), "a failed export could not be recorded");
                }
                Some((Err(e), None))
            }
        }
    })
    .boxed())
}

/// An export under way.
struct Export {
    app: Arc<App>,
    permit: Permit,
    filter: AuditFilter,
    tally: Tally,
}

fn csv_page(records: &[AuditRecord], head: bool) -> Result<Bytes> {
    let broken = |e: csv::Error| Error::internal("cannot write CSV").caused_by(e);
    let mut writer = csv::Writer::from_writer(Vec::new());
    if head {
        writer.write_record(COLUMNS).map_err(broken)?;
    }
    for record in records {
        writer
            .write_record(cells(record).iter().map(|c| harmless(c).into_owned()))
            .map_err(broken)?;
    }
    let bytes = writer
        .into_inner()
        .map_err(|e| Error::internal("cannot write CSV").caused_by(e.to_string()))?;
    Ok(Bytes::from(bytes))
}

const COLUMNS: [&str; 28] = [
    "seq",
    "ts",
    "event_id",
    "actor",
    "actor_name",
    "org",
    "app_key",
    "source",
    "action",
    "object",
    "columns",
    "level",
    "scope",
    "rows",
    "bytes",
    "result",
    "reason",
    "purpose",
    "request",
    "masks",
    "trace_id",
    "interface",
    "way",
    "micros",
    "calls",
    "prev_hash",
    "hash",
    "algorithm",
];

fn cells(r: &AuditRecord) -> [String; 28] {
    let e = &r.event;
    [
        r.seq.to_string(),
        e.ts.clone(),
        e.event_id.clone(),
        e.actor.clone(),
        e.actor_name.clone(),
        e.org.clone(),
        e.app_key.clone(),
        e.source.clone(),
        e.action.clone(),
        e.object.clone(),
        e.columns.clone(),
        e.level.clone(),
        e.scope.clone(),
        e.rows.to_string(),
        e.bytes.to_string(),
        e.result.clone(),
        e.reason.clone(),
        e.purpose.clone(),
        e.request.clone(),
        e.masks.clone(),
        e.trace_id.clone(),
        e.interface.clone(),
        e.way.clone(),
        e.micros.to_string(),
        e.calls.to_string(),
        r.prev_hash.clone(),
        r.hash.clone(),
        "SM3".to_owned(),
    ]
}
