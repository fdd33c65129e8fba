//! Personal data in the cells: identity and mobile numbers, bank cards, and social credit codes of one person's business.

use model::sandbox::release::{Check, OutFinding, OutTable};
use model::{ident, voice};

use super::name;

pub(super) fn personal(table: &OutTable) -> Vec<OutFinding> {
    let mut found = Vec::new();
    for (row, cells) in table.rows.iter().enumerate() {
        for (at, cell) in cells.iter().enumerate() {
            let Some((zh, en)) = told(cell) else { continue };
            found.push(OutFinding {
                check: Check::Personal,
                row: Some(row + 1),
                column: name(table, at),
                zh: format!("单元格含有{zh}；请去掉该列或汇总"),
                en: format!("the cell holds {en}: take the column out, or group it"),
            });
        }
    }
    found
}

fn told(cell: &str) -> Option<(&'static str, &'static str)> {
    voice::personal(cell).or_else(|| cards(cell)).or_else(|| business(cell))
}

/// Numbers of bank cards, also within a text.
fn cards(cell: &str) -> Option<(&'static str, &'static str)> {
    let joined: String = cell.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
    let mut runs = joined.split(|c: char| !c.is_ascii_digit());
    runs.any(ident::bank_card).then_some(("银行卡号", "the number of a bank card"))
}

/// Unified social credit codes that begin with 92: businesses of one person (个体工商户, GB 32100).
fn business(cell: &str) -> Option<(&'static str, &'static str)> {
    let mut runs = cell.split(|c: char| !c.is_ascii_alphanumeric());
    let one = |run: &str| run.starts_with("92") && ident::uscc(run).is_ok();
    runs.any(one).then_some((
        "个体工商户的统一社会信用代码",
        "the social credit code of one person's business",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_persons_are_found_whatever_is_around_them() {
        for cell in
            ["13800138000", "号 11010519491231002X", "4111 1111 1111 1111", "卡4111111111111111。"]
        {
            assert!(told(cell).is_some(), "{cell}");
        }
        for cell in ["120", "2026-01-02", "西湖区", "1234567890123456", ""] {
            assert_eq!(told(cell), None, "{cell}");
        }
        let first = "92330106MA2ABCDE0";
        let digit = ident::uscc_check(first).unwrap();
        assert!(told(&format!("{first}{digit}")).is_some());
    }
}
