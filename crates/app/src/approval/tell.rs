//! Who is told of what happens to an approval: holders of seats that are reminded, urged or escalated to, and the
//! applicant when it comes back or is decided.

use model::flow::{Event, Seat, State, What};
use model::{Actor, Op, Result};
use policy::{Action, Target};

use crate::App;
use crate::notice::{self, Told};

/// People told of one seat at most.
const TOLD: u32 = 100;

/// Tells whom the events concern. What happened is kept already: a notice that cannot be given does not undo it.
pub(super) async fn of(app: &App, op: &Op, id: &str, state: &State, events: &[Event]) {
    if let Err(e) = tell(app, op, id, state, events).await {
        tracing::warn!(approval.id = id, error = e.operator_text(), "a notice was not given");
    }
}

async fn tell(app: &App, op: &Op, id: &str, state: &State, events: &[Event]) -> Result<()> {
    let system = Op { actor: Actor::System, ..op.clone() };
    let permit =
        app.policy.permit(&system, Action::SystemWork, &Target::plain("System", "platform"))?;
    for event in events {
        let (kind, people, words) = match &event.what {
            What::Reminded { step, .. } => {
                ("approval.remind", waiting(app, state, Some(step)).await?, String::new())
            }
            What::Urged { opinion, .. } => {
                ("approval.urge", waiting(app, state, None).await?, opinion.clone())
            }
            What::Escalated { seat, .. } => {
                ("approval.escalate", sitting(app, seat).await?, String::new())
            }
            What::Returned { to: None, opinion, missing, .. } => {
                let glue = if missing.is_empty() { "" } else { "：" };
                let words = format!("{opinion}{glue}{}", missing.join("、"));
                ("approval.returned", vec![state.applicant.clone()], words)
            }
            What::Ended { approved, .. } => {
                let word = if *approved { "approved" } else { "refused" };
                ("approval.ended", vec![state.applicant.clone()], word.to_owned())
            }
            _ => continue,
        };
        let told = Told {
            mark: format!("{kind}:{id}:{}", event.seq),
            kind,
            title: state.title.clone(),
            words,
            href: format!("/console/approvals/{id}"),
        };
        notice::tell(app, &system, &permit, &people, &told).await?;
    }
    Ok(())
}

/// Who may answer now, of one step or of all.
async fn waiting(app: &App, state: &State, step: Option<&str>) -> Result<Vec<String>> {
    let mut people = Vec::new();
    for open in state.open.iter().filter(|o| step.is_none_or(|s| s == o.step)) {
        for n in open.active() {
            if let Some(seat) = open.seats.get(n) {
                people.extend(sitting(app, seat).await?);
            }
        }
    }
    Ok(people)
}

/// Who sits on a seat: the person, or whoever holds the role there.
async fn sitting(app: &App, seat: &Seat) -> Result<Vec<String>> {
    if let Some(person) = seat.lent.as_ref().or(seat.user.as_ref()) {
        return Ok(vec![person.clone()]);
    }
    match (&seat.org, seat.role) {
        (Some(org), Some(role)) => app.store.holders(org, role, TOLD).await,
        _ => Ok(Vec::new()),
    }
}
