//! Projects of batch sharing in the control store: who is in one, what was run, what was used. Jobs with their runs and results
//! are in `job`, exports in `export`.

mod export;
mod job;

use model::Result;
use model::project::{Project, ProjectMember, ProjectRole, ProjectStatement};
use policy::{Action, Permit};
use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};

pub use self::job::RunRecord;
use crate::Store;
use crate::db::{fail, json, number, on_duplicate, page, signed, text, to_json};
use crate::entry::touch;

const KEEPERS: &[Action] = &[Action::ProjectKeep, Action::ApplicationManage];
const WORKERS: &[Action] = &[Action::ProjectWork, Action::SystemWork];

impl Store {
    /// Enters a project with its first owner.
    pub async fn project_insert(
        &self,
        permit: &Permit,
        project: &Project,
        owner: &str,
        by: &str,
    ) -> Result<()> {
        permit.require(KEEPERS)?;
        let mut tx = self.db.begin().await?;
        sqlx::query(
            "INSERT INTO project (id, code, org, application, body, sandbox, sandbox_until) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(project.id.as_str())
        .bind(project.code.as_str())
        .bind(project.org.as_str())
        .bind(project.application.as_str())
        .bind(to_json(project)?)
        .bind(state_of(project))
        .bind(until_of(project))
        .execute(&mut *tx)
        .await
        .map_err(|e| {
            on_duplicate(
                e,
                &format!("项目代号 `{}` 已被使用，请换一个", project.code),
                &format!("the short name `{}` is taken, choose another", project.code),
            )
        })?;
        sqlx::query(
            "INSERT INTO project_member (project, user_id, role, added_at, added_by) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(project.id.as_str())
        .bind(owner)
        .bind(ProjectRole::Owner.as_str())
        .bind(project.created_at.as_str())
        .bind(by)
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        tx.commit().await.map_err(fail)
    }

    /// Writes what its owner decided. The term of a sandbox is not the owner's: it stays as it is kept.
    pub async fn project_update(&self, permit: &Permit, project: &Project) -> Result<()> {
        permit.require(KEEPERS)?;
        let mut tx = self.db.begin().await?;
        let row = sqlx::query("SELECT body FROM project WHERE id = $1")
            .bind(project.id.as_str())
            .fetch_one(&mut *tx)
            .await
            .map_err(fail)?;
        let kept: Project = json(&row, "body")?;
        write(&mut tx, &Project { sandbox: kept.sandbox, ..project.clone() }).await?;
        tx.commit().await.map_err(fail)
    }

    pub async fn project_get(&self, id: &str) -> Result<Option<Project>> {
        self.db.body("project", id).await
    }

    /// Projects that a person is a member of, with what they are there; newest first.
    pub async fn projects_of(
        &self,
        user: &str,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Project>> {
        sqlx::query(
            "SELECT p.body FROM project p JOIN project_member m ON m.project = p.id
             WHERE m.user_id = $1 AND ($2 = '' OR p.id < $2) ORDER BY p.id DESC LIMIT $3",
        )
        .bind(user)
        .bind(before.unwrap_or_default())
        .bind(page(limit))
        .fetch_all(self.db.pool())
        .await
        .map_err(fail)?
        .iter()
        .map(|row| json(row, "body"))
        .collect()
    }

    /// Members whose accounts are open, owners first.
    pub async fn project_members(&self, project: &str) -> Result<Vec<ProjectMember>> {
        let rows = sqlx::query(
            "SELECT m.user_id, m.role, m.added_at, m.added_by, u.name, u.display_name FROM project_member m
             JOIN user_account u ON u.id = m.user_id WHERE m.project = $1 AND u.active <> 0 ORDER BY u.name",
        )
        .bind(project)
        .fetch_all(self.db.pool())
        .await
        .map_err(fail)?;
        let mut members = rows.iter().map(member).collect::<Result<Vec<_>>>()?;
        members.sort_by_key(|m| m.role);
        Ok(members)
    }

    /// Takes somebody in, or gives a member another role.
    pub async fn project_member_set(
        &self,
        permit: &Permit,
        project: &str,
        member: &ProjectMember,
    ) -> Result<()> {
        permit.require(KEEPERS)?;
        sqlx::query(
            "INSERT INTO project_member (project, user_id, role, added_at, added_by) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (project, user_id) DO UPDATE SET role = excluded.role",
        )
        .bind(project)
        .bind(member.user.as_str())
        .bind(member.role.as_str())
        .bind(member.added_at.as_str())
        .bind(member.added_by.as_str())
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    pub async fn project_member_remove(
        &self,
        permit: &Permit,
        project: &str,
        user: &str,
    ) -> Result<()> {
        permit.require(KEEPERS)?;
        sqlx::query("DELETE FROM project_member WHERE project = $1 AND user_id = $2")
            .bind(project)
            .bind(user)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(())
    }

    /// Notes a statement; `statement.text` is sealed.
    pub async fn project_statement_insert(&self, statement: &ProjectStatement) -> Result<()> {
        sqlx::query(
            "INSERT INTO project_statement (id, project, user_id, user_name, kind, at, text, tables, row_count, byte_count, millis, outcome, state)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        )
        .bind(statement.id.as_str())
        .bind(statement.project.as_str())
        .bind(statement.user.as_str())
        .bind(statement.user_name.as_str())
        .bind(statement.kind.as_str())
        .bind(statement.at.as_str())
        .bind(statement.text.as_str())
        .bind(statement.tables.as_str())
        .bind(signed(statement.rows))
        .bind(signed(statement.bytes))
        .bind(signed(statement.millis))
        .bind(statement.outcome.as_str())
        .bind(statement.state.as_str())
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// Notes how a statement ended.
    pub async fn project_statement_end(&self, ended: &ProjectStatement) -> Result<()> {
        sqlx::query(
            "UPDATE project_statement SET row_count = $1, byte_count = $2, millis = $3, outcome = $4, state = $5 WHERE id = $6",
        )
        .bind(signed(ended.rows))
        .bind(signed(ended.bytes))
        .bind(signed(ended.millis))
        .bind(ended.outcome.as_str())
        .bind(ended.state.as_str())
        .bind(ended.id.as_str())
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// Statements of a project (of one member, when given), newest first.
    pub async fn project_statements(
        &self,
        project: &str,
        user: Option<&str>,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ProjectStatement>> {
        sqlx::query(
            "SELECT * FROM project_statement WHERE project = $1 AND ($2 = '' OR user_id = $2) AND ($3 = '' OR id < $3)
             ORDER BY id DESC LIMIT $4",
        )
        .bind(project)
        .bind(user.unwrap_or_default())
        .bind(before.unwrap_or_default())
        .bind(page(limit))
        .fetch_all(self.db.pool())
        .await
        .map_err(fail)?
        .iter()
        .map(statement)
        .collect()
    }

    /// Forgets statements begun before a time; answers how many. Their audit records stay.
    pub async fn project_statements_forget(&self, permit: &Permit, before: &str) -> Result<u64> {
        permit.require(&[Action::SystemWork])?;
        let done = sqlx::query("DELETE FROM project_statement WHERE at < $1")
            .bind(before)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(done.rows_affected())
    }

    /// Counts milliseconds of work on a day.
    pub async fn project_used(&self, project: &str, day: &str, millis: u64) -> Result<()> {
        sqlx::query(
            "INSERT INTO project_use (project, day, millis) VALUES ($1, $2, $3)
             ON CONFLICT (project, day) DO UPDATE SET millis = project_use.millis + excluded.millis",
        )
        .bind(project)
        .bind(day)
        .bind(signed(millis))
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// Milliseconds of work from one day to another, both included.
    pub async fn project_use(&self, project: &str, from: &str, to: &str) -> Result<u64> {
        let sum: i64 = sqlx::query_scalar(
            "SELECT CAST(COALESCE(SUM(millis), 0) AS BIGINT) FROM project_use WHERE project = $1 AND day >= $2 AND day <= $3",
        )
        .bind(project)
        .bind(from)
        .bind(to)
        .fetch_one(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(u64::try_from(sum).unwrap_or(0))
    }

    /// `(application, organisation, milliseconds)` of a day's work in projects.
    pub async fn project_times(&self, day: &str) -> Result<Vec<(String, String, i64)>> {
        sqlx::query(
            "SELECT p.application, p.org, CAST(SUM(u.millis) AS BIGINT) AS millis FROM project_use u
             JOIN project p ON p.id = u.project WHERE u.day = $1 GROUP BY p.application, p.org",
        )
        .bind(day)
        .fetch_all(self.db.pool())
        .await
        .map_err(fail)?
        .iter()
        .map(|row| Ok((text(row, "application")?, text(row, "org")?, number(row, "millis")?)))
        .collect()
    }
}

/// Writes a project. What it serves is decided anew: it may have been closed, or include less.
pub(crate) async fn write(tx: &mut Transaction<'static, Any>, project: &Project) -> Result<()> {
    sqlx::query("UPDATE project SET body = $1, sandbox = $2, sandbox_until = $3 WHERE id = $4")
        .bind(to_json(project)?)
        .bind(state_of(project))
        .bind(until_of(project))
        .bind(project.id.as_str())
        .execute(&mut **tx)
        .await
        .map_err(fail)?;
    touch(tx).await
}

/// 0 no sandbox, 1 open, 2 closed.
fn state_of(project: &Project) -> i64 {
    match (&project.sandbox, &project.closed_at) {
        (None, _) => 0,
        (Some(_), None) => 1,
        (Some(_), Some(_)) => 2,
    }
}

fn until_of(project: &Project) -> &str {
    project.sandbox.as_ref().map(|terms| terms.until.as_str()).unwrap_or_default()
}

fn member(row: &AnyRow) -> Result<ProjectMember> {
    Ok(ProjectMember {
        user: text(row, "user_id")?,
        name: text(row, "name")?,
        display_name: text(row, "display_name")?,
        role: ProjectRole::parse(&text(row, "role")?)
            .ok_or_else(|| model::Error::internal("the role of a member"))?,
        added_at: text(row, "added_at")?,
        added_by: text(row, "added_by")?,
    })
}

fn statement(row: &AnyRow) -> Result<ProjectStatement> {
    Ok(ProjectStatement {
        id: text(row, "id")?,
        project: text(row, "project")?,
        user: text(row, "user_id")?,
        user_name: text(row, "user_name")?,
        kind: text(row, "kind")?,
        at: text(row, "at")?,
        text: text(row, "text")?,
        tables: text(row, "tables")?,
        rows: u64::try_from(number(row, "row_count")?).unwrap_or(0),
        bytes: u64::try_from(number(row, "byte_count")?).unwrap_or(0),
        millis: u64::try_from(number(row, "millis")?).unwrap_or(0),
        outcome: text(row, "outcome")?,
        state: text(row, "state")?,
    })
}
