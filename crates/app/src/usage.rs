//! Use (用量): what applications called, by resource, interface, organisation, region and day. The figures are the meter's, which is
//! written with the audit records they follow from (*metered = audited*).
//!
//! Who watches over the house sees all of it; people of public bodies see what their organisation calls and what it provides;
//! whoever may look at an application sees that application's.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use chrono::{Days, NaiveDate};
use futures::stream::{self, BoxStream, StreamExt};
use model::spreadsheet::harmless;
use model::usage::{UsageBy, UsageFilter, UsageRow, UsageVerdict};
use model::{Code, Error, Op, Result};
use policy::{Action, Target};
use store::audit::{UsageAsk, UsageScope};
use store::dispatch::OrgScope;

use crate::{App, Page, audit, dispatch};

/// Lines of a page of an export.
const EXPORT_PAGE: u32 = 1000;
/// Days a table is about when nothing else is said, today included.
const DAYS: u64 = 30;
/// Days of which a chart is drawn at most.
const MOST_DAYS: u64 = 400;

/// Whose use is looked at.
enum Scope {
    All,
    Org(String),
    Application(String),
}

impl Scope {
    fn of(&self) -> UsageScope<'_> {
        match self {
            Scope::All => UsageScope::All,
            Scope::Org(org) => UsageScope::Org(org),
            Scope::Application(id) => UsageScope::Application(id),
        }
    }
}

/// What the caller may look at: of one application where the filter names one it may see, otherwise by its office.
async fn scope(app: &App, op: &Op, filter: &UsageFilter) -> Result<Scope> {
    if !filter.application.is_empty()
        && let Some(found) = app.store.application_get(&filter.application).await?
        && app.policy.decide(op, Action::ApplicationRead, &Target::application(&found)).allowed
    {
        return Ok(Scope::Application(found.id));
    }
    Ok(match dispatch::scope(app, op).await? {
        OrgScope::All => Scope::All,
        OrgScope::Of(org) => Scope::Org(org.to_owned()),
    })
}

/// Whether the caller sees the use of everybody.
#[must_use]
pub fn sees_all(app: &App, op: &Op) -> bool {
    let strange = Target { org: Some(String::new()), ..Target::plain("Quota", "all") };
    app.policy.decide(op, Action::DispatchRead, &strange).allowed
}

/// The filter with its days: the last thirty when none are said.
pub fn within(op: &Op, mut filter: UsageFilter) -> Result<UsageFilter> {
    let to = day("to", &filter.to)?.unwrap_or_else(|| op.today());
    let first = || to.checked_sub_days(Days::new(DAYS - 1)).unwrap_or(to);
    let from = day("from", &filter.from)?.unwrap_or_else(first);
    filter.from = from.to_string();
    filter.to = to.to_string();
    Ok(filter)
}

fn day(field: &str, text: &str) -> Result<Option<NaiveDate>> {
    if text.is_empty() {
        return Ok(None);
    }
    NaiveDate::parse_from_str(text, "%Y-%m-%d").map(Some).map_err(|_| {
        let shown: String = text.chars().take(40).collect();
        let (zh, en) = (
            format!("日期 `{shown}` 应形如 2026-01-31"),
            format!("the day `{shown}` must read like 2026-01-31"),
        );
        Error::new(Code::InvalidQuery, zh.clone(), en.clone()).field(field, zh, en)
    })
}

/// A page of a table of use, most calls first.
pub async fn table(
    app: &App,
    op: &Op,
    filter: &UsageFilter,
    by: UsageBy,
    after: Option<&str>,
    limit: u32,
) -> Result<Page<UsageRow>> {
    let scope = scope(app, op, filter).await?;
    let limit = if limit == 0 { 50 } else { limit.min(EXPORT_PAGE) };
    let after = after.map(place).transpose()?;
    let ask = UsageAsk {
        filter,
        scope: scope.of(),
        by: Some(by),
        after: after.as_ref().map(|(calls, word)| (*calls, word.as_str())),
        limit: limit + 1,
    };
    let rows = app.store.audit().usage(&ask).await?;
    Ok(Page::cut(rows, limit, |row| format!("{}~{}", row.usage.calls, row.word)))
}

/// A position in a table: the calls and the word of the last line before.
fn place(text: &str) -> Result<(u64, String)> {
    text.split_once('~')
        .and_then(|(calls, word)| Some((calls.parse().ok()?, word.to_owned())))
        .ok_or_else(|| Error::invalid("翻页位置无效", "the position of the page is not valid"))
}

/// Everything within the filter together.
pub async fn total(app: &App, op: &Op, filter: &UsageFilter) -> Result<UsageRow> {
    let scope = scope(app, op, filter).await?;
    let ask = UsageAsk { filter, scope: scope.of(), by: None, after: None, limit: 1 };
    Ok(app.store.audit().usage(&ask).await?.pop().unwrap_or_default())
}

/// Day by day, also those without calls, oldest first; the last days of a long period.
pub async fn days(app: &App, op: &Op, filter: &UsageFilter) -> Result<Vec<UsageRow>> {
    let scope = scope(app, op, filter).await?;
    let (Some(from), Some(to)) = (day("from", &filter.from)?, day("to", &filter.to)?) else {
        return Err(Error::internal("a chart without a period"));
    };
    let first = to.checked_sub_days(Days::new(MOST_DAYS - 1)).unwrap_or(to).max(from);
    let filter = UsageFilter { from: first.to_string(), ..filter.clone() };
    let ask = UsageAsk {
        filter: &filter,
        scope: scope.of(),
        by: Some(UsageBy::Day),
        after: None,
        limit: u32::try_from(MOST_DAYS).unwrap_or(400),
    };
    let mut known = VecDeque::from(app.store.audit().usage(&ask).await?);
    let line = |date: NaiveDate| {
        let word = date.to_string();
        match known.front().is_some_and(|row| row.word == word) {
            true => known.pop_front().unwrap_or_default(),
            false => UsageRow { word, ..UsageRow::default() },
        }
    };
    Ok(first.iter_days().take_while(|date| *date <= to).map(line).collect())
}

/// Calls of this year in the whole house: answered, and refused.
pub(crate) async fn this_year(app: &App, op: &Op) -> Result<(u64, u64)> {
    app.store.audit().calls_since(&op.today().format("%Y-01-01").to_string()).await
}

/// Recounts the audit chain and holds the meter against it.
pub async fn check(app: &App, op: &Op) -> Result<UsageVerdict> {
    let target = Target::plain("Audit", "audit");
    let permit = audit::permit(app, op, Action::AuditExport, &target).await?;
    let verdict = app.store.audit().usage_check(&permit).await?;
    let mut done = audit::event(op, "usage.check", "meter");
    done.rows = verdict.records;
    if !verdict.agrees {
        done.result = "failed".into();
        done.reason = format!("{} figures differ", verdict.differences.len());
    }
    audit::record(app, done).await?;
    Ok(verdict)
}

/// The whole table as CSV with a header, page by page as it is read.
pub async fn export(
    app: &Arc<App>,
    op: &Op,
    filter: &UsageFilter,
    by: UsageBy,
) -> Result<BoxStream<'static, Result<Bytes>>> {
    let first = table(app, op, filter, by, None, EXPORT_PAGE).await?;
    let mut told = audit::event(op, "usage.export", by.as_str());
    told.scope = format!("from {} to {}", filter.from, filter.to);
    audit::record(app, told).await?;
    let names = Arc::new(Names::of(app, by).await?);
    let (app, op, filter) = (Arc::clone(app), op.clone(), filter.clone());
    Ok(stream::unfold(Some((first, true)), move |state| {
        let (app, op, filter) = (Arc::clone(&app), op.clone(), filter.clone());
        let names = Arc::clone(&names);
        async move {
            let (page, head) = state?;
            let bytes = match csv(&page.items, &names, head) {
                Ok(bytes) => bytes,
                Err(e) => return Some((Err(e), None)),
            };
            let Some(next) = page.next else { return Some((Ok(bytes), None)) };
            match table(&app, &op, &filter, by, Some(&next), EXPORT_PAGE).await {
                Ok(page) => Some((Ok(bytes), Some((page, false)))),
                Err(e) => Some((Err(e), None)),
            }
        }
    })
    .boxed())
}

/// Names of what a table adds up for, Chinese and English, where its lines do not bring them.
#[derive(Default)]
struct Names(HashMap<String, (String, String)>);

impl Names {
    async fn of(app: &App, by: UsageBy) -> Result<Self> {
        let names = match by {
            UsageBy::Org | UsageBy::Provider => {
                let all = app.store.orgs_list().await?;
                all.into_iter().map(|o| (o.id, (o.name_cn, o.name_en))).collect()
            }
            UsageBy::Province | UsageBy::City | UsageBy::County => {
                let all = app.store.regions_list().await?;
                all.into_iter().map(|r| (r.code, (r.name_cn, r.name_en))).collect()
            }
            UsageBy::Outcome => {
                let code =
                    |c: &Code| (c.as_str().to_owned(), (c.zh().to_owned(), c.en().to_owned()));
                Code::ALL.iter().map(code).collect()
            }
            _ => HashMap::new(),
        };
        Ok(Self(names))
    }

    /// Names of a line; where there is no English one, the Chinese one stands for it.
    fn of_line<'a>(&'a self, row: &'a UsageRow) -> (&'a str, &'a str) {
        match self.0.get(&row.word) {
            Some((zh, en)) if en.is_empty() => (zh, zh),
            Some((zh, en)) => (zh, en),
            None => (&row.name, &row.name),
        }
    }
}

/// Columns of the export. New ones go to the end: what is read by place stays where it is.
const COLUMNS: [&str; 14] = [
    "key",
    "name",
    "calls",
    "answered",
    "refused",
    "rows",
    "bytes",
    "mean_ms",
    "p50_ms",
    "p95_ms",
    "p99_ms",
    "slowest_ms",
    "name_zh",
    "name_en",
];

fn csv(rows: &[UsageRow], names: &Names, head: bool) -> Result<Bytes> {
    let broken = |e: csv::Error| Error::internal("cannot write CSV").caused_by(e);
    let mut writer = csv::Writer::from_writer(Vec::new());
    if head {
        writer.write_record(COLUMNS).map_err(broken)?;
    }
    for row in rows {
        let u = &row.usage;
        let (zh, en) = names.of_line(row);
        let cells = [
            harmless(&row.word).into_owned(),
            harmless(&row.name).into_owned(),
            u.calls.to_string(),
            row.answered.to_string(),
            u.calls.saturating_sub(row.answered).to_string(),
            u.rows.to_string(),
            u.bytes.to_string(),
            millis(u.mean()),
            millis(u.percentile(50)),
            millis(u.percentile(95)),
            millis(u.percentile(99)),
            millis(Some(u.slowest).filter(|slowest| *slowest > 0)),
            harmless(zh).into_owned(),
            harmless(en).into_owned(),
        ];
        writer.write_record(cells).map_err(broken)?;
    }
    let bytes = writer
        .into_inner()
        .map_err(|e| Error::internal("cannot write CSV").caused_by(e.to_string()))?;
    Ok(Bytes::from(bytes))
}

/// Microseconds as milliseconds; nothing where no time was taken.
#[must_use]
pub fn millis(micros: Option<u64>) -> String {
    micros.map_or_else(String::new, |m| format!("{}.{:03}", m / 1000, m % 1000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::usage::Usage;

    #[test]
    fn a_period_is_the_last_thirty_days_or_what_was_said() {
        let op = Op::system("2026-03-02T17:00:00Z".parse().unwrap());
        let found = within(&op, UsageFilter::default()).unwrap();
        assert_eq!((found.from.as_str(), found.to.as_str()), ("2026-02-02", "2026-03-03"));
        let said = UsageFilter { from: "2026-01-01".into(), ..UsageFilter::default() };
        assert_eq!(within(&op, said).unwrap().from, "2026-01-01");
        let wrong = UsageFilter { to: "soon".into(), ..UsageFilter::default() };
        assert_eq!(within(&op, wrong).unwrap_err().code(), Code::InvalidQuery);
        assert_eq!(place("12~a~b").unwrap(), (12, "a~b".to_owned()));
        assert!(place("x").is_err());
    }

    #[test]
    fn a_line_of_csv_tells_refused_calls_and_times() {
        let usage = Usage { calls: 3, rows: 2, ..Usage::default() };
        let row = UsageRow { word: "=1".into(), name: "n".into(), answered: 2, usage };
        let text = csv(std::slice::from_ref(&row), &Names::default(), true).unwrap();
        let text = std::str::from_utf8(&text).unwrap();
        assert_eq!(text.lines().nth(1), Some("'=1,n,3,2,1,2,0,,,,,,n,n"));
        assert!(text.lines().next().unwrap().ends_with("slowest_ms,name_zh,name_en"));
        let names = [("=1".to_owned(), ("=杭州市".to_owned(), String::new()))];
        let text = csv(&[row], &Names(names.into()), false).unwrap();
        let text = std::str::from_utf8(&text).unwrap();
        assert_eq!(text.trim_end(), "'=1,n,3,2,1,2,0,,,,,,'=杭州市,'=杭州市");
        assert_eq!(millis(Some(1_234)), "1.234");
    }
}
