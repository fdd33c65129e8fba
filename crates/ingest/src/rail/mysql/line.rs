//! An open rail of MySQL or MariaDB: where its log is read from, and snapshots of its tables.

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use model::rail::RailColumn;
use model::{Error, Result};
use mysql_async::prelude::Queryable;
use policy::port::{RailAddress, RailBinding, RailLine, RailPace, RailPiece, RailRows, SlotState};
use tokio::sync::mpsc;

use super::super::line::gone;
use super::super::rows::{put, sink};
use super::gtid::Place;
use super::history::beginning;
use super::opening::Opening;
use super::value::{Coder, of_query};
use super::{Coded, Session, failed, literal, look, quoted, slot, table};

/// See [`RailLine`].
pub(in super::super) struct Line {
    at: RailAddress,
    bindings: Vec<RailBinding>,
    pace: RailPace,
    tables: Vec<Arc<Coded>>,
    start: Place,
}

impl Line {
    pub(in super::super) async fn open(
        at: &RailAddress,
        bindings: &[RailBinding],
        pace: RailPace,
    ) -> Result<Self> {
        let mut session = Session::open(at).await?;
        let (mut tables, mut bindings) = (Vec::new(), bindings.to_vec());
        for binding in &mut bindings {
            let seen = look(&mut session, &binding.place).await?;
            let coded = Coded::of(binding, seen.ok_or_else(|| gone(&binding.place))?)?;
            if binding.known.is_empty() {
                binding.known = coded.shape.columns();
            }
            tables.push(Arc::new(coded));
        }
        let start = match slot(at).await?.state {
            SlotState::Missing => beginning(&mut session).await?,
            _ => Place::of_text(&at.from).unwrap_or_default(),
        };
        Ok(Self { at: at.clone(), bindings, pace, tables, start })
    }
}

#[async_trait]
impl RailLine for Line {
    fn start(&self) -> String {
        self.start.to_string()
    }

    fn shapes(&self) -> Vec<Vec<RailColumn>> {
        self.tables.iter().map(|coded| coded.shape.columns()).collect()
    }

    async fn rows(
        &self,
        table: usize,
        after: Option<String>,
    ) -> Result<BoxStream<'static, Result<RailRows>>> {
        let coded = self.tables.get(table).ok_or_else(|| Error::internal("rail: no such table"))?;
        let (at, coded, start) = (self.at.clone(), Arc::clone(coded), self.start.order.lsn);
        let chunk = self.pace.chunk_rows.max(1);
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            if let Err(error) = read(&at, &coded, start, after, chunk, &sender).await {
                let _ = sender.send(Err(error)).await;
            }
        });
        Ok(Box::pin(futures::stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|rows| (rows, receiver))
        })))
    }

    async fn stream(
        &self,
        after: Vec<Option<String>>,
    ) -> Result<BoxStream<'static, Result<RailPiece>>> {
        let after = after.iter().map(|text| Place::of_text(text.as_deref()?)).collect();
        let opening = Opening {
            at: &self.at,
            bindings: &self.bindings,
            tables: &self.tables,
            start: &self.start,
            after,
            pace: self.pace,
        };
        opening.begin().await
    }

    /// The server keeps its log for nobody in particular: there is nobody to tell.
    fn confirm(&self, _position: &str) {}
}

/// Reads a table in the order of its key, a chunk at a time, from one state.
async fn read(
    at: &RailAddress,
    coded: &Coded,
    record: u64,
    after: Option<String>,
    chunk: usize,
    out: &mpsc::Sender<Result<RailRows>>,
) -> Result<()> {
    let mut session = Session::open(at).await?;
    session.tell("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ").await?;
    session.tell("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY").await?;
    let mut after: Option<Vec<String>> = match after {
        Some(text) => Some(serde_json::from_str(&text).map_err(|e| {
            Error::internal("rail: the place where a snapshot goes on").caused_by(e)
        })?),
        None => None,
    };
    let shape = &coded.shape;
    loop {
        let sql = select(coded, after.as_deref(), chunk);
        let mut answer = session.conn.query_iter(sql).await.map_err(failed)?;
        let mut sink = sink(shape, chunk);
        let mut rows = 0;
        while let Some(row) = answer.next().await.map_err(failed)? {
            rows += 1;
            let values = row.unwrap_raw().into_iter().zip(&coded.coders);
            let cells: Vec<Option<String>> =
                values.map(|(value, coder)| of_query(coder, value?)).collect();
            let key: Option<Vec<String>> =
                shape.key.iter().map(|at| cells.get(*at).cloned().flatten()).collect();
            after = Some(key.ok_or_else(|| Error::internal("rail: a key of the source is null"))?);
            let cell = |at: usize| cells.get(at).and_then(Option::as_deref);
            put(&mut sink, shape, record, "I", cells.len(), cell);
            if sink.ready() {
                give(&mut sink, after.as_ref(), out).await?;
            }
        }
        drop(answer);
        if !sink.is_empty() {
            give(&mut sink, after.as_ref(), out).await?;
        }
        if rows < chunk {
            return Ok(());
        }
    }
}

async fn give(
    sink: &mut crate::sink::Sink,
    after: Option<&Vec<String>>,
    out: &mpsc::Sender<Result<RailRows>>,
) -> Result<()> {
    let cursor = serde_json::to_string(&after)
        .map_err(|e| Error::internal("rail: the place in a snapshot").caused_by(e))?;
    let rows = RailRows { chunk: sink.take(), cursor };
    out.send(Ok(rows)).await.map_err(|_| Error::internal("the consumer of a reading went away"))
}

fn select(coded: &Coded, after: Option<&[String]>, limit: usize) -> String {
    let shape = &coded.shape;
    let columns: Vec<String> = shape.names.iter().map(|name| quoted(name)).collect();
    // A float is written with all its digits, as the log has them.
    let wanted: Vec<String> = columns
        .iter()
        .zip(&coded.coders)
        .map(|(c, coder)| if *coder == Coder::Float { format!("({c} + 0e0)") } else { c.clone() })
        .collect();
    let key: Vec<&str> =
        shape.key.iter().filter_map(|at| columns.get(*at).map(String::as_str)).collect();
    // Row comparisons do not use the index here; this form does.
    let beyond = after.map_or_else(String::new, |after| {
        let values: Vec<String> = after.iter().map(|value| literal(value)).collect();
        let ways: Vec<String> = (0..key.len())
            .map(|n| {
                let same = key.iter().zip(&values).take(n).map(|(c, v)| format!("{c} = {v}"));
                let last =
                    key.iter().zip(&values).skip(n).take(1).map(|(c, v)| format!("{c} > {v}"));
                same.chain(last).collect::<Vec<_>>().join(" AND ")
            })
            .collect();
        format!(" WHERE ({})", ways.join(") OR ("))
    });
    format!(
        "SELECT {} FROM {}{beyond} ORDER BY {} LIMIT {limit}",
        wanted.join(", "),
        table(&shape.place),
        key.join(", ")
    )
}
