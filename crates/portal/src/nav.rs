//! The site's main navigation, and the console's side bar: what the caller may use, grouped along the chain
//! 编目 → 归集 → 共享 → 监管.

use app::opening::City;
use app::{Action, Target};
use minijinja::context;
use minijinja::value::Value;

use crate::Door;
use crate::view::staff;
use crate::visit::Visit;

/// A link: address, Chinese and English name, whether the caller may use it.
type Link = (&'static str, &'static str, &'static str, bool);

/// Pages of the open site, in the order they are shown: address, Chinese and English name.
const SITE: [(&str, &str, &str); 10] = [
    ("/", "首页", "Home"),
    ("/data", "开放数据", "Open data"),
    ("/apis", "接口服务", "Interfaces"),
    ("/showcase", "应用成果", "Showcase"),
    ("/maps", "地图服务", "Maps"),
    ("/developer", "开发者中心", "Developers"),
    ("/index", "开放指数", "Open index"),
    ("/interact", "互动交流", "Have a say"),
    ("/policies", "政策动态", "Policies"),
    ("/contests", "开放大赛", "Contests"),
];

/// Pages of the open site that its navigation does not name.
const BESIDE: [&str; 6] = ["/search", "/plans", "/restricted", "/agreements", "/about", "/help"];

/// Whether a page is one of the open site's or below one; the home, the console and accounts are not.
pub(crate) fn on_site(here: &str) -> bool {
    let named = SITE.iter().map(|(href, _, _)| *href).filter(|href| *href != "/");
    named.chain(BESIDE).any(|href| is_at(here, href))
}

/// Where a link of the site's navigation leads on a city's site: to the city's home, its news, its part of a list.
fn within(city: &City, href: &str) -> String {
    match href {
        "/" => format!("/city/{}", city.slug),
        "/policies" => format!("/policies?city={}", city.slug),
        href => format!("{href}?region={}", city.region),
    }
}

/// Links of the site's main navigation; pages below one count as it. On a city's site they stay in it.
pub(crate) fn site_nav(visit: &Visit, city: Option<&City>) -> Vec<Value> {
    let here = visit.uri.path();
    SITE.iter()
        .map(|(href, zh, en)| {
            let current = match *href {
                "/" => here == "/" || here.starts_with("/city/"),
                href => is_at(here, href) || (href == "/developer" && here.starts_with("/help/")),
            };
            let target = city.map_or_else(|| (*href).to_owned(), |city| within(city, href));
            let exact = target.split('?').next() == Some(here);
            context! { href => target, name => visit.t(zh, en), current, exact }
        })
        .collect()
}

impl Door {
    /// Groups of links of the console; a group without any is left out.
    pub(crate) fn nav(&self, visit: &Visit) -> Vec<Value> {
        let Some(session) = &visit.session else { return Vec::new() };
        let op = &visit.op;
        let org = session.user.org.clone().unwrap_or_default();
        // Nobody in particular made the thing: whoever made something may not review it.
        let may = |action: Action, kind: &'static str| {
            let own = Target {
                kind,
                org: Some(org.clone()),
                applicant_org: Some(org.clone()),
                ..Target::default()
            };
            self.app.may(op, action, &own)
        };
        let staff = staff(op);
        let collects = may(Action::DataCollect, "Entry");
        let files = app::basket::may_file(&self.app, op);
        let control = may(Action::ControlRead, "System");
        let applications = may(Action::ApplicationRead, "Application")
            || may(Action::ApplicationManage, "Application")
            || app::account::may_register(&self.app, op, "");
        let groups: [(&str, &str, Vec<Link>); 6] = [
            (
                "",
                "",
                vec![
                    ("/console", "工作台", "Workbench", true),
                    ("/console/notices", "消息", "Notices", true),
                    ("/account/authorisations", "我的授权", "My authorisations", !staff),
                    ("/account/realname", "实名认证", "Real name", !staff),
                    ("/console/search", "一站式搜索", "Search", staff),
                ],
            ),
            (
                "编目",
                "Catalogue",
                vec![
                    ("/console/ledger", "一本账", "Ledgers", staff),
                    ("/console/entries", "数据目录", "Catalogue", staff),
                    (
                        "/console/review",
                        "目录审核",
                        "Catalogue review",
                        may(Action::EntryReview, "Entry"),
                    ),
                    (
                        "/console/findings",
                        "编目规范检查",
                        "Findings",
                        may(Action::EntryImport, "Entry"),
                    ),
                    (
                        "/console/drifts",
                        "库表结构变动",
                        "Schema drift",
                        may(Action::EntryCompile, "Entry"),
                    ),
                    (
                        "/console/plans",
                        "开放计划",
                        "Opening plans",
                        app::opening::has_desk(&self.app, op),
                    ),
                    ("/console/import", "批量导入", "Import", may(Action::EntryImport, "Entry")),
                    (
                        "/console/proposals",
                        "应用查重",
                        "Proposals",
                        may(Action::ProposalRead, "Proposal"),
                    ),
                ],
            ),
            (
                "归集",
                "Collection",
                vec![
                    ("/console/channels", "通道一张图", "Map of channels", collects || control),
                    ("/console/rails", "数据高铁", "Real-time rails", collects),
                    ("/console/pipelines", "数据管道", "Pipelines", collects),
                    ("/console/exchanges", "数据交换", "Exchanges", collects),
                    ("/console/reports", "信息报送", "Reports", may(Action::ReportFill, "Report")),
                    (
                        "/console/report-plans",
                        "报送下发",
                        "Issue reports",
                        may(Action::ReportDesign, "Report"),
                    ),
                    (
                        "/console/outflows",
                        "数据回流",
                        "Return flow",
                        may(Action::OutflowRead, "Outflow"),
                    ),
                    (
                        "/console/harvests",
                        "目录采集",
                        "Harvest",
                        app::harvest::may_keep(&self.app, op),
                    ),
                    (
                        "/console/sources",
                        "数据源",
                        "Data sources",
                        collects || may(Action::OutflowKeep, "Outflow"),
                    ),
                    ("/console/runs", "归集任务", "Collection runs", may(Action::RunRead, "Entry")),
                    (
                        "/console/quarantine",
                        "隔离区",
                        "Quarantine",
                        may(Action::QuarantineRead, "Entry"),
                    ),
                ],
            ),
            (
                "共享",
                "Sharing",
                vec![
                    ("/console/basket", "申请篮", "Basket", files),
                    (
                        "/console/bundles",
                        "一揽子申请",
                        "My applications",
                        files || may(Action::FlowPublish, "Flow"),
                    ),
                    ("/console/requests", "共享申请", "Share applications", true),
                    (
                        "/restricted",
                        "受限开放申请",
                        "Restricted-open data",
                        app::restricted::may_file(&self.app, op),
                    ),
                    (
                        "/console/restricted",
                        "受限开放",
                        "Restricted opening",
                        app::restricted::has_desk(&self.app, op),
                    ),
                    ("/console/approvals", "审批", "Approvals", staff),
                    ("/console/interfaces", "接口", "Interfaces", true),
                    ("/console/flows", "审批流程", "Flows", staff),
                    ("/console/applications", "应用管理", "Applications", applications),
                    ("/console/projects", "批量共享项目", "Batch projects", staff),
                    ("/console/sandboxes", "数据沙箱", "Data sandboxes", staff || applications),
                    (
                        "/console/releases",
                        "发布台",
                        "Release desk",
                        app::project::sandbox::has_desk(&self.app, op),
                    ),
                    (
                        "/console/deliveries",
                        "推送任务",
                        "Deliveries",
                        may(Action::DeliveryRead, "Delivery"),
                    ),
                ],
            ),
            (
                "监管",
                "Supervision",
                vec![
                    ("/console/control", "管控", "Control", control),
                    ("/console/dispatch", "调度", "Dispatch", may(Action::DispatchRead, "Quota")),
                    ("/console/usage", "用量", "Use", may(Action::DispatchRead, "Quota")),
                    (
                        "/console/halts",
                        "紧急停用",
                        "Emergency stops",
                        app::halt::may_read(&self.app, op),
                    ),
                    (
                        "/console/credit",
                        "信用记录",
                        "Credit record",
                        app::restricted::may_read_credit(&self.app, op),
                    ),
                    (
                        "/console/realnames",
                        "实名认证审核",
                        "Real-name review",
                        app::realname::has_desk(&self.app, op),
                    ),
                    (
                        "/console/policies",
                        "政策动态",
                        "Policies and news",
                        app::news::may_write(&self.app, op),
                    ),
                    (
                        "/console/contests",
                        "开放大赛",
                        "Contests",
                        app::contest::may_keep(&self.app, op),
                    ),
                    ("/console/audit", "审计", "Audit", may(Action::AuditRead, "Audit")),
                    (
                        "/console/convention",
                        "旧版调用方式",
                        "Older convention",
                        may(Action::ConventionSet, "System"),
                    ),
                    (
                        "/console/security",
                        "安全规则",
                        "Security rules",
                        may(Action::SecurityManage, "System"),
                    ),
                ],
            ),
            (
                "系统",
                "System",
                vec![
                    ("/console/users", "账号", "Accounts", may(Action::UserRead, "User")),
                    ("/console/orgs", "机构", "Organisations", may(Action::OrgManage, "Org")),
                    (
                        "/console/system",
                        "系统状况",
                        "System state",
                        may(Action::SystemRead, "System"),
                    ),
                ],
            ),
        ];
        let here = visit.uri.path();
        let group = |(zh, en, links): (&str, &str, Vec<Link>)| {
            let links: Vec<Value> = links
                .into_iter()
                .filter(|(_, _, _, shown)| *shown)
                .map(|(href, zh, en, _)| {
                    let current = is_at(here, href);
                    context! { href, name => visit.t(zh, en), current }
                })
                .collect();
            (!links.is_empty()).then(|| context! { name => visit.t(zh, en), links })
        };
        groups.into_iter().filter_map(group).collect()
    }
}

/// Whether a page is a link's, or one below it.
fn is_at(here: &str, href: &str) -> bool {
    here == href
        || (href != "/console" && here.strip_prefix(href).is_some_and(|rest| rest.starts_with('/')))
}
