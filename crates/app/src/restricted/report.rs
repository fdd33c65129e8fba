//! Reports on use (定期使用情况报告): each period opens the next, what was filed is accepted or returned, and who does not file is
//! reminded, then suspended. Suspended, nothing is given at the next call; accepted, it is given again at the next one.

use model::audit::AuditEvent;
use model::op::day_of;
use model::restricted::report::last_of;
use model::restricted::{
    UseApplication, UseDeed, UseMetered, UseReport, UseReportNew, UseReportState, UseSide, UseState,
};
use model::usage::UsageFilter;
use model::voice::plain;
use model::{Code, Error, Op, Result};
use policy::Permit;
use store::audit::{UsageAsk, UsageScope};

use super::act::UseOrder;
use super::file::event;
use super::tell;
use crate::{App, account, audit};

/// Applications looked at together.
const TOGETHER: u32 = 200;
/// Calls or rows of a period at most.
const MOST: u64 = 1_000_000_000_000_000;

/// Opens the next period of an agreement in force, where it ends within the term.
pub(super) fn open_next(app: &App, op: &Op, a: &mut UseApplication) {
    if let Some(next) = next(app, op, a) {
        a.reports.push(next);
    }
}

fn next(app: &App, op: &Op, a: &UseApplication) -> Option<UseReport> {
    let terms = a.terms?;
    let begun = day_of(&a.in_force_at)?;
    let (no, from) = match a.reports.last() {
        Some(last) => (last.no + 1, last.to.succ_opt()?),
        None => (1, begun),
    };
    let to = last_of(begun, terms.months, no)?;
    if to >= a.until {
        return None;
    }
    // A period that was over before the last report was accepted has its days from now on.
    let due = app.calendar.add_working_days(to.max(op.today()), terms.days);
    Some(UseReport::open(no, from, to, due))
}

/// Calls and rows of a period by the platform's meter, of all data sets of an agreement together.
pub(super) async fn metered(
    app: &App,
    a: &UseApplication,
    report: &UseReport,
) -> Result<UseMetered> {
    let mut metered = UseMetered::default();
    for entry in &a.entries {
        let filter = UsageFilter {
            from: report.from.to_string(),
            to: report.to.to_string(),
            application: a.application.clone(),
            entry: entry.code.clone(),
            ..UsageFilter::default()
        };
        let scope = UsageScope::Application(&a.application);
        let ask = UsageAsk { filter: &filter, scope, by: None, after: None, limit: 1 };
        let row = app.store.audit().usage(&ask).await?.pop().unwrap_or_default();
        metered.calls = metered.calls.saturating_add(row.answered);
        metered.rows = metered.rows.saturating_add(row.usage.rows);
    }
    Ok(metered)
}

/// The party files the report of the present period; answers what the time line says.
pub(super) async fn filed(
    app: &App,
    op: &Op,
    a: &mut UseApplication,
    order: &UseOrder,
) -> Result<String> {
    let Some(open) = a.awaited() else {
        return Err(Error::internal("a report that nobody awaits"));
    };
    if !open.ripe(op.today()) {
        return Err(Error::new(
            Code::WrongState,
            format!("本期（{} 至 {}）尚未结束，结束后再提交使用情况报告", open.from, open.to),
            format!(
                "the period from {} to {} is not over yet: file its report afterwards",
                open.from, open.to
            ),
        ));
    }
    let new = order.report.as_ref().ok_or_else(|| {
        Error::invalid("请填写使用情况报告", "fill in the report on use").field(
            "done",
            "请填写",
            "fill it in",
        )
    })?;
    let said = checked(app, new)?;
    let metered = metered(app, a, open).await?;
    let name = account::shown(app, op).await?;
    let text = format!("{} – {}", open.from, open.to);
    if let Some(report) = a.reports.last_mut() {
        report.state = UseReportState::Filed;
        report.said = said;
        report.metered = metered;
        report.filed_at = op.stamp();
        report.filed_by_name = name;
        report.reason.clear();
    }
    Ok(text)
}

/// The texts of a report, none of them left out, and figures that can be.
fn checked(app: &App, new: &UseReportNew) -> Result<UseReportNew> {
    for (field, figure) in [("calls", new.calls), ("rows", new.rows)] {
        if figure > MOST {
            return Err(Error::invalid(
                "调用次数或数据行数过大，请核对",
                "so many calls or rows cannot be: look at the figures again",
            )
            .field(field, "请修改", "change it"));
        }
    }
    let most = app.rules.restricted.longest.text;
    let text = |field, name, text: &str, least| plain(field, name, text, least, most);
    Ok(UseReportNew {
        done: text("done", ("利用情况", "what was done"), &new.done, 5)?,
        people: text("people", ("使用人员", "by whom"), &new.people, 2)?,
        measures: text("measures", ("安全保障措施", "safeguards"), &new.measures, 2)?,
        incidents: text("incidents", ("安全事件", "incidents"), &new.incidents, 1)?,
        results: text("results", ("利用成果", "what was made"), &new.results, 1)?,
        calls: new.calls,
        rows: new.rows,
    })
}

/// A provider or the authority accepts a report or returns it; answers what the time line says. What was suspended goes on at once
/// when nothing else is late.
pub(super) fn decided(
    app: &App,
    op: &Op,
    a: &mut UseApplication,
    (org, name): (&str, String),
    (accept, said): (bool, &str),
) -> String {
    let again = a.terms.map_or(0, |t| t.suspend);
    let again = app.calendar.add_working_days(op.today(), again);
    let mut text = String::new();
    if let Some(report) = a.reports.last_mut() {
        text = format!("{} – {} {said}", report.from, report.to);
        report.decided_at = op.stamp();
        report.decided_by_name = name;
        org.clone_into(&mut report.decided_org);
        said.clone_into(&mut report.reason);
        report.state = if accept { UseReportState::Accepted } else { UseReportState::Returned };
        if !accept {
            report.due = report.due.max(again);
        }
    }
    if accept {
        if a.state == UseState::Suspended {
            a.state = UseState::InForce;
            a.reason.clear();
            text.push_str("；恢复提供数据 / the data are given again");
        }
        open_next(app, op, a);
    }
    text.trim().to_owned()
}

/// Why nothing is given by an agreement that is suspended, and how it is mended.
pub(super) fn refusal(a: &UseApplication) -> Error {
    let number = &a.number;
    let (from, to, due) = a
        .report()
        .map(|r| (r.from.to_string(), r.to.to_string(), r.due.to_string()))
        .unwrap_or_default();
    Error::new(
        Code::NoGrant,
        format!(
            "开放利用协议 {number} 未按期（{due}）提交 {from} 至 {to} 的使用情况报告，已暂停提供数据；请在 /restricted/{number} 提交，报告被接受后立即恢复"
        ),
        format!(
            "agreement {number} is suspended: its report on use from {from} to {to} was due on {due}; file it at /restricted/{number}, and the \
             data are given again at once when it is accepted"
        ),
    )
    .with_reasons(vec!["restricted.report".to_owned()])
}

/// Suspends agreements whose report was not filed in time; answers how many.
pub(super) async fn suspend_late(app: &App, system: &Op, permit: &Permit) -> Result<u64> {
    let today = system.today();
    let over = today.pred_opt().unwrap_or(today);
    let mut done = 0;
    for a in due(app, &over.to_string()).await? {
        let last = a.awaited().zip(a.terms);
        let last = last.map(|(r, terms)| app.calendar.add_working_days(r.due, terms.suspend));
        if a.state == UseState::InForce && last.is_some_and(|last| last < today) {
            done += u64::from(suspend(app, system, permit, a).await?);
        }
    }
    Ok(done)
}

async fn suspend(app: &App, system: &Op, permit: &Permit, mut a: UseApplication) -> Result<bool> {
    let seen = a.edit;
    a.state = UseState::Suspended;
    a.edit += 1;
    let (from, to) = a.report().map(|r| (r.from.to_string(), r.to.to_string())).unwrap_or_default();
    a.reason = format!(
        "逾期未提交 {from} 至 {to} 的使用情况报告 / the report on use from {from} to {to} was not filed in time"
    );
    let event =
        event(system, &a, UseDeed::Suspend, UseSide::Platform, "", format!("{from} – {to}"));
    let done = app.store.restricted_update(permit, &a, &event, seen).await?;
    if done {
        app.shares.forget();
        let record = audit::event(system, "restricted.suspend", &a.number);
        let record = AuditEvent { reason: a.reason.clone(), ..record };
        audit::record(app, record).await?;
        tell::step(app, system, &a, UseDeed::Suspend).await;
    }
    Ok(done)
}

/// Parties whose report is due by a day, or was before, are told; answers how many.
pub(super) async fn remind(app: &App, system: &Op, by: &str, today: &str) -> Result<u64> {
    let mut done = 0;
    for a in due(app, by).await? {
        if a.awaited().is_some_and(|r| r.ripe(system.today())) {
            tell::report_due(app, system, &a, today).await;
            done += 1;
        }
    }
    Ok(done)
}

/// All whose report is to be filed by a day.
async fn due(app: &App, by: &str) -> Result<Vec<UseApplication>> {
    let mut found = Vec::new();
    let mut after = String::new();
    loop {
        let page = app.store.restricted_reports_due(by, &after, TOGETHER).await?;
        let Some(last) = page.last() else { return Ok(found) };
        after.clone_from(&last.id);
        found.extend(page);
    }
}
