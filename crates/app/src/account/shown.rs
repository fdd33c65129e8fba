//! How people are named for people: by the name shown; the login name stands behind it only where another account of the same
//! organisation (of citizens: of a citizen) is shown by the same name. What is kept beside an account's id, or alone, is the login name,
//! which never changes; texts that are kept as they were written (papers, reports) take the name shown of their day.

use model::{Actor, Op, Result};

use crate::App;

/// An account's id, and the name that stands beside it.
pub(crate) type Named<'a> = (&'a str, &'a mut String);

/// The name by which the caller is shown; of the platform and of applications the actor's own.
pub(crate) async fn shown(app: &App, op: &Op) -> Result<String> {
    let mut name = op.actor.name().to_owned();
    if let Actor::User { id, .. } = &op.actor {
        named(app, vec![(id.as_str(), &mut name)]).await?;
    }
    Ok(name)
}

/// Writes names shown over those that stand beside ids. An id that is nobody's keeps its name.
pub(crate) async fn named(app: &App, people: Vec<Named<'_>>) -> Result<()> {
    let mut ids: Vec<&str> = people.iter().map(|(id, _)| *id).filter(|id| !id.is_empty()).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(());
    }
    let shown = app.store.users_shown(&ids).await?;
    for (id, name) in people {
        if let Some(known) = shown.get(id) {
            name.clone_from(known);
        }
    }
    Ok(())
}

/// Whether it may be somebody's login name: the platform's own word is not.
fn is_login(name: &str) -> bool {
    !name.is_empty() && name != Actor::System.name() && name != Actor::Nobody.name()
}

/// Writes names shown over login names that are kept without an id. The platform stays `system`, whoever is called that; what is
/// nobody's login name stays, too.
pub(crate) async fn logins_named(app: &App, names: Vec<&mut String>) -> Result<()> {
    let mut logins: Vec<&str> = names.iter().map(|n| n.as_str()).filter(|n| is_login(n)).collect();
    logins.sort_unstable();
    logins.dedup();
    if logins.is_empty() {
        return Ok(());
    }
    let shown = app.store.logins_shown(&logins).await?;
    for name in names {
        if is_login(name)
            && let Some(known) = shown.get(name.as_str())
        {
            name.clone_from(known);
        }
    }
    Ok(())
}
