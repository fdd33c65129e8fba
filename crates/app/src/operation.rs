//! Operation: is it alive, is it ready.

use serde::Serialize;

use crate::App;

/// State of the parts.
#[derive(Clone, Debug, Serialize)]
pub struct Readiness {
    pub ready: bool,
    pub store: String,
    pub search: String,
    pub audit: String,
}

/// Asks every part; never fails.
pub async fn readiness(_app: &App) -> Readiness {
    Readiness { ready: false, store: "unknown".into(), search: "unknown".into(), audit: "unknown".into() }
}
