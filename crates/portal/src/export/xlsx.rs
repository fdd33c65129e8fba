//! Workbooks: rows go to a sheet in constant memory, the workbook to a temporary file that is then sent.

use app::audit::Tally;
use axum::body::Body;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use model::value::{Rows, Value};
use model::{Code, Error, Result};
use rust_xlsxwriter::{Format, Workbook, Worksheet, XlsxError};
use tokio_util::io::ReaderStream;

/// Rows a sheet can hold besides its header.
pub(crate) const MOST_ROWS: u64 = 1_048_575;
/// Characters a cell can hold.
const LONGEST_CELL: usize = 32_767;

pub(crate) const CONTENT_TYPE: &str =
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/// The data set has more rows than a sheet holds.
pub(crate) fn too_long(rows: u64) -> Error {
    Error::new(
        Code::TooLarge,
        format!("共 {rows} 行，超过一张工作表最多 {MOST_ROWS} 行的限制；请下载 CSV 或 JSON"),
        format!(
            "{rows} rows are more than the {MOST_ROWS} a sheet holds; download CSV or JSON instead"
        ),
    )
}

fn told(error: XlsxError) -> Error {
    Error::internal(format!("xlsx: {error}"))
}

/// Writes header texts and rows into a workbook and answers it as a body that keeps `tally` of what leaves. Fails before
/// the first byte is sent.
pub(crate) async fn body(
    header: Vec<String>,
    rows: BoxStream<'static, Result<Rows>>,
    tally: Option<Tally>,
) -> Result<Body> {
    let (file, count) = match workbook(header, rows).await {
        Ok(made) => made,
        Err(error) => {
            if let Some(tally) = tally {
                tally.end(Some(&error)).await?;
            }
            return Err(error);
        }
    };
    let mut tally = tally;
    if let Some(tally) = &mut tally {
        tally.add(count, 0);
    }
    let pieces = ReaderStream::new(tokio::fs::File::from_std(file));
    let counted = stream::unfold(Some((pieces, tally)), |state| async move {
        let (mut pieces, mut tally) = state?;
        let failed = |e: std::io::Error| Error::internal("temporary file").caused_by(e);
        match pieces.next().await.map(|piece| piece.map_err(failed)) {
            Some(Ok(piece)) => {
                if let Some(tally) = &mut tally {
                    tally.add(0, piece.len());
                }
                Some((Ok(piece), Some((pieces, tally))))
            }
            end => {
                let failure = end.and_then(Result::err);
                let told = match tally {
                    Some(tally) => tally.end(failure.as_ref()).await,
                    None => Ok(()),
                };
                failure.or(told.err()).map(|error| (Err(error), None))
            }
        }
    });
    Ok(Body::from_stream(counted))
}

/// The workbook as a temporary file, and its rows.
async fn workbook(
    header: Vec<String>,
    mut rows: BoxStream<'static, Result<Rows>>,
) -> Result<(std::fs::File, usize)> {
    let (send, mut receive) = tokio::sync::mpsc::channel::<Rows>(4);
    let writing = tokio::task::spawn_blocking(move || {
        let mut sheet = Sheet::new(&header)?;
        while let Some(chunk) = receive.blocking_recv() {
            sheet.rows(&chunk)?;
        }
        sheet.finish()
    });
    let (mut failure, mut count) = (None, 0);
    while let Some(chunk) = rows.next().await {
        match chunk {
            Ok(chunk) => {
                count += chunk.rows.len();
                if send.send(chunk).await.is_err() {
                    break; // the writer failed and says why below
                }
            }
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
    }
    drop(send);
    let written = writing.await.map_err(|e| Error::internal(format!("xlsx writer: {e}")))?;
    if let Some(error) = failure {
        return Err(error);
    }
    Ok((written?, count))
}

struct Sheet {
    workbook: Workbook,
    row: u32,
}

impl Sheet {
    fn new(header: &[String]) -> Result<Self> {
        let mut workbook = Workbook::new();
        let bold = Format::new().set_bold();
        let sheet = workbook.add_worksheet_with_constant_memory().map_err(told)?;
        for (column, text) in (0_u16..).zip(header) {
            sheet.write_string_with_format(0, column, text, &bold).map_err(told)?;
        }
        Ok(Self { workbook, row: 0 })
    }
    fn rows(&mut self, chunk: &Rows) -> Result<()> {
        let sheet = self.workbook.worksheet_from_index(0).map_err(told)?;
        for row in &chunk.rows {
            self.row += 1;
            if u64::from(self.row) > MOST_ROWS {
                return Err(too_long(u64::from(self.row)));
            }
            for (column, value) in (0_u16..).zip(row) {
                cell(sheet, self.row, column, value).map_err(told)?;
            }
        }
        Ok(())
    }
    fn finish(mut self) -> Result<std::fs::File> {
        let failed = |e: std::io::Error| Error::internal(format!("temporary file: {e}"));
        let file = tempfile::tempfile().map_err(failed)?;
        let copy = file.try_clone().map_err(failed)?;
        self.workbook.save_to_writer(copy).map_err(told)?;
        let mut file = file;
        std::io::Seek::rewind(&mut file).map_err(failed)?;
        Ok(file)
    }
}

/// Numbers a spreadsheet can hold exactly are written as numbers, everything else as text.
fn cell(sheet: &mut Worksheet, row: u32, column: u16, value: &Value) -> Result<(), XlsxError> {
    const EXACT: i64 = 999_999_999_999_999;
    match value {
        Value::Null => return Ok(()),
        Value::Integer(i) if (-EXACT..=EXACT).contains(i) => {
            #[expect(clippy::cast_precision_loss, reason = "fifteen digits are exact")]
            sheet.write_number(row, column, *i as f64)?;
            return Ok(());
        }
        Value::Float(f) if f.is_finite() => {
            sheet.write_number(row, column, *f)?;
            return Ok(());
        }
        Value::Boolean(b) => {
            sheet.write_boolean(row, column, *b)?;
            return Ok(());
        }
        Value::Decimal(d) => {
            let text = d.to_string();
            let digits = text.bytes().filter(u8::is_ascii_digit).count();
            if let (true, Ok(number)) = (digits <= 15, text.parse::<f64>()) {
                sheet.write_number(row, column, number)?;
                return Ok(());
            }
        }
        _ => {}
    }
    if let Some(text) = value.to_text() {
        let text: String = if text.chars().count() > LONGEST_CELL {
            text.chars().take(LONGEST_CELL - 1).chain(['…']).collect()
        } else {
            text
        };
        sheet.write_string(row, column, text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;

    #[tokio::test]
    async fn a_workbook_is_a_zip_with_a_sheet() {
        let rows = Rows {
            columns: vec!["a".into()],
            rows: vec![vec![Value::Text("甲".into())], vec![Value::Integer(7)], vec![Value::Null]],
        };
        let body = body(vec!["a".into()], stream::iter([Ok(rows)]).boxed(), None).await.unwrap();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        assert!(bytes.starts_with(b"PK"));
        assert!(bytes.len() > 2000);
    }

    #[tokio::test]
    async fn a_failing_source_is_told_before_the_first_byte() {
        let rows = stream::iter([Err(Error::internal("gone"))]).boxed();
        assert!(body(vec!["a".into()], rows, None).await.is_err());
    }
}
