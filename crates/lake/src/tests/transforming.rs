//! Transformations: what a SELECT may say, what comes of it, and what is told of it.

use std::time::Duration;

use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use guard::KeyRing;
use model::batch::{Batch, Column, Operation, TextColumn};
use model::code::DataType;
use model::item::Item;
use model::parcel::Reject;
use model::value::Value;
use model::{Code, Error, Result};
use policy::port::{Chunk, Transform, TransformAsk, TransformInput, TransformPlan};

use crate::{DeltaLake, LakeConfig};

struct Bench {
    lake: DeltaLake,
    #[expect(dead_code, reason = "held for its drop")]
    folder: tempfile::TempDir,
    spill: std::path::PathBuf,
}

fn bench(memory: usize) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let spill = folder.path().join("spill");
    std::fs::create_dir_all(&spill).unwrap();
    let config = LakeConfig {
        memory_limit_bytes: memory,
        spill_dir: Some(spill.clone()),
        ..LakeConfig::new(folder.path().join("lake").to_string_lossy())
    };
    let keys = KeyRing::from_bytes(&[7; 32]).unwrap();
    Bench { lake: DeltaLake::open(&config, keys.mask()).unwrap(), folder, spill }
}

fn item(name: &str, data_type: DataType) -> Item {
    Item::new(name, name, data_type)
}

fn texts(names: &[&str]) -> Vec<Item> {
    names.iter().map(|n| item(n, DataType::Text)).collect()
}

fn input(name: &str, items: Vec<Item>) -> TransformInput {
    TransformInput { name: name.into(), items }
}

/// Rows of texts; `-` is null. Integer items are read as such.
fn batch(items: &[Item], first: u64, rows: &[&[&str]]) -> Batch {
    let columns = items
        .iter()
        .enumerate()
        .map(|(at, item)| {
            let cells = rows.iter().map(|r| r.get(at).copied().filter(|c| *c != "-"));
            match item.data_type {
                DataType::Integer => {
                    Column::Integer(cells.map(|c| c.map(|c| c.parse().unwrap())).collect())
                }
                _ => {
                    let mut text = TextColumn::with_capacity(rows.len());
                    cells.for_each(|c| text.push(c));
                    Column::Text(text)
                }
            }
        })
        .collect();
    Batch { columns, records: (first..first + rows.len() as u64).collect(), operations: Vec::new() }
}

fn rows(items: &[Item], rows: &[&[&str]]) -> BoxStream<'static, Result<Batch>> {
    let batches: Vec<Result<Batch>> = rows
        .chunks(2)
        .enumerate()
        .map(|(at, some)| Ok(batch(items, at as u64 * 2 + 1, some)))
        .collect();
    stream::iter(batches).boxed()
}

struct Outcome {
    rows: Vec<Vec<Value>>,
    operations: Vec<Operation>,
    rejects: Vec<Reject>,
}

async fn outcome(chunks: BoxStream<'static, Result<Chunk>>) -> Result<Outcome> {
    let chunks: Vec<Chunk> = chunks.try_collect().await?;
    let mut out = Outcome { rows: Vec::new(), operations: Vec::new(), rejects: Vec::new() };
    for chunk in chunks {
        assert_eq!(chunk.read, (chunk.batch.rows() + chunk.rejects.len()) as u64);
        for row in 0..chunk.batch.rows() {
            out.rows.push(chunk.batch.columns.iter().map(|c| c.value(row)).collect());
            out.operations.push(chunk.batch.operation(row));
        }
        out.rejects.extend(chunk.rejects);
    }
    Ok(out)
}

fn people() -> TransformInput {
    let mut items = texts(&["id", "name", "region"]);
    items.push(item("amount", DataType::Integer));
    input("source", items)
}

fn lookup() -> TransformInput {
    input("regions", texts(&["code", "name"]))
}

fn ask(sql: &str, items: Vec<Item>) -> TransformAsk {
    TransformAsk {
        sql: sql.into(),
        inputs: vec![people(), lookup()],
        items,
        ..TransformAsk::default()
    }
}

const PEOPLE: [&[&str]; 5] = [
    &["110105491231002", "甲", "330106", "10"],
    &["440524188001010014", "乙", "330100", "20"],
    &["12345", "丙", "330106", "30"],
    &["-", "丁", "-", "-"],
    &["11010519491231002X", "戊", "330200", "50"],
];
const REGIONS: [&[&str]; 3] = [&["330100", "杭州市"], &["330106", "西湖区"], &["330200", "宁波市"]];

async fn run(sql: &str, items: Vec<Item>) -> Result<Outcome> {
    run_asked(&bench(64 << 20).lake, ask(sql, items)).await
}

async fn run_asked(lake: &DeltaLake, ask: TransformAsk) -> Result<Outcome> {
    let inputs = vec![rows(&people().items, &PEOPLE), rows(&lookup().items, &REGIONS)];
    outcome(lake.run(&ask, inputs).await?).await
}

async fn plan(sql: &str, items: Vec<Item>) -> Result<TransformPlan> {
    bench(64 << 20).lake.plan(&ask(sql, items)).await
}

fn words(rows: &[Vec<Value>]) -> Vec<String> {
    rows.iter()
        .map(|r| {
            r.iter()
                .map(|v| v.to_text().unwrap_or_else(|| "-".into()))
                .collect::<Vec<_>>()
                .join(",")
        })
        .collect()
}

#[tokio::test]
async fn rows_flow_through_and_what_a_function_refuses_is_a_reject() {
    let mut items = texts(&["id", "name", "region_name"]);
    items.push(item("birthday", DataType::Date));
    let out = run(
        "SELECT id15_to_18(s.id) AS id, s.name, r.name AS region_name, id_birthday(s.id) AS birthday
         FROM source s LEFT JOIN regions r ON r.code = s.region",
        items,
    )
    .await
    .unwrap();
    let mut rows = words(&out.rows);
    rows.sort();
    assert_eq!(
        rows,
        [
            "-,丁,-,-",
            "11010519491231002X,戊,宁波市,1949-12-31",
            "11010519491231002X,甲,西湖区,1949-12-31",
            "440524188001010014,乙,杭州市,1880-01-01",
        ]
    );
    let [reject] = out.rejects.as_slice() else { panic!("{:?}", out.rejects) };
    assert_eq!((reject.column.as_str(), reject.value.as_str()), ("id", "12345"));
    assert!(reject.zh.contains("18 位"), "{}", reject.zh);
    assert_eq!(
        reject.cells,
        ["12345", "丙", "西湖区", "12345"].map(|c| Some(c.to_owned())),
        "all cells are kept, so that the row can be mended"
    );
}

#[tokio::test]
async fn values_are_typed_by_the_items_and_misfits_name_their_reason() {
    let mut name = item("name", DataType::Text);
    name.length = 1;
    let mut amount = item("amount", DataType::Decimal);
    (amount.precision, amount.scale) = (4, 1);
    let mut key = item("id", DataType::Text);
    key.primary = true;
    let out = run(
        "SELECT id, name || CASE WHEN amount > 40 THEN '长' ELSE '' END AS name, amount / 4.0 AS amount FROM source",
        vec![key, name, amount],
    )
    .await
    .unwrap();
    assert_eq!(
        words(&out.rows),
        ["110105491231002,甲,2.5", "440524188001010014,乙,5.0", "12345,丙,7.5"]
    );
    let told: Vec<(&str, &str)> =
        out.rejects.iter().map(|r| (r.column.as_str(), r.zh.as_str())).collect();
    assert_eq!(told[0], ("id", "不能为空"));
    assert!(told[1].0 == "name" && told[1].1.contains("超过规定的 1 个"), "{told:?}");
    assert_eq!(out.rejects[1].cells[1].as_deref(), Some("戊长"));
}

#[tokio::test]
async fn conversions_and_divisions_that_fail_refuse_their_row_in_every_step() {
    let items = || vec![item("n", DataType::Integer), item("total", DataType::Integer)];
    for sql in [
        // In a projection, a filter, below a group, as the group, in a window's order.
        "SELECT CAST(id AS BIGINT) AS n, 1 AS total FROM source WHERE id IS NOT NULL",
        "SELECT 1 AS n, amount AS total FROM source WHERE CAST(id AS BIGINT) > 0 AND id IS NOT NULL",
        "SELECT CAST(id AS BIGINT) AS n, count(*) AS total FROM source WHERE id IS NOT NULL GROUP BY CAST(id AS BIGINT)",
        "SELECT 1 AS n, sum(CAST(id AS BIGINT)) AS total FROM source WHERE id IS NOT NULL",
        "SELECT 1 AS n, row_number() OVER (ORDER BY CAST(id AS BIGINT)) AS total FROM source WHERE id IS NOT NULL",
        "SELECT 1 AS n, amount AS total FROM source WHERE id IS NOT NULL ORDER BY CAST(id AS BIGINT)",
    ] {
        let out = run(sql, items()).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
        assert_eq!(out.rejects.len(), 1, "{sql}: {:?}", out.rejects);
        assert!(out.rejects[0].zh.contains("11010519491231002X"), "{sql}: {}", out.rejects[0].zh);
        assert!(!out.rows.is_empty(), "{sql}");
    }
    let out = run("SELECT 100 / (amount - 20) AS n FROM source", items()).await.unwrap();
    assert_eq!(words(&out.rows), ["-10,-", "10,-", "-,-", "3,-"]);
    assert_eq!((out.rejects.len(), out.rejects[0].zh.as_str()), (1, "除数为零"));
}

#[tokio::test]
async fn operations_come_from_a_column() {
    let mut order = ask(
        "SELECT name AS id, CASE name WHEN '甲' THEN 'D' WHEN '乙' THEN 'u' WHEN '丙' THEN 'X' ELSE 'I' END AS op FROM source",
        texts(&["id"]),
    );
    order.operation_column = Some("op".into());
    let out = run_asked(&bench(64 << 20).lake, order.clone()).await.unwrap();
    use Operation::{Delete, Insert, Update};
    assert_eq!(out.operations, [Delete, Update, Insert, Insert]);
    assert_eq!(out.rejects[0].operation.as_deref(), Some("X"));
    order.operation_column = Some("was".into());
    let error = bench(64 << 20).lake.plan(&order).await.unwrap_err();
    assert!(error.zh().contains("`was`"), "{error}");
}

#[tokio::test]
async fn nothing_but_one_select_over_the_inputs_is_taken() {
    let items = || texts(&["id"]);
    for (sql, says) in [
        ("", "请写一条"),
        ("DROP TABLE source", "只能是一条 SELECT"),
        ("INSERT INTO source VALUES ('1')", "只能是一条 SELECT"),
        ("UPDATE source SET id = '1'", "只能是一条 SELECT"),
        ("COPY source TO '/tmp/x.csv'", "只能是一条 SELECT"),
        ("COPY (SELECT 1) TO '/tmp/x.csv' STORED AS CSV", "只能是一条 SELECT"),
        ("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'", "只能是一条 SELECT"),
        ("CREATE VIEW v AS SELECT 1", "只能是一条 SELECT"),
        ("SET datafusion.execution.batch_size = 1", "只能是一条 SELECT"),
        ("SHOW TABLES", "只能是一条 SELECT"),
        ("EXPLAIN SELECT id FROM source", "只能是一条 SELECT"),
        ("SELECT id INTO t FROM source", "只能是一条 SELECT"),
        ("WITH x AS (INSERT INTO source VALUES ('1')) SELECT 1 AS id", "SELECT"),
        ("SELECT id FROM source; SELECT id FROM source", "一条语句"),
        ("SELECT id FROM '/etc/passwd'", "没有输入表"),
        ("SELECT table_name AS id FROM information_schema.tables", "没有输入表"),
        ("SELECT value AS id FROM generate_series(1, 10)", "表函数"),
        ("SELECT id FROM read_csv('/etc/passwd')", "表函数"),
        ("SELECT $1 AS id FROM source", "参数"),
        (
            "WITH RECURSIVE t AS (SELECT 1 AS id UNION ALL SELECT id + 1 FROM t) SELECT id FROM t",
            "递归",
        ),
        ("SELECT id FROM sorce", "是否指 `source`"),
        ("SELECT nmae AS id FROM source", "是否指 `name`"),
        ("SELECT id FROM source s JOIN regions r ON s.id = r.code WHERE name = '1'", "多张表"),
        ("SELECT id15_to18(id) AS id FROM source", "没有函数 `id15_to18`，是否指 `id15_to_18`"),
        ("SELECT id15_to_18() AS id FROM source", "函数用法为 id15_to_18(id)"),
        ("SELECT id FROM source WHERE", "语法有误"),
        ("SELECT code_map('no_such', id) AS id FROM source", "没有代码表 `no_such`"),
        ("SELECT code_map(name, id) AS id FROM source", "直接写成文字"),
        ("SELECT region_as_of(id, 2020) AS id FROM source", "没有代码表 `admin_division_history`"),
        ("SELECT s.name, r.name, s.id FROM source s, regions r", "请用 AS"),
        ("SELECT name FROM source", "缺少必填"),
    ] {
        let mut items = items();
        items[0].primary = true;
        let error = plan(sql, items).await.expect_err(sql);
        assert!(error.zh().contains(says), "{sql}: {error:?}");
        assert_eq!(error.code(), Code::InvalidQuery, "{sql}: {error:?}");
        assert!(error.en().is_ascii() || !error.en().is_empty());
    }
    let error = plan("SELECT id,\n  amont\nFROM source", items()).await.unwrap_err();
    assert!(error.zh().starts_with("第 2 行第 3 列：没有列 `amont`，是否指 `amount`"), "{error}");
    assert!(error.en().starts_with("line 2, column 3: there is no column `amont`"), "{error}");
    assert!(error.zh().contains("amount、id、name、region"), "{error}");
}

#[tokio::test]
async fn lineage_is_read_off_the_plan() {
    // SQL, then for the first column: from, through, by.
    let cases: &[(&str, &str, &str, &str)] = &[
        ("SELECT id AS x FROM source", "source.id", "", ""),
        ("SELECT t.y AS x FROM (SELECT name AS y FROM source) t", "source.name", "", ""),
        (
            "WITH a AS (SELECT upper(name) AS y, region FROM source), b AS (SELECT y, region FROM a) SELECT trim(y) AS x FROM b",
            "source.name",
            "",
            "btrim,upper",
        ),
        (
            "SELECT name || region AS x FROM source WHERE amount > 5",
            "source.name,source.region",
            "source.amount",
            "||",
        ),
        (
            "SELECT r.name AS x FROM source s JOIN regions r ON r.code = s.region",
            "regions.name",
            "regions.code,source.region",
            "",
        ),
        (
            "SELECT r.name AS x FROM source s LEFT JOIN regions r ON r.code = s.region AND s.amount > 1",
            "regions.name",
            "regions.code,source.amount,source.region",
            "",
        ),
        (
            "SELECT id AS x FROM source UNION ALL SELECT lower(code) FROM regions",
            "regions.code,source.id",
            "",
            "lower",
        ),
        (
            "SELECT CASE WHEN amount > 1 THEN name ELSE region END AS x FROM source",
            "source.amount,source.name,source.region",
            "",
            "case,>",
        ),
        (
            "SELECT sum(amount) AS x FROM source GROUP BY region",
            "source.amount",
            "source.region",
            "sum",
        ),
        (
            "SELECT region AS x FROM source GROUP BY region HAVING count(id) > 1",
            "source.region",
            "source.id,source.region",
            "",
        ),
        (
            "SELECT row_number() OVER (PARTITION BY region ORDER BY amount) AS x FROM source",
            "source.amount,source.region",
            "",
            "row_number",
        ),
        (
            "SELECT x FROM (SELECT name AS x, row_number() OVER (PARTITION BY id ORDER BY amount DESC) AS n FROM source) WHERE n = 1",
            "source.name",
            "source.amount,source.id",
            "",
        ),
        ("SELECT DISTINCT name AS x FROM source", "source.name", "source.name", ""),
        (
            "SELECT name AS x FROM source ORDER BY amount LIMIT 3",
            "source.name",
            "source.amount",
            "",
        ),
        ("SELECT name AS x FROM source ORDER BY amount", "source.name", "", ""),
        (
            "SELECT (SELECT max(name) FROM regions WHERE code = s.region) AS x FROM source s",
            "regions.name",
            "regions.code,source.region",
            "max",
        ),
        (
            "SELECT name AS x FROM source WHERE region IN (SELECT code FROM regions)",
            "source.name",
            "regions.code,source.region",
            "",
        ),
        (
            "SELECT name AS x FROM source s WHERE EXISTS (SELECT 1 FROM regions r WHERE r.code = s.region)",
            "source.name",
            "regions.code,source.region",
            "",
        ),
        ("SELECT 'fixed' AS x FROM source", "", "", ""),
        (
            "SELECT code_map('gender', id_sex(id)) AS x FROM source",
            "source.id",
            "",
            "code_map,id_sex",
        ),
        (
            "SELECT a.name AS x FROM source a JOIN source b ON a.id = b.region",
            "source.name",
            "source.id,source.region",
            "",
        ),
        (
            "SELECT id AS x FROM source EXCEPT SELECT code FROM regions",
            "source.id",
            "regions.code,source.id",
            "",
        ),
    ];
    for (sql, from, through, by) in cases {
        let plan = plan(sql, texts(&["x"])).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
        let column = &plan.columns[0];
        assert_eq!(
            (column.from.join(","), column.through.join(","), column.by.join(",")),
            ((*from).to_owned(), (*through).to_owned(), (*by).to_owned()),
            "{sql}"
        );
        assert_eq!(column.item.as_deref(), Some("x"), "{sql}");
    }
    let plan = plan("SELECT amount AS a, 1 AS b FROM source", texts(&["a", "c"])).await.unwrap();
    assert_eq!((plan.columns[0].kind.as_str(), plan.columns[1].item.as_deref()), ("Int64", None));
    let notes: Vec<&str> = plan.notes.iter().map(|(zh, _)| zh.as_str()).collect();
    assert_eq!(notes, ["数据项 c（c）没有对应的列，将为空", "列 b 没有对应的数据项，不会入湖"]);
}

/// `count` rows in batches of 1,000, made as they are asked for.
fn many(count: u64) -> BoxStream<'static, Result<Batch>> {
    stream::iter((0..count / 1000).map(move |block| {
        let first = block * 1000;
        let mut id = TextColumn::with_capacity(1000);
        let mut name = TextColumn::with_capacity(1000);
        let mut region = TextColumn::with_capacity(1000);
        for n in first..first + 1000 {
            // Neither order nor key of the source helps.
            id.push(Some(&format!("{:012}", (n * 7_919) % count)));
            name.push(Some(&format!("{n:060}")));
            region.push(Some(if n % 2 == 0 { "330100" } else { "330106" }));
        }
        let amount = (first..first + 1000).map(|n| i64::try_from(n).ok()).collect();
        Ok(Batch {
            columns: vec![
                Column::Text(id),
                Column::Text(name),
                Column::Text(region),
                Column::Integer(amount),
            ],
            records: (first + 1..=first + 1000).collect(),
            operations: Vec::new(),
        })
    }))
    .boxed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_for_memory_spills() {
    let count = 300_000;
    let bench = bench(16 << 20);
    let items = || vec![item("id", DataType::Text), item("name", DataType::Text)];
    // An order over more than the memory, and a join of two tables that are both larger than it.
    for sql in [
        "SELECT id, name FROM source ORDER BY id",
        "SELECT a.id, b.name FROM source a JOIN source b ON a.id = b.id",
    ] {
        let inputs = vec![many(count), rows(&lookup().items, &REGIONS)];
        let mut chunks = bench.lake.run(&ask(sql, items()), inputs).await.unwrap();
        let (mut read, mut last) = (0, String::new());
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
            for row in 0..chunk.batch.rows() {
                let Value::Text(id) = chunk.batch.columns[0].value(row) else { panic!() };
                assert!(sql.contains("JOIN") || id > last, "{last} before {id}");
                last = id;
            }
            read += chunk.read;
        }
        assert_eq!(read, count, "{sql}");
    }
    let left: Vec<_> = std::fs::read_dir(&bench.spill)
        .unwrap()
        .filter(|e| e.as_ref().is_ok_and(|e| e.path().is_file()))
        .collect();
    assert!(left.is_empty(), "files stay behind: {left:?}");
}

#[tokio::test]
async fn a_run_streams_stops_when_nobody_reads_and_ends_in_time() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    let asked = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&asked);
    let endless = move || {
        let counter = Arc::clone(&counter);
        stream::iter(0..u64::MAX)
            .then(move |n| {
                counter.fetch_add(1, Ordering::Relaxed);
                async move {
                    tokio::task::yield_now().await;
                    Ok(batch(&people().items, n + 1, &[&["1", "甲", "330100", "1"]]))
                }
            })
            .boxed()
    };
    let bench = bench(64 << 20);
    let mut order = ask("SELECT id FROM source WHERE amount > 0", texts(&["id"]));
    let inputs = vec![endless(), rows(&lookup().items, &REGIONS)];
    let mut chunks = bench.lake.run(&order, inputs).await.unwrap();
    for _ in 0..3 {
        assert!(chunks.next().await.unwrap().unwrap().read > 0);
    }
    drop(chunks);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let stopped = asked.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(asked.load(Ordering::Relaxed), stopped, "nobody reads, nothing is asked for");

    // An endless source under a group never answers: the rule's time ends it.
    order.sql = "SELECT max(id) AS id FROM source".into();
    order.patience = Duration::from_millis(200);
    let inputs = vec![endless(), rows(&lookup().items, &REGIONS)];
    let mut chunks = bench.lake.run(&order, inputs).await.unwrap();
    let error = chunks.next().await.unwrap().unwrap_err();
    assert_eq!(error.code(), Code::QueryTooSlow);
    assert!(chunks.next().await.is_none());
}

#[tokio::test]
async fn an_error_of_the_source_is_told_as_it_is() {
    let failing = rows(&people().items, &PEOPLE)
        .chain(stream::iter([Err(Error::new(
            Code::SourceUnavailable,
            "源断了",
            "the source is gone",
        ))]))
        .boxed();
    let bench = bench(64 << 20);
    let inputs = vec![failing, rows(&lookup().items, &REGIONS)];
    let chunks =
        bench.lake.run(&ask("SELECT id FROM source", texts(&["id"])), inputs).await.unwrap();
    let error = outcome(chunks).await.err().unwrap();
    assert_eq!((error.code(), error.zh()), (Code::SourceUnavailable, "源断了"));
}
