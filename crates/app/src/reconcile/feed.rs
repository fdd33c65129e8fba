//! What brings an entry's rows: the rail, pipeline, exchange, reporting or query that it can be compared with.

use std::collections::HashSet;

use model::Result;
use model::entry::Entry;
use model::exchange::ExchangeWay;
use model::reconcile::FeedKind;
use serde::Serialize;

use crate::{App, collection};

/// Exchanges looked up together.
const PAGE: u32 = 200;

/// One way by which an entry's rows came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fed {
    pub kind: FeedKind,
    /// Id of the rail, pipeline or exchange; of a query that of its run, of reporting that of the entry.
    pub id: String,
    /// Table or place at the source.
    pub place: String,
    /// What a person calls it.
    pub name: String,
}

/// All that bring rows of an entry and can be compared, the likeliest first.
pub(super) async fn of(app: &App, entry: &Entry) -> Result<Vec<Fed>> {
    let mut found = Vec::new();
    if let Some(table) = app.store.rail_table_of(&entry.id).await? {
        let fed = |place: String| Fed {
            kind: FeedKind::Rail,
            id: table.rail.clone(),
            name: place.clone(),
            place,
        };
        found.push(fed(table.place.clone()));
    }
    for pipeline in app.store.pipelines_of_entry(&entry.id).await? {
        let name = if pipeline.title.is_empty() { pipeline.name } else { pipeline.title };
        let (id, place) = (pipeline.id, pipeline.place);
        found.push(Fed { kind: FeedKind::Pipeline, id, place, name });
    }
    let mut after = None::<String>;
    loop {
        let page = app.store.exchange_list(Some(&entry.draft.org), after.as_deref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.exchange.id.clone());
        for exchange in page.into_iter().map(|record| record.exchange) {
            if exchange.way == ExchangeWay::In && exchange.entry == entry.id {
                let (kind, id) = (FeedKind::Exchange, exchange.id);
                found.push(Fed { kind, id, place: exchange.place, name: exchange.name });
            }
        }
    }
    if !app.store.report_owners_of(&entry.id).await?.is_empty() {
        found.push(Fed {
            kind: FeedKind::Report,
            id: entry.id.clone(),
            place: entry.draft.title.clone(),
            name: entry.draft.title.clone(),
        });
    }
    if let Some(query) = collection::standing_query(app, &entry.id).await? {
        let (id, name) = (query.run.id, query.run.source);
        found.push(Fed { kind: FeedKind::Query, id, place: name.clone(), name });
    }
    Ok(found)
}

/// Tells rows that a channel brought from those of others: they are not its own to judge.
#[derive(Debug, Default)]
pub(super) struct Own {
    /// What its parcels call their source; `None`: any.
    sources: Option<HashSet<String>>,
    /// How its parcels' ids begin.
    parcels: Vec<String>,
}

impl Own {
    /// A rail keeps others out of its entry.
    pub(super) fn all() -> Self {
        Self::default()
    }

    pub(super) fn named(feed: &str, sources: HashSet<String>) -> Self {
        Self { sources: Some(sources), parcels: vec![heal_prefix(feed)] }
    }

    pub(super) fn parcels(feed: &str, prefix: &str) -> Self {
        Self { sources: Some(HashSet::new()), parcels: vec![heal_prefix(feed), prefix.to_owned()] }
    }

    /// Whether a row of the lake is its own.
    pub(super) fn holds(&self, parcel: &str, source: &str) -> bool {
        self.sources.as_ref().is_none_or(|sources| sources.contains(source))
            || self.parcels.iter().any(|prefix| parcel.starts_with(prefix.as_str()))
    }
}

/// How the ids of a channel's healing parcels begin.
pub(super) fn heal_prefix(feed: &str) -> String {
    format!("heal-{feed}-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_others_are_told_from_ones_own() {
        let own = Own::named("p1", HashSet::from(["stations".to_owned()]));
        assert!(own.holds("abc", "stations") && own.holds("heal-p1-7", ""));
        assert!(!own.holds("abc", "手工.csv") && !own.holds("heal-p11-7", "other"));
        let reports = Own::parcels("e", "report-");
        assert!(reports.holds("report-t-1", "x") && !reports.holds("0f", "x"));
        assert!(Own::all().holds("anything", "whatever"));
    }
}
