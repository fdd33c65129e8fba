//! A record of another catalogue becomes the declaration of an entry. What people filled in since is theirs: only what a source says
//! is written over.

use guard::hash::sha256_hex;
use model::code::{Domain, OpenType, ResourceKind, ShareType, SyncMode, UpdateCycle};
use model::entry::EntryDraft;
use model::harvest::{HarvestRefusal, HarvestSource, Record};
use model::item::Item;
use model::{Error, Result};

use super::HarvestRules;
use crate::App;
use crate::catalogue::blank;

/// Longest id of another catalogue.
const ID: usize = 500;

/// What the codes of harvested entries begin with.
pub(super) const CODE: &str = "hv_";

/// The code of the entry that a record becomes: of source and foreign id alone.
pub(super) fn code(source: &str, foreign_id: &str) -> String {
    let hash = sha256_hex(format!("{source}\n{foreign_id}").as_bytes());
    let short: String = hash.chars().take(24).collect();
    format!("{CODE}{short}")
}

/// By what a record is known to have changed. Keywords and ways to the data count in any order.
pub(super) fn digest(record: &Record) -> Result<String> {
    let mut even = record.clone();
    even.keywords.sort();
    even.distributions.sort_by(|a, b| (&a.url, &a.title).cmp(&(&b.url, &b.title)));
    let text = serde_json::to_string(&even)
        .map_err(|e| Error::internal("a record as JSON").caused_by(e))?;
    Ok(sha256_hex(text.as_bytes()))
}

/// The declaration: a new one, or `known` with what the source says now.
pub(super) fn draft(
    app: &App,
    source: &HarvestSource,
    record: &Record,
    known: Option<&EntryDraft>,
) -> std::result::Result<EntryDraft, HarvestRefusal> {
    let size = &app.rules.catalogue.size;
    if record.foreign_id.chars().count() > ID {
        return Err(refused(
            record,
            "id",
            "标识符超过 500 字；请来源方改用较短的标识符",
            "its identifier is longer than 500 characters; the source has to use a shorter one",
        ));
    }
    if record.title.trim().is_empty() {
        return Err(refused(
            record,
            "title",
            "没有名称；请来源方补上",
            "it has no title; the source has to give it one",
        ));
    }
    let mut draft = match known {
        Some(known) => known.clone(),
        None => EntryDraft {
            code: code(&source.id, &record.foreign_id),
            source_system: source.name.clone(),
            ..linked(&source.org, &source.region, record)
        },
    };
    say(app, record, &mut draft);
    draft.attribution = match record.publisher.trim() {
        "" => source.name.clone(),
        publisher => cut(&format!("{publisher}（{}）", source.name), size.text),
    };
    Ok(draft)
}

/// Writes what a record says of its data over a declaration.
pub(super) fn say(app: &App, record: &Record, draft: &mut EntryDraft) {
    let size = &app.rules.catalogue.size;
    draft.title = cut(&record.title, size.title);
    draft.title_en = cut(&record.title_en, size.title);
    draft.description = match record.description.trim() {
        "" => draft.title.clone(),
        text => cut(text, size.description),
    };
    draft.tags = tags(&record.keywords, size.tags);
    draft.update_cycle = cycle(&app.rules.harvest, &record.frequency);
    draft.licence = cut(&record.licence, size.text);
}

/// The identifier of the one item of an entry that is known by links alone.
pub(super) const WAY: &str = "url";
const WAY_NAME: &str = "资源地址";

/// An entry known by links alone. What a source does not say is said once, and is people's from then on.
pub(super) fn linked(org: &str, region: &str, record: &Record) -> EntryDraft {
    let mut way = Item::new(WAY, WAY_NAME, model::code::DataType::Text);
    way.name_en = "Address of the resource".into();
    way.definition = "资源在来源平台上的地址；数据由来源平台提供，本平台不归集".into();
    EntryDraft {
        domain: domain(&record.theme),
        kind: ResourceKind::File,
        sync_mode: SyncMode::Full,
        share_type: ShareType::Unconditional,
        open_type: OpenType::Unconditional,
        items: vec![way],
        ..blank(org, region)
    }
}

/// Whether the items of an entry are still those it was made with here: one that holds an address and says nothing of its data.
#[must_use]
pub fn undeclared(draft: &EntryDraft) -> bool {
    matches!(draft.items.as_slice(), [only] if only.identifier == WAY && only.name_cn == WAY_NAME)
}

fn domain(theme: &str) -> Domain {
    said_domain(theme).unwrap_or(Domain::Other)
}

/// The domain of a theme as others write it: its code, its Chinese or English name, or its name as a group of CKAN's.
pub(super) fn said_domain(theme: &str) -> Option<Domain> {
    let word = theme.rsplit(['/', '#']).next().unwrap_or_default();
    let group = |text: &str| Domain::ALL.iter().copied().find(|d| group_name(*d) == text);
    Domain::parse(theme).or_else(|| Domain::parse(word)).or_else(|| group(theme))
}

/// A domain's name as a group of CKAN's: its English one with `-` between the words.
#[must_use]
pub fn group_name(domain: Domain) -> String {
    let words = domain.en().to_ascii_lowercase();
    let parts = words.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty());
    parts.collect::<Vec<_>>().join("-")
}

fn cycle(rules: &HarvestRules, frequency: &str) -> UpdateCycle {
    let word = frequency.trim().to_lowercase();
    if let Some(own) = UpdateCycle::parse(&word) {
        return own;
    }
    let found = rules.words.iter().find(|(_, words)| words.contains(&word));
    found.and_then(|(cycle, _)| UpdateCycle::parse(cycle)).unwrap_or(UpdateCycle::Irregular)
}

/// Keywords as tags are written: without `|`, not too long, each once.
fn tags(keywords: &[String], most: usize) -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    for word in keywords {
        let tag = cut(&word.replace('|', " "), 50);
        if !tag.is_empty() && !tags.contains(&tag) && tags.len() < most {
            tags.push(tag);
        }
    }
    tags
}

/// At most so many characters.
fn cut(text: &str, most: usize) -> String {
    let short: String = text.trim().chars().take(most).collect();
    short.trim_end().to_owned()
}

pub(super) fn refused(record: &Record, field: &str, zh: &str, en: &str) -> HarvestRefusal {
    HarvestRefusal {
        foreign_id: cut(&record.foreign_id, ID),
        title: cut(&record.title, 200),
        field: field.to_owned(),
        zh: zh.to_owned(),
        en: en.to_owned(),
    }
}

/// A refusal of the catalogue's: the first field it names, and what to mend there.
pub(super) fn broken(record: &Record, error: &Error) -> HarvestRefusal {
    match error.fields().first() {
        Some(fault) => refused(record, &fault.field, &fault.zh, &fault.en),
        None => refused(record, "", error.zh(), error.en()),
    }
}

#[cfg(test)]
mod tests {
    use model::harvest::Distribution;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_record_is_the_same_in_any_order_and_another_when_it_says_something_else() {
        let way = |url: &str| Distribution { url: url.into(), ..Distribution::default() };
        let one = Record {
            foreign_id: "a".into(),
            title: "行道树".into(),
            keywords: vec!["b".into(), "a".into()],
            distributions: vec![way("y"), way("x")],
            ..Record::default()
        };
        let mut other = one.clone();
        other.keywords.reverse();
        other.distributions.reverse();
        assert_eq!(digest(&one).unwrap(), digest(&other).unwrap());
        other.title = "行道树木".into();
        assert_ne!(digest(&one).unwrap(), digest(&other).unwrap());
    }

    #[test]
    fn words_of_others_are_read() {
        let rules = super::super::rules(None).unwrap();
        for (word, expected) in [
            ("MONTHLY", UpdateCycle::Monthly),
            ("R/P1Y", UpdateCycle::Yearly),
            ("每日", UpdateCycle::Daily),
            ("ANNUAL_2", UpdateCycle::HalfYearly),
            ("", UpdateCycle::Irregular),
            ("whenever", UpdateCycle::Irregular),
        ] {
            assert_eq!(cycle(&rules, word), expected, "{word}");
        }
        assert_eq!(domain("交通运输"), Domain::Traffic);
        assert_eq!(domain("https://a.example/theme/14"), Domain::Traffic);
        assert_eq!(domain("ecology-and-environment"), Domain::Ecology);
        assert_eq!(domain("ENVI"), Domain::Other);
    }

    proptest! {
        #[test]
        fn tags_can_always_be_kept(words in prop::collection::vec(".{0,80}", 0..80)) {
            let tags = tags(&words, 50);
            prop_assert!(tags.len() <= 50);
            for tag in &tags {
                prop_assert!(!tag.is_empty() && !tag.contains('|') && tag.chars().count() <= 50);
            }
        }

        #[test]
        fn a_code_is_always_one(source in ".{0,40}", id in ".{0,80}") {
            let code = code(&source, &id);
            prop_assert_eq!(code.len(), 27);
            prop_assert!(code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'));
        }
    }
}
