//! How deep a statement may go. `1+1+…` and the like become one expression within the other, and whoever walks it (the planner, the engine,
//! even who lets it go) does so by calling itself: a chain that is long enough takes the whole stack, and the process with it. So the
//! links are counted before anything is read.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Statement, visit_relations};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use crate::transform::words::Refusal;

/// Most links of one text: operators, AND, OR, unions, joins, subqueries. Threads that plan have room for many times as many.
pub(crate) const LINKS: usize = 1_000;
/// Most tables that one statement names.
pub(crate) const TABLES: usize = 200;
/// Words that link what stands on both sides, or lie around what follows.
const WORDS: [&str; 16] = [
    "AND",
    "OR",
    "NOT",
    "IS",
    "IN",
    "LIKE",
    "ILIKE",
    "SIMILAR",
    "BETWEEN",
    "COLLATE",
    "AT",
    "UNION",
    "INTERSECT",
    "EXCEPT",
    "JOIN",
    "SELECT",
];

/// Refuses a text with too many links. What cannot be cut into words is left to the parser, which refuses it in its own words.
pub(crate) fn of_text(sql: &str) -> Result<(), Refusal> {
    let Ok(tokens) = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize() else { return Ok(()) };
    let links = tokens.iter().filter(|token| links(token)).count();
    if links <= LINKS {
        return Ok(());
    }
    Err(Refusal {
        zh: format!(
            "语句过于复杂：有 {links} 处运算、连接或子查询，至多 {LINKS} 处；多个取值请写成 IN (…)，或分成几条语句"
        ),
        en: format!(
            "the statement is too complex: {links} operators, joins and subqueries, at most {LINKS} are taken; write many values as IN (…), or take it apart"
        ),
    })
}

/// Refuses a statement that names too many tables: joined by commas they lie within each other, too.
pub(crate) fn of_tables(statement: &Statement) -> Result<(), Refusal> {
    let mut tables = 0_usize;
    let _ = visit_relations(statement, |_| {
        tables += 1;
        ControlFlow::<()>::Continue(())
    });
    if tables <= TABLES {
        return Ok(());
    }
    Err(Refusal {
        zh: format!("语句引用了 {tables} 个表，至多 {TABLES} 个：请分成几条语句"),
        en: format!(
            "the statement names {tables} tables, at most {TABLES} are taken: take it apart"
        ),
    })
}

fn links(token: &Token) -> bool {
    match token {
        Token::Word(word) => {
            word.quote_style.is_none()
                && WORDS.iter().any(|known| word.value.eq_ignore_ascii_case(known))
        }
        Token::EOF
        | Token::Number(..)
        | Token::Char(_)
        | Token::Whitespace(_)
        | Token::Comma
        | Token::Period
        | Token::LParen
        | Token::RParen
        | Token::SemiColon
        | Token::Placeholder(_)
        | Token::SingleQuotedString(_)
        | Token::DollarQuotedString(_)
        | Token::EscapedStringLiteral(_)
        | Token::UnicodeStringLiteral(_)
        | Token::NationalStringLiteral(_)
        | Token::HexStringLiteral(_) => false,
        // Operators, casts, subscripts, and whatever else there is.
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_chains_are_refused_and_long_lists_are_not() {
        for (piece, by) in [
            ("1", "+"),
            ("'a'", "||"),
            ("x = 1", " or "),
            ("(select 1)", " union all "),
            ("1", "::"),
        ] {
            let sql = |n: usize| format!("select {}", vec![piece; n].join(by));
            of_text(&sql(200)).unwrap_or_else(|r| panic!("{by}: {}", r.en));
            let refused = of_text(&sql(1100)).unwrap_err();
            assert!(refused.en.contains("IN (…)") && refused.zh.contains("过于复杂"), "{by}");
        }
        let list = vec!["1"; 5000].join(",");
        of_text(&format!("select * from t where a in ({list})")).unwrap();
        of_text("select 'unfinished").unwrap();
    }

    #[test]
    fn many_tables_are_refused() {
        let parsed = |n: usize| {
            let from: Vec<String> = (0..n).map(|at| format!("t t{at}")).collect();
            let sql = format!("select 1 from {}", from.join(", "));
            let dialect = PostgreSqlDialect {};
            datafusion::sql::sqlparser::parser::Parser::parse_sql(&dialect, &sql).unwrap().remove(0)
        };
        of_tables(&parsed(200)).unwrap();
        assert!(of_tables(&parsed(201)).unwrap_err().en.contains("201 tables"));
    }
}
