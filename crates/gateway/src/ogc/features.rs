//! OGC API Features: rows of a freely open data set that can be drawn, through the gate of `/api/v1`. A box is asked of the
//! engine where places are two numbers; where they are shapes rows are read page by page and those outside are left out.

use app::opening::{Geometry, place};
use model::code::DataType;
use model::query::{Comparison, Condition, Count, RowPage, RowQuery};
use model::value::{Row, Value as Cell};
use model::{Error, Op, Result};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Map, Value, json};

use super::params::{self, Window};
use super::{GEO_JSON, JSON, link};
use crate::Door;
use crate::metadata::Table;

/// Pages that are read for one answer, where a box leaves many rows out.
const ROUNDS: usize = 20;
/// Between the parts of an item's id, where the key has several.
const GLUE: char = '~';
/// A part of an id.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// A data set that is a collection of features; others are not found.
pub(super) async fn drawn(door: &Door, op: &Op, id: &str) -> Result<Table> {
    let missing = || {
        let shown: String = id.chars().take(80).collect();
        Error::not_found("要素集", "collection", &shown)
    };
    let dataset = app::opening::found(&door.app, op, id).await.map_err(|e| match e.kind() {
        model::Kind::NotFound => missing(),
        _ => e,
    })?;
    if !dataset.free || dataset.geometry.is_none() || dataset.entry.draft.code != id {
        return Err(missing());
    }
    let columns = app::opening::columns(&door.app, op, id).await?;
    Ok(Table { dataset, columns })
}

pub(super) async fn items(door: &Door, op: &Op, id: &str, query: &str) -> Result<Value> {
    let table = drawn(door, op, id).await?;
    let asked = params::pairs(query);
    let most = door.app.rules.call.max_rows;
    let (mut window, mut all, mut after) = (Window::default(), Vec::new(), None);
    for (name, value) in &asked {
        if window.take(name, value, most)? {
            continue;
        }
        match name.as_str() {
            "after" => after = Some(value.clone()),
            // A column is compared as it stands.
            column if table.columns.iter().any(|c| c.identifier == column) => {
                let comparison = Comparison::Eq(value.clone());
                all.push(Condition::Column { column: column.to_owned(), comparison });
            }
            other => return Err(params::unknown(other)),
        }
    }
    if let Some((from, to)) = &window.time {
        all.extend(within(&table, from, to)?);
    }
    let by_shape = match (&table.dataset.geometry, window.bbox) {
        (Some(Geometry::Point { longitude, latitude }), Some(bbox)) => {
            all.push(place::within(longitude, latitude, bbox));
            None
        }
        (_, bbox) => bbox,
    };
    let mut found: Vec<Value> = Vec::new();
    let mut total = None;
    let mut left = window.limit;
    for round in 0..ROUNDS {
        let ask = RowQuery {
            filter: (!all.is_empty()).then(|| Condition::And(all.clone())),
            limit: Some(left),
            after: after.take(),
            count: if round == 0 && by_shape.is_none() { Count::Exact } else { Count::None },
            ..RowQuery::default()
        };
        let page = app::sharing::query(&door.app, op, id, &ask).await?.page;
        total = total.or(page.total);
        found.extend(page.rows.iter().filter_map(|row| {
            let feature = feature(&table, &page, row);
            let Some(bbox) = by_shape else { return Some(feature) };
            let own = feature.get("geometry").and_then(place::bounds)?;
            place::touches(bbox, own).then_some(feature)
        }));
        left = window.limit.saturating_sub(found.len() as u64);
        after = page.next;
        if left == 0 || after.is_none() {
            break;
        }
    }
    let here = format!("{}/ogc/collections/{id}", door.config.public_url);
    let own = params::with(&asked, &[]);
    let mark = if own.is_empty() { "" } else { "?" };
    let mut links = vec![
        link(&format!("{here}/items{mark}{own}"), "self", GEO_JSON, "本页 / this page"),
        link(&here, "collection", JSON, "要素集 / the collection"),
    ];
    if let Some(after) = after {
        let next = params::with(&asked, &[("after", after)]);
        links.push(link(&format!("{here}/items?{next}"), "next", GEO_JSON, "下一页 / next page"));
    }
    let mut told = json!({
        "type": "FeatureCollection", "timeStamp": op.stamp(), "numberReturned": found.len(), "features": found,
        "links": links,
    });
    if let (Some(total), Some(told)) = (total, told.as_object_mut()) {
        told.insert("numberMatched".into(), total.into());
    }
    Ok(told)
}

/// One feature by its business key.
pub(super) async fn item(door: &Door, op: &Op, id: &str, item: &str) -> Result<Value> {
    let table = drawn(door, op, id).await?;
    let missing = || {
        let shown: String = item.chars().take(80).collect();
        Error::not_found("要素", "feature", &shown)
    };
    let key = table.key();
    let parts: Vec<String> = match key.as_slice() {
        // A key alone is told as it is.
        [_] => vec![item.to_owned()],
        _ => item
            .split(GLUE)
            .map(|part| {
                let text = percent_decode_str(part).decode_utf8();
                text.map(std::borrow::Cow::into_owned).map_err(|_| missing())
            })
            .collect::<Result<_>>()?,
    };
    if key.is_empty() || key.len() != parts.len() {
        return Err(missing());
    }
    let conditions = key.iter().zip(parts).map(|(column, part)| Condition::Column {
        column: (*column).to_owned(),
        comparison: Comparison::Eq(part),
    });
    let filter = Condition::And(conditions.collect());
    let ask = RowQuery { filter: Some(filter), limit: Some(1), ..RowQuery::default() };
    let page = match app::sharing::query(&door.app, op, id, &ask).await {
        Ok(release) => release.page,
        // A part that cannot be a value of its column is nobody's.
        Err(e) if e.kind() == model::Kind::Invalid => return Err(missing()),
        Err(e) => return Err(e),
    };
    let mut found = page.rows.first().map(|row| feature(&table, &page, row)).ok_or_else(missing)?;
    if let Some(told) = found.as_object_mut() {
        let here = format!("{}/ogc/collections/{id}", door.config.public_url);
        let own = utf8_percent_encode(item, NON_ALPHANUMERIC);
        let links = json!([
            link(&format!("{here}/items/{own}"), "self", GEO_JSON, "本要素 / this feature"),
            link(&here, "collection", JSON, "要素集 / the collection"),
        ]);
        told.insert("links".into(), links);
    }
    Ok(found)
}

fn feature(table: &Table, page: &RowPage, row: &Row) -> Value {
    let cell = |name: &str| page.cell(row, name);
    let geometry = table.dataset.geometry.as_ref();
    let properties = place::properties(geometry, page, row);
    let mut told = Map::new();
    told.insert("type".into(), "Feature".into());
    let key = table.key();
    if !key.is_empty() {
        let part = |name: &&str| {
            let text = cell(name).and_then(Cell::to_text).unwrap_or_default();
            utf8_percent_encode(&text, PART).to_string()
        };
        let id = match key.as_slice() {
            [only] => cell(only).and_then(Cell::to_text).unwrap_or_default(),
            several => several.iter().map(part).collect::<Vec<_>>().join(&GLUE.to_string()),
        };
        told.insert("id".into(), id.into());
    }
    told.insert(
        "geometry".into(),
        geometry.and_then(|g| place::of(g, cell)).unwrap_or(Value::Null),
    );
    told.insert("properties".into(), Value::Object(properties));
    Value::Object(told)
}

/// The column that tells the time of a row: the one that is declared to, else the first of a day or a moment.
fn time(table: &Table) -> Option<(&str, DataType)> {
    let days = |c: &&app::GrantColumn| {
        matches!(c.data_type, DataType::Date | DataType::DateTime) && c.mask.is_none()
    };
    let all = || table.columns.iter().filter(days);
    let declared = |c: &&app::GrantColumn| {
        table.dataset.entry.draft.item(&c.identifier).is_some_and(|i| i.timestamp)
    };
    let found = all().find(declared).or_else(|| all().next())?;
    Some((found.identifier.as_str(), found.data_type))
}

/// Rows between two times. Rows without a time of any kind are of all times.
fn within(table: &Table, from: &str, to: &str) -> Result<Vec<Condition>> {
    let Some((column, kind)) = time(table) else { return Ok(Vec::new()) };
    let civil = |stamp: &str| {
        let at = chrono::DateTime::parse_from_rfc3339(stamp)
            .map_err(|e| Error::internal("a time that was read before").caused_by(e))?;
        // Rows hold the civil time of China.
        let at = at.with_timezone(&model::op::china());
        Ok::<_, Error>(match kind {
            DataType::Date => at.format("%Y-%m-%d").to_string(),
            _ => at.format("%Y-%m-%dT%H:%M:%S%.3f").to_string(),
        })
    };
    let one = |comparison| Condition::Column { column: column.to_owned(), comparison };
    let mut all = Vec::new();
    if !from.is_empty() {
        all.push(one(Comparison::Gte(civil(from)?)));
    }
    if !to.is_empty() {
        all.push(one(Comparison::Lte(civil(to)?)));
    }
    Ok(all)
}
