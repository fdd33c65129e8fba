//! Dispatch (一平台调度): who may use how much, one calendar of all jobs of the platform, idle resources.
//!
//! `rules` is the rule file, `quota` holds quotas and what bounds them, `shift` moves quota by an approval, `job` is the
//! registry of recurring work (it runs it and keeps how that ended), `calendar` shows what ran, runs and comes, `idle`
//! finds what lies idle and reclaims it with its owner's word, `measure` counts use for the jobs.

mod calendar;
mod idle;
mod job;
mod measure;
mod quota;
pub mod rules;
mod shift;

pub use calendar::{Day, Month, ends, month};
pub(crate) use calendar::{bounds as day_bounds, day_of_hour};
pub use idle::{answer, idle, propose, reclaim, reclaims, withdraw};
pub(crate) use job::standing;
pub use job::{JobSeen, JobStanding, due_in, every, jobs, run_job, run_now, runs};
pub(crate) use measure::{FRESH, chain_verdict, data_day, fresh_for, fresh_until};
pub use measure::{figures, freshness, resources};
pub use quota::{HolderSeen, Share, Used, holder, list, moves, set};
pub(crate) use quota::{known, pools, scope, unit, used};
pub use rules::rules;
pub use shift::{MoveNew, ask};
pub(crate) use shift::{SUBJECT, deliver};
pub use store::dispatch::{QuotaMove, QuotaPast};
