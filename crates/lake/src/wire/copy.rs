//! COPY … TO STDOUT as text, CSV or binary.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use arrow_pg::encoder::encode_value;
use bytes::Bytes;
use datafusion::sql::sqlparser::ast::{
    self, CopyLegacyCsvOption, CopyLegacyOption, CopyOption, CopySource, Statement,
};
use futures::stream::{self, BoxStream, StreamExt};
use pgwire::api::results::{CopyCsvOptions, CopyEncoder, CopyTextOptions, FieldInfo};
use pgwire::error::PgWireResult;
use pgwire::messages::copy::CopyData;

use super::flow::Flow;
use super::moments;
use super::words::{syntax, told};

/// How rows are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Format {
    kind: Kind,
    header: bool,
    delimiter: Option<char>,
    null: Option<String>,
    quote: Option<char>,
    escape: Option<char>,
    /// Columns always quoted; `*` alone is all.
    force_quote: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Csv,
    Binary,
}

/// The query behind a COPY.
pub(super) fn query(source: &CopySource) -> PgWireResult<Statement> {
    match source {
        CopySource::Query(query) => Ok(Statement::Query(query.clone())),
        CopySource::Table { table_name, columns } => {
            let quoted = |i: &ast::Ident| ast::Ident::with_quote('"', &i.value).to_string();
            let list = match columns.is_empty() {
                true => "*".to_owned(),
                false => columns.iter().map(quoted).collect::<Vec<_>>().join(", "),
            };
            let sql = format!("SELECT {list} FROM {table_name}");
            let dialect = datafusion::sql::sqlparser::dialect::PostgreSqlDialect {};
            let parsed = datafusion::sql::sqlparser::parser::Parser::parse_sql(&dialect, &sql);
            let parsed = parsed.map_err(|e| syntax(&e.to_string()))?;
            parsed.into_iter().next().ok_or_else(|| syntax("COPY"))
        }
    }
}

impl Format {
    pub(super) fn of(options: &[CopyOption], legacy: &[CopyLegacyOption]) -> PgWireResult<Self> {
        let mut format = Self {
            kind: Kind::Text,
            header: false,
            delimiter: None,
            null: None,
            quote: None,
            escape: None,
            force_quote: Vec::new(),
        };
        for option in options {
            match option {
                CopyOption::Format(name) => {
                    format.kind = match name.value.to_ascii_lowercase().as_str() {
                        "text" => Kind::Text,
                        "csv" => Kind::Csv,
                        "binary" => Kind::Binary,
                        _ => return Err(unknown("FORMAT")),
                    }
                }
                CopyOption::Delimiter(c) => format.delimiter = Some(*c),
                CopyOption::Null(text) => format.null = Some(text.clone()),
                CopyOption::Header(on) => format.header = *on,
                CopyOption::Quote(c) => format.quote = Some(*c),
                CopyOption::Escape(c) => format.escape = Some(*c),
                CopyOption::ForceQuote(columns) => {
                    format.force_quote = columns.iter().map(|c| c.value.clone()).collect();
                }
                CopyOption::Encoding(name)
                    if matches!(name.to_ascii_uppercase().as_str(), "UTF8" | "UTF-8") => {}
                other => return Err(unknown(&other.to_string())),
            }
        }
        for option in legacy {
            match option {
                CopyLegacyOption::Binary => format.kind = Kind::Binary,
                CopyLegacyOption::Csv(more) => {
                    format.kind = Kind::Csv;
                    for option in more {
                        match option {
                            CopyLegacyCsvOption::Header => format.header = true,
                            CopyLegacyCsvOption::Quote(c) => format.quote = Some(*c),
                            CopyLegacyCsvOption::Escape(c) => format.escape = Some(*c),
                            CopyLegacyCsvOption::ForceQuote(columns) => {
                                format.force_quote =
                                    columns.iter().map(|c| c.value.clone()).collect();
                            }
                            CopyLegacyCsvOption::ForceNotNull(_) => {}
                        }
                    }
                }
                CopyLegacyOption::Header => format.header = true,
                CopyLegacyOption::Delimiter(c) => format.delimiter = Some(*c),
                CopyLegacyOption::Null(text) => format.null = Some(text.clone()),
                other => return Err(unknown(&other.to_string())),
            }
        }
        let marks = [format.delimiter, format.quote, format.escape];
        if marks.iter().flatten().any(|c| !c.is_ascii() || matches!(c, '\n' | '\r')) {
            return Err(unknown("DELIMITER/QUOTE/ESCAPE"));
        }
        // What is written doubles the quote.
        if format.escape.is_some() && format.escape != Some(format.quote.unwrap_or('"')) {
            return Err(unknown("ESCAPE"));
        }
        Ok(format)
    }

    /// The code of the protocol.
    pub(super) fn code(&self) -> i8 {
        i8::from(self.kind == Kind::Binary)
    }

    fn encoder(&self, fields: &Arc<Vec<FieldInfo>>) -> CopyEncoder {
        let one = |c: Option<char>, default: char| c.unwrap_or(default).to_string();
        match self.kind {
            Kind::Binary => CopyEncoder::new_binary(Arc::clone(fields)),
            Kind::Text => {
                let mut options = CopyTextOptions {
                    delimiter: one(self.delimiter, '\t').into(),
                    ..CopyTextOptions::default()
                };
                if let Some(null) = &self.null {
                    options.null_string = null.as_str().into();
                }
                CopyEncoder::new_text(Arc::clone(fields), options)
            }
            Kind::Csv => {
                let mut options = CopyCsvOptions {
                    delimiter: one(self.delimiter, ',').into(),
                    quote: one(self.quote, '"').into(),
                    escape: one(self.quote, '"').into(),
                    ..CopyCsvOptions::default()
                };
                if let Some(null) = &self.null {
                    options.null_string = null.as_str().into();
                }
                let all = self.force_quote.iter().any(|c| c == "*");
                options.force_quote = fields
                    .iter()
                    .enumerate()
                    .filter(|(_, f)| all || self.force_quote.iter().any(|c| c == f.name()))
                    .map(|(at, _)| at)
                    .collect();
                CopyEncoder::new_csv(Arc::clone(fields), options)
            }
        }
    }

    /// What comes before the first row: the header line, or the signature of the binary format.
    fn head(&self, fields: &[FieldInfo]) -> Option<CopyData> {
        let names = || fields.iter().map(FieldInfo::name);
        let delimiter = |default: char| self.delimiter.unwrap_or(default).to_string();
        let line = match self.kind {
            Kind::Binary => return None,
            Kind::Text if self.header => names().collect::<Vec<_>>().join(&delimiter('\t')),
            Kind::Csv if self.header => {
                let mark = self.quote.unwrap_or('"');
                let comma = delimiter(',');
                let quoted = |name: &str| {
                    let plain = !name.contains([mark, '\n', '\r']) && !name.contains(&comma);
                    match plain {
                        true => name.to_owned(),
                        false => {
                            let doubled = name.replace(mark, &format!("{mark}{mark}"));
                            format!("{mark}{doubled}{mark}")
                        }
                    }
                };
                names().map(quoted).collect::<Vec<_>>().join(&comma)
            }
            _ => return None,
        };
        Some(CopyData::new(Bytes::from(format!("{line}\n"))))
    }
}

fn unknown(option: &str) -> pgwire::error::PgWireError {
    told(
        "0A000",
        format!(
            "COPY 不支持选项 {option}；支持 FORMAT text|csv|binary、HEADER、DELIMITER、NULL、QUOTE、FORCE_QUOTE"
        ),
        format!(
            "COPY takes no {option}; it takes FORMAT text|csv|binary, HEADER, DELIMITER, NULL, QUOTE, FORCE_QUOTE"
        ),
    )
}

/// Signature, flags and length of the extension: the head of a binary COPY without any row.
const BINARY_HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const BINARY_END: &[u8] = &[0xff, 0xff];

/// The whole of a COPY. `rows` counts them as they are written.
pub(super) fn stream(
    flow: Flow,
    fields: Arc<Vec<FieldInfo>>,
    format: Format,
    rows: Arc<AtomicU64>,
) -> BoxStream<'static, PgWireResult<CopyData>> {
    let head = stream::iter(format.head(&fields).map(Ok));
    let encoder = format.encoder(&fields);
    let binary = format.kind == Kind::Binary;
    let state = (flow, encoder, fields, Arc::clone(&rows));
    let body = stream::try_unfold(state, move |(mut flow, mut encoder, fields, rows)| async move {
        let Some(batch) = flow.next().await? else { return PgWireResult::Ok(None) };
        let lines = match binary {
            true => write(&batch, &mut encoder, &fields)?,
            false => write(&moments::written(&batch, &fields, true)?, &mut encoder, &fields)?,
        };
        rows.fetch_add(lines.len() as u64, Ordering::Relaxed);
        Ok(Some((stream::iter(lines.into_iter().map(Ok)), (flow, encoder, fields, rows))))
    });
    let body = futures::TryStreamExt::try_flatten(body);
    let end = stream::once(async move {
        let mut end = Vec::new();
        if binary {
            // The encoder writes the head with the first row.
            if rows.load(Ordering::Relaxed) == 0 {
                end.extend_from_slice(BINARY_HEAD);
            }
            end.extend_from_slice(BINARY_END);
        }
        Ok(CopyData::new(Bytes::from(end)))
    });
    head.chain(body).chain(end).boxed()
}

fn write(
    batch: &RecordBatch,
    encoder: &mut CopyEncoder,
    fields: &[FieldInfo],
) -> PgWireResult<Vec<CopyData>> {
    let schema = batch.schema();
    let mut lines = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        for ((column, arrow), field) in batch.columns().iter().zip(schema.fields()).zip(fields) {
            encode_value(encoder, column, row, arrow, field)?;
        }
        lines.push(encoder.take_copy());
    }
    Ok(lines)
}
