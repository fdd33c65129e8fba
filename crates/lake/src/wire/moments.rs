//! Times as PostgreSQL writes them in text: no fraction where there is none, and no zeros at its end. The library writes six digits
//! always, which programs that compare texts take for another value.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use pgwire::api::results::{FieldFormat, FieldInfo};
use pgwire::error::PgWireResult;

use super::words::of_house;

/// The batch with its times as texts, where a field is written in text and in the ISO style (another `DateStyle` is the library's).
/// `text`: the whole is text, whatever the fields say (COPY).
pub(super) fn written(
    batch: &RecordBatch,
    fields: &[FieldInfo],
    text: bool,
) -> PgWireResult<RecordBatch> {
    let schema = batch.schema();
    let ours = |at: usize| {
        let iso = |f: &FieldInfo| {
            (text || f.format() == FieldFormat::Text)
                && f.format_options().date_style.to_ascii_uppercase().starts_with("ISO")
        };
        schema.fields().get(at).is_some_and(|f| is_time(f.data_type()))
            && fields.get(at).is_some_and(iso)
    };
    if !(0..batch.num_columns()).any(ours) {
        return Ok(batch.clone());
    }
    let mut columns = Vec::with_capacity(batch.num_columns());
    let mut kinds = Vec::with_capacity(batch.num_columns());
    for (at, (column, field)) in batch.columns().iter().zip(schema.fields()).enumerate() {
        if ours(at) {
            columns.push(texts(column)?);
            kinds.push(Arc::new(Field::new(field.name(), DataType::Utf8, true)));
        } else {
            columns.push(Arc::clone(column));
            kinds.push(Arc::clone(field));
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(kinds)), columns)
        .map_err(|e| of_house(&crate::fault::arrow(e)))
}

fn is_time(kind: &DataType) -> bool {
    matches!(kind, DataType::Timestamp(..) | DataType::Time32(_) | DataType::Time64(_))
}

fn texts(column: &ArrayRef) -> PgWireResult<ArrayRef> {
    let options = FormatOptions::new()
        .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.6f"))
        .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.6f%:::z"))
        .with_time_format(Some("%H:%M:%S%.6f"));
    let failed = |e| of_house(&crate::fault::arrow(e));
    let written = ArrayFormatter::try_new(column.as_ref(), &options).map_err(failed)?;
    let mut texts = Vec::with_capacity(column.len());
    for row in 0..column.len() {
        texts.push(match column.is_null(row) {
            true => None,
            false => Some(trimmed(&written.value(row).try_to_string().map_err(failed)?)),
        });
    }
    Ok(Arc::new(StringArray::from(texts)))
}

/// Without zeros at the end of the fraction.
fn trimmed(text: &str) -> String {
    let Some((whole, rest)) = text.split_once('.') else { return text.to_owned() };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (fraction, zone) = rest.split_at(digits);
    match fraction.trim_end_matches('0') {
        "" => format!("{whole}{zone}"),
        fraction => format!("{whole}.{fraction}{zone}"),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, Time64MicrosecondArray, TimestampMicrosecondArray};
    use pgwire::api::Type;

    use super::*;

    fn batch() -> RecordBatch {
        let moments =
            vec![Some(1_767_203_940_000_000), Some(1_767_203_940_120_000), Some(-1), None];
        let zoned = TimestampMicrosecondArray::from(moments.clone()).with_timezone("+08:00");
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("moment", Arc::new(TimestampMicrosecondArray::from(moments))),
            ("zoned", Arc::new(zoned)),
            ("time", Arc::new(Time64MicrosecondArray::from(vec![0, 1, 3_600_000_000, 500_000]))),
            ("n", Arc::new(Int64Array::from(vec![1, 2, 3, 4]))),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true)))
            .unwrap()
    }

    fn fields(format: FieldFormat) -> Vec<FieldInfo> {
        [Type::TIMESTAMP, Type::TIMESTAMPTZ, Type::TIME, Type::INT8]
            .into_iter()
            .map(|kind| FieldInfo::new("x".into(), None, None, kind, format))
            .collect()
    }

    #[test]
    fn fractions_are_as_long_as_they_need_be() {
        let shown = written(&batch(), &fields(FieldFormat::Text), false).unwrap();
        let of = |n: usize| {
            let texts = shown.column(n).as_any().downcast_ref::<StringArray>().unwrap();
            texts.iter().map(|t| t.unwrap_or("-").to_owned()).collect::<Vec<_>>().join("|")
        };
        assert_eq!(
            of(0),
            "2025-12-31 17:59:00|2025-12-31 17:59:00.12|1969-12-31 23:59:59.999999|-"
        );
        assert_eq!(
            of(1),
            "2026-01-01 01:59:00+08|2026-01-01 01:59:00.12+08|1970-01-01 07:59:59.999999+08|-"
        );
        assert_eq!(of(2), "00:00:00|00:00:00.000001|01:00:00|00:00:00.5");
        assert_eq!(shown.column(3).data_type(), &DataType::Int64);
    }

    #[test]
    fn binary_and_other_styles_are_left_alone() {
        assert_eq!(written(&batch(), &fields(FieldFormat::Binary), false).unwrap(), batch());
        let mut german = fields(FieldFormat::Text);
        for field in &mut german {
            let mut options = pgwire::types::format::FormatOptions::default();
            options.date_style = "German, DMY".into();
            *field = field.clone().with_format_options(Arc::new(options));
        }
        assert_eq!(written(&batch(), &german, false).unwrap(), batch());
    }
}
