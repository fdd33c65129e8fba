//! The rail with the platform's disk full: nothing is lost, nothing is doubled, it says what is wrong, and goes on by itself
//! when there is room again. The disk is a small file system in memory, mounted in a name space of the process's own.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use app::rail;
use model::Code;
use model::audit::{AuditFilter, AuditRecord};
use model::rail::{IncidentKind, RailState};
use testkit::{House, Postgres, draft};

use crate::railkill::runtime;
use crate::railway::{FIRMS, Source, differs, level, new, served, stored, until};

const FOLDER: &str = "QIANTANG_TEST_FULL_IN";
const PORT: &str = "QIANTANG_TEST_FULL_PORT";
/// Size of the disk: the platform itself takes a few megabytes of it.
const MEGABYTES: u32 = 192;

#[test]
#[expect(clippy::disallowed_methods, reason = "a process of its own has a disk of its own")]
fn a_full_disk_loses_nothing() {
    let cluster = Postgres::start();
    let _ = cluster.database("source");
    let folder = tempfile::tempdir().unwrap();
    let mount = format!("mount -t tmpfs -o size={MEGABYTES}m none \"$1\" && shift && exec \"$@\"");
    let done = Command::new("unshare")
        .args(["-Urm", "sh", "-c", &mount, "sh"])
        .arg(folder.path())
        .arg(std::env::current_exe().unwrap())
        .args(["railfull::on_a_small_disk", "--exact", "--ignored", "--nocapture"])
        .env(FOLDER, folder.path())
        .env(PORT, cluster.port().to_string())
        .output()
        .expect("`unshare` of util-linux is missing: run `cargo xtask setup`");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(
        !said.contains("unshare: "),
        "the kernel gives no name spaces to this user; allow them: sysctl -w kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0\n{said}"
    );
    let told = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && told.contains("1 passed"), "{told}\n{said}");
}

/// Not a test: the process on the small disk.
#[test]
#[ignore = "run by the test of this module only"]
#[expect(clippy::disallowed_methods, reason = "the parent says by the environment what to do")]
fn on_a_small_disk() {
    let (Ok(folder), Ok(port)) = (std::env::var(FOLDER), std::env::var(PORT)) else { return };
    runtime().block_on(fill_and_free(Path::new(&folder), port.parse().unwrap()));
}

/// Downloads that the chain tells of.
async fn downloads(house: &House) -> Result<usize, String> {
    let auditor = house.person("auditor").await;
    let action = Some("rows.download".into());
    let filter = AuditFilter { action, limit: 1000, ..AuditFilter::default() };
    let all = app::audit::list(&house.app, &auditor, &filter).await;
    let all: Vec<AuditRecord> = all.map_err(|e| e.operator_text())?;
    Ok(all.iter().filter(|r| r.event.action == "rows.download").count())
}

async fn fill_and_free(folder: &Path, port: u16) {
    let source = Source::open(port, "source").await;
    source
        .run(
            "CREATE TABLE firms (id bigint PRIMARY KEY, name text, amount numeric(18,2), day date);
             INSERT INTO firms SELECT n, '企业' || n, n, '2026-01-01' FROM generate_series(1, 3000) n",
        )
        .await;
    let house = House::at(folder).await;
    let provider = house.person("provider").await;
    house.publish(draft("firms")).await;
    let kept = stored(&house.app, &provider, port, "source").await;
    let made = rail::create(&house.app, &provider, new(&kept, &[("public.firms", "firms")]));
    let id = made.await.unwrap().rail.id;
    let app = Arc::clone(&house.app);
    // As the server does it: a round that failed is told, and the next one comes.
    let worker = tokio::spawn(async move {
        loop {
            let _ = rail::tick(&app).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    level(&house.app, &source, "firms", FIRMS).await;
    let before = downloads(&house).await.unwrap();
    let ballast = folder.join("ballast");
    let full = fill(&ballast);
    assert_eq!(full, std::io::ErrorKind::StorageFull);
    for round in 1..=8 {
        source
            .run(&format!(
                "UPDATE firms SET amount = amount + {round}, name = repeat('长', 300) || id WHERE id % 8 = {round} - 1;
                 DELETE FROM firms WHERE id % 97 = {round}; INSERT INTO firms VALUES (9000 + {round}, repeat('新', 400), 1, NULL)"
            ))
            .await;
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    // Nothing leaves without its record: what room the audit journal has made ahead is soon used up, and then there is none.
    let nobody = house.nobody();
    let (mut left, mut refused) = (0, None);
    while left < 20_000 && refused.is_none() {
        match app::opening::download(&house.app, &nobody, "firms", None).await {
            Ok(_) => left += 1,
            Err(e) => refused = Some(e.code()),
        }
    }
    assert_eq!(refused, Some(Code::AuditUnavailable), "{left} left");

    std::fs::remove_file(&ballast).unwrap();
    until("each that left is in the chain", async || match downloads(&house).await? - before {
        n if n == left => Ok(()),
        n => Err(format!("{n} records of {left}")),
    })
    .await;
    level(&house.app, &source, "firms", FIRMS).await;
    until("served", async || {
        differs(&source.table(FIRMS).await, &served(&house.app, "firms").await).map_or(Ok(()), Err)
    })
    .await;
    until("streaming", async || {
        let state = rail::get(&house.app, &provider, &id).await.unwrap().figures.state;
        if state == RailState::Streaming { Ok(()) } else { Err(format!("{state:?}")) }
    })
    .await;
    let told = rail::incidents(&house.app, &provider, &id, None, 0).await.unwrap();
    let kinds: Vec<IncidentKind> = told.items.iter().map(|i| i.kind).collect();
    assert!(!kinds.contains(&IncidentKind::SlotLost), "{told:?}");
    rail::stop(&house.app).await;
    worker.abort();
}

/// Fills the disk to the last byte; how that ended.
fn fill(path: &Path) -> std::io::ErrorKind {
    let mut file = std::fs::File::create(path).unwrap();
    let block = vec![0; 1 << 16];
    loop {
        if let Err(error) = file.write_all(&block) {
            return error.kind();
        }
    }
}
