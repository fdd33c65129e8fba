//! The walk along the links: what does this need and, the other way, what fails if this stops; with the distance of each
//! thing, the way that leads to it, and who really called by the sharing meter. Nothing is cut silently: every level
//! says how many more there are.
//!
//! The links are in memory ([`super::net`]). Before each use they are brought level with the store's log of changes, so
//! that what this or another process linked is walked at once (*read-your-writes*).

use std::collections::{HashMap, HashSet};

use chrono::Days;
use indexmap::IndexSet;
use model::asset::{Ledger, LinkKind, Node};
use model::{Op, Result};
use policy::{Action, Target};
use serde::Serialize;
use store::link::LinkWhat;
use tokio::sync::RwLockReadGuard;

use super::net::{Id, Net, Reading};
use super::{get, rules};
use crate::App;

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
    /// Names of the things between the start and this one, in the order of the way; empty where the caller may not
    /// know of one.
    pub path: Vec<String>,
    /// Calls metered between the two of late, when the link is known from the sharing meter.
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
    /// Things met, shown or not, at any distance.
    pub total: u64,
    /// Things farther away than the levels told.
    pub beyond: u64,
    /// Things whose metered calls were not asked for, because a level had too many; 0 when all were.
    pub unasked: u64,
    /// Days over which calls are counted.
    pub days: u64,
}

/// The links of this process, and with which change of the store they are level.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    epoch: Option<i64>,
    net: Net,
}

/// Links of a page that is read from the store.
const PAGE: u32 = 5000;

/// The links, level with the store: one small question when nothing changed.
async fn level(app: &App) -> Result<RwLockReadGuard<'_, Kept>> {
    let epoch = app.store.link_epoch().await?;
    {
        let kept = app.shares.net.read().await;
        if kept.epoch.is_some_and(|at| at >= epoch) {
            return Ok(kept);
        }
    }
    let mut kept = app.shares.net.write().await;
    while kept.epoch.is_none_or(|at| at < epoch) {
        let changes = match kept.epoch {
            Some(at) => app.store.links_changed(at).await?.filter(|c| !c.is_empty()),
            None => None,
        };
        match changes {
            Some(changes) if changes.iter().all(|c| c.what != LinkWhat::Load) => {
                for change in changes {
                    match change.what {
                        LinkWhat::Add(from, to, kind) => kept.net.add(&from, &to, kind),
                        LinkWhat::Remove(from, to, kind) => kept.net.remove(&from, &to, kind),
                        LinkWhat::Merge(drop, keep) => kept.net.merge(&drop, &keep),
                        LinkWhat::Load => {}
                    }
                    kept.epoch = Some(change.seq);
                }
            }
            // Nothing is kept yet, or too much has changed.
            _ => *kept = load(app).await?,
        }
    }
    Ok(kept.downgrade())
}

/// Reads all links. What changes meanwhile is in the log after the number read first, and applied again does no harm.
async fn load(app: &App) -> Result<Kept> {
    let begun = std::time::Instant::now();
    let epoch = app.store.link_epoch().await?;
    let mut reading = Reading::default();
    let (mut after, mut count) = (None, 0_usize);
    loop {
        let page = app.store.links_page(after.as_ref(), PAGE).await?;
        for link in &page {
            reading.take(&link.from, &link.to, link.kind);
        }
        count += page.len();
        match page.into_iter().last() {
            Some(last) => after = Some(last),
            None => break,
        }
    }
    let net = reading.done();
    tracing::info!(
        link.count = count,
        link.things = net.things(),
        took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        "the links of the ledgers are in memory"
    );
    Ok(Kept { epoch: Some(epoch), net })
}

/// Reads the links before anybody asks for them; a chore after the start.
pub async fn warm(app: &App) -> Result<()> {
    level(app).await.map(|_| ())
}

/// Ids of the entries that an application uses by itself or by their items.
pub(super) async fn entries_used(app: &App, application: &str) -> Result<Vec<String>> {
    let kept = level(app).await?;
    let mut ids = HashSet::new();
    kept.net.step_of(&Node::asset(Ledger::Application, application), false, |other, _, kind| {
        if kind == LinkKind::Uses
            && let Some(node) = kept.net.node(other).filter(|n| n.ledger == Ledger::Data)
        {
            ids.insert(node.id);
        }
    });
    Ok(ids.into_iter().collect())
}

/// The start must be something the caller may know of.
async fn seen(app: &App, op: &Op, node: &Node) -> Result<()> {
    if node.ledger == Ledger::Data {
        crate::catalogue::get(app, op, &node.id).await.map(|_| ())
    } else {
        get(app, op, &node.id).await.map(|_| ())
    }
}

/// A thing that was met: after which one, by which link, with which calls.
#[derive(Clone, Copy, Debug)]
struct Met {
    id: Id,
    from: Option<Id>,
    kind: LinkKind,
    calls: Option<i64>,
}

/// A walk that goes on level by level. Things known from the sharing meter only have numbers behind those of the net.
struct Walker<'a> {
    app: &'a App,
    net: &'a Net,
    extra: IndexSet<Node>,
    met: HashSet<Id>,
    back: bool,
    since: String,
    /// Most things of a level whose calls are asked for.
    most: usize,
    unasked: u64,
}

impl Walker<'_> {
    fn node(&self, id: Id) -> Option<Node> {
        match id.checked_sub(self.net.things()) {
            None => self.net.node(id),
            Some(n) => self.extra.get_index(usize::try_from(n).ok()?).cloned(),
        }
    }

    fn id(&mut self, node: Node) -> Id {
        if let Some(id) = self.net.id(&node) {
            return id;
        }
        let (n, _) = self.extra.insert_full(node);
        self.net.things().saturating_add(u32::try_from(n).unwrap_or(u32::MAX))
    }

    /// What is one step from these things (`None`: from the start), and was not met before.
    async fn next(&mut self, start: &Node, frontier: &[Option<Id>]) -> Result<Vec<Met>> {
        let mut fresh: Vec<Met> = Vec::new();
        let mut asked: Vec<(String, Option<Id>)> = Vec::new();
        let wanted = if self.back { Ledger::Data } else { Ledger::Application };
        for from in frontier {
            let known = from.filter(|id| *id < self.net.things());
            let (met, back) = (&mut self.met, self.back);
            let each = |id: Id, _: Id, kind: LinkKind| {
                if met.insert(id) {
                    fresh.push(Met { id, from: *from, kind, calls: None });
                }
            };
            match known {
                Some(id) => self.net.step(id, back, each),
                None => {
                    let node = match from {
                        Some(id) => self.node(*id),
                        None => Some(start.clone()),
                    };
                    let met = &mut self.met;
                    if let Some(node) = node {
                        self.net.step_of(&node, back, |id, _, kind| {
                            if met.insert(id) {
                                fresh.push(Met { id, from: *from, kind, calls: None });
                            }
                        });
                    }
                }
            }
            let ledger = match from {
                None => Some(start.ledger),
                Some(id) => {
                    known.map_or_else(|| self.node(*id).map(|n| n.ledger), |id| self.net.ledger(id))
                }
            };
            if ledger == Some(wanted) {
                if asked.len() < self.most {
                    let node = from.map_or_else(|| Some(start.clone()), |id| self.node(id));
                    asked.extend(node.map(|n| (n.id, *from)));
                } else {
                    self.unasked += 1;
                }
            }
        }
        self.metered(&asked, &mut fresh).await?;
        Ok(fresh)
    }

    /// Adds who called whom of late, by the sharing meter.
    async fn metered(
        &mut self,
        asked: &[(String, Option<Id>)],
        fresh: &mut Vec<Met>,
    ) -> Result<()> {
        let mut from_of: HashMap<&str, Option<Id>> = HashMap::new();
        for (id, from) in asked {
            from_of.entry(id).or_insert(*from);
        }
        let ids: Vec<String> = from_of.keys().map(|id| (*id).to_owned()).collect();
        let mut places: HashMap<Id, usize> =
            fresh.iter().enumerate().map(|(n, m)| (m.id, n)).collect();
        for (asset, entry, calls) in self.app.store.usage_of(&ids, self.back, &self.since).await? {
            let mine = if self.back { &entry } else { &asset };
            let from = from_of.get(mine.as_str()).copied().flatten();
            let other = if self.back {
                Node::asset(Ledger::Application, &asset)
            } else {
                Node::entry(&entry)
            };
            let id = self.id(other);
            if let Some(place) = places.get(&id).and_then(|n| fresh.get_mut(*n)) {
                place.calls = Some(place.calls.unwrap_or(0).saturating_add(calls));
            } else if self.met.insert(id) {
                places.insert(id, fresh.len());
                fresh.push(Met { id, from, kind: LinkKind::Uses, calls: Some(calls) });
            }
        }
        Ok(())
    }
}

/// Direct links of a thing: those it depends on (`back` false) or that depend on it, at most 500, with their number.
pub async fn links(app: &App, op: &Op, node: &Node, back: bool) -> Result<(Vec<Neighbour>, u64)> {
    const SHOWN: usize = 500;
    seen(app, op, node).await?;
    let kept = level(app).await?;
    let mut walker = walker(app, op, &kept, node, back)?;
    let mut fresh = walker.next(node, &[None]).await?;
    let total = u64::try_from(fresh.len()).unwrap_or(0);
    order(&walker, &mut fresh);
    fresh.truncate(SHOWN);
    let names = names(app, op, &walker, &HashMap::new(), &fresh).await?;
    let (things, _) = dress(&walker, &names, &HashMap::new(), &fresh);
    Ok((things, total))
}

fn walker<'a>(
    app: &'a App,
    op: &Op,
    kept: &'a Kept,
    start: &Node,
    back: bool,
) -> Result<Walker<'a>> {
    let limits = &rules(app, op)?.walk;
    let since = op.today().checked_sub_days(Days::new(limits.usage_days)).unwrap_or(op.today());
    Ok(Walker {
        app,
        net: &kept.net,
        extra: IndexSet::new(),
        met: kept.net.id(start).into_iter().collect(),
        back,
        since: since.to_string(),
        most: limits.most,
        unasked: 0,
    })
}

/// Walks from a thing: with `back`, what fails if it stops; without, what it needs.
pub async fn walk(app: &App, op: &Op, start: &Node, back: bool) -> Result<Walk> {
    seen(app, op, start).await?;
    let limits = &rules(app, op)?.walk;
    let kept = level(app).await?;
    let mut walker = walker(app, op, &kept, start, back)?;
    let mut out =
        Walk { back, levels: Vec::new(), total: 0, beyond: 0, unasked: 0, days: limits.usage_days };
    let mut before: HashMap<Id, Met> = HashMap::new();
    let mut shown: Vec<(Vec<Met>, u64)> = Vec::new();
    let mut frontier: Vec<Option<Id>> = vec![None];
    loop {
        let mut fresh = walker.next(start, &frontier).await?;
        if fresh.is_empty() {
            break;
        }
        let count = u64::try_from(fresh.len()).unwrap_or(0);
        out.total += count;
        frontier = fresh.iter().map(|m| Some(m.id)).collect();
        before.extend(fresh.iter().map(|m| (m.id, *m)));
        if shown.len() >= usize::try_from(limits.depth).unwrap_or(usize::MAX) {
            out.beyond += count;
            continue;
        }
        order(&walker, &mut fresh);
        fresh.truncate(limits.shown);
        let told = u64::try_from(fresh.len()).unwrap_or(0);
        shown.push((fresh, count - told));
    }
    out.unasked = walker.unasked;
    let all: Vec<Met> = shown.iter().flat_map(|(things, _)| things).copied().collect();
    let names = names(app, op, &walker, &before, &all).await?;
    for (depth, (things, more)) in (1..).zip(shown) {
        let (things, hidden) = dress(&walker, &names, &before, &things);
        out.levels.push(Level { depth, things, more, hidden });
    }
    Ok(out)
}

/// Who really called stands first, then by ledger and id: the same ones are shown every time.
fn order(walker: &Walker<'_>, things: &mut [Met]) {
    things.sort_by_cached_key(|m| (std::cmp::Reverse(m.calls.unwrap_or(0)), walker.node(m.id)));
}

/// What is known of a thing that the caller may know of.
#[derive(Clone, Debug)]
struct Named {
    code: String,
    name: String,
    org: String,
    state: String,
    href: String,
}

/// The way from the start to a thing, without either.
fn way(before: &HashMap<Id, Met>, to: &Met) -> Vec<Id> {
    let mut way = Vec::new();
    let mut at = to.from;
    while let Some(id) = at {
        way.push(id);
        at = before.get(&id).and_then(|m| m.from);
    }
    way.reverse();
    way
}

/// Names of these things and of those on the way to them, as far as the caller may know of them; by entry or asset.
async fn names(
    app: &App,
    op: &Op,
    walker: &Walker<'_>,
    before: &HashMap<Id, Met>,
    things: &[Met],
) -> Result<HashMap<Node, Named>> {
    let ids: HashSet<Id> =
        things.iter().flat_map(|m| way(before, m).into_iter().chain([m.id])).collect();
    let nodes: HashSet<Node> =
        ids.into_iter().filter_map(|id| walker.node(id)).map(|n| n.base()).collect();
    let (data, others): (Vec<Node>, Vec<Node>) =
        nodes.into_iter().partition(|n| n.ledger == Ledger::Data);
    let ids = |nodes: Vec<Node>| nodes.into_iter().map(|n| n.id).collect::<Vec<_>>();
    let mut names = HashMap::new();
    for head in app.store.asset_heads(&ids(others)).await? {
        let target = Target {
            org: Some(head.org.clone()),
            region: Some(head.region.clone()),
            ..Target::plain("Asset", &head.id)
        };
        if app.policy.decide(op, Action::AssetRead, &target).allowed {
            let href = format!("/console/ledger/{}/{}", head.ledger, head.id);
            let named =
                Named { code: head.code, name: head.name, org: head.org, state: head.state, href };
            names.insert(Node::asset(head.ledger, &head.id), named);
        }
    }
    for entry in app.store.entry_heads(&ids(data)).await? {
        if app.policy.decide(op, Action::EntryRead, &Target::entry(&entry)).allowed {
            let named = Named {
                href: format!("/console/entries/{}", entry.id),
                state: entry.online_state.as_str().to_owned(),
                code: entry.draft.code,
                name: entry.draft.title,
                org: entry.draft.org,
            };
            names.insert(Node::entry(&entry.id), named);
        }
    }
    Ok(names)
}

/// Things as the caller may see them; what they may not know of is counted, not shown.
fn dress(
    walker: &Walker<'_>,
    names: &HashMap<Node, Named>,
    before: &HashMap<Id, Met>,
    things: &[Met],
) -> (Vec<Neighbour>, u64) {
    let mut hidden = 0;
    let mut out = Vec::with_capacity(things.len());
    for met in things {
        let Some(node) = walker.node(met.id) else { continue };
        let Some(named) = names.get(&node.base()).cloned() else {
            hidden += 1;
            continue;
        };
        let path = way(before, met)
            .into_iter()
            .map(|id| {
                let known = walker.node(id).and_then(|n| names.get(&n.base()));
                known.map(|n| n.name.clone()).unwrap_or_default()
            })
            .collect();
        let name = match &node.item {
            Some(item) => format!("{} · {item}", named.name),
            None => named.name,
        };
        let Named { code, org, state, href, .. } = named;
        let (kind, calls) = (met.kind, met.calls);
        out.push(Neighbour { node, href, code, name, org, state, kind, path, calls });
    }
    (out, hidden)
}
