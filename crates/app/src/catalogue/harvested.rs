//! Entries that harvest brings: made, changed and led by the platform itself through the same checks and the same state machine as
//! those of people. Policy lets the platform do so for these only (`harvest.entries`).

use model::code::{OnlineState, PublishState};
use model::entry::{Entry, EntryDraft};
use model::{Code, Error, Op, Result};
use policy::{Action, Target};
use store::entry::Held;

use super::{Move, created, save, stepped};
use crate::{App, audit};

/// Most moves in a row: the machine has no longer way.
const MOVES: usize = 8;

/// Compiles an entry.
pub(crate) async fn create(app: &App, op: &Op, draft: EntryDraft) -> Result<Entry> {
    created(app, op, draft, Target::harvested).await
}

/// Changes an entry; of a published one the change goes to review.
pub(crate) async fn edit(
    app: &App,
    op: &Op,
    held: Held,
    draft: EntryDraft,
    reason: &str,
) -> Result<Entry> {
    let target = Target::harvested(&held.entry);
    let permit = audit::permit(app, op, Action::EntryCompile, &target).await?;
    save(app, op, &permit, held, draft, reason).await
}

/// Leads an entry on until it is published and online with its newest change. One that people took offline stays so, unless
/// `revive` says that it was offline because its source had lost it.
pub(crate) async fn publish(
    app: &App,
    op: &Op,
    code: &str,
    revive: bool,
    reason: &str,
) -> Result<()> {
    use OnlineState as O;
    use PublishState as P;
    for _ in 0..MOVES {
        let held = held(app, code).await?;
        let step = match (held.entry.publish_state, held.entry.online_state) {
            (P::Unpublished | P::PubReject, _) => Move::Submit,
            (P::PubAuditing | P::ChangeAuditing, _) => Move::Approve,
            (P::ChangeReject, _) if held.pending.is_some() => Move::Submit,
            (_, O::UpAuditing) => Move::Approve,
            (_, O::OfflineUpAuditing) if revive => Move::Approve,
            (_, O::Notline | O::UpReject) => Move::PutOnline,
            (_, O::Offline | O::OfflineUpReject) if revive => Move::PutOnline,
            _ => return Ok(()),
        };
        stepped(app, op, held, (step, reason), Target::harvested).await?;
    }
    Ok(())
}

/// Takes an entry out of sight whose source has lost it: what is under review is withdrawn, what is online is asked to go offline,
/// and goes when `at_once`.
pub(crate) async fn retire(
    app: &App,
    op: &Op,
    code: &str,
    at_once: bool,
    reason: &str,
) -> Result<()> {
    use OnlineState as O;
    use PublishState as P;
    for _ in 0..MOVES {
        let held = held(app, code).await?;
        let step = match (held.entry.publish_state, held.entry.online_state) {
            (P::PubAuditing | P::ChangeAuditing, _) => Move::Withdraw,
            (_, O::UpAuditing | O::OfflineUpAuditing) => Move::Withdraw,
            (P::Published | P::ChangeReject, O::Online | O::DownReject) => Move::TakeOffline,
            (_, O::DownAuditing) if at_once => Move::Approve,
            _ => return Ok(()),
        };
        stepped(app, op, held, (step, reason), Target::harvested).await?;
    }
    Ok(())
}

async fn held(app: &App, code: &str) -> Result<Held> {
    let held = app.store.entry_held(code).await?;
    held.ok_or_else(|| Error::of(Code::NotFound).detail(format!("harvested entry `{code}`")))
}
