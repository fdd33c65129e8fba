//! Production (一体化生产): what a team needs to build on what was approved. From a form of the basket: the application
//! key, an OpenAPI description of exactly the granted items, sample code that runs as given, and synthetic rows of the
//! same shape. No secret and no governed row is ever in a pack.

mod archive;
mod openapi;
mod sample;
mod sandbox;

use model::account::Application;
use model::entry::Entry;
use model::value::Value;
use model::{Actor, Code, Error, Op, Result};
use policy::{Action, GrantColumn, Target};

use crate::{App, audit, basket, sharing};

pub use archive::archive;
pub use openapi::openapi;
pub use sample::{LANGUAGES, Language, filled, sample};
pub use sandbox::{as_csv, as_json};

/// What was granted by one form, to build with.
#[derive(Clone, Debug)]
pub struct Pack {
    /// The form's id and name.
    pub bundle: String,
    pub name: String,
    pub application: Application,
    pub resources: Vec<Resource>,
}

/// One resource that may be called.
#[derive(Clone, Debug)]
pub struct Resource {
    pub entry: Entry,
    pub columns: Vec<GrantColumn>,
    pub calls_per_day: u64,
    pub most_rows: u64,
    /// RFC 3339; `None` = long term.
    pub expires_at: Option<String>,
    /// Synthetic rows, masked as the real ones would be, in the order of `columns`.
    pub rows: Vec<Vec<Value>>,
}

impl Pack {
    /// The resource of this code.
    #[must_use]
    pub fn resource(&self, code: &str) -> Option<&Resource> {
        self.resources.iter().find(|r| r.entry.draft.code == code)
    }
}

/// The pack of a form, for those who see the form whole and its application.
pub async fn pack(app: &App, op: &Op, bundle: &str) -> Result<Pack> {
    let bundle = basket::whole(app, op, bundle).await?;
    let nothing = || {
        Error::new(
            Code::WrongState,
            "此申请单还没有获批的接口，通过后即可生成",
            "nothing of this form is granted by interface yet: come back when it is",
        )
    };
    if bundle.form.application.is_empty() {
        return Err(nothing());
    }
    let unknown = || Error::not_found("应用", "application", &bundle.form.application);
    let application =
        app.store.application_get(&bundle.form.application).await?.ok_or_else(unknown)?;
    let target = Target::application(&application);
    audit::permit(app, op, Action::ApplicationRead, &target).await?;
    let caller = Op {
        actor: Actor::Application {
            id: application.id.clone(),
            key: application.key.clone(),
            name: application.name.clone(),
            org: application.org.clone(),
            // What was granted is callable whatever kind the organisation is.
            public_body: false,
        },
        ..op.clone()
    };
    let mut resources = Vec::new();
    for callable in sharing::callable(app, &caller).await? {
        let grant = &callable.grant;
        // A share application granted by the basket has its part's id.
        if !bundle.parts.iter().any(|p| Some(p.id.as_str()) == grant.request()) {
            continue;
        }
        resources.push(Resource {
            columns: grant.columns().to_vec(),
            calls_per_day: grant.quota().map_or(0, |q| q.calls_per_day),
            most_rows: grant.row_cap(),
            expires_at: grant.expires_at().map(model::op::stamp),
            rows: sandbox::rows(app, &callable.entry, grant.columns()),
            entry: callable.entry,
        });
    }
    if resources.is_empty() {
        return Err(nothing());
    }
    Ok(Pack { bundle: bundle.id, name: bundle.form.name, application, resources })
}

/// The record that a pack, or a part of it, was taken.
pub async fn taken(app: &App, op: &Op, pack: &Pack, what: &str) -> Result<()> {
    let codes: Vec<&str> = pack.resources.iter().map(|r| r.entry.draft.code.as_str()).collect();
    let mut event = audit::event(op, "production.take", &pack.bundle);
    event.scope = format!("{what}: {}", codes.join(" "));
    event.app_key.clone_from(&pack.application.key);
    audit::record(app, event).await
}
