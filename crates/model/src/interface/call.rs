//! What one call gives, read by the interface's parameters: a condition over items, and where to go on.

use std::collections::BTreeMap;

use super::file::RESERVED;
use super::{InterfaceDraft, Kind, Match, Param};
use crate::query::{Comparison, Condition, Order};
use crate::{Code, Error, FieldError, Result};

/// Longest value of a parameter, in characters.
const LONGEST: usize = 1000;
/// Fewest characters that a fuzzy parameter compares.
const FEWEST: usize = 2;

/// What a caller gave, by name. A list stands for several values of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    given: BTreeMap<String, Vec<String>>,
    /// Names nobody knows are left aside (callers of older conventions send more than was described).
    pub lenient: bool,
}

impl Arguments {
    /// Adds one value; what is empty counts as not given.
    pub fn add(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        if !value.is_empty() {
            self.given.entry(name.to_owned()).or_default().push(value);
        }
    }

    /// Adds the fields of a JSON object: texts, numbers, booleans, and lists of these.
    pub fn add_json(&mut self, body: &serde_json::Value) -> Result<()> {
        let wrong = |name: &str| {
            Error::new(
                Code::InvalidInput,
                format!("参数 `{name}` 应为文字、数字、布尔值或它们的列表"),
                format!(
                    "the parameter `{name}` must be a text, a number, a boolean or a list of these"
                ),
            )
        };
        let serde_json::Value::Object(fields) = body else {
            return Err(Error::new(
                Code::InvalidInput,
                "请求体应为 JSON 对象",
                "the body must be a JSON object",
            ));
        };
        for (name, value) in fields {
            match value {
                serde_json::Value::Null => {}
                serde_json::Value::Array(all) => {
                    for one in all {
                        self.add(name, plain(one).ok_or_else(|| wrong(name))?);
                    }
                }
                one => self.add(name, plain(one).ok_or_else(|| wrong(name))?),
            }
        }
        Ok(())
    }

    /// Takes a name away with its last value.
    pub fn take(&mut self, name: &str) -> Option<String> {
        self.given.remove(name)?.pop()
    }

    fn number(&mut self, name: &str) -> Result<Option<u64>> {
        let Some(text) = self.take(name) else { return Ok(None) };
        text.trim().parse().map(Some).map_err(|_| {
            Error::new(
                Code::InvalidInput,
                format!("参数 `{name}` 应为非负整数"),
                format!("the parameter `{name}` must be a whole number"),
            )
        })
    }
}

fn plain(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Number(n) => Some(n.to_string()),
        serde_json::Value::Bool(b) => Some(b.to_string()),
        _ => None,
    }
}

/// A call as understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    pub filter: Option<Condition>,
    /// Keys of a batch look-up, in their order.
    pub keys: Vec<String>,
    /// Parameters by name, defaults filled in.
    pub values: BTreeMap<String, String>,
    pub after: Option<String>,
    pub limit: Option<u64>,
    /// Page by number, from 1 (conventions that page so).
    pub page: Option<u64>,
    /// Seconds to wait for changes.
    pub wait: u64,
}

impl InterfaceDraft {
    /// Reads a call.
    pub fn ask(&self, mut given: Arguments) -> Result<Asked> {
        let mut asked = Asked {
            after: given.take("after"),
            limit: given.number("limit")?,
            page: given.number("page")?,
            wait: given.number("wait")?.unwrap_or(0),
            ..Asked::default()
        };
        given.take("version");
        let mut conditions = Vec::new();
        for param in &self.param {
            let mut values = given.given.remove(&param.name).unwrap_or_default();
            if values.is_empty() {
                values.extend(param.default.clone());
            }
            if self.kind == Kind::Batch {
                // In an address, keys are parted by commas.
                asked.keys = values
                    .iter()
                    .flat_map(|v| v.split(','))
                    .map(|v| v.trim().to_owned())
                    .filter(|v| !v.is_empty())
                    .collect();
                let most = self.most_keys;
                if asked.keys.is_empty()
                    || u64::try_from(asked.keys.len()).map_or(true, |n| n > most)
                {
                    return Err(wrong(
                        &param.name,
                        &format!("应给出 1 至 {most} 个键"),
                        &format!("give 1 to {most} keys"),
                    ));
                }
                if asked.keys.iter().any(|k| k.chars().count() > LONGEST) {
                    return Err(too_long(&param.name));
                }
                continue;
            }
            if values.len() > 1 {
                return Err(wrong(&param.name, "只能给一个值", "one value only"));
            }
            let Some(value) = values.pop() else {
                if param.required {
                    return Err(wrong(&param.name, "必填", "is required"));
                }
                continue;
            };
            if value.chars().count() > LONGEST {
                return Err(too_long(&param.name));
            }
            let fuzzy = matches!(param.how, Match::Contains | Match::Prefix);
            if fuzzy && value.chars().count() < FEWEST {
                return Err(wrong(
                    &param.name,
                    &format!("至少 {FEWEST} 个字"),
                    &format!("{FEWEST} characters at least"),
                ));
            }
            let comparison = match param.how {
                Match::Equal => Comparison::Eq(value.clone()),
                Match::Contains => Comparison::Like(format!("%{}%", literal(&value))),
                Match::Prefix => Comparison::Like(format!("{}%", literal(&value))),
                Match::From => Comparison::Gte(value.clone()),
                Match::To => Comparison::Lte(value.clone()),
            };
            asked.values.insert(param.name.clone(), value);
            conditions.push(Condition::Column { column: param.item.clone(), comparison });
        }
        if let Some(name) = given.given.keys().next().filter(|_| !given.lenient) {
            let known: Vec<&str> =
                self.param.iter().map(|p| p.name.as_str()).chain(RESERVED).collect();
            let name: String = name.chars().take(80).collect();
            return Err(wrong(
                &name,
                &format!("没有这个参数；可用：{}", known.join(" ")),
                &format!("there is no such parameter; use {}", known.join(" ")),
            ));
        }
        asked.filter = match conditions.len() {
            0 => None,
            1 => conditions.pop(),
            _ => Some(Condition::And(conditions)),
        };
        Ok(asked)
    }

    /// A refusal of a value compared with an item, which is told by the item's name, told by the parameter that gave it, too: that is
    /// what callers know.
    #[must_use]
    pub fn by_parameter(&self, asked: &Asked, refusal: Error) -> Error {
        let ([fault], Code::InvalidQuery) = (refusal.fields(), refusal.code()) else {
            return refusal;
        };
        let gave = |p: &&Param| {
            let given = self.kind == Kind::Batch || asked.values.contains_key(&p.name);
            given && p.item == fault.field
        };
        let fields: Vec<FieldError> = self
            .param
            .iter()
            .filter(gave)
            .map(|p| FieldError { field: p.name.clone(), ..fault.clone() })
            .collect();
        if fields.is_empty() {
            return refusal;
        }
        let names: Vec<String> = fields.iter().map(|f| format!("`{}`", f.field)).collect();
        Error::new(
            refusal.code(),
            format!("参数 {}：{}", names.join("、"), refusal.zh()),
            format!("the parameter {}: {}", names.join(", "), refusal.en()),
        )
        .with_fields(fields)
        .with_reasons(refusal.reasons().to_vec())
        .caused_by(refusal)
    }

    /// The order as described.
    #[must_use]
    pub fn orders(&self) -> Vec<Order> {
        let order = |text: &String| {
            let descending = text.starts_with('-');
            let column = text.trim_start_matches('-').to_owned();
            Order { column, descending, nulls_first: None }
        };
        self.order.iter().map(order).collect()
    }
}

/// Text that a pattern takes as it stands.
fn literal(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            plain.push('\\');
        }
        plain.push(c);
    }
    plain
}

fn wrong(name: &str, zh: &str, en: &str) -> Error {
    Error::new(
        Code::InvalidInput,
        format!("参数 `{name}`：{zh}"),
        format!("the parameter `{name}`: {en}"),
    )
    .field(name, zh, en)
}

fn too_long(name: &str) -> Error {
    wrong(name, &format!("最长 {LONGEST} 字"), &format!("{LONGEST} characters at most"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(kind: &str, rest: &str) -> InterfaceDraft {
        let text = format!("title = \"t\"\nentry = \"e\"\nkind = \"{kind}\"\n{rest}");
        InterfaceDraft::read(&text).unwrap()
    }

    fn given(pairs: &[(&str, &str)]) -> Arguments {
        let mut all = Arguments::default();
        pairs.iter().for_each(|(n, v)| all.add(n, *v));
        all
    }

    #[test]
    fn parameters_become_conditions_over_items() {
        let d = draft(
            "fuzzy",
            "[[param]]\nname = \"n\"\nitem = \"mc\"\nmatch = \"contains\"\nrequired = true\n\
             [[param]]\nname = \"since\"\nitem = \"rq\"\nmatch = \"from\"\n",
        );
        let asked =
            d.ask(given(&[("n", "50%公司"), ("since", "2026-01-01"), ("limit", "5")])).unwrap();
        let column =
            |column: &str, comparison| Condition::Column { column: column.into(), comparison };
        let expected = Condition::And(vec![
            column("mc", Comparison::Like("%50\\%公司%".into())),
            column("rq", Comparison::Gte("2026-01-01".into())),
        ]);
        assert_eq!((asked.filter, asked.limit), (Some(expected), Some(5)));
        for (pairs, field) in [
            (vec![], "n"),
            (vec![("n", "公")], "n"),
            (vec![("n", "公司"), ("mc", "x")], "mc"),
            (vec![("n", "公司"), ("n", "x")], "n"),
        ] {
            let e = d.ask(given(&pairs)).unwrap_err();
            assert_eq!(e.fields().first().unwrap().field, field);
        }
        let more = Arguments { lenient: true, ..given(&[("n", "公司"), ("extra", "1")]) };
        assert!(d.ask(more).is_ok());
    }

    #[test]
    fn a_wrong_value_is_told_by_parameter_and_item() {
        let d = draft(
            "list",
            "[[param]]\nname = \"since\"\nitem = \"rq\"\nmatch = \"from\"\n\
             [[param]]\nname = \"until\"\nitem = \"rq\"\nmatch = \"to\"\n",
        );
        let asked = d.ask(given(&[("since", "soon")])).unwrap();
        let wrong = |item: &str| {
            let zh = format!("数据项 `{item}` 有误");
            Error::new(Code::InvalidQuery, zh, "wrong").field(item, "应为日期", "a date")
        };
        let told = d.by_parameter(&asked, wrong("rq"));
        assert_eq!(told.zh(), "参数 `since`：数据项 `rq` 有误");
        assert_eq!(told.fields().first().unwrap().field, "since");
        assert_eq!(d.by_parameter(&asked, wrong("mc")).zh(), "数据项 `mc` 有误");
        let other = Error::of(Code::NoGrant);
        assert_eq!(d.by_parameter(&asked, other).code(), Code::NoGrant);
    }

    #[test]
    fn keys_of_a_batch_come_as_a_list_or_by_commas() {
        let d = draft("batch", "most_keys = 2\n[[param]]\nname = \"id\"\nitem = \"id\"\n");
        assert_eq!(d.ask(given(&[("id", "a,b")])).unwrap().keys, ["a", "b"]);
        let mut list = Arguments::default();
        list.add_json(&serde_json::json!({ "id": ["a", 2] })).unwrap();
        assert_eq!(d.ask(list).unwrap().keys, ["a", "2"]);
        assert!(d.ask(given(&[("id", "a,b,c")])).is_err());
        assert!(d.ask(given(&[])).is_err());
        assert!(Arguments::default().add_json(&serde_json::json!({ "id": { "a": 1 } })).is_err());
    }
}
