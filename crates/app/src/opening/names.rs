//! Names of places (地名): regions of the division table, and features of open sets by what they are called. Rows are asked for by the
//! gate of every reader; a region is where [`super::ground`] knows it to be, and nowhere when no open data tell it.

use std::collections::{HashMap, HashSet};

use model::code::{DataType, OpenType};
use model::item::Item;
use model::query::{Comparison, Condition, RowQuery};
use model::region::Region;
use model::value::Value;
use model::{Error, Op, Result};
use serde::Serialize;

use super::ground::{Ground, RegionGround};
use super::{Dataset, Geometry, dataset, place};
use crate::App;

/// Longest name that is looked for, in characters, and features of one set.
const LONGEST: usize = 40;
const EACH: usize = 5;
/// Rows that are read for these: a set of readings holds a place many times.
const READ: u64 = 40;

/// Where a named place was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PlaceKind {
    Region,
    Feature,
}

/// A place of a name.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Place {
    pub kind: PlaceKind,
    pub name: String,
    pub name_en: String,
    /// Of a region what it belongs to, of a feature its set's title; in both languages.
    pub of: String,
    pub of_en: String,
    /// Code of the region, or of the feature's set.
    pub code: String,
    /// West, south, east and north; nothing where no open data tell it.
    pub bounds: Option<[f64; 4]>,
    /// Around its own shape; otherwise around the open data of a region.
    pub outlined: bool,
    /// It is called just so.
    pub exact: bool,
}

/// What is looked for: trimmed, without the signs that stand for any text.
fn wanted(text: &str) -> Result<String> {
    let plain: String = text.trim().chars().filter(|c| !matches!(c, '%' | '_' | '\\')).collect();
    let length = plain.chars().count();
    if length == 0 || length > LONGEST || plain.chars().any(char::is_control) {
        return Err(Error::new(
            model::Code::InvalidQuery,
            format!("地名应为 1 至 {LONGEST} 个字"),
            format!("the name of a place has 1 to {LONGEST} characters"),
        ));
    }
    Ok(plain)
}

/// Places of a name: those that are called just so first, regions before features. `codes` are sets whose features are looked at, as
/// far as anybody may read them and they have places.
pub async fn places(
    app: &App,
    op: &Op,
    text: &str,
    ground: &Ground,
    codes: &[String],
) -> Result<Vec<Place>> {
    let name = wanted(text)?;
    let rules = &app.rules.site.map;
    let all = app.store.regions_list().await?;
    let mut found = regions(&all, &ground.regions, &name);
    for code in codes.iter().take(rules.sets) {
        match features(app, op, code, &name).await {
            Ok(some) => found.extend(some),
            // It went meanwhile, is stopped, or cannot be asked: the others are told all the same.
            Err(e) if !e.kind().ours() => {
                tracing::debug!(error = e.operator_text(), "a set was not asked for a place");
            }
            Err(e) => return Err(e),
        }
    }
    found.sort_by_key(|p| (!p.exact, p.kind, p.bounds.is_none()));
    found.truncate(rules.places);
    Ok(found)
}

/// The place that is meant when nobody chooses: the only one that is called just so, or the only one there is.
#[must_use]
pub fn meant(places: &[Place]) -> Option<&Place> {
    let mut exact = places.iter().filter(|p| p.exact && p.kind == PlaceKind::Region);
    match (exact.next(), exact.next(), places) {
        (Some(only), None, _) => Some(only),
        (None, _, [only]) => Some(only),
        _ => None,
    }
}

/// Regions by name in either language, or by code.
fn regions(all: &[Region], known: &[RegionGround], name: &str) -> Vec<Place> {
    let low = name.to_lowercase();
    let by_code: HashMap<&str, &Region> = all.iter().map(|r| (r.code.as_str(), r)).collect();
    let called = |r: &Region| {
        let english = r.name_en.to_lowercase();
        let plain = r.name_cn.trim_end_matches(['省', '市', '区', '县']);
        let exact = r.name_cn == name || plain == name || english == low || r.code == name;
        (exact || r.name_cn.contains(name) || english.contains(&low)).then_some(exact)
    };
    all.iter()
        .filter_map(|r| {
            let exact = called(r)?;
            let own = known.iter().find(|k| k.code == r.code);
            let above = r.parent.as_deref().and_then(|p| by_code.get(p));
            Some(Place {
                kind: PlaceKind::Region,
                name: r.name_cn.clone(),
                name_en: r.name_en.clone(),
                of: above.map(|a| a.name_cn.clone()).unwrap_or_default(),
                of_en: above.map(|a| a.name_en.clone()).unwrap_or_default(),
                code: r.code.clone(),
                bounds: own.map(|k| k.bounds),
                outlined: own.is_some_and(|k| k.outlined),
                exact,
            })
        })
        .collect()
}

/// The item by whose text the features of a set are called.
fn naming<'a>(set: &'a Dataset, names: &[String]) -> Option<&'a Item> {
    let texts = || {
        let items = set.entry.draft.items.iter();
        items.filter(|i| i.open_type == OpenType::Unconditional && i.data_type == DataType::Text)
    };
    let listed = names.iter().find_map(|n| texts().find(|i| i.identifier == *n));
    listed.or_else(|| texts().find(|i| i.name_cn.ends_with("名称")))
}

/// Features of a set that are called so, each with the box around it.
async fn features(app: &App, op: &Op, code: &str, name: &str) -> Result<Vec<Place>> {
    let set = dataset(app, op, code).await?;
    let item = naming(&set, &app.rules.site.map.name_items);
    let (Some(geometry), Some(item)) = (&set.geometry, item) else { return Ok(Vec::new()) };
    if !set.free || set.entry.data_at.is_none() {
        return Ok(Vec::new());
    }
    let columns: Vec<&str> = match geometry {
        Geometry::Item(shape) => vec![item.identifier.as_str(), shape.as_str()],
        Geometry::Point { longitude, latitude } => {
            vec![item.identifier.as_str(), longitude.as_str(), latitude.as_str()]
        }
    };
    let ask = RowQuery {
        select: columns.iter().map(|c| ((*c).to_owned(), None)).collect(),
        filter: Some(Condition::Column {
            column: item.identifier.clone(),
            comparison: Comparison::Ilike(format!("%{name}%")),
        }),
        limit: Some(READ),
        ..RowQuery::default()
    };
    let page = crate::sharing::query(app, op, code, &ask).await?.page;
    let d = &set.entry.draft;
    let told = page.rows.iter().filter_map(|row| {
        let called = page.cell(row, &item.identifier).and_then(Value::to_text)?;
        let shape = place::of(geometry, |name| page.cell(row, name));
        let bounds = shape.as_ref().and_then(place::bounds)?;
        Some(Place {
            kind: PlaceKind::Feature,
            exact: called == name,
            name: called,
            name_en: String::new(),
            of: d.title.clone(),
            of_en: d.title_en.clone(),
            code: d.code.clone(),
            bounds: Some(bounds),
            outlined: true,
        })
    });
    let mut seen = HashSet::new();
    let told = told.filter(|p| seen.insert(format!("{} {:?}", p.name, p.bounds)));
    Ok(told.take(EACH).collect())
}

#[cfg(test)]
mod tests {
    use model::region::zhejiang;

    use super::*;

    #[test]
    fn regions_are_found_by_name_with_and_without_its_end_in_either_language_and_by_code() {
        let all = zhejiang();
        let known = [RegionGround {
            code: "330110".into(),
            name: "余杭区".into(),
            name_en: "Yuhang District".into(),
            level: model::region::RegionLevel::County,
            bounds: [119.7, 30.2, 120.2, 30.6],
            outlined: false,
            features: 3,
            sets: 1,
        }];
        for name in ["余杭区", "余杭", "330110", "yuhang district"] {
            let found = regions(&all, &known, name);
            let one = found.iter().find(|p| p.code == "330110").unwrap();
            assert!(one.exact && one.bounds.is_some() && !one.outlined, "{name}");
            assert_eq!((one.of.as_str(), one.of_en.as_str()), ("杭州市", "Hangzhou"));
            assert_eq!(meant(&found).map(|p| p.code.as_str()), Some("330110"), "{name}");
        }
        let part = regions(&all, &known, "杭");
        assert!(part.iter().all(|p| !p.exact) && part.len() > 1 && meant(&part).is_none());
        assert!(part.iter().any(|p| p.bounds.is_none()), "a region that no data tell is nowhere");
        assert!(regions(&all, &known, "亚特兰蒂斯").is_empty());
    }

    #[test]
    fn signs_that_stand_for_any_text_are_taken_out() {
        assert_eq!(wanted(" 西%湖_ ").unwrap(), "西湖");
        for wrong in ["", "  ", "%", "a\u{7}b", &"湖".repeat(41)] {
            assert!(wanted(wrong).is_err(), "{wrong:?}");
        }
    }
}
