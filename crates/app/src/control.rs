//! Control (一张网管控): the state of the house in figures, each of which leads to the rows behind it, and the alerts that
//! the rules make of them.
//!
//! The board is the same for all who may see it; it is put together anew after some seconds, from counters, from indexes
//! and from what the recurring jobs have measured, never by a walk over a ledger.

use std::sync::Arc;

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use model::dispatch::Resource;
use model::op::stamp;
use model::region::RegionLevel;
use model::source::DataSource;
use model::{Op, Result};
use policy::{Action, Target};
use serde::Serialize;
use store::control::{Called, Caller, Count, Failing, StaleEntry};
use store::dispatch::OrgScope;

use crate::dispatch::{self, JobStanding, Used};
use crate::{App, Page, audit, usage};

/// Failing sources shown.
const SOURCES: u32 = 200;
/// Days on which sizes were written down that are looked at.
const DAYS_KNOWN: u32 = 100;

/// The last board.
#[derive(Debug, Default)]
pub struct Memory(parking_lot::Mutex<Option<(DateTime<Utc>, Arc<Board>)>>);

impl Memory {
    /// The next look puts the board together anew.
    pub fn forget(&self) {
        *self.0.lock() = None;
    }
}

/// The figures.
#[derive(Clone, Debug, Serialize)]
pub struct Board {
    /// When they were put together.
    pub at: String,
    /// Sizes of the ledgers, and of the data items (`item`), as last measured.
    pub ledgers: Vec<Count>,
    pub growth: Vec<Growth>,
    pub approvals: Vec<Count>,
    /// Running approvals past their day.
    pub late: u64,
    pub requests: Vec<Count>,
    pub runs: Vec<Count>,
    pub run_days: Vec<RunDay>,
    pub calls_today: u64,
    pub calls_year: u64,
    /// Calls of this year by the meter: answered, and refused.
    pub answered_year: u64,
    pub refused_year: u64,
    /// Calls of this year by region of the caller, with today's.
    pub regions: Vec<RegionCalls>,
    /// The same by level of the region.
    pub levels: Vec<LevelCalls>,
    /// Interfaces called most today.
    pub top: Vec<Called>,
    /// Entries whose collections failed lately.
    pub failing: Vec<Failing>,
    pub failed: u64,
    pub failed_since: String,
    /// Data sources whose last trial failed.
    pub sources: u64,
    /// `(update cycle, entries online, stale)`, as last measured.
    pub fresh: Vec<(String, u64, u64)>,
    pub stale: u64,
    /// Idle things by kind.
    pub idle: Vec<Count>,
    /// Quotas near their limit.
    pub near: Vec<Used>,
    pub alerts: Vec<Alert>,
    pub wall_seconds: u64,
}

/// How large the ledgers were on a day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Growth {
    pub day: String,
    pub application: Option<u64>,
    pub data: Option<u64>,
    pub component: Option<u64>,
    pub cloud: Option<u64>,
}

/// Collections of a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunDay {
    pub day: String,
    pub succeeded: u64,
    pub failed: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RegionCalls {
    pub region: String,
    /// `None` when the region is not known.
    pub level: Option<RegionLevel>,
    pub today: u64,
    pub year: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LevelCalls {
    pub level: Option<RegionLevel>,
    pub today: u64,
    pub year: u64,
}

/// Something somebody should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alert {
    /// `bad` or `wait`
    pub level: &'static str,
    /// Word of the rule.
    pub word: &'static str,
    pub zh: String,
    pub en: String,
    /// Where the rows are.
    pub href: String,
}

async fn permit(app: &App, op: &Op) -> Result<()> {
    let target = Target::plain("System", "control");
    audit::permit(app, op, Action::ControlRead, &target).await.map(|_| ())
}

/// The board, for those who watch over the house.
pub async fn board(app: &App, op: &Op) -> Result<Arc<Board>> {
    permit(app, op).await?;
    let keep = TimeDelta::seconds(dispatch::rules(app, op)?.board.keep_seconds);
    if let Some((at, board)) = &*app.boards.0.lock()
        && op.at - *at < keep
        && *at <= op.at
    {
        return Ok(Arc::clone(board));
    }
    let board = Arc::new(put_together(app, op).await?);
    *app.boards.0.lock() = Some((op.at, Arc::clone(&board)));
    Ok(board)
}

async fn put_together(app: &App, op: &Op) -> Result<Board> {
    let rules = dispatch::rules(app, op)?;
    if app.store.ledger_days(1).await?.is_empty() {
        // Nothing was measured yet in this house.
        dispatch::figures(app, &Op::system(op.at)).await?;
    }
    let today = op.today();
    let day = today.to_string();
    let (regions, levels) = calls(app, op).await?;
    let (answered_year, refused_year) = usage::this_year(app, op).await?;
    let failed_since = stamp(op.at - TimeDelta::hours(rules.alert.failed_hours));
    let first = today - Days::new(rules.board.days.saturating_sub(1));
    let growth = growth(app.store.ledger_days(DAYS_KNOWN).await?, first, today);
    let until = today - Days::new(u64::try_from(rules.idle.days).unwrap_or(0));
    let idle = app.store.idle_counts(&until.to_string(), &day).await?;
    let mut board = Board {
        at: op.stamp(),
        ledgers: sizes(app).await?,
        growth,
        approvals: app.store.count_approvals().await?,
        late: app.store.count_late(&day).await?,
        requests: app.store.count_requests().await?,
        runs: app.store.count_runs().await?,
        run_days: run_days(app, op, rules.board.days).await?,
        calls_today: regions.iter().map(|c| c.today).sum(),
        calls_year: regions.iter().map(|c| c.year).sum(),
        answered_year,
        refused_year,
        regions,
        levels,
        top: app.store.calls_by_entry(&day).await?,
        failing: app.store.failing_entries(&failed_since, rules.board.most).await?,
        failed: app.store.count_failed(&failed_since).await?,
        failed_since,
        sources: app.store.failing_sources(SOURCES).await?.len() as u64,
        fresh: fresh(app).await?,
        stale: app.store.count_stale().await?,
        idle: idle.into_iter().map(|(word, count)| Count { word, count }).collect(),
        near: near(app, op).await?,
        alerts: Vec::new(),
        wall_seconds: rules.board.wall_seconds,
    };
    board.alerts = alerts(app, op, &board).await?;
    Ok(board)
}

/// Sizes as last measured.
async fn sizes(app: &App) -> Result<Vec<Count>> {
    let last = app.store.ledger_days(1).await?;
    let mut found: Vec<Count> =
        last.into_iter().map(|(_, word, count)| Count { word, count }).collect();
    let order = ["application", "data", "item", "component", "cloud"];
    found.sort_by_key(|c| order.iter().position(|o| *o == c.word));
    Ok(found)
}

/// Every day from the first to today, as far as anything is known. A ledger that was not written down on a day was as
/// large as before.
fn growth(rows: Vec<(String, String, u64)>, first: NaiveDate, today: NaiveDate) -> Vec<Growth> {
    let mut rows = rows.into_iter().peekable();
    let mut now = Growth::default();
    let mut days = Vec::new();
    for day in first.iter_days().take_while(|d| *d <= today) {
        let text = day.to_string();
        while let Some((_, ledger, total)) = rows.next_if(|(d, _, _)| *d <= text) {
            match ledger.as_str() {
                "application" => now.application = Some(total),
                "data" => now.data = Some(total),
                "component" => now.component = Some(total),
                "cloud" => now.cloud = Some(total),
                _ => {}
            }
        }
        let known = now.application.or(now.data).or(now.component).or(now.cloud);
        if known.is_some() {
            days.push(Growth { day: text, ..now.clone() });
        }
    }
    days
}

/// Calls of today from the meters, of the days before from what was rolled up.
async fn calls(app: &App, op: &Op) -> Result<(Vec<RegionCalls>, Vec<LevelCalls>)> {
    let day = op.today().to_string();
    let new_year = format!("{}-01-01", op.today().format("%Y"));
    let now = app.store.calls_by_region(&day, &day).await?;
    let before = app.store.called_by_region(&new_year, &day).await?;
    let mut regions: Vec<RegionCalls> = Vec::new();
    for (counts, of_today) in [(&before, false), (&now, true)] {
        for count in counts {
            let region = if count.word == "-" { "" } else { &count.word };
            if !regions.iter().any(|r| r.region == region) {
                regions.push(RegionCalls {
                    region: region.to_owned(),
                    level: model::region::level_of(region).ok(),
                    today: 0,
                    year: 0,
                });
            }
            if let Some(found) = regions.iter_mut().find(|r| r.region == region) {
                found.year += count.count;
                found.today += if of_today { count.count } else { 0 };
            }
        }
    }
    regions.retain(|r| r.year > 0);
    regions.sort_by(|a, b| (b.year, &a.region).cmp(&(a.year, &b.region)));
    let mut levels: Vec<LevelCalls> = Vec::new();
    for r in &regions {
        match levels.iter_mut().find(|l| l.level == r.level) {
            Some(level) => {
                level.today += r.today;
                level.year += r.year;
            }
            None => levels.push(LevelCalls { level: r.level, today: r.today, year: r.year }),
        }
    }
    levels.sort_by_key(|l| l.level);
    Ok((regions, levels))
}

/// Collections of the last days, oldest first.
async fn run_days(app: &App, op: &Op, days: u64) -> Result<Vec<RunDay>> {
    let first = op.today() - Days::new(days.saturating_sub(1));
    let mut found: Vec<RunDay> = first
        .iter_days()
        .take(usize::try_from(days).unwrap_or(30))
        .map(|d| RunDay { day: d.to_string(), succeeded: 0, failed: 0 })
        .collect();
    let (from, _) = dispatch::day_bounds(first)?;
    let to = stamp(op.at + TimeDelta::days(1));
    for count in app.store.runs_by_hour(OrgScope::All, &from, &to).await? {
        let day = dispatch::day_of_hour(&count.hour).map(|day| day.to_string());
        if let Some(found) = found.iter_mut().find(|d| Some(&d.day) == day.as_ref()) {
            match count.state.as_str() {
                "failed" => found.failed += count.count,
                "succeeded" | "unchanged" => found.succeeded += count.count,
                _ => {}
            }
        }
    }
    Ok(found)
}

async fn fresh(app: &App) -> Result<Vec<(String, u64, u64)>> {
    let text = app.store.meta_get(dispatch::FRESH).await?;
    Ok(text.and_then(|t| serde_json::from_str(&t).ok()).unwrap_or_default())
}

/// Quotas near their limit, the fullest first.
async fn near(app: &App, op: &Op) -> Result<Vec<Used>> {
    let rules = dispatch::rules(app, op)?;
    let day = op.today().to_string();
    let mut found = Vec::new();
    for resource in Resource::ALL.iter().copied() {
        let unit = dispatch::unit(app, op, resource)?;
        let rows = app
            .store
            .quota_near(resource, &day, unit, rules.quota.near_percent, rules.board.most)
            .await?;
        for row in rows {
            let known = dispatch::known(app, &row.holder).await;
            let (name, org) = known.map_or_else(|_| Default::default(), |k| (k.name, k.org));
            found.push(dispatch::used(app, op, resource, &row, name, org)?);
        }
    }
    found.sort_by_key(|u| std::cmp::Reverse(u.percent));
    Ok(found)
}

/// What the rules make of the figures.
async fn alerts(app: &App, op: &Op, board: &Board) -> Result<Vec<Alert>> {
    let rules = dispatch::rules(app, op)?;
    let limits = &rules.alert;
    let mut found = Vec::new();
    let mut tell = |level, word, zh: String, en: String, href: &str| {
        found.push(Alert { level, word, zh, en, href: href.to_owned() });
    };
    chain(app, op, limits.chain_days, &mut tell).await?;
    if board.late >= limits.approvals_late.max(1) {
        let n = board.late;
        tell(
            "bad",
            "approvals_late",
            format!("{n} 件审批已超时"),
            format!("{n} approvals are late"),
            "/console/approvals?view=late",
        );
    }
    if board.failed >= limits.failed_runs.max(1) {
        let (n, hours) = (board.failed, limits.failed_hours);
        tell(
            "bad",
            "failed_runs",
            format!("近 {hours} 小时有 {n} 次归集失败"),
            format!("{n} collections failed within {hours} hours"),
            "/console/runs?state=failed",
        );
    }
    if board.sources > 0 {
        let n = board.sources;
        tell(
            "bad",
            "sources",
            format!("{n} 个数据源连接失败"),
            format!("{n} data sources cannot be reached"),
            "/console/control/sources",
        );
    }
    for used in &board.near {
        let percent = used.percent.unwrap_or(0);
        let what = used.resource;
        tell(
            if percent >= 100 { "bad" } else { "wait" },
            "quota",
            format!("{}“{}”的{}已用 {percent}%", used.holder.kind.zh(), used.name, what.zh()),
            format!("{} of {} “{}”: {percent}% used", what.en(), used.holder.kind.en(), used.name),
            &format!("/console/dispatch/{}/{}", used.holder.kind, used.holder.id),
        );
    }
    for job in dispatch::standing(app, op).await? {
        let (zh, en) = match job.standing {
            JobStanding::Failed => ("失败", "failed"),
            JobStanding::Late => ("未按时执行", "is late"),
            _ => continue,
        };
        tell(
            "bad",
            "job",
            format!("平台任务“{}”{zh}", job.zh),
            format!("the job “{}” {en}", job.en),
            &format!("/console/dispatch/jobs/{}", job.job),
        );
    }
    if board.stale >= limits.stale_entries.max(1) {
        let n = board.stale;
        tell(
            "wait",
            "stale_entries",
            format!("{n} 个目录未按更新周期更新"),
            format!("{n} entries are older than their update cycle"),
            "/console/control/stale",
        );
    }
    let late = app.store.reclaims_late(&op.today().to_string()).await?;
    if late >= limits.reclaims_late.max(1) {
        tell(
            "wait",
            "reclaims_late",
            format!("{late} 件回收提议逾期未答复"),
            format!("{late} proposals to reclaim were not answered in time"),
            "/console/dispatch/reclaims?state=proposed",
        );
    }
    Ok(found)
}

async fn chain(
    app: &App,
    op: &Op,
    days: i64,
    tell: &mut impl FnMut(&'static str, &'static str, String, String, &str),
) -> Result<()> {
    let href = "/console/dispatch/jobs/chain";
    let Some(chain) = dispatch::chain_verdict(app).await? else {
        tell(
            "wait",
            "chain",
            "审计链尚未核验过".into(),
            "the audit chain was never verified".into(),
            href,
        );
        return Ok(());
    };
    let old = DateTime::parse_from_rfc3339(&chain.at)
        .is_ok_and(|at| op.at - at.with_timezone(&Utc) > TimeDelta::days(days));
    if !chain.intact {
        tell(
            "bad",
            "chain",
            format!("审计链有问题：{}", chain.fault_zh),
            format!("the audit chain is broken: {}", chain.fault_en),
            href,
        );
    } else if old {
        tell(
            "wait",
            "chain",
            format!("审计链已超过 {days} 天未核验"),
            format!("the audit chain was not verified for {days} days"),
            href,
        );
    }
    Ok(())
}

/// A page of the applications behind a number of calls: of today or of the year, of one region when given.
pub async fn callers(
    app: &App,
    op: &Op,
    year: bool,
    region: Option<&str>,
    after: Option<&str>,
    limit: u32,
) -> Result<Page<Caller>> {
    permit(app, op).await?;
    let today = op.today();
    let from = if year { format!("{}-01-01", today.format("%Y")) } else { today.to_string() };
    let limit = if limit == 0 { 50 } else { limit.min(500) };
    let region = region.map(|r| if r == "-" { "" } else { r });
    let items = app
        .store
        .callers(&from, &today.to_string(), region, after.unwrap_or_default(), limit + 1)
        .await?;
    Ok(Page::cut(items, limit, |c| c.application.clone()))
}

/// A page of entries older than their update cycle.
pub async fn stale(
    app: &App,
    op: &Op,
    cycle: Option<&str>,
    org: Option<&str>,
    after: Option<&str>,
    limit: u32,
) -> Result<Page<StaleEntry>> {
    permit(app, op).await?;
    let limit = if limit == 0 { 50 } else { limit.min(500) };
    let items = app.store.stale_list(cycle, org, after, limit + 1).await?;
    Ok(Page::cut(items, limit, |s| format!("{} {}", s.due, s.entry)))
}

/// Data sources whose last trial failed.
pub async fn failing_sources(app: &App, op: &Op) -> Result<Vec<DataSource>> {
    permit(app, op).await?;
    app.store.failing_sources(SOURCES).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_is_as_large_as_it_was_until_it_is_measured_again() {
        let row = |day: &str, ledger: &str, n| (day.to_owned(), ledger.to_owned(), n);
        let rows = vec![
            row("2026-01-01", "cloud", 3),
            row("2026-03-02", "data", 5),
            row("2026-03-04", "data", 9),
            row("2026-03-04", "cloud", 2),
        ];
        let day = |d: &str| d.parse().unwrap();
        let got = growth(rows.clone(), day("2026-03-01"), day("2026-03-04"));
        let told: Vec<_> = got.iter().map(|g| (g.day.as_str(), g.data, g.cloud)).collect();
        assert_eq!(
            told,
            [
                ("2026-03-01", None, Some(3)),
                ("2026-03-02", Some(5), Some(3)),
                ("2026-03-03", Some(5), Some(3)),
                ("2026-03-04", Some(9), Some(2)),
            ]
        );
        assert!(growth(rows, day("2025-12-01"), day("2025-12-31")).is_empty());
    }
}
