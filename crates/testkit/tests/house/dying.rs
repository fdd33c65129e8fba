//! kill -9 in every way of collecting: a full file, a replay of mended rows, a query, and on PostgreSQL, where the run's
//! lease must be over before it is taken up. (Incremental files on SQLite: `collection`.)

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use app::collection::{self, Order};
use chrono::TimeDelta;
use model::Op;
use model::code::SyncMode;
use model::oversight::ChannelRule;
use model::parcel::{Run, RunState};
use policy::port::{ReadOptions, Source};
use testkit::{House, Postgres};

use crate::collection::{csv, lake_rows, log_draft, quarantined};

/// Moments at which each way is cut.
const MOMENTS: u32 = 3;
/// Rows of a file or an answer; one in ten does not fit.
const ROWS: u64 = 6_000;
/// Rows that are mended and replayed: more than one slice.
const MENDED: u64 = 2_100;

const FOLDER: &str = "QIANTANG_TEST_WAY_IN";
const STORE: &str = "QIANTANG_TEST_WAY_STORE";
const DEED: &str = "QIANTANG_TEST_WAY_DEED";

/// What the dying process does.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Deed {
    /// Collects the file that begins at this row, in this mode.
    File(SyncMode, u64),
    /// Replays this run.
    Replay(String),
    /// Collects the rows from this one on of the table `t` at this URL.
    Query(String, u64),
}

impl Deed {
    fn to_text(&self) -> String {
        match self {
            Self::File(mode, first) => format!("file {} {first}", mode.as_str()),
            Self::Replay(run) => format!("replay {run}"),
            Self::Query(url, first) => format!("query {url} {first}"),
        }
    }
    fn of_text(text: &str) -> Self {
        match text.split(' ').collect::<Vec<_>>().as_slice() {
            ["file", mode, first] => {
                Self::File(SyncMode::parse(mode).unwrap(), first.parse().unwrap())
            }
            ["replay", run] => Self::Replay((*run).to_owned()),
            ["query", url, first] => Self::Query((*url).to_owned(), first.parse().unwrap()),
            other => panic!("{other:?}"),
        }
    }
    async fn done(&self, house: &House) -> Run {
        let provider = house.person("provider").await;
        match self {
            Self::File(mode, first) => {
                let text = csv(*first, ROWS);
                house.collect("events", "file.csv", text.as_bytes(), *mode).await.unwrap()
            }
            Self::Replay(run) => collection::replay(&house.app, &provider, run).await.unwrap(),
            Self::Query(url, first) => {
                let end = first + ROWS;
                let sql = format!(
                    "SELECT id, name, CASE WHEN id % 10 = 7 THEN '十二x' ELSE amount::text END AS amount FROM t WHERE id >= {first} AND id < {end} ORDER BY id"
                );
                let order = Order {
                    entry: "events".into(),
                    source: Source::Query { url: url.clone(), sql, name: "q".into() },
                    mode: SyncMode::Incremental,
                    options: ReadOptions::default(),
                };
                collection::collect(&house.app, &provider, order).await.unwrap()
            }
        }
    }
}

/// Not a test: the process that is killed.
#[test]
#[ignore = "run by the tests of this module only"]
#[expect(clippy::disallowed_methods, reason = "the parent says by the environment what to do")]
fn dying() {
    let told = |name| std::env::var(name);
    let (Ok(folder), Ok(store), Ok(deed)) = (told(FOLDER), told(STORE), told(DEED)) else { return };
    runtime().block_on(async {
        let house = House::kept(Path::new(&folder), &store).await;
        println!("READY");
        let run = Deed::of_text(&deed).done(&house).await;
        println!("DONE {}", run.state.as_str());
    });
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

/// Starts the test `name` of this binary as a process and kills it `after` it is ready; answers whether it had finished by
/// itself.
pub(crate) fn kill(name: &str, told: &[(&str, String)], after: Duration) -> bool {
    lived(name, told, after).0
}

/// Lets such a process come to its end; answers how long that took once it was ready: the time that deaths are spread over.
pub(crate) fn undisturbed(name: &str, told: &[(&str, String)]) -> Duration {
    let (ended, took) = lived(name, told, Duration::from_secs(1800));
    assert!(ended, "undisturbed, {name} ends");
    took
}

#[expect(clippy::disallowed_methods, reason = "a process is needed to be killed")]
fn lived(name: &str, told: &[(&str, String)], after: Duration) -> (bool, Duration) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--ignored", "--nocapture"])
        .envs(told.iter().map(|(name, value)| (name, value)))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let output = BufReader::new(child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        output.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)).ok();
    });
    assert!(told.iter().any(|line| line.contains("READY")), "the dying process never got ready");
    let ready = Instant::now();
    let end = ready + after;
    // The channel closes when the process has ended by itself.
    let done = loop {
        match told.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout) => break false,
            Err(RecvTimeoutError::Disconnected) => break true,
        }
    };
    let took = ready.elapsed();
    let _ = child.kill();
    child.wait().unwrap();
    reader.join().unwrap();
    (done, took)
}

/// A place to die in.
struct Place {
    folder: tempfile::TempDir,
    store: String,
}

impl Place {
    fn new(store: &str) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap(), store: store.to_owned() };
        runtime().block_on(async {
            let house = place.house().await;
            house.publish(log_draft()).await;
            house.app.store.close().await;
        });
        place
    }

    async fn house(&self) -> House {
        House::kept(self.folder.path(), &self.store).await
    }

    fn told(&self, deed: &Deed) -> [(&'static str, String); 3] {
        [
            (FOLDER, self.folder.path().to_string_lossy().into_owned()),
            (STORE, self.store.clone()),
            (DEED, deed.to_text()),
        ]
    }

    /// Does a deed in a process that is killed `after` it is ready.
    fn kill(&self, deed: &Deed, after: Duration) -> bool {
        kill("dying::dying", &self.told(deed), after)
    }

    /// After a kill: a house whose clock is beyond every lease, with the interrupted runs taken up.
    async fn recovered(&self) -> (House, u64) {
        let house = self.house().await;
        house.clock.forward(TimeDelta::minutes(5));
        let resumed = collection::recover(&house.app).await.unwrap();
        let runs = collection::runs(&house.app, &house.person("provider").await, None, None, 500)
            .await
            .unwrap();
        for run in runs.items {
            assert!(
                matches!(run.state, RunState::Succeeded | RunState::Unchanged),
                "left behind: {run:?}"
            );
        }
        (house, resumed)
    }

    /// How long a deed takes undisturbed.
    fn whole(&self, deed: &Deed) -> Duration {
        undisturbed("dying::dying", &self.told(deed)).min(Duration::from_secs(20))
    }
}

fn fitting(rows: u64) -> u64 {
    rows - rows / 10
}

async fn rows_in_lake(house: &House) -> u64 {
    let entry = house.app.store.entry_get("events").await.unwrap().unwrap();
    let rows = lake_rows(house, &entry).await;
    assert_eq!(entry.rows, i64::try_from(rows).unwrap(), "the catalogue knows");
    rows
}

/// Kills a deed that adds rows at moments spread over its time; each time nothing is lost and nothing doubled.
fn appends(place: &Place, deed: impl Fn(u64) -> Deed) {
    let whole = place.whole(&deed(0));
    let mut resumed = 0;
    for n in 1..=MOMENTS {
        let deed = deed(u64::from(n) * ROWS);
        place.kill(&deed, whole * n / (MOMENTS + 2));
        runtime().block_on(async {
            let (house, taken_up) = place.recovered().await;
            resumed += taken_up;
            // Handed in once more: it lands now, or nothing changes.
            let run = deed.done(&house).await;
            assert!(matches!(run.state, RunState::Succeeded | RunState::Unchanged), "{run:?}");
            assert_eq!(rows_in_lake(&house).await, fitting(u64::from(n + 1) * ROWS), "{deed:?}");
            house.app.store.close().await;
        });
    }
    assert!(resumed > 0, "no kill fell into a run");
}

#[test]
fn killed_in_a_full_collection() {
    let place = Place::new("sqlite:");
    let whole = place.whole(&Deed::File(SyncMode::Full, 0));
    let mut resumed = 0;
    for n in 1..=MOMENTS {
        let deed = Deed::File(SyncMode::Full, u64::from(n) * ROWS);
        place.kill(&deed, whole * n / (MOMENTS + 2));
        runtime().block_on(async {
            let (house, taken_up) = place.recovered().await;
            resumed += taken_up;
            // The old rows or the new ones, never some of each.
            assert_eq!(rows_in_lake(&house).await, fitting(ROWS));
            let run = deed.done(&house).await;
            assert!(matches!(run.state, RunState::Succeeded | RunState::Unchanged), "{run:?}");
            assert_eq!(rows_in_lake(&house).await, fitting(ROWS));
            let entry = house.app.store.entry_get("events").await.unwrap().unwrap();
            let version = house.app.lake.versions("events").await.unwrap().remove(0);
            assert_eq!(run.parcel.as_deref(), Some(version.parcel.as_str()));
            let served = house.app.store.serving().position(&entry.id).await.unwrap().unwrap();
            assert_eq!(served.1, version.version);
            house.app.store.close().await;
        });
    }
    assert!(resumed > 0, "no kill fell into a run");
}

#[test]
fn killed_on_postgresql() {
    let cluster = Postgres::start();
    let place = Place::new(&cluster.database("control"));
    appends(&place, |first| Deed::File(SyncMode::Incremental, first));
}

#[test]
fn killed_in_a_query() {
    let cluster = Postgres::start();
    let url = cluster.database("source");
    cluster.run_sql(
        "source",
        "create table t as select n::bigint as id, '企业' || n as name, (n + 0.25)::numeric(12,2) as amount from generate_series(0, 100000) n",
    );
    appends(&Place::new("sqlite:"), |first| Deed::Query(url.clone(), first));
}

/// A run with many misfits, all mended (in one go, as no person could).
async fn mended(house: &House, first: u64) -> String {
    let mut text = "编号,名称,金额,日期\n".to_owned();
    for n in first..first + MENDED {
        writeln!(text, "{n},企业{n},x,2026-01-01").unwrap();
    }
    writeln!(text, "{},企业,1,2026-01-01", first + MENDED).unwrap();
    // So many misfits are what this is about: no budget stops them.
    let provider = house.person("provider").await;
    let rule = ChannelRule { budget_share: Some(1.0), ..ChannelRule::default() };
    collection::set_entry_rule(&house.app, &provider, "events", &rule).await.unwrap();
    let run =
        house.collect("events", "m.csv", text.as_bytes(), SyncMode::Incremental).await.unwrap();
    assert_eq!((run.accepted, run.quarantined), (1, MENDED), "{run:?}");
    let system = Op::system(house.app.now());
    let target = policy::Target::plain("System", "collection");
    let permit = house.app.policy.permit(&system, policy::Action::SystemWork, &target).unwrap();
    let mut rows = quarantined(house, &provider, &run.id).await;
    for row in &mut rows {
        row.reject.cells[2] = Some("1.50".into());
    }
    house.app.store.quarantine_update(&permit, &rows).await.unwrap();
    run.id
}

#[test]
fn killed_in_a_replay() {
    let place = Place::new("sqlite:");
    let prepare = |first: u64| {
        runtime().block_on(async {
            let (house, _) = place.recovered().await;
            let run = mended(&house, first).await;
            house.app.store.close().await;
            Deed::Replay(run)
        })
    };
    let whole = place.whole(&prepare(0));
    let mut resumed = 0;
    for n in 1..=MOMENTS {
        let deed = prepare(u64::from(n) * 10_000);
        place.kill(&deed, whole * n / (MOMENTS + 2));
        runtime().block_on(async {
            let (house, taken_up) = place.recovered().await;
            resumed += taken_up;
            let Deed::Replay(run) = &deed else { return };
            if house.app.store.quarantine_count(run, "open").await.unwrap() > 0 {
                deed.done(&house).await;
            }
            let replayed = house.app.store.quarantine_count(run, "replayed").await.unwrap();
            assert_eq!(replayed, MENDED);
            let all = u64::from(n + 1) * (MENDED + 1);
            assert_eq!(rows_in_lake(&house).await, all, "each mended row landed once");
            house.app.store.close().await;
        });
    }
    assert!(resumed > 0, "no kill fell into a replay");
}
