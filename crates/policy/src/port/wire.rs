//! The port of the SQL door: what a server of PostgreSQL's protocol needs of the business.
//!
//! The server (in `lake`) speaks the protocol and runs plans; who somebody is, what was granted, what is recorded and counted
//! is decided behind this port. `app` implements it, `lake` calls it from many connections in parallel, the binary wires them.
//!
//! A statement's way: [`SqlRoom::tables`] (the grants it is planned with) → [`SqlRoom::begin`] (counted and recorded before its
//! first row) → [`SqlRoom::standing`] now and then while rows flow → [`SqlRoom::end`], once, whatever became of it. The SQL door
//! and the workspace of projects ([`super::SqlBench`]) have a room of their own each; the way is the same.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use model::{Actor, Error, Result};

use crate::Grant;

/// The business behind the SQL door.
#[async_trait]
pub trait SqlDesk: SqlRoom {
    /// Somebody names themself at the door. A name that nobody has is answered like any other, with a verifier that no
    /// password fits. Refused while the name is locked or the address tries too often.
    async fn knock(&self, user: &str, source: &str) -> Result<SqlKnock>;

    /// They have proved the password: who they are. Recorded.
    async fn enter(&self, knock: &SqlKnock) -> Result<SqlCaller>;

    /// They have not: counted and recorded; answers what they are told.
    async fn turn_away(&self, knock: &SqlKnock) -> Error;

    /// Somebody names themself and shows a certificate, whose key the door has seen that they hold. `thumbprint` is its SHA-256
    /// (lower hex), `fit` until when it holds, or why the door does not take it. They enter if it is registered for the
    /// application they name; else they are refused, whatever password they may have. Recorded either way.
    async fn enter_by_key(
        &self,
        user: &str,
        source: &str,
        thumbprint: &str,
        fit: Result<DateTime<Utc>>,
    ) -> Result<SqlCaller>;
}

/// Who answers for statements: what they may read, whether they may run, what became of them.
#[async_trait]
pub trait SqlRoom: Send + Sync {
    fn limits(&self) -> SqlLimits;

    /// What the caller may read now. The same `Arc` as long as nothing has changed. Fails once the application is stopped, or what
    /// was proved holds no longer ([`SqlProof`]).
    async fn tables(&self, caller: &SqlCaller) -> Result<Arc<SqlTables>>;

    /// Counts and records a statement before its first row.
    async fn begin(&self, caller: &SqlCaller, ask: &SqlAsk) -> Result<SqlTurn>;

    /// Fails when a statement under way may not go on: a grant has ended, the application was stopped.
    async fn standing(&self, caller: &SqlCaller, turn: &SqlTurn) -> Result<()>;

    /// What became of a statement.
    async fn end(&self, caller: &SqlCaller, turn: &SqlTurn, end: SqlEnd) -> Result<()>;

    /// Records a statement that was refused before it began.
    async fn refuse(&self, caller: &SqlCaller, ask: &SqlAsk, refusal: &Error);
}

/// Limits of the door.
#[derive(Clone, Copy, Debug)]
pub struct SqlLimits {
    /// Longest a statement may take.
    pub statement: Duration,
    /// How long an open session may do nothing.
    pub idle: Duration,
    /// Statements of one application at once.
    pub statements: usize,
    /// Connections of one application, and of all together.
    pub connections: usize,
    pub connections_all: usize,
    /// Connections of one address on which nobody has signed in yet, and of all addresses together.
    pub waiting: usize,
    pub waiting_all: usize,
    /// How long signing in may take.
    pub sign_in: Duration,
    /// Longest statement text in bytes.
    pub text: usize,
    /// How often a statement under way is asked for again.
    pub look: Duration,
}

/// Somebody at the door who has not proved anything yet.
#[derive(Clone)]
pub struct SqlKnock {
    pub user: String,
    pub source: String,
    /// As PostgreSQL writes it: `SCRAM-SHA-256$…`.
    pub verifier: String,
    /// Who it would be; `None`: nobody.
    pub who: Option<SqlCaller>,
}

impl std::fmt::Debug for SqlKnock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqlKnock").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Whose session it is.
#[derive(Clone, Debug)]
pub struct SqlCaller {
    /// The application.
    pub actor: Actor,
    pub source: String,
    pub proof: SqlProof,
}

/// What a caller has proved; a session ends when it holds no longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SqlProof {
    /// The application's password that was made then (RFC 3339).
    Password { made_at: String },
    /// The key of a certificate of the application: its SHA-256 in lower hex, and its last second.
    Certificate { thumbprint: String, until: DateTime<Utc> },
    /// Nothing at this door: a member of a project, whose room makes sure of them.
    Member,
}

/// Everything that was granted to a caller.
#[derive(Debug, Default)]
pub struct SqlTables {
    pub tables: Vec<SqlTable>,
    /// What was granted, by code, and is not among them because of an emergency stop, with what is told of it.
    pub stopped: Arc<HashMap<String, Error>>,
}

impl SqlTables {
    /// The stop that keeps what was granted from being there, where that is the reason.
    #[must_use]
    pub fn stop(&self, code: &str) -> Option<Error> {
        self.stopped.get(code).map(Error::again)
    }
}

/// One granted resource.
#[derive(Clone, Debug)]
pub struct SqlTable {
    pub grant: Grant,
    pub title: String,
}

/// A statement as it is recorded.
#[derive(Clone, Debug, Default)]
pub struct SqlAsk {
    /// As it was written.
    pub text: String,
    /// Without its constants.
    pub shape: String,
    /// Granted resources it reads, by code, with the columns read.
    pub tables: Vec<(String, Vec<String>)>,
}

/// A statement under way.
#[derive(Clone)]
pub struct SqlTurn {
    /// Joins its records.
    pub id: String,
    pub codes: Vec<String>,
    /// Most rows of its answer.
    pub row_cap: u64,
    /// Its places among the calls under way: given back when the last clone is dropped.
    pub held: Option<Arc<dyn Any + Send + Sync>>,
}

impl std::fmt::Debug for SqlTurn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqlTurn").field("id", &self.id).finish_non_exhaustive()
    }
}

/// How a statement ended.
#[derive(Clone, Debug, Default)]
pub struct SqlEnd {
    pub rows: u64,
    pub bytes: u64,
    pub millis: u64,
    /// `ok failed cancelled cut`
    pub outcome: &'static str,
    /// SQLSTATE; empty when it ended well.
    pub state: String,
    /// For the record, without values.
    pub reason: String,
}
