//! Values for the pages of the ledgers.

use minijinja::context;
use minijinja::value::Value;

use super::{AT, hit};
use crate::view::value;

/// A finding of a rule pack.
pub(super) fn finding() -> model::finding::Finding {
    model::finding::Finding {
        rule: "p.r".into(),
        level: model::finding::Level::Warning,
        field: "items[0].name_cn".into(),
        item: "id".into(),
        value: "停车场 <b>".into(),
        zh: "名称不妥".into(),
        en: "not a good name".into(),
        fixed: None,
    }
}

fn rule_seen() -> Value {
    context! { id => "p.r", level => "error", zh => "规则", en => "rule", mend_zh => "改", mend_en => "mend", basis => "依据",
    pack => "p", version => 1, mends => true }
}

fn drift(full: bool) -> Value {
    let change = |kind: &str, before: &str, after: &str| context! { kind, column => if full { "mc" } else { "" }, before, after };
    context! {
        id => "d1", entry => "e1", entry_title => "停车场 <b>", source => "s1", source_name => "业务库", org => "o1",
        table => context! { schema => "public", name => "t" }, state => "open", opened_at => AT, updated_at => AT,
        changes => vec![change("added", "", "text"), change("dropped", "date", "")],
        now => if full { Value::from("table") } else { Value::from(()) }, by => if full { "李" } else { "" }, reason => "因为",
    }
}

/// What a page of the ledgers shows; nothing for other pages.
pub(super) fn of(template: &str, full: bool) -> Option<Value> {
    let some = |v: Value| if full { v } else { Value::from(()) };
    let list = |v: Value| if full { vec![v] } else { Vec::new() };
    let field = |kind: &str| {
        context! {
            key => kind, kind, zh => "项", en => "Field", needed => full, most => if full { Some(9) } else { None },
            list => vec!["甲", "乙"], hint_zh => if full { "提示" } else { "" }, hint_en => if full { "hint" } else { "" },
        }
    };
    let kinds = ["text", "choice", "choices", "lines", "date", "link", "number"];
    let rule = context! {
        field => kinds.map(field).to_vec(), state => vec![context! { word => "planned", zh => "谋划中", en => "Planned" }],
    };
    let states = context! { planned => "谋划中" };
    let fields = context! { text => "文", choice => "甲", choices => "甲、乙", lines => "一\n二", link => "https://a.example", number => "3" };
    let it = context! {
        id => "a1", ledger => "application", code => "A-1", name => "停车场 <b>", org => "o1", region => "330100",
        owner => if full { "张三" } else { "" }, description => if full { "说明" } else { "" }, fields, state => "planned",
        version => 1, score => 80, created_at => AT, updated_at => AT, merged_into => some(Value::from("a2")),
    };
    let node = context! { ledger => "data", id => "e1", item => some(Value::from("id")) };
    let thing = |calls: Option<i64>| {
        let node = node.clone();
        context! {
            node, href => "/x", code => "c", name => "停车场 <b>", org => "o1", state => "online", kind => "uses", path => vec!["某", ""], calls,
        }
    };
    let common = context! {
        ledger => "application", ledger_name => "应用", rule, states, orgs => Vec::<Value>::new(), regions => Vec::<Value>::new(),
        own => some(Value::from("o1")), org => some(Value::from("o1")), region => (), state => (), q => some(Value::from("停车")),
        may => full, may_compile => full, may_basket => full, node => "data:e1", subscribed => full, total => 3, id => some(Value::from("a1")), base_version => 1,
    };
    let report = context! {
        rows => 3, new => 1, changed => 1, same => 0, refused => 1, applied => !full, duplicates => 1,
        alike => vec![context! { field => "rows[2]", zh => "像", en => "alike" }],
    };
    let found = context! {
        asset => "a1", code => "A-1", name => "停车场 <b>", org => "o1", state => "planned", score => 70, name_like => 50,
        text_like => 60, functions_covered => 50, data_covered => 0, data => list(Value::from("某表")),
        functions => vec![context! { wanted => "查询", found => some(Value::from("检索")), overlap => 40 }],
    };
    let proposal = context! {
        id => "p1", created_at => AT, verdict => some(Value::from("refused")), decided_by => "李", decided_at => AT, reason => "重复",
        draft => context! { name => "停车场 <b>", org => "o1", description => "说明", functions => vec!["查询"], data => list(Value::from("某表")) },
    };
    let own = match template {
        "console/asset.html" => context! {
            it, moves => vec![context! { word => "running", zh => "运行中", en => "Running" }], needs_total => 2, used_total => 2,
            steps => vec![context! { action => "create", actor_name => "李", at => AT, from => "", to => "planned", reason => "新" }],
            needs => list(thing(None)), used_by => list(thing(Some(5))), kinds => list(context! { value => "uses", name => "使用" }),
            kind_names => context! { uses => "使用" },
            alike => list(context! { id => "a3", code => "A-3", name => "像 <b>", name_like => 90 }),
        },
        "console/ledger.html" => context! {
            tiles => vec![context! { word => "data", name => "数据", count => 2, href => "/x", items => some(Value::from(9)) }],
            quality => context! { assets => 1, stale => 1, ownerless => 1, orphans => 1, stale_before => AT, stale_days => 180 },
            regions => vec![context! { code => "330100", level => "city", count => 2 }], orgs => vec![("o1", 3)],
        },
        "console/ledger_list.html" => context! {
            assets => list(it), stale_before => some(Value::from(AT)), ownerless => some(Value::from("1")),
            orphan => some(Value::from("1")), export => "q=x",
        },
        "console/search.html" => context! {
            groups => vec![context! { id => "org", name => "单位", more => if full { 3 } else { 0 }, values => list(context! {
                href => "/x", name => "某局", count => 2, depth => 1, chosen => full }) }],
            hits => list(context! { href => "/x", ledger => "应用", doc => value(hit().doc), title_html => "停车", description_html => "说", state => "运行中" }),
            chips => list(context! { href => "/x", facet => "单位", name => "某局" }), hidden => vec![("org", "o1")],
            saved => list(context! { id => "s1", name => "我的", seen => 3 }), watched => list(Value::from("s1")), sort => "published_at", query => "q=x", first => full,
        },
        "console/findings.html" => context! {
            rules => vec![
                context! { rule => rule_seen(), sum => some(context! { of => "p.r", level => "error", entries => 3, places => 4 }) },
            ], broken => 1, stale => full, own => (), orgs_sums => list(context! { of => "o1", level => "error", entries => 3, places => 4 }),
            next_org => some(Value::from("/x")), rule => some(Value::from("p.r")), chosen => some(rule_seen()), may_fix => full,
            rows => list(context! { entry => "e1", code => "c", title => "停车场 <b>", org => "o1", level => "warning",
                found => vec![value(finding())], more => 3 }), next => some(Value::from("/x")),
        },
        "console/findings_fix.html" => context! {
            rule => rule_seen(), ready => 1, next => some(Value::from("/x")), done => 1,
            rows => vec![
                context! { entry => value(super::entry()), places => 2, mended => 1, refused => (),
                    changes => vec![context! { path => "items.id.name_en", before => (), after => "id" }] },
                context! { entry => value(super::entry()), places => 2, mended => 0, refused => vec!["不行", "no"], changes => Vec::<Value>::new() },
            ],
            report => some(Value::from(vec![
                context! { entry => "e1", code => "c", title => "停车场 <b>", done => true, mended => 1, zh => "好", en => "good" },
                context! { entry => "e2", code => "d", title => "停车场 <b>", done => false, mended => 0, zh => "不", en => "no" },
            ])),
        },
        "console/source_tables.html" => {
            let table = context! { schema => "public", name => "t <b>", comment => "停车场 <b>", kind => "table", width => 3, rows => some(Value::from(5)) };
            context! {
                made => 1, most => 200,
                drafted => some(Value::from(vec![context! { table => "public.t", done => true, entry => vec!["e1", "c", "停车场 <b>"],
                    items => 3, findings => 2, notes => vec![vec!["a", "注", "note"]], zh => "好", en => "good" },
                    context! { table => "public.v", done => false, entry => (), items => 0, findings => 0, notes => Vec::<Value>::new(), zh => "不", en => "no" }])),
                survey => context! { product => "PostgreSQL 15", total => 3, more => !full, left_out => vec![context! { what => "view", count => 2, zh => "视图", en => "views" }],
                    tables => vec![
                        context! { table => table.clone(), key => "6.public.t", offered => true, entry => () },
                        context! { table => table.clone(), key => "6.public.u", offered => false, entry => vec!["e1", "停车场 <b>"] },
                        context! { table, key => "6.public.v", offered => false, entry => () },
                    ] },
            }
        }
        "console/drifts.html" => context! {
            drifts => list(drift(full)), state => "open",
            looked => some(context! { source => "s1", tables => 3, same => 1, open => vec![1], gone => 1,
                uncatalogued => vec!["public.x"], uncatalogued_total => 2 }),
        },
        "console/drift.html" => context! { drift => drift(full), mine => true },
        "console/asset_form.html" => context! { draft => it, twin => full },
        "console/ledger_import.html" => context! {
            name => "a.csv", report => some(report), faults_total => if full { 3 } else { 0 }, faults_more => if full { 1 } else { 0 },
            token => some(Value::from("t")),
        },
        "console/proposal.html" => context! {
            proposal, matches => list(found), suggested => "reduced", may_decide => full,
            verdicts => vec![context! { value => "refused", name => "不予立项" }],
        },
        "console/proposals.html" => context! {
            proposals => list(proposal), may_propose => full,
            form => some(context! { name => "n", description => "d", functions => "f", data => "d" }),
        },
        "console/notices.html" => context! {
            unread_only => full,
            rows => list(context! { id => "n1", kind => "提醒", title => "停车场 <b>", words => "说", at => AT, unread => full }),
            subscriptions => list(context! { kind => "search", subject => "s1", title => "停车 <b>", href => "/x", at => AT }),
        },
        "console/ranking.html" => context! {
            month => some(Value::from("2026-10")),
            rows => list(context! { place => 1, org => "o1", org_name => "某局", score => 90, assets => 3, stale => 0, ownerless => 1 }),
        },
        "console/walk.html" => context! {
            name => "停车", href => "/x", back => full, item => some(Value::from("id")), ledgers => context! { data => "数据" },
            kinds => context! { uses => "使用" },
            walk => context! { total => 3, beyond => if full { 2 } else { 0 }, unasked => if full { 2 } else { 0 }, days => 30, levels => list(context! {
                depth => 1, things => vec![thing(Some(1)), thing(None)], more => 1, hidden => 1 }) },
        },
        _ => return None,
    };
    Some(context! { ..own, ..common })
}
