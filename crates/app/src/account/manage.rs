//! What a system administrator does with accounts: open, close, change roles, give a one-time password, unlock.

use chrono::TimeDelta;
use guard::keys;
use model::account::{Account, OneTimePassword, Role, User, UserChange, UserNew};
use model::{Code, Error, Op, Result, op};
use policy::{Action, Permit, Target};

use super::attempt::{self, hashed};
use super::person::good_password;
use crate::{App, Page, audit, realname};

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
    fitting(app, &new.roles, new.org.as_deref()).await?;
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

/// Roles and organisation must fit together.
async fn fitting(app: &App, roles: &[Role], org: Option<&str>) -> Result<()> {
    if roles.is_empty() {
        return Err(Error::invalid("请至少选择一个角色", "choose at least one role")
            .field("roles", "必选", "required"));
    }
    let bodies =
        [Role::Authority, Role::Provider, Role::Reviewer, Role::Consumer, Role::Enterprise];
    match org {
        None if roles.iter().any(|r| bodies.contains(r)) => {
            Err(Error::invalid("该角色须属于一个机构", "this role needs an organisation")
                .field("org", "必选", "required"))
        }
        None => Ok(()),
        Some(org) => app.store.org_require(org).await.map(|_| ()),
    }
}

async fn managed(app: &App, op: &Op, id: &str) -> Result<(User, Permit)> {
    // Who may not manage accounts does not learn which there are.
    let known = app.store.user_get(id).await?.map(|k| k.user);
    let org = known.as_ref().and_then(|u| u.org.clone());
    let target = Target { org, ..Target::plain("User", id) };
    let permit = audit::permit(app, op, Action::UserManage, &target).await?;
    let user = known.ok_or_else(|| Error::not_found("用户", "user", id))?;
    Ok((user, permit))
}

fn not_oneself(op: &Op, id: &str, zh: &str, en: &str) -> Result<()> {
    match op.actor.id() == id {
        true => Err(Error::new(Code::RuleBroken, zh, en)),
        false => Ok(()),
    }
}

/// Closes or reopens an account; closing ends its sessions and tokens and stops its own applications.
pub async fn set_user_active(app: &App, op: &Op, id: &str, active: bool) -> Result<User> {
    let (user, permit) = managed(app, op, id).await?;
    if !active {
        not_oneself(op, id, "不能停用自己的账号", "you cannot close your own account")?;
    }
    app.store.user_set_active(&permit, id, active).await?;
    app.accounts.credentials.invalidate_all();
    let action = if active { "user.open" } else { "user.close" };
    audit::record(app, audit::event(op, action, &user.name)).await?;
    Ok(User { active, ..user })
}

/// Changes name shown, organisation and roles. Other roles or another organisation end the person's sessions and tokens: what a session may
/// do never grows while its id stays. Nobody changes their own roles: another administrator must.
pub async fn change_user(app: &App, op: &Op, id: &str, change: UserChange) -> Result<User> {
    let (user, permit) = managed(app, op, id).await?;
    let mut roles = change.roles;
    roles.sort_unstable();
    roles.dedup();
    let mut had = user.roles.clone();
    had.sort_unstable();
    let other = roles != had || change.org != user.org;
    if other {
        not_oneself(
            op,
            id,
            "不能修改自己的角色和单位，须由另一名系统管理员办理",
            "you cannot change your own roles and organisation: another administrator must",
        )?;
    }
    fitting(app, &roles, change.org.as_deref()).await?;
    let display_name = change.display_name.trim();
    if display_name.is_empty() || display_name.chars().count() > 100 {
        return Err(Error::invalid(
            "显示名为 1 至 100 个字",
            "the name shown has 1 to 100 characters",
        )
        .field("display_name", "必填", "required"));
    }
    let now =
        User { display_name: display_name.to_owned(), org: change.org, roles, ..user.clone() };
    app.store.user_change(&permit, &now, &op.stamp(), other).await?;
    let words = |u: &User| {
        let roles: Vec<&str> = u.roles.iter().map(|r| r.as_str()).collect();
        format!("{} {}", roles.join(","), u.org.as_deref().unwrap_or("-"))
    };
    let mut event = audit::event(op, "user.change", &user.name);
    event.scope = format!("{} → {}", words(&user), words(&now));
    audit::record(app, event).await?;
    Ok(now)
}

/// Gives a person who forgot their password a one-time one, shown once. It is good for some hours and opens nothing but
/// the page where it must be changed; sessions end and a lock-out is lifted.
pub async fn reset_password(app: &App, op: &Op, id: &str) -> Result<OneTimePassword> {
    let (user, permit) = managed(app, op, id).await?;
    not_oneself(
        op,
        id,
        "请在“我的账号”修改自己的密码",
        "change your own password on the page of your account",
    )?;
    let password = one_time()?;
    let phc = hashed(app, password.clone()).await?;
    let until = op::stamp(op.at + TimeDelta::hours(i64::from(app.rules.sign_in.one_time_hours)));
    app.store.user_reset(&permit, id, &phc, &until).await?;
    app.store.sign_in_forget(&attempt::key(&user.name)).await?;
    audit::record(app, audit::event(op, "user.reset_password", &user.name)).await?;
    Ok(OneTimePassword { user, password, until })
}

/// A password that can be read out: groups of letters and digits from 20 random bytes.
fn one_time() -> Result<String> {
    let token = keys::hex_token(10)?;
    let groups: Vec<&str> =
        token.as_bytes().chunks(5).filter_map(|g| std::str::from_utf8(g).ok()).collect();
    Ok(groups.join("-"))
}

/// Lifts a lock-out before its time.
pub async fn unlock(app: &App, op: &Op, id: &str) -> Result<User> {
    let (user, _permit) = managed(app, op, id).await?;
    app.store.sign_in_forget(&attempt::key(&user.name)).await?;
    audit::record(app, audit::event(op, "user.unlock", &user.name)).await?;
    Ok(user)
}

/// One account as its administrator sees it.
pub async fn account(app: &App, op: &Op, id: &str) -> Result<Account> {
    let found = app.store.user_get(id).await?;
    audit::permit(app, op, Action::UserRead, &Target::plain("User", id)).await?;
    let known = found.ok_or_else(|| Error::not_found("用户", "user", id))?;
    whole(app, op, known.user, known.one_time_until).await
}

async fn whole(app: &App, op: &Op, user: User, one_time_until: Option<String>) -> Result<Account> {
    let key = attempt::key(&user.name);
    let locked_until = app.store.sign_in_locked(&key, &op.stamp()).await?;
    let real_name = realname::of_account(app, &user).await?;
    Ok(Account { user, locked_until, one_time_until, real_name })
}

/// Accounts with their lock-outs, a page after `after`.
pub async fn accounts(
    app: &App,
    op: &Op,
    after: Option<&str>,
    limit: u32,
) -> Result<Page<Account>> {
    audit::permit(app, op, Action::UserRead, &Target::plain("User", "users")).await?;
    let found = app.store.users_list(after, limit).await?;
    let full =
        found.len() >= usize::try_from(if limit == 0 { 50 } else { limit }).unwrap_or(usize::MAX);
    let next = if full { found.last().map(|(u, _)| u.id.clone()) } else { None };
    let mut items = Vec::with_capacity(found.len());
    for (user, one_time_until) in found {
        items.push(whole(app, op, user, one_time_until).await?);
    }
    Ok(Page { items, next })
}

/// Accounts, a page after `after`.
pub async fn users(app: &App, op: &Op, after: Option<&str>, limit: u32) -> Result<Page<User>> {
    let page = accounts(app, op, after, limit).await?;
    Ok(Page { items: page.items.into_iter().map(|a| a.user).collect(), next: page.next })
}
