//! Reconciliation (核对): what a source holds compared with what the lake shows of it, key range by key range.
//!
//! Both sides cut at the same keys and tell, for each range, how many rows it has and two sums over their prints
//! (`guard::print`). Ranges that differ are cut smaller until the rows are known.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::code::{DataType, code_list};
use crate::item::Item;

code_list! {
    /// How a reconciliation stands.
    ReconcileState {
        Running = "running", "核对中", "Comparing";
        Equal = "equal", "一致", "Equal";
        Differs = "differs", "有差异", "Differs";
        Healing = "healing", "补正中", "Being healed";
        Healed = "healed", "已补正", "Healed";
        Failed = "failed", "未完成", "Not finished";
    }
}
code_list! {
    /// What brings the rows that are compared.
    FeedKind {
        Rail = "rail", "数据高铁", "Real-time rail";
        Pipeline = "pipeline", "数据管道", "Pipeline";
        Exchange = "exchange", "数据交换", "Exchange";
        Report = "report", "信息报送", "Reporting";
        Query = "query", "查询归集", "Collection by query";
    }
}
code_list! {
    /// What is wrong with a row.
    DifferenceKind {
        Missing = "missing", "湖中缺少", "Missing in the lake";
        Extra = "extra", "湖中多出", "Extra in the lake";
        Different = "different", "内容不同", "Different";
    }
}

/// A key as texts in the words of `guard::print`, in the order of the entry's key items.
pub type Key = Vec<String>;

/// Keys after one and up to another; without a bound there is none on that side.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRange {
    pub after: Option<Key>,
    pub upto: Option<Key>,
}

impl KeyRange {
    /// Whether a key lies in it.
    #[must_use]
    pub fn holds(&self, order: &KeyOrder, key: &[String]) -> bool {
        self.after.as_ref().is_none_or(|after| order.compare(key, after) == Ordering::Greater)
            && self.upto.as_ref().is_none_or(|upto| order.compare(key, upto) != Ordering::Greater)
    }
}

/// The order of keys, alike at every source and in the lake: numbers as numbers, everything else byte by byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyOrder {
    numbers: Vec<bool>,
}

impl KeyOrder {
    /// Of an entry's items: those of its key in their order.
    #[must_use]
    pub fn of(items: &[Item]) -> Self {
        let number = |item: &Item| matches!(item.data_type, DataType::Integer | DataType::Decimal);
        Self { numbers: items.iter().filter(|item| item.primary).map(number).collect() }
    }

    #[must_use]
    pub fn compare(&self, left: &[String], right: &[String]) -> Ordering {
        for ((number, left), right) in self.numbers.iter().zip(left).zip(right) {
            let order = if *number { numbers(left, right) } else { left.cmp(right) };
            if order != Ordering::Equal {
                return order;
            }
        }
        Ordering::Equal
    }
}

/// Numbers as written by `guard::print`: the same scale on both sides.
fn numbers(left: &str, right: &str) -> Ordering {
    let of = |text: &str| text.replace('.', "").parse::<i128>().ok();
    match (of(left), of(right)) {
        (Some(left), Some(right)) => left.cmp(&right),
        _ => left.cmp(right),
    }
}

/// Rows of a range and two sums over their prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeSum {
    pub rows: u64,
    pub high: u128,
    pub low: u128,
}

/// Bits of each part of a print that is summed.
pub const SUM_BITS: u32 = 60;

impl RangeSum {
    /// Counts one row.
    pub fn add(&mut self, print: u128) {
        self.rows += 1;
        self.high = self.high.wrapping_add(print >> (128 - SUM_BITS));
        self.low = self.low.wrapping_add((print >> (128 - 2 * SUM_BITS)) & ((1 << SUM_BITS) - 1));
    }
}

/// What a row is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowPrint {
    pub key: Key,
    pub print: u128,
    /// Of each cell in the order of the items; empty when not asked for.
    pub cells: Vec<u64>,
    /// Parcel that brought it, and what that called its source; empty when not asked for, and at a source.
    pub parcel: String,
    pub source: String,
}

/// Keys picked evenly out of a stream whose length is not known: when there are too many, every other one goes.
#[derive(Debug)]
pub struct KeySample {
    most: usize,
    every: u64,
    seen: u64,
    keys: Vec<Key>,
}

impl KeySample {
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most: most.max(1), every: 1, seen: 0, keys: Vec::new() }
    }

    /// Looks at one key of the stream.
    pub fn see(&mut self, key: &Key) {
        if self.seen.is_multiple_of(self.every) {
            self.keys.push(key.clone());
            if self.keys.len() > self.most {
                let mut odd = false;
                self.keys.retain(|_| {
                    odd = !odd;
                    odd
                });
                self.every = self.every.saturating_mul(2);
            }
        }
        self.seen += 1;
    }

    #[must_use]
    pub fn keys(self) -> Vec<Key> {
        self.keys
    }
}

/// Ranges that hold every key, cut at these keys.
#[must_use]
pub fn ranges_at(order: &KeyOrder, mut bounds: Vec<Key>) -> Vec<KeyRange> {
    bounds.sort_unstable_by(|a, b| order.compare(a, b));
    bounds.dedup_by(|a, b| order.compare(a, b) == Ordering::Equal);
    let mut after = None;
    let mut ranges = Vec::with_capacity(bounds.len() + 1);
    for bound in bounds {
        ranges.push(KeyRange { after: after.take(), upto: Some(bound.clone()) });
        after = Some(bound);
    }
    ranges.push(KeyRange { after, upto: None });
    ranges
}

/// The range of an ordered list that holds a key.
#[must_use]
pub fn range_of(order: &KeyOrder, ranges: &[KeyRange], key: &[String]) -> Option<usize> {
    let at = ranges.partition_point(|range| {
        range.upto.as_ref().is_some_and(|upto| order.compare(key, upto).is_gt())
    });
    ranges.get(at).filter(|range| range.holds(order, key)).map(|_| at)
}

/// A reconciliation as kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconciliation {
    pub id: String,
    pub entry: String,
    pub entry_code: String,
    pub entry_title: String,
    /// Organisation of the entry.
    pub org: String,
    /// What brings the rows: a rail, a pipeline, an exchange …
    #[serde(default = "by_rail")]
    pub kind: FeedKind,
    /// Its id; of a collection by query the run whose statement is asked again.
    #[serde(alias = "rail")]
    pub feed: String,
    /// Table or place at the source.
    pub place: String,
    /// Position up to which both sides were compared; empty where there is none.
    #[serde(default)]
    pub upto: String,
    pub state: ReconcileState,
    /// Whether the source summed by itself, or its rows were read and summed here.
    pub pushed: bool,
    pub source_rows: u64,
    pub lake_rows: u64,
    /// Ranges compared at first, and questions that followed to find the rows.
    pub chunks: u64,
    pub questions: u64,
    /// Rows of the source that were read one by one.
    pub rows_read: u64,
    pub missing: u64,
    pub extra: u64,
    pub different: u64,
    /// Rows at the source that do not fit the entry's items and so cannot be in the lake.
    pub misfits: u64,
    /// Rows that kept changing while they were looked at, or are newer than the position: the channel is at work on them.
    pub moving: u64,
    /// Rows that differ and were last brought by somebody else: not judged.
    #[serde(default)]
    pub foreign: u64,
    pub healed: u64,
    /// Heal as soon as the differences are known.
    pub heal: bool,
    pub zh: String,
    pub en: String,
    pub started_at: String,
    pub finished_at: Option<String>,
    pub actor: String,
}

fn by_rail() -> FeedKind {
    FeedKind::Rail
}

impl Reconciliation {
    /// Rows that differ.
    #[must_use]
    pub fn differences(&self) -> u64 {
        self.missing + self.extra + self.different
    }
}

/// A row that differs. Its key is data of the entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    pub seq: u64,
    pub kind: DifferenceKind,
    pub key: Key,
    /// Items that differ.
    pub items: Vec<String>,
    pub healed: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_the_order_of_their_types() {
        let mut number = Item::new("n", "n", DataType::Integer);
        let mut text = Item::new("t", "t", DataType::Text);
        (number.primary, text.primary) = (true, true);
        let order = KeyOrder::of(&[number, Item::new("x", "x", DataType::Text), text]);
        let key = |n: &str, t: &str| vec![n.to_owned(), t.to_owned()];
        assert_eq!(order.compare(&key("-10", "a"), &key("9", "a")), Ordering::Less);
        assert_eq!(order.compare(&key("10", "a"), &key("9", "z")), Ordering::Greater);
        assert_eq!(order.compare(&key("9", "Z"), &key("9", "a")), Ordering::Less);
        let range = KeyRange { after: Some(key("9", "a")), upto: Some(key("10", "b")) };
        assert!(range.holds(&order, &key("10", "b")) && range.holds(&order, &key("9", "b")));
        assert!(!range.holds(&order, &key("9", "a")) && !range.holds(&order, &key("10", "c")));
        assert!(KeyRange::default().holds(&order, &key("0", "")));
    }

    #[test]
    fn a_sample_stays_small_and_its_ranges_hold_every_key_once() {
        let mut number = Item::new("n", "n", DataType::Integer);
        number.primary = true;
        let order = KeyOrder::of(&[number]);
        let mut sample = KeySample::new(100);
        (0..10_000).for_each(|n| sample.see(&vec![(n * 7919 % 10_000).to_string()]));
        let keys = sample.keys();
        assert!((50..=100).contains(&keys.len()), "{}", keys.len());
        let ranges = ranges_at(&order, keys);
        let mut counts = vec![0; ranges.len()];
        for n in -5..10_005 {
            let key = vec![n.to_string()];
            let holding = ranges.iter().filter(|range| range.holds(&order, &key)).count();
            assert_eq!(holding, 1, "{n}");
            counts[range_of(&order, &ranges, &key).unwrap()] += 1;
        }
        assert!(counts.iter().all(|n| *n < 1_500), "{counts:?}");
        assert_eq!(ranges_at(&order, Vec::new()), [KeyRange::default()]);
    }

    #[test]
    fn sums_tell_rows_apart_whatever_their_order() {
        let sum = |prints: &[u128]| {
            let mut sum = RangeSum::default();
            prints.iter().for_each(|p| sum.add(*p));
            sum
        };
        let (a, b) = (0x0123_4567_89ab_cdef_0123_4567_89ab_cdef, u128::MAX);
        assert_eq!(sum(&[a, b]), sum(&[b, a]));
        assert_ne!(sum(&[a, b]), sum(&[a, a]));
        assert_ne!(sum(&[a]), sum(&[a, 0]));
        // As a source says it: the first and the next fifteen hexadecimal digits.
        assert_eq!(sum(&[a]).high, 0x0012_3456_789a_bcde);
        assert_eq!(sum(&[a]).low, 0x0f01_2345_6789_abcd);
    }
}
