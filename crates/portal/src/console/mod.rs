//! The console: departments compile, collect and answer applications; the authority reviews; the auditor reads.

mod applications;
mod apply;
mod approvals;
mod audit;
mod basket;
mod bounds;
mod build;
mod bundles;
mod certificates;
mod channels;
mod clients;
mod collect;
mod contests;
mod control;
mod convention;
mod deliveries;
mod delta;
mod desk;
mod dispatch;
mod draft;
mod drawing;
mod entries;
mod entry_form;
mod exchanges;
mod findings;
mod flows;
mod harvests;
mod interfaces;
mod ledger;
mod ledger_sheet;
mod notices;
mod orgs;
mod outflows;
mod oversight;
mod pipelines;
mod plans;
mod policies;
mod project_jobs;
mod project_sql;
mod projects;
mod proposals;
mod rails;
mod realnames;
mod report_forms;
mod report_plans;
mod reports;
mod requests;
mod restricted;
mod row_range;
mod runs;
mod sandboxes;
mod schema;
mod search;
mod sheet;
mod sources;
mod sql;
mod supervise;
mod temporary;
mod tickets;
mod usage;
mod users;
mod voices;

use std::sync::Arc;

use axum::response::{IntoResponse, Redirect};
use axum::{Router, middleware};

use crate::visit::{self, Visit};
use crate::{Answer, Door};

pub(crate) fn router() -> Router<Arc<Door>> {
    Router::new()
        .merge(desk::router())
        .merge(entries::router())
        .merge(entry_form::router())
        .merge(ledger_sheet::router())
        .merge(ledger::router())
        .merge(proposals::router())
        .merge(search::router())
        .merge(notices::router())
        .merge(collect::router())
        .merge(runs::router())
        .merge(sheet::router())
        .merge(sources::router())
        .merge(schema::router())
        .merge(findings::router())
        .merge(channels::router())
        .merge(outflows::router())
        .merge(deliveries::router())
        .merge(harvests::router())
        .merge(interfaces::router())
        .merge(convention::router())
        .merge(rails::router())
        .merge(exchanges::router())
        .merge(pipelines::router())
        .merge(reports::router())
        .merge(report_forms::router())
        .merge(report_plans::router())
        .merge(oversight::router())
        .merge(supervise::router())
        .merge(requests::router())
        .merge(apply::router())
        .merge(basket::router())
        .merge(bundles::router())
        .merge(build::router())
        .merge(approvals::router())
        .merge(flows::router())
        .merge(control::router())
        .merge(dispatch::router())
        .merge(applications::router())
        .merge(bounds::router())
        .merge(certificates::router())
        .merge(clients::router())
        .merge(sql::router())
        .merge(delta::router())
        .merge(usage::router())
        .merge(projects::router())
        .merge(project_sql::router())
        .merge(project_jobs::router())
        .merge(sandboxes::router())
        .merge(users::router())
        .merge(orgs::router())
        .merge(audit::router())
        .merge(restricted::router())
        .merge(tickets::router())
        .merge(voices::router())
        .merge(plans::router())
        .merge(contests::router())
        .merge(policies::router())
        .merge(realnames::router())
        .route_layer(middleware::from_fn(visit::signed_in))
}

/// Rows of a list page.
const PAGE: u32 = 50;

/// After a change: back to a page by `303`, with a word the page turns into a message.
pub(crate) fn done(path: &str, word: &str) -> Answer {
    let glue = if path.contains('?') { '&' } else { '?' };
    Ok(Redirect::to(&format!("{path}{glue}done={word}")).into_response())
}

/// This page with another keyset position.
pub(crate) fn next_link(visit: &Visit, key: &str, next: Option<&str>) -> Option<String> {
    let next = next?;
    let mut parts: Vec<String> = visit
        .query
        .iter()
        .filter(|(k, v)| k != key && k != "lang" && k != "done" && !v.is_empty())
        .map(|(k, v)| format!("{}={}", visit::encode(k), visit::encode(v)))
        .collect();
    parts.push(format!("{key}={}", visit::encode(next)));
    Some(format!("{}?{}", visit.uri.path(), parts.join("&")))
}

/// An empty list where the caller may not look; every other failure stays one.
fn or_empty<T: Default>(outcome: model::Result<T>) -> model::Result<T> {
    match outcome {
        Err(error) if error.kind() == model::Kind::Denied => Ok(T::default()),
        other => other,
    }
}

#[cfg(test)]
pub(crate) fn drawn(flow: &model::flow::Flow, lang: visit::Lang) -> impl serde::Serialize + use<> {
    drawing::draw(flow, None, lang)
}

#[cfg(test)]
pub(crate) use draft::empty as empty_draft;
