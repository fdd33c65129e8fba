//! Applications for data that are open on conditions.

use model::restricted::{
    CreditRecord, SigningKey, UseApplication, UseEvent, UseReportState, UseState,
};
use model::{Error, Result};
use policy::{Action, Permit};
use sqlx::{Any, Transaction};

use super::USES;
use crate::Store;
use crate::clause::Clause;
use crate::db::{fail, number, page, signed, text, to_json};
use crate::entry::touch;
use crate::timeline::{TimeLine, happened, next_of_day};

const EVENTS: TimeLine = ("restricted_event", "application");

/// Which applications a list wants, newest first.
#[derive(Clone, Copy, Debug, Default)]
pub struct UseFilter<'a> {
    /// Applying organisation.
    pub org: Option<&'a str>,
    /// Person who applied.
    pub applicant: Option<&'a str>,
    /// Organisation among the providers.
    pub provider: Option<&'a str>,
    pub subject: Option<&'a str>,
    pub state: Option<UseState>,
    /// State of the report on use that is not accepted yet.
    pub report: Option<UseReportState>,
    /// Only those whose report on use was to be filed before this day.
    pub report_before: Option<&'a str>,
    /// Keyset position: those older than this id.
    pub before: Option<&'a str>,
    pub limit: u32,
}

/// How many applications of a provider stand in a state, were decided in a way after so many working days (-1: not decided).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UseCount {
    /// Empty: of all.
    pub provider: String,
    pub state: UseState,
    /// `approved`, `refused` or empty.
    pub decided: String,
    pub days: i64,
    pub count: u64,
    /// Reports on use that were accepted, of all of these.
    pub reports: u64,
}

fn due(application: &UseApplication) -> String {
    application.due.map(|d| d.to_string()).unwrap_or_default()
}

/// Of the report on use: its state, the day by which the party is to file it, how many were accepted.
fn reported(application: &UseApplication) -> (&'static str, String, i64) {
    let state = application.report().map(|r| r.state.as_str()).unwrap_or_default();
    let due = application.awaited().map(|r| r.due.to_string()).unwrap_or_default();
    (state, due, i64::try_from(application.accepted()).unwrap_or(i64::MAX))
}

/// Whether grants are to be made, or to be ended, after a step from one state to another.
fn pending(application: &UseApplication, was: &str) -> bool {
    let before = UseState::parse(was).is_some_and(UseState::agreed);
    before != application.state.agreed()
}

/// What was decided: what was approved stays so, whatever became of it.
fn decided(application: &UseApplication) -> &'static str {
    if application.decided_at.is_empty() {
        ""
    } else if application.state == UseState::Refused {
        "refused"
    } else {
        "approved"
    }
}

impl Store {
    /// Keeps a new application with its first event, and gives it the next number of its day.
    pub async fn restricted_insert(
        &self,
        permit: &Permit,
        mut application: UseApplication,
        event: &UseEvent,
        day: chrono::NaiveDate,
    ) -> Result<UseApplication> {
        permit.require(USES)?;
        let mut tx = self.db.begin().await?;
        let next = next_of_day(&mut tx, "restricted_day", day).await?;
        application.number = UseApplication::number_of(day, next);
        sqlx::query(
            "INSERT INTO restricted_use (id, number, state, org, applicant, subject, region, due, decided, days, edit, body)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind(application.id.as_str())
        .bind(application.number.as_str())
        .bind(application.state.as_str())
        .bind(application.org.as_str())
        .bind(application.applicant.as_str())
        .bind(application.subject.as_str())
        .bind(application.region.as_str())
        .bind(due(&application))
        .bind(decided(&application))
        .bind(application.days)
        .bind(signed(application.edit))
        .bind(to_json(&application)?)
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        providers(&mut tx, &application).await?;
        happened(&mut tx, EVENTS, &application.id, event.seq, event).await?;
        tx.commit().await.map_err(fail)?;
        Ok(application)
    }

    /// Writes a changed application with the event that changed it, if nobody has changed it since it was read; answers whether it
    /// did. Whether its grants are held back is written with it.
    pub async fn restricted_update(
        &self,
        permit: &Permit,
        application: &UseApplication,
        event: &UseEvent,
        seen: u64,
    ) -> Result<bool> {
        self.restricted_write(permit, application, event, seen, None).await
    }

    /// [`Self::restricted_update`] of what a breach ended, with the record of it: one is not without the other.
    pub async fn restricted_breach(
        &self,
        permit: &Permit,
        application: &UseApplication,
        event: &UseEvent,
        seen: u64,
        record: &CreditRecord,
    ) -> Result<bool> {
        self.restricted_write(permit, application, event, seen, Some(record)).await
    }

    async fn restricted_write(
        &self,
        permit: &Permit,
        application: &UseApplication,
        event: &UseEvent,
        seen: u64,
        record: Option<&CreditRecord>,
    ) -> Result<bool> {
        permit.require(USES)?;
        let mut tx = self.db.begin().await?;
        let found = sqlx::query("SELECT state, edit FROM restricted_use WHERE id = $1")
            .bind(application.id.as_str())
            .fetch_optional(&mut *tx)
            .await
            .map_err(fail)?;
        let Some(found) = found.filter(|row| number(row, "edit").ok() == Some(signed(seen))) else {
            return Ok(false);
        };
        let was = text(&found, "state")?;
        let (report, report_due, reports) = reported(application);
        let done = sqlx::query(
            "UPDATE restricted_use SET state = $1, due = $2, decided = $3, days = $4, edit = $5, body = $6, report = $7,
                 report_due = $8, reports = $9, region = $10, pending = CASE WHEN $11 = 1 THEN 1 ELSE pending END
             WHERE id = $12 AND edit = $13",
        )
        .bind(application.state.as_str())
        .bind(due(application))
        .bind(decided(application))
        .bind(application.days)
        .bind(signed(application.edit))
        .bind(to_json(application)?)
        .bind(report)
        .bind(report_due)
        .bind(reports)
        .bind(application.region.as_str())
        .bind(i64::from(pending(application, &was)))
        .bind(application.id.as_str())
        .bind(signed(seen))
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        if done.rows_affected() != 1 {
            return Ok(false);
        }
        if application.state == UseState::Draft {
            providers(&mut tx, application).await?;
        }
        hold(&mut tx, application, &was).await?;
        happened(&mut tx, EVENTS, &application.id, event.seq, event).await?;
        if let Some(record) = record {
            super::credit::entered(&mut tx, permit, record).await?;
        }
        tx.commit().await.map_err(fail)?;
        Ok(true)
    }

    /// Takes away what is still being filled in, with its files, if nobody has changed it since it was read; answers whether it did.
    pub async fn restricted_discard(&self, permit: &Permit, id: &str, seen: u64) -> Result<bool> {
        permit.require(&[Action::RestrictedApply])?;
        let mut tx = self.db.begin().await?;
        let sql = "DELETE FROM restricted_use WHERE id = $1 AND edit = $2 AND state = 'draft'";
        let done =
            sqlx::query(sql).bind(id).bind(signed(seen)).execute(&mut *tx).await.map_err(fail)?;
        if done.rows_affected() != 1 {
            return Ok(false);
        }
        for sql in [
            "DELETE FROM restricted_provider WHERE application = $1",
            "DELETE FROM restricted_event WHERE application = $1",
            "DELETE FROM attachment WHERE bundle = $1",
        ] {
            sqlx::query(sql).bind(id).execute(&mut *tx).await.map_err(fail)?;
        }
        tx.commit().await.map_err(fail)?;
        Ok(true)
    }

    /// Grants of an application were made or ended as its state says, if it has not changed since; those of one that is over are held
    /// back no more.
    pub async fn restricted_settled(&self, permit: &Permit, id: &str, seen: u64) -> Result<()> {
        permit.require(&[Action::SystemWork])?;
        sqlx::query("UPDATE restricted_use SET pending = 0 WHERE id = $1 AND edit = $2")
            .bind(id)
            .bind(signed(seen))
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        sqlx::query(
            "DELETE FROM restricted_hold WHERE application = $1 AND NOT EXISTS (
                 SELECT 1 FROM restricted_use u WHERE u.id = $1 AND (u.state = 'suspended' OR u.pending = 1))",
        )
        .bind(id)
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// A page of applications whose grants are still to be made or to be ended, by id.
    pub async fn restricted_pending(&self, after: &str, limit: u32) -> Result<Vec<UseApplication>> {
        let mut clause = Clause::default();
        clause.and("pending = 1");
        clause.and_text("id >", after);
        self.use_page(&clause, "id", limit).await
    }

    /// A page of applications whose report on use is to be filed by a day or was before it, by id.
    pub async fn restricted_reports_due(
        &self,
        by: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<UseApplication>> {
        let mut clause = Clause::default();
        clause.and("report_due <> ''");
        clause.and_text("report_due <=", by);
        clause.and_text("id >", after);
        self.use_page(&clause, "id", limit).await
    }

    /// The suspended application that holds a grant (id of a share application) back.
    pub async fn restricted_held(&self, request: &str) -> Result<Option<UseApplication>> {
        let mut clause = Clause::default();
        clause.and_text("h.request =", request);
        let sql = format!(
            "SELECT u.body FROM restricted_hold h JOIN restricted_use u ON u.id = h.application{}",
            clause.sql()
        );
        self.db.first(sql, &clause).await
    }

    /// An application by its id or its number.
    pub async fn restricted_get(&self, name: &str) -> Result<Option<UseApplication>> {
        let mut clause = Clause::default();
        clause.and_text(if name.contains('-') { "number =" } else { "id =" }, name);
        let sql = format!("SELECT body FROM restricted_use{}", clause.sql());
        self.db.first(sql, &clause).await
    }

    /// What happened to an application, in order.
    pub async fn restricted_events(&self, id: &str) -> Result<Vec<UseEvent>> {
        self.timeline(EVENTS, id).await
    }

    /// A page of applications, newest first.
    pub async fn restricted_list(&self, filter: &UseFilter<'_>) -> Result<Vec<UseApplication>> {
        let mut clause = Clause::default();
        for (condition, value) in [
            ("org =", filter.org),
            ("applicant =", filter.applicant),
            ("subject =", filter.subject),
            ("state =", filter.state.map(UseState::as_str)),
            ("report =", filter.report.map(UseReportState::as_str)),
            ("report_due <", filter.report_before),
            ("id <", filter.before),
        ] {
            if let Some(value) = value {
                clause.and_text(condition, value);
            }
        }
        if let Some(provider) = filter.provider {
            clause.and_text(
                "id IN (SELECT application FROM restricted_provider WHERE org =",
                provider,
            );
            clause.close();
            // What is still being filled in is the applicant's own.
            clause.and("state <> 'draft'");
        }
        // Said as the indexes say it.
        if filter.report.is_some() {
            clause.and("report <> ''");
        }
        if filter.report_before.is_some() {
            clause.and("report_due <> ''");
        }
        self.use_page(&clause, "id DESC", filter.limit).await
    }

    async fn use_page(
        &self,
        clause: &Clause,
        order: &'static str,
        limit: u32,
    ) -> Result<Vec<UseApplication>> {
        let (found, limit) = (clause.sql(), page(limit));
        let sql = format!("SELECT body FROM restricted_use{found} ORDER BY {order} LIMIT {limit}");
        self.db.bodies(sql, clause).await
    }

    /// Applications in a state whose due day has come by a day; by id.
    pub async fn restricted_due(
        &self,
        state: UseState,
        by: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<UseApplication>> {
        let mut clause = Clause::default();
        clause.and_text("state =", state.as_str());
        clause.and("due <> ''");
        clause.and_text("due <=", by);
        clause.and_text("id >", after);
        self.use_page(&clause, "id", limit).await
    }

    /// Applications that were submitted, by state, decision and working days: of all together, and by provider.
    pub async fn restricted_figures(&self) -> Result<Vec<UseCount>> {
        let all = "SELECT '' AS provider, state, decided, days, COUNT(*) AS n, CAST(SUM(reports) AS BIGINT) AS reports
             FROM restricted_use
             WHERE state <> 'draft' GROUP BY state, decided, days";
        let each =
            "SELECT p.org AS provider, u.state AS state, u.decided AS decided, u.days AS days, COUNT(*) AS n,
                 CAST(SUM(u.reports) AS BIGINT) AS reports
             FROM restricted_provider p JOIN restricted_use u ON u.id = p.application
             WHERE u.state <> 'draft' GROUP BY p.org, u.state, u.decided, u.days";
        let mut counts = Vec::new();
        for sql in [all, each] {
            let rows = sqlx::query(sql).fetch_all(self.db.pool()).await.map_err(fail)?;
            for row in &rows {
                let word = text(row, "state")?;
                counts.push(UseCount {
                    provider: text(row, "provider")?,
                    state: UseState::parse(&word).ok_or_else(|| {
                        Error::internal(format!("state `{word}` of an application"))
                    })?,
                    decided: text(row, "decided")?,
                    days: number(row, "days")?,
                    count: u64::try_from(number(row, "n")?).unwrap_or(0),
                    reports: u64::try_from(number(row, "reports")?).unwrap_or(0),
                });
            }
        }
        Ok(counts)
    }

    /// Registers a public key for signing; the holder's former one signs no more.
    pub async fn signing_key_put(&self, permit: &Permit, key: &SigningKey) -> Result<()> {
        permit.require(USES)?;
        sqlx::query(
            "INSERT INTO signing_key (holder, body) VALUES ($1, $2)
             ON CONFLICT (holder) DO UPDATE SET body = excluded.body",
        )
        .bind(key.holder.as_str())
        .bind(to_json(key)?)
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// The public key that a holder signs by.
    pub async fn signing_key(&self, holder: &str) -> Result<Option<SigningKey>> {
        let mut clause = Clause::default();
        clause.and_text("holder =", holder);
        self.db.first(format!("SELECT body FROM signing_key{}", clause.sql()), &clause).await
    }
}

/// Writes who provides what is asked for, in place of what was written before.
async fn providers(tx: &mut Transaction<'static, Any>, application: &UseApplication) -> Result<()> {
    sqlx::query("DELETE FROM restricted_provider WHERE application = $1")
        .bind(application.id.as_str())
        .execute(&mut **tx)
        .await
        .map_err(fail)?;
    for provider in application.providers() {
        sqlx::query("INSERT INTO restricted_provider (org, application) VALUES ($1, $2)")
            .bind(provider)
            .bind(application.id.as_str())
            .execute(&mut **tx)
            .await
            .map_err(fail)?;
    }
    Ok(())
}

/// Holds the grants of what is suspended now back, and lets those of what was go on: a change of the ledger, at which every grant that
/// is kept anywhere is looked at anew.
async fn hold(
    tx: &mut Transaction<'static, Any>,
    application: &UseApplication,
    was: &str,
) -> Result<()> {
    let (now, before) =
        (application.state == UseState::Suspended, was == UseState::Suspended.as_str());
    // What is over is held until its grants have ended (`restricted_settled`).
    if now == before || (before && application.state != UseState::InForce) {
        return Ok(());
    }
    sqlx::query("DELETE FROM restricted_hold WHERE application = $1")
        .bind(application.id.as_str())
        .execute(&mut **tx)
        .await
        .map_err(fail)?;
    for entry in application.entries.iter().filter(|_| now) {
        sqlx::query("INSERT INTO restricted_hold (request, application) VALUES ($1, $2)")
            .bind(entry.grant.as_str())
            .bind(application.id.as_str())
            .execute(&mut **tx)
            .await
            .map_err(fail)?;
    }
    touch(tx).await
}
