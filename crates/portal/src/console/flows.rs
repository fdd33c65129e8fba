//! Flows: the list of versions, one with its drawing, a dry walk through it, and publishing a new version.

use std::collections::BTreeSet;
use std::sync::Arc;

use app::approval::{FlowSeen, Simulated, check_text};
use app::{Action, Target};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use minijinja::{Value, context};
use model::flow::{AttributeKind, Fact, Facts, Flow, Step};
use model::{Error, Kind, Result};

use crate::console::{done, drawing};
use crate::form::Posted;
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/flows", get(list).post(publish))
        .route("/console/flows/try", post(attempt))
        .route("/console/flows/{id}/{version}", get(detail))
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let flows = app::approval::flows(&door.app, &visit.op).await?;
    let rows: Vec<Value> = flows.iter().map(|f| row(&visit, f)).collect();
    let context = context! { flows => rows, may_publish => may_publish(&door, &visit), done => visit.q("done") };
    door.page(&visit, "console/flows.html", context).await
}

fn row(visit: &Visit, seen: &FlowSeen) -> Value {
    let flow = &seen.flow;
    context! {
        id => &flow.id, version => flow.version, name => visit.t(&flow.zh, &flow.en),
        effective => flow.effective.to_string(), basis => &flow.basis, in_force => seen.in_force,
        published_by => &seen.published_by, published_at => &seen.published_at, steps => flow.steps.len(),
    }
}

fn may_publish(door: &Door, visit: &Visit) -> bool {
    door.app.may(&visit.op, Action::FlowPublish, &Target::plain("Flow", "flows"))
}

async fn detail(
    State(door): State<Arc<Door>>,
    Path((id, version)): Path<(String, String)>,
    visit: Visit,
) -> Answer {
    let unknown = || Error::not_found("流程", "flow", &format!("{id}/{version}"));
    let number: u32 = version.parse().map_err(|_| unknown())?;
    let flows = app::approval::flows(&door.app, &visit.op).await?;
    let seen = flows
        .into_iter()
        .find(|f| f.flow.id == id && f.flow.version == number)
        .ok_or_else(unknown)?;
    page(&door, &visit, &seen.body, &Posted::default(), None, Some(&seen)).await
}

/// A text (of a flow there is, or one to be) tried with facts and answers.
async fn attempt(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    let text = posted.raw("text").replace("\r\n", "\n");
    match check_text(&text) {
        Ok(flow) => {
            let walked = walk(&door, &visit, &text, &flow, &posted);
            page(&door, &visit, &text, &posted, Some(walked), None).await
        }
        Err(error) => page(&door, &visit, &text, &posted, Some(Err(error)), None).await,
    }
}

fn walk(door: &Door, visit: &Visit, text: &str, flow: &Flow, posted: &Posted) -> Result<Simulated> {
    let facts = facts(flow, posted)?;
    let refuse: BTreeSet<String> = posted.all("refuse").map(str::to_owned).collect();
    app::approval::simulate(&door.app, &visit.op, text, facts, Default::default(), &refuse)
}

fn facts(flow: &Flow, posted: &Posted) -> Result<Facts> {
    let mut facts = Facts::new();
    for attribute in &flow.attributes {
        let name = format!("fact-{}", attribute.id);
        match attribute.kind {
            AttributeKind::Flag => {
                facts.insert(attribute.id.clone(), Fact::Flag(posted.ticked(&name)));
            }
            _ if posted.get(&name).is_empty() => {}
            AttributeKind::Number => {
                facts.insert(attribute.id.clone(), Fact::Number(posted.number(&name)?));
            }
            AttributeKind::Text => {
                facts.insert(attribute.id.clone(), Fact::Text(posted.get(&name).to_owned()));
            }
        }
    }
    Ok(facts)
}

async fn page(
    door: &Door,
    visit: &Visit,
    text: &str,
    posted: &Posted,
    walked: Option<Result<Simulated>>,
    seen: Option<&FlowSeen>,
) -> Answer {
    let flow = check_text(text).ok();
    let (walked, error) = match walked {
        None => (None, None),
        Some(Ok(walked)) => (Some(walked), None),
        Some(Err(error)) if error.kind() == Kind::Invalid => (None, Some(error)),
        Some(Err(error)) => return Err(error.into()),
    };
    let refused: Vec<&str> = posted.all("refuse").collect();
    let name = |flow: &Flow, step: &str| {
        flow.step(step).map_or_else(|| step.to_owned(), |s| visit.t(s.zh(), s.en()).to_owned())
    };
    let shown = flow.as_ref().map(|flow| {
        let attributes: Vec<Value> = flow
            .attributes
            .iter()
            .map(|a| {
                let given = posted.get(&format!("fact-{}", a.id));
                context! { id => &a.id, name => visit.t(&a.zh, &a.en), kind => value(a.kind), choices => &a.choices,
                    given, ticked => posted.ticked(&format!("fact-{}", a.id)) }
            })
            .collect();
        let reviews: Vec<Value> = flow
            .steps
            .iter()
            .filter(|s| matches!(s, Step::Review(_) | Step::Auto(_)))
            .map(|s| context! { id => s.id(), name => visit.t(s.zh(), s.en()), ticked => refused.contains(&s.id()) })
            .collect();
        let stops: Vec<Value> = walked
            .iter()
            .flat_map(|w| &w.stops)
            .map(|s| {
                let seats: Vec<Value> = s
                    .seats
                    .iter()
                    .map(|s| context! { role => s.role.map(|r| r.as_str()), place => &s.org, user => &s.user })
                    .collect();
                let to = if s.to.is_empty() { String::new() } else { name(flow, &s.to) };
                context! { name => name(flow, &s.step), kind => &s.kind, due => &s.due, approve => s.approve, to, seats }
            })
            .collect();
        context! {
            id => &flow.id, version => flow.version, name => visit.t(&flow.zh, &flow.en), basis => &flow.basis,
            effective => flow.effective.to_string(), attributes, reviews, stops,
            phase => walked.as_ref().map(|w| w.phase.as_str()),
            drawing => value(drawing::draw(flow, None, visit.lang)),
        }
    });
    let status = if error.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let context = context! {
        flow => shown, text, may_publish => may_publish(door, visit),
        kept => seen.map(|s| row(visit, s)),
        error => error.as_ref().map(|e| visit.t(e.zh(), e.en()).to_owned()),
        fields => value(error.as_ref().map(Error::fields).unwrap_or_default()),
    };
    let mut response = door.page(visit, "console/flow.html", context).await?;
    *response.status_mut() = status;
    Ok(response)
}

async fn publish(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    let text = posted.raw("text").replace("\r\n", "\n");
    match app::approval::publish(&door.app, &visit.op, &text).await {
        Ok(flow) => done(&format!("/console/flows/{}/{}", flow.id, flow.version), "saved"),
        Err(e) if matches!(e.kind(), Kind::Invalid | Kind::Conflict) => {
            let shown = Error::invalid(e.zh(), e.en()).with_fields(e.fields().to_vec());
            page(&door, &visit, &text, &posted, Some(Err(shown)), None).await
        }
        Err(e) => Err(e.into()),
    }
}
