//! Interfaces by which many rows leave: changes since a position, and whole files.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use model::audit::AuditEvent;
use model::interface::{Asked, Interface};
use model::query::RowQuery;
use model::value::{Rows, Value};
use model::{Code, Error, Op, Result};
use policy::Action;
use serde::{Serialize, Serializer};

use super::call::{Answer, Body};
use super::rows::{chosen, labels, marked};
use crate::outflow::{self, PullAsk};
use crate::sharing::bounds::Held;
use crate::sharing::flowing::while_standing;
use crate::{App, audit, sharing};

/// All rows on their way; whoever sends them counts them into `tally`.
pub struct FileRows {
    pub columns: Vec<String>,
    pub rows: BoxStream<'static, Result<Rows>>,
    pub tally: audit::Tally,
    /// The call is under way until the file has left.
    held: Held,
}

/// In which form a file is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileForm {
    Csv,
    /// A JSON object on each line.
    Lines,
}

impl FileRows {
    /// The file piece by piece; what leaves is counted, and its end recorded.
    #[must_use]
    pub fn bytes(self, form: FileForm) -> BoxStream<'static, Result<Bytes>> {
        struct Sending {
            columns: Vec<String>,
            rows: BoxStream<'static, Result<Rows>>,
            tally: Option<audit::Tally>,
            headed: bool,
            _held: Held,
        }
        let sending = Sending {
            columns: self.columns,
            rows: self.rows,
            tally: Some(self.tally),
            headed: form == FileForm::Lines,
            _held: self.held,
        };
        let pieces = stream::unfold(sending, move |mut s| async move {
            if !s.headed {
                s.headed = true;
                return Some((head(&s.columns), s));
            }
            let piece = match s.rows.next().await {
                Some(Ok(rows)) => encode(form, &s.columns, &rows).map(|b| (rows.rows.len(), b)),
                Some(Err(e)) => Err(e),
                None => {
                    let ended = s.tally.take()?.end(None).await;
                    return ended.err().map(|e| (Err(e), s));
                }
            };
            match piece {
                Ok((n, bytes)) => {
                    if let Some(tally) = &mut s.tally {
                        tally.add(n, bytes.len());
                    }
                    Some((Ok(bytes), s))
                }
                Err(e) => {
                    // Whoever reads gets an error and no end: the file is known to be cut off.
                    if let Err(trouble) = s.tally.take()?.end(Some(&e)).await {
                        tracing::error!(error = %trouble.operator_text(), "a cut-off file could not be recorded");
                    }
                    Some((Err(e), s))
                }
            }
        });
        Box::pin(pieces)
    }
}

fn told(e: csv::Error) -> Error {
    Error::internal("cannot write CSV").caused_by(e)
}

fn finish(writer: csv::Writer<Vec<u8>>) -> Result<Bytes> {
    let written = writer.into_inner().map_err(|e| Error::internal(format!("csv: {e}")))?;
    Ok(Bytes::from(written))
}

fn head(columns: &[String]) -> Result<Bytes> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(columns).map_err(told)?;
    finish(writer)
}

fn encode(form: FileForm, columns: &[String], rows: &Rows) -> Result<Bytes> {
    if form == FileForm::Csv {
        let mut writer = csv::Writer::from_writer(Vec::new());
        for row in &rows.rows {
            writer
                .write_record(row.iter().map(|v| v.to_text().unwrap_or_default()))
                .map_err(told)?;
        }
        return finish(writer);
    }
    let mut bytes = Vec::new();
    for row in &rows.rows {
        serde_json::to_writer(&mut bytes, &Line { columns, row })
            .map_err(|e| Error::internal("cannot write JSON").caused_by(e))?;
        bytes.push(b'\n');
    }
    Ok(Bytes::from(bytes))
}

/// A row as a JSON object, in the order of its columns.
struct Line<'a> {
    columns: &'a [String],
    row: &'a [Value],
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(self.columns.iter().zip(self.row))
    }
}

impl std::fmt::Debug for FileRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileRows").field("columns", &self.columns).finish_non_exhaustive()
    }
}

/// Changes of the caller's region since a position: the machinery of the return flow, of the items described.
pub(super) async fn changes(
    app: &App,
    op: &Op,
    interface: &Arc<Interface>,
    asked: &Asked,
) -> Result<Answer> {
    let draft = &interface.draft;
    let ask = PullAsk {
        after: asked.after.clone(),
        limit: Some(draft.rows(asked.limit)),
        wait: asked.wait,
        items: draft.returns.iter().map(|r| r.item.clone()).collect(),
    };
    let mut pulled = outflow::pull(app, op, &draft.entry, &ask).await?;
    for name in pulled.columns.iter_mut().chain(&mut pulled.key) {
        if let Some(named) = draft.returns.iter().find(|r| r.item == *name) {
            named.label().clone_into(name);
        }
    }
    Ok(Answer {
        masked: labels(draft, &pulled.masked),
        calls_left: pulled.calls_left,
        age: None,
        mark: None,
        interface: Arc::clone(interface),
        body: Body::Changes(Box::new(pulled)),
    })
}

/// All rows as a file; recorded before the first row, and its end when it came.
pub(super) async fn file(
    app: &Arc<App>,
    op: &Op,
    interface: &Arc<Interface>,
    asked: &Asked,
) -> Result<Answer> {
    let draft = &interface.draft;
    // Counted as one call, granted as a download.
    let counted = sharing::enter(app, op, &draft.entry, Action::RowsQuery).await?;
    let mut pass = sharing::enter(app, op, &draft.entry, Action::RowsDownload).await?;
    let query = RowQuery {
        select: chosen(app, op, draft, &pass).await?,
        filter: asked.filter.clone(),
        ..RowQuery::default()
    };
    let held = pass.hold();
    let grant = pass.grant();
    let newest = app.lake.newest(grant.code()).await?;
    let rows: BoxStream<'static, Result<Rows>> = match &newest {
        Some(version) => {
            let scan = app.lake.scan(grant, &query, Some(version.version));
            pass.timed(app, op, scan).await?
        }
        None => Box::pin(futures::stream::empty()),
    };
    let columns: Vec<String> = match query.select.is_empty() {
        true => grant.columns().iter().map(|c| c.identifier.clone()).collect(),
        false => query.select.iter().map(|(c, name)| name.as_ref().unwrap_or(c).clone()).collect(),
    };
    if columns.is_empty() {
        return Err(Error::of(Code::ColumnNotGranted));
    }
    let event = AuditEvent {
        columns: columns.join(","),
        level: grant.grade().as_str().to_owned(),
        scope: newest.map(|v| format!("version {}", v.version)).unwrap_or_default(),
        purpose: sharing::purpose(op, grant),
        request: grant.request().unwrap_or_default().to_owned(),
        masks: grant.masks_text(),
        ..audit::event(op, grant.action().as_str(), grant.code())
    };
    pass.told(app, op, marked(interface, event)).await?;
    Ok(Answer {
        masked: labels(draft, &pass.masked(&query)),
        calls_left: counted.calls_left,
        age: None,
        mark: None,
        interface: Arc::clone(interface),
        body: Body::File(Box::new(FileRows {
            columns,
            rows: while_standing(pass.standing(app, op).by(&interface.code), rows),
            tally: audit::Tally::new(app, op, grant.action().as_str(), grant.code()),
            held,
        })),
    })
}
