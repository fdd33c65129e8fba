//! The events of one approval, and the state they fold to. Folding needs no flow file and no calendar: an event says
//! all that follows from it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{AutoAction, Facts, How, Phase, TimerDo};
use crate::account::Role;
use crate::{Error, Result};

/// What an approval is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// `part`, `demand`, `objection` …
    pub kind: String,
    pub id: String,
}

/// One event of an approval, in order of `seq` (from 1). Never changed once written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub seq: u64,
    /// RFC 3339 UTC.
    pub at: String,
    pub by: String,
    pub by_name: String,
    /// The person in whose place it was done (委托, while that person is on leave).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_place_of: Option<String>,
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    Started {
        flow: String,
        version: u32,
        subject: Subject,
        title: String,
        applicant: String,
        applicant_org: String,
        places: BTreeMap<String, String>,
        facts: Facts,
    },
    /// A step began to wait for people or for the platform.
    Opened {
        open: Box<Open>,
    },
    /// A choice took a branch.
    Chosen {
        step: String,
        to: String,
    },
    Forked {
        step: String,
        branches: Vec<String>,
    },
    /// A branch came to its join.
    Arrived {
        join: String,
        from: String,
    },
    /// All branches have come.
    Joined {
        join: String,
    },
    /// One seat gave its answer.
    Decided {
        step: String,
        seat: u32,
        approve: bool,
        reason: String,
        opinion: String,
    },
    /// A step was answered as a whole.
    Closed {
        step: String,
        approve: bool,
    },
    /// 加签
    Added {
        step: String,
        seat: Seat,
        opinion: String,
    },
    /// 转办
    Transferred {
        step: String,
        seat: u32,
        user: String,
        org: String,
        opinion: String,
    },
    /// 委派: someone gives an opinion, then it comes back.
    Delegated {
        step: String,
        seat: u32,
        user: String,
        opinion: String,
    },
    Answered {
        step: String,
        seat: u32,
        opinion: String,
    },
    /// 退回; `to` is an earlier step, or nothing for the applicant (缺项反馈).
    Returned {
        step: String,
        #[serde(default)]
        seat: u32,
        to: Option<String>,
        missing: Vec<String>,
        opinion: String,
    },
    /// 收回: the answer on a seat is gone, and what followed from it; `open`, `arrived` and the first `passed` steps are
    /// what stands again.
    TakenBack {
        step: String,
        seat: u32,
        open: Vec<Open>,
        arrived: BTreeMap<String, Vec<String>>,
        passed: u32,
        opinion: String,
    },
    /// Nobody held the seat: it is the authority's now.
    Reseated {
        step: String,
        seat: u32,
        org: String,
    },
    Resubmitted {
        facts: Facts,
        opinion: String,
    },
    /// 催办
    Urged {
        day: String,
        opinion: String,
    },
    Reminded {
        step: String,
        timer: u32,
    },
    Escalated {
        step: String,
        timer: u32,
        seat: Seat,
    },
    /// The platform did its part, or could not.
    Acted {
        step: String,
        done: bool,
        note: String,
    },
    Withdrawn {
        opinion: String,
    },
    Ended {
        step: String,
        approved: bool,
    },
}

/// An answer of a seat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voice {
    pub by: String,
    pub by_name: String,
    pub approve: bool,
    pub reason: String,
    pub opinion: String,
    pub at: String,
}

/// A seat of an open step: a role at an organisation, or one person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    pub role: Option<Role>,
    pub org: Option<String>,
    pub user: Option<String>,
    /// Joined by 加签: its approval is needed beside the step's own rule.
    #[serde(default)]
    pub added: bool,
    /// Joined by escalation.
    #[serde(default)]
    pub escalated: bool,
    /// Nobody held it: the authority answers in its place.
    #[serde(default)]
    pub covered: bool,
    /// Someone asked for an opinion (委派), until it is given.
    #[serde(default)]
    pub lent: Option<String>,
    #[serde(default)]
    pub voice: Option<Voice>,
}

/// A timer of an open step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenTimer {
    /// Day on which it goes off, `YYYY-MM-DD`.
    pub on: String,
    pub what: TimerDo,
    pub seat: Option<Seat>,
    #[serde(default)]
    pub done: bool,
}

/// An open step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    pub step: String,
    /// Automatic work to do; `None` = people decide.
    pub action: Option<AutoAction>,
    pub how: How,
    pub pass: u8,
    pub seats: Vec<Seat>,
    pub since: String,
    pub due: Option<String>,
    pub timers: Vec<OpenTimer>,
}

/// A step that was left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    pub step: String,
    pub approve: bool,
    pub at: String,
    /// Who answered it.
    #[serde(default)]
    pub by: Vec<String>,
}

/// A way that was taken, for the drawing.
pub type Moved = (String, String);

/// State of an approval: what its events fold to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    pub flow: String,
    pub version: u32,
    pub subject: Subject,
    pub title: String,
    pub applicant: String,
    pub applicant_org: String,
    pub places: BTreeMap<String, String>,
    pub facts: Facts,
    pub phase: Phase,
    pub open: Vec<Open>,
    /// Branches that have come to a join.
    pub arrived: BTreeMap<String, Vec<String>>,
    pub passed: Vec<Passed>,
    /// What the applicant must add, while it is returned.
    pub missing: Vec<String>,
    pub urged: u32,
    pub last_urged: String,
    pub started_at: String,
    pub ended_at: Option<String>,
    /// Events folded.
    pub seq: u64,
}

impl Open {
    /// What the seats' answers come to so far.
    #[must_use]
    pub fn outcome(&self) -> Option<bool> {
        let added = || self.seats.iter().filter(|s| s.added);
        if added().any(|s| s.voice.as_ref().is_some_and(|v| !v.approve)) {
            return Some(false);
        }
        match self.own() {
            Some(true) if added().all(|s| s.voice.is_some()) => Some(true),
            Some(true) | None => None,
            Some(false) => Some(false),
        }
    }

    /// The same by the step's own rule, without those who joined by 加签.
    fn own(&self) -> Option<bool> {
        // An escalated seat stands for the whole step.
        if let Some(v) = self.seats.iter().filter(|s| s.escalated).find_map(|s| s.voice.as_ref()) {
            return Some(v.approve);
        }
        let own: Vec<&Seat> = self.seats.iter().filter(|s| !s.added && !s.escalated).collect();
        let voices = || own.iter().filter_map(|s| s.voice.as_ref());
        match self.how {
            How::Any => voices().next().map(|v| v.approve),
            How::All | How::Sequence => {
                if voices().any(|v| !v.approve) {
                    Some(false)
                } else if own.iter().all(|s| s.voice.is_some()) {
                    Some(true)
                } else {
                    None
                }
            }
            How::Vote => {
                let (all, yes) = (own.len(), voices().filter(|v| v.approve).count());
                let open = own.iter().filter(|s| s.voice.is_none()).count();
                let enough = |votes: usize| votes * 100 >= usize::from(self.pass) * all;
                if enough(yes) {
                    Some(true)
                } else if !enough(yes + open) {
                    Some(false)
                } else {
                    None
                }
            }
        }
    }

    /// Seats that may answer now.
    #[must_use]
    pub fn active(&self) -> Vec<usize> {
        if self.action.is_some() || self.outcome().is_some() {
            return Vec::new();
        }
        let settled = self.own() == Some(true);
        let mut own_taken = false;
        let mut active = Vec::new();
        for (n, seat) in self.seats.iter().enumerate() {
            if seat.voice.is_some() {
                continue;
            }
            let may = if seat.added {
                true
            } else if settled {
                false
            } else if seat.escalated {
                true
            } else if self.how == How::Sequence {
                !std::mem::replace(&mut own_taken, true)
            } else {
                true
            };
            if may {
                active.push(n);
            }
        }
        active
    }
}

impl State {
    /// Folds all events of an approval.
    pub fn fold(events: &[Event]) -> Result<Self> {
        let mut state = None;
        for event in events {
            state = Some(Self::evolve(state, event)?);
        }
        state.ok_or_else(|| Error::internal("an approval without events"))
    }

    #[must_use]
    pub fn open_step(&self, step: &str) -> Option<&Open> {
        self.open.iter().find(|o| o.step == step)
    }

    fn open_mut(&mut self, step: &str) -> Result<&mut Open> {
        self.open
            .iter_mut()
            .find(|o| o.step == step)
            .ok_or_else(|| Error::internal(format!("event for step `{step}`, which is not open")))
    }

    fn seat_mut(&mut self, step: &str, seat: u32) -> Result<&mut Seat> {
        let n = usize::try_from(seat).unwrap_or(usize::MAX);
        self.open_mut(step)?
            .seats
            .get_mut(n)
            .ok_or_else(|| Error::internal(format!("event for seat {seat} of `{step}`")))
    }

    /// The state after one more event. Fails only on a history that was never written by [`super::decide`].
    pub fn evolve(state: Option<Self>, event: &Event) -> Result<Self> {
        let mut state = match (state, &event.what) {
            (None, What::Started { .. }) => Self::begun(event)?,
            (None, _) => return Err(Error::internal("an approval must begin with `started`")),
            (Some(_), What::Started { .. }) => {
                return Err(Error::internal("an approval begins once"));
            }
            (Some(state), _) => state,
        };
        if event.seq != state.seq + 1 {
            return Err(Error::internal(format!("event {} follows {}", event.seq, state.seq)));
        }
        state.seq = event.seq;
        state.take(event)?;
        Ok(state)
    }

    fn begun(event: &Event) -> Result<Self> {
        let What::Started {
            flow,
            version,
            subject,
            title,
            applicant,
            applicant_org,
            places,
            facts,
        } = event.what.clone()
        else {
            return Err(Error::internal("an approval must begin with `started`"));
        };
        Ok(Self {
            flow,
            version,
            subject,
            title,
            applicant,
            applicant_org,
            places,
            facts,
            phase: Phase::Running,
            open: Vec::new(),
            arrived: BTreeMap::new(),
            passed: Vec::new(),
            missing: Vec::new(),
            urged: 0,
            last_urged: String::new(),
            started_at: event.at.clone(),
            ended_at: None,
            seq: 0,
        })
    }

    fn take(&mut self, event: &Event) -> Result<()> {
        match &event.what {
            What::Started { .. } => {}
            What::Opened { open } => self.open.push(open.as_ref().clone()),
            What::Chosen { step, .. } | What::Forked { step, .. } => self.pass(step, true, event),
            What::Arrived { join, from } => {
                self.arrived.entry(join.clone()).or_default().push(from.clone());
            }
            What::Joined { join } => {
                self.arrived.remove(join);
                self.pass(join, true, event);
            }
            What::Decided { step, seat, approve, reason, opinion } => {
                let voice = Voice {
                    by: event.by.clone(),
                    by_name: event.by_name.clone(),
                    approve: *approve,
                    reason: reason.clone(),
                    opinion: opinion.clone(),
                    at: event.at.clone(),
                };
                let seat = self.seat_mut(step, *seat)?;
                seat.lent = None;
                seat.voice = Some(voice);
            }
            What::Closed { step, approve } => {
                let by = self.deciders(step);
                self.open.retain(|o| o.step != *step);
                self.pass(step, *approve, event);
                if let Some(last) = self.passed.last_mut() {
                    last.by = by;
                }
            }
            What::Added { step, seat, .. } | What::Escalated { step, seat, .. } => {
                self.open_mut(step)?.seats.push(seat.clone());
                if let What::Escalated { timer, .. } = &event.what {
                    self.timer_done(step, *timer)?;
                }
            }
            What::Transferred { step, seat, user, org, .. } => {
                let seat = self.seat_mut(step, *seat)?;
                seat.role = None;
                seat.org = Some(org.clone()).filter(|o| !o.is_empty());
                seat.user = Some(user.clone());
                seat.lent = None;
            }
            What::Delegated { step, seat, user, .. } => {
                self.seat_mut(step, *seat)?.lent = Some(user.clone());
            }
            What::Answered { step, seat, .. } => self.seat_mut(step, *seat)?.lent = None,
            What::Returned { step, to, missing, .. } => {
                self.pass(step, false, event);
                self.open.clear();
                self.arrived.clear();
                if to.is_none() {
                    self.phase = Phase::Returned;
                    self.missing = missing.clone();
                }
            }
            What::TakenBack { open, arrived, passed, .. } => {
                self.phase = Phase::Running;
                self.missing.clear();
                self.open.clone_from(open);
                self.arrived.clone_from(arrived);
                self.passed.truncate(usize::try_from(*passed).unwrap_or(usize::MAX));
            }
            What::Reseated { step, seat, org } => {
                let seat = self.seat_mut(step, *seat)?;
                seat.role = Some(Role::Authority);
                seat.org = Some(org.clone());
                seat.user = None;
                seat.lent = None;
                seat.covered = true;
            }
            What::Resubmitted { facts, .. } => {
                self.phase = Phase::Running;
                self.facts = facts.clone();
                self.missing.clear();
            }
            What::Urged { day, .. } => {
                self.urged += 1;
                self.last_urged = day.clone();
            }
            What::Reminded { step, timer } => self.timer_done(step, *timer)?,
            What::Acted { step, done, .. } => {
                self.open.retain(|o| o.step != *step);
                self.pass(step, *done, event);
            }
            What::Withdrawn { .. } => self.end(Phase::Withdrawn, event),
            What::Ended { step, approved } => {
                self.pass(step, *approved, event);
                self.end(if *approved { Phase::Approved } else { Phase::Refused }, event);
            }
        }
        Ok(())
    }

    fn timer_done(&mut self, step: &str, timer: u32) -> Result<()> {
        let n = usize::try_from(timer).unwrap_or(usize::MAX);
        if let Some(timer) = self.open_mut(step)?.timers.get_mut(n) {
            timer.done = true;
        }
        Ok(())
    }

    fn pass(&mut self, step: &str, approve: bool, event: &Event) {
        let at = event.at.clone();
        self.passed.push(Passed { step: step.to_owned(), approve, at, by: Vec::new() });
    }

    /// Who has answered an open step.
    fn deciders(&self, step: &str) -> Vec<String> {
        let seats = self.open_step(step).map(|o| o.seats.as_slice()).unwrap_or_default();
        seats.iter().filter_map(|s| s.voice.as_ref()).map(|v| v.by.clone()).collect()
    }

    fn end(&mut self, phase: Phase, event: &Event) {
        self.phase = phase;
        self.open.clear();
        self.arrived.clear();
        self.ended_at = Some(event.at.clone());
    }

    /// The earliest day on which a timer goes off.
    #[must_use]
    pub fn next_timer(&self) -> Option<&str> {
        self.open
            .iter()
            .flat_map(|o| o.timers.iter().filter(|t| !t.done).map(|t| t.on.as_str()))
            .min()
    }

    /// The earliest day by which an answer is due.
    #[must_use]
    pub fn due(&self) -> Option<&str> {
        self.open.iter().filter_map(|o| o.due.as_deref()).min()
    }
}
