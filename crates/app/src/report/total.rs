//! A level's figures against the accepted ones below it.

use model::report::{Cells, Difference, Explained, FormDraft, Task, TaskState, Totals, compare};
use model::{Code, Error, Op, Result};
use policy::Action;
use rust_decimal::Decimal;
use serde::Serialize;
use store::report::TaskFilter;

use super::look::{all_rows, known};
use super::{check, design};
use crate::App;

/// Where a level disagrees with those below it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Agreement {
    pub differences: Vec<Difference>,
    /// For each difference: what every organisation below has in that cell.
    pub parts: Vec<Vec<(String, Option<Decimal>)>>,
    /// Organisations below whose figures are not accepted yet.
    pub missing: Vec<String>,
    pub own: Totals,
    pub below: Totals,
}

/// Key of the reason for figures that are missing.
const MISSING: &str = "missing";

impl Agreement {
    #[must_use]
    pub fn whole(&self) -> bool {
        self.differences.is_empty() && self.missing.is_empty()
    }

    /// The differences with their reasons, and whether one has none.
    pub(super) fn explain(&self, reasons: &[(String, String)]) -> (Vec<Explained>, bool) {
        let reason = |key: &str| {
            let found = reasons.iter().find(|(k, why)| k == key && !why.trim().is_empty());
            found.map(|(_, why)| why.trim().chars().take(500).collect::<String>())
        };
        let mut explained = Vec::new();
        let mut open = false;
        for d in &self.differences {
            match reason(&d.key()) {
                Some(reason) => explained.push(Explained {
                    by: d.by.clone(),
                    field: d.field.clone(),
                    own: d.own,
                    below: d.below,
                    reason,
                }),
                None => open = true,
            }
        }
        if !self.missing.is_empty() {
            match reason(MISSING) {
                Some(reason) => explained.push(Explained {
                    by: self.missing.clone(),
                    field: String::new(),
                    own: None,
                    below: None,
                    reason,
                }),
                None => open = true,
            }
        }
        (explained, open)
    }
}

fn too_many_groups(most: usize) -> Error {
    Error::new(
        Code::TooLarge,
        format!("汇总分组超过 {most} 个，请联系下发单位改用较粗的分组字段"),
        format!("the totals fall into more than {most} groups: ask the issuer for a coarser field"),
    )
}

/// Totals of rows that are in order.
pub(super) fn of_rows(
    app: &App,
    draft: &FormDraft,
    task: &Task,
    rows: &[(u64, Cells)],
) -> Result<Totals> {
    let most = app.rules.report.groups_most;
    let mut totals = Totals::default();
    for (_, record) in check::records(draft, task, rows) {
        if !totals.count(draft, &record, most) {
            return Err(too_many_groups(most));
        }
    }
    Ok(totals)
}

/// Tasks right below one.
pub(super) async fn below(app: &App, task: &Task) -> Result<Vec<Task>> {
    let mut tasks: Vec<Task> = Vec::new();
    loop {
        let filter = TaskFilter {
            above: Some(&task.id),
            after: tasks.last().map(|t| t.id.as_str()),
            limit: 1000,
            ..TaskFilter::default()
        };
        let page = app.store.report_task_list(&filter).await?;
        let last = page.len() < 1000;
        tasks.extend(page);
        if last {
            return Ok(tasks);
        }
    }
}

/// Compares totals with the accepted ones below. A form without totals, or an organisation with nobody below it, agrees.
pub(super) async fn agree(
    app: &App,
    draft: &FormDraft,
    task: &Task,
    own: &Totals,
) -> Result<Agreement> {
    if draft.totalled().next().is_none() {
        return Ok(Agreement { own: own.clone(), ..Agreement::default() });
    }
    between(app, draft, own, &below(app, task).await?)
}

/// The same with the tasks below at hand.
pub(super) fn between(
    app: &App,
    draft: &FormDraft,
    own: &Totals,
    tasks: &[Task],
) -> Result<Agreement> {
    let mut agreement = Agreement { own: own.clone(), ..Agreement::default() };
    if tasks.is_empty() {
        return Ok(agreement);
    }
    let most = app.rules.report.groups_most;
    for child in tasks {
        if child.state == TaskState::Accepted {
            if !agreement.below.add(draft, &child.totals, most) {
                return Err(too_many_groups(most));
            }
        } else if child.state != TaskState::Withdrawn {
            agreement.missing.push(child.org_name.clone());
        }
    }
    agreement.differences = compare(draft, own, &agreement.below);
    let accepted = || tasks.iter().filter(|t| t.state == TaskState::Accepted);
    agreement.parts = agreement
        .differences
        .iter()
        .map(|d| accepted().map(|t| (t.org_name.clone(), t.totals.cell(&d.by, d.n))).collect())
        .collect();
    Ok(agreement)
}

/// How the figures of a task agree with those below: of its draft for those who fill it, else of what was handed in.
pub async fn agreement(app: &App, op: &Op, id: &str) -> Result<Agreement> {
    let (task, _) = known(app, op, id, Action::ReportRead).await?;
    let draft = design::version(app, &task.form, task.form_version).await?.draft;
    if draft.totalled().next().is_none() {
        return Ok(Agreement::default());
    }
    let tasks = below(app, &task).await?;
    if tasks.is_empty() {
        return Ok(Agreement::default());
    }
    let fills = app.may(op, Action::ReportFill, &policy::Target::report(&task));
    let own = if fills && task.state.writable() {
        let rows = all_rows(app, &task, 0).await?;
        of_rows(app, &draft, &task, &rows)?
    } else {
        task.totals.clone()
    };
    between(app, &draft, &own, &tasks)
}
