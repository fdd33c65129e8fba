//! Made-up groups of quarantined rows, reconciliations and seals for their pages, and for the audit's.

use app::collection::GroupSeen;
use minijinja::{Value, context};
use model::audit::AuditFilter;
use model::evidence::Sealed;
use model::oversight::{ChannelRule, MisfitGroup};
use model::parcel::{Quarantined, Reject};
use model::reconcile::{Difference, DifferenceKind, FeedKind, ReconcileState, Reconciliation};

use super::{AT, entry};
use crate::view::value;

fn group() -> GroupSeen {
    GroupSeen {
        group: MisfitGroup {
            id: "g1".into(),
            entry: "e1".into(),
            org: "o1".into(),
            channel: "rail".into(),
            item: "spaces".into(),
            reason: "is not a number".into(),
            rows: 12,
            first_at: AT.into(),
            last_at: AT.into(),
            zh: "不是数值 <b>".into(),
            en: "is not a number <b>".into(),
        },
        entry_code: "parking".into(),
        entry_title: "停车场 <b>".into(),
        item_name: "泊位数".into(),
    }
}

fn misfit() -> Quarantined {
    Quarantined {
        id: "n1-1".into(),
        run: "n1".into(),
        entry: "e1".into(),
        reject: Reject {
            record: 1,
            line: 0,
            column: "spaces".into(),
            value: "约 <b>".into(),
            zh: "不是数值".into(),
            en: "is not a number".into(),
            cells: vec![Some("1".into()), Some("约 <b>".into())],
            operation: None,
        },
        items: vec!["id".into(), "spaces".into()],
        state: "open".into(),
        at: AT.into(),
    }
}

fn run(full: bool) -> Reconciliation {
    Reconciliation {
        id: "c1".into(),
        entry: "e1".into(),
        entry_code: "parking".into(),
        entry_title: "停车场 <b>".into(),
        org: "o1".into(),
        kind: if full { FeedKind::Pipeline } else { FeedKind::Rail },
        feed: "r1".into(),
        place: "public.parking".into(),
        upto: if full { "2026-03-01".into() } else { String::new() },
        state: if full { ReconcileState::Differs } else { ReconcileState::Running },
        pushed: full,
        source_rows: 200_000,
        lake_rows: 199_999,
        chunks: 20,
        questions: 70,
        rows_read: 1_875,
        missing: 1,
        extra: 1,
        different: 1,
        misfits: 0,
        moving: 0,
        foreign: u64::from(full),
        healed: 0,
        heal: false,
        zh: if full { "不一致".into() } else { String::new() },
        en: if full { "they differ".into() } else { String::new() },
        started_at: AT.into(),
        finished_at: full.then(|| AT.into()),
        actor: "li".into(),
    }
}

/// Part of an entry's page.
pub(super) fn compared(full: bool) -> Value {
    let last = if full { value(run(true)) } else { Value::from(()) };
    let fed = |kind: FeedKind| context! { kind => kind.as_str(), id => "r1", name => "停车场 <b>" };
    let feeds = if full {
        vec![fed(FeedKind::Rail), fed(FeedKind::Query)]
    } else {
        vec![fed(FeedKind::Rail)]
    };
    context! { feeds, last }
}

/// Part of the page of a pipeline, an exchange or a reporting plan.
pub(super) fn of_channel(full: bool) -> Value {
    let last = if full { value(run(true)) } else { Value::from(()) };
    context! { entry => "e1", feed => "r1", last }
}

/// Part of a rail's page.
pub(super) fn of_rail(full: bool) -> Value {
    let rule = ChannelRule { budget_rows: full.then_some(50), ..ChannelRule::default() };
    context! {
        tables => vec![context! {
            place => "public.parking", entry => "e1", title => "停车场", bad => 3, read => 100,
            last => if full { value(run(true)) } else { Value::from(()) },
        }],
        rule => value(&rule), share => Value::from(()),
        shipped => context! { rows => 1000, share => 20.0, hours => 24, window => 300 },
    }
}

/// What a page of oversight shows; `None` for other pages.
pub(super) fn of(template: &str, full: bool) -> Option<Value> {
    let row = Difference {
        seq: 1,
        kind: DifferenceKind::Different,
        key: vec!["7 <b>".into()],
        items: vec!["spaces".into()],
        healed: full,
    };
    let columns = ["id", "spaces"].map(|id| context! { identifier => id, name => id }).to_vec();
    Some(match template {
        "console/audit.html" => context! {
            filter => value(AuditFilter::default()), actions => if full { vec!["rows.query"] } else { vec![] },
        },
        "console/audit_seals.html" => context! {
            seals => vec![value(Sealed { stamp: full.then(Default::default), ..Default::default() })],
            may_export => true, stamping => full, signing => if full { "ed25519" } else { "sm2" },
        },
        "console/quarantine.html" => {
            context! { groups => if full { vec![value(group())] } else { vec![] } }
        }
        "console/misfits.html" => context! {
            group => value(group()), entry => value(entry()), columns, may_mend => full, may_edit => full,
            rows => if full { vec![value(misfit())] } else { vec![] }, after => Value::from(()),
        },
        "console/reconciliation.html" | "console/reconciliation_figures.html" => context! {
            run => value(run(full)), live => !full, healable => full, may_see => full,
            rows => if full { vec![value(&row)] } else { vec![] },
            before => if full { vec![value(run(true))] } else { vec![] },
        },
        "console/_oversight.html" => context! { oversight => of_rail(full), rail_id => "r1" },
        _ => return None,
    })
}
