//! How many features of a freely open set lie in a box: asked of the engine where places are two numbers, counted page by page where
//! they are shapes. Through the gate of every reader of rows.

use model::query::{Count, RowQuery};
use model::{Op, Result};
use serde::Serialize;

use super::{Geometry, dataset, place};
use crate::App;

/// Pages of rows that are read for one count.
const ROUNDS: usize = 5;

/// Features in a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Inside {
    pub features: u64,
    /// Counting ended at the limit: there may be more.
    pub more: bool,
}

/// Counts features of a set in `west, south, east, north`; `None` where it cannot be drawn or is not free.
pub async fn inside(app: &App, op: &Op, code: &str, bbox: [f64; 4]) -> Result<Option<Inside>> {
    let set = dataset(app, op, code).await?;
    let geometry = match &set.geometry {
        Some(geometry) if set.free && set.entry.data_at.is_some() => geometry,
        _ => return Ok(None),
    };
    if let Geometry::Point { longitude, latitude } = geometry {
        let ask = RowQuery {
            filter: Some(place::within(longitude, latitude, bbox)),
            limit: Some(1),
            count: Count::Exact,
            ..RowQuery::default()
        };
        let page = crate::sharing::query(app, op, code, &ask).await?.page;
        return Ok(Some(Inside { features: page.total.unwrap_or(0), more: false }));
    }
    let (mut features, mut after) = (0, None);
    for _ in 0..ROUNDS {
        let ask = RowQuery {
            limit: Some(app.rules.call.max_rows),
            after: after.take(),
            ..RowQuery::default()
        };
        let page = crate::sharing::query(app, op, code, &ask).await?.page;
        for row in &page.rows {
            let own =
                place::of(geometry, |name| page.cell(row, name)).as_ref().and_then(place::bounds);
            features += u64::from(own.is_some_and(|own| place::touches(bbox, own)));
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok(Some(Inside { features, more: after.is_some() }))
}
