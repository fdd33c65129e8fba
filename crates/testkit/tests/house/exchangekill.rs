//! kill -9 while files are taken, at moments spread over the whole turn: every file lands once, every receipt agrees, nothing is left
//! behind. And real divisions of China delivered as exchange files (`QIANTANG_REAL_DATA` names the folder).

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use app::exchange;
use chrono::TimeDelta;
use guard::hash::sha256_hex;
use model::code::{DataType, SyncMode};
use model::exchange::{Completeness, ExchangeNew, FileState};
use model::item::Item;
use testkit::House;

use crate::dying::{kill, runtime, undisturbed};
use crate::exchange::{files, folder, incoming};

const FOLDER: &str = "QIANTANG_TEST_EXCHANGE";
/// Files of one delivery, and their rows.
const FILES: u64 = 4;
const ROWS: u64 = 2_000;
/// Moments at which a turn is cut.
const MOMENTS: u32 = 4;

/// Not a test: the process that is killed.
#[test]
#[ignore = "run by the test of this module only"]
#[expect(clippy::disallowed_methods, reason = "the parent says by the environment where to work")]
fn dying() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    runtime().block_on(async {
        let house = House::at(Path::new(&folder)).await;
        println!("READY");
        println!("DONE {}", exchange::tick(&house.app).await.unwrap());
    });
}

fn deliver(place: &Path, round: u64) {
    for n in 0..FILES {
        let first = (round * FILES + n) * ROWS;
        let mut text = "编号,名称,金额,日期\n".to_owned();
        for id in first..first + ROWS {
            writeln!(text, "{id},企业{id},{id}.25,2026-01-01").unwrap();
        }
        let name = format!("r{round}-{n}.csv");
        std::fs::write(place.join(&name), &text).unwrap();
        let said = serde_json::json!({ "rows": ROWS, "bytes": text.len(), "sha256": sha256_hex(text.as_bytes()) });
        std::fs::write(place.join(format!("{name}.manifest.json")), said.to_string()).unwrap();
        std::fs::write(place.join(format!("{name}.done")), "").unwrap();
    }
}

#[test]
fn killed_while_files_are_taken() {
    let home = tempfile::tempdir().unwrap();
    let place: PathBuf = runtime().block_on(async {
        let house = House::at(home.path()).await;
        let provider = house.person("provider").await;
        let mut draft = testkit::draft("events");
        draft.items[0].primary = false;
        draft.items[0].lookup = true;
        house.publish(draft).await;
        let place = folder(&house, "in");
        let new = ExchangeNew { mode: Some(SyncMode::Incremental), ..incoming(&place, "events") };
        exchange::create(&house.app, &provider, new).await.unwrap();
        house.app.store.close().await;
        place
    });
    let told = [(FOLDER, home.path().to_string_lossy().into_owned())];
    deliver(&place, 0);
    let whole = undisturbed("exchangekill::dying", &told).min(Duration::from_secs(30));
    let mut cut = 0;
    for round in 1..=MOMENTS {
        deliver(&place, u64::from(round));
        let after = whole * round / (MOMENTS + 2);
        if !kill("exchangekill::dying", &told, after) {
            cut += 1;
        }
        runtime().block_on(async {
            let house = House::at(home.path()).await;
            house.clock.forward(TimeDelta::minutes(5));
            for _ in 0..3 {
                exchange::tick(&house.app).await.unwrap();
            }
            let provider = house.person("provider").await;
            let view =
                exchange::list(&house.app, &provider, None, 10).await.unwrap().items.remove(0);
            assert_eq!((view.under_way, view.waiting), (0, 0), "{:?}", view.figures);
            let all = files(&house, &provider, &view).await;
            assert_eq!(all.len() as u64, (u64::from(round) + 1) * FILES, "one record a file");
            for file in &all {
                assert_eq!(file.state, FileState::Agreed, "{file:?}");
                assert_eq!(
                    (file.sender.rows, file.receiver.rows, file.landed),
                    (Some(ROWS), Some(ROWS), ROWS)
                );
            }
            let entry = house.app.store.entry_get("events").await.unwrap().unwrap();
            let rows = house.app.lake.count(&entry).await.unwrap();
            assert_eq!(rows, (u64::from(round) + 1) * FILES * ROWS, "each row landed once");
            let left = std::fs::read_dir(&place)
                .unwrap()
                .filter(|e| e.as_ref().unwrap().path().is_file())
                .count();
            assert_eq!(left, 0, "nothing is left where it was delivered");
            house.app.store.close().await;
        });
    }
    assert!(cut > 0, "no kill fell into a turn");
}

/// The divisions of China: counts and checksums of both sides equal, compressed files as they are.
#[test]
#[ignore = "needs the real data: QIANTANG_REAL_DATA=../shared/data"]
#[expect(clippy::disallowed_methods, reason = "the environment names the folder of real data")]
fn real_divisions_by_exchange_files() {
    let data = PathBuf::from(
        std::env::var("QIANTANG_REAL_DATA").expect("QIANTANG_REAL_DATA names the folder"),
    );
    runtime().block_on(async {
        let house = House::new().await;
        let provider = house.person("provider").await;
        for (code, from, columns) in [
            ("provinces", "admin_divisions_cn/provinces.csv", &["code", "name"][..]),
            ("cities", "admin_divisions_cn/cities.csv", &["code", "name", "provinceCode"]),
            (
                "areas",
                "admin_divisions_cn/areas.csv",
                &["code", "name", "cityCode", "provinceCode"],
            ),
            (
                "streets",
                "admin_divisions_cn/streets.csv.zst",
                &["code", "name", "areaCode", "provinceCode", "cityCode"],
            ),
            (
                "zhejiang_villages",
                "admin_divisions_cn/zhejiang_villages.csv",
                &["code", "name", "streetCode", "provinceCode", "cityCode", "areaCode"],
            ),
            (
                "division_history",
                "admin_division_history/location_year.csv.zst",
                &[
                    "year",
                    "province_name",
                    "city_name",
                    "county_name",
                    "province_adcode",
                    "city_adcode",
                    "county_adcode",
                    "province_id",
                    "city_id",
                    "county_id",
                    "province_short",
                    "city_short",
                    "county_short",
                    "rank",
                ],
            ),
        ] {
            let bytes = std::fs::read(data.join(from)).unwrap();
            let mut draft = testkit::draft(code);
            draft.items = columns
                .iter()
                .enumerate()
                .map(|(n, column)| {
                    let mut identifier = String::new();
                    for c in column.chars() {
                        if c.is_ascii_uppercase() {
                            identifier.push('_');
                        }
                        identifier.push(c.to_ascii_lowercase());
                    }
                    const STEMS: [&str; 14] = [
                        "甲", "乙", "丙", "丁", "戊", "己", "庚", "辛", "壬", "癸", "子", "丑",
                        "寅", "卯",
                    ];
                    let mut item =
                        Item::new(&identifier, &format!("区划{}", STEMS[n]), DataType::Text);
                    item.name_en = (*column).to_owned();
                    // A year of history is no key.
                    let key = n == 0 && *column == "code";
                    (item.primary, item.lookup, item.nullable) = (key, n == 0, !key);
                    item
                })
                .collect();
            house.publish(draft).await;
            let plain = match from.ends_with(".zst") {
                true => zstd::decode_all(bytes.as_slice()).unwrap(),
                false => bytes.clone(),
            };
            let rows = plain.split(|b| *b == b'\n').filter(|l| !l.is_empty()).count() as u64 - 1;
            let place = folder(&house, code);
            let name = from.rsplit('/').next().unwrap();
            std::fs::write(place.join(name), &bytes).unwrap();
            let said = format!(
                "file,bytes,rows,sha256\n{name},{},{rows},{}\n",
                bytes.len(),
                sha256_hex(&bytes)
            );
            std::fs::write(place.join("manifest.csv"), said).unwrap();
            let new = ExchangeNew {
                completeness: Some(Completeness::Manifest),
                pattern: "*.csv*".into(),
                ..incoming(&place, code)
            };
            let view = exchange::create(&house.app, &provider, new).await.unwrap();
            exchange::tick(&house.app).await.unwrap();
            let file = files(&house, &provider, &view).await.remove(0);
            assert_eq!(file.state, FileState::Agreed, "{file:?}");
            assert_eq!((file.receiver.rows, file.landed, file.quarantined), (Some(rows), rows, 0));
            let entry = house.app.store.entry_get(code).await.unwrap().unwrap();
            assert_eq!(house.app.lake.count(&entry).await.unwrap(), rows);
            println!(
                "{code}: {rows} rows, {} bytes, {}",
                bytes.len(),
                file.receiver.sha256.unwrap()
            );
        }
    });
}
