//! Accounts of people: the list, opening one, closing and reopening.

use std::sync::Arc;

use app::{Action, Target};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use minijinja::{Value, context};
use model::account::{Role, UserNew};
use model::{Error, Kind};

use crate::console::{PAGE, done, next_link};
use crate::form::Posted;
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/users", get(list).post(create))
        .route("/console/users/{id}/active", post(set_active))
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    page(&door, &visit, None).await
}

async fn page(door: &Door, visit: &Visit, error: Option<(&Error, &Posted)>) -> Answer {
    let page = app::account::users(&door.app, &visit.op, visit.q("after"), PAGE).await?;
    door.names.refresh(&door.app).await;
    let context = context! {
        users => value(&page.items), orgs => value(&door.names.get().orgs),
        next => next_link(visit, "after", page.next.as_deref()),
        may_manage => door.app.may(&visit.op, Action::UserManage, &Target::plain("User", "")),
        least => door.app.rules.sign_in.password_min_length,
        error => error.map(|(e, _)| visit.t(e.zh(), e.en()).to_owned()),
        fields => value(error.map(|(e, _)| e.fields()).unwrap_or_default()),
        form => error.map_or(Value::UNDEFINED, |(_, p)| context! {
            name => p.get("name"), display_name => p.get("display_name"), org => p.get("org"),
            roles => p.all("roles").map(str::to_owned).collect::<Vec<_>>(),
        }),
        done => visit.q("done"),
    };
    let mut response = door.page(visit, "console/users.html", context).await?;
    if let Some((error, _)) = error {
        *response.status_mut() =
            StatusCode::from_u16(error.kind().status()).unwrap_or(StatusCode::BAD_REQUEST);
    }
    Ok(response)
}

async fn create(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    let org = posted.get("org");
    let new = UserNew {
        name: posted.get("name").to_lowercase(),
        display_name: posted.get("display_name").to_owned(),
        org: (!org.is_empty()).then(|| org.to_owned()),
        roles: posted.all("roles").filter_map(Role::parse).collect(),
        password: posted.raw("password").to_owned(),
    };
    match app::account::create_user(&door.app, &visit.op, new).await {
        Ok(_) => done("/console/users", "created"),
        Err(error) if matches!(error.kind(), Kind::Invalid | Kind::Conflict) => {
            page(&door, &visit, Some((&error, &posted))).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn set_active(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let active = posted.ticked("active");
    app::account::set_user_active(&door.app, &visit.op, &id, active).await?;
    done("/console/users", if active { "opened" } else { "closed" })
}
