//! Pipelines (数据管道): scheduled pulls that a department describes in a file.
//!
//! `file` is the file and what may be wrong with it, `schedule` says when its turns are, `window` which rows a turn reads.
//! What people decide is a [`Pipeline`] (with its text, version by version); what becomes of it are its [`Turn`]s. Where
//! an incremental pipeline stands is not kept here: the lake knows, because the position is committed with the rows.

pub mod file;
pub mod schedule;
pub mod window;

use serde::{Deserialize, Serialize};

use crate::code::code_list;

pub use self::file::{Budget, EmptyRule, Fault, Kind as SourceKind, PipelineFile, SameTurn};

code_list! {
    /// What a person wants of a pipeline.
    PipelineWish {
        Run = "run", "运行", "Run";
        Pause = "pause", "暂停", "Pause";
    }
}

code_list! {
    /// Why there is a turn.
    TurnKind {
        Schedule = "schedule", "按计划", "Scheduled";
        After = "after", "上游完成", "After others";
        Manual = "manual", "手动", "By hand";
        Backfill = "backfill", "补采", "Backfill";
    }
}

code_list! {
    /// Where a turn stands.
    TurnState {
        Waiting = "waiting", "等待中", "Waiting";
        Running = "running", "运行中", "Running";
        Retrying = "retrying", "等待重试", "To be tried again";
        Succeeded = "succeeded", "成功", "Succeeded";
        Empty = "empty", "成功但无数据", "Succeeded without rows";
        Failed = "failed", "失败", "Failed";
        Cancelled = "cancelled", "已取消", "Cancelled";
    }
}

impl TurnState {
    /// Whether nothing more happens to it by itself.
    #[must_use]
    pub fn ended(self) -> bool {
        !matches!(self, Self::Waiting | Self::Running | Self::Retrying)
    }
    /// Whether what waits for it may go on.
    #[must_use]
    pub fn good(self) -> bool {
        matches!(self, Self::Succeeded | Self::Empty)
    }
}

/// A pipeline as kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pipeline {
    pub id: String,
    /// Owning organisation.
    pub org: String,
    /// Name in files, unique within the organisation.
    pub name: String,
    pub title: String,
    /// Entry its rows go to.
    pub entry: String,
    pub entry_code: String,
    /// What its source is counted by, so that not too many read from it at once.
    pub source: String,
    /// Where that is, for people: no secret.
    pub place: String,
    /// Version of the file, from 1.
    pub version: i64,
    /// The file as written.
    pub file: String,
    pub wish: PipelineWish,
    pub created_at: String,
    pub created_by: String,
    pub updated_at: String,
    pub updated_by: String,
    /// Next scheduled turn; empty when there is none.
    #[serde(default)]
    pub due: String,
}

/// An earlier (or the present) text of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineVersion {
    pub version: i64,
    pub file: String,
    pub at: String,
    pub by: String,
}

/// One turn of a pipeline: a pull, with its attempts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    pub id: String,
    pub pipeline: String,
    /// What it is a turn of; a pipeline has one turn with a key, whoever tries to begin it.
    pub key: String,
    pub kind: TurnKind,
    /// The time it stands for.
    pub at: String,
    pub state: TurnState,
    /// It is not taken up before.
    pub ready_at: String,
    /// Backfill it is a slice of.
    #[serde(default)]
    pub group: String,
    /// Version of the file it ran by (0 before it began).
    #[serde(default)]
    pub version: i64,
    /// Window given to it (backfills), or the one it read.
    #[serde(default)]
    pub from: String,
    #[serde(default)]
    pub to: String,
    /// Attempts that failed.
    #[serde(default)]
    pub failures: u32,
    /// Turns before it that were missed because no process ran.
    #[serde(default)]
    pub missed: u64,
    pub figures: TurnFigures,
    /// What came of its attempts, oldest first.
    #[serde(default)]
    pub attempts: Vec<Attempt>,
    /// What to know about it now.
    #[serde(default)]
    pub zh: String,
    #[serde(default)]
    pub en: String,
    #[serde(default)]
    pub started_at: Option<String>,
    #[serde(default)]
    pub finished_at: Option<String>,
    pub by: String,
}

/// Rows of a turn. Without a transformation `made = read`; `landed + quarantined = made + refused` always.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnFigures {
    /// Records the source gave.
    pub read: u64,
    /// Of them, those that did not fit the declared columns and so never came into the transformation.
    pub refused: u64,
    /// Rows the transformation made of the others.
    pub made: u64,
    pub landed: u64,
    /// Rows in quarantine, the refused ones included.
    pub quarantined: u64,
}

impl TurnFigures {
    /// *nothing-dropped*: every row is somewhere.
    #[must_use]
    pub fn agree(&self) -> bool {
        self.landed + self.quarantined == self.made + self.refused
    }
    pub fn add(&mut self, other: &Self) {
        self.read += other.read;
        self.refused += other.refused;
        self.made += other.made;
        self.landed += other.landed;
        self.quarantined += other.quarantined;
    }
}

/// An attempt of a turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its collection run (the last one, when files were taken one by one).
    pub run: String,
    pub at: String,
    /// How it ended: `succeeded`, `unchanged`, `failed`, `interrupted`; empty while it runs.
    pub outcome: String,
    #[serde(default)]
    pub zh: String,
    #[serde(default)]
    pub en: String,
}
