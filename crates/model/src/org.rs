//! Organisations (公共管理和服务机构 and their like) with their kind and 统一社会信用代码.

use serde::{Deserialize, Serialize};

/// Kind of a public body, 浙江省公共数据条例 art 3; `enterprise` is for users who are not public bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrgKind {
    /// 国家机关
    StateOrgan,
    /// 法律法规规章授权的具有管理公共事务职能的组织
    AuthorisedOrg,
    /// 公共服务运营单位
    UtilityOperator,
    /// 国家驻浙机构
    NationalStationed,
    /// 企业等社会主体
    Enterprise,
}

/// An organisation. `id` is its key; `uscc` is unique.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Org {
    pub id: String,
    /// 统一社会信用代码 (GB 32100), 18 characters, check digit valid.
    pub uscc: String,
    pub name_cn: String,
    pub name_en: String,
    pub kind: OrgKind,
    /// GB/T 2260 code of the region it serves.
    pub region: String,
    pub parent: Option<String>,
    /// Whether it is the public-data authority (公共数据主管部门) of its region.
    pub authority: bool,
}
