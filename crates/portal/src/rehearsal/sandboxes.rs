//! A made-up sandbox for its pages and the release desk.

use minijinja::{Value, context};
use model::code::Grade;
use model::project::ProjectRole;
use model::project::result::Made;
use model::sandbox::release::{
    Check, ColumnPart, OutColumn, OutFinding, Outlet, ReleaseState, ReleaseWay, SandboxRelease,
    ServedMark,
};
use model::sandbox::{
    ExtensionState, Review, RunFigures, RunKind, RunState, SandboxExtension, SandboxLine,
    SandboxProgram, SandboxRun, SandboxStage,
};

use super::{AT, projects};
use crate::view::value;

fn reviews(full: bool) -> Vec<Review> {
    let decided = Review {
        by_name: "li <b>".into(),
        at: AT.into(),
        agreed: Some(full),
        note: "<b>".into(),
        ..Review::open("o1")
    };
    vec![decided, Review::open("")]
}

fn run(full: bool) -> SandboxRun {
    SandboxRun {
        id: "r1".into(),
        project: "p1".into(),
        kind: if full { RunKind::Sql } else { RunKind::Program },
        stage: SandboxStage::Production,
        into: "p_by_age".into(),
        sql: if full { "select '<b>'".into() } else { String::new() },
        program: "g1".into(),
        program_digest: "0123".into(),
        inputs: vec!["parking".into()],
        versions: vec![String::new()],
        digest: "4567".into(),
        reads: super::projects::reads(full),
        reason: "停车场 <b>".into(),
        state: if full { RunState::Ready } else { RunState::Failed },
        reviews: reviews(full),
        created_at: AT.into(),
        created_by: "u1".into(),
        created_by_name: "li".into(),
        begun_at: None,
        ended_at: None,
        figures: RunFigures { fuel: u64::from(full), ..RunFigures::default() },
        log: if full { "<b>".into() } else { String::new() },
        error: (!full).then(|| ("停车场 <b>".into(), "parking <b>".into())),
    }
}

fn release(full: bool) -> SandboxRelease {
    let finding = OutFinding {
        check: Check::Threshold,
        row: Some(1),
        column: "n".into(),
        zh: "太小 <b>".into(),
        en: "small <b>".into(),
    };
    let column = OutColumn { name: "n".into(), part: ColumnPart::Count, grade: Grade::L1 };
    SandboxRelease {
        id: "x1".into(),
        project: "p1".into(),
        project_name: "停车场 <b>".into(),
        result: "p_by_age".into(),
        reason: "停车场 <b>".into(),
        columns: vec![column],
        rows: 1,
        grade: Grade::L1,
        digest: "89ab".into(),
        sources: super::projects::reads(full).sources,
        made_by: "select '<b>'".into(),
        findings: if full { vec![] } else { vec![finding] },
        state: if full { ReleaseState::Allowed } else { ReleaseState::Stopped },
        reviews: reviews(full),
        mark: "010203040506".into(),
        applicant: "u1".into(),
        applicant_name: "li".into(),
        created_at: AT.into(),
        until: full.then(|| "2026-12-31".into()),
        taken_at: (!full).then(|| AT.into()),
        way: if full { ReleaseWay::Interface } else { ReleaseWay::Download },
        outlet: full.then(outlet),
    }
}

fn outlet() -> Outlet {
    Outlet {
        name: "r_010203040506".into(),
        table: "_box_r_010203040506".into(),
        interface: "0123456789abcdef".into(),
        calls_per_day: 1000,
        made: Made::default(),
    }
}

/// A release that is served.
fn served() -> SandboxRelease {
    SandboxRelease {
        id: "x2".into(),
        state: ReleaseState::Served,
        taken_at: Some(AT.into()),
        ..release(true)
    }
}

/// A call whose answer was found again.
fn call() -> ServedMark {
    ServedMark {
        mark: "060504030201".into(),
        release: "x2".into(),
        application: "a1".into(),
        application_name: "停车场 <b>".into(),
        request_id: "0123".into(),
        source: "10.0.0.1".into(),
        at: AT.into(),
        rows: 3,
    }
}

fn extension(full: bool) -> SandboxExtension {
    SandboxExtension {
        id: "e1".into(),
        project: "p1".into(),
        from: "2026-06-30".into(),
        until: "2026-12-31".into(),
        reason: "停车场 <b>".into(),
        state: if full { ExtensionState::Asked } else { ExtensionState::Refused },
        reviews: reviews(full),
        applicant: "u1".into(),
        applicant_name: "li".into(),
        created_at: AT.into(),
    }
}

fn line(full: bool) -> SandboxLine {
    SandboxLine {
        id: "p1".into(),
        code: "parking".into(),
        name: "停车场 <b>".into(),
        purpose: "停车场 <b>".into(),
        org: "o1".into(),
        application_name: "停车场 <b>".into(),
        role: if full { ProjectRole::Owner } else { ProjectRole::Viewer },
        until: "2026-12-31".into(),
        closed: !full,
        bytes: 12,
        storage_bytes: 1024,
    }
}

pub(super) fn of(template: &str, full: bool) -> Option<Value> {
    let view = context! {
        project => value(projects::project(full)), used => context! { day => 0.5, month => 1.25, bytes => 12 },
        role => full.then_some("owner"), may_work => full, may_keep => full,
    };
    let program = SandboxProgram {
        id: "g1".into(),
        project: "p1".into(),
        name: "停车场 <b>".into(),
        digest: "0123456789abcdef0123".into(),
        bytes: 12,
        created_at: AT.into(),
        created_by: "li".into(),
    };
    Some(match template {
        "console/sandboxes.html" => {
            context! { sandboxes => vec![value(line(full))], next => full.then_some("p1"), may_open => full, has_desk => full }
        }
        "console/sandbox_new.html" => context! {
            offers => if full { vec![context! { application => context! { id => "a1", name => "停车场 <b>" }, tables => vec![("parking", "停车场 <b>")] }] } else { vec![] },
            offer => full.then(|| context! { application => context! { id => "a1", name => "停车场 <b>" }, tables => vec![("parking", "停车场 <b>")] }),
            days_most => 180, form => full.then(|| context! { code => "a", name => "b <b>", purpose => "c", entries => vec!["parking"] }),
        },
        "console/sandbox.html" => context! {
            view, me => "u1", seen => context! {
                until => "2026-12-31", live => full, granted => vec![("parking", "停车场 <b>")],
                results => vec![projects::result(full)], programs => vec![value(program)],
                runs => vec![value(run(full))], releases => if full { vec![value(release(true)), value(served())] } else { vec![value(release(false))] },
                extensions => vec![value(extension(full))], agreed_until => if full { "2026-12-31" } else { "" }, program_sample => "(module)",
                limits => context! {
                    preview_rows => 10, sample_percent => 1, sample_most => 1000, upload_bytes => 1000, fuel => 1000,
                    memory_mib => 1, seconds => 1, k => 4, rows => 10,
                },
            },
        },
        "console/releases.html" => context! {
            traces => full, traced => true, release => full.then(|| value(release(true))), call => full.then(|| value(call())),
            items => vec![context! {
                subject => "s2", seat => "", project_name => "停车场 <b>", org => "o1", rows => Vec::<Vec<String>>::new(),
                extension => value(extension(full)),
            }, context! {
                subject => "s1", seat => "o1", project_name => "停车场 <b>", org => "o1", rows => vec![vec!["<b>"]],
                run => full.then(|| value(run(full))), release => (!full).then(|| value(release(true))),
            }],
        },
        _ => return None,
    })
}
