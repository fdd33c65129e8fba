//! Pipelines in the control store: their files with every version, what waits for what, sealed secrets. Their turns are in
//! `turn`.

pub mod turn;

use model::pipeline::{Pipeline, PipelineVersion, PipelineWish};
use model::{Code, Error, Result};
use policy::{Action, Permit};
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Transaction};

use crate::Store;
use crate::clause::Clause;
use crate::db::{fail, json, on_duplicate, page, text, to_json};

const KEEPERS: &[Action] = &[Action::DataCollect];
const WORKERS: &[Action] = &[Action::DataCollect, Action::SystemWork];

const PIPELINE: &str = "SELECT body, wish, due_at FROM pipeline";

impl Store {
    /// Enters a pipeline with its first version.
    pub async fn pipeline_insert(
        &self,
        permit: &Permit,
        pipeline: &Pipeline,
        after: &[String],
    ) -> Result<()> {
        permit.require(KEEPERS)?;
        let mut tx = self.db.begin().await?;
        sqlx::query(
            "INSERT INTO pipeline (id, org, name, entry, source, wish, version, due_at, body) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(pipeline.id.as_str())
        .bind(pipeline.org.as_str())
        .bind(pipeline.name.as_str())
        .bind(pipeline.entry.as_str())
        .bind(pipeline.source.as_str())
        .bind(pipeline.wish.as_str())
        .bind(pipeline.version)
        .bind(pipeline.due.as_str())
        .bind(to_json(pipeline)?)
        .execute(&mut *tx)
        .await
        .map_err(|e| taken(e, pipeline))?;
        write_version(&mut tx, pipeline, after).await?;
        tx.commit().await.map_err(fail)
    }

    /// Writes a new version. Refused when somebody else wrote one meanwhile.
    pub async fn pipeline_update(
        &self,
        permit: &Permit,
        pipeline: &Pipeline,
        after: &[String],
    ) -> Result<()> {
        permit.require(KEEPERS)?;
        let mut tx = self.db.begin().await?;
        let done = sqlx::query(
            "UPDATE pipeline SET name = $1, entry = $2, source = $3, version = $4, due_at = $5, body = $6 WHERE id = $7 AND version = $8",
        )
        .bind(pipeline.name.as_str())
        .bind(pipeline.entry.as_str())
        .bind(pipeline.source.as_str())
        .bind(pipeline.version)
        .bind(pipeline.due.as_str())
        .bind(to_json(pipeline)?)
        .bind(pipeline.id.as_str())
        .bind(pipeline.version - 1)
        .execute(&mut *tx)
        .await
        .map_err(|e| taken(e, pipeline))?;
        if done.rows_affected() != 1 {
            return Err(Error::new(
                Code::Stale,
                "该管道已被他人修改，请取最新版本后重新编辑",
                "somebody else changed this pipeline meanwhile: take the newest version and edit again",
            ));
        }
        write_version(&mut tx, pipeline, after).await?;
        tx.commit().await.map_err(fail)
    }

    /// Says whether a pipeline shall run, and when its next turn is.
    pub async fn pipeline_wish(
        &self,
        permit: &Permit,
        id: &str,
        wish: PipelineWish,
        due: &str,
    ) -> Result<()> {
        permit.require(KEEPERS)?;
        let done = sqlx::query("UPDATE pipeline SET wish = $1, due_at = $2 WHERE id = $3")
            .bind(wish.as_str())
            .bind(due)
            .bind(id)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(missing(id)) }
    }

    /// Takes a pipeline away with its versions and turns, unless one is running. What it brought stays.
    pub async fn pipeline_delete(&self, permit: &Permit, id: &str) -> Result<()> {
        permit.require(KEEPERS)?;
        let mut tx = self.db.begin().await?;
        let gone = sqlx::query(
            "DELETE FROM pipeline WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM pipeline_turn WHERE pipeline = $1 AND state = 'running')",
        )
        .bind(id)
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        if gone.rows_affected() != 1 {
            return Err(Error::new(
                Code::WrongState,
                "管道正在运行，请等本次运行结束后再移除",
                "the pipeline is running: wait for the end of this turn, then remove it",
            ));
        }
        for sql in [
            "DELETE FROM pipeline_turn WHERE pipeline = $1",
            "DELETE FROM pipeline_version WHERE pipeline = $1",
            "DELETE FROM pipeline_after WHERE pipeline = $1",
        ] {
            sqlx::query(sql).bind(id).execute(&mut *tx).await.map_err(fail)?;
        }
        tx.commit().await.map_err(fail)
    }

    /// One pipeline.
    pub async fn pipeline_get(&self, id: &str) -> Result<Option<Pipeline>> {
        sqlx::query(AssertSqlSafe(format!("{PIPELINE} WHERE id = $1")))
            .bind(id)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .as_ref()
            .map(pipeline_of)
            .transpose()
    }

    /// The pipeline of that name in an organisation.
    pub async fn pipeline_named(&self, org: &str, name: &str) -> Result<Option<Pipeline>> {
        sqlx::query(AssertSqlSafe(format!("{PIPELINE} WHERE org = $1 AND name = $2")))
            .bind(org)
            .bind(name)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .as_ref()
            .map(pipeline_of)
            .transpose()
    }

    /// Pipelines after `after` by id; of an organisation when given.
    pub async fn pipeline_list(
        &self,
        org: Option<&str>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Pipeline>> {
        let mut clause = Clause::default();
        if let Some(org) = org {
            clause.and_text("org =", org);
        }
        if let Some(after) = after {
            clause.and_text("id >", after);
        }
        let sql = format!("{PIPELINE}{} ORDER BY id LIMIT {}", clause.sql(), page(limit));
        self.db.rows(sql, &clause).await?.iter().map(pipeline_of).collect()
    }

    /// Running pipelines whose turn has come, those that wait longest first.
    pub async fn pipelines_due(&self, now: &str, limit: u32) -> Result<Vec<Pipeline>> {
        let sql = format!(
            "{PIPELINE} WHERE wish = 'run' AND due_at > '' AND due_at <= $1 ORDER BY due_at, id LIMIT {}",
            page(limit)
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(now)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(pipeline_of)
            .collect()
    }

    /// Pipelines that bring rows to an entry (there are few).
    pub async fn pipelines_of_entry(&self, entry: &str) -> Result<Vec<Pipeline>> {
        self.pipelines_where("entry", entry).await
    }

    /// Pipelines that read a stored source (the first hundred).
    pub async fn pipelines_of_source(&self, source: &str) -> Result<Vec<Pipeline>> {
        self.pipelines_where("source", source).await
    }

    /// Pipelines of that name, whoever has them (the first hundred).
    pub async fn pipelines_named(&self, name: &str) -> Result<Vec<Pipeline>> {
        self.pipelines_where("name", name).await
    }

    async fn pipelines_where(&self, column: &'static str, value: &str) -> Result<Vec<Pipeline>> {
        let sql = format!("{PIPELINE} WHERE {column} = $1 ORDER BY id LIMIT 100");
        sqlx::query(AssertSqlSafe(sql))
            .bind(value)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(pipeline_of)
            .collect()
    }

    /// Pipelines of an organisation that run after one of that name.
    pub async fn pipelines_after(&self, org: &str, upstream: &str) -> Result<Vec<Pipeline>> {
        let sql = format!(
            "{PIPELINE} WHERE id IN (SELECT pipeline FROM pipeline_after WHERE org = $1 AND upstream = $2) ORDER BY id LIMIT 1000"
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(org)
            .bind(upstream)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(pipeline_of)
            .collect()
    }

    /// What a pipeline waits for: names in its organisation.
    pub async fn pipeline_upstreams(&self, pipeline: &str) -> Result<Vec<String>> {
        sqlx::query("SELECT upstream FROM pipeline_after WHERE pipeline = $1 ORDER BY upstream")
            .bind(pipeline)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| text(row, "upstream"))
            .collect()
    }

    /// Versions, newest first.
    pub async fn pipeline_versions(
        &self,
        pipeline: &str,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<PipelineVersion>> {
        let sql = format!(
            "SELECT body FROM pipeline_version WHERE pipeline = $1 AND version < $2 ORDER BY version DESC LIMIT {}",
            page(limit)
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(pipeline)
            .bind(before.unwrap_or(i64::MAX))
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| json(row, "body"))
            .collect()
    }

    /// One version.
    pub async fn pipeline_version(
        &self,
        pipeline: &str,
        version: i64,
    ) -> Result<Option<PipelineVersion>> {
        sqlx::query("SELECT body FROM pipeline_version WHERE pipeline = $1 AND version = $2")
            .bind(pipeline)
            .bind(version)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| json(&row, "body"))
            .transpose()
    }

    /// Keeps a secret that files name; the room seals it.
    pub async fn pipeline_secret_set(
        &self,
        permit: &Permit,
        org: &str,
        name: &str,
        sealed: &str,
        at: &str,
    ) -> Result<()> {
        permit.require(KEEPERS)?;
        sqlx::query(
            "INSERT INTO pipeline_secret (org, name, sealed, body) VALUES ($1, $2, $3, $4)
             ON CONFLICT (org, name) DO UPDATE SET sealed = excluded.sealed, body = excluded.body",
        )
        .bind(org)
        .bind(name)
        .bind(sealed)
        .bind(at)
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// Takes a secret away; answers whether it was there.
    pub async fn pipeline_secret_delete(
        &self,
        permit: &Permit,
        org: &str,
        name: &str,
    ) -> Result<bool> {
        permit.require(KEEPERS)?;
        let done = sqlx::query("DELETE FROM pipeline_secret WHERE org = $1 AND name = $2")
            .bind(org)
            .bind(name)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(done.rows_affected() == 1)
    }

    /// A sealed secret.
    pub async fn pipeline_secret(&self, org: &str, name: &str) -> Result<Option<String>> {
        sqlx::query("SELECT sealed FROM pipeline_secret WHERE org = $1 AND name = $2")
            .bind(org)
            .bind(name)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| text(&row, "sealed"))
            .transpose()
    }

    /// Names of an organisation's secrets with the time they were set.
    pub async fn pipeline_secrets(&self, org: &str) -> Result<Vec<(String, String)>> {
        sqlx::query(
            "SELECT name, body FROM pipeline_secret WHERE org = $1 ORDER BY name LIMIT 1000",
        )
        .bind(org)
        .fetch_all(self.db.pool())
        .await
        .map_err(fail)?
        .iter()
        .map(|row| Ok((text(row, "name")?, text(row, "body")?)))
        .collect()
    }
}

async fn write_version(
    tx: &mut Transaction<'static, Any>,
    pipeline: &Pipeline,
    after: &[String],
) -> Result<()> {
    let version = PipelineVersion {
        version: pipeline.version,
        file: pipeline.file.clone(),
        at: pipeline.updated_at.clone(),
        by: pipeline.updated_by.clone(),
    };
    sqlx::query("INSERT INTO pipeline_version (pipeline, version, body) VALUES ($1, $2, $3)")
        .bind(pipeline.id.as_str())
        .bind(pipeline.version)
        .bind(to_json(&version)?)
        .execute(&mut **tx)
        .await
        .map_err(fail)?;
    sqlx::query("DELETE FROM pipeline_after WHERE pipeline = $1")
        .bind(pipeline.id.as_str())
        .execute(&mut **tx)
        .await
        .map_err(fail)?;
    for upstream in after {
        sqlx::query(
            "INSERT INTO pipeline_after (pipeline, org, upstream) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        )
        .bind(pipeline.id.as_str())
        .bind(pipeline.org.as_str())
        .bind(upstream.as_str())
        .execute(&mut **tx)
        .await
        .map_err(fail)?;
    }
    Ok(())
}

fn pipeline_of(row: &AnyRow) -> Result<Pipeline> {
    let mut pipeline: Pipeline = json(row, "body")?;
    if let Some(wish) = PipelineWish::parse(&text(row, "wish")?) {
        pipeline.wish = wish;
    }
    pipeline.due = text(row, "due_at")?;
    Ok(pipeline)
}

fn taken(e: sqlx::Error, pipeline: &Pipeline) -> Error {
    on_duplicate(
        e,
        &format!("本单位已有名为 `{}` 的管道，请换一个名称", pipeline.name),
        &format!(
            "your organisation has a pipeline called `{}` already, choose another name",
            pipeline.name
        ),
    )
}

fn missing(id: &str) -> Error {
    Error::not_found("数据管道", "pipeline", id)
}
