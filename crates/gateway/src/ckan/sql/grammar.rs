//! The statements that are understood, and nothing else:
//!
//! ```text
//! SELECT [DISTINCT] * | item, … FROM "resource" [WHERE test] [GROUP BY column, …]
//!        [ORDER BY column [ASC | DESC] [NULLS FIRST | LAST], …] [LIMIT n] [OFFSET n]
//! item   column [[AS] name], COUNT(* | column) | SUM | AVG | MIN | MAX (column) [[AS] name]
//! test   column = <> < <= > >= value, [NOT] LIKE | ILIKE | IN (…) | BETWEEN … AND …, IS [NOT] NULL; AND, OR, NOT, brackets
//! ```
//!
//! Nothing of a statement reaches an engine as text: it becomes the query that the other doors make, too.

use model::interface::How;
use model::query::{Comparison, Condition};

use super::super::fault::Fault;
use super::words::{Word, cut, wrong};

/// Deepest nesting of a test.
const DEPTH: usize = 16;
/// Most values of a list.
const VALUES: usize = 1000;

/// What is selected; columns by the names that were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Select {
    pub(super) distinct: bool,
    /// Empty: every column.
    pub(super) items: Vec<Item>,
    pub(super) from: String,
    pub(super) filter: Option<Condition>,
    pub(super) group: Vec<String>,
    pub(super) order: Vec<Sorted>,
    pub(super) limit: Option<u64>,
    pub(super) offset: u64,
}

/// One of the list: a column, or a figure of a column (of the rows where it names none).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) how: Option<How>,
    pub(super) column: String,
    pub(super) alias: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sorted {
    pub(super) column: String,
    pub(super) descending: bool,
    pub(super) nulls_first: Option<bool>,
}

/// Reads a statement.
pub(super) fn read(sql: &str) -> Result<Select, Fault> {
    let mut reader = Reader { words: cut(sql)?, at: 0 };
    reader.wants("select")?;
    let distinct = reader.takes("distinct");
    let items = if reader.takes_sign("*") { Vec::new() } else { reader.list(Reader::item)? };
    reader.wants("from")?;
    let from = reader.name()?;
    let filter = if reader.takes("where") { Some(reader.any(DEPTH)?) } else { None };
    let group = match reader.takes("group") {
        true => {
            reader.wants("by")?;
            reader.list(Reader::name)?
        }
        false => Vec::new(),
    };
    let order = match reader.takes("order") {
        true => {
            reader.wants("by")?;
            reader.list(Reader::sorted)?
        }
        false => Vec::new(),
    };
    let (mut limit, mut offset) = (None, 0);
    // PostgreSQL takes them in either order.
    for _ in 0..2 {
        if limit.is_none() && reader.takes("limit") {
            limit = Some(reader.count()?);
        } else if offset == 0 && reader.takes("offset") {
            offset = reader.count()?;
        }
    }
    match reader.next() {
        None => Ok(Select { distinct, items, from, filter, group, order, limit, offset }),
        Some(word) => Err(unexpected(Some(&word))),
    }
}

struct Reader {
    words: Vec<Word>,
    at: usize,
}

/// Names that end what stands before them, unless they are quoted.
const KEYWORDS: [&str; 24] = [
    "select", "distinct", "from", "where", "group", "order", "by", "limit", "offset", "and", "or",
    "not", "in", "is", "null", "like", "ilike", "between", "as", "asc", "desc", "having", "union",
    "join",
];

impl Reader {
    fn peek(&self) -> Option<&Word> {
        self.words.get(self.at)
    }

    fn next(&mut self) -> Option<Word> {
        let word = self.words.get(self.at).cloned();
        self.at += 1;
        word
    }

    fn takes(&mut self, keyword: &str) -> bool {
        let found = self.peek().is_some_and(|w| w.is(keyword));
        self.at += usize::from(found);
        found
    }

    fn takes_sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Some(Word::Sign(s)) if *s == sign);
        self.at += usize::from(found);
        found
    }

    fn wants(&mut self, keyword: &str) -> Result<(), Fault> {
        if self.takes(keyword) { Ok(()) } else { Err(unexpected(self.peek())) }
    }

    fn wants_sign(&mut self, sign: &str) -> Result<(), Fault> {
        if self.takes_sign(sign) { Ok(()) } else { Err(unexpected(self.peek())) }
    }

    fn list<T>(&mut self, one: fn(&mut Self) -> Result<T, Fault>) -> Result<Vec<T>, Fault> {
        let mut all = vec![one(self)?];
        while self.takes_sign(",") {
            all.push(one(self)?);
        }
        Ok(all)
    }

    /// Whether a name comes that is no keyword.
    fn named(&self) -> bool {
        self.peek().is_some_and(|word| {
            matches!(word, Word::Name { .. }) && !KEYWORDS.iter().any(|k| word.is(k))
        })
    }

    fn name(&mut self) -> Result<String, Fault> {
        if !self.named() {
            return Err(unexpected(self.peek()));
        }
        match self.next() {
            Some(Word::Name { text, .. }) => Ok(text),
            other => Err(unexpected(other.as_ref())),
        }
    }

    fn item(&mut self) -> Result<Item, Fault> {
        let how = self.peek().and_then(figure);
        let bracket = matches!(self.words.get(self.at + 1), Some(Word::Sign("(")));
        let (how, column) = match how.filter(|_| bracket) {
            Some(how) => {
                self.at += 2;
                let column = match how == How::Count && self.takes_sign("*") {
                    true => String::new(),
                    false => self.name()?,
                };
                self.wants_sign(")")?;
                (Some(how), column)
            }
            None => (None, self.name()?),
        };
        let alias = if self.takes("as") || self.named() { Some(self.name()?) } else { None };
        Ok(Item { how, column, alias })
    }

    fn sorted(&mut self) -> Result<Sorted, Fault> {
        let column = self.name()?;
        let descending = !self.takes("asc") && self.takes("desc");
        let nulls_first = match self.takes("nulls") {
            false => None,
            true if self.takes("first") => Some(true),
            true => {
                self.wants("last")?;
                Some(false)
            }
        };
        Ok(Sorted { column, descending, nulls_first })
    }

    fn count(&mut self) -> Result<u64, Fault> {
        match self.next() {
            Some(Word::Number(text)) => text.parse().map_err(|_| {
                wrong(
                    "LIMIT 与 OFFSET 应为不小于零的整数",
                    "LIMIT and OFFSET are whole numbers, zero or more",
                )
            }),
            other => Err(unexpected(other.as_ref())),
        }
    }

    fn any(&mut self, depth: usize) -> Result<Condition, Fault> {
        let mut all = vec![self.every(depth)?];
        while self.takes("or") {
            all.push(self.every(depth)?);
        }
        Ok(one_of(all, Condition::Or))
    }

    fn every(&mut self, depth: usize) -> Result<Condition, Fault> {
        let mut all = vec![self.test(depth)?];
        while self.takes("and") {
            all.push(self.test(depth)?);
        }
        Ok(one_of(all, Condition::And))
    }

    fn test(&mut self, depth: usize) -> Result<Condition, Fault> {
        let Some(deeper) = depth.checked_sub(1) else {
            return Err(wrong(
                &format!("条件嵌套过深（最多 {DEPTH} 层）"),
                &format!("the test is nested too deep ({DEPTH} levels at most)"),
            ));
        };
        if self.takes("not") {
            return Ok(Condition::Not(Box::new(self.test(deeper)?)));
        }
        if self.takes_sign("(") {
            let inner = self.any(deeper)?;
            self.wants_sign(")")?;
            return Ok(inner);
        }
        let column = self.name()?;
        if self.takes("is") {
            let not = self.takes("not");
            self.wants("null")?;
            return Ok(negated(not, is(&column, Comparison::IsNull)));
        }
        let not = self.takes("not");
        let compared = match self.next() {
            Some(word) if word.is("like") => is(&column, Comparison::Like(self.value()?)),
            Some(word) if word.is("ilike") => is(&column, Comparison::Ilike(self.value()?)),
            Some(word) if word.is("in") => is(&column, Comparison::In(self.values()?)),
            Some(word) if word.is("between") => {
                let least = self.value()?;
                self.wants("and")?;
                let most = self.value()?;
                Condition::And(vec![
                    is(&column, Comparison::Gte(least)),
                    is(&column, Comparison::Lte(most)),
                ])
            }
            Some(Word::Sign(sign)) if !not => is(&column, self.compared(sign)?),
            other => return Err(unexpected(other.as_ref())),
        };
        Ok(negated(not, compared))
    }

    fn compared(&mut self, sign: &'static str) -> Result<Comparison, Fault> {
        let with = match sign {
            "=" => Comparison::Eq,
            "<>" | "!=" => Comparison::Neq,
            "<" => Comparison::Lt,
            "<=" => Comparison::Lte,
            ">" => Comparison::Gt,
            ">=" => Comparison::Gte,
            _ => return Err(unexpected(Some(&Word::Sign(sign)))),
        };
        Ok(with(self.value()?))
    }

    fn values(&mut self) -> Result<Vec<String>, Fault> {
        self.wants_sign("(")?;
        let all = self.list(Reader::value)?;
        self.wants_sign(")")?;
        if all.len() > VALUES {
            return Err(wrong(
                &format!("一个列表最多 {VALUES} 个值"),
                &format!("a list holds {VALUES} values at most"),
            ));
        }
        Ok(all)
    }

    /// A value as the text that the engine reads by the column's type.
    fn value(&mut self) -> Result<String, Fault> {
        if self.takes_sign("-") {
            return match self.next() {
                Some(Word::Number(text)) => Ok(format!("-{text}")),
                other => Err(unexpected(other.as_ref())),
            };
        }
        let dated = self.takes("date") || self.takes("timestamp");
        match self.next() {
            Some(Word::Text(text)) => Ok(text),
            Some(Word::Number(text)) if !dated => Ok(text),
            Some(word) if word.is("true") && !dated => Ok("true".into()),
            Some(word) if word.is("false") && !dated => Ok("false".into()),
            Some(word) if word.is("null") => Err(wrong(
                "空值请写 IS NULL 或 IS NOT NULL",
                "for nothing write IS NULL or IS NOT NULL",
            )),
            other => Err(unexpected(other.as_ref())),
        }
    }
}

fn figure(word: &Word) -> Option<How> {
    let known = [
        ("count", How::Count),
        ("sum", How::Sum),
        ("avg", How::Avg),
        ("min", How::Min),
        ("max", How::Max),
    ];
    known.into_iter().find(|(name, _)| word.is(name)).map(|(_, how)| how)
}

fn is(column: &str, comparison: Comparison) -> Condition {
    Condition::Column { column: column.to_owned(), comparison }
}

fn negated(not: bool, condition: Condition) -> Condition {
    if not { Condition::Not(Box::new(condition)) } else { condition }
}

fn one_of(mut all: Vec<Condition>, of: fn(Vec<Condition>) -> Condition) -> Condition {
    match (all.pop(), all.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            all.extend(last);
            of(all)
        }
    }
}

fn unexpected(word: Option<&Word>) -> Fault {
    const MEANT: &str =
        "SELECT … FROM \"resource\" [WHERE …] [GROUP BY …] [ORDER BY …] [LIMIT n] [OFFSET n]";
    match word {
        Some(word) => wrong(
            &format!("此处不应为 `{}`；支持的写法：{MEANT}", word.told()),
            &format!("`{}` is not expected there; what is understood: {MEANT}", word.told()),
        ),
        None => wrong(
            &format!("语句不完整；支持的写法：{MEANT}"),
            &format!("the statement is not whole; what is understood: {MEANT}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_of_every_part_is_read() {
        let select = read(
            "SELECT name, count(*) AS n, Sum(\"amount\") total FROM \"lake-1\" WHERE (day BETWEEN DATE '2026-01-01' AND '2026-02-01' \
             OR name NOT ILIKE '%x%') AND id IN (1, -2) AND NOT name IS NULL GROUP BY name ORDER BY n DESC NULLS LAST, name \
             LIMIT 5 OFFSET 10",
        )
        .unwrap();
        let item = |how, column: &str, alias: &str| Item {
            how,
            column: column.into(),
            alias: (!alias.is_empty()).then(|| alias.to_owned()),
        };
        assert_eq!(
            select.items,
            [
                item(None, "name", ""),
                item(Some(How::Count), "", "n"),
                item(Some(How::Sum), "amount", "total"),
            ]
        );
        assert_eq!((select.from.as_str(), select.limit, select.offset), ("lake-1", Some(5), 10));
        assert_eq!(select.group, ["name"]);
        assert_eq!(
            select.order[0],
            Sorted { column: "n".into(), descending: true, nulls_first: Some(false) }
        );
        let wanted = Condition::And(vec![
            Condition::Or(vec![
                Condition::And(vec![
                    is("day", Comparison::Gte("2026-01-01".into())),
                    is("day", Comparison::Lte("2026-02-01".into())),
                ]),
                negated(true, is("name", Comparison::Ilike("%x%".into()))),
            ]),
            is("id", Comparison::In(vec!["1".into(), "-2".into()])),
            negated(true, is("name", Comparison::IsNull)),
        ]);
        assert_eq!(select.filter, Some(wanted));
        let all = read("select * from t offset 3 limit 2").unwrap();
        assert!(all.items.is_empty() && (all.limit, all.offset) == (Some(2), 3));
        // A column may be called like a figure.
        assert_eq!(read("select count from t").unwrap().items, [item(None, "count", "")]);
    }

    #[test]
    fn everything_else_is_refused() {
        for sql in [
            "",
            "SELECT",
            "SELECT 1",
            "SELECT * FROM",
            "SELECT * FROM a, b",
            "SELECT * FROM a JOIN b",
            "SELECT * FROM (SELECT * FROM a)",
            "SELECT * FROM a WHERE",
            "SELECT * FROM a WHERE id",
            "SELECT * FROM a WHERE id = NULL",
            "SELECT * FROM a WHERE id = other",
            "SELECT * FROM a WHERE id NOT = 1",
            "SELECT * FROM a WHERE id IN (SELECT id FROM b)",
            "SELECT * FROM a WHERE pg_sleep(5) = 1",
            "SELECT pg_read_file('x') FROM a",
            "SELECT sum(*) FROM a",
            "SELECT * FROM a HAVING count(*) > 1",
            "SELECT * FROM a UNION SELECT * FROM b",
            "SELECT * FROM a LIMIT -1",
            "SELECT * FROM a LIMIT 1.5",
            "SELECT * FROM a LIMIT 1 LIMIT 2",
            "WITH x AS (SELECT 1) SELECT * FROM x",
            "UPDATE a SET b = 1",
            "DELETE FROM a",
            "EXPLAIN SELECT * FROM a",
        ] {
            assert!(read(sql).is_err(), "{sql}");
        }
        let deep = format!("SELECT * FROM a WHERE {}id = 1{}", "(".repeat(20), ")".repeat(20));
        assert!(read(&deep).is_err());
        let not = format!("SELECT * FROM a WHERE {} id = 1", "NOT ".repeat(1000));
        assert!(read(&not).is_err());
    }
}
