//! One's own personal tokens: made for a program that hands in drafts by CKAN's actions, shown once on the answer page, taken away.

use std::sync::Arc;

use app::account::{self, PersonalTokenMade};
use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Router, middleware};
use minijinja::{Value, context};
use model::Error;

use crate::console::done;
use crate::fault::mendable;
use crate::form::Posted;
use crate::view::value;
use crate::visit::{self, Visit};
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/account/tokens", get(list).post(make))
        .route("/account/tokens/{id}/revoke", post(revoke))
        .route_layer(middleware::from_fn(visit::signed_in))
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    page(&door, &visit, None, None).await
}

async fn page(
    door: &Door,
    visit: &Visit,
    wrong: Option<(&Error, &Posted)>,
    made: Option<&PersonalTokenMade>,
) -> Answer {
    let now = visit.op.stamp();
    let all = account::personal_tokens(&door.app, &visit.op).await?;
    let tokens: Vec<Value> = all
        .iter()
        .map(|token| context! { token => value(token), over => token.expires_at <= now })
        .collect();
    let context = context! {
        tokens, may_make => account::may_hold_tokens(&door.app, &visit.op),
        made => made.map(|m| context! { name => &m.made.name, token => &m.token, until => &m.made.expires_at }),
        most => account::PERSONAL_DAYS_MOST, gateway => door.gateway(visit),
        form => wrong.map(|(_, p)| context! { name => p.get("name"), days => p.get("days") }),
        error => wrong.map(|(e, _)| visit.t(e.zh(), e.en())),
        code => wrong.map(|(e, _)| e.code().as_str()),
        fields => value(wrong.map(|(e, _)| e.fields()).unwrap_or_default()),
        done => visit.q("done"),
    };
    door.page_with(visit, "account/tokens.html", context, wrong.map(|(error, _)| error)).await
}

async fn make(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    let days = match posted.get("days") {
        // Nobody but who may make one learns what is wrong with the form.
        "" => Ok(0),
        _ => posted.number("days"),
    };
    let made = match days {
        Ok(days) => {
            account::personal_token_make(&door.app, &visit.op, posted.get("name"), days).await
        }
        Err(e) => Err(e),
    };
    match made {
        Ok(made) => page(&door, &visit, None, Some(&made)).await,
        Err(e) if mendable(&e) => page(&door, &visit, Some((&e, &posted)), None).await,
        Err(e) => Err(e.into()),
    }
}

async fn revoke(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    account::personal_token_revoke(&door.app, &visit.op, &id).await?;
    done("/account/tokens", "removed")
}
