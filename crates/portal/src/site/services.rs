//! 接口服务, 地图服务, 开发者中心: what programs may call, what can be drawn on a map, and how to begin.

use std::sync::Arc;

use app::account::applications;
use app::opening::{Ground, Place, TileAt, tile_mark};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use minijinja::{Value, context};
use model::asset::Ledger;
use model::change::ChangeFilter;
use model::search::{SearchPage, SearchQuery};
use model::{Code, Error, Result};

use crate::site::{at_page, facets};
use crate::view::value;
use crate::visit::{self, Visit, encode};
use crate::{Answer, Door};

/// Sets of one page, the deepest page, and layers drawn at once.
const PAGE: u32 = 30;
const DEEPEST: u32 = 200;
const LAYERS: usize = 4;
/// A layer of so many rows is drawn whole, a larger one by tiles.
const WHOLE: i64 = 5000;
/// Outlines that are drawn under the layers: those of the largest regions, the smaller ones would be most of what is fetched.
const GROUND: usize = 2;
/// Changes of open data that the developers' page tells.
const CHANGES: u32 = 10;
/// Sets whose features in a box are counted for one page.
const COUNTED: usize = 12;

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/apis", get(interfaces))
        .route("/maps", get(maps))
        .route("/maps/regions.geojson", get(regions))
        .route("/data/{code}/tiles/{z}/{y}/{x}", get(tile))
        .route("/developer", get(developer))
}

/// Open sets that can be had in a form, a page of them.
async fn sets(door: &Door, visit: &Visit, format: &str) -> Result<(SearchPage, u32, u32)> {
    let page = match visit.q("page") {
        None => 1,
        Some(text) => {
            text.parse::<u32>().ok().filter(|p| (1..=DEEPEST).contains(p)).ok_or_else(|| {
                Error::new(
                    Code::InvalidQuery,
                    format!("页码应在 1 到 {DEEPEST} 之间"),
                    format!("the page must be between 1 and {DEEPEST}"),
                )
            })?
        }
    };
    let text = visit.q("q").unwrap_or_default().to_owned();
    let mut filters = facets::open_only();
    filters.push(("format".into(), format.into()));
    filters.extend(visit.qs("region").map(|code| ("region".to_owned(), code.to_owned())));
    let query = SearchQuery {
        sort: if text.is_empty() { "data_at".into() } else { "relevance".into() },
        text,
        filters,
        facets: Some(Vec::new()),
        offset: (page - 1) * PAGE,
        limit: PAGE,
        some: true,
        ..SearchQuery::default()
    };
    let found = app::opening::search(&door.app, &visit.public_op(), query).await?;
    let pages = u32::try_from(found.total.div_ceil(u64::from(PAGE))).unwrap_or(u32::MAX);
    Ok((found, page, pages.min(DEEPEST)))
}

async fn interfaces(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let (found, page, pages) = sets(&door, &visit, "API").await?;
    let figures = app::opening::figures(&door.app, &visit.op).await?;
    let context = context! {
        q => visit.q("q"), total => found.total, partial => found.partial, page, pages, figures => value(&figures),
        docs => value(found.hits.iter().map(|h| &h.doc).collect::<Vec<_>>()),
        previous => (page > 1).then(|| at_page(&visit, page - 1)),
        next => (page < pages).then(|| at_page(&visit, page + 1)),
    };
    door.page(&visit, "site/apis.html", context).await
}

async fn maps(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let (found, page, pages) = sets(&door, &visit, "GeoJSON").await?;
    let ground = app::opening::ground(&door.app, &visit.op).await?;
    let places = places(&door, &visit, &ground, &found).await?;
    // Four numbers say where; a name does when it can mean one place only.
    let meant = app::opening::meant(&places).and_then(|p| p.bounds).map(seen);
    let area = area(&visit)?.or(meant);
    let (within, uncounted) = match area {
        Some(bbox) => {
            let (within, uncounted) = found_in(&door, &visit, &found, bbox).await?;
            (Some(within), uncounted)
        }
        None => (None, false),
    };
    let asked: Vec<&str> = visit.qs("layer").take(LAYERS).collect();
    let first = || found.hits.first().map(|h| h.doc.code.clone());
    let chosen: Vec<String> = match asked.is_empty() {
        true => first().into_iter().collect(),
        false => asked.iter().map(|code| (*code).to_owned()).collect(),
    };
    let mut layers: Vec<Value> = Vec::with_capacity(chosen.len());
    let mut sources: Vec<String> = Vec::with_capacity(chosen.len());
    for code in &chosen {
        // A layer that is not there, or is not open, is not found: the page says so as it does for the set.
        let dataset = app::opening::dataset(&door.app, &visit.op, code).await?;
        if dataset.free && dataset.geometry.is_some() {
            let form = if dataset.entry.rows > WHOLE { "tiles" } else { "map.geojson" };
            sources.push(format!("/data/{}/{form}", encode(code)));
            layers.push(value(&dataset));
        }
    }
    let context = context! {
        q => visit.q("q"), total => found.total, partial => found.partial, page, pages, layers, chosen, most => LAYERS,
        area => area.map(|[west, south, east, north]| context! { west, south, east, north }), within, uncounted,
        sources => sources.join(" "), place => visit.q("place").map(str::trim).filter(|p| !p.is_empty()),
        places => places.iter().map(|p| place_shown(&visit, p)).collect::<Vec<_>>(),
        ground => ground_shown(&ground), outlines => value(&ground.outlines),
        grounded => ground.regions.len(),
        docs => value(found.hits.iter().map(|h| &h.doc).collect::<Vec<_>>()),
        previous => (page > 1).then(|| at_page(&visit, page - 1)),
        next => (page < pages).then(|| at_page(&visit, page + 1)),
    };
    door.page(&visit, "site/maps.html", context).await
}

/// Places of the name that is asked for: regions, and features of the layers, of the page's sets and of others that have places.
async fn places(
    door: &Door,
    visit: &Visit,
    ground: &Ground,
    found: &SearchPage,
) -> Result<Vec<Place>> {
    let Some(name) = visit.q("place").map(str::trim).filter(|p| !p.is_empty()) else {
        return Ok(Vec::new());
    };
    let free = found.hits.iter().filter(|h| h.doc.open_type == "unconditional");
    let listed = free.map(|h| h.doc.code.as_str());
    let asked = visit.qs("layer").take(LAYERS);
    let mut codes: Vec<String> = Vec::new();
    for code in asked.chain(listed).chain(ground.sets.iter().map(String::as_str)) {
        if !codes.iter().any(|c| c == code) {
            codes.push(code.to_owned());
        }
    }
    app::opening::places(&door.app, &visit.public_op(), name, ground, &codes).await
}

/// What is shown of a place: a point with a little around it, so that there is something to see.
fn seen([west, south, east, north]: [f64; 4]) -> [f64; 4] {
    const LEAST: f64 = 0.005;
    let wide = |low: f64, high: f64, most: f64| match high - low < 2.0 * LEAST {
        true => ((low - LEAST).max(-most), (high + LEAST).min(most)),
        false => (low, high),
    };
    let ((west, east), (south, north)) = (wide(west, east, 180.0), wide(south, north, 90.0));
    [west, south, east, north]
}

/// A place with the address that shows it.
fn place_shown(visit: &Visit, place: &Place) -> Value {
    let href = place.bounds.map(seen).map(|[west, south, east, north]| {
        let mut href = format!("/maps?bbox={west:.5},{south:.5},{east:.5},{north:.5}");
        let kept = ["place", "q"].into_iter().filter_map(|k| visit.q(k).map(|v| (k, v)));
        let several =
            ["region", "layer"].into_iter().flat_map(|k| visit.qs(k).map(move |v| (k, v)));
        for (name, text) in kept.chain(several) {
            href.push_str(&format!("&{name}={}", encode(text)));
        }
        href
    });
    context! { place => value(place), href }
}

/// What the map is drawn on: outlines of open sets, else the boxes around the open data of regions; addresses, apart by a space.
fn ground_shown(ground: &Ground) -> String {
    if ground.outlines.is_empty() {
        let some = !ground.regions.is_empty();
        return if some { "/maps/regions.geojson".to_owned() } else { String::new() };
    }
    let addresses = ground
        .outlines
        .iter()
        .take(GROUND)
        .map(|o| format!("/data/{}/map.geojson", encode(&o.code)));
    addresses.collect::<Vec<_>>().join(" ")
}

/// Where the open data of each region lie, as boxes: no boundaries, and the answer says so.
async fn regions(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let ground = app::opening::ground(&door.app, &visit.op).await?;
    let features: Vec<serde_json::Value> = ground
        .regions
        .iter()
        .map(|r| {
            let [west, south, east, north] = r.bounds;
            let ring = [[west, south], [east, south], [east, north], [west, north], [west, south]];
            serde_json::json!({
                "type": "Feature", "id": r.code, "bbox": r.bounds,
                "geometry": { "type": "Polygon", "coordinates": [ring] },
                "properties": {
                    "code": r.code, "name": r.name, "name_en": r.name_en, "level": r.level, "features": r.features,
                    "sets": r.sets, "centre": [(west + east) / 2.0, (south + north) / 2.0],
                    "taken_from": if r.outlined { "outline" } else { "open_data" },
                },
            })
        })
        .collect();
    let whole = serde_json::json!({
        "type": "FeatureCollection", "features": features,
        "description": "各地区开放数据（或轮廓数据集）所在的范围，不是行政区域界线。/ Boxes around the open data (or the outlines) of each region: no boundaries.",
    });
    let kind = HeaderValue::from_static("application/geo+json");
    Ok(([(header::CONTENT_TYPE, kind)], whole.to_string()).into_response())
}

/// A vector tile of a layer: the same as programs get by OGC API Tiles.
async fn tile(
    State(door): State<Arc<Door>>,
    Path((code, z, y, x)): Path<(String, String, String, String)>,
    visit: Visit,
    headers: HeaderMap,
) -> Answer {
    let dataset = app::opening::dataset(&door.app, &visit.op, &code).await?;
    let drawn = dataset.free && dataset.geometry.is_some();
    let at = TileAt::read(&z, &y, &x).filter(|_| drawn).ok_or_else(|| {
        let shown: String = format!("{z}/{y}/{x}").chars().take(60).collect();
        Error::not_found("瓦片", "tile", &shown)
    })?;
    let mark = tile_mark(&dataset, at);
    let mut response = if visit::has(&headers, &mark) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let nobody = visit.public_op();
        let drawn = app::opening::tile(&door.app, &nobody, &dataset, at).await?;
        let mut response = match drawn.bytes {
            Some(bytes) => {
                let kind = HeaderValue::from_static("application/vnd.mapbox-vector-tile");
                ([(header::CONTENT_TYPE, kind)], bytes).into_response()
            }
            None => StatusCode::NO_CONTENT.into_response(),
        };
        if drawn.cut {
            let name = HeaderName::from_static("x-features-left-out");
            response.headers_mut().insert(name, HeaderValue::from_static("true"));
        }
        response
    };
    if let Ok(mark) = HeaderValue::from_str(&mark) {
        response.headers_mut().insert(header::ETAG, mark);
    }
    Ok(response)
}

/// The box that is asked for: `bbox`, or four fields of the form; `None` where nothing is asked.
fn area(visit: &Visit) -> Result<Option<[f64; 4]>> {
    let fields = ["west", "south", "east", "north"].map(|f| visit.q(f).unwrap_or_default().trim());
    let written = match visit.q("bbox").map(str::trim).filter(|b| !b.is_empty()) {
        Some(bbox) => bbox.to_owned(),
        None if fields.iter().all(|f| f.is_empty()) => return Ok(None),
        None => fields.join(","),
    };
    let wrong = || {
        Error::new(
            Code::InvalidQuery,
            "范围应为 西,南,东,北 四个数：经度 −180 至 180，纬度 −90 至 90，南不大于北，如 120,30,121,31",
            "an area is four numbers, west,south,east,north: longitudes from -180 to 180, latitudes from -90 to 90, as 120,30,121,31",
        )
    };
    let numbers: Vec<f64> =
        written.split(',').map_while(|n| n.trim().parse().ok()).take(5).collect();
    match numbers.as_slice() {
        [west, south, east, north]
            if written.split(',').count() == 4
                && west.abs() <= 180.0
                && east.abs() <= 180.0
                && south.abs() <= 90.0
                && north.abs() <= 90.0
                && south <= north =>
        {
            Ok(Some([*west, *south, *east, *north]))
        }
        _ => Err(wrong()),
    }
}

/// Sets that have features in the box, most first, and whether more reach into it than were counted. Without words all open sets are
/// asked about, the likeliest by what was measured of them first; with words those that were found by them.
async fn found_in(
    door: &Door,
    visit: &Visit,
    found: &SearchPage,
    bbox: [f64; 4],
) -> Result<(Vec<Value>, bool)> {
    let nobody = visit.public_op();
    let mut asked: Vec<(String, Value)> = Vec::new();
    if visit.q("q").is_none_or(|q| q.trim().is_empty()) {
        let likely = app::opening::reaching(&door.app, &nobody, bbox, COUNTED + 1).await?;
        asked.extend(likely.into_iter().map(|set| (set.code.clone(), value(&set))));
    }
    for hit in found.hits.iter().filter(|h| h.doc.open_type == "unconditional") {
        if !asked.iter().any(|(code, _)| *code == hit.doc.code) {
            asked.push((hit.doc.code.clone(), value(&hit.doc)));
        }
    }
    let uncounted = asked.len() > COUNTED;
    let mut all = Vec::new();
    for (code, doc) in asked.into_iter().take(COUNTED) {
        match app::opening::inside(&door.app, &nobody, &code, bbox).await {
            Ok(Some(inside)) if inside.features > 0 => all.push((inside, doc)),
            Ok(_) => {}
            // It went while the page was made, or is stopped: the others are told all the same.
            Err(e) if !e.kind().ours() => {
                tracing::debug!(error = e.operator_text(), "features in a box were not counted");
            }
            Err(e) => return Err(e),
        }
    }
    all.sort_by_key(|(inside, _)| std::cmp::Reverse(inside.features));
    let told = all.into_iter().map(|(inside, doc)| context! { inside => value(inside), doc });
    Ok((told.collect(), uncounted))
}

async fn developer(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let call = &door.app.rules.call;
    let state = app::operation::readiness(&door.app).await;
    let own = match &visit.session {
        Some(_) => Some(applications(&door.app, &visit.op).await?.len()),
        None => None,
    };
    let real_name = match &visit.session {
        Some(_) => Some(app::realname::standing(&door.app, &visit.op).await?),
        None => None,
    };
    let org = visit.session.as_ref().and_then(|s| s.user.org.clone());
    let may = |org: &str| app::account::may_register(&door.app, &visit.op, org);
    let filter = ChangeFilter {
        ledger: Some(Ledger::Data),
        open: true,
        limit: CHANGES,
        ..ChangeFilter::default()
    };
    let mut changes = app::ledger::changes(&door.app, &visit.public_op(), &filter).await?.items;
    // Of what may not be known any more only that it went is told, and that by the feed.
    changes.retain(|change| !change.gone);
    let context = context! {
        changes => value(&changes),
        window => call.window_seconds, default_rows => call.default_rows, max_rows => call.max_rows,
        max_offset => call.max_offset, sql => !door.config.sql_address.is_empty(),
        sign_up => !door.app.rules.signup.open.kinds().is_empty(),
        real_name => value(&real_name),
        own, may_register => visit.session.is_some() && (may("") || org.as_deref().is_some_and(may)),
        parts => [
            ("gateway", if state.ready { "ok" } else { "unavailable" }),
            ("store", state.store.as_str()),
            ("lake", state.lake.as_str()),
            ("search", state.search.as_str()),
            ("audit", state.audit.as_str()),
        ]
        .map(|(part, word)| context! { part, ok => word == "ok" })
        .to_vec(),
        api_path => "/api/v1/CODE",
    };
    door.page(&visit, "site/developer.html", context).await
}
