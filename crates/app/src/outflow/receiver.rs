//! What the desks of flows and of deliveries (`crate::delivery`) do alike for the body that receives: find the share application
//! that rows go by, offer those that there are, say what would go and what stands in the way, forget a position at a target.

use model::request::{Request, RequestFilter, RequestState};
use model::{Code, Error, Op, Result};
use policy::port::{OutletAddress, OutletSurvey};
use policy::{Action, Permit, Target};
use serde::Serialize;
use store::request::RequestScope;

use super::granted::{self, Granted, Wanted};
use crate::{App, Page, audit};

/// An approved share application that rows can be sent by.
#[derive(Clone, Debug, Serialize)]
pub struct Offer {
    pub request: String,
    pub entry: String,
    pub entry_code: String,
    pub entry_title: String,
    pub application_name: String,
    pub expires_at: Option<String>,
    /// Why none can be, in both languages.
    pub fault: Option<(String, String)>,
}

/// Who may keep something: the action, and what it is done to between a body that provides and one that receives.
pub(crate) type Keeping = (Action, fn(provider: &str, org: &str) -> Target);

/// Whether the caller keeps what its organisation receives (to show or hide a link).
pub(crate) fn may_keep(app: &App, op: &Op, (action, target): Keeping) -> bool {
    app.may(op, action, &target("", op.actor.org().unwrap_or_default()))
}

/// A share application with the permit to send rows by it. One that is not the caller's is not found.
pub(crate) async fn agreed(
    app: &App,
    op: &Op,
    (action, target): Keeping,
    id: &str,
) -> Result<(Request, Permit)> {
    let missing = || Error::not_found("已通过的共享申请", "approved share application", id);
    let request = app.store.request_get(id).await?.ok_or_else(missing)?;
    match app.policy.permit(op, action, &target(&request.provider, &request.org)) {
        Ok(permit) => Ok((request, permit)),
        Err(refusal) => {
            audit::refused(app, op, action.as_str(), id, &refusal).await?;
            Err(match refusal.code() {
                Code::Denied => missing(),
                _ => refusal,
            })
        }
    }
}

/// Approved share applications of the caller's organisation that `fit`, newest first, and whether what is wanted can be sent by
/// each.
pub(crate) async fn offers(
    app: &App,
    op: &Op,
    (action, target): Keeping,
    (after, limit): (Option<&str>, u32),
    fit: impl Fn(&Request) -> bool,
    wanted: Wanted<'_>,
) -> Result<Page<Offer>> {
    let org = op.actor.org().unwrap_or_default().to_owned();
    audit::permit(app, op, action, &target("", &org)).await?;
    let limit = if limit == 0 { 50 } else { limit.min(200) };
    let filter = RequestFilter {
        org: Some(org),
        state: Some(RequestState::Approved),
        after: after.map(str::to_owned),
        limit: limit + 1,
        ..RequestFilter::default()
    };
    let requests = app.store.request_list(&filter, &RequestScope::All).await?;
    let Page { items: requests, next } = Page::cut(requests, limit, |r| r.id.clone());
    let mut items = Vec::new();
    for request in requests.into_iter().filter(fit) {
        let fault = granted::by_request(app, &request, wanted).await.err();
        items.push(Offer {
            fault: fault.map(|e| (e.zh().to_owned(), e.en().to_owned())),
            request: request.id,
            entry: request.entry,
            entry_code: request.entry_code,
            entry_title: request.entry_title,
            application_name: request.application_name,
            expires_at: request.expires_at,
        });
    }
    Ok(Page { items, next })
}

/// What would go out of each row: `identifier`, name, mask, key.
pub(crate) fn columns(granted: &Granted) -> Vec<(String, String, String, bool)> {
    let grant = &granted.grant;
    let mask = |name: &str| grant.column(name).and_then(|c| c.mask.as_ref()).map(|m| m.label());
    granted
        .columns
        .iter()
        .map(|c| (c.name.clone(), c.title.clone(), mask(&c.name).unwrap_or_default(), c.key))
        .collect()
}

/// Fails with all that stands in the way at a target.
pub(crate) fn ready(survey: &OutletSurvey) -> Result<()> {
    let mut error = Error::new(
        Code::RuleBroken,
        "目标库尚不满足投送的条件",
        "the target cannot be delivered to yet",
    );
    for (zh, en) in &survey.faults {
        error = error.field("table", zh.clone(), en.clone());
    }
    if error.fields().is_empty() { Ok(()) } else { Err(error) }
}

/// Forgets the position at a target; with `force` also where the target cannot be reached, which is said in the log.
pub(crate) async fn forget(app: &App, at: &OutletAddress, force: bool) -> Result<()> {
    match app.outflows.port.forget(at).await {
        Ok(()) => Ok(()),
        Err(error) if force => {
            tracing::warn!(
                flow.id = at.flow,
                error = error.operator_text(),
                "a flow or delivery was removed without its position at the target"
            );
            Ok(())
        }
        Err(error) => Err(Error::new(
            Code::SourceUnavailable,
            format!("无法连接目标库清除投送位置：{}；请稍后重试，或强制移除", error.zh()),
            format!(
                "the position at the target could not be removed: {}; try again, or remove by force",
                error.en()
            ),
        )),
    }
}
