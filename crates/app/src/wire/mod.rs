//! SQL over the PostgreSQL wire: how applications sign in to it (a password, or the key of a certificate registered for calls), which
//! tables they see, and what they have run.
//!
//! ```text
//! login   the owner's side: make or take away the password, see tables and statements
//! desk    the door's side (`policy::port::SqlDesk`): knock, enter, enter_by_key, tables, begin, standing, end
//! ```
//!
//! The protocol and the plans are the lake's. *no-plain-way-out*: a table is a [`policy::Grant`] of `rows.sql`, made from an
//! approved share application that was agreed for SQL. *every-release-audited*: a statement is recorded before its first row,
//! in the chain without its constants, and for its owner in full, sealed.

pub(crate) mod desk;
mod login;

use std::time::Duration;

use chrono::TimeDelta;
use model::op::stamp;
use model::{Op, Result};
use policy::port::SqlLimits;
use policy::{Action, Target};
use serde::Deserialize;

pub use self::desk::Desk;
pub use self::login::{
    SqlSecret, SqlTableView, SqlView, make_password, may_manage, remove_password, statements, view,
};
use crate::App;

/// Limits (`rules/sql.toml`).
#[derive(Clone, Debug, Deserialize)]
pub struct SqlRules {
    pub effective: String,
    pub statement_seconds: u64,
    pub idle_seconds: u64,
    pub statements: usize,
    pub connections: usize,
    pub connections_all: usize,
    /// Files of operators may be older than these three.
    #[serde(default = "waiting")]
    pub waiting: usize,
    #[serde(default = "waiting_all")]
    pub waiting_all: usize,
    #[serde(default = "sign_in_seconds")]
    pub sign_in_seconds: u64,
    pub text_bytes: usize,
    pub look_ms: u64,
    pub kept_days: i64,
}

fn waiting() -> usize {
    40
}

fn waiting_all() -> usize {
    200
}

fn sign_in_seconds() -> u64 {
    10
}

/// Reads the rules; the shipped ones when the file says nothing.
pub(crate) fn rules(own: Option<SqlRules>) -> std::result::Result<SqlRules, toml::de::Error> {
    own.map_or_else(|| toml::from_str(include_str!("../../rules/sql.toml")), Ok)
}

impl SqlRules {
    fn limits(&self) -> SqlLimits {
        SqlLimits {
            statement: Duration::from_secs(self.statement_seconds.max(1)),
            idle: Duration::from_secs(self.idle_seconds.max(10)),
            statements: self.statements.max(1),
            connections: self.connections.max(1),
            connections_all: self.connections_all.max(1),
            waiting: self.waiting.max(1),
            waiting_all: self.waiting_all.max(1),
            sign_in: Duration::from_secs(self.sign_in_seconds.max(1)),
            text: self.text_bytes,
            look: Duration::from_millis(self.look_ms.max(50)),
        }
    }
}

/// Forgets statements that have been shown long enough; answers how many.
pub(crate) async fn forget(app: &App, system: &Op) -> Result<u64> {
    let platform = Target::plain("System", "platform");
    let permit = app.policy.permit(system, Action::SystemWork, &platform)?;
    let before = stamp(system.at - TimeDelta::days(app.rules.sql.kept_days));
    app.store.sql_statements_forget(&permit, &before).await
}

/// Context under which a statement's text is sealed.
fn context(id: &str) -> String {
    format!("sql.statement {id}")
}
