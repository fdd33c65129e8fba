//! The machines' door with TLS: its own certificate, and certificates of callers where an authority for them is configured.
//!
//! A caller may show a certificate of that authority; whether it is any application's is the room's business (RFC 8705: the
//! certificate itself is registered, by its thumbprint). One of another authority, or past its end, ends the handshake. A handshake
//! that does not come to its end holds nobody up: each has a task and a time.

use std::io;

use axum::Router;
use gateway::ClientCertificate;
use guard::Callers;
use guard::tls::{Tls, TlsFiles};
use model::Result;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::listen::{self, Calls, Patience};
use crate::config::TlsPart;

/// Serves the door with TLS until `stop`; a handshake has as much time as the head of a call.
pub(super) async fn serve(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    router: Router,
    stop: CancellationToken,
    patience: Patience,
) -> io::Result<()> {
    listen::each(&listener, &stop, |stream, from| {
        let (acceptor, router, stop) = (acceptor.clone(), router.clone(), stop.clone());
        async move {
            let stream = match tokio::time::timeout(patience.head, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(e)) => return tracing::debug!(error = %e, "a handshake failed"),
                Err(_) => return tracing::debug!("a handshake took too long"),
            };
            let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            let certificate =
                shown.map(|c| ClientCertificate::of(guard::hash::sha256_hex(c.as_ref())));
            let calls = Calls { router, from, certificate };
            listen::answer(stream, false, calls, stop, patience).await;
        }
    })
    .await;
    Ok(())
}

/// What the door opens by, where TLS is configured.
pub(super) fn acceptor(part: &TlsPart) -> Result<Option<TlsAcceptor>> {
    let read = part.files().map(|files| read(&files)).transpose()?;
    Ok(read.map(|tls| TlsAcceptor::from(tls.config)))
}

/// Reads the files of TLS. Callers who sign or bring a token need no certificate.
pub(super) fn read(files: &TlsFiles) -> Result<Tls> {
    files.read(Callers::at_handshake, b"http/1.1")
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;
    use std::sync::Arc;

    use app::account::{certificate_add, certificate_remove};
    use model::audit::AuditFilter;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::{ClientConfig, RootCertStore};
    use testkit::House;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "certificates are made by openssl")]
    fn openssl(dir: &Path, args: &str) {
        let done = Command::new("openssl").args(args.split(' ')).current_dir(dir).output().unwrap();
        assert!(done.status.success(), "{args}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// Two authorities, the server's certificate, and three of callers: two of the first authority, one of the other.
    fn make(dir: &Path) {
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        std::fs::write(dir.join("san"), "subjectAltName=IP:127.0.0.1\n").unwrap();
        std::fs::write(dir.join("client"), "extendedKeyUsage=clientAuth\n").unwrap();
        for ca in ["ca", "other"] {
            openssl(
                dir,
                &format!("req -x509 {key} -keyout {ca}.key -out {ca}.crt -days 30 -subj /CN={ca}"),
            );
        }
        for (name, ca, ext) in [
            ("server", "ca", "san"),
            ("known", "ca", "client"),
            ("unknown", "ca", "client"),
            ("strange", "other", "client"),
        ] {
            openssl(dir, &format!("req {key} -keyout {name}.key -out {name}.csr -subj /CN={name}"));
            openssl(
                dir,
                &format!(
                    "x509 -req -in {name}.csr -CA {ca}.crt -CAkey {ca}.key -CAcreateserial -days 30 -extfile {ext} -out {name}.crt"
                ),
            );
        }
    }

    fn client(dir: &Path, shown: Option<&str>) -> reqwest::Client {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(dir.join("ca.crt")).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match shown {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let own = CertificateDer::from_pem_file(dir.join(format!("{name}.crt"))).unwrap();
                let key = PrivateKeyDer::from_pem_file(dir.join(format!("{name}.key"))).unwrap();
                builder.with_client_auth_cert(vec![own], key).unwrap()
            }
        };
        reqwest::Client::builder().tls_backend_preconfigured(config).no_proxy().build().unwrap()
    }

    /// A registered certificate is its application's proof; one of the same authority that nobody registered is not, one of another
    /// authority ends the handshake, and callers without any are who they were.
    #[tokio::test]
    async fn a_certificate_is_an_applications_proof() {
        let house = House::new().await;
        let files = tempfile::tempdir().unwrap();
        let dir = files.path();
        make(dir);
        let part = TlsPart {
            cert: Some(dir.join("server.crt")),
            key: Some(dir.join("server.key")),
            client_ca: Some(dir.join("ca.crt")),
        };
        let (_, secret) = house.application("证书应用").await;
        let id = secret.application.id.as_str();
        house.publish(testkit::person_draft("renkou")).await;
        house.publish(testkit::draft("open")).await;
        house
            .collect(
                "open",
                "t.csv",
                b"id,name,amount,day\n1,a,1.0,2026-01-01\n",
                model::code::SyncMode::Full,
            )
            .await
            .unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("https://{}/api/v1", listener.local_addr().unwrap());
        let router = gateway::router(Arc::clone(&house.app), gateway::GatewayConfig::default());
        let stop = CancellationToken::new();
        let served = tokio::spawn(serve(
            listener,
            acceptor(&part).unwrap().unwrap(),
            router,
            stop.clone(),
            Patience::default(),
        ));

        let get = async |shown: Option<&str>, code: &str| {
            let answer = client(dir, shown).get(format!("{url}/{code}")).send().await?;
            let status = answer.status().as_u16();
            Ok::<_, reqwest::Error>((status, answer.text().await?))
        };
        // Without a certificate: anybody, for what is open.
        assert_eq!(get(None, "open").await.unwrap().0, 200);
        assert_eq!(get(None, "renkou").await.unwrap().0, 404);
        let (status, told) = get(Some("known"), "open").await.unwrap();
        assert!(status == 401 && told.contains("signature_mismatch"), "{told}");
        let pem = std::fs::read_to_string(dir.join("known.crt")).unwrap();
        let consumer = house.person("consumer").await;
        certificate_add(&house.app, &consumer, id, "生产", &pem).await.unwrap();
        assert_eq!(get(Some("known"), "open").await.unwrap().0, 200);
        // It is known who calls: a resource it may know of is refused, not hidden.
        let (status, told) = get(Some("known"), "renkou").await.unwrap();
        assert!(status == 403 && told.contains("no_grant"), "{told}");
        assert_eq!(get(Some("unknown"), "open").await.unwrap().0, 401);
        assert!(get(Some("strange"), "open").await.is_err(), "another authority's");

        let auditor = house.person("auditor").await;
        let filter =
            AuditFilter { actor: Some(id.to_owned()), limit: 100, ..AuditFilter::default() };
        let records = app::audit::list(&house.app, &auditor, &filter).await.unwrap();
        assert!(
            records.iter().any(|r| r.event.result == "ok" && r.event.source == "127.0.0.1 mtls"),
            "{records:?}"
        );
        let provider = house.person("provider").await;
        let stranger = certificate_add(&house.app, &provider, id, "x", &pem).await;
        assert!(stranger.is_err(), "only who manages the application");
        let thumbprint = app::account::certificates(&house.app, &consumer, id)
            .await
            .unwrap()
            .remove(0)
            .thumbprint;
        certificate_remove(&house.app, &consumer, id, &thumbprint).await.unwrap();
        assert_eq!(get(Some("known"), "open").await.unwrap().0, 401);
        stop.cancel();
        served.await.unwrap().unwrap();
    }

    #[test]
    fn files_that_do_not_fit_name_their_key() {
        let files = tempfile::tempdir().unwrap();
        let dir = files.path();
        make(dir);
        let part = |cert: &str, key: &str| TlsPart {
            cert: Some(dir.join(cert)),
            key: Some(dir.join(key)),
            client_ca: None,
        };
        assert!(acceptor(&part("server.crt", "server.key")).unwrap().is_some());
        assert!(acceptor(&TlsPart::default()).unwrap().is_none());
        for (part, key) in [
            (part("none.crt", "server.key"), "tls.cert"),
            (part("server.key", "server.key"), "tls.cert"),
            (part("server.crt", "none.key"), "tls.key"),
            (part("server.crt", "known.key"), "tls.key"),
            (part("server.crt", "server.crt"), "tls.key"),
            (
                TlsPart { client_ca: Some(dir.join("ca.key")), ..part("server.crt", "server.key") },
                "tls.client_ca",
            ),
        ] {
            let refused = acceptor(&part).err().unwrap();
            assert!(refused.zh().contains(key) && refused.en().contains(key), "{refused:?}");
        }
        // Until when they hold, of every file.
        let part =
            TlsPart { client_ca: Some(dir.join("ca.crt")), ..part("server.crt", "server.key") };
        let terms = read(&part.files().unwrap()).unwrap().terms;
        let held: Vec<_> = terms.iter().map(|t| (t.of.key, t.number)).collect();
        assert_eq!(held, [("tls.cert", 1), ("tls.client_ca", 1)]);
        assert!(terms.iter().all(|t| (t.until - t.from).num_days() == 30), "{terms:?}");
    }
}
