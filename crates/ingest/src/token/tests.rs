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

/// Reads a text as a stream of blocks: its records, and those that its footer rule took off.
fn streamed(text: &str, dialect: &Dialect, step: usize, footer: usize) -> (Vec<Row>, Vec<Row>) {
    let letters = crate::letters::ordered("utf-8", &[]).unwrap();
    let bytes = std::io::Cursor::new(text.as_bytes().to_vec());
    let blocks = Blocks::new(Box::new(bytes), letters).by_steps(step);
    let mut tokens =
        Tokens::new(blocks, dialect.clone(), Some(Box::new(move |rows| footer.min(rows.len()))));
    let mut rows = Vec::new();
    while tokens.advance().unwrap() {
        let record = tokens.record();
        let cells = (0..record.len()).map(|at| tokens.cell(at).unwrap());
        let (cells, quoted) = cells.map(|c| (c.text.to_owned(), c.mark == Mark::Exact)).unzip();
        let (line, trouble) = (record.line, record.trouble);
        rows.push(Row { line, start: 0, cells, quoted, trouble, gap: false });
    }
    (rows, tokens.footer)
}

/// Lines of a table, with quotes of all sorts: closed, doubled, over several lines, and never closed.
fn lines() -> impl proptest::strategy::Strategy<Value = String> {
    use proptest::prelude::*;
    let cell = prop_oneof![
        6 => "[a-z0-9 杭州]{0,6}",
        2 => "\"[a-z,杭 ]{0,5}\"",
        1 => "\"[a-z]{0,3}\"\"[a-z]{0,3}\"",
        1 => "\"[a-z]{0,3}(\r\n|\n|\r)[a-z,]{0,3}\"",
        1 => "[a-z]{0,2}\"[a-z]{0,2}",
        1 => "\"[a-z]{1,3}",
    ];
    let row = (prop::collection::vec(cell, 1..5), prop::sample::select(vec!["\n", "\r\n", "\r"]));
    prop::collection::vec(row, 0..60)
        .prop_map(|rows| rows.into_iter().map(|(cells, end)| cells.join(",") + end).collect())
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig {
        cases: 32, failure_persistence: None, ..Default::default()
    })]

    /// However a text is cut into blocks, its records, their lines and their troubles are those of one pass over it.
    #[test]
    fn blocks_of_any_size_give_the_records_of_one_pass(
        text in lines(), open in proptest::bool::ANY, step in 100_usize..30_000, footer in 0_usize..3,
    ) {
        // Longer than what is always kept in sight.
        let text = text.repeat(2 * HOLD / (text.len() + 1) + 1);
        let text = if open { text + "x,\"y" } else { text };
        let comma = Dialect::new(",");
        let mut whole = rows_of(&text, 0, 1, &comma, true, usize::MAX);
        for row in &mut whole {
            (row.start, row.gap) = (0, false);
        }
        let tail = whole.split_off(whole.len().saturating_sub(footer));
        let (rows, mut notes) = streamed(&text, &comma, step, footer);
        for row in &mut notes {
            (row.start, row.gap) = (0, false);
        }
        proptest::prop_assert_eq!(rows, whole);
        proptest::prop_assert_eq!(notes, tail);
    }
}
