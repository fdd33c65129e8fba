//! Disclosure control (披露控制): what speaks against letting a table out, by its cells alone.
//!
//! Functions: same table, same findings, none of which tells a value. The methods are those of statistical disclosure control:
//! a least size of a group (k-threshold), small cells hidden and their complements (a hidden cell that follows from totals), and
//! differencing (two tables whose difference is a small group). What cannot be judged counts as refused.
//!
//! ```text
//! district  kind   n          group, group, count
//! 西湖区     A      120
//! 西湖区     B      *          hidden
//! 西湖区     合计   122        a total: the hidden cell is 2, and is found
//! ```

mod complement;
mod differ;
mod scan;

use model::code::Grade;
use model::sandbox::release::{Check, ColumnPart, OutColumn, OutFinding, OutTable};

/// What a table may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutRules {
    /// Least size of a group; what is smaller must be hidden.
    pub k: u64,
    /// Most rows.
    pub rows: usize,
    /// Highest grade.
    pub grade: Grade,
}

/// Findings of one check are told so often at most; the last one says how many more there are.
const TOLD: usize = 20;

/// All checks. No finding: nothing speaks against it.
#[must_use]
pub fn check(table: &OutTable, earlier: &[OutTable], rules: &OutRules) -> Vec<OutFinding> {
    let mut all = Vec::new();
    for found in [
        shape(table),
        grade(table, rules),
        rows(table, rules),
        scan::personal(table),
        threshold(table, rules),
        complement::follow(table, rules),
        differ::differences(table, earlier, rules),
    ] {
        all.extend(shortened(found));
    }
    all
}

fn shortened(mut found: Vec<OutFinding>) -> Vec<OutFinding> {
    let more = found.len().saturating_sub(TOLD);
    found.truncate(TOLD);
    if more > 0
        && let Some(last) = found.last_mut()
    {
        last.zh.push_str(&format!("（另有 {more} 处）"));
        last.en.push_str(&format!(" (and {more} more)"));
    }
    found
}

/// Whether a cell is hidden: empty, or one of the marks that offices use. `<3` is none of them: it tells a bound.
#[must_use]
pub fn hidden(cell: &str) -> bool {
    let cell = cell.trim();
    matches!(cell, "" | "*" | "**" | "***" | "-" | "—" | "…" | "x" | "X")
}

/// The count of a cell.
fn count_of(cell: &str) -> Option<u64> {
    cell.trim().parse().ok()
}

/// Whether a value of a group column stands for all of them. An empty one does, too: `ROLLUP` writes totals so.
fn total(cell: &str) -> bool {
    let cell = cell.trim();
    matches!(cell, "" | "合计" | "总计" | "小计" | "全部" | "全市" | "全省")
        || ["total", "subtotal", "sum", "all"].iter().any(|w| cell.eq_ignore_ascii_case(w))
}

fn parts(table: &OutTable, part: ColumnPart) -> Vec<usize> {
    let of = |(at, c): (usize, &OutColumn)| (c.part == part).then_some(at);
    table.columns.iter().enumerate().filter_map(of).collect()
}

fn cell(row: &[String], at: usize) -> &str {
    row.get(at).map(String::as_str).unwrap_or_default()
}

fn name(table: &OutTable, at: usize) -> String {
    table.columns.get(at).map(|c| c.name.clone()).unwrap_or_default()
}

/// Every row tells how many it is of: a table without counts is one of single records, and stays.
fn shape(table: &OutTable) -> Vec<OutFinding> {
    let whole = |zh: &str, en: &str| OutFinding {
        check: Check::Shape,
        row: None,
        column: String::new(),
        zh: zh.to_owned(),
        en: en.to_owned(),
    };
    if table.columns.is_empty() || table.rows.is_empty() {
        return vec![whole(
            "结果没有列或没有行，无可发布",
            "the result has no columns or no rows: there is nothing to release",
        )];
    }
    if let Some(at) = table.rows.iter().position(|r| r.len() != table.columns.len()) {
        return vec![OutFinding {
            row: Some(at + 1),
            ..whole("该行的列数与表头不同", "the row has another number of columns than the head")
        }];
    }
    if parts(table, ColumnPart::Count).is_empty() {
        return vec![whole(
            "结果没有计数列，无法证明每行都由足够多的对象汇总而成；请按组汇总并给出计数列",
            "no column counts, so that nothing shows that each row is of enough: group it, with a count",
        )];
    }
    Vec::new()
}

fn grade(table: &OutTable, rules: &OutRules) -> Vec<OutFinding> {
    let above = table.columns.iter().filter(|c| c.grade > rules.grade);
    above
        .map(|c| OutFinding {
            check: Check::Grade,
            row: None,
            column: c.name.clone(),
            zh: format!(
                "该列为 {} 级，超过可发布的 {} 级；请去掉该列或改用级别较低的数据项",
                c.grade.as_str(),
                rules.grade.as_str()
            ),
            en: format!(
                "the column is of grade {}, above {} that may leave: take it out, or use an item of a lower grade",
                c.grade.as_str(),
                rules.grade.as_str()
            ),
        })
        .collect()
}

fn rows(table: &OutTable, rules: &OutRules) -> Vec<OutFinding> {
    if table.rows.len() <= rules.rows {
        return Vec::new();
    }
    vec![OutFinding {
        check: Check::Rows,
        row: None,
        column: String::new(),
        zh: format!("结果 {} 行，超过上限 {} 行；请汇总得更粗", table.rows.len(), rules.rows),
        en: format!("{} rows, more than {}: group it more coarsely", table.rows.len(), rules.rows),
    }]
}

/// Counts are hidden, zero, or of k at least.
fn threshold(table: &OutTable, rules: &OutRules) -> Vec<OutFinding> {
    let mut found = Vec::new();
    for at in parts(table, ColumnPart::Count) {
        for (row, cells) in table.rows.iter().enumerate() {
            let text = cell(cells, at);
            let (zh, en) = match count_of(text) {
                _ if hidden(text) => continue,
                Some(n) if n == 0 || n >= rules.k => continue,
                Some(_) => (
                    format!("该组少于 {} 个对象；请合并分组，或把该单元格写成 *", rules.k),
                    format!("the group is of fewer than {}: merge groups, or write * there", rules.k),
                ),
                None => (
                    "计数列中不是非负整数，无法判断；请改为整数或 *".to_owned(),
                    "no whole number in a column of counts, which cannot be judged: write one, or *"
                        .to_owned(),
                ),
            };
            let column = name(table, at);
            found.push(OutFinding { check: Check::Threshold, row: Some(row + 1), column, zh, en });
        }
    }
    // What is measured of a hidden group tells of it, too.
    let counts = parts(table, ColumnPart::Count);
    for at in parts(table, ColumnPart::Measure) {
        for (row, cells) in table.rows.iter().enumerate() {
            let of_hidden = counts.iter().all(|c| hidden(cell(cells, *c)));
            if of_hidden && !hidden(cell(cells, at)) {
                found.push(OutFinding {
                    check: Check::Threshold,
                    row: Some(row + 1),
                    column: name(table, at),
                    zh: "该组的计数已隐藏，其数值也须写成 *".to_owned(),
                    en: "the count of the group is hidden: its measures must be * as well"
                        .to_owned(),
                });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn table(columns: &[(&str, ColumnPart)], rows: &[&[&str]]) -> OutTable {
        let column = |(name, part): &(&str, ColumnPart)| OutColumn {
            name: (*name).to_owned(),
            part: *part,
            grade: Grade::L2,
        };
        OutTable {
            columns: columns.iter().map(column).collect(),
            rows: rows.iter().map(|r| r.iter().map(|c| (*c).to_owned()).collect()).collect(),
        }
    }

    pub(super) const RULES: OutRules = OutRules { k: 4, rows: 100, grade: Grade::L2 };
    use ColumnPart::{Count, Group, Measure};

    fn checks(table: &OutTable) -> Vec<Check> {
        check(table, &[], &RULES).into_iter().map(|f| f.check).collect()
    }

    #[test]
    fn a_table_of_large_groups_may_leave() {
        let good = table(
            &[("district", Group), ("n", Count), ("area", Measure)],
            &[&["西湖区", "12", "3.5"], &["上城区", "4", "1"], &["滨江区", "0", "0"]],
        );
        assert_eq!(check(&good, &[], &RULES), []);
    }

    #[test]
    fn single_records_small_groups_and_grades_stay() {
        let records = table(&[("name", Group)], &[&["甲公司"]]);
        assert_eq!(checks(&records), [Check::Shape]);
        let small =
            table(&[("d", Group), ("n", Count)], &[&["甲", "3"], &["乙", "一"], &["丙", "-7"]]);
        let found = check(&small, &[], &RULES);
        assert_eq!(found.iter().map(|f| f.row).collect::<Vec<_>>(), [Some(1), Some(2), Some(3)]);
        assert!(found.iter().all(|f| f.check == Check::Threshold && f.column == "n"));
        let mut high = table(&[("d", Group), ("n", Count)], &[&["甲", "30"]]);
        if let Some(c) = high.columns.first_mut() {
            c.grade = Grade::L3;
        }
        assert_eq!(checks(&high), [Check::Grade]);
        let ragged = OutTable { rows: vec![vec!["甲".into()]], ..high };
        assert!(checks(&ragged).contains(&Check::Shape));
    }

    #[test]
    fn a_measure_of_a_hidden_group_stays() {
        let told = table(
            &[("d", Group), ("n", Count), ("sum", Measure)],
            &[&["甲", "*", "17"], &["乙", "9", "3"]],
        );
        assert_eq!(checks(&told), [Check::Threshold]);
    }

    #[test]
    fn many_findings_are_told_shortly() {
        let rows: Vec<Vec<String>> =
            (0..50).map(|n| vec![format!("g{n}"), "1".to_owned()]).collect();
        let mut many = table(&[("d", Group), ("n", Count)], &[]);
        many.rows = rows;
        let found = check(&many, &[], &RULES);
        assert_eq!(found.len(), TOLD);
        assert!(found.last().unwrap().en.ends_with("(and 30 more)"));
    }
}
