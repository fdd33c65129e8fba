//! A result on its way out of a sandbox: its columns, what the automatic checks found, who decided, and how it was taken.

use serde::{Deserialize, Serialize};

use super::Review;
use crate::code::{Grade, code_list};
use crate::project::result::{Made, MadeFrom};

code_list! {
    /// What a column of a result is.
    ColumnPart {
        Group = "group", "分组", "Group";
        Count = "count", "计数", "Count";
        Measure = "measure", "数值", "Measure";
    }
}

code_list! {
    /// What is looked at.
    Check {
        Shape = "shape", "结果形式", "Shape";
        Grade = "grade", "数据级别", "Grade";
        Rows = "rows", "行数上限", "Row cap";
        Personal = "personal", "个人信息", "Personal data";
        Threshold = "threshold", "最小分组", "Least group";
        Complement = "complement", "可推算单元格", "Cell that follows";
        Difference = "difference", "差分", "Differencing";
    }
}

code_list! {
    /// How far a release is.
    ReleaseState {
        Stopped = "stopped", "自动检查未通过", "Stopped by the checks";
        Asked = "asked", "待审核", "Under review";
        Refused = "refused", "已驳回", "Refused";
        Allowed = "allowed", "可下载一次", "May be fetched once";
        Taken = "taken", "已下载", "Fetched";
        Served = "served", "以接口提供", "Served as an interface";
        Ended = "ended", "接口已终止", "Its interface has ended";
    }
}

code_list! {
    /// By which way a release leaves.
    ReleaseWay {
        Download = "download", "一次性下载", "One download";
        Interface = "interface", "接口", "Interface";
    }
}

fn download() -> ReleaseWay {
    ReleaseWay::Download
}

/// What a release that leaves as an interface becomes: a table of the project, called by the project's application alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outlet {
    /// Name of the project's table that holds the frozen rows.
    pub name: String,
    /// What the gate knows that table by.
    pub table: String,
    /// What callers name the interface by; empty: not published yet.
    pub interface: String,
    pub calls_per_day: u64,
    /// From what the rows were made when the release was asked for: they are served as long as all of it is granted as it was.
    pub made: Made,
}

/// What the rows of one served answer bear, and the call that it answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedMark {
    /// 12 hex digits.
    pub mark: String,
    /// Id of the release.
    pub release: String,
    /// Application that called.
    pub application: String,
    pub application_name: String,
    /// By which its record in the audit chain is found.
    pub request_id: String,
    /// Address from which it called.
    pub source: String,
    pub at: String,
    pub rows: u64,
}

/// A column of a table that is to leave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutColumn {
    pub name: String,
    pub part: ColumnPart,
    /// The highest grade of the items it is made of.
    pub grade: Grade,
}

/// A table that is to leave, as texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutTable {
    pub columns: Vec<OutColumn>,
    pub rows: Vec<Vec<String>>,
}

/// Something that speaks against it. It names where, never what stands there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutFinding {
    pub check: Check,
    /// From 1.
    pub row: Option<usize>,
    pub column: String,
    pub zh: String,
    pub en: String,
}

/// A result that asks to leave. Its rows, frozen, are kept sealed beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxRelease {
    pub id: String,
    pub project: String,
    pub project_name: String,
    /// Name of the result.
    pub result: String,
    pub reason: String,
    pub columns: Vec<OutColumn>,
    pub rows: u64,
    pub grade: Grade,
    /// SM3 of the frozen rows.
    pub digest: String,
    /// What the frozen rows were made from: they leave as long as all of it is granted as it was.
    #[serde(default)]
    pub sources: Vec<MadeFrom>,
    /// What made it: the statement, or the program's digest with its inputs.
    pub made_by: String,
    pub findings: Vec<OutFinding>,
    pub state: ReleaseState,
    pub reviews: Vec<Review>,
    /// What the watermark of the download says: 12 hex digits.
    pub mark: String,
    pub applicant: String,
    pub applicant_name: String,
    pub created_at: String,
    /// The last day on which it may be fetched, once allowed.
    pub until: Option<String>,
    /// When it was fetched, or published as an interface.
    pub taken_at: Option<String>,
    #[serde(default = "download")]
    pub way: ReleaseWay,
    /// Of one that leaves as an interface.
    #[serde(default)]
    pub outlet: Option<Outlet>,
}
