//! Share applications in the control store, and their steps.

use model::request::{
    Period, Request, RequestFilter, RequestState, RequestStep, RequestWay, RowRange,
};
use model::{Code, Error, Op, Result};
use policy::{Action, Permit};
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Transaction};

use crate::Store;
use crate::clause::Clause;
use crate::db::{fail, json, maybe, number, on_duplicate, page, text, to_json};
use crate::entry::touch;

/// What the applicant filled in, as kept in `body`.
#[derive(Serialize, Deserialize)]
struct Body {
    items: Vec<String>,
    scene: String,
    legal_basis: String,
    #[serde(flatten)]
    period: Period,
    calls_per_day: u64,
    area_range: String,
    #[serde(default)]
    row_range: RowRange,
    #[serde(default)]
    by_sql: bool,
    #[serde(default)]
    way: RequestWay,
}

/// One change of state.
#[derive(Clone, Debug)]
pub struct RequestChange {
    pub to: RequestState,
    pub due: Option<String>,
    pub expires_at: Option<String>,
    pub action: &'static str,
    pub reason: String,
}

/// Which applications a list may show at all (policy still decides each).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestScope {
    All,
    /// Those that an organisation filed or provides for, and those that a person filed.
    Of {
        org: Option<String>,
        person: String,
    },
}

/// Whose applications: an organisation's, or those a person filed for themself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applicant<'a> {
    Org(&'a str),
    Person(&'a str),
}

const SELECT: &str = "SELECT r.*, COALESCE(e.code, '') AS entry_code, COALESCE(e.title, '') AS entry_title,
        COALESCE(e.region, '') AS entry_region, COALESCE(a.name, '') AS application_name
    FROM request r LEFT JOIN entry e ON e.id = r.entry LEFT JOIN application a ON a.id = r.application";

impl Store {
    /// Files an application with its first step. `Duplicate` when the same application (应用) already has one under
    /// way or approved for the entry.
    pub async fn request_insert(&self, permit: &Permit, op: &Op, request: &Request) -> Result<()> {
        permit.require(&[Action::RequestSubmit, Action::SystemWork])?;
        let mut tx = self.db.begin().await?;
        sqlx::query(
            "INSERT INTO request (id, entry, provider, application, org, state, due, expires_at, applicant, created_at,
                 updated_at, body, sandboxed)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        )
        .bind(request.id.as_str())
        .bind(request.entry.as_str())
        .bind(request.provider.as_str())
        .bind(request.application.as_str())
        .bind(request.org.as_str())
        .bind(request.state.as_str())
        .bind(request.due.as_deref())
        .bind(request.expires_at.as_deref())
        .bind(request.applicant.as_str())
        .bind(request.created_at.as_str())
        .bind(request.updated_at.as_str())
        .bind(body(request)?)
        .bind(i64::from(request.sandboxed()))
        .execute(&mut *tx)
        .await
        .map_err(|e| {
            on_duplicate(
                e,
                "该应用对此资源已有在办或已通过的申请，请先撤回或等待其到期",
                "this application already has a share application under way or approved for the resource; \
                 withdraw it or wait until it ends",
            )
        })?;
        write_step(&mut tx, op, &request.id, "submit", "", request.state.as_str(), "").await?;
        touch(&mut tx).await?;
        tx.commit().await.map_err(fail)
    }

    /// Moves an application from one state to another with its step; `WrongState` when it has moved meanwhile.
    pub async fn request_move(
        &self,
        permit: &Permit,
        op: &Op,
        request: &Request,
        change: &RequestChange,
    ) -> Result<()> {
        permit.require(&[
            Action::RequestReviewProvider,
            Action::RequestReviewAuthority,
            Action::RequestUndo,
            Action::RequestRevoke,
            Action::RequestSubmit,
            Action::SystemWork,
        ])?;
        let mut tx = self.db.begin().await?;
        let done = sqlx::query(
            "UPDATE request SET state = $1, due = $2, expires_at = $3, updated_at = $4 WHERE id = $5 AND state = $6",
        )
        .bind(change.to.as_str())
        .bind(change.due.as_deref())
        .bind(change.expires_at.as_deref())
        .bind(op.stamp())
        .bind(request.id.as_str())
        .bind(request.state.as_str())
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        if done.rows_affected() != 1 {
            return Err(moved_meanwhile());
        }
        let (from, to) = (request.state.as_str(), change.to.as_str());
        write_step(&mut tx, op, &request.id, change.action, from, to, &change.reason).await?;
        touch(&mut tx).await?;
        tx.commit().await.map_err(fail)
    }

    /// Limits the rows of an application that is decided or approved, with its step; `WrongState` when it has changed meanwhile.
    pub async fn request_limit(
        &self,
        permit: &Permit,
        op: &Op,
        request: &Request,
        range: &RowRange,
        reason: &str,
    ) -> Result<()> {
        permit.require(&[
            Action::RequestReviewProvider,
            Action::RequestReviewAuthority,
            Action::RequestRevoke,
        ])?;
        let limited = Request { row_range: range.clone(), ..request.clone() };
        let mut tx = self.db.begin().await?;
        let done = sqlx::query(
            "UPDATE request SET body = $1, updated_at = $2 WHERE id = $3 AND state = $4 AND updated_at = $5",
        )
        .bind(body(&limited)?)
        .bind(op.stamp())
        .bind(request.id.as_str())
        .bind(request.state.as_str())
        .bind(request.updated_at.as_str())
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        if done.rows_affected() != 1 {
            return Err(moved_meanwhile());
        }
        let state = request.state.as_str();
        write_step(&mut tx, op, &request.id, "limit", state, state, reason).await?;
        touch(&mut tx).await?;
        tx.commit().await.map_err(fail)
    }

    pub async fn request_get(&self, id: &str) -> Result<Option<Request>> {
        sqlx::query(AssertSqlSafe(format!("{SELECT} WHERE r.id = $1")))
            .bind(id)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| read(&row))
            .transpose()
    }

    /// A page of applications, newest first; `after` is the id of the last one seen.
    pub async fn request_list(
        &self,
        filter: &RequestFilter,
        scope: &RequestScope,
    ) -> Result<Vec<Request>> {
        let mut c = Clause::default();
        if let Some(after) = &filter.after {
            c.and_text("r.id <", after);
        }
        if let Some(org) = &filter.org {
            c.and_text("r.org =", org);
        }
        if let Some(applicant) = &filter.applicant {
            c.and_text("r.applicant =", applicant);
        }
        if let Some(provider) = &filter.provider {
            c.and_text("r.provider =", provider);
        }
        if let Some(entry) = &filter.entry {
            c.and_text("r.entry =", entry);
        }
        if let Some(application) = &filter.application {
            c.and_text("r.application =", application);
        }
        if let Some(state) = filter.state {
            c.and_text("r.state =", state.as_str());
        }
        if let RequestScope::Of { org, person } = scope {
            c.and_text("(r.applicant =", person);
            if let Some(org) = org.as_deref().filter(|o| !o.is_empty()) {
                c.or_text("r.org =", org);
                c.or_text("r.provider =", org);
            }
            c.close();
        }
        let sql = format!("{SELECT}{} ORDER BY r.id DESC LIMIT {}", c.sql(), page(filter.limit));
        self.requests_by(&sql, c.values()).await
    }

    /// A page of applications in a state (one that has a due day), what is due first standing first; `after` is due day
    /// and id of the last one seen.
    pub async fn requests_due(
        &self,
        state: RequestState,
        provider: Option<&str>,
        after: Option<&(String, String)>,
        limit: u32,
    ) -> Result<Vec<Request>> {
        let mut c = Clause::default();
        c.and_text("r.state =", state.as_str());
        c.and("r.due IS NOT NULL");
        if let Some(provider) = provider {
            c.and_text("r.provider =", provider);
        }
        if let Some((due, id)) = after {
            c.and_text("(r.due >", due);
            c.or_text("(r.due =", due);
            c.more(" AND r.id >", id);
            c.close();
            c.close();
        }
        let sql = format!("{SELECT}{} ORDER BY r.due, r.id LIMIT {}", c.sql(), page(limit));
        self.requests_by(&sql, c.values()).await
    }

    /// Approved applications that end at or before `until` (RFC 3339), the nearest end first, at most `limit`.
    pub async fn requests_ending(
        &self,
        whose: Applicant<'_>,
        until: &str,
        limit: u32,
    ) -> Result<Vec<Request>> {
        let mut c = whose.clause();
        c.and("r.state = 'approved'");
        c.and_text("r.expires_at <=", until);
        let sql = format!("{SELECT}{} ORDER BY r.expires_at, r.id LIMIT {}", c.sql(), page(limit));
        self.requests_by(&sql, c.values()).await
    }

    /// Approved applications that end from one stamp to before another, newest first; an organisation's, when given.
    pub async fn requests_ending_between(
        &self,
        org: Option<&str>,
        from: &str,
        to: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Request>> {
        let mut c = Clause::default();
        c.and("r.state = 'approved'");
        c.and_text("r.expires_at >=", from);
        c.and_text("r.expires_at <", to);
        if let Some(org) = org {
            c.and_text("r.org =", org);
        }
        if let Some(after) = after {
            c.and_text("r.id <", after);
        }
        let sql = format!("{SELECT}{} ORDER BY r.id DESC LIMIT {}", c.sql(), page(limit));
        self.requests_by(&sql, c.values()).await
    }

    /// Applications rejected since `since` (RFC 3339) and not filed anew, newest first, at most `limit`.
    pub async fn requests_refused(
        &self,
        whose: Applicant<'_>,
        since: &str,
        limit: u32,
    ) -> Result<Vec<Request>> {
        let mut c = whose.clause();
        c.and("r.state = 'rejected'");
        c.and_text("r.updated_at >=", since);
        c.and(
            "NOT EXISTS (SELECT 1 FROM request n WHERE n.application = r.application AND n.entry = r.entry AND n.id > r.id)",
        );
        let sql = format!("{SELECT}{} ORDER BY r.id DESC LIMIT {}", c.sql(), page(limit));
        self.requests_by(&sql, c.values()).await
    }

    /// The newest application of `application` for `entry` in one of the states.
    pub async fn request_newest(
        &self,
        application: &str,
        entry: &str,
        states: &[RequestState],
    ) -> Result<Option<Request>> {
        let words: Vec<String> = states.iter().map(|s| format!("'{}'", s.as_str())).collect();
        let mut c = Clause::default();
        c.and_text("r.application =", application);
        c.and_text("r.entry =", entry);
        c.and(&format!("r.state IN ({})", words.join(", ")));
        let sql = format!("{SELECT}{} ORDER BY r.id DESC LIMIT 1", c.sql());
        Ok(self.requests_by(&sql, c.values()).await?.pop())
    }

    /// Approved applications whose end has come at `now` (RFC 3339), at most 500.
    pub async fn requests_ended(&self, now: &str) -> Result<Vec<Request>> {
        let mut c = Clause::default();
        c.and("r.state = 'approved'");
        c.and_text("r.expires_at <=", now);
        let sql = format!("{SELECT}{} ORDER BY r.id LIMIT 500", c.sql());
        self.requests_by(&sql, c.values()).await
    }

    /// Steps of an application, oldest first.
    pub async fn request_steps(&self, id: &str) -> Result<Vec<RequestStep>> {
        sqlx::query("SELECT * FROM request_step WHERE request = $1 ORDER BY seq")
            .bind(id)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| {
                Ok(RequestStep {
                    request: text(row, "request")?,
                    seq: number(row, "seq")?,
                    at: text(row, "at")?,
                    actor: text(row, "actor")?,
                    actor_name: text(row, "actor_name")?,
                    action: text(row, "action")?,
                    from: text(row, "from_state")?,
                    to: text(row, "to_state")?,
                    reason: text(row, "reason")?,
                })
            })
            .collect()
    }

    async fn requests_by(&self, sql: &str, values: &[String]) -> Result<Vec<Request>> {
        let mut query = sqlx::query(AssertSqlSafe(sql.to_owned()));
        for value in values {
            query = query.bind(value.as_str());
        }
        query.fetch_all(self.db.pool()).await.map_err(fail)?.iter().map(read).collect()
    }
}

impl Applicant<'_> {
    fn clause(self) -> Clause {
        let mut c = Clause::default();
        match self {
            Applicant::Org(org) => c.and_text("r.org =", org),
            Applicant::Person(person) => {
                c.and_text("r.applicant =", person);
                c.and("r.org = ''");
            }
        }
        c
    }
}

fn moved_meanwhile() -> Error {
    Error::new(
        Code::WrongState,
        "申请刚被处理过，请刷新后查看",
        "the application was just decided, reload to see it",
    )
}

async fn write_step(
    tx: &mut Transaction<'static, Any>,
    op: &Op,
    request: &str,
    action: &str,
    from: &str,
    to: &str,
    reason: &str,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO request_step (request, seq, at, actor, actor_name, action, from_state, to_state, reason)
         VALUES ($1, (SELECT COALESCE(MAX(seq), 0) + 1 FROM request_step WHERE request = $1), $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(request)
    .bind(op.stamp())
    .bind(op.actor.id())
    .bind(op.actor.name())
    .bind(action)
    .bind(from)
    .bind(to)
    .bind(reason)
    .execute(&mut **tx)
    .await
    .map_err(fail)?;
    Ok(())
}

fn body(r: &Request) -> Result<String> {
    to_json(&Body {
        items: r.items.clone(),
        scene: r.scene.clone(),
        legal_basis: r.legal_basis.clone(),
        period: r.period.clone(),
        calls_per_day: r.calls_per_day,
        area_range: r.area_range.clone(),
        row_range: r.row_range.clone(),
        by_sql: r.by_sql,
        way: r.way,
    })
}

fn read(row: &AnyRow) -> Result<Request> {
    let b: Body = json(row, "body")?;
    let word = text(row, "state")?;
    Ok(Request {
        id: text(row, "id")?,
        entry: text(row, "entry")?,
        entry_code: text(row, "entry_code")?,
        entry_title: text(row, "entry_title")?,
        provider: text(row, "provider")?,
        application: text(row, "application")?,
        application_name: text(row, "application_name")?,
        org: text(row, "org")?,
        way: b.way,
        region: text(row, "entry_region")?,
        items: b.items,
        scene: b.scene,
        legal_basis: b.legal_basis,
        period: b.period,
        calls_per_day: b.calls_per_day,
        area_range: b.area_range,
        row_range: b.row_range,
        by_sql: b.by_sql,
        state: RequestState::parse(&word)
            .ok_or_else(|| Error::internal(format!("request state `{word}` is unknown")))?,
        due: maybe(row, "due")?,
        expires_at: maybe(row, "expires_at")?,
        applicant: text(row, "applicant")?,
        created_at: text(row, "created_at")?,
        updated_at: text(row, "updated_at")?,
    })
}
