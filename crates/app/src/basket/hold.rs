//! The basket itself: what is in it, and what may be put in.

use model::basket::{AssetRef, BasketItem, Ledger};
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

/// Puts a thing in. An entry of the data ledger is named by id or code, and must be one the caller may know of; of the
/// other ledgers the reference is taken as it is given, its organisation must exist.
pub async fn add(app: &App, op: &Op, asset: AssetRef) -> Result<BasketItem> {
    let permit = permit(app, op).await?;
    let asset = known(app, op, asset).await?;
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

/// The thing a reference names, as the caller may know of it.
pub(super) async fn known(app: &App, op: &Op, asset: AssetRef) -> Result<AssetRef> {
    if asset.ledger == Ledger::Data {
        let entry = app.store.entry_get(&asset.id).await?;
        let entry = entry
            .and_then(|e| catalogue::seen(app, op, e))
            .filter(model::entry::Entry::live)
            .ok_or_else(|| Error::not_found("目录", "entry", &asset.id))?;
        return Ok(AssetRef {
            ledger: Ledger::Data,
            id: entry.id,
            title: entry.draft.title,
            org: entry.draft.org,
        });
    }
    app.store.org_require(&asset.org).await?;
    let fits = |text: &str, most: usize| !text.is_empty() && text.chars().count() <= most;
    let asset =
        AssetRef { id: asset.id.trim().to_owned(), title: asset.title.trim().to_owned(), ..asset };
    if !fits(&asset.id, 100) || !fits(&asset.title, 200) {
        return Err(Error::invalid(
            "请写明资源的编号（100 字以内）和名称（200 字以内）",
            "say the id (100 characters at most) and the name (200 at most) of the thing",
        ));
    }
    Ok(asset)
}
