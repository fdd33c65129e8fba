//! A data set as CKAN's clients write it becomes a load: what has a place is taken, links are told from what the platform makes itself,
//! and every other field that says something is told back.

use std::collections::BTreeSet;

use app::harvest::Load;
use model::FieldError;
use model::entry::Link;
use model::org::Org;
use serde_json::{Map, Value};

use super::super::fault::Fault;
use super::super::shape;
use super::is_org;

/// Fields that a load takes.
const TAKEN: &[&str] = &[
    "extras",
    "groups",
    "license_id",
    "license_title",
    "name",
    "notes",
    "organization",
    "owner_org",
    "private",
    "resources",
    "tags",
    "title",
    "title_translated",
];
/// Fields that follow from others, or that every catalogue says of its own.
const FOLLOWS: &[&str] = &[
    "creator_user_id",
    "id",
    "isopen",
    "license_url",
    "metadata_created",
    "metadata_modified",
    "num_resources",
    "num_tags",
    "not_kept",
    "relationships_as_object",
    "relationships_as_subject",
    "review",
    "revision_id",
    "state",
    "tracking_summary",
    "type",
    "version",
];
/// Fields of a resource that a link takes or that follow.
const OF_RESOURCES: &[&str] = &[
    "cache_last_updated",
    "cache_url",
    "created",
    "datastore_active",
    "format",
    "hash",
    "id",
    "last_modified",
    "metadata_modified",
    "mimetype",
    "mimetype_inner",
    "name",
    "package_id",
    "position",
    "resource_type",
    "revision_id",
    "size",
    "state",
    "tracking_summary",
    "url",
    "url_type",
];

/// A name of CKAN's as a code: `-` has no place in one.
pub(super) fn code(name: &str) -> String {
    name.trim().replace('-', "_")
}

/// The load of a data set as it was sent, for an organisation; `entry` is the id of what is written over.
pub(super) fn load(
    base: &str,
    org: &Org,
    entry: Option<&str>,
    sent: &Map<String, Value>,
) -> Result<(Load, Vec<FieldError>), Fault> {
    let mut sent = sent.clone();
    owner(org, &sent)?;
    for name in ["tags", "groups", "extras", "resources", "organization", "title_translated"] {
        unfold(&mut sent, name)?;
    }
    licence(&mut sent);
    translated(&mut sent);
    let mut left_out = Vec::new();
    let extras = extras(&mut sent)?;
    let links = links(base, entry, &sent, &mut left_out)?;
    if sent.get("groups").and_then(Value::as_array).is_some_and(|g| g.len() > 1) {
        left_out.push(fault(
            "groups",
            "目录只属于一个数据领域，取第一个分组",
            "an entry has one domain: the first group was taken",
        ));
    }
    for (field, value) in &sent {
        if !TAKEN.contains(&field.as_str()) && !FOLLOWS.contains(&field.as_str()) && says(value) {
            let shown: String = field.chars().take(80).collect();
            left_out.push(fault(
                &shown,
                "目录没有对应的字段，未保存",
                "an entry has no such field: it was not kept",
            ));
        }
    }
    let private = match sent.get("private") {
        Some(Value::Bool(truth)) => *truth,
        Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
        _ => false,
    };
    let name = text(&sent, "name");
    // Resources were read above; with them the document would be read twice over.
    sent.remove("resources");
    let document = Value::Object(sent).to_string();
    Ok((Load { code: code(&name), document, links, extras, private }, left_out))
}

/// Drafts are made for one's own organisation alone.
fn owner(org: &Org, sent: &Map<String, Value>) -> Result<(), Fault> {
    let named = text(sent, "owner_org");
    if named.is_empty() || is_org(org, &named) {
        return Ok(());
    }
    let shown: String = named.chars().take(80).collect();
    Err(Fault::denied(
        &format!("owner_org 为 `{shown}`：只能为令牌所有人的单位 `{}` 编目", shape::name(&org.id)),
        &format!(
            "owner_org is `{shown}`: entries are compiled for the organisation of the token's owner, `{}`, alone",
            shape::name(&org.id)
        ),
    ))
}

/// Lists and objects that a form brings as a text of JSON. Another text than that is wrong.
fn unfold(sent: &mut Map<String, Value>, name: &str) -> Result<(), Fault> {
    let wrong = || {
        Fault::invalid(
            name,
            "应为 JSON 列表或对象",
            "Invalid: a list or an object of JSON is wanted",
        )
    };
    let Some(Value::String(whole)) = sent.get(name) else {
        return match sent.get(name) {
            None | Some(Value::Array(_) | Value::Object(_) | Value::Null) => Ok(()),
            Some(_) => Err(wrong()),
        };
    };
    let value = match whole.trim() {
        "" => Value::Null,
        whole => serde_json::from_str(whole).map_err(|_| wrong())?,
    };
    sent.insert(name.to_owned(), value);
    Ok(())
}

/// A licence of the list is kept by its id, any other by its title.
fn licence(sent: &mut Map<String, Value>) {
    let id = text(sent, "license_id");
    if shape::is_licence(&id) {
        sent.remove("license_title");
    }
    if id == "notspecified" {
        sent.remove("license_id");
    }
}

/// A title that is not translated is told in both languages by those who have one: it is no English one.
fn translated(sent: &mut Map<String, Value>) {
    let english = sent.get("title_translated").and_then(|t| t.get("en")).map(plain);
    if english.is_some_and(|english| english == text(sent, "title")) {
        sent.remove("title_translated");
    }
}

/// Extras by key, out of a list of pairs or of an object. They stay in the document too, where some of them are read.
fn extras(sent: &mut Map<String, Value>) -> Result<Vec<(String, String)>, Fault> {
    let mut found = Vec::new();
    match sent.get("extras") {
        None | Some(Value::Null) => {}
        Some(Value::Object(all)) => {
            found.extend(all.iter().map(|(key, value)| (key.clone(), plain(value))));
        }
        Some(Value::Array(all)) => {
            for (n, extra) in all.iter().enumerate() {
                let Some(extra) = extra.as_object().filter(|e| !text(e, "key").is_empty()) else {
                    return Err(Fault::invalid(
                        "extras",
                        &format!("第 {} 项应为含 key 与 value 的对象", n + 1),
                        &format!("number {} must be an object with key and value", n + 1),
                    ));
                };
                found.push((text(extra, "key"), extra.get("value").map(plain).unwrap_or_default()));
            }
        }
        Some(_) => {
            return Err(Fault::invalid("extras", "应为列表", "a list is wanted"));
        }
    }
    let pairs = found.iter().map(|(key, value)| serde_json::json!({ "key": key, "value": value }));
    let pairs = pairs.collect();
    sent.insert("extras".to_owned(), pairs);
    Ok(found)
}

/// Links among the resources: what the platform makes itself is none, and what is no address of the web cannot be one.
fn links(
    base: &str,
    entry: Option<&str>,
    sent: &Map<String, Value>,
    left_out: &mut Vec<FieldError>,
) -> Result<Vec<Link>, Fault> {
    let all = match sent.get("resources") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(all)) => all,
        Some(_) => return Err(Fault::invalid("resources", "应为列表", "a list is wanted")),
    };
    let (mut links, mut lost) = (Vec::new(), BTreeSet::new());
    for (n, resource) in all.iter().enumerate() {
        let Some(resource) = resource.as_object() else {
            return Err(Fault::invalid(
                "resources",
                &format!("第 {} 项应为对象", n + 1),
                &format!("number {} must be an object", n + 1),
            ));
        };
        if entry.is_some_and(|entry| own(entry, &text(resource, "id"))) {
            continue;
        }
        let link = link(resource);
        let ours = !base.is_empty() && link.url.starts_with(&format!("{base}/"));
        if ours || link.host().is_none() {
            left_out.push(not_a_link(n, &link.url, ours));
            continue;
        }
        let said = resource.iter().filter(|(_, value)| says(value)).map(|(field, _)| field);
        lost.extend(said.filter(|field| !OF_RESOURCES.contains(&field.as_str())).cloned());
        links.push(link);
    }
    if !lost.is_empty() {
        let names: Vec<String> = lost.into_iter().take(20).collect();
        let names = names.join(", ");
        left_out.push(FieldError {
            field: "resources".to_owned(),
            zh: format!("数据链接只存名称、地址和格式，未保存：{names}"),
            en: format!("a link has a name, an address and a format; not kept: {names}"),
        });
    }
    Ok(links)
}

/// Whether a resource is one that the platform makes itself of an entry.
pub(super) fn own(entry: &str, resource: &str) -> bool {
    shape::of_resource(resource)
        .is_some_and(|(of, word)| of == entry && !word.starts_with(shape::LINK))
}

/// A resource as a link.
pub(super) fn link(resource: &Map<String, Value>) -> Link {
    let format = match text(resource, "format") {
        none if none.is_empty() => text(resource, "mimetype"),
        format => format,
    };
    Link { title: text(resource, "name"), url: text(resource, "url"), format }
}

fn not_a_link(n: usize, url: &str, ours: bool) -> FieldError {
    let field = format!("resources[{n}]");
    let shown: String = url.chars().take(120).collect();
    let (zh, en) = match ours {
        true => (
            format!("`{shown}` 是本平台自己的地址，由平台生成，未保存"),
            format!("`{shown}` is an address of this platform, which makes it itself: not kept"),
        ),
        false => (
            format!(
                "`{shown}` 不是网址，未保存；文件请用 resource_create 的 upload 上传，或在控制台的目录页上传归集"
            ),
            format!(
                "`{shown}` is no address of the web: not kept; files are sent as `upload` of resource_create, or on the entry's page in the console"
            ),
        ),
    };
    FieldError { field, zh, en }
}

/// Whether a value says anything.
pub(super) fn says(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Number(_) => true,
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(all) => !all.is_empty(),
        Value::Object(all) => !all.is_empty(),
    }
}

/// A member as a text.
pub(super) fn text(of: &Map<String, Value>, name: &str) -> String {
    of.get(name).map(plain).unwrap_or_default()
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn fault(field: &str, zh: &str, en: &str) -> FieldError {
    FieldError { field: field.to_owned(), zh: zh.to_owned(), en: en.to_owned() }
}

#[cfg(test)]
mod tests {
    use model::org::OrgKind;
    use serde_json::json;

    use super::*;

    fn org() -> Org {
        Org {
            id: "org-market".into(),
            uscc: "11330000MB1234567A".into(),
            name_cn: "省市场监管厅".into(),
            name_en: "Market".into(),
            kind: OrgKind::StateOrgan,
            region: "330000".into(),
            parent: None,
            authority: false,
        }
    }

    fn of(sent: &Value, entry: Option<&str>) -> Result<(Load, Vec<FieldError>), Fault> {
        load("https://gate.example", &org(), entry, sent.as_object().unwrap())
    }

    #[test]
    fn what_has_a_place_is_taken_and_the_rest_is_told() {
        let sent = json!({
            "id": "x", "name": "air-quality", "title": "空气", "owner_org": "org-market", "author": "某人",
            "author_email": "", "num_tags": 0, "private": true,
            "extras": [{ "key": "region", "value": "330106" }],
            "resources": [
                { "name": "全部", "url": "https://a.example/x.csv", "mimetype": "text/csv", "description": "每日" },
                { "url": "https://gate.example/datastore/dump/1-csv" },
                { "url": "" },
                { "url": "javascript:alert(1)" },
            ],
        });
        let (load, left_out) = of(&sent, None).unwrap();
        assert_eq!((load.code.as_str(), load.private), ("air_quality", true));
        assert_eq!(load.extras, [("region".to_owned(), "330106".to_owned())]);
        let [link] = load.links.as_slice() else { panic!("{:?}", load.links) };
        assert_eq!((link.title.as_str(), link.format.as_str()), ("全部", "text/csv"));
        let told: Vec<&str> = left_out.iter().map(|f| f.field.as_str()).collect();
        assert_eq!(told, ["resources[1]", "resources[2]", "resources[3]", "resources", "author"]);
    }

    #[test]
    fn what_the_platform_makes_itself_is_no_link() {
        let sent = json!({ "name": "a", "resources": [
            { "id": "e1-csv", "url": "https://elsewhere.example/1" },
            { "id": "e1-link1", "url": "https://elsewhere.example/2" },
        ] });
        let (load, left_out) = of(&sent, Some("e1")).unwrap();
        assert_eq!(load.links.len(), 1);
        assert!(load.links[0].url.ends_with('2') && left_out.is_empty());
    }

    #[test]
    fn forms_bring_lists_as_texts_and_wrong_ones_are_refused() {
        let sent = json!({
            "name": "a", "tags": "[{\"name\": \"t\"}]", "extras": "{\"region\": \"330000\"}", "resources": "",
        });
        let (load, _) = of(&sent, None).unwrap();
        assert!(load.document.contains("\"name\":\"t\""));
        assert_eq!(load.extras.len(), 1);
        for wrong in [
            json!({ "name": "a", "tags": "a, b" }),
            json!({ "name": "a", "extras": [1] }),
            json!({ "name": "a", "resources": [7] }),
            json!({ "name": "a", "resources": 7 }),
            json!({ "name": "a", "owner_org": "org-ecology" }),
        ] {
            assert!(of(&wrong, None).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_licence_of_the_list_is_kept_by_its_id() {
        let of = |id: &str, title: &str| {
            let sent = json!({ "name": "a", "license_id": id, "license_title": title });
            let (load, _) = of(&sent, None).unwrap();
            let document: Value = serde_json::from_str(&load.document).unwrap();
            (document.get("license_id").cloned(), document.get("license_title").cloned())
        };
        assert_eq!(of("cc-by", "Creative Commons"), (Some("cc-by".into()), None));
        assert_eq!(of("notspecified", "未注明"), (None, None));
        assert_eq!(
            of("other-open", "自有许可"),
            (Some("other-open".into()), Some("自有许可".into()))
        );
    }
}
