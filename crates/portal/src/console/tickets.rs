//! The desk of 互动交流: tickets of my organisation, one ticket with what may be done to it, and its contact.

use std::sync::Arc;

use app::voice::{self, DeskFilter};
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use minijinja::context;
use model::Error;
use model::Kind;
use model::account::Role;
use model::voice::ticket::{Deed, TicketKind, TicketState};

use crate::console::{PAGE, done, next_link};
use crate::form::Posted;
use crate::site::interact::{order, public_bodies, word};
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/tickets", get(list))
        .route("/console/tickets/{id}", get(show))
        .route("/console/tickets/{id}/moves", post(moves))
        .route("/console/tickets/{id}/contact", post(contact))
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let view = visit.q("view").unwrap_or("waiting");
    let filter = DeskFilter {
        region: view == "region" && op.actor.has(Role::Authority),
        waits: view == "waiting",
        overdue: view == "overdue",
        kind: word(TicketKind::ALL, TicketKind::as_str, visit.q("kind")),
        state: word(TicketState::ALL, TicketState::as_str, visit.q("state")),
        text: visit.q("q"),
        before: visit.q("before"),
        limit: PAGE,
    };
    let page = voice::desk(app, op, &filter).await?;
    let today = op.today();
    let rows: Vec<_> = page
        .items
        .iter()
        .map(|t| context! { ticket => value(t), supports => t.supports, overdue => t.overdue(today), waits => t.waits() })
        .collect();
    let context = context! {
        rows, view, count => value(voice::count(app, op).await?),
        oversees => op.actor.has(Role::Authority),
        kind => filter.kind.map(TicketKind::as_str), state => filter.state.map(TicketState::as_str),
        q => filter.text, next => next_link(&visit, "before", page.next.as_deref()),
    };
    door.page(&visit, "console/tickets.html", context).await
}

async fn show(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    page(&door, &visit, &id, None, None).await
}

async fn page(
    door: &Door,
    visit: &Visit,
    id: &str,
    contact: Option<String>,
    wrong: Option<&Error>,
) -> Answer {
    let view = voice::get(&door.app, &visit.op, id).await?;
    let offers = |deed: Deed| view.deeds.contains(&deed);
    let context = context! {
        view => value(&view), ticket => value(&view.ticket), events => value(&view.events),
        deeds => view.deeds.iter().map(|d| d.as_str()).collect::<Vec<_>>(),
        answers => offers(Deed::Answer), hands_over => offers(Deed::HandOver),
        publishes => offers(Deed::Publish), withholds => offers(Deed::Withhold),
        may_be_shown => view.ticket.may_be_shown(), supports => view.ticket.supports,
        orgs => public_bodies(door).await, contact, longest => door.app.rules.voice.longest.text,
        done => visit.q("done"),
        error => wrong.map(|e| visit.t(e.zh(), e.en()).to_owned()),
        fields => value(wrong.map(Error::fields).unwrap_or_default()),
    };
    door.page_with(visit, "console/ticket.html", context, wrong).await
}

async fn moves(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let order = order(&posted)?;
    let word = order.deed.as_str();
    match voice::act(&door.app, &visit.op, &id, order).await {
        // What was handed on is out of sight: back to the desk.
        Ok(_) if word == "hand_over" => done("/console/tickets", word),
        Ok(_) => done(&format!("/console/tickets/{id}"), word),
        Err(error) if error.kind() == Kind::Invalid => {
            page(&door, &visit, &id, None, Some(&error)).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn contact(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    let contact = voice::contact(&door.app, &visit.op, &id).await?;
    page(&door, &visit, &id, Some(contact), None).await
}
