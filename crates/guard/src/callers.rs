//! Certificates of callers (mutual TLS): by which authorities they are taken, and until when one holds.
//!
//! Both machines' doors ask the same [`Callers`]. The gateway does at the handshake, which a certificate that does not fit ends
//! ([`Callers::at_handshake`]). The SQL door does after it ([`Callers::after_handshake`], then [`Callers::until`]): whoever is refused
//! there is told why in the words of its protocol, and the refusal is recorded. Either way the handshake has seen that the caller
//! holds the certificate's key. Whose a certificate is, and whether it was taken back, says the register of applications alone.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use der::Decode;
use model::{Code, Error, Result};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme,
};
use x509_cert::Certificate;
use x509_cert::time::Time;

/// What the library answers.
type Answer<T> = std::result::Result<T, rustls::Error>;

/// Who may vouch for a caller's certificate.
#[derive(Clone, Debug)]
pub struct Callers(Arc<dyn ClientCertVerifier>);

impl Callers {
    /// Takes certificates of these authorities. Callers without any are let through the handshake: they prove who they are in
    /// another way.
    pub fn of(authorities: Vec<CertificateDer<'static>>) -> Result<Self> {
        let wrong = || {
            Error::invalid("含有不能作为签发机构的证书", "holds a certificate that is no authority")
        };
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority).map_err(|e| wrong().caused_by(e))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .allow_unauthenticated()
            .build()
            .map_err(|e| wrong().caused_by(e))?;
        Ok(Self(verifier))
    }

    /// For a door at which a certificate that does not fit ends the handshake.
    #[must_use]
    pub fn at_handshake(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::clone(&self.0)
    }

    /// For a door that asks [`Callers::until`] of every certificate itself, before it believes it: the handshake makes sure only that
    /// the caller holds the certificate's key.
    #[must_use]
    pub fn after_handshake(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::new(KeyOnly(Arc::clone(&self.0)))
    }

    /// Until when a certificate holds (its last second), if it holds at `now`: `chain` is as the caller showed it, its own first.
    /// Refuses one of another authority, one that is past its end or not valid yet, and one that is not for clients
    /// (`signature_mismatch`).
    pub fn until(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<DateTime<Utc>> {
        let Some((own, between)) = chain.split_first() else { return Err(unreadable()) };
        self.0.verify_client_cert(own, between, now).map_err(unfit)?;
        let read = Certificate::from_der(own.as_ref());
        let read = read.map_err(|e| unreadable().caused_by(e.to_string()))?;
        moment(&read.tbs_certificate.validity.not_after).ok_or_else(unreadable)
    }
}

/// A time within a certificate.
pub(crate) fn moment(time: &Time) -> Option<DateTime<Utc>> {
    let second = i64::try_from(time.to_unix_duration().as_secs()).ok()?;
    DateTime::from_timestamp(second, 0)
}

fn unreadable() -> Error {
    Error::new(
        Code::SignatureMismatch,
        "客户端证书无法读取",
        "the client certificate cannot be read",
    )
}

/// Why a certificate proves nothing here.
fn unfit(error: rustls::Error) -> Error {
    use CertificateError as Why;
    use rustls::Error::InvalidCertificate as Invalid;
    let (zh, en) = match &error {
        Invalid(Why::Expired | Why::ExpiredContext { .. }) => ("已过有效期", "is past its end"),
        Invalid(Why::NotValidYet | Why::NotValidYetContext { .. }) => {
            ("尚未生效", "is not valid yet")
        }
        Invalid(Why::UnknownIssuer) => {
            ("不是由此处认可的机构签发", "is of no authority that is taken here")
        }
        _ => ("不能用作客户端证书", "does not serve as a client's"),
    };
    Error::new(
        Code::SignatureMismatch,
        format!("客户端证书{zh}"),
        format!("the client certificate {en}"),
    )
    .caused_by(error)
}

/// Sees that the caller holds the key of the certificate it shows, and asks nothing else of it.
#[derive(Debug)]
struct KeyOnly(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for KeyOnly {
    fn offer_client_auth(&self) -> bool {
        self.0.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Answer<ClientCertVerified> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Answer<HandshakeSignatureValid> {
        self.0.verify_tls12_signature(message, own, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Answer<HandshakeSignatureValid> {
        self.0.verify_tls13_signature(message, own, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
