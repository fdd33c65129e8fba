//! What rows would tell of persons if they were released: k-anonymity over quasi-identifiers, unique rows, identifiers in values.
//!
//! A quasi-identifier (birth date, sex, place) names nobody alone; several together may. Rows that agree in all of them form a
//! *class*; a class of fewer than *k* rows stands out. Nothing here keeps or answers a value: figures and column names only.
//! (个人信息保护法 art 73: 匿名化 means that nobody can be identified and it cannot be undone; k is one measure of how far off that is.)

use std::collections::HashMap;

use model::ident;
use model::voice::personal;
use serde::{Deserialize, Serialize};

/// Quasi-identifier columns of rows, each value told apart from others and then forgotten as a text.
#[derive(Clone, Debug, Default)]
pub struct Table {
    names: Vec<String>,
    words: Vec<HashMap<String, u32>>,
    rows: Vec<Vec<u32>>,
}

/// What one combination of columns tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Classes {
    pub columns: Vec<String>,
    pub rows: u64,
    pub classes: u64,
    /// Rows of the smallest class; nought without rows.
    pub smallest: u64,
    /// Rows in classes of fewer than k.
    pub below: u64,
    /// Rows that stand alone in their class.
    pub unique: u64,
}

impl Classes {
    /// Share of rows in classes below k, from nought to one.
    #[must_use]
    pub fn below_share(&self) -> f64 {
        share(self.below, self.rows)
    }
    /// Share of rows that stand alone, from nought to one.
    #[must_use]
    pub fn unique_share(&self) -> f64 {
        share(self.unique, self.rows)
    }
}

impl Table {
    #[must_use]
    pub fn new(names: Vec<String>) -> Self {
        let words = names.iter().map(|_| HashMap::new()).collect();
        Self { names, words, rows: Vec::new() }
    }

    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Takes in a row: a value a column, in their order. An absent value is a value like others.
    pub fn push(&mut self, values: &[Option<String>]) {
        let mut row = Vec::with_capacity(self.names.len());
        for (n, words) in self.words.iter_mut().enumerate() {
            let code = match values.get(n).and_then(Option::as_deref) {
                None => 0,
                Some(value) => {
                    let next = u32::try_from(words.len()).unwrap_or(u32::MAX - 1) + 1;
                    match words.get(value) {
                        Some(code) => *code,
                        None => {
                            words.insert(value.to_owned(), next);
                            next
                        }
                    }
                }
            };
            row.push(code);
        }
        self.rows.push(row);
    }

    /// What the columns of these numbers tell together.
    #[must_use]
    pub fn classes(&self, columns: &[usize], k: u64) -> Classes {
        let mut sizes: HashMap<Vec<u32>, u64> = HashMap::new();
        for row in &self.rows {
            let key: Vec<u32> = columns.iter().filter_map(|c| row.get(*c)).copied().collect();
            *sizes.entry(key).or_default() += 1;
        }
        let below = |most: u64| sizes.values().filter(|n| **n < most).sum::<u64>();
        Classes {
            columns: columns.iter().filter_map(|c| self.names.get(*c)).cloned().collect(),
            rows: count(self.rows.len()),
            classes: count(sizes.len()),
            smallest: sizes.values().min().copied().unwrap_or_default(),
            below: below(k),
            unique: below(2),
        }
    }

    /// What all columns tell together; `None` without columns.
    #[must_use]
    pub fn all(&self, k: u64) -> Option<Classes> {
        let columns: Vec<usize> = (0..self.names.len()).collect();
        (!columns.is_empty()).then(|| self.classes(&columns, k))
    }

    /// The combination of at most `most` columns that leaves most rows in classes below k; among equals the one with more unique
    /// rows, then the one of fewer columns. `None` without columns.
    #[must_use]
    pub fn worst(&self, k: u64, most: usize) -> Option<Classes> {
        let mut worst: Option<Classes> = None;
        for columns in combinations(self.names.len(), most) {
            let found = self.classes(&columns, k);
            let worse = worst.as_ref().is_none_or(|w| {
                (found.below, found.unique) > (w.below, w.unique)
                    || ((found.below, found.unique) == (w.below, w.unique)
                        && found.columns.len() < w.columns.len())
            });
            if worse {
                worst = Some(found);
            }
        }
        worst
    }
}

/// Every choice of one to `most` of `n` columns, in ascending numbers.
fn combinations(n: usize, most: usize) -> Vec<Vec<usize>> {
    let mut all: Vec<Vec<usize>> = Vec::new();
    let mut last: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in 0..most.min(n) {
        let mut longer = Vec::new();
        for chosen in &last {
            let from = chosen.last().map_or(0, |c| c + 1);
            for next in from..n {
                let mut columns = chosen.clone();
                columns.push(next);
                longer.push(columns);
            }
        }
        all.extend(longer.iter().cloned());
        last = longer;
    }
    all
}

/// Identifiers found in the values of one column.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hits {
    pub column: String,
    /// Values that were looked at (those that are there).
    pub values: u64,
    /// Values that hold a citizen identity number or a mobile number.
    pub persons: u64,
    /// Values that are the number of a bank card.
    pub cards: u64,
}

impl Hits {
    #[must_use]
    pub fn of(column: &str) -> Self {
        Self { column: column.to_owned(), ..Self::default() }
    }

    /// Looks at one value; what it was is not kept.
    pub fn look(&mut self, value: &str) {
        self.values += 1;
        if personal(value).is_some() {
            self.persons += 1;
        } else if card(value) {
            self.cards += 1;
        }
    }

    #[must_use]
    pub fn found(&self) -> u64 {
        self.persons + self.cards
    }

    /// Share of values with an identifier, from nought to one.
    #[must_use]
    pub fn share(&self) -> f64 {
        share(self.found(), self.values)
    }
}

/// The number of a bank card and nothing else: digits within a text or behind a point (a measured number) are none here.
fn card(value: &str) -> bool {
    let digits: String = value.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
    ident::bank_card(&digits)
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(rows: &[&[&str]]) -> Table {
        let n = rows.first().map_or(0, |r| r.len());
        let mut table = Table::new((0..n).map(|i| format!("c{i}")).collect());
        for row in rows {
            table.push(&row.iter().map(|v| Some((*v).to_owned())).collect::<Vec<_>>());
        }
        table
    }

    #[test]
    fn two_harmless_columns_name_somebody_together() {
        let t = table(&[&["1980", "m"], &["1980", "f"], &["1990", "m"], &["1990", "f"]]);
        assert_eq!(t.classes(&[0], 2).below, 0);
        assert_eq!(t.classes(&[1], 2).below, 0);
        let worst = t.worst(2, 3).unwrap();
        assert_eq!(worst.columns, ["c0", "c1"]);
        assert_eq!((worst.smallest, worst.below, worst.unique, worst.classes), (1, 4, 4, 4));
        assert!((worst.unique_share() - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn identifiers_are_counted_and_never_told() {
        let mut hits = Hits::of("note");
        for value in
            ["11010519491231002X", "请打13800138000", "4111 1111 1111 1111", "停车场", "42"]
        {
            hits.look(value);
        }
        assert_eq!((hits.values, hits.persons, hits.cards, hits.found()), (5, 2, 1, 3));
        assert!(!format!("{hits:?}").contains("138"));
    }

    #[test]
    fn without_rows_or_columns_nothing_stands_out() {
        assert_eq!(Table::new(Vec::new()).worst(5, 3), None);
        let empty = Table::new(vec!["a".into()]).all(5).unwrap();
        assert_eq!((empty.rows, empty.smallest, empty.below), (0, 0, 0));
        assert!(empty.below_share() < f64::EPSILON);
        assert_eq!(combinations(4, 3).len(), 4 + 6 + 4);
    }

    proptest! {
        /// More columns never merge classes: the smallest does not grow, rows below k do not get fewer. The worst is the worst.
        #[test]
        fn looking_at_more_columns_never_hides_anybody(
            rows in proptest::collection::vec((0u8..3, 0u8..3, 0u8..3), 0..40),
            k in 1u64..6,
        ) {
            let mut t = Table::new(vec!["a".into(), "b".into(), "c".into()]);
            for (a, b, c) in &rows {
                t.push(&[Some(a.to_string()), Some(b.to_string()), (*c > 0).then(|| c.to_string())]);
            }
            let (one, two, all) = (t.classes(&[0], k), t.classes(&[0, 1], k), t.all(k).unwrap());
            prop_assert!(two.smallest <= one.smallest && all.smallest <= two.smallest);
            prop_assert!(one.below <= two.below && two.below <= all.below);
            prop_assert!(all.unique <= all.below || k < 2);
            prop_assert_eq!(all.rows, rows.len() as u64);
            let worst = t.worst(k, 3).unwrap();
            for columns in combinations(3, 3) {
                prop_assert!(t.classes(&columns, k).below <= worst.below);
            }
            // Counted the plain way.
            let mut sizes = std::collections::BTreeMap::new();
            for row in &rows {
                *sizes.entry(row).or_insert(0u64) += 1;
            }
            prop_assert_eq!(all.below, sizes.values().filter(|n| **n < k).sum::<u64>());
        }
    }
}
