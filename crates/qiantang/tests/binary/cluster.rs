//! The cluster for SQL as operators run it: scheduler and executors are processes of the built binary, asked by a real client
//! through the SQL door. The same rows as in one process, the same grants and masks; an executor that dies in the middle;
//! nobody without a certificate of the cluster's own authority.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use app::sharing;
use model::code::{Grade, SyncMode};
use model::request::{Period, RequestNew};
use testkit::House;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::desk::command;

/// Certificates of one authority.
struct Authority {
    folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = |args: &[&str]| {
            let mut openssl = command(Path::new("openssl"));
            let out = openssl.args(args).current_dir(folder.path()).output().unwrap();
            assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        };
        let new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
        let extensions =
            "subjectAltName=DNS:qiantang-cluster\nextendedKeyUsage=serverAuth,clientAuth\n";
        std::fs::write(folder.path().join("ext"), extensions).unwrap();
        let ca = ["-x509", "-keyout", "ca.key", "-out", "ca.crt", "-days", "30", "-subj", "/CN=ca"];
        made(&[&["req"][..], &new[..], &ca[..]].concat());
        let node = ["-keyout", "node.key", "-out", "node.csr", "-subj", "/CN=node"];
        made(&[&["req"][..], &new[..], &node[..]].concat());
        let signed = "x509 -req -in node.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile ext -out node.crt";
        made(&signed.split(' ').collect::<Vec<_>>());
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn files(&self) -> lake::TrustFiles {
        lake::TrustFiles {
            authority: self.path("ca.crt"),
            certificate: self.path("node.crt"),
            key: self.path("node.key"),
            name: "qiantang-cluster".into(),
        }
    }
}

/// A process of the cluster; killed when dropped.
struct Part {
    child: Child,
    at: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Part {
    fn start(role: &str, scheduler: &str, trust: &Authority, key: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "roles = [\"{role}\"]\n[data]\nfolder = \"data\"\n[operation]\nlisten = \"127.0.0.1:0\"\n[log]\nlevel = \"warn\"\n\
             [cluster]\nscheduler = \"{scheduler}\"\nlisten = \"127.0.0.1:0\"\nexecutor_listen = \"127.0.0.1:0\"\nthreads = 1\n\
             lost_after_seconds = 8\nauthority_file = {:?}\ncertificate_file = {:?}\nkey_file = {:?}\n{more}",
            trust.path("ca.crt"),
            trust.path("node.crt"),
            trust.path("node.key"),
        );
        let file = folder.path().join("node.toml");
        std::fs::write(&file, config).unwrap();
        let mut child = command(Path::new(env!("CARGO_BIN_EXE_qiantang")))
            .args(["serve", "--json", "--config"])
            .arg(&file)
            .env("QIANTANG_MASTER_KEY", key)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let told: serde_json::Value = serde_json::from_str(&line).unwrap();
        let at = told[role].as_str().unwrap().parse().unwrap();
        Self { child, at, _folder: folder }
    }
}

/// A house whose people, events and bodies are granted by SQL; more than one file each, some rows changed and deleted since.
struct Scene {
    house: House,
    key: String,
    password: String,
    trust: Authority,
    master: String,
}

const PEOPLE: usize = 300;
const EVENTS: usize = 20_000;

async fn scene() -> Scene {
    let house = House::new().await;
    let person = |n: usize| {
        let region =
            if n.is_multiple_of(5) { "340200" } else { ["330106", "330200", "330300"][n % 3] };
        format!(
            "P{n:06},人{}某,1{n:010},{}-0{}-1{},{region}",
            n % 17,
            1950 + n % 60,
            1 + n % 9,
            n % 9
        )
    };
    let header = "sfzh,xm,sjh,csrq,region_code\n";
    let mut people = testkit::person_draft("renkou");
    for item in &mut people.items {
        // No check digits: the people are many.
        item.format = String::new();
        if item.identifier == "region_code" {
            item.grade = Grade::L1;
        }
    }
    people.sync_mode = SyncMode::Incremental;
    house.publish(people).await;
    let all: String = (0..PEOPLE).map(|n| person(n) + "\n").collect();
    house
        .collect("renkou", "1.csv", format!("{header}{all}").as_bytes(), SyncMode::Full)
        .await
        .unwrap();
    // Changed since: the view is a merge, of two files.
    let changed: String = (0..40).map(|n| person(n).replace('人', "改") + "\n").collect();
    let more = format!("{header}{changed}");
    house.collect("renkou", "2.csv", more.as_bytes(), SyncMode::Incremental).await.unwrap();

    let mut events = testkit::draft("shijian");
    events.items[0].primary = false;
    events.items[0].nullable = true;
    house.publish(events).await;
    for part in 0..2 {
        let rows: String = (0..EVENTS)
            .map(|n| {
                format!(
                    "{},类{},{}.{:02},2026-01-{:02}\n",
                    n % PEOPLE,
                    n % 11,
                    n % 977,
                    n % 100,
                    1 + (n + part) % 28
                )
            })
            .collect();
        let mode = if part == 0 { SyncMode::Full } else { SyncMode::Incremental };
        let file = format!("id,name,amount,day\n{rows}");
        house.collect("shijian", "e.csv", file.as_bytes(), mode).await.unwrap();
    }
    let (_, secret) = house.application("集群应用").await;
    let consumer = house.person("consumer").await;
    for (entry, items, area) in [
        ("renkou", vec!["sfzh", "xm", "csrq", "region_code"], "330000"),
        ("shijian", vec!["id", "name", "amount", "day"], ""),
    ] {
        let wanted = RequestNew {
            entry: entry.into(),
            application: secret.application.id.clone(),
            items: items.into_iter().map(str::to_owned).collect(),
            scene: "批量分析".into(),
            legal_basis: "部门职责".into(),
            period: Period::Days { days: 30 },
            calls_per_day: 1_000_000,
            area_range: area.into(),
            row_range: Default::default(),
            by_sql: true,
        };
        let request = sharing::apply(&house.app, &consumer, wanted).await.unwrap();
        for who in ["provider", "authority"] {
            let op = house.person(who).await;
            let _ = sharing::review(&house.app, &op, &request.id, true, "同意").await;
        }
    }
    let made =
        app::wire::make_password(&house.app, &consumer, &secret.application.id).await.unwrap();
    let master = house.app.keys.to_text().to_string();
    Scene { house, key: made.user, password: made.password, trust: Authority::new(), master }
}

impl Scene {
    /// A SQL door in this process; `scheduler`: its statements run on that cluster.
    async fn door(&self, scheduler: Option<SocketAddr>) -> Door {
        let config = lake::LakeConfig {
            memory_limit_bytes: 64 << 20,
            cluster: scheduler.map(|at| lake::ClusterConfig {
                scheduler: at.to_string(),
                trust: self.trust.files(),
                partitions: 4,
            }),
            ..lake::LakeConfig::new(self.house.folder().join("lake").to_string_lossy())
        };
        let lake = Arc::new(lake::DeltaLake::open(&config, self.house.app.keys.mask()).unwrap());
        let desk = Arc::new(app::wire::Desk::new(Arc::clone(&self.house.app)));
        let door = lake::SqlDoor::new(Arc::clone(&lake), desk, None).unwrap();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(door.serve(listener, std::future::pending()));
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(port).dbname("qiantang");
        config.user(&self.key).password(&self.password);
        let (client, connection) = config.connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        Door { client, lake }
    }

    fn scheduler(&self) -> Part {
        Part::start("scheduler", "", &self.trust, &self.master, "")
    }

    fn executor(&self, scheduler: &Part, more: &str) -> Part {
        Part::start("executor", &scheduler.at.to_string(), &self.trust, &self.master, more)
    }
}

struct Door {
    client: Client,
    lake: Arc<lake::DeltaLake>,
}

impl Door {
    async fn rows(&self, sql: &str) -> Vec<String> {
        let found = self.client.simple_query(sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
        found
            .into_iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => {
                    let cells = (0..row.len()).map(|at| row.get(at).unwrap_or("∅"));
                    Some(cells.collect::<Vec<_>>().join("|"))
                }
                _ => None,
            })
            .collect()
    }

    fn figures(&self) -> lake::ClusterFigures {
        self.lake.cluster_figures().unwrap()
    }
}

/// What is asked of both, each with an order of its own.
const QUESTIONS: [&str; 14] = [
    "select count(*) from renkou",
    "select sfzh, xm, csrq, region_code from renkou order by sfzh, xm, csrq, region_code",
    "select xm, count(*) n from renkou group by xm order by n desc, xm",
    "select region_code, count(distinct xm) from renkou group by region_code order by 1",
    "select count(*), sum(amount), min(day), max(day), avg(id) from shijian",
    "select name, sum(amount), count(*) from shijian where day >= date '2026-01-10' group by name order by name",
    "select id, sum(amount) s from shijian group by id having sum(amount) > 100 order by s desc, id limit 20",
    "select day, name, count(*) from shijian where name in ('类1', '类7') or name like '类1%' group by day, name order by 1, 2",
    "select a.name, count(*) from shijian a join (select name, max(amount) m from shijian group by name) b on a.name = b.name and a.amount = b.m group by a.name order by 1",
    "select n, r from (select name n, rank() over (order by sum(amount) desc) r from shijian group by name) x order by r, n",
    "select count(*) from shijian where id not in (select id from shijian where name = '类3')",
    "select extract(month from day) m, count(distinct id), sum(case when amount > 500 then 1 else 0 end) from shijian group by 1 order by 1",
    "select r.region_code, count(*) from renkou r, (select distinct name from shijian) n group by 1 order by 1",
    "select upper(substr(name, 1, 1)) || length(name), count(*) from shijian where amount > (select avg(amount) from shijian) group by 1 order by 1",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_same_rows_on_one_executor_and_on_two() {
    let scene = scene().await;
    let here = scene.door(None).await;
    let scheduler = scene.scheduler();
    let _one = scene.executor(&scheduler, "");
    let there = scene.door(Some(scheduler.at)).await;
    let mut expected = Vec::new();
    for sql in QUESTIONS {
        let rows = here.rows(sql).await;
        assert!(!rows.is_empty(), "{sql}");
        assert_eq!(there.rows(sql).await, rows, "{sql}");
        expected.push(rows);
    }
    assert!(expected[1].iter().all(|row| row.contains('*') && !row.contains("340200")));
    let figures = there.figures();
    assert_eq!((figures.taken_back, figures.answered), (0, QUESTIONS.len() as u64));

    let _two = scene.executor(&scheduler, "");
    for (sql, rows) in QUESTIONS.iter().zip(&expected) {
        assert_eq!(&there.rows(sql).await, rows, "{sql}");
    }
    assert_eq!(there.figures().taken_back, 0);

    // What cannot be sent runs here, and says the same.
    for sql in [
        "select count(*) from pg_catalog.pg_class where relname = 'renkou'",
        "select current_setting('timezone'), count(*) from renkou",
    ] {
        assert_eq!(there.rows(sql).await, here.rows(sql).await, "{sql}");
    }
    // So does what fails for a reason of its own.
    let bad = "select 1 / (cast(region_code as int) - 330106) from renkou";
    let told = |e: tokio_postgres::Error| e.as_db_error().unwrap().code().code().to_owned();
    let (one, two) = (here.client.simple_query(bad).await, there.client.simple_query(bad).await);
    assert_eq!(told(one.unwrap_err()), told(two.unwrap_err()));
}

/// A question that takes seconds: nobody can sort it out beforehand.
const LONG: &str = "select a.name, count(*), sum(a.amount - b.amount) from shijian a join shijian b on a.id = b.id group by 1 order by 1";

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_killed_in_the_middle_changes_no_answer() {
    let scene = scene().await;
    let rows = scene.door(None).await.rows(LONG).await;
    let scheduler = scene.scheduler();
    let (mut one, two) = (scene.executor(&scheduler, ""), scene.executor(&scheduler, ""));
    let there = scene.door(Some(scheduler.at)).await;
    // Both have something to do before one is killed.
    let folder =
        |part: &Part| part._folder.path().join("data/cluster").join(part.at.port().to_string());
    let busy = |part: &Part| {
        std::fs::read_dir(folder(part)).is_ok_and(|mut entries| entries.next().is_some())
    };
    let (found, ()) = tokio::join!(there.rows(LONG), async {
        let begun = Instant::now();
        while !(busy(&one) && busy(&two)) {
            assert!(begun.elapsed() < Duration::from_secs(120), "both executors should have work");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        one.child.kill().unwrap();
    });
    assert_eq!(found, rows);
    let figures = there.figures();
    assert_eq!((figures.answered, figures.taken_back), (1, 0), "{figures:?}");
    assert_eq!(there.rows("select count(*) from renkou").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_and_too_large_statements_end_alone() {
    let scene = scene().await;
    let scheduler = scene.scheduler();
    let _one = scene.executor(&scheduler, "memory_mb = 64\n");
    let there = scene.door(Some(scheduler.at)).await;
    // A join of everything with everything: cancelled while it runs, and the executor has room again.
    let endless = "select count(*) from shijian a, shijian b where a.amount + b.amount > 3";
    let token = there.client.cancel_token();
    let (ended, ()) = tokio::join!(there.client.simple_query(endless), async {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        token.cancel_query(NoTls).await.unwrap();
    });
    assert_eq!(ended.unwrap_err().code().unwrap().code(), "57014");
    assert_eq!(there.rows("select count(*) from shijian").await, [(2 * EVENTS).to_string()]);
    // Beyond its memory (a side of a join is held whole): it fails with a reason, and the next one runs.
    let large = "select count(*) from (select id, repeat(name, 900) x from shijian) a \
        join (select id, repeat(name, 901) y from shijian) b on a.id = b.id where a.x < b.y";
    let told = there.client.simple_query(large).await.unwrap_err();
    assert_eq!(told.as_db_error().unwrap().code().code(), "53200", "{told:?}");
    assert_eq!(there.rows("select count(*) from shijian").await, [(2 * EVENTS).to_string()]);
}

/// Hundredths of a second that a process has worked (proc(5), fields 14 and 15 of `stat`).
fn worked(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let behind_name = stat.rsplit_once(')').unwrap().1;
    behind_name.split_whitespace().skip(11).take(2).map(|t| t.parse::<u64>().unwrap()).sum()
}

/// A join of everything with everything that gives nothing for minutes: it ends when it is cancelled, in this process and on an
/// executor, whose one thread is at work and then at rest.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_join_works_no_longer() {
    let scene = scene().await;
    let scheduler = scene.scheduler();
    let one = scene.executor(&scheduler, "");
    let (here, there) = (scene.door(None).await, scene.door(Some(scheduler.at)).await);
    let endless = "select count(*) from shijian a, shijian b where md5(a.name || b.name) = 'x'";
    for (door, pid) in [(&here, std::process::id()), (&there, one.child.id())] {
        let (token, before) = (door.client.cancel_token(), worked(pid));
        let begun = Instant::now();
        let (ended, asked) = tokio::join!(door.client.simple_query(endless), async {
            // Under way: it has worked for a second.
            while worked(pid) < before + 100 {
                assert!(begun.elapsed() < Duration::from_secs(60), "it should have begun");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            token.cancel_query(NoTls).await.unwrap();
            Instant::now()
        });
        assert_eq!(ended.unwrap_err().code().unwrap().code(), "57014");
        assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
        loop {
            let before = worked(pid);
            tokio::time::sleep(Duration::from_millis(500)).await;
            // At rest is who works less than a fifth of the time.
            if worked(pid) - before < 10 {
                break;
            }
            assert!(asked.elapsed() < Duration::from_secs(20), "it works on");
        }
        assert_eq!(door.rows("select count(*) from shijian").await, [(2 * EVENTS).to_string()]);
    }
    assert_eq!(there.figures().taken_back, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_comes_in_without_a_certificate_of_the_authority() {
    let scene = scene().await;
    let scheduler = scene.scheduler();
    let executor = scene.executor(&scheduler, "");
    let stranger = Authority::new();
    for at in [scheduler.at, executor.at] {
        assert!(at.ip().is_loopback());
        // Plain HTTP/1 (REST, health), plain HTTP/2 (gRPC, Flight).
        for opening in [
            &b"GET /api/executors HTTP/1.1\r\nHost: x\r\n\r\n"[..],
            &b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"[..],
            &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"[..],
        ] {
            let answer = spoken(at, opening);
            assert!(
                !answer.starts_with(b"HTTP/") && !contains(&answer, b"\x00\x00\x04\x00"),
                "{answer:?}"
            );
        }
        // TLS without a certificate, and with another authority's; then the right one, so that the trial is a fair one.
        let none: [String; 0] = [];
        let foreign = with(&stranger);
        let own = with(&scene.trust);
        assert!(!served(at, &scene.trust, &none), "{at}: no certificate");
        assert!(!served(at, &scene.trust, &foreign), "{at}: a stranger's certificate");
        assert!(served(at, &scene.trust, &own), "{at}: one of its own");
    }
    // A door with a stranger's certificates gets nothing from the cluster, and answers by itself.
    let config = lake::ClusterConfig {
        scheduler: scheduler.at.to_string(),
        trust: lake::TrustFiles { authority: scene.trust.path("ca.crt"), ..stranger.files() },
        partitions: 2,
    };
    let config = lake::LakeConfig {
        cluster: Some(config),
        ..lake::LakeConfig::new(scene.house.folder().join("lake").to_string_lossy())
    };
    let lake = Arc::new(lake::DeltaLake::open(&config, scene.house.app.keys.mask()).unwrap());
    let desk = Arc::new(app::wire::Desk::new(Arc::clone(&scene.house.app)));
    let door = lake::SqlDoor::new(Arc::clone(&lake), desk, None).unwrap();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(door.serve(listener, std::future::pending()));
    let mut config = tokio_postgres::Config::new();
    config.host("127.0.0.1").port(port).dbname("qiantang");
    config.user(&scene.key).password(&scene.password);
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    let door = Door { client, lake };
    assert_eq!(door.rows("select count(*) from shijian").await, [(2 * EVENTS).to_string()]);
    assert_eq!((door.figures().answered, door.figures().taken_back), (0, 1));
}

/// An executor with another master key would mask otherwise: it refuses, and the door masks by itself.
#[tokio::test(flavor = "multi_thread")]
async fn another_master_key_masks_nothing() {
    let scene = scene().await;
    let scheduler = scene.scheduler();
    let other = guard::KeyRing::from_bytes(&[8; 32]).unwrap().to_text().to_string();
    let address = scheduler.at.to_string();
    let _one = Part::start("executor", &address, &scene.trust, &other, "");
    let (here, there) = (scene.door(None).await, scene.door(Some(scheduler.at)).await);
    let sql = "select xm, count(*) from renkou group by xm order by xm";
    assert_eq!(there.rows(sql).await, here.rows(sql).await);
    assert_eq!((there.figures().answered, there.figures().taken_back), (0, 1));
}

fn spoken(at: SocketAddr, opening: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    stream.write_all(opening).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

fn contains(all: &[u8], part: &[u8]) -> bool {
    all.windows(part.len()).any(|w| w == part)
}

fn with(authority: &Authority) -> [String; 4] {
    let path = |name| authority.path(name).to_string_lossy().into_owned();
    ["-cert".into(), path("node.crt"), "-key".into(), path("node.key")]
}

/// Whether the port speaks HTTP/2 to whoever comes with these certificates.
fn served(at: SocketAddr, trust: &Authority, certificates: &[String]) -> bool {
    let mut openssl: Command = command(Path::new("openssl"));
    openssl
        .args(["s_client", "-quiet", "-alpn", "h2", "-connect", &at.to_string(), "-CAfile"])
        .arg(trust.path("ca.crt"))
        .args(certificates)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = openssl.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let _ =
        stdin.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00");
    let _ = stdin.flush();
    // A server that lets one in begins with its settings frame; another closes.
    let mut answer = [0; 9];
    let spoken = child.stdout.take().unwrap().read_exact(&mut answer).is_ok();
    let _ = child.kill();
    let _ = child.wait();
    spoken && answer[3] == 4
}
