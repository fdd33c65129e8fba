//! Differences between two declarations, field by field; items are told apart by their identifier.

use std::collections::BTreeMap;

use model::entry::{Difference, EntryDraft};
use model::item::Item;
use serde::Serialize;
use serde_json::Value;

/// Differences from `before` to `after`: entry fields in their order, then items in the order of `after`.
pub(super) fn compare(before: &EntryDraft, after: &EntryDraft) -> Vec<Difference> {
    let mut found = Vec::new();
    let bare = |d: &EntryDraft| EntryDraft { items: Vec::new(), ..d.clone() };
    fields("", &bare(before), &bare(after), &mut found);
    let old: BTreeMap<&str, &Item> =
        before.items.iter().map(|i| (i.identifier.as_str(), i)).collect();
    for item in &after.items {
        let path = format!("items.{}", item.identifier);
        match old.get(item.identifier.as_str()) {
            None => found.push(Difference { path, before: None, after: Some(summary(item)) }),
            Some(was) => fields(&format!("{path}."), *was, item, &mut found),
        }
    }
    for item in &before.items {
        if after.item(&item.identifier).is_none() {
            found.push(Difference {
                path: format!("items.{}", item.identifier),
                before: Some(summary(item)),
                after: None,
            });
        }
    }
    let order = |d: &EntryDraft, other: &EntryDraft| {
        let kept: Vec<&str> = d
            .items
            .iter()
            .map(|i| i.identifier.as_str())
            .filter(|i| other.item(i).is_some())
            .collect();
        kept.join(", ")
    };
    let (was, is) = (order(before, after), order(after, before));
    if was != is {
        found.push(Difference { path: "items".into(), before: Some(was), after: Some(is) });
    }
    found
}

fn summary(item: &Item) -> String {
    format!("{} ({}, {})", item.name_cn, item.data_type.zh(), item.grade)
}

fn fields<T: Serialize>(prefix: &str, before: &T, after: &T, found: &mut Vec<Difference>) {
    let (Ok(Value::Object(before)), Ok(Value::Object(after))) =
        (serde_json::to_value(before), serde_json::to_value(after))
    else {
        return;
    };
    for (name, is) in &after {
        let was = before.get(name).unwrap_or(&Value::Null);
        if was != is {
            found.push(Difference {
                path: format!("{prefix}{name}"),
                before: plain(was),
                after: plain(is),
            });
        }
    }
    // A list that is empty is not written at all.
    for (name, was) in before.iter().filter(|(name, _)| !after.contains_key(*name)) {
        found.push(Difference { path: format!("{prefix}{name}"), before: plain(was), after: None });
    }
}

/// A field as a person reads it; empty is none.
fn plain(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::String(s) => s.clone(),
        Value::Array(all) => all.iter().filter_map(plain).collect::<Vec<_>>().join(", "),
        // A link: its title, where it leads, its format.
        Value::Object(all) => {
            let parts = ["title", "url", "format"].iter().filter_map(|part| all.get(*part));
            let told: Vec<String> = parts.filter_map(plain).collect();
            if told.is_empty() { value.to_string() } else { told.join(" ") }
        }
        other => other.to_string(),
    };
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::super::tests::sample;
    use super::*;
    use model::code::{DataType, Grade};

    #[test]
    fn fields_and_items_are_compared_by_path() {
        let before = sample();
        let mut after = before.clone();
        after.title = "新名称".into();
        after.tags = vec!["a".into(), "b".into()];
        after.items.remove(1);
        after.items[0].grade = Grade::L2;
        after.items.push(Item::new("bz", "备注", DataType::Text));
        after.items.swap(0, 1);
        let told: Vec<String> = compare(&before, &after)
            .into_iter()
            .map(|d| {
                format!(
                    "{}: {} → {}",
                    d.path,
                    d.before.as_deref().unwrap_or("-"),
                    d.after.as_deref().unwrap_or("-")
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                "title: 示例目录 → 新名称",
                "tags: - → a, b",
                "items.id.grade: L1 → L2",
                "items.bz: - → 备注 (字符型, L1)",
                "items.xm: 姓名 (字符型, L3) → -",
                "items: id, area → area, id",
            ]
        );
        assert!(compare(&before, &before).is_empty());
    }
}
