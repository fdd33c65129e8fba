//! The signature of the province's older calling convention: lower hex of MD5 over key, secret and time, one after the other.
//!
//! It is kept for programs that exist and can do no other. MD5 is broken, and neither path, parameters nor body are signed; whoever
//! sees a call can repeat it while its secret lasts. New callers sign by [`crate::signature`].

use md5::{Digest, Md5};
use subtle::ConstantTimeEq;

/// The signature of a call at `time` (milliseconds, as the caller wrote them).
#[must_use]
pub fn sign(key: &str, secret: &[u8], time: &str) -> String {
    let mut hash = Md5::new();
    hash.update(key.as_bytes());
    hash.update(secret);
    hash.update(time.as_bytes());
    hex::encode(hash.finalize())
}

/// Whether a signature is right, in constant time. Capital letters count as small ones.
#[must_use]
pub fn verify(key: &str, secret: &[u8], time: &str, given: &str) -> bool {
    let right = sign(key, secret, time);
    right.as_bytes().ct_eq(given.to_ascii_lowercase().as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_vector_reproduces() {
        let (key, secret, time) = ("demoappkey0001", b"demosecret0001", "1700000000000");
        assert_eq!(sign(key, secret, time), "f61c45db0dbf2807ab78ac44b8fd5f2b");
        assert!(verify(key, secret, time, "F61C45DB0DBF2807AB78AC44B8FD5F2B"));
        for wrong in ["", "f61c45db0dbf2807ab78ac44b8fd5f2", "f61c45db0dbf2807ab78ac44b8fd5f2c"] {
            assert!(!verify(key, secret, time, wrong), "{wrong}");
        }
    }
}
