//! What an agreement in force stands for: the grants that are made when it comes into force and end when it does.

use model::request::{Period, RequestNew, RequestState, RequestWay};
use model::restricted::{UseApplication, UseDeed, UseSide, UseState};
use model::{Op, Result};
use policy::Permit;

use super::file::event;
use super::{stale, tell};
use crate::sharing::{self, Agreed};
use crate::{App, audit};

/// Makes the grants, and ends what is renewed. What cannot be granted now (the calling application is stopped, a resource is offline)
/// is recorded and tried again by the job, as is what a death left undone: until then nothing is given.
pub(super) async fn begin(app: &App, op: &Op, a: &UseApplication) {
    let done = async {
        let (system, permit) = app.platform(op)?;
        settle(app, &system, &permit, a).await.map(|_| ())
    };
    if let Err(e) = done.await {
        tracing::warn!(error = e.operator_text(), "an agreement in force could not be granted yet");
        let mut record = audit::refusal(op, "restricted.grant", &a.number, &e);
        record.result = "failed".into();
        if let Err(e) = audit::record(app, record).await {
            tracing::error!(error = %e.operator_text(), "a failed grant could not be recorded");
        }
    }
}

/// Makes the grants of what is in force, ends those of what is not, and notes that it is done; answers how many were made.
pub(super) async fn settle(
    app: &App,
    system: &Op,
    permit: &Permit,
    a: &UseApplication,
) -> Result<u64> {
    let made = match a.state {
        UseState::InForce | UseState::Suspended => {
            succeed(app, system, permit, a).await?;
            grants(app, system, permit, a).await?
        }
        // They end by themselves with the same day.
        UseState::Expired => 0,
        _ => {
            end_grants(app, system, a, &a.reason).await?;
            0
        }
    };
    app.store.restricted_settled(permit, &a.id, a.edit).await?;
    Ok(made)
}

/// Ends what an agreement in force renews, which holds the same grants. Done twice, nothing changes.
async fn succeed(app: &App, system: &Op, permit: &Permit, a: &UseApplication) -> Result<()> {
    if a.renews.is_empty() {
        return Ok(());
    }
    let Some(old) = app.store.restricted_get(&a.renews).await? else { return Ok(()) };
    let reason = format!("由 {} 续期", a.number);
    if old.state.agreed()
        && !over(app, system, permit, old.clone(), UseState::Renewed, &reason).await?
    {
        // Somebody changed it meanwhile: the next round finds it as it is then.
        return Err(stale());
    }
    end_grants(app, system, &old, &reason).await
}

/// Makes what is missing of the grants of an agreement in force; answers how many.
async fn grants(app: &App, system: &Op, permit: &Permit, a: &UseApplication) -> Result<u64> {
    let mut made = 0;
    let method = app.rules.restricted.method(&a.method);
    for entry in &a.entries {
        if app.store.request_get(&entry.grant).await?.is_some() {
            continue;
        }
        let agreed = Agreed {
            id: entry.grant.clone(),
            new: RequestNew {
                entry: entry.id.clone(),
                application: a.application.clone(),
                items: entry.items.clone(),
                scene: a.purpose.clone(),
                legal_basis: format!("开放利用协议 {}", a.number),
                period: Period::Until { date: a.until.to_string() },
                calls_per_day: a.calls_per_day,
                area_range: String::new(),
                row_range: Default::default(),
                by_sql: method.is_some_and(|m| m.sandbox),
            },
            applicant: a.applicant.clone(),
            applicant_org: a.org.clone(),
            way: RequestWay::Open,
            approval: a.number.clone(),
        };
        sharing::grant_agreed(app, system, permit, agreed).await?;
        made += 1;
    }
    Ok(made)
}

/// Ends the grants at once: the next call finds none.
pub(super) async fn end_grants(app: &App, op: &Op, a: &UseApplication, reason: &str) -> Result<()> {
    let (system, permit) = app.platform(op)?;
    for entry in &a.entries {
        let there = app.store.request_get(&entry.grant).await?;
        if there.is_some_and(|r| r.state == RequestState::Approved) {
            sharing::give_up(app, &system, &permit, &entry.grant, reason).await?;
        }
    }
    Ok(())
}

/// The platform ends an application; answers whether it did.
pub(super) async fn over(
    app: &App,
    system: &Op,
    permit: &Permit,
    mut a: UseApplication,
    state: UseState,
    reason: &str,
) -> Result<bool> {
    let deed = match state {
        UseState::Renewed => UseDeed::Renew,
        UseState::Lapsed => UseDeed::Lapse,
        _ => UseDeed::Expire,
    };
    let seen = a.edit;
    a.state = state;
    a.due = None;
    a.ended_at = system.stamp();
    reason.clone_into(&mut a.reason);
    a.edit += 1;
    let event = event(system, &a, deed, UseSide::Platform, "", reason.to_owned());
    let done = app.store.restricted_update(permit, &a, &event, seen).await?;
    if done {
        app.shares.forget();
        audit::record(app, audit::event(system, &format!("restricted.{deed}"), &a.number)).await?;
        tell::step(app, system, &a, deed).await;
    }
    Ok(done)
}
