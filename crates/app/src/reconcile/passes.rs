//! A source that is passed through, compared with the lake by ranges of keys: the ranges are cut at keys of the lake, or of
//! the source where that has far more; one pass sums them, further ones hold the rows of those that differ.

use std::collections::HashMap;

use guard::print;
use model::reconcile::{Key, KeyOrder, KeyRange, KeySample, RangeSum, range_of, ranges_at};
use model::{Code, Error, Result};

use super::compare::Compare;
use super::passed::{Passed, Record};
use super::sight::Sight;

/// Ranges of one comparison.
const RANGES: usize = 4_096;

impl Compare {
    pub(super) async fn by_passes(&mut self, sight: &Sight, passed: &Passed) -> Result<()> {
        self.run.pushed = false;
        let order = KeyOrder::of(&self.entry.draft.items);
        let most = self.app.rules.oversight.reconcile.most_rows as u64;
        // As many ranges as there are leaves, so that one that differs is a small one.
        let leaf = self.app.rules.oversight.reconcile.leaf_rows.max(1);
        let leaves = self.app.lake.count(&self.entry).await? / leaf;
        let pieces = usize::try_from(leaves).unwrap_or(RANGES).clamp(1, RANGES);
        let bounds = self.app.lake.key_sample(&self.permit, &self.entry, pieces).await?;
        let mut ranges = ranges_at(&order, bounds);
        let (mut source, sample) = self.summed(passed, &order, &ranges).await?;
        let mut lake = self.app.lake.range_sums(&self.permit, &self.entry, &ranges).await?;
        if differing(&ranges, &source, &lake).iter().any(|(_, rows)| *rows > most) {
            // The lake's keys say nothing of where the source has its rows: both sides' do.
            let cuts = ranges.into_iter().filter_map(|range| range.upto);
            ranges = ranges_at(&order, cuts.chain(sample).collect());
            source = self.summed(passed, &order, &ranges).await?.0;
            lake = self.app.lake.range_sums(&self.permit, &self.entry, &ranges).await?;
        }
        self.run.source_rows = source.iter().map(|sum| sum.rows).sum();
        self.run.lake_rows = lake.iter().map(|sum| sum.rows).sum();
        self.run.chunks = ranges.len() as u64;
        let (mut group, mut weight) = (Vec::new(), 0);
        for (range, rows) in differing(&ranges, &source, &lake) {
            if rows > most {
                return Err(too_many(most));
            }
            if weight + rows > most {
                self.rows(sight, passed, &order, &std::mem::take(&mut group)).await?;
                weight = 0;
            }
            weight += rows;
            group.push(range);
        }
        if !group.is_empty() {
            self.rows(sight, passed, &order, &group).await?;
        }
        self.notes = passed.notes();
        Ok(())
    }

    /// One pass: the sums of ranges, and keys picked out of the source.
    async fn summed(
        &mut self,
        passed: &Passed,
        order: &KeyOrder,
        ranges: &[KeyRange],
    ) -> Result<(Vec<RangeSum>, Vec<Key>)> {
        let mut sums = vec![RangeSum::default(); ranges.len()];
        let (mut sample, mut scratch) = (KeySample::new(RANGES), String::new());
        self.run.questions += 1;
        passed
            .each(|record| {
                let Record::Row(batch, row, key) = record else { return Ok(()) };
                sample.see(&key);
                let sum = range_of(order, ranges, &key).and_then(|at| sums.get_mut(at));
                if let Some(sum) = sum {
                    sum.add(print::row(batch, row, &mut scratch));
                }
                Ok(())
            })
            .await?;
        Ok((sums, sample.keys()))
    }

    /// The rows of some ranges, one by one. Of rows with the same key the last one counts, as it does when they land.
    async fn rows(
        &mut self,
        sight: &Sight,
        passed: &Passed,
        order: &KeyOrder,
        ranges: &[KeyRange],
    ) -> Result<()> {
        let most = self.app.rules.oversight.reconcile.most_rows;
        let mut there: HashMap<Key, u128> = HashMap::new();
        let (mut misfits, mut scratch, mut read) = (Vec::new(), String::new(), 0);
        self.run.questions += 1;
        passed
            .each(|record| {
                let (Record::Row(_, _, key) | Record::Gone(key) | Record::Misfit(key)) = &record;
                if range_of(order, ranges, key).is_none() {
                    return Ok(());
                }
                match record {
                    Record::Row(batch, row, key) => {
                        read += 1;
                        there.insert(key, print::row(batch, row, &mut scratch));
                    }
                    Record::Gone(key) => {
                        there.remove(&key);
                    }
                    Record::Misfit(key) => misfits.push(key),
                }
                // Rows are written while they are counted: there may be some more than the sums told.
                if there.len() + misfits.len() > most.saturating_mul(2) {
                    return Err(too_many(most as u64));
                }
                Ok(())
            })
            .await?;
        self.run.rows_read += read;
        for range in joined(ranges) {
            let (permit, entry) = (&self.permit, &self.entry);
            let held = most.saturating_mul(2);
            for row in self.app.lake.range_prints(permit, entry, &range, held).await? {
                if there.remove(&row.key) != Some(row.print) {
                    self.suspects.push(row.key);
                }
            }
        }
        self.suspects.extend(there.into_keys());
        self.misfits.extend(misfits);
        let misfits = std::mem::take(&mut self.misfits);
        self.suspects.retain(|key| !misfits.contains(key));
        self.misfits = misfits;
        self.verify(sight).await
    }
}

/// Ranges that differ, with the rows of the larger side.
fn differing(ranges: &[KeyRange], source: &[RangeSum], lake: &[RangeSum]) -> Vec<(KeyRange, u64)> {
    let pairs = source.iter().zip(lake);
    let differ = ranges.iter().zip(pairs).filter(|(_, (source, lake))| source != lake);
    differ.map(|(range, (a, b))| (range.clone(), a.rows.max(b.rows))).collect()
}

/// Ranges that follow each other as one: the lake is asked once for them.
fn joined(ranges: &[KeyRange]) -> Vec<KeyRange> {
    let mut all: Vec<KeyRange> = Vec::new();
    for range in ranges {
        match all.last_mut() {
            Some(last) if last.upto.is_some() && last.upto == range.after => {
                last.upto.clone_from(&range.upto);
            }
            _ => all.push(range.clone()),
        }
    }
    all
}

fn too_many(most: u64) -> Error {
    Error::new(
        Code::RuleBroken,
        format!("一个键段中有差异的行数超过 {most}，逐行核对不合算；请重新全量归集该目录"),
        format!(
            "more than {most} rows differ within one range of keys, too many to compare one by one; collect the entry anew as a whole"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_follow_each_other_are_one_question() {
        let range = |after: &str, upto: &str| {
            let bound = |text: &str| (!text.is_empty()).then(|| vec![text.to_owned()]);
            KeyRange { after: bound(after), upto: bound(upto) }
        };
        let all = [range("", "1"), range("1", "2"), range("5", "6"), range("6", "")];
        assert_eq!(joined(&all), [range("", "2"), range("5", "")]);
        assert_eq!(joined(&[range("", "")]), [range("", "")]);
    }
}
