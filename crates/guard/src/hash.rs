//! Fingerprints of bytes: SHA-256 and SM3 (GB/T 32905), whole or streamed, as lower hex.

use sha2::{Digest, Sha256};
use sm3::Sm3;

/// Which fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HashAlgorithm {
    Sha256,
    Sm3,
}

/// A fingerprint being computed over a stream: body of a call, file of a parcel.
#[derive(Clone, Debug)]
pub struct Hasher(State);

#[derive(Clone, Debug)]
enum State {
    Sha256(Sha256),
    Sm3(Sm3),
}

impl Hasher {
    #[must_use]
    pub fn new(algorithm: HashAlgorithm) -> Self {
        Self(match algorithm {
            HashAlgorithm::Sha256 => State::Sha256(Sha256::new()),
            HashAlgorithm::Sm3 => State::Sm3(Sm3::new()),
        })
    }
    /// Takes in the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(h) => h.update(bytes),
            State::Sm3(h) => h.update(bytes),
        }
    }
    /// The fingerprint of all bytes so far: 64 lower hex digits.
    #[must_use]
    pub fn finish(self) -> String {
        match self.0 {
            State::Sha256(h) => digits(h.finalize().into()),
            State::Sm3(h) => digits(h.finalize().into()),
        }
    }
}

/// 64 lower hex digits of `bytes` by the given algorithm.
#[must_use]
pub fn hex_of(algorithm: HashAlgorithm, bytes: &[u8]) -> String {
    match algorithm {
        HashAlgorithm::Sha256 => sha256_hex(bytes),
        HashAlgorithm::Sm3 => sm3_hex(bytes),
    }
}

/// SHA-256 as 64 lower hex digits.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    digits(Sha256::digest(bytes).into())
}

/// SM3 as 64 lower hex digits.
#[must_use]
pub fn sm3_hex(bytes: &[u8]) -> String {
    digits(Sm3::digest(bytes).into())
}

/// At once: `hex::encode` puts letter to letter.
fn digits(fingerprint: [u8; 32]) -> String {
    let mut digits = [0; 64];
    // There is room for two digits of each byte: it does not fail.
    let _ = hex::encode_to_slice(fingerprint, &mut digits);
    String::from_utf8_lossy(&digits).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GB/T 32905-2016 A.1 and A.2; FIPS 180-2 "abc".
    #[test]
    fn published_vectors() {
        assert_eq!(
            sm3_hex(b"abc"),
            "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
        );
        assert_eq!(
            sm3_hex(&b"abcd".repeat(16)),
            "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"
        );
        assert_eq!(
            sha256_hex(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn streaming_in_any_pieces_equals_the_whole() {
        let bytes: Vec<u8> = (0..1000_u32).map(|i| i.to_le_bytes()[0]).collect();
        for algorithm in [HashAlgorithm::Sha256, HashAlgorithm::Sm3] {
            let mut h = Hasher::new(algorithm);
            for piece in bytes.chunks(37) {
                h.update(piece);
            }
            assert_eq!(h.finish(), hex_of(algorithm, &bytes));
        }
    }
}
