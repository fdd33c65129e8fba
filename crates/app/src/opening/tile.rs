//! One vector tile (Mapbox Vector Tile 2.1): where it lies, and features written into it. Places are longitude and latitude, a tile's are
//! those of the Web Mercator projection (EPSG:3857, spherical).

use std::f64::consts::PI;

use model::{Error, Result};
use mvt::{GeomData, GeomEncoder, GeomType, Layer, Tile};
use serde_json::Value;

use super::clip::{self, Point, Square};

/// Units of a tile's side, and how far features reach over it so that no seam is seen.
const EXTENT: u32 = 4096;
const BUFFER: f64 = 64.0;
/// Deepest matrix.
pub const DEEPEST: u32 = 22;
/// The projection ends there: the world is a square.
const LATITUDE: f64 = 85.051_128_779_806_59;
/// Collections in collections are cut at this depth.
const NESTED: u32 = 8;

/// Which tile: matrix, column, row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TileAt {
    pub z: u32,
    pub x: u32,
    pub y: u32,
}

impl TileAt {
    /// Reads the three parts of an address; `None` where there is no such tile.
    #[must_use]
    pub fn read(z: &str, y: &str, x: &str) -> Option<Self> {
        let number = |text: &str| {
            let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| text.parse::<u32>().ok()).flatten()
        };
        let place = Self { z: number(z)?, x: number(x)?, y: number(y)? };
        let side = 1_u32.checked_shl(place.z).filter(|_| place.z <= DEEPEST)?;
        (place.x < side && place.y < side).then_some(place)
    }

    fn side(self) -> f64 {
        2.0_f64.powi(i32::try_from(self.z).unwrap_or(0))
    }

    /// West, south, east and north of it, with what reaches over.
    pub(super) fn bounds(self) -> [f64; 4] {
        let over = BUFFER / f64::from(EXTENT);
        let longitude = |column: f64| (column / self.side() * 360.0 - 180.0).clamp(-180.0, 180.0);
        let latitude = |row: f64| {
            let turned = PI * (1.0 - 2.0 * row / self.side());
            turned.sinh().atan().to_degrees().clamp(-90.0, 90.0)
        };
        let (x, y) = (f64::from(self.x), f64::from(self.y));
        [
            longitude(x - over),
            latitude(y + 1.0 + over),
            longitude(x + 1.0 + over),
            latitude(y - over),
        ]
    }

    /// A place on earth in units of this tile.
    fn project(self, [longitude, latitude]: Point) -> Point {
        let turned = latitude.clamp(-LATITUDE, LATITUDE).to_radians();
        let x = (longitude + 180.0) / 360.0;
        let y = (1.0 - turned.tan().asinh() / PI) / 2.0;
        let own =
            |share: f64, index: u32| (share * self.side() - f64::from(index)) * f64::from(EXTENT);
        [own(x, self.x), own(y, self.y)]
    }
}

/// A tile being written: one layer.
pub(super) struct Sheet {
    place: TileAt,
    tile: Tile,
    layer: Layer,
}

impl Sheet {
    pub(super) fn new(place: TileAt, name: &str) -> Self {
        let tile = Tile::new(EXTENT);
        let layer = tile.create_layer(name);
        Self { place, tile, layer }
    }

    /// Features that are in it.
    pub(super) fn features(&self) -> usize {
        self.layer.num_features()
    }

    /// Writes a GeoJSON feature, as far as it lies here.
    pub(super) fn add(mut self, feature: &Value) -> Result<Self> {
        let mut shapes = Vec::new();
        gather(feature.get("geometry").unwrap_or(&Value::Null), &mut shapes, 0);
        let id = feature.get("id").and_then(Value::as_str).and_then(|id| id.parse::<u64>().ok());
        for shape in shapes {
            let Some(geometry) = shape.drawn(self.place)? else { continue };
            let mut one = self.layer.into_feature(geometry);
            if let Some(id) = id {
                one.set_id(id);
            }
            let properties = feature.get("properties").and_then(Value::as_object);
            for (name, value) in properties.into_iter().flatten() {
                match value {
                    Value::Null => {}
                    Value::Bool(yes) => one.add_tag_bool(name, *yes),
                    Value::String(text) => one.add_tag_string(name, text),
                    Value::Number(n) => match (n.as_i64(), n.as_f64()) {
                        (Some(whole), _) => one.add_tag_int(name, whole),
                        (None, Some(number)) => one.add_tag_double(name, number),
                        (None, None) => one.add_tag_string(name, &n.to_string()),
                    },
                    other => one.add_tag_string(name, &other.to_string()),
                }
            }
            self.layer = one.into_layer();
        }
        Ok(self)
    }

    /// The tile; `None` when nothing lies in it.
    pub(super) fn finish(mut self) -> Result<Option<Vec<u8>>> {
        if self.features() == 0 {
            return Ok(None);
        }
        self.tile.add_layer(self.layer).map_err(broken)?;
        self.tile.to_bytes().map(Some).map_err(broken)
    }
}

fn broken(e: mvt::Error) -> Error {
    Error::internal("a vector tile").caused_by(e)
}

/// What a feature is made of, in longitude and latitude.
enum Shape {
    Points(Vec<Point>),
    Lines(Vec<Vec<Point>>),
    /// Each with its outer ring first.
    Polygons(Vec<Vec<Vec<Point>>>),
}

fn gather(geometry: &Value, shapes: &mut Vec<Shape>, depth: u32) {
    let kind = geometry.get("type").and_then(Value::as_str).unwrap_or_default();
    let at = geometry.get("coordinates").unwrap_or(&Value::Null);
    let shape = match kind {
        "Point" => point(at).map(|p| Shape::Points(vec![p])),
        "MultiPoint" => Some(Shape::Points(points(at))),
        "LineString" => Some(Shape::Lines(vec![points(at)])),
        "MultiLineString" => Some(Shape::Lines(each(at).map(points).collect())),
        "Polygon" => Some(Shape::Polygons(vec![each(at).map(points).collect()])),
        "MultiPolygon" => {
            Some(Shape::Polygons(each(at).map(|p| each(p).map(points).collect()).collect()))
        }
        "GeometryCollection" if depth < NESTED => {
            let inner = geometry.get("geometries").unwrap_or(&Value::Null);
            each(inner).for_each(|g| gather(g, shapes, depth + 1));
            None
        }
        _ => None,
    };
    shapes.extend(shape);
}

fn each(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn points(value: &Value) -> Vec<Point> {
    each(value).filter_map(point).collect()
}

fn point(value: &Value) -> Option<Point> {
    let mut numbers = each(value).map(Value::as_f64);
    let (x, y) = (numbers.next()??, numbers.next()??);
    (x.is_finite() && y.is_finite() && x.abs() <= 360.0).then_some([x, y])
}

impl Shape {
    /// As it lies in a tile; `None` when none of it does.
    fn drawn(&self, place: TileAt) -> Result<Option<GeomData>> {
        let square = Square { low: -BUFFER, high: f64::from(EXTENT) + BUFFER };
        let here =
            |line: &[Point]| -> Vec<Point> { line.iter().map(|p| place.project(*p)).collect() };
        let (kind, parts): (GeomType, Vec<Vec<Point>>) = match self {
            Shape::Points(all) => {
                let within: Vec<Point> =
                    here(all).into_iter().filter(|p| square.holds(*p)).map(round).collect();
                let parts = if within.is_empty() { Vec::new() } else { vec![within] };
                (GeomType::Point, parts)
            }
            Shape::Lines(all) => {
                let cut = all.iter().flat_map(|line| clip::line(&here(line), square));
                let whole = cut.map(|line| plain(&line)).filter(|line| line.len() > 1);
                (GeomType::Linestring, whole.collect())
            }
            Shape::Polygons(all) => {
                let rings = all.iter().flat_map(|polygon| rings(polygon, &here, square));
                (GeomType::Polygon, apart(rings.collect()))
            }
        };
        if parts.is_empty() {
            return Ok(None);
        }
        let mut encoder = GeomEncoder::<f64>::new(kind);
        for (n, part) in parts.iter().enumerate() {
            if n > 0 {
                encoder.complete_geom().map_err(broken)?;
            }
            for [x, y] in part {
                encoder.add_point(*x, *y).map_err(broken)?;
            }
        }
        encoder.encode().map(Some).map_err(broken)
    }
}

/// A polygon's rings in a tile: the outer one turns clockwise as it is seen, those of holes the other way. Without the outer one
/// there is none.
fn rings(
    polygon: &[Vec<Point>],
    here: &impl Fn(&[Point]) -> Vec<Point>,
    square: Square,
) -> Vec<Vec<Point>> {
    let mut kept: Vec<Vec<Point>> = Vec::new();
    for (n, own) in polygon.iter().enumerate() {
        let mut ring = plain(&clip::ring(&here(own), square));
        if ring.len() > 1 && ring.first() == ring.last() {
            ring.pop();
        }
        let area = clip::turned(&ring);
        if ring.len() < 3 || area == 0.0 {
            if n == 0 {
                return Vec::new();
            }
            continue;
        }
        if (area > 0.0) != (n == 0) {
            ring.reverse();
        }
        kept.push(ring);
    }
    kept
}

/// The encoder would take a ring that begins where the one before ended for its continuation: it begins elsewhere.
fn apart(mut rings: Vec<Vec<Point>>) -> Vec<Vec<Point>> {
    let mut end: Option<Point> = None;
    for ring in &mut rings {
        if ring.first().copied() == end {
            ring.rotate_left(1);
        }
        end = ring.last().copied();
    }
    rings
}

fn round([x, y]: Point) -> Point {
    [x.round(), y.round()]
}

/// Whole numbers, no point twice in a row.
fn plain(line: &[Point]) -> Vec<Point> {
    let mut kept: Vec<Point> = line.iter().copied().map(round).collect();
    kept.dedup();
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn tiles_are_where_they_are() {
        let world = TileAt::read("0", "0", "0").unwrap();
        let [west, south, east, north] = world.bounds();
        assert_eq!((west, east), (-180.0, 180.0));
        assert!(south < -85.0 && north > 85.0);
        assert_eq!(world.project([0.0, 0.0]), [2048.0, 2048.0]);
        // Hangzhou at matrix 8: column 213, row 105.
        let place = TileAt::read("8", "105", "213").unwrap();
        let [x, y] = place.project([120.155, 30.274]);
        assert!((0.0..4096.0).contains(&x) && (0.0..4096.0).contains(&y), "{x} {y}");
        for (z, y, x) in [
            ("0", "1", "0"),
            ("1", "0", "2"),
            ("23", "0", "0"),
            ("a", "0", "0"),
            ("", "0", "0"),
            ("+1", "0", "0"),
            ("40", "0", "0"),
        ] {
            assert!(TileAt::read(z, y, x).is_none(), "{z}/{y}/{x}");
        }
    }

    #[test]
    fn every_kind_is_written_and_what_lies_elsewhere_is_not() {
        let place = TileAt::read("0", "0", "0").unwrap();
        let feature = |geometry: Value| json!({ "id": "7", "geometry": geometry, "properties": { "a": "b", "n": 1, "f": 1.5, "t": true, "z": null } });
        let mut sheet = Sheet::new(place, "layer");
        for geometry in [
            json!({ "type": "Point", "coordinates": [120.0, 30.0] }),
            json!({ "type": "MultiPoint", "coordinates": [[120.0, 30.0], [0.0, 0.0]] }),
            json!({ "type": "LineString", "coordinates": [[0.0, 0.0], [10.0, 10.0]] }),
            json!({ "type": "Polygon", "coordinates": [[[0.0, 0.0], [40.0, 0.0], [40.0, 40.0], [0.0, 40.0], [0.0, 0.0]],
                [[10.0, 10.0], [20.0, 10.0], [20.0, 20.0], [10.0, 10.0]]] }),
        ] {
            sheet = sheet.add(&feature(geometry)).unwrap();
        }
        assert_eq!(sheet.features(), 4);
        let bytes = sheet.finish().unwrap().unwrap();
        assert!(bytes.windows(5).any(|w| w == b"layer"));
        let far = TileAt::read("8", "0", "0").unwrap();
        let none = Sheet::new(far, "layer");
        let none =
            none.add(&feature(json!({ "type": "Point", "coordinates": [120.0, 30.0] }))).unwrap();
        assert!(none.finish().unwrap().is_none());
        let odd = Sheet::new(place, "layer");
        let odd = odd.add(&feature(json!({ "type": "Polygon", "coordinates": "x" }))).unwrap();
        assert!(odd.add(&json!({ "geometry": null })).unwrap().finish().unwrap().is_none());
    }

    proptest! {
        #[test]
        fn a_place_lies_within_its_tile(lon in -180.0..179.9_f64, lat in -85.0..85.0_f64, z in 0_u32..18) {
            let world = TileAt { z, x: 0, y: 0 };
            let [x, y] = world.project([lon, lat]);
            let index = |n: f64| (n / f64::from(EXTENT)).floor() as u32;
            let place = TileAt { z, x: index(x), y: index(y) };
            let [west, south, east, north] = place.bounds();
            prop_assert!(west <= lon && lon <= east && south <= lat && lat <= north);
        }
    }
}
