//! Links between applications, data, components and cloud resources, and the walk along them: what does this need,
//! and, the other way, what fails if this stops. Nothing is cut silently: every level says how many more there are.

use std::collections::{HashMap, HashSet};

use model::asset::{Asset, Ledger, Link, LinkKind, Node};
use model::audit::AuditEvent;
use model::{Error, Op, Result};
use policy::{Action, Permit, Target};
use serde::Serialize;

use super::{get, rules};
use crate::{App, audit};

/// One thing met on a walk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Neighbour {
    pub node: Node,
    /// Address of its page in the console, without the host.
    pub href: String,
    pub code: String,
    pub name: String,
    pub org: String,
    pub state: String,
    pub kind: LinkKind,
    /// The thing before it on the way, by name.
    pub via: String,
    /// Calls metered between the two, when the link is known from the sharing meter.
    pub calls: Option<i64>,
}

/// Things at one distance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Level {
    pub depth: u32,
    pub things: Vec<Neighbour>,
    /// Things of this level that are not shown.
    pub more: u64,
    /// Things the caller may not know of, counted only.
    pub hidden: u64,
}

/// A walk from a thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Walk {
    /// `true`: what depends on it; `false`: what it depends on.
    pub back: bool,
    pub levels: Vec<Level>,
    /// Things met, shown or not.
    pub total: u64,
    /// Links that were not followed because the walk had met enough; 0 when it came to its end.
    pub beyond: u64,
}

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

/// Direct links of a thing: those it depends on (`back` false) or that depend on it, at most 500, with their number.
pub async fn links(app: &App, op: &Op, node: &Node, back: bool) -> Result<(Vec<Neighbour>, u64)> {
    seen(app, op, node).await?;
    let found = step(app, std::slice::from_ref(node), back, 500).await?;
    let total = app.store.links_count(std::slice::from_ref(node), back).await?;
    let steps: Vec<Step> = found.into_values().collect();
    let shown = u64::try_from(steps.len()).unwrap_or(0);
    let (things, _) = dress(app, op, steps, &HashMap::new()).await?;
    Ok((things, total.max(shown)))
}

/// Walks from a thing: with `back`, what fails if it stops; without, what it needs.
pub async fn walk(app: &App, op: &Op, start: &Node, back: bool) -> Result<Walk> {
    seen(app, op, start).await?;
    let limits = &rules(app, op)?.walk;
    let mut met: HashSet<Node> = HashSet::from([start.clone()]);
    let mut names: HashMap<Node, String> = HashMap::new();
    let mut frontier = vec![start.clone()];
    let mut out = Walk { back, levels: Vec::new(), total: 0, beyond: 0 };
    for depth in 1..=limits.depth {
        let room = limits.most.saturating_sub(met.len());
        if room == 0 {
            break;
        }
        let found = step(app, &frontier, back, u64::try_from(room).unwrap_or(0)).await?;
        let mut fresh: Vec<Step> = found.into_values().filter(|s| !met.contains(&s.node)).collect();
        if fresh.is_empty() {
            frontier.clear();
            break;
        }
        fresh.sort_by(|a, b| a.node.cmp(&b.node));
        met.extend(fresh.iter().map(|s| s.node.clone()));
        frontier = fresh.iter().map(|s| s.node.clone()).collect();
        let count = u64::try_from(fresh.len()).unwrap_or(0);
        out.total += count;
        let shown: Vec<Step> = fresh.into_iter().take(limits.shown).collect();
        let told = u64::try_from(shown.len()).unwrap_or(0);
        let (things, hidden) = dress(app, op, shown, &names).await?;
        for t in &things {
            names.insert(t.node.clone(), t.name.clone());
        }
        out.levels.push(Level { depth, things, more: count - told, hidden });
    }
    if !frontier.is_empty() && (met.len() >= limits.most || out.levels.len() >= depth_of(limits)) {
        out.beyond = app.store.links_count(&frontier, back).await?;
    }
    Ok(out)
}

fn depth_of(limits: &super::rules::WalkRules) -> usize {
    usize::try_from(limits.depth).unwrap_or(usize::MAX)
}

/// The start must be something the caller may know of.
async fn seen(app: &App, op: &Op, node: &Node) -> Result<()> {
    if node.ledger == Ledger::Data {
        crate::catalogue::get(app, op, &node.id).await.map(|_| ())
    } else {
        get(app, op, &node.id).await.map(|_| ())
    }
}

#[derive(Clone, Debug)]
struct Step {
    node: Node,
    via: Node,
    kind: LinkKind,
    calls: Option<i64>,
}

/// One step from all nodes of a frontier. An item is part of its entry: whoever depends on the whole entry depends on
/// each item, and if an entry stops so do its items.
async fn step(app: &App, from: &[Node], back: bool, limit: u64) -> Result<HashMap<Node, Step>> {
    let mut ask: Vec<Node> = from.to_vec();
    if back {
        ask.extend(from.iter().filter(|n| n.item.is_some()).map(Node::base));
        ask.sort();
        ask.dedup();
    }
    let mut links: Vec<Link> = app.store.links_of(&ask, back, limit).await?;
    for entry in from.iter().filter(|n| n.ledger == Ledger::Data && n.item.is_none()) {
        links.extend(app.store.links_of_items(&entry.id, back, limit).await?);
    }
    let mut out: HashMap<Node, Step> = HashMap::new();
    for link in links {
        let (node, via) = if back { (link.from, link.to) } else { (link.to, link.from) };
        let step = Step { node: node.clone(), via, kind: link.kind, calls: None };
        out.entry(node).or_insert(step);
    }
    let wanted = if back { Ledger::Data } else { Ledger::Application };
    let ids: Vec<String> =
        from.iter().filter(|n| n.ledger == wanted).map(|n| n.id.clone()).collect();
    for (asset, entry, calls) in app.store.usage_of(&ids, back).await? {
        let (a, e) = (Node::asset(Ledger::Application, &asset), Node::entry(&entry));
        let (node, via) = if back { (a, e) } else { (e, a) };
        let step = Step { node: node.clone(), via, kind: LinkKind::Uses, calls: Some(calls) };
        out.entry(node).or_insert(step).calls = Some(calls);
    }
    Ok(out)
}

/// Names and states of what was met; what the caller may not know of is counted, not shown.
async fn dress(
    app: &App,
    op: &Op,
    steps: Vec<Step>,
    names: &HashMap<Node, String>,
) -> Result<(Vec<Neighbour>, u64)> {
    let ids = |data: bool| -> Vec<String> {
        steps
            .iter()
            .filter(|s| (s.node.ledger == Ledger::Data) == data)
            .map(|s| s.node.id.clone())
            .collect::<HashSet<_>>()
            .into_iter()
            .collect()
    };
    let assets: HashMap<String, _> =
        app.store.asset_heads(&ids(false)).await?.into_iter().map(|h| (h.id.clone(), h)).collect();
    let entries: HashMap<String, _> =
        app.store.entry_heads(&ids(true)).await?.into_iter().map(|e| (e.id.clone(), e)).collect();
    let mut hidden = 0;
    let mut things = Vec::with_capacity(steps.len());
    for s in steps {
        // An item is told by its entry.
        let via = names.get(&s.via).or_else(|| names.get(&s.via.base())).cloned();
        let via = via.unwrap_or_default();
        let thing = |href, code: &str, name: String, org: &str, state: &str| Neighbour {
            node: s.node.clone(),
            href,
            code: code.to_owned(),
            name,
            org: org.to_owned(),
            state: state.to_owned(),
            kind: s.kind,
            via,
            calls: s.calls,
        };
        if s.node.ledger == Ledger::Data {
            let Some(entry) = entries
                .get(&s.node.id)
                .filter(|e| app.policy.decide(op, Action::EntryRead, &Target::entry(e)).allowed)
            else {
                hidden += 1;
                continue;
            };
            let d = &entry.draft;
            let name = match &s.node.item {
                Some(item) => format!("{} · {item}", d.title),
                None => d.title.clone(),
            };
            let href = format!("/console/entries/{}", entry.id);
            things.push(thing(href, &d.code, name, &d.org, entry.online_state.as_str()));
        } else {
            let Some(head) = assets.get(&s.node.id) else {
                hidden += 1;
                continue;
            };
            let href = format!("/console/ledger/{}/{}", head.ledger, head.id);
            things.push(thing(href, &head.code, head.name.clone(), &head.org, &head.state));
        }
    }
    things.sort_by(|a, b| (a.node.ledger, &a.name).cmp(&(b.node.ledger, &b.name)));
    Ok((things, hidden))
}
