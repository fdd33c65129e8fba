//! The calendar of a month: what ran (collections and queries, by outcome), what ends or is due (grants, approvals), and
//! when the recurring jobs come next. Counts by index; a day leads to its rows.

use chrono::{Datelike, Days, Months, NaiveDate, Utc};
use model::op::{china, day_of, stamp};
use model::request::Request;
use model::{Error, Op, Result};
use policy::{Action, Target};
use serde::Serialize;
use store::dispatch::OrgScope;

use super::job::{JobSeen, standing};
use crate::{App, Page, audit};

/// A month.
#[derive(Clone, Debug, Serialize)]
pub struct Month {
    /// `2026-03`
    pub month: String,
    pub before: String,
    pub after: String,
    /// Whole weeks from Monday on; days of other months are there to fill them.
    pub weeks: Vec<Vec<Day>>,
    /// The recurring jobs, for those who may see them.
    pub jobs: Vec<JobSeen>,
}

/// A day with what happened on it or will.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Day {
    pub day: NaiveDate,
    pub within: bool,
    pub today: bool,
    /// Collections by how they stand.
    pub succeeded: u64,
    pub failed: u64,
    pub running: u64,
    /// Grants that end.
    pub ends: u64,
    /// Running approvals that are due.
    pub dues: u64,
}

/// The calendar of a month (`2026-03`, or the present one). Departments see their own collections and grants.
pub async fn month(app: &App, op: &Op, month: Option<&str>) -> Result<Month> {
    let platform = Target::plain("System", "jobs");
    let all = app.policy.decide(op, Action::JobRead, &platform).allowed;
    let own = op.actor.org().unwrap_or_default().to_owned();
    if !all {
        let mine = Target::of_org("Quota", "calendar", &own);
        audit::permit(app, op, Action::DispatchRead, &mine).await?;
    }
    let scope = if all { OrgScope::All } else { OrgScope::Of(&own) };
    let first = match month {
        Some(text) => parse(text)?,
        None => op.today().with_day(1).unwrap_or(op.today()),
    };
    let start = first - Days::new(u64::from(first.weekday().num_days_from_monday()));
    let last = first + Months::new(1);
    let open = last.weekday().num_days_from_monday();
    let end = if open == 0 { last } else { last + Days::new(u64::from(7 - open)) };
    let (from, to) = (midnight(start)?, midnight(end)?);
    let mut days: Vec<Day> = start
        .iter_days()
        .take_while(|d| *d < end)
        .map(|day| Day {
            day,
            within: day >= first && day < last,
            today: day == op.today(),
            succeeded: 0,
            failed: 0,
            running: 0,
            ends: 0,
            dues: 0,
        })
        .collect();
    let mut at = |day: NaiveDate, put: &dyn Fn(&mut Day)| {
        if let Some(found) = days.iter_mut().find(|d| d.day == day) {
            put(found);
        }
    };
    for count in app.store.runs_by_hour(scope, &from, &to).await? {
        let Some(day) = day_of_hour(&count.hour) else { continue };
        at(day, &|d| match count.state.as_str() {
            "failed" => d.failed += count.count,
            "queued" | "running" => d.running += count.count,
            _ => d.succeeded += count.count,
        });
    }
    for count in app.store.ends_by_hour(scope, &from, &to).await? {
        let Some(day) = day_of_hour(&count.hour) else { continue };
        at(day, &|d| d.ends += count.count);
    }
    if all {
        for (due, count) in app.store.dues_by_day(&start.to_string(), &end.to_string()).await? {
            let Ok(day) = due.parse() else { continue };
            at(day, &|d| d.dues += count);
        }
    }
    let jobs = if all { standing(app, op).await? } else { Vec::new() };
    Ok(Month {
        month: first.format("%Y-%m").to_string(),
        before: (first - Months::new(1)).format("%Y-%m").to_string(),
        after: last.format("%Y-%m").to_string(),
        weeks: days.chunks(7).map(<[Day]>::to_vec).collect(),
        jobs,
    })
}

/// Grants that end on a day, for the calendar's day.
pub async fn ends(
    app: &App,
    op: &Op,
    day: NaiveDate,
    after: Option<&str>,
    limit: u32,
) -> Result<Page<Request>> {
    let all = app.policy.decide(op, Action::JobRead, &Target::plain("System", "jobs")).allowed;
    let own = op.actor.org().unwrap_or_default();
    if !all {
        let mine = Target::of_org("Quota", "calendar", own);
        audit::permit(app, op, Action::DispatchRead, &mine).await?;
    }
    let (from, to) = (midnight(day)?, midnight(day + Days::new(1))?);
    let org = (!all).then_some(own);
    let limit = if limit == 0 { 50 } else { limit.min(500) };
    let items = app.store.requests_ending_between(org, &from, &to, after, limit + 1).await?;
    Ok(Page::cut(items, limit, |r| r.id.clone()))
}

/// First and last instant of a civil day in China, as stamps.
pub(crate) fn bounds(day: NaiveDate) -> Result<(String, String)> {
    Ok((midnight(day)?, midnight(day + Days::new(1))?))
}

fn midnight(day: NaiveDate) -> Result<String> {
    day.and_hms_opt(0, 0, 0)
        .and_then(|t| t.and_local_timezone(china()).single())
        .map(|t| stamp(t.with_timezone(&Utc)))
        .ok_or_else(|| Error::invalid("日期无效", "the day is not valid"))
}

/// The civil day in China of an hour in universal time (`2026-03-02T17`).
pub(crate) fn day_of_hour(hour: &str) -> Option<NaiveDate> {
    day_of(&format!("{hour}:00:00Z"))
}

fn parse(month: &str) -> Result<NaiveDate> {
    let good = month.len() == 7;
    let day = format!("{month}-01")
        .parse::<NaiveDate>()
        .ok()
        .filter(|d| good && d.year() > 2000 && d.year() < 2200);
    day.ok_or_else(|| Error::invalid("月份请写成 2026-03 的形式", "write the month like 2026-03"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_belongs_to_its_day_in_china() {
        assert_eq!(day_of_hour("2026-03-01T15"), "2026-03-01".parse().ok());
        assert_eq!(day_of_hour("2026-03-01T16"), "2026-03-02".parse().ok());
        assert_eq!(midnight("2026-03-02".parse().unwrap()).unwrap(), "2026-03-01T16:00:00.000Z");
        assert!(parse("2026-13").is_err() && parse("0001-01").is_err() && parse("x").is_err());
    }
}
