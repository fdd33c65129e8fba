//! A file on its way when its agreement is ended by a breach: what is left of it does not come, whoever reads sees that it is a part, and
//! the chain tells.

use std::net::SocketAddr;

use app::interface::{self, Move};
use app::restricted::{self, UseOrder};
use axum::http::Method;
use futures::StreamExt as _;
use model::account::{ApplicationNew, ApplicationSecret};
use model::audit::AuditFilter;
use model::code::SyncMode;
use model::interface::InterfaceState;
use model::restricted::{UseApplication, UseDeed};
use testkit::{ENTERPRISE_ORG, House, use_of};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;

use crate::client::Client;

const ROWS: usize = 60_000;

/// A restricted-open set of many rows, an enterprise with an agreement for it, and an interface by which it leaves as a file.
async fn agreed(house: &House) -> (ApplicationSecret, UseApplication, String) {
    let app = &house.app;
    house.publish(testkit::restricted_draft("qiye")).await;
    let lines: String = (0..ROWS).map(|i| format!("{i},名称{i},1.50,2026-01-01\n")).collect();
    let rows = format!("id,name,amount,day\n{lines}");
    house.collect("qiye", "q.csv", rows.as_bytes(), SyncMode::Full).await.unwrap();
    let op = house.person("enterprise").await;
    let new = ApplicationNew {
        name: "研究".into(),
        description: String::new(),
        org: ENTERPRISE_ORG.into(),
    };
    let secret = app::account::register_application(app, &op, new).await.unwrap();
    let asked = use_of(&secret.application.id, "qiye", &["id", "name"]);
    let agreement = house.use_in_force(&op, asked).await;
    let provider = house.person("provider").await;
    let text = "title = \"文件\"\nkind = \"file\"\nentry = \"qiye\"\n";
    let made = interface::create(app, &provider, text).await.unwrap();
    for to in [InterfaceState::Test, InterfaceState::Published] {
        let to = Move { to, share: 100, until: String::new() };
        interface::step(app, &provider, &made.id, &to).await.unwrap();
    }
    (secret, agreement, format!("/api/interface/{}", made.code))
}

async fn broken_off(house: &House, number: &str) {
    let provider = house.person("provider").await;
    let breach = UseOrder {
        rule: "超范围使用".into(),
        ..UseOrder::new(UseDeed::Breach, "把数据转给了第三方")
    };
    restricted::act(&house.app, &provider, number, breach).await.unwrap();
}

/// What the chain says of the file's end: how it ended, why, and how many rows had left.
async fn told(house: &House) -> (String, String, u64) {
    let auditor = house.person("auditor").await;
    let filter = AuditFilter {
        action: Some("rows.download.end".into()),
        limit: 10,
        ..AuditFilter::default()
    };
    let all = app::audit::list(&house.app, &auditor, &filter).await.unwrap();
    let event = all.into_iter().next().unwrap().event;
    (event.result, event.reason, event.rows)
}

#[tokio::test]
async fn the_rest_of_a_file_does_not_come_after_a_breach() {
    let house = House::new().await;
    let (secret, agreement, path) = agreed(&house).await;
    let client = Client::new(&house);
    let mut body = client.pieces(&secret, &path).await;
    let head = body.next().await.unwrap().unwrap();
    assert_eq!(&head[..], b"id,name\n");
    let some = body.next().await.unwrap().unwrap();
    let left = some.iter().filter(|b| **b == b'\n').count();
    assert!(left > 0 && left < ROWS, "{left} rows");
    broken_off(&house, &agreement.number).await;
    assert!(body.next().await.unwrap().is_err(), "the body breaks off, it does not end");
    assert!(body.next().await.is_none());
    assert_eq!(told(&house).await, ("failed".into(), "grant_expired".into(), left as u64));
    let again = client.by(&secret, &path).await;
    assert_eq!(again.refusal(), (403, "grant_expired".into()));
}

#[tokio::test]
async fn on_the_wire_a_cut_file_has_no_end() {
    let house = House::new().await;
    let (secret, agreement, path) = agreed(&house).await;
    let client = Client::new(&house);
    // Small buffers on both sides, so that most of the file is still to be made when its reader has seen the first of it.
    let door = TcpSocket::new_v4().unwrap();
    door.set_send_buffer_size(8192).unwrap();
    door.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let door = door.listen(8).unwrap();
    let at = door.local_addr().unwrap();
    let service = client.router().into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(door, service).await });
    let reader = TcpSocket::new_v4().unwrap();
    reader.set_recv_buffer_size(8192).unwrap();
    let mut reader = reader.connect(at).await.unwrap();
    let (key, own) = (&secret.application.key, &secret.secret);
    let headers: String = client
        .signature(&Method::GET, &path, key, own)
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let asked = format!("GET {path} HTTP/1.1\r\nhost: gate.test\r\n{headers}\r\n");
    reader.write_all(asked.as_bytes()).await.unwrap();
    let mut got = vec![0; 4096];
    let n = reader.read(&mut got).await.unwrap();
    got.truncate(n);
    assert!(got.starts_with(b"HTTP/1.1 200 OK"), "{}", String::from_utf8_lossy(&got));
    broken_off(&house, &agreement.number).await;
    // The connection is closed, or reset, and the last chunk never came.
    let _ = reader.read_to_end(&mut got).await;
    assert!(!got.ends_with(b"0\r\n\r\n"), "a part must not look like the whole");
    let lines = got.iter().filter(|b| **b == b'\n').count();
    assert!(lines < ROWS, "{lines} of {ROWS}");
    let (result, reason, rows) = told(&house).await;
    assert_eq!(result, "failed");
    // The record of the breach stands before the grants are ended: whoever asks between the two is told of it.
    assert!(["grant_expired", "no_grant credit"].contains(&reason.as_str()), "{reason}");
    assert!(rows < ROWS as u64, "{rows}");
}
