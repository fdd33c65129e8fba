//! The basket (一揽子申请): things of all ledgers chosen one by one, filed on one form, split by owner into parts that
//! each go their own way. A demand for what is not catalogued, and an objection, are forms of one part.

use serde::{Deserialize, Serialize};

use crate::asset::Ledger;
use crate::flow::{Phase, Stage};
use crate::request::Period;

/// A thing of a ledger, as a basket knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssetRef {
    pub ledger: Ledger,
    pub id: String,
    pub title: String,
    /// Organisation that owns it and decides on it.
    pub org: String,
}

/// A thing in somebody's basket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BasketItem {
    pub asset: AssetRef,
    pub added_at: String,
}

/// How a batch is handed over (推送方式).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Push {
    Full,
    Incremental,
}

/// What is wanted of one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "way", rename_all = "snake_case")]
pub enum Want {
    /// Rows by interface.
    Api {
        items: Vec<String>,
        calls_per_day: u64,
        area_range: String,
    },
    /// Rows handed over as a table.
    Batch {
        items: Vec<String>,
        push: Push,
        /// Update cycle word (`daily`, `weekly` …) as the applicant needs it.
        frequency: String,
        /// Where to (source and table of the applicant).
        destination: String,
        area_range: String,
        time_range: String,
    },
    /// A component to call, or an application to reuse.
    Use {
        calls_per_day: u64,
        detail: String,
    },
    Cloud {
        vcpu: u32,
        memory_gb: u32,
        disk_gb: u32,
        detail: String,
    },
    /// 未编目需求
    Need {
        need: String,
        detail: String,
        fields: String,
    },
    /// 异议
    Object {
        /// `entry decision use other`
        about: String,
        /// A point of it, by the rule file's list.
        point: String,
        detail: String,
    },
}

impl Want {
    /// `api batch asset need objection`: the word flows ask about.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Want::Api { .. } => "api",
            Want::Batch { .. } => "batch",
            Want::Use { .. } | Want::Cloud { .. } => "asset",
            Want::Need { .. } => "need",
            Want::Object { .. } => "objection",
        }
    }
    /// Data items wanted.
    #[must_use]
    pub fn items(&self) -> &[String] {
        match self {
            Want::Api { items, .. } | Want::Batch { items, .. } => items,
            _ => &[],
        }
    }
}

/// What kind of form it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BundleKind {
    Share,
    Demand,
    Objection,
}

impl BundleKind {
    pub const ALL: [BundleKind; 3] = [BundleKind::Share, BundleKind::Demand, BundleKind::Objection];
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            BundleKind::Share => "share",
            BundleKind::Demand => "demand",
            BundleKind::Objection => "objection",
        }
    }
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.as_str() == word)
    }
}

/// The form, filled in once for all parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    /// 申请名称
    pub name: String,
    /// 应用领域
    pub area: String,
    /// 政务服务 / 政务监管 …
    pub apply_type: String,
    /// 期望完成日期, `YYYY-MM-DD`, may be empty.
    pub finish_date: String,
    /// 使用场景
    pub scene: String,
    /// 关联事项
    pub matters: String,
    /// 业务用途
    pub business_usage: String,
    /// 预期成效
    pub expect_effect: String,
    /// 申请依据
    pub legal_basis: String,
    /// 申请函文号
    pub letter: String,
    pub contact: String,
    pub phone: String,
    /// 建设厂商及联系人
    pub vendor: String,
    /// Application (应用) that will call; its id. May be empty when nothing is called.
    pub application: String,
    #[serde(flatten)]
    pub period: Period,
}

/// A file that belongs to a form (申请函, 方案 …), or waits in somebody's basket to be filed with one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    pub id: String,
    /// The form it was filed with; nothing while it waits in the basket.
    pub bundle: Option<String>,
    /// Who brought it.
    pub owner: String,
    pub owner_name: String,
    /// The file's own name.
    pub name: String,
    /// Media type, by the rule file's list.
    pub media: String,
    pub bytes: u64,
    /// SHA-256 of the content, in hex.
    pub checksum: String,
    pub at: String,
}

/// 成效反馈
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feedback {
    pub effect: String,
    /// 1 to 5.
    pub score: u8,
    /// 是否解决
    pub solved: bool,
    pub at: String,
    pub by: String,
}

/// One part: what one owner decides of a form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub id: String,
    pub bundle: String,
    pub n: u32,
    pub asset: AssetRef,
    pub want: Want,
    /// The approval it follows now (a dispute begins another).
    pub approval: String,
    pub flow: String,
    pub phase: Phase,
    pub stage: Option<Stage>,
    /// `YYYY-MM-DD`, or empty.
    pub due: String,
    pub updated_at: String,
}

impl Part {
    /// The state word, of the state machine of share applications in real products.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match self.phase {
            Phase::Running => self.stage.map_or("report-auditing", Stage::as_str),
            Phase::Returned => "returned",
            Phase::Approved => "closed",
            Phase::Refused => "reject",
            Phase::Withdrawn => "undone",
        }
    }

    /// How far it is on the way, per cent.
    #[must_use]
    pub fn done(&self) -> u32 {
        match (self.phase, self.stage) {
            (Phase::Approved | Phase::Refused | Phase::Withdrawn, _) => 100,
            (Phase::Returned, _) => 10,
            (Phase::Running, None | Some(Stage::ReportAuditing)) => 15,
            (Phase::Running, Some(Stage::Analysing)) => 30,
            (Phase::Running, Some(Stage::ConfirmAuditing)) => 45,
            (Phase::Running, Some(Stage::AuthorityAuditing | Stage::Coordinating)) => 60,
            (Phase::Running, Some(Stage::Implementing)) => 75,
            (Phase::Running, Some(Stage::Accepting)) => 90,
        }
    }
}

/// A form with its parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    pub id: String,
    pub kind: BundleKind,
    pub form: Form,
    pub org: String,
    pub applicant: String,
    pub applicant_name: String,
    pub created_at: String,
    pub feedback: Option<Feedback>,
    #[serde(default)]
    pub files: Vec<Attachment>,
    pub parts: Vec<Part>,
}

/// One line of progress over all parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Progress {
    pub total: usize,
    pub approved: usize,
    pub refused: usize,
    pub withdrawn: usize,
    pub returned: usize,
    pub running: usize,
    /// How far all parts together are, per cent.
    pub percent: u32,
    /// `running returned finished feedback-pending closed`
    pub state: &'static str,
}

impl Bundle {
    #[must_use]
    pub fn progress(&self) -> Progress {
        let count = |phase| self.parts.iter().filter(|p| p.phase == phase).count();
        let total = self.parts.len();
        let sum: u32 = self.parts.iter().map(Part::done).sum();
        let (running, returned) = (count(Phase::Running), count(Phase::Returned));
        let approved = count(Phase::Approved);
        Progress {
            total,
            approved,
            refused: count(Phase::Refused),
            withdrawn: count(Phase::Withdrawn),
            returned,
            running,
            percent: u32::try_from(total).ok().and_then(|t| sum.checked_div(t)).unwrap_or(0),
            state: match () {
                () if returned > 0 => "returned",
                () if running > 0 => "running",
                () if self.feedback.is_some() => "finished",
                () if approved > 0 => "feedback-pending",
                () => "closed",
            },
        }
    }
}

/// A decision of before on the same thing, to advise whoever decides now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Precedent {
    pub part: String,
    pub applicant_org: String,
    pub title: String,
    pub way: String,
    pub items: Vec<String>,
    pub phase: Phase,
    pub at: String,
    /// Who answered, and how: names in the order of the answers.
    pub answers: Vec<(String, bool)>,
}
