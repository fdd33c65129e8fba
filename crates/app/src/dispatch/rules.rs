//! The rule file of dispatch and control (`rules/dispatch.toml`), in versions with the day from which each holds.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use model::code::UpdateCycle;
use model::dispatch::Job;
use model::{Error, Op, Result};
use serde::Deserialize;

use crate::App;

/// All versions of the rules.
#[derive(Clone, Debug, Deserialize)]
pub struct DispatchBook {
    version: Vec<DispatchRules>,
}

/// One version of the rules.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DispatchRules {
    /// Day from which the version holds.
    pub effective: NaiveDate,
    pub compute: Compute,
    pub storage: Storage,
    pub quota: QuotaRule,
    pub idle: IdleRules,
    pub alert: AlertRules,
    pub board: BoardRules,
    /// Days after which data of an update cycle are stale.
    pub freshness: BTreeMap<String, i64>,
    pub job: Vec<JobRule>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compute {
    pub unit_seconds: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    pub gb_bytes: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotaRule {
    pub near_percent: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdleRules {
    pub utilisation_under: i64,
    pub days: i64,
    pub call_days: i64,
    pub cloud_states: Vec<String>,
    pub cloud_to: String,
    pub answer_days: u32,
    pub keep_most_days: i64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertRules {
    pub approvals_late: u64,
    pub failed_runs: u64,
    pub stale_entries: u64,
    pub reclaims_late: u64,
    pub failed_hours: i64,
    pub chain_days: i64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoardRules {
    pub keep_seconds: i64,
    pub wall_seconds: u64,
    pub days: u64,
    pub most: u32,
    pub job_days: i64,
}

/// When a recurring job comes round.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobRule {
    pub job: Job,
    pub every: u64,
    pub grace: u64,
    #[serde(default)]
    pub again: bool,
}

impl DispatchBook {
    /// Checks what the format cannot: every job once, numbers that can be worked with, cycles that exist.
    pub fn check(&self) -> Result<()> {
        if self.version.is_empty() {
            return Err(wrong("there is no [[version]]"));
        }
        for version in &self.version {
            for job in Job::ALL {
                let n = version.job.iter().filter(|j| j.job == *job).count();
                if n != 1 {
                    return Err(wrong(&format!("job `{job}` stands {n} times")));
                }
            }
            if let Some(job) = version.job.iter().find(|j| j.every == 0) {
                return Err(wrong(&format!(
                    "job `{}`: `every` must be at least 1 second",
                    job.job
                )));
            }
            for word in version.freshness.keys() {
                if !UpdateCycle::ALL.iter().any(|c| c.as_str() == word) {
                    return Err(wrong(&format!("freshness: no update cycle `{word}`")));
                }
            }
            if version.compute.unit_seconds == 0 || version.storage.gb_bytes == 0 {
                return Err(wrong("`unit_seconds` and `gb_bytes` must be more than 0"));
            }
        }
        Ok(())
    }

    /// The version in force on a day: the latest whose day has come; before all of them the earliest.
    #[must_use]
    pub fn at(&self, day: NaiveDate) -> Option<&DispatchRules> {
        let come = self.version.iter().filter(|v| v.effective <= day);
        come.max_by_key(|v| v.effective).or_else(|| self.version.iter().min_by_key(|v| v.effective))
    }
}

fn wrong(what: &str) -> Error {
    Error::invalid(format!("调度规则有误：{what}"), format!("the dispatch rules are wrong: {what}"))
}

impl DispatchRules {
    /// The rule of one job.
    pub fn of(&self, job: Job) -> Result<&JobRule> {
        self.job
            .iter()
            .find(|j| j.job == job)
            .ok_or_else(|| Error::internal(format!("no rule for the job `{job}`")))
    }
}

/// The rules in force today.
pub fn rules<'a>(app: &'a App, op: &Op) -> Result<&'a DispatchRules> {
    app.rules
        .dispatch
        .at(op.today())
        .ok_or_else(|| Error::internal("the dispatch rules hold no version"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_file_is_right_and_a_wrong_one_is_told_by_name() {
        let text = include_str!("../../rules/dispatch.toml");
        let book: DispatchBook = toml::from_str(text).unwrap();
        book.check().unwrap();
        let rules = book.at("2026-03-02".parse().unwrap()).unwrap();
        assert_eq!(rules.of(Job::Expiry).unwrap().every, 60);
        for (from, to, said) in [
            ("job = \"lake\"", "job = \"expiry\"", "expiry"),
            ("daily = 2", "dayly = 2", "dayly"),
            ("every = 600\n", "every = 0\n", "every"),
            ("unit_seconds = 60", "unit_seconds = 0", "unit_seconds"),
        ] {
            let book: DispatchBook = toml::from_str(&text.replace(from, to)).unwrap();
            assert!(book.check().unwrap_err().en().contains(said), "{said}");
        }
        let of_ledgers = include_str!("../../rules/ledger.toml");
        let ledgers: crate::ledger::rules::LedgerBook = toml::from_str(of_ledgers).unwrap();
        let cloud = ledgers.at("2026-03-02".parse().unwrap()).unwrap();
        let cloud = cloud.of(model::asset::Ledger::Cloud).unwrap();
        for state in &rules.idle.cloud_states {
            let to = &cloud.state(state).unwrap().to;
            assert!(to.contains(&rules.idle.cloud_to), "reclaiming follows the life cycle");
        }
    }
}
