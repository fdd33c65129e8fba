//! Made-up sources of harvest for their pages.

use minijinja::{Value, context};
use model::harvest::{
    Distribution, HarvestAs, HarvestFigures, HarvestKind, HarvestNew, HarvestOrigin,
    HarvestOutcome, HarvestRefusal, HarvestSource, HarvestState, HarvestTurn, HarvestWish, Record,
};

use super::AT;
use crate::view::value;

fn source(full: bool) -> HarvestSource {
    HarvestSource {
        id: "h1".into(),
        name: "停车场 <b>".into(),
        kind: if full { HarvestKind::Ckan } else { HarvestKind::OaiPmh },
        url: "https://data.example/<b>".into(),
        org: "o1".into(),
        org_name: "数据局".into(),
        region: "330000".into(),
        cron: "30 2 * * *".into(),
        becomes: if full { HarvestAs::Draft } else { HarvestAs::Published },
        wish: if full { HarvestWish::Run } else { HarvestWish::Pause },
        created_at: AT.into(),
        created_by: "u1".into(),
        due: AT.into(),
        since: String::new(),
        full_at: if full { AT.into() } else { String::new() },
        mark: String::new(),
    }
}

fn turn(full: bool) -> HarvestTurn {
    HarvestTurn {
        id: "t1".into(),
        source: "h1".into(),
        state: if full { HarvestState::Stopped } else { HarvestState::Running },
        full,
        accepts_loss: false,
        position: None,
        read: full,
        untouched: false,
        moved: false,
        mark: String::new(),
        since: AT.into(),
        failures: 0,
        figures: HarvestFigures { pages: 2, seen: 3, new: 1, refused: 2, ..Default::default() },
        zh: if full { "停车场 <b>".into() } else { String::new() },
        en: if full { "parking <b>".into() } else { String::new() },
        created_at: AT.into(),
        started_at: full.then(|| AT.into()),
        finished_at: full.then(|| AT.into()),
        by: "system".into(),
    }
}

/// Where a data set comes from.
pub(super) fn origin() -> HarvestOrigin {
    HarvestOrigin {
        source: "h1".into(),
        source_name: "停车场 <b>".into(),
        foreign_id: "a <b>".into(),
        entry: "parking".into(),
        digest: String::new(),
        outcome: HarvestOutcome::New,
        first_turn: "t1".into(),
        seen_turn: "t1".into(),
        last_seen: AT.into(),
        gone_at: String::new(),
        record: Record {
            address: "https://data.example/a".into(),
            distributions: vec![Distribution {
                title: "停车场 <b>".into(),
                url: "https://data.example/a.csv".into(),
                format: "CSV".into(),
                bytes: Some(2_048),
            }],
            publisher: "停车场 <b>".into(),
            licence: "停车场 <b>".into(),
            modified: "2026-01-02".into(),
            ..Record::default()
        },
    }
}

pub(super) fn of(name: &str, full: bool) -> Option<Value> {
    let source = source(full);
    let view =
        |with: bool| context! { source => value(&source), turn => with.then(|| value(turn(full))) };
    Some(match name {
        "console/harvests.html" => context! {
            rows => if full { vec![view(true), view(false)] } else { vec![] }, keeps => full,
        },
        "console/harvest_form.html" => context! {
            form => value(HarvestNew {
                name: source.name.clone(), kind: source.kind, url: source.url.clone(), org: source.org.clone(),
                region: source.region.clone(), cron: source.cron.clone(), becomes: source.becomes,
            }),
            id => full.then_some("h1"),
        },
        "console/harvest.html" => context! {
            it => value(&source), open => !full, stopped => full, keeps => full,
            turns => if full { vec![value(turn(true)), value(turn(false))] } else { vec![] },
        },
        "console/harvest_report.html" => context! {
            it => value(&source), turn => value(turn(full)), refused => if full { vec![value(HarvestRefusal {
                foreign_id: "a <b>".into(), title: "停车场 <b>".into(), field: "title".into(), zh: "没有名称".into(), en: "no title".into(),
            })] } else { vec![] },
        },
        _ => return None,
    })
}
