//! Organisations: the list, entering one, changing one.

use std::sync::Arc;

use app::{Action, Target};
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use minijinja::{Value, context};
use model::org::{Org, OrgKind};
use model::{Error, Kind, Result};

use crate::console::done;
use crate::form::Posted;
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/orgs", get(list).post(create))
        .route("/console/orgs/{id}", get(edit).post(change))
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    page(&door, &visit, None).await
}

async fn page(door: &Door, visit: &Visit, error: Option<(&Error, &Posted)>) -> Answer {
    let orgs = app::org::list(&door.app, &visit.op).await?;
    let regions = app::org::regions(&door.app).await?;
    let context = context! {
        orgs => value(&orgs), regions => value(&regions),
        may_manage => door.app.may(&visit.op, Action::OrgManage, &Target::plain("Org", "")),
        error => error.map(|(e, _)| visit.t(e.zh(), e.en()).to_owned()),
        fields => value(error.map(|(e, _)| e.fields()).unwrap_or_default()),
        form => error.map_or(Value::UNDEFINED, |(_, p)| typed(p)),
        done => visit.q("done"),
    };
    door.page_with(visit, "console/orgs.html", context, error.map(|(error, _)| error)).await
}

/// What was typed into the form.
fn typed(p: &Posted) -> Value {
    context! {
        name_cn => p.get("name_cn"), name_en => p.get("name_en"), uscc => p.get("uscc"),
        kind => p.get("kind"), region => p.get("region"), parent => p.get("parent"),
        authority => p.ticked("authority"),
    }
}

/// The form as an organisation.
fn read(id: String, posted: &Posted) -> Result<Org> {
    let parent = posted.get("parent");
    Ok(Org {
        id,
        uscc: posted.get("uscc").to_owned(),
        name_cn: posted.get("name_cn").to_owned(),
        name_en: posted.get("name_en").to_owned(),
        kind: kind(posted.get("kind"))?,
        region: posted.get("region").to_owned(),
        parent: (!parent.is_empty()).then(|| parent.to_owned()),
        authority: posted.ticked("authority"),
    })
}

fn kind(word: &str) -> Result<OrgKind> {
    Ok(match word {
        "state_organ" => OrgKind::StateOrgan,
        "authorised_org" => OrgKind::AuthorisedOrg,
        "utility_operator" => OrgKind::UtilityOperator,
        "national_stationed" => OrgKind::NationalStationed,
        "enterprise" => OrgKind::Enterprise,
        _ => {
            return Err(Error::invalid(
                format!("没有机构类型 `{word}`"),
                format!("there is no kind of organisation `{word}`"),
            ));
        }
    })
}

async fn create(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    let new = read(visit.op.new_id(), &posted);
    let outcome = match new {
        Ok(org) => app::org::create(&door.app, &visit.op, org).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(_) => {
            door.names.forget();
            done("/console/orgs", "created")
        }
        Err(error) if matches!(error.kind(), Kind::Invalid | Kind::Conflict) => {
            page(&door, &visit, Some((&error, &posted))).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn edit(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let org = app::org::get_to_change(&door.app, &visit.op, &id).await?;
    let form = value(&org);
    one(&door, &visit, &org, form, None).await
}

async fn one(door: &Door, visit: &Visit, org: &Org, form: Value, error: Option<&Error>) -> Answer {
    let orgs = app::org::list(&door.app, &visit.op).await?;
    let above: Vec<&Org> = orgs.iter().filter(|o| o.id != org.id).collect();
    let regions = app::org::regions(&door.app).await?;
    let context = context! {
        org => value(org), orgs => value(above), regions => value(&regions), form,
        error => error.map(|e| visit.t(e.zh(), e.en()).to_owned()),
        fields => value(error.map(Error::fields).unwrap_or_default()),
        done => visit.q("done"),
    };
    door.page_with(visit, "console/org.html", context, error).await
}

async fn change(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let before = app::org::get_to_change(&door.app, &visit.op, &id).await?;
    let outcome = match read(id, &posted) {
        Ok(org) => app::org::change(&door.app, &visit.op, org).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(org) => {
            door.names.forget();
            done(&format!("/console/orgs/{}", org.id), "saved")
        }
        Err(error) if matches!(error.kind(), Kind::Invalid | Kind::Conflict | Kind::NotFound) => {
            one(&door, &visit, &before, typed(&posted), Some(&error)).await
        }
        Err(error) => Err(error.into()),
    }
}
