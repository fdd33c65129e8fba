//! The tables: settlements of a province (as many rows as wanted, in the order of time as they come in), its clinics, and real
//! data sets. The same rows for the same number on every machine.

use std::path::Path;
use std::time::Instant;

use futures::StreamExt;
use model::batch::{Batch, Column, TextColumn};
use model::code::{DataType, Grade, OpenType, ShareType, SyncMode};
use model::entry::EntryDraft;
use model::item::Item;
use model::parcel::ParcelHead;
use model::request::{Period, RequestNew};
use policy::port::LandTarget;
use policy::{Action, Target};
use serde_json::json;
use testkit::{House, chance};

pub(crate) const APPLICATION: &str = "批量测量";
/// Rows of one batch.
const BATCH: u64 = 16_384;
const CLINICS: u64 = 2000;
const PEOPLE: u64 = 2_000_000;
/// Days from the first settlement to the last; the first is 2021-01-01.
const DAYS: u64 = 1826;
const FIRST_DAY: i32 = 18_628;
const SURNAMES: &str = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林罗高";
const NAMES: &str = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超霞平刚桂英华建";
const KINDS: [&str; 12] = [
    "普通门诊",
    "急诊",
    "住院",
    "慢病门诊",
    "家庭病床",
    "生育",
    "体检",
    "康复",
    "牙科",
    "眼科",
    "中医",
    "疫苗",
];

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap()
}

fn person_item(identifier: &str, name: &str, data_type: DataType, grade: Grade) -> Item {
    let mut item = Item::new(identifier, name, data_type);
    item.grade = grade;
    item.share_type = ShareType::Restricted;
    item.share_condition = "用于办理本单位法定职责事项".into();
    item.open_type = OpenType::None;
    item.open_basis = "涉及个人信息".into();
    item
}

fn settlements() -> EntryDraft {
    let item = |identifier, name, data_type| person_item(identifier, name, data_type, Grade::L1);
    let mut amount = item("amount", "金额", DataType::Decimal);
    (amount.precision, amount.scale) = (12, 2);
    EntryDraft {
        items: vec![
            item("region_code", "行政区划", DataType::Text),
            item("clinic", "医疗机构", DataType::Text),
            item("person", "人员编号", DataType::Integer),
            person_item("xm", "姓名", DataType::Text, Grade::L2),
            item("kind", "类别", DataType::Text),
            amount,
            item("days", "天数", DataType::Integer),
            item("day", "结算日期", DataType::Date),
            item("moment", "结算时间", DataType::DateTime),
            item("weight", "权重", DataType::Float),
        ],
        sync_mode: SyncMode::Full,
        ..testkit::person_draft("bench_settle")
    }
}

fn clinics() -> EntryDraft {
    let item = |identifier, name, data_type| person_item(identifier, name, data_type, Grade::L1);
    EntryDraft {
        items: vec![
            item("clinic", "医疗机构", DataType::Text),
            item("level", "等级", DataType::Text),
            item("city", "城市", DataType::Text),
            item("beds", "床位", DataType::Integer),
        ],
        sync_mode: SyncMode::Full,
        ..testkit::person_draft("bench_clinic")
    }
}

/// A table whose Parquet files another tool writes.
fn wide() -> EntryDraft {
    let item = |identifier, name| person_item(identifier, name, DataType::Integer, Grade::L1);
    EntryDraft {
        items: vec![item("k", "组"), item("v", "值")],
        sync_mode: SyncMode::Full,
        ..testkit::person_draft("bench_wide")
    }
}

fn texts(rows: std::ops::Range<u64>, mut write: impl FnMut(u64, &mut String)) -> Column {
    let mut column = TextColumn::with_capacity(BATCH as usize);
    let mut text = String::new();
    for row in rows {
        text.clear();
        write(row, &mut text);
        column.push(Some(&text));
    }
    Column::Text(column)
}

fn settlement_batch(from: u64, to: u64, all: u64) -> Batch {
    use std::fmt::Write as _;
    let surnames: Vec<char> = SURNAMES.chars().collect();
    let names: Vec<char> = NAMES.chars().collect();
    let rows = || from..to;
    let of = |salt, n| move |row| chance(row, salt) % n;
    // Clinics and people of two kinds: a few that come often, and all others.
    let clinic = |row| {
        let often = !chance(row, 20).is_multiple_of(4);
        chance(row, 2) % if often { CLINICS / 10 } else { CLINICS }
    };
    let day = move |row: u64| row * DAYS / all;
    let integers =
        |f: &dyn Fn(u64) -> u64| Column::Integer(rows().map(|row| Some(signed(f(row)))).collect());
    let columns = vec![
        texts(rows(), |row, text| {
            let place = chance(row, 1) % 110;
            let province = if place < 100 { 33 } else { 34 };
            let _ = write!(text, "{province}{:02}{:02}", 1 + place % 11, 1 + place / 11);
        }),
        texts(rows(), |row, text| {
            let _ = write!(text, "H{:05}", clinic(row));
        }),
        integers(&of(3, PEOPLE)),
        texts(rows(), |row, text| {
            // A name belongs to a person.
            let person = chance(row, 3) % PEOPLE;
            let (a, b) = (chance(person, 41), chance(person, 42));
            text.push(surnames[a as usize % surnames.len()]);
            text.push(names[b as usize % names.len()]);
            if !b.is_multiple_of(3) {
                text.push(names[(b >> 8) as usize % names.len()]);
            }
        }),
        texts(rows(), |row, text| {
            let (a, b) = (chance(row, 5) % 12, chance(row, 6) % 12);
            text.push_str(KINDS[a.min(b) as usize]);
        }),
        Column::Decimal {
            scale: 2,
            values: rows()
                .map(|row| Some(i128::from((chance(row, 7) % 2000) * (1 + chance(row, 8) % 500))))
                .collect(),
        },
        integers(&of(9, 60)),
        Column::Date(
            rows().map(|row| Some(FIRST_DAY + i32::try_from(day(row)).unwrap())).collect(),
        ),
        Column::DateTime(
            rows()
                .map(|row| {
                    let minutes = 480 + chance(row, 10) % 600;
                    let midnight = i64::from(FIRST_DAY) + signed(day(row));
                    Some((midnight * 1440 + signed(minutes)) * 60_000_000)
                })
                .collect(),
        ),
        Column::Float(rows().map(|row| Some((chance(row, 11) % 800) as f64 / 8.0)).collect()),
    ];
    batch(columns, from, to)
}

fn batch(columns: Vec<Column>, from: u64, to: u64) -> Batch {
    Batch { columns, records: (from + 1..=to).collect(), operations: Vec::new() }
}

fn clinic_batch() -> Batch {
    use std::fmt::Write as _;
    let columns = vec![
        texts(0..CLINICS, |row, text| {
            let _ = write!(text, "H{row:05}");
        }),
        texts(0..CLINICS, |row, text| {
            text.push_str(["三级", "二级", "一级"][(chance(row, 31) % 3) as usize]);
        }),
        texts(0..CLINICS, |row, text| {
            let _ = write!(text, "33{:02}00", 1 + chance(row, 32) % 11);
        }),
        Column::Integer(
            (0..CLINICS).map(|row| Some(signed(20 + chance(row, 33) % 2000))).collect(),
        ),
    ];
    batch(columns, 0, CLINICS)
}

pub(crate) async fn make(folder: &Path, rows: u64, real: Option<&Path>) {
    let house = House::at_pace(folder).await;
    let begun = Instant::now();
    let batches = (0..rows.div_ceil(BATCH)).map(move |n| {
        let from = n * BATCH;
        (from, (from + BATCH).min(rows))
    });
    let settled = futures::stream::iter(batches)
        // Made on both processors, handed over in order.
        .map(move |(from, to)| {
            tokio::task::spawn_blocking(move || settlement_batch(from, to, rows))
        })
        .buffered(4)
        .map(|made| Ok(made.unwrap()));
    land(&house, settlements(), settled.boxed()).await;
    let seconds = begun.elapsed().as_secs_f64();
    land(&house, clinics(), futures::stream::iter([Ok(clinic_batch())]).boxed()).await;
    let mut codes = vec!["bench_settle", "bench_clinic", "bench_wide"];
    house.publish(wide()).await;
    if let Some(real) = real {
        real_data(&house, real).await;
        codes.extend(["bench_taxi", "bench_air"]);
    }
    let (_, secret) = house.application(APPLICATION).await;
    for code in &codes {
        grant(&house, &secret.application.id, code).await;
    }
    println!("{}", json!({ "rows": rows, "seconds": seconds, "tables": codes }));
    house.app.store.close().await;
}

async fn land(
    house: &House,
    draft: EntryDraft,
    rows: futures::stream::BoxStream<'static, model::Result<Batch>>,
) {
    let entry = house.publish(draft).await;
    let provider = house.person("provider").await;
    let target = Target::entry(&entry);
    let permit = house.app.policy.permit(&provider, Action::DataCollect, &target).unwrap();
    let org = house.app.store.org_get(&entry.draft.org).await.unwrap().unwrap();
    let head = ParcelHead {
        id: format!("bench{}", entry.draft.code.replace('_', "")),
        entry: entry.draft.code.clone(),
        mode: SyncMode::Full,
        channel: "file".into(),
        source: "bench".into(),
        checksum: String::new(),
        track: None,
        goes_on: false,
    };
    let target = LandTarget { entry, org_name: org.name_cn, org_uscc: org.uscc };
    house.app.lake.land(&permit, &provider, &head, &target, rows).await.unwrap();
}

async fn grant(house: &House, application: &str, code: &str) {
    let consumer = house.person("consumer").await;
    let entry = house.app.store.entry_get(code).await.unwrap().unwrap();
    let wanted = RequestNew {
        entry: code.into(),
        application: application.into(),
        items: entry.draft.items.iter().map(|i| i.identifier.clone()).collect(),
        scene: "批量分析".into(),
        legal_basis: "部门职责".into(),
        period: Period::Days { days: 30 },
        calls_per_day: 10_000_000,
        area_range: if code == "bench_settle" { "330000".into() } else { String::new() },
        row_range: Default::default(),
        by_sql: true,
    };
    let request = app::sharing::apply(&house.app, &consumer, wanted).await.unwrap();
    for who in ["provider", "authority"] {
        let op = house.person(who).await;
        // An open data set is granted at once.
        let _ = app::sharing::review(&house.app, &op, &request.id, true, "同意").await;
    }
}

/// Taxi trips of New York and air of Beijing, as the real data sets of the demo.
async fn real_data(house: &House, real: &Path) {
    let item = |id: &str, name: &str, data_type| person_item(id, name, data_type, Grade::L1);
    let taxi = [
        ("origin_zone", "上车区域"),
        ("dest_zone", "下车区域"),
        ("hour_index", "小时序号"),
        ("trips", "行程数"),
    ]
    .map(|(id, name)| item(id, name, DataType::Integer))
    .to_vec();
    // Places of the columns are told by the header of the file, which stands in the English name.
    let air = [
        ("no", "No", "序号", DataType::Integer),
        ("year", "year", "年", DataType::Integer),
        ("month", "month", "月", DataType::Integer),
        ("day", "day", "日", DataType::Integer),
        ("hour", "hour", "小时", DataType::Integer),
        ("pm2_5", "PM2.5", "细颗粒物", DataType::Float),
        ("pm10", "PM10", "可吸入颗粒物", DataType::Float),
        ("so2", "SO2", "二氧化硫", DataType::Float),
        ("no2", "NO2", "二氧化氮", DataType::Float),
        ("co", "CO", "一氧化碳", DataType::Float),
        ("o3", "O3", "臭氧", DataType::Float),
        ("temp", "TEMP", "气温", DataType::Float),
        ("pres", "PRES", "气压", DataType::Float),
        ("dewp", "DEWP", "露点", DataType::Float),
        ("rain", "RAIN", "降水", DataType::Float),
        ("wd", "wd", "风向", DataType::Text),
        ("wspm", "WSPM", "风速", DataType::Float),
        ("station", "station", "站点", DataType::Text),
    ]
    .map(|(id, header, name, data_type)| {
        let mut item = item(id, name, data_type);
        item.name_en = header.into();
        item
    })
    .to_vec();
    for (code, items, file) in [
        ("bench_taxi", taxi, "od_taxi_nyc_hourly/nyc_taxi_od_30x30_1464h.csv.zst"),
        ("bench_air", air, "air_quality_beijing_hourly/prsa_12stations_20130301_20170228.csv.zst"),
    ] {
        let draft = EntryDraft { items, sync_mode: SyncMode::Full, ..testkit::person_draft(code) };
        house.publish(draft).await;
        let bytes = std::fs::read(real.join(file)).unwrap();
        let name = file.rsplit('/').next().unwrap();
        let run = house.collect(code, name, &bytes, SyncMode::Full).await.unwrap();
        println!("{}", json!({ "collected": code, "run": format!("{run:?}") }));
    }
}

/// Writes the log of `lake/bench_wide` for the Parquet files that lie there.
pub(crate) async fn adopt(folder: &Path) {
    let table = folder.join("lake/bench_wide");
    let field =
        |name: &str| json!({ "name": name, "type": "long", "nullable": true, "metadata": {} });
    let schema = json!({ "type": "struct", "fields": [field("k"), field("v")] });
    let mut lines = vec![
        json!({ "protocol": { "minReaderVersion": 1, "minWriterVersion": 2 } }),
        json!({ "metaData": {
            "id": "bench-wide", "format": { "provider": "parquet", "options": {} },
            "schemaString": schema.to_string(), "partitionColumns": [], "configuration": {}, "createdTime": 0,
        }}),
    ];
    let mut files: Vec<_> = std::fs::read_dir(&table).unwrap().map(|e| e.unwrap()).collect();
    files.sort_by_key(std::fs::DirEntry::file_name);
    for file in files {
        let name = file.file_name().into_string().unwrap();
        if name.ends_with(".parquet") {
            lines.push(json!({ "add": {
                "path": name, "partitionValues": {}, "size": file.metadata().unwrap().len(),
                "modificationTime": 0, "dataChange": true,
            }}));
        }
    }
    let log = table.join("_delta_log");
    tokio::fs::create_dir_all(&log).await.unwrap();
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    tokio::fs::write(log.join("00000000000000000000.json"), text).await.unwrap();
    println!("{}", json!({ "files": lines.len() - 2 }));
}
