//! Downloads of a data set's rows in every format, and the feature collection of the map.

use std::sync::Arc;

use app::Action;
use app::audit::{Part, Tally};
use app::opening::{Dataset, Read, Shape};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Method;
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::StreamExt;
use futures::stream::BoxStream;
use model::value::Rows;
use model::{Code, Error, Result};

use crate::export::heads::Heads;
use crate::export::known::{Known, Named};
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
    let mut plain: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' })
        .collect();
    // Who reads no Chinese names is not given a row of lines.
    if let Some((stem, ending)) = plain.rsplit_once('.')
        && stem.chars().all(|c| c == '_')
    {
        plain = format!("download.{ending}");
    }
    let value = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{}", encode(name));
    if let Ok(value) = HeaderValue::from_str(&value) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    headers
}

/// The file of this name as it is now; nothing of a set that is not given out.
pub(super) async fn named(
    door: &Door,
    visit: &Visit,
    dataset: &Dataset,
    file: &str,
) -> Result<Option<Named>> {
    let making = app::opening::making(&door.app, &visit.op, dataset).await?;
    Ok(making.map(|making| Named::new(dataset, file, &making, &visit.base)))
}

/// What is known of these files of a set, as far as it is known, in their order.
pub(super) async fn sums_known<'a>(
    door: &Door,
    visit: &Visit,
    dataset: &Dataset,
    formats: &[&'a str],
) -> Result<Vec<(&'a str, Known)>> {
    let Some(making) = app::opening::making(&door.app, &visit.op, dataset).await? else {
        return Ok(Vec::new());
    };
    let kept = app::opening::files_known(&door.app, dataset).await?;
    let of = |format: &'a str| {
        let named = Named::new(dataset, &format!("download.{format}"), &making, &visit.base);
        let kept = kept.iter().find(|kept| named.is(kept))?;
        Some((format, Known::from(kept.clone())))
    };
    Ok(formats.iter().copied().filter_map(of).collect())
}

/// Formats by their ending; a workbook is none of those that are written as they are sent.
pub(super) fn by_ending(ending: &str, bom: bool) -> Option<Option<Format>> {
    Some(match ending {
        "csv" => Some(Format::Csv { bom }),
        "json" => Some(Format::Json),
        "xml" => Some(Format::Xml),
        "rdf" => Some(Format::Rdf),
        "geojson" => Some(Format::GeoJson),
        "parquet" => Some(Format::Parquet),
        "xlsx" => None,
        _ => return None,
    })
}

async fn download(
    State(door): State<Arc<Door>>,
    Path((code, file)): Path<(String, String)>,
    visit: Visit,
    method: Method,
    asked: HeaderMap,
) -> Answer {
    let nowhere = || Error::not_found("页面", "the page", visit.uri.path());
    let extension = file.strip_prefix("download.").ok_or_else(nowhere)?;
    let bom = visit.q("bom") != Some("0");
    let format = by_ending(extension, bom).ok_or_else(nowhere)?;
    let (version, heads) = (version(&visit)?, heads(&visit, format)?);
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
    // Of earlier versions nothing is kept.
    let name = file_name(&file, format, heads);
    let before = match version {
        None if dataset.entry.data_at.is_some() => named(&door, &visit, &dataset, &name).await?,
        _ => None,
    };
    let titled = |title: &str| format!("{title}.{extension}");
    if let Some(wanted) = &before {
        let known = match door.files.get(&dataset, wanted).await? {
            None if method == Method::GET && known::in_part(&asked, &wanted.mark()) => {
                // One at a time; who comes meanwhile gets the whole.
                if let Some(_turn) = door.files.turn() {
                    learn(&door, &visit, &code, (format, heads), &name, wanted).await?;
                }
                door.files.get(&dataset, wanted).await?
            }
            known => known,
        };
        let kind = format.map_or(xlsx::CONTENT_TYPE, Format::content_type);
        let headers = attachment(&titled(&dataset.entry.draft.title), kind);
        let bare = known::bare(&method, &asked, known.as_ref(), &wanted.mark(), headers);
        if let Some(answer) = bare {
            return Ok(answer);
        }
    }
    let cut = Part::default();
    let form = (format, heads);
    let (dataset, kind, body) = begun(&door, &visit, &code, form, version, &cut).await?;
    let mut headers = attachment(&titled(&dataset.entry.draft.title), kind);
    // What the body is of: it may have changed since the beginning.
    let now = match before {
        Some(_) => named(&door, &visit, &dataset, &name).await?,
        None => None,
    };
    let Some(named) = now.filter(|now| before.as_ref() == Some(now)) else {
        return Ok((headers, body).into_response());
    };
    let mark = named.mark();
    Ok(match door.files.get(&dataset, &named).await? {
        Some(known) => known::answer(&asked, &known, &mark, headers, (body, cut)),
        None => {
            known::offered(&mut headers, &mark);
            (headers, door.files.remember(body, named)).into_response()
        }
    })
}

/// A file on its way out: the set, what the file is, and its bytes. Recorded as a release.
async fn begun(
    door: &Door,
    visit: &Visit,
    code: &str,
    (format, heads): (Option<Format>, Heads),
    version: Option<i64>,
    cut: &Part,
) -> Result<(Dataset, &'static str, Body)> {
    let action = Action::RowsDownload.as_str();
    // Made when there is something to count: what is refused has no end.
    let tally = || Some(Tally::new(&door.app, &visit.op, action, code).until(cut));
    Ok(match format {
        // Written where the rows are read: the most asked for, of the largest sets.
        Some(format @ Format::Csv { bom }) => {
            let (lines, form) = (app::opening::download_lines, export::line_form(bom));
            let download = lines(&door.app, &visit.op, code, version, form).await?;
            let heading = headed(visit, &download.dataset, &download.columns, heads);
            let body = export::lines(format.encoder(heading), download.rows, tally());
            (download.dataset, format.content_type(), body)
        }
        Some(format @ Format::Parquet) => {
            let columns = app::opening::download_columns;
            let download = columns(&door.app, &visit.op, code, version).await?;
            let heading = Heading::new(&download.dataset, &download.columns, &visit.base);
            let body = export::lines(format.encoder(heading), download.rows, tally());
            (download.dataset, format.content_type(), body)
        }
        Some(format) => {
            let download = app::opening::download(&door.app, &visit.op, code, version).await?;
            let heading = Heading::new(&download.dataset, &download.columns, &visit.base);
            let body = export::body(format.encoder(heading), download.rows, tally());
            (download.dataset, format.content_type(), body)
        }
        None => {
            let download = app::opening::download(&door.app, &visit.op, code, version).await?;
            let (dataset, header) = (&download.dataset, &download.columns);
            let header = heads.over(dataset, header);
            let body = book(download.rows, dataset, header, tally()).await?;
            let dataset = download.dataset;
            (dataset, xlsx::CONTENT_TYPE, body)
        }
    })
}

/// What a file says of its set, with these heads over the columns of a table.
fn headed(visit: &Visit, dataset: &Dataset, columns: &[(String, String)], heads: Heads) -> Heading {
    Heading::new(dataset, columns, &visit.base).headed(heads.over(dataset, columns))
}

/// The rows as a workbook of the time of the data.
async fn book(
    rows: BoxStream<'static, Result<Rows>>,
    dataset: &Dataset,
    header: Vec<String>,
    tally: Option<Tally>,
) -> Result<Body> {
    let entry = &dataset.entry;
    let of = entry.data_at.as_deref().or(entry.published_at.as_deref()).unwrap_or_default();
    xlsx::body("数据", of, header, rows, tally).await
}

/// Reads a file through, so that its size and checksum are known: nothing of it leaves. Whoever asks holds a turn.
pub(super) async fn learn(
    door: &Door,
    visit: &Visit,
    code: &str,
    (format, heads): (Option<Format>, Heads),
    name: &str,
    wanted: &Named,
) -> Result<()> {
    let shape = match format {
        Some(Format::Csv { bom }) => Shape::Lines(export::line_form(bom)),
        Some(Format::Parquet) => Shape::Columns,
        Some(Format::Json | Format::Xml | Format::Rdf | Format::GeoJson) | None => Shape::Rows,
    };
    let heading =
        |dataset: &Dataset, columns: &[(String, String)]| headed(visit, dataset, columns, heads);
    let read = app::opening::read_through(&door.app, &visit.op, code, shape).await?;
    let (dataset, body) = match (read, format) {
        (Read::Rows(read), Some(format)) => {
            let encoder = format.encoder(heading(&read.dataset, &read.columns));
            (read.dataset, export::body(encoder, read.rows, None))
        }
        (Read::Bytes(read), Some(format)) => {
            let encoder = format.encoder(heading(&read.dataset, &read.columns));
            (read.dataset, export::lines(encoder, read.rows, None))
        }
        (Read::Rows(read), None) => {
            let header = heads.over(&read.dataset, &read.columns);
            let body = book(read.rows, &read.dataset, header, None).await?;
            (read.dataset, body)
        }
        (Read::Bytes(_), None) => {
            return Err(Error::internal("a workbook is made of single rows"));
        }
    };
    // It changed meanwhile: what is read is another file, and not the one that was asked for.
    match named(door, visit, &dataset, name).await? {
        Some(now) if now == *wanted => door.files.learn(body, now).await,
        _ => Ok(()),
    }
}

/// The name by which what is known of a file is kept. An exact CSV is another file than that for spreadsheets, and so is a table
/// under other heads.
fn file_name(file: &str, format: Option<Format>, heads: Heads) -> String {
    let exact = matches!(format, Some(Format::Csv { bom: false })).then_some("bom=0");
    let asked: Vec<&str> = exact.into_iter().chain(heads.asked()).collect();
    if asked.is_empty() { file.to_owned() } else { format!("{file}?{}", asked.join("&")) }
}

/// The heads that are asked for, of a format that has any: CSV and workbooks.
fn heads(visit: &Visit, format: Option<Format>) -> Result<Heads> {
    let Some(word) = visit.q("heads") else { return Ok(Heads::default()) };
    let wrong = |zh: String, en: String| {
        let mend = ("可用 zh、en", "use `zh` or `en`");
        Err(Error::new(Code::InvalidQuery, zh, en).field("heads", mend.0, mend.1))
    };
    match (Heads::parse(word), format) {
        (Some(heads), None | Some(Format::Csv { .. })) => Ok(heads),
        (Some(_), Some(_)) => wrong(
            "只有 CSV 和 XLSX 可以选择表头（heads）".to_owned(),
            "only CSV and XLSX have heads to choose (`heads`)".to_owned(),
        ),
        (None, _) => wrong(
            format!("表头 `{word}` 无法识别：zh 为中文名称，en 为英文名称，不填为标识符"),
            format!(
                "heads `{word}` are not known: `zh` for Chinese names, `en` for English names, none for identifiers"
            ),
        ),
    }
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
