//! OpenAPI 3.1 of exactly the granted items of a form. (The gateway's `/openapi.json` describes all that a caller may
//! call at this moment; this is the contract of one form, to generate a client from.)

use model::code::DataType;
use policy::GrantColumn;
use serde_json::{Map, Value, json};

use super::{Pack, Resource};

/// The description, with the gateway at `url` as server.
#[must_use]
pub fn openapi(pack: &Pack, url: &str) -> Value {
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    for resource in &pack.resources {
        let code = &resource.entry.draft.code;
        paths.insert(format!("/api/v1/{code}"), path(resource));
        schemas.insert(code.clone(), schema(resource));
    }
    schemas.insert(
        "Error".into(),
        json!({
            "type": "object", "required": ["code", "message", "message_zh", "request_id"],
            "properties": {
                "code": { "type": "string" }, "message": { "type": "string" }, "message_zh": { "type": "string" },
                "request_id": { "type": "string" }
            }
        }),
    );
    let header = |name: &str, text: &str| json!({ "type": "apiKey", "in": "header", "name": name, "description": text });
    json!({
        "openapi": "3.1.0",
        "info": { "title": pack.name, "version": "1.0.0", "description": SIGNING },
        "servers": [{ "url": url.trim_end_matches('/') }],
        "security": [{ "key": [], "timestamp": [], "nonce": [], "signature": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "key": header("X-Qt-Key", &format!("应用访问键 / access key: {}", pack.application.key)),
                "timestamp": header("X-Qt-Timestamp", "毫秒时间戳 / Unix milliseconds"),
                "nonce": header("X-Qt-Nonce", "随机串，不可重复 / 16 to 64 characters, never used twice"),
                "signature": header("X-Qt-Signature", "小写十六进制签名 / lower hex"),
            }
        }
    })
}

const SIGNING: &str = "签名：以应用密钥对 METHOD\\nPATH\\nQUERY\\nhex(SHA-256(body))\\nTIMESTAMP\\nNONCE 计算 HMAC-SHA256。 \
Sign METHOD\\nPATH\\nQUERY\\nhex(SHA-256(body))\\nTIMESTAMP\\nNONCE by HMAC-SHA256 under the application's secret.";

fn path(resource: &Resource) -> Value {
    let draft = &resource.entry.draft;
    let code = &draft.code;
    let names: Vec<&str> = resource.columns.iter().map(|c| c.identifier.as_str()).collect();
    let query = |name: &str, text: &str, schema: Value| json!({ "name": name, "in": "query", "required": false, "description": text, "schema": schema });
    let mut parameters = vec![
        query(
            "select",
            "所需列 / columns wanted",
            json!({ "type": "string", "examples": [names.join(",")] }),
        ),
        query(
            "limit",
            "每页行数 / rows of one page",
            json!({ "type": "integer", "minimum": 1, "maximum": resource.most_rows }),
        ),
        query(
            "after",
            "下一页位置 / position of the next page (Link header)",
            json!({ "type": "string" }),
        ),
    ];
    for c in resource.columns.iter().filter(|c| c.filterable || c.lookup) {
        let text = format!(
            "{}：`eq.值`{}",
            c.name_cn,
            if c.filterable { "，gt gte lt lte neq" } else { "" }
        );
        parameters.push(query(&c.identifier, &text, json!({ "type": "string" })));
    }
    let refusal = json!({ "description": "拒绝 / refused", "content": {
        "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } } });
    json!({ "get": {
        "operationId": format!("rows_{code}"), "summary": draft.title, "description": draft.description,
        "parameters": parameters,
        "responses": {
            "200": { "description": "数据行 / rows", "content": { "application/json": {
                "schema": { "type": "array", "items": { "$ref": format!("#/components/schemas/{code}") } } } } },
            "default": refusal,
        },
        "x-calls-per-day": resource.calls_per_day, "x-expires-at": resource.expires_at,
    } })
}

fn schema(resource: &Resource) -> Value {
    let properties: Map<String, Value> =
        resource.columns.iter().map(|c| (c.identifier.clone(), property(c))).collect();
    json!({ "type": "object", "title": resource.entry.draft.title, "properties": properties })
}

fn property(column: &GrantColumn) -> Value {
    let kinds = match (&column.mask, column.data_type) {
        (Some(_), _) => json!(["string", "number", "null"]),
        (None, DataType::Integer) => json!(["integer", "null"]),
        (None, DataType::Decimal | DataType::Float) => json!(["number", "string", "null"]),
        (None, DataType::Boolean) => json!(["boolean", "null"]),
        _ => json!(["string", "null"]),
    };
    let mut property = json!({ "type": kinds, "title": column.name_cn });
    if let (Some(mask), Some(object)) = (&column.mask, property.as_object_mut()) {
        object.insert("x-mask".into(), json!(mask.label()));
    }
    property
}
