//! Signed calls: signature, window of time, and the memory of nonces against replay.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

use chrono::{DateTime, Utc};
use guard::keys;
use guard::signature::{self, Algorithm, SignedRequest};
use model::{Actor, Code, Error, Result};
use parking_lot::Mutex;
use store::Backend;

use super::application::credential;
use crate::App;

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

impl SignedCall<'_> {
    /// The text that is signed.
    pub fn canonical(&self) -> Result<String> {
        let algorithm = Algorithm::parse(Some(self.algorithm))?;
        Ok(self.request(&algorithm.body_hash(self.body))?.string_to_sign())
    }
    fn request<'a>(&'a self, body_hash: &'a str) -> Result<SignedRequest<'a>> {
        Ok(SignedRequest {
            method: self.method,
            path: self.path,
            query: self.query,
            body_hash,
            timestamp: signature::parse_timestamp(self.timestamp)?,
            nonce: self.nonce,
        })
    }
}

/// Verifies a signed call (constant time), its time window and that its nonce is new; answers the calling application.
pub async fn verify_call(app: &App, call: &SignedCall<'_>) -> Result<Actor> {
    let algorithm = Algorithm::parse(Some(call.algorithm))?;
    let timestamp = signature::parse_timestamp(call.timestamp)?;
    signature::check_nonce(call.nonce)?;
    let now = app.now().timestamp_millis();
    let window = app.rules.call.window_seconds * 1000;
    if (now - timestamp).abs() > window {
        return Err(Error::new(
            Code::TimestampOutOfWindow,
            format!("时间戳与服务器相差超过 {} 秒，请校准时钟", window / 1000),
            format!(
                "the time stamp differs from ours by more than {} seconds; set the clock",
                window / 1000
            ),
        ));
    }
    // What another process renewed or stopped ends here within a second, also where nothing else is asked.
    app.shares.look_at(app, now).await?;
    let body_hash = algorithm.body_hash(call.body);
    // An unknown key and a wrong signature read the same: of an unknown one it is tried by a secret that nobody has.
    let Some(known) = credential(app, call.key).await? else {
        let nobodys = keys::hex_token(32)?;
        call.request(&body_hash)?.verify(algorithm, nobodys.as_bytes(), call.signature)?;
        return Err(Error::of(Code::SignatureMismatch));
    };
    call.request(&body_hash)?.verify(algorithm, &known.secret, call.signature)?;
    // The nonce is taken only now: a stranger cannot use up someone's nonces.
    app.accounts.nonces.take(call.key, call.nonce, timestamp, now - window)?;
    if app.store.backend() == Backend::Postgres
        && !Box::pin(app.store.nonce_insert(call.key, call.nonce, timestamp)).await?
    {
        return Err(Error::of(Code::Replayed));
    }
    Ok(known.actor.clone())
}

/// Milliseconds of signed time whose nonces are kept and forgotten together. Of a busy gate they are most of its memory: the shorter, the
/// fewer are kept beyond the window, and the smaller is the set that grows while calls wait.
const SPAN: i64 = 10_000;

/// Nonces seen, kept by the [`SPAN`] of their signed time: a replay carries the same time, so one set is asked.
#[derive(Debug)]
pub(super) struct Nonces {
    start: i64,
    seen: Mutex<BTreeMap<i64, Marks>>,
    hasher: RandomState,
}

/// Nonces of one span, by the hash of key and nonce: nobody outside knows it, and it is not hashed again.
type Marks = HashSet<u64, BuildHasherDefault<AsItIs>>;

/// A hash of what is a hash.
#[derive(Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

impl Nonces {
    pub(super) fn new(start: DateTime<Utc>) -> Self {
        Self { start: start.timestamp_millis(), seen: Mutex::default(), hasher: RandomState::new() }
    }

    /// Takes a nonce; refuses one seen before. Spans that lie wholly before `oldest` are forgotten: such calls
    /// are refused by their time.
    fn take(&self, key: &str, nonce: &str, timestamp: i64, oldest: i64) -> Result<()> {
        if timestamp < self.start {
            return Err(Error::new(
                Code::TimestampOutOfWindow,
                "签名时间早于服务启动时间，请重新签名后再试",
                "the call was signed before the service started; sign anew and try again",
            ));
        }
        let span = timestamp.div_euclid(SPAN);
        let mark = self.hasher.hash_one((key, nonce));
        let mut seen = self.seen.lock();
        if seen.first_key_value().is_some_and(|(first, _)| (first + 1) * SPAN < oldest) {
            *seen = seen.split_off(&oldest.div_euclid(SPAN));
        }
        let room = match seen.contains_key(&span) {
            true => 0,
            // About as full as the fullest that is kept, so that the set does not grow by and by.
            false => seen.values().map(HashSet::len).max().unwrap_or(0),
        };
        let new = || Marks::with_capacity_and_hasher(room, BuildHasherDefault::default());
        if seen.entry(span).or_insert_with(new).insert(mark) {
            Ok(())
        } else {
            Err(Error::of(Code::Replayed))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_taken_once_per_key_and_old_spans_are_forgotten() {
        let nonces = Nonces::new(DateTime::from_timestamp_millis(1_000_000).unwrap());
        let take =
            |key, nonce, at, oldest| nonces.take(key, nonce, at, oldest).map_err(|e| e.code());
        assert_eq!(take("a", "n1", 1_200_000, 900_000), Ok(()));
        assert_eq!(take("a", "n1", 1_200_000, 900_000), Err(Code::Replayed));
        assert_eq!(take("b", "n1", 1_200_000, 900_000), Ok(()));
        assert_eq!(take("a", "n0", 999_999, 900_000), Err(Code::TimestampOutOfWindow));
        assert_eq!(take("a", "n2", 2_000_000, 1_700_000), Ok(()));
        assert_eq!(nonces.seen.lock().len(), 1);
        // What may still be called with is remembered to its last moment.
        assert_eq!(take("a", "n3", 2_005_000, 2_005_000), Ok(()));
        assert_eq!(take("a", "n2", 2_000_000, 2_000_000), Err(Code::Replayed));
        assert_eq!(take("a", "n3", 2_305_000, 2_005_000), Ok(()));
        assert_eq!(take("a", "n3", 2_005_000, 2_005_000), Err(Code::Replayed));
    }
}
