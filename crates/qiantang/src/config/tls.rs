//! TLS of the machines' door: its certificate, and the authority of callers' certificates.

use std::path::{Path, PathBuf};

use guard::tls::TlsFiles;
use model::Result;
use serde::{Deserialize, Serialize};

use super::{Config, bad};

/// With `cert` and `key` the gateway listens with TLS; with `client_ca` callers may prove who they are by a certificate.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsPart {
    /// Certificate chain and private key as PEM files.
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
    /// Authorities (PEM) whose certificates of callers are taken.
    pub client_ca: Option<PathBuf>,
}

impl TlsPart {
    /// Paths in the file are relative to it.
    pub(super) fn relative_to(&mut self, base: &Path) {
        for file in [&mut self.cert, &mut self.key, &mut self.client_ca].into_iter().flatten() {
            *file = base.join(&*file);
        }
    }

    /// The files of TLS, where it is configured.
    #[must_use]
    pub fn files(&self) -> Option<TlsFiles> {
        TlsFiles::named([
            ("tls.cert", &self.cert),
            ("tls.key", &self.key),
            ("tls.client_ca", &self.client_ca),
        ])
    }

    /// Whether the gateway listens with TLS.
    #[must_use]
    pub fn on(&self) -> bool {
        self.cert.is_some() && self.key.is_some()
    }
}

impl Config {
    /// What cannot be seen from one key of TLS alone.
    pub(super) fn check_tls(&self) -> Result<()> {
        let tls = &self.tls;
        if tls.cert.is_some() != tls.key.is_some() {
            return bad("tls.cert", "须与 tls.key 同时给出", "comes together with tls.key");
        }
        if tls.client_ca.is_some() && !tls.on() {
            return bad(
                "tls.client_ca",
                "须同时配置 tls.cert 和 tls.key",
                "wants tls.cert and tls.key",
            );
        }
        if tls.client_ca.is_some() && self.gateway.behind_proxy {
            return bad(
                "tls.client_ca",
                "与 gateway.behind_proxy 不能并用：反向代理的证书不是调用方的证书",
                "does not go with gateway.behind_proxy: a reverse proxy's certificate is not the caller's",
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_tls_come_together() {
        let mut config = Config::default();
        config.tls.client_ca = Some("ca.pem".into());
        assert!(config.check().unwrap_err().en().contains("tls.client_ca"));
        config.tls.cert = Some("c.pem".into());
        assert!(config.check().unwrap_err().en().contains("tls.key"));
        config.tls.key = Some("k.pem".into());
        config.check().unwrap();
        config.gateway.behind_proxy = true;
        assert!(config.check().unwrap_err().en().contains("behind_proxy"));
    }
}
