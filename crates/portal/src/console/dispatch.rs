//! Dispatch: quotas and what was used of them, moving quota, the calendar of jobs, idle resources and their reclaiming.

use std::sync::Arc;

use app::dispatch::{self, MoveNew};
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use chrono::NaiveDate;
use minijinja::{Value, context};
use model::dispatch::{Holder, HolderKind, IdleKind, Job, ReclaimState, Resource};
use model::parcel::RunState;
use model::{Error, Kind, Result};

use crate::console::{PAGE, done, next_link};
use crate::form::Posted;
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/dispatch", get(quotas))
        .route("/console/dispatch/moves", get(moves).post(ask))
        .route("/console/dispatch/calendar", get(calendar))
        .route("/console/dispatch/calendar/{day}", get(day))
        .route("/console/dispatch/runs/{id}/retry", post(retry))
        .route("/console/dispatch/jobs/{job}", get(job))
        .route("/console/dispatch/jobs/{job}/run", post(run))
        .route("/console/dispatch/idle", get(idle).post(propose))
        .route("/console/dispatch/reclaims", get(reclaims))
        .route("/console/dispatch/reclaims/{id}", get(reclaim).post(answer))
        .route("/console/dispatch/{kind}/{id}", get(holder).post(set))
}

fn resource(word: Option<&str>) -> Resource {
    word.and_then(Resource::parse).unwrap_or(Resource::Calls)
}

async fn quotas(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let resource = resource(visit.q("resource"));
    let kind = visit.q("kind").and_then(HolderKind::parse).unwrap_or(HolderKind::Org);
    let parent = visit.q("parent");
    let page = dispatch::list(app, op, resource, kind, parent, visit.q("after"), PAGE).await?;
    let context = context! {
        rows => value(&page.items), resource => resource.as_str(), kind => kind.as_str(), parent,
        own => &visit.session()?.user.org, regions => regions(&door).await,
        next => next_link(&visit, "after", page.next.as_deref()), done => visit.q("done"),
    };
    door.page(&visit, "console/dispatch.html", context).await
}

/// Regions for a select box.
async fn regions(door: &Door) -> Vec<Value> {
    door.names.refresh(&door.app).await;
    let names = door.names.get();
    names.regions.iter().map(|r| context! { code => &r.code, level => value(r.level) }).collect()
}

fn holder_of(kind: &str, id: &str) -> Result<Holder> {
    Holder::parse(&format!("{kind}:{id}")).map_err(|_| {
        let shown: String = format!("{kind}/{id}").chars().take(60).collect();
        Error::not_found("配额持有者", "holder of quotas", &shown)
    })
}

async fn holder(
    State(door): State<Arc<Door>>,
    Path((kind, id)): Path<(String, String)>,
    visit: Visit,
) -> Answer {
    let holder = holder_of(&kind, &id)?;
    holder_page(&door, &visit, &holder, &Posted::default(), None).await
}

async fn holder_page(
    door: &Door,
    visit: &Visit,
    holder: &Holder,
    posted: &Posted,
    error: Option<Error>,
) -> Answer {
    let seen = dispatch::holder(&door.app, &visit.op, holder).await?;
    let context = context! {
        seen => value(&seen), done => visit.q("done"), key => holder.key(),
        form => context! {
            resource => posted.get("resource"), amount => posted.get("amount"), reason => posted.get("reason"),
            from => posted.get("from"), what => posted.get("do"),
        },
        error => error.as_ref().map(|e| visit.t(e.zh(), e.en()).to_owned()),
        fields => value(error.as_ref().map(Error::fields).unwrap_or_default()),
    };
    let mut response = door.page(visit, "console/holder.html", context).await?;
    if let Some(error) = &error {
        *response.status_mut() = axum::http::StatusCode::from_u16(error.code().status())
            .unwrap_or(axum::http::StatusCode::BAD_REQUEST);
    }
    Ok(response)
}

/// Sets a quota, takes it away, or asks for some of another holder's.
async fn set(
    State(door): State<Arc<Door>>,
    Path((kind, id)): Path<(String, String)>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let holder = holder_of(&kind, &id)?;
    let path = format!("/console/dispatch/{kind}/{id}");
    let outcome = change(&door, &visit, &holder, &posted).await;
    match outcome {
        Ok(None) => done(&path, "saved"),
        Ok(Some(approval)) => done(&format!("/console/approvals/{approval}"), "applied"),
        Err(e) if matches!(e.kind(), Kind::Invalid | Kind::Conflict) => {
            holder_page(&door, &visit, &holder, &posted, Some(e)).await
        }
        Err(e) => Err(e.into()),
    }
}

async fn change(
    door: &Door,
    visit: &Visit,
    holder: &Holder,
    posted: &Posted,
) -> Result<Option<String>> {
    let (app, op) = (&door.app, &visit.op);
    let resource = chosen(posted)?;
    let reason = posted.get("reason");
    match posted.get("do") {
        "set" => {
            let amount = Some(posted.number("amount")?);
            dispatch::set(app, op, resource, holder, amount, reason).await?;
            Ok(None)
        }
        "remove" => {
            dispatch::set(app, op, resource, holder, None, reason).await?;
            Ok(None)
        }
        "ask" => {
            let new = MoveNew {
                resource,
                from: Holder::parse(posted.get("from"))?,
                to: holder.clone(),
                amount: posted.number("amount")?,
                reason: reason.to_owned(),
            };
            Ok(Some(dispatch::ask(app, op, new).await?.approval))
        }
        _ => Err(unknown_deed()),
    }
}

fn unknown_deed() -> Error {
    Error::invalid("未知的操作", "this cannot be done")
}

fn chosen(posted: &Posted) -> Result<Resource> {
    Resource::parse(posted.get("resource")).ok_or_else(|| {
        Error::invalid("请选择资源", "choose a resource").field("resource", "请选择", "choose one")
    })
}

async fn moves(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let page = dispatch::moves(&door.app, &visit.op, visit.q("after"), PAGE).await?;
    let context = context! {
        rows => value(&page.items), next => next_link(&visit, "after", page.next.as_deref()),
        done => visit.q("done"),
    };
    door.page(&visit, "console/quota_moves.html", context).await
}

/// Asks for quota by naming both holders.
async fn ask(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    let new = MoveNew {
        resource: chosen(&posted)?,
        from: Holder::parse(posted.get("from"))?,
        to: Holder::parse(posted.get("to"))?,
        amount: posted.number("amount")?,
        reason: posted.get("reason").to_owned(),
    };
    let made = dispatch::ask(&door.app, &visit.op, new).await?;
    done(&format!("/console/approvals/{}", made.approval), "applied")
}

async fn calendar(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let month = dispatch::month(&door.app, &visit.op, visit.q("month")).await?;
    let may_run =
        door.app.may(&visit.op, app::Action::JobRun, &app::Target::plain("System", "jobs"));
    let jobs: Vec<Value> = month
        .jobs
        .iter()
        .map(|j| context! { job => value(j), standing => j.standing.as_str() })
        .collect();
    let context = context! { month => value(&month), jobs, may_run, done => visit.q("done") };
    door.page(&visit, "console/calendar.html", context).await
}

async fn day(State(door): State<Arc<Door>>, Path(text): Path<String>, visit: Visit) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let day: NaiveDate = text
        .parse()
        .map_err(|_| Error::not_found("日期", "day", &text.chars().take(20).collect::<String>()))?;
    let state = visit.q("state").and_then(RunState::parse);
    let which = app::collection::Which { day: Some(day), state, ..Default::default() };
    let runs = app::collection::runs_where(app, op, &which, visit.q("after"), PAGE).await;
    let runs = match runs {
        Ok(page) => page,
        Err(e) if e.kind() == Kind::Denied => app::Page { items: Vec::new(), next: None },
        Err(e) => return Err(e.into()),
    };
    let mut rows = Vec::new();
    for run in &runs.items {
        let again = app::collection::may_retry(app, op, run).await?;
        rows.push(context! { run => value(run), again });
    }
    let ends = dispatch::ends(app, op, day, visit.q("ends_after"), PAGE).await?;
    let context = context! {
        day => day.to_string(), month => day.format("%Y-%m").to_string(), rows, state => visit.q("state"),
        next => next_link(&visit, "after", runs.next.as_deref()), ends => value(&ends.items),
        next_ends => next_link(&visit, "ends_after", ends.next.as_deref()), done => visit.q("done"),
    };
    door.page(&visit, "console/calendar_day.html", context).await
}

async fn retry(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    let run = app::collection::retry(&door.app, &visit.op, &id).await?;
    done(&format!("/console/runs/{}", run.id), "retried")
}

fn job_of(word: &str) -> Result<Job> {
    Job::ALL.iter().copied().find(|j| j.as_str() == word).ok_or_else(|| {
        Error::not_found("平台任务", "job", &word.chars().take(40).collect::<String>())
    })
}

async fn job(State(door): State<Arc<Door>>, Path(word): Path<String>, visit: Visit) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let job = job_of(&word)?;
    let page = dispatch::runs(app, op, job, visit.q("after"), PAGE).await?;
    let seen = dispatch::jobs(app, op).await?.into_iter().find(|j| j.job == job);
    let may_run = app.may(op, app::Action::JobRun, &app::Target::plain("System", "jobs"));
    let context = context! {
        standing => seen.as_ref().map(|j| j.standing.as_str()), job => value(&seen), may_run,
        rows => value(&page.items), next => next_link(&visit, "after", page.next.as_deref()),
        done => visit.q("done"),
    };
    door.page(&visit, "console/job.html", context).await
}

async fn run(
    State(door): State<Arc<Door>>,
    Path(word): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    let run = dispatch::run_now(&door.app, &visit.op, job_of(&word)?).await?;
    let word = if run.outcome == "ok" { "ran" } else { "ran-badly" };
    done(&format!("/console/dispatch/jobs/{}", run.job), word)
}

async fn idle(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let kind = visit.q("kind").and_then(IdleKind::parse).unwrap_or(IdleKind::Cloud);
    let page = dispatch::idle(app, op, kind, visit.q("org"), visit.q("after"), PAGE).await?;
    let rules = dispatch::rules(app, op)?;
    let rows: Vec<Value> = page
        .items
        .iter()
        .map(|i| {
            let target = app::Target {
                region: Some(i.region.clone()),
                ..app::Target::of_org("Reclaim", &i.thing, &i.org)
            };
            context! { idle => value(i), may => app.may(op, app::Action::ReclaimPropose, &target) }
        })
        .collect();
    let context = context! {
        rows, kind => kind.as_str(), org => visit.q("org"),
        under => rules.idle.utilisation_under, days => rules.idle.days, call_days => rules.idle.call_days,
        next => next_link(&visit, "after", page.next.as_deref()), done => visit.q("done"),
    };
    door.page(&visit, "console/idle.html", context).await
}

async fn propose(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    let kind = IdleKind::parse(posted.get("kind"))
        .ok_or_else(|| Error::not_found("闲置资源", "idle thing", ""))?;
    let made =
        dispatch::propose(&door.app, &visit.op, kind, posted.get("thing"), posted.get("reason"))
            .await?;
    done(&format!("/console/dispatch/reclaims/{}", made.id), "saved")
}

async fn reclaims(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let state = visit.q("state").and_then(ReclaimState::parse);
    let page = dispatch::reclaims(&door.app, &visit.op, state, visit.q("after"), PAGE).await?;
    let context = context! {
        rows => value(&page.items), state => state.map(ReclaimState::as_str),
        next => next_link(&visit, "after", page.next.as_deref()), done => visit.q("done"),
    };
    door.page(&visit, "console/reclaims.html", context).await
}

async fn reclaim(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    reclaim_page(&door, &visit, &id, &Posted::default(), None).await
}

async fn reclaim_page(
    door: &Door,
    visit: &Visit,
    id: &str,
    posted: &Posted,
    error: Option<Error>,
) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let seen = dispatch::reclaim(app, op, id).await?;
    let target = app::Target {
        owner: Some(seen.proposed_by.clone()),
        region: Some(seen.region.clone()),
        ..app::Target::of_org("Reclaim", id, &seen.org)
    };
    let open = seen.state == ReclaimState::Proposed;
    let context = context! {
        it => value(&seen), done => visit.q("done"), most => dispatch::rules(app, op)?.idle.keep_most_days,
        may_answer => open && app.may(op, app::Action::ReclaimAnswer, &target),
        may_withdraw => open && app.may(op, app::Action::ReclaimPropose, &target),
        form => context! { reason => posted.get("reason"), until => posted.get("until") },
        error => error.as_ref().map(|e| visit.t(e.zh(), e.en()).to_owned()),
        fields => value(error.as_ref().map(Error::fields).unwrap_or_default()),
    };
    let mut response = door.page(visit, "console/reclaim.html", context).await?;
    if let Some(error) = &error {
        *response.status_mut() = axum::http::StatusCode::from_u16(error.code().status())
            .unwrap_or(axum::http::StatusCode::BAD_REQUEST);
    }
    Ok(response)
}

async fn answer(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let reason = posted.get("reason");
    let outcome =
        match posted.get("do") {
            "confirm" => dispatch::answer(app, op, &id, None, reason).await,
            "object" => match posted.get("until").parse::<NaiveDate>() {
                Ok(day) => dispatch::answer(app, op, &id, Some(day), reason).await,
                Err(_) => {
                    // Whoever may not answer is not told what is wrong with the form.
                    dispatch::reclaim(app, op, &id).await?;
                    Err(Error::invalid("请填写保留到哪一天", "say until which day it is kept")
                        .field("until", "请填写日期", "enter a day"))
                }
            },
            "withdraw" => dispatch::withdraw(app, op, &id, reason).await,
            _ => Err(unknown_deed()),
        };
    match outcome {
        Ok(_) => done(&format!("/console/dispatch/reclaims/{id}"), "saved"),
        Err(e) if matches!(e.kind(), Kind::Invalid | Kind::Conflict) => {
            reclaim_page(&door, &visit, &id, &posted, Some(e)).await
        }
        Err(e) => Err(e.into()),
    }
}
