//! Catalogue drafts that tests start from.

use model::code::{
    DataType, Domain, Grade, OpenType, ResourceKind, ShareType, SyncMode, UpdateCycle,
};
use model::entry::EntryDraft;
use model::item::Item;

use crate::people::PROVIDER_ORG;

/// A freely open L1 data set of the provider: `id` (key), `name`, `amount` (decimal 2), `day` (date).
#[must_use]
pub fn draft(code: &str) -> EntryDraft {
    let mut id = Item::new("id", "编号", DataType::Integer);
    id.primary = true;
    id.nullable = false;
    let mut amount = Item::new("amount", "金额", DataType::Decimal);
    amount.precision = 18;
    amount.scale = 2;
    EntryDraft {
        code: code.into(),
        title: format!("测试数据集 {code}"),
        title_en: format!("Test data set {code}"),
        description: "用于测试的合成数据。".into(),
        org: PROVIDER_ORG.into(),
        region: "330000".into(),
        domain: Domain::Market,
        tags: vec!["测试".into()],
        kind: ResourceKind::Table,
        update_cycle: UpdateCycle::Daily,
        sync_mode: SyncMode::Full,
        share_type: ShareType::Unconditional,
        share_condition: String::new(),
        share_basis: String::new(),
        open_type: OpenType::Unconditional,
        open_condition: String::new(),
        open_basis: String::new(),
        raised_grade: None,
        time_range: String::new(),
        source_system: String::new(),
        licence: String::new(),
        attribution: String::new(),
        profile: model::entry::Profile::default(),
        items: vec![
            id,
            Item::new("name", "名称", DataType::Text),
            amount,
            Item::new("day", "日期", DataType::Date),
        ],
    }
}

/// The set of [`draft`], open under conditions only (受限开放) and not shared between public bodies.
#[must_use]
pub fn restricted_draft(code: &str) -> EntryDraft {
    let mut draft = EntryDraft {
        share_type: ShareType::None,
        share_basis: "有关规定".into(),
        open_type: OpenType::Restricted,
        open_condition: "签订开放利用协议".into(),
        ..draft(code)
    };
    for item in &mut draft.items {
        item.share_type = ShareType::None;
        item.open_type = OpenType::Restricted;
    }
    draft
}

/// A restricted L3 data set about persons: `sfzh` (key, look-up), `xm`, `sjh`, `csrq`, `region_code`; not open.
#[must_use]
pub fn person_draft(code: &str) -> EntryDraft {
    let item = |identifier: &str, name: &str, data_type, grade| {
        let mut item = Item::new(identifier, name, data_type);
        item.grade = grade;
        item.share_type = ShareType::Restricted;
        item.share_condition = "用于办理本单位法定职责事项".into();
        item.open_type = OpenType::None;
        item.open_basis = "涉及个人信息".into();
        item
    };
    let mut sfzh = item("sfzh", "公民身份号码", DataType::Text, Grade::L3);
    sfzh.primary = true;
    sfzh.lookup = true;
    sfzh.nullable = false;
    sfzh.format = "citizen_id".into();
    EntryDraft {
        title: format!("人口基本信息 {code}"),
        share_type: ShareType::Restricted,
        share_condition: "用于办理本单位法定职责事项".into(),
        share_basis: "涉及个人信息".into(),
        open_type: OpenType::None,
        open_basis: "涉及个人信息".into(),
        items: vec![
            sfzh,
            item("xm", "姓名", DataType::Text, Grade::L2),
            item("sjh", "手机号", DataType::Text, Grade::L3),
            item("csrq", "出生日期", DataType::Date, Grade::L2),
            item("region_code", "行政区划代码", DataType::Text, Grade::L2),
        ],
        ..draft(code)
    }
}
