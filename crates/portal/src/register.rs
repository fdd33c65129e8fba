//! Self sign-up: the form of the open site.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use minijinja::context;
use model::realname::{SignUpKind, SignUpNew};
use model::{Code, Error, FieldError, Kind, Result};

use crate::account::{next_path, with_cookie};
use crate::form::Posted;
use crate::site::interact::word;
use crate::view::value;
use crate::visit::{self, Lang, Visit, session_cookie};
use crate::{Answer, Door};

pub(crate) fn router() -> Router<Arc<Door>> {
    Router::new().route("/register", get(blank).post(register))
}

async fn blank(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    if visit.session.is_some() {
        return Ok(Redirect::to("/me").into_response());
    }
    page(&door, &visit, None).await
}

/// The form, with what was typed; passwords are typed anew.
async fn page(door: &Door, visit: &Visit, wrong: Option<(&Error, &Posted)>) -> Answer {
    let rules = &door.app.rules.signup;
    let kinds = rules.open.kinds();
    let typed = |name: &str| wrong.map(|(_, p)| p.get(name).to_owned()).unwrap_or_default();
    let asked = match wrong {
        Some((_, posted)) => Some(posted.get("kind")),
        None => visit.q("kind"),
    };
    let chosen = kind_of(asked).filter(|k| kinds.contains(k)).or(kinds.first().copied());
    let next = match wrong {
        Some((_, posted)) => next_path(posted.get("next")),
        None => visit.q("next").and_then(next_path),
    };
    let context = context! {
        kinds => kinds.iter().map(|k| k.as_str()).collect::<Vec<_>>(),
        chosen => chosen.map(SignUpKind::as_str), next,
        least => door.app.rules.sign_in.password_min_length,
        name_least => rules.limits.name_least, name_most => rules.limits.name_most,
        terms => match visit.lang {
            Lang::Zh => &rules.terms.zh,
            Lang::En => &rules.terms.en,
        },
        terms_version => &rules.terms.version,
        form => context! {
            name => typed("name"), display_name => typed("display_name"),
            company => typed("company"), uscc => typed("uscc"),
        },
        error => wrong.map(|(e, _)| visit.t(e.zh(), e.en()).to_owned()),
        code => wrong.map(|(e, _)| e.code().as_str()),
        fields => value(wrong.map(|(e, _)| e.fields()).unwrap_or_default()),
    };
    let wrong = wrong.map(|(error, _)| error);
    let mut response = door.page_with(visit, "account/register.html", context, wrong).await?;
    if let Some(goal) = crate::identity::goal(door, visit, next).await {
        response.extensions_mut().insert(goal);
    }
    Ok(response)
}

fn kind_of(said: Option<&str>) -> Option<SignUpKind> {
    word(SignUpKind::ALL, SignUpKind::as_str, said)
}

/// What was typed; the password twice the same.
fn typed(posted: &Posted) -> Result<SignUpNew> {
    if posted.raw("password") != posted.raw("again") {
        return Err(Error::invalid("两次输入的密码不一致", "the two passwords differ")
            .with_fields(vec![FieldError {
                field: "again".into(),
                zh: "请再次输入相同的密码".into(),
                en: "enter the same password again".into(),
            }]));
    }
    let said = |name: &str| posted.get(name).to_owned();
    Ok(SignUpNew {
        kind: kind_of(Some(posted.get("kind"))),
        name: said("name"),
        display_name: said("display_name"),
        password: posted.raw("password").to_owned(),
        company: said("company"),
        uscc: said("uscc"),
        agreed: posted.ticked("agreed"),
    })
}

async fn register(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    if visit.session.is_some() {
        return Err(Error::new(
            Code::WrongState,
            "您已登录；要注册另一个账号，请先退出",
            "you are signed in: sign out first to open another account",
        )
        .into());
    }
    let opened = match typed(&posted) {
        Ok(new) => app::account::sign_up(&door.app, &visit.op, new).await,
        Err(error) => Err(error),
    };
    match opened {
        Ok(session) => {
            let secure = door.config.secure_cookies;
            let goal = next_path(posted.get("next")).unwrap_or("/account/realname?done=registered");
            let kept = visit::cookie(session_cookie(secure), session.token, secure);
            Ok(with_cookie(Redirect::to(goal).into_response(), &kept.to_string()))
        }
        Err(error) if matches!(error.kind(), Kind::Invalid | Kind::Conflict | Kind::Exhausted) => {
            page(&door, &visit, Some((&error, &posted))).await
        }
        Err(error) => Err(error.into()),
    }
}
