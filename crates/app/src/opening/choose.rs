//! What a department may name where an entry is asked for: to be checked before it is opened, or to be withdrawn. The forms offer
//! these; whatever code is typed is looked at all the same.

use model::code::{OnlineState, OpenType, PublishState};
use model::entry::{Entry, EntryFilter};
use model::{Op, Result};
use serde::Serialize;

use super::plan::desk;
use crate::{App, catalogue};

/// Most entries of a department that are looked through.
const MOST: u32 = 999;

/// An entry that is offered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Eligible {
    pub code: String,
    pub title: String,
    pub title_en: String,
    /// It may be checked: it is declared open, or a change is under way that may open it.
    pub checks: bool,
    /// It may be withdrawn: it is open, and nobody has asked for that yet.
    pub withdraws: bool,
}

/// The entries of the caller's own organisation that may be checked or withdrawn, and whether there are more of them than are looked
/// through. Nothing for whoever draws up no plans.
pub async fn eligible(app: &App, op: &Op) -> Result<(Vec<Eligible>, bool)> {
    let (true, Some(org)) = (desk(app, op).await?.keeps, op.actor.org()) else {
        return Ok((Vec::new(), false));
    };
    let filter = EntryFilter { org: Some(org.to_owned()), limit: MOST, ..EntryFilter::default() };
    let page = catalogue::list(app, op, &filter).await?;
    let offered = page.items.iter().map(offered).filter(|e| e.checks || e.withdraws);
    Ok((offered.collect(), page.next.is_some()))
}

fn offered(entry: &Entry) -> Eligible {
    let draft = &entry.draft;
    let changing =
        matches!(entry.publish_state, PublishState::ChangeAuditing | PublishState::ChangeReject);
    Eligible {
        code: draft.code.clone(),
        title: draft.title.clone(),
        title_en: draft.title_en.clone(),
        checks: draft.open_type != OpenType::None || changing,
        withdraws: entry.open() && entry.online_state != OnlineState::DownAuditing,
    }
}
