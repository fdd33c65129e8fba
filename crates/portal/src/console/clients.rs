//! An application as a client of the identity provider, and what it asks subjects to authorise.

use std::sync::Arc;

use app::identity::ScopeAsk;
use app::{Action, Target, account, authorisation, identity};
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use minijinja::context;
use model::identity::{ClientKind, ClientSettings, Scope, SubjectKind};
use model::{Error, Result};

use crate::console::{PAGE, done, next_link};
use crate::fault::mendable;
use crate::form::Posted;
use crate::identity::typed;
use crate::view::value;
use crate::visit::{Visit, encode};
use crate::{Answer, Door};

/// A box of the form.
const SID_REQUIRED: &str = "backchannel_logout_session_required";

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/applications/{id}/client", get(show).post(set))
        .route("/console/applications/{id}/authorisations", get(asked).post(ask))
        .route("/console/users/{id}/identifier", post(confirm))
}

async fn show(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    page(&door, &visit, &id, None).await
}

async fn page(door: &Door, visit: &Visit, id: &str, wrong: Option<(&Error, &Posted)>) -> Answer {
    let application = account::application(&door.app, &visit.op, id).await?;
    let settings = identity::client_settings(&door.app, &visit.op, id)
        .await?
        .unwrap_or_else(|| ClientSettings::new(ClientKind::Confidential, Vec::new()));
    let untaken = identity::untaken(&door.app, &visit.op, id).await?;
    let target = Target::application(&application);
    let lines = |name: &str, kept: &[String]| match wrong {
        Some((_, posted)) => posted.get(name).to_owned(),
        None => kept.join("\n"),
    };
    let offered: Vec<ScopeAsk> =
        Scope::ALL.iter().filter(|s| **s != Scope::OpenId).map(|s| (*s).into()).collect();
    let context = context! {
        application => value(&application),
        may_manage => door.app.may(&visit.op, Action::ApplicationManage, &target),
        issuer => crate::identity::issuer(door, visit), untaken,
        kind => match wrong {
            Some((_, p)) => p.get("kind").to_owned(),
            None => settings.kind.as_str().to_owned(),
        },
        redirects => lines("redirects", &settings.redirects),
        logouts => lines("logouts", &settings.logouts),
        origins => lines("origins", &settings.origins),
        backchannel => lines("backchannel_logout_uri", std::slice::from_ref(&settings.backchannel)),
        sid_required => match wrong {
            Some((_, p)) => p.ticked(SID_REQUIRED),
            None => settings.sid_required,
        },
        offered => value(&offered),
        scopes => match wrong {
            Some((_, p)) => p.all("scopes").map(str::to_owned).collect::<Vec<_>>(),
            None => settings.scopes.iter().map(|s| s.as_str().to_owned()).collect(),
        },
        error => wrong.map(|(e, _)| visit.t(e.zh(), e.en())),
        code => wrong.map(|(e, _)| e.code().as_str()),
        fields => value(wrong.map(|(e, _)| e.fields()).unwrap_or_default()),
        done => visit.q("done"),
    };
    door.page_with(visit, "console/application_client.html", context, wrong.map(|(e, _)| e)).await
}

async fn set(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let lines = |name: &str| posted.get(name).lines().map(|l| l.trim().to_owned()).collect();
    let settings = ClientSettings {
        kind: ClientKind::parse(posted.get("kind")).unwrap_or(ClientKind::Confidential),
        redirects: lines("redirects"),
        logouts: lines("logouts"),
        origins: lines("origins"),
        scopes: posted.all("scopes").filter_map(Scope::of).collect(),
        backchannel: posted.get("backchannel_logout_uri").to_owned(),
        sid_required: posted.ticked(SID_REQUIRED),
    };
    match identity::set_client(&door.app, &visit.op, &id, settings).await {
        Ok(()) => done(&format!("/console/applications/{}/client", encode(&id)), "saved"),
        Err(e) if mendable(&e) => page(&door, &visit, &id, Some((&e, &posted))).await,
        Err(e) => Err(e.into()),
    }
}

async fn asked(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    asking(&door, &visit, &id, None).await
}

async fn asking(door: &Door, visit: &Visit, id: &str, wrong: Option<(&Error, &Posted)>) -> Answer {
    let application = account::application(&door.app, &visit.op, id).await?;
    let before = visit.q("before");
    let found = authorisation::asked(&door.app, &visit.op, id, before, PAGE).await?;
    let typed = |name: &str| wrong.map(|(_, p)| p.get(name).to_owned()).unwrap_or_default();
    let target = Target::application(&application);
    let context = context! {
        application => value(&application),
        may_manage => door.app.may(&visit.op, Action::ApplicationManage, &target),
        authorisations => value(&found.items),
        next => next_link(visit, "before", found.next.as_deref()),
        most => door.app.rules.identity.authorisation.days_most,
        base => &visit.base,
        form => context! {
            kind => typed("kind"), entry => typed("entry"), items => typed("items"),
            purpose => typed("purpose"), days => typed("days"),
        },
        error => wrong.map(|(e, _)| visit.t(e.zh(), e.en())),
        code => wrong.map(|(e, _)| e.code().as_str()),
        fields => value(wrong.map(|(e, _)| e.fields()).unwrap_or_default()),
        done => visit.q("done"),
    };
    let template = "console/application_authorisations.html";
    door.page_with(visit, template, context, wrong.map(|(e, _)| e)).await
}

fn kind_of(posted: &Posted) -> Result<SubjectKind> {
    SubjectKind::parse(posted.get("kind")).ok_or_else(|| {
        Error::invalid("请选择主体类型", "choose what the subject is").field(
            "kind",
            "个人或企业",
            "person or company",
        )
    })
}

async fn ask(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let outcome = match (typed(&posted, &id), kind_of(&posted)) {
        (Ok(new), Ok(kind)) => {
            let identifier = posted.get("identifier");
            authorisation::ask(&door.app, &visit.op, new, kind, identifier).await
        }
        (Err(e), _) | (_, Err(e)) => Err(e),
    };
    match outcome {
        Ok(_) => done(&format!("/console/applications/{}/authorisations", encode(&id)), "created"),
        Err(e) if mendable(&e) => asking(&door, &visit, &id, Some((&e, &posted))).await,
        Err(e) => Err(e.into()),
    }
}

async fn confirm(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let kind = kind_of(&posted)?;
    let identifier = posted.get("identifier");
    authorisation::confirm(&door.app, &visit.op, &id, kind, identifier).await?;
    done(&format!("/console/users/{}", encode(&id)), "saved")
}
