//! The reader: the port `Intake` over all kinds of sources.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::StreamExt;
use model::item::Item;
use model::parcel::Sniffed;
use model::schema::{SourceSchema, TableName};
use model::source::SourceCheck;
use model::{Error, Result};
use policy::port::{CellRow, Feed, Intake, ReadOptions, Reading, Source};

use crate::book::{self, Book};
use crate::cell::Cell;
use crate::columnar::Columnar;
use crate::content::{Content, Kind, bad_file};
use crate::delimited;
use crate::grid::Grid;
use crate::hand::{guarded, on_thread};
use crate::json;
use crate::matching::Matched;
use crate::outgoing::Outgoing;
use crate::query;
use crate::sink::Sink;
use crate::typing::{Doubt, Hint};
use crate::why::Why;

/// Reads files and queries. It holds where it may connect to only: make one and share it.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    outgoing: Outgoing,
}

impl Reader {
    /// Reads files only: it may connect nowhere.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads files, and databases where `outgoing` lets go.
    #[must_use]
    pub fn reaching(outgoing: Outgoing) -> Self {
        Self { outgoing }
    }
}

#[async_trait]
impl Intake for Reader {
    async fn sniff(&self, path: &Path, name: &str) -> Result<Sniffed> {
        let (path, name) = (path.to_owned(), name.to_owned());
        in_thread(move || sniff(&path, &name, &ReadOptions::default(), Depth::Whole)).await
    }

    async fn glance(&self, path: &Path, name: &str) -> Result<Sniffed> {
        let (path, name) = (path.to_owned(), name.to_owned());
        in_thread(move || sniff(&path, &name, &ReadOptions::default(), Depth::Head)).await
    }

    fn draft(&self, sniffed: &Sniffed) -> Vec<Item> {
        crate::draft(sniffed)
    }

    async fn read(
        &self,
        source: &Source,
        items: &[Item],
        options: &ReadOptions,
    ) -> Result<Reading> {
        if items.is_empty() {
            return Err(Error::invalid(
                "目录没有数据项，请先编制数据项",
                "the entry has no data items; add them first",
            ));
        }
        match source {
            Source::File { path, name } => {
                let (path, name, items, options) =
                    (path.clone(), name.clone(), items.to_vec(), options.clone());
                in_thread(move || read_file(&path, &name, items, options)).await
            }
            Source::Query { url, sql, .. } => {
                query::read(&self.outgoing, url, sql, items, options).await
            }
            Source::Feed { feed, .. } => {
                crate::feed::read(&self.outgoing, feed, items, options).await
            }
            Source::Cells { rows, .. } => {
                Ok(read_cells(rows.clone(), items.to_vec(), options.batch_rows))
            }
        }
    }

    async fn describe(&self, url: &str, only: Option<&[TableName]>) -> Result<SourceSchema> {
        crate::schema::describe(&self.outgoing, url, only).await
    }

    async fn privileges(
        &self,
        url: &str,
        wanted: &[TableName],
        rails: bool,
        now: DateTime<Utc>,
    ) -> Result<SourceCheck> {
        let now = now.timestamp_micros();
        crate::privilege::check(&self.outgoing, url, wanted, rails, now).await
    }

    async fn probe(&self, feed: &Feed) -> Result<Sniffed> {
        crate::feed::probe(&self.outgoing, feed).await
    }
}

async fn in_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(move || guarded(work))
        .await
        .map_err(|e| Error::internal("the reading thread ended").caused_by(e))?
}

/// How much of a delimited text is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Depth {
    Head,
    Whole,
}

/// Says what a file is, with the user's word on what was asked.
fn sniff(path: &Path, name: &str, options: &ReadOptions, depth: Depth) -> Result<Sniffed> {
    let mut content = Content::open(path, name, options.sheet.as_deref())?;
    let mut sniffed = match content.kind {
        Kind::Parquet => Columnar::open(&mut content)?.sniff(&content)?,
        Kind::Text => match json::recognise(&content, options)? {
            Some(plan) => plan.sniff(&content, options)?,
            None => {
                let plan = delimited::plan(&content, options, None)?;
                if depth == Depth::Whole { plan.sniff(&content)? } else { plan.glance() }
            }
        },
        _ => book::sniff(&mut content, options)?,
    };
    sniffed.notes.extend(wrong_ending(&content, &sniffed.format));
    Ok(sniffed)
}

/// A note when the name's ending says something else than the content.
fn wrong_ending(content: &Content, format: &str) -> Option<(String, String)> {
    let ending = content.ending();
    let fits: &[&str] = match format {
        "csv" | "tsv" => &[
            "csv", "tsv", "txt", "tab", "psv", "dat", "log", "text", "del", "asc", "data", "out",
            "unl",
        ],
        "json" | "jsonl" | "geojson" => {
            &["json", "jsonl", "ndjson", "geojson", "geojsonl", "geojsons", "txt"]
        }
        "xlsx" => &["xlsx", "xlsm", "xltx", "xltm"],
        other => &[other],
    };
    let known = [
        "csv", "tsv", "json", "jsonl", "ndjson", "geojson", "xlsx", "xlsm", "xlsb", "xls", "ods",
        "parquet", "xml", "html", "pdf", "doc", "docx",
    ];
    let also = format == "parquet" && ending == "pq";
    if fits.contains(&ending.as_str()) || also || !known.contains(&ending.as_str()) {
        return None;
    }
    Some((
        format!("扩展名是 .{ending}，内容其实是 {format}，已按内容读取"),
        format!(
            "the name ends with .{ending} but the content is {format}; it is read by its content"
        ),
    ))
}

fn check_format(content: &Content, options: &ReadOptions) -> Result<()> {
    let Some(wanted) = options.format.as_deref() else { return Ok(()) };
    let found: &[&str] = match content.kind {
        Kind::Text => &["csv", "tsv", "txt", "json", "jsonl", "ndjson", "geojson"],
        Kind::Parquet => &["parquet"],
        Kind::Xlsx => &["xlsx", "xlsm"],
        Kind::Xlsb => &["xlsb"],
        Kind::Xls => &["xls"],
        Kind::Ods => &["ods"],
    };
    if found.contains(&wanted) {
        return Ok(());
    }
    Err(bad_file(
        format!("指定的格式是 {wanted}，但文件内容不是；请去掉格式选项或更换文件"),
        format!(
            "the format {wanted} was asked for but the content is another; drop the format option or change the file"
        ),
    ))
}

fn read_file(path: &Path, name: &str, items: Vec<Item>, options: ReadOptions) -> Result<Reading> {
    let mut content = Content::open(path, name, options.sheet.as_deref())?;
    check_format(&content, &options)?;
    let bytes_total = content.bytes_total;
    let done = Arc::default();
    match content.kind {
        Kind::Parquet => {
            let file = Columnar::open(&mut content)?;
            let (matched, columns) = file.matched(&items, &options)?;
            let mut sniffed = file.describe(&content);
            sniffed.notes.extend(wrong_ending(&content, "parquet"));
            let chunks = on_thread(move |hand| {
                let _content = content;
                file.run(&items, matched, options.batch_rows, done, bytes_total, hand)
            });
            Ok(Reading { sniffed: Some(sniffed), columns, bytes_total, position: None, chunks })
        }
        Kind::Text => {
            if let Some(mut plan) = json::recognise(&content, &options)? {
                let prepared = plan.prepare(&content, &items, &options)?;
                let columns = prepared.columns();
                let mut sniffed = plan.sniffed.clone();
                sniffed.notes.extend(wrong_ending(&content, &sniffed.format));
                let chunks = on_thread(move |hand| {
                    plan.run(&content, prepared, &items, options.batch_rows, done, hand)
                });
                return Ok(Reading {
                    sniffed: Some(sniffed),
                    columns,
                    bytes_total,
                    position: None,
                    chunks,
                });
            }
            let plan = delimited::plan(&content, &options, Some(&items))?;
            let (sink, columns) = plan.sink(&items, &options, Arc::clone(&done))?;
            let mut sniffed = plan.sniffed.clone();
            sniffed.notes.extend(wrong_ending(&content, &sniffed.format));
            let chunks = on_thread(move |hand| plan.run(&content, sink, done, hand));
            Ok(Reading { sniffed: Some(sniffed), columns, bytes_total, position: None, chunks })
        }
        kind => {
            let mut book = Book::open(&mut content, &options, Some(&items))?;
            let manner = book.manner();
            let grid = Grid::plan(&mut book, manner, &options, Some(&items), None)?;
            let (matched, columns) = grid.matched(&items, &options)?;
            let mut sniffed = book::blank_sniff(&content, &book, kind);
            grid.describe(&mut sniffed);
            sniffed.notes.extend(wrong_ending(&content, &sniffed.format));
            let chunks = on_thread(move |hand| {
                let _content = content;
                book.count_bytes(Arc::clone(&done), bytes_total);
                let sink = Sink::new(&items, matched, |c| grid.hint(c), options.batch_rows, done);
                grid.run(&mut book, sink, hand)
            });
            Ok(Reading { sniffed: Some(sniffed), columns, bytes_total, position: None, chunks })
        }
    }
}

/// Mended rows: cells in the order of the items, checked like any others.
fn read_cells(rows: Vec<CellRow>, items: Vec<Item>, batch_rows: usize) -> Reading {
    let columns = items.iter().map(|i| (i.name_cn.clone(), Some(i.identifier.clone()))).collect();
    let chunks = on_thread(move |hand| {
        let width = items.len();
        // The operation stands beside the cells: to the sink it is one more column.
        let told = rows.iter().any(|row| row.operation.is_some());
        let matched =
            Matched { of_item: (0..width).map(Some).collect(), operation: told.then_some(width) };
        let mut sink = Sink::new(&items, matched, |_| Hint::default(), batch_rows, Arc::default());
        sink.doubt = Doubt { nul: true, damage: true };
        for CellRow { record, cells, operation } in &rows {
            let extra = cells.iter().skip(width).flatten().any(|c| !c.trim().is_empty());
            if extra || cells.len() < width {
                let why = Why::told(
                    format!(
                        "该行有 {} 个单元格，数据项有 {width} 个；请合并或删除多余的单元格",
                        cells.len()
                    ),
                    format!(
                        "the row has {} cells for {width} items; join or remove the rest",
                        cells.len()
                    ),
                );
                let text =
                    cells.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" | ");
                sink.refuse_said(*record, why, &text, cells, width, operation.clone());
            } else {
                let cell = |column: usize| match column {
                    at if at == width => operation.as_deref(),
                    at => cells.get(at)?.as_deref(),
                };
                sink.row(*record, 0, |column| cell(column).map(Cell::plain));
            }
            if sink.ready() {
                hand.give(sink.take())?;
            }
        }
        if !sink.is_empty() {
            hand.give(sink.take())?;
        }
        Ok(())
    });
    Reading { sniffed: None, columns, bytes_total: 0, position: None, chunks: chunks.boxed() }
}
