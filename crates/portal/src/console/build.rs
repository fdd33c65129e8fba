//! What a team builds with: a form's granted interfaces with key, description, sample code and synthetic rows.

use std::sync::Arc;

use app::production::{self, LANGUAGES, Pack};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{self, HeaderValue};
use axum::response::IntoResponse;
use axum::routing::get;
use minijinja::{Value, context};
use model::Error;

use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/bundles/{id}/build", get(page))
        .route("/console/bundles/{id}/openapi.json", get(openapi))
        .route("/console/bundles/{id}/pack.zip", get(archive))
        .route("/console/bundles/{id}/sandbox.csv", get(csv))
        .route("/console/bundles/{id}/sandbox.json", get(json))
}

async fn pack(door: &Door, visit: &Visit, id: &str) -> model::Result<Pack> {
    production::pack(&door.app, &visit.op, id).await
}

async fn page(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let pack = pack(&door, &visit, &id).await?;
    let url = door.gateway(&visit);
    let resources: Vec<Value> = pack
        .resources
        .iter()
        .map(|r| {
            let samples: Vec<Value> = LANGUAGES
                .iter()
                .map(|l| {
                    let text = production::sample(l, &pack, r, &url);
                    context! { id => l.id, name => l.name, file => l.file, run => l.run, text }
                })
                .collect();
            let columns: Vec<Value> = r
                .columns
                .iter()
                .map(|c| {
                    context! { identifier => &c.identifier, name => &c.name_cn, data_type => c.data_type.as_str(),
                        grade => c.grade.as_str(), mask => c.mask.as_ref().map(model::mask::Mask::label) }
                })
                .collect();
            let rows: Vec<Value> = r.rows.iter().take(5).map(value).collect();
            context! {
                code => &r.entry.draft.code, title => &r.entry.draft.title, calls_per_day => r.calls_per_day,
                expires_at => &r.expires_at, endpoint => format!("{url}/api/v1/{}", r.entry.draft.code),
                columns, rows, samples,
            }
        })
        .collect();
    let context = context! {
        id, name => &pack.name, application => value(&pack.application), resources,
    };
    door.page(&visit, "console/build.html", context).await
}

async fn openapi(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let pack = pack(&door, &visit, &id).await?;
    production::taken(&door.app, &visit.op, &pack, "openapi").await?;
    let described = production::openapi(&pack, &door.gateway(&visit));
    let bytes = serde_json::to_vec_pretty(&described)
        .map_err(|e| Error::internal("cannot write JSON").caused_by(e))?;
    file(bytes, "application/json", "openapi.json")
}

async fn archive(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let pack = pack(&door, &visit, &id).await?;
    let bytes = production::archive(&pack, &door.gateway(&visit))?;
    production::taken(&door.app, &visit.op, &pack, "pack").await?;
    file(bytes, "application/zip", "pack.zip")
}

async fn csv(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    sandbox(&door, &visit, &id, false).await
}

async fn json(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    sandbox(&door, &visit, &id, true).await
}

async fn sandbox(door: &Door, visit: &Visit, id: &str, json: bool) -> Answer {
    let pack = pack(door, visit, id).await?;
    let code = visit.q("code").unwrap_or_default();
    let resource = match code {
        "" => pack.resources.first(),
        code => pack.resource(code),
    };
    let resource = resource.ok_or_else(|| Error::not_found("资源", "resource", code))?;
    if json {
        return file(production::as_json(resource)?, "application/json", "sandbox.json");
    }
    file(production::as_csv(resource)?, "text/csv; charset=utf-8", "sandbox.csv")
}

fn file(bytes: Vec<u8>, kind: &'static str, name: &'static str) -> Answer {
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""))
        .map_err(|e| Error::internal("header").caused_by(e))?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_DISPOSITION, disposition),
    ];
    Ok((headers, bytes).into_response())
}
