//! kill -9 while cloud resources come in by calls: what was acknowledged is there, a lot is whole or not at all, index
//! and store agree after the next start, and sending everything again ends with each resource once.
//!
//! The whole ledger of a province, 89,000 resources (minutes):
//! `cargo nextest run --workspace --run-ignored only -E 'test(eighty_nine_thousand)'`.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use app::ledger;
use model::Op;
use model::asset::{AssetFilter, Ledger};
use testkit::{House, PROVIDER_ORG};

use crate::dying::{kill, runtime, undisturbed};

const FOLDER: &str = "QIANTANG_TEST_INTAKE_IN";
const ROWS: &str = "QIANTANG_TEST_INTAKE_ROWS";
const LOT: &str = "QIANTANG_TEST_INTAKE_LOT";
/// One byte for each acknowledged lot.
const ACKNOWLEDGED: &str = "acknowledged";

fn row(n: usize) -> BTreeMap<String, String> {
    [
        ("code", format!("R-{n:06}")),
        ("name", format!("市场监管主机{n:06}号")),
        ("org", PROVIDER_ORG.to_owned()),
        ("region", "330000".to_owned()),
        ("kind", "云服务器".to_owned()),
        ("zone", "政务外网区".to_owned()),
        ("vcpu", "8".to_owned()),
        ("expiry", "2027-01-31".to_owned()),
    ]
    .into_iter()
    .map(|(k, v)| (k.to_owned(), v))
    .collect()
}

/// Sends every lot; the ones that are there change nothing.
async fn send(house: &House, rows: usize, lot: usize, mut acknowledged: impl FnMut()) {
    let all: Vec<usize> = (0..rows).collect();
    for lot in all.chunks(lot) {
        let provider = house.person("provider").await;
        let lot = lot.iter().map(|n| row(*n)).collect();
        let report =
            ledger::intake(&house.app, &provider, Ledger::Cloud, lot, false).await.unwrap();
        assert!(report.applied, "{:?}", report.faults.first());
        acknowledged();
    }
}

/// Not a test: the process that is killed.
#[test]
#[ignore = "run by the tests of this module only"]
#[expect(clippy::disallowed_methods, reason = "the parent says by the environment what to do")]
fn dying() {
    let told = |name| std::env::var(name);
    let (Ok(folder), Ok(rows), Ok(lot)) = (told(FOLDER), told(ROWS), told(LOT)) else { return };
    runtime().block_on(async {
        let house = House::kept(Path::new(&folder), "sqlite:").await;
        app::catalogue::heal(&house.app).await.unwrap();
        println!("READY");
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(Path::new(&folder).join(ACKNOWLEDGED))
            .unwrap();
        send(&house, rows.parse().unwrap(), lot.parse().unwrap(), || {
            file.write_all(b".").unwrap();
        })
        .await;
    });
}

/// Resources of the ledger, after the start that follows a kill; index and store agree.
async fn counted(house: &House) -> usize {
    app::catalogue::heal(&house.app).await.unwrap();
    let system = Op::system(house.app.now());
    let told = ledger::agree(&house.app, &system).await.unwrap();
    assert!(told.iter().all(|a| a.agree), "{told:?}");
    let provider = house.person("provider").await;
    let filter = AssetFilter { ledger: Some(Ledger::Cloud), ..AssetFilter::default() };
    let count = ledger::count(&house.app, &provider, &filter).await.unwrap();
    let index = told.iter().find(|a| a.ledger == "cloud").map_or(0, |a| a.index);
    assert_eq!(count, index);
    usize::try_from(count).unwrap()
}

fn killed(rows: usize, lot: usize, moments: u32) {
    let folder = tempfile::tempdir().unwrap();
    let told = [
        (FOLDER, folder.path().to_string_lossy().into_owned()),
        (ROWS, rows.to_string()),
        (LOT, lot.to_string()),
    ];
    // How long it takes undisturbed, in a folder of its own.
    let whole = {
        let other = tempfile::tempdir().unwrap();
        let mut told = told.clone();
        told[0].1 = other.path().to_string_lossy().into_owned();
        undisturbed("dying_ledger::dying", &told)
    };
    let (mut before, mut cut) = (0, 0);
    for _ in 0..moments {
        kill("dying_ledger::dying", &told, whole / (moments + 1));
        let sent = std::fs::read(folder.path().join(ACKNOWLEDGED)).unwrap_or_default().len();
        std::fs::remove_file(folder.path().join(ACKNOWLEDGED)).ok();
        runtime().block_on(async {
            let house = House::kept(folder.path(), "sqlite:").await;
            let count = counted(&house).await;
            assert!(count >= (sent * lot).min(rows), "an acknowledged lot was lost");
            assert!(count >= before, "what was there is there");
            assert!(count == rows || count % lot == 0, "a lot is whole or not at all");
            cut += usize::from(count < rows);
            before = count;
            house.app.store.close().await;
        });
    }
    assert!(cut > 0, "no kill fell into the intake");
    runtime().block_on(async {
        let house = House::kept(folder.path(), "sqlite:").await;
        send(&house, rows, lot, || {}).await;
        assert_eq!(counted(&house).await, rows);
        house.app.store.close().await;
    });
}

#[test]
fn killed_in_an_intake() {
    killed(2000, 250, 3);
}

#[test]
#[ignore = "minutes; the command stands at the head of the file"]
fn killed_in_an_intake_of_eighty_nine_thousand() {
    killed(89_000, 2000, 6);
}
