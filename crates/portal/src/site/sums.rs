//! The checksums of all files of a set, as `sha256sum -c` reads them. It checks what a list names and says nothing of what it does not: a
//! list is whole, and of one state of the set, or it is not there yet (503 with `Retry-After`). What nobody has had yet is read through
//! for it, a few files at once, and goes on when who asked has gone.

use std::sync::Arc;

use app::opening::{Dataset, Shape};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use model::{Error, Result};
use tokio::task::JoinSet;

use super::dataset::formats;
use super::download::{by_ending, learn, named, sums_known};
use crate::export::heads::Heads;
use crate::visit::Visit;
use crate::{Answer, Door};

/// After how many seconds who came too early is to ask again.
const AGAIN: u64 = 10;

const PLAIN: &str = "text/plain; charset=utf-8";

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new().route("/data/{code}/SHA256SUMS", get(sums))
}

async fn sums(State(door): State<Arc<Door>>, Path(code): Path<String>, visit: Visit) -> Answer {
    let dataset = app::opening::dataset(&door.app, &visit.op, &code).await?;
    if !dataset.free {
        return Err(app::opening::restricted_only().into());
    }
    if let Some(list) = whole(&door, &visit, &dataset).await? {
        return Ok(([(header::CONTENT_TYPE, PLAIN)], list).into_response());
    }
    let work = measured(Arc::clone(&door), visit.clone(), code.clone(), formats(&dataset));
    door.measuring.read(&dataset.entry.id, door.config.sums_wait, work).await?;
    // It may have changed meanwhile: then other files are wanted.
    let dataset = app::opening::dataset(&door.app, &visit.op, &code).await?;
    Ok(match whole(&door, &visit, &dataset).await? {
        Some(list) => ([(header::CONTENT_TYPE, PLAIN)], list).into_response(),
        None => later(),
    })
}

/// The list when everything of it is known.
async fn whole(door: &Door, visit: &Visit, dataset: &Dataset) -> Result<Option<String>> {
    let formats = formats(dataset);
    let known = sums_known(door, visit, dataset, &formats).await?;
    if known.len() < formats.len() {
        return Ok(None);
    }
    let lines =
        known.iter().map(|(format, known)| format!("{}  download.{format}\n", known.sha256));
    Ok(Some(lines.collect()))
}

/// Says when to ask again, in lines that are no checksums.
fn later() -> Response {
    let words = format!(
        "# 校验和还在计算：全部文件算出后才给出清单，请于 {AGAIN} 秒后再取。\n\
         # The checksums are still being worked out: the list comes when it is whole. Ask again in {AGAIN} seconds.\n"
    );
    let headers =
        [(header::CONTENT_TYPE, PLAIN.to_owned()), (header::RETRY_AFTER, AGAIN.to_string())];
    (StatusCode::SERVICE_UNAVAILABLE, headers, words).into_response()
}

/// Reads through those of these files of a set of which nothing is known yet.
async fn measured(
    door: Arc<Door>,
    visit: Visit,
    code: String,
    formats: Vec<&'static str>,
) -> Result<()> {
    let mut files = JoinSet::new();
    for ending in formats {
        let (door, visit, code) = (Arc::clone(&door), visit.clone(), code.clone());
        files.spawn(async move { one(&door, &visit, &code, ending).await });
    }
    let mut all = Ok(());
    while let Some(done) = files.join_next().await {
        let done = done.unwrap_or_else(|e| {
            Err(Error::internal("the reading of a file ended early").caused_by(e))
        });
        all = all.and(done);
    }
    all
}

async fn one(door: &Door, visit: &Visit, code: &str, ending: &str) -> Result<()> {
    let Some(format) = by_ending(ending, true) else { return Ok(()) };
    let _turn = door.measuring.turn().await?;
    let file = format!("download.{ending}");
    let dataset = app::opening::dataset(&door.app, &visit.op, code).await?;
    let Some(wanted) = named(door, visit, &dataset, &file).await? else {
        // Nothing of it is given out; why, is said where it would be.
        let refused = app::opening::read_through(&door.app, &visit.op, code, Shape::Rows).await;
        return refused.map(drop);
    };
    match door.files.get(&dataset, &wanted).await? {
        Some(_) => Ok(()),
        None => learn(door, visit, code, (format, Heads::default()), &file, &wanted).await,
    }
}
