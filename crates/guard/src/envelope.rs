//! Files under way between departments: encrypted by SM4-GCM in the versioned envelope of `cipher` under a key both sides hold,
//! signed beside them by minisign (Ed25519) or SM2. Formats and algorithms are those crates' own; nothing here invents any.
//!
//! An SM2 signature is over the file's SM3 fingerprint (64 lower hex digits as text), so that a file of any size is signed
//! without being held in memory: `SM2-sign(sm3_hex(file))`, r || s in hex, with the default identity.

use std::io::Read;

use model::{Code, Error, Result};
use zeroize::Zeroizing;

use crate::cipher::Vault;
use crate::keys::{self, KeyRing, SecretKey};
use crate::sm2;

/// Largest file that is encrypted: it is held in memory, so that nothing of it is used before its tag has held.
pub const MOST: u64 = 128 << 20;
/// What an encrypted file is bound to.
const CONTEXT: &str = "qiantang.exchange.file";

/// A new key for both sides: 64 hex digits.
pub fn key() -> Result<Zeroizing<String>> {
    keys::random::<32>().map(|bytes| Zeroizing::new(hex::encode(bytes)))
}

/// Whether a text is such a key.
#[must_use]
pub fn key_ok(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn vault(key: &str) -> Result<Vault> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    hex::decode_to_slice(key.trim(), bytes.as_mut_slice()).map_err(|_| {
        Error::invalid("文件密钥应为 64 位十六进制", "the key of files is 64 hex digits")
    })?;
    Ok(Vault::new(&SecretKey::new(*bytes)))
}

/// Encrypts a file.
pub fn seal(key: &str, plain: &[u8]) -> Result<String> {
    if plain.len() as u64 > MOST {
        return Err(too_large());
    }
    vault(key)?.seal(CONTEXT, plain)
}

/// Decrypts a file; nothing is answered unless all of it is as it was sealed.
pub fn open(key: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let bad = || {
        Error::new(
            Code::InvalidFile,
            "文件无法解密：不是以本交换的密钥按 SM4-GCM 封装的，或已被改动；请用 qiantang exchange seal 重新封装",
            "the file cannot be decrypted: it was not sealed with this exchange's key by SM4-GCM, or was altered; seal it again by `qiantang exchange seal`",
        )
    };
    let text = std::str::from_utf8(sealed).map_err(|_| bad())?;
    vault(key)?.open(CONTEXT, text.trim()).map_err(|_| bad())
}

/// A file that is too large to be encrypted in one piece.
#[must_use]
pub fn too_large() -> Error {
    Error::new(
        Code::TooLarge,
        "加密的文件最大 128 MiB，请拆分后交付",
        "an encrypted file has 128 MiB at most; deliver it in parts",
    )
}

/// Whether a text is a public key of minisign.
#[must_use]
pub fn minisign_key_ok(text: &str) -> bool {
    minisign_verify::PublicKey::from_base64(text.trim()).is_ok()
}

/// Whether `signature` (the content of `X.minisig`) is the key's over a stream.
pub fn minisign_verifies(key: &str, signature: &str, mut from: impl Read) -> Result<bool> {
    let Ok(key) = minisign_verify::PublicKey::from_base64(key.trim()) else { return Ok(false) };
    let Ok(signature) = minisign_verify::Signature::decode(signature) else { return Ok(false) };
    let Ok(mut verifier) = key.verify_stream(&signature) else { return Ok(false) };
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n =
            from.read(&mut buffer).map_err(|e| Error::of(Code::StoreUnavailable).caused_by(e))?;
        let Some(piece) = buffer.get(..n).filter(|p| !p.is_empty()) else { break };
        verifier.update(piece);
    }
    Ok(verifier.finalize().is_ok())
}

/// What the platform signs the files by that it sends.
pub fn sm2_signer(keys: &KeyRing) -> Result<sm2::KeyPair> {
    sm2::KeyPair::derived(keys, "exchange files", sm2::DEFAULT_IDENTITY)
}

/// Whether `signature` (the content of `X.sm2sig`) is the key's over a file of this SM3 fingerprint.
#[must_use]
pub fn sm2_verifies(key: &str, signature: &str, sm3: &str) -> bool {
    sm2::verify(key, sm2::DEFAULT_IDENTITY, sm3.as_bytes(), signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encrypted_is_read_by_its_key_only_and_unaltered() {
        let secret = key().unwrap();
        assert!(key_ok(&secret) && !key_ok("12"));
        let plain = "编号,名称\n1,甲\n".repeat(2_000);
        let sealed = seal(&secret, plain.as_bytes()).unwrap();
        assert_eq!(open(&secret, sealed.as_bytes()).unwrap().as_slice(), plain.as_bytes());
        assert!(open(&key().unwrap(), sealed.as_bytes()).is_err());
        let mut altered = sealed.into_bytes();
        let middle = altered.len() / 2;
        altered[middle] = if altered[middle] == b'A' { b'B' } else { b'A' };
        assert_eq!(open(&secret, &altered).unwrap_err().code(), Code::InvalidFile);
        assert!(open(&secret, plain.as_bytes()).is_err());
    }

    #[test]
    fn signatures_hold_for_their_file_and_key() {
        // Key and signature made by minisign 0.11 itself (its own documentation's example).
        let key = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
        let signature = "untrusted comment: signature from minisign secret key\nRUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=\ntrusted comment: timestamp:1633700835\tfile:test\tprehashed\nwLMDjy9FLAuxZ3q4NlEvkgtyhrr0gtTu6KC4KBJdITbbOeAi1zBIYo0v4iTgt8jJpIidRJnp94ABQkJAgAooBQ==";
        assert!(minisign_key_ok(key) && !minisign_key_ok("x"));
        assert!(minisign_verifies(key, signature, "test".as_bytes()).unwrap());
        assert!(!minisign_verifies(key, signature, "tesu".as_bytes()).unwrap());
        assert!(!minisign_verifies(key, "", "test".as_bytes()).unwrap());
        let pair = sm2::KeyPair::generate(sm2::DEFAULT_IDENTITY).unwrap();
        let print = crate::hash::sm3_hex(b"file");
        let signed = pair.sign(print.as_bytes()).unwrap();
        assert!(sm2_verifies(&pair.public_hex(), &signed, &print));
        assert!(!sm2_verifies(&pair.public_hex(), &signed, &crate::hash::sm3_hex(b"filf")));
    }
}
