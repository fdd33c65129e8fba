//! Is a declaration right? Every fault with its field and how to mend it. And what follows from it: the completeness
//! score, the name without what does not tell names apart, the code the platform gives.

use std::collections::{BTreeMap, HashSet};

use chrono::NaiveDate;
use model::FieldError;
use model::asset::AssetDraft;

use super::rules::{DuplicateRules, FieldKind, FieldRule, LedgerRule, QualityRules};

/// Longest name, text and list of lines, in characters.
const NAME: usize = 200;
const TEXT: usize = 2000;
const LINES: usize = 8000;

/// Trims texts, evens line ends and separators, leaves empty fields out.
pub(super) fn tidy(mut draft: AssetDraft, rule: &LedgerRule) -> AssetDraft {
    for text in [
        &mut draft.code,
        &mut draft.name,
        &mut draft.org,
        &mut draft.region,
        &mut draft.owner,
        &mut draft.description,
    ] {
        *text = even(text);
    }
    let fields = std::mem::take(&mut draft.fields);
    draft.fields = fields
        .into_iter()
        .map(|(key, value)| {
            let kind = rule.field(&key).map(|f| f.kind);
            let value = even(&value);
            let value = match kind {
                Some(FieldKind::Choices) => {
                    joined(value.split(['、', ',', '，', ';', '；', '|']), "、")
                }
                Some(FieldKind::Lines) => joined(value.split(['\n', ';', '；']), "\n"),
                _ => value,
            };
            (key, value)
        })
        .filter(|(_, value)| !value.is_empty())
        .collect::<BTreeMap<_, _>>();
    draft
}

fn joined<'a>(parts: impl Iterator<Item = &'a str>, glue: &str) -> String {
    parts.map(str::trim).filter(|p| !p.is_empty()).collect::<Vec<_>>().join(glue)
}

fn even(text: &str) -> String {
    text.replace("\r\n", "\n")
        .replace('\r', "\n")
        .trim()
        .chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .collect()
}

/// Organisations and regions that are known.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) orgs: HashSet<String>,
    pub(super) regions: HashSet<String>,
}

/// Every fault of a tidied draft.
pub(super) fn faults(draft: &AssetDraft, rule: &LedgerRule, known: &Known) -> Vec<FieldError> {
    let mut out = Vec::new();
    let mut say = |field: &str, zh: String, en: String| {
        out.push(FieldError { field: field.to_owned(), zh, en });
    };
    if draft.code.is_empty() || draft.code.len() > 64 || !draft.code.bytes().all(code_byte) {
        say(
            "code",
            "编号为 1 至 64 位字母、数字、-、_、.".into(),
            "a code has 1 to 64 letters, digits, -, _ or .".into(),
        );
    }
    if draft.name.is_empty() {
        say("name", "请填写名称".into(), "give a name".into());
    }
    for (key, text, most) in [
        ("name", &draft.name, NAME),
        ("owner", &draft.owner, NAME),
        ("description", &draft.description, TEXT),
    ] {
        let n = text.chars().count();
        if n > most {
            say(
                key,
                format!("有 {n} 个字，最多 {most} 个"),
                format!("{n} characters, at most {most}"),
            );
        }
    }
    if !known.orgs.contains(&draft.org) {
        say(
            "org",
            format!("没有登记机构 `{}`，请填机构编号、统一社会信用代码或名称", cut(&draft.org)),
            format!("no organisation `{}`: give its id, credit code or name", cut(&draft.org)),
        );
    }
    if !known.regions.contains(&draft.region) {
        say(
            "region",
            format!("没有行政区划 `{}`，请用 GB/T 2260 中本省的代码", cut(&draft.region)),
            format!("no region `{}` (GB/T 2260)", cut(&draft.region)),
        );
    }
    for key in draft.fields.keys() {
        if rule.field(key).is_none() {
            say(key, "该台账没有这个字段".into(), "this ledger has no such field".into());
        }
    }
    for field in &rule.field {
        let value = draft.field(&field.key);
        if value.is_empty() {
            if field.needed {
                say(&field.key, format!("请填写{}", field.zh), format!("{} is needed", field.en));
            }
        } else if let Err((zh, en)) = fits(field, value) {
            say(&field.key, zh, en);
        }
    }
    out
}

fn code_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')
}

fn cut(text: &str) -> String {
    text.chars().take(60).collect()
}

fn fits(field: &FieldRule, value: &str) -> Result<(), (String, String)> {
    let shown = cut(value);
    let listed = |word: &str| field.list.iter().any(|l| l == word);
    let options = || field.list.join("、");
    match field.kind {
        FieldKind::Text | FieldKind::Lines => {
            let most = if field.kind == FieldKind::Text { TEXT } else { LINES };
            let n = value.chars().count();
            if n > most {
                return Err((
                    format!("有 {n} 个字，最多 {most} 个"),
                    format!("{n} characters, at most {most}"),
                ));
            }
        }
        FieldKind::Number => match value.parse::<f64>() {
            Ok(n) if n.is_finite() && n >= 0.0 => {
                if let Some(most) = field.most
                    && value.parse::<rust_decimal::Decimal>().is_ok_and(|n| n > most.into())
                {
                    return Err((
                        format!("`{shown}` 大于上限 {most}"),
                        format!("`{shown}` is above {most}"),
                    ));
                }
            }
            _ => {
                return Err((
                    format!("`{shown}` 不是非负数字，请只填数字，不带单位和千分位"),
                    format!(
                        "`{shown}` is not a number from 0 up: digits only, no unit or separators"
                    ),
                ));
            }
        },
        FieldKind::Date => {
            if value.len() != 10 || value.parse::<NaiveDate>().is_err() {
                return Err((
                    format!("`{shown}` 不是日期，请写成 2026-01-31 的形式"),
                    format!("`{shown}` is not a date: write it like 2026-01-31"),
                ));
            }
        }
        FieldKind::Link => {
            if !(value.starts_with("http://") || value.starts_with("https://"))
                || value.chars().any(char::is_whitespace)
            {
                return Err((
                    format!("`{shown}` 不是网址，应以 http:// 或 https:// 开头"),
                    format!("`{shown}` is not a web address: it begins with http:// or https://"),
                ));
            }
        }
        FieldKind::Choice => {
            if !listed(value) {
                return Err((
                    format!("`{shown}` 不在代码表中，可用：{}", options()),
                    format!("`{shown}` is not in the list: {}", options()),
                ));
            }
        }
        FieldKind::Choices => {
            if let Some(odd) = value.split('、').find(|w| !listed(w)) {
                return Err((
                    format!("`{}` 不在代码表中，可用：{}（多项用“、”分开）", cut(odd), options()),
                    format!(
                        "`{}` is not in the list: {} (several are separated by 、)",
                        cut(odd),
                        options()
                    ),
                ));
            }
        }
    }
    Ok(())
}

/// Completeness, 0 to 100: filled fields by weight, the common ones among them.
pub(super) fn score(draft: &AssetDraft, rule: &LedgerRule, weights: &QualityRules) -> i64 {
    let (mut all, mut filled) = (0_u32, 0_u32);
    let mut add = |weight: u32, there: bool| {
        all += weight;
        if there {
            filled += weight;
        }
    };
    add(weights.needed_weight, !draft.owner.is_empty());
    add(weights.needed_weight, draft.description.chars().count() >= 10);
    for field in &rule.field {
        let weight = if field.needed { weights.needed_weight } else { weights.optional_weight };
        add(weight, !draft.field(&field.key).is_empty());
    }
    (filled * 100).checked_div(all).map_or(100, i64::from)
}

/// The name without noise words, spaces and punctuation, in lower case; the plain name when nothing is left.
pub(super) fn name_key(name: &str, rules: &DuplicateRules) -> String {
    let plain: String = name.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
    let mut key = plain.clone();
    for noise in &rules.noise {
        let left = key.replace(noise.as_str(), "");
        if left.chars().nth(1).is_some() {
            key = left;
        }
    }
    if key.is_empty() { plain } else { key }
}

#[cfg(test)]
mod tests {
    use model::asset::Ledger;

    use super::super::rules::LedgerBook;
    use super::*;

    fn with<T>(work: impl FnOnce(&super::super::rules::LedgerRules) -> T) -> T {
        let book: LedgerBook = toml::from_str(include_str!("../../rules/ledger.toml")).unwrap();
        work(book.at("2026-03-02".parse().unwrap()).unwrap())
    }

    fn cloud() -> AssetDraft {
        AssetDraft {
            ledger: Ledger::Cloud,
            code: "R-1".into(),
            name: "核心数据库".into(),
            org: "o".into(),
            region: "330000".into(),
            owner: String::new(),
            description: String::new(),
            fields: [("kind", "数据库"), ("zone", "政务外网区"), ("expiry", "2027-01-31")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
        }
    }

    fn known() -> Known {
        Known { orgs: ["o".to_owned()].into(), regions: ["330000".to_owned()].into() }
    }

    #[test]
    fn every_fault_is_told_with_its_field() {
        with(|rules| {
            let rule = rules.of(Ledger::Cloud).unwrap();
            assert_eq!(faults(&cloud(), rule, &known()), []);
            let mut draft = cloud();
            draft.code = "R 1".into();
            draft.region = "990000".into();
            for (key, value) in [
                ("kind", "主机"),
                ("vcpu", "4核"),
                ("utilisation", "101"),
                ("expiry", "2027/1/31"),
                ("colour", "red"),
            ] {
                draft.fields.insert(key.into(), value.into());
            }
            let found = faults(&draft, rule, &known());
            let fields: Vec<&str> = found.iter().map(|f| f.field.as_str()).collect();
            assert_eq!(
                fields,
                ["code", "region", "colour", "kind", "vcpu", "utilisation", "expiry"]
            );
        });
    }

    #[test]
    fn choices_are_separated_as_people_do() {
        with(|rules| {
            let rule = rules.of(Ledger::Application).unwrap();
            let mut draft = AssetDraft { ledger: Ledger::Application, ..cloud() };
            draft.fields = [("ends".to_owned(), " 浙里办, 浙政钉；微信 ".to_owned())].into();
            assert_eq!(tidy(draft, rule).field("ends"), "浙里办、浙政钉、微信");
        });
    }

    #[test]
    fn names_that_differ_by_noise_are_the_same() {
        with(|rules| {
            let key = |name: &str| name_key(name, &rules.duplicate);
            assert_eq!(key("浙江省 企业信用信息管理系统"), key("企业信用平台"));
            assert_ne!(key("企业信用平台"), key("企业年报平台"));
            assert_eq!(key("系统"), "系统");
        });
    }

    #[test]
    fn completeness_counts_what_is_filled() {
        with(|rules| {
            let rule = rules.of(Ledger::Cloud).unwrap();
            let bare = score(&cloud(), rule, &rules.quality);
            let mut full = cloud();
            full.owner = "张三".into();
            full.description = "市场监管核心业务数据库主节点".into();
            for field in &rule.field {
                full.fields.entry(field.key.clone()).or_insert_with(|| "1".into());
            }
            assert_eq!(score(&full, rule, &rules.quality), 100);
            assert!((1..100).contains(&bare), "{bare}");
        });
    }
}
