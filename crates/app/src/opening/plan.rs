//! Yearly opening plans (年度开放计划): drawn up by a department, agreed to by the authority, read by everybody with what was done.

use std::collections::{HashMap, HashSet};

use model::account::Role;
use model::code::OpenType;
use model::openplan::{
    Assessment, LineFacts, OpenPlan, OpenPlanState, PlanLine, PlanLineState, check_lines,
};
use model::region;
use model::voice::plain;
use model::{Code, Error, Op, Result};
use policy::{Action, Target};
use serde::Serialize;
use store::openplan::OpenPlanFilter;

use super::tell;
use crate::notice::Told;
use crate::{App, Page, audit};

/// Longest title and basis, in characters.
const TITLE: usize = 100;
const BASIS: usize = 200;

/// A line with how far it is.
#[derive(Clone, Debug, Serialize)]
pub struct LineSeen {
    pub line: PlanLine,
    pub state: PlanLineState,
    pub late: bool,
    /// The newest risk check of its entry, for those who work on it.
    pub assessment: Option<String>,
}

/// Figures of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PlanFigures {
    pub lines: usize,
    pub open: usize,
    pub late: usize,
}

/// A plan with what was done of it.
#[derive(Clone, Debug, Serialize)]
pub struct PlanSeen {
    pub plan: OpenPlan,
    pub lines: Vec<LineSeen>,
    pub figures: PlanFigures,
    pub may_edit: bool,
    pub may_decide: bool,
}

/// Which plans a caller works on: of the own organisation, or of a region.
#[derive(Clone, Debug)]
pub struct PlanDesk {
    pub org: Option<String>,
    /// Prefix of the region's code.
    pub region: Option<String>,
    /// The caller may draw up plans; decides on them.
    pub keeps: bool,
    pub decides: bool,
}

fn missing(id: &str) -> Error {
    let shown: String = id.chars().take(64).collect();
    Error::not_found("开放计划", "opening plan", &shown)
}

fn target(plan: &OpenPlan) -> Target {
    Target::plan(&plan.id, &plan.org, &plan.region, &plan.submitted_by)
}

/// The caller's desk; refused for whoever has none.
pub async fn desk(app: &App, op: &Op) -> Result<PlanDesk> {
    let org = op.actor.org().unwrap_or_default();
    let region = op.actor.region().unwrap_or_default();
    let decides = app.may(op, Action::PlanReview, &Target::plan("desk", "", region, ""));
    let own = Target::plan("desk", org, region, "");
    let keeps = app.may(op, Action::PlanKeep, &own);
    if !decides {
        audit::permit(app, op, Action::PlanKeep, &own).await?;
    }
    let oversees = decides && op.actor.has(Role::Authority);
    Ok(PlanDesk {
        org: (!oversees).then(|| org.to_owned()),
        region: (oversees && !region.is_empty()).then(|| region::prefix(region).to_owned()),
        keeps,
        decides,
    })
}

/// Whether the caller has a desk for plans.
#[must_use]
pub fn has_desk(app: &App, op: &Op) -> bool {
    let region = op.actor.region().unwrap_or_default();
    let own = Target::plan("desk", op.actor.org().unwrap_or_default(), region, "");
    app.may(op, Action::PlanKeep, &own)
        || app.may(op, Action::PlanReview, &Target::plan("desk", "", region, ""))
}

/// Begins the plan of the caller's organisation for a year.
pub async fn begin_plan(app: &App, op: &Op, year: i32) -> Result<OpenPlan> {
    let org = op.actor.org().unwrap_or_default().to_owned();
    let held = app.store.org_get(&org).await?;
    let region = held.map(|o| o.region).unwrap_or_default();
    let permit =
        audit::permit(app, op, Action::PlanKeep, &Target::plan("new", &org, &region, "")).await?;
    let this = chrono::Datelike::year(&op.today());
    if !(this - 1..=this + 1).contains(&year) {
        return Err(Error::invalid(
            format!("年度应为 {} 至 {}", this - 1, this + 1),
            format!("the year is {} to {}", this - 1, this + 1),
        )
        .field("year", "请修改年度", "change the year"));
    }
    let plan = OpenPlan {
        id: op.new_id(),
        year,
        org,
        region,
        state: OpenPlanState::Draft,
        lines: Vec::new(),
        writer: op.actor.id().to_owned(),
        created_at: op.stamp(),
        submitted_by: String::new(),
        submitted_at: String::new(),
        decided_by: String::new(),
        decided_at: String::new(),
        reason: String::new(),
        edit: 1,
    };
    app.store.open_plan_insert(&permit, &plan).await?;
    audit::record(app, audit::event(op, "opening.plan", &plan.id)).await?;
    Ok(plan)
}

/// Writes the lines of a plan that is being drawn up. `seen`: the edit that the caller saw.
pub async fn write_plan(
    app: &App,
    op: &Op,
    id: &str,
    lines: Vec<PlanLine>,
    seen: u64,
) -> Result<OpenPlan> {
    let mut plan = held(app, op, id).await?;
    let permit = audit::permit(app, op, Action::PlanKeep, &target(&plan)).await?;
    if !matches!(plan.state, OpenPlanState::Draft | OpenPlanState::Returned) {
        return Err(wrong_state(&plan));
    }
    let mut tidied = Vec::with_capacity(lines.len());
    for (n, line) in lines.into_iter().enumerate() {
        let field = |name: &str| format!("{name}-{n}");
        let title = plain(&field("title"), ("名称", "title"), &line.title, 0, TITLE)?;
        let basis = plain(&field("basis"), ("依据", "basis"), &line.basis, 0, BASIS)?;
        let code = line.code.trim().to_owned();
        let title = if code.is_empty() {
            title
        } else {
            let entry = own_entry(app, op, &plan.org, &code, &field("code")).await?;
            if title.is_empty() { entry.draft.title } else { title }
        };
        let ground = line.ground.filter(|_| line.attribute == OpenType::None);
        tidied.push(PlanLine { code, title, basis, ground, ..line });
    }
    check_lines(plan.year, &tidied)?;
    plan.lines = tidied;
    plan.edit = seen + 1;
    app.store.open_plan_update(&permit, &plan, seen).await?;
    audit::record(app, audit::event(op, "opening.plan-write", &plan.id)).await?;
    Ok(plan)
}

async fn own_entry(
    app: &App,
    op: &Op,
    org: &str,
    code: &str,
    field: &str,
) -> Result<model::entry::Entry> {
    let unknown = || {
        let shown: String = code.chars().take(80).collect();
        Error::invalid(
            format!("本单位没有编码为 `{shown}` 的目录；尚未编目的请留空编码"),
            format!("your organisation has no entry `{shown}`; leave the code empty for what is still to be compiled"),
        )
        .field(field, "请核对编码", "check the code")
    };
    match crate::catalogue::visible(app, op, code).await {
        Ok(held) if held.entry.draft.org == org && held.entry.draft.code == code => Ok(held.entry),
        Ok(_) => Err(unknown()),
        Err(e) if e.code() == Code::NotFound => Err(unknown()),
        Err(e) => Err(e),
    }
}

/// Hands a plan in.
pub async fn submit_plan(app: &App, op: &Op, id: &str) -> Result<OpenPlan> {
    let mut plan = held(app, op, id).await?;
    let permit = audit::permit(app, op, Action::PlanKeep, &target(&plan)).await?;
    if !matches!(plan.state, OpenPlanState::Draft | OpenPlanState::Returned) {
        return Err(wrong_state(&plan));
    }
    check_lines(plan.year, &plan.lines)?;
    let seen = plan.edit;
    plan.edit += 1;
    plan.state = OpenPlanState::Submitted;
    op.actor.id().clone_into(&mut plan.submitted_by);
    plan.submitted_at = op.stamp();
    app.store.open_plan_update(&permit, &plan, seen).await?;
    audit::record(app, audit::event(op, "opening.plan-submit", &plan.id)).await?;
    tell::authorities(app, op, told(app, "plan.filed", &plan, "").await).await;
    Ok(plan)
}

/// The authority agrees, by which the plan is public, or sends it back with a reason.
pub async fn decide_plan(
    app: &App,
    op: &Op,
    id: &str,
    agree: bool,
    reason: &str,
) -> Result<OpenPlan> {
    let mut plan = held(app, op, id).await?;
    let permit = audit::permit(app, op, Action::PlanReview, &target(&plan)).await?;
    if plan.state != OpenPlanState::Submitted {
        return Err(wrong_state(&plan));
    }
    let least = if agree { 0 } else { 2 };
    plan.reason = plain("reason", ("意见", "reason"), reason, least, 500)?;
    let seen = plan.edit;
    plan.edit += 1;
    plan.state = if agree { OpenPlanState::Agreed } else { OpenPlanState::Returned };
    op.actor.name().clone_into(&mut plan.decided_by);
    plan.decided_at = op.stamp();
    app.store.open_plan_update(&permit, &plan, seen).await?;
    let word = if agree { "opening.plan-agree" } else { "opening.plan-return" };
    let mut event = audit::event(op, word, &plan.id);
    event.reason.clone_from(&plan.reason);
    audit::record(app, event).await?;
    let words = format!("{} {}", plan.state.zh(), plan.reason);
    tell::department(app, op, &plan.org, told(app, "plan.decided", &plan, words.trim()).await)
        .await;
    Ok(plan)
}

async fn told(app: &App, kind: &'static str, plan: &OpenPlan, words: &str) -> Told {
    let org = app.store.org_get(&plan.org).await.ok().flatten();
    let name = org.map_or_else(|| plan.org.clone(), |o| o.name_cn);
    Told {
        mark: format!("{kind}:{}:{}", plan.id, plan.edit),
        kind,
        title: format!("{name} {}", plan.year),
        words: words.to_owned(),
        href: format!("/console/plans/{}", plan.id),
    }
}

fn wrong_state(plan: &OpenPlan) -> Error {
    Error::new(
        Code::WrongState,
        format!("开放计划“{}”，不能作此操作", plan.state.zh()),
        format!("the opening plan stands at `{}`", plan.state.en()),
    )
}

/// A plan for those who work on it; others do not find it.
async fn held(app: &App, op: &Op, id: &str) -> Result<OpenPlan> {
    let plan = app.store.open_plan_get(id).await?.ok_or_else(|| missing(id))?;
    let anyone = Target { owner: None, ..target(&plan) };
    let works = app.may(op, Action::PlanKeep, &anyone) || app.may(op, Action::PlanReview, &anyone);
    if works { Ok(plan) } else { Err(missing(id)) }
}

/// A plan at the caller's desk, with what may be done to it.
pub async fn plan(app: &App, op: &Op, id: &str) -> Result<PlanSeen> {
    let plan = held(app, op, id).await?;
    let known = Known::of(app, std::slice::from_ref(&plan)).await?;
    Ok(known.seen(app, op, plan, true))
}

/// Plans at the caller's desk, newest first. *constant page*.
pub async fn plans_desk(
    app: &App,
    op: &Op,
    state: Option<OpenPlanState>,
    before: Option<&str>,
    limit: u32,
) -> Result<Page<OpenPlan>> {
    let desk = desk(app, op).await?;
    let limit = if limit == 0 { 50 } else { limit.min(200) };
    let filter = OpenPlanFilter {
        org: desk.org.as_deref(),
        region: desk.region.as_deref(),
        state: state.map(OpenPlanState::as_str),
        before,
        limit: limit + 1,
        ..OpenPlanFilter::default()
    };
    Ok(Page::cut(app.store.open_plan_list(&filter).await?, limit, |p| p.id.clone()))
}

/// Published plans with what was done, newest first. *constant page*.
pub async fn plans(
    app: &App,
    op: &Op,
    year: Option<i32>,
    org: Option<&str>,
    before: Option<&str>,
    limit: u32,
) -> Result<Page<PlanSeen>> {
    let limit = if limit == 0 { 20 } else { limit.min(50) };
    let filter = OpenPlanFilter {
        year,
        org,
        before,
        state: Some(OpenPlanState::Agreed.as_str()),
        limit: limit + 1,
        ..OpenPlanFilter::default()
    };
    let page = Page::cut(app.store.open_plan_list(&filter).await?, limit, |p| p.id.clone());
    let known = Known::of(app, &page.items).await?;
    let items = page.items.into_iter().map(|plan| known.seen(app, op, plan, false)).collect();
    Ok(Page { items, next: page.next })
}

/// Years with published plans, newest first.
pub async fn plan_years(app: &App, _op: &Op) -> Result<Vec<i64>> {
    app.store.open_plan_years().await
}

/// A published plan as everybody reads it. Others are not found.
pub async fn plan_public(app: &App, op: &Op, id: &str) -> Result<PlanSeen> {
    let plan = app.store.open_plan_get(id).await?.ok_or_else(|| missing(id))?;
    if plan.state != OpenPlanState::Agreed {
        return Err(missing(id));
    }
    let known = Known::of(app, std::slice::from_ref(&plan)).await?;
    Ok(known.seen(app, op, plan, false))
}

/// What is known of the data sets of plans, by code; looked up for all of them together.
struct Known {
    open: HashSet<String>,
    /// Was open and is not, with a note.
    withdrawn: HashSet<String>,
    checks: HashMap<String, Assessment>,
}

impl Known {
    async fn of(app: &App, plans: &[OpenPlan]) -> Result<Self> {
        let lines = plans.iter().flat_map(|p| &p.lines);
        let mut codes: Vec<String> =
            lines.map(|l| l.code.clone()).filter(|c| !c.is_empty()).collect();
        codes.sort();
        codes.dedup();
        Ok(Self {
            open: app.store.entry_open_among(&codes).await?,
            withdrawn: app.store.withdrawn_among(&codes).await?,
            checks: app.store.assessments_among(&codes).await?,
        })
    }

    fn seen(&self, app: &App, op: &Op, mut plan: OpenPlan, inside: bool) -> PlanSeen {
        let today = op.today();
        let mut lines = Vec::with_capacity(plan.lines.len());
        for line in &plan.lines {
            let check = self.checks.get(&line.code);
            let state = line.state(LineFacts {
                open: self.open.contains(&line.code),
                withdrawn: self.withdrawn.contains(&line.code),
                assessment: check.map(|a| a.state),
            });
            lines.push(LineSeen {
                late: line.late(state, today),
                state,
                assessment: check.filter(|_| inside).map(|a| a.id.clone()),
                line: line.clone(),
            });
        }
        let figures = PlanFigures {
            lines: lines.len(),
            open: lines.iter().filter(|l| l.state == PlanLineState::Open).count(),
            late: lines.iter().filter(|l| l.late).count(),
        };
        let drawn = matches!(plan.state, OpenPlanState::Draft | OpenPlanState::Returned);
        let may_edit = inside && drawn && app.may(op, Action::PlanKeep, &target(&plan));
        let may_decide = inside
            && plan.state == OpenPlanState::Submitted
            && app.may(op, Action::PlanReview, &target(&plan));
        if !inside {
            // Who drew it up is not the public's business; nor is the code of what is not open.
            plan.writer.clear();
            plan.submitted_by.clear();
            plan.decided_by.clear();
            plan.reason.clear();
            for line in &mut plan.lines {
                if !self.open.contains(&line.code) {
                    line.code.clear();
                }
            }
            for seen in &mut lines {
                if !matches!(seen.state, PlanLineState::Open | PlanLineState::Withdrawn) {
                    seen.line.code.clear();
                }
            }
        }
        PlanSeen { plan, lines, figures, may_edit, may_decide }
    }
}
