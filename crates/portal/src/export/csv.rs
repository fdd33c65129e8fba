//! CSV (RFC 4180): identifiers as header, or the names that were asked for (`heads`), CRLF, UTF-8.

use model::spreadsheet::harmless;
use model::value::{Rows, Value};
use model::{Error, Result};

use crate::export::{Encoder, Heading};

pub(super) struct Csv {
    pub(super) heading: Heading,
    pub(super) bom: bool,
}

fn writer() -> csv::Writer<Vec<u8>> {
    csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new())
}

fn finish(writer: csv::Writer<Vec<u8>>) -> Result<Vec<u8>> {
    writer.into_inner().map_err(|e| Error::internal(format!("csv: {e}")))
}

fn told(error: csv::Error) -> Error {
    Error::internal(format!("csv: {error}"))
}

impl Encoder for Csv {
    fn head(&mut self) -> Result<Vec<u8>> {
        let mut writer = writer();
        // A name is a text like any other.
        let heads = self.heading.heads.iter().map(|head| match self.bom {
            true => harmless(head).into_owned(),
            false => head.clone(),
        });
        writer.write_record(heads).map_err(told)?;
        let mut out = if self.bom { "\u{feff}".as_bytes().to_vec() } else { Vec::new() };
        out.extend(finish(writer)?);
        Ok(out)
    }
    fn rows(&mut self, rows: &Rows) -> Result<Vec<u8>> {
        let mut writer = writer();
        for row in &rows.rows {
            let cells = row.iter().map(|v| match v {
                Value::Text(text) if self.bom => harmless(text).into_owned(),
                value => value.to_text().unwrap_or_default(),
            });
            writer.write_record(cells).map_err(told)?;
        }
        finish(writer)
    }
    fn tail(&mut self) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }
}
