//! Workbooks of any size: rows go to a sheet in constant memory, a sheet that is full goes on in a further one (`数据`, `数据 2`,
//! `数据 3` …, each with the header), the workbook to a temporary file that is then sent. The same rows of the same time make the same
//! bytes.

use std::fs::File;

use app::audit::Tally;
use axum::body::Body;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use model::value::{Rows, Value};
use model::{Error, Result};
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, Workbook, Worksheet, XlsxError};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::io::ReaderStream;

/// Rows a sheet can hold besides its header.
pub(crate) const MOST_ROWS: u32 = 1_048_575;
/// Characters a cell can hold.
const LONGEST_CELL: usize = 32_767;
/// Bytes of a part of a zip file that every reader understands; what may be larger is marked (ZIP64).
const PLAIN_ZIP: u64 = u32::MAX as u64;
/// Bytes that a cell takes at most besides its text.
const CELL_BYTES: u64 = 64;
/// Bytes that one of a text takes at most when it is escaped (`_x0001_`).
const ESCAPED_BYTES: u64 = 7;

/// Workbooks of more than a sheet that are written at once: each lies in temporary files, unpacked, until it is whole. Who
/// comes meanwhile waits with the first sheet.
static LONG: Semaphore = Semaphore::const_new(2);

pub(crate) const CONTENT_TYPE: &str =
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

fn told(error: XlsxError) -> Error {
    Error::internal(format!("xlsx: {error}"))
}

/// Writes header texts and rows into a workbook whose sheets are called `name` and that says it is `of` a time (RFC 3339, UTC), and
/// answers it as a body that keeps `tally` of what leaves. Fails before the first byte is sent.
pub(crate) async fn body(
    name: &'static str,
    of: &str,
    header: Vec<String>,
    rows: BoxStream<'static, Result<Rows>>,
    tally: Option<Tally>,
) -> Result<Body> {
    let (file, count) = match workbook(name, of, header, rows, MOST_ROWS).await {
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

/// What the writer is handed. A channel that closes without an end is a reader who has gone, or a source that failed: nothing
/// needs to be finished.
enum Part {
    Rows(Rows),
    /// With the turn of a long workbook, kept until it is whole.
    End(Option<SemaphorePermit<'static>>),
}

/// The workbook as a temporary file, and its rows. A sheet holds `most` of them.
async fn workbook(
    name: &'static str,
    of: &str,
    header: Vec<String>,
    mut rows: BoxStream<'static, Result<Rows>>,
    most: u32,
) -> Result<(File, usize)> {
    let (send, mut receive) = tokio::sync::mpsc::channel::<Part>(4);
    let properties = properties(of);
    let writing = tokio::task::spawn_blocking(move || {
        let mut book = Book::new(name, &properties, header, most)?;
        loop {
            match receive.blocking_recv() {
                Some(Part::Rows(chunk)) => book.rows(&chunk)?,
                Some(Part::End(turn)) => {
                    let file = book.finish();
                    drop(turn);
                    return file.map(Some);
                }
                None => return Ok(None),
            }
        }
    });
    let (mut failure, mut count, mut turn) = (None, 0, None);
    while let Some(chunk) = rows.next().await {
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(error) => {
                failure = Some(error);
                break;
            }
        };
        count += chunk.rows.len();
        if turn.is_none() && u64::try_from(count).is_ok_and(|count| count > u64::from(most)) {
            turn = LONG.acquire().await.ok();
        }
        if send.send(Part::Rows(chunk)).await.is_err() {
            break; // the writer failed and says why below
        }
    }
    if failure.is_none() {
        // Fails with the writer only, who says why below.
        send.send(Part::End(turn)).await.ok();
    }
    drop(send);
    let written = writing.await.map_err(|e| Error::internal(format!("xlsx writer: {e}")))?;
    if let Some(error) = failure {
        return Err(error);
    }
    let file = written?.ok_or_else(|| Error::internal("xlsx writer: it was not told the end"))?;
    Ok((file, count))
}

/// What a workbook says of itself. Without a time that can be read it is of the beginning of spreadsheets' time, never of now.
fn properties(of: &str) -> DocProperties {
    let beginning = "1900-01-01T00:00:00";
    let of = of.get(..beginning.len()).unwrap_or(beginning);
    let read = ExcelDateTime::parse_from_str;
    match read(of).or_else(|_| read(beginning)) {
        Ok(time) => DocProperties::new().set_creation_datetime(&time),
        Err(_) => DocProperties::new(),
    }
}

/// A workbook being written: its last sheet is the one that is filled.
struct Book {
    workbook: Workbook,
    name: &'static str,
    header: Vec<String>,
    /// Sheets there are.
    sheets: usize,
    /// Rows of the last sheet, and the most of one.
    row: u32,
    most: u32,
    /// Bytes that the last sheet has at most, and the largest.
    bytes: u64,
    largest: u64,
}

impl Book {
    fn new(
        name: &'static str,
        properties: &DocProperties,
        header: Vec<String>,
        most: u32,
    ) -> Result<Self> {
        let (mut workbook, sheets, row) = (Workbook::new(), 0, 0);
        workbook.set_properties(properties);
        let mut this = Self { workbook, name, header, sheets, row, most, bytes: 0, largest: 0 };
        this.further()?;
        Ok(this)
    }
    /// Opens a further sheet.
    fn further(&mut self) -> Result<()> {
        let sheet = self.workbook.add_worksheet_with_constant_memory().map_err(told)?;
        self.sheets += 1;
        match self.sheets {
            1 => sheet.set_name(self.name).map_err(told)?,
            n => sheet.set_name(format!("{} {n}", self.name)).map_err(told)?,
        };
        let bold = Format::new().set_bold();
        for (column, text) in (0_u16..).zip(&self.header) {
            sheet.write_string_with_format(0, column, text, &bold).map_err(told)?;
        }
        (self.row, self.bytes) = (0, 0);
        Ok(())
    }
    fn rows(&mut self, chunk: &Rows) -> Result<()> {
        let mut rest = chunk.rows.as_slice();
        while !rest.is_empty() {
            if self.row >= self.most {
                self.further()?;
            }
            let room = usize::try_from(self.most - self.row).unwrap_or(usize::MAX);
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.fill(now)?;
            rest = later;
        }
        Ok(())
    }
    /// Writes rows for which the last sheet has room.
    fn fill(&mut self, rows: &[Vec<Value>]) -> Result<()> {
        let sheet = self.workbook.worksheet_from_index(self.sheets - 1).map_err(told)?;
        for row in rows {
            self.row += 1;
            for (column, value) in (0_u16..).zip(row) {
                self.bytes += cell(sheet, self.row, column, value).map_err(told)?;
            }
        }
        self.largest = self.largest.max(self.bytes);
        Ok(())
    }
    fn finish(mut self) -> Result<File> {
        let failed = |e: std::io::Error| Error::internal(format!("temporary file: {e}"));
        let mut file = tempfile::tempfile().map_err(failed)?;
        let copy = file.try_clone().map_err(failed)?;
        self.workbook.use_zip_large_file(self.largest > PLAIN_ZIP);
        self.workbook.save_to_writer(copy).map_err(told)?;
        std::io::Seek::rewind(&mut file).map_err(failed)?;
        Ok(file)
    }
}

/// Numbers a spreadsheet can hold exactly are written as numbers, everything else as text, never as a formula. Answers the
/// bytes that the cell takes at most.
fn cell(sheet: &mut Worksheet, row: u32, column: u16, value: &Value) -> Result<u64, XlsxError> {
    const EXACT: i64 = 999_999_999_999_999;
    match value {
        Value::Null => return Ok(0),
        Value::Integer(i) if (-EXACT..=EXACT).contains(i) => {
            #[expect(clippy::cast_precision_loss, reason = "fifteen digits are exact")]
            sheet.write_number(row, column, *i as f64)?;
            return Ok(CELL_BYTES);
        }
        Value::Float(f) if f.is_finite() => {
            sheet.write_number(row, column, *f)?;
            return Ok(CELL_BYTES);
        }
        Value::Boolean(b) => {
            sheet.write_boolean(row, column, *b)?;
            return Ok(CELL_BYTES);
        }
        Value::Decimal(d) => {
            let text = d.to_string();
            let digits = text.bytes().filter(u8::is_ascii_digit).count();
            if let (true, Ok(number)) = (digits <= 15, text.parse::<f64>()) {
                sheet.write_number(row, column, number)?;
                return Ok(CELL_BYTES);
            }
        }
        _ => {}
    }
    let mut bytes = CELL_BYTES;
    if let Some(text) = value.to_text() {
        let text: String = if text.chars().count() > LONGEST_CELL {
            text.chars().take(LONGEST_CELL - 1).chain(['…']).collect()
        } else {
            text
        };
        bytes += ESCAPED_BYTES * u64::try_from(text.len()).unwrap_or(u64::from(u32::MAX));
        sheet.write_string(row, column, text)?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use calamine::{Data, Reader, Xlsx};
    use futures::stream;

    use super::*;

    const OF: &str = "2026-03-02T01:00:00.001Z";

    #[tokio::test]
    async fn the_same_rows_of_the_same_time_make_the_same_bytes() {
        let bytes = async |sizes: &[usize], of: &str| {
            let header = vec!["t".to_owned(), "n".to_owned()];
            let body = body("数据", of, header, chunks(sizes), None).await.unwrap();
            axum::body::to_bytes(body, usize::MAX).await.unwrap()
        };
        let whole = bytes(&[2000], OF).await;
        // However the rows come in, and whenever it is asked for.
        assert!(whole == bytes(&[700, 1, 1299], OF).await, "another workbook of the same rows");
        assert!(whole != bytes(&[2000], "2026-03-03T01:00:00.001Z").await);
        let odd = bytes(&[1], "").await;
        assert!(odd == bytes(&[1], "gestern").await, "never of now");
    }

    #[tokio::test]
    async fn a_workbook_is_a_zip_with_a_sheet() {
        let rows = Rows {
            columns: vec!["a".into()],
            rows: vec![vec![Value::Text("甲".into())], vec![Value::Integer(7)], vec![Value::Null]],
        };
        let rows = stream::iter([Ok(rows)]).boxed();
        let body = body("数据", OF, vec!["a".into()], rows, None).await.unwrap();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        assert!(bytes.starts_with(b"PK"));
        assert!(bytes.len() > 2000);
    }

    #[tokio::test]
    async fn a_failing_source_is_told_before_the_first_byte() {
        let rows = stream::iter([Err(Error::internal("gone"))]).boxed();
        assert!(body("数据", OF, vec!["a".into()], rows, None).await.is_err());
    }

    /// Rows of a text and a number in chunks of these sizes, counted through.
    fn chunks(sizes: &[usize]) -> BoxStream<'static, Result<Rows>> {
        let (mut n, mut all) = (0_i64, Vec::new());
        for size in sizes {
            let mut rows = Vec::new();
            for _ in 0..*size {
                rows.push(vec![Value::Text(format!("=1+{n}")), Value::Integer(n)]);
                n += 1;
            }
            all.push(Ok(Rows { columns: vec!["t".into(), "n".into()], rows }));
        }
        stream::iter(all).boxed()
    }

    /// Every sheet's name and cells of a workbook of which a sheet holds `most` rows.
    async fn sheets(sizes: &[usize], most: u32) -> Vec<(String, Vec<Vec<Data>>)> {
        let header = vec!["t".to_owned(), "n".to_owned()];
        let (file, count) = workbook("数据", OF, header, chunks(sizes), most).await.unwrap();
        assert_eq!(count, sizes.iter().sum::<usize>());
        let mut read: Xlsx<_> =
            calamine::open_workbook_from_rs(std::io::BufReader::new(file)).unwrap();
        let mut all = Vec::new();
        for name in read.sheet_names() {
            let formulas = read.worksheet_formula(&name).unwrap();
            assert!(formulas.rows().flatten().all(String::is_empty), "{formulas:?}");
            let cells = read.worksheet_range(&name).unwrap();
            all.push((name, cells.rows().map(<[Data]>::to_vec).collect()));
        }
        all
    }

    #[tokio::test]
    async fn a_full_sheet_goes_on_in_a_further_one_with_the_same_header() {
        let text = |text: String| Data::String(text);
        // A chunk that goes over three sheets, and one that fills the last exactly.
        let all = sheets(&[2, 5, 2], 3).await;
        let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["数据", "数据 2", "数据 3"]);
        let mut rows = Vec::new();
        for (name, cells) in &all {
            assert_eq!(cells[0], [text("t".into()), text("n".into())], "{name}");
            assert_eq!(cells.len(), 4, "{name}");
            rows.extend(cells[1..].iter().cloned());
        }
        for (n, row) in (0_u32..).zip(&rows) {
            assert_eq!(row, &[text(format!("=1+{n}")), Data::Float(f64::from(n))]);
        }
        assert_eq!(rows.len(), 9);
    }

    #[tokio::test]
    async fn a_sheet_that_is_just_full_is_the_last_and_no_rows_are_a_header() {
        assert_eq!(sheets(&[3], 3).await.len(), 1);
        assert_eq!(sheets(&[3, 1], 3).await.len(), 2);
        let none = sheets(&[], 3).await;
        assert_eq!((none.len(), none[0].1.len()), (1, 1));
    }

    #[tokio::test]
    async fn a_source_that_fails_in_a_further_sheet_gives_no_workbook() {
        let rows = chunks(&[3, 3]).chain(stream::iter([Err(Error::internal("gone"))])).boxed();
        assert!(workbook("数据", OF, vec!["t".into(), "n".into()], rows, 2).await.is_err());
        // And leaves the turns of long workbooks to others.
        for _ in 0..3 {
            assert_eq!(sheets(&[9], 2).await.len(), 5);
        }
    }

    #[test]
    fn a_cell_is_told_at_least_as_large_as_it_is_written() {
        let mut workbook = Workbook::new();
        let sheet = workbook.add_worksheet();
        let text = "&<\u{1}".repeat(100);
        let bytes = cell(sheet, 1_048_575, 16_383, &Value::Text(text)).unwrap();
        assert!(bytes >= 64 + 100 * (5 + 4 + 7), "{bytes}");
        assert_eq!(cell(sheet, 0, 0, &Value::Null).unwrap(), 0);
    }
}
