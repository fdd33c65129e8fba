//! Dates and times of every kind, and what is refused.

use chrono::{NaiveDate, NaiveDateTime};

use super::*;

fn read(text: &str) -> Result<String, Why> {
    let m = moment(text, DateRule::default())?;
    let day = crate::batch::date_of_days(m.days).unwrap();
    Ok(match m.micros {
        None => day.to_string(),
        Some(us) => {
            let t: NaiveDateTime =
                day.and_hms_opt(0, 0, 0).unwrap() + chrono::TimeDelta::microseconds(us);
            crate::value::date_time_text(&t)
        }
    })
}

#[test]
fn days_agree_with_the_calendar() {
    for days in (-719_162..2_932_896).step_by(97) {
        let d = crate::batch::date_of_days(days).unwrap();
        use chrono::Datelike;
        assert_eq!(days_of(d.year().into(), d.month().into(), d.day().into()), Some(days));
    }
    assert_eq!(days_of(2023, 2, 29), None);
    assert_eq!(days_of(1900, 2, 29), None);
    assert!(NaiveDate::from_ymd_opt(2000, 2, 29).is_some() && days_of(2000, 2, 29).is_some());
}

#[test]
fn dates_of_every_kind() {
    for text in [
        "2024-01-02",
        "2024/1/2",
        "2024/01/02",
        "2024.1.2",
        "20240102",
        "2024年1月2日",
        "2024年01月02日",
        "２０２４年１月２日",
        "二〇二四年一月二日",
        "民国113年1月2日",
        "2 Jan 2024",
        "02-Jan-2024",
        "Jan 2, 2024",
        "January 2nd, 2024",
        "Tue, 02 Jan 2024",
        "2024-1-2",
        "2.1.2024",
        "45293",
        "2024年1月2号",
        "2024年1月2日 星期二",
    ] {
        assert_eq!(read(text).as_deref(), Ok("2024-01-02"), "{text}");
    }
    assert_eq!(read("31/12/2024").as_deref(), Ok("2024-12-31"));
    assert_eq!(read("12/31/2024").as_deref(), Ok("2024-12-31"));
    assert_eq!(read("二〇二四年十二月三十一日").as_deref(), Ok("2024-12-31"));
    assert_eq!(read("二〇二四年十月二十日").as_deref(), Ok("2024-10-20"));
    for bad in [
        "02/01/2024",
        "2024-02-30",
        "2024-13-01",
        "24-01-02",
        "2024",
        "2024年1月",
        "hello",
        "",
        "2024-01",
        "1.5",
        "99999999",
        "2024-01-02-03",
        "20241301",
    ] {
        assert!(read(bad).is_err(), "{bad}");
    }
    let day_first = DateRule { order: Some(Order::DayFirst), ..DateRule::default() };
    assert_eq!(date("02/01/2024", day_first), Ok(days_of(2024, 1, 2).unwrap()));
    assert_eq!(date("2024-01", DateRule::of_format("YYYY-MM")), Ok(days_of(2024, 1, 1).unwrap()));
    assert_eq!(date("202401", DateRule::of_format("YYYYMM")), Ok(days_of(2024, 1, 1).unwrap()));
}

#[test]
fn times_and_zones() {
    for (text, want) in [
        ("2024-01-02 03:04:05", "2024-01-02T03:04:05"),
        ("2024-01-02T03:04:05.123456", "2024-01-02T03:04:05.123456"),
        ("2024-01-02T03:04:05Z", "2024-01-02T11:04:05"),
        ("2024-01-02T03:04:05+08:00", "2024-01-02T03:04:05"),
        ("2024-01-02 23:04:05+00", "2024-01-03T07:04:05"),
        ("2024-01-02T03:04:05-0500", "2024-01-02T16:04:05"),
        ("2024/1/2 3:04", "2024-01-02T03:04:00"),
        ("2024/1/2 3:04 PM", "2024-01-02T15:04:00"),
        ("2024年1月2日 3时4分5秒", "2024-01-02T03:04:05"),
        ("2024年1月2日下午3点", "2024-01-02T15:00:00"),
        ("2024年1月2日 15时", "2024-01-02T15:00:00"),
        ("20240102030405", "2024-01-02T03:04:05"),
        ("20240102T030405Z", "2024-01-02T11:04:05"),
        ("2024-01-02 24:00:00", "2024-01-03T00:00:00"),
        ("Tue, 02 Jan 2024 03:04:05 GMT", "2024-01-02T11:04:05"),
        ("45293.5", "2024-01-02T12:00:00"),
        ("2024-01-02 12:00 AM", "2024-01-02T00:00:00"),
    ] {
        assert_eq!(read(text).as_deref(), Ok(want), "{text}");
    }
    for bad in ["2024-01-02 25:00", "2024-01-02 03:60", "2024-01-02 03:04:05 XYZ", "2024-01-02 3"] {
        assert!(read(bad).is_err(), "{bad}");
    }
    let unix = DateRule::of_format("unix_ms");
    assert_eq!(
        date_time("1704164645000", unix).map(|m| m / 1_000_000),
        Ok(1_704_164_645 + 8 * 3600)
    );
    assert!(date("2024-01-02 03:04", DateRule::default()).is_err());
    assert!(date("2024-01-02 00:00:00", DateRule::default()).is_ok());
}
