//! Working days: weekends, public holidays and make-up working days from a versioned rule file.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike, NaiveDate, TimeDelta, Weekday};

use crate::{Error, Result};

/// The working-day calendar.
#[derive(Clone, Debug, Default)]
pub struct Calendar {
    holidays: BTreeSet<NaiveDate>,
    workdays: BTreeSet<NaiveDate>,
    years: BTreeSet<i32>,
}

impl Calendar {
    /// The shipped calendar (State Council notices on holiday arrangements).
    #[must_use]
    pub fn china() -> Self {
        Self::parse(include_str!("../rules/holidays_cn.csv"))
    }

    /// Reads `date,kind` lines, kind `holiday` or `workday`; lines that are not such are passed over (header, comments).
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut calendar = Self::default();
        for line in text.lines() {
            let mut f = line.split(',');
            let Some(date) = f.next().and_then(|d| d.trim().parse::<NaiveDate>().ok()) else {
                continue;
            };
            calendar.years.insert(date.year());
            match f.next().map(str::trim) {
                Some("holiday") => calendar.holidays.insert(date),
                Some("workday") => calendar.workdays.insert(date),
                _ => false,
            };
        }
        calendar
    }

    /// Reads a file of an operator: as [`Calendar::parse`], but a line that is neither a day, a comment (`#`) nor the
    /// header is an error that names it.
    pub fn read(text: &str) -> Result<Self> {
        for (n, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') || (n == 0 && line.starts_with("date")) {
                continue;
            }
            let mut f = line.split(',').map(str::trim);
            let day = f.next().is_some_and(|d| d.parse::<NaiveDate>().is_ok());
            let kind = f.next().is_some_and(|k| matches!(k, "holiday" | "workday"));
            if !(day && kind) {
                return Err(Error::invalid(
                    format!(
                        "第 {} 行 `{line}` 应写成 YYYY-MM-DD,holiday 或 YYYY-MM-DD,workday",
                        n + 1
                    ),
                    format!(
                        "line {}: `{line}` must be YYYY-MM-DD,holiday or YYYY-MM-DD,workday",
                        n + 1
                    ),
                ));
            }
        }
        Ok(Self::parse(text.trim_start_matches('\u{feff}')))
    }

    /// Last day of the last year the file covers; `None` when it covers none.
    #[must_use]
    pub fn last_day(&self) -> Option<NaiveDate> {
        self.years.last().and_then(|year| NaiveDate::from_ymd_opt(*year, 12, 31))
    }

    #[must_use]
    pub fn is_working_day(&self, date: NaiveDate) -> bool {
        if self.workdays.contains(&date) {
            return true;
        }
        !self.holidays.contains(&date) && !matches!(date.weekday(), Weekday::Sat | Weekday::Sun)
    }

    /// The `n`th working day after `from` (`from` itself does not count).
    #[must_use]
    pub fn add_working_days(&self, from: NaiveDate, n: u32) -> NaiveDate {
        let (mut day, mut left) = (from, n);
        while left > 0 {
            day += TimeDelta::days(1);
            if self.is_working_day(day) {
                left -= 1;
            }
        }
        day
    }

    /// Working days from one day to a later one: the first does not count, the last does.
    #[must_use]
    pub fn working_days_between(&self, from: NaiveDate, to: NaiveDate) -> u32 {
        let days = from.iter_days().skip(1).take_while(|d| *d <= to);
        u32::try_from(days.filter(|d| self.is_working_day(*d)).count()).unwrap_or(u32::MAX)
    }

    /// Whether the file covers the year (otherwise only weekends are known).
    #[must_use]
    pub fn covers(&self, year: i32) -> bool {
        self.years.contains(&year)
    }

    /// Holidays by year, for a page that shows the rule.
    #[must_use]
    pub fn holidays_by_year(&self) -> BTreeMap<i32, Vec<NaiveDate>> {
        let mut by: BTreeMap<i32, Vec<NaiveDate>> = BTreeMap::new();
        for d in &self.holidays {
            by.entry(d.year()).or_default().push(*d);
        }
        by
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_year_and_weekend_do_not_count() {
        let c = Calendar::china();
        let d = |s: &str| s.parse::<NaiveDate>().unwrap();
        assert!(c.covers(2026));
        // 2025-12-31 is a Wednesday; 1–3 January 2026 are holidays; 4 January is a make-up working day.
        assert!(!c.is_working_day(d("2026-01-01")));
        assert_eq!(c.add_working_days(d("2025-12-31"), 1), d("2026-01-04"));
        assert_eq!(c.add_working_days(d("2026-11-20"), 2), d("2026-11-24"));
        assert_eq!(c.working_days_between(d("2025-12-31"), d("2026-01-04")), 1);
        assert_eq!(c.working_days_between(d("2026-11-20"), d("2026-11-24")), 2);
        assert_eq!(c.working_days_between(d("2026-11-24"), d("2026-11-24")), 0);
        assert_eq!(c.working_days_between(d("2026-11-24"), d("2026-11-20")), 0);
    }
}
