//! Helpers of these tests: a file with given bytes, a reading collected, drafted items.

use futures::StreamExt;
use ingest::Reader;
use model::Result;
use model::code::DataType;
use model::item::Item;
use model::parcel::{Reject, Sniffed};
use model::value::Value;
use policy::port::{Intake, ReadOptions, Source};

/// A file of a test; it goes away with the value.
pub(crate) struct TestFile {
    _dir: tempfile::TempDir,
    pub(crate) path: std::path::PathBuf,
    pub(crate) name: String,
}

pub(crate) fn file(name: &str, bytes: &[u8]) -> TestFile {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("upload.bin");
    std::fs::write(&path, bytes).unwrap();
    TestFile { _dir: dir, path, name: name.to_owned() }
}

impl TestFile {
    pub(crate) fn source(&self) -> Source {
        Source::File { path: self.path.clone(), name: self.name.clone() }
    }
    pub(crate) async fn sniff(&self) -> Result<Sniffed> {
        Reader::new().sniff(&self.path, &self.name).await
    }
    pub(crate) async fn read(&self, items: &[Item]) -> Result<Collected> {
        collect(&self.source(), items, &ReadOptions::default()).await
    }
}

/// Everything a reading gave.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub(crate) columns: Vec<(String, Option<String>)>,
    pub(crate) rows: Vec<Vec<Value>>,
    pub(crate) records: Vec<u64>,
    pub(crate) operations: Vec<&'static str>,
    pub(crate) rejects: Vec<Reject>,
    pub(crate) read: u64,
    pub(crate) chunks: usize,
}

pub(crate) async fn collect(
    source: &Source,
    items: &[Item],
    options: &ReadOptions,
) -> Result<Collected> {
    let here = ingest::outgoing::Outgoing::loopback().unwrap();
    let mut reading = Reader::reaching(here).read(source, items, options).await?;
    let mut out = Collected { columns: reading.columns.clone(), ..Collected::default() };
    while let Some(chunk) = reading.chunks.next().await {
        let chunk = chunk?;
        let batch = &chunk.batch;
        assert_eq!(batch.columns.len(), items.len());
        for column in &batch.columns {
            assert_eq!(column.len(), batch.rows());
        }
        assert_eq!(
            batch.rows() as u64 + chunk.rejects.len() as u64,
            chunk.read,
            "accepted + rejected = read"
        );
        for row in 0..batch.rows() {
            out.rows.push(batch.columns.iter().map(|c| c.value(row)).collect());
            out.operations.push(batch.operation(row).as_str());
        }
        out.records.extend(&batch.records);
        out.rejects.extend(chunk.rejects);
        out.read += chunk.read;
        out.chunks += 1;
    }
    Ok(out)
}

impl Collected {
    /// Rows as text, nulls as `∅`.
    pub(crate) fn texts(&self) -> Vec<Vec<String>> {
        self.rows
            .iter()
            .map(|r| r.iter().map(|v| v.to_text().unwrap_or_else(|| "∅".to_owned())).collect())
            .collect()
    }
}

/// Items in short: `id:integer! name:text amount:decimal(10,2)`; `!` means mandatory.
pub(crate) fn items(text: &str) -> Vec<Item> {
    text.split_whitespace()
        .map(|part| {
            let (name, kind) = part.split_once(':').unwrap();
            let mandatory = kind.ends_with('!');
            let kind = kind.trim_end_matches('!');
            let (word, size) = kind.split_once('(').unwrap_or((kind, ""));
            let mut item = Item::new(name, name, DataType::parse(word).unwrap());
            item.nullable = !mandatory;
            if let Some((precision, scale)) = size.trim_end_matches(')').split_once(',') {
                item.precision = precision.parse().unwrap();
                item.scale = scale.parse().unwrap();
            }
            item
        })
        .collect()
}
