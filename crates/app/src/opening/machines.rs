//! What the machines' doors for anybody ask of the open catalogue: sets by id or code, the columns of a table and its distinct rows.

use std::collections::HashMap;
use std::sync::Arc;

use model::audit::AuditEvent;
use model::code::OpenType;
use model::entry::Entry;
use model::org::Org;
use model::query::{Condition, Grouping, Groups};
use model::region::Region;
use model::{Code, Error, Op, Result};
use policy::{Action, GrantColumn};

use super::{Dataset, publicly, view};
use crate::sharing::Callable;
use crate::{App, audit, sharing};

/// A data set without its items, with the names that go with it.
#[derive(Clone, Debug)]
pub struct Head {
    pub entry: Entry,
    pub org: Option<Org>,
    pub region: Option<Region>,
}

/// All organisations in order of id, for their names; good until the ledger changes.
pub async fn organisations(app: &App, op: &Op) -> Result<Arc<Vec<Org>>> {
    app.shares.look(app, op).await?;
    let epoch = app.shares.epoch();
    if let Some((kept, orgs)) = &*app.shares.orgs.lock()
        && *kept == epoch
    {
        return Ok(Arc::clone(orgs));
    }
    let mut orgs = app.store.orgs_list().await?;
    orgs.sort_by(|a, b| a.id.cmp(&b.id));
    let orgs = Arc::new(orgs);
    *app.shares.orgs.lock() = Some((epoch, Arc::clone(&orgs)));
    Ok(orgs)
}

/// One open data set by its id or its code; anything else is not found, whatever it is.
pub async fn found(app: &App, _op: &Op, name: &str) -> Result<Dataset> {
    let entry = app.store.entry_get(name).await?;
    let open = entry.filter(|e| (e.draft.code == name || e.id == name) && e.open());
    let entry = open.ok_or_else(|| {
        let shown: String = name.chars().take(80).collect();
        Error::not_found("数据集", "data set", &shown)
    })?;
    let org = app.store.org_get(&entry.draft.org).await?;
    let regions = app.store.regions_list().await?;
    Ok(view(entry, org.as_ref(), regions.iter()))
}

/// When what may be known of an open data set last changed: its place in the change feed.
pub async fn changed_at(app: &App, dataset: &Dataset) -> Result<String> {
    let at = app.store.entry_changed_at(&dataset.entry.id).await?;
    Ok(at.unwrap_or_else(|| dataset.entry.updated_at.clone()))
}

/// Open data sets by id without their items, in the order asked for; what is not open is left out.
pub async fn heads(app: &App, _op: &Op, ids: &[String]) -> Result<Vec<Head>> {
    let entries = app.store.entry_heads(ids).await?;
    let mut heads = named(app, entries, ids).await?;
    for head in &mut heads {
        publicly(&mut head.entry);
    }
    Ok(heads)
}

/// Open data sets by id with their open items, in the order asked for; what is not open is left out.
pub async fn sets(app: &App, _op: &Op, ids: &[String]) -> Result<Vec<Dataset>> {
    let entries = app.store.entries_of(ids).await?;
    let found = named(app, entries, ids).await?.into_iter();
    Ok(found.map(|h| view(h.entry, h.org.as_ref(), h.region.iter())).collect())
}

/// Entries that are open with the names of their organisations and regions, in the order of `ids`.
async fn named(app: &App, entries: Vec<Entry>, ids: &[String]) -> Result<Vec<Head>> {
    let mut by_id: HashMap<String, Entry> =
        entries.into_iter().filter(Entry::open).map(|e| (e.id.clone(), e)).collect();
    let regions = app.store.regions_list().await?;
    let mut orgs: HashMap<String, Option<Org>> = HashMap::new();
    let mut out = Vec::with_capacity(ids.len());
    for id in ids {
        let Some(entry) = by_id.remove(id) else { continue };
        let org = org_of(app, &mut orgs, &entry.draft.org).await?;
        let region = regions.iter().find(|r| r.code == entry.draft.region).cloned();
        out.push(Head { entry, org, region });
    }
    Ok(out)
}

/// An organisation, read once for all sets of a page.
async fn org_of(
    app: &App,
    known: &mut HashMap<String, Option<Org>>,
    id: &str,
) -> Result<Option<Org>> {
    if let Some(org) = known.get(id) {
        return Ok(org.clone());
    }
    let org = app.store.org_get(id).await?;
    known.insert(id.to_owned(), org.clone());
    Ok(org)
}

/// The columns that anybody may read of a freely open data set, as a call of its rows would show them. A refusal is recorded.
pub async fn columns(app: &App, op: &Op, code: &str) -> Result<Vec<GrantColumn>> {
    let pass = sharing::enter(app, op, code, Action::RowsQuery).await?;
    Ok(pass.grant().columns().to_vec())
}

/// A freely open data set with the grant that anybody has of it, to be described as it is called.
pub async fn callable(app: &App, op: &Op, dataset: &Dataset) -> Result<Callable> {
    let entry = dataset.entry.clone();
    let pass = sharing::enter(app, op, &entry.draft.code, Action::RowsQuery).await?;
    Ok(Callable { grant: pass.grant().clone(), entry })
}

/// The distinct values of some columns, through the gate that rows leave by; more than `most` are refused.
pub async fn distinct(
    app: &App,
    op: &Op,
    code: &str,
    by: &[String],
    filter: Option<Condition>,
    most: u64,
) -> Result<Groups> {
    let by = by.iter().map(|c| (c.clone(), c.clone())).collect();
    let ask = Grouping { by, measures: Vec::new(), filter, smallest: 0, most };
    grouped(app, op, code, &ask).await
}

/// Figures by group of a freely open set that is held for look-ups, through the gate that rows leave by; recorded as a release.
/// More groups than the question allows are refused.
pub async fn grouped(app: &App, op: &Op, code: &str, ask: &Grouping) -> Result<Groups> {
    let pass = sharing::enter(app, op, code, Action::RowsQuery).await?;
    if !pass.served() {
        let error = Error::new(
            Code::InvalidQuery,
            "该数据集没有可供查找的副本，不能去重或分组统计；请下载后自行处理",
            "this data set has no copy for look-ups, so that neither distinct nor groups apply: download it instead",
        );
        return Err(pass.refuse(app, op, error).await);
    }
    pass.figures(app, op, ask).await?;
    let look = app.store.serving().statistics(pass.grant(), ask);
    let groups = pass.timed(app, op, look).await?;
    let event = AuditEvent {
        columns: groups.columns.join(","),
        level: pass.grant().grade().as_str().to_owned(),
        scope: ask.filter.as_ref().map(sharing::fingerprint).unwrap_or_default(),
        rows: u64::try_from(groups.rows.len()).unwrap_or(u64::MAX),
        bytes: groups.rows.iter().map(sharing::row_bytes).sum(),
        purpose: sharing::purpose(op, pass.grant()),
        ..audit::event(op, Action::RowsQuery.as_str(), pass.grant().code())
    };
    pass.told(app, op, event).await?;
    Ok(groups)
}

impl Head {
    /// Whether anyone may read its rows.
    #[must_use]
    pub fn free(&self) -> bool {
        self.entry.draft.open_type == OpenType::Unconditional
    }
}

#[cfg(test)]
mod tests {
    use model::code::{Grade, OnlineState, PublishState};
    use model::entry::Link;

    use super::*;

    #[test]
    fn the_public_is_told_no_link_that_is_none_and_none_of_what_is_conditional() {
        let told = |open_type: OpenType, urls: &[&str]| {
            let mut draft = crate::catalogue::blank("o", "330000");
            draft.open_type = open_type;
            draft.profile.links =
                urls.iter().map(|url| Link { url: (*url).into(), ..Link::default() }).collect();
            let mut entry = Entry {
                id: "e".into(),
                grade: Grade::L1,
                draft,
                publish_state: PublishState::Published,
                online_state: OnlineState::Online,
                version: 1,
                created_at: String::new(),
                created_by: "u".into(),
                updated_at: String::new(),
                published_at: None,
                rows: 0,
                data_at: None,
            };
            publicly(&mut entry);
            assert!(entry.created_by.is_empty());
            let links = entry.draft.profile.links.iter().map(|l| l.url.clone());
            (links.collect::<Vec<_>>().join(" "), entry.linked_only())
        };
        // Whoever kept it.
        let all = ["javascript:alert(1)", "https://a.example/x", "data:text/html,x", "file:///x"];
        assert_eq!(told(OpenType::Unconditional, &all), ("https://a.example/x".into(), true));
        assert_eq!(told(OpenType::Restricted, &all), (String::new(), false));
        assert_eq!(told(OpenType::Unconditional, &all[..1]), (String::new(), false));
    }
}
