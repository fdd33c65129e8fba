//! `/data.json`: the whole open catalogue in the form of Project Open Data (DCAT-US 1.1), written as it is read.

use std::sync::Arc;

use app::opening::{self, Head};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, StreamExt as _};
use model::code::UpdateCycle;
use model::entry::Entry;
use model::harvest::{Distribution, HarvestOrigin};
use model::{Error, Op, Result};
use serde_json::{Map, Value, json};

use crate::Door;
use crate::answer::Refusal;
use crate::caller::anybody;

/// Data sets read at once.
const PAGE: usize = 500;

pub(super) async fn whole(State(door): State<Door>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let op = match anybody(&parts, &door).await {
        Ok(op) => op,
        Err(refusal) => return refusal.into_response(),
    };
    let listing = match opening::listing(&door.app, &op).await {
        Ok(listing) => listing,
        Err(e) => return Refusal::new(e, &op).into_response(),
    };
    let base = door.config.public_url.clone();
    let head = format!(
        "{{\"@context\":\"https://project-open-data.cio.gov/v1.1/schema/catalog.jsonld\",\"@id\":{},\
         \"@type\":\"dcat:Catalog\",\"conformsTo\":\"https://project-open-data.cio.gov/v1.1/schema\",\
         \"describedBy\":\"https://project-open-data.cio.gov/v1.1/schema/catalog.json\",\"dataset\":[",
        Value::String(format!("{base}/data.json"))
    );
    let pages = stream::unfold(0_usize, move |at| {
        let (door, op, listing, base) =
            (door.clone(), op.clone(), Arc::clone(&listing), base.clone());
        async move {
            let sets = listing.sets.get(at..)?;
            let ids: Vec<String> = sets.iter().take(PAGE).map(|set| set.id.clone()).collect();
            if ids.is_empty() {
                return None;
            }
            let next = at + ids.len();
            let piece = piece(&door, &op, (&ids, at == 0), &base).await;
            // After a failure the file breaks off: a part is never taken for the whole.
            let next = if piece.is_ok() { next } else { usize::MAX };
            Some((piece, next))
        }
    });
    let first: [Result<Vec<u8>, Error>; 1] = [Ok(head.into_bytes())];
    let last: [Result<Vec<u8>, Error>; 1] = [Ok(b"\n]}\n".to_vec())];
    let mut broken = false;
    let body =
        stream::iter(first).chain(pages).chain(stream::iter(last)).take_while(move |piece| {
            let go_on = !broken;
            broken = broken || piece.is_err();
            std::future::ready(go_on)
        });
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (kind, Body::from_stream(body)).into_response()
}

/// Some data sets as they stand in the list, the first of all (`begins`) or others.
async fn piece(
    door: &Door,
    op: &Op,
    (ids, begins): (&[String], bool),
    base: &str,
) -> Result<Vec<u8>> {
    let heads = opening::heads(&door.app, op, ids).await?;
    let codes: Vec<&str> = heads.iter().map(|h| h.entry.draft.code.as_str()).collect();
    let origins = app::harvest::origins(&door.app, &codes).await?;
    let mut text = String::new();
    for head in &heads {
        text.push_str(if text.is_empty() && begins { "\n" } else { ",\n" });
        let origin = origins.get(&head.entry.draft.code);
        text.push_str(&dataset(head, origin, base).to_string());
    }
    Ok(text.into_bytes())
}

fn dataset(head: &Head, origin: Option<&HarvestOrigin>, base: &str) -> Value {
    let (entry, d) = (&head.entry, &head.entry.draft);
    let org = head.org.as_ref().map_or(d.org.as_str(), |o| o.name_cn.as_str());
    // What another catalogue brought is published by whoever publishes it there.
    let publisher = origin.map_or(org, HarvestOrigin::publisher);
    let references = origin.and_then(HarvestOrigin::page).map(|(url, _)| [url]);
    let mut told = Map::new();
    told.insert("@type".into(), "dcat:Dataset".into());
    let mut keywords = d.tags.clone();
    keywords.push(d.domain.zh().to_owned());
    for (key, value) in [
        ("identifier", json!(d.code)),
        ("title", json!(d.title)),
        ("description", json!(d.description)),
        ("keyword", json!(keywords)),
        ("modified", json!(entry.data_at.as_ref().unwrap_or(&entry.updated_at))),
        ("issued", json!(entry.published_at)),
        ("publisher", json!({ "@type": "org:Organization", "name": publisher })),
        ("contactPoint", json!({ "@type": "vcard:Contact", "fn": org })),
        ("accessLevel", json!(if head.free() { "public" } else { "restricted public" })),
        ("license", json!(d.licence)),
        ("rights", json!(d.open_condition)),
        ("spatial", json!(head.region.as_ref().map(|r| &r.name_cn))),
        ("temporal", json!(d.time_range)),
        ("accrualPeriodicity", json!(period(d.update_cycle))),
        ("language", json!(["zh-CN"])),
        ("theme", json!([d.domain.zh()])),
        ("landingPage", json!(format!("{base}/dataset/{}", d.code))),
        ("references", json!(references)),
    ] {
        if !value.is_null() && value != "" {
            told.insert(key.into(), value);
        }
    }
    let mut ways: Vec<Value> = match origin {
        Some(origin) => origin.ways().map(|(way, _)| elsewhere(way, "downloadURL")).collect(),
        None if head.free() && !entry.linked_only() => own(entry, base),
        None => Vec::new(),
    };
    ways.extend(d.profile.ways().map(|(way, _)| {
        let reached = if way.is_file() { "downloadURL" } else { "accessURL" };
        elsewhere(&way, reached)
    }));
    if origin.is_some() || !ways.is_empty() {
        told.insert("distribution".into(), Value::Array(ways));
    }
    Value::Object(told)
}

/// The ways by which the platform hands out a set of its own.
fn own(entry: &Entry, base: &str) -> Vec<Value> {
    let code = &entry.draft.code;
    let dump = format!("{base}/datastore/dump/{}-csv", entry.id);
    vec![
        json!({
            "@type": "dcat:Distribution", "title": "CSV", "format": "CSV", "mediaType": "text/csv",
            "downloadURL": format!("{dump}?format=csv"),
            "describedBy": format!("{base}/dataset/{code}/schema.json"), "describedByType": "application/json",
        }),
        json!({
            "@type": "dcat:Distribution", "title": "API", "format": "API",
            "accessURL": format!("{base}/api/v1/{code}"),
        }),
    ]
}

/// A way to data that are not here: that another catalogue has, or that a declaration links to. What is not told is left out.
fn elsewhere(way: &Distribution, reached: &str) -> Value {
    let mut told = Map::new();
    told.insert("@type".into(), "dcat:Distribution".into());
    for (key, value) in [
        ("title", way.title.as_str()),
        ("format", way.word()),
        ("mediaType", way.media_type()),
        (reached, &way.url),
    ] {
        if !value.is_empty() {
            told.insert(key.into(), value.into());
        }
    }
    Value::Object(told)
}

/// ISO 8601 repeating durations, as the form wants them.
fn period(cycle: UpdateCycle) -> Option<&'static str> {
    Some(match cycle {
        UpdateCycle::RealTime => "R/PT1S",
        UpdateCycle::Daily => "R/P1D",
        UpdateCycle::Weekly => "R/P1W",
        UpdateCycle::Monthly => "R/P1M",
        UpdateCycle::Quarterly => "R/P3M",
        UpdateCycle::HalfYearly => "R/P6M",
        UpdateCycle::Yearly => "R/P1Y",
        UpdateCycle::Irregular => "irregular",
        UpdateCycle::Never | UpdateCycle::Other => return None,
    })
}
