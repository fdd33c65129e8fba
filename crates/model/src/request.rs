//! Share applications (共享申请) and what they turn into: an agreement that a grant is made from.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::code::{Grade, OpenType, ShareType};
use crate::item::Item;

/// State of a share application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequestState {
    /// 数源单位审核中
    ProviderAuditing,
    /// 主管部门审核中
    AuthorityAuditing,
    /// 已通过
    Approved,
    /// 已驳回
    Rejected,
    /// 已撤回 by the applicant
    Undone,
    /// 已撤销 by provider or authority
    Revoked,
    /// 已到期
    Expired,
}

impl RequestState {
    pub const ALL: [RequestState; 7] = [
        Self::ProviderAuditing,
        Self::AuthorityAuditing,
        Self::Approved,
        Self::Rejected,
        Self::Undone,
        Self::Revoked,
        Self::Expired,
    ];
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ProviderAuditing => "provider-auditing",
            Self::AuthorityAuditing => "authority-auditing",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Undone => "undone",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }
    #[must_use]
    pub fn zh(self) -> &'static str {
        match self {
            Self::ProviderAuditing => "数源单位审核中",
            Self::AuthorityAuditing => "主管部门审核中",
            Self::Approved => "已通过",
            Self::Rejected => "已驳回",
            Self::Undone => "已撤回",
            Self::Revoked => "已撤销",
            Self::Expired => "已到期",
        }
    }
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == word)
    }
}

/// By which way data are asked for: it decides which attribute of an item counts, when applying and at every call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestWay {
    /// 共享: between public bodies, by the share attribute.
    #[default]
    Share,
    /// 受限开放: by enterprises and citizens, by the open attribute.
    Open,
}

impl RequestWay {
    /// Word used in rules, files and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Share => "share",
            Self::Open => "open",
        }
    }
    #[must_use]
    pub fn zh(self) -> &'static str {
        match self {
            Self::Share => "共享",
            Self::Open => "受限开放",
        }
    }
    /// Whether this way offers the item at all. L4 is never opened (DB33/T 2351-2021), whatever was declared.
    #[must_use]
    pub fn offers(self, item: &Item) -> bool {
        match self {
            Self::Share => item.share_type != ShareType::None,
            Self::Open => item.open_type != OpenType::None && item.grade < Grade::L4,
        }
    }
}

/// How long access is asked for (有效期 30/90/180/长期/自定义).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "period", rename_all = "snake_case")]
pub enum Period {
    Days {
        days: u32,
    },
    Long,
    /// Last day of use, `YYYY-MM-DD`.
    Until {
        date: String,
    },
}

/// Rows alone that are agreed, beside the area: those of one organisation, and those with certain values. Nothing set limits nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RowRange {
    /// 统一社会信用代码 of the organisation whose rows these are; empty = of any. Needs an item that holds it.
    pub org: String,
    /// All of these hold.
    pub only: Vec<RowValues>,
}

/// Rows in which an item has one of the values, written as the item's type is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowValues {
    /// Identifier of an item of the entry, wanted or not.
    pub item: String,
    pub values: Vec<String>,
}

impl RowRange {
    /// Whether it limits anything.
    #[must_use]
    pub fn any(&self) -> bool {
        *self != Self::default()
    }

    /// Whether it lets no row through that `wider` keeps back, as far as their words tell.
    #[must_use]
    pub fn within(&self, wider: &RowRange) -> bool {
        let narrows = |of: &RowValues| {
            let mut same = self.only.iter().filter(|mine| mine.item == of.item);
            same.any(|mine| mine.values.iter().all(|v| of.values.contains(v)))
        };
        (wider.org.is_empty() || self.org == wider.org) && wider.only.iter().all(narrows)
    }
}

/// `org=91330000MA… & status in (1,2)`: for records.
impl fmt::Display for RowRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let org = (!self.org.is_empty()).then(|| format!("org={}", self.org));
        let only = self.only.iter().map(|o| format!("{} in ({})", o.item, o.values.join(",")));
        f.write_str(&org.into_iter().chain(only).collect::<Vec<_>>().join(" & "))
    }
}

/// What an applicant fills in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestNew {
    /// Entry id or code.
    pub entry: String,
    /// Application (应用) that will call.
    pub application: String,
    /// Identifiers of the items wanted.
    pub items: Vec<String>,
    /// 使用场景 / purpose
    pub scene: String,
    /// 申请依据
    pub legal_basis: String,
    #[serde(flatten)]
    pub period: Period,
    /// Calls per day wanted.
    pub calls_per_day: u64,
    /// Rows only of this region (GB/T 2260), when the entry has a region column; empty = all.
    #[serde(default)]
    pub area_range: String,
    /// Rows only of an organisation or with certain values.
    #[serde(default)]
    pub row_range: RowRange,
    /// Wanted by SQL, too (批量共享), not by interface alone.
    #[serde(default)]
    pub by_sql: bool,
}

/// A share application with its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    pub id: String,
    pub entry: String,
    pub entry_code: String,
    pub entry_title: String,
    /// Organisation that provides.
    pub provider: String,
    pub application: String,
    pub application_name: String,
    /// Organisation that applies; empty when a citizen applies for themself.
    pub org: String,
    #[serde(default)]
    pub way: RequestWay,
    /// Region of the entry (GB/T 2260): whose authority decides.
    #[serde(default)]
    pub region: String,
    pub items: Vec<String>,
    pub scene: String,
    pub legal_basis: String,
    #[serde(flatten)]
    pub period: Period,
    pub calls_per_day: u64,
    pub area_range: String,
    #[serde(default)]
    pub row_range: RowRange,
    /// Agreed for SQL, too (批量共享), not for the interface alone.
    #[serde(default)]
    pub by_sql: bool,
    pub state: RequestState,
    /// Day by which the present reviewer must answer, `YYYY-MM-DD` (working days).
    pub due: Option<String>,
    /// First instant at which the grant is no longer valid, RFC 3339; `None` = long term.
    pub expires_at: Option<String>,
    pub applicant: String,
    pub created_at: String,
    pub updated_at: String,
}

impl Request {
    /// Whether it is agreed for use in a data sandbox only: what is open on conditions is agreed for SQL for nothing else.
    #[must_use]
    pub fn sandboxed(&self) -> bool {
        self.way == RequestWay::Open && self.by_sql
    }
}

/// One step of a share application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestStep {
    pub request: String,
    pub seq: i64,
    pub at: String,
    pub actor: String,
    pub actor_name: String,
    /// `submit limit approve reject undo revoke expire`
    pub action: String,
    pub from: String,
    pub to: String,
    pub reason: String,
}

/// Which applications a list wants.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RequestFilter {
    /// Applying organisation.
    pub org: Option<String>,
    /// Person who applied.
    #[serde(default)]
    pub applicant: Option<String>,
    /// Providing organisation.
    pub provider: Option<String>,
    pub entry: Option<String>,
    pub application: Option<String>,
    pub state: Option<RequestState>,
    pub after: Option<String>,
    pub limit: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(org: &str, only: &[(&str, &[&str])]) -> RowRange {
        let values = |v: &[&str]| v.iter().map(|v| (*v).to_owned()).collect();
        RowRange {
            org: org.into(),
            only: only
                .iter()
                .map(|(item, v)| RowValues { item: (*item).into(), values: values(v) })
                .collect(),
        }
    }

    #[test]
    fn a_range_is_narrowed_and_never_widened() {
        let agreed = range("", &[("status", &["1", "2"])]);
        assert!(agreed.within(&RowRange::default()) && agreed.any());
        assert!(agreed.within(&agreed));
        assert!(range("o", &[("status", &["2"]), ("kind", &["a"])]).within(&agreed));
        assert!(!range("", &[("status", &["2", "3"])]).within(&agreed));
        assert!(!range("", &[("kind", &["1"])]).within(&agreed));
        assert!(!RowRange::default().within(&agreed));
        assert!(!RowRange::default().within(&range("o", &[])));
        assert!(!range("p", &[]).within(&range("o", &[])));
        let told = range("o", &[("status", &["1", "2"]), ("kind", &["a"])]).to_string();
        assert_eq!(told, "org=o & status in (1,2) & kind in (a)");
        assert_eq!(RowRange::default().to_string(), "");
    }

    #[test]
    fn what_was_kept_before_there_were_ranges_limits_nothing() {
        let none: RowRange = serde_json::from_str("{}").unwrap();
        assert!(!none.any());
    }
}
