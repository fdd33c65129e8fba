//! Applications (应用): register, renew the secret, stop. A secret is shown once, on the answer page, never again.

use std::sync::Arc;

use app::account::applications;
use app::{Action, Target};
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use minijinja::{Value, context};
use model::account::{ApplicationNew, ApplicationSecret};
use model::halt::HaltKind;
use model::{Error, Kind};

use crate::console::done;
use crate::form::Posted;
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/applications", get(list).post(register))
        .route("/console/applications/{id}/renew", post(renew))
        .route("/console/applications/{id}/active", post(set_active))
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    page(&door, &visit, None, None).await
}

async fn page(
    door: &Door,
    visit: &Visit,
    error: Option<(&Error, &Posted)>,
    secret: Option<&ApplicationSecret>,
) -> Answer {
    let all = applications(&door.app, &visit.op).await?;
    door.names.refresh(&door.app).await;
    let org = visit.session()?.user.org.clone();
    let may = |org: &str| app::account::may_register(&door.app, &visit.op, org);
    let mut rows: Vec<Value> = Vec::with_capacity(all.len());
    for a in &all {
        let may_manage =
            door.app.may(&visit.op, Action::ApplicationManage, &Target::application(a));
        let halted = app::halt::of(&door.app, HaltKind::Application, &a.id).await?.is_some();
        rows.push(context! { application => value(a), may_manage, halted });
    }
    let (may_org, may_own) = (org.as_deref().is_some_and(may), may(""));
    let context = context! {
        rows, org, may_org, may_own,
        secret => secret.map(|s| context! {
            application => value(&s.application), secret => &s.secret,
        }),
        error => error.map(|(e, _)| visit.t(e.zh(), e.en()).to_owned()),
        fields => value(error.map(|(e, _)| e.fields()).unwrap_or_default()),
        form => error.map_or(Value::UNDEFINED, |(_, p)| context! {
            name => p.get("name"), description => p.get("description"), whose => p.get("whose"),
        }),
        done => visit.q("done"),
    };
    door.page_with(visit, "console/applications.html", context, error.map(|(error, _)| error)).await
}

async fn register(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    let own = visit.session()?.user.org.clone().unwrap_or_default();
    let may = |org: &str| app::account::may_register(&door.app, &visit.op, org);
    // A citizen's own, when they say so or could register no other; else the organisation's.
    let personal = posted.get("whose") == "own" || (may("") && !may(&own));
    let org = match personal {
        true => String::new(),
        false => own,
    };
    let new = ApplicationNew {
        name: posted.get("name").to_owned(),
        description: posted.get("description").to_owned(),
        org,
    };
    match app::account::register_application(&door.app, &visit.op, new).await {
        Ok(secret) => page(&door, &visit, None, Some(&secret)).await,
        Err(error) if matches!(error.kind(), Kind::Invalid | Kind::Conflict) => {
            page(&door, &visit, Some((&error, &posted)), None).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn renew(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    let secret = app::account::renew_secret(&door.app, &visit.op, &id).await?;
    page(&door, &visit, None, Some(&secret)).await
}

async fn set_active(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let active = posted.ticked("active");
    app::account::set_application_active(&door.app, &visit.op, &id, active).await?;
    done("/console/applications", if active { "opened" } else { "closed" })
}
