//! Which process follows which rail. A rail is one process's at a time, by a lease as runs have; a rail that fails waits and
//! is tried again; the log that a paused rail holds back is watched, too.

use std::sync::Arc;
use std::time::Duration;

use model::code::SyncMode;
use model::op::stamp;
use model::rail::{IncidentKind, Rail, RailFigures, RailIncident, RailState, RailWish};
use model::{Code, Error, Kind, Op, Result};
use policy::port::{RailAddress, SlotState};
use policy::{Action, Permit, Target};
use store::lease::Lease;
use store::rail::RailRecord;
use tokio::time::Instant;

use super::drive;
use crate::{App, audit, collection, follow, lease};

/// Rails looked at together.
const PAGE: u32 = 200;
/// Runs of a rail are its own, not those of a collection.
pub(super) const OWNER: &str = "rail";

/// Takes up every rail that should run and that nobody follows; answers how many. Called every second or so.
pub async fn tick(app: &Arc<App>) -> Result<u64> {
    crate::reconcile::tick(app).await?;
    let (mut after, mut begun) = (None::<String>, 0);
    loop {
        let page = app.store.rail_list(None, after.as_deref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(begun) };
        after = Some(last.rail.id.clone());
        for record in page {
            if app.rails.following.stopping() {
                return Ok(begun);
            }
            if record.rail.wish == RailWish::Pause {
                watch_paused(app, &record).await?;
                continue;
            }
            if claimed(app, &record).await? {
                begun += 1;
                drop(tokio::spawn(guarded(Arc::clone(app), record.rail.id.clone())));
            }
        }
    }
}

/// Lets the rails of this process end where they stand, and waits for it.
pub async fn stop(app: &Arc<App>) {
    app.rails.following.stop().await;
}

pub(crate) async fn permit(app: &App) -> Result<Permit> {
    let op = Op::system(app.now());
    audit::permit(app, &op, Action::SystemWork, &Target::plain("System", "rail")).await
}

/// Makes a rail this process's, if it is nobody's and its time has come.
async fn claimed(app: &Arc<App>, record: &RailRecord) -> Result<bool> {
    let id = &record.rail.id;
    if !app.rails.following.may_take(app, id, &record.lease) {
        return Ok(false);
    }
    let (permit, lease) = (permit(app).await?, lease::taken(app));
    let claimed = app.store.rail_claim(&permit, id, &record.lease, &lease).await?;
    if claimed {
        app.rails.following.begun(id);
    }
    Ok(claimed)
}

/// Follows a rail until it ends, and says how it ended.
async fn guarded(app: Arc<App>, id: String) {
    let inner = Arc::clone(&app);
    let rail = id.clone();
    let ended = tokio::spawn(async move { drive::drive(&inner, &rail).await })
        .await
        .unwrap_or_else(|e| Err(Error::internal("a rail's task ended early").caused_by(e)));
    if let Err(e) = settle(&app, &id, ended).await {
        tracing::error!(rail.id = id, error = e.operator_text(), "the end of a rail was not kept");
    }
    app.rails.following.ended(&id);
}

/// How following a rail ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// Somebody paused it, or the process is stopping.
    Paused,
    /// A schema change waits for a person.
    Held { zh: String, en: String },
    /// The ceiling was reached: the slot was given up.
    Stopped { zh: String, en: String },
    /// It is taken up again at once.
    Again,
    /// It is another process's now.
    Elsewhere,
}

async fn settle(app: &Arc<App>, id: &str, ended: Result<Ended>) -> Result<()> {
    let Some(record) = app.store.rail_get(id).await? else { return Ok(()) };
    let permit = permit(app).await?;
    let (mut rail, mut figures) = (record.rail, record.figures);
    match ended {
        Ok(Ended::Elsewhere) => return Ok(()),
        Ok(Ended::Paused | Ended::Again) => {
            app.rails.following.at_once(id);
            if rail.wish == RailWish::Pause {
                figures.state = RailState::Paused;
            }
            (figures.zh, figures.en) = (String::new(), String::new());
        }
        Ok(Ended::Held { zh, en }) => {
            (figures.state, figures.zh, figures.en) = (RailState::Held, zh, en);
            rail.wish = RailWish::Pause;
        }
        Ok(Ended::Stopped { zh, en }) => {
            (figures.state, figures.zh, figures.en) = (RailState::Stopped, zh, en);
            (figures.begun, figures.held_bytes) = (false, 0);
            rail.wish = RailWish::Pause;
        }
        Err(error) if error.code() == Code::Stale && error.kind() == Kind::Conflict => {
            tracing::info!(rail.id = id, "a rail is another process's now");
            return Ok(());
        }
        Err(error) => failed(app, &permit, &rail, &mut figures, &error).await?,
    }
    figures.rate = 0.0;
    if rail.wish == RailWish::Pause {
        app.store.rail_update(&permit, &rail).await?;
    }
    let owner = app.collections.owner();
    app.store.rail_figures(&permit, id, owner, &figures).await?;
    app.store.rail_beat(&permit, id, &Lease::ended(owner)).await?;
    Ok(())
}

/// A failure: an incident when it is new, and the time of the next attempt.
async fn failed(
    app: &App,
    permit: &Permit,
    rail: &Rail,
    figures: &mut RailFigures,
    error: &Error,
) -> Result<()> {
    let mends = error.kind() != Kind::Unavailable && error.kind() != Kind::Internal;
    let state = if mends { RailState::Refused } else { RailState::Waiting };
    let told = drive::told(error);
    tracing::warn!(rail.id = rail.id, error = error.operator_text(), "a rail broke off");
    // An outage lasts until the rail streams again, however its attempts fail; a refusal is as new as its words.
    let again = if mends {
        matches!(figures.state, RailState::Refused | RailState::Waiting) && figures.zh == told.0
    } else {
        figures.failures > 0 && figures.state != RailState::Refused
    };
    if !again {
        let kind = if mends { IncidentKind::Refused } else { IncidentKind::Broken };
        incident(app, permit, rail, (None, None), kind, &told, mends).await?;
    }
    let rules = &app.rules.rail;
    let pause = follow::pause(rules.retry_first_ms, rules.retry_longest_ms, mends);
    figures.failures = app.rails.following.put_off(&rail.id, pause);
    (figures.state, (figures.zh, figures.en)) = (state, told);
    Ok(())
}

/// Whether this process follows a rail.
pub(crate) fn runs_here(app: &App, id: &str) -> bool {
    app.rails.following.runs(id)
}

/// The engine that follows rails.
pub(crate) fn port(app: &App) -> &Arc<dyn policy::port::Rail> {
    &app.rails.port
}

/// Keeps an incident and tells the log. `of`: its table, and an id when somebody will close it by that.
pub(crate) async fn incident(
    app: &App,
    permit: &Permit,
    rail: &Rail,
    of: (Option<&str>, Option<&str>),
    kind: IncidentKind,
    told: &(String, String),
    open: bool,
) -> Result<()> {
    let op = Op::system(app.now());
    let (table, id) = of;
    tracing::warn!(
        rail.id = rail.id,
        rail.table = table.unwrap_or("-"),
        incident = kind.as_str(),
        "{}",
        told.1
    );
    metrics::counter!("qt_rail_incidents_total", "kind" => kind.as_str()).increment(1);
    let incident = RailIncident {
        id: id.map_or_else(|| op.new_id(), str::to_owned),
        rail: rail.id.clone(),
        table: table.map(str::to_owned),
        kind,
        zh: told.0.clone(),
        en: told.1.clone(),
        at: op.stamp(),
        open,
    };
    app.store.rail_incident(permit, &incident).await
}

/// Where a rail begins, with the position up to which all has landed.
pub(crate) async fn address(app: &App, rail: &Rail, figures: &RailFigures) -> Result<RailAddress> {
    let url = collection::source::url_of(app, &rail.source).await?;
    Ok(RailAddress {
        url: url.to_string(),
        slot: rail.slot.clone(),
        publication: rail.publication.clone(),
        given: rail.given,
        from: if figures.begun { figures.confirmed.clone() } else { String::new() },
    })
}

/// The log a paused rail holds back is measured; beyond the ceiling its slot is given up.
async fn watch_paused(app: &Arc<App>, record: &RailRecord) -> Result<()> {
    let rail = &record.rail;
    if !record.figures.begun || app.rails.following.runs(&rail.id) {
        return Ok(());
    }
    let every = Duration::from_secs(app.rules.rail.measure_seconds.max(1));
    {
        let mut measured = app.rails.measured.lock();
        let now = Instant::now();
        if measured.get(&rail.id).is_some_and(|at| now < *at + every) {
            return Ok(());
        }
        measured.insert(rail.id.clone(), now);
    }
    // Nobody follows it: whoever measures takes it for that moment.
    let permit = permit(app).await?;
    if !app.store.rail_claim(&permit, &rail.id, &record.lease, &lease::taken(app)).await? {
        return Ok(());
    }
    let mut figures = record.figures.clone();
    let told = match measure(app, rail, &mut figures).await {
        Ok(beyond) => beyond,
        Err(error) => {
            tracing::debug!(rail.id = rail.id, error = error.operator_text(), "not measured");
            None
        }
    };
    if let Some((zh, en)) = told {
        give_up(app, &permit, rail).await?;
        incident(
            app,
            &permit,
            rail,
            (None, None),
            IncidentKind::Ceiling,
            &(zh.clone(), en.clone()),
            true,
        )
        .await?;
        (figures.state, figures.zh, figures.en) = (RailState::Stopped, zh, en);
        (figures.begun, figures.held_bytes) = (false, 0);
    }
    app.store.rail_figures(&permit, &rail.id, app.collections.owner(), &figures).await
}

/// Asks the source for the log it keeps; answers words when it is beyond the ceiling. An alarm is an incident, once.
pub(super) async fn measure(
    app: &App,
    rail: &Rail,
    figures: &mut RailFigures,
) -> Result<Option<(String, String)>> {
    let slot = app.rails.port.slot(&address(app, rail, figures).await?).await?;
    let before = figures.held_bytes;
    figures.held_bytes = slot.held_bytes;
    figures.head = slot.head;
    figures.measured_at = Some(stamp(app.now()));
    metrics::gauge!("qt_rail_held_bytes", "rail" => rail.name.clone())
        .set(f64::from(u32::try_from(slot.held_bytes / 1024).unwrap_or(u32::MAX)) * 1024.0);
    if slot.held_bytes >= rail.ceiling_bytes && slot.state != SlotState::Missing {
        return Ok(Some(beyond(slot.held_bytes, rail.ceiling_bytes, true)));
    }
    if slot.held_bytes >= rail.alarm_bytes && before < rail.alarm_bytes {
        let told = beyond(slot.held_bytes, rail.alarm_bytes, false);
        incident(app, &permit(app).await?, rail, (None, None), IncidentKind::HeldLog, &told, true)
            .await?;
    }
    Ok(None)
}

fn beyond(held: u64, limit: u64, stopped: bool) -> (String, String) {
    let mib = |bytes: u64| bytes / (1 << 20);
    let (held, limit) = (mib(held), mib(limit));
    if stopped {
        return (
            format!(
                "数据源为本条数据高铁保留的日志已达 {held} MiB，超过上限 {limit} MiB；为保护数据源磁盘已释放复制槽，恢复运行时各表将整表核补"
            ),
            format!(
                "the source keeps {held} MiB of log for this rail, beyond the ceiling of {limit} MiB; the slot was given up to protect the source's disk, and the tables are read anew when the rail goes on"
            ),
        );
    }
    (
        format!("数据源为本条数据高铁保留的日志已达 {held} MiB（告警线 {limit} MiB）"),
        format!("the source keeps {held} MiB of log for this rail (alarm at {limit} MiB)"),
    )
}

/// Gives the slot up; the tables are to be read anew. What is to be done is durable before the slot is gone.
pub(super) async fn give_up(app: &App, permit: &Permit, rail: &Rail) -> Result<()> {
    app.store.rail_anew(permit, &rail.id, None, true).await?;
    let at = address(app, rail, &RailFigures::default()).await?;
    app.rails.port.release(&at, false).await
}

/// A run that a table's misfits are kept under.
pub(super) async fn run_of(
    app: &App,
    op: &Op,
    permit: &Permit,
    entry: &model::entry::Entry,
    source: &str,
) -> Result<String> {
    let mut run = collection::blank_run(app, op, entry, SyncMode::Incremental, OWNER, source);
    run.state = model::parcel::RunState::Running;
    let record = store::parcel::RunRecord {
        org: entry.draft.org.clone(),
        source: String::new(),
        lease: Lease { owner: OWNER.to_owned(), until: 0 },
        run,
    };
    app.store.run_insert(permit, op, &record).await?;
    Ok(record.run.id)
}
