//! Opening, changing and closing projects; their members; what they may use and have used; their tables.

use std::sync::Arc;

use model::account::Application;
use model::code::{DataType, Grade};
use model::dispatch::Resource;
use model::project::{
    Project, ProjectChange, ProjectMember, ProjectNew, ProjectQuota, ProjectRole, check_code,
};
use model::sandbox::SandboxTerms;
use model::{Code, Error, Op, Result};
use policy::port::SqlTable;
use policy::{Action, Target};
use serde::Serialize;

use super::room::{application, granted, used_millis};
use super::{Held, QuotaRules, held, made, sandbox, seen};
use crate::wire::desk::{self, Desk};
use crate::{App, Page, account, audit, dispatch};

/// Longest name and purpose, characters.
const NAME: usize = 100;
const PURPOSE: usize = 1000;

/// A project as a member sees it.
#[derive(Clone, Debug, Serialize)]
pub struct ProjectView {
    pub project: Project,
    pub members: Vec<ProjectMember>,
    pub used: Used,
    /// What the reader is in it.
    pub role: Option<ProjectRole>,
    pub may_work: bool,
    pub may_keep: bool,
}

/// What a project has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Used {
    /// Compute units today and this month.
    pub day: f64,
    pub month: f64,
    /// Bytes of its results.
    pub bytes: u64,
}

/// A table of a project as its schema tree shows it.
#[derive(Clone, Debug, Serialize)]
pub struct TableView {
    pub code: String,
    pub title: String,
    pub title_en: String,
    /// Made by a job, not granted.
    pub made: bool,
    pub columns: Vec<ColumnView>,
}

#[derive(Clone, Debug, Serialize)]
pub struct ColumnView {
    pub name: String,
    pub name_cn: String,
    pub name_en: String,
    pub data_type: DataType,
    pub grade: Grade,
    /// How its values are masked; empty: not at all.
    pub mask: String,
}

/// An application that the caller may open a project for, with what it is granted by SQL.
#[derive(Clone, Debug, Serialize)]
pub struct Offer {
    pub application: Application,
    /// `(code, title)`
    pub tables: Vec<(String, String)>,
}

/// Projects that the caller is a member of, newest first.
pub async fn list(
    app: &App,
    op: &Op,
    before: Option<&str>,
    limit: u32,
) -> Result<Page<ProjectView>> {
    let limit = if limit == 0 { 50 } else { limit.min(200) };
    let found = app.store.projects_of(op.actor.id(), before, limit + 1).await?;
    let Page { items, next } = Page::cut(found, limit, |p| p.id.clone());
    let mut views = Vec::with_capacity(items.len());
    for project in items {
        let members = app.store.project_members(&project.id).await?;
        let held = Held { project, members };
        if held.may(app, op, Action::ProjectRead) {
            views.push(view(app, op, held).await?);
        }
    }
    Ok(Page { items: views, next })
}

pub async fn get(app: &App, op: &Op, id: &str) -> Result<ProjectView> {
    let mut held = seen(app, op, id).await?;
    let added = held.members.iter_mut().map(|m| &mut m.added_by);
    let people = added.chain([&mut held.project.created_by]);
    account::logins_named(app, people.collect()).await?;
    view(app, op, held).await
}

pub(super) async fn view(app: &App, op: &Op, held: Held) -> Result<ProjectView> {
    let me = op.actor.id();
    Ok(ProjectView {
        used: used(app, op, &held.project.id).await?,
        role: held.members.iter().find(|m| m.user == me).map(|m| m.role),
        may_work: held.may(app, op, Action::ProjectWork),
        may_keep: held.may(app, op, Action::ProjectKeep),
        project: held.project,
        members: held.members,
    })
}

async fn used(app: &App, op: &Op, project: &str) -> Result<Used> {
    let unit = dispatch::unit(app, op, Resource::Compute)? as f64;
    let (day, month) = used_millis(app, op, project).await?;
    let bytes = app.store.project_stored(project).await?;
    Ok(Used { day: day as f64 / unit, month: month as f64 / unit, bytes })
}

/// Applications of the caller's that a project can be opened for.
pub async fn offers(app: &App, op: &Op) -> Result<Vec<Offer>> {
    let mut offers = Vec::new();
    for application in account::applications(app, op).await? {
        let manages =
            app.policy.decide(op, Action::ApplicationManage, &Target::application(&application));
        if !manages.allowed || application.personal() || !application.active {
            continue;
        }
        let tables = included(app, op, &application).await?;
        let tables =
            tables.into_iter().map(|t| (t.grant.code().to_owned(), t.title.clone())).collect();
        offers.push(Offer { application, tables });
    }
    Ok(offers)
}

/// What an application is granted by SQL now.
async fn included(app: &App, op: &Op, application: &Application) -> Result<Vec<SqlTable>> {
    match account::actor_of(app, &application.key).await? {
        Some(actor) => desk::granted(app, &app.op(actor, &op.source)).await,
        None => Ok(Vec::new()),
    }
}

/// Opens a project; who opens it is its first owner.
pub async fn create(app: &App, op: &Op, new: ProjectNew) -> Result<Project> {
    open(app, op, new, None).await
}

/// The same, as a sandbox when it has terms.
pub(super) async fn open(
    app: &App,
    op: &Op,
    new: ProjectNew,
    terms: Option<SandboxTerms>,
) -> Result<Project> {
    let application = account::application(app, op, &new.application).await?;
    let target = Target::application(&application);
    let permit = audit::permit(app, op, Action::ApplicationManage, &target).await?;
    if application.personal() || op.actor.org() != Some(application.org.as_str()) {
        return Err(Error::new(
            Code::RuleBroken,
            "批量共享项目只能为本单位的应用设立",
            "a project is opened for an application of one's own organisation",
        ));
    }
    check_code(new.code.trim())?;
    sandbox::alone(app, terms.is_some(), &application.id).await?;
    let (name, purpose) = words(&new.name, &new.purpose)?;
    let granted = included(app, op, &application).await?;
    let quota = &app.rules.project.quota;
    let project = Project {
        id: op.new_id(),
        code: new.code.trim().to_owned(),
        name,
        purpose,
        org: application.org.clone(),
        application: application.id,
        application_name: application.name,
        quota: ProjectQuota {
            units_per_day: quota.units_per_day,
            units_per_month: quota.units_per_month,
            storage_bytes: match terms {
                Some(_) => app.rules.sandbox.storage_mib << 20,
                None => gigabytes(app, op, quota.storage_gb)?,
            },
        },
        entries: chosen(new.entries, &granted, &[])?,
        created_at: op.stamp(),
        created_by: op.actor.name().to_owned(),
        closed_at: None,
        sandbox: terms,
    };
    app.store.project_insert(&permit, &project, op.actor.id(), op.actor.name()).await?;
    recorded(app, op, "project.open", &project.id, &project.code).await?;
    Ok(project)
}

/// Changes what its owner decides of a project.
pub async fn change(app: &App, op: &Op, id: &str, change: ProjectChange) -> Result<Project> {
    let (held, permit) = held(app, op, id, Action::ProjectKeep).await?;
    let (name, purpose) = words(&change.name, &change.purpose)?;
    let application = app.store.application_get(&held.project.application).await?;
    let granted = match application {
        Some(application) => included(app, op, &application).await?,
        None => Vec::new(),
    };
    bounds(app, op, &change.quota)?;
    let entries = chosen(change.entries, &granted, &held.project.entries)?;
    let project = Project { name, purpose, entries, quota: change.quota, ..held.project };
    app.store.project_update(&permit, &project).await?;
    app.shares.forget();
    let q = &project.quota;
    let scope = format!(
        "units {}/{} bytes {} tables {}",
        q.units_per_day,
        q.units_per_month,
        q.storage_bytes,
        project.entries.join(",")
    );
    recorded(app, op, "project.change", id, &scope).await?;
    Ok(project)
}

/// Codes that were chosen, of what is granted (or was chosen before).
fn chosen(entries: Vec<String>, granted: &[SqlTable], before: &[String]) -> Result<Vec<String>> {
    let mut codes: Vec<String> = entries.into_iter().map(|e| e.trim().to_owned()).collect();
    codes.retain(|c| !c.is_empty());
    codes.sort();
    codes.dedup();
    let known = |c: &String| granted.iter().any(|t| t.grant.code() == c) || before.contains(c);
    match codes.iter().find(|c| !known(c)) {
        None => Ok(codes),
        Some(code) => Err(Error::new(
            Code::NoGrant,
            format!("应用没有 `{code}` 的 SQL 授权，不能纳入项目"),
            format!("the application is not granted `{code}` by SQL: a project cannot include it"),
        )),
    }
}

fn bounds(app: &App, op: &Op, quota: &ProjectQuota) -> Result<()> {
    let QuotaRules {
        most_units_per_day: day,
        most_units_per_month: month,
        most_storage_gb: gb,
        ..
    } = app.rules.project.quota;
    let most = gigabytes(app, op, gb)?;
    let fits =
        quota.units_per_day <= day && quota.units_per_month <= month && quota.storage_bytes <= most;
    if fits {
        return Ok(());
    }
    Err(Error::new(
        Code::RuleBroken,
        format!("项目配额最多为每日 {day} 单元、每月 {month} 单元、存储 {gb} GB"),
        format!("a project has at most {day} units a day, {month} a month and {gb} GB"),
    ))
}

fn gigabytes(app: &App, op: &Op, gb: u64) -> Result<u64> {
    Ok(gb.saturating_mul(dispatch::unit(app, op, Resource::Storage)?))
}

fn words(name: &str, purpose: &str) -> Result<(String, String)> {
    let (name, purpose) = (name.trim(), purpose.trim());
    for (field, text, most) in [("name", name, NAME), ("purpose", purpose, PURPOSE)] {
        if text.is_empty() || text.chars().count() > most {
            return Err(Error::invalid(
                format!("项目名称（最多 {NAME} 字）和使用目的（最多 {PURPOSE} 字）必填"),
                format!("a name (at most {NAME} characters) and a purpose (at most {PURPOSE}) are needed"),
            )
            .field(field, "请修改", "change it"));
        }
    }
    Ok((name.to_owned(), purpose.to_owned()))
}

/// Takes a person of the organisation in by login name, or gives a member another role.
pub async fn member_set(app: &App, op: &Op, id: &str, name: &str, role: ProjectRole) -> Result<()> {
    let (held, permit) = held(app, op, id, Action::ProjectKeep).await?;
    let person = account::person(app, name).await?;
    if person.org() != Some(held.project.org.as_str()) {
        return Err(Error::new(
            Code::RuleBroken,
            "项目成员须是应用所属单位的人员",
            "members are people of the application's organisation",
        )
        .field("name", "不是本单位人员", "not of this organisation"));
    }
    let known = held.members.iter().find(|m| m.user == person.id());
    if known.is_none() && held.members.len() >= app.rules.project.members {
        return Err(Error::of(Code::TooLarge));
    }
    if known.is_some_and(|m| m.role == ProjectRole::Owner) && role != ProjectRole::Owner {
        another_owner(&held, person.id())?;
    }
    let member = ProjectMember {
        user: person.id().to_owned(),
        name: person.name().to_owned(),
        display_name: String::new(),
        role,
        added_at: op.stamp(),
        added_by: op.actor.name().to_owned(),
    };
    app.store.project_member_set(&permit, id, &member).await?;
    recorded(app, op, "project.member", id, &format!("{} {role}", member.name)).await?;
    if known.is_none() && held.project.sandbox.is_some() {
        sandbox::invited(app, op, &held.project, person.id()).await;
    }
    Ok(())
}

/// Takes a member out; the last owner stays.
pub async fn member_remove(app: &App, op: &Op, id: &str, user: &str) -> Result<()> {
    let (held, permit) = held(app, op, id, Action::ProjectKeep).await?;
    let member = held
        .members
        .iter()
        .find(|m| m.user == user)
        .ok_or_else(|| Error::not_found("成员", "member", user))?;
    if member.role == ProjectRole::Owner {
        another_owner(&held, user)?;
    }
    app.store.project_member_remove(&permit, id, user).await?;
    recorded(app, op, "project.member_out", id, &member.name).await
}

fn another_owner(held: &Held, user: &str) -> Result<()> {
    if held.members.iter().any(|m| m.role == ProjectRole::Owner && m.user != user) {
        return Ok(());
    }
    Err(Error::new(
        Code::RuleBroken,
        "项目至少保留一名负责人，请先指定另一名负责人",
        "a project keeps one owner at least: name another first",
    ))
}

/// Closes a project: nothing is asked, run or fetched any more; what it did stays to be read.
pub async fn close(app: &App, op: &Op, id: &str) -> Result<()> {
    let (held, permit) = held(app, op, id, Action::ProjectKeep).await?;
    let project = Project { closed_at: Some(op.stamp()), ..held.project };
    app.store.project_update(&permit, &project).await?;
    app.shares.forget();
    recorded(app, op, "project.close", id, &project.code).await?;
    match project.sandbox {
        Some(_) => sandbox::closed(app, op, &project).await,
        None => Ok(()),
    }
}

pub(super) async fn recorded(
    app: &App,
    op: &Op,
    action: &str,
    id: &str,
    scope: &str,
) -> Result<()> {
    let mut event = audit::event(op, action, id);
    scope.clone_into(&mut event.scope);
    audit::record(app, event).await
}

/// The schema tree: granted items only, and results that may be read.
pub async fn tables(app: &Arc<App>, op: &Op, id: &str) -> Result<Vec<TableView>> {
    let held = seen(app, op, id).await?;
    let mut tables = Vec::new();
    for view in
        made::of(app, op, &held).await?.into_iter().filter(|v| v.readable && !v.result.hidden)
    {
        let masked =
            |name: &str| view.result.made.columns.iter().any(|c| c.name == name && c.masked);
        let columns = view.result.items().iter().map(|item| ColumnView {
            name: item.identifier.clone(),
            name_cn: item.name_cn.clone(),
            name_en: item.name_en.clone(),
            data_type: item.data_type,
            grade: item.grade,
            mask: if masked(&item.identifier) { "masked".to_owned() } else { String::new() },
        });
        tables.push(TableView {
            code: view.result.code().to_owned(),
            title: view.result.table.draft.title.clone(),
            title_en: String::new(),
            made: true,
            columns: columns.collect(),
        });
    }
    if !held.may(app, op, Action::ProjectWork) {
        return Ok(tables);
    }
    if held.project.sandbox.is_some() {
        return Ok(tables);
    }
    // A stopped application is granted nothing; its project can be looked at all the same.
    let own = match application(app, &held, &op.source).await {
        Ok(own) => own,
        Err(e) if e.code() == Code::WrongState => return Ok(tables),
        Err(e) => return Err(e),
    };
    for table in granted(&Desk::new(Arc::clone(app)), &held, &own).await? {
        let entry = app.store.entry_get(table.grant.entry()).await?;
        let name_en = |name: &str| {
            let item = entry.as_ref().and_then(|e| e.draft.item(name));
            item.map(|i| i.name_en.clone()).unwrap_or_default()
        };
        let columns = table.grant.columns().iter().map(|c| ColumnView {
            name: c.identifier.clone(),
            name_cn: c.name_cn.clone(),
            name_en: name_en(&c.identifier),
            data_type: c.data_type,
            grade: c.grade,
            mask: c.mask.as_ref().map(model::mask::Mask::label).unwrap_or_default(),
        });
        tables.push(TableView {
            code: table.grant.code().to_owned(),
            title: table.title.clone(),
            title_en: entry.as_ref().map(|e| e.draft.title_en.clone()).unwrap_or_default(),
            made: false,
            columns: columns.collect(),
        });
    }
    Ok(tables)
}
