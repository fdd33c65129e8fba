//! The basket itself: what is in it, and what may be put in.

use model::asset::Ledger;
use model::basket::{AssetRef, BasketItem};
use model::{Code, Error, Op, Result};
use policy::{Action, Permit, Target};

use crate::{App, audit, catalogue};

/// The caller as one who files for an organisation.
pub(super) fn filing(op: &Op) -> Target {
    Target {
        owner: Some(op.actor.id().to_owned()),
        applicant_org: op.actor.org().map(str::to_owned),
        ..Target::plain("Approval", "basket")
    }
}

pub(super) async fn permit(app: &App, op: &Op) -> Result<Permit> {
    audit::permit(app, op, Action::BasketFile, &filing(op)).await
}

/// What is in the caller's basket.
pub async fn list(app: &App, op: &Op) -> Result<Vec<BasketItem>> {
    permit(app, op).await?;
    app.store.basket_list(op.actor.id()).await
}

/// Puts a thing in, named by id or code: one that the caller may know of, and that is in service.
pub async fn add(app: &App, op: &Op, asset: AssetRef) -> Result<BasketItem> {
    let permit = permit(app, op).await?;
    let asset = usable(app, op, asset).await?;
    let there = app.store.basket_list(op.actor.id()).await?;
    let limit = app.rules.basket.limit.parts;
    let again = there.iter().any(|i| i.asset.ledger == asset.ledger && i.asset.id == asset.id);
    if !again && there.len() >= limit {
        return Err(Error::new(
            Code::RuleBroken,
            format!("申请篮最多放 {limit} 项，请先提交或移出一些"),
            format!("the basket holds {limit} things at most: file or take out some first"),
        ));
    }
    if Some(asset.org.as_str()) == op.actor.org() {
        return Err(Error::new(
            Code::RuleBroken,
            format!("《{}》属于本单位，无需申请", asset.title),
            format!("`{}` is your own organisation's: there is nothing to apply for", asset.title),
        ));
    }
    let item = BasketItem { asset, added_at: op.stamp() };
    app.store.basket_put(&permit, op.actor.id(), &item).await?;
    Ok(item)
}

/// Takes a thing out; taking out what is not in changes nothing.
pub async fn remove(app: &App, op: &Op, ledger: Ledger, id: &str) -> Result<()> {
    let permit = permit(app, op).await?;
    app.store.basket_take(&permit, op.actor.id(), ledger, id).await?;
    Ok(())
}

/// Whether the caller may file at all (to show or hide a link).
#[must_use]
pub fn may_file(app: &App, op: &Op) -> bool {
    app.policy.decide(op, Action::BasketFile, &filing(op)).allowed
}

/// The thing a reference names by id or code, as the caller may know of it: title and owner are the ledger's, whatever
/// the reference says.
pub(super) async fn known(app: &App, op: &Op, asset: AssetRef) -> Result<AssetRef> {
    let id = asset.id.trim().to_owned();
    let short: String = id.chars().take(64).collect();
    if asset.ledger == Ledger::Data {
        let entry = app.store.entry_get(&id).await?;
        let entry = entry
            .and_then(|e| catalogue::seen(app, op, e))
            .filter(model::entry::Entry::live)
            .ok_or_else(|| Error::not_found("目录", "entry", &short))?;
        return Ok(AssetRef {
            ledger: Ledger::Data,
            id: entry.id,
            title: entry.draft.title,
            org: entry.draft.org,
        });
    }
    let found = match app.store.asset_get(&id).await? {
        Some(found) => Some(found),
        None => app.store.asset_by_codes(asset.ledger, std::slice::from_ref(&id)).await?.pop(),
    };
    let found = found
        .filter(|a| a.draft.ledger == asset.ledger && a.merged_into.is_none())
        .filter(|a| app.policy.decide(op, Action::AssetRead, &Target::asset(a)).allowed)
        .ok_or_else(|| Error::not_found("台账资源", "asset of this ledger", &short))?;
    Ok(AssetRef {
        ledger: found.draft.ledger,
        id: found.id,
        title: found.draft.name,
        org: found.draft.org,
    })
}

/// The same, and it must be in service: nobody applies for what is planned, halted or given up.
pub(super) async fn usable(app: &App, op: &Op, asset: AssetRef) -> Result<AssetRef> {
    let asset = known(app, op, asset).await?;
    if asset.ledger == Ledger::Data {
        return Ok(asset);
    }
    let rule = crate::ledger::rules(app, op)?.of(asset.ledger)?;
    let found = app.store.asset_get(&asset.id).await?;
    let state = found.as_ref().and_then(|a| rule.state(&a.state));
    if state.is_some_and(|s| s.live) {
        return Ok(asset);
    }
    let (zh, en) = state.map_or(("", ""), |s| (s.zh.as_str(), s.en.as_str()));
    Err(Error::new(
        Code::WrongState,
        format!("《{}》处于“{zh}”，不能申请", asset.title),
        format!("`{}` is `{en}`: it cannot be applied for", asset.title),
    ))
}
