//! The port of proxied interfaces: a department's own service, asked for rows on behalf of somebody who holds a [`Grant`].
//!
//! *no-plain-way-out*: whoever implements it hands out what the grant shows of what was mapped, masked as it says, and nothing else
//! of the service's answer, whatever that holds.

use async_trait::async_trait;
use model::Result;
use model::interface::Upstream as Described;
use model::item::Item;
use model::query::Condition;
use model::value::Rows;

use crate::Grant;

/// Services of departments. Called from many calls in parallel; one call is one exchange (with its retries where those are safe).
#[async_trait]
pub trait Upstream: Send + Sync {
    /// Asks a service and maps its answer: rows of the columns selected, in the service's order. Dropping it ends the exchange.
    ///
    /// An address that the operator's list does not hold is refused with `rule_broken`; everything that is the service's fault
    /// (unreachable, late, refusing, too large, not to be understood) is `source_unavailable`.
    async fn ask(&self, grant: &Grant, ask: &UpstreamAsk<'_>) -> Result<Rows>;
}

/// One question.
#[derive(Clone, Copy)]
pub struct UpstreamAsk<'a> {
    pub described: &'a Described,
    /// Values by parameter.
    pub values: &'a [(String, String)],
    /// Headers with their secrets filled in.
    pub headers: &'a [(String, String)],
    /// Items by which fields of the answer are typed.
    pub items: &'a [Item],
    /// What was asked: rows that are something else are left out, whatever the service answers.
    pub filter: Option<&'a Condition>,
    /// Items wanted, with the names they are answered under.
    pub select: &'a [(String, Option<String>)],
    pub most_rows: u64,
}

impl std::fmt::Debug for UpstreamAsk<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpstreamAsk").field("url", &self.described.url).finish_non_exhaustive()
    }
}
