//! The data sandbox (数据沙箱, 可用不可见): a project whose rows are worked on but not seen, and what may leave it.
//!
//! ```text
//! project with a term ── samples of granted tables, uploads ── development: SQL and programs over samples
//!                     └─ reviewed runs over the whole ─ results ─ release desk ─ checks, reviews ─┬─ one download
//!                                                                                                └─ an interface of its application
//! ```
//!
//! `release` is what the release desk looks at. A term may be extended by the authority ([`SandboxExtension`]).

pub mod release;

use serde::{Deserialize, Serialize};

use crate::code::code_list;
use crate::project::ProjectRole;
use crate::project::reads::Reads;

/// What makes a project a sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxTerms {
    /// The last day on which anything is run, asked or fetched (`2026-12-31`).
    pub until: String,
}

code_list! {
    /// What a run reads.
    SandboxStage {
        Development = "development", "开发", "Development";
        Production = "production", "生产", "Production";
    }
}

code_list! {
    /// What runs.
    RunKind {
        Sql = "sql", "SQL", "SQL";
        Program = "program", "程序", "Program";
    }
}

code_list! {
    /// How far a run is.
    RunState {
        Asked = "asked", "待审核", "Under review";
        Refused = "refused", "已驳回", "Refused";
        Ready = "ready", "可运行", "May run";
        Running = "running", "运行中", "Running";
        Done = "done", "完成", "Done";
        Failed = "failed", "失败", "Failed";
    }
}

/// A program that members handed in. Its bytes are kept beside it and never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxProgram {
    pub id: String,
    pub project: String,
    pub name: String,
    /// SM3 of its bytes.
    pub digest: String,
    pub bytes: u64,
    pub created_at: String,
    pub created_by: String,
}

/// A run: a statement or a program, what it reads and where its rows go. What was reviewed is what `digest` is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxRun {
    pub id: String,
    pub project: String,
    pub kind: RunKind,
    pub stage: SandboxStage,
    /// The result that it makes: `[a-z][a-z0-9_]*`.
    pub into: String,
    /// The statement; of a program, empty.
    pub sql: String,
    /// Id and digest of the program.
    pub program: String,
    pub program_digest: String,
    /// Tables that it reads, in the order in which a program is handed them.
    pub inputs: Vec<String>,
    /// Which content of each it was when this was asked, of tables of the project itself; empty of granted ones.
    pub versions: Vec<String>,
    /// SM3 over kind, statement or program, inputs and their versions.
    pub digest: String,
    /// Of one over whole data: what is behind its inputs, as it was when this was asked. What is read is compared with it.
    #[serde(default)]
    pub reads: Reads,
    pub reason: String,
    pub state: RunState,
    pub reviews: Vec<Review>,
    pub created_at: String,
    pub created_by: String,
    pub created_by_name: String,
    pub begun_at: Option<String>,
    pub ended_at: Option<String>,
    pub figures: RunFigures,
    /// What the program said.
    pub log: String,
    /// Why it failed, in both languages.
    pub error: Option<(String, String)>,
}

/// What a run used and made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFigures {
    pub fuel: u64,
    pub millis: u64,
    pub read_rows: u64,
    pub rows: u64,
    pub bytes: u64,
}

code_list! {
    /// How far an extension is.
    ExtensionState {
        Asked = "asked", "待审核", "Under review";
        Refused = "refused", "已驳回", "Refused";
        Agreed = "agreed", "已同意", "Agreed";
    }
}

/// A longer term that is asked for before the present one is over, and decided by the authority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxExtension {
    pub id: String,
    pub project: String,
    /// The last day when it was asked for (`2026-12-31`).
    pub from: String,
    /// The last day that is asked for.
    pub until: String,
    pub reason: String,
    pub state: ExtensionState,
    pub reviews: Vec<Review>,
    pub applicant: String,
    pub applicant_name: String,
    pub created_at: String,
}

/// A sandbox as a list shows it to a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxLine {
    pub id: String,
    pub code: String,
    pub name: String,
    pub purpose: String,
    pub org: String,
    pub application_name: String,
    pub role: ProjectRole,
    /// The last day of its term.
    pub until: String,
    pub closed: bool,
    /// Bytes of its tables, and how many it may have.
    pub bytes: u64,
    pub storage_bytes: u64,
}

/// One seat of a review: a provider of the data (its organisation), or the authority (no organisation).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    pub org: String,
    pub by: String,
    pub by_name: String,
    pub at: String,
    /// `None`: not decided yet.
    pub agreed: Option<bool>,
    pub note: String,
}

impl Review {
    /// A seat that has not decided.
    #[must_use]
    pub fn open(org: &str) -> Self {
        Self {
            org: org.to_owned(),
            by: String::new(),
            by_name: String::new(),
            at: String::new(),
            agreed: None,
            note: String::new(),
        }
    }

    /// Whether the seat is the authority's.
    #[must_use]
    pub fn authority(&self) -> bool {
        self.org.is_empty()
    }
}

/// What the seats say together: `None` while one is open and none refused. No seat at all agrees to nothing.
#[must_use]
pub fn outcome(reviews: &[Review]) -> Option<bool> {
    if reviews.is_empty() || reviews.iter().any(|r| r.agreed == Some(false)) {
        return Some(false);
    }
    reviews.iter().all(|r| r.agreed == Some(true)).then_some(true)
}

/// Seats of a review over data of these organisations: each of them, and the authority.
#[must_use]
pub fn seats(providers: &[String]) -> Vec<Review> {
    let mut seats: Vec<Review> = providers.iter().map(|org| Review::open(org)).collect();
    seats.push(Review::open(""));
    seats
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seat_has_to_agree_and_one_refuses() {
        assert_eq!(outcome(&[]), Some(false));
        let mut all = seats(&["ORG1".to_owned(), "ORG2".to_owned()]);
        assert_eq!(all.len(), 3);
        assert_eq!(outcome(&all), None);
        for seat in &mut all {
            seat.agreed = Some(true);
        }
        assert_eq!(outcome(&all), Some(true));
        if let Some(last) = all.last_mut() {
            assert!(last.authority());
            last.agreed = Some(false);
        }
        assert_eq!(outcome(&all), Some(false));
    }
}
