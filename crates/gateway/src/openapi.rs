//! `GET /openapi.json`: OpenAPI 3.1, made for the caller: only what it may call, with only the items it is granted.
//!
//! Making it reads the ledger, so it is kept per caller until the ledger, the policy or the day (on which masks may
//! change) is another.

use app::GrantColumn;
use app::sharing::Callable;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chrono::NaiveDate;
use model::code::DataType;
use model::entry::Entry;
use model::{Actor, Error, Op, Result};
use serde_json::{Map, Value, json};

use crate::Door;
use crate::answer::Refusal;
use crate::caller::Caller;

pub(crate) fn router() -> Router<Door> {
    Router::new().route("/openapi.json", get(document))
}

/// Bytes of descriptions kept at most.
const KEPT_BYTES: u64 = 64 * 1024 * 1024;

/// Descriptions by caller.
pub(crate) struct Descriptions(moka::sync::Cache<String, Kept>);

/// A description and what it was made from.
#[derive(Clone)]
struct Kept {
    epoch: u64,
    policy: u64,
    day: NaiveDate,
    text: Bytes,
}

impl Default for Descriptions {
    fn default() -> Self {
        let weight = |key: &String, kept: &Kept| {
            u32::try_from(key.len().saturating_add(kept.text.len())).unwrap_or(u32::MAX)
        };
        Self(moka::sync::Cache::builder().weigher(weight).max_capacity(KEPT_BYTES).build())
    }
}

async fn document(State(door): State<Door>, Caller(op): Caller) -> Result<Response, Refusal> {
    let text = text(&door, &op).await.map_err(|e| Refusal::new(e, &op))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}

async fn text(door: &Door, op: &Op) -> Result<Bytes> {
    // The epoch is taken before the ledger is read: what changes meanwhile makes the kept text old, never new.
    let epoch = app::sharing::ledger_epoch(&door.app, op).await?;
    let (policy, day) = (door.app.policy.version(), op.today());
    let caller = match &op.actor {
        Actor::Nobody => "",
        known => known.id(),
    };
    if let Some(kept) = door.descriptions.0.get(caller)
        && (kept.epoch, kept.policy, kept.day) == (epoch, policy, day)
    {
        return Ok(kept.text);
    }
    let callable = app::sharing::callable(&door.app, op).await?;
    let document = describe(&door.config.public_url, &callable, &door.app.rules.call);
    let text = serde_json::to_vec(&document)
        .map_err(|e| Error::internal("cannot write JSON").caused_by(e))?;
    let text = Bytes::from(text);
    let kept = Kept { epoch, policy, day, text: text.clone() };
    door.descriptions.0.insert(caller.to_owned(), kept);
    Ok(text)
}

fn describe(url: &str, callable: &[Callable], rules: &app::rules::Call) -> Value {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    paths.insert("/health".into(), fixed("health", "The process answers / 进程存活", &["200"]));
    paths.insert(
        "/ready".into(),
        fixed("ready", "The parts behind it answer / 就绪", &["200", "503"]),
    );
    paths.insert("/errors".into(), fixed("errors", "The error table / 错误码表", &["200"]));
    for c in callable {
        let code = &c.entry.draft.code;
        paths.insert(
            format!("/api/v1/{code}"),
            resource_path(&c.entry, c.grant.columns(), c.grant.row_cap(), rules),
        );
        if c.grant.request().is_some() && !c.grant.key().is_empty() {
            paths.insert(format!("/api/v1/{code}/changes"), changes_path(&c.entry));
        }
        schemas.insert(code.clone(), row_schema(&c.entry, c.grant.columns()));
    }
    schemas.insert("Error".into(), error_schema());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "钱塘 Qiantang — 公共数据共享接口",
            "version": env!("CARGO_PKG_VERSION"),
            "description": SIGNING,
        },
        "servers": [{ "url": url }],
        "security": [{}, { "key": [], "timestamp": [], "nonce": [], "signature": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "parameters": common_parameters(),
            "headers": response_headers(),
            "securitySchemes": {
                "key": header_scheme("X-Qt-Key", "Access key of the application / 应用访问键"),
                "timestamp": header_scheme("X-Qt-Timestamp", "Unix time in milliseconds / 毫秒时间戳"),
                "nonce": header_scheme("X-Qt-Nonce", "16 to 64 of [A-Za-z0-9_-], never used twice / 随机串，不可重复"),
                "signature": header_scheme("X-Qt-Signature", "Lower hex / 小写十六进制签名"),
            }
        }
    })
}

/// The description of one resource.
pub(crate) fn of_one(url: &str, callable: &Callable, rules: &app::rules::Call) -> Value {
    describe(url, std::slice::from_ref(callable), rules)
}

const SIGNING: &str = "Freely open resources are called by anyone. Others need a signature: HMAC-SHA256 (or HMAC-SM3 with \
`X-Qt-Algorithm: HMAC-SM3`) under the application's secret over `METHOD\\nPATH\\nQUERY\\nhex(hash of body)\\nTIMESTAMP\\nNONCE`, \
where QUERY is the raw query string without `?` and the hash is SHA-256 (or SM3). Pages: follow `Link: rel=\"next\"` (it carries \
`after`, an opaque position). 无条件开放的资源可匿名调用；其余须签名。";

/// Parameters that every resource takes.
fn common_parameters() -> Value {
    let group = |name: &str, text: &str| {
        parameter(
            name,
            &format!("{text}, e.g. `(a.eq.1,or(b.gt.2,not.and(c.is.null,d.in.(x,y))))` / 组合条件"),
            json!({ "type": "string", "pattern": r"^\(.+\)$" }),
        )
    };
    let in_header = |name: &str, description: &str, schema: Value| json!({ "name": name, "in": "header", "required": false, "description": description, "schema": schema });
    json!({
        "and": group("and", "All of"),
        "or": group("or", "Any of"),
        "not.and": group("not.and", "Not all of"),
        "not.or": group("not.or", "None of"),
        "after": parameter(
            "after",
            "Position of the page, as `Link: rel=next` gives it; the way to pages of any depth / 翻页位置",
            json!({ "type": "string", "maxLength": 4096 }),
        ),
        "Prefer": in_header(
            "Prefer",
            "count=exact or count=estimated: the total in Content-Range; evidence: a signed receipt in X-Qt-Evidence, by SM2 or Ed25519 where one is named; several are parted by commas / 要求总数；要求签名回执",
            json!({ "type": "string", "enum": [
                "count=exact", "count=planned", "count=estimated", "evidence", "evidence=sm2", "evidence=ed25519",
            ] }),
        ),
        "Range": in_header(
            "Range",
            "Rows wanted, instead of `limit` and `offset` / 行范围",
            json!({ "type": "string", "pattern": "^(items=)?[0-9]{1,5}-([0-9]{1,6})?$" }),
        ),
        "X-Qt-Algorithm": in_header(
            "X-Qt-Algorithm",
            "Algorithm of the signature; HMAC-SHA256 when not said / 签名算法",
            json!({ "type": "string", "enum": ["HMAC-SHA256", "HMAC-SM3"] }),
        ),
    })
}

/// Headers of answers.
fn response_headers() -> Value {
    let text =
        |description: &str| json!({ "description": description, "schema": { "type": "string" } });
    let number =
        |description: &str| json!({ "description": description, "schema": { "type": "integer" } });
    json!({
        "Content-Range": text("First and last row and the total, `0-24/3000`; `*` for what is not known / 行范围与总数"),
        "Range-Unit": text("Always `items`"),
        "Link": text("Address of the next page, `rel=\"next\"`; absent on the last / 下一页"),
        "X-Qt-Masked": text("Items whose values are masked / 已脱敏的数据项"),
        "X-Qt-Evidence": text("The receipt that was asked for, a JWS in compact form; /evidence/keys has the keys / 签名回执"),
        "X-Qt-Calls-Left": number("Calls left today / 今日剩余调用次数"),
        "Retry-After": number("Seconds after which the same call may succeed / 可重试的秒数"),
        "WWW-Authenticate": text("Ways to prove who calls: `QT-HMAC` (sign), `Bearer` (a token); of a token that is refused its `error`, RFC 6750 / 证明身份的方式，令牌被拒时含 error"),
    })
}

fn referred(kind: &str, names: &[&str]) -> Value {
    let to = |name: &&str| json!({ "$ref": format!("#/components/{kind}/{name}") });
    match kind {
        "headers" => Value::Object(names.iter().map(|n| ((*n).to_owned(), to(n))).collect()),
        _ => Value::Array(names.iter().map(to).collect()),
    }
}

fn header_scheme(name: &str, description: &str) -> Value {
    json!({ "type": "apiKey", "in": "header", "name": name, "description": description })
}

fn fixed(id: &str, summary: &str, statuses: &[&str]) -> Value {
    let responses: Map<String, Value> = statuses
        .iter()
        .map(|s| {
            let body = json!({ "description": summary, "content": { "application/json": { "schema": { "type": "object" } } } });
            ((*s).to_owned(), body)
        })
        .collect();
    json!({ "get": { "operationId": id, "summary": summary, "security": [{}], "responses": responses } })
}

fn resource_path(
    entry: &Entry,
    columns: &[GrantColumn],
    row_cap: u64,
    rules: &app::rules::Call,
) -> Value {
    let code = &entry.draft.code;
    let names: Vec<&str> = columns.iter().map(|c| c.identifier.as_str()).collect();
    let orderable: Vec<&str> =
        columns.iter().filter(|c| c.filterable).map(|c| c.identifier.as_str()).collect();
    let mut parameters = vec![
        parameter(
            "select",
            "Columns wanted / 所需列",
            json!({ "type": "string", "pattern": list_pattern(&names, "") }),
        ),
        parameter(
            "limit",
            "Rows of one page / 每页行数",
            json!({ "type": "integer", "minimum": 1, "maximum": row_cap.min(rules.max_rows) }),
        ),
        parameter(
            "offset",
            "Rows to skip / 跳过行数",
            json!({ "type": "integer", "minimum": 0, "maximum": rules.max_offset }),
        ),
    ];
    if !orderable.is_empty() {
        let pattern = list_pattern(&orderable, r"(\.(asc|desc))?(\.(nullsfirst|nullslast))?");
        parameters.push(parameter(
            "order",
            "Sort / 排序",
            json!({ "type": "string", "pattern": pattern }),
        ));
    }
    for column in columns.iter().filter(|c| c.filterable || c.lookup) {
        parameters.push(parameter(
            &column.identifier,
            &format!("{}: filter `op.value`", column.name_cn),
            json!({ "type": "string", "pattern": filter_pattern(column) }),
        ));
    }
    let mut common = vec!["after", "Prefer", "Range", "X-Qt-Algorithm"];
    if columns.iter().any(|c| c.filterable || c.lookup) {
        common.extend(["and", "or", "not.and", "not.or"]);
    }
    if let Value::Array(common) = referred("parameters", &common) {
        parameters.extend(common);
    }
    let rows = json!({
        "application/json": { "schema": { "type": "array", "items": { "$ref": format!("#/components/schemas/{code}") } } },
        "text/csv": { "schema": { "type": "string" } },
        "application/vnd.pgrst.object+json": { "schema": { "$ref": format!("#/components/schemas/{code}") } },
    });
    let mut responses = Map::new();
    for (status, text) in [
        ("200", "Rows / 数据行"),
        ("206", "A part of the rows, the total in Content-Range / 部分数据行"),
    ] {
        let headers = referred(
            "headers",
            &[
                "Content-Range",
                "Range-Unit",
                "Link",
                "X-Qt-Masked",
                "X-Qt-Calls-Left",
                "X-Qt-Evidence",
            ],
        );
        responses.insert(
            status.into(),
            json!({ "description": text, "headers": headers, "content": rows }),
        );
    }
    errors_into(&mut responses);
    json!({
        "get": {
            "operationId": format!("rows_{code}"),
            "summary": entry.draft.title,
            "description": entry.draft.description,
            "tags": [entry.draft.domain.zh()],
            "parameters": parameters,
            "responses": responses,
        }
    })
}

/// The return flow of a resource for the caller's region.
fn changes_path(entry: &Entry) -> Value {
    let code = &entry.draft.code;
    let change = json!({
        "type": "object",
        "required": ["op", "row"],
        "properties": {
            "op": { "type": "string", "enum": ["I", "U", "D"], "description": "Inserted, updated, deleted / 新增、修改、删除" },
            "row": { "type": "object", "description": "The row as granted; of a delete the key alone / 数据行，删除时仅含主键" },
        }
    });
    let around = |changes: Value| {
        let mut properties = json!({
            "reset": { "type": "boolean", "description": "What the receiver holds is void: begin with nothing / 接收方应清空后重新开始" },
            "key": { "type": "array", "items": { "type": "string" }, "description": "Columns that tell rows apart / 主键列" },
            "more": { "type": "boolean", "description": "More is there already / 还有更多" },
            "next": { "type": "string", "description": "Position after this answer: keep it together with the rows / 与数据同事务保存的位置" },
        });
        if let (Value::Object(map), false) = (&mut properties, changes.is_null()) {
            map.insert("changes".into(), changes);
        }
        json!({ "type": "object", "required": ["reset", "key", "more", "next"], "properties": properties })
    };
    let mut responses = Map::new();
    responses.insert(
        "200".into(),
        json!({
            "description": "Changes in order / 按序的变化",
            "headers": referred("headers", &["X-Qt-Masked", "X-Qt-Calls-Left"]),
            "content": {
                "application/json": { "schema": around(json!({ "type": "array", "items": change })) },
                "application/x-ndjson": { "schema": { "type": "string" } },
            }
        }),
    );
    errors_into(&mut responses);
    responses.insert(
        "409".into(),
        json!({
            "description": "The position is of a state that is no more: begin without `after` / 位置已失效，请不带 after 重新开始",
            "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } },
        }),
    );
    json!({
        "get": {
            "operationId": format!("changes_{code}"),
            "summary": format!("{} — changes / 回流", entry.draft.title),
            "tags": [entry.draft.domain.zh()],
            "parameters": [
                parameter("after", "`next` of the answer before; absent: from the beginning / 上次返回的 next", json!({ "type": "string", "maxLength": 4096 })),
                parameter("limit", "Most changes of one answer / 每次最多条数", json!({ "type": "integer", "minimum": 1, "maximum": 10000 })),
                parameter("wait", "Seconds to wait for something new / 无变化时等待的秒数", json!({ "type": "integer", "minimum": 0, "maximum": 25 })),
                { "$ref": "#/components/parameters/X-Qt-Algorithm" },
            ],
            "responses": responses,
        }
    })
}

/// Answers that every call may get.
fn errors_into(responses: &mut Map<String, Value>) {
    for (status, text) in ERRORS {
        let headers = match *status {
            "401" | "403" => referred("headers", &["WWW-Authenticate"]),
            "429" | "503" => referred("headers", &["Retry-After"]),
            _ => json!({}),
        };
        responses.insert(
            (*status).into(),
            json!({ "description": text, "headers": headers, "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } } }),
        );
    }
}

const ERRORS: &[(&str, &str)] = &[
    ("400", "The query is not acceptable / 查询条件有误"),
    ("401", "The proof is missing, wrong, late or seen before / 签名或令牌缺失、错误、过期或重放"),
    ("403", "Not granted, ended, or not in the token's scope / 未授权、已到期或超出令牌范围"),
    ("404", "No such resource for this caller / 没有此资源"),
    ("405", "The method is not offered / 不支持的方法"),
    ("406", "The form is not offered / 不支持的返回格式"),
    ("429", "Quota or rate limit used up / 配额或频率超限"),
    ("500", "A defect; tell us the request id / 系统内部错误"),
    ("503", "A store or the audit is not available now / 暂不可用"),
];

fn parameter(name: &str, description: &str, schema: Value) -> Value {
    json!({ "name": name, "in": "query", "required": false, "description": description, "schema": schema })
}

fn list_pattern(names: &[&str], suffix: &str) -> String {
    let one = format!("({}){suffix}", names.join("|"));
    format!("^{one}(,{one}){{0,5}}$")
}

/// Values a column's type accepts, so that whatever the description allows is accepted.
fn filter_pattern(column: &GrantColumn) -> String {
    let value = match column.data_type {
        DataType::Integer => r"-?[0-9]{1,15}",
        DataType::Decimal | DataType::Float => r"-?[0-9]{1,9}(\.[0-9]{1,2})?",
        DataType::Boolean => "(true|false)",
        DataType::Date => "(19|20)[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])",
        DataType::DateTime => {
            "(19|20)[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
        }
        DataType::Text | DataType::Geometry | DataType::Json => {
            r"[^\u0000-\u001f\u007f-\u009f\ud800-\udfff]{1,50}"
        }
    };
    // Of a list: what a comma, a parenthesis or a quote would end must be quoted, which the pattern leaves out.
    let listed = match column.data_type {
        DataType::Text | DataType::Geometry | DataType::Json => {
            r#"[^\u0000-\u001f\u007f-\u009f\ud800-\udfff,()"\\]{1,50}"#
        }
        _ => value,
    };
    let operators = match (column.filterable, column.data_type) {
        (false, _) | (true, DataType::Boolean) => "eq",
        (true, DataType::Text) => "(eq|neq|gt|gte|lt|lte|like|ilike)",
        (true, DataType::Geometry | DataType::Json) => "(eq|neq)",
        _ => "(eq|neq|gt|gte|lt|lte)",
    };
    let is = match (column.filterable, column.data_type) {
        (false, _) => "",
        (true, DataType::Boolean) => r"|is\.(null|not_null|true|false)",
        (true, _) => r"|is\.(null|not_null)",
    };
    let negation = if column.filterable { r"(not\.)?" } else { "" };
    format!(r"^{negation}({operators}\.{value}|in\.\({listed}(,{listed}){{0,9}}\){is})$")
}

fn row_schema(entry: &Entry, columns: &[GrantColumn]) -> Value {
    let mut properties = Map::new();
    for column in columns {
        // A masked value comes out as text, whatever the item's type.
        let kinds = match (&column.mask, column.data_type) {
            (Some(_), _) => json!(["string", "number", "null"]),
            (None, DataType::Integer) => json!(["integer", "null"]),
            (None, DataType::Decimal | DataType::Float) => json!(["number", "string", "null"]),
            (None, DataType::Boolean) => json!(["boolean", "null"]),
            _ => json!(["string", "null"]),
        };
        let mut schema = Map::new();
        schema.insert("type".into(), kinds);
        schema.insert("title".into(), json!(column.name_cn));
        let definition = entry.draft.item(&column.identifier).map(|i| i.definition.as_str());
        if let Some(definition) = definition.filter(|d| !d.is_empty()) {
            schema.insert("description".into(), json!(definition));
        }
        properties.insert(column.identifier.clone(), Value::Object(schema));
    }
    json!({ "type": "object", "title": entry.draft.title, "properties": properties })
}

fn error_schema() -> Value {
    json!({
        "type": "object",
        "required": ["code", "message", "message_zh", "request_id"],
        "properties": {
            "code": { "type": "string", "enum": model::Code::ALL.iter().map(|c| c.as_str()).collect::<Vec<_>>() },
            "message": { "type": "string" },
            "message_zh": { "type": "string" },
            "details": { "type": ["array", "null"], "items": { "type": "string" } },
            "hint": { "type": ["string", "null"] },
            "hint_zh": { "type": ["string", "null"] },
            "reasons": { "type": "array", "items": { "type": "string" } },
            "request_id": { "type": "string" },
        }
    })
}
