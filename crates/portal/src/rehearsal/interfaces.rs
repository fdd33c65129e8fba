//! Made-up interfaces for their pages.

use app::interface::InterfaceView;
use app::project::sandbox::Origin;
use minijinja::{Value, context};
use model::interface::{Interface, InterfaceDraft, InterfaceQuota, InterfaceState};

use super::AT;
use crate::view::value;

const TEXT: &str = "title = \"按编号查询 <b>\"\nkind = \"query\"\nentry = \"parking\"\n[[param]]\nname = \"id\"\nitem = \"id\"\nrequired = true\n";

fn view(full: bool) -> InterfaceView {
    let draft = InterfaceDraft::read(TEXT).unwrap();
    InterfaceView {
        interface: Interface {
            id: "i1".into(),
            code: "0123456789abcdef".into(),
            version: 2,
            state: if full { InterfaceState::Published } else { InterfaceState::Draft },
            share: if full { 10 } else { 100 },
            org: "o1".into(),
            region: "330100".into(),
            entry: "e1".into(),
            until: if full { "2026-12-01".into() } else { String::new() },
            deprecated_at: if full { AT.into() } else { String::new() },
            quota: InterfaceQuota {
                per_day: full.then_some(10_000),
                application_per_day: full.then_some(100),
                per_second: full.then_some(20),
                burst: full.then_some(50),
            },
            created_by: "u1".into(),
            created_at: AT.into(),
            updated_at: AT.into(),
            text: TEXT.into(),
            draft,
        },
        entry_title: "停车场 <b>".into(),
        entry_title_en: String::new(),
        released: full.then(|| Origin { project: "p1".into(), release: "x2".into() }),
        keeps: full,
    }
}

/// What a page of interfaces shows; `None` for other pages.
pub(super) fn of(template: &str, full: bool) -> Option<Value> {
    let view = view(full);
    let described = context! {
        name => "id", item => "id", title => "编号 <b>", data_type => full.then_some("text"),
        grade => full.then_some("L1"), how => "equal", required => full, default => (), note => "",
    };
    Some(match template {
        "console/interfaces.html" => context! {
            interfaces => if full { vec![value(&view)] } else { vec![] }, keeps => full, mine => full, q => "停",
        },
        "console/interface_form.html" => context! {
            kinds => vec![context! { value => "query", name => "查询" }], kind => "query", entry => "parking",
            text => full.then_some(TEXT), rows => 12, old => full.then(|| value(&view.interface)),
        },
        "console/interface.html" => context! {
            row => value(&view), versions => vec![value(&view.interface)],
            moves => vec![
                context! { word => "published", name => "已发布" }, context! { word => "deprecated", name => "待停用" },
                context! { word => "offline", name => "已下线" },
            ],
            params => if full { vec![context! { p => described.clone(), given => full.then_some("<b>") }] } else { vec![] },
            errors => vec![context! { code => "no_grant", status => 403, message => "无", help => "申请" }],
            doc => context! {
                returns => if full { vec![described] } else { vec![] },
                resources => vec![context! { entry => if full { "e1" } else { "" }, code => "parking", title => "停车场 <b>" }],
            },
            halted_resources => if full { vec![context! { title => "停车场 <b>", code => "parking", at => AT }] } else { vec![] },
            older => full.then_some("http://gate/gateway/api/330100/dataSharing/0123456789abcdef.htm"),
            endpoint => "http://gate/api/interface/0123456789abcdef",
            samples => vec![context! { id => "curl", name => "curl", run => "bash call.sh", text => "<b>" }],
            applications => if full { vec![context! { id => "a1", name => "应用 <b>" }] } else { vec![] },
            paged => full, limit => full.then_some("5"), after => full.then_some("<b>"),
            application => full.then_some("a1"), answer => full.then_some("{\"rows\": \"<b>\"}"),
            called => 12, quota => context! { per_day => "10000", application_per_day => "", per_second => "20", burst => "" },
            quota_error => full.then_some("有误"), quota_fields => Vec::<Value>::new(), upstream => (), published => full, deprecated => full, editable => !full, callable => full,
        },
        "console/convention.html" => context! {
            c => context! { on => full, decided => if full { "on" } else { "" }, configured => !full, applications => 3 },
            gateway => "http://gate", hours => 48, minutes => 15, window => 900, most => 200,
        },
        _ => return None,
    })
}
