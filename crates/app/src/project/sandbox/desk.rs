//! Seats: who decides which run over whole data and which release. Each provider whose data are behind it, and the authority.

use std::sync::Arc;

use model::audit::AuditEvent;
use model::project::Project;
use model::sandbox::release::{ReleaseState, SandboxRelease};
use model::sandbox::{Review, RunState, SandboxRun, outcome};
use model::{Code, Error, Op, Result};
use policy::{Action, Target};
use serde::Serialize;
use store::sandbox::Kept;

use super::release;
use crate::{App, audit};

/// Longest note, characters.
const NOTE: usize = 1000;
/// Looked at together.
const PAGE: u32 = 100;

/// Something that waits for the reader.
#[derive(Clone, Debug, Serialize)]
pub struct DeskItem {
    /// Id of the run or release.
    pub subject: String,
    /// Organisation of the seat; empty: the authority's.
    pub seat: String,
    pub project_name: String,
    pub org: String,
    pub run: Option<SandboxRun>,
    pub release: Option<SandboxRelease>,
    /// The first frozen rows of a release; it has passed the checks.
    pub rows: Vec<Vec<String>>,
}

/// A seat as policy asks about it.
fn target(subject: &str, seat: &str, applicant: &str, applicant_org: &str) -> Target {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Target {
        org: some(seat),
        owner: some(applicant),
        applicant_org: some(applicant_org),
        ..Target::plain("Sandbox", subject)
    }
}

/// Seats that the caller may sit on.
fn own_seats(app: &App, op: &Op) -> Vec<String> {
    let mut seats: Vec<String> = op.actor.org().map(str::to_owned).into_iter().collect();
    seats.push(String::new());
    seats.retain(|seat| app.may(op, Action::SandboxReview, &target("desk", seat, "", "")));
    seats
}

/// Whether the caller has a desk at all.
#[must_use]
pub fn has_desk(app: &App, op: &Op) -> bool {
    !own_seats(app, op).is_empty()
}

/// What waits for the caller, oldest first.
pub async fn desk(app: &App, op: &Op) -> Result<Vec<DeskItem>> {
    let seats = own_seats(app, op);
    if seats.is_empty() {
        return Err(Error::of(Code::Denied));
    }
    let mut items = Vec::new();
    for seat in seats {
        for waiting in app.store.sandbox_desk(&seat, None, PAGE).await? {
            let Some((matter, project)) = matter(app, &waiting.subject).await? else { continue };
            let target = target(&waiting.subject, &seat, matter.applicant(), &project.org);
            if app.may(op, Action::SandboxReview, &target) {
                items.push(item(app, waiting.subject, &seat, matter, project).await?);
            }
        }
    }
    Ok(items)
}

/// What seats decide on, as it is kept.
enum Matter {
    Run(Kept<SandboxRun>),
    Release(Kept<SandboxRelease>),
}

impl Matter {
    fn project(&self) -> &str {
        match self {
            Matter::Run(run) => &run.body.project,
            Matter::Release(release) => &release.body.project,
        }
    }

    fn applicant(&self) -> &str {
        match self {
            Matter::Run(run) => &run.body.created_by,
            Matter::Release(release) => &release.body.applicant,
        }
    }

    fn reviews(&self) -> &[Review] {
        match self {
            Matter::Run(run) => &run.body.reviews,
            Matter::Release(release) => &release.body.reviews,
        }
    }
}

/// A run or a release, with its project.
async fn matter(app: &App, subject: &str) -> Result<Option<(Matter, Project)>> {
    let matter = match app.store.sandbox_run_get(subject).await? {
        Some(run) => Some(Matter::Run(run)),
        None => app.store.sandbox_release_get(subject).await?.map(Matter::Release),
    };
    let Some(matter) = matter else { return Ok(None) };
    let project = app.store.project_get(matter.project()).await?;
    Ok(project.map(|project| (matter, project)))
}

async fn item(
    app: &App,
    subject: String,
    seat: &str,
    matter: Matter,
    project: Project,
) -> Result<DeskItem> {
    let (run, release) = match matter {
        Matter::Run(run) => (Some(run.body), None),
        Matter::Release(release) => (None, Some(release.body)),
    };
    let rows = match &release {
        Some(release) if release.state == ReleaseState::Asked => {
            let (table, _) = release::table_of(app, &release.id).await?;
            table.rows.into_iter().take(app.rules.sandbox.preview_rows).collect()
        }
        _ => Vec::new(),
    };
    Ok(DeskItem {
        subject,
        seat: seat.to_owned(),
        project_name: project.name,
        org: project.org,
        run,
        release,
        rows,
    })
}

/// Whose copy a text is: the release whose watermark it bears, if it bears one that is known. For the authority.
pub async fn trace(app: &App, op: &Op, text: &str) -> Result<Option<SandboxRelease>> {
    audit::permit(app, op, Action::SandboxReview, &target("trace", "", "", "")).await?;
    let found = match guard::watermark::trace(text) {
        Some(mark) => app.store.sandbox_release_by_mark(&mark).await?,
        None => None,
    };
    let release = found.as_ref().map(|r| r.id.as_str()).unwrap_or("-");
    audit::record(app, audit::event(op, "sandbox.trace", release)).await?;
    Ok(found)
}

/// Decides on a seat of the caller's. One person decides once, whatever seats they could sit on; a refusal ends it.
pub async fn decide(
    app: &Arc<App>,
    op: &Op,
    subject: &str,
    agreed: bool,
    note: &str,
) -> Result<()> {
    let missing = || Error::not_found("待审事项", "matter under review", subject);
    let note = note.trim();
    if note.chars().count() > NOTE || (!agreed && note.is_empty()) {
        return Err(Error::invalid(
            format!("请填写意见（驳回必填），最多 {NOTE} 字"),
            format!("write a note (needed to refuse) of at most {NOTE} characters"),
        )
        .field("note", "请修改", "change it"));
    }
    let (found, project) = matter(app, subject).await?.ok_or_else(missing)?;
    let of = |seat: &str| target(subject, seat, found.applicant(), &project.org);
    let open = |r: &&Review| r.agreed.is_none();
    let mine = |r: &&Review| app.may(op, Action::SandboxReview, &of(&r.org));
    let seat = match found.reviews().iter().filter(open).find(mine) {
        Some(review) => review.org.clone(),
        // The refusal is recorded, and tells no more than that nothing waits for the caller.
        None => {
            let any = found.reviews().first().map(|r| r.org.clone()).unwrap_or_default();
            let (action, any) = (Action::SandboxReview, of(&any));
            audit::permit_hidden(app, op, action, &any, subject, missing).await?;
            return Err(missing());
        }
    };
    if found.reviews().iter().any(|r| r.by == op.actor.id()) {
        return Err(Error::new(
            Code::RuleBroken,
            "您已在另一席位上作出决定，须由他人审核",
            "you have decided on another seat: somebody else must on this one",
        ));
    }
    let permit = audit::permit(app, op, Action::SandboxReview, &of(&seat)).await?;
    let decided = |reviews: &mut Vec<Review>| {
        for review in reviews.iter_mut().filter(|r| r.org == seat && r.agreed.is_none()) {
            *review = Review {
                org: seat.clone(),
                by: op.actor.id().to_owned(),
                by_name: op.actor.name().to_owned(),
                at: op.stamp(),
                agreed: Some(agreed),
                note: note.to_owned(),
            };
        }
        outcome(reviews)
    };
    let over = || Error::new(Code::WrongState, "该事项已办结", "it has been decided already");
    match found {
        Matter::Run(Kept { body: mut run, edit }) => {
            if run.state != RunState::Asked {
                return Err(over());
            }
            match decided(&mut run.reviews) {
                Some(true) => run.state = RunState::Ready,
                Some(false) => run.state = RunState::Refused,
                None => {}
            }
            app.store.sandbox_run_update(&permit, &run, edit).await?;
        }
        Matter::Release(Kept { body: mut release, edit }) => {
            if release.state != ReleaseState::Asked {
                return Err(over());
            }
            match decided(&mut release.reviews) {
                Some(true) => {
                    let days = app.rules.sandbox.release.fetch_days;
                    let last = app.calendar.add_working_days(op.today(), days);
                    release.until = Some(last.to_string());
                    release.state = ReleaseState::Allowed;
                }
                Some(false) => release.state = ReleaseState::Refused,
                None => {}
            }
            app.store.sandbox_release_update(&permit, &release, edit).await?;
        }
    }
    let event = AuditEvent {
        result: if agreed { "ok".into() } else { "denied".into() },
        reason: note.to_owned(),
        scope: format!("seat {}", if seat.is_empty() { "authority" } else { &seat }),
        ..audit::event(op, "sandbox.decide", subject)
    };
    audit::record(app, event).await
}
