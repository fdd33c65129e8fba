//! Downloads of a data set's rows in every format, and the feature collection of the map.

use std::sync::Arc;

use app::Action;
use app::audit::Tally;
use app::opening::{Dataset, Read, Shape};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::StreamExt;
use model::{Code, Error, Result};

use crate::export::{self, Format, Heading, known, xlsx};
use crate::visit::{Visit, encode};
use crate::{Answer, Door};

/// Most features of the map; the whole is a download.
const MAP_FEATURES: usize = 5_000;

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/data/{code}/{file}", get(download))
        .route("/data/{code}/map.geojson", get(map))
}

/// `Content-Disposition` with a Chinese name.
pub(crate) fn attachment(name: &str, content_type: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' })
        .collect();
    let value = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{}", encode(name));
    if let Ok(value) = HeaderValue::from_str(&value) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    headers
}

/// Under which name a file is known, and what it is made of: data and declaration of the set.
pub(super) fn known_as(dataset: &Dataset, file: &str) -> (String, String) {
    let entry = &dataset.entry;
    let stamp = format!("{} {}", entry.data_at.as_deref().unwrap_or_default(), entry.version);
    (format!("{}\n{file}", entry.draft.code), stamp)
}

async fn download(
    State(door): State<Arc<Door>>,
    Path((code, file)): Path<(String, String)>,
    visit: Visit,
    asked: HeaderMap,
) -> Answer {
    let nowhere = || Error::not_found("页面", "the page", visit.uri.path());
    let extension = file.strip_prefix("download.").ok_or_else(nowhere)?;
    let format = match extension {
        "csv" => Some(Format::Csv { bom: visit.q("bom") != Some("0") }),
        "json" => Some(Format::Json),
        "xml" => Some(Format::Xml),
        "rdf" => Some(Format::Rdf),
        "geojson" => Some(Format::GeoJson),
        "parquet" => Some(Format::Parquet),
        "xlsx" => None,
        _ => return Err(nowhere().into()),
    };
    let version = version(&visit)?;
    // What cannot be made is said before anything is released (and audited).
    let dataset = app::opening::dataset(&door.app, &visit.op, &code).await?;
    if format == Some(Format::GeoJson) && dataset.geometry.is_none() {
        return Err(Error::new(
            Code::UnsupportedFormat,
            "该数据集没有空间数据项，不能下载 GeoJSON",
            "this data set has no geometry, GeoJSON is not offered",
        )
        .into());
    }
    // The file as it is offered: the present version, with what its format comes with.
    let offered =
        format.filter(|format| version.is_none() && !matches!(format, Format::Csv { bom: false }));
    let (key, stamp) = known_as(&dataset, &file);
    let mark = known::mark(&key, &stamp);
    if let Some(format) = offered
        && known::in_part(&asked, &mark)
        && door.files.get(&key, &stamp).is_none()
    {
        learn(&door, &visit, &code, format, (key, stamp)).await?;
    }
    let tally = || Tally::new(&door.app, &visit.op, Action::RowsDownload.as_str(), &code);
    let (dataset, format, body) = match format {
        // Written where the rows are read: the most asked for, of the largest sets.
        Some(format @ Format::Csv { bom }) => {
            let (lines, form) = (app::opening::download_lines, export::line_form(bom));
            let download = lines(&door.app, &visit.op, &code, version, form).await?;
            let heading = Heading::new(&download.dataset, &download.columns, &visit.base);
            let body = export::lines(format.encoder(heading), download.rows, Some(tally()));
            (download.dataset, format, body)
        }
        Some(format @ Format::Parquet) => {
            let columns = app::opening::download_columns;
            let download = columns(&door.app, &visit.op, &code, version).await?;
            let heading = Heading::new(&download.dataset, &download.columns, &visit.base);
            let body = export::lines(format.encoder(heading), download.rows, Some(tally()));
            (download.dataset, format, body)
        }
        Some(format) => {
            let download = app::opening::download(&door.app, &visit.op, &code, version).await?;
            let heading = Heading::new(&download.dataset, &download.columns, &visit.base);
            let body = export::body(format.encoder(heading), download.rows, Some(tally()));
            (download.dataset, format, body)
        }
        None => {
            let download = app::opening::download(&door.app, &visit.op, &code, version).await?;
            let header = download.columns.iter().map(|(id, _)| id.clone()).collect();
            let name = format!("{}.{extension}", download.dataset.entry.draft.title);
            let body = xlsx::body("数据", header, download.rows, Some(tally())).await?;
            return Ok((attachment(&name, xlsx::CONTENT_TYPE), body).into_response());
        }
    };
    let name = format!("{}.{extension}", dataset.entry.draft.title);
    let mut headers = attachment(&name, format.content_type());
    if offered.is_none() {
        return Ok((headers, body).into_response());
    }
    // What the body is of: it may have changed since the beginning.
    let (key, stamp) = known_as(&dataset, &file);
    let mark = known::mark(&key, &stamp);
    Ok(match door.files.get(&key, &stamp) {
        Some(known) => known::answer(&asked, &known, &mark, headers, body),
        None => {
            known::offered(&mut headers, &mark);
            (headers, door.files.remember(body, key, stamp)).into_response()
        }
    })
}

/// Reads a file through, so that a part of it can be told: nothing of it leaves. One at a time; who comes meanwhile gets the whole.
async fn learn(
    door: &Arc<Door>,
    visit: &Visit,
    code: &str,
    format: Format,
    (key, stamp): (String, String),
) -> Result<()> {
    let Some(_turn) = door.files.turn() else { return Ok(()) };
    let shape = match format {
        Format::Csv { bom } => Shape::Lines(export::line_form(bom)),
        Format::Parquet => Shape::Columns,
        Format::Json | Format::Xml | Format::Rdf | Format::GeoJson => Shape::Rows,
    };
    let heading = |dataset: &Dataset, columns: &[(String, String)]| {
        format.encoder(Heading::new(dataset, columns, &visit.base))
    };
    let (dataset, body) =
        match app::opening::read_through(&door.app, &visit.op, code, shape).await? {
            Read::Rows(read) => {
                let encoder = heading(&read.dataset, &read.columns);
                (read.dataset, export::body(encoder, read.rows, None))
            }
            Read::Bytes(read) => {
                let encoder = heading(&read.dataset, &read.columns);
                (read.dataset, export::lines(encoder, read.rows, None))
            }
        };
    // It changed meanwhile: what is read is another file, and not the one that was asked for.
    if known_as(&dataset, "").1 != stamp {
        return Ok(());
    }
    door.files.learn(body, key, stamp).await
}

fn version(visit: &Visit) -> Result<Option<i64>> {
    visit
        .q("version")
        .map(|text| {
            text.parse::<i64>().map_err(|_| {
                Error::new(
                    Code::InvalidQuery,
                    format!("版本 `{text}` 应为整数"),
                    format!("version `{text}` must be a whole number"),
                )
            })
        })
        .transpose()
}

/// The first features for drawing; a header tells when there are more.
async fn map(State(door): State<Arc<Door>>, Path(code): Path<String>, visit: Visit) -> Answer {
    let download = app::opening::download(&door.app, &visit.op, &code, None).await?;
    let heading = Heading::new(&download.dataset, &download.columns, &visit.base);
    let rows = u64::try_from(download.dataset.entry.rows).unwrap_or(0);
    let mut left = MAP_FEATURES;
    let some = download.rows.map(move |chunk| {
        chunk.map(|mut chunk| {
            chunk.rows.truncate(left);
            left -= chunk.rows.len();
            (chunk, left)
        })
    });
    // Takes the chunk that fills the map, then stops reading.
    let some = some.scan(false, |full, chunk| {
        if *full {
            return std::future::ready(None);
        }
        *full = matches!(&chunk, Ok((_, 0)) | Err(_));
        std::future::ready(Some(chunk.map(|(rows, _)| rows)))
    });
    let format = Format::GeoJson;
    // The record tells the features that were drawn, not the rows there are.
    let tally = Tally::new(&door.app, &visit.op, Action::RowsDownload.as_str(), &code);
    let mut response: Response =
        export::body(format.encoder(heading), some.boxed(), Some(tally)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    if rows > MAP_FEATURES as u64 {
        headers.insert(
            HeaderName::from_static("x-features-left-out"),
            HeaderValue::from_static("true"),
        );
    }
    Ok(response)
}
