//! What writer, desk and authority do to a ticket: one step of its life, with its event, its record and its notices.

use model::op::day_of;
use model::voice::ticket::{Deed, Side, Ticket, TicketEvent, TicketState};
use model::voice::{impersonal, plain};
use model::{Code, Error, Op, Result};
use policy::{Action, Permit, Target};

use super::file::desk_of;
use super::site::missing;
use super::{stale, tell, writer};
use crate::{App, audit};

/// What is to be done to a ticket.
#[derive(Clone, Debug)]
pub struct TicketOrder {
    pub deed: Deed,
    /// The ticket's `edit` as the caller saw it; `None`: whatever it is.
    pub seen: Option<u64>,
    /// To the writer, or why.
    pub text: String,
    /// The answer as everybody may read it.
    pub public_text: String,
    /// Organisation it is handed to.
    pub org: String,
    /// 1 to 5.
    pub score: u8,
    pub satisfied: bool,
}

impl TicketOrder {
    /// A deed with a text.
    #[must_use]
    pub fn new(deed: Deed, text: &str) -> Self {
        Self {
            deed,
            seen: None,
            text: text.to_owned(),
            public_text: String::new(),
            org: String::new(),
            score: 0,
            satisfied: false,
        }
    }
}

/// Does it to the ticket of this id or number.
pub async fn act(app: &App, op: &Op, id: &str, order: TicketOrder) -> Result<Ticket> {
    let mut ticket = app.store.ticket_get(id).await?.ok_or_else(|| missing(id))?;
    let (permit, side) = enter(app, op, &ticket, order.deed).await?;
    let seen = ticket.edit;
    if order.seen.is_some_and(|e| e != seen) {
        return Err(stale());
    }
    if !ticket.deeds(side).contains(&order.deed) {
        return Err(Error::new(
            Code::WrongState,
            format!("诉求{}，不能{}", ticket.state.zh(), order.deed.zh()),
            format!(
                "the ticket is in the state `{}`: this cannot be done now ({})",
                ticket.state.en(),
                order.deed.en()
            ),
        ));
    }
    let step = apply(app, op, &mut ticket, &order).await?;
    ticket.edit += 1;
    ticket.updated_at = op.stamp();
    let event = TicketEvent {
        seq: ticket.edit,
        at: op.stamp(),
        deed: order.deed,
        side,
        actor: op.actor.id().to_owned(),
        actor_name: op.actor.name().to_owned(),
        org: ticket.org.clone(),
        text: step.text,
        to_writer: step.to_writer,
        to_all: step.to_all,
    };
    if !app.store.ticket_update(&permit, &ticket, &event, seen).await? {
        return Err(stale());
    }
    let mut record = audit::event(op, &format!("ticket.{}", order.deed), &ticket.number);
    record.scope = format!("{} {}", side, ticket.org);
    audit::record(app, record).await?;
    told(app, op, &ticket, &event).await;
    Ok(ticket)
}

/// In which part the caller acts, with the permit. Who may not know of the ticket finds none.
async fn enter(app: &App, op: &Op, ticket: &Ticket, deed: Deed) -> Result<(Permit, Side)> {
    if op.actor.id() == ticket.writer {
        return Ok((writer(app, op, "Ticket", &ticket.number).await?, Side::Writer));
    }
    let target = Target::ticket(ticket);
    audit::permit_hidden(app, op, Action::TicketRead, &target, &ticket.number, || {
        missing(&ticket.number)
    })
    .await?;
    let desk = app.may(op, Action::TicketHandle, &target)
        && (ticket.deeds(Side::Desk).contains(&deed)
            || !ticket.deeds(Side::Bureau).contains(&deed));
    if desk || !app.may(op, Action::TicketOversee, &target) {
        return Ok((audit::permit(app, op, Action::TicketHandle, &target).await?, Side::Desk));
    }
    Ok((audit::permit(app, op, Action::TicketOversee, &target).await?, Side::Bureau))
}

/// What a step says, and to whom.
struct Step {
    text: String,
    to_writer: bool,
    to_all: bool,
}

impl Step {
    fn to_writer(text: String) -> Self {
        Self { text, to_writer: true, to_all: false }
    }
    fn to_desk(text: String) -> Self {
        Self { text, to_writer: false, to_all: false }
    }
}

async fn apply(app: &App, op: &Op, t: &mut Ticket, order: &TicketOrder) -> Result<Step> {
    let rules = &app.rules.voice;
    let said = |least| plain("text", ("说明", "text"), &order.text, least, rules.longest.text);
    let day = |n| app.calendar.add_working_days(op.today(), n);
    match order.deed {
        Deed::Accept => {
            t.state = TicketState::Accepted;
            t.shown = t.may_be_shown();
            Ok(Step::to_writer(said(0)?))
        }
        Deed::Return => {
            let text = said(2)?;
            t.state = TicketState::Returned;
            Ok(Step::to_writer(text))
        }
        Deed::HandOver => {
            let text = said(0)?;
            let org = desk_of(app, &order.org).await?;
            if org.id == t.org {
                return Err(Error::invalid("诉求已在该单位", "the ticket is at that desk already")
                    .field("org", "请改选其他单位", "choose another organisation"));
            }
            t.state = TicketState::Received;
            t.org = org.id;
            Ok(Step::to_desk(text))
        }
        Deed::Answer => {
            let text = said(2)?;
            public_reply(t, &order.public_text, rules.longest.text)?;
            t.state = TicketState::Answered;
            if t.days < 0 {
                t.days = i64::from(working_days(app, op, t));
            }
            t.answered_at = op.stamp();
            t.reply.clone_from(&text);
            t.due = day(rules.days.close);
            t.shown = t.may_be_shown();
            Ok(Step::to_writer(text))
        }
        Deed::Publish => {
            let text = plain(
                "public_text",
                ("公开答复", "public answer"),
                &order.public_text,
                2,
                rules.longest.text,
            )?;
            public_reply(t, &text, rules.longest.text)?;
            t.shown = true;
            Ok(Step { text, to_writer: true, to_all: true })
        }
        Deed::Withhold => {
            let text = said(2)?;
            t.withheld.clone_from(&text);
            t.shown = false;
            Ok(Step::to_writer(text))
        }
        Deed::Supplement => {
            let text = said(2)?;
            t.state = TicketState::Received;
            t.due = day(rules.days.of(t.kind));
            Ok(Step::to_writer(text))
        }
        Deed::Evaluate => {
            if !(1..=5).contains(&order.score) {
                return Err(Error::invalid("请打 1 至 5 分", "give 1 to 5 points")
                    .field("score", "1 至 5", "1 to 5"));
            }
            let text = said(0)?;
            (t.score, t.satisfied) = (order.score, Some(order.satisfied));
            t.opinion.clone_from(&text);
            t.state = TicketState::Closed;
            Ok(Step::to_writer(text))
        }
        Deed::Reopen => {
            let text = said(2)?;
            t.reopened = true;
            t.state = TicketState::Received;
            t.due = day(rules.days.of(t.kind));
            Ok(Step::to_writer(text))
        }
        Deed::Withdraw => {
            t.state = TicketState::Closed;
            t.shown = false;
            Ok(Step::to_writer(said(0)?))
        }
        Deed::File | Deed::Close => Err(Error::internal("not a deed of a person's order")),
    }
}

/// Keeps the answer that everybody may read; an empty one makes nothing public.
fn public_reply(ticket: &mut Ticket, text: &str, longest: usize) -> Result<()> {
    let text = plain("public_text", ("公开答复", "public answer"), text, 0, longest)?;
    if text.is_empty() {
        return Ok(());
    }
    if !ticket.may_be_shown() {
        return Err(Error::new(
            Code::RuleBroken,
            "这条诉求不公开，不能公开答复",
            "this ticket is not public: its answer cannot be",
        )
        .field("public_text", "请留空", "leave it empty"));
    }
    impersonal("public_text", &text)?;
    ticket.public_reply = text;
    Ok(())
}

/// Working days since it was filed.
fn working_days(app: &App, op: &Op, ticket: &Ticket) -> u32 {
    let days = |from| app.calendar.working_days_between(from, op.today());
    day_of(&ticket.created_at).map_or(0, days)
}

/// Tells whom it concerns.
async fn told(app: &App, op: &Op, ticket: &Ticket, event: &TicketEvent) {
    let words = event.text.as_str();
    match event.deed {
        Deed::Return => tell::writer(app, op, ticket, "ticket.returned", words).await,
        Deed::Answer => tell::writer(app, op, ticket, "ticket.answered", words).await,
        Deed::HandOver => tell::desk(app, op, ticket, "ticket.handed", words).await,
        Deed::Supplement | Deed::Reopen => {
            tell::desk(app, op, ticket, "ticket.supplied", words).await;
        }
        _ => {}
    }
}

/// The platform closes what was answered long ago; answers whether it did.
pub(super) async fn close(
    app: &App,
    system: &Op,
    permit: &Permit,
    mut ticket: Ticket,
) -> Result<bool> {
    let seen = ticket.edit;
    ticket.state = TicketState::Closed;
    ticket.edit += 1;
    ticket.updated_at = system.stamp();
    let event = TicketEvent {
        seq: ticket.edit,
        at: system.stamp(),
        deed: Deed::Close,
        side: Side::Platform,
        actor: system.actor.id().to_owned(),
        actor_name: system.actor.name().to_owned(),
        org: ticket.org.clone(),
        text: String::new(),
        to_writer: true,
        to_all: true,
    };
    let done = app.store.ticket_update(permit, &ticket, &event, seen).await?;
    if done {
        audit::record(app, audit::event(system, "ticket.close", &ticket.number)).await?;
    }
    Ok(done)
}
