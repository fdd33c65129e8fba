//! Dates and times as digits, for texts that every call writes: by hand, because a pattern costs more than the digits.
//!
//! Each says what chrono's own form says ([`NaiveDate`]'s and [`NaiveDateTime`]'s `Debug`), and answers `None` where that has no
//! fixed length: years of other than four digits, parts of a second, leap seconds.

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

/// `2026-01-02`
pub(crate) fn date(of: NaiveDate) -> Option<[u8; 10]> {
    let year = u32::try_from(of.year()).ok().filter(|y| *y <= 9999)?;
    let [a, b] = two(year / 100);
    let [c, d] = two(year % 100);
    let ([e, f], [g, h]) = (two(of.month()), two(of.day()));
    Some([a, b, c, d, b'-', e, f, b'-', g, h])
}

/// `2026-01-02T03:04:05`
pub(crate) fn date_time(of: &NaiveDateTime) -> Option<[u8; 19]> {
    if of.nanosecond() != 0 {
        return None;
    }
    seconds(of)
}

/// `2026-01-02T03:04:05.678Z` of a time in UTC; what is less than a millisecond is cut off.
pub(crate) fn stamp(of: &NaiveDateTime) -> Option<[u8; 24]> {
    let millis = of.nanosecond() / 1_000_000;
    if millis > 999 {
        return None;
    }
    let ([_, a], [b, c]) = (two(millis / 100), two(millis % 100));
    let mut text = *b"0000-00-00T00:00:00.000Z";
    let (head, tail) = text.split_at_mut(19);
    head.copy_from_slice(&seconds(of)?);
    if let [_, x, y, z, _] = tail {
        (*x, *y, *z) = (a, b, c);
    }
    Some(text)
}

fn seconds(of: &NaiveDateTime) -> Option<[u8; 19]> {
    let mut text = *b"0000-00-00T00:00:00";
    let (day, rest) = text.split_at_mut(10);
    let (_, time) = rest.split_at_mut(1);
    day.copy_from_slice(&date(of.date())?);
    time.copy_from_slice(&clock(of.time()));
    Some(text)
}

/// `03:04:05`
fn clock(of: NaiveTime) -> [u8; 8] {
    let ([a, b], [c, d], [e, f]) = (two(of.hour()), two(of.minute()), two(of.second()));
    [a, b, b':', c, d, b':', e, f]
}

/// Two digits of a number below a hundred.
fn two(number: u32) -> [u8; 2] {
    let digit = |n: u32| b'0' + u8::try_from(n % 10).unwrap_or(0);
    [digit(number / 10), digit(number)]
}

/// Digits are text.
pub(crate) fn text(digits: &[u8]) -> &str {
    std::str::from_utf8(digits).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, SecondsFormat, TimeDelta};

    fn times() -> Vec<NaiveDateTime> {
        let day = |y, m, d| NaiveDate::from_ymd_opt(y, m, d).unwrap();
        let mut days = vec![day(0, 1, 1), day(9, 12, 31), day(999, 2, 28), day(9999, 12, 31)];
        days.extend((0..800).map(|n| day(1999, 11, 30) + TimeDelta::days(n)));
        let clocks = [(0, 0, 0, 0), (1, 2, 3, 0), (23, 59, 59, 999_999_999), (9, 8, 7, 5_000_000)];
        let at =
            |day: NaiveDate| clocks.map(|(h, m, s, n)| day.and_hms_nano_opt(h, m, s, n).unwrap());
        days.into_iter().flat_map(at).collect()
    }

    #[test]
    fn digits_say_what_chrono_says() {
        for time in times() {
            assert_eq!(
                date(time.date()).map(|d| text(&d).to_owned()),
                Some(time.date().to_string())
            );
            let told = date_time(&time).map(|t| text(&t).to_owned());
            assert_eq!(told, (time.nanosecond() == 0).then(|| format!("{time:?}")));
            let told = stamp(&time).map(|t| text(&t).to_owned());
            assert_eq!(told, Some(time.and_utc().to_rfc3339_opts(SecondsFormat::Millis, true)));
        }
    }

    #[test]
    fn what_has_no_fixed_length_is_left_to_chrono() {
        let day = |year| NaiveDate::from_ymd_opt(year, 1, 1).unwrap();
        assert_eq!((date(day(-1)), date(day(10_000))), (None, None));
        let leap = day(2016).and_hms_nano_opt(23, 59, 59, 1_500_000_000).unwrap();
        assert_eq!((date_time(&leap), stamp(&leap)), (None, None));
        assert_eq!(
            stamp(&DateTime::UNIX_EPOCH.naive_utc()).map(|t| text(&t).to_owned()).as_deref(),
            Some("1970-01-01T00:00:00.000Z")
        );
    }
}
