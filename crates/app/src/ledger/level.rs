//! Proof that the store and the index agree: every document is made anew from the store and compared, by number and by
//! fingerprint, with what the index holds.

use std::collections::BTreeMap;

use model::search::SearchHolding;
use model::{Error, Op, Result};
use policy::{Action, Target};
use serde::Serialize;

use crate::{App, audit};

/// One ledger's comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Agreement {
    /// `application`, `data`, `component`, `cloud`, `item`
    pub ledger: String,
    pub store: u64,
    pub index: u64,
    /// Same number and same content.
    pub agree: bool,
}

/// Compares store and index, ledger by ledger. Nobody should write meanwhile: what changes between the two readings is
/// told as a difference.
pub async fn agree(app: &App, op: &Op) -> Result<Vec<Agreement>> {
    audit::permit(app, op, Action::SystemWork, &Target::plain("System", "ledger")).await?;
    let mut made: BTreeMap<String, SearchHolding> = BTreeMap::new();
    let mut take = |docs: Vec<model::search::SearchDoc>| {
        for doc in docs {
            let own = made.entry(doc.ledger.clone()).or_default();
            own.documents += 1;
            own.digest ^= doc.fingerprint();
            let items = u64::try_from(doc.items.len()).unwrap_or(0);
            made.entry(model::search::ITEM.to_owned()).or_default().documents += items;
        }
    };
    let (mut entries, mut assets) = (crate::catalogue::index::pages(app), super::pages(app));
    while let Some(docs) = entries.next().await? {
        take(docs);
    }
    while let Some(docs) = assets.next().await? {
        take(docs);
    }
    let search = std::sync::Arc::clone(&app.search);
    let held: BTreeMap<String, SearchHolding> =
        tokio::task::spawn_blocking(move || search.holdings())
            .await
            .map_err(|e| Error::internal("the search task ended").caused_by(e))??
            .into_iter()
            .collect();
    let words: std::collections::BTreeSet<&String> = made.keys().chain(held.keys()).collect();
    Ok(words
        .into_iter()
        .map(|word| {
            let (m, h) = (made.get(word), held.get(word));
            let count = |x: Option<&SearchHolding>| x.map_or(0, |x| x.documents);
            let digest = |x: Option<&SearchHolding>| x.map_or(0, |x| x.digest);
            Agreement {
                ledger: word.clone(),
                store: count(m),
                index: count(h),
                agree: count(m) == count(h)
                    && (word == model::search::ITEM || digest(m) == digest(h)),
            }
        })
        .collect())
}
