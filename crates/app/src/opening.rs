//! Opening: what citizens and enterprises find, look at and download. Never shows what is not open.
//!
//! `chart` makes figures of rows, `versions` compares them, `standing` says how a set is kept and used, `city` tells the cities'
//! shares, `plan`, `assess`, `withdraw` and `recheck` are how things come to be open and cease to be (rules of the risk check in
//! `risk`), `inside` counts what lies in a box, `ground` tells where the data of regions lie, `names` finds places by their names,
//! `files` keeps size and checksum of what is downloaded, `roll` keeps names and sums of all that is open level with the ledger,
//! `tiles` draws vector tiles (`tile` writes one, `clip` cuts at its edges), `measure` walks over open sets in the background and
//! counts empty cells (`fullness`) and places (`ground`), `index`, `metadata` and `response` score openness;
//! `rules` is their rule file.

mod assess;
mod chart;
mod choose;
mod city;
mod clip;
mod files;
mod fullness;
mod ground;
mod index;
mod inside;
mod machines;
mod measure;
pub mod metadata;
mod names;
pub mod place;
mod plan;
mod recheck;
mod response;
mod risk;
mod roll;
mod rules;
mod standing;
pub(crate) mod tell;
mod tile;
mod tiles;
mod versions;
mod withdraw;
mod wkt;

use std::collections::HashMap;
use std::sync::Arc;

use futures::stream::BoxStream;
use model::account::Role;
use model::asset::Ledger;
use model::audit::AuditEvent;
use model::code::{DataType, OpenType};
use model::entry::Entry;
use model::item::Item;
use model::org::Org;
use model::query::{RowPage, RowQuery};
use model::region::Region;
use model::search::{SearchPage, SearchQuery};
use model::value::{LineForm, Lines, Rows};
use model::{Actor, Code, Error, Op, Result};
use policy::{Action, Grant, GrantAsk, Via};
use serde::Serialize;

pub(crate) use assess::may_open;
pub use assess::{
    AssessmentSeen, assess, assessment_get, assessments, decide_assessment, submit_assessment,
};
pub use chart::{Bar, Chart, ChartAsk, Points, Step, chart, countable, drawable, points};
pub use choose::{Eligible, eligible};
pub use city::{CityFigures, cities, city};
pub use files::{file_keep, files_known, making};
pub use ground::{Ground, OutlineSet, Reaching, RegionGround, ground, reaching};
pub use index::{Cover, DEFECTS, Failing, Index, Memory, Scores, failing, index};
pub use inside::{Inside, inside};
pub use machines::{
    Head, callable, changed_at, columns, distinct, found, grouped, heads, organisations, sets,
};
pub use measure::{SetsMeasured, measure};
pub use names::{Place, PlaceKind, meant, places};
pub use plan::{
    LineSeen, PlanDesk, PlanFigures, PlanSeen, begin_plan, decide_plan, desk, has_desk, plan,
    plan_public, plan_years, plans, plans_desk, submit_plan, write_plan,
};
pub use recheck::{outdated, recheck, rechecks};
pub use risk::OpeningRules;
pub(crate) use roll::Roll;
pub use roll::{Listing, OpenSet, listing, open_organisations};
pub use rules::{ChartRules, City, IndexRules, Licence, Notice, SiteRules, VersionRules, Weights};
pub use rules::{MapRules, Outline};
pub use standing::{Standing, standing};
pub use store::openness::{Measured, OpenFile};
pub use tile::{DEEPEST, TileAt};
pub use tiles::{Drawn, tile, tile_mark};
pub use versions::{Changed, Version, VersionDifference, differences, versions};
pub(crate) use withdraw::moved;
pub use withdraw::{withdraw, withdrawals, withdrawn};

use crate::sharing::bounds;
use crate::sharing::flowing::{Footing, Mark, while_standing};
use crate::sharing::{fingerprint, read, release_event};
use crate::{App, Page, audit};

/// Live figures of the site.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    pub datasets: u64,
    pub interfaces: u64,
    pub items: u64,
    pub rows: u64,
    pub organisations: u64,
}

/// A data set as the public sees it: only open items remain in `entry.draft.items`.
#[derive(Clone, Debug, Serialize)]
pub struct Dataset {
    pub entry: Entry,
    pub org_name: String,
    pub org_name_en: String,
    pub region_name: String,
    pub region_name_en: String,
    /// Whether anyone may preview, download and call it.
    pub free: bool,
    /// Identifier of a geometry item, or of (longitude, latitude) items, when it can be drawn.
    pub geometry: Option<Geometry>,
}

/// How a data set's places are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Geometry {
    Item(String),
    Point { longitude: String, latitude: String },
}

/// A download: column names (identifier, Chinese name) and rows as a stream.
pub struct Download<T = Rows> {
    pub dataset: Dataset,
    pub columns: Vec<(String, String)>,
    pub rows: BoxStream<'static, Result<T>>,
}

impl<T> std::fmt::Debug for Download<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Download").field("columns", &self.columns).finish_non_exhaustive()
    }
}

/// Searches data sets the caller may know of (nobody: open entries; staff: also what the ledger shows to staff).
/// The audience of the query and its ledger are set here, whatever the caller wrote.
pub async fn search(app: &App, op: &Op, mut query: SearchQuery) -> Result<SearchPage> {
    query.audience = audience(op);
    crate::catalogue::follow(app).await?;
    query.filters.retain(|(facet, _)| facet != "ledger");
    query.filters.push(("ledger".into(), Ledger::Data.as_str().into()));
    if query.facets.is_none() {
        query.facets = Some(FACETS.map(str::to_owned).to_vec());
    }
    let index = Arc::clone(&app.search);
    tokio::task::spawn_blocking(move || index.search(&query)).await.map_err(broken)?
}

/// Facets of data sets.
const FACETS: [&str; 8] =
    ["region", "org", "domain", "format", "update_cycle", "open_type", "share_type", "grade"];

/// Completions while typing.
pub async fn suggest(app: &App, op: &Op, prefix: &str) -> Result<Vec<String>> {
    let (audience, index) = (audience(op), Arc::clone(&app.search));
    let prefix: String = prefix.trim().chars().take(64).collect();
    if prefix.is_empty() {
        return Ok(Vec::new());
    }
    crate::catalogue::follow(app).await?;
    tokio::task::spawn_blocking(move || index.suggest(&prefix, &audience, 8))
        .await
        .map_err(broken)?
}

/// Labels by which search tells what the caller may know of.
pub(crate) fn audience(op: &Op) -> Vec<String> {
    let mut labels = vec!["public".to_owned()];
    let staff = op.actor.roles().iter().any(|r| !matches!(r, Role::Enterprise | Role::Citizen));
    if let Actor::User { org, .. } = &op.actor
        && staff
    {
        labels.push("staff".into());
        labels.extend(org.iter().map(|o| format!("org:{o}")));
    }
    labels
}

fn broken(e: tokio::task::JoinError) -> Error {
    Error::internal("the search task ended").caused_by(e)
}

/// Live figures: sums of the roll of what is open, which follows the ledger.
pub async fn figures(app: &App, op: &Op) -> Result<Figures> {
    Ok(listing(app, op).await?.figures())
}

/// One open data set by code; anything else is not found.
pub async fn dataset(app: &App, _op: &Op, code: &str) -> Result<Dataset> {
    let entry = open_entry(app, code).await?;
    let org = app.store.org_get(&entry.draft.org).await?;
    let regions = app.store.regions_list().await?;
    Ok(view(entry, org.as_ref(), regions.iter()))
}

/// All open data sets (for the catalogue download), in pages by code.
pub async fn datasets(
    app: &App,
    _op: &Op,
    after: Option<&str>,
    limit: u32,
) -> Result<Page<Dataset>> {
    let limit = if limit == 0 { 50 } else { limit.min(999) };
    let entries = app.store.entry_list_open(after, limit + 1).await?;
    let Page { items: entries, next } = Page::cut(entries, limit, |e| e.draft.code.clone());
    let regions = app.store.regions_list().await?;
    let orgs: HashMap<String, Org> =
        app.store.orgs_list().await?.into_iter().map(|o| (o.id.clone(), o)).collect();
    let items = entries
        .into_iter()
        .map(|e| {
            let org = orgs.get(&e.draft.org).cloned();
            view(e, org.as_ref(), regions.iter())
        })
        .collect();
    Ok(Page { items, next })
}

/// First rows for the page; audited as a release.
pub async fn preview(app: &App, op: &Op, code: &str, query: &RowQuery) -> Result<RowPage> {
    let entry = open_entry(app, code).await?;
    let cap = app.rules.catalogue.opening.preview_rows;
    let grant = grant(app, op, &entry, Action::RowsPreview, cap).await?;
    let served = app.store.serving().position(&entry.id).await?.is_some();
    let page = read(app, &grant, &entry, served, query).await?;
    audit::record(app, release_event(op, &grant, &grant.masks_text(), query, &page)).await?;
    Ok(page)
}

/// All rows of a freely open data set, of the current or an older version; audited before the first row. Whoever sends
/// them on keeps an [`audit::Tally`] of what left.
pub async fn download(
    app: &Arc<App>,
    op: &Op,
    code: &str,
    version: Option<i64>,
) -> Result<Download> {
    pour(app, op, code, version, &RowQuery::default()).await
}

/// The same as lines of text (without a header).
pub async fn download_lines(
    app: &Arc<App>,
    op: &Op,
    code: &str,
    version: Option<i64>,
    form: LineForm,
) -> Result<Download<Lines>> {
    pour_lines(app, op, code, version, &RowQuery::default(), form).await
}

/// How the rows of a whole file come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Rows,
    Lines(LineForm),
    Columns,
}

/// Rows of a whole file, in the shape that was asked for.
#[derive(Debug)]
pub enum Read {
    Rows(Download),
    Bytes(Download<Lines>),
}

/// The rows of a whole file, read through inside the house to learn how large the file is: whoever asks sends nothing of them on. Recorded
/// as that, not as a release.
pub async fn read_through(app: &Arc<App>, op: &Op, code: &str, shape: Shape) -> Result<Read> {
    let (tap, query) = (tap(app, op, code, None).await?, RowQuery::default());
    let (lake, grant) = (&app.lake, &tap.grant);
    Ok(match shape {
        _ if tap.known.is_none() => {
            let none: BoxStream<'static, Result<Rows>> = Box::pin(futures::stream::empty());
            Read::Rows(told(app, op, tap, &query, none, SIZED).await?)
        }
        Shape::Rows => {
            let rows = lake.scan(grant, &query, None).await?;
            Read::Rows(told(app, op, tap, &query, rows, SIZED).await?)
        }
        Shape::Lines(form) => {
            let rows = lake.lines(grant, &query, None, form).await?;
            Read::Bytes(told(app, op, tap, &query, rows, SIZED).await?)
        }
        Shape::Columns => {
            let rows = lake.column_file(grant, &query, None).await?;
            Read::Bytes(told(app, op, tap, &query, rows, SIZED).await?)
        }
    })
}

/// What is recorded of a file that was measured.
const SIZED: &str = "open.sized";

/// The same as one Parquet file. A set without data is `UnsupportedFormat`: nothing says what its columns hold.
pub async fn download_columns(
    app: &Arc<App>,
    op: &Op,
    code: &str,
    version: Option<i64>,
) -> Result<Download<Lines>> {
    let (tap, query) = (tap(app, op, code, version).await?, RowQuery::default());
    if tap.known.is_none() {
        return Err(Error::new(
            Code::UnsupportedFormat,
            "该数据集还没有数据，不能下载 Parquet",
            "this data set holds no data yet, Parquet is not offered",
        ));
    }
    let rows = app.lake.column_file(&tap.grant, &query, version).await?;
    flowing(app, op, tap, &query, rows).await
}

/// The rows of a freely open data set that a query asks for, as many as there are; audited as a download is.
pub async fn dump(app: &Arc<App>, op: &Op, code: &str, query: &RowQuery) -> Result<Download> {
    pour(app, op, code, None, query).await
}

/// The same as lines of text (without a header).
pub async fn dump_lines(
    app: &Arc<App>,
    op: &Op,
    code: &str,
    query: &RowQuery,
    form: LineForm,
) -> Result<Download<Lines>> {
    pour_lines(app, op, code, None, query, form).await
}

async fn pour(
    app: &Arc<App>,
    op: &Op,
    code: &str,
    version: Option<i64>,
    query: &RowQuery,
) -> Result<Download> {
    let tap = tap(app, op, code, version).await?;
    let rows = match tap.known {
        Some(_) => app.lake.scan(&tap.grant, query, version).await?,
        // Nothing has landed yet: a file with a header only.
        None => Box::pin(futures::stream::empty()),
    };
    flowing(app, op, tap, query, rows).await
}

async fn pour_lines(
    app: &Arc<App>,
    op: &Op,
    code: &str,
    version: Option<i64>,
    query: &RowQuery,
    form: LineForm,
) -> Result<Download<Lines>> {
    let tap = tap(app, op, code, version).await?;
    let rows = match tap.known {
        Some(_) => app.lake.lines(&tap.grant, query, version, form).await?,
        None => Box::pin(futures::stream::empty()),
    };
    flowing(app, op, tap, query, rows).await
}

/// What is granted of a set that is poured out, and its version; none where nothing has landed.
struct Tap {
    entry: Entry,
    grant: Grant,
    /// Taken before the grant was made.
    mark: Mark,
    known: Option<i64>,
}

async fn tap(app: &App, op: &Op, code: &str, version: Option<i64>) -> Result<Tap> {
    let mark = Mark::of(app);
    let entry = open_entry(app, code).await?;
    let grant = grant(app, op, &entry, Action::RowsDownload, u64::MAX).await?;
    let versions = app.lake.versions(&entry.draft.code).await?;
    if let Some(version) = version
        && !versions.iter().any(|v| v.version == version)
    {
        return Err(Error::not_found("数据版本", "data version", &version.to_string()));
    }
    let known = version.or_else(|| versions.first().map(|v| v.version));
    Ok(Tap { entry, grant, mark, known })
}

/// Rows that may leave, once it is recorded that they do.
async fn flowing<T: Send + 'static>(
    app: &Arc<App>,
    op: &Op,
    tap: Tap,
    query: &RowQuery,
    rows: BoxStream<'static, Result<T>>,
) -> Result<Download<T>> {
    let action = tap.grant.action().as_str();
    told(app, op, tap, query, rows, action).await
}

/// The same, recorded under a name.
async fn told<T: Send + 'static>(
    app: &Arc<App>,
    op: &Op,
    tap: Tap,
    query: &RowQuery,
    rows: BoxStream<'static, Result<T>>,
    action: &str,
) -> Result<Download<T>> {
    let Tap { entry, grant, mark, known } = tap;
    let rows = while_standing(Footing::new(app, op, &grant, mark), rows);
    let all = grant.columns().iter().map(|c| (c.identifier.clone(), c.name_cn.clone()));
    let columns: Vec<(String, String)> = match query.select.is_empty() {
        true => all.collect(),
        false => {
            let all: HashMap<String, String> = all.collect();
            let chosen = query.select.iter().map(|(column, _)| column);
            chosen.filter_map(|c| Some((c.clone(), all.get(c)?.clone()))).collect()
        }
    };
    let filter = query.filter.as_ref().map(fingerprint).unwrap_or_default();
    let event = AuditEvent {
        columns: columns.iter().map(|(c, _)| c.as_str()).collect::<Vec<_>>().join(","),
        level: grant.grade().as_str().to_owned(),
        // How many rows and bytes truly leave is told by the record of the stream's end (`audit::Tally`).
        scope: [known.map(|v| format!("version {v}")).unwrap_or_default(), filter]
            .join(" ")
            .trim()
            .to_owned(),
        purpose: grant.purpose().to_owned(),
        masks: grant.masks_text(),
        ..audit::event(op, action, &entry.draft.code)
    };
    audit::record(app, event).await?;
    let org = app.store.org_get(&entry.draft.org).await?;
    let regions = app.store.regions_list().await?;
    Ok(Download { dataset: view(entry, org.as_ref(), regions.iter()), columns, rows })
}

/// An open entry by code. What is not open does not exist for this site.
async fn open_entry(app: &App, code: &str) -> Result<Entry> {
    let entry = app.store.entry_get(code).await?;
    entry.filter(|e| e.draft.code == code && e.open()).ok_or_else(|| {
        let shown: String = code.chars().take(80).collect();
        Error::not_found("数据集", "data set", &shown)
    })
}

/// A grant as open data, within what bounds calls of the entry, by whichever page they are made. Its existence is public, so that a
/// refusal may say why; it is recorded.
async fn grant(app: &App, op: &Op, entry: &Entry, action: Action, row_cap: u64) -> Result<Grant> {
    app.halts.look(app).await?;
    let refusal = if entry.freely_open() {
        match app.policy.grant(op, &GrantAsk { action, entry, via: Via::Open, row_cap }) {
            Ok(grant) => {
                let bound = bounds::of(app, "", "", entry).await?;
                match bound.map_or(Ok(()), |bound| bound.admit(op, action).map(drop)) {
                    Ok(()) => return Ok(grant),
                    Err(e) => e,
                }
            }
            Err(e) => e,
        }
    } else {
        restricted_only()
    };
    audit::refused(app, op, action.as_str(), &entry.draft.code, &refusal).await?;
    Err(refusal)
}

/// That a data set is open under conditions: it is applied for first.
#[must_use]
pub fn restricted_only() -> Error {
    Error::new(
        Code::NoGrant,
        "该数据集受限开放，须申请并经审核后使用",
        "this data set is open under conditions: apply for it first",
    )
    .with_reasons(vec!["open.restricted".into()])
}

fn view<'a>(
    mut entry: Entry,
    org: Option<&Org>,
    mut regions: impl Iterator<Item = &'a Region>,
) -> Dataset {
    entry.draft.items.retain(|i| i.open_type != OpenType::None);
    publicly(&mut entry);
    let region = regions.find(|r| r.code == entry.draft.region);
    Dataset {
        free: entry.freely_open(),
        geometry: geometry(&entry.draft.items),
        org_name: org.map_or_else(|| entry.draft.org.clone(), |o| o.name_cn.clone()),
        org_name_en: org.map_or_else(|| entry.draft.org.clone(), |o| o.name_en.clone()),
        region_name: region.map_or_else(|| entry.draft.region.clone(), |r| r.name_cn.clone()),
        region_name_en: region.map_or_else(|| entry.draft.region.clone(), |r| r.name_en.clone()),
        entry,
    }
}

/// Takes out what is not the public's business: who compiled it, links of what is open under conditions (they would hand it out beside
/// those), and links that lead to no address of the web.
fn publicly(entry: &mut Entry) {
    entry.created_by = String::new();
    let free = entry.freely_open();
    entry.draft.profile.links.retain(|link| free && link.host().is_some());
}

/// Names by which tables tell a longitude and a latitude (pinyin initials 经度 jd, 纬度 wd included).
const POINTS: &[(&str, &str)] = &[
    ("longitude", "latitude"),
    ("lng", "lat"),
    ("lon", "lat"),
    ("long", "lat"),
    ("jd", "wd"),
    ("jingdu", "weidu"),
    ("x_jd", "y_wd"),
    ("lgtd", "lttd"),
];

/// How the places of a data set are told, by its items that may be shown to anyone.
pub(crate) fn geometry(items: &[Item]) -> Option<Geometry> {
    let free = || items.iter().filter(|i| i.open_type == OpenType::Unconditional);
    if let Some(item) = free().find(|i| i.data_type == DataType::Geometry) {
        return Some(Geometry::Item(item.identifier.clone()));
    }
    let number =
        |i: &&Item| matches!(i.data_type, DataType::Decimal | DataType::Float | DataType::Integer);
    let named = |name: &str| free().filter(number).find(|i| i.identifier == name);
    let called = |name: &str| free().filter(number).find(|i| i.name_cn.ends_with(name));
    let pair = POINTS
        .iter()
        .find_map(|(lng, lat)| Some((named(lng)?, named(lat)?)))
        .or_else(|| Some((called("经度")?, called("纬度")?)))?;
    Some(Geometry::Point {
        longitude: pair.0.identifier.clone(),
        latitude: pair.1.identifier.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_by_type_or_by_name_of_open_items() {
        let item = |name: &str, cn: &str, t| Item::new(name, cn, t);
        let point =
            |a: &str, b: &str| Some(Geometry::Point { longitude: a.into(), latitude: b.into() });
        let jd = item("jd", "经度", DataType::Decimal);
        let wd = item("wd", "纬度", DataType::Decimal);
        assert_eq!(geometry(&[wd.clone(), jd.clone()]), point("jd", "wd"));
        let shape = item("geom", "范围", DataType::Geometry);
        assert_eq!(geometry(&[jd.clone(), wd.clone(), shape]), Some(Geometry::Item("geom".into())));
        let (a, b) =
            (item("a", "中心经度", DataType::Float), item("b", "中心纬度", DataType::Float));
        assert_eq!(geometry(&[a, b]), point("a", "b"));
        let mut hidden = wd;
        hidden.open_type = OpenType::None;
        assert_eq!(geometry(&[jd, hidden]), None);
        assert_eq!(geometry(&[item("lng", "x", DataType::Text)]), None);
    }

    #[test]
    fn the_audience_follows_the_caller() {
        let op =
            |actor| Op::new(actor, "r".into(), "-".into(), "2026-03-02T01:00:00Z".parse().unwrap());
        let user = |roles| Actor::User {
            id: "u".into(),
            name: "u".into(),
            org: Some("o".into()),
            region: None,
            roles,
        };
        assert_eq!(audience(&op(Actor::Nobody)), ["public"]);
        assert_eq!(audience(&op(user(vec![Role::Citizen]))), ["public"]);
        assert_eq!(audience(&op(user(vec![Role::Provider]))), ["public", "staff", "org:o"]);
    }
}
