//! Operation: is it alive, is it ready, how much of what is there, and the tidying every process does.

use std::time::Duration;

use model::Result;
use serde::Serialize;

use crate::App;

/// State of the parts: `ok` or what is wrong, in a word for outsiders.
#[derive(Clone, Debug, Serialize)]
pub struct Readiness {
    pub ready: bool,
    pub store: String,
    pub lake: String,
    pub search: String,
    pub audit: String,
}

/// A part that does not answer within this time is not ready.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks every part; never fails and never waits for long.
pub async fn readiness(app: &App) -> Readiness {
    let (store, lake, audit) = tokio::join!(
        word("store", app.store.ping()),
        word("lake", app.lake.ping()),
        word("audit", app.store.audit().ping()),
    );
    let search = word("search", async { app.search.count().map(|_| ()) }).await;
    let ready = [&store, &lake, &search, &audit].iter().all(|w| *w == "ok");
    Readiness { ready, store, lake, search, audit }
}

async fn word(part: &str, answer: impl Future<Output = Result<()>>) -> String {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(())) => return "ok".to_owned(),
        Ok(Err(e)) => tracing::warn!(part, error = %e.operator_text(), "a part is not ready"),
        Err(_) => tracing::warn!(part, "a part did not answer in time"),
    }
    "unavailable".to_owned()
}

/// One figure of the metrics page.
#[derive(Clone, Debug, PartialEq)]
pub struct Gauge {
    pub name: &'static str,
    /// Value of the label `state`; empty = no label.
    pub state: String,
    pub value: f64,
}

/// What the platform holds, for the metrics page. Counts only: nothing in it tells of a person.
pub async fn gauges(app: &App) -> Result<Vec<Gauge>> {
    let begun = std::time::Instant::now();
    let figures = app.store.figures().await?;
    let took = begun.elapsed().as_secs_f64();
    let plain = |name, value: u64| Gauge { name, state: String::new(), value: value as f64 };
    let mut all = vec![
        plain("qt_audit_records", figures.audit_records),
        plain("qt_lake_rows", figures.rows),
        plain("qt_sessions", figures.sessions),
        plain("qt_search_documents", app.search.count()?),
        Gauge { name: "qt_store_figures_seconds", state: String::new(), value: took },
    ];
    for (name, counts) in [
        ("qt_entries", figures.entries),
        ("qt_requests", figures.requests),
        ("qt_runs", figures.runs),
        ("qt_quarantine_records", figures.quarantine),
    ] {
        all.extend(counts.into_iter().map(|c| Gauge {
            name,
            state: c.state,
            value: c.count as f64,
        }));
    }
    Ok(all)
}

/// Work that comes round in every process: records that commands left beside us join the chain, and search follows
/// what other processes changed.
pub async fn tidy(app: &App) -> Result<u64> {
    let taken = app.store.audit().take_in().await?;
    crate::catalogue::follow(app).await?;
    crate::sharing::tell_times(app).await?;
    crate::sharing::give_back_idle(app).await?;
    Ok(taken)
}
