//! `Op`: who acts, by which request, from where, at what time. Every room function takes it first;
//! time and chance enter the business there and nowhere else.

use chrono::{DateTime, FixedOffset, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::account::Role;
use crate::digits;
use crate::usage::Way;

/// The reason of a refusal for what a caller's token does not reach (see [`Op::reaches`]).
pub const OUT_OF_SCOPE: &str = "token.scope";

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Actor {
    /// Nobody signed in.
    Nobody,
    /// A signed-in person.
    User { id: String, name: String, org: Option<String>, region: Option<String>, roles: Vec<Role> },
    /// An application (应用) that signed its call.
    Application {
        id: String,
        key: String,
        name: String,
        /// Organisation it belongs to; empty for a citizen's own.
        org: String,
        /// Whether it belongs to a public body (公共管理和服务机构): others know of open data only.
        public_body: bool,
    },
    /// The platform itself (worker, recovery, demo seeding).
    System,
}

impl Actor {
    /// Stable id for records: user id, application id, `nobody` or `system`.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Actor::Nobody => "nobody",
            Actor::User { id, .. } | Actor::Application { id, .. } => id,
            Actor::System => "system",
        }
    }
    /// Name to show.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Actor::Nobody => "nobody",
            Actor::User { name, .. } | Actor::Application { name, .. } => name,
            Actor::System => "system",
        }
    }
    #[must_use]
    pub fn org(&self) -> Option<&str> {
        match self {
            Actor::User { org, .. } => org.as_deref(),
            Actor::Application { org, .. } if !org.is_empty() => Some(org),
            _ => None,
        }
    }
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        match self {
            Actor::User { region, .. } => region.as_deref(),
            _ => None,
        }
    }
    #[must_use]
    pub fn roles(&self) -> &[Role] {
        match self {
            Actor::User { roles, .. } => roles,
            _ => &[],
        }
    }
    #[must_use]
    pub fn has(&self, role: Role) -> bool {
        self.roles().contains(&role)
    }
}

/// The circumstances of one operation.
#[derive(Clone, Debug)]
pub struct Op {
    pub actor: Actor,
    /// Request id, also returned to the caller and written to log and audit.
    pub request_id: String,
    /// Address the request came from, as the door saw it (`-` when there is none).
    pub source: String,
    pub at: DateTime<Utc>,
    /// What the caller's token is limited to: codes of resources and interfaces; empty is all that is granted.
    pub scope: Vec<String>,
    /// By which way the call came.
    pub way: Way,
    /// Code of the interface by which the call came; empty when by none.
    pub interface: String,
    /// What the caller says this call is for; empty when nothing was said.
    pub purpose: String,
    /// How the caller proved who it is, where that is not the usual way (`mtls`); else empty.
    pub by: &'static str,
}

impl Op {
    #[must_use]
    pub fn new(actor: Actor, request_id: String, source: String, at: DateTime<Utc>) -> Self {
        Self {
            actor,
            request_id,
            source,
            at,
            scope: Vec::new(),
            way: Way::default(),
            interface: String::new(),
            purpose: String::new(),
            by: "",
        }
    }
    /// An operation that begins at `at`, with an id of its own.
    #[must_use]
    pub fn begun(actor: Actor, source: String, at: DateTime<Utc>) -> Self {
        Self::new(actor, new_id(at), source, at)
    }
    /// The platform acting by itself at `at`.
    #[must_use]
    pub fn system(at: DateTime<Utc>) -> Self {
        Self::begun(Actor::System, "-".into(), at)
    }
    /// Whether the caller's token reaches a resource or interface of this code.
    #[must_use]
    pub fn reaches(&self, code: &str) -> bool {
        self.scope.is_empty() || self.scope.iter().any(|s| s == code)
    }
    /// A new time-ordered id (UUID v7 of `at` plus chance), 32 hex digits.
    #[must_use]
    pub fn new_id(&self) -> String {
        new_id(self.at)
    }
    /// RFC 3339 UTC with milliseconds: the form in which times are stored.
    #[must_use]
    pub fn stamp(&self) -> String {
        stamp(self.at)
    }
    /// The civil date in China.
    #[must_use]
    pub fn today(&self) -> NaiveDate {
        self.at.with_timezone(&china()).date_naive()
    }
}

/// UTC+8, the civil time of every office the platform serves.
#[must_use]
pub fn china() -> FixedOffset {
    // 8 h is always a valid offset; the fallback is never taken.
    FixedOffset::east_opt(8 * 3600).unwrap_or_else(|| chrono::Offset::fix(&Utc))
}

/// The civil date in China of a kept time; `None` when it is none.
#[must_use]
pub fn day_of(stamp: &str) -> Option<NaiveDate> {
    let at = DateTime::parse_from_rfc3339(stamp).ok()?;
    Some(at.with_timezone(&china()).date_naive())
}

/// A kept time as the clock in China shows it, by a pattern of `strftime`; another text stays as it is.
#[must_use]
pub fn civil(stamp: &str, pattern: &str) -> String {
    DateTime::parse_from_rfc3339(stamp).map_or_else(
        |_| stamp.to_owned(),
        |at| at.with_timezone(&china()).format(pattern).to_string(),
    )
}

/// RFC 3339 UTC with milliseconds, sortable as text.
#[must_use]
pub fn stamp(at: DateTime<Utc>) -> String {
    match digits::stamp(&at.naive_utc()) {
        Some(stamp) => digits::text(&stamp).to_owned(),
        None => at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
    }
}

fn new_id(at: DateTime<Utc>) -> String {
    let seconds = u64::try_from(at.timestamp()).unwrap_or(0);
    let ts = uuid::Timestamp::from_unix(uuid::NoContext, seconds, at.timestamp_subsec_nanos());
    let mut digits = uuid::Uuid::encode_buffer();
    uuid::Uuid::new_v7(ts).simple().encode_lower(&mut digits).to_owned()
}
