//! SQL over the PostgreSQL wire in the control store: verifiers of passwords, and what was run lately.

use model::Result;
use model::sql::{SqlLogin, SqlStatement};
use policy::{Action, Permit};
use sqlx::any::AnyRow;

use crate::Store;
use crate::db::{fail, number, signed, text};

impl Store {
    /// Keeps the verifier of a new password; the old one ends.
    pub async fn sql_login_set(
        &self,
        permit: &Permit,
        login: &SqlLogin,
        verifier: &str,
    ) -> Result<()> {
        permit.require(&[Action::ApplicationManage])?;
        sqlx::query(
            "INSERT INTO sql_login (application, verifier, made_at, made_by) VALUES ($1, $2, $3, $4)
             ON CONFLICT (application) DO UPDATE SET verifier = $2, made_at = $3, made_by = $4",
        )
        .bind(login.application.as_str())
        .bind(verifier)
        .bind(login.made_at.as_str())
        .bind(login.made_by.as_str())
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// Takes the password away.
    pub async fn sql_login_remove(&self, permit: &Permit, application: &str) -> Result<()> {
        permit.require(&[Action::ApplicationManage])?;
        sqlx::query("DELETE FROM sql_login WHERE application = $1")
            .bind(application)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(())
    }

    /// The password of an application with its verifier.
    pub async fn sql_login(&self, application: &str) -> Result<Option<(SqlLogin, String)>> {
        sqlx::query("SELECT * FROM sql_login WHERE application = $1")
            .bind(application)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| {
                let login = SqlLogin {
                    application: text(&row, "application")?,
                    made_at: text(&row, "made_at")?,
                    made_by: text(&row, "made_by")?,
                };
                Ok((login, text(&row, "verifier")?))
            })
            .transpose()
    }

    /// Whether a password is still the application's, and the application still works: what sessions are asked for.
    pub async fn sql_stands(&self, application: &str, made_at: &str) -> Result<bool> {
        let found = sqlx::query(
            "SELECT 1 AS one FROM sql_login l JOIN application a ON a.id = l.application
             WHERE l.application = $1 AND l.made_at = $2 AND a.active <> 0",
        )
        .bind(application)
        .bind(made_at)
        .fetch_optional(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(found.is_some())
    }

    /// Notes a statement; `statement.text` is sealed.
    pub async fn sql_statement_insert(&self, statement: &SqlStatement) -> Result<()> {
        sqlx::query(
            "INSERT INTO sql_statement (id, application, at, text, tables, row_count, millis, outcome, state)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(statement.id.as_str())
        .bind(statement.application.as_str())
        .bind(statement.at.as_str())
        .bind(statement.text.as_str())
        .bind(statement.tables.as_str())
        .bind(signed(statement.rows))
        .bind(signed(statement.millis))
        .bind(statement.outcome.as_str())
        .bind(statement.state.as_str())
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// Notes how a statement ended.
    pub async fn sql_statement_end(
        &self,
        id: &str,
        rows: u64,
        millis: u64,
        outcome: &str,
        state: &str,
    ) -> Result<()> {
        sqlx::query(
            "UPDATE sql_statement SET row_count = $1, millis = $2, outcome = $3, state = $4 WHERE id = $5",
        )
        .bind(signed(rows))
        .bind(signed(millis))
        .bind(outcome)
        .bind(state)
        .bind(id)
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// Statements of an application, newest first.
    pub async fn sql_statements(
        &self,
        application: &str,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<SqlStatement>> {
        let select = "SELECT * FROM sql_statement";
        let rows = self.db.newest(select, ("application", application), before, limit).await?;
        rows.iter().map(read).collect()
    }

    /// Forgets statements begun before a time; answers how many. Their audit records stay.
    pub async fn sql_statements_forget(&self, permit: &Permit, before: &str) -> Result<u64> {
        permit.require(&[Action::SystemWork])?;
        let done = sqlx::query("DELETE FROM sql_statement WHERE at < $1")
            .bind(before)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(done.rows_affected())
    }
}

fn read(row: &AnyRow) -> Result<SqlStatement> {
    Ok(SqlStatement {
        id: text(row, "id")?,
        application: text(row, "application")?,
        at: text(row, "at")?,
        text: text(row, "text")?,
        tables: text(row, "tables")?,
        rows: u64::try_from(number(row, "row_count")?).unwrap_or(0),
        millis: u64::try_from(number(row, "millis")?).unwrap_or(0),
        outcome: text(row, "outcome")?,
        state: text(row, "state")?,
    })
}
