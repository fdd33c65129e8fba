//! Seats that nobody holds: a role that no open account has at that organisation, or a person whose account is closed.
//!
//! Such a seat would wait for ever. It goes to the authority's desk (the superior's, where the authority has nobody),
//! the history says so, and those who can mend it are told. Looked at when a step opens, and by [`super::tick`] for
//! accounts that were closed or changed since.

use model::account::Role;
use model::flow::{Command, How, Phase};
use model::{Code, Op, Result};
use policy::Permit;
use store::seat::Cover;

use super::act::take_events;
use super::look::{Held, load};
use crate::App;
use crate::notice::{self, Told};

/// People told of one seat at most.
const TOLD: u32 = 50;

/// Whether somebody can answer on a seat.
async fn held_by_someone(app: &App, seat: &model::flow::Seat) -> Result<bool> {
    let person = seat.lent.as_ref().or(seat.user.as_ref());
    if let Some(id) = person {
        return Ok(app.store.user_get(id).await?.is_some_and(|u| u.user.active));
    }
    match (&seat.org, seat.role) {
        (Some(org), Some(role)) => Ok(!app.store.holders(org, role, 1).await?.is_empty()),
        // Not a seat of the house: nothing is known of it.
        _ => Ok(true),
    }
}

/// What stands in the way of one approval.
struct Unheld {
    step: String,
    seat: u32,
    /// Others of the step can answer.
    others: bool,
}

async fn unheld(app: &App, held: &Held) -> Result<Vec<Unheld>> {
    let mut found = Vec::new();
    for open in held.state.open.iter().filter(|o| o.action.is_none()) {
        let (mut empty, mut someone) = (Vec::new(), false);
        for n in open.active() {
            let Some(seat) = open.seats.get(n) else { continue };
            if held_by_someone(app, seat).await? {
                someone = true;
            } else {
                empty.push(u32::try_from(n).unwrap_or(u32::MAX));
            }
        }
        let others = someone && open.how == How::Any;
        // Of a step that any seat answers, one seat at the desk is enough.
        let first = empty.first().copied();
        for seat in empty {
            let others = others || (open.how == How::Any && Some(seat) != first);
            found.push(Unheld { step: open.step.clone(), seat, others });
        }
    }
    Ok(found)
}

/// Brings the seats of one approval that nobody holds to the authority's desk. Answers how many.
pub(super) async fn cover(app: &App, system: &Op, permit: &Permit, id: &str) -> Result<u64> {
    let mut moved = 0;
    let Some(mut held) = load(app, id).await? else { return Ok(0) };
    if held.state.phase != Phase::Running {
        return Ok(0);
    }
    for place in unheld(app, &held).await? {
        let seat = row(&held, &place);
        if place.others {
            app.store.seat_mark(permit, &seat, Cover::Others).await?;
            continue;
        }
        let Some(desk) = desk(app, &held).await? else {
            app.store.seat_mark(permit, &seat, Cover::Nobody).await?;
            told(app, system, permit, &held, &place, None).await?;
            continue;
        };
        let command =
            Command::Reseat { step: place.step.clone(), seat: place.seat, org: desk.clone() };
        match take_events(app, system, permit, held, None, command).await {
            Ok(now) => held = now,
            // Somebody acted meanwhile: the next round looks again.
            Err(e) if e.code() == Code::WrongState => return Ok(moved),
            Err(e) => return Err(e),
        }
        moved += 1;
        told(app, system, permit, &held, &place, Some(&desk)).await?;
    }
    Ok(moved)
}

fn row(held: &Held, place: &Unheld) -> store::approval::SeatRow {
    store::approval::SeatRow {
        approval: held.id.clone(),
        step: place.step.clone(),
        seat: place.seat,
        org: None,
        role: None,
        user: None,
        lent: false,
        covered: false,
        place: String::new(),
    }
}

/// The organisation whose authority answers in place of nobody.
async fn desk(app: &App, held: &Held) -> Result<Option<String>> {
    for place in ["authority", "superior"] {
        if let Some(org) = held.state.places.get(place)
            && !app.store.holders(org, Role::Authority, 1).await?.is_empty()
        {
            return Ok(Some(org.clone()));
        }
    }
    Ok(None)
}

async fn told(
    app: &App,
    system: &Op,
    permit: &Permit,
    held: &Held,
    place: &Unheld,
    desk: Option<&str>,
) -> Result<()> {
    let mut people = app.store.holders_anywhere(Role::SystemAdministrator, TOLD).await?;
    if let Some(desk) = desk {
        people.extend(app.store.holders(desk, Role::Authority, TOLD).await?);
    }
    let kind = if desk.is_some() { "approval.covered" } else { "approval.unheld" };
    let told = Told {
        mark: format!("{kind}:{}:{}:{}:{}", held.id, place.step, place.seat, held.state.seq),
        kind,
        title: held.state.title.clone(),
        words: held.flow.step(&place.step).map(|s| s.zh().to_owned()).unwrap_or_default(),
        href: format!("/console/approvals/{}", held.id),
    };
    notice::tell(app, system, permit, &people, &told).await
}

/// Looks for seats that lost their holders since they were opened. Answers how many went to a desk.
pub(super) async fn sweep(app: &App, system: &Op, permit: &Permit) -> Result<u64> {
    for (org, role) in app.store.seat_groups_odd().await? {
        if !app.store.holders(&org, role, 1).await?.is_empty() {
            app.store.seats_held_again(permit, &org, role).await?;
        }
    }
    let mut moved = 0;
    let mut lost = app.store.seats_of_closed().await?;
    let mut after = (String::new(), String::new());
    while let Some((org, role)) = app.store.seat_group_after((&after.0, &after.1)).await? {
        if app.store.holders(&org, role, 1).await?.is_empty() {
            lost.extend(app.store.seats_fresh(&org, role).await?);
        }
        after = (org, role.as_str().to_owned());
    }
    lost.sort_by(|a, b| a.approval.cmp(&b.approval));
    lost.dedup_by(|a, b| a.approval == b.approval);
    for seat in lost {
        moved += cover(app, system, permit, &seat.approval).await?;
    }
    Ok(moved)
}
