//! Requests that the platform is talked into making: an account of the authority was taken over, and harvest is pointed inwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use ingest::outgoing::Outgoing;
use model::harvest::{HarvestState, HarvestTurn};
use testkit::{House, PROVIDER_ORG};

use super::doors::{Doors, Visitor};

/// A server on this machine that counts who comes, and sends on where it is told to.
struct Inner {
    asked: AtomicUsize,
}

const ONWARD: [&str; 7] = [
    "http://169.254.169.254/latest/meta-data/",
    "http://[::ffff:169.254.169.254]/",
    "http://2852039166/",
    "http://10.0.0.1/",
    "file:///etc/passwd",
    "gopher://127.0.0.1/x",
    "http://user:word@127.0.0.1/",
];

async fn onward(State(inner): State<Arc<Inner>>, Path(n): Path<usize>) -> Response {
    inner.asked.fetch_add(1, Ordering::SeqCst);
    let to = ONWARD.get(n).copied().unwrap_or("/");
    (StatusCode::FOUND, [("location", to)]).into_response()
}

async fn secret(State(inner): State<Arc<Inner>>) -> &'static str {
    inner.asked.fetch_add(1, Ordering::SeqCst);
    "{\"dataset\":[{\"identifier\":\"1\",\"title\":\"内部机密\"}]}"
}

async fn inner() -> (Arc<Inner>, u16) {
    let inner = Arc::new(Inner { asked: AtomicUsize::new(0) });
    let router = Router::new()
        .route("/onward/{n}", get(onward))
        .fallback(get(secret))
        .with_state(Arc::clone(&inner));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (inner, port)
}

/// Keeps a source by the form; its number where it was taken, else the answer's status.
async fn kept(authority: &mut Visitor, n: usize, url: &str) -> Result<String, u16> {
    let name = format!("来源 {n}");
    let form = [
        ("name", name.as_str()),
        ("kind", "data_json"),
        ("url", url),
        ("org", PROVIDER_ORG),
        ("region", "330000"),
        ("becomes", "published"),
        ("cron", "30 2 * * *"),
    ];
    let page = authority.post("/console/harvests", &form).await;
    match page.status {
        303 => {
            let place = page.header("location").split('?').next().unwrap().to_owned();
            Ok(place.trim_start_matches("/console/harvests/").to_owned())
        }
        status => Err(status),
    }
}

/// Runs a source to its end.
async fn turn(doors: &Doors, authority: &mut Visitor, id: &str) -> HarvestTurn {
    let begun = authority.post(&format!("/console/harvests/{id}/run"), &[("whole", "true")]).await;
    assert_eq!(begun.status, 303, "{}", begun.text());
    let app = &doors.house.app;
    while app::harvest::tick(app).await.unwrap() > 0 {}
    let op = doors.house.person("authority").await;
    app::harvest::get(app, &op, id).await.unwrap().turn.unwrap()
}

/// None of these is asked: not taken as an address, or the turn fails and says so without a word of what is there.
async fn nowhere(doors: &Doors, addresses: &[String]) {
    let mut authority = doors.person("authority").await;
    for (n, url) in addresses.iter().enumerate() {
        let id = match kept(&mut authority, n, url).await {
            Ok(id) => id,
            Err(status) => {
                assert_eq!(status, 400, "{url}");
                continue;
            }
        };
        let turn = turn(doors, &mut authority, &id).await;
        // A name that is not found is looked for again later; everything else has failed for good, and says why.
        assert_ne!(turn.state, HarvestState::Done, "{url}");
        let said = !turn.zh.is_empty() && !turn.en.is_empty();
        assert!(turn.state != HarvestState::Failed || said, "{url}: {turn:?}");
        for told in [&turn.zh, &turn.en] {
            assert!(!told.contains("机密") && !told.contains("root:"), "{url}: {told}");
        }
    }
    let sets = app::opening::datasets(&doors.house.app, &doors.house.nobody(), None, 10).await;
    assert!(sets.unwrap().items.is_empty(), "nothing came of it");
}

fn owned(addresses: &[&str]) -> Vec<String> {
    addresses.iter().map(|a| (*a).to_owned()).collect()
}

/// Addresses inside, however they are spelled: metadata of a cloud, private networks, nobody's address; and what is not of the web.
#[tokio::test]
async fn addresses_inside_are_not_asked_however_spelled() {
    let doors = Doors::of(House::new().await);
    nowhere(
        &doors,
        &owned(&[
            "http://169.254.169.254/latest/meta-data/",
            "http://2852039166/",
            "http://0xa9fea9fe/",
            "http://0251.0376.0251.0376/",
            "http://[::ffff:169.254.169.254]/",
            "http://[::ffff:a9fe:a9fe]/",
            "http://[64:ff9b::a9fe:a9fe]/",
            "http://100.100.100.200/",
            "http://10.0.0.1/",
            "http://192.168.1.1:8080/",
            "http://[fd12::1]/",
            "http://[fe80::1]/",
            "http://0.0.0.0/",
            "http://[::]/",
            "http://224.0.0.1/",
            "file:///etc/passwd",
            "gopher://127.0.0.1:6379/_FLUSHALL",
            "ftp://127.0.0.1/",
            "data:application/json,{}",
            "jar:http://127.0.0.1!/",
            "http://user:word@127.0.0.1/",
            "http:///etc/passwd",
        ]),
    )
    .await;
}

/// A catalogue that may be asked sends on to places that may not: every step is looked at anew.
#[tokio::test]
async fn a_redirect_leads_nowhere_else() {
    let (inner, port) = inner().await;
    let doors = Doors::of(House::new().await);
    let addresses: Vec<String> =
        (0..ONWARD.len()).map(|n| format!("http://127.0.0.1:{port}/onward/{n}")).collect();
    nowhere(&doors, &addresses).await;
    assert!(inner.asked.load(Ordering::SeqCst) >= ONWARD.len(), "each was asked, and sent on");
}

/// The operator lets the platform go everywhere (`*`), and still it does not ask itself: neither by address nor by a name that leads here.
#[tokio::test]
async fn the_platform_does_not_ask_itself() {
    let (inner, port) = inner().await;
    let mut house = House::new().await;
    let everywhere = guard::OutgoingRules::parse(&["*".to_owned()]).unwrap();
    let catalogues = ingest::Catalogues::reaching(Outgoing::new(everywhere));
    let app = Arc::get_mut(&mut house.app).unwrap();
    app.harvests = app::harvest::Memory::new(Arc::new(catalogues));
    let doors = Doors::of(house);
    let hosts = [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "localhost",
        "LOCALHOST.",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "0.0.0.0",
    ];
    let addresses: Vec<String> =
        hosts.iter().map(|host| format!("http://{host}:{port}/data.json")).collect();
    nowhere(&doors, &addresses).await;
    assert_eq!(inner.asked.load(Ordering::SeqCst), 0);
}
