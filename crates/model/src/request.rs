//! Share applications (共享申请) and what they turn into: an agreement that a grant is made from.

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
    /// `submit approve reject undo revoke expire`
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
