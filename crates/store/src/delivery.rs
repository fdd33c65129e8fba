//! Deliveries in the control store, with their turns and signed receipts. Where a database stands is the database's to say. A
//! turn's key is a delivery's once, of a delivery one turn is open at a time, and a delivery is one process's by a lease.

use model::delivery::{Delivery, DeliveryCheck, DeliveryFigures, DeliveryTurn};
use model::{Error, Result};
use policy::{Action, Permit};
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Transaction};

use crate::Store;
use crate::db::{fail, json, on_duplicate, page, text, to_json};
use crate::lease::{Lease, Leased};

/// Deliveries are one process's at a time.
const LEASED: Leased = ("delivery", "");
const KEEPERS: &[Action] = &[Action::DeliveryKeep];
const WORKERS: &[Action] = &[Action::DeliveryKeep, Action::SystemWork];

/// A delivery as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRecord {
    pub delivery: Delivery,
    pub figures: DeliveryFigures,
    /// Its newest comparison.
    pub checked: Option<DeliveryCheck>,
    /// Its next turn, RFC 3339; empty: none.
    pub due: String,
    pub lease: Lease,
}

/// Which deliveries.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeliveryScope<'a> {
    /// Received or provided by this organisation.
    pub org: Option<&'a str>,
    /// Of this share application.
    pub request: Option<&'a str>,
}

const DELIVERY: &str = "SELECT body, figures, checked, due_at, owner, lease_until FROM delivery";

impl Store {
    /// Enters a delivery. `Duplicate` when one goes into the same place already.
    pub async fn delivery_insert(&self, permit: &Permit, delivery: &Delivery) -> Result<()> {
        permit.require(KEEPERS)?;
        let (source, place) = target(delivery);
        sqlx::query(
            "INSERT INTO delivery (id, org, provider, request, source, place, state, body, figures) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(delivery.id.as_str())
        .bind(delivery.org.as_str())
        .bind(delivery.provider.as_str())
        .bind(delivery.request.as_str())
        .bind(source)
        .bind(place)
        .bind(delivery.state.as_str())
        .bind(to_json(delivery)?)
        .bind(to_json(&DeliveryFigures::default())?)
        .execute(self.db.pool())
        .await
        .map_err(|e| {
            on_duplicate(
                e,
                &format!("目标 `{}` 已有一个推送任务写入，请换一个名称", delivery.table),
                &format!("a delivery into `{}` exists already, name another", delivery.table),
            )
        })?;
        Ok(())
    }

    /// Writes what was decided of a delivery, and its next turn.
    pub async fn delivery_update(
        &self,
        permit: &Permit,
        delivery: &Delivery,
        due: &str,
    ) -> Result<()> {
        permit.require(WORKERS)?;
        let done =
            sqlx::query("UPDATE delivery SET state = $1, body = $2, due_at = $3 WHERE id = $4")
                .bind(delivery.state.as_str())
                .bind(to_json(delivery)?)
                .bind(due)
                .bind(delivery.id.as_str())
                .execute(self.db.pool())
                .await
                .map_err(fail)?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(missing(&delivery.id)) }
    }

    /// Writes what a comparison found, whoever delivers meanwhile.
    pub async fn delivery_checked(
        &self,
        permit: &Permit,
        id: &str,
        check: &DeliveryCheck,
    ) -> Result<()> {
        permit.require(WORKERS)?;
        sqlx::query("UPDATE delivery SET checked = $1 WHERE id = $2")
            .bind(to_json(check)?)
            .bind(id)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(())
    }

    /// Takes a delivery for `lease`, if its lease is still the one seen: of several processes one succeeds.
    pub async fn delivery_claim(
        &self,
        permit: &Permit,
        id: &str,
        seen: &Lease,
        lease: &Lease,
    ) -> Result<bool> {
        permit.require(WORKERS)?;
        self.lease_take(LEASED, id, seen, lease).await
    }

    /// Renews a lease (or ends it, with a time that is over); `false` when the delivery is not the owner's any more.
    pub async fn delivery_beat(&self, permit: &Permit, id: &str, lease: &Lease) -> Result<bool> {
        permit.require(WORKERS)?;
        self.lease_beat(LEASED, id, lease).await
    }

    /// Takes a delivery away; its turns and receipts stay, and the one that was open is over.
    pub async fn delivery_delete(&self, permit: &Permit, id: &str) -> Result<()> {
        permit.require(KEEPERS)?;
        let mut tx = self.db.begin().await?;
        for sql in [
            "UPDATE delivery_turn SET open = 0 WHERE delivery = $1",
            "DELETE FROM delivery WHERE id = $1",
        ] {
            sqlx::query(sql).bind(id).execute(&mut *tx).await.map_err(fail)?;
        }
        tx.commit().await.map_err(fail)
    }

    /// One delivery.
    pub async fn delivery_get(&self, id: &str) -> Result<Option<DeliveryRecord>> {
        sqlx::query(AssertSqlSafe(format!("{DELIVERY} WHERE id = $1")))
            .bind(id)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .as_ref()
            .map(record_of)
            .transpose()
    }

    /// Deliveries after `after` by id.
    pub async fn delivery_list(
        &self,
        scope: DeliveryScope<'_>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<DeliveryRecord>> {
        let mut clause = crate::clause::Clause::default();
        if let Some(org) = scope.org {
            clause.and_text("(org =", org);
            clause.or_text("provider =", org);
            clause.close();
        }
        if let Some(request) = scope.request {
            clause.and_text("request =", request);
        }
        if let Some(after) = after {
            clause.and_text("id >", after);
        }
        let sql = format!("{DELIVERY}{} ORDER BY id LIMIT {}", clause.sql(), page(limit));
        self.db.rows(sql, &clause).await?.iter().map(record_of).collect()
    }

    /// How many deliveries go into a stored database.
    pub async fn deliveries_of_source(&self, source: &str) -> Result<u64> {
        let n: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM delivery WHERE source = $1")
            .bind(source)
            .fetch_one(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(u64::try_from(n).unwrap_or(0))
    }

    /// Deliveries whose turn has come.
    pub async fn deliveries_due(&self, now: &str, limit: u32) -> Result<Vec<DeliveryRecord>> {
        let sql = format!(
            "{DELIVERY} WHERE due_at <> '' AND due_at <= $1 ORDER BY due_at LIMIT {}",
            page(limit)
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(now).fetch_all(self.db.pool()).await;
        rows.map_err(fail)?.iter().map(record_of).collect()
    }

    /// Deliveries with an open turn, after `after` by id.
    pub async fn deliveries_open(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<DeliveryRecord>> {
        let sql = format!(
            "{DELIVERY} WHERE id > $1 AND id IN (SELECT delivery FROM delivery_turn WHERE open = 1) ORDER BY id LIMIT {}",
            page(limit)
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(after.unwrap_or_default())
            .fetch_all(self.db.pool())
            .await;
        rows.map_err(fail)?.iter().map(record_of).collect()
    }

    /// Begins a scheduled turn and notes the one after it, if the delivery still waits for `due`: of several processes one
    /// succeeds. Where a turn is open already, that one brings what this one would.
    pub async fn delivery_schedule(
        &self,
        permit: &Permit,
        turn: &DeliveryTurn,
        due: &str,
        next: &str,
    ) -> Result<bool> {
        permit.require(WORKERS)?;
        let mut tx = self.db.begin().await?;
        let ours = sqlx::query("UPDATE delivery SET due_at = $1 WHERE id = $2 AND due_at = $3")
            .bind(next)
            .bind(turn.delivery.as_str())
            .bind(due)
            .execute(&mut *tx)
            .await
            .map_err(fail)?
            .rows_affected()
            == 1;
        let begun = ours && insert(&mut tx, turn).await?;
        tx.commit().await.map_err(fail)?;
        Ok(begun)
    }

    /// Enters a turn; `false` when its key is there already, or another turn is open.
    pub async fn delivery_turn_insert(&self, permit: &Permit, turn: &DeliveryTurn) -> Result<bool> {
        permit.require(WORKERS)?;
        let mut tx = self.db.begin().await?;
        let new = insert(&mut tx, turn).await?;
        tx.commit().await.map_err(fail)?;
        Ok(new)
    }

    /// The open turn of a delivery.
    pub async fn delivery_turn_open(&self, delivery: &str) -> Result<Option<DeliveryTurn>> {
        sqlx::query("SELECT body FROM delivery_turn WHERE delivery = $1 AND open = 1")
            .bind(delivery)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| json(&row, "body"))
            .transpose()
    }

    /// A turn with its signed receipt; the receipt is empty while there is none.
    pub async fn delivery_turn_get(&self, id: &str) -> Result<Option<(DeliveryTurn, String)>> {
        sqlx::query("SELECT body, statement FROM delivery_turn WHERE id = $1")
            .bind(id)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| Ok((json(&row, "body")?, text(&row, "statement")?)))
            .transpose()
    }

    /// Turns of a delivery, newest first, those before `before` by id.
    pub async fn delivery_turns(
        &self,
        delivery: &str,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<DeliveryTurn>> {
        let mut clause = crate::clause::Clause::default();
        clause.and_text("delivery =", delivery);
        if let Some(before) = before {
            clause.and_text("id <", before);
        }
        let sql = format!(
            "SELECT body FROM delivery_turn{} ORDER BY id DESC LIMIT {}",
            clause.sql(),
            page(limit)
        );
        self.db.bodies(sql, &clause).await
    }

    /// Writes how a turn stands, with its signed receipt once there is one, what was found of the delivery, and what became of
    /// it. Refused when the delivery is another process's.
    pub async fn delivery_settle(
        &self,
        permit: &Permit,
        owner: &str,
        (turn, statement): (&DeliveryTurn, &str),
        figures: &DeliveryFigures,
        end: Option<&Delivery>,
    ) -> Result<()> {
        permit.require(WORKERS)?;
        let mut tx = self.db.begin().await?;
        let ours = sqlx::query("UPDATE delivery SET figures = $1 WHERE id = $2 AND owner = $3")
            .bind(to_json(figures)?)
            .bind(turn.delivery.as_str())
            .bind(owner)
            .execute(&mut *tx)
            .await
            .map_err(fail)?
            .rows_affected()
            == 1;
        if !ours {
            return Err(crate::lease::lost("推送任务", "delivery"));
        }
        sqlx::query(
            "UPDATE delivery_turn SET state = $1, open = $2, body = $3, statement = $4 WHERE id = $5",
        )
        .bind(turn.state.as_str())
        .bind(i64::from(turn.state.open()))
        .bind(to_json(turn)?)
        .bind(statement)
        .bind(turn.id.as_str())
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        if let Some(delivery) = end {
            let due = if delivery.state.live() { "due_at" } else { "''" };
            let sql =
                format!("UPDATE delivery SET state = $1, body = $2, due_at = {due} WHERE id = $3");
            sqlx::query(AssertSqlSafe(sql))
                .bind(delivery.state.as_str())
                .bind(to_json(delivery)?)
                .bind(delivery.id.as_str())
                .execute(&mut *tx)
                .await
                .map_err(fail)?;
        }
        tx.commit().await.map_err(fail)
    }
}

/// What no two deliveries go into.
fn target(delivery: &Delivery) -> (String, String) {
    let source = match delivery.source.as_str() {
        "" => delivery.place.clone(),
        database => database.to_owned(),
    };
    (source, delivery.table.clone())
}

async fn insert(tx: &mut Transaction<'static, Any>, turn: &DeliveryTurn) -> Result<bool> {
    // Either index may be in the way: the key, or the turn that is open.
    let done = sqlx::query(
        "INSERT INTO delivery_turn (id, delivery, turn_key, state, open, body) VALUES ($1, $2, $3, $4, 1, $5) ON CONFLICT DO NOTHING",
    )
    .bind(turn.id.as_str())
    .bind(turn.delivery.as_str())
    .bind(turn.key.as_str())
    .bind(turn.state.as_str())
    .bind(to_json(turn)?)
    .execute(&mut **tx)
    .await
    .map_err(fail)?;
    Ok(done.rows_affected() == 1)
}

fn record_of(row: &AnyRow) -> Result<DeliveryRecord> {
    let checked = text(row, "checked")?;
    Ok(DeliveryRecord {
        delivery: json(row, "body")?,
        figures: json(row, "figures")?,
        checked: if checked.is_empty() { None } else { json(row, "checked")? },
        due: text(row, "due_at")?,
        lease: Lease::of(row)?,
    })
}

fn missing(id: &str) -> Error {
    Error::not_found("推送任务", "delivery", id)
}
