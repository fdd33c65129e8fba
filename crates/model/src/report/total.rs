//! Totals of a fill, and where a level disagrees with those below it.
//!
//! Worked example: a city reports 12 firms, its counties 5 and 6: with the rule *sum* the cell `firms` differs (12
//! against 11). A cell that nobody filled counts as nothing.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{Cells, FormDraft, TotalRule};

/// Totals of one group of rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TotalGroup {
    /// Values of the fields that totals are taken apart by.
    pub by: Vec<String>,
    /// One for each totalled field, in the form's order.
    pub cells: Vec<Option<Decimal>>,
}

/// Totals of a fill.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    pub rows: u64,
    pub groups: Vec<TotalGroup>,
}

fn rules(draft: &FormDraft) -> Vec<TotalRule> {
    draft.totalled().map(|(_, field)| field.total).collect()
}

fn joined(rule: TotalRule, a: Option<Decimal>, b: Option<Decimal>) -> Option<Decimal> {
    match (a, b) {
        (Some(a), Some(b)) => Some(match rule {
            TotalRule::Max => a.max(b),
            _ => a.saturating_add(b),
        }),
        (a, b) => a.or(b),
    }
}

impl Totals {
    /// Counts a record in. Answers `false` when that would make more than `most` groups.
    pub fn count(&mut self, draft: &FormDraft, record: &Cells, most: usize) -> bool {
        let by: Vec<String> = draft
            .total_by
            .iter()
            .map(|id| draft.place(id).and_then(|n| record.get(n)?.clone()).unwrap_or_default())
            .collect();
        let cell = |n: usize| record.get(n)?.as_deref()?.parse::<Decimal>().ok();
        let cells = draft.totalled().map(|(n, _)| cell(n)).collect();
        self.rows += 1;
        self.join(&rules(draft), TotalGroup { by, cells }, most)
    }

    /// Takes the totals of another fill in.
    pub fn add(&mut self, draft: &FormDraft, other: &Totals, most: usize) -> bool {
        self.rows += other.rows;
        let rules = rules(draft);
        other.groups.iter().all(|group| self.join(&rules, group.clone(), most))
    }

    fn join(&mut self, rules: &[TotalRule], group: TotalGroup, most: usize) -> bool {
        match self.groups.binary_search_by(|known| known.by.cmp(&group.by)) {
            Ok(n) => {
                if let Some(known) = self.groups.get_mut(n) {
                    for ((cell, new), rule) in known.cells.iter_mut().zip(group.cells).zip(rules) {
                        *cell = joined(*rule, *cell, new);
                    }
                }
                true
            }
            Err(_) if self.groups.len() >= most => false,
            Err(n) => {
                self.groups.insert(n, group);
                true
            }
        }
    }

    fn group(&self, by: &[String]) -> Option<&TotalGroup> {
        let n = self.groups.binary_search_by(|known| known.by.as_slice().cmp(by)).ok()?;
        self.groups.get(n)
    }

    /// A totalled field over all groups.
    #[must_use]
    pub fn whole(&self, n: usize, rule: TotalRule) -> Option<Decimal> {
        let cells = self.groups.iter().map(|group| group.cells.get(n).copied().flatten());
        cells.fold(None, |all, cell| joined(rule, all, cell))
    }

    /// A cell of a group.
    #[must_use]
    pub fn cell(&self, by: &[String], n: usize) -> Option<Decimal> {
        self.group(by)?.cells.get(n).copied().flatten()
    }
}

/// A cell in which a level disagrees with those below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    pub by: Vec<String>,
    /// Field.
    pub field: String,
    /// Its place among the totalled fields.
    pub n: usize,
    pub rule: TotalRule,
    pub own: Option<Decimal>,
    pub below: Option<Decimal>,
}

impl Difference {
    /// What the cell is known by in a form.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}\u{1f}{}", self.field, self.by.join("\u{1f}"))
    }
}

/// Cell by cell, where `own` is not what the totals `below` say it should be.
#[must_use]
pub fn compare(draft: &FormDraft, own: &Totals, below: &Totals) -> Vec<Difference> {
    let mut groups: Vec<&Vec<String>> =
        own.groups.iter().chain(&below.groups).map(|g| &g.by).collect();
    groups.sort_unstable();
    groups.dedup();
    let mut differences = Vec::new();
    for by in groups {
        for (n, (_, field)) in draft.totalled().enumerate() {
            let (mine, theirs) = (own.cell(by, n), below.cell(by, n));
            let same = mine.unwrap_or_default() == theirs.unwrap_or_default();
            if !same {
                differences.push(Difference {
                    by: by.clone(),
                    field: field.id().to_owned(),
                    n,
                    rule: field.total,
                    own: mine,
                    below: theirs,
                });
            }
        }
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::DataType;
    use crate::item::Item;
    use crate::report::FormField;

    fn draft(by: &[&str]) -> FormDraft {
        let field = |id: &str, data_type, total| FormField {
            total,
            ..FormField::of(&Item::new(id, id, data_type))
        };
        FormDraft {
            fields: vec![
                field("kind", DataType::Text, TotalRule::None),
                field("firms", DataType::Integer, TotalRule::Sum),
                field("peak", DataType::Decimal, TotalRule::Max),
            ],
            total_by: by.iter().map(|b| (*b).to_owned()).collect(),
            ..FormDraft::default()
        }
    }

    fn totals(draft: &FormDraft, rows: &[(&str, &str, &str)]) -> Totals {
        let mut totals = Totals::default();
        let some = |text: &str| Some(text.to_owned()).filter(|t| !t.is_empty());
        for (kind, firms, peak) in rows {
            assert!(totals.count(draft, &vec![some(kind), some(firms), some(peak)], 10));
        }
        totals
    }

    #[test]
    fn sums_and_peaks_are_compared_cell_by_cell() {
        let form = draft(&["kind"]);
        let mut below = totals(&form, &[("a", "5", "1.5"), ("b", "1", "")]);
        assert!(below.add(&form, &totals(&form, &[("a", "6", "0.10")]), 10));
        assert!(
            compare(&form, &totals(&form, &[("a", "11", "1.50"), ("b", "1", "")]), &below)
                .is_empty()
        );
        let wrong = compare(&form, &totals(&form, &[("a", "12", "1.5"), ("c", "0", "2")]), &below);
        let told: Vec<String> =
            wrong.iter().map(|d| format!("{} {}", d.by.join(""), d.field)).collect();
        // A group that is missing above or below is a difference too, unless it holds nothing.
        assert_eq!(told, ["a firms", "b firms", "c peak"]);
        assert_eq!(below.rows, 3);
    }

    #[test]
    fn decimals_are_added_exactly_and_groups_are_bounded() {
        let form = draft(&[]);
        let mut all = Totals::default();
        for _ in 0..10 {
            let mut row = form.blank();
            if let Some(cell) = row.get_mut(1) {
                *cell = Some("0.1".into());
            }
            assert!(all.count(&form, &row, 1));
        }
        assert_eq!(all.cell(&[], 0), Some(Decimal::ONE));
        let by = draft(&["kind"]);
        let mut few = Totals::default();
        assert!(few.count(&by, &vec![Some("a".into()), None, None], 1));
        assert!(!few.count(&by, &vec![Some("b".into()), None, None], 1));
    }
}
