//! People: sign-in with lock-out, sessions, passwords, accounts.

use chrono::{DateTime, TimeDelta, Utc};
use guard::{hash, keys, password};
use model::account::{Role, User, UserNew};
use model::{Actor, Code, Error, Op, Result, op};
use policy::{Action, Target};
use store::account::{SessionRow, UserSecret};

use super::Session;
use crate::{App, Page, audit};

/// Signs in. Wrong name and wrong password read the same; repeated failures lock out with back-off.
pub async fn sign_in(app: &App, op: &Op, name: &str, secret: &str) -> Result<Session> {
    let name = name.trim().to_lowercase();
    let found = app.store.user_by_name(&name).await?;
    if let Some(until) = found.as_ref().and_then(|u| locked(u, op.at)) {
        let error = Error::new(
            Code::LockedOut,
            format!("尝试次数过多，请在 {} 秒后再试", (until - op.at).num_seconds().max(1)),
            format!(
                "too many attempts, try again in {} seconds",
                (until - op.at).num_seconds().max(1)
            ),
        );
        return refuse(app, op, &name, error).await;
    }
    let right = check(app, found.as_ref(), secret.to_owned()).await?;
    let Some(known) = found else {
        return refuse(app, op, &name, Error::of(Code::WrongCredentials)).await;
    };
    if !right || !known.user.active {
        let failures = known.failures + 1;
        let until = lock_until(app, failures, op.at);
        app.store.user_attempt(&known.user.id, failures, until.map(op::stamp).as_deref()).await?;
        return refuse(app, op, &name, Error::of(Code::WrongCredentials)).await;
    }
    if known.failures > 0 {
        app.store.user_attempt(&known.user.id, 0, None).await?;
    }
    open(app, op, known.user).await
}

async fn open(app: &App, op: &Op, user: User) -> Result<Session> {
    let token = keys::token(32)?;
    let expires = op.at + TimeDelta::hours(i64::from(app.rules.sign_in.session_hours));
    let row = SessionRow {
        user: user.id.clone(),
        csrf: keys::token(24)?,
        expires_at: op::stamp(expires),
    };
    app.store.session_insert(&hash::sha256_hex(token.as_bytes()), &row, &op.stamp()).await?;
    let actor = actor_of(app, &user).await?;
    let mut known = op.clone();
    known.actor = actor.clone();
    audit::record(app, audit::event(&known, "account.login", &user.name)).await?;
    Ok(Session { token, csrf: row.csrf, user, actor, expires_at: row.expires_at })
}

async fn refuse<T>(app: &App, op: &Op, name: &str, error: Error) -> Result<T> {
    let object: String = name.chars().take(64).collect();
    audit::refused(app, op, "account.login", &object, &error).await?;
    Err(error)
}

/// Verifies on a blocking thread; an unknown name costs the same as a wrong password.
async fn check(app: &App, found: Option<&UserSecret>, secret: String) -> Result<bool> {
    let (cost, phc) = (app.accounts.cost, found.map(|u| u.password_hash.clone()));
    let verify = move || match phc {
        Some(phc) => password::verify(&secret, &phc),
        None => password::verify_nobody(&secret, &cost),
    };
    tokio::task::spawn_blocking(verify)
        .await
        .map_err(|e| Error::internal("password check").caused_by(e))?
}

fn locked(user: &UserSecret, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let until = user.locked_until.as_deref()?.parse::<DateTime<Utc>>().ok()?;
    (until > now).then_some(until)
}

fn lock_until(app: &App, failures: i64, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let rules = &app.rules.sign_in;
    let over = u32::try_from(failures).ok()?.checked_sub(rules.free_failures)?;
    let seconds = rules
        .first_lock_seconds
        .saturating_mul(2_u64.saturating_pow(over.min(20)))
        .min(rules.longest_lock_seconds);
    now.checked_add_signed(TimeDelta::seconds(i64::try_from(seconds).ok()?))
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
async fn actor_of(app: &App, user: &User) -> Result<Actor> {
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
    let actor = actor_of(app, &known.user).await?;
    Ok(Some(Session {
        token: token.to_owned(),
        csrf: row.csrf,
        user: known.user,
        actor,
        expires_at: row.expires_at,
    }))
}

/// Changes one's own password; all sessions end, one's own included.
pub async fn change_password(app: &App, op: &Op, old: &str, new: &str) -> Result<()> {
    let Some(known) = app.store.user_get(op.actor.id()).await? else {
        return Err(Error::of(Code::SignInRequired));
    };
    if !check(app, Some(&known), old.to_owned()).await? {
        let error =
            Error::new(Code::WrongCredentials, "原密码不正确", "the present password is wrong");
        audit::refused(app, op, "account.password", &known.user.name, &error).await?;
        return Err(error);
    }
    good_password(app, new, &known.user.name)?;
    let phc = hashed(app, new.to_owned()).await?;
    app.store.user_set_password(op, &known.user.id, &phc).await?;
    app.store.sessions_end(&known.user.id, None).await?;
    audit::record(app, audit::event(op, "account.password", &known.user.name)).await
}

async fn hashed(app: &App, secret: String) -> Result<String> {
    let cost = app.accounts.cost;
    tokio::task::spawn_blocking(move || password::hash(&secret, &cost))
        .await
        .map_err(|e| Error::internal("password hash").caused_by(e))?
}

fn good_password(app: &App, secret: &str, name: &str) -> Result<()> {
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

/// Opens an account.
pub async fn create_user(app: &App, op: &Op, new: UserNew) -> Result<User> {
    let name = new.name.trim().to_lowercase();
    let target = Target { org: new.org.clone(), ..Target::plain("User", &name) };
    let permit = audit::permit(app, op, Action::UserManage, &target).await?;
    let shape = (2..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if !shape {
        return Err(Error::invalid(
            "用户名为 2 至 64 位字母、数字、- _ .",
            "the user name has 2 to 64 letters, digits, - _ .",
        )
        .field("name", "请改写用户名", "rewrite the user name"));
    }
    if new.roles.is_empty() {
        return Err(Error::invalid("请至少选择一个角色", "choose at least one role")
            .field("roles", "必选", "required"));
    }
    let bodies =
        [Role::Authority, Role::Provider, Role::Reviewer, Role::Consumer, Role::Enterprise];
    if new.org.is_none() && new.roles.iter().any(|r| bodies.contains(r)) {
        return Err(Error::invalid("该角色须属于一个机构", "this role needs an organisation")
            .field("org", "必选", "required"));
    }
    if let Some(org) = &new.org {
        app.store.org_require(org).await?;
    }
    good_password(app, &new.password, &name)?;
    let user = User {
        id: op.new_id(),
        name,
        display_name: new.display_name.trim().to_owned(),
        org: new.org,
        roles: new.roles,
        active: true,
        created_at: op.stamp(),
    };
    let phc = hashed(app, new.password).await?;
    app.store.user_insert(&permit, &user, &phc).await?;
    audit::record(app, audit::event(op, "user.create", &user.name)).await?;
    Ok(user)
}

/// Closes or reopens an account; closing ends its sessions.
pub async fn set_user_active(app: &App, op: &Op, id: &str, active: bool) -> Result<User> {
    let known =
        app.store.user_get(id).await?.ok_or_else(|| Error::not_found("用户", "user", id))?;
    let target = Target { org: known.user.org.clone(), ..Target::plain("User", id) };
    let permit = audit::permit(app, op, Action::UserManage, &target).await?;
    if op.actor.id() == id && !active {
        return Err(Error::new(
            Code::RuleBroken,
            "不能停用自己的账号",
            "you cannot close your own account",
        ));
    }
    app.store.user_set_active(&permit, id, active).await?;
    let action = if active { "user.open" } else { "user.close" };
    audit::record(app, audit::event(op, action, &known.user.name)).await?;
    Ok(User { active, ..known.user })
}

/// Accounts, a page after `after`.
pub async fn users(app: &App, op: &Op, after: Option<&str>, limit: u32) -> Result<Page<User>> {
    audit::permit(app, op, Action::UserRead, &Target::plain("User", "users")).await?;
    let items = app.store.users_list(after, limit).await?;
    let full =
        items.len() >= usize::try_from(if limit == 0 { 50 } else { limit }).unwrap_or(usize::MAX);
    let next = if full { items.last().map(|u| u.id.clone()) } else { None };
    Ok(Page { items, next })
}
