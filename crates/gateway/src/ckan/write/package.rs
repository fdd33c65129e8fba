//! Data sets written: a draft is made, written over or given up; of what is published the change goes to review. A data set of another
//! organisation is refused when it is open, for then everybody knows it, and is not found otherwise.

use app::harvest::{self, Loaded};
use app::{catalogue, opening};
use model::code::{OpenType, PublishState};
use model::entry::{Entry, EntryDraft};
use model::org::Org;
use model::{Code, Error, FieldError, Kind, Op};
use serde_json::{Map, Value, json};

use super::super::fault::Fault;
use super::super::params::Params;
use super::super::shape::{self, Names, Shown};
use super::{left_out, read, refused};
use crate::Door;

/// Makes a draft.
pub(super) async fn create(door: &Door, person: &Op, params: &Params) -> Result<Value, Fault> {
    let name = params.wanted("name")?;
    let org = organisation(door, person).await?;
    let (load, mut lost) = read::load(base(door), &org, None, params.whole())?;
    renamed(&name, &load.code, &mut lost);
    let made = harvest::load_new(&door.app, person, &load).await.map_err(refused)?;
    answer(door, person, &org, made, lost).await
}

/// Writes a data set over; with `some`, only the fields that were sent.
pub(super) async fn update(
    door: &Door,
    person: &Op,
    params: &Params,
    some: bool,
) -> Result<Value, Fault> {
    let named = match params.text("id").filter(|id| !id.is_empty()) {
        Some(id) => id,
        None => params.wanted("name")?,
    };
    let org = organisation(door, person).await?;
    let (entry, draft) = working(door, person, &named).await?;
    if let Some(name) = params.text("name").filter(|n| !n.is_empty())
        && read::code(&name) != entry.draft.code
    {
        return Err(Fault::invalid(
            "name",
            "目录编码确定后不能修改（它是调用地址和表名）",
            "the code of an entry cannot change (it is its address and table name)",
        ));
    }
    let sent = match some {
        true => patched(door, person, &org, (&entry, &draft), params).await?,
        false => params.whole().clone(),
    };
    let (load, lost) = read::load(base(door), &org, Some(&entry.id), &sent)?;
    let made = harvest::load_over(&door.app, person, &entry.id, &load).await.map_err(refused)?;
    answer(door, person, &org, made, lost).await
}

/// The data set as it is, with what was sent over it.
async fn patched(
    door: &Door,
    person: &Op,
    org: &Org,
    (entry, draft): (&Entry, &EntryDraft),
    params: &Params,
) -> Result<Map<String, Value>, Fault> {
    let mut whole = match told(door, person, org, entry, draft).await? {
        Value::Object(whole) => whole,
        _ => Map::new(),
    };
    // What is told of a licence is its id and its title; whoever sends one of them means that one.
    if params.get("license_id").is_some() || params.get("license_title").is_some() {
        whole.remove("license_id");
        whole.remove("license_title");
    }
    let closes = |word: &str| params.get("private").is_some() && word == "open_type";
    if let Some(Value::Array(extras)) = whole.get_mut("extras") {
        extras.retain(|e| !e.get("key").and_then(Value::as_str).is_some_and(closes));
    }
    // `private` follows from the open attribute; only who sends it means it.
    whole.remove("private");
    for field in ["author", "maintainer", "title_translated", "url"] {
        whole.remove(field);
    }
    for (field, value) in params.whole() {
        whole.insert(field.clone(), value.clone());
    }
    Ok(whole)
}

/// Gives a draft up.
pub(super) async fn delete(door: &Door, person: &Op, params: &Params) -> Result<Value, Fault> {
    let id = params.wanted("id")?;
    let (entry, _) = working(door, person, &id).await?;
    match catalogue::discard(&door.app, person, &entry.id, "").await {
        Ok(()) => Ok(Value::Null),
        Err(e) if e.code() == Code::WrongState => Err(Fault::denied(e.zh(), e.en())),
        Err(e) => Err(refused(e)),
    }
}

/// A data set of the person's own department that is not open; `None` leaves it to what anybody is told.
pub(super) async fn show(
    door: &Door,
    op: &Op,
    person: &Op,
    params: &Params,
) -> Result<Option<Value>, Fault> {
    let Some(named) = params.text("id").or_else(|| params.text("name_or_id")) else {
        return Ok(None);
    };
    match opening::found(&door.app, op, &named).await {
        Ok(_) => return Ok(None),
        Err(e) if e.kind() == Kind::NotFound => {}
        Err(e) => return Err(e.into()),
    }
    let Some(entry) = found(door, person, &named).await? else { return Ok(None) };
    if entry.open() {
        // Known by its name with dashes.
        let open = Map::from_iter([("id".to_owned(), Value::String(entry.id))]);
        return super::super::catalogue::show(door, op, &Params::from(open)).await.map(Some);
    }
    let pending = catalogue::pending(&door.app, person, &entry.id).await?;
    let org = organisation(door, person).await?;
    let draft = pending.unwrap_or_else(|| entry.draft.clone());
    told(door, person, &org, &entry, &draft).await.map(Some)
}

/// An entry of the person's own department, by its id, its code or its name with dashes.
async fn found(door: &Door, person: &Op, named: &str) -> Result<Option<Entry>, Fault> {
    for name in [named.to_owned(), read::code(named)] {
        match catalogue::get(&door.app, person, &name).await {
            Ok(entry) if Some(entry.draft.org.as_str()) == person.actor.org() => {
                return Ok(Some(entry));
            }
            Ok(_) => return Ok(None),
            Err(e) if e.kind() == Kind::NotFound => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(None)
}

/// An entry of the person's own with the declaration that an edit goes on from.
pub(super) async fn working(
    door: &Door,
    person: &Op,
    named: &str,
) -> Result<(Entry, EntryDraft), Fault> {
    let entry = owned(door, person, named).await?;
    catalogue::working(&door.app, person, &entry.id).await.map_err(refused)
}

/// An entry of the person's own.
pub(super) async fn owned(door: &Door, person: &Op, named: &str) -> Result<Entry, Fault> {
    if let Some(entry) = found(door, person, named).await? {
        return Ok(entry);
    }
    let shown: String = named.chars().take(80).collect();
    match opening::found(&door.app, person, named).await {
        Ok(_) => Err(Fault::denied(
            &format!("数据集 `{shown}` 属于别的单位，只有其数源单位可以修改"),
            &format!("the data set `{shown}` is another organisation's, which alone may change it"),
        )),
        Err(e) if e.kind() == Kind::NotFound => Err(Fault::not_found(
            &format!("没有找到数据集 `{shown}`"),
            &format!("data set `{shown}` was not found"),
        )),
        Err(e) => Err(e.into()),
    }
}

/// The organisation for which the person compiles.
async fn organisation(door: &Door, person: &Op) -> Result<Org, Fault> {
    let Some(org) = person.actor.org() else { return Err(Error::of(Code::Denied).into()) };
    Ok(app::org::get(&door.app, person, org).await?)
}

pub(super) fn base(door: &Door) -> &str {
    &door.config.public_url
}

/// A name whose dashes became underscores is told.
fn renamed(name: &str, code: &str, lost: &mut Vec<FieldError>) {
    if name.trim() != code {
        lost.push(FieldError {
            field: "name".to_owned(),
            zh: format!("目录编码不含连字符，记为 `{code}`；按原名也能查到"),
            en: format!("a code has no dashes: it is `{code}`, and found by the name as sent, too"),
        });
    }
}

/// A declaration of an entry as a data set. What is open is told with its own resources, a draft with its links alone.
pub(super) async fn told(
    door: &Door,
    person: &Op,
    org: &Org,
    entry: &Entry,
    draft: &EntryDraft,
) -> Result<Value, Fault> {
    let origin = harvest::origin(&door.app, &entry.draft.code).await?;
    let regions = app::org::regions(&door.app).await?;
    let region = regions.iter().find(|r| r.code == draft.region);
    let own;
    let org = match draft.org == org.id {
        true => org,
        false => {
            own = app::org::get(&door.app, person, &draft.org).await?;
            &own
        }
    };
    let shown = Entry { draft: draft.clone(), ..entry.clone() };
    Ok(shape::package(
        base(door),
        &Shown {
            entry: &shown,
            org: Names { id: &org.id, zh: &org.name_cn, en: &org.name_en },
            region: region.map_or(("", ""), |r| (r.name_cn.as_str(), r.name_en.as_str())),
            free: draft.open_type == OpenType::Unconditional,
            draft: !entry.open(),
            origin: origin.as_ref(),
        },
    ))
}

/// What came of a write: the data set as handed in, what waits for review, and what was not kept.
async fn answer(
    door: &Door,
    person: &Op,
    org: &Org,
    made: Loaded,
    mut lost: Vec<FieldError>,
) -> Result<Value, Fault> {
    let mut whole = told(door, person, org, &made.entry, &made.draft).await?;
    lost.extend(made.left_out);
    if let Some(whole) = whole.as_object_mut() {
        let state = made.entry.publish_state;
        let review = match state {
            PublishState::Unpublished | PublishState::PubReject => {
                "草稿：请在控制台提交审核，审核通过并上线后公开 / a draft: hand it in to review in the console; it is public when published and online"
            }
            PublishState::ChangeAuditing => {
                "变更已提交审核，审核通过前仍按原内容公开 / the change is under review; what is in force stays public until it is approved"
            }
            _ => "与现行内容相同，没有变更 / as it is in force: nothing was changed",
        };
        whole.insert("review".into(), json!({ "state": state.as_str(), "message": review }));
        if !lost.is_empty() {
            whole.insert("not_kept".into(), left_out(&lost));
        }
    }
    Ok(whole)
}
