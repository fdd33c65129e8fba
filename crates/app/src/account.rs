//! Accounts: people sign in, applications sign their calls.

use model::account::{Application, ApplicationNew, ApplicationSecret, User, UserNew};
use model::{Actor, Error, Op, Result};
use serde::Serialize;

use crate::{App, Page};

/// Credential cache, seen nonces, failed sign-ins.
#[derive(Debug, Default)]
pub struct Memory {}

/// A signed-in session. The token goes into the cookie and is kept only as a hash.
#[derive(Clone, Serialize)]
pub struct Session {
    pub token: String,
    /// Double-submit token that every form carries.
    pub csrf: String,
    pub user: User,
    pub actor: Actor,
    pub expires_at: String,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("user", &self.user.name).finish_non_exhaustive()
    }
}

/// A signed call as the door received it.
#[derive(Clone, Copy, Debug)]
pub struct SignedCall<'a> {
    pub method: &'a str,
    pub path: &'a str,
    /// Raw query string without `?`.
    pub query: &'a str,
    pub body: &'a [u8],
    pub key: &'a str,
    /// `HMAC-SHA256` or `HMAC-SM3`
    pub algorithm: &'a str,
    pub timestamp: &'a str,
    pub nonce: &'a str,
    pub signature: &'a str,
}

/// Signs in. Wrong name and wrong password read the same; repeated failures lock out with back-off.
pub async fn sign_in(_app: &App, _op: &Op, _name: &str, _password: &str) -> Result<Session> {
    Err(Error::internal("not built"))
}

pub async fn sign_out(_app: &App, _op: &Op, _token: &str) -> Result<()> {
    Err(Error::internal("not built"))
}

/// The session of a cookie's token, if it is valid now.
pub async fn session(_app: &App, _token: &str) -> Result<Option<Session>> {
    Err(Error::internal("not built"))
}

/// Changes one's own password; other sessions end.
pub async fn change_password(_app: &App, _op: &Op, _old: &str, _new: &str) -> Result<()> {
    Err(Error::internal("not built"))
}

/// Opens an account.
pub async fn create_user(_app: &App, _op: &Op, _new: UserNew) -> Result<User> {
    Err(Error::internal("not built"))
}

/// Closes or reopens an account.
pub async fn set_user_active(_app: &App, _op: &Op, _id: &str, _active: bool) -> Result<User> {
    Err(Error::internal("not built"))
}

pub async fn users(_app: &App, _op: &Op, _after: Option<&str>, _limit: u32) -> Result<Page<User>> {
    Err(Error::internal("not built"))
}

/// Registers an application; its secret is shown once.
pub async fn register_application(_app: &App, _op: &Op, _new: ApplicationNew) -> Result<ApplicationSecret> {
    Err(Error::internal("not built"))
}

/// Gives an application a new secret; the old one stops at once.
pub async fn renew_secret(_app: &App, _op: &Op, _id: &str) -> Result<ApplicationSecret> {
    Err(Error::internal("not built"))
}

/// Stops or restarts an application.
pub async fn set_application_active(_app: &App, _op: &Op, _id: &str, _active: bool) -> Result<Application> {
    Err(Error::internal("not built"))
}

/// Applications the caller may see (its organisation's; all for the authority).
pub async fn applications(_app: &App, _op: &Op) -> Result<Vec<Application>> {
    Err(Error::internal("not built"))
}

/// Verifies a signed call (constant time), its time window and that its nonce is new; answers the calling application.
pub async fn verify_call(_app: &App, _call: &SignedCall<'_>) -> Result<Actor> {
    Err(Error::internal("not built"))
}
