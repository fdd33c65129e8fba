//! Beginning approvals and acting on them: policy is asked, the machine answers with events, the store appends them,
//! the audit keeps who did what.

use model::audit::AuditEvent;
use model::flow::{By, Command, Event, Facts, Flow, Phase, Seat, Start, State, What};
use model::{Code, Error, Op, Result};
use policy::{Action, Permit, Target};

use super::leave::{someone, stands_in_for};
use super::look::{Held, held};
use super::{Act, Beginning, Places, Seen, flows};
use crate::{App, audit, basket, dispatch, project};

/// An approval that has been thought out and not yet kept.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) id: String,
    pub(crate) events: Vec<Event>,
    pub(crate) state: State,
    pub(crate) stage: String,
}

/// Longest words of an opinion, characters.
const OPINION: usize = 4000;

/// Thinks out the first events of an approval by the version in force, and keeps that version. The caller keeps the
/// events together with what they are about, then calls [`settle`].
pub(crate) async fn begin(
    app: &App,
    op: &Op,
    permit: &Permit,
    beginning: Beginning,
) -> Result<Begun> {
    let seen = flows::in_force(app, op, beginning.flow).await?;
    app.store.flow_keep(permit, &flows::version(op, &seen.flow, &seen.body)).await?;
    let places = places(app, &beginning).await?;
    let at = op.stamp();
    let by = by(app, op, &at, None);
    let start = Start {
        subject: beginning.subject,
        title: beginning.title,
        applicant: op.actor.id().to_owned(),
        applicant_org: beginning.applicant_org,
        places,
        facts: beginning.facts,
    };
    let events = model::flow::start(&seen.flow, &by, start)?;
    let state = State::fold(&events)?;
    Ok(Begun { id: op.new_id(), stage: stage(&seen.flow, &state), events, state })
}

/// The audit record of a beginning that has been kept.
pub(crate) async fn started(app: &App, op: &Op, begun: &Begun) -> Result<()> {
    recorded(app, op, &begun.id, &begun.state, &begun.events).await
}

/// Organisations of the places: the owner, the applicant, the authority of the owner's region, and the one above.
async fn places(app: &App, beginning: &Beginning) -> Result<Places> {
    let owner = app.store.org_require(&beginning.owner_org).await?;
    let orgs = app.store.orgs_list().await?;
    let authority_of = |region: &str| {
        std::iter::successors(Some(region.to_owned()), |r| model::region::parent_of(r))
            .find_map(|r| orgs.iter().find(|o| o.authority && o.region == r))
    };
    let mut places = beginning.more.clone();
    places.insert("owner".into(), owner.id.clone());
    places.insert("applicant".into(), beginning.applicant_org.clone());
    if let Some(authority) = authority_of(&owner.region) {
        places.insert("authority".into(), authority.id.clone());
        let above = model::region::parent_of(&authority.region).and_then(|r| authority_of(&r));
        places.insert("superior".into(), above.unwrap_or(authority).id.clone());
    }
    Ok(places)
}

fn by<'a>(app: &'a App, op: &'a Op, at: &'a str, in_place_of: Option<&'a str>) -> By<'a> {
    By {
        id: op.actor.id(),
        name: op.actor.name(),
        in_place_of,
        at,
        today: op.today(),
        calendar: &app.calendar,
    }
}

/// Word of the stage an approval stands at.
pub(super) fn stage(flow: &Flow, state: &State) -> String {
    let stages = state.open.iter().filter_map(|o| flow.step(&o.step)).filter_map(|s| s.stage());
    stages.min().map(|s| s.as_str().to_owned()).unwrap_or_default()
}

/// Answers on a seat, or hands it on.
pub async fn act(
    app: &App,
    op: &Op,
    id: &str,
    step: &str,
    seat: u32,
    act: Act,
    opinion: &str,
) -> Result<Seen> {
    let held = held(app, op, id).await?;
    let opinion = words(opinion)?;
    let (permit, in_place_of) = standing(app, op, &held, step, seat).await?;
    let step = step.to_owned();
    let lent = held.seat(&step, seat).is_some_and(|s| s.lent.is_some());
    if lent != matches!(act, Act::Answer) {
        return Err(Error::new(
            Code::WrongState,
            if lent { "此处只需给出意见" } else { "没有人委派您给出意见" },
            if lent {
                "only an opinion is asked for here"
            } else {
                "nobody asked for your opinion"
            },
        ));
    }
    let command = match act {
        Act::Decide { approve, reason } => Command::Decide { step, seat, approve, reason, opinion },
        Act::Add { user } => {
            let person = someone(app, &user).await?;
            let (user, org) = (person.id().to_owned(), person.org().unwrap_or_default().to_owned());
            Command::Add { step, seat, user, org, opinion }
        }
        Act::Transfer { user } => {
            let person = someone(app, &user).await?;
            let (user, org) = (person.id().to_owned(), person.org().unwrap_or_default().to_owned());
            Command::Transfer { step, seat, user, org, opinion }
        }
        Act::Delegate { user } => {
            let user = someone(app, &user).await?.id().to_owned();
            Command::Delegate { step, seat, user, opinion }
        }
        Act::Answer => Command::Answer { step, seat, opinion },
        Act::Return { to, missing } => Command::Return { step, seat, to, missing, opinion },
    };
    take(app, op, &permit, held, in_place_of.as_deref(), command).await?;
    super::get(app, op, id).await
}

/// The applicant hands in again what was returned.
pub(crate) async fn resubmit_with(
    app: &App,
    op: &Op,
    id: &str,
    facts: Facts,
    opinion: &str,
) -> Result<()> {
    let held = held(app, op, id).await?;
    let permit = follow(app, op, &held).await?;
    let command = Command::Resubmit { facts, opinion: words(opinion)? };
    take(app, op, &permit, held, None, command).await
}

/// The applicant hands in again what was returned, as it is, with words on what was missing.
pub async fn resubmit(app: &App, op: &Op, id: &str, opinion: &str) -> Result<()> {
    let facts = held(app, op, id).await?.state.facts;
    if opinion.trim().is_empty() {
        return Err(Error::invalid("请写明补正的内容", "say what you have added or changed")
            .field("opinion", "必填", "required"));
    }
    resubmit_with(app, op, id, facts, opinion).await
}

/// 撤回
pub async fn withdraw(app: &App, op: &Op, id: &str, opinion: &str) -> Result<()> {
    let held = held(app, op, id).await?;
    let permit = follow(app, op, &held).await?;
    take(app, op, &permit, held, None, Command::Withdraw { opinion: words(opinion)? }).await
}

/// 催办: once a day.
pub async fn urge(app: &App, op: &Op, id: &str, opinion: &str) -> Result<()> {
    let held = held(app, op, id).await?;
    let permit = follow(app, op, &held).await?;
    take(app, op, &permit, held, None, Command::Urge { opinion: words(opinion)? }).await
}

async fn follow(app: &App, op: &Op, held: &Held) -> Result<Permit> {
    let target = Target::approval(&held.id, &held.state);
    audit::permit(app, op, Action::ApprovalFollow, &target).await
}

/// The permit to act on a seat: one's own, or in place of someone on leave.
async fn standing(
    app: &App,
    op: &Op,
    held: &Held,
    step: &str,
    seat: u32,
) -> Result<(Permit, Option<String>)> {
    let found = held.seat(step, seat).ok_or_else(|| {
        Error::new(
            Code::WrongState,
            "此环节已办结，请刷新后查看",
            "this step is closed, reload to see it",
        )
    })?;
    sits(app, op, held, found).await
}

async fn sits(app: &App, op: &Op, held: &Held, seat: &Seat) -> Result<(Permit, Option<String>)> {
    let target = Target::seat(&held.id, &held.state, seat);
    if !app.policy.decide(op, Action::ApprovalDecide, &target).allowed {
        let mine = held.state.applicant == op.actor.id();
        for owner in stands_in_for(app, op).await? {
            let theirs = Op { actor: owner, ..op.clone() };
            if !mine && app.policy.decide(&theirs, Action::ApprovalDecide, &target).allowed {
                let permit = audit::permit(app, &theirs, Action::ApprovalDecide, &target).await?;
                return Ok((permit, Some(theirs.actor.id().to_owned())));
            }
        }
    }
    Ok((audit::permit(app, op, Action::ApprovalDecide, &target).await?, None))
}

/// 收回: takes the caller's last answer back, while nobody has acted on what followed.
pub async fn take_back(app: &App, op: &Op, id: &str, opinion: &str) -> Result<Seen> {
    let held = held(app, op, id).await?;
    let (opinion, at) = (words(opinion)?, op.stamp());
    let (_, seat) = model::flow::take_back(&held.events, &by(app, op, &at, None), &opinion)?;
    let (permit, in_place_of) = sits(app, op, &held, &seat).await?;
    let by = by(app, op, &at, in_place_of.as_deref());
    let (event, _) = model::flow::take_back(&held.events, &by, &opinion)?;
    keep(app, op, &permit, held, vec![event]).await?;
    settle(app, op, id).await?;
    super::get(app, op, id).await
}

/// Whether the caller has an answer that could be taken back.
pub(super) fn may_take_back(app: &App, op: &Op, held: &Held) -> bool {
    let at = op.stamp();
    model::flow::take_back(&held.events, &by(app, op, &at, None), "").is_ok()
}

/// Runs a command, keeps its events, records it, and lets the platform do what waits for it.
pub(super) async fn take(
    app: &App,
    op: &Op,
    permit: &Permit,
    held: Held,
    in_place_of: Option<&str>,
    command: Command,
) -> Result<()> {
    let (id, seq) = (held.id.clone(), held.state.seq);
    let now = take_events(app, op, permit, held, in_place_of, command).await?;
    if now.state.seq == seq { Ok(()) } else { settle(app, op, &id).await }
}

/// Runs a command, keeps its events, records it and tells whom it concerns.
pub(super) async fn take_events(
    app: &App,
    op: &Op,
    permit: &Permit,
    held: Held,
    in_place_of: Option<&str>,
    command: Command,
) -> Result<Held> {
    let at = op.stamp();
    let events =
        match model::flow::decide(&held.flow, &held.state, &by(app, op, &at, in_place_of), command)
        {
            Ok(events) => events,
            Err(refusal) if refusal.code() == Code::Denied => {
                audit::refused(app, op, "approval.decide", &held.id, &refusal).await?;
                return Err(refusal);
            }
            Err(error) => return Err(error),
        };
    keep(app, op, permit, held, events).await
}

async fn keep(app: &App, op: &Op, permit: &Permit, held: Held, events: Vec<Event>) -> Result<Held> {
    if events.is_empty() {
        return Ok(held);
    }
    let Held { id, flow, mut state, events: mut all } = held;
    for event in &events {
        state = State::evolve(Some(state), event)?;
    }
    let stage = stage(&flow, &state);
    app.store.approval_append(permit, &id, &events, &state, &stage).await?;
    recorded(app, op, &id, &state, &events).await?;
    super::tell::of(app, op, &id, &state, &events).await;
    all.extend(events);
    Ok(Held { id, flow, state, events: all })
}

/// The audit record of what was done: one per action, naming the events by number and kind.
pub(super) async fn recorded(
    app: &App,
    op: &Op,
    id: &str,
    state: &State,
    events: &[Event],
) -> Result<()> {
    let Some(first) = events.first() else { return Ok(()) };
    let mut reason = opinion_of(&first.what);
    if let Some(owner) = &first.in_place_of {
        reason = format!("in place of {owner}; {reason}");
    }
    let scope = events.iter().map(|e| format!("{}:{}", e.seq, kind(&e.what))).collect::<Vec<_>>();
    let event = AuditEvent {
        purpose: state.title.clone(),
        request: state.subject.id.clone(),
        scope: scope.join(" "),
        reason,
        ..audit::event(op, &format!("approval.{}", kind(&first.what)), id)
    };
    audit::record(app, event).await
}

/// The word of an event in audit records and pages.
pub(crate) fn kind(what: &What) -> &'static str {
    match what {
        What::Started { .. } => "start",
        What::Opened { .. } => "open",
        What::Chosen { .. } => "choose",
        What::Forked { .. } => "fork",
        What::Arrived { .. } => "arrive",
        What::Joined { .. } => "join",
        What::Decided { approve: true, .. } => "approve",
        What::Decided { .. } => "refuse",
        What::Closed { .. } => "close",
        What::Added { .. } => "add",
        What::Transferred { .. } => "transfer",
        What::Delegated { .. } => "delegate",
        What::Answered { .. } => "answer",
        What::Returned { .. } => "return",
        What::TakenBack { .. } => "take_back",
        What::Reseated { .. } => "reseat",
        What::Resubmitted { .. } => "resubmit",
        What::Urged { .. } => "urge",
        What::Reminded { .. } => "remind",
        What::Escalated { .. } => "escalate",
        What::Acted { .. } => "act",
        What::Withdrawn { .. } => "withdraw",
        What::Ended { .. } => "end",
    }
}

fn opinion_of(what: &What) -> String {
    match what {
        What::Decided { reason, opinion, .. } if !reason.is_empty() => {
            format!("{reason}: {opinion}")
        }
        What::Decided { opinion, .. }
        | What::Added { opinion, .. }
        | What::Transferred { opinion, .. }
        | What::Delegated { opinion, .. }
        | What::Answered { opinion, .. }
        | What::Returned { opinion, .. }
        | What::TakenBack { opinion, .. }
        | What::Resubmitted { opinion, .. }
        | What::Urged { opinion, .. }
        | What::Withdrawn { opinion } => opinion.clone(),
        What::Acted { note, .. } => note.clone(),
        _ => String::new(),
    }
}

/// Does what waits for the platform, until people are to act again. A store or lake that cannot be reached leaves the
/// step open for [`super::tick`]; whatever else stands in the way is written into the history, and the flow goes its
/// `failed` way.
pub(crate) async fn settle(app: &App, op: &Op, id: &str) -> Result<()> {
    // Each round closes an automatic step; a flow has fewer than this.
    for _ in 0..256 {
        let Some(held) = super::look::load(app, id).await? else { return Ok(()) };
        if held.state.phase != Phase::Running {
            return Ok(());
        }
        let system = Op { actor: model::Actor::System, ..op.clone() };
        let permit =
            app.policy.permit(&system, Action::SystemWork, &Target::plain("System", "platform"))?;
        let Some(open) = held.state.open.iter().find(|o| o.action.is_some()) else {
            return super::seats::cover(app, &system, &permit, id).await.map(|_| ());
        };
        let step = open.step.clone();
        let delivered = match held.state.subject.kind.as_str() {
            dispatch::SUBJECT => dispatch::deliver(app, &system, &permit, &held).await,
            project::SUBJECT => project::deliver(app, &system, &permit, &held).await,
            _ => basket::deliver(app, &system, &permit, &held).await,
        };
        let (done, note) = match delivered {
            Ok(note) => (true, note),
            Err(e)
                if matches!(
                    e.code(),
                    Code::StoreUnavailable | Code::AuditUnavailable | Code::Internal
                ) =>
            {
                tracing::warn!(
                    approval.id = id,
                    error = e.operator_text(),
                    "an automatic step waits"
                );
                return Ok(());
            }
            Err(e) => (false, format!("{} / {}", e.zh(), e.en())),
        };
        let command = Command::Acted { step, done, note };
        match take_events(app, &system, &permit, held, None, command).await {
            Ok(_) => {}
            // Someone else was quicker.
            Err(e) if e.code() == Code::WrongState => {}
            Err(e) => return Err(e),
        }
    }
    Err(Error::internal(format!("the approval `{id}` does not come to rest")))
}

fn words(opinion: &str) -> Result<String> {
    let opinion = opinion.trim();
    if opinion.chars().count() > OPINION {
        return Err(Error::invalid(
            format!("意见最多 {OPINION} 字"),
            format!("an opinion has at most {OPINION} characters"),
        )
        .field("opinion", "请缩短", "shorten it"));
    }
    Ok(opinion.to_owned())
}
