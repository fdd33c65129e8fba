//! Seats: who decides which run over whole data and which release: each provider whose data are behind it, and the authority; of a longer
//! term the authority alone.

use std::sync::Arc;

use chrono::NaiveDate;
use model::audit::AuditEvent;
use model::project::Project;
use model::sandbox::release::{ReleaseState, ReleaseWay, SandboxRelease, ServedMark};
use model::sandbox::{ExtensionState, Review, RunState, SandboxExtension, SandboxRun, outcome};
use model::{Code, Error, Op, Result};
use policy::{Action, Permit, Target};
use serde::Serialize;
use store::sandbox::Kept;

use super::{extend, in_term, outlet, people, release, tell};
use crate::project::Held;
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
    pub extension: Option<SandboxExtension>,
    /// The first frozen rows of a release; it has passed the checks.
    pub rows: Vec<Vec<String>>,
}

/// Whose copy a text is.
#[derive(Clone, Debug, Serialize)]
pub struct Traced {
    pub release: SandboxRelease,
    /// The call whose answer it was, of a release that is served as an interface.
    pub call: Option<ServedMark>,
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
    people::name_desk(app, &mut items).await?;
    Ok(items)
}

/// What seats decide on, as it is kept.
enum Matter {
    Run(Kept<SandboxRun>),
    Release(Kept<SandboxRelease>),
    Extension(Kept<SandboxExtension>),
}

impl Matter {
    fn project(&self) -> &str {
        match self {
            Matter::Run(run) => &run.body.project,
            Matter::Release(release) => &release.body.project,
            Matter::Extension(extension) => &extension.body.project,
        }
    }

    fn applicant(&self) -> &str {
        match self {
            Matter::Run(run) => &run.body.created_by,
            Matter::Release(release) => &release.body.applicant,
            Matter::Extension(extension) => &extension.body.applicant,
        }
    }

    fn reviews(&self) -> &[Review] {
        match self {
            Matter::Run(run) => &run.body.reviews,
            Matter::Release(release) => &release.body.reviews,
            Matter::Extension(extension) => &extension.body.reviews,
        }
    }
}

/// A run, a release or an extension, with its project.
async fn matter(app: &App, subject: &str) -> Result<Option<(Matter, Project)>> {
    let store = &app.store;
    let matter = if let Some(run) = store.sandbox_run_get(subject).await? {
        Matter::Run(run)
    } else if let Some(release) = store.sandbox_release_get(subject).await? {
        Matter::Release(release)
    } else if let Some(extension) = store.sandbox_extension_get(subject).await? {
        Matter::Extension(extension)
    } else {
        return Ok(None);
    };
    let project = store.project_get(matter.project()).await?;
    Ok(project.map(|project| (matter, project)))
}

async fn item(
    app: &App,
    subject: String,
    seat: &str,
    matter: Matter,
    project: Project,
) -> Result<DeskItem> {
    let (run, release, extension) = match matter {
        Matter::Run(run) => (Some(run.body), None, None),
        Matter::Release(release) => (None, Some(release.body), None),
        Matter::Extension(extension) => (None, None, Some(extension.body)),
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
        extension,
        rows,
    })
}

/// Whether the caller may ask whose copy a text is.
#[must_use]
pub fn may_trace(app: &App, op: &Op) -> bool {
    app.may(op, Action::SandboxReview, &target("trace", "", "", ""))
}

/// Whose copy a text is: the release whose watermark it bears, or the call that was answered by it, if it bears a mark that is known. For
/// the authority.
pub async fn trace(app: &App, op: &Op, text: &str) -> Result<Option<Traced>> {
    audit::permit(app, op, Action::SandboxReview, &target("trace", "", "", "")).await?;
    let mut found = match guard::watermark::trace(text) {
        Some(mark) => marked(app, &mark).await?,
        None => None,
    };
    let release = found.as_ref().map(|t| t.release.id.as_str()).unwrap_or("-");
    let mut event = audit::event(op, "sandbox.trace", release);
    if let Some(call) = found.as_ref().and_then(|t| t.call.as_ref()) {
        event.scope = format!("call {}", call.request_id);
    }
    audit::record(app, event).await?;
    if let Some(traced) = &mut found {
        people::name_release(app, &mut traced.release).await?;
    }
    Ok(found)
}

/// What bears a mark: the file of a release, or an answer of one that is served.
async fn marked(app: &App, mark: &str) -> Result<Option<Traced>> {
    if let Some(release) = app.store.sandbox_release_by_mark(mark).await? {
        return Ok(Some(Traced { release, call: None }));
    }
    let Some(call) = app.store.sandbox_mark_get(mark).await? else { return Ok(None) };
    let release = app.store.sandbox_release_get(&call.release).await?;
    Ok(release.map(|kept| Traced { release: kept.body, call: Some(call) }))
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
    let word = Word { op, seat: &seat, agreed, note };
    let settled = match found {
        Matter::Run(kept) => settle_run(app, &permit, kept, &word).await?,
        Matter::Release(kept) => settle_release(app, &permit, kept, &word).await?,
        Matter::Extension(kept) => settle_extension(app, &permit, kept, &word, &project).await?,
    };
    let event = AuditEvent {
        result: if agreed { "ok".into() } else { "denied".into() },
        reason: note.to_owned(),
        scope: format!("seat {}", if seat.is_empty() { "authority" } else { &seat }),
        ..audit::event(op, "sandbox.decide", subject)
    };
    audit::record(app, event).await?;
    if let Some(settled) = settled {
        let mark = format!("{subject}:{agreed}");
        tell::members(app, op, &project, (settled.kind, &mark), &settled.words).await;
        if settled.publish
            && let Err(e) = outlet::open(app, op, subject).await
        {
            // It was decided: who asked for it may have it published when what hinders it is gone.
            tracing::warn!(error = e.operator_text(), "a release could not be published yet");
        }
    }
    Ok(())
}

/// What one seat says.
struct Word<'a> {
    op: &'a Op,
    seat: &'a str,
    agreed: bool,
    note: &'a str,
}

impl Word<'_> {
    /// Writes it down; answers what the seats say together.
    fn said(&self, reviews: &mut [Review]) -> Option<bool> {
        for review in reviews.iter_mut().filter(|r| r.org == self.seat && r.agreed.is_none()) {
            *review = Review {
                org: self.seat.to_owned(),
                by: self.op.actor.id().to_owned(),
                by_name: self.op.actor.name().to_owned(),
                at: self.op.stamp(),
                agreed: Some(self.agreed),
                note: self.note.to_owned(),
            };
        }
        outcome(reviews)
    }
}

/// Something that no seat has to decide on any more.
struct Settled {
    /// Kind of the notice that members get.
    kind: &'static str,
    words: String,
    /// It is to be published now.
    publish: bool,
}

fn over() -> Error {
    Error::new(Code::WrongState, "该事项已办结", "it has been decided already")
}

async fn settle_run(
    app: &App,
    permit: &Permit,
    Kept { body: mut run, edit }: Kept<SandboxRun>,
    word: &Word<'_>,
) -> Result<Option<Settled>> {
    if run.state != RunState::Asked {
        return Err(over());
    }
    let together = word.said(&mut run.reviews);
    match together {
        Some(true) => run.state = RunState::Ready,
        Some(false) => run.state = RunState::Refused,
        None => {}
    }
    app.store.sandbox_run_update(permit, &run, edit).await?;
    let words = format!("{} {}", run.into, run.state.zh());
    Ok(together.map(|_| Settled { kind: "sandbox.run", words, publish: false }))
}

async fn settle_release(
    app: &App,
    permit: &Permit,
    Kept { body: mut release, edit }: Kept<SandboxRelease>,
    word: &Word<'_>,
) -> Result<Option<Settled>> {
    if release.state != ReleaseState::Asked {
        return Err(over());
    }
    let together = word.said(&mut release.reviews);
    match together {
        Some(true) => {
            let days = app.rules.sandbox.release.fetch_days;
            let last = app.calendar.add_working_days(word.op.today(), days);
            release.until = Some(last.to_string());
            release.state = ReleaseState::Allowed;
        }
        Some(false) => release.state = ReleaseState::Refused,
        None => {}
    }
    app.store.sandbox_release_update(permit, &release, edit).await?;
    let said = if together == Some(true) { "同意 agreed" } else { "驳回 refused" };
    let words = format!("{} {} {said}", release.result, release.way.zh());
    let publish = release.way == ReleaseWay::Interface && together == Some(true);
    Ok(together.map(|_| Settled { kind: "sandbox.release", words, publish }))
}

/// A longer term is agreed to within the same limits as it was asked for in, as they are now.
async fn settle_extension(
    app: &App,
    permit: &Permit,
    Kept { body: mut extension, edit }: Kept<SandboxExtension>,
    word: &Word<'_>,
    project: &Project,
) -> Result<Option<Settled>> {
    if extension.state != ExtensionState::Asked {
        return Err(over());
    }
    let together = word.said(&mut extension.reviews);
    match together {
        Some(true) => {
            let held = Held { project: project.clone(), members: Vec::new() };
            if project.closed_at.is_some() {
                return Err(Error::new(Code::WrongState, "沙箱已关闭", "the sandbox is closed"));
            }
            in_term(&held, word.op)?;
            let until = extension.until.parse::<NaiveDate>();
            let until =
                until.map_err(|e| Error::internal("the day of an extension").caused_by(e))?;
            extend::within(app, word.op, &held, until).await?;
            extension.state = ExtensionState::Agreed;
        }
        Some(false) => extension.state = ExtensionState::Refused,
        None => {}
    }
    app.store.sandbox_extension_update(permit, &extension, edit).await?;
    app.shares.forget();
    let words = format!("{} → {} {}", extension.from, extension.until, extension.state.zh());
    Ok(together.map(|_| Settled { kind: "sandbox.extension", words, publish: false }))
}
