//! Time stamps of a time-stamp authority (RFC 3161): the request over a text, and the check of what was answered.
//!
//! A token is CMS signed data (RFC 5652) around a `TSTInfo`. [`read`] holds it to everything that makes it worth something: it is over
//! this text (SHA-256), the signed attributes name its content, the signature is by the certificate that the token names, and that
//! certificate was made for time stamps and nothing else and leads to one of the operator's authorities at the time that is stamped.
//!
//! Known limits: RSA, ECDSA (P-256, P-384) and Ed25519 with SHA-2 are checked, SM2 is not; revocation is not asked for.

use chrono::{DateTime, NaiveDateTime, Utc};
use cms::cert::CertificateChoices;
use cms::content_info::ContentInfo;
use cms::signed_data::{SignedData, SignerIdentifier, SignerInfo};
use der::asn1::{Int, ObjectIdentifier, OctetString};
use der::{Any, Decode, Encode, Sequence, Tag, Tagged};
use model::{Error, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use sha2::{Digest, Sha256, Sha384, Sha512};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert, ring};
use x509_cert::Certificate;
use x509_cert::attr::Attribute;
use x509_cert::ext::Extensions;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{ExtendedKeyUsage, SubjectKeyIdentifier};
use x509_cert::spki::AlgorithmIdentifier;
use x509_tsp::{Accuracy, MessageImprint, TimeStampReq, TimeStampResp, TspVersion};

const SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA_384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA_512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");
const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNING_CERTIFICATE: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");
/// Extended key usage `timeStamping`, and the same as it is encoded.
const TIME_STAMPING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");
const TIME_STAMPING_DER: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08];
/// Largest answer that is read, in bytes.
pub const LARGEST: usize = 256 * 1024;

/// Signatures that are checked, by the digest they are over. Which one it is the certificate's key says.
static OVER_256: [&dyn SignatureVerificationAlgorithm; 4] = [
    ring::RSA_PKCS1_2048_8192_SHA256,
    ring::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
    ring::ECDSA_P256_SHA256,
    ring::ECDSA_P384_SHA256,
];
static OVER_384: [&dyn SignatureVerificationAlgorithm; 4] = [
    ring::RSA_PKCS1_2048_8192_SHA384,
    ring::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
    ring::ECDSA_P256_SHA384,
    ring::ECDSA_P384_SHA384,
];
static OVER_512: [&dyn SignatureVerificationAlgorithm; 3] =
    [ring::RSA_PKCS1_2048_8192_SHA512, ring::RSA_PSS_2048_8192_SHA512_LEGACY_KEY, ring::ED25519];

/// Who may stamp: certificates of authorities that the operator trusts.
#[derive(Clone, Debug)]
pub struct Authorities(Vec<CertificateDer<'static>>);

impl Authorities {
    /// Reads them from PEM.
    pub fn from_pem(text: &str) -> Result<Self> {
        let bad = |why: String| {
            Error::invalid("PEM 证书有误", "the certificate in PEM is malformed").caused_by(why)
        };
        let found: std::result::Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(text.as_bytes()).collect();
        let found: Vec<CertificateDer<'static>> = found.map_err(|e| bad(e.to_string()))?;
        if found.is_empty() {
            return Err(Error::invalid("其中没有 PEM 证书", "there is no certificate in PEM"));
        }
        for one in &found {
            anchor_from_trusted_cert(one).map_err(|e| bad(e.to_string()))?;
        }
        Ok(Self(found))
    }
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamped {
    pub at: DateTime<Utc>,
    /// Lower hex.
    pub serial: String,
    pub policy: String,
    /// Name of the certificate that signed.
    pub authority: String,
}

/// A request for a stamp, and what its answer is held to.
#[derive(Clone, Debug)]
pub struct Asked {
    /// To be sent as `application/timestamp-query`.
    pub query: Vec<u8>,
    nonce: Vec<u8>,
}

/// Asks for a stamp over a text. `chance` is eight bytes of chance.
pub fn ask(text: &str, chance: [u8; 8]) -> Result<Asked> {
    let mut nonce = chance;
    // A positive integer in its shortest form, whatever the chance.
    if let Some(first) = nonce.first_mut() {
        *first = (*first & 0x3f) | 0x40;
    }
    let broken = |e: der::Error| Error::internal("a time-stamp request").caused_by(e.to_string());
    let request = TimeStampReq {
        version: TspVersion::V1,
        message_imprint: MessageImprint {
            hash_algorithm: AlgorithmIdentifier { oid: SHA_256, parameters: None },
            hashed_message: OctetString::new(Sha256::digest(text.as_bytes()).to_vec())
                .map_err(broken)?,
        },
        req_policy: None,
        nonce: Some(Int::new(&nonce).map_err(broken)?),
        cert_req: true,
        extensions: None,
    };
    Ok(Asked { query: request.to_der().map_err(broken)?, nonce: nonce.to_vec() })
}

/// Takes the token out of an answer, checked: it answers this request over this text.
pub fn answered(
    answer: &[u8],
    asked: &Asked,
    text: &str,
    authorities: &Authorities,
) -> Result<(Vec<u8>, Stamped)> {
    if answer.len() > LARGEST {
        return Err(wrong("应答过长", "the answer is too long"));
    }
    let malformed = |e: der::Error| {
        wrong("应答不是 RFC 3161 格式", "the answer is not of RFC 3161").caused_by(e.to_string())
    };
    let response = TimeStampResp::from_der(answer).map_err(malformed)?;
    // 0 granted, 1 granted with changes; the rest are refusals.
    let status = response.status.status as u32;
    let Some(token) = response.time_stamp_token.filter(|_| status <= 1) else {
        return Err(wrong(
            &format!("时间戳机构拒绝了请求（状态 {status}）"),
            &format!("the authority refused (status {status})"),
        ));
    };
    let token = token.to_der().map_err(malformed)?;
    let stamped = checked(&token, text, Some(authorities), Some(&asked.nonce))?;
    Ok((token, stamped))
}

/// Checks a token over a text.
pub fn read(token: &[u8], text: &str, authorities: &Authorities) -> Result<Stamped> {
    checked(token, text, Some(authorities), None)
}

/// Checks that a token is over a text and sound in itself. By whom it was made is not asked: what it says is worth as much as
/// whoever kept it.
pub fn over(token: &[u8], text: &str) -> Result<Stamped> {
    checked(token, text, None, None)
}

fn checked(
    token: &[u8],
    text: &str,
    authorities: Option<&Authorities>,
    nonce: Option<&[u8]>,
) -> Result<Stamped> {
    let malformed = |e: der::Error| {
        wrong("不是时间戳令牌", "this is no time-stamp token").caused_by(e.to_string())
    };
    if token.len() > LARGEST {
        return Err(wrong("令牌过长", "the token is too long"));
    }
    let info = ContentInfo::from_der(token).map_err(malformed)?;
    if info.content_type != SIGNED_DATA {
        return Err(wrong("不是签名数据", "it is no signed data"));
    }
    let data: SignedData = info.content.decode_as().map_err(malformed)?;
    let inside = &data.encap_content_info;
    let content: OctetString = match &inside.econtent {
        Some(content) if inside.econtent_type == TST_INFO => {
            content.decode_as().map_err(malformed)?
        }
        _ => return Err(wrong("其中没有时间", "there is no time in it")),
    };
    let told = Told::from_der(content.as_bytes()).map_err(malformed)?;
    let imprint = &told.message_imprint;
    if imprint.hash_algorithm.oid != SHA_256
        || imprint.hashed_message.as_bytes() != Sha256::digest(text.as_bytes()).as_slice()
    {
        return Err(wrong(
            "它盖在另一份内容上，或该内容被改动过",
            "it is over another text, or the text was altered",
        ));
    }
    if let Some(nonce) = nonce
        && told.nonce.as_ref().map(Int::as_bytes) != Some(nonce)
    {
        return Err(wrong("它答复的不是本次请求", "it answers another request"));
    }
    if told.extensions.iter().flatten().any(|extension| extension.critical) {
        return Err(wrong(
            "含有无法识别的关键扩展",
            "it has a critical extension that is not known",
        ));
    }
    let mut signers = data.signer_infos.0.iter();
    let (Some(signer), None) = (signers.next(), signers.next()) else {
        return Err(wrong("应有且只有一个签名", "exactly one signature is expected"));
    };
    let certificates = certificates(&data);
    let named = certificates.iter().find(|c| names(&signer.sid, c)).ok_or_else(|| {
        wrong("令牌中没有签名者的证书", "the signer's certificate is not in the token")
    })?;
    let certificate = CertificateDer::from(named.to_der().map_err(malformed)?);
    signed(signer, content.as_bytes(), &certificate)?;
    let at = told.at()?;
    if let Some(authorities) = authorities {
        made_for_it(named)?;
        trusted(&certificate, &certificates, authorities, at)?;
    }
    Ok(Stamped {
        at,
        serial: hex::encode(told.serial_number.as_bytes()),
        policy: told.policy.to_string(),
        authority: named.tbs_certificate.subject.to_string(),
    })
}

/// `TSTInfo` as [`x509_tsp`] has it, but for the time: RFC 3161 lets it have fractions of a second, which DER's own type has not.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct Told {
    version: TspVersion,
    policy: ObjectIdentifier,
    message_imprint: MessageImprint,
    serial_number: Int,
    gen_time: Any,
    #[asn1(optional = "true")]
    accuracy: Option<Accuracy>,
    #[asn1(default = "Default::default")]
    ordering: bool,
    #[asn1(optional = "true")]
    nonce: Option<Int>,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    tsa: Option<GeneralName>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    extensions: Option<Extensions>,
}

impl Told {
    fn at(&self) -> Result<DateTime<Utc>> {
        let text = std::str::from_utf8(self.gen_time.value()).unwrap_or_default();
        NaiveDateTime::parse_from_str(text, "%Y%m%d%H%M%S%.fZ")
            .ok()
            .filter(|_| self.gen_time.tag() == Tag::GeneralizedTime)
            .map(|at| at.and_utc())
            .ok_or_else(|| wrong("其中的时间无法识别", "the time in it cannot be read"))
    }
}

fn certificates(data: &SignedData) -> Vec<Certificate> {
    let all = data.certificates.iter().flat_map(|set| set.0.iter());
    all.filter_map(|choice| match choice {
        CertificateChoices::Certificate(certificate) => Some(certificate.clone()),
        CertificateChoices::Other(_) => None,
    })
    .collect()
}

/// Whether the signer is named by this certificate's issuer and number, or by its key.
fn names(signer: &SignerIdentifier, certificate: &Certificate) -> bool {
    let certificate = &certificate.tbs_certificate;
    match signer {
        SignerIdentifier::IssuerAndSerialNumber(named) => {
            named.issuer == certificate.issuer && named.serial_number == certificate.serial_number
        }
        SignerIdentifier::SubjectKeyIdentifier(key) => certificate
            .get::<SubjectKeyIdentifier>()
            .is_ok_and(|found| found.is_some_and(|(_, own)| own == *key)),
    }
}

/// The signature over the signed attributes, and what these say of content and certificate.
fn signed(signer: &SignerInfo, content: &[u8], certificate: &CertificateDer<'_>) -> Result<()> {
    let unlike = || wrong("签名与内容不符", "the signature does not fit the content");
    let unknown =
        || wrong("签名或摘要算法不受支持", "the signature's algorithm is not one that is checked");
    let Some(attributes) = &signer.signed_attrs else { return Err(unlike()) };
    let (digest, algorithms): (Vec<u8>, &[&dyn SignatureVerificationAlgorithm]) =
        match signer.digest_alg.oid {
            SHA_256 => (Sha256::digest(content).to_vec(), &OVER_256),
            SHA_384 => (Sha384::digest(content).to_vec(), &OVER_384),
            SHA_512 => (Sha512::digest(content).to_vec(), &OVER_512),
            _ => return Err(unknown()),
        };
    let one = |oid: ObjectIdentifier| -> Option<&Attribute> {
        let mut found = attributes.iter().filter(|a| a.oid == oid);
        found.next().filter(|a| found.next().is_none() && a.values.len() == 1)
    };
    let value = |oid| one(oid).and_then(|a| a.values.get(0));
    let kind: Option<ObjectIdentifier> = value(CONTENT_TYPE).and_then(|v| v.decode_as().ok());
    let told: Option<OctetString> = value(MESSAGE_DIGEST).and_then(|v| v.decode_as().ok());
    if kind != Some(TST_INFO) || told.is_none_or(|t| t.as_bytes() != digest.as_slice()) {
        return Err(unlike());
    }
    // An older authority names its certificate by SHA-1, which is not looked at: issuer and number name it, and its key signed.
    if let Some(named) = value(SIGNING_CERTIFICATE) {
        let named: SigningCertificate = named.decode_as().map_err(|_| unlike())?;
        if !named.certificates.first().is_some_and(|c| c.is(certificate)) {
            return Err(wrong(
                "签名属性所指的证书不是签名者的证书",
                "the signed attributes name another certificate",
            ));
        }
    }
    // What is signed is the set itself, not the implicit tag under which it stands.
    let message = attributes.to_der().map_err(|_| unlike())?;
    let certificate = EndEntityCert::try_from(certificate)
        .map_err(|e| wrong("证书有误", "the certificate is malformed").caused_by(e.to_string()))?;
    let mut fitting = false;
    for algorithm in algorithms {
        match certificate.verify_signature(*algorithm, &message, signer.signature.as_bytes()) {
            Ok(()) => return Ok(()),
            Err(webpki::Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)) => {}
            Err(_) => fitting = true,
        }
    }
    Err(if fitting { unlike() } else { unknown() })
}

/// `SigningCertificateV2` (RFC 5035): by its hash it names the certificate that signed.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct SigningCertificate {
    certificates: Vec<CertificateHash>,
    #[asn1(optional = "true")]
    policies: Option<Any>,
}

#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct CertificateHash {
    /// SHA-256 when none is named.
    #[asn1(optional = "true")]
    algorithm: Option<AlgorithmIdentifier<Any>>,
    hash: OctetString,
    #[asn1(optional = "true")]
    issuer: Option<Any>,
}

impl CertificateHash {
    fn is(&self, certificate: &CertificateDer<'_>) -> bool {
        let hash = match self.algorithm.as_ref().map(|a| a.oid) {
            None | Some(SHA_256) => Sha256::digest(certificate).to_vec(),
            Some(SHA_384) => Sha384::digest(certificate).to_vec(),
            Some(SHA_512) => Sha512::digest(certificate).to_vec(),
            Some(_) => return false,
        };
        self.hash.as_bytes() == hash.as_slice()
    }
}

/// The certificate is for time stamps and, as RFC 3161 §2.3 wants, critically for nothing else.
fn made_for_it(certificate: &Certificate) -> Result<()> {
    let usage = certificate.tbs_certificate.get::<ExtendedKeyUsage>().ok().flatten();
    match usage {
        Some((true, ExtendedKeyUsage(usages))) if usages == [TIME_STAMPING] => Ok(()),
        _ => Err(wrong(
            "签名者的证书不是专用于时间戳的证书（须有且只有关键扩展用途 timeStamping）",
            "the certificate that signed is not one for time stamps alone (critical extended key usage timeStamping)",
        )),
    }
}

/// The certificate leads to an authority at that time.
fn trusted(
    certificate: &CertificateDer<'_>,
    others: &[Certificate],
    authorities: &Authorities,
    at: DateTime<Utc>,
) -> Result<()> {
    let seconds = u64::try_from(at.timestamp()).unwrap_or_default();
    let then = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    let between: Vec<CertificateDer<'static>> =
        others.iter().filter_map(|c| c.to_der().ok()).map(CertificateDer::from).collect();
    let anchors: Vec<_> =
        authorities.0.iter().filter_map(|one| anchor_from_trusted_cert(one).ok()).collect();
    let algorithms: Vec<&dyn SignatureVerificationAlgorithm> =
        OVER_256.iter().chain(&OVER_384).chain(&OVER_512).copied().collect();
    // What lies between need not name the usage; where it names some, this one must be among them.
    let usage = KeyUsage::required_if_present(TIME_STAMPING_DER);
    let path = EndEntityCert::try_from(certificate).and_then(|end| {
        end.verify_for_usage(&algorithms, &anchors, &between, then, usage, None, None).map(|_| ())
    });
    path.map_err(|e| match e {
        webpki::Error::CertExpired { .. } | webpki::Error::CertNotValidYet { .. } => wrong(
            "在所盖时间，签名者的证书（或其上级）不在有效期内",
            "at the time that is stamped the certificate that signed, or one above it, was not valid",
        ),
        other => wrong(
            "签名者的证书不为所信任的时间戳机构所认可",
            "the certificate that signed leads to none of the authorities that are trusted",
        )
        .caused_by(other.to_string()),
    })
}

fn wrong(zh: &str, en: &str) -> Error {
    Error::invalid(format!("时间戳无效：{zh}"), format!("the time stamp is not valid: {en}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An authority of its own, whose key is gone.
    const AUTHORITY: &str = "-----BEGIN CERTIFICATE-----
MIIBgTCCASagAwIBAgIUXDl8ISX/aCLPh20OPgwjDsqabqkwCgYIKoZIzj0EAwIw
HjEcMBoGA1UEAwwTUmVoZWFyc2FsIGF1dGhvcml0eTAeFw0yNjExMjYxMTM1MTla
Fw0zNjExMjMxMTM1MTlaMB4xHDAaBgNVBAMME1JlaGVhcnNhbCBhdXRob3JpdHkw
WTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATZoPC3e9bmbzl8jHMqU2VJr8FmXe5s
xpKuOOkd4X+Zqb5ZTl9lKwEVwxjLf2FxoaZUWez1ghc/CgWhkGURuGono0IwQDAP
BgNVHRMBAf8EBTADAQH/MA4GA1UdDwEB/wQEAwIBBjAdBgNVHQ4EFgQUhJclsAuW
/MvYi9spSsrlW+4tO7UwCgYIKoZIzj0EAwIDSQAwRgIhAKOtcS/ffBte+Nfnu0SI
yk6VrvjlUWyGvOeqcevJV/4vAiEAsVbybclx4yb+uZCFVQvuMGx/Uu7N7kQkhvHv
ubFD80Y=
-----END CERTIFICATE-----
";

    #[test]
    fn a_request_names_the_text_by_its_hash_and_its_nonce_is_positive() {
        for chance in [[0; 8], [0xff; 8]] {
            let asked = ask("a seal", chance).unwrap();
            let request = TimeStampReq::from_der(&asked.query).unwrap();
            assert!(request.cert_req && request.nonce.unwrap().as_bytes() == asked.nonce);
            let imprint = request.message_imprint;
            assert_eq!(imprint.hashed_message.as_bytes(), Sha256::digest(b"a seal").as_slice());
            assert!(asked.nonce[0] < 0x80 && asked.nonce[0] > 0);
        }
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let authorities = Authorities::from_pem(AUTHORITY).unwrap();
        let asked = ask("a", [1; 8]).unwrap();
        for answer in [&b""[..], b"0", &[0x30, 0x03, 0x02, 0x01, 0x02], &[0x30; 300]] {
            assert!(answered(answer, &asked, "a", &authorities).is_err());
            assert!(read(answer, "a", &authorities).is_err());
        }
        // A refusal by its status: rejection (2).
        let refusal = [0x30, 0x05, 0x30, 0x03, 0x02, 0x01, 0x02];
        let refused = answered(&refusal, &asked, "a", &authorities);
        assert!(refused.unwrap_err().en().contains("status 2"));
    }

    #[test]
    fn authorities_are_certificates() {
        let broken = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
        for text in ["", "no certificate", broken, &AUTHORITY.replace("MII", "MIJ")] {
            assert!(Authorities::from_pem(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_may_have_fractions() {
        let at = |text: &str| {
            let told = Told {
                version: TspVersion::V1,
                policy: TIME_STAMPING,
                message_imprint: MessageImprint {
                    hash_algorithm: AlgorithmIdentifier { oid: SHA_256, parameters: None },
                    hashed_message: OctetString::new([0; 32]).unwrap(),
                },
                serial_number: Int::new(&[1]).unwrap(),
                gen_time: Any::new(Tag::GeneralizedTime, text.as_bytes()).unwrap(),
                accuracy: None,
                ordering: false,
                nonce: None,
                tsa: None,
                extensions: None,
            };
            Told::from_der(&told.to_der().unwrap()).unwrap().at().map(|at| at.to_rfc3339())
        };
        assert_eq!(at("20260302010203Z").unwrap(), "2026-03-02T01:02:03+00:00");
        assert_eq!(at("20260302010203.25Z").unwrap(), "2026-03-02T01:02:03.250+00:00");
        for text in ["", "20260302010203", "20260302010203+0800", "2026030201Z", "20261302010203Z"]
        {
            assert!(at(text).is_err(), "{text}");
        }
    }
}
