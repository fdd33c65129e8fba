//! People: sign-in with lock-out, sessions, one's own password. What an administrator does stands in `manage`.

use chrono::TimeDelta;
use guard::{hash, keys};
use model::account::{Role, User};
use model::identity::SignInMethod;
use model::{Actor, Code, Error, Op, Result, op};
use store::account::SessionRow;

use super::Session;
use super::attempt::{self, Refusal, check, hashed};
use crate::{App, audit};

/// Signs in. Wrong name and wrong password read the same, and both are locked out with back-off; an attempt is counted
/// before the password is checked.
pub async fn sign_in(app: &App, op: &Op, name: &str, secret: &str) -> Result<Session> {
    let name = name.trim().to_lowercase();
    match attempt::by_address(app, op) {
        Ok(()) => {}
        Err(Refusal::Told(error)) => return refuse(app, op, &name, error).await,
        Err(Refusal::Untold(error)) => return Err(error),
    }
    if let Err(error) = attempt::by_name(app, op, &name).await {
        return match error.code() {
            Code::LockedOut => refuse(app, op, &name, error).await,
            _ => Err(error),
        };
    }
    let found = app.store.user_by_name(&name).await?;
    let right = check(app, found.as_ref(), secret.to_owned()).await?;
    let Some(known) = found.filter(|u| right && u.user.active) else {
        return refuse(app, op, &name, Error::of(Code::WrongCredentials)).await;
    };
    if known.one_time_until.as_ref().is_some_and(|until| *until <= op.stamp()) {
        // Only who knows the password learns this.
        let error = Error::new(
            Code::WrongCredentials,
            "一次性密码已过期，请联系系统管理员重新重置",
            "the one-time password has expired: ask the system administrator for another",
        );
        return refuse(app, op, &name, error).await;
    }
    attempt::forgive(app, op, &name).await?;
    open(app, op, known.user, known.one_time_until.is_some(), SignInMethod::Password).await
}

pub(super) async fn open(
    app: &App,
    op: &Op,
    user: User,
    must_change: bool,
    method: SignInMethod,
) -> Result<Session> {
    let token = keys::token(32)?;
    let expires = op.at + TimeDelta::hours(i64::from(app.rules.sign_in.session_hours));
    let row = SessionRow {
        user: user.id.clone(),
        csrf: keys::token(24)?,
        expires_at: op::stamp(expires),
        method,
    };
    app.store.session_insert(&hash::sha256_hex(token.as_bytes()), &row, &op.stamp()).await?;
    let actor = session_actor(app, &user, must_change).await?;
    let mut known = op.clone();
    known.actor = actor.clone();
    audit::record(app, audit::event(&known, "account.login", &user.name)).await?;
    let expires_at = row.expires_at;
    Ok(Session { token, csrf: row.csrf, user, actor, expires_at, must_change })
}

/// Opens a session for somebody whom an outside identity service has vouched for.
pub(crate) async fn vouched(app: &App, op: &Op, account: &str, service: &str) -> Result<Session> {
    let found = app.store.user_get(account).await?.filter(|u| u.user.active);
    let Some(known) = found else {
        let object = format!("outside {service}");
        return refuse(app, op, &object, Error::of(Code::WrongCredentials)).await;
    };
    open(app, op, known.user, known.one_time_until.is_some(), SignInMethod::Outside).await
}

/// Opens a citizen's account for somebody whom an outside identity service has vouched for; nobody knows its password.
pub(crate) async fn citizen_of(app: &App, op: &Op, display_name: &str) -> Result<User> {
    let (system, permit) = app.platform(op)?;
    let name = format!("u{}", keys::hex_token(8)?);
    let shown: String = display_name.trim().chars().take(50).collect();
    let user = User {
        id: op.new_id(),
        display_name: if shown.is_empty() { name.clone() } else { shown },
        name,
        org: None,
        roles: vec![Role::Citizen],
        active: true,
        created_at: op.stamp(),
    };
    let phc = hashed(app, keys::token(32)?).await?;
    app.store.user_insert(&permit, &user, &phc).await?;
    audit::record(app, audit::event(&system, "user.create", &user.name)).await?;
    Ok(user)
}

async fn refuse<T>(app: &App, op: &Op, name: &str, error: Error) -> Result<T> {
    let object: String = name.chars().take(64).collect();
    audit::refused(app, op, "account.login", &object, &error).await?;
    Err(error)
}

/// The person of a user name, without a password: for the operator at the command line, who owns the machine anyway.
/// No door calls it.
pub async fn person(app: &App, name: &str) -> Result<Actor> {
    match app.store.user_by_name(&name.trim().to_lowercase()).await? {
        Some(known) if known.user.active => actor_of(app, &known.user).await,
        _ => Err(Error::not_found("用户", "user", name)),
    }
}

/// Who a user is to policy: roles, organisation and its region.
pub(super) async fn actor_of(app: &App, user: &User) -> Result<Actor> {
    let region = match &user.org {
        Some(org) => app.store.org_get(org).await?.map(|o| o.region),
        None => None,
    };
    Ok(Actor::User {
        id: user.id.clone(),
        name: user.name.clone(),
        org: user.org.clone(),
        region,
        roles: user.roles.clone(),
    })
}

/// Who acts in a session. With a one-time password that is a person without roles: it may be changed, nothing else.
async fn session_actor(app: &App, user: &User, must_change: bool) -> Result<Actor> {
    if !must_change {
        return actor_of(app, user).await;
    }
    Ok(Actor::User {
        id: user.id.clone(),
        name: user.name.clone(),
        org: None,
        region: None,
        roles: Vec::new(),
    })
}

pub async fn sign_out(app: &App, op: &Op, token: &str) -> Result<()> {
    app.store.session_delete(&hash::sha256_hex(token.as_bytes())).await?;
    audit::record(app, audit::event(op, "account.logout", op.actor.name())).await
}

/// The session of a cookie's token, if it is valid now.
pub async fn session(app: &App, token: &str) -> Result<Option<Session>> {
    let Some(row) = app.store.session_get(&hash::sha256_hex(token.as_bytes())).await? else {
        return Ok(None);
    };
    if row.expires_at <= op::stamp(app.now()) {
        return Ok(None);
    }
    let Some(known) = app.store.user_get(&row.user).await? else { return Ok(None) };
    if !known.user.active {
        return Ok(None);
    }
    let must_change = known.one_time_until.is_some();
    let actor = session_actor(app, &known.user, must_change).await?;
    Ok(Some(Session {
        token: token.to_owned(),
        csrf: row.csrf,
        user: known.user,
        actor,
        expires_at: row.expires_at,
        must_change,
    }))
}

/// Changes one's own password; all sessions end, one's own included. Guesses at the present one count as at sign-in.
pub async fn change_password(app: &App, op: &Op, old: &str, new: &str) -> Result<()> {
    let Some(known) = app.store.user_get(op.actor.id()).await? else {
        return Err(Error::of(Code::SignInRequired));
    };
    let name = &known.user.name;
    if let Err(error) = attempt::by_name(app, op, name).await {
        audit::refused(app, op, "account.password", name, &error).await?;
        return Err(error);
    }
    if !check(app, Some(&known), old.to_owned()).await? {
        let error =
            Error::new(Code::WrongCredentials, "原密码不正确", "the present password is wrong");
        audit::refused(app, op, "account.password", name, &error).await?;
        return Err(error);
    }
    app.store.sign_in_forget(&attempt::key(name)).await?;
    good_password(app, new, name)?;
    if new == old {
        return Err(Error::invalid(
            "新密码不能与原密码相同",
            "the new password must differ from the present one",
        )
        .field("password", "请换一个密码", "choose another password"));
    }
    let phc = hashed(app, new.to_owned()).await?;
    app.store.user_set_password(op, &known.user.id, &phc).await?;
    audit::record(app, audit::event(op, "account.password", name)).await
}

pub(super) fn good_password(app: &App, secret: &str, name: &str) -> Result<()> {
    let least = app.rules.sign_in.password_min_length;
    let weak = |zh: String, en: String| {
        Err(Error::invalid(zh.clone(), en.clone()).field("password", zh, en))
    };
    if secret.chars().count() < least {
        return weak(
            format!("密码至少 {least} 个字符"),
            format!("the password needs at least {least} characters"),
        );
    }
    if secret.to_lowercase().contains(name) {
        return weak(
            "密码不能包含用户名".into(),
            "the password must not contain the user name".into(),
        );
    }
    let kinds: [fn(char) -> bool; 4] = [
        |c| c.is_ascii_lowercase(),
        |c| c.is_ascii_uppercase(),
        |c| c.is_ascii_digit(),
        |c| !c.is_ascii_alphanumeric(),
    ];
    if kinds.iter().filter(|kind| secret.chars().any(kind)).count() < 3 {
        return weak(
            "密码须含大写、小写、数字、符号中的三类".into(),
            "the password needs three of: upper case, lower case, digits, other signs".into(),
        );
    }
    Ok(())
}
