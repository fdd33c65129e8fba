//! Standing in: a person on leave lends their seats to another for some days; and whose place someone may act in.

use chrono::NaiveDate;
use model::account::Role;
use model::{Actor, Error, Op, Result};
use policy::{Action, Target};
use store::approval::Leave;

use crate::{App, audit};

/// Longest leave, days.
const LONGEST: i64 = 366;

fn target(op: &Op) -> Target {
    Target { owner: Some(op.actor.id().to_owned()), ..Target::plain("Approval", "leave") }
}

/// My leaves, newest first.
pub async fn leaves(app: &App, op: &Op) -> Result<Vec<Leave>> {
    app.store.leaves_of(op.actor.id()).await
}

/// Lends one's own seats to `stand_in` (login name) from one day to another, both included.
pub async fn lend(
    app: &App,
    op: &Op,
    stand_in: &str,
    from: &str,
    to: &str,
    reason: &str,
) -> Result<Leave> {
    let permit = audit::permit(app, op, Action::ApprovalLend, &target(op)).await?;
    let (from_day, to_day) = (day("from", from)?, day("to", to)?);
    if to_day < from_day || to_day < op.today() || (to_day - from_day).num_days() > LONGEST {
        return Err(Error::invalid(
            format!("委托的结束日期应不早于开始日期和今天，且不超过 {LONGEST} 天"),
            format!(
                "the last day must not lie before the first or today, nor {LONGEST} days after it"
            ),
        )
        .field("to", "请修改日期", "change the date"));
    }
    let person = someone(app, stand_in).await?;
    if person.id() == op.actor.id() {
        return Err(Error::invalid("不能委托给自己", "choose someone else").field(
            "user",
            "请选择他人",
            "choose someone else",
        ));
    }
    let leave = Leave {
        id: op.new_id(),
        owner: op.actor.id().to_owned(),
        stand_in: person.id().to_owned(),
        from_day: from_day.to_string(),
        to_day: to_day.to_string(),
        reason: reason.trim().to_owned(),
        created_at: op.stamp(),
        ended_at: None,
    };
    app.store.leave_insert(&permit, &leave).await?;
    let mut event = audit::event(op, "approval.lend", person.id());
    event.scope = format!("{} {}", leave.from_day, leave.to_day);
    event.reason.clone_from(&leave.reason);
    audit::record(app, event).await?;
    Ok(leave)
}

/// Takes one's seats back before the last day.
pub async fn end_leave(app: &App, op: &Op, id: &str) -> Result<()> {
    let permit = audit::permit(app, op, Action::ApprovalLend, &target(op)).await?;
    if !app.store.leave_end(&permit, op, id, op.actor.id()).await? {
        return Err(Error::not_found("委托", "leave", id));
    }
    audit::record(app, audit::event(op, "approval.lend_end", id)).await
}

fn day(field: &str, text: &str) -> Result<NaiveDate> {
    text.trim().parse().map_err(|_| {
        Error::invalid(
            format!("`{text}` 不是有效日期（YYYY-MM-DD）"),
            format!("`{text}` is not a date (YYYY-MM-DD)"),
        )
        .field(field, "请填写日期", "enter a date")
    })
}

/// A person by login name who may be drawn into an approval: open account, works for a public body.
pub(super) async fn someone(app: &App, name: &str) -> Result<Actor> {
    let unknown = || {
        Error::invalid(
            format!("没有可办理审批的人员 `{name}`"),
            format!("nobody of the login name `{name}` can answer approvals"),
        )
        .field(
            "user",
            "请填写在用的工作人员用户名",
            "enter the login name of someone who works here",
        )
    };
    let known = app.store.user_by_name(&name.trim().to_lowercase()).await?.ok_or_else(unknown)?;
    let works = known.user.roles.iter().any(|r| !matches!(r, Role::Enterprise | Role::Citizen));
    if !known.user.active || !works {
        return Err(unknown());
    }
    actor(app, known.user).await
}

/// Persons in whose place the caller may act today (their accounts must be open).
pub(super) async fn stands_in_for(app: &App, op: &Op) -> Result<Vec<Actor>> {
    let mut all = Vec::new();
    for leave in app.store.leaves_for(op.actor.id(), &op.today().to_string()).await? {
        if let Some(owner) = app.store.user_get(&leave.owner).await?
            && owner.user.active
        {
            all.push(actor(app, owner.user).await?);
        }
    }
    Ok(all)
}

async fn actor(app: &App, user: model::account::User) -> Result<Actor> {
    let region = match &user.org {
        Some(org) => app.store.org_get(org).await?.map(|o| o.region),
        None => None,
    };
    Ok(Actor::User {
        id: user.id,
        name: user.display_name,
        org: user.org,
        region,
        roles: user.roles,
    })
}
