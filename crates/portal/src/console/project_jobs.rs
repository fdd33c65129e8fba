//! Scheduled SQL of a project in the console: jobs with their next turn and what stands before them, their texts, runs with progress
//! and cost, results with lineage and a draft for the catalogue.

use std::sync::Arc;

use app::project::{self, JobView};
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use minijinja::{Value, context};
use model::project::job::ProjectRun;
use model::{Error, Kind};

use crate::console::projects::path;
use crate::console::{done, next_link};
use crate::form::Posted;
use crate::view::value;
use crate::visit::{Visit, encode};
use crate::{Answer, Door};

/// Runs of one page.
const SHOWN: u32 = 20;

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/projects/{id}/jobs", get(list).post(create))
        .route("/console/projects/{id}/jobs/new", get(new_page))
        .route("/console/projects/{id}/jobs/{name}", get(one).post(edit))
        .route("/console/projects/{id}/jobs/{name}/runs", get(fragment))
        .route("/console/projects/{id}/jobs/{name}/act", post(act))
        .route("/console/projects/{id}/runs/{run}/cancel", post(cancel))
        .route("/console/projects/{id}/results/{name}/catalogue", post(catalogue))
}

async fn list(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let view = project::get(app, op, &id).await?;
    let jobs = project::jobs(app, op, &id).await?;
    let results = project::results(app, op, &id).await?;
    let context = context! {
        view => value(&view), jobs => value(&jobs), results => value(&results),
        done => visit.q("done"), tab => "jobs",
    };
    door.page(&visit, "console/project_jobs.html", context).await
}

/// A text to begin with.
fn sample(visit: &Visit, sql: &str) -> String {
    let sql = sql.replace("\"\"\"", "");
    format!(
        "name = \"job_1\"\ntitle = \"\"\nsql = \"\"\"\n{sql}\n\"\"\"\nschedule = \"0 6 * * *\"   # {}\nafter = []\ntimeout = \"10m\"\n\n[retry]\ntimes = 2\nfirst = \"30s\"\nlongest = \"10m\"\n",
        visit.t(
            "分 时 日 月 周；去掉则在上游完成后运行",
            "minute hour day month weekday; without it, it runs after those before it"
        ),
    )
}

async fn new_page(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    draft(&door, &visit, &id, "select 1 as one").await
}

/// A job that is to be made of a statement.
pub(super) async fn draft(door: &Door, visit: &Visit, id: &str, sql: &str) -> Answer {
    let text = sample(visit, sql);
    form(door, visit, id, &text, 0, None, None).await
}

/// The text in its form, with what is wrong with it.
async fn form(
    door: &Door,
    visit: &Visit,
    id: &str,
    text: &str,
    base: i64,
    name: Option<&str>,
    error: Option<&Error>,
) -> Answer {
    let view = project::get(&door.app, &visit.op, id).await?;
    let context = context! {
        view => value(&view), text, base, name, tab => "jobs",
        rows => text.lines().count().clamp(12, 40),
        error => error.map(|e| visit.t(e.zh(), e.en())),
        code => error.map(|e| e.code().as_str()),
        fields => value(error.map(Error::fields).unwrap_or_default()),
    };
    door.page_with(visit, "console/project_job_form.html", context, error).await
}

async fn create(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    save(&door, &visit, &id, &posted, None).await
}

async fn edit(
    State(door): State<Arc<Door>>,
    Path((id, name)): Path<(String, String)>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    save(&door, &visit, &id, &posted, Some(&name)).await
}

async fn save(door: &Door, visit: &Visit, id: &str, posted: &Posted, name: Option<&str>) -> Answer {
    let text = posted.get("text").replace('\r', "");
    let base = match posted.get("base") {
        "" => 0,
        _ => posted.number("base")?,
    };
    match project::save(&door.app, &visit.op, id, &text, base).await {
        Ok(job) => done(&path(id, &format!("/jobs/{}", job.name)), "saved"),
        Err(e)
            if matches!(
                e.kind(),
                Kind::Invalid | Kind::Conflict | Kind::Denied | Kind::TooLarge
            ) =>
        {
            // Who may not know of the project is told so, and not shown a form.
            project::get(&door.app, &visit.op, id).await?;
            form(door, visit, id, &text, base, name, Some(&e)).await
        }
        Err(e) => Err(e.into()),
    }
}

async fn one(
    State(door): State<Arc<Door>>,
    Path((id, name)): Path<(String, String)>,
    visit: Visit,
) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let view = project::get(app, op, &id).await?;
    let job = project::job(app, op, &id, &name).await?;
    let results = project::results(app, op, &id).await?;
    let result = results.into_iter().find(|r| r.result.name == name);
    let shown = runs(&door, &visit, &id, &job).await?;
    let context = context! {
        view => value(&view), job => value(&job), result => value(&result), runs => shown,
        rows => job.job.text.lines().count().clamp(8, 40), done => visit.q("done"), tab => "jobs",
    };
    door.page(&visit, "console/project_job.html", context).await
}

async fn runs(door: &Door, visit: &Visit, id: &str, job: &JobView) -> Result<Value, Error> {
    let before = visit.q("before");
    let found = project::runs(&door.app, &visit.op, id, Some(&job.job.id), before, SHOWN).await?;
    let live = found.items.iter().any(|r: &ProjectRun| !r.state.ended());
    let unit = app::dispatch::rules(&door.app, &visit.op)?.compute.unit_seconds * 1000;
    Ok(context! {
        items => value(&found.items), live, unit => unit.max(1),
        next => next_link(visit, "before", found.next.as_deref()),
    })
}

async fn fragment(
    State(door): State<Arc<Door>>,
    Path((id, name)): Path<(String, String)>,
    visit: Visit,
) -> Answer {
    let view = project::get(&door.app, &visit.op, &id).await?;
    let job = project::job(&door.app, &visit.op, &id, &name).await?;
    let shown = runs(&door, &visit, &id, &job).await?;
    let context = context! { view => value(&view), job => value(&job), runs => shown };
    door.page(&visit, "console/project_runs.html", context).await
}

async fn act(
    State(door): State<Arc<Door>>,
    Path((id, name)): Path<(String, String)>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let own = path(&id, &format!("/jobs/{}", encode(&name)));
    match posted.get("do") {
        "run" => {
            project::run_now(app, op, &id, &name).await?;
            done(&own, "begun")
        }
        "pause" => {
            project::pause(app, op, &id, &name).await?;
            done(&own, "rests")
        }
        "resume" => {
            project::resume(app, op, &id, &name).await?;
            done(&own, "resumed")
        }
        "remove" => {
            project::remove(app, op, &id, &name).await?;
            done(&path(&id, "/jobs"), "removed")
        }
        _ => Err(Error::invalid("没有这个操作", "there is no such thing to do").into()),
    }
}

async fn cancel(
    State(door): State<Arc<Door>>,
    Path((id, run)): Path<(String, String)>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    project::cancel_run(&door.app, &visit.op, &id, &run).await?;
    done(&path(&id, &format!("/jobs/{}", encode(posted.get("job")))), "cancelled")
}

async fn catalogue(
    State(door): State<Arc<Door>>,
    Path((id, name)): Path<(String, String)>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    let entry = project::catalogue(&door.app, &visit.op, &id, &name).await?;
    done(&format!("/console/entries/{}", entry.id), "created")
}
