//! Encryption of the way to a department's data base: how a source's address asks for it, and whom we trust.
//!
//! ```text
//! ?sslmode=        what happens
//! disable          plain
//! (nothing)        TLS when the server offers it; plain when it does not, and always on this very machine
//! require          TLS or no connection; also `verify-ca`, `verify-full`, and `require_ssl=true` of MySQL
//! ?sslrootcert=F   certificates of authorities (PEM) trusted besides those of the system
//! ```
//!
//! With TLS the server's certificate and name are always checked: a certificate that nobody vouches for is refused with
//! what to do, never accepted and never answered by going on in plain.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use model::{Error, Result};
use percent_encoding::percent_decode_str;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// What an address says about encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Disable,
    Prefer,
    Require,
}

/// An address without what it says about encryption, and that.
pub(crate) struct Wish {
    /// The address with the driver's own parameters only.
    pub(crate) url: String,
    pub(crate) mode: Mode,
    /// Certificates of the file named.
    pub(crate) authorities: Vec<CertificateDer<'static>>,
    /// Addresses of the host that were looked at (`outgoing::settle`): the connection goes to these.
    pub(crate) addresses: Vec<IpAddr>,
}

impl std::fmt::Debug for Wish {
    /// Without the address, which holds a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wish").field("mode", &self.mode).finish_non_exhaustive()
    }
}

impl Wish {
    /// Takes the parameters of encryption out of an address. A mode or a file that cannot be used is told; the
    /// address itself never is.
    pub(crate) fn of(url: &str) -> Result<Self> {
        let (bare, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut mode, mut authorities, mut rest) = (Mode::Prefer, Vec::new(), Vec::new());
        let mut addresses = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match (name, value) {
                ("sslmode" | "ssl-mode" | "ssl_mode", word) => mode = mode_of(word)?,
                ("require_ssl", "true") => mode = Mode::Require,
                ("require_ssl", "false") => {}
                ("sslrootcert" | "ssl-ca" | "ssl_ca", file) => authorities = certificates(file)?,
                ("hostaddr", list) => {
                    let read = list.split(',').map(str::parse::<IpAddr>);
                    let read: std::result::Result<Vec<_>, _> = read.collect();
                    addresses.extend(read.map_err(|_| crate::query::bad_address())?);
                }
                _ => rest.push(pair),
            }
        }
        let url = match rest.is_empty() {
            true => bare.to_owned(),
            false => format!("{bare}?{}", rest.join("&")),
        };
        Ok(Self { url, mode, authorities, addresses })
    }

    /// Settings for a connection, trusting the system's authorities and those named.
    pub(crate) fn config(&self) -> Result<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(self.trusted());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Ok(ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| Error::internal("TLS settings").caused_by(e))?
            .with_root_certificates(roots)
            .with_no_client_auth())
    }

    /// Certificates that may vouch for a server.
    pub(crate) fn trusted(&self) -> Vec<CertificateDer<'static>> {
        system().iter().chain(&self.authorities).cloned().collect()
    }
}

/// The system's authorities, read once. A system without any trusts only those named in the address.
fn system() -> &'static [CertificateDer<'static>] {
    static SYSTEM: OnceLock<Vec<CertificateDer<'static>>> = OnceLock::new();
    SYSTEM.get_or_init(|| rustls_native_certs::load_native_certs().certs)
}

/// Makes our provider of cryptography the one of drivers that take the process's default.
pub(crate) fn settle_provider() {
    // An error says that one was chosen already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn mode_of(word: &str) -> Result<Mode> {
    Ok(match word.to_ascii_lowercase().replace('_', "-").as_str() {
        "disable" | "disabled" => Mode::Disable,
        "allow" | "prefer" | "preferred" | "" => Mode::Prefer,
        "require" | "required" | "verify-ca" | "verify-full" | "verify-identity" => Mode::Require,
        _ => {
            return Err(Error::invalid(
                "数据源地址中的 sslmode 应为 disable、prefer 或 require",
                "the sslmode in the source's address is disable, prefer or require",
            ));
        }
    })
}

fn certificates(file: &str) -> Result<Vec<CertificateDer<'static>>> {
    let path = percent_decode_str(file).decode_utf8_lossy().into_owned();
    let read = CertificateDer::pem_file_iter(&path)
        .and_then(|found| found.collect::<std::result::Result<Vec<_>, _>>());
    match read {
        Ok(found) if !found.is_empty() => Ok(found),
        other => {
            let error = Error::invalid(
                format!("sslrootcert 指定的证书文件 `{path}` 无法读取或不含 PEM 证书"),
                format!(
                    "the file `{path}` given by sslrootcert cannot be read or holds no PEM certificate"
                ),
            );
            Err(match other {
                Err(cause) => error.detail(cause.to_string()),
                Ok(_) => error,
            })
        }
    }
}

/// Whether a host is this very machine, where nobody listens in between.
pub(crate) fn local(host: &str) -> bool {
    host.is_empty()
        || host.starts_with('/')
        || host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// What a failed handshake says, if it was one: the innermost reason.
pub(crate) fn handshake_fault(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(fault) = error.downcast_ref::<rustls::Error>() {
            return Some(fault.to_string());
        }
        // An IO error keeps its reason where `source` does not look.
        if let Some(inner) = error.downcast_ref::<std::io::Error>().and_then(|e| e.get_ref())
            && let Some(fault) = inner.downcast_ref::<rustls::Error>()
        {
            return Some(fault.to_string());
        }
        next = error.source();
    }
    None
}

/// The server could not be trusted.
pub(crate) fn distrusted(place: &str, why: &str) -> Error {
    let why = crate::why::cut(why, 200);
    Error::new(
        model::Code::SourceUnavailable,
        format!(
            "数据源 {place} 的 TLS 证书未通过校验（{why}）；请在地址中以 sslrootcert=文件 给出其 CA 证书，并使用证书上的主机名；仅在可信网络内可用 sslmode=disable 明文连接"
        ),
        format!(
            "the TLS certificate of the source {place} was not accepted ({why}); give its authority's certificate by sslrootcert=FILE in the address and use the host name on the certificate; only inside a trusted network use sslmode=disable to connect in plain"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_address_says_about_encryption_is_taken_out_of_it() {
        let of = |url: &str| {
            let wish = Wish::of(url).unwrap();
            (wish.url, wish.mode)
        };
        assert_eq!(of("postgres://a:b@h/d"), ("postgres://a:b@h/d".to_owned(), Mode::Prefer));
        assert_eq!(
            of("postgres://a:b@h/d?sslmode=verify-full&connect_timeout=3"),
            ("postgres://a:b@h/d?connect_timeout=3".to_owned(), Mode::Require)
        );
        assert_eq!(of("mysql://h/d?require_ssl=true"), ("mysql://h/d".to_owned(), Mode::Require));
        assert_eq!(of("mysql://h/d?ssl-mode=DISABLED"), ("mysql://h/d".to_owned(), Mode::Disable));
        let refused = Wish::of("postgres://a:secret@h/d?sslmode=maybe").unwrap_err();
        assert!(refused.zh().contains("sslmode") && !refused.operator_text().contains("secret"));
        let missing = Wish::of("postgres://h/d?sslrootcert=%2Fno%2Fca.pem").unwrap_err();
        assert!(missing.en().contains("/no/ca.pem"), "{missing}");
    }

    #[test]
    fn this_machine_is_known() {
        for here in ["localhost", "127.0.0.1", "127.3.2.1", "::1", "[::1]", "/var/run", ""] {
            assert!(local(here), "{here}");
        }
        for there in ["10.0.0.1", "db.example.cn", "localhost.example.cn"] {
            assert!(!local(there), "{there}");
        }
    }
}
