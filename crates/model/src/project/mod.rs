//! Projects of batch sharing (批量共享项目): people of one organisation who work over what an application of it is granted by SQL.
//!
//! ```text
//! application ── approved share applications agreed for SQL ──┐
//!      └── project: name, purpose, quota, which of them ──────┴── members ── statements, exports, jobs → results
//! ```
//!
//! `job` is the text of a scheduled job and its runs; what jobs make is a [`result::ProjectResult`]. What an approval of an export is
//! about is a [`reads::Reads`].

pub mod job;
pub mod reads;
pub mod result;

use serde::{Deserialize, Serialize};

use self::reads::Reads;
use crate::code::code_list;
use crate::{Error, Result};

code_list! {
    /// What a member may do in a project.
    ProjectRole {
        Owner = "owner", "负责人", "Owner";
        Developer = "developer", "开发", "Developer";
        Viewer = "viewer", "查看", "Viewer";
    }
}

code_list! {
    /// How the rows of an export are written.
    ExportFormat {
        Csv = "csv", "CSV", "CSV";
        Parquet = "parquet", "Parquet", "Parquet";
    }
}

/// What a project may use. Compute is counted in units (`rules/dispatch.toml`: so many seconds of work), storage in the bytes of
/// its results' files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectQuota {
    pub units_per_day: u64,
    pub units_per_month: u64,
    pub storage_bytes: u64,
}

/// What is needed to open a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectNew {
    pub application: String,
    pub code: String,
    pub name: String,
    pub purpose: String,
    /// Codes of granted resources.
    pub entries: Vec<String>,
}

/// What its owner may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectChange {
    pub name: String,
    pub purpose: String,
    pub entries: Vec<String>,
    pub quota: ProjectQuota,
}

/// A project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    pub id: String,
    /// Short name, part of the names of its results: `[a-z][a-z0-9]{1,15}`, unique.
    pub code: String,
    pub name: String,
    pub purpose: String,
    pub application: String,
    pub application_name: String,
    pub org: String,
    pub quota: ProjectQuota,
    /// Codes of granted resources that it includes; one that is not granted any more is simply not there.
    pub entries: Vec<String>,
    pub created_at: String,
    pub created_by: String,
    pub closed_at: Option<String>,
    /// What makes it a data sandbox; `None`: a project of batch sharing.
    #[serde(default)]
    pub sandbox: Option<crate::sandbox::SandboxTerms>,
}

impl Project {
    /// Name of the table of a job's result. It begins with a mark that no code of the catalogue begins with, so that a result and
    /// a resource never meet.
    #[must_use]
    pub fn table(&self, job: &str) -> String {
        format!("_{}_{job}", self.code)
    }
}

/// A member of a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectMember {
    pub user: String,
    /// Login name.
    pub name: String,
    pub display_name: String,
    pub role: ProjectRole,
    pub added_at: String,
    pub added_by: String,
}

/// A statement that a member ran.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectStatement {
    /// Trace id of its audit records.
    pub id: String,
    pub project: String,
    pub user: String,
    pub user_name: String,
    /// `query export job run reviewed`
    pub kind: String,
    pub at: String,
    pub text: String,
    /// Comma separated.
    pub tables: String,
    pub rows: u64,
    pub bytes: u64,
    pub millis: u64,
    /// `running ok refused failed cancelled cut`
    pub outcome: String,
    /// SQLSTATE, or our own code, where it did not end well.
    pub state: String,
}

/// A result that is asked to be taken out, with its statement frozen and, beside it, what that statement reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectExport {
    pub id: String,
    pub project: String,
    pub sql: String,
    pub format: ExportFormat,
    pub reason: String,
    /// Tables that it reads, with the columns, as planned when it was asked for.
    pub tables: Vec<(String, Vec<String>)>,
    /// What is behind these tables: what is decided on, and compared again before anything leaves.
    #[serde(default)]
    pub reads: Reads,
    /// Columns of the result.
    pub columns: Vec<String>,
    pub applicant: String,
    pub applicant_name: String,
    pub approval: String,
    pub created_at: String,
    /// It may be fetched once until then; `None`: not approved (yet).
    pub until: Option<String>,
    pub taken_at: Option<String>,
    pub rows: u64,
    pub bytes: u64,
}

/// Checks the short name of a project.
pub fn check_code(code: &str) -> Result<()> {
    let mut bytes = code.bytes();
    let fits = (2..=16).contains(&code.len())
        && bytes.next().is_some_and(|b| b.is_ascii_lowercase())
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if fits {
        return Ok(());
    }
    Err(Error::invalid(
        "项目代号以小写字母开头，只含小写字母和数字，2 至 16 位",
        "the short name of a project begins with a-z and holds a-z and 0-9, 2 to 16 of them",
    )
    .field("code", "请修改", "change it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_leave_the_names_of_results_unambiguous() {
        for good in ["ab", "credit2026", "a1"] {
            assert!(check_code(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "1a", "a_b", "Ab", "信用", "abcdefghijklmnopq", "_a"] {
            assert!(check_code(bad).is_err(), "{bad}");
        }
    }
}
