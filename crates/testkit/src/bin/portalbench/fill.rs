//! The data folder: tables collected as an upload is, sets entered many at a time, the search index made once.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Instant;

use app::collection::{self, Order};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use model::Op;
use model::code::SyncMode;
use policy::port::{ReadOptions, Source};
use serde_json::json;
use testkit::House;

use crate::made::{self, FLOW, HEADER, SHEET, SHEET_ROWS, SMALL, SMALL_ROWS, Set};

/// Rows of one piece of the upload, and entries written at a time.
const LOT: u64 = 20_000;
const ENTRIES: u64 = 500;

pub(crate) async fn fill(folder: &Path, rows: u64, sets: u64) {
    own(folder);
    let house = House::at_pace(folder).await;
    let begun = Instant::now();
    let titles = [(FLOW, "卡口流向", rows), (SHEET, "卡口时段", rows.min(SHEET_ROWS))];
    for (code, title, rows) in titles {
        collect(&house, code, title, rows).await;
        println!("{rows} rows in `{code}` after {:.0} s", begun.elapsed().as_secs_f64());
    }
    collect(&house, SMALL, "卡口", SMALL_ROWS).await;
    let landed = begun.elapsed().as_secs_f64();

    let begun = Instant::now();
    let op = Op::system(house.app.now());
    let seed = app::ledger::seed_orgs(&house.app, &op, &made::orgs()).await.unwrap();
    let mut entered = 0;
    while entered < sets {
        let lot = ENTRIES.min(sets - entered);
        let drafts = (entered..entered + lot).map(|n| Set::of(n).draft()).collect();
        let op = Op::system(house.app.now());
        app::ledger::seed_entries(&house.app, &op, &seed, drafts).await.unwrap();
        entered += lot;
    }
    let documents = app::catalogue::reindex(&house.app).await.unwrap();
    app::sharing::flush(&house.app).await.unwrap();
    let written = begun.elapsed().as_secs_f64();
    house.app.store.close().await;
    println!(
        "{}",
        json!({
            "rows": rows, "sets": sets, "documents": documents, "land_seconds": landed, "enter_seconds": written,
        })
    );
}

/// The house's mark and key, so that the server takes the folder for its own.
fn own(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    let mark = "# Data folder of Qiantang. Do not edit.\nformat = 1\n";
    std::fs::write(folder.join("qiantang-folder.toml"), mark).unwrap();
    // The key of every rehearsal house.
    let key = guard::KeyRing::from_bytes(&[7; 32]).unwrap().to_text();
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(folder.join("master.key"))
        .unwrap();
    file.write_all(key.as_bytes()).unwrap();
}

/// The file as it would be uploaded, made on the way.
fn upload(rows: u64) -> BoxStream<'static, model::Result<Bytes>> {
    let head = stream::iter([Ok(Bytes::from_static(HEADER.as_bytes()))]);
    let pieces = stream::iter(0..rows.div_ceil(LOT))
        .map(move |n| {
            let (from, to) = (n * LOT, ((n + 1) * LOT).min(rows));
            tokio::task::spawn_blocking(move || {
                let mut out = Vec::with_capacity(((to - from) * 64) as usize);
                (from..to).for_each(|row| made::line(&mut out, row));
                Bytes::from(out)
            })
        })
        .buffered(3)
        .map(|made| Ok(made.unwrap()));
    head.chain(pieces).boxed()
}

async fn collect(house: &House, code: &str, title: &str, rows: u64) {
    house.publish(made::table(code, title)).await;
    let provider = house.person("provider").await;
    let spooled =
        collection::spool(&house.app, &provider, code, "rows.csv", upload(rows)).await.unwrap();
    let order = Order {
        entry: code.into(),
        source: Source::File { path: spooled.path, name: "rows.csv".into() },
        mode: SyncMode::Full,
        options: ReadOptions::default(),
    };
    let run = collection::collect(&house.app, &provider, order).await.unwrap();
    assert_eq!((run.read, run.accepted, run.quarantined), (rows, rows, 0), "{run:?}");
}
