//! Bounds of the SQL door: what one user may make it hold, how connections wait, and the way by TLS.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use guard::tls::{Named, TlsFiles};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use testkit::{House, Postgres};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::railway::Source;
use crate::sqlwire::{Granted, granted, rows, try_rows};

/// Code and text of what a statement was refused with.
async fn refused(client: &Client, sql: &str) -> (String, String) {
    let error = try_rows(client, sql).await.err().unwrap_or_else(|| panic!("{sql}"));
    let told = error.as_db_error().unwrap_or_else(|| panic!("{sql}: {error:?}"));
    (told.code().code().to_owned(), told.message().to_owned())
}

async fn one(client: &Client, sql: &str) -> String {
    rows(client, sql).await[0][0].clone().unwrap()
}

/// A chain that goes so deep that planning it would take the whole stack is refused before it is read, and nobody notices.
async fn chains_take_no_stack(house: House) {
    let g = granted(house).await;
    let client = g.connect().await;
    let chained = |piece: &str, by: &str| format!("select {}", vec![piece; 2000].join(by));
    let from: Vec<String> = (0..300).map(|n| format!("renkou r{n}")).collect();
    for sql in [
        chained("1", "+"),
        chained("'a'", "||"),
        chained("1", " union all select "),
        format!("select count(*) from renkou where {}", vec!["xm = 'a'"; 2000].join(" or ")),
        format!("select 1 from {}", from.join(", ")),
    ] {
        let (code, told) = refused(&client, &sql).await;
        assert_eq!(code, "54001", "{sql:.60}: {told}");
        assert!(told.contains("至多") && told.contains("at most"), "{sql:.60}: {told}");
        assert_eq!(client.prepare(&sql).await.unwrap_err().code().unwrap().code(), "54001");
    }
    let many = vec!["'a'"; 2000].join(", ");
    let sql = format!("select count(*) from renkou where region_code in ({many})");
    assert_eq!(one(&client, &sql).await, "0");
}

/// A statement that would fill memory by a function is refused in both languages, by either protocol, and the door goes on.
async fn functions_fill_nothing(house: House) {
    let g = granted(house).await;
    let client = g.connect().await;
    for sql in [
        "select array_length(generate_series(1, 400000000))",
        "select repeat('x', 2147483647), repeat('y', 2147483647)",
        "select count(lpad(xm, 2147483647)) from renkou",
        "select length(repeat(xm, 1000000000)) from renkou",
        "select length(replace(xm, '*', repeat('x', 60000))) + length(repeat(xm, 70000)) from renkou",
        "select array_length(array_repeat(sfzh, 1000000000)) from renkou",
        "select repeat('x', 50000), n from generate_series(1, 100000) a(n)",
    ] {
        let (code, told) = refused(&client, sql).await;
        assert_eq!(code, "54000", "{sql}: {told}");
        assert!(told.contains("至多") && told.contains("at most"), "{sql}: {told}");
        let prepared = match client.prepare(sql).await {
            Ok(statement) => client.query(&statement, &[]).await.map(drop),
            Err(e) => Err(e),
        };
        let code = prepared.unwrap_err().code().unwrap().code().to_owned();
        assert_eq!(code, "54000", "{sql}");
    }
    let (code, told) =
        refused(&client, "select * from generate_series(1, array_length(range(400000000)))").await;
    assert!(["42601", "42883", "54000", "22000"].contains(&code.as_str()), "{code}: {told}");
    // What is small goes on, and is called as ever.
    let small = "select repeat(xm, 2), lpad(region_code, 8, '0'), xm || '/' || region_code as pair from renkou order by region_code";
    let first = &rows(&client, small).await[0];
    let first: Vec<&str> = first.iter().map(|cell| cell.as_deref().unwrap()).collect();
    assert_eq!(first, ["张**张**", "00330106", "张**/330106"]);
    assert_eq!(
        one(&client, "select sum(n) from (select unnest(generate_series(1, 100)) as n) x").await,
        "5050"
    );
    assert_eq!(one(&client, "select count(*) from generate_series(1, 1000000)").await, "1000000");
    let prepared =
        client.prepare("select xm || '/' from renkou where xm || $1 = '张**x'").await.unwrap();
    let found = client.query(&prepared, &[&"x"]).await.unwrap();
    assert_eq!(found[0].get::<_, &str>(0), "张**/");
}

/// A statement that is too large fails alone and says why, while another application's goes on and is right.
async fn too_large_fails_alone(house: House) {
    const LARGE: &str = "select count(*) from generate_series(1, 8000000) a(n) join generate_series(1, 8000000) b(m) on a.n = b.m";
    const GROUPS: &str = "select count(*), sum(s) from (select n % 20000 k, sum(n) s from generate_series(1, 400000) a(n) group by 1) x";
    let g = granted(house).await;
    let (_, other) = g.house.application("另一应用").await;
    let consumer = g.house.person("consumer").await;
    let made =
        app::wire::make_password(&g.house.app, &consumer, &other.application.id).await.unwrap();
    let large = g.connect().await;
    let small = g.try_connect(&made.user, &made.password).await.unwrap();
    // Rows that lie sorted in memory while the other asks for too much.
    small.simple_query("begin").await.unwrap();
    let sorted = "declare c cursor for select n from generate_series(1, 100000) a(n) order by -n";
    small.simple_query(sorted).await.unwrap();
    assert_eq!(rows(&small, "fetch 1 from c").await, [[Some("100000".to_owned())]]);
    for _ in 0..3 {
        let (told, found) = tokio::join!(refused(&large, LARGE), rows(&small, GROUPS));
        assert_eq!(told.0, "53200", "{told:?}");
        assert!(told.1.contains("只此一条失败") && told.1.contains("it alone failed"), "{told:?}");
        assert_eq!(found, [[Some("20000".to_owned()), Some("80000200000".to_owned())]]);
    }
    assert_eq!(rows(&small, "fetch all from c").await.len(), 99_999);
    small.simple_query("commit").await.unwrap();
    // What can be spilled is, and whose statement failed goes on.
    let spilled = "select max(r) from (select row_number() over (order by -n) as r from generate_series(1, 4000000) a(n)) x";
    assert_eq!(one(&large, spilled).await, "4000000");
    assert_eq!(one(&large, "select count(*) from renkou").await, "2");
}

crate::on_both!(chains_take_no_stack, functions_fill_nothing, too_large_fails_alone);

/// What a connection that was turned away is told, after the words of a client.
async fn told(g: &Granted, asks_tls: bool) -> String {
    let mut stream = TcpStream::connect(g.at).await.unwrap();
    if asks_tls {
        stream.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'N');
    }
    let words = b"user\0somebody\0\0";
    stream.write_u32(8 + u32::try_from(words.len()).unwrap()).await.unwrap();
    stream.write_u32(196_608).await.unwrap();
    stream.write_all(words).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer.first(), Some(&b'E'));
    String::from_utf8(answer.split_off(5)).unwrap()
}

/// Connections that say nothing: so many of one address, for so long; who has signed in does not feel them.
#[tokio::test]
async fn who_says_nothing_keeps_nobody_out() {
    let g = granted(House::new().await).await;
    let inside = g.connect().await;
    let most = g.house.app.rules.sql.waiting;
    let mut silent = Vec::new();
    for _ in 0..most {
        silent.push(TcpStream::connect(g.at).await.unwrap());
    }
    let refusal = g.try_connect(&g.key, &g.password).await.err().unwrap();
    let refusal = refusal.as_db_error().unwrap();
    assert_eq!((refusal.code().code(), refusal.severity()), ("53300", "FATAL"));
    assert!(refusal.message().contains("同一地址") && refusal.message().contains("this address"));
    for asks_tls in [false, true] {
        let told = told(&g, asks_tls).await;
        assert!(told.contains("FATAL") && told.contains("53300"), "{told}");
    }
    assert_eq!(one(&inside, "select count(*) from renkou").await, "2");
    // The door closes what has not signed in in time; then there is room again.
    for mut stream in silent {
        let mut answer = Vec::new();
        let closed = stream.read_to_end(&mut answer);
        tokio::time::timeout(Duration::from_secs(60), closed).await.unwrap().unwrap();
        assert!(answer.is_empty());
    }
    let mut open = Vec::new();
    // Those who have signed in take no place of those who have not.
    for _ in 0..most + 2 {
        open.push(g.connect().await);
    }
    assert_eq!(one(&inside, "select count(*) from renkou").await, "2");
}

#[expect(clippy::disallowed_methods, reason = "certificates are made by openssl")]
pub(crate) fn openssl(dir: &Path, args: &str) {
    let done =
        std::process::Command::new("openssl").args(args.split(' ')).current_dir(dir).output();
    let done = done.expect("openssl is not installed; run `cargo xtask setup`");
    assert!(done.status.success(), "{args}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Two authorities, and the door's certificate by the first.
pub(crate) fn certify(dir: &Path) -> TlsFiles {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    std::fs::write(dir.join("san"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    for ca in ["ca", "other"] {
        openssl(
            dir,
            &format!("req -x509 {key} -keyout {ca}.key -out {ca}.crt -days 30 -subj /CN={ca}"),
        );
    }
    openssl(dir, &format!("req {key} -keyout sql.key -out sql.csr -subj /CN=sql"));
    openssl(
        dir,
        "x509 -req -in sql.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile san -out sql.crt",
    );
    TlsFiles {
        certificate: Named::new("sql.certificate_file", dir.join("sql.crt")),
        key: Named::new("sql.key_file", dir.join("sql.key")),
        authorities: None,
    }
}

/// A client that trusts one authority, and checks certificate and name by it.
fn trusting(dir: &Path, authority: &str) -> MakeRustlsConnect {
    let mut roots = RootCertStore::empty();
    let file = dir.join(format!("{authority}.crt"));
    roots.add(CertificateDer::from_pem_file(file).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    MakeRustlsConnect::new(config)
}

#[tokio::test]
async fn a_client_comes_by_tls() {
    let g = granted(House::new().await).await;
    let folder = tempfile::tempdir().unwrap();
    let at = g.house.sql_with(Some(&certify(folder.path()))).await;
    let mut config = Config::new();
    config.host("127.0.0.1").port(at.port()).dbname("qiantang").user(&g.key);
    config.password(&g.password).ssl_mode(SslMode::Require);
    let known = trusting(folder.path(), "ca");
    let (client, connection) = config.connect(known.clone()).await.unwrap();
    tokio::spawn(connection);
    assert_eq!(one(&client, "select count(*) from renkou").await, "2");
    let found = client.query("select xm from renkou where region_code = $1", &[&"330106"]).await;
    assert_eq!(found.unwrap()[0].get::<_, &str>(0), "张**");
    // Much, in many records of TLS.
    let many =
        rows(&client, "select n, repeat('x', 200) from generate_series(1, 20000) a(n)").await;
    assert_eq!(many.len(), 20_000);

    let token = client.cancel_token();
    let long = "select count(*) from generate_series(1, 100000000000) a(n), renkou";
    let cancelled = async {
        // A request that comes before the statement concerns none: it is made until one is hit.
        for _ in 0..1000 {
            token.cancel_query(known.clone()).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let ended = tokio::select! {
        ended = refused(&client, long) => ended,
        () = cancelled => panic!("it was not cancelled"),
    };
    assert_eq!(ended.0, "57014");

    // Another authority's word, another password, and a door without a certificate.
    let strange = config.connect(trusting(folder.path(), "other")).await.err().unwrap();
    assert!(strange.as_db_error().is_none(), "nothing was said: {strange:?}");
    let mut wrong = config.clone();
    wrong.password("wrong");
    let wrong = wrong.connect(known.clone()).await.err().unwrap();
    assert_eq!(wrong.code().unwrap().code(), "28P01");
    let mut plain = config.clone();
    plain.ssl_mode(SslMode::Disable);
    let (local, connection) = plain.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    assert_eq!(one(&local, "select count(*) from renkou").await, "2", "on this very machine");
    let mut without = Config::new();
    without.host("127.0.0.1").port(g.at.port()).dbname("qiantang").user(&g.key);
    without.password(&g.password).ssl_mode(SslMode::Require);
    assert!(without.connect(known).await.is_err());
}

/// A statement is written for the chain and for its owner at once. Where the chain does not take it, it gives no row, and its owner does not
/// see it running.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_recorded_does_not_run() {
    let store = Postgres::start();
    let g = granted(House::on(&store.database("store")).await).await;
    let client = g.connect().await;
    assert_eq!(one(&client, "select count(*) from renkou").await, "2");
    let hand = Source::open(store.port(), "store").await;
    hand.deny("INSERT ON audit FOR EACH ROW WHEN (NEW.action = 'rows.sql')").await;
    let (state, told) = refused(&client, "select xm from renkou").await;
    assert_eq!(state, "58030", "{told}");
    let consumer = g.house.person("consumer").await;
    let seen = async || {
        let kept = app::wire::statements(&g.house.app, &consumer, g.op.actor.id(), None, 10);
        let kept = kept.await.unwrap().items.into_iter();
        kept.map(|s| (s.text, s.outcome, s.rows)).collect::<Vec<_>>()
    };
    let seen_now = seen().await;
    assert!(seen_now.iter().all(|(_, outcome, _)| outcome != "running"), "{seen_now:?}");
    assert_eq!(seen_now[0].0, "select xm from renkou");
    assert_eq!((seen_now[0].1.as_str(), seen_now[0].2), ("refused", 0));
    hand.run("DROP TRIGGER deny ON audit").await;
    assert_eq!(rows(&client, "select xm from renkou").await.len(), 2);
    let seen_now = seen().await;
    assert_eq!((seen_now[0].1.as_str(), seen_now[0].2), ("ok", 2));
}
