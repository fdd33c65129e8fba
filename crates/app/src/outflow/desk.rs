//! What people do with outflows. The body that receives keeps them (`outflow.keep`); it and the body that provides see them.

use model::audit::AuditEvent;
use model::op::stamp;
use model::outflow::OutflowFigures;
use model::outflow::{Outflow, OutflowDay, OutflowNew, OutflowState, OutflowWish};
use model::request::Request;
use model::{Code, Error, Op, Result};
use policy::port::{OutletAddress, OutletSurvey};
use policy::{Action, Permit, Target};
use serde::Serialize;
use store::outflow::OutflowRecord;

use super::deliver::address;
use super::granted::{self, Granted};
use super::place::Place;
use super::receiver::{self, Keeping, Offer};
use super::work;
use crate::{App, Page, audit, collection};

/// Who keeps outflows.
const KEEPING: Keeping =
    (Action::OutflowKeep, |provider, org| Target::outflow("outflows", provider, org));

/// An outflow to be shown.
#[derive(Clone, Debug, Serialize)]
pub struct OutflowView {
    #[serde(flatten)]
    pub outflow: Outflow,
    pub figures: OutflowFigures,
    /// The target is being filled anew.
    pub anew: bool,
    /// What went out on the last days.
    pub days: Vec<OutflowDay>,
    /// The caller may pause, resume or remove it.
    pub keeps: bool,
}

impl OutflowView {
    /// Whether it waits for a person.
    #[must_use]
    pub fn waits(&self) -> bool {
        matches!(self.figures.state, OutflowState::Ended | OutflowState::Refused)
    }
}

/// A page of outflows.
pub type OutflowPage = Page<OutflowView>;

/// What would flow, and what stands in the way at the target.
#[derive(Clone, Debug)]
pub struct Outline {
    /// `identifier`, name, mask, key.
    pub columns: Vec<(String, String, String, bool)>,
    /// Rows of this region only; empty: all of the entry's.
    pub area: String,
    pub survey: OutletSurvey,
}

/// Rows at the target and rows granted, at the same version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OutflowCheck {
    pub version: i64,
    pub target_rows: u64,
    pub granted_rows: u64,
    pub equal: bool,
}

/// Whether the caller keeps outflows of its organisation (to show or hide a link).
#[must_use]
pub fn may_keep(app: &App, op: &Op) -> bool {
    receiver::may_keep(app, op, KEEPING)
}

/// Outflows that the caller's organisation provides or receives; all of them for the authority and the platform.
pub async fn list(app: &App, op: &Op, after: Option<&str>, limit: u32) -> Result<OutflowPage> {
    let strange = Target::outflow("outflows", "-", "-");
    let all = app.policy.decide(op, Action::OutflowRead, &strange).allowed;
    let own = op.actor.org().unwrap_or_default().to_owned();
    if !all {
        let target = Target::outflow("outflows", &own, &own);
        audit::permit(app, op, Action::OutflowRead, &target).await?;
    }
    let limit = if limit == 0 { 50 } else { limit.min(200) };
    let scope = (!all).then_some(own.as_str());
    let records = app.store.outflow_list(scope, after, limit + 1).await?;
    let Page { items: records, next } = Page::cut(records, limit, |r| r.outflow.id.clone());
    let items = records
        .into_iter()
        .filter(|r| app.policy.decide(op, Action::OutflowRead, &target(&r.outflow)).allowed)
        .map(|r| view(app, op, r, Vec::new()))
        .collect();
    Ok(Page { items, next })
}

fn target(outflow: &Outflow) -> Target {
    Target::outflow(&outflow.id, &outflow.provider, &outflow.org)
}

fn view(app: &App, op: &Op, record: OutflowRecord, days: Vec<OutflowDay>) -> OutflowView {
    let keeps = app.policy.decide(op, Action::OutflowKeep, &target(&record.outflow)).allowed;
    let OutflowRecord { outflow, figures, anew, .. } = record;
    OutflowView { outflow, figures, anew, days, keeps }
}

/// One outflow. One that the caller may not see is not found.
pub async fn get(app: &App, op: &Op, id: &str) -> Result<OutflowView> {
    let (record, _) = known(app, op, id, Action::OutflowRead).await?;
    let days = app.store.outflow_days(id, 14).await?;
    Ok(view(app, op, record, days))
}

async fn known(app: &App, op: &Op, id: &str, action: Action) -> Result<(OutflowRecord, Permit)> {
    let missing = || Error::not_found("回流", "outflow", id);
    let record = app.store.outflow_get(id).await?.ok_or_else(missing)?;
    let target = target(&record.outflow);
    match app.policy.permit(op, action, &target) {
        Ok(permit) => Ok((record, permit)),
        Err(refusal) => {
            audit::refused(app, op, action.as_str(), id, &refusal).await?;
            // Who may see it is told that it may not be changed.
            match app.policy.decide(op, Action::OutflowRead, &target).allowed {
                true => Err(refusal),
                false => Err(missing()),
            }
        }
    }
}

/// Approved share applications of the caller's organisation, newest first, and whether an outflow can be made from each.
pub async fn offers(app: &App, op: &Op, after: Option<&str>, limit: u32) -> Result<Page<Offer>> {
    let wanted = granted::Wanted::Flow { items: &[] };
    receiver::offers(app, op, KEEPING, (after, limit), |_| true, wanted).await
}

/// What an outflow would be, with the permit to make it.
struct Wanted {
    request: Request,
    granted: Granted,
    outflow: Outflow,
    url: String,
    permit: Permit,
}

async fn wanted(app: &App, op: &Op, new: &OutflowNew) -> Result<Wanted> {
    let (request, permit) = receiver::agreed(app, op, KEEPING, &new.request).await?;
    let flow = granted::Wanted::Flow { items: &new.items };
    let granted = granted::by_request(app, &request, flow).await?;
    let (source, url) = collection::source::outlet(app, op, &new.source).await?;
    if source.org != request.org {
        return Err(Error::not_found("数据源", "data source", &new.source));
    }
    let org = app.store.org_require(&request.org).await?;
    let table = match new.table.trim() {
        "" => request.entry_code.clone(),
        table => table.to_owned(),
    };
    let outflow = Outflow {
        id: op.new_id(),
        org: request.org.clone(),
        org_name: org.name_cn,
        region: org.region,
        provider: request.provider.clone(),
        entry: request.entry.clone(),
        entry_code: request.entry_code.clone(),
        entry_title: request.entry_title.clone(),
        request: request.id.clone(),
        application: request.application.clone(),
        application_name: request.application_name.clone(),
        items: new.items.clone(),
        place: source.place(),
        source: source.id,
        source_name: source.name,
        table,
        wish: OutflowWish::Run,
        created_at: op.stamp(),
        created_by: op.actor.name().to_owned(),
    };
    Ok(Wanted { request, granted, outflow, url: url.to_string(), permit })
}

impl Wanted {
    async fn survey(&self, app: &App) -> Result<OutletSurvey> {
        let at = OutletAddress {
            url: self.url.clone(),
            flow: self.outflow.id.clone(),
            table: self.outflow.table.clone(),
        };
        app.outflows.port.survey(&at, &self.granted.columns).await
    }
}

/// What would flow and what stands in the way. Nothing is changed anywhere.
pub async fn check(app: &App, op: &Op, new: &OutflowNew) -> Result<Outline> {
    let wanted = wanted(app, op, new).await?;
    let survey = wanted.survey(app).await?;
    let grant = &wanted.granted.grant;
    Ok(Outline {
        columns: receiver::columns(&wanted.granted),
        area: match grant.row_filter() {
            Some(_) if wanted.request.area_range.is_empty() => wanted.outflow.region.clone(),
            Some(_) => wanted.request.area_range.clone(),
            None => String::new(),
        },
        survey,
    })
}

/// Makes an outflow; it begins within a second or so. What stands in the way is told and nothing is made.
pub async fn create(app: &App, op: &Op, new: &OutflowNew) -> Result<OutflowView> {
    let wanted = wanted(app, op, new).await?;
    let survey = wanted.survey(app).await?;
    receiver::ready(&survey)?;
    app.store.outflow_insert(&wanted.permit, &wanted.outflow).await?;
    record(app, op, "outflow.create", &wanted.outflow, wanted.granted.masks.clone()).await?;
    get(app, op, &wanted.outflow.id).await
}

/// Lets an outflow rest where it stands.
pub async fn pause(app: &App, op: &Op, id: &str) -> Result<()> {
    let (record, permit) = known(app, op, id, Action::OutflowKeep).await?;
    let outflow = Outflow { wish: OutflowWish::Pause, ..record.outflow };
    app.store.outflow_update(&permit, &outflow).await?;
    self::record(app, op, "outflow.pause", &outflow, String::new()).await
}

/// Goes on from where the target stands; refused when it is not granted.
pub async fn resume(app: &App, op: &Op, id: &str) -> Result<()> {
    let (record, permit) = known(app, op, id, Action::OutflowKeep).await?;
    granted::of(app, &record.outflow, None).await?;
    let outflow = Outflow { wish: OutflowWish::Run, ..record.outflow };
    app.store.outflow_update(&permit, &outflow).await?;
    app.outflows.following.at_once(id);
    self::record(app, op, "outflow.resume", &outflow, String::new()).await
}

/// Has the target filled anew, in one transaction in place of what it holds.
pub async fn anew(app: &App, op: &Op, id: &str) -> Result<()> {
    let (record, permit) = known(app, op, id, Action::OutflowKeep).await?;
    granted::of(app, &record.outflow, None).await?;
    app.store.outflow_anew(&permit, id, true).await?;
    let outflow = Outflow { wish: OutflowWish::Run, ..record.outflow };
    app.store.outflow_update(&permit, &outflow).await?;
    app.outflows.following.at_once(id);
    app.outflows.ring(&outflow.entry_code);
    self::record(app, op, "outflow.anew", &outflow, String::new()).await
}

/// Counts the rows at the target and those that the grant shows at the same version, and keeps both.
pub async fn compare(app: &App, op: &Op, id: &str) -> Result<OutflowCheck> {
    let (record, _) = known(app, op, id, Action::OutflowRead).await?;
    let outflow = record.outflow;
    let granted = granted::of(app, &outflow, None).await?;
    let at = address(app, &outflow).await?;
    let mut line = app.outflows.port.open(&granted.grant, &at, &granted.columns).await?;
    let vault = app.keys.vault();
    // It may move while it is counted.
    for _ in 0..10 {
        let before = line.position().await?;
        let target_rows = line.count().await?;
        if line.position().await? != before {
            continue;
        }
        let place = before.and_then(|text| Place::of_text(&vault, id, &text));
        let Some(Place::Level { version, shape }) = place else { break };
        if shape != granted.shape {
            break;
        }
        let granted_rows = app.lake.granted(&granted.grant, version).await?;
        let equal = target_rows == granted_rows;
        let at = stamp(app.now());
        let permit = work::permit(app).await?;
        app.store.outflow_counted(&permit, id, target_rows, granted_rows, &at).await?;
        let scope = format!("version {version} target {target_rows} granted {granted_rows}");
        self::record(app, op, "outflow.compare", &outflow, scope).await?;
        return Ok(OutflowCheck { version, target_rows, granted_rows, equal });
    }
    Err(Error::new(
        Code::WrongState,
        "目标库正在首次投送或重新投送，完成后再核对",
        "the target is being filled; compare when that is done",
    ))
}

/// Ends an outflow. What it delivered stays at the target; its position there is forgotten, unless the target cannot be
/// reached and `force` is given.
pub async fn remove(app: &App, op: &Op, id: &str, force: bool) -> Result<()> {
    let (record, permit) = known(app, op, id, Action::OutflowKeep).await?;
    let outflow = Outflow { wish: OutflowWish::Pause, ..record.outflow };
    app.store.outflow_update(&permit, &outflow).await?;
    receiver::forget(app, &address(app, &outflow).await?, force).await?;
    app.store.outflow_delete(&permit, id).await?;
    self::record(app, op, "outflow.remove", &outflow, if force { "force" } else { "" }.into()).await
}

async fn record(app: &App, op: &Op, word: &str, outflow: &Outflow, scope: String) -> Result<()> {
    let event = AuditEvent {
        scope,
        request: outflow.request.clone(),
        reason: format!(
            "{} → {} {} {}",
            outflow.entry_code, outflow.org_name, outflow.place, outflow.table
        ),
        ..audit::event(op, word, &outflow.id)
    };
    audit::record(app, event).await
}
