//! Sums of rows, whatever their order and whatever database holds them: the same values in other words give the same sum.
//!
//! A database says `12.50` where the lake says `12.5`, `t` where it says `true`, `2026-01-02 00:00:00` where it says `2026-01-02`:
//! each cell is put into one form by its type first. Geometry is counted as there or not there, for databases keep it in forms of
//! their own.

use std::collections::HashMap;

use guard::hash::sha256_hex;
use model::code::DataType;
use policy::port::{OutletColumn, OutletRows};

/// Rows being added up.
pub(super) struct Tally {
    columns: Vec<(DataType, bool)>,
    rows: u64,
    sum: u128,
    /// Prints by key, as long as there are not too many.
    held: Option<HashMap<u64, u64>>,
    most: usize,
    key: String,
    row: String,
}

/// How two tallies differ.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) missing: u64,
    pub(super) extra: u64,
    pub(super) different: u64,
}

impl Tally {
    /// Rows of these columns; up to `most` of them are told apart.
    pub(super) fn of(columns: &[OutletColumn], most: usize) -> Self {
        Self {
            columns: columns.iter().map(|c| (c.data_type, c.key)).collect(),
            rows: 0,
            sum: 0,
            held: Some(HashMap::new()),
            most,
            key: String::new(),
            row: String::new(),
        }
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    pub(super) fn sum(&self) -> String {
        format!("{:032x}", self.sum)
    }

    /// What `there` lacks of this, has too much, or has otherwise; `None` when there were too many rows.
    pub(super) fn difference(&self, there: &Self) -> Option<Difference> {
        let (here, there) = (self.held.as_ref()?, there.held.as_ref()?);
        let mut found = Difference::default();
        for (key, print) in here {
            match there.get(key) {
                None => found.missing += 1,
                Some(other) if other != print => found.different += 1,
                Some(_) => {}
            }
        }
        found.extra = there.keys().filter(|key| !here.contains_key(key)).count() as u64;
        Some(found)
    }
}

impl OutletRows for Tally {
    fn row(&mut self, cells: &[Option<&str>]) {
        self.key.clear();
        self.row.clear();
        for ((kind, key), cell) in self.columns.iter().zip(cells) {
            let at = self.row.len();
            match cell {
                None => self.row.push('~'),
                Some(text) => {
                    let words = words(*kind, text);
                    self.row.push_str(&format!("{}:{words}", words.len()));
                }
            }
            if *key {
                self.key.push_str(self.row.get(at..).unwrap_or_default());
            }
        }
        let (key, print) = (print(&self.key), print(&self.row));
        self.rows += 1;
        self.sum = self.sum.wrapping_add(print);
        if let Some(held) = &mut self.held {
            held.insert(short(key), short(print));
            if held.len() > self.most {
                self.held = None;
            }
        }
    }
}

fn print(text: &str) -> u128 {
    let hex = sha256_hex(text.as_bytes());
    u128::from_str_radix(hex.get(..32).unwrap_or_default(), 16).unwrap_or_default()
}

fn short(print: u128) -> u64 {
    u64::try_from(print >> 64).unwrap_or_default()
}

/// A cell in one form, whoever says it.
fn words(kind: DataType, text: &str) -> String {
    match kind {
        // A column of fixed width comes back filled up.
        DataType::Text => text.trim_end_matches(' ').to_owned(),
        DataType::Json => serde_json::from_str(text)
            .map_or_else(|_| text.to_owned(), |value: serde_json::Value| sorted(&value)),
        DataType::Geometry => String::new(),
        DataType::Integer | DataType::Decimal => digits(text),
        DataType::Float => text
            .parse::<f64>()
            .map_or_else(|_| text.to_owned(), |f| format!("{:016x}", (f + 0.0).to_bits())),
        DataType::Boolean => match text {
            "t" | "true" | "1" => "1".to_owned(),
            _ => "0".to_owned(),
        },
        DataType::Date => text.get(..10).unwrap_or(text).to_owned(),
        DataType::DateTime => moment(text),
    }
}

/// A number without zeros that say nothing.
fn digits(text: &str) -> String {
    let (sign, plain) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text),
    };
    let (whole, part) = plain.split_once('.').unwrap_or((plain, ""));
    let (whole, part) = (whole.trim_start_matches('0'), part.trim_end_matches('0'));
    match (whole, part) {
        ("", "") => "0".to_owned(),
        (whole, "") => format!("{sign}{whole}"),
        (whole, part) => format!("{sign}{whole}.{part}"),
    }
}

/// Civil time without a zone and without zeros that say nothing.
fn moment(text: &str) -> String {
    let text = text.replacen('T', " ", 1);
    let end = text.get(11..).and_then(|rest| rest.find(['+', '-', 'Z'])).map(|at| at + 11);
    let plain = end.and_then(|at| text.get(..at)).unwrap_or(&text);
    match plain.split_once('.') {
        Some((seconds, part)) => match part.trim_end_matches('0') {
            "" => seconds.to_owned(),
            part => format!("{seconds}.{part}"),
        },
        None => plain.to_owned(),
    }
}

/// JSON with its members in order: databases keep them in an order of their own.
fn sorted(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Object(members) => {
            let mut members: Vec<String> = members
                .iter()
                .map(|(name, value)| format!("{}:{}", serde_json::json!(name), sorted(value)))
                .collect();
            members.sort_unstable();
            format!("{{{}}}", members.join(","))
        }
        serde_json::Value::Array(parts) => {
            format!("[{}]", parts.iter().map(sorted).collect::<Vec<_>>().join(","))
        }
        plain => plain.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(data_type: DataType, key: bool) -> OutletColumn {
        OutletColumn { name: "c".into(), title: "c".into(), data_type, scale: 0, key }
    }

    #[test]
    fn the_same_value_has_the_same_words_whoever_says_it() {
        for (kind, forms) in [
            (DataType::Text, vec!["杭州", "杭州   "]),
            (DataType::Integer, vec!["7", "007", "7.00"]),
            (DataType::Decimal, vec!["-12.5", "-12.50", "-012.500"]),
            (DataType::Decimal, vec!["0", "-0.00", "0.0"]),
            (DataType::Float, vec!["0.1", "1e-1"]),
            (DataType::Boolean, vec!["true", "t", "1"]),
            (DataType::Date, vec!["2026-01-02", "2026-01-02 00:00:00"]),
            (
                DataType::DateTime,
                vec!["2026-01-02T03:04:05", "2026-01-02 03:04:05.000000", "2026-01-02 03:04:05+08"],
            ),
            (DataType::DateTime, vec!["2026-01-02T03:04:05.250", "2026-01-02 03:04:05.250000"]),
            (
                DataType::Json,
                vec![r#"{"b":1,"a":[1,{"d":2,"c":3}]}"#, r#"{"a": [1, {"c": 3, "d": 2}], "b": 1}"#],
            ),
        ] {
            let said: Vec<String> = forms.iter().map(|text| words(kind, text)).collect();
            assert!(said.iter().all(|words| *words == said[0]), "{kind:?}: {said:?}");
        }
        assert_ne!(words(DataType::Decimal, "1.5"), words(DataType::Decimal, "15"));
        assert_ne!(words(DataType::Text, "1.50"), words(DataType::Text, "1.5"));
    }

    #[test]
    fn differences_are_told_row_by_row_and_sums_do_not_know_an_order() {
        let columns = [column(DataType::Integer, true), column(DataType::Text, false)];
        let of = |most: usize, rows: &[(&str, Option<&str>)]| {
            let mut tally = Tally::of(&columns, most);
            for (key, text) in rows {
                tally.row(&[Some(key), *text]);
            }
            tally
        };
        let here = of(10, &[("1", Some("甲")), ("2", Some("乙")), ("3", None)]);
        let same = of(10, &[("3", None), ("1", Some("甲")), ("02", Some("乙"))]);
        assert_eq!((here.sum(), here.rows()), (same.sum(), 3));
        assert_eq!(here.difference(&same), Some(Difference::default()));
        let there = of(10, &[("1", Some("甲")), ("3", Some("")), ("4", None), ("5", None)]);
        let found = here.difference(&there).unwrap();
        assert_eq!(found, Difference { missing: 1, extra: 2, different: 1 });
        assert_ne!(here.sum(), there.sum());
        assert_eq!(here.difference(&of(1, &[("1", None), ("2", None)])), None);
    }
}
