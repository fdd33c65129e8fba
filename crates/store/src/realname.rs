//! Accounts that people opened themselves, and real-name filings, in the control store.

use model::account::User;
use model::identity::{Authorisation, AuthorisationState};
use model::org::Org;
use model::realname::{RealNameFiling, RealNameState, SignUp, SignUpKind};
use model::{Code, Error, Result};
use policy::{Action, Permit};
use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};

use crate::account::{INSERT_USER, sign_out};
use crate::authorisation::{PUT_SUBJECT, SubjectRow, known_elsewhere};
use crate::clause::Clause;
use crate::db::{changed, fail, json, number, on_duplicate, page, signed, text, to_json};
use crate::entry::touch;
use crate::org::INSERT_ORG;
use crate::{Store, personal_token};

/// How many there may be since a time (RFC 3339).
#[derive(Clone, Copy, Debug)]
pub struct Limit<'a> {
    pub since: &'a str,
    pub most: u32,
}

impl Limit<'_> {
    fn reached(&self, row: &AnyRow) -> Result<bool> {
        Ok(number(row, "n")? >= i64::from(self.most))
    }
}

/// Which filings a list wants, newest first.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealNameFilter<'a> {
    pub state: Option<RealNameState>,
    /// Keyset position: id of the last one seen.
    pub before: Option<&'a str>,
    pub limit: u32,
}

fn read_sign_up(row: &AnyRow) -> Result<SignUp> {
    let kind = text(row, "kind")?;
    Ok(SignUp {
        account: text(row, "account")?,
        kind: SignUpKind::ALL
            .iter()
            .copied()
            .find(|k| k.as_str() == kind)
            .ok_or_else(|| Error::internal(format!("sign-up of kind `{kind}`")))?,
        terms: text(row, "terms")?,
        company: text(row, "company")?,
        uscc: text(row, "uscc")?,
        at: text(row, "at")?,
    })
}

impl Store {
    /// Opens an account together with what is kept of its sign-up; `false` when as many came from its `source` (a keyed hash of the
    /// address) as are allowed. `Duplicate` when the login name is taken.
    pub async fn sign_up_insert(
        &self,
        permit: &Permit,
        (user, password_hash): (&User, &str),
        sign_up: &SignUp,
        source: &str,
        limit: Limit<'_>,
    ) -> Result<bool> {
        permit.require(&[Action::SystemWork])?;
        let mut tx = self.db.begin().await?;
        let row = sqlx::query("SELECT COUNT(*) AS n FROM sign_up WHERE source = $1 AND at > $2")
            .bind(source)
            .bind(limit.since)
            .fetch_one(&mut *tx)
            .await
            .map_err(fail)?;
        if limit.reached(&row)? {
            return Ok(false);
        }
        sqlx::query(INSERT_USER)
            .bind(user.id.as_str())
            .bind(user.name.as_str())
            .bind(user.display_name.as_str())
            .bind(user.org.as_deref())
            .bind(to_json(&user.roles)?)
            .bind(password_hash)
            .bind(i64::from(user.active))
            .bind(user.created_at.as_str())
            .execute(&mut *tx)
            .await
            .map_err(|e| on_duplicate(e, "该用户名不可用", "this user name is not to be had"))?;
        sqlx::query(
            "INSERT INTO sign_up (account, kind, terms, company, uscc, source, at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(sign_up.account.as_str())
        .bind(sign_up.kind.as_str())
        .bind(sign_up.terms.as_str())
        .bind(sign_up.company.as_str())
        .bind(sign_up.uscc.as_str())
        .bind(source)
        .bind(sign_up.at.as_str())
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        tx.commit().await.map_err(fail)?;
        Ok(true)
    }

    /// What is kept of an account's sign-up; `None`: somebody else opened it.
    pub async fn sign_up_get(&self, account: &str) -> Result<Option<SignUp>> {
        sqlx::query("SELECT * FROM sign_up WHERE account = $1")
            .bind(account)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .as_ref()
            .map(read_sign_up)
            .transpose()
    }

    /// Keeps a filing with its sealed details; `false` when its account has filed as often as is allowed. `Duplicate` while another of
    /// the account waits.
    pub async fn real_name_insert(
        &self,
        permit: &Permit,
        filing: &RealNameFiling,
        sealed: &str,
        limit: Limit<'_>,
    ) -> Result<bool> {
        permit.require(&[Action::RealNameFile])?;
        let mut tx = self.db.begin().await?;
        let row = sqlx::query("SELECT COUNT(*) AS n FROM real_name WHERE account = $1 AND at > $2")
            .bind(filing.account.as_str())
            .bind(limit.since)
            .fetch_one(&mut *tx)
            .await
            .map_err(fail)?;
        if limit.reached(&row)? {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO real_name (id, account, state, edit, at, sealed, body) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(filing.id.as_str())
        .bind(filing.account.as_str())
        .bind(filing.state.as_str())
        .bind(signed(filing.edit))
        .bind(filing.filed_at.as_str())
        .bind(sealed)
        .bind(to_json(filing)?)
        .execute(&mut *tx)
        .await
        .map_err(|e| {
            on_duplicate(
                e,
                "已有一份实名认证申请在审核中，请等待结果或先撤回",
                "a real-name filing of yours is under review: wait for the answer, or withdraw it first",
            )
        })?;
        tx.commit().await.map_err(fail)?;
        Ok(true)
    }

    /// Writes a changed filing, unless somebody changed it since it was read. What was refused or withdrawn keeps no details.
    pub async fn real_name_update(
        &self,
        permit: &Permit,
        filing: &RealNameFiling,
        seen: u64,
    ) -> Result<()> {
        permit.require(&[Action::RealNameFile, Action::RealNameReview])?;
        let mut tx = self.db.begin().await?;
        write(&mut tx, filing, seen).await?;
        if matches!(filing.state, RealNameState::Refused | RealNameState::Withdrawn) {
            sqlx::query("UPDATE real_name SET sealed = '' WHERE id = $1")
                .bind(filing.id.as_str())
                .execute(&mut *tx)
                .await
                .map_err(fail)?;
        }
        tx.commit().await.map_err(fail)
    }

    /// Keeps that somebody was verified, all of it or nothing: the filing, the account's identifier and, of a company, the organisation
    /// (`org`: its id; `new`: it is entered first) that the account belongs to from now on. Sessions of an account that gets an
    /// organisation end. `Duplicate` when the identifier is confirmed for another account.
    pub async fn real_name_verify(
        &self,
        permit: &Permit,
        (filing, seen): (&RealNameFiling, u64),
        subject: &SubjectRow,
        org: Option<&str>,
        new: Option<&Org>,
    ) -> Result<()> {
        permit.require(&[Action::RealNameReview])?;
        let mut tx = self.db.begin().await?;
        write(&mut tx, filing, seen).await?;
        sqlx::query(PUT_SUBJECT)
            .bind(subject.account.as_str())
            .bind(subject.kind.as_str())
            .bind(subject.mark.as_str())
            .bind(subject.sealed.as_str())
            .bind(subject.confirmed_by.as_str())
            .bind(subject.at.as_str())
            .execute(&mut *tx)
            .await
            .map_err(known_elsewhere)?;
        if let Some(org) = new {
            enter(&mut tx, org).await?;
        }
        if let Some(org) = org {
            belong(&mut tx, &filing.account, org, &subject.at).await?;
        }
        tx.commit().await.map_err(fail)
    }

    /// Takes back that somebody was verified, all of it or nothing: the filing with its details, the account's identifier if it is the one
    /// that was filed, of a company the organisation (`org`: its id) if the account belongs to it still, and what was authorised in the
    /// subject's name since; answers that. It is a change of the ledger: every grant that is kept anywhere is looked at anew.
    pub async fn real_name_revoke(
        &self,
        permit: &Permit,
        (filing, seen): (&RealNameFiling, u64),
        org: Option<&str>,
    ) -> Result<Vec<Authorisation>> {
        permit.require(&[Action::RealNameReview])?;
        let mut tx = self.db.begin().await?;
        write(&mut tx, filing, seen).await?;
        sqlx::query("UPDATE real_name SET sealed = '' WHERE id = $1")
            .bind(filing.id.as_str())
            .execute(&mut *tx)
            .await
            .map_err(fail)?;
        let gone = sqlx::query("DELETE FROM subject_identifier WHERE account = $1 AND mark = $2")
            .bind(filing.account.as_str())
            .bind(filing.mark.as_str())
            .execute(&mut *tx)
            .await
            .map_err(fail)?;
        if let Some(org) = org {
            leave(&mut tx, &filing.account, org, &filing.revoked_at).await?;
        }
        // Where the administrator has confirmed another number since, what stands is of that one.
        let ended = match gone.rows_affected() {
            0 => Vec::new(),
            _ => unauthorise(&mut tx, filing).await?,
        };
        touch(&mut tx).await?;
        tx.commit().await.map_err(fail)?;
        Ok(ended)
    }

    /// Whether an account's verification was revoked, and nobody has confirmed who it is since.
    pub async fn real_name_revoked(&self, account: &str) -> Result<bool> {
        let row = sqlx::query(
            "SELECT id FROM real_name WHERE account = $1 AND state = 'revoked'
             AND NOT EXISTS (SELECT 1 FROM subject_identifier s WHERE s.account = $1) LIMIT 1",
        )
        .bind(account)
        .fetch_optional(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(row.is_some())
    }

    pub async fn real_name_get(&self, id: &str) -> Result<Option<RealNameFiling>> {
        self.db.body("real_name", id).await
    }

    /// The sealed details of a filing; empty when they are not kept any more.
    pub async fn real_name_sealed(&self, id: &str) -> Result<String> {
        let row = sqlx::query("SELECT sealed FROM real_name WHERE id = $1")
            .bind(id)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?;
        row.map_or_else(|| Ok(String::new()), |row| text(&row, "sealed"))
    }

    /// The newest filing of an account.
    pub async fn real_name_newest(&self, account: &str) -> Result<Option<RealNameFiling>> {
        let mut clause = Clause::default();
        clause.and_text("account =", account);
        let sql = format!("SELECT body FROM real_name{} ORDER BY id DESC LIMIT 1", clause.sql());
        self.db.first(sql, &clause).await
    }

    /// A page of filings, newest first.
    pub async fn real_name_list(&self, filter: &RealNameFilter<'_>) -> Result<Vec<RealNameFiling>> {
        let mut clause = Clause::default();
        for (condition, value) in
            [("state =", filter.state.map(RealNameState::as_str)), ("id <", filter.before)]
        {
            if let Some(value) = value {
                clause.and_text(condition, value);
            }
        }
        let sql = format!(
            "SELECT body FROM real_name{} ORDER BY id DESC LIMIT {}",
            clause.sql(),
            page(filter.limit)
        );
        self.db.bodies(sql, &clause).await
    }
}

async fn write(
    tx: &mut Transaction<'static, Any>,
    filing: &RealNameFiling,
    seen: u64,
) -> Result<()> {
    let done = sqlx::query(
        "UPDATE real_name SET state = $1, edit = $2, body = $3 WHERE id = $4 AND edit = $5",
    )
    .bind(filing.state.as_str())
    .bind(signed(filing.edit))
    .bind(to_json(filing)?)
    .bind(filing.id.as_str())
    .bind(signed(seen))
    .execute(&mut **tx)
    .await
    .map_err(fail)?;
    changed(done.rows_affected())
}

async fn enter(tx: &mut Transaction<'static, Any>, org: &Org) -> Result<()> {
    sqlx::query(INSERT_ORG)
        .bind(org.id.as_str())
        .bind(org.uscc.as_str())
        .bind(org.name_cn.as_str())
        .bind(org.name_en.as_str())
        .bind(to_json(&org.kind)?)
        .bind(org.region.as_str())
        .bind(org.parent.as_deref())
        .bind(i64::from(org.authority))
        .execute(&mut **tx)
        .await
        .map_err(|e| {
            on_duplicate(
                e,
                "该企业刚刚由他人登记为机构，请刷新后重试",
                "somebody has just entered this enterprise as an organisation: reload and try again",
            )
        })?;
    Ok(())
}

/// An account without an organisation belongs to one from now on; what it could do does not grow within its sessions.
async fn belong(
    tx: &mut Transaction<'static, Any>,
    account: &str,
    org: &str,
    at: &str,
) -> Result<()> {
    let done = sqlx::query(
        "UPDATE user_account SET org = $1, updated_at = $2 WHERE id = $3 AND org IS NULL AND active = 1",
    )
    .bind(org)
    .bind(at)
    .bind(account)
    .execute(&mut **tx)
    .await
    .map_err(fail)?;
    if done.rows_affected() != 1 {
        return Err(Error::new(
            Code::WrongState,
            "该账号已停用，或已属于某个机构，不能通过",
            "the account is closed, or belongs to an organisation already",
        ));
    }
    personal_token::end(tx, account).await?;
    sign_out(tx, account).await
}

/// An account belongs to an organisation no more, if it belongs to this one still.
async fn leave(
    tx: &mut Transaction<'static, Any>,
    account: &str,
    org: &str,
    at: &str,
) -> Result<()> {
    let done = sqlx::query(
        "UPDATE user_account SET org = NULL, updated_at = $1 WHERE id = $2 AND org = $3",
    )
    .bind(at)
    .bind(account)
    .bind(org)
    .execute(&mut **tx)
    .await
    .map_err(fail)?;
    if done.rows_affected() == 0 {
        return Ok(());
    }
    personal_token::end(tx, account).await?;
    sign_out(tx, account).await
}

/// Ends what was authorised in the name of a subject since it was verified by a filing; answers it as it is now.
async fn unauthorise(
    tx: &mut Transaction<'static, Any>,
    filing: &RealNameFiling,
) -> Result<Vec<Authorisation>> {
    let rows = sqlx::query(
        "SELECT body FROM subject_authorisation WHERE subject = $1 AND state = 'standing' ORDER BY id",
    )
    .bind(filing.mark.as_str())
    .fetch_all(&mut **tx)
    .await
    .map_err(fail)?;
    let mut ended = Vec::new();
    for row in &rows {
        let standing: Authorisation = json(row, "body")?;
        if standing.given_at < filing.decided_at {
            continue;
        }
        let over = Authorisation {
            state: AuthorisationState::Revoked,
            ended_at: filing.revoked_at.clone(),
            ..standing
        };
        sqlx::query(
            "UPDATE subject_authorisation SET state = $1, body = $2 WHERE id = $3 AND state = 'standing'",
        )
        .bind(over.state.as_str())
        .bind(to_json(&over)?)
        .bind(over.id.as_str())
        .execute(&mut **tx)
        .await
        .map_err(fail)?;
        ended.push(over);
    }
    Ok(ended)
}
