//! Columns of a statement's answer as the house keeps values: every type the engine knows becomes one of ours, by a cast that
//! refuses what does not fit.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::{CastOptions, can_cast_types, cast_with_options};
use arrow::datatypes::{DataType as ArrowType, Schema, TimestampMicrosecondType};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use model::batch::Batch;
use model::code::DataType;
use model::item::Item;
use model::value::{Row, Rows};
use model::{Error, Result};

use crate::cells::{self, Cells};
use crate::fault;
use crate::schema::{Kind, Shape};

/// Microseconds that the civil time of China is ahead of UTC.
const CHINA: i64 = 8 * 3600 * 1_000_000;
/// Digits of a short and of a long decimal, as the lake stores them.
const SHORT: u8 = 18;
const LONG: u8 = 28;

/// The columns, each with the kind its values become.
pub(super) fn shapes(schema: &Schema) -> Vec<Shape> {
    let shape = |f: &Arc<arrow::datatypes::Field>| Shape {
        name: f.name().clone(),
        kind: kind_of(f.data_type()),
    };
    schema.fields().iter().map(shape).collect()
}

fn kind_of(data_type: &ArrowType) -> Kind {
    match data_type {
        ArrowType::Int8
        | ArrowType::Int16
        | ArrowType::Int32
        | ArrowType::Int64
        | ArrowType::UInt8
        | ArrowType::UInt16
        | ArrowType::UInt32 => Kind::Integer,
        ArrowType::UInt64 => Kind::Decimal { precision: LONG, scale: 0 },
        ArrowType::Float16 | ArrowType::Float32 | ArrowType::Float64 => Kind::Float,
        ArrowType::Decimal32(p, s)
        | ArrowType::Decimal64(p, s)
        | ArrowType::Decimal128(p, s)
        | ArrowType::Decimal256(p, s) => {
            let scale = u8::try_from(*s).unwrap_or(0).min(LONG);
            let precision = if *p <= SHORT && scale <= SHORT { SHORT } else { LONG };
            Kind::Decimal { precision, scale }
        }
        ArrowType::Boolean => Kind::Boolean,
        ArrowType::Date32 | ArrowType::Date64 => Kind::Date,
        ArrowType::Timestamp(..) => Kind::DateTime,
        _ => Kind::Text,
    }
}

/// A column as an item of an entry.
pub(super) fn item(shape: &Shape) -> Item {
    let data_type = match shape.kind {
        Kind::Text => DataType::Text,
        Kind::Integer => DataType::Integer,
        Kind::Decimal { .. } => DataType::Decimal,
        Kind::Float => DataType::Float,
        Kind::Boolean => DataType::Boolean,
        Kind::Date => DataType::Date,
        Kind::DateTime => DataType::DateTime,
    };
    let mut item = Item::new(&shape.name, &shape.name, data_type);
    if let Kind::Decimal { precision, scale } = shape.kind {
        (item.precision, item.scale) = (precision, scale);
    }
    item
}

fn fit(array: &ArrayRef, shape: &Shape) -> Result<ArrayRef> {
    let from = array.data_type();
    let to = shape.kind.arrow();
    if *from == to {
        return Ok(Arc::clone(array));
    }
    if !can_cast_types(from, &to) {
        return texts(array);
    }
    let strict = CastOptions { safe: false, format_options: FormatOptions::default() };
    let cast = cast_with_options(array, &to, &strict).map_err(|e| {
        Error::invalid(
            format!("列 `{}` 中有值超出可表示的范围，请用 CAST 改变类型", shape.name),
            format!("a value of the column `{}` does not fit: CAST it to another type", shape.name),
        )
        .caused_by(e)
    })?;
    match from {
        // Moments become civil time.
        ArrowType::Timestamp(_, Some(_)) => {
            let moments = cast.as_primitive::<TimestampMicrosecondType>();
            let civil = moments.unary::<_, TimestampMicrosecondType>(|t| t.saturating_add(CHINA));
            Ok(Arc::new(civil))
        }
        _ => Ok(cast),
    }
}

/// What has no kind of ours, as it would be shown.
fn texts(array: &ArrayRef) -> Result<ArrayRef> {
    let options = FormatOptions::default();
    let shown = ArrayFormatter::try_new(array.as_ref(), &options).map_err(fault::arrow)?;
    let text = |row| array.is_valid(row).then(|| shown.value(row).try_to_string().ok()).flatten();
    Ok(Arc::new((0..array.len()).map(text).collect::<StringArray>()))
}

fn fitted(batch: &RecordBatch, shapes: &[Shape]) -> Result<Vec<ArrayRef>> {
    if batch.num_columns() != shapes.len() {
        return Err(Error::internal("wire: an answer with other columns than planned"));
    }
    batch.columns().iter().zip(shapes).map(|(array, shape)| fit(array, shape)).collect()
}

/// Rows to be shown.
pub(super) fn rows(batch: &RecordBatch, shapes: &[Shape]) -> Result<Rows> {
    let arrays = fitted(batch, shapes)?;
    let cells = arrays.iter().map(|a| Cells::of(a.as_ref())).collect::<Result<Vec<_>>>()?;
    let row = |at: usize| -> Row { cells.iter().map(|c| c.value(at)).collect() };
    Ok(Rows {
        columns: shapes.iter().map(|s| s.name.clone()).collect(),
        rows: (0..batch.num_rows()).map(row).collect(),
    })
}

/// Columns to be landed; `before` rows came already.
pub(super) fn columns(batch: &RecordBatch, shapes: &[Shape], before: u64) -> Result<Batch> {
    let arrays = fitted(batch, shapes)?;
    let columns = arrays
        .iter()
        .zip(shapes)
        .map(|(array, shape)| cells::column(array.as_ref(), shape.kind, &shape.name))
        .collect::<Result<Vec<_>>>()?;
    let records = (1..=batch.num_rows() as u64).map(|n| before + n).collect();
    Ok(Batch { columns, records, operations: Vec::new() })
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        Float32Array, Int32Array, ListArray, TimestampNanosecondArray, UInt64Array,
    };
    use arrow::datatypes::{Field, Int32Type};
    use model::value::Value;

    use super::*;

    #[test]
    fn every_type_becomes_one_of_ours() {
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
            Some(vec![Some(1), Some(2)]),
            None,
        ]);
        let moment = 1_767_225_600_000_000_000_i64;
        let utc = TimestampNanosecondArray::from(vec![Some(moment), None]).with_timezone("+00:00");
        let arrays: Vec<(&str, ArrayRef)> = vec![
            ("a", Arc::new(Int32Array::from(vec![Some(1), None]))),
            ("b", Arc::new(UInt64Array::from(vec![Some(u64::MAX), None]))),
            ("c", Arc::new(Float32Array::from(vec![Some(0.5), None]))),
            ("d", Arc::new(list)),
            ("e", Arc::new(utc)),
        ];
        let fields: Vec<Field> =
            arrays.iter().map(|(n, a)| Field::new(*n, a.data_type().clone(), true)).collect();
        let schema = Arc::new(Schema::new(fields));
        let batch =
            RecordBatch::try_new(schema.clone(), arrays.into_iter().map(|(_, a)| a).collect())
                .unwrap();
        let shapes = shapes(&schema);
        let rows = rows(&batch, &shapes).unwrap();
        let texts: Vec<Option<String>> = rows.rows[0].iter().map(Value::to_text).collect();
        let texts: Vec<&str> = texts.iter().map(|t| t.as_deref().unwrap()).collect();
        assert_eq!(texts, ["1", "18446744073709551615", "0.5", "[1, 2]", "2026-01-01T08:00:00"]);
        assert!(rows.rows[1].iter().all(Value::is_null));
        assert_eq!(columns(&batch, &shapes, 4).unwrap().records, [5, 6]);
        // What an item says of a column is how the lake stores it.
        for shape in &shapes {
            assert_eq!(Kind::of_item(&item(shape)), shape.kind, "{}", shape.name);
        }
    }
}
