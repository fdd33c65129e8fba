//! kill -9 of a server under a load of signed calls: every call that was answered has its record and is counted, chain and seals
//! hold, and no quota is passed: what a crash costs is the rest of a lot, and it is the caller's loss (`sharing::quota`).

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use app::Action;
use chrono::{DateTime, TimeDelta, Utc};
use guard::signature::{
    Algorithm, HEADER_KEY, HEADER_NONCE, HEADER_SIGNATURE, HEADER_TIMESTAMP, SignedRequest,
};
use model::Op;
use model::audit::AuditFilter;
use model::code::SyncMode;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use testkit::{House, Postgres};

use crate::dying::runtime;
use crate::interface::{PEOPLE, PERSON, published, wanted};

const FOLDER: &str = "QIANTANG_TEST_USAGE_IN";
const STORE: &str = "QIANTANG_TEST_USAGE_STORE";

/// Calls a day of the applications: the first are used up on the way, the last is not.
const QUOTAS: [u64; 4] = [10, 200, 3_000, 1_000_000];
/// Callers at once of each application.
const CALLERS: usize = 3;
/// Answers after which a server is killed, at least.
const FEWEST: usize = 60;
/// The longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Not a test: the server that is killed.
#[test]
#[ignore = "run by the tests of this module only"]
#[expect(clippy::disallowed_methods, reason = "the parent says by the environment what to do")]
fn serving() {
    let told = |name| std::env::var(name);
    let (Ok(folder), Ok(store)) = (told(FOLDER), told(STORE)) else { return };
    runtime().block_on(async {
        let house = Arc::new(House::kept(Path::new(&folder), &store).await);
        let router = gateway::router(Arc::clone(&house.app), gateway::GatewayConfig::default());
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        println!("READY {}", listener.local_addr().unwrap().port());
        // Time passes, so that no pace holds the callers back; the chain is sealed while it grows.
        let clock = Arc::clone(&house);
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_millis(2));
            for n in 0_u64.. {
                tick.tick().await;
                clock.clock.forward(TimeDelta::milliseconds(40));
                if n % 50 == 0 {
                    let sealed =
                        app::evidence::seal(&clock.app, &Op::system(clock.app.now())).await;
                    sealed.unwrap();
                }
            }
        });
        let service = router.into_make_service_with_connect_info::<std::net::SocketAddr>();
        axum::serve(listener, service).await.unwrap();
    });
}

/// The process of a server, and where it listens.
#[expect(clippy::disallowed_methods, reason = "a process is needed to be killed")]
fn start(folder: &Path, store: &str) -> (Child, String) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["usagekill::serving", "--exact", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .env(STORE, store)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let port = lines
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| line.split_once("READY ").map(|(_, port)| port.trim().to_owned()))
        .expect("the server got ready");
    // What it says further is not kept, and does not fill the pipe.
    std::thread::spawn(move || lines.for_each(drop));
    (child, format!("http://127.0.0.1:{port}"))
}

/// An application of the load.
#[derive(Clone, Debug)]
struct Caller {
    id: String,
    key: String,
    secret: String,
    quota: u64,
}

/// A call that was answered to its end.
#[derive(Clone, Debug)]
struct Answered {
    application: String,
    request: String,
}

struct Scene {
    folder: tempfile::TempDir,
    store: String,
    callers: Vec<Caller>,
    paths: Vec<(&'static str, String)>,
    nonce: Arc<AtomicU64>,
    /// Begin of the house's time, at which calls are signed.
    at: DateTime<Utc>,
}

impl Scene {
    async fn new(store: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let house = House::kept(folder.path(), store).await;
        let app = &house.app;
        house.publish(testkit::person_draft("renkou")).await;
        house.collect("renkou", "people.csv", PEOPLE.as_bytes(), SyncMode::Full).await.unwrap();
        let made = published(&house, PERSON).await;
        let consumer = house.person("consumer").await;
        let (provider, authority) =
            (house.person("provider").await, house.person("authority").await);
        let mut callers = Vec::new();
        for quota in QUOTAS {
            let (_, secret) = house.application(&format!("配额 {quota}")).await;
            let mut ask = wanted(&secret.application.id, "renkou", &["sfzh", "xm", "csrq"]);
            ask.calls_per_day = quota;
            let request = app::sharing::apply(app, &consumer, ask).await.unwrap();
            app::sharing::review(app, &provider, &request.id, true, "").await.unwrap();
            app::sharing::review(app, &authority, &request.id, true, "").await.unwrap();
            callers.push(Caller {
                id: secret.application.id.clone(),
                key: secret.application.key.clone(),
                secret: secret.secret.clone(),
                quota,
            });
        }
        app.store.close().await;
        Self {
            folder,
            store: store.to_owned(),
            callers,
            paths: vec![
                ("idcard=11010519491231002X", format!("/api/interface/{}", made.code)),
                ("sfzh=eq.11010519491231002X", "/api/v1/renkou".to_owned()),
            ],
            nonce: Arc::default(),
            at: "2026-03-02T01:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::seconds(60),
        }
    }

    /// Calls until the server is gone, telling of each answered call; the answered calls, and how many were refused.
    async fn load(&self, server: &str, tell: Sender<()>) -> (Vec<Answered>, u64) {
        let client = reqwest::Client::new();
        let mut tasks = tokio::task::JoinSet::new();
        for caller in &self.callers {
            for turn in 0..CALLERS {
                let tell = tell.clone();
                let (client, caller, server) = (client.clone(), caller.clone(), server.to_owned());
                let (paths, nonces, at) = (self.paths.clone(), Arc::clone(&self.nonce), self.at);
                tasks.spawn(async move {
                    let (mut answered, mut refused) = (Vec::new(), 0);
                    for n in turn.. {
                        let (query, path) = &paths[n % paths.len()];
                        let nonce = nonces.fetch_add(1, Ordering::Relaxed);
                        let Some((status, request)) =
                            call(&client, &caller, &server, path, query, nonce, at).await
                        else {
                            break;
                        };
                        match status {
                            200 => {
                                answered.push(Answered { application: caller.id.clone(), request });
                                // Nobody listens when the server is being killed.
                                let _ = tell.send(());
                            }
                            429 => {
                                refused += 1;
                                tokio::task::yield_now().await;
                            }
                            other => panic!("answered {other}"),
                        }
                    }
                    (answered, refused)
                });
            }
        }
        let (mut answered, mut refused) = (Vec::new(), 0);
        while let Some(done) = tasks.join_next().await {
            let (more, too) = done.unwrap();
            answered.extend(more);
            refused += too;
        }
        (answered, refused)
    }
}

/// One signed call: status and request id of an answer that was read to its end; `None` when the server is gone.
async fn call(
    client: &reqwest::Client,
    caller: &Caller,
    server: &str,
    path: &str,
    query: &str,
    nonce: u64,
    at: DateTime<Utc>,
) -> Option<(u16, String)> {
    let algorithm = Algorithm::HmacSha256;
    let (body_hash, timestamp) = (algorithm.body_hash(b""), at.timestamp_millis());
    let nonce = format!("nonce-of-a-killed-{nonce:012}");
    let signed = SignedRequest {
        method: "GET",
        path,
        query,
        body_hash: &body_hash,
        timestamp,
        nonce: &nonce,
    };
    let signature = signed.sign(algorithm, caller.secret.as_bytes());
    let answer = client
        .get(format!("{server}{path}?{query}"))
        .header(HEADER_KEY, &caller.key)
        .header(HEADER_TIMESTAMP, timestamp.to_string())
        .header(HEADER_NONCE, &nonce)
        .header(HEADER_SIGNATURE, signature)
        .send()
        .await
        .ok()?;
    let status = answer.status().as_u16();
    let request = answer.headers().get("x-request-id")?.to_str().ok()?.to_owned();
    let text = answer.text().await.ok()?;
    assert!(status != 200 || text.contains("1949"), "a wrong answer: {text}");
    Some((status, request))
}

/// Everything that must hold after a kill.
async fn looked_at(scene: &Scene, answered: &[Answered], before: i64) -> i64 {
    let house = House::kept(scene.folder.path(), &scene.store).await;
    let (app, auditor) = (&house.app, house.person("auditor").await);
    let verdict = app::audit::verify(app, &auditor).await.unwrap();
    assert!(verdict.intact, "{verdict:?}");
    let meter = app::usage::check(app, &auditor).await.unwrap();
    assert!(meter.agrees, "{meter:?}");
    // Every answered call has its record.
    let target = policy::Target::plain("Audit", "audit");
    let permit = app.policy.permit(&auditor, Action::AuditRead, &target).unwrap();
    let mut recorded = HashSet::new();
    let mut filter = AuditFilter {
        action: Some(Action::RowsQuery.as_str().into()),
        result: Some("ok".into()),
        limit: 1000,
        ..AuditFilter::default()
    };
    let mut last = before;
    loop {
        let page = app.store.audit().list(&permit, &filter).await.unwrap();
        last = last.max(page.first().map_or(0, |r| r.seq));
        let Some(oldest) = page.last().map(|r| r.seq) else { break };
        recorded.extend(page.into_iter().map(|r| r.event.trace_id));
        if oldest <= before {
            break;
        }
        filter.before = Some(oldest);
    }
    for one in answered {
        assert!(recorded.contains(&one.request), "{one:?} has no record");
    }
    app.store.close().await;
    last
}

/// Kills a server so many times at random moments of its load; answers what it saw.
fn killed(store: &str, times: usize) -> String {
    let runtime = runtime();
    let scene = runtime.block_on(Scene::new(store));
    let mut random = StdRng::seed_from_u64(store.len() as u64 + times as u64);
    let (mut all, mut refused, mut last) = (Vec::<Answered>::new(), 0, 0);
    for _ in 0..times {
        let (mut child, server) = start(scene.folder.path(), &scene.store);
        let calls = random.random_range(FEWEST..8 * FEWEST);
        let (tell, told) = channel();
        let killer = std::thread::spawn(move || {
            // After so many answers, in the midst of the others.
            let heard = (0..calls).all(|_| told.recv_timeout(PATIENCE).is_ok());
            child.kill().unwrap();
            child.wait().unwrap();
            assert!(heard, "the server answers no more");
        });
        let (answered, too) = runtime.block_on(scene.load(&server, tell));
        killer.join().unwrap();
        last = runtime.block_on(looked_at(&scene, &answered, last));
        all.extend(answered);
        refused += too;
        // No quota is passed, however often the server died within the day.
        for caller in &scene.callers {
            let calls = all.iter().filter(|a| a.application == caller.id).count() as u64;
            assert!(calls <= caller.quota, "{calls} calls of {}", caller.quota);
        }
    }
    assert!(refused > 0, "no quota ran out");
    let distinct: HashSet<&String> = all.iter().map(|a| &a.request).collect();
    assert_eq!(distinct.len(), all.len());
    format!("{times} kills, {} calls answered, {refused} refused", all.len())
}

#[test]
fn killed_under_load() {
    println!("{}", killed("sqlite:", 3));
}

#[test]
fn killed_under_load_on_postgresql() {
    let cluster = Postgres::start();
    println!("{}", killed(&cluster.database("control"), 2));
}

/// Five minutes: `cargo nextest run --workspace --run-ignored only -E 'test(/usagekill::.*thirty/)'`.
#[test]
#[ignore = "long"]
fn killed_thirty_times_under_load() {
    println!("{}", killed("sqlite:", 30));
}
