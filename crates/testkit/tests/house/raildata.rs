//! Real data by a rail: passengers of Hangzhou's metro by ten minutes, half of them in the first snapshot and half by the log of a
//! live PostgreSQL, equal by count and row by row.
//!
//! `QIANTANG_REAL_DATA=../shared/data cargo nextest run --workspace --run-ignored only -E 'test(metro_flow_comes)'`

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use app::rail;
use model::code::DataType;
use model::entry::EntryDraft;
use model::item::Item;
use model::rail::RailState;
use testkit::{House, Postgres, draft};

use crate::railway::{Source, Table, differs, lake, new, stored, until, worker};

const FILE: &str = "metro_hangzhou_flow/metro_hangzhou_inflow_201901.csv.zst";
/// Rows of the file with a key.
const KEYED: &str = "SELECT concat_ws('-', station_id, date, slot_10min), * FROM file";
const ROWS: &str = "SELECT id, station_id, to_char(date, 'YYYY-MM-DD'), slot_10min, start_time, passengers FROM metro";

fn metro() -> EntryDraft {
    let item = |identifier: &str, name: &str, kind| Item::new(identifier, name, kind);
    let mut id = item("id", "记录编号", DataType::Text);
    (id.primary, id.nullable) = (true, false);
    EntryDraft {
        items: vec![
            id,
            item("station_id", "站点编号", DataType::Integer),
            item("date", "日期", DataType::Date),
            item("slot_10min", "时段序号", DataType::Integer),
            item("start_time", "时段开始", DataType::Text),
            item("passengers", "进站人数", DataType::Integer),
        ],
        ..draft("metro_flow")
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the folder of the real data, named by QIANTANG_REAL_DATA"]
#[expect(clippy::disallowed_methods, reason = "where the real data are is said by the environment")]
async fn metro_flow_comes_from_a_postgresql() {
    let dir = std::env::var("QIANTANG_REAL_DATA")
        .expect("set QIANTANG_REAL_DATA to the folder of the real data");
    let cluster = Postgres::start();
    let _ = cluster.database("source");
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let csv = folder.path().join("metro.csv");
    let packed = std::fs::File::open(Path::new(&dir).join(FILE)).unwrap();
    zstd::stream::copy_decode(packed, std::fs::File::create(&csv).unwrap()).unwrap();
    let source = Source::open(cluster.port(), "source").await;
    source
        .run(&format!(
            "CREATE TABLE metro (id text PRIMARY KEY, station_id int, date date, slot_10min int, start_time text, passengers int);
             CREATE TABLE file (station_id int, date date, slot_10min int, start_time text, passengers int);
             COPY file FROM '{}' WITH (FORMAT csv, HEADER);
             INSERT INTO metro {KEYED} WHERE date < '2019-01-13'",
            csv.display()
        ))
        .await;
    // At the pace of a server.
    let house = House::at_pace(&folder.path().join("house")).await;
    let provider = house.person("provider").await;
    house.publish(metro()).await;
    let kept = stored(&house.app, &provider, cluster.port(), "source").await;
    let made = rail::create(&house.app, &provider, new(&kept, &[("public.metro", "metro_flow")]));
    let id = made.await.unwrap().rail.id;
    let working = worker(&house.app);
    until("streaming", async || {
        let state = rail::get(&house.app, &provider, &id).await.unwrap().figures.state;
        if state == RailState::Streaming { Ok(()) } else { Err(format!("{state:?}")) }
    })
    .await;
    source.run(&format!("INSERT INTO metro {KEYED} WHERE date >= '2019-01-13'")).await;
    let there: Table = source.table(ROWS).await;
    until("level", async || {
        let here = lake(&house.app, "metro_flow").await;
        differs(&there, &here).map_or(Ok(()), Err)
    })
    .await;
    let file = source
        .one("SELECT count(*) || ' rows, ' || sum(passengers) || ' passengers' FROM file")
        .await;
    let view = rail::get(&house.app, &provider, &id).await.unwrap();
    let figures = &view.tables[0].figures;
    println!(
        "file: {file}; lake: {} rows, snapshot {}, quarantined {}",
        there.len(),
        figures.snapshot_rows,
        figures.quarantined
    );
    assert_eq!(figures.quarantined, 0);
    assert!(file.starts_with(&format!("{} rows", there.len())), "{file}");
    rail::stop(&house.app).await;
    working.abort();
}
