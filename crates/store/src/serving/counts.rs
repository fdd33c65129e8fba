//! Exact totals of filtered lists, kept for as long as the rows they were counted of stand: the same page is asked for again and
//! again, and a count over millions of rows takes seconds. A refresh changes the table's stamp, and with it what is looked for.

use std::time::Duration;

use super::Table;
use super::shape::Cell;

/// Totals kept at most, of about a hundred bytes each.
const MOST: u64 = 100_000;
/// How long a total is kept that nobody asks for.
const IDLE: Duration = Duration::from_secs(3600);

/// See the module's head.
pub(super) struct Counts(moka::sync::Cache<String, u64>);

impl Default for Counts {
    fn default() -> Self {
        Self(moka::sync::Cache::builder().max_capacity(MOST).time_to_idle(IDLE).build())
    }
}

impl Counts {
    /// What a count is known by: the state of the table and the whole statement, the grant's own row filter included. Values asked
    /// for stand in it only as a hash.
    pub(super) fn key(table: &Table, sql: &str, params: &[Cell<'_>]) -> String {
        let text = format!("{}\n{}\n{sql}\n{params:?}", table.name, table.stamp);
        guard::hash::sm3_hex(text.as_bytes())
    }

    pub(super) fn get(&self, key: &str) -> Option<u64> {
        self.0.get(key)
    }

    pub(super) fn put(&self, key: String, total: u64) {
        self.0.insert(key, total);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_stamp_statement_or_value_is_another_count() {
        let table = |stamp| Table {
            name: "t_1".into(),
            generation: 1,
            stamp,
            parcel: "p".into(),
            lake_version: 1,
            rows: 3,
            shape: crate::serving::shape::Shape::default(),
        };
        let text = |t: &str| vec![Cell::Text(t.to_owned().into())];
        let key = Counts::key(&table(1), "SELECT", &text("a"));
        assert_eq!(key, Counts::key(&table(1), "SELECT", &text("a")));
        let others = [
            Counts::key(&table(2), "SELECT", &text("a")),
            Counts::key(&table(1), "SELECT 1", &text("a")),
            Counts::key(&table(1), "SELECT", &text("b")),
            Counts::key(&table(1), "SELECT", &[Cell::Integer(1)]),
            Counts::key(&table(1), "SELECT", &[Cell::Float(1.0)]),
        ];
        assert!(others.iter().all(|other| *other != key), "{others:?}");
        let counts = Counts::default();
        counts.put(key.clone(), 7);
        assert_eq!(counts.get(&key), Some(7));
        assert!(others.iter().all(|other| counts.get(other).is_none()));
    }
}
