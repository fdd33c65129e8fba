//! Who calls: an application that signed, or nobody.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use app::account::{self, SignedCall};
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use model::{Actor, Code, Error, Op, Result};

use crate::Door;
use crate::answer::Refusal;

/// The operation a request opens, with its caller made sure of.
pub(crate) struct Caller(pub(crate) Op);

impl FromRequestParts<Door> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, door: &Door) -> Result<Self, Refusal> {
        let address = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |info| info.0.ip());
        let mut op = door.app.op(Actor::Nobody, &address.to_string());
        match actor(parts, door, address).await {
            Ok(actor) => {
                op.actor = actor;
                Ok(Self(op))
            }
            Err(error) => {
                // A failed signature is worth a record: it is how guessing shows.
                if error.code() != Code::RateLimited {
                    let object = parts.uri.path().chars().take(200).collect::<String>();
                    app::audit::refused(&door.app, &op, "application.sign", &object, &error)
                        .await
                        .map_err(|e| Refusal::new(e, &op.request_id))?;
                }
                Err(Refusal::new(error, &op.request_id))
            }
        }
    }
}

async fn actor(parts: &Parts, door: &Door, address: IpAddr) -> Result<Actor> {
    let Some(key) = header(parts, "x-qt-key")? else {
        if door.anonymous.check_key(&address).is_err() {
            return Err(Error::of(Code::RateLimited));
        }
        return Ok(Actor::Nobody);
    };
    let needed = |name: &'static str| {
        header(parts, name)?.ok_or_else(|| {
            Error::new(
                Code::SignatureMissing,
                format!("缺少请求头 {name}，签名方法见 /openapi.json 的说明"),
                format!("the header {name} is missing; /openapi.json describes how to sign"),
            )
        })
    };
    let call = SignedCall {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        body: &[],
        key,
        algorithm: header(parts, "x-qt-algorithm")?.unwrap_or("HMAC-SHA256"),
        timestamp: needed("x-qt-timestamp")?,
        nonce: needed("x-qt-nonce")?,
        signature: needed("x-qt-signature")?,
    };
    account::verify_call(&door.app, &call).await
}

fn header<'a>(parts: &'a Parts, name: &str) -> Result<Option<&'a str>> {
    parts
        .headers
        .get(name)
        .map(|value| {
            value.to_str().map_err(|_| {
                Error::new(
                    Code::SignatureMissing,
                    format!("请求头 {name} 含有非 ASCII 字符"),
                    format!("the header {name} holds characters that are not ASCII"),
                )
            })
        })
        .transpose()
}
