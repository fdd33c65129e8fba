//! DCAT: the whole catalogue page by page with Hydra's links, and one data set by what `Accept` asks for.

use app::ledger::dump::{
    Dcat, Distribution, Format, Paged, Places, RdfFormat, Thing, Whole, of_dataset, of_links,
    of_origin,
};
use app::opening::{self, Dataset};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use model::harvest::HarvestOrigin;
use model::{Code, Error, Op, Result};

use crate::Door;
use crate::answer::{self, Refusal};
use crate::caller::anybody;

/// Data sets of a page.
const PAGE: usize = 100;

pub(super) async fn turtle(state: State<Door>, request: Request) -> Response {
    page(state, request, RdfFormat::Turtle).await
}

pub(super) async fn json_ld(state: State<Door>, request: Request) -> Response {
    page(state, request, RdfFormat::JsonLd).await
}

pub(super) async fn xml(state: State<Door>, request: Request) -> Response {
    page(state, request, RdfFormat::RdfXml).await
}

async fn page(State(door): State<Door>, request: Request, format: RdfFormat) -> Response {
    let (parts, _) = request.into_parts();
    let op = match anybody(&parts, &door).await {
        Ok(op) => op,
        Err(refusal) => return refusal.into_response(),
    };
    let query = parts.uri.query().unwrap_or_default();
    let answered = match written(&door, &op, query, format).await {
        Ok(bytes) => file(format, bytes),
        Err(e) => Refusal::new(e, &op).into_response(),
    };
    answer::told_by(answered, &op)
}

fn file(format: RdfFormat, bytes: Vec<u8>) -> Response {
    let kind = HeaderValue::from_static(format.media_type());
    ([(header::CONTENT_TYPE, kind), (header::VARY, HeaderValue::from_static("accept"))], bytes)
        .into_response()
}

async fn written(door: &Door, op: &Op, query: &str, format: RdfFormat) -> Result<Vec<u8>> {
    let mut number = 1_usize;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if name == "page" {
            number = value.parse().ok().filter(|n| *n > 0).ok_or_else(|| {
                Error::new(
                    Code::InvalidQuery,
                    "page 应为正整数",
                    "`page` must be a whole number, one or more",
                )
            })?;
        }
    }
    let listing = opening::listing(&door.app, op).await?;
    let pages = listing.sets.len().div_ceil(PAGE).max(1);
    if number > pages {
        return Err(Error::not_found("目录页", "page of the catalogue", &number.to_string()));
    }
    let start = number.saturating_sub(1).saturating_mul(PAGE);
    let some = listing.sets.iter().skip(start).take(PAGE);
    let ids: Vec<String> = some.map(|set| set.id.clone()).collect();
    let sets = opening::sets(&door.app, op, &ids).await?;
    let base = &door.config.public_url;
    let at = |n: usize| format!("{base}/catalog.{}?page={n}", format.ending());
    let places = places(base);
    let mut dcat = Dcat::new(format, places.whole.clone())?;
    dcat.page(&Paged {
        here: at(number),
        first: at(1),
        last: at(pages),
        previous: number.checked_sub(1).filter(|n| *n > 0).map(at),
        next: (number < pages).then(|| at(number + 1)),
        total: listing.sets.len() as u64,
        per_page: PAGE as u64,
    })?;
    let codes: Vec<&str> = sets.iter().map(|s| s.entry.draft.code.as_str()).collect();
    let origins = app::harvest::origins(&door.app, &codes).await?;
    for set in &sets {
        let origin = origins.get(&set.entry.draft.code);
        dcat.thing(&thing(set, &places, base, origin))?;
    }
    dcat.finish()
}

/// One data set in the spelling that is asked for.
pub(super) async fn one(
    State(door): State<Door>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let op = match anybody(&parts, &door).await {
        Ok(op) => op,
        Err(refusal) => return refusal.into_response(),
    };
    let accept = parts.headers.get(header::ACCEPT).and_then(|v| v.to_str().ok());
    let query = parts.uri.query().unwrap_or_default();
    let named = form_urlencoded::parse(query.as_bytes()).find(|(n, _)| n == "format");
    let described = async {
        let dataset = opening::found(&door.app, &op, &id).await?;
        let Format::Rdf(format) = Format::chosen(named.as_ref().map(|(_, v)| v.as_ref()), accept)?
        else {
            return Err(Error::of(Code::UnsupportedFormat));
        };
        alone(&door, &dataset, format).await.map(|bytes| file(format, bytes))
    };
    let answered = match described.await {
        Ok(response) => response,
        Err(e) => Refusal::new(e, &op).into_response(),
    };
    answer::told_by(answered, &op)
}

/// A data set by itself.
pub(crate) async fn alone(door: &Door, dataset: &Dataset, format: RdfFormat) -> Result<Vec<u8>> {
    let base = &door.config.public_url;
    let places = places(base);
    let origin = app::harvest::origin(&door.app, &dataset.entry.draft.code).await?;
    let mut dcat = Dcat::alone(format, places.whole.clone())?;
    dcat.thing(&thing(dataset, &places, base, origin.as_ref()))?;
    dcat.finish()
}

fn places(base: &str) -> Places {
    Places {
        whole: Whole {
            base: format!("{base}/"),
            title: "钱塘公共数据平台开放目录".into(),
            title_en: "Qiantang Public Data, open catalogue".into(),
        },
        data: format!("{base}/dataset/"),
        api: format!("{base}/api/v1/"),
        console: String::new(),
        items: true,
    }
}

/// What another catalogue brought has its rows there, by the ways that catalogue tells; links of the declaration come last.
fn thing(dataset: &Dataset, places: &Places, base: &str, origin: Option<&HarvestOrigin>) -> Thing {
    let mut thing = of_dataset(dataset, places);
    if let Some(origin) = origin {
        thing = of_origin(thing, origin);
    } else if dataset.free && !dataset.entry.linked_only() {
        let dump = format!("{base}/datastore/dump/{}-csv", dataset.entry.id);
        for (word, media) in [("csv", "text/csv"), ("json", "application/json")] {
            thing.distributions.push(Distribution {
                word: word.into(),
                url: format!("{dump}?format={word}"),
                media_type: media.into(),
                download: true,
                ..Distribution::default()
            });
        }
    }
    of_links(thing, dataset)
}
