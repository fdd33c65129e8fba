//! Whole catalogues as sheets: import with a report row by row (all or nothing), export.

use std::sync::Arc;

use app::catalogue::SheetFormat;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Multipart, State};
use axum::response::IntoResponse;
use axum::routing::get;
use minijinja::context;
use model::{Error, Kind};

use crate::console::temporary;
use crate::export::xlsx;
use crate::form;
use crate::site::attachment;
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/import", get(page).post(import).layer(DefaultBodyLimit::disable()))
        .route("/console/export.csv", get(export_csv))
        .route("/console/export.xlsx", get(export_xlsx))
}

async fn page(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    app::catalogue::may_import(&door.app, &visit.op).await?;
    let largest = door.app.rules.catalogue.size.import_bytes;
    door.page(&visit, "console/import.html", context! { largest }).await
}

async fn import(State(door): State<Arc<Door>>, visit: Visit, mut multipart: Multipart) -> Answer {
    // Who may not import sends nothing: not a byte of the file is taken in.
    app::catalogue::may_import(&door.app, &visit.op).await?;
    let most = door.app.rules.catalogue.size.import_bytes;
    let (posted, file) = form::upload(&visit, most, &mut multipart, |_, name, bytes| async move {
        Ok((temporary::keep(bytes, most).await?, name))
    })
    .await?;
    let (file, name) = file.ok_or_else(|| {
        Error::invalid("请选择目录文件（CSV 或 XLSX）", "choose a catalogue file (CSV or XLSX)")
    })?;
    let dry_run = posted.ticked("dry_run");
    let outcome = app::catalogue::import(&door.app, &visit.op, file.path(), &name, dry_run).await;
    let (report, error) = match outcome {
        Ok(report) => (Some(report), None),
        Err(error) if matches!(error.kind(), Kind::Invalid | Kind::Conflict | Kind::TooLarge) => {
            (None, Some(error))
        }
        Err(error) => return Err(error.into()),
    };
    let context = context! {
        name, dry_run, largest => most, report => value(&report),
        error => error.as_ref().map(|e| visit.t(e.zh(), e.en())),
        fields => value(error.as_ref().map(Error::fields).unwrap_or_default()),
    };
    door.page(&visit, "console/import.html", context).await
}

async fn export_csv(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let bytes = app::catalogue::export(&door.app, &visit.op, SheetFormat::Csv).await?;
    Ok((attachment("数据目录.csv", "text/csv; charset=utf-8"), bytes).into_response())
}

async fn export_xlsx(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let bytes = app::catalogue::export(&door.app, &visit.op, SheetFormat::Xlsx).await?;
    Ok((attachment("数据目录.xlsx", xlsx::CONTENT_TYPE), bytes).into_response())
}
