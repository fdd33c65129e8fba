//! A dry walk through a flow: which steps an application with these facts would take, who would sit there, by when.
//! Nothing is kept; the same machine runs as in earnest.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    By, Command, Event, Facts, Flow, Phase, Seat, Start, State, Subject, What, decide, start,
};
use crate::{Error, Result};

/// One stop of the walk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walked {
    pub step: String,
    /// `review auto choice fork join end`
    pub kind: String,
    pub seats: Vec<Seat>,
    pub due: Option<String>,
    /// The answer that was assumed (reviews and automatic steps), or where a choice went.
    pub approve: Option<bool>,
    pub to: String,
}

/// Walks the flow; every review is approved, but those in `refuse` (automatic steps there fail). Answers the stops in
/// order and how it ended.
pub fn simulate(
    flow: &Flow,
    by: &By<'_>,
    facts: Facts,
    places: BTreeMap<String, String>,
    refuse: &BTreeSet<String>,
) -> Result<(Vec<Walked>, Phase)> {
    let begin = Start {
        subject: Subject { kind: "simulation".into(), id: "simulation".into() },
        title: flow.zh.clone(),
        applicant: "applicant".into(),
        applicant_org: places.get("applicant").cloned().unwrap_or_default(),
        places,
        facts,
    };
    let mut events = start(flow, by, begin)?;
    // Every round closes a seat; a flow that was checked has no circles.
    let most = 1 + flow.steps.len() * 64;
    for _ in 0..most {
        let state = State::fold(&events)?;
        if state.phase.over() {
            return Ok((walk(flow, &events), state.phase));
        }
        let more = next(flow, &state, by, refuse)?;
        events.extend(more);
    }
    Err(Error::internal(format!("the flow `{}` does not end", flow.id)))
}

fn next(flow: &Flow, state: &State, by: &By<'_>, refuse: &BTreeSet<String>) -> Result<Vec<Event>> {
    let dead = || Error::internal(format!("the flow `{}` waits for nobody", flow.id));
    let open = state.open.first().ok_or_else(dead)?;
    let approve = !refuse.contains(&open.step);
    // Someone else on each step and seat, so that four eyes never stand in the way.
    let someone = format!("{} {}", open.step, open.active().first().copied().unwrap_or(0));
    let by = &By { id: &someone, ..*by };
    let command = if open.action.is_some() {
        Command::Acted { step: open.step.clone(), done: approve, note: String::new() }
    } else {
        let seat = open.active().first().copied().ok_or_else(dead)?;
        Command::Decide {
            step: open.step.clone(),
            seat: u32::try_from(seat).unwrap_or(u32::MAX),
            approve,
            reason: flow.reasons.first().map(|r| r.id.clone()).unwrap_or_default(),
            opinion: "simulation".into(),
        }
    };
    decide(flow, state, by, command)
}

fn walk(flow: &Flow, events: &[Event]) -> Vec<Walked> {
    let kind = |id: &str| flow.step(id).map_or("", |s| s.kind()).to_owned();
    let stop = |step: &str| Walked {
        step: step.to_owned(),
        kind: kind(step),
        seats: Vec::new(),
        due: None,
        approve: None,
        to: String::new(),
    };
    let mut stops: Vec<Walked> = Vec::new();
    for event in events {
        match &event.what {
            What::Opened { open } => stops.push(Walked {
                seats: open.seats.clone(),
                due: open.due.clone(),
                ..stop(&open.step)
            }),
            What::Chosen { step, to } => stops.push(Walked { to: to.clone(), ..stop(step) }),
            What::Forked { step, .. } | What::Joined { join: step } => stops.push(stop(step)),
            What::Ended { step, approved } => {
                stops.push(Walked { approve: Some(*approved), ..stop(step) });
            }
            What::Closed { step, approve } | What::Acted { step, done: approve, .. } => {
                if let Some(s) = stops.iter_mut().rev().find(|s| s.step == *step) {
                    s.approve = Some(*approve);
                }
            }
            _ => {}
        }
    }
    stops
}
