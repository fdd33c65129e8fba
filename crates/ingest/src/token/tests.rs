//! Records of many dialects.

use super::*;

fn rows(text: &str, dialect: &Dialect) -> Vec<Vec<String>> {
    rows_of(text, 0, 1, dialect, true, usize::MAX).into_iter().map(|r| r.cells).collect()
}

fn strings(rows: &[&[&str]]) -> Vec<Vec<String>> {
    rows.iter().map(|r| r.iter().map(|c| (*c).to_owned()).collect()).collect()
}

#[test]
fn records_of_many_dialects() {
    let comma = Dialect::new(",");
    assert_eq!(
        rows("a,b\r\n1,2\n3,\r4,5", &comma),
        strings(&[&["a", "b"], &["1", "2"], &["3", ""], &["4", "5"]])
    );
    assert_eq!(
        rows("\"a,1\",\"b \"\"q\"\"\"\n\"x\ny\",z\n", &comma),
        strings(&[&["a,1", "b \"q\""], &["x\ny", "z"]])
    );
    assert_eq!(rows("a, \"b,c\" ,d\n", &comma), strings(&[&["a", "b,c", "d"]]));
    assert_eq!(rows("a,5\" pipe,\"\"\n", &comma), strings(&[&["a", "5\" pipe", ""]]));
    assert_eq!(rows("a||b|c||d", &Dialect::new("||")), strings(&[&["a", "b|c", "d"]]));
    assert_eq!(rows("甲，乙\n1，2", &Dialect::new("，")), strings(&[&["甲", "乙"], &["1", "2"]]));
    let blanks = Dialect { collapse: true, ..Dialect::new(" ") };
    assert_eq!(
        rows("  a   b c  \n1 2   3\n", &blanks),
        strings(&[&["a", "b", "c"], &["1", "2", "3"]])
    );
    let escape = Dialect { escape: true, ..Dialect::new(",") };
    assert_eq!(rows("\"a\\\"b\",c\\,d,\\N\n", &escape), strings(&[&["a\"b", "c,d", "\\N"]]));
    let single = Dialect { quote: Some(b'\''), ..Dialect::new(";") };
    assert_eq!(rows("'a;1';'it''s'\n", &single), strings(&[&["a;1", "it's"]]));
}

#[test]
fn a_stray_quote_costs_its_own_line_only() {
    let comma = Dialect::new(",");
    let got = rows_of("a,b\n\"1,2\n3,4\n5,\"6\"\n", 0, 1, &comma, true, 99);
    let flat: Vec<(u64, bool, usize)> =
        got.iter().map(|r| (r.line, r.trouble.is_some(), r.cells.len())).collect();
    assert_eq!(flat, [(1, false, 2), (2, true, 1), (3, false, 2), (4, false, 2)]);
    let got = rows_of("a,b\n\"1\"x,2\n3,4\n", 0, 1, &comma, true, 99);
    assert_eq!(got.get(1).unwrap().trouble, Some(Trouble::Stray));
    assert_eq!(got.len(), 3);
}
