//! Which column of a source is which item: by identifier, Chinese or English name, else by position.

use model::item::Item;
use model::{Code, Error, Result};

use crate::number::half_width;

/// A column's name as found: the joined text, and the header levels it was joined from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) name: String,
    pub(crate) levels: Vec<String>,
}

impl Header {
    pub(crate) fn plain(name: impl Into<String>) -> Self {
        Self { name: name.into(), levels: Vec::new() }
    }
}

/// The outcome: for each item its column, and the column that says I/U/D.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Matched {
    pub(crate) of_item: Vec<Option<usize>>,
    pub(crate) operation: Option<usize>,
}

impl Matched {
    /// Header texts in order with the item each was matched to.
    pub(crate) fn columns(
        &self,
        headers: &[Header],
        items: &[Item],
    ) -> Vec<(String, Option<String>)> {
        headers
            .iter()
            .enumerate()
            .map(|(column, header)| {
                let item = self.of_item.iter().position(|m| *m == Some(column));
                (header.name.clone(), item.and_then(|i| items.get(i)).map(|i| i.identifier.clone()))
            })
            .collect()
    }
    /// How many items have a column.
    pub(crate) fn count(&self) -> usize {
        self.of_item.iter().flatten().count()
    }
}

/// A header text without decoration: half-width, lower case, no white space, no mark of a mandatory column.
pub(crate) fn plain(text: &str) -> String {
    half_width(text)
        .chars()
        .filter(|c| {
            !c.is_whitespace()
                && !matches!(c, '\u{feff}' | '\u{200b}' | '\u{200c}' | '\u{200d}' | '\u{2060}')
        })
        .flat_map(char::to_lowercase)
        .collect::<String>()
        .trim_start_matches(['*', '#'])
        .trim_end_matches('*')
        .to_owned()
}

/// Letters and digits only.
fn bare(text: &str) -> String {
    plain(text).chars().filter(|c| c.is_alphanumeric()).collect()
}

/// Without what stands in brackets (units, explanations).
fn unbracketed(text: &str) -> String {
    let text = plain(text);
    text.split(['(', '[', '{', '【', '〔'])
        .next()
        .unwrap_or_default()
        .trim_end_matches(['/', ':', '：'])
        .to_owned()
}

/// Matches by names only.
pub(crate) fn by_name(headers: &[Header], items: &[Item], operation: Option<&str>) -> Matched {
    let mut matched = Matched { of_item: vec![None; items.len()], operation: None };
    let mut taken = vec![false; headers.len()];
    if let Some(wanted) = operation {
        let at = headers.iter().position(|h| plain(&h.name) == plain(wanted));
        // The same column may also be an item.
        matched.operation = at;
    }
    type Form = fn(&str) -> String;
    type Part = fn(&Header) -> &str;
    let whole: Part = |h| &h.name;
    let last: Part = |h| h.levels.last().map_or("", String::as_str);
    let first: Part = |h| h.levels.first().map_or("", String::as_str);
    let ways: [(Part, Form); 5] =
        [(whole, plain), (whole, bare), (whole, unbracketed), (last, plain), (first, plain)];
    for (part, form) in ways {
        let keys: Vec<String> = headers.iter().map(|h| form(part(h))).collect();
        for (slot, item) in matched.of_item.iter_mut().zip(items) {
            if slot.is_some() {
                continue;
            }
            let names = [&item.identifier, &item.name_cn, &item.name_en];
            let found = names.into_iter().filter(|n| !n.is_empty()).find_map(|name| {
                let name = form(name);
                keys.iter()
                    .zip(&taken)
                    .position(|(key, taken)| !taken && !key.is_empty() && *key == name)
            });
            if let Some(column) = found {
                if let Some(t) = taken.get_mut(column) {
                    *t = true;
                }
                *slot = Some(column);
            }
        }
    }
    matched
}

/// Matches by names, or by position when the source has no header row, and refuses when a mandatory item is missing.
///
/// `place` names the source in messages (`工作表「一月」`, `文件`).
pub(crate) fn settle(
    headers: &[Header],
    items: &[Item],
    has_header: bool,
    operation: Option<&str>,
) -> Result<Matched> {
    let mut matched = by_name(headers, items, operation);
    if !has_header && matched.count() == 0 {
        if headers.len() != items.len() {
            return Err(Error::new(
                Code::InvalidFile,
                format!(
                    "文件没有表头行，且列数 {} 与数据项数 {} 不一致，无法按位置对应；请补上表头行（用数据项标识符或中文名称）",
                    headers.len(),
                    items.len()
                ),
                format!(
                    "the file has no header row and its {} columns cannot be matched by position to {} items; add a header row with the items' identifiers or names",
                    headers.len(),
                    items.len()
                ),
            ));
        }
        matched.of_item = (0..items.len()).map(Some).collect();
    }
    if let (Some(wanted), None) = (operation, matched.operation) {
        return Err(Error::new(
            Code::InvalidFile,
            format!("没有找到操作标识列「{wanted}」；请核对列名"),
            format!("the operation column `{wanted}` was not found; check its name"),
        ));
    }
    let missing: Vec<&Item> = items
        .iter()
        .zip(&matched.of_item)
        .filter(|(item, column)| column.is_none() && (!item.nullable || item.primary))
        .map(|(item, _)| item)
        .collect();
    if missing.is_empty() && (matched.count() > 0 || items.is_empty()) {
        return Ok(matched);
    }
    Err(lacking(headers, items, &missing))
}

fn lacking(headers: &[Header], items: &[Item], missing: &[&Item]) -> Error {
    let found = crate::why::cut(
        &headers.iter().map(|h| h.name.as_str()).collect::<Vec<_>>().join("、"),
        300,
    );
    let list = |items: &[&Item]| {
        items
            .iter()
            .map(|i| format!("{}（{}）", i.identifier, i.name_cn))
            .collect::<Vec<_>>()
            .join("、")
    };
    let mut error = if missing.is_empty() {
        let all: Vec<&Item> = items.iter().take(30).collect();
        Error::new(
            Code::InvalidFile,
            format!(
                "文件的列与数据项没有一个对应得上。文件的列：{found}；需要：{}。请修改表头",
                list(&all)
            ),
            format!(
                "no column matches any data item; columns: {found}; wanted: {}; mend the header row",
                list(&all)
            ),
        )
    } else {
        Error::new(
            Code::InvalidFile,
            format!(
                "文件缺少不可为空的数据项：{}。文件的列：{found}。请补充这些列或修改表头",
                list(missing)
            ),
            format!(
                "mandatory data items are missing: {}; columns found: {found}; add them or mend the header row",
                list(missing)
            ),
        )
    };
    for item in missing {
        error = error.field(
            item.identifier.clone(),
            format!("缺少列「{}」", item.name_cn),
            format!("column `{}` is missing", item.identifier),
        );
    }
    error
}

#[cfg(test)]
mod tests {
    use model::code::DataType;

    use super::*;

    fn items() -> Vec<Item> {
        let mut id = Item::new("id", "编号", DataType::Integer);
        id.nullable = false;
        let mut amount = Item::new("amount", "金额", DataType::Decimal);
        amount.name_en = "Total Amount".to_owned();
        vec![id, amount, Item::new("city_code", "城市代码", DataType::Text)]
    }

    fn find(headers: &[&str]) -> Vec<Option<usize>> {
        let headers: Vec<Header> = headers.iter().map(|h| Header::plain(*h)).collect();
        by_name(&headers, &items(), None).of_item
    }

    #[test]
    fn names_are_matched_in_every_dress() {
        assert_eq!(find(&["ID", "金额", "cityCode"]), [Some(0), Some(1), Some(2)]);
        assert_eq!(find(&[" 编 号 ", "total_amount", "城市代码"]), [Some(0), Some(1), Some(2)]);
        assert_eq!(find(&["＊ＩＤ", "金额（万元）", "x"]), [Some(0), Some(1), None]);
        assert_eq!(find(&["x", "id", "id"]), [Some(1), None, None]);
    }

    #[test]
    fn missing_and_headless_files_are_told() {
        let headers = |names: &[&str]| names.iter().map(|h| Header::plain(*h)).collect::<Vec<_>>();
        let error = settle(&headers(&["金额"]), &items(), true, None).unwrap_err();
        assert!(error.zh().contains("id（编号）") && error.fields().len() == 1, "{error}");
        assert!(settle(&headers(&["column_1", "column_2"]), &items(), false, None).is_err());
        let by_position =
            settle(&headers(&["column_1", "column_2", "column_3"]), &items(), false, None);
        assert_eq!(by_position.unwrap().of_item, [Some(0), Some(1), Some(2)]);
        assert!(settle(&headers(&["id"]), &items(), true, Some("op")).is_err());
    }
}
