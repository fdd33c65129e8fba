//! Delta Sharing of an application: profile files, tokens, what is shared with it. A token leaves once, inside its profile file.

use std::sync::Arc;

use app::delta::{self, DeltaTokenAsk};
use axum::Router;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use minijinja::context;

use crate::console::done;
use crate::form::Posted;
use crate::site::attachment;
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

/// Ending of profile files.
const PROFILE: &str = "share";

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/applications/{id}/delta", get(show))
        .route("/console/applications/{id}/delta/token", post(make))
        .route("/console/applications/{id}/delta/revoke", post(revoke))
        .route("/console/applications/{id}/delta/oauth.share", get(oauth))
}

async fn show(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let application = app::account::application(app, op, &id).await?;
    let may_manage = delta::may_manage(app, op, &application);
    let page = delta::page(app, op, &id).await?;
    let context = context! {
        application => value(&application), delta => value(&page), may_manage,
        endpoint => format!("{}/delta-sharing", door.config.gateway_url), done => visit.q("done"),
    };
    door.page(&visit, "console/application_delta.html", context).await
}

async fn make(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let days = if posted.get("days").is_empty() { 0 } else { posted.number("days")? };
    let purpose = posted.get("purpose").to_owned();
    let ask = DeltaTokenAsk { days, renew: posted.ticked("renew"), purpose };
    let secret = delta::token(&door.app, &visit.op, &id, &ask).await?;
    let endpoint = format!("{}/delta-sharing", door.config.gateway_url);
    let name = format!("qiantang.{PROFILE}");
    Ok((attachment(&name, "application/json"), secret.profile(&endpoint)).into_response())
}

async fn revoke(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    delta::revoke(&door.app, &visit.op, &id, posted.get("token")).await?;
    done(&format!("/console/applications/{id}/delta"), "revoked")
}

async fn oauth(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let gateway = &door.config.gateway_url;
    let text = delta::oauth_profile(&door.app, &visit.op, &id, gateway).await?;
    Ok((attachment(&format!("qiantang-oauth.{PROFILE}"), "application/json"), text).into_response())
}
