//! 应用查重: proposed applications, what they resemble and why, and the decision.

use std::collections::BTreeMap;
use std::sync::Arc;

use app::ledger;
use app::{Action, Target};
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use minijinja::{Value, context};
use model::asset::{Ledger, ProposalDraft, Verdict};
use model::{Error, Kind};

use crate::console::{PAGE, done, next_link};
use crate::form::Posted;
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/proposals", get(list).post(propose))
        .route("/console/proposals/{id}", get(detail))
        .route("/console/proposals/{id}/decide", post(decide))
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    list_page(&door, &visit, None).await
}

async fn list_page(door: &Door, visit: &Visit, error: Option<(&Error, &Posted)>) -> Answer {
    let page = ledger::proposals(&door.app, &visit.op, visit.q("after"), PAGE).await?;
    let target = Target {
        kind: "Proposal",
        org: visit.op.actor.org().map(str::to_owned),
        ..Target::default()
    };
    let context = context! {
        proposals => value(&page.items), next => next_link(visit, "after", page.next.as_deref()),
        may_propose => door.app.may(&visit.op, Action::ProposalSubmit, &target),
        error => error.map(|(e, _)| visit.t(e.zh(), e.en()).to_owned()),
        fields => value(error.map(|(e, _)| e.fields()).unwrap_or_default()),
        form => error.map_or(Value::UNDEFINED, |(_, p)| context! {
            name => p.get("name"), description => p.get("description"),
            functions => p.get("functions"), data => p.get("data"),
        }),
        done => visit.q("done"),
    };
    door.page_with(visit, "console/proposals.html", context, error.map(|(error, _)| error)).await
}

async fn propose(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    let lines = |name: &str| posted.get(name).lines().map(str::to_owned).collect();
    let draft = ProposalDraft {
        name: posted.get("name").to_owned(),
        org: visit.op.actor.org().unwrap_or_default().to_owned(),
        description: posted.get("description").to_owned(),
        functions: lines("functions"),
        data: lines("data"),
    };
    match ledger::propose(&door.app, &visit.op, draft).await {
        Ok(proposal) => done(&format!("/console/proposals/{}", proposal.id), "created"),
        Err(error) if error.kind() == Kind::Invalid => {
            list_page(&door, &visit, Some((&error, &posted))).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn detail(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let proposal = ledger::proposal(app, op, &id).await?;
    let (matches, suggested) = if proposal.verdict.is_some() {
        (proposal.matches.clone(), None)
    } else {
        let (found, suggested) = ledger::compare(app, op, &proposal.id).await?;
        (found, Some(suggested))
    };
    let org = app::org::get(app, op, &proposal.draft.org).await?;
    let target = Target::proposal(&proposal, &org.region);
    let rule = ledger::rules(app, op)?.of(Ledger::Application)?;
    let states: BTreeMap<String, String> = super::ledger::state_names(rule, visit.lang);
    let context = context! {
        proposal => value(&proposal), matches => value(&matches), states,
        suggested => suggested.map(Verdict::as_str),
        verdicts => Verdict::ALL.iter().map(|v| context! { value => v.as_str(), name => visit.t(v.zh(), v.en()) })
            .collect::<Vec<_>>(),
        may_decide => proposal.verdict.is_none() && app.may(op, Action::ProposalDecide, &target),
        done => visit.q("done"),
    };
    door.page(&visit, "console/proposal.html", context).await
}

async fn decide(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let verdict = Verdict::parse(posted.get("verdict"))
        .ok_or_else(|| Error::invalid("请选择结论", "choose a decision"))?;
    ledger::decide(&door.app, &visit.op, &id, verdict, posted.get("reason")).await?;
    done(&format!("/console/proposals/{id}"), "saved")
}
