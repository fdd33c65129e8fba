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
use model::harvest::{Distribution, HarvestOrigin};
use model::{Error, Result};
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

/// A data set that another catalogue brought: it has no table here.
pub(crate) struct Brought {
    pub(crate) dataset: Dataset,
    pub(crate) origin: HarvestOrigin,
}

impl Brought {
    /// The ways to its data at the source, by the name each has in a description. What is no address of the web is left out.
    fn ways(&self) -> impl Iterator<Item = (String, &Distribution)> {
        self.origin.ways().enumerate().map(|(n, (way, _))| (format!("origin-{}", n + 1), way))
    }
}

/// Links of a declaration as ways to the data, by the name each has in a description. Of what is open under conditions there are none.
fn links(dataset: &Dataset) -> impl Iterator<Item = (String, Distribution)> {
    let ways = dataset.entry.draft.profile.ways().enumerate();
    ways.map(|(n, (way, _))| (format!("link-{}", n + 1), way))
}

/// The title of a way: its own, or the data set's.
fn title<'a>(dataset: &'a Dataset, way: &'a Distribution) -> &'a str {
    match way.title.trim() {
        "" => dataset.entry.draft.title.as_str(),
        title => title,
    }
}

impl Table {
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
    described(
        state,
        path,
        request,
        "application/json",
        frictionless::package,
        frictionless::brought,
    )
    .await
}

async fn schema(state: State<Door>, path: Path<String>, request: Request) -> Response {
    let none = |brought: &Brought, _: &str| {
        let code = &brought.dataset.entry.draft.code;
        Err(Error::not_found(
            "数据表（数据由来源平台提供，本平台没有其数据表）",
            "a table (its data are at the source)",
            code,
        ))
    };
    let own = |table: &Table, _: &str| frictionless::schema(table);
    described(state, path, request, "application/json", own, none).await
}

async fn croissant(state: State<Door>, path: Path<String>, request: Request) -> Response {
    let brought = |brought: &Brought, base: &str| Ok(croissant::brought(brought, base));
    described(state, path, request, "application/ld+json", croissant::describe, brought).await
}

/// One description of one data set: of its table, or of one that another catalogue brought.
async fn described(
    State(door): State<Door>,
    Path(id): Path<String>,
    request: Request,
    kind: &'static str,
    write: impl Fn(&Table, &str) -> Value,
    brought: impl Fn(&Brought, &str) -> Result<Value>,
) -> Response {
    let (parts, _) = request.into_parts();
    let op = match anybody(&parts, &door).await {
        Ok(op) => op,
        Err(refusal) => return refusal.into_response(),
    };
    let base = &door.config.public_url;
    let told = async {
        let dataset = opening::found(&door.app, &op, &id).await?;
        let code = dataset.entry.draft.code.as_str();
        let origin = app::harvest::origin(&door.app, code).await?;
        if let Some(origin) = origin {
            return brought(&Brought { dataset, origin }, base);
        }
        let columns = opening::columns(&door.app, &op, code).await?;
        Ok(write(&Table { dataset, columns }, base))
    };
    let response = match told.await {
        Ok(told) => {
            let kind = [(header::CONTENT_TYPE, HeaderValue::from_static(kind))];
            (kind, told.to_string()).into_response()
        }
        Err(e) => Refusal::new(e, &op).into_response(),
    };
    answer::told_by(response, &op)
}
