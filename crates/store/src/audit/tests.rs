//! The chain's memory of a tail that was cut off, on both databases; writers that find the chain moved.

use guard::KeyRing;
use model::Op;
use model::audit::{AuditEvent, AuditFilter, AuditVerdict};
use model::usage::{UsageBy, UsageFilter};
use policy::{Action, Permit, Policy, Target};

use crate::audit::{UsageAsk, UsageScope};
use crate::serving::tests::cluster::Cluster;
use crate::{Store, StoreConfig};

fn config(folder: &std::path::Path, url: &str) -> StoreConfig {
    let keys = KeyRing::from_bytes(&[5; 32]).unwrap();
    StoreConfig { url: url.into(), folder: folder.into(), keys }
}

fn permit() -> Permit {
    let op = Op::system("2026-03-02T01:00:00Z".parse().unwrap());
    Policy::shipped()
        .unwrap()
        .permit(&op, Action::AuditExport, &Target::plain("Audit", "audit"))
        .unwrap()
}

fn event(n: usize) -> AuditEvent {
    AuditEvent {
        event_id: format!("event-{n}"),
        ts: "2026-03-02T01:00:00.000Z".into(),
        actor: "someone".into(),
        action: "entry.publish".into(),
        object: format!("entry-{n}"),
        result: "ok".into(),
        ..AuditEvent::default()
    }
}

async fn append(store: &Store, numbers: std::ops::Range<usize>) {
    for n in numbers {
        store.audit().append(event(n)).await.unwrap();
    }
}

async fn verify(store: &Store) -> AuditVerdict {
    store.audit().verify(&permit(), &[]).await.unwrap()
}

/// What an intruder does to the chain while the platform stands still.
fn meddle(folder: &std::path::Path, sql: &str) {
    let changed = rusqlite::Connection::open(folder.join("audit.db")).unwrap();
    changed.execute_batch(sql).unwrap();
}

#[tokio::test]
async fn a_tail_cut_off_between_two_runs_is_never_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), "sqlite:");
    let store = Store::open(&config).await.unwrap();
    append(&store, 0..10).await;
    assert!(verify(&store).await.intact);
    store.close().await;
    meddle(folder.path(), "DELETE FROM audit WHERE seq > 6");

    // Before anything is written the head still tells of it; afterwards the chain does, and after every restart.
    for round in 0..3 {
        let store = Store::open(&config).await.unwrap();
        let check = |verdict: AuditVerdict| {
            let fault = verdict.fault.unwrap_or_else(|| panic!("intact in round {round}"));
            assert!(!verdict.intact && fault.kind == "removed" && fault.seq == 7, "{fault:?}");
        };
        check(verify(&store).await);
        append(&store, 10..15).await;
        check(verify(&store).await);
        store.close().await;
    }
    let store = Store::open(&config).await.unwrap();
    let filter = AuditFilter { limit: 100, ..AuditFilter::default() };
    let records = store.audit().list(&permit(), &filter).await.unwrap();
    let told: Vec<_> = records.iter().filter(|r| r.event.action == "audit.fault").collect();
    assert_eq!(told.len(), 1, "one record tells of one break");
    assert_eq!((told[0].seq, told[0].event.object.as_str()), (7, "7 10"));
    // 6 left, the record of the break, and 15 written since.
    assert_eq!(records.len(), 22);
}

#[tokio::test]
async fn a_replaced_record_or_a_missing_head_is_noticed_at_the_start() {
    for (sql, kind) in [
        ("UPDATE audit SET hash = prev_hash WHERE seq = 10", "altered"),
        ("DELETE FROM audit", "removed"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path(), "sqlite:");
        let store = Store::open(&config).await.unwrap();
        append(&store, 0..10).await;
        store.close().await;
        meddle(folder.path(), sql);
        let store = Store::open(&config).await.unwrap();
        append(&store, 10..12).await;
        let verdict = verify(&store).await;
        assert_eq!(verdict.fault.map(|f| f.kind).as_deref(), Some(kind), "{sql}");
    }
}

#[tokio::test]
async fn a_crash_before_the_first_head_is_no_fault() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), "sqlite:");
    let store = Store::open(&config).await.unwrap();
    append(&store, 0..3).await;
    store.close().await;
    std::fs::remove_file(folder.path().join("audit.head")).unwrap();
    let store = Store::open(&config).await.unwrap();
    append(&store, 3..5).await;
    assert!(verify(&store).await.intact);
}

#[tokio::test]
async fn a_head_that_lags_behind_after_a_power_cut_is_no_fault() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), "sqlite:");
    let store = Store::open(&config).await.unwrap();
    append(&store, 0..3).await;
    let early = std::fs::read(folder.path().join("audit.head")).unwrap();
    append(&store, 3..6).await;
    store.close().await;
    std::fs::write(folder.path().join("audit.head"), early).unwrap();
    let store = Store::open(&config).await.unwrap();
    append(&store, 6..7).await;
    assert!(verify(&store).await.intact);
}

#[tokio::test]
async fn a_chain_has_one_writer() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), "sqlite:");
    let one = Store::open(&config).await.unwrap();
    append(&one, 0..3).await;
    let refused = Store::open(&config).await.unwrap_err();
    assert_eq!(refused.code(), model::Code::AuditUnavailable);
    assert!(refused.en().contains("another process"), "{refused:?}");
    append(&one, 3..6).await;
    one.close().await;
    let other = Store::open(&config).await.unwrap();
    append(&other, 6..9).await;
    let verdict = verify(&other).await;
    assert!(verdict.intact && verdict.records == 9, "{verdict:?}");
    let late = one.audit().append(event(9)).await.unwrap_err();
    assert_eq!(late.code(), model::Code::AuditUnavailable);
}

/// What a machine that stops in this moment leaves behind.
fn stopped(folder: &std::path::Path) -> tempfile::TempDir {
    let left = tempfile::tempdir().unwrap();
    // The journal first, as it is the one that is written first: the table may be further on than its copy.
    for prefix in ["audit.journal", "audit.head", "audit.db", "control"] {
        for file in std::fs::read_dir(folder).unwrap() {
            let file = file.unwrap();
            if file.file_name().to_str().unwrap().starts_with(prefix) {
                std::fs::copy(file.path(), left.path().join(file.file_name())).unwrap();
            }
        }
    }
    left
}

fn records_in_table(folder: &std::path::Path) -> i64 {
    let table = rusqlite::Connection::open(folder.join("audit.db")).unwrap();
    table.query_row("SELECT count(*) FROM audit", [], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_journal_holds_is_there_after_a_sudden_stop() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&config(folder.path(), "sqlite:")).await.unwrap();
    let mut behind = 0;
    // Long enough that a chain of this length must have a head.
    for n in 0..1100 {
        store.audit().append(call(n)).await.unwrap();
        if [19, 39, 1059, 1099].contains(&n) {
            let left = stopped(folder.path());
            behind += i64::from(records_in_table(left.path()) < n as i64 + 1);
            let again = Store::open(&config(left.path(), "sqlite:")).await.unwrap();
            let verdict = verify(&again).await;
            assert!(verdict.intact && verdict.records == n as u64 + 1, "{verdict:?}");
            agrees(&again, n as u64 + 1).await;
            // And it goes on from there.
            assert_eq!(again.audit().append(call(n + 1)).await.unwrap(), n as i64 + 2);
            assert!(verify(&again).await.intact);
        }
    }
    assert!(behind > 0, "the table was never behind the journal: nothing was tried");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_was_meddled_with_is_told_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&config(folder.path(), "sqlite:")).await.unwrap();
    // In the table are the first ten.
    append(&store, 0..10).await;
    assert_eq!(verify(&store).await.records, 10);
    // Together, so that they reach the table together: what is changed is in the journal alone.
    tokio::join!(append(&store, 10..11), append(&store, 11..12));
    let left = stopped(folder.path());
    for file in ["audit.journal.0", "audit.journal.1"] {
        let path = left.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("entry-10", "entry-99")).unwrap();
    }
    assert_eq!(records_in_table(left.path()), 10, "the last records are in the table already");
    let again = Store::open(&config(left.path(), "sqlite:")).await.unwrap();
    append(&again, 12..13).await;
    let fault = verify(&again).await.fault.unwrap();
    assert_eq!((fault.kind.as_str(), fault.seq), ("removed", 11));
    let kept = std::fs::read_to_string(left.path().join("audit.journal.0.unfit-10")).unwrap();
    assert!(kept.contains("entry-99"), "{kept}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orderly_end_leaves_an_empty_journal() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&config(folder.path(), "sqlite:")).await.unwrap();
    append(&store, 0..30).await;
    store.close().await;
    for file in ["audit.journal.0", "audit.journal.1"] {
        assert_eq!(std::fs::metadata(folder.path().join(file)).unwrap().len(), 0, "{file}");
    }
    assert_eq!(records_in_table(folder.path()), 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_callers_at_once_each_get_their_number() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), "sqlite:");
    let store = Store::open(&config).await.unwrap();
    let callers: Vec<_> = (0..64)
        .map(|caller| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut seqs = Vec::new();
                for n in 0..20 {
                    seqs.push(store.audit().append(event(caller * 100 + n)).await.unwrap());
                }
                seqs
            })
        })
        .collect();
    let mut all = Vec::new();
    for caller in callers {
        all.extend(caller.await.unwrap());
    }
    all.sort_unstable();
    assert_eq!(all, (1..=1280).collect::<Vec<_>>());
    assert!(verify(&store).await.intact);
}

#[tokio::test]
async fn days_are_civil_days_in_china() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&config(folder.path(), "sqlite:")).await.unwrap();
    for (n, ts) in [
        "2026-03-01T15:59:59.999Z",
        "2026-03-01T16:00:00.000Z",
        "2026-03-02T15:59:59.999Z",
        "2026-03-02T16:00:00.000Z",
    ]
    .into_iter()
    .enumerate()
    {
        store.audit().append(AuditEvent { ts: ts.into(), ..event(n) }).await.unwrap();
    }
    let day = |from: Option<&str>, to: Option<&str>| AuditFilter {
        from: from.map(Into::into),
        to: to.map(Into::into),
        limit: 10,
        ..AuditFilter::default()
    };
    let seqs = |filter: AuditFilter| {
        let store = store.clone();
        async move {
            let records = store.audit().list(&permit(), &filter).await;
            records.map(|all| all.iter().map(|r| r.seq).collect::<Vec<_>>())
        }
    };
    assert_eq!(seqs(day(Some("2026-03-02"), Some("2026-03-02"))).await.unwrap(), [3, 2]);
    assert_eq!(seqs(day(None, Some("2026-03-01"))).await.unwrap(), [1]);
    assert_eq!(seqs(day(Some("2026-03-03"), None)).await.unwrap(), [4]);
    let wrong = seqs(day(Some("02.03.2026"), None)).await.unwrap_err();
    assert_eq!(
        (wrong.code(), wrong.fields()[0].field.as_str()),
        (model::Code::InvalidQuery, "from")
    );
}

#[tokio::test]
async fn postgres_remembers_a_cut_off_tail() {
    let cluster = Cluster::start();
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), cluster.url());
    let store = Store::open(&config).await.unwrap();
    append(&store, 0..10).await;
    assert!(verify(&store).await.intact);
    sqlx::query("DELETE FROM audit WHERE seq > 6").execute(store.db.pool()).await.unwrap();
    for _ in 0..2 {
        append(&store, 10..15).await;
        let verdict = verify(&store).await;
        let fault = verdict.fault.unwrap();
        assert!(!verdict.intact && fault.kind == "removed" && fault.seq == 7, "{fault:?}");
    }
    let filter =
        AuditFilter { action: Some("audit.fault".into()), limit: 9, ..AuditFilter::default() };
    assert_eq!(store.audit().list(&permit(), &filter).await.unwrap().len(), 1);
}

/// A call by one of three applications.
fn call(n: usize) -> AuditEvent {
    AuditEvent {
        actor: format!("application-{}", n % 3),
        app_key: "key".into(),
        action: "rows.query".into(),
        object: "renkou".into(),
        rows: 2,
        micros: 300 * (n as u64 + 1),
        way: "api".into(),
        ..event(n)
    }
}

async fn agrees(store: &Store, calls: u64) {
    let verdict = store.audit().usage_check(&permit()).await.unwrap();
    assert!(verdict.agrees && verdict.calls == calls, "{verdict:?}");
    let filter = UsageFilter::default();
    let by = Some(UsageBy::Application);
    let ask = UsageAsk { filter: &filter, scope: UsageScope::All, by, after: None, limit: 10 };
    let rows = store.audit().usage(&ask).await.unwrap();
    assert_eq!(rows.iter().map(|r| r.usage.calls).sum::<u64>(), calls, "{rows:?}");
    assert_eq!(rows.iter().map(|r| r.usage.rows).sum::<u64>(), 2 * calls);
    assert_eq!(store.audit().calls_since("2026-01-01").await.unwrap(), (calls, 0));
    assert_eq!(store.audit().calls_since("2027-01-01").await.unwrap(), (0, 0));
}

/// What a version of the platform without a meter wrote is counted by the next one, at its start and while both run.
#[tokio::test]
async fn a_chain_without_a_meter_is_counted_from_its_begin() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), "sqlite:");
    let store = Store::open(&config).await.unwrap();
    for n in 0..30 {
        store.audit().append(call(n)).await.unwrap();
    }
    agrees(&store, 30).await;
    store.close().await;
    meddle(
        folder.path(),
        "DROP TABLE meter_mark; DROP TABLE meter_day; DROP TABLE meter_hour; DROP TABLE meter_key",
    );
    let store = Store::open(&config).await.unwrap();
    agrees(&store, 30).await;
    // Half of it is not counted yet: as if another process had written it just now.
    meddle(
        folder.path(),
        "DELETE FROM meter_day; DELETE FROM meter_hour; UPDATE meter_mark SET seq = 0",
    );
    store.audit().append(call(30)).await.unwrap();
    agrees(&store, 31).await;
    store.close().await;
    agrees(&Store::open(&config).await.unwrap(), 31).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_on_postgres_count_into_one_meter() {
    let cluster = Cluster::start();
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), cluster.url());
    let (one, other) = (Store::open(&config).await.unwrap(), Store::open(&config).await.unwrap());
    let callers: Vec<_> = (0..40)
        .map(|n| {
            let store = if n % 2 == 0 { one.clone() } else { other.clone() };
            tokio::spawn(async move { store.audit().append(call(n)).await.unwrap() })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    agrees(&one, 40).await;
    for sql in ["DELETE FROM meter_day", "DELETE FROM meter_hour", "UPDATE meter_mark SET seq = 0"]
    {
        sqlx::query(sql).execute(one.db.pool()).await.unwrap();
    }
    other.audit().append(call(40)).await.unwrap();
    agrees(&other, 41).await;
}
