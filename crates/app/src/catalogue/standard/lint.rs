//! Asking the rules of a declaration: findings, what each rule's mending would write, and what keeps it from review.

use std::collections::{BTreeMap, HashMap};

use chrono::NaiveDate;
use model::code::Grade;
use model::entry::EntryDraft;
use model::finding::{Finding, Level, RuleHits};
use model::item::Item;
use model::{Code, Error, Result};
use serde_json::Value;

use super::{At, Condition, Element, Pack, Packs, RuleDef};

/// Everything in a draft that does not follow the packs in force on a day.
#[must_use]
pub fn lint(packs: &Packs, day: NaiveDate, draft: &EntryDraft) -> Vec<Finding> {
    let Ok(Value::Object(whole)) = serde_json::to_value(draft) else { return Vec::new() };
    let items: Vec<&Value> = whole
        .get("items")
        .and_then(Value::as_array)
        .map_or_else(Vec::new, |all| all.iter().collect());
    let seen = Seen { whole: &whole, items, draft };
    let mut found = Vec::new();
    for pack in packs.on(day) {
        for rule in &pack.rule {
            seen.rule(pack, rule, &mut found);
        }
        for (i, item) in draft.items.iter().enumerate() {
            for element in pack.element.iter().filter(|e| e.is(item)) {
                element.check(pack, i, item, &mut found);
            }
        }
    }
    found
}

/// How often each rule is broken.
pub(in crate::catalogue) fn hits(
    packs: &Packs,
    day: NaiveDate,
    draft: &EntryDraft,
) -> Vec<RuleHits> {
    let mut by_rule: BTreeMap<String, RuleHits> = BTreeMap::new();
    for f in lint(packs, day, draft) {
        by_rule
            .entry(f.rule.clone())
            .or_insert(RuleHits { rule: f.rule, level: f.level, places: 0 })
            .places += 1;
    }
    by_rule.into_values().collect()
}

/// Refuses to hand in a draft with errors. Of a change to what is in force only the errors that the change brings are
/// refused: a rule that came later does not keep an older entry from being mended step by step.
pub(in crate::catalogue) fn gate(
    packs: &Packs,
    day: NaiveDate,
    in_force: Option<&EntryDraft>,
    draft: &EntryDraft,
) -> Result<()> {
    let errors = |d: &EntryDraft| -> Vec<Finding> {
        lint(packs, day, d).into_iter().filter(|f| f.level == Level::Error).collect()
    };
    let old = in_force.map(errors).unwrap_or_default();
    let new: Vec<Finding> =
        errors(draft).into_iter().filter(|f| !old.iter().any(|o| o.mark() == f.mark())).collect();
    let Some(first) = new.first() else { return Ok(()) };
    Err(Error::new(
        Code::RuleBroken,
        format!("有 {} 处不符合编目规范，不能提交审核：{}", new.len(), first.zh),
        format!("{} errors against the rule packs keep it from review: {}", new.len(), first.en),
    )
    .with_fields(new.iter().map(Finding::told).collect()))
}

/// A declaration as rules look at it.
struct Seen<'a> {
    whole: &'a serde_json::Map<String, Value>,
    items: Vec<&'a Value>,
    draft: &'a EntryDraft,
}

impl Seen<'_> {
    fn rule(&self, pack: &Pack, rule: &RuleDef, found: &mut Vec<Finding>) {
        let entry = |name: &str| text(self.whole.get(name.strip_prefix("entry.").unwrap_or(name)));
        match rule.at {
            At::Entry => {
                let some = rule.any_item.is_empty()
                    || self
                        .items
                        .iter()
                        .any(|i| rule.any_item.iter().all(|c| c.holds(&text(i.get(&c.field)))));
                if !some || !rule.when.iter().all(|c| c.holds(&entry(&c.field))) {
                    return;
                }
                let value = entry(&rule.on);
                if let Some(why) = rule.broken(&value, &entry, false) {
                    let fixed = rule.mended(&value, &entry);
                    found.push(rule.finding(pack, rule.on.clone(), "", value, &why, fixed));
                }
            }
            At::Item => {
                let mut said: HashMap<String, usize> = HashMap::new();
                for (i, item) in self.items.iter().enumerate() {
                    let of = |name: &str| match name.strip_prefix("entry.") {
                        Some(name) => entry(name),
                        None => text(item.get(name)),
                    };
                    if !rule.when.iter().all(|c| c.holds(&of(&c.field))) {
                        continue;
                    }
                    let value = of(&rule.on);
                    let times = said.entry(value.clone()).or_default();
                    *times += 1;
                    let twice = rule.unique && *times > 1 && !value.is_empty();
                    if let Some(why) = rule.broken(&value, &of, twice) {
                        let fixed = rule.mended(&value, &of);
                        let name = self.draft.items.get(i).map_or("", |i| i.identifier.as_str());
                        let field = format!("items[{i}].{}", rule.on);
                        found.push(rule.finding(pack, field, name, value, &why, fixed));
                    }
                }
            }
        }
    }
}

/// A field as text: lists joined, nothing is empty.
fn text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(s)) => s.clone(),
        Some(Value::Array(all)) => all.iter().map(|v| text(Some(v))).collect::<Vec<_>>().join("、"),
        Some(other) => other.to_string(),
    }
}

impl Condition {
    fn holds(&self, value: &str) -> bool {
        (self.is.is_empty() || self.is.iter().any(|w| w == value))
            && !self.is_not.iter().any(|w| w == value)
            && self.matches.as_ref().is_none_or(|p| p.0.is_match(value))
            && self.filled.is_none_or(|wanted| wanted != value.is_empty())
    }
}

/// Why a rule is broken, in both languages; empty where the rule's own words say it all.
type Why = (String, String);

impl RuleDef {
    /// Whether the value breaks the rule. An empty value breaks only what asks for one.
    fn broken(&self, value: &str, of: &dyn Fn(&str) -> String, twice: bool) -> Option<Why> {
        let plain = Some((String::new(), String::new()));
        if value.is_empty() {
            return if self.filled { plain } else { None };
        }
        let length = value.chars().count();
        if let Some(least) = self.min.filter(|least| length < *least) {
            return Some((
                format!("至少 {least} 个字，现有 {length} 个"),
                format!("at least {least} characters, it has {length}"),
            ));
        }
        if let Some(most) = self.max.filter(|most| length > *most) {
            return Some((
                format!("最多 {most} 个字，现有 {length} 个"),
                format!("at most {most} characters, it has {length}"),
            ));
        }
        if let Some(word) = self.not_contain.iter().find(|w| value.contains(w.as_str())) {
            return Some((format!("含有“{word}”"), format!("it holds `{word}`")));
        }
        let low = self.at_least.is_some_and(|least| Grade::parse(value).is_some_and(|g| g < least));
        let wrong = self.pattern.as_ref().is_some_and(|p| !p.0.is_match(value))
            || (self.chinese
                && !value
                    .chars()
                    .any(|c| matches!(c, '\u{4e00}'..='\u{9fff}' | '\u{3400}'..='\u{4dbf}')))
            || self.not_equal.iter().any(|w| w.eq_ignore_ascii_case(value))
            || (!self.one_of.is_empty() && !self.one_of.iter().any(|w| w == value))
            || self.none_of.iter().any(|w| w == value)
            || self.differs_from.as_ref().is_some_and(|other| of(other) == value)
            || low
            || twice;
        if wrong { plain } else { None }
    }

    /// What the rule's mending would write, where that follows the rule.
    fn mended(&self, value: &str, of: &dyn Fn(&str) -> String) -> Option<String> {
        let fix = self.fix.as_ref()?;
        let mut new = match (&fix.set, &fix.copy) {
            (Some(word), _) => word.clone(),
            (None, Some(field)) => of(field),
            _ => value.to_owned(),
        };
        for (from, to) in &fix.replace {
            new = new.replace(from.as_str(), to);
        }
        while let Some(rest) = fix.strip.iter().find_map(|end| new.strip_suffix(end.as_str())) {
            new = rest.trim_end().to_owned();
        }
        (new != value && !new.is_empty() && self.broken(&new, of, false).is_none()).then_some(new)
    }

    fn finding(
        &self,
        pack: &Pack,
        field: String,
        item: &str,
        value: String,
        (why_zh, why_en): &Why,
        fixed: Option<String>,
    ) -> Finding {
        let basis = if self.basis.is_empty() { &pack.basis } else { &self.basis };
        Finding {
            rule: format!("{}.{}", pack.id, self.id),
            level: self.level,
            zh: told(&self.zh, item, &value, why_zh, &self.mend_zh, basis, ["现为", "。"]),
            en: told(&self.en, item, &value, why_en, &self.mend_en, basis, ["it is", ". "]),
            field,
            item: item.to_owned(),
            value,
            fixed,
        }
    }
}

/// `item`: what (now x; why). How. (basis)
fn told(
    what: &str,
    item: &str,
    value: &str,
    why: &str,
    mend: &str,
    basis: &str,
    [is, stop]: [&str; 2],
) -> String {
    let mut out = String::new();
    if !item.is_empty() {
        out.push_str(&format!("`{item}` "));
    }
    out.push_str(what);
    let shown: String = value.chars().take(60).collect();
    let details: Vec<String> = [
        (!value.is_empty()).then(|| format!("{is} `{shown}`")),
        (!why.is_empty()).then(|| why.to_owned()),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !details.is_empty() {
        out.push_str(&format!(" ({})", details.join("; ")));
    }
    out.push_str(stop);
    out.push_str(mend);
    if !basis.is_empty() {
        out.push_str(&format!(" [{basis}]"));
    }
    out
}

impl Element {
    /// Whether an item is this element.
    fn is(&self, item: &Item) -> bool {
        self.names.contains(&item.name_cn) || self.identifiers.contains(&item.identifier)
    }

    fn check(&self, pack: &Pack, i: usize, item: &Item, found: &mut Vec<Finding>) {
        let mut say = |field: &str, value: String, want: String, fixed: Option<String>| {
            let (zh, en) = super::ELEMENT_CHECKS
                .iter()
                .find(|(f, _, _)| *f == field)
                .map_or(("", ""), |(_, zh, en)| (*zh, *en));
            let id = &item.identifier;
            let basis =
                if self.basis.is_empty() { String::new() } else { format!(" [{}]", self.basis) };
            found.push(Finding {
                rule: format!("{}.element-{field}", pack.id),
                level: pack.element_level.of(field),
                field: format!("items[{i}].{field}"),
                item: id.clone(),
                zh: format!(
                    "`{id}` 是标准数据元“{}”，{}应为 {want}（现为{}）{basis}",
                    self.zh,
                    zh.trim_start_matches("标准数据元的"),
                    if value.is_empty() { "空".to_owned() } else { format!(" `{value}`") },
                ),
                en: format!(
                    "`{id}` is the standard element `{}`: the {} should be {want} (it is {}){basis}",
                    self.en,
                    en.trim_end_matches(" of a standard element"),
                    if value.is_empty() { "empty".to_owned() } else { format!("`{value}`") },
                ),
                value,
                fixed,
            });
        };
        if !self.data_type.is_empty() && !self.data_type.contains(&item.data_type) {
            let want: Vec<&str> = self.data_type.iter().map(|t| t.as_str()).collect();
            say("data_type", item.data_type.to_string(), want.join(" / "), None);
        }
        let text = item.data_type == model::code::DataType::Text;
        if let Some(length) = self.length.filter(|l| text && item.length != *l) {
            // A length that is missing is filled in; one that differs may have its reason.
            let fixed = (item.length == 0).then(|| length.to_string());
            say("length", item.length.to_string(), length.to_string(), fixed);
        }
        let listed = !self.code_table.is_empty() && !item.code_table.contains(&self.code_table);
        // An enumeration of words in the item itself needs no code list.
        if listed && item.value_domain.is_empty() {
            let fixed = item.code_table.is_empty().then(|| self.code_table.clone());
            say("code_table", item.code_table.clone(), self.code_table.clone(), fixed);
        }
        if let Some(least) = self.grade_least.filter(|least| item.grade < *least) {
            // Raising a grade may contradict the attributes; then only a person can tell.
            say(
                "grade",
                item.grade.to_string(),
                format!("{least}+"),
                Some(least.as_str().to_owned()),
            );
        }
        if !self.name_en.is_empty() && item.name_en.is_empty() {
            say("name_en", String::new(), self.name_en.clone(), Some(self.name_en.clone()));
        }
    }
}
