//! Public statistics: how many applied, were approved and refused, are in force, and how long decisions took; of all and by provider.

use std::collections::BTreeMap;

use model::restricted::UseState;
use model::{Op, Result};
use serde::Serialize;
use store::restricted::UseCount;

use crate::App;

/// Figures of restricted opening.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UseFigures {
    pub all: ProviderFigures,
    /// Those of each provider, most applied for first.
    pub providers: Vec<ProviderFigures>,
}

/// Figures of one provider (an application for data of two counts at both), or of all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ProviderFigures {
    /// Empty: of all.
    pub provider: String,
    pub applied: u64,
    pub approved: u64,
    pub refused: u64,
    pub in_force: u64,
    /// For want of a report on use.
    pub suspended: u64,
    pub stopped: u64,
    /// Reports on use that were accepted.
    pub reports: u64,
    /// Median of working days from submission to decision; nothing without a decision.
    pub median_days: Option<i64>,
}

/// The figures now; anybody may have them.
pub async fn figures(app: &App, _op: &Op) -> Result<UseFigures> {
    let mut by: BTreeMap<String, Vec<UseCount>> = BTreeMap::new();
    for count in app.store.restricted_figures().await? {
        by.entry(count.provider.clone()).or_default().push(count);
    }
    let all = by.remove("").map(|counts| tally(String::new(), &counts)).unwrap_or_default();
    let mut providers: Vec<ProviderFigures> =
        by.into_iter().map(|(provider, counts)| tally(provider, &counts)).collect();
    providers.sort_by(|a, b| b.applied.cmp(&a.applied).then(a.provider.cmp(&b.provider)));
    Ok(UseFigures { all, providers })
}

fn tally(provider: String, counts: &[UseCount]) -> ProviderFigures {
    let mut figures = ProviderFigures { provider, ..ProviderFigures::default() };
    let mut days: BTreeMap<i64, u64> = BTreeMap::new();
    for count in counts {
        figures.applied += count.count;
        figures.reports += count.reports;
        match count.decided.as_str() {
            "approved" => figures.approved += count.count,
            "refused" => figures.refused += count.count,
            _ => {}
        }
        match count.state {
            UseState::InForce => figures.in_force += count.count,
            UseState::Suspended => figures.suspended += count.count,
            UseState::Stopped => figures.stopped += count.count,
            _ => {}
        }
        if count.days >= 0 {
            *days.entry(count.days).or_default() += count.count;
        }
    }
    figures.median_days = median(&days);
    figures
}

/// The lower median of values with how often each occurs.
fn median(days: &BTreeMap<i64, u64>) -> Option<i64> {
    let all: u64 = days.values().sum();
    let mut seen = 0;
    days.iter()
        .find(|(_, n)| {
            seen += **n;
            seen * 2 >= all
        })
        .map(|(day, _)| *day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_stands_in_the_middle() {
        let of = |pairs: &[(i64, u64)]| median(&pairs.iter().copied().collect());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[(3, 1)]), Some(3));
        assert_eq!(of(&[(1, 1), (5, 1), (9, 1)]), Some(5));
        assert_eq!(of(&[(1, 10), (9, 1)]), Some(1));
    }
}
