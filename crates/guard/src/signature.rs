//! Signatures of calls: HMAC-SHA256 or HMAC-SM3 over a canonical string. The gateway verifies, clients sign.
//!
//! Headers: `X-Qt-Key`, `X-Qt-Timestamp` (Unix milliseconds), `X-Qt-Nonce` (16 to 64 of `[A-Za-z0-9_-]`),
//! `X-Qt-Algorithm` (`HMAC-SHA256`, the default, or `HMAC-SM3`), `X-Qt-Signature` (lower hex). The string to sign is
//! ```text
//! METHOD\nPATH\nQUERY (as sent, raw, without ?)\nhex(hash of body)\nTIMESTAMP\nNONCE
//! ```
//! where the hash of the body follows the algorithm (SHA-256 or SM3). The window of time and the memory of nonces
//! are the gateway's matter.

use std::borrow::Cow;

use hmac::{Hmac, KeyInit, Mac};
use model::{Code, Error, Result};
use sha2::Sha256;

use crate::hash::{HashAlgorithm, hex_of};
use crate::keys::hmac_sm3;

pub const HEADER_KEY: &str = "X-Qt-Key";
pub const HEADER_TIMESTAMP: &str = "X-Qt-Timestamp";
pub const HEADER_NONCE: &str = "X-Qt-Nonce";
pub const HEADER_ALGORITHM: &str = "X-Qt-Algorithm";
pub const HEADER_SIGNATURE: &str = "X-Qt-Signature";

/// How a call is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Algorithm {
    #[default]
    HmacSha256,
    HmacSm3,
}

impl Algorithm {
    /// Value of `X-Qt-Algorithm`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::HmacSha256 => "HMAC-SHA256",
            Algorithm::HmacSm3 => "HMAC-SM3",
        }
    }
    /// Reads `X-Qt-Algorithm`; `None` (no header) is the default.
    pub fn parse(header: Option<&str>) -> Result<Self> {
        match header.map(str::trim) {
            None => Ok(Algorithm::HmacSha256),
            Some(t) if t.eq_ignore_ascii_case("HMAC-SHA256") => Ok(Algorithm::HmacSha256),
            Some(t) if t.eq_ignore_ascii_case("HMAC-SM3") => Ok(Algorithm::HmacSm3),
            Some(_) => Err(Error::new(
                Code::SignatureMismatch,
                "X-Qt-Algorithm 只支持 HMAC-SHA256 或 HMAC-SM3",
                "X-Qt-Algorithm must be HMAC-SHA256 or HMAC-SM3",
            )),
        }
    }
    /// Hash of the body that goes with it.
    #[must_use]
    pub fn hash(self) -> HashAlgorithm {
        match self {
            Algorithm::HmacSha256 => HashAlgorithm::Sha256,
            Algorithm::HmacSm3 => HashAlgorithm::Sm3,
        }
    }
    /// Hex hash of a whole body; an empty body is answered without hashing.
    #[must_use]
    pub fn body_hash(self, body: &[u8]) -> Cow<'static, str> {
        match (self, body.is_empty()) {
            (Algorithm::HmacSha256, true) => Cow::Borrowed(EMPTY_SHA256),
            (Algorithm::HmacSm3, true) => Cow::Borrowed(EMPTY_SM3),
            _ => Cow::Owned(hex_of(self.hash(), body)),
        }
    }
}

/// SHA-256 of nothing.
pub const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// SM3 of nothing.
pub const EMPTY_SM3: &str = "1ab21d8355cfa17f8e61194831e81a8f22bec8c728fefb747ed035eb5082aa2b";

/// What is signed of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedRequest<'a> {
    /// Upper case, as sent.
    pub method: &'a str,
    /// Path as sent, percent-encoded.
    pub path: &'a str,
    /// Query as sent, without `?`; empty when there is none.
    pub query: &'a str,
    /// Lower hex hash of the body by the algorithm ([`Algorithm::body_hash`]).
    pub body_hash: &'a str,
    /// Unix milliseconds.
    pub timestamp: i64,
    pub nonce: &'a str,
}

impl SignedRequest<'_> {
    /// The canonical string.
    #[must_use]
    pub fn string_to_sign(&self) -> String {
        use std::fmt::Write;
        let mut text = String::with_capacity(
            self.method.len() + self.path.len() + self.query.len() + self.nonce.len() + 96,
        );
        for part in [self.method, self.path, self.query, self.body_hash] {
            text.push_str(part);
            text.push('\n');
        }
        // Writing into a String cannot fail.
        let _ = write!(text, "{}\n{}", self.timestamp, self.nonce);
        text
    }

    /// Signature under the application's secret, 64 lower hex digits.
    #[must_use]
    pub fn sign(&self, algorithm: Algorithm, secret: &[u8]) -> String {
        let text = self.string_to_sign();
        match algorithm {
            Algorithm::HmacSha256 => {
                hex::encode(hmac_sha256(secret).chain_update(&text).finalize().into_bytes())
            }
            Algorithm::HmacSm3 => {
                hex::encode(hmac_sm3(secret).chain_update(&text).finalize().into_bytes())
            }
        }
    }

    /// Compares in constant time. Fails with `SignatureMismatch` and tells the caller what to check.
    pub fn verify(&self, algorithm: Algorithm, secret: &[u8], signature: &str) -> Result<()> {
        let mut given = [0; 32];
        let text = self.string_to_sign();
        let right = hex::decode_to_slice(signature.trim(), &mut given).is_ok()
            && match algorithm {
                Algorithm::HmacSha256 => {
                    hmac_sha256(secret).chain_update(&text).verify_slice(&given).is_ok()
                }
                Algorithm::HmacSm3 => {
                    hmac_sm3(secret).chain_update(&text).verify_slice(&given).is_ok()
                }
            };
        if right {
            return Ok(());
        }
        Err(Error::new(
            Code::SignatureMismatch,
            format!(
                "签名不正确：请按 方法\\n路径\\n查询串\\n正文摘要\\n时间戳\\n随机串 以 {} 计算，查询串须与发送的完全一致（汉字等先做百分号编码）",
                algorithm.as_str()
            ),
            format!(
                "the signature does not match: sign METHOD\\nPATH\\nQUERY\\nBODY-HASH\\nTIMESTAMP\\nNONCE with {}, the query exactly as sent (Chinese and the like percent-encoded)",
                algorithm.as_str()
            ),
        ))
    }
}

/// Reads `X-Qt-Timestamp`: Unix milliseconds, digits only.
pub fn parse_timestamp(header: &str) -> Result<i64> {
    let text = header.trim();
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().ok_or_else(|| {
        Error::new(
            Code::TimestampOutOfWindow,
            "X-Qt-Timestamp 应为 Unix 毫秒数",
            "X-Qt-Timestamp must be Unix milliseconds",
        )
    })
}

/// Checks `X-Qt-Nonce`: 16 to 64 characters of `[A-Za-z0-9_-]`.
pub fn check_nonce(nonce: &str) -> Result<()> {
    let right = (16..=64).contains(&nonce.len())
        && nonce.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if right {
        return Ok(());
    }
    Err(Error::new(
        Code::SignatureMismatch,
        "X-Qt-Nonce 应为 16 至 64 个字母、数字、_ 或 -",
        "X-Qt-Nonce must be 16 to 64 characters of A-Z a-z 0-9 _ -",
    ))
}

/// HMAC-SHA256 of `message`, for cookies and tokens.
#[must_use]
pub fn mac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    hmac_sha256(key).chain_update(message).finalize().into_bytes().into()
}

/// HMAC-SM3 of `message`.
#[must_use]
pub fn mac_sm3(key: &[u8], message: &[u8]) -> [u8; 32] {
    hmac_sm3(key).chain_update(message).finalize().into_bytes().into()
}

/// Compares two byte strings in constant time (their lengths are not secret).
#[must_use]
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    use subtle::ConstantTimeEq;
    a.ct_eq(b).into()
}

fn hmac_sha256(key: &[u8]) -> Hmac<Sha256> {
    // HMAC takes keys of every length; the empty-key fallback is never taken.
    Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| Hmac::<Sha256>::new(&Default::default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: SignedRequest<'static> = SignedRequest {
        method: "GET",
        path: "/api/v1/legal_person",
        query: "select=xm,sfzh&sfzh=eq.11010519491231002X",
        body_hash: EMPTY_SHA256,
        timestamp: 1_795_000_000_123,
        nonce: "abcdefghijklmnop",
    };

    /// RFC 4231 cases 1, 2 and 6; the SM3 values of the same inputs are OpenSSL's.
    #[test]
    fn known_macs() {
        let key = [0x0b; 20];
        assert_eq!(
            hex::encode(mac_sha256(&key, b"Hi There")),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
        assert_eq!(
            hex::encode(mac_sm3(&key, b"Hi There")),
            "51b00d1fb49832bfb01c3ce27848e59f871d9ba938dc563b338ca964755cce70"
        );
        assert_eq!(
            hex::encode(mac_sha256(b"Jefe", b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hex::encode(mac_sm3(b"Jefe", b"what do ya want for nothing?")),
            "2e87f1d16862e6d964b50a5200bf2b10b764faa9680a296a2405f24bec39f882"
        );
        let long = b"Test Using Larger Than Block-Size Key - Hash Key First";
        assert_eq!(
            hex::encode(mac_sm3(&[0xaa; 131], long)),
            "b4fd844e13342002f0b2e0690ea7741f1497d993a70494cea601e657bedf67a0"
        );
    }

    #[test]
    fn the_canonical_string_is_fixed() {
        assert_eq!(
            CALL.string_to_sign(),
            "GET\n/api/v1/legal_person\nselect=xm,sfzh&sfzh=eq.11010519491231002X\n\
             e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n\
             1795000000123\nabcdefghijklmnop"
        );
        for algorithm in [Algorithm::HmacSha256, Algorithm::HmacSm3] {
            assert_eq!(algorithm.body_hash(b""), hex_of(algorithm.hash(), b""));
        }
    }

    #[test]
    fn a_signature_holds_for_exactly_its_call() {
        for algorithm in [Algorithm::HmacSha256, Algorithm::HmacSm3] {
            let signature = CALL.sign(algorithm, b"secret");
            assert_eq!(signature.len(), 64);
            CALL.verify(algorithm, b"secret", &signature).unwrap();
            let others = [
                SignedRequest { method: "POST", ..CALL },
                SignedRequest { path: "/api/v1/legal_persons", ..CALL },
                SignedRequest { query: "select=xm", ..CALL },
                SignedRequest { body_hash: EMPTY_SM3, ..CALL },
                SignedRequest { timestamp: CALL.timestamp + 1, ..CALL },
                SignedRequest { nonce: "abcdefghijklmnoq", ..CALL },
            ];
            for other in others {
                let error = other.verify(algorithm, b"secret", &signature).unwrap_err();
                assert_eq!(error.code(), Code::SignatureMismatch);
            }
            assert!(CALL.verify(algorithm, b"secreu", &signature).is_err());
            for broken in ["", "zz", &"0".repeat(62), &"0".repeat(64), &format!("{signature}00")] {
                assert!(CALL.verify(algorithm, b"secret", broken).is_err());
            }
        }
        let sm3 = CALL.sign(Algorithm::HmacSm3, b"secret");
        assert!(CALL.verify(Algorithm::HmacSha256, b"secret", &sm3).is_err());
    }

    #[test]
    fn headers_are_read_strictly() {
        assert_eq!(Algorithm::parse(None).unwrap(), Algorithm::HmacSha256);
        assert_eq!(Algorithm::parse(Some("hmac-sm3")).unwrap(), Algorithm::HmacSm3);
        assert!(Algorithm::parse(Some("none")).is_err());
        assert_eq!(parse_timestamp("1795000000123").unwrap(), 1_795_000_000_123);
        for bad in ["", "-1", "+5", "1e3", "99999999999999999999", "12 3"] {
            assert!(parse_timestamp(bad).is_err(), "{bad}");
        }
        assert!(check_nonce("abcdefghijklmnop").is_ok());
        for bad in ["short", "abcdefghijklmno\n", &"x".repeat(65), "abcdefghijklmno张"] {
            assert!(check_nonce(bad).is_err(), "{bad}");
        }
    }
}
