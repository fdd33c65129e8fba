//! The machine: what an action on an approval leads to. Pure: the flow, the state and the day give the events.
//!
//! Who may act on a seat is not asked here (`policy` does, in the room); here it is asked whether the action fits the
//! state. After every action the machine runs on by itself through choices, forks and joins until people, or the
//! platform, have something to do again, or until an end.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use super::{
    Auto, Event, Facts, Flow, Open, OpenTimer, Phase, Review, Seat, SeatRule, State, Step, Subject,
    TimerDo, What,
};
use crate::calendar::Calendar;
use crate::{Code, Error, Result};

/// Who acts, when, by which calendar.
#[derive(Clone, Copy, Debug)]
pub struct By<'a> {
    pub id: &'a str,
    pub name: &'a str,
    /// The person in whose place it is done.
    pub in_place_of: Option<&'a str>,
    /// RFC 3339 UTC.
    pub at: &'a str,
    pub today: NaiveDate,
    pub calendar: &'a Calendar,
}

/// What an approval begins with.
#[derive(Clone, Debug)]
pub struct Start {
    pub subject: Subject,
    pub title: String,
    pub applicant: String,
    pub applicant_org: String,
    /// Organisation of each place the flow's seats name. A place of several organisations is named `others`, `others.2` …: a seat rule
    /// that names it gives each of them a seat.
    pub places: BTreeMap<String, String>,
    pub facts: Facts,
}

/// An action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// 同意 / 不同意
    Decide { step: String, seat: u32, approve: bool, reason: String, opinion: String },
    /// 加签
    Add { step: String, seat: u32, user: String, org: String, opinion: String },
    /// 转办
    Transfer { step: String, seat: u32, user: String, org: String, opinion: String },
    /// 委派
    Delegate { step: String, seat: u32, user: String, opinion: String },
    /// The answer to 委派.
    Answer { step: String, seat: u32, opinion: String },
    /// 退回, to the applicant or to an earlier step.
    Return { step: String, seat: u32, to: Option<String>, missing: Vec<String>, opinion: String },
    /// The applicant hands it in again.
    Resubmit { facts: Facts, opinion: String },
    /// 撤回
    Withdraw { opinion: String },
    /// 催办
    Urge { opinion: String },
    /// Nobody holds the seat: it goes to the authority of `org`.
    Reseat { step: String, seat: u32, org: String },
    /// Timers whose day has come.
    Tick,
    /// The platform did its part, or could not.
    Acted { step: String, done: bool, note: String },
}

/// Begins an approval: its first events.
pub fn start(flow: &Flow, by: &By<'_>, start: Start) -> Result<Vec<Event>> {
    for place in flow.places() {
        if !start.places.contains_key(place) {
            return Err(Error::new(
                Code::RuleBroken,
                format!("流程 `{}` 需要确定 `{place}` 的单位，但没有找到", flow.zh),
                format!(
                    "the flow `{}` needs an organisation for `{place}`, and there is none",
                    flow.en
                ),
            ));
        }
    }
    let mut run = Run { flow, by, state: None, events: Vec::new() };
    run.push(What::Started {
        flow: flow.id.clone(),
        version: flow.version,
        subject: start.subject,
        title: start.title,
        applicant: start.applicant,
        applicant_org: start.applicant_org,
        places: start.places,
        facts: start.facts,
    })?;
    run.enter(&flow.start, "")?;
    Ok(run.events)
}

/// The events an action leads to.
pub fn decide(flow: &Flow, state: &State, by: &By<'_>, command: Command) -> Result<Vec<Event>> {
    if state.flow != flow.id || state.version != flow.version {
        return Err(Error::internal(format!(
            "approval of flow `{}` v{} run by `{}` v{}",
            state.flow, state.version, flow.id, flow.version
        )));
    }
    let mut run = Run { flow, by, state: Some(state.clone()), events: Vec::new() };
    run.act(command)?;
    Ok(run.events)
}

struct Run<'a> {
    flow: &'a Flow,
    by: &'a By<'a>,
    state: Option<State>,
    events: Vec<Event>,
}

impl<'a> Run<'a> {
    fn push(&mut self, what: What) -> Result<()> {
        let event = Event {
            seq: self.state.as_ref().map_or(1, |s| s.seq + 1),
            at: self.by.at.to_owned(),
            by: self.by.id.to_owned(),
            by_name: self.by.name.to_owned(),
            in_place_of: self.by.in_place_of.map(str::to_owned),
            what,
        };
        self.state = Some(State::evolve(self.state.take(), &event)?);
        self.events.push(event);
        Ok(())
    }

    fn state(&self) -> Result<&State> {
        self.state.as_ref().ok_or_else(|| Error::internal("an approval without a state"))
    }

    fn act(&mut self, command: Command) -> Result<()> {
        let phase = self.state()?.phase;
        let fits = match command {
            Command::Resubmit { .. } => phase == Phase::Returned,
            Command::Withdraw { .. } => matches!(phase, Phase::Running | Phase::Returned),
            _ => phase == Phase::Running,
        };
        if !fits {
            return Err(wrong_phase(phase));
        }
        match command {
            Command::Decide { step, seat, approve, reason, opinion } => {
                self.answer(step, seat, approve, reason, opinion)
            }
            Command::Add { step, seat, user, org, opinion } => {
                self.seat(&step, seat)?;
                self.newcomer(&step, &user)?;
                let joined = Seat {
                    user: Some(user),
                    org: Some(org).filter(|o| !o.is_empty()),
                    added: true,
                    ..Seat::default()
                };
                self.push(What::Added { step, seat: joined, opinion })
            }
            Command::Transfer { step, seat, user, org, opinion } => {
                self.seat(&step, seat)?;
                self.newcomer(&step, &user)?;
                self.push(What::Transferred { step, seat, user, org, opinion })
            }
            Command::Delegate { step, seat, user, opinion } => {
                if self.seat(&step, seat)?.lent.is_some() {
                    return Err(wrong(
                        "已委派他人，正在等其意见",
                        "it is already with someone for an opinion",
                    ));
                }
                self.newcomer(&step, &user)?;
                self.push(What::Delegated { step, seat, user, opinion })
            }
            Command::Answer { step, seat, opinion } => {
                if self.seat(&step, seat)?.lent.is_none() {
                    return Err(wrong("此环节没有委派", "nobody asked for an opinion here"));
                }
                need(&opinion, "opinion", "请填写意见", "give your opinion")?;
                self.push(What::Answered { step, seat, opinion })
            }
            Command::Return { step, seat, to, missing, opinion } => {
                self.send_back(step, seat, to, missing, opinion)
            }
            Command::Resubmit { facts, opinion } => {
                self.push(What::Resubmitted { facts, opinion })?;
                self.enter(&self.flow.start, "")
            }
            Command::Withdraw { opinion } => self.push(What::Withdrawn { opinion }),
            Command::Urge { opinion } => self.urge(opinion),
            Command::Reseat { step, seat, org } => {
                self.seat(&step, seat)?;
                self.push(What::Reseated { step, seat, org })
            }
            Command::Tick => self.tick(),
            Command::Acted { step, done, note } => self.acted(step, done, note),
        }
    }

    /// The active seat of an open review.
    fn seat(&self, step: &str, seat: u32) -> Result<&Seat> {
        let open = self.state()?.open_step(step).ok_or_else(|| {
            wrong("此环节已办结，请刷新后查看", "this step is closed, reload to see it")
        })?;
        let n = usize::try_from(seat).unwrap_or(usize::MAX);
        if !open.active().contains(&n) {
            return Err(wrong("此席位不在办理中", "it is not this seat's turn"));
        }
        open.seats.get(n).ok_or_else(|| Error::internal("an active seat that is not there"))
    }

    /// Whoever is drawn in must be new to the step and is never the applicant (four eyes).
    fn newcomer(&self, step: &str, user: &str) -> Result<()> {
        let state = self.state()?;
        if user == state.applicant {
            return Err(Error::new(
                Code::RuleBroken,
                "不能交给申请人本人办理",
                "the applicant cannot be drawn in",
            )
            .field("user", "请选择他人", "choose someone else"));
        }
        let there = state.open_step(step).is_some_and(|o| {
            o.seats.iter().any(|s| {
                s.user.as_deref() == Some(user) || s.voice.as_ref().is_some_and(|v| v.by == user)
            })
        });
        if there {
            return Err(Error::new(
                Code::RuleBroken,
                "此人已在本环节中",
                "this person is in the step already",
            )
            .field("user", "请选择他人", "choose someone else"));
        }
        Ok(())
    }

    fn answer(
        &mut self,
        step: String,
        seat: u32,
        approve: bool,
        reason: String,
        opinion: String,
    ) -> Result<()> {
        if self.seat(&step, seat)?.lent.is_some() {
            return Err(wrong(
                "已委派他人，请等其意见或收回委派",
                "it is with someone for an opinion: wait for it or take it back",
            ));
        }
        self.other_eyes(&step)?;
        if !approve {
            self.reasoned(&reason, &opinion)?;
        }
        self.push(What::Decided { step: step.clone(), seat, approve, reason, opinion })?;
        let Some(outcome) = self.state()?.open_step(&step).and_then(Open::outcome) else {
            return Ok(());
        };
        self.push(What::Closed { step: step.clone(), approve: outcome })?;
        let Some(Step::Review(review)) = self.flow.step(&step) else {
            return Err(Error::internal(format!("`{step}` is no review of this flow")));
        };
        let to = if outcome { &review.approve } else { &review.refuse };
        self.enter(to, &step)
    }

    /// Whoever answered a step that this one must not share eyes with, answers not here.
    fn other_eyes(&self, step: &str) -> Result<()> {
        let Some(Step::Review(review)) = self.flow.step(step) else { return Ok(()) };
        let state = self.state()?;
        let mine = |id: &String| id == self.by.id || Some(id.as_str()) == self.by.in_place_of;
        let shared = state
            .passed
            .iter()
            .any(|p| review.other_than.contains(&p.step) && p.by.iter().any(mine));
        if shared {
            return Err(Error::new(
                Code::Denied,
                "您已办理过此申请的前一环节，本环节须由他人办理",
                "you answered an earlier step of this application: someone else must answer this one",
            )
            .with_reasons(vec!["four-eyes".into()]));
        }
        Ok(())
    }

    /// A refusal names one of the flow's reasons, and proof where the reason needs it.
    fn reasoned(&self, reason: &str, opinion: &str) -> Result<()> {
        if self.flow.reasons.is_empty() {
            return need(opinion, "opinion", "请写明不同意的理由", "say why it is refused");
        }
        let Some(known) = self.flow.reason(reason) else {
            let list = |pick: fn(&super::Reason) -> &str| {
                self.flow.reasons.iter().map(pick).collect::<Vec<_>>().join("、")
            };
            return Err(Error::new(
                Code::RuleBroken,
                format!("不同意须从列出的理由中选择：{}", list(|r| &r.zh)),
                format!("a refusal must choose one of the listed reasons: {}", list(|r| &r.en)),
            )
            .field("reason", "请选择理由", "choose a reason"));
        };
        if known.proof {
            need(
                opinion,
                "opinion",
                "此理由须写明依据或证明材料",
                "this reason needs its ground or proof in words",
            )?;
        }
        Ok(())
    }

    fn send_back(
        &mut self,
        step: String,
        seat: u32,
        to: Option<String>,
        missing: Vec<String>,
        opinion: String,
    ) -> Result<()> {
        self.seat(&step, seat)?;
        if let Some(Step::Review(r)) = self.flow.step(&step)
            && !r.may_return
        {
            return Err(wrong("此环节不能退回", "this step cannot be sent back"));
        }
        need(&opinion, "opinion", "退回须写明原因", "say why it is sent back")?;
        if let Some(to) = &to {
            let state = self.state()?;
            let earlier = matches!(self.flow.step(to), Some(Step::Review(_)))
                && state.passed.iter().any(|p| p.step == *to);
            let parallel = state.open.len() > 1 || !state.arrived.is_empty();
            if !earlier || parallel {
                return Err(Error::new(
                    Code::RuleBroken,
                    "只能退回到已办过的审批环节；并行办理中只能退回申请人",
                    "it goes back to a review it came through; out of parallel branches, to the applicant only",
                )
                .field("to", "请另选退回位置", "choose another step"));
            }
        }
        self.push(What::Returned { step: step.clone(), seat, to: to.clone(), missing, opinion })?;
        match to {
            Some(to) => self.enter(&to, &step),
            None => Ok(()),
        }
    }

    fn urge(&mut self, opinion: String) -> Result<()> {
        let day = self.by.today.to_string();
        if self.state()?.last_urged == day {
            return Err(wrong("今天已经催办过", "it was urged today already"));
        }
        self.push(What::Urged { day, opinion })
    }

    fn tick(&mut self) -> Result<()> {
        let day = self.by.today.to_string();
        let mut due = Vec::new();
        for open in &self.state()?.open {
            for (n, timer) in open.timers.iter().enumerate() {
                if !timer.done && timer.on <= day {
                    let n = u32::try_from(n).unwrap_or(u32::MAX);
                    due.push((open.step.clone(), n, timer.clone()));
                }
            }
        }
        for (step, timer, rule) in due {
            match (rule.what, rule.seat) {
                (TimerDo::Add, Some(seat)) => self.push(What::Escalated { step, timer, seat })?,
                _ => self.push(What::Reminded { step, timer })?,
            }
        }
        Ok(())
    }

    fn acted(&mut self, step: String, done: bool, note: String) -> Result<()> {
        let open = self.state()?.open_step(&step);
        if !open.is_some_and(|o| o.action.is_some()) {
            return Err(wrong("自动环节已办结", "the automatic step is closed"));
        }
        let Some(Step::Auto(auto)) = self.flow.step(&step) else {
            return Err(Error::internal(format!("`{step}` is no automatic step of this flow")));
        };
        let to = if done { &auto.to } else { &auto.failed };
        self.push(What::Acted { step: step.clone(), done, note })?;
        self.enter(to, &step)
    }

    /// Comes to a step from another, and runs on.
    fn enter(&mut self, id: &str, from: &str) -> Result<()> {
        if self.state()?.phase.over() {
            return Ok(());
        }
        let step = self
            .flow
            .step(id)
            .ok_or_else(|| Error::internal(format!("flow without step `{id}`")))?;
        match step {
            Step::Review(review) => {
                let open = self.review(review)?;
                self.push(What::Opened { open: Box::new(open) })
            }
            Step::Auto(auto) => {
                let open = self.automatic(auto);
                self.push(What::Opened { open: Box::new(open) })
            }
            Step::Choice(choice) => {
                let facts = &self.state()?.facts;
                let branch = choice
                    .branches
                    .iter()
                    .find(|b| b.when.iter().all(|t| t.holds(facts)))
                    .ok_or_else(|| {
                        Error::internal(format!("choice `{id}` without a last branch"))
                    })?;
                self.push(What::Chosen { step: id.to_owned(), to: branch.to.clone() })?;
                self.enter(&branch.to, id)
            }
            Step::Fork(fork) => {
                let branches = fork.branches.clone();
                self.push(What::Forked { step: id.to_owned(), branches: branches.clone() })?;
                for branch in &branches {
                    self.enter(branch, id)?;
                }
                Ok(())
            }
            Step::Join(join) => {
                let arrived = What::Arrived { join: id.to_owned(), from: from.to_owned() };
                self.push(arrived)?;
                let come = self.state()?.arrived.get(id).map_or(0, Vec::len);
                if come < self.flow.expected(id) {
                    return Ok(());
                }
                self.push(What::Joined { join: id.to_owned() })?;
                self.enter(&join.to, id)
            }
            Step::End(end) => {
                self.push(What::Ended { step: id.to_owned(), approved: end.approved })
            }
        }
    }

    fn review(&self, review: &Review) -> Result<Open> {
        let mut seats: Vec<Seat> = Vec::with_capacity(review.seats.len());
        for rule in &review.seats {
            for seat in self.seats(rule)? {
                // Two roles of an applicant without an organisation are the same person.
                let twice = seat.user.is_some() && seats.iter().any(|s| s.user == seat.user);
                if !twice {
                    seats.push(seat);
                }
            }
        }
        let day = |days: u32| self.by.calendar.add_working_days(self.by.today, days).to_string();
        let timers = review
            .timers
            .iter()
            .map(|t| {
                let seat = t.seat.as_ref().map(|s| self.resolve(s)).transpose()?;
                let seat = seat.map(|s| Seat { escalated: true, ..s });
                Ok(OpenTimer { on: day(t.days), what: t.what, seat, done: false })
            })
            .collect::<Result<_>>()?;
        Ok(Open {
            step: review.id.clone(),
            action: None,
            how: review.how,
            pass: review.pass.unwrap_or(100),
            seats,
            since: self.by.at.to_owned(),
            due: review.days.map(day),
            timers,
        })
    }

    fn automatic(&self, auto: &Auto) -> Open {
        Open {
            step: auto.id.clone(),
            action: Some(auto.action),
            how: super::How::Any,
            pass: 100,
            seats: Vec::new(),
            since: self.by.at.to_owned(),
            due: None,
            timers: Vec::new(),
        }
    }

    /// The seats of a rule: one, or one for each organisation of its place (`others`, `others.2` …).
    fn seats(&self, rule: &SeatRule) -> Result<Vec<Seat>> {
        let mut seats = vec![self.resolve(rule)?];
        if let Some(place) = &rule.at {
            let of = |name: &String| {
                name.strip_prefix(place.as_str()).is_some_and(|rest| rest.starts_with('.'))
            };
            let more = self.state()?.places.iter().filter(|(name, _)| of(name));
            seats.extend(more.map(|(_, org)| Seat {
                role: rule.role,
                org: Some(org.clone()),
                ..Seat::default()
            }));
        }
        Ok(seats)
    }

    fn resolve(&self, rule: &SeatRule) -> Result<Seat> {
        let org = match &rule.at {
            None => None,
            Some(place) => Some(self.state()?.places.get(place).cloned().ok_or_else(|| {
                Error::internal(format!("an approval without the place `{place}`"))
            })?),
        };
        // A citizen applies as a person: there is no organisation whose roles could sit.
        if org.as_deref() == Some("") {
            return Ok(Seat { user: Some(self.state()?.applicant.clone()), ..Seat::default() });
        }
        Ok(Seat { role: rule.role, org, user: rule.user.clone(), ..Seat::default() })
    }
}

fn wrong(zh: &str, en: &str) -> Error {
    Error::new(Code::WrongState, zh, en)
}

fn wrong_phase(phase: Phase) -> Error {
    Error::new(
        Code::WrongState,
        format!("审批处于“{}”，不能进行此操作", phase.zh()),
        format!("the approval is `{}`: this cannot be done", phase.as_str()),
    )
}

fn need(text: &str, field: &str, zh: &str, en: &str) -> Result<()> {
    if text.trim().is_empty() {
        return Err(Error::new(Code::RuleBroken, zh, en).field(field, zh, en));
    }
    Ok(())
}
