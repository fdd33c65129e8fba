//! Versions of a data set's rows: what landed when, downloads of each, and what two of them differ in.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use minijinja::context;
use model::{Code, Error, Result};

use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new().route("/data/{code}/versions", get(page))
}

async fn page(State(door): State<Arc<Door>>, Path(code): Path<String>, visit: Visit) -> Answer {
    let dataset = app::opening::dataset(&door.app, &visit.op, &code).await?;
    let versions = match dataset.free {
        true => app::opening::versions(&door.app, &visit.op, &code).await?,
        false => Vec::new(),
    };
    let (mut difference, mut trouble) = (None, None);
    if let (Some(from), Some(to)) = (visit.q("from"), visit.q("to")) {
        let (from, to) = (number(from)?, number(to)?);
        match app::opening::differences(&door.app, &visit.op, &code, from, to).await {
            Ok(found) => difference = Some(found),
            Err(error) => trouble = Some(visit.t(error.zh(), error.en()).to_owned()),
        }
    }
    let at = |n: usize| versions.get(n).map(|v| v.version);
    let context = context! {
        dataset => value(&dataset), entry => value(&dataset.entry), trouble,
        items => value(&dataset.entry.draft.items),
        from => visit.q("from").and_then(|v| v.parse::<i64>().ok()).or(at(1)),
        to => visit.q("to").and_then(|v| v.parse::<i64>().ok()).or(at(0)),
        versions => value(&versions), difference => value(&difference),
    };
    door.page(&visit, "site/versions.html", context).await
}

fn number(text: &str) -> Result<i64> {
    text.parse().map_err(|_| {
        let shown: String = text.chars().take(40).collect();
        Error::new(
            Code::InvalidQuery,
            format!("版本 `{shown}` 应为整数"),
            format!("version `{shown}` must be a whole number"),
        )
    })
}
