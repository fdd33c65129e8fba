//! The meter of the chain: figures of use, written in the transaction of the records they follow from (*metered = audited*).
//!
//! What the records of a commit count ([`model::usage::counted`]) is added up in memory and written as one line per key and day, so
//! that the price of counting is shared as that of the commit is. Keys are numbers; the numbers are remembered. `meter_mark`
//! says up to which record the chain is counted: records that a process without a meter wrote are counted before the next ones.

use std::collections::HashMap;

use model::audit::AuditEvent;
use model::usage::{HISTOGRAM, Usage, counted, hour};

/// Keys whose numbers are remembered at most; after that they are asked for again.
const KEYS: usize = 50_000;

/// A key, in the order of `UsageKey::parts`.
pub(super) type KeyParts = [String; 7];

/// Figures of some records.
#[derive(Debug, Default)]
pub(super) struct Sums {
    days: HashMap<String, Line>,
    hours: HashMap<String, Hour>,
    /// The key being looked up.
    text: String,
    /// The last hour: the letters of the record's time that name it, and its name in China.
    hour: (String, String),
}

/// What a day's records of one key add up to.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) day: String,
    pub(super) key: KeyParts,
    pub(super) usage: Usage,
}

/// What an hour's records of one outcome add up to.
#[derive(Debug)]
pub(super) struct Hour {
    pub(super) hour: String,
    pub(super) outcome: String,
    pub(super) usage: Usage,
}

impl Sums {
    /// Adds what a record counts, if it counts.
    pub(super) fn add(&mut self, event: &AuditEvent) {
        let Some((key, usage)) = counted(event) else { return };
        let begins = event.ts.get(..13).unwrap_or(&event.ts);
        if self.hour.0 != begins {
            let named = hour(&event.ts).unwrap_or_else(|| begins.replace('T', " "));
            self.hour = (begins.to_owned(), named);
        }
        let name = &self.hour.1;
        let day = name.get(..10).unwrap_or(name);
        let parts = key.parts();
        spell(&mut self.text, std::iter::once(day).chain(parts));
        match self.days.get_mut(&self.text) {
            Some(line) => line.usage.add(&usage),
            None => {
                let key = parts.map(str::to_owned);
                let line = Line { day: day.to_owned(), key, usage };
                self.days.insert(self.text.clone(), line);
            }
        }
        spell(&mut self.text, [name.as_str(), key.outcome]);
        match self.hours.get_mut(&self.text) {
            Some(sum) => sum.usage.add(&usage),
            None => {
                let (hour, outcome) = (name.clone(), key.outcome.to_owned());
                self.hours.insert(self.text.clone(), Hour { hour, outcome, usage });
            }
        }
    }

    /// Lines by day and key, in one order everywhere.
    pub(super) fn days(&self) -> Vec<&Line> {
        ordered(&self.days)
    }

    /// Lines by hour and outcome, in one order everywhere.
    pub(super) fn hours(&self) -> Vec<&Hour> {
        ordered(&self.hours)
    }
}

fn ordered<T>(all: &HashMap<String, T>) -> Vec<&T> {
    let mut all: Vec<_> = all.iter().collect();
    all.sort_unstable_by_key(|(text, _)| *text);
    all.into_iter().map(|(_, line)| line).collect()
}

/// Numbers of keys.
#[derive(Debug, Default)]
pub(super) struct Meter {
    numbers: HashMap<KeyParts, i64>,
}

impl Meter {
    /// Keys among these figures that have no number yet.
    pub(super) fn unknown(&mut self, sums: &Sums) -> Vec<KeyParts> {
        if self.numbers.len() > KEYS {
            self.forget();
        }
        let new = |line: &&Line| !self.numbers.contains_key(&line.key);
        let mut found: Vec<KeyParts> =
            sums.days().into_iter().filter(new).map(|line| line.key.clone()).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// A key has this number.
    pub(super) fn learn(&mut self, key: KeyParts, number: i64) {
        self.numbers.insert(key, number);
    }

    /// Numbers are no longer sure: their transaction failed.
    pub(super) fn forget(&mut self) {
        self.numbers.clear();
    }

    pub(super) fn number(&self, key: &KeyParts) -> Option<i64> {
        self.numbers.get(key).copied()
    }
}

/// Writes texts behind each other, told apart.
fn spell<'a>(text: &mut String, parts: impl IntoIterator<Item = &'a str>) {
    text.clear();
    for part in parts {
        text.push_str(part);
        text.push('\u{1f}');
    }
}

/// Columns of figures, as they stand in `meter_day` behind day and key.
pub(super) const FIGURES: [&str; 5 + HISTOGRAM] = [
    "calls",
    "row_count",
    "byte_count",
    "micros",
    "slowest",
    "t0",
    "t1",
    "t2",
    "t3",
    "t4",
    "t5",
    "t6",
    "t7",
    "t8",
    "t9",
    "t10",
    "t11",
];

/// The figures in the order of [`FIGURES`].
pub(super) fn figures(usage: &Usage) -> [i64; 5 + HISTOGRAM] {
    let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let mut all = [0; 5 + HISTOGRAM];
    let head = [usage.calls, usage.rows, usage.bytes, usage.micros, usage.slowest];
    for (place, n) in all.iter_mut().zip(head.into_iter().chain(usage.times)) {
        *place = signed(n);
    }
    all
}

/// Adds figures to a day's line; `mark` spells the n-th parameter.
pub(super) fn day_sql(mark: impl Fn(usize) -> String, lines: usize) -> String {
    let added: Vec<String> = FIGURES
        .iter()
        .map(|f| match *f {
            "slowest" => "slowest = CASE WHEN excluded.slowest > meter_day.slowest THEN excluded.slowest ELSE meter_day.slowest END".to_owned(),
            f => format!("{f} = meter_day.{f} + excluded.{f}"),
        })
        .collect();
    format!(
        "INSERT INTO meter_day (day, key_id, {}) VALUES {} ON CONFLICT (day, key_id) DO UPDATE SET {}",
        FIGURES.join(", "),
        values(mark, lines, 2 + FIGURES.len()),
        added.join(", ")
    )
}

/// The same for an hour of the whole house.
pub(super) fn hour_sql(mark: impl Fn(usize) -> String, lines: usize) -> String {
    let figures = FIGURES.get(..4).unwrap_or_default();
    let added: Vec<String> =
        figures.iter().map(|f| format!("{f} = meter_hour.{f} + excluded.{f}")).collect();
    format!(
        "INSERT INTO meter_hour (hour, outcome, {}) VALUES {} ON CONFLICT (hour, outcome) DO UPDATE SET {}",
        figures.join(", "),
        values(mark, lines, 2 + figures.len()),
        added.join(", ")
    )
}

fn values(mark: impl Fn(usize) -> String, lines: usize, columns: usize) -> String {
    let line = |n: usize| {
        let marks: Vec<String> = (1..=columns).map(|c| mark(n * columns + c)).collect();
        format!("({})", marks.join(", "))
    };
    (0..lines).map(line).collect::<Vec<_>>().join(", ")
}

/// Asks for the number of a key.
pub(super) const NUMBER_SQL: &str = "SELECT id FROM meter_key WHERE application = $1 AND org = $2 AND entry = $3 AND interface = $4 AND way = $5 AND outcome = $6 AND purpose = $7";
/// Gives a key its number.
pub(super) const KEY_SQL: &str = "INSERT INTO meter_key (application, org, entry, interface, way, outcome, purpose) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (application, org, entry, interface, way, outcome, purpose) DO NOTHING";
/// Records of the chain that are counted at once where the meter lags behind.
pub(super) const PIECE: i64 = 2000;
