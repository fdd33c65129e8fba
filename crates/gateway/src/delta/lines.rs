//! How answers are spelled: lines of JSON, in one of the two forms that clients ask for by `delta-sharing-capabilities`.

use app::delta::{Answer, Change, File};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use model::{Code, Error, Result};
use serde_json::{Map, Value, json};

const CAPABILITIES: HeaderName = HeaderName::from_static("delta-sharing-capabilities");
const VERSION: HeaderName = HeaderName::from_static("delta-table-version");

/// What a client can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Format {
    /// As Delta's own log spells it; otherwise the protocol's first form (`parquet`), which every client reads.
    pub(super) delta: bool,
    /// A last line is wanted that says until when addresses are good.
    pub(super) end: bool,
}

impl Format {
    /// `responseformat=delta,parquet;readerfeatures=…;includeendstreamaction=true`; what is not known is passed over.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self> {
        let text = headers.get(&CAPABILITIES).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let text = text.to_ascii_lowercase();
        let value = |name: &str| {
            let found = text.split(';').filter_map(|part| part.split_once('='));
            found.filter(|(n, _)| n.trim() == name).map(|(_, v)| v.trim()).next()
        };
        let formats: Vec<&str> =
            value("responseformat").unwrap_or("parquet").split(',').map(str::trim).collect();
        let (parquet, delta) = (formats.contains(&"parquet"), formats.contains(&"delta"));
        if !parquet && !delta {
            return Err(Error::new(
                Code::NotAcceptable,
                "responseformat 只支持 parquet 与 delta",
                "responseformat is parquet or delta",
            ));
        }
        Ok(Self { delta: !parquet, end: value("includeendstreamaction") == Some("true") })
    }

    fn header(self) -> HeaderValue {
        match (self.delta, self.end) {
            (false, false) => HeaderValue::from_static("responseformat=parquet"),
            (true, false) => HeaderValue::from_static("responseformat=delta"),
            (false, true) => {
                HeaderValue::from_static("responseformat=parquet;includeendstreamaction=true")
            }
            (true, true) => {
                HeaderValue::from_static("responseformat=delta;includeendstreamaction=true")
            }
        }
    }
}

/// An answer that says a version and nothing else.
pub(super) fn version(version: i64) -> Response {
    let mut response = Response::new(Body::empty());
    response.headers_mut().insert(VERSION, HeaderValue::from(version));
    response
}

/// Protocol and columns.
pub(super) fn metadata(answer: &Answer<File>, format: &Format) -> Result<Response> {
    respond(answer.version, format, head(answer, format, false))
}

/// Protocol, columns, and the files of a version.
pub(super) fn files(
    answer: &Answer<File>,
    format: &Format,
    base: &str,
    refresh: bool,
) -> Result<Response> {
    let mut lines = head(answer, format, false);
    let file = |file: &File| match format.delta {
        true => json!({ "file": single(file, "add", answer.until, base) }),
        false => json!({ "file": plain(file, answer.until, base) }),
    };
    lines.extend(answer.files.iter().map(file));
    if format.end {
        let mut end = json!({ "minUrlExpirationTimestamp": answer.until });
        if let (true, Some(end)) = (refresh, end.as_object_mut()) {
            end.insert("refreshToken".to_owned(), Value::from(answer.refresh.as_str()));
        }
        lines.push(json!({ "endStreamAction": end }));
    }
    respond(answer.version, format, lines)
}

/// Protocol, columns, and the files of what changed.
pub(super) fn changes(answer: &Answer<Change>, format: &Format, base: &str) -> Result<Response> {
    let mut lines = head(answer, format, true);
    lines.extend(answer.files.iter().map(|change| match (format.delta, change.added) {
        (true, added) => {
            let word = if added { "add" } else { "cdc" };
            json!({ "file": single(&change.file, word, answer.until, base) })
        }
        (false, true) => json!({ "add": plain(&change.file, answer.until, base) }),
        (false, false) => json!({ "cdf": plain(&change.file, answer.until, base) }),
    }));
    if format.end {
        lines.push(json!({ "endStreamAction": { "minUrlExpirationTimestamp": answer.until } }));
    }
    respond(answer.version, format, lines)
}

fn head<T>(answer: &Answer<T>, format: &Format, feed: bool) -> Vec<Value> {
    let fields: Vec<Value> = answer
        .columns
        .iter()
        .map(|c| {
            // The protocol's first form knows one kind of time, without a zone.
            let kind = match c.kind.as_str() {
                "timestamp_ntz" if !format.delta => "timestamp",
                kind => kind,
            };
            json!({
                "name": c.name, "type": kind, "nullable": true,
                "metadata": { "comment": c.title },
            })
        })
        .collect();
    let schema = json!({ "type": "struct", "fields": fields }).to_string();
    let mut table = json!({
        "id": answer.table.id, "name": answer.table.name, "description": answer.table.title,
        "format": { "provider": "parquet", "options": {} }, "schemaString": schema,
        "partitionColumns": [],
    });
    let mut around = Map::new();
    if answer.all_files > 0 {
        around.insert("version".to_owned(), Value::from(answer.version));
        around.insert("size".to_owned(), Value::from(answer.bytes));
        around.insert("numFiles".to_owned(), Value::from(answer.all_files));
    }
    let configuration = match (format.delta, feed) {
        (true, _) => json!({ "delta.enableChangeDataFeed": "true" }),
        (false, true) => json!({ "enableChangeDataFeed": "true" }),
        (false, false) => json!({}),
    };
    if let Some(table) = table.as_object_mut() {
        table.insert("configuration".to_owned(), configuration);
    }
    if !format.delta {
        if let Some(table) = table.as_object_mut() {
            table.extend(around);
        }
        return vec![
            json!({ "protocol": { "minReaderVersion": 1 } }),
            json!({ "metaData": table }),
        ];
    }
    let times = answer.columns.iter().any(|c| c.kind == "timestamp_ntz");
    let protocol = match times {
        true => json!({
            "minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["timestampNtz"],
            "writerFeatures": ["timestampNtz", "changeDataFeed"],
        }),
        false => json!({ "minReaderVersion": 1, "minWriterVersion": 4 }),
    };
    around.insert("deltaMetadata".to_owned(), table);
    vec![json!({ "protocol": { "deltaProtocol": protocol } }), json!({ "metaData": around })]
}

/// A file as the protocol's first form spells it.
fn plain(file: &File, until: i64, base: &str) -> Value {
    json!({
        "url": format!("{base}{}", file.address), "id": file.file.name, "partitionValues": {},
        "size": file.file.bytes, "stats": file.file.stats, "version": file.version,
        "timestamp": file.at, "expirationTimestamp": until,
    })
}

/// A file as Delta's log spells it.
fn single(file: &File, word: &str, until: i64, base: &str) -> Value {
    let mut action = json!({
        "path": format!("{base}{}", file.address), "partitionValues": {},
        "size": file.file.bytes, "dataChange": word == "add",
    });
    if let (true, Some(action)) = (word == "add", action.as_object_mut()) {
        action.insert("modificationTime".to_owned(), Value::from(file.at));
        action.insert("stats".to_owned(), Value::from(file.file.stats.as_str()));
    }
    json!({
        "id": file.file.name, "size": file.file.bytes, "version": file.version,
        "timestamp": file.at, "expirationTimestamp": until, "deltaSingleAction": { word: action },
    })
}

fn respond(version: i64, format: &Format, lines: Vec<Value>) -> Result<Response> {
    let mut bytes = Vec::new();
    for line in lines {
        let broken = |e: serde_json::Error| Error::internal("cannot write JSON").caused_by(e);
        serde_json::to_writer(&mut bytes, &line).map_err(broken)?;
        bytes.push(b'\n');
    }
    let mime = HeaderValue::from_static("application/x-ndjson; charset=utf-8");
    Response::builder()
        .header(header::CONTENT_TYPE, mime)
        .header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
        .header(VERSION, version)
        .header(CAPABILITIES, format.header())
        .body(Body::from(bytes))
        .map_err(|e| Error::internal("cannot build the answer").caused_by(e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_choose_the_form() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CAPABILITIES, text.parse().unwrap());
            Format::of(&headers).map(|f| (f.delta, f.end)).map_err(|e| e.code())
        };
        assert_eq!(Format::of(&HeaderMap::new()).unwrap(), Format { delta: false, end: false });
        assert_eq!(of("responseformat=parquet"), Ok((false, false)));
        assert_eq!(
            of("responseformat=delta,parquet;readerfeatures=deletionvectors"),
            Ok((false, false))
        );
        assert_eq!(of("ResponseFormat=Delta; readerfeatures=timestampntz"), Ok((true, false)));
        assert_eq!(of("responseformat=delta;includeEndStreamAction=true"), Ok((true, true)));
        assert_eq!(of("includeendstreamaction=true"), Ok((false, true)));
        assert_eq!(of("responseformat=arrow"), Err(Code::NotAcceptable));
    }
}
