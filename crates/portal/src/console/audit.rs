//! Audit: records newest first with filters, verification of the chain, export, seals with their time stamps, and proofs.

use std::sync::Arc;

use app::audit::PART;
use app::{Action, Target};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use minijinja::{Value, context};
use model::audit::{AuditFilter, AuditVerdict};
use model::evidence::Sealed;
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
        .route("/console/audit/seals", get(seals))
        .route("/console/audit/seals/{number}", get(seal))
        .route("/console/audit/seals/{number}/stamp", get(stamp))
        .route("/console/audit/proof", get(proof))
}

const FILTERS: [&str; 6] = ["actor", "action", "object", "result", "from", "to"];

fn filter(visit: &Visit) -> Result<AuditFilter> {
    let text = |name: &str| visit.q(name).map(str::to_owned);
    let before = visit.q("before").map(number).transpose()?;
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
    let people = app::audit::people(&door.app, &visit.op, &records).await?;
    // Of a file that left in part: which bytes of how many were asked for.
    let part = |scope: &str| scope.strip_prefix(PART).map(|bytes| bytes.trim().to_owned());
    let records: Vec<Value> = records
        .iter()
        .map(|r| {
            let event = &r.event;
            context! { shown => people.get(&event.actor), part => part(&event.scope), ..value(r) }
        })
        .collect();
    let context = context! {
        records, actions => Action::ALL.iter().map(|a| a.as_str()).collect::<Vec<_>>(), filter => value(&filter), verdict => value(&verdict),
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

async fn seals(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let before = visit.q("before").map(number).transpose()?;
    let page = app::evidence::seals(&door.app, &visit.op, before, PAGE).await?;
    let context = context! {
        seals => value(&page.items), next => next_link(&visit, "before", page.next.as_deref()),
        may_export => door.app.may(&visit.op, Action::AuditExport, &Target::plain("Audit", "")),
        stamping => app::evidence::stamping(&door.app),
        signing => app::evidence::signing(&door.app).as_str(),
    };
    door.page(&visit, "console/audit_seals.html", context).await
}

/// A seal's statement, as a file.
async fn seal(State(door): State<Arc<Door>>, visit: Visit, Path(word): Path<String>) -> Answer {
    let kept = sealed(&door, &visit, &word).await?;
    let file = format!("seal-{}.txt", kept.seal.number);
    Ok((attachment(&file, "text/plain; charset=utf-8"), kept.statement).into_response())
}

/// The token of a seal's time stamp, as a file that other programs read, too.
async fn stamp(State(door): State<Arc<Door>>, visit: Visit, Path(word): Path<String>) -> Answer {
    let kept = sealed(&door, &visit, &word).await?;
    let stamp =
        kept.stamp.ok_or_else(|| Error::not_found("时间戳", "time stamp of seal", &word))?;
    let token = app::evidence::stamp_token(&stamp)?;
    let file = format!("seal-{}.tst", kept.seal.number);
    Ok((attachment(&file, "application/vnd.etsi.timestamp-token"), token).into_response())
}

async fn sealed(door: &Door, visit: &Visit, word: &str) -> Result<Sealed> {
    let wanted = number(word)?;
    let page = app::evidence::seals(&door.app, &visit.op, wanted.checked_add(1), 1).await?;
    let found = page.items.into_iter().find(|kept| kept.seal.number == wanted);
    found.ok_or_else(|| Error::not_found("签章", "seal", word))
}

async fn proof(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let record = number(visit.q("record").unwrap_or_default())?;
    let proof = app::evidence::proof(&door.app, &visit.op, record).await?;
    let name = attachment(&format!("proof-{record}.json"), "application/json; charset=utf-8");
    Ok((name, axum::Json(proof)).into_response())
}

fn number(word: &str) -> Result<i64> {
    word.trim().parse().map_err(|_| {
        let (zh, en) = ("序号应为正整数", "a number is expected");
        Error::new(Code::InvalidQuery, zh, en).field("record", zh, en)
    })
}
