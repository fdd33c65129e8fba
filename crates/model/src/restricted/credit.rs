//! The credit record (信用记录) of those who use data that are open on conditions: what rule was broken, for how long it counts, and
//! whether it was repaired (信用修复).

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

/// What is entered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditNew {
    /// Credit code (统一社会信用代码) of an organisation, or user name of a citizen.
    pub whom: String,
    /// The rule that was broken.
    pub rule: String,
    /// What happened.
    pub facts: String,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditRecord {
    pub id: String,
    /// `uscc:…` or `account:…`
    pub subject: String,
    pub subject_name: String,
    pub rule: String,
    pub facts: String,
    /// Number of the application in which it happened; empty: none.
    pub application: String,
    pub entered_at: String,
    pub entered_by: String,
    pub entered_by_name: String,
    /// Organisation that entered it.
    pub org: String,
    /// Last day for which it is kept.
    pub until: NaiveDate,
    /// Empty: not repaired.
    pub repaired_at: String,
    pub repaired_by: String,
    pub repair_reason: String,
    /// What the subject says against it; empty: nothing. It counts until it is repaired all the same.
    pub objection: String,
    pub objected_at: String,
    pub edit: u64,
}

impl CreditRecord {
    /// Whether it stands against its subject on a day.
    #[must_use]
    pub fn counts(&self, today: NaiveDate) -> bool {
        self.repaired_at.is_empty() && today <= self.until
    }
}

/// Who an organisation's records are about.
#[must_use]
pub fn subject_of_org(uscc: &str) -> String {
    format!("uscc:{uscc}")
}

/// Who a citizen's records are about.
#[must_use]
pub fn subject_of_account(account: &str) -> String {
    format!("account:{account}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_until_it_is_repaired_or_its_time_is_over() {
        let mut record = CreditRecord {
            id: "c".into(),
            subject: subject_of_org("91330000X"),
            subject_name: "公司".into(),
            rule: "超范围使用".into(),
            facts: "转给第三方".into(),
            application: String::new(),
            entered_at: String::new(),
            entered_by: String::new(),
            entered_by_name: String::new(),
            org: String::new(),
            until: "2031-03-02".parse().unwrap(),
            repaired_at: String::new(),
            repaired_by: String::new(),
            repair_reason: String::new(),
            objection: "有异议".into(),
            objected_at: "x".into(),
            edit: 1,
        };
        assert!(record.counts("2031-03-02".parse().unwrap()), "an objection does not lift it");
        assert!(!record.counts("2031-03-03".parse().unwrap()));
        record.repaired_at = "2026-09-01T00:00:00.000Z".into();
        assert!(!record.counts("2026-09-02".parse().unwrap()));
    }
}
