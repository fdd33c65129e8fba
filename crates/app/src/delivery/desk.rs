//! What people do with deliveries. The body that receives keeps them (`delivery.keep`); it and the body that provides see them and
//! their receipts.

use model::audit::AuditEvent;
use model::delivery::{
    Delivery, DeliveryCause, DeliveryCheck, DeliveryFigures, DeliveryKind, DeliveryNew,
    DeliveryPace, DeliveryState, DeliveryTurn,
};
use model::op::stamp;
use model::request::{Request, RequestState};
use model::{Code, Error, Op, Result};
use policy::port::{OutletAddress, OutletSurvey};
use policy::{Action, Permit, Target};
use serde::Serialize;
use store::delivery::{DeliveryRecord, DeliveryScope};

use super::{folder, turn, work};
use crate::outflow::granted::{self, Granted, Wanted};
use crate::outflow::receiver::{self, Keeping, Offer};
use crate::{App, Page, audit, collection};

/// Who keeps deliveries.
const KEEPING: Keeping =
    (Action::DeliveryKeep, |provider, org| Target::delivery("deliveries", provider, org));

/// A delivery to be shown.
#[derive(Clone, Debug, Serialize)]
pub struct DeliveryView {
    #[serde(flatten)]
    pub delivery: Delivery,
    pub figures: DeliveryFigures,
    pub checked: Option<DeliveryCheck>,
    /// Its next turn, RFC 3339; empty: none.
    pub due: String,
    /// The turn under way.
    pub turn: Option<DeliveryTurn>,
    /// The caller may publish, stop or remove it.
    pub keeps: bool,
}

/// A page of deliveries.
pub type DeliveryPage = Page<DeliveryView>;

/// What would be delivered, and what stands in the way at the target.
#[derive(Clone, Debug)]
pub struct Outline {
    /// `identifier`, name, mask, key.
    pub columns: Vec<(String, String, String, bool)>,
    /// Rows of this region only; empty: all of the entry's.
    pub area: String,
    /// Of a database.
    pub survey: OutletSurvey,
    /// When it would go first, RFC 3339.
    pub first: Option<String>,
}

/// Whether the caller keeps deliveries of its organisation (to show or hide a link).
#[must_use]
pub fn may_keep(app: &App, op: &Op) -> bool {
    receiver::may_keep(app, op, KEEPING)
}

/// What the caller may do with deliveries of a share application: `keeps` (make one), `sees`, or nothing where batch use was not
/// agreed (to show or hide links).
#[must_use]
pub fn of_request(app: &App, op: &Op, request: &Request) -> Option<&'static str> {
    if !request.by_sql || request.sandboxed() {
        return None;
    }
    let target = Target::delivery("deliveries", &request.provider, &request.org);
    let approved = request.state == RequestState::Approved;
    match approved && app.may(op, Action::DeliveryKeep, &target) {
        true => Some("keeps"),
        false => app.may(op, Action::DeliveryRead, &target).then_some("sees"),
    }
}

/// Deliveries that the caller's organisation provides or receives, of one share application when named; all of them for the
/// authority and the platform.
pub async fn list(
    app: &App,
    op: &Op,
    request: Option<&str>,
    after: Option<&str>,
    limit: u32,
) -> Result<DeliveryPage> {
    let strange = Target::delivery("deliveries", "-", "-");
    let all = app.policy.decide(op, Action::DeliveryRead, &strange).allowed;
    let own = op.actor.org().unwrap_or_default().to_owned();
    if !all {
        let target = Target::delivery("deliveries", &own, &own);
        audit::permit(app, op, Action::DeliveryRead, &target).await?;
    }
    let limit = if limit == 0 { 50 } else { limit.min(200) };
    let scope = DeliveryScope { org: (!all).then_some(own.as_str()), request };
    let records = app.store.delivery_list(scope, after, limit + 1).await?;
    let Page { items: records, next } = Page::cut(records, limit, |r| r.delivery.id.clone());
    let mut items = Vec::new();
    for record in records {
        if app.policy.decide(op, Action::DeliveryRead, &target(&record.delivery)).allowed {
            items.push(view(app, op, record).await?);
        }
    }
    Ok(Page { items, next })
}

fn target(delivery: &Delivery) -> Target {
    Target::delivery(&delivery.id, &delivery.provider, &delivery.org)
}

async fn view(app: &App, op: &Op, record: DeliveryRecord) -> Result<DeliveryView> {
    let keeps = app.policy.decide(op, Action::DeliveryKeep, &target(&record.delivery)).allowed;
    let turn = app.store.delivery_turn_open(&record.delivery.id).await?;
    let DeliveryRecord { delivery, figures, checked, due, .. } = record;
    Ok(DeliveryView { delivery, figures, checked, due, turn, keeps })
}

/// One delivery. One that the caller may not see is not found.
pub async fn get(app: &App, op: &Op, id: &str) -> Result<DeliveryView> {
    let (record, _) = known(app, op, id, Action::DeliveryRead).await?;
    view(app, op, record).await
}

pub(super) async fn known(
    app: &App,
    op: &Op,
    id: &str,
    action: Action,
) -> Result<(DeliveryRecord, Permit)> {
    let missing = || Error::not_found("推送任务", "delivery", id);
    let record = app.store.delivery_get(id).await?.ok_or_else(missing)?;
    let target = target(&record.delivery);
    match app.policy.permit(op, action, &target) {
        Ok(permit) => Ok((record, permit)),
        Err(refusal) => {
            audit::refused(app, op, action.as_str(), id, &refusal).await?;
            // Who may see it is told that it may not be changed.
            match app.policy.decide(op, Action::DeliveryRead, &target).allowed {
                true => Err(refusal),
                false => Err(missing()),
            }
        }
    }
}

/// Turns of a delivery, newest first.
pub async fn turns(
    app: &App,
    op: &Op,
    id: &str,
    before: Option<&str>,
    limit: u32,
) -> Result<Page<DeliveryTurn>> {
    known(app, op, id, Action::DeliveryRead).await?;
    let limit = if limit == 0 { 20 } else { limit.min(200) };
    let items = app.store.delivery_turns(id, before, limit + 1).await?;
    Ok(Page::cut(items, limit, |turn| turn.id.clone()))
}

/// The signed receipt of a turn: one line, checked offline by `qiantang evidence verify`.
pub async fn receipt(app: &App, op: &Op, id: &str, turn: &str) -> Result<String> {
    known(app, op, id, Action::DeliveryRead).await?;
    let missing = || Error::not_found("推送回执", "receipt of a delivery", turn);
    let found = app.store.delivery_turn_get(turn).await?;
    let (_, statement) =
        found.filter(|(t, s)| t.delivery == id && !s.is_empty()).ok_or_else(missing)?;
    audit::record(app, audit::event(op, "delivery.fetch", turn)).await?;
    Ok(statement)
}

/// Approved share applications of the caller's organisation for batch use, newest first, and whether a delivery can be made of
/// each.
pub async fn offers(app: &App, op: &Op, after: Option<&str>, limit: u32) -> Result<Page<Offer>> {
    let all = Wanted::Batch { items: &[], area: "" };
    receiver::offers(app, op, KEEPING, (after, limit), |r| r.by_sql, all).await
}

/// What a delivery would be, with the permit to make it.
struct Planned {
    request: Request,
    granted: Granted,
    delivery: Delivery,
    /// Address of a database, its secret included.
    url: String,
    permit: Permit,
}

async fn planned(app: &App, op: &Op, new: &DeliveryNew) -> Result<Planned> {
    let (request, permit) = receiver::agreed(app, op, KEEPING, &new.request).await?;
    if let Some((field, zh, en)) = new.plan.fault() {
        let error = Error::invalid("推送计划填写有误", "the schedule is not filled in right");
        return Err(error.field(field, zh, en));
    }
    let wanted = Wanted::Batch { items: &new.items, area: new.area.trim() };
    let granted = granted::by_request(app, &request, wanted).await?;
    let table = match new.table.trim() {
        "" => request.entry_code.clone(),
        table => table.to_owned(),
    };
    let org = app.store.org_require(&request.org).await?;
    let mut delivery = Delivery {
        id: op.new_id(),
        org: request.org.clone(),
        org_name: org.name_cn,
        provider: request.provider.clone(),
        entry: request.entry.clone(),
        entry_code: request.entry_code.clone(),
        entry_title: request.entry_title.clone(),
        request: request.id.clone(),
        application: request.application.clone(),
        application_name: request.application_name.clone(),
        items: new.items.clone(),
        area: new.area.trim().to_owned(),
        purpose: match new.purpose.trim() {
            "" => request.scene.clone(),
            purpose => purpose.chars().take(200).collect(),
        },
        mode: new.mode,
        plan: new.plan.clone(),
        kind: new.kind,
        source: String::new(),
        source_name: String::new(),
        place: String::new(),
        table,
        state: DeliveryState::Draft,
        zh: String::new(),
        en: String::new(),
        created_at: op.stamp(),
        created_by: op.actor.name().to_owned(),
        owner: op.actor.id().to_owned(),
    };
    let mut url = String::new();
    match new.kind {
        DeliveryKind::Database => {
            let (source, to) = collection::source::outlet(app, op, &new.source).await?;
            if source.org != request.org {
                return Err(Error::not_found("数据源", "data source", &new.source));
            }
            (delivery.place, delivery.source) = (source.place(), source.id);
            delivery.source_name = source.name;
            url = to.to_string();
        }
        DeliveryKind::Folder => {
            delivery.place = folder_of(app, &request, &new.place).await?;
            delivery.source_name = DeliveryKind::Folder.zh().to_owned();
            let good = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
            if delivery.table.chars().count() > 80 || !delivery.table.chars().all(good) {
                return Err(Error::invalid(
                    "文件名前缀只含字母、数字、汉字、下划线和连字符，最多 80 字",
                    "the first part of file names is of letters, digits, `_` and `-`, 80 at most",
                )
                .field("table", "请核对", "check"));
            }
        }
    }
    Ok(Planned { request, granted, delivery, url, permit })
}

/// A folder that answers, and that no other organisation exchanges files by: what is put there would be taken for theirs.
async fn folder_of(app: &App, request: &Request, place: &str) -> Result<String> {
    let place = place.trim();
    let path = place.strip_prefix("file://").unwrap_or(place);
    // One way of writing a place, so that two of them can be compared.
    let plain =
        path.starts_with('/') && !["..", "//", "%", "?", "#"].iter().any(|p| path.contains(p));
    if !plain {
        return Err(Error::invalid(
            "请填写文件夹的绝对路径，不含 .. 等写法",
            "give the path of the folder from the root, without `..` and the like",
        )
        .field("place", "请核对", "check"));
    }
    let url = format!("file://{}/", path.trim_end_matches('/'));
    let mut after = None::<String>;
    loop {
        let page = app.store.exchange_list(None, after.as_deref(), 200).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.exchange.id.clone());
        let mut others = page.iter().filter(|r| r.exchange.org != request.org);
        let within = |there: &str| there.starts_with(&url) || url.starts_with(there);
        if others.any(|r| within(&r.exchange.place)) {
            return Err(Error::invalid(
                "该文件夹由其他单位的数据交换使用，请换一个",
                "another organisation exchanges files by this folder: name another",
            )
            .field("place", "请更换", "change it"));
        }
    }
    app.shelf.list(&folder::place(&url), None, 1).await.map_err(|e| {
        let (zh, en) = (e.zh().to_owned(), e.en().to_owned());
        e.field("place", zh, en)
    })?;
    Ok(url)
}

impl Planned {
    async fn survey(&self, app: &App) -> Result<OutletSurvey> {
        if self.delivery.kind == DeliveryKind::Folder {
            return Ok(OutletSurvey { empty: true, ..OutletSurvey::default() });
        }
        let at = OutletAddress {
            url: self.url.clone(),
            flow: self.delivery.id.clone(),
            table: self.delivery.table.clone(),
        };
        app.outflows.port.survey(&at, &self.granted.columns).await
    }
}

/// What would be delivered and what stands in the way. Nothing is changed anywhere.
pub async fn check(app: &App, op: &Op, new: &DeliveryNew) -> Result<Outline> {
    let planned = planned(app, op, new).await?;
    let survey = planned.survey(app).await?;
    let area = match planned.delivery.area.as_str() {
        "" => planned.request.area_range.clone(),
        area => area.to_owned(),
    };
    let first = new.plan.first(op.at, &app.calendar).map(stamp);
    Ok(Outline { columns: receiver::columns(&planned.granted), area, survey, first })
}

/// Makes a delivery; it goes when it is published. What stands in the way is told and nothing is made.
pub async fn create(app: &App, op: &Op, new: &DeliveryNew) -> Result<DeliveryView> {
    let planned = planned(app, op, new).await?;
    let survey = planned.survey(app).await?;
    receiver::ready(&survey)?;
    let Planned { delivery, granted, permit, .. } = planned;
    app.store.delivery_insert(&permit, &delivery).await?;
    let event = audit::event(op, "delivery.create", &delivery.id);
    record(app, &delivery, AuditEvent { masks: granted.masks, ..event }).await?;
    get(app, op, &delivery.id).await
}

/// Publishes a delivery, or lets one that was stopped go on; refused when it is not granted.
pub async fn resume(app: &App, op: &Op, id: &str) -> Result<()> {
    let (record, permit) = known(app, op, id, Action::DeliveryKeep).await?;
    let mut delivery = record.delivery;
    if !matches!(delivery.state, DeliveryState::Draft | DeliveryState::Stopped) {
        return Err(wrong_state(&delivery));
    }
    super::granted(app, &delivery, None).await?;
    let turns = app.store.delivery_turns(id, None, 1).await?;
    // A turn that was broken off goes on; what goes once and has gone does not go again.
    let open = turns.first().is_some_and(|turn| turn.state.open());
    let gone = delivery.plan.pace == DeliveryPace::Once && record.figures.delivered > 0;
    delivery.state = match turns.is_empty() {
        true => DeliveryState::Waiting,
        false if gone && !open => DeliveryState::Ended,
        false => DeliveryState::Going,
    };
    (delivery.zh, delivery.en) = Default::default();
    let due = match open || gone {
        true => delivery.plan.next(op.at, &app.calendar),
        false => delivery.plan.first(op.at, &app.calendar),
    };
    let due = due.map(stamp).unwrap_or_default();
    app.store.delivery_update(&permit, &delivery, &due).await?;
    app.deliveries.following.at_once(id);
    let word = if turns.is_empty() { "delivery.publish" } else { "delivery.resume" };
    self::record(app, &delivery, audit::event(op, word, id)).await
}

/// Stops a delivery: a turn under way is broken off, and what it has sent is undone at the target.
pub async fn pause(app: &App, op: &Op, id: &str) -> Result<()> {
    let (record, permit) = known(app, op, id, Action::DeliveryKeep).await?;
    if !record.delivery.state.live() {
        return Err(wrong_state(&record.delivery));
    }
    let delivery = Delivery { state: DeliveryState::Stopped, ..record.delivery };
    app.store.delivery_update(&permit, &delivery, "").await?;
    self::record(app, &delivery, audit::event(op, "delivery.pause", id)).await
}

/// Has a turn go now.
pub async fn run(app: &App, op: &Op, id: &str) -> Result<()> {
    at_once(app, op, id, DeliveryCause::Manual, "delivery.run").await
}

/// Has all rows brought anew now, in one transaction in place of what the target holds: what differs there is mended.
pub async fn anew(app: &App, op: &Op, id: &str) -> Result<()> {
    at_once(app, op, id, DeliveryCause::Heal, "delivery.anew").await
}

async fn at_once(app: &App, op: &Op, id: &str, cause: DeliveryCause, word: &str) -> Result<()> {
    let (record, permit) = known(app, op, id, Action::DeliveryKeep).await?;
    let delivery = record.delivery;
    if !delivery.state.live() && delivery.state != DeliveryState::Ended {
        return Err(wrong_state(&delivery));
    }
    super::granted(app, &delivery, None).await?;
    // Turns are listed as they were made, also several that one operation asks for.
    let asked = Op { at: app.now(), ..op.clone() };
    let turn = work::new_turn(&asked, id, format!("m:{}", asked.new_id()), cause, asked.at);
    if !app.store.delivery_turn_insert(&permit, &turn).await? {
        app.deliveries.following.at_once(id);
        return Err(Error::new(
            Code::WrongState,
            "该推送任务已有一次投送在进行，完成后再操作",
            "a turn of this delivery is under way; wait until it is done",
        ));
    }
    app.deliveries.following.at_once(id);
    self::record(app, &delivery, audit::event(op, word, id)).await
}

/// Takes a delivery away. What it delivered stays at the target, its receipts stay in the store; its position at the target is
/// forgotten, unless the target cannot be reached and `force` is given.
pub async fn remove(app: &App, op: &Op, id: &str, force: bool) -> Result<()> {
    let (record, permit) = known(app, op, id, Action::DeliveryKeep).await?;
    let delivery = Delivery { state: DeliveryState::Stopped, ..record.delivery };
    app.store.delivery_update(&permit, &delivery, "").await?;
    if delivery.kind == DeliveryKind::Database {
        receiver::forget(app, &turn::address(app, &delivery).await?, force).await?;
    }
    app.store.delivery_delete(&permit, id).await?;
    let event = audit::event(op, "delivery.remove", id);
    let scope = if force { "force" } else { "" }.to_owned();
    self::record(app, &delivery, AuditEvent { scope, ..event }).await
}

fn wrong_state(delivery: &Delivery) -> Error {
    Error::new(
        Code::WrongState,
        format!("推送任务为“{}”，不能这样操作", delivery.state.zh()),
        format!("the delivery is `{}`: this cannot be done to it now", delivery.state),
    )
}

/// Keeps a record of something that was done to a delivery.
pub(super) async fn record(app: &App, delivery: &Delivery, event: AuditEvent) -> Result<()> {
    let event = AuditEvent {
        request: delivery.request.clone(),
        reason: format!(
            "{} → {} {} {}",
            delivery.entry_code, delivery.org_name, delivery.place, delivery.table
        ),
        ..event
    };
    audit::record(app, event).await
}
