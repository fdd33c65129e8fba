//! SM2 signatures (GB/T 32918.2, GM/T 0009): signing of documents and exports, with SM3 and the signer's identity.

use model::{Error, Result};
use sm2::SecretKey;
use sm2::dsa::signature::{Signer, Verifier};
use sm2::dsa::{Signature, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use crate::keys::{self, KeyRing};

/// Identity used when two parties agreed on none (GM/T 0009 10).
pub const DEFAULT_IDENTITY: &str = "1234567812345678";

/// A signer: private key and identity.
#[derive(Clone)]
pub struct KeyPair(SigningKey);

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyPair").field("public", &self.public_hex()).finish_non_exhaustive()
    }
}

impl KeyPair {
    /// A new key pair by the operating system's chance.
    pub fn generate(identity: &str) -> Result<Self> {
        // A random 32-byte string is a valid private key unless it is 0 or not below n - 1: chance 2^-32 at most.
        for _ in 0..8 {
            let bytes = Zeroizing::new(keys::random::<32>()?);
            if let Ok(secret) = SecretKey::from_slice(bytes.as_slice()) {
                return Self::of(identity, &secret);
            }
        }
        Err(Error::internal("no valid SM2 private key in eight random draws"))
    }
    /// The platform's own pair for a purpose, derived from its master key: the same after every start.
    pub fn derived(keys: &KeyRing, purpose: &str, identity: &str) -> Result<Self> {
        // As above: one derivation will do but for a chance of 2^-32.
        for label in [purpose.to_owned(), format!("{purpose} 2"), format!("{purpose} 3")] {
            if let Ok(secret) = SecretKey::from_slice(keys.derive(&label).bytes()) {
                return Self::of(identity, &secret);
            }
        }
        Err(Error::internal("no valid SM2 private key in three derivations"))
    }
    /// From a private key of 64 hex digits.
    pub fn from_secret_hex(identity: &str, text: &str) -> Result<Self> {
        let bad = || {
            Error::invalid(
                "SM2 私钥应为 64 位十六进制",
                "the SM2 private key must be 64 hex digits in range",
            )
        };
        let bytes = Zeroizing::new(hex::decode(text.trim()).map_err(|_| bad())?);
        let secret = SecretKey::from_slice(&bytes).map_err(|_| bad())?;
        Self::of(identity, &secret)
    }
    fn of(identity: &str, secret: &SecretKey) -> Result<Self> {
        SigningKey::new(identity, secret)
            .map(Self)
            .map_err(|_| Error::invalid("SM2 标识过长", "the SM2 identity is too long"))
    }
    /// Private key as 64 hex digits, for storing sealed.
    #[must_use]
    pub fn secret_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(hex::encode(self.0.to_bytes()))
    }
    /// Public key, uncompressed (`04` x y), 130 hex digits.
    #[must_use]
    pub fn public_hex(&self) -> String {
        hex::encode(self.0.verifying_key().to_sec1_bytes())
    }
    /// Signature r || s, 128 hex digits. Deterministic (RFC 6979 with SM3): the same message, the same signature.
    pub fn sign(&self, message: &[u8]) -> Result<String> {
        let signature: Signature =
            self.0.try_sign(message).map_err(|e| Error::internal(format!("SM2 signing: {e}")))?;
        Ok(hex::encode(signature.to_bytes()))
    }
}

/// Whether 130 hex digits are a point of the curve.
#[must_use]
pub fn readable(public_hex: &str) -> bool {
    hex::decode(public_hex.trim())
        .is_ok_and(|public| VerifyingKey::from_sec1_bytes(DEFAULT_IDENTITY, &public).is_ok())
}

/// Whether `signature` (r || s in hex) is the signer's over `message`. Unreadable input is simply not a signature.
#[must_use]
pub fn verify(public_hex: &str, identity: &str, message: &[u8], signature: &str) -> bool {
    let Ok(public) = hex::decode(public_hex.trim()) else { return false };
    let Ok(bytes) = hex::decode(signature.trim()) else { return false };
    let (Ok(key), Ok(signature)) =
        (VerifyingKey::from_sec1_bytes(identity, &public), Signature::from_slice(&bytes))
    else {
        return false;
    };
    key.verify(message, &signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GM/T 0003.5-2012 A.2 (recommended curve): private and public key, and the signature of `message digest`.
    #[test]
    fn vector_of_the_standard() {
        let secret = "3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8";
        let pair = KeyPair::from_secret_hex(DEFAULT_IDENTITY, secret).unwrap();
        let public = "0409f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020\
                      ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13";
        assert_eq!(pair.public_hex(), public);
        let signature = "f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3\
                         b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa";
        assert!(verify(public, DEFAULT_IDENTITY, b"message digest", signature));
        assert!(!verify(public, DEFAULT_IDENTITY, b"message digesu", signature));
        assert!(!verify(public, "another identity", b"message digest", signature));
    }

    #[test]
    fn what_is_signed_verifies_and_nothing_else() {
        let pair = KeyPair::generate("省大数据局").unwrap();
        let other = KeyPair::generate("省大数据局").unwrap();
        let signature = pair.sign("目录".as_bytes()).unwrap();
        assert!(verify(&pair.public_hex(), "省大数据局", "目录".as_bytes(), &signature));
        assert!(!verify(&other.public_hex(), "省大数据局", "目录".as_bytes(), &signature));
        let again = KeyPair::from_secret_hex("省大数据局", &pair.secret_hex()).unwrap();
        assert_eq!(again.sign("目录".as_bytes()).unwrap(), signature);
        for broken in ["", "zz", &"0".repeat(128), &"1".repeat(126)] {
            assert!(!verify(&pair.public_hex(), "省大数据局", "目录".as_bytes(), broken));
        }
        assert!(KeyPair::from_secret_hex("x", &"0".repeat(64)).is_err());
        assert!(!format!("{pair:?}").contains(pair.secret_hex().as_str()));
    }
}
