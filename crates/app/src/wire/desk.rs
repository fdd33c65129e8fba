//! The door's side: who is it, what was granted, count, record, is it still granted.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, Utc};
use futures::future::try_join_all;
use guard::scram::Verifier;
use model::audit::AuditEvent;
use model::entry::Entry;
use model::sql::SqlStatement;
use model::{Actor, Code, Error, Op, Result};
use policy::port::{
    SqlAsk, SqlCaller, SqlDesk, SqlEnd, SqlKnock, SqlLimits, SqlProof, SqlRoom, SqlTable,
    SqlTables, SqlTurn,
};
use policy::{Action, Grant};

use super::context;
use crate::account::attempt::{self, Refusal};
use crate::account::{certificate_call, credential};
use crate::sharing::bounds::{Bound, Held};
use crate::sharing::{Batch, Stopped};
use crate::{App, audit, dispatch, sharing};

/// Longest text of a statement in the audit chain, characters.
pub(crate) const SHAPE_MOST: usize = 2000;
/// Object of records of statements that read no granted table.
pub(crate) const CATALOGUE: &str = "sql";
/// How records call the proof by a certificate, as those of the gateway do.
const BY_KEY: &str = "mtls";

/// [`SqlDesk`] over the rooms.
pub struct Desk {
    app: Arc<App>,
    /// What was granted, by application, good for one epoch and one day.
    kept: moka::sync::Cache<String, Kept>,
}

#[derive(Clone)]
struct Kept {
    epoch: u64,
    policy: u64,
    day: NaiveDate,
    tables: Arc<SqlTables>,
    /// Tables that are not among them because of an emergency stop.
    stopped: Stopped,
    /// What bounds the application at these resources, by code.
    bounds: Arc<HashMap<String, Bound>>,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("wire::Desk").finish_non_exhaustive()
    }
}

impl Desk {
    #[must_use]
    pub fn new(app: Arc<App>) -> Self {
        let kept = moka::sync::Cache::builder()
            .max_capacity(5000)
            .time_to_idle(Duration::from_secs(3600))
            .build();
        Self { app, kept }
    }

    fn op(&self, caller: &SqlCaller) -> Op {
        let by = match caller.proof {
            SqlProof::Certificate { .. } => BY_KEY,
            SqlProof::Password { .. } | SqlProof::Member => "",
        };
        Op { by, ..self.app.op(caller.actor.clone(), &caller.source) }
    }

    /// What was proved is still the application's, and it still works.
    async fn stands(&self, caller: &SqlCaller) -> Result<()> {
        let op = self.op(caller);
        crate::halt::admit(&self.app, &op, &caller.actor).await?;
        if self.app.store.sandbox_bound(caller.actor.id()).await? {
            return Err(Error::new(
                Code::Denied,
                "该应用的授权数据只能在数据沙箱内使用，不能经 SQL 服务直接读取",
                "what the application is granted is used in its sandbox only, not through the SQL door",
            ));
        }
        let (store, id) = (&self.app.store, caller.actor.id());
        let ended = match &caller.proof {
            SqlProof::Password { made_at } => {
                (!store.sql_stands(id, made_at).await?).then(password_ended)
            }
            SqlProof::Certificate { until, .. } if op.at > *until => Some(key_ended()),
            SqlProof::Certificate { thumbprint, .. } => {
                (!store.certificate_stands(id, thumbprint).await?).then(key_ended)
            }
            SqlProof::Member => Some(Error::internal("wire: a member of a project at the door")),
        };
        ended.map_or(Ok(()), Err)
    }

    /// Takes an attempt of an address to sign in. A refusal is recorded, a flood of them is not.
    async fn attempted(&self, op: &Op, user: &str) -> Result<()> {
        match attempt::by_address(&self.app, op) {
            Ok(()) => Ok(()),
            Err(Refusal::Told(error)) => {
                audit::refused(&self.app, op, "sql.login", user, &error).await?;
                Err(error)
            }
            Err(Refusal::Untold(error)) => Err(error),
        }
    }

    /// Whose a certificate is: an application's that is in use and is the one that was named.
    async fn holder(
        &self,
        op: &Op,
        user: &str,
        thumbprint: &str,
        fit: Result<DateTime<Utc>>,
    ) -> Result<SqlCaller> {
        let until = fit?;
        let actor = Box::pin(certificate_call(&self.app, op, thumbprint)).await?;
        if !matches!(&actor, Actor::Application { key, .. } if key == user) {
            return Err(Error::new(
                Code::SignatureMismatch,
                "客户端证书登记给了另一个应用；用户须为该证书所属应用的访问标识",
                "the client certificate is registered for another application; the user is the access key of the application it belongs to",
            ));
        }
        let proof = SqlProof::Certificate { thumbprint: thumbprint.to_owned(), until };
        let caller = SqlCaller { actor, source: op.source.clone(), proof };
        self.stands(&caller).await?;
        Ok(caller)
    }

    async fn kept_now(&self, op: &Op) -> Result<Kept> {
        let app = &self.app;
        app.shares.look(app, op).await?;
        let (epoch, policy, day) = (app.shares.epoch(), app.policy.version(), op.today());
        let id = op.actor.id();
        if let Some(kept) = self.kept.get(id)
            && kept.epoch == epoch
            && kept.policy == policy
            && kept.day == day
            && kept.tables.tables.iter().all(|t| t.grant.check_time(op.at).is_ok())
        {
            return Ok(kept);
        }
        let (tables, stopped) = granted_or_stopped(app, op).await?;
        let tables = Arc::new(SqlTables { tables, stopped: stopped.by_code() });
        let grants = tables.tables.iter().map(|t| &t.grant);
        let bounds = Arc::new(sharing::bounds::of_grants(app, id, grants).await?);
        let kept = Kept { epoch, policy, day, tables, stopped, bounds };
        self.kept.insert(id.to_owned(), kept.clone());
        Ok(kept)
    }

    pub(crate) async fn tables_now(&self, op: &Op) -> Result<Arc<SqlTables>> {
        self.kept_now(op).await.map(|kept| kept.tables)
    }

    /// Why a table that was there is not: a stop says so, everything else is an agreement that has ended.
    pub(crate) async fn why(&self, op: &Op, code: &str) -> Result<Error> {
        Ok(self.kept_now(op).await?.stopped.why(code))
    }

    /// The statement's places among the calls under way; a bound that keeps it out says so.
    pub(crate) async fn admit(
        &self,
        op: &Op,
        codes: &[&str],
    ) -> Result<Option<Arc<dyn Any + Send + Sync>>> {
        let bounds = self.kept_now(op).await?.bounds;
        let concerned = codes.iter().filter_map(|code| bounds.get(*code));
        let held: Vec<Held> =
            concerned.map(|bound| bound.admit(op, Action::RowsSql)).collect::<Result<_>>()?;
        Ok((!held.is_empty()).then(|| Arc::new(held) as _))
    }

    /// The grants of a statement, all of which must hold now.
    async fn grants(&self, op: &Op, codes: &[&str]) -> Result<Vec<SqlTable>> {
        let kept = self.kept_now(op).await?;
        let mut granted = Vec::with_capacity(codes.len());
        for code in codes {
            let Some(table) = kept.tables.tables.iter().find(|t| t.grant.code() == *code) else {
                return Err(kept.stopped.why(code));
            };
            table.grant.check_time(op.at)?;
            granted.push(table.clone());
        }
        Ok(granted)
    }
}

/// Counts a statement of an application as a call of each resource; what was counted before a refusal is given back.
pub(crate) async fn count(app: &App, op: &Op, tables: &[SqlTable]) -> Result<()> {
    let Actor::Application { id, org, .. } = &op.actor else {
        return Err(Error::internal("wire: a session is an application's"));
    };
    if tables.is_empty() {
        return Ok(());
    }
    let pools = dispatch::pools(app, id, org).await?.into();
    let mut counted = Vec::with_capacity(tables.len());
    for table in tables {
        let Some(quota) = table.grant.quota() else { continue };
        let entry = table.grant.entry();
        let meter = sharing::meter(app, id, entry, Some((id.clone(), entry.to_owned())));
        if let Err(e) = meter.count(app, op, quota, &pools).await {
            counted.iter().for_each(|m: &Arc<_>| sharing::uncount(m, op));
            return Err(e);
        }
        counted.push(meter);
    }
    Ok(())
}

/// What was granted to an application for SQL, by code.
pub(crate) async fn granted(app: &App, op: &Op) -> Result<Vec<SqlTable>> {
    granted_or_stopped(app, op).await.map(|(tables, _)| tables)
}

/// The same, and what an emergency stop keeps from being among it.
pub(crate) async fn granted_or_stopped(app: &App, op: &Op) -> Result<(Vec<SqlTable>, Stopped)> {
    let Batch { given, stopped } = sharing::granted(app, op, Action::RowsSql).await?;
    Ok((tables_of(given), stopped))
}

fn tables_of(given: Vec<(Grant, Entry)>) -> Vec<SqlTable> {
    given.into_iter().map(|(grant, entry)| SqlTable { grant, title: entry.draft.title }).collect()
}

/// The name under which attempts of a user at this door are counted.
fn attempt_name(user: &str) -> String {
    format!("sql {user}")
}

/// Wrong name, wrong password and a name without a password read the same.
fn wrong() -> Error {
    Error::new(
        Code::WrongCredentials,
        "用户（应用的访问标识）或 SQL 密码不正确",
        "the user (the application's access key) or the SQL password is wrong",
    )
}

fn password_ended() -> Error {
    Error::new(
        Code::WrongCredentials,
        "应用已停用，或其 SQL 密码已更换、收回，会话结束，请用新密码重新连接",
        "the application was stopped, or its SQL password was renewed or taken away: the session ends, connect anew",
    )
}

fn key_ended() -> Error {
    Error::new(
        Code::SignatureMismatch,
        "应用已停用，或其证书已移除、到期，会话结束，请用登记的有效证书重新连接",
        "the application was stopped, or its certificate was removed or is past its end: the session ends, connect anew by a registered certificate",
    )
}

/// The same refusal of a certificate, with the way to sign in by password.
fn or_by_password(error: Error) -> Error {
    if error.code() != Code::SignatureMismatch {
        return error;
    }
    Error::new(
        error.code(),
        format!("{}；如以 SQL 密码登录，请勿出示证书（sslcertmode=disable）", error.zh()),
        format!(
            "{}; to sign in by the SQL password show no certificate (sslcertmode=disable)",
            error.en()
        ),
    )
    .caused_by(error)
}

#[async_trait]
impl SqlDesk for Desk {
    async fn knock(&self, user: &str, source: &str) -> Result<SqlKnock> {
        let app = &self.app;
        let op = app.op(Actor::Nobody, source);
        let user: String = user.chars().take(128).collect();
        self.attempted(&op, &user).await?;
        if let Err(error) = attempt::not_locked(app, &op, &attempt_name(&user)).await {
            if error.code() == Code::LockedOut {
                audit::refused(app, &op, "sql.login", &user, &error).await?;
            }
            return Err(error);
        }
        let known = match credential(app, &user).await? {
            Some(known) => {
                app.store.sql_login(&known.application.id).await?.map(|login| (known, login))
            }
            None => None,
        };
        let source = source.to_owned();
        Ok(match known {
            Some((known, (login, verifier))) => SqlKnock {
                who: Some(SqlCaller {
                    actor: known.actor.clone(),
                    source: source.clone(),
                    proof: SqlProof::Password { made_at: login.made_at },
                }),
                user,
                source,
                verifier,
            },
            None => {
                let secret = app.keys.derive("sql nobody");
                let verifier = Verifier::nobody(&secret, &user).to_text();
                SqlKnock { user, source, verifier, who: None }
            }
        })
    }

    async fn enter(&self, knock: &SqlKnock) -> Result<SqlCaller> {
        let app = &self.app;
        let Some(caller) = &knock.who else { return Err(self.turn_away(knock).await) };
        self.stands(caller).await?;
        let op = self.op(caller);
        attempt::forgive(app, &op, &attempt_name(&knock.user)).await?;
        audit::record(app, audit::event(&op, "sql.login", &knock.user)).await?;
        Ok(caller.clone())
    }

    async fn turn_away(&self, knock: &SqlKnock) -> Error {
        let app = &self.app;
        let op = app.op(Actor::Nobody, &knock.source);
        let counted = attempt::by_name(app, &op, &attempt_name(&knock.user)).await;
        let error = match counted {
            Err(locked) if locked.code() == Code::LockedOut => locked,
            _ => wrong(),
        };
        if let Err(trouble) = audit::refused(app, &op, "sql.login", &knock.user, &error).await {
            tracing::error!(error = %trouble.operator_text(), "a refusal could not be recorded");
        }
        error
    }

    // A certificate that does not fit is no guess at a password: it does not count against the name, and a name that is locked
    // because of guesses is open to its keys.
    async fn enter_by_key(
        &self,
        user: &str,
        source: &str,
        thumbprint: &str,
        fit: Result<DateTime<Utc>>,
    ) -> Result<SqlCaller> {
        let app = &self.app;
        let op = Op { by: BY_KEY, ..app.op(Actor::Nobody, source) };
        let user: String = user.chars().take(128).collect();
        self.attempted(&op, &user).await?;
        match self.holder(&op, &user, thumbprint, fit).await {
            Ok(caller) => {
                let op = self.op(&caller);
                attempt::forgive_address(app, &op);
                let mut event = audit::event(&op, "sql.login", &user);
                thumbprint.clone_into(&mut event.scope);
                audit::record(app, event).await?;
                Ok(caller)
            }
            Err(error) if error.kind().ours() => Err(error),
            Err(error) => {
                let error = or_by_password(error);
                let mut event = audit::refusal(&op, "sql.login", &user, &error);
                thumbprint.clone_into(&mut event.scope);
                audit::record(app, event).await?;
                Err(error)
            }
        }
    }
}

#[async_trait]
impl SqlRoom for Desk {
    fn limits(&self) -> SqlLimits {
        self.app.rules.sql.limits()
    }

    async fn tables(&self, caller: &SqlCaller) -> Result<Arc<SqlTables>> {
        self.stands(caller).await?;
        self.tables_now(&self.op(caller)).await
    }

    async fn begin(&self, caller: &SqlCaller, ask: &SqlAsk) -> Result<SqlTurn> {
        let app = &self.app;
        self.stands(caller).await?;
        let op = Op { purpose: purpose(app, &ask.text), ..self.op(caller) };
        let codes: Vec<&str> = ask.tables.iter().map(|(code, _)| code.as_str()).collect();
        let tables = self.grants(&op, &codes).await?;
        let held = self.admit(&op, &codes).await?;
        count(app, &op, &tables).await?;
        self.recorded(&op, ask, &tables).await?;
        Ok(SqlTurn {
            id: op.request_id,
            codes: codes.into_iter().map(str::to_owned).collect(),
            held,
            row_cap: tables.iter().map(|t| t.grant.row_cap()).min().unwrap_or(u64::MAX),
        })
    }

    async fn standing(&self, caller: &SqlCaller, turn: &SqlTurn) -> Result<()> {
        self.stands(caller).await?;
        let codes: Vec<&str> = turn.codes.iter().map(String::as_str).collect();
        self.grants(&self.op(caller), &codes).await.map(|_| ())
    }

    async fn end(&self, caller: &SqlCaller, turn: &SqlTurn, end: SqlEnd) -> Result<()> {
        let app = &self.app;
        let op = Op { request_id: turn.id.clone(), ..self.op(caller) };
        let object =
            if turn.codes.is_empty() { CATALOGUE.to_owned() } else { turn.codes.join(",") };
        let mut event = audit::event(&op, &format!("{}.end", Action::RowsSql.as_str()), &object);
        event.rows = end.rows;
        event.bytes = end.bytes;
        event.micros = end.millis.saturating_mul(1000);
        event.scope = format!("{} ms", end.millis);
        if end.outcome != "ok" {
            event.result = "failed".to_owned();
            event.reason = [end.outcome, &end.state, &end.reason].join(" ").trim().to_owned();
        }
        if turn.codes.is_empty() {
            return audit::record(app, event).await;
        }
        let (rows, millis) = (end.rows, end.millis);
        let noting = app.store.sql_statement_end(&turn.id, rows, millis, end.outcome, &end.state);
        let (recorded, noted) = tokio::join!(audit::record(app, event), noting);
        recorded.and(noted)
    }

    async fn refuse(&self, caller: &SqlCaller, ask: &SqlAsk, refusal: &Error) {
        let op = self.op(caller);
        let mut event = audit::event(&op, Action::RowsSql.as_str(), CATALOGUE);
        event.result = "denied".to_owned();
        event.reason = refusal.code().as_str().to_owned();
        event.scope = ask.shape.chars().take(SHAPE_MOST).collect();
        let noted = match audit::record(&self.app, event).await {
            Ok(()) => self.note(&op, ask, "refused", refusal.code().as_str()).await,
            failed => failed,
        };
        if let Err(trouble) = noted {
            tracing::error!(error = %trouble.operator_text(), "a refusal could not be recorded");
        }
    }
}

impl Desk {
    /// Records a statement that is about to run, for the chain and for its owner.
    async fn recorded(&self, op: &Op, ask: &SqlAsk, tables: &[SqlTable]) -> Result<()> {
        let shape: String = ask.shape.chars().take(SHAPE_MOST).collect();
        if tables.is_empty() {
            let mut event = audit::event(op, Action::RowsSql.as_str(), CATALOGUE);
            event.scope = shape;
            return audit::record(&self.app, event).await;
        }
        let events = ask.tables.iter().zip(tables);
        let events = events.map(|((_, columns), table)| event(op, table, columns, &shape));
        let recording = try_join_all(events.map(|event| audit::record(&self.app, event)));
        let (recorded, noted) = tokio::join!(recording, self.note(op, ask, "running", ""));
        let (Err(e), Ok(())) = (&recorded, &noted) else { return recorded.and(noted) };
        // It does not run: its owner is not to see it running.
        let store = &self.app.store;
        let ended = store.sql_statement_end(&op.request_id, 0, 0, "refused", e.code().as_str());
        if let Err(after) = ended.await {
            tracing::error!(error = %after.operator_text(), "a refused statement still stands as running");
        }
        recorded.map(drop)
    }

    /// Keeps the statement for its owner, sealed.
    async fn note(&self, op: &Op, ask: &SqlAsk, outcome: &str, state: &str) -> Result<()> {
        let sealed = self.app.keys.vault().seal(&context(&op.request_id), ask.text.as_bytes())?;
        let codes: Vec<&str> = ask.tables.iter().map(|(code, _)| code.as_str()).collect();
        let statement = SqlStatement {
            id: op.request_id.clone(),
            application: op.actor.id().to_owned(),
            at: op.stamp(),
            text: sealed,
            tables: codes.join(","),
            outcome: outcome.to_owned(),
            state: state.to_owned(),
            ..SqlStatement::default()
        };
        self.app.store.sql_statement_insert(&statement).await
    }
}

/// What a statement says it is for, in a comment at its head: `/* purpose: … */`.
pub(crate) fn purpose(app: &App, text: &str) -> String {
    let comment = text.trim_start().strip_prefix("/*").and_then(|t| t.split_once("*/"));
    let told = comment.and_then(|(c, _)| c.trim().strip_prefix("purpose:")).unwrap_or_default();
    words(app, told)
}

/// A purpose as it is recorded: without control characters, and no longer than purposes may be.
pub(crate) fn words(app: &App, told: &str) -> String {
    let plain = told.trim().chars().filter(|c| !c.is_control());
    plain.take(app.rules.bounds.purpose_most).collect()
}

/// The record of one table that a statement reads, made before its first row.
pub(crate) fn event(op: &Op, table: &SqlTable, columns: &[String], shape: &str) -> AuditEvent {
    let grant = &table.grant;
    AuditEvent {
        columns: columns.join(","),
        level: grant.grade().as_str().to_owned(),
        scope: shape.to_owned(),
        purpose: sharing::purpose(op, grant),
        request: grant.request().unwrap_or_default().to_owned(),
        masks: grant.masks_text(),
        ..audit::event(op, grant.action().as_str(), grant.code())
    }
}
