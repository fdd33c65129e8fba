//! The interface of a data set: endpoint, parameters, samples, and a form to try it without writing a program.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use minijinja::context;
use model::query::RowPage;
use model::{Error, Result};
use serde_json::{Map, Value};

use crate::view::value;
use crate::visit::{Inner, Visit};
use crate::{Answer, Door, rows};

/// Rows of one try, and the most a visitor may ask for.
const TRY_ROWS: u64 = 5;
const TRY_MOST: u64 = 100;

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new().route("/data/{code}/api", get(page))
}

async fn page(State(door): State<Arc<Door>>, Path(code): Path<String>, visit: Visit) -> Answer {
    let dataset = app::opening::dataset(&door.app, &visit.op, &code).await?;
    let draft = &dataset.entry.draft;
    let endpoint = format!("{}/api/v1/{}", door.gateway(&visit), draft.code);
    let query = rows::query(&visit, draft, TRY_ROWS, TRY_MOST);
    let url = match &query {
        Ok(query) => format!("{endpoint}?{}", rows::dialect(query)),
        Err(_) => endpoint.clone(),
    };
    let (answer, trouble) = if visit.q("try").is_some() && dataset.free {
        match asked(&door, &visit, &code, query).await {
            Ok(answer) => (Some(answer), None),
            Err(error) => (
                None,
                Some(context! {
                    code => error.code().as_str(), status => error.kind().status(),
                    text => visit.t(error.zh(), error.en()),
                }),
            ),
        }
    } else {
        (None, None)
    };
    let selected: Vec<String> = visit.qs("select").map(str::to_owned).collect();
    let context = context! {
        dataset => value(&dataset), entry => value(&dataset.entry), items => value(&draft.items),
        endpoint, url, answer, trouble, selected,
        api_path => format!("/api/v1/{}", draft.code),
        first => draft.items.first().map(|i| i.identifier.clone()),
        tried => visit.q("try").is_some(),
        col => visit.q("col"), op => visit.q("op"), val => visit.q("val"), to => visit.q("to"),
        order => visit.q("order"), limit => visit.q("limit").unwrap_or("5"),
    };
    door.page(&visit, "site/api.html", context).await
}

/// The gate's own answer to nobody in particular: what any program without a key would read.
async fn asked(
    door: &Door,
    visit: &Inner,
    code: &str,
    query: Result<model::query::RowQuery>,
) -> Result<String> {
    let release = app::sharing::query(&door.app, &visit.public_op(), code, &query?).await?;
    as_json(&release.page)
}

fn as_json(page: &RowPage) -> Result<String> {
    let told = |e: serde_json::Error| Error::internal(format!("json: {e}"));
    let mut all = Vec::with_capacity(page.rows.len());
    for row in &page.rows {
        let mut object = Map::new();
        for (column, cell) in page.columns.iter().zip(row) {
            object.insert(column.clone(), serde_json::to_value(cell).map_err(told)?);
        }
        all.push(Value::Object(object));
    }
    serde_json::to_string_pretty(&all).map_err(told)
}
