//! The columns of a catalogue file: one row per item, the entry's columns repeated. Headers are the Chinese names of
//! the fields; English identifiers are read as well.

use model::code::{
    AppScene, DataKind, DataLevel, DataRange, DataType, Domain, Grade, OpenLevel, OpenType,
    ProcessingLevel, ProviderChannel, ResourceKind, ShareType, SharedMode, SyncMode, SystemLevel,
    TableType, UpdateCycle,
};
use model::entry::{EntryDraft, Link};
use model::item::Item;
use model::mask::{Generalise, Mask};

/// Why a cell cannot be read, in both languages.
pub(super) type Wrong = (String, String);

/// One column: how a value is written into a cell and read back.
pub(super) struct Column<T> {
    /// English identifier.
    pub(super) key: &'static str,
    /// Chinese header.
    pub(super) zh: &'static str,
    pub(super) get: fn(&T) -> String,
    pub(super) set: fn(&mut T, &str) -> Result<(), Wrong>,
    /// A new entry or item cannot do without it.
    pub(super) needed: bool,
}

macro_rules! text {
    ($key:literal, $zh:literal, $($field:ident).+, $needed:literal) => {
        Column {
            key: $key,
            zh: $zh,
            get: |t| t.$($field).+.clone(),
            set: |t, v| {
                v.clone_into(&mut t.$($field).+);
                Ok(())
            },
            needed: $needed,
        }
    };
}

macro_rules! word {
    ($key:literal, $zh:literal, $field:ident, $list:ty, $needed:literal) => {
        Column {
            key: $key,
            zh: $zh,
            get: |t| t.$field.zh().to_owned(),
            set: |t, v| {
                if let Some(word) = <$list>::parse(v) {
                    t.$field = word;
                    return Ok(());
                }
                let all: Vec<&str> = <$list>::ALL.iter().map(|w| w.zh()).collect();
                Err(not_in_list(v, &all))
            },
            needed: $needed,
        }
    };
}

/// A word of a code list, or nothing.
macro_rules! maybe {
    ($key:literal, $zh:literal, $($field:ident).+, $list:ty) => {
        Column {
            key: $key,
            zh: $zh,
            get: |t| t.$($field).+.map(|w| w.zh().to_owned()).unwrap_or_default(),
            set: |t, v| {
                if v.is_empty() {
                    t.$($field).+ = None;
                    return Ok(());
                }
                if let Some(word) = <$list>::parse(v) {
                    t.$($field).+ = Some(word);
                    return Ok(());
                }
                let all: Vec<&str> = <$list>::ALL.iter().map(|w| w.zh()).collect();
                Err(not_in_list(v, &all))
            },
            needed: false,
        }
    };
}

macro_rules! number {
    ($key:literal, $zh:literal, $field:ident) => {
        Column {
            key: $key,
            zh: $zh,
            get: |t| if t.$field == 0 { String::new() } else { t.$field.to_string() },
            set: |t, v| {
                t.$field = if v.is_empty() {
                    0
                } else {
                    v.parse().map_err(|_| {
                        (
                            format!("`{v}` 应为不太大的非负整数"),
                            format!("`{v}` must be a small whole number"),
                        )
                    })?
                };
                Ok(())
            },
            needed: false,
        }
    };
}

macro_rules! yes_no {
    ($key:literal, $zh:literal, $($field:ident).+, $default:literal) => {
        Column {
            key: $key,
            zh: $zh,
            get: |t| if t.$($field).+ { "是".into() } else { "否".into() },
            set: |t, v| {
                t.$($field).+ = match v.to_ascii_lowercase().as_str() {
                    "" => $default,
                    "是" | "1" | "true" | "yes" | "y" => true,
                    "否" | "0" | "false" | "no" | "n" => false,
                    _ => {
                        return Err((
                            format!("`{v}` 应为“是”或“否”"),
                            format!("`{v}` must be 是 (yes) or 否 (no)"),
                        ));
                    }
                };
                Ok(())
            },
            needed: false,
        }
    };
}

fn not_in_list(value: &str, all: &[&str]) -> Wrong {
    let list = all.join("、");
    (
        format!("`{value}` 不在代码表中，可用：{list}"),
        format!("`{value}` is not in the list: {list}"),
    )
}

/// Header of the owner's name, written for people and not read back.
pub(super) const ORG_NAME: &str = "数源单位名称";

pub(super) const ENTRY: &[Column<EntryDraft>] = &[
    text!("code", "目录编码", code, true),
    text!("title", "目录名称", title, true),
    text!("title_en", "目录英文名称", title_en, false),
    text!("description", "摘要", description, true),
    text!("org", "数源单位", org, true),
    text!("region", "行政区划", region, true),
    Column {
        key: "domain",
        zh: "数据领域",
        get: |t| t.domain.zh().to_owned(),
        set: |t, v| {
            // A spreadsheet turns the code `01` into 1.
            t.domain =
                Domain::parse(v).or_else(|| Domain::parse(&format!("0{v}"))).ok_or_else(|| {
                    let all: Vec<&str> = Domain::ALL.iter().map(|w| w.zh()).collect();
                    not_in_list(v, &all)
                })?;
            Ok(())
        },
        needed: false,
    },
    Column {
        key: "tags",
        zh: "标签",
        get: |t| t.tags.join("|"),
        set: |t, v| {
            t.tags =
                v.split('|').map(str::trim).filter(|w| !w.is_empty()).map(Into::into).collect();
            Ok(())
        },
        needed: false,
    },
    word!("kind", "资源形态", kind, ResourceKind, false),
    word!("update_cycle", "更新周期", update_cycle, UpdateCycle, false),
    word!("sync_mode", "同步方式", sync_mode, SyncMode, false),
    word!("share_type", "共享属性", share_type, ShareType, true),
    text!("share_condition", "共享条件", share_condition, false),
    text!("share_basis", "不予共享依据", share_basis, false),
    word!("open_type", "开放属性", open_type, OpenType, true),
    text!("open_condition", "开放条件", open_condition, false),
    text!("open_basis", "禁止开放依据", open_basis, false),
    Column {
        key: "raised_grade",
        zh: "提升级别",
        get: |t| t.raised_grade.map(|g| g.zh().to_owned()).unwrap_or_default(),
        set: |t, v| {
            t.raised_grade = if v.is_empty() { None } else { Some(grade(v)?) };
            Ok(())
        },
        needed: false,
    },
    text!("time_range", "时间范围", time_range, false),
    text!("source_system", "来源系统", source_system, false),
    text!("licence", "许可协议", licence, false),
    text!("attribution", "署名来源", attribution, false),
    text!("theme", "主题", profile.theme, false),
    text!("group", "分组", profile.group, false),
    text!("source_department", "来源处室", profile.source_department, false),
    text!("central_department", "中央业务指导部门", profile.central_department, false),
    maybe!("data_level", "数据层级", profile.data_level, DataLevel),
    maybe!("data_range", "数据范围", profile.data_range, DataRange),
    Column {
        key: "data_kinds",
        zh: "数据对象",
        get: |t| t.profile.data_kinds.iter().map(|w| w.zh()).collect::<Vec<_>>().join("|"),
        set: |t, v| {
            t.profile.data_kinds.clear();
            for word in v.split(['|', '、', ',', '，']).map(str::trim).filter(|w| !w.is_empty()) {
                let kind = DataKind::parse(word).ok_or_else(|| {
                    let all: Vec<&str> = DataKind::ALL.iter().map(|w| w.zh()).collect();
                    not_in_list(word, &all)
                })?;
                if !t.profile.data_kinds.contains(&kind) {
                    t.profile.data_kinds.push(kind);
                }
            }
            Ok(())
        },
        needed: false,
    },
    maybe!("processing_level", "加工程度", profile.processing_level, ProcessingLevel),
    maybe!("provider_channel", "提供渠道", profile.provider_channel, ProviderChannel),
    maybe!("shared_mode", "共享方式", profile.shared_mode, SharedMode),
    maybe!("open_level", "开放方式", profile.open_level, OpenLevel),
    text!("update_cycle_other", "其他更新周期", profile.update_cycle_other, false),
    text!("sync_frequency", "同步频率", profile.sync_frequency, false),
    maybe!("table_type", "库表类型", profile.table_type, TableType),
    yes_no!("physical_deletion", "物理删除", profile.physical_deletion, false),
    yes_no!("electronic_proof", "电子证照", profile.electronic_proof, false),
    yes_no!("operation_authorized", "可授权运营", profile.operation_authorized, false),
    maybe!("app_scene", "应用场景", profile.app_scene, AppScene),
    text!("business_matters", "业务事项", profile.business_matters, false),
    text!("related_matters", "数据关联事项", profile.related_matters, false),
    Column {
        key: "links",
        zh: "数据链接",
        get: |t| Link::lines(&t.profile.links),
        set: |t, v| {
            t.profile.links = Link::read(v);
            Ok(())
        },
        needed: false,
    },
];

pub(super) const ITEM: &[Column<Item>] = &[
    text!("identifier", "标识符", identifier, true),
    text!("name_cn", "中文名称", name_cn, true),
    text!("name_en", "英文名称", name_en, false),
    text!("definition", "定义", definition, false),
    word!("data_type", "数据类型", data_type, DataType, true),
    text!("format", "数据格式", format, false),
    text!("value_domain", "值域", value_domain, false),
    text!("object_class", "对象类词", object_class, false),
    text!("representation", "表示词", representation, false),
    Column {
        key: "grade",
        zh: "敏感级别",
        get: |t| t.grade.zh().to_owned(),
        set: |t, v| {
            t.grade = grade(v)?;
            Ok(())
        },
        needed: true,
    },
    text!("unit", "计量单位", unit, false),
    text!("relation", "关系", relation, false),
    text!("source_org", "公共数据来源机构", source_org, false),
    text!("app", "所属应用", app, false),
    text!("remark", "备注", remark, false),
    text!("version", "版本", version, false),
    text!("publish_date", "发布日期", publish_date, false),
    word!("item_share_type", "数据项共享属性", share_type, ShareType, false),
    text!("item_share_condition", "数据项共享条件", share_condition, false),
    text!("item_share_basis", "数据项不予共享依据", share_basis, false),
    word!("item_open_type", "数据项开放属性", open_type, OpenType, false),
    text!("item_open_condition", "数据项开放条件", open_condition, false),
    text!("item_open_basis", "数据项禁止开放依据", open_basis, false),
    number!("length", "长度", length),
    number!("precision", "精度", precision),
    number!("scale", "小数位数", scale),
    yes_no!("primary", "主键", primary, false),
    yes_no!("lookup", "查询键", lookup, false),
    yes_no!("nullable", "可空", nullable, true),
    text!("standard_code", "标准数据元", standard_code, false),
    text!("code_table", "引用代码表", code_table, false),
    text!("item_source_system", "数据项来源系统", source_system, false),
    maybe!("source_system_level", "来源系统类别", source_system_level, SystemLevel),
    yes_no!("timestamp", "时间戳", timestamp, false),
    yes_no!("classified", "涉密", classified, false),
    yes_no!("sensitive", "敏感个人信息", sensitive, false),
    Column {
        key: "mask",
        zh: "脱敏规则",
        get: |t| t.mask.as_ref().map(Mask::label).unwrap_or_default(),
        set: |t, v| {
            t.mask = if v.is_empty() { None } else { Some(mask(v)?) };
            Ok(())
        },
        needed: false,
    },
];

/// Grade by its word (`L3`, `L3 较敏感`).
fn grade(text: &str) -> Result<Grade, Wrong> {
    let upper = text.to_uppercase();
    Grade::parse(text)
        .or_else(|| Grade::ALL.iter().copied().find(|g| upper.starts_with(g.as_str())))
        .ok_or_else(|| {
            let all: Vec<&str> = Grade::ALL.iter().map(|w| w.zh()).collect();
            not_in_list(text, &all)
        })
}

/// Reads a mask's label back (`keep(3,4)`, `round(10)`, `generalise(year)`).
fn mask(text: &str) -> Result<Mask, Wrong> {
    let (method, rest) = text.split_once('(').unwrap_or((text, ""));
    let arguments = rest.strip_suffix(')').unwrap_or(rest).trim();
    let found = match (method.trim(), arguments) {
        ("keep", both) => both.split_once(',').and_then(|(head, tail)| {
            Some(Mask::Keep { head: head.trim().parse().ok()?, tail: tail.trim().parse().ok()? })
        }),
        ("hash", "") => Some(Mask::Hash),
        ("blank", "") => Some(Mask::Blank),
        ("replace", "") => Some(Mask::Replace),
        ("format_preserving", "") => Some(Mask::FormatPreserving),
        ("round", step) => step.parse().ok().map(|step| Mask::Round { step }),
        ("generalise", "year") => Some(Mask::Generalise { to: Generalise::Year }),
        ("generalise", "month") => Some(Mask::Generalise { to: Generalise::Month }),
        ("generalise", other) => other
            .strip_prefix("prefix")
            .and_then(|n| n.trim().parse().ok())
            .map(|n| Mask::Generalise { to: Generalise::Prefix(n) }),
        _ => None,
    };
    found.ok_or_else(|| {
        let list = "keep(首,尾)、hash、blank、replace、format_preserving、round(步长)、generalise(year|month|prefix N)";
        (format!("`{text}` 不是脱敏规则，可用：{list}"), format!("`{text}` is not a mask: {list}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mask_label_is_read_back() {
        for m in [
            Mask::Keep { head: 3, tail: 4 },
            Mask::Hash,
            Mask::Blank,
            Mask::Replace,
            Mask::FormatPreserving,
            Mask::Round { step: 10 },
            Mask::Generalise { to: Generalise::Year },
            Mask::Generalise { to: Generalise::Month },
            Mask::Generalise { to: Generalise::Prefix(6) },
        ] {
            assert_eq!(mask(&m.label()).unwrap(), m);
        }
        assert!(mask("keep(a)").is_err() && mask("").is_err());
    }

    #[test]
    fn headers_are_unique() {
        let mut all: Vec<&str> = ENTRY.iter().flat_map(|c| [c.key, c.zh]).collect();
        all.extend(ITEM.iter().flat_map(|c| [c.key, c.zh]));
        let n = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), n);
    }
}
