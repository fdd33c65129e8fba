//! Synthetic rows of the shape of what was granted, to build and test with. They are made from the declaration alone,
//! never from governed rows; the same entry gives the same rows. Numbers of persons and organisations have valid check
//! digits and carry the province's own code where a county's belongs, so that none is anyone's.

use chrono::{Days, NaiveDate};
use guard::mask::Masker;
use model::code::DataType;
use model::entry::Entry;
use model::ident;
use model::item::Item;
use model::value::Value;
use model::{Error, Result};
use policy::GrantColumn;
use rust_decimal::Decimal;
use serde_json::Map;

use super::Resource;
use crate::App;

/// Rows of a sandbox.
const ROWS: u64 = 20;

/// Synthetic rows, masked as real ones would be.
pub(super) fn rows(app: &App, entry: &Entry, columns: &[GrantColumn]) -> Vec<Vec<Value>> {
    let masker = Masker::new(&app.keys.mask(), "sandbox");
    (0..ROWS)
        .map(|n| {
            columns
                .iter()
                .map(|column| {
                    let value = entry
                        .draft
                        .item(&column.identifier)
                        .map_or(Value::Null, |item| invented(&entry.draft.code, item, n));
                    match &column.mask {
                        Some(mask) => masker.apply(mask, &column.identifier, &value),
                        None => value,
                    }
                })
                .collect()
        })
        .collect()
}

/// The rows as CSV with a header.
pub fn as_csv(resource: &Resource) -> Result<Vec<u8>> {
    let broken = |e: csv::Error| Error::internal("cannot write CSV").caused_by(e);
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(resource.columns.iter().map(|c| c.identifier.as_str())).map_err(broken)?;
    for row in &resource.rows {
        let cells = row.iter().map(|v| v.to_text().unwrap_or_default());
        writer.write_record(cells).map_err(broken)?;
    }
    writer.into_inner().map_err(|e| Error::internal("cannot write CSV").caused_by(e.to_string()))
}

/// The rows as the interface answers them.
pub fn as_json(resource: &Resource) -> Result<Vec<u8>> {
    let wrong = |e| Error::internal("cannot write JSON").caused_by(e);
    let mut all = Vec::with_capacity(resource.rows.len());
    for row in &resource.rows {
        let mut object = Map::new();
        for (column, value) in resource.columns.iter().zip(row) {
            let value = serde_json::to_value(value).map_err(wrong)?;
            object.insert(column.identifier.clone(), value);
        }
        all.push(serde_json::Value::Object(object));
    }
    serde_json::to_vec_pretty(&all).map_err(wrong)
}

fn invented(code: &str, item: &Item, n: u64) -> Value {
    let seed = mix(code, &item.identifier, n);
    let choices: Vec<&str> =
        item.value_domain.split('|').map(str::trim).filter(|c| !c.is_empty()).collect();
    if choices.len() > 1 {
        return typed(item, pick(&choices, seed));
    }
    match item.data_type {
        DataType::Integer if item.primary => Value::Integer(whole(n + 1)),
        DataType::Integer => Value::Integer(whole(seed % 10_000)),
        DataType::Decimal => {
            Value::Decimal(Decimal::new(whole(seed % 1_000_000), u32::from(item.scale)))
        }
        DataType::Float => {
            Value::Float(f64::from(u32::try_from(seed % 100_000).unwrap_or(0)) / 100.0)
        }
        DataType::Boolean => Value::Boolean(seed.is_multiple_of(2)),
        DataType::Date => day(seed).map_or(Value::Null, Value::Date),
        DataType::DateTime => {
            let at =
                day(seed).and_then(|d| d.and_hms_opt(u32::try_from(seed % 24).unwrap_or(0), 30, 0));
            at.map_or(Value::Null, Value::DateTime)
        }
        DataType::Geometry => {
            Value::Text(format!("POINT(120.{:04} 30.{:04})", seed % 10_000, (seed >> 16) % 10_000))
        }
        DataType::Json => Value::Text(format!("{{\"sample\":{}}}", n + 1)),
        DataType::Text => Value::Text(text(item, seed, n)),
    }
}

fn text(item: &Item, seed: u64, n: u64) -> String {
    let named = |words: &[&str]| words.iter().any(|w| item.name_cn.contains(w));
    let ends = |words: &[&str]| words.iter().any(|w| item.identifier.ends_with(w));
    if item.format == "citizen_id" || named(&["身份号码", "身份证"]) || ends(&["sfzh", "zjhm"])
    {
        return citizen(seed, n);
    }
    if item.format == "uscc" || named(&["信用代码"]) || ends(&["uscc", "tyshxydm"]) {
        return credit_code(seed);
    }
    if named(&["手机"]) || ends(&["sjh"]) {
        return format!("1700000{:04}", seed % 10_000);
    }
    if named(&["行政区划", "区划代码"]) || ends(&["region_code", "xzqh"]) {
        return pick(&["330106", "330110", "330203", "330302"], seed).to_owned();
    }
    if named(&["姓名"]) || ends(&["xm"]) {
        return format!("示例{}", pick(&["甲", "乙", "丙", "丁", "戊", "己"], seed));
    }
    let whole = format!("示例{}{}", item.name_cn, n + 1);
    match usize::try_from(item.length) {
        Ok(most) if most > 0 && whole.chars().count() > most => {
            let digits = format!("{:0width$}", n + 1, width = most.min(12));
            digits.chars().take(most).collect()
        }
        _ => whole,
    }
}

/// A number with a valid check digit under the province's code: no county, so nobody's.
fn citizen(seed: u64, n: u64) -> String {
    let born = day(seed).map_or_else(|| "20200101".to_owned(), |d| d.format("%Y%m%d").to_string());
    let head = format!("330000{born}{:03}", n % 1000);
    ident::citizen_check(&head).map_or_else(|| head.clone(), |check| format!("{head}{check}"))
}

fn credit_code(seed: u64) -> String {
    let body = format!("{:08}", seed % 100_000_000);
    let org = ident::org_code_check(&body).unwrap_or('0');
    let head = format!("91330000{body}{org}");
    ident::uscc_check(&head).map_or_else(|| head.clone(), |check| format!("{head}{check}"))
}

/// A choice of the value domain, as the item's type.
fn typed(item: &Item, word: &str) -> Value {
    match item.data_type {
        DataType::Integer => word.parse().map_or(Value::Null, Value::Integer),
        DataType::Decimal => word.parse().map_or(Value::Null, Value::Decimal),
        DataType::Boolean => Value::Boolean(word == "true" || word == "1"),
        _ => Value::Text(word.to_owned()),
    }
}

fn day(seed: u64) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(2020, 1, 1)?.checked_add_days(Days::new(seed % 2000))
}

fn whole(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(0)
}

fn pick<'a>(choices: &[&'a str], seed: u64) -> &'a str {
    let n = usize::try_from(seed).unwrap_or(0).checked_rem(choices.len()).unwrap_or(0);
    choices.get(n).copied().unwrap_or_default()
}

/// A number that looks random and is always the same: SplitMix64 over the names. It protects nothing.
fn mix(code: &str, identifier: &str, n: u64) -> u64 {
    let start = code.bytes().chain(identifier.bytes()).fold(n.wrapping_mul(0x9E37_79B9), |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut z = start.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (z ^ (z >> 31)) >> 8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(identifier: &str, name: &str, data_type: DataType, change: fn(&mut Item)) -> Value {
        let mut item = Item::new(identifier, name, data_type);
        change(&mut item);
        invented("code", &item, 3)
    }

    #[test]
    fn invented_values_are_of_their_kind_and_nobodys() {
        for n in 0..50 {
            let item = Item::new("sfzh", "公民身份号码", DataType::Text);
            let Value::Text(id) = invented("c", &item, n) else { panic!() };
            ident::citizen_id(&id).unwrap();
            assert!(id.starts_with("330000"), "no county: nobody's");
            let item = Item::new("uscc", "统一社会信用代码", DataType::Text);
            let Value::Text(code) = invented("c", &item, n) else { panic!() };
            ident::uscc(&code).unwrap();
        }
        assert!(
            matches!(value("a", "金额", DataType::Decimal, |i| i.scale = 2), Value::Decimal(d) if d.scale() == 2)
        );
        assert!(matches!(value("a", "日期", DataType::Date, |_| ()), Value::Date(_)));
        let kind = value("a", "类别", DataType::Text, |i| i.value_domain = "甲|乙".into());
        assert!(matches!(kind, Value::Text(t) if t == "甲" || t == "乙"));
        let short = value("a", "很长的名称", DataType::Text, |i| i.length = 4);
        assert_eq!(short, Value::Text("0004".into()));
        let again = value("a", "金额", DataType::Integer, |_| ());
        assert_eq!(again, value("a", "金额", DataType::Integer, |_| ()), "the same each time");
    }
}
