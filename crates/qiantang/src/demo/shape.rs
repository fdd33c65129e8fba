//! Short words for long declarations: items and entries of the demo with all their attributes filled.

use model::code::{
    DataLevel, DataType, Domain, Grade, OpenType, ProcessingLevel, ProviderChannel, ResourceKind,
    ShareType, SharedMode, SyncMode, TableType, UpdateCycle,
};
use model::entry::{EntryDraft, Profile};
use model::item::Item;
use model::mask::Mask;

use super::rows::{Dialect, Table};
use super::subject::Cast;
use super::{Target, orgs};

/// Basis written where an item may not be opened.
const NOT_OPEN_BASIS: &str =
    "《浙江省公共数据条例》关于禁止开放的规定：涉及个人信息、商业秘密或者保密商务信息";
/// Mark of synthetic rows, the last item of every table.
const MARK: &str = "sjbz";

/// An item being declared.
#[derive(Clone, Debug)]
pub(super) struct I(pub(super) Item);

fn new(id: &str, cn: &str, en: &str, data_type: DataType) -> I {
    let mut item = Item::new(id, cn, data_type);
    item.name_en = en.to_owned();
    I(item)
}

/// Text of at most `length` characters.
pub(super) fn text(id: &str, cn: &str, en: &str, length: u32) -> I {
    let mut i = new(id, cn, en, DataType::Text);
    i.0.length = length;
    i
}
/// 公民身份号码
pub(super) fn citizen(id: &str, cn: &str, en: &str) -> I {
    let mut i = text(id, cn, en, 18).grade(Grade::L3);
    i.0.format = "citizen_id".into();
    i
}
/// 统一社会信用代码
pub(super) fn uscc(id: &str, cn: &str) -> I {
    let mut i = text(id, cn, "Unified social credit code", 18);
    i.0.format = "uscc".into();
    i
}
/// A word of a list `a|b|c`.
pub(super) fn word(id: &str, cn: &str, en: &str, domain: &str) -> I {
    let mut i = text(id, cn, en, 20);
    i.0.value_domain = domain.into();
    i
}
pub(super) fn integer(id: &str, cn: &str, en: &str, unit: &str) -> I {
    let mut i = new(id, cn, en, DataType::Integer);
    i.0.unit = unit.into();
    i
}
pub(super) fn number(id: &str, cn: &str, en: &str, precision: u8, scale: u8, unit: &str) -> I {
    let mut i = new(id, cn, en, DataType::Decimal);
    (i.0.precision, i.0.scale) = (precision, scale);
    i.0.unit = unit.into();
    i
}
pub(super) fn date(id: &str, cn: &str, en: &str) -> I {
    let mut i = new(id, cn, en, DataType::Date);
    i.0.format = "YYYY-MM-DD".into();
    i
}
pub(super) fn moment(id: &str, cn: &str, en: &str) -> I {
    let mut i = new(id, cn, en, DataType::DateTime);
    i.0.format = "YYYY-MM-DD HH:mm:ss".into();
    i
}
/// 行政区划代码
pub(super) fn region() -> I {
    let mut i = text("xzqh", "行政区划代码", "Region code", 6).lookup();
    i.0.definition = "县级行政区划代码，GB/T 2260".into();
    i
}
/// 经度 and 纬度 and 空间位置.
pub(super) fn place() -> [I; 3] {
    [
        number("jd", "经度", "Longitude", 9, 5, "度"),
        number("wd", "纬度", "Latitude", 8, 5, "度"),
        new("wz", "空间位置", "Position", DataType::Geometry),
    ]
}

impl I {
    pub(super) fn grade(mut self, grade: Grade) -> Self {
        self.0.grade = grade;
        self
    }
    /// Part of the business key, never empty.
    pub(super) fn key(mut self) -> Self {
        self.0.primary = true;
        self.0.nullable = false;
        self
    }
    pub(super) fn lookup(mut self) -> Self {
        self.0.lookup = true;
        self
    }
    pub(super) fn required(mut self) -> Self {
        self.0.nullable = false;
        self
    }
    /// Declares the mask instead of leaving it to the rules.
    pub(super) fn mask(mut self, mask: Mask) -> Self {
        self.0.mask = Some(mask);
        self
    }
    pub(super) fn means(mut self, definition: &str) -> Self {
        self.0.definition = definition.to_owned();
        self
    }
}

/// An entry being declared. What is not said takes the commonest value.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) draft: EntryDraft,
    pub(super) target: Target,
    pub(super) table: Option<Table>,
    object: &'static str,
}

/// Starts an entry: unconditionally shared and open, full collection, online.
pub(super) fn entry(
    code: &str,
    title: &str,
    title_en: &str,
    org: &str,
    domain: Domain,
    object: &'static str,
) -> Plan {
    let draft = EntryDraft {
        code: code.into(),
        title: title.into(),
        title_en: title_en.into(),
        description: String::new(),
        org: org.into(),
        region: "330000".into(),
        domain,
        tags: Vec::new(),
        kind: ResourceKind::Table,
        update_cycle: UpdateCycle::Monthly,
        sync_mode: SyncMode::Full,
        share_type: ShareType::Unconditional,
        share_condition: String::new(),
        share_basis: String::new(),
        open_type: OpenType::Unconditional,
        open_condition: String::new(),
        open_basis: String::new(),
        raised_grade: None,
        time_range: "2025-01-01 至 2025-12-31".into(),
        source_system: "钱塘演示系统".into(),
        licence: "演示数据，可自由使用".into(),
        attribution: "钱塘演示省（合成数据）".into(),
        profile: Profile {
            data_level: Some(DataLevel::Province),
            processing_level: Some(ProcessingLevel::Raw),
            provider_channel: Some(ProviderChannel::Government),
            shared_mode: Some(SharedMode::Platform),
            table_type: Some(TableType::Standard),
            ..Profile::default()
        },
        items: Vec::new(),
    };
    Plan { draft, target: Target::Online, table: None, object }
}

/// Stands in every description. It holds no word of any subject, by which search would find all sets.
const NOTE: &str = "本数据集为演示用合成数据（synthetic data），内容均为虚构。";

impl Plan {
    pub(super) fn about(mut self, text: &str, tags: &[&str]) -> Self {
        self.draft.description = format!("{text}{NOTE}");
        self.draft.tags =
            tags.iter().map(|t| (*t).to_owned()).chain(["合成数据".to_owned()]).collect();
        self
    }
    pub(super) fn cycle(mut self, cycle: UpdateCycle) -> Self {
        self.draft.update_cycle = cycle;
        self
    }
    pub(super) fn kind(mut self, kind: ResourceKind) -> Self {
        self.draft.kind = kind;
        self
    }
    /// Raises the data set's level above its items'.
    pub(super) fn raised(mut self, grade: Grade) -> Self {
        self.draft.raised_grade = Some(grade);
        self
    }
    pub(super) fn system(mut self, name: &str) -> Self {
        self.draft.source_system = name.into();
        self
    }
    pub(super) fn region(mut self, code: &str) -> Self {
        self.draft.region = code.into();
        self
    }
    /// Changes are merged by the business key.
    pub(super) fn incremental(mut self) -> Self {
        self.draft.sync_mode = SyncMode::Incremental;
        self
    }
    pub(super) fn share_if(mut self, condition: &str) -> Self {
        self.draft.share_type = ShareType::Restricted;
        self.draft.share_condition = condition.into();
        self.draft.share_basis = "涉及个人信息或商业秘密，按最小必要原则共享".into();
        self
    }
    pub(super) fn never_share(mut self, basis: &str) -> Self {
        self.draft.share_type = ShareType::None;
        self.draft.share_basis = basis.into();
        self
    }
    pub(super) fn open_if(mut self, condition: &str) -> Self {
        self.draft.open_type = OpenType::Restricted;
        self.draft.open_condition = condition.into();
        self
    }
    pub(super) fn never_open(mut self) -> Self {
        self.draft.open_type = OpenType::None;
        self.draft.open_basis = NOT_OPEN_BASIS.into();
        self.draft.licence = String::new();
        self
    }
    pub(super) fn until(mut self, target: Target) -> Self {
        self.target = target;
        self
    }
    pub(super) fn rows(
        mut self,
        base: u64,
        dialect: Dialect,
        row: fn(&mut Cast<'_>) -> Vec<String>,
    ) -> Self {
        self.table = Some(Table { base, dialect, row });
        self
    }
    /// The items; the mark of synthetic data is added, attributes follow from entry and grade.
    pub(super) fn items(mut self, items: impl IntoIterator<Item = I>) -> Self {
        let mark = text(MARK, "数据标注", "Data mark", 20)
            .required()
            .means("合成数据的标注，演示数据均为“合成数据”");
        self.draft.items = items.into_iter().chain([mark]).map(|i| i.0).collect();
        let source_org = orgs::name_of(&self.draft.org);
        let entry = self.draft.clone();
        for item in &mut self.draft.items {
            if item.definition.is_empty() {
                item.definition = format!("{}的{}", self.object, item.name_cn);
            }
            item.object_class = self.object.into();
            item.representation = representation(item).into();
            item.source_org.clone_from(&source_org);
            item.app.clone_from(&entry.source_system);
            item.version = "1.0".into();
            item.publish_date = "2025-12-15".into();
            attributes(item, &entry);
        }
        self
    }
}

/// 表示词 of an item.
fn representation(item: &Item) -> &'static str {
    match item.data_type {
        DataType::Date | DataType::DateTime => "日期",
        DataType::Integer | DataType::Decimal | DataType::Float => "数量",
        DataType::Boolean => "标志",
        DataType::Geometry => "位置",
        DataType::Json => "说明",
        DataType::Text if !item.format.is_empty() || item.identifier.ends_with("dm") => "代码",
        DataType::Text if item.name_cn.ends_with("名称") || item.name_cn == "姓名" => "名称",
        DataType::Text if !item.value_domain.is_empty() => "类别",
        DataType::Text => "说明",
    }
}

/// Share and open attributes of an item: the entry's, held back by the item's grade.
fn attributes(item: &mut Item, entry: &EntryDraft) {
    item.share_type = match (entry.share_type, item.grade) {
        (ShareType::None, _) | (_, Grade::L4) => ShareType::None,
        (ShareType::Unconditional, Grade::L1 | Grade::L2) | (ShareType::Restricted, Grade::L1) => {
            ShareType::Unconditional
        }
        _ => ShareType::Restricted,
    };
    match item.share_type {
        ShareType::None => item.share_basis = "涉及个人隐私，法律法规规定不予共享".into(),
        ShareType::Restricted => {
            item.share_condition = if entry.share_condition.is_empty() {
                "须说明用途，经数源单位审核".into()
            } else {
                entry.share_condition.clone()
            };
        }
        ShareType::Unconditional => {}
    }
    item.open_type = match (entry.open_type, item.grade) {
        (OpenType::Unconditional, Grade::L1) => OpenType::Unconditional,
        (OpenType::Restricted, Grade::L1 | Grade::L2 | Grade::L3) => OpenType::Restricted,
        _ => OpenType::None,
    };
    match item.open_type {
        OpenType::None => item.open_basis = NOT_OPEN_BASIS.into(),
        OpenType::Restricted => item.open_condition.clone_from(&entry.open_condition),
        OpenType::Unconditional => {}
    }
}
