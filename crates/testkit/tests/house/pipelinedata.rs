//! Real data by a pipeline: the hourly air quality of twelve stations (PRSA), from a live MariaDB into the lake, equal by count and
//! by checksum.
//!
//! `QIANTANG_REAL_DATA=../shared/data cargo nextest run --workspace --run-ignored only -E 'test(air_quality_comes)'`

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Instant;

use app::pipeline;
use futures::TryStreamExt;
use model::code::{DataType, SyncMode};
use model::entry::EntryDraft;
use model::item::Item;
use model::pipeline::TurnState;
use model::value::Value;
use mysql_async::prelude::Queryable;
use sha2::{Digest, Sha256};
use testkit::{House, MariaDb, draft};

use crate::pipeline::{kept, settle};

const FILE: &str = "air_quality_beijing_hourly/prsa_12stations_20130301_20170228.csv.zst";

const NUMBERS: [&str; 10] =
    ["pm25", "pm10", "so2", "no2", "co", "o3", "temp", "pres", "dewp", "rain"];

const NAMES: [&str; 10] = [
    "细颗粒物",
    "可吸入颗粒物",
    "二氧化硫",
    "二氧化氮",
    "一氧化碳",
    "臭氧",
    "气温",
    "气压",
    "露点",
    "降水量",
];

/// The pipeline as a department writes it.
const PIPELINE: &str = r#"
name = "air_hourly"
title = "空气质量监测小时值"
entry = "air_quality"
mode = "incremental"
empty = "warn"
max_bad_ratio = 0.0

[source]
kind = "database"
source = "环境业务库"
table = "prsa"

[watermark]
column = "at"
type = "datetime"
start = "2013-03-01"
late = "2d"

[schedule]
cron = "15 2 * * *"
"#;

fn air() -> EntryDraft {
    let mut entry = draft("air_quality");
    entry.sync_mode = SyncMode::Incremental;
    let mut station = Item::new("station", "监测站", DataType::Text);
    let mut at = Item::new("at", "监测时间", DataType::DateTime);
    for item in [&mut station, &mut at] {
        (item.primary, item.nullable) = (true, false);
    }
    entry.items = vec![station, at];
    for (identifier, name) in NUMBERS.iter().zip(NAMES) {
        let mut item = Item::new(identifier, name, DataType::Decimal);
        (item.precision, item.scale) = (12, 3);
        entry.items.push(item);
    }
    entry.items.push(Item::new("wd", "风向", DataType::Text));
    entry
}

/// One line of a row: what is absent is a bare dash, so that it differs from an empty text.
fn line(cells: &[Option<String>]) -> String {
    let cells: Vec<&str> = cells.iter().map(|c| c.as_deref().unwrap_or("-")).collect();
    cells.join("|")
}

fn checksum(mut lines: Vec<String>) -> String {
    lines.sort_unstable();
    let mut hash = Sha256::new();
    for line in lines {
        hash.update(line.as_bytes());
        hash.update(b"\n");
    }
    hex::encode(hash.finalize())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the folder of the real data, named by QIANTANG_REAL_DATA"]
#[expect(clippy::disallowed_methods, reason = "where the real data are is said by the environment")]
async fn air_quality_comes_from_a_mariadb() {
    let dir = std::env::var("QIANTANG_REAL_DATA")
        .expect("set QIANTANG_REAL_DATA to the folder of the real data");
    let server = MariaDb::start();
    let packed = std::fs::File::open(std::path::Path::new(&dir).join(FILE)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let csv = folder.path().join("prsa.csv");
    let mut file = std::fs::File::create(&csv).unwrap();
    zstd::stream::copy_decode(packed, &mut file).unwrap();
    file.flush().unwrap();
    let numbers: Vec<String> = NUMBERS.iter().map(|n| format!("{n} DECIMAL(12,3)")).collect();
    let variables: Vec<String> = NUMBERS.iter().map(|n| format!("@{n}")).collect();
    let set: Vec<String> =
        NUMBERS.iter().map(|n| format!("{n} = NULLIF(NULLIF(TRIM(@{n}), 'NA'), '')")).collect();
    server.run_sql(&format!(
        "CREATE TABLE d.prsa (station VARCHAR(30), at DATETIME, {}, wd VARCHAR(5), PRIMARY KEY (station, at), KEY (at));
         LOAD DATA INFILE '{}' INTO TABLE d.prsa FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' IGNORE 1 LINES
         (@no, @y, @m, @d, @h, {}, @wd, @wspm, station)
         SET at = STR_TO_DATE(CONCAT_WS(' ', @y, @m, @d, @h), '%Y %c %e %H'), {}, wd = NULLIF(@wd, 'NA')",
        numbers.join(", "),
        csv.display(),
        variables.join(", "),
        set.join(", "),
    ));
    let url = format!("mysql://root@127.0.0.1:{}/d?prefer_socket=false", server.port);
    let mut conn = mysql_async::Conn::from_url(&url).await.unwrap();
    let columns = NUMBERS.join(", ");
    let rows: Vec<mysql_async::Row> = conn
        .query(format!(
            "SELECT station, DATE_FORMAT(at, '%Y-%m-%dT%H:%i:%s'), {columns}, wd FROM prsa"
        ))
        .await
        .unwrap();
    let there: Vec<String> = rows
        .into_iter()
        .map(|row| {
            let text = |value: mysql_async::Value| match value {
                mysql_async::Value::Bytes(bytes) => Some(String::from_utf8(bytes).unwrap()),
                _ => None,
            };
            line(&row.unwrap().into_iter().map(text).collect::<Vec<_>>())
        })
        .collect();

    let house = House::new().await;
    let provider = house.person("provider").await;
    house.publish(air()).await;
    kept(&house.app, &provider, &server).await;
    let made = pipeline::create(&house.app, &provider, PIPELINE).await.unwrap();
    let begun = Instant::now();
    pipeline::run_now(&house.app, &provider, &made.pipeline.id).await.unwrap();
    let turn = loop {
        pipeline::tick(&house.app).await.unwrap();
        let turn = pipeline::turns(&house.app, &provider, &made.pipeline.id, None, None, 1).await;
        let turn = turn.unwrap().items.remove(0);
        if turn.state.ended() {
            break turn;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    };
    let seconds = begun.elapsed().as_secs_f64();
    assert_eq!(turn.state, TurnState::Succeeded, "{turn:#?}");
    assert_eq!(turn.figures.read, there.len() as u64);
    assert_eq!(turn.figures.landed, there.len() as u64, "{turn:#?}");

    let nobody = house.app.op(model::Actor::Nobody, "-");
    let download = app::opening::download(&house.app, &nobody, "air_quality", None).await.unwrap();
    let pieces: Vec<model::value::Rows> = download.rows.try_collect().await.unwrap();
    let here: Vec<String> = pieces
        .into_iter()
        .flat_map(|piece| piece.rows)
        .map(|row| line(&row.iter().map(Value::to_text).collect::<Vec<_>>()))
        .collect();
    let (count, before, after) = (here.len(), checksum(there), checksum(here));
    println!("{count} rows in {seconds:.1} s; SHA-256 source {before}, lake {after}");
    assert_eq!(before, after);
    assert_eq!(count, 420_768);

    // A range of it once more changes nothing.
    let id = &made.pipeline.id;
    let again = pipeline::backfill(&house.app, &provider, id, "2014-01-01", "2014-01-11", "5d")
        .await
        .unwrap();
    settle(&house.app, &provider, id).await;
    let done = pipeline::progress(&house.app, &provider, id, &again.group).await.unwrap();
    assert_eq!((done.slices, done.done), (2, 2), "{done:?}");
    let entry = app::catalogue::get(&house.app, &provider, "air_quality").await.unwrap();
    assert_eq!(entry.rows, 420_768);
}
