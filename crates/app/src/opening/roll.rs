//! The roll of what is open (开放名册): a line for every open set, kept in memory, with the sums that the site tells of them.
//!
//! Every change of the ledger has a number, and an entry bears that of its last one (`store::Store::open_moves`). Whoever asks looks up
//! the number of now; where the roll is behind, the entries that moved since are read and no others, so that what follows a change does
//! not cost more where more is open. The number is read from the store at each asking: what was withdrawn is gone from the roll of every
//! process when its withdrawal is answered, and what was published is there.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use model::code::Domain;
use model::org::Org;
use model::{Op, Result};
use store::Store;
use store::openness::{OpenHead, OpenMove};

use super::{Figures, organisations};
use crate::App;

/// Moves read at once.
const PAGE: u32 = 1000;
/// So many moves are put in order one by one; more of them all together.
const FEW: usize = 256;

/// Names and counts of all that is open, as of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Every data set, in order of code (by its bytes, whatever the store).
    pub sets: Vec<Arc<OpenSet>>,
    /// How many open sets organisations have, by id.
    pub orgs: BTreeMap<String, u64>,
    pub domains: BTreeMap<Domain, u64>,
    pub tags: BTreeMap<String, u64>,
    /// By the first four digits of the region.
    cities: BTreeMap<String, Sums>,
}

/// An open set on the roll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenSet {
    pub code: String,
    pub id: String,
    head: OpenHead,
}

/// Sums over the sets of a city.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Sums {
    datasets: u64,
    interfaces: u64,
    items: u64,
    rows: u64,
    orgs: BTreeMap<String, u64>,
}

/// Names and counts of all that is open now.
pub async fn listing(app: &App, _op: &Op) -> Result<Arc<Listing>> {
    app.shares.roll.now(&app.store).await
}

/// Organisations that have open sets, with their number, in order of id.
pub async fn open_organisations(app: &App, op: &Op) -> Result<Vec<(Org, u64)>> {
    let listing = listing(app, op).await?;
    let all = organisations(app, op).await?;
    let open = all.iter().filter_map(|o| Some((o.clone(), *listing.orgs.get(&o.id)?)));
    Ok(open.collect())
}

impl Listing {
    /// The set of a code, where it is open.
    #[must_use]
    pub fn get(&self, code: &str) -> Option<&Arc<OpenSet>> {
        self.sets.get(self.place(code).ok()?)
    }

    /// Figures of all of it.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let sum = |of: fn(&Sums) -> u64| self.cities.values().map(of).fold(0, u64::saturating_add);
        Figures {
            datasets: self.sets.len() as u64,
            interfaces: sum(|c| c.interfaces),
            items: sum(|c| c.items),
            rows: sum(|c| c.rows),
            organisations: self.orgs.len() as u64,
        }
    }

    /// Figures by city: the first four digits of the region (`3300` is the province's own).
    pub(super) fn cities(&self) -> BTreeMap<String, Figures> {
        self.cities.iter().map(|(city, sums)| (city.clone(), sums.figures())).collect()
    }

    /// Where a code stands, or would stand.
    fn place(&self, code: &str) -> std::result::Result<usize, usize> {
        self.sets.binary_search_by(|set| set.code.as_str().cmp(code))
    }

    /// Follows what moved. Of an entry that moved more than once the last counts.
    fn follow(&mut self, moves: Vec<OpenMove>) {
        let moves: BTreeMap<String, Option<Arc<OpenSet>>> = moves
            .into_iter()
            .map(|OpenMove { id, code, open, .. }| {
                let set = open.map(|head| Arc::new(OpenSet { code: code.clone(), id, head }));
                (code, set)
            })
            .collect();
        for (code, now) in &moves {
            if let Some(was) = self.get(code).cloned() {
                self.count(&was.head, false);
            }
            if let Some(now) = now {
                self.count(&now.head, true);
            }
        }
        if moves.len() > FEW {
            self.sets.retain(|set| !moves.contains_key(&set.code));
            self.sets.extend(moves.into_values().flatten());
            self.sets.sort_by(|a, b| a.code.cmp(&b.code));
            return;
        }
        for (code, now) in moves {
            match (self.place(&code), now) {
                (Ok(at), Some(now)) => {
                    if let Some(set) = self.sets.get_mut(at) {
                        *set = now;
                    }
                }
                (Ok(at), None) => {
                    self.sets.remove(at);
                }
                (Err(at), Some(now)) => self.sets.insert(at, now),
                (Err(_), None) => {}
            }
        }
    }

    /// Counts a set that comes, or goes.
    fn count(&mut self, head: &OpenHead, comes: bool) {
        step(&mut self.orgs, &head.org, comes);
        step(&mut self.domains, &head.domain, comes);
        for tag in &head.tags {
            step(&mut self.tags, tag, comes);
        }
        let city = head.region.get(..4).unwrap_or(&head.region);
        let sums = self.cities.entry(city.to_owned()).or_default();
        shift(&mut sums.datasets, 1, comes);
        shift(&mut sums.interfaces, u64::from(head.free), comes);
        shift(&mut sums.items, head.items, comes);
        shift(&mut sums.rows, head.rows, comes);
        step(&mut sums.orgs, &head.org, comes);
        if sums.datasets == 0 {
            self.cities.remove(city);
        }
    }
}

impl Sums {
    fn figures(&self) -> Figures {
        Figures {
            datasets: self.datasets,
            interfaces: self.interfaces,
            items: self.items,
            rows: self.rows,
            organisations: self.orgs.len() as u64,
        }
    }
}

/// One more under a key, or one less; a key without any is forgotten.
fn step<K: Clone + Ord>(counts: &mut BTreeMap<K, u64>, key: &K, comes: bool) {
    match counts.get_mut(key) {
        Some(count) => {
            shift(count, 1, comes);
            if *count == 0 {
                counts.remove(key);
            }
        }
        None if comes => {
            counts.insert(key.clone(), 1);
        }
        None => {}
    }
}

fn shift(sum: &mut u64, by: u64, comes: bool) {
    *sum = if comes { sum.saturating_add(by) } else { sum.saturating_sub(by) };
}

/// Where the roll is read from.
#[async_trait]
trait Moved: Send + Sync {
    /// The number of the ledger's last change.
    async fn number(&self) -> Result<i64>;
    /// See `Store::open_moves`.
    async fn moves(&self, number: i64, id: &str) -> Result<Vec<OpenMove>>;
}

#[async_trait]
impl Moved for Store {
    async fn number(&self) -> Result<i64> {
        self.ledger_epoch().await
    }

    async fn moves(&self, number: i64, id: &str) -> Result<Vec<OpenMove>> {
        self.open_moves((number, id), PAGE).await
    }
}

/// The roll as this process has it.
#[derive(Debug, Default)]
pub(crate) struct Roll {
    kept: parking_lot::Mutex<Kept>,
    /// One reading at a time.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Kept {
    /// Number of the change up to which the roll holds all; below any before it was read.
    level: i64,
    listing: Arc<Listing>,
}

impl Default for Kept {
    fn default() -> Self {
        Self { level: -1, listing: Arc::default() }
    }
}

impl Roll {
    /// The roll, level with the ledger of now.
    async fn now(&self, ledger: &impl Moved) -> Result<Arc<Listing>> {
        let number = ledger.number().await?;
        if let Some(listing) = self.level_with(number) {
            return Ok(listing);
        }
        let _turn = self.turn.lock().await;
        // Who waited finds it read.
        if let Some(listing) = self.level_with(number) {
            return Ok(listing);
        }
        // Read before the moves are: what changes meanwhile has a greater number, and is read again by the next who asks.
        let number = ledger.number().await?;
        let level = self.kept.lock().level;
        let mut after = (level.saturating_add(1), String::new());
        let mut moves = Vec::new();
        loop {
            let page = ledger.moves(after.0, &after.1).await?;
            let Some(last) = page.last() else { break };
            after = (last.moved, last.id.clone());
            let more = u32::try_from(page.len()).is_ok_and(|n| n >= PAGE);
            // On an empty roll only what is open is of interest.
            moves.extend(page.into_iter().filter(|m| level >= 0 || m.open.is_some()));
            if !more {
                break;
            }
        }
        Ok(self.put(number, moves))
    }

    fn level_with(&self, number: i64) -> Option<Arc<Listing>> {
        let kept = self.kept.lock();
        (kept.level >= number).then(|| Arc::clone(&kept.listing))
    }

    fn put(&self, level: i64, moves: Vec<OpenMove>) -> Arc<Listing> {
        if moves.len() > FEW {
            // Put in order beside what is told meanwhile.
            let mut listing = Listing::clone(&self.kept.lock().listing);
            listing.follow(moves);
            let listing = Arc::new(listing);
            *self.kept.lock() = Kept { level, listing: Arc::clone(&listing) };
            return listing;
        }
        let mut kept = self.kept.lock();
        if !moves.is_empty() {
            // Whoever still holds the roll of before keeps it as it was.
            Arc::make_mut(&mut kept.listing).follow(moves);
        }
        kept.level = level;
        Arc::clone(&kept.listing)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

    use super::*;

    /// A ledger in memory that yields to others while it is read.
    #[derive(Default)]
    struct Ledger {
        number: AtomicI64,
        moves: parking_lot::Mutex<Vec<OpenMove>>,
        readings: AtomicUsize,
    }

    impl Ledger {
        fn change(&self, code: &str, open: Option<OpenHead>) {
            let moved = self.number.fetch_add(1, Ordering::SeqCst) + 1;
            let mut moves = self.moves.lock();
            moves.retain(|m| m.code != code);
            let id = format!("id-{code}");
            moves.push(OpenMove { id, code: code.to_owned(), moved, open });
        }

        /// What is open, counted anew.
        fn counted(&self) -> Listing {
            let mut listing = Listing::default();
            let mut open = self.moves.lock().clone();
            open.retain(|m| m.open.is_some());
            open.sort_by(|a, b| a.code.cmp(&b.code));
            for OpenMove { id, code, open, .. } in open {
                let head = open.unwrap();
                *listing.orgs.entry(head.org.clone()).or_default() += 1;
                *listing.domains.entry(head.domain).or_default() += 1;
                for tag in &head.tags {
                    *listing.tags.entry(tag.clone()).or_default() += 1;
                }
                let sums =
                    listing.cities.entry(head.region.get(..4).unwrap().to_owned()).or_default();
                sums.datasets += 1;
                sums.interfaces += u64::from(head.free);
                sums.items += head.items;
                sums.rows += head.rows;
                *sums.orgs.entry(head.org.clone()).or_default() += 1;
                listing.sets.push(Arc::new(OpenSet { code, id, head }));
            }
            listing
        }
    }

    #[async_trait]
    impl Moved for Ledger {
        async fn number(&self) -> Result<i64> {
            Ok(self.number.load(Ordering::SeqCst))
        }

        async fn moves(&self, number: i64, id: &str) -> Result<Vec<OpenMove>> {
            if id.is_empty() {
                self.readings.fetch_add(1, Ordering::SeqCst);
            }
            tokio::task::yield_now().await;
            let mut found = self.moves.lock().clone();
            found.retain(|m| (m.moved, m.id.as_str()) > (number, id));
            found.sort_by(|a, b| (a.moved, &a.id).cmp(&(b.moved, &b.id)));
            found.truncate(PAGE as usize);
            Ok(found)
        }
    }

    fn head(n: u64) -> OpenHead {
        OpenHead {
            org: format!("org-{}", n % 7),
            region: ["330000", "330100", "330106", "330200"][(n % 4) as usize].to_owned(),
            domain: Domain::ALL[(n % 3) as usize],
            free: !n.is_multiple_of(2),
            tags: (0..n % 3).map(|t| format!("tag-{}", (n + t) % 5)).collect(),
            items: n % 11,
            rows: n * 10,
        }
    }

    #[tokio::test]
    async fn the_roll_that_follows_is_the_one_that_is_counted_anew() {
        let (ledger, roll) = (Ledger::default(), Roll::default());
        assert_eq!(*roll.now(&ledger).await.unwrap(), Listing::default());
        // More than are put in order one by one, and more than are read at once; then a few at a time.
        for n in 0..2500 {
            ledger.change(&format!("set_{:04}", n * 37 % 2500), Some(head(n)));
        }
        assert_eq!(*roll.now(&ledger).await.unwrap(), ledger.counted());
        for n in 0..400_u64 {
            let code = format!("set_{:04}", n * 61 % 2600);
            ledger.change(&code, (n % 3 > 0).then(|| head(n + 5)));
            if n % 10 > 8 {
                assert_eq!(*roll.now(&ledger).await.unwrap(), ledger.counted(), "{n}");
            }
        }
        // What comes and goes at once as many do.
        let told = roll.now(&ledger).await.unwrap();
        for n in 0..2500 {
            ledger.change(&format!("set_{n:04}"), None);
        }
        let now = roll.now(&ledger).await.unwrap();
        assert_eq!(*now, ledger.counted());
        assert!(now.get("set_0001").is_none() && now.sets.len() < told.sets.len());
        assert_eq!(now.figures().datasets, now.sets.len() as u64);
    }

    /// Twenty ask at the same time.
    async fn all(ledger: &Ledger, roll: &Roll) -> Vec<Result<Arc<Listing>>> {
        futures::future::join_all((0..20).map(|_| roll.now(ledger))).await
    }

    #[tokio::test]
    async fn a_change_is_read_once_whoever_asks_at_the_same_time() {
        let (ledger, roll) = (Ledger::default(), Roll::default());
        for n in 0..300 {
            ledger.change(&format!("set_{n:04}"), Some(head(n)));
        }
        for listing in all(&ledger, &roll).await {
            assert_eq!(listing.unwrap().sets.len(), 300);
        }
        assert_eq!(ledger.readings.load(Ordering::SeqCst), 1);
        ledger.change("set_0000", None);
        for listing in all(&ledger, &roll).await {
            assert!(listing.unwrap().get("set_0000").is_none());
        }
        assert_eq!(ledger.readings.load(Ordering::SeqCst), 2);
    }
}
