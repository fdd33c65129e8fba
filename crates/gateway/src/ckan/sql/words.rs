//! A statement cut into words: names, texts, numbers and signs. Whatever is none of them is refused by its place: comments, casts,
//! several statements, escapes.

use super::super::fault::Fault;

/// Longest statement in characters, and most words of one.
const LONGEST: usize = 8_000;
const WORDS: usize = 2_000;

/// One word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// As written; a quoted name is never a keyword.
    Name {
        text: String,
        quoted: bool,
    },
    Text(String),
    Number(String),
    Sign(&'static str),
}

impl Word {
    /// Whether it is this keyword (written in small letters).
    pub(super) fn is(&self, keyword: &str) -> bool {
        matches!(self, Word::Name { text, quoted: false } if text.eq_ignore_ascii_case(keyword))
    }

    /// How it is told in a refusal.
    pub(super) fn told(&self) -> String {
        match self {
            Word::Name { text, .. } | Word::Text(text) | Word::Number(text) => {
                text.chars().take(40).collect()
            }
            Word::Sign(sign) => (*sign).to_owned(),
        }
    }
}

/// Signs, the longer before those they begin with.
const SIGNS: [&str; 12] = ["<>", "!=", "<=", ">=", "=", "<", ">", "(", ")", ",", "*", "-"];

pub(super) fn wrong(zh: &str, en: &str) -> Fault {
    Fault::invalid("sql", zh, en)
}

/// The words of one statement; a semicolon may stand at its end.
pub(super) fn cut(sql: &str) -> Result<Vec<Word>, Fault> {
    let sql = sql.trim();
    let sql = sql.strip_suffix(';').unwrap_or(sql).trim_end();
    if sql.chars().count() > LONGEST {
        return Err(wrong(
            &format!("语句超过 {LONGEST} 个字符"),
            &format!("the statement is longer than {LONGEST} characters"),
        ));
    }
    let mut words = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        if first.is_whitespace() {
            rest = rest.trim_start();
            continue;
        }
        let (word, left) = next(rest, first)?;
        words.push(word);
        rest = left;
        if words.len() > WORDS {
            return Err(wrong(
                &format!("语句超过 {WORDS} 个词"),
                &format!("the statement has more than {WORDS} words"),
            ));
        }
    }
    Ok(words)
}

fn next(rest: &str, first: char) -> Result<(Word, &str), Fault> {
    match first {
        '\'' => quoted(rest, '\'').map(|(text, left)| (Word::Text(text), left)),
        '"' => quoted(rest, '"').map(|(text, left)| (Word::Name { text, quoted: true }, left)),
        c if c.is_ascii_digit() => {
            let (text, left) = while_of(rest, |c| c.is_ascii_digit() || c == '.');
            match text.parse::<f64>() {
                Ok(_) => Ok((Word::Number(text.to_owned()), left)),
                Err(_) => Err(unread(rest)),
            }
        }
        c if c.is_alphabetic() || c == '_' => {
            let (text, left) = while_of(rest, |c| c.is_alphanumeric() || c == '_');
            Ok((Word::Name { text: text.to_owned(), quoted: false }, left))
        }
        // A comment would hide what comes after it.
        '-' if rest.starts_with("--") => Err(unread(rest)),
        _ => SIGNS
            .into_iter()
            .find_map(|sign| Some((Word::Sign(sign), rest.strip_prefix(sign)?)))
            .ok_or_else(|| unread(rest)),
    }
}

/// What stands between two quotes; a quote within is written twice.
fn quoted(rest: &str, quote: char) -> Result<(String, &str), Fault> {
    let mut text = String::new();
    let mut inside = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = inside.next() {
        if c == '\0' {
            break;
        }
        if c != quote {
            text.push(c);
            continue;
        }
        if inside.next_if(|(_, c)| *c == quote).is_some() {
            text.push(quote);
            continue;
        }
        return Ok((text, rest.get(at + quote.len_utf8()..).unwrap_or_default()));
    }
    Err(unread(rest))
}

fn while_of(rest: &str, fits: impl Fn(char) -> bool) -> (&str, &str) {
    let end = rest.find(|c| !fits(c)).unwrap_or(rest.len());
    rest.split_at_checked(end).unwrap_or((rest, ""))
}

fn unread(rest: &str) -> Fault {
    let shown: String = rest.chars().take(20).collect();
    wrong(
        &format!("无法识别 `{shown}`：只支持一条 SELECT 语句，不支持注释、类型转换和运算"),
        &format!(
            "`{shown}` cannot be read: one SELECT without comments, casts and arithmetic is supported"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str, quoted: bool) -> Word {
        Word::Name { text: text.into(), quoted }
    }

    #[test]
    fn names_texts_numbers_and_signs_are_told_apart() {
        let words = cut("select \"a\"\"b\", 区县 FROM t WHERE x>='it''s' AND n<>-1.5;").unwrap();
        assert_eq!(
            words,
            [
                name("select", false),
                name("a\"b", true),
                Word::Sign(","),
                name("区县", false),
                name("FROM", false),
                name("t", false),
                name("WHERE", false),
                name("x", false),
                Word::Sign(">="),
                Word::Text("it's".into()),
                name("AND", false),
                name("n", false),
                Word::Sign("<>"),
                Word::Sign("-"),
                Word::Number("1.5".into()),
            ]
        );
        assert!(words[0].is("select") && words[4].is("from") && !name("from", true).is("from"));
    }

    #[test]
    fn what_is_no_word_is_refused() {
        for sql in [
            "SELECT 1; DROP TABLE t",
            "SELECT a -- b",
            "SELECT a /* b */",
            "SELECT a::text",
            "SELECT 'open",
            "SELECT \"open",
            "SELECT a || b",
            "SELECT $1",
            "SELECT 1.2.3",
            "SELECT '\0'",
        ] {
            assert!(cut(sql).is_err(), "{sql}");
        }
        assert!(cut(&"a ".repeat(2001)).is_err() && cut(&"a".repeat(8001)).is_err());
        assert!(cut("").unwrap().is_empty());
    }
}
