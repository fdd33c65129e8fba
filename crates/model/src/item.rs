//! Data items (数据项, 信息项): first-class rows of the ledger, each with its own grade and attributes.
//!
//! Seven basic and ten extended attributes of DB33/T 2426-2022, plus what the platform needs to share it.

use serde::{Deserialize, Serialize};

use crate::code::{DataType, Grade, OpenType, ShareType, SystemLevel};

/// One data item of an entry. `(entry, identifier)` is unique.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// 标识符: the column name used in files, tables and calls (`[a-z_][a-z0-9_]*`, at most 63).
    pub identifier: String,
    /// 中文名称
    pub name_cn: String,
    /// 英文名称
    #[serde(default)]
    pub name_en: String,
    /// 定义
    #[serde(default)]
    pub definition: String,
    /// 数据类型
    pub data_type: DataType,
    /// 数据格式, GB/T 18391 notation or a date pattern (`an..18`, `n..18,2`, `YYYY-MM-DD`).
    #[serde(default)]
    pub format: String,
    /// 值域: free text, or `a|b|c` for an enumeration that typing checks.
    #[serde(default)]
    pub value_domain: String,

    /// 对象类词
    #[serde(default)]
    pub object_class: String,
    /// 表示词
    #[serde(default)]
    pub representation: String,
    /// 敏感级别 L1–L4
    pub grade: Grade,
    /// 计量单位
    #[serde(default)]
    pub unit: String,
    /// 关系
    #[serde(default)]
    pub relation: String,
    /// 公共数据来源机构
    #[serde(default)]
    pub source_org: String,
    /// 所属应用
    #[serde(default)]
    pub app: String,
    /// 备注
    #[serde(default)]
    pub remark: String,
    /// 版本
    #[serde(default)]
    pub version: String,
    /// 发布日期 `YYYY-MM-DD`
    #[serde(default)]
    pub publish_date: String,

    /// 共享属性
    pub share_type: ShareType,
    #[serde(default)]
    pub share_condition: String,
    /// 不予共享依据
    #[serde(default)]
    pub share_basis: String,
    /// 开放属性
    pub open_type: OpenType,
    #[serde(default)]
    pub open_condition: String,
    #[serde(default)]
    pub open_basis: String,

    /// Longest text in characters; 0 means no limit.
    #[serde(default)]
    pub length: u32,
    /// Digits in all for a decimal (≤ 28).
    #[serde(default)]
    pub precision: u8,
    /// Digits after the point for a decimal.
    #[serde(default)]
    pub scale: u8,
    /// Part of the business key (主键).
    #[serde(default)]
    pub primary: bool,
    /// Offered as a look-up key, indexed in the serving copy.
    #[serde(default)]
    pub lookup: bool,
    /// May be empty.
    #[serde(default = "yes")]
    pub nullable: bool,
    /// Mask applied outside the owner's organisation; `None` takes the default rule for its grade and name.
    #[serde(default)]
    pub mask: Option<crate::mask::Mask>,

    /// 标准数据元编码 (`DB33/T 2426` identifier or the like)
    #[serde(default)]
    pub standard_code: String,
    /// 引用代码表
    #[serde(default)]
    pub code_table: String,
    /// 来源系统 of this item, when it is not the entry's
    #[serde(default)]
    pub source_system: String,
    /// 来源系统类别
    #[serde(default)]
    pub source_system_level: Option<SystemLevel>,
    /// 时间戳字段: tells when the record changed
    #[serde(default)]
    pub timestamp: bool,
    /// 涉密: the platform must not hold it (条例 art 2), so that it may be neither shared nor opened
    #[serde(default)]
    pub classified: bool,
    /// 敏感个人信息
    #[serde(default)]
    pub sensitive: bool,
}

fn yes() -> bool {
    true
}

impl Item {
    /// A plain item: L1, unconditional sharing and opening, nullable.
    #[must_use]
    pub fn new(identifier: &str, name_cn: &str, data_type: DataType) -> Self {
        Self {
            identifier: identifier.to_owned(),
            name_cn: name_cn.to_owned(),
            name_en: String::new(),
            definition: String::new(),
            data_type,
            format: String::new(),
            value_domain: String::new(),
            object_class: String::new(),
            representation: String::new(),
            grade: Grade::L1,
            unit: String::new(),
            relation: String::new(),
            source_org: String::new(),
            app: String::new(),
            remark: String::new(),
            version: String::new(),
            publish_date: String::new(),
            share_type: ShareType::Unconditional,
            share_condition: String::new(),
            share_basis: String::new(),
            open_type: OpenType::Unconditional,
            open_condition: String::new(),
            open_basis: String::new(),
            length: 0,
            precision: 0,
            scale: 0,
            primary: false,
            lookup: false,
            nullable: true,
            mask: None,
            standard_code: String::new(),
            code_table: String::new(),
            source_system: String::new(),
            source_system_level: None,
            timestamp: false,
            classified: false,
            sensitive: false,
        }
    }

    /// Whether the identifier may be used as a column name everywhere.
    #[must_use]
    pub fn identifier_ok(text: &str) -> bool {
        let mut bytes = text.bytes();
        bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_')
            && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            && text.len() <= 63
            && !text.starts_with("dsc_")
    }
}
