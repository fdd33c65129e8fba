//! Who is named how on the pages of an application: people by the names shown. Papers and their signatures stay as they were signed.

use model::Result;
use model::restricted::{CreditRecord, UseApplication, UseEvent};

use super::look::DeskUse;
use crate::App;
use crate::account::{Named, named};

/// The party, where it is a citizen: an organisation is named by its own name.
fn party(a: &mut UseApplication) -> Option<Named<'_>> {
    a.org.is_empty().then_some((a.applicant.as_str(), &mut a.party))
}

/// Names the party as it is to stand in the papers.
pub(super) async fn name_party(app: &App, a: &mut UseApplication) -> Result<()> {
    named(app, party(a).into_iter().collect()).await
}

/// Names the people of one application and of what happened to it.
pub(super) async fn name_all(
    app: &App,
    a: &mut UseApplication,
    events: &mut [UseEvent],
) -> Result<()> {
    let mut people: Vec<Named<'_>> = Vec::new();
    if a.org.is_empty() {
        people.push((a.applicant.as_str(), &mut a.party));
    }
    people.extend(a.reviews.iter_mut().map(|r| (r.by.as_str(), &mut r.by_name)));
    people.extend(events.iter_mut().map(|e| (e.actor.as_str(), &mut e.actor_name)));
    named(app, people).await
}

/// Names the citizens on a desk.
pub(super) async fn name_desk(app: &App, rows: &mut [DeskUse]) -> Result<()> {
    named(app, rows.iter_mut().filter_map(|row| party(&mut row.application)).collect()).await
}

/// Names who entered credit records.
pub(super) async fn name_records(app: &App, records: &mut [CreditRecord]) -> Result<()> {
    let people = records.iter_mut().map(|r| (r.entered_by.as_str(), &mut r.entered_by_name));
    named(app, people.collect()).await
}
