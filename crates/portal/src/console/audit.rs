//! Audit: records newest first with filters, verification of the chain, export.

use std::sync::Arc;

use app::{Action, Target};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use minijinja::context;
use model::audit::{AuditFilter, AuditVerdict};
use model::{Code, Error, Result};

use crate::console::{PAGE, next_link};
use crate::form::Posted;
use crate::site::attachment;
use crate::view::value;
use crate::visit::{Visit, encode};
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/audit", get(list))
        .route("/console/audit/verify", post(verify))
        .route("/console/audit.csv", get(export))
}

const FILTERS: [&str; 6] = ["actor", "action", "object", "result", "from", "to"];

fn filter(visit: &Visit) -> Result<AuditFilter> {
    let text = |name: &str| visit.q(name).map(str::to_owned);
    let before = visit
        .q("before")
        .map(|b| {
            b.parse::<i64>().map_err(|_| {
                Error::new(
                    Code::InvalidQuery,
                    "`before` 应为记录序号",
                    "`before` must be a record's number",
                )
            })
        })
        .transpose()?;
    Ok(AuditFilter {
        actor: text("actor"),
        action: text("action"),
        object: text("object"),
        result: text("result"),
        from: text("from"),
        to: text("to"),
        before,
        limit: PAGE,
    })
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    page(&door, &visit, None).await
}

async fn page(door: &Door, visit: &Visit, verdict: Option<AuditVerdict>) -> Answer {
    let filter = filter(visit)?;
    let records = app::audit::list(&door.app, &visit.op, &filter).await?;
    // A full page has a next one; the last record's number is its key.
    let next = records.last().filter(|_| records.len() >= PAGE as usize).map(|r| r.seq.to_string());
    let kept: Vec<String> = FILTERS
        .iter()
        .filter_map(|name| visit.q(name).map(|v| format!("{name}={}", encode(v))))
        .collect();
    let context = context! {
        records => value(&records), filter => value(&filter), verdict => value(&verdict),
        next => next_link(visit, "before", next.as_deref()),
        export => format!("/console/audit.csv?{}", kept.join("&")),
        may_export => door.app.may(&visit.op, Action::AuditExport, &Target::plain("Audit", "")),
    };
    door.page(visit, "console/audit.html", context).await
}

async fn verify(State(door): State<Arc<Door>>, visit: Visit, _posted: Posted) -> Answer {
    let verdict = app::audit::verify(&door.app, &visit.op).await?;
    page(&door, &visit, Some(verdict)).await
}

async fn export(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let csv = app::audit::export(&door.app, &visit.op, &filter(&visit)?).await?;
    let body = Body::from_stream(csv);
    Ok((attachment("audit.csv", "text/csv; charset=utf-8"), body).into_response())
}
