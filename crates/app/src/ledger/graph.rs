//! Links between applications, data, components and cloud resources: made and taken away by people, and those that the
//! field of a cloud resource says. [`super::walk`] walks along them.

use std::collections::{HashMap, HashSet};

use model::asset::{Asset, Ledger, LinkKind, Node};
use model::audit::AuditEvent;
use model::{Error, Op, Result};
use policy::{Action, Permit, Target};

use super::get;
use crate::{App, audit};

/// Links two things. Who may change the dependent may link it; an item or entry is linked by whom may change the other
/// end.
pub async fn link(app: &App, op: &Op, from: &Node, to: &Node, kind: LinkKind) -> Result<bool> {
    let permit = ends(app, op, from, to, kind).await?;
    let new = app.store.links_put(&permit, op, &[(from.clone(), to.clone(), kind)]).await? > 0;
    if new {
        record(app, op, "asset.link", from, to, kind).await?;
    }
    Ok(new)
}

/// Takes a link away.
pub async fn unlink(app: &App, op: &Op, from: &Node, to: &Node, kind: LinkKind) -> Result<bool> {
    let permit = ends(app, op, from, to, kind).await?;
    let gone = app.store.link_remove(&permit, from, to, kind).await?;
    if gone {
        record(app, op, "asset.unlink", from, to, kind).await?;
    }
    Ok(gone)
}

async fn record(
    app: &App,
    op: &Op,
    word: &str,
    from: &Node,
    to: &Node,
    kind: LinkKind,
) -> Result<()> {
    let event = AuditEvent {
        scope: format!("{} {}", kind.as_str(), to.key()),
        ..audit::event(op, word, &from.key())
    };
    audit::record(app, event).await
}

/// Both ends exist for the caller, the kind fits, and the caller may change one that is an asset.
async fn ends(app: &App, op: &Op, from: &Node, to: &Node, kind: LinkKind) -> Result<Permit> {
    if !kind.fits(from.ledger, to.ledger) || from == to {
        return Err(Error::invalid(
            format!("{}不能以“{}”关联{}", from.ledger.zh(), kind.zh(), to.ledger.zh()),
            format!("`{}` cannot stand between {} and {}", kind.as_str(), from.ledger, to.ledger),
        ));
    }
    let mut owner = None;
    for node in [from, to] {
        if node.ledger == Ledger::Data {
            let entry = crate::catalogue::get(app, op, &node.id).await?;
            if let Some(item) = &node.item
                && entry.draft.item(item).is_none()
            {
                return Err(Error::not_found("数据项", "item", item));
            }
            // Links are kept by id, whatever the caller named the entry by.
            if entry.id != node.id {
                return Err(Error::not_found("目录", "entry", &node.id));
            }
        } else {
            let asset = get(app, op, &node.id).await?;
            if asset.draft.ledger != node.ledger {
                return Err(Error::not_found("资产", "asset", &node.id));
            }
            owner.get_or_insert(asset);
        }
    }
    let owner = owner.ok_or_else(|| Error::internal("a link without an asset"))?;
    audit::permit(app, op, Action::AssetCompile, &Target::asset(&owner)).await
}

/// The field of a cloud resource that names its application becomes a link.
pub(super) async fn follow_field(
    app: &App,
    op: &Op,
    permit: &Permit,
    assets: &[Asset],
) -> Result<u64> {
    let named: Vec<(&Asset, &str)> = assets
        .iter()
        .filter(|a| a.draft.ledger == Ledger::Cloud)
        .map(|a| (a, a.draft.field("application")))
        .filter(|(_, code)| !code.is_empty())
        .collect();
    if named.is_empty() {
        return Ok(0);
    }
    let codes: Vec<String> = named
        .iter()
        .map(|(_, code)| (*code).to_owned())
        .collect::<HashSet<_>>()
        .into_iter()
        .collect();
    let applications: HashMap<String, String> = app
        .store
        .asset_by_codes(Ledger::Application, &codes)
        .await?
        .into_iter()
        .map(|a| (a.draft.code, a.id))
        .collect();
    let links: Vec<(Node, Node, LinkKind)> = named
        .into_iter()
        .filter_map(|(asset, code)| {
            let application = applications.get(code)?;
            Some((
                Node::asset(Ledger::Application, application),
                Node::asset(Ledger::Cloud, &asset.id),
                LinkKind::Uses,
            ))
        })
        .collect();
    if links.is_empty() { Ok(0) } else { app.store.links_put(permit, op, &links).await }
}

/// When the field names another application than before, the link to the former one goes.
pub(super) async fn leave_field(
    app: &App,
    op: &Op,
    permit: &Permit,
    was: &Asset,
    is: &Asset,
) -> Result<()> {
    let former = was.draft.field("application");
    if was.draft.ledger != Ledger::Cloud
        || former.is_empty()
        || former == is.draft.field("application")
    {
        return Ok(());
    }
    let found = app.store.asset_by_codes(Ledger::Application, &[former.to_owned()]).await?;
    for application in found {
        let from = Node::asset(Ledger::Application, &application.id);
        let to = Node::asset(Ledger::Cloud, &is.id);
        if app.store.link_remove(permit, &from, &to, LinkKind::Uses).await? {
            record(app, op, "asset.unlink", &from, &to, LinkKind::Uses).await?;
        }
    }
    Ok(())
}
