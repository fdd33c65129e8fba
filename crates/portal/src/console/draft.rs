//! Entry drafts from and to forms: fields by name, items by number.

use model::FieldError;
use model::code::{
    AppScene, DataKind, DataLevel, DataRange, DataType, Domain, Grade, OpenLevel, OpenType,
    ProcessingLevel, ProviderChannel, ResourceKind, ShareType, SharedMode, SyncMode, SystemLevel,
    TableType, UpdateCycle,
};
use model::entry::{EntryDraft, Link, Profile};
use model::item::Item;
use model::mask::{Generalise, Mask};

use crate::form::Posted;

/// Most items of a form; larger catalogues come by import.
pub(super) const MOST_ITEMS: usize = 3_000;

/// An empty entry of an organisation.
pub(crate) fn empty(org: &str, region: &str) -> EntryDraft {
    app::catalogue::blank(org, region)
}

/// An empty item row: restricted and closed until someone says otherwise.
pub(super) fn empty_item() -> Item {
    let mut item = Item::new("", "", DataType::Text);
    item.share_type = ShareType::Restricted;
    item.open_type = OpenType::None;
    item.grade = Grade::L2;
    item
}

/// Reads the entry form. A word that no code list holds is named and the list's first stands in for it.
pub(super) fn read(posted: &Posted) -> (EntryDraft, Vec<FieldError>) {
    let mut faults = Vec::new();
    let get = |name: &str| posted.get(name).to_owned();
    let mut draft = empty(posted.get("org"), posted.get("region"));
    draft.code = get("code");
    draft.title = get("title");
    draft.title_en = get("title_en");
    draft.description = get("description");
    draft.tags = posted
        .get("tags")
        .split([',', '，', ';', '；', '、'])
        .map(str::trim)
        .filter(|t| !t.is_empty())
        .map(str::to_owned)
        .collect();
    let f = &mut faults;
    draft.domain = listed(posted, "domain", Domain::parse, draft.domain, f);
    draft.kind = listed(posted, "kind", ResourceKind::parse, draft.kind, f);
    draft.update_cycle = listed(posted, "update_cycle", UpdateCycle::parse, draft.update_cycle, f);
    draft.sync_mode = listed(posted, "sync_mode", SyncMode::parse, draft.sync_mode, f);
    draft.share_type = listed(posted, "share_type", ShareType::parse, draft.share_type, f);
    draft.open_type = listed(posted, "open_type", OpenType::parse, draft.open_type, f);
    draft.share_condition = get("share_condition");
    draft.share_basis = get("share_basis");
    draft.open_condition = get("open_condition");
    draft.open_basis = get("open_basis");
    draft.raised_grade = Grade::parse(posted.get("raised_grade"));
    draft.time_range = get("time_range");
    draft.source_system = get("source_system");
    draft.licence = get("licence");
    draft.attribution = get("attribution");
    draft.profile = profile(posted, f);
    draft.items = numbers(posted).into_iter().map(|i| item(posted, i, f)).collect();
    (draft, faults)
}

/// The further fields of the catalogue schema. An empty select says nothing.
fn profile(posted: &Posted, f: &mut Vec<FieldError>) -> Profile {
    let get = |name: &str| posted.get(name).to_owned();
    let kinds = posted.all("data_kinds").filter_map(|word| {
        let kind = DataKind::parse(word);
        if kind.is_none() {
            f.push(unlisted("data_kinds", word));
        }
        kind
    });
    let data_kinds = kinds.collect();
    Profile {
        theme: get("theme"),
        group: get("group"),
        source_department: get("source_department"),
        central_department: get("central_department"),
        data_level: maybe(posted, "data_level", DataLevel::parse, f),
        data_range: maybe(posted, "data_range", DataRange::parse, f),
        data_kinds,
        processing_level: maybe(posted, "processing_level", ProcessingLevel::parse, f),
        provider_channel: maybe(posted, "provider_channel", ProviderChannel::parse, f),
        shared_mode: maybe(posted, "shared_mode", SharedMode::parse, f),
        open_level: maybe(posted, "open_level", OpenLevel::parse, f),
        update_cycle_other: get("update_cycle_other"),
        sync_frequency: get("sync_frequency"),
        table_type: maybe(posted, "table_type", TableType::parse, f),
        physical_deletion: posted.ticked("physical_deletion"),
        electronic_proof: posted.ticked("electronic_proof"),
        operation_authorized: posted.ticked("operation_authorized"),
        app_scene: maybe(posted, "app_scene", AppScene::parse, f),
        business_matters: get("business_matters"),
        related_matters: get("related_matters"),
        links: Link::read(posted.get("links")),
    }
}

fn unlisted(field: &str, word: &str) -> FieldError {
    FieldError {
        field: field.to_owned(),
        zh: format!("代码表中没有 `{word}`，请从列表选择"),
        en: format!("the code list does not hold `{word}`, choose from the list"),
    }
}

/// A word of a code list that may be left out.
fn maybe<T>(
    posted: &Posted,
    name: &str,
    parse: impl Fn(&str) -> Option<T>,
    faults: &mut Vec<FieldError>,
) -> Option<T> {
    let word = posted.get(name);
    if word.is_empty() {
        return None;
    }
    let found = parse(word);
    if found.is_none() {
        faults.push(unlisted(name, word));
    }
    found
}

/// Numbers of the item rows in the form, in order.
fn numbers(posted: &Posted) -> Vec<usize> {
    let mut all: Vec<usize> = posted
        .names()
        .filter_map(|n| n.strip_prefix("item-")?.strip_suffix("-identifier")?.parse().ok())
        .collect();
    all.sort_unstable();
    all.dedup();
    all.truncate(MOST_ITEMS);
    all
}

fn item(posted: &Posted, i: usize, faults: &mut Vec<FieldError>) -> Item {
    let key = |name: &str| format!("item-{i}-{name}");
    let get = |name: &str| posted.get(&key(name)).to_owned();
    let mut item = empty_item();
    item.identifier = get("identifier");
    item.name_cn = get("name_cn");
    item.name_en = get("name_en");
    item.definition = get("definition");
    item.data_type = listed(posted, &key("data_type"), DataType::parse, item.data_type, faults);
    item.grade = listed(posted, &key("grade"), Grade::parse, item.grade, faults);
    item.share_type = listed(posted, &key("share_type"), ShareType::parse, item.share_type, faults);
    item.open_type = listed(posted, &key("open_type"), OpenType::parse, item.open_type, faults);
    for (field, name) in [
        (&mut item.share_condition, "share_condition"),
        (&mut item.share_basis, "share_basis"),
        (&mut item.open_condition, "open_condition"),
        (&mut item.open_basis, "open_basis"),
        (&mut item.format, "format"),
        (&mut item.value_domain, "value_domain"),
        (&mut item.unit, "unit"),
        (&mut item.object_class, "object_class"),
        (&mut item.representation, "representation"),
        (&mut item.relation, "relation"),
        (&mut item.source_org, "source_org"),
        (&mut item.app, "app"),
        (&mut item.remark, "remark"),
        (&mut item.version, "version"),
        (&mut item.publish_date, "publish_date"),
        (&mut item.standard_code, "standard_code"),
        (&mut item.code_table, "code_table"),
        (&mut item.source_system, "source_system"),
    ] {
        *field = posted.get(&key(name)).to_owned();
    }
    item.length = number(posted, &key("length"), faults);
    item.precision = number(posted, &key("precision"), faults);
    item.scale = number(posted, &key("scale"), faults);
    item.primary = posted.ticked(&key("primary"));
    item.lookup = posted.ticked(&key("lookup"));
    item.nullable = !posted.ticked(&key("required"));
    item.source_system_level =
        maybe(posted, &key("source_system_level"), SystemLevel::parse, faults);
    item.timestamp = posted.ticked(&key("timestamp"));
    item.classified = posted.ticked(&key("classified"));
    item.sensitive = posted.ticked(&key("sensitive"));
    item.mask = mask(posted.get(&key("mask")));
    item
}

fn listed<T: Copy>(
    posted: &Posted,
    name: &str,
    parse: impl Fn(&str) -> Option<T>,
    otherwise: T,
    faults: &mut Vec<FieldError>,
) -> T {
    let word = posted.get(name);
    if word.is_empty() {
        return otherwise;
    }
    parse(word).unwrap_or_else(|| {
        faults.push(unlisted(name, word));
        otherwise
    })
}

/// A whole number; empty is zero.
fn number<T: std::str::FromStr + Default>(
    posted: &Posted,
    name: &str,
    faults: &mut Vec<FieldError>,
) -> T {
    let text = posted.get(name);
    if text.is_empty() {
        return T::default();
    }
    text.parse().unwrap_or_else(|_| {
        faults.push(FieldError {
            field: name.to_owned(),
            zh: format!("`{text}` 不是合适的整数"),
            en: format!("`{text}` is not a fitting whole number"),
        });
        T::default()
    })
}

/// The word of a mask in the form.
pub(super) fn mask_word(mask: Option<&Mask>) -> String {
    match mask {
        None => String::new(),
        Some(Mask::Keep { head, tail }) => format!("keep-{head}-{tail}"),
        Some(Mask::Hash) => "hash".into(),
        Some(Mask::Generalise { to: Generalise::Year }) => "year".into(),
        Some(Mask::Generalise { to: Generalise::Month }) => "month".into(),
        Some(Mask::Generalise { to: Generalise::Prefix(n) }) => format!("prefix-{n}"),
        Some(Mask::Round { step }) => format!("round-{step}"),
        Some(Mask::Blank) => "blank".into(),
        Some(Mask::Replace) => "replace".into(),
        Some(Mask::FormatPreserving) => "format_preserving".into(),
    }
}

fn mask(word: &str) -> Option<Mask> {
    let mut parts = word.split('-');
    let name = parts.next()?;
    let mut number = || parts.next()?.parse::<u32>().ok();
    Some(match name {
        "keep" => Mask::Keep { head: number()?, tail: number()? },
        "hash" => Mask::Hash,
        "year" => Mask::Generalise { to: Generalise::Year },
        "month" => Mask::Generalise { to: Generalise::Month },
        "prefix" => Mask::Generalise { to: Generalise::Prefix(number()?) },
        "round" => Mask::Round { step: i64::from(number()?) },
        "blank" => Mask::Blank,
        "replace" => Mask::Replace,
        "format_preserving" => Mask::FormatPreserving,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_reads_into_a_draft() {
        let posted = Posted::of(&[
            ("code", "parking_lots"),
            ("title", "停车场"),
            ("org", "o1"),
            ("region", "330100"),
            ("domain", "14"),
            ("tags", "停车，交通;车位"),
            ("share_type", "unconditional"),
            ("item-0-identifier", "id"),
            ("item-0-name_cn", "编号"),
            ("item-0-primary", "on"),
            ("item-0-required", "on"),
            ("item-3-identifier", "fee"),
            ("item-3-data_type", "decimal"),
            ("item-3-precision", "12"),
            ("item-3-scale", "2"),
            ("item-3-mask", "round-10"),
            ("item-3-timestamp", "on"),
            ("item-3-standard_code", "DE00010"),
            ("item-3-source_system_level", "province"),
            ("theme", "出行"),
            ("data_level", "city"),
            ("data_kinds", "place"),
            ("data_kinds", "thing"),
            ("electronic_proof", "on"),
        ]);
        let (draft, faults) = read(&posted);
        assert_eq!(faults, vec![]);
        assert_eq!(draft.tags, ["停车", "交通", "车位"]);
        assert_eq!((draft.domain, draft.share_type), (Domain::Traffic, ShareType::Unconditional));
        assert_eq!(draft.items.len(), 2);
        assert!(draft.items[0].primary && !draft.items[0].nullable);
        assert_eq!(draft.items[1].mask, Some(Mask::Round { step: 10 }));
        assert_eq!((draft.items[1].precision, draft.items[1].scale), (12, 2));
        let fee = &draft.items[1];
        assert!(fee.timestamp && !fee.classified && fee.standard_code == "DE00010");
        assert_eq!(fee.source_system_level, Some(SystemLevel::Province));
        let p = &draft.profile;
        assert_eq!((p.theme.as_str(), p.data_level), ("出行", Some(DataLevel::City)));
        assert_eq!(p.data_kinds, [DataKind::Place, DataKind::Thing]);
        assert!(p.electronic_proof && !p.operation_authorized && p.shared_mode.is_none());
    }

    #[test]
    fn wrong_words_are_named() {
        let posted = Posted::of(&[
            ("domain", "99"),
            ("item-0-identifier", "x"),
            ("item-0-length", "-3"),
            ("data_range", "moon"),
        ]);
        let (_, faults) = read(&posted);
        let fields: Vec<&str> = faults.iter().map(|f| f.field.as_str()).collect();
        assert_eq!(fields, ["domain", "data_range", "item-0-length"]);
    }

    #[test]
    fn masks_go_to_words_and_back() {
        for m in [
            Mask::Keep { head: 3, tail: 4 },
            Mask::Hash,
            Mask::Generalise { to: Generalise::Year },
            Mask::Generalise { to: Generalise::Prefix(2) },
            Mask::Round { step: 1000 },
            Mask::Blank,
            Mask::Replace,
            Mask::FormatPreserving,
        ] {
            assert_eq!(mask(&mask_word(Some(&m))), Some(m));
        }
        assert_eq!(mask(""), None);
        assert_eq!(mask("keep-x"), None);
    }
}
