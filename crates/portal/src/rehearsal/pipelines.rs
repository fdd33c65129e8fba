//! Made-up pipelines for their pages.

use app::pipeline::PipelineView;
use minijinja::{Value, context};
use model::pipeline::{
    Attempt, Pipeline, PipelineVersion, PipelineWish, Turn, TurnFigures, TurnKind, TurnState,
};

use super::AT;
use crate::view::value;

fn turn(state: TurnState) -> Turn {
    Turn {
        id: "t1".into(),
        pipeline: "p1".into(),
        key: "s:1".into(),
        kind: TurnKind::Schedule,
        at: AT.into(),
        state,
        ready_at: AT.into(),
        group: "g1".into(),
        version: 1,
        from: "2026-01-01T00:00:00".into(),
        to: String::new(),
        failures: 1,
        missed: 2,
        figures: TurnFigures { read: 3, refused: 0, made: 3, landed: 2, quarantined: 1 },
        attempts: vec![Attempt {
            run: "r1".into(),
            at: AT.into(),
            outcome: "failed".into(),
            zh: "断了 <b>".into(),
            en: "broken <b>".into(),
        }],
        zh: "断了 <b>".into(),
        en: "broken <b>".into(),
        started_at: None,
        finished_at: None,
        by: "system".into(),
    }
}

fn view(full: bool) -> PipelineView {
    PipelineView {
        pipeline: Pipeline {
            id: "p1".into(),
            org: "o1".into(),
            name: "air_hourly".into(),
            title: if full { "空气 <b>".into() } else { String::new() },
            entry: "e1".into(),
            entry_code: "air".into(),
            source: "s1".into(),
            place: "库 db.example:5432/main".into(),
            version: 2,
            file: "name = \"air_hourly\"".into(),
            wish: PipelineWish::Run,
            created_at: AT.into(),
            created_by: "li".into(),
            updated_at: AT.into(),
            updated_by: "li".into(),
            due: if full { AT.into() } else { String::new() },
        },
        last: full.then(|| turn(TurnState::Failed)),
        data_at: full.then(|| AT.into()),
        rows: 7,
        entry_title: "空气 <b>".into(),
        cycle: "daily".into(),
        position: String::new(),
        mode: "incremental".into(),
        after: vec!["stations".into()],
    }
}

fn form(full: bool) -> Value {
    let fields = vec![context! { field => "mode", zh => "第 1 行：<b>", en => "line 1: <b>" }];
    let dry = context! {
        columns => vec![vec![Value::from("a"), Value::from("b")], vec![Value::from("c"), Value::from(())]],
        items => vec!["b"], rows => vec![vec![Value::from("<b>")], vec![Value::from(())]], cut => true,
        rejects => vec![context! { record => 1, column => "b", value => "<b>", zh => "不合格", en => "does not fit" }],
        figures => value(TurnFigures::default()),
        window => context! { from => "2026-01-01", to => "" },
    };
    context! {
        text => "name = \"a\"", seen => "1", checked => full, rows => 12, id => "p1",
        error => if full { Some("有误") } else { None }, code => "invalid_input",
        fields => if full { fields } else { vec![] },
        lines => if full { vec![context! { n => 1, text => "name <b>", faults => vec!["<b>"] }] } else { vec![] },
        dry => if full { dry } else { Value::from(()) }, beyond => if full { Some("太多") } else { None },
        lineage => Value::from(()), notes => if full { vec!["说明"] } else { vec![] },
    }
}

fn turns(full: bool) -> Value {
    let row = context! {
        t => value(turn(TurnState::Failed)), runs => "r1", bad => true, again => full, cancel => !full,
    };
    let group =
        context! { group => "g1", slices => 3, done => 1, failed => 1, waiting => 1, running => 0 };
    context! {
        id => "p1", items => if full { vec![row] } else { vec![] }, live => full,
        groups => if full { vec![group] } else { vec![] },
    }
}

/// What a page of pipelines shows; `None` for other pages.
pub(super) fn of(template: &str, full: bool) -> Option<Value> {
    let row = context! { p => value(view(full)), paused => full };
    let column = context! {
        name => "b", kind => "Utf8", item => if full { Some("b") } else { None }, from => vec!["source.a"],
        through => vec!["source.c"], by => vec!["upper"],
    };
    let version = PipelineVersion { version: 2, file: "x".into(), at: AT.into(), by: "li".into() };
    let line = |tag: &str| context! { tag, old_line => 1, new_line => (), text => "a <b>" };
    Some(match template {
        "console/pipelines.html" => {
            context! { pipelines => if full { vec![row] } else { vec![] } }
        }
        "console/pipeline_new.html" => context! { form => form(full) },
        "console/pipeline_secrets.html" => context! {
            secrets => if full { vec![context! { name => "token", at => AT }] } else { vec![] },
        },
        "console/pipeline_figures.html" => context! { turns => turns(full) },
        "console/pipeline.html" => context! {
            compared => super::oversight::of_channel(full),
            row, form => form(full), turns => turns(full), versions => vec![value(&version)],
            difference => if full { vec![line("same"), line("old"), line("new")] } else { vec![] },
            old => 1, new => 2, lineage => if full { Some(vec![column]) } else { None },
            items => vec![context! { identifier => "b", name => "乙" }], backfills => full,
        },
        _ => return None,
    })
}
