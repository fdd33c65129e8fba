//! Signing in by an outside identity. A visit by address signs somebody in; tying one's account to an identity takes a form with its token,
//! so that nobody is led into it.

use std::sync::Arc;

use app::identity::{self, OutsideEnd};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect};
use axum::routing::{get, post};
use axum::{Router, middleware};
use axum_extra::extract::cookie::CookieJar;
use minijinja::context;

use crate::account::{goal, next_path, with_cookie};
use crate::console::done;
use crate::form::Posted;
use crate::visit::{self, Visit, pairs, session_cookie};
use crate::{Answer, Door};

/// What ties a sign-in under way to this browser.
const OUTSIDE_COOKIE: &str = "qt_outside";

pub(super) fn router() -> Router<Arc<Door>> {
    let own = Router::new()
        .route("/account/outside/{name}", post(link))
        .route("/account/outside/{name}/end", post(unlink))
        .route_layer(middleware::from_fn(visit::signed_in));
    Router::new()
        .route("/login/outside/{name}", get(begin))
        .route("/login/outside/{name}/back", get(back))
        .merge(own)
}

fn redirect(visit: &Visit, name: &str) -> String {
    format!("{}/login/outside/{name}/back", visit.base)
}

async fn begin(State(door): State<Arc<Door>>, Path(name): Path<String>, visit: Visit) -> Answer {
    let next = visit.q("next").and_then(next_path).unwrap_or_default();
    // Whoever is signed in here signs in anew: an address ties nobody's account to anything.
    let op = visit.public_op();
    let goal = redirect(&visit, &name);
    let (url, token) = identity::outside_begin(&door.app, &op, &name, &goal, next).await?;
    let kept = visit::cookie(OUTSIDE_COOKIE, token, door.config.secure_cookies);
    Ok(with_cookie(Redirect::to(&url).into_response(), &kept.to_string()))
}

async fn link(
    State(door): State<Arc<Door>>,
    Path(name): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    let goal = redirect(&visit, &name);
    let (url, token) = identity::outside_begin(&door.app, &visit.op, &name, &goal, "").await?;
    let kept = visit::cookie(OUTSIDE_COOKIE, token, door.config.secure_cookies);
    // A form of ours may lead to our own pages only: the person goes on by a link.
    let page = door.page(&visit, "account/outside.html", context! { url }).await?;
    Ok(with_cookie(page, &kept.to_string()))
}

async fn unlink(
    State(door): State<Arc<Door>>,
    Path(name): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    identity::outside_unlink(&door.app, &visit.op, &name).await?;
    done("/account/consents", "withdraw")
}

async fn back(
    State(door): State<Arc<Door>>,
    Path(name): Path<String>,
    visit: Visit,
    jar: CookieJar,
) -> Answer {
    let secure = door.config.secure_cookies;
    let token = jar.get(OUTSIDE_COOKIE).map(|c| c.value().to_owned()).unwrap_or_default();
    let told = pairs(visit.uri.query().unwrap_or_default());
    let used = visit::expired(OUTSIDE_COOKIE, secure).to_string();
    match identity::outside_back(&door.app, &visit.op, &name, &token, &told).await? {
        OutsideEnd::Linked => Ok(with_cookie(done("/account/consents", "saved")?, &used)),
        OutsideEnd::In(session, next) => {
            // The session that was there ends; the new one has another id.
            if let Some(before) = &visit.session {
                app::account::sign_out(&door.app, &visit.op, &before.token).await?;
            }
            let goal = goal(&session, next_path(&next));
            let kept = visit::cookie(session_cookie(secure), session.token, secure);
            let response = with_cookie(Redirect::to(goal).into_response(), &kept.to_string());
            Ok(with_cookie(response, &used))
        }
    }
}
