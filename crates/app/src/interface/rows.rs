//! Interfaces over the rows of one resource: query, fuzzy query, list, verification, statistics, batch look-up.

use std::sync::Arc;

use model::audit::AuditEvent;
use model::interface::{Asked, Interface, InterfaceDraft, Kind};
use model::query::{Comparison, Condition, Count, Grouping, RowPage, RowQuery};
use model::value::{Row, Value};
use model::{Code, Error, Op, Result};
use policy::{Action, Grant};

use super::call::{Answer, Body, mark};
use crate::{App, audit, sharing};

/// Name of the column that says which key of a batch a row answers, from 0.
const PLACE: &str = "_n";

/// A page of rows.
pub(super) async fn page(
    app: &App,
    op: &Op,
    interface: &Arc<Interface>,
    asked: &Asked,
) -> Result<Answer> {
    let draft = &interface.draft;
    let pass = sharing::enter(app, op, &draft.entry, Action::RowsQuery).await?;
    let limit = draft.rows(asked.limit);
    let paged = asked.page.unwrap_or(1).max(1);
    let query = RowQuery {
        select: chosen(app, op, draft, &pass).await?,
        filter: asked.filter.clone(),
        order: draft.orders(),
        limit: Some(limit),
        offset: paged.saturating_sub(1).saturating_mul(limit),
        after: asked.after.clone(),
        count: match (asked.page, draft.kind) {
            (Some(_), Kind::List | Kind::Fuzzy) => Count::Exact,
            _ => Count::None,
        },
    };
    let found = pass.read(app, op, &query).await?;
    pass.told(app, op, marked(interface, pass.event(op, &query, &found))).await?;
    Ok(Answer {
        masked: labels(draft, &pass.masked(&query)),
        calls_left: pass.calls_left,
        age: None,
        mark: pass.mark(),
        interface: Arc::clone(interface),
        body: Body::Rows(found),
    })
}

/// 是 when a row has all the values given, 否 otherwise. Nothing else is told: not which value differs, nor whether the key is there.
pub(super) async fn verify(
    app: &App,
    op: &Op,
    interface: &Arc<Interface>,
    asked: &Asked,
) -> Result<Answer> {
    let draft = &interface.draft;
    let pass = sharing::enter(app, op, &draft.entry, Action::RowsVerify).await?;
    let wanted = draft.param.iter().map(|p| p.item.as_str());
    pass.timed(app, op, async { pass.grant().require_columns(wanted) }).await?;
    let query = RowQuery { filter: asked.filter.clone(), limit: Some(1), ..RowQuery::default() };
    let found = pass.read(app, op, &query).await?;
    let right = !found.rows.is_empty();
    let told = RowPage { columns: vec!["verdict".into()], rows: Vec::new(), ..found };
    let mut event = marked(interface, pass.event(op, &query, &told));
    event.masks = String::new();
    event.rows = 1;
    event.bytes = 1;
    pass.told(app, op, event).await?;
    Ok(Answer {
        masked: Vec::new(),
        calls_left: pass.calls_left,
        age: None,
        mark: None,
        interface: Arc::clone(interface),
        body: Body::Verdict(right),
    })
}

/// Figures by group; small groups are not told, and nothing by which one subject of a bounded resource could be worked out.
pub(super) async fn statistics(
    app: &App,
    op: &Op,
    interface: &Arc<Interface>,
    asked: &Asked,
) -> Result<Answer> {
    let draft = &interface.draft;
    let Some(described) = &draft.statistics else {
        return Err(Error::internal("statistics without a description"));
    };
    let pass = sharing::enter(app, op, &draft.entry, Action::RowsQuery).await?;
    let rules = &app.rules.interface;
    let label = |item: &String| {
        let named = draft.returns.iter().find(|r| r.item == *item);
        named.map_or_else(|| item.clone(), |r| r.label().to_owned())
    };
    let ask = Grouping {
        by: described.group_by.iter().map(|item| (item.clone(), label(item))).collect(),
        measures: described.measure.iter().map(|m| (m.how, m.item.clone(), m.label())).collect(),
        filter: asked.filter.clone(),
        smallest: rules.smallest_group,
        most: rules.most_groups,
    };
    pass.figures(app, op, &ask).await?;
    let look = async {
        if !pass.served() && app.lake.newest(pass.grant().code()).await?.is_some() {
            return Err(Error::new(
                Code::StoreUnavailable,
                "该资源的服务副本正在建立，请稍后再试",
                "the serving copy of the resource is being made: try again shortly",
            ));
        }
        app.store.serving().statistics(pass.grant(), &ask).await
    };
    let groups = pass.timed(app, op, look).await?;
    let names = described.group_by.iter().cloned();
    let computed = described.measure.iter().map(|m| match m.item.as_str() {
        "" => m.how.to_string(),
        item => format!("{}({item})", m.how),
    });
    let event = AuditEvent {
        columns: names.chain(computed).collect::<Vec<_>>().join(","),
        level: pass.grant().grade().as_str().to_owned(),
        scope: ask.filter.as_ref().map(sharing::fingerprint).unwrap_or_default(),
        rows: u64::try_from(groups.rows.len()).unwrap_or(u64::MAX),
        bytes: groups.rows.iter().map(sharing::row_bytes).sum(),
        purpose: sharing::purpose(op, pass.grant()),
        request: pass.grant().request().unwrap_or_default().to_owned(),
        ..audit::event(op, Action::RowsQuery.as_str(), pass.grant().code())
    };
    pass.told(app, op, marked(interface, event)).await?;
    Ok(Answer {
        masked: Vec::new(),
        calls_left: pass.calls_left,
        age: None,
        mark: None,
        interface: Arc::clone(interface),
        body: Body::Groups(groups),
    })
}

/// Rows of many keys at once; each row says which key it answers by its place.
pub(super) async fn batch(
    app: &App,
    op: &Op,
    interface: &Arc<Interface>,
    asked: &Asked,
) -> Result<Answer> {
    let draft = &interface.draft;
    let Some(param) = draft.param.first() else {
        return Err(Error::internal("a batch look-up without a parameter"));
    };
    let pass = sharing::enter(app, op, &draft.entry, Action::RowsQuery).await?;
    let select = chosen(app, op, draft, &pass).await?;
    // All keys or none are counted as asked about. What the audit compares columns by is this query, not the place.
    let shown = RowQuery {
        select: select.clone(),
        filter: Some(Condition::Column {
            column: param.item.clone(),
            comparison: Comparison::In(asked.keys.clone()),
        }),
        ..RowQuery::default()
    };
    let counted = pass.ask(app, op, &shown).await?;
    let mut all = RowPage { columns: Vec::new(), rows: Vec::new(), total: None, next: None };
    let mut masked = Vec::new();
    for (n, key) in asked.keys.iter().enumerate() {
        let left = draft.most_rows.saturating_sub(all.rows.len() as u64);
        let query = RowQuery {
            select: select.clone(),
            filter: Some(Condition::Column {
                column: param.item.clone(),
                comparison: Comparison::Eq(key.clone()),
            }),
            limit: Some(left.max(1)),
            ..RowQuery::default()
        };
        let found = match pass.fetch(app, op, &query).await {
            Ok(found) => found,
            Err(e) => {
                pass.unask(app, counted.as_ref(), &e).await;
                return Err(e);
            }
        };
        if found.next.is_some() || found.rows.len() as u64 > left {
            return Err(pass.refuse(app, op, too_many(draft.most_rows)).await);
        }
        let place = Value::Integer(i64::try_from(n).unwrap_or(i64::MAX));
        all.columns = found.columns;
        let rows = found.rows.into_iter();
        all.rows.extend(rows.map(|row| std::iter::once(place.clone()).chain(row).collect::<Row>()));
        masked = pass.masked(&query);
    }
    pass.told(app, op, marked(interface, pass.event(op, &shown, &all))).await?;
    all.columns.insert(0, PLACE.to_owned());
    Ok(Answer {
        masked: labels(draft, &masked),
        calls_left: pass.calls_left,
        age: None,
        mark: None,
        interface: Arc::clone(interface),
        body: Body::Rows(all),
    })
}

pub(super) fn too_many(most: u64) -> Error {
    Error::new(
        Code::InvalidQuery,
        format!("结果超过 {most} 行，请减少键或缩小条件"),
        format!("the answer has more than {most} rows: give fewer keys or narrow it"),
    )
}

/// What [`select`] says; a refusal is recorded.
pub(super) async fn chosen(
    app: &App,
    op: &Op,
    draft: &InterfaceDraft,
    pass: &sharing::Pass,
) -> Result<Vec<(String, Option<String>)>> {
    match select(draft, pass.grant()) {
        Ok(chosen) => Ok(chosen),
        Err(e) => Err(pass.refuse(app, op, e).await),
    }
}

/// Items of the description that the grant shows, under their names; nothing described is all the grant shows.
fn select(draft: &InterfaceDraft, grant: &Grant) -> Result<Vec<(String, Option<String>)>> {
    let chosen: Vec<_> = draft
        .returns
        .iter()
        .filter(|r| grant.column(&r.item).is_some())
        .map(|r| (r.item.clone(), r.name.clone()))
        .collect();
    if chosen.is_empty() && !draft.returns.is_empty() {
        return Err(none_granted());
    }
    Ok(chosen)
}

pub(super) fn none_granted() -> Error {
    Error::new(
        Code::ColumnNotGranted,
        "该接口返回的数据项都不在您的授权范围内，请变更共享申请",
        "none of the items this interface answers is in your grant: apply for them",
    )
    .with_reasons(vec!["columns.not-granted".to_owned()])
}

/// The names in the answer of these items.
pub(super) fn labels(draft: &InterfaceDraft, items: &[String]) -> Vec<String> {
    if draft.returns.is_empty() {
        return items.to_vec();
    }
    let named = draft.returns.iter().filter(|r| items.contains(&r.item));
    named.map(|r| r.label().to_owned()).collect()
}

/// The record of a release with the interface it went by.
pub(super) fn marked(interface: &Interface, mut event: AuditEvent) -> AuditEvent {
    event.scope = match event.scope.as_str() {
        "" => mark(interface),
        scope => format!("{}: {scope}", mark(interface)),
    };
    event
}
