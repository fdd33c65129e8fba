//! Differencing: a table beside an earlier one of the same people. Where their counts differ by less than k, the difference is a
//! small group that neither of them shows; where a finer table hides cells that a coarser one sums up, so is what is hidden.

use std::collections::BTreeMap;

use model::sandbox::release::{Check, ColumnPart, OutFinding, OutTable};

use super::{OutRules, cell, count_of, name, parts, total};

pub(super) fn differences(
    table: &OutTable,
    earlier: &[OutTable],
    rules: &OutRules,
) -> Vec<OutFinding> {
    let mut found: Vec<OutFinding> = Vec::new();
    for before in earlier {
        for (own, other) in groupings(table, before) {
            for at in parts(table, ColumnPart::Count) {
                let now = rolled(table, &own, at);
                for then_at in parts(before, ColumnPart::Count) {
                    let then = rolled(before, &other, then_at);
                    for (key, (n, row)) in &now {
                        let Some((m, _)) = then.get(key) else { continue };
                        let between = n.abs_diff(*m);
                        if between == 0 || between >= rules.k {
                            continue;
                        }
                        let finding = told(name(table, at), *row, rules.k);
                        if !found.contains(&finding) {
                            found.push(finding);
                        }
                    }
                }
            }
        }
    }
    found
}

fn told(column: String, row: usize, k: u64) -> OutFinding {
    OutFinding {
        check: Check::Difference,
        row: Some(row + 1),
        column,
        zh: format!(
            "与本项目此前发布的结果相减，可得到少于 {k} 个对象的一组；请改变分组或沿用此前的口径"
        ),
        en: format!(
            "less an earlier release of the project it leaves a group of fewer than {k}: group otherwise, or as before"
        ),
    }
}

/// Group columns that the two have in common, by name; when none, all of them in their order where they are as many. A name that
/// was changed does not help.
fn groupings(table: &OutTable, before: &OutTable) -> Vec<(Vec<usize>, Vec<usize>)> {
    let (own, other) = (parts(table, ColumnPart::Group), parts(before, ColumnPart::Group));
    let mut named = (Vec::new(), Vec::new());
    for a in &own {
        if let Some(b) = other.iter().find(|b| name(before, **b) == name(table, *a)) {
            named.0.push(*a);
            named.1.push(*b);
        }
    }
    let whole = own.len() == other.len() && named.0 != own;
    let mut all = vec![named];
    if whole {
        all.push((own, other));
    }
    all
}

/// Counts summed up over the other group columns, with the first row of each. Totals are left out: the cells make them again.
/// A table of totals alone is taken as it is.
fn rolled(table: &OutTable, by: &[usize], at: usize) -> BTreeMap<Vec<String>, (u64, usize)> {
    let groups = parts(table, ColumnPart::Group);
    let is_total = |row: &[String]| groups.iter().any(|g| total(cell(row, *g)));
    let only_totals = table.rows.iter().all(|r| is_total(r));
    let mut sums: BTreeMap<Vec<String>, (u64, usize)> = BTreeMap::new();
    for (n, row) in table.rows.iter().enumerate() {
        if is_total(row) && !only_totals {
            continue;
        }
        let key = by.iter().map(|g| cell(row, *g).trim().to_owned()).collect();
        let count = count_of(cell(row, at)).unwrap_or(0);
        let sum = sums.entry(key).or_insert((0, n));
        sum.0 = sum.0.saturating_add(count);
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::super::tests::{RULES, table};
    use super::*;
    use ColumnPart::{Count, Group};

    const BY_DISTRICT: [(&str, ColumnPart); 2] = [("d", Group), ("n", Count)];

    #[test]
    fn nearly_the_same_people_twice_are_found() {
        let before = [table(&BY_DISTRICT, &[&["甲", "20"], &["乙", "9"]])];
        let rows = |cells: &[&[&str]], columns: &[(&str, ColumnPart)]| {
            let found = differences(&table(columns, cells), &before, &RULES);
            found.into_iter().map(|f| f.row).collect::<Vec<_>>()
        };
        assert_eq!(rows(&[&["甲", "20"], &["乙", "9"]], &BY_DISTRICT), []);
        assert_eq!(rows(&[&["甲", "18"], &["乙", "30"]], &BY_DISTRICT), [Some(1)]);
        assert_eq!(rows(&[&["甲", "24"], &["乙", "30"]], &BY_DISTRICT), []);
        // Under another name as well.
        assert_eq!(rows(&[&["甲", "21"]], &[("area", Group), ("c", Count)]), [Some(1)]);
    }

    #[test]
    fn a_coarser_table_gives_hidden_cells_away() {
        let fine = table(
            &[("d", Group), ("k", Group), ("n", Count)],
            &[&["甲", "A", "20"], &["甲", "B", "*"]],
        );
        let coarse = table(&BY_DISTRICT, &[&["甲", "22"]]);
        let found = differences(&coarse, std::slice::from_ref(&fine), &RULES);
        assert_eq!(found.len(), 1);
        assert_eq!(differences(&fine, &[coarse], &RULES).len(), 1);
    }
}
