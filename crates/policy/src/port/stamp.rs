//! The port of time stamps: an authority that is asked by the hash of a seal and answers with a token (RFC 3161).

use async_trait::async_trait;
use model::Result;

/// A time-stamp authority. Called by one recurring job, one question after the other; it learns a hash and nothing else.
#[async_trait]
pub trait Stamper: Send + Sync {
    /// Sends a request and answers what came back, both in DER. Nothing of the answer is checked here: whoever asks checks it.
    ///
    /// An address that the operator's list does not hold is refused with `rule_broken`; everything that is the authority's fault
    /// (unreachable, late, refusing, too large) is `source_unavailable`.
    async fn ask(&self, query: &[u8]) -> Result<Vec<u8>>;
}
