//! Projects of batch sharing in the console: the list, opening one, one with what it may use and has used, its members and exports.
//! The workspace is in `project_sql`, scheduled SQL in `project_jobs`.

use std::sync::Arc;

use app::project::{self, ProjectView};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use minijinja::{Value, context};
use model::project::{ExportFormat, ProjectChange, ProjectNew, ProjectQuota, ProjectRole};
use model::{Error, Kind, Result};
use tokio_util::io::ReaderStream;

use crate::console::{PAGE, done, next_link};
use crate::form::Posted;
use crate::label::choices;
use crate::view::value;
use crate::visit::{Visit, encode};
use crate::{Answer, Door};

/// Bytes of a GB in the form of quotas.
const GB: u64 = 1 << 30;

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/projects", get(list).post(create))
        .route("/console/projects/new", get(new_page))
        .route("/console/projects/{id}", get(one).post(change))
        .route("/console/projects/{id}/members", get(members).post(member_set))
        .route("/console/projects/{id}/members/remove", post(member_remove))
        .route("/console/projects/{id}/close", post(close))
        .route("/console/projects/{id}/exports", get(exports).post(ask))
        .route("/console/projects/{id}/exports/{export}", post(fetch))
}

pub(super) fn path(id: &str, rest: &str) -> String {
    format!("/console/projects/{}{rest}", encode(id))
}

/// Where the console's menu stands on a page of it: a sandbox is among the sandboxes, though some of its pages are a project's.
pub(super) fn menu(view: &ProjectView) -> &'static str {
    match view.project.sandbox {
        Some(_) => "/console/sandboxes",
        None => "/console/projects",
    }
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let page = project::list(&door.app, &visit.op, visit.q("before"), PAGE).await?;
    let context = context! {
        projects => value(&page.items), done => visit.q("done"),
        may_open => !project::offers(&door.app, &visit.op).await?.is_empty(),
        next => next_link(&visit, "before", page.next.as_deref()),
    };
    door.page(&visit, "console/projects.html", context).await
}

async fn new_page(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let context = new_form(&door, &visit, None, None).await?;
    door.page(&visit, "console/project_new.html", context).await
}

/// What the form of a new project, or of a new sandbox, shows: applications, the one chosen, what was written and is wrong with it.
pub(super) async fn new_form(
    door: &Door,
    visit: &Visit,
    posted: Option<&ProjectNew>,
    error: Option<&Error>,
) -> Result<Value> {
    let offers = project::offers(&door.app, &visit.op).await?;
    let chosen = posted.map(|p| p.application.as_str()).or_else(|| visit.q("application"));
    let chosen = offers
        .iter()
        .find(|o| Some(o.application.id.as_str()) == chosen)
        .or_else(|| offers.iter().max_by_key(|o| o.tables.len()));
    Ok(context! {
        offers => value(&offers), offer => value(chosen),
        form => posted.map(|p| context! {
            code => &p.code, name => &p.name, purpose => &p.purpose, entries => &p.entries,
        }),
        error => error.map(|e| visit.t(e.zh(), e.en())),
        fields => value(error.map(Error::fields).unwrap_or_default()),
    })
}

/// What was written into the form of a new project.
pub(super) fn new_of(posted: &Posted) -> ProjectNew {
    ProjectNew {
        application: posted.get("application").to_owned(),
        code: posted.get("code").to_owned(),
        name: posted.get("name").to_owned(),
        purpose: posted.get("purpose").to_owned(),
        entries: posted.all("entry").map(str::to_owned).collect(),
    }
}

async fn create(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    let new = new_of(&posted);
    match project::create(&door.app, &visit.op, new.clone()).await {
        Ok(made) => done(&path(&made.id, ""), "created"),
        Err(e) if matches!(e.kind(), Kind::Invalid | Kind::Conflict) => {
            let context = new_form(&door, &visit, Some(&new), Some(&e)).await?;
            door.page_with(&visit, "console/project_new.html", context, Some(&e)).await
        }
        Err(e) => Err(e.into()),
    }
}

async fn one(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let view = project::get(app, op, &id).await?;
    let tables = project::tables(app, op, &id).await?;
    let results = project::results(app, op, &id).await?;
    let jobs = project::jobs(app, op, &id).await?;
    let offers = match view.may_keep {
        true => project::offers(app, op).await?,
        false => Vec::new(),
    };
    let granted = offers.into_iter().find(|o| o.application.id == view.project.application);
    let quota = view.project.quota;
    let context = context! {
        view => value(&view), tables => value(&tables), results => value(&results), jobs => value(&jobs),
        granted => value(granted.map(|o| o.tables).unwrap_or_default()),
        storage_gb => quota.storage_bytes / GB, done => visit.q("done"), tab => "one",
        menu => menu(&view),
        percent => context! {
            day => percent(view.used.day, quota.units_per_day as f64),
            month => percent(view.used.month, quota.units_per_month as f64),
            bytes => percent(view.used.bytes as f64, quota.storage_bytes as f64),
        },
        seen => context! {
            day => format!("{:.2}", view.used.day), month => format!("{:.2}", view.used.month),
        },
    };
    door.page(&visit, "console/project.html", context).await
}

fn percent(used: f64, most: f64) -> u64 {
    if most <= 0.0 { 100 } else { (used * 100.0 / most).clamp(0.0, 100.0) as u64 }
}

async fn change(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let gb: u64 = posted.number("storage_gb")?;
    let change = ProjectChange {
        name: posted.get("name").to_owned(),
        purpose: posted.get("purpose").to_owned(),
        entries: posted.all("entry").map(str::to_owned).collect(),
        quota: ProjectQuota {
            units_per_day: posted.number("units_per_day")?,
            units_per_month: posted.number("units_per_month")?,
            storage_bytes: gb.saturating_mul(GB),
        },
    };
    project::change(&door.app, &visit.op, &id, change).await?;
    done(&path(&id, ""), "saved")
}

async fn members(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let view = project::get(&door.app, &visit.op, &id).await?;
    let words = choices("project_role", visit.lang);
    let roles: Vec<Value> =
        words.into_iter().map(|(word, name)| context! { value => word, name }).collect();
    let context = context! {
        view => value(&view), roles, done => visit.q("done"), tab => "members", menu => menu(&view),
    };
    door.page(&visit, "console/project_members.html", context).await
}

async fn member_set(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let role = ProjectRole::parse(posted.get("role"))
        .ok_or_else(|| Error::invalid("没有这个角色", "there is no such role"))?;
    project::member_set(&door.app, &visit.op, &id, posted.get("name"), role).await?;
    done(&path(&id, "/members"), "saved")
}

async fn member_remove(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    project::member_remove(&door.app, &visit.op, &id, posted.get("user")).await?;
    done(&path(&id, "/members"), "removed")
}

async fn close(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    project::close(&door.app, &visit.op, &id).await?;
    done(&path(&id, ""), "closed")
}

async fn exports(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    exports_page(&door, &visit, &id, None).await
}

/// The exports of a project, with a form to ask for the result of a statement when there is one.
pub(super) async fn exports_page(
    door: &Door,
    visit: &Visit,
    id: &str,
    sql: Option<&str>,
) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let view = project::get(app, op, id).await?;
    let page = project::exports(app, op, id, visit.q("before"), PAGE).await?;
    let context = context! {
        view => value(&view), exports => value(&page.items), done => visit.q("done"), tab => "exports",
        sql, next => next_link(visit, "before", page.next.as_deref()),
    };
    door.page(visit, "console/project_exports.html", context).await
}

async fn ask(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let format = ExportFormat::parse(posted.get("format"))
        .ok_or_else(|| Error::invalid("请选择导出格式", "choose a format"))?;
    let (sql, reason) = (posted.get("sql"), posted.get("reason"));
    project::ask(&door.app, &visit.op, &id, sql, format, reason).await?;
    done(&path(&id, "/exports"), "submitted")
}

async fn fetch(
    State(door): State<Arc<Door>>,
    Path((id, export)): Path<(String, String)>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    let fetched = project::fetch(&door.app, &visit.op, &id, &export).await?;
    let kind = match fetched.format {
        ExportFormat::Csv => "text/csv; charset=utf-8",
        ExportFormat::Parquet => "application/vnd.apache.parquet",
    };
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_LENGTH, fetched.bytes.to_string()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", fetched.name)),
    ];
    let body = Body::from_stream(ReaderStream::new(tokio::fs::File::from_std(fetched.file)));
    Ok((headers, body).into_response())
}
