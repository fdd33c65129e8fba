//! What a programmer reads of an interface: parameters and answer with their items, errors, samples, OpenAPI.

use model::code::{DataType, Grade};
use model::entry::Entry;
use model::interface::{How, Interface, InterfaceState, Kind, Match};
use model::{Code, Op, Result};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::call::{find, missing};
use super::desk::visible;
use super::released::named;
use crate::App;

/// An interface with what its items are called.
#[derive(Clone, Debug, Serialize)]
pub struct Documented {
    pub interface: Interface,
    /// Where it is called.
    pub path: String,
    pub params: Vec<Described>,
    pub returns: Vec<Described>,
    /// The resources it reads: callers need a share application for each.
    pub resources: Vec<Needed>,
    /// Codes of errors that a call may be answered.
    #[serde(skip)]
    pub errors: Vec<Code>,
}

/// A resource that an interface reads.
#[derive(Clone, Debug, Serialize)]
pub struct Needed {
    /// Id of its entry; empty of a result that left a sandbox.
    pub entry: String,
    pub code: String,
    pub title: String,
}

/// A parameter or item.
#[derive(Clone, Debug, Serialize)]
pub struct Described {
    pub name: String,
    pub item: String,
    pub title: String,
    pub data_type: Option<DataType>,
    pub grade: Option<Grade>,
    pub how: Option<Match>,
    pub required: bool,
    pub default: Option<String>,
    pub note: String,
}

/// Errors an interface call may be answered, the ones to mend first.
const ERRORS: [Code; 22] = [
    Code::InvalidInput,
    Code::InvalidQuery,
    Code::SignatureMissing,
    Code::SignatureMismatch,
    Code::TimestampOutOfWindow,
    Code::Replayed,
    Code::SecretExpired,
    Code::NoGrant,
    Code::GrantExpired,
    Code::ColumnNotGranted,
    Code::OutOfBounds,
    Code::PurposeMissing,
    Code::Halted,
    Code::NotFound,
    Code::WrongState,
    Code::QuotaUsedUp,
    Code::RateLimited,
    Code::QueryTooSlow,
    Code::SourceUnavailable,
    Code::StoreUnavailable,
    Code::AuditUnavailable,
    Code::Internal,
];

/// The version that would answer the caller, with its items named.
pub async fn described(
    app: &App,
    op: &Op,
    code: &str,
    version: Option<&str>,
) -> Result<Documented> {
    app.interfaces.look(app, op).await?;
    let interface = find(app, op, code, version)?;
    // What the caller may not know of is not there.
    documented(app, op, &interface.id).await.map_err(|e| match e.code() {
        Code::NotFound => missing(code),
        _ => e,
    })
}

/// A version with its items named.
pub async fn documented(app: &App, op: &Op, id: &str) -> Result<Documented> {
    let interface = visible(app, op, id).await?;
    let mut entries = Vec::new();
    let draft = &interface.draft;
    for code in std::iter::once(&draft.entry).chain(draft.part.iter().map(|p| &p.entry)) {
        entries.push(named(app, op, code).await?);
    }
    let mut resources: Vec<Needed> = Vec::new();
    for entry in entries.iter().flatten() {
        if !resources.iter().any(|r| r.code == entry.draft.code) {
            resources.push(Needed {
                entry: entry.id.clone(),
                code: entry.draft.code.clone(),
                title: entry.draft.title.clone(),
            });
        }
    }
    let item = |part: &str, name: &str| {
        let n = match part {
            "" => 0,
            part => draft.part.iter().position(|p| p.name == part).map_or(usize::MAX, |n| n + 1),
        };
        let entry: Option<&Entry> = entries.get(n).and_then(Option::as_ref);
        entry.and_then(|e| e.draft.item(name))
    };
    let described = |name: &str, place: (&str, &str)| {
        let found = item(place.0, place.1);
        Described {
            name: name.to_owned(),
            item: place.1.to_owned(),
            title: found.map(|i| i.name_cn.clone()).unwrap_or_default(),
            data_type: found.map(|i| i.data_type),
            grade: found.map(|i| i.grade),
            how: None,
            required: false,
            default: None,
            note: String::new(),
        }
    };
    let params = draft.param.iter().map(|p| Described {
        how: Some(p.how),
        required: p.required || draft.kind == Kind::Batch,
        default: p.default.clone(),
        note: p.note.clone(),
        ..described(&p.name, ("", &p.item))
    });
    let returns = draft.returns.iter().map(|r| described(r.label(), r.place()));
    let figures = draft.statistics.iter().flat_map(|s| {
        let groups = s.group_by.iter().map(|g| described(g, ("", g)));
        groups.chain(s.measure.iter().map(|m| {
            let of = described(&m.label(), ("", &m.item));
            // The least and the greatest are values of the item; the others are numbers whatever it is.
            match m.how {
                How::Min | How::Max => of,
                How::Count => Described { data_type: Some(DataType::Integer), ..of },
                How::Sum | How::Avg => Described { data_type: Some(DataType::Decimal), ..of },
            }
        }))
    });
    let (params, returns) = (params.collect(), returns.chain(figures).collect());
    Ok(Documented {
        path: format!("/api/interface/{}", interface.code),
        params,
        returns,
        resources,
        errors: ERRORS.to_vec(),
        interface,
    })
}

/// The query of a sample: required parameters with a word to put in place.
#[must_use]
pub fn sample_query(documented: &Documented) -> String {
    let named = documented.params.iter().filter(|p| p.required);
    let pairs: Vec<String> =
        named.map(|p| format!("{}={}", p.name, p.default.as_deref().unwrap_or("VALUE"))).collect();
    pairs.join("&")
}

/// Whether answers of a kind come in pages: `limit` and `after` are parameters of it.
#[must_use]
pub fn paged(kind: Kind) -> bool {
    matches!(kind, Kind::Query | Kind::Fuzzy | Kind::List | Kind::Incremental | Kind::Composed)
}

/// OpenAPI 3.1 of one interface, with the gateway at `url`.
#[must_use]
pub fn openapi(documented: &Documented, url: &str) -> Value {
    let draft = &documented.interface.draft;
    let code = &documented.interface.code;
    let mut parameters: Vec<Value> = documented
        .params
        .iter()
        .map(|p| {
            let how = p.how.map_or("", Match::zh);
            json!({
                "name": p.name, "in": "query", "required": p.required,
                "description": format!("{}（{how}）{}", p.title, p.note),
                "schema": kind(p.data_type, false),
            })
        })
        .collect();
    let own = |name: &str, text: &str, schema: Value| json!({ "name": name, "in": "query", "required": false, "description": text, "schema": schema });
    if paged(draft.kind) {
        parameters.push(own(
            "limit",
            "每页行数 / rows of one page",
            json!({ "type": "integer", "minimum": 1, "maximum": draft.most_rows }),
        ));
        parameters.push(own(
            "after",
            "上次返回的 next / `next` of the answer before",
            json!({ "type": "string" }),
        ));
    }
    parameters.push(own("version", "版本 / version", json!({ "type": "integer" })));
    let properties: Map<String, Value> = documented
        .returns
        .iter()
        .map(|r| {
            let mut schema = kind(r.data_type, true);
            if let Some(schema) = schema.as_object_mut() {
                schema.insert("title".into(), json!(r.title));
            }
            (r.name.clone(), schema)
        })
        .collect();
    let row = json!({ "type": "object", "properties": properties });
    let body = match draft.kind {
        Kind::Verify => json!({ "type": "object", "required": ["verdict"], "properties": {
            "verdict": { "type": "boolean" }, "verdict_zh": { "enum": ["是", "否"] } } }),
        Kind::Incremental => json!({ "type": "object", "properties": {
            "reset": { "type": "boolean" }, "more": { "type": "boolean" }, "next": { "type": "string" },
            "key": { "type": "array", "items": { "type": "string" } },
            "changes": { "type": "array", "items": { "type": "object", "properties": {
                "op": { "enum": ["I", "U", "D"] }, "row": row } } } } }),
        _ => json!({ "type": "object", "properties": {
            "rows": { "type": "array", "items": row }, "next": { "type": ["string", "null"] },
            "hidden": { "type": "integer" } } }),
    };
    let content = match draft.kind {
        Kind::File => {
            json!({ "text/csv": { "schema": { "type": "string" } }, "application/x-ndjson": { "schema": { "type": "string" } } })
        }
        _ => json!({ "application/json": { "schema": body } }),
    };
    let refusal = json!({ "description": "拒绝 / refused", "content": { "application/json": {
        "schema": { "type": "object", "properties": {
            "code": { "enum": Code::ALL.iter().map(|c| c.as_str()).collect::<Vec<_>>() },
            "message": { "type": "string" }, "message_zh": { "type": "string" }, "request_id": { "type": "string" } } } } } });
    let responses = json!({ "200": { "description": draft.kind.zh(), "content": content }, "default": refusal });
    let deprecated = documented.interface.state == InterfaceState::Deprecated;
    let asked = json!({ "type": "object", "properties": fields(draft.kind, &parameters), "required": required(&parameters) });
    let header = |name: &str| json!({ "type": "apiKey", "in": "header", "name": name });
    json!({
        "openapi": "3.1.0",
        "info": { "title": draft.title, "description": draft.description,
            "version": documented.interface.version.to_string() },
        "servers": [{ "url": url.trim_end_matches('/') }],
        "security": [{ "key": [], "timestamp": [], "nonce": [], "signature": [] }, { "token": [] }],
        "paths": { documented.path.clone(): { "get": {
            "operationId": format!("call_{code}"), "summary": draft.title, "parameters": parameters,
            "responses": responses, "deprecated": deprecated,
        }, "post": {
            "operationId": format!("post_{code}"), "summary": draft.title,
            "requestBody": { "content": { "application/json": { "schema": asked } } },
            "responses": responses, "deprecated": deprecated,
        } } },
        "components": { "securitySchemes": {
            "key": header("X-Qt-Key"), "timestamp": header("X-Qt-Timestamp"), "nonce": header("X-Qt-Nonce"),
            "signature": header("X-Qt-Signature"),
            "token": { "type": "oauth2", "flows": { "clientCredentials": {
                "tokenUrl": format!("{}/oauth2/token", url.trim_end_matches('/')), "scopes": {} } } },
        } },
    })
}

/// The same parameters as fields of a body; the keys of a batch may be a list there.
fn fields(kind: Kind, parameters: &[Value]) -> Map<String, Value> {
    let field = |p: &Value| {
        let name = p.get("name")?.as_str()?.to_owned();
        let schema = p.get("schema")?.clone();
        let listed = kind == Kind::Batch && name != "version";
        Some((name, if listed { json!({ "type": "array", "items": schema }) } else { schema }))
    };
    parameters.iter().filter_map(field).collect()
}

fn required(parameters: &[Value]) -> Vec<&str> {
    let must = |p: &&Value| p.get("required").and_then(Value::as_bool) == Some(true);
    parameters.iter().filter(must).filter_map(|p| p.get("name")?.as_str()).collect()
}

fn kind(data_type: Option<DataType>, answered: bool) -> Value {
    let name = match data_type {
        Some(DataType::Integer) => "integer",
        Some(DataType::Decimal | DataType::Float) => "number",
        Some(DataType::Boolean) => "boolean",
        _ => "string",
    };
    // What is masked, or a long number, is answered as text.
    match (answered, name) {
        (false, name) => json!({ "type": name }),
        (true, "string") => json!({ "type": ["string", "null"] }),
        (true, name) => json!({ "type": [name, "string", "null"] }),
    }
}
