//! Deliveries (推送): what an approved share application lets an organisation have in batches, brought into its database or folder
//! at agreed times, all of it or what has changed.
//!
//! What people decide is a [`Delivery`]; each time it goes is a [`DeliveryTurn`], which ends in a [`DeliveryReceipt`]. Where a
//! database stands is written there, together with the rows; what is kept here is for people to look at and to hold against it.

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::calendar::Calendar;
use crate::code::{SyncMode, code_list};
use crate::op::china;
use crate::pipeline::schedule::Schedule;

/// Turns looked at on the way to one on a working day.
const TURNS_AHEAD: u32 = 10_000;

code_list! {
    /// What rows are brought into.
    DeliveryKind {
        Database = "database", "数据库表", "Table of a database";
        Folder = "folder", "文件夹", "Folder";
    }
}
code_list! {
    /// How often a delivery goes.
    DeliveryPace {
        Once = "once", "一次", "Once";
        Period = "period", "周期", "Recurring";
    }
}
code_list! {
    /// Where a delivery is in its life; the province's numbers 1 to 5, in this order.
    DeliveryState {
        Draft = "draft", "待发布", "Not published";
        Waiting = "waiting", "未开始", "Not begun";
        Going = "going", "进行中", "Under way";
        Ended = "ended", "已结束", "Ended";
        Stopped = "stopped", "已停用", "Stopped";
    }
}
code_list! {
    /// How a turn stands.
    DeliveryTurnState {
        Waiting = "waiting", "等待", "Waiting";
        Running = "running", "投送中", "Delivering";
        Retrying = "retrying", "故障重试", "Retrying";
        Done = "done", "已送达", "Delivered";
        Failed = "failed", "未送达", "Not delivered";
    }
}
code_list! {
    /// Why a turn began.
    DeliveryCause {
        Schedule = "schedule", "按计划", "By schedule";
        Manual = "manual", "手动", "By hand";
        Heal = "heal", "全量修复", "All anew";
    }
}

impl DeliveryState {
    /// Whether turns begin by themselves.
    #[must_use]
    pub fn live(self) -> bool {
        matches!(self, Self::Waiting | Self::Going)
    }
}

impl DeliveryTurnState {
    /// Whether there is still something to do for it.
    #[must_use]
    pub fn open(self) -> bool {
        matches!(self, Self::Waiting | Self::Running | Self::Retrying)
    }
}

/// When a delivery goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryPlan {
    pub pace: DeliveryPace,
    /// Once: civil time in China, `2026-03-02T01:00`; empty: as soon as it is published.
    #[serde(default)]
    pub at: String,
    /// Recurring: a cron pattern of five fields, in civil time of China.
    #[serde(default)]
    pub cron: String,
    /// Recurring: on working days only.
    #[serde(default)]
    pub workdays: bool,
}

impl DeliveryPlan {
    /// What is wrong with it: field, and why in both languages.
    #[must_use]
    pub fn fault(&self) -> Option<(&'static str, String, String)> {
        match self.pace {
            DeliveryPace::Once if self.at.is_empty() || self.moment().is_some() => None,
            DeliveryPace::Once => Some((
                "at",
                format!("时间 `{}` 应形如 2026-03-02T01:00（北京时间）", self.at),
                format!("the time `{}` reads like 2026-03-02T01:00 (UTC+8)", self.at),
            )),
            DeliveryPace::Period => Schedule::cron(&self.cron).err().map(|said| {
                (
                    "cron",
                    format!("周期 `{}` 应为五段 cron 表达式（北京时间）：{said}", self.cron),
                    format!("`{}` is not a cron pattern of five fields (UTC+8): {said}", self.cron),
                )
            }),
        }
    }

    fn moment(&self) -> Option<DateTime<Utc>> {
        let time = ["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S"]
            .iter()
            .find_map(|form| NaiveDateTime::parse_from_str(self.at.trim(), form).ok())?;
        Some(time.and_local_timezone(china()).single()?.with_timezone(&Utc))
    }

    /// The first turn when it is published at `now`; `None` when there is none.
    #[must_use]
    pub fn first(&self, now: DateTime<Utc>, calendar: &Calendar) -> Option<DateTime<Utc>> {
        match self.pace {
            // A moment that is over is now.
            DeliveryPace::Once => Some(self.moment().map_or(now, |moment| moment.max(now))),
            DeliveryPace::Period => self.next(now, calendar),
        }
    }

    /// The first turn after `at`; `None` when there is none any more.
    #[must_use]
    pub fn next(&self, at: DateTime<Utc>, calendar: &Calendar) -> Option<DateTime<Utc>> {
        if self.pace == DeliveryPace::Once {
            return None;
        }
        let schedule = Schedule::cron(&self.cron).ok()?;
        let mut turn = schedule.next(at, calendar)?;
        for _ in 0..TURNS_AHEAD {
            let day = turn.with_timezone(&china()).date_naive();
            if !self.workdays || calendar.is_working_day(day) {
                return Some(turn);
            }
            turn = schedule.next(turn, calendar)?;
        }
        None
    }

    /// Of a turn that was due and those after it up to `now`: the newest, and how many came before it and were missed.
    #[must_use]
    pub fn latest(
        &self,
        due: DateTime<Utc>,
        now: DateTime<Utc>,
        calendar: &Calendar,
    ) -> (DateTime<Utc>, u64) {
        let (mut newest, mut missed) = (due, 0);
        while missed < u64::from(TURNS_AHEAD)
            && let Some(next) = self.next(newest, calendar).filter(|next| *next <= now)
        {
            newest = next;
            missed += 1;
        }
        (newest, missed)
    }
}

/// A delivery as decided by people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    pub id: String,
    /// Organisation that receives.
    pub org: String,
    pub org_name: String,
    /// Organisation that provides the entry.
    pub provider: String,
    pub entry: String,
    pub entry_code: String,
    pub entry_title: String,
    /// Approved share application, and the application (应用) it was approved for.
    pub request: String,
    pub application: String,
    pub application_name: String,
    /// Items delivered, of those granted; empty: all of them.
    #[serde(default)]
    pub items: Vec<String>,
    /// Region (GB/T 2260) whose rows are delivered, within what was agreed; empty: all that was agreed.
    #[serde(default)]
    pub area: String,
    /// What the rows are used for.
    pub purpose: String,
    /// All rows every time, or what has changed.
    pub mode: SyncMode,
    #[serde(flatten)]
    pub plan: DeliveryPlan,
    pub kind: DeliveryKind,
    /// Stored database of the receiver; empty for a folder.
    #[serde(default)]
    pub source: String,
    pub source_name: String,
    /// `host:port/database`, or `file:///…/` of a folder.
    pub place: String,
    /// Table there, `schema.table` or `table`; first part of the files' names in a folder.
    pub table: String,
    pub state: DeliveryState,
    /// Why it stopped, in both languages.
    #[serde(default)]
    pub zh: String,
    #[serde(default)]
    pub en: String,
    pub created_at: String,
    pub created_by: String,
    /// Account of who made it: told when something goes wrong.
    pub owner: String,
}

/// What is needed to make one.
#[derive(Clone, Debug)]
pub struct DeliveryNew {
    /// Id of the approved share application.
    pub request: String,
    pub kind: DeliveryKind,
    /// Id of the receiver's stored database, for a database.
    pub source: String,
    /// Folder on the platform's machine, for a folder.
    pub place: String,
    /// Table there, or first part of the files' names; empty: the entry's code.
    pub table: String,
    pub items: Vec<String>,
    pub area: String,
    /// Empty: what the share application says.
    pub purpose: String,
    pub mode: SyncMode,
    pub plan: DeliveryPlan,
}

/// What the platform finds of a delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeliveryFigures {
    /// Turns that went well, and those that did not.
    pub delivered: u64,
    pub failed: u64,
    pub upserts: u64,
    pub deletes: u64,
    pub bytes: u64,
    pub delivered_at: Option<String>,
    /// Version of the lake that the newest receipt speaks of, and the shape of its grant: where a folder stands.
    pub version: Option<i64>,
    pub shape: String,
    /// The newest file of a folder.
    pub file: String,
}

/// One time that a delivery goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryTurn {
    pub id: String,
    pub delivery: String,
    /// A delivery's once: `s:` and the time it was due, or `m:` and an id.
    pub key: String,
    pub cause: DeliveryCause,
    pub state: DeliveryTurnState,
    /// When it was due, RFC 3339.
    pub at: String,
    /// Turns before it that were due while no process ran.
    pub missed: u64,
    pub failures: u32,
    /// Version that a file of this turn ends at, once it is named.
    pub to: Option<i64>,
    pub started_at: Option<String>,
    pub finished_at: Option<String>,
    /// Why it waits or failed, in both languages.
    pub zh: String,
    pub en: String,
    pub by: String,
    pub receipt: Option<DeliveryReceipt>,
}

/// What a turn brought, as the platform states it and signs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryReceipt {
    /// `qiantang.delivery/1`
    pub form: String,
    /// The turn's id.
    pub id: String,
    pub delivery: String,
    pub request: String,
    /// Names of the application, and of who receives.
    pub application: String,
    pub receiver: String,
    pub entry: String,
    pub place: String,
    /// Table, or file.
    pub table: String,
    /// What was done: all rows replaced, or changes since `from`.
    pub mode: SyncMode,
    pub from: Option<i64>,
    /// Version of the lake that the target holds now; `None`: nothing has landed yet.
    pub version: Option<i64>,
    /// What was granted: columns as they went, masks, and what tells this grant from others.
    pub columns: String,
    pub masks: String,
    pub shape: String,
    pub upserts: u64,
    pub deletes: u64,
    /// Of the values, or of the file.
    pub bytes: u64,
    /// SHA-256 of the rows as they were sent, or of the file; empty when nothing was sent.
    pub sha256: String,
    /// Rows of the target afterwards, as it counts them itself.
    pub target_rows: Option<u64>,
    pub at: String,
}

/// What a target holds, held against what the grant shows at the same version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeliveryCheck {
    pub at: String,
    pub version: i64,
    pub target_rows: u64,
    pub granted_rows: u64,
    /// Sums over all rows, whatever their order; of a file its SHA-256.
    pub target_sum: String,
    pub granted_sum: String,
    /// Rows that the target lacks, has too many, or holds with other values; `None`: too many rows to be told apart one by one.
    pub missing: Option<u64>,
    pub extra: Option<u64>,
    pub different: Option<u64>,
    pub equal: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn plan(pace: DeliveryPace, at: &str, cron: &str, workdays: bool) -> DeliveryPlan {
        DeliveryPlan { pace, at: at.into(), cron: cron.into(), workdays }
    }

    #[test]
    fn a_single_turn_is_of_china_and_comes_once() {
        let calendar = Calendar::china();
        let once = plan(DeliveryPace::Once, "2026-03-02T01:00", "", false);
        assert_eq!(once.fault(), None);
        let now = at("2026-02-28T00:00:00Z");
        assert_eq!(once.first(now, &calendar), Some(at("2026-03-01T17:00:00Z")));
        assert_eq!(once.next(now, &calendar), None);
        let soon = plan(DeliveryPace::Once, "", "", false);
        assert_eq!((soon.fault(), soon.first(now, &calendar)), (None, Some(now)));
        let wrong = plan(DeliveryPace::Once, "明天", "", false);
        assert_eq!(wrong.fault().map(|(field, ..)| field), Some("at"));
    }

    #[test]
    fn recurring_turns_may_keep_to_working_days() {
        let calendar = Calendar::china();
        let daily = plan(DeliveryPace::Period, "", "30 8 * * *", false);
        let working = DeliveryPlan { workdays: true, ..daily.clone() };
        // Wednesday, the last day of 2025; then holidays until the make-up Sunday of 4 January.
        let wednesday = at("2025-12-31T00:30:00Z");
        assert_eq!(daily.next(wednesday, &calendar), Some(at("2026-01-01T00:30:00Z")));
        assert_eq!(working.next(wednesday, &calendar), Some(at("2026-01-04T00:30:00Z")));
        let now = at("2026-01-05T03:00:00Z");
        assert_eq!(daily.latest(wednesday, now, &calendar), (at("2026-01-05T00:30:00Z"), 5));
        assert_eq!(working.latest(wednesday, now, &calendar), (at("2026-01-05T00:30:00Z"), 2));
        let wrong = plan(DeliveryPace::Period, "", "每天", false);
        assert_eq!(wrong.fault().map(|(field, ..)| field), Some("cron"));
    }
}
