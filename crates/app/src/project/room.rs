//! Who answers for the statements of a project: what may be read, whether there is compute left, what is recorded.
//!
//! Every statement has a purpose, which the gate, the records and the meter are told: what it says at its head as at the SQL door
//! (`/* purpose: … */`), else what was decided on (an export, a run of a sandbox), else what the project is for.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::Datelike;
use model::audit::AuditEvent;
use model::dispatch::Resource;
use model::project::result::{MadeBy, MadeFrom, ProjectResult};
use model::project::{Project, ProjectStatement};
use model::{Actor, Code, Error, Op, Result};
use parking_lot::Mutex;
use policy::port::{SqlAsk, SqlCaller, SqlEnd, SqlLimits, SqlRoom, SqlTable, SqlTables, SqlTurn};
use policy::{Action, GrantAsk, Via};

use super::{Held, context, load, made, sandbox};
use crate::sharing::Stopped;
use crate::wire::desk::{self, CATALOGUE, Desk, SHAPE_MOST};
use crate::{App, account, audit, dispatch};

/// Work is charged as it is done, so often.
const CHARGED_EVERY: Duration = Duration::from_secs(5);

/// What statements are run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Query,
    Export,
    Job,
    /// A run of a sandbox over samples and uploads.
    Run,
    /// What a sandbox does over whole data: a statement of its own, or one that was reviewed.
    Reviewed,
}

impl Use {
    fn word(self) -> &'static str {
        match self {
            Use::Query => "query",
            Use::Export => "export",
            Use::Job => "job",
            Use::Run => "run",
            Use::Reviewed => "reviewed",
        }
    }
}

/// The room of one statement.
pub(super) struct Room {
    app: Arc<App>,
    project: String,
    /// The member who runs it, or who wrote the job.
    actor: Actor,
    source: String,
    /// Joins its records.
    id: String,
    of: Use,
    longest: Duration,
    /// What was decided on says what its statement is for; empty: nothing was.
    reason: String,
    /// Knows the application's grants and keeps them for a moment.
    desk: Desk,
    /// Which run had made each result when the statement was about to be planned, by code.
    offered: Mutex<HashMap<String, String>>,
    begun: Mutex<Begun>,
    charged: AtomicU64,
}

/// What is known once it has begun.
#[derive(Default)]
struct Begun {
    at: Option<Instant>,
    purpose: String,
    sources: Vec<MadeFrom>,
    /// Tables that it reads, with the columns.
    asked: Vec<(String, Vec<String>)>,
    /// Results of the project, as they were made when its rows were opened.
    results: Vec<ProjectResult>,
}

impl Room {
    pub(super) fn new(
        app: &Arc<App>,
        op: &Op,
        project: &str,
        id: &str,
        of: Use,
        longest: Duration,
    ) -> Self {
        Self {
            app: Arc::clone(app),
            project: project.to_owned(),
            actor: op.actor.clone(),
            source: op.source.clone(),
            id: id.to_owned(),
            of,
            longest,
            reason: String::new(),
            desk: Desk::new(Arc::clone(app)),
            offered: Mutex::default(),
            begun: Mutex::default(),
            charged: AtomicU64::new(0),
        }
    }

    /// The same, for a statement that was decided on for a reason.
    pub(super) fn because(self, reason: &str) -> Self {
        Self { reason: reason.to_owned(), ..self }
    }

    /// Granted resources that the statement read, as they were granted.
    pub(super) fn sources(&self) -> Vec<MadeFrom> {
        self.begun.lock().sources.clone()
    }

    /// Results behind what the statement read, with the statements that had made them.
    pub(super) fn behind(&self) -> Vec<MadeBy> {
        let begun = self.begun.lock();
        made::behind(&begun.asked, &begun.results)
    }

    /// Results of the project, as they were made when the statement's rows were opened.
    pub(super) fn results(&self) -> Vec<ProjectResult> {
        self.begun.lock().results.clone()
    }

    /// Tables that the statement reads.
    pub(super) fn codes(&self) -> Vec<String> {
        self.begun.lock().asked.iter().map(|(code, _)| code.clone()).collect()
    }

    /// Milliseconds charged so far.
    pub(super) fn charged(&self) -> u64 {
        self.charged.load(Ordering::Relaxed)
    }

    /// An operation of the member.
    fn op(&self) -> Op {
        Op { request_id: self.id.clone(), ..self.app.op(self.actor.clone(), &self.source) }
    }

    /// The project as it is now; fails when it is closed or the member may not work in it any more.
    async fn held(&self) -> Result<Held> {
        let held = load(&self.app, &self.project).await?;
        let held = held.filter(|h| h.may(&self.app, &self.op(), Action::ProjectRead));
        let held = held.ok_or_else(|| {
            Error::new(
                Code::Denied,
                "已不是该项目的成员，不能再查询",
                "no member of the project any more: nothing can be asked",
            )
        })?;
        if held.project.closed_at.is_some() {
            return Err(Error::new(Code::WrongState, "项目已关闭", "the project is closed"));
        }
        sandbox::in_term(&held, &self.op())?;
        sandbox::alone(&self.app, held.project.sandbox.is_some(), &held.project.application)
            .await?;
        Ok(held)
    }

    /// What the application is granted now and the project includes.
    pub(super) async fn granted(&self) -> Result<Vec<SqlTable>> {
        let held = self.held().await?;
        let own = application(&self.app, &held, &self.source).await?;
        granted(&self.desk, &held, &own).await
    }

    /// What the member may read now.
    async fn now(&self, held: &Held) -> Result<SqlTables> {
        let own = application(&self.app, held, &self.source).await?;
        let all = self.desk.tables_now(&own).await?;
        let granted = included(&all, held);
        let works = held.may(&self.app, &self.op(), Action::ProjectWork);
        let mut tables: Vec<SqlTable> = Vec::new();
        let mut stopped: HashMap<String, Error> = HashMap::new();
        for result in self.app.store.project_results(&self.project).await? {
            if result.hidden && self.of != Use::Reviewed {
                continue;
            }
            let sources = &result.made.sources;
            if let Some(stop) = sources.iter().find_map(|source| all.stop(&source.code)) {
                stopped.insert(result.code().to_owned(), stop);
                continue;
            }
            if made::stands(sources, &granted).is_err() {
                continue;
            }
            let ask = GrantAsk {
                action: Action::RowsSql,
                entry: &result.table,
                via: Via::Made,
                row_cap: 0,
            };
            if let Ok(grant) = self.app.policy.grant(&own, &ask) {
                tables.push(SqlTable { grant, title: result.table.draft.title.clone() });
            }
        }
        if !works && self.of != Use::Query {
            return Err(Error::of(Code::Denied));
        }
        // In a sandbox whole tables are read by what was reviewed only.
        if works && (held.project.sandbox.is_none() || self.of == Use::Reviewed) {
            tables.extend(granted);
            let own = held.project.entries.iter();
            stopped.extend(own.filter_map(|code| Some((code.clone(), all.stop(code)?))));
        }
        tables.sort_by(|a, b| a.grant.code().cmp(b.grant.code()));
        Ok(SqlTables { tables, stopped: Arc::new(stopped) })
    }

    /// Tables of a statement, all of which must be there now.
    async fn all(&self, held: &Held, codes: &[&str]) -> Result<Vec<SqlTable>> {
        let now = self.now(held).await?;
        let at = self.app.now();
        let mut found = Vec::with_capacity(codes.len());
        for code in codes {
            let Some(table) = now.tables.iter().find(|t| t.grant.code() == *code) else {
                if let Some(stop) = now.stop(code) {
                    return Err(stop);
                }
                let own = application(&self.app, held, &self.source).await?;
                return Err(self.desk.why(&own, code).await?);
            };
            table.grant.check_time(at)?;
            found.push(table.clone());
        }
        Ok(found)
    }

    /// Fails when a result that a statement reads was made anew while it was planned: its rows and what is kept of how they were made
    /// are written one after the other, and nobody could say which rows these are. As the record is the same before and after the
    /// tables were opened, and the lake's newest rows are its run's, so are the rows that were opened.
    async fn steady(&self, codes: &[&str], results: &[ProjectResult]) -> Result<()> {
        for result in results.iter().filter(|r| codes.contains(&r.code())) {
            let offered = self.offered.lock().get(result.code()).cloned();
            let newest = self.app.lake.newest(result.code()).await?;
            let there = newest.is_some_and(|version| version.parcel == result.run);
            if !there || offered.as_ref() != Some(&result.run) {
                return Err(Error::new(
                    Code::StoreUnavailable,
                    format!("结果表 `{}` 正在更新，请稍后再试", result.code()),
                    format!("the result `{}` is being made anew: try again shortly", result.code()),
                ));
            }
        }
        Ok(())
    }

    /// What a statement is for.
    fn purpose(&self, project: &Project, text: &str) -> String {
        let told = desk::purpose(&self.app, text);
        let else_for = if self.reason.is_empty() { &project.purpose } else { &self.reason };
        if told.is_empty() { desk::words(&self.app, else_for) } else { told }
    }

    /// Fails when an answer may not be shown any more.
    pub(super) async fn shown(&self, turn: &SqlTurn) -> Result<()> {
        self.stands(&self.held().await?, turn).await
    }

    async fn stands(&self, held: &Held, turn: &SqlTurn) -> Result<()> {
        let codes: Vec<&str> = turn.codes.iter().map(String::as_str).collect();
        self.all(held, &codes).await.map(|_| ())
    }

    /// Fails when the project has used its compute up.
    async fn compute_left(&self, held: &Held) -> Result<()> {
        let (app, op) = (&self.app, self.op());
        let used = used_millis(app, &op, &self.project).await?;
        let unit = dispatch::unit(app, &op, Resource::Compute)?;
        let quota = held.project.quota;
        for (most, used, zh, en) in [
            (quota.units_per_day, used.0, "今日", "today's"),
            (quota.units_per_month, used.1, "本月", "this month's"),
        ] {
            if used >= most.saturating_mul(unit) {
                return Err(Error::new(
                    Code::QuotaUsedUp,
                    format!("项目{zh}算力配额 {most} 单元已用完，请待配额恢复或由项目负责人调整"),
                    format!(
                        "{en} quota of {most} compute units is used up: wait, or have the project's owner change it"
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Charges the work done since the last time.
    async fn charge(&self, done: u64) -> Result<()> {
        let before = self.charged.swap(done, Ordering::Relaxed);
        let more = done.saturating_sub(before);
        if more == 0 {
            return Ok(());
        }
        let day = self.op().today().to_string();
        self.app.store.project_used(&self.project, &day, more).await
    }

    fn elapsed(&self) -> u64 {
        let at = self.begun.lock().at;
        at.map_or(0, |at| u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    async fn note(&self, op: &Op, ask: &SqlAsk, outcome: &str, state: &str) -> Result<()> {
        let id = if outcome == "running" { op.request_id.clone() } else { op.new_id() };
        let sealed = self.app.keys.vault().seal(&context(&id), ask.text.as_bytes())?;
        let codes: Vec<&str> = ask.tables.iter().map(|(code, _)| code.as_str()).collect();
        let statement = ProjectStatement {
            id,
            project: self.project.clone(),
            user: op.actor.id().to_owned(),
            user_name: op.actor.name().to_owned(),
            kind: self.of.word().to_owned(),
            at: op.stamp(),
            text: sealed,
            tables: codes.join(","),
            outcome: outcome.to_owned(),
            state: state.to_owned(),
            ..ProjectStatement::default()
        };
        self.app.store.project_statement_insert(&statement).await
    }

    /// A record of the member's, on behalf of the application.
    fn event(&self, op: &Op, key: &str, event: AuditEvent) -> AuditEvent {
        AuditEvent {
            actor: op.actor.id().to_owned(),
            actor_name: op.actor.name().to_owned(),
            app_key: key.to_owned(),
            reason: format!("project {} {}", self.project, self.of.word()),
            ..event
        }
    }
}

/// The application of a project, as who its grants are made for.
pub(super) async fn application(app: &App, held: &Held, source: &str) -> Result<Op> {
    let found = app.store.application_get(&held.project.application).await?;
    let actor = match found {
        Some(found) => account::actor_of(app, &found.key).await?,
        None => None,
    };
    let actor = actor.ok_or_else(|| {
        Error::new(
            Code::WrongState,
            format!("应用 `{}` 已停用，项目不能查询", held.project.application_name),
            format!(
                "the application `{}` is stopped: nothing can be asked",
                held.project.application_name
            ),
        )
    })?;
    Ok(app.op(actor, source))
}

/// The application's grants that a project includes.
pub(super) async fn granted(desk: &Desk, held: &Held, own: &Op) -> Result<Vec<SqlTable>> {
    let all = desk.tables_now(own).await?;
    Ok(included(&all, held))
}

fn included(all: &SqlTables, held: &Held) -> Vec<SqlTable> {
    let included = |t: &&SqlTable| held.project.entries.iter().any(|e| e == t.grant.code());
    all.tables.iter().filter(included).cloned().collect()
}

/// The same, read anew.
pub(super) async fn granted_anew(app: &App, held: &Held, own: &Op) -> Result<Vec<SqlTable>> {
    granted_or_stopped(app, held, own).await.map(|(tables, _)| tables)
}

/// The same, and what an emergency stop keeps from being among it.
pub(super) async fn granted_or_stopped(
    app: &App,
    held: &Held,
    own: &Op,
) -> Result<(Vec<SqlTable>, Stopped)> {
    let (mut all, stopped) = desk::granted_or_stopped(app, own).await?;
    all.retain(|t| held.project.entries.iter().any(|e| e == t.grant.code()));
    Ok((all, stopped))
}

/// Milliseconds of work today and this month.
pub(super) async fn used_millis(app: &App, op: &Op, project: &str) -> Result<(u64, u64)> {
    let today = op.today();
    let first = today.with_day(1).unwrap_or(today).to_string();
    let day = today.to_string();
    let of_day = app.store.project_use(project, &day, &day).await?;
    Ok((of_day, app.store.project_use(project, &first, &day).await?))
}

#[async_trait]
impl SqlRoom for Room {
    fn limits(&self) -> SqlLimits {
        let rules = &self.app.rules.project;
        SqlLimits {
            statement: self.longest,
            idle: self.longest,
            statements: rules.statements,
            connections: 1,
            connections_all: 1,
            waiting: 1,
            waiting_all: 1,
            sign_in: self.longest,
            text: rules.text_bytes,
            look: Duration::from_millis(rules.look_ms.max(50)),
        }
    }

    async fn tables(&self, _: &SqlCaller) -> Result<Arc<SqlTables>> {
        let held = self.held().await?;
        let results = self.app.store.project_results(&self.project).await?;
        *self.offered.lock() =
            results.iter().map(|r| (r.code().to_owned(), r.run.clone())).collect();
        Ok(Arc::new(self.now(&held).await?))
    }

    async fn begin(&self, caller: &SqlCaller, ask: &SqlAsk) -> Result<SqlTurn> {
        let app = &self.app;
        let project = self.held().await?;
        self.compute_left(&project).await?;
        let purpose = self.purpose(&project.project, &ask.text);
        let op = Op { purpose: purpose.clone(), ..self.op() };
        let codes: Vec<&str> = ask.tables.iter().map(|(code, _)| code.as_str()).collect();
        let results = app.store.project_results(&self.project).await?;
        self.steady(&codes, &results).await?;
        let tables = self.all(&project, &codes).await?;
        let own = Op { purpose: purpose.clone(), ..app.op(caller.actor.clone(), &self.source) };
        let held = self.desk.admit(&own, &codes).await?;
        desk::count(app, &own, &tables).await?;
        let key = match &caller.actor {
            Actor::Application { key, .. } => key.as_str(),
            _ => "",
        };
        let shape: String = ask.shape.chars().take(SHAPE_MOST).collect();
        for ((_, columns), table) in ask.tables.iter().zip(&tables) {
            let event = desk::event(&op, table, columns, &shape);
            audit::record(app, self.event(&op, key, event)).await?;
        }
        if tables.is_empty() {
            let mut event = audit::event(&op, Action::RowsSql.as_str(), CATALOGUE);
            event.scope = shape;
            audit::record(app, self.event(&op, key, event)).await?;
        }
        self.note(&op, ask, "running", "").await?;
        let sources = made::sources(&tables, &ask.tables, &results);
        *self.begun.lock() = Begun {
            at: Some(Instant::now()),
            purpose,
            sources,
            asked: ask.tables.clone(),
            results,
        };
        let cap = tables.iter().map(|t| t.grant.row_cap()).min().unwrap_or(u64::MAX);
        let rules = &app.rules.project;
        Ok(SqlTurn {
            id: op.request_id,
            codes: codes.into_iter().map(str::to_owned).collect(),
            held,
            row_cap: match self.of {
                Use::Query => cap,
                Use::Export => cap.min(rules.export.rows),
                // These rows do not leave: they become a table that is asked for by the same grants.
                Use::Job | Use::Run | Use::Reviewed => rules.job.rows,
            },
        })
    }

    async fn standing(&self, _: &SqlCaller, turn: &SqlTurn) -> Result<()> {
        let project = self.held().await?;
        self.stands(&project, turn).await?;
        let done = self.elapsed();
        let since = done.saturating_sub(self.charged());
        if Duration::from_millis(since) >= CHARGED_EVERY {
            self.charge(done).await?;
            self.compute_left(&project).await?;
        }
        Ok(())
    }

    async fn end(&self, caller: &SqlCaller, turn: &SqlTurn, end: SqlEnd) -> Result<()> {
        let (app, op) = (&self.app, self.op());
        let object =
            if turn.codes.is_empty() { CATALOGUE.to_owned() } else { turn.codes.join(",") };
        let key = match &caller.actor {
            Actor::Application { key, .. } => key.as_str(),
            _ => "",
        };
        let event = audit::event(&op, &format!("{}.end", Action::RowsSql.as_str()), &object);
        let mut event = self.event(&op, key, event);
        event.purpose = self.begun.lock().purpose.clone();
        event.rows = end.rows;
        event.bytes = end.bytes;
        event.scope = format!("{} ms", end.millis);
        if end.outcome != "ok" {
            event.result = "failed".to_owned();
            event.reason = format!("{} {} {}", event.reason, end.outcome, end.state);
        }
        audit::record(app, event).await?;
        // A statement costs a millisecond at least, so that none is for nothing.
        self.charge(end.millis.max(1)).await?;
        app.store
            .project_statement_end(&ProjectStatement {
                id: turn.id.clone(),
                rows: end.rows,
                bytes: end.bytes,
                millis: end.millis,
                outcome: end.outcome.to_owned(),
                state: end.state,
                ..ProjectStatement::default()
            })
            .await
    }

    async fn refuse(&self, _: &SqlCaller, ask: &SqlAsk, refusal: &Error) {
        let op = self.op();
        let mut event = audit::event(&op, Action::RowsSql.as_str(), CATALOGUE);
        event.result = "denied".to_owned();
        event.reason = format!("project {} {}", self.project, refusal.code().as_str());
        event.scope = ask.shape.chars().take(SHAPE_MOST).collect();
        let noted = match audit::record(&self.app, event).await {
            Ok(()) => self.note(&op, ask, "refused", refusal.code().as_str()).await,
            failed => failed,
        };
        if let Err(trouble) = noted {
            tracing::error!(error = %trouble.operator_text(), "a refusal could not be recorded");
        }
    }
}
