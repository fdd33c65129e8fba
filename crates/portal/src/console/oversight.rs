//! Oversight of channels in the console: quarantined rows by reason, reconciliations with the rows that differ, and what is
//! set for one rail.

use std::sync::Arc;

use app::collection;
use app::reconcile::{self, Asked};
use app::{Action, Target, rail};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use minijinja::{Value, context};
use model::oversight::ChannelRule;
use model::reconcile::{ReconcileState, Reconciliation};
use model::{Error, Result};

use crate::console::runs::{cells_of, columns, operation_of};
use crate::console::{PAGE, done, next_link};
use crate::form::Posted;
use crate::site::attachment;
use crate::view::value;
use crate::visit::{Visit, encode};
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/quarantine", get(groups))
        .route("/console/quarantine/{id}", get(group))
        .route("/console/quarantine/{id}/rows.csv", get(group_csv))
        .route("/console/quarantine/{id}/rows/{row}", post(mend))
        .route("/console/quarantine/{id}/map", post(map))
        .route("/console/quarantine/{id}/replay", post(replay))
        .route("/console/quarantine/{id}/dismiss", post(dismiss))
        .route("/console/entries/{id}/reconcile", post(start))
        .route("/console/reconciliations/{id}", get(one))
        .route("/console/reconciliations/{id}/figures", get(figures))
        .route("/console/reconciliations/{id}/heal", post(heal))
        .route("/console/rails/{id}/rule", post(set_rule))
}

async fn groups(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let page = collection::groups(&door.app, &visit.op, visit.q("after"), PAGE).await?;
    let context = context! {
        groups => value(&page.items), done => visit.q("done"),
        next => next_link(&visit, "after", page.next.as_deref()),
    };
    door.page(&visit, "console/quarantine.html", context).await
}

async fn group(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let seen = collection::group(app, op, &id).await?;
    let entry = app::catalogue::get(app, op, &seen.group.entry).await?;
    let page = collection::group_rows(app, op, &id, visit.q("after"), PAGE).await?;
    let target = Target::entry(&entry);
    let context = context! {
        group => value(&seen), entry => value(&entry), columns => columns(&entry, &visit),
        rows => value(&page.items), after => visit.q("after"), done => visit.q("done"),
        may_mend => app.may(op, Action::QuarantineMend, &target),
        may_edit => app.may(op, Action::EntryCompile, &target),
        next => next_link(&visit, "after", page.next.as_deref()),
    };
    door.page(&visit, "console/misfits.html", context).await
}

async fn group_csv(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let pieces = collection::group_csv(&door.app, &visit.op, &id).await?;
    let head = attachment(&format!("quarantine-{id}.csv"), "text/csv; charset=utf-8");
    Ok((head, Body::from_stream(pieces)).into_response())
}

fn back(id: &str, posted: &Posted, word: &str) -> Answer {
    let place = format!("/console/quarantine/{}", encode(id));
    match posted.get("after") {
        "" => done(&place, word),
        after => done(&format!("{place}?after={}", encode(after)), word),
    }
}

async fn mend(
    State(door): State<Arc<Door>>,
    Path((id, row)): Path<(String, String)>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let (cells, operation) = (cells_of(&posted), operation_of(&posted));
    collection::mend(&door.app, &visit.op, &row, cells, operation).await?;
    back(&id, &posted, "mended")
}

async fn map(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let (from, to) = (posted.raw("from"), posted.raw("to"));
    collection::map(&door.app, &visit.op, &id, Some(from), Some(to)).await?;
    back(&id, &posted, "mended")
}

async fn replay(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let runs = collection::replay_group(&door.app, &visit.op, &id).await?;
    match runs.as_slice() {
        [run] => done(&format!("/console/runs/{}", run.id), "replayed"),
        _ => back(&id, &posted, "replayed"),
    }
}

async fn dismiss(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    collection::dismiss_group(&door.app, &visit.op, &id, posted.get("reason")).await?;
    done("/console/quarantine", "dismissed")
}

async fn start(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let heal = posted.get("heal") == "on";
    let from = Some(posted.get("from")).filter(|from| !from.is_empty());
    let run = reconcile::start_from(&door.app, &visit.op, &id, from, heal).await?;
    done(&format!("/console/reconciliations/{}", run.id), "started-comparing")
}

fn live(run: &Reconciliation) -> bool {
    matches!(run.state, ReconcileState::Running | ReconcileState::Healing)
}

async fn one(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let run = reconcile::get(app, op, &id).await?;
    let after = visit.q("after").and_then(|n| n.parse().ok()).unwrap_or(0);
    let page = reconcile::differences(app, op, &id, after, PAGE).await?;
    let before = reconcile::list(app, op, Asked::Entry(&run.entry), None, 10).await?;
    let context = context! {
        run => value(&run), live => live(&run), rows => value(&page.items),
        may_see => reconcile::may_see(app, op, &run), done => visit.q("done"),
        healable => run.state == ReconcileState::Differs,
        before => value(before.items.iter().filter(|r| r.id != run.id).collect::<Vec<_>>()),
        next => next_link(&visit, "after", page.next.as_deref()),
    };
    door.page(&visit, "console/reconciliation.html", context).await
}

async fn figures(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let run = reconcile::get(&door.app, &visit.op, &id).await?;
    let context = context! { run => value(&run), live => live(&run) };
    let mut response = door.page(&visit, "console/reconciliation_figures.html", context).await?;
    if !live(&run) {
        // It has ended: the whole page shows the rows.
        response.headers_mut().insert("hx-refresh", axum::http::HeaderValue::from_static("true"));
    }
    Ok(response)
}

async fn heal(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    reconcile::heal(&door.app, &visit.op, &id).await?;
    done(&format!("/console/reconciliations/{}", encode(&id)), "healing-rows")
}

/// What a rail's page shows of reconciliation and error budget.
pub(super) async fn of_rail(door: &Door, visit: &Visit, view: &rail::RailView) -> Result<Value> {
    let (app, op) = (&door.app, &visit.op);
    let newest = reconcile::list(app, op, Asked::Rail(&view.rail.id), None, 200).await?.items;
    let tables: Vec<Value> = view
        .tables
        .iter()
        .map(|t| {
            let last = newest.iter().find(|run| run.entry == t.table.entry);
            context! {
                place => &t.table.place, entry => &t.table.entry, title => &t.table.entry_title,
                last => value(last), bad => t.figures.window_bad, read => t.figures.window_read,
            }
        })
        .collect();
    let rule = rail::rule(app, op, &view.rail.id).await?;
    let rules = &app.rules.oversight;
    Ok(context! {
        tables, rule => value(&rule),
        share => rule.budget_share.map(|share| share * 100.0),
        shipped => context! {
            rows => rules.budget.rows, share => rules.budget.share * 100.0,
            hours => rules.reconcile.every_hours, window => rules.budget.window_seconds,
        },
    })
}

/// What the page of a channel shows of its comparisons: nothing to whoever may not collect into its entry.
pub(super) async fn of_channel(
    door: &Door,
    visit: &Visit,
    entry: &str,
    feed: &str,
) -> Result<Value> {
    let (app, op) = (&door.app, &visit.op);
    let Ok(entry) = app::catalogue::get(app, op, entry).await else { return Ok(Value::from(())) };
    if !app.may(op, Action::DataCollect, &Target::entry(&entry)) {
        return Ok(Value::from(()));
    }
    let last = reconcile::last_of(app, &entry.id, feed).await?;
    Ok(context! { entry => &entry.id, feed, last => value(&last) })
}

/// What an entry's page shows: the last comparison, and what it can be compared with.
pub(super) async fn of_entry(
    door: &Door,
    visit: &Visit,
    entry: &model::entry::Entry,
) -> Result<Value> {
    let last = reconcile::last(&door.app, &visit.op, entry).await?;
    let feeds = reconcile::feeds(&door.app, &visit.op, entry).await?;
    Ok(context! { last => value(&last), feeds => value(&feeds) })
}

async fn set_rule(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let rule = ChannelRule {
        budget_rows: number(&posted, "budget_rows")?,
        budget_share: number::<f64>(&posted, "budget_share")?.map(|percent| percent / 100.0),
        reconcile_hours: number(&posted, "reconcile_hours")?,
        heal: match posted.get("heal") {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        },
    };
    rail::set_rule(&door.app, &visit.op, &id, &rule).await?;
    done(&format!("/console/rails/{}", encode(&id)), "saved")
}

/// A number of a form; nothing for an empty field.
fn number<T: std::str::FromStr>(posted: &Posted, name: &str) -> Result<Option<T>> {
    let text = posted.get(name);
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        Error::invalid(format!("「{text}」不是数值"), format!("`{text}` is no number")).field(
            name,
            "请填写数值",
            "give a number",
        )
    })
}
