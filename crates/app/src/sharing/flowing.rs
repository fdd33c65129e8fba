//! Rows on their way out, for as long as what let them out stands: one look for every kind of end. A breach, a suspension, an
//! agreement that was revoked or is over, a credit record, an application that was stopped, an entry taken offline, an emergency stop:
//! each moves a number ([`Mark`]), and a stream looks at the number piece by piece. Only when it has moved is all of it asked anew.
//!
//! A stream that may not go on ends with an error, never with its end: whoever reads knows that it is a part. Its record says why
//! ([`crate::audit::Tally`]).

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use model::halt::HaltKind;
use model::{Actor, Code, Error, Op, Result};
use policy::{Grant, GrantAsk, Via};

use super::resolve;
use crate::{App, account};

/// How long a stream waits for its next piece before it asks whether it may still.
const LOOK: Duration = Duration::from_millis(250);

/// All that decides releases, by the numbers that count its changes: ledger, agreements, credit, applications; rules and stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    epoch: u64,
    policy: u64,
}

impl Mark {
    /// As it stands; taken before a grant is made, so that nothing that happens meanwhile is missed.
    pub(crate) fn of(app: &App) -> Self {
        Self { epoch: app.shares.epoch(), policy: app.policy.version() }
    }

    /// Whether anything has changed since it was last asked, here or (noticed within a second) in another process.
    pub(crate) async fn moved(&mut self, app: &App, op: &Op) -> Result<bool> {
        app.shares.look(app, op).await?;
        app.halts.look(app).await?;
        let now = Self::of(app);
        Ok(std::mem::replace(self, now) != now)
    }
}

/// What lets a stream go on.
pub(crate) struct Footing {
    app: Arc<App>,
    op: Op,
    grant: Grant,
    /// Code of the interface that the rows leave by.
    interface: Option<String>,
    mark: Mark,
}

impl Footing {
    /// Of a grant that was made after `mark` was taken.
    pub(crate) fn new(app: &Arc<App>, op: &Op, grant: &Grant, mark: Mark) -> Self {
        Self { app: Arc::clone(app), op: op.clone(), grant: grant.clone(), interface: None, mark }
    }

    /// The same of rows that leave by an interface.
    pub(crate) fn by(mut self, interface: &str) -> Self {
        self.interface = Some(interface.to_owned());
        self
    }

    /// Fails when nothing more may leave. Cheap as long as nothing has changed.
    pub(crate) async fn check(&mut self) -> Result<()> {
        self.op.at = self.app.now();
        self.grant.check_time(self.op.at)?;
        let moved = self.mark.moved(&self.app, &self.op).await?;
        let policy = &self.app.policy;
        policy.flowing(&self.op.actor, self.grant.entry())?;
        if let Some(code) = &self.interface {
            policy.going(HaltKind::Interface, code)?;
        }
        if moved { self.again().await } else { Ok(()) }
    }

    /// Decides anew, as for a call that is made now; what is granted then must hold what is on its way.
    async fn again(&self) -> Result<()> {
        let app = &self.app;
        in_use(app, &self.op.actor).await?;
        let code = self.grant.code();
        let (entry, request) = match self.grant.request() {
            Some(_) => resolve(app, &self.op, code).await?,
            None => (self.open(code).await?, None),
        };
        let via = request.as_ref().map_or(Via::Open, Via::Request);
        let (action, row_cap) = (self.grant.action(), self.grant.row_cap());
        let now = app.policy.grant(&self.op, &GrantAsk { action, entry: &entry, via, row_cap })?;
        if covers(&now, &self.grant) {
            return Ok(());
        }
        Err(Error::new(
            Code::GrantExpired,
            "授权的内容已变化，传输中止；请按现在的授权重新获取",
            "what is granted has changed and the transfer was ended: fetch anew by the grant as it is now",
        )
        .with_reasons(vec!["grant.changed".to_owned()]))
    }

    /// What was let out as open data is open still.
    async fn open(&self, code: &str) -> Result<model::entry::Entry> {
        let entry = self.app.store.entry_get(code).await?;
        entry.filter(|e| e.draft.code == code && e.freely_open()).ok_or_else(|| {
            Error::new(
                Code::NoGrant,
                format!("`{code}` 已不再无条件开放，传输中止"),
                format!("`{code}` is not open to everybody any more: the transfer was ended"),
            )
            .with_reasons(vec!["open.withdrawn".to_owned()])
        })
    }
}

/// Fails when the application that rows go to was stopped meanwhile.
pub(crate) async fn in_use(app: &App, receiver: &Actor) -> Result<()> {
    let Actor::Application { key, .. } = receiver else { return Ok(()) };
    if account::credential(app, key).await?.is_some() {
        return Ok(());
    }
    Err(Error::new(
        Code::NoGrant,
        "应用已停用，传输中止；请启用应用后重新获取",
        "the application was stopped and the transfer with it: start it, then fetch anew",
    ))
}

/// Whether a grant releases all that another does, masked alike, of the same rows.
fn covers(now: &Grant, then: &Grant) -> bool {
    let held =
        |c: &policy::GrantColumn| now.column(&c.identifier).is_some_and(|kept| kept.mask == c.mask);
    now.row_filter() == then.row_filter() && then.columns().iter().all(held)
}

/// Rows on their way, each piece given out only while they may leave.
pub(crate) fn while_standing<T: Send + 'static>(
    standing: Footing,
    rows: BoxStream<'static, Result<T>>,
) -> BoxStream<'static, Result<T>> {
    let flow = Flow { standing, rows: Some(rows) };
    Box::pin(stream::unfold(flow, |mut flow| async move {
        let next = flow.next().await?;
        Some((next, flow))
    }))
}

struct Flow<T> {
    standing: Footing,
    /// Let go when it may not go on: nothing is read any more.
    rows: Option<BoxStream<'static, Result<T>>>,
}

impl<T> Flow<T> {
    async fn next(&mut self) -> Option<Result<T>> {
        loop {
            let rows = self.rows.as_mut()?;
            let come = tokio::time::timeout(LOOK, rows.next()).await;
            if matches!(come, Ok(None)) {
                self.rows = None;
                return None;
            }
            // Also while nothing comes: a long pause does not hide an end.
            if let Err(refusal) = self.standing.check().await {
                self.rows = None;
                return Some(Err(refusal));
            }
            if let Ok(Some(piece)) = come {
                return Some(piece);
            }
        }
    }
}
