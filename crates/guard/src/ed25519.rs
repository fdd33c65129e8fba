//! Ed25519 signatures (RFC 8032): what the platform signs for callers whose programs do not know SM2.

use model::{Error, Result};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use crate::keys::{KEY_BYTES, KeyRing};

/// A signer.
pub struct KeyPair(Ed25519KeyPair);

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyPair").field("public", &self.public_hex()).finish_non_exhaustive()
    }
}

impl KeyPair {
    /// The platform's own pair for a purpose, derived from its master key: the same after every start. The purpose is not one that
    /// another key is derived for.
    pub fn derived(keys: &KeyRing, purpose: &str) -> Result<Self> {
        Self::of(keys.derive(purpose).bytes())
    }
    /// Any 32 bytes are a private key.
    fn of(seed: &[u8; KEY_BYTES]) -> Result<Self> {
        Ed25519KeyPair::from_seed_unchecked(seed)
            .map(Self)
            .map_err(|e| Error::internal(format!("Ed25519 key: {e}")))
    }
    /// Public key, 64 hex digits.
    #[must_use]
    pub fn public_hex(&self) -> String {
        hex::encode(self.0.public_key())
    }
    /// Signature, 128 hex digits. Deterministic: the same message, the same signature.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> String {
        hex::encode(self.0.sign(message))
    }
}

/// Whether `signature` (hex) is the signer's over `message`. Unreadable input is simply not a signature.
#[must_use]
pub fn verify(public_hex: &str, message: &[u8], signature: &str) -> bool {
    let (Ok(public), Ok(signature)) =
        (hex::decode(public_hex.trim()), hex::decode(signature.trim()))
    else {
        return false;
    };
    UnparsedPublicKey::new(&ED25519, &public).verify(message, &signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032 7.1, tests 1 and 2: private key, public key, message, signature.
    #[test]
    fn vectors_of_the_standard() {
        for (secret, public, message, signature) in [
            (
                "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
                "",
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155\
                 5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
            ),
            (
                "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
                "r",
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                 085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
            ),
        ] {
            let seed: [u8; 32] = hex::decode(secret).unwrap().try_into().unwrap();
            let pair = KeyPair::of(&seed).unwrap();
            assert_eq!(pair.public_hex(), public);
            assert_eq!(pair.sign(message.as_bytes()), signature);
            assert!(verify(public, message.as_bytes(), signature));
            assert!(!verify(public, b"another", signature));
            assert!(!format!("{pair:?}").contains(secret));
        }
    }

    #[test]
    fn the_platforms_pair_is_the_same_after_every_start_and_another_for_each_purpose() {
        let ring = |n: u8| KeyRing::from_bytes(&[n; 32]).unwrap();
        let public = |n, purpose| KeyPair::derived(&ring(n), purpose).unwrap().public_hex();
        assert_eq!(public(1, "a"), public(1, "a"));
        assert_ne!(public(1, "a"), public(1, "b"));
        assert_ne!(public(1, "a"), public(2, "a"));
        let pair = KeyPair::derived(&ring(1), "a").unwrap();
        let signature = pair.sign("目录".as_bytes());
        assert!(verify(&pair.public_hex(), "目录".as_bytes(), &signature));
        assert!(!verify(&public(2, "a"), "目录".as_bytes(), &signature));
        for broken in ["", "zz", &"0".repeat(128), &"1".repeat(126)] {
            assert!(!verify(&pair.public_hex(), "目录".as_bytes(), broken), "{broken}");
            assert!(!verify(broken, "目录".as_bytes(), &signature), "{broken}");
        }
    }
}
