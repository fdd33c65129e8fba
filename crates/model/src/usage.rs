//! Use of resources: what one audit record adds to the meter, and the figures the meter adds up to.
//!
//! The meter is a consequence of the audit chain: [`counted`] is a function of the record and of nothing else, so that whoever
//! recounts the chain comes to the same figures (*metered = audited*).

use serde::{Deserialize, Serialize};

use crate::audit::AuditEvent;

/// By which way somebody called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// A page, a command, the platform itself: said of no call.
    #[default]
    Page,
    /// `/api/v1`, the PostgREST dialect.
    Api,
    /// `/api/interface`.
    Interface,
    /// The province's older convention (IRS).
    Irs,
    /// The SQL door.
    Sql,
    /// Changes of a region, and what flows back.
    Flow,
    /// Files that are exchanged, and other work in batches.
    Batch,
}

impl Way {
    pub const ALL: [Way; 7] =
        [Way::Page, Way::Api, Way::Interface, Way::Irs, Way::Sql, Way::Flow, Way::Batch];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Way::Page => "page",
            Way::Api => "api",
            Way::Interface => "interface",
            Way::Irs => "irs",
            Way::Sql => "sql",
            Way::Flow => "flow",
            Way::Batch => "batch",
        }
    }

    /// As the audit writes it: pages, of which most records are, say nothing.
    #[must_use]
    pub fn mark(self) -> &'static str {
        if self == Way::Page { "" } else { self.as_str() }
    }
}

/// What a call is counted under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UsageKey<'a> {
    /// Id of the application; empty for people and for the public.
    pub application: &'a str,
    /// Organisation of the caller; empty when it has none.
    pub org: &'a str,
    /// Code of the resource; empty when the call named none that is there, or several at once.
    pub entry: &'a str,
    /// Code of the interface, when the call came by one.
    pub interface: &'a str,
    pub way: &'a str,
    /// `ok`, `failed`, or the code of the refusal.
    pub outcome: &'a str,
    pub purpose: &'a str,
}

impl UsageKey<'_> {
    /// Its parts in the order in which they are kept.
    #[must_use]
    pub fn parts(&self) -> [&str; 7] {
        [
            self.application,
            self.org,
            self.entry,
            self.interface,
            self.way,
            self.outcome,
            self.purpose,
        ]
    }
}

/// Upper bounds of the classes of the latency histogram, microseconds; the last class has none.
pub const CLASSES: [u64; 11] =
    [500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000];
/// Classes of the histogram.
pub const HISTOGRAM: usize = CLASSES.len() + 1;

/// Figures of some calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub calls: u64,
    pub rows: u64,
    /// Bytes of the values that left.
    pub bytes: u64,
    /// Time from the gate to the audit record, of the calls whose time was taken, in all.
    pub micros: u64,
    pub slowest: u64,
    /// Calls whose time was taken, by class of [`CLASSES`].
    pub times: [u64; HISTOGRAM],
}

impl Usage {
    pub fn add(&mut self, other: &Usage) {
        self.calls = self.calls.saturating_add(other.calls);
        self.rows = self.rows.saturating_add(other.rows);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.micros = self.micros.saturating_add(other.micros);
        self.slowest = self.slowest.max(other.slowest);
        for (mine, more) in self.times.iter_mut().zip(other.times) {
            *mine = mine.saturating_add(more);
        }
    }

    /// Calls whose time was taken.
    #[must_use]
    pub fn timed(&self) -> u64 {
        self.times.iter().sum()
    }

    /// Mean time of a call, microseconds.
    #[must_use]
    pub fn mean(&self) -> Option<u64> {
        self.micros.checked_div(self.timed())
    }

    /// A bound that `percent` of the timed calls kept, microseconds: the upper bound of their class, or the slowest call.
    #[must_use]
    pub fn percentile(&self, percent: u64) -> Option<u64> {
        let timed = self.timed();
        if timed == 0 {
            return None;
        }
        let wanted = timed.saturating_mul(percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (class, calls) in self.times.iter().enumerate() {
            seen += calls;
            if seen >= wanted {
                let bound = CLASSES.get(class).copied().unwrap_or(self.slowest);
                return Some(bound.min(self.slowest));
            }
        }
        Some(self.slowest)
    }
}

/// Actions beside `rows.*` by which rows leave, or are refused.
const OTHERS: [&str; 2] = ["interface.call", "exchange.send"];

/// What a record adds to the meter; `None`: it is no record of a release or of a refusal of one.
#[must_use]
pub fn counted(event: &AuditEvent) -> Option<(UsageKey<'_>, Usage)> {
    let (action, ends) = match event.action.strip_suffix(".end") {
        Some(begun) => (begun, true),
        None => (event.action.as_str(), false),
    };
    if !action.starts_with("rows.") && !OTHERS.contains(&action) {
        return None;
    }
    let refused = event.result == "denied";
    let word = event.reason.split([' ', ':']).next().unwrap_or_default();
    let outcome = match event.result.as_str() {
        "denied" if !word.is_empty() => word,
        other => other,
    };
    // What a caller wrote that is not there, or that its token does not reach, is no resource: it may be any text.
    let unknown =
        refused && (word == "not_found" || event.reason.contains(crate::op::OUT_OF_SCOPE));
    let none = unknown || action == "interface.call" || event.object.contains(',');
    let way = match (event.way.as_str(), action) {
        ("", "rows.sql") => Way::Sql.as_str(),
        ("", "rows.flow") => Way::Flow.as_str(),
        // Files that are sent, and what pipelines read of other resources.
        ("", _) if event.actor == "system" => Way::Batch.as_str(),
        ("", _) => Way::Page.as_str(),
        (way, _) => way,
    };
    let key = UsageKey {
        application: if event.app_key.is_empty() { "" } else { &event.actor },
        org: &event.org,
        entry: if none { "" } else { &event.object },
        interface: &event.interface,
        way,
        outcome,
        purpose: &event.purpose,
    };
    let mut usage = Usage {
        // The record of a stream's end tells what has left; the call was counted when it began.
        calls: if ends { 0 } else { event.calls.max(1) },
        rows: event.rows,
        bytes: event.bytes,
        micros: event.micros,
        slowest: event.micros,
        times: [0; HISTOGRAM],
    };
    if event.micros > 0 {
        let class = CLASSES.partition_point(|bound| *bound < event.micros);
        if let Some(times) = usage.times.get_mut(class) {
            *times = 1;
        }
    }
    Some((key, usage))
}

/// The hour of a record in China, `YYYY-MM-DD HH`; its first ten letters are the day.
#[must_use]
pub fn hour(ts: &str) -> Option<String> {
    let at = chrono::DateTime::parse_from_rfc3339(ts).ok()?;
    Some(at.with_timezone(&crate::op::china()).format("%Y-%m-%d %H").to_string())
}

/// By what a table of use adds up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageBy {
    #[default]
    Application,
    /// Organisation of the caller.
    Org,
    Entry,
    Interface,
    /// Organisation that provides the resource.
    Provider,
    Way,
    Outcome,
    Purpose,
    Day,
    /// Region of the caller: its province, its city, its county.
    Province,
    City,
    County,
}

impl UsageBy {
    pub const ALL: [UsageBy; 12] = [
        UsageBy::Application,
        UsageBy::Org,
        UsageBy::Entry,
        UsageBy::Interface,
        UsageBy::Provider,
        UsageBy::Way,
        UsageBy::Outcome,
        UsageBy::Purpose,
        UsageBy::Day,
        UsageBy::Province,
        UsageBy::City,
        UsageBy::County,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            UsageBy::Application => "application",
            UsageBy::Org => "org",
            UsageBy::Entry => "entry",
            UsageBy::Interface => "interface",
            UsageBy::Provider => "provider",
            UsageBy::Way => "way",
            UsageBy::Outcome => "outcome",
            UsageBy::Purpose => "purpose",
            UsageBy::Day => "day",
            UsageBy::Province => "province",
            UsageBy::City => "city",
            UsageBy::County => "county",
        }
    }

    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|by| by.as_str() == word)
    }
}

/// Which calls a table of use is about. Days are civil days in China, both included; an empty text is no condition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageFilter {
    pub from: String,
    pub to: String,
    pub application: String,
    pub org: String,
    pub provider: String,
    pub entry: String,
    pub interface: String,
    pub way: String,
    pub outcome: String,
    /// A region of the caller with all that lies in it.
    pub region: String,
}

/// A line of a table of use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UsageRow {
    /// What it adds up for: an id, a code, a word, a day.
    pub word: String,
    /// Its name where the store has one (applications, resources).
    pub name: String,
    /// Calls that were answered.
    pub answered: u64,
    #[serde(flatten)]
    pub usage: Usage,
}

/// Outcome of recounting the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UsageVerdict {
    /// Records that were looked at.
    pub records: u64,
    pub calls: u64,
    pub agrees: bool,
    /// The first figures that differ, at most some.
    pub differences: Vec<UsageDifference>,
}

/// Figures of a day that are not what the chain says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UsageDifference {
    pub day: String,
    /// The key's parts with spaces between.
    pub key: String,
    pub audited: Usage,
    pub metered: Usage,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(action: &str) -> AuditEvent {
        AuditEvent {
            ts: "2026-03-02T17:00:00.000Z".into(),
            actor: "a1".into(),
            app_key: "k".into(),
            org: "o".into(),
            action: action.into(),
            object: "frdwjbxx".into(),
            result: "ok".into(),
            rows: 2,
            bytes: 40,
            way: "api".into(),
            micros: 700,
            ..AuditEvent::default()
        }
    }

    #[test]
    fn a_release_counts_once_and_its_end_brings_rows() {
        let begun = event("rows.download");
        let (key, usage) = counted(&begun).unwrap();
        assert_eq!(key.parts(), ["a1", "o", "frdwjbxx", "", "api", "ok", ""]);
        assert_eq!((usage.calls, usage.rows, usage.bytes, usage.slowest), (1, 2, 40, 700));
        assert_eq!(usage.times[1], 1);
        let ended = event("rows.download.end");
        assert_eq!(counted(&ended).unwrap().1.calls, 0);
        assert!(counted(&event("entry.publish")).is_none());
        assert_eq!(hour("2026-03-02T17:00:00.000Z").as_deref(), Some("2026-03-03 01"));
        assert_eq!(hour("yesterday"), None);
    }

    #[test]
    fn refusals_count_by_their_code_and_stand_for_those_not_recorded() {
        let mut refused = event("rows.query");
        refused.result = "denied".into();
        refused.reason = "quota_used_up (+4 not recorded)".into();
        refused.calls = 5;
        let (key, usage) = counted(&refused).unwrap();
        assert_eq!((key.outcome, key.entry, usage.calls), ("quota_used_up", "frdwjbxx", 5));
        refused.reason = "not_found".into();
        assert_eq!(counted(&refused).unwrap().0.entry, "");
        let mut page = event("rows.preview");
        (page.way, page.app_key) = (String::new(), String::new());
        let (key, _) = counted(&page).unwrap();
        assert_eq!((key.way, key.application), ("page", ""));
    }

    #[test]
    fn percentiles_are_the_bounds_of_their_classes() {
        let mut sum = Usage::default();
        for micros in [100, 200, 300, 900, 4_000, 7_000_000] {
            let mut one = event("rows.query");
            one.micros = micros;
            sum.add(&counted(&one).unwrap().1);
        }
        assert_eq!((sum.calls, sum.timed(), sum.slowest), (6, 6, 7_000_000));
        assert_eq!(sum.percentile(50), Some(500));
        assert_eq!(sum.percentile(67), Some(5_000));
        assert_eq!(sum.percentile(99), Some(7_000_000));
        assert_eq!(Usage::default().percentile(50), None);
        assert_eq!(Usage::default().mean(), None);
    }
}
