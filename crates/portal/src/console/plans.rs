//! Opening as a process: plans of my organisation or region, risk checks, checks that are due again, withdrawals.

use std::sync::Arc;

use app::opening;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use minijinja::context;
use model::code::OpenType;
use model::openplan::{AssessmentState, Ground, MOST_LINES, OpenPlanState, PlanLine};
use model::{Error, Kind, Result};
use serde::Serialize;

use crate::console::{PAGE, done, next_link};
use crate::form::Posted;
use crate::site::interact::word;
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

/// Empty lines that a form offers beside those written.
const SPARE: usize = 5;

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/plans", get(list).post(begin))
        .route("/console/plans/check", post(check))
        .route("/console/plans/withdraw", post(withdraw))
        .route("/console/plans/{id}", get(show).post(write))
        .route("/console/plans/{id}/submit", post(submit))
        .route("/console/plans/{id}/decide", post(decide))
        .route("/console/assessments/{id}", get(assessment))
        .route("/console/assessments/{id}/submit", post(explain))
        .route("/console/assessments/{id}/decide", post(judge))
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    listed(&door, &visit, None).await
}

/// The page, with what was wrong with a form on it and what was written in it.
async fn listed(door: &Door, visit: &Visit, wrong: Option<(&Error, &Written)>) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let desk = opening::desk(app, op).await?;
    let (eligible, partial) = opening::eligible(app, op).await?;
    let written = wrong.map(|(_, written)| value(written));
    let wrong = wrong.map(|(error, _)| error);
    let state = word(OpenPlanState::ALL, OpenPlanState::as_str, visit.q("state"));
    let page = opening::plans_desk(app, op, state, visit.q("before"), PAGE).await?;
    let checks = word(AssessmentState::ALL, AssessmentState::as_str, visit.q("checks"));
    let checked = opening::assessments(app, op, checks, visit.q("older"), PAGE).await?;
    let context = context! {
        rows => value(&page.items), state => state.map(OpenPlanState::as_str),
        next => next_link(visit, "before", page.next.as_deref()),
        assessments => value(&checked.items), checks => checks.map(AssessmentState::as_str),
        older => next_link(visit, "older", checked.next.as_deref()),
        rechecks => value(opening::rechecks(app, op, PAGE).await?),
        keeps => desk.keeps, year => this_year(visit), required => app.rules.opening.required_from.to_string(),
        k => app.rules.opening.k, done => visit.q("done"), eligible => value(&eligible), partial, written,
        error => wrong.map(|e| visit.t(e.zh(), e.en()).to_owned()),
        fields => value(wrong.map(Error::fields).unwrap_or_default()),
    };
    door.page_with(visit, "console/plans.html", context, wrong).await
}

/// What was written in a form of the page that was not taken.
#[derive(Default, Serialize)]
struct Written {
    /// Code of the entry to check.
    check: String,
    /// Code of the entry to withdraw, and the notes to the public.
    withdraw: String,
    note: String,
    note_en: String,
}

fn this_year(visit: &Visit) -> String {
    visit.op.today().format("%Y").to_string()
}

async fn begin(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    let year = posted.number::<i32>("year")?;
    match opening::begin_plan(&door.app, &visit.op, year).await {
        Ok(plan) => done(&format!("/console/plans/{}", plan.id), "created"),
        Err(error) if matches!(error.kind(), Kind::Invalid | Kind::Conflict) => {
            listed(&door, &visit, Some((&error, &Written::default()))).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn show(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    page(&door, &visit, &id, None).await
}

async fn page(
    door: &Door,
    visit: &Visit,
    id: &str,
    wrong: Option<(&Error, &[PlanLine])>,
) -> Answer {
    let seen = opening::plan(&door.app, &visit.op, id).await?;
    let written = wrong.map_or(seen.plan.lines.as_slice(), |(_, lines)| lines);
    let rows = (written.len() + SPARE).min(MOST_LINES);
    let context = context! {
        plan => value(&seen.plan), lines => value(&seen.lines), figures => value(seen.figures),
        may_edit => seen.may_edit, may_decide => seen.may_decide, rows,
        written => value(written), done => visit.q("done"),
        error => wrong.map(|(e, _)| visit.t(e.zh(), e.en()).to_owned()),
        fields => value(wrong.map(|(e, _)| e.fields()).unwrap_or_default()),
    };
    door.page_with(visit, "console/plan.html", context, wrong.map(|(e, _)| e)).await
}

/// The lines of a form, without those that are empty, and what is wrong first. A day that cannot be read is the first of all days, which
/// the form shows as none, so that nothing else that was written is lost.
fn lines(posted: &Posted) -> (Vec<PlanLine>, Option<Error>) {
    let (mut found, mut wrong) = (Vec::new(), None);
    for n in 0..MOST_LINES {
        let said = |name: &str| posted.get(&format!("{name}-{n}")).to_owned();
        let (code, title) = (said("code"), said("title"));
        if code.is_empty() && title.is_empty() {
            continue;
        }
        let due = said("due").parse::<chrono::NaiveDate>().unwrap_or_else(|_| {
            wrong.get_or_insert_with(|| {
                Error::invalid(
                    format!("第 {} 行的完成时间应形如 2026-06-30", n + 1),
                    format!("line {}: the day is written like 2026-06-30", n + 1),
                )
                .field(format!("due-{n}"), "请填写日期", "give a day")
            });
            chrono::NaiveDate::default()
        });
        found.push(PlanLine {
            code,
            title,
            attribute: word(OpenType::ALL, OpenType::as_str, Some(&said("attribute")))
                .unwrap_or(OpenType::Unconditional),
            ground: word(Ground::ALL, Ground::as_str, Some(&said("ground"))),
            basis: said("basis"),
            due,
        });
    }
    (found, wrong)
}

async fn write(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let seen = posted.number("seen")?;
    let (lines, wrong) = lines(&posted);
    if let Some(error) = wrong {
        return page(&door, &visit, &id, Some((&error, lines.as_slice()))).await;
    }
    match opening::write_plan(&door.app, &visit.op, &id, lines.clone(), seen).await {
        Ok(_) => done(&format!("/console/plans/{id}"), "saved"),
        Err(error) if error.kind() == Kind::Invalid => {
            page(&door, &visit, &id, Some((&error, lines.as_slice()))).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn submit(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    opening::submit_plan(&door.app, &visit.op, &id).await?;
    done(&format!("/console/plans/{id}"), "submit")
}

/// Whether a form agrees.
fn agrees(posted: &Posted) -> Result<bool> {
    match posted.get("do") {
        "agree" => Ok(true),
        "refuse" => Ok(false),
        _ => Err(Error::invalid("请选择同意或不同意", "choose to agree or not")),
    }
}

async fn decide(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let agree = agrees(&posted)?;
    opening::decide_plan(&door.app, &visit.op, &id, agree, posted.get("reason")).await?;
    done(&format!("/console/plans/{id}"), if agree { "approve" } else { "reject" })
}

async fn check(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    match opening::assess(&door.app, &visit.op, posted.get("code")).await {
        Ok(of) => done(&format!("/console/assessments/{}", of.id), "checked"),
        Err(error) if matches!(error.kind(), Kind::Invalid | Kind::Conflict | Kind::NotFound) => {
            let check = posted.get("code").to_owned();
            let written = Written { check, ..Written::default() };
            listed(&door, &visit, Some((&error, &written))).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn withdraw(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    let (code, note) = (posted.get("code"), posted.get("note"));
    match opening::withdraw(&door.app, &visit.op, code, note, posted.get("note_en")).await {
        Ok(_) => done("/console/plans", "take_offline"),
        Err(error) if matches!(error.kind(), Kind::Invalid | Kind::Conflict | Kind::NotFound) => {
            let typed = |name: &str| posted.get(name).to_owned();
            let (withdraw, note, note_en) = (typed("code"), typed("note"), typed("note_en"));
            let written = Written { withdraw, note, note_en, ..Written::default() };
            listed(&door, &visit, Some((&error, &written))).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn assessment(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    checked(&door, &visit, &id, None).await
}

async fn checked(door: &Door, visit: &Visit, id: &str, wrong: Option<&Error>) -> Answer {
    let seen = opening::assessment_get(&door.app, &visit.op, id).await?;
    let context = context! {
        of => value(&seen.assessment), weight => seen.weight.as_str(),
        may_submit => seen.may_submit, may_decide => seen.may_decide,
        outdated => opening::outdated(&door.app, &visit.op, &seen.assessment),
        unexplained => seen.assessment.unexplained(), done => visit.q("done"),
        error => wrong.map(|e| visit.t(e.zh(), e.en()).to_owned()),
        fields => value(wrong.map(Error::fields).unwrap_or_default()),
    };
    door.page_with(visit, "console/assessment.html", context, wrong).await
}

async fn explain(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let seen = opening::assessment_get(&door.app, &visit.op, &id).await?;
    let reasons: Vec<(String, String)> = seen
        .assessment
        .findings
        .iter()
        .enumerate()
        .map(|(n, f)| (f.key(), posted.get(&format!("reason-{n}")).to_owned()))
        .collect();
    match opening::submit_assessment(&door.app, &visit.op, &id, &reasons).await {
        Ok(_) => done(&format!("/console/assessments/{id}"), "submit"),
        Err(error) if matches!(error.kind(), Kind::Invalid | Kind::Conflict) => {
            checked(&door, &visit, &id, Some(&error)).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn judge(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let agree = agrees(&posted)?;
    match opening::decide_assessment(&door.app, &visit.op, &id, agree, posted.get("reason")).await {
        Ok(_) => {
            done(&format!("/console/assessments/{id}"), if agree { "approve" } else { "reject" })
        }
        Err(error) if error.kind() == Kind::Invalid => {
            checked(&door, &visit, &id, Some(&error)).await
        }
        Err(error) => Err(error.into()),
    }
}
