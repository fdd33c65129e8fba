//! Masks: how a value is made less telling before it is released. The algorithms stand in `guard`.

use serde::{Deserialize, Serialize};

/// A masking rule of one column (facts: keep head/tail, hash, generalise, round, blank, format-preserving).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "snake_case")]
pub enum Mask {
    /// 掩码: keep `head` and `tail` characters, each other character becomes `*`. Works on numbers and dates as text.
    Keep { head: u32, tail: u32 },
    /// 哈希加盐: HMAC-SM3 under the platform's mask key, 32 hex digits, stable per grantee.
    Hash,
    /// 泛化 of a date to `year` or `month`, of a text to its first `head` characters.
    Generalise { to: Generalise },
    /// 取整: a number rounded down to a multiple of `step` (> 0).
    Round { step: i64 },
    /// 置空: nothing is released.
    Blank,
    /// 替换: the whole value becomes `******`.
    Replace,
    /// 保格式加密 FF1 (NIST SP 800-38G): digits stay digits, letters stay letters, length kept.
    FormatPreserving,
}

/// What a generalisation keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Generalise {
    Year,
    Month,
    Prefix(u32),
}

impl Mask {
    /// Short word for audit records and pages, e.g. `keep(1,0)`.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Mask::Keep { head, tail } => format!("keep({head},{tail})"),
            Mask::Hash => "hash".into(),
            Mask::Generalise { to: Generalise::Year } => "generalise(year)".into(),
            Mask::Generalise { to: Generalise::Month } => "generalise(month)".into(),
            Mask::Generalise { to: Generalise::Prefix(n) } => format!("generalise(prefix {n})"),
            Mask::Round { step } => format!("round({step})"),
            Mask::Blank => "blank".into(),
            Mask::Replace => "replace".into(),
            Mask::FormatPreserving => "format_preserving".into(),
        }
    }
}
