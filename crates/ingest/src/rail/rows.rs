//! A table's rows in the order of its key, chunk by chunk, from one state, without a lock that anybody would notice.

use std::borrow::Cow;
use std::pin::pin;
use std::sync::Arc;

use futures::TryStreamExt;
use futures::stream::BoxStream;
use model::{Error, Result};
use policy::port::{RailAddress, RailRows};
use tokio::sync::mpsc;

use super::copied::Copied;
use super::kind::words;
use super::place::{Session, failed, literal, quoted, table};
use super::shape::Shape;
use crate::cell::{Cell, Mark};
use crate::sink::Sink;
use crate::typing::{Doubt, Hint};
use crate::why::Why;

/// What a reading task needs.
pub(super) struct Job {
    pub(super) at: RailAddress,
    pub(super) shape: Arc<Shape>,
    /// Snapshot to read from; without one a new state is taken.
    pub(super) snapshot: Option<String>,
    pub(super) after: Option<String>,
    /// Record number of the rows: the log position of the state they are of.
    pub(super) record: u64,
    pub(super) chunk_rows: usize,
}

/// Starts reading. One chunk is read while the one before is landed.
pub(super) fn start(job: Job) -> BoxStream<'static, Result<RailRows>> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        if let Err(error) = read(job, &sender).await {
            // Nobody listening is no error worth telling.
            let _ = sender.send(Err(error)).await;
        }
    });
    Box::pin(futures::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|rows| (rows, receiver))
    }))
}

async fn read(job: Job, out: &mpsc::Sender<Result<RailRows>>) -> Result<()> {
    let session = Session::open(&job.at).await?;
    session.tell("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    if let Some(snapshot) = &job.snapshot {
        session.tell(&format!("SET TRANSACTION SNAPSHOT {}", literal(snapshot))).await?;
    }
    let mut after: Option<Vec<String>> = match &job.after {
        Some(text) => Some(serde_json::from_str(text).map_err(|e| {
            Error::internal("rail: the place where a snapshot goes on").caused_by(e)
        })?),
        None => None,
    };
    loop {
        let read = page(&session, &job, after.as_deref(), out).await?;
        match read {
            Page { rows, last: Some(last) } if rows >= job.chunk_rows => after = Some(last),
            _ => return Ok(()),
        }
    }
}

struct Page {
    rows: usize,
    last: Option<Vec<String>>,
}

/// Reads up to a chunk of rows after a key, handing over when the sink says so.
async fn page(
    session: &Session,
    job: &Job,
    after: Option<&[String]>,
    out: &mpsc::Sender<Result<RailRows>>,
) -> Result<Page> {
    let shape = &job.shape;
    let sql = format!("COPY ({}) TO STDOUT", select(shape, after, job.chunk_rows));
    let mut stream = pin!(session.copy_out(&sql).await.map_err(failed)?);
    let mut sink = sink(shape, job.chunk_rows);
    let (mut page, mut row) = (Page { rows: 0, last: None }, Copied::default());
    while let Some(bytes) = stream.try_next().await.map_err(failed)? {
        // The server sends a row at a time.
        row.read(&bytes)?;
        page.rows += 1;
        put(&mut sink, shape, job.record, "I", shape.names.len(), |at| row.cell(at));
        if sink.ready() || page.rows == job.chunk_rows {
            page.last = Some(key_of(shape, &row)?);
            hand_over(&mut sink, &page, out).await?;
        }
    }
    if !sink.is_empty() {
        page.last = Some(key_of(shape, &row)?);
        hand_over(&mut sink, &page, out).await?;
    }
    Ok(page)
}

async fn hand_over(
    sink: &mut Sink,
    page: &Page,
    out: &mpsc::Sender<Result<RailRows>>,
) -> Result<()> {
    let last = page.last.as_deref().unwrap_or_default();
    let cursor = serde_json::to_string(last)
        .map_err(|e| Error::internal("rail: the place in a snapshot").caused_by(e))?;
    let rows = RailRows { chunk: sink.take(), cursor };
    out.send(Ok(rows)).await.map_err(|_| Error::internal("the consumer of a reading went away"))
}

fn key_of(shape: &Shape, row: &Copied) -> Result<Vec<String>> {
    shape
        .key
        .iter()
        .map(|at| {
            row.cell(*at)
                .map(str::to_owned)
                .ok_or_else(|| Error::internal("rail: a key column of the source is null"))
        })
        .collect()
}

fn select(shape: &Shape, after: Option<&[String]>, limit: usize) -> String {
    let columns: Vec<String> = shape.names.iter().map(|name| quoted(name)).collect();
    let name_of = |at: &usize| columns.get(*at).cloned().unwrap_or_default();
    let key: Vec<String> = shape.key.iter().map(name_of).collect();
    let key = key.join(", ");
    let beyond = after.map_or_else(String::new, |after| {
        // A literal without a type takes that of the column it is compared with.
        let values: Vec<String> = after.iter().map(|value| literal(value)).collect();
        format!(" WHERE ({key}) > ({})", values.join(", "))
    });
    format!(
        "SELECT {} FROM {}{beyond} ORDER BY {key} LIMIT {limit}",
        columns.join(", "),
        table(&shape.place)
    )
}

/// A sink for a table's columns.
pub(super) fn sink(shape: &Shape, batch_rows: usize) -> Sink {
    let mut sink = Sink::new(
        &shape.items,
        shape.matched.clone(),
        |_| Hint::default(),
        batch_rows,
        Arc::default(),
    );
    sink.doubt = Doubt { nul: true, damage: false };
    sink
}

/// Puts one row: cells in the order of the columns, `width` of them, its operation by letter.
pub(super) fn put<'a>(
    sink: &mut Sink,
    shape: &Shape,
    record: u64,
    operation: &'static str,
    width: usize,
    cell: impl Fn(usize) -> Option<&'a str>,
) {
    let word = |at: usize| {
        let (text, item, seen) = (cell(at)?, shape.item_of(at)?, shape.types.get(at)?);
        Some(words(&seen.kind, text, item.data_type))
    };
    let as_it_stands = shape
        .doubtful()
        .is_some_and(|doubtful| doubtful.iter().all(|at| !matches!(word(*at), Some(Err(_)))));
    if !as_it_stands {
        let cells: Vec<Option<&str>> = (0..width).map(&cell).collect();
        return put_in_words(sink, shape, record, operation, &cells);
    }
    sink.row(record, 0, |column| {
        let text = match column < width {
            true => match word(column)? {
                Ok(Cow::Borrowed(text)) => text,
                Ok(Cow::Owned(_)) | Err(_) => cell(column)?,
            },
            false => operation,
        };
        Some(Cell { text, mark: Mark::Exact })
    });
}

/// The same for rows some of whose values are written anew, or refused.
fn put_in_words(
    sink: &mut Sink,
    shape: &Shape,
    record: u64,
    operation: &'static str,
    cells: &[Option<&str>],
) {
    let mut said: Vec<Option<Cow<'_, str>>> = Vec::with_capacity(cells.len());
    let mut wrong: Option<(usize, Why)> = None;
    for (at, cell) in cells.iter().enumerate() {
        let (Some(text), Some(item), Some(seen)) = (cell, shape.item_of(at), shape.types.get(at))
        else {
            said.push(cell.map(Cow::Borrowed));
            continue;
        };
        match words(&seen.kind, text, item.data_type) {
            Ok(word) => said.push(Some(word)),
            Err(why) => {
                wrong.get_or_insert((at, why));
                said.push(Some(Cow::Borrowed(*text)));
            }
        }
    }
    if let Some((at, why)) = wrong {
        let mut kept: Vec<Option<String>> =
            said.iter().map(|c| c.as_deref().map(str::to_owned)).collect();
        let value = kept.get(at).cloned().flatten().unwrap_or_default();
        let width = kept.len() + 1;
        kept.push(Some(operation.to_owned()));
        let name = shape.item_of(at).map(|item| item.identifier.as_str()).unwrap_or_default();
        let why = Why::told(format!("{name}：{}", why.zh), format!("{name}: {}", why.en));
        sink.refuse(record, 0, why, &value, &kept, width);
        return;
    }
    sink.row(record, 0, |column| {
        let text = match said.get(column) {
            Some(cell) => cell.as_deref()?,
            None => operation,
        };
        Some(Cell { text, mark: Mark::Exact })
    });
}
