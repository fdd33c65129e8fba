//! The port of outside identity services: OpenID Connect as a relying party.

use async_trait::async_trait;
use model::Result;
use model::identity::OutsideService;

/// A sign-in that has begun: where the browser is sent, and what must be kept, bound to that browser, until it comes back.
#[derive(Clone)]
pub struct OutsideBegin {
    pub url: String,
    pub state: String,
    pub nonce: String,
    /// The verifier of PKCE.
    pub verifier: String,
}

impl std::fmt::Debug for OutsideBegin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OutsideBegin").finish_non_exhaustive()
    }
}

/// What a browser came back with, and what was kept of its beginning.
#[derive(Clone, Copy)]
pub struct OutsideBack<'a> {
    /// Where the service sends browsers back to, as at the beginning.
    pub redirect: &'a str,
    pub code: &'a str,
    pub nonce: &'a str,
    pub verifier: &'a str,
}

impl std::fmt::Debug for OutsideBack<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OutsideBack").field("redirect", &self.redirect).finish_non_exhaustive()
    }
}

/// Who the service says it is: told by an ID token whose signature, issuer, audience, term and nonce were found right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutsidePerson {
    pub subject: String,
    /// Name for reading; may be empty.
    pub name: String,
}

/// Outside identity services, and clients of our own. Called from the portal, once to begin and once to end each sign-in; a call takes as long as the engine's
/// patience. An address that the operator's list does not hold is refused with `rule_broken`; whatever is the other side's fault is
/// `source_unavailable`, and a token that is not right is `signature_mismatch`.
#[async_trait]
pub trait OutsideIdentity: Send + Sync {
    /// Reads the service's description and begins a sign-in with a fresh state, nonce and verifier.
    async fn begin(&self, service: &OutsideService, redirect: &str) -> Result<OutsideBegin>;
    /// Exchanges the code and checks the ID token.
    async fn finish(
        &self,
        service: &OutsideService,
        back: OutsideBack<'_>,
    ) -> Result<OutsidePerson>;
    /// Posts a logout token to the address that a client of our own provider has registered for it (OpenID Connect Back-Channel Logout
    /// 1.0 §2.5) and answers the status of the answer, whose body is not read. Called from a recurring job, several at once; no redirect
    /// is followed.
    async fn logout(&self, address: &str, token: &str) -> Result<u16>;
}
