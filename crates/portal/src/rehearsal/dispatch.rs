//! Values for the pages of dispatch and control.

use minijinja::context;
use minijinja::value::Value;

use super::AT;

fn board(full: bool) -> Value {
    let count = |word: &str| vec![context! { word, count => 3 }];
    let list = |v: Value| if full { vec![v] } else { Vec::new() };
    context! {
        at => AT, calls_today => 1, calls_year => 2, answered_year => 1_234_567, refused_year => 8, late => 3, failed => 1, stale => 4, sources => 1, wall_seconds => 60,
        ledgers => ["application", "data", "item", "component", "cloud"].map(|w| context! { word => w, count => 5 }).to_vec(),
        growth => list(context! { day => "2026-03-01", application => 1, data => 2, component => (), cloud => 4 }),
        approvals => if full { count("running") } else { vec![] }, requests => count("approved"), runs => count("failed"),
        run_days => vec![context! { day => "2026-03-01", succeeded => 2, failed => 1 }],
        regions => list(context! { region => "330100", level => "city", today => 1, year => 2 }),
        levels => list(context! { level => "city", today => 1, year => 2 }),
        top => list(context! { entry => "e1", code => "parking", title => "停车场 <b>", org => "o1", calls => 5 }),
        failing => list(context! { entry => "e1", code => "parking", title => "停车场 <b>", org => "o1", failed => 2, last => "n1" }),
        fresh => list(Value::from(vec![Value::from("daily"), Value::from(5), Value::from(2)])),
        idle => if full { count("cloud") } else { vec![] }, near => list(used()),
        alerts => if full { vec![
            context! { level => "bad", word => "chain", zh => "坏 <b>", en => "bad", href => "/x" },
            context! { level => "wait", word => "stale", zh => "旧", en => "old", href => "/x" },
        ] } else { vec![] },
    }
}

fn used() -> Value {
    context! { resource => "calls", holder => context! { kind => "application", id => "a1" }, name => "停车场 <b>", org => "o1",
    amount => 100, used => 95.0, percent => 95 }
}

fn run(state: &str) -> Value {
    context! { id => "n1", entry => "e1", entry_title => "停车场 <b>", state, source => "a.csv", started_at => AT, accepted => 9,
    message_zh => "说明", message_en => "note" }
}

/// What a page of dispatch or control shows; nothing for other pages.
pub(super) fn of(template: &str, full: bool) -> Option<Value> {
    let some = |v: Value| if full { v } else { Value::from(()) };
    let list = |v: Value| if full { vec![v] } else { Vec::new() };
    let org = context! { kind => "org", id => "o1" };
    let region = context! { kind => "region", id => "330100" };
    let state = context! { started_at => AT, ended_at => some(Value::from(AT)), outcome => "failed", done => 3, note_zh => "错",
    note_en => "wrong", next_at => AT, failures => 1 };
    let job = context! { job => "lake", zh => "整理", en => "Housekeeping", every_seconds => 600, again => full, state => some(state) };
    let reclaim = context! {
        id => "c1", kind => if full { "cloud" } else { "grant" }, thing => "x", org => "o1", region => "330100", title => "停车场 <b>",
        percent => some(Value::from(3)), since => "2026-01-01", state => if full { "proposed" } else { "objected" }, reason => "闲",
        proposed_by_name => "李", proposed_at => AT, due => "2026-03-01", answered_by_name => "王", answered_at => if full { None } else { Some(AT) },
        answer => "要", keep_until => if full { "" } else { "2026-09-01" },
    };
    Some(match template {
        "console/control.html" | "console/wall.html" => context! { board => board(full) },
        "console/control_calls.html" => {
            context! { year => full, region => some(Value::from("330100")),
            rows => list(context! { application => "a1", name => "停车场 <b>", org => "o1", calls => 3 }) }
        }
        "console/control_stale.html" => {
            context! { cycle => some(Value::from("daily")), org => some(Value::from("o1")),
            rows => list(context! { entry => "e1", org => "o1", region => "330100", code => "c", title => "停车场 <b>", cycle => "daily",
                data_at => "", due => "2026-01-01" }) }
        }
        "console/control_sources.html" => {
            context! { rows => list(context! { name => "停车场 <b>", org => "o1", tried_at => AT, tried => "x" }) }
        }
        "console/dispatch.html" => {
            context! { rows => list(used()), resource => "calls", kind => "application", parent => some(Value::from("o1")),
            own => some(Value::from("o1")), regions => list(context! { code => "330100", level => "city" }) }
        }
        "console/holder.html" => context! {
            key => "org:o1", form => context! { resource => "calls", amount => "1", reason => "r", from => "f", what => if full { "ask" } else { "set" } },
            seen => context! {
                holder => if full { org } else { region.clone() }, name => "停车场 <b>", org => "o1", may_set => full, may_ask => full,
                quotas => vec![context! { resource => "calls", amount => some(Value::from(5)), used => 1.0, percent => some(Value::from(20)), handed_on => 3,
                    above => some(region), days => list(Value::from(vec![Value::from("2026-03-01"), Value::from(3.0)])) }],
                past => list(context! { resource => "calls", was => (), amount => 5, cause => "set", reference => "a1", reason => "停车场 <b>", at => AT, actor_name => "system" }),
            },
        },
        "console/quota_moves.html" => context! { rows => list(context! {
        id => "m1", resource => "calls", from => org, to => region, amount => 5, reason => "r", applicant_name => "李", approval => "a1",
        created_at => AT, applied_at => some(Value::from(AT)), phase => "approved" }) },
        "console/calendar.html" => context! {
            may_run => full, jobs => list(context! { job, standing => if full { "failed" } else { "never" } }),
            month => context! { month => "2026-03", before => "2026-02", after => "2026-04", weeks => vec![vec![context! {
                day => "2026-03-02", within => full, today => full, succeeded => 1, failed => 1, running => 1, ends => 1, dues => 1 }]] },
        },
        "console/calendar_day.html" => {
            context! { day => "2026-03-02", month => "2026-03", state => some(Value::from("failed")),
            rows => list(context! { run => run("failed"), again => full }), ends => Vec::<Value>::new(), next_ends => some(Value::from("?a")) }
        }
        "console/job.html" => {
            context! { job, standing => "ok", may_run => full, rows => list(context! {
            started_at => AT, ended_at => AT, outcome => "failed", done => 1, note_zh => "错 <b>", note_en => "wrong", by_name => "system" }) }
        }
        "console/idle.html" => {
            context! { kind => if full { "cloud" } else { "grant" }, org => some(Value::from("o1")), under => 10, days => 30, call_days => 60,
            rows => list(context! { may => full, idle => context! { kind => "cloud", thing => "x", org => "o1", region => "330100", title => "停车场 <b>",
                percent => 3, since => "2026-01-01" } }) }
        }
        "console/reclaims.html" => {
            context! { rows => list(reclaim), state => some(Value::from("proposed")) }
        }
        "console/reclaim.html" => {
            context! { it => reclaim, most => 180, may_answer => full, may_withdraw => full,
            form => context! { reason => "", until => "" } }
        }
        _ => return None,
    })
}
