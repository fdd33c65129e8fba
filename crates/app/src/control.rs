//! Control (一张网管控): the state of the house in figures, each of which leads to the rows behind it.

use model::region::RegionLevel;
use model::{Op, Result};
use policy::{Action, Target};
use serde::Serialize;
use store::control::{Called, Count};

use crate::{App, audit};

/// The figures.
#[derive(Clone, Debug, Serialize)]
pub struct Board {
    pub approvals: Vec<Count>,
    /// Running approvals past their day.
    pub late: u64,
    pub requests: Vec<Count>,
    pub runs: Vec<Count>,
    pub calls_today: u64,
    pub calls_year: u64,
    /// Calls of this year by region of the caller, with today's.
    pub regions: Vec<RegionCalls>,
    /// Interfaces called most today.
    pub top: Vec<Called>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RegionCalls {
    pub region: String,
    /// `None` when the region is not known.
    pub level: Option<RegionLevel>,
    pub today: u64,
    pub year: u64,
}

/// The board, for those who see every approval.
pub async fn board(app: &App, op: &Op) -> Result<Board> {
    let strange = Target {
        org: Some(String::new()),
        applicant_org: Some(String::new()),
        ..Target::plain("Approval", "all")
    };
    audit::permit(app, op, Action::ApprovalRead, &strange).await?;
    let today = op.today();
    let day = today.to_string();
    let new_year = format!("{}-01-01", today.format("%Y"));
    let now = app.store.calls_by_region(&day, &day).await?;
    let year = app.store.calls_by_region(&new_year, &day).await?;
    let regions = year
        .iter()
        .map(|c| RegionCalls {
            level: model::region::level_of(&c.word).ok(),
            today: now.iter().find(|n| n.word == c.word).map_or(0, |n| n.count),
            year: c.count,
            region: c.word.clone(),
        })
        .collect();
    Ok(Board {
        approvals: app.store.count_approvals().await?,
        late: app.store.count_late(&day).await?,
        requests: app.store.count_requests().await?,
        runs: app.store.count_runs().await?,
        calls_today: now.iter().map(|c| c.count).sum(),
        calls_year: year.iter().map(|c| c.count).sum(),
        regions,
        top: app.store.calls_by_entry(&day).await?,
    })
}
