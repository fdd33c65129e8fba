//! One's own consents and outside identities, and authorisations over one's own data: given, asked for, used, revoked.

use std::sync::Arc;

use app::{authorisation, identity};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect};
use axum::routing::{get, post};
use axum::{Router, middleware};
use minijinja::{Value, context};
use model::identity::AuthorisationNew;
use model::{Error, Result};

use crate::console::{done, next_link};
use crate::fault::mendable;
use crate::form::Posted;
use crate::view::value;
use crate::visit::{self, Visit, encode};
use crate::{Answer, Door};

/// Authorisations of one page.
const PAGE: u32 = 50;

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/account/consents", get(consents))
        .route("/account/consents/{application}/end", post(withdraw))
        .route("/account/authorisations", get(list).post(give))
        .route("/account/authorisations/{id}", get(one))
        .route("/account/authorisations/{id}/answer", post(answer))
        .route("/account/authorisations/{id}/revoke", post(revoke))
        .route_layer(middleware::from_fn(visit::signed_in))
}

async fn consents(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    door.names.refresh(&door.app).await;
    let consents = identity::consents(&door.app, &visit.op).await?;
    let links = identity::outside_of(&door.app, &visit.op).await?;
    let services: Vec<Value> = identity::services(&door.app)
        .into_iter()
        .map(|s| {
            let linked = links.iter().find(|l| l.service == s.name).map(|l| l.at.clone());
            context! { name => &s.name, title => visit.t(&s.zh, &s.en), linked }
        })
        .collect();
    let context = context! { consents => value(&consents), services, done => visit.q("done") };
    door.page(&visit, "account/consents.html", context).await
}

async fn withdraw(
    State(door): State<Arc<Door>>,
    Path(application): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    identity::withdraw(&door.app, &visit.op, &application).await?;
    done("/account/consents", "withdraw")
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    page(&door, &visit, None).await
}

async fn page(door: &Door, visit: &Visit, wrong: Option<(&Error, &Posted)>) -> Answer {
    door.names.refresh(&door.app).await;
    let before = visit.q("before");
    let own = authorisation::mine(&door.app, &visit.op, before, PAGE).await?;
    let subject = authorisation::subject(&door.app, &visit.op).await?;
    let typed = |name: &str| wrong.map(|(_, p)| p.get(name).to_owned()).unwrap_or_default();
    let context = context! {
        subject => subject.map(|s| value(&s)),
        authorisations => value(&own.items),
        next => next_link(visit, "before", own.next.as_deref()),
        most => door.app.rules.identity.authorisation.days_most,
        form => context! {
            application => typed("application"), entry => typed("entry"), items => typed("items"),
            purpose => typed("purpose"), days => typed("days"),
        },
        error => wrong.map(|(e, _)| visit.t(e.zh(), e.en())),
        code => wrong.map(|(e, _)| e.code().as_str()),
        fields => value(wrong.map(|(e, _)| e.fields()).unwrap_or_default()),
        done => visit.q("done"),
    };
    door.page_with(visit, "account/authorisations.html", context, wrong.map(|(error, _)| error))
        .await
}

/// What was typed: items parted by blanks or commas.
pub(crate) fn typed(posted: &Posted, application: &str) -> Result<AuthorisationNew> {
    let parts = posted.get("items").split(|c: char| c.is_whitespace() || ",，、;；".contains(c));
    Ok(AuthorisationNew {
        application: application.to_owned(),
        entry: posted.get("entry").to_owned(),
        items: parts.filter(|i| !i.is_empty()).map(str::to_owned).collect(),
        purpose: posted.get("purpose").to_owned(),
        days: posted.number("days")?,
    })
}

async fn give(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    let given = match typed(&posted, posted.get("application")) {
        Ok(new) => authorisation::give(&door.app, &visit.op, new).await,
        Err(e) => Err(e),
    };
    match given {
        Ok(given) => to(&given.id, "saved"),
        Err(e) if mendable(&e) => page(&door, &visit, Some((&e, &posted))).await,
        Err(e) => Err(e.into()),
    }
}

fn to(id: &str, word: &str) -> Answer {
    let path = format!("/account/authorisations/{}?done={word}", encode(id));
    Ok(Redirect::to(&path).into_response())
}

async fn one(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    door.names.refresh(&door.app).await;
    let view = authorisation::one(&door.app, &visit.op, &id).await?;
    let letter = visit.t(&view.letter_zh, &view.letter_en);
    let context = context! { v => value(&view), letter, done => visit.q("done") };
    door.page(&visit, "account/authorisation.html", context).await
}

async fn answer(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let agreed = match posted.get("answer") {
        "agree" => true,
        "refuse" => false,
        _ => return Err(Error::invalid("请选择同意或拒绝", "agree or refuse").into()),
    };
    authorisation::answer(&door.app, &visit.op, &id, agreed).await?;
    to(&id, "saved")
}

async fn revoke(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    authorisation::revoke(&door.app, &visit.op, &id).await?;
    to(&id, "revoke")
}
