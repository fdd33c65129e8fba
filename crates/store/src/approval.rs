//! Approvals in the control store: their events (append-only, also for the database itself), what the events fold to
//! for lists, the published versions of flows, and who stands in for whom.

use model::account::Role;
use model::flow::{Event, Phase, State, Subject};
use model::{Code, Error, Op, Result};
use policy::{Action, Permit};
use serde::Serialize;
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Transaction};

use crate::Store;
use crate::clause::Clause;
use crate::db::{fail, json, maybe, number, page, text, to_json};

/// A published version of a flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FlowVersion {
    pub flow: String,
    pub version: u32,
    pub effective: String,
    pub published_at: String,
    pub published_by: String,
    /// The file's text.
    pub body: String,
}

/// An approval as lists show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApprovalRow {
    pub id: String,
    pub flow: String,
    pub version: u32,
    pub subject: Subject,
    pub title: String,
    pub org: String,
    pub applicant: String,
    pub applicant_org: String,
    pub phase: Phase,
    /// Word of the stage it stands at; empty when it is over.
    pub stage: String,
    /// `YYYY-MM-DD`, or empty.
    pub due: String,
    pub created_at: String,
    pub updated_at: String,
}

/// A seat that waits for an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SeatRow {
    pub approval: String,
    pub step: String,
    pub seat: u32,
    pub org: Option<String>,
    pub role: Option<Role>,
    pub user: Option<String>,
    /// Whether an opinion is asked for (委派), not the answer.
    pub lent: bool,
    /// Whether the authority answers because nobody holds the seat.
    pub covered: bool,
    /// Order and keyset position.
    pub place: String,
}

/// Whose seats an inbox shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeatOf {
    Person(String),
    Role { org: String, role: Role },
}

/// Days in which one person answers in place of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Leave {
    pub id: String,
    pub owner: String,
    pub stand_in: String,
    pub from_day: String,
    pub to_day: String,
    pub reason: String,
    pub created_at: String,
    pub ended_at: Option<String>,
}

/// Which approvals a list wants, newest first.
#[derive(Clone, Debug, Default)]
pub struct ApprovalFilter {
    pub phase: Option<Phase>,
    pub flow: Option<String>,
    pub after: Option<String>,
    pub limit: u32,
}

const WRITERS: [Action; 7] = [
    Action::QuotaAsk,
    Action::ProjectWork,
    Action::BasketFile,
    Action::ApprovalDecide,
    Action::ApprovalFollow,
    Action::FlowPublish,
    Action::SystemWork,
];

impl Store {
    /// Appends events to an approval (the first ones begin it) and brings up what lists show, in one transaction.
    /// `WrongState` when someone else has appended meanwhile.
    pub async fn approval_append(
        &self,
        permit: &Permit,
        id: &str,
        events: &[Event],
        state: &State,
        stage: &str,
    ) -> Result<()> {
        permit.require(&WRITERS)?;
        let mut tx = self.db.begin().await?;
        append(&mut tx, id, events, state, stage).await?;
        tx.commit().await.map_err(fail)
    }

    /// Events of an approval in their order; empty when there is none of this id.
    pub async fn approval_events(&self, id: &str) -> Result<Vec<Event>> {
        sqlx::query("SELECT body FROM approval_event WHERE approval = $1 ORDER BY seq")
            .bind(id)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| json(row, "body"))
            .collect()
    }

    pub async fn approval_row(&self, id: &str) -> Result<Option<ApprovalRow>> {
        sqlx::query("SELECT * FROM approval WHERE id = $1")
            .bind(id)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| read(&row))
            .transpose()
    }

    /// A page of approvals, newest first; `after` is the id of the last one seen.
    pub async fn approval_list(&self, filter: &ApprovalFilter) -> Result<Vec<ApprovalRow>> {
        let mut c = Clause::default();
        if let Some(flow) = &filter.flow {
            c.and_text("flow =", flow);
        }
        if let Some(phase) = filter.phase {
            c.and_text("phase =", phase.as_str());
        }
        if let Some(after) = &filter.after {
            c.and_text("id <", after);
        }
        let sql = format!(
            "SELECT * FROM approval{} ORDER BY id DESC LIMIT {}",
            c.sql(),
            page(filter.limit)
        );
        self.approvals_by(&sql, c.values()).await
    }

    /// A page of running approvals whose answer was due before `today`, longest late first; `after` is the due day and
    /// the id of the last one seen. *constant page*.
    pub async fn approvals_late(
        &self,
        today: &str,
        after: Option<(&str, &str)>,
        limit: u32,
    ) -> Result<Vec<ApprovalRow>> {
        let (due, id) = after.unwrap_or(("", ""));
        let sql = format!(
            "SELECT * FROM approval WHERE phase = 'running' AND due > '' AND due < $1 AND (due, id) > ($2, $3)
             ORDER BY due, id LIMIT {}",
            page(limit)
        );
        self.approvals_by(&sql, &[today.to_owned(), due.to_owned(), id.to_owned()]).await
    }

    /// All approvals about one thing, oldest first.
    pub async fn approvals_about(&self, subject: &Subject) -> Result<Vec<ApprovalRow>> {
        let sql = "SELECT * FROM approval WHERE subject_kind = $1 AND subject = $2 ORDER BY id";
        self.approvals_by(sql, &[subject.kind.clone(), subject.id.clone()]).await
    }

    /// Running approvals with a timer that has gone off by `day`, at most 500.
    pub async fn approvals_ticking(&self, day: &str) -> Result<Vec<ApprovalRow>> {
        let sql = "SELECT * FROM approval WHERE timer IS NOT NULL AND timer <= $1 ORDER BY timer LIMIT 500";
        self.approvals_by(sql, &[day.to_owned()]).await
    }

    /// Approvals that wait for the platform, after an id, at most 500.
    pub async fn approvals_to_act(&self, after: &str) -> Result<Vec<ApprovalRow>> {
        let sql =
            "SELECT * FROM approval WHERE action IS NOT NULL AND id > $1 ORDER BY id LIMIT 500";
        self.approvals_by(sql, &[after.to_owned()]).await
    }

    /// A page of the seats that one person, or one role at one organisation, may answer, what is due first standing
    /// first. *constant page*: one index, one keyset.
    pub async fn approval_seats(
        &self,
        of: &SeatOf,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<SeatRow>> {
        let mut c = Clause::default();
        match of {
            SeatOf::Person(id) => c.and_text("user_id =", id),
            SeatOf::Role { org, role } => {
                c.and_text("org =", org);
                c.and_text("role =", role.as_str());
            }
        }
        if let Some(after) = after {
            c.and_text("place >", after);
        }
        let sql =
            format!("SELECT * FROM approval_seat{} ORDER BY place LIMIT {}", c.sql(), page(limit));
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for value in c.values() {
            query = query.bind(value.as_str());
        }
        query.fetch_all(self.db.pool()).await.map_err(fail)?.iter().map(read_seat).collect()
    }

    /// Keeps a version of a flow. Keeping the same text again changes nothing; another text under the same version
    /// is refused.
    pub async fn flow_keep(&self, permit: &Permit, version: &FlowVersion) -> Result<()> {
        permit.require(&WRITERS)?;
        if let Some(kept) = self.flow_version(&version.flow, version.version).await? {
            return same_text(&kept, version);
        }
        let done = sqlx::query(
            "INSERT INTO flow_version (flow, version, effective, published_at, published_by, body)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (flow, version) DO NOTHING",
        )
        .bind(version.flow.as_str())
        .bind(i64::from(version.version))
        .bind(version.effective.as_str())
        .bind(version.published_at.as_str())
        .bind(version.published_by.as_str())
        .bind(version.body.as_str())
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        if done.rows_affected() == 0
            && let Some(kept) = self.flow_version(&version.flow, version.version).await?
        {
            return same_text(&kept, version);
        }
        Ok(())
    }

    pub async fn flow_version(&self, flow: &str, version: u32) -> Result<Option<FlowVersion>> {
        sqlx::query("SELECT * FROM flow_version WHERE flow = $1 AND version = $2")
            .bind(flow)
            .bind(i64::from(version))
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| read_flow(&row))
            .transpose()
    }

    /// Every published version, by flow and version.
    pub async fn flow_versions(&self) -> Result<Vec<FlowVersion>> {
        sqlx::query("SELECT * FROM flow_version ORDER BY flow, version")
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(read_flow)
            .collect()
    }

    pub async fn leave_insert(&self, permit: &Permit, leave: &Leave) -> Result<()> {
        permit.require(&[Action::ApprovalLend])?;
        sqlx::query(
            "INSERT INTO approval_leave (id, owner, stand_in, from_day, to_day, reason, created_at, ended_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, NULL)",
        )
        .bind(leave.id.as_str())
        .bind(leave.owner.as_str())
        .bind(leave.stand_in.as_str())
        .bind(leave.from_day.as_str())
        .bind(leave.to_day.as_str())
        .bind(leave.reason.as_str())
        .bind(leave.created_at.as_str())
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// Ends a leave early; answers whether it was there and open.
    pub async fn leave_end(&self, permit: &Permit, op: &Op, id: &str, owner: &str) -> Result<bool> {
        permit.require(&[Action::ApprovalLend])?;
        let done = sqlx::query(
            "UPDATE approval_leave SET ended_at = $1 WHERE id = $2 AND owner = $3 AND ended_at IS NULL",
        )
        .bind(op.stamp())
        .bind(id)
        .bind(owner)
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(done.rows_affected() == 1)
    }

    /// Leaves of a person, newest first, at most 100.
    pub async fn leaves_of(&self, owner: &str) -> Result<Vec<Leave>> {
        self.leaves_by(
            "SELECT * FROM approval_leave WHERE owner = $1 ORDER BY id DESC LIMIT 100",
            &[owner],
        )
        .await
    }

    /// Whom a person stands in for on a day.
    pub async fn leaves_for(&self, stand_in: &str, day: &str) -> Result<Vec<Leave>> {
        self.leaves_by(
            "SELECT * FROM approval_leave WHERE stand_in = $1 AND to_day >= $2 AND from_day <= $2 AND ended_at IS NULL
             ORDER BY id LIMIT 100",
            &[stand_in, day],
        )
        .await
    }

    async fn leaves_by(&self, sql: &'static str, values: &[&str]) -> Result<Vec<Leave>> {
        let mut query = sqlx::query(sql);
        for value in values {
            query = query.bind(*value);
        }
        query
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| {
                Ok(Leave {
                    id: text(row, "id")?,
                    owner: text(row, "owner")?,
                    stand_in: text(row, "stand_in")?,
                    from_day: text(row, "from_day")?,
                    to_day: text(row, "to_day")?,
                    reason: text(row, "reason")?,
                    created_at: text(row, "created_at")?,
                    ended_at: maybe(row, "ended_at")?,
                })
            })
            .collect()
    }

    async fn approvals_by(&self, sql: &str, values: &[String]) -> Result<Vec<ApprovalRow>> {
        let mut query = sqlx::query(AssertSqlSafe(sql.to_owned()));
        for value in values {
            query = query.bind(value.as_str());
        }
        query.fetch_all(self.db.pool()).await.map_err(fail)?.iter().map(read).collect()
    }
}

/// The same inside a transaction of another resource (a basket that starts its parts).
pub(crate) async fn append(
    tx: &mut Transaction<'static, Any>,
    id: &str,
    events: &[Event],
    state: &State,
    stage: &str,
) -> Result<()> {
    for event in events {
        sqlx::query(
            "INSERT INTO approval_event (approval, seq, at, actor, body) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(id)
        .bind(seq(event.seq))
        .bind(event.at.as_str())
        .bind(event.by.as_str())
        .bind(to_json(event)?)
        .execute(&mut **tx)
        .await
        .map_err(|e| match fail(e) {
            taken if taken.code() == Code::Duplicate => {
                Error::new(Code::WrongState, TAKEN.0, TAKEN.1)
            }
            other => other,
        })?;
    }
    row(tx, id, events, state, stage).await?;
    seats(tx, id, state).await
}

const TAKEN: (&str, &str) =
    ("此申请刚被处理过，请刷新后查看", "it was just acted on, reload to see it");

async fn row(
    tx: &mut Transaction<'static, Any>,
    id: &str,
    events: &[Event],
    state: &State,
    stage: &str,
) -> Result<()> {
    let action = state.open.iter().find_map(|o| o.action).map(|_| "grant");
    let timer = state.next_timer();
    let due = state.due().unwrap_or_default();
    let now = events.last().map(|e| e.at.as_str()).unwrap_or_default();
    if events.first().is_some_and(|e| e.seq == 1) {
        sqlx::query(
            "INSERT INTO approval (id, flow, version, subject_kind, subject, title, org, applicant, applicant_org, phase,
                 stage, due, timer, action, seq, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
        )
        .bind(id)
        .bind(state.flow.as_str())
        .bind(i64::from(state.version))
        .bind(state.subject.kind.as_str())
        .bind(state.subject.id.as_str())
        .bind(state.title.as_str())
        .bind(state.places.get("owner").map(String::as_str).unwrap_or_default())
        .bind(state.applicant.as_str())
        .bind(state.applicant_org.as_str())
        .bind(state.phase.as_str())
        .bind(stage)
        .bind(due)
        .bind(timer)
        .bind(action)
        .bind(seq(state.seq))
        .bind(state.started_at.as_str())
        .bind(now)
        .execute(&mut **tx)
        .await
        .map_err(fail)?;
        return Ok(());
    }
    sqlx::query(
        "UPDATE approval SET phase = $1, stage = $2, due = $3, timer = $4, action = $5, seq = $6, updated_at = $7
         WHERE id = $8",
    )
    .bind(state.phase.as_str())
    .bind(stage)
    .bind(due)
    .bind(timer)
    .bind(action)
    .bind(seq(state.seq))
    .bind(now)
    .bind(id)
    .execute(&mut **tx)
    .await
    .map_err(fail)?;
    Ok(())
}

/// The seats that may answer now; those of before are gone.
async fn seats(tx: &mut Transaction<'static, Any>, id: &str, state: &State) -> Result<()> {
    sqlx::query("DELETE FROM approval_seat WHERE approval = $1")
        .bind(id)
        .execute(&mut **tx)
        .await
        .map_err(fail)?;
    for open in &state.open {
        for n in open.active() {
            let Some(seat) = open.seats.get(n) else { continue };
            let due = open.due.as_deref().unwrap_or("9999-12-31");
            let place = format!("{due}|{id}|{}|{n:04}", open.step);
            let person = seat.lent.as_ref().or(seat.user.as_ref());
            let group = person.is_none();
            sqlx::query(
                "INSERT INTO approval_seat (approval, step, seat, org, role, user_id, lent, place, covered)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            )
            .bind(id)
            .bind(open.step.as_str())
            .bind(i64::try_from(n).unwrap_or(i64::MAX))
            .bind(seat.org.as_deref().filter(|_| group))
            .bind(seat.role.map(Role::as_str).filter(|_| group))
            .bind(person.map(String::as_str))
            .bind(i64::from(seat.lent.is_some()))
            .bind(place)
            .bind(i64::from(seat.covered))
            .execute(&mut **tx)
            .await
            .map_err(fail)?;
        }
    }
    Ok(())
}

fn seq(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn same_text(kept: &FlowVersion, new: &FlowVersion) -> Result<()> {
    if kept.body == new.body {
        return Ok(());
    }
    Err(Error::new(
        Code::Duplicate,
        format!("流程 `{}` 的第 {} 版已发布且内容不同，请提高版本号后发布", new.flow, new.version),
        format!(
            "version {} of the flow `{}` is published with another text: raise the version",
            new.version, new.flow
        ),
    )
    .field("version", "请提高版本号", "raise the version"))
}

pub(crate) fn read_seat(row: &AnyRow) -> Result<SeatRow> {
    Ok(SeatRow {
        approval: text(row, "approval")?,
        step: text(row, "step")?,
        seat: u32::try_from(number(row, "seat")?).unwrap_or(u32::MAX),
        org: maybe(row, "org")?,
        role: maybe(row, "role")?.as_deref().and_then(Role::parse),
        user: maybe(row, "user_id")?,
        lent: number(row, "lent")? != 0,
        covered: number(row, "covered")? == 1,
        place: text(row, "place")?,
    })
}

fn read_flow(row: &AnyRow) -> Result<FlowVersion> {
    Ok(FlowVersion {
        flow: text(row, "flow")?,
        version: u32::try_from(number(row, "version")?).unwrap_or(0),
        effective: text(row, "effective")?,
        published_at: text(row, "published_at")?,
        published_by: text(row, "published_by")?,
        body: text(row, "body")?,
    })
}

fn read(row: &AnyRow) -> Result<ApprovalRow> {
    let word = text(row, "phase")?;
    Ok(ApprovalRow {
        id: text(row, "id")?,
        flow: text(row, "flow")?,
        version: u32::try_from(number(row, "version")?).unwrap_or(0),
        subject: Subject { kind: text(row, "subject_kind")?, id: text(row, "subject")? },
        title: text(row, "title")?,
        org: text(row, "org")?,
        applicant: text(row, "applicant")?,
        applicant_org: text(row, "applicant_org")?,
        phase: Phase::parse(&word)
            .ok_or_else(|| Error::internal(format!("approval phase `{word}` is unknown")))?,
        stage: text(row, "stage")?,
        due: text(row, "due")?,
        created_at: text(row, "created_at")?,
        updated_at: text(row, "updated_at")?,
    })
}
