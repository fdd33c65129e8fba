//! Applying for a resource: which items, for which application, what for, on what basis, how long, how often.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Redirect};
use axum::routing::get;
use minijinja::{Value, context};
use model::entry::Entry;
use model::request::{Period, RequestNew, RequestWay};
use model::{Error, Kind, Result};

use crate::console::{done, or_empty, row_range};
use crate::form::Posted;
use crate::view::value;
use crate::visit::{Visit, encode};
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new().route("/apply/{code}", get(page).post(apply))
}

/// The entry as the applicant may know it: by the ledger for staff, by the open site for others.
async fn entry(door: &Door, visit: &Visit, code: &str) -> Result<Entry> {
    match app::catalogue::get(&door.app, &visit.op, code).await {
        Ok(entry) => Ok(entry),
        Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Denied) => {
            Ok(app::opening::dataset(&door.app, &visit.op, code).await?.entry)
        }
        Err(error) => Err(error),
    }
}

async fn page(State(door): State<Arc<Door>>, Path(code): Path<String>, visit: Visit) -> Answer {
    let entry = entry(&door, &visit, &code).await?;
    // What is open on conditions has a flow of its own, on the site of the city that one comes from.
    if app::sharing::way(&visit.op) == RequestWay::Open {
        let face = visit.q("region").map(|r| format!("&region={}", encode(r))).unwrap_or_default();
        let place = format!("/restricted/new?code={}{face}", encode(&entry.draft.code));
        return Ok(Redirect::to(&place).into_response());
    }
    form(&door, &visit, &entry, &Posted::default(), None).await
}

async fn form(
    door: &Door,
    visit: &Visit,
    entry: &Entry,
    posted: &Posted,
    error: Option<&Error>,
) -> Answer {
    let applications = or_empty(app::account::applications(&door.app, &visit.op).await)?;
    let way = app::sharing::way(&visit.op);
    let chosen: Vec<&str> = posted.all("items").collect();
    let items: Vec<Value> = entry
        .draft
        .items
        .iter()
        .map(|item| {
            let offered = way.offers(item);
            let ticked =
                if error.is_some() { chosen.contains(&item.identifier.as_str()) } else { offered };
            context! { item => value(item), offered, ticked }
        })
        .collect();
    // Rows are chosen by what is offered only.
    let known: Vec<(String, String)> = entry
        .draft
        .items
        .iter()
        .filter(|item| way.offers(item))
        .map(|item| (item.identifier.clone(), item.name_cn.clone()))
        .collect();
    let row_form = row_range::form(door, visit, entry, &known, &row_range::read(posted));
    let kept = |name: &str, default: &str| {
        let value = posted.get(name);
        if value.is_empty() { default.to_owned() } else { value.to_owned() }
    };
    let context = context! {
        entry => value(entry), items, row_form, way => way.as_str(),
        at_once_most => app::sharing::calls_at_once_most(&door.app),
        applications => value(applications.iter().filter(|a| a.active).collect::<Vec<_>>()),
        error => error.map(|e| visit.t(e.zh(), e.en()).to_owned()),
        fields => value(error.map(Error::fields).unwrap_or_default()),
        form => context! {
            application => kept("application", ""), scene => kept("scene", ""),
            legal_basis => kept("legal_basis", ""), period => kept("period", "90"),
            until => kept("until", ""), calls_per_day => kept("calls_per_day", "1000"),
            area_range => kept("area_range", ""), by_sql => kept("by_sql", ""),
        },
        regions => value(&door.names.get().regions),
    };
    door.page_with(visit, "console/apply.html", context, error).await
}

pub(super) fn period(posted: &Posted) -> Result<Period> {
    Ok(match posted.get("period") {
        "long" => Period::Long,
        "until" => {
            let date = posted.get("until");
            if date.is_empty() {
                return Err(Error::invalid("请填写截止日期", "enter the last day of use").field(
                    "until",
                    "请填写日期",
                    "enter a date",
                ));
            }
            Period::Until { date: date.to_owned() }
        }
        _ => Period::Days { days: posted.number("period")? },
    })
}

fn read(entry: &Entry, posted: &Posted) -> Result<RequestNew> {
    Ok(RequestNew {
        entry: entry.id.clone(),
        application: posted.get("application").to_owned(),
        items: posted.all("items").map(str::to_owned).collect(),
        scene: posted.get("scene").to_owned(),
        legal_basis: posted.get("legal_basis").to_owned(),
        period: period(posted)?,
        calls_per_day: posted.number("calls_per_day")?,
        area_range: posted.get("area_range").to_owned(),
        row_range: row_range::read(posted),
        by_sql: !posted.get("by_sql").is_empty(),
    })
}

async fn apply(
    State(door): State<Arc<Door>>,
    Path(code): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let entry = entry(&door, &visit, &code).await?;
    let outcome = match read(&entry, &posted) {
        Ok(new) => app::sharing::apply(&door.app, &visit.op, new).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(request) => done(&format!("/console/requests/{}", request.id), "applied"),
        Err(error) if matches!(error.kind(), Kind::Invalid | Kind::Conflict) => {
            form(&door, &visit, &entry, &posted, Some(&error)).await
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_read() {
        let of = |pairs: &[(&str, &str)]| period(&Posted::of(pairs));
        assert_eq!(of(&[("period", "90")]).unwrap(), Period::Days { days: 90 });
        assert_eq!(of(&[("period", "long")]).unwrap(), Period::Long);
        assert_eq!(
            of(&[("period", "until"), ("until", "2027-01-31")]).unwrap(),
            Period::Until { date: "2027-01-31".into() }
        );
        assert!(of(&[("period", "until")]).is_err());
        assert!(of(&[("period", "soon")]).is_err());
    }
}
