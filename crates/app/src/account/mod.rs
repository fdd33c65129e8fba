//! Accounts: people sign up and in, applications sign their calls, bring a token, or show a certificate.

mod application;
pub(crate) mod attempt;
mod call;
mod certificate;
mod convention;
mod manage;
mod person;
mod personal;
pub(crate) mod register;
mod shown;
mod token;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use guard::password::Cost;
use model::Actor;
use model::account::{Application, User};
use serde::Serialize;

pub(crate) use application::{actor_of, credential, managed, stop};
pub use application::{
    application, applications, may_register, register_application, renew_secret,
    set_application_active,
};
pub use call::{SignedCall, verify_call};
pub use certificate::{certificate_add, certificate_call, certificate_remove, certificates};
pub use convention::{
    ConventionSecrets, ConventionSign, ConventionView, convention, convention_by_key,
    convention_by_refresh, convention_call, convention_on, convention_set,
};
pub use manage::{
    account, accounts, change_user, create_user, reset_password, set_user_active, unlock, users,
};
pub use person::{change_password, person, session, sign_in, sign_out};
pub(crate) use person::{citizen_of, vouched};
pub use personal::{
    PERSONAL, PERSONAL_DAYS_MOST, PersonalTokenMade, is_personal, may_hold_tokens,
    personal_token_call, personal_token_make, personal_token_revoke, personal_tokens,
};
pub use register::{SignUpLimits, SignUpOpen, SignUpRules, SignUpTerms, SignUpWords, sign_up};
pub(crate) use shown::{Named, logins_named, named, shown};
pub(crate) use token::application_of;
pub use token::{AccessToken, basic, token, token_call, token_revoke};

/// Credential cache, seen nonces, attempts at passwords, and the price of a password hash.
#[derive(Debug)]
pub struct Memory {
    credentials: moka::sync::Cache<String, Arc<Credential>>,
    nonces: call::Nonces,
    attempts: attempt::Attempts,
    /// Request secrets of the older convention, by application.
    issued: moka::sync::Cache<String, Arc<convention::Issued>>,
    paces: moka::sync::Cache<String, Arc<convention::Pace>>,
    /// Who calls by a certificate, by its thumbprint.
    certificates: moka::sync::Cache<String, Arc<Actor>>,
    /// Access tokens by their digest.
    tokens: moka::sync::Cache<String, Arc<token::Known>>,
    /// The ledger's epoch when credentials were last taken for good: applications stopped by another process show by it.
    epoch: AtomicU64,
    pub(crate) cost: Cost,
}

impl Memory {
    /// `start` is when this process began: calls signed before it cannot be told from replays and are refused.
    #[must_use]
    pub fn new(start: DateTime<Utc>, cost: Cost) -> Self {
        let credentials = moka::sync::Cache::builder()
            .max_capacity(100_000)
            .time_to_live(std::time::Duration::from_secs(30))
            .build();
        Self {
            credentials,
            nonces: call::Nonces::new(start),
            attempts: attempt::Attempts::default(),
            issued: moka::sync::Cache::builder()
                .max_capacity(100_000)
                .time_to_live(std::time::Duration::from_secs(30))
                .build(),
            tokens: moka::sync::Cache::builder()
                .max_capacity(100_000)
                .time_to_live(std::time::Duration::from_secs(30))
                .build(),
            certificates: moka::sync::Cache::builder()
                .max_capacity(100_000)
                .time_to_live(std::time::Duration::from_secs(30))
                .build(),
            paces: moka::sync::Cache::builder()
                .max_capacity(100_000)
                .time_to_idle(std::time::Duration::from_secs(600))
                .build(),
            epoch: AtomicU64::new(0),
            cost,
        }
    }

    /// Credentials are read anew: an organisation or a person changed.
    pub(crate) fn forget(&self) {
        self.credentials.invalidate_all();
        self.issued.invalidate_all();
        self.tokens.invalidate_all();
        self.certificates.invalidate_all();
    }

    /// What is remembered of credentials holds for one epoch of the ledger.
    fn follow(&self, epoch: u64) {
        if self.epoch.load(Ordering::Relaxed) != epoch
            && self.epoch.swap(epoch, Ordering::Relaxed) != epoch
        {
            self.forget();
        }
    }
}

/// An application's credential, opened once and kept for half a minute.
pub(crate) struct Credential {
    pub(crate) application: Application,
    pub(crate) actor: Actor,
    secret: zeroize::Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").field("key", &self.application.key).finish_non_exhaustive()
    }
}

/// A signed-in session. The token goes into the cookie and is kept only as a hash.
#[derive(Clone, Serialize)]
pub struct Session {
    #[serde(skip)]
    pub token: String,
    /// Token that every form carries back.
    pub csrf: String,
    pub user: User,
    pub actor: Actor,
    pub expires_at: String,
    /// It was opened with a one-time password: its actor has no roles until the password is changed.
    pub must_change: bool,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("user", &self.user.name).finish_non_exhaustive()
    }
}
