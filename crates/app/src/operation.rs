//! Operation: is it alive, is it ready.

use serde::Serialize;

use crate::App;

/// State of the parts: `ok` or what is wrong, in a word for outsiders.
#[derive(Clone, Debug, Serialize)]
pub struct Readiness {
    pub ready: bool,
    pub store: String,
    pub search: String,
    pub audit: String,
}

/// Asks every part; never fails.
pub async fn readiness(app: &App) -> Readiness {
    let word = |part: &str, outcome: model::Result<()>| match outcome {
        Ok(()) => "ok".to_owned(),
        Err(e) => {
            tracing::warn!(part, error = %e.operator_text(), "a part is not ready");
            "unavailable".to_owned()
        }
    };
    let store = word("store", app.store.ping().await);
    let search = word("search", app.search.count().map(|_| ()));
    let audit = word("audit", app.store.audit().ping().await);
    Readiness { ready: [&store, &search, &audit].iter().all(|w| *w == "ok"), store, search, audit }
}
