//! What a department's own program writes in CKAN's words: it becomes a draft of the department's through the very functions of the
//! console's form, or a change of what is published, which goes to review. Nothing is published here.
//!
//! A record is read as harvest reads it (`mapped`), with two differences. What is too long is refused and not cut, for whoever sends it
//! can mend it. And what has no place in an entry is told back, field by field.

use model::code::{Domain, OpenType, ShareType};
use model::entry::{Entry, EntryDraft, Link};
use model::harvest::Record;
use model::org::Org;
use model::{Code, Error, FieldError, Op, Result};

use super::mapped;
use crate::App;
use crate::catalogue::{self, Basis};

/// Longest tag, in characters.
const TAG: usize = 50;

/// A data set as a program writes it.
#[derive(Clone, Debug, Default)]
pub struct Load {
    /// Its code here; that of an entry which is written over stays.
    pub code: String,
    /// The data set as an object of JSON in CKAN's words.
    pub document: String,
    pub links: Vec<Link>,
    /// Words of ours that CKAN keeps beside its own (`region`, `open_type`, …).
    pub extras: Vec<(String, String)>,
    /// Said to be nobody's but the department's.
    pub private: bool,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub entry: Entry,
    /// The declaration as handed in: of what is published it waits for review.
    pub draft: EntryDraft,
    /// What has no place in an entry, and why.
    pub left_out: Vec<FieldError>,
}

/// Extras that follow from other fields; they are told in dumps and need not be kept.
const FOLLOWS: &[&str] = &[
    "code",
    "data_at",
    "frequency",
    "grade",
    "organization_en",
    "open_type_name",
    "region_name",
    "region_name_en",
    "rows",
    "title_en",
    "update_cycle",
    "update_cycle_name",
];

/// Makes a draft of the caller's organisation.
pub async fn load_new(app: &App, op: &Op, load: &Load) -> Result<Loaded> {
    let org = own(app, op).await?;
    let (draft, left_out) = declared(app, &org, load, None)?;
    let entry = catalogue::create(app, op, draft).await?;
    Ok(Loaded { draft: entry.draft.clone(), entry, left_out })
}

/// Writes over an entry of the caller's organisation: in place while it is a draft, otherwise as a change that is reviewed.
pub async fn load_over(app: &App, op: &Op, id: &str, load: &Load) -> Result<Loaded> {
    let org = own(app, op).await?;
    let (entry, working) = catalogue::working(app, op, id).await?;
    let (draft, left_out) = declared(app, &org, load, Some(&working))?;
    let basis = Basis { version: entry.version, updated_at: Some(entry.updated_at.clone()) };
    let entry = catalogue::edit_on(app, op, &entry.id, draft, &basis).await?;
    let (entry, draft) = catalogue::working(app, op, &entry.id).await?;
    Ok(Loaded { entry, draft, left_out })
}

/// The organisation for which the caller compiles.
async fn own(app: &App, op: &Op) -> Result<Org> {
    let org = op.actor.org().ok_or_else(|| {
        Error::new(
            Code::Denied,
            "写入目录须以数源单位人员的个人令牌进行",
            "entries are written by the personal token of somebody of a department",
        )
    })?;
    app.store.org_require(org).await
}

/// The declaration that a load makes, and what of it has no place.
fn declared(
    app: &App,
    org: &Org,
    load: &Load,
    known: Option<&EntryDraft>,
) -> Result<(EntryDraft, Vec<FieldError>)> {
    let record = app.harvests.port.package(&load.document)?;
    let mut faults = too_long(app, &record);
    let mut left_out = Vec::new();
    let mut draft = match known {
        Some(known) => known.clone(),
        None => {
            EntryDraft { code: load.code.clone(), ..mapped::linked(&org.id, &org.region, &record) }
        }
    };
    mapped::say(app, &record, &mut draft);
    // There is no cycle that says nothing: one that is not spoken of stays.
    if let Some(known) = known.filter(|_| record.frequency.is_empty()) {
        draft.update_cycle = known.update_cycle;
    }
    draft.domain = domain(&record, draft.domain, &mut left_out);
    draft.profile.links.clone_from(&load.links);
    for (key, value) in &load.extras {
        if let Err(fault) = extra(&mut draft, key, value, &mut left_out) {
            faults.push(fault);
        }
    }
    if load.private {
        draft.open_type = OpenType::None;
    }
    match faults.first() {
        None => Ok((draft, left_out)),
        Some(first) => Err(Error::new(
            Code::RuleBroken,
            format!("数据集有 {} 处需要改正：{}", faults.len(), first.zh),
            format!("{} fields of the data set have to be mended: {}", faults.len(), first.en),
        )
        .with_fields(faults)),
    }
}

/// Texts that harvest would cut.
fn too_long(app: &App, record: &Record) -> Vec<FieldError> {
    let size = &app.rules.catalogue.size;
    let mut faults = Vec::new();
    for (field, zh, text, most) in [
        ("title", "名称", &record.title, size.title),
        ("title_en", "英文名称", &record.title_en, size.title),
        ("notes", "摘要", &record.description, size.description),
        ("license_title", "许可", &record.licence, size.text),
    ] {
        let length = text.chars().count();
        if length > most {
            faults.push(fault(
                field,
                format!("{zh}最多 {most} 个字，现有 {length} 个"),
                format!("`{field}` may have {most} characters at most, it has {length}"),
            ));
        }
    }
    if record.keywords.len() > size.tags {
        faults.push(fault(
            "tags",
            format!("标签最多 {} 个，现有 {} 个", size.tags, record.keywords.len()),
            format!("there may be {} tags at most, there are {}", size.tags, record.keywords.len()),
        ));
    }
    if record.keywords.iter().any(|t| t.contains('|') || t.chars().count() > TAG) {
        faults.push(fault(
            "tags",
            format!("每个标签最多 {TAG} 个字，且不能含有 `|`"),
            format!("a tag has {TAG} characters at most and no `|`"),
        ));
    }
    faults
}

/// The domain of a group; a group that is none is told, and the entry stays where it was.
fn domain(record: &Record, before: Domain, left_out: &mut Vec<FieldError>) -> Domain {
    if record.theme.is_empty() {
        return before;
    }
    mapped::said_domain(&record.theme).unwrap_or_else(|| {
        let shown: String = record.theme.chars().take(80).collect();
        left_out.push(fault(
            "groups",
            format!("没有分组 `{shown}`：分组是数据领域，见 group_list；请在控制台选定"),
            format!("there is no group `{shown}`: groups are domains, see group_list; choose one in the console"),
        ));
        before
    })
}

/// Takes one extra where an entry has a field for it.
fn extra(
    draft: &mut EntryDraft,
    key: &str,
    value: &str,
    left_out: &mut Vec<FieldError>,
) -> std::result::Result<(), FieldError> {
    let text = match key {
        "region" => &mut draft.region,
        "time_range" => &mut draft.time_range,
        "attribution" => &mut draft.attribution,
        "source_system" => &mut draft.source_system,
        "open_condition" => &mut draft.open_condition,
        "open_basis" => &mut draft.open_basis,
        "share_condition" => &mut draft.share_condition,
        "share_basis" => &mut draft.share_basis,
        "open_type" => {
            draft.open_type = OpenType::parse(value).ok_or_else(|| unlisted(key, value))?;
            return Ok(());
        }
        "share_type" => {
            draft.share_type = ShareType::parse(value).ok_or_else(|| unlisted(key, value))?;
            return Ok(());
        }
        _ => {
            let follows =
                FOLLOWS.contains(&key) || key.starts_with("harvest_") || key.starts_with("origin_");
            if !follows {
                let shown: String = key.chars().take(80).collect();
                left_out.push(fault(
                    &format!("extras.{shown}"),
                    "目录没有对应的字段，未保存".to_owned(),
                    "an entry has no such field: it was not kept".to_owned(),
                ));
            }
            return Ok(());
        }
    };
    value.clone_into(text);
    Ok(())
}

fn unlisted(field: &str, word: &str) -> FieldError {
    let shown: String = word.chars().take(80).collect();
    fault(
        field,
        format!("代码表中没有 `{shown}`"),
        format!("the code list does not hold `{shown}`"),
    )
}

fn fault(field: &str, zh: String, en: String) -> FieldError {
    FieldError { field: field.to_owned(), zh, en }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extras_find_their_field_or_are_told() {
        let mut draft = catalogue::blank("o", "330000");
        let mut left_out = Vec::new();
        for (key, value) in [
            ("region", "330106"),
            ("open_type", "restricted"),
            ("open_condition", "实名认证"),
            ("share_type", "无条件共享"),
            ("rows", "12"),
            ("harvest_source_title", "x"),
            ("colour", "red"),
        ] {
            extra(&mut draft, key, value, &mut left_out).unwrap();
        }
        assert_eq!((draft.region.as_str(), draft.open_type), ("330106", OpenType::Restricted));
        assert_eq!(draft.share_type, ShareType::Unconditional);
        assert_eq!(draft.open_condition, "实名认证");
        let told: Vec<&str> = left_out.iter().map(|f| f.field.as_str()).collect();
        assert_eq!(told, ["extras.colour"]);
        let wrong = extra(&mut draft, "open_type", "perhaps", &mut left_out).unwrap_err();
        assert_eq!(wrong.field, "open_type");
    }

    #[test]
    fn a_group_that_is_none_is_told_and_changes_nothing() {
        let mut left_out = Vec::new();
        let of = |theme: &str| Record { theme: theme.into(), ..Record::default() };
        assert_eq!(domain(&of("transport"), Domain::Other, &mut left_out), Domain::Traffic);
        assert_eq!(domain(&of(""), Domain::Market, &mut left_out), Domain::Market);
        assert!(left_out.is_empty());
        assert_eq!(domain(&of("Astrology"), Domain::Market, &mut left_out), Domain::Market);
        assert_eq!(left_out.len(), 1);
    }
}
