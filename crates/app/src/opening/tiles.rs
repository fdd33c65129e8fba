//! Vector tiles of a freely open set's rows, through the gate of every reader of rows. Where places are two numbers the engine is asked for
//! those of the tile; where they are shapes, rows are read page by page and those that lie elsewhere left out.

use model::query::{RowPage, RowQuery};
use model::value::{Row, Value as Cell};
use model::{Op, Result};
use serde_json::{Value, json};

use super::tile::{Sheet, TileAt};
use super::{Dataset, Geometry, place};
use crate::App;

/// Features of a tile, and pages of rows that are read for one.
const MOST: usize = 5000;
const ROUNDS: usize = 5;

/// A tile as far as it could be drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drawn {
    /// `None`: nothing lies there.
    pub bytes: Option<Vec<u8>>,
    /// There is more than it holds.
    pub cut: bool,
}

/// By what a tile is known again: version of the declaration, time of the data, and place.
#[must_use]
pub fn tile_mark(set: &Dataset, at: TileAt) -> String {
    let data = set.entry.data_at.as_deref().unwrap_or("-");
    format!("W/\"{}.{data}.{}.{}.{}\"", set.entry.version, at.z, at.y, at.x)
}

/// Draws a tile of a set; one that cannot be drawn, or is not free, has nothing in it. The layer bears the set's code.
pub async fn tile(app: &App, op: &Op, set: &Dataset, at: TileAt) -> Result<Drawn> {
    let geometry = match &set.geometry {
        Some(geometry) if set.free => geometry,
        _ => return Ok(Drawn::default()),
    };
    let code = set.entry.draft.code.as_str();
    let bounds = at.bounds();
    let filter = match geometry {
        Geometry::Point { longitude, latitude } => Some(place::within(longitude, latitude, bounds)),
        Geometry::Item(_) => None,
    };
    let mut sheet = Sheet::new(at, code);
    let (mut after, mut cut) = (None, false);
    for _ in 0..ROUNDS {
        let left = MOST.saturating_sub(sheet.features());
        let ask = RowQuery {
            filter: filter.clone(),
            limit: Some(app.rules.call.max_rows.min(MOST as u64)),
            after: after.take(),
            ..RowQuery::default()
        };
        let page = crate::sharing::query(app, op, code, &ask).await?.page;
        let mut taken = 0;
        for row in &page.rows {
            let feature = feature(set, geometry, &page, row);
            let own = feature.get("geometry").and_then(place::bounds);
            if !own.is_some_and(|own| place::touches(bounds, own)) {
                continue;
            }
            if taken == left {
                cut = true;
                break;
            }
            taken += 1;
            sheet = sheet.add(&feature)?;
        }
        after = page.next;
        if cut || after.is_none() {
            break;
        }
    }
    Ok(Drawn { cut: cut || after.is_some(), bytes: sheet.finish()? })
}

/// A row as a GeoJSON feature: the geometry itself is no property.
fn feature(set: &Dataset, geometry: &Geometry, page: &RowPage, row: &Row) -> Value {
    let cell = |name: &str| page.cell(row, name);
    let properties = place::properties(Some(geometry), page, row);
    let id = match set.entry.draft.key().as_slice() {
        [only] => cell(only).and_then(Cell::to_text),
        _ => None,
    };
    json!({ "id": id, "geometry": place::of(geometry, cell), "properties": properties })
}
