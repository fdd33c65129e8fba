//! Attempts at a password: counted before it is checked, so that guesses made at once are each counted; locked out
//! with back-off by name, known or not; limited by address; and only a few hashes computed at the same time.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use guard::{hash, password};
use model::{Code, Error, Op, Result, op};
use store::account::{Attempt, UserSecret};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::App;
use crate::rate::Rate;

/// How long a check waits for its turn before it is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// A day without an attempt forgets failures.
const FORGET: TimeDelta = TimeDelta::hours(24);

/// What is kept in memory of attempts.
#[derive(Debug)]
pub(super) struct Attempts {
    /// Failures by address.
    addresses: moka::sync::Cache<String, Arc<Address>>,
    /// Tries to sign up by address.
    sign_ups: moka::sync::Cache<String, Arc<Address>>,
    /// Hashes computed at the same time: each takes 19 MiB and tens of milliseconds of a core.
    hashing: Semaphore,
}

#[derive(Debug)]
struct Address {
    rate: Rate,
    /// Second in which a refusal was last written into the audit.
    told: AtomicI64,
}

impl Default for Address {
    fn default() -> Self {
        Self { rate: Rate::default(), told: AtomicI64::new(i64::MIN) }
    }
}

impl Address {
    /// Takes an attempt at most `most` times in `span` (µs).
    fn take(&self, op: &Op, (most, span): (u32, i64), error: Error) -> Result<(), Refusal> {
        if self.rate.take(op.at.timestamp_micros(), most, span) {
            return Ok(());
        }
        let second = op.at.timestamp();
        match self.told.swap(second, Ordering::Relaxed) == second {
            true => Err(Refusal::Untold(error)),
            false => Err(Refusal::Told(error)),
        }
    }
}

impl Default for Attempts {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let by_address = || {
            moka::sync::Cache::builder()
                .max_capacity(100_000)
                .time_to_idle(Duration::from_secs(3600))
                .build()
        };
        Self {
            addresses: by_address(),
            sign_ups: by_address(),
            hashing: Semaphore::new(cores.clamp(2, 16)),
        }
    }
}

impl Attempts {
    fn address(&self, source: &str) -> Arc<Address> {
        self.addresses.get_with(neighbourhood(source), Arc::default)
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>> {
        let busy = || {
            Error::new(
                Code::RateLimited,
                "登录繁忙，请稍后再试",
                "too many people are signing in, try again shortly",
            )
        };
        match tokio::time::timeout(PATIENCE, self.hashing.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(busy()),
        }
    }
}

/// Addresses that one subscriber holds count as one: an IPv6 network of 64 bits, a single IPv4 address.
fn neighbourhood(source: &str) -> String {
    match source.parse::<IpAddr>() {
        Ok(IpAddr::V6(v6)) if v6.to_ipv4_mapped().is_none() => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        Ok(IpAddr::V6(v6)) => v6.to_ipv4_mapped().map_or_else(String::new, |v4| v4.to_string()),
        _ => source.to_owned(),
    }
}

/// Why an attempt is not taken.
pub(crate) enum Refusal {
    /// To be answered and recorded.
    Told(Error),
    /// To be answered only: a flood leaves one record a second.
    Untold(Error),
}

/// Takes an attempt of an address; given back by [`forgive`] when it was right.
pub(crate) fn by_address(app: &App, op: &Op) -> Result<(), Refusal> {
    let error = Error::new(
        Code::RateLimited,
        "来自您所在网络的登录尝试过多，请稍后再试",
        "too many attempts to sign in from your network, try again shortly",
    );
    app.accounts.attempts.address(&op.source).take(op, address_rule(app), error)
}

/// Takes a try to sign up of an address. Right ones count as well: each may tell whether a name is taken.
pub(super) fn to_sign_up(app: &App, op: &Op) -> Result<(), Refusal> {
    let limits = &app.rules.signup.limits;
    let error = Error::new(
        Code::RateLimited,
        "来自您所在网络的注册尝试过多，请稍后再试",
        "too many tries to sign up from your network, try again later",
    );
    let address = app.accounts.attempts.sign_ups.get_with(subscriber(op), Arc::default);
    address.take(op, (limits.tries, i64::from(limits.window_seconds) * 1_000_000), error)
}

/// Whose address a call comes from, as far as addresses tell.
pub(super) fn subscriber(op: &Op) -> String {
    neighbourhood(&op.source)
}

fn address_rule(app: &App) -> (u32, i64) {
    let rules = &app.rules.sign_in;
    (rules.address_failures, i64::from(rules.address_window_seconds) * 1_000_000)
}

/// How a name is kept: people type passwords into the wrong field.
pub(crate) fn key(name: &str) -> String {
    hash::sha256_hex(name.as_bytes())
}

/// The attempt of an address was right.
pub(crate) fn forgive_address(app: &App, op: &Op) {
    let (most, span) = address_rule(app);
    app.accounts.attempts.address(&op.source).rate.put_back(most, span);
}

/// Refused while a name is locked; nothing is counted.
pub(crate) async fn not_locked(app: &App, op: &Op, name: &str) -> Result<()> {
    match app.store.sign_in_locked(&key(name), &op.stamp()).await? {
        Some(until) => Err(locked(op, &until)),
        None => Ok(()),
    }
}

/// Counts an attempt of a name as failed, whether an account has it or not; refused while the name is locked.
pub(crate) async fn by_name(app: &App, op: &Op, name: &str) -> Result<()> {
    let forget = op::stamp(op.at - FORGET);
    let lock = |failures| lock_until(app, failures, op.at).map(op::stamp);
    match app.store.sign_in_attempt(&key(name), &op.stamp(), &forget, lock).await? {
        Attempt::Counted { .. } => Ok(()),
        Attempt::Locked { until } => Err(locked(op, &until)),
    }
}

fn locked(op: &Op, until: &str) -> Error {
    let left = until.parse::<DateTime<Utc>>().map_or(1, |t| (t - op.at).num_seconds());
    Error::new(
        Code::LockedOut,
        format!("尝试次数过多，请在 {} 秒后再试", left.max(1)),
        format!("too many attempts, try again in {} seconds", left.max(1)),
    )
}

/// The attempt was right: failures of the name are forgotten, that of the address is given back.
pub(crate) async fn forgive(app: &App, op: &Op, name: &str) -> Result<()> {
    forgive_address(app, op);
    app.store.sign_in_forget(&key(name)).await
}

fn lock_until(app: &App, failures: i64, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let rules = &app.rules.sign_in;
    let over = u32::try_from(failures).ok()?.checked_sub(rules.free_failures)?;
    let seconds = rules
        .first_lock_seconds
        .saturating_mul(2_u64.saturating_pow(over.min(20)))
        .min(rules.longest_lock_seconds);
    now.checked_add_signed(TimeDelta::seconds(i64::try_from(seconds).ok()?))
}

/// Verifies on a blocking thread; an unknown name costs the same as a wrong password.
pub(super) async fn check(app: &App, found: Option<&UserSecret>, secret: String) -> Result<bool> {
    let _turn = app.accounts.attempts.turn().await?;
    let (cost, phc) = (app.accounts.cost, found.map(|u| u.password_hash.clone()));
    let verify = move || match phc {
        Some(phc) => password::verify(&secret, &phc),
        None => password::verify_nobody(&secret, &cost),
    };
    tokio::task::spawn_blocking(verify)
        .await
        .map_err(|e| Error::internal("password check").caused_by(e))?
}

/// The PHC string of a new password.
pub(super) async fn hashed(app: &App, secret: String) -> Result<String> {
    let _turn = app.accounts.attempts.turn().await?;
    let cost = app.accounts.cost;
    tokio::task::spawn_blocking(move || password::hash(&secret, &cost))
        .await
        .map_err(|e| Error::internal("password hash").caused_by(e))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscribers_addresses_count_as_one() {
        assert_eq!(neighbourhood("192.0.2.7"), "192.0.2.7");
        assert_eq!(neighbourhood("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(neighbourhood("2001:db8:1:2:3::4"), neighbourhood("2001:db8:1:2:ffff::1"));
        assert_ne!(neighbourhood("2001:db8:1:2::1"), neighbourhood("2001:db8:1:3::1"));
        assert_eq!(neighbourhood("-"), "-");
    }

    #[tokio::test]
    async fn only_a_few_hashes_are_computed_at_once() {
        let attempts = Attempts::default();
        let most = attempts.hashing.available_permits();
        assert!((2..=16).contains(&most));
        let mut turns = Vec::new();
        for _ in 0..most {
            turns.push(attempts.turn().await.unwrap());
        }
        assert!(attempts.hashing.try_acquire().is_err());
        turns.pop();
        assert!(attempts.turn().await.is_ok());
    }
}
