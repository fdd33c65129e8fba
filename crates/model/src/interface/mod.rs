//! Interfaces (接口) by description: what callers may ask of resources, and in which form they are answered, as data.
//!
//! An interface never allows anything: whoever calls it needs a share application for every resource it reads, and gets what
//! that grant shows of the items named here. `file` reads and checks the description, `call` makes queries of a call;
//! `upstream` describes a department's own service behind an interface, `breaker` leaves one alone that fails.

mod breaker;
mod call;
mod file;
mod upstream;

use serde::{Deserialize, Serialize};

use crate::code::code_list;
pub use breaker::{Breaker, BreakerRules, BreakerState};
pub use call::{Arguments, Asked};
pub use file::refuse;
pub use upstream::{Into, Method, Send, Take, Upstream, UpstreamForm};

code_list! {
    /// How an interface answers.
    Kind {
        Query = "query", "查询", "Query by keys";
        Fuzzy = "fuzzy", "模糊查询", "Fuzzy query";
        List = "list", "列表", "List";
        Verify = "verify", "核验", "Verification";
        Statistics = "statistics", "统计", "Statistics";
        Batch = "batch", "批量查询", "Batch look-up";
        Incremental = "incremental", "增量", "Changes";
        File = "file", "文件", "File";
        Composed = "composed", "组合", "Composed";
        Proxied = "proxied", "代理", "Proxied";
    }
}
code_list! {
    /// 接口状态.
    InterfaceState {
        Draft = "draft", "草稿", "Draft";
        Test = "test", "测试", "In test";
        Published = "published", "已发布", "Published";
        Deprecated = "deprecated", "待停用", "Deprecated";
        Offline = "offline", "已下线", "Offline";
    }
}
code_list! {
    /// How a parameter is compared with its item.
    Match {
        Equal = "equal", "等于", "Equal";
        Contains = "contains", "包含", "Contains";
        Prefix = "prefix", "开头为", "Begins with";
        From = "from", "不小于", "From";
        To = "to", "不大于", "To";
    }
}
code_list! {
    /// What is computed of a group.
    How {
        Count = "count", "计数", "Count";
        Sum = "sum", "合计", "Sum";
        Avg = "avg", "平均", "Average";
        Min = "min", "最小", "Minimum";
        Max = "max", "最大", "Maximum";
    }
}

impl InterfaceState {
    /// The states somebody may move it to.
    #[must_use]
    pub fn next(self) -> &'static [InterfaceState] {
        use InterfaceState as S;
        match self {
            S::Draft => &[S::Test],
            S::Test => &[S::Draft, S::Published],
            S::Published => &[S::Deprecated, S::Offline],
            S::Deprecated => &[S::Published, S::Offline],
            S::Offline => &[S::Published],
        }
    }
    /// Whether callers get answers.
    #[must_use]
    pub fn live(self) -> bool {
        matches!(self, InterfaceState::Published | InterfaceState::Deprecated)
    }
}

/// A version of an interface. Versions of one `code` stand side by side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    pub id: String,
    /// 16 letters and digits: what callers name it by.
    pub code: String,
    pub version: u32,
    pub state: InterfaceState,
    /// Of a published version beside another: the percentage of callers that get it. 100 is everybody.
    pub share: u8,
    /// Organisation that keeps it: the provider of its first resource.
    pub org: String,
    /// Region of that resource.
    pub region: String,
    /// Id of the first resource's entry.
    pub entry: String,
    /// Day after which a deprecated version goes offline, `YYYY-MM-DD`; empty when none was said.
    #[serde(default)]
    pub until: String,
    /// When it was deprecated, RFC 3339; empty when it is not, or was before this was kept.
    #[serde(default)]
    pub deprecated_at: String,
    /// How often it may be called; the same of all versions.
    #[serde(default)]
    pub quota: InterfaceQuota,
    pub created_by: String,
    pub created_at: String,
    pub updated_at: String,
    /// The description as written.
    pub text: String,
    pub draft: InterfaceDraft,
}

impl Interface {
    /// When a deprecated version became so, RFC 3339; of one from before this was kept its last change, which is the nearest known.
    #[must_use]
    pub fn deprecated_since(&self) -> &str {
        match (self.state, self.deprecated_at.as_str()) {
            (InterfaceState::Deprecated, "") => &self.updated_at,
            (_, at) => at,
        }
    }
}

/// How often an interface may be called, whatever the callers' own quotas are; nothing set limits nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InterfaceQuota {
    /// Calls a day of all callers together.
    pub per_day: Option<u64>,
    /// Calls a day of each application.
    pub application_per_day: Option<u64>,
    /// Calls a second of all callers together, in each process.
    pub per_second: Option<u32>,
    /// Calls that may come at once, after a pause; a second's when nothing is set.
    pub burst: Option<u32>,
}

impl InterfaceQuota {
    /// Whether anything is set.
    #[must_use]
    pub fn any(&self) -> bool {
        *self != Self::default()
    }
}

/// What is described.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InterfaceDraft {
    pub title: String,
    #[serde(default)]
    pub description: String,
    pub kind: Kind,
    /// Code of the (first) resource.
    pub entry: String,
    /// What callers give.
    #[serde(default)]
    pub param: Vec<Param>,
    /// What they get; nothing named means every item their grant shows.
    #[serde(default, rename = "return")]
    pub returns: Vec<Return>,
    /// Items to order by; `-day` is newest first.
    #[serde(default)]
    pub order: Vec<String>,
    /// Rows of a page when the caller does not say.
    #[serde(default = "page_rows")]
    pub page_rows: u64,
    /// Most rows of one answer.
    #[serde(default = "most_rows")]
    pub most_rows: u64,
    /// Most keys of one call (batch look-up).
    #[serde(default = "most_keys")]
    pub most_keys: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistics: Option<Statistics>,
    /// Further resources that are joined by key (composed).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub part: Vec<Part>,
    /// The department's own service that answers (proxied).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Upstream>,
}

impl InterfaceDraft {
    /// Rows of an answer: as asked for, within what the interface gives.
    #[must_use]
    pub fn rows(&self, asked: Option<u64>) -> u64 {
        asked.unwrap_or(self.page_rows).clamp(1, self.most_rows)
    }
}

fn page_rows() -> u64 {
    50
}
fn most_rows() -> u64 {
    1000
}
fn most_keys() -> u64 {
    100
}

/// One parameter: named freely, typed by a catalogue item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Param {
    pub name: String,
    /// Item it is compared with. Of a composed interface: of the first resource.
    pub item: String,
    #[serde(default = "equal", rename = "match")]
    pub how: Match,
    #[serde(default)]
    pub required: bool,
    /// Taken when the caller does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

fn equal() -> Match {
    Match::Equal
}

/// One item of the answer. Of a composed interface `part.item`, the first resource's without a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Return {
    pub item: String,
    /// Name in the answer; the item's own when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Return {
    /// The name it is answered under.
    #[must_use]
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or_else(|| self.place().1)
    }
    /// Part (empty: the first resource) and item.
    #[must_use]
    pub fn place(&self) -> (&str, &str) {
        self.item.split_once('.').unwrap_or(("", &self.item))
    }
}

/// Figures by group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statistics {
    /// Items whose values make the groups; none: one figure for all.
    #[serde(default)]
    pub group_by: Vec<String>,
    pub measure: Vec<Measure>,
}

/// One figure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measure {
    pub how: How,
    /// Not needed to count.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub item: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Measure {
    /// The name it is answered under.
    #[must_use]
    pub fn label(&self) -> String {
        match &self.name {
            Some(name) => name.clone(),
            None if self.item.is_empty() => self.how.as_str().to_owned(),
            None => format!("{}_{}", self.how.as_str(), self.item),
        }
    }
}

/// A resource joined to what was found before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// How `return` names it.
    pub name: String,
    /// Code of the resource.
    pub entry: String,
    /// Its item that is looked up.
    pub item: String,
    /// The item whose value is looked up: `part.item`, or an item of the first resource.
    pub equals: String,
    /// Rows without a match stay, with nothing in this part's items.
    #[serde(default)]
    pub optional: bool,
}

impl Part {
    /// Part (empty: the first resource) and item that hold the value looked up.
    #[must_use]
    pub fn source(&self) -> (&str, &str) {
        self.equals.split_once('.').unwrap_or(("", &self.equals))
    }
}
