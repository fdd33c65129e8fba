//! What time brings: reminders and escalations whose working day has come, and automatic steps that could not be done
//! when their turn came (a store that was away, a process that was killed), and seats whose holders went.

use model::flow::Command;
use model::{Code, Op, Result};
use policy::{Action, Target};
use serde::Serialize;

use super::act::{settle, take};
use super::look::load;
use crate::App;

/// What a round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ticked {
    /// Approvals reminded or escalated.
    pub timers: u64,
    /// Approvals with an automatic step that was tried again.
    pub acted: u64,
    /// Seats without a holder that went to an authority's desk.
    pub covered: u64,
}

/// One round of chores; `op` is the platform's.
pub async fn tick(app: &App, op: &Op) -> Result<Ticked> {
    let permit = app.policy.permit(op, Action::SystemWork, &Target::plain("System", "platform"))?;
    let mut done = Ticked::default();
    loop {
        let due = app.store.approvals_ticking(&op.today().to_string()).await?;
        let mut moved = 0;
        for row in &due {
            let Some(held) = load(app, &row.id).await? else { continue };
            match take(app, op, &permit, held, None, Command::Tick).await {
                Ok(()) => moved += 1,
                // Someone acted meanwhile: the next round looks again.
                Err(e) if e.code() == Code::WrongState => {}
                Err(e) => return Err(e),
            }
        }
        done.timers += moved;
        if moved == 0 || due.len() < 500 {
            break;
        }
    }
    let mut after = String::new();
    loop {
        let waiting = app.store.approvals_to_act(&after).await?;
        let Some(last) = waiting.last() else { break };
        after.clone_from(&last.id);
        for row in &waiting {
            settle(app, op, &row.id).await?;
            done.acted += 1;
        }
    }
    done.covered = super::seats::sweep(app, op, &permit).await?;
    Ok(done)
}
