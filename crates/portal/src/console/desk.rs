//! The workbench: what awaits me, what I asked for, what was refused, what ran lately; and the review queue.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use chrono::{DateTime, Days, NaiveDate};
use minijinja::context;
use model::entry::EntryFilter;
use model::op::china;
use model::parcel::Run;
use serde::Serialize;

use crate::console::{PAGE, next_link, or_empty};
use crate::view::{staff, value};
use crate::visit::Visit;
use crate::{Answer, Door};

/// Days of the chart of collections.
const DAYS: u64 = 14;
/// Runs looked at for it.
const RUNS_LOOKED_AT: u32 = 999;
/// Runs in the list below it.
const RUNS_SHOWN: usize = 8;

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new().route("/console", get(desk)).route("/console/review", get(review))
}

async fn desk(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let inbox = or_empty(app::sharing::inbox(app, op).await)?;
    let mut runs = Vec::new();
    let mut mine = Vec::new();
    if staff(op) {
        let page = app::collection::runs(app, op, None, None, RUNS_LOOKED_AT).await;
        runs = or_empty(page.map(|p| p.items))?;
        let org = visit.session()?.user.org.clone();
        let own = EntryFilter { org, limit: 8, ..EntryFilter::default() };
        mine = or_empty(app::catalogue::list(app, op, &own).await.map(|p| p.items))?;
    }
    let queue = match inbox.entries.is_empty() {
        true => Vec::new(),
        false => or_empty(app::catalogue::queue(app, op, None, PAGE).await.map(|p| p.items))?,
    };
    let days = days(op.today(), &runs);
    runs.truncate(RUNS_SHOWN);
    let tasks = app::approval::tasks(app, op, None, 8).await?;
    let drifts = app::catalogue::schema::count(app, op).await?;
    let context = context! {
        speaks => app::voice::has_desk(app, op), reviews => app::voice::may_review(app, op),
        tickets => value(app::voice::count(app, op).await?), drifts,
        tasks => value(&tasks.items), inbox => value(&inbox), queue => value(&queue), runs => value(&runs),
        entries => value(&mine),
        days => value(&days), busy => days.iter().any(|d| d.runs > 0),
    };
    door.page(&visit, "console/desk.html", context).await
}

/// Collection of one day.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Day {
    day: NaiveDate,
    runs: u64,
    accepted: u64,
    quarantined: u64,
}

/// Figures of the last days, oldest first, days without runs included.
fn days(today: NaiveDate, runs: &[Run]) -> Vec<Day> {
    let mut all: BTreeMap<NaiveDate, Day> = (0..DAYS)
        .filter_map(|n| today.checked_sub_days(Days::new(n)))
        .map(|day| (day, Day { day, runs: 0, accepted: 0, quarantined: 0 }))
        .collect();
    for run in runs {
        let Ok(at) = DateTime::parse_from_rfc3339(&run.started_at) else { continue };
        if let Some(day) = all.get_mut(&at.with_timezone(&china()).date_naive()) {
            day.runs += 1;
            day.accepted += run.accepted;
            day.quarantined += run.quarantined;
        }
    }
    all.into_values().collect()
}

async fn review(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let page = app::catalogue::queue(&door.app, &visit.op, visit.q("after"), PAGE).await?;
    let context = context! {
        rows => value(&page.items), next => next_link(&visit, "after", page.next.as_deref()),
        done => visit.q("done"),
    };
    door.page(&visit, "console/review.html", context).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::code::SyncMode;
    use model::parcel::RunState;

    #[test]
    fn runs_are_counted_on_their_day_in_china() {
        let run = |at: &str, accepted| Run {
            id: "n".into(),
            entry: "e".into(),
            entry_title: String::new(),
            state: RunState::Succeeded,
            mode: SyncMode::Full,
            channel: "file".into(),
            source: String::new(),
            parcel: None,
            checksum: String::new(),
            read: accepted + 1,
            accepted,
            quarantined: 1,
            bytes_done: 0,
            bytes_total: 0,
            version: None,
            message_zh: String::new(),
            message_en: String::new(),
            started_at: at.into(),
            finished_at: None,
            actor: String::new(),
        };
        let today = NaiveDate::from_ymd_opt(2026, 3, 2).unwrap();
        let got = days(
            today,
            &[
                run("2026-03-01T17:00:00.000Z", 5),
                run("2026-03-02T01:00:00.000Z", 2),
                run("2026-01-01T01:00:00.000Z", 9),
            ],
        );
        assert_eq!(got.len(), 14);
        let last = got.last().unwrap();
        assert_eq!((last.day, last.runs, last.accepted, last.quarantined), (today, 2, 7, 2));
        assert_eq!(got.iter().map(|d| d.runs).sum::<u64>(), 2);
    }
}
