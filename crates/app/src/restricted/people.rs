//! Who is named how on the pages of an application: people by the names shown. Papers and their signatures stay as they were signed.

use model::Result;
use model::restricted::{CreditRecord, UseApplication, UseEvent};

use super::look::DeskUse;
use crate::App;
use crate::account::{Named, named};

/// The party, where it is a citizen: an organisation (`org`) is named by its own name.
fn party<'a>(org: &str, applicant: &'a str, name: &'a mut String) -> Option<Named<'a>> {
    org.is_empty().then_some((applicant, name))
}

/// Names the party as it is to stand in the papers.
pub(super) async fn name_party(app: &App, a: &mut UseApplication) -> Result<()> {
    named(app, party(&a.org, &a.applicant, &mut a.party).into_iter().collect()).await
}

/// Names the people of one application and of what happened to it.
pub(super) async fn name_all(
    app: &App,
    a: &mut UseApplication,
    events: &mut [UseEvent],
) -> Result<()> {
    let mut people: Vec<Named<'_>> =
        party(&a.org, &a.applicant, &mut a.party).into_iter().collect();
    people.extend(a.reviews.iter_mut().map(|r| (r.by.as_str(), &mut r.by_name)));
    people.extend(events.iter_mut().map(|e| (e.actor.as_str(), &mut e.actor_name)));
    named(app, people).await
}

/// Names the citizens on a desk.
pub(super) async fn name_desk(app: &App, rows: &mut [DeskUse]) -> Result<()> {
    let citizens = rows.iter_mut().filter_map(|row| {
        let a = &mut row.application;
        party(&a.org, &a.applicant, &mut a.party)
    });
    named(app, citizens.collect()).await
}

/// Names who entered credit records.
pub(super) async fn name_records(app: &App, records: &mut [CreditRecord]) -> Result<()> {
    let people = records.iter_mut().map(|r| (r.entered_by.as_str(), &mut r.entered_by_name));
    named(app, people.collect()).await
}
