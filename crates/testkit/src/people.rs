//! The people of the rehearsal house and their organisations. Credit codes are synthetic with valid check digits.

use model::account::Role;
use model::ident;
use model::org::{Org, OrgKind};

/// 省大数据局
pub const AUTHORITY_ORG: &str = "org-authority";
/// 省市场监管厅
pub const PROVIDER_ORG: &str = "org-market";
/// 省生态环境厅: a provider that has nothing to do with the case.
pub const STRANGER_ORG: &str = "org-ecology";
/// 杭州市数据局
pub const CITY_ORG: &str = "org-hangzhou";
/// 余杭区数据局
pub const COUNTY_ORG: &str = "org-yuhang";
/// An application team.
pub const CONSUMER_ORG: &str = "org-team";
/// An enterprise.
pub const ENTERPRISE_ORG: &str = "org-enterprise";
/// Everyone's password.
pub const PASSWORD: &str = "Rehearsal-2026!";

pub(crate) fn orgs() -> Vec<Org> {
    let org = |n: u32, id: &str, name_cn: &str, name_en: &str, kind, region: &str, authority| Org {
        id: id.into(),
        uscc: credit_code(n, region),
        name_cn: name_cn.into(),
        name_en: name_en.into(),
        kind,
        region: region.into(),
        parent: None,
        authority,
    };
    vec![
        org(
            1,
            AUTHORITY_ORG,
            "省大数据局",
            "Provincial Data Bureau",
            OrgKind::StateOrgan,
            "330000",
            true,
        ),
        org(
            2,
            PROVIDER_ORG,
            "省市场监管厅",
            "Market Regulation Department",
            OrgKind::StateOrgan,
            "330000",
            false,
        ),
        org(
            3,
            STRANGER_ORG,
            "省生态环境厅",
            "Ecology Department",
            OrgKind::StateOrgan,
            "330000",
            false,
        ),
        org(
            4,
            CITY_ORG,
            "杭州市数据局",
            "Hangzhou Data Bureau",
            OrgKind::StateOrgan,
            "330100",
            true,
        ),
        org(
            5,
            COUNTY_ORG,
            "余杭区数据局",
            "Yuhang Data Bureau",
            OrgKind::StateOrgan,
            "330110",
            false,
        ),
        org(
            6,
            CONSUMER_ORG,
            "省政务服务应用组",
            "Service Application Team",
            OrgKind::AuthorisedOrg,
            "330000",
            false,
        ),
        org(
            7,
            ENTERPRISE_ORG,
            "测试科技有限公司",
            "Test Technology Ltd",
            OrgKind::Enterprise,
            "330100",
            false,
        ),
    ]
}

fn credit_code(n: u32, region: &str) -> String {
    let body = format!("{:08}", 10_000_000 + n);
    let org_check = ident::org_code_check(&body).unwrap();
    let head = format!("11{region}{body}{org_check}");
    let check = ident::uscc_check(&head).unwrap();
    format!("{head}{check}")
}

/// `(user name, organisation, roles)`
pub(crate) fn people() -> Vec<(&'static str, Option<&'static str>, Vec<Role>)> {
    vec![
        ("admin", Some(AUTHORITY_ORG), vec![Role::SystemAdministrator]),
        ("authority", Some(AUTHORITY_ORG), vec![Role::Authority]),
        ("provider", Some(PROVIDER_ORG), vec![Role::Provider]),
        ("reviewer", Some(PROVIDER_ORG), vec![Role::Reviewer]),
        ("stranger", Some(STRANGER_ORG), vec![Role::Provider]),
        ("city", Some(CITY_ORG), vec![Role::Authority]),
        ("county", Some(COUNTY_ORG), vec![Role::Consumer]),
        ("consumer", Some(CONSUMER_ORG), vec![Role::Consumer]),
        ("security", Some(AUTHORITY_ORG), vec![Role::SecurityOfficer]),
        ("auditor", Some(AUTHORITY_ORG), vec![Role::Auditor]),
        ("enterprise", Some(ENTERPRISE_ORG), vec![Role::Enterprise]),
        ("citizen", None, vec![Role::Citizen]),
    ]
}
