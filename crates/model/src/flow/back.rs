//! Taking an answer back (收回): whoever answered may do so until somebody has acted on what followed.

use super::{By, Event, Open, Phase, Seat, State, What};
use crate::{Code, Error, Result};

/// The event that takes the caller's last answer back, and the seat it was given on. The state before the answer comes
/// back as it was; when the step still waits for others, their answers stay.
pub fn take_back(events: &[Event], by: &By<'_>, opinion: &str) -> Result<(Event, Seat)> {
    let now = State::fold(events)?;
    let answered = |e: &&Event| {
        e.by == by.id && matches!(e.what, What::Decided { .. } | What::Returned { .. })
    };
    let last =
        events.iter().rev().find(answered).ok_or_else(|| {
            refuse("您没有可收回的意见", "there is no answer of yours to take back")
        })?;
    let (What::Decided { step, seat, .. } | What::Returned { step, seat, .. }) = &last.what else {
        return Err(Error::internal("an answer that is none"));
    };
    let place = usize::try_from(*seat).unwrap_or(usize::MAX);
    let what = |open, arrived, passed: usize| What::TakenBack {
        step: step.clone(),
        seat: *seat,
        open,
        arrived,
        passed: u32::try_from(passed).unwrap_or(u32::MAX),
        opinion: opinion.to_owned(),
    };
    let wrap = |what| Event {
        seq: now.seq + 1,
        at: by.at.to_owned(),
        by: by.id.to_owned(),
        by_name: by.name.to_owned(),
        in_place_of: by.in_place_of.map(str::to_owned),
        what,
    };
    // The step still waits for others: only this voice is taken out.
    if let Some(mine) = voice_of(&now, step, place, by.id) {
        let seat = Seat { voice: None, ..mine };
        let mut open: Vec<Open> = now.open.clone();
        if let Some(at) =
            open.iter_mut().find(|o| o.step == *step).and_then(|o| o.seats.get_mut(place))
        {
            *at = seat.clone();
        }
        return Ok((wrap(what(open, now.arrived.clone(), now.passed.len())), seat));
    }
    let after = events.iter().filter(|e| e.seq > last.seq);
    let acted = after.into_iter().any(|e| !follows_by_itself(&e.what));
    if now.phase.over() || acted {
        return Err(refuse(
            "下一环节已办理或申请已办结，意见不能收回",
            "somebody has acted since, or it is decided: the answer cannot be taken back",
        ));
    }
    let before: Vec<Event> = events.iter().filter(|e| e.seq < last.seq).cloned().collect();
    let then = State::fold(&before)?;
    let seat = then
        .open_step(step)
        .and_then(|o| o.seats.get(place))
        .cloned()
        .ok_or_else(|| Error::internal("an answer on a seat that was not there"))?;
    Ok((wrap(what(then.open, then.arrived, then.passed.len())), seat))
}

fn voice_of(state: &State, step: &str, place: usize, by: &str) -> Option<Seat> {
    let seat = state.open_step(step)?.seats.get(place)?;
    let mine = state.phase == Phase::Running && seat.voice.as_ref().is_some_and(|v| v.by == by);
    mine.then(|| seat.clone())
}

/// What the machine, the clock or the waiting applicant brings; nobody has answered by it.
fn follows_by_itself(what: &What) -> bool {
    matches!(
        what,
        What::Closed { .. }
            | What::Chosen { .. }
            | What::Forked { .. }
            | What::Arrived { .. }
            | What::Joined { .. }
            | What::Opened { .. }
            | What::Reminded { .. }
            | What::Escalated { .. }
            | What::Reseated { .. }
            | What::Urged { .. }
    )
}

fn refuse(zh: &str, en: &str) -> Error {
    Error::new(Code::WrongState, zh, en)
}
