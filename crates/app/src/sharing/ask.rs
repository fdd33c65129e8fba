//! Applications are filed, decided by provider and authority, withdrawn, revoked, and end.

use chrono::{DateTime, NaiveDate, TimeDelta, TimeZone as _, Utc};
use model::account::Role;
use model::audit::AuditEvent;
use model::code::ShareType;
use model::entry::Entry;
use model::request::{Period, Request, RequestNew, RequestState, RequestWay};
use model::{Code, Error, FieldError, Op, Result};
use policy::{Action, Permit, Target};
use store::request::RequestChange;

use super::agreed::{Prepared, prepare};
use super::look::visible;
use super::rows;
use crate::App;
use crate::audit;

/// By which way the caller asks for data: public bodies by the share attribute, enterprises and citizens by the open one.
#[must_use]
pub fn way(op: &Op) -> RequestWay {
    let outside = op.actor.has(Role::Enterprise) || op.actor.has(Role::Citizen);
    if outside && !op.actor.has(Role::Consumer) { RequestWay::Open } else { RequestWay::Share }
}

/// Whether the caller could apply for the entry, with an application of its organisation or one of its own.
#[must_use]
pub fn may_apply(app: &App, op: &Op, entry: &Entry) -> bool {
    let way = way(op);
    let target = Target {
        applicant_org: op.actor.org().map(str::to_owned),
        owner: Some(op.actor.id().to_owned()),
        way: Some(way.as_str().to_owned()),
        ..Target::entry(entry)
    };
    let own = Target { applicant_org: None, ..target.clone() };
    let may = |target| app.policy.decide(op, Action::RequestSubmit, target).allowed;
    may(&target) || (way == RequestWay::Open && may(&own))
}

/// Most calls a day that an unconditional share grants at once.
#[must_use]
pub fn calls_at_once_most(app: &App) -> u64 {
    app.policy.calls_at_once_most()
}

/// Files an application; an unconditional share is approved at once, unless more calls are wanted than the rules let
/// through without a person looking.
pub async fn apply(app: &App, op: &Op, new: RequestNew) -> Result<Request> {
    let Prepared { mut request, permit, at_once, .. } = prepare(app, op, &new).await?;
    end_if_over(app, op, &request).await?;
    if at_once {
        request.state = RequestState::Approved;
        request.expires_at = end_of(op, &request.period)?;
    } else {
        request.due = Some(due(app, op));
    }
    app.store.request_insert(&permit, op, &request).await?;
    settled(app, op, "request.submit", &request, String::new()).await?;
    visible(app, op, &request.id).await
}

pub(super) fn request(
    op: &Op,
    entry: &Entry,
    application: &model::account::Application,
    way: RequestWay,
    new: RequestNew,
) -> Request {
    let mut items: Vec<String> = Vec::with_capacity(new.items.len());
    for item in new.items {
        if !items.contains(&item) {
            items.push(item);
        }
    }
    Request {
        id: op.new_id(),
        entry: entry.id.clone(),
        entry_code: entry.draft.code.clone(),
        entry_title: entry.draft.title.clone(),
        provider: entry.draft.org.clone(),
        application: application.id.clone(),
        application_name: application.name.clone(),
        org: application.org.clone(),
        way,
        region: entry.draft.region.clone(),
        items,
        scene: new.scene.trim().to_owned(),
        legal_basis: new.legal_basis.trim().to_owned(),
        period: new.period,
        calls_per_day: new.calls_per_day,
        area_range: new.area_range.trim().to_owned(),
        row_range: rows::tidy(entry, new.row_range),
        by_sql: new.by_sql,
        state: RequestState::ProviderAuditing,
        due: None,
        expires_at: None,
        applicant: op.actor.id().to_owned(),
        created_at: op.stamp(),
        updated_at: op.stamp(),
    }
}

/// Whether entry and every item wanted are shared without condition.
pub(super) fn unconditional(entry: &Entry, items: &[String]) -> bool {
    entry.draft.share_type == ShareType::Unconditional
        && items
            .iter()
            .all(|i| entry.draft.item(i).is_some_and(|i| i.share_type == ShareType::Unconditional))
}

pub(super) fn check(op: &Op, entry: &Entry, request: &Request, at_once: bool) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let mut add = |field: &str, zh: String, en: String| {
        faults.push(FieldError { field: field.into(), zh, en });
    };
    if request.items.is_empty() {
        add("items", "请至少选择一个数据项".into(), "choose at least one item".into());
    }
    for identifier in &request.items {
        match entry.draft.item(identifier) {
            None => add(
                "items",
                format!("目录没有数据项 `{identifier}`"),
                format!("the entry has no item `{identifier}`"),
            ),
            Some(item) if !request.way.offers(item) => match request.way {
                RequestWay::Share => add(
                    "items",
                    format!("数据项 `{}` 不共享，不能申请", item.name_cn),
                    format!("the item `{identifier}` is not shared"),
                ),
                RequestWay::Open => add(
                    "items",
                    format!("数据项 `{}` 不向社会开放，不能申请", item.name_cn),
                    format!("the item `{identifier}` is not open"),
                ),
            },
            Some(_) => {}
        }
    }
    if request.scene.is_empty() || request.scene.chars().count() > 2000 {
        add(
            "scene",
            "请填写使用场景（最多 2000 字）".into(),
            "say what the data are for (2000 characters at most)".into(),
        );
    }
    if !at_once && request.legal_basis.is_empty() {
        add(
            "legal_basis",
            "须审核的申请应写明依据".into(),
            "an application that people decide needs a legal basis".into(),
        );
    }
    if !request.area_range.is_empty() && model::region::level_of(&request.area_range).is_err() {
        add(
            "area_range",
            "区域范围应为 6 位行政区划代码".into(),
            "the area range must be a six-digit region code".into(),
        );
    }
    match &request.period {
        Period::Days { days } if !(1..=3650).contains(days) => add(
            "days",
            "有效期应为 1 至 3650 天".into(),
            "the period must be 1 to 3650 days".into(),
        ),
        Period::Until { date } if date.parse::<NaiveDate>().map_or(true, |d| d < op.today()) => {
            add(
                "date",
                "截止日期应为今天或以后的日期（YYYY-MM-DD）".into(),
                "the last day must be today or later (YYYY-MM-DD)".into(),
            )
        }
        _ => {}
    }
    faults
}

pub(super) fn refuse_faults(faults: Vec<FieldError>) -> Result<()> {
    let Some(first) = faults.first() else { return Ok(()) };
    let (zh, en) = (first.zh.clone(), first.en.clone());
    Err(Error::new(Code::RuleBroken, zh, en).with_fields(faults))
}

/// First instant at which a grant approved now no longer holds; `None` = long term.
pub(crate) fn end_of(op: &Op, period: &Period) -> Result<Option<String>> {
    let end: DateTime<Utc> = match period {
        Period::Long => return Ok(None),
        Period::Days { days } => op.at + TimeDelta::days(i64::from(*days)),
        Period::Until { date } => {
            let day: NaiveDate = date.parse().map_err(|_| bad_date(date))?;
            let next = day.succ_opt().and_then(|d| d.and_hms_opt(0, 0, 0));
            let midnight = next.and_then(|t| model::op::china().from_local_datetime(&t).single());
            midnight.ok_or_else(|| bad_date(date))?.with_timezone(&Utc)
        }
    };
    if end <= op.at {
        return Err(Error::new(
            Code::RuleBroken,
            "申请的截止日期已过，不能通过，请驳回后由申请人重新提交",
            "the last day applied for is over: reject it, so that the applicant files it anew",
        ));
    }
    Ok(Some(model::op::stamp(end)))
}

fn bad_date(date: &str) -> Error {
    Error::invalid(
        format!("`{date}` 不是有效日期（YYYY-MM-DD）"),
        format!("`{date}` is not a date (YYYY-MM-DD)"),
    )
}

/// Day by which the next reviewer must answer.
fn due(app: &App, op: &Op) -> String {
    app.calendar.add_working_days(op.today(), app.rules.review.share_days).to_string()
}

/// An approved application whose time is over, but which no one has closed yet, must not stand in the way.
pub(super) async fn end_if_over(app: &App, op: &Op, new: &Request) -> Result<()> {
    let approved = [RequestState::Approved];
    let old = app.store.request_newest(&new.application, &new.entry, &approved).await?;
    let now = op.stamp();
    if let Some(old) = old.filter(|r| r.expires_at.as_ref().is_some_and(|end| *end <= now)) {
        let system = Op::system(op.at);
        end(app, &system, &permit_work(app, &system)?, &old).await?;
    }
    Ok(())
}

fn permit_work(app: &App, system: &Op) -> Result<Permit> {
    app.policy.permit(system, Action::SystemWork, &Target::plain("System", "platform"))
}

async fn end(app: &App, system: &Op, permit: &Permit, request: &Request) -> Result<()> {
    let change = RequestChange {
        to: RequestState::Expired,
        due: None,
        expires_at: request.expires_at.clone(),
        action: "expire",
        reason: String::new(),
    };
    app.store.request_move(permit, system, request, &change).await?;
    settled(app, system, "request.expire", request, String::new()).await
}

/// Decides the present stage (provider, then authority). A refusal needs a reason.
pub async fn review(app: &App, op: &Op, id: &str, approve: bool, reason: &str) -> Result<Request> {
    let request = visible(app, op, id).await?;
    let reason = reason.trim();
    let (action, to, due, expires_at) = match request.state {
        RequestState::ProviderAuditing if approve => (
            Action::RequestReviewProvider,
            RequestState::AuthorityAuditing,
            Some(due(app, op)),
            None,
        ),
        RequestState::ProviderAuditing => {
            (Action::RequestReviewProvider, RequestState::Rejected, None, None)
        }
        RequestState::AuthorityAuditing if approve => (
            Action::RequestReviewAuthority,
            RequestState::Approved,
            None,
            end_of(op, &request.period)?,
        ),
        RequestState::AuthorityAuditing => {
            (Action::RequestReviewAuthority, RequestState::Rejected, None, None)
        }
        state => return Err(wrong_state(state)),
    };
    let permit = audit::permit(app, op, action, &Target::request(&request)).await?;
    if !approve && reason.is_empty() {
        return Err(reason_needed("驳回", "a refusal"));
    }
    let word = if approve { "approve" } else { "reject" };
    if approve && request.state == RequestState::AuthorityAuditing {
        other_eyes(app, op, &request).await?;
    }
    let change = RequestChange { to, due, expires_at, action: word, reason: reason.to_owned() };
    moved(app, op, &permit, &request, change).await
}

/// Whether the caller approved the application at an earlier stage.
pub(super) async fn approved_before(app: &App, op: &Op, request: &Request) -> Result<bool> {
    let steps = app.store.request_steps(&request.id).await?;
    Ok(steps.iter().any(|s| s.action == "approve" && s.actor == op.actor.id()))
}

/// The two stages are decided by two people.
async fn other_eyes(app: &App, op: &Op, request: &Request) -> Result<()> {
    if approved_before(app, op, request).await? {
        let refusal = Error::new(
            Code::Denied,
            "您已代表数源单位审核过此申请，主管部门审核须由他人进行",
            "you decided this application as the provider: someone else must decide as the authority",
        )
        .with_reasons(vec!["four-eyes".into()]);
        audit::refused(app, op, "request.approve", &request.id, &refusal).await?;
        return Err(refusal);
    }
    Ok(())
}

/// The applicant withdraws: what is under review, or what was approved and is no longer needed.
pub async fn undo(app: &App, op: &Op, id: &str, reason: &str) -> Result<Request> {
    let request = visible(app, op, id).await?;
    let permit = audit::permit(app, op, Action::RequestUndo, &Target::request(&request)).await?;
    if !can_undo(request.state) {
        return Err(wrong_state(request.state));
    }
    let change = RequestChange {
        to: RequestState::Undone,
        due: None,
        expires_at: None,
        action: "undo",
        reason: reason.trim().to_owned(),
    };
    moved(app, op, &permit, &request, change).await
}

pub(super) fn can_undo(state: RequestState) -> bool {
    matches!(
        state,
        RequestState::ProviderAuditing | RequestState::AuthorityAuditing | RequestState::Approved
    )
}

/// Provider or authority revokes what was approved; calls stop at once.
pub async fn revoke(app: &App, op: &Op, id: &str, reason: &str) -> Result<Request> {
    let request = visible(app, op, id).await?;
    let permit = audit::permit(app, op, Action::RequestRevoke, &Target::request(&request)).await?;
    if request.state != RequestState::Approved {
        return Err(wrong_state(request.state));
    }
    if reason.trim().is_empty() {
        return Err(reason_needed("撤销授权", "a revocation"));
    }
    let change = RequestChange {
        to: RequestState::Revoked,
        due: None,
        expires_at: Some(op.stamp()),
        action: "revoke",
        reason: reason.trim().to_owned(),
    };
    moved(app, op, &permit, &request, change).await
}

/// Ends a grant that its own organisation gives back (`permit` is the platform's); one that has ended stays so.
pub(crate) async fn give_up(
    app: &App,
    op: &Op,
    permit: &Permit,
    id: &str,
    reason: &str,
) -> Result<()> {
    let missing = || Error::not_found("申请", "application", id);
    let request = app.store.request_get(id).await?.ok_or_else(missing)?;
    if request.state != RequestState::Approved {
        return Ok(());
    }
    let change = RequestChange {
        to: RequestState::Revoked,
        due: None,
        expires_at: Some(op.stamp()),
        action: "revoke",
        reason: reason.to_owned(),
    };
    moved(app, op, permit, &request, change).await.map(|_| ())
}

/// Closes what has expired; answers how many.
pub async fn expire(app: &App, op: &Op) -> Result<u64> {
    let permit = permit_work(app, op)?;
    let mut closed = 0;
    loop {
        let ended = app.store.requests_ended(&op.stamp()).await?;
        let mut moved = 0;
        for request in &ended {
            match end(app, op, &permit, request).await {
                Ok(()) => moved += 1,
                // Someone else was quicker.
                Err(e) if e.code() == Code::WrongState => {}
                Err(e) => return Err(e),
            }
        }
        closed += moved;
        if moved == 0 {
            return Ok(closed);
        }
    }
}

async fn moved(
    app: &App,
    op: &Op,
    permit: &Permit,
    request: &Request,
    change: RequestChange,
) -> Result<Request> {
    app.store.request_move(permit, op, request, &change).await?;
    let word = format!("request.{}", change.action);
    settled(app, op, &word, request, change.reason).await?;
    let now = app.store.request_get(&request.id).await?;
    now.ok_or_else(|| Error::not_found("申请", "application", &request.id))
}

pub(super) async fn settled(
    app: &App,
    op: &Op,
    word: &str,
    request: &Request,
    reason: String,
) -> Result<()> {
    app.shares.forget();
    let scope = match request.row_range.any() {
        true => format!("{} {}", request.entry_code, request.row_range),
        false => request.entry_code.clone(),
    };
    let event = AuditEvent {
        columns: request.items.join(","),
        purpose: request.scene.clone(),
        request: request.id.clone(),
        scope,
        reason,
        ..audit::event(op, word, &request.id)
    };
    audit::record(app, event).await
}

pub(super) fn wrong_state(state: RequestState) -> Error {
    Error::new(
        Code::WrongState,
        format!("申请处于“{}”，不能进行此操作", state.zh()),
        format!("the application is `{}`: this cannot be done", state.as_str()),
    )
}

pub(super) fn reason_needed(zh: &str, en: &str) -> Error {
    Error::invalid(format!("{zh}须写明理由"), format!("{en} needs a reason")).field(
        "reason",
        "请填写理由",
        "give a reason",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Actor;

    fn op(at: &str) -> Op {
        Op::new(Actor::Nobody, "r".into(), "-".into(), at.parse().unwrap())
    }

    #[test]
    fn periods_end_when_they_say() {
        let now = op("2026-03-02T01:00:00Z");
        let end = |p| end_of(&now, &p).unwrap();
        assert_eq!(end(Period::Long), None);
        assert_eq!(end(Period::Days { days: 30 }).as_deref(), Some("2026-04-01T01:00:00.000Z"));
        // The last day of use is a day in China.
        let until = |date: &str| Period::Until { date: date.into() };
        assert_eq!(end(until("2026-03-02")).as_deref(), Some("2026-03-02T16:00:00.000Z"));
        assert_eq!(end_of(&now, &until("2026-03-01")).unwrap_err().code(), Code::RuleBroken);
        assert!(end_of(&now, &until("2026-13-01")).is_err());
    }
}
