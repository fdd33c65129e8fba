//! Approvals: the inbox, one approval with its drawing and history, and what people do on it; leave and who stands in.

use std::sync::Arc;

use app::approval::{Act, ApprovalFilter};
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use minijinja::{Value, context};
use model::flow::{Event, Phase, Seat, Step, What};
use model::{Error, Result};

use crate::console::{PAGE, done, drawing, next_link};
use crate::form::Posted;
use crate::items;
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/approvals", get(inbox))
        .route("/console/approvals/{id}", get(detail))
        .route("/console/approvals/{id}/act", post(act))
        .route("/console/approvals/{id}/follow", post(follow))
        .route("/console/leave", get(leave).post(lend))
        .route("/console/leave/{id}/end", post(end_leave))
}

async fn inbox(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    if visit.q("view") == Some("all") {
        let filter = ApprovalFilter {
            phase: visit.q("phase").and_then(Phase::parse),
            flow: visit.q("flow").map(str::to_owned),
            after: visit.q("after").map(str::to_owned),
            limit: PAGE,
        };
        let page = app::approval::list(app, op, &filter).await?;
        let context = context! {
            view => "all", approvals => value(&page.items), phase => visit.q("phase"),
            next => next_link(&visit, "after", page.next.as_deref()), done => visit.q("done"),
        };
        return door.page(&visit, "console/approvals.html", context).await;
    }
    if visit.q("view") == Some("late") {
        let page = app::approval::late(app, op, visit.q("after"), PAGE).await?;
        let context = context! {
            view => "late", approvals => value(&page.items), phase => (),
            next => next_link(&visit, "after", page.next.as_deref()), done => visit.q("done"),
        };
        return door.page(&visit, "console/approvals.html", context).await;
    }
    if visit.q("view") == Some("unheld") {
        let page = app::approval::covered(app, op, visit.q("after"), PAGE).await?;
        let context = context! {
            view => "unheld", approvals => value(&page.items), phase => (),
            next => next_link(&visit, "after", page.next.as_deref()), done => visit.q("done"),
        };
        return door.page(&visit, "console/approvals.html", context).await;
    }
    let page = app::approval::tasks(app, op, visit.q("after"), PAGE).await?;
    let context = context! {
        view => "tasks", tasks => value(&page.items), phase => (),
        next => next_link(&visit, "after", page.next.as_deref()), done => visit.q("done"),
    };
    door.page(&visit, "console/approvals.html", context).await
}

async fn detail(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let seen = app::approval::get(app, op, &id).await?;
    let about = app::basket::part_of(app, op, &seen.state.subject).await?;
    let (bundle, part) = about.unzip();
    let export = app::project::about(app, op, &seen.state.subject).await?;
    let advice = match &part {
        Some(part) if !seen.mine.is_empty() => Some(app::basket::advice(app, op, part).await?),
        _ => None,
    };
    let wanted = match &part {
        Some(part) => items::of_entry(&door, &visit, &part.asset.id, part.want.items()).await?,
        None => Vec::new(),
    };
    let others: Vec<_> = app::approval::about(app, op, &seen.state.subject)
        .await?
        .into_iter()
        .filter(|row| row.id != id)
        .collect();
    let name = |step: &str| {
        seen.flow.step(step).map_or_else(|| step.to_owned(), |s| visit.t(s.zh(), s.en()).to_owned())
    };
    let history: Vec<Value> = seen.events.iter().map(|e| told(&visit, e, &name)).collect();
    let open: Vec<Value> = seen
        .state
        .open
        .iter()
        .map(|o| {
            let active = o.active();
            let seats: Vec<Value> = o
                .seats
                .iter()
                .enumerate()
                .map(|(n, s)| {
                    context! { who => who(s), voice => value(&s.voice), active => active.contains(&n),
                        added => s.added, escalated => s.escalated, covered => s.covered, lent => s.lent.is_some() }
                })
                .collect();
            context! { step => &o.step, name => name(&o.step), how => value(o.how), due => &o.due, seats }
        })
        .collect();
    let mine: Vec<Value> = seen
        .mine
        .iter()
        .map(|(step, seat, lent)| {
            let back = seen.flow.step(step).is_some_and(|s| match s {
                Step::Review(r) => r.may_return,
                _ => false,
            });
            context! { step, seat, lent, name => name(step), may_return => back }
        })
        .collect();
    let earlier: Vec<Value> = earlier(&seen)
        .into_iter()
        .map(|step| context! { value => &step, name => name(&step) })
        .collect();
    let reasons: Vec<Value> = seen
        .flow
        .reasons
        .iter()
        .map(|r| context! { value => &r.id, name => visit.t(&r.zh, &r.en), proof => r.proof })
        .collect();
    let state = &seen.state;
    let context = context! {
        id, flow => context! { id => &seen.flow.id, version => seen.flow.version, name => visit.t(&seen.flow.zh, &seen.flow.en) },
        state => value(state), due => state.due(), open, mine, earlier, reasons, history,
        bundle => value(bundle), part => value(part), wanted, advice => value(advice), others => value(others),
        follows => seen.follows, may_urge => seen.follows && state.phase == Phase::Running,
        may_withdraw => seen.follows && !state.phase.over(), may_take_back => seen.may_take_back,
        drawing => value(drawing::draw(&seen.flow, Some(state), visit.lang)),
        taken_out => export.map(|asked| {
            context! { project => &asked.project, changed => &asked.changed, ..value(&asked.export) }
        }),
        done => visit.q("done"),
    };
    door.page(&visit, "console/approval.html", context).await
}

/// Reviews it came through, where it may be sent back to.
fn earlier(seen: &app::approval::Seen) -> Vec<String> {
    let state = &seen.state;
    if state.open.len() > 1 || !state.arrived.is_empty() {
        return Vec::new();
    }
    let mut all: Vec<String> = Vec::new();
    for passed in &state.passed {
        let review = matches!(seen.flow.step(&passed.step), Some(Step::Review(_)));
        if review && !all.contains(&passed.step) && state.open_step(&passed.step).is_none() {
            all.push(passed.step.clone());
        }
    }
    all
}

fn who(seat: &Seat) -> Value {
    context! { role => seat.role.map(|r| r.as_str()), org => &seat.org, person => seat.user.is_some() }
}

/// An event as people read it.
fn told(visit: &Visit, event: &Event, name: &dyn Fn(&str) -> String) -> Value {
    let (kind, step, words) = match &event.what {
        What::Started { title, .. } => ("start", String::new(), title.clone()),
        What::Opened { open } => ("open", open.step.clone(), open.due.clone().unwrap_or_default()),
        What::Chosen { step, to } => ("choose", step.clone(), name(to)),
        What::Forked { step, .. } => ("fork", step.clone(), String::new()),
        What::Arrived { join, from } => ("arrive", join.clone(), name(from)),
        What::Joined { join } => ("join", join.clone(), String::new()),
        What::Decided { step, approve, reason, opinion, .. } => {
            let glue = if reason.is_empty() || opinion.is_empty() { "" } else { " · " };
            let kind = if *approve { "approve" } else { "refuse" };
            (kind, step.clone(), format!("{reason}{glue}{opinion}"))
        }
        What::Closed { step, .. } => ("close", step.clone(), String::new()),
        What::Added { step, opinion, .. } => ("add", step.clone(), opinion.clone()),
        What::Transferred { step, opinion, .. } => ("transfer", step.clone(), opinion.clone()),
        What::Delegated { step, opinion, .. } => ("delegate", step.clone(), opinion.clone()),
        What::Answered { step, opinion, .. } => ("answer", step.clone(), opinion.clone()),
        What::TakenBack { step, opinion, .. } => ("take_back", step.clone(), opinion.clone()),
        What::Reseated { step, .. } => ("reseat", step.clone(), String::new()),
        What::Returned { step, to, missing, opinion, .. } => {
            let to = to.as_deref().map(|t| format!("→ {} ", name(t))).unwrap_or_default();
            let missing = if missing.is_empty() {
                String::new()
            } else {
                format!("（{}{}）", visit.t("缺：", "missing: "), missing.join("、"))
            };
            ("return", step.clone(), format!("{to}{opinion}{missing}"))
        }
        What::Resubmitted { opinion, .. } => ("resubmit", String::new(), opinion.clone()),
        What::Urged { opinion, .. } => ("urge", String::new(), opinion.clone()),
        What::Reminded { step, .. } => ("remind", step.clone(), String::new()),
        What::Escalated { step, .. } => ("escalate", step.clone(), String::new()),
        What::Acted { step, note, .. } => ("act", step.clone(), note.clone()),
        What::Withdrawn { opinion } => ("withdraw", String::new(), opinion.clone()),
        What::Ended { step, .. } => ("end", step.clone(), String::new()),
    };
    let quiet = matches!(kind, "open" | "choose" | "fork" | "arrive" | "join" | "close");
    context! {
        kind, at => &event.at, by => &event.by_name, words, quiet, seq => event.seq,
        in_place_of => event.in_place_of.is_some(),
        step => if step.is_empty() { String::new() } else { name(&step) },
    }
}

fn read(posted: &Posted) -> Result<Act> {
    let user = || -> Result<String> {
        let user = posted.get("user");
        if user.is_empty() {
            return Err(Error::invalid(
                "请填写对方的用户名",
                "enter the other person's login name",
            )
            .field("user", "必填", "required"));
        }
        Ok(user.to_owned())
    };
    Ok(match posted.get("do") {
        "approve" => Act::Decide { approve: true, reason: String::new() },
        "refuse" => Act::Decide { approve: false, reason: posted.get("reason").to_owned() },
        "add" => Act::Add { user: user()? },
        "transfer" => Act::Transfer { user: user()? },
        "delegate" => Act::Delegate { user: user()? },
        "answer" => Act::Answer,
        "return" => Act::Return {
            to: Some(posted.get("to")).filter(|t| !t.is_empty()).map(str::to_owned),
            missing: posted
                .get("missing")
                .lines()
                .map(str::trim)
                .filter(|l| !l.is_empty())
                .map(str::to_owned)
                .collect(),
        },
        word => {
            return Err(Error::invalid(
                format!("没有操作 `{word}`"),
                format!("there is no action `{word}`"),
            ));
        }
    })
}

async fn act(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    if posted.get("do") == "take_back" {
        app::approval::take_back(&door.app, &visit.op, &id, posted.get("opinion")).await?;
        return done(&format!("/console/approvals/{id}"), "take_back");
    }
    let deed = read(&posted)?;
    let (step, seat) = (posted.get("step"), posted.number("seat")?);
    let outcome =
        app::approval::act(&door.app, &visit.op, &id, step, seat, deed, posted.get("opinion"))
            .await;
    match outcome {
        Ok(_) => done(&format!("/console/approvals/{id}"), posted.get("do")),
        // Whoever handed the seat on may no longer see the approval.
        Err(e) if e.kind() == model::Kind::NotFound => done("/console/approvals", "done"),
        Err(e) => Err(e.into()),
    }
}

async fn follow(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let (app, op, opinion) = (&door.app, &visit.op, posted.get("opinion"));
    let word = posted.get("do");
    match word {
        "withdraw" => app::approval::withdraw(app, op, &id, opinion).await?,
        "urge" => app::approval::urge(app, op, &id, opinion).await?,
        "resubmit" => app::approval::resubmit(app, op, &id, opinion).await?,
        _ => {
            return Err(Error::invalid(
                format!("没有操作 `{word}`"),
                format!("there is no action `{word}`"),
            )
            .into());
        }
    }
    done(&format!("/console/approvals/{id}"), word)
}

async fn leave(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let leaves = app::approval::leaves(&door.app, &visit.op).await?;
    let context = context! { leaves => value(&leaves), done => visit.q("done") };
    door.page(&visit, "console/leave.html", context).await
}

async fn lend(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let (user, from, to) = (posted.get("user"), posted.get("from"), posted.get("to"));
    app::approval::lend(app, op, user, from, to, posted.get("reason")).await?;
    done("/console/leave", "created")
}

async fn end_leave(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    app::approval::end_leave(&door.app, &visit.op, &id).await?;
    done("/console/leave", "done")
}
