//! The signing key of the identity provider and what it signs: ID tokens of OpenID Connect Core 1.0 and logout tokens of its Back-Channel
//! Logout 1.0 by RS256, the JWK set (RFC 7517), ID tokens that clients bring back as hints, and challenges of PKCE (RFC 7636, S256 only).
//! The formats are the crate `openidconnect`'s, RSA is RustCrypto's.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use model::{Error, Result};
use openidconnect::core::{
    CoreGenderClaim, CoreIdTokenVerifier, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm, CoreRsaPrivateSigningKey,
};
use openidconnect::{
    AccessToken, AdditionalClaims, Audience, AuthenticationContextClass,
    AuthenticationMethodReference, ClientId, IdToken, IdTokenClaims, IssuerUrl, JsonWebKeyId,
    JsonWebKeySet, Nonce, PrivateSigningKey as _, StandardClaims, SubjectIdentifier,
};
use rsa::pkcs1::EncodeRsaPrivateKey as _;
use rsa::pkcs8::LineEnding;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::keys;

/// Bits of a key; RS256 asks for 2048 at least (RFC 7518 §3.3).
const BITS: usize = 2048;
/// Longest ID token that is looked at as a hint, in bytes.
const LONGEST_HINT: usize = 8 * 1024;

/// Claims of ours beside the standard's: the session (OpenID Connect Front-Channel Logout 1.0 §3 names it).
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct OwnClaims {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
}
impl AdditionalClaims for OwnClaims {}

type Claims = IdTokenClaims<OwnClaims, CoreGenderClaim>;
type Token =
    IdToken<OwnClaims, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;

/// A new key: its id, and the private key as PKCS#1 PEM, to be kept sealed. Takes a second or so; call it off the runtime.
pub fn generate() -> Result<(String, Zeroizing<String>)> {
    let wrong = |e: String| Error::internal(format!("an RSA key could not be made: {e}"));
    let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, BITS)
        .map_err(|e| wrong(e.to_string()))?;
    let pem = key.to_pkcs1_pem(LineEnding::LF).map_err(|e| wrong(e.to_string()))?;
    Ok((keys::hex_token(8)?, pem))
}

/// What an ID token says (OpenID Connect Core 1.0 §2).
#[derive(Clone, Copy, Debug)]
pub struct IdClaims<'a> {
    pub issuer: &'a str,
    pub subject: &'a str,
    /// The client's id.
    pub audience: &'a str,
    pub issued_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub auth_time: DateTime<Utc>,
    /// The authentication context (`acr`); empty: not told.
    pub context: &'a str,
    /// Methods of authentication (`amr`, words of RFC 8176); none: not told.
    pub methods: &'a [&'a str],
    /// The session, as this client knows it (`sid`); empty: not told.
    pub session: &'a str,
    /// As the client gave it; empty: none.
    pub nonce: &'a str,
    /// The access token given out with it, for `at_hash`.
    pub access_token: &'a str,
}

/// What a logout token says (OpenID Connect Back-Channel Logout 1.0 §2.4).
#[derive(Clone, Copy, Debug)]
pub struct LogoutClaims<'a> {
    pub issuer: &'a str,
    pub subject: &'a str,
    /// The client's id.
    pub audience: &'a str,
    /// The session, as this client knows it.
    pub session: &'a str,
    /// Another for every token (`jti`).
    pub id: &'a str,
    pub issued_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

/// The event a logout token tells of.
const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// A key that signs.
pub struct Signer {
    kid: String,
    key: CoreRsaPrivateSigningKey,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl Signer {
    /// Of what [`generate`] made.
    pub fn from_pem(kid: &str, pem: &str) -> Result<Self> {
        let key = CoreRsaPrivateSigningKey::from_pem(pem, Some(JsonWebKeyId::new(kid.to_owned())))
            .map_err(|e| Error::internal(format!("the identity provider's key: {e}")))?;
        Ok(Self { kid: kid.to_owned(), key })
    }

    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public part as a JWK, for the set.
    pub fn public(&self) -> Result<serde_json::Value> {
        let key: CoreJsonWebKey = self.key.as_verification_key();
        let mut key = serde_json::to_value(&key)
            .map_err(|e| Error::internal("a JWK cannot be written").caused_by(e))?;
        if let Some(fields) = key.as_object_mut() {
            fields.insert("use".to_owned(), "sig".into());
            fields.insert("alg".to_owned(), "RS256".into());
        }
        Ok(key)
    }

    /// A signed ID token.
    pub fn id_token(&self, claims: &IdClaims<'_>) -> Result<String> {
        let issuer = IssuerUrl::new(claims.issuer.to_owned())
            .map_err(|e| Error::internal("the issuer is no address").caused_by(e))?;
        let own =
            OwnClaims { sid: (!claims.session.is_empty()).then(|| claims.session.to_owned()) };
        let methods: Vec<AuthenticationMethodReference> = claims
            .methods
            .iter()
            .map(|m| AuthenticationMethodReference::new((*m).to_owned()))
            .collect();
        let context = (!claims.context.is_empty())
            .then(|| AuthenticationContextClass::new(claims.context.to_owned()));
        let said = Claims::new(
            issuer,
            vec![Audience::new(claims.audience.to_owned())],
            claims.expires_at,
            claims.issued_at,
            StandardClaims::new(SubjectIdentifier::new(claims.subject.to_owned())),
            own,
        )
        .set_auth_time(Some(claims.auth_time))
        .set_auth_context_ref(context)
        .set_auth_method_refs((!methods.is_empty()).then_some(methods))
        .set_nonce((!claims.nonce.is_empty()).then(|| Nonce::new(claims.nonce.to_owned())));
        let token = Token::new(
            said,
            &self.key,
            CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
            Some(&AccessToken::new(claims.access_token.to_owned())),
            None,
        )
        .map_err(|e| Error::internal("an ID token could not be signed").caused_by(e))?;
        Ok(token.to_string())
    }

    /// A signed logout token. Its type says what it is: it passes for no ID token.
    pub fn logout_token(&self, claims: &LogoutClaims<'_>) -> Result<String> {
        let head = serde_json::json!({ "alg": "RS256", "kid": self.kid, "typ": "logout+jwt" });
        let body = serde_json::json!({
            "iss": claims.issuer,
            "sub": claims.subject,
            "aud": claims.audience,
            "iat": claims.issued_at.timestamp(),
            "exp": claims.expires_at.timestamp(),
            "jti": claims.id,
            "events": { LOGOUT_EVENT: {} },
            "sid": claims.session,
        });
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let said = format!("{}.{}", part(&head), part(&body));
        let signature = self
            .key
            .sign(&CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256, said.as_bytes())
            .map_err(|e| Error::internal("a logout token could not be signed").caused_by(e))?;
        Ok(format!("{said}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// What an ID token of ours says that a client brings back (`id_token_hint`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    pub subject: String,
    /// The client's id.
    pub audience: String,
    /// The session as that client knows it; empty: it did not say.
    pub session: String,
}

/// Reads an ID token that one of these keys signed for this issuer, be it over or not (OpenID Connect RP-Initiated Logout 1.0 §2);
/// `None`: it is none of ours.
#[must_use]
pub fn hint(signers: &[Arc<Signer>], issuer: &str, token: &str) -> Option<Hint> {
    if token.len() > LONGEST_HINT {
        return None;
    }
    let token: Token = token.parse().ok()?;
    let keys: Vec<CoreJsonWebKey> = signers.iter().map(|s| s.key.as_verification_key()).collect();
    let verifier = CoreIdTokenVerifier::new_public_client(
        ClientId::new(String::new()),
        IssuerUrl::new(issuer.to_owned()).ok()?,
        JsonWebKeySet::new(keys),
    )
    .require_audience_match(false)
    .set_time_fn(|| DateTime::<Utc>::MIN_UTC);
    let said = token.claims(&verifier, |_: Option<&Nonce>| Ok(())).ok()?;
    let [audience] = said.audiences().as_slice() else { return None };
    Some(Hint {
        subject: said.subject().as_str().to_owned(),
        audience: audience.as_str().to_owned(),
        session: said.additional_claims().sid.clone().unwrap_or_default(),
    })
}

/// Whether a text has the form of a challenge by S256: 43 letters of base64url (RFC 7636 §4.2).
#[must_use]
pub fn challenge_ok(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(url_safe)
}

/// The challenge of a verifier; `None` when it is none (43 to 128 letters, RFC 7636 §4.1).
#[must_use]
pub fn challenge_of(verifier: &str) -> Option<String> {
    let plain = |b: u8| url_safe(b) || b == b'.' || b == b'~';
    ((43..=128).contains(&verifier.len()) && verifier.bytes().all(plain))
        .then(|| URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes())))
}

fn url_safe(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'-' || b == b'_'
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use openidconnect::JsonWebKey as _;
    use openidconnect::core::{CoreIdToken, CoreJsonWebKeySet};

    use super::*;

    /// The example of RFC 7636, appendix B.
    #[test]
    fn challenges_of_the_standard() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        assert_eq!(challenge_of(verifier).as_deref(), Some(challenge));
        assert!(challenge_ok(challenge) && !challenge_ok(verifier.get(1..).unwrap()));
        assert_eq!(challenge_of("short"), None);
        assert_eq!(challenge_of(&"a b".repeat(20)), None);
    }

    #[test]
    fn tokens_verify_by_the_set_and_by_nothing_else() {
        let (kid, pem) = generate().unwrap();
        let signer = Signer::from_pem(&kid, &pem).unwrap();
        let now: DateTime<Utc> = "2026-03-02T01:00:00Z".parse().unwrap();
        let claims = IdClaims {
            issuer: "https://id.example.cn",
            subject: "s",
            audience: "client",
            issued_at: now,
            expires_at: now + chrono::TimeDelta::minutes(5),
            auth_time: now,
            context: "urn:acr",
            methods: &["pwd"],
            session: "sid",
            nonce: "n",
            access_token: "access",
        };
        let token = CoreIdToken::from_str(&signer.id_token(&claims).unwrap()).unwrap();
        let public = signer.public().unwrap();
        assert_eq!(public["kid"], kid.as_str());
        assert!(public.get("d").is_none() && public.get("p").is_none(), "{public}");
        let set: CoreJsonWebKeySet =
            serde_json::from_value(serde_json::json!({ "keys": [public] })).unwrap();
        let verifier = |client: &str, issuer: &str, set: CoreJsonWebKeySet| {
            CoreIdTokenVerifier::new_public_client(
                ClientId::new(client.to_owned()),
                IssuerUrl::new(issuer.to_owned()).unwrap(),
                set,
            )
            .set_time_fn(move || now)
        };
        let nonce = Nonce::new("n".to_owned());
        let good = verifier("client", claims.issuer, set.clone());
        let said = token.claims(&good, &nonce).unwrap();
        assert!(said.access_token_hash().is_some() && said.auth_time().is_some());
        assert_eq!(said.auth_context_ref().map(|c| c.as_str()), Some("urn:acr"));
        assert_eq!(said.auth_method_refs().map(Vec::len), Some(1));
        assert!(token.claims(&good, &Nonce::new("other".to_owned())).is_err());
        assert!(token.claims(&verifier("other", claims.issuer, set.clone()), &nonce).is_err());
        let elsewhere = verifier("client", "https://other.example.cn", set);
        assert!(token.claims(&elsewhere, &nonce).is_err());
        let empty = verifier("client", claims.issuer, JsonWebKeySet::new(vec![]));
        assert!(token.claims(&empty, &nonce).is_err());
        // Without signature (alg none) it is no token of ours.
        let text = token.to_string();
        let body = text.split('.').nth(1).unwrap();
        let unsigned = format!("{}.{body}.", URL_SAFE_NO_PAD.encode(br#"{"alg":"none"}"#));
        let refused = CoreIdToken::from_str(&unsigned).map(|t| t.claims(&good, &nonce).is_err());
        assert!(refused.unwrap_or(true));
    }

    #[test]
    fn logout_tokens_verify_and_pass_for_no_id_token() {
        let (kid, pem) = generate().unwrap();
        let signer = Arc::new(Signer::from_pem(&kid, &pem).unwrap());
        let now: DateTime<Utc> = "2026-03-02T01:00:00Z".parse().unwrap();
        let token = signer
            .logout_token(&LogoutClaims {
                issuer: "https://id.example.cn",
                subject: "s",
                audience: "client",
                session: "sid",
                id: "once",
                issued_at: now,
                expires_at: now + chrono::TimeDelta::seconds(120),
            })
            .unwrap();
        let parts: Vec<&str> = token.split('.').collect();
        let [head, body, signed] = parts.as_slice() else { panic!("{token}") };
        let read = |part: &str| -> serde_json::Value {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
        };
        let want = serde_json::json!({ "alg": "RS256", "kid": kid, "typ": "logout+jwt" });
        assert_eq!(read(head), want);
        let want = serde_json::json!({
            "iss": "https://id.example.cn", "sub": "s", "aud": "client", "sid": "sid", "jti": "once",
            "iat": now.timestamp(), "exp": now.timestamp() + 120,
            "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
        });
        assert_eq!(read(body), want);
        let key: CoreJsonWebKey = serde_json::from_value(signer.public().unwrap()).unwrap();
        let alg = CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256;
        let signature = URL_SAFE_NO_PAD.decode(signed).unwrap();
        let good = format!("{head}.{body}");
        assert!(key.verify_signature(&alg, good.as_bytes(), &signature).is_ok());
        assert!(key.verify_signature(&alg, format!("{good}x").as_bytes(), &signature).is_err());
        // Whoever brings it as an ID token brings none.
        assert_eq!(hint(&[signer], "https://id.example.cn", &token), None);
    }

    /// A hint is read by the keys and the issuer it came of, long after it is over; nothing else is.
    #[test]
    fn hints_are_our_own_tokens_only() {
        let signer = || {
            let (kid, pem) = generate().unwrap();
            Arc::new(Signer::from_pem(&kid, &pem).unwrap())
        };
        let (ours, others) = (signer(), signer());
        let then: DateTime<Utc> = "2020-03-02T01:00:00Z".parse().unwrap();
        let issuer = "https://id.example.cn";
        let claims = IdClaims {
            issuer,
            subject: "s",
            audience: "client",
            issued_at: then,
            expires_at: then + chrono::TimeDelta::minutes(5),
            auth_time: then,
            context: "",
            methods: &[],
            session: "sid",
            nonce: "",
            access_token: "access",
        };
        let token = ours.id_token(&claims).unwrap();
        let want = Hint { subject: "s".into(), audience: "client".into(), session: "sid".into() };
        let both = [Arc::clone(&others), Arc::clone(&ours)];
        assert_eq!(hint(&both, issuer, &token), Some(want));
        assert_eq!(hint(&[others], issuer, &token), None);
        assert_eq!(hint(&both, "https://other.example.cn", &token), None);
        let (head, rest) = token.split_once('.').unwrap();
        let (_, signed) = rest.split_once('.').unwrap();
        let other = ours.id_token(&IdClaims { subject: "t", ..claims }).unwrap();
        let body = other.split('.').nth(1).unwrap();
        assert_eq!(hint(&both, issuer, &format!("{head}.{body}.{signed}")), None, "another body");
        let none = URL_SAFE_NO_PAD.encode(br#"{"alg":"none"}"#);
        assert_eq!(hint(&both, issuer, &format!("{none}.{body}.")), None);
        let long = "x".repeat(LONGEST_HINT + 1);
        for bad in ["", "x", "a.b.c", long.as_str()] {
            assert_eq!(hint(&both, issuer, bad), None);
        }
    }
}
