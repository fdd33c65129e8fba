//! `datastore_search` and `datastore_info`: rows of a table through the gate of `/api/v1`, and what its columns are.

use std::cmp::Ordering;

use app::GrantColumn;
use app::opening::{self, Dataset};
use model::Op;
use model::code::DataType;
use model::query::{Count, Order, RowQuery};
use model::value::{Row, Value as Cell};
use serde_json::{Map, Value, json};

use super::fault::Fault;
use super::filters::{self, PLACE};
use super::params::Params;
use super::{catalogue, shape};
use crate::Door;

/// Rows where nothing is said.
const ROWS: u64 = 100;
/// Most distinct rows that are told.
const DISTINCT: u64 = 10_000;

/// The data set of a table with the columns that anybody may read of it.
pub(super) async fn table(
    door: &Door,
    op: &Op,
    id: &str,
) -> Result<(Dataset, Vec<GrantColumn>), Fault> {
    let (dataset, word) = catalogue::of_resource(door, op, id).await?;
    let elsewhere = app::harvest::origin(&door.app, &dataset.entry.draft.code).await?.is_some();
    if word != shape::TABLE || elsewhere {
        let shown: String = id.chars().take(120).collect();
        return Err(Fault::not_found(
            &format!("资源 `{shown}` 没有数据表"),
            &format!("resource \"{shown}\" was not found in the datastore"),
        ));
    }
    let columns = opening::columns(&door.app, op, &dataset.entry.draft.code).await?;
    Ok((dataset, columns))
}

/// In which form records are wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Objects,
    Lists,
    /// Lines with this between their values.
    Lines(u8),
}

fn form(params: &Params) -> Result<(Form, String), Fault> {
    let word = params.text("records_format").unwrap_or_else(|| "objects".to_owned());
    let form = match word.as_str() {
        "objects" => Form::Objects,
        "lists" => Form::Lists,
        "csv" => Form::Lines(b','),
        "tsv" => Form::Lines(b'\t'),
        _ => {
            return Err(Fault::invalid(
                "records_format",
                "应为 objects、lists、csv、tsv 之一",
                "must be one of objects, lists, csv, tsv",
            ));
        }
    };
    Ok((form, word))
}

pub(crate) async fn search(door: &Door, op: &Op, params: &Params) -> Result<Value, Fault> {
    let id = match params.text("id") {
        Some(id) if params.get("resource_id").is_none() => id,
        _ => params.wanted("resource_id")?,
    };
    let (dataset, columns) = table(door, op, &id).await?;
    let (form, format) = form(params)?;
    let filters = params.json("filters");
    // `full_text` is CKAN's older word for `q` in PostgreSQL's language.
    let q = params.json("q").or_else(|| params.json("full_text"));
    let wanted = filters::read(filters.as_ref(), q.as_ref(), &columns)?;
    let order = filters::sort(&params.text("sort").unwrap_or_default(), &columns)?;
    let named = params.list("fields");
    let (chosen, places) = filters::fields(&named, &columns)?;
    let limit = params.number("limit", ROWS)?.min(door.app.rules.call.max_rows);
    let offset = params.number("offset", 0)?.saturating_add(wanted.passed);
    let count = params.flag("include_total", true);
    let code = dataset.entry.draft.code.as_str();
    let paged = !order.is_empty();
    let found = if params.flag("distinct", false) && !places && !chosen.is_empty() {
        distinct(door, op, code, &chosen, wanted.filter, &order, (offset, limit)).await?
    } else {
        // Places alone are told beside some column, which is then left out.
        let select: Vec<String> = match chosen.is_empty() {
            true => columns.first().map(|c| c.identifier.clone()).into_iter().collect(),
            false => chosen.clone(),
        };
        let query = RowQuery {
            select: select.into_iter().map(|c| (c, None)).collect(),
            filter: wanted.filter,
            order,
            limit: Some(limit),
            offset,
            after: None,
            count: if count { Count::Exact } else { Count::None },
        };
        let page = app::sharing::query(&door.app, op, code, &query).await?.page;
        let rows = page.rows.len() as u64;
        let last = page.next.is_none() && (rows > 0 || offset == 0) && limit > 0;
        let (total, estimated) = match page.total {
            Some(total) => (total, false),
            None if last => (offset.saturating_add(rows), false),
            // Not all engines count what a filter leaves: then it is not more than there are.
            None => (u64::try_from(dataset.entry.rows).unwrap_or(0), true),
        };
        Found { more: page.next.is_some(), rows: page.rows, total, estimated }
    };
    let base = Told { dataset: &dataset, columns: &columns, chosen: &chosen, places };
    let mut told = Map::new();
    told.insert("include_total".into(), count.into());
    told.insert("limit".into(), limit.into());
    told.insert("offset".into(), params.number("offset", 0)?.into());
    told.insert("resource_id".into(), shape::resource_id(&dataset.entry, shape::TABLE).into());
    told.insert("records_format".into(), format.into());
    if let Some(filters) = &filters {
        told.insert("filters".into(), filters.clone());
    }
    told.insert("fields".into(), base.fields());
    told.insert("records".into(), base.records(&found.rows, offset, form)?);
    told.insert("_links".into(), links(params, &id, limit));
    if count {
        told.insert("total".into(), found.total.into());
        told.insert("total_was_estimated".into(), found.estimated.into());
    }
    if found.more && !paged && limit > 0 && params.flag("include_next_page", true) {
        let mut on = match filters {
            Some(Value::Object(map)) => map,
            _ => Map::new(),
        };
        on.insert(PLACE.into(), json!({ "gt": offset + found.rows.len() as u64 }));
        told.insert("next_page".into(), json!({ "filters": on }));
    }
    Ok(Value::Object(told))
}

struct Found {
    rows: Vec<Row>,
    more: bool,
    total: u64,
    estimated: bool,
}

async fn distinct(
    door: &Door,
    op: &Op,
    code: &str,
    chosen: &[String],
    filter: Option<model::query::Condition>,
    order: &[Order],
    (offset, limit): (u64, u64),
) -> Result<Found, Fault> {
    let groups = opening::distinct(&door.app, op, code, chosen, filter, DISTINCT).await?;
    let mut rows = groups.rows;
    // Where nothing else is said they come in the order of their values.
    let by: Vec<(usize, &Order)> = order
        .iter()
        .filter_map(|o| Some((chosen.iter().position(|c| *c == o.column)?, o)))
        .collect();
    if by.len() < order.len() {
        return Err(Fault::invalid(
            "sort",
            "去重时只能按所选字段排序",
            "with distinct only the chosen fields can be sorted by",
        ));
    }
    rows.sort_by(|a, b| {
        let wanted = by.iter().fold(Ordering::Equal, |so_far, (n, order)| {
            so_far.then_with(|| {
                let way = compare(a.get(*n), b.get(*n));
                if order.descending { way.reverse() } else { way }
            })
        });
        let all = (0..chosen.len())
            .fold(Ordering::Equal, |so_far, n| so_far.then_with(|| compare(a.get(n), b.get(n))));
        wanted.then(all)
    });
    let total = rows.len() as u64;
    let size = |n| usize::try_from(n).unwrap_or(usize::MAX);
    let rows: Vec<Row> = rows.into_iter().skip(size(offset)).take(size(limit)).collect();
    Ok(Found { more: false, rows, total, estimated: false })
}

/// Values of one column in their order, nothing last.
pub(super) fn compare(a: Option<&Cell>, b: Option<&Cell>) -> Ordering {
    match (a, b) {
        (Some(Cell::Integer(a)), Some(Cell::Integer(b))) => a.cmp(b),
        (Some(Cell::Decimal(a)), Some(Cell::Decimal(b))) => a.cmp(b),
        (Some(Cell::Float(a)), Some(Cell::Float(b))) => a.total_cmp(b),
        (Some(Cell::Boolean(a)), Some(Cell::Boolean(b))) => a.cmp(b),
        (Some(Cell::Date(a)), Some(Cell::Date(b))) => a.cmp(b),
        (Some(Cell::DateTime(a)), Some(Cell::DateTime(b))) => a.cmp(b),
        (Some(Cell::Text(a)), Some(Cell::Text(b))) => a.cmp(b),
        (a, b) => a.is_none_or(Cell::is_null).cmp(&b.is_none_or(Cell::is_null)),
    }
}

/// A table as far as it is told.
struct Told<'a> {
    dataset: &'a Dataset,
    columns: &'a [GrantColumn],
    chosen: &'a [String],
    places: bool,
}

impl Told<'_> {
    fn fields(&self) -> Value {
        let place = self.places.then(|| json!({ "id": PLACE, "type": "int" }));
        let own = self.chosen.iter().filter_map(|name| {
            let column = self.columns.iter().find(|c| c.identifier == *name)?;
            Some(field(self.dataset, column))
        });
        place.into_iter().chain(own).collect()
    }

    fn records(&self, rows: &[Row], offset: u64, form: Form) -> Result<Value, Fault> {
        let place = |n: usize| offset + n as u64 + 1;
        let types: Vec<DataType> = self
            .chosen
            .iter()
            .filter_map(|c| self.columns.iter().find(|k| k.identifier == *c))
            .map(|c| c.data_type)
            .collect();
        let of = |row: &Row, n: usize| {
            let kind = types.get(n).copied().unwrap_or(DataType::Text);
            row.get(n).map_or(Value::Null, |cell| value(kind, cell))
        };
        Ok(match form {
            Form::Objects => rows
                .iter()
                .enumerate()
                .map(|(at, row)| {
                    let first = self.places.then(|| (PLACE.to_owned(), place(at).into()));
                    let own = self.chosen.iter().enumerate().map(|(n, c)| (c.clone(), of(row, n)));
                    Value::Object(first.into_iter().chain(own).collect())
                })
                .collect(),
            Form::Lists => rows
                .iter()
                .enumerate()
                .map(|(at, row)| {
                    let first = self.places.then(|| Value::from(place(at)));
                    let own = (0..self.chosen.len()).map(|n| of(row, n));
                    first.into_iter().chain(own).collect::<Value>()
                })
                .collect(),
            Form::Lines(between) => {
                let mut writer = lines(between);
                for (at, row) in rows.iter().enumerate() {
                    let first = self.places.then(|| place(at).to_string());
                    let own = row.iter().take(self.chosen.len());
                    let own = own.map(|v| v.to_text().unwrap_or_default());
                    writer.write_record(first.into_iter().chain(own)).map_err(unwritten)?;
                }
                Value::String(String::from_utf8_lossy(&taken(writer)?).into_owned())
            }
        })
    }
}

/// A writer of lines with `between` between their values, as CKAN writes them.
pub(super) fn lines(between: u8) -> csv::Writer<Vec<u8>> {
    csv::WriterBuilder::new()
        .delimiter(between)
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new())
}

/// What a writer has written.
pub(super) fn taken(writer: csv::Writer<Vec<u8>>) -> model::Result<Vec<u8>> {
    let failed = |e: String| model::Error::internal("cannot write CSV").caused_by(e);
    writer.into_inner().map_err(|e| failed(e.to_string()))
}

fn unwritten(e: csv::Error) -> Fault {
    model::Error::internal("cannot write CSV").caused_by(e).into()
}

/// A cell as JSON; what is JSON itself is not wrapped in a text.
pub(super) fn value(kind: DataType, cell: &Cell) -> Value {
    match (kind, cell) {
        (DataType::Json, Cell::Text(text)) => {
            serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()))
        }
        _ => serde_json::to_value(cell).unwrap_or(Value::Null),
    }
}

/// PostgreSQL's name of a type, as CKAN tells it.
fn kind(data_type: DataType) -> &'static str {
    match data_type {
        DataType::Text | DataType::Geometry => "text",
        DataType::Integer => "int",
        DataType::Decimal => "numeric",
        DataType::Float => "float8",
        DataType::Boolean => "bool",
        DataType::Date => "date",
        DataType::DateTime => "timestamp",
        DataType::Json => "json",
    }
}

/// A column with its entry of the data dictionary.
pub(super) fn field(dataset: &Dataset, column: &GrantColumn) -> Value {
    let item = dataset.entry.draft.item(&column.identifier);
    let text = |of: fn(&model::item::Item) -> &str| item.map_or("", of).to_owned();
    json!({
        "id": column.identifier, "type": kind(column.data_type),
        "info": {
            "label": column.name_cn, "label_en": text(|i| &i.name_en), "notes": text(|i| &i.definition),
            "unit": text(|i| &i.unit), "type_override": "", "masked": column.mask.is_some(),
        },
    })
}

/// Addresses of the first page and the next, for clients that page by them.
fn links(params: &Params, id: &str, limit: u64) -> Value {
    let offset = params.number("offset", 0).unwrap_or(0);
    let at = |offset: Option<u64>| {
        let mut query = params.written(&["offset", "limit", "resource_id", "id"]);
        query.insert_str(0, &format!("resource_id={}&limit={limit}", super::params::encoded(id)));
        if let Some(offset) = offset {
            query.push_str(&format!("&offset={offset}"));
        }
        format!("/api/3/action/datastore_search?{query}")
    };
    json!({ "start": at(None), "next": at(Some(offset.saturating_add(limit))) })
}

pub(super) async fn info(door: &Door, op: &Op, params: &Params) -> Result<Value, Fault> {
    let id = match params.text("resource_id") {
        Some(id) if params.get("id").is_none() => id,
        _ => params.wanted("id")?,
    };
    let (dataset, columns) = table(door, op, &id).await?;
    let entry = &dataset.entry;
    let fields = columns.iter().map(|c| {
        let item = entry.draft.item(&c.identifier);
        let mut told = field(&dataset, c);
        if let Some(told) = told.as_object_mut() {
            told.insert(
                "schema".into(),
                json!({
                    "native_type": kind(c.data_type), "notnull": item.is_some_and(|i| !i.nullable),
                    "index_name": null, "is_index": item.is_some_and(|i| i.primary || i.lookup),
                    "uniquekey": item.is_some_and(|i| i.primary) && entry.draft.key().len() == 1,
                }),
            );
        }
        told
    });
    Ok(json!({
        "meta": {
            "id": shape::resource_id(entry, shape::TABLE), "count": entry.rows, "size": 0, "db_size": 0, "idx_size": 0,
            "aliases": [entry.draft.code], "table_type": "BASE TABLE",
        },
        "fields": fields.collect::<Vec<_>>(),
    }))
}
