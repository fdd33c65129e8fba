//! Parquet, through its record interface: values by the file's own types, no Arrow in sight.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, TimeDelta};
use model::code::DataType;
use model::item::Item;
use model::parcel::{Sniffed, SniffedColumn};
use model::{Error, Result};
use parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type as Physical};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use parquet::schema::types::Type;

use crate::cell::{Cell, Mark};
use crate::content::{Content, bad_file};
use crate::hand::Hand;
use crate::matching::{Header, Matched, settle};
use crate::sink::Sink;
use crate::typing::{Doubt, Hint};
use crate::why::cut;
use policy::port::ReadOptions;

/// How a column's stored value becomes civil time in China.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clock {
    /// Stored values are no time stamps.
    None,
    /// Instants, shown in UTC+8.
    Instant(i64),
    /// Wall-clock times as they are.
    Local(i64),
}

#[derive(Clone, Debug)]
struct Stored {
    name: String,
    data_type: DataType,
    clock: Clock,
    optional: bool,
}

/// A Parquet file, opened.
pub(crate) struct Columnar {
    reader: SerializedFileReader<File>,
    columns: Vec<Stored>,
}

fn corrupt(e: ParquetError) -> Error {
    bad_file(
        "Parquet 文件已损坏或不完整，请重新导出",
        "the Parquet file is corrupt or incomplete; export it again",
    )
    .detail(e.to_string())
}

impl Columnar {
    pub(crate) fn open(content: &mut Content) -> Result<Self> {
        let reader = SerializedFileReader::new(content.seekable()?).map_err(corrupt)?;
        let columns = reader
            .metadata()
            .file_metadata()
            .schema()
            .get_fields()
            .iter()
            .map(|f| stored(f))
            .collect();
        Ok(Self { reader, columns })
    }

    fn rows(&self) -> Result<u64> {
        u64::try_from(self.reader.metadata().file_metadata().num_rows()).map_err(|_| {
            bad_file("Parquet 文件的行数有误", "the Parquet file states a wrong number of rows")
        })
    }

    /// What the file says of itself, with examples of its first rows.
    pub(crate) fn sniff(&self, content: &Content) -> Result<Sniffed> {
        let mut examples: Vec<Vec<String>> = vec![Vec::new(); self.columns.len()];
        for row in self.reader.get_row_iter(None).map_err(corrupt)?.take(200) {
            let row = row.map_err(corrupt)?;
            for ((_, field), (kept, column)) in
                row.get_column_iter().zip(examples.iter_mut().zip(&self.columns))
            {
                if kept.len() < 5
                    && let Some(text) = text_of(field, column.clock)
                {
                    let text = cut(&text, 120);
                    if !kept.contains(&text) {
                        kept.push(text);
                    }
                }
            }
        }
        let columns = self
            .columns
            .iter()
            .zip(examples)
            .map(|(c, examples)| SniffedColumn {
                name: c.name.clone(),
                data_type: c.data_type,
                nullable: c.optional,
                examples,
            })
            .collect();
        let mut sniffed = self.describe(content);
        sniffed.columns = columns;
        sniffed.records = Some(self.rows()?);
        Ok(sniffed)
    }

    /// What is known without reading rows.
    pub(crate) fn describe(&self, content: &Content) -> Sniffed {
        let column = |c: &Stored| SniffedColumn {
            name: c.name.clone(),
            data_type: c.data_type,
            nullable: c.optional,
            examples: Vec::new(),
        };
        Sniffed {
            format: "parquet".to_owned(),
            compression: content.compression.to_owned(),
            encoding: String::new(),
            delimiter: None,
            quote: None,
            preamble: 0,
            header_rows: 0,
            footer: 0,
            sheet: None,
            columns: self.columns.iter().map(column).collect(),
            records: self.rows().ok(),
            notes: content.notes.clone(),
        }
    }

    pub(crate) fn matched(
        &self,
        items: &[Item],
        options: &ReadOptions,
    ) -> Result<(Matched, Vec<(String, Option<String>)>)> {
        let headers: Vec<Header> = self.columns.iter().map(|c| Header::plain(&c.name)).collect();
        let matched = settle(&headers, items, true, options.operation_column.as_deref())?;
        let columns = matched.columns(&headers, items);
        Ok((matched, columns))
    }

    /// Sends every row through the sink.
    pub(crate) fn run(
        &self,
        items: &[Item],
        matched: Matched,
        batch_rows: usize,
        done: Arc<AtomicU64>,
        total: u64,
        hand: &Hand,
    ) -> Result<()> {
        let mut wanted = vec![false; self.columns.len()];
        for column in matched.of_item.iter().flatten().chain(matched.operation.iter()) {
            if let Some(w) = wanted.get_mut(*column) {
                *w = true;
            }
        }
        let all = self.rows()?.max(1);
        let mut sink = Sink::new(items, matched, |_| Hint::default(), batch_rows, done.clone());
        sink.doubt = Doubt { nul: true, damage: false };
        let mut record = 0_u64;
        let mut texts: Vec<Option<String>> = Vec::new();
        for row in self.reader.get_row_iter(None).map_err(corrupt)? {
            let row = row.map_err(|e| {
                bad_file(
                    format!("Parquet 文件在第 {} 条记录处损坏，请重新导出", record + 1),
                    format!(
                        "the Parquet file is corrupt at record {}; export it again",
                        record + 1
                    ),
                )
                .detail(e.to_string())
            })?;
            record += 1;
            texts.clear();
            texts.extend(row.get_column_iter().zip(self.columns.iter().zip(&wanted)).map(
                |((_, field), (column, wanted))| {
                    if *wanted { text_of(field, column.clock) } else { None }
                },
            ));
            sink.row(record, 0, |column| {
                texts.get(column)?.as_deref().map(|text| Cell { text, mark: Mark::Exact })
            });
            if sink.ready() {
                done.store(
                    (u128::from(total) * u128::from(record) / u128::from(all))
                        .try_into()
                        .unwrap_or(total),
                    Ordering::Relaxed,
                );
                hand.give(sink.take())?;
            }
        }
        done.store(total, Ordering::Relaxed);
        if !sink.is_empty() {
            hand.give(sink.take())?;
        }
        Ok(())
    }
}

fn stored(field: &Type) -> Stored {
    let info = field.get_basic_info();
    let optional =
        !info.has_repetition() || info.repetition() != parquet::basic::Repetition::REQUIRED;
    let (data_type, clock) =
        if field.is_primitive() { kind_of(field) } else { (DataType::Json, Clock::None) };
    let repeated =
        info.has_repetition() && info.repetition() == parquet::basic::Repetition::REPEATED;
    let data_type = if repeated { DataType::Json } else { data_type };
    Stored { name: field.name().to_owned(), data_type, clock, optional }
}

fn kind_of(field: &Type) -> (DataType, Clock) {
    let info = field.get_basic_info();
    if let Some(LogicalType::Timestamp(t)) = info.logical_type_ref() {
        let per_second = match t.unit {
            TimeUnit::MILLIS => 1_000,
            TimeUnit::MICROS => 1_000_000,
            TimeUnit::NANOS => 1_000_000_000,
        };
        let clock = if t.is_adjusted_to_u_t_c {
            Clock::Instant(per_second)
        } else {
            Clock::Local(per_second)
        };
        return (DataType::DateTime, clock);
    }
    if let Some(LogicalType::Json) = info.logical_type_ref() {
        return (DataType::Json, Clock::None);
    }
    let data_type = match info.converted_type() {
        ConvertedType::TIMESTAMP_MILLIS => return (DataType::DateTime, Clock::Instant(1_000)),
        ConvertedType::TIMESTAMP_MICROS => return (DataType::DateTime, Clock::Instant(1_000_000)),
        ConvertedType::DATE => DataType::Date,
        ConvertedType::DECIMAL => DataType::Decimal,
        ConvertedType::JSON => DataType::Json,
        ConvertedType::UTF8
        | ConvertedType::ENUM
        | ConvertedType::TIME_MILLIS
        | ConvertedType::TIME_MICROS => DataType::Text,
        _ => match field.get_physical_type() {
            Physical::BOOLEAN => DataType::Boolean,
            Physical::INT32 | Physical::INT64 => DataType::Integer,
            Physical::INT96 => return (DataType::DateTime, Clock::Instant(1_000)),
            Physical::FLOAT | Physical::DOUBLE => DataType::Float,
            _ => DataType::Text,
        },
    };
    (data_type, Clock::None)
}

/// A stored value as cell text; null is nothing.
fn text_of(field: &Field, clock: Clock) -> Option<String> {
    Some(match field {
        Field::Null => return None,
        Field::Bool(b) => b.to_string(),
        Field::Byte(n) => n.to_string(),
        Field::Short(n) => n.to_string(),
        Field::Int(n) => n.to_string(),
        Field::Long(n) if clock != Clock::None => time_text(*n, clock),
        Field::Long(n) => n.to_string(),
        Field::UByte(n) => n.to_string(),
        Field::UShort(n) => n.to_string(),
        Field::UInt(n) => n.to_string(),
        Field::ULong(n) => n.to_string(),
        Field::Float16(f) => f.to_f32().to_string(),
        Field::Float(f) => f.to_string(),
        Field::Double(f) => f.to_string(),
        Field::Str(s) => s.clone(),
        Field::Bytes(b) => match std::str::from_utf8(b.data()) {
            Ok(text) => text.to_owned(),
            Err(_) => b.data().iter().map(|b| format!("{b:02x}")).collect(),
        },
        Field::Date(days) => {
            model::batch::date_of_days(*days).map_or_else(|| days.to_string(), |d| d.to_string())
        }
        Field::TimeMillis(ms) => clock_text(i64::from(*ms) * 1000),
        Field::TimeMicros(us) => clock_text(*us),
        Field::TimestampMillis(ms) => {
            time_text(*ms, if clock == Clock::None { Clock::Instant(1_000) } else { clock })
        }
        Field::TimestampMicros(us) => {
            time_text(*us, if clock == Clock::None { Clock::Instant(1_000_000) } else { clock })
        }
        Field::Decimal(_) => field.to_string(),
        Field::Group(_) | Field::ListInternal(_) | Field::MapInternal(_) => {
            json_of(field).to_string()
        }
    })
}

fn time_text(value: i64, clock: Clock) -> String {
    let (per_second, shift) = match clock {
        Clock::Instant(unit) => (unit, 8),
        Clock::Local(unit) => (unit, 0),
        Clock::None => (1, 0),
    };
    let nanos = value.rem_euclid(per_second) * (1_000_000_000 / per_second);
    DateTime::from_timestamp(value.div_euclid(per_second), u32::try_from(nanos).unwrap_or(0))
        .and_then(|t| t.naive_utc().checked_add_signed(TimeDelta::hours(shift)))
        .map_or_else(|| value.to_string(), |t| t.format("%Y-%m-%d %H:%M:%S%.f").to_string())
}

fn clock_text(micros: i64) -> String {
    let seconds = micros.div_euclid(1_000_000);
    let rest = micros.rem_euclid(1_000_000);
    let base = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if rest == 0 { base } else { format!("{base}.{rest:06}") }
}

/// Nested values as JSON.
fn json_of(field: &Field) -> serde_json::Value {
    use serde_json::Value;
    match field {
        Field::Null => Value::Null,
        Field::Bool(b) => Value::Bool(*b),
        Field::Byte(_)
        | Field::Short(_)
        | Field::Int(_)
        | Field::Long(_)
        | Field::UByte(_)
        | Field::UShort(_)
        | Field::UInt(_)
        | Field::ULong(_)
        | Field::Float(_)
        | Field::Double(_) => {
            let text = text_of(field, Clock::None).unwrap_or_default();
            text.parse::<serde_json::Number>().map_or(Value::String(text), Value::Number)
        }
        Field::Group(row) => of_row(row),
        Field::ListInternal(list) => Value::Array(list.elements().iter().map(json_of).collect()),
        Field::MapInternal(map) => Value::Object(
            map.entries()
                .iter()
                .map(|(k, v)| (text_of(k, Clock::None).unwrap_or_default(), json_of(v)))
                .collect(),
        ),
        other => text_of(other, Clock::None).map_or(Value::Null, Value::String),
    }
}

fn of_row(row: &Row) -> serde_json::Value {
    serde_json::Value::Object(
        row.get_column_iter().map(|(name, field)| (name.clone(), json_of(field))).collect(),
    )
}
