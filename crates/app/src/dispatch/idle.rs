//! Idle resources: found by the measuring job, proposed for reclaiming by the authority, given back or kept by the word of
//! whoever has them. Nothing is taken without the owner's confirmation, and every step is recorded.

use chrono::{Days, NaiveDate};
use model::asset::Asset;
use model::audit::AuditEvent;
use model::dispatch::{Idle, IdleKind, Reclaim, ReclaimState};
use model::{Code, Error, Op, Result};
use policy::{Action, Target};
use store::dispatch::OrgScope;
use store::idle::IdleFilter;

use super::quota::{scope, words};
use super::rules::rules;
use crate::{App, Page, account, audit, ledger, sharing};

fn target(org: &str, region: &str, id: &str) -> Target {
    Target { region: Some(region.to_owned()), ..Target::of_org("Reclaim", id, org) }
}

/// Day until which (or longer) something must have been idle to be told.
fn until(app: &App, op: &Op, kind: Option<IdleKind>) -> Result<NaiveDate> {
    let rules = &rules(app, op)?.idle;
    // Grants and applications are measured with their own number of days.
    let days = if kind.is_none_or(|k| k == IdleKind::Cloud) { rules.days } else { 0 };
    Ok(op.today() - Days::new(u64::try_from(days).unwrap_or(0)))
}

/// A page of what lies idle, longest first: cloud resources, or what nobody calls.
pub async fn idle(
    app: &App,
    op: &Op,
    kind: IdleKind,
    org: Option<&str>,
    after: Option<&str>,
    limit: u32,
) -> Result<Page<Idle>> {
    let scope = scope(app, op).await?;
    let org = match scope {
        OrgScope::All => org,
        OrgScope::Of(own) => Some(own),
    };
    let limit = if limit == 0 { 50 } else { limit.min(500) };
    let (until, today) = (until(app, op, Some(kind))?.to_string(), op.today().to_string());
    let filter =
        IdleFilter { kind: Some(kind), org, until: &until, today: &today, after, limit: limit + 1 };
    let items = app.store.idle_list(&filter).await?;
    Ok(Page::cut(items, limit, |i| format!("{} {} {}", i.since, i.kind, i.thing)))
}

/// Proposes that something idle is reclaimed; its organisation answers within working days.
pub async fn propose(
    app: &App,
    op: &Op,
    kind: IdleKind,
    thing: &str,
    reason: &str,
) -> Result<Reclaim> {
    let missing =
        || Error::not_found("闲置资源", "idle thing", &thing.chars().take(64).collect::<String>());
    let idle = app.store.idle_get(kind, thing).await?.ok_or_else(missing)?;
    let own = Target::of_org("Quota", thing, &idle.org);
    if !app.policy.decide(op, Action::DispatchRead, &own).allowed {
        return Err(missing());
    }
    let target = target(&idle.org, &idle.region, thing);
    let permit = audit::permit(app, op, Action::ReclaimPropose, &target).await?;
    let reason = words(reason)?;
    if idle.since > until(app, op, Some(kind))?.to_string() {
        return Err(Error::new(
            Code::RuleBroken,
            "闲置天数未达到规则要求",
            "it has not been idle for as long as the rules ask",
        ));
    }
    let due = app.calendar.add_working_days(op.today(), rules(app, op)?.idle.answer_days);
    let new = Reclaim {
        id: op.new_id(),
        kind,
        thing: idle.thing,
        org: idle.org,
        region: idle.region,
        title: idle.title,
        percent: idle.percent,
        since: idle.since,
        state: ReclaimState::Proposed,
        reason,
        proposed_by: op.actor.id().to_owned(),
        proposed_by_name: op.actor.name().to_owned(),
        proposed_at: op.stamp(),
        due: due.to_string(),
        answered_by_name: String::new(),
        answered_at: None,
        answer: String::new(),
        keep_until: String::new(),
    };
    app.store.reclaim_insert(&permit, &new).await?;
    app.boards.forget();
    record(app, op, "reclaim.propose", &new, &new.reason).await?;
    Ok(new)
}

async fn record(app: &App, op: &Op, word: &str, of: &Reclaim, reason: &str) -> Result<()> {
    let event = AuditEvent {
        scope: format!("{} {}", of.kind, of.thing),
        reason: reason.to_owned(),
        purpose: of.title.clone(),
        ..audit::event(op, word, &of.id)
    };
    audit::record(app, event).await
}

/// One proposal, if the caller may know of it; people by the names shown.
pub async fn reclaim(app: &App, op: &Op, id: &str) -> Result<Reclaim> {
    let found = app.store.reclaim_get(id).await?;
    let mut found = found
        .filter(|r| {
            let own = Target::of_org("Quota", &r.id, &r.org);
            app.policy.decide(op, Action::DispatchRead, &own).allowed
        })
        .ok_or_else(|| Error::not_found("回收提议", "proposal to reclaim", id))?;
    let proposed = vec![(found.proposed_by.as_str(), &mut found.proposed_by_name)];
    account::named(app, proposed).await?;
    account::logins_named(app, vec![&mut found.answered_by_name]).await?;
    Ok(found)
}

/// A page of proposals, newest first.
pub async fn reclaims(
    app: &App,
    op: &Op,
    state: Option<ReclaimState>,
    after: Option<&str>,
    limit: u32,
) -> Result<Page<Reclaim>> {
    let scope = scope(app, op).await?;
    let limit = if limit == 0 { 50 } else { limit.min(500) };
    let items = app.store.reclaims(state, scope, after, limit + 1).await?;
    Ok(Page::cut(items, limit, |r| r.id.clone()))
}

/// What the owner says: `keep_until` none gives the thing back, some keeps it until that day, with the reason.
pub async fn answer(
    app: &App,
    op: &Op,
    id: &str,
    keep_until: Option<NaiveDate>,
    reason: &str,
) -> Result<Reclaim> {
    let found = reclaim(app, op, id).await?;
    let target = Target {
        owner: Some(found.proposed_by.clone()),
        ..target(&found.org, &found.region, &found.id)
    };
    let permit = audit::permit(app, op, Action::ReclaimAnswer, &target).await?;
    if found.state != ReclaimState::Proposed {
        return Err(Error::new(
            Code::WrongState,
            "该提议已办结，请刷新后查看",
            "the proposal is answered already, reload to see it",
        ));
    }
    match keep_until {
        Some(day) => {
            let reason = words(reason)?;
            let most = rules(app, op)?.idle.keep_most_days;
            let last = op.today() + Days::new(u64::try_from(most).unwrap_or(0));
            if day <= op.today() || day > last {
                return Err(Error::invalid(
                    format!("保留期限应在明日至 {last} 之间"),
                    format!("it can be kept until a day from tomorrow to {last}"),
                )
                .field("until", "请修改日期", "change the day"));
            }
            let day = day.to_string();
            let state = ReclaimState::Objected;
            app.store.reclaim_answer(&permit, op, id, state, &reason, &day).await?;
            record(app, op, "reclaim.object", &found, &format!("{reason} ({day})")).await?;
        }
        None => {
            let words: String = reason.trim().chars().take(500).collect();
            take(app, op, &found, &words).await?;
            let state = ReclaimState::Confirmed;
            app.store.reclaim_answer(&permit, op, id, state, &words, "").await?;
            record(app, op, "reclaim.confirm", &found, &words).await?;
        }
    }
    app.boards.forget();
    reclaim(app, op, id).await
}

/// Takes a proposal back that nobody has answered.
pub async fn withdraw(app: &App, op: &Op, id: &str, reason: &str) -> Result<Reclaim> {
    let found = reclaim(app, op, id).await?;
    let target = target(&found.org, &found.region, &found.id);
    let permit = audit::permit(app, op, Action::ReclaimPropose, &target).await?;
    let reason = words(reason)?;
    app.store.reclaim_answer(&permit, op, id, ReclaimState::Withdrawn, &reason, "").await?;
    app.boards.forget();
    record(app, op, "reclaim.withdraw", &found, &reason).await?;
    reclaim(app, op, id).await
}

/// Gives the thing back: a cloud resource moves along its life cycle, a grant is revoked, an application is stopped. Done
/// twice it changes nothing, so that an answer that could not be kept may be given again.
async fn take(app: &App, op: &Op, of: &Reclaim, words: &str) -> Result<()> {
    let system = Op { actor: model::Actor::System, ..op.clone() };
    let work =
        app.policy.permit(&system, Action::SystemWork, &Target::plain("System", "platform"))?;
    let reason = format!("reclaim {}: {words}", of.id);
    match of.kind {
        IdleKind::Cloud => {
            let goal = &rules(app, op)?.idle.cloud_to;
            let missing = || Error::not_found("云资源", "cloud resource", &of.thing);
            let asset: Asset = app.store.asset_get(&of.thing).await?.ok_or_else(missing)?;
            if asset.state != *goal {
                ledger::carry(app, op, &work, &asset, goal, &reason).await?;
            }
        }
        IdleKind::Grant => sharing::give_up(app, op, &work, &of.thing, &reason).await?,
        IdleKind::Application => account::stop(app, op, &work, &of.thing).await?,
    }
    app.store.idle_forget(&work, of.kind, &of.thing).await
}
