//! Entry drafts from and to forms: fields by name, items by number, and drafts from what a file was found to be.

use model::FieldError;
use model::code::{
    DataType, Domain, Grade, OpenType, ResourceKind, ShareType, SyncMode, UpdateCycle,
};
use model::entry::EntryDraft;
use model::item::Item;
use model::mask::{Generalise, Mask};
use model::parcel::Sniffed;

use crate::form::Posted;

/// Most items of a form; larger catalogues come by import.
const MOST_ITEMS: usize = 3_000;

/// An empty entry of an organisation.
pub(crate) fn empty(org: &str, region: &str) -> EntryDraft {
    EntryDraft {
        code: String::new(),
        title: String::new(),
        title_en: String::new(),
        description: String::new(),
        org: org.to_owned(),
        region: region.to_owned(),
        domain: Domain::Other,
        tags: Vec::new(),
        kind: ResourceKind::Table,
        update_cycle: UpdateCycle::Daily,
        sync_mode: SyncMode::Full,
        share_type: ShareType::Restricted,
        share_condition: String::new(),
        share_basis: String::new(),
        open_type: OpenType::None,
        open_condition: String::new(),
        open_basis: String::new(),
        raised_grade: None,
        time_range: String::new(),
        source_system: String::new(),
        licence: String::new(),
        attribution: String::new(),
        items: Vec::new(),
    }
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
    draft.items = numbers(posted).into_iter().map(|i| item(posted, i, f)).collect();
    (draft, faults)
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
    ] {
        *field = posted.get(&key(name)).to_owned();
    }
    item.length = number(posted, &key("length"), faults);
    item.precision = number(posted, &key("precision"), faults);
    item.scale = number(posted, &key("scale"), faults);
    item.primary = posted.ticked(&key("primary"));
    item.lookup = posted.ticked(&key("lookup"));
    item.nullable = !posted.ticked(&key("required"));
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
        faults.push(FieldError {
            field: name.to_owned(),
            zh: format!("代码表中没有 `{word}`，请从列表选择"),
            en: format!("the code list does not hold `{word}`, choose from the list"),
        });
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

/// Item rows from what was found in a file. Identifiers come from Latin headers; others are numbered for the person
/// to name.
pub(super) fn items(sniffed: &Sniffed) -> Vec<Item> {
    let mut used: Vec<String> = Vec::new();
    (1_usize..)
        .zip(&sniffed.columns)
        .take(MOST_ITEMS)
        .map(|(n, column)| {
            let mut item = empty_item();
            let mut identifier = identifier(&column.name).unwrap_or_else(|| format!("item_{n}"));
            if used.contains(&identifier) {
                identifier = format!("{}_{n}", identifier.chars().take(56).collect::<String>());
            }
            used.push(identifier.clone());
            item.identifier = identifier;
            item.name_cn.clone_from(&column.name);
            item.data_type = column.data_type;
            item.nullable = column.nullable;
            if column.data_type == DataType::Decimal {
                (item.precision, item.scale) = decimal(&column.examples);
            }
            item
        })
        .collect()
}

/// A column name from a Latin header; `None` when nothing of it can be used.
fn identifier(header: &str) -> Option<String> {
    let mut out = String::new();
    for c in header.trim().chars() {
        if c.is_ascii_alphanumeric() {
            out.push(c.to_ascii_lowercase());
        } else if (c.is_ascii_punctuation() || c.is_whitespace()) && !out.ends_with('_') {
            out.push('_');
        } else if !c.is_ascii() {
            return None;
        }
    }
    let out = out.trim_matches('_').to_owned();
    let out = if out.starts_with(|c: char| c.is_ascii_digit()) { format!("c_{out}") } else { out };
    let out: String = out.chars().take(63).collect();
    Item::identifier_ok(&out).then_some(out)
}

/// Digits for a decimal: generous before the point, what the examples show (at least two) after it.
fn decimal(examples: &[String]) -> (u8, u8) {
    let shown =
        examples.iter().filter_map(|e| e.split_once('.')).map(|(_, d)| d.trim().len()).max();
    let scale = u8::try_from(shown.unwrap_or(2).clamp(2, 12)).unwrap_or(2);
    (28, scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::parcel::SniffedColumn;

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
        ]);
        let (draft, faults) = read(&posted);
        assert_eq!(faults, vec![]);
        assert_eq!(draft.tags, ["停车", "交通", "车位"]);
        assert_eq!((draft.domain, draft.share_type), (Domain::Traffic, ShareType::Unconditional));
        assert_eq!(draft.items.len(), 2);
        assert!(draft.items[0].primary && !draft.items[0].nullable);
        assert_eq!(draft.items[1].mask, Some(Mask::Round { step: 10 }));
        assert_eq!((draft.items[1].precision, draft.items[1].scale), (12, 2));
    }

    #[test]
    fn wrong_words_are_named() {
        let posted =
            Posted::of(&[("domain", "99"), ("item-0-identifier", "x"), ("item-0-length", "-3")]);
        let (_, faults) = read(&posted);
        let fields: Vec<&str> = faults.iter().map(|f| f.field.as_str()).collect();
        assert_eq!(fields, ["domain", "item-0-length"]);
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

    #[test]
    fn found_columns_become_items() {
        let column = |name: &str, data_type| SniffedColumn {
            name: name.into(),
            data_type,
            nullable: false,
            examples: vec!["1.234".into()],
        };
        let sniffed = Sniffed {
            format: "csv".into(),
            compression: "none".into(),
            encoding: "utf-8".into(),
            delimiter: None,
            quote: None,
            preamble: 0,
            header_rows: 1,
            footer: 0,
            sheet: None,
            columns: vec![
                column("Station ID", DataType::Integer),
                column("名称", DataType::Text),
                column("PM2.5", DataType::Decimal),
                column("2025", DataType::Text),
                column("station-id", DataType::Text),
            ],
            records: None,
            notes: vec![],
        };
        let got = items(&sniffed);
        let names: Vec<&str> = got.iter().map(|i| i.identifier.as_str()).collect();
        assert_eq!(names, ["station_id", "item_2", "pm2_5", "c_2025", "station_id_5"]);
        assert_eq!((got[2].precision, got[2].scale), (28, 3));
        assert_eq!(got[1].name_cn, "名称");
    }
}
