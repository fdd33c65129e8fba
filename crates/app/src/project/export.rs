//! Taking a result out: asked for with a reason, its statement frozen; allowed by an approval (the flow `export`); fetched once
//! within a term, by who asked. The statement runs when it is fetched, by the grants of then.
//!
//! A frozen statement is not all: it may read a result, and whoever works in the project may have that made of something else. So what
//! it reads is frozen, too ([`Reads`]: granted resources with items, masks and row filters, their providers, the statements of
//! jobs behind it), shown to those who decide, and compared when it is allowed and with what the run really read before anything is
//! handed out. What is not the same is refused and asked anew, so that those whose data it is decide.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use model::audit::AuditEvent;
use model::flow::{Fact, Facts, Phase, State, Subject};
use model::op::stamp;
use model::project::reads::Reads;
use model::project::result::{MadeBy, MadeFrom};
use model::project::{ExportFormat, ProjectExport};
use model::{Code, Error, Op, Result};
use policy::{Action, Permit};
use serde::Serialize;

use super::room::{Room, Use, application, granted, granted_anew};
use super::{Held, held, load, made, sandbox, seen, work};
use crate::approval::{self, Beginning, Places};
use crate::wire::desk::Desk;
use crate::{App, Page, account, audit};

/// Kind of the subject of an approval that lets a result out.
pub(crate) const SUBJECT: &str = "export";
/// Longest reason, characters.
const REASON: usize = 1000;

/// An export as members and those who decide see it.
#[derive(Clone, Debug, Serialize)]
pub struct ExportView {
    pub export: ProjectExport,
    pub phase: Phase,
    /// The reader may fetch it now.
    pub ready: bool,
    pub expired: bool,
}

/// What an approval is about, as those who decide see it.
#[derive(Clone, Debug, Serialize)]
pub struct ExportAsked {
    pub export: ProjectExport,
    /// Name of its project.
    pub project: String,
    /// What it reads that is not as it was when it was asked for, by name: it cannot be allowed any more. Told while it is decided on.
    pub changed: Vec<String>,
}

/// A result on its way out: an open file that is removed already.
#[derive(Debug)]
pub struct Fetched {
    pub file: std::fs::File,
    pub name: String,
    pub format: ExportFormat,
    pub bytes: u64,
}

/// Context under which the statement of an export is sealed.
fn sealed(id: &str) -> String {
    format!("project.export {id}")
}

/// Asks that the result of a statement may be taken out.
pub async fn ask(
    app: &Arc<App>,
    op: &Op,
    id: &str,
    sql: &str,
    format: ExportFormat,
    reason: &str,
) -> Result<ProjectExport> {
    let (held, permit) = held(app, op, id, Action::ProjectWork).await?;
    sandbox::none(&held)?;
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > REASON {
        return Err(Error::invalid(
            format!("请说明导出理由，最多 {REASON} 字"),
            format!("say why it is to be taken out, in at most {REASON} characters"),
        )
        .field("reason", "请修改", "change it"));
    }
    let sql = sql.trim().trim_end_matches(';').trim();
    let own = application(app, &held, &op.source).await?;
    let room = Arc::new(Room::new(app, op, id, &op.new_id(), Use::Export, longest(app)));
    let looked = work::sit(app, &own, &room, None)?.look(sql).await?;
    let tables = granted(&Desk::new(Arc::clone(app)), &held, &own).await?;
    let results = app.store.project_results(id).await?;
    let sources = made::sources(&tables, &looked.tables, &results);
    let reads = reads(app, sources, made::behind(&looked.tables, &results)).await?;
    known(&reads)?;
    let Some(owner) = reads.providers.first().cloned() else {
        return Err(Error::new(
            Code::RuleBroken,
            "该语句没有读取任何授权数据，无需导出审批",
            "the statement reads nothing that was granted: there is nothing to take out",
        ));
    };
    let export = ProjectExport {
        id: op.new_id(),
        project: id.to_owned(),
        sql: String::new(),
        format,
        reason: reason.to_owned(),
        columns: looked.columns.iter().map(|c| c.item.identifier.clone()).collect(),
        tables: looked.tables,
        reads,
        applicant: op.actor.id().to_owned(),
        applicant_name: op.actor.name().to_owned(),
        approval: String::new(),
        created_at: op.stamp(),
        until: None,
        taken_at: None,
        rows: 0,
        bytes: 0,
    };
    let beginning = Beginning {
        flow: "export",
        subject: Subject { kind: SUBJECT.into(), id: export.id.clone() },
        title: format!(
            "{}：导出 {} 列（{}）",
            held.project.name,
            export.columns.len(),
            format.zh()
        ),
        applicant_org: held.project.org.clone(),
        facts: facts(&export.reads, format),
        more: others(&export.reads, &owner),
        owner_org: owner,
    };
    let begun = approval::begin(app, op, &permit, beginning).await?;
    let export = ProjectExport {
        sql: app.keys.vault().seal(&sealed(&export.id), sql.as_bytes())?,
        approval: begun.id.clone(),
        ..export
    };
    app.store
        .project_export_insert(&permit, &export, &begun.events, &begun.state, &begun.stage)
        .await?;
    approval::started(app, op, &begun).await?;
    let event = AuditEvent {
        request: export.approval.clone(),
        purpose: export.reason.clone(),
        columns: export.columns.join(","),
        scope: format!("project {id} {}", codes(&export)),
        ..audit::event(op, "project.export.ask", &export.id)
    };
    audit::record(app, event).await?;
    approval::settle(app, op, &begun.id).await?;
    Ok(ProjectExport { sql: sql.to_owned(), ..export })
}

fn longest(app: &App) -> Duration {
    Duration::from_secs(app.rules.project.statement_seconds.max(1))
}

fn codes(export: &ProjectExport) -> String {
    export.tables.iter().map(|(code, _)| code.as_str()).collect::<Vec<_>>().join(",")
}

/// Organisations whose data it is: that of the highest grade first.
pub(super) async fn providers(app: &App, sources: &[MadeFrom]) -> Result<Vec<String>> {
    let mut graded = Vec::new();
    for source in sources {
        if let Some(entry) = app.store.entry_get(&source.code).await? {
            let grade = source.items.iter().map(|i| i.grade).max();
            graded.push((grade, entry.draft.org));
        }
    }
    graded.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let mut known = BTreeSet::new();
    Ok(graded.into_iter().map(|(_, org)| org).filter(|org| known.insert(org.clone())).collect())
}

/// Those of an export who own data besides its first provider: each of them decides, too. The place is there when there are none.
fn others(reads: &Reads, owner: &str) -> Places {
    let others: Vec<&String> = reads.providers.iter().filter(|org| *org != owner).collect();
    if others.is_empty() {
        return Places::from([("others".to_owned(), owner.to_owned())]);
    }
    let name = |at: usize| if at == 0 { "others".to_owned() } else { format!("others.{}", at + 1) };
    others.into_iter().enumerate().map(|(at, org)| (name(at), org.clone())).collect()
}

fn facts(reads: &Reads, format: ExportFormat) -> Facts {
    let grade = reads.sources.iter().flat_map(|s| &s.items).map(|i| i.grade).max();
    let number = grade.map_or(1, |g| i64::from(g as u8) + 1);
    let providers = i64::try_from(reads.providers.len()).unwrap_or(i64::MAX);
    Facts::from([
        ("providers".to_owned(), Fact::Number(providers)),
        ("grade".to_owned(), Fact::Number(number)),
        ("format".to_owned(), Fact::Text(format.as_str().to_owned())),
    ])
}

/// What is read, with those whose data it is.
pub(super) async fn reads(app: &App, sources: Vec<MadeFrom>, behind: Vec<MadeBy>) -> Result<Reads> {
    Ok(Reads { providers: providers(app, &sources).await?, sources, behind })
}

/// Fails where nothing tells how a result behind it was made: nobody could decide on it.
fn known(reads: &Reads) -> Result<()> {
    match reads.behind.iter().find(|made| made.sql.is_empty()) {
        None => Ok(()),
        Some(made) => Err(Error::new(
            Code::RuleBroken,
            format!(
                "结果表 `{}` 没有记录产生它的语句（平台升级前产生），请先重新运行其作业",
                made.code
            ),
            format!(
                "nothing tells by which statement the result `{}` was made (it is from before the platform kept that): run its job anew first",
                made.code
            ),
        )),
    }
}

/// What of an export is not read now as it was when it was asked for, by what is granted and recorded now. Fails with `wrong_state` while
/// the application is stopped.
async fn changed(app: &App, op: &Op, export: &ProjectExport) -> Result<Vec<String>> {
    let missing = || Error::not_found("项目", "project", &export.project);
    let held = load(app, &export.project).await?.ok_or_else(missing)?;
    let own = application(app, &held, &op.source).await?;
    let tables = granted_anew(app, &held, &own).await?;
    let results = app.store.project_results(&export.project).await?;
    let sources = made::sources(&tables, &export.tables, &results);
    let now = reads(app, sources, made::behind(&export.tables, &results)).await?;
    Ok(export.reads.changed(&now))
}

/// Fails, naming what has changed, when there is anything.
fn same(changed: &[String]) -> Result<()> {
    if changed.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        Code::WrongState,
        format!(
            "导出所读的数据（{}）自申请以来已改变，原审批不再适用；请重新申请，由现在涉及的各数源单位审核",
            changed.join("、")
        ),
        format!(
            "what the export reads ({}) has changed since it was asked for, and the decision does not cover it: ask anew, so that everybody whose data it is now decides",
            changed.join(", ")
        ),
    ))
}

/// Lets out what an approval granted; granting it again changes nothing. It fails when what was decided on has changed meanwhile.
pub(crate) async fn deliver(
    app: &App,
    system: &Op,
    permit: &Permit,
    held: &approval::Held,
) -> Result<String> {
    let id = &held.state.subject.id;
    let found = app.store.project_export_get(id).await?;
    let found = found
        .ok_or_else(|| Error::internal(format!("no export behind the approval `{}`", held.id)))?;
    if let Err(refusal) = same(&Box::pin(changed(app, system, &found)).await?) {
        audit::refused(app, system, "project.export.allow", id, &refusal).await?;
        return Err(refusal);
    }
    let until = system.at + TimeDelta::days(app.rules.project.export.term_days.clamp(1, 365));
    app.store.project_export_allow(permit, id, &stamp(until)).await?;
    let mut event = audit::event(system, "project.export.allow", id);
    event.request.clone_from(&held.id);
    event.scope = format!("until {}", stamp(until));
    audit::record(app, event).await?;
    Ok(format!("export of {}", codes(&found)))
}

/// Exports of a project, newest first.
pub async fn exports(
    app: &App,
    op: &Op,
    id: &str,
    before: Option<&str>,
    limit: u32,
) -> Result<Page<ExportView>> {
    let held = seen(app, op, id).await?;
    let limit = if limit == 0 { 20 } else { limit.min(200) };
    let found = app.store.project_exports(id, before, limit + 1).await?;
    let Page { items, next } = Page::cut(found, limit, |e| e.id.clone());
    let mut views = Vec::with_capacity(items.len());
    for export in items {
        views.push(view(app, op, &held, export).await?);
    }
    let exports = views.iter_mut().map(|v| &mut v.export);
    let people = exports.map(|e| (e.applicant.as_str(), &mut e.applicant_name));
    account::named(app, people.collect()).await?;
    Ok(Page { items: views, next })
}

async fn view(app: &App, op: &Op, held: &Held, mut export: ProjectExport) -> Result<ExportView> {
    let mine = export.applicant == op.actor.id();
    export.sql = match mine || held.may(app, op, Action::ProjectKeep) {
        true => opened(app, &export)?,
        // A statement may name a person: it is its writer's, and the owners'.
        false => String::new(),
    };
    let phase = State::fold(&approval::events_of(app, &export.approval).await?)?.phase;
    let open = export.until.as_deref().is_some_and(|until| until > op.stamp().as_str());
    Ok(ExportView {
        ready: mine
            && open
            && phase == Phase::Approved
            && export.taken_at.is_none()
            && held.may(app, op, Action::ProjectWork),
        expired: export.until.is_some() && !open && export.taken_at.is_none(),
        phase,
        export,
    })
}

fn opened(app: &App, export: &ProjectExport) -> Result<String> {
    let plain = app.keys.vault().open(&sealed(&export.id), &export.sql)?;
    Ok(String::from_utf8_lossy(&plain).into_owned())
}

/// What an approval is about, for those who may see the approval.
pub async fn about(app: &App, op: &Op, subject: &Subject) -> Result<Option<ExportAsked>> {
    if subject.kind != SUBJECT {
        return Ok(None);
    }
    let found = app.store.project_export_get(&subject.id).await?;
    let Some(mut export) = found else { return Ok(None) };
    let seen = approval::as_kept(app, op, &export.approval).await?;
    let project = app.store.project_get(&export.project).await?;
    let changed = match seen.state.phase {
        Phase::Running => match Box::pin(changed(app, op, &export)).await {
            // A stopped application is granted nothing.
            Err(e) if e.code() == Code::WrongState => {
                export.tables.iter().map(|(code, _)| code.clone()).collect()
            }
            now => now?,
        },
        _ => Vec::new(),
    };
    let sql = opened(app, &export)?;
    let asked = vec![(export.applicant.as_str(), &mut export.applicant_name)];
    account::named(app, asked).await?;
    Ok(Some(ExportAsked {
        export: ProjectExport { sql, ..export },
        project: project.map(|p| p.name).unwrap_or_default(),
        changed,
    }))
}

/// Fetches what was allowed, once, as long as it is what was decided on.
pub async fn fetch(app: &Arc<App>, op: &Op, id: &str, export: &str) -> Result<Fetched> {
    let (held, permit) = held(app, op, id, Action::ProjectWork).await?;
    let missing = || Error::not_found("导出申请", "export", export);
    let found = app.store.project_export_get(export).await?;
    let found = found.filter(|e| e.project == id).ok_or_else(missing)?;
    if found.applicant != op.actor.id() {
        return Err(Error::new(
            Code::Denied,
            "只有导出申请人本人可以下载",
            "only who asked for an export may fetch it",
        ));
    }
    let view = view(app, op, &held, found.clone()).await?;
    if !view.ready {
        return Err(Error::new(
            Code::WrongState,
            "该导出未获批准、已过期或已被下载过",
            "the export is not approved, has expired, or was fetched already",
        ));
    }
    // Told before anything is computed.
    let now = Box::pin(changed(app, op, &found)).await?;
    covered(app, op, &found, &now).await?;
    let own = application(app, &held, &op.source).await?;
    let place = app.projects.place(id, app.rules.project.statements)?;
    let room = Room::new(app, op, id, &op.new_id(), Use::Export, longest(app));
    let room = Arc::new(room.because(&found.reason));
    let path = app.folders.inbox.join(format!("export-{}", op.new_id()));
    let saved =
        work::sit(app, &own, &room, None)?.save(&view.export.sql, found.format, &path).await;
    drop(place);
    let (saved, file) = taken_away(path, saved).await?;
    // What counts is what was read: a job may have run since.
    let read = reads(app, room.sources(), room.behind()).await?;
    covered(app, op, &found, &found.reads.changed(&read)).await?;
    // Only when it is written whole is it taken: what fails on the way may be tried again.
    app.store.project_export_take(&permit, export, &op.stamp(), saved.rows, saved.bytes).await?;
    let event = AuditEvent {
        rows: saved.rows,
        bytes: saved.bytes,
        columns: found.columns.join(","),
        purpose: found.reason.clone(),
        request: found.approval.clone(),
        scope: format!("project {id} {}", codes(&found)),
        ..audit::event(op, "project.export.take", export)
    };
    audit::record(app, event).await?;
    let extension = found.format.as_str();
    let day = op.today();
    Ok(Fetched {
        file,
        name: format!("{}-{day}.{extension}", held.project.code),
        format: found.format,
        bytes: saved.bytes,
    })
}

/// Fails, and records it, unless nothing has changed of what was decided on.
async fn covered(app: &App, op: &Op, export: &ProjectExport, changed: &[String]) -> Result<()> {
    let Err(refusal) = same(changed) else { return Ok(()) };
    audit::refused(app, op, "project.export.take", &export.id, &refusal).await?;
    Err(refusal)
}

/// Opens the written file and takes its name away, so that nothing of it stays.
async fn taken_away(
    path: PathBuf,
    saved: Result<policy::port::SqlSaved>,
) -> Result<(policy::port::SqlSaved, std::fs::File)> {
    let opened = tokio::task::spawn_blocking(move || {
        let file = std::fs::File::open(&path);
        let _ = std::fs::remove_file(&path);
        file
    });
    let opened = opened.await.map_err(|e| Error::internal("an export's file").caused_by(e))?;
    let saved = saved?;
    let file = opened.map_err(|e| Error::internal("an export's file").caused_by(e))?;
    Ok((saved, file))
}
