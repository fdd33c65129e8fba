//! Where a row lies: GeoJSON out of a geometry item (GeoJSON or well-known text) or of two numbers, and the box around it.

use model::query::{Comparison, Condition, RowPage};
use model::value::{Row, Value};
use serde_json::json;

use super::{Geometry, wkt};

/// The place of a row as a GeoJSON geometry; nothing where it cannot be read.
pub fn of<'a>(
    geometry: &Geometry,
    cell: impl Fn(&str) -> Option<&'a Value>,
) -> Option<serde_json::Value> {
    match geometry {
        Geometry::Item(identifier) => text(&cell(identifier)?.to_text()?),
        Geometry::Point { longitude, latitude } => {
            let number = |identifier: &str| cell(identifier)?.to_text()?.parse::<f64>().ok();
            let (x, y) = (number(longitude)?, number(latitude)?);
            let inside = x.abs() <= 180.0 && y.abs() <= 90.0 && (x != 0.0 || y != 0.0);
            inside.then(|| json!({ "type": "Point", "coordinates": [x, y] }))
        }
    }
}

/// What a row says besides where it lies: its columns without the one that holds the geometry.
#[must_use]
pub fn properties(
    geometry: Option<&Geometry>,
    page: &RowPage,
    row: &Row,
) -> serde_json::Map<String, serde_json::Value> {
    let shape = match geometry {
        Some(Geometry::Item(item)) => item.as_str(),
        _ => "",
    };
    page.columns
        .iter()
        .zip(row)
        .filter(|(name, _)| *name != shape)
        .map(|(name, cell)| (name.clone(), serde_json::to_value(cell).unwrap_or_default()))
        .collect()
}

fn text(text: &str) -> Option<serde_json::Value> {
    let text = text.trim();
    if text.starts_with('{') {
        let value: serde_json::Value = serde_json::from_str(text).ok()?;
        return value.get("type")?.is_string().then_some(value);
    }
    wkt::geometry(text)
}

/// West, south, east and north of a GeoJSON geometry.
#[must_use]
pub fn bounds(geometry: &serde_json::Value) -> Option<[f64; 4]> {
    let mut all = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
    widen(geometry.get("coordinates").or_else(|| geometry.get("geometries"))?, &mut all, 0);
    all.iter().all(|n| n.is_finite()).then_some(all)
}

/// Whether two boxes touch; one whose west lies east of its east goes over the date line.
#[must_use]
pub fn touches(asked: [f64; 4], own: [f64; 4]) -> bool {
    let ([west, south, east, north], [w, s, e, n]) = (asked, own);
    let across = if west <= east { w <= east && e >= west } else { e >= west || w <= east };
    across && s <= north && n >= south
}

/// Rows whose two numbers lie within a box.
#[must_use]
pub fn within(longitude: &str, latitude: &str, [west, south, east, north]: [f64; 4]) -> Condition {
    let one =
        |column: &str, comparison| Condition::Column { column: column.to_owned(), comparison };
    let from = one(longitude, Comparison::Gte(west.to_string()));
    let to = one(longitude, Comparison::Lte(east.to_string()));
    let across =
        if west <= east { Condition::And(vec![from, to]) } else { Condition::Or(vec![from, to]) };
    Condition::And(vec![
        across,
        one(latitude, Comparison::Gte(south.to_string())),
        one(latitude, Comparison::Lte(north.to_string())),
    ])
}

/// Deepest nesting of coordinates that is looked into.
const DEEPEST: u32 = 32;

fn widen(value: &serde_json::Value, all: &mut [f64; 4], depth: u32) {
    if depth > DEEPEST {
        return;
    }
    let Some(list) = value.as_array() else {
        let inner = value.get("coordinates").or_else(|| value.get("geometries"));
        if let Some(inner) = inner {
            widen(inner, all, depth + 1);
        }
        return;
    };
    match list.as_slice() {
        [x, y, ..] if x.is_number() => {
            if let (Some(x), Some(y)) = (x.as_f64(), y.as_f64()) {
                let [west, south, east, north] = *all;
                *all = [west.min(x), south.min(y), east.max(x), north.max(y)];
            }
        }
        inner => inner.iter().for_each(|v| widen(v, all, depth + 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_is_drawn_around_every_kind() {
        let of = |t: &str| bounds(&text(t).unwrap());
        assert_eq!(of("POINT(120 30)"), Some([120.0, 30.0, 120.0, 30.0]));
        assert_eq!(of("POLYGON((0 0,2 0,2 1,0 0))"), Some([0.0, 0.0, 2.0, 1.0]));
        let all = "GEOMETRYCOLLECTION(POINT(1 2),LINESTRING(0 0,5 1))";
        assert_eq!(of(all), Some([0.0, 0.0, 5.0, 2.0]));
        assert_eq!(bounds(&json!({ "type": "Point" })), None);
    }
}
