//! Data sources of departments in the control store. The URL with its password rests sealed; it leaves this file as
//! it rests, and only the room that holds the keys opens it.

use model::source::DataSource;
use model::{Error, Result};
use policy::{Action, Permit};

use crate::Store;
use crate::db::{fail, json, on_duplicate, text, to_json};

const WRITERS: &[Action] = &[Action::DataCollect, Action::OutflowKeep];

impl Store {
    /// Enters a source. `Duplicate` when the organisation has one of that name.
    pub async fn source_insert(
        &self,
        permit: &Permit,
        source: &DataSource,
        url_sealed: &str,
    ) -> Result<()> {
        permit.require(WRITERS)?;
        sqlx::query(
            "INSERT INTO source (id, org, name, url_sealed, body) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(source.id.as_str())
        .bind(source.org.as_str())
        .bind(source.name.as_str())
        .bind(url_sealed)
        .bind(to_json(source)?)
        .execute(self.db.pool())
        .await
        .map_err(|e| taken(e, source))?;
        Ok(())
    }

    /// Writes a source anew; its URL only when one is given.
    pub async fn source_update(
        &self,
        permit: &Permit,
        source: &DataSource,
        url_sealed: Option<&str>,
    ) -> Result<()> {
        permit.require(WRITERS)?;
        let done = sqlx::query(
            "UPDATE source SET name = $1, body = $2, url_sealed = COALESCE($3, url_sealed) WHERE id = $4",
        )
        .bind(source.name.as_str())
        .bind(to_json(source)?)
        .bind(url_sealed)
        .bind(source.id.as_str())
        .execute(self.db.pool())
        .await
        .map_err(|e| taken(e, source))?;
        if done.rows_affected() == 1 {
            return Ok(());
        }
        Err(Error::not_found("数据源", "data source", &source.id))
    }

    /// Takes a source away with its secret.
    pub async fn source_delete(&self, permit: &Permit, id: &str) -> Result<()> {
        permit.require(WRITERS)?;
        sqlx::query("DELETE FROM source WHERE id = $1")
            .bind(id)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(())
    }

    /// A source with its sealed URL.
    pub async fn source_get(&self, id: &str) -> Result<Option<(DataSource, String)>> {
        sqlx::query("SELECT body, url_sealed FROM source WHERE id = $1")
            .bind(id)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| Ok((json(&row, "body")?, text(&row, "url_sealed")?)))
            .transpose()
    }

    /// Sources of an organisation by name (a department has few).
    pub async fn sources_of(&self, org: &str) -> Result<Vec<DataSource>> {
        sqlx::query("SELECT body FROM source WHERE org = $1 ORDER BY name LIMIT 1000")
            .bind(org)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| json(row, "body"))
            .collect()
    }
}

fn taken(e: sqlx::Error, source: &DataSource) -> Error {
    on_duplicate(
        e,
        &format!("本单位已有名为 `{}` 的数据源，请换一个名称", source.name),
        &format!(
            "your organisation has a data source called `{}` already, choose another name",
            source.name
        ),
    )
}
