//! Giving up a draft that nobody outside its department has seen. What was ever published is withdrawn by review instead.

use model::audit::AuditEvent;
use model::code::PublishState;
use model::entry::Entry;
use model::{Code, Error, Op, Result};
use policy::{Action, Target};

use super::{index, visible};
use crate::{App, audit};

/// Whether an entry is a draft that may be given up, as far as it says itself: never published, not under review, without data. What hangs
/// on it is asked when it goes.
#[must_use]
pub fn discardable(entry: &Entry) -> bool {
    is_draft(entry) && entry.data_at.is_none() && entry.rows == 0
}

fn is_draft(entry: &Entry) -> bool {
    matches!(entry.publish_state, PublishState::Unpublished | PublishState::PubReject)
        && entry.published_at.is_none()
}

/// Gives up a draft of one's organisation: unpublished, or refused before it ever was published, without data.
pub async fn discard(app: &App, op: &Op, id: &str, reason: &str) -> Result<()> {
    let held = visible(app, op, id).await?;
    let entry = &held.entry;
    let permit = audit::permit(app, op, Action::EntryCompile, &Target::entry(entry)).await?;
    if !is_draft(entry) {
        return Err(Error::new(
            Code::WrongState,
            format!(
                "目录 `{}` 处于“{}”，不能直接删除：审核中的请先撤回，已发布的请在控制台申请下线，经审核后撤下",
                entry.draft.code,
                entry.publish_state.zh()
            ),
            format!(
                "the entry `{}` is {} and cannot simply be deleted: withdraw what is under review; what is published is taken offline in the console, by review",
                entry.draft.code, entry.publish_state
            ),
        ));
    }
    if !discardable(entry) {
        return Err(Error::new(
            Code::WrongState,
            format!("目录 `{}` 已归集数据，不能放弃", entry.draft.code),
            format!("the entry `{}` holds data and cannot be given up", entry.draft.code),
        ));
    }
    app.store.entry_discard(&permit, op, entry).await?;
    app.shares.forget();
    index::drop_out(app, &entry.id).await?;
    let event = AuditEvent {
        level: entry.grade.as_str().to_owned(),
        scope: format!("{}→", entry.publish_state),
        reason: reason.trim().to_owned(),
        ..audit::event(op, "entry.discard", &entry.draft.code)
    };
    audit::record(app, event).await
}
