//! Identifiers of subjects, what subjects have authorised, and every use of it.

use model::identity::{Authorisation, AuthorisationState, AuthorisationUse, SubjectKind};
use model::{Error, Result};
use policy::{Action, Permit};
use sqlx::any::AnyRow;

use crate::Store;
use crate::clause::Clause;
use crate::db::{fail, json, on_duplicate, page, text, to_json};

/// An account's identifier as kept.
#[derive(Clone, Debug)]
pub struct SubjectRow {
    pub account: String,
    pub kind: SubjectKind,
    /// Keyed hash.
    pub mark: String,
    pub sealed: String,
    pub confirmed_by: String,
    pub at: String,
}

/// Which authorisations a list wants, newest first.
#[derive(Clone, Copy, Debug, Default)]
pub struct AuthorisationFilter<'a> {
    pub subject: Option<&'a str>,
    pub application: Option<&'a str>,
    pub before: Option<&'a str>,
    pub limit: u32,
}

/// Who writes authorisations: the subject; who asks for one manages the application.
const WRITERS: &[Action] = &[Action::AuthorisationGive, Action::ApplicationManage];

/// Keeps the identifier of an account: account, kind, keyed hash, sealed number, who confirmed it, when.
pub(crate) const PUT_SUBJECT: &str = "INSERT INTO subject_identifier (account, kind, mark, sealed, confirmed_by, at) VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (account) DO UPDATE SET kind = excluded.kind, mark = excluded.mark, sealed = excluded.sealed,
     confirmed_by = excluded.confirmed_by, at = excluded.at";

/// The identifier is another account's.
pub(crate) fn known_elsewhere(e: sqlx::Error) -> Error {
    on_duplicate(
        e,
        "该证件号码已登记在另一账号下",
        "the identifier is confirmed for another account",
    )
}

fn read_subject(row: &AnyRow) -> Result<SubjectRow> {
    let kind = text(row, "kind")?;
    Ok(SubjectRow {
        account: text(row, "account")?,
        kind: SubjectKind::parse(&kind).unwrap_or(SubjectKind::Person),
        mark: text(row, "mark")?,
        sealed: text(row, "sealed")?,
        confirmed_by: text(row, "confirmed_by")?,
        at: text(row, "at")?,
    })
}

impl Store {
    /// Keeps the confirmed identifier of an account; one that is another account's is refused.
    pub async fn subject_put(&self, permit: &Permit, row: &SubjectRow) -> Result<()> {
        permit.require(&[Action::SubjectConfirm])?;
        sqlx::query(PUT_SUBJECT)
            .bind(row.account.as_str())
            .bind(row.kind.as_str())
            .bind(row.mark.as_str())
            .bind(row.sealed.as_str())
            .bind(row.confirmed_by.as_str())
            .bind(row.at.as_str())
            .execute(self.db.pool())
            .await
            .map_err(known_elsewhere)?;
        Ok(())
    }

    pub async fn subject_of(&self, account: &str) -> Result<Option<SubjectRow>> {
        sqlx::query("SELECT * FROM subject_identifier WHERE account = $1")
            .bind(account)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .as_ref()
            .map(read_subject)
            .transpose()
    }

    /// The account whose identifier has this mark.
    pub async fn subject_account(&self, mark: &str) -> Result<Option<String>> {
        sqlx::query("SELECT account FROM subject_identifier WHERE mark = $1")
            .bind(mark)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| text(&row, "account"))
            .transpose()
    }

    pub async fn authorisation_insert(&self, permit: &Permit, new: &Authorisation) -> Result<()> {
        permit.require(WRITERS)?;
        sqlx::query(
            "INSERT INTO subject_authorisation (id, subject, application, entry, state, until, body) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(new.id.as_str())
        .bind(new.subject.as_str())
        .bind(new.application.as_str())
        .bind(new.entry.as_str())
        .bind(new.state.as_str())
        .bind(new.until.as_str())
        .bind(to_json(new)?)
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// Writes a changed authorisation if it still stood where it was seen; answers whether it did.
    pub async fn authorisation_update(
        &self,
        permit: &Permit,
        changed: &Authorisation,
        seen: AuthorisationState,
    ) -> Result<bool> {
        permit.require(WRITERS)?;
        let done = sqlx::query(
            "UPDATE subject_authorisation SET state = $1, until = $2, body = $3 WHERE id = $4 AND state = $5",
        )
        .bind(changed.state.as_str())
        .bind(changed.until.as_str())
        .bind(to_json(changed)?)
        .bind(changed.id.as_str())
        .bind(seen.as_str())
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(done.rows_affected() == 1)
    }

    pub async fn authorisation_get(&self, id: &str) -> Result<Option<Authorisation>> {
        self.db.body("subject_authorisation", id).await
    }

    /// A page of authorisations, newest first.
    pub async fn authorisation_list(
        &self,
        filter: &AuthorisationFilter<'_>,
    ) -> Result<Vec<Authorisation>> {
        let mut clause = Clause::default();
        for (condition, value) in [
            ("subject =", filter.subject),
            ("application =", filter.application),
            ("id <", filter.before),
        ] {
            if let Some(value) = value {
                clause.and_text(condition, value);
            }
        }
        let sql = format!(
            "SELECT body FROM subject_authorisation{} ORDER BY id DESC LIMIT {}",
            clause.sql(),
            page(filter.limit)
        );
        self.db.bodies(sql, &clause).await
    }

    /// What stands between an application, an entry and a subject at a moment (RFC 3339); the first fifty.
    pub async fn authorisations_standing(
        &self,
        application: &str,
        entry: &str,
        subject: &str,
        at: &str,
    ) -> Result<Vec<Authorisation>> {
        sqlx::query(
            "SELECT body FROM subject_authorisation WHERE application = $1 AND entry = $2 AND subject = $3
             AND state = 'standing' AND until > $4 ORDER BY id DESC LIMIT 50",
        )
        .bind(application)
        .bind(entry)
        .bind(subject)
        .bind(at)
        .fetch_all(self.db.pool())
        .await
        .map_err(fail)?
        .iter()
        .map(|row| json(row, "body"))
        .collect()
    }

    /// Whether a subject has been asked by an application for an entry, and has not answered.
    pub async fn authorisation_waits(
        &self,
        application: &str,
        entry: &str,
        subject: &str,
    ) -> Result<bool> {
        let row = sqlx::query(
            "SELECT id FROM subject_authorisation WHERE application = $1 AND entry = $2 AND subject = $3 AND state = 'asked' LIMIT 1",
        )
        .bind(application)
        .bind(entry)
        .bind(subject)
        .fetch_optional(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(row.is_some())
    }

    /// The organisation that has a credit code.
    pub async fn org_of_uscc(&self, uscc: &str) -> Result<Option<String>> {
        sqlx::query("SELECT id FROM org WHERE uscc = $1")
            .bind(uscc)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| text(&row, "id"))
            .transpose()
    }

    /// Writes uses down before what they are of leaves. Counting, not a governed write: the gate has decided.
    pub async fn authorisation_used(&self, uses: &[(String, AuthorisationUse)]) -> Result<()> {
        let mut tx = self.db.begin().await?;
        for (id, used) in uses {
            sqlx::query(
                "INSERT INTO subject_use (id, authorisation, at, items, purpose, request_id) VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind(id.as_str())
            .bind(used.authorisation.as_str())
            .bind(used.at.as_str())
            .bind(used.items.as_str())
            .bind(used.purpose.as_str())
            .bind(used.request_id.as_str())
            .execute(&mut *tx)
            .await
            .map_err(fail)?;
        }
        tx.commit().await.map_err(fail)
    }

    /// Uses of an authorisation, newest first (the first `limit`).
    pub async fn authorisation_uses(&self, id: &str, limit: u32) -> Result<Vec<AuthorisationUse>> {
        let select = "SELECT * FROM subject_use";
        let rows = self.db.newest(select, ("authorisation", id), None, limit).await?;
        rows.iter()
            .map(|row| {
                Ok(AuthorisationUse {
                    authorisation: text(row, "authorisation")?,
                    at: text(row, "at")?,
                    items: text(row, "items")?,
                    purpose: text(row, "purpose")?,
                    request_id: text(row, "request_id")?,
                })
            })
            .collect()
    }
}
