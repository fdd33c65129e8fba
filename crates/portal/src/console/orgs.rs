//! Organisations: the list and entering one.

use std::sync::Arc;

use app::{Action, Target};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
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
    Router::new().route("/console/orgs", get(list).post(create))
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
        form => error.map_or(Value::UNDEFINED, |(_, p)| context! {
            name_cn => p.get("name_cn"), name_en => p.get("name_en"), uscc => p.get("uscc"),
            kind => p.get("kind"), region => p.get("region"), parent => p.get("parent"),
            authority => p.ticked("authority"),
        }),
        done => visit.q("done"),
    };
    let mut response = door.page(visit, "console/orgs.html", context).await?;
    if let Some((error, _)) = error {
        *response.status_mut() =
            StatusCode::from_u16(error.kind().status()).unwrap_or(StatusCode::BAD_REQUEST);
    }
    Ok(response)
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
    let parent = posted.get("parent");
    let new = kind(posted.get("kind")).map(|kind| Org {
        id: visit.op.new_id(),
        uscc: posted.get("uscc").to_owned(),
        name_cn: posted.get("name_cn").to_owned(),
        name_en: posted.get("name_en").to_owned(),
        kind,
        region: posted.get("region").to_owned(),
        parent: (!parent.is_empty()).then(|| parent.to_owned()),
        authority: posted.ticked("authority"),
    });
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
