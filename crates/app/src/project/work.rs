//! The workspace: a member runs a statement and looks at its answer page by page; what was run.
//!
//! A statement runs beside the page that asked for it, so that it can be cancelled and no page waits for minutes. Its answer is kept
//! in this process for a quarter of an hour, for its member alone, and shown while what it read is still granted.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use model::project::ProjectStatement;
use model::value::{Row, Rows};
use model::{Code, Error, Op, Result};
use parking_lot::Mutex;
use policy::Action;
use policy::port::{SqlCaller, SqlColumn, SqlProof, SqlRoom, SqlSitting, SqlTerms};
use serde::Serialize;
use tokio::sync::Notify;

use super::room::{Room, Use, application};
use super::{Held, context, held, seen};
use crate::{App, Page, account};

/// One statement with its answer.
pub struct Answer {
    project: String,
    user: String,
    sql: String,
    at: String,
    state: Mutex<State>,
    done: Notify,
    sitting: Arc<dyn SqlSitting>,
    room: Arc<Room>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("project", &self.project).finish_non_exhaustive()
    }
}

enum State {
    Running,
    Done { rows: Arc<Rows>, more: bool, millis: u64 },
    Failed(Error),
}

/// An answer as far as it is there.
#[derive(Debug)]
pub struct Answered {
    pub run: String,
    pub sql: String,
    pub at: String,
    /// `running done failed`
    pub state: &'static str,
    pub columns: Vec<String>,
    /// Rows of the page.
    pub rows: Vec<Row>,
    pub from: usize,
    /// Rows held.
    pub held: usize,
    /// There are more than are held.
    pub more: bool,
    pub millis: u64,
    pub error: Option<(String, String)>,
}

/// A planned statement.
#[derive(Clone, Debug, Serialize)]
pub struct Looked {
    /// `(name, type, what it is made of)`
    pub columns: Vec<(String, String, Vec<String>)>,
    pub tables: Vec<(String, Vec<String>)>,
    pub plan: Vec<String>,
}

/// Opens a place for a statement of a member.
pub(super) fn sit(
    app: &Arc<App>,
    own: &Op,
    room: &Arc<Room>,
    most: Option<usize>,
) -> Result<Arc<dyn SqlSitting>> {
    app.projects.bench.open(SqlTerms {
        room: Arc::clone(room) as Arc<dyn SqlRoom>,
        caller: SqlCaller {
            actor: own.actor.clone(),
            source: own.source.clone(),
            proof: SqlProof::Member,
        },
        memory: app.rules.project.memory_mb.max(8) << 20,
        most,
    })
}

fn longest(app: &App) -> Duration {
    Duration::from_secs(app.rules.project.statement_seconds.max(1))
}

/// Begins a statement; answers the number of its answer. Waits a moment, so that a quick one is there at once.
pub async fn run(app: &Arc<App>, op: &Op, id: &str, sql: &str) -> Result<String> {
    let held = open(app, op, id).await?;
    let sql = sql.trim().trim_end_matches(';').trim();
    if sql.is_empty() {
        return Err(
            Error::invalid("请写一条查询语句", "write a query").field("sql", "必填", "required")
        );
    }
    let place = app.projects.place(id, app.rules.project.statements)?;
    let own = application(app, &held, &op.source).await?;
    // Numbers are in the order of time, whatever the request.
    let run = Op::system(app.now()).new_id();
    let room = Arc::new(Room::new(app, op, id, &run, Use::Query, longest(app)));
    // A sandbox shows a few rows of what it lets be seen at all.
    let most = match held.project.sandbox {
        Some(_) => app.rules.sandbox.preview_rows.max(1),
        None => app.rules.project.grid_rows.max(1),
    };
    let sitting = sit(app, &own, &room, Some(most + 1))?;
    let answer = Arc::new(Answer {
        project: id.to_owned(),
        user: op.actor.id().to_owned(),
        sql: sql.to_owned(),
        at: op.stamp(),
        state: Mutex::new(State::Running),
        done: Notify::new(),
        sitting,
        room,
    });
    app.projects.answers.insert(run.clone(), Arc::clone(&answer));
    let done = answer.done.notified();
    let working = Arc::clone(&answer);
    drop(tokio::spawn(async move {
        let begun = std::time::Instant::now();
        let state = match gather(&working, most).await {
            Ok((rows, more)) => State::Done {
                rows: Arc::new(rows),
                more,
                millis: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            },
            Err(e) => State::Failed(e),
        };
        *working.state.lock() = state;
        working.done.notify_waiters();
        drop(place);
    }));
    let _ = tokio::time::timeout(Duration::from_millis(app.rules.project.wait_ms), done).await;
    Ok(run)
}

/// The rows that are held, and whether there are more.
async fn gather(answer: &Answer, most: usize) -> Result<(Rows, bool)> {
    if let Some(query) = explained(&answer.sql) {
        let seen = answer.sitting.look(query).await?;
        let rows = seen.plan.into_iter().map(|l| vec![model::value::Value::Text(l)]).collect();
        return Ok((Rows { columns: vec!["QUERY PLAN".to_owned()], rows }, false));
    }
    // The columns are told by the plan, for answers without rows, too.
    let seen = answer.sitting.look(&answer.sql).await?;
    let columns = seen.columns.into_iter().map(|c| c.item.identifier).collect();
    let mut all = Rows { columns, rows: Vec::new() };
    let mut pieces = answer.sitting.rows(&answer.sql).await?;
    while let Some(piece) = pieces.next().await {
        all.rows.extend(piece?.rows);
    }
    let more = all.rows.len() > most;
    all.rows.truncate(most);
    Ok((all, more))
}

/// The query behind `EXPLAIN`.
fn explained(sql: &str) -> Option<&str> {
    let (word, rest) = sql.split_once(char::is_whitespace)?;
    word.eq_ignore_ascii_case("explain").then_some(rest)
}

/// The project, if the caller may ask in it: members who only look ask what jobs made.
async fn open(app: &App, op: &Op, id: &str) -> Result<Held> {
    let held = seen(app, op, id).await?;
    if held.project.closed_at.is_some() {
        return Err(Error::new(Code::WrongState, "项目已关闭", "the project is closed"));
    }
    Ok(held)
}

/// An answer of the caller's own, a page of it.
pub async fn answer(app: &Arc<App>, op: &Op, id: &str, run: &str, page: usize) -> Result<Answered> {
    seen(app, op, id).await?;
    let answer = own(app, op, id, run)?;
    let (state, rows, more, millis, error) = match &*answer.state.lock() {
        State::Running => ("running", None, false, 0, None),
        State::Done { rows, more, millis } => {
            ("done", Some(Arc::clone(rows)), *more, *millis, None)
        }
        State::Failed(e) => {
            ("failed", None, false, 0, Some((e.zh().to_owned(), e.en().to_owned())))
        }
    };
    // What has been taken away meanwhile is not shown any more.
    if rows.is_some() {
        let turn = policy::port::SqlTurn {
            id: run.to_owned(),
            codes: answer.room.codes(),
            row_cap: 0,
            held: None,
        };
        answer.room.shown(&turn).await?;
    }
    let size = app.rules.project.page_rows.max(1);
    let from = page.saturating_sub(1).saturating_mul(size);
    Ok(Answered {
        run: run.to_owned(),
        sql: answer.sql.clone(),
        at: answer.at.clone(),
        state,
        columns: rows.as_ref().map(|r| r.columns.clone()).unwrap_or_default(),
        rows: rows
            .as_ref()
            .map(|r| r.rows.iter().skip(from).take(size).cloned().collect())
            .unwrap_or_default(),
        from,
        held: rows.as_ref().map_or(0, |r| r.rows.len()),
        more,
        millis,
        error,
    })
}

fn own(app: &App, op: &Op, id: &str, run: &str) -> Result<Arc<Answer>> {
    let found = app.projects.answers.get(run);
    let found = found.filter(|a| a.project == id && a.user == op.actor.id());
    found.ok_or_else(|| {
        Error::new(
            Code::NotFound,
            "查询结果已不在（保留 15 分钟，且只在执行它的进程中），请重新运行",
            "the answer is not there any more (it is kept for 15 minutes, in the process that ran it): run it again",
        )
    })
}

/// Stops a statement of the caller's own.
pub async fn cancel(app: &App, op: &Op, id: &str, run: &str) -> Result<()> {
    seen(app, op, id).await?;
    let answer = own(app, op, id, run)?;
    let done = answer.done.notified();
    answer.sitting.cancel();
    let running = matches!(&*answer.state.lock(), State::Running);
    if running {
        let _ = tokio::time::timeout(Duration::from_secs(5), done).await;
    }
    Ok(())
}

/// Plans a statement without running it.
pub async fn look(app: &Arc<App>, op: &Op, id: &str, sql: &str) -> Result<Looked> {
    let held = open(app, op, id).await?;
    let own = application(app, &held, &op.source).await?;
    let room = Arc::new(Room::new(app, op, id, &op.new_id(), Use::Query, longest(app)));
    let seen = sit(app, &own, &room, None)?.look(sql.trim().trim_end_matches(';')).await?;
    let column = |c: SqlColumn| (c.item.identifier, c.item.data_type.as_str().to_owned(), c.from);
    Ok(Looked {
        columns: seen.columns.into_iter().map(column).collect(),
        tables: seen.tables,
        plan: seen.plan,
    })
}

/// What was run in a project, newest first: by everybody for its owners, else by the caller.
pub async fn statements(
    app: &App,
    op: &Op,
    id: &str,
    all: bool,
    before: Option<&str>,
    limit: u32,
) -> Result<Page<ProjectStatement>> {
    let user = match all {
        true => {
            held(app, op, id, Action::ProjectKeep).await?;
            None
        }
        false => {
            seen(app, op, id).await?;
            Some(op.actor.id())
        }
    };
    let limit = if limit == 0 { 20 } else { limit.min(200) };
    let mut items = app.store.project_statements(id, user, before, limit + 1).await?;
    let vault = app.keys.vault();
    for statement in &mut items {
        let plain = vault.open(&context(&statement.id), &statement.text)?;
        statement.text = String::from_utf8_lossy(&plain).into_owned();
    }
    let people = items.iter_mut().map(|s| (s.user.as_str(), &mut s.user_name));
    account::named(app, people.collect()).await?;
    Ok(Page::cut(items, limit, |s| s.id.clone()))
}
