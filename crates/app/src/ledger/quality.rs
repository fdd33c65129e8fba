//! How good the ledgers are: completeness, stale assets, assets without an answerable person, orphans; organisations
//! ranked, and the ranking of each month kept.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta};
use model::asset::AssetFilter;
use model::{Error, Op, Result, op};
use policy::{Action, Target};
use serde::Serialize;
use store::asset::OrgQuality;

use super::{readable, rules};
use crate::{App, audit};

/// Figures over all ledgers, or one organisation's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Quality {
    pub assets: u64,
    pub stale: u64,
    pub ownerless: u64,
    pub orphans: u64,
    /// An asset is stale when it was not changed or confirmed since this stamp.
    pub stale_before: String,
    pub stale_days: i64,
}

/// An organisation's place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OrgRank {
    pub place: u64,
    pub org: String,
    pub org_name: String,
    pub score: i64,
    pub assets: i64,
    pub stale: i64,
    pub ownerless: i64,
}

/// The stamp before which an asset is stale.
fn stale_before(app: &App, at: &Op) -> Result<(String, i64)> {
    let days = rules(app, at)?.quality.stale_days;
    let then: DateTime<_> = at.at - TimeDelta::try_days(days).unwrap_or_default();
    Ok((op::stamp(then), days))
}

/// Figures of all ledgers or of one organisation.
pub async fn quality(app: &App, op: &Op, org: Option<&str>) -> Result<Quality> {
    let base = AssetFilter { org: org.map(str::to_owned), ..AssetFilter::default() };
    readable(app, op, &base).await?;
    let (stale_before, stale_days) = stale_before(app, op)?;
    let count = async |filter: AssetFilter| app.store.asset_count(&filter).await;
    Ok(Quality {
        assets: count(base.clone()).await?,
        stale: count(AssetFilter { stale_before: Some(stale_before.clone()), ..base.clone() })
            .await?,
        ownerless: count(AssetFilter { ownerless: true, ..base.clone() }).await?,
        orphans: count(AssetFilter { orphan: true, ..base }).await?,
        stale_before,
        stale_days,
    })
}

/// Organisations by completeness, then fewest stale. Without a month: as things stand now; with one (`2026-03`): as it
/// was kept.
pub async fn ranking(app: &App, op: &Op, month: Option<&str>) -> Result<Vec<OrgRank>> {
    readable(app, op, &AssetFilter::default()).await?;
    let mut rows = match month {
        Some(month) => {
            let well =
                month.len() == 7 && format!("{month}-01").parse::<chrono::NaiveDate>().is_ok();
            if !well {
                return Err(Error::invalid(
                    "月份请写成 2026-03 的形式",
                    "write the month like 2026-03",
                ));
            }
            app.store.rank_get(month).await?
        }
        None => app.store.asset_quality(&stale_before(app, op)?.0).await?,
    };
    rows.sort_by(|a, b| {
        (b.score, a.stale * b.assets, &a.org).cmp(&(a.score, b.stale * a.assets, &b.org))
    });
    let names = super::org_names(app).await?;
    Ok(numbered(rows, &names))
}

fn numbered(rows: Vec<OrgQuality>, names: &HashMap<String, String>) -> Vec<OrgRank> {
    (1_u64..)
        .zip(rows)
        .map(|(place, r)| OrgRank {
            place,
            org_name: names.get(&r.org).cloned().unwrap_or_else(|| r.org.clone()),
            org: r.org,
            score: r.score,
            assets: r.assets,
            stale: r.stale,
            ownerless: r.ownerless,
        })
        .collect()
}

/// Keeps this month's ranking, once; a chore of the platform. Answers the month.
pub async fn rank_month(app: &App, op: &Op) -> Result<String> {
    let permit =
        audit::permit(app, op, Action::SystemWork, &Target::plain("System", "ranking")).await?;
    let month = op.today().format("%Y-%m").to_string();
    if app.store.rank_get(&month).await?.is_empty() {
        let rows = app.store.asset_quality(&stale_before(app, op)?.0).await?;
        app.store.rank_keep(&permit, &month, &rows).await?;
    }
    Ok(month)
}
