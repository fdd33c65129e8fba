//! A longer term (延期): asked for by the owner of a sandbox before the present one is over, decided by the authority on its seat, and never
//! beyond what was agreed with the application.

use chrono::{Days, NaiveDate, TimeDelta};
use model::audit::AuditEvent;
use model::op::day_of;
use model::sandbox::{ExtensionState, Review, SandboxExtension};
use model::{Code, Error, Op, Result};
use policy::Action;

use super::{in_term, outlet, seen, tell};
use crate::project::Held;
use crate::project::room::{application, granted_or_stopped};
use crate::{App, audit};

/// Longest reason, characters.
const REASON: usize = 1000;
/// Extensions that are looked through for one that is not decided.
const LOOKED: u32 = 50;

/// Asks for a term until a day (`2026-12-31`).
pub async fn ask(
    app: &App,
    op: &Op,
    id: &str,
    until: &str,
    reason: &str,
) -> Result<SandboxExtension> {
    let held = seen(app, op, id).await?;
    let permit = audit::permit(app, op, Action::ProjectKeep, &held.target()).await?;
    in_term(&held, op)?;
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > REASON {
        return Err(Error::invalid(
            format!("请说明延期理由，最多 {REASON} 字"),
            format!("say in at most {REASON} characters why a longer term is needed"),
        )
        .field("reason", "请修改", "change it"));
    }
    let day: NaiveDate = until.trim().parse().map_err(|_| wrong_day(until))?;
    within(app, op, &held, day).await?;
    let before = app.store.sandbox_extensions(id, LOOKED).await?;
    if before.iter().any(|e| e.state == ExtensionState::Asked) {
        return Err(Error::new(
            Code::WrongState,
            "已有一份延期申请待审核",
            "an extension is under review already",
        ));
    }
    let extension = SandboxExtension {
        id: op.new_id(),
        project: id.to_owned(),
        from: until_of(&held),
        until: day.to_string(),
        reason: reason.to_owned(),
        state: ExtensionState::Asked,
        reviews: vec![Review::open("")],
        applicant: op.actor.id().to_owned(),
        applicant_name: op.actor.name().to_owned(),
        created_at: op.stamp(),
    };
    app.store.sandbox_extension_insert(&permit, &extension).await?;
    let event = AuditEvent {
        purpose: extension.reason.clone(),
        scope: format!("sandbox {id} {} → {}", extension.from, extension.until),
        ..audit::event(op, "sandbox.extension.ask", &extension.id)
    };
    audit::record(app, event).await?;
    let words = format!("{} → {}", extension.from, extension.until);
    tell::seats(app, op, &held.project, &extension.reviews, &extension.id, &words).await;
    Ok(extension)
}

fn until_of(held: &Held) -> String {
    held.project.sandbox.as_ref().map(|terms| terms.until.clone()).unwrap_or_default()
}

fn wrong_day(text: &str) -> Error {
    let shown: String = text.chars().take(40).collect();
    Error::invalid(
        format!("`{shown}` 不是有效日期（YYYY-MM-DD）"),
        format!("`{shown}` is not a date (YYYY-MM-DD)"),
    )
    .field("until", "请改选日期", "choose another day")
}

/// Fails unless the term may last until a day: longer than now, no longer than a sandbox may have from today on, and within what every
/// resource that it includes was agreed for.
pub(super) async fn within(app: &App, op: &Op, held: &Held, until: NaiveDate) -> Result<()> {
    let refuse = |zh: String, en: String| {
        Err(Error::new(Code::RuleBroken, zh, en).field("until", "请改选日期", "choose another day"))
    };
    let from = until_of(held);
    if until.to_string() <= from {
        return refuse(
            format!("延期后的期限须晚于现期限 {from}"),
            format!("the longer term ends after the present one, {from}"),
        );
    }
    let most = app.rules.sandbox.term_days;
    if op.today().checked_add_days(Days::new(most)).is_some_and(|last| until > last) {
        return refuse(
            format!("延期后的期限自今日起至多 {most} 天"),
            format!("the term is {most} days from today on at most"),
        );
    }
    let own = application(app, held, &op.source).await?;
    let (now, stopped) = granted_or_stopped(app, held, &own).await?;
    let missing = held.project.entries.iter().find(|e| !now.iter().any(|t| t.grant.code() == *e));
    if let Some(stop) = missing.and_then(|code| stopped.of(code)) {
        return Err(stop);
    }
    if now.is_empty() || missing.is_some() {
        let code = missing.map(String::as_str).unwrap_or("-");
        return refuse(
            format!("沙箱所含资源 `{code}` 已没有有效授权，不能延期；请先续期协议或移出该资源"),
            format!(
                "`{code}`, which the sandbox includes, is not granted any more: renew the agreement or take it out first"
            ),
        );
    }
    let Some(last) = agreed_until(&now) else { return Ok(()) };
    if until > last {
        return refuse(
            format!("沙箱期限不能超过授权协议的期限 {last}"),
            format!("the term cannot go beyond the agreement's, which ends on {last}"),
        );
    }
    Ok(())
}

/// The last day on which everything that a sandbox includes is granted; nothing where it is for long.
pub(super) fn agreed_until(now: &[policy::port::SqlTable]) -> Option<NaiveDate> {
    let end = outlet::first_end(now)?;
    day_of(&model::op::stamp(end - TimeDelta::milliseconds(1)))
}
