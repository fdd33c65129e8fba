//! Made-up forms, approvals and flows for the pages of the basket.

use minijinja::{Value, context};
use model::asset::Ledger;
use model::basket::{AssetRef, Bundle, BundleKind, Feedback, Form, Part, Push, Want};
use model::code::SyncMode;
use model::flow::Phase;
use model::parcel::{Run, RunState};
use model::request::Period;

use super::{AT, entry};
use crate::view::value;
use crate::visit::Lang;

pub(super) fn bundle() -> Bundle {
    let part = |n: u32, ledger, want: Want, phase| Part {
        id: format!("p{n}"),
        bundle: "b1".into(),
        n,
        asset: AssetRef {
            ledger, id: "e1".into(), title: "停车场 <b>".into(), org: "o1".into()
        },
        want,
        approval: "a1".into(),
        flow: "share".into(),
        phase,
        stage: None,
        due: String::new(),
        updated_at: AT.into(),
    };
    Bundle {
        id: "b1".into(),
        kind: BundleKind::Share,
        form: Form {
            name: "申请 <b>".into(),
            area: "government".into(),
            apply_type: "service".into(),
            finish_date: String::new(),
            scene: "核验".into(),
            matters: "登记".into(),
            business_usage: "用".into(),
            expect_effect: "效".into(),
            legal_basis: "职责".into(),
            letter: "函".into(),
            contact: "李".into(),
            phone: "1".into(),
            vendor: "厂".into(),
            application: "a1".into(),
            period: Period::Long,
        },
        org: "o1".into(),
        applicant: "u1".into(),
        applicant_name: "李".into(),
        created_at: AT.into(),
        feedback: Some(Feedback {
            effect: "好".into(),
            score: 5,
            solved: true,
            at: AT.into(),
            by: "李".into(),
        }),
        files: vec![model::basket::Attachment {
            id: "f1".into(),
            bundle: Some("b1".into()),
            owner: "u1".into(),
            owner_name: "李".into(),
            name: "申请函 <b>.pdf".into(),
            media: "application/pdf".into(),
            bytes: 2048,
            checksum: "ab".into(),
            at: AT.into(),
        }],
        parts: vec![
            part(
                1,
                Ledger::Data,
                Want::Api { items: vec!["id".into()], calls_per_day: 1, area_range: String::new() },
                Phase::Returned,
            ),
            part(
                2,
                Ledger::Data,
                Want::Batch {
                    items: vec!["id".into()],
                    push: Push::Full,
                    frequency: "daily".into(),
                    destination: "t".into(),
                    area_range: String::new(),
                    time_range: String::new(),
                },
                Phase::Refused,
            ),
            part(
                3,
                Ledger::Cloud,
                Want::Cloud { vcpu: 1, memory_gb: 2, disk_gb: 3, detail: "云".into() },
                Phase::Approved,
            ),
        ],
    }
}

pub(super) fn approval_row() -> Value {
    context! { id => "a1", title => "停车场 <b>", org => "o1", applicant_org => "o1", phase => "running", stage => "analysing",
    due => "2026-03-01", created_at => AT }
}

fn drawing() -> Value {
    let flow =
        app::approval::check_text(include_str!("../../../app/rules/flows/share_1.toml")).unwrap();
    value(crate::console::drawn(&flow, Lang::Zh))
}

pub(super) fn basket(full: bool) -> Value {
    let entry = entry();
    let line = |ledger: &str| {
        context! {
            n => 0, asset => context! { ledger, id => "e1", title => "停车场 <b>", org => "o1" },
            items => vec![context! { item => value(&entry.draft.items[0]), offered => full, ticked => true }], gone => full, on => true, open => full,
            way => "api", calls => "1", area_range => "", push => "full", frequency => "daily", destination => "", time_range => "",
            detail => "", vcpu => "0", memory_gb => "0", disk_gb => "0",
        }
    };
    let word = |points: Vec<Value>| context! { value => "use", name => "使用异议", points };
    let lines = if full { vec![line("data"), line("cloud"), line("component")] } else { vec![] };
    context! {
        lines, owners => 1, areas => vec![word(vec![])], apply_types => vec![word(vec![])], needs => vec![word(vec![])],
        objections => vec![word(vec![word(vec![])])], ledger => "data", id => "e1", title => "", owner => "",
        files => if full { vec![context! { id => "f1", name => "申请函 <b>.pdf", bytes => 2048 }] } else { vec![] },
        file_rules => context! { most => 10, bytes => 1024, kinds => "pdf", accept => ".pdf" },
        form => context! { name => "", area => "", apply_type => "", finish_date => "", scene => "", matters => "",
            business_usage => "", expect_effect => "", legal_basis => "", letter => "", contact => "", phone => "", vendor => "",
            application => "", period => "90", until => "", title => "", need => "", detail => "", wanted => "", org => "",
            about => "", point => "" },
    }
}

pub(super) fn approval(full: bool) -> Value {
    let b = bundle();
    let seat = |voice: bool| {
        context! {
            who => context! { role => "reviewer", org => "o1", person => voice }, active => !voice, added => true, escalated => true, covered => true,
            lent => true, voice => if voice { context! { approve => true, by_name => "李" } } else { Value::from(()) },
        }
    };
    context! {
        id => "a1", flow => context! { id => "share", version => 1, name => "共享" },
        state => context! { title => "停车场 <b>", phase => "running", urged => 1, missing => if full { vec!["函"] } else { vec![] } },
        due => "2026-03-01", reasons => vec![context! { value => "law", name => "法", proof => true }],
        earlier => vec![context! { value => "one", name => "单" }],
        open => vec![context! { step => "one", name => "单", how => "any", due => "2026-03-01", seats => vec![seat(true), seat(false)] }],
        mine => vec![context! { step => "one", seat => 0, lent => !full, name => "单", may_return => full }],
        history => vec![context! { kind => "approve", at => AT, by => "李", words => "同意 <b>", quiet => false, seq => 1, in_place_of => full, step => "单" }],
        bundle => if full { value(&b) } else { Value::from(()) }, part => if full { value(&b.parts[2]) } else { Value::from(()) },
        wanted => if full { vec![context! { identifier => "xm", item => () }] } else { vec![] },
        advice => if full { context! { approved => 1, refused => 0, approve => true, precedents => vec![context! {
            at => AT, applicant_org => "o1", title => "t", way => "api", phase => "approved", answers => vec![vec!["李"]] }] } } else { Value::from(()) },
        others => if full { vec![approval_row()] } else { vec![] }, follows => full, may_urge => full, may_withdraw => full, may_take_back => full,
        drawing => drawing(),
    }
}

pub(super) fn flow_page(full: bool) -> Value {
    let flow = context! {
        id => "share", version => 1, name => "共享", basis => "依据", effective => "2026-01-01", phase => "approved",
        attributes => vec![
            context! { id => "f", name => "旗", kind => "flag", choices => Vec::<String>::new(), given => "", ticked => true },
            context! { id => "n", name => "数", kind => "number", choices => Vec::<String>::new(), given => "1", ticked => false },
            context! { id => "w", name => "词", kind => "text", choices => vec!["api"], given => "api", ticked => false },
        ],
        reviews => vec![context! { id => "one", name => "单", ticked => true }],
        stops => vec![context! { name => "单", kind => "review", due => "2026-03-01", approve => true, to => "", seats => vec![
            context! { role => "reviewer", place => "owner", user => () }] }],
        drawing => drawing(),
    };
    context! { flow => if full { flow } else { Value::from(()) }, text => "id = \"<b>\"", may_publish => full,
    kept => if full { context! { in_force => true } } else { Value::from(()) } }
}

pub(super) fn run(state: RunState) -> Run {
    Run {
        id: "n1".into(),
        entry: "e1".into(),
        entry_title: "停车场".into(),
        state,
        mode: SyncMode::Full,
        channel: "file".into(),
        source: "a.csv".into(),
        parcel: Some("p".into()),
        checksum: "c".into(),
        read: 10,
        accepted: 9,
        quarantined: 1,
        bytes_done: 5,
        bytes_total: 10,
        version: None,
        message_zh: "说明".into(),
        message_en: "note".into(),
        started_at: AT.into(),
        finished_at: None,
        actor: "u1".into(),
    }
}
