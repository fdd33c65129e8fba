//! The data-set page: metadata, data items, preview of rows, downloads, map, how it stands and is used, how it is cited,
//! related sets.

use std::sync::Arc;

use app::catalogue::Landed;
use app::opening::{Dataset, Standing};
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use minijinja::{Value, context};
use model::Code;
use model::account::Role;
use model::entry::EntryDraft;
use model::harvest::HarvestOrigin;
use model::query::RowPage;
use model::search::SearchQuery;

use crate::export::known::Known;
use crate::export::xlsx;
use crate::site::{download, facets, metadata, opinion, plans};
use crate::view::{civil, value};
use crate::visit::{Lang, Visit, encode};
use crate::{Answer, Door, rows};

/// Rows of one preview page, and the most a visitor may ask for.
const PREVIEW_ROWS: u64 = 20;
const PREVIEW_MOST: u64 = 100;

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new().route("/data/{code}", get(page))
}

async fn page(State(door): State<Arc<Door>>, Path(code): Path<String>, visit: Visit) -> Answer {
    let dataset = match app::opening::dataset(&door.app, &visit.op, &code).await {
        Ok(dataset) => dataset,
        Err(error) if error.code() == Code::NotFound => {
            // What was open and was withdrawn says so; everything else is not there.
            return match plans::withdrawn(&door, &visit, &code).await {
                Some(answer) => answer,
                None => Err(error.into()),
            };
        }
        Err(error) => return Err(error.into()),
    };
    let draft = &dataset.entry.draft;
    let (preview, trouble) = match preview(&door, &visit, &dataset).await {
        Ok(preview) => (preview, None),
        // A wrong filter must not hide the metadata: the reason stands above the table.
        Err(error) => {
            tracing::debug!(error = error.operator_text(), "no preview");
            (None, Some(visit.t(error.zh(), error.en()).to_owned()))
        }
    };
    let related = related(&door, &visit, &dataset).await;
    let landed = landed(&door, &visit, &dataset).await;
    let standing = app::opening::standing(&door.app, &visit.op, &dataset).await?;
    let (filled, by_item) = filled(&standing);
    let (quality, quality_parts) = quality(&door, &dataset, &standing);
    let voice = opinion::of(&door, &visit, &dataset).await;
    let follows = opinion::follows(&door, &visit, &dataset).await;
    let origin = app::harvest::origin(&door.app, draft.code.as_str()).await?;
    let known = known(&door, &visit, &dataset).await;
    let context = context! {
        dataset => value(&dataset),
        entry => value(&dataset.entry),
        items => value(&draft.items),
        formats => formats(&dataset), files => files(&known),
        preview => preview.map(|page| table(&visit, &dataset, &page)),
        trouble, related, voice, follows, landed => value(&landed), origin => origin.as_ref().map(told),
        jsonld => metadata::json_ld(&door, &visit, &dataset, origin.as_ref(), &known),
        canonical => format!("{}/data/{}", visit.base, encode(&code)),
        many_sheets => dataset.free && dataset.entry.rows > i64::from(xlsx::MOST_ROWS),
        filter => context! { col => visit.q("col"), op => visit.q("op"), val => visit.q("val"), to => visit.q("to") },
        elsewhere => links(draft),
        standing => value(&standing), filled, by_item, quality, quality_parts,
        licence => value(&door.app.rules.site.licence),
        cite => cite(&door, &visit, &dataset, landed.last().map(|l| l.version)),
        order => visit.q("order"),
        applies_inside => visit.op.actor.has(Role::Consumer),
        may_basket => app::basket::may_file(&door.app, &visit.op),
    };
    door.page(&visit, "site/dataset.html", context).await
}

/// Where a set comes from, with the ways to its data there: links of the web alone, each with the host it leads to.
pub(crate) fn told(origin: &HarvestOrigin) -> Value {
    let ways = origin.ways().map(|(way, host)| {
        context! {
            title => way.title.as_str(), url => way.url.as_str(), host, format => way.word(), bytes => way.bytes,
        }
    });
    context! {
        source_name => origin.source_name.as_str(), foreign_id => origin.foreign_id.as_str(),
        publisher => origin.publisher(), licence => origin.record.licence.as_str(),
        modified => origin.record.modified.as_str(), last_seen => origin.last_seen.as_str(),
        page => origin.page().map(|(url, host)| context! { url, host }),
        ways => ways.collect::<Vec<_>>(),
    }
}

/// Where else the department says that the data are had: links of the web alone, each with the host it leads to.
pub(crate) fn links(draft: &EntryDraft) -> Vec<Value> {
    let links = draft.profile.links.iter().filter_map(|link| Some((link, link.host()?)));
    links
        .map(|(link, host)| {
            context! {
                title => link.title.as_str(), url => link.url.as_str(), format => link.format.as_str(), host,
            }
        })
        .collect()
}

async fn preview(door: &Door, visit: &Visit, dataset: &Dataset) -> model::Result<Option<RowPage>> {
    if !dataset.free || dataset.entry.data_at.is_none() {
        return Ok(None);
    }
    let query = rows::query(visit, &dataset.entry.draft, PREVIEW_ROWS, PREVIEW_MOST)?;
    match app::opening::preview(&door.app, &visit.op, &dataset.entry.draft.code, &query).await {
        Ok(page) => Ok(Some(page)),
        Err(error) if error.code() == Code::NoGrant => Ok(None),
        Err(error) => Err(error),
    }
}

/// Formats a data set can be downloaded in here.
pub(super) fn formats(dataset: &Dataset) -> Vec<&'static str> {
    if !dataset.free || dataset.entry.linked_only() {
        return Vec::new();
    }
    let mut all = vec!["csv", "json", "xlsx", "xml", "rdf"];
    if dataset.geometry.is_some() {
        all.push("geojson");
    }
    if dataset.entry.data_at.is_some() {
        all.push("parquet");
    }
    all
}

/// Sizes and checksums of the downloads, by format, as far as they are known; without them the page stands all the same.
async fn known(door: &Door, visit: &Visit, dataset: &Dataset) -> Vec<(&'static str, Known)> {
    let known = download::sums_known(door, visit, dataset, &formats(dataset)).await;
    known.unwrap_or_else(|error| {
        tracing::warn!(error = error.operator_text(), "checksums could not be looked up");
        Vec::new()
    })
}

/// The same for the page.
fn files(known: &[(&'static str, Known)]) -> Vec<Value> {
    known
        .iter()
        .map(|(format, known)| context! { format => *format, known => value(known) })
        .collect()
}

/// The preview as a table with sort links and the link to the next page.
fn table(visit: &Visit, dataset: &Dataset, page: &RowPage) -> Value {
    let draft = &dataset.entry.draft;
    let order = visit.q("order").unwrap_or_default();
    let columns: Vec<Value> = page
        .columns
        .iter()
        .map(|column| {
            let item = draft.item(column);
            let name = item.map_or(column.as_str(), |i| {
                visit.t(&i.name_cn, if i.name_en.is_empty() { &i.name_cn } else { &i.name_en })
            });
            let now = match order.strip_prefix(column.as_str()) {
                Some(".asc") => "ascending",
                Some(".desc") => "descending",
                _ => "none",
            };
            let next = if now == "ascending" { "desc" } else { "asc" };
            context! {
                identifier => column, name, sort => now,
                number => item.is_some_and(|i| {
                    use model::code::DataType::{Decimal, Float, Integer};
                    matches!(i.data_type, Integer | Decimal | Float)
                }),
                href => with(visit, &[("order", &format!("{column}.{next}"))]),
            }
        })
        .collect();
    let rows: Vec<Vec<Option<String>>> = page
        .rows
        .iter()
        .map(|row| row.iter().map(model::value::Value::to_text).collect())
        .collect();
    context! {
        columns, rows, total => page.total,
        first => visit.q("after").map(|_| with(visit, &[])),
        next => page.next.as_deref().map(|after| with(visit, &[("after", after)])),
    }
}

/// This page with preview parameters changed; a changed order starts from the first row.
fn with(visit: &Visit, changes: &[(&str, &str)]) -> String {
    let changed: Vec<&str> =
        changes.iter().map(|(name, _)| *name).chain(std::iter::once("after")).collect();
    let mut parts = visit.asked_but(&changed);
    parts.extend(changes.iter().map(|(k, v)| format!("{k}={}", encode(v))));
    let path = visit.uri.path();
    if parts.is_empty() {
        format!("{path}#preview")
    } else {
        format!("{path}?{}#preview", parts.join("&"))
    }
}

/// Percent of cells that hold something, in all and by item, as last measured.
fn filled(standing: &Standing) -> (Option<String>, Vec<Value>) {
    let Some(measured) = &standing.measured else { return (None, Vec::new()) };
    let percent = |part: i64, all: i64| match all {
        0 => "100.0".to_owned(),
        all => format!("{:.1}", part as f64 * 100.0 / all as f64),
    };
    let items = measured
        .items
        .iter()
        .map(|(name, n)| context! { identifier => name, percent => percent(*n, measured.rows) })
        .collect();
    (Some(percent(measured.cells - measured.missing, measured.cells)), items)
}

/// The quality of a set from 0 to 100 and the parts it is the mean of, as far as each is known: cells that hold something, rows of the
/// last collection that were accepted, data within their cycle, points of metadata.
fn quality(door: &Door, dataset: &Dataset, standing: &Standing) -> (String, Vec<Value>) {
    use app::opening::metadata::{MOST, points};
    let share = |part: f64, all: f64| if all > 0.0 { part * 100.0 / all } else { 100.0 };
    let filled =
        standing.measured.as_ref().map(|m| share((m.cells - m.missing) as f64, m.cells as f64));
    let accepted =
        (standing.read > 0).then(|| share(standing.accepted as f64, standing.read as f64));
    let fresh = standing.fresh_until.as_ref().map(|_| if standing.stale { 0.0 } else { 100.0 });
    let told = points(&dataset.entry, &door.app.rules.site.licence.name_zh);
    let described = Some(share(f64::from(told), f64::from(MOST)));
    let parts =
        [("filled", filled), ("accepted", accepted), ("fresh", fresh), ("described", described)];
    let known: Vec<(&str, f64)> =
        parts.into_iter().filter_map(|(word, score)| Some((word, score?))).collect();
    let mean = known.iter().map(|(_, score)| score).sum::<f64>() / known.len().max(1) as f64;
    let parts = known.into_iter().map(|(word, score)| {
        context! { word, score => format!("{score:.1}") }
    });
    (format!("{mean:.1}"), parts.collect())
}

/// How the set is cited: as GB/T 7714 writes it, and for BibTeX.
fn cite(door: &Door, visit: &Visit, dataset: &Dataset, version: Option<i64>) -> Value {
    let draft = &dataset.entry.draft;
    let title = visit
        .t(&draft.title, if draft.title_en.is_empty() { &draft.title } else { &draft.title_en });
    let org = visit.t(
        &dataset.org_name,
        if dataset.org_name_en.is_empty() { &dataset.org_name } else { &dataset.org_name_en },
    );
    let site = visit.t(&door.config.site_name_cn, &door.config.site_name_en);
    let url = format!("{}/data/{}", visit.base, encode(&draft.code));
    let told = dataset.entry.data_at.as_deref().or(dataset.entry.published_at.as_deref());
    // The day here, as the page tells it.
    let day = civil(told, "%Y-%m-%d");
    let version = version.map_or_else(String::new, |v| match visit.lang {
        Lang::Zh => format!("版本 {v}. "),
        Lang::En => format!("Version {v}. "),
    });
    let today = visit.op.today();
    let plain = |text: &str| text.replace(['{', '}', '\\'], "");
    let bibtex = format!(
        "@misc{{{},\n  author = {{{{{}}}}},\n  title = {{{{{}}}}},\n  publisher = {{{{{}}}}},\n  year = {{{}}},\n  note = {{{}Accessed {today}}},\n  url = {{{url}}}\n}}",
        draft.code,
        plain(org),
        plain(title),
        plain(site),
        day.get(..4).unwrap_or_default(),
        plain(&version),
    );
    context! { text => format!("{org}. {title}[DS/OL]. {site}. {version}({day})[{today}]. {url}"), bibtex }
}

/// What the latest landings brought, for the chart; without them the page stands all the same.
async fn landed(door: &Door, visit: &Visit, dataset: &Dataset) -> Vec<Landed> {
    if !dataset.free || dataset.entry.data_at.is_none() {
        return Vec::new();
    }
    let found =
        app::catalogue::history(&door.app, &visit.public_op(), &dataset.entry.draft.code).await;
    found.unwrap_or_else(|error| {
        tracing::warn!(error = error.operator_text(), "the history could not be read");
        Vec::new()
    })
}

/// Other open sets of the same domain.
async fn related(door: &Door, visit: &Visit, dataset: &Dataset) -> Vec<Value> {
    let mut filters = facets::open_only();
    filters.push(("domain".into(), dataset.entry.draft.domain.as_str().into()));
    let query = SearchQuery {
        filters,
        facets: Some(Vec::new()),
        sort: "data_at".into(),
        limit: 6,
        ..SearchQuery::default()
    };
    match app::opening::search(&door.app, &visit.public_op(), query).await {
        Ok(found) => found
            .hits
            .into_iter()
            .filter(|hit| hit.doc.code != dataset.entry.draft.code)
            .take(5)
            .map(|hit| value(hit.doc))
            .collect(),
        Err(error) => {
            tracing::warn!(error = error.operator_text(), "related data sets could not be found");
            Vec::new()
        }
    }
}
