//! What time brings: periods whose time has come, reminders, accepted rows that could not be landed. Done twice, nothing
//! changes.

use std::sync::Arc;

use chrono::TimeDelta;
use guard::hash::sha256_hex;
use model::report::{Plan, Task, TaskEventKind};
use model::{Op, Result};
use policy::{Action, Permit, Target};
use store::report::TaskFilter;

use super::{land, look, plan};
use crate::App;

/// Plans and tasks looked at together.
const TOGETHER: u32 = 200;

/// One round; answers how much was done.
pub async fn tick(app: &Arc<App>, op: &Op) -> Result<u64> {
    let permit = app.policy.permit(op, Action::SystemWork, &Target::plain("System", "report"))?;
    let mut done = 0;
    let mut after: Option<String> = None;
    loop {
        let plans: Vec<Plan> = app.store.report_plan_running(after.as_deref(), TOGETHER).await?;
        let Some(last) = plans.last() else { break };
        after = Some(last.id.clone());
        for plan in plans {
            done += plan::open_due(app, op, &permit, plan).await?;
        }
    }
    done += remind(app, op, &permit).await?;
    done += landings(app).await?;
    Ok(done)
}

async fn remind(app: &App, op: &Op, permit: &Permit) -> Result<u64> {
    let rules = &app.rules.report;
    let ahead = rules.remind_before.iter().copied().max().unwrap_or(0);
    let by = (op.today() + TimeDelta::days(ahead)).to_string();
    let mut done = 0;
    let mut after: Option<String> = None;
    loop {
        let filter = TaskFilter {
            due_by: Some(&by),
            after: after.as_deref(),
            limit: TOGETHER,
            ..TaskFilter::default()
        };
        let tasks = app.store.report_task_list(&filter).await?;
        let Some(last) = tasks.last() else { return Ok(done) };
        after = Some(last.id.clone());
        for task in tasks {
            let left = (task.due - op.today()).num_days();
            let late = left < 0 && rules.remind_late_every > 0;
            let turn = rules.remind_before.contains(&left)
                || (late && (-left - 1) % rules.remind_late_every == 0);
            if turn && reminded(app, op, permit, &task).await? {
                done += 1;
            }
        }
    }
}

/// Reminds of a task once a day.
async fn reminded(app: &App, op: &Op, permit: &Permit, task: &Task) -> Result<bool> {
    let today = op.today().to_string();
    let mut event = look::event(op, task, TaskEventKind::Reminded, &today);
    // The day's own id, in the order of the others.
    let print = sha256_hex(format!("{} {today}", task.id).as_bytes());
    let time = op.at.timestamp() / 86_400 * 86_400 * 1000;
    event.id = format!("{time:012x}{}", print.get(..20).unwrap_or_default());
    if !app.store.report_event_add(permit, &event).await? {
        return Ok(false);
    }
    let words = format!("{} · {}", task.due, task.state.zh());
    plan::tell(app, op, task, "report.remind", &task.org, &words).await;
    Ok(true)
}

async fn landings(app: &Arc<App>) -> Result<u64> {
    let mut done = 0;
    let mut after: Option<String> = None;
    loop {
        let filter = TaskFilter {
            landing: Some("waiting"),
            after: after.as_deref(),
            limit: TOGETHER,
            ..TaskFilter::default()
        };
        let tasks = app.store.report_task_list(&filter).await?;
        let Some(last) = tasks.last() else { return Ok(done) };
        after = Some(last.id.clone());
        for task in tasks {
            let _alone = app.collections.lock_of(&land::lock(&task.id)).lock_owned().await;
            // Somebody may have landed it while we waited.
            let Some(task) = app.store.report_task_get(&task.id).await? else { continue };
            match land::land(app, task).await {
                Ok(_) => done += 1,
                Err(e) => tracing::warn!(error = e.operator_text(), "reported rows still wait"),
            }
        }
    }
}
