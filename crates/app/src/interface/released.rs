//! Interfaces that the platform publishes itself: over a result that left a data sandbox, for its application alone. Like every interface
//! they allow nothing; the gate decides of each call, and says to whom there is one at all. So none is ever taken offline: where the gate
//! answers no more, the description is not there either.

use std::fmt::Write as _;

use model::entry::Entry;
use model::interface::{Interface, InterfaceDraft, InterfaceState, Kind};
use model::{Op, Result};

use super::sketch::sketch;
use crate::{App, catalogue, project};

/// Publishes a list of an entry's rows under a code, with these items as parameters; one that is there already stays as it is.
pub(crate) async fn publish(
    app: &App,
    op: &Op,
    entry: &Entry,
    code: &str,
    params: &[&str],
) -> Result<Interface> {
    let (system, permit) = app.platform(op)?;
    if let Some(there) = app.store.interface_versions(code).await?.into_iter().next() {
        return Ok(there);
    }
    let plain = sketch(entry, Kind::List);
    let mut text = plain.clone();
    for item in params {
        // Writing into a String cannot fail.
        let _ = write!(text, "\n[[param]]\nname = \"{item}\"\nitem = \"{item}\"\n");
    }
    // A column may bear a name that the call itself uses: then there are no parameters.
    let (draft, text) = match InterfaceDraft::read(&text) {
        Ok(draft) => (draft, text),
        Err(_) => (InterfaceDraft::read(&plain)?, plain),
    };
    let interface = Interface {
        id: system.new_id(),
        code: code.to_owned(),
        version: 1,
        state: InterfaceState::Published,
        share: 100,
        org: entry.draft.org.clone(),
        region: entry.draft.region.clone(),
        entry: entry.id.clone(),
        until: String::new(),
        deprecated_at: String::new(),
        quota: Default::default(),
        created_by: op.actor.id().to_owned(),
        created_at: system.stamp(),
        updated_at: system.stamp(),
        text,
        draft,
    };
    app.store.interface_insert(&permit, &interface).await?;
    app.interfaces.follow(app).await?;
    Ok(interface)
}

/// The resource behind an interface, if the caller may know of it: of the catalogue, or a released result of a sandbox of its own.
pub(super) async fn resource(app: &App, op: &Op, interface: &Interface) -> Result<Option<Entry>> {
    match app.store.entry_get(&interface.entry).await? {
        Some(entry) => Ok(catalogue::seen(app, op, entry)),
        None => project::sandbox::described(app, op, &interface.draft.entry).await,
    }
}

/// A resource that a description names, for the names of its items.
pub(super) async fn named(app: &App, op: &Op, code: &str) -> Result<Option<Entry>> {
    match app.store.entry_get(code).await? {
        Some(entry) => Ok(Some(entry)),
        None => project::sandbox::described(app, op, code).await,
    }
}
