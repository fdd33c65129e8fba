//! When a pipeline's turns are, in the civil time of China.

use std::str::FromStr as _;

use chrono::{DateTime, Days, FixedOffset, NaiveTime, Utc};
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

use crate::calendar::Calendar;
use crate::op::china;

/// Turns missed are counted up to here.
const COUNTED: u64 = 10_000;
/// Longest way to the next working day.
const DAYS_AHEAD: u64 = 400;

/// When turns are.
#[derive(Clone, Debug)]
pub enum Schedule {
    /// Five fields: minute, hour, day, month, day of the week.
    Cron(Box<Cron>),
    /// At a time on every working day.
    Workdays(NaiveTime),
}

impl Schedule {
    /// Reads a cron pattern of five fields; the error is the parser's word.
    pub fn cron(pattern: &str) -> Result<Self, String> {
        let parser =
            CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        parser.parse(pattern.trim()).map(|c| Self::Cron(Box::new(c))).map_err(|e| e.to_string())
    }

    /// Reads `HH:MM`.
    #[must_use]
    pub fn workdays(at: &str) -> Option<Self> {
        let good = at.len() == 5;
        NaiveTime::from_str(&format!("{at}:00")).ok().filter(|_| good).map(Self::Workdays)
    }

    /// The first turn after `at`; `None` when there is none any more.
    #[must_use]
    pub fn next(&self, at: DateTime<Utc>, calendar: &Calendar) -> Option<DateTime<Utc>> {
        let at = at.with_timezone(&china());
        match self {
            Self::Cron(cron) => cron.find_next_occurrence(&at, false).ok().map(utc),
            Self::Workdays(time) => (0..DAYS_AHEAD)
                .filter_map(|n| at.date_naive().checked_add_days(Days::new(n)))
                .filter(|day| calendar.is_working_day(*day))
                .filter_map(|day| day.and_time(*time).and_local_timezone(china()).single())
                .find(|turn| *turn > at)
                .map(utc),
        }
    }

    /// Of a turn that was due and those after it up to `now`: the newest, and how many came before it and were missed.
    #[must_use]
    pub fn latest(
        &self,
        due: DateTime<Utc>,
        now: DateTime<Utc>,
        calendar: &Calendar,
    ) -> (DateTime<Utc>, u64) {
        let (mut newest, mut missed) = (due, 0);
        while let Some(next) = self.next(newest, calendar).filter(|next| *next <= now) {
            newest = next;
            missed += 1;
            if missed >= COUNTED {
                // So many that their number does not matter any more: the newest does.
                if let Self::Cron(cron) = self
                    && let Ok(last) =
                        cron.find_previous_occurrence(&now.with_timezone(&china()), true)
                {
                    newest = utc(last);
                }
                break;
            }
        }
        (newest, missed)
    }
}

fn utc(at: DateTime<FixedOffset>) -> DateTime<Utc> {
    at.with_timezone(&Utc)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_cron_pattern_is_of_china() {
        let daily = Schedule::cron("15 2 * * *").unwrap();
        let calendar = Calendar::china();
        assert_eq!(
            daily.next(at("2026-03-01T18:15:00Z"), &calendar),
            Some(at("2026-03-02T18:15:00Z"))
        );
        assert_eq!(
            daily.next(at("2026-03-01T18:14:59Z"), &calendar),
            Some(at("2026-03-01T18:15:00Z"))
        );
        for wrong in ["", "61 * * * *", "* * * *", "* * * * * *", "每天"] {
            assert!(Schedule::cron(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn missed_turns_are_counted_and_the_newest_counts() {
        let hourly = Schedule::cron("0 * * * *").unwrap();
        let calendar = Calendar::china();
        let (newest, missed) =
            hourly.latest(at("2026-03-01T00:00:00Z"), at("2026-03-01T05:30:00Z"), &calendar);
        assert_eq!((newest, missed), (at("2026-03-01T05:00:00Z"), 5));
        let (newest, missed) =
            hourly.latest(at("2026-03-01T05:00:00Z"), at("2026-03-01T05:30:00Z"), &calendar);
        assert_eq!((newest, missed), (at("2026-03-01T05:00:00Z"), 0));
        let (newest, _) =
            hourly.latest(at("2020-03-01T05:00:00Z"), at("2026-03-01T05:30:00Z"), &calendar);
        assert_eq!(newest, at("2026-03-01T05:00:00Z"));
    }

    #[test]
    fn working_days_leave_holidays_out() {
        let morning = Schedule::workdays("08:30").unwrap();
        let calendar = Calendar::china();
        // Wednesday, the last day of 2025; then holidays until the make-up Sunday of 4 January.
        let wednesday = at("2025-12-31T00:30:00Z");
        assert_eq!(morning.next(at("2025-12-30T23:00:00Z"), &calendar), Some(wednesday));
        assert_eq!(morning.next(wednesday, &calendar), Some(at("2026-01-04T00:30:00Z")));
        assert!(Schedule::workdays("8:30").is_none() && Schedule::workdays("25:00").is_none());
    }
}
