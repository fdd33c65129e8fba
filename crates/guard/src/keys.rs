//! Keys: one master key of 32 bytes, from which each purpose derives its own.
//!
//! Derivation is HKDF (RFC 5869) with HMAC-SM3: extract with a fixed salt, expand with the label. The master key
//! is read from or created in a file by the binary only; it is wiped from memory when dropped and never printed.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use model::{Code, Error, Result};
use rand::TryRngCore;
use sm3::Sm3;
use zeroize::{Zeroize, Zeroizing};

use crate::cipher::Vault;

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;
const SALT: &[u8] = b"qiantang key ring v1";

/// Thirty-two secret bytes, wiped when dropped; `Debug` never shows them.
#[derive(Clone)]
pub struct SecretKey([u8; KEY_BYTES]);

impl SecretKey {
    #[must_use]
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }
    /// A key from the operating system's chance.
    pub fn random() -> Result<Self> {
        let mut bytes = [0; KEY_BYTES];
        fill(&mut bytes)?;
        Ok(Self(bytes))
    }
    #[must_use]
    pub fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
    /// A fingerprint that nobody makes or tries out without the key (HMAC-SM3), as 64 lower hex digits.
    #[must_use]
    pub fn mark(&self, bytes: &[u8]) -> String {
        let mut mac = hmac_sm3(&self.0);
        mac.update(bytes);
        hex::encode(mac.finalize().into_bytes())
    }
    /// A key of its own for `label` (HKDF-Expand, one block).
    #[must_use]
    pub fn derive(&self, label: &str) -> SecretKey {
        let mut mac = hmac_sm3(&self.0);
        mac.update(label.as_bytes());
        mac.update(&[1]);
        SecretKey(mac.finalize().into_bytes().into())
    }
}

impl Drop for SecretKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

/// The key that masks are made with. Its own type, so that no other key is taken by mistake.
#[derive(Clone, Debug)]
pub struct MaskKey(pub(crate) SecretKey);

impl MaskKey {
    #[must_use]
    pub fn new(key: SecretKey) -> Self {
        Self(key)
    }
}

/// The platform's keys, derived from the master key by purpose.
#[derive(Clone, Debug)]
pub struct KeyRing {
    /// HKDF-Extract(salt, master).
    root: SecretKey,
    master: SecretKey,
}

impl KeyRing {
    /// A ring with a new random master key; write [`KeyRing::to_text`] where only the platform can read it.
    pub fn generate() -> Result<Self> {
        Ok(Self::from_key(SecretKey::random()?))
    }
    /// A ring from 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let key: [u8; KEY_BYTES] = bytes.try_into().map_err(|_| bad_master(bytes.len()))?;
        Ok(Self::from_key(SecretKey(key)))
    }
    /// A ring from the text of a key file: 64 hex digits, white space around them allowed.
    pub fn from_text(text: &str) -> Result<Self> {
        let text = text.trim();
        let bytes = Zeroizing::new(hex::decode(text).map_err(|_| bad_master(text.len() / 2))?);
        Self::from_bytes(&bytes)
    }
    /// The text of a key file: 64 hex digits and a line end.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut text = hex::encode(self.master.bytes());
        text.push('\n');
        Zeroizing::new(text)
    }
    fn from_key(master: SecretKey) -> Self {
        let mut mac = hmac_sm3(SALT);
        mac.update(master.bytes());
        Self { root: SecretKey(mac.finalize().into_bytes().into()), master }
    }
    /// A key for any purpose. One label, one purpose.
    #[must_use]
    pub fn derive(&self, label: &str) -> SecretKey {
        self.root.derive(label)
    }
    /// For [`crate::Masker`].
    #[must_use]
    pub fn mask(&self) -> MaskKey {
        MaskKey(self.derive("mask"))
    }
    /// Seals secrets at rest: application secrets, passwords of sources.
    #[must_use]
    pub fn vault(&self) -> Vault {
        Vault::new(&self.derive("secrets"))
    }
    /// For session cookies and CSRF tokens.
    #[must_use]
    pub fn session(&self) -> SecretKey {
        self.derive("session")
    }
    /// Sixteen hex digits by which a data folder knows its own key; tells nothing about the key.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let key = self.derive("fingerprint");
        let (head, _) = key.0.split_at(8);
        hex::encode(head)
    }
}

fn bad_master(bytes: usize) -> Error {
    Error::invalid(
        format!(
            "主密钥应为 {KEY_BYTES} 字节（{} 位十六进制），实际为 {bytes} 字节或含非十六进制字符；请恢复原密钥文件",
            KEY_BYTES * 2
        ),
        format!(
            "the master key must be {KEY_BYTES} bytes ({} hex digits), found {bytes} bytes or other characters; restore the key file",
            KEY_BYTES * 2
        ),
    )
}

/// HMAC-SM3 of any key length.
pub(crate) fn hmac_sm3(key: &[u8]) -> Hmac<Sm3> {
    // HMAC takes keys of every length; the empty-key fallback is never taken.
    Hmac::<Sm3>::new_from_slice(key).unwrap_or_else(|_| Hmac::<Sm3>::new(&Default::default()))
}

/// Fills `bytes` from the operating system's chance.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<()> {
    rand::rngs::OsRng.try_fill_bytes(bytes).map_err(|e| {
        Error::new(
            Code::StoreUnavailable,
            "操作系统无法提供随机数，请稍后再试",
            "the operating system gives no random numbers, try again later",
        )
        .caused_by(e)
    })
}

/// `N` random bytes.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    fill(&mut bytes)?;
    Ok(bytes)
}

/// A random token of `bytes` bytes of chance in `[A-Za-z0-9_-]` (32 bytes: session ids, application secrets).
pub fn token(bytes: usize) -> Result<String> {
    use base64::Engine;
    let mut buffer = Zeroizing::new(vec![0; bytes]);
    fill(&mut buffer)?;
    Ok(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(buffer.as_slice()))
}

/// A random token of `bytes` bytes of chance in lower hex (access keys).
pub fn hex_token(bytes: usize) -> Result<String> {
    let mut buffer = Zeroizing::new(vec![0; bytes]);
    fill(&mut buffer)?;
    Ok(hex::encode(buffer.as_slice()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivation_is_stable_and_separated_by_label() {
        let ring = KeyRing::from_bytes(&[7; 32]).unwrap();
        let again = KeyRing::from_text(&ring.to_text()).unwrap();
        assert_eq!(ring.derive("a").bytes(), again.derive("a").bytes());
        assert_ne!(ring.derive("a").bytes(), ring.derive("b").bytes());
        assert_ne!(ring.mask().0.bytes(), ring.session().bytes());
        assert_eq!(ring.fingerprint(), again.fingerprint());
        assert_eq!(ring.fingerprint().len(), 16);
        assert_ne!(ring.fingerprint(), KeyRing::generate().unwrap().fingerprint());
    }

    #[test]
    fn debug_never_shows_a_key() {
        let ring = KeyRing::from_bytes(&[0xab; 32]).unwrap();
        let shown = format!("{ring:?} {:?} {:?}", ring.mask(), ring.session());
        assert!(!shown.contains("ab") && !shown.contains("171"), "{shown}");
    }

    #[test]
    fn wrong_files_are_refused_with_the_remedy() {
        for text in ["", "abc", &"0".repeat(63), &"z".repeat(64), &"0".repeat(66)] {
            let error = KeyRing::from_text(text).unwrap_err();
            assert!(error.en().contains("restore the key file"), "{text}");
        }
    }

    #[test]
    fn tokens_differ_and_have_their_alphabet() {
        let (a, b) = (token(32).unwrap(), token(32).unwrap());
        assert_ne!(a, b);
        assert_eq!(a.len(), 43);
        assert!(a.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_' || c == b'-'));
        assert_eq!(hex_token(10).unwrap().len(), 20);
        assert_ne!(random::<16>().unwrap(), random::<16>().unwrap());
    }
}
