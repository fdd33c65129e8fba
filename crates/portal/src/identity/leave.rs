//! Signing out at a client's wish (OpenID Connect RP-Initiated Logout 1.0): asked, unless the client brings an ID token of this session.
//! The wish comes by address, or as a form of another site, which is asked again by address: a session ends only where its cookie is seen.

use std::sync::Arc;

use app::identity::{self, Leaving};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use minijinja::context;
use model::Error;

use super::{asker, by_address, issuer, unread};
use crate::account::with_cookie;
use crate::form::Posted;
use crate::view::value;
use crate::visit::{self, FormGoal, Visit, pairs, session_cookie};
use crate::{Answer, Door};

/// Where clients send people to, and our own page of who is signed out.
const LOGOUT: &str = "/oauth/logout";

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new().route(LOGOUT, get(wish)).route("/oauth/logout/answer", post(answer))
}

/// The same wish as a form (§2), for the doors that look at no cookie.
pub(super) fn posted() -> Router<Arc<Door>> {
    Router::new().route(LOGOUT, post(wish_posted))
}

/// Every parameter is optional: whoever posts none is asked.
async fn wish_posted(headers: HeaderMap, body: Bytes) -> Response {
    match by_address(&headers, &body) {
        Ok(query) if query.is_empty() => Redirect::to(LOGOUT).into_response(),
        Ok(query) => Redirect::to(&format!("{LOGOUT}?{query}")).into_response(),
        Err(why) => unread(why),
    }
}

async fn wish(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let asked = visit.uri.query().unwrap_or_default().to_owned();
    let issuer = issuer(&door, &visit);
    let asker = asker(&visit, &issuer);
    let step = identity::leave(&door.app, &visit.op, asker, &pairs(&asked)).await?;
    led(&door, &visit, step, &asked).await
}

async fn answer(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    let agreed = match posted.get("answer") {
        "leave" => true,
        "stay" => false,
        _ => {
            let (zh, en) = ("请选择退出登录或保持登录", "choose to sign out or to stay signed in");
            return Err(Error::invalid(zh, en).field("answer", zh, en).into());
        }
    };
    let issuer = issuer(&door, &visit);
    let (asker, asked) = (asker(&visit, &issuer), posted.raw("query"));
    let step = identity::leave_answered(&door.app, &visit.op, asker, &pairs(asked), agreed).await?;
    led(&door, &visit, step, asked).await
}

/// Leads the browser on; whoever has signed out has no session cookie any more.
async fn led(door: &Door, visit: &Visit, step: Leaving, asked: &str) -> Answer {
    match step {
        Leaving::Gone(back) => {
            let goal = back.as_deref().unwrap_or(LOGOUT);
            let response = Redirect::to(goal).into_response();
            if visit.session.is_none() {
                return Ok(response);
            }
            let secure = door.config.secure_cookies;
            let ended = visit::expired(session_cookie(secure), secure);
            Ok(with_cookie(response, &ended.to_string()))
        }
        Leaving::Stayed => Ok(Redirect::to("/").into_response()),
        Leaving::Ask(ask) => {
            door.names.refresh(&door.app).await;
            let context = context! { ask => value(&*ask), query => asked };
            let mut page = door.page(visit, "account/logout.html", context).await?;
            if !ask.goal.is_empty() {
                page.extensions_mut().insert(FormGoal(ask.goal));
            }
            Ok(page)
        }
    }
}
