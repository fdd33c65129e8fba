//! A basket in the demo: one form for four ledgers whose owners decide differently, so that the progress line, the
//! drawing and the inboxes have something to show. Every step goes through the rooms, by the person who may do it.

use app::App;
use app::approval::{self, Act};
use app::basket::{self, BundleFilter, DemandNew, PartNew};
use app::sharing;
use model::asset::Ledger;
use model::basket::{AssetRef, Form, Want};
use model::code::ShareType;
use model::entry::{Entry, EntryFilter};
use model::request::{Period, RequestFilter};
use model::{Op, Result};

use crate::seed::op_of;

/// Codes of what the demo's basket asks for beside data.
const SSO: &str = "DEMO-SSO";
const ECS: &str = "DEMO-ECS";

/// Files the demo's basket and demand as `consumer` for the application `team`, once.
pub(crate) async fn basket(app: &App, application: &str, owner: &str) -> Result<()> {
    let consumer = op_of(app, "consumer").await?;
    let one = BundleFilter { limit: 1, ..BundleFilter::default() };
    if !basket::bundles(app, &consumer, &one).await?.items.is_empty() {
        return Ok(());
    }
    let mut parts = Vec::new();
    for share in [ShareType::Unconditional, ShareType::Restricted] {
        if let Some(entry) = free(app, &consumer, application, share).await? {
            parts.push(data(&entry, share));
        }
    }
    assets(app).await?;
    let asset = |ledger, id: &str| AssetRef {
        ledger,
        id: id.into(),
        title: String::new(),
        org: String::new(),
    };
    parts.push(PartNew {
        asset: asset(Ledger::Component, SSO),
        want: Want::Use { calls_per_day: 20_000, detail: "群众登录".into() },
    });
    parts.push(PartNew {
        asset: asset(Ledger::Cloud, ECS),
        want: Want::Cloud { vcpu: 16, memory_gb: 64, disk_gb: 500, detail: "生产环境".into() },
    });
    let bundle = basket::file_share(app, &consumer, form(application), parts).await?;
    // One is refused, one goes on to its implementation; the data wait for the authority.
    for part in &bundle.parts {
        let deed = match part.asset.ledger {
            Ledger::Component => Act::Decide { approve: false, reason: "not_ready".into() },
            Ledger::Cloud => Act::Decide { approve: true, reason: String::new() },
            _ => continue,
        };
        let op = op_of(app, crate::demo::orgs::reviewer_of(owner)).await?;
        approval::act(app, &op, &part.approval, "confirm", 0, deed, "统一用户正在升级").await?;
    }
    let demand = DemandNew {
        form: Form { name: "学籍核验".into(), ..form("") },
        title: "在校生学籍信息".into(),
        need: "verify_api".into(),
        detail: "办理学生证明时核验学籍，目录中尚无此数据".into(),
        fields: "姓名、学号、学校、在籍状态".into(),
        org: String::new(),
    };
    basket::file_demand(app, &consumer, demand).await?;
    Ok(())
}

/// The component and the cloud resource that the demo's basket asks for stand in the ledgers.
async fn assets(app: &App) -> Result<()> {
    let provider = op_of(app, "provider").await?;
    let row = |code: &str, name: &str, state: &str, own: &[(&str, &str)]| {
        let common = [
            ("code", code),
            ("name", name),
            ("state", state),
            ("region", "330000"),
            ("owner", "王用"),
        ];
        common.iter().chain(own).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    };
    let sso = [
        ("kind", "身份认证"),
        ("version", "2.1"),
        ("provider", "省市场监管局"),
        ("call", "REST"),
        ("sla", "99.9%"),
    ];
    let ecs = [
        ("kind", "云服务器"),
        ("zone", "政务外网区"),
        ("vcpu", "16"),
        ("memory_gb", "64"),
        ("disk_gb", "500"),
        ("expiry", "2027-12-31"),
    ];
    for (ledger, row) in [
        (Ledger::Component, row(SSO, "统一用户组件（演示）", "listed", &sso)),
        (Ledger::Cloud, row(ECS, "政务云主机（演示）", "running", &ecs)),
    ] {
        app::ledger::intake(app, &provider, ledger, vec![row], false).await?;
    }
    Ok(())
}

fn form(application: &str) -> Form {
    Form {
        name: "出生一件事".into(),
        area: "government".into(),
        apply_type: "service".into(),
        finish_date: String::new(),
        scene: "办理出生一件事时免填申请人信息".into(),
        matters: "出生登记、医保参保".into(),
        business_usage: "核验与预填".into(),
        expect_effect: "少填 12 个字段，少交 3 份材料".into(),
        legal_basis: "本事项的职责依据".into(),
        letter: String::new(),
        contact: "王用".into(),
        phone: "0571-00000000".into(),
        vendor: String::new(),
        application: application.into(),
        period: Period::Days { days: 180 },
    }
}

fn data(entry: &Entry, share: ShareType) -> PartNew {
    let wanted = entry.draft.items.iter().filter(|i| i.share_type == share).take(4);
    PartNew {
        asset: AssetRef {
            ledger: Ledger::Data,
            id: entry.id.clone(),
            title: entry.draft.title.clone(),
            org: entry.draft.org.clone(),
        },
        want: Want::Api {
            items: wanted.map(|i| i.identifier.clone()).collect(),
            calls_per_day: 5000,
            area_range: String::new(),
        },
    }
}

/// The first live entry of this kind that the application has not applied for.
async fn free(app: &App, op: &Op, application: &str, share: ShareType) -> Result<Option<Entry>> {
    let mine = RequestFilter {
        application: Some(application.to_owned()),
        limit: 999,
        ..RequestFilter::default()
    };
    let asked = sharing::list(app, op, &mine).await?.items;
    let mut filter = EntryFilter { limit: 200, ..EntryFilter::default() };
    loop {
        let page = app::catalogue::list(app, op, &filter).await?;
        let found = page.items.into_iter().find(|e| {
            e.live()
                && e.draft.share_type == share
                && Some(e.draft.org.as_str()) != op.actor.org()
                && e.draft.items.iter().any(|i| i.share_type == share)
                && !asked.iter().any(|r| r.entry == e.id)
        });
        match (found, page.next) {
            (Some(entry), _) => return Ok(Some(entry)),
            (None, Some(next)) => filter.after = Some(next),
            (None, None) => return Ok(None),
        }
    }
}
