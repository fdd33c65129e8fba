//! How the data of an entry grew: what each landing brought, for the charts of the pages.

use model::{Code, Error, Op, Result};
use serde::Serialize;

use super::visible;
use crate::App;

/// Landings shown at most, newest kept.
const SHOWN: usize = 24;

/// One landing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Landed {
    pub version: i64,
    pub at: String,
    /// `full` or `incremental`
    pub mode: String,
    /// Rows it brought.
    pub rows: u64,
}

/// The latest landings, oldest first, of an entry that is freely open or that the caller may see whole.
pub async fn history(app: &App, op: &Op, code: &str) -> Result<Vec<Landed>> {
    let open = app.store.entry_get(code).await?.filter(model::entry::Entry::freely_open);
    let code = match open {
        Some(entry) => entry.draft.code,
        None => visible(app, op, code).await?.entry.draft.code,
    };
    let versions = match app.lake.versions(&code).await {
        Ok(versions) => versions,
        Err(e) if e.code() == Code::NotFound => Vec::new(),
        Err(e) => return Err(Error::of(e.code()).caused_by(e)),
    };
    let mut landed: Vec<Landed> = versions
        .into_iter()
        .filter(|v| !v.parcel.is_empty())
        .take(SHOWN)
        .map(|v| Landed { version: v.version, at: v.at, mode: v.mode, rows: v.rows })
        .collect();
    landed.reverse();
    Ok(landed)
}
