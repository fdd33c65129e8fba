//! The tools. Each is a thin word for what the doors of CKAN do: same questions, same gate, same refusals.

use app::opening;
use model::Op;
use rmcp::ErrorData;
use rmcp::model::{CallToolResult, ContentBlock, JsonObject, Tool, ToolAnnotations};
use serde_json::{Map, Value, json};

use crate::ckan::{Fault, Params, catalogue, table};
use crate::{Door, openapi};

/// Most data sets of a page, and most rows.
const SETS: u64 = 50;
const ROWS: u64 = 200;

fn tool(
    name: &'static str,
    title: &str,
    about: &'static str,
    properties: Value,
    wanted: &[&str],
) -> Tool {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "properties": properties,
        "required": wanted, "additionalProperties": false,
    });
    let schema: JsonObject = match schema {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    let mut tool = Tool::new(name, about, schema).with_title(title);
    tool.annotations =
        Some(ToolAnnotations::new().read_only(true).idempotent(true).open_world(false));
    tool
}

pub(super) fn all() -> Vec<Tool> {
    let id = json!({ "type": "string", "description": "数据集的 id 或 name / id or name of a data set" });
    let text = |about: &str| json!({ "type": "string", "description": about });
    let number = |about: &str, least: u64, most: u64, usual: u64| json!({ "type": "integer", "description": about, "minimum": least, "maximum": most, "default": usual });
    vec![
        tool(
            "search_datasets",
            "检索数据集 / Search data sets",
            "按文字、机构、领域检索开放数据集。queryable=true 的可用 query_rows 取行。/ Searches open data sets by words, organisation and domain. \
             Those with queryable=true can be read by query_rows.",
            json!({
                "query": text("检索词（中文、拼音首字母、英文均可）；空为全部 / words; empty for all"),
                "organization": text("机构 name / name of an organisation"),
                "group": text("领域 name，如 market-regulation / name of a domain"),
                "page": number("页，从 1 起 / page, from 1", 1, 2000, 1),
                "page_size": number("每页个数 / data sets a page", 1, SETS, 10),
            }),
            &[],
        ),
        tool(
            "get_dataset",
            "数据集详情 / A data set",
            "数据集的说明、机构、许可、更新周期与下载地址。/ Description, organisation, licence, update cycle and addresses of a data set.",
            json!({ "id": id }),
            &["id"],
        ),
        tool(
            "list_items",
            "数据项 / Columns",
            "数据集各数据项的标识、中英文名、含义、类型、单位。/ Identifier, names, meaning, type and unit of each column.",
            json!({ "id": id }),
            &["id"],
        ),
        tool(
            "query_rows",
            "取行 / Rows",
            "按条件取行。filters 形如 {\"区县\": \"余杭区\", \"年份\": {\"gte\": 2020}}，键为数据项标识。/ Rows by conditions; filters by identifier: values, \
             lists, or {gt, gte, lt, lte}.",
            json!({
                "id": id,
                "filters": { "type": "object", "description": "数据项标识 → 值、列表或范围 / column → value, list or range" },
                "query": text("行内全文检索 / words anywhere in a row"),
                "columns": { "type": "array", "items": { "type": "string" }, "description": "所需数据项 / columns wanted" },
                "sort": text("如 year desc, name / as: year desc, name"),
                "limit": number("行数 / rows", 1, ROWS, 20),
                "offset": number("跳过的行 / rows to skip", 0, 100_000, 0),
            }),
            &["id"],
        ),
        tool(
            "get_openapi",
            "接口描述 / OpenAPI",
            "一个数据集的数据接口的 OpenAPI 3.1 描述。/ OpenAPI 3.1 of a data set's interface.",
            json!({ "id": id }),
            &["id"],
        ),
    ]
}

/// A refusal that the assistant may read and mend.
pub(super) fn refused(text: &str) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(text)])
}

pub(super) async fn run(
    door: &Door,
    op: &Op,
    name: &str,
    arguments: JsonObject,
) -> Result<CallToolResult, ErrorData> {
    let given = Given(arguments);
    let outcome = match name {
        "search_datasets" => search(door, op, &given).await,
        "get_dataset" => dataset(door, op, &given).await,
        "list_items" => items(door, op, &given).await,
        "query_rows" => rows(door, op, &given).await,
        "get_openapi" => describe(door, op, &given).await,
        unknown => {
            let shown: String = unknown.chars().take(60).collect();
            let text = format!("没有工具 {shown} / there is no tool {shown}");
            return Err(ErrorData::invalid_params(text, None));
        }
    };
    Ok(match outcome {
        Ok(told) => CallToolResult::structured(told),
        Err(fault) => refused(&fault.text()),
    })
}

/// Arguments of a call.
struct Given(JsonObject);

impl Given {
    fn text(&self, name: &str) -> &str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    fn number(&self, name: &str, usual: u64, most: u64) -> u64 {
        self.0.get(name).and_then(Value::as_u64).unwrap_or(usual).min(most)
    }

    /// Under the names of CKAN, what was given under ours.
    fn params(&self, names: &[(&str, &str)], more: Vec<(&str, Value)>) -> Params {
        let own = names.iter().filter_map(|(ours, theirs)| {
            let value = self.0.get(*ours)?;
            Some(((*theirs).to_owned(), value.clone()))
        });
        let more = more.into_iter().map(|(name, value)| (name.to_owned(), value));
        own.chain(more).collect::<Map<String, Value>>().into()
    }
}

/// A word of Solr's language that stands for itself.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace(['"', '\\'], " "))
}

async fn search(door: &Door, op: &Op, given: &Given) -> Result<Value, Fault> {
    let (page, size) =
        (given.number("page", 1, 2000).max(1), given.number("page_size", 10, SETS).max(1));
    let mut filters = Vec::new();
    for (name, field) in [("organization", "organization"), ("group", "groups")] {
        if !given.text(name).is_empty() {
            filters.push(format!("{field}:{}", quoted(given.text(name))));
        }
    }
    // Colons and brackets of a person's words are no syntax.
    let words =
        given.text("query").replace([':', '(', ')', '"', '[', ']', '{', '}', '\\', '^'], " ");
    let params = given.params(
        &[],
        vec![
            ("q", words.into()),
            ("fq_list", json!(filters)),
            ("rows", size.into()),
            ("start", (page - 1).saturating_mul(size).into()),
        ],
    );
    let found = catalogue::search(door, op, &params).await?;
    let sets = found.get("results").and_then(Value::as_array).cloned().unwrap_or_default();
    Ok(json!({
        "total": found.get("count"), "page": page, "page_size": size,
        "datasets": sets.iter().map(brief).collect::<Vec<_>>(),
    }))
}

/// A data set in a list.
fn brief(package: &Value) -> Value {
    let get = |key: &str| package.get(key).cloned().unwrap_or(Value::Null);
    json!({
        "id": get("id"), "name": get("name"), "title": get("title"), "notes": get("notes"),
        "organization": package.pointer("/organization/title"), "updated": get("metadata_modified"),
        "queryable": get("isopen"),
    })
}

async fn dataset(door: &Door, op: &Op, given: &Given) -> Result<Value, Fault> {
    let package = catalogue::show(door, op, &given.params(&[("id", "id")], Vec::new())).await?;
    let mut told = brief(&package);
    if let Some(told) = told.as_object_mut() {
        for key in ["title_translated", "license_title", "tags", "groups", "extras", "resources"] {
            told.insert(key.into(), package.get(key).cloned().unwrap_or(Value::Null));
        }
    }
    Ok(told)
}

async fn items(door: &Door, op: &Op, given: &Given) -> Result<Value, Fault> {
    let dataset = opening::found(&door.app, op, given.text("id")).await?;
    let one = |i: &model::item::Item| {
        json!({
            "identifier": i.identifier, "name": i.name_cn, "name_en": i.name_en, "definition": i.definition,
            "data_type": i.data_type, "unit": i.unit, "value_domain": i.value_domain, "key": i.primary, "nullable": i.nullable,
            "open_type": i.open_type,
        })
    };
    let all: Vec<Value> = dataset.entry.draft.items.iter().map(one).collect();
    Ok(json!({
        "id": dataset.entry.id, "name": dataset.entry.draft.code, "queryable": dataset.free, "rows": dataset.entry.rows,
        "items": all,
    }))
}

async fn rows(door: &Door, op: &Op, given: &Given) -> Result<Value, Fault> {
    let names = [
        ("id", "resource_id"),
        ("filters", "filters"),
        ("query", "q"),
        ("columns", "fields"),
        ("sort", "sort"),
    ];
    let limit = given.number("limit", 20, ROWS).max(1);
    let offset = given.number("offset", 0, 100_000);
    let params = given.params(&names, vec![("limit", limit.into()), ("offset", offset.into())]);
    let found = table::search(door, op, &params).await?;
    let get = |key: &str| found.get(key).cloned().unwrap_or(Value::Null);
    Ok(json!({
        "total": get("total"), "limit": limit, "offset": offset, "columns": get("fields"), "rows": get("records"),
        "more": found.get("next_page").is_some(),
    }))
}

async fn describe(door: &Door, op: &Op, given: &Given) -> Result<Value, Fault> {
    let dataset = opening::found(&door.app, op, given.text("id")).await?;
    let callable = opening::callable(&door.app, op, &dataset).await?;
    Ok(openapi::of_one(&door.config.public_url, &callable, &door.app.rules.call))
}
