//! Renders every template in both languages with made-up things in it, so that no page can break unseen.

use std::sync::Arc;

use app::catalogue::Move;
use minijinja::{UndefinedBehavior, Value, context};
use model::audit::{AuditEvent, AuditFault, AuditRecord, AuditVerdict};
use model::code::{DataType, OnlineState, OpenType, PublishState};
use model::entry::{Difference, Entry, EntryStep};
use model::item::Item;
use model::mask::Mask;
use model::parcel::{Quarantined, Reject, RunState, Sniffed};
use model::request::{Period, Request, RequestState, RequestStep, RequestWay};
use model::search::{SearchDoc, SearchHit};
use model::source::{DataSource, SourceKind, SourceTls};

mod bounds;
mod channels;
mod deliveries;
mod dispatch;
mod exchanges;
mod harvests;
mod interfaces;
mod ledgers;
mod made;
mod opening;
mod outflows;
mod oversight;
mod pipelines;
mod projects;
mod rails;
mod realnames;
mod reports;
mod restricted;
mod sandboxes;
mod site;
mod usage;
mod voice;

use made::{approval, approval_row, basket, bundle, flow_page, run};

use crate::names::Names;
use crate::view::{Pages, names_of_templates, value};
use crate::visit::Lang;

const AT: &str = "2026-11-23T08:00:00.000Z";

fn entry() -> Entry {
    let mut draft = crate::console::empty_draft("o1", "330100");
    draft.code = "parking".into();
    draft.title = "停车场 <b>".into();
    draft.description = "全市停车场".into();
    draft.tags = vec!["停车".into()];
    draft.open_type = OpenType::Unconditional;
    let mut item = Item::new("id", "编号", DataType::Text);
    item.mask = Some(Mask::Keep { head: 1, tail: 0 });
    item.primary = true;
    draft.profile.links =
        model::entry::Link::read("https://data.example/parking.csv | CSV | 全部 <b>");
    draft.items = vec![item, Item::new("spaces", "泊位数", DataType::Integer)];
    Entry {
        id: "e1".into(),
        grade: draft.grade(),
        draft,
        publish_state: PublishState::Published,
        online_state: OnlineState::Online,
        version: 2,
        created_at: AT.into(),
        created_by: "u1".into(),
        updated_at: AT.into(),
        published_at: Some(AT.into()),
        rows: 12_345,
        data_at: None,
    }
}

fn request() -> Request {
    Request {
        id: "r1".into(),
        entry: "e1".into(),
        entry_code: "parking".into(),
        entry_title: "停车场".into(),
        provider: "o1".into(),
        application: "a1".into(),
        application_name: "便民".into(),
        org: "o2".into(),
        way: RequestWay::Share,
        region: "330100".into(),
        items: vec!["id".into(), "gone".into()],
        scene: "导航".into(),
        legal_basis: "依据".into(),
        period: Period::Days { days: 90 },
        calls_per_day: 1000,
        area_range: "330100".into(),
        row_range: model::request::RowRange {
            org: "91330100799655058B".into(),
            only: vec![model::request::RowValues {
                item: "id".into(),
                values: vec!["1".into(), "<script>".into()],
            }],
        },
        by_sql: false,
        state: RequestState::Approved,
        due: None,
        expires_at: Some(AT.into()),
        applicant: "u2".into(),
        created_at: AT.into(),
        updated_at: AT.into(),
    }
}

/// The part of a form that says which rows alone.
fn row_form(full: bool) -> Value {
    context! {
        by_org => full, orgs => vec![context! { uscc => "91330100799655058B", name => "某局" }], org => "91330100799655058B",
        known => vec![context! { value => "id", name => "编号 id" }],
        lines => vec![context! { n => 1, item => "id", values => "1\n2" }, context! { n => 2, item => "", values => "" }],
    }
}

fn reject() -> Reject {
    Reject {
        record: 3,
        line: 4,
        column: "spaces".into(),
        value: "many <script>".into(),
        zh: "应为整数".into(),
        en: "must be a whole number".into(),
        cells: vec![Some("1".into()), None, Some("extra".into())],
        operation: Some("X".into()),
    }
}

fn hit() -> SearchHit {
    let doc = SearchDoc {
        id: "e1".into(),
        code: "parking".into(),
        title: "停车场 <b>".into(),
        description: "说明".into(),
        org: "o1".into(),
        org_name: "某局".into(),
        region: "330100".into(),
        domain: "14".into(),
        formats: vec!["CSV".into(), "API".into()],
        update_cycle: "daily".into(),
        open_type: "unconditional".into(),
        rows: 12,
        ..SearchDoc::default()
    };
    SearchHit { doc, title_html: "<mark>停车</mark>场".into(), description_html: String::new() }
}

/// What the frame of every page knows.
fn every(signed_in: bool, lang: Lang) -> Value {
    context! {
        lang => lang.as_str(), html_lang => "zh-CN", switch => "/?lang=en", site_name => "钱塘",
        path => "/console", here => "/console", base => "http://site", gateway => "http://gate",
        elder => signed_in, look_classes => if signed_in { "elder largest" } else { "" }, theme => if signed_in { "dark" } else { "auto" },
        views => vec![context! { name => "大字", word => "elder", now => signed_in, href => "/?look=elder" }],
        themes => vec![context! { name => "深色", word => "dark", now => signed_in, href => "/?theme=dark" }],
        elder_switch => "/?look=elder", brand_href => "/", in_city => "?region=330100", and_city => "&region=330100",
        asked_regions => if signed_in { vec!["330100"] } else { Vec::new() },
        site_city => signed_in.then(|| context! { slug => "hangzhou", region => "330100", province => "钱塘", back => "/data?q=x", name => "杭州市" }),
        site_nav => vec![context! { href => "/", name => "首页", current => signed_in, exact => signed_in }],
        csrf => "token", request_id => "q1", today => "2026-11-23", staff => signed_in,
        user => signed_in.then(|| context! {
            name => "li", display_name => "李", org => "o1", roles => vec!["主管部门"],
        }),
        nav => vec![context! { name => "", links => vec![context! { href => "/console", name => "工作台", current => true }] }],
    }
}

fn entry_step(action: &str, to: &str) -> EntryStep {
    EntryStep {
        entry: "e1".into(),
        seq: 1,
        at: AT.into(),
        actor: "u".into(),
        actor_name: "李".into(),
        action: action.into(),
        from: String::new(),
        to: to.into(),
        reason: "因为".into(),
    }
}

fn outlook(full: bool) -> app::catalogue::Outlook {
    app::catalogue::Outlook {
        moves: if full { vec![Move::Approve, Move::Withdraw] } else { vec![] },
        own: full,
        changes: full.then(|| {
            vec![Difference {
                path: "items.id.grade".into(),
                before: Some("L1".into()),
                after: Some("L2".into()),
            }]
        }),
        due: full.then(|| "2026-11-25".parse().unwrap()),
        overdue: full,
        asked: full.then(|| entry_step("alter", "change-auditing")),
        refused: full.then(|| entry_step("reject", "change-reject")),
        advice: vec![model::FieldError {
            field: "grade".into(),
            zh: "低".into(),
            en: "low".into(),
        }],
        findings: vec![ledgers::finding()],
    }
}

fn source() -> DataSource {
    DataSource {
        id: "s1".into(),
        org: "o1".into(),
        name: "业务库".into(),
        kind: SourceKind::Postgres,
        host: "db.example".into(),
        port: 5432,
        database: "main".into(),
        account: "reader".into(),
        tls: SourceTls::Prefer,
        created_at: AT.into(),
        created_by: "li".into(),
        updated_at: AT.into(),
        tried_at: Some(AT.into()),
        tried: "ok".into(),
    }
}

/// What the pages of the desk, of sources and of supervision show besides.
fn desk_things(full: bool) -> Value {
    let some = |v: Value| if full { v } else { Value::from(()) };
    let list = |v: Vec<Value>| if full { Value::from(v) } else { Value::from(Vec::<Value>::new()) };
    let awaiting = app::catalogue::Awaiting { entry: entry(), outlook: outlook(full) };
    let text = "x".to_owned();
    let rules = context! {
        files => vec![context! { name => "masks.toml", own => full, edition => "2026.1", lines => 10, written_at => some(Value::from(AT)) }],
        masks => vec![
            context! { id => "name", zh => "z", keywords => vec!["xm"], except => vec!["xmmc"], grade => (), types => Vec::<String>::new(), label => "keep(1,0)", effective => "2020-01-01", until => (), basis => "b", in_effect => true },
            context! { id => "grade-L2", zh => "", keywords => Vec::<String>::new(), except => Vec::<String>::new(), grade => "L2", types => vec!["text", "date"], label => "blank", effective => "2020-01-01", until => "2030-01-01", basis => "b", in_effect => false },
        ],
        effective => "2026-01-01",
        grade => context! { basis => "b", open_unconditional_most => "L1", open_restricted_most => "L3", share_unconditional_most => "L3" },
        advice => context! { basis => "b", conditional_least => "L2", prohibited_least => "L4" },
        classified => context! { basis => "b" },
        history => vec![context! { fingerprint => "0f", since => AT, by => "system" }],
    };
    context! {
        outlook => value(full.then(|| outlook(full))), queue => list(vec![value(&awaiting)]),
        refused => list(vec![value(entry())]), days => vec![context! { day => "2026-11-23", runs => 1, accepted => 2, quarantined => 3 }],
        busy => full, landed => list(vec![context! { version => 1, at => AT, mode => "full", rows => 3 }]),
        sources => list(vec![value(source())]), source => value(source()), largest => 1_000_000, locked => full,
        changes => value(outlook(full).changes), base_at => some(Value::from(AT)), pending => full,
        advice => list(vec![value(model::FieldError { field: "grade".into(), zh: "低".into(), en: "low".into() })]),
        rules, declared => list(vec![context! { entry => "e1", code => "c", title => "t", org => "o1",
            items => vec![(text.clone(), text, "L2".to_owned(), "blank".to_owned())], raised => some(Value::from("L3")), by => "li", at => AT }]),
        overview => context! {
            health => context! { ready => true, store => "ok", search => "unavailable", audit => "ok" }, version => "0.1.0", backend => "sqlite",
            rules => "0f", limits => "2026-01-01", figures => vec![("entries", 3)], rows => 9, control_bytes => 4096, documents => 3,
            folders => list(vec![context! { name => "lake", bytes => 5, files => 2, more => true }]),
        },
    }
}

/// Things the pages show. Lists are filled in `full`, empty otherwise; optional things are there or none.
fn things(full: bool) -> Value {
    let some = |v: Value| if full { v } else { Value::from(()) };
    let list = |v: Vec<Value>| if full { Value::from(v) } else { Value::from(Vec::<Value>::new()) };
    let e = value(entry());
    let dataset = app::opening::Dataset {
        entry: entry(),
        org_name: "某局".into(),
        org_name_en: String::new(),
        region_name: "杭州市".into(),
        region_name_en: "Hangzhou".into(),
        free: full,
        geometry: full.then(|| app::opening::Geometry::Item("wz".into())),
    };
    let step = RequestStep {
        request: "r1".into(),
        seq: 1,
        at: AT.into(),
        actor: "u".into(),
        actor_name: "李".into(),
        action: "submit".into(),
        from: String::new(),
        to: "provider-auditing".into(),
        reason: "因为".into(),
    };
    let fields =
        vec![model::FieldError { field: "code".into(), zh: "重复".into(), en: "taken".into() }];
    let preview = context! {
        columns => vec![context! { identifier => "id", name => "编号", sort => "none", number => false, href => "?order=id.asc" }],
        rows => vec![vec![Some("1")], vec![None]], total => (), first => "?a", next => "?b",
    };
    let item_row = context! { i => 0, item => value(&entry().draft.items[0]), mask => "keep-9-9", wrong => full };
    let page = context! {
        entry => e, dataset => value(&dataset), items => value(&entry().draft.items),
        entries => list(vec![value(entry())]), requests => list(vec![value(request())]),
        runs => list(vec![value(run(RunState::Running))]), request => value(request()),
        run => value(run(if full { RunState::Running } else { RunState::Failed })),
        live => full, percent => some(Value::from(50)), again => full,
        steps => list(vec![value(step)]), versions => list(vec![
            context! { version => 2, at => AT, actor => "u", title => "t" },
            context! { version => 1, at => AT, actor => "u", title => "t" },
        ]),
        items_total => if full { 3000 } else { 3 }, items_found => 2, item_q => if full { "id" } else { "" },
        item_page => if full { 2 } else { 1 }, item_pages => if full { 3 } else { 1 },
        masks => vec![Some("keep(1,0)".to_owned()), None], moves => list(vec![Value::from("approve"), Value::from("reject")]),
        may_edit => full, may_collect => full, may_apply => full, may_manage => full, may_see => full,
        may_mend => full, may_export => full, may_compile => full, may_discard => full, is_open => full, has_key => full, largest => 1_000_000,
        done => some(Value::from("saved")), next => some(Value::from("?after=1")), previous => some(Value::from("?page=1")),
        inbox => context! { entries => list(vec![value(entry())]), requests => list(vec![value(request())]), mine => list(vec![]),
            entries_due => context! { e1 => "2026-11-20" }, rejected_entries => list(vec![value(entry())]), rejected => list(vec![value(request())]),
            ending => list(vec![value(request())]), more => context! { entries => full, requests => full, mine => full,
                rejected_entries => full, rejected => full, ending => full } },
        fields => if full { value(&fields) } else { list(vec![]) }, faults => if full { value(&fields) } else { list(vec![]) },
        error => some(Value::from("有误")), code => some(Value::from("invalid_input")),
    };
    let more = context! {
        figures => context! { datasets => 1, interfaces => 2, items => 3, rows => 4_000_000, organisations => 5 },
        latest => list(vec![value(hit())]), hits => list(vec![value(hit())]), related => list(vec![value(hit().doc)]),
        docs => list(vec![value(hit().doc)]), updated => AT, words => vec!["停车场"],
        domains => list(vec![context! { word => "14", name => "交通", count => 3, href => "/data?domain=14", chosen => false }]),
        regions => list(vec![context! { code => "330100", level => "city", name => "杭州市", count => 0, href => "/data?region=330100" }]),
        orgs => list(vec![context! { id => "o1", word => "o1", name => "某局", name_cn => "某局", name_en => "", count => 1,
            uscc => "x", kind => "state_organ", region => "330000", parent => (), authority => true }]),
        groups => vec![context! { id => "region", name => "行政区划", values => vec![
            context! { word => "330100", name => "杭州", count => 1, depth => 1, chosen => true, href => "/data" }] }],
        chips => list(vec![context! { facet => "区划", name => "杭州", href => "/data" }]),
        hidden => vec![vec!["region", "330100"]], q => some(Value::from("停")), sort => "relevance", page => 1, pages => 3, total => 40,
        follows => full, formats => vec!["csv", "xlsx", "geojson", "parquet"], preview => some(preview), trouble => (), jsonld => "{}", canonical => "http://site/data/x",
        many_sheets => full, filter => context! { col => (), op => (), val => (), actor => (), action => (), object => (), result => (), from => (), to => () },
        order => (), endpoint => "http://gate/api/v1/x", url => "http://gate/api/v1/x?limit=5", answer => some(Value::from("[]")),
        selected => vec!["id"], first => "id", api_path => "/api/v1/x", tried => full, col => (), op => (), val => (), limit => "5",
        window => 300, default_rows => 100, max_rows => 1000, max_offset => 10_000, signing => "sm2",
        codes => vec![context! { code => "denied", status => 403, zh => "无权", en => "no", help_zh => "请联系管理员", help_en => "ask the administrator" }],
        status => 403, heading => "无权", own => full, zh => "无权", en => "no", reasons => vec!["rule-1"], help => "问管理员", sign_in => full,
        name => some(Value::from("li")), account => context! { name => "li", display_name => "李", org => "o1", roles => vec!["authority"], created_at => AT },
        expires_at => AT, least => 12,
    };
    let rest = context! {
        day => (), org => (), own => some(Value::from("o1")), publish_state => (), online_state => (), view => "all", state => (),
        rows => if full { Value::from(vec![context! { entry => value(entry()), moves => vec!["approve"] }]) } else { list(vec![]) },
        draft => value(entry().draft), id => some(Value::from("e1")), base_version => some(Value::from(2)), grade => "L1", checked => full,
        found => some(context! { name => "a.csv", sniffed => value(Sniffed {
            format: "csv".into(), compression: "none".into(), encoding: "gb18030".into(), delimiter: None, quote: None, preamble: 0,
            header_rows: 1, footer: 0, sheet: None, columns: vec![], records: Some(3), notes: vec![("注".into(), "note".into())],
        }) }),
        columns => vec![context! { identifier => "id", name => "编号" }], after => some(Value::from("k")),
        rejects => list(vec![value(reject())]), from => 1, to => 2,
        differences => list(vec![value(Difference { path: "title".into(), before: Some("a".into()), after: None })]),
        report => some(value(app::catalogue::ImportReport { entries: 1, items: 2, created: vec!["a".into()], changed: vec![], faults: vec![], applied: true })),
        dry_run => full, must_change => full, way => if full { "open" } else { "share" }, at_once_most => 100_000, may_own => full, may_org => full,
        applications => list(vec![context! { id => "a1", name => "便民", description => "d", org => "o1", key => "k", active => true, created_at => AT }]),
        secret => some(context! { application => context! { name => "便民", key => "k" }, secret => "s" }),
        form => context! { application => "a1", scene => "", legal_basis => "", period => "90", until => "", calls_per_day => "1", by_sql => "true", area_range => "",
            name => "n", description => "d", org => "o1", display_name => "d", roles => vec!["citizen"], name_cn => "", name_en => "", uscc => "", kind => "", region => "", parent => "", authority => false },
        users => list(vec![context! { id => "u1", name => "li", display_name => "李", org => (), roles => vec!["citizen"], active => false, created_at => AT,
            locked_until => some(Value::from(AT)), one_time_until => some(Value::from(AT)), real_name => some(realnames::seen()) }]),
        entry_seen => full, verdict => some(value(AuditVerdict { records: 3, intact: false, head: "h".into(), fault: Some(AuditFault { seq: 2, kind: "altered".into(), zh: "变".into(), en: "changed".into() }) })),
        records => list(vec![context! { shown => full.then_some("李"), ..value(AuditRecord { seq: 1, prev_hash: String::new(), hash: "0123456789abcdef".into(), event: AuditEvent { action: "rows.query".into(), actor_name: "li".into(), result: "ok".into(), ts: AT.into(), ..AuditEvent::default() } }) }]),
        export => "/console/audit.csv?", item_row, taken_out => some(projects::taken_out()),
    };
    context! { ..rest, ..more, ..page, ..desk_things(full) }
}

/// Pages whose own lists have another shape than the common things.
fn own(template: &str, full: bool) -> Value {
    let items = entry().draft.items;
    match template {
        "console/entry_form.html" if !full => context! { refused => (), links => "", items => vec![
            context! { i => 0, item => value(&items[0]), mask => "keep-9-9", wrong => full },
            context! { i => 1, item => value(&items[1]), mask => "", wrong => false },
        ] },
        "console/request.html" => context! { items => vec![
            context! { identifier => "id", item => value(&items[0]) },
            context! { identifier => "gone", item => value(None::<Item>) },
        ], only => vec![context! { item => vec![context! { identifier => "id", item => value(&items[0]) }], values => vec!["1"] }],
        may_limit => full, row_org_name => "某局", limit_reason => "", row_form => row_form(full) },
        "console/apply.html" => {
            context! { row_form => row_form(full), items => vec![context! { item => value(&items[0]), offered => full, ticked => true }] }
        }
        "console/run.html" if full => {
            let row = Quarantined {
                id: "x1".into(),
                run: "n1".into(),
                entry: "e1".into(),
                reject: reject(),
                items: vec!["id".into(), "spaces".into()],
                state: "open".into(),
                at: AT.into(),
            };
            context! { rows => vec![value(row)] }
        }
        "console/applications.html" => {
            let application = context! { id => "a1", name => "便民", description => "d", org => "", key => "k", active => full, created_at => AT };
            context! {
                rows => if full { vec![context! { application, may_manage => true }] } else { vec![] },
                form => context! { name => "n", description => "d", whose => "own" },
            }
        }
        "console/application_sql.html" => {
            let application = context! { id => "a1", name => "便民 <b>", org => "o1", key => "k", active => true };
            let login = context! { application => "a1", made_at => AT, made_by => "li" };
            let table = context! { code => "parking", title => "停车场 <b>", columns => 3, masked => vec!["xm"], row_cap => 1000, until => full.then_some(AT) };
            let ran = context! { id => "s1", at => AT, text => "select '<b>'", tables => "parking", rows => 2, millis => 3, outcome => if full { "ok" } else { "failed" }, state => "" };
            let tables = if full { vec![table] } else { vec![] };
            context! {
                application, may_manage => full, host => if full { "127.0.0.1" } else { "" }, port => "8603",
                sql => context! { user => "k", login => full.then_some(login), keys => i32::from(full) * 2, tables },
                statements => full.then(|| context! { items => vec![ran], next => "s0" }),
                secret => full.then(|| context! { user => "k", password => "p" }),
            }
        }
        "console/application_delta.html" => {
            let application = context! { id => "a1", name => "便民 <b>", org => "o1", key => "k", active => true };
            let token = context! { id => "t1", application => "a1", made_at => AT, made_by => "li", ends_at => AT, used_at => if full { AT } else { "" }, purpose => if full { "年度核查 <b>" } else { "" } };
            let view = context! { id => "v", version => 3, application => "a1", entry => "parking", files => 2, rows => 1000, bytes => 3_000_000, made_at => AT, millis => 5, used_at => 1 };
            let table = context! { schema => "o1", name => "parking", title => "停车场 <b>", columns => 3, masked => vec!["xm"], until => full.then_some(AT), view => full.then_some(view) };
            context! {
                application, may_manage => full, endpoint => "http://api.test/delta-sharing",
                delta => context! {
                    share => "qiantang", tokens => vec![token], works => vec![full], days => 90, days_most => 365, overlap_hours => 24, purpose_most => 200,
                    tables => if full { vec![table] } else { vec![] },
                },
            }
        }
        "console/user.html" => context! {
            account => context! { id => "u1", name => "li", display_name => "李", org => (), roles => vec!["citizen"], active => full,
                created_at => AT, locked_until => full.then_some(AT), one_time_until => full.then_some(AT),
                real_name => full.then(realnames::seen) },
            desk => full, own => !full, given => full.then(|| context! { password => "a-b", until => AT }),
        },
        "console/org.html" => {
            context! { org => context! { id => "o1", name_cn => "某局", name_en => "" } }
        }
        "console/compare.html" => context! { versions => vec![2, 1] },
        "console/review.html" => {
            let row = app::catalogue::Awaiting { entry: entry(), outlook: outlook(full) };
            context! { rows => if full { vec![value(row)] } else { vec![] } }
        }
        "console/entry_form.html" if full => {
            context! { refused => value(entry_step("reject", "pub-reject")), links => "https://data.example/a.csv | CSV | <b>", items => vec![
                context! { i => 0, item => value(&items[0]), mask => "keep-9-9", wrong => full },
            ] }
        }
        "console/sources.html" | "console/source.html" => {
            context! { fine => false, check => full.then(|| context! { server => "PostgreSQL 15", account => "a", findings => vec![context! { level => "bad", zh => "可写", en => "writes", sql => "REVOKE INSERT;" }] }), form => context! {
                name => "n", kind => "mysql", host => "h", port => "3306", database => "d", account => "a", tls => "require",
            } }
        }
        "console/query.html" => context! {
            form => context! { source => "s1", sql => "SELECT 1", mode => "full", operation_column => "" },
            preview => if full { context! {
                columns => vec![("a".to_owned(), Some("id".to_owned())), ("b".to_owned(), None)], items => vec!["id"],
                rows => vec![vec![Some("1"), None]], rejects => vec![value(reject())],
            } } else { Value::from(()) },
        },
        "console/entry.html" => {
            context! { compared => oversight::compared(full), origin => if full { context! { source => "s1", table => "public.t", at => AT } } else { Value::from(()) },
                drift => if full { Value::from("d1") } else { Value::from(()) }, may_basket => full, node => "data:e1", subscribed => full, steps => value(vec![EntryStep {
                entry: "e1".into(), seq: 1, at: AT.into(), actor: "u".into(), actor_name: "李".into(), action: "create".into(),
                from: String::new(), to: "unpublished".into(), reason: String::new(),
            }]) }
        }
        "console/basket.html" | "console/demand.html" | "console/objection.html" => basket(full),
        "console/bundles.html" => {
            let b = bundle();
            context! { kind => (), rows => if full {
                vec![context! { bundle => value(&b), progress => value(b.progress()) }]
            } else { vec![] } }
        }
        "console/bundle.html" => {
            let b = bundle();
            let parts: Vec<Value> = b.parts.iter().map(|p| context! {
                part => value(p), state => p.state(), percent => p.done(), way => p.want.word(), items => p.want.items().len(),
                missing => vec!["函"], wanted => crate::items::named(None, p.want.items()), may_dispute => full, may_amend => full,
            }).collect();
            context! { bundle => value(&b), parts, progress => value(b.progress()), follows => full, may_withdraw => full,
            may_build => full, may_feedback => full, may_attach => full,
            file_rules => context! { most => 10, bytes => 1024, kinds => "pdf", accept => ".pdf" } }
        }
        "console/build.html" => context! {
            id => "b1", name => "申请 <b>", application => context! { name => "便民", key => "k" },
            resources => vec![context! { code => "parking", title => "停车场 <b>", calls_per_day => 100,
                expires_at => if full { Some(AT) } else { None }, endpoint => "http://gate/api/v1/parking",
                columns => vec![context! { identifier => "id", name => "编号", data_type => "text", grade => "L1", mask => if full { Some("keep(1,0)") } else { None } }],
                rows => vec![vec![Value::from("停车场 <b>")], vec![Value::from(())]],
                samples => vec![context! { id => "curl", name => "curl", file => "call.sh", run => "bash call.sh", text => "<b>" }] }],
        },
        "console/desk.html" => {
            context! { ..voice::at_desk(full), ..context! { drifts => if full { 2 } else { 0 }, tasks => if full { vec![context! {
            approval => approval_row(), step_zh => "单", step_en => "one", overdue => true }] } else { vec![] } } }
        }
        "console/approvals.html" => context! {
            view => if full { "tasks" } else { "all" }, phase => (),
            tasks => vec![context! {
                approval => approval_row(), step => "one", step_zh => "单", step_en => "one", seat => 0, lent => full,
                overdue => full, covered => full, in_place_of => "李",
            }],
            approvals => vec![approval_row()],
        },
        "console/approval.html" => approval(full),
        "console/leave.html" => context! { leaves => if full { vec![context! {
        id => "l1", from_day => "2026-03-01", to_day => "2026-03-02", reason => "年休", ended_at => () }] } else { vec![] } },
        "console/flows.html" => context! { may_publish => full, flows => vec![context! {
        id => "share", version => 1, name => "共享", effective => "2026-01-01", basis => "依据", in_force => full,
        published_by => "", published_at => "", steps => 9 }] },
        "console/flow.html" => flow_page(full),
        other => ledgers::of(other, full)
            .or_else(|| channels::of(other, full))
            .or_else(|| dispatch::of(other, full))
            .or_else(|| rails::of(other, full))
            .or_else(|| exchanges::of(other, full))
            .or_else(|| pipelines::of(other, full))
            .or_else(|| reports::of(other, full))
            .or_else(|| outflows::of(other, full))
            .or_else(|| deliveries::of(other, full))
            .or_else(|| interfaces::of(other, full))
            .or_else(|| harvests::of(other, full))
            .or_else(|| projects::of(other, full))
            .or_else(|| sandboxes::of(other, full))
            .or_else(|| bounds::of(other, full))
            .or_else(|| oversight::of(other, full))
            .or_else(|| usage::of(other, full))
            .or_else(|| site::of(other, full))
            .or_else(|| voice::of(other, full))
            .or_else(|| restricted::of(other, full))
            .or_else(|| realnames::of(other, full))
            .unwrap_or_else(|| context! {}),
    }
}

#[test]
fn every_template_renders_in_both_languages() {
    let names = Arc::new(Names::default());
    let pages = Pages::new(&names);
    let mut seen = 0;
    for lang in [Lang::Zh, Lang::En] {
        let mut env = pages.of(lang).clone();
        env.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        for name in names_of_templates() {
            // Parts are rendered with the pages that use them.
            if name.contains("/_")
                || name.starts_with('_')
                || matches!(name.as_str(), "layout.html" | "console.html")
            {
                continue;
            }
            // The console is seen by signed-in people only.
            let inside = name.starts_with("console/")
                || (name.starts_with("account/") && name != "account/login.html");
            for full in [true, false] {
                let context =
                    context! { ..own(&name, full), ..things(full), ..every(full || inside, lang) };
                let template = env.get_template(&name).unwrap_or_else(|e| panic!("{name}: {e:#}"));
                let text =
                    template.render(context).unwrap_or_else(|e| panic!("{name} ({full}): {e:#}"));
                assert!(!text.contains("<script>"), "{name}: a value was not escaped");
                assert!(
                    !text.contains(" style=\""),
                    "{name}: inline style is blocked by the policy"
                );
                assert!(!text.contains("停车场 <b>"), "{name}: a value was not escaped");
                if text.contains("method=\"post\"") {
                    let forms = text.matches("method=\"post\"").count();
                    assert_eq!(
                        text.matches("name=\"csrf\"").count(),
                        forms,
                        "{name}: a form without its token"
                    );
                }
                seen += 1;
            }
        }
    }
    assert!(seen > 100, "{seen} renderings");
}

#[test]
fn the_english_pages_hold_no_chinese_of_ours() {
    // Each `t('中文', 'English')` has both halves, in this order.
    for name in names_of_templates() {
        let text = crate::view::source(&name).unwrap_or_default();
        for call in text.split("t(").skip(1) {
            let Some(quote) = call.chars().next().filter(|c| "\"'".contains(*c)) else { continue };
            let mut parts = call.split(quote).skip(1);
            let (zh, _, en) =
                (parts.next().unwrap_or(""), parts.next(), parts.next().unwrap_or(""));
            let chinese = |s: &str| s.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
            if chinese(zh) {
                assert!(!chinese(en), "{name}: `{zh}` has no English");
            }
        }
    }
}
