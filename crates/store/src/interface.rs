//! Interfaces in the control store. Every change takes the next number of one clock inside its transaction, so that numbers come to
//! be seen in their order: a process that follows reads what is new and nothing else.

use model::interface::Interface;
use model::{Code, Error, Result};
use policy::{Action, Permit};
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Transaction};

use crate::Store;
use crate::clause::Clause;
use crate::db::{fail, json, number, on_duplicate, page, text, to_json};

const KEEPERS: &[Action] = &[Action::InterfaceKeep, Action::SystemWork];

/// Which interfaces a list wants, by id.
#[derive(Clone, Debug, Default)]
pub struct InterfaceFilter {
    pub org: Option<String>,
    pub entry: Option<String>,
    pub kind: Option<String>,
    pub state: Option<String>,
    /// Only those that answer callers.
    pub live: bool,
    /// Part of title or code.
    pub words: Option<String>,
    pub after: Option<String>,
    pub limit: u32,
}

/// Where the clock stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfaceClock {
    pub changed: i64,
    /// `on`, `off`, or empty: as configured.
    pub convention: String,
}

impl Store {
    /// Enters a version.
    pub async fn interface_insert(&self, permit: &Permit, interface: &Interface) -> Result<()> {
        permit.require(KEEPERS)?;
        let mut tx = self.db.begin().await?;
        let changed = tick(&mut tx).await?;
        sqlx::query(
            "INSERT INTO interface (id, code, version, org, entry, kind, state, title, changed, updated_at, body)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(interface.id.as_str())
        .bind(interface.code.as_str())
        .bind(i64::from(interface.version))
        .bind(interface.org.as_str())
        .bind(interface.entry.as_str())
        .bind(interface.draft.kind.as_str())
        .bind(interface.state.as_str())
        .bind(interface.draft.title.as_str())
        .bind(changed)
        .bind(interface.updated_at.as_str())
        .bind(to_json(interface)?)
        .execute(&mut *tx)
        .await
        .map_err(|e| on_duplicate(e, "该接口的这个版本已存在", "this version exists already"))?;
        tx.commit().await.map_err(fail)
    }

    /// Writes versions that changed together. Refused when one of them is not as it was (`before`: its `updated_at`).
    pub async fn interface_update(
        &self,
        permit: &Permit,
        changes: &[(Interface, String)],
    ) -> Result<()> {
        permit.require(KEEPERS)?;
        let mut tx = self.db.begin().await?;
        for (interface, before) in changes {
            let changed = tick(&mut tx).await?;
            let done = sqlx::query(
                "UPDATE interface SET entry = $1, kind = $2, state = $3, title = $4, changed = $5, updated_at = $6, body = $7
                 WHERE id = $8 AND updated_at = $9",
            )
            .bind(interface.entry.as_str())
            .bind(interface.draft.kind.as_str())
            .bind(interface.state.as_str())
            .bind(interface.draft.title.as_str())
            .bind(changed)
            .bind(interface.updated_at.as_str())
            .bind(to_json(interface)?)
            .bind(interface.id.as_str())
            .bind(before.as_str())
            .execute(&mut *tx)
            .await
            .map_err(fail)?;
            if done.rows_affected() != 1 {
                return Err(Error::new(
                    Code::Stale,
                    "该接口已被他人修改，请重新打开后再操作",
                    "somebody else changed this interface meanwhile: open it anew",
                ));
            }
        }
        tx.commit().await.map_err(fail)
    }

    /// One version by its id.
    pub async fn interface_get(&self, id: &str) -> Result<Option<Interface>> {
        self.db.body("interface", id).await
    }

    /// All versions of a code, newest first.
    pub async fn interface_versions(&self, code: &str) -> Result<Vec<Interface>> {
        sqlx::query("SELECT body FROM interface WHERE code = $1 ORDER BY version DESC")
            .bind(code)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| json(row, "body"))
            .collect()
    }

    /// Versions by id. *constant page*.
    pub async fn interface_list(&self, filter: &InterfaceFilter) -> Result<Vec<Interface>> {
        let mut clause = Clause::default();
        for (condition, value) in [
            ("org =", &filter.org),
            ("entry =", &filter.entry),
            ("kind =", &filter.kind),
            ("state =", &filter.state),
            ("id >", &filter.after),
        ] {
            if let Some(value) = value {
                clause.and_text(condition, value);
            }
        }
        if filter.live {
            clause.and("state IN ('published', 'deprecated')");
        }
        if let Some(words) = &filter.words {
            clause.and_like(&["title", "code"], words);
        }
        let sql = format!(
            "SELECT body FROM interface{} ORDER BY id LIMIT {}",
            clause.sql(),
            page(filter.limit)
        );
        self.db.bodies(sql, &clause).await
    }

    /// Versions changed after a number, in the order of their changes.
    pub async fn interface_changes(&self, after: i64, limit: u32) -> Result<Vec<(i64, Interface)>> {
        let sql = format!(
            "SELECT changed, body FROM interface WHERE changed > $1 ORDER BY changed LIMIT {}",
            page(limit)
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(after)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row: &AnyRow| Ok((number(row, "changed")?, json(row, "body")?)))
            .collect()
    }

    /// The last number of a change, and the switch of the older convention.
    pub async fn interface_clock(&self) -> Result<InterfaceClock> {
        let row = sqlx::query("SELECT changed, convention FROM interface_clock WHERE id = 1")
            .fetch_one(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(InterfaceClock {
            changed: number(&row, "changed")?,
            convention: text(&row, "convention")?,
        })
    }

    /// Switches the older convention: `on`, `off`, or empty for as configured.
    pub async fn convention_set(&self, permit: &Permit, convention: &str) -> Result<()> {
        permit.require(&[Action::ConventionSet, Action::SystemWork])?;
        sqlx::query("UPDATE interface_clock SET convention = $1 WHERE id = 1")
            .bind(convention)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(())
    }
}

/// The next number. The clock's row is locked until the transaction ends.
async fn tick(tx: &mut Transaction<'static, Any>) -> Result<i64> {
    sqlx::query("UPDATE interface_clock SET changed = changed + 1 WHERE id = 1")
        .execute(&mut **tx)
        .await
        .map_err(fail)?;
    let row = sqlx::query("SELECT changed FROM interface_clock WHERE id = 1")
        .fetch_one(&mut **tx)
        .await
        .map_err(fail)?;
    number(&row, "changed")
}
