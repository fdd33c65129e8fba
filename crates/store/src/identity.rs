//! The identity provider in the control store: keys, clients, codes, tokens, consents; ties to outside identities.
//!
//! A person gives out codes and tokens of their own sign-in, as a session: no permit is asked for them.

use model::Result;
use model::identity::{ClientKind, ClientSettings, Consent, OutsideLink, SignInMethod};
use policy::{Action, Permit};
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;

use crate::Store;
use crate::db::{fail, json, number, text, to_json};

/// A key as kept.
#[derive(Clone, Debug)]
pub struct KeyRow {
    pub kid: String,
    pub sealed: String,
    pub made_at: String,
}

/// What a code or token stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    pub application: String,
    pub account: String,
    /// Words parted by spaces.
    pub scope: String,
    pub redirect: String,
    pub challenge: String,
    pub nonce: String,
    /// When the person signed in, seconds since 1970.
    pub auth_time: i64,
    /// Digest of the code it all came of.
    pub family: String,
    /// Digest of the session it was given in; empty: of an earlier version's.
    #[serde(default)]
    pub session: String,
    /// It ends with that session.
    #[serde(default)]
    pub bound: bool,
    /// How the person signed in.
    #[serde(default)]
    pub method: Option<SignInMethod>,
    /// Language of the pages then (BCP 47); empty: not known.
    #[serde(default)]
    pub locale: String,
}

/// A token as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenToken {
    /// `access` or `refresh`.
    pub kind: String,
    pub ends_at: i64,
    pub used: bool,
    pub given: Given,
}

/// When a session began and how (RFC 3339).
#[derive(Clone, Debug)]
pub struct SessionStart {
    pub at: String,
    pub method: SignInMethod,
}

fn given_token(row: &AnyRow) -> Result<GivenToken> {
    Ok(GivenToken {
        kind: text(row, "kind")?,
        ends_at: number(row, "ends_at")?,
        used: number(row, "used")? != 0,
        given: json(row, "body")?,
    })
}

impl Store {
    /// The newest keys, newest first: the one that signs and the one before it.
    pub async fn identity_keys(&self) -> Result<Vec<KeyRow>> {
        sqlx::query(
            "SELECT kid, sealed, made_at FROM identity_key ORDER BY made_at DESC, kid LIMIT 2",
        )
        .fetch_all(self.db.pool())
        .await
        .map_err(fail)?
        .iter()
        .map(|row| {
            Ok(KeyRow {
                kid: text(row, "kid")?,
                sealed: text(row, "sealed")?,
                made_at: text(row, "made_at")?,
            })
        })
        .collect()
    }

    /// Enters a key.
    pub async fn identity_key_insert(&self, permit: &Permit, key: &KeyRow) -> Result<()> {
        permit.require(&[Action::SystemWork])?;
        sqlx::query("INSERT INTO identity_key (kid, sealed, made_at) VALUES ($1, $2, $3)")
            .bind(key.kid.as_str())
            .bind(key.sealed.as_str())
            .bind(key.made_at.as_str())
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(())
    }

    /// What an application is as a client; `None`: it is none.
    pub async fn identity_client(&self, application: &str) -> Result<Option<ClientSettings>> {
        let row = sqlx::query(
            "SELECT kind, redirects, logouts, scopes, backchannel, backchannel_session
             FROM identity_client WHERE application = $1",
        )
        .bind(application)
        .fetch_optional(self.db.pool())
        .await
        .map_err(fail)?;
        let Some(row) = row else { return Ok(None) };
        let origins = sqlx::query(
            "SELECT origin FROM identity_origin WHERE application = $1 ORDER BY origin LIMIT 100",
        )
        .bind(application)
        .fetch_all(self.db.pool())
        .await
        .map_err(fail)?;
        let kind = text(&row, "kind")?;
        Ok(Some(ClientSettings {
            kind: ClientKind::parse(&kind).unwrap_or(ClientKind::Confidential),
            redirects: json(&row, "redirects")?,
            logouts: json(&row, "logouts")?,
            origins: origins.iter().map(|r| text(r, "origin")).collect::<Result<_>>()?,
            scopes: json(&row, "scopes")?,
            backchannel: text(&row, "backchannel")?,
            sid_required: number(&row, "backchannel_session")? != 0,
        }))
    }

    /// Whether a public client in use has registered an origin.
    pub async fn identity_origin_known(&self, origin: &str) -> Result<bool> {
        let row = sqlx::query(
            "SELECT o.origin FROM identity_origin o
             JOIN identity_client c ON c.application = o.application AND c.kind = $2
             JOIN application a ON a.id = o.application AND a.active = 1
             WHERE o.origin = $1 LIMIT 1",
        )
        .bind(origin)
        .bind(ClientKind::Public.as_str())
        .fetch_optional(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(row.is_some())
    }

    /// Sets what an application is as a client; without an address it is none any more.
    pub async fn identity_client_set(
        &self,
        permit: &Permit,
        application: &str,
        settings: &ClientSettings,
        at: &str,
        by: &str,
    ) -> Result<()> {
        permit.require(&[Action::ApplicationManage])?;
        let mut tx = self.db.begin().await?;
        for sql in [
            "DELETE FROM identity_client WHERE application = $1",
            "DELETE FROM identity_origin WHERE application = $1",
        ] {
            sqlx::query(sql).bind(application).execute(&mut *tx).await.map_err(fail)?;
        }
        if !settings.redirects.is_empty() {
            sqlx::query(
                "INSERT INTO identity_client
                 (application, kind, redirects, set_at, set_by, logouts, scopes, backchannel, backchannel_session)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            )
            .bind(application)
            .bind(settings.kind.as_str())
            .bind(to_json(&settings.redirects)?)
            .bind(at)
            .bind(by)
            .bind(to_json(&settings.logouts)?)
            .bind(to_json(&settings.scopes)?)
            .bind(settings.backchannel.as_str())
            .bind(i64::from(settings.sid_required))
            .execute(&mut *tx)
            .await
            .map_err(fail)?;
            for origin in &settings.origins {
                sqlx::query("INSERT INTO identity_origin (application, origin) VALUES ($1, $2)")
                    .bind(application)
                    .bind(origin.as_str())
                    .execute(&mut *tx)
                    .await
                    .map_err(fail)?;
            }
        }
        tx.commit().await.map_err(fail)
    }

    /// Enters a code; those that ended before `forget` are forgotten.
    pub async fn identity_code_insert(
        &self,
        digest: &str,
        given: &Given,
        ends_at: i64,
        forget: i64,
    ) -> Result<()> {
        let mut tx = self.db.begin().await?;
        sqlx::query("DELETE FROM identity_code WHERE ends_at < $1")
            .bind(forget)
            .execute(&mut *tx)
            .await
            .map_err(fail)?;
        sqlx::query(
            "INSERT INTO identity_code (digest, application, account, ends_at, used, body) VALUES ($1, $2, $3, $4, 0, $5)",
        )
        .bind(digest)
        .bind(given.application.as_str())
        .bind(given.account.as_str())
        .bind(ends_at)
        .bind(to_json(given)?)
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        tx.commit().await.map_err(fail)
    }

    /// Takes a code: what it stands for, its end, and how often it has been taken, this time included.
    pub async fn identity_code_take(&self, digest: &str) -> Result<Option<(Given, i64, i64)>> {
        let mut tx = self.db.begin().await?;
        // The row is locked by the update: of two that take it at once one is the second.
        sqlx::query("UPDATE identity_code SET used = used + 1 WHERE digest = $1")
            .bind(digest)
            .execute(&mut *tx)
            .await
            .map_err(fail)?;
        let row = sqlx::query("SELECT body, ends_at, used FROM identity_code WHERE digest = $1")
            .bind(digest)
            .fetch_optional(&mut *tx)
            .await
            .map_err(fail)?;
        tx.commit().await.map_err(fail)?;
        row.map(|row| Ok((json(&row, "body")?, number(&row, "ends_at")?, number(&row, "used")?)))
            .transpose()
    }

    /// How often a code has been taken; one that is gone counts as taken again.
    pub async fn identity_code_uses(&self, digest: &str) -> Result<i64> {
        let row = sqlx::query("SELECT used FROM identity_code WHERE digest = $1")
            .bind(digest)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?;
        row.map_or(Ok(2), |row| number(&row, "used"))
    }

    /// Enters tokens (digest, kind, end) of one grant, all or none; ended ones are forgotten.
    pub async fn identity_tokens_insert(
        &self,
        given: &Given,
        tokens: &[(String, &str, i64)],
        now: i64,
    ) -> Result<()> {
        let mut tx = self.db.begin().await?;
        sqlx::query("DELETE FROM identity_token WHERE ends_at < $1")
            .bind(now)
            .execute(&mut *tx)
            .await
            .map_err(fail)?;
        for (digest, kind, ends_at) in tokens {
            sqlx::query(
                "INSERT INTO identity_token (digest, kind, family, application, account, ends_at, used, body)
                 VALUES ($1, $2, $3, $4, $5, $6, 0, $7)",
            )
            .bind(digest.as_str())
            .bind(*kind)
            .bind(given.family.as_str())
            .bind(given.application.as_str())
            .bind(given.account.as_str())
            .bind(*ends_at)
            .bind(to_json(given)?)
            .execute(&mut *tx)
            .await
            .map_err(fail)?;
        }
        tx.commit().await.map_err(fail)
    }

    pub async fn identity_token_get(&self, digest: &str) -> Result<Option<GivenToken>> {
        sqlx::query("SELECT kind, ends_at, used, body FROM identity_token WHERE digest = $1")
            .bind(digest)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .as_ref()
            .map(given_token)
            .transpose()
    }

    /// Uses a refresh token up; `false` when it was used before, or is gone.
    pub async fn identity_token_use(&self, digest: &str) -> Result<bool> {
        let done = sqlx::query("UPDATE identity_token SET used = 1 WHERE digest = $1 AND used = 0")
            .bind(digest)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(done.rows_affected() == 1)
    }

    /// Takes one token away.
    pub async fn identity_token_delete(&self, digest: &str) -> Result<()> {
        sqlx::query("DELETE FROM identity_token WHERE digest = $1")
            .bind(digest)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(())
    }

    /// Takes away all tokens that came of one code.
    pub async fn identity_family_end(&self, family: &str) -> Result<()> {
        sqlx::query("DELETE FROM identity_token WHERE family = $1")
            .bind(family)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(())
    }

    /// A person's consents, by application (the first two hundred).
    pub async fn identity_consents(&self, account: &str) -> Result<Vec<Consent>> {
        sqlx::query(
            "SELECT application, scope, at FROM identity_consent WHERE account = $1 ORDER BY application LIMIT 200",
        )
        .bind(account)
        .fetch_all(self.db.pool())
        .await
        .map_err(fail)?
        .iter()
        .map(read_consent)
        .collect()
    }

    /// A person's consent to one client.
    pub async fn identity_consent(
        &self,
        account: &str,
        application: &str,
    ) -> Result<Option<Consent>> {
        sqlx::query(
            "SELECT application, scope, at FROM identity_consent WHERE account = $1 AND application = $2",
        )
        .bind(account)
        .bind(application)
        .fetch_optional(self.db.pool())
        .await
        .map_err(fail)?
        .as_ref()
        .map(read_consent)
        .transpose()
    }

    /// Keeps a person's consent; it takes the place of an earlier one.
    pub async fn identity_consent_put(&self, account: &str, consent: &Consent) -> Result<()> {
        sqlx::query(
            "INSERT INTO identity_consent (account, application, scope, at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (account, application) DO UPDATE SET scope = excluded.scope, at = excluded.at",
        )
        .bind(account)
        .bind(consent.application.as_str())
        .bind(consent.scope.as_str())
        .bind(consent.at.as_str())
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// Withdraws a consent, with every code and token that was given out by it; `false` when there is none.
    pub async fn identity_consent_end(&self, account: &str, application: &str) -> Result<bool> {
        let mut tx = self.db.begin().await?;
        let done =
            sqlx::query("DELETE FROM identity_consent WHERE account = $1 AND application = $2")
                .bind(account)
                .bind(application)
                .execute(&mut *tx)
                .await
                .map_err(fail)?;
        for sql in [
            "DELETE FROM identity_token WHERE account = $1 AND application = $2",
            "DELETE FROM identity_code WHERE account = $1 AND application = $2",
        ] {
            sqlx::query(sql)
                .bind(account)
                .bind(application)
                .execute(&mut *tx)
                .await
                .map_err(fail)?;
        }
        tx.commit().await.map_err(fail)?;
        Ok(done.rows_affected() == 1)
    }

    /// The account tied to an outside identity.
    pub async fn outside_account(&self, service: &str, subject: &str) -> Result<Option<String>> {
        sqlx::query("SELECT account FROM outside_identity WHERE service = $1 AND subject = $2")
            .bind(service)
            .bind(subject)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| text(&row, "account"))
            .transpose()
    }

    /// Ties an account to an outside identity; `false` when that is somebody's already.
    pub async fn outside_link(
        &self,
        service: &str,
        subject: &str,
        account: &str,
        at: &str,
    ) -> Result<bool> {
        let done = sqlx::query(
            "INSERT INTO outside_identity (service, subject, account, at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (service, subject) DO NOTHING",
        )
        .bind(service)
        .bind(subject)
        .bind(account)
        .bind(at)
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(done.rows_affected() == 1)
    }

    /// Outside services an account is tied to.
    pub async fn outside_links(&self, account: &str) -> Result<Vec<OutsideLink>> {
        sqlx::query(
            "SELECT service, at FROM outside_identity WHERE account = $1 ORDER BY service LIMIT 50",
        )
        .bind(account)
        .fetch_all(self.db.pool())
        .await
        .map_err(fail)?
        .iter()
        .map(|row| Ok(OutsideLink { service: text(row, "service")?, at: text(row, "at")? }))
        .collect()
    }

    /// Unties an account from a service.
    pub async fn outside_unlink(&self, service: &str, account: &str) -> Result<bool> {
        let done = sqlx::query("DELETE FROM outside_identity WHERE service = $1 AND account = $2")
            .bind(service)
            .bind(account)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(done.rows_affected() > 0)
    }

    /// Keeps what a sign-in under way needs; ended ones are forgotten.
    pub async fn outside_pending_put(
        &self,
        digest: &str,
        sealed: &str,
        ends_at: i64,
        now: i64,
    ) -> Result<()> {
        let mut tx = self.db.begin().await?;
        sqlx::query("DELETE FROM outside_pending WHERE ends_at < $1")
            .bind(now)
            .execute(&mut *tx)
            .await
            .map_err(fail)?;
        sqlx::query("INSERT INTO outside_pending (digest, ends_at, sealed) VALUES ($1, $2, $3)")
            .bind(digest)
            .bind(ends_at)
            .bind(sealed)
            .execute(&mut *tx)
            .await
            .map_err(fail)?;
        tx.commit().await.map_err(fail)
    }

    /// Takes it out, once.
    pub async fn outside_pending_take(&self, digest: &str, now: i64) -> Result<Option<String>> {
        let mut tx = self.db.begin().await?;
        let row =
            sqlx::query("SELECT sealed FROM outside_pending WHERE digest = $1 AND ends_at > $2")
                .bind(digest)
                .bind(now)
                .fetch_optional(&mut *tx)
                .await
                .map_err(fail)?;
        let gone = sqlx::query("DELETE FROM outside_pending WHERE digest = $1")
            .bind(digest)
            .execute(&mut *tx)
            .await
            .map_err(fail)?;
        tx.commit().await.map_err(fail)?;
        row.filter(|_| gone.rows_affected() == 1).map(|row| text(&row, "sealed")).transpose()
    }

    /// When a session began, and how.
    pub async fn session_began(&self, token_hash: &str) -> Result<Option<SessionStart>> {
        sqlx::query("SELECT created_at, method FROM session WHERE token_hash = $1")
            .bind(token_hash)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| {
                let method = text(&row, "method")?;
                Ok(SessionStart {
                    at: text(&row, "created_at")?,
                    method: SignInMethod::parse(&method).unwrap_or(SignInMethod::Outside),
                })
            })
            .transpose()
    }
}

fn read_consent(row: &AnyRow) -> Result<Consent> {
    Ok(Consent {
        application: text(row, "application")?,
        scope: text(row, "scope")?,
        at: text(row, "at")?,
    })
}
