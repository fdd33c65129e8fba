//! Files that the log names and that are not there, are empty or are no files any more: every reader fails and says of which table;
//! none answers with the rows of the others.

use std::path::PathBuf;

use arrow::array::RecordBatch;
use datafusion::dataframe::DataFrame;
use futures::TryStreamExt;
use model::batch::{Batch, Operation};
use model::code::{DataType, SyncMode};
use model::entry::Entry;
use model::query::RowQuery;
use model::value::{LineForm, Lines};
use model::{Code, Error, Result};

use super::entries::{House, entry, house, item, open, people, person, texts};
use super::releasing::{ITEMS, citizen, grant, landed, scan};
use crate::fault;
use crate::lake::DeltaLake;
use crate::plain::By;
use crate::table::Loaded;
use crate::view::{named, reading, view_by};

/// What may become of a file.
const HARMS: [&str; 3] = ["away", "empty", "torn"];

/// A file of a table that was harmed, and what it held.
struct Harmed {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Harmed {
    fn of(path: PathBuf, how: &str) -> Self {
        let bytes = std::fs::read(&path).unwrap();
        match how {
            "away" => std::fs::remove_file(&path).unwrap(),
            "empty" => std::fs::write(&path, b"").unwrap(),
            _ => std::fs::write(&path, vec![b'x'; bytes.len()]).unwrap(),
        }
        Self { path, bytes }
    }

    fn mend(self) {
        std::fs::write(self.path, self.bytes).unwrap();
    }
}

fn folder(house: &House, code: &str) -> PathBuf {
    house.folder.path().join("lake").join(code)
}

/// `log`: texts without a key.
fn log() -> Entry {
    entry("log", vec![item("xm", DataType::Text)])
}

fn said(text: &str) -> Batch {
    Batch { columns: vec![texts(&[Some(text); 3])], records: vec![1, 2, 3], operations: Vec::new() }
}

async fn plan(lake: &DeltaLake, code: &str, by: By) -> Result<DataFrame> {
    let table = lake.table(code).await?.unwrap();
    let loaded = Loaded::of(&table)?;
    let session = lake.session_analytic((by == By::Sent).then_some(2));
    let rows = view_by(&session, &loaded, reading(&loaded)?, None, by).await?;
    rows.select(vec![named("xm")]).map_err(|e| fault::plan("a test", e))
}

/// Rows of the view as they are read so.
async fn read(lake: &DeltaLake, code: &str, by: By) -> Result<usize> {
    let failed = |e| fault::reading(code, "a test", e);
    let batches = plan(lake, code, by).await?.collect().await.map_err(failed)?;
    Ok(batches.iter().map(RecordBatch::num_rows).sum())
}

/// How many there are, where that is asked of the files.
async fn counted(lake: &DeltaLake, code: &str) -> Result<usize> {
    let rows = plan(lake, code, By::Parquet).await?;
    rows.count().await.map_err(|e| fault::reading(code, "a test", e))
}

/// Whether it can be planned at all what is sent to other processes.
async fn sent(lake: &DeltaLake, code: &str) -> Result<()> {
    let planned = plan(lake, code, By::Sent).await?.create_physical_plan().await;
    planned.map(drop).map_err(|e| fault::reading(code, "a test", e))
}

fn tells<T: std::fmt::Debug>(outcome: Result<T>, code: &str, which: &str) {
    let error: Error = match outcome {
        Err(error) => error,
        Ok(rows) => panic!("{which}: {rows:?}"),
    };
    assert_eq!(error.code(), Code::StoreUnavailable, "{which}: {error:?}");
    let named = format!("`{code}`");
    assert!(error.zh().contains(&named) && error.en().contains(&named), "{which}: {error:?}");
    assert!(!error.zh().contains(".parquet") && !error.en().contains(".parquet"), "{error:?}");
}

/// Harms each file of a table in turn, in each way, and reads it by a lake that has never seen it.
async fn every_harm(house: &House, code: &str, rows: usize) {
    let files = house.files(code);
    for (file, how) in files.iter().flat_map(|file| HARMS.map(|how| (file, how))) {
        let which = format!("{code} {how} {file} of {}", files.len());
        let harmed = Harmed::of(folder(house, code).join(file), how);
        for by in [By::Delta, By::Parquet] {
            tells(read(&open(&house.folder), code, by).await, code, &format!("{which} {by:?}"));
        }
        tells(counted(&open(&house.folder), code).await, code, &format!("{which} counted"));
        // What is no file any more is met where it is read.
        if how != "torn" {
            tells(sent(&open(&house.folder), code).await, code, &format!("{which} sent"));
        }
        harmed.mend();
    }
    let lake = open(&house.folder);
    for by in [By::Delta, By::Parquet] {
        assert_eq!(read(&lake, code, by).await.unwrap(), rows, "{code} {by:?}");
    }
    assert_eq!(counted(&lake, code).await.unwrap(), rows);
    sent(&lake, code).await.unwrap();
}

/// Files read as they lie: of one parcel, and of two.
#[tokio::test]
async fn a_table_as_it_lies() {
    let house = house();
    house.land(0, &log(), "p1", SyncMode::Full, vec![said("甲")]).await.unwrap();
    every_harm(&house, "log", 3).await;
    house.land(1, &log(), "p2", SyncMode::Incremental, vec![said("乙")]).await.unwrap();
    assert_eq!(house.files("log").len(), 2);
    every_harm(&house, "log", 6).await;
    // The log knows how many rows there are, and is right, whatever has become of the files.
    let harmed = Harmed::of(folder(&house, "log").join(&house.files("log")[0]), "away");
    assert_eq!(open(&house.folder).count_rows("log").await.unwrap(), 6);
    harmed.mend();
}

/// A base and what came later, each of which may have lost its file; rows of the base alone would be those of yesterday.
#[tokio::test]
async fn a_table_of_changes() {
    use Operation::{Delete, Insert, Update};
    let house = house();
    let base = people(&[("a", "甲", Insert), ("b", "乙", Insert), ("c", "丙", Insert)]);
    house.land(0, &person(), "p1", SyncMode::Full, vec![base]).await.unwrap();
    let later = people(&[("b", "乙2", Update), ("c", "丙", Delete), ("d", "丁", Insert)]);
    house.land(1, &person(), "p2", SyncMode::Incremental, vec![later]).await.unwrap();
    assert_eq!(house.files("person").len(), 2);
    every_harm(&house, "person", 3).await;
    // Merged rows are counted by reading them.
    for file in house.files("person") {
        let harmed = Harmed::of(folder(&house, "person").join(&file), "away");
        tells(open(&house.folder).count_rows("person").await, "person", &file);
        harmed.mend();
    }
    assert_eq!(open(&house.folder).count_rows("person").await.unwrap(), 3);
}

/// What leaves by a grant: rows, lines, files by column, counts.
#[tokio::test]
async fn releases() {
    let mut house = landed().await;
    let (grant, query) = (grant(&ITEMS, "", 0), RowQuery::default());
    let code = citizen().draft.code;
    let file = folder(&house, &code).join(&house.files(&code)[0]);
    for how in HARMS {
        let harmed = Harmed::of(file.clone(), how);
        house.lake = open(&house.folder);
        tells(scan(&house, &grant, &query).await, &code, how);
        let form = LineForm { between: b',', passed: None, harmless: false };
        let lines = match house.lake.lines_granted(&grant, &query, None, form).await {
            Ok(lines) => lines.try_collect::<Vec<Lines>>().await,
            Err(e) => Err(e),
        };
        tells(lines.map(|l| l.len()), &code, how);
        let by_column = match house.lake.column_file_granted(&grant, &query, None).await {
            Ok(pieces) => pieces.try_collect::<Vec<Lines>>().await,
            Err(e) => Err(e),
        };
        tells(by_column.map(|l| l.len()), &code, how);
        harmed.mend();
    }
    // A file that goes while the lake knows the table already.
    assert_eq!(scan(&house, &grant, &query).await.unwrap().rows.len(), 4);
    let harmed = Harmed::of(file, "away");
    tells(scan(&house, &grant, &query).await, &code, "afterwards");
    harmed.mend();
    assert_eq!(scan(&house, &grant, &query).await.unwrap().rows.len(), 4);
}

/// A lake whose folder is away has no empty tables, and a table that nobody has landed is none.
#[tokio::test]
async fn the_whole_folder() {
    let house = house();
    house.land(0, &log(), "p1", SyncMode::Full, vec![said("甲")]).await.unwrap();
    let root = house.folder.path().join("lake");
    let lake = open(&house.folder);
    let away = root.with_extension("away");
    std::fs::rename(&root, &away).unwrap();
    let error = lake.table("log").await.map(|table| table.is_some()).unwrap_err();
    assert_eq!(error.code(), Code::StoreUnavailable, "{error:?}");
    assert!(error.en().contains("cannot be reached"), "{error:?}");
    std::fs::rename(&away, &root).unwrap();
    assert_eq!(read(&lake, "log", By::Parquet).await.unwrap(), 3);
    assert!(lake.table("nothing").await.unwrap().is_none());
    assert!(!root.join("nothing").exists());
}
