//! What time brings to restricted opening: what was not signed in time lapses, agreements end with their last day, missing grants are
//! made and those of what is over are gone, who did not report is suspended, people are reminded once a day, and credit records are
//! taken away when their time is over. Done twice, nothing changes. Each asks for what is due by an index and walks nothing else.

use model::restricted::{UseApplication, UseState};
use model::{Op, Result};
use policy::{Action, Target};

use super::{report, stand, tell};
use crate::{App, audit};

/// Day of the last reminding, a name in the store.
const REMINDED: &str = "restricted_reminded";
/// Applications looked at together.
const TOGETHER: u32 = 200;

/// One round; answers how many applications and records it changed or reminded of.
pub async fn tick(app: &App, system: &Op) -> Result<u64> {
    let platform = Target::plain("System", "platform");
    let permit = app.policy.permit(system, Action::SystemWork, &platform)?;
    let today = system.today();
    let over = today.pred_opt().unwrap_or(today).to_string();
    let mut done = 0;
    for (state, to) in [
        (UseState::Signing, UseState::Lapsed),
        (UseState::Countersigning, UseState::Lapsed),
        (UseState::InForce, UseState::Expired),
        (UseState::Suspended, UseState::Expired),
    ] {
        for a in all_due(app, state, &over).await? {
            let reason = if to == UseState::Lapsed { "逾期未签署" } else { "期限届满" };
            done += u64::from(stand::over(app, system, &permit, a, to, reason).await?);
        }
    }
    for a in pending(app).await? {
        match stand::settle(app, system, &permit, &a).await {
            Ok(made) => done += made,
            // One that cannot be granted now must not keep the others waiting.
            Err(e) => {
                tracing::warn!(
                    error = e.operator_text(),
                    number = a.number.as_str(),
                    "not granted yet, or not ended yet"
                )
            }
        }
    }
    done += report::suspend_late(app, system, &permit).await?;
    done += forget(app, system, &permit, &today.to_string()).await?;
    if app.store.meta_get(REMINDED).await?.as_deref() == Some(today.to_string().as_str()) {
        return Ok(done);
    }
    let ahead = app.calendar.add_working_days(today, app.rules.restricted.days.remind).to_string();
    for state in
        [UseState::Reviewing, UseState::Signing, UseState::Countersigning, UseState::InForce]
    {
        for a in all_due(app, state, &ahead).await? {
            tell::due(app, system, &a, &today.to_string()).await;
            done += 1;
        }
    }
    done += report::remind(app, system, &ahead, &today.to_string()).await?;
    app.store.meta_set(&permit, REMINDED, &today.to_string()).await?;
    Ok(done)
}

/// Credit records are taken away after their last day.
async fn forget(app: &App, system: &Op, permit: &policy::Permit, today: &str) -> Result<u64> {
    let gone = app.store.credit_forget(permit, today).await?;
    if gone > 0 {
        app.shares.forget();
        let mut record = audit::event(system, "credit.forget", "credit");
        record.rows = gone;
        audit::record(app, record).await?;
    }
    Ok(gone)
}

/// All in a state whose due day has come by a day.
async fn all_due(app: &App, state: UseState, by: &str) -> Result<Vec<UseApplication>> {
    let mut found = Vec::new();
    let mut after = String::new();
    loop {
        let page = app.store.restricted_due(state, by, &after, TOGETHER).await?;
        let Some(last) = page.last() else { return Ok(found) };
        after.clone_from(&last.id);
        found.extend(page);
    }
}

/// All whose grants are still to be made or to be ended.
async fn pending(app: &App) -> Result<Vec<UseApplication>> {
    let mut found = Vec::new();
    let mut after = String::new();
    loop {
        let page = app.store.restricted_pending(&after, TOGETHER).await?;
        let Some(last) = page.last() else { return Ok(found) };
        after.clone_from(&last.id);
        found.extend(page);
    }
}
