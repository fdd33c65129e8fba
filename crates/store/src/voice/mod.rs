//! The public's voice in the control store: `ticket`, `comment` (with ratings), `showcase`.

mod comment;
mod showcase;
mod ticket;

pub use comment::CommentFilter;
pub use showcase::ShowcaseFilter;
pub use ticket::{TicketCount, TicketFilter, TicketReplies};

use model::Result;
use policy::Action;
use sqlx::{Any, AssertSqlSafe, Transaction};

use crate::db::{fail, number};

/// Who writes tickets, comments and showcases.
const VOICES: &[Action] = &[
    Action::VoiceWrite,
    Action::TicketHandle,
    Action::TicketOversee,
    Action::CommentModerate,
    Action::ShowcaseReview,
    Action::SystemWork,
];

/// How much one account may write since a time.
#[derive(Clone, Copy, Debug)]
pub struct Most<'a> {
    pub since: &'a str,
    pub most: u32,
}

impl Most<'_> {
    /// Whether a writer has written as many into a table as are allowed; `at` is its column of when.
    async fn reached(
        &self,
        tx: &mut Transaction<'static, Any>,
        (table, at): (&'static str, &'static str),
        writer: &str,
    ) -> Result<bool> {
        let sql = format!("SELECT COUNT(*) AS n FROM {table} WHERE writer = $1 AND {at} > $2");
        let written = sqlx::query(AssertSqlSafe(sql))
            .bind(writer)
            .bind(self.since)
            .fetch_one(&mut **tx)
            .await
            .map_err(fail)?;
        Ok(number(&written, "n")? >= i64::from(self.most))
    }
}
