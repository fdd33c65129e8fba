//! A time-stamp authority of the test's own: certificates by `openssl ca`, stamps by `openssl ts`, behind a small HTTP server.

#![expect(clippy::disallowed_methods, reason = "tests start the real authority")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use parking_lot::Mutex;

const CONFIG: &str = "
[ca]
default_ca = office
[office]
dir = .
database = index.txt
new_certs_dir = .
serial = serial
default_md = sha256
policy = names
unique_subject = no
[names]
commonName = supplied
[req]
distinguished_name = name
prompt = no
[name]
CN = somebody
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[stamps]
basicConstraints = CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
[web]
basicConstraints = CA:FALSE
extendedKeyUsage = serverAuth, timeStamping
[desk]
serial = stamps
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
clock_precision_digits = 3
signer_digest = sha384
";

/// Who signs. All certificates lead to the authority of [`Tsa::authorities`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TsaSigner {
    /// RSA, certified by the authority.
    Rsa,
    /// ECDSA, certified by another one in between, which says nothing of usages.
    Below,
    /// Valid in January 2020 alone.
    Expired,
    /// A certificate that is for servers, too.
    Web,
}

impl TsaSigner {
    const ALL: [Self; 4] = [Self::Rsa, Self::Below, Self::Expired, Self::Web];

    fn name(self) -> &'static str {
        match self {
            Self::Rsa => "rsa",
            Self::Below => "below",
            Self::Expired => "expired",
            Self::Web => "web",
        }
    }
}

/// How the authority answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TsaMood {
    Up,
    /// HTTP 503.
    Down,
    /// The last byte of the signature is another.
    Altering,
    /// As it answered the call before.
    Repeating,
}

/// A running authority.
#[derive(Debug)]
pub struct Tsa {
    desk: Arc<Desk>,
    url: String,
}

#[derive(Debug)]
struct Desk {
    folder: tempfile::TempDir,
    mood: Mutex<TsaMood>,
    last: Mutex<Vec<u8>>,
}

impl Tsa {
    /// Makes certificates and starts the server. Panics where `openssl` is not installed.
    pub async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("qt-tsa-").tempdir().unwrap();
        certify(folder.path());
        let desk = Arc::new(Desk { folder, mood: Mutex::new(TsaMood::Up), last: Mutex::default() });
        let router = Router::new().route("/tsa", post(answer)).with_state(Arc::clone(&desk));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/tsa", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { desk, url }
    }

    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The certificate of the authority that all signers lead to, in PEM.
    #[must_use]
    pub fn authorities(&self) -> String {
        std::fs::read_to_string(self.file("root.pem")).unwrap()
    }

    pub fn be(&self, mood: TsaMood) {
        *self.desk.mood.lock() = mood;
    }

    /// Answers a question as the server does, signed by one of the signers.
    #[must_use]
    pub fn reply(&self, query: &[u8], signer: TsaSigner) -> Vec<u8> {
        self.desk.reply(query, signer)
    }

    /// A token of a signer over a `TSTInfo` as it is given: stamps that no honest authority gives.
    #[must_use]
    pub fn signed(&self, info: &[u8], signer: TsaSigner) -> Vec<u8> {
        std::fs::write(self.file("info.der"), info).unwrap();
        let (pem, key) = (format!("{}.pem", signer.name()), format!("{}.key", signer.name()));
        self.desk.openssl(&[
            "cms",
            "-sign",
            "-binary",
            "-nodetach",
            "-cades",
            "-md",
            "sha256",
            "-econtent_type",
            "1.2.840.113549.1.9.16.1.4",
            "-signer",
            &pem,
            "-inkey",
            &key,
            "-outform",
            "DER",
            "-in",
            "info.der",
            "-out",
            "token.der",
        ]);
        std::fs::read(self.file("token.der")).unwrap()
    }

    /// The `TSTInfo` in a token.
    #[must_use]
    pub fn info(&self, token: &[u8]) -> Vec<u8> {
        std::fs::write(self.file("token.der"), token).unwrap();
        self.desk.openssl(&[
            "cms",
            "-verify",
            "-noverify",
            "-inform",
            "DER",
            "-in",
            "token.der",
            "-out",
            "info.der",
        ]);
        std::fs::read(self.file("info.der")).unwrap()
    }

    /// Whether OpenSSL takes a token over a text by the authority.
    #[must_use]
    pub fn verifies(&self, token: &[u8], text: &str) -> bool {
        std::fs::write(self.file("token.der"), token).unwrap();
        std::fs::write(self.file("text"), text).unwrap();
        let done = Command::new("openssl")
            .args(["ts", "-verify", "-token_in", "-in", "token.der", "-data", "text", "-CAfile"])
            .arg("root.pem")
            .current_dir(self.desk.folder.path())
            .output()
            .unwrap();
        done.status.success()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.desk.folder.path().join(name)
    }
}

async fn answer(State(desk): State<Arc<Desk>>, headers: HeaderMap, query: Bytes) -> Response {
    if headers.get("content-type").is_none_or(|kind| kind != "application/timestamp-query") {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    }
    let mood = *desk.mood.lock();
    if mood == TsaMood::Down {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let mut reply = match mood {
        TsaMood::Repeating => desk.last.lock().clone(),
        _ => {
            let at = Arc::clone(&desk);
            tokio::task::spawn_blocking(move || at.reply(&query, TsaSigner::Rsa)).await.unwrap()
        }
    };
    desk.last.lock().clone_from(&reply);
    if mood == TsaMood::Altering
        && let Some(last) = reply.last_mut()
    {
        *last ^= 1;
    }
    ([("content-type", "application/timestamp-reply")], reply).into_response()
}

impl Desk {
    fn reply(&self, query: &[u8], signer: TsaSigner) -> Vec<u8> {
        let folder = self.folder.path();
        std::fs::write(folder.join("query.tsq"), query).unwrap();
        let (pem, key) = (format!("{}.pem", signer.name()), format!("{}.key", signer.name()));
        let mut arguments = vec![
            "ts",
            "-reply",
            "-config",
            "c.cnf",
            "-section",
            "desk",
            "-queryfile",
            "query.tsq",
            "-signer",
            &pem,
            "-inkey",
            &key,
            "-out",
            "reply.tsr",
        ];
        if signer == TsaSigner::Below {
            arguments.extend(["-chain", "between.pem"]);
        }
        self.openssl(&arguments);
        std::fs::read(folder.join("reply.tsr")).unwrap()
    }

    fn openssl(&self, arguments: &[&str]) {
        openssl(self.folder.path(), arguments);
    }
}

/// Makes the authority, one in between, and the signers.
fn certify(folder: &Path) {
    std::fs::write(folder.join("c.cnf"), CONFIG).unwrap();
    std::fs::write(folder.join("index.txt"), "").unwrap();
    std::fs::write(folder.join("serial"), "01").unwrap();
    std::fs::write(folder.join("stamps"), "01").unwrap();
    openssl(
        folder,
        &[
            "req",
            "-x509",
            "-config",
            "c.cnf",
            "-extensions",
            "authority",
            "-subj",
            "/CN=Rehearsal root",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-384",
            "-nodes",
            "-keyout",
            "root.key",
            "-out",
            "root.pem",
            "-days",
            "3650",
        ],
    );
    let wide = ("20200101000000Z", "20491231000000Z");
    certificate(folder, "between", "root", "authority", wide);
    for signer in TsaSigner::ALL {
        let (by, usage, valid) = match signer {
            TsaSigner::Rsa => ("root", "stamps", wide),
            TsaSigner::Below => ("between", "stamps", wide),
            TsaSigner::Expired => ("root", "stamps", ("20200101000000Z", "20200201000000Z")),
            TsaSigner::Web => ("root", "web", wide),
        };
        certificate(folder, signer.name(), by, usage, valid);
    }
}

fn certificate(folder: &Path, name: &str, by: &str, usage: &str, valid: (&str, &str)) {
    let (subject, key) = (format!("/CN=Rehearsal {name}"), format!("{name}.key"));
    let (request, pem) = (format!("{name}.csr"), format!("{name}.pem"));
    let (issuer, issuer_key) = (format!("{by}.pem"), format!("{by}.key"));
    let kind: &[&str] = match name {
        "rsa" => &["-newkey", "rsa:2048"],
        _ => &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    };
    let mut arguments = vec!["req", "-new", "-config", "c.cnf", "-subj", &subject];
    arguments.extend(kind);
    arguments.extend(["-nodes", "-keyout", &key, "-out", &request]);
    openssl(folder, &arguments);
    openssl(
        folder,
        &[
            "ca",
            "-batch",
            "-notext",
            "-config",
            "c.cnf",
            "-cert",
            &issuer,
            "-keyfile",
            &issuer_key,
            "-extensions",
            usage,
            "-startdate",
            valid.0,
            "-enddate",
            valid.1,
            "-in",
            &request,
            "-out",
            &pem,
        ],
    );
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let done = Command::new("openssl").args(arguments).current_dir(folder).output();
    let done = done.expect("openssl is not installed; run `cargo xtask setup`");
    let why = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "openssl {arguments:?}: {why}");
}
