//! The port of links that people wrote: whether anything answers there.

use async_trait::async_trait;
use model::Result;

/// Addresses of the web, looked at one by one. Called from one recurring job; a look takes as long as the engine's patience.
#[async_trait]
pub trait Links: Send + Sync {
    /// Whether something answers at an address. Nothing of what answers is handed out, and no redirect is followed.
    ///
    /// An address that the operator's list does not hold is refused with `rule_broken` and was not looked at; whatever is the
    /// other side's fault (unknown host, unreachable, late, gone, failing) is `false`.
    async fn answers(&self, url: &str) -> Result<bool>;
}
