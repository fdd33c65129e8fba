//! The identity centre (统一身份): an OpenID Connect provider for registered applications, and a relying party of outside services.
//!
//! Read in this order: `provider` (issuer, keys, discovery), `client` (what an application is as a client, who it is), `authorize` (the
//! browser's way: request, consent, code), `token` (the client's way: exchange, refresh, who is it, revocation, introspection), `claims`
//! (what a client is told of a person), `leave` (signing out at a client's wish), `ended` (clients are told that a session has ended),
//! `outside` (signing in by another's identity). Codes and tokens are kept as digests only; refusals speak the words of RFC 6749.

mod authorize;
mod claims;
mod client;
mod ended;
mod leave;
mod outside;
mod provider;
mod token;

use std::collections::HashMap;
use std::sync::Arc;

use guard::identity::Signer;
use model::Error;
use model::identity::OutsideService;
use policy::port::OutsideIdentity;
use serde::Deserialize;

pub use self::authorize::{
    Asker, ConsentAsk, ConsentView, ScopeAsk, Step, authorize, consent, consents, goes_to, withdraw,
};
pub use self::client::{Presented, client_settings, origin_known, set_client};
pub use self::ended::{tick, untaken};
pub use self::leave::{LeaveAsk, Leaving, leave, leave_answered};
pub use self::outside::{
    OutsideEnd, outside_back, outside_begin, outside_of, outside_unlink, services,
};
pub use self::provider::{discovery, jwks};
pub use self::token::{Tokens, introspect, revoke, token, userinfo};
use crate::authorisation::AuthorisationRules;

/// Longest `state` and `nonce`.
const LONGEST: usize = 1024;

/// Keys that were opened, outside services, and the engine that speaks to them.
pub struct Memory {
    signers: parking_lot::Mutex<HashMap<String, Arc<Signer>>>,
    /// One key is made at a time.
    making: tokio::sync::Mutex<()>,
    services: parking_lot::RwLock<Vec<OutsideService>>,
    outside: Arc<dyn OutsideIdentity>,
}

impl Memory {
    #[must_use]
    pub fn new(outside: Arc<dyn OutsideIdentity>, services: Vec<OutsideService>) -> Self {
        Self {
            signers: parking_lot::Mutex::default(),
            making: tokio::sync::Mutex::default(),
            services: parking_lot::RwLock::new(services),
            outside,
        }
    }

    /// Offers these outside services from now on, and no others.
    pub fn offer(&self, services: Vec<OutsideService>) {
        *self.services.write() = services;
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}

/// Life times and limits (`rules/identity.toml`).
#[derive(Clone, Debug, Deserialize)]
pub struct IdentityRules {
    pub effective: String,
    pub provider: ProviderRules,
    pub logout: LogoutRules,
    pub outside: OutsideRules,
    pub authorisation: AuthorisationRules,
}

/// Life times of what the provider gives out.
#[derive(Clone, Debug, Deserialize)]
pub struct ProviderRules {
    pub code_seconds: i64,
    pub access_minutes: i64,
    pub id_minutes: i64,
    pub refresh_days: i64,
    pub key_days: i64,
    pub redirects_most: usize,
    pub origins_most: usize,
}

/// How clients are told that a session has ended.
#[derive(Clone, Debug, Deserialize)]
pub struct LogoutRules {
    pub token_seconds: i64,
    pub wait_seconds: i64,
    pub tries: i64,
    pub side_by_side: usize,
}

/// Signing in at outside services.
#[derive(Clone, Debug, Deserialize)]
pub struct OutsideRules {
    pub minutes: i64,
}

/// Reads the rules; the shipped ones when the file says nothing.
pub(crate) fn rules(
    own: Option<IdentityRules>,
) -> std::result::Result<IdentityRules, toml::de::Error> {
    own.map_or_else(|| toml::from_str(include_str!("../../rules/identity.toml")), Ok)
}

/// The first value of a parameter; empty when it is not there.
fn first<'a>(pairs: &'a [(String, String)], name: &str) -> &'a str {
    pairs.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v.as_str())
}

/// Why a client is refused: in the words of RFC 6749 §5.2 and RFC 6750 §3.1, or as everywhere.
#[derive(Debug)]
pub enum Refused {
    Protocol { word: &'static str, zh: &'static str, en: &'static str },
    House(Error),
}

impl Refused {
    fn of(word: &'static str, zh: &'static str, en: &'static str) -> Self {
        Refused::Protocol { word, zh, en }
    }
    fn client() -> Self {
        Self::of(
            "invalid_client",
            "客户端身份验证失败",
            "the client is unknown, stopped, or its secret is wrong",
        )
    }
    fn grant() -> Self {
        Self::of(
            "invalid_grant",
            "授权码或刷新令牌无效、已使用、已过期或不属于该客户端",
            "the code or refresh token is wrong, used, over, or another client's",
        )
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Refused::House(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_rules_are_read() {
        let rules = rules(None).unwrap();
        assert!(rules.provider.code_seconds <= 600 && rules.provider.access_minutes <= 60);
        assert!(rules.logout.token_seconds <= 120 && rules.logout.tries > 0);
        let letter = &rules.authorisation.letter;
        for word in ["{application}", "{entry}", "{items}", "{purpose}", "{days}"] {
            assert!(letter.zh.contains(word) && letter.en.contains(word), "{word}");
        }
    }
}
