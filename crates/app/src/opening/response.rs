//! What comes of opening, for the open index: which sets anybody uses, and whether the public is answered in time.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::Days;
use model::usage::{UsageBy, UsageFilter};
use model::{Op, Result};
use store::audit::{UsageAsk, UsageScope};
use store::voice::TicketReplies;

use crate::App;

/// Sets of one page of the meter.
const PAGE: u32 = 2000;

/// Which sets anybody had rows of within some days.
pub(super) struct Use {
    /// The first of the days, `YYYY-MM-DD`.
    from: String,
    codes: HashSet<String>,
}

impl Use {
    /// Whether a set has rows and was open before the first of the days: a new one cannot have been found yet.
    pub(super) fn tried(&self, rows: i64, published_at: Option<&str>) -> bool {
        let published = published_at.and_then(|at| at.get(..10));
        rows > 0 && published.is_some_and(|day| day < self.from.as_str())
    }

    /// Whether anybody had rows of it.
    pub(super) fn had(&self, code: &str) -> bool {
        self.codes.contains(code)
    }
}

/// Reads the meter of the last days, today included.
pub(super) async fn usage(app: &App, op: &Op, days: u64) -> Result<Use> {
    let today = op.today();
    let first = today.checked_sub_days(Days::new(days.max(1) - 1)).unwrap_or(today);
    let filter = UsageFilter {
        from: first.to_string(),
        to: today.to_string(),
        outcome: "ok".into(),
        ..UsageFilter::default()
    };
    let mut codes = HashSet::new();
    let mut after: Option<(u64, String)> = None;
    loop {
        let ask = UsageAsk {
            filter: &filter,
            scope: UsageScope::All,
            by: Some(UsageBy::Entry),
            after: after.as_ref().map(|(calls, word)| (*calls, word.as_str())),
            limit: PAGE,
        };
        let rows = app.store.audit().usage(&ask).await?;
        let Some(last) = rows.last() else { break };
        after = Some((last.usage.calls, last.word.clone()));
        codes.extend(rows.into_iter().filter(|row| row.answered > 0).map(|row| row.word));
    }
    Ok(Use { from: filter.from, codes })
}

/// How tickets of the public were answered.
#[derive(Clone, Debug, Default)]
pub(super) struct Replies {
    /// Tickets that were answered or should have been by now, and those of them that were in time.
    due: u64,
    in_time: u64,
    /// Tickets by the working days to their first answer.
    days: BTreeMap<i64, u64>,
}

impl Replies {
    /// `limit`: working days that a desk has for the kind.
    fn add(&mut self, line: &TicketReplies, limit: i64) {
        if line.days < 0 {
            // Nobody has answered: what may still be answered in time is not told.
            self.due += line.overdue;
            return;
        }
        self.due += line.count;
        if line.days <= limit {
            // What was opened again and is overdue now is not in time.
            self.in_time += line.count.saturating_sub(line.overdue);
        }
        *self.days.entry(line.days).or_default() += line.count;
    }

    /// Tickets in time of a hundred.
    pub(super) fn score(&self) -> Option<f64> {
        (self.due > 0).then(|| self.in_time as f64 * 100.0 / self.due as f64)
    }

    /// Median of the working days to the first answer.
    pub(super) fn median(&self) -> Option<i64> {
        let middle = self.days.values().sum::<u64>().div_ceil(2);
        let mut so_far = 0;
        self.days.iter().find_map(|(days, count)| {
            so_far += count;
            (so_far >= middle).then_some(*days)
        })
    }
}

/// Replies of everybody, of each city's bodies (GB/T 2260; those of the province under the province's code), and of each body.
#[derive(Debug, Default)]
pub(super) struct Answered {
    pub(super) whole: Replies,
    pub(super) cities: HashMap<String, Replies>,
    pub(super) orgs: HashMap<String, Replies>,
}

/// Adds up the tickets by whose desk they lie at.
pub(super) async fn replies(app: &App, op: &Op) -> Result<Answered> {
    let lines = app.store.ticket_replies(&op.today().to_string()).await?;
    let orgs = app.store.orgs_list().await?;
    let region: HashMap<&str, &str> =
        orgs.iter().map(|o| (o.id.as_str(), o.region.as_str())).collect();
    let days = &app.rules.voice.days;
    let mut answered = Answered::default();
    for line in &lines {
        let limit = i64::from(days.of(line.kind));
        answered.whole.add(line, limit);
        answered.orgs.entry(line.org.clone()).or_default().add(line, limit);
        if let Some(region) = region.get(line.org.as_str()) {
            answered.cities.entry(city_of(region)).or_default().add(line, limit);
        }
    }
    Ok(answered)
}

/// The city a region lies in, by its code; the province's own code stays what it is.
pub(super) fn city_of(region: &str) -> String {
    region.get(..4).map_or_else(|| region.to_owned(), |city| format!("{city}00"))
}

#[cfg(test)]
mod tests {
    use model::voice::ticket::TicketKind;

    use super::*;

    fn line(days: i64, count: u64, overdue: u64) -> TicketReplies {
        TicketReplies { org: "o".into(), kind: TicketKind::Fault, days, count, overdue }
    }

    #[test]
    fn what_may_still_be_answered_in_time_is_not_held_against_anybody() {
        let mut replies = Replies::default();
        assert_eq!((replies.score(), replies.median()), (None, None));
        replies.add(&line(-1, 3, 0), 5);
        assert_eq!(replies.score(), None, "three wait, none is due");
        replies.add(&line(-1, 2, 1), 5);
        assert_eq!(replies.score(), Some(0.0), "one is overdue");
        replies.add(&line(2, 2, 0), 5);
        replies.add(&line(5, 1, 1), 5);
        replies.add(&line(9, 4, 0), 5);
        // Two in time; one was, and was opened again; four late; one not answered.
        assert_eq!(replies.score(), Some(25.0));
        assert_eq!(replies.median(), Some(9));
        assert_eq!(city_of("330106"), "330100");
        assert_eq!(city_of("330000"), "330000");
    }
}
