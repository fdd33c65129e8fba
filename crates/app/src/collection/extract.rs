//! A query's rows (or rows given in hand) written into the inbox as JSON lines, in the order they came, misfits
//! included: from then on they are a file like any other, with a checksum and a way back after a crash, and the
//! source's secret is not needed any more.

use bytes::Bytes;
use futures::StreamExt;
use model::batch::{Batch, Operation};
use model::item::Item;
use model::parcel::Reject;
use model::{Error, Result};
use policy::port::{Chunk, ReadOptions, Source};
use serde_json::{Map, Value as Json};

use super::resume::Options;
use super::spool::Writer;
use super::{Spooled, work};
use crate::App;

/// Name of the column that says I/U/D; no item can have it.
const OPERATION: &str = "dsc_biz_operation";

/// Reads the whole source into a file of the inbox.
pub(super) async fn extract(
    app: &App,
    id: &str,
    source: &Source,
    items: &[Item],
    options: &ReadOptions,
    mut progress: impl FnMut(u64),
) -> Result<Spooled> {
    let name = match source {
        Source::File { name, .. }
        | Source::Query { name, .. }
        | Source::Feed { name, .. }
        | Source::Cells { name, .. } => name,
    };
    let mut reading = app.intake.read(source, items, options).await?;
    let mut writer = Writer::open(&app.folders.inbox, id, &format!("{name}.jsonl"))?;
    let names: Vec<String> = items.iter().map(|i| i.identifier.clone()).collect();
    let mut read = 0;
    while let Some(chunk) = reading.chunks.next().await {
        let written = chunk.and_then(|chunk| {
            work::check_chunk(&chunk)?;
            read += chunk.read;
            lines(&names, &chunk)
        });
        match written {
            Ok(bytes) => {
                progress(read);
                if !writer.write(bytes).await {
                    break;
                }
            }
            Err(error) => {
                writer.abandon().await;
                return Err(error);
            }
        }
    }
    writer.finish().await
}

/// How the written file is to be read.
pub(super) fn options(operations: bool) -> Options {
    Options {
        format: Some("jsonl".into()),
        encoding: Some("utf-8".into()),
        operation_column: operations.then(|| OPERATION.to_owned()),
        ..Options::default()
    }
}

fn lines(names: &[String], chunk: &Chunk) -> Result<Bytes> {
    let mut text = Vec::new();
    let mut rejects = chunk.rejects.iter().peekable();
    for row in 0..chunk.batch.rows() {
        let record = chunk.batch.records.get(row).copied().unwrap_or(u64::MAX);
        while let Some(reject) = rejects.next_if(|r| r.record < record) {
            line(&mut text, &of_reject(names, reject))?;
        }
        line(&mut text, &of_row(names, &chunk.batch, row))?;
    }
    for reject in rejects {
        line(&mut text, &of_reject(names, reject))?;
    }
    Ok(text.into())
}

fn line(text: &mut Vec<u8>, object: &Map<String, Json>) -> Result<()> {
    serde_json::to_writer(&mut *text, object)
        .map_err(|e| Error::internal("cannot write a row").caused_by(e))?;
    text.push(b'\n');
    Ok(())
}

fn of_row(names: &[String], batch: &Batch, row: usize) -> Map<String, Json> {
    let mut object = Map::with_capacity(names.len() + 1);
    for (name, column) in names.iter().zip(&batch.columns) {
        object.insert(name.clone(), column.value(row).to_text().map_or(Json::Null, Json::String));
    }
    if !batch.operations.is_empty() {
        let operation: Operation = batch.operation(row);
        object.insert(OPERATION.into(), Json::String(operation.as_str().into()));
    }
    object
}

fn of_reject(names: &[String], reject: &Reject) -> Map<String, Json> {
    let mut object: Map<String, Json> = names
        .iter()
        .zip(reject.cells.iter().map(Option::as_ref).chain(std::iter::repeat(None)))
        .map(|(name, cell)| (name.clone(), cell.map_or(Json::Null, |c| Json::String(c.clone()))))
        .collect();
    // As it was written: a delete stays one, and a word that is no operation is refused again.
    if let Some(said) = &reject.operation {
        object.insert(OPERATION.into(), Json::String(said.clone()));
    }
    object
}

#[cfg(test)]
mod tests {
    use model::batch::{Column, TextColumn};

    use super::*;

    #[test]
    fn rows_and_misfits_are_written_in_the_order_they_came() {
        let mut texts = TextColumn::with_capacity(2);
        texts.push(Some("甲\n乙"));
        texts.push(None);
        let batch = Batch {
            columns: vec![Column::Text(texts), Column::Integer(vec![Some(1), Some(4)])],
            records: vec![1, 4],
            operations: vec![Operation::Insert, Operation::Delete],
        };
        let reject = |record, cell: &str| Reject {
            record,
            line: 0,
            column: "n".into(),
            value: cell.into(),
            zh: String::new(),
            en: String::new(),
            cells: vec![None, Some(cell.into()), Some("beyond".into())],
            operation: (record > 2).then(|| "删除?".to_owned()),
        };
        let rejects = vec![reject(2, "x"), reject(3, "y"), reject(9, "z")];
        let chunk = Chunk { batch, rejects, read: 5, bytes_done: 0 };
        let bytes = lines(&["t".to_owned(), "n".to_owned()], &chunk).unwrap();
        let expected = r#"{"t":"甲\n乙","n":"1","dsc_biz_operation":"I"}
{"t":null,"n":"x"}
{"t":null,"n":"y","dsc_biz_operation":"删除?"}
{"t":null,"n":"4","dsc_biz_operation":"D"}
{"t":null,"n":"z","dsc_biz_operation":"删除?"}
"#;
        assert_eq!(std::str::from_utf8(&bytes).unwrap(), expected.replace("\\\\n", "\\n"));
    }
}
