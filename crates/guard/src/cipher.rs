//! Secrets at rest: authenticated encryption in a versioned envelope, `v1.sm4gcm.<base64>` or `v1.aes256gcm.<base64>`.
//!
//! The base64 part (URL-safe, no padding) holds a random 96-bit nonce, the ciphertext and the 128-bit tag. The
//! envelope's head and the caller's context (for instance `application:<id>`) are authenticated with it, so an
//! envelope moved to another record does not open.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, AesGcm, Nonce};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{Error, Result};
use sm4::Sm4;
use sm4::cipher::consts::U12;
use zeroize::Zeroizing;

use crate::keys::{self, SecretKey};

/// SM4 in Galois/Counter mode, RFC 8998.
type Sm4Gcm = AesGcm<Sm4, U12>;

const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// Cipher of an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Cipher {
    /// SM4-GCM, 128-bit key (GB/T 32907, RFC 8998): the default.
    #[default]
    Sm4Gcm,
    /// AES-256-GCM.
    Aes256Gcm,
}

impl Cipher {
    pub const ALL: [Cipher; 2] = [Cipher::Sm4Gcm, Cipher::Aes256Gcm];
    /// Word in the envelope.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Cipher::Sm4Gcm => "sm4gcm",
            Cipher::Aes256Gcm => "aes256gcm",
        }
    }
}

/// Seals and opens secrets. Key schedules are made once.
#[derive(Clone)]
pub struct Vault {
    sm4: Sm4Gcm,
    aes: Aes256Gcm,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault(…)")
    }
}

impl Vault {
    /// A vault whose two ciphers have keys of their own, derived from `key`.
    #[must_use]
    pub fn new(key: &SecretKey) -> Self {
        let sm4_key = key.derive(Cipher::Sm4Gcm.as_str());
        let aes_key = key.derive(Cipher::Aes256Gcm.as_str());
        let mut half = Zeroizing::new([0; 16]);
        half.iter_mut().zip(sm4_key.bytes()).for_each(|(to, from)| *to = *from);
        Self { sm4: Sm4Gcm::new(&(*half).into()), aes: Aes256Gcm::new(&(*aes_key.bytes()).into()) }
    }

    /// Seals `plain` with SM4-GCM for one context.
    pub fn seal(&self, context: &str, plain: &[u8]) -> Result<String> {
        self.seal_with(Cipher::default(), context, plain)
    }

    /// Seals `plain` with the given cipher for one context.
    pub fn seal_with(&self, cipher: Cipher, context: &str, plain: &[u8]) -> Result<String> {
        let nonce: [u8; NONCE_BYTES] = keys::random()?;
        let head = head(cipher);
        let aad = aad(&head, context);
        let payload = Payload { msg: plain, aad: aad.as_bytes() };
        let sealed = match cipher {
            Cipher::Sm4Gcm => self.sm4.encrypt(&Nonce::from(nonce), payload),
            Cipher::Aes256Gcm => self.aes.encrypt(&Nonce::from(nonce), payload),
        }
        .map_err(|_| Error::internal("sealing failed: the secret is too long"))?;
        let mut body = nonce.to_vec();
        body.extend_from_slice(&sealed);
        Ok(format!("{head}.{}", URL_SAFE_NO_PAD.encode(body)))
    }

    /// Opens an envelope made by `seal` for the same context. Fails when it was altered, moved to another context,
    /// or sealed under another key; the error tells the operator which check failed, never the content.
    pub fn open(&self, context: &str, envelope: &str) -> Result<Zeroizing<Vec<u8>>> {
        let bad = |detail: &str| Error::internal(format!("sealed secret `{context}`: {detail}"));
        let (head_text, body) =
            envelope.rsplit_once('.').ok_or_else(|| bad("not an envelope `v1.cipher.base64`"))?;
        let cipher = Cipher::ALL
            .into_iter()
            .find(|c| head(*c) == head_text)
            .ok_or_else(|| bad("unknown version or cipher"))?;
        let body = URL_SAFE_NO_PAD.decode(body).map_err(|_| bad("the base64 part is broken"))?;
        let (nonce, sealed) = body
            .split_first_chunk::<NONCE_BYTES>()
            .filter(|(_, rest)| rest.len() >= TAG_BYTES)
            .ok_or_else(|| bad("shorter than nonce and tag"))?;
        let aad = aad(head_text, context);
        let payload = Payload { msg: sealed, aad: aad.as_bytes() };
        match cipher {
            Cipher::Sm4Gcm => self.sm4.decrypt(&Nonce::from(*nonce), payload),
            Cipher::Aes256Gcm => self.aes.decrypt(&Nonce::from(*nonce), payload),
        }
        .map(Zeroizing::new)
        .map_err(|_| bad("altered, of another record, or sealed under another master key"))
    }
}

fn head(cipher: Cipher) -> String {
    format!("v1.{}", cipher.as_str())
}

fn aad(head: &str, context: &str) -> String {
    format!("{head}|{context}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(byte: u8) -> Vault {
        Vault::new(&SecretKey::new([byte; 32]))
    }

    /// RFC 8998 A.1.
    #[test]
    fn sm4_gcm_of_rfc_8998() {
        let key: [u8; 16] =
            hex::decode("0123456789abcdeffedcba9876543210").unwrap().try_into().unwrap();
        let nonce: [u8; 12] = hex::decode("00001234567800000000abcd").unwrap().try_into().unwrap();
        let plain = hex::decode(
            "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd\
             eeeeeeeeeeeeeeeeffffffffffffffffeeeeeeeeeeeeeeeeaaaaaaaaaaaaaaaa",
        )
        .unwrap();
        let aad = hex::decode("feedfacedeadbeeffeedfacedeadbeefabaddad2").unwrap();
        let sealed = Sm4Gcm::new(&key.into())
            .encrypt(&Nonce::from(nonce), Payload { msg: &plain, aad: &aad })
            .unwrap();
        assert_eq!(
            hex::encode(sealed),
            "17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735\
             d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397b4024a2691233b8d\
             83de3541e4c2b58177e065a9bf7b62ec"
        );
    }

    /// GB/T 32907-2016 A.1.
    #[test]
    fn sm4_block_of_the_standard() {
        use sm4::cipher::BlockCipherEncrypt;
        let key: [u8; 16] =
            hex::decode("0123456789abcdeffedcba9876543210").unwrap().try_into().unwrap();
        let mut block = key.into();
        Sm4::new(&key.into()).encrypt_block(&mut block);
        assert_eq!(hex::encode(block), "681edf34d206965e86b3e94f536e4246");
    }

    #[test]
    fn what_is_sealed_opens_only_unaltered_in_its_context_under_its_key() {
        for cipher in Cipher::ALL {
            let v = vault(1);
            let sealed = v.seal_with(cipher, "application:a", "密钥 secret".as_bytes()).unwrap();
            assert!(sealed.starts_with(&format!("v1.{}.", cipher.as_str())));
            assert_eq!(
                v.open("application:a", &sealed).unwrap().as_slice(),
                "密钥 secret".as_bytes()
            );
            assert!(v.open("application:b", &sealed).is_err());
            assert!(vault(2).open("application:a", &sealed).is_err());
            assert_ne!(sealed, v.seal_with(cipher, "application:a", b"x").unwrap());
            for i in 0..sealed.len() {
                let mut bytes = sealed.clone().into_bytes();
                bytes[i] = if bytes[i] == b'A' { b'B' } else { b'A' };
                let altered = String::from_utf8(bytes).unwrap();
                assert!(v.open("application:a", &altered).is_err(), "{i} {altered}");
            }
        }
    }

    #[test]
    fn broken_envelopes_are_refused_without_panic() {
        for text in ["", "v1", "v1.sm4gcm", "v1.sm4gcm.", "v1.sm4gcm.AAAA", "v2.sm4gcm.AAAA", "..."]
        {
            assert!(vault(1).open("c", text).is_err(), "{text}");
        }
        let shown = format!("{:?}", vault(3));
        assert_eq!(shown, "Vault(…)");
    }
}
