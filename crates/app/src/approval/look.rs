//! Looking at approvals: one with its history, lists, the inbox; and the proof that the history still folds to what
//! the lists show.

use std::collections::HashSet;
use std::sync::Arc;

use model::account::Role;
use model::flow::{Event, Flow, Phase, Seat, State, Subject};
use model::{Actor, Error, Op, Result};
use policy::{Action, Target};
use store::approval::{ApprovalFilter, ApprovalRow, SeatOf, SeatRow};

use super::flows::flow_of;
use super::leave::stands_in_for;
use super::{Seen, Task};
use crate::{App, Page, account};

/// An approval as read from its events.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) id: String,
    pub(crate) flow: Arc<Flow>,
    pub(crate) state: State,
    pub(crate) events: Vec<Event>,
}

impl Held {
    pub(crate) fn seat(&self, step: &str, seat: u32) -> Option<&Seat> {
        let n = usize::try_from(seat).ok()?;
        self.state.open_step(step)?.seats.get(n)
    }
}

pub(crate) async fn load(app: &App, id: &str) -> Result<Option<Held>> {
    let events = app.store.approval_events(id).await?;
    if events.is_empty() {
        return Ok(None);
    }
    let state = State::fold(&events)?;
    let flow = flow_of(app, &state.flow, state.version).await?;
    Ok(Some(Held { id: id.to_owned(), flow, state, events }))
}

/// The history of an approval, for rooms that have asked policy about its subject.
pub(crate) async fn events_of(app: &App, id: &str) -> Result<Vec<Event>> {
    app.store.approval_events(id).await
}

/// What an approval's flow was asked about.
pub(crate) async fn facts_of(app: &App, id: &str) -> Result<model::flow::Facts> {
    Ok(State::fold(&app.store.approval_events(id).await?)?.facts)
}

/// The approval, if the caller may know of it; otherwise it is not found.
pub(super) async fn held(app: &App, op: &Op, id: &str) -> Result<Held> {
    let held = load(app, id).await?;
    let held = match held {
        Some(held) if may_read(app, op, &held).await? => Some(held),
        _ => None,
    };
    held.ok_or_else(|| Error::not_found("审批", "approval", id))
}

async fn may_read(app: &App, op: &Op, held: &Held) -> Result<bool> {
    if reads(app, op, held) {
        return Ok(true);
    }
    for owner in stands_in_for(app, op).await? {
        if reads(app, &Op { actor: owner, ..op.clone() }, held) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Readers by policy: of the approval, of a seat, or having taken part.
fn reads(app: &App, op: &Op, held: &Held) -> bool {
    let may = |target: &Target| app.policy.decide(op, Action::ApprovalRead, target).allowed;
    let me = op.actor.id();
    let took_part = held.events.iter().any(|e| e.by == me);
    let whole = Target {
        seat_user: Some(me.to_owned()).filter(|_| took_part),
        ..Target::approval(&held.id, &held.state)
    };
    let seats = || held.state.open.iter().flat_map(|o| &o.seats);
    may(&whole) || seats().any(|s| may(&Target::seat(&held.id, &held.state, s)))
}

/// One approval with its history and what the caller may do; people by the names shown.
pub async fn get(app: &App, op: &Op, id: &str) -> Result<Seen> {
    let mut seen = as_kept(app, op, id).await?;
    let seats = seen.state.open.iter_mut().flat_map(|open| &mut open.seats);
    let voices = seats.filter_map(|seat| seat.voice.as_mut());
    let voices = voices.map(|voice| (voice.by.as_str(), &mut voice.by_name));
    let events = seen.events.iter_mut().map(|event| (event.by.as_str(), &mut event.by_name));
    account::named(app, voices.chain(events).collect()).await?;
    Ok(seen)
}

/// The same with the login names that are kept, for rooms that ask whether it may be seen and what it came to.
pub(crate) async fn as_kept(app: &App, op: &Op, id: &str) -> Result<Seen> {
    let held = held(app, op, id).await?;
    let mut actors = vec![op.actor.clone()];
    if held.state.applicant != op.actor.id() {
        actors.extend(stands_in_for(app, op).await?);
    }
    let mut mine = Vec::new();
    for open in &held.state.open {
        for n in open.active() {
            let Some(seat) = open.seats.get(n) else { continue };
            let target = Target::seat(id, &held.state, seat);
            let may = actors.iter().any(|actor| {
                let op = Op { actor: actor.clone(), ..op.clone() };
                app.policy.decide(&op, Action::ApprovalDecide, &target).allowed
            });
            if may {
                let n = u32::try_from(n).unwrap_or(u32::MAX);
                mine.push((open.step.clone(), n, seat.lent.is_some()));
            }
        }
    }
    let target = Target::approval(id, &held.state);
    let follows = app.policy.decide(op, Action::ApprovalFollow, &target).allowed;
    let may_take_back = super::act::may_take_back(app, op, &held);
    let Held { id, flow, state, events } = held;
    Ok(Seen { id, flow, state, events, mine, follows, may_take_back })
}

/// All approvals about one thing that the caller may see, oldest first.
pub async fn about(app: &App, op: &Op, subject: &Subject) -> Result<Vec<ApprovalRow>> {
    let mut seen = Vec::new();
    for row in app.store.approvals_about(subject).await? {
        if app.policy.decide(op, Action::ApprovalRead, &target(&row)).allowed {
            seen.push(row);
        }
    }
    Ok(seen)
}

/// Approvals the caller may see, newest first, for those who may see all.
pub async fn list(app: &App, op: &Op, filter: &ApprovalFilter) -> Result<Page<ApprovalRow>> {
    // Someone else's approval between other organisations: who sees that sees all.
    let strange = Target {
        org: Some(String::new()),
        applicant_org: Some(String::new()),
        ..Target::plain("Approval", "all")
    };
    crate::audit::permit(app, op, Action::ApprovalRead, &strange).await?;
    let limit = if filter.limit == 0 { 50 } else { filter.limit.min(999) };
    let filter = ApprovalFilter { limit: limit + 1, ..filter.clone() };
    let items = app.store.approval_list(&filter).await?;
    Ok(Page::cut(items, limit, |r| r.id.clone()))
}

/// Running approvals past their day, longest late first, for those who may see all. `after` is a page's `next`.
pub async fn late(
    app: &App,
    op: &Op,
    after: Option<&str>,
    limit: u32,
) -> Result<Page<ApprovalRow>> {
    let strange = Target {
        org: Some(String::new()),
        applicant_org: Some(String::new()),
        ..Target::plain("Approval", "all")
    };
    crate::audit::permit(app, op, Action::ApprovalRead, &strange).await?;
    let limit = if limit == 0 { 50 } else { limit.min(999) };
    let after = after.and_then(|a| a.split_once('|'));
    let items = app.store.approvals_late(&op.today().to_string(), after, limit + 1).await?;
    Ok(Page::cut(items, limit, |r| format!("{}|{}", r.due, r.id)))
}

/// Approvals with a seat that nobody holds, what is due first standing first, for those who may see all. `after` is a
/// page's `next`.
pub async fn covered(
    app: &App,
    op: &Op,
    after: Option<&str>,
    limit: u32,
) -> Result<Page<ApprovalRow>> {
    let strange = Target {
        org: Some(String::new()),
        applicant_org: Some(String::new()),
        ..Target::plain("Approval", "all")
    };
    crate::audit::permit(app, op, Action::ApprovalRead, &strange).await?;
    let limit = if limit == 0 { 50 } else { limit.min(500) };
    let seats = app.store.seats_covered(after, limit + 1).await?;
    let Page { items: seats, next } = Page::cut(seats, limit, |s| s.place.clone());
    let mut items: Vec<ApprovalRow> = Vec::new();
    for seat in seats {
        if !items.iter().any(|i| i.id == seat.approval) {
            items.extend(app.store.approval_row(&seat.approval).await?);
        }
    }
    Ok(Page { items, next })
}

fn target(row: &ApprovalRow) -> Target {
    Target {
        org: Some(row.org.clone()),
        applicant_org: Some(row.applicant_org.clone()).filter(|o| !o.is_empty()),
        owner: Some(row.applicant.clone()),
        state: Some(row.phase.as_str().to_owned()),
        ..Target::plain("Approval", &row.id)
    }
}

/// What waits for the caller's answer, what is due first standing first. *constant page*: a fixed number of index
/// look-ups (the caller, and each role at the caller's organisation), whatever the number of running approvals.
pub async fn tasks(app: &App, op: &Op, after: Option<&str>, limit: u32) -> Result<Page<Task>> {
    let limit = if limit == 0 { 50 } else { limit.min(500) };
    let mut people: Vec<(Actor, Option<String>)> = vec![(op.actor.clone(), None)];
    for owner in stands_in_for(app, op).await? {
        let name = owner.name().to_owned();
        people.push((owner, Some(name)));
    }
    let mut found: Vec<(SeatRow, usize)> = Vec::new();
    for (n, (actor, _)) in people.iter().enumerate() {
        for of in places_of(actor) {
            let rows = app.store.approval_seats(&of, after, limit + 1).await?;
            found.extend(rows.into_iter().map(|row| (row, n)));
        }
    }
    found.sort_by(|a, b| (&a.0.place, a.1).cmp(&(&b.0.place, b.1)));
    found.dedup_by(|b, a| a.0.place == b.0.place);
    let Page { items: found, next } = Page::cut(found, limit, |(row, _)| row.place.clone());
    let today = op.today().to_string();
    let mut items = Vec::new();
    for (seat, n) in found {
        let Some((actor, in_place_of)) = people.get(n) else { continue };
        let Some(row) = app.store.approval_row(&seat.approval).await? else { continue };
        let theirs = Op { actor: actor.clone(), ..op.clone() };
        let target = Target {
            seat_role: seat.role,
            seat_org: seat.org.clone(),
            seat_user: seat.user.clone(),
            ..target(&row)
        };
        let own = in_place_of.is_some() && row.applicant == op.actor.id();
        if own || !app.policy.decide(&theirs, Action::ApprovalDecide, &target).allowed {
            continue;
        }
        let flow = flow_of(app, &row.flow, row.version).await?;
        let name = |pick: fn(&model::flow::Step) -> &str| {
            flow.step(&seat.step).map_or("", pick).to_owned()
        };
        items.push(Task {
            step_zh: name(|s| s.zh()),
            step_en: name(|s| s.en()),
            overdue: !row.due.is_empty() && row.due < today,
            step: seat.step,
            seat: seat.seat,
            lent: seat.lent,
            covered: seat.covered,
            in_place_of: in_place_of.clone(),
            approval: row,
        });
    }
    Ok(Page { items, next })
}

/// The person, and each role at the person's organisation.
fn places_of(actor: &Actor) -> Vec<SeatOf> {
    let mut all = vec![SeatOf::Person(actor.id().to_owned())];
    if let Some(org) = actor.org() {
        let mut seen: HashSet<Role> = HashSet::new();
        for role in actor.roles() {
            if seen.insert(*role) {
                all.push(SeatOf::Role { org: org.to_owned(), role: *role });
            }
        }
    }
    all
}

/// Folds the history of an approval anew and compares it with what the lists show.
pub async fn verify(app: &App, op: &Op, id: &str) -> Result<bool> {
    let held = held(app, op, id).await?;
    let Some(row) = app.store.approval_row(id).await? else { return Ok(false) };
    let state = &held.state;
    let over = state.phase != Phase::Running || !state.open.is_empty();
    Ok(over
        && row.phase == state.phase
        && row.due == state.due().unwrap_or_default()
        && row.stage == super::act::stage(&held.flow, state)
        && row.subject == state.subject)
}
