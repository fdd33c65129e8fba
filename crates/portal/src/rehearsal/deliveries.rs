//! Made-up deliveries for their pages.

use app::delivery::DeliveryView;
use minijinja::{Value, context};
use model::code::SyncMode;
use model::delivery::{
    Delivery, DeliveryCause, DeliveryCheck, DeliveryFigures, DeliveryKind, DeliveryPace,
    DeliveryPlan, DeliveryReceipt, DeliveryState, DeliveryTurn, DeliveryTurnState,
};

use super::AT;
use super::outflows::offer;
use crate::view::value;

fn turn(full: bool) -> DeliveryTurn {
    let receipt = DeliveryReceipt {
        form: "qiantang.delivery/1".into(),
        id: "t1".into(),
        delivery: "d1".into(),
        request: "q1".into(),
        application: "批量".into(),
        receiver: "杭州市数据局".into(),
        entry: "parking".into(),
        place: "db.example:5432/main".into(),
        table: "parking".into(),
        mode: SyncMode::Incremental,
        from: Some(3),
        version: Some(4),
        columns: "id,name".into(),
        masks: String::new(),
        shape: "ab".into(),
        upserts: 2,
        deletes: 1,
        bytes: 30,
        sha256: "9f86d081884c7d659a2feaa0c55ad015".into(),
        target_rows: Some(12),
        at: AT.into(),
    };
    DeliveryTurn {
        id: "t1".into(),
        delivery: "d1".into(),
        key: format!("s:{AT}"),
        cause: DeliveryCause::Schedule,
        state: if full { DeliveryTurnState::Done } else { DeliveryTurnState::Retrying },
        at: AT.into(),
        missed: 1,
        failures: if full { 0 } else { 2 },
        to: None,
        started_at: Some(AT.into()),
        finished_at: full.then(|| AT.into()),
        zh: if full { String::new() } else { "目标库暂时不可用 <b>".into() },
        en: if full { String::new() } else { "the target is away <b>".into() },
        by: "system".into(),
        receipt: full.then_some(receipt),
    }
}

fn view(full: bool) -> DeliveryView {
    DeliveryView {
        delivery: Delivery {
            id: "d1".into(),
            org: "o1".into(),
            org_name: "杭州市数据局 <b>".into(),
            provider: "o2".into(),
            entry: "e1".into(),
            entry_code: "parking".into(),
            entry_title: "停车场 <b>".into(),
            request: "q1".into(),
            application: "a1".into(),
            application_name: "批量".into(),
            items: if full { vec!["id".into()] } else { Vec::new() },
            area: if full { "330100".into() } else { String::new() },
            purpose: "停车诱导 <b>".into(),
            mode: SyncMode::Incremental,
            plan: DeliveryPlan {
                pace: if full { DeliveryPace::Period } else { DeliveryPace::Once },
                at: String::new(),
                cron: if full { "30 2 * * *".into() } else { String::new() },
                workdays: full,
            },
            kind: if full { DeliveryKind::Database } else { DeliveryKind::Folder },
            source: "s1".into(),
            source_name: "市库".into(),
            place: "db.example:5432/main".into(),
            table: "parking".into(),
            state: if full { DeliveryState::Going } else { DeliveryState::Stopped },
            zh: if full { String::new() } else { "授权已失效 <b>".into() },
            en: if full { String::new() } else { "not granted <b>".into() },
            created_at: AT.into(),
            created_by: "li".into(),
            owner: "u1".into(),
        },
        figures: DeliveryFigures { version: full.then_some(4), ..DeliveryFigures::default() },
        checked: full.then(|| DeliveryCheck {
            at: AT.into(),
            version: 4,
            target_rows: 11,
            granted_rows: 12,
            target_sum: "0".repeat(32),
            granted_sum: "1".repeat(32),
            missing: Some(1),
            extra: Some(0),
            different: Some(0),
            equal: false,
        }),
        due: if full { AT.into() } else { String::new() },
        turn: Some(turn(false)),
        keeps: full,
    }
}

/// What a page of deliveries shows; `None` for other pages.
pub(super) fn of(template: &str, full: bool) -> Option<Value> {
    let view = view(full);
    let row = context! {
        it => value(&view), live => full, waits => !full, publishable => !full, stoppable => full,
        runnable => full, once => !full, folder => !full,
    };
    let outline = context! {
        area => "330100", server => "PostgreSQL 15", table => true, first => AT,
        troubles => vec!["缺少列 <b>"], notes => vec!["n"],
        columns => vec![context! { id => "id", name => "编号", mask => "keep(1,0)", key => true }],
    };
    Some(match template {
        "console/deliveries.html" => context! {
            rows => if full { vec![row] } else { vec![] }, keeps => true, request => full.then_some("q1"),
            offered => if full { vec![offer(full, None), offer(full, Some("没有主键 <b>"))] } else { vec![] },
        },
        "console/delivery.html" | "console/delivery_figures.html" => context! {
            row, turns => vec![value(turn(full)), value(turn(!full))], differs => full.then_some("缺少 1 行"),
        },
        "console/delivery_new.html" => context! {
            request => context! {
                id => "q1", entry_title => "停车场 <b>", entry_code => "parking", application_name => "批量",
                items => vec!["id", "name"],
            },
            sources => if full { vec![context! { id => "s1", name => "城市库", host => "h", port => 5432, database => "d" }] } else { vec![] },
            form => context! {
                kind => "database", source => "s1", place => "", table => "parking", items => vec!["id"], area => "", purpose => "p",
                mode => "full", pace => "once", at => "", cron => "30 2 * * *", workdays => full,
            },
            outline => full.then_some(outline),
        },
        _ => return None,
    })
}
