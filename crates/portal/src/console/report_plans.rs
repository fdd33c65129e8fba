//! Issuing: plans of my organisation, a form sent down the tree, and who has reported.

use std::sync::Arc;

use app::report::{self, RollUp};
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use minijinja::{Value, context};
use model::report::{Every, PlanNew, TaskState};
use model::{Error, Kind, Result};

use crate::console::oversight::of_channel;
use crate::console::reports::book;
use crate::console::{PAGE, done, next_link};
use crate::form::Posted;
use crate::view::value;
use crate::visit::{Visit, encode};
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/report-plans", get(list).post(issue))
        .route("/console/report-plans/{id}", get(one))
        .route("/console/report-plans/{id}/stop", post(stop))
        .route("/console/report-plans/{id}/overview.xlsx", get(overview))
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    show(&door, &visit, None, None).await
}

async fn show(door: &Door, visit: &Visit, posted: Option<&Posted>, error: Option<Error>) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let page = report::plans(app, op, visit.q("before"), PAGE).await?;
    let forms = report::forms(app, op, None, 200).await?.items;
    let tree = report::tree(app, op).await?;
    let chosen: Vec<&str> = posted.map(|p| p.all("org").collect()).unwrap_or_default();
    let get =
        |name: &str, or: &str| posted.map_or_else(|| or.to_owned(), |p| p.get(name).to_owned());
    let today = op.today();
    let context = context! {
        plans => value(&page.items), done => visit.q("done"),
        forms => forms.iter().filter(|f| f.version > 0).map(|f| context! { value => &f.id, name => format!("{} v{}", f.draft.title, f.version) }).collect::<Vec<_>>(),
        tree => tree.iter().map(|row| context! { row => value(row), chosen => chosen.contains(&row.id.as_str()) }).collect::<Vec<_>>(),
        new => context! {
            form => get("form", visit.q("form").unwrap_or_default()), title => get("title", ""), every => get("every", "once"),
            first => get("first", &Every::Month.period_of(today)), due_days => get("due_days", "10"), due => get("due", ""),
        },
        next => next_link(visit, "before", page.next.as_deref()),
        error => error.as_ref().map(|e| visit.t(e.zh(), e.en())),
        code => error.as_ref().map(|e| e.code().as_str()),
        fields => value(error.as_ref().map(Error::fields).unwrap_or_default()),
    };
    door.page_with(visit, "console/report_plans.html", context, error).await
}

fn new(posted: &Posted) -> Result<PlanNew> {
    let due = posted.get("due");
    let due = if due.is_empty() {
        None
    } else {
        Some(due.parse().map_err(|_| {
            Error::invalid("期限请写成 YYYY-MM-DD", "write the due day as YYYY-MM-DD").field(
                "due",
                "请核对",
                "check",
            )
        })?)
    };
    Ok(PlanNew {
        form: posted.get("form").to_owned(),
        title: posted.get("title").to_owned(),
        every: Every::parse(posted.get("every")).unwrap_or(Every::Once),
        first: posted.get("first").to_owned(),
        due_days: if posted.get("due_days").is_empty() { 0 } else { posted.number("due_days")? },
        due,
        orgs: posted.all("org").map(str::to_owned).collect(),
    })
}

async fn issue(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    let issued = match new(&posted) {
        Ok(new) => report::issue(&door.app, &visit.op, new).await,
        Err(e) => Err(e),
    };
    match issued {
        Ok(plan) => done(&format!("/console/report-plans/{}", encode(&plan.id)), "issued"),
        Err(e) if matches!(e.kind(), Kind::Invalid | Kind::Conflict) => {
            show(&door, &visit, Some(&posted), Some(e)).await
        }
        Err(e) => Err(e.into()),
    }
}

/// Rows of the tree with the totals of each.
fn branches(rows: &[RollUp]) -> Vec<Value> {
    rows.iter()
        .map(|r| {
            context! {
                row => value(r), indent => (0..r.depth).collect::<Vec<_>>(),
                totals => r.totals.iter().map(|n| n.map(|n| n.to_string())).collect::<Vec<_>>(),
            }
        })
        .collect()
}

async fn one(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let (plan, period, rows) = report::roll_up(app, op, &id, visit.q("period")).await?;
    let count = |state: TaskState| rows.iter().filter(|r| r.task.state == state).count();
    let names = match rows.first() {
        Some(row) => {
            let form = report::version(app, &row.task.form, row.task.form_version).await?;
            let name = |f: &model::report::FormField| {
                let en = if f.item.name_en.is_empty() { f.id() } else { &f.item.name_en };
                visit.t(&f.item.name_cn, en).to_owned()
            };
            form.draft.totalled().map(|(_, f)| name(f)).collect::<Vec<_>>()
        }
        None => Vec::new(),
    };
    let compared = match rows.first() {
        Some(row) => of_channel(&door, &visit, &row.task.entry, &row.task.entry).await?,
        None => Value::from(()),
    };
    let context = context! {
        compared, plan => value(&plan), period, rows => branches(&rows), names, done => visit.q("done"),
        all => rows.len(), accepted => count(TaskState::Accepted), submitted => count(TaskState::Submitted),
        overdue => rows.iter().filter(|r| r.overdue).count(),
        landed => rows.iter().map(|r| r.task.landed.rows).sum::<u64>(),
    };
    door.page(&visit, "console/report_plan.html", context).await
}

async fn stop(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    report::stop(&door.app, &visit.op, &id).await?;
    done(&format!("/console/report-plans/{}", encode(&id)), "closed")
}

async fn overview(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    book(report::overview(&door.app, &visit.op, &id, visit.q("period")).await?)
}
