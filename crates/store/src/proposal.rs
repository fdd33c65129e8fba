//! Proposed applications with their decisions, and saved searches.

use model::asset::{Proposal, SavedSearch};
use model::{Code, Error, Result};
use policy::{Action, Permit};
use sqlx::AssertSqlSafe;

use crate::Store;
use crate::clause::Clause;
use crate::db::{fail, json, number, page, text, to_json};

impl Store {
    /// Enters a proposal.
    pub async fn proposal_insert(&self, permit: &Permit, proposal: &Proposal) -> Result<()> {
        permit.require(&[Action::ProposalSubmit])?;
        sqlx::query(
            "INSERT INTO proposal (id, org, verdict, created_at, body) VALUES ($1, $2, NULL, $3, $4)",
        )
        .bind(proposal.id.as_str())
        .bind(proposal.draft.org.as_str())
        .bind(proposal.created_at.as_str())
        .bind(to_json(proposal)?)
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// Writes the decision; `WrongState` when one stands already.
    pub async fn proposal_decide(&self, permit: &Permit, proposal: &Proposal) -> Result<()> {
        permit.require(&[Action::ProposalDecide])?;
        let done = sqlx::query(
            "UPDATE proposal SET verdict = $1, body = $2 WHERE id = $3 AND verdict IS NULL",
        )
        .bind(proposal.verdict.map(|v| v.as_str()))
        .bind(to_json(proposal)?)
        .bind(proposal.id.as_str())
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        if done.rows_affected() == 1 {
            return Ok(());
        }
        Err(Error::new(
            Code::WrongState,
            "该拟建应用已有查重结论",
            "this proposal has been decided already",
        ))
    }

    pub async fn proposal_get(&self, id: &str) -> Result<Option<Proposal>> {
        self.db.body("proposal", id).await
    }

    /// A page of proposals, newest first; of one organisation when it is given.
    pub async fn proposal_list(
        &self,
        org: Option<&str>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Proposal>> {
        let mut c = Clause::default();
        if let Some(org) = org {
            c.and_text("org =", org);
        }
        if let Some(after) = after {
            c.and_text("id <", after);
        }
        let sql =
            format!("SELECT body FROM proposal{} ORDER BY id DESC LIMIT {}", c.sql(), page(limit));
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for value in c.values() {
            query = query.bind(value.clone());
        }
        let rows = query.fetch_all(self.db.pool()).await.map_err(fail)?;
        rows.iter().map(|row| json(row, "body")).collect()
    }

    /// Keeps a search of its owner; the permit is theirs to read.
    pub async fn search_save(&self, permit: &Permit, saved: &SavedSearch) -> Result<()> {
        permit.require(&[Action::AssetRead])?;
        sqlx::query(
            "INSERT INTO saved_search (id, owner, name, query, created_at, seen) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (id) DO UPDATE SET seen = excluded.seen",
        )
        .bind(saved.id.as_str())
        .bind(saved.owner.as_str())
        .bind(saved.name.as_str())
        .bind(saved.query.as_str())
        .bind(saved.created_at.as_str())
        .bind(saved.seen)
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    pub async fn search_forget(&self, permit: &Permit, owner: &str, id: &str) -> Result<()> {
        permit.require(&[Action::AssetRead])?;
        sqlx::query("DELETE FROM saved_search WHERE id = $1 AND owner = $2")
            .bind(id)
            .bind(owner)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(())
    }

    /// Searches a person keeps, newest first (at most 200).
    pub async fn searches_of(&self, owner: &str) -> Result<Vec<SavedSearch>> {
        sqlx::query("SELECT * FROM saved_search WHERE owner = $1 ORDER BY id DESC LIMIT 200")
            .bind(owner)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| {
                Ok(SavedSearch {
                    id: text(row, "id")?,
                    owner: text(row, "owner")?,
                    name: text(row, "name")?,
                    query: text(row, "query")?,
                    created_at: text(row, "created_at")?,
                    seen: number(row, "seen")?,
                })
            })
            .collect()
    }
}
