//! The ledgers filled to the size of a province with synthetic content: organisations, entries with items, components,
//! applications, cloud resources, and the links between them. The same seed makes the same names.

mod data;
mod things;
mod words;

use app::App;
use app::ledger::Seed;
use model::asset::{LinkKind, Node};
use model::{Op, Result};

use crate::demo::seeded::Seeded;

/// How much of each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) applications: u64,
    pub(crate) entries: u64,
    pub(crate) items: u64,
    pub(crate) components: u64,
    pub(crate) cloud: u64,
    pub(crate) seed: u64,
}

/// Rows written at a time.
const LOT: u64 = 500;

/// What was made.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub(crate) struct Made {
    pub(crate) organisations: u64,
    pub(crate) applications: u64,
    pub(crate) entries: u64,
    pub(crate) items: u64,
    pub(crate) components: u64,
    pub(crate) cloud: u64,
    pub(crate) links: u64,
    /// Documents of the rebuilt search index.
    pub(crate) documents: u64,
    /// Seconds of writing, and of rebuilding the index.
    pub(crate) write_seconds: f64,
    pub(crate) index_seconds: f64,
    /// Most memory this process has held, in megabytes (0 where the system does not tell).
    pub(crate) peak_mb: u64,
}

/// Fills everything; `step` is told of each row written.
pub(crate) async fn fill(app: &App, size: Size, step: impl Fn(u64, &'static str)) -> Result<Made> {
    let started = std::time::Instant::now();
    let orgs = things::orgs(size.seed);
    let op = Op::system(app.now());
    let seed = app::ledger::seed_orgs(app, &op, &orgs).await?;
    let mut made =
        Made { organisations: u64::try_from(orgs.len()).unwrap_or(0), ..Made::default() };
    let mut entries = Vec::new();
    let mut names = data::Names::new(size.seed);
    while made.entries < size.entries {
        let lot = LOT.min(size.entries - made.entries);
        let mut drafts = Vec::new();
        for n in made.entries..made.entries + lot {
            // What is left is spread evenly over what is left.
            let left = size.entries - n;
            let items = (size.items - made.items).div_ceil(left);
            let draft = names.entry(n, items, &orgs);
            made.items += u64::try_from(draft.items.len()).unwrap_or(0);
            drafts.push(draft);
        }
        let op = Op::system(app.now());
        entries.extend(app::ledger::seed_entries(app, &op, &seed, drafts).await?);
        made.entries += lot;
        step(lot, "目录 entries");
    }
    let mut things = things::Things::new(size.seed, orgs);
    let components = assets(app, &seed, size.components, |n| things.component(n), &step).await?;
    made.components = size.components;
    let applications =
        assets(app, &seed, size.applications, |n| things.application(n), &step).await?;
    made.applications = size.applications;
    let codes = size.applications;
    let cloud = assets(app, &seed, size.cloud, |n| things.cloud(n, codes), &step).await?;
    made.cloud = size.cloud;
    made.links =
        links(app, &seed, size.seed, &Ids { entries, components, applications, cloud }).await?;
    made.write_seconds = started.elapsed().as_secs_f64();
    let started = std::time::Instant::now();
    made.documents = app::catalogue::reindex(app).await?;
    made.index_seconds = started.elapsed().as_secs_f64();
    made.peak_mb = peak_mb();
    Ok(made)
}

fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmHWM:"));
    let kb = line.and_then(|l| l.split_whitespace().nth(1)?.parse::<u64>().ok());
    kb.map_or(0, |kb| kb / 1024)
}

async fn assets(
    app: &App,
    seed: &Seed,
    count: u64,
    mut make: impl FnMut(u64) -> (model::asset::AssetDraft, String),
    step: &impl Fn(u64, &'static str),
) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    let mut n = 0;
    while n < count {
        let lot = (LOT * 4).min(count - n);
        let drafts = (n..n + lot).map(&mut make).collect();
        let op = Op::system(app.now());
        ids.extend(app::ledger::seed_assets(app, &op, seed, drafts).await?);
        n += lot;
        step(lot, "资产 assets");
    }
    Ok(ids)
}

struct Ids {
    entries: Vec<String>,
    components: Vec<String>,
    applications: Vec<String>,
    cloud: Vec<String>,
}

/// Applications use data and components; each cloud resource serves the application its field names; some entries are
/// produced by an application.
async fn links(app: &App, seed: &Seed, number: u64, ids: &Ids) -> Result<u64> {
    use model::asset::Ledger::{Application, Cloud, Component};
    let mut chance = Seeded::of(number, "links");
    let mut all = Vec::new();
    let mut made = 0;
    let pick = |chance: &mut Seeded, list: &[String]| -> Option<String> {
        let at = usize::try_from(chance.below(u64::try_from(list.len()).unwrap_or(0))).ok()?;
        list.get(at).cloned()
    };
    for application in &ids.applications {
        let from = Node::asset(Application, application);
        for _ in 0..chance.between(1, 12) {
            if let Some(entry) = pick(&mut chance, &ids.entries) {
                all.push((from.clone(), Node::entry(&entry), LinkKind::Uses));
            }
        }
        for _ in 0..chance.between(0, 4) {
            if let Some(component) = pick(&mut chance, &ids.components) {
                all.push((from.clone(), Node::asset(Component, &component), LinkKind::Uses));
            }
        }
        if chance.chance(30)
            && let Some(entry) = pick(&mut chance, &ids.entries)
        {
            all.push((Node::entry(&entry), from.clone(), LinkKind::ProducedBy));
        }
    }
    for (n, cloud) in (0_u64..).zip(&ids.cloud) {
        let at = things::application_of(n, u64::try_from(ids.applications.len()).unwrap_or(0));
        if let Some(application) = usize::try_from(at).ok().and_then(|at| ids.applications.get(at))
        {
            let from = Node::asset(Application, application);
            all.push((from, Node::asset(Cloud, cloud), LinkKind::Uses));
        }
    }
    for lot in all.chunks(6000) {
        let op = Op::system(app.now());
        made += app::ledger::seed_links(app, &op, seed, lot).await?;
    }
    Ok(made)
}
