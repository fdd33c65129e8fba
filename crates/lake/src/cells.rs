//! House columns into Arrow columns and back, by hand: whole buffers move, cells are not copied one by one.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array,
    Float64Array, Int64Array, LargeStringArray, StringArray, StringViewArray,
    TimestampMicrosecondArray,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{
    DataType as ArrowType, Date32Type, Decimal128Type, Float64Type, Int64Type,
    TimestampMicrosecondType,
};
use chrono::DateTime;
use model::batch::{Column, TextColumn, date_of_days};
use model::value::Value;
use model::{Error, Result};
use rust_decimal::Decimal;

use crate::fault;
use crate::schema::{Kind, Shape};

/// An Arrow array of one column, which must hold what `shape` says and `rows` values.
pub(crate) fn array(column: Column, shape: &Shape, rows: usize) -> Result<ArrayRef> {
    let array: ArrayRef = match (column, shape.kind) {
        (Column::Text(text), Kind::Text) => Arc::new(text_array(text)?),
        (Column::Integer(values), Kind::Integer) => Arc::new(Int64Array::from(values)),
        (Column::Decimal { scale, values }, Kind::Decimal { precision, scale: stored })
            if scale == stored =>
        {
            decimal_array(values, precision, scale, &shape.name)?
        }
        (Column::Float(values), Kind::Float) => Arc::new(Float64Array::from(values)),
        (Column::Boolean(values), Kind::Boolean) => Arc::new(BooleanArray::from(values)),
        (Column::Date(values), Kind::Date) => Arc::new(Date32Array::from(values)),
        (Column::DateTime(values), Kind::DateTime) => {
            Arc::new(TimestampMicrosecondArray::from(values))
        }
        (other, kind) => {
            return Err(Error::internal(format!(
                "lake: column `{}` should be {kind:?}, the batch holds {}",
                shape.name,
                column_word(&other)
            )));
        }
    };
    if array.len() == rows {
        return Ok(array);
    }
    let found = array.len();
    Err(Error::internal(format!("lake: column `{}` has {found} of {rows} rows", shape.name)))
}

/// The same for a data file, where texts may lie as bytes: those of a column are sound already, and Arrow's own texts
/// would be looked through once more.
pub(crate) fn stored(column: Column, shape: &Shape, rows: usize) -> Result<ArrayRef> {
    match (column, shape.kind) {
        (Column::Text(text), Kind::Text) if text.len() == rows => Ok(Arc::new(byte_array(text)?)),
        (column, _) => array(column, shape, rows),
    }
}

fn column_word(column: &Column) -> &'static str {
    match column {
        Column::Text(_) => "text",
        Column::Integer(_) => "integers",
        Column::Decimal { .. } => "decimals of another scale",
        Column::Float(_) => "floats",
        Column::Boolean(_) => "booleans",
        Column::Date(_) => "dates",
        Column::DateTime(_) => "times",
    }
}

fn text_array(text: TextColumn) -> Result<StringArray> {
    let (offsets, bytes, nulls) = text_parts(text)?;
    StringArray::try_new(offsets, Buffer::from(bytes.into_bytes()), nulls).map_err(fault::arrow)
}

fn byte_array(text: TextColumn) -> Result<BinaryArray> {
    let (offsets, bytes, nulls) = text_parts(text)?;
    let whole = |at: &i32| usize::try_from(*at).is_ok_and(|at| bytes.is_char_boundary(at));
    if !offsets.iter().all(whole) {
        return Err(Error::internal("lake: text offsets cut characters"));
    }
    BinaryArray::try_new(offsets, Buffer::from(bytes.into_bytes()), nulls).map_err(fault::arrow)
}

fn text_parts(text: TextColumn) -> Result<(OffsetBuffer<i32>, String, Option<NullBuffer>)> {
    let TextColumn { mut offsets, bytes, valid } = text;
    if offsets.is_empty() {
        offsets.push(0);
    }
    // OffsetBuffer::new panics on offsets that fall; a faulty batch must be an error.
    if offsets.first().is_some_and(|o| *o < 0) || !offsets.is_sorted() {
        return Err(Error::internal("lake: text offsets are not ascending"));
    }
    let nulls = (!valid.is_empty()).then(|| NullBuffer::from(valid));
    Ok((OffsetBuffer::new(ScalarBuffer::from(offsets)), bytes, nulls))
}

fn decimal_array(
    values: Vec<Option<i128>>,
    precision: u8,
    scale: u8,
    name: &str,
) -> Result<ArrayRef> {
    // Parquet keeps short decimals in 64 bits: a longer value would be cut without a word.
    let limit = 10i128.checked_pow(u32::from(precision)).unwrap_or(i128::MAX);
    if let Some(value) = values.iter().flatten().find(|v| v.unsigned_abs() >= limit.unsigned_abs())
    {
        return Err(Error::invalid(
            format!("数据项 `{name}` 的值超出 {precision} 位有效数字，请提高数据项的精度"),
            format!(
                "a value of `{name}` has more than {precision} digits: raise the item's precision"
            ),
        )
        .detail(format!("unscaled value with {} digits", value.unsigned_abs().to_string().len())));
    }
    let array = Decimal128Array::from(values)
        .with_precision_and_scale(precision, i8::try_from(scale).unwrap_or(0))
        .map_err(fault::arrow)?;
    Ok(Arc::new(array))
}

/// A read column, looked at value by value.
#[derive(Debug)]
pub(crate) enum Cells<'a> {
    Text(&'a StringArray),
    TextView(&'a StringViewArray),
    LargeText(&'a LargeStringArray),
    Integer(&'a Int64Array),
    Decimal(&'a Decimal128Array, u32),
    Float(&'a Float64Array),
    Boolean(&'a BooleanArray),
    Date(&'a Date32Array),
    DateTime(&'a TimestampMicrosecondArray),
    Null,
}

impl<'a> Cells<'a> {
    pub(crate) fn of(array: &'a dyn Array) -> Result<Self> {
        Ok(match array.data_type() {
            ArrowType::Utf8 => Cells::Text(array.as_string()),
            ArrowType::Utf8View => Cells::TextView(array.as_string_view()),
            ArrowType::LargeUtf8 => Cells::LargeText(array.as_string()),
            ArrowType::Int64 => Cells::Integer(array.as_primitive::<Int64Type>()),
            ArrowType::Decimal128(_, scale) => Cells::Decimal(
                array.as_primitive::<Decimal128Type>(),
                u32::try_from(*scale).unwrap_or(0),
            ),
            ArrowType::Float64 => Cells::Float(array.as_primitive::<Float64Type>()),
            ArrowType::Boolean => Cells::Boolean(array.as_boolean()),
            ArrowType::Date32 => Cells::Date(array.as_primitive::<Date32Type>()),
            ArrowType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None) => {
                Cells::DateTime(array.as_primitive::<TimestampMicrosecondType>())
            }
            ArrowType::Null => Cells::Null,
            other => return Err(Error::internal(format!("lake: unexpected column type {other}"))),
        })
    }

    pub(crate) fn is_text(&self) -> bool {
        matches!(self, Cells::Text(_) | Cells::TextView(_) | Cells::LargeText(_))
    }

    /// The text at `row`; `None` when null or not a text column.
    pub(crate) fn text(&self, row: usize) -> Option<&'a str> {
        match self {
            Cells::Text(a) => a.is_valid(row).then(|| a.value(row)),
            Cells::TextView(a) => a.is_valid(row).then(|| a.value(row)),
            Cells::LargeText(a) => a.is_valid(row).then(|| a.value(row)),
            _ => None,
        }
    }

    /// The value at `row`, which must lie inside the array.
    pub(crate) fn value(&self, row: usize) -> Value {
        match self {
            Cells::Text(_) | Cells::TextView(_) | Cells::LargeText(_) => {
                self.text(row).map_or(Value::Null, |t| Value::Text(t.to_owned()))
            }
            Cells::Integer(a) if a.is_valid(row) => Value::Integer(a.value(row)),
            Cells::Decimal(a, scale) if a.is_valid(row) => {
                Decimal::try_from_i128_with_scale(a.value(row), *scale)
                    .map_or(Value::Null, Value::Decimal)
            }
            Cells::Float(a) if a.is_valid(row) => Value::Float(a.value(row)),
            Cells::Boolean(a) if a.is_valid(row) => Value::Boolean(a.value(row)),
            Cells::Date(a) if a.is_valid(row) => {
                date_of_days(a.value(row)).map_or(Value::Null, Value::Date)
            }
            Cells::DateTime(a) if a.is_valid(row) => DateTime::from_timestamp_micros(a.value(row))
                .map_or(Value::Null, |t| Value::DateTime(t.naive_utc())),
            _ => Value::Null,
        }
    }
}

/// A house column of a read array, which must be of `kind`.
pub(crate) fn column(array: &dyn Array, kind: Kind, name: &str) -> Result<Column> {
    let rows = array.len();
    let cells = Cells::of(array)?;
    Ok(match (kind, cells) {
        (_, Cells::Null) => empty_column(kind, rows),
        (Kind::Text, cells @ (Cells::Text(_) | Cells::TextView(_) | Cells::LargeText(_))) => {
            let mut text = TextColumn::with_capacity(rows);
            for row in 0..rows {
                text.push(cells.text(row));
            }
            Column::Text(text)
        }
        (Kind::Integer, Cells::Integer(a)) => Column::Integer(a.iter().collect()),
        (Kind::Decimal { scale, .. }, Cells::Decimal(a, stored)) if u32::from(scale) == stored => {
            Column::Decimal { scale, values: a.iter().collect() }
        }
        (Kind::Float, Cells::Float(a)) => Column::Float(a.iter().collect()),
        (Kind::Boolean, Cells::Boolean(a)) => Column::Boolean(a.iter().collect()),
        (Kind::Date, Cells::Date(a)) => Column::Date(a.iter().collect()),
        (Kind::DateTime, Cells::DateTime(a)) => Column::DateTime(a.iter().collect()),
        (kind, _) => {
            let (zh, en) = kind.words();
            return Err(Error::new(
                model::Code::RuleBroken,
                format!("数据项 `{name}` 现为{zh}，与已入湖数据的类型不一致，请以全量方式重新入湖"),
                format!(
                    "`{name}` is now {en}, which is not what was landed: land a full parcel anew"
                ),
            ));
        }
    })
}

/// A column of nulls: an item the parcel did not have.
pub(crate) fn empty_column(kind: Kind, rows: usize) -> Column {
    match kind {
        Kind::Text => {
            let mut text = TextColumn::with_capacity(rows);
            for _ in 0..rows {
                text.push(None);
            }
            Column::Text(text)
        }
        Kind::Integer => Column::Integer(vec![None; rows]),
        Kind::Decimal { scale, .. } => Column::Decimal { scale, values: vec![None; rows] },
        Kind::Float => Column::Float(vec![None; rows]),
        Kind::Boolean => Column::Boolean(vec![None; rows]),
        Kind::Date => Column::Date(vec![None; rows]),
        Kind::DateTime => Column::DateTime(vec![None; rows]),
    }
}
