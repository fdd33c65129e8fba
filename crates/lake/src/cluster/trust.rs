//! Who belongs to a cluster: whoever holds a certificate of the cluster's own authority. Both sides of every connection show
//! theirs before a byte of a request is read; Ballista itself asks nobody.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ballista_core::extension::EndpointOverrideFn;
use model::{Code, Error, Result};
use pgwire::tokio::tokio_rustls::rustls::crypto;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity, ServerTlsConfig};

/// How long a connection may take to come about, and how long a silent one is believed.
const CONNECT: Duration = Duration::from_secs(5);
const ALIVE: Duration = Duration::from_secs(10);

/// PEM files of one part of a cluster.
#[derive(Clone, Debug)]
pub struct TrustFiles {
    /// The authority's certificate: of this cluster alone, because all it has certified are let in.
    pub authority: PathBuf,
    /// This part's certificate, for server and client use.
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Name that stands in the certificates of all parts, whatever machine they are on.
    pub name: String,
}

impl TrustFiles {
    /// Reads them as a part of the cluster does when it starts.
    pub fn check(&self) -> Result<()> {
        Trust::read(self).map(drop)
    }
}

/// The same, read.
pub(super) struct Trust {
    authority: Certificate,
    identity: Identity,
    name: String,
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trust").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Trust {
    pub(super) fn read(files: &TrustFiles) -> Result<Self> {
        // tonic takes the process's provider, and with two linked in there is none until one is named. Another may have been.
        let _ = crypto::ring::default_provider().install_default();
        let trust = Self {
            authority: Certificate::from_pem(read(&files.authority)?),
            identity: Identity::from_pem(read(&files.certificate)?, read(&files.key)?),
            name: files.name.clone(),
        };
        // What cannot be used is told now and not by the first connection.
        let trial = Endpoint::from_static("https://cluster").tls_config(trust.client());
        trial.map_err(|e| {
            Error::new(
                Code::InvalidInput,
                format!(
                    "集群证书无法使用：请检查 {}、{}、{}",
                    files.authority.display(),
                    files.certificate.display(),
                    files.key.display()
                ),
                format!(
                    "the cluster's certificates cannot be used: check {}, {}, {}",
                    files.authority.display(),
                    files.certificate.display(),
                    files.key.display()
                ),
            )
            .caused_by(e)
        })?;
        Ok(trust)
    }

    /// Lets nobody in without a certificate of the authority.
    pub(super) fn server(&self) -> ServerTlsConfig {
        ServerTlsConfig::new()
            .identity(self.identity.clone())
            .client_ca_root(self.authority.clone())
            .client_auth_optional(false)
    }

    fn client(&self) -> ClientTlsConfig {
        ClientTlsConfig::new()
            .ca_certificate(self.authority.clone())
            .identity(self.identity.clone())
            .domain_name(self.name.clone())
    }

    /// The way to `host:port`.
    pub(super) fn endpoint(
        &self,
        at: &str,
    ) -> std::result::Result<Endpoint, tonic::transport::Error> {
        Ok(Endpoint::from_shared(format!("https://{at}"))?
            .tls_config(self.client())?
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .tcp_keepalive(Some(ALIVE))
            .http2_keep_alive_interval(ALIVE)
            .keep_alive_timeout(ALIVE)
            .keep_alive_while_idle(true)
            .initial_connection_window_size(Some(64 << 20))
            .initial_stream_window_size(Some(16 << 20)))
    }

    /// Has every connection that Ballista makes by itself go this way.
    pub(super) fn ways(self: &Arc<Self>) -> EndpointOverrideFn {
        let trust = Arc::clone(self);
        Arc::new(move |plain: Endpoint| {
            let at = plain.uri().authority().map(ToString::to_string).unwrap_or_default();
            Ok(trust.endpoint(&at)?)
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| {
        Error::new(
            Code::InvalidInput,
            format!("无法读取集群证书文件 {}：{e}", path.display()),
            format!("the cluster's certificate file {} cannot be read: {e}", path.display()),
        )
    })
}
