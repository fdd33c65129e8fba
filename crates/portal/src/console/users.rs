//! Accounts of people: the list, opening one; and the page of one: roles, one-time password, unlocking, closing.

use std::sync::Arc;

use app::{Action, Target};
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use minijinja::{Value, context};
use model::account::{OneTimePassword, Role, UserChange, UserNew};
use model::{Error, Kind};

use crate::console::{PAGE, done, next_link};
use crate::form::Posted;
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/users", get(list).post(create))
        .route("/console/users/{id}", get(detail).post(change))
        .route("/console/users/{id}/reset", post(reset))
        .route("/console/users/{id}/unlock", post(unlock))
        .route("/console/users/{id}/active", post(set_active))
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    page(&door, &visit, None).await
}

async fn page(door: &Door, visit: &Visit, error: Option<(&Error, &Posted)>) -> Answer {
    let page = app::account::accounts(&door.app, &visit.op, visit.q("after"), PAGE).await?;
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
    door.page_with(visit, "console/users.html", context, error.map(|(error, _)| error)).await
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

async fn detail(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    one(&door, &visit, &id, None, None).await
}

async fn one(
    door: &Door,
    visit: &Visit,
    id: &str,
    error: Option<(&Error, &Posted)>,
    given: Option<&OneTimePassword>,
) -> Answer {
    let account = app::account::account(&door.app, &visit.op, id).await?;
    door.names.refresh(&door.app).await;
    let (org, roles) = (account.user.org.clone(), account.user.roles.clone());
    let form = match error {
        Some((_, p)) => context! {
            display_name => p.get("display_name"), org => p.get("org"),
            roles => p.all("roles").map(str::to_owned).collect::<Vec<_>>(),
        },
        None => context! {
            display_name => &account.user.display_name, org,
            roles => roles.iter().map(|r| r.as_str()).collect::<Vec<_>>(),
        },
    };
    let context = context! {
        account => value(&account), form, orgs => value(&door.names.get().orgs),
        own => account.user.id == visit.op.actor.id(),
        may_manage => door.app.may(&visit.op, Action::UserManage, &Target::plain("User", id)),
        may_confirm => door.app.may(&visit.op, Action::SubjectConfirm, &Target {
            owner: Some(account.user.id.clone()),
            ..Target::plain("User", id)
        }),
        desk => app::realname::has_desk(&door.app, &visit.op),
        given => given.map(|g| context! { password => &g.password, until => &g.until }),
        error => error.map(|(e, _)| visit.t(e.zh(), e.en()).to_owned()),
        fields => value(error.map(|(e, _)| e.fields()).unwrap_or_default()),
        done => visit.q("done"),
    };
    door.page_with(visit, "console/user.html", context, error.map(|(error, _)| error)).await
}

async fn change(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let org = posted.get("org");
    let change = UserChange {
        display_name: posted.get("display_name").to_owned(),
        org: (!org.is_empty()).then(|| org.to_owned()),
        roles: posted.all("roles").filter_map(Role::parse).collect(),
    };
    match app::account::change_user(&door.app, &visit.op, &id, change).await {
        Ok(_) => done(&format!("/console/users/{id}"), "saved"),
        Err(error) if matches!(error.kind(), Kind::Invalid | Kind::Conflict) => {
            one(&door, &visit, &id, Some((&error, &posted)), None).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn reset(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    let given = app::account::reset_password(&door.app, &visit.op, &id).await?;
    one(&door, &visit, &id, None, Some(&given)).await
}

async fn unlock(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    app::account::unlock(&door.app, &visit.op, &id).await?;
    done(&format!("/console/users/{id}"), "unlocked")
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
