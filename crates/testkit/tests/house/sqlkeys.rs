//! Signing in to the SQL door by key: a client's certificate that is registered for the application, and no other.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use app::account::{certificate_add, certificate_remove, set_application_active};
use chrono::TimeDelta;
use guard::tls::{Named, TlsFiles};
use model::audit::AuditEvent;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use testkit::House;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::sqlbounds::{certify, openssl};
use crate::sqlwire::{Granted, granted, rows, state};

const COUNT: &str = "select count(*) from renkou";

/// An authority that may say from when to when a certificate holds.
const OFFICE: &str = "
[ca]
default_ca = office
[office]
dir = .
database = index.txt
new_certs_dir = .
serial = serial
default_md = sha256
policy = names
[names]
commonName = supplied
";

/// The door's files, and certificates of callers: `own`, `next`, `others` and `unknown` of the authority that the door takes, `strange` of
/// another, `late` of the first, past its end.
fn keys(dir: &Path) -> TlsFiles {
    let authorities = Named::new("sql.client_ca_file", dir.join("ca.crt"));
    let files = TlsFiles { authorities: Some(authorities), ..certify(dir) };
    for (name, text) in [
        ("client", "extendedKeyUsage=clientAuth\n"),
        ("office", OFFICE),
        ("index.txt", ""),
        ("serial", "1000\n"),
    ] {
        std::fs::write(dir.join(name), text).unwrap();
    }
    let new = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    for (name, ca) in [
        ("own", "ca"),
        ("next", "ca"),
        ("others", "ca"),
        ("unknown", "ca"),
        ("strange", "other"),
        ("late", "ca"),
    ] {
        openssl(dir, &format!("{new} -keyout {name}.key -out {name}.csr -subj /CN={name}"));
        let signed = match name {
            "late" => "ca -batch -notext -config office -cert ca.crt -keyfile ca.key -in late.csr -extfile client -startdate 20200101000000Z -enddate 20200201000000Z -out late.crt".to_owned(),
            _ => format!("x509 -req -in {name}.csr -CA {ca}.crt -CAkey {ca}.key -CAcreateserial -days 30 -extfile client -out {name}.crt"),
        };
        openssl(dir, &signed);
    }
    files
}

fn certificate(dir: &Path, name: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(dir.join(format!("{name}.crt"))).unwrap()
}

fn thumbprint(dir: &Path, name: &str) -> String {
    guard::hash::sha256_hex(certificate(dir, name).as_ref())
}

/// A client that checks the door's certificate, and shows one of its own where `key` names it.
fn client(dir: &Path, key: Option<&str>) -> MakeRustlsConnect {
    let mut roots = RootCertStore::empty();
    roots.add(certificate(dir, "ca")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    MakeRustlsConnect::new(match key {
        None => builder.with_no_client_auth(),
        Some(name) => {
            let private = PrivateKeyDer::from_pem_file(dir.join(format!("{name}.key"))).unwrap();
            builder.with_client_auth_cert(vec![certificate(dir, name)], private).unwrap()
        }
    })
}

async fn connect(
    (at, dir): (SocketAddr, &Path),
    user: &str,
    password: Option<&str>,
    key: Option<&str>,
) -> Result<Client, tokio_postgres::Error> {
    let mut config = Config::new();
    config.host("127.0.0.1").port(at.port()).dbname("qiantang").user(user);
    config.ssl_mode(SslMode::Require);
    if let Some(password) = password {
        config.password(password);
    }
    let (client, connection) = config.connect(client(dir, key)).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// SQLSTATE and words of a refusal.
fn told(refused: Result<Client, tokio_postgres::Error>) -> (String, String) {
    let error = refused.err().unwrap();
    let told = error.as_db_error().unwrap_or_else(|| panic!("the door said nothing: {error:?}"));
    assert_eq!(told.severity(), "FATAL");
    (told.code().code().to_owned(), told.message().to_owned())
}

/// Registers a certificate as people do, for calls by interface and by SQL alike.
async fn register(g: &Granted, application: &str, dir: &Path, name: &str) {
    let consumer = g.house.person("consumer").await;
    let pem = std::fs::read_to_string(dir.join(format!("{name}.crt"))).unwrap();
    certificate_add(&g.house.app, &consumer, application, name, &pem).await.unwrap();
}

/// The last record of signing in.
async fn signed_in(g: &Granted) -> AuditEvent {
    g.audit("sql.login").await.remove(0).event
}

/// A registered key enters without a password and reads what was granted; records say by what. Beside it the password is what it
/// was, and taking the one away leaves the other.
async fn a_registered_key_enters(house: House) {
    let g = granted(house).await;
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let at = (g.house.sql_with(Some(&keys(dir))).await, dir);
    let id = g.op.actor.id();
    register(&g, id, dir, "own").await;
    let by_key = connect(at, &g.key, None, Some("own")).await.unwrap();
    assert_eq!(rows(&by_key, COUNT).await, [[Some("2".to_owned())]]);
    let masked = rows(&by_key, "select xm from renkou where region_code = '330106'").await;
    assert_eq!(masked, [[Some("张**".to_owned())]]);
    let record = signed_in(&g).await;
    assert_eq!((record.result.as_str(), record.source.as_str()), ("ok", "127.0.0.1 mtls"));
    assert_eq!((record.actor.as_str(), record.scope), (id, thumbprint(dir, "own")));
    let read = g.audit("rows.sql").await;
    assert!(!read.is_empty(), "statements are recorded");
    assert!(read.iter().all(|r| r.event.source == "127.0.0.1 mtls"), "{read:?}");

    // Without a certificate the door asks for the password, as ever.
    let by_password = connect(at, &g.key, Some(&g.password), None).await.unwrap();
    assert_eq!(rows(&by_password, COUNT).await, [[Some("2".to_owned())]]);
    assert_eq!(signed_in(&g).await.source, "127.0.0.1");
    assert_eq!(told(connect(at, &g.key, Some("wrong"), None).await).0, "28P01");
    let nothing = connect(at, &g.key, None, None).await.err().unwrap();
    assert!(nothing.as_db_error().is_none(), "the client has nothing to say: {nothing:?}");

    // A name that is locked because of guesses is open to its keys.
    for _ in 0..8 {
        connect(at, &g.key, Some("wrong"), None).await.err().unwrap();
    }
    let locked = told(connect(at, &g.key, Some(&g.password), None).await);
    assert!(locked.1.contains("too many"), "{locked:?}");
    let again = connect(at, &g.key, None, Some("own")).await.unwrap();
    assert_eq!(rows(&again, COUNT).await, [[Some("2".to_owned())]]);

    let consumer = g.house.person("consumer").await;
    app::wire::remove_password(&g.house.app, &consumer, id).await.unwrap();
    assert_eq!(state(&by_password, "select 1").await, "28P01");
    assert_eq!(rows(&by_key, COUNT).await, [[Some("2".to_owned())]]);
    let view = app::wire::view(&g.house.app, &consumer, id).await.unwrap();
    assert!(view.login.is_none() && view.keys == 1, "{view:?}");
}

/// Another application's key, one that nobody registered, one of another authority, one past its end, and a right key under another
/// name: refused in words, recorded, and no password helps.
async fn other_keys_do_not(house: House) {
    let g = granted(house).await;
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let files = keys(dir);
    let at = (g.house.sql_with(Some(&files)).await, dir);
    let (_, other) = g.house.application("另一应用").await;
    register(&g, &other.application.id, dir, "others").await;
    register(&g, g.op.actor.id(), dir, "own").await;
    register(&g, g.op.actor.id(), dir, "late").await;
    let another = ("另一个应用", "another application");
    for (user, key, (zh, en)) in [
        (g.key.as_str(), "others", another),
        (g.key.as_str(), "unknown", ("未登记", "registered for no application")),
        (g.key.as_str(), "strange", ("认可的机构", "no authority")),
        (g.key.as_str(), "late", ("已过有效期", "past its end")),
        (other.application.key.as_str(), "own", another),
        ("nobody", "own", another),
    ] {
        for password in [None, Some(g.password.as_str())] {
            let (code, words) = told(connect(at, user, password, Some(key)).await);
            assert_eq!(code, "28000", "{key}: {words}");
            assert!(words.contains(zh) && words.contains(en), "{key}: {words}");
            assert!(words.contains("sslcertmode=disable"), "{key}: {words}");
        }
        let record = signed_in(&g).await;
        assert_eq!((record.result.as_str(), record.object.as_str()), ("denied", user), "{key}");
        assert_eq!((record.source.as_str(), record.actor.as_str()), ("127.0.0.1 mtls", "nobody"));
        assert_eq!(record.scope, thumbprint(dir, key));
        assert!(record.reason.contains("signature_mismatch"), "{record:?}");
    }
    // None of that counts against the password.
    connect(at, &g.key, Some(&g.password), None).await.unwrap();
    // A door that takes no certificates asks for none, and so believes none.
    let plain = TlsFiles { authorities: None, ..files };
    let plain = (g.house.sql_with(Some(&plain)).await, dir);
    connect(plain, &g.key, Some(&g.password), Some("own")).await.unwrap();
    let unasked = connect(plain, &g.key, None, Some("own")).await.err().unwrap();
    assert!(unasked.as_db_error().is_none(), "{unasked:?}");
}

/// A session ends with what it was opened by: the certificate taken away while a statement runs, the application stopped, the
/// certificate's own end. Another certificate of the application goes on, so that keys can be changed without a break.
async fn a_session_ends_with_its_key(house: House) {
    let g = granted(house).await;
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let at = (g.house.sql_with(Some(&keys(dir))).await, dir);
    let (id, app) = (g.op.actor.id(), &g.house.app);
    let consumer = g.house.person("consumer").await;
    for name in ["own", "next"] {
        register(&g, id, dir, name).await;
    }
    let old = connect(at, &g.key, None, Some("own")).await.unwrap();
    let new = connect(at, &g.key, None, Some("next")).await.unwrap();
    let long = "select count(*) from generate_series(1, 100000000000) a(n), renkou";
    let before = g.begun().await;
    let (ended, ()) = tokio::join!(state(&old, long), async {
        // The statement is under way once its record is there.
        while g.begun().await == before {
            tokio::task::yield_now().await;
        }
        certificate_remove(app, &consumer, id, &thumbprint(dir, "own")).await.unwrap();
    });
    assert_eq!(ended, "28000");
    let (code, words) = told(connect(at, &g.key, None, Some("own")).await);
    assert!(code == "28000" && words.contains("registered for no application"), "{words}");
    assert_eq!(rows(&new, COUNT).await, [[Some("2".to_owned())]]);

    set_application_active(app, &consumer, id, false).await.unwrap();
    assert_eq!(state(&new, COUNT).await, "28000");
    assert_eq!(told(connect(at, &g.key, None, Some("next")).await).0, "28000");
    set_application_active(app, &consumer, id, true).await.unwrap();
    let new = connect(at, &g.key, None, Some("next")).await.unwrap();
    assert_eq!(rows(&new, COUNT).await, [[Some("2".to_owned())]]);

    // The handshake goes by the machine's time, a session by the platform's clock.
    g.house.clock.forward(TimeDelta::days(36_525));
    assert_eq!(state(&new, "select 1").await, "28000");
}

crate::on_both!(a_registered_key_enters, other_keys_do_not, a_session_ends_with_its_key);
