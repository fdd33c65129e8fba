//! What the operator is told before it hurts.

use chrono::{DateTime, NaiveDate, Utc};
use guard::tls::Term;
use model::calendar::Calendar;

/// Days before the calendar's end from which its end is told.
const CALENDAR_NOTICE_DAYS: i64 = 60;
/// The same before the end of a certificate.
const CERTIFICATE_NOTICE_DAYS: i64 = 30;

/// Says that the calendar ends soon: due days beyond it would take holidays for working days.
#[must_use]
pub fn calendar_advice(calendar: &Calendar, today: NaiveDate) -> Option<(String, String)> {
    let Some(last) = calendar.last_day() else {
        return Some((
            "节假日表为空：办理时限只按周末推算".into(),
            "the calendar of holidays is empty: due days know weekends only".into(),
        ));
    };
    ((last - today).num_days() < CALENDAR_NOTICE_DAYS).then(|| {
        (
            format!("节假日表只到 {last}：请按国务院通知补充下一年，并以 rules.holidays_file 指定"),
            format!(
                "the calendar of holidays ends on {last}: add the next year by the State Council's notice and name the file in rules.holidays_file"
            ),
        )
    })
}

/// Says that a certificate does not hold now, or ends soon.
#[must_use]
pub fn certificate_advice(term: &Term, now: DateTime<Utc>) -> Option<(String, String)> {
    let day = |at: DateTime<Utc>| at.with_timezone(&model::op::china()).date_naive();
    let (from, until) = (day(term.from), day(term.until));
    let (zh, en) = if now < term.from {
        (
            format!("自 {from} 起才有效，此前对方不接受；检查本机时钟，或换用已生效的证书"),
            format!(
                "holds from {from} on, and nobody takes it before: check the clock, or put one in its place that holds already"
            ),
        )
    } else if now > term.until {
        (
            format!("已于 {until} 过期，对方不再接受；换用新证书后重新启动"),
            format!(
                "ended on {until}, and nobody takes it any more: put a new one in its place and start anew"
            ),
        )
    } else if (term.until - now).num_days() < CERTIFICATE_NOTICE_DAYS {
        (
            format!("将于 {until} 到期；请在此前换用新证书并重新启动"),
            format!("ends on {until}: put a new one in its place before, and start anew"),
        )
    } else {
        return None;
    };
    let (key, path, number) = (term.of.key, term.of.path.display(), term.number);
    Some((
        format!("配置项 {key}（{path}）：第 {number} 张证书{zh}"),
        format!("configuration key {key} ({path}): certificate {number} of it {en}"),
    ))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use guard::tls::Named;

    use super::*;

    #[test]
    fn a_certificate_that_does_not_hold_or_ends_soon_is_told() {
        let from: DateTime<Utc> = "2026-03-01T00:00:00Z".parse().unwrap();
        let until: DateTime<Utc> = "2027-02-28T23:59:59Z".parse().unwrap();
        let term = Term { of: Named::new("tls.cert", "gate.crt"), number: 2, from, until };
        let told = |now| certificate_advice(&term, now);
        for (now, zh, en) in [
            (from - TimeDelta::seconds(1), "自 2026-03-01 起才有效", "holds from 2026-03-01 on"),
            (until + TimeDelta::seconds(1), "已于 2027-03-01 过期", "ended on 2027-03-01"),
            (until, "将于 2027-03-01 到期", "ends on 2027-03-01"),
            (until - TimeDelta::days(29), "将于 2027-03-01 到期", "ends on 2027-03-01"),
        ] {
            let (told_zh, told_en) = told(now).unwrap();
            assert!(told_zh.contains(zh) && told_zh.contains("第 2 张证书"), "{told_zh}");
            assert!(told_en.contains(en), "{told_en}");
            assert!(told_en.contains("tls.cert (gate.crt)"), "{told_en}");
        }
        assert!(told(from).is_none() && told(until - TimeDelta::days(30)).is_none());
    }
}
