//! Synthetic ledgers for rehearsals and measurements: drafts are checked by the same rules as a person's, written many
//! at a time, and search is rebuilt by the caller at the end. Only the platform itself may do this.

use model::asset::{AssetDraft, LinkKind, Node};
use model::audit::AuditEvent;
use model::code::{OnlineState, PublishState};
use model::entry::{Entry, EntryDraft};
use model::org::Org;
use model::{Op, Result};
use policy::{Action, Permit, Target};
use store::asset::AssetChange;

use super::check::Known;
use super::{check, known_all, new_change, refuse, rules};
use crate::{App, audit, catalogue};

/// The platform's permit and what drafts are checked against, taken once.
#[derive(Debug)]
pub struct Seed {
    permit: Permit,
    known: Known,
}

/// Begins filling; leaves one record for all of it.
pub async fn seed_orgs(app: &App, op: &Op, orgs: &[Org]) -> Result<Seed> {
    let permit =
        audit::permit(app, op, Action::SystemWork, &Target::plain("System", "ledger.fill")).await?;
    let new = app.store.org_fill(&permit, orgs).await?;
    let event = AuditEvent { rows: new, ..audit::event(op, "ledger.fill", "organisations") };
    audit::record(app, event).await?;
    Ok(Seed { permit, known: known_all(app).await? })
}

/// Enters assets in the given states; answers their ids in order.
pub async fn seed_assets(
    app: &App,
    op: &Op,
    seed: &Seed,
    drafts: Vec<(AssetDraft, String)>,
) -> Result<Vec<String>> {
    let rules = rules(app, op)?;
    let mut changes: Vec<AssetChange> = Vec::with_capacity(drafts.len());
    for (draft, state) in drafts {
        let rule = rules.of(draft.ledger)?;
        let draft = check::tidy(draft, rule);
        refuse(check::faults(&draft, rule, &seed.known))?;
        changes.push(new_change(op, rules, rule, draft, &state, "import"));
    }
    app.store.asset_apply(&seed.permit, op, &changes).await?;
    Ok(changes.into_iter().map(|c| c.asset.id).collect())
}

/// Enters entries as published and online; answers their ids in order.
pub async fn seed_entries(
    app: &App,
    op: &Op,
    seed: &Seed,
    drafts: Vec<EntryDraft>,
) -> Result<Vec<String>> {
    let mut entries = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let draft = catalogue::tidy(draft);
        refuse(catalogue::check(app, &draft))?;
        entries.push(Entry {
            id: op.new_id(),
            grade: draft.grade(),
            draft,
            publish_state: PublishState::Published,
            online_state: OnlineState::Online,
            version: 1,
            created_at: op.stamp(),
            created_by: op.actor.id().to_owned(),
            updated_at: op.stamp(),
            published_at: Some(op.stamp()),
            rows: 0,
            data_at: None,
        });
    }
    app.store.entry_fill(&seed.permit, op, &entries).await?;
    app.shares.forget();
    Ok(entries.into_iter().map(|e| e.id).collect())
}

/// Links what was entered.
pub async fn seed_links(
    app: &App,
    op: &Op,
    seed: &Seed,
    links: &[(Node, Node, LinkKind)],
) -> Result<u64> {
    app.store.links_put(&seed.permit, op, links).await
}
