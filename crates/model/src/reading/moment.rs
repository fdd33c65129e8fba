//! Dates and times as people write them, read without guessing: what could mean two days is refused with a reason.
//!
//! Accepted: `2024-01-02`, `2024/1/2`, `2024.1.2`, `20240102`, `2024年1月2日`, `二〇二四年一月二日`, `民国113年1月2日`,
//! `2 Jan 2024`, `Jan 2, 2024`, `31/12/2024` (only when the order is certain), Excel serial numbers, ISO 8601 with a zone
//! (moved to UTC+8), `下午3:04`, `3:04 PM`. Fractions of a second are kept to the microsecond.

use super::why::Why;
use wording::plain_form;

mod wording;

const DAY_MICROS: i64 = 86_400_000_000;
/// China's civil time, minutes east of UTC.
const CHINA: i64 = 480;

const NOT_A_DATE: Why = Why::plain(
    "不是可识别的日期，建议写成 2024-01-02",
    "is not a date that can be read; write it as 2024-01-02",
);
const NO_SUCH_DAY: Why = Why::plain("该日期不存在", "there is no such day");
const NO_SUCH_TIME: Why = Why::plain("该时刻不存在", "there is no such time of day");
const WHICH_IS_DAY: Why = Why::plain(
    "日与月的次序不明，请写成 年-月-日，或在数据项格式中注明 DD/MM/YYYY 或 MM/DD/YYYY",
    "day and month could be swapped; write year-month-day, or state DD/MM/YYYY or MM/DD/YYYY as the item's format",
);
const HAS_TIME: Why = Why::plain(
    "含有时刻，而数据项是日期型；请去掉时刻或改为日期时间型",
    "has a time of day but the item is a date; remove it or make the item a date and time",
);

/// Order of a numeric date that does not start with the year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    DayFirst,
    MonthFirst,
}

/// What the item or the column says beyond the value itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DateRule {
    pub order: Option<Order>,
    /// The item's format says seconds (1) or milliseconds (1000) since 1970.
    pub unix: Option<i64>,
    /// The item's format is year and month only: day 1 is meant.
    pub month_only: bool,
}

impl DateRule {
    /// Reads an item's `format`.
    pub fn of_format(format: &str) -> Self {
        let upper = format.to_ascii_uppercase();
        let order = if upper.starts_with("DD") {
            Some(Order::DayFirst)
        } else if upper.starts_with("MM/DD") || upper.starts_with("MM-DD") {
            Some(Order::MonthFirst)
        } else {
            None
        };
        let unix = if upper.contains("UNIX") || upper.contains("EPOCH") || format.contains("时间戳")
        {
            let millis = upper.contains("MS") || upper.contains("MILLI") || format.contains("毫秒");
            Some(if millis { 1000 } else { 1 })
        } else {
            None
        };
        let month_only = upper.contains("YYYY")
            && upper.contains("MM")
            && !upper.contains("DD")
            && !upper.contains("HH");
        Self { order, unix, month_only }
    }
}

/// A civil date, and a time of day when one was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Days since 1970-01-01.
    pub days: i32,
    /// Microseconds since midnight; `None` when only a date was written.
    pub micros: Option<i64>,
    /// `true` for eight digits with nothing between: a number that may be a date.
    pub compact: bool,
}

/// Days since 1970-01-01 of a civil date of the years 1 to 9999 (Hinnant's algorithm).
pub fn days_of(year: i64, month: i64, day: i64) -> Option<i32> {
    if !(1..=9999).contains(&year)
        || !(1..=12).contains(&month)
        || day < 1
        || day > month_length(year, month)
    {
        return None;
    }
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    i32::try_from(era * 146_097 + day_of_era - 719_468).ok()
}

fn month_length(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// A date item's value: days since 1970-01-01.
pub fn date(text: &str, rule: DateRule) -> Result<i32, Why> {
    if let Some((days, 10)) = iso_date(text.as_bytes()).filter(|_| text.len() == 10) {
        return Ok(days);
    }
    let moment = moment(text, rule)?;
    match moment.micros {
        None | Some(0) => Ok(moment.days),
        Some(_) => Err(HAS_TIME),
    }
}

/// A date-and-time item's value: microseconds since 1970-01-01T00:00:00 in China's civil time.
pub fn date_time(text: &str, rule: DateRule) -> Result<i64, Why> {
    let moment = moment(text, rule)?;
    Ok(i64::from(moment.days) * DAY_MICROS + moment.micros.unwrap_or(0))
}

/// `YYYY?MM?DD` at the start with equal separators `-`, `/` or `.`, and how many bytes it took.
fn iso_date(b: &[u8]) -> Option<(i32, usize)> {
    let [y0, y1, y2, y3, s1, m0, m1, s2, d0, d1, ..] = b else { return None };
    if s1 != s2 || !matches!(s1, b'-' | b'/' | b'.') {
        return None;
    }
    let digit = |d: &u8| d.is_ascii_digit().then(|| i64::from(d - b'0'));
    let year = digit(y0)? * 1000 + digit(y1)? * 100 + digit(y2)? * 10 + digit(y3)?;
    Some((days_of(year, digit(m0)? * 10 + digit(m1)?, digit(d0)? * 10 + digit(d1)?)?, 10))
}

/// Reads a date with or without a time of day.
pub fn moment(text: &str, rule: DateRule) -> Result<Moment, Why> {
    if let Some(per_second) = rule.unix {
        return unix(text, per_second);
    }
    if let Some((days, taken)) = iso_date(text.as_bytes()) {
        match text.as_bytes().get(taken) {
            None => return Ok(Moment { days, micros: None, compact: false }),
            Some(b'T' | b't' | b' ') => {
                let rest = text.get(taken + 1..).unwrap_or_default();
                if rest.is_ascii() {
                    return with_time(days, rest.trim());
                }
            }
            _ => {}
        }
    }
    if text.len() > 100 {
        return Err(NOT_A_DATE);
    }
    let plain = plain_form(text);
    let plain = plain.trim();
    let digits = plain.len() - plain.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let shaped = digits == plain.len()
        || (digits == 5 && plain.as_bytes().get(5) == Some(&b'.'))
        || digits >= 8;
    if let Some(found) = shaped.then(|| all_digits(plain, digits, rule)).flatten() {
        return found;
    }
    let mut cursor = Cursor { rest: plain };
    let days = cursor.date(rule)?;
    let rest = cursor.rest.trim_start_matches([' ', ',', 'T', 't', '-']).trim();
    if rest.is_empty() {
        return Ok(Moment { days, micros: None, compact: false });
    }
    with_time(days, rest)
}

fn unix(text: &str, per_second: i64) -> Result<Moment, Why> {
    let number: i64 = text.trim().parse().map_err(|_| {
        Why::plain(
            "不是时间戳（1970 年以来的秒或毫秒数）",
            "is not a time stamp (seconds or milliseconds since 1970)",
        )
    })?;
    let micros = number
        .checked_mul(1_000_000 / per_second)
        .and_then(|m| m.checked_add(CHINA * 60_000_000))
        .filter(|m| m.abs() < 253_402_300_800_000_000)
        .ok_or(NO_SUCH_DAY)?;
    settled(micros)
}

fn settled(micros: i64) -> Result<Moment, Why> {
    let days = i32::try_from(micros.div_euclid(DAY_MICROS)).map_err(|_| NO_SUCH_DAY)?;
    Ok(Moment { days, micros: Some(micros.rem_euclid(DAY_MICROS)), compact: false })
}

/// `20240102`, `20240102030405`, `202401021530`, `20240102T030405Z`, an Excel serial number, `202401` when months are meant.
fn all_digits(plain: &str, digits: usize, rule: DateRule) -> Option<Result<Moment, Why>> {
    let part = |a: usize, b: usize| plain.get(a..b).and_then(|t| t.parse::<i64>().ok());
    let ymd = || days_of(part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let whole = digits == plain.len();
    match digits {
        6 if whole && rule.month_only => Some(
            part(0, 4)
                .zip(part(4, 6))
                .and_then(|(y, m)| days_of(y, m, 1))
                .map_or(Err(NO_SUCH_DAY), |days| Ok(Moment { days, micros: None, compact: true })),
        ),
        5 => Some(excel(plain)),
        8 => {
            let Some(days) = ymd() else { return Some(Err(NO_SUCH_DAY)) };
            let rest = plain.get(8..)?.trim_start_matches(['T', 't', ' ']).trim();
            if rest.is_empty() {
                return Some(Ok(Moment { days, micros: None, compact: true }));
            }
            Some(with_time(days, rest))
        }
        12 | 14 if whole || !plain.get(digits..)?.contains('-') => {
            let Some(days) = ymd() else { return Some(Err(NO_SUCH_DAY)) };
            let mut clock = format!("{}:{}", plain.get(8..10)?, plain.get(10..12)?);
            if digits == 14 {
                clock = format!("{clock}:{}", plain.get(12..14)?);
            }
            clock.push_str(plain.get(digits..)?);
            Some(with_time(days, &clock).map(|m| Moment { compact: whole, ..m }))
        }
        _ => None,
    }
}

/// Excel's day number (1900 system); the fraction is the time of day.
pub fn excel(text: &str) -> Result<Moment, Why> {
    let serial: f64 = text.parse().map_err(|_| NOT_A_DATE)?;
    if !(61.0..2_958_466.0).contains(&serial) {
        return Err(NOT_A_DATE);
    }
    let millis = (serial * 86_400_000.0).round();
    let micros = (millis as i64 - 25_569 * 86_400_000) * 1000;
    let mut moment = settled(micros)?;
    if serial.fract() == 0.0 {
        moment.micros = None;
    }
    Ok(moment)
}

/// `HH:MM:SS` and nothing else, the common shape.
fn plain_time(text: &str) -> Option<i64> {
    let [h1, h0, b':', m1, m0, b':', s1, s0] = text.as_bytes() else { return None };
    let two = |a: &u8, b: &u8| {
        (a.is_ascii_digit() && b.is_ascii_digit())
            .then(|| i64::from(a - b'0') * 10 + i64::from(b - b'0'))
    };
    let (hour, minute, second) = (two(h1, h0)?, two(m1, m0)?, two(s1, s0)?);
    (hour < 24 && minute < 60 && second < 60)
        .then_some((hour * 3600 + minute * 60 + second) * 1_000_000)
}

/// Joins a date with a written time of day and zone.
fn with_time(days: i32, text: &str) -> Result<Moment, Why> {
    if let Some(micros) = plain_time(text) {
        return Ok(Moment { days, micros: Some(micros), compact: false });
    }
    let (micros, zone) = time(text)?;
    let at = i64::from(days) * DAY_MICROS + micros;
    match zone {
        None if micros == DAY_MICROS => settled(at),
        None => Ok(Moment { days, micros: Some(micros), compact: false }),
        Some(zone) => settled(at + (CHINA - zone) * 60_000_000),
    }
}

/// `HH[:MM[:SS[.f]]] [AM|PM] [zone]` to microseconds since midnight and minutes east of UTC.
fn time(text: &str) -> Result<(i64, Option<i64>), Why> {
    let mut c = Cursor { rest: text };
    let mut half = c.half_day();
    let (hour, minute, second) = match c.digits() {
        Some((hms, 6)) => (hms / 10_000, hms / 100 % 100, hms % 100),
        Some((hm, 4)) => (hm / 100, hm % 100, 0),
        Some((hour, 1 | 2)) => {
            if c.take(':') {
                let minute = c.digits().filter(|d| d.1 <= 2).ok_or(NOT_A_DATE)?.0;
                let second = if c.take(':') && c.rest.starts_with(|d: char| d.is_ascii_digit()) {
                    c.digits().filter(|d| d.1 <= 2).ok_or(NOT_A_DATE)?.0
                } else {
                    0
                };
                (hour, minute, second)
            } else {
                half = half.or_else(|| c.half_day());
                if half.is_none() {
                    return Err(NOT_A_DATE);
                }
                (hour, 0, 0)
            }
        }
        _ => return Err(NOT_A_DATE),
    };
    let mut micros = 0;
    if c.take('.') || c.take(',') {
        let mut unit = 100_000;
        let fraction = c.rest.len() - c.rest.trim_start_matches(|d: char| d.is_ascii_digit()).len();
        for b in c.rest.bytes().take(fraction) {
            micros += i64::from(b - b'0') * unit;
            unit /= 10;
        }
        c.rest = c.rest.get(fraction..).unwrap_or_default();
    }
    c.rest = c.rest.trim_start();
    half = half.or_else(|| c.half_day());
    let hour = match half {
        Some(_) if !(1..=12).contains(&hour) => {
            if half == Some(true) && (12..24).contains(&hour) {
                hour
            } else {
                return Err(NO_SUCH_TIME);
            }
        }
        Some(true) => hour % 12 + 12,
        Some(false) => hour % 12,
        None => hour,
    };
    let day_end = hour == 24 && minute == 0 && second == 0 && micros == 0;
    if (hour > 23 && !day_end) || minute > 59 || second > 59 {
        return Err(NO_SUCH_TIME);
    }
    let zone = zone(c.rest.trim())?;
    Ok(((hour * 3600 + minute * 60 + second) * 1_000_000 + micros, zone))
}

fn zone(text: &str) -> Result<Option<i64>, Why> {
    if text.is_empty() {
        return Ok(None);
    }
    let rest =
        ["UTC", "GMT", "Z", "z"].iter().find_map(|w| text.strip_prefix(w)).map(|r| (true, r));
    let (named, rest) = rest.unwrap_or((false, text));
    let rest = rest.trim();
    if rest.is_empty() {
        return Ok(named.then_some(0));
    }
    let sign = match rest.chars().next() {
        Some('+') => 1,
        Some('-') => -1,
        _ => return Err(NOT_A_DATE),
    };
    // PostgreSQL writes +08, ISO +08:00 or +0800; a named zone may follow in brackets.
    let digits: String =
        rest.get(1..).unwrap_or_default().split('[').next().unwrap_or_default().replace(':', "");
    let number: i64 = digits.parse().map_err(|_| NOT_A_DATE)?;
    let (hours, minutes) =
        if digits.len() <= 2 { (number, 0) } else { (number / 100, number % 100) };
    if hours > 15 || minutes > 59 || digits.len() > 4 {
        return Err(NOT_A_DATE);
    }
    Ok(Some(sign * (hours * 60 + minutes)))
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const FULL_MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, c: char) -> bool {
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }
    /// A run of digits: value and length.
    fn digits(&mut self) -> Option<(i64, usize)> {
        let rest = self.rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let length = self.rest.len() - rest.len();
        let value = self.rest.get(..length)?.parse().ok()?;
        self.rest = rest;
        Some((value, length))
    }
    fn word(&mut self) -> Option<&'a str> {
        let rest = self.rest.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        let word = self.rest.get(..self.rest.len() - rest.len()).filter(|w| !w.is_empty())?;
        self.rest = rest;
        Some(word)
    }
    /// AM is `false`, PM is `true`.
    fn half_day(&mut self) -> Option<bool> {
        let before = self.rest;
        self.rest = self.rest.trim_start();
        if let Some(word) = self.word() {
            let pm = word.eq_ignore_ascii_case("pm");
            if pm || word.eq_ignore_ascii_case("am") {
                self.rest = self.rest.trim_start();
                return Some(pm);
            }
        }
        self.rest = before;
        None
    }
    fn month(&mut self) -> Option<i64> {
        let word = self.word()?.to_ascii_lowercase();
        let at = MONTHS.iter().position(|m| *m == word || (word == "sept" && *m == "sep"));
        let at = at.or_else(|| FULL_MONTHS.iter().position(|m| *m == word))?;
        i64::try_from(at + 1).ok()
    }
    fn gap(&mut self) -> char {
        let mut sign = ' ';
        while let Some(c) =
            self.rest.chars().next().filter(|c| matches!(c, ' ' | '-' | '/' | '.' | ','))
        {
            if c != ' ' {
                sign = c;
            }
            self.take(c);
        }
        sign
    }

    fn date(&mut self, rule: DateRule) -> Result<i32, Why> {
        let republic = self.rest.strip_prefix("民国").or_else(|| self.rest.strip_prefix("民國"));
        if let Some(rest) = republic {
            self.rest = rest.trim_start();
        }
        let before = self.rest;
        if self.rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
            if self.month().is_none() {
                // A weekday's name before the date.
                self.gap();
            } else {
                self.rest = before;
                return self.named_month_first();
            }
            if self.rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
                return self.named_month_first();
            }
        }
        let (first, first_length) = self.digits().ok_or(NOT_A_DATE)?;
        let first_sign = self.gap();
        if self.rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
            let month = self.month().ok_or(NOT_A_DATE)?;
            self.gap();
            let (last, last_length) = self.digits().ok_or(NOT_A_DATE)?;
            return match (first_length, last_length) {
                (4, 1 | 2) => days_of(first, month, last).ok_or(NO_SUCH_DAY),
                (1 | 2, 4) => days_of(last, month, first).ok_or(NO_SUCH_DAY),
                _ => Err(NOT_A_DATE),
            };
        }
        let (second, second_length) = self.digits().ok_or(NOT_A_DATE)?;
        if second_length > 2 || first_sign == ' ' || first_sign == ',' {
            return Err(NOT_A_DATE);
        }
        if (first_length == 4 || republic.is_some())
            && self.rest.trim().is_empty()
            && rule.month_only
        {
            return days_of(first, second, 1).ok_or(NO_SUCH_DAY);
        }
        if !self.take(first_sign) {
            return Err(NOT_A_DATE);
        }
        let (third, third_length) = self.digits().ok_or(NOT_A_DATE)?;
        if republic.is_some() && third_length <= 2 {
            return days_of(first.saturating_add(1911), second, third).ok_or(NO_SUCH_DAY);
        }
        match (first_length, third_length) {
            (4, 1 | 2) => days_of(first, second, third).ok_or(NO_SUCH_DAY),
            (1 | 2, 4) => year_last(first, second, third, first_sign, rule),
            _ => Err(NOT_A_DATE),
        }
    }

    fn named_month_first(&mut self) -> Result<i32, Why> {
        let month = self.month().ok_or(NOT_A_DATE)?;
        self.gap();
        let (day, length) = self.digits().ok_or(NOT_A_DATE)?;
        if length > 2 {
            return Err(NOT_A_DATE);
        }
        for suffix in ["st", "nd", "rd", "th"] {
            if let Some(rest) = self.rest.strip_prefix(suffix) {
                self.rest = rest;
                break;
            }
        }
        self.gap();
        let (year, length) = self.digits().ok_or(NOT_A_DATE)?;
        if length != 4 {
            return Err(NOT_A_DATE);
        }
        days_of(year, month, day).ok_or(NO_SUCH_DAY)
    }
}

/// `a/b/YYYY`: certain when one of them exceeds 12, when they are equal, when dots are used (day first), or by rule.
fn year_last(a: i64, b: i64, year: i64, sign: char, rule: DateRule) -> Result<i32, Why> {
    let order = match rule.order {
        Some(order) => order,
        None if sign == '.' || a > 12 || a == b => Order::DayFirst,
        None if b > 12 => Order::MonthFirst,
        None => return Err(WHICH_IS_DAY),
    };
    let (day, month) = if order == Order::DayFirst { (a, b) } else { (b, a) };
    days_of(year, month, day).ok_or(NO_SUCH_DAY)
}

/// The two leading numbers of `a/b/YYYY` or `a-b-YYYY`, to learn a column's order.
pub fn slashed(text: &str) -> Option<(i64, i64)> {
    let mut c = Cursor { rest: text };
    let (a, a_length) = c.digits()?;
    let sign = c.rest.chars().next().filter(|s| matches!(s, '/' | '-'))?;
    c.take(sign);
    let (b, b_length) = c.digits()?;
    if !c.take(sign) || a_length > 2 || b_length > 2 {
        return None;
    }
    c.digits().filter(|d| d.1 == 4)?;
    (c.rest.is_empty() || c.rest.starts_with([' ', 'T'])).then_some((a, b))
}

#[cfg(test)]
mod tests;
