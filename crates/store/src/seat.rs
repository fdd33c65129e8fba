//! Who holds the seats of approvals, and seats that nobody holds: found by index, whatever the number of approvals.

use model::account::Role;
use model::{Error, Result};
use policy::{Action, Permit};
use sqlx::AssertSqlSafe;

use crate::Store;
use crate::approval::{SeatRow, read_seat};
use crate::db::{fail, page, text};

/// How a seat that nobody holds was looked at; see the migration `desk`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cover {
    /// Not looked at, or held again.
    Fresh = 0,
    /// Others of the step answer.
    Others = 2,
    /// Nobody at all can answer.
    Nobody = 3,
}

impl Store {
    /// People with an open account who hold a role at an organisation, by id.
    pub async fn holders(&self, org: &str, role: Role, limit: u32) -> Result<Vec<String>> {
        // Roles are kept as a JSON list of words; a word stands between quotes.
        let sql = format!(
            "SELECT id FROM user_account WHERE org = $1 AND active = 1 AND roles LIKE $2 ORDER BY id LIMIT {}",
            page(limit)
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(org)
            .bind(format!("%\"{}\"%", role.as_str()))
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| text(row, "id"))
            .collect()
    }

    /// People with an open account who hold a role anywhere, by id.
    pub async fn holders_anywhere(&self, role: Role, limit: u32) -> Result<Vec<String>> {
        let sql = format!(
            "SELECT id FROM user_account WHERE active = 1 AND roles LIKE $1 ORDER BY id LIMIT {}",
            page(limit)
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(format!("%\"{}\"%", role.as_str()))
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| text(row, "id"))
            .collect()
    }

    /// The next organisation and role that a seat not looked at waits for, in their order; one index look-up.
    pub async fn seat_group_after(&self, after: (&str, &str)) -> Result<Option<(String, Role)>> {
        let row = sqlx::query(
            "SELECT org, role FROM approval_seat WHERE covered = 0 AND (org, role) > ($1, $2) ORDER BY org, role LIMIT 1",
        )
        .bind(after.0)
        .bind(after.1)
        .fetch_optional(self.db.pool())
        .await
        .map_err(fail)?;
        let Some(row) = row else { return Ok(None) };
        let word = text(&row, "role")?;
        let role = Role::parse(&word)
            .ok_or_else(|| Error::internal(format!("seat role `{word}` is unknown")))?;
        Ok(Some((text(&row, "org")?, role)))
    }

    /// Seats of one role at one organisation that were not looked at, at most 500.
    pub async fn seats_fresh(&self, org: &str, role: Role) -> Result<Vec<SeatRow>> {
        let sql =
            "SELECT * FROM approval_seat WHERE covered = 0 AND org = $1 AND role = $2 LIMIT 500";
        let rows = sqlx::query(sql).bind(org).bind(role.as_str());
        rows.fetch_all(self.db.pool()).await.map_err(fail)?.iter().map(read_seat).collect()
    }

    /// Seats of persons whose account is closed, not looked at, at most 500.
    pub async fn seats_of_closed(&self) -> Result<Vec<SeatRow>> {
        let sql = "SELECT s.* FROM user_account u JOIN approval_seat s ON s.user_id = u.id
                   WHERE u.active = 0 AND s.covered = 0 LIMIT 500";
        sqlx::query(sql)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(read_seat)
            .collect()
    }

    /// Groups (role at an organisation) that were found without a holder.
    pub async fn seat_groups_odd(&self) -> Result<Vec<(String, Role)>> {
        let sql = "SELECT DISTINCT org, role FROM approval_seat WHERE covered > 1 AND org IS NOT NULL AND role IS NOT NULL
                   LIMIT 1000";
        let rows = sqlx::query(sql).fetch_all(self.db.pool()).await.map_err(fail)?;
        let mut out = Vec::new();
        for row in &rows {
            if let Some(role) = Role::parse(&text(row, "role")?) {
                out.push((text(row, "org")?, role));
            }
        }
        Ok(out)
    }

    /// Notes how one seat was looked at.
    pub async fn seat_mark(&self, permit: &Permit, seat: &SeatRow, cover: Cover) -> Result<()> {
        permit.require(&[Action::SystemWork])?;
        sqlx::query(
            "UPDATE approval_seat SET covered = $1 WHERE approval = $2 AND step = $3 AND seat = $4",
        )
        .bind(cover as i64)
        .bind(seat.approval.as_str())
        .bind(seat.step.as_str())
        .bind(i64::from(seat.seat))
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// A group is held again: its seats are as if nobody had looked.
    pub async fn seats_held_again(&self, permit: &Permit, org: &str, role: Role) -> Result<u64> {
        permit.require(&[Action::SystemWork])?;
        let sql =
            "UPDATE approval_seat SET covered = 0 WHERE covered > 1 AND org = $1 AND role = $2";
        let query = sqlx::query(sql).bind(org).bind(role.as_str());
        Ok(query.execute(self.db.pool()).await.map_err(fail)?.rows_affected())
    }

    /// A page of seats that the authority answers because nobody holds them (or that nobody can answer), what is due
    /// first standing first.
    pub async fn seats_covered(&self, after: Option<&str>, limit: u32) -> Result<Vec<SeatRow>> {
        let sql = format!(
            "SELECT * FROM approval_seat WHERE covered IN (1, 3) AND place > $1 ORDER BY place LIMIT {}",
            page(limit)
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(after.unwrap_or_default())
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(read_seat)
            .collect()
    }
}
