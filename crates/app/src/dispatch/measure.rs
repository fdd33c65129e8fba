//! What the recurring jobs measure: use of compute and storage by holder, calls by region, sizes of the ledgers, entries
//! older than their update cycle, resources that lie idle, the audit chain.
//!
//! These walk whole ledgers, in pages and in the background, so that no page has to.

use std::collections::HashMap;

use chrono::{DateTime, Days, NaiveDate, TimeDelta};
use model::asset::{AssetFilter, Ledger};
use model::code::UpdateCycle;
use model::dispatch::{Holder, HolderKind, Idle, IdleKind};
use model::entry::{Entry, EntryFilter};
use model::op::{civil, day_of, stamp};
use model::{Op, Result, region};
use policy::{Action, Permit, Target};
use serde::{Deserialize, Serialize};
use store::control::StaleEntry;
use store::entry::EntryScope;

use super::calendar::bounds;
use super::rules::rules;
use crate::{App, audit};

/// Rows of one page of a walk.
const PAGE: u32 = 1000;
/// Name under which the day is kept from which calls are rolled up anew.
const CALLED: &str = "control.called";
/// Name under which the last verdict on the chain is kept.
const VERDICT: &str = "audit.verdict";

/// The last verdict on the audit chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Chain {
    pub(crate) at: String,
    pub(crate) intact: bool,
    pub(crate) records: u64,
    pub(crate) fault_zh: String,
    pub(crate) fault_en: String,
}

fn permit(app: &App, op: &Op) -> Result<Permit> {
    app.policy.permit(op, Action::SystemWork, &Target::plain("System", "figures"))
}

/// Sums by holder: what falls on an application falls on its organisation, what falls on an organisation on its regions.
#[derive(Default)]
struct Sums(HashMap<Holder, i64>);

impl Sums {
    fn add(&mut self, kind: HolderKind, id: &str, n: i64) {
        if !id.is_empty() {
            let sum = self.0.entry(Holder::new(kind, id)).or_default();
            *sum = sum.saturating_add(n);
        }
    }
    fn of_org(&mut self, orgs: &HashMap<String, String>, org: &str, n: i64) {
        self.add(HolderKind::Org, org, n);
        let region = orgs.get(org).cloned();
        for code in std::iter::successors(region, |r| region::parent_of(r)) {
            self.add(HolderKind::Region, &code, n);
        }
    }
    fn all(self) -> Vec<(Holder, i64)> {
        self.0.into_iter().collect()
    }
}

/// Region of each organisation.
async fn regions_of(app: &App) -> Result<HashMap<String, String>> {
    Ok(app.store.orgs_list().await?.into_iter().map(|o| (o.id, o.region)).collect())
}

/// Use of compute today and yesterday, calls by region, and how large the ledgers are.
pub async fn figures(app: &App, op: &Op) -> Result<u64> {
    let permit = permit(app, op)?;
    crate::sharing::tell_times(app).await?;
    let orgs = regions_of(app).await?;
    let today = op.today();
    let mut written = 0;
    for day in [today, today - Days::new(1)] {
        let sums = compute_of(app, &orgs, day).await?.all();
        written += sums.len() as u64;
        app.store.usage_set(&permit, "compute", &day.to_string(), &sums).await?;
    }
    // Days that are over and rolled up are not looked at again, but for yesterday: lots may still come back.
    let rolled = app.store.meta_get(CALLED).await?.unwrap_or_default();
    let from = new_year(today).max(rolled);
    for day in app.store.called_days(&from, &today.to_string()).await? {
        let called = app.store.calls_by_region(&day, &day).await?;
        let rows: Vec<(Holder, i64)> = called
            .into_iter()
            .map(|c| {
                let region = if c.word.is_empty() { "-" } else { &c.word };
                (
                    Holder::new(HolderKind::Region, region),
                    i64::try_from(c.count).unwrap_or(i64::MAX),
                )
            })
            .collect();
        app.store.usage_set(&permit, "called", &day, &rows).await?;
    }
    let yesterday = (today - Days::new(1)).to_string();
    app.store.meta_set(&permit, CALLED, &yesterday).await?;
    app.store.ledger_day_put(&permit, &today.to_string()).await?;
    let days = rules(app, op)?.board.job_days;
    let before = op.at - TimeDelta::try_days(days).unwrap_or_default();
    app.store.job_runs_forget(&permit, &stamp(before)).await?;
    Ok(written)
}

fn new_year(day: NaiveDate) -> String {
    format!("{}-01-01", day.format("%Y"))
}

/// Milliseconds of work of a day: collections by the department of their entry, look-ups and work in
/// projects by the calling application.
async fn compute_of(app: &App, orgs: &HashMap<String, String>, day: NaiveDate) -> Result<Sums> {
    let mut sums = Sums::default();
    let (from, to) = bounds(day)?;
    let mut after = String::new();
    loop {
        let page = app.store.runs_started(&from, &to, &after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after.clone_from(&last.run.id);
        for record in &page {
            sums.of_org(orgs, &record.org, run_millis(&record.run));
        }
    }
    for (application, org, micros) in app.store.query_times(&day.to_string()).await? {
        let millis = micros / 1000;
        sums.add(HolderKind::Application, &application, millis);
        sums.of_org(orgs, &org, millis);
    }
    for (application, org, millis) in app.store.project_times(&day.to_string()).await? {
        sums.add(HolderKind::Application, &application, millis);
        sums.of_org(orgs, &org, millis);
    }
    Ok(sums)
}

/// From the start of a run to its end; one that has not ended counts when it has.
fn run_millis(run: &model::parcel::Run) -> i64 {
    let at = |text: &str| DateTime::parse_from_rfc3339(text).ok();
    let ended = run.finished_at.as_deref().and_then(at);
    match (at(&run.started_at), ended) {
        (Some(start), Some(end)) => (end - start).num_milliseconds().max(0),
        _ => 0,
    }
}

/// Entries online whose data are older than their update cycle allows.
pub async fn freshness(app: &App, op: &Op) -> Result<u64> {
    let permit = permit(app, op)?;
    let limits = &rules(app, op)?.freshness;
    let today = op.today();
    let mut filter = EntryFilter { limit: PAGE, ..EntryFilter::default() };
    let mut stale: Vec<StaleEntry> = Vec::new();
    let mut cycles: HashMap<&'static str, (u64, u64)> = HashMap::new();
    loop {
        let page = app.store.entry_list(&filter, &EntryScope::All).await?;
        let Some(last) = page.last() else { break };
        filter.after = Some(last.id.clone());
        for entry in page.iter().filter(|e| e.live()) {
            let cycle = entry.draft.update_cycle.as_str();
            let counts = cycles.entry(cycle).or_default();
            counts.0 += 1;
            let Some(due) = due(entry, limits.get(cycle).copied()) else { continue };
            if due < today {
                counts.1 += 1;
                stale.push(StaleEntry {
                    entry: entry.id.clone(),
                    org: entry.draft.org.clone(),
                    region: entry.draft.region.clone(),
                    code: entry.draft.code.clone(),
                    title: entry.draft.title.clone(),
                    cycle: cycle.to_owned(),
                    data_at: entry.data_at.clone().unwrap_or_default(),
                    due: due.to_string(),
                });
            }
        }
    }
    app.store.stale_put(&permit, &op.stamp(), &stale).await?;
    let mut by_cycle: Vec<(&str, u64, u64)> =
        cycles.into_iter().map(|(c, (all, old))| (c, all, old)).collect();
    by_cycle.sort_by_key(|(c, _, _)| UpdateCycle::ALL.iter().position(|u| u.as_str() == *c));
    let text = serde_json::to_string(&by_cycle)
        .map_err(|e| model::Error::internal("figures of freshness").caused_by(e))?;
    app.store.meta_set(&permit, FRESH, &text).await?;
    Ok(stale.len() as u64)
}

/// Name under which counts by update cycle are kept: `[cycle, entries online, stale]`.
pub(crate) const FRESH: &str = "control.freshness";

/// The day until which an entry's data are fresh, by the rule in force; `None` where none is declared.
pub(crate) fn fresh_until(app: &App, op: &Op, entry: &Entry) -> Result<Option<NaiveDate>> {
    fresh_for(app, op, entry.draft.update_cycle, data_day(entry))
}

/// The same of data of a day, renewed in a cycle.
pub(crate) fn fresh_for(
    app: &App,
    op: &Op,
    cycle: UpdateCycle,
    since: Option<NaiveDate>,
) -> Result<Option<NaiveDate>> {
    let limits = &rules(app, op)?.freshness;
    Ok(until(since, limits.get(cycle.as_str()).copied()))
}

/// The day on which an entry's data came; without data, that of its publication.
pub(crate) fn data_day(entry: &Entry) -> Option<NaiveDate> {
    day_of(entry.data_at.as_deref().or(entry.published_at.as_deref())?)
}

/// The day until which an entry's data are fresh.
fn due(entry: &Entry, days: Option<i64>) -> Option<NaiveDate> {
    until(data_day(entry), days)
}

fn until(since: Option<NaiveDate>, days: Option<i64>) -> Option<NaiveDate> {
    since?.checked_add_signed(TimeDelta::try_days(days?)?)
}

/// Cloud resources, grants and applications that lie idle; storage by holder.
pub async fn resources(app: &App, op: &Op) -> Result<u64> {
    let permit = permit(app, op)?;
    let rules = rules(app, op)?;
    let orgs = regions_of(app).await?;
    let at = op.stamp();
    let gb_bytes = i64::try_from(rules.storage.gb_bytes).unwrap_or(i64::MAX);
    let mut sums = Sums::default();
    let keys = app.store.application_codes().await?;
    let mut low: Vec<Idle> = Vec::new();
    let mut filter =
        AssetFilter { ledger: Some(Ledger::Cloud), limit: PAGE, ..AssetFilter::default() };
    let mut found = 0_u64;
    loop {
        let page = app.store.asset_list(&filter).await?;
        let Some(last) = page.last() else { break };
        filter.after = Some(last.id.clone());
        for asset in &page {
            if !rules.idle.cloud_states.contains(&asset.state) {
                continue;
            }
            let gigabytes: i64 = asset.draft.field("disk_gb").parse().unwrap_or(0);
            let bytes = gigabytes.saturating_mul(gb_bytes);
            sums.of_org(&orgs, &asset.draft.org, bytes);
            if let Some(application) = keys.get(asset.draft.field("application")) {
                sums.add(HolderKind::Application, application, bytes);
            }
            let percent: Option<i64> = asset.draft.field("utilisation").parse().ok();
            if let Some(percent) = percent.filter(|p| *p < rules.idle.utilisation_under) {
                low.push(Idle {
                    kind: IdleKind::Cloud,
                    thing: asset.id.clone(),
                    org: asset.draft.org.clone(),
                    region: asset.draft.region.clone(),
                    title: asset.draft.name.clone(),
                    percent: Some(percent),
                    since: civil(&asset.updated_at, "%Y-%m-%d"),
                });
            }
        }
        if low.len() >= 1000 {
            found += low.len() as u64;
            app.store.idle_cloud_put(&permit, &at, &std::mem::take(&mut low)).await?;
        }
    }
    found += low.len() as u64;
    app.store.idle_cloud_put(&permit, &at, &low).await?;
    let cut = op.today() - Days::new(u64::try_from(rules.idle.call_days).unwrap_or(0));
    app.store.idle_calls_put(&permit, &cut.to_string(), &at).await?;
    for kind in IdleKind::ALL {
        app.store.idle_sweep(&permit, *kind, &at).await?;
    }
    lake_storage(app, &orgs, &mut sums).await?;
    app.store.usage_set(&permit, "storage", &op.today().to_string(), &sums.all()).await?;
    Ok(found)
}

/// Bytes in the lake, by the department of each entry. A table that cannot be read is told to the log and left out.
async fn lake_storage(app: &App, orgs: &HashMap<String, String>, sums: &mut Sums) -> Result<()> {
    let mut after = String::new();
    loop {
        let page = app.store.entries_with_rows(&after, PAGE).await?;
        let Some((last, _, _)) = page.last() else { return Ok(()) };
        after.clone_from(last);
        for (_, code, org) in &page {
            match app.lake.bytes(code).await {
                Ok(bytes) => sums.of_org(orgs, org, i64::try_from(bytes).unwrap_or(i64::MAX)),
                Err(e) => tracing::warn!(
                    entry.code = code,
                    error = e.operator_text(),
                    "the size of a table could not be read"
                ),
            }
        }
    }
}

/// Walks the whole audit chain and keeps the verdict for the alerts.
pub(super) async fn chain(app: &App, op: &Op) -> Result<u64> {
    let permit = permit(app, op)?;
    let verdict = audit::verify(app, op).await?;
    let fault = verdict.fault.as_ref();
    let kept = Chain {
        at: op.stamp(),
        intact: verdict.intact,
        records: verdict.records,
        fault_zh: fault.map_or_else(String::new, |f| f.zh.clone()),
        fault_en: fault.map_or_else(String::new, |f| f.en.clone()),
    };
    let text = serde_json::to_string(&kept)
        .map_err(|e| model::Error::internal("the verdict on the chain").caused_by(e))?;
    app.store.meta_set(&permit, VERDICT, &text).await?;
    Ok(verdict.records)
}

/// The last verdict on the chain; `None` when it was never verified.
pub(crate) async fn chain_verdict(app: &App) -> Result<Option<Chain>> {
    let text = app.store.meta_get(VERDICT).await?;
    Ok(text.and_then(|t| serde_json::from_str(&t).ok()))
}
