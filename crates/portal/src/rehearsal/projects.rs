//! Made-up projects for their pages.

use minijinja::{Value, context};
use model::code::Grade;
use model::project::job::{ProjectJob, ProjectRun, RunCause, RunStage, RunState};
use model::project::reads::Reads;
use model::project::result::{Made, MadeBy, MadeColumn, MadeFrom, MadeItem, ProjectResult};
use model::project::{
    ExportFormat, Project, ProjectExport, ProjectMember, ProjectQuota, ProjectRole,
    ProjectStatement,
};

use super::{AT, entry};
use crate::view::value;

pub(super) fn project(full: bool) -> Project {
    Project {
        id: "p1".into(),
        code: "parking".into(),
        name: "停车场 <b>".into(),
        purpose: "统计 <b>".into(),
        application: "a1".into(),
        application_name: "便民".into(),
        org: "o1".into(),
        quota: ProjectQuota { units_per_day: 10, units_per_month: 100, storage_bytes: 1 << 30 },
        entries: vec!["parking".into()],
        created_at: AT.into(),
        created_by: "li".into(),
        sandbox: None,
        closed_at: (!full).then(|| AT.into()),
    }
}

fn run(full: bool) -> ProjectRun {
    ProjectRun {
        id: "r1".into(),
        project: "p1".into(),
        job: "j1".into(),
        job_name: "daily".into(),
        key: "k".into(),
        cause: RunCause::Schedule,
        state: if full { RunState::Running } else { RunState::Failed },
        stage: full.then_some(RunStage::Reading),
        created_at: AT.into(),
        ready_at: AT.into(),
        started_at: full.then(|| AT.into()),
        finished_at: None,
        text_version: 1,
        failures: 1,
        missed: u64::from(full),
        rows: 1,
        bytes: 2,
        millis: 3,
        version: full.then_some(2),
        made: None,
        table: None,
        zh: "停车场 <b>".into(),
        en: "parking <b>".into(),
        by: "li".into(),
    }
}

pub(super) fn result(full: bool) -> Value {
    let result = ProjectResult {
        hidden: full,
        project: "p1".into(),
        name: "daily".into(),
        table: entry(),
        made: Made {
            sources: vec![MadeFrom {
                code: "parking".into(),
                title: "停车场 <b>".into(),
                ..MadeFrom::default()
            }],
            columns: vec![MadeColumn {
                name: "n".into(),
                from: if full { vec!["parking.id".into()] } else { vec![] },
                masked: full,
                ..MadeColumn::default()
            }],
            ..Made::default()
        },
        run: "r1".into(),
        version: 1,
        rows: 2,
        bytes: 3,
        made_at: AT.into(),
        entry: (!full).then(|| "e1".into()),
    };
    context! { result => value(result), readable => full, zh => "授权已撤销", en => "revoked" }
}

fn job(full: bool) -> Value {
    let job = ProjectJob {
        id: "j1".into(),
        project: "p1".into(),
        name: "daily".into(),
        title: "停车场 <b>".into(),
        text: "name = \"<b>\"".into(),
        version: 1,
        paused: full,
        saved_by: "li".into(),
        saved_at: AT.into(),
    };
    let after = if full { vec!["first"] } else { vec![] };
    context! {
        job => value(job), due => if full { AT } else { "" }, cron => if full { "0 6 * * *" } else { "" },
        after, last => full.then(|| value(run(full))),
    }
}

/// The result that an approval is about.
pub(super) fn taken_out() -> Value {
    context! { project => "停车场 <b>", changed => vec!["_p_daily"], ..value(asked(true)) }
}

/// What an export reads.
pub(super) fn reads(full: bool) -> Reads {
    let item = MadeItem {
        identifier: "id".into(),
        name_cn: "停车场 <b>".into(),
        grade: Grade::L3,
        mask: if full { "keep(1,0)".into() } else { String::new() },
    };
    Reads {
        sources: vec![
            MadeFrom {
                code: "parking".into(),
                title: "停车场 <b>".into(),
                items: vec![item],
                rows: "f".into(),
                ..MadeFrom::default()
            },
            MadeFrom { code: "counted".into(), title: "计数".into(), ..MadeFrom::default() },
        ],
        providers: vec!["o1".into(), "o2".into()],
        behind: vec![MadeBy { code: "_p_daily".into(), sql: "select '<b>'".into() }],
    }
}

fn asked(full: bool) -> ProjectExport {
    ProjectExport {
        id: "x1".into(),
        project: "p1".into(),
        sql: "select '<b>'".into(),
        format: ExportFormat::Csv,
        reason: "停车场 <b>".into(),
        tables: vec![("parking".into(), vec!["id".into()])],
        reads: reads(full),
        columns: vec!["id".into()],
        applicant: "u1".into(),
        applicant_name: "li".into(),
        approval: "v1".into(),
        created_at: AT.into(),
        until: Some(AT.into()),
        taken_at: (!full).then(|| AT.into()),
        rows: 1,
        bytes: 2,
    }
}

fn export(full: bool) -> Value {
    context! { export => value(asked(full)), phase => "running", ready => full, expired => false }
}

/// What a page of projects shows; `None` for other pages.
pub(super) fn of(template: &str, full: bool) -> Option<Value> {
    let member = ProjectMember {
        user: "u1".into(),
        name: "li".into(),
        display_name: "停车场 <b>".into(),
        role: ProjectRole::Owner,
        added_at: AT.into(),
        added_by: "li".into(),
    };
    let view = context! {
        project => value(project(full)), members => vec![value(member)],
        used => context! { day => 0.5, month => 1.25, bytes => 12 },
        role => full.then_some("owner"), may_work => full, may_keep => full,
    };
    let column = context! { name => "id", name_cn => "停车场 <b>", name_en => "", data_type => "text", grade => "L2", mask => if full { "keep(1,0)" } else { "" } };
    let table = context! { code => "parking", title => "停车场 <b>", title_en => "", made => full, columns => vec![column] };
    let statement = ProjectStatement {
        id: "s1".into(),
        project: "p1".into(),
        user_name: "li".into(),
        kind: if full { "query" } else { "job" }.into(),
        at: AT.into(),
        text: "select '停车场 <b>'".into(),
        outcome: if full { "ok" } else { "failed" }.into(),
        ..ProjectStatement::default()
    };
    let chart = context! {
        kind => "bar", x => "a", y => "n", points => vec![(Some("停车场 <b>"), Some("1")), (None, None)],
        numbers => vec!["n"],
    };
    let answer = context! {
        run => "n1", state => if full { "done" } else { "running" }, sql => "select 1", columns => vec!["a", "n"],
        rows => vec![vec![Some("停车场 <b>"), None]], from => 1, to => 1, held => 1, more => full, millis => 3,
        error => "", previous => "?a", next => "?b", page => 1, chart,
    };
    let looked = context! {
        columns => vec![("a", "text", vec!["parking.id"])], tables => vec![("parking", vec!["id"])],
        plan => vec!["停车场 <b>"],
    };
    let list = |v: Value| if full { vec![v] } else { vec![] };
    let runs = context! { items => vec![value(run(full))], live => full, unit => 60_000, next => full.then_some("?before=1") };
    let frame =
        context! { view => view.clone(), tab => "one", next => full.then_some("?before=1") };
    let page = match template {
        "console/projects.html" => context! { projects => list(view), may_open => full },
        "console/project_new.html" => {
            let offer = context! { application => context! { id => "a1", name => "便民" }, tables => list(value(("parking", "停车场 <b>"))) };
            context! {
                offers => if full { vec![offer.clone(), offer.clone()] } else { vec![] }, offer,
                form => full.then(|| context! { code => "c", name => "n", purpose => "p", entries => vec!["parking"] }),
            }
        }
        "console/project.html" => context! {
            tables => list(table), results => list(result(full)), jobs => list(job(full)), storage_gb => 10,
            granted => list(value(("parking", "停车场 <b>"))), percent => context! { day => 5, month => 1, bytes => 0 },
            seen => context! { day => "0.50", month => "1.25" },
        },
        "console/project_members.html" => {
            context! { roles => vec![context! { value => "owner", name => "负责人" }] }
        }
        "console/project_sql.html" => context! {
            tables => list(table), statements => list(value(statement)), everybody => full, answer, looked,
            said => context! { finished => "完成 <b>" }, sql => full.then_some("select '停车场 <b>'"),
        },
        "console/project_answer.html" => context! { answer },
        "console/project_exports.html" => {
            context! { exports => vec![export(full)], sql => full.then_some("select 1") }
        }
        "console/project_jobs.html" => {
            context! { jobs => list(job(full)), results => vec![result(full)] }
        }
        "console/project_job_form.html" => {
            context! { text => "name = \"停车场 <b>\"", base => 1, name => full.then_some("daily"), rows => 12 }
        }
        "console/project_job.html" => context! {
            job => job(full), result => full.then(|| result(full)), runs, rows => 12,
        },
        "console/project_runs.html" => context! { job => job(full), runs },
        _ => return None,
    };
    Some(context! { ..page, ..frame })
}
