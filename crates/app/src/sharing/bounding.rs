//! The desk of bounds: who looks at them, who sets them.

use guard::addresses::Addresses;
use model::bounds::{Bounds, BoundsKind};
use model::halt::HaltKind;
use model::{Error, Op, Result};
use policy::{Action, Target};
use serde::Serialize;
use store::bounds::BoundsRow;

use crate::halt::{self, HaltView};
use crate::{App, account, audit, catalogue};

/// What is set for a thing, as its reader sees it.
#[derive(Clone, Debug, Serialize)]
pub struct BoundsView {
    pub kind: BoundsKind,
    pub holder: String,
    pub title: String,
    /// What people know it by.
    pub code: String,
    pub bounds: Bounds,
    /// Nobody has set anything: these are the defaults of the rules.
    pub default: bool,
    pub set_at: String,
    pub set_by: String,
    pub may_set: bool,
    pub may_halt: bool,
    /// The stop the thing is under.
    pub halt: Option<HaltView>,
    /// Items that may name a subject, with their titles.
    pub items: Vec<(String, String)>,
}

struct Holder {
    target: Target,
    id: String,
    title: String,
    code: String,
    items: Vec<(String, String)>,
    halt: (HaltKind, String),
}

/// What bounds calls of an application, by a share application, or of a resource; who set it by the name shown.
pub async fn bounds(app: &App, op: &Op, kind: BoundsKind, id: &str) -> Result<BoundsView> {
    let holder = holder(app, op, kind, id).await?;
    let mut row = app.store.bounds_get(kind, &holder.id).await?;
    account::logins_named(app, row.iter_mut().map(|r| &mut r.set_by).collect()).await?;
    let defaults = &app.rules.bounds.default;
    let default = match kind {
        BoundsKind::Application => &defaults.application,
        BoundsKind::Request => &defaults.request,
        BoundsKind::Entry => &defaults.entry,
    };
    let (halted, which) = (halt::of(app, holder.halt.0, &holder.halt.1).await?, holder.halt.0);
    Ok(BoundsView {
        kind,
        may_set: app.may(op, Action::BoundsSet, &holder.target),
        may_halt: kind != BoundsKind::Request && halt::may_halt(app, op, which),
        halt: halted,
        holder: holder.id,
        title: holder.title,
        code: holder.code,
        default: row.is_none(),
        set_at: row.as_ref().map(|r| r.set_at.clone()).unwrap_or_default(),
        set_by: row.as_ref().map(|r| r.set_by.clone()).unwrap_or_default(),
        bounds: row.map_or_else(|| default.clone(), |r| r.bounds),
        items: holder.items,
    })
}

/// Sets them; every process keeps to them within a second, this one at once.
pub async fn set_bounds(
    app: &App,
    op: &Op,
    kind: BoundsKind,
    id: &str,
    bounds: Bounds,
) -> Result<()> {
    let holder = holder(app, op, kind, id).await?;
    let permit = audit::permit(app, op, Action::BoundsSet, &holder.target).await?;
    check(app, kind, &holder, &bounds)?;
    let row = BoundsRow {
        kind,
        holder: holder.id,
        bounds,
        set_at: op.stamp(),
        set_by: op.actor.name().to_owned(),
    };
    app.store.bounds_set(&permit, &row).await?;
    app.shares.forget();
    let mut event = audit::event(op, "bounds.set", &holder.code);
    event.scope = format!("{kind} {}", row.holder);
    event.reason = serde_json::to_string(&row.bounds)
        .map_err(|e| Error::internal("cannot write JSON").caused_by(e))?;
    audit::record(app, event).await
}

fn check(app: &App, kind: BoundsKind, holder: &Holder, bounds: &Bounds) -> Result<()> {
    let rules = &app.rules.bounds;
    let wrong =
        |field: &str, zh: String, en: String| Error::invalid(&*zh, &*en).field(field, &*zh, &*en);
    if let Some(n) = bounds.concurrency
        && !(1..=rules.concurrency_most).contains(&n)
    {
        let most = rules.concurrency_most;
        return Err(wrong(
            "concurrency",
            format!("并发数为 1 至 {most}"),
            format!("calls at once are 1 to {most}"),
        ));
    }
    if bounds.addresses.len() > rules.addresses_most {
        let most = rules.addresses_most;
        return Err(wrong(
            "addresses",
            format!("地址最多 {most} 条"),
            format!("{most} addresses at most"),
        ));
    }
    if let Some(rate) = bounds.rate {
        let most = rules.rate_most;
        let fits = |n: u32| (1..=most).contains(&n);
        for (field, number) in [("rate", Some(rate.per_second)), ("burst", rate.burst)] {
            if number.is_some_and(|n| !fits(n)) {
                return Err(wrong(
                    field,
                    format!("每秒次数和突发次数为 1 至 {most}"),
                    format!("calls a second, and at once, are 1 to {most}"),
                ));
            }
        }
    }
    Addresses::parse(&bounds.addresses)?;
    if bounds.windows.len() > rules.windows_most {
        let most = rules.windows_most;
        return Err(wrong(
            "windows",
            format!("时段最多 {most} 条"),
            format!("{most} windows at most"),
        ));
    }
    if let Some(item) = &bounds.authorised {
        if kind == BoundsKind::Application {
            return Err(wrong(
                "authorised",
                "主体授权按资源或共享申请设定".into(),
                "authorisation by subjects is set for a resource or a share application".into(),
            ));
        }
        if !holder.items.iter().any(|(there, _)| there == item) {
            return Err(wrong(
                "authorised",
                format!("`{item}` 不是该资源的主键或查询项"),
                format!("`{item}` is no key or look-up item of the resource"),
            ));
        }
    }
    let Some(subject) = &bounds.subject else { return Ok(()) };
    if kind == BoundsKind::Application {
        return Err(wrong(
            "subject_item",
            "主体限次按资源或共享申请设定".into(),
            "a limit by subject is set for a resource or a share application".into(),
        ));
    }
    if !(1..=rules.per_day_most).contains(&subject.per_day) {
        let most = rules.per_day_most;
        return Err(wrong(
            "subject_per_day",
            format!("每日次数为 1 至 {most}"),
            format!("asks a day are 1 to {most}"),
        ));
    }
    if !holder.items.iter().any(|(item, _)| *item == subject.item) {
        return Err(wrong(
            "subject_item",
            format!("`{}` 不是该资源的主键或查询项", subject.item),
            format!("`{}` is no key or look-up item of the resource", subject.item),
        ));
    }
    Ok(())
}

/// The thing, if the caller may know of it.
async fn holder(app: &App, op: &Op, kind: BoundsKind, id: &str) -> Result<Holder> {
    match kind {
        BoundsKind::Application => {
            let found = account::application(app, op, id).await?;
            Ok(Holder {
                target: Target::application(&found),
                halt: (HaltKind::Application, found.id.clone()),
                id: found.id,
                title: found.name,
                code: found.key,
                items: Vec::new(),
            })
        }
        BoundsKind::Request => {
            let found = super::get(app, op, id).await?;
            Ok(Holder {
                target: Target::request(&found),
                title: format!("{} · {}", found.application_name, found.entry_title),
                halt: (HaltKind::Entry, found.entry.clone()),
                items: subjects(app, &found.entry).await?,
                code: found.id.clone(),
                id: found.id,
            })
        }
        BoundsKind::Entry => {
            let found = catalogue::get(app, op, id).await?;
            Ok(Holder {
                target: Target::entry(&found),
                items: subjects(app, &found.id).await?,
                halt: (HaltKind::Entry, found.id.clone()),
                id: found.id,
                title: found.draft.title,
                code: found.draft.code,
            })
        }
    }
}

/// Items by which a record is asked for.
async fn subjects(app: &App, entry: &str) -> Result<Vec<(String, String)>> {
    let Some(entry) = app.store.entry_get(entry).await? else { return Ok(Vec::new()) };
    let items = entry.draft.items.into_iter().filter(|i| i.primary || i.lookup);
    Ok(items.map(|i| (i.identifier, i.name_cn)).collect())
}
