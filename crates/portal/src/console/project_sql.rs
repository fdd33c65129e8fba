//! The SQL workspace of a project: an editor over a plain field, the tree of what may be asked, the answer page by page with a quick
//! chart, what was run. Everything works without script.

use std::collections::BTreeMap;
use std::sync::Arc;

use app::project::{self, Answered, ProjectView};
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect};
use axum::routing::{get, post};
use minijinja::{Value, context};
use model::{Code, Error, Kind};

use crate::console::projects::{exports_page, menu, path};
use crate::console::{done, next_link, project_jobs};
use crate::form::Posted;
use crate::view::value;
use crate::visit::{Visit, encode};
use crate::{Answer, Door};

/// Statements of the history that a page shows.
const SHOWN: u32 = 20;

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/projects/{id}/sql", get(show).post(run))
        .route("/console/projects/{id}/sql/answer", get(fragment))
        .route("/console/projects/{id}/sql/cancel", post(cancel))
}

/// What the page shows beside the editor.
#[derive(Default)]
struct Shown {
    sql: Option<String>,
    answer: Option<Answered>,
    looked: Option<project::Looked>,
    error: Option<Error>,
}

async fn show(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let mut shown = Shown { sql: visit.q("sql").map(str::to_owned), ..Shown::default() };
    if let Some(run) = visit.q("run") {
        match project::answer(&door.app, &visit.op, &id, run, page_of(&visit)).await {
            Ok(answer) => {
                shown.sql = Some(answer.sql.clone());
                shown.answer = Some(answer);
            }
            Err(e) if e.kind() != Kind::Internal => shown.error = Some(e),
            Err(e) => return Err(e.into()),
        }
    }
    page(&door, &visit, &id, shown).await
}

fn page_of(visit: &Visit) -> usize {
    visit.q("page").and_then(|p| p.parse().ok()).unwrap_or(1)
}

async fn page(door: &Door, visit: &Visit, id: &str, shown: Shown) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let view = project::get(app, op, id).await?;
    let tables = project::tables(app, op, id).await?;
    let everybody = visit.q("whose") == Some("all") && view.may_keep;
    let past = project::statements(app, op, id, everybody, visit.q("before"), SHOWN).await?;
    let context = context! {
        tables => value(&tables), statements => value(&past.items), everybody,
        said => value(said(visit, past.items.iter().map(|s| s.state.as_str()))),
        answer => shown.answer.as_ref().map(|a| answered(visit, &view, a)),
        looked => value(&shown.looked),
        sql => shown.sql, tab => "sql", done => visit.q("done"),
        error => shown.error.as_ref().map(|e| visit.t(e.zh(), e.en())),
        code => shown.error.as_ref().map(|e| e.code().as_str()),
        next => next_link(visit, "before", past.next.as_deref()), view => value(&view), menu => menu(&view),
    };
    door.page_with(visit, "console/project_sql.html", context, shown.error.as_ref()).await
}

/// Why statements came to nothing, in words: codes of the platform, and states of PostgreSQL where the engine ended one.
fn said<'a>(
    visit: &Visit,
    states: impl Iterator<Item = &'a str>,
) -> BTreeMap<&'a str, &'static str> {
    let words = |state: &'a str| {
        let (zh, en) = match Code::ALL.iter().find(|c| c.as_str() == state) {
            Some(code) => (code.zh(), code.en()),
            None => match state {
                "42501" => ("授权已收回或已停用", "no longer granted, or stopped"),
                "53200" => ("超出内存", "out of memory"),
                "54000" | "54001" => ("语句或结果过大", "too large or too deep"),
                "57014" => ("已取消或超时", "cancelled, or took too long"),
                _ => return None,
            },
        };
        Some((state, visit.t(zh, en)))
    };
    states.filter_map(words).collect()
}

/// The answer as the page and its fragment show it.
fn answered(visit: &Visit, view: &ProjectView, answer: &Answered) -> Value {
    let rows: Vec<Vec<Option<String>>> = answer
        .rows
        .iter()
        .map(|row| row.iter().map(model::value::Value::to_text).collect())
        .collect();
    let last = answer.from + rows.len();
    let page = page_of(visit);
    let to = |n: usize| {
        format!("{}?run={}&page={n}", path(&view.project.id, "/sql"), encode(&answer.run))
    };
    context! {
        run => &answer.run, state => answer.state, sql => &answer.sql,
        columns => &answer.columns, from => answer.from + 1, to => last, held => answer.held,
        more => answer.more, millis => answer.millis, error => answer.error.as_ref().map(|(zh, en)| visit.t(zh, en)),
        previous => (page > 1).then(|| to(page - 1)), next => (last < answer.held).then(|| to(page + 1)),
        page, chart => chart(visit, &answer.columns, &rows), rows,
    }
}

/// A quick chart of the rows that are shown: one column over another.
fn chart(visit: &Visit, columns: &[String], rows: &[Vec<Option<String>>]) -> Value {
    let numeric = |at: usize| {
        let mut some = false;
        let all = rows.iter().filter_map(|r| r.get(at)?.as_deref()).all(|t| {
            some = true;
            t.parse::<f64>().is_ok()
        });
        all && some
    };
    let numbers: Vec<usize> = (0..columns.len()).filter(|at| numeric(*at)).collect();
    let named = |word: Option<&str>| word.and_then(|w| columns.iter().position(|c| c == w));
    let y =
        named(visit.q("y")).filter(|at| numbers.contains(at)).or_else(|| numbers.last().copied());
    let x = named(visit.q("x")).or_else(|| (0..columns.len()).find(|at| Some(*at) != y));
    let kind = visit.q("chart").filter(|k| matches!(*k, "bar" | "line" | "pie"));
    let (Some(x), Some(y)) = (x, y) else { return Value::from(()) };
    let cell = |row: &[Option<String>], at: usize| row.get(at).cloned().flatten();
    let points: Vec<(Option<String>, Option<String>)> =
        rows.iter().map(|r| (cell(r, x), cell(r, y))).collect();
    context! {
        kind, x => columns.get(x), y => columns.get(y), points,
        numbers => numbers.iter().filter_map(|at| columns.get(*at).cloned()).collect::<Vec<_>>(),
    }
}

async fn run(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let sql = posted.get("sql").to_owned();
    let (app, op) = (&door.app, &visit.op);
    let outcome = match posted.get("do") {
        "explain" => project::look(app, op, &id, &sql).await.map(Some),
        "export" => return exports_page(&door, &visit, &id, Some(&sql)).await,
        "job" => return project_jobs::draft(&door, &visit, &id, &sql).await,
        _ => match project::run(app, op, &id, &sql).await {
            Ok(run) => {
                let to = format!("{}?run={}", path(&id, "/sql"), encode(&run));
                return Ok(Redirect::to(&to).into_response());
            }
            Err(e) => Err(e),
        },
    };
    let shown = match outcome {
        Ok(looked) => Shown { sql: Some(sql), looked, ..Shown::default() },
        Err(e) if !matches!(e.kind(), Kind::Internal | Kind::NotFound) => {
            Shown { sql: Some(sql), error: Some(e), ..Shown::default() }
        }
        Err(e) => return Err(e.into()),
    };
    page(&door, &visit, &id, shown).await
}

/// The answer alone, asked for again and again while its statement runs.
async fn fragment(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let view = project::get(app, op, &id).await?;
    let run = visit.q("run").unwrap_or_default();
    let answer = project::answer(app, op, &id, run, page_of(&visit)).await?;
    let context = context! { answer => answered(&visit, &view, &answer), view => value(&view) };
    door.page(&visit, "console/project_answer.html", context).await
}

async fn cancel(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let run = posted.get("run");
    project::cancel(&door.app, &visit.op, &id, run).await?;
    done(&format!("{}?run={}", path(&id, "/sql"), encode(run)), "cancelled")
}
