//! Who writes: a person who compiles, by a personal token in `Authorization` or `X-CKAN-API-Key`, as CKAN's clients send it. What anybody
//! may ask is answered without looking at a token; only actions that write, and the few that tell a person of their own, look at it.

use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use model::{Kind, Op};

use super::super::fault::Fault;
use super::{AWARE, is_write};
use crate::Door;
use crate::caller::{address, failed_as, guessing};
use crate::flood::network;

/// The caller of an action, as far as it matters for writing.
#[derive(Debug)]
pub(in crate::ckan) enum Who {
    /// Writing is off.
    Off,
    /// No token was sent.
    Nobody,
    /// A token was sent that opens nothing, and why.
    Refused(String, String),
    /// A person, by their token.
    Person(Box<Op>),
}

impl Who {
    /// The person who writes, or why nobody may.
    pub(super) fn person(&self) -> Result<&Op, Fault> {
        match self {
            Who::Person(op) => Ok(op),
            Who::Off => Err(Fault::denied(
                "本接口只读：写入未开启；运营方在配置中设 [gateway] ckan_write = true 后，数源单位人员可用个人令牌写入草稿；编目与归集也可在控制台办理",
                "this door only reads: writing is off; where the operator sets [gateway] ckan_write = true, people of departments write drafts by a personal token; entries are compiled and collected in the console as well",
            )),
            Who::Nobody => Err(Fault::denied(
                "写入须带个人令牌（请求头 Authorization 或 X-CKAN-API-Key），在控制台“我的账号 · 个人令牌”中创建",
                "writing needs a personal token (header Authorization or X-CKAN-API-Key): make one in the console, My account, Personal tokens",
            )),
            Who::Refused(zh, en) => Err(Fault::denied(zh, en)),
        }
    }
}

/// The token that was sent: CKAN's clients send it bare.
fn token(parts: &Parts) -> Option<String> {
    let sent = parts.headers.get("x-ckan-api-key").or_else(|| parts.headers.get(AUTHORIZATION))?;
    let text = sent.to_str().unwrap_or_default().trim();
    let bare = text.strip_prefix("Bearer ").unwrap_or(text).trim();
    (!bare.is_empty()).then(|| bare.to_owned())
}

/// Makes sure of the caller of an action. Wrong tokens count against their address, as wrong signatures do.
pub(in crate::ckan) async fn who(
    parts: &Parts,
    door: &Door,
    op: &Op,
    name: &str,
) -> Result<Who, Fault> {
    if !door.config.ckan_write {
        return Ok(Who::Off);
    }
    if !is_write(name) && !AWARE.contains(&name) {
        return Ok(Who::Nobody);
    }
    let Some(token) = token(parts) else { return Ok(Who::Nobody) };
    if !app::account::is_personal(&token) {
        // Clients that only read send whatever they were given.
        return Ok(Who::Refused(
            "请求头中的不是个人令牌（以 qtp_ 开头）；应用的密钥和令牌不能写入".to_owned(),
            "what was sent is no personal token (they begin with qtp_); keys and tokens of applications do not write".to_owned(),
        ));
    }
    let network = network(address(parts));
    guessing(door, network, op)?;
    match app::account::personal_token_call(&door.app, op, &token).await {
        Ok(actor) => {
            app::halt::admit(&door.app, op, &actor).await?;
            Ok(Who::Person(Box::new(Op { actor, by: "token", ..op.clone() })))
        }
        Err(error) if error.kind() == Kind::Unauthenticated => {
            if let Err(refusal) =
                failed_as(parts, door, network, op, &error, "account.token_use").await
            {
                return Err(super::super::refused(refusal));
            }
            Ok(Who::Refused(error.zh().to_owned(), error.en().to_owned()))
        }
        Err(error) => Err(error.into()),
    }
}
