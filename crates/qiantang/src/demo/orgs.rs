//! The organisations and the people of the demo, and their applications.

use model::account::{ApplicationNew, Role, UserNew};
use model::org::{Org, OrgKind};

use super::subject::credit_code;

pub(crate) const AUTHORITY: &str = "sdsj";
pub(crate) const MARKET: &str = "sscjg";
pub(crate) const ECOLOGY: &str = "ssthj";
pub(crate) const POLICE: &str = "sga";
pub(crate) const LAND: &str = "szrzy";
pub(crate) const TRAFFIC: &str = "sjtys";
pub(crate) const CREDIT: &str = "sxyzx";
pub(crate) const SERVICE: &str = "szwfw";
pub(crate) const LABOUR: &str = "srst";
pub(crate) const EDUCATION: &str = "sjyt";
pub(crate) const HEALTH: &str = "swjw";
pub(crate) const CIVIL: &str = "smzt";
pub(crate) const CULTURE: &str = "swlt";
pub(crate) const WEATHER: &str = "sqxj";
pub(crate) const CITY: &str = "hzsj";
pub(crate) const COUNTY: &str = "yhsj";
pub(crate) const TEAM: &str = "bmyy";
pub(crate) const ENTERPRISE: &str = "cskj";
pub(crate) const OPERATOR: &str = "sqyy";
pub(crate) const WATERWORKS: &str = "hzsw";
/// Works in a data sandbox.
pub(crate) const ANALYST: &str = "szfx";
/// Has broken the rules of use.
pub(crate) const DEBTOR: &str = "xxfw";

/// id, Chinese name, English name, kind, head of the credit code, region, parent, authority, serial number.
type Line = (
    &'static str,
    &'static str,
    &'static str,
    OrgKind,
    &'static str,
    &'static str,
    &'static str,
    bool,
    u64,
);

const ORGS: [Line; 22] = {
    use OrgKind::{AuthorisedOrg, Enterprise, NationalStationed, StateOrgan, UtilityOperator};
    [
        (
            AUTHORITY,
            "浙江省大数据发展管理局（演示）",
            "Provincial Big Data Bureau (demo)",
            StateOrgan,
            "11",
            "330000",
            "",
            true,
            900_001,
        ),
        (
            MARKET,
            "浙江省市场监督管理局（演示）",
            "Provincial Market Regulation Bureau (demo)",
            StateOrgan,
            "11",
            "330000",
            AUTHORITY,
            false,
            900_002,
        ),
        (
            ECOLOGY,
            "浙江省生态环境厅（演示）",
            "Provincial Ecology Department (demo)",
            StateOrgan,
            "11",
            "330000",
            AUTHORITY,
            false,
            900_003,
        ),
        (
            POLICE,
            "浙江省公安厅（演示）",
            "Provincial Public Security Department (demo)",
            StateOrgan,
            "11",
            "330000",
            AUTHORITY,
            false,
            900_004,
        ),
        (
            LAND,
            "浙江省自然资源厅（演示）",
            "Provincial Natural Resources Department (demo)",
            StateOrgan,
            "11",
            "330000",
            AUTHORITY,
            false,
            900_005,
        ),
        (
            TRAFFIC,
            "浙江省交通运输厅（演示）",
            "Provincial Transport Department (demo)",
            StateOrgan,
            "11",
            "330000",
            AUTHORITY,
            false,
            900_006,
        ),
        (
            CREDIT,
            "浙江省信用中心（演示）",
            "Provincial Credit Centre (demo)",
            AuthorisedOrg,
            "12",
            "330000",
            AUTHORITY,
            false,
            900_007,
        ),
        (
            SERVICE,
            "浙江省政务服务中心（演示）",
            "Provincial Government Service Centre (demo)",
            AuthorisedOrg,
            "12",
            "330000",
            AUTHORITY,
            false,
            900_008,
        ),
        (
            LABOUR,
            "浙江省人力资源和社会保障厅（演示）",
            "Provincial Human Resources Department (demo)",
            StateOrgan,
            "11",
            "330000",
            AUTHORITY,
            false,
            900_009,
        ),
        (
            EDUCATION,
            "浙江省教育厅（演示）",
            "Provincial Education Department (demo)",
            StateOrgan,
            "11",
            "330000",
            AUTHORITY,
            false,
            900_010,
        ),
        (
            HEALTH,
            "浙江省卫生健康委员会（演示）",
            "Provincial Health Commission (demo)",
            StateOrgan,
            "11",
            "330000",
            AUTHORITY,
            false,
            900_011,
        ),
        (
            CIVIL,
            "浙江省民政厅（演示）",
            "Provincial Civil Affairs Department (demo)",
            StateOrgan,
            "11",
            "330000",
            AUTHORITY,
            false,
            900_012,
        ),
        (
            CULTURE,
            "浙江省文化广电和旅游厅（演示）",
            "Provincial Culture and Tourism Department (demo)",
            StateOrgan,
            "11",
            "330000",
            AUTHORITY,
            false,
            900_013,
        ),
        (
            WEATHER,
            "浙江省气象局（演示）",
            "Provincial Meteorological Bureau (demo)",
            NationalStationed,
            "12",
            "330000",
            "",
            false,
            900_014,
        ),
        (
            CITY,
            "杭州市数据资源管理局（演示）",
            "Hangzhou Data Bureau (demo)",
            StateOrgan,
            "11",
            "330100",
            AUTHORITY,
            true,
            900_015,
        ),
        (
            COUNTY,
            "杭州市余杭区数据局（演示）",
            "Yuhang District Data Bureau (demo)",
            StateOrgan,
            "11",
            "330110",
            CITY,
            false,
            900_016,
        ),
        (
            TEAM,
            "便民应用建设专班（演示）",
            "Public service application team (demo)",
            AuthorisedOrg,
            "12",
            "330000",
            AUTHORITY,
            false,
            900_017,
        ),
        (
            ENTERPRISE,
            "杭州测试科技有限公司（演示）",
            "Hangzhou Test Technology Ltd (demo)",
            Enterprise,
            "91",
            "330106",
            "",
            false,
            900_018,
        ),
        (
            OPERATOR,
            "浙江演示数据运营有限公司（演示）",
            "Zhejiang Demo Data Operation Ltd (demo)",
            Enterprise,
            "91",
            "330000",
            "",
            false,
            900_019,
        ),
        (
            WATERWORKS,
            "杭州演示水务有限公司（演示）",
            "Hangzhou Demo Waterworks Ltd (demo)",
            UtilityOperator,
            "91",
            "330100",
            CITY,
            false,
            900_020,
        ),
        (
            ANALYST,
            "杭州数智分析有限公司（演示）",
            "Hangzhou Data Analysis Ltd (demo)",
            Enterprise,
            "91",
            "330108",
            "",
            false,
            900_021,
        ),
        (
            DEBTOR,
            "宁波信息服务有限公司（演示）",
            "Ningbo Information Services Ltd (demo)",
            Enterprise,
            "91",
            "330203",
            "",
            false,
            900_022,
        ),
    ]
};

/// The organisations, parents first.
#[must_use]
pub(crate) fn orgs() -> Vec<Org> {
    let org = |line: &Line| Org {
        id: line.0.into(),
        uscc: credit_code(line.4, line.5, line.8),
        name_cn: line.1.into(),
        name_en: line.2.into(),
        kind: line.3,
        region: line.5.into(),
        parent: (!line.6.is_empty()).then(|| line.6.to_owned()),
        authority: line.7,
    };
    ORGS.iter().map(org).collect()
}

/// Chinese name of an organisation of the demo.
#[must_use]
pub(super) fn name_of(id: &str) -> String {
    ORGS.iter().find(|o| o.0 == id).map_or_else(|| id.to_owned(), |o| o.1.to_owned())
}

/// A person of the demo. The password is the caller's to choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DemoUser {
    pub(crate) name: String,
    pub(crate) display_name: String,
    pub(crate) org: Option<String>,
    pub(crate) roles: Vec<Role>,
}

impl DemoUser {
    /// Who compiles and reviews in an organisation; named like its id.
    #[must_use]
    pub(crate) fn of_provider(org: &str, display_name: &str) -> Self {
        Self {
            name: org.to_owned(),
            display_name: display_name.to_owned(),
            org: Some(org.to_owned()),
            roles: vec![Role::Provider, Role::Reviewer],
        }
    }

    /// What opening the account needs.
    #[must_use]
    pub(crate) fn with_password(&self, password: &str) -> UserNew {
        UserNew {
            name: self.name.clone(),
            display_name: self.display_name.clone(),
            org: self.org.clone(),
            roles: self.roles.clone(),
            password: password.to_owned(),
        }
    }
}

/// The people: one per part of the rehearsal house, and one who compiles in every other providing organisation
/// (named like the organisation's id).
#[must_use]
pub(crate) fn users() -> Vec<DemoUser> {
    use Role::{
        Auditor, Authority, Citizen, Consumer, Enterprise, Provider, Reviewer, SecurityOfficer,
        SystemAdministrator,
    };
    let person = |name: &str, display_name: &str, org: &str, roles: &[Role]| DemoUser {
        name: name.into(),
        display_name: display_name.into(),
        org: (!org.is_empty()).then(|| org.to_owned()),
        roles: roles.to_vec(),
    };
    let mut all = vec![
        person("admin", "系统管理员 平安", "", &[SystemAdministrator]),
        person("authority", "省大数据局 周正", AUTHORITY, &[Authority]),
        person("provider", "省市场监管局 吴编", MARKET, &[Provider]),
        person("reviewer", "省市场监管局 郑审", MARKET, &[Reviewer]),
        person("consumer", "便民应用专班 王用", TEAM, &[Consumer]),
        person("security", "安全管理员 冯守", AUTHORITY, &[SecurityOfficer]),
        person("auditor", "审计员 陈查", AUTHORITY, &[Auditor]),
        person("enterprise", "测试科技 褚创", ENTERPRISE, &[Enterprise]),
        person("citizen", "市民 卫明", "", &[Citizen]),
        person("city", "杭州市数据局 蒋杭", CITY, &[Authority, Provider, Reviewer]),
        person("county", "余杭区数据局 沈余", COUNTY, &[Consumer]),
        person("operator", "数据运营 韩营", OPERATOR, &[Enterprise]),
        person("analyst", "数智分析 金算", ANALYST, &[Enterprise]),
        person("debtor", "信息服务 魏约", DEBTOR, &[Enterprise]),
    ];
    for (org, who) in [
        (AUTHORITY, "省大数据局 柳数"),
        (ECOLOGY, "省生态环境厅 杨青"),
        (POLICE, "省公安厅 朱安"),
        (LAND, "省自然资源厅 秦图"),
        (TRAFFIC, "省交通运输厅 尤路"),
        (CREDIT, "省信用中心 许信"),
        (SERVICE, "省政务服务中心 何证"),
        (LABOUR, "省人社厅 吕保"),
        (EDUCATION, "省教育厅 施学"),
        (HEALTH, "省卫健委 张康"),
        (CIVIL, "省民政厅 孔惠"),
        (CULTURE, "省文旅厅 曹游"),
        (WEATHER, "省气象局 严云"),
        (WATERWORKS, "杭州水务 华清"),
    ] {
        all.push(person(org, who, org, &[Provider, Reviewer]));
    }
    all
}

/// The user who compiles for an organisation.
#[must_use]
pub(crate) fn compiler_of(org: &str) -> &str {
    match org {
        MARKET => "provider",
        CITY => "city",
        other => other,
    }
}

/// The user who answers applications on the providing side.
#[must_use]
pub(crate) fn reviewer_of(org: &str) -> &str {
    match org {
        MARKET => "reviewer",
        CITY => "city",
        other => other,
    }
}

/// An application of the demo with the user who registers it. `handle` is how requests speak of it.
#[derive(Clone, Debug)]
pub(crate) struct DemoApplication {
    pub(crate) handle: &'static str,
    pub(crate) owner: &'static str,
    pub(crate) new: ApplicationNew,
}

/// The applications.
#[must_use]
pub(crate) fn applications() -> Vec<DemoApplication> {
    let app = |handle, owner, name: &str, description: &str, org: &str| DemoApplication {
        handle,
        owner,
        new: ApplicationNew { name: name.into(), description: description.into(), org: org.into() },
    };
    vec![
        app("team", "consumer", "便民一点通", "面向群众和企业的便民服务应用（演示）", TEAM),
        app("county", "county", "余杭区一件事联办", "区级“一件事”联办系统（演示）", COUNTY),
        app(
            "enterprise",
            "enterprise",
            "出行助手",
            "企业开发的出行服务，只用开放数据（演示）",
            ENTERPRISE,
        ),
        app("analyst", "analyst", "商圈选址分析", "在数据沙箱内分析企业分布（演示）", ANALYST),
    ]
}
