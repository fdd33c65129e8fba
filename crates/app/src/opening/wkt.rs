//! Well-known text (OGC 06-103r4) to GeoJSON geometry: the seven plain kinds, an optional SRID prefix, Z and M dropped.

use serde_json::{Value, json};

/// Reads a geometry; `None` when the text is not one.
pub(super) fn geometry(text: &str) -> Option<Value> {
    let text = match text.split_once(';') {
        Some((srid, rest)) if srid.trim().to_ascii_uppercase().starts_with("SRID=") => rest,
        _ => text,
    };
    let mut reader = Reader { rest: text.trim(), depth: 0 };
    let value = reader.geometry()?;
    reader.rest.trim().is_empty().then_some(value)
}

struct Reader<'a> {
    rest: &'a str,
    depth: u32,
}

/// Collections in collections are cut at this depth.
const DEEPEST: u32 = 8;

impl Reader<'_> {
    fn word(&mut self) -> String {
        self.rest = self.rest.trim_start();
        let end = self.rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word.to_ascii_uppercase()
    }
    fn eat(&mut self, mark: char) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(mark) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }
    fn geometry(&mut self) -> Option<Value> {
        let kind = self.word();
        let before = self.rest;
        if !matches!(self.word().as_str(), "Z" | "M" | "ZM" | "") {
            self.rest = before;
        }
        let (name, level) = match kind.as_str() {
            "POINT" => ("Point", 0),
            "LINESTRING" => ("LineString", 1),
            "POLYGON" => ("Polygon", 2),
            "MULTIPOINT" => ("MultiPoint", 1),
            "MULTILINESTRING" => ("MultiLineString", 2),
            "MULTIPOLYGON" => ("MultiPolygon", 3),
            "GEOMETRYCOLLECTION" => return self.collection(),
            _ => return None,
        };
        let coordinates = if level == 0 {
            let inner = self.eat('(').then(|| self.position())??;
            self.eat(')').then_some(inner)?
        } else {
            self.nested(level)?
        };
        Some(json!({ "type": name, "coordinates": coordinates }))
    }
    fn collection(&mut self) -> Option<Value> {
        self.depth += 1;
        if self.depth > DEEPEST || !self.eat('(') {
            return None;
        }
        let mut all = vec![self.geometry()?];
        while self.eat(',') {
            all.push(self.geometry()?);
        }
        self.depth -= 1;
        self.eat(')').then(|| json!({ "type": "GeometryCollection", "geometries": all }))
    }
    /// `level` brackets around positions.
    fn nested(&mut self, level: u32) -> Option<Value> {
        if !self.eat('(') {
            return None;
        }
        let mut all = Vec::new();
        loop {
            all.push(if level > 1 {
                self.nested(level - 1)?
            } else if self.eat('(') {
                // MULTIPOINT ((1 2), (3 4))
                let inner = self.position()?;
                self.eat(')').then_some(inner)?
            } else {
                self.position()?
            });
            if !self.eat(',') {
                break;
            }
        }
        self.eat(')').then(|| Value::Array(all))
    }
    fn position(&mut self) -> Option<Value> {
        let end = self.rest.find([',', ')'])?;
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        let numbers: Vec<f64> =
            text.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
        match numbers.as_slice() {
            [x, y, ..] if numbers.len() <= 4 && x.is_finite() && y.is_finite() => {
                Some(json!([x, y]))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_and_nonsense_is_not() {
        for (text, kind, first) in [
            ("POINT(1 2)", "Point", json!(1.0)),
            ("SRID=4326;point z (1 2 3)", "Point", json!(1.0)),
            ("LINESTRING (1 2, 3 4)", "LineString", json!([1.0, 2.0])),
            (
                "POLYGON((0 0,1 0,1 1,0 0),(0 0,1 0,1 1,0 0))",
                "Polygon",
                json!([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]),
            ),
            ("MULTIPOINT((1 2),(3 4))", "MultiPoint", json!([1.0, 2.0])),
            ("MULTIPOINT(1 2,3 4)", "MultiPoint", json!([1.0, 2.0])),
            (
                "MULTIPOLYGON(((0 0,1 0,1 1,0 0)))",
                "MultiPolygon",
                json!([[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]]),
            ),
        ] {
            let got = geometry(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(got["type"], kind, "{text}");
            assert_eq!(got["coordinates"][0], first, "{text}");
        }
        let all = geometry("GEOMETRYCOLLECTION(POINT(1 2),LINESTRING(0 0,1 1))").unwrap();
        assert_eq!(all["geometries"].as_array().unwrap().len(), 2);
        for bad in [
            "",
            "POINT",
            "POINT(1)",
            "POINT(1 2",
            "POINT(1 2) x",
            "CIRCLE(1 2)",
            "POLYGON((0 0,1 1)",
            "余杭",
        ] {
            assert!(geometry(bad).is_none(), "{bad}");
        }
    }
}
