//! 开放计划: what departments promised to open in a year and what was done; and what was withdrawn, with its public note.

use std::sync::Arc;

use app::opening;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use minijinja::context;
use model::openplan::Withdrawal;

use crate::console::next_link;
use crate::site::interact::public_bodies;
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

/// Plans of one page, and withdrawn sets that are listed.
const PAGE: u32 = 20;
const WITHDRAWN: u32 = 50;

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new().route("/plans", get(list)).route("/plans/{id}", get(show))
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let year = visit.q("year").and_then(|y| y.parse::<i32>().ok());
    let (org, before) = (visit.q("org"), visit.q("before"));
    let page = opening::plans(app, op, year, org, before, PAGE).await?;
    let context = context! {
        rows => value(&page.items), years => opening::plan_years(app, op).await?, year,
        orgs => public_bodies(&door).await, org, first => before.is_some(),
        withdrawn => value(opening::withdrawals(app, op, None, WITHDRAWN).await?),
        next => next_link(&visit, "before", page.next.as_deref()),
    };
    door.page(&visit, "site/plans.html", context).await
}

async fn show(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let seen = opening::plan_public(&door.app, &visit.op, &id).await?;
    let context = context! {
        plan => value(&seen.plan), lines => value(&seen.lines), figures => value(seen.figures),
    };
    door.page(&visit, "site/plan.html", context).await
}

/// The page of a set that was open and was withdrawn: why and when, instead of nothing. `None` for every other code.
pub(super) async fn withdrawn(door: &Door, visit: &Visit, code: &str) -> Option<Answer> {
    let found = opening::withdrawn(&door.app, &visit.op, code).await.ok().flatten()?;
    Some(gone(door, visit, &found).await)
}

async fn gone(door: &Door, visit: &Visit, found: &Withdrawal) -> Answer {
    let context = context! { of => value(found) };
    let mut response = door.page(visit, "site/withdrawn.html", context).await?;
    *response.status_mut() = StatusCode::GONE;
    Ok(response)
}
