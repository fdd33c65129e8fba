//! SCRAM-SHA-256 (RFC 5802, RFC 7677), the server's side: what is kept of a password, and whether a client has proved it.
//!
//! ```text
//! client → server   n,,n=*,r=CLIENT                                  client-first
//! server → client   r=CLIENT+SERVER,s=SALT,i=4096                    server-first
//! client → server   c=biws,r=CLIENT+SERVER,p=PROOF                   client-final
//! server → client   v=SIGNATURE                                      server-final
//! ```
//!
//! What is kept is a [`Verifier`]: `StoredKey` and `ServerKey`, of which neither signs a client in. The salted password, which
//! would, is never kept. Primitives are RustCrypto's; proofs are compared in constant time. There is no channel binding.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use model::{Code, Error, Result};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::keys::{self, SecretKey};

/// Name of the mechanism in the protocol.
pub const MECHANISM: &str = "SCRAM-SHA-256";
/// Rounds of salting. Passwords here are chosen by the platform from chance, so that more would protect nothing.
const ITERATIONS: u32 = 4096;
/// Longest message that is looked at.
const LONGEST: usize = 2048;

/// What is kept of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    salt: Vec<u8>,
    iterations: u32,
    stored: [u8; 32],
    server: [u8; 32],
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").finish_non_exhaustive()
    }
}

impl Verifier {
    /// Of a new password (ASCII, so that no normalisation changes it), with a salt of its own.
    pub fn of(password: &str) -> Result<Self> {
        Ok(Self::salted(password, &keys::random::<16>()?, ITERATIONS))
    }

    /// For a name that nobody has: the same salt at every try, and no password fits.
    #[must_use]
    pub fn nobody(secret: &SecretKey, name: &str) -> Self {
        let salt = secret.derive(&format!("scram salt {name}"));
        let stored = secret.derive(&format!("scram stored {name}"));
        let server = secret.derive(&format!("scram server {name}"));
        Self {
            salt: salt.bytes().iter().take(16).copied().collect(),
            iterations: ITERATIONS,
            stored: *stored.bytes(),
            server: *server.bytes(),
        }
    }

    fn salted(password: &str, salt: &[u8], iterations: u32) -> Self {
        let salted = salt_password(password.as_bytes(), salt, iterations);
        let client = Zeroizing::new(hmac(&*salted, &[b"Client Key"]));
        Self {
            salt: salt.to_vec(),
            iterations,
            stored: Sha256::digest(client.as_slice()).into(),
            server: hmac(&*salted, &[b"Server Key"]),
        }
    }

    /// As PostgreSQL writes it: `SCRAM-SHA-256$4096:SALT$STORED:SERVER`.
    #[must_use]
    pub fn to_text(&self) -> String {
        let text = |bytes: &[u8]| STANDARD.encode(bytes);
        format!(
            "{MECHANISM}${}:{}${}:{}",
            self.iterations,
            text(&self.salt),
            text(&self.stored),
            text(&self.server)
        )
    }

    /// Reads [`Verifier::to_text`].
    pub fn from_text(text: &str) -> Result<Self> {
        let broken = || Error::internal("guard: a SCRAM verifier cannot be read");
        let key = |text: &str| -> Option<[u8; 32]> { STANDARD.decode(text).ok()?.try_into().ok() };
        let parsed = || -> Option<Self> {
            let (head, keys) = text.strip_prefix(MECHANISM)?.strip_prefix('$')?.split_once('$')?;
            let (iterations, salt) = head.split_once(':')?;
            let (stored, server) = keys.split_once(':')?;
            Some(Self {
                salt: STANDARD.decode(salt).ok()?,
                iterations: iterations.parse().ok()?,
                stored: key(stored)?,
                server: key(server)?,
            })
        };
        parsed().ok_or_else(broken)
    }
}

/// An exchange under way.
pub struct Exchange {
    verifier: Verifier,
    /// `client-first-bare,server-first`
    first: String,
    nonce: String,
    /// The GS2 header in Base64, as it must come back.
    binding: String,
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchange").finish_non_exhaustive()
    }
}

impl Exchange {
    /// Takes the client's first message; answers the exchange and the server's.
    pub fn begin(verifier: Verifier, client_first: &[u8]) -> Result<(Self, String)> {
        Self::begin_with(verifier, client_first, &STANDARD.encode(keys::random::<18>()?))
    }

    fn begin_with(verifier: Verifier, client_first: &[u8], own: &str) -> Result<(Self, String)> {
        let text = read(client_first)?;
        // `n`: the client has no channel binding; `y`: it has, and thinks that we have none. Both are true.
        let bare = text
            .strip_prefix("n,,")
            .or_else(|| text.strip_prefix("y,,"))
            .ok_or_else(not_understood)?;
        let header = if text.starts_with('n') { "n,," } else { "y,," };
        let mut parts = bare.split(',');
        let name = parts.next().filter(|n| n.starts_with("n="));
        let nonce = parts.next().and_then(|r| r.strip_prefix("r=")).filter(|r| !r.is_empty());
        let (Some(_), Some(nonce)) = (name, nonce) else { return Err(not_understood()) };
        let nonce = format!("{nonce}{own}");
        let server_first =
            format!("r={nonce},s={},i={}", STANDARD.encode(&verifier.salt), verifier.iterations);
        let first = format!("{bare},{server_first}");
        Ok((Self { verifier, first, nonce, binding: STANDARD.encode(header) }, server_first))
    }

    /// Takes the client's proof; answers the server's, or `None` when it is wrong.
    pub fn finish(&self, client_final: &[u8]) -> Result<Option<String>> {
        let text = read(client_final)?;
        let (without, proof) = text.rsplit_once(",p=").ok_or_else(not_understood)?;
        let mut parts = without.split(',');
        let binding = parts.next().and_then(|c| c.strip_prefix("c="));
        let nonce = parts.next().and_then(|r| r.strip_prefix("r="));
        if binding != Some(self.binding.as_str()) || nonce != Some(self.nonce.as_str()) {
            return Err(not_understood());
        }
        let proof: [u8; 32] = STANDARD
            .decode(proof)
            .ok()
            .and_then(|p| p.try_into().ok())
            .ok_or_else(not_understood)?;
        let message = [self.first.as_bytes(), b",", without.as_bytes()];
        let signature = hmac(&self.verifier.stored, &message);
        let mut client = Zeroizing::new([0_u8; 32]);
        for ((key, p), s) in client.iter_mut().zip(proof).zip(signature) {
            *key = p ^ s;
        }
        let stored: [u8; 32] = Sha256::digest(client.as_slice()).into();
        if !bool::from(stored.ct_eq(&self.verifier.stored)) {
            return Ok(None);
        }
        Ok(Some(format!("v={}", STANDARD.encode(hmac(&self.verifier.server, &message)))))
    }
}

fn read(message: &[u8]) -> Result<&str> {
    if message.len() > LONGEST {
        return Err(not_understood());
    }
    std::str::from_utf8(message).map_err(|_| not_understood())
}

fn not_understood() -> Error {
    Error::new(
        Code::WrongCredentials,
        "SCRAM 认证消息有误，请检查客户端（需支持 SCRAM-SHA-256，不使用通道绑定）",
        "a SCRAM message is wrong: check the client (SCRAM-SHA-256 without channel binding)",
    )
}

fn hmac(key: &[u8], message: &[&[u8]]) -> [u8; 32] {
    // A key may have any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    message.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// `Hi` of RFC 5802: PBKDF2 with HMAC-SHA-256, one block.
fn salt_password(password: &[u8], salt: &[u8], iterations: u32) -> Zeroizing<[u8; 32]> {
    let mut round = hmac(password, &[salt, &1_u32.to_be_bytes()]);
    let mut all = Zeroizing::new(round);
    for _ in 1..iterations {
        round = hmac(password, &[&round]);
        all.iter_mut().zip(round).for_each(|(a, r)| *a ^= r);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";

    fn verifier() -> Verifier {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        Verifier::salted("pencil", &salt, 4096)
    }

    #[test]
    fn the_example_of_rfc_7677_comes_out() {
        let own = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let (exchange, first) = Exchange::begin_with(verifier(), FIRST, own).unwrap();
        assert_eq!(
            first,
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        );
        let proof = format!("{FINAL},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        let told = exchange.finish(proof.as_bytes()).unwrap();
        assert_eq!(told.as_deref(), Some("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
        let wrong = format!("{FINAL},p=eHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        assert_eq!(exchange.finish(wrong.as_bytes()).unwrap(), None);
    }

    #[test]
    fn a_verifier_is_kept_as_text_and_does_not_hold_the_password() {
        let kept = Verifier::of("s3cret").unwrap();
        assert_eq!(Verifier::from_text(&kept.to_text()).unwrap(), kept);
        assert!(kept.to_text().starts_with("SCRAM-SHA-256$4096:"));
        assert!(Verifier::from_text("SCRAM-SHA-256$4096:x").is_err());
    }

    #[test]
    fn nobody_looks_like_somebody_and_is_the_same_each_time() {
        let secret = SecretKey::new([7; 32]);
        assert_eq!(Verifier::nobody(&secret, "a"), Verifier::nobody(&secret, "a"));
        assert_ne!(Verifier::nobody(&secret, "a").salt, Verifier::nobody(&secret, "b").salt);
        assert_eq!(Verifier::nobody(&secret, "a").salt.len(), 16);
    }

    #[test]
    fn broken_messages_are_refused() {
        for first in ["", "p=tls-unique,,n=,r=x", "n,,r=x", "n,,n=a,r=", "n,a=b,n=a,r=x"] {
            assert!(Exchange::begin(verifier(), first.as_bytes()).is_err(), "{first}");
        }
        let (exchange, _) = Exchange::begin_with(verifier(), FIRST, "x").unwrap();
        for last in ["", "c=biws", "c=biws,r=other,p=AA==", "c=eSws,r=rOprNGfwEbeRWgbNEkqOx,p=AA=="]
        {
            assert!(exchange.finish(last.as_bytes()).is_err(), "{last}");
        }
    }
}
