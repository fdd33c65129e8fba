//! Applications for data that are open on conditions.

use model::restricted::{SigningKey, UseApplication, UseEvent, UseState};
use model::{Error, Result};
use policy::Permit;

use super::USES;
use crate::Store;
use crate::clause::Clause;
use crate::db::{fail, number, page, signed, text, to_json};
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
}

fn due(application: &UseApplication) -> String {
    application.due.map(|d| d.to_string()).unwrap_or_default()
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
        for provider in application.providers() {
            sqlx::query("INSERT INTO restricted_provider (org, application) VALUES ($1, $2)")
                .bind(provider)
                .bind(application.id.as_str())
                .execute(&mut *tx)
                .await
                .map_err(fail)?;
        }
        happened(&mut tx, EVENTS, &application.id, event.seq, event).await?;
        tx.commit().await.map_err(fail)?;
        Ok(application)
    }

    /// Writes a changed application with the event that changed it, if nobody has changed it since it was read; answers whether it
    /// did.
    pub async fn restricted_update(
        &self,
        permit: &Permit,
        application: &UseApplication,
        event: &UseEvent,
        seen: u64,
    ) -> Result<bool> {
        permit.require(USES)?;
        let mut tx = self.db.begin().await?;
        let done = sqlx::query(
            "UPDATE restricted_use SET state = $1, due = $2, decided = $3, days = $4, edit = $5, body = $6
             WHERE id = $7 AND edit = $8",
        )
        .bind(application.state.as_str())
        .bind(due(application))
        .bind(decided(application))
        .bind(application.days)
        .bind(signed(application.edit))
        .bind(to_json(application)?)
        .bind(application.id.as_str())
        .bind(signed(seen))
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        if done.rows_affected() != 1 {
            return Ok(false);
        }
        happened(&mut tx, EVENTS, &application.id, event.seq, event).await?;
        tx.commit().await.map_err(fail)?;
        Ok(true)
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
        let sql = format!(
            "SELECT body FROM restricted_use{} ORDER BY id DESC LIMIT {}",
            clause.sql(),
            page(filter.limit)
        );
        self.db.bodies(sql, &clause).await
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
        let sql = format!(
            "SELECT body FROM restricted_use{} ORDER BY id LIMIT {}",
            clause.sql(),
            page(limit)
        );
        self.db.bodies(sql, &clause).await
    }

    /// Applications that were submitted, by state, decision and working days: of all together, and by provider.
    pub async fn restricted_figures(&self) -> Result<Vec<UseCount>> {
        let all = "SELECT '' AS provider, state, decided, days, COUNT(*) AS n FROM restricted_use
             WHERE state <> 'draft' GROUP BY state, decided, days";
        let each =
            "SELECT p.org AS provider, u.state AS state, u.decided AS decided, u.days AS days, COUNT(*) AS n
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
