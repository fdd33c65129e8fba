//! People, sessions and applications in the control store.

use std::collections::HashMap;

use model::account::{Application, User};
use model::identity::SignInMethod;
use model::{Op, Result};
use policy::{Action, Permit};
use sqlx::any::AnyRow;
use sqlx::{Any, Row as _, Transaction};

use crate::clause::Clause;
use crate::db::{fail, json, maybe, number, on_duplicate, page, text, to_json};
use crate::{Store, backchannel, personal_token};

/// People named by one statement.
const TOGETHER: usize = 500;

/// What sign-in needs beyond the outward view.
#[derive(Clone)]
pub struct UserSecret {
    pub user: User,
    /// Argon2id PHC string.
    pub password_hash: String,
    /// RFC 3339: the password is a one-time one, good until then; `None`: the person's own.
    pub one_time_until: Option<String>,
}

/// What counting an attempt to sign in came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// It may be made. It is counted as failed until it is forgiven; `failures` includes it.
    Counted { failures: i64 },
    /// No attempt is taken before then (RFC 3339).
    Locked { until: String },
}

/// Which applications (应用) a list may show at all (policy still decides each).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplicationScope<'a> {
    All,
    /// Those of an organisation and a person's own.
    Of {
        org: Option<&'a str>,
        person: &'a str,
    },
}

impl std::fmt::Debug for UserSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserSecret").field("user", &self.user.name).finish_non_exhaustive()
    }
}

/// A kept session; the token itself is never stored.
#[derive(Clone, Debug)]
pub struct SessionRow {
    pub user: String,
    pub csrf: String,
    pub expires_at: String,
    /// How it was opened.
    pub method: SignInMethod,
}

/// Enters an account: id, name, name shown, organisation, roles, password hash, whether it is in use, when.
pub(crate) const INSERT_USER: &str = "INSERT INTO user_account
     (id, name, display_name, org, roles, password_hash, active, failures, locked_until, created_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, 0, NULL, $8)";

impl Store {
    pub async fn user_insert(
        &self,
        permit: &Permit,
        user: &User,
        password_hash: &str,
    ) -> Result<()> {
        permit.require(&[Action::UserManage, Action::SystemWork])?;
        sqlx::query(INSERT_USER)
            .bind(user.id.as_str())
            .bind(user.name.as_str())
            .bind(user.display_name.as_str())
            .bind(user.org.as_deref())
            .bind(to_json(&user.roles)?)
            .bind(password_hash)
            .bind(i64::from(user.active))
            .bind(user.created_at.as_str())
            .execute(self.db.pool())
            .await
            .map_err(|e| {
                on_duplicate(
                    e,
                    &format!("用户名 `{}` 已被使用", user.name),
                    &format!("the user name `{}` is taken", user.name),
                )
            })?;
        Ok(())
    }

    pub async fn user_get(&self, id: &str) -> Result<Option<UserSecret>> {
        self.user_where(sqlx::query("SELECT * FROM user_account WHERE id = $1").bind(id)).await
    }

    pub async fn user_by_name(&self, name: &str) -> Result<Option<UserSecret>> {
        self.user_where(sqlx::query("SELECT * FROM user_account WHERE name = $1").bind(name)).await
    }

    async fn user_where(
        &self,
        query: sqlx::query::Query<'_, sqlx::Any, sqlx::any::AnyArguments>,
    ) -> Result<Option<UserSecret>> {
        let row = query.fetch_optional(self.db.pool()).await.map_err(fail)?;
        row.map(|row| {
            Ok(UserSecret {
                user: read_user(&row)?,
                password_hash: text(&row, "password_hash")?,
                one_time_until: maybe(&row, "one_time_until")?,
            })
        })
        .transpose()
    }

    /// People by id, a page after `after`, each with the end of its one-time password.
    pub async fn users_list(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<(User, Option<String>)>> {
        sqlx::query("SELECT * FROM user_account WHERE id > $1 ORDER BY id LIMIT $2")
            .bind(after.unwrap_or_default())
            .bind(page(limit))
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| Ok((read_user(row)?, maybe(row, "one_time_until")?)))
            .collect()
    }

    /// Names shown of people by their ids; the login name stands behind one that another account of the same organisation, or another
    /// citizen, bears as well.
    pub async fn users_shown(&self, ids: &[&str]) -> Result<HashMap<String, String>> {
        self.shown_by("id", ids).await
    }

    /// The same by their login names.
    pub async fn logins_shown(&self, names: &[&str]) -> Result<HashMap<String, String>> {
        self.shown_by("name", names).await
    }

    /// Names shown by what a column (`id` or `name`, each of one account) holds.
    async fn shown_by(
        &self,
        column: &'static str,
        keys: &[&str],
    ) -> Result<HashMap<String, String>> {
        let mut shown = HashMap::with_capacity(keys.len());
        for keys in keys.chunks(TOGETHER) {
            let mut clause = Clause::default();
            clause.and_in(&format!("u.{column}"), keys);
            let sql = format!(
                "SELECT u.id, u.name, u.display_name, CAST(CASE WHEN EXISTS (SELECT 1 FROM user_account o
                   WHERE o.display_name = u.display_name AND o.id <> u.id AND COALESCE(o.org, '') = COALESCE(u.org, ''))
                 THEN 1 ELSE 0 END AS BIGINT) AS shared FROM user_account u{}",
                clause.sql()
            );
            for row in self.db.rows(sql, &clause).await? {
                let (name, display) = (text(&row, "name")?, text(&row, "display_name")?);
                let told = match (display.is_empty(), number(&row, "shared")? != 0) {
                    (true, _) => name,
                    (false, true) if name != display => format!("{display}（{name}）"),
                    (false, _) => display,
                };
                shown.insert(text(&row, column)?, told);
            }
        }
        Ok(shown)
    }

    /// Changes what an administrator may change: name shown, organisation, roles. `other`: roles or organisation are others than before,
    /// with which personal tokens and sessions end: what a session may do never grows while its id stays.
    pub async fn user_change(
        &self,
        permit: &Permit,
        user: &User,
        at: &str,
        other: bool,
    ) -> Result<()> {
        permit.require(&[Action::UserManage])?;
        let mut tx = self.db.begin().await?;
        sqlx::query(
            "UPDATE user_account SET display_name = $1, org = $2, roles = $3, updated_at = $5 WHERE id = $4",
        )
        .bind(user.display_name.as_str())
        .bind(user.org.as_deref())
        .bind(to_json(&user.roles)?)
        .bind(user.id.as_str())
        .bind(at)
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        if other {
            personal_token::end(&mut tx, &user.id).await?;
            sign_out(&mut tx, &user.id).await?;
        }
        tx.commit().await.map_err(fail)
    }

    /// When an account's name, organisation or roles last changed (RFC 3339); when it was opened, if never.
    pub async fn user_changed_at(&self, id: &str) -> Result<Option<String>> {
        sqlx::query("SELECT created_at, updated_at FROM user_account WHERE id = $1")
            .bind(id)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| {
                let at = text(&row, "updated_at")?;
                if at.is_empty() { text(&row, "created_at") } else { Ok(at) }
            })
            .transpose()
    }

    /// Gives a person a one-time password, good `until` (RFC 3339), and ends their sessions and tokens.
    pub async fn user_reset(
        &self,
        permit: &Permit,
        id: &str,
        password_hash: &str,
        until: &str,
    ) -> Result<()> {
        permit.require(&[Action::UserManage])?;
        let mut tx = self.db.begin().await?;
        sqlx::query(
            "UPDATE user_account SET password_hash = $1, one_time_until = $2 WHERE id = $3",
        )
        .bind(password_hash)
        .bind(until)
        .bind(id)
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        personal_token::end(&mut tx, id).await?;
        sign_out(&mut tx, id).await?;
        tx.commit().await.map_err(fail)
    }

    /// Opens or closes an account; when it is closed its sessions and tokens end. Answers whether there is such an account.
    pub async fn user_set_active(&self, permit: &Permit, id: &str, active: bool) -> Result<bool> {
        permit.require(&[Action::UserManage])?;
        let mut tx = self.db.begin().await?;
        let done = sqlx::query("UPDATE user_account SET active = $1 WHERE id = $2")
            .bind(i64::from(active))
            .bind(id)
            .execute(&mut *tx)
            .await
            .map_err(fail)?;
        if !active {
            personal_token::end(&mut tx, id).await?;
            sign_out(&mut tx, id).await?;
        }
        tx.commit().await.map_err(fail)?;
        Ok(done.rows_affected() > 0)
    }

    /// Counts an attempt to sign in by the name's hash, before anything is checked, in one transaction: of attempts
    /// made at once each is counted, and when one locks the name the others find it locked. `lock` answers until when
    /// the name is to be locked after so many failures. Failures older than `forget` (RFC 3339) count no more.
    /// No permit: it happens before anyone is known.
    pub async fn sign_in_attempt(
        &self,
        name: &str,
        at: &str,
        forget: &str,
        lock: impl Fn(i64) -> Option<String>,
    ) -> Result<Attempt> {
        let mut tx = self.db.begin().await?;
        sqlx::query("DELETE FROM sign_in WHERE at < $1")
            .bind(forget)
            .execute(&mut *tx)
            .await
            .map_err(fail)?;
        sqlx::query(
            "INSERT INTO sign_in (name, failures, locked_until, at) VALUES ($1, 0, NULL, $2)
             ON CONFLICT (name) DO NOTHING",
        )
        .bind(name)
        .bind(at)
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        // The row is locked by the update (PostgreSQL) or the whole transaction is (SQLite).
        let counted = sqlx::query(
            "UPDATE sign_in SET failures = failures + 1, at = $1
             WHERE name = $2 AND (locked_until IS NULL OR locked_until <= $1)",
        )
        .bind(at)
        .bind(name)
        .execute(&mut *tx)
        .await
        .map_err(fail)?
        .rows_affected()
            > 0;
        let row = sqlx::query("SELECT failures, locked_until FROM sign_in WHERE name = $1")
            .bind(name)
            .fetch_one(&mut *tx)
            .await
            .map_err(fail)?;
        let attempt = if counted {
            let failures = number(&row, "failures")?;
            sqlx::query("UPDATE sign_in SET locked_until = $1 WHERE name = $2")
                .bind(lock(failures))
                .bind(name)
                .execute(&mut *tx)
                .await
                .map_err(fail)?;
            Attempt::Counted { failures }
        } else {
            Attempt::Locked { until: maybe(&row, "locked_until")?.unwrap_or_default() }
        };
        tx.commit().await.map_err(fail)?;
        Ok(attempt)
    }

    /// Forgets the failures of a name: after a good sign-in, or when an administrator unlocks it.
    pub async fn sign_in_forget(&self, name: &str) -> Result<()> {
        sqlx::query("DELETE FROM sign_in WHERE name = $1")
            .bind(name)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(())
    }

    /// Until when a name is locked, if it is at `at`.
    pub async fn sign_in_locked(&self, name: &str, at: &str) -> Result<Option<String>> {
        sqlx::query("SELECT locked_until FROM sign_in WHERE name = $1 AND locked_until > $2")
            .bind(name)
            .bind(at)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| text(&row, "locked_until"))
            .transpose()
    }

    /// One's own password (the permit is the session itself: the caller proved the old password).
    pub async fn user_set_password(&self, op: &Op, id: &str, password_hash: &str) -> Result<()> {
        if op.actor.id() != id {
            return Err(model::Error::internal("a password can be changed by its owner only"));
        }
        let mut tx = self.db.begin().await?;
        sqlx::query(
            "UPDATE user_account SET password_hash = $1, one_time_until = NULL WHERE id = $2",
        )
        .bind(password_hash)
        .bind(id)
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        sign_out(&mut tx, id).await?;
        tx.commit().await.map_err(fail)
    }

    /// Takes sessions away whose time is over at `at` (RFC 3339).
    pub async fn sessions_over(&self, at: &str) -> Result<()> {
        let mut tx = self.db.begin().await?;
        let gone = sqlx::query("DELETE FROM session WHERE expires_at < $1 RETURNING token_hash")
            .bind(at)
            .fetch_all(&mut *tx)
            .await
            .map_err(fail)?;
        backchannel::ended(&mut tx, &gone).await?;
        tx.commit().await.map_err(fail)
    }

    pub async fn session_insert(&self, token_hash: &str, row: &SessionRow, at: &str) -> Result<()> {
        self.sessions_over(at).await?;
        sqlx::query(
            "INSERT INTO session (token_hash, user_id, csrf, created_at, expires_at, method) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(token_hash)
        .bind(row.user.as_str())
        .bind(row.csrf.as_str())
        .bind(at)
        .bind(row.expires_at.as_str())
        .bind(row.method.as_str())
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    pub async fn session_get(&self, token_hash: &str) -> Result<Option<SessionRow>> {
        sqlx::query("SELECT user_id, csrf, expires_at, method FROM session WHERE token_hash = $1")
            .bind(token_hash)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| {
                Ok(SessionRow {
                    user: text(&row, "user_id")?,
                    csrf: text(&row, "csrf")?,
                    expires_at: text(&row, "expires_at")?,
                    method: SignInMethod::parse(&text(&row, "method")?)
                        .unwrap_or(SignInMethod::Outside),
                })
            })
            .transpose()
    }

    pub async fn session_delete(&self, token_hash: &str) -> Result<()> {
        let mut tx = self.db.begin().await?;
        let gone = sqlx::query("DELETE FROM session WHERE token_hash = $1 RETURNING token_hash")
            .bind(token_hash)
            .fetch_all(&mut *tx)
            .await
            .map_err(fail)?;
        backchannel::ended(&mut tx, &gone).await?;
        tx.commit().await.map_err(fail)
    }

    /// Takes a nonce for all gateways of this store; `false` when it was seen. Minutes out of every window are forgotten.
    pub async fn nonce_insert(&self, key: &str, nonce: &str, timestamp_ms: i64) -> Result<bool> {
        let minute = timestamp_ms.div_euclid(60_000);
        let new = sqlx::query(
            "INSERT INTO nonce (id, minute) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING",
        )
        .bind(format!("{key} {nonce}"))
        .bind(minute)
        .execute(self.db.pool())
        .await
        .map_err(fail)?
        .rows_affected()
            > 0;
        if new && timestamp_ms % 1000 == 0 {
            sqlx::query("DELETE FROM nonce WHERE minute < $1")
                .bind(minute - 60)
                .execute(self.db.pool())
                .await
                .map_err(fail)?;
        }
        Ok(new)
    }

    /// `sealed` is the secret under the platform's secrets key.
    pub async fn application_insert(
        &self,
        permit: &Permit,
        application: &Application,
        sealed: &str,
    ) -> Result<()> {
        permit.require(&[Action::ApplicationManage])?;
        sqlx::query(
            "INSERT INTO application (id, name, description, org, access_key, secret_sealed, active, owner, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(application.id.as_str())
        .bind(application.name.as_str())
        .bind(application.description.as_str())
        .bind(application.org.as_str())
        .bind(application.key.as_str())
        .bind(sealed)
        .bind(i64::from(application.active))
        .bind(application.owner.as_str())
        .bind(application.created_at.as_str())
        .execute(self.db.pool())
        .await
        .map_err(|e| on_duplicate(e, "应用密钥重复", "the access key exists already"))?;
        Ok(())
    }

    pub async fn application_get(&self, id: &str) -> Result<Option<Application>> {
        sqlx::query("SELECT * FROM application WHERE id = $1")
            .bind(id)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| read_application(&row))
            .transpose()
    }

    /// The application of an access key with its sealed secret.
    pub async fn application_by_key(&self, key: &str) -> Result<Option<(Application, String)>> {
        sqlx::query("SELECT * FROM application WHERE access_key = $1")
            .bind(key)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| Ok((read_application(&row)?, text(&row, "secret_sealed")?)))
            .transpose()
    }

    /// Applications by id, as far as the scope reaches.
    pub async fn applications_of(&self, scope: ApplicationScope<'_>) -> Result<Vec<Application>> {
        let query = match scope {
            ApplicationScope::All => sqlx::query("SELECT * FROM application ORDER BY id"),
            ApplicationScope::Of { org, person } => sqlx::query(
                "SELECT * FROM application WHERE (org <> '' AND org = $1) OR (org = '' AND owner = $2) ORDER BY id",
            )
            .bind(org.unwrap_or_default())
            .bind(person),
        };
        query.fetch_all(self.db.pool()).await.map_err(fail)?.iter().map(read_application).collect()
    }

    pub async fn application_set_secret(
        &self,
        permit: &Permit,
        id: &str,
        sealed: &str,
    ) -> Result<()> {
        permit.require(&[Action::ApplicationManage])?;
        sqlx::query("UPDATE application SET secret_sealed = $1 WHERE id = $2")
            .bind(sealed)
            .bind(id)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(())
    }

    pub async fn application_set_active(
        &self,
        permit: &Permit,
        id: &str,
        active: bool,
    ) -> Result<()> {
        permit.require(&[Action::ApplicationManage, Action::SystemWork])?;
        sqlx::query("UPDATE application SET active = $1 WHERE id = $2")
            .bind(i64::from(active))
            .bind(id)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(())
    }
}

/// Ends all sessions of an account; clients that know of one are told.
pub(crate) async fn sign_out(tx: &mut Transaction<'static, Any>, account: &str) -> Result<()> {
    let gone = sqlx::query("DELETE FROM session WHERE user_id = $1 RETURNING token_hash")
        .bind(account)
        .fetch_all(&mut **tx)
        .await
        .map_err(fail)?;
    backchannel::ended(tx, &gone).await
}

fn read_user(row: &AnyRow) -> Result<User> {
    Ok(User {
        id: text(row, "id")?,
        name: text(row, "name")?,
        display_name: text(row, "display_name")?,
        org: maybe(row, "org")?,
        roles: json(row, "roles")?,
        active: number(row, "active")? != 0,
        created_at: text(row, "created_at")?,
    })
}

fn read_application(row: &AnyRow) -> Result<Application> {
    Ok(Application {
        id: text(row, "id")?,
        name: text(row, "name")?,
        description: text(row, "description")?,
        org: text(row, "org")?,
        key: text(row, "access_key")?,
        active: row.try_get::<i64, _>("active").map_err(fail)? != 0,
        owner: text(row, "owner")?,
        created_at: text(row, "created_at")?,
    })
}
