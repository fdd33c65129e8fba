//! Ledgers as files: upload with a report of every row, the person's word that the good rows go in, export.

use std::sync::Arc;

use app::catalogue::SheetFormat;
use app::ledger::dump::{self, Format, Places, Whole};
use app::ledger::{self, Accept, IntakeReport};
use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Multipart, Path, State};
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use minijinja::context;
use model::asset::Ledger;
use model::{Error, Kind};

use crate::console::ledger::{filter, ledger_of, may_compile};
use crate::console::temporary;
use crate::export::xlsx;
use crate::form::{self, Posted};
use crate::site::attachment;
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

/// Largest file of one ledger in bytes.
const LARGEST: u64 = 128 * 1024 * 1024;
/// Faults shown on the page; the rest is counted.
const SHOWN: usize = 1000;

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route(
            "/console/ledger/{ledger}/import",
            get(page).post(import).layer(DefaultBodyLimit::disable()),
        )
        .route("/console/ledger/{ledger}/accept", post(accept))
        .route("/console/ledger/{ledger}/dump", get(dump))
        .route("/console/ledger/{ledger}/export.csv", get(export_csv))
        .route("/console/ledger/{ledger}/export.xlsx", get(export_xlsx))
}

async fn page(State(door): State<Arc<Door>>, Path(word): Path<String>, visit: Visit) -> Answer {
    show(&door, &visit, ledger_of(&word)?, None, None).await
}

/// What came of a file: its name, the report, the token under which it waits.
struct Told<'a> {
    name: &'a str,
    report: &'a IntakeReport,
    token: Option<String>,
}

async fn show(
    door: &Door,
    visit: &Visit,
    ledger: Ledger,
    told: Option<Told<'_>>,
    error: Option<&Error>,
) -> Answer {
    let rule = ledger::rules(&door.app, &visit.op)?.of(ledger)?;
    let faults = told.as_ref().map(|t| t.report.faults.as_slice()).unwrap_or_default();
    let context = context! {
        ledger => ledger.as_str(), ledger_name => visit.t(ledger.zh(), ledger.en()),
        rule => value(rule), name => told.as_ref().map(|t| t.name),
        report => value(told.as_ref().map(|t| IntakeReport { faults: Vec::new(), ..t.report.clone() })),
        faults => value(faults.iter().take(SHOWN).collect::<Vec<_>>()),
        faults_total => faults.len(), faults_more => faults.len().saturating_sub(SHOWN),
        token => told.as_ref().and_then(|t| t.token.clone()),
        error => error.map(|e| visit.t(e.zh(), e.en())),
        fields => value(error.map(Error::fields).unwrap_or_default()),
    };
    door.page(visit, "console/ledger_import.html", context).await
}

async fn import(
    State(door): State<Arc<Door>>,
    Path(word): Path<String>,
    visit: Visit,
    mut multipart: Multipart,
) -> Answer {
    let ledger = ledger_of(&word)?;
    // Who may not import is told before anything is kept.
    if !may_compile(&door, &visit) {
        return Err(Error::of(model::Code::Denied).into());
    }
    let (_, file) = form::upload(&visit, LARGEST, &mut multipart, |_, name, bytes| async move {
        Ok((temporary::keep(bytes, LARGEST).await?, name))
    })
    .await?;
    let (file, name) = file.ok_or_else(|| {
        Error::invalid("请选择台账文件（CSV 或 XLSX）", "choose a ledger file (CSV or XLSX)")
    })?;
    let (app, op) = (&door.app, &visit.op);
    match ledger::import(app, op, ledger, file.path(), &name, Accept::Nothing).await {
        Ok(report) => {
            let good = report.new + report.changed;
            let token =
                if good > 0 { Some(ledger::hold(app, op, file.path()).await?) } else { None };
            let told = Told { name: &name, report: &report, token };
            show(&door, &visit, ledger, Some(told), None).await
        }
        Err(error) if matches!(error.kind(), Kind::Invalid | Kind::Conflict | Kind::TooLarge) => {
            show(&door, &visit, ledger, None, Some(&error)).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn accept(
    State(door): State<Arc<Door>>,
    Path(word): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let ledger = ledger_of(&word)?;
    let (token, name) = (posted.get("token"), posted.get("name"));
    let report = ledger::accept_held(&door.app, &visit.op, ledger, token, name).await?;
    let told = Told { name, report: &report, token: None };
    show(&door, &visit, ledger, Some(told), None).await
}

async fn export_csv(
    State(door): State<Arc<Door>>,
    Path(word): Path<String>,
    visit: Visit,
) -> Answer {
    let ledger = ledger_of(&word)?;
    let filter = filter(&visit, ledger);
    let bytes = ledger::export(&door.app, &visit.op, &filter, SheetFormat::Csv).await?;
    let name = format!("{}台账.csv", ledger.zh());
    Ok((attachment(&name, "text/csv; charset=utf-8"), bytes).into_response())
}

/// The whole ledger as far as the caller may know of it: DCAT in three spellings or a workbook, by `format` or `Accept`.
async fn dump(
    State(door): State<Arc<Door>>,
    Path(word): Path<String>,
    visit: Visit,
    headers: HeaderMap,
) -> Answer {
    let ledger = ledger_of(&word)?;
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok());
    let format = Format::chosen(visit.q("format"), accept)?;
    let base = &visit.base;
    let gateway = &door.config.gateway_url;
    let places = Places {
        whole: Whole {
            base: format!("{base}/"),
            title: format!("{}{}台账", door.config.site_name_cn, ledger.zh()),
            title_en: format!("{}, ledger of {}", door.config.site_name_en, ledger.en()),
        },
        data: format!("{base}/data/"),
        api: if gateway.is_empty() { String::new() } else { format!("{gateway}/api/v1/") },
        console: base.clone(),
        items: visit.q("items") != Some("no"),
    };
    let dump = dump::dump(&door.app, &visit.op, ledger, format, &places).await?;
    Ok((attachment(&dump.name, dump.media_type), Body::from_stream(dump.bytes)).into_response())
}

async fn export_xlsx(
    State(door): State<Arc<Door>>,
    Path(word): Path<String>,
    visit: Visit,
) -> Answer {
    let ledger = ledger_of(&word)?;
    let filter = filter(&visit, ledger);
    let bytes = ledger::export(&door.app, &visit.op, &filter, SheetFormat::Xlsx).await?;
    let name = format!("{}台账.xlsx", ledger.zh());
    Ok((attachment(&name, xlsx::CONTENT_TYPE), bytes).into_response())
}
