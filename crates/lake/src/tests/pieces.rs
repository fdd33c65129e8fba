//! Rows of small files dealt out among the processors: each row is read once, by somebody.

use datafusion::physical_plan::{ExecutionPlanProperties, collect};
use datafusion::prelude::lit;
use model::batch::Batch;
use model::code::{DataType, SyncMode};

use super::entries::{House, entry, house, item, texts};
use crate::cells::Cells;
use crate::plain::By;
use crate::table::Loaded;
use crate::view::{Reading, named, view_by};

/// Numbers as texts, those of one file.
fn numbers(from: u64, to: u64) -> Batch {
    let said: Vec<String> = (from..to).map(|n| n.to_string()).collect();
    let said: Vec<Option<&str>> = said.iter().map(|n| Some(n.as_str())).collect();
    let records = (1..=to - from).collect();
    Batch { columns: vec![texts(&said)], records, operations: Vec::new() }
}

/// The numbers of the table as a statement reads them, sorted, and by how many lanes.
async fn read(house: &House, only: Option<&str>) -> (Vec<u64>, usize) {
    let table = house.lake.table("log").await.unwrap().unwrap();
    let loaded = Loaded::of(&table).unwrap();
    let session = house.lake.session_straight();
    let mut rows = view_by(&session, &loaded, Reading::Plain, None, By::Parquet).await.unwrap();
    if let Some(only) = only {
        rows = rows.filter(named("n").eq(lit(only))).unwrap();
    }
    let plan = rows.select(vec![named("n")]).unwrap().create_physical_plan().await.unwrap();
    let lanes = plan.output_partitioning().partition_count();
    let batches = collect(plan, session.task_ctx()).await.unwrap();
    let mut read = Vec::new();
    for batch in batches {
        let cells = Cells::of(batch.column(0).as_ref()).unwrap();
        let texts = (0..batch.num_rows()).map(|row| cells.value(row).to_text().unwrap());
        read.extend(texts.map(|text| text.parse::<u64>().unwrap()));
    }
    read.sort_unstable();
    (read, lanes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_of_a_small_file_is_read_once() {
    let house = house();
    let log = entry("log", vec![item("n", DataType::Text)]);
    // One file that is worth sharing, of no even number of rows, and one that is not.
    house.land(0, &log, "p0", SyncMode::Incremental, vec![numbers(0, 20_001)]).await.unwrap();
    assert_eq!(read(&house, None).await, ((0..20_001).collect(), 2));
    house.land(1, &log, "p1", SyncMode::Incremental, vec![numbers(20_001, 20_006)]).await.unwrap();
    assert_eq!(read(&house, None).await, ((0..20_006).collect(), 2));
    for at in [0, 10_000, 10_001, 20_000, 20_005] {
        assert_eq!(read(&house, Some(&at.to_string())).await.0, [at]);
    }
    assert!(read(&house, Some("20006")).await.0.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_few_rows_are_left_to_one() {
    let house = house();
    let log = entry("log", vec![item("n", DataType::Text)]);
    house.land(0, &log, "p0", SyncMode::Incremental, vec![numbers(0, 9000)]).await.unwrap();
    assert_eq!(read(&house, None).await, ((0..9000).collect(), 1));
}
