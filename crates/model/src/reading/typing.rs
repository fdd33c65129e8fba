//! Typing: one text cell into one typed column value by the entry's item, or the reason why not.
//!
//! Worked example: item `amount` (decimal, precision 10, scale 2, not nullable). `1,234.50` becomes 123450 in the
//! column; `NA` is refused because the item must not be empty; `1.234` is refused because the third digit after the
//! point would be lost.

use crate::batch::Column;
use crate::code::DataType;
use crate::ident;
use crate::item::Item;

use super::cell::{Cell, Mark, nothing_word};
use super::moment::{self, DateRule};
use super::number;
use super::why::{Why, cut};

const EMPTY: Why = Why::plain("不能为空", "must not be empty");
const NUL: Why = Why::plain("含有空字符（NUL），请删除", "holds a NUL character; remove it");
const DAMAGED: Why = Why::plain(
    "含有无法解码的字节，请核对文件编码",
    "holds bytes that cannot be decoded; check the encoding of the file",
);
const FAULT: Why = Why::plain(
    "是表格中的错误值，请修正公式",
    "is an error value of the spreadsheet; mend the formula",
);
const LOSSY: Why = Why::plain(
    "在表格中存为数值，超过 15 位的数字已丢失；请将该列设为文本后重新填写",
    "was stored as a number, so digits beyond the 15th are lost; format the column as text and fill it in again",
);
const NOT_BOOLEAN: Why = Why::plain(
    "不是布尔值（是/否、true/false、1/0、Y/N）",
    "is not a truth value (true/false, 1/0, Y/N, 是/否)",
);
const NOT_JSON: Why = Why::plain("不是合法的 JSON", "is not valid JSON");
const NOT_GEOMETRY: Why =
    Why::plain("不是 GeoJSON 几何对象或 WKT 文本", "is neither a GeoJSON geometry nor WKT");

/// A shape that text must have, from the item's `format`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Shape {
    Any,
    CitizenId,
    Uscc,
    Mobile,
    Lei,
    BankCard,
    OrgCode,
    /// `YYYY-MM` and the like: `9` stands for a digit.
    Digits(String),
}

impl Shape {
    fn of(format: &str) -> Self {
        match format.trim().to_ascii_lowercase().as_str() {
            "citizen_id" | "公民身份号码" | "身份证号" | "身份证号码" | "gb11643" | "gb 11643" => {
                Self::CitizenId
            }
            "uscc" | "统一社会信用代码" | "gb32100" | "gb 32100" => Self::Uscc,
            "mobile" | "手机号" | "手机号码" => Self::Mobile,
            "lei" => Self::Lei,
            "bank_card" | "luhn" | "银行卡号" => Self::BankCard,
            "org_code" | "组织机构代码" => Self::OrgCode,
            _ => Self::digits(format.trim()),
        }
    }
    /// A date or time pattern made of YYYY MM DD HH mm ss and signs.
    fn digits(format: &str) -> Self {
        let sound = format.contains("YYYY") || format.contains("yyyy");
        let known = format.chars().all(|c| "YyMmDdHhSs-/.: T年月日时分秒".contains(c));
        if !sound || !known {
            return Self::Any;
        }
        Self::Digits(
            format.chars().map(|c| if "YyMmDdHhSs".contains(c) { '9' } else { c }).collect(),
        )
    }
    fn check(&self, text: &str) -> Result<(), Why> {
        let told = |e: crate::Error| Why::told(e.zh().to_owned(), e.en().to_owned());
        let say = |good: bool, zh: &'static str, en: &'static str| {
            if good { Ok(()) } else { Err(Why::plain(zh, en)) }
        };
        match self {
            Self::Any => Ok(()),
            Self::CitizenId => ident::citizen_id(text).map_err(told),
            Self::Uscc => ident::uscc(text).map_err(told),
            Self::Mobile => say(
                ident::mobile(text),
                "不是 11 位手机号码",
                "is not a mobile number of 11 digits",
            ),
            Self::Lei => say(
                ident::lei(text),
                "不是有效的 LEI 编码（校验位不符）",
                "is not a valid LEI (check digits)",
            ),
            Self::BankCard => say(
                ident::luhn(text),
                "不是有效的银行卡号（校验位不符）",
                "is not a valid card number (check digit)",
            ),
            Self::OrgCode => {
                let plain = text.replace('-', "");
                let good = plain.len() == 9
                    && plain.is_ascii()
                    && ident::org_code_check(plain.get(..8).unwrap_or_default())
                        == plain.chars().last();
                say(
                    good,
                    "不是有效的组织机构代码（校验位不符）",
                    "is not a valid organisation code (check digit)",
                )
            }
            Self::Digits(pattern) => {
                let same = text.chars().count() == pattern.chars().count()
                    && text
                        .chars()
                        .zip(pattern.chars())
                        .all(|(c, p)| if p == '9' { c.is_ascii_digit() } else { c == p });
                if same {
                    return Ok(());
                }
                Err(Why::told(
                    format!("不符合规定的格式 {pattern}（9 表示数字）"),
                    format!("does not have the shape {pattern} (9 stands for a digit)"),
                ))
            }
        }
    }
}

/// One item with the column being filled.
#[derive(Clone, Debug)]
pub struct Field {
    pub identifier: String,
    data_type: DataType,
    precision: u8,
    scale: u8,
    length: usize,
    pub nullable: bool,
    pub primary: bool,
    allowed: Vec<String>,
    shape: Shape,
    rule: DateRule,
    comma: bool,
    keep_percent: bool,
    pub column: Column,
    capacity: usize,
}

/// What the column as a whole taught, beyond single values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hint {
    /// `12,5` means twelve and a half here.
    pub comma: bool,
    /// Order of day and month, learned from values above 12.
    pub order: Option<moment::Order>,
}

impl Field {
    pub fn new(item: &Item, hint: Hint, capacity: usize) -> Self {
        let mut rule = DateRule::of_format(&item.format);
        rule.order = rule.order.or(hint.order);
        let precision = if item.precision == 0 { 28 } else { item.precision.min(38) };
        Self {
            identifier: item.identifier.clone(),
            data_type: item.data_type,
            precision,
            scale: item.scale.min(28),
            length: usize::try_from(item.length).unwrap_or(usize::MAX),
            nullable: item.nullable && !item.primary,
            primary: item.primary,
            allowed: enumeration(&item.value_domain),
            shape: if item.data_type == DataType::Text {
                Shape::of(&item.format)
            } else {
                Shape::Any
            },
            rule,
            comma: hint.comma,
            keep_percent: item.unit.contains('%') || item.unit.contains("百分"),
            column: Column::empty(item.data_type, item.scale.min(28), capacity),
            capacity,
        }
    }

    /// Takes the filled column and starts a new one.
    pub fn take(&mut self) -> Column {
        let mut fresh = Column::empty(self.data_type, self.scale, self.capacity);
        if let (Column::Text(fresh), Column::Text(full)) = (&mut fresh, &self.column) {
            // The next rows are likely to be as long.
            fresh.bytes.reserve(full.bytes.len() + full.bytes.len() / 16);
        }
        std::mem::replace(&mut self.column, fresh)
    }

    /// Takes back values beyond `rows`.
    pub fn truncate(&mut self, rows: usize) {
        match &mut self.column {
            Column::Text(c) => {
                c.offsets.truncate(rows + 1);
                let end = c.offsets.last().and_then(|&e| usize::try_from(e).ok()).unwrap_or(0);
                c.bytes.truncate(end);
                c.valid.truncate(rows);
            }
            Column::Integer(v) => v.truncate(rows),
            Column::Decimal { values, .. } => values.truncate(rows),
            Column::Float(v) => v.truncate(rows),
            Column::Boolean(v) => v.truncate(rows),
            Column::Date(v) => v.truncate(rows),
            Column::DateTime(v) => v.truncate(rows),
        }
    }

    fn push_null(&mut self, relaxed: bool) -> Result<(), Why> {
        if !self.nullable && !(relaxed && !self.primary) {
            return Err(EMPTY);
        }
        match &mut self.column {
            Column::Text(c) => c.push(None),
            Column::Integer(v) => v.push(None),
            Column::Decimal { values, .. } => values.push(None),
            Column::Float(v) => v.push(None),
            Column::Boolean(v) => v.push(None),
            Column::Date(v) => v.push(None),
            Column::DateTime(v) => v.push(None),
        }
        Ok(())
    }

    /// Types one cell into the column. `relaxed`: the row is a delete, only keys must be there. `doubtful`: the text
    /// may hold NUL or replacement characters and is looked through. On an error the column is as before.
    pub fn push(
        &mut self,
        cell: Option<Cell<'_>>,
        relaxed: bool,
        doubtful: Doubt,
    ) -> Result<(), Why> {
        let Some(cell) = cell.filter(|c| !c.blank() && !c.null_word()) else {
            return self.push_null(relaxed);
        };
        if cell.mark == Mark::Fault {
            return if cell.text == "#N/A" { self.push_null(relaxed) } else { Err(FAULT) };
        }
        if doubtful.nul && cell.text.contains('\0') {
            return Err(NUL);
        }
        if doubtful.damage && cell.text.contains('\u{fffd}') {
            return Err(DAMAGED);
        }
        if let Column::Text(_) = self.column {
            return self.push_text(cell, relaxed);
        }
        let text = cell.trimmed();
        if nothing_word(text) {
            return self.push_null(relaxed);
        }
        if !self.allowed.is_empty() && !self.allowed.iter().any(|a| a == text) {
            return Err(self.not_allowed());
        }
        match &mut self.column {
            Column::Text(_) => {}
            Column::Integer(v) => v.push(Some(number::integer(text)?)),
            Column::Decimal { values, scale } => {
                let value =
                    number::decimal(text, self.precision, *scale, self.comma, self.keep_percent)?;
                values.push(Some(value));
            }
            Column::Float(v) => v.push(Some(number::float(text, self.comma, self.keep_percent)?)),
            Column::Boolean(v) => v.push(Some(number::boolean(text).ok_or(NOT_BOOLEAN)?)),
            Column::Date(v) => v.push(Some(moment::date(text, self.rule)?)),
            Column::DateTime(v) => v.push(Some(moment::date_time(text, self.rule)?)),
        }
        Ok(())
    }

    fn push_text(&mut self, cell: Cell<'_>, relaxed: bool) -> Result<(), Why> {
        // A tab at the end is how exports keep Excel from turning codes into numbers.
        let mut text = cell.text;
        if text.as_bytes().last() == Some(&b'\t') {
            text = text.trim_end_matches('\t');
        }
        match self.data_type {
            DataType::Json => {
                serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|_| NOT_JSON)?;
            }
            DataType::Geometry => {
                if nothing_word(text.trim()) {
                    return self.push_null(relaxed);
                }
                if !geometry(text.trim()) {
                    return Err(NOT_GEOMETRY);
                }
            }
            _ => {
                if cell.mark == Mark::Lossy {
                    return Err(LOSSY);
                }
                if !self.allowed.is_empty() || self.shape != Shape::Any {
                    text = text.trim();
                    if !self.allowed.is_empty() && !self.allowed.iter().any(|a| a == text) {
                        return Err(self.not_allowed());
                    }
                    self.shape.check(text)?;
                }
            }
        }
        if self.length > 0 && text.len() > self.length {
            let characters = text.chars().count();
            if characters > self.length {
                return Err(Why::told(
                    format!("长度 {characters} 个字符，超过规定的 {} 个", self.length),
                    format!("has {characters} characters, at most {} are allowed", self.length),
                ));
            }
        }
        if let Column::Text(c) = &mut self.column {
            c.push(Some(text));
        }
        Ok(())
    }

    fn not_allowed(&self) -> Why {
        let list = cut(&self.allowed.join("|"), 100);
        Why::told(format!("不在值域 {list} 内"), format!("is not one of {list}"))
    }
}

/// What the source could not rule out about its text.
#[derive(Clone, Copy, Debug, Default)]
pub struct Doubt {
    pub nul: bool,
    pub damage: bool,
}

/// `a|b|c` of a value domain; anything else is free text and allows all.
fn enumeration(domain: &str) -> Vec<String> {
    let parts: Vec<&str> = domain.split('|').map(str::trim).collect();
    if parts.len() < 2 || parts.iter().any(|p| p.is_empty()) {
        return Vec::new();
    }
    parts.into_iter().map(str::to_owned).collect()
}

/// Whether a text is a GeoJSON geometry object or looks like WKT.
pub fn geometry(text: &str) -> bool {
    if text.starts_with('{') {
        #[derive(serde::Deserialize)]
        struct Shape {
            #[serde(rename = "type")]
            kind: String,
            coordinates: Option<serde::de::IgnoredAny>,
            geometries: Option<serde::de::IgnoredAny>,
        }
        return serde_json::from_str::<Shape>(text).is_ok_and(|g| match g.kind.as_str() {
            "Point" | "MultiPoint" | "LineString" | "MultiLineString" | "Polygon"
            | "MultiPolygon" => g.coordinates.is_some(),
            "GeometryCollection" => g.geometries.is_some(),
            _ => false,
        });
    }
    let head: String = text.chars().take(24).collect::<String>().to_ascii_uppercase();
    let word = head
        .trim_start_matches(|c: char| c != ';' && head.starts_with("SRID="))
        .trim_start_matches(';');
    let known = [
        "POINT",
        "LINESTRING",
        "POLYGON",
        "MULTIPOINT",
        "MULTILINESTRING",
        "MULTIPOLYGON",
        "GEOMETRYCOLLECTION",
    ]
    .iter()
    .any(|w| word.starts_with(w));
    known && (text.ends_with(')') || text.to_ascii_uppercase().ends_with("EMPTY"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(data_type: DataType, change: impl FnOnce(&mut Item)) -> Field {
        let mut item = Item::new("x", "甲", data_type);
        change(&mut item);
        Field::new(&item, Hint::default(), 8)
    }

    fn push(field: &mut Field, text: &str) -> Result<(), Why> {
        let before = field.column.len();
        let out = field.push(Some(Cell::plain(text)), false, Doubt { nul: true, damage: true });
        assert_eq!(field.column.len(), before + usize::from(out.is_ok()), "{text}");
        out
    }

    #[test]
    fn text_is_kept_as_it_stands() {
        let mut f = field(DataType::Text, |i| i.length = 3);
        for good in ["007", " a", "NA", "杭州市", "-"] {
            assert_eq!(push(&mut f, good), Ok(()), "{good}");
        }
        assert!(push(&mut f, "杭州市区").is_err());
        assert!(push(&mut f, "a\0").is_err());
        assert!(push(&mut f, "a\u{fffd}").is_err());
        for nothing in ["", "  ", "NULL", "\\N", "\u{3000}"] {
            assert_eq!(push(&mut f, nothing), Ok(()));
            assert_eq!(f.column.value(f.column.len() - 1), crate::value::Value::Null, "{nothing}");
        }
        assert_eq!(f.column.value(0), crate::value::Value::Text("007".to_owned()));
        f.truncate(1);
        assert_eq!(f.column.len(), 1);
        assert_eq!(push(&mut f, "x"), Ok(()));
        assert_eq!(f.column.value(1), crate::value::Value::Text("x".to_owned()));
    }

    #[test]
    fn rules_of_the_item_are_kept() {
        let mut f = field(DataType::Text, |i| i.value_domain = "男|女".to_owned());
        assert!(push(&mut f, "男").is_ok() && push(&mut f, "未知").is_err());
        let mut f = field(DataType::Text, |i| i.format = "citizen_id".to_owned());
        assert!(
            push(&mut f, "11010519491231002X").is_ok()
                && push(&mut f, "110105194912310021").is_err()
        );
        let mut f = field(DataType::Integer, |i| i.nullable = false);
        assert!(
            push(&mut f, "NA").is_err()
                && push(&mut f, "1,000").is_ok()
                && push(&mut f, "").is_err()
        );
        let mut f = field(DataType::Decimal, |i| (i.precision, i.scale) = (6, 2));
        assert!(
            push(&mut f, "1.230").is_ok()
                && push(&mut f, "1.234").is_err()
                && push(&mut f, "-").is_ok()
        );
        let mut f = field(DataType::Text, |i| i.format = "YYYY-MM".to_owned());
        assert!(push(&mut f, "2024-01").is_ok() && push(&mut f, "2024-1").is_err());
        let mut f = field(DataType::Geometry, |_| {});
        assert!(push(&mut f, r#"{"type":"Point","coordinates":[1,2]}"#).is_ok());
        assert!(push(&mut f, "POINT (1 2)").is_ok() && push(&mut f, "here").is_err());
        let mut f = field(DataType::Json, |_| {});
        assert!(push(&mut f, "{\"a\":[1]}").is_ok() && push(&mut f, "{a}").is_err());
    }
}
