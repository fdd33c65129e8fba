//! One SELECT and nothing else: a look at a statement before it is sent to a department's data base.
//!
//! The transaction is read-only besides; this check gives the clear message and stops what read-only does not
//! (`INTO OUTFILE`, a second statement, locks).

use model::{Code, Error, Result};

fn refuse(zh: impl Into<String>, en: impl Into<String>) -> Error {
    Error::new(Code::InvalidQuery, zh, en)
}

/// Answers the statement without a trailing semicolon, or why it is refused. `mysql`: backslashes escape in strings.
pub(crate) fn single_select(sql: &str, mysql: bool) -> Result<String> {
    let (words, end) = words(sql, mysql)?;
    match words.first().map(String::as_str) {
        Some("SELECT" | "WITH" | "TABLE" | "VALUES") => {}
        Some(other) => {
            return Err(refuse(
                format!("只允许一条 SELECT 查询，语句以 {other} 开头"),
                format!("only one SELECT is allowed; the statement starts with {other}"),
            ));
        }
        None => return Err(refuse("查询语句是空的", "the statement is empty")),
    }
    const FORBIDDEN: [&str; 17] = [
        "INTO",
        "INSERT",
        "UPDATE",
        "DELETE",
        "MERGE",
        "DROP",
        "ALTER",
        "CREATE",
        "TRUNCATE",
        "GRANT",
        "REVOKE",
        "COPY",
        "LOAD_FILE",
        "CALL",
        "LOCK",
        "PG_READ_FILE",
        "PG_SLEEP",
    ];
    if let Some(bad) = words.iter().find(|w| FORBIDDEN.contains(&w.as_str())) {
        return Err(refuse(
            format!("查询语句中不允许出现 {bad}；只允许只读的 SELECT（列名若为保留字请加引号）"),
            format!(
                "{bad} is not allowed in the statement, only a SELECT that reads (quote a column of that name)"
            ),
        ));
    }
    Ok(sql.get(..end).unwrap_or(sql).trim().to_owned())
}

/// Bare words in upper case, outside strings, quoted names and comments, and where the statement ends.
fn words(sql: &str, mysql: bool) -> Result<(Vec<String>, usize)> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut ended: Option<usize> = None;
    let mut chars = sql.char_indices().peekable();
    let open = || {
        refuse(
            "查询语句中的引号或注释没有闭合",
            "a quote or comment in the statement is not closed",
        )
    };
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|n| n.1);
        let rest = sql.get(at..).unwrap_or_default();
        if c.is_alphanumeric() || c == '_' || (c == '$' && !word.is_empty()) {
            if ended.is_some() {
                return Err(refuse("只允许一条查询语句", "only one statement is allowed"));
            }
            word.extend(c.to_uppercase());
            continue;
        }
        if !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        let skip_to = match c {
            '\'' | '"' | '`' => Some(at + quoted(rest, c, mysql).ok_or_else(open)?),
            '-' if next == Some('-') => Some(at + rest.find('\n').unwrap_or(rest.len())),
            '#' if mysql => Some(at + rest.find('\n').unwrap_or(rest.len())),
            '/' if next == Some('*') => {
                if rest.starts_with("/*!") || rest.starts_with("/*M!") {
                    return Err(refuse(
                        "不允许可执行注释 /*! */",
                        "executable comments /*! */ are not allowed",
                    ));
                }
                Some(at + rest.find("*/").ok_or_else(open)? + 2)
            }
            '$' if !mysql => dollar(rest).map(|n| at + n),
            ';' => {
                ended.get_or_insert(at);
                None
            }
            _ => None,
        };
        if ended.is_some() && !(c == ';' || c.is_whitespace() || matches!(c, '-' | '#' | '/')) {
            return Err(refuse("只允许一条查询语句", "only one statement is allowed"));
        }
        if let Some(to) = skip_to {
            while chars.peek().is_some_and(|n| n.0 < to) {
                chars.next();
            }
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    Ok((words, ended.unwrap_or(sql.len())))
}

/// Length of a quoted text including both quotes.
fn quoted(text: &str, quote: char, mysql: bool) -> Option<usize> {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && mysql && quote != '`' {
            chars.next();
        } else if c == quote {
            if chars.peek().is_some_and(|n| n.1 == quote) {
                chars.next();
            } else {
                return Some(at + c.len_utf8());
            }
        }
    }
    None
}

/// Length of PostgreSQL's `$tag$ … $tag$`, or `None` when it is none.
fn dollar(text: &str) -> Option<usize> {
    let tag_end = text.get(1..)?.find('$')? + 2;
    let tag = text.get(..tag_end)?;
    if !tag.trim_matches('$').chars().all(|c| c.is_alphanumeric() || c == '_') {
        return None;
    }
    Some(text.get(tag_end..)?.find(tag)? + 2 * tag_end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_reading_statement_passes() {
        for good in [
            "SELECT 1",
            " select * from t where a = 'x; drop table t' ; ",
            "WITH a AS (SELECT 1) SELECT * FROM a -- done",
            "select \"update\", `delete` from t /* note; */",
            "select $$;drop$$, 'it''s'",
        ] {
            assert!(single_select(good, false).is_ok(), "{good}");
        }
        for bad in [
            "",
            "delete from t",
            "select 1; select 2",
            "select 1; drop table t",
            "select * into t2 from t",
            "select * from t into outfile '/tmp/x'",
            "with x as (delete from t returning *) select * from x",
            "select 'open",
            "select 1 /*! union */",
            "copy t to '/tmp/x'",
            "select 1;'x'",
        ] {
            assert!(single_select(bad, true).is_err(), "{bad}");
        }
        assert_eq!(single_select("select 1 ; ", false).unwrap(), "select 1");
        // A backslash ends no string in PostgreSQL.
        assert!(single_select("select '\\'; drop table t; --'", false).is_err());
    }
}
