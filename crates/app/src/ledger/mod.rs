//! The ledgers (一本账): applications, components and cloud resources beside the catalogue, with their life cycles,
//! links, duplicates, quality, and the check of proposed applications.
//!
//! `rules` is the rule file, `check` finds faults, `like` finds look-alikes and merges, `graph` makes links, `net` holds
//! them in memory, `walk` walks them both ways, `sheet` reads and writes files, `intake` takes batches from calls, `propose` is 应用查重, `quality`
//! ranks, `browse` is 一站式浏览, `feed` tells what changed, `dump` hands whole ledgers out (DCAT, workbooks),
//! `index` keeps search in step (*read-your-writes*), `level` proves that store and index agree.

mod browse;
mod check;
pub mod dump;
mod feed;
mod fill;
mod graph;
mod index;
mod intake;
mod level;
mod like;
mod net;
mod propose;
mod quality;
pub mod rules;
mod sheet;
mod walk;

use std::collections::HashMap;

use model::asset::{Asset, AssetDraft, AssetFilter, AssetStep, Ledger};
use model::audit::AuditEvent;
use model::{Code, Error, FieldError, Op, Result};
use policy::{Action, Permit, Target};
use store::asset::AssetChange;

use crate::{App, Page, account, audit};
use check::Known;
use rules::{LedgerRule, LedgerRules};

pub use browse::{FACETS, forget, looked, question, save, saved, search, suggest};
pub use feed::{FeedDoor, FeedPlace, atom, changes, regions_below};
pub use fill::{Seed, seed_assets, seed_entries, seed_links, seed_orgs};
pub use graph::{link, unlink};
pub(crate) use index::{pages, put_now};
pub use intake::{IntakeReport, intake};
pub use level::{Agreement, agree};
pub use like::{Alike, alike, merge};
pub use propose::{compare, decide, proposal, proposals, propose};
pub use quality::{OrgRank, Quality, quality, rank_month, ranking};
pub use sheet::{Accept, accept_held, export, hold, import};
pub(crate) use walk::Kept;
pub use walk::{Level, Neighbour, Walk, links, walk, warm};

/// The rules in force today.
pub fn rules<'a>(app: &'a App, op: &Op) -> Result<&'a LedgerRules> {
    app.rules
        .ledger
        .at(op.today())
        .ok_or_else(|| Error::internal("the ledger rules hold no version"))
}

/// Enters an asset in the first state of its life cycle. An empty code is given one. When look-alikes are found the
/// answer is `Duplicate` with them, unless the person says `despite` that it is another thing.
pub async fn create(app: &App, op: &Op, draft: AssetDraft, despite: bool) -> Result<Asset> {
    let rules = rules(app, op)?;
    let rule = rules.of(draft.ledger)?;
    let mut draft = check::tidy(draft, rule);
    if draft.code.is_empty() {
        draft.code = new_code(op, rule, &draft);
    }
    let permit = audit::permit(app, op, Action::AssetCompile, &Target::new_asset(&draft)).await?;
    refuse(check::faults(&draft, rule, &known(app, &draft).await?))?;
    if !despite {
        let found = like::of_draft(app, rules, &draft, None).await?;
        if !found.is_empty() {
            return Err(like::told(&found));
        }
    }
    let change = new_change(op, rules, rule, draft, rule.first(), "create");
    app.store.asset_apply(&permit, op, std::slice::from_ref(&change)).await?;
    graph::follow_field(app, op, &permit, std::slice::from_ref(&change.asset)).await?;
    settled(app, op, "asset.create", &change).await
}

/// Edits an asset; `base` is the version the person saw. Code and ledger stay.
pub async fn edit(app: &App, op: &Op, id: &str, draft: AssetDraft, base: i64) -> Result<Asset> {
    let now = get(app, op, id).await?;
    let permit = audit::permit(app, op, Action::AssetCompile, &Target::asset(&now)).await?;
    standing(&now)?;
    let rules = rules(app, op)?;
    let rule = rules.of(now.draft.ledger)?;
    let mut draft = check::tidy(draft, rule);
    draft.code.clone_from(&now.draft.code);
    draft.ledger = now.draft.ledger;
    // Giving it to another organisation needs the say over that one, too.
    audit::permit(app, op, Action::AssetCompile, &Target::new_asset(&draft)).await?;
    refuse(check::faults(&draft, rule, &known(app, &draft).await?))?;
    if base != now.version {
        return Err(stale(&now));
    }
    let Some(change) = edit_change(op, rules, rule, &now, draft, &now.state, "edit") else {
        return Ok(now);
    };
    app.store.asset_apply(&permit, op, std::slice::from_ref(&change)).await?;
    graph::leave_field(app, op, &permit, &now, &change.asset).await?;
    graph::follow_field(app, op, &permit, std::slice::from_ref(&change.asset)).await?;
    settled(app, op, "asset.edit", &change).await
}

/// Moves an asset along its life cycle, with a reason.
pub async fn step(app: &App, op: &Op, id: &str, to: &str, reason: &str) -> Result<Asset> {
    let now = get(app, op, id).await?;
    let permit = audit::permit(app, op, Action::AssetCompile, &Target::asset(&now)).await?;
    carry(app, op, &permit, &now, to, reason).await
}

/// The same for a room that holds its own permit: the life cycle decides where one may go.
pub(crate) async fn carry(
    app: &App,
    op: &Op,
    permit: &Permit,
    now: &Asset,
    to: &str,
    reason: &str,
) -> Result<Asset> {
    standing(now)?;
    let rules = rules(app, op)?;
    let rule = rules.of(now.draft.ledger)?;
    let goal = reachable(rule, &now.state, to)?;
    let mut change = change_of(op, rules, rule, now.clone(), "move");
    change.base = Some(now.version);
    change.asset.version += 1;
    goal.clone_into(&mut change.asset.state);
    change.from.clone_from(&now.state);
    reason.trim().clone_into(&mut change.reason);
    app.store.asset_apply(permit, op, std::slice::from_ref(&change)).await?;
    settled(app, op, "asset.move", &change).await
}

/// Says that an asset is still as it stands: it is fresh again.
pub async fn confirm(app: &App, op: &Op, id: &str) -> Result<Asset> {
    let now = get(app, op, id).await?;
    let permit = audit::permit(app, op, Action::AssetCompile, &Target::asset(&now)).await?;
    standing(&now)?;
    let rules = rules(app, op)?;
    let rule = rules.of(now.draft.ledger)?;
    let mut change = change_of(op, rules, rule, now.clone(), "confirm");
    change.base = Some(now.version);
    change.asset.version += 1;
    change.from.clone_from(&now.state);
    app.store.asset_apply(&permit, op, std::slice::from_ref(&change)).await?;
    settled(app, op, "asset.confirm", &change).await
}

/// One asset by id. What the caller may not know of is not found.
pub async fn get(app: &App, op: &Op, id: &str) -> Result<Asset> {
    let found = app.store.asset_get(id).await?;
    found
        .filter(|a| app.policy.decide(op, Action::AssetRead, &Target::asset(a)).allowed)
        .ok_or_else(|| Error::not_found("资产", "asset", &id.chars().take(64).collect::<String>()))
}

/// One asset of a ledger by its code, or by its id.
pub async fn by_code(app: &App, op: &Op, ledger: Ledger, code: &str) -> Result<Asset> {
    let found = app.store.asset_by_codes(ledger, &[code.to_owned()]).await?.pop();
    match found {
        Some(asset) => get(app, op, &asset.id).await,
        None => get(app, op, code).await,
    }
}

/// Steps of an asset's life, oldest first; people by the names shown.
pub async fn steps(app: &App, op: &Op, id: &str) -> Result<Vec<AssetStep>> {
    let asset = get(app, op, id).await?;
    let mut steps = app.store.asset_steps(&asset.id).await?;
    let people = steps.iter_mut().map(|s| (s.actor.as_str(), &mut s.actor_name));
    account::named(app, people.collect()).await?;
    Ok(steps)
}

/// A page of a ledger, newest first.
pub async fn list(app: &App, op: &Op, filter: &AssetFilter) -> Result<Page<Asset>> {
    readable(app, op, filter).await?;
    let limit = if filter.limit == 0 { 50 } else { filter.limit.min(500) };
    let ask = AssetFilter { limit: limit + 1, ..filter.clone() };
    let items = app.store.asset_list(&ask).await?;
    Ok(Page::cut(items, limit, |a| a.id.clone()))
}

/// How many assets a filter shows.
pub async fn count(app: &App, op: &Op, filter: &AssetFilter) -> Result<u64> {
    readable(app, op, filter).await?;
    app.store.asset_count(filter).await
}

/// Whether the caller may list what the filter shows: an application its own organisation's only.
async fn readable(app: &App, op: &Op, filter: &AssetFilter) -> Result<()> {
    let target = Target { org: filter.org.clone(), ..Target::plain("Asset", "ledger") };
    audit::permit(app, op, Action::AssetRead, &target).await.map(|_| ())
}

/// States one may move to from where an asset stands.
#[must_use]
pub fn moves<'a>(rule: &'a LedgerRule, asset: &Asset) -> Vec<&'a rules::StateRule> {
    let now = rule.state(&asset.state);
    let to = now.map(|s| s.to.as_slice()).unwrap_or_default();
    to.iter().filter_map(|word| rule.state(word)).collect()
}

fn reachable<'a>(rule: &'a LedgerRule, from: &str, to: &str) -> Result<&'a str> {
    let goal = rule.state(to).ok_or_else(|| {
        let all: Vec<&str> = rule.state.iter().map(|s| s.zh.as_str()).collect();
        Error::invalid(
            format!("没有状态 `{to}`，可用：{}", all.join("、")),
            format!("there is no state `{to}`; use one of {}", all.join(", ")),
        )
    })?;
    let now = rule.state(from);
    if now.is_some_and(|s| s.to.contains(&goal.word)) {
        return Ok(&goal.word);
    }
    let may: Vec<&str> = now
        .iter()
        .flat_map(|s| s.to.iter())
        .filter_map(|w| rule.state(w).map(|s| s.zh.as_str()))
        .collect();
    Err(Error::new(
        Code::WrongState,
        format!(
            "不能从“{}”到“{}”，可到：{}",
            now.map_or(from, |s| s.zh.as_str()),
            goal.zh,
            if may.is_empty() { "（无）".to_owned() } else { may.join("、") }
        ),
        format!("one cannot go from `{from}` to `{}`", goal.word),
    ))
}

/// A merged asset is out of use.
fn standing(asset: &Asset) -> Result<()> {
    if asset.merged_into.is_none() {
        return Ok(());
    }
    Err(Error::new(
        Code::WrongState,
        "该资产已并入另一条，不能再修改",
        "this asset was merged into another and cannot change",
    ))
}

fn stale(now: &Asset) -> Error {
    Error::new(
        Code::Stale,
        format!("`{}` 已更新到版本 {}，请刷新后重试", now.draft.code, now.version),
        format!("`{}` is at version {} by now, reload and try again", now.draft.code, now.version),
    )
}

fn refuse(faults: Vec<FieldError>) -> Result<()> {
    let Some(first) = faults.first() else { return Ok(()) };
    Err(Error::new(
        Code::RuleBroken,
        format!("有 {} 处需要修改：{}", faults.len(), first.zh),
        format!("{} fields must be mended: {}", faults.len(), first.en),
    )
    .with_fields(faults))
}

/// The organisation and the regions that a draft may name; of thousands of organisations only its own is read.
async fn known(app: &App, draft: &AssetDraft) -> Result<Known> {
    Ok(Known {
        orgs: app.store.org_get(&draft.org).await?.into_iter().map(|o| o.id).collect(),
        regions: app.store.regions_list().await?.into_iter().map(|r| r.code).collect(),
    })
}

/// All organisations and regions, for batches.
async fn known_all(app: &App) -> Result<Known> {
    Ok(Known {
        orgs: app.store.orgs_list().await?.into_iter().map(|o| o.id).collect(),
        regions: app.store.regions_list().await?.into_iter().map(|r| r.code).collect(),
    })
}

/// A code like the province's (`A330302` + organisation + month + chance), unique by its tail.
fn new_code(op: &Op, rule: &LedgerRule, draft: &AssetDraft) -> String {
    let id = op.new_id();
    let tail: String = id.chars().rev().take(10).collect();
    format!("{}{}{}{tail}", rule.code_prefix, draft.region, op.today().format("%Y%m"))
}

fn change_of(
    op: &Op,
    rules: &LedgerRules,
    rule: &LedgerRule,
    mut asset: Asset,
    action: &'static str,
) -> AssetChange {
    asset.score = check::score(&asset.draft, rule, &rules.quality);
    asset.updated_at = op.stamp();
    AssetChange {
        name_key: check::name_key(&asset.draft.name, &rules.duplicate),
        base: None,
        action,
        from: String::new(),
        reason: String::new(),
        asset,
    }
}

pub(crate) fn new_change(
    op: &Op,
    rules: &LedgerRules,
    rule: &LedgerRule,
    draft: AssetDraft,
    state: &str,
    action: &'static str,
) -> AssetChange {
    let asset = Asset {
        id: op.new_id(),
        draft,
        state: state.to_owned(),
        version: 1,
        score: 0,
        created_at: op.stamp(),
        created_by: op.actor.id().to_owned(),
        updated_at: op.stamp(),
        merged_into: None,
    };
    change_of(op, rules, rule, asset, action)
}

/// What an edit does; `None` when it changes nothing.
fn edit_change(
    op: &Op,
    rules: &LedgerRules,
    rule: &LedgerRule,
    now: &Asset,
    draft: AssetDraft,
    state: &str,
    action: &'static str,
) -> Option<AssetChange> {
    if now.draft == draft && now.state == state {
        return None;
    }
    let asset = Asset { draft, state: state.to_owned(), version: now.version + 1, ..now.clone() };
    let mut change = change_of(op, rules, rule, asset, action);
    change.base = Some(now.version);
    change.from.clone_from(&now.state);
    Some(change)
}

/// After a change is in the store: search is brought up to date, the audit record is written.
async fn settled(app: &App, op: &Op, word: &str, change: &AssetChange) -> Result<Asset> {
    index::put(app, std::slice::from_ref(&change.asset)).await?;
    let event = AuditEvent {
        scope: format!("{}→{}", change.from, change.asset.state),
        reason: change.reason.clone(),
        ..audit::event(op, word, &change.asset.draft.code)
    };
    audit::record(app, event).await?;
    Ok(change.asset.clone())
}

/// Names of all organisations by id.
pub(crate) async fn org_names(app: &App) -> Result<HashMap<String, String>> {
    Ok(app.store.orgs_list().await?.into_iter().map(|o| (o.id, o.name_cn)).collect())
}
