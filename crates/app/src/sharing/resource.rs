//! What a call is about: the resource as it stands, and the share application behind the call.

use std::sync::Arc;

use model::entry::Entry;
use model::request::{Request, RequestState};
use model::{Actor, Code, Error, Op, Result};
use policy::{Action, Target, Via};

use crate::App;

/// What a call stands on: the resource, and by what its rows leave.
pub(super) struct Ground {
    pub(super) known: Arc<Known>,
    request: Option<Request>,
    /// Whether it left a sandbox as an interface.
    released: bool,
}

impl Ground {
    pub(super) async fn of(
        app: &App,
        op: &Op,
        reached: Reached<'_>,
        action: Action,
    ) -> Result<Self> {
        let code = reached.0;
        // What left a sandbox as an interface is in no catalogue.
        if action == Action::RowsQuery
            && code.starts_with('_')
            && let Some((entry, request)) =
                Box::pin(crate::project::sandbox::released(app, op, code)).await?
        {
            let known = Arc::new(Known::of(app, app.shares.epoch(), entry).await?);
            return Ok(Self { known, request: Some(request), released: true });
        }
        let known = known(app, reached).await?;
        let request = behind(app, op, &known.entry).await?;
        Ok(Self { known, request, released: false })
    }

    /// Whether what is called left a sandbox as an interface.
    pub(super) fn released(&self) -> bool {
        self.released
    }

    pub(super) fn via(&self) -> Via<'_> {
        match &self.request {
            Some(request) if self.released => Via::Released(request),
            Some(request) => Via::Request(request),
            None => Via::Open,
        }
    }
}

/// A resource as it stands in one epoch, read once for all its callers.
pub(super) struct Known {
    epoch: u64,
    pub(super) entry: Arc<Entry>,
    /// Whether the serving copy holds its rows.
    pub(super) served: bool,
}

impl Known {
    async fn of(app: &App, epoch: u64, entry: Entry) -> Result<Self> {
        let served = app.store.serving().position(&entry.id).await?.is_some();
        Ok(Self { epoch, entry: Arc::new(entry), served })
    }

    /// About how much it takes, in columns.
    pub(super) fn weight(&self) -> u32 {
        u32::try_from(self.entry.draft.items.len()).unwrap_or(u32::MAX).max(1)
    }
}

/// The resource and the approved share application behind the call (none: as open data).
pub(crate) async fn resolve(app: &App, op: &Op, code: &str) -> Result<(Entry, Option<Request>)> {
    let known = known(app, in_scope(op, code)?).await?;
    let request = behind(app, op, &known.entry).await?;
    Ok((Entry::clone(&known.entry), request))
}

/// Whether a caller may know of a resource of this code, granted or not.
pub(crate) async fn knows(app: &App, op: &Op, code: &str) -> Result<bool> {
    match resolve(app, op, code).await {
        Ok(_) => Ok(true),
        Err(e) if e.kind().ours() => Err(e),
        Err(e) => Ok(e.code() != Code::NotFound),
    }
}

fn missing(code: &str) -> Error {
    Error::not_found("资源", "resource", &code.chars().take(80).collect::<String>())
}

/// The resource of a code the caller's token reaches.
async fn known(app: &App, Reached(code): Reached<'_>) -> Result<Arc<Known>> {
    let epoch = app.shares.epoch();
    if let Some(known) = app.shares.resources.get(code).filter(|k| k.epoch == epoch) {
        return Ok(known);
    }
    let found = app.store.entry_get(code).await?.filter(|e| e.draft.code == code);
    let entry = found.ok_or_else(|| missing(code))?;
    let known = Arc::new(Known::of(app, epoch, entry).await?);
    app.shares.resources.insert(code.to_owned(), Arc::clone(&known));
    Ok(known)
}

/// The approved share application behind a call; none: as open data. What the caller may not know of is not found; a 403
/// never leaks what a 404 hides.
async fn behind(app: &App, op: &Op, entry: &Entry) -> Result<Option<Request>> {
    let code = &entry.draft.code;
    if let Actor::Application { id, .. } = &op.actor {
        if let Some(r) = app.store.request_newest(id, &entry.id, &[RequestState::Approved]).await? {
            crate::restricted::clean_use(app, op, &r).await?;
            return Ok(Some(r));
        }
        if !entry.freely_open() {
            // One that has ended says so.
            let ended = [RequestState::Expired, RequestState::Revoked];
            if let Some(r) = app.store.request_newest(id, &entry.id, &ended).await? {
                return Err(over(code, r.state));
            }
        }
    }
    if entry.freely_open() {
        return Ok(None);
    }
    if !app.policy.decide(op, Action::EntryRead, &Target::entry(entry)).allowed {
        return Err(missing(code));
    }
    if matches!(op.actor, Actor::Nobody) {
        return Err(Error::new(
            Code::NoGrant,
            format!(
                "`{code}` 不是无条件开放的数据，而本次调用没有签名或访问令牌：获批的应用请按门户 /help/api 签名，尚未申请的请先在共享平台申请"
            ),
            format!(
                "`{code}` is not open without conditions, and this call bears neither signature nor token: an application that was approved signs as the portal's /help/api says; apply first if none was"
            ),
        ));
    }
    Err(Error::new(
        Code::NoGrant,
        format!("对 `{code}` 没有有效的共享授权，请在共享平台申请，通过后再调用"),
        format!(
            "there is no valid grant for `{code}`: apply for it on the platform, then call again"
        ),
    ))
}

/// That the share application by which a resource was called has ended.
fn over(code: &str, state: RequestState) -> Error {
    let (zh, en) = match state {
        RequestState::Revoked => {
            ("已被撤销，如仍需使用请重新申请", "was revoked: apply anew if it is still needed")
        }
        _ => ("已到期，请续期或重新申请", "has expired: apply anew, or for a longer period"),
    };
    Error::new(
        Code::GrantExpired,
        format!("对 `{code}` 的共享授权{zh}"),
        format!("the grant for `{code}` {en}"),
    )
}

/// A code that the caller's token reaches. Only [`in_scope`] makes one, and without one no resource is looked up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reached<'a>(&'a str);

/// A token that was limited to some codes reaches no other.
pub(super) fn in_scope<'a>(op: &Op, code: &'a str) -> Result<Reached<'a>> {
    if op.reaches(code) {
        return Ok(Reached(code));
    }
    Err(Error::new(
        Code::NoGrant,
        "访问令牌的范围（scope）不含该资源，请以包含它的范围重新取得令牌",
        "the scope of the access token does not hold this resource: fetch a token whose scope does",
    )
    .with_reasons(vec![model::op::OUT_OF_SCOPE.to_owned()]))
}
