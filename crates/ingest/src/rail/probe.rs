//! A table compared with the lake: counts and sums of key ranges made by the source itself where it can write every value
//! exactly as `guard::print` does, otherwise from rows read here. Rows that are looked at one by one are typed as the
//! rail types them.
//!
//! What the source sums is a hint that saves reading: a range that differs is read, and the rows decide. So a value that the
//! source writes in other words costs time and is never told as a difference.

use std::sync::Arc;

use async_trait::async_trait;
use futures::TryStreamExt;
use guard::print;
use model::batch::Batch;
use model::code::DataType;
use model::item::Item;
use model::reconcile::{Key, KeyRange, RangeSum};
use model::{Code, Error, Result};
use mysql_async::prelude::Queryable;
use policy::port::{Chunk, ProbeAsk, ProbeRows, ProbeTable, RailAddress, Span};
use tokio_postgres::SimpleQueryMessage;

use super::line::gone;
use super::mysql::{self, Coder};
use super::place::{Session, cell, failed, literal, quoted, table};
use super::rows::{put, sink};
use super::shape::{Shape, look};
use super::words::{mysql_words, padded, postgres_words, unordered};

/// Rows typed together.
const BATCH: usize = 4_096;

/// See [`policy::port::Probe`].
pub(super) async fn open(
    at: &RailAddress,
    place: &str,
    items: &[Item],
    span: Option<Span>,
) -> Result<Arc<dyn ProbeTable>> {
    let way = match mysql::is(at) {
        true => mysql_way(at, place, items).await?,
        false => postgres_way(at, place, items).await?,
    };
    Ok(Arc::new(Table { span, ..way }))
}

/// How an open table is asked.
enum Asked {
    Postgres(Session),
    Mysql(tokio::sync::Mutex<mysql::Session>, Vec<Coder>),
}

struct Table {
    asked: Asked,
    shape: Shape,
    /// Positions of the key among the items.
    key: Vec<usize>,
    /// The words of a row, when the source can say them all.
    row: Option<String>,
    /// The words of each key column, and what they are ordered by.
    words: Vec<String>,
    sorts: Vec<String>,
    /// Rows that take part; all without one.
    span: Option<Span>,
}

async fn postgres_way(at: &RailAddress, place: &str, items: &[Item]) -> Result<Table> {
    let session = Session::open(at).await?;
    let seen = look(&session, place).await?.ok_or_else(|| gone(place))?;
    let shape = Shape::of_table(place, items, &seen)?;
    let encoding = session.ask("SHOW server_encoding").await?;
    let utf8 = encoding.first().is_some_and(|row| cell(row, 0) == "UTF8");
    let words = |item: &Item, column: usize| {
        let (name, seen) = (shape.names.get(column)?, shape.types.get(column)?);
        postgres_words(&quoted(name), seen, item).filter(|_| utf8)
    };
    let row = row_words(&shape, words).map(|cells| {
        let cells: Vec<String> = cells
            .into_iter()
            .map(|w| {
                w.map_or("'~'".to_owned(), |w| {
                    format!("coalesce(octet_length({w})::text || ':' || {w}, '~')")
                })
            })
            .collect();
        cells.join(" || ")
    });
    let (mut key_words, mut sorts) = (Vec::new(), Vec::new());
    for (item, column) in key_columns(&shape) {
        let (name, seen) = (shape.names.get(column), shape.types.get(column));
        let Some((name, seen)) = name.zip(seen) else { continue };
        let name = quoted(name);
        let text = if seen.name.starts_with("character(") {
            padded(&name, &seen.name)
        } else {
            format!("{name}::text")
        };
        match item.data_type {
            DataType::Text => {
                sorts.push(format!("({text}) COLLATE \"C\""));
                key_words.push(text);
            }
            _ => {
                let words = postgres_words(&name, seen, item).ok_or_else(|| unordered(item))?;
                sorts.push(name);
                key_words.push(words);
            }
        }
    }
    Ok(Table {
        key: positions(items),
        row,
        words: key_words,
        sorts,
        asked: Asked::Postgres(session),
        shape,
        span: None,
    })
}

async fn mysql_way(at: &RailAddress, place: &str, items: &[Item]) -> Result<Table> {
    let mut session = mysql::Session::open(at).await?;
    let seen = mysql::look(&mut session, place).await?.ok_or_else(|| gone(place))?;
    let shape = Shape::of_table(place, items, &seen.seen)?;
    let coders = seen.coders();
    let words = |item: &Item, column: usize| {
        let (name, seen) = (shape.names.get(column)?, shape.types.get(column)?);
        mysql_words(&mysql::quoted(name), seen, coders.get(column)?, item)
    };
    let row = row_words(&shape, words).map(|cells| {
        let cells: Vec<String> = cells
            .into_iter()
            .map(|w| {
                w.map_or("'~'".to_owned(), |w| {
                    format!("COALESCE(CONCAT(LENGTH({w}), ':', {w}), '~')")
                })
            })
            .collect();
        format!("CONCAT({})", cells.join(", "))
    });
    let (mut key_words, mut sorts) = (Vec::new(), Vec::new());
    for (item, column) in key_columns(&shape) {
        let Some(name) = shape.names.get(column) else { continue };
        let name = mysql::quoted(name);
        if item.data_type == DataType::Text {
            sorts.push(format!("CAST(CONVERT({name} USING utf8mb4) AS BINARY)"));
            key_words.push(format!("CONVERT({name} USING utf8mb4)"));
        } else {
            key_words.push(words(item, column).ok_or_else(|| unordered(item))?);
            sorts.push(name);
        }
    }
    let asked = Asked::Mysql(tokio::sync::Mutex::new(session), coders);
    Ok(Table { key: positions(items), row, words: key_words, sorts, asked, shape, span: None })
}

fn positions(items: &[Item]) -> Vec<usize> {
    let keys = items.iter().enumerate().filter(|(_, item)| item.primary);
    keys.map(|(at, _)| at).collect()
}

/// Key items with their columns.
fn key_columns(shape: &Shape) -> Vec<(&Item, usize)> {
    let keys = shape.items.iter().filter(|item| item.primary);
    keys.zip(shape.key.iter().copied()).collect()
}

/// The words of each item's column (`None` for an item without one); nothing when a column has none.
fn row_words(
    shape: &Shape,
    words: impl Fn(&Item, usize) -> Option<String>,
) -> Option<Vec<Option<String>>> {
    shape
        .items
        .iter()
        .zip(&shape.matched.of_item)
        .map(|(item, column)| match column {
            None => Some(None),
            Some(column) => words(item, *column).map(Some),
        })
        .collect()
}

impl Table {
    fn is_mysql(&self) -> bool {
        matches!(self.asked, Asked::Mysql(..))
    }

    fn table(&self) -> String {
        if self.is_mysql() { mysql::table(&self.shape.place) } else { table(&self.shape.place) }
    }

    fn key_type(&self, at: usize) -> DataType {
        let item = self.key.get(at).and_then(|at| self.shape.items.get(*at));
        item.map_or(DataType::Text, |item| item.data_type)
    }

    /// A key's value to compare with its column.
    fn same(&self, at: usize, text: &str) -> String {
        let number =
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b"-.".contains(&b));
        match (self.key_type(at), self.is_mysql()) {
            // A number as text would be compared as a double.
            (DataType::Integer | DataType::Decimal, true) if number => text.to_owned(),
            (_, true) => mysql::literal(text),
            (_, false) => literal(text),
        }
    }

    /// A key's value to compare with what keys are ordered by.
    fn value(&self, at: usize, text: &str) -> String {
        match (self.key_type(at), self.is_mysql()) {
            (DataType::Text, true) => format!("CAST({} AS BINARY)", mysql::literal(text)),
            _ => self.same(at, text),
        }
    }

    fn condition(&self, range: &KeyRange) -> String {
        let mut all = Vec::new();
        if let Some(after) = &range.after {
            all.push(self.beyond(after, ">"));
        }
        if let Some(upto) = &range.upto {
            all.push(self.beyond(upto, "<="));
        }
        if let Some(Span { column, from, to }) = &self.span {
            let column = self.quoted(column);
            all.push(format!("{column} >= {from} AND {column} < {to}"));
        }
        if all.is_empty() { String::new() } else { format!(" WHERE {}", all.join(" AND ")) }
    }

    fn beyond(&self, key: &Key, sign: &str) -> String {
        let values: Vec<String> =
            key.iter().enumerate().map(|(at, text)| self.value(at, text)).collect();
        if !self.is_mysql() {
            return format!("({}) {sign} ({})", self.sorts.join(", "), values.join(", "));
        }
        // Row comparisons do not use the index here; this form does.
        let pairs: Vec<(&String, &String)> = self.sorts.iter().zip(&values).collect();
        let strict = sign.trim_end_matches('=');
        let ways: Vec<String> = (0..pairs.len())
            .map(|n| {
                let sign = if n + 1 == pairs.len() { sign } else { strict };
                let same = pairs.iter().take(n).map(|(c, v)| format!("{c} = {v}"));
                let last = pairs.iter().skip(n).take(1).map(|(c, v)| format!("{c} {sign} {v}"));
                same.chain(last).collect::<Vec<_>>().join(" AND ")
            })
            .collect();
        format!("(({}))", ways.join(") OR ("))
    }

    fn quoted(&self, name: &str) -> String {
        if self.is_mysql() { mysql::quoted(name) } else { quoted(name) }
    }

    fn with_keys(&self, keys: &[Key]) -> String {
        let columns = self.shape.key.iter().filter_map(|at| self.shape.names.get(*at));
        let columns: Vec<String> = columns.map(|name| self.quoted(name)).collect();
        let keys: Vec<String> = keys
            .iter()
            .map(|key| {
                let values = key.iter().enumerate().map(|(at, text)| self.same(at, text));
                format!("({})", values.collect::<Vec<_>>().join(", "))
            })
            .collect();
        format!(" WHERE ({}) IN ({})", columns.join(", "), keys.join(", "))
    }

    /// The raw columns where a condition holds.
    fn select(&self, condition: &str, limit: Option<usize>) -> String {
        let names = self.shape.names.iter();
        let columns: Vec<String> = match &self.asked {
            Asked::Postgres(_) => names.map(|name| quoted(name)).collect(),
            // A float is written with all its digits, as the log has them.
            Asked::Mysql(_, coders) => names
                .zip(coders)
                .map(|(name, coder)| {
                    let name = mysql::quoted(name);
                    if *coder == Coder::Float { format!("({name} + 0e0)") } else { name }
                })
                .collect(),
        };
        let limit = limit.map_or_else(String::new, |n| format!(" LIMIT {n}"));
        format!("SELECT {} FROM {}{condition}{limit}", columns.join(", "), self.table())
    }

    /// One row of an answer.
    async fn one(&self, sql: &str) -> Result<Option<Vec<String>>> {
        match &self.asked {
            Asked::Postgres(session) => {
                let rows = session.ask(sql).await?;
                let texts = |row: &tokio_postgres::SimpleQueryRow| {
                    (0..row.len()).map(|at| cell(row, at).to_owned()).collect()
                };
                Ok(rows.first().map(texts))
            }
            Asked::Mysql(session, _) => Ok(session.lock().await.ask(sql).await?.into_iter().next()),
        }
    }

    /// Reads rows and types them, piece by piece.
    async fn read(
        &self,
        sql: &str,
        record: u64,
        mut taken: impl FnMut(Chunk) -> Result<()> + Send,
    ) -> Result<()> {
        let mut sink = sink(&self.shape, BATCH);
        match &self.asked {
            Asked::Postgres(session) => {
                let stream = session.simple_query_raw(sql).await.map_err(failed)?;
                let mut stream = std::pin::pin!(stream);
                while let Some(message) = stream.try_next().await.map_err(failed)? {
                    let SimpleQueryMessage::Row(row) = message else { continue };
                    let cells: Vec<Option<&str>> = (0..self.shape.names.len())
                        .map(|at| row.try_get(at).ok().flatten())
                        .collect();
                    put(&mut sink, &self.shape, record, "U", cells.len(), |at| {
                        cells.get(at).copied().flatten()
                    });
                    if sink.ready() {
                        taken(sink.take())?;
                    }
                }
            }
            Asked::Mysql(session, coders) => {
                let mut session = session.lock().await;
                let mut answer = session.conn.query_iter(sql).await.map_err(mysql::failed)?;
                while let Some(row) = answer.next().await.map_err(mysql::failed)? {
                    let values = row.unwrap_raw().into_iter().zip(coders);
                    let cells: Vec<Option<String>> =
                        values.map(|(value, coder)| mysql::of_query(coder, value?)).collect();
                    let cells: Vec<Option<&str>> = cells.iter().map(Option::as_deref).collect();
                    put(&mut sink, &self.shape, record, "U", cells.len(), |at| {
                        cells.get(at).copied().flatten()
                    });
                    if sink.ready() {
                        taken(sink.take())?;
                    }
                }
            }
        }
        if sink.is_empty() { Ok(()) } else { taken(sink.take()) }
    }

    async fn gather(&self, sql: &str, record: u64, most: usize) -> Result<ProbeRows> {
        let mut all = ProbeRows {
            batch: sink(&self.shape, 1).take().batch,
            keys: Vec::new(),
            misfits: Vec::new(),
        };
        self.read(sql, record, |chunk| {
            let Chunk { batch, rejects, .. } = chunk;
            if all.keys.len() + all.misfits.len() + batch.rows() + rejects.len() > most {
                return Err(too_many(most));
            }
            all.keys.extend((0..batch.rows()).map(|row| print::key(&batch, row, &self.key)));
            all.batch.append(batch);
            let misfit = |cells: &[Option<String>]| {
                self.key
                    .iter()
                    .map(|at| cells.get(*at).cloned().flatten().unwrap_or_default())
                    .collect()
            };
            all.misfits.extend(rejects.iter().map(|r| self.said(misfit(&r.cells))));
            Ok(())
        })
        .await?;
        Ok(all)
    }

    /// The key of a row that was refused, in the words of `guard::print` as far as it can be read.
    fn said(&self, key: Key) -> Key {
        let moment = |text: &str| {
            let text = text.replace('T', " ");
            let read = chrono::NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f").ok()?;
            Some(read.format("%Y-%m-%dT%H:%M:%S%.6f").to_string())
        };
        key.into_iter()
            .zip(&self.key)
            .map(|(text, at)| match self.shape.items.get(*at).map(|item| item.data_type) {
                Some(DataType::DateTime) => moment(&text).unwrap_or(text),
                _ => text,
            })
            .collect()
    }
}

fn too_many(most: usize) -> Error {
    Error::new(
        Code::RuleBroken,
        format!("该键段的行数超过 {most}，无法逐行核对；请稍后重试，或对该表执行“整表核补”"),
        format!(
            "this key range has more than {most} rows, too many to compare one by one; try again later or read the table anew"
        ),
    )
}

fn number<T: std::str::FromStr + Default>(row: &[String], at: usize) -> T {
    row.get(at).and_then(|text| text.parse().ok()).unwrap_or_default()
}

#[async_trait]
impl ProbeTable for Table {
    fn pushes(&self) -> bool {
        self.row.is_some()
    }

    async fn bound(&self, range: &KeyRange, rows: u64) -> Result<Option<Key>> {
        // Named otherwise than the columns, which are ordered by.
        let words = self.words.iter().enumerate().map(|(at, word)| format!("{word} AS qt_{at}"));
        let sql = format!(
            "SELECT {} FROM {}{} ORDER BY {} LIMIT 1 OFFSET {}",
            words.collect::<Vec<_>>().join(", "),
            self.table(),
            self.condition(range),
            self.sorts.join(", "),
            rows.saturating_sub(1)
        );
        self.one(&sql).await
    }

    async fn sum(&self, range: &KeyRange) -> Result<RangeSum> {
        let condition = self.condition(range);
        let Some(row) = &self.row else {
            let (mut sum, mut scratch) = (RangeSum::default(), String::new());
            self.read(&self.select(&condition, None), 0, |chunk| {
                for row in 0..chunk.batch.rows() {
                    sum.add(print::row(&chunk.batch, row, &mut scratch));
                }
                Ok(())
            })
            .await?;
            return Ok(sum);
        };
        let table = self.table();
        let sql = if self.is_mysql() {
            let part = |from: u32| {
                format!(
                    "COALESCE(SUM(CAST(CONV(SUBSTR(h, {from}, 15), 16, 10) AS DECIMAL(20,0))), 0)"
                )
            };
            format!(
                "SELECT COUNT(*), {}, {} FROM (SELECT MD5({row}) AS h FROM {table}{condition}) q",
                part(1),
                part(16)
            )
        } else {
            let part = |from: u32| {
                format!("coalesce(sum(('x' || substr(h, {from}, 15))::bit(60)::bigint), 0)")
            };
            format!(
                "SELECT count(*), {}, {} FROM (SELECT md5({row}) AS h FROM {table}{condition}) q",
                part(1),
                part(16)
            )
        };
        let row = self.one(&sql).await?.unwrap_or_default();
        Ok(RangeSum { rows: number(&row, 0), high: number(&row, 1), low: number(&row, 2) })
    }

    async fn rows(&self, range: &KeyRange, most: usize) -> Result<ProbeRows> {
        let sql = self.select(&self.condition(range), Some(most.saturating_add(1)));
        self.gather(&sql, 0, most).await
    }

    fn statement(&self, ask: ProbeAsk<'_>) -> String {
        let (condition, limit) = match ask {
            ProbeAsk::Range(range, most) => {
                (self.condition(range), format!(" LIMIT {}", most.saturating_add(1)))
            }
            ProbeAsk::Keys([]) | ProbeAsk::Beyond([]) => (" WHERE 1 = 0".to_owned(), String::new()),
            ProbeAsk::Keys(keys) => (self.with_keys(keys), String::new()),
            ProbeAsk::Beyond(keys) => {
                let beyond = match &self.span {
                    Some(span) => format!("{} >= {}", self.quoted(&span.column), span.to),
                    None => "1 = 0".to_owned(),
                };
                (format!("{} AND {beyond}", self.with_keys(keys)), String::new())
            }
        };
        format!("SELECT * FROM {}{condition}{limit}", self.table())
    }

    async fn rows_of(&self, keys: &[Key], record: u64) -> Result<ProbeRows> {
        if keys.is_empty() {
            return Ok(ProbeRows {
                batch: sink(&self.shape, 1).take().batch,
                keys: Vec::new(),
                misfits: Vec::new(),
            });
        }
        self.gather(&self.select(&self.with_keys(keys), None), record, usize::MAX).await
    }

    fn deletes(&self, keys: &[Key], record: u64) -> Batch {
        let mut sink = sink(&self.shape, keys.len());
        for key in keys {
            let mut cells: Vec<Option<&str>> = vec![None; self.shape.names.len()];
            for (at, text) in self.shape.key.iter().zip(key) {
                if let Some(cell) = cells.get_mut(*at) {
                    *cell = Some(text);
                }
            }
            put(&mut sink, &self.shape, record, "D", cells.len(), |at| {
                cells.get(at).copied().flatten()
            });
        }
        sink.take().batch
    }

    async fn head(&self) -> Result<String> {
        match &self.asked {
            Asked::Postgres(_) => {
                let sql = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::text";
                let row = self.one(sql).await?.unwrap_or_default();
                Ok(format!("{:016X}", number::<u64>(&row, 0)))
            }
            Asked::Mysql(session, _) => mysql::head(&mut *session.lock().await).await,
        }
    }
}
