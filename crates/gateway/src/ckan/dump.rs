//! `/datastore/dump/{id}`: all rows of a table as a file (CSV, TSV, JSON), streamed in constant memory, with the filters of
//! `datastore_search`. It is a download: recorded before the first byte, and again with what truly left.

use app::GrantColumn;
use app::audit::Tally;
use app::opening::{self, Dataset};
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use model::code::DataType;
use model::query::RowQuery;
use model::value::{LineForm, Lines, Row, Rows};
use model::{Error, Op, Result};
use serde_json::{Value, json};

use super::fault::Fault;
use super::filters::{self, PLACE};
use super::params::{self, Params};
use super::{refused, shape, table};
use crate::Door;
use crate::caller::anybody;

pub(super) async fn dump(
    State(door): State<Door>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let op = match anybody(&parts, &door).await {
        Ok(op) => op,
        Err(refusal) => return refused(refusal).plain(),
    };
    let method = parts.method.clone();
    let outcome = match params::read(parts, body).await {
        Ok(params) => answer(&door, &op, &id, &method, &params).await,
        Err(fault) => Err(fault),
    };
    crate::answer::told_by(outcome.unwrap_or_else(Fault::plain), &op)
}

async fn answer(
    door: &Door,
    op: &Op,
    id: &str,
    method: &Method,
    params: &Params,
) -> Result<Response, Fault> {
    let word = params.text("format").unwrap_or_else(|| "csv".to_owned());
    let (dataset, columns) = table::table(door, op, id).await?;
    let (chosen, places) = filters::fields(&params.list("fields"), &columns)?;
    let format = match word.as_str() {
        "csv" => Format::Lines(b','),
        "tsv" => Format::Lines(b'\t'),
        "json" => Format::Json,
        _ => {
            return Err(Fault::invalid(
                "format",
                "应为 csv、tsv、json 之一",
                "must be one of csv, tsv, json",
            ));
        }
    };
    let q = params.json("q");
    let wanted = filters::read(params.json("filters").as_ref(), q.as_ref(), &columns)?;
    let order = filters::sort(&params.text("sort").unwrap_or_default(), &columns)?;
    let offset = params.number("offset", 0)?.saturating_add(wanted.passed);
    let limit = params.get("limit").map(|_| params.number("limit", 0)).transpose()?;
    let headers = headers(&dataset, &word);
    if *method == Method::HEAD {
        return Ok(headers.into_response());
    }
    let query = RowQuery {
        select: chosen.iter().map(|c| (c.clone(), None)).collect(),
        filter: wanted.filter,
        order,
        limit,
        offset,
        ..RowQuery::default()
    };
    let code = dataset.entry.draft.code.clone();
    let place = places.then_some(offset);
    let rows = match format {
        Format::Lines(between) => {
            // For programs: exact, with and without a mark.
            let form = LineForm { between, passed: place, harmless: false };
            let download = opening::dump_lines(&door.app, op, &code, &query, form).await?;
            download.rows.map(|chunk| chunk.map(Piece::Lines)).boxed()
        }
        Format::Json => {
            let download = opening::dump(&door.app, op, &code, &query).await?;
            download.rows.map(|chunk| chunk.map(Piece::Rows)).boxed()
        }
    };
    let tally = Tally::new(&door.app, op, app::Action::RowsDownload.as_str(), &code);
    let writer = Writer {
        format,
        bom: params.flag("bom", false),
        place,
        fields: fields(&dataset, &columns, &chosen, places),
        names: chosen.clone(),
        types: types(&columns, &chosen),
        first: true,
    };
    Ok((headers, pour(writer, rows, tally)).into_response())
}

fn types(columns: &[GrantColumn], chosen: &[String]) -> Vec<DataType> {
    let of = |name: &String| columns.iter().find(|c| c.identifier == *name).map(|c| c.data_type);
    chosen.iter().filter_map(of).collect()
}

fn fields(dataset: &Dataset, columns: &[GrantColumn], chosen: &[String], places: bool) -> Value {
    let place = places.then(|| json!({ "id": PLACE, "type": "int" }));
    let own = chosen.iter().filter_map(|name| {
        let column = columns.iter().find(|c| c.identifier == *name)?;
        Some(table::field(dataset, column))
    });
    place.into_iter().chain(own).collect()
}

fn headers(dataset: &Dataset, ending: &str) -> HeaderMap {
    let kind = match ending {
        "csv" => "text/csv; charset=utf-8",
        "tsv" => "text/tab-separated-values; charset=utf-8",
        _ => "application/json; charset=utf-8",
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let name = shape::resource_id(&dataset.entry, shape::TABLE);
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}.{ending}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    headers
}

enum Format {
    /// Lines with this between their values.
    Lines(u8),
    Json,
}

/// Rows on their way out: to be written here, or lines already.
enum Piece {
    Rows(Rows),
    Lines(Lines),
}

/// Writes a file piece by piece.
struct Writer {
    format: Format,
    bom: bool,
    /// The place of the last row written; nothing where places are not wanted.
    place: Option<u64>,
    fields: Value,
    names: Vec<String>,
    types: Vec<DataType>,
    first: bool,
}

fn unwritten(e: csv::Error) -> Error {
    Error::internal("cannot write CSV").caused_by(e)
}

impl Writer {
    fn head(&self) -> Result<Vec<u8>> {
        let mark = "\u{feff}".as_bytes();
        let mut out = if self.bom { mark.to_vec() } else { Vec::new() };
        match self.format {
            Format::Lines(between) => {
                let mut writer = table::lines(between);
                let place = self.place.map(|_| PLACE);
                let names = place.into_iter().chain(self.names.iter().map(String::as_str));
                writer.write_record(names).map_err(unwritten)?;
                out.extend(table::taken(writer)?);
            }
            Format::Json => {
                out.extend_from_slice(
                    format!("{{\"fields\":{},\"records\":[", self.fields).as_bytes(),
                );
            }
        }
        Ok(out)
    }

    /// Rows as a part of the list of records.
    fn rows(&mut self, rows: &Rows) -> Vec<u8> {
        let mut out = Vec::new();
        for row in &rows.rows {
            out.extend_from_slice(if self.first { b"\n" } else { b",\n" });
            self.first = false;
            let place = self.next().map(Value::from);
            let line: Value = place.into_iter().chain(self.cells(row)).collect();
            out.extend_from_slice(line.to_string().as_bytes());
        }
        out
    }

    fn cells<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = Value> + 'a {
        let kind = |n: usize| self.types.get(n).copied().unwrap_or(DataType::Text);
        row.iter().enumerate().map(move |(n, cell)| table::value(kind(n), cell))
    }

    fn next(&mut self) -> Option<u64> {
        let place = self.place.as_mut()?;
        *place += 1;
        Some(*place)
    }

    fn tail(&self) -> Vec<u8> {
        match self.format {
            Format::Lines(_) => Vec::new(),
            Format::Json => b"\n]}\n".to_vec(),
        }
    }
}

/// A body that is written as it is read, counted as it leaves. A failure after the first byte breaks it off, so that a part is
/// never taken for the whole.
fn pour(writer: Writer, rows: BoxStream<'static, Result<Piece>>, tally: Tally) -> Body {
    let start = Some((writer, rows, tally, true));
    Body::from_stream(stream::unfold(start, |state| async move {
        let (mut writer, mut rows, mut tally, head) = state?;
        if head {
            return Some(match writer.head() {
                Ok(bytes) => {
                    tally.add(0, bytes.len());
                    (Ok(bytes), Some((writer, rows, tally, false)))
                }
                Err(e) => (Err(ended(tally, e).await), None),
            });
        }
        let piece = match rows.next().await {
            None => {
                let tail = writer.tail();
                tally.add(0, tail.len());
                return Some((tally.end(None).await.map(|()| tail), None));
            }
            Some(piece) => piece.map(|piece| match piece {
                Piece::Rows(rows) => (rows.rows.len(), writer.rows(&rows)),
                Piece::Lines(lines) => (lines.rows, lines.bytes),
            }),
        };
        Some(match piece {
            Ok((count, bytes)) => {
                tally.add(count, bytes.len());
                (Ok(bytes), Some((writer, rows, tally, false)))
            }
            Err(e) => (Err(ended(tally, e).await), None),
        })
    }))
}

/// Records why a file broke off.
async fn ended(tally: Tally, error: Error) -> Error {
    tracing::error!(error = %error.operator_text(), "a dump broke off");
    match tally.end(Some(&error)).await {
        Ok(()) => error,
        Err(trouble) => trouble,
    }
}
