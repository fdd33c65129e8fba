//! The files of a door with TLS: its certificate and key, and the authorities whose certificates of callers it takes.
//!
//! A door reads them when it opens, the check of a configuration when none is opened, both by [`TlsFiles::read`]. A fault names the
//! key of the configuration, the file, and what mends it.

use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use der::Decode;
use model::{Error, Result};
use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use x509_cert::Certificate;

use crate::callers::{Callers, moment};

/// A file in PEM, and the key of the configuration that names it (`tls.cert`).
#[derive(Clone, Debug)]
pub struct Named {
    pub key: &'static str,
    pub path: PathBuf,
}

/// The files of one door.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// Its certificate chain and key.
    pub certificate: Named,
    pub key: Named,
    /// Authorities whose certificates of callers are taken. `None`: callers are not asked for any.
    pub authorities: Option<Named>,
}

/// What a door with TLS opens by.
#[derive(Clone, Debug)]
pub struct Tls {
    pub config: Arc<ServerConfig>,
    /// Which certificates callers may show, where they may.
    pub callers: Option<Callers>,
    pub terms: Vec<Term>,
}

/// From when until when a certificate holds.
#[derive(Clone, Debug)]
pub struct Term {
    /// The file it stands in.
    pub of: Named,
    /// Which of that file, from 1.
    pub number: usize,
    pub from: DateTime<Utc>,
    /// Its last second.
    pub until: DateTime<Utc>,
}

impl TlsFiles {
    /// The files that three configuration keys name; `None` where certificate or key is not given.
    #[must_use]
    pub fn named(
        [certificate, key, authorities]: [(&'static str, &Option<PathBuf>); 3],
    ) -> Option<Self> {
        let file = |(key, path): (_, &Option<PathBuf>)| Some(Named::new(key, path.as_ref()?));
        Some(Self {
            certificate: file(certificate)?,
            key: file(key)?,
            authorities: file(authorities),
        })
    }

    /// Reads them all, for a door that looks at callers' certificates in this way ([`Callers::at_handshake`],
    /// [`Callers::after_handshake`]) and speaks this protocol (ALPN).
    pub fn read(
        &self,
        looking: fn(&Callers) -> Arc<dyn ClientCertVerifier>,
        protocol: &[u8],
    ) -> Result<Tls> {
        let chain = self.certificate.certificates()?;
        let key = PrivateKeyDer::from_pem_file(&self.key.path)
            .map_err(|e| self.key.unread(&e, "私钥", "private key"))?;
        let mut terms = self.certificate.terms_of(&chain);
        let callers = match &self.authorities {
            None => None,
            Some(named) => {
                let found = named.certificates()?;
                terms.extend(named.terms_of(&found));
                Some(Callers::of(found).map_err(|e| {
                    named
                        .fault(
                            &format!("{}；只放签发机构（CA）自己的证书", e.zh()),
                            &format!("{}: keep those of authorities (CA) alone", e.en()),
                        )
                        .caused_by(e)
                })?)
            }
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| Error::internal("TLS settings").caused_by(e))?;
        let builder = match &callers {
            None => builder.with_no_client_auth(),
            Some(callers) => builder.with_client_cert_verifier(looking(callers)),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|e| self.unfit(e))?;
        config.alpn_protocols = vec![protocol.to_vec()];
        Ok(Tls { config: Arc::new(config), callers, terms })
    }

    /// Files that can be read and do not serve together.
    fn unfit(&self, error: rustls::Error) -> Error {
        let (certificate, at) = (self.certificate.key, self.certificate.path.display());
        let told = match &error {
            rustls::Error::InconsistentKeys(_) => self.key.fault(
                &format!("与 {certificate}（{at}）不配对；换成申请该证书时所用的私钥，或换证书"),
                &format!(
                    "does not belong to {certificate} ({at}): name the key that this certificate was made for, or its own certificate"
                ),
            ),
            rustls::Error::InvalidCertificate(_) => self.certificate.fault(
                "第一张证书无法使用；应依次为本站证书和中间证书，X.509 第 3 版",
                "its first certificate cannot be used: it is that of this door, then come those between, X.509 version 3",
            ),
            _ => self.key.fault(
                "不是可用的私钥；应为 RSA、ECDSA（P-256、P-384）或 Ed25519 的未加密私钥",
                "is no key that can be used: it is of RSA, ECDSA (P-256, P-384) or Ed25519, not encrypted",
            ),
        };
        told.caused_by(error)
    }
}

impl Named {
    #[must_use]
    pub fn new(key: &'static str, path: impl Into<PathBuf>) -> Self {
        Self { key, path: path.into() }
    }

    /// Until when each of its certificates holds.
    pub fn terms(&self) -> Result<Vec<Term>> {
        Ok(self.terms_of(&self.certificates()?))
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>> {
        let read = CertificateDer::pem_file_iter(&self.path)
            .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
            .map_err(|e| self.unread(&e, "证书", "certificate"))?;
        match read.is_empty() {
            true => Err(self.unread(&pem::Error::NoItemsFound, "证书", "certificate")),
            false => Ok(read),
        }
    }

    /// What the doors' library takes and this one cannot read has no term: it is not refused for that.
    fn terms_of(&self, chain: &[CertificateDer<'_>]) -> Vec<Term> {
        let term = |(n, der): (usize, &CertificateDer<'_>)| {
            let validity = Certificate::from_der(der.as_ref()).ok()?.tbs_certificate.validity;
            Some(Term {
                of: self.clone(),
                number: n + 1,
                from: moment(&validity.not_before)?,
                until: moment(&validity.not_after)?,
            })
        };
        chain.iter().enumerate().filter_map(term).collect()
    }

    /// Without the reader's own words: they hold lines of the file, and a key that stands on one line is all in them.
    fn unread(&self, error: &pem::Error, zh: &str, en: &str) -> Error {
        match error {
            pem::Error::Io(why) => self.fault(
                &format!("无法读取（{why}）；检查路径是否正确、本进程能否读取"),
                &format!("cannot be read ({why}): check the path and the rights on the file"),
            ),
            pem::Error::NoItemsFound => self.fault(
                &format!("不含{zh}；应为 PEM 格式，检查是否填错了文件"),
                &format!("holds no {en}: it is PEM; check that it is the right file"),
            ),
            _ => self.fault(
                &format!("不是完好的 PEM；从原件重新复制，{zh}的首行至末行都要在内"),
                &format!("is no whole PEM: copy the {en} anew, from its first line to its last"),
            ),
        }
    }

    fn fault(&self, zh: &str, en: &str) -> Error {
        let (key, path) = (self.key, self.path.display());
        Error::invalid(
            format!("配置项 {key}（{path}）：{zh}"),
            format!("configuration key {key} ({path}): {en}"),
        )
    }
}
