//! Composed interfaces: rows of one resource, joined by key to rows of others. Every resource is entered by its own grant, and a
//! key that a grant masks, or does not hold, cannot join.

use std::collections::HashMap;
use std::sync::Arc;

use model::interface::{Asked, Interface, Part};
use model::query::{Comparison, Condition, RowPage, RowQuery};
use model::value::{Row, Value};
use model::{Code, Error, Op, Result};
use policy::{Action, Grant};

use super::call::{Answer, Body};
use super::rows::{marked, none_granted, too_many};
use crate::sharing::Pass;
use crate::{App, sharing};

/// A resource of the interface while its rows are put together.
struct Side<'a> {
    name: &'a str,
    pass: Pass,
    /// Items read: those answered and those joined by.
    items: Vec<&'a str>,
    query: RowQuery,
    page: RowPage,
}

pub(super) async fn joined(
    app: &App,
    op: &Op,
    interface: &Arc<Interface>,
    asked: &Asked,
) -> Result<Answer> {
    let draft = &interface.draft;
    // All grants first: nothing is read for somebody who lacks one of them.
    let mut sides = vec![enter(app, op, interface, "", &draft.entry).await?];
    for part in &draft.part {
        sides.push(enter(app, op, interface, &part.name, &part.entry).await?);
    }
    for part in &draft.part {
        for (name, item) in [part.source(), (part.name.as_str(), part.item.as_str())] {
            joins(app, op, &sides, name, item).await?;
        }
    }
    let limit = draft.rows(asked.limit);
    let next = {
        let Some(first) = sides.first_mut() else { return Err(Error::internal("no resource")) };
        first.query = RowQuery {
            select: first.items.iter().map(|i| ((*i).to_owned(), None)).collect(),
            filter: asked.filter.clone(),
            order: draft.orders(),
            limit: Some(limit),
            after: asked.after.clone(),
            ..RowQuery::default()
        };
        first.page = first.pass.read(app, op, &first.query).await?;
        first.page.next.clone()
    };
    // Rows put together so far: for each side before, the place of its row, or none.
    let mut rows: Vec<Vec<Option<usize>>> =
        (0..sides.first().map_or(0, |s| s.page.rows.len())).map(|n| vec![Some(n)]).collect();
    for (n, part) in draft.part.iter().enumerate() {
        rows = join(app, op, &mut sides, n + 1, part, rows, draft.most_rows).await?;
    }
    for side in &sides {
        side.pass
            .told(app, op, marked(interface, side.pass.event(op, &side.query, &side.page)))
            .await?;
    }
    let mut columns = Vec::new();
    let mut places = Vec::new();
    let mut masked = Vec::new();
    for item in &draft.returns {
        let (part, name) = item.place();
        let Some(n) = sides.iter().position(|s| s.name == part) else { continue };
        let Some(side) = sides.get(n) else { continue };
        // What a grant does not hold is left out.
        let Some(granted) = side.pass.grant().column(name) else { continue };
        let Some(cell) = side.items.iter().position(|i| *i == name) else { continue };
        if granted.mask.is_some() {
            masked.push(item.label().to_owned());
        }
        columns.push(item.label().to_owned());
        places.push((n, cell));
    }
    if columns.is_empty() {
        return Err(none_granted());
    }
    let value = |row: &Vec<Option<usize>>, (n, cell): &(usize, usize)| {
        let place = row.get(*n).copied().flatten();
        let found = place.and_then(|p| sides.get(*n)?.page.rows.get(p)?.get(*cell).cloned());
        found.unwrap_or(Value::Null)
    };
    let rows =
        rows.iter().map(|row| places.iter().map(|p| value(row, p)).collect::<Row>()).collect();
    Ok(Answer {
        masked,
        calls_left: sides.iter().filter_map(|s| s.pass.calls_left).min(),
        age: None,
        mark: None,
        interface: Arc::clone(interface),
        body: Body::Rows(RowPage { columns, rows, total: None, next }),
    })
}

async fn enter<'a>(
    app: &App,
    op: &Op,
    interface: &'a Interface,
    name: &'a str,
    entry: &str,
) -> Result<Side<'a>> {
    let draft = &interface.draft;
    let pass = sharing::enter(app, op, entry, Action::RowsQuery).await?;
    let mut items: Vec<&str> = Vec::new();
    let answered = draft.returns.iter().map(|r| r.place());
    let sources = draft.part.iter().map(Part::source);
    let looked_up = draft.part.iter().map(|p| (p.name.as_str(), p.item.as_str()));
    for (part, item) in answered.chain(sources).chain(looked_up) {
        if part == name && !items.contains(&item) && pass.grant().column(item).is_some() {
            items.push(item);
        }
    }
    let page = RowPage { columns: Vec::new(), rows: Vec::new(), total: None, next: None };
    Ok(Side { name, pass, items, query: RowQuery::default(), page })
}

/// Refuses a join by an item that the grant does not show as it is.
async fn joins(app: &App, op: &Op, sides: &[Side<'_>], part: &str, item: &str) -> Result<()> {
    let Some(side) = sides.iter().find(|s| s.name == part) else {
        return Err(Error::internal(format!("no part `{part}`")));
    };
    let grant: &Grant = side.pass.grant();
    if grant.column(item).is_some_and(|c| c.mask.is_none()) {
        return Ok(());
    }
    let code = grant.code();
    let refusal = Error::new(
        Code::ColumnNotGranted,
        format!("`{code}` 的数据项 `{item}` 未授权或经脱敏提供，不能作为关联键；请变更共享申请"),
        format!(
            "the item `{item}` of `{code}` is not granted, or only masked, and cannot join; change the share application"
        ),
    )
    .with_reasons(vec!["join.masked-key".to_owned()]);
    Err(side.pass.refuse(app, op, refusal).await)
}

/// Joins the rows so far to those of side `at` by one look-up of all their keys.
async fn join(
    app: &App,
    op: &Op,
    sides: &mut [Side<'_>],
    at: usize,
    part: &Part,
    rows: Vec<Vec<Option<usize>>>,
    most: u64,
) -> Result<Vec<Vec<Option<usize>>>> {
    let (source, source_item) = part.source();
    let keys: Vec<Option<String>> = {
        let Some((n, side)) = sides.iter().enumerate().find(|(_, s)| s.name == source) else {
            return Err(Error::internal(format!("no part `{source}`")));
        };
        let cell = side.items.iter().position(|i| *i == source_item);
        rows.iter()
            .map(|row| {
                let place = row.get(n).copied().flatten()?;
                side.page.rows.get(place)?.get(cell?)?.to_text()
            })
            .collect()
    };
    let mut wanted: Vec<String> = keys.iter().flatten().cloned().collect();
    wanted.sort_unstable();
    wanted.dedup();
    let Some(side) = sides.get_mut(at) else { return Err(Error::internal("no such side")) };
    side.query = RowQuery {
        select: side.items.iter().map(|i| ((*i).to_owned(), None)).collect(),
        filter: Some(Condition::Column {
            column: part.item.clone(),
            comparison: Comparison::In(wanted.clone()),
        }),
        limit: Some(most),
        ..RowQuery::default()
    };
    if !wanted.is_empty() {
        side.page = side.pass.read(app, op, &side.query).await?;
        if side.page.next.is_some() {
            return Err(side.pass.refuse(app, op, too_many(most)).await);
        }
    }
    let cell = side.items.iter().position(|i| *i == part.item);
    let mut by_key: HashMap<String, Vec<usize>> = HashMap::new();
    for (n, row) in side.page.rows.iter().enumerate() {
        if let Some(key) = cell.and_then(|c| row.get(c)).and_then(Value::to_text) {
            by_key.entry(key).or_default().push(n);
        }
    }
    let mut out = Vec::with_capacity(rows.len());
    for (mut row, key) in rows.into_iter().zip(keys) {
        match key.and_then(|k| by_key.get(&k)) {
            Some(found) => out.extend(found.iter().map(|n| {
                let mut row = row.clone();
                row.push(Some(*n));
                row
            })),
            None if part.optional => {
                row.push(None);
                out.push(row);
            }
            None => {}
        }
        if out.len() as u64 > most {
            let Some(side) = sides.get(at) else { break };
            return Err(side.pass.refuse(app, op, too_many(most)).await);
        }
    }
    Ok(out)
}
