//! Runs: over samples and uploads at once; over whole data when the statement, or the program, with its inputs was reviewed. What is
//! run is compared with what was reviewed by its digest, and what it reads by what was behind its inputs then.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta};
use futures::StreamExt;
use futures::stream::BoxStream;
use guard::hash::sm3_hex;
use model::audit::AuditEvent;
use model::batch::Batch;
use model::item::Item;
use model::op::stamp;
use model::project::reads::Reads;
use model::project::result::{Made, MadeColumn, ProjectResult};
use model::sandbox::{RunFigures, RunKind, RunState, SandboxRun, SandboxStage, outcome, seats};
use model::{Code, Error, Op, Result};
use policy::port::ProgramLimits;
use store::sandbox::Kept;

use super::land::{self, NewTable};
use super::{name_of, program, tell, working};
use crate::project::room::{Use, application, granted};
use crate::project::{Held, export, made, system};
use crate::wire::desk::Desk;
use crate::{App, audit};

/// Longest reason, characters.
const REASON: usize = 1000;
/// Most tables that a program is handed.
const INPUTS: usize = 8;

/// What a run is to be.
#[derive(Clone, Debug)]
pub struct RunAsk {
    pub kind: RunKind,
    pub stage: SandboxStage,
    pub into: String,
    pub sql: String,
    /// Id of a program.
    pub program: String,
    /// Tables that the program is handed, in order.
    pub inputs: Vec<String>,
    /// Why it has to read whole data.
    pub reason: String,
}

/// What was reviewed and what runs have the same digest.
fn digest(run: &SandboxRun) -> String {
    let text = [
        "sandbox run",
        run.kind.as_str(),
        run.stage.as_str(),
        &run.into,
        &run.sql,
        &run.program_digest,
        &run.inputs.join(","),
        &run.versions.join(","),
    ]
    .map(|part| format!("{}:{part}", part.len()))
    .join("\n");
    sm3_hex(text.as_bytes())
}

fn of(stage: SandboxStage) -> Use {
    match stage {
        SandboxStage::Development => Use::Run,
        SandboxStage::Production => Use::Reviewed,
    }
}

/// Enters a run. One over samples begins; one over whole data waits for its seats.
pub async fn ask(app: &Arc<App>, op: &Op, id: &str, ask: RunAsk) -> Result<SandboxRun> {
    let (held, permit) = working(app, op, id).await?;
    let reason = ask.reason.trim();
    let production = ask.stage == SandboxStage::Production;
    if (production && reason.is_empty()) || reason.chars().count() > REASON {
        return Err(Error::invalid(
            format!("请说明为何需要对全量数据运行，最多 {REASON} 字"),
            format!("say in at most {REASON} characters why whole data are needed"),
        )
        .field("reason", "请修改", "change it"));
    }
    let mut run = SandboxRun {
        id: op.new_id(),
        project: id.to_owned(),
        kind: ask.kind,
        stage: ask.stage,
        into: name_of(&ask.into, ask.stage)?,
        sql: String::new(),
        program: String::new(),
        program_digest: String::new(),
        inputs: Vec::new(),
        versions: Vec::new(),
        digest: String::new(),
        reads: Reads::default(),
        reason: reason.to_owned(),
        state: RunState::Ready,
        reviews: Vec::new(),
        created_at: op.stamp(),
        created_by: op.actor.id().to_owned(),
        created_by_name: op.actor.name().to_owned(),
        begun_at: None,
        ended_at: None,
        figures: RunFigures::default(),
        log: String::new(),
        error: None,
    };
    let results = app.store.project_results(id).await?;
    let asked = match ask.kind {
        RunKind::Sql => statement(app, op, &held, &mut run, &ask.sql).await?,
        RunKind::Program => inputs(app, op, &held, &mut run, &ask, &results).await?,
    };
    run.versions = versions(&run.inputs, &results);
    run.digest = digest(&run);
    if production {
        let own = application(app, &held, &op.source).await?;
        let tables = granted(&Desk::new(Arc::clone(app)), &held, &own).await?;
        let sources = made::sources(&tables, &asked, &results);
        run.reads = export::reads(app, sources, made::behind(&asked, &results)).await?;
        if run.reads.providers.is_empty() {
            return Err(Error::new(
                Code::RuleBroken,
                "该运行没有读取任何授权数据，请作为开发运行",
                "the run reads nothing that was granted: run it in development",
            ));
        }
        run.reviews = seats(&run.reads.providers);
        run.state = RunState::Asked;
    }
    app.store.sandbox_run_insert(&permit, &run).await?;
    let event = AuditEvent {
        purpose: run.reason.clone(),
        scope: format!("sandbox {id} {} {} {} → {}", run.stage, run.kind, run.digest, run.into),
        ..audit::event(op, "sandbox.run.ask", &run.id)
    };
    audit::record(app, event).await?;
    if !production {
        return begin(app, op, id, &run.id).await;
    }
    tell::seats(app, op, &held.project, &run.reviews, &run.id, &run.into).await;
    Ok(run)
}

/// Which content the tables of the project among these have now.
fn versions(inputs: &[String], results: &[ProjectResult]) -> Vec<String> {
    let of = |code: &String| results.iter().find(|r| r.code() == code).map(|r| r.run.clone());
    inputs.iter().map(|code| of(code).unwrap_or_default()).collect()
}

/// A statement is planned, so that what it reads is known to whoever decides.
async fn statement(
    app: &Arc<App>,
    op: &Op,
    held: &Held,
    run: &mut SandboxRun,
    sql: &str,
) -> Result<Vec<(String, Vec<String>)>> {
    let sql = sql.trim().trim_end_matches(';').trim();
    if sql.is_empty() {
        return Err(
            Error::invalid("请写一条查询语句", "write a query").field("sql", "必填", "required")
        );
    }
    let sitting = land::sit(app, op, held, of(run.stage), &run.reason).await?.0;
    let looked = sitting.look(sql).await?;
    sql.clone_into(&mut run.sql);
    run.inputs = looked.tables.iter().map(|(code, _)| code.clone()).collect();
    Ok(looked.tables)
}

/// A program is handed tables that are there.
async fn inputs(
    app: &Arc<App>,
    op: &Op,
    held: &Held,
    run: &mut SandboxRun,
    ask: &RunAsk,
    results: &[ProjectResult],
) -> Result<Vec<(String, Vec<String>)>> {
    let (kept, _) = program::content(app, &held.project.id, &ask.program).await?;
    run.program.clone_from(&kept.id);
    run.program_digest.clone_from(&kept.digest);
    let wanted = ask.inputs.iter().map(|i| i.trim()).filter(|i| !i.is_empty());
    run.inputs = wanted.map(str::to_owned).collect();
    if run.inputs.is_empty() || run.inputs.len() > INPUTS {
        return Err(Error::invalid(
            format!("请选择 1 至 {INPUTS} 个输入表"),
            format!("choose 1 to {INPUTS} tables"),
        )
        .field("inputs", "请修改", "change it"));
    }
    let mut asked = Vec::new();
    for code in &run.inputs {
        let known = results.iter().any(|r| r.code() == code)
            || held.project.entries.iter().any(|e| e == code);
        if !known {
            return Err(Error::not_found("数据表", "table", code));
        }
        // Planned as it will be read: what may not be is refused now.
        let sitting = land::sit(app, op, held, of(run.stage), &run.reason).await?.0;
        asked.extend(sitting.look(&land::whole(code)).await?.tables);
    }
    Ok(asked)
}

/// Begins a run whose turn it is, and waits a moment for its end.
pub async fn begin(app: &Arc<App>, op: &Op, id: &str, run: &str) -> Result<SandboxRun> {
    let (held, permit) = working(app, op, id).await?;
    let found = app.store.sandbox_run_get(run).await?.filter(|k| k.body.project == id);
    let Kept { body: mut run, edit } = found.ok_or_else(|| Error::not_found("运行", "run", run))?;
    ready(app, &run)?;
    // An upload that was changed after the review could point at one person.
    let results = app.store.project_results(id).await?;
    let production = run.stage == SandboxStage::Production;
    if production && run.versions != versions(&run.inputs, &results) {
        return Err(Error::new(
            Code::WrongState,
            "输入表在审核后已改变，请重新申请",
            "a table that it reads has changed since the review: ask anew",
        ));
    }
    let place = app.projects.place(id, app.rules.project.statements)?;
    run.state = RunState::Running;
    run.error = None;
    run.begun_at = Some(stamp(app.now()));
    run.ended_at = None;
    app.store.sandbox_run_update(&permit, &run, edit).await?;
    let (inner, op, begun) = (Arc::clone(app), app.op(op.actor.clone(), &op.source), run.clone());
    let task = tokio::spawn(async move {
        let ended = one(&inner, &op, &held, begun, edit + 1).await;
        drop(place);
        if let Err(e) = ended {
            tracing::error!(error = e.operator_text(), "the end of a sandbox run was not kept");
        }
    });
    let wait = Duration::from_millis(app.rules.project.wait_ms);
    let _ = tokio::time::timeout(wait, task).await;
    let now = app.store.sandbox_run_get(&run.id).await?;
    Ok(now.map_or(run, |k| k.body))
}

/// Only what was agreed by every seat runs over whole data, and only as it was then.
fn ready(app: &App, run: &SandboxRun) -> Result<()> {
    let wrong = |zh: &str, en: &str| Err(Error::new(Code::WrongState, zh, en));
    if run.digest != digest(run) {
        return wrong("运行内容与审核时不一致", "the run is not what was reviewed");
    }
    if run.stage == SandboxStage::Production && outcome(&run.reviews) != Some(true) {
        return wrong("该运行尚未通过全部审核", "not every seat has agreed to the run");
    }
    match run.state {
        RunState::Ready | RunState::Failed => Ok(()),
        RunState::Running if left_behind(app, run) => Ok(()),
        RunState::Running => wrong("正在运行", "it is running"),
        RunState::Done => {
            wrong("已运行完成；再次运行须重新申请", "it has run: ask anew to run it again")
        }
        RunState::Asked | RunState::Refused => wrong("该运行未获批准", "the run is not agreed to"),
    }
}

/// A run whose process has gone: it is twice as old as any may become.
fn left_behind(app: &App, run: &SandboxRun) -> bool {
    let longest = app.rules.project.job.timeout_seconds.saturating_mul(2);
    let longest = TimeDelta::seconds(i64::try_from(longest).unwrap_or(i64::MAX / 1_000_000));
    let begun = run.begun_at.as_deref().and_then(|at| DateTime::parse_from_rfc3339(at).ok());
    begun.is_none_or(|at| at.to_utc() + longest < app.now())
}

/// Does a run and keeps how it ended.
async fn one(app: &Arc<App>, op: &Op, held: &Held, mut run: SandboxRun, edit: i64) -> Result<()> {
    let begun = Instant::now();
    let done = match run.kind {
        RunKind::Sql => sql(app, op, held, &mut run).await,
        RunKind::Program => wasm(app, op, held, &mut run).await,
    };
    run.figures.millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    run.ended_at = Some(stamp(app.now()));
    run.state = RunState::Done;
    if let Err(e) = &done {
        tracing::warn!(run.id = run.id, error = e.operator_text(), "a sandbox run failed");
        run.state = RunState::Failed;
        run.error = Some(told(&run, e));
    }
    let fuel = run.figures.fuel;
    if run.stage == SandboxStage::Production {
        // Steps can be made to count what is not to be seen.
        run.figures.fuel = 0;
    }
    let system_op = Op::system(app.now());
    app.store.sandbox_run_update(&system(app, &system_op)?, &run, edit).await?;
    let event = AuditEvent {
        rows: run.figures.rows,
        bytes: run.figures.bytes,
        result: if done.is_ok() { "ok".into() } else { "failed".into() },
        scope: format!(
            "sandbox {} {} {} ms {} steps → {}",
            run.project, run.digest, run.figures.millis, fuel, run.into
        ),
        ..audit::event(op, "sandbox.run.end", &run.id)
    };
    audit::record(app, event).await
}

/// What members learn of a failure: over whole data nothing that could hold a value of it.
fn told(run: &SandboxRun, error: &Error) -> (String, String) {
    let ours = matches!(
        error.code(),
        Code::WrongState
            | Code::GrantExpired
            | Code::NoGrant
            | Code::Denied
            | Code::ColumnNotGranted
            | Code::OutOfBounds
            | Code::PurposeMissing
            | Code::Halted
            | Code::QuotaUsedUp
            | Code::RateLimited
            | Code::TooLarge
            | Code::RuleBroken
    );
    if run.stage == SandboxStage::Development || ours {
        return (error.zh().to_owned(), error.en().to_owned());
    }
    (
        "运行失败；错误内容可能含有数据，不予显示，请先在开发样本上排查".to_owned(),
        "it failed; what went wrong may hold data and is not shown: look for it on samples"
            .to_owned(),
    )
}

async fn sql(app: &Arc<App>, op: &Op, held: &Held, run: &mut SandboxRun) -> Result<()> {
    let reading = land::read(app, op, held, &run.sql, of(run.stage), &run.reason).await?;
    reviewed(app, run, &reading.made, replaced(run, &reading.results)).await?;
    let kept = keep(app, held, run, reading.items, reading.made, reading.rows).await;
    drop(reading.sitting);
    kept
}

/// Inputs of a run that are tables of the project and hold something else than when it was asked for.
fn replaced(run: &SandboxRun, results: &[ProjectResult]) -> Vec<String> {
    let now = versions(&run.inputs, results);
    let inputs = run.inputs.iter().zip(run.versions.iter().zip(&now));
    inputs.filter(|(_, (was, is))| was != is).map(|(code, _)| code.clone()).collect()
}

/// Fails unless what was read of whole data is what was decided on: the same grants, of the same organisations, and no input
/// `changed`. A digest of the statement does not tell that.
async fn reviewed(
    app: &App,
    run: &SandboxRun,
    made: &Made,
    mut changed: Vec<String>,
) -> Result<()> {
    if run.stage != SandboxStage::Production {
        return Ok(());
    }
    let now = export::reads(app, made.sources.clone(), made.behind.clone()).await?;
    changed.extend(run.reads.changed(&now));
    if changed.is_empty() {
        return Ok(());
    }
    changed.sort();
    changed.dedup();
    Err(Error::new(
        Code::WrongState,
        format!("所读数据（{}）自审核后已改变，请重新申请", changed.join("、")),
        format!("what it reads ({}) has changed since the review: ask anew", changed.join(", ")),
    ))
}

/// Lands the rows of a run as the result that it makes.
async fn keep(
    app: &Arc<App>,
    held: &Held,
    run: &mut SandboxRun,
    items: Vec<Item>,
    made: Made,
    rows: BoxStream<'static, Result<Batch>>,
) -> Result<()> {
    let new = NewTable {
        name: &run.into,
        title: &run.into,
        items,
        made,
        hidden: run.stage == SandboxStage::Production,
    };
    let landed = land::land(app, held, new, rows).await?;
    run.figures.rows = landed.rows;
    run.figures.bytes = landed.bytes;
    Ok(())
}

async fn wasm(app: &Arc<App>, op: &Op, held: &Held, run: &mut SandboxRun) -> Result<()> {
    let (kept, module) = program::content(app, &held.project.id, &run.program).await?;
    if kept.digest != run.program_digest {
        return Err(Error::internal("the program of a run is another one"));
    }
    let rules = app.rules.sandbox.program;
    let mut made = Made::default();
    let mut from: Vec<String> = Vec::new();
    let mut grade = model::code::Grade::L1;
    let (mut tables, mut left) = (Vec::new(), rules.input_mib << 20);
    let mut changed = Vec::new();
    for code in run.inputs.clone() {
        let whole = land::whole(&code);
        let mut reading = land::read(app, op, held, &whole, of(run.stage), &run.reason).await?;
        made.and(&reading.made.sources);
        made.behind.extend(reading.made.behind.iter().cloned());
        changed.extend(replaced(run, &reading.results));
        let head: Vec<String> = reading.items.iter().map(|i| i.identifier.clone()).collect();
        from.extend(head.iter().map(|name| format!("{code}.{name}")));
        grade = reading.items.iter().map(|i| i.grade).max().unwrap_or(grade).max(grade);
        let mut table = land::written(&head, &[])?;
        while let Some(batch) = reading.rows.next().await {
            let rows = land::texts(&batch?);
            run.figures.read_rows += rows.len() as u64;
            table.extend(land::written(&[], &rows)?);
            if table.len() > left {
                return Err(Error::new(
                    Code::TooLarge,
                    format!("输入表合计超过 {} MiB，请先用 SQL 汇总", rules.input_mib),
                    format!(
                        "the tables have more than {} MiB: group them by SQL first",
                        rules.input_mib
                    ),
                ));
            }
        }
        left = left.saturating_sub(table.len());
        tables.push(table);
    }
    made.behind.sort();
    made.behind.dedup();
    reviewed(app, run, &made, changed).await?;
    let limits = ProgramLimits {
        fuel: rules.fuel,
        memory_bytes: rules.memory_mib << 20,
        time: Duration::from_secs(rules.seconds.max(1)),
        output_bytes: rules.output_mib << 20,
        log_bytes: rules.log_bytes,
    };
    let end = app.projects.programs.run(module, tables, limits).await?;
    run.figures.fuel = end.fuel;
    // What a program says of whole data would leave beside the desk.
    run.log = match run.stage {
        SandboxStage::Development => end.log,
        SandboxStage::Production => String::new(),
    };
    app.store.project_used(&run.project, &op.today().to_string(), end.millis.max(1)).await?;
    if let Some(fault) = end.fault {
        let (zh, en) = match (fault, run.stage) {
            // A code of the program's own could tell of whole data, bit by bit.
            (policy::port::ProgramFault::Code(_), SandboxStage::Production) => {
                ("程序报告失败".to_owned(), "the program says that it failed".to_owned())
            }
            (fault, _) => fault.told(),
        };
        return Err(Error::new(Code::RuleBroken, zh, en));
    }
    let (items, batch) = land::csv(&end.output, app.rules.sandbox.upload_columns, grade)?;
    made.columns = items
        .iter()
        .map(|item| MadeColumn {
            name: item.identifier.clone(),
            from: from.clone(),
            through: Vec::new(),
            by: vec!["program".to_owned()],
            masked: false,
        })
        .collect();
    keep(app, held, run, items, made, land::once(batch)).await
}
