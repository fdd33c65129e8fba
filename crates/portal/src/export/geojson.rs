//! GeoJSON (RFC 7946): one feature per row; places from a geometry item (GeoJSON or WKT text) or from two numbers.

use app::opening::Geometry;
use model::value::{Row, Rows, Value};
use model::{Error, Result};
use serde_json::{Map, json};

use crate::export::{Encoder, Heading};

pub(super) struct GeoJson {
    heading: Heading,
    first: bool,
}

impl GeoJson {
    pub(super) fn new(heading: Heading) -> Self {
        Self { heading, first: true }
    }

    fn cell<'a>(&self, row: &'a Row, identifier: &str) -> Option<&'a Value> {
        let at = self.heading.columns.iter().position(|(id, _)| id == identifier)?;
        row.get(at)
    }

    /// The row's place; a place that cannot be read is told as none, the row stays.
    fn geometry(&self, row: &Row) -> Option<serde_json::Value> {
        let geometry = self.heading.geometry.as_ref()?;
        app::opening::place::of(geometry, |identifier| self.cell(row, identifier))
    }
}

impl Encoder for GeoJson {
    fn head(&mut self) -> Result<Vec<u8>> {
        let name = serde_json::Value::String(self.heading.title.clone());
        Ok(format!("{{\"type\":\"FeatureCollection\",\"name\":{name},\"features\":[").into_bytes())
    }
    fn rows(&mut self, rows: &Rows) -> Result<Vec<u8>> {
        let place = match &self.heading.geometry {
            Some(Geometry::Item(id)) => id.as_str(),
            _ => "",
        };
        let mut out = Vec::with_capacity(rows.rows.len() * 160);
        for row in &rows.rows {
            let mut properties = Map::new();
            for ((id, _), cell) in self.heading.columns.iter().zip(row) {
                if id != place {
                    let told = serde_json::to_value(cell)
                        .map_err(|e| Error::internal(format!("geojson: {e}")))?;
                    properties.insert(id.clone(), told);
                }
            }
            out.extend_from_slice(if self.first { b"\n" } else { b",\n" });
            self.first = false;
            let feature = json!({
                "type": "Feature", "geometry": self.geometry(row), "properties": properties,
            });
            serde_json::to_writer(&mut out, &feature)
                .map_err(|e| Error::internal(format!("geojson: {e}")))?;
        }
        Ok(out)
    }
    fn tail(&mut self) -> Result<Vec<u8>> {
        Ok(b"\n]}\n".to_vec())
    }
}
