//! Reading a statement's rows with what they are made from, and making a table of the project of rows.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use guard::hash::sha256_hex;
use model::batch::{Batch, Column, TextColumn};
use model::code::{DataType, Grade, OpenType, ShareType, SyncMode};
use model::item::Item;
use model::op::stamp;
use model::parcel::ParcelHead;
use model::project::result::{Made, ProjectResult};
use model::{Error, Op, Result};
use policy::port::{LandTarget, SqlSitting};

use crate::App;
use crate::project::room::{Room, Use, application};
use crate::project::{Held, made, system, turn, work};

/// Rows on their way, with what they are made from.
pub(super) struct Reading {
    pub(super) items: Vec<Item>,
    pub(super) made: Made,
    /// Results of the project, as they were made when these rows were opened.
    pub(super) results: Vec<ProjectResult>,
    pub(super) rows: BoxStream<'static, Result<Batch>>,
    /// Held until the rows are read.
    pub(super) sitting: Arc<dyn SqlSitting>,
}

/// Plans, counts, records and begins a statement. `reason` says what it was agreed to for; empty: what the sandbox is for.
pub(super) async fn read(
    app: &Arc<App>,
    op: &Op,
    held: &Held,
    sql: &str,
    of: Use,
    reason: &str,
) -> Result<Reading> {
    let sitting = sit(app, op, held, of, reason).await?;
    let seen = sitting.0.look(sql).await?;
    let rows = sitting.0.batches(sql).await?;
    let sources = sitting.1.sources();
    let results = sitting.1.results();
    let origins = made::Origins::of(&sources, &results);
    let items = made::items(&seen.columns, &origins)?;
    let made = Made {
        columns: made::columns(&seen.columns, &origins),
        sources,
        sql: sql.to_owned(),
        behind: sitting.1.behind(),
    };
    Ok(Reading { items, made, results, rows, sitting: sitting.0 })
}

/// A place for one statement of a member.
pub(super) async fn sit(
    app: &Arc<App>,
    op: &Op,
    held: &Held,
    of: Use,
    reason: &str,
) -> Result<(Arc<dyn SqlSitting>, Arc<Room>)> {
    let own = application(app, held, &op.source).await?;
    let longest = Duration::from_secs(app.rules.project.job.timeout_seconds.max(1));
    // Each statement has records of its own.
    let id = Op::system(app.now()).new_id();
    let room = Room::new(app, op, &held.project.id, &id, of, longest);
    let room = Arc::new(room.because(reason));
    Ok((work::sit(app, &own, &room, None)?, room))
}

/// A statement that reads a whole table; its name comes from the store, never from a member.
pub(super) fn whole(code: &str) -> String {
    format!("SELECT * FROM \"{}\"", code.replace('"', ""))
}

/// A table to be.
pub(super) struct NewTable<'a> {
    pub(super) name: &'a str,
    pub(super) title: &'a str,
    pub(super) items: Vec<Item>,
    pub(super) made: Made,
    pub(super) hidden: bool,
}

/// Lands rows as the table's new content, within the project's space.
pub(super) async fn land(
    app: &Arc<App>,
    held: &Held,
    new: NewTable<'_>,
    rows: BoxStream<'static, Result<Batch>>,
) -> Result<ProjectResult> {
    let op = Op::system(app.now());
    let permit = system(app, &op)?;
    let results = app.store.project_results(&held.project.id).await?;
    let left = turn::storage_left(held, new.name, &results)?;
    let org = app.store.org_require(&held.project.org).await?;
    let table = made::table(held, new.name, new.title, new.items, &op, &org.region);
    let run = op.new_id();
    let head = ParcelHead {
        id: run.clone(),
        entry: table.id.clone(),
        mode: SyncMode::Full,
        channel: "project".into(),
        source: new.name.to_owned(),
        checksum: sha256_hex(run.as_bytes()),
        track: None,
        goes_on: false,
    };
    let target = LandTarget { entry: table.clone(), org_name: org.name_cn, org_uscc: org.uscc };
    let written = AtomicU64::new(0);
    let rows = rows.map(move |batch| turn::fitting(batch?, &written, left));
    let landed = app.lake.land(&permit, &op, &head, &target, rows.boxed()).await?;
    let result = ProjectResult {
        project: held.project.id.clone(),
        name: new.name.to_owned(),
        bytes: app.lake.bytes(&table.draft.code).await?,
        table,
        made: new.made,
        run,
        version: landed.version,
        rows: landed.rows,
        made_at: stamp(app.now()),
        entry: None,
        hidden: new.hidden,
    };
    app.store.project_result_put(&permit, &result).await?;
    Ok(result)
}

/// One batch as a stream.
pub(super) fn once(batch: Batch) -> BoxStream<'static, Result<Batch>> {
    stream::iter([Ok(batch)]).boxed()
}

/// A CSV with a head, in UTF-8, as texts; columns are named as tables' are.
pub(super) fn csv(bytes: &[u8], columns_most: usize, grade: Grade) -> Result<(Vec<Item>, Batch)> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    if std::str::from_utf8(bytes).is_err() {
        return Err(not_csv(
            "文件不是 UTF-8 编码的文本（不接受压缩包）",
            "no text in UTF-8 (archives are not taken)",
        ));
    }
    let mut reader = csv::ReaderBuilder::new().from_reader(bytes);
    let head = reader.headers().map_err(|e| broken(&e))?.clone();
    let mut items: Vec<Item> = Vec::with_capacity(head.len());
    for name in &head {
        let name = name.trim();
        if !Item::identifier_ok(name) || items.iter().any(|i| i.identifier == name) {
            return Err(not_csv(
                "第一行须为列名：小写字母、数字、下划线，不得重复",
                "the first line names the columns: of a-z, 0-9 and _, each once",
            ));
        }
        let mut item = Item::new(name, name, DataType::Text);
        item.grade = grade;
        item.share_type = ShareType::None;
        item.open_type = OpenType::None;
        items.push(item);
    }
    if items.is_empty() || items.len() > columns_most {
        return Err(not_csv("列数超出允许范围", "there are no columns, or too many"));
    }
    let mut columns: Vec<TextColumn> =
        items.iter().map(|_| TextColumn::with_capacity(64)).collect();
    let mut records = Vec::new();
    for (at, record) in reader.records().enumerate() {
        let record = record.map_err(|e| broken(&e))?;
        for (column, cell) in columns.iter_mut().zip(&record) {
            column.push((!cell.is_empty()).then_some(cell));
        }
        records.push(at as u64 + 1);
    }
    let columns = columns.into_iter().map(Column::Text).collect();
    Ok((items, Batch { columns, records, operations: Vec::new() }))
}

/// The rows of a batch as texts; what is not there is empty.
pub(super) fn texts(batch: &Batch) -> Vec<Vec<String>> {
    let cell = |column: &Column, row: usize| column.value(row).to_text().unwrap_or_default();
    (0..batch.rows()).map(|row| batch.columns.iter().map(|c| cell(c, row)).collect()).collect()
}

/// CSV with a head.
pub(super) fn written(head: &[String], rows: &[Vec<String>]) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let failed = |e: csv::Error| Error::internal("writing CSV").caused_by(e);
    if !head.is_empty() {
        writer.write_record(head).map_err(failed)?;
    }
    for row in rows {
        writer.write_record(row).map_err(failed)?;
    }
    writer.into_inner().map_err(|e| Error::internal(format!("writing CSV: {e}")))
}

fn broken(error: &csv::Error) -> Error {
    not_csv(&format!("CSV 无法读取：{error}"), &format!("the CSV cannot be read: {error}"))
}

fn not_csv(zh: &str, en: &str) -> Error {
    Error::new(model::Code::InvalidFile, zh, en).field("file", "请修改", "change it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_csv_becomes_texts_and_back() {
        let (items, batch) = csv("a,b\n西湖,1\n\"上,城\",\n".as_bytes(), 10, Grade::L2).unwrap();
        assert_eq!(items.iter().map(|i| i.identifier.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert!(items.iter().all(|i| i.grade == Grade::L2));
        let rows = texts(&batch);
        assert_eq!(rows, [["西湖", "1"], ["上,城", ""]]);
        let head = ["a".to_owned(), "b".to_owned()];
        assert_eq!(written(&head, &rows).unwrap(), "a,b\n西湖,1\n\"上,城\",\n".as_bytes());
    }

    #[test]
    fn what_is_no_plain_csv_is_refused() {
        for bytes in [
            b"PK\x03\x04\xFF\xFE".as_slice(),
            b"",
            "名称\n1\n".as_bytes(),
            b"a,a\n1,2\n",
            b"a,b\n1\n",
            b"dsc_x\n1\n",
        ] {
            assert!(csv(bytes, 10, Grade::L1).is_err(), "{bytes:?}");
        }
        assert!(csv(b"a,b,c\n1,2,3\n", 2, Grade::L1).is_err());
    }
}
