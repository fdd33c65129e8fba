//! What comes out of the plan, typed by the items: rows that fit as batches, the others as rejects.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DataType as ArrowType, Date32Type, Decimal128Type, Float64Type, Int64Type, Schema, TimeUnit,
    TimestampMicrosecondType,
};
use arrow::util::display::FormatOptions;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use futures::stream::BoxStream;
use model::batch::{Batch, Column, Operation};
use model::item::Item;
use model::parcel::Reject;
use model::reading::cell::{Cell, Mark};
use model::reading::typing::{Doubt, Field, Hint};
use model::reading::why::{Why, cut};
use model::{Code, Error, Result};
use policy::port::{Chunk, TransformAsk};
use tokio::sync::mpsc::Receiver;
use tokio::time::Instant;

use super::careful::Slip;
use super::words;
use crate::fault;
use crate::schema::Kind;

/// Items with the columns that go to them.
pub(super) struct Fit {
    items: Vec<Item>,
    of_item: Vec<Option<usize>>,
    operation: Option<usize>,
    names: Vec<String>,
    fields: Vec<Field>,
    record: u64,
}

/// A column's values on their way into an item.
enum Lane {
    /// No column: always null.
    Empty,
    /// Of the item's own type: values move as they are.
    Same(ArrayRef),
    /// Read as text, by the rules every channel reads by.
    Text(StringArray),
}

impl Fit {
    pub(super) fn new(ask: &TransformAsk, schema: &Schema) -> Result<Self> {
        let names: Vec<String> = schema.fields().iter().map(|f| f.name().clone()).collect();
        if let Some(twice) =
            names.iter().enumerate().find(|(at, n)| names.iter().take(*at).any(|m| m == *n))
        {
            let name = twice.1;
            return Err(words::bad_sql(
                format!("结果中有两列都叫 `{name}`，请用 AS 另起名字"),
                format!("two columns of the result are called `{name}`: name one of them with AS"),
            ));
        }
        let find = |wanted: &str| names.iter().position(|n| n.eq_ignore_ascii_case(wanted));
        let of_item: Vec<Option<usize>> =
            ask.items.iter().map(|i| find(&i.identifier).or_else(|| find(&i.name_cn))).collect();
        let operation = match ask.operation_column.as_deref() {
            None => None,
            Some(wanted) => Some(find(wanted).ok_or_else(|| {
                words::bad_sql(
                    format!("结果中没有操作标识列 `{wanted}`（值为 I、U 或 D）"),
                    format!("the result has no column `{wanted}` that says I, U or D"),
                )
            })?),
        };
        let missing: Vec<&Item> = ask
            .items
            .iter()
            .zip(&of_item)
            .filter(|(item, at)| at.is_none() && (!item.nullable || item.primary))
            .map(|(item, _)| item)
            .collect();
        if !missing.is_empty() {
            let list: Vec<String> =
                missing.iter().map(|i| format!("{}（{}）", i.identifier, i.name_cn)).collect();
            let ids: Vec<&str> = missing.iter().map(|i| i.identifier.as_str()).collect();
            return Err(words::bad_sql(
                format!("结果缺少必填数据项：{}；请在 SELECT 中给出同名的列", list.join("、")),
                format!(
                    "the result lacks mandatory items: {}; select a column of that name",
                    ids.join(", ")
                ),
            ));
        }
        let fields = ask.items.iter().map(|i| Field::new(i, Hint::default(), 1024)).collect();
        Ok(Self { items: ask.items.clone(), of_item, operation, names, fields, record: 0 })
    }

    /// Identifier of the item a column goes to.
    pub(super) fn item_of(&self, column: &str) -> Option<String> {
        let at = self.names.iter().position(|n| n == column)?;
        let item = self.of_item.iter().position(|m| *m == Some(at))?;
        self.items.get(item).map(|i| i.identifier.clone())
    }

    pub(super) fn notes(&self) -> Vec<(String, String)> {
        let mut notes = Vec::new();
        for (item, at) in self.items.iter().zip(&self.of_item) {
            if at.is_none() {
                notes.push((
                    format!("数据项 {}（{}）没有对应的列，将为空", item.identifier, item.name_cn),
                    format!("no column goes to the item {}: it will be empty", item.identifier),
                ));
            }
        }
        for (at, name) in self.names.iter().enumerate() {
            if !self.of_item.contains(&Some(at)) && self.operation != Some(at) {
                notes.push((
                    format!("列 {name} 没有对应的数据项，不会入湖"),
                    format!("the column {name} goes to no item and will not be landed"),
                ));
            }
        }
        notes
    }

    /// One batch of the plan's.
    fn chunk(&mut self, batch: &RecordBatch) -> Result<Chunk> {
        let lanes = self
            .items
            .iter()
            .zip(&self.of_item)
            .map(|(item, at)| match at.and_then(|at| batch.columns().get(at)) {
                Some(array) => lane(item, array),
                None => Ok(Lane::Empty),
            })
            .collect::<Result<Vec<_>>>()?;
        let said = match self.operation.and_then(|at| batch.columns().get(at)) {
            Some(array) => Some(texts(array)?),
            None => None,
        };
        let mut out = Out::default();
        for row in 0..batch.num_rows() {
            self.record += 1;
            self.row(row, &lanes, said.as_ref(), &mut out);
        }
        Ok(Chunk {
            batch: Batch {
                columns: self.fields.iter_mut().map(Field::take).collect(),
                records: out.records,
                operations: out.operations,
            },
            rejects: out.rejects,
            read: batch.num_rows() as u64,
            bytes_done: 0,
        })
    }

    fn row(&mut self, row: usize, lanes: &[Lane], said: Option<&StringArray>, out: &mut Out) {
        let word = said.and_then(|s| s.is_valid(row).then(|| s.value(row).trim()));
        let operation = match operation(word) {
            Ok(operation) => operation,
            Err(why) => {
                let value = cut(word.unwrap_or_default(), 500);
                out.rejects.push(self.reject(String::new(), value, why, row, lanes, word));
                return;
            }
        };
        let relaxed = operation == Operation::Delete;
        let mut wrong: Option<(usize, Why)> = None;
        let mut others: Vec<String> = Vec::new();
        for (at, (field, lane)) in self.fields.iter_mut().zip(lanes).enumerate() {
            if let Err(why) = push(field, lane, row, relaxed) {
                match &wrong {
                    None => wrong = Some((at, why)),
                    Some(_) => others.push(field.identifier.clone()),
                }
            }
        }
        let Some((at, mut why)) = wrong else {
            out.records.push(self.record);
            if said.is_some() {
                out.operations.push(operation);
            }
            return;
        };
        for field in &mut self.fields {
            field.truncate(out.records.len());
        }
        if !others.is_empty() {
            why = Why::told(
                format!("{}；同一行还有：{}", why.zh, cut(&others.join("、"), 200)),
                format!("{}; also wrong in this row: {}", why.en, cut(&others.join(", "), 200)),
            );
        }
        let column = self.fields.get(at).map(|f| f.identifier.clone()).unwrap_or_default();
        let value = lanes.get(at).and_then(|l| text(l, row)).unwrap_or_default();
        out.rejects.push(self.reject(column, cut(&value, 500), why, row, lanes, word));
    }

    fn reject(
        &self,
        column: String,
        value: String,
        why: Why,
        row: usize,
        lanes: &[Lane],
        word: Option<&str>,
    ) -> Reject {
        Reject {
            record: self.record,
            line: 0,
            column,
            value,
            zh: why.zh.into_owned(),
            en: why.en.into_owned(),
            cells: lanes.iter().map(|lane| text(lane, row)).collect(),
            operation: word.filter(|w| !w.is_empty()).map(str::to_owned),
        }
    }

    /// Rows that the plan itself took out.
    fn refused(&mut self, slips: Vec<Slip>) -> Chunk {
        let read = slips.len() as u64;
        let rejects = slips
            .into_iter()
            .map(|slip| {
                self.record += 1;
                let find = |name: &str| {
                    slip.cells
                        .iter()
                        .find(|(n, _)| n.eq_ignore_ascii_case(name))
                        .and_then(|(_, v)| v.clone())
                };
                let cells = self
                    .items
                    .iter()
                    .zip(&self.of_item)
                    .map(|(item, at)| {
                        let name = at.and_then(|at| self.names.get(at));
                        name.map_or_else(|| find(&item.identifier), |name| find(name))
                    })
                    .collect();
                let operation = self.operation.and_then(|at| find(self.names.get(at)?));
                Reject {
                    record: self.record,
                    line: 0,
                    column: self.item_of(&slip.column).unwrap_or(slip.column),
                    value: cut(&slip.value, 500),
                    zh: slip.zh,
                    en: slip.en,
                    cells,
                    operation,
                }
            })
            .collect();
        let batch = Batch {
            columns: self.fields.iter_mut().map(Field::take).collect(),
            records: Vec::new(),
            operations: Vec::new(),
        };
        Chunk { batch, rejects, read, bytes_done: 0 }
    }
}

#[derive(Default)]
struct Out {
    records: Vec<u64>,
    operations: Vec<Operation>,
    rejects: Vec<Reject>,
}

fn operation(word: Option<&str>) -> std::result::Result<Operation, Why> {
    match word.unwrap_or_default().to_ascii_lowercase().as_str() {
        "" | "i" | "insert" | "新增" | "插入" => Ok(Operation::Insert),
        "u" | "update" | "修改" | "更新" | "变更" => Ok(Operation::Update),
        "d" | "delete" | "删除" | "注销" => Ok(Operation::Delete),
        _ => Err(Why::plain(
            "操作标识应为 I（新增）、U（修改）或 D（删除）",
            "the operation must be I (insert), U (update) or D (delete)",
        )),
    }
}

fn push(field: &mut Field, lane: &Lane, row: usize, relaxed: bool) -> std::result::Result<(), Why> {
    let doubt = Doubt { nul: true, damage: true };
    let array = match lane {
        Lane::Empty => return field.push(None, relaxed, doubt),
        Lane::Text(texts) => {
            let cell =
                texts.is_valid(row).then(|| Cell { text: texts.value(row), mark: Mark::Exact });
            return field.push(cell, relaxed, doubt);
        }
        Lane::Same(array) => array,
    };
    if array.is_null(row) {
        return field.push(None, relaxed, doubt);
    }
    match &mut field.column {
        Column::Integer(v) => v.push(Some(array.as_primitive::<Int64Type>().value(row))),
        Column::Float(v) => {
            let value = array.as_primitive::<Float64Type>().value(row);
            if !value.is_finite() {
                return Err(Why::plain("不是有限的数", "is not a finite number"));
            }
            v.push(Some(value));
        }
        Column::Boolean(v) => v.push(Some(array.as_boolean().value(row))),
        Column::Date(v) => v.push(Some(array.as_primitive::<Date32Type>().value(row))),
        Column::DateTime(v) => {
            v.push(Some(array.as_primitive::<TimestampMicrosecondType>().value(row)));
        }
        Column::Decimal { values, .. } => {
            values.push(Some(array.as_primitive::<Decimal128Type>().value(row)));
        }
        Column::Text(_) => {}
    }
    Ok(())
}

fn text(lane: &Lane, row: usize) -> Option<String> {
    match lane {
        Lane::Empty => None,
        Lane::Text(texts) => texts.is_valid(row).then(|| texts.value(row).to_owned()),
        Lane::Same(array) => texts(&array.slice(row, 1))
            .ok()
            .and_then(|t| t.is_valid(0).then(|| t.value(0).to_owned())),
    }
}

/// How a column's values get into an item.
fn lane(item: &Item, array: &ArrayRef) -> Result<Lane> {
    let kind = Kind::of_item(item);
    // An enumeration is compared as text, and a decimal's digits are counted there.
    let plain = !item.value_domain.contains('|');
    let target = match (kind, array.data_type()) {
        (Kind::Integer, t) if t.is_signed_integer() => Some(ArrowType::Int64),
        (Kind::Integer, ArrowType::UInt8 | ArrowType::UInt16 | ArrowType::UInt32) => {
            Some(ArrowType::Int64)
        }
        (Kind::Float, ArrowType::Float64 | ArrowType::Float32) => Some(ArrowType::Float64),
        (Kind::Boolean, ArrowType::Boolean) => Some(ArrowType::Boolean),
        (Kind::Date, ArrowType::Date32) => Some(ArrowType::Date32),
        (Kind::DateTime, ArrowType::Date32 | ArrowType::Timestamp(_, None)) => {
            Some(ArrowType::Timestamp(TimeUnit::Microsecond, None))
        }
        (Kind::Decimal { scale, .. }, ArrowType::Decimal128(precision, s))
            if i8::try_from(scale) == Ok(*s)
                && (item.precision == 0 || *precision <= item.precision) =>
        {
            Some(array.data_type().clone())
        }
        _ => None,
    };
    match target {
        Some(target) if plain => {
            let options = CastOptions { safe: false, format_options: FormatOptions::default() };
            Ok(Lane::Same(cast_with_options(array, &target, &options).map_err(fault::arrow)?))
        }
        _ => Ok(Lane::Text(texts(array)?)),
    }
}

/// Any column as texts, as a person would write its values.
fn texts(array: &ArrayRef) -> Result<StringArray> {
    let array = match array.data_type() {
        ArrowType::Utf8 => return Ok(array.as_string::<i32>().clone()),
        // Time with a zone is told in China's civil time.
        ArrowType::Timestamp(unit, Some(_)) => {
            let there = ArrowType::Timestamp(*unit, Some(Arc::from("+08:00")));
            let moved = arrow::compute::cast(array, &there).map_err(fault::arrow)?;
            let civil = ArrowType::Timestamp(*unit, None);
            arrow::compute::cast(&moved, &civil).map_err(fault::arrow)?
        }
        _ => Arc::clone(array),
    };
    match arrow::compute::cast(&array, &ArrowType::Utf8) {
        Ok(cast) => Ok(cast.as_string::<i32>().clone()),
        Err(_) => {
            // Lists and structures as they are shown.
            let options = FormatOptions::default();
            let shown = arrow::util::display::ArrayFormatter::try_new(array.as_ref(), &options)
                .map_err(fault::arrow)?;
            Ok((0..array.len())
                .map(|row| array.is_valid(row).then(|| shown.value(row).to_string()))
                .collect())
        }
    }
}

pub(super) fn too_slow(patience: Duration) -> Error {
    let seconds = patience.as_secs_f64();
    Error::new(
        Code::QueryTooSlow,
        format!("转换运行超过规定的 {seconds} 秒，已停止；请简化语句或分批处理"),
        format!(
            "the transformation ran longer than the {seconds} seconds allowed and was stopped: simplify it or work in parts"
        ),
    )
}

struct State {
    fit: Fit,
    rows: Option<SendableRecordBatchStream>,
    slips: Option<Receiver<Vec<Slip>>>,
    deadline: Option<(Instant, Duration)>,
}

/// The stream of chunks. Rows that were taken out come between the batches as they are found.
pub(super) fn chunks(
    fit: Fit,
    rows: SendableRecordBatchStream,
    slips: Receiver<Vec<Slip>>,
    deadline: Option<(Instant, Duration)>,
) -> BoxStream<'static, Result<Chunk>> {
    let state = State { fit, rows: Some(rows), slips: Some(slips), deadline };
    futures::stream::unfold(state, |mut state| async move {
        let next = state.next().await?;
        if next.is_err() {
            (state.rows, state.slips) = (None, None);
        }
        Some((next, state))
    })
    .boxed()
}

impl State {
    async fn next(&mut self) -> Option<Result<Chunk>> {
        match self.deadline {
            None => self.step().await,
            Some((at, patience)) => match tokio::time::timeout_at(at, self.step()).await {
                Ok(next) => next,
                Err(_) => Some(Err(too_slow(patience))),
            },
        }
    }

    async fn step(&mut self) -> Option<Result<Chunk>> {
        loop {
            match (&mut self.rows, &mut self.slips) {
                (Some(rows), Some(slips)) => {
                    tokio::select! {
                        biased;
                        slip = slips.recv() => match slip {
                            Some(slip) => return Some(Ok(self.fit.refused(slip))),
                            None => self.slips = None,
                        },
                        batch = rows.next() => match batch {
                            Some(Ok(batch)) if batch.num_rows() == 0 => {}
                            Some(Ok(batch)) => return Some(self.fit.chunk(&batch)),
                            Some(Err(e)) => return Some(Err(words::broken(e))),
                            None => self.rows = None,
                        },
                    }
                }
                (Some(rows), None) => match rows.next().await? {
                    Ok(batch) if batch.num_rows() == 0 => {}
                    Ok(batch) => return Some(self.fit.chunk(&batch)),
                    Err(e) => return Some(Err(words::broken(e))),
                },
                // The plan is done; what it took out last is still on its way.
                (None, Some(slips)) => match slips.try_recv() {
                    Ok(slip) => return Some(Ok(self.fit.refused(slip))),
                    Err(_) => self.slips = None,
                },
                (None, None) => return None,
            }
        }
    }
}
