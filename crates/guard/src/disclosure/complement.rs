//! Hidden cells that follow from the cells that are shown: each total is an equation over the cells it sums up, and a cell that the
//! equations leave one value only is not hidden.
//!
//! The equations are solved modulo a large prime, which tells the same as fractions would (their coefficients are 0, 1 and -1) and
//! cannot overflow.

use std::collections::BTreeMap;

use model::sandbox::release::{Check, ColumnPart, OutFinding, OutTable};

use super::{OutRules, cell, count_of, hidden, name, parts, total};

/// Hidden cells that are looked at; of more, nothing can be said in time.
const MOST: usize = 400;
/// 2^61 - 1.
const PRIME: u64 = (1 << 61) - 1;

/// One total over hidden cells: the unknowns with their signs, and what the shown ones leave over.
struct Equation {
    unknown: BTreeMap<usize, i64>,
    left: i128,
    /// The total itself is hidden.
    open: bool,
}

pub(super) fn follow(table: &OutTable, rules: &OutRules) -> Vec<OutFinding> {
    let groups = parts(table, ColumnPart::Group);
    let mut found = Vec::new();
    for at in parts(table, ColumnPart::Count) {
        let dark: Vec<usize> = table
            .rows
            .iter()
            .enumerate()
            .filter(|(_, r)| hidden(cell(r, at)))
            .map(|(n, _)| n)
            .collect();
        if dark.is_empty() {
            continue;
        }
        if dark.len() > MOST {
            found.push(OutFinding {
                check: Check::Complement,
                row: None,
                column: name(table, at),
                zh: format!("隐藏的单元格超过 {MOST} 个，无法判断；请汇总得更粗"),
                en: format!("more than {MOST} hidden cells cannot be judged: group more coarsely"),
            });
            continue;
        }
        let equations = equations(table, &groups, at);
        for row in determined(&equations, &dark) {
            found.push(OutFinding {
                check: Check::Complement,
                row: Some(row + 1),
                column: name(table, at),
                zh: "该隐藏单元格可由合计与其他单元格算出；请再隐藏同组的一个单元格或去掉合计".to_owned(),
                en: "the hidden cell follows from totals and the other cells: hide another of its group, or the total".to_owned(),
            });
        }
        for equation in equations.iter().filter(|e| !e.open && e.unknown.len() > 1) {
            if (0..i128::from(rules.k)).contains(&equation.left) {
                let row = equation.unknown.keys().next().map(|n| n + 1);
                found.push(OutFinding {
                    check: Check::Complement,
                    row,
                    column: name(table, at),
                    zh: format!("同一合计下隐藏的单元格合起来仍少于 {}；请再隐藏一个单元格或去掉合计", rules.k),
                    en: format!("the hidden cells of one total are fewer than {} together: hide another, or the total", rules.k),
                });
            }
        }
    }
    found
}

/// A total for every group column and every combination of the others that has one.
fn equations(table: &OutTable, groups: &[usize], at: usize) -> Vec<Equation> {
    let mut all = Vec::new();
    for over in groups {
        let mut by_rest: BTreeMap<Vec<&str>, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
        for (n, row) in table.rows.iter().enumerate() {
            let rest = groups.iter().filter(|g| *g != over).map(|g| cell(row, *g).trim()).collect();
            let sides = by_rest.entry(rest).or_default();
            if total(cell(row, *over)) { sides.0.push(n) } else { sides.1.push(n) }
        }
        for (sums, single) in by_rest.into_values() {
            if !single.is_empty() {
                all.extend(sums.iter().filter_map(|sum| equation(table, *sum, &single, at)));
            }
        }
    }
    all
}

fn equation(table: &OutTable, sum: usize, single: &[usize], at: usize) -> Option<Equation> {
    let text = |n: usize| table.rows.get(n).map(|r| cell(r, at)).unwrap_or_default();
    let mut made = Equation { unknown: BTreeMap::new(), left: 0, open: false };
    if hidden(text(sum)) {
        made.unknown.insert(sum, -1);
        made.open = true;
    } else {
        made.left = i128::from(count_of(text(sum))?);
    }
    for n in single {
        if hidden(text(*n)) {
            made.unknown.insert(*n, 1);
        } else {
            made.left -= i128::from(count_of(text(*n))?);
        }
    }
    (!made.unknown.is_empty()).then_some(made)
}

/// Rows whose hidden cell has one value only: the equations, reduced, name it alone.
fn determined(equations: &[Equation], dark: &[usize]) -> Vec<usize> {
    let mut matrix: Vec<Vec<u64>> = equations
        .iter()
        .map(|e| dark.iter().map(|n| field(e.unknown.get(n).copied().unwrap_or(0))).collect())
        .collect();
    let mut done = 0;
    for column in 0..dark.len() {
        let value = |row: &Vec<u64>| row.get(column).copied().unwrap_or(0);
        let Some(pivot) =
            (done..matrix.len()).find(|r| matrix.get(*r).is_some_and(|r| value(r) != 0))
        else {
            continue;
        };
        matrix.swap(done, pivot);
        let Some(mut lead) = matrix.get(done).cloned() else { break };
        let inverse = power(value(&lead), PRIME - 2);
        for cell in &mut lead {
            *cell = times(*cell, inverse);
        }
        for (n, row) in matrix.iter_mut().enumerate() {
            if n == done {
                row.clone_from(&lead);
                continue;
            }
            let factor = row.get(column).copied().unwrap_or(0);
            if factor != 0 {
                for (cell, of) in row.iter_mut().zip(&lead) {
                    *cell = (*cell + PRIME - times(factor, *of)) % PRIME;
                }
            }
        }
        done += 1;
    }
    let mut rows: Vec<usize> = matrix
        .iter()
        .filter_map(|row| {
            let mut set = row.iter().zip(dark).filter(|(value, _)| **value != 0);
            match (set.next(), set.next()) {
                (Some((_, n)), None) => Some(*n),
                _ => None,
            }
        })
        .collect();
    rows.sort_unstable();
    rows.dedup();
    rows
}

fn field(n: i64) -> u64 {
    if n < 0 { PRIME - n.unsigned_abs() % PRIME } else { n.unsigned_abs() % PRIME }
}

fn times(a: u64, b: u64) -> u64 {
    u64::try_from(u128::from(a) * u128::from(b) % u128::from(PRIME)).unwrap_or(0)
}

fn power(mut base: u64, mut by: u64) -> u64 {
    let mut made = 1;
    while by > 0 {
        if by & 1 == 1 {
            made = times(made, base);
        }
        base = times(base, base);
        by >>= 1;
    }
    made
}

#[cfg(test)]
mod tests {
    use super::super::tests::{RULES, table};
    use super::*;
    use ColumnPart::{Count, Group};
    use proptest::prelude::*;

    fn rows(columns: &[(&str, ColumnPart)], rows: &[&[&str]]) -> Vec<Option<usize>> {
        follow(&table(columns, rows), &RULES).into_iter().map(|f| f.row).collect()
    }

    #[test]
    fn a_single_hidden_cell_follows_from_its_total() {
        let columns = [("d", Group), ("n", Count)];
        assert_eq!(rows(&columns, &[&["甲", "20"], &["乙", "*"], &["合计", "22"]]), [Some(2)]);
        // Two hidden cells that are many together do not follow.
        let two: &[&[&str]] = &[&["甲", "*"], &["乙", "*"], &["丙", "20"], &["合计", "32"]];
        assert_eq!(rows(&columns, two), []);
        // Two that are few together are known to be.
        let few: &[&[&str]] = &[&["甲", "*"], &["乙", "*"], &["丙", "20"], &["合计", "23"]];
        assert_eq!(rows(&columns, few), [Some(1)]);
        // Without a total nothing follows.
        assert_eq!(rows(&columns, &[&["甲", "20"], &["乙", "*"]]), []);
    }

    #[test]
    fn a_cell_that_follows_only_from_both_totals_together_is_found() {
        let columns = [("d", Group), ("k", Group), ("n", Count)];
        // Row 西: two hidden; column A: one of them and one more; together they leave one value each.
        let found = rows(
            &columns,
            &[
                &["西", "A", "*"],
                &["西", "B", "*"],
                &["西", "合计", "40"],
                &["上", "A", "*"],
                &["上", "B", "30"],
                &["上", "合计", "50"],
                &["合计", "A", "45"],
                &["合计", "B", "45"],
                &["合计", "合计", "90"],
            ],
        );
        assert_eq!(found, [Some(1), Some(2), Some(4)]);
        // A square of four hidden cells with all totals has no single solution.
        let square = rows(
            &columns,
            &[
                &["西", "A", "*"],
                &["西", "B", "*"],
                &["西", "合计", "40"],
                &["上", "A", "*"],
                &["上", "B", "*"],
                &["上", "合计", "50"],
                &["合计", "A", "45"],
                &["合计", "B", "45"],
            ],
        );
        assert_eq!(square, []);
    }

    proptest! {
        /// Of one list with its total a hidden cell follows when it is alone, or when all that are hidden are few.
        #[test]
        fn a_list_with_a_total(cells in proptest::collection::vec((4_u64..50, any::<bool>()), 1..12)) {
            let sum: u64 = cells.iter().map(|(n, _)| n).sum();
            let mut all: Vec<Vec<String>> = cells
                .iter()
                .enumerate()
                .map(|(at, (n, dark))| {
                    vec![format!("g{at}"), if *dark { "*".to_owned() } else { n.to_string() }]
                })
                .collect();
            all.push(vec!["合计".to_owned(), sum.to_string()]);
            let mut whole = table(&[("d", Group), ("n", Count)], &[]);
            whole.rows = all;
            let found: Vec<_> = follow(&whole, &RULES).into_iter().map(|f| f.row).collect();
            let dark: Vec<usize> =
                cells.iter().enumerate().filter(|(_, (_, dark))| *dark).map(|(at, _)| at + 1).collect();
            match dark.as_slice() {
                [one] => prop_assert_eq!(found, vec![Some(*one)]),
                _ => prop_assert!(found.is_empty()),
            }
        }

        /// Whatever the cells say, the checks answer.
        #[test]
        fn no_table_breaks_the_checks(cells in proptest::collection::vec(("[甲乙合计]{0,2}", "[A合计]{0,2}", "[0-9*]{0,20}"), 0..20)) {
            let mut any_table = table(&[("d", Group), ("k", Group), ("n", Count)], &[]);
            any_table.rows = cells.into_iter().map(|(a, b, c)| vec![a, b, c]).collect();
            let twice = std::slice::from_ref(&any_table);
            let _ = super::super::check(&any_table, twice, &RULES);
        }
    }
}
