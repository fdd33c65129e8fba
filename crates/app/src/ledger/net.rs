//! The links of all ledgers in memory: every thing a number, both directions as sorted arrays, so that a walk of any
//! size asks no database. What changes is laid over the arrays and worked in when it has grown.
//!
//! A thing is an entry, an asset, or one item of an entry; names are kept once (an entry's items share its name). With a
//! million links the arrays hold about 30 MB and the names about 60 MB more. Pure: no store, no clock; [`super::walk`]
//! keeps it level with the store.

use std::collections::{HashMap, HashSet};

use indexmap::IndexSet;
use model::asset::{Ledger, LinkKind, Node};

/// A thing's number.
pub(super) type Id = u32;

/// Changes laid over the arrays, before they are worked in.
const OVERLAY: usize = 50_000;

/// A link as numbers.
type Edge = (Id, Id, u8);

/// Links seen from one end: those of thing `n` stand from `starts[n]` to `starts[n + 1]`.
#[derive(Debug, Default)]
struct Side {
    starts: Vec<u32>,
    ends: Vec<(Id, u8)>,
    added: HashMap<Id, Vec<(Id, u8)>>,
}

impl Side {
    fn of(mut edges: Vec<Edge>, things: usize) -> Self {
        edges.sort_unstable();
        edges.dedup();
        let mut starts = vec![0_u32; things + 1];
        for (from, _, _) in &edges {
            if let Some(n) = starts.get_mut(index(*from) + 1) {
                *n += 1;
            }
        }
        let mut sum = 0;
        for n in &mut starts {
            sum += *n;
            *n = sum;
        }
        let ends = edges.into_iter().map(|(_, to, kind)| (to, kind)).collect();
        Self { starts, ends, added: HashMap::new() }
    }

    fn built(&self, n: Id) -> &[(Id, u8)] {
        let at = |i: usize| self.starts.get(i).map(|s| index(*s));
        match (at(index(n)), at(index(n) + 1)) {
            (Some(from), Some(to)) => self.ends.get(from..to).unwrap_or_default(),
            _ => &[],
        }
    }
}

/// The links.
#[derive(Debug, Default)]
pub(crate) struct Net {
    /// `ledger:id` of entries and assets.
    bases: IndexSet<Box<str>>,
    /// Identifiers of items.
    items: IndexSet<Box<str>>,
    /// Base and item (0: the whole) of every thing.
    things: IndexSet<(u32, u32)>,
    out: Side,
    back: Side,
    removed: HashSet<Edge>,
    /// What is laid over the arrays.
    added: HashSet<Edge>,
    /// Items of a base that something is linked with.
    parts: HashMap<u32, Vec<Id>>,
}

fn index(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn code(kind: LinkKind) -> u8 {
    LinkKind::ALL.iter().position(|k| *k == kind).and_then(|n| u8::try_from(n).ok()).unwrap_or(0)
}

fn kind_of(code: u8) -> LinkKind {
    LinkKind::ALL.get(usize::from(code)).copied().unwrap_or(LinkKind::Uses)
}

impl Net {
    fn build(&mut self, edges: Vec<Edge>) {
        let back = edges.iter().map(|(from, to, kind)| (*to, *from, *kind)).collect();
        self.out = Side::of(edges, self.things.len());
        self.back = Side::of(back, self.things.len());
        self.removed.clear();
        self.added.clear();
    }

    /// The number of a thing, given one when it has none.
    fn intern(&mut self, node: &Node) -> Id {
        let key = node.base().key();
        let base = match self.bases.get_index_of(key.as_str()) {
            Some(n) => n,
            None => self.bases.insert_full(key.into_boxed_str()).0,
        };
        let item = match &node.item {
            None => 0,
            Some(item) => match self.items.get_index_of(item.as_str()) {
                Some(n) => n + 1,
                None => self.items.insert_full(item.clone().into_boxed_str()).0 + 1,
            },
        };
        let (base, item) = (number(base), number(item));
        let (n, new) = self.things.insert_full((base, item));
        let id = number(n);
        if new && item != 0 {
            self.parts.entry(base).or_default().push(id);
        }
        id
    }

    /// The number of a thing that something is linked with.
    pub(super) fn id(&self, node: &Node) -> Option<Id> {
        let base = number(self.bases.get_index_of(node.base().key().as_str())?);
        let item = match &node.item {
            None => 0,
            Some(item) => number(self.items.get_index_of(item.as_str())?) + 1,
        };
        self.things.get_index_of(&(base, item)).map(number)
    }

    /// The thing of a number.
    pub(super) fn node(&self, id: Id) -> Option<Node> {
        let (base, item) = self.things.get_index(index(id))?;
        let whole = Node::parse(self.bases.get_index(index(*base))?)?;
        match item.checked_sub(1) {
            None => Some(whole),
            Some(n) => {
                Some(Node { item: Some(self.items.get_index(index(n))?.to_string()), ..whole })
            }
        }
    }

    /// Whether a thing is an entry or asset as a whole, and of which ledger.
    pub(super) fn ledger(&self, id: Id) -> Option<Ledger> {
        let (base, _) = self.things.get_index(index(id))?;
        let key = self.bases.get_index(index(*base))?;
        Ledger::of_word(key.split_once(':')?.0)
    }

    /// The whole that an item is part of; a whole is its own.
    fn base(&self, id: Id) -> Option<Id> {
        let (base, _) = self.things.get_index(index(id))?;
        self.things.get_index_of(&(*base, 0)).map(number)
    }

    fn is_item(&self, id: Id) -> bool {
        self.things.get_index(index(id)).is_some_and(|(_, item)| *item != 0)
    }

    /// Items of a whole that something is linked with.
    fn parts(&self, id: Id) -> &[Id] {
        let base = self.things.get_index(index(id)).map(|(base, _)| base);
        base.and_then(|b| self.parts.get(b)).map(Vec::as_slice).unwrap_or_default()
    }

    /// Ends of a thing's own links.
    fn ends(&self, id: Id, back: bool) -> impl Iterator<Item = (Id, u8)> + '_ {
        let side = if back { &self.back } else { &self.out };
        let added = side.added.get(&id).map(Vec::as_slice).unwrap_or_default();
        side.built(id).iter().chain(added).copied().filter(move |(other, kind)| {
            let edge = if back { (*other, id, *kind) } else { (id, *other, *kind) };
            !self.removed.contains(&edge)
        })
    }

    /// One step from a thing, in the order of numbers: `(thing, through, kind)`. An item is part of its entry: whoever
    /// depends on the whole entry depends on each item, and if an entry stops so do its items.
    pub(super) fn step(&self, id: Id, back: bool, mut each: impl FnMut(Id, Id, LinkKind)) {
        for (other, kind) in self.ends(id, back) {
            each(other, id, kind_of(kind));
        }
        if self.is_item(id) {
            if back && let Some(base) = self.base(id) {
                for (other, kind) in self.ends(base, back) {
                    each(other, base, kind_of(kind));
                }
            }
        } else {
            for part in self.parts(id) {
                for (other, kind) in self.ends(*part, back) {
                    each(other, *part, kind_of(kind));
                }
            }
        }
    }

    /// The same from a thing that may have no number: nothing is linked with it itself, but with its whole or its parts.
    pub(super) fn step_of(&self, of: &Node, back: bool, mut each: impl FnMut(Id, Id, LinkKind)) {
        if let Some(id) = self.id(of) {
            return self.step(id, back, each);
        }
        let Some(base) = self.bases.get_index_of(of.base().key().as_str()).map(number) else {
            return;
        };
        let through: Vec<Id> = match (&of.item, back) {
            (None, _) => self.parts.get(&base).cloned().unwrap_or_default(),
            (Some(_), true) => {
                self.things.get_index_of(&(base, 0)).map(number).into_iter().collect()
            }
            (Some(_), false) => Vec::new(),
        };
        for part in through {
            for (other, kind) in self.ends(part, back) {
                each(other, part, kind_of(kind));
            }
        }
    }

    /// How many things have a number.
    pub(super) fn things(&self) -> u32 {
        number(self.things.len())
    }

    pub(super) fn add(&mut self, from: &Node, to: &Node, kind: LinkKind) {
        let edge = (self.intern(from), self.intern(to), code(kind));
        if self.removed.remove(&edge) || self.holds(edge) {
            return;
        }
        self.out.added.entry(edge.0).or_default().push((edge.1, edge.2));
        self.back.added.entry(edge.1).or_default().push((edge.0, edge.2));
        self.added.insert(edge);
        self.settle();
    }

    pub(super) fn remove(&mut self, from: &Node, to: &Node, kind: LinkKind) {
        let (Some(from), Some(to)) = (self.id(from), self.id(to)) else { return };
        self.take((from, to, code(kind)));
        self.settle();
    }

    /// Links of `drop` become links of `keep`; a link between the two goes.
    pub(super) fn merge(&mut self, drop: &Node, keep: &Node) {
        let Some(gone) = self.id(drop) else { return };
        let out: Vec<(Id, u8)> = self.ends(gone, false).collect();
        let back: Vec<(Id, u8)> = self.ends(gone, true).collect();
        for (other, kind) in out {
            self.take((gone, other, kind));
            if let Some(node) = self.node(other).filter(|n| n != keep) {
                self.add(keep, &node, kind_of(kind));
            }
        }
        for (other, kind) in back {
            self.take((other, gone, kind));
            if let Some(node) = self.node(other).filter(|n| n != keep) {
                self.add(&node, keep, kind_of(kind));
            }
        }
    }

    fn holds(&self, edge: Edge) -> bool {
        self.added.contains(&edge) || (self.built(edge) && !self.removed.contains(&edge))
    }

    /// Whether the arrays have a link, taken away since or not.
    fn built(&self, edge: Edge) -> bool {
        self.out.built(edge.0).binary_search(&(edge.1, edge.2)).is_ok()
    }

    fn take(&mut self, edge: Edge) {
        if self.added.remove(&edge) {
            if let Some(list) = self.out.added.get_mut(&edge.0) {
                list.retain(|e| *e != (edge.1, edge.2));
            }
            if let Some(list) = self.back.added.get_mut(&edge.1) {
                list.retain(|e| *e != (edge.0, edge.2));
            }
        } else if self.built(edge) {
            self.removed.insert(edge);
        }
    }

    /// Works the changes into the arrays when there are many.
    fn settle(&mut self) {
        if self.added.len() + self.removed.len() < OVERLAY {
            return;
        }
        let edges = (0..number(self.things.len()))
            .flat_map(|from| {
                self.ends(from, false).map(move |(to, kind)| (from, to, kind)).collect::<Vec<_>>()
            })
            .collect();
        self.build(edges);
    }

    /// How many links there are.
    #[cfg(test)]
    fn len(&self) -> usize {
        (0..number(self.things.len())).map(|n| self.ends(n, false).count()).sum()
    }
}

/// A net that is being read from the store.
#[derive(Debug, Default)]
pub(super) struct Reading {
    net: Net,
    edges: Vec<Edge>,
}

impl Reading {
    pub(super) fn take(&mut self, from: &Node, to: &Node, kind: LinkKind) {
        let edge = (self.net.intern(from), self.net.intern(to), code(kind));
        self.edges.push(edge);
    }
    pub(super) fn done(self) -> Net {
        let Self { mut net, edges } = self;
        net.build(edges);
        net
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn node(n: u8) -> Node {
        match n % 4 {
            0 => Node::entry(&format!("e{}", n / 8)),
            1 => Node::item(&format!("e{}", n / 8), &format!("i{}", n % 3)),
            2 => Node::asset(Ledger::Application, &format!("a{}", n / 8)),
            _ => Node::asset(Ledger::Cloud, &format!("c{}", n / 8)),
        }
    }

    /// The same step over a plain list of links.
    fn plainly(links: &[(Node, Node, LinkKind)], of: &Node, back: bool) -> HashSet<(Node, Node)> {
        let hit = |end: &Node| {
            *end == *of
                || (of.item.is_none() && end.base() == *of)
                || (back && of.item.is_some() && *end == of.base())
        };
        links
            .iter()
            .filter_map(|(from, to, _)| {
                let (mine, other) = if back { (to, from) } else { (from, to) };
                hit(mine).then(|| (other.clone(), mine.clone()))
            })
            .collect()
    }

    proptest! {
        /// Whatever is added, removed and merged in whatever order: the net says what a plain list says.
        #[test]
        fn the_net_is_the_list(
            first in proptest::collection::vec((any::<u8>(), any::<u8>(), 0_u8..3), 0..40),
            changes in proptest::collection::vec((0_u8..3, any::<u8>(), any::<u8>(), 0_u8..3), 0..60),
        ) {
            let link = |(a, b, k): (u8, u8, u8)| (node(a), node(b), kind_of(k));
            let mut list: Vec<(Node, Node, LinkKind)> = first.into_iter().map(link).collect();
            // Nothing is linked with itself.
            list.retain(|(from, to, _)| from != to);
            list.sort();
            list.dedup();
            let mut reading = Reading::default();
            for (from, to, kind) in &list {
                reading.take(from, to, *kind);
            }
            let mut net = reading.done();
            for (what, a, b, k) in changes {
                let (from, to, kind) = link((a, b, k));
                if from == to {
                    continue;
                }
                match what {
                    0 => {
                        net.add(&from, &to, kind);
                        if !list.contains(&(from.clone(), to.clone(), kind)) {
                            list.push((from, to, kind));
                        }
                    }
                    1 => {
                        net.remove(&from, &to, kind);
                        list.retain(|l| *l != (from.clone(), to.clone(), kind));
                    }
                    _ if from != to && from.item.is_none() && to.item.is_none() => {
                        net.merge(&from, &to);
                        let moved: Vec<_> = list.iter().filter(|(f, t, _)| *f == from || *t == from).cloned().collect();
                        list.retain(|(f, t, _)| *f != from && *t != from);
                        for (f, t, k) in moved {
                            let new = if f == from { (to.clone(), t, k) } else { (f, to.clone(), k) };
                            if new.0 != new.1 && new.0 != from && new.1 != from && !list.contains(&new) {
                                list.push(new);
                            }
                        }
                    }
                    _ => {}
                }
            }
            prop_assert_eq!(net.len(), list.len());
            for n in 0..=u8::MAX {
                let of = node(n);
                for back in [true, false] {
                    let mut got = HashSet::new();
                    net.step_of(&of, back, |other, via, _| {
                        got.insert((net.node(other).unwrap(), net.node(via).unwrap()));
                    });
                    prop_assert_eq!(&got, &plainly(&list, &of, back), "{:?} back {}", of, back);
                }
            }
        }
    }

    #[test]
    fn many_changes_are_worked_in() {
        let mut net = Net::default();
        for n in 0..60_000 {
            let to = Node::asset(Ledger::Cloud, &n.to_string());
            net.add(&Node::asset(Ledger::Application, "a"), &to, LinkKind::Uses);
        }
        assert_eq!(net.len(), 60_000);
        assert!(net.added.len() < OVERLAY, "{}", net.added.len());
    }
}
