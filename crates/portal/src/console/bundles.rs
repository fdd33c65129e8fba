//! Forms that were filed: the list, one with its progress line and parts, and what follows a decision (completing,
//! disputing, feedback).

use std::sync::Arc;

use app::basket::Amend;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Multipart, Path, State};
use axum::routing::{get, post};
use minijinja::{Value, context};
use model::basket::{BundleKind, Want};
use model::flow::Phase;
use model::{Error, Kind};

use crate::console::{PAGE, done, next_link};
use crate::form::Posted;
use crate::items;
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/bundles", get(list))
        .route("/console/bundles/{id}", get(detail))
        .route("/console/bundles/{id}/feedback", post(feedback))
        .route("/console/bundles/{id}/withdraw", post(withdraw))
        .route("/console/bundles/{id}/files", post(attach).layer(DefaultBodyLimit::disable()))
        .route("/console/parts/{id}/amend", post(amend))
        .route("/console/parts/{id}/dispute", post(dispute))
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let filter = app::basket::BundleFilter {
        org: None,
        applicant: None,
        kind: visit.q("kind").and_then(BundleKind::parse),
        after: visit.q("after").map(str::to_owned),
        limit: PAGE,
    };
    let page = app::basket::bundles(&door.app, &visit.op, &filter).await?;
    let rows: Vec<Value> = page
        .items
        .iter()
        .map(|b| context! { bundle => value(b), progress => value(b.progress()) })
        .collect();
    let context = context! {
        rows, kind => visit.q("kind"), next => next_link(&visit, "after", page.next.as_deref()),
        done => visit.q("done"),
    };
    door.page(&visit, "console/bundles.html", context).await
}

async fn detail(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let bundle = app::basket::bundle(app, op, &id).await?;
    let follows = app::basket::follows(app, op, &bundle);
    let mut parts = Vec::new();
    for part in &bundle.parts {
        let seen = match app::approval::get(app, op, &part.approval).await {
            Ok(seen) => Some(seen),
            Err(e) if e.kind() == Kind::NotFound => None,
            Err(e) => return Err(e.into()),
        };
        let may_amend = follows && part.phase == Phase::Returned;
        let wanted = match may_amend {
            true => items::of_entry(&door, &visit, &part.asset.id, part.want.items()).await?,
            false => Vec::new(),
        };
        let missing = seen.as_ref().map(|s| s.state.missing.clone()).unwrap_or_default();
        parts.push(context! {
            part => value(part), state => part.state(), percent => part.done(), way => part.want.word(),
            items => part.want.items().len(), wanted, missing,
            may_dispute => follows && part.phase == Phase::Refused && matches!(part.flow.as_str(), "share" | "asset"),
            may_amend,
        });
    }
    let progress = bundle.progress();
    let granted = bundle
        .parts
        .iter()
        .any(|p| p.phase == Phase::Approved && matches!(p.want, Want::Api { .. }));
    let context = context! {
        bundle => value(&bundle), parts, follows,
        may_withdraw => follows && progress.running + progress.returned > 0,
        may_build => follows && granted,
        may_attach => follows && progress.running + progress.returned > 0,
        file_rules => super::basket::file_rules(&door),
        may_feedback => follows && progress.state == "feedback-pending",
        progress => value(&progress), done => visit.q("done"),
    };
    door.page(&visit, "console/bundle.html", context).await
}

async fn attach(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    mut multipart: Multipart,
) -> Answer {
    super::basket::take_in(&door, &visit, &mut multipart, Some(&id)).await?;
    done(&format!("/console/bundles/{id}"), "attached")
}

async fn feedback(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let (effect, score) = (posted.get("effect"), posted.number("score")?);
    let solved = posted.ticked("solved");
    app::basket::feedback(&door.app, &visit.op, &id, effect, score, solved).await?;
    done(&format!("/console/bundles/{id}"), "feedback")
}

async fn withdraw(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    app::basket::withdraw(&door.app, &visit.op, &id, posted.get("opinion")).await?;
    done(&format!("/console/bundles/{id}"), "withdraw")
}

async fn amend(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let (bundle, part) = app::basket::part(app, op, &id).await?;
    let mut want = part.want.clone();
    let kept: Vec<String> = posted.all("items").map(str::to_owned).collect();
    match &mut want {
        Want::Api { items, calls_per_day, .. } => {
            *items = kept;
            *calls_per_day = posted.number("calls")?;
        }
        Want::Batch { items, destination, .. } => {
            *items = kept;
            posted.get("destination").clone_into(destination);
        }
        Want::Use { detail, .. }
        | Want::Cloud { detail, .. }
        | Want::Need { detail, .. }
        | Want::Object { detail, .. } => {
            posted.get("detail").clone_into(detail);
        }
    }
    let change = Amend { want, opinion: posted.get("opinion").to_owned() };
    app::basket::amend(app, op, &id, change).await?;
    done(&format!("/console/bundles/{}", bundle.id), "resubmit")
}

async fn dispute(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let detail = posted.get("detail");
    if detail.is_empty() {
        let error = Error::invalid("请写明争议的理由", "say why the refusal is disputed");
        return Err(error.field("detail", "必填", "required").into());
    }
    let bundle = app::basket::dispute(&door.app, &visit.op, &id, detail).await?;
    done(&format!("/console/bundles/{}", bundle.id), "dispute")
}
