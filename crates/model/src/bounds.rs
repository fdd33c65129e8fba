//! Bounds of calling (调用约束): what an owner of data or the security officer sets on top of a grant. They never allow anything.
//!
//! They are set for an application, for one share application, or for a resource; a call keeps to all that concern it.

use std::fmt;

use chrono::{DateTime, Datelike, FixedOffset, NaiveTime, Timelike};
use serde::{Deserialize, Serialize};

use crate::code::code_list;

code_list! {
    /// For what bounds are set.
    BoundsKind {
        Application = "application", "应用", "Application";
        Request = "request", "共享申请", "Share application";
        Entry = "entry", "数据资源", "Resource";
    }
}

/// What is set; nothing set bounds nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bounds {
    /// Calls under way at once, in each process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Calls a second in the long run, and how many may come at once; in each process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<RateBound>,
    /// Addresses and networks that may call (`10.1.0.0/16`); none named: any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// Hours in which may be called, local time (UTC+8); none named: any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Window>,
    /// How often one application may ask for one citizen's or company's record a day. Not of an application as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<SubjectBound>,
    /// The item that names the subject, without whose standing authorisation (主体授权) nothing of it is answered. Not of an
    /// application as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorised: Option<String>,
    /// Every call says what it is for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub purpose: bool,
}

impl Bounds {
    /// Whether anything is set.
    #[must_use]
    pub fn any(&self) -> bool {
        *self != Self::default()
    }
}

/// A rate with its burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateBound {
    pub per_second: u32,
    /// Calls that may come at once after a pause; a second's when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
}

impl RateBound {
    /// Calls that may come at once.
    #[must_use]
    pub fn at_once(&self) -> u32 {
        self.burst.unwrap_or(self.per_second).max(1)
    }
}

/// A limit by whom a record is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectBound {
    /// The item that names the subject (`sfzh`, `tyshxydm`).
    pub item: String,
    pub per_day: u32,
}

const MINUTES: u16 = 24 * 60;

/// Hours on days of the week: `1-5 08:30-17:30`, `6,7 10:00-12:00`; Monday is 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Bit n is day n + 1.
    days: u8,
    /// Minutes of the day: from, and up to (1440 is its end).
    from: u16,
    to: u16,
}

impl Window {
    /// Reads what [`fmt::Display`] writes; `None` when it is nothing of the kind.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (days, hours) = text.trim().split_once(' ')?;
        let day = |text: &str| text.trim().parse::<u8>().ok().filter(|d| (1..=7).contains(d));
        let mut bits = 0_u8;
        for part in days.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (day(first)?, day(last)?);
            if first > last {
                return None;
            }
            (first..=last).for_each(|d| bits |= 1 << (d - 1));
        }
        let (from, to) = hours.trim().split_once('-')?;
        let (from, to) = (minute(from)?, minute(to)?);
        (from < to).then_some(Self { days: bits, from, to })
    }

    /// Whether a moment lies in it.
    #[must_use]
    pub fn holds(&self, at: DateTime<FixedOffset>) -> bool {
        let minute = minute_of(at);
        self.on(day_of(at)) && (self.from..self.to).contains(&minute)
    }

    /// Minutes until it begins the next time; 0 while it holds.
    fn wait(&self, at: DateTime<FixedOffset>) -> Option<u32> {
        if self.holds(at) {
            return Some(0);
        }
        let (today, now) = (day_of(at), minute_of(at));
        (0..=7_u8)
            .filter(|ahead| self.on((today + ahead) % 7) && (*ahead > 0 || self.from > now))
            .map(|ahead| {
                u32::from(ahead) * u32::from(MINUTES) + u32::from(self.from) - u32::from(now)
            })
            .min()
    }

    fn on(&self, day: u8) -> bool {
        self.days & (1 << day) != 0
    }
}

/// When one of the windows opens the next time; `None` when one holds now.
#[must_use]
pub fn opens(windows: &[Window], at: DateTime<FixedOffset>) -> Option<DateTime<FixedOffset>> {
    let wait = windows.iter().filter_map(|w| w.wait(at)).min().filter(|wait| *wait > 0)?;
    let start = at.with_time(NaiveTime::from_hms_opt(at.hour(), at.minute(), 0)?).single()?;
    start.checked_add_signed(chrono::TimeDelta::minutes(i64::from(wait)))
}

/// From Monday, 0.
fn day_of(at: DateTime<FixedOffset>) -> u8 {
    u8::try_from(at.weekday().num_days_from_monday()).unwrap_or(0)
}

fn minute_of(at: DateTime<FixedOffset>) -> u16 {
    u16::try_from(at.hour() * 60 + at.minute()).unwrap_or(0)
}

fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':')?;
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    let all = hour * 60 + minute;
    (minute < 60 && hour <= 24 && all <= MINUTES).then_some(all)
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<(u8, u8)> = Vec::new();
        for day in (1..=7_u8).filter(|d| self.on(d - 1)) {
            match parts.last_mut() {
                Some((_, last)) if *last + 1 == day => *last = day,
                _ => parts.push((day, day)),
            }
        }
        for (n, (first, last)) in parts.iter().enumerate() {
            let comma = if n > 0 { "," } else { "" };
            match first == last {
                true => write!(f, "{comma}{first}")?,
                false => write!(f, "{comma}{first}-{last}")?,
            }
        }
        let clock = |m: u16| format!("{:02}:{:02}", m / 60, m % 60);
        write!(f, " {}-{}", clock(self.from), clock(self.to))
    }
}

impl Serialize for Window {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Self::parse(&text)
            .ok_or_else(|| serde::de::Error::custom(format!("`{text}` is no window of time")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<FixedOffset> {
        DateTime::parse_from_rfc3339(text).unwrap()
    }

    #[test]
    fn windows_are_read_as_they_are_written() {
        for text in ["1-5 08:30-17:30", "6-7 10:00-24:00", "1,3,5-7 00:00-00:01"] {
            assert_eq!(Window::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Window::parse("6,7 1:00-2:00").unwrap().to_string(), "6-7 01:00-02:00");
        for text in [
            "",
            "1-5",
            "0 08:00-09:00",
            "8 08:00-09:00",
            "5-1 08:00-09:00",
            "1 09:00-09:00",
            "1 9-10",
            "1 08:00-24:01",
            "1 08:60-09:00",
        ] {
            assert!(Window::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_closed_window_says_when_it_opens() {
        let week = [Window::parse("1-5 08:30-17:30").unwrap()];
        // A Monday.
        assert_eq!(opens(&week, at("2026-03-02T09:00:00+08:00")), None);
        assert_eq!(opens(&week, at("2026-03-02T17:29:59+08:00")), None);
        let next = |text| opens(&week, at(text)).unwrap().to_rfc3339();
        assert_eq!(next("2026-03-02T08:29:59+08:00"), "2026-03-02T08:30:00+08:00");
        assert_eq!(next("2026-03-02T17:30:00+08:00"), "2026-03-03T08:30:00+08:00");
        assert_eq!(next("2026-03-06T18:00:00+08:00"), "2026-03-09T08:30:00+08:00");
        assert_eq!(opens(&[], at("2026-03-06T18:00:00+08:00")), None);
        let one = [Window::parse("1 08:00-09:00").unwrap()];
        let next = opens(&one, at("2026-03-02T09:30:00+08:00")).unwrap();
        assert_eq!(next.to_rfc3339(), "2026-03-09T08:00:00+08:00");
    }
}
