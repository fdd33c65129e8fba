//! The ground of maps (地图底图): where open data lie by region. Nothing here comes from outside: outlines are the rows of open sets that
//! the rule file names, everything else is the box around the features that open sets have of a region. A recurring job measures it
//! when data have landed, by the grant of anybody; it is told only while anybody may read the set.

use std::collections::{BTreeMap, HashMap, HashSet};

use async_trait::async_trait;
use futures::StreamExt;
use model::audit::AuditEvent;
use model::entry::Entry;
use model::query::RowQuery;
use model::region::{Region, RegionLevel, covers};
use model::value::{Row, Value};
use model::{Actor, Op, Result};
use policy::{Action, GrantAsk, Permit, Via};
use serde::Serialize;
use store::openness::{PlacesMeasured, RegionPlace};

use super::measure::Gauge;
use super::{Geometry, geometry, place};
use crate::{App, audit};

/// Where a region's data lie.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RegionGround {
    pub code: String,
    pub name: String,
    pub name_en: String,
    pub level: RegionLevel,
    /// West, south, east and north.
    pub bounds: [f64; 4],
    /// Around its outline; otherwise around the features that open sets have of it, which says nothing of where it ends.
    pub outlined: bool,
    /// Features and sets it was taken from.
    pub features: u64,
    pub sets: usize,
}

/// A set whose rows are drawn as outlines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OutlineSet {
    pub level: RegionLevel,
    pub code: String,
    pub title: String,
    pub title_en: String,
    pub attribution: String,
}

/// What maps are drawn on.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Ground {
    /// Outlines there are, of the largest regions first.
    pub outlines: Vec<OutlineSet>,
    /// Regions whose place is known, in the order of their codes.
    pub regions: Vec<RegionGround>,
    /// Codes of the sets whose features have places, that anybody may read.
    pub sets: Vec<String>,
}

/// Where the features of sets lie; made with what was measured before.
pub(super) struct Places {
    /// When each set was last measured, by its id.
    known: HashMap<String, String>,
    /// Codes of the division table.
    regions: HashSet<String>,
}

impl Places {
    pub(super) async fn new(app: &App) -> Result<Self> {
        let (known, regions) = (app.store.open_places().await?, app.store.regions_list().await?);
        Ok(Self {
            known: known.into_iter().map(|p| (p.entry, p.measured_at)).collect(),
            regions: regions.into_iter().map(|r| r.code).collect(),
        })
    }
}

#[async_trait]
impl Gauge for Places {
    type Found = PlacesMeasured;
    const TURN: u64 = 200;
    const WHAT: &'static str = "places";

    fn measured_at(&self, entry: &Entry) -> Option<&str> {
        self.known.get(&entry.id).map(String::as_str)
    }

    async fn of(&self, app: &App, op: &Op, entry: &Entry) -> Result<Option<PlacesMeasured>> {
        let Some(geometry) = geometry(&entry.draft.items) else { return Ok(None) };
        of(app, op, entry, &geometry, &self.regions).await
    }

    async fn keep(app: &App, permit: &Permit, found: &PlacesMeasured) -> Result<()> {
        app.store.open_place_put(permit, found).await
    }
}

/// Reads where the features of a set lie, as anybody may see them.
async fn of(
    app: &App,
    op: &Op,
    entry: &Entry,
    geometry: &Geometry,
    regions: &HashSet<String>,
) -> Result<Option<PlacesMeasured>> {
    let rules = &app.rules.site.map;
    let nobody = Op { actor: Actor::Nobody, ..op.clone() };
    let ask = GrantAsk { action: Action::RowsDownload, entry, via: Via::Open, row_cap: u64::MAX };
    let grant = app.policy.grant(&nobody, &ask)?;
    let shown =
        |name: &str| grant.columns().iter().any(|c| c.identifier == name && c.mask.is_none());
    let mut names: Vec<String> = match geometry {
        Geometry::Item(item) => vec![item.clone()],
        Geometry::Point { longitude, latitude } => vec![longitude.clone(), latitude.clone()],
    };
    if rules.rows == 0 || !names.iter().all(|n| shown(n)) {
        return Ok(None);
    }
    let region = rules.region_items.iter().find(|n| shown(n)).cloned();
    names.extend(region.iter().cloned());
    let select = names.iter().map(|n| (n.clone(), None)).collect();
    let query = RowQuery { select, limit: Some(rules.rows), ..RowQuery::default() };
    let mut stream = app.lake.scan(&grant, &query, None).await?;
    let mut tally = Tally::default();
    while let Some(chunk) = stream.next().await {
        for row in &chunk?.rows {
            tally.read += 1;
            let cell = |name: &str| cell(&names, row, name);
            let own = region.as_deref().and_then(cell).and_then(Value::to_text);
            let own = own.as_deref().and_then(code_in).filter(|c| regions.contains(*c));
            let bounds = place::of(geometry, cell).as_ref().and_then(place::bounds);
            if let Some(bounds) = bounds.filter(on_earth) {
                tally.take(own.unwrap_or(&entry.draft.region), bounds);
            }
        }
    }
    let event = AuditEvent {
        columns: names.join(","),
        level: grant.grade().as_str().to_owned(),
        ..audit::event(op, "open.placed", &entry.draft.code)
    };
    audit::record(app, event).await?;
    Ok(Some(tally.told(entry, op.stamp(), rules.rows)))
}

/// A cell by the name of its column.
fn cell<'a>(names: &[String], row: &'a Row, name: &str) -> Option<&'a Value> {
    row.get(names.iter().position(|n| n == name)?)
}

/// Features counted while they are read.
#[derive(Debug, Default)]
struct Tally {
    read: u64,
    features: u64,
    bounds: Option<[f64; 4]>,
    regions: BTreeMap<String, (u64, [f64; 4])>,
}

impl Tally {
    fn take(&mut self, region: &str, bounds: [f64; 4]) {
        self.features += 1;
        self.bounds = Some(self.bounds.map_or(bounds, |own| around(own, bounds)));
        match self.regions.get_mut(region) {
            Some((features, own)) => {
                *features += 1;
                *own = around(*own, bounds);
            }
            None => {
                self.regions.insert(region.to_owned(), (1, bounds));
            }
        }
    }

    fn told(self, entry: &Entry, at: String, most: u64) -> PlacesMeasured {
        let regions = self.regions.into_iter();
        PlacesMeasured {
            entry: entry.id.clone(),
            measured_at: at,
            features: self.features,
            cut: self.read >= most,
            bounds: self.bounds,
            regions: regions
                .map(|(region, (features, bounds))| RegionPlace { region, features, bounds })
                .collect(),
        }
    }
}

/// The box around two.
fn around([w, s, e, n]: [f64; 4], [west, south, east, north]: [f64; 4]) -> [f64; 4] {
    [w.min(west), s.min(south), e.max(east), n.max(north)]
}

/// Whether a box is one of degrees: metres of a projection are not taken for them.
fn on_earth([west, south, east, north]: &[f64; 4]) -> bool {
    west.abs() <= 180.0 && east.abs() <= 180.0 && south.abs() <= 90.0 && north.abs() <= 90.0
}

/// The region's code in `330106`, `156330106` (after China's number) or `330106001000` (before a street's and a village's).
fn code_in(text: &str) -> Option<&str> {
    let text = text.trim();
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    match (text.len(), text.strip_prefix("156")) {
        (9, Some(code)) => Some(code),
        (6 | 9 | 12, _) => text.get(..6),
        _ => None,
    }
}

/// What maps are drawn on now: outlines of sets that anybody may read, and where data lie by region.
pub async fn ground(app: &App, _op: &Op) -> Result<Ground> {
    let measured = app.store.open_places().await?;
    let ids: Vec<String> = measured.iter().map(|p| p.entry.clone()).collect();
    let open: HashMap<String, Entry> = app
        .store
        .entry_heads(&ids)
        .await?
        .into_iter()
        .filter(Entry::freely_open)
        .map(|e| (e.id.clone(), e))
        .collect();
    let rules = &app.rules.site.map;
    let mut outlines = Vec::new();
    for outline in &rules.outline {
        let Some(entry) = open.values().find(|e| e.draft.code == outline.set) else { continue };
        let d = &entry.draft;
        outlines.push(OutlineSet {
            level: outline.level,
            code: d.code.clone(),
            title: d.title.clone(),
            title_en: d.title_en.clone(),
            attribution: d.attribution.clone(),
        });
    }
    outlines.sort_by_key(|o| o.level);
    let told: Vec<(&Entry, &PlacesMeasured)> =
        measured.iter().filter_map(|p| Some((open.get(&p.entry)?, p))).collect();
    let regions = app.store.regions_list().await?;
    let mut found: Vec<RegionGround> =
        regions.iter().filter_map(|region| placed(region, &told, &outlines)).collect();
    found.sort_by(|a, b| a.code.cmp(&b.code));
    let sets = told.iter().filter(|(_, p)| p.features > 0).map(|(e, _)| e.draft.code.clone());
    Ok(Ground { sets: sets.collect(), outlines, regions: found })
}

/// A set whose features reach into a box.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reaching {
    pub code: String,
    pub title: String,
    pub title_en: String,
}

/// Freely open sets whose features reach into a box (west, south, east, north) by what was measured of all of them, those with the most
/// features first. Whether any lies in it is counted by [`super::inside`].
pub async fn reaching(app: &App, _op: &Op, bbox: [f64; 4], most: usize) -> Result<Vec<Reaching>> {
    let mut measured = app.store.open_places().await?;
    measured.retain(|p| p.bounds.is_some_and(|own| place::touches(bbox, own)));
    measured.sort_by_key(|p| std::cmp::Reverse(p.features));
    let ids: Vec<String> = measured.iter().map(|p| p.entry.clone()).collect();
    let heads = app.store.entry_heads(&ids).await?;
    let open: HashMap<String, Entry> =
        heads.into_iter().filter(Entry::freely_open).map(|e| (e.id.clone(), e)).collect();
    let told = ids.iter().filter_map(|id| {
        let d = &open.get(id)?.draft;
        Some(Reaching {
            code: d.code.clone(),
            title: d.title.clone(),
            title_en: d.title_en.clone(),
        })
    });
    Ok(told.take(most).collect())
}

/// Where a region is: around its outline, else around the features that sets have of it and of what lies in it.
fn placed(
    region: &Region,
    told: &[(&Entry, &PlacesMeasured)],
    outlines: &[OutlineSet],
) -> Option<RegionGround> {
    let outline = |e: &Entry| outlines.iter().find(|o| o.code == e.draft.code);
    let of = |outlined: bool| {
        let (mut bounds, mut features, mut sets) = (None::<[f64; 4]>, 0, 0);
        for (entry, places) in told {
            let level = outline(entry).map(|o| o.level);
            if level.is_some() != outlined || level.is_some_and(|l| l != region.level) {
                continue;
            }
            let before = features;
            for own in &places.regions {
                let within = match outlined {
                    true => own.region == region.code,
                    false => covers(&region.code, &own.region),
                };
                if within {
                    bounds = Some(bounds.map_or(own.bounds, |all| around(all, own.bounds)));
                    features += own.features;
                }
            }
            sets += usize::from(features > before);
        }
        bounds.map(|bounds| (bounds, features, sets))
    };
    let drawn = of(true).map(|found| (true, found));
    let (outlined, (bounds, features, sets)) = drawn.or_else(|| of(false).map(|f| (false, f)))?;
    Some(RegionGround {
        code: region.code.clone(),
        name: region.name_cn.clone(),
        name_en: region.name_en.clone(),
        level: region.level,
        bounds,
        outlined,
        features,
        sets,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regions_code_is_found_in_longer_ones() {
        for (text, code) in [
            ("330106", Some("330106")),
            ("156330106", Some("330106")),
            ("330106001", Some("330106")),
            (" 330106001000 ", Some("330106")),
            ("33010", None),
            ("33010x", None),
            ("３３０１０６", None),
            ("", None),
        ] {
            assert_eq!(code_in(text), code, "{text}");
        }
    }

    #[test]
    fn boxes_grow_by_region_and_metres_are_no_degrees() {
        let mut tally = Tally::default();
        tally.take("330106", [120.0, 30.0, 120.0, 30.0]);
        tally.take("330106", [120.2, 30.2, 120.3, 30.4]);
        tally.take("330200", [121.6, 29.8, 121.6, 29.8]);
        assert_eq!(tally.regions.get("330106"), Some(&(2, [120.0, 30.0, 120.3, 30.4])));
        assert_eq!((tally.features, tally.bounds), (3, Some([120.0, 29.8, 121.6, 30.4])));
        assert!(on_earth(&[120.0, 30.0, 121.0, 31.0]));
        assert!(!on_earth(&[520_000.0, 3_300_000.0, 520_010.0, 3_300_010.0]));
    }
}
