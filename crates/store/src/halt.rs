//! Emergency stops in the control store. Whatever changes them moves one number in the same transaction: a process that remembers
//! the number asks for one row and nothing else until it has moved.

use model::halt::{Halt, HaltKind};
use model::{Error, Result};
use policy::{Action, Permit};
use sqlx::{Any, Transaction};

use crate::Store;
use crate::clause::Clause;
use crate::db::{fail, number, on_duplicate, page, to_json};

impl Store {
    /// Begins a stop; refused while the thing is under one already.
    pub async fn halt_begin(&self, permit: &Permit, halt: &Halt) -> Result<()> {
        permit.require(&[Action::HaltSet])?;
        let mut tx = self.db.begin().await?;
        tick(&mut tx).await?;
        sqlx::query(
            "INSERT INTO halt (id, kind, holder, in_force, body) VALUES ($1, $2, $3, 1, $4)",
        )
        .bind(halt.id.as_str())
        .bind(halt.kind.as_str())
        .bind(halt.holder.as_str())
        .bind(to_json(halt)?)
        .execute(&mut *tx)
        .await
        .map_err(|e| on_duplicate(e, "已处于紧急停用", "it is under an emergency stop already"))?;
        tx.commit().await.map_err(fail)
    }

    /// Lifts a stop (`halt` as it is afterwards); `false` when somebody else has lifted it.
    pub async fn halt_lift(&self, permit: &Permit, halt: &Halt) -> Result<bool> {
        permit.require(&[Action::HaltSet])?;
        let mut tx = self.db.begin().await?;
        tick(&mut tx).await?;
        let done =
            sqlx::query("UPDATE halt SET in_force = 0, body = $1 WHERE id = $2 AND in_force = 1")
                .bind(to_json(halt)?)
                .bind(halt.id.as_str())
                .execute(&mut *tx)
                .await
                .map_err(fail)?;
        tx.commit().await.map_err(fail)?;
        Ok(done.rows_affected() == 1)
    }

    /// How often stops have changed: the one thing a process asks for again and again.
    pub async fn halt_clock(&self) -> Result<i64> {
        let row = sqlx::query("SELECT changed FROM halt_clock WHERE id = 1")
            .fetch_one(self.db.pool())
            .await
            .map_err(fail)?;
        number(&row, "changed")
    }

    /// Stops in force.
    pub async fn halts_in_force(&self) -> Result<Vec<Halt>> {
        let sql = "SELECT body FROM halt WHERE in_force = 1 ORDER BY id".to_owned();
        self.db.bodies(sql, &Clause::default()).await
    }

    /// One stop.
    pub async fn halt_get(&self, id: &str) -> Result<Option<Halt>> {
        self.db.body("halt", id).await
    }

    /// Stops newest first, of one thing if named. *constant page*.
    pub async fn halts(
        &self,
        of: Option<(HaltKind, &str)>,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Halt>> {
        let mut clause = Clause::default();
        if let Some((kind, holder)) = of {
            clause.and_text("kind =", kind.as_str());
            clause.and_text("holder =", holder);
        }
        if let Some(before) = before.filter(|id| !id.is_empty()) {
            clause.and_text("id <", before);
        }
        let sql =
            format!("SELECT body FROM halt{} ORDER BY id DESC LIMIT {}", clause.sql(), page(limit));
        self.db.bodies(sql, &clause).await
    }
}

async fn tick(tx: &mut Transaction<'static, Any>) -> Result<()> {
    let done = sqlx::query("UPDATE halt_clock SET changed = changed + 1 WHERE id = 1")
        .execute(&mut **tx)
        .await
        .map_err(fail)?;
    match done.rows_affected() {
        1 => Ok(()),
        n => Err(Error::internal(format!("halt_clock has {n} rows"))),
    }
}
