//! Actions that write, for a department's own programs (`ckanapi load`): off until the operator switches them on (`[gateway]
//! ckan_write`). Whoever writes is a person who compiles, known by a personal token; a write makes or changes a **draft** through the
//! functions of the console's form, or hands a change of what is published in to review. Nothing is published or withdrawn here.
//!
//! `who` makes sure of the person, `read` turns a data set of CKAN's into a load, `package` and `resource` are the actions over drafts
//! and their links, `upload` collects the rows of a file. Organisations and groups are the platform's: writing one as it is changes nothing and is answered so, as
//! `ckanapi load` needs it; anything else is refused by name.

mod package;
mod read;
mod resource;
mod upload;
mod who;

use app::opening;
use model::{Code, Error, FieldError, Kind, Op};
use serde_json::{Value, json};

pub(super) use self::upload::{bring, collect, may_bring};
pub(super) use self::who::{Who, who};
use super::fault::Fault;
use super::params::Params;
use super::{listed, shape};
use crate::Door;

/// Actions that write, whether they are offered or not.
const WRITES: &[&str] = &[
    "api_token_create",
    "api_token_list",
    "api_token_revoke",
    "datastore_create",
    "datastore_delete",
    "datastore_records_delete",
    "datastore_upsert",
    "dataset_purge",
    "group_create",
    "group_delete",
    "group_patch",
    "group_update",
    "organization_create",
    "organization_delete",
    "organization_patch",
    "organization_update",
    "package_create",
    "package_delete",
    "package_patch",
    "package_revise",
    "package_update",
    "resource_create",
    "resource_delete",
    "resource_patch",
    "resource_update",
    "resource_view_create",
    "resource_view_delete",
    "resource_view_update",
    "tag_create",
    "tag_delete",
    "user_create",
    "user_update",
];

/// Those that are offered, with what they take.
const OFFERED: &[(&str, &str)] = &[
    (
        "package_create",
        "新建草稿 / makes a draft. name, title, notes, tags, groups (one domain), license_id, resources (links), extras (region, \
         open_type, open_condition, share_type, share_condition, share_basis, time_range, …), owner_org (one's own)",
    ),
    (
        "package_update",
        "改写草稿；已发布的转入变更审核 / writes a draft over; of what is published the change goes to review. id or name, and all of package_create",
    ),
    ("package_patch", "只改所给字段 / changes the fields that are given. id"),
    ("package_delete", "放弃草稿 / gives a draft up. id"),
    (
        "resource_create",
        "增加一个数据链接 / adds a link. package_id, url, name, format；或以 upload 上传文件，归集到数据集的表 / or a file as upload, \
         whose rows are collected into the table of the data set: package_id, mode (full, incremental)",
    ),
    (
        "resource_update",
        "改写一个数据链接 / writes a link over. id, url, name, format；或以 upload 上传文件，归集到表 / or a file as upload for the table: \
         id (…-csv), mode",
    ),
    ("resource_patch", "只改所给字段 / changes the fields that are given. id; upload, mode"),
    ("resource_delete", "去掉一个数据链接 / takes a link away. id"),
    (
        "organization_update",
        "机构由平台维护，与现状相同则原样应答 / organisations are the platform's: as it is, it is answered",
    ),
    ("organization_patch", "同上 / the same"),
    (
        "group_update",
        "分组即数据领域，与现状相同则原样应答 / groups are domains: as it is, it is answered",
    ),
    ("group_patch", "同上 / the same"),
];

/// Actions that tell more to who brings a token.
const AWARE: &[&str] = &["package_show", "organization_show", "organization_list_for_user"];

pub(super) fn is_write(name: &str) -> bool {
    WRITES.contains(&name)
}

/// What an action that writes is for.
pub(super) fn help(name: &str) -> &'static str {
    let offered = OFFERED.iter().find(|(known, _)| *known == name);
    offered.map_or("不提供 / not offered.", |(_, text)| *text)
}

/// What a person who brings a token is told beside what anybody is: drafts and organisation of their own. `None`: nothing else.
pub(super) async fn told(
    door: &Door,
    op: &Op,
    who: &Who,
    name: &str,
    params: &Params,
) -> Result<Option<Value>, Fault> {
    let Who::Person(person) = who else { return Ok(None) };
    match name {
        "package_show" => package::show(door, op, person, params).await,
        "organization_show" => {
            let id = params.wanted("id")?;
            own(door, person, &id).await
        }
        "organization_list_for_user" => {
            let org = person.actor.org().unwrap_or_default();
            Ok(own(door, person, org).await?.map(|org| json!([org])))
        }
        _ => Ok(None),
    }
}

/// One's own organisation, whether it has open sets or not, when it is the one that is meant.
async fn own(door: &Door, person: &Op, named: &str) -> Result<Option<Value>, Fault> {
    let Some(org) = person.actor.org() else { return Ok(None) };
    let org = app::org::get(&door.app, person, org).await?;
    if !is_org(&org, named) {
        return Ok(None);
    }
    let open = opening::open_organisations(&door.app, person).await?;
    let sets = open.iter().find(|(o, _)| o.id == org.id).map_or(0, |(_, n)| *n);
    Ok(Some(shape::listed_organisation(&org, sets)))
}

/// Whether an organisation is meant: by its name, its id or its credit code.
fn is_org(org: &model::org::Org, named: &str) -> bool {
    shape::name(&org.id) == named || org.id == named || org.uscc == named
}

pub(super) async fn run(
    door: &Door,
    op: &Op,
    who: &Who,
    name: &str,
    params: &Params,
) -> Result<Value, Fault> {
    let person = who.person()?;
    match name {
        "package_create" => package::create(door, person, params).await,
        "package_update" => package::update(door, person, params, false).await,
        "package_patch" => package::update(door, person, params, true).await,
        "package_delete" => package::delete(door, person, params).await,
        "resource_create" => resource::create(door, person, params).await,
        "resource_update" => resource::update(door, person, params, false).await,
        "resource_patch" => resource::update(door, person, params, true).await,
        "resource_delete" => resource::delete(door, person, params).await,
        "organization_update" | "organization_patch" => {
            let id = params.text("id").or_else(|| params.text("name"));
            let id = id.ok_or_else(|| Fault::missing("id"))?;
            let org = match own(door, person, &id).await? {
                Some(org) => org,
                None => listed::organisation(door, op, params).await?,
            };
            same(&org, params, &["title", "description"]).map_err(|()| {
                Fault::denied(
                    "机构的名称和信息由系统管理员在控制台维护",
                    "names and particulars of organisations are kept by the system administrator, in the console",
                )
            })?;
            Ok(org)
        }
        "group_update" | "group_patch" => {
            let group = listed::group(door, op, params).await?;
            same(&group, params, &["title", "description"]).map_err(|()| {
                Fault::denied(
                    "分组是数据领域的代码表，由平台规定，不能修改",
                    "groups are the code list of domains: the platform's, and not changed here",
                )
            })?;
            Ok(group)
        }
        _ => Err(Fault::denied(
            "本接口不提供此动作；请在控制台办理（机构、账号、令牌、归集与删除）",
            "this action is not offered by this door: use the console (organisations, accounts, tokens, collection, removal)",
        )),
    }
}

/// Whether what was sent says of these fields what is there already, or nothing; and nothing is to be deleted.
fn same(there: &Value, params: &Params, fields: &[&str]) -> Result<(), ()> {
    let deleted = params.text("state").is_some_and(|s| s == "deleted");
    let differs = |field: &&str| {
        let sent = params.text(field).filter(|t| !t.is_empty());
        sent.is_some_and(|sent| there.get(*field).and_then(Value::as_str) != Some(sent.as_str()))
    };
    if deleted || fields.iter().any(differs) { Err(()) } else { Ok(()) }
}

/// A refusal of the catalogue's in CKAN's words: fields by CKAN's names.
fn refused(error: Error) -> Fault {
    let mut fields: Vec<FieldError> = error.fields().to_vec();
    for field in &mut fields {
        field.field = ckan_field(&field.field).to_owned();
    }
    if fields.is_empty() && matches!(error.kind(), Kind::Invalid | Kind::Conflict) {
        let field = if error.code() == Code::Duplicate { "name" } else { "id" };
        let (zh, en) = (error.zh().to_owned(), error.en().to_owned());
        fields.push(FieldError { field: field.to_owned(), zh, en });
    }
    Fault::from(error.with_fields(fields))
}

fn ckan_field(field: &str) -> &str {
    match field {
        "code" => "name",
        "description" => "notes",
        "org" => "owner_org",
        "licence" => "license_id",
        "domain" => "groups",
        links if links.starts_with("links") => "resources",
        other => other,
    }
}

/// Fields that were left out, as an answer tells them.
fn left_out(all: &[FieldError]) -> Value {
    all.iter()
        .map(|f| json!({ "field": f.field, "message": format!("{} / {}", f.zh, f.en) }))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;

    #[test]
    fn what_is_offered_is_a_write_and_has_its_help() {
        for (name, _) in OFFERED {
            assert!(is_write(name), "{name}");
            assert!(help(name).contains(" / "), "{name}");
        }
        assert_eq!(help("user_create"), "不提供 / not offered.");
        assert!(AWARE.iter().all(|name| !is_write(name)));
    }

    #[test]
    fn only_what_differs_is_a_change() {
        let there = json!({ "title": "省厅", "description": "Department" });
        let sent = |text: &str| {
            let map: Map<String, Value> = serde_json::from_str(text).unwrap();
            same(&there, &Params::from(map), &["title", "description"]).is_ok()
        };
        assert!(sent("{}") && sent(r#"{"title": "省厅", "description": ""}"#));
        assert!(!sent(r#"{"title": "别的"}"#) && !sent(r#"{"state": "deleted"}"#));
    }

    #[test]
    fn fields_are_told_by_ckans_names() {
        let error = Error::invalid("错", "wrong").field("links[2].url", "坏", "bad");
        assert!(format!("{:?}", refused(error)).contains("resources"));
        let taken = Error::of(Code::Duplicate);
        assert!(format!("{:?}", refused(taken)).contains("name"));
    }
}
