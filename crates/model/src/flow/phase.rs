//! Where an approval stands as a whole.

use serde::{Deserialize, Serialize};

/// Where an approval stands as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Running,
    /// With the applicant, who must complete it (缺项反馈).
    Returned,
    Approved,
    Refused,
    Withdrawn,
}

impl Phase {
    pub const ALL: [Phase; 5] =
        [Phase::Running, Phase::Returned, Phase::Approved, Phase::Refused, Phase::Withdrawn];
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Running => "running",
            Phase::Returned => "returned",
            Phase::Approved => "approved",
            Phase::Refused => "refused",
            Phase::Withdrawn => "withdrawn",
        }
    }
    #[must_use]
    pub fn zh(self) -> &'static str {
        match self {
            Phase::Running => "办理中",
            Phase::Returned => "已退回补正",
            Phase::Approved => "已通过",
            Phase::Refused => "已驳回",
            Phase::Withdrawn => "已撤回",
        }
    }
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.as_str() == word)
    }
    /// Whether nothing more can happen.
    #[must_use]
    pub fn over(self) -> bool {
        matches!(self, Phase::Approved | Phase::Refused | Phase::Withdrawn)
    }
}
