//! The whole open catalogue as a file: CSV, XLSX, JSON, DCAT in its three spellings. Streamed page by page.

use std::sync::Arc;

use app::ledger::dump::{Dcat, Format, RdfFormat};
use app::opening::Dataset;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use axum::routing::get;
use futures::stream::{self, BoxStream, StreamExt};
use model::spreadsheet::harmless;
use model::value::{Rows, Value};
use model::{Error, Result};

use crate::export::xlsx;
use crate::site::dataset::formats;
use crate::site::download::attachment;
use crate::site::metadata;
use crate::visit::{Visit, encode};
use crate::{Answer, Door};

/// Data sets read at once.
const PAGE: u32 = 200;

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/catalogue.csv", get(as_csv))
        .route("/catalogue.xlsx", get(as_xlsx))
        .route("/catalogue.json", get(as_json))
        .route("/catalogue.rdf", get(as_xml))
        .route("/catalogue.ttl", get(as_turtle))
        .route("/catalogue.jsonld", get(as_json_ld))
        .route("/catalogue", get(negotiated))
}

/// All open data sets, page by page.
pub(super) fn pages(door: &Arc<Door>, visit: &Visit) -> BoxStream<'static, Result<Vec<Dataset>>> {
    let start = (Arc::clone(door), visit.clone(), None::<String>, false);
    stream::unfold(start, |(door, visit, after, done)| async move {
        if done {
            return None;
        }
        match app::opening::datasets(&door.app, &visit.op, after.as_deref(), PAGE).await {
            Ok(page) => {
                let done = page.next.is_none();
                Some((Ok(page.items), (door, visit, page.next, done)))
            }
            Err(error) => Some((Err(error), (door, visit, None, true))),
        }
    })
    .boxed()
}

const COLUMNS: [(&str, &str); 27] = [
    ("code", "目录编码"),
    ("title", "名称"),
    ("title_en", "英文名称"),
    ("description", "摘要"),
    ("organisation", "数源单位"),
    ("region", "行政区划代码"),
    ("region_name", "行政区划"),
    ("domain", "数据领域"),
    ("tags", "标签"),
    ("update_cycle", "更新周期"),
    ("open_type", "开放属性"),
    ("open_condition", "开放条件"),
    ("licence", "许可"),
    ("items", "数据项数"),
    ("rows", "数据量"),
    ("published_at", "发布时间"),
    ("data_at", "数据更新时间"),
    ("formats", "格式"),
    ("page", "网址"),
    ("theme", "主题"),
    ("data_level", "数据层级"),
    ("data_range", "数据范围"),
    ("data_kinds", "数据对象"),
    ("processing_level", "加工程度"),
    ("provider_channel", "提供渠道"),
    ("operation_authorized", "可授权运营"),
    ("app_scene", "应用场景"),
];

fn row(dataset: &Dataset, base: &str) -> Vec<Value> {
    let d = &dataset.entry.draft;
    let text = |s: &str| Value::Text(s.to_owned());
    let when = |s: &Option<String>| s.clone().map_or(Value::Null, Value::Text);
    vec![
        text(&d.code),
        text(&d.title),
        text(&d.title_en),
        text(&d.description),
        text(&dataset.org_name),
        text(&d.region),
        text(&dataset.region_name),
        text(d.domain.zh()),
        text(&d.tags.join(";")),
        text(d.update_cycle.zh()),
        text(d.open_type.zh()),
        text(&d.open_condition),
        text(&d.licence),
        Value::Integer(i64::try_from(d.items.len()).unwrap_or(i64::MAX)),
        Value::Integer(dataset.entry.rows),
        when(&dataset.entry.published_at),
        when(&dataset.entry.data_at),
        text(&formats(dataset).join(";")),
        Value::Text(format!("{base}/data/{}", encode(&d.code))),
        text(&d.profile.theme),
        text(d.profile.data_level.map_or("", |w| w.zh())),
        text(d.profile.data_range.map_or("", |w| w.zh())),
        text(&d.profile.data_kinds.iter().map(|w| w.zh()).collect::<Vec<_>>().join(";")),
        text(d.profile.processing_level.map_or("", |w| w.zh())),
        text(d.profile.provider_channel.map_or("", |w| w.zh())),
        text(if d.profile.operation_authorized { "是" } else { "否" }),
        text(d.profile.app_scene.map_or("", |w| w.zh())),
    ]
}

async fn as_csv(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let base = visit.base.clone();
    let record = |cells: Vec<String>| -> Result<Vec<u8>> {
        let told = |e: csv::Error| Error::internal(format!("csv: {e}"));
        let mut writer =
            csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
        writer.write_record(cells).map_err(told)?;
        writer.into_inner().map_err(|e| Error::internal(format!("csv: {e}")))
    };
    // With the mark of spreadsheets no text is a formula to them.
    let bom = visit.q("bom") != Some("0");
    let cell = move |value: &Value| match value {
        Value::Text(text) if bom => harmless(text).into_owned(),
        value => value.to_text().unwrap_or_default(),
    };
    let mut head = if bom { "\u{feff}".as_bytes().to_vec() } else { Vec::new() };
    head.extend(record(COLUMNS.iter().map(|(_, name)| (*name).to_owned()).collect())?);
    let body = stream::iter([Ok(head)]).chain(pages(&door, &visit).map(move |page| {
        let mut out = Vec::new();
        for dataset in page? {
            let cells = row(&dataset, &base);
            out.extend(record(cells.iter().map(cell).collect())?);
        }
        Ok::<_, Error>(out)
    }));
    let headers = attachment("开放数据目录.csv", "text/csv; charset=utf-8");
    Ok((headers, Body::from_stream(body)).into_response())
}

async fn as_xlsx(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let base = visit.base.clone();
    let rows = pages(&door, &visit).map(move |page| {
        let rows = page?.iter().map(|dataset| row(dataset, &base)).collect();
        Ok(Rows { columns: Vec::new(), rows })
    });
    let header = COLUMNS.iter().map(|(_, name)| (*name).to_owned()).collect();
    let body = xlsx::body("目录", &visit.op.stamp(), header, rows.boxed(), None).await?;
    Ok((attachment("开放数据目录.xlsx", xlsx::CONTENT_TYPE), body).into_response())
}

async fn as_json(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let base = visit.base.clone();
    let middle = pages(&door, &visit).scan(true, move |first, page| {
        let piece = page.map(|page| {
            let mut out = String::new();
            for dataset in page {
                out.push_str(if *first { "\n" } else { ",\n" });
                *first = false;
                out.push_str(&metadata::outward(&dataset, &base).to_string());
            }
            out.into_bytes()
        });
        std::future::ready(Some(piece))
    });
    let body = stream::iter([Ok(b"[".to_vec())])
        .chain(middle)
        .chain(stream::iter([Ok(b"\n]\n".to_vec())]));
    let headers = attachment("catalogue.json", "application/json");
    Ok((headers, Body::from_stream(body)).into_response())
}

async fn as_turtle(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    as_rdf(&door, &visit, RdfFormat::Turtle)
}

async fn as_xml(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    as_rdf(&door, &visit, RdfFormat::RdfXml)
}

async fn as_json_ld(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    as_rdf(&door, &visit, RdfFormat::JsonLd)
}

/// What `Accept` asks for.
async fn negotiated(State(door): State<Arc<Door>>, visit: Visit, headers: HeaderMap) -> Answer {
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok());
    match Format::chosen(visit.q("format"), accept)? {
        Format::Rdf(format) => as_rdf(&door, &visit, format),
        Format::Xlsx => as_xlsx(State(door), visit).await,
    }
}

fn as_rdf(door: &Arc<Door>, visit: &Visit, format: RdfFormat) -> Answer {
    let places = metadata::places(door, &visit.base);
    let dcat = Dcat::new(format, places.whole.clone())?;
    let state = Some((pages(door, visit), dcat));
    let door = Arc::clone(door);
    let body = stream::unfold(state, move |state| {
        let (places, door) = (places.clone(), Arc::clone(&door));
        async move {
            let (mut pages, mut dcat) = state?;
            let piece = match pages.next().await {
                None => return Some((dcat.finish(), None)),
                Some(Err(e)) => Err(e),
                Some(Ok(page)) => {
                    let codes: Vec<&str> =
                        page.iter().map(|dataset| dataset.entry.draft.code.as_str()).collect();
                    let origins = app::harvest::origins(&door.app, &codes).await;
                    origins.and_then(|origins| {
                        let told = page.iter().try_for_each(|dataset| {
                            let origin = origins.get(&dataset.entry.draft.code);
                            dcat.thing(&metadata::thing(dataset, &places, origin))
                        });
                        told.map(|()| dcat.take())
                    })
                }
            };
            // After a failure the file breaks off: a part is never taken for the whole.
            let next = piece.is_ok().then_some((pages, dcat));
            Some((piece, next))
        }
    });
    let name = format!("catalogue.{}", format.ending());
    Ok((attachment(&name, format.media_type()), Body::from_stream(body)).into_response())
}
