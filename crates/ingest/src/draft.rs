//! Drafts: items of an entry from the columns of a file, for a person to complete.

use std::collections::HashSet;

use model::code::{DataType, Grade, OpenType, ShareType};
use model::ident;
use model::item::Item;
use model::parcel::{Sniffed, SniffedColumn};
use pinyin::ToPinyin;

use crate::shape::Shape;

/// Draws items from what was found: identifiers from the headers (Chinese by pinyin), types as found, grades raised
/// where name or values look like personal information. Every identifier is valid and unique.
#[must_use]
pub fn draft(sniffed: &Sniffed) -> Vec<Item> {
    let mut used: HashSet<String> = HashSet::new();
    sniffed
        .columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let identifier = unused(&identifier(&column.name, at), &mut used);
            item(&identifier, column)
        })
        .collect()
}

/// Columns as found, one for each name.
pub(crate) fn shapes_of(names: &[String], shapes: &[Shape]) -> Vec<SniffedColumn> {
    names.iter().zip(shapes).map(|(name, shape)| shape.column(name)).collect()
}

/// Draws one item from a column of a database: the identifier from its name, the rest from what it is called.
pub(crate) fn of_column(
    name: &str,
    called: &str,
    data_type: DataType,
    at: usize,
    used: &mut HashSet<String>,
) -> Item {
    let identifier = unused(&identifier(name, at), used);
    let named = |name: &str| SniffedColumn {
        name: name.to_owned(),
        data_type,
        nullable: true,
        examples: Vec::new(),
    };
    let by_name = grade(&identifier, &named(name));
    let mut column = named(called);
    // Whichever of name and comment looks the more personal decides.
    if by_name > grade(&identifier, &column) {
        column.name = name.to_owned();
    }
    Item { name_cn: called.to_owned(), ..item(&identifier, &column) }
}

fn item(identifier: &str, column: &SniffedColumn) -> Item {
    let mut item = Item::new(identifier, &column.name, column.data_type);
    item.nullable = true;
    if column.data_type == DataType::Decimal {
        let mut shape = Shape::default();
        for example in &column.examples {
            shape.see(example, false, 0);
        }
        (item.precision, item.scale) = shape.decimal_size();
    }
    item.grade = grade(identifier, column);
    if item.grade >= Grade::L3 {
        item.share_type = ShareType::Restricted;
        item.share_condition = "涉及个人信息，经数源单位和主管部门审核后共享".to_owned();
        item.open_type = OpenType::None;
        item.open_basis = "《浙江省公共数据条例》：涉及个人信息，禁止开放".to_owned();
    } else if item.grade == Grade::L2 {
        item.share_type = ShareType::Restricted;
        item.share_condition = "涉及个人信息，经审核后共享".to_owned();
        item.open_type = OpenType::Restricted;
        item.open_condition = "脱敏后在开放域内使用".to_owned();
    }
    item
}

/// Valid, unique identifiers for these names.
pub(crate) fn identifiers(names: &[&str]) -> Vec<String> {
    let mut used = HashSet::new();
    names.iter().enumerate().map(|(at, name)| unused(&identifier(name, at), &mut used)).collect()
}

/// ASCII words in lower case with underscores; Chinese as pinyin, by initials when that grows long.
fn identifier(name: &str, at: usize) -> String {
    let mut full = String::new();
    let mut short = String::new();
    let mut before = ' ';
    for c in crate::number::half_width(name).chars() {
        if c.is_ascii_alphanumeric() {
            if c.is_ascii_uppercase() && before.is_ascii_lowercase() {
                full.push('_');
                short.push('_');
            }
            if before != ' ' && !before.is_ascii() {
                full.push('_');
            }
            full.push(c.to_ascii_lowercase());
            short.push(c.to_ascii_lowercase());
        } else if let Some(sound) = c.to_pinyin() {
            if before.is_ascii_alphanumeric() {
                full.push('_');
            }
            full.push_str(sound.plain());
            short.push_str(sound.first_letter());
        } else {
            full.push('_');
            short.push('_');
        }
        before = c;
    }
    let tidy = |text: &str| {
        let parts: Vec<&str> = text.split('_').filter(|p| !p.is_empty()).collect();
        let joined: String = parts
            .join("_")
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
            .take(56)
            .collect();
        let joined = joined.trim_end_matches('_').to_owned();
        if joined.starts_with(|c: char| c.is_ascii_digit()) { format!("n{joined}") } else { joined }
    };
    let full = tidy(&full);
    let text = if full.len() > 30 && !name.is_ascii() { tidy(&short) } else { full };
    let text = if text.starts_with("dsc_") { format!("x_{text}") } else { text };
    if Item::identifier_ok(&text) { text } else { format!("column_{}", at + 1) }
}

fn unused(wanted: &str, used: &mut HashSet<String>) -> String {
    let free = std::iter::once(wanted.to_owned())
        .chain((2..).map(|n| format!("{wanted}_{n}")))
        .find(|name| !used.contains(name))
        .unwrap_or_else(|| wanted.to_owned());
    used.insert(free.clone());
    free
}

/// A guess at the grade from the column's name and its values.
fn grade(identifier: &str, column: &SniffedColumn) -> Grade {
    let name = column.name.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|w| name.contains(w));
    let is = |words: &[&str]| {
        words.iter().any(|w| {
            identifier == *w
                || identifier.starts_with(&format!("{w}_"))
                || identifier.ends_with(&format!("_{w}"))
        })
    };
    let values = |check: fn(&str) -> bool| {
        !column.examples.is_empty() && column.examples.iter().all(|e| check(e))
    };
    if has(&[
        "身份证",
        "公民身份",
        "身份号码",
        "护照",
        "银行卡",
        "银行账",
        "手机",
        "联系电话",
        "社保卡",
        "指纹",
        "人脸",
        "虹膜",
        "声纹",
        "家庭住址",
        "家庭地址",
        "现住址",
        "户籍地址",
        "病历",
        "诊断",
        "收入",
        "工资",
        "id_card",
        "passport",
        "mobile",
    ]) || is(&[
        "sfz",
        "sfzh",
        "sfzhm",
        "zjhm",
        "sjh",
        "sjhm",
        "lxdh",
        "phone",
        "idcard",
        "bank_card",
        "yhkh",
    ]) || values(|e| ident::citizen_id(e).is_ok())
        || values(ident::mobile)
    {
        return Grade::L3;
    }
    if has(&[
        "姓名",
        "联系人",
        "出生",
        "性别",
        "民族",
        "邮箱",
        "车牌",
        "法定代表人",
        "法人代表",
        "email",
        "e-mail",
        "person",
    ]) || is(&[
        "xm",
        "csrq",
        "xb",
        "full_name",
        "first_name",
        "last_name",
        "gender",
        "sex",
        "birthday",
    ]) {
        return Grade::L2;
    }
    Grade::L1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(names: &[(&str, DataType, &[&str])]) -> Sniffed {
        Sniffed {
            format: "csv".to_owned(),
            compression: "none".to_owned(),
            encoding: "utf-8".to_owned(),
            delimiter: Some(",".to_owned()),
            quote: None,
            preamble: 0,
            header_rows: 1,
            footer: 0,
            sheet: None,
            columns: names
                .iter()
                .map(|(name, data_type, examples)| SniffedColumn {
                    name: (*name).to_owned(),
                    data_type: *data_type,
                    nullable: false,
                    examples: examples.iter().map(|e| (*e).to_owned()).collect(),
                })
                .collect(),
            records: None,
            notes: Vec::new(),
        }
    }

    #[test]
    fn items_are_drafted() {
        let long = "浙江省各设区市规模以上工业企业主要经济指标";
        let items = draft(&columns(&[
            ("streetCode", DataType::Integer, &[]),
            ("姓名", DataType::Text, &[]),
            ("身份证号", DataType::Text, &[]),
            ("金额（万元）", DataType::Decimal, &["1.5", "1234.56"]),
            ("2023", DataType::Integer, &[]),
            ("姓名", DataType::Text, &[]),
            (long, DataType::Text, &[]),
            ("???", DataType::Text, &[]),
            ("dsc_city", DataType::Text, &[]),
            ("PM2.5", DataType::Decimal, &["3"]),
            ("备用", DataType::Text, &["13800138000"]),
        ]));
        let ids: Vec<&str> = items.iter().map(|i| i.identifier.as_str()).collect();
        assert_eq!(
            ids,
            [
                "street_code",
                "xingming",
                "shenfenzhenghao",
                "jine_wanyuan",
                "n2023",
                "xingming_2",
                "zjsgsqsgmysgyqyzyjjzb",
                "column_8",
                "x_dsc_city",
                "pm2_5",
                "beiyong"
            ]
        );
        assert!(items.iter().all(|i| Item::identifier_ok(&i.identifier)));
        let grades: Vec<Grade> = items.iter().map(|i| i.grade).collect();
        assert_eq!(grades.get(1..3), Some([Grade::L2, Grade::L3].as_slice()));
        assert_eq!(items.get(3).map(|i| (i.precision, i.scale)), Some((6, 2)));
        assert_eq!(items.last().map(|i| (i.grade, i.open_type)), Some((Grade::L3, OpenType::None)));
    }
}
