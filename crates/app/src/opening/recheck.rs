//! Periodic re-evaluation: a recurring job notes open sets whose check is older than the rules say, and tells their departments.

use model::entry::Entry;
use model::op::day_of;
use model::openplan::Recheck;
use model::{Op, Result};
use policy::{Action, Target};

use super::assess::{expired, too_old};
use super::plan::desk;
use super::tell;
use crate::App;
use crate::notice::Told;
use crate::pace::Pace;

/// Entries of one page of the walk.
const PAGE: u32 = 500;

/// Looks at every open set once; answers how many came to be due or ceased to be.
pub async fn recheck(app: &App, op: &Op) -> Result<u64> {
    let permit = app.policy.permit(op, Action::SystemWork, &Target::plain("System", "opening"))?;
    let agreed = app.store.assessments_agreed().await?;
    let noted = app.store.rechecks_noted().await?;
    let (mut after, mut done, mut pace) = (None::<String>, 0, Pace::begin());
    loop {
        let page = app.store.entry_list_open(after.as_deref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.draft.code.clone());
        for entry in &page {
            let assessed = agreed.get(&entry.id).map(String::as_str);
            let due = due(app, op, entry, assessed);
            if due == noted.contains(&entry.id) {
                continue;
            }
            if !due {
                done += u64::from(app.store.recheck_remove(&permit, &entry.id).await?);
                continue;
            }
            let of = Recheck {
                entry: entry.id.clone(),
                code: entry.draft.code.clone(),
                title: entry.draft.title.clone(),
                org: entry.draft.org.clone(),
                region: entry.draft.region.clone(),
                assessed_at: assessed.unwrap_or_default().to_owned(),
                opened_at: op.stamp(),
            };
            if app.store.recheck_put(&permit, &of).await? {
                done += 1;
                tell::department(app, op, &of.org, told(&of)).await;
            }
        }
        pace.rest().await;
    }
    Ok(done)
}

/// Whether an open set's check is due: it is too old, or there is none although the rules ask for one.
fn due(app: &App, op: &Op, entry: &Entry, assessed: Option<&str>) -> bool {
    let rules = &app.rules.opening;
    match assessed.and_then(day_of) {
        None => op.today() >= rules.required_from,
        Some(made) => too_old(rules, made, entry.grade, op.today()),
    }
}

fn told(of: &Recheck) -> Told {
    Told {
        mark: format!("opening.recheck:{}:{}", of.entry, of.opened_at),
        kind: "opening.recheck",
        title: of.title.clone(),
        words: of.code.clone(),
        href: "/console/plans#rechecks".into(),
    }
}

/// Checks that are due again at the caller's desk.
pub async fn rechecks(app: &App, op: &Op, limit: u32) -> Result<Vec<Recheck>> {
    let desk = desk(app, op).await?;
    let limit = limit.clamp(1, 200);
    app.store.recheck_list(desk.org.as_deref(), desk.region.as_deref(), limit).await
}

/// Whether a check of this kind is out of date, for pages that show one.
#[must_use]
pub fn outdated(app: &App, op: &Op, of: &model::openplan::Assessment) -> bool {
    expired(&app.rules.opening, of, op.today())
}
