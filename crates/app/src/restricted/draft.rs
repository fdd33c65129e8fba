//! A draft before it is handed in: read back into its form, changed, or thrown away. Nobody but its party knows of it.

use model::restricted::{UseApplication, UseDeed, UseNew, UseSide, UseState};
use model::{Code, Error, Op, Result};

use super::file::{applies, drawn, event, written};
use super::{applicant, credit, missing, stale};
use crate::{App, audit, upload};

/// The caller's own draft of this id or number.
async fn own(app: &App, op: &Op, id: &str) -> Result<UseApplication> {
    let found = app.store.restricted_get(id).await?.ok_or_else(|| missing(id))?;
    if !applies(app, op, &found) {
        return Err(missing(id));
    }
    if found.state != UseState::Draft {
        return Err(Error::new(
            Code::WrongState,
            format!("申请{}，不能再修改或删除", found.state.zh()),
            format!(
                "the application is in the state `{}`: it is changed or thrown away no more",
                found.state.en()
            ),
        ));
    }
    Ok(found)
}

/// A draft of the caller, and the form that makes it.
pub async fn saved(app: &App, op: &Op, id: &str) -> Result<(UseApplication, UseNew)> {
    let a = own(app, op, id).await?;
    let renews = match a.renews.is_empty() {
        true => String::new(),
        false => app.store.restricted_get(&a.renews).await?.map(|o| o.number).unwrap_or_default(),
    };
    let form = UseNew {
        entries: a.entries.iter().map(|e| (e.code.clone(), e.items.clone())).collect(),
        application: a.application.clone(),
        purpose: a.purpose.clone(),
        scope: a.scope.clone(),
        method: a.method.clone(),
        until: Some(a.until),
        calls_per_day: a.calls_per_day,
        answers: a.answers.clone(),
        renews,
    };
    Ok((a, form))
}

/// Changes a draft of the caller that stands as it was `seen`; its number, its writer and its evidence stay.
pub async fn revise(
    app: &App,
    op: &Op,
    id: &str,
    seen: u64,
    new: UseNew,
) -> Result<UseApplication> {
    let old = own(app, op, id).await?;
    if old.edit != seen {
        return Err(stale());
    }
    let (permit, party) = applicant(app, op).await?;
    credit::clean(app, op, &party.subject, &old.number).await?;
    let drawn = drawn(app, op, &party, &new).await?;
    let revised = UseApplication {
        id: old.id,
        number: old.number,
        applicant: old.applicant,
        files: old.files,
        created_at: old.created_at,
        edit: old.edit + 1,
        ..drawn
    };
    let event = event(op, &revised, UseDeed::Edit, UseSide::Applicant, &party.org, String::new());
    if !app.store.restricted_update(&permit, &revised, &event, seen).await? {
        return Err(stale());
    }
    written(app, op, "restricted.edit", &revised).await?;
    Ok(revised)
}

/// Throws a draft of the caller away that stands as it was `seen`, with its evidence.
pub async fn discard(app: &App, op: &Op, id: &str, seen: u64) -> Result<()> {
    let old = own(app, op, id).await?;
    if old.edit != seen {
        return Err(stale());
    }
    let (permit, _) = applicant(app, op).await?;
    // Recorded first: what is gone cannot be told of any more.
    written(app, op, "restricted.discard", &old).await?;
    if !app.store.restricted_discard(&permit, &old.id, seen).await? {
        let refusal = stale();
        audit::refused(app, op, "restricted.discard", &old.number, &refusal).await?;
        return Err(refusal);
    }
    for file in &old.files {
        upload::forget(app, &file.id).await;
    }
    Ok(())
}
