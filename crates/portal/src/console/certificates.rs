//! Certificates of an application: by one of them it may call over TLS without signing.

use std::sync::Arc;

use app::account;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use minijinja::context;
use model::{Error, Kind};

use crate::console::done;
use crate::form::Posted;
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/applications/{id}/certificates", get(show).post(add))
        .route("/console/applications/{id}/certificates/remove", post(remove))
}

async fn show(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    page(&door, &visit, &id, None).await
}

async fn page(door: &Door, visit: &Visit, id: &str, wrong: Option<(&Error, &Posted)>) -> Answer {
    let application = account::application(&door.app, &visit.op, id).await?;
    let certificates = account::certificates(&door.app, &visit.op, id).await?;
    let context = context! {
        application => value(&application), certificates => value(&certificates), gateway => door.gateway(visit),
        name => wrong.map(|(_, p)| p.get("name").to_owned()),
        certificate => wrong.map(|(_, p)| p.get("certificate").to_owned()),
        error => wrong.map(|(e, _)| visit.t(e.zh(), e.en())),
        code => wrong.map(|(e, _)| e.code().as_str()),
        fields => value(wrong.map(|(e, _)| e.fields()).unwrap_or_default()),
        done => visit.q("done"),
    };
    door.page_with(
        visit,
        "console/application_certificates.html",
        context,
        wrong.map(|(error, _)| error),
    )
    .await
}

async fn add(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let (name, given) = (posted.get("name"), posted.get("certificate"));
    match account::certificate_add(&door.app, &visit.op, &id, name, given).await {
        Ok(_) => done(&format!("/console/applications/{id}/certificates"), "saved"),
        Err(e) if matches!(e.kind(), Kind::Invalid | Kind::Conflict) => {
            page(&door, &visit, &id, Some((&e, &posted))).await
        }
        Err(e) => Err(e.into()),
    }
}

async fn remove(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    account::certificate_remove(&door.app, &visit.op, &id, posted.get("thumbprint")).await?;
    done(&format!("/console/applications/{id}/certificates"), "removed")
}
