//! CKAN's Action API in OpenAPI: each action that reads has a path of its own with what it takes, so that a program which knows
//! nothing of CKAN can call it. What a parameter means is told by `help_show`.

use serde_json::{Map, Value, json};

use super::help::ACTIONS;

/// What kind of value a parameter has.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Text,
    Number,
    Flag,
    /// One of CKAN's forms of rows.
    Form,
}

use Kind::{Flag, Form, Number, Text};

/// Parameters of the actions by `GET`; those that are not here take none.
const TAKEN: &[(&str, &[(&str, Kind)])] = &[
    ("help_show", &[("name", Text)]),
    ("package_list", &[("limit", Number), ("offset", Number)]),
    ("current_package_list_with_resources", &[("limit", Number), ("offset", Number)]),
    (
        "package_search",
        &[
            ("q", Text),
            ("fq", Text),
            ("sort", Text),
            ("rows", Number),
            ("start", Number),
            ("facet", Flag),
            ("facet.field", Text),
            ("facet.limit", Number),
            ("facet.mincount", Number),
        ],
    ),
    ("package_show", &[("id", Text)]),
    ("package_autocomplete", &[("q", Text), ("limit", Number)]),
    ("resource_show", &[("id", Text)]),
    ("resource_search", &[("query", Text), ("limit", Number), ("offset", Number)]),
    ("resource_view_list", &[("id", Text)]),
    ("group_list", LISTED),
    ("group_show", SHOWN),
    ("group_package_show", &[("id", Text), ("limit", Number)]),
    ("organization_list", LISTED),
    ("organization_show", SHOWN),
    ("tag_list", &[("query", Text), ("all_fields", Flag)]),
    ("tag_show", SHOWN),
    ("format_autocomplete", &[("q", Text), ("limit", Number)]),
    (
        "datastore_search",
        &[
            ("resource_id", Text),
            ("filters", Text),
            ("q", Text),
            ("sort", Text),
            ("fields", Text),
            ("distinct", Flag),
            ("limit", Number),
            ("offset", Number),
            ("include_total", Flag),
            ("records_format", Form),
        ],
    ),
    ("datastore_info", &[("id", Text)]),
    ("datastore_search_sql", &[("sql", Text)]),
];

const LISTED: &[(&str, Kind)] =
    &[("all_fields", Flag), ("sort", Text), ("limit", Number), ("offset", Number)];
const SHOWN: &[(&str, Kind)] = &[("id", Text), ("include_datasets", Flag)];

/// The paths: every action that reads, any action by its name, and whole tables as files.
pub(crate) fn paths() -> Map<String, Value> {
    let mut paths = Map::new();
    for (name, about) in ACTIONS {
        let taken = TAKEN.iter().find(|(known, _)| known == name).map_or(&[][..], |(_, t)| *t);
        let parameters: Vec<Value> =
            taken.iter().map(|(name, kind)| taken_as(name, *kind)).collect();
        paths.insert(
            format!("/api/3/action/{name}"),
            json!({ "get": {
                "operationId": format!("ckan_{name}"), "summary": about, "parameters": parameters, "responses": responses(),
            } }),
        );
    }
    for (path, id) in
        [("/api/3/action/{name}", "ckan_action"), ("/api/action/{name}", "ckan_action_short")]
    {
        paths.insert(
            path.into(),
            json!({
                "parameters": place("name"),
                "get": {
                    "operationId": id,
                    "summary": "CKAN's Action API, reading / CKAN 动作接口（只读）",
                    "responses": responses(),
                },
                "post": {
                    "operationId": format!("{id}_post"),
                    "summary": "The same with a JSON body / 同上，参数为 JSON",
                    "requestBody": { "content": { "application/json": { "schema": { "type": "object" } } } },
                    "responses": responses(),
                },
            }),
        );
    }
    paths.insert("/datastore/dump/{id}".into(), dumped());
    paths
}

fn dumped() -> Value {
    let mut responses = responses();
    if let Some(responses) = responses.as_object_mut() {
        responses.insert(
            "200".into(),
            json!({ "description": "All rows / 全部行", "content": {
                "text/csv": {}, "text/tab-separated-values": {}, "application/json": {},
            } }),
        );
    }
    let choice = json!({ "type": "string", "enum": ["csv", "tsv", "json"] });
    json!({
        "parameters": place("id"),
        "get": {
            "operationId": "ckan_dump",
            "summary": "A table as a file / 整表下载",
            "parameters": [{ "name": "format", "in": "query", "schema": choice }],
            "responses": responses,
        },
    })
}

fn place(name: &str) -> Value {
    json!([{ "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 } }])
}

/// None is marked as required: an action that misses one says which (409).
fn taken_as(name: &str, kind: Kind) -> Value {
    let schema = match kind {
        Text => json!({ "type": "string" }),
        Number => json!({ "type": "integer", "minimum": 0 }),
        Flag => json!({ "type": "boolean" }),
        Form => json!({ "type": "string", "enum": ["objects", "lists", "csv", "tsv"] }),
    };
    json!({ "name": name, "in": "query", "required": false, "schema": schema })
}

fn responses() -> Value {
    let body = |about: &str| json!({ "description": about, "content": { "application/json": {} } });
    json!({
        "200": { "description": "The result / 结果", "content": { "application/json": { "schema": {
            "type": "object", "required": ["help", "success", "result"],
            "properties": { "help": { "type": "string" }, "success": { "const": true }, "result": {} },
        } } } },
        "400": body("No such action, or a query that cannot be read / 没有此动作，或检索式有误"),
        "403": body("Not open to the caller / 不对调用者开放"),
        "404": body("Not found, or not open / 没有找到，或未开放"),
        "405": body("The method is not offered / 不支持的方法"),
        "409": body("Something to mend, named by field / 参数有误，按字段列出"),
        "429": body("Too many calls / 调用过于频繁"),
        "503": body("Not available now / 暂不可用"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_taken_by_an_action() {
        for (name, _) in TAKEN {
            assert!(ACTIONS.iter().any(|(known, _)| known == name), "{name}");
        }
        let paths = paths();
        assert_eq!(paths.len(), ACTIONS.len() + 3);
        let search = &paths["/api/3/action/package_search"]["get"];
        assert_eq!(search["parameters"].as_array().unwrap().len(), 9);
        assert!(search["summary"].as_str().unwrap().contains("Solr"));
    }
}
