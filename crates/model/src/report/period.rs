//! Periods of recurring reports: `2026-02`, `2026Q1`, `2026`. A report that is made once has the empty period.

use chrono::{Datelike, Days, Months, NaiveDate};

use crate::code::code_list;

code_list! {
    /// How often a form is reported.
    Every {
        Once = "once", "一次性", "Once";
        Month = "month", "每月", "Every month";
        Quarter = "quarter", "每季度", "Every quarter";
        Year = "year", "每年", "Every year";
    }
}

impl Every {
    fn months(self) -> Option<u32> {
        match self {
            Every::Once => None,
            Every::Month => Some(1),
            Every::Quarter => Some(3),
            Every::Year => Some(12),
        }
    }

    /// The period that a day is in.
    #[must_use]
    pub fn period_of(self, day: NaiveDate) -> String {
        match self {
            Every::Once => String::new(),
            Every::Month => day.format("%Y-%m").to_string(),
            Every::Quarter => format!("{}Q{}", day.year(), day.month0() / 3 + 1),
            Every::Year => day.year().to_string(),
        }
    }

    /// First day of a period; `None` when the text is not one.
    #[must_use]
    pub fn first_day(self, period: &str) -> Option<NaiveDate> {
        let day = match self {
            Every::Once => return None,
            Every::Month => format!("{period}-01").parse().ok()?,
            Every::Quarter => {
                let (year, quarter) = period.split_once('Q')?;
                let month = quarter.parse::<u32>().ok()?.checked_sub(1)?.checked_mul(3)? + 1;
                NaiveDate::from_ymd_opt(year.parse().ok()?, month, 1)?
            }
            Every::Year => NaiveDate::from_ymd_opt(period.parse().ok()?, 1, 1)?,
        };
        // Written as we write it, in years that make sense.
        let good = (2000..2200).contains(&day.year()) && self.period_of(day) == period;
        good.then_some(day)
    }

    /// Last day of a period.
    #[must_use]
    pub fn last_day(self, period: &str) -> Option<NaiveDate> {
        let next = self.first_day(period)?.checked_add_months(Months::new(self.months()?))?;
        next.checked_sub_days(Days::new(1))
    }

    /// The period after.
    #[must_use]
    pub fn next(self, period: &str) -> Option<String> {
        let next = self.first_day(period)?.checked_add_months(Months::new(self.months()?))?;
        Some(self.period_of(next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_have_their_ends_and_followers() {
        let d = |s: &str| s.parse::<NaiveDate>().unwrap();
        for (every, day, period, last, next) in [
            (Every::Month, "2028-02-10", "2028-02", "2028-02-29", "2028-03"),
            (Every::Quarter, "2026-12-31", "2026Q4", "2026-12-31", "2027Q1"),
            (Every::Year, "2026-07-01", "2026", "2026-12-31", "2027"),
        ] {
            assert_eq!(every.period_of(d(day)), period);
            assert_eq!(every.last_day(period), Some(d(last)));
            assert_eq!(every.next(period).as_deref(), Some(next));
        }
        for (every, wrong) in [
            (Every::Month, "2026-13"),
            (Every::Month, "2026-2"),
            (Every::Quarter, "2026Q5"),
            (Every::Quarter, "2026Q0"),
            (Every::Year, "0001"),
            (Every::Once, ""),
        ] {
            assert_eq!(every.first_day(wrong), None, "{wrong}");
        }
    }
}
