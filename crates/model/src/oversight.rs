//! Oversight of channels: what is set for one channel instead of the rule file's, and misfits by reason.

use serde::{Deserialize, Serialize};

/// What is set for one channel; what is left empty is as the rule file says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChannelRule {
    /// Error budget: the channel stops when bad rows are at least so many and more than this share.
    pub budget_rows: Option<u64>,
    pub budget_share: Option<f64>,
    /// Hours from one reconciliation to the next; 0 for none but on demand.
    pub reconcile_hours: Option<u64>,
    /// Heal differences as soon as they are known.
    pub heal: Option<bool>,
}

/// Error budget in force.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    pub rows: u64,
    pub share: f64,
}

impl Budget {
    /// Whether so many bad ones of so many rows are too many.
    #[must_use]
    pub fn exceeded(&self, read: u64, bad: u64) -> bool {
        let part = |n: u64| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
        bad >= self.rows.max(1) && part(bad) > self.share * part(read)
    }
}

/// The channel of a rail.
#[must_use]
pub fn rail_channel(rail: &str) -> String {
    channel_of("rail", rail)
}

/// A channel by its kind's word and its id.
#[must_use]
pub fn channel_of(kind: &str, id: &str) -> String {
    format!("{kind}:{id}")
}

/// The channel of an entry's files and queries.
#[must_use]
pub fn entry_channel(entry: &str) -> String {
    format!("entry:{entry}")
}

/// Quarantined rows of one entry, channel, item and reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MisfitGroup {
    pub id: String,
    pub entry: String,
    pub org: String,
    /// `file`, `query`, `rail`, …
    pub channel: String,
    /// Identifier of the item; empty when the row as a whole is wrong.
    pub item: String,
    /// What the reason is known by, whatever values it names.
    pub reason: String,
    /// Rows that wait.
    pub rows: u64,
    pub first_at: String,
    pub last_at: String,
    /// The reason as first told.
    pub zh: String,
    pub en: String,
}

/// A reason without the values it names: digits and what stands in quotes or after a colon differ from row to row.
#[must_use]
pub fn reason_of(item: &str, en: &str) -> String {
    let en = en.split("; also wrong in this row").next().unwrap_or(en);
    let en = en.strip_prefix(item).map_or(en, |rest| rest.trim_start_matches(':'));
    let (mut out, mut quoted, mut digits) = (String::new(), false, false);
    for c in en.trim().chars() {
        if c == '`' {
            quoted = !quoted;
            out.push(c);
        } else if quoted {
        } else if c.is_ascii_digit() {
            if !digits {
                out.push('9');
            }
        } else {
            out.push(c);
        }
        digits = c.is_ascii_digit();
    }
    out.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_the_same_whatever_values_they_name() {
        let long = |n: u32| format!("has {n} characters, at most 20 are allowed");
        assert_eq!(reason_of("x", &long(23)), reason_of("x", &long(4711)));
        assert_eq!(reason_of("x", "`a1` is no date"), reason_of("x", "`二` is no date"));
        assert_ne!(reason_of("x", "must not be empty"), reason_of("x", "is not valid JSON"));
        let more = "must not be empty; also wrong in this row: b";
        assert_eq!(reason_of("x", more), "must not be empty");
    }

    #[test]
    fn a_budget_is_a_number_and_a_share() {
        let budget = Budget { rows: 10, share: 0.2 };
        assert!(!budget.exceeded(10, 9), "too few to tell");
        assert!(!budget.exceeded(100, 20) && budget.exceeded(100, 21));
        assert!(Budget { rows: 0, share: 0.0 }.exceeded(5, 1));
        assert!(!Budget { rows: 0, share: 0.0 }.exceeded(5, 0));
    }
}
