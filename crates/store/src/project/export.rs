//! Exports of projects: asked for together with their approval, allowed by it, taken once.

use model::flow::{Event, State};
use model::project::ProjectExport;
use model::{Code, Error, Result};
use policy::{Action, Permit};
use sqlx::any::AnyRow;

use crate::Store;
use crate::approval::append;
use crate::db::{fail, json, number, signed, text, to_json};

impl Store {
    /// Keeps an export with the first events of its approval. `export.sql` is sealed.
    pub async fn project_export_insert(
        &self,
        permit: &Permit,
        export: &ProjectExport,
        events: &[Event],
        state: &State,
        stage: &str,
    ) -> Result<()> {
        permit.require(&[Action::ProjectWork])?;
        let body = ProjectExport { sql: String::new(), ..export.clone() };
        let mut tx = self.db.begin().await?;
        sqlx::query(
            "INSERT INTO project_export (id, project, approval, sql, body) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(export.id.as_str())
        .bind(export.project.as_str())
        .bind(export.approval.as_str())
        .bind(export.sql.as_str())
        .bind(to_json(&body)?)
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        append(&mut tx, &export.approval, events, state, stage).await?;
        tx.commit().await.map_err(fail)
    }

    /// An export; its `sql` is sealed.
    pub async fn project_export_get(&self, id: &str) -> Result<Option<ProjectExport>> {
        sqlx::query("SELECT * FROM project_export WHERE id = $1")
            .bind(id)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| export_of(&row))
            .transpose()
    }

    /// Exports of a project, newest first.
    pub async fn project_exports(
        &self,
        project: &str,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ProjectExport>> {
        let select = "SELECT * FROM project_export";
        let rows = self.db.newest(select, ("project", project), before, limit).await?;
        rows.iter().map(export_of).collect()
    }

    /// Allows an export until a time; a second time changes nothing.
    pub async fn project_export_allow(&self, permit: &Permit, id: &str, until: &str) -> Result<()> {
        permit.require(&[Action::SystemWork])?;
        sqlx::query("UPDATE project_export SET until_at = $1 WHERE id = $2 AND until_at = ''")
            .bind(until)
            .bind(id)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(())
    }

    /// Takes an export that is allowed and was not taken: of several who try, one succeeds.
    pub async fn project_export_take(
        &self,
        permit: &Permit,
        id: &str,
        now: &str,
        rows: u64,
        bytes: u64,
    ) -> Result<()> {
        permit.require(&[Action::ProjectWork])?;
        let done = sqlx::query(
            "UPDATE project_export SET taken_at = $1, row_count = $2, byte_count = $3
             WHERE id = $4 AND taken_at = '' AND until_at > $1",
        )
        .bind(now)
        .bind(signed(rows))
        .bind(signed(bytes))
        .bind(id)
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        if done.rows_affected() == 1 {
            return Ok(());
        }
        Err(Error::new(
            Code::WrongState,
            "该导出未获批准、已过期或已被下载过",
            "the export is not approved, has expired, or was fetched already",
        ))
    }
}

fn export_of(row: &AnyRow) -> Result<ProjectExport> {
    let body: ProjectExport = json(row, "body")?;
    let some = |text: String| (!text.is_empty()).then_some(text);
    let count = |column| Ok::<_, Error>(u64::try_from(number(row, column)?).unwrap_or(0));
    Ok(ProjectExport {
        sql: text(row, "sql")?,
        until: some(text(row, "until_at")?),
        taken_at: some(text(row, "taken_at")?),
        rows: count("row_count")?,
        bytes: count("byte_count")?,
        ..body
    })
}
