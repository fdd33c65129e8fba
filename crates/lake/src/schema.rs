//! The columns of a lake table: one per item with an explicit type, then the system columns.
//!
//! All columns are nullable in the table: what must not be empty is a rule of typing, and a later item leaves
//! earlier rows empty.

use std::sync::Arc;

use arrow::datatypes::{DataType as ArrowType, Field, Schema, SchemaRef, TimeUnit};
use deltalake_core::kernel::{DataType as DeltaType, StructField, StructType};
use model::code::DataType;
use model::item::Item;
use model::{Code, Error, Result};

/// City of the data, GB/T 2260.
pub(crate) const CITY: &str = "dsc_city";
/// Region of the data, GB/T 2260.
pub(crate) const REGION: &str = "dsc_adm_region";
/// 数源单位: unified social credit code.
pub(crate) const ORG_CODE: &str = "dsc_sydep_code";
/// 数源单位: name.
pub(crate) const ORG_NAME: &str = "dsc_sydep_name";
/// 数源系统.
pub(crate) const ORG_SYSTEM: &str = "dsc_sydep_sys";
/// Table or file at the source.
pub(crate) const ORG_TABLE: &str = "dsc_sydep_tblname";
/// 唯一自增: number of the row in the whole table, growing from parcel to parcel.
pub(crate) const RECORD_ID: &str = "dsc_biz_record_id";
/// `I`, `U` or `D`.
pub(crate) const OPERATION: &str = "dsc_biz_operation";
/// When the source's state was taken (civil time in China); grows from parcel to parcel.
pub(crate) const BIZ_TIME: &str = "dsc_biz_timestamp";
/// Table of the collecting warehouse: the entry's code.
pub(crate) const WAREHOUSE_TABLE: &str = "dsc_datasr_tblname";
/// MD5 of the business key in hex (a name of the field's convention, not a protection); null without a key.
pub(crate) const HASH: &str = "dsc_hash_unique";
/// When the row was typed and checked.
pub(crate) const CLEAN_TIME: &str = "dsc_clean_timestamp";
/// 入库时间.
pub(crate) const LANDED_TIME: &str = "dsc_dw_rksj";
/// Parcel that brought the row.
pub(crate) const PARCEL: &str = "dsc_parcel";
/// Record number in its source, from 1.
pub(crate) const RECORD: &str = "dsc_record";

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Integer,
    Decimal { precision: u8, scale: u8 },
    Float,
    Boolean,
    Date,
    DateTime,
}

/// Digits a decimal column stores when the item asks for at most so many (they fit 64 bits).
const SHORT_DECIMAL: u8 = 18;
/// Digits of every other decimal column: what [`rust_decimal`] carries for certain.
const LONG_DECIMAL: u8 = 28;

impl Kind {
    /// Column kind of an item. Geometry and JSON are texts. A decimal is stored in one of two widths, so that a
    /// changed precision seldom changes the column.
    pub(crate) fn of_item(item: &Item) -> Self {
        match item.data_type {
            DataType::Text | DataType::Geometry | DataType::Json => Kind::Text,
            DataType::Integer => Kind::Integer,
            DataType::Decimal => {
                let scale = item.scale.min(LONG_DECIMAL);
                let short = (1..=SHORT_DECIMAL).contains(&item.precision) && scale <= SHORT_DECIMAL;
                Kind::Decimal { precision: if short { SHORT_DECIMAL } else { LONG_DECIMAL }, scale }
            }
            DataType::Float => Kind::Float,
            DataType::Boolean => Kind::Boolean,
            DataType::Date => Kind::Date,
            DataType::DateTime => Kind::DateTime,
        }
    }

    /// Kind of a stored column; `None` for types this lake never writes.
    pub(crate) fn of_arrow(data_type: &ArrowType) -> Option<Self> {
        Some(match data_type {
            ArrowType::Utf8 | ArrowType::Utf8View | ArrowType::LargeUtf8 => Kind::Text,
            ArrowType::Int64 => Kind::Integer,
            ArrowType::Decimal128(precision, scale) => {
                Kind::Decimal { precision: *precision, scale: u8::try_from(*scale).ok()? }
            }
            ArrowType::Float64 => Kind::Float,
            ArrowType::Boolean => Kind::Boolean,
            ArrowType::Date32 => Kind::Date,
            ArrowType::Timestamp(TimeUnit::Microsecond, None) => Kind::DateTime,
            _ => return None,
        })
    }

    pub(crate) fn arrow(self) -> ArrowType {
        match self {
            Kind::Text => ArrowType::Utf8,
            Kind::Integer => ArrowType::Int64,
            Kind::Decimal { precision, scale } => {
                ArrowType::Decimal128(precision, i8::try_from(scale).unwrap_or(0))
            }
            Kind::Float => ArrowType::Float64,
            Kind::Boolean => ArrowType::Boolean,
            Kind::Date => ArrowType::Date32,
            Kind::DateTime => ArrowType::Timestamp(TimeUnit::Microsecond, None),
        }
    }

    fn delta(self) -> Result<DeltaType> {
        Ok(match self {
            Kind::Text => DeltaType::STRING,
            Kind::Integer => DeltaType::LONG,
            Kind::Decimal { precision, scale } => DeltaType::decimal(precision, scale)
                .map_err(|e| Error::internal("lake: decimal type").caused_by(e))?,
            Kind::Float => DeltaType::DOUBLE,
            Kind::Boolean => DeltaType::BOOLEAN,
            Kind::Date => DeltaType::DATE,
            Kind::DateTime => DeltaType::TIMESTAMP_NTZ,
        })
    }

    /// For messages: Chinese and English.
    pub(crate) fn words(self) -> (String, String) {
        match self {
            Kind::Text => ("字符型".into(), "text".into()),
            Kind::Integer => ("整数型".into(), "integer".into()),
            Kind::Decimal { precision, scale } => {
                (format!("小数型({precision},{scale})"), format!("decimal({precision},{scale})"))
            }
            Kind::Float => ("浮点型".into(), "float".into()),
            Kind::Boolean => ("布尔型".into(), "boolean".into()),
            Kind::Date => ("日期型".into(), "date".into()),
            Kind::DateTime => ("日期时间型".into(), "date and time".into()),
        }
    }
}

/// One column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// The system columns in their order.
pub(crate) fn system_columns() -> Vec<Shape> {
    let decimal_free = [
        (CITY, Kind::Text),
        (REGION, Kind::Text),
        (ORG_CODE, Kind::Text),
        (ORG_NAME, Kind::Text),
        (ORG_SYSTEM, Kind::Text),
        (ORG_TABLE, Kind::Text),
        (RECORD_ID, Kind::Integer),
        (OPERATION, Kind::Text),
        (BIZ_TIME, Kind::DateTime),
        (WAREHOUSE_TABLE, Kind::Text),
        (HASH, Kind::Text),
        (CLEAN_TIME, Kind::DateTime),
        (LANDED_TIME, Kind::DateTime),
        (PARCEL, Kind::Text),
        (RECORD, Kind::Integer),
    ];
    decimal_free.map(|(name, kind)| Shape { name: name.to_owned(), kind }).into()
}

/// Columns of a parcel of an entry with these items: items in order, then the system columns.
pub(crate) fn parcel_columns(items: &[Item]) -> Vec<Shape> {
    let mut columns: Vec<Shape> = items
        .iter()
        .map(|item| Shape { name: item.identifier.clone(), kind: Kind::of_item(item) })
        .collect();
    columns.extend(system_columns());
    columns
}

/// Arrow schema of columns.
pub(crate) fn arrow_schema(columns: &[Shape]) -> SchemaRef {
    Arc::new(Schema::new(
        columns.iter().map(|c| Field::new(&c.name, c.kind.arrow(), true)).collect::<Vec<_>>(),
    ))
}

/// Delta schema of columns.
pub(crate) fn delta_schema(columns: &[Shape]) -> Result<StructType> {
    let fields = columns
        .iter()
        .map(|c| Ok(StructField::nullable(c.name.clone(), c.kind.delta()?)))
        .collect::<Result<Vec<_>>>()?;
    StructType::try_new(fields).map_err(|e| Error::internal("lake: table schema").caused_by(e))
}

/// Columns of a stored schema.
pub(crate) fn stored_columns(schema: &Schema) -> Result<Vec<Shape>> {
    schema
        .fields()
        .iter()
        .map(|field| {
            let kind = Kind::of_arrow(field.data_type()).ok_or_else(|| {
                Error::internal(format!("lake: column `{}` is {}", field.name(), field.data_type()))
            })?;
            Ok(Shape { name: field.name().clone(), kind })
        })
        .collect()
}

/// What the table's columns become when a parcel is added to what is there: stored columns in their order, then new
/// ones. `None` when nothing changes. A column whose type changed is refused: old and new rows would not compare.
pub(crate) fn grown(stored: &[Shape], parcel: &[Shape]) -> Result<Option<Vec<Shape>>> {
    let mut columns = stored.to_vec();
    let mut refusal: Option<Error> = None;
    for new in parcel {
        match stored.iter().find(|c| c.name == new.name) {
            Some(old) if old.kind == new.kind => {}
            Some(old) => {
                let error = refusal.unwrap_or_else(type_changed);
                refusal = Some(mismatch(error, &new.name, old.kind, new.kind));
            }
            None => columns.push(new.clone()),
        }
    }
    match refusal {
        Some(error) => Err(error),
        None if columns.len() == stored.len() => Ok(None),
        None => Ok(Some(columns)),
    }
}

fn type_changed() -> Error {
    Error::new(
        Code::RuleBroken,
        "数据项的类型与已入湖数据不一致，增量数据无法合并：请以全量方式重新入湖，或新建目录",
        "the type of a data item differs from the data already landed, so increments cannot be merged: \
         land a full parcel anew, or make a new entry",
    )
}

fn mismatch(error: Error, name: &str, old: Kind, new: Kind) -> Error {
    let ((old_zh, old_en), (new_zh, new_en)) = (old.words(), new.words());
    error.field(
        name,
        format!("已入湖为{old_zh}，现为{new_zh}"),
        format!("stored as {old_en}, now {new_en}"),
    )
}
