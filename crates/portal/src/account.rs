//! Accounts: sign in, sign out, profile and password.

use std::sync::Arc;

use app::account::Session;
use axum::extract::State;
use axum::http::header::{self, HeaderValue};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};
use minijinja::context;
use model::account::Role;
use model::request::RequestFilter;
use model::{Code, Error, FieldError, Kind};

use crate::form::Posted;
use crate::view::value;
use crate::visit::{self, Visit, session_cookie};
use crate::{Answer, Door};

/// Tickets and showcases of one page.
const TICKETS: u32 = 20;

pub(crate) fn router() -> Router<Arc<Door>> {
    let own = Router::new()
        .route("/me", get(me))
        .route("/me/password", post(password))
        .route("/logout", post(logout))
        .route_layer(middleware::from_fn(visit::signed_in));
    Router::new().route("/login", get(login_page).post(login)).merge(own)
}

/// Where to go after signing in: a path of this site, nothing else.
pub(crate) fn next_path(text: &str) -> Option<&str> {
    let own = text.starts_with('/')
        && !text.starts_with("//")
        && !text.contains(['\\', '\r', '\n'])
        && !text.starts_with("/login")
        && !text.starts_with("/register");
    own.then_some(text)
}

/// Where somebody who has just signed in goes.
pub(crate) fn goal<'a>(session: &Session, next: Option<&'a str>) -> &'a str {
    let outside = session.user.roles.iter().all(|r| matches!(r, Role::Enterprise | Role::Citizen));
    let home = if outside { "/me" } else { "/console" };
    if session.must_change { "/me" } else { next.unwrap_or(home) }
}

async fn login_page(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let next = visit.q("next").and_then(next_path);
    let name = visit.q("login_hint").map(|hint| hint.chars().take(64).collect::<String>());
    sign_in_page(&door, &visit, next, context! { name }).await
}

/// The page with its form, and the outside services by which one may sign in.
async fn sign_in_page(
    door: &Door,
    visit: &Visit,
    next: Option<&str>,
    own: minijinja::Value,
) -> Answer {
    let services: Vec<minijinja::Value> = app::identity::services(&door.app)
        .iter()
        .map(|s| context! { name => &s.name, title => visit.t(&s.zh, &s.en) })
        .collect();
    let sign_up = !door.app.rules.signup.open.kinds().is_empty();
    let context = context! { next, services, sign_up, ..own };
    let mut response = door.page(visit, "account/login.html", context).await?;
    if let Some(goal) = crate::identity::goal(door, visit, next).await {
        response.extensions_mut().insert(goal);
    }
    Ok(response)
}

async fn login(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    let name = posted.get("name");
    let next = next_path(posted.get("next"));
    match app::account::sign_in(&door.app, &visit.op, name, posted.raw("password")).await {
        Ok(session) => {
            // The session that was there ends, whoever brought it; the new one has another id.
            if let Some(before) = &visit.session {
                app::account::sign_out(&door.app, &visit.op, &before.token).await?;
            }
            let (goal, secure) = (goal(&session, next), door.config.secure_cookies);
            let kept = visit::cookie(session_cookie(secure), session.token, secure);
            Ok(with_cookie(Redirect::to(goal).into_response(), &kept.to_string()))
        }
        Err(error)
            if matches!(error.kind(), Kind::Unauthenticated | Kind::Exhausted | Kind::Invalid) =>
        {
            let context = context! {
                name, error => visit.t(error.zh(), error.en()), code => error.code().as_str(),
            };
            let mut response = sign_in_page(&door, &visit, next, context).await?;
            *response.status_mut() = axum::http::StatusCode::from_u16(error.kind().status())
                .unwrap_or(axum::http::StatusCode::UNAUTHORIZED);
            Ok(response)
        }
        Err(error) => Err(error.into()),
    }
}

pub(crate) fn with_cookie(mut response: Response, cookie: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    response
}

async fn logout(State(door): State<Arc<Door>>, visit: Visit, _posted: Posted) -> Answer {
    let session = visit.session()?;
    app::account::sign_out(&door.app, &visit.op, &session.token).await?;
    let secure = door.config.secure_cookies;
    let ended = visit::expired(session_cookie(secure), secure);
    Ok(with_cookie(Redirect::to("/").into_response(), &ended.to_string()))
}

async fn me(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    profile(&door, &visit, None).await
}

async fn profile(door: &Door, visit: &Visit, faults: Option<&Error>) -> Answer {
    let session = visit.session()?;
    let mine = match app::sharing::inbox(&door.app, &visit.op).await {
        Ok(inbox) => inbox.mine,
        Err(error) if error.kind() == Kind::Denied => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let filter = RequestFilter {
        org: session.user.org.clone(),
        // Who has no organisation files for themself.
        applicant: session.user.org.is_none().then(|| session.user.id.clone()),
        limit: 50,
        ..RequestFilter::default()
    };
    let requests = match app::sharing::list(&door.app, &visit.op, &filter).await {
        Ok(page) => page.items,
        Err(error) if error.kind() == Kind::Denied => mine,
        Err(error) => return Err(error.into()),
    };
    let tickets = app::voice::mine(&door.app, &visit.op, visit.q("tickets"), TICKETS).await?;
    let showcases = app::voice::showcases_of(&door.app, &visit.op, TICKETS).await?;
    let fields = faults.map(Error::fields).unwrap_or_default();
    let standing = app::realname::standing(&door.app, &visit.op).await?;
    let context = context! {
        real_name => standing.state.as_str(),
        holds_tokens => app::account::may_hold_tokens(&door.app, &visit.op),
        account => value(&session.user),
        must_change => session.must_change,
        expires_at => &session.expires_at,
        requests => value(&requests),
        tickets => value(&tickets.items), tickets_next => tickets.next,
        showcases => value(&showcases),
        least => door.app.rules.sign_in.password_min_length,
        done => visit.q("done"),
        error => faults.map(|e| visit.t(e.zh(), e.en()).to_owned()),
        fields => value(fields),
    };
    door.page(visit, "account/me.html", context).await
}

async fn password(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    let (old, new) = (posted.raw("old"), posted.raw("new"));
    let outcome = if new == posted.raw("again") {
        app::account::change_password(&door.app, &visit.op, old, new).await
    } else {
        Err(Error::invalid("两次输入的新密码不一致", "the two new passwords differ").with_fields(
            vec![FieldError {
                field: "again".into(),
                zh: "请再次输入相同的新密码".into(),
                en: "enter the same new password again".into(),
            }],
        ))
    };
    match outcome {
        Ok(()) => Ok(Redirect::to("/me?done=password").into_response()),
        Err(error)
            if matches!(error.kind(), Kind::Invalid | Kind::Exhausted)
                || error.code() == Code::WrongCredentials =>
        {
            let mut response = profile(&door, &visit, Some(&error)).await?;
            *response.status_mut() = match error.kind() {
                Kind::Exhausted => axum::http::StatusCode::TOO_MANY_REQUESTS,
                _ => axum::http::StatusCode::BAD_REQUEST,
            };
            Ok(response)
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_never_leads_elsewhere() {
        assert_eq!(next_path("/console/runs?after=1"), Some("/console/runs?after=1"));
        for bad in
            ["", "http://x", "//x", "/\\x", "/login?next=/", "console", "/a\r\nSet-Cookie: b"]
        {
            assert_eq!(next_path(bad), None, "{bad}");
        }
    }
}
