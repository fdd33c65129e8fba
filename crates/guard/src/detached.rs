//! Detached signatures that people make with keys of their own: SM2 (GB/T 32918.2) and Ed25519 (RFC 8032), over a digest's hex digits
//! as text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use der::asn1::UintRef;
use der::{Decode, Sequence};
use model::restricted::SigningAlgorithm;
use model::{Error, Result};

use crate::{ed25519, sm2};

/// What stands before the key's own bytes in a SubjectPublicKeyInfo (RFC 5280 §4.1): Ed25519 (RFC 8410), SM2 (GM/T 0009).
const ED25519: &str = "302a300506032b6570032100";
const SM2: &str = "3059301306072a8648ce3d020106082a811ccf5501822d034200";

/// Reads a public key: 130 hex digits of an SM2 point, 64 of an Ed25519 key, or either as PEM (`BEGIN PUBLIC KEY`).
pub fn read_key(text: &str) -> Result<(SigningAlgorithm, String)> {
    let wrong = || {
        Error::invalid(
            "公钥应为 SM2（130 位十六进制，04 开头）或 Ed25519（64 位十六进制），也可为 PEM 格式的公钥",
            "the public key must be SM2 (130 hex digits, beginning with 04) or Ed25519 (64 hex digits), or either in PEM form",
        )
        .field("key", "请核对公钥", "check the key")
    };
    let text = text.trim();
    let hex_text = match text.strip_prefix("-----BEGIN PUBLIC KEY-----") {
        None => text.to_ascii_lowercase(),
        Some(rest) => {
            let body = rest.split("-----END").next().unwrap_or_default();
            let body: String = body.chars().filter(|c| !c.is_whitespace()).collect();
            let der = hex::encode(STANDARD.decode(body).map_err(|_| wrong())?);
            let key = der.strip_prefix(ED25519).or_else(|| der.strip_prefix(SM2));
            key.ok_or_else(wrong)?.to_owned()
        }
    };
    if hex::decode(&hex_text).is_err() {
        return Err(wrong());
    }
    match hex_text.len() {
        130 if sm2::readable(&hex_text) => Ok((SigningAlgorithm::Sm2, hex_text)),
        64 => Ok((SigningAlgorithm::Ed25519, hex_text)),
        _ => Err(wrong()),
    }
}

/// Whether `signature` (hex; of SM2 r || s or DER) is the key's over `message`. What cannot be read is no signature.
#[must_use]
pub fn verifies(algorithm: SigningAlgorithm, key: &str, message: &[u8], signature: &str) -> bool {
    let signature: String = signature.chars().filter(|c| !c.is_whitespace()).collect();
    match algorithm {
        SigningAlgorithm::Sm2 => {
            let signature =
                if signature.len() == 128 { Some(signature) } else { plain(&signature) };
            signature.is_some_and(|s| sm2::verify(key, sm2::DEFAULT_IDENTITY, message, &s))
        }
        SigningAlgorithm::Ed25519 => ed25519::verify(key, message, &signature),
    }
}

/// `SEQUENCE { r INTEGER, s INTEGER }`
#[derive(Sequence)]
struct Pair<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
}

/// r || s of a DER signature.
fn plain(signature: &str) -> Option<String> {
    let der = hex::decode(signature).ok()?;
    let pair = Pair::from_der(&der).ok()?;
    let part = |n: UintRef<'_>| {
        let digits = hex::encode(n.as_bytes());
        (digits.len() <= 64).then(|| format!("{digits:0>64}"))
    };
    Some(format!("{}{}", part(pair.r)?, part(pair.s)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same signature as `SEQUENCE { r, s }`.
    fn der_of(signature: &str) -> String {
        let integer = |digits: &str| {
            let bytes = hex::decode(digits).unwrap();
            let bytes = match bytes.iter().position(|b| *b != 0) {
                Some(first) => bytes[first..].to_vec(),
                None => vec![0],
            };
            let bytes = if bytes[0] >= 0x80 { [vec![0], bytes].concat() } else { bytes };
            [vec![2, bytes.len() as u8], bytes].concat()
        };
        let (r, s) = signature.split_at(64);
        let body = [integer(r), integer(s)].concat();
        hex::encode([vec![0x30, body.len() as u8], body].concat())
    }

    #[test]
    fn sm2_in_both_forms() {
        let pair = sm2::KeyPair::generate(sm2::DEFAULT_IDENTITY).unwrap();
        let (algorithm, key) = read_key(&pair.public_hex().to_uppercase()).unwrap();
        assert_eq!(algorithm, SigningAlgorithm::Sm2);
        let signature = pair.sign(b"digest").unwrap();
        assert!(verifies(algorithm, &key, b"digest", &signature));
        assert!(!verifies(algorithm, &key, b"other", &signature));
        let der = der_of(&signature);
        assert!(verifies(algorithm, &key, b"digest", &der));
        for wrong in ["", "zz", "3000", der.split_at(20).0] {
            assert!(!verifies(algorithm, &key, b"digest", wrong), "{wrong}");
        }
        let pem = STANDARD.encode(hex::decode(format!("{SM2}{key}")).unwrap());
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{pem}\n-----END PUBLIC KEY-----\n");
        assert_eq!(read_key(&pem).unwrap(), (algorithm, key));
    }

    /// RFC 8032 7.1, test 2.
    #[test]
    fn ed25519_of_the_standard() {
        let key = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
        let signature = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                         085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
        let (algorithm, key) = read_key(key).unwrap();
        assert_eq!(algorithm, SigningAlgorithm::Ed25519);
        assert!(verifies(algorithm, &key, b"r", signature));
        assert!(!verifies(algorithm, &key, b"s", signature));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let zeros = format!("04{}", "0".repeat(128));
        for text in ["", "12", "xyz", &zeros, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END"] {
            assert!(read_key(text).is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]
        #[test]
        fn der_and_plain_are_the_same_signature(message in proptest::collection::vec(0_u8..=255, 0..64)) {
            let pair = sm2::KeyPair::generate(sm2::DEFAULT_IDENTITY).unwrap();
            let signature = pair.sign(&message).unwrap();
            assert_eq!(plain(&der_of(&signature)).as_deref(), Some(signature.as_str()));
            assert!(verifies(SigningAlgorithm::Sm2, &pair.public_hex(), &message, &der_of(&signature)));
        }
    }
}
