//! The same changes for a receiver that fetches them itself: a peer platform, or any client that signs.
//!
//! What a receiver hands back as `after` is sealed: the version it holds, the shape of the grant it was made by and, within a
//! span, the mark of the last change it took. A receiver that keeps the changes of an answer and its `next` in one transaction
//! has each change exactly once. When the grant has changed since, the answer begins anew and says so (`reset`).

use std::time::Duration;

use futures::TryStreamExt;
use model::batch::Operation;
use model::halt::HaltKind;
use model::value::Row;
use model::{Actor, Code, Error, Op, Result};
use policy::port::{ChangeSpan, ROW_ID};
use policy::{Action, FlowAsk};
use tokio::time::Instant;

use super::granted::Granted;
use crate::sharing::{bounds, flowing};
use crate::{App, audit, dispatch, sharing};

/// What a receiver asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PullAsk {
    /// `next` of the answer before; `None` begins.
    pub after: Option<String>,
    pub limit: Option<u64>,
    /// Seconds to wait when there is nothing new.
    pub wait: u64,
    /// Items wanted of those granted; empty: all of them.
    pub items: Vec<String>,
}

/// What it gets.
#[derive(Clone, Debug, PartialEq)]
pub struct Pulled {
    /// What the receiver holds is void: it begins with nothing.
    pub reset: bool,
    pub columns: Vec<String>,
    /// Columns that tell rows apart.
    pub key: Vec<String>,
    /// Of a delete, only the key's cells count.
    pub changes: Vec<(Operation, Row)>,
    pub masked: Vec<String>,
    /// Where the receiver stands then.
    pub next: String,
    /// More is there already.
    pub more: bool,
    pub calls_left: Option<u64>,
}

/// Where a receiver stands.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stand {
    shape: String,
    /// Version it holds.
    from: Option<i64>,
    /// Span it is in, and how far.
    within: Option<(i64, String)>,
}

const TOKEN: &str = "outflow position";

impl Stand {
    fn seal(&self, app: &App, code: &str) -> Result<String> {
        let number = |n: Option<i64>| n.map(|n| n.to_string()).unwrap_or_default();
        let (to, mark) = match &self.within {
            Some((to, mark)) => (Some(*to), mark.as_str()),
            None => (None, ""),
        };
        let plain =
            format!("{code}\n{}\n{}\n{}\n{mark}", self.shape, number(self.from), number(to));
        app.keys.vault().seal(TOKEN, plain.as_bytes())
    }

    fn open(app: &App, code: &str, token: &str) -> Result<Self> {
        let bad = || {
            Error::new(
                Code::InvalidQuery,
                "位置 after 无效，请使用上次返回的 next；没有时不带 after 从头开始",
                "the position `after` is not valid: give the `next` of the answer before, or leave it out to begin",
            )
        };
        let plain = app.keys.vault().open(TOKEN, token).map_err(|_| bad())?;
        let text = std::str::from_utf8(&plain).map_err(|_| bad())?;
        let parts: Vec<&str> = text.split('\n').collect();
        let [of, shape, from, to, mark] = parts.as_slice() else { return Err(bad()) };
        if *of != code {
            return Err(bad());
        }
        let within = match *to {
            "" => None,
            to => Some((to.parse().map_err(|_| bad())?, (*mark).to_owned())),
        };
        let from = match *from {
            "" => None,
            from => Some(from.parse().map_err(|_| bad())?),
        };
        Ok(Self { shape: (*shape).to_owned(), from, within })
    }
}

/// Changes of a resource for the calling application's organisation.
pub async fn pull(app: &App, op: &Op, code: &str, ask: &PullAsk) -> Result<Pulled> {
    match answer(app, op, code, ask).await {
        Ok(pulled) => Ok(pulled),
        Err(error) => {
            let object: String = code.chars().take(80).collect();
            let word = Action::RowsFlow.as_str();
            // A refusal stands even when its record cannot be written.
            if let Err(trouble) = audit::refused(app, op, word, &object, &error).await {
                tracing::error!(error = %trouble.operator_text(), "a refusal could not be recorded");
            }
            Err(error)
        }
    }
}

async fn granted(app: &App, op: &Op, code: &str, items: &[String]) -> Result<Granted> {
    let asked_some = !items.is_empty();
    app.shares.look(app, op).await?;
    app.halts.look(app).await?;
    let made = (app.shares.epoch(), app.policy.version(), op.today());
    let (entry, request) = sharing::resolve(app, op, code).await?;
    let (Some(request), Actor::Application { org, .. }) = (request, &op.actor) else {
        return Err(Error::new(
            Code::NoGrant,
            format!("获取 `{code}` 的变化需要已批准的共享申请，并以该应用签名调用"),
            format!(
                "changes of `{code}` are told by an approved share application, to the application that signs"
            ),
        ));
    };
    let region = app.store.org_require(org).await?.region;
    // What was not agreed is left out.
    let wanted = items.iter().filter(|i| request.items.contains(i));
    let items: Vec<String> = wanted.cloned().collect();
    if items.is_empty() && asked_some {
        return Err(Error::of(Code::ColumnNotGranted));
    }
    let ask = FlowAsk { entry: &entry, request: &request, region: &region, items: &items };
    let grant = app.policy.grant_flow(op, &ask)?;
    let bound = bounds::of(app, op.actor.id(), &request.id, &entry).await?;
    Granted::of(entry, grant, op.actor.clone(), bound, made)
}

/// What let a receiver in must stand when it has waited: its application, the interface it came by, the grant as it was, hours and
/// addresses, and no stop of any of them.
async fn still(app: &App, op: &Op, code: &str, ask: &PullAsk, was: &Granted) -> Result<()> {
    let now = granted(app, op, code, &ask.items).await?;
    flowing::in_use(app, &op.actor).await?;
    if !op.interface.is_empty() {
        app.policy.going(HaltKind::Interface, &op.interface)?;
    }
    if now.shape != was.shape {
        return Err(Error::new(
            Code::Stale,
            "等待期间授权的内容有变化，请按原位置 after 重新获取",
            "what is granted has changed while you waited: ask again with the same `after`",
        ));
    }
    now.within(op)?;
    now.grant.check_time(op.at)
}

async fn answer(app: &App, op: &Op, code: &str, ask: &PullAsk) -> Result<Pulled> {
    let rules = &app.rules.outflow;
    let limit = ask.limit.unwrap_or(rules.pull_rows).clamp(1, rules.pull_rows_most);
    let granted = granted(app, op, code, &ask.items).await?;
    granted.grant.check_time(op.at)?;
    let _held = granted.bound.as_ref().map(|b| b.admit(op, Action::RowsFlow)).transpose()?;
    let calls_left = count(app, op, &granted).await?;
    let stand = ask.after.as_deref().map(|token| Stand::open(app, code, token)).transpose()?;
    let stand = stand.filter(|stand| stand.shape == granted.shape);
    let reset = stand.is_none();
    let stand =
        stand.unwrap_or_else(|| Stand { shape: granted.shape.clone(), from: None, within: None });
    let until = Instant::now() + Duration::from_secs(ask.wait.min(rules.pull_wait_seconds));
    let bell = app.outflows.bell(granted.grant.code());
    let span = loop {
        let rung = bell.notified();
        tokio::pin!(rung);
        rung.as_mut().enable();
        if let Some(span) = ahead(app, &granted, &stand).await? {
            break Some(span);
        }
        let poll = (Instant::now() + Duration::from_millis(rules.poll_ms)).min(until);
        if Instant::now() >= until {
            break None;
        }
        let _ = tokio::time::timeout_at(poll, rung).await;
    };
    let taken = match &span {
        None => Taken::default(),
        Some(span) => take(app, &granted, span, limit).await?,
    };
    let next = match (&span, &taken.mark) {
        (None, _) => stand,
        // The span is not over: the next answer goes on in it.
        (Some(span), Some(mark)) => Stand { within: Some((span.to, mark.clone())), ..stand },
        (Some(span), None) => Stand { from: Some(span.to), within: None, ..stand },
    };
    let more =
        taken.mark.is_some() || (span.is_some() && ahead(app, &granted, &next).await?.is_some());
    let rows: Vec<Row> = taken.changes.iter().map(|(_, row)| row.clone()).collect();
    let deletes = taken.changes.iter().filter(|(o, _)| *o == Operation::Delete).count();
    let now = Op { at: app.now(), ..op.clone() };
    if ask.wait > 0 {
        still(app, &now, code, ask, &granted).await?;
    }
    granted.grant.check_time(now.at)?;
    let scope = format!("upsert {} delete {deletes}", rows.len() - deletes);
    audit::record(app, granted.event(op, "pull", &scope, &rows)).await?;
    let masked = granted.grant.columns().iter().filter(|c| c.mask.is_some());
    Ok(Pulled {
        reset,
        columns: granted.columns.iter().map(|c| c.name.clone()).collect(),
        key: match granted.named {
            true => vec![ROW_ID.to_owned()],
            false => granted.grant.key().to_vec(),
        },
        masked: masked.map(|c| c.identifier.clone()).collect(),
        next: next.seal(app, code)?,
        more,
        changes: taken.changes,
        calls_left,
    })
}

/// Counts the call as one of the application's.
async fn count(app: &App, op: &Op, granted: &Granted) -> Result<Option<u64>> {
    let (Some(quota), Actor::Application { id, org, .. }) = (granted.grant.quota(), &op.actor)
    else {
        return Ok(None);
    };
    let kept = Some((id.clone(), granted.entry.id.clone()));
    let meter = sharing::meter(app, id, &granted.entry.id, kept);
    let pools = dispatch::pools(app, id, org).await?.into();
    meter.count(app, op, quota, &pools).await.map(Some)
}

/// The span before a receiver; `None` when it is level.
async fn ahead(app: &App, granted: &Granted, stand: &Stand) -> Result<Option<ChangeSpan>> {
    if let Some((to, mark)) = &stand.within {
        return Ok(Some(ChangeSpan { from: stand.from, to: *to, after: Some(mark.clone()) }));
    }
    let most = app.rules.outflow.parcels;
    let ahead = app.lake.ahead(granted.grant.code(), stand.from, most).await?;
    Ok(ahead.map(|ahead| ChangeSpan { from: stand.from, to: ahead.to, after: None }))
}

#[derive(Default)]
struct Taken {
    changes: Vec<(Operation, Row)>,
    /// Mark of the last one, when there are more in the span.
    mark: Option<String>,
}

async fn take(app: &App, granted: &Granted, span: &ChangeSpan, limit: u64) -> Result<Taken> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut taken = Taken::default();
    let mut last = None;
    let mut pieces = app.lake.changes(&granted.grant, span).await?;
    while let Some(piece) = pieces.try_next().await? {
        let changes = piece.operations.into_iter().zip(piece.rows.rows).zip(piece.marks);
        for ((operation, row), mark) in changes {
            if taken.changes.len() == limit {
                taken.mark = last;
                return Ok(taken);
            }
            taken.changes.push((operation, granted.row(row)));
            last = Some(mark);
        }
    }
    Ok(taken)
}
