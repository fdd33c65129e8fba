//! Tickets as departments read them: those at the desk of one's organisation; for an authority also those of its region.

use model::voice::ticket::{Deed, Side, Ticket, TicketEvent, TicketKind, TicketState};
use model::{Op, Result};
use policy::{Action, Target};
use serde::Serialize;
use store::voice::TicketFilter;

use super::file::context;
use super::site::missing;
use crate::{App, Page, account, audit};

/// Which tickets a desk looks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeskFilter<'a> {
    /// All that the caller oversees, not only those at the own desk.
    pub region: bool,
    pub waits: bool,
    pub overdue: bool,
    pub kind: Option<TicketKind>,
    pub state: Option<TicketState>,
    pub text: Option<&'a str>,
    pub before: Option<&'a str>,
    pub limit: u32,
}

/// What waits at a desk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DeskCount {
    pub waiting: u64,
    pub overdue: u64,
}

/// A ticket opened at a desk.
#[derive(Clone, Debug, Serialize)]
pub struct DeskTicket {
    pub ticket: Ticket,
    pub events: Vec<TicketEvent>,
    pub deeds: Vec<Deed>,
    pub overdue: bool,
    /// There is a contact, and the caller may have it shown.
    pub has_contact: bool,
}

/// Whether the caller handles tickets of an organisation.
#[must_use]
pub fn has_desk(app: &App, op: &Op) -> bool {
    let Some(org) = op.actor.org() else { return false };
    app.may(op, Action::TicketHandle, &Target::of_org("Ticket", "desk", org))
}

/// What waits at the desk of the caller's organisation; nothing for those without one.
pub async fn count(app: &App, op: &Op) -> Result<DeskCount> {
    let (true, Some(org)) = (has_desk(app, op), op.actor.org()) else {
        return Ok(DeskCount::default());
    };
    let (waiting, overdue) = app.store.ticket_desk(org, &op.today().to_string()).await?;
    Ok(DeskCount { waiting, overdue })
}

/// A page of the desk, newest first. *constant page*.
pub async fn desk(app: &App, op: &Op, filter: &DeskFilter<'_>) -> Result<Page<Ticket>> {
    let org = op.actor.org().unwrap_or_default();
    let own = Target::of_org("Ticket", "desk", org);
    audit::permit(app, op, Action::TicketHandle, &own).await?;
    let limit = if filter.limit == 0 { 50 } else { filter.limit.min(200) };
    let today = op.today().to_string();
    let asked = TicketFilter {
        org: (!filter.region).then_some(org),
        kind: filter.kind,
        state: filter.state,
        text: filter.text,
        waits: filter.waits || filter.overdue,
        due_before: filter.overdue.then_some(today.as_str()),
        before: filter.before,
        limit: limit + 1,
        ..TicketFilter::default()
    };
    let mut page = Page::cut(app.store.ticket_list(&asked).await?, limit, |t| t.id.clone());
    // A page may be shorter by what the caller does not oversee; its position is that of the last one looked at.
    page.items.retain(|t| app.may(op, Action::TicketRead, &Target::ticket(t)));
    Ok(page)
}

/// One ticket with all that happened to it, and what the caller may do; people by the names shown.
pub async fn get(app: &App, op: &Op, id: &str) -> Result<DeskTicket> {
    let ticket = app.store.ticket_get(id).await?.ok_or_else(|| missing(id))?;
    let target = Target::ticket(&ticket);
    audit::permit_hidden(app, op, Action::TicketRead, &target, &ticket.number, || missing(id))
        .await?;
    let handles = app.may(op, Action::TicketHandle, &target);
    let mut deeds = if handles { ticket.deeds(Side::Desk) } else { Vec::new() };
    if app.may(op, Action::TicketOversee, &target) {
        for deed in ticket.deeds(Side::Bureau) {
            if !deeds.contains(&deed) {
                deeds.push(deed);
            }
        }
    }
    let sealed = app.store.ticket_contact(&ticket.id).await?.unwrap_or_default();
    let mut events = app.store.ticket_events(&ticket.id).await?;
    let people = events.iter_mut().map(|e| (e.actor.as_str(), &mut e.actor_name));
    account::named(app, people.collect()).await?;
    Ok(DeskTicket {
        events,
        deeds,
        overdue: ticket.overdue(op.today()),
        has_contact: handles && !sealed.is_empty(),
        ticket,
    })
}

/// How the writer is reached: for the desk that handles it, and recorded.
pub async fn contact(app: &App, op: &Op, id: &str) -> Result<String> {
    let ticket = app.store.ticket_get(id).await?.ok_or_else(|| missing(id))?;
    let target = Target::ticket(&ticket);
    audit::permit_hidden(app, op, Action::TicketRead, &target, &ticket.number, || missing(id))
        .await?;
    audit::permit(app, op, Action::TicketHandle, &target).await?;
    audit::record(app, audit::event(op, "ticket.contact", &ticket.number)).await?;
    let sealed = app.store.ticket_contact(&ticket.id).await?.unwrap_or_default();
    if sealed.is_empty() {
        return Ok(String::new());
    }
    let opened = app.keys.vault().open(&context(&ticket.id), &sealed)?;
    std::str::from_utf8(&opened)
        .map(str::to_owned)
        .map_err(|e| model::Error::internal("a contact is no text").caused_by(e))
}
