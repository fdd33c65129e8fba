//! A result asks to leave. Its rows are frozen as they are then; the checks (`guard::disclosure`) refuse before anybody looks; providers and
//! the authority decide on exactly these rows; who asked fetches them once, with a watermark, within working days, or they are published as
//! an interface of the sandbox's application (`outlet`).

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use guard::disclosure::{self, OutRules};
use guard::hash::sm3_hex;
use guard::watermark;
use model::audit::AuditEvent;
use model::code::Grade;
use model::op::stamp;
use model::project::result::{Made, MadeFrom, ProjectResult};
use model::sandbox::release::{
    Check, ColumnPart, OutColumn, OutFinding, OutTable, ReleaseState, ReleaseWay, SandboxRelease,
};
use model::sandbox::{RunKind, SandboxRun, outcome, seats};
use model::{Code, Error, Op, Result};
use store::sandbox::Kept;

use super::{WHOLE, land, outlet, tell, working};
use crate::project::room::{Use, application, granted_or_stopped};
use crate::project::{Held, export, made};
use crate::{App, account, audit};

/// Longest reason, characters.
const REASON: usize = 1000;
/// Runs that are looked through for the one that made a result.
const RUNS: u32 = 500;

/// What is to leave.
#[derive(Clone, Debug)]
pub struct ReleaseAsk {
    /// Name of a result of whole data.
    pub result: String,
    /// What its columns are; one that is not named groups.
    pub parts: BTreeMap<String, ColumnPart>,
    /// Write `*` over counts below k, and what is measured of them, before the checks.
    pub hide: bool,
    /// By which way it is to leave; checks and seats are the same.
    pub way: ReleaseWay,
    pub reason: String,
}

/// A release on its way out.
#[derive(Clone, Debug)]
pub struct Released {
    pub name: String,
    pub bytes: Vec<u8>,
}

pub(super) fn sealed(id: &str) -> String {
    format!("sandbox.release {id}")
}

/// Asks that a result may leave. What the checks find stops it at once; the findings say where and why.
pub async fn ask(app: &Arc<App>, op: &Op, id: &str, ask: ReleaseAsk) -> Result<SandboxRelease> {
    let (held, permit) = working(app, op, id).await?;
    let reason = ask.reason.trim();
    if reason.is_empty() || reason.chars().count() > REASON {
        return Err(Error::invalid(
            format!("请说明发布理由，最多 {REASON} 字"),
            format!("say why it is to leave, in at most {REASON} characters"),
        )
        .field("reason", "请修改", "change it"));
    }
    let results = app.store.project_results(id).await?;
    let wanted = |r: &&ProjectResult| r.name == ask.result && r.hidden && r.name.starts_with(WHOLE);
    let result = results.iter().find(wanted).ok_or_else(|| {
        Error::not_found("生产运行的结果", "result of a reviewed run", &ask.result)
    })?;
    let (mut table, sources) = frozen(app, op, &held, result, &ask).await?;
    let providers = export::providers(app, &sources).await?;
    if providers.is_empty() {
        return Err(Error::new(
            Code::RuleBroken,
            "结果没有读取任何授权数据",
            "the result was made from nothing that was granted",
        ));
    }
    let rules = out_rules(app);
    if ask.hide {
        hide(&mut table, rules.k);
    }
    let mut findings = unproven(&table, result, &results);
    findings.extend(disclosure::check(&table, &earlier(app, id).await?, &rules));
    let content =
        serde_json::to_vec(&table).map_err(|e| Error::internal("a release").caused_by(e))?;
    let stopped = !findings.is_empty();
    let release = SandboxRelease {
        id: op.new_id(),
        project: id.to_owned(),
        project_name: held.project.name.clone(),
        result: result.name.clone(),
        reason: reason.to_owned(),
        rows: table.rows.len() as u64,
        grade: table.columns.iter().map(|c| c.grade).max().unwrap_or(Grade::L1),
        columns: table.columns,
        digest: sm3_hex(&content),
        sources,
        made_by: made_by(app, id, &result.name).await?,
        findings,
        state: if stopped { ReleaseState::Stopped } else { ReleaseState::Asked },
        reviews: if stopped { Vec::new() } else { seats(&providers) },
        mark: watermark::name(guard::keys::random()?),
        applicant: op.actor.id().to_owned(),
        applicant_name: op.actor.name().to_owned(),
        created_at: op.stamp(),
        until: None,
        taken_at: None,
        way: ask.way,
        outlet: None,
    };
    let release = match ask.way {
        ReleaseWay::Download => release,
        ReleaseWay::Interface => {
            let made = Made { sources: release.sources.clone(), ..result.made.clone() };
            SandboxRelease {
                outlet: Some(outlet::planned(app, &held, &release.mark, made)),
                ..release
            }
        }
    };
    // What was stopped is not kept.
    let kept = if stopped { b"".as_slice() } else { &content };
    let kept = app.keys.vault().seal(&sealed(&release.id), kept)?;
    app.store.sandbox_release_insert(&permit, &release, &kept).await?;
    let checks: Vec<&str> = release.findings.iter().map(|f| f.check.as_str()).collect();
    let event = AuditEvent {
        rows: release.rows,
        purpose: release.reason.clone(),
        columns: columns(&release),
        result: if stopped { "denied".into() } else { "ok".into() },
        reason: checks.join(","),
        scope: format!("sandbox {id} {} {} {}", release.result, release.digest, release.way),
        ..audit::event(op, "sandbox.release.ask", &release.id)
    };
    audit::record(app, event).await?;
    if !stopped {
        let words = format!("{} {}", release.result, release.way.zh());
        tell::seats(app, op, &held.project, &release.reviews, &release.id, &words).await;
    }
    Ok(release)
}

fn columns(release: &SandboxRelease) -> String {
    release.columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(",")
}

fn out_rules(app: &App) -> OutRules {
    let rules = app.rules.sandbox.release;
    OutRules { k: rules.k, rows: rules.rows, grade: rules.grade }
}

/// The rows of a result, one more than may leave at most, and what they were made from.
async fn frozen(
    app: &Arc<App>,
    op: &Op,
    held: &Held,
    result: &ProjectResult,
    ask: &ReleaseAsk,
) -> Result<(OutTable, Vec<MadeFrom>)> {
    let most = app.rules.sandbox.release.rows.saturating_add(1);
    let column = |item: &model::item::Item| OutColumn {
        name: item.identifier.clone(),
        part: ask.parts.get(&item.identifier).copied().unwrap_or(ColumnPart::Group),
        grade: item.grade,
    };
    let columns: Vec<OutColumn> = result.items().iter().map(column).collect();
    let names: Vec<String> = columns.iter().map(|c| format!("\"{}\"", c.name)).collect();
    let sql = format!("SELECT {} FROM \"{}\" LIMIT {most}", names.join(", "), result.code());
    let reason = ask.reason.trim();
    let mut reading = land::read(app, op, held, &sql, Use::Reviewed, reason).await?;
    // Columns and checks are those of the result as it was when this began.
    let same = |r: &ProjectResult| r.code() == result.code() && r.run == result.run;
    if !reading.results.iter().any(same) {
        return Err(Error::of(Code::Stale));
    }
    let mut rows = Vec::new();
    while let Some(batch) = reading.rows.next().await {
        rows.extend(land::texts(&batch?));
    }
    drop(reading.sitting);
    Ok((OutTable { columns, rows }, reading.made.sources))
}

/// Writes `*` over small counts and what is measured of groups without a count that is shown.
fn hide(table: &mut OutTable, k: u64) {
    let parts: Vec<ColumnPart> = table.columns.iter().map(|c| c.part).collect();
    for row in &mut table.rows {
        let mut shown = false;
        for (cell, part) in row.iter_mut().zip(&parts) {
            if *part != ColumnPart::Count {
                continue;
            }
            match cell.trim().parse::<u64>() {
                Ok(n) if n > 0 && n < k => "*".clone_into(cell),
                Ok(_) => shown = true,
                Err(_) => {}
            }
        }
        if shown {
            continue;
        }
        for (cell, part) in row.iter_mut().zip(&parts) {
            if *part == ColumnPart::Measure {
                "*".clone_into(cell);
            }
        }
    }
}

/// Columns that are said to count and, by the plan of the statement that made them, do not. A program's columns are what its review
/// was about.
fn unproven(table: &OutTable, result: &ProjectResult, all: &[ProjectResult]) -> Vec<OutFinding> {
    let counts = table.columns.iter().filter(|c| c.part == ColumnPart::Count);
    counts
        .filter(|c| !counted(&c.name, result, all, 8))
        .map(|c| OutFinding {
            check: Check::Shape,
            row: None,
            column: c.name.clone(),
            zh: "该列不是由 count 直接得出的，不能作为计数列".to_owned(),
            en: "the column is not made by count itself: it does not show how many a row is of"
                .to_owned(),
        })
        .collect()
}

/// Whether a column is made by `count`, perhaps in a result that this one copies.
fn counted(name: &str, result: &ProjectResult, all: &[ProjectResult], deep: u32) -> bool {
    let Some(column) = result.made.columns.iter().find(|c| c.name == name) else { return false };
    if column.by.is_empty() && deep > 0 {
        let [from] = column.from.as_slice() else { return false };
        return all.iter().any(|r| {
            let there = from.strip_prefix(r.code()).and_then(|rest| rest.strip_prefix('.'));
            r.hidden && there.is_some_and(|name| counted(name, r, all, deep - 1))
        });
    }
    let plain = |by: &String| matches!(by.as_str(), "count" | "cast" | "program");
    column.by.iter().all(plain) && column.by.iter().any(|by| by == "count" || by == "program")
}

/// Tables that have left, or are about to.
async fn earlier(app: &App, id: &str) -> Result<Vec<OutTable>> {
    let most = app.rules.sandbox.release.earlier;
    let ids = app.store.sandbox_releases_out(id, most + 1).await?;
    if ids.len() as u64 > u64::from(most) {
        return Err(Error::new(
            Code::QuotaUsedUp,
            format!("该沙箱已发布 {most} 次，再多则无法比对差分；请另立沙箱"),
            format!("{most} results have left the sandbox: more cannot be compared; open another"),
        ));
    }
    let mut tables = Vec::with_capacity(ids.len());
    for id in ids {
        tables.push(table_of(app, &id).await?.0);
    }
    Ok(tables)
}

/// The frozen table of a release, with its digest.
pub(super) async fn table_of(app: &App, id: &str) -> Result<(OutTable, String)> {
    let sealed_rows = app.store.sandbox_release_content(id).await?;
    let plain = app.keys.vault().open(&sealed(id), &sealed_rows)?;
    let table = serde_json::from_slice(&plain)
        .map_err(|e| Error::internal(format!("the rows of release `{id}`")).caused_by(e))?;
    Ok((table, sm3_hex(&plain)))
}

/// What made a result, for those who decide.
async fn made_by(app: &App, id: &str, name: &str) -> Result<String> {
    let runs = app.store.sandbox_runs(id, None, RUNS).await?;
    let done = |r: &SandboxRun| r.into == name && r.state == model::sandbox::RunState::Done;
    Ok(runs.into_iter().find(done).map_or_else(String::new, |run| match run.kind {
        RunKind::Sql => run.sql,
        RunKind::Program => {
            format!("program {} ({})", run.program_digest, run.inputs.join(", "))
        }
    }))
}

/// Fetches what was allowed, once: by who asked, within its days, while everything it was made from is still granted.
pub async fn fetch(app: &Arc<App>, op: &Op, id: &str, release: &str) -> Result<Released> {
    let (held, permit) = working(app, op, id).await?;
    let Kept { body: found, edit } = own_release(app, op, id, release).await?;
    let in_time = found.until.as_ref().is_some_and(|until| op.today().to_string() <= *until);
    let agreed = outcome(&found.reviews) == Some(true);
    let download = found.way == ReleaseWay::Download;
    if found.state != ReleaseState::Allowed || !in_time || !agreed || !download {
        return Err(gone());
    }
    let own = application(app, &held, &op.source).await?;
    let (now, stopped) = granted_or_stopped(app, &held, &own).await?;
    // What these rows were made from, not what a result of that name has been made from since.
    if found.sources.is_empty() {
        return Err(gone());
    }
    made::going(&found.sources, &stopped)?;
    made::stands(&found.sources, &now)?;
    let (mut table, digest) = table_of(app, release).await?;
    if digest != found.digest {
        return Err(Error::internal(format!("the rows of release `{release}` have changed")));
    }
    let marked = watermark::mark(&mut table.rows, &found.mark);
    let head: Vec<String> = table.columns.iter().map(|c| c.name.clone()).collect();
    let taker = account::shown(app, op).await?;
    let line = format!(
        "# 钱塘数据沙箱发布 Qiantang sandbox release {} · 领取人 taken by {} · {} · 水印 mark {}\n",
        found.id,
        taker,
        op.today(),
        found.mark
    );
    let mut bytes = line.into_bytes();
    bytes.extend(land::written(&head, &table.rows)?);
    let taken = SandboxRelease {
        state: ReleaseState::Taken,
        taken_at: Some(stamp(app.now())),
        ..found.clone()
    };
    // Of two who fetch, one writes; without its record nothing goes out.
    let written = app.store.sandbox_release_update(&permit, &taken, edit).await;
    written.map_err(|e| if e.code() == Code::Stale { gone() } else { e })?;
    let event = AuditEvent {
        rows: found.rows,
        bytes: bytes.len() as u64,
        columns: columns(&found),
        purpose: found.reason.clone(),
        scope: format!("sandbox {id} {} mark {} in {marked} rows", found.digest, found.mark),
        ..audit::event(op, "sandbox.release.take", release)
    };
    audit::record(app, event).await?;
    Ok(Released { name: format!("{}-{}.csv", held.project.code, op.today()), bytes })
}

/// A release of a sandbox that the caller asked for.
pub(super) async fn own_release(
    app: &App,
    op: &Op,
    id: &str,
    release: &str,
) -> Result<Kept<SandboxRelease>> {
    let found = app.store.sandbox_release_get(release).await?.filter(|k| k.body.project == id);
    let found = found.ok_or_else(|| Error::not_found("发布申请", "release", release))?;
    if found.body.applicant == op.actor.id() {
        return Ok(found);
    }
    Err(Error::new(
        Code::Denied,
        "只有申请人本人可以下载或发布接口",
        "only who asked for a release may fetch it or have it published",
    ))
}

pub(super) fn gone() -> Error {
    Error::new(
        Code::WrongState,
        "该发布未获批准、已过期、已被下载过或已以接口提供",
        "the release is not agreed to, has expired, was fetched already, or is served as an interface",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::project::result::MadeColumn;

    fn result(name: &str, columns: &[(&str, &[&str], &[&str])]) -> ProjectResult {
        let line = |(name, from, by): &(&str, &[&str], &[&str])| MadeColumn {
            name: (*name).to_owned(),
            from: from.iter().map(|f| (*f).to_owned()).collect(),
            by: by.iter().map(|b| (*b).to_owned()).collect(),
            ..MadeColumn::default()
        };
        let draft = serde_json::json!({
            "project": "p", "name": name, "made": Made { columns: columns.iter().map(line).collect(), ..Made::default() },
            "run": "", "version": 1, "rows": 1, "bytes": 1, "made_at": "", "entry": null, "hidden": true,
            "table": table(name),
        });
        serde_json::from_value(draft).unwrap()
    }

    fn table(name: &str) -> serde_json::Value {
        let held = Held {
            project: serde_json::from_value(serde_json::json!({
                "id": "p", "code": "team", "name": "", "purpose": "", "application": "a", "application_name": "",
                "org": "o", "quota": { "units_per_day": 1, "units_per_month": 1, "storage_bytes": 1 }, "entries": [],
                "created_at": "", "created_by": "", "closed_at": null,
            }))
            .unwrap(),
            members: Vec::new(),
        };
        let op = Op::system(chrono::DateTime::UNIX_EPOCH);
        serde_json::to_value(made::table(&held, name, name, Vec::new(), &op, "330000")).unwrap()
    }

    #[test]
    fn only_what_count_made_counts() {
        let base = result(
            "p_base",
            &[("n", &["renkou.sfzh"], &["count"]), ("s", &["renkou.x"], &["sum"])],
        );
        let copy = result(
            "p_copy",
            &[
                ("n", &["_team_p_base.n"], &[]),
                ("s", &["_team_p_base.s"], &[]),
                ("m", &["_team_p_base.n"], &["+"]),
            ],
        );
        let all = [base.clone(), copy.clone()];
        assert!(counted("n", &base, &all, 8) && counted("n", &copy, &all, 8));
        for (name, of) in [("s", &base), ("s", &copy), ("m", &copy), ("none", &base)] {
            assert!(!counted(name, of, &all, 8), "{name}");
        }
    }

    #[test]
    fn small_counts_are_hidden_with_what_is_measured_of_them() {
        let column = |name: &str, part| OutColumn { name: name.into(), part, grade: Grade::L1 };
        let mut table = OutTable {
            columns: vec![
                column("d", ColumnPart::Group),
                column("n", ColumnPart::Count),
                column("s", ColumnPart::Measure),
            ],
            rows: vec![
                vec!["甲".into(), "3".into(), "9.5".into()],
                vec!["乙".into(), "4".into(), "1".into()],
                vec!["丙".into(), "0".into(), "0".into()],
            ],
        };
        hide(&mut table, 4);
        assert_eq!(table.rows, [["甲", "*", "*"], ["乙", "4", "1"], ["丙", "0", "0"]]);
    }
}
