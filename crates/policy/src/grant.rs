//! `Grant`: the proof that rows may be released, and exactly which, how many, how masked, and until when.

use chrono::{DateTime, Utc};
use model::Result;
use model::code::{DataType, Grade};
use model::entry::Entry;
use model::mask::Mask;
use model::query::Condition;
use model::request::Request;

use crate::Action;

/// By which way a release is asked for.
#[derive(Clone, Copy, Debug)]
pub enum Via<'a> {
    /// By an approved share application.
    Request(&'a Request),
    /// As open data, by anyone.
    Open,
    /// By the owner's own staff.
    Owner,
    /// As a result that left a sandbox of the application as an interface: checked and reviewed as it is, so that nothing of it is masked.
    Released(&'a Request),
    /// As what a job of the application's own project made; it was masked when it was read.
    Made,
}

/// What is asked of [`crate::Policy::grant`].
#[derive(Clone, Copy, Debug)]
pub struct GrantAsk<'a> {
    pub action: Action,
    pub entry: &'a Entry,
    pub via: Via<'a>,
    /// Row cap wanted for one answer; policy may lower it.
    pub row_cap: u64,
}

/// One released column.
#[derive(Clone, Debug, PartialEq)]
pub struct GrantColumn {
    pub identifier: String,
    pub name_cn: String,
    pub data_type: DataType,
    pub scale: u8,
    pub grade: Grade,
    pub mask: Option<Mask>,
    /// Whether callers may filter by any comparison. A masked column is not filterable, but a masked look-up key
    /// may be compared with `eq`/`in` (the caller must already know the value).
    pub filterable: bool,
    /// Whether callers may look up by equality.
    pub lookup: bool,
}

/// Calls allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    pub calls_per_day: u64,
    /// In the long run, in each process.
    pub calls_per_second: u32,
    /// Calls that may come at once after a pause, in each process.
    pub burst: u32,
}

/// Made by [`crate::Policy::grant`] only. Engines apply it inside their plan, so no caller can skip it.
#[derive(Clone, Debug)]
pub struct Grant {
    pub(crate) entry: String,
    pub(crate) code: String,
    pub(crate) key: Vec<String>,
    pub(crate) columns: Vec<GrantColumn>,
    pub(crate) row_filter: Option<Condition>,
    pub(crate) row_cap: u64,
    pub(crate) quota: Option<Quota>,
    pub(crate) purpose: String,
    pub(crate) request: Option<String>,
    pub(crate) grantee: String,
    pub(crate) grade: Grade,
    pub(crate) expires_at: Option<DateTime<Utc>>,
    pub(crate) action: Action,
}

impl Grant {
    /// Entry id.
    #[must_use]
    pub fn entry(&self) -> &str {
        &self.entry
    }
    /// Entry code: the name of the lake table and the serving table.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }
    /// Identifiers of the business key, whether granted or not (for stable paging, never released unless granted).
    #[must_use]
    pub fn key(&self) -> &[String] {
        &self.key
    }
    #[must_use]
    pub fn columns(&self) -> &[GrantColumn] {
        &self.columns
    }
    #[must_use]
    pub fn column(&self, identifier: &str) -> Option<&GrantColumn> {
        self.columns.iter().find(|c| c.identifier == identifier)
    }
    /// Rows that may be seen at all.
    #[must_use]
    pub fn row_filter(&self) -> Option<&Condition> {
        self.row_filter.as_ref()
    }
    /// Most rows of one answer.
    #[must_use]
    pub fn row_cap(&self) -> u64 {
        self.row_cap
    }
    #[must_use]
    pub fn quota(&self) -> Option<Quota> {
        self.quota
    }
    #[must_use]
    pub fn purpose(&self) -> &str {
        &self.purpose
    }
    /// Share application behind it.
    #[must_use]
    pub fn request(&self) -> Option<&str> {
        self.request.as_deref()
    }
    /// Who receives: application key, user id, or `public`.
    #[must_use]
    pub fn grantee(&self) -> &str {
        &self.grantee
    }
    /// Highest grade among the granted columns.
    #[must_use]
    pub fn grade(&self) -> Grade {
        self.grade
    }
    #[must_use]
    pub fn action(&self) -> Action {
        self.action
    }
    #[must_use]
    pub fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.expires_at
    }
    /// Fails when the grant is past its end at `now`.
    pub fn check_time(&self, now: DateTime<Utc>) -> Result<()> {
        match self.expires_at {
            Some(end) if now >= end => Err(model::Error::of(model::Code::GrantExpired)),
            _ => Ok(()),
        }
    }
    /// `xm=keep(1,0),sfzh=keep(6,4)` for audit.
    #[must_use]
    pub fn masks_text(&self) -> String {
        self.columns
            .iter()
            .filter_map(|c| c.mask.as_ref().map(|m| format!("{}={}", c.identifier, m.label())))
            .collect::<Vec<_>>()
            .join(",")
    }
}
