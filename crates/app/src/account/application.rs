//! Applications (应用): their credentials are shown once and kept sealed, because signatures need the secret itself.

use std::sync::Arc;

use guard::keys;
use model::account::{Application, ApplicationNew, ApplicationSecret};
use model::org::OrgKind;
use model::{Actor, Error, Op, Result};
use policy::{Action, Permit, Target};
use store::account::ApplicationScope;

use super::Credential;
use crate::{App, audit};

/// Context of the sealed secret, so that it cannot be moved to another application's row.
fn context(id: &str) -> String {
    format!("application.secret {id}")
}

/// What an application that the caller registers now would be to policy: its organisation's or, for a citizen, its own.
fn target_new(op: &Op, org: &str) -> Target {
    Target {
        org: (!org.is_empty()).then(|| org.to_owned()),
        owner: Some(op.actor.id().to_owned()),
        ..Target::plain("Application", "new")
    }
}

/// Whether the caller may register applications of the organisation (empty: of their own).
#[must_use]
pub fn may_register(app: &App, op: &Op, org: &str) -> bool {
    app.policy.decide(op, Action::ApplicationManage, &target_new(op, org)).allowed
}

/// Registers an application; its secret is shown once. Without an organisation it is the person's own (citizens).
pub async fn register_application(
    app: &App,
    op: &Op,
    new: ApplicationNew,
) -> Result<ApplicationSecret> {
    let target = target_new(op, &new.org);
    let permit = audit::permit(app, op, Action::ApplicationManage, &target).await?;
    let name = new.name.trim();
    if name.is_empty() || name.chars().count() > 100 {
        return Err(Error::invalid(
            "应用名称为 1 至 100 个字",
            "the application's name has 1 to 100 characters",
        )
        .field("name", "必填", "required"));
    }
    if !new.org.is_empty() {
        app.store.org_require(&new.org).await?;
    }
    let application = Application {
        id: op.new_id(),
        name: name.to_owned(),
        description: new.description.trim().to_owned(),
        org: new.org,
        key: keys::hex_token(16)?,
        active: true,
        owner: op.actor.id().to_owned(),
        created_at: op.stamp(),
    };
    let secret = keys::token(32)?;
    let sealed = app.keys.vault().seal(&context(&application.id), secret.as_bytes())?;
    app.store.application_insert(&permit, &application, &sealed).await?;
    audit::record(app, audit::event(op, "application.register", &application.id)).await?;
    Ok(ApplicationSecret { application, secret })
}

/// Gives an application a new secret; the old one stops at once.
pub async fn renew_secret(app: &App, op: &Op, id: &str) -> Result<ApplicationSecret> {
    let (application, permit) = managed(app, op, id).await?;
    let secret = keys::token(32)?;
    let sealed = app.keys.vault().seal(&context(id), secret.as_bytes())?;
    app.store.application_set_secret(&permit, id, &sealed).await?;
    // What was given out for the old secret ends with it, in every process.
    app.store.credentials_drop(&permit, id).await?;
    app.shares.forget();
    app.accounts.forget();
    audit::record(app, audit::event(op, "application.renew", id)).await?;
    Ok(ApplicationSecret { application, secret })
}

/// Stops or restarts an application.
pub async fn set_application_active(
    app: &App,
    op: &Op,
    id: &str,
    active: bool,
) -> Result<Application> {
    let (application, permit) = managed(app, op, id).await?;
    app.store.application_set_active(&permit, id, active).await?;
    app.store.credentials_drop(&permit, id).await?;
    app.shares.forget();
    app.accounts.forget();
    let action = if active { "application.start" } else { "application.stop" };
    audit::record(app, audit::event(op, action, id)).await?;
    Ok(Application { active, ..application })
}

/// Stops an application that its organisation gives back (`permit` is the platform's).
pub(crate) async fn stop(app: &App, op: &Op, permit: &Permit, id: &str) -> Result<()> {
    let unknown = || Error::not_found("应用", "application", id);
    app.store.application_get(id).await?.ok_or_else(unknown)?;
    app.store.application_set_active(permit, id, false).await?;
    app.store.credentials_drop(permit, id).await?;
    app.shares.forget();
    app.accounts.forget();
    audit::record(app, audit::event(op, "application.stop", id)).await
}

pub(crate) async fn managed(app: &App, op: &Op, id: &str) -> Result<(Application, policy::Permit)> {
    let unknown = || Error::not_found("应用", "application", id);
    let application = app.store.application_get(id).await?.ok_or_else(unknown)?;
    let target = Target::application(&application);
    if !app.policy.decide(op, Action::ApplicationRead, &target).allowed {
        return Err(unknown());
    }
    let permit = audit::permit(app, op, Action::ApplicationManage, &target).await?;
    Ok((application, permit))
}

/// One application, if the caller may see it.
pub async fn application(app: &App, op: &Op, id: &str) -> Result<Application> {
    let found = app.store.application_get(id).await?;
    found
        .filter(|a| app.policy.decide(op, Action::ApplicationRead, &Target::application(a)).allowed)
        .ok_or_else(|| Error::not_found("应用", "application", id))
}

/// Applications the caller may see: those of its organisation and a citizen's own, or all where policy lets it read any.
pub async fn applications(app: &App, op: &Op) -> Result<Vec<Application>> {
    let strange = Target::of_org("Application", "all", "");
    let all = app.policy.decide(op, Action::ApplicationRead, &strange).allowed;
    let scope = match all {
        true => ApplicationScope::All,
        false => ApplicationScope::Of { org: op.actor.org(), person: op.actor.id() },
    };
    let found = app.store.applications_of(scope).await?;
    let may = |a: &Application| {
        all || app.policy.decide(op, Action::ApplicationRead, &Target::application(a)).allowed
    };
    Ok(found.into_iter().filter(may).collect())
}

/// Who calls by an access key that is in use.
pub(crate) async fn actor_of(app: &App, key: &str) -> Result<Option<Actor>> {
    Ok(credential(app, key).await?.map(|known| known.actor.clone()))
}

/// The credential of an access key, from the cache or the store. `None`: unknown or stopped.
pub(crate) async fn credential(app: &App, key: &str) -> Result<Option<Arc<Credential>>> {
    app.accounts.follow(app.shares.epoch());
    if let Some(known) = app.accounts.credentials.get(key) {
        return Ok(Some(known));
    }
    Box::pin(read_credential(app, key)).await
}

async fn read_credential(app: &App, key: &str) -> Result<Option<Arc<Credential>>> {
    let Some((application, sealed)) = app.store.application_by_key(key).await? else {
        return Ok(None);
    };
    if !application.active {
        return Ok(None);
    }
    let public_body = if application.personal() {
        // A citizen's application calls for as long as the account is open.
        let owner = app.store.user_get(&application.owner).await?;
        if !owner.is_some_and(|o| o.user.active) {
            return Ok(None);
        }
        false
    } else {
        let org = app.store.org_get(&application.org).await?;
        org.is_some_and(|o| o.kind != OrgKind::Enterprise)
    };
    let secret = app.keys.vault().open(&context(&application.id), &sealed)?;
    let actor = Actor::Application {
        id: application.id.clone(),
        key: application.key.clone(),
        name: application.name.clone(),
        org: application.org.clone(),
        public_body,
    };
    let credential = Arc::new(Credential { application, actor, secret });
    app.accounts.credentials.insert(key.to_owned(), Arc::clone(&credential));
    Ok(Some(credential))
}
