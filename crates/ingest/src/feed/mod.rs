//! Feeds: SQLite files, interfaces that answer JSON and (behind the feature `kafka`) topics, read like any other source.
//!
//! The names of the first rows are the columns; a name that appears later finds its item then. What is refused becomes a
//! reject; what stops the feed (an answer that is no JSON, a page that repeats itself) fails the reading.

mod flat;
mod http;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(not(feature = "kafka"))]
#[path = "no_kafka.rs"]
mod kafka;
mod page;
mod sqlite;

use model::item::Item;
use model::parcel::Sniffed;
use model::{Code, Error, Result};
use policy::port::{Feed, ReadOptions, Reading};

use crate::draft::shapes_of;
use crate::matching::{Header, by_name};
use crate::outgoing::Outgoing;
use crate::shape::Shape;
use crate::sink::Sink;

/// Rows that are looked at to say what columns there are.
pub(crate) const LOOKED_AT: usize = 1000;

/// Reads a feed by the entry's items.
pub(crate) async fn read(
    outgoing: &Outgoing,
    feed: &Feed,
    items: &[Item],
    options: &ReadOptions,
) -> Result<Reading> {
    match feed {
        Feed::Sqlite { path, sql } => sqlite::read(path, sql, items, options).await,
        Feed::Http(feed) => http::read(outgoing, feed, items, options).await,
        Feed::Kafka(feed) => kafka::read(outgoing, feed, items, options).await,
    }
}

/// Says what columns a feed's first rows have.
pub(crate) async fn probe(outgoing: &Outgoing, feed: &Feed) -> Result<Sniffed> {
    match feed {
        Feed::Sqlite { path, sql } => sqlite::probe(path, sql).await,
        Feed::Http(feed) => http::probe(outgoing, feed).await,
        Feed::Kafka(feed) => kafka::probe(outgoing, feed).await,
    }
}

/// Names that appear only now find their items.
fn late(names: &[String], from: usize, items: &[Item], sink: &mut Sink) {
    let headers: Vec<Header> = names.iter().skip(from).map(Header::plain).collect();
    let matched = by_name(&headers, items, None);
    for (item, column) in matched.of_item.iter().enumerate() {
        if let Some(column) = column {
            sink.late_column(item, from + column);
        }
    }
}

/// What was seen of some rows, as a file would be told.
fn sniffed(format: &str, names: &[String], shapes: &[Shape], whole: Option<u64>) -> Sniffed {
    Sniffed {
        format: format.to_owned(),
        compression: "none".to_owned(),
        encoding: "utf-8".to_owned(),
        delimiter: None,
        quote: None,
        preamble: 0,
        header_rows: 0,
        footer: 0,
        sheet: None,
        columns: shapes_of(names, shapes),
        records: whole,
        notes: names.iter().zip(shapes).flat_map(|(n, s)| s.notes(n)).collect(),
    }
}

/// A feed that cannot be read now, in the words for people; the cause goes to the operator.
fn gone(zh: impl Into<String>, en: impl Into<String>) -> Error {
    Error::new(Code::SourceUnavailable, zh, en)
}
