//! Queries on live servers: a private PostgreSQL cluster and a private MariaDB, each in a folder of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use model::Code;
use policy::port::{ReadOptions, Source};

use crate::support::{Collected, collect, items};

const SETUP: &str = "not installed: run cargo xtask setup";

fn binary(candidates: &[&str]) -> PathBuf {
    let found = candidates.iter().map(PathBuf::from).find(|p| p.exists());
    found.unwrap_or_else(|| panic!("{} {SETUP}", candidates[0]))
}

/// A free port, as the system gives one.
fn port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self")
        .map(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0)
        .unwrap_or(false)
}

#[expect(clippy::disallowed_methods, reason = "these tests start data base servers")]
fn command(program: &Path) -> Command {
    Command::new(program)
}

/// The command as a user that the server accepts: servers refuse to run as root.
fn as_user(user: &str, program: &Path) -> Command {
    if !is_root() {
        return command(program);
    }
    let mut out = command(Path::new("runuser"));
    out.args(["-u", user, "--"]).arg(program);
    out
}

fn run(command: &mut Command) -> String {
    let out = command.stdin(Stdio::null()).output().unwrap();
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

struct Server {
    child: Child,
    dir: PathBuf,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        // TERM, so that the server ends its own children; the process is ours.
        let _ = run(command(Path::new("kill")).arg(self.child.id().to_string()));
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn folder(user: &str) -> PathBuf {
    let dir = tempfile::Builder::new().prefix("ingest-db-").tempdir().unwrap().keep();
    if is_root() {
        run(command(Path::new("chown")).arg(user).arg(&dir));
    }
    dir
}

fn wait_for(what: &str, mut ready: impl FnMut() -> bool) {
    let start = Instant::now();
    while !ready() {
        assert!(start.elapsed() < Duration::from_secs(90), "{what} does not answer");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// An authority and a certificate of 127.0.0.1 that it signed: `ca.crt`, `server.crt`, `server.key` in `dir`.
fn certificates(dir: &Path, user: &str) {
    let openssl = binary(&["/usr/bin/openssl"]);
    let made = |args: &[&str]| {
        run(command(&openssl).args(args).current_dir(dir));
    };
    let new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    std::fs::write(dir.join("san"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    let ca = ["-x509", "-keyout", "ca.key", "-out", "ca.crt", "-days", "30", "-subj", "/CN=ca"];
    made(&[&["req"][..], &new[..], &ca[..]].concat());
    let server = ["-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=db"];
    made(&[&["req"][..], &new[..], &server[..]].concat());
    made(&[
        "x509",
        "-req",
        "-in",
        "server.csr",
        "-CA",
        "ca.crt",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-days",
        "30",
        "-extfile",
        "san",
        "-out",
        "server.crt",
    ]);
    let key = dir.join("server.key");
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    if is_root() {
        run(command(Path::new("chown")).arg("-R").arg(user).arg(dir));
    }
}

fn postgres() -> Server {
    let bin = |name: &str| {
        binary(&[
            &format!("/usr/lib/postgresql/15/bin/{name}"),
            &format!("/usr/lib/postgresql/16/bin/{name}"),
            &format!("/usr/lib/postgresql/17/bin/{name}"),
        ])
    };
    let dir = folder("postgres");
    let data = dir.join("data");
    let secret = dir.join("secret");
    std::fs::write(&secret, "s3cret-word\n").unwrap();
    if is_root() {
        run(command(Path::new("chown")).arg("postgres").arg(&secret));
    }
    run(as_user("postgres", &bin("initdb"))
        .arg("-D")
        .arg(&data)
        .args([
            "-U",
            "reader",
            "-A",
            "scram-sha-256",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
            "--pwfile",
        ])
        .arg(&secret));
    let port = port();
    let mut start = as_user("postgres", &bin("postgres"));
    start.arg("-D").arg(&data).arg("-k").arg(&dir).args([
        "-h",
        "127.0.0.1",
        "-F",
        "-p",
        &port.to_string(),
    ]);
    certificates(&dir, "postgres");
    for setting in ["ssl=on", "ssl_cert_file=../server.crt", "ssl_key_file=../server.key"] {
        start.args(["-c", setting]);
    }
    let child = start.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let server = Server { child, dir, port };
    wait_for("PostgreSQL", || {
        command(&bin("pg_isready"))
            .args(["-h", "127.0.0.1", "-p", &server.port.to_string()])
            .stdout(Stdio::null())
            .status()
            .unwrap()
            .success()
    });
    let sql = "create table t (id bigint primary key, name text, amount numeric(10,2), day date, at timestamptz, ok boolean, doc jsonb);
        insert into t select n, '名称' || n, n + 0.25, date '2024-01-02' + n::int, timestamptz '2024-01-02 03:04:05+00', n % 2 = 0, '{\"a\":1}' from generate_series(1, 100000) n;
        insert into t values (100001, null, null, null, null, null, null);";
    run(command(&bin("psql")).env("PGPASSWORD", "s3cret-word").args([
        "-h",
        "127.0.0.1",
        "-p",
        &server.port.to_string(),
        "-U",
        "reader",
        "-d",
        "postgres",
        "-q",
        "-v",
        "ON_ERROR_STOP=1",
        "-c",
        sql,
    ]));
    server
}

fn mariadb() -> Server {
    let server_bin = binary(&["/usr/sbin/mariadbd", "/usr/sbin/mysqld"]);
    let install = binary(&["/usr/bin/mariadb-install-db", "/usr/bin/mysql_install_db"]);
    let client = binary(&["/usr/bin/mariadb", "/usr/bin/mysql"]);
    let dir = folder("mysql");
    let data = dir.join("data");
    let socket = dir.join("s.sock");
    let user: &[&str] = if is_root() { &["--user=mysql"] } else { &[] };
    run(command(&install)
        .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"])
        .args(user)
        .arg(format!("--datadir={}", data.display())));
    let port = port();
    let mut start = command(&server_bin);
    start
        .arg("--no-defaults")
        .args(user)
        .arg(format!("--datadir={}", data.display()))
        .arg(format!("--socket={}", socket.display()));
    start.args([
        &format!("--port={port}"),
        "--bind-address=127.0.0.1",
        "--character-set-server=utf8mb4",
        "--innodb-flush-log-at-trx-commit=0",
        "--skip-log-bin",
    ]);
    certificates(&dir, "mysql");
    start
        .arg(format!("--ssl-cert={}", dir.join("server.crt").display()))
        .arg(format!("--ssl-key={}", dir.join("server.key").display()));
    let child = start.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let server = Server { child, dir, port };
    let ask = |sql: &str| {
        let mut c = command(&client);
        c.args(["--no-defaults", "--default-character-set=utf8mb4", "-uroot"])
            .arg(format!("--socket={}", socket.display()))
            .args(["-e", sql]);
        c
    };
    wait_for("MariaDB", || {
        ask("select 1").stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
    });
    run(&mut ask("create database d character set utf8mb4; use d;
        create user reader@'127.0.0.1' identified by 's3cret-word'; grant select, insert on d.* to reader@'127.0.0.1';
        create user reader@localhost identified by 's3cret-word'; grant select, insert on d.* to reader@localhost;
        create user sealed@'127.0.0.1' identified by 's3cret-word' require ssl; grant select on d.* to sealed@'127.0.0.1';
        create table t (id bigint primary key, name varchar(50), amount decimal(10,2), day date, at timestamp null, ok tinyint(1), doc json, raw varbinary(8));
        insert into t select seq, concat('名称', seq), seq + 0.25, date_add('2024-01-02', interval seq % 1000 day), '2024-01-02 03:04:05', seq % 2 = 0, '{\"a\":1}', x'00ff' from seq_1_to_100000;
        insert into t (id) values (100001);"));
    server
}

const ITEMS: &str =
    "id:integer! name:text amount:decimal(10,2) day:date at:datetime ok:boolean doc:json";

async fn ask(url: &str, sql: &str) -> model::Result<Collected> {
    let source = Source::Query { url: url.to_owned(), sql: sql.to_owned(), name: "q".into() };
    collect(&source, &items(ITEMS), &ReadOptions::default()).await
}

/// The server can be asked through TLS, by those who trust its authority only. `url` has no parameters.
async fn sealed(url: &str, server: &Server) {
    let ca = server.dir.join("ca.crt").display().to_string();
    let one = "select id from t where id = 1";
    for mode in ["require", "verify-full"] {
        let got = ask(&format!("{url}?sslmode={mode}&sslrootcert={ca}"), one).await.unwrap();
        assert_eq!(got.read, 1, "{mode}");
    }
    let error = ask(&format!("{url}?sslmode=require"), one).await.unwrap_err();
    assert_eq!(error.code(), Code::SourceUnavailable);
    assert!(error.zh().contains("sslrootcert") && error.en().contains("certificate"), "{error}");
    assert!(!error.operator_text().contains("s3cret"), "{error:?}");
    // The certificate is for 127.0.0.1, not for this name of it.
    let named = url.replace("127.0.0.1", "localhost");
    let error = ask(&format!("{named}?sslmode=require&sslrootcert={ca}"), one).await.unwrap_err();
    assert!(error.en().contains("certificate"), "{error}");
}

async fn common(url: &str, wrong_secret: &str) {
    let all = ask(url, "select * from t order by id").await.unwrap();
    assert_eq!((all.read, all.rows.len(), all.rejects.len()), (100_001, 100_001, 0));
    assert!(all.chunks >= 2);
    let texts = all.texts();
    assert_eq!(&texts[1][..4], ["2", "名称2", "2.25", "2024-01-04"]);
    assert_eq!(texts[1][5], "true");
    assert_eq!(&texts[100_000][1..], ["∅"; 6]);
    let bad = ask(url, "select id, 'x' as amount from t where id <= 3").await.unwrap();
    assert_eq!((bad.read, bad.rejects.len()), (3, 3));
    assert_eq!(ask(url, "select id from t where id < 0").await.unwrap().read, 0);
    for refused in ["delete from t", "select 1; select 2", "select * from t into outfile '/tmp/x'"]
    {
        assert_eq!(ask(url, refused).await.unwrap_err().code(), Code::InvalidQuery, "{refused}");
    }
    let error = ask(url, "select nothing from nowhere").await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidQuery);
    assert!(error.zh().contains("nowhere"), "{error}");
    let error = ask(url, "select name from t").await.unwrap_err();
    assert!(error.zh().contains("id"), "{error}");
    let error = ask(wrong_secret, "select * from t").await.unwrap_err();
    assert_eq!(error.code(), Code::SourceUnavailable);
    for said in [format!("{error}"), error.operator_text()] {
        assert!(!said.contains("s3cret") && !said.contains("wr0ng"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_on_postgresql() {
    let server = tokio::task::spawn_blocking(postgres).await.unwrap();
    let url = format!("postgres://reader:s3cret-word@127.0.0.1:{}/postgres", server.port);
    common(&url, &url.replace("s3cret-word", "wr0ng-word")).await;
    sealed(&url, &server).await;
    let encrypted =
        format!("{url}?sslmode=require&sslrootcert={}", server.dir.join("ca.crt").display());
    let secret = ask(
        &encrypted,
        "select (select ssl::int from pg_stat_ssl where pid = pg_backend_pid()) as id",
    );
    assert_eq!(secret.await.unwrap().texts()[0][0], "1", "the connection is encrypted");
    let got = ask(&url, "select * from t where id = 1").await.unwrap();
    assert_eq!(
        got.texts()[0],
        ["1", "名称1", "1.25", "2024-01-03", "2024-01-02T11:04:05", "false", "{\"a\": 1}"]
    );
    // A function that writes is stopped by the transaction.
    let error = ask(&url, "select setval(pg_get_serial_sequence('t', 'id'), 1) as id").await;
    assert!(error.is_err() || error.unwrap().rejects.len() == 1);
    let error = ask(&url, "select 1/(id - 50000) as id from t").await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidQuery);
    let error = ask("postgres://reader:s3cret-word@127.0.0.1:1/x", "select 1").await.unwrap_err();
    assert_eq!(error.code(), Code::SourceUnavailable);
    let error = ask("postgres://reader:s3cret-word@:::/x", "select 1").await.unwrap_err();
    assert!(!error.operator_text().contains("s3cret"), "{error:?}");
    assert!(ask("oracle://x", "select 1").await.is_err());
    drop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_on_mariadb() {
    let server = tokio::task::spawn_blocking(mariadb).await.unwrap();
    let url = format!("mysql://reader:s3cret-word@127.0.0.1:{}/d", server.port);
    common(&url, &url.replace("s3cret-word", "wr0ng-word")).await;
    sealed(&url, &server).await;
    // A source that insists on TLS.
    let insists = url.replace("reader:", "sealed:");
    assert!(ask(&insists, "select id from t where id = 1").await.is_err());
    sealed(&insists, &server).await;
    let got = ask(
        &url,
        "select id, name, hex(raw) as doc2, amount, day, at, ok, doc from t where id = 1",
    )
    .await
    .unwrap();
    assert_eq!(got.texts()[0][..4], ["1", "名称1", "1.25", "2024-01-03"]);
    assert_eq!(got.texts()[0][5..], ["false", "{\"a\":1}"]);
    drop(server);
}
