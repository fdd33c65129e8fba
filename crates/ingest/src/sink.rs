//! The sink: records of any source into typed batches and rejects. `accepted + rejected = read`, always.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::batch::{Batch, Operation};
use model::item::Item;
use model::parcel::Reject;
use policy::port::Chunk;

use crate::cell::Cell;
use crate::matching::Matched;
use crate::typing::{Doubt, Field, Hint};
use crate::why::{Why, cut};

/// Rows per batch when the caller does not say: enough for threads to be worth it, few enough to stay near the processor.
pub(crate) const BATCH_ROWS: usize = 1 << 15;
/// A chunk is handed over when its text reaches this, however few rows it has.
const CHUNK_BYTES: usize = 24 << 20;
const CHUNK_REJECTS: usize = 4_096;

/// Collects one chunk at a time.
#[derive(Debug)]
pub(crate) struct Sink {
    fields: Vec<Field>,
    matched: Matched,
    batch_rows: usize,
    records: Vec<u64>,
    operations: Vec<Operation>,
    rejects: Vec<Reject>,
    read: u64,
    weight: usize,
    done: Arc<AtomicU64>,
    pub(crate) doubt: Doubt,
}

impl Sink {
    /// `hint` answers for a source's column; `done` counts the bytes consumed of the source.
    pub(crate) fn new(
        items: &[Item],
        matched: Matched,
        hint: impl Fn(usize) -> Hint,
        batch_rows: usize,
        done: Arc<AtomicU64>,
    ) -> Self {
        let batch_rows = if batch_rows == 0 { BATCH_ROWS } else { batch_rows };
        let fields = items
            .iter()
            .zip(&matched.of_item)
            .map(|(item, column)| {
                let hint = column.map(&hint).unwrap_or_default();
                Field::new(item, hint, batch_rows.min(BATCH_ROWS))
            })
            .collect();
        Self {
            fields,
            matched,
            batch_rows,
            records: Vec::new(),
            operations: Vec::new(),
            rejects: Vec::new(),
            read: 0,
            weight: 0,
            done,
            doubt: Doubt::default(),
        }
    }

    /// Sets the column of an item that was found only now (JSON keys may appear late).
    pub(crate) fn late_column(&mut self, item: usize, column: usize) {
        if let Some(slot) = self.matched.of_item.get_mut(item) {
            slot.get_or_insert(column);
        }
    }

    /// Takes one record. `cell` gives the cell of a source's column.
    pub(crate) fn row<'a>(
        &mut self,
        record: u64,
        line: u64,
        cell: impl Fn(usize) -> Option<Cell<'a>>,
    ) {
        self.read += 1;
        let rows = self.records.len();
        let operation = match self.operation(&cell) {
            Ok(operation) => operation,
            Err((value, why)) => {
                let (cells, operation) = (self.cells(&cell), self.said(&cell));
                self.reject(Reject {
                    record,
                    line,
                    column: String::new(),
                    value,
                    zh: why.zh.into(),
                    en: why.en.into(),
                    cells,
                    operation,
                });
                return;
            }
        };
        let relaxed = operation == Operation::Delete;
        let mut wrong: Option<(usize, Why)> = None;
        for (at, (field, column)) in self.fields.iter_mut().zip(&self.matched.of_item).enumerate() {
            let given = column.and_then(&cell);
            if let Some(given) = &given {
                self.weight += given.text.len();
            }
            if let Err(why) = field.push(given, relaxed, self.doubt) {
                wrong = Some((at, why));
                break;
            }
        }
        match wrong {
            None => {
                self.records.push(record);
                if self.matched.operation.is_some() {
                    self.operations.push(operation);
                }
            }
            Some((at, why)) => {
                let reject = self.misfit(at, why, relaxed, record, line, &cell);
                for field in &mut self.fields {
                    field.truncate(rows);
                }
                self.reject(reject);
            }
        }
    }

    /// The reject of a record whose item `first` does not fit; later misfits are named in the reason.
    fn misfit<'a>(
        &mut self,
        first: usize,
        why: Why,
        relaxed: bool,
        record: u64,
        line: u64,
        cell: &impl Fn(usize) -> Option<Cell<'a>>,
    ) -> Reject {
        let mut others: Vec<String> = Vec::new();
        let doubt = self.doubt;
        let rest = self.fields.iter_mut().zip(&self.matched.of_item).skip(first + 1);
        for (field, column) in rest {
            if field.push(column.and_then(cell), relaxed, doubt).is_err() {
                others.push(field.identifier.clone());
            }
        }
        let column = self.fields.get(first).map(|f| f.identifier.clone()).unwrap_or_default();
        let value = self.matched.of_item.get(first).copied().flatten().and_then(cell);
        let (mut zh, mut en) = (why.zh.into_owned(), why.en.into_owned());
        if !others.is_empty() {
            let list = cut(&others.join("、"), 200);
            zh.push_str(&format!("；同一行还有：{list}"));
            en.push_str(&format!("; also wrong in this row: {list}"));
        }
        let value = value.map(|v| cut(v.text, 500)).unwrap_or_default();
        let (cells, operation) = (self.cells(cell), self.said(cell));
        Reject { record, line, column, value, zh, en, cells, operation }
    }

    /// The operation as the source wrote it.
    fn said<'a>(&self, cell: &impl Fn(usize) -> Option<Cell<'a>>) -> Option<String> {
        let said = self.matched.operation.and_then(cell)?;
        Some(said.text.trim().to_owned()).filter(|word| !word.is_empty())
    }

    fn cells<'a>(&self, cell: &impl Fn(usize) -> Option<Cell<'a>>) -> Vec<Option<String>> {
        self.matched
            .of_item
            .iter()
            .map(|column| column.and_then(cell).map(|c| c.text.to_owned()))
            .collect()
    }

    fn operation<'a>(
        &self,
        cell: &impl Fn(usize) -> Option<Cell<'a>>,
    ) -> Result<Operation, (String, Why)> {
        let Some(given) = self.matched.operation.and_then(cell) else {
            return Ok(Operation::Insert);
        };
        match given.text.trim().to_ascii_lowercase().as_str() {
            "" | "i" | "insert" | "新增" | "插入" => Ok(Operation::Insert),
            "u" | "update" | "修改" | "更新" | "变更" => Ok(Operation::Update),
            "d" | "delete" | "删除" | "注销" => Ok(Operation::Delete),
            _ => Err((
                cut(given.text, 500),
                Why::plain(
                    "操作标识应为 I（新增）、U（修改）或 D（删除）",
                    "the operation must be I (insert), U (update) or D (delete)",
                ),
            )),
        }
    }

    /// Takes a record that is wrong as a whole. `cells` come in the order of the source's columns; those of the items
    /// are put in the items' order and any beyond the source's columns are kept at the end.
    pub(crate) fn refuse(
        &mut self,
        record: u64,
        line: u64,
        why: Why,
        value: &str,
        cells: &[Option<String>],
        width: usize,
    ) {
        let said = self.matched.operation.and_then(|c| cells.get(c)?.as_deref());
        let said = said.map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned);
        let mut reject = self.refusal(record, why, value, cells, width, said);
        reject.line = line;
        self.reject(reject);
    }

    /// The same for a row given in hand, whose operation stands beside its cells.
    pub(crate) fn refuse_said(
        &mut self,
        record: u64,
        why: Why,
        value: &str,
        cells: &[Option<String>],
        width: usize,
        operation: Option<String>,
    ) {
        let reject = self.refusal(record, why, value, cells, width, operation);
        self.reject(reject);
    }

    fn refusal(
        &mut self,
        record: u64,
        why: Why,
        value: &str,
        cells: &[Option<String>],
        width: usize,
        operation: Option<String>,
    ) -> Reject {
        self.read += 1;
        let mut kept: Vec<Option<String>> = self
            .matched
            .of_item
            .iter()
            .map(|column| column.and_then(|c| cells.get(c).cloned().flatten()))
            .collect();
        kept.extend(cells.iter().skip(width).cloned());
        Reject {
            record,
            line: 0,
            column: String::new(),
            value: cut(value, 500),
            zh: why.zh.into(),
            en: why.en.into(),
            cells: kept,
            operation,
        }
    }

    fn reject(&mut self, reject: Reject) {
        self.weight += reject.cells.iter().flatten().map(String::len).sum::<usize>();
        self.rejects.push(reject);
    }

    /// Records refused since the last chunk.
    pub(crate) fn refused(&self) -> usize {
        self.rejects.len()
    }

    /// Whether a chunk should be handed over now.
    pub(crate) fn ready(&self) -> bool {
        self.records.len() >= self.batch_rows
            || self.weight >= CHUNK_BYTES
            || self.rejects.len() >= CHUNK_REJECTS
    }

    /// Whether anything was read since the last chunk.
    pub(crate) fn is_empty(&self) -> bool {
        self.read == 0
    }

    /// Hands the chunk over and starts the next.
    pub(crate) fn take(&mut self) -> Chunk {
        self.weight = 0;
        let capacity = self.records.len();
        Chunk {
            batch: Batch {
                columns: self.fields.iter_mut().map(Field::take).collect(),
                records: std::mem::replace(&mut self.records, Vec::with_capacity(capacity)),
                operations: std::mem::take(&mut self.operations),
            },
            rejects: std::mem::take(&mut self.rejects),
            read: std::mem::take(&mut self.read),
            bytes_done: self.done.load(Ordering::Relaxed),
        }
    }
}
