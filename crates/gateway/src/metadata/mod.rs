//! Descriptions of open data sets for programs that read them before the rows: DCAT of one set and of the whole catalogue page by
//! page (with Hydra), Data Package, Croissant, and `data.json`. Anybody may read them; the rows they point to are those of
//! `/datastore/dump`, through its gate.

mod catalog;
mod croissant;
mod datajson;
mod frictionless;

use app::GrantColumn;
use app::opening::{self, Dataset};
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use model::{Op, Result};
use serde_json::Value;

use crate::Door;
use crate::answer::{self, Refusal};
use crate::caller::anybody;

pub(crate) use catalog::alone;

pub(crate) fn router() -> Router<Door> {
    Router::new()
        .route("/catalog.ttl", get(catalog::turtle))
        .route("/catalog.jsonld", get(catalog::json_ld))
        .route("/catalog.rdf", get(catalog::xml))
        .route("/data.json", get(datajson::whole))
        .route("/dataset/{id}", get(catalog::one))
        .route("/dataset/{id}/datapackage.json", get(package))
        .route("/dataset/{id}/schema.json", get(schema))
        .route("/dataset/{id}/croissant.jsonld", get(croissant))
}

/// A data set with the columns that anybody may read of it.
pub(crate) struct Table {
    pub(crate) dataset: Dataset,
    pub(crate) columns: Vec<GrantColumn>,
}

impl Table {
    pub(crate) async fn find(door: &Door, op: &Op, id: &str) -> Result<Self> {
        let dataset = opening::found(&door.app, op, id).await?;
        let columns = opening::columns(&door.app, op, &dataset.entry.draft.code).await?;
        Ok(Self { dataset, columns })
    }

    /// Address of all rows as CSV, with the columns that are described and no others.
    pub(crate) fn csv(&self, base: &str) -> String {
        let names: Vec<&str> = self.columns.iter().map(|c| c.identifier.as_str()).collect();
        let id = &self.dataset.entry.id;
        format!("{base}/datastore/dump/{id}-csv?format=csv&fields={}", names.join(","))
    }

    /// The business key, where all of it is told as it is.
    pub(crate) fn key(&self) -> Vec<&str> {
        let key = self.dataset.entry.draft.key();
        let plain =
            |name: &&str| self.columns.iter().any(|c| c.identifier == **name && c.mask.is_none());
        if key.iter().all(plain) { key } else { Vec::new() }
    }
}

async fn package(state: State<Door>, path: Path<String>, request: Request) -> Response {
    described(state, path, request, "application/json", |table, base| {
        frictionless::package(table, base)
    })
    .await
}

async fn schema(state: State<Door>, path: Path<String>, request: Request) -> Response {
    described(state, path, request, "application/json", |table, _| frictionless::schema(table))
        .await
}

async fn croissant(state: State<Door>, path: Path<String>, request: Request) -> Response {
    described(state, path, request, "application/ld+json", |table, base| {
        croissant::describe(table, base)
    })
    .await
}

/// One description of one data set.
async fn described(
    State(door): State<Door>,
    Path(id): Path<String>,
    request: Request,
    kind: &'static str,
    write: impl Fn(&Table, &str) -> Value,
) -> Response {
    let (parts, _) = request.into_parts();
    let op = match anybody(&parts, &door).await {
        Ok(op) => op,
        Err(refusal) => return refusal.into_response(),
    };
    let response = match Table::find(&door, &op, &id).await {
        Ok(table) => {
            let text = write(&table, &door.config.public_url).to_string();
            ([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], text).into_response()
        }
        Err(e) => Refusal::new(e, &op).into_response(),
    };
    answer::told_by(response, &op)
}
