//! Who calls: an application that signed, or nobody.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use app::account::{self, SignedCall};
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header as head};
use model::op::OUT_OF_SCOPE;
use model::{Actor, Code, Error, Kind, Op, Result};

use crate::answer::{Proof, Refusal};
use crate::evidence::Asker;
use crate::flood::{Tell, network};
use crate::{ClientCertificate, Door};

// Names that are looked for in every call are read once.
static KEY: HeaderName = HeaderName::from_static("x-qt-key");
static ALGORITHM: HeaderName = HeaderName::from_static("x-qt-algorithm");
static TIMESTAMP: HeaderName = HeaderName::from_static("x-qt-timestamp");
static NONCE: HeaderName = HeaderName::from_static("x-qt-nonce");
static PURPOSE: HeaderName = HeaderName::from_static("x-qt-purpose");
static SIGNATURE: HeaderName = HeaderName::from_static("x-qt-signature");
pub(crate) static PREFER: HeaderName = HeaderName::from_static("prefer");

/// The operation a request opens, with its caller made sure of.
pub(crate) struct Caller(pub(crate) Op);

impl FromRequestParts<Door> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, door: &Door) -> Result<Self, Refusal> {
        Self::with_body(parts, door, &[]).await
    }
}

impl Caller {
    /// The same for a call that brings a body, which is signed with it.
    pub(crate) async fn with_body(
        parts: &Parts,
        door: &Door,
        body: &[u8],
    ) -> Result<Self, Refusal> {
        let address = address(parts);
        let mut op = Op::begun(Actor::Nobody, address.to_string(), door.app.now());
        door.tidy(op.at.timestamp());
        let known = async {
            let (actor, scope) = actor(parts, door, network(address), &op, body).await?;
            app::halt::admit(&door.app, &op, &actor).await?;
            Ok::<_, Error>((actor, scope, purpose(parts, door)?))
        };
        match known.await {
            Ok((actor, scope, purpose)) => {
                op.actor = actor;
                op.scope = scope;
                op.purpose = purpose;
                if by_certificate(parts) {
                    op.by = "mtls";
                }
                if let Some(asker) = parts.extensions.get::<Asker>() {
                    asker.known(&op, word(proof(parts)));
                }
                Ok(Self(op))
            }
            Err(error) => {
                if error.kind() == Kind::Unauthenticated {
                    Box::pin(failed(parts, door, network(address), &op, &error)).await?;
                }
                Err(Refusal::new(error, &op).proving(proof(parts)))
            }
        }
    }
}

/// An operation of a protocol whose callers are nobody in particular: what they send to prove who they are is not looked at, and
/// only what is open to all is told. Limits by address and emergency stops hold.
pub(crate) async fn anybody(parts: &Parts, door: &Door) -> Result<Op, Refusal> {
    let address = address(parts);
    let mut op = door.app.op(Actor::Nobody, &address.to_string());
    door.tidy(op.at.timestamp());
    if door.anonymous.check_key(&network(address)).is_err() {
        return Err(Refusal::new(Error::of(Code::RateLimited), &op));
    }
    let admitted = async {
        app::halt::admit(&door.app, &op, &Actor::Nobody).await?;
        purpose(parts, door)
    };
    match admitted.await {
        Ok(purpose) => {
            op.purpose = purpose;
            op.way = model::usage::Way::Api;
            Ok(op)
        }
        Err(error) => Err(Refusal::new(error, &op)),
    }
}

/// The address a request came from.
pub(crate) fn address(parts: &Parts) -> IpAddr {
    parts
        .extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |info| info.0.ip())
}

/// A failed signature is worth a record: it is how guessing shows. A flood of them is not worth a flood of records.
pub(crate) async fn failed(
    parts: &Parts,
    door: &Door,
    network: IpAddr,
    op: &Op,
    error: &Error,
) -> Result<(), Refusal> {
    failed_as(parts, door, network, op, error, "application.sign").await
}

/// The same of another proof than an application's, recorded under its own word.
pub(crate) async fn failed_as(
    parts: &Parts,
    door: &Door,
    network: IpAddr,
    op: &Op,
    error: &Error,
    word: &str,
) -> Result<(), Refusal> {
    let Tell::Record(silent) = door.flood.failed(network, op.at.timestamp()) else {
        return Ok(());
    };
    let object = parts.uri.path().chars().take(200).collect::<String>();
    let mut event = app::audit::event(op, word, &object);
    event.result = "denied".into();
    event.reason = error.code().as_str().into();
    if silent > 0 {
        event.reason.push_str(&format!(" (+{silent} not recorded)"));
    }
    app::audit::record(&door.app, event).await.map_err(|e| Refusal::new(e, op))
}

/// The caller, and what its token is limited to.
async fn actor(
    parts: &Parts,
    door: &Door,
    network: IpAddr,
    op: &Op,
    body: &[u8],
) -> Result<(Actor, Vec<String>)> {
    let Some(key) = header(parts, &KEY)? else {
        if let Some(token) = bearer(&parts.headers) {
            guessing(door, network, op)?;
            let called = account::token_call(&door.app, op, token);
            let (actor, scope) = Box::pin(called).await?;
            limited(parts, &scope)?;
            return Ok((actor, scope));
        }
        if let Some(shown) = parts.extensions.get::<ClientCertificate>() {
            guessing(door, network, op)?;
            let called = account::certificate_call(&door.app, op, shown.thumbprint());
            return Ok((Box::pin(called).await?, Vec::new()));
        }
        if door.anonymous.check_key(&network).is_err() {
            return Err(Error::of(Code::RateLimited));
        }
        return Ok((Actor::Nobody, Vec::new()));
    };
    guessing(door, network, op)?;
    let needed = |name: &'static HeaderName| {
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
        body,
        key,
        algorithm: header(parts, &ALGORITHM)?.unwrap_or("HMAC-SHA256"),
        timestamp: needed(&TIMESTAMP)?,
        nonce: needed(&NONCE)?,
        signature: needed(&SIGNATURE)?,
    };
    Ok((account::verify_call(&door.app, &call).await?, Vec::new()))
}

/// Whether the caller is known by the certificate of its connection: whoever signs or brings a token is known by that.
fn by_certificate(parts: &Parts) -> bool {
    proof(parts) == Proof::Certificate
}

/// The token a caller brings (`Authorization: Bearer`); the word may be written in any case (RFC 9110 §11.1).
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(head::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
}

/// In which way a caller proves, or fails to prove, who it is.
fn proof(parts: &Parts) -> Proof {
    if parts.headers.contains_key(&KEY) {
        Proof::Signature
    } else if bearer(&parts.headers).is_some() {
        Proof::Token
    } else if parts.extensions.get::<ClientCertificate>().is_some() {
        Proof::Certificate
    } else {
        Proof::Nothing
    }
}

/// The same as a receipt says it; of nobody there is none.
fn word(proof: Proof) -> &'static str {
    match proof {
        Proof::Nothing => "",
        Proof::Signature => "hmac",
        Proof::Token => "oauth2",
        Proof::Certificate => "mtls",
    }
}

/// What the caller says the call is for: `X-Qt-Purpose`, percent-encoded UTF-8.
pub(crate) fn purpose(parts: &Parts, door: &Door) -> Result<String> {
    let Some(told) = header(parts, &PURPOSE)? else { return Ok(String::new()) };
    let most = door.app.rules.bounds.purpose_most;
    let text = percent_encoding::percent_decode_str(told).decode_utf8().ok();
    let text = text.map(|t| t.trim().to_owned());
    text.filter(|t| t.chars().count() <= most && !t.chars().any(char::is_control)).ok_or_else(|| {
        Error::new(
            Code::InvalidInput,
            format!("请求头 X-Qt-Purpose 应为百分号编码的 UTF-8，最长 {most} 字，不含控制字符"),
            format!(
                "the header X-Qt-Purpose is UTF-8, percent-encoded, {most} characters at most, without control characters"
            ),
        )
    })
}

/// A token limited to resources opens rows and interfaces; whole ledgers are none of them.
fn limited(parts: &Parts, scope: &[String]) -> Result<()> {
    if scope.is_empty() || !parts.uri.path().starts_with("/ledger/") {
        return Ok(());
    }
    Err(Error::new(
        Code::Denied,
        "访问令牌限定了范围（scope），不能用于台账",
        "the access token is limited to a scope and does not open the ledgers",
    )
    .with_reasons(vec![OUT_OF_SCOPE.to_owned()]))
}

/// Refuses an address from which too many signatures have failed.
pub(crate) fn guessing(door: &Door, network: IpAddr, op: &Op) -> Result<()> {
    if !door.flood.blocks(network, op.at.timestamp()) {
        return Ok(());
    }
    Err(Error::new(
        Code::RateLimited,
        "该地址身份验证失败次数过多，请核对签名、令牌或证书后稍候再试",
        "too many proofs of identity from this address have failed; check signature, token or certificate and wait a second",
    ))
}

fn header<'a>(parts: &'a Parts, name: &HeaderName) -> Result<Option<&'a str>> {
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
