//! What the operator is told before it hurts.

use chrono::NaiveDate;
use model::calendar::Calendar;

/// Days before the calendar's end from which its end is told.
const CALENDAR_NOTICE_DAYS: i64 = 60;

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
