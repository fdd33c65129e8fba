//! Made-up outflows for their pages.

use app::outflow::{Offer, OutflowView};
use minijinja::{Value, context};
use model::outflow::{Outflow, OutflowDay, OutflowFigures, OutflowState, OutflowWish};

use super::AT;
use crate::view::value;

fn view(full: bool) -> OutflowView {
    OutflowView {
        outflow: Outflow {
            id: "f1".into(),
            org: "o1".into(),
            org_name: "杭州市数据局 <b>".into(),
            region: "330100".into(),
            provider: "o2".into(),
            entry: "e1".into(),
            entry_code: "parking".into(),
            entry_title: "停车场 <b>".into(),
            request: "q1".into(),
            application: "a1".into(),
            application_name: "回流".into(),
            items: Vec::new(),
            source: "s1".into(),
            source_name: "城市库".into(),
            place: "db.example:5432/main".into(),
            table: "parking".into(),
            wish: if full { OutflowWish::Run } else { OutflowWish::Pause },
            created_at: AT.into(),
            created_by: "li".into(),
        },
        figures: OutflowFigures {
            state: if full { OutflowState::Refused } else { OutflowState::New },
            zh: if full { "目标库拒绝".into() } else { String::new() },
            en: if full { "the target refused".into() } else { String::new() },
            version: full.then_some(3),
            head: full.then_some(4),
            delivered_at: full.then(|| AT.into()),
            counted_at: full.then(|| AT.into()),
            target_rows: full.then_some(2),
            granted_rows: full.then_some(3),
            ..OutflowFigures::default()
        },
        anew: full,
        days: if full {
            vec![OutflowDay { day: "2026-03-02".into(), ..OutflowDay::default() }]
        } else {
            vec![]
        },
        keeps: full,
    }
}

/// A share application that rows can be sent by, or cannot.
pub(super) fn offer(full: bool, fault: Option<&str>) -> Value {
    let offer = Offer {
        request: "q1".into(),
        entry: "e1".into(),
        entry_code: "parking".into(),
        entry_title: "停车场 <b>".into(),
        application_name: "回流".into(),
        expires_at: full.then(|| AT.into()),
        fault: None,
    };
    context! { offer => value(&offer), fault }
}

/// What a page of outflows shows; `None` for other pages.
pub(super) fn of(template: &str, full: bool) -> Option<Value> {
    let view = view(full);
    let row = context! {
        flow => value(&view), waits => full, live => full, resumable => !full, keeps => full,
    };
    let outline = context! {
        area => "330100", server => "PostgreSQL 15", table => true,
        troubles => vec!["缺少列 <b>"], notes => vec!["n"],
        columns => vec![context! { id => "id", name => "编号", mask => "keep(1,0)", key => true }],
    };
    Some(match template {
        "console/outflows.html" => context! {
            flows => if full { vec![row] } else { vec![] }, keeps => true,
            offered => if full { vec![offer(full, None), offer(full, Some("没有主键 <b>"))] } else { vec![] },
        },
        "console/outflow.html" | "console/outflow_figures.html" => context! { row },
        "console/outflow_new.html" => context! {
            request => context! { id => "q1", entry_title => "停车场 <b>", entry_code => "parking", application_name => "回流" },
            sources => if full { vec![context! { id => "s1", name => "城市库", host => "h", port => 5432, database => "d" }] } else { vec![] },
            form => context! { source => "s1", table => "parking" },
            outline => full.then_some(outline),
        },
        _ => return None,
    })
}
