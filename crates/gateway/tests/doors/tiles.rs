//! OGC API Tiles: what lies in a tile is in it, with its open items, and nothing of what is hidden; what lies elsewhere is not. Tiles are
//! read here by the few rules of protocol buffers that they need. (Real clients: `cargo xtask clients --doors`.)

use axum::http::Method;

use crate::client::Client;
use crate::standards::furnished;

/// A field of a message: its number, and its number or bytes.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let (byte, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return value;
        }
        shift += 7;
    }
}

fn fields(mut bytes: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let field = match key & 7 {
            0 => Field::Number(varint(&mut bytes)),
            1 => {
                let (own, rest) = bytes.split_at(8);
                bytes = rest;
                Field::Bytes(own)
            }
            2 => {
                let length = usize::try_from(varint(&mut bytes)).unwrap();
                let (own, rest) = bytes.split_at(length);
                bytes = rest;
                Field::Bytes(own)
            }
            kind => panic!("a field of kind {kind}"),
        };
        all.push((key >> 3, field));
    }
    all
}

#[derive(Debug, Default)]
struct Layer {
    name: String,
    /// Of each feature its kind of geometry: 1 point, 2 line, 3 polygon.
    features: Vec<u64>,
    keys: Vec<String>,
    texts: Vec<String>,
    extent: u64,
}

/// The one layer of a tile.
fn layer(tile: &[u8]) -> Layer {
    let layers = fields(tile);
    let [(3, Field::Bytes(own))] = layers.as_slice() else { panic!("{} layers", layers.len()) };
    let mut layer = Layer::default();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    for field in fields(own) {
        match field {
            (1, Field::Bytes(name)) => layer.name = text(name),
            (2, Field::Bytes(feature)) => {
                let kind = fields(feature).into_iter().find_map(|f| match f {
                    (3, Field::Number(kind)) => Some(kind),
                    _ => None,
                });
                layer.features.push(kind.unwrap());
            }
            (3, Field::Bytes(key)) => layer.keys.push(text(key)),
            (4, Field::Bytes(value)) => {
                layer.texts.extend(fields(value).into_iter().filter_map(|f| match f {
                    (1, Field::Bytes(own)) => Some(text(own)),
                    _ => None,
                }));
            }
            (5, Field::Number(extent)) => layer.extent = extent,
            (15, Field::Number(version)) => assert_eq!(version, 2),
            _ => {}
        }
    }
    layer
}

#[tokio::test]
async fn what_lies_in_a_tile_is_in_it() {
    let house = furnished().await;
    let client = Client::new(&house);
    let at =
        |set: &str, place: &str| format!("/ogc/collections/{set}/tiles/WebMercatorQuad/{place}");
    let whole = client.get(&at("lakes", "5/13/26")).await;
    assert_eq!(whole.status.as_u16(), 200, "{}", whole.text);
    assert_eq!(whole.header("content-type"), "application/vnd.mapbox-vector-tile");
    assert_eq!(whole.header("x-features-left-out"), "");
    let layer_of = layer(&whole.bytes);
    assert_eq!((layer_of.name.as_str(), layer_of.extent), ("lakes", 4096));
    assert_eq!(layer_of.features, [1, 1, 1]);
    assert!(layer_of.keys.contains(&"name".to_owned()), "{:?}", layer_of.keys);
    assert!(layer_of.texts.contains(&"西湖".to_owned()), "{:?}", layer_of.texts);
    let near = layer(&client.get(&at("lakes", "8/105/213")).await.bytes);
    assert_eq!(near.features, [1]);
    assert!(near.texts.contains(&"西湖".to_owned()) && !near.texts.contains(&"千岛湖".to_owned()));
    let shores = layer(&client.get(&at("shores", "5/13/26")).await.bytes);
    let mut kinds = shores.features.clone();
    kinds.sort_unstable();
    assert_eq!(kinds, [1, 3]);
    assert!(!shores.keys.contains(&"geom".to_owned()), "the geometry is no attribute");
    // Far away nothing lies.
    let empty = client.get(&at("lakes", "5/0/0")).await;
    assert_eq!((empty.status.as_u16(), empty.bytes.len()), (204, 0));
    // Known again by its mark, until the data change.
    let mark = whole.header("etag").to_owned();
    let again =
        client.send(Method::GET, &at("lakes", "5/13/26"), &[("if-none-match", &mark)]).await;
    assert_eq!((again.status.as_u16(), again.bytes.len()), (304, 0));
    let more = "id,name,amount,day,lng,lat\n4,南湖,1,2026-01-04,120.75,30.75\n".as_bytes();
    house.clock.forward(chrono::TimeDelta::hours(1));
    house.collect("lakes", "q.csv", more, model::code::SyncMode::Full).await.unwrap();
    let changed =
        client.send(Method::GET, &at("lakes", "5/13/26"), &[("if-none-match", &mark)]).await;
    assert_eq!(changed.status.as_u16(), 200);
    assert_eq!(layer(&changed.bytes).features, [1]);
}

#[tokio::test]
async fn there_are_no_other_tiles() {
    let house = furnished().await;
    let client = Client::new(&house);
    let tiles = "/ogc/collections/lakes/tiles";
    for place in [
        "WebMercatorQuad/5/32/0",
        "WebMercatorQuad/0/0/1",
        "WebMercatorQuad/23/0/0",
        "WebMercatorQuad/x/0/0",
        "WebMercatorQuad/1/-1/0",
        "WorldCRS84Quad/0/0/0",
        "WorldCRS84Quad",
    ] {
        let answer = client.get(&format!("{tiles}/{place}")).await;
        assert_eq!(answer.refusal().0, 404, "{place}");
        let body = answer.json().to_string();
        assert!(body.contains("没有找到") && body.contains("was not found"), "{place} {body}");
    }
    assert_eq!(client.get(&format!("{tiles}?x=1")).await.refusal().0, 400);
    assert_eq!(client.get(&format!("{tiles}/WebMercatorQuad/0/0/0?x=1")).await.refusal().0, 400);
    // What is hidden answers as what is not there; the catalogue lies nowhere.
    for place in ["", "/WebMercatorQuad", "/WebMercatorQuad/5/13/26"] {
        let told = async |id: &str| {
            let answer = client.get(&format!("/ogc/collections/{id}/tiles{place}")).await;
            let mut body = answer.json();
            body["request_id"] = serde_json::Value::Null;
            (answer.status.as_u16(), body.to_string().replace(id, "ID"))
        };
        let unknown = told("nothing").await;
        assert_eq!(unknown.0, 404, "{place}");
        for hidden in ["persons", "companies"] {
            assert_eq!(told(hidden).await, unknown, "{hidden}{place}");
        }
        assert_eq!(told("open-catalogue").await.0, 404);
    }
}

#[tokio::test]
async fn tiles_are_described() {
    let house = furnished().await;
    let client = Client::new(&house);
    let conformance = client.get("/ogc/conformance").await.text;
    for class in ["core", "tileset", "tilesets-list", "mvt"] {
        assert!(conformance.contains(&format!("ogcapi-tiles-1/1.0/conf/{class}\"")), "{class}");
    }
    let sets = client.get("/ogc/tileMatrixSets").await.json();
    assert_eq!(sets["tileMatrixSets"][0]["id"], "WebMercatorQuad");
    let set = client.get("/ogc/tileMatrixSets/WebMercatorQuad").await.json();
    let matrices = set["tileMatrices"].as_array().unwrap();
    assert_eq!(matrices.len(), 23);
    let scale = matrices[0]["scaleDenominator"].as_f64().unwrap();
    // OGC 17-083r4, annex D.1.
    assert!((scale - 559_082_264.028_717_9).abs() < 0.01, "{scale}");
    assert_eq!(matrices[3]["matrixWidth"], 8);
    let collection = client.get("/ogc/collections/lakes").await.json();
    let links = collection["links"].as_array().unwrap();
    let link = links.iter().find(|l| l["rel"].as_str().unwrap().ends_with("tilesets-vector"));
    let tiles = link.unwrap()["href"].as_str().unwrap().strip_prefix("http://gate.test").unwrap();
    let list = client.get(tiles).await.json();
    assert_eq!(list["tilesets"][0]["dataType"], "vector");
    let one = client.get(&format!("{tiles}/WebMercatorQuad")).await.json();
    let template = one["links"].as_array().unwrap().iter().find(|l| l["rel"] == "item").unwrap();
    let address = template["href"].as_str().unwrap().strip_prefix("http://gate.test").unwrap();
    let address =
        address.replace("{tileMatrix}", "5").replace("{tileRow}", "13").replace("{tileCol}", "26");
    assert_eq!(client.get(&address).await.status.as_u16(), 200);
}
