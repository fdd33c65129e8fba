//! Contradictions of a draft, each found with its rule and how to mend it. Pure: no store is asked here.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use model::FieldError;
use model::code::{DataType, Grade, OpenType, ShareType, SyncMode};
use model::entry::EntryDraft;
use model::item::Item;
use model::mask::{Generalise, Mask};

use super::rules::CatalogueRules;

/// Faults found so far.
struct Faults<'a> {
    rules: &'a CatalogueRules,
    found: Vec<FieldError>,
}

impl Faults<'_> {
    fn add(&mut self, field: impl Into<String>, zh: impl Into<String>, en: impl Into<String>) {
        self.found.push(FieldError { field: field.into(), zh: zh.into(), en: en.into() });
    }

    fn text(&mut self, field: &str, zh: &str, value: &str, needed: bool, most: usize) {
        if needed && value.trim().is_empty() {
            self.add(field, format!("{zh}不能为空"), format!("`{field}` must not be empty"));
        }
        let length = value.chars().count();
        if length > most {
            self.add(
                field,
                format!("{zh}最多 {most} 个字，现有 {length} 个"),
                format!("`{field}` may have {most} characters at most, it has {length}"),
            );
        }
    }
}

/// Every contradiction of a draft.
pub(super) fn check(rules: &CatalogueRules, draft: &EntryDraft) -> Vec<FieldError> {
    let mut f = Faults { rules, found: Vec::new() };
    texts(&mut f, draft);
    attributes(&mut f, draft);
    items(&mut f, draft);
    f.found
}

/// What is allowed but should be thought over (GB/T 43697-2024 annex H.4 and the like).
pub(super) fn advise(rules: &CatalogueRules, draft: &EntryDraft) -> Vec<FieldError> {
    let mut f = Faults { rules, found: Vec::new() };
    let grade = draft.grade();
    let advice = &rules.advice;
    let conditional =
        draft.share_type == ShareType::Restricted || draft.open_type == OpenType::Restricted;
    let prohibited = draft.share_type == ShareType::None && draft.open_type == OpenType::None;
    let mut lower = |least: Grade, zh: &str, en: &str| {
        if grade < least {
            f.add(
                "grade",
                format!("{zh}的公共数据建议不低于 {least}（{}），现为 {grade}", advice.basis),
                format!(
                    "{en} public data should be {least} or higher ({}), it is {grade}",
                    advice.basis
                ),
            );
        }
    };
    if prohibited {
        lower(advice.prohibited_least, "不共享且禁止开放", "neither shared nor opened");
    } else if conditional {
        lower(advice.conditional_least, "受限共享或受限开放", "conditionally shared or opened");
    }
    if draft.open_type == OpenType::None && draft.open_basis.is_empty() {
        f.add("open_basis", "建议填写禁止开放的依据", "say on what basis the data are not opened");
    }
    if draft.open_type == OpenType::None {
        for (i, item) in draft.items.iter().enumerate() {
            if item.open_type != OpenType::None {
                f.add(
                    format!("items[{i}].open_type"),
                    format!("目录禁止开放，数据项 `{}` 的开放属性不起作用", item.identifier),
                    format!(
                        "the entry is not open, so the open attribute of `{}` has no effect",
                        item.identifier
                    ),
                );
            }
        }
    }
    f.found
}

fn texts(f: &mut Faults<'_>, d: &EntryDraft) {
    let size = f.rules.size.clone();
    if !code_ok(&d.code) {
        f.add(
            "code",
            format!(
                "目录编码 `{}` 应以小写字母开头，只含小写字母、数字和下划线，2 至 50 位",
                d.code
            ),
            format!("the code `{}` must match [a-z][a-z0-9_]{{1,49}}", d.code),
        );
    }
    f.text("title", "名称", &d.title, true, size.title);
    f.text("title_en", "英文名称", &d.title_en, false, size.title);
    f.text("description", "摘要", &d.description, true, size.description);
    f.text("org", "数源单位", &d.org, true, size.text);
    for (field, zh, value) in [
        ("share_condition", "共享条件", &d.share_condition),
        ("share_basis", "不予共享依据", &d.share_basis),
        ("open_condition", "开放条件", &d.open_condition),
        ("open_basis", "禁止开放依据", &d.open_basis),
        ("time_range", "时间范围", &d.time_range),
        ("source_system", "来源系统", &d.source_system),
        ("licence", "许可", &d.licence),
        ("attribution", "署名", &d.attribution),
    ] {
        f.text(field, zh, value, false, size.text);
    }
    if model::region::level_of(&d.region).is_err() {
        f.add(
            "region",
            format!("行政区划代码 `{}` 应为 6 位数字（GB/T 2260）", d.region),
            format!("the region code `{}` must be six digits (GB/T 2260)", d.region),
        );
    }
    if d.tags.len() > size.tags {
        f.add("tags", format!("标签最多 {} 个", size.tags), format!("at most {} tags", size.tags));
    }
    if d.tags.iter().any(|t| t.contains('|') || t.chars().count() > 50) {
        f.add(
            "tags",
            "每个标签最多 50 个字，且不能含有 `|`",
            "a tag has 50 characters at most and no `|`",
        );
    }
}

/// Code shape `[a-z][a-z0-9_]{1,49}`: safe as a table name, a folder and a piece of an address.
fn code_ok(code: &str) -> bool {
    let mut bytes = code.bytes();
    (2..=50).contains(&code.len())
        && bytes.next().is_some_and(|b| b.is_ascii_lowercase())
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && !code.starts_with("dsc_")
}

fn attributes(f: &mut Faults<'_>, d: &EntryDraft) {
    match d.share_type {
        ShareType::None if d.share_basis.is_empty() => f.add(
            "share_basis",
            "不共享须写明法律、法规或国家有关规定的依据",
            "data that are not shared need a legal basis",
        ),
        ShareType::Restricted if d.share_condition.is_empty() && d.share_basis.is_empty() => f.add(
            "share_condition",
            "受限共享须写明共享条件或理由",
            "restricted sharing needs a condition or a reason",
        ),
        _ => {}
    }
    if d.open_type == OpenType::Restricted && d.open_condition.is_empty() && d.open_basis.is_empty()
    {
        f.add(
            "open_condition",
            "受限开放须写明开放条件或理由",
            "restricted opening needs a condition or a reason",
        );
    }
    let some_open = |wanted: fn(OpenType) -> bool| d.items.iter().any(|i| wanted(i.open_type));
    match d.open_type {
        OpenType::Unconditional if !some_open(|o| o == OpenType::Unconditional) => f.add(
            "open_type",
            "目录无条件开放时，至少要有一个无条件开放的数据项",
            "an unconditionally open entry needs at least one unconditionally open item",
        ),
        OpenType::Restricted if !some_open(|o| o != OpenType::None) => f.add(
            "open_type",
            "目录受限开放时，至少要有一个可以开放的数据项",
            "an entry open under conditions needs at least one item that is open",
        ),
        _ => {}
    }
    if d.sync_mode == SyncMode::Incremental && d.key().is_empty() {
        f.add(
            "sync_mode",
            "增量归集按主键合并，须至少指定一个主键数据项",
            "incremental collection merges by the business key: mark at least one primary item",
        );
    }
}

fn items(f: &mut Faults<'_>, d: &EntryDraft) {
    let most = f.rules.size.items;
    if d.items.is_empty() {
        f.add("items", "至少要有一个数据项", "there must be at least one item");
    }
    if d.items.len() > most {
        f.add("items", format!("数据项最多 {most} 个"), format!("at most {most} items"));
    }
    let mut seen = BTreeSet::new();
    for (i, item) in d.items.iter().enumerate() {
        let at = |field: &str| format!("items[{i}].{field}");
        if !Item::identifier_ok(&item.identifier) {
            f.add(
                at("identifier"),
                format!(
                    "标识符 `{}` 应以小写字母或下划线开头，只含小写字母、数字和下划线，最多 63 位，且不以 dsc_ 开头",
                    item.identifier
                ),
                format!(
                    "the identifier `{}` must match [a-z_][a-z0-9_]*, 63 at most, and not start with dsc_",
                    item.identifier
                ),
            );
        } else if !seen.insert(item.identifier.as_str()) {
            f.add(
                at("identifier"),
                format!("标识符 `{}` 在本目录中重复", item.identifier),
                format!("the identifier `{}` stands twice in this entry", item.identifier),
            );
        }
        item_texts(f, i, item);
        item_attributes(f, i, item, d);
        item_shape(f, i, item);
    }
}

fn item_texts(f: &mut Faults<'_>, i: usize, item: &Item) {
    let most = f.rules.size.text;
    f.text(&format!("items[{i}].name_cn"), "中文名称", &item.name_cn, true, 200);
    for (field, zh, value) in [
        ("name_en", "英文名称", &item.name_en),
        ("definition", "定义", &item.definition),
        ("format", "数据格式", &item.format),
        ("value_domain", "值域", &item.value_domain),
        ("remark", "备注", &item.remark),
        ("share_basis", "不予共享依据", &item.share_basis),
        ("open_basis", "禁止开放依据", &item.open_basis),
    ] {
        f.text(&format!("items[{i}].{field}"), zh, value, false, most);
    }
    if !item.publish_date.is_empty() && item.publish_date.parse::<NaiveDate>().is_err() {
        f.add(
            format!("items[{i}].publish_date"),
            format!("发布日期 `{}` 应写成 YYYY-MM-DD", item.publish_date),
            format!("the publish date `{}` must be YYYY-MM-DD", item.publish_date),
        );
    }
}

fn item_attributes(f: &mut Faults<'_>, i: usize, item: &Item, d: &EntryDraft) {
    let at = |field: &str| format!("items[{i}].{field}");
    let grade = f.rules.grade.clone();
    let name = &item.identifier;
    let mut too_high = |field: &str, zh: &str, en: &str, most: Grade| {
        if item.grade > most {
            f.add(
                at(field),
                format!(
                    "{} 级数据项 `{name}` 不能{zh}（{} 规定最高 {most}）",
                    item.grade, grade.basis
                ),
                format!(
                    "the {} item `{name}` cannot be {en} ({most} at most, {})",
                    item.grade, grade.basis
                ),
            );
        }
    };
    match item.open_type {
        OpenType::Unconditional => {
            too_high(
                "open_type",
                "无条件开放",
                "unconditionally open",
                grade.open_unconditional_most,
            );
        }
        OpenType::Restricted => {
            too_high("open_type", "受限开放", "open under conditions", grade.open_restricted_most);
        }
        OpenType::None => {}
    }
    if item.share_type == ShareType::Unconditional {
        too_high(
            "share_type",
            "无条件共享",
            "unconditionally shared",
            grade.share_unconditional_most,
        );
        if d.share_type == ShareType::None {
            f.add(
                at("share_type"),
                format!("目录不共享，数据项 `{name}` 不能无条件共享"),
                format!(
                    "the entry is not shared, so the item `{name}` cannot be unconditionally shared"
                ),
            );
        }
    }
    if item.share_type == ShareType::None && item.share_basis.is_empty() && d.share_basis.is_empty()
    {
        f.add(
            at("share_basis"),
            format!("数据项 `{name}` 不共享，须写明依据"),
            format!("the item `{name}` is not shared and needs a legal basis"),
        );
    }
    if item.share_type == ShareType::Restricted
        && [&item.share_condition, &item.share_basis, &d.share_condition, &d.share_basis]
            .iter()
            .all(|t| t.is_empty())
    {
        f.add(
            at("share_condition"),
            format!("数据项 `{name}` 受限共享，须写明条件或理由（也可写在目录上）"),
            format!(
                "the item `{name}` is shared under conditions: say which (here or on the entry)"
            ),
        );
    }
}

fn item_shape(f: &mut Faults<'_>, i: usize, item: &Item) {
    let at = |field: &str| format!("items[{i}].{field}");
    if item.precision > 28 || item.scale > 28 {
        f.add(at("precision"), "精度和小数位数最多 28 位", "precision and scale are 28 at most");
    }
    if item.precision > 0 && item.scale > item.precision {
        f.add(
            at("scale"),
            format!("小数位数 {} 不能大于精度 {}", item.scale, item.precision),
            format!(
                "the scale {} cannot be larger than the precision {}",
                item.scale, item.precision
            ),
        );
    }
    let keyed = item.primary || item.lookup;
    if keyed && matches!(item.data_type, DataType::Geometry | DataType::Json) {
        f.add(
            at("data_type"),
            "空间型和结构型数据项不能作主键或查询键",
            "an item of type geometry or JSON cannot be a key",
        );
    }
    item_mask(f, i, item);
}

/// A mask must hide something: an item above L1 whose own mask keeps nearly everything would be released plain.
fn item_mask(f: &mut Faults<'_>, i: usize, item: &Item) {
    let (rules, at, name) = (f.rules.mask, format!("items[{i}].mask"), &item.identifier);
    let kept = match &item.mask {
        Some(Mask::Round { step }) if *step < rules.round_least => {
            f.add(
                at,
                format!("数据项 `{name}` 取整的步长应不小于 {}，现为 {step}", rules.round_least),
                format!(
                    "the step of rounding `{name}` must be {} or more, it is {step}",
                    rules.round_least
                ),
            );
            return;
        }
        Some(Mask::Keep { head, tail }) => head.saturating_add(*tail),
        Some(Mask::Generalise { to: Generalise::Prefix(head) }) => *head,
        _ => return,
    };
    if item.grade == Grade::L1 {
        return;
    }
    let length = text_length(item);
    let share =
        length.map(|l| u32::try_from(u64::from(l) * u64::from(rules.keep_most_percent) / 100));
    let most = share.map_or(rules.keep_most, |s| s.unwrap_or(u32::MAX).min(rules.keep_most));
    if kept > most {
        let (of_zh, of_en) = match length {
            Some(l) => (format!("（长度 {l}）"), format!(" (of length {l})")),
            None => (String::new(), String::new()),
        };
        f.add(
            at,
            format!(
                "{} 级数据项 `{name}`{of_zh}的脱敏最多保留 {most} 个字符，现保留 {kept} 个，等于没有脱敏",
                item.grade
            ),
            format!(
                "the mask of the {} item `{name}`{of_en} may keep {most} characters, it keeps {kept}: it hides too little",
                item.grade
            ),
        );
    }
}

/// Characters of a value as text, where they are known.
fn text_length(item: &Item) -> Option<u32> {
    match item.data_type {
        DataType::Boolean => Some(1),
        DataType::Date => Some(10),
        DataType::DateTime => Some(19),
        DataType::Decimal if item.precision > 0 => Some(u32::from(item.precision)),
        _ => Some(item.length).filter(|l| *l > 0),
    }
}
