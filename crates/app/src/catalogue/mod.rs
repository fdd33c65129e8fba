//! Catalogue: entries are compiled, checked, reviewed, published, put online, kept in versions, compared.
//!
//! `check` finds contradictions, `flow` is the state machine, `compare` tells versions apart, `sheet` reads and writes
//! whole catalogues, `index` keeps search in step (*read-your-writes*).

mod change;
mod check;
mod compare;
mod discard;
mod flow;
pub(crate) mod harvested;
mod history;
pub(crate) mod index;
mod look;
mod profile;
pub mod rules;
pub mod schema;
pub(crate) mod sheet;
pub mod standard;

use model::audit::AuditEvent;
use model::entry::{Entry, EntryDraft};
use model::{Actor, Code, Error, FieldError, Op, Result};
use policy::{Action, Permit, Target};
use serde::Serialize;
use store::entry::{EntryChange, Held};

use crate::App;
use crate::account;
use crate::audit;
pub use change::blank;
use change::{apply, change_edit, change_new, change_step, new_entry};
use flow::State;

pub use discard::{discard, discardable};
pub use history::{Landed, history};
pub(crate) use index::{INDEX_MARK, Level, follow};
pub use index::{heal, landed, reindex};
pub(crate) use look::scope;
pub use look::{
    Awaiting, Outlook, advise, compare, due, get, list, outlook, pending, queue, steps, versions,
    working,
};
pub use sheet::{export, import, may_import, sheet_of};

/// What can be done next with an entry (state machine of facts.md §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Move {
    /// unpublished | pub-reject → pub-auditing; change-reject → change-auditing
    Submit,
    /// any `*-auditing` → its goal
    Approve,
    /// any `*-auditing` → its reject state; a reason is needed
    Reject,
    /// published, notline | up-reject → up-auditing; offline | offline-up-reject → offline-up-auditing
    PutOnline,
    /// online | down-reject → down-auditing; a reason is needed
    TakeOffline,
    /// `*-auditing` → back to where it came from (a change handed in anew → change-reject, a change handed in for
    /// the first time is given up); change-reject → published, the change given up
    Withdraw,
}

impl Move {
    pub const ALL: [Move; 6] = [
        Move::Submit,
        Move::Approve,
        Move::Reject,
        Move::PutOnline,
        Move::TakeOffline,
        Move::Withdraw,
    ];
    /// Word of the step in the ledger and of the audit record (`entry.approve`).
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Move::Submit => "submit",
            Move::Approve => "approve",
            Move::Reject => "reject",
            Move::PutOnline => "up",
            Move::TakeOffline => "down",
            Move::Withdraw => "withdraw",
        }
    }
    #[must_use]
    pub fn zh(self) -> &'static str {
        match self {
            Move::Submit => "提交审核",
            Move::Approve => "审核通过",
            Move::Reject => "驳回",
            Move::PutOnline => "申请上线",
            Move::TakeOffline => "申请下线",
            Move::Withdraw => "撤回",
        }
    }
    fn action(self) -> Action {
        match self {
            Move::Approve | Move::Reject => Action::EntryReview,
            _ => Action::EntrySubmit,
        }
    }
    fn needs_reason(self) -> bool {
        matches!(self, Move::Reject | Move::TakeOffline)
    }
}

/// Report of a catalogue import: nothing is imported unless every row is right.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ImportReport {
    pub entries: u64,
    pub items: u64,
    pub created: Vec<String>,
    pub changed: Vec<String>,
    /// Row-by-row faults; when there are any, nothing was imported.
    pub faults: Vec<FieldError>,
    pub applied: bool,
}

/// Format of a catalogue file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SheetFormat {
    Csv,
    Xlsx,
}

/// Every contradiction of a draft, each with its rule (an L4 item cannot be unconditionally open, …).
/// Whether organisation and region exist is asked when it is written.
#[must_use]
pub fn check(app: &App, draft: &EntryDraft) -> Vec<FieldError> {
    let mut found = check::check(&app.rules.catalogue, draft);
    found.extend(profile::check(&app.rules.catalogue, draft));
    found
}

/// What an edit was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basis {
    pub version: i64,
    /// When the entry had last been changed, a change under way included; `None` guards by the version alone.
    pub updated_at: Option<String>,
}

/// Items drafted from a file: what it was found to be, and an item for each of its columns (identifiers by pinyin,
/// types as found, grades raised where names or values look personal).
pub async fn draft_items(
    app: &App,
    op: &Op,
    path: &std::path::Path,
    name: &str,
) -> Result<(model::parcel::Sniffed, Vec<model::item::Item>)> {
    let sniffed = crate::collection::sniff(app, op, path, name).await?;
    let items = app.intake.draft(&sniffed);
    Ok((sniffed, items))
}

/// Compiles a new entry (state unpublished, notline, version 1).
pub async fn create(app: &App, op: &Op, draft: EntryDraft) -> Result<Entry> {
    created(app, op, draft, Target::entry).await
}

/// The same for whoever acts on the entry as `of` says.
async fn created(app: &App, op: &Op, draft: EntryDraft, of: fn(&Entry) -> Target) -> Result<Entry> {
    let draft = tidy(draft);
    let target = of(&new_entry(op, draft.clone()));
    let permit = audit::permit(app, op, Action::EntryCompile, &target).await?;
    refuse_faults(check(app, &draft))?;
    known(app, &draft).await?;
    let mut change = change_new(op, draft, "create");
    apply(app, op, &permit, std::slice::from_mut(&mut change)).await?;
    settled(app, op, "entry.create", &change, String::new()).await
}

/// Edits an entry. `base_version` guards against overwriting someone else's change. A published entry goes to change-auditing
/// and the published version stays in force until the change is approved. An edit that changes nothing is no change.
pub async fn edit(
    app: &App,
    op: &Op,
    id: &str,
    draft: EntryDraft,
    base_version: i64,
) -> Result<Entry> {
    edit_on(app, op, id, draft, &Basis { version: base_version, updated_at: None }).await
}

/// The same, guarded also against changes that make no new version: a pending change that someone else rewrote, a
/// review that began meanwhile.
pub async fn edit_on(
    app: &App,
    op: &Op,
    id: &str,
    draft: EntryDraft,
    basis: &Basis,
) -> Result<Entry> {
    let held = visible(app, op, id).await?;
    let permit = audit::permit(app, op, Action::EntryCompile, &Target::entry(&held.entry)).await?;
    let version = basis.version;
    if held.entry.version != version {
        return Err(Error::new(
            Code::Stale,
            format!(
                "目录已更新到版本 {}，您修改的是版本 {version}，请刷新后重试",
                held.entry.version
            ),
            format!(
                "the entry is at version {} by now, you changed version {version}: reload and try again",
                held.entry.version
            ),
        ));
    }
    if basis.updated_at.as_ref().is_some_and(|at| *at != held.entry.updated_at) {
        let who = last_person(app, &held.entry.id).await?;
        return Err(Error::new(
            Code::Stale,
            format!("您打开表单后，目录又被 {who} 改动，请刷新后重试，以免覆盖"),
            format!(
                "{who} has changed the entry since you opened the form: reload and try again, so that nothing is overwritten"
            ),
        ));
    }
    save(app, op, &permit, held, draft, "").await
}

/// Who changed an entry last, by the name shown.
async fn last_person(app: &App, id: &str) -> Result<String> {
    let Some(mut last) = app.store.entry_steps(id).await?.pop() else { return Ok(String::new()) };
    account::named(app, vec![(last.actor.as_str(), &mut last.actor_name)]).await?;
    Ok(last.actor_name)
}

/// Writes an edit. What it hands in to review with that (a change of what is published) must follow the rule packs.
async fn save(
    app: &App,
    op: &Op,
    permit: &Permit,
    held: Held,
    draft: EntryDraft,
    reason: &str,
) -> Result<Entry> {
    let draft = tidy(draft);
    refuse_faults(check(app, &draft))?;
    known(app, &draft).await?;
    let Some(mut change) = change_edit(op, held.clone(), draft)? else { return Ok(held.entry) };
    standing(app, op, &held.entry, &change)?;
    reason.clone_into(&mut change.reason);
    apply(app, op, permit, std::slice::from_mut(&mut change)).await?;
    let word = format!("entry.{}", change.action);
    settled(app, op, &word, &change, reason.to_owned()).await
}

/// Refuses a change that goes to review with new errors against the rule packs.
fn standing(app: &App, op: &Op, entry: &Entry, change: &EntryChange) -> Result<()> {
    match &change.held.pending {
        Some(draft) if !change.declared => {
            standard::gate(&app.rules.packs, op.today(), Some(&entry.draft), draft)
        }
        _ => Ok(()),
    }
}

/// Makes one move of the state machine, with its reason. Who handed something in may not review it (four eyes).
pub async fn step(app: &App, op: &Op, id: &str, step: Move, reason: &str) -> Result<Entry> {
    let held = visible(app, op, id).await?;
    stepped(app, op, held, (step, reason), Target::entry).await
}

/// The same for whoever acts on the entry as `of` says.
async fn stepped(
    app: &App,
    op: &Op,
    held: Held,
    (step, reason): (Move, &str),
    of: fn(&Entry) -> Target,
) -> Result<Entry> {
    let permit = audit::permit(app, op, step.action(), &of(&held.entry)).await?;
    let reason = reason.trim();
    if step.needs_reason() && reason.is_empty() {
        return Err(Error::invalid(
            format!("{}须写明理由", step.zh()),
            format!("`{}` needs a reason", step.word()),
        )
        .field("reason", "请填写理由", "give a reason"));
    }
    let word = format!("entry.{}", step.word());
    if step.action() == Action::EntryReview && same_eyes(op, &held) {
        let refusal = Error::new(
            Code::Denied,
            "提交人不能审核自己提交的事项，请由他人审核",
            "who handed it in may not review it; someone else must",
        )
        .with_reasons(vec!["four_eyes".into()]);
        audit::refused(app, op, &word, &held.entry.draft.code, &refusal).await?;
        return Err(refusal);
    }
    if step == Move::Submit {
        let in_force = held.pending.as_ref().map(|_| &held.entry.draft);
        let working = held.pending.as_ref().unwrap_or(&held.entry.draft);
        standard::gate(&app.rules.packs, op.today(), in_force, working)?;
    }
    if step == Move::Approve {
        crate::opening::may_open(app, op, &held).await?;
    }
    let was = held.entry.clone();
    let mut change = change_step(app, op, held, step, reason).await?;
    apply(app, op, &permit, std::slice::from_mut(&mut change)).await?;
    crate::opening::moved(app, op, &permit, &was, &change.held.entry).await;
    settled(app, op, &word, &change, reason.to_owned()).await
}

/// Moves the caller may make now (for buttons). Who handed something in is not offered its review.
fn moves(app: &App, op: &Op, held: &Held) -> Vec<Move> {
    let entry = &held.entry;
    let state = State { publish: entry.publish_state, online: entry.online_state };
    let target = Target::entry(entry);
    Move::ALL
        .into_iter()
        .filter(|m| flow::next(state, held.pending.is_some(), *m, None).is_ok())
        .filter(|m| app.policy.decide(op, m.action(), &target).allowed)
        .filter(|m| m.action() != Action::EntryReview || !same_eyes(op, held))
        .collect()
}

/// The entry with all its items, if the caller may know of them; otherwise it is not found.
pub(crate) async fn visible(app: &App, op: &Op, id_or_code: &str) -> Result<Held> {
    let held = app.store.entry_held(id_or_code).await?;
    held.filter(|h| whole(app, op, &h.entry))
        .ok_or_else(|| Error::not_found("目录", "entry", id_or_code))
}

/// Whether the caller may see the whole entry: it would be shown to them even if it were not open to the public.
pub(crate) fn whole(app: &App, op: &Op, entry: &Entry) -> bool {
    let closed = Target {
        open_type: Some(model::code::OpenType::None.as_str().to_owned()),
        ..Target::entry(entry)
    };
    app.policy.decide(op, Action::EntryRead, &closed).allowed
}

/// Whether the caller may see what is not in force: it would be shown the entry even if it were not published.
pub(crate) fn inner(app: &App, op: &Op, entry: &Entry) -> bool {
    let unpublished = Target {
        open_type: Some(model::code::OpenType::None.as_str().to_owned()),
        live: false,
        ..Target::entry(entry)
    };
    app.policy.decide(op, Action::EntryRead, &unpublished).allowed
}

/// The entry as this caller may see it: whole, or with its open items only, or not at all.
pub(crate) fn seen(app: &App, op: &Op, mut entry: Entry) -> Option<Entry> {
    if whole(app, op, &entry) {
        return Some(entry);
    }
    if !entry.open() || !app.policy.decide(op, Action::EntryRead, &Target::entry(&entry)).allowed {
        return None;
    }
    entry.draft.items.retain(|i| i.open_type != model::code::OpenType::None);
    Some(entry)
}

/// Trims every text and evens line ends, so that what is written, exported and read back is the same. A primary
/// item is never empty.
pub(crate) fn tidy(mut draft: EntryDraft) -> EntryDraft {
    for item in &mut draft.items {
        if item.primary {
            item.nullable = false;
        }
    }
    let Ok(mut value) = serde_json::to_value(&draft) else { return draft };
    tidy_value(&mut value);
    let mut tidied = serde_json::from_value(value).unwrap_or(draft);
    tidied.tags.retain(|t| !t.is_empty());
    tidied
}

fn tidy_value(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) => {
            let even = text.replace("\r\n", "\n").replace('\r', "\n");
            *text = even
                .trim()
                .chars()
                .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
                .collect();
        }
        serde_json::Value::Array(all) => all.iter_mut().for_each(tidy_value),
        serde_json::Value::Object(all) => all.values_mut().for_each(tidy_value),
        _ => {}
    }
}

fn refuse_faults(faults: Vec<FieldError>) -> Result<()> {
    let Some(first) = faults.first() else { return Ok(()) };
    Err(Error::new(
        Code::RuleBroken,
        format!("目录有 {} 处不符合编目规则：{}", faults.len(), first.zh),
        format!("{} rules of compiling are broken: {}", faults.len(), first.en),
    )
    .with_fields(faults))
}

/// Organisation and region must be in the ledger.
async fn known(app: &App, draft: &EntryDraft) -> Result<()> {
    let mut faults = Vec::new();
    if app.store.org_get(&draft.org).await?.is_none() {
        faults.push(no_org(&draft.org));
    }
    if !app.store.regions_list().await?.iter().any(|r| r.code == draft.region) {
        faults.push(no_region(&draft.region));
    }
    refuse_faults(faults)
}

fn no_org(org: &str) -> FieldError {
    FieldError {
        field: "org".into(),
        zh: format!("没有登记机构 `{org}`，请先登记或改用已登记机构的编号"),
        en: format!("the organisation `{org}` is not registered"),
    }
}

fn no_region(region: &str) -> FieldError {
    FieldError {
        field: "region".into(),
        zh: format!("没有行政区划 `{region}`，请使用 GB/T 2260 中本省的代码"),
        en: format!("the region `{region}` is not in the list (GB/T 2260)"),
    }
}

/// Whether the caller handed in what is under review. The platform itself (demo seeding, recovery) is exempt.
fn same_eyes(op: &Op, held: &Held) -> bool {
    op.actor != Actor::System && held.submitted_by.as_deref() == Some(op.actor.id())
}

/// After a change is in the ledger: caches forget, search is brought up to date, the audit record is written.
async fn settled(
    app: &App,
    op: &Op,
    word: &str,
    change: &EntryChange,
    reason: String,
) -> Result<Entry> {
    let entry = change.held.entry.clone();
    app.shares.forget();
    index::put(app, &[entry.id.as_str()]).await?;
    let steps = format!("{}→{}", change.from, change.to);
    audit::record(
        app,
        AuditEvent {
            level: entry.grade.as_str().to_owned(),
            scope: steps,
            reason,
            ..audit::event(op, word, &entry.draft.code)
        },
    )
    .await?;
    Ok(entry)
}

#[cfg(test)]
mod tests;
