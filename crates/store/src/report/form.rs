//! Forms, their published versions, and plans.

use model::report::{Form, FormVersion, Plan};
use model::{Code, Error, Result};
use policy::{Action, Permit};
use sqlx::any::AnyRow;

use crate::Store;
use crate::clause::Clause;
use crate::db::{fail, json, number, on_duplicate, page, to_json};

const DESIGNERS: &[Action] = &[Action::ReportDesign];
const PLANNERS: &[Action] = &[Action::ReportDesign, Action::SystemWork];

fn known(form: &Form, e: sqlx::Error) -> Error {
    on_duplicate(
        e,
        &format!("本单位已有名为 `{}` 的报送表，请换一个名称", form.draft.title),
        &format!(
            "your organisation has a form called `{}` already, choose another name",
            form.draft.title
        ),
    )
}

fn number_of(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn read_form(row: &AnyRow) -> Result<Form> {
    let form: Form = json(row, "body")?;
    Ok(Form { edit: u64::try_from(number(row, "edit")?).unwrap_or(0), ..form })
}

impl Store {
    pub async fn report_form_insert(&self, permit: &Permit, form: &Form) -> Result<()> {
        permit.require(DESIGNERS)?;
        sqlx::query(
            "INSERT INTO report_form (id, org, title, edit, body) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(form.id.as_str())
        .bind(form.org.as_str())
        .bind(form.draft.title.as_str())
        .bind(number_of(form.edit))
        .bind(to_json(form)?)
        .execute(self.db.pool())
        .await
        .map_err(|e| known(form, e))?;
        Ok(())
    }

    /// Writes a form that nobody has changed since `seen`, and with it a version that is published.
    pub async fn report_form_update(
        &self,
        permit: &Permit,
        form: &Form,
        seen: u64,
        published: Option<&FormVersion>,
    ) -> Result<()> {
        permit.require(DESIGNERS)?;
        let mut tx = self.db.begin().await?;
        let done = sqlx::query(
            "UPDATE report_form SET title = $1, edit = $2, body = $3 WHERE id = $4 AND edit = $5",
        )
        .bind(form.draft.title.as_str())
        .bind(number_of(form.edit))
        .bind(to_json(form)?)
        .bind(form.id.as_str())
        .bind(number_of(seen))
        .execute(&mut *tx)
        .await
        .map_err(|e| known(form, e))?;
        if done.rows_affected() != 1 {
            return Err(Error::new(
                Code::Stale,
                "报送表已被他人修改，请刷新后重新编辑",
                "somebody else has changed the form; reload it and edit it again",
            ));
        }
        if let Some(version) = published {
            sqlx::query(
                "INSERT INTO report_form_version (form, version, body) VALUES ($1, $2, $3)",
            )
            .bind(version.form.as_str())
            .bind(number_of(version.version))
            .bind(to_json(version)?)
            .execute(&mut *tx)
            .await
            .map_err(fail)?;
        }
        tx.commit().await.map_err(fail)
    }

    pub async fn report_form_get(&self, id: &str) -> Result<Option<Form>> {
        sqlx::query("SELECT edit, body FROM report_form WHERE id = $1")
            .bind(id)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .as_ref()
            .map(read_form)
            .transpose()
    }

    /// Forms of an organisation after `after` by id.
    pub async fn report_form_list(
        &self,
        org: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Form>> {
        let mut clause = Clause::default();
        clause.and_text("org =", org);
        if let Some(after) = after {
            clause.and_text("id >", after);
        }
        let sql = format!(
            "SELECT edit, body FROM report_form{} ORDER BY id LIMIT {}",
            clause.sql(),
            page(limit)
        );
        self.db.rows(sql, &clause).await?.iter().map(read_form).collect()
    }

    pub async fn report_form_version(
        &self,
        form: &str,
        version: u64,
    ) -> Result<Option<FormVersion>> {
        sqlx::query("SELECT body FROM report_form_version WHERE form = $1 AND version = $2")
            .bind(form)
            .bind(number_of(version))
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| json(&row, "body"))
            .transpose()
    }

    pub async fn report_plan_insert(&self, permit: &Permit, plan: &Plan) -> Result<()> {
        permit.require(DESIGNERS)?;
        sqlx::query("INSERT INTO report_plan (id, org, state, body) VALUES ($1, $2, $3, $4)")
            .bind(plan.id.as_str())
            .bind(plan.org.as_str())
            .bind(plan.state.as_str())
            .bind(to_json(plan)?)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(())
    }

    pub async fn report_plan_update(&self, permit: &Permit, plan: &Plan) -> Result<()> {
        permit.require(PLANNERS)?;
        sqlx::query("UPDATE report_plan SET state = $1, body = $2 WHERE id = $3")
            .bind(plan.state.as_str())
            .bind(to_json(plan)?)
            .bind(plan.id.as_str())
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(())
    }

    pub async fn report_plan_get(&self, id: &str) -> Result<Option<Plan>> {
        self.db.body("report_plan", id).await
    }

    /// Plans of an organisation, newest first, before `before`.
    pub async fn report_plan_list(
        &self,
        org: Option<&str>,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Plan>> {
        let mut clause = Clause::default();
        if let Some(org) = org {
            clause.and_text("org =", org);
        }
        if let Some(before) = before {
            clause.and_text("id <", before);
        }
        let sql = format!(
            "SELECT body FROM report_plan{} ORDER BY id DESC LIMIT {}",
            clause.sql(),
            page(limit)
        );
        self.db.bodies(sql, &clause).await
    }

    /// Plans that go on, after `after` by id.
    pub async fn report_plan_running(&self, after: Option<&str>, limit: u32) -> Result<Vec<Plan>> {
        let mut clause = Clause::default();
        clause.and_text("state =", "running");
        if let Some(after) = after {
            clause.and_text("id >", after);
        }
        let sql = format!(
            "SELECT body FROM report_plan{} ORDER BY id LIMIT {}",
            clause.sql(),
            page(limit)
        );
        self.db.bodies(sql, &clause).await
    }
}
