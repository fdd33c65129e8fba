//! Made-up rails for their pages.

use app::rail::{RailView, TableView};
use minijinja::{Value, context};
use model::rail::{
    IncidentKind, Rail, RailFigures, RailIncident, RailPolicy, RailState, RailTable, RailWish,
    TableFigures,
};

use super::AT;
use crate::view::value;

fn view(full: bool) -> RailView {
    RailView {
        rail: Rail {
            id: "r1".into(),
            org: "o1".into(),
            name: "停车场 <b>".into(),
            source: "s1".into(),
            source_name: "业务库".into(),
            place: "db.example:5432/main".into(),
            slot: "qt_1".into(),
            publication: "qt_1".into(),
            given: false,
            policy: RailPolicy::Hold,
            alarm_bytes: 1 << 30,
            ceiling_bytes: 1 << 34,
            wish: if full { RailWish::Run } else { RailWish::Pause },
            created_at: AT.into(),
            created_by: "li".into(),
        },
        figures: RailFigures {
            state: if full { RailState::Held } else { RailState::New },
            zh: if full { "结构已变更".into() } else { String::new() },
            en: if full { "columns have changed".into() } else { String::new() },
            rate: 12.5,
            measured_at: full.then(|| AT.into()),
            ..RailFigures::default()
        },
        tables: vec![TableView {
            table: RailTable {
                rail: "r1".into(),
                place: "public.parking".into(),
                entry: "e1".into(),
                entry_code: "parking".into(),
                entry_title: "停车场 <b>".into(),
                run: "n1".into(),
                anew: false,
            },
            figures: TableFigures { landed_at: full.then(|| AT.into()), ..TableFigures::default() },
        }],
        open_incidents: u64::from(full),
    }
}

/// What a page of rails shows; `None` for other pages.
pub(super) fn of(template: &str, full: bool) -> Option<Value> {
    let view = view(full);
    let row = context! {
        rail => value(&view), waits => full, live => full, lag => 12, landed => 3, quarantined => 0, resumable => !full,
    };
    let incident = RailIncident {
        id: "i1".into(),
        rail: "r1".into(),
        table: None,
        kind: IncidentKind::SlotLost,
        zh: "复制槽丢失".into(),
        en: "the slot was lost".into(),
        at: AT.into(),
        open: full,
    };
    Some(match template {
        "console/rails.html" => context! { rails => if full { vec![row] } else { vec![] } },
        "console/rail.html" | "console/rail_figures.html" => context! {
            row, incidents => if full { vec![value(&incident)] } else { vec![] },
            oversight => super::oversight::of_rail(full), rail_id => "r1",
        },
        "console/rail_new.html" => context! {
            server => "PostgreSQL 15", troubles => if full { vec!["wal_level <b>"] } else { vec![] },
            offered => vec![context! { code => "parking", title => "停车场 <b>" }],
            form => context! { name => "n", policy => "hold", slot => "", publication => "" },
            tables => if full { vec![context! {
                place => "public.parking", rows => 3, columns => 4, entry => "parking", notes => vec!["没有主键"],
            }] } else { vec![] },
        },
        _ => return None,
    })
}
