//! Which rows a turn reads: half-open windows of a watermark, `from` belonging to it and `to` not.
//!
//! ```text
//! position (committed with the rows)      the turn's time
//!         |                                     |
//!   late  |<------------- new rows ------------>|
//! [-------+-------------------------------------)
//! from                                          to        next position = to
//! ```
//!
//! A watermark that is a number has no "now": `to` stays open and the next position is one above the highest that was read.

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::code::code_list;
use crate::op::china;
use crate::{Code, Error, Result};

/// Begins what is bound into a statement or an address.
pub const FROM: &str = "{from}";
/// The other end.
pub const TO: &str = "{to}";

code_list! {
    /// What a watermark is.
    MarkKind {
        DateTime = "datetime", "日期时间", "Date and time";
        Date = "date", "日期", "Date";
        Integer = "integer", "整数", "Whole number";
    }
}

/// A value of a watermark. Times are civil times of China, as databases are asked to tell them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    DateTime(NaiveDateTime),
    Date(NaiveDate),
    Integer(i64),
}

impl Mark {
    /// Reads a value; times with blank or `T`, with or without the time of day.
    #[must_use]
    pub fn parse(kind: MarkKind, text: &str) -> Option<Self> {
        let text = text.trim();
        match kind {
            MarkKind::Integer => text.parse().ok().map(Self::Integer),
            MarkKind::Date => text.parse().ok().map(Self::Date),
            MarkKind::DateTime => {
                let spelled = text.replacen(' ', "T", 1);
                let full = NaiveDateTime::parse_from_str(&spelled, "%Y-%m-%dT%H:%M:%S%.f");
                let minutes = || NaiveDateTime::parse_from_str(&spelled, "%Y-%m-%dT%H:%M");
                let day = || text.parse::<NaiveDate>().map(|d| d.and_time(chrono::NaiveTime::MIN));
                full.or_else(|_| minutes()).or_else(|_| day()).ok().map(Self::DateTime)
            }
        }
    }

    /// The time of a turn as a mark; `None` for numbers, which have no now.
    #[must_use]
    pub fn now(kind: MarkKind, at: DateTime<Utc>) -> Option<Self> {
        let at = at.with_timezone(&china()).naive_local();
        match kind {
            MarkKind::DateTime => Some(Self::DateTime(at)),
            MarkKind::Date => Some(Self::Date(at.date())),
            MarkKind::Integer => None,
        }
    }

    /// As kept and shown.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::DateTime(at) => at.format("%Y-%m-%dT%H:%M:%S%.f").to_string(),
            Self::Date(day) => day.to_string(),
            Self::Integer(n) => n.to_string(),
        }
    }

    /// As a literal of SQL: nothing in it can end the literal.
    #[must_use]
    pub fn literal(&self) -> String {
        match self {
            Self::DateTime(at) => format!("'{}'", at.format("%Y-%m-%d %H:%M:%S%.f")),
            Self::Date(day) => format!("'{day}'"),
            Self::Integer(n) => n.to_string(),
        }
    }

    /// In an address, by a pattern of `strftime`; ISO 8601 with the offset of China when there is none.
    pub fn spelled(&self, pattern: &str) -> Result<String> {
        use std::fmt::Write as _;
        let mut text = String::new();
        let at = match self {
            Self::Integer(n) => return Ok(n.to_string()),
            Self::Date(day) if pattern.is_empty() => return Ok(day.to_string()),
            Self::Date(day) => day.and_time(chrono::NaiveTime::MIN),
            Self::DateTime(at) => *at,
        };
        let zoned = at.and_local_timezone(china()).single();
        let zoned = zoned.ok_or_else(|| Error::internal("a civil time that does not exist"))?;
        let pattern = if pattern.is_empty() { "%Y-%m-%dT%H:%M:%S%:z" } else { pattern };
        write!(text, "{}", zoned.format(pattern)).map_err(|_| {
            Error::invalid(
                format!("时间格式 `{pattern}` 无法使用"),
                format!("the time pattern `{pattern}` cannot be used"),
            )
        })?;
        Ok(text)
    }

    fn minus(self, step: Step) -> Self {
        self.moved(step, -1).unwrap_or(self)
    }

    fn plus(self, step: Step) -> Option<Self> {
        self.moved(step, 1)
    }

    fn moved(self, step: Step, sign: i64) -> Option<Self> {
        match (self, step) {
            (Self::DateTime(at), Step::Time(by)) => at
                .checked_add_signed(TimeDelta::seconds(by.num_seconds() * sign))
                .map(Self::DateTime),
            (Self::Date(day), Step::Time(by)) => {
                day.checked_add_signed(TimeDelta::days(by.num_days() * sign)).map(Self::Date)
            }
            (Self::Integer(n), Step::Number(by)) => n.checked_add(by * sign).map(Self::Integer),
            _ => None,
        }
    }
}

/// A distance between marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Time(TimeDelta),
    Number(i64),
}

impl Step {
    /// Reads `2d`, `6h` (times; whole days for dates) or a number.
    #[must_use]
    pub fn parse(kind: MarkKind, text: &str) -> Option<Self> {
        match kind {
            MarkKind::Integer => text
                .trim()
                .parse()
                .ok()
                .filter(|n| (0..=i64::MAX / 2).contains(n))
                .map(Self::Number),
            MarkKind::Date => {
                duration(text).filter(|d| d.num_seconds() % 86_400 == 0).map(Self::Time)
            }
            MarkKind::DateTime => duration(text).map(Self::Time),
        }
    }
    #[must_use]
    pub fn is_nothing(self) -> bool {
        matches!(self, Self::Number(0)) || matches!(self, Self::Time(d) if d.is_zero())
    }
}

/// Reads a span of time: a number with `s`, `m`, `h` or `d` (`90s`, `15m`, `2h`, `3d`), at most 100 years.
#[must_use]
pub fn duration(text: &str) -> Option<TimeDelta> {
    let text = text.trim();
    let unit = text.chars().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    let number: i64 = text.strip_suffix(unit)?.trim().parse().ok()?;
    let all = number.checked_mul(seconds).filter(|n| (0..=100 * 366 * 86_400).contains(n))?;
    Some(TimeDelta::seconds(all))
}

/// The rows of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub from: Mark,
    /// Not part of it; open for numbers.
    pub to: Option<Mark>,
}

/// `from` and `to` as texts, to be kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowText {
    pub from: String,
    pub to: String,
}

impl Window {
    /// What a turn at `at` reads when everything before `position` has landed. A clock that went back leaves an empty
    /// window, never one that ends before it begins.
    #[must_use]
    pub fn of_turn(kind: MarkKind, position: Mark, late: Step, at: DateTime<Utc>) -> Self {
        let to = Mark::now(kind, at).map(|to| to.max(position));
        Self { from: position.minus(late), to }
    }

    #[must_use]
    pub fn text(&self) -> WindowText {
        WindowText { from: self.from.text(), to: self.to.map(|to| to.text()).unwrap_or_default() }
    }

    /// Fills a statement's `{from}` and `{to}`.
    #[must_use]
    pub fn bind(&self, sql: &str) -> String {
        let open = Mark::Integer(i64::MAX);
        sql.replace(FROM, &self.from.literal()).replace(TO, &self.to.unwrap_or(open).literal())
    }

    /// Cuts a range into slices of `step`, the last as short as it must be.
    pub fn slices(from: Mark, to: Mark, step: Step, most: usize) -> Result<Vec<Self>> {
        let wrong =
            |zh: &str, en: &str| Error::new(Code::InvalidInput, zh.to_owned(), en.to_owned());
        if from >= to {
            return Err(wrong(
                "补采范围的起点应早于终点",
                "the range of a backfill begins before it ends",
            )
            .field("to", "应晚于起点", "must be after the beginning"));
        }
        if step.is_nothing() {
            return Err(wrong("补采的步长应大于零", "the step of a backfill is above zero").field(
                "step",
                "请填写步长",
                "give a step",
            ));
        }
        let (mut slices, mut begin) = (Vec::new(), from);
        while begin < to {
            let end = begin.plus(step).filter(|end| *end > begin).map_or(to, |end| end.min(to));
            slices.push(Self { from: begin, to: Some(end) });
            begin = end;
            if slices.len() > most {
                return Err(Error::invalid(
                    format!("补采将分成超过 {most} 片，请加大步长或缩小范围"),
                    format!("the backfill would have more than {most} slices: take a longer step or a shorter range"),
                )
                .field("step", "请加大步长", "take a longer step"));
            }
        }
        Ok(slices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Mark {
        Mark::parse(MarkKind::DateTime, text).unwrap()
    }

    #[test]
    fn marks_are_read_as_they_were_written() {
        for (kind, text) in [
            (MarkKind::DateTime, "2026-03-02T09:00:00"),
            (MarkKind::DateTime, "2026-03-02T09:00:00.123456"),
            (MarkKind::Date, "2026-03-02"),
            (MarkKind::Integer, "-7"),
        ] {
            assert_eq!(Mark::parse(kind, text).unwrap().text(), text);
        }
        assert_eq!(time("2026-03-02"), time("2026-03-02 00:00"));
        for wrong in ["", "now()", "2026-13-01", "1' OR '1'='1", "2026-03-02T09:00:00Z; DROP"] {
            assert!(Mark::parse(MarkKind::DateTime, wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_turn_reads_from_its_position_less_what_may_come_late() {
        let at: DateTime<Utc> = "2026-03-02T01:00:00Z".parse().unwrap();
        let late = Step::parse(MarkKind::DateTime, "2h").unwrap();
        let window = Window::of_turn(MarkKind::DateTime, time("2026-03-01"), late, at);
        assert_eq!(
            window.bind("SELECT * FROM t WHERE a >= {from} AND a < {to}"),
            "SELECT * FROM t WHERE a >= '2026-02-28 22:00:00' AND a < '2026-03-02 09:00:00'"
        );
        let back = Window::of_turn(MarkKind::DateTime, time("2027-01-01"), late, at);
        assert_eq!(back.to, Some(time("2027-01-01")));
        let id = Window::of_turn(MarkKind::Integer, Mark::Integer(100), Step::Number(10), at);
        assert_eq!(id.bind("{from} {to}"), format!("90 {}", i64::MAX));
    }

    #[test]
    fn a_range_is_cut_without_gap_and_without_overlap() {
        let step = Step::parse(MarkKind::DateTime, "1d").unwrap();
        let (from, to) = (time("2026-01-01"), time("2026-01-03T12:00"));
        let slices = Window::slices(from, to, step, 10).unwrap();
        assert_eq!(slices.len(), 3);
        assert_eq!(slices.first().unwrap().from, from);
        assert_eq!(slices.last().unwrap().to, Some(to));
        assert!(slices.windows(2).all(|two| two[0].to == Some(two[1].from)));
        assert!(Window::slices(from, to, step, 2).is_err());
        assert!(Window::slices(to, from, step, 10).is_err());
        assert!(Window::slices(from, to, Step::Time(TimeDelta::zero()), 10).is_err());
    }

    #[test]
    fn times_are_spelled_for_an_address() {
        let at = time("2026-03-02T09:05");
        assert_eq!(at.spelled("").unwrap(), "2026-03-02T09:05:00+08:00");
        assert_eq!(at.spelled("%Y%m%d%H").unwrap(), "2026030209");
        assert_eq!(at.spelled("%s").unwrap(), "1772413500");
        assert!(at.spelled("%Q").is_err());
        assert_eq!(duration("90s"), Some(TimeDelta::seconds(90)));
        assert!(["", "5", "d", "-1d", "1w", "99999999999d"].iter().all(|t| duration(t).is_none()));
    }
}
