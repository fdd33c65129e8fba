//! Lists and questions: each finds out what is asked, calls the room, and spells the answer.

use app::delta::{self, Asked, Named, Point, Span};
use axum::Json;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use model::{Code, Error, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::lines::{self, Format};
use super::{Recipient, Told};
use crate::Door;
use crate::interface::read;

type Answered = std::result::Result<Response, Told>;

/// Parameters of a query string by name.
struct Params(Vec<(String, String)>);

impl Params {
    fn of(query: Option<&str>) -> Self {
        let query = query.unwrap_or_default();
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(n, _)| n == name);
        found.map(|(_, v)| v.as_str()).filter(|v| !v.is_empty())
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>> {
        self.get(name).map(|text| text.parse().map_err(|_| wrong(name))).transpose()
    }

    /// `maxResults` and the position behind `pageToken`.
    fn page(&self) -> Result<(Option<u64>, String)> {
        let after = self.get("pageToken").map(|text| {
            let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
            decoded.map(std::borrow::Cow::into_owned).map_err(|_| wrong("pageToken"))
        });
        Ok((self.number("maxResults")?, after.transpose()?.unwrap_or_default()))
    }
}

fn wrong(name: &str) -> Error {
    Error::new(
        Code::InvalidQuery,
        format!("参数 `{name}` 的值无效"),
        format!("the value of the parameter `{name}` is not valid"),
    )
}

/// A list with the token of its next page.
fn list(items: Vec<Value>, next: Option<String>) -> Response {
    let mut body = json!({ "items": items });
    if let (Some(next), Some(object)) = (next, body.as_object_mut()) {
        let token =
            percent_encoding::utf8_percent_encode(&next, percent_encoding::NON_ALPHANUMERIC);
        object.insert("nextPageToken".to_owned(), Value::from(token.to_string()));
    }
    Json(body).into_response()
}

fn share_json(name: &str, to: &Recipient) -> Value {
    json!({ "name": name, "id": to.op.actor.id() })
}

pub(super) async fn shares(
    State(door): State<Door>,
    to: Recipient,
    RawQuery(query): RawQuery,
) -> Answered {
    let answer = async {
        let (most, after) = Params::of(query.as_deref()).page()?;
        let share = delta::share(&door.app, &to.op, None).await?;
        let share = share.filter(|name| after.as_str() < *name);
        Ok(match (share, most) {
            // Nothing fits on the page, and there is more.
            (Some(_), Some(0)) => list(Vec::new(), Some(after)),
            (share, _) => list(share.map(|s| share_json(s, &to)).into_iter().collect(), None),
        })
    };
    answer.await.map_err(|e| Told::new(e, &to.op))
}

pub(super) async fn share(
    State(door): State<Door>,
    to: Recipient,
    Path(share): Path<String>,
) -> Answered {
    match delta::share(&door.app, &to.op, Some(&share)).await {
        Ok(name) => {
            let name = name.unwrap_or(delta::SHARE);
            Ok(Json(json!({ "share": share_json(name, &to) })).into_response())
        }
        Err(e) => Err(Told::new(e, &to.op)),
    }
}

pub(super) async fn schemas(
    State(door): State<Door>,
    to: Recipient,
    Path(share): Path<String>,
    RawQuery(query): RawQuery,
) -> Answered {
    let answer = async {
        let (most, after) = Params::of(query.as_deref()).page()?;
        let page = delta::schemas(&door.app, &to.op, &share, most, &after).await?;
        let schema = |name| json!({ "name": name, "share": delta::SHARE });
        Ok(list(page.items.into_iter().map(schema).collect(), page.next))
    };
    answer.await.map_err(|e| Told::new(e, &to.op))
}

pub(super) async fn tables(
    State(door): State<Door>,
    to: Recipient,
    Path((share, schema)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Answered {
    listed(&door, &to, &share, Some(&schema), query.as_deref()).await
}

pub(super) async fn all_tables(
    State(door): State<Door>,
    to: Recipient,
    Path(share): Path<String>,
    RawQuery(query): RawQuery,
) -> Answered {
    listed(&door, &to, &share, None, query.as_deref()).await
}

async fn listed(
    door: &Door,
    to: &Recipient,
    share: &str,
    schema: Option<&str>,
    query: Option<&str>,
) -> Answered {
    let answer = async {
        let (most, after) = Params::of(query).page()?;
        let page = delta::tables(&door.app, &to.op, share, schema, most, &after).await?;
        let table = |t: delta::Table| {
            json!({
                "name": t.name, "schema": t.schema, "share": delta::SHARE,
                "shareId": to.op.actor.id(), "id": t.id,
            })
        };
        Ok(list(page.items.into_iter().map(table).collect(), page.next))
    };
    answer.await.map_err(|e| Told::new(e, &to.op))
}

/// Share, schema and table of an address.
type Place = (String, String, String);

fn named(place: &Place) -> Named<'_> {
    Named { share: &place.0, schema: &place.1, table: &place.2 }
}

pub(super) async fn version(
    State(door): State<Door>,
    to: Recipient,
    Path(place): Path<Place>,
    RawQuery(query): RawQuery,
) -> Answered {
    let params = Params::of(query.as_deref());
    let starting = params.get("startingTimestamp");
    match delta::version(&door.app, &to.op, &named(&place), starting).await {
        Ok(version) => Ok(lines::version(version)),
        Err(e) => Err(Told::new(e, &to.op)),
    }
}

pub(super) async fn metadata(
    State(door): State<Door>,
    to: Recipient,
    Path(place): Path<Place>,
    headers: HeaderMap,
) -> Answered {
    let answer = async {
        let format = Format::of(&headers)?;
        let found = delta::metadata(&door.app, &to.op, &named(&place)).await?;
        lines::metadata(&found, &format)
    };
    answer.await.map_err(|e| Told::new(e, &to.op))
}

/// The body of a question.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Body {
    predicate_hints: Vec<String>,
    json_predicate_hints: Option<String>,
    limit_hint: Option<u64>,
    version: Option<i64>,
    timestamp: Option<String>,
    starting_version: Option<i64>,
    include_refresh_token: bool,
    refresh_token: Option<String>,
}

pub(super) async fn query(
    State(door): State<Door>,
    Path(place): Path<Place>,
    request: Request,
) -> Answered {
    let (parts, body) = request.into_parts();
    let body = read(&parts, body).await;
    let empty = Vec::new();
    let to = Recipient::with_body(&parts, &door, body.as_deref().unwrap_or(&empty)).await?;
    let answer = async {
        let bytes = body?;
        let format = Format::of(&parts.headers)?;
        let asked: Body = match bytes.iter().all(u8::is_ascii_whitespace) {
            true => Body::default(),
            false => serde_json::from_slice(&bytes).map_err(|e| {
                Error::new(
                    Code::InvalidQuery,
                    format!("请求体不是有效的查询：{e}"),
                    format!("the body is not a query of the protocol: {e}"),
                )
            })?,
        };
        if asked.starting_version.is_some() {
            return Err(Error::new(
                Code::InvalidQuery,
                "按变化读取请使用 GET …/changes?startingVersion=…",
                "changes are read by GET …/changes?startingVersion=…",
            ));
        }
        let version = match &asked.refresh_token {
            Some(token) => Some(delta::refreshed(&door.app, &place.2, token)?),
            None => asked.version,
        };
        let mut wanted = Asked { by: to.by.clone(), ..Asked::default() };
        wanted.at = Point { version, timestamp: asked.timestamp };
        wanted.hints.sql = asked.predicate_hints;
        wanted.hints.json = asked.json_predicate_hints;
        wanted.hints.limit = asked.limit_hint;
        let found = delta::query(&door.app, &to.op, &named(&place), &wanted).await?;
        let base = &door.config.public_url;
        lines::files(&found, &format, base, asked.include_refresh_token)
    };
    answer.await.map_err(|e| Told::new(e, &to.op))
}

pub(super) async fn changes(
    State(door): State<Door>,
    to: Recipient,
    Path(place): Path<Place>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answered {
    let answer = async {
        let format = Format::of(&headers)?;
        let params = Params::of(query.as_deref());
        let point = |version: &str, timestamp: &str| {
            Ok::<_, Error>(Point {
                version: params.number(version)?,
                timestamp: params.get(timestamp).map(str::to_owned),
            })
        };
        let span = Span {
            from: point("startingVersion", "startingTimestamp")?,
            to: point("endingVersion", "endingTimestamp")?,
            by: to.by.clone(),
        };
        let found = delta::changes(&door.app, &to.op, &named(&place), &span).await?;
        lines::changes(&found, &format, &door.config.public_url)
    };
    answer.await.map_err(|e| Told::new(e, &to.op))
}
