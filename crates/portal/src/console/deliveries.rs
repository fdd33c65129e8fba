//! Deliveries (推送) in the console: the list, making one from a share application agreed for batch use, one delivery with its turns,
//! receipts and comparison, and what a person can do.

use std::sync::Arc;

use app::delivery::{self, DeliveryView};
use axum::Router;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use minijinja::{Value, context};
use model::Error;
use model::code::SyncMode;
use model::delivery::{
    DeliveryCheck, DeliveryKind, DeliveryNew, DeliveryPace, DeliveryPlan, DeliveryState,
};

use crate::console::{PAGE, done, next_link};
use crate::fault::mendable;
use crate::form::Posted;
use crate::site::attachment;
use crate::view::value;
use crate::visit::{Visit, encode};
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/deliveries", get(list).post(create))
        .route("/console/deliveries/new", get(new_page))
        .route("/console/deliveries/{id}", get(one))
        .route("/console/deliveries/{id}/figures", get(figures))
        .route("/console/deliveries/{id}/receipts/{turn}", get(receipt))
        .route("/console/deliveries/{id}/publish", post(publish))
        .route("/console/deliveries/{id}/pause", post(pause))
        .route("/console/deliveries/{id}/run", post(run))
        .route("/console/deliveries/{id}/anew", post(anew))
        .route("/console/deliveries/{id}/compare", post(compare))
        .route("/console/deliveries/{id}/remove", post(remove))
}

fn row(view: &DeliveryView) -> Value {
    let state = view.delivery.state;
    let turn = view.turn.as_ref();
    context! {
        it => value(view), live => turn.is_some(),
        waits => state == DeliveryState::Stopped && !view.delivery.zh.is_empty()
            || turn.is_some_and(|turn| turn.failures > 0),
        publishable => matches!(state, DeliveryState::Draft | DeliveryState::Stopped),
        stoppable => state.live(), runnable => state.live() || state == DeliveryState::Ended,
        once => view.delivery.plan.pace == DeliveryPace::Once,
        folder => view.delivery.kind == DeliveryKind::Folder,
    }
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let page = delivery::list(app, op, visit.q("request"), visit.q("after"), PAGE).await?;
    let keeps = delivery::may_keep(app, op);
    let offers = match keeps {
        true => Some(delivery::offers(app, op, visit.q("offered"), PAGE).await?),
        false => None,
    };
    let offered: Vec<Value> = offers
        .iter()
        .flat_map(|page| &page.items)
        .map(|offer| {
            context! {
                offer => value(offer),
                fault => offer.fault.as_ref().map(|(zh, en)| visit.t(zh, en)),
            }
        })
        .collect();
    let context = context! {
        rows => page.items.iter().map(row).collect::<Vec<_>>(), keeps, offered,
        request => visit.q("request"), done => visit.q("done"),
        next => next_link(&visit, "after", page.next.as_deref()),
        more_offers => next_link(&visit, "offered", offers.as_ref().and_then(|o| o.next.as_deref())),
    };
    door.page(&visit, "console/deliveries.html", context).await
}

/// What a form asks for; `None` where nothing was filled in yet.
fn asked<'a>(
    get: impl Fn(&str) -> &'a str,
    items: impl Iterator<Item = &'a str>,
) -> (DeliveryNew, bool) {
    let kind = DeliveryKind::parse(get("kind"));
    let new = DeliveryNew {
        request: get("request").to_owned(),
        kind: kind.unwrap_or(DeliveryKind::Database),
        source: get("source").to_owned(),
        place: get("place").to_owned(),
        table: get("table").to_owned(),
        items: items.map(str::to_owned).collect(),
        area: get("area").to_owned(),
        purpose: get("purpose").to_owned(),
        mode: SyncMode::parse(get("mode")).unwrap_or(SyncMode::Incremental),
        plan: DeliveryPlan {
            pace: DeliveryPace::parse(get("pace")).unwrap_or(DeliveryPace::Period),
            at: get("at").to_owned(),
            cron: get("cron").to_owned(),
            workdays: get("workdays") == "true",
        },
    };
    (new, kind.is_some())
}

async fn new_page(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let (new, filled) = asked(|name| visit.q(name).unwrap_or_default(), visit.qs("item"));
    show_new(&door, &visit, &new, filled, None).await
}

/// The form; once it is filled in, with what would be delivered and what stands in the way.
async fn show_new(
    door: &Door,
    visit: &Visit,
    new: &DeliveryNew,
    filled: bool,
    error: Option<Error>,
) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let request = app::sharing::get(app, op, &new.request).await?;
    let sources = app::collection::source::list(app, op).await?;
    let (outline, error) = match filled {
        false => (None, error),
        true => match delivery::check(app, op, new).await {
            Ok(outline) => (Some(outline), error),
            Err(e) if mendable(&e) => (None, Some(error.unwrap_or(e))),
            Err(e) => return Err(e.into()),
        },
    };
    let words = |pairs: &[(String, String)]| -> Vec<String> {
        pairs.iter().map(|(zh, en)| visit.t(zh, en).to_owned()).collect()
    };
    let plan = &new.plan;
    let context = context! {
        request => value(&request), sources => value(&sources),
        form => context! {
            kind => new.kind.as_str(), source => &new.source, place => &new.place,
            table => if new.table.is_empty() { &request.entry_code } else { &new.table },
            items => &new.items, area => &new.area,
            purpose => if new.purpose.is_empty() { &request.scene } else { &new.purpose },
            mode => new.mode.as_str(), pace => plan.pace.as_str(), at => &plan.at,
            cron => if plan.cron.is_empty() { "30 2 * * *" } else { plan.cron.as_str() },
            workdays => plan.workdays,
        },
        outline => outline.as_ref().map(|o| context! {
            area => &o.area, server => &o.survey.server, table => o.survey.table, first => &o.first,
            troubles => words(&o.survey.faults), notes => words(&o.survey.notes),
            columns => o.columns.iter().map(|(id, name, mask, key)| context! { id, name, mask, key }).collect::<Vec<_>>(),
        }),
        error => error.as_ref().map(|e| visit.t(e.zh(), e.en())),
        code => error.as_ref().map(|e| e.code().as_str()),
        fields => value(error.as_ref().map(Error::fields).unwrap_or_default()),
    };
    door.page_with(visit, "console/delivery_new.html", context, error).await
}

async fn create(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    let (new, _) = asked(|name| posted.get(name), posted.all("item"));
    match delivery::create(&door.app, &visit.op, &new).await {
        Ok(made) => done(&format!("/console/deliveries/{}", made.delivery.id), "created"),
        Err(e) if mendable(&e) => show_new(&door, &visit, &new, true, Some(e)).await,
        Err(e) => Err(e.into()),
    }
}

/// What a comparison found, in words.
fn said(visit: &Visit, check: &DeliveryCheck) -> Option<String> {
    match (check.missing, check.extra, check.different) {
        (Some(missing), Some(extra), Some(different)) if !check.equal => Some(
            visit
                .t(
                    &format!("缺少 {missing} 行，多出 {extra} 行，内容不同 {different} 行"),
                    &format!("{missing} rows missing, {extra} extra, {different} different"),
                )
                .to_owned(),
        ),
        _ => None,
    }
}

async fn one(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let view = delivery::get(app, op, &id).await?;
    let turns = delivery::turns(app, op, &id, visit.q("before"), 0).await?;
    let context = context! {
        row => row(&view), turns => value(&turns.items),
        differs => view.checked.as_ref().and_then(|check| said(&visit, check)),
        next => next_link(&visit, "before", turns.next.as_deref()), done => visit.q("done"),
    };
    door.page(&visit, "console/delivery.html", context).await
}

async fn figures(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let view = delivery::get(&door.app, &visit.op, &id).await?;
    door.page(&visit, "console/delivery_figures.html", context! { row => row(&view) }).await
}

/// The signed receipt of a turn, as a file.
async fn receipt(
    State(door): State<Arc<Door>>,
    Path((id, turn)): Path<(String, String)>,
    visit: Visit,
) -> Answer {
    let statement = delivery::receipt(&door.app, &visit.op, &id, &turn).await?;
    let name = attachment(&format!("delivery-{turn}.txt"), "text/plain; charset=utf-8");
    Ok((name, statement).into_response())
}

fn back(id: &str, word: &str) -> Answer {
    done(&format!("/console/deliveries/{}", encode(id)), word)
}

async fn publish(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    delivery::resume(&door.app, &visit.op, &id).await?;
    back(&id, "opened")
}

async fn pause(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    delivery::pause(&door.app, &visit.op, &id).await?;
    back(&id, "closed")
}

async fn run(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    delivery::run(&door.app, &visit.op, &id).await?;
    back(&id, "begun")
}

async fn anew(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    delivery::anew(&door.app, &visit.op, &id).await?;
    back(&id, "refilling")
}

async fn compare(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    delivery::compare(&door.app, &visit.op, &id).await?;
    back(&id, "compared")
}

async fn remove(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    delivery::remove(&door.app, &visit.op, &id, posted.get("force") == "1").await?;
    done("/console/deliveries", "removed")
}
