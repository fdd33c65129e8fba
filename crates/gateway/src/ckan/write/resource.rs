//! Resources written: links of a declaration, one at a time. What the platform makes itself of an entry (its table, files and interface)
//! is not written here; a file that comes with a resource is for the table (`upload`).

use app::catalogue::{self, Basis};
use model::Op;
use model::entry::{Entry, EntryDraft, Link};
use serde_json::{Map, Value};

use super::super::fault::Fault;
use super::super::params::Params;
use super::super::shape;
use super::{package, read, refused, upload};
use crate::Door;

/// Adds a link.
pub(super) async fn create(door: &Door, person: &Op, params: &Params) -> Result<Value, Fault> {
    upload::only_in_parts(params)?;
    let (entry, mut draft) = package::working(door, person, &params.wanted("package_id")?).await?;
    draft.profile.links.push(link(params.whole())?);
    let at = draft.profile.links.len();
    save(door, person, &entry, draft).await?;
    shown(door, person, &entry, at).await
}

/// Writes a link over; with `some`, only the fields that were sent.
pub(super) async fn update(
    door: &Door,
    person: &Op,
    params: &Params,
    some: bool,
) -> Result<Value, Fault> {
    upload::only_in_parts(params)?;
    let (entry, mut draft, at) = meant(door, person, params).await?;
    let mut sent = params.whole().clone();
    if let Some(held) = draft.profile.links.get_mut(at - 1) {
        if some {
            for (field, value) in
                [("name", &held.title), ("url", &held.url), ("format", &held.format)]
            {
                sent.entry(field.to_owned()).or_insert_with(|| value.clone().into());
            }
        }
        *held = link(&sent)?;
    }
    save(door, person, &entry, draft).await?;
    shown(door, person, &entry, at).await
}

/// Takes a link away.
pub(super) async fn delete(door: &Door, person: &Op, params: &Params) -> Result<Value, Fault> {
    let (entry, mut draft, at) = meant(door, person, params).await?;
    draft.profile.links.remove(at - 1);
    save(door, person, &entry, draft).await?;
    Ok(Value::Null)
}

/// The entry, its declaration and the place of the link (from 1) that a resource's id means.
async fn meant(
    door: &Door,
    person: &Op,
    params: &Params,
) -> Result<(Entry, EntryDraft, usize), Fault> {
    let id = params.wanted("id")?;
    let (of, word) = shape::of_resource(&id).ok_or_else(|| missing(&id))?;
    let (entry, draft) = package::working(door, person, of).await?;
    let Some(number) = word.strip_prefix(shape::LINK) else {
        return Err(Fault::denied(
            "该资源由平台自己生成（表、文件、接口），不能在此修改；表的数据可用 upload 上传文件归集",
            "the platform makes this resource itself (table, files, interface): it is not changed here; rows of the table are collected from a file sent as `upload`",
        ));
    };
    let at = number.parse::<usize>().ok().filter(|n| (1..=draft.profile.links.len()).contains(n));
    let at = at.ok_or_else(|| missing(&id))?;
    Ok((entry, draft, at))
}

/// No resource bears this id, or not for this person.
pub(super) fn missing(id: &str) -> Fault {
    let shown: String = id.chars().take(120).collect();
    Fault::not_found(
        &format!("没有找到资源 `{shown}`"),
        &format!("resource `{shown}` was not found"),
    )
}

/// A resource as a link; one that leads nowhere is refused.
fn link(sent: &Map<String, Value>) -> Result<Link, Fault> {
    let link = read::link(sent);
    if link.url.is_empty() {
        return Err(Fault::missing("url"));
    }
    if link.host().is_none() {
        return Err(Fault::invalid(
            "url",
            "应以 http:// 或 https:// 开头，不含用户名、口令和空格",
            "must begin with http:// or https:// and hold no name, password or space",
        ));
    }
    Ok(link)
}

async fn save(door: &Door, person: &Op, entry: &Entry, draft: EntryDraft) -> Result<(), Fault> {
    let basis = Basis { version: entry.version, updated_at: Some(entry.updated_at.clone()) };
    let saved = catalogue::edit_on(&door.app, person, &entry.id, draft, &basis).await;
    saved.map(|_| ()).map_err(refused)
}

/// The link as a resource of the declaration being worked on.
async fn shown(door: &Door, person: &Op, entry: &Entry, at: usize) -> Result<Value, Fault> {
    let (entry, draft) = package::working(door, person, &entry.id).await?;
    let links = &draft.profile.links;
    let told = shape::linked(&Entry { draft: draft.clone(), ..entry }, links, 0);
    let wanted = told.into_iter().nth(at - 1);
    wanted.ok_or_else(|| Fault::not_found("没有找到资源", "the resource was not found"))
}
