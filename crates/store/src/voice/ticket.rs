//! Tickets with their time line, sealed contacts, supporters and figures.

use model::voice::ticket::{Ticket, TicketEvent, TicketKind, TicketState};
use model::{Error, Result};
use policy::Permit;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::{Most, VOICES};
use crate::Store;
use crate::clause::Clause;
use crate::db::{fail, json, maybe, number, page, signed, text, to_json};
use crate::timeline::{TimeLine, happened, next_of_day};

const EVENTS: TimeLine = ("ticket_event", "ticket");

/// Which tickets a list wants, newest first.
#[derive(Clone, Copy, Debug, Default)]
pub struct TicketFilter<'a> {
    /// Only those that stand on the site.
    pub shown: bool,
    pub kind: Option<TicketKind>,
    pub state: Option<TicketState>,
    pub org: Option<&'a str>,
    /// Only those of organisations whose region's code begins so (`model::region::prefix_of`).
    pub below: Option<&'a str>,
    pub writer: Option<&'a str>,
    /// Part of a title or number.
    pub text: Option<&'a str>,
    /// Only those a desk has to act on.
    pub waits: bool,
    /// Only those due before this day.
    pub due_before: Option<&'a str>,
    /// Keyset position: those older than this id.
    pub before: Option<&'a str>,
    pub limit: u32,
}

/// How many tickets of a kind were answered after so many working days (-1: not answered).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TicketCount {
    pub kind: TicketKind,
    pub days: i64,
    pub count: u64,
}

/// How tickets of a kind at one desk were answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketReplies {
    pub org: String,
    pub kind: TicketKind,
    /// Working days to the first answer; -1: not answered.
    pub days: i64,
    pub count: u64,
    /// Those of them that the desk should have answered by now, for the first time or again.
    pub overdue: u64,
}

/// What jobs and desks look for; see the migration `voice`.
fn waits(ticket: &Ticket) -> i64 {
    match ticket.state {
        TicketState::Received | TicketState::Accepted => 1,
        TicketState::Answered => 2,
        TicketState::Returned | TicketState::Closed => 0,
    }
}

fn read(row: &AnyRow) -> Result<Ticket> {
    let ticket: Ticket = json(row, "body")?;
    Ok(Ticket { supports: u64::try_from(number(row, "supports")?).unwrap_or(0), ..ticket })
}

impl Store {
    /// Keeps a new ticket with its first event, and gives it the next number of its day. `None` when its writer has written as
    /// many as are allowed.
    pub async fn ticket_insert(
        &self,
        permit: &Permit,
        mut ticket: Ticket,
        contact: &str,
        event: &TicketEvent,
        day: chrono::NaiveDate,
        most: Most<'_>,
    ) -> Result<Option<Ticket>> {
        permit.require(VOICES)?;
        let mut tx = self.db.begin().await?;
        if most.reached(&mut tx, ("ticket", "created_at"), &ticket.writer).await? {
            return Ok(None);
        }
        ticket.number = ticket.kind.number(day, next_of_day(&mut tx, "ticket_day", day).await?);
        sqlx::query(
            "INSERT INTO ticket (id, number, kind, state, entry, org, writer, created_at, title, shown, waits, due, days, supports, contact, edit, body)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 0, $14, $15, $16)",
        )
        .bind(ticket.id.as_str())
        .bind(ticket.number.as_str())
        .bind(ticket.kind.as_str())
        .bind(ticket.state.as_str())
        .bind(ticket.entry.as_str())
        .bind(ticket.org.as_str())
        .bind(ticket.writer.as_str())
        .bind(ticket.created_at.as_str())
        .bind(ticket.title.as_str())
        .bind(i64::from(ticket.shown))
        .bind(waits(&ticket))
        .bind(ticket.due.to_string())
        .bind(ticket.days)
        .bind(contact)
        .bind(signed(ticket.edit))
        .bind(to_json(&ticket)?)
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        happened(&mut tx, EVENTS, &ticket.id, event.seq, event).await?;
        tx.commit().await.map_err(fail)?;
        Ok(Some(ticket))
    }

    /// Writes a changed ticket with the event that changed it, if nobody has changed it since it was read; answers whether it did.
    pub async fn ticket_update(
        &self,
        permit: &Permit,
        ticket: &Ticket,
        event: &TicketEvent,
        seen: u64,
    ) -> Result<bool> {
        permit.require(VOICES)?;
        let mut tx = self.db.begin().await?;
        let done = sqlx::query(
            "UPDATE ticket SET state = $1, org = $2, shown = $3, waits = $4, due = $5, days = $6, edit = $7, body = $8
             WHERE id = $9 AND edit = $10",
        )
        .bind(ticket.state.as_str())
        .bind(ticket.org.as_str())
        .bind(i64::from(ticket.shown))
        .bind(waits(ticket))
        .bind(ticket.due.to_string())
        .bind(ticket.days)
        .bind(signed(ticket.edit))
        .bind(to_json(ticket)?)
        .bind(ticket.id.as_str())
        .bind(signed(seen))
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        if done.rows_affected() != 1 {
            return Ok(false);
        }
        happened(&mut tx, EVENTS, &ticket.id, event.seq, event).await?;
        tx.commit().await.map_err(fail)?;
        Ok(true)
    }

    /// A ticket by its id or its number.
    pub async fn ticket_get(&self, name: &str) -> Result<Option<Ticket>> {
        let column = if name.contains('-') { "number" } else { "id" };
        sqlx::query(AssertSqlSafe(format!("SELECT body, supports FROM ticket WHERE {column} = $1")))
            .bind(name)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .as_ref()
            .map(read)
            .transpose()
    }

    /// The sealed contact of a ticket.
    pub async fn ticket_contact(&self, id: &str) -> Result<Option<String>> {
        let row = sqlx::query("SELECT contact FROM ticket WHERE id = $1")
            .bind(id)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(row.map(|row| maybe(&row, "contact")).transpose()?.flatten())
    }

    /// What happened to a ticket, in order.
    pub async fn ticket_events(&self, id: &str) -> Result<Vec<TicketEvent>> {
        self.timeline(EVENTS, id).await
    }

    /// A page of tickets, newest first.
    pub async fn ticket_list(&self, filter: &TicketFilter<'_>) -> Result<Vec<Ticket>> {
        let mut clause = Clause::default();
        if filter.shown {
            clause.and("shown = 1");
        }
        if filter.waits {
            clause.and("waits = 1");
        }
        for (condition, value) in [
            ("org =", filter.org),
            ("writer =", filter.writer),
            ("kind =", filter.kind.map(TicketKind::as_str)),
            ("state =", filter.state.map(TicketState::as_str)),
            ("due <", filter.due_before),
            ("id <", filter.before),
        ] {
            if let Some(value) = value {
                clause.and_text(condition, value);
            }
        }
        if let Some(part) = filter.text {
            clause.and_like(&["title", "number"], part);
        }
        if let Some(prefix) = filter.below {
            clause.and_text("org IN (SELECT id FROM org WHERE region LIKE", &format!("{prefix}%"));
            clause.close();
        }
        let sql = format!(
            "SELECT body, supports FROM ticket{} ORDER BY id DESC LIMIT {}",
            clause.sql(),
            page(filter.limit)
        );
        self.db.rows(sql, &clause).await?.iter().map(read).collect()
    }

    /// Tickets that a desk has to act on (or, `answered`, that wait to be closed), due up to a day; by id.
    pub async fn ticket_due(
        &self,
        answered: bool,
        by: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<Ticket>> {
        let sql = format!(
            "SELECT body, supports FROM ticket WHERE waits = {} AND due <= $1 AND id > $2 ORDER BY id LIMIT {}",
            if answered { 2 } else { 1 },
            page(limit)
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(by)
            .bind(after)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(read)
            .collect()
    }

    /// How many tickets wait at a desk, and how many of them are overdue.
    pub async fn ticket_desk(&self, org: &str, today: &str) -> Result<(u64, u64)> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS n, CAST(COALESCE(SUM(CASE WHEN due < $2 THEN 1 ELSE 0 END), 0) AS BIGINT) AS late
             FROM ticket WHERE org = $1 AND waits = 1",
        )
        .bind(org)
        .bind(today)
        .fetch_one(self.db.pool())
        .await
        .map_err(fail)?;
        let count = |name| Ok::<_, Error>(u64::try_from(number(&row, name)?).unwrap_or(0));
        Ok((count("n")?, count("late")?))
    }

    /// Tickets by kind and working days to the first answer: one walk over an index.
    pub async fn ticket_figures(&self) -> Result<Vec<TicketCount>> {
        sqlx::query("SELECT kind, days, COUNT(*) AS n FROM ticket GROUP BY kind, days")
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| {
                let word = text(row, "kind")?;
                Ok(TicketCount {
                    kind: TicketKind::parse(&word)
                        .ok_or_else(|| Error::internal(format!("ticket kind `{word}`")))?,
                    days: number(row, "days")?,
                    count: u64::try_from(number(row, "n")?).unwrap_or(0),
                })
            })
            .collect()
    }

    /// Tickets by desk, kind and working days to the first answer, with those that are overdue on a day (`YYYY-MM-DD`).
    pub async fn ticket_replies(&self, today: &str) -> Result<Vec<TicketReplies>> {
        sqlx::query(
            "SELECT org, kind, days, COUNT(*) AS n,
             CAST(COALESCE(SUM(CASE WHEN waits = 1 AND due < $1 THEN 1 ELSE 0 END), 0) AS BIGINT) AS late
             FROM ticket GROUP BY org, kind, days",
        )
        .bind(today)
        .fetch_all(self.db.pool())
        .await
        .map_err(fail)?
        .iter()
        .map(|row| {
            let count = |name| Ok::<_, Error>(u64::try_from(number(row, name)?).unwrap_or(0));
            let word = text(row, "kind")?;
            Ok(TicketReplies {
                org: text(row, "org")?,
                kind: TicketKind::parse(&word)
                    .ok_or_else(|| Error::internal(format!("ticket kind `{word}`")))?,
                days: number(row, "days")?,
                count: count("n")?,
                overdue: count("late")?,
            })
        })
        .collect()
    }

    /// An account supports a ticket; a second time changes nothing and answers `false`.
    pub async fn ticket_support(
        &self,
        permit: &Permit,
        id: &str,
        account: &str,
        at: &str,
    ) -> Result<bool> {
        permit.require(VOICES)?;
        let mut tx = self.db.begin().await?;
        let done = sqlx::query(
            "INSERT INTO ticket_support (ticket, account, at) VALUES ($1, $2, $3) ON CONFLICT (ticket, account) DO NOTHING",
        )
        .bind(id)
        .bind(account)
        .bind(at)
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        let new = done.rows_affected() == 1;
        if new {
            sqlx::query("UPDATE ticket SET supports = supports + 1 WHERE id = $1")
                .bind(id)
                .execute(&mut *tx)
                .await
                .map_err(fail)?;
        }
        tx.commit().await.map_err(fail)?;
        Ok(new)
    }

    /// Whether an account supports a ticket.
    pub async fn ticket_supported(&self, id: &str, account: &str) -> Result<bool> {
        let found =
            sqlx::query("SELECT 1 AS one FROM ticket_support WHERE ticket = $1 AND account = $2")
                .bind(id)
                .bind(account)
                .fetch_optional(self.db.pool())
                .await
                .map_err(fail)?;
        Ok(found.is_some())
    }
}
