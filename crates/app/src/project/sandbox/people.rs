//! Who is named how on the pages of a sandbox and of the desk: people by the names shown, whatever name was kept.

use model::Result;
use model::sandbox::release::SandboxRelease;
use model::sandbox::{Review, SandboxExtension, SandboxRun};

use super::SandboxView;
use super::desk::DeskItem;
use crate::App;
use crate::account::{Named, named};

fn seat(review: &mut Review) -> Named<'_> {
    (review.by.as_str(), &mut review.by_name)
}

fn run(run: &mut SandboxRun) -> Vec<Named<'_>> {
    let mut people = vec![(run.created_by.as_str(), &mut run.created_by_name)];
    people.extend(run.reviews.iter_mut().map(seat));
    people
}

fn release(release: &mut SandboxRelease) -> Vec<Named<'_>> {
    let mut people = vec![(release.applicant.as_str(), &mut release.applicant_name)];
    people.extend(release.reviews.iter_mut().map(seat));
    people
}

fn extension(extension: &mut SandboxExtension) -> Vec<Named<'_>> {
    let mut people = vec![(extension.applicant.as_str(), &mut extension.applicant_name)];
    people.extend(extension.reviews.iter_mut().map(seat));
    people
}

/// Names the people of a sandbox.
pub(super) async fn name_view(app: &App, view: &mut SandboxView) -> Result<()> {
    let runs = view.runs.iter_mut().flat_map(run);
    let releases = view.releases.iter_mut().flat_map(release);
    let extensions = view.extensions.iter_mut().flat_map(extension);
    named(app, runs.chain(releases).chain(extensions).collect()).await
}

/// Names the people of what waits at a desk.
pub(super) async fn name_desk(app: &App, items: &mut [DeskItem]) -> Result<()> {
    let mut people: Vec<Named<'_>> = Vec::new();
    for item in items {
        people.extend(item.run.iter_mut().flat_map(run));
        people.extend(item.release.iter_mut().flat_map(release));
        people.extend(item.extension.iter_mut().flat_map(extension));
    }
    named(app, people).await
}

/// Names the people of one release.
pub(super) async fn name_release(app: &App, of: &mut SandboxRelease) -> Result<()> {
    named(app, release(of)).await
}
