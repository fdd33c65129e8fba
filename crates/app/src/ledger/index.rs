//! Assets in search: brought up to date before a change is answered (*read-your-writes*).

use std::collections::HashMap;

use model::asset::{Asset, AssetFilter};
use model::search::SearchDoc;
use model::{Error, Op, Result};

use super::rules::LedgerRules;
use super::{org_names, rules};
use crate::App;

/// Assets of a change up to which each is read anew, so that of two changes at once the later one stays.
const FEW: usize = 100;

/// Brings these assets up to date in search; merged ones leave it.
pub(super) async fn put(app: &App, assets: &[Asset]) -> Result<()> {
    let _in_turn = app.shares.indexing.lock().await;
    if assets.len() <= FEW {
        let ids: Vec<String> = assets.iter().map(|a| a.id.clone()).collect();
        return put_now(app, &ids).await;
    }
    write(app, assets.to_vec()).await
}

/// Reads these assets anew and brings them up to date; the caller holds the turn.
pub(crate) async fn put_now(app: &App, ids: &[String]) -> Result<()> {
    let mut now = Vec::with_capacity(ids.len());
    for id in ids {
        now.extend(app.store.asset_get(id).await?);
    }
    write(app, now).await
}

async fn write(app: &App, now: Vec<Asset>) -> Result<()> {
    let op = Op::system(app.now());
    let rules = rules(app, &op)?;
    let names = names_of(app, &now).await?;
    let (gone, there): (Vec<Asset>, Vec<Asset>) =
        now.into_iter().partition(|a| a.merged_into.is_some());
    let docs: Vec<SearchDoc> = there.iter().map(|a| doc(a, rules, &names)).collect();
    let gone: Vec<String> = gone.into_iter().map(|a| a.id).collect();
    let search = std::sync::Arc::clone(&app.search);
    tokio::task::spawn_blocking(move || {
        search.remove(&gone)?;
        search.put(&docs)
    })
    .await
    .map_err(|e| Error::internal("the search task ended").caused_by(e))?
}

/// Names of the organisations of these assets: of a few each is asked for, else all are read.
async fn names_of(app: &App, assets: &[Asset]) -> Result<HashMap<String, String>> {
    if assets.len() > FEW {
        return org_names(app).await;
    }
    let mut names = HashMap::new();
    for asset in assets {
        let org = &asset.draft.org;
        if !names.contains_key(org)
            && let Some(found) = app.store.org_get(org).await?
        {
            names.insert(org.clone(), found.name_cn);
        }
    }
    Ok(names)
}

/// Reads the documents of all assets, page by page.
pub(crate) struct Pages<'a> {
    app: &'a App,
    names: Option<HashMap<String, String>>,
    filter: AssetFilter,
}

pub(crate) fn pages(app: &App) -> Pages<'_> {
    let filter = AssetFilter { limit: 1000, ..AssetFilter::default() };
    Pages { app, names: None, filter }
}

impl Pages<'_> {
    /// The next page; `None` after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<SearchDoc>>> {
        let op = Op::system(self.app.now());
        let rules = rules(self.app, &op)?;
        if self.names.is_none() {
            self.names = Some(org_names(self.app).await?);
        }
        let page = self.app.store.asset_list(&self.filter).await?;
        let Some(last) = page.last() else { return Ok(None) };
        self.filter.after = Some(last.id.clone());
        let none = HashMap::new();
        let names = self.names.as_ref().unwrap_or(&none);
        Ok(Some(page.iter().map(|a| doc(a, rules, names)).collect()))
    }
}

fn doc(asset: &Asset, rules: &LedgerRules, names: &HashMap<String, String>) -> SearchDoc {
    let d = &asset.draft;
    let rule = rules.of(d.ledger).ok();
    let theme = rule
        .and_then(|r| r.field.iter().find(|f| f.facet))
        .map(|f| d.field(&f.key).to_owned())
        .unwrap_or_default();
    // Words of the fields are found like tags; numbers and dates are not words.
    let words = rule.into_iter().flat_map(|r| &r.field).filter(|f| {
        use super::rules::FieldKind::{Choice, Choices, Lines, Text};
        matches!(f.kind, Text | Lines | Choice | Choices) && f.key != "access_key"
    });
    let mut tags: Vec<String> = words
        .flat_map(|f| d.field(&f.key).split(['、', '\n']))
        .map(str::trim)
        .filter(|w| w.chars().nth(1).is_some())
        .map(str::to_owned)
        .collect();
    if !d.owner.is_empty() {
        tags.push(d.owner.clone());
    }
    tags.sort_unstable();
    tags.dedup();
    SearchDoc {
        id: asset.id.clone(),
        ledger: d.ledger.as_str().to_owned(),
        code: d.code.clone(),
        title: d.name.clone(),
        description: d.description.clone(),
        org: d.org.clone(),
        org_name: names.get(&d.org).cloned().unwrap_or_else(|| d.org.clone()),
        region: d.region.clone(),
        domain: theme,
        tags,
        state: asset.state.clone(),
        audience: vec!["staff".into(), format!("org:{}", d.org), "all".into()],
        published_at: asset.updated_at.clone(),
        ..SearchDoc::default()
    }
}
