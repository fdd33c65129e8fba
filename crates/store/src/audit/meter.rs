//! The meter of the chain: figures of use, written in the transaction of the records they follow from (*metered = audited*).
//!
//! A commit adds up what its records count ([`model::usage::counted`]) in memory and writes one line per key and day that occurs in
//! it, so that the price of counting is shared as that of the commit is. Keys are numbers; the numbers are remembered. `meter_mark`
//! says up to which record the chain is counted: records that a process without a meter wrote are counted before the next ones.

use std::collections::HashMap;

use model::audit::AuditEvent;
use model::usage::{HISTOGRAM, Usage, UsageKey, counted, hour};

/// Keys whose numbers are remembered at most; after that they are asked for again.
const KEYS: usize = 50_000;

/// A key that has no number yet.
pub(super) type NewKey = [String; 7];

/// Figures of some records.
#[derive(Debug, Default)]
pub(super) struct Sums {
    /// By day and number of the key.
    pub(super) days: HashMap<(String, i64), Usage>,
    /// By hour and outcome.
    pub(super) hours: HashMap<(String, String), Usage>,
}

/// Counts records of one writer.
#[derive(Debug, Default)]
pub(super) struct Meter {
    numbers: HashMap<String, i64>,
    /// The key being looked up.
    text: String,
    /// The last hour: the letters of the record's time that name it, and its name in China.
    hour: (String, String),
}

impl Meter {
    /// Keys among these records that have no number yet.
    pub(super) fn unknown<'a>(
        &mut self,
        events: impl Iterator<Item = &'a AuditEvent>,
    ) -> Vec<NewKey> {
        if self.numbers.len() > KEYS {
            self.forget();
        }
        let mut found: Vec<NewKey> = Vec::new();
        for (key, _) in events.filter_map(counted) {
            write_key(&mut self.text, &key);
            let new = key.parts();
            if !self.numbers.contains_key(&self.text) && !found.iter().any(|f| *f == new) {
                found.push(new.map(str::to_owned));
            }
        }
        found
    }

    /// A key has this number.
    pub(super) fn learn(&mut self, key: &NewKey, number: i64) {
        self.numbers.insert(key.join("\u{1f}"), number);
    }

    /// Numbers are no longer sure: their transaction failed.
    pub(super) fn forget(&mut self) {
        self.numbers.clear();
    }

    /// What these records add up to. Their keys have numbers.
    pub(super) fn sum<'a>(&mut self, events: impl Iterator<Item = &'a AuditEvent>) -> Sums {
        let mut sums = Sums::default();
        for event in events {
            let Some((key, usage)) = counted(event) else { continue };
            write_key(&mut self.text, &key);
            let Some(number) = self.numbers.get(&self.text).copied() else { continue };
            let begins = event.ts.get(..13).unwrap_or(&event.ts);
            if self.hour.0 != begins {
                let named = hour(&event.ts).unwrap_or_else(|| begins.replace('T', " "));
                self.hour = (begins.to_owned(), named);
            }
            let name = &self.hour.1;
            let day = name.get(..10).unwrap_or(name);
            add(&mut sums.days, (day, number), |(d, n)| (d.to_owned(), n), &usage);
            add(
                &mut sums.hours,
                (name.as_str(), key.outcome),
                |(h, o)| (h.to_owned(), o.to_owned()),
                &usage,
            );
        }
        sums
    }
}

/// Adds to the figures of a key; the few keys of a commit are compared, not hashed anew as owned texts.
fn add<K, B, O>(sums: &mut HashMap<K, Usage>, key: B, owned: O, usage: &Usage)
where
    K: Eq + std::hash::Hash + Same<B>,
    B: Copy,
    O: FnOnce(B) -> K,
{
    if sums.len() <= FEW
        && let Some((_, sum)) = sums.iter_mut().find(|(k, _)| k.same(&key))
    {
        sum.add(usage);
        return;
    }
    sums.entry(owned(key)).or_default().add(usage);
}

/// Keys of a commit up to which they are compared one by one.
const FEW: usize = 8;

/// An owned key beside a borrowed one.
trait Same<B> {
    fn same(&self, other: &B) -> bool;
}

impl Same<(&str, i64)> for (String, i64) {
    fn same(&self, other: &(&str, i64)) -> bool {
        self.1 == other.1 && self.0 == other.0
    }
}

impl Same<(&str, &str)> for (String, String) {
    fn same(&self, other: &(&str, &str)) -> bool {
        self.1 == other.1 && self.0 == other.0
    }
}

fn write_key(text: &mut String, key: &UsageKey<'_>) {
    text.clear();
    for (n, part) in key.parts().into_iter().enumerate() {
        if n > 0 {
            text.push('\u{1f}');
        }
        text.push_str(part);
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
