//! What a change of an entry makes of it: a new one, an edit, a move; written with its findings in one transaction.

use chrono::NaiveDate;
use model::code::{
    Domain, OnlineState, OpenType, PublishState, ResourceKind, ShareType, SyncMode, UpdateCycle,
};
use model::entry::{Entry, EntryDraft, Profile};
use model::{Code, Error, FieldError, Op, Result};
use policy::Permit;
use store::entry::{Base, EntryChange, Held};

use super::flow::{self, Effect, State};
use super::{Move, refuse_faults, standard};
use crate::App;

/// An empty declaration of an organisation: restricted and closed until someone says otherwise.
#[must_use]
pub fn blank(org: &str, region: &str) -> EntryDraft {
    EntryDraft {
        code: String::new(),
        title: String::new(),
        title_en: String::new(),
        description: String::new(),
        org: org.to_owned(),
        region: region.to_owned(),
        domain: Domain::Other,
        tags: Vec::new(),
        kind: ResourceKind::Table,
        update_cycle: UpdateCycle::Daily,
        sync_mode: SyncMode::Full,
        share_type: ShareType::Restricted,
        share_condition: String::new(),
        share_basis: String::new(),
        open_type: OpenType::None,
        open_condition: String::new(),
        open_basis: String::new(),
        raised_grade: None,
        time_range: String::new(),
        source_system: String::new(),
        licence: String::new(),
        attribution: String::new(),
        profile: Profile::default(),
        items: Vec::new(),
    }
}

/// Writes changes, all or none, each with the findings of what is being worked on.
pub(super) async fn apply(
    app: &App,
    op: &Op,
    permit: &Permit,
    changes: &mut [EntryChange],
) -> Result<()> {
    let day: NaiveDate = op.today();
    for change in changes.iter_mut() {
        let working = change.held.pending.as_ref().unwrap_or(&change.held.entry.draft);
        change.findings = Some(standard::hits(&app.rules.packs, day, working));
    }
    app.store.entry_apply(permit, op, changes).await
}

pub(super) fn new_entry(op: &Op, draft: EntryDraft) -> Entry {
    Entry {
        id: op.new_id(),
        grade: draft.grade(),
        draft,
        publish_state: PublishState::Unpublished,
        online_state: OnlineState::Notline,
        version: 1,
        created_at: op.stamp(),
        created_by: op.actor.id().to_owned(),
        updated_at: op.stamp(),
        published_at: None,
        rows: 0,
        data_at: None,
    }
}

pub(super) fn change_new(op: &Op, draft: EntryDraft, action: &'static str) -> EntryChange {
    let entry = new_entry(op, draft);
    EntryChange {
        base: None,
        declared: true,
        action,
        from: String::new(),
        to: entry.publish_state.as_str().to_owned(),
        reason: String::new(),
        held: Held { entry, pending: None, submitted_by: None },
        findings: None,
        origin: None,
    }
}

/// What an edit does to an entry; `None` when it changes nothing.
pub(super) fn change_edit(
    op: &Op,
    mut held: Held,
    draft: EntryDraft,
) -> Result<Option<EntryChange>> {
    let base = Base::of(&held.entry);
    let state = State { publish: held.entry.publish_state, online: held.entry.online_state };
    if held.pending.as_ref().unwrap_or(&held.entry.draft) == &draft {
        return Ok(None);
    }
    lasting(&held.entry, &draft)?;
    if flow::auditing(state) {
        return Err(Error::new(
            Code::WrongState,
            "目录正在审核中，请先撤回或等待审核结束再修改",
            "the entry is under review: withdraw it or wait for the end before changing it",
        ));
    }
    let from = state.publish;
    let in_place = matches!(from, PublishState::Unpublished | PublishState::PubReject);
    held.entry.updated_at = op.stamp();
    if in_place {
        held.entry.version += 1;
        held.entry.grade = draft.grade();
        held.entry.draft = draft;
    } else {
        held.entry.publish_state = PublishState::ChangeAuditing;
        held.pending = Some(draft);
        held.submitted_by = Some(op.actor.id().to_owned());
    }
    Ok(Some(EntryChange {
        base: Some(base),
        declared: in_place,
        action: if in_place { "edit" } else { "alter" },
        from: from.as_str().to_owned(),
        to: held.entry.publish_state.as_str().to_owned(),
        reason: String::new(),
        held,
        findings: None,
        origin: None,
    }))
}

/// What an edit may never change: the code and the owner; and the type of an item that holds rows already.
pub(super) fn lasting(entry: &Entry, draft: &EntryDraft) -> Result<()> {
    let mut faults = Vec::new();
    if draft.code != entry.draft.code {
        faults.push(FieldError {
            field: "code".into(),
            zh: "目录编码确定后不能修改（它是调用地址和表名）".into(),
            en: "the code of an entry cannot change (it is its address and table name)".into(),
        });
    }
    if draft.org != entry.draft.org {
        faults.push(FieldError {
            field: "org".into(),
            zh: "数源单位不能修改".into(),
            en: "the owning organisation cannot change".into(),
        });
    }
    if entry.rows > 0 {
        for (i, item) in draft.items.iter().enumerate() {
            let was = entry.draft.item(&item.identifier);
            if was.is_some_and(|w| w.data_type != item.data_type || w.scale != item.scale) {
                faults.push(FieldError {
                    field: format!("items[{i}].data_type"),
                    zh: format!("数据项 `{}` 已有数据，不能改类型；请另增数据项", item.identifier),
                    en: format!(
                        "the item `{}` holds data, its type cannot change; add another item",
                        item.identifier
                    ),
                });
            }
        }
    }
    refuse_faults(faults)
}

pub(super) async fn change_step(
    app: &App,
    op: &Op,
    mut held: Held,
    step: Move,
    reason: &str,
) -> Result<EntryChange> {
    let base = Base::of(&held.entry);
    let state = State { publish: held.entry.publish_state, online: held.entry.online_state };
    let origin = match step {
        Move::Withdraw => app.store.entry_steps(&held.entry.id).await?.pop().map(|s| s.from),
        _ => None,
    };
    let next = flow::next(state, held.pending.is_some(), step, origin.as_deref())?;
    held.entry.publish_state = next.state.publish;
    held.entry.online_state = next.state.online;
    held.entry.updated_at = op.stamp();
    let mut declared = false;
    match next.effect {
        Effect::None => {}
        Effect::Publish => held.entry.published_at = Some(op.stamp()),
        Effect::Drop => held.pending = None,
        Effect::SwapIn => {
            let draft = held.pending.take().ok_or_else(|| {
                Error::internal("an entry in change-auditing holds no pending change")
            })?;
            held.entry.version += 1;
            held.entry.grade = draft.grade();
            held.entry.draft = draft;
            held.entry.published_at = Some(op.stamp());
            declared = true;
        }
    }
    held.submitted_by = flow::auditing(next.state).then(|| op.actor.id().to_owned());
    Ok(EntryChange {
        base: Some(base),
        declared,
        action: step.word(),
        from: next.from.to_owned(),
        to: next.to.to_owned(),
        reason: reason.to_owned(),
        held,
        findings: None,
        origin: None,
    })
}
