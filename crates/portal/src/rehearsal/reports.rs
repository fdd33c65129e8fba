//! Made-up forms, plans and tasks for the pages of reporting.

use minijinja::{Value, context};
use model::code::DataType;
use model::item::Item;
use model::report::{
    Explained, Fault, Form, FormDraft, FormField, FormRule, FormVersion, Landing, Task, TaskEvent,
    TaskEventKind, TaskState, TotalRule,
};

use super::AT;
use crate::view::value;

fn draft(full: bool) -> FormDraft {
    let mut firms = FormField::of(&Item::new("firms", "停车场 <b>", DataType::Integer));
    firms.total = TotalRule::Sum;
    let mut kind = Item::new("kind", "行业", DataType::Text);
    kind.value_domain = "01|02".into();
    FormDraft {
        title: "停车场 <b>".into(),
        entry: "e1".into(),
        entry_code: "parking".into(),
        entry_title: "停车场 <b>".into(),
        guide: if full { "停车场 <b>".into() } else { String::new() },
        fields: vec![firms, FormField::of(&kind)],
        rules: vec![FormRule {
            expression: "firms > 0".into(),
            zh: "停车场 <b>".into(),
            ..FormRule::default()
        }],
        ..FormDraft::default()
    }
}

fn form(full: bool) -> Form {
    Form {
        id: "f1".into(),
        org: "o1".into(),
        draft: draft(full),
        version: u64::from(full),
        changed: full,
        edit: 1,
        updated_at: AT.into(),
        updated_by: "li".into(),
    }
}

fn task(full: bool) -> Task {
    Task {
        id: "t1".into(),
        plan: "p1".into(),
        title: "停车场 <b>".into(),
        form: "f1".into(),
        form_version: 1,
        entry: "e1".into(),
        issuer: "o1".into(),
        org: "o2".into(),
        org_name: "停车场 <b>".into(),
        org_code: "x".into(),
        region: "330110".into(),
        above: None,
        above_org: "o1".into(),
        period: if full { "2026-02".into() } else { String::new() },
        due: "2026-03-06".parse().unwrap_or_default(),
        state: if full { TaskState::Returned } else { TaskState::Submitted },
        version: 3,
        revision: 1,
        rows: 12,
        late: full,
        edited_by: "停车场 <b>".into(),
        edited_at: AT.into(),
        submitted_by: "u1".into(),
        submitted_name: "li".into(),
        submitted_at: AT.into(),
        decided_at: AT.into(),
        reason: "停车场 <b>".into(),
        totals: model::report::Totals::default(),
        explained: Vec::new(),
        landing: if full { Landing::Waiting } else { Landing::Done },
        landed: model::report::Landed {
            zh: "停车场 <b>".into(),
            en: "away".into(),
            run: "n1".into(),
            ..Default::default()
        },
    }
}

fn cell(name: &str, kind: &str, full: bool) -> Value {
    let codes = if kind == "text" {
        vec![context! { code => "01", name => "停车场 <b>" }]
    } else {
        vec![]
    };
    context! {
        name, label => "停车场 <b>", help => "停车场 <b>", value => "停车场 <b>", mode => "text", required => full, kind,
        other => if full { Some("停车场 <b>") } else { None }, long => full && kind == "json", codes, stray => full,
        fault => if full { Some("停车场 <b>") } else { None },
    }
}

fn one(full: bool) -> Value {
    let version = FormVersion {
        form: "f1".into(),
        version: 1,
        draft: draft(full),
        published_at: AT.into(),
        published_by: "li".into(),
    };
    let cells: Vec<Value> = ["text", "integer", "boolean", "date", "json"]
        .iter()
        .map(|k| cell(&format!("c-1-{k}"), k, full))
        .collect();
    let event = TaskEvent {
        id: "v1".into(),
        task: "t1".into(),
        kind: TaskEventKind::Submitted,
        at: AT.into(),
        actor: "u1".into(),
        actor_name: "停车场 <b>".into(),
        org: "o1".into(),
        revision: 1,
        rows: 3,
        reason: "停车场 <b>".into(),
        explained: vec![Explained {
            by: vec!["01".into()],
            field: "firms".into(),
            own: None,
            below: None,
            reason: "停车场 <b>".into(),
        }],
    };
    let fault = Fault {
        row: 1,
        field: "firms".into(),
        at: "明细!C7".into(),
        zh: "停车场 <b>".into(),
        en: "wrong".into(),
    };
    context! {
        view => context! { overdue => full, may_fill => true, may_accept => !full, below => vec![value(task(full))],
            files => vec![context! { id => "x1", name => "停车场 <b>", bytes => 10 }] },
        task => value(task(full)), form => value(&version), writes => full, from => if full { 51 } else { 1 }, revision => (),
        page => context! { head => &cells, columns => vec![context! { name => "停车场 <b>", required => full, help => "x" }],
            rows => vec![context! { n => 1, cells => &cells, fault => if full { Some("停车场 <b>") } else { None } }],
            count => 1, has_rows => true },
        faults => vec![context! { row => 1, zh => "停车场 <b>", en => "wrong", name => "停车场 <b>", en_name => "firms", to => "c-1-0" }],
        fault_count => 1,
        import => if full { context! { saved => false, read => 3, kept => 0, count => 1, faults => vec![value(&fault)] } } else { Value::from(()) },
        agreement => context! { rows => vec![context! {
            key => "firms", by => "停车场 <b>", rule => "sum", name => "停车场 <b>", own => "1", below => (), reason => "停车场 <b>",
            parts => vec![context! { org => "停车场 <b>", n => "1" }] }], missing => vec!["停车场 <b>"], reason => "" },
        events => vec![value(&event)], accept => ".pdf", more => if full { Some("/console/reports/t1?from=51") } else { None },
    }
}

/// What a page of reporting shows; `None` for other pages.
pub(super) fn of(template: &str, full: bool) -> Option<Value> {
    let field = |f: &FormField| {
        context! { field => value(f), chosen => full, codes => "01 停车场 <b>", needed => full, numeric => f.numeric(), by => full, typed => full, en => "x" }
    };
    let fields: Vec<Value> = draft(full).fields.iter().map(field).collect();
    let plan = context! { id => "p1", title => "停车场 <b>", form => "f1", form_title => "停车场 <b>", every => if full { "month" } else { "once" },
    first => "2026-02", opened => if full { Some("2026-02") } else { None }, orgs => vec!["o1"], state => if full { "running" } else { "stopped" } };
    Some(match template {
        "console/reports.html" => context! { view => "own", designs => full,
        tasks => if full { vec![context! { task => value(task(full)), overdue => full }] } else { vec![] } },
        "console/report.html" => one(full),
        "console/report_saved.html" => {
            context! { version => 3, at => AT, count => 2, stale => if full { Some("停车场 <b>") } else { None } }
        }
        "console/report_forms.html" => {
            context! { forms => if full { vec![value(form(full))] } else { vec![] },
            entries => if full { vec![context! { id => "e1", code => "parking", title => "停车场 <b>" }] } else { vec![] } }
        }
        "console/report_form.html" => {
            context! { form => if full { value(form(full)) } else { Value::from(()) }, draft => value(draft(full)), fields,
            rules => value(&draft(full).rules), faults => Value::from(()) }
        }
        "console/report_preview.html" => context! { form => value(form(full)), fields },
        "console/report_plans.html" => context! { plans => if full { vec![plan] } else { vec![] },
        forms => if full { vec![context! { value => "f1", name => "停车场 <b>" }] } else { vec![] },
        tree => if full { vec![context! { row => context! { id => "o1", name => "n", region => "330100", depth => 1 }, chosen => full }] } else { vec![] },
        new => context! { form => "f1", title => "", every => "once", first => "2026-03", due_days => "10", due => "" } },
        "console/report_plan.html" => {
            context! { compared => super::oversight::of_channel(full), plan, period => "2026-02", all => 1, accepted => 0, submitted => 1, overdue => 1, landed => 3, names => vec!["停车场 <b>"],
            rows => if full { vec![context! { row => context! { task => value(task(full)), depth => 1, overdue => full, below => 1, below_accepted => 0, differs => 1 },
                indent => vec![0], totals => vec![Some("3"), None] }] } else { vec![] } }
        }
        _ => return None,
    })
}
