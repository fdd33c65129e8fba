//! Reports on use (定期使用情况报告): what the party to an agreement tells every so many months of what it did with the data, and what
//! becomes of it when it does not.
//!
//! ```text
//! open ─ the period is over ─► filed ─ accept ─► accepted (and the next period opens)
//!                              └─ return ─► returned ─ filed anew ─► filed
//! open, returned ─ not filed in time ─► people are reminded ─ so many working days more ─► the agreement is suspended
//! ```

use chrono::{Months, NaiveDate};
use serde::{Deserialize, Serialize};

use crate::code::code_list;

code_list! {
    /// Where a report stands.
    UseReportState {
        Open = "open", "待提交", "To be filed";
        Filed = "filed", "待审核", "To be looked at";
        Returned = "returned", "已退回", "Returned";
        Accepted = "accepted", "已接受", "Accepted";
    }
}

/// What was agreed about reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UseTerms {
    /// Length of a period.
    pub months: u32,
    /// Working days after a period's last day within which its report is filed.
    pub days: u32,
    /// Working days more after which the agreement is suspended.
    pub suspend: u32,
}

/// What the party fills in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UseReportNew {
    /// What the data were used for.
    pub done: String,
    /// By whom: offices, people, contractors.
    pub people: String,
    /// Safeguards that were kept.
    pub measures: String,
    /// Incidents, or that there were none.
    pub incidents: String,
    /// What was made of the data.
    pub results: String,
    /// Calls of the period as the party counts them.
    pub calls: u64,
    /// Rows of the period as the party counts them.
    pub rows: u64,
}

/// Calls and rows of a period as the platform's meter counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UseMetered {
    pub calls: u64,
    pub rows: u64,
}

/// The report of one period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UseReport {
    /// Counts up from 1.
    pub no: u32,
    pub state: UseReportState,
    /// First and last day of the period.
    pub from: NaiveDate,
    pub to: NaiveDate,
    /// Day by which it is to be filed.
    pub due: NaiveDate,
    pub said: UseReportNew,
    /// As the platform counted when it was filed.
    pub metered: UseMetered,
    pub filed_at: String,
    pub filed_by_name: String,
    pub decided_at: String,
    pub decided_by_name: String,
    /// Organisation that accepted or returned it.
    pub decided_org: String,
    /// Why it was returned; of an accepted one what was said.
    pub reason: String,
}

impl UseReport {
    /// The report of a period from its first to its last day, to be filed by a day; nothing is said in it yet.
    #[must_use]
    pub fn open(no: u32, from: NaiveDate, to: NaiveDate, due: NaiveDate) -> Self {
        Self {
            no,
            state: UseReportState::Open,
            from,
            to,
            due,
            said: UseReportNew::default(),
            metered: UseMetered::default(),
            filed_at: String::new(),
            filed_by_name: String::new(),
            decided_at: String::new(),
            decided_by_name: String::new(),
            decided_org: String::new(),
            reason: String::new(),
        }
    }

    /// The party has to file it.
    #[must_use]
    pub fn awaited(&self) -> bool {
        matches!(self.state, UseReportState::Open | UseReportState::Returned)
    }

    /// It may be filed: its period is over.
    #[must_use]
    pub fn ripe(&self, today: NaiveDate) -> bool {
        self.awaited() && self.to < today
    }

    /// It was to be filed before today.
    #[must_use]
    pub fn overdue(&self, today: NaiveDate) -> bool {
        self.awaited() && self.due < today
    }
}

/// Last day of the `no`th period (from 1) of so many months when the first begins on `from`. Each is counted from there, so that a
/// 31st does not wander.
#[must_use]
pub fn last_of(from: NaiveDate, months: u32, no: u32) -> Option<NaiveDate> {
    from.checked_add_months(Months::new(months.checked_mul(no)?))?.pred_opt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn periods_follow_each_other_without_wandering() {
        let from = day("2026-08-31");
        let lasts: Vec<String> =
            (1..=3).filter_map(|no| last_of(from, 6, no)).map(|d| d.to_string()).collect();
        assert_eq!(lasts, ["2027-02-27", "2027-08-30", "2028-02-28"]);
        assert_eq!(last_of(from, u32::MAX, 2), None);
    }

    #[test]
    fn a_report_is_filed_when_its_period_is_over_and_late_after_its_due_day() {
        let mut report =
            UseReport::open(1, day("2026-03-02"), day("2026-09-01"), day("2026-09-15"));
        assert!(report.awaited() && report.filed_at.is_empty());
        assert!(!report.ripe(day("2026-09-01")) && report.ripe(day("2026-09-02")));
        assert!(!report.overdue(day("2026-09-15")) && report.overdue(day("2026-09-16")));
        report.state = UseReportState::Filed;
        assert!(!report.ripe(day("2026-09-16")) && !report.overdue(day("2027-01-01")));
        report.state = UseReportState::Returned;
        assert!(report.overdue(day("2026-09-16")));
    }
}
