//! Tasks and their history. A change is written only over the version it was made from; rows, history and the task go
//! together in one transaction.

use model::report::{Cells, Plan, Task, TaskEvent};
use model::{Code, Error, Result};
use policy::{Action, Permit};
use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};

use super::row::{drop_rows, put_rows, write_rows};
use crate::Store;
use crate::clause::Clause;
use crate::db::{fail, json, number, page, to_json};

pub(super) const WRITERS: &[Action] =
    &[Action::ReportFill, Action::ReportAccept, Action::SystemWork];

/// What becomes of the rows with a change of their task.
#[derive(Clone, Debug, Default)]
pub enum RowChange {
    #[default]
    Keep,
    /// Rows of the draft that are written and rows that go.
    Patch { rows: Vec<(u64, Cells)>, gone: Vec<u64> },
    /// The whole draft anew.
    Replace(Vec<(u64, Cells)>),
    /// A submission, as it was checked.
    Submit { revision: u64, rows: Vec<(u64, Cells)> },
}

/// Which tasks a list wants.
#[derive(Clone, Copy, Debug, Default)]
pub struct TaskFilter<'a> {
    pub org: Option<&'a str>,
    /// Organisation that accepts or returns them.
    pub above_org: Option<&'a str>,
    /// Task of the level above.
    pub above: Option<&'a str>,
    pub plan: Option<&'a str>,
    pub period: Option<&'a str>,
    pub state: Option<&'a str>,
    pub landing: Option<&'a str>,
    /// Tasks that can be written in and are due by this day or earlier.
    pub due_by: Option<&'a str>,
    /// Id of the last task seen.
    pub after: Option<&'a str>,
    /// Newest first.
    pub newest: bool,
    pub limit: u32,
}

fn read(row: &AnyRow) -> Result<Task> {
    let task: Task = json(row, "body")?;
    Ok(Task { version: u64::try_from(number(row, "version")?).unwrap_or(0), ..task })
}

pub(super) fn count(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

async fn add_event(tx: &mut Transaction<'static, Any>, event: &TaskEvent) -> Result<()> {
    sqlx::query("INSERT INTO report_event (id, task, body) VALUES ($1, $2, $3)")
        .bind(event.id.as_str())
        .bind(event.task.as_str())
        .bind(to_json(event)?)
        .execute(&mut **tx)
        .await
        .map_err(fail)?;
    Ok(())
}

/// Writes a task over the version that was seen.
pub(super) async fn put(
    tx: &mut Transaction<'static, Any>,
    task: &Task,
    seen: u64,
    event: Option<&TaskEvent>,
) -> Result<()> {
    let done = sqlx::query(
        "UPDATE report_task SET state = $1, landing = $2, version = $3, body = $4 WHERE id = $5 AND version = $6",
    )
    .bind(task.state.as_str())
    .bind(task.landing.as_str())
    .bind(count(seen + 1))
    .bind(to_json(task)?)
    .bind(task.id.as_str())
    .bind(count(seen))
    .execute(&mut **tx)
    .await
    .map_err(fail)?;
    if done.rows_affected() != 1 {
        return Err(Error::new(
            Code::Stale,
            "该任务刚被他人修改，请核对后重试",
            "somebody else has just changed this task; compare and try again",
        ));
    }
    match event {
        Some(event) => add_event(tx, event).await,
        None => Ok(()),
    }
}

impl Store {
    /// Opens the tasks of a period, those that are there already left as they are, and notes it in the plan.
    pub async fn report_tasks_open(
        &self,
        permit: &Permit,
        plan: &Plan,
        tasks: &[(Task, TaskEvent)],
    ) -> Result<u64> {
        permit.require(&[Action::ReportDesign, Action::SystemWork])?;
        let mut tx = self.db.begin().await?;
        let mut new = 0;
        for (task, event) in tasks {
            let done = sqlx::query(
                "INSERT INTO report_task (id, plan, period, org, issuer, above, above_org, state, due, landing, version, body)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (plan, period, org) DO NOTHING",
            )
            .bind(task.id.as_str())
            .bind(task.plan.as_str())
            .bind(task.period.as_str())
            .bind(task.org.as_str())
            .bind(task.issuer.as_str())
            .bind(task.above.as_deref())
            .bind(task.above_org.as_str())
            .bind(task.state.as_str())
            .bind(task.due.to_string())
            .bind(task.landing.as_str())
            .bind(count(task.version))
            .bind(to_json(task)?)
            .execute(&mut *tx)
            .await
            .map_err(fail)?;
            if done.rows_affected() == 1 {
                new += 1;
                add_event(&mut tx, event).await?;
            }
        }
        sqlx::query("UPDATE report_plan SET state = $1, body = $2 WHERE id = $3")
            .bind(plan.state.as_str())
            .bind(to_json(plan)?)
            .bind(plan.id.as_str())
            .execute(&mut *tx)
            .await
            .map_err(fail)?;
        tx.commit().await.map_err(fail)?;
        Ok(new)
    }

    pub async fn report_task_get(&self, id: &str) -> Result<Option<Task>> {
        sqlx::query("SELECT version, body FROM report_task WHERE id = $1")
            .bind(id)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .as_ref()
            .map(read)
            .transpose()
    }

    pub async fn report_task_list(&self, filter: &TaskFilter<'_>) -> Result<Vec<Task>> {
        let mut clause = Clause::default();
        for (condition, value) in [
            ("org =", filter.org),
            ("above_org =", filter.above_org),
            ("above =", filter.above),
            ("plan =", filter.plan),
            ("period =", filter.period),
            ("state =", filter.state),
            ("landing =", filter.landing),
        ] {
            if let Some(value) = value {
                clause.and_text(condition, value);
            }
        }
        if let Some(day) = filter.due_by {
            clause.and("state IN ('open', 'draft', 'returned')");
            clause.and_text("due <=", day);
        }
        if let Some(after) = filter.after {
            clause.and_text(if filter.newest { "id <" } else { "id >" }, after);
        }
        let order = if filter.newest { "DESC" } else { "ASC" };
        let sql = format!(
            "SELECT version, body FROM report_task{} ORDER BY id {order} LIMIT {}",
            clause.sql(),
            page(filter.limit)
        );
        self.db.rows(sql, &clause).await?.iter().map(read).collect()
    }

    /// Writes a task over the version that was seen, with its rows and what happened, all or nothing.
    pub async fn report_task_change(
        &self,
        permit: &Permit,
        task: &Task,
        seen: u64,
        rows: &RowChange,
        event: Option<&TaskEvent>,
    ) -> Result<()> {
        permit.require(WRITERS)?;
        let mut tx = self.db.begin().await?;
        put(&mut tx, task, seen, event).await?;
        match rows {
            RowChange::Keep => {}
            RowChange::Patch { rows, gone } => {
                put_rows(&mut tx, &task.id, rows).await?;
                for n in gone {
                    drop_rows(&mut tx, &task.id, 0, Some(*n)).await?;
                }
            }
            RowChange::Replace(rows) => {
                drop_rows(&mut tx, &task.id, 0, None).await?;
                write_rows(&mut tx, &task.id, 0, rows).await?;
            }
            RowChange::Submit { revision, rows } => {
                write_rows(&mut tx, &task.id, *revision, rows).await?;
            }
        }
        tx.commit().await.map_err(fail)
    }

    /// Adds to the history of a task without changing it (a reminder); `false` when it is there already.
    pub async fn report_event_add(&self, permit: &Permit, event: &TaskEvent) -> Result<bool> {
        permit.require(WRITERS)?;
        let done = sqlx::query(
            "INSERT INTO report_event (id, task, body) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING",
        )
        .bind(event.id.as_str())
        .bind(event.task.as_str())
        .bind(to_json(event)?)
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(done.rows_affected() == 1)
    }

    /// History of a task, newest first.
    pub async fn report_events(
        &self,
        task: &str,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<TaskEvent>> {
        let mut clause = Clause::default();
        clause.and_text("task =", task);
        if let Some(before) = before {
            clause.and_text("id <", before);
        }
        let sql = format!(
            "SELECT body FROM report_event{} ORDER BY id DESC LIMIT {}",
            clause.sql(),
            page(limit)
        );
        self.db.bodies(sql, &clause).await
    }
}
