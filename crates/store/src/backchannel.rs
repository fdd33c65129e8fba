//! Which client of the identity provider knows which session, and which are still to be told that it has ended.
//!
//! A login is entered while its session's row is held, and the end of a session marks its logins in the transaction that takes its row
//! away. So whatever happens at once, or dies in between, a client that knows a session is told of its end. A person gives logins out of
//! their own sign-in, as a session: no permit is asked for them.

use model::Result;
use policy::{Action, Permit};
use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};

use crate::Store;
use crate::db::{fail, number, page, text};
use crate::identity::Given;

/// A client that is to be told of the end of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutDue {
    pub application: String,
    /// The client's id.
    pub key: String,
    /// Where it is told.
    pub address: String,
    /// Digest of the session's token.
    pub session: String,
    pub account: String,
    /// The address by which the client knows the provider.
    pub issuer: String,
    /// How often it was tried before.
    pub tries: i64,
    /// Since when it is due (milliseconds since 1970; 0: since the session ended).
    pub due_at: i64,
}

/// Marks what clients know of sessions whose rows (`token_hash`) were just taken away in this transaction.
pub(crate) async fn ended(tx: &mut Transaction<'static, Any>, gone: &[AnyRow]) -> Result<()> {
    for row in gone {
        sqlx::query("UPDATE identity_login SET due_at = 0 WHERE session = $1 AND due_at IS NULL")
            .bind(text(row, "token_hash")?)
            .execute(&mut **tx)
            .await
            .map_err(fail)?;
    }
    Ok(())
}

fn read(row: &AnyRow) -> Result<LogoutDue> {
    Ok(LogoutDue {
        application: text(row, "application")?,
        key: text(row, "access_key")?,
        address: text(row, "backchannel")?,
        session: text(row, "session")?,
        account: text(row, "account")?,
        issuer: text(row, "issuer")?,
        tries: number(row, "tries")?,
        due_at: number(row, "due_at")?,
    })
}

impl Store {
    /// Enters that a client knows the session something was given in. One that has ended meanwhile is due at once.
    pub async fn identity_login(&self, given: &Given, issuer: &str) -> Result<()> {
        let mut tx = self.db.begin().await?;
        // Nothing changes: the row is held, so that the session's end waits for the login, or the login sees the end.
        let held = sqlx::query("UPDATE session SET csrf = csrf WHERE token_hash = $1")
            .bind(given.session.as_str())
            .execute(&mut *tx)
            .await
            .map_err(fail)?
            .rows_affected();
        let sql = match held {
            0 => {
                "INSERT INTO identity_login (application, session, account, issuer, due_at, tries)
                 VALUES ($1, $2, $3, $4, 0, 0)
                 ON CONFLICT (application, session) DO UPDATE SET issuer = excluded.issuer"
            }
            _ => {
                "INSERT INTO identity_login (application, session, account, issuer, due_at, tries)
                 VALUES ($1, $2, $3, $4, NULL, 0)
                 ON CONFLICT (application, session) DO UPDATE SET issuer = excluded.issuer"
            }
        };
        sqlx::query(sql)
            .bind(given.application.as_str())
            .bind(given.session.as_str())
            .bind(given.account.as_str())
            .bind(issuer)
            .execute(&mut *tx)
            .await
            .map_err(fail)?;
        tx.commit().await.map_err(fail)
    }

    /// Clients to be told now, the longest due first.
    pub async fn identity_logouts_due(&self, now: i64, limit: u32) -> Result<Vec<LogoutDue>> {
        let sql = format!(
            "SELECT l.application, l.session, l.account, l.issuer, l.tries, l.due_at, c.backchannel, a.access_key
             FROM identity_login l
             JOIN identity_client c ON c.application = l.application AND c.backchannel <> ''
             JOIN application a ON a.id = l.application AND a.active = 1
             WHERE l.due_at <= $1 ORDER BY l.due_at, l.application, l.session LIMIT {}",
            page(limit)
        );
        sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(now)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(read)
            .collect()
    }

    /// How many ends of sessions a client was told of and did not take so far.
    pub async fn identity_logouts_untaken(&self, application: &str) -> Result<u64> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS n FROM identity_login WHERE application = $1 AND due_at IS NOT NULL AND tries > 0",
        )
        .bind(application)
        .fetch_one(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(u64::try_from(number(&row, "n")?).unwrap_or(0))
    }

    /// Takes one to be told now; it is due again `until` (milliseconds since 1970). `false`: another process has it.
    pub async fn identity_logout_take(
        &self,
        permit: &Permit,
        due: &LogoutDue,
        until: i64,
    ) -> Result<bool> {
        permit.require(&[Action::SystemWork])?;
        let done = sqlx::query(
            "UPDATE identity_login SET due_at = $1, tries = tries + 1
             WHERE application = $2 AND session = $3 AND due_at = $4",
        )
        .bind(until)
        .bind(due.application.as_str())
        .bind(due.session.as_str())
        .bind(due.due_at)
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(done.rows_affected() == 1)
    }

    /// Forgets one that was told, or is given up.
    pub async fn identity_logout_done(&self, permit: &Permit, due: &LogoutDue) -> Result<()> {
        permit.require(&[Action::SystemWork])?;
        sqlx::query("DELETE FROM identity_login WHERE application = $1 AND session = $2")
            .bind(due.application.as_str())
            .bind(due.session.as_str())
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(())
    }

    /// Forgets ended sessions of those who are not told: applications that are stopped, or have registered no address for it.
    pub async fn identity_logouts_forget(&self, permit: &Permit) -> Result<u64> {
        permit.require(&[Action::SystemWork])?;
        let done = sqlx::query(
            "DELETE FROM identity_login WHERE due_at IS NOT NULL AND application NOT IN (
               SELECT c.application FROM identity_client c
               JOIN application a ON a.id = c.application AND a.active = 1
               WHERE c.backchannel <> '')",
        )
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(done.rows_affected())
    }
}
