//! A filled workbook read back: every fault with its sheet and cell. Nothing is kept while there are faults, unless the
//! person wants the good rows; the whole draft is then what the workbook says.

use std::collections::HashMap;
use std::io::Cursor;
use std::path::Path;

use calamine::{Data, DataRef, Reader as _, Xlsx, XlsxError};
use model::code::DataType;
use model::report::{Cells, Fault, FormDraft, FormVersion, Task, TaskEventKind};
use model::{Code, Error, Op, Result};
use store::report::RowChange;

use super::look::event;
use super::sheet::{HEAD, HEADER, MARK, ROWS, column_name};
use super::{check, fill};
use crate::catalogue::sheet::table::{Most, unpacks_within};
use crate::{App, audit};

/// How an import ended.
#[derive(Clone, Debug)]
pub struct Import {
    pub task: Task,
    /// Rows read, and rows that the draft now has.
    pub read: u64,
    pub kept: u64,
    pub faults: Vec<Fault>,
    pub fault_count: usize,
    /// The draft was replaced.
    pub saved: bool,
}

/// A workbook as read.
#[derive(Debug, Default)]
struct Book {
    head: Cells,
    /// Row of the sheet, cells.
    rows: Vec<(u32, Cells)>,
    /// Column of each field in the rows' sheet; row of each in the other.
    columns: HashMap<usize, u32>,
    lines: HashMap<usize, u32>,
    faults: Vec<Fault>,
}

/// Reads a filled workbook into the draft seen at this version.
pub async fn import(
    app: &App,
    op: &Op,
    id: &str,
    seen: u64,
    path: &Path,
    good_rows: bool,
) -> Result<Import> {
    let (mut task, form, permit) = fill::writable(app, op, id, seen).await?;
    let book = read(app, &form, path).await?;
    let read = book.rows.len() as u64;
    let mut all = vec![(0, book.head.clone())];
    all.extend((1_u64..).zip(book.rows.iter().map(|(_, cells)| cells.clone())));
    let key = fill::key(&form.draft);
    let checked = check::whole(app, &form.draft, &task, &key, all).await?;
    let mut faults = book.faults.clone();
    faults.extend(checked.faults.into_iter().map(|fault| placed(&form.draft, &book, fault)));
    let fault_count = faults.len();
    let bad: Vec<u64> = faults.iter().map(|f| f.row).collect();
    faults.truncate(app.rules.report.faults_shown);
    if fault_count > 0 && !good_rows {
        return Ok(Import { task, read, kept: 0, faults, fault_count, saved: false });
    }
    let (head, rows): (Vec<_>, Vec<_>) = checked.rows.into_iter().partition(|(n, _)| *n == 0);
    let good = rows.into_iter().filter(|(n, _)| !bad.contains(n)).map(|(_, cells)| cells);
    let mut rows = head;
    rows.extend((1_u64..).zip(good));
    let kept = rows.len() as u64 - 1;
    fill::touch(&mut task, op);
    task.rows = kept;
    let mut happened = event(op, &task, TaskEventKind::Imported, "");
    happened.rows = kept;
    let change = RowChange::Replace(rows);
    app.store.report_task_change(&permit, &task, seen, &change, Some(&happened)).await?;
    task.version = seen + 1;
    let mut told = audit::event(op, "report.import", id);
    (told.rows, told.scope) = (kept, format!("read={read} kept={kept}"));
    audit::record(app, told).await?;
    Ok(Import { task, read, kept, faults, fault_count, saved: true })
}

/// A fault with its sheet and cell.
fn placed(draft: &FormDraft, book: &Book, mut fault: Fault) -> Fault {
    let place = draft.place(&fault.field);
    let column =
        |n: usize| book.columns.get(&n).map(|c| column_name(u16::try_from(*c).unwrap_or(0)));
    fault.at = if fault.row == 0 {
        let line = place.and_then(|n| book.lines.get(&n));
        line.map_or_else(String::new, |line| format!("{HEAD}!C{}", line + 1))
    } else {
        let at = usize::try_from(fault.row).ok().and_then(|n| book.rows.get(n.checked_sub(1)?));
        let row = at.map_or(0, |(row, _)| row + 1);
        match place.and_then(column) {
            Some(column) => format!("{ROWS}!{column}{row}"),
            None => format!("{ROWS}!{row}"),
        }
    };
    fault
}

async fn read(app: &App, form: &FormVersion, path: &Path) -> Result<Book> {
    let rules = &app.rules.report;
    let most = Most {
        bytes: rules.sheet_bytes,
        unpacked: rules.sheet_unpacked,
        rows: rules.rows_most,
        cells: usize::MAX,
    };
    let (form, path) = (form.clone(), path.to_owned());
    let reading = tokio::task::spawn_blocking(move || {
        let long = std::fs::metadata(&path).map_or(0, |about| about.len());
        if long > most.bytes {
            return Err(Error::new(
                Code::TooLarge,
                format!("工作簿最大 {} MB", most.bytes >> 20),
                format!("a workbook has {} MB at most", most.bytes >> 20),
            ));
        }
        let bytes = std::fs::read(&path).map_err(|e| corrupt(&e.to_string()))?;
        parse(&bytes, &form, &most)
    });
    reading.await.map_err(|e| Error::internal("reading a workbook").caused_by(e))?
}

fn corrupt(detail: &str) -> Error {
    Error::new(
        Code::InvalidFile,
        "不是可读的 XLSX 工作簿；请用本任务的模板填写，并另存为 XLSX",
        "this is no readable XLSX workbook: fill the template of this task and save it as XLSX",
    )
    .detail(detail.to_owned())
}

type Workbook<'a> = Xlsx<Cursor<&'a [u8]>>;

fn parse(bytes: &[u8], form: &FormVersion, most: &Most) -> Result<Book> {
    if !bytes.starts_with(b"PK\x03\x04") {
        return Err(corrupt("not a zip"));
    }
    unpacks_within(bytes, "XLSX", most)?;
    let mut file: Workbook<'_> =
        Xlsx::new(Cursor::new(bytes)).map_err(|e| corrupt(&e.to_string()))?;
    let names = file.sheet_names();
    if names.iter().any(|n| n == MARK) {
        marked(&mut file, form)?;
    }
    let draft = &form.draft;
    let mut book = Book { head: draft.blank(), ..Book::default() };
    let missing = |name: &str| {
        Error::new(
            Code::InvalidFile,
            format!("工作簿中没有工作表「{name}」；请用本任务的模板填写"),
            format!("the workbook has no sheet `{name}`: fill the template of this task"),
        )
    };
    if draft.fields.iter().any(|f| draft.belongs(f, 0)) {
        if !names.iter().any(|n| n == HEAD) {
            return Err(missing(HEAD));
        }
        head_sheet(&mut file, draft, &mut book)?;
    }
    if draft.has_rows() {
        if !names.iter().any(|n| n == ROWS) {
            return Err(missing(ROWS));
        }
        rows_sheet(&mut file, draft, &mut book, most.rows)?;
    }
    Ok(book)
}

/// Hands every cell that holds something to `each`, row by row.
fn cells(
    file: &mut Workbook<'_>,
    name: &str,
    each: &mut dyn FnMut(u32, u32, &Data) -> Result<()>,
) -> Result<()> {
    let wrong = |e: XlsxError| corrupt(&e.to_string());
    let mut reader = file.worksheet_cells_reader(name).map_err(wrong)?;
    while let Some(cell) = reader.next_cell().map_err(wrong)? {
        let (row, column) = cell.get_position();
        if matches!(cell.get_value(), DataRef::Empty) {
            continue;
        }
        each(row, column, &Data::from(cell.get_value().clone()))?;
    }
    Ok(())
}

/// The hidden sheet says which form and version a workbook was made for.
fn marked(file: &mut Workbook<'_>, form: &FormVersion) -> Result<()> {
    let mut mark = vec![String::new(); 2];
    cells(file, MARK, &mut |row, column, data| {
        let place = usize::try_from(row).ok().and_then(|row| mark.get_mut(row));
        if let Some(place) = place.filter(|_| column == 0) {
            *place = data.to_string();
        }
        Ok(())
    })?;
    if mark == [form.form.clone(), form.version.to_string()] {
        return Ok(());
    }
    Err(Error::new(
        Code::InvalidFile,
        format!(
            "该工作簿是为另一张报送表或另一版本制作的（本任务为第 {} 版）；请重新下载模板",
            form.version
        ),
        format!(
            "the workbook was made for another form or version (this task has version {}): download the template again",
            form.version
        ),
    ))
}

fn fault(at: String, row: u64, zh: String, en: String) -> Fault {
    Fault { row, field: String::new(), at, zh, en }
}

fn head_sheet(file: &mut Workbook<'_>, draft: &FormDraft, book: &mut Book) -> Result<()> {
    let mut line: Option<(u32, usize)> = None;
    let (mut lines, mut faults, mut head) = (HashMap::new(), Vec::new(), draft.blank());
    cells(file, HEAD, &mut |row, column, data| {
        match column {
            1 if row > 0 => {
                let place = draft.place(data.to_string().trim());
                line = place.map(|place| (row, place));
                if let Some(place) = place {
                    lines.insert(place, row);
                }
            }
            2 if row > 0 => {
                let place = line.filter(|(at, _)| *at == row).map(|(_, place)| place);
                match place {
                    Some(place) => put(draft, &mut head, place, data, &format!("{HEAD}!C{}", row + 1), 0, &mut faults),
                    None => faults.push(fault(
                        format!("{HEAD}!B{}", row + 1),
                        0,
                        "该行的代码不是本表的字段，请勿改动模板".into(),
                        "the code of this line is no field of the form: leave the template as it is".into(),
                    )),
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    (book.lines, book.head) = (lines, head);
    book.faults.extend(faults);
    Ok(())
}

fn rows_sheet(
    file: &mut Workbook<'_>,
    draft: &FormDraft,
    book: &mut Book,
    most: usize,
) -> Result<()> {
    // Columns are found by the codes of the second header row, wherever they were moved to.
    let mut places: HashMap<u32, usize> = HashMap::new();
    let (mut rows, mut faults): (Vec<(u32, Cells)>, Vec<Fault>) = (Vec::new(), Vec::new());
    let mut strangers: Vec<u32> = Vec::new();
    cells(file, ROWS, &mut |row, column, data| {
        if row + 1 < HEADER {
            return Ok(());
        }
        if row + 1 == HEADER {
            let code = data.to_string();
            let place = draft.place(code.trim());
            match place.filter(|p| draft.fields.get(*p).is_some_and(|f| draft.belongs(f, 1))) {
                Some(place) => {
                    places.insert(column, place);
                }
                None => strangers.push(column),
            }
            return Ok(());
        }
        let Some(place) = places.get(&column).copied() else {
            if !strangers.contains(&column) {
                strangers.push(column);
            }
            return Ok(());
        };
        if rows.last().is_none_or(|(at, _)| *at != row) {
            if rows.len() > most {
                return Err(fill::too_many(most as u64));
            }
            rows.push((row, draft.blank()));
        }
        let n = rows.len() as u64;
        if let Some((_, cells)) = rows.last_mut() {
            let name = column_name(u16::try_from(column).unwrap_or(0));
            put(draft, cells, place, data, &format!("{ROWS}!{name}{}", row + 1), n, &mut faults);
        }
        Ok(())
    })?;
    // Rows of blanks only are no rows; faults already told keep their numbers, for such rows have none.
    let blank =
        |cells: &Cells| cells.iter().all(|c| c.as_deref().is_none_or(|t| t.trim().is_empty()));
    if rows.iter().any(|(_, cells)| blank(cells)) {
        let kept: Vec<(u64, (u32, Cells))> =
            (1_u64..).zip(rows).filter(|(_, (_, cells))| !blank(cells)).collect();
        let now: HashMap<u64, u64> =
            (1_u64..).zip(&kept).map(|(now, (was, _))| (*was, now)).collect();
        faults.retain_mut(|f| match now.get(&f.row) {
            Some(n) => {
                f.row = *n;
                true
            }
            None => false,
        });
        rows = kept.into_iter().map(|(_, row)| row).collect();
    }
    for column in strangers {
        let name = column_name(u16::try_from(column).unwrap_or(0));
        book.faults.push(fault(
            format!("{ROWS}!{name}{HEADER}"),
            0,
            "该列的代码不是本表的字段，其内容不会被读取；请恢复模板的代码行或删除该列".into(),
            "the code of this column is no field of the form and it is not read: restore the row of codes or take the column away".into(),
        ));
    }
    for (place, field) in draft.fields.iter().enumerate().filter(|(_, f)| draft.belongs(f, 1)) {
        if !places.values().any(|p| *p == place) {
            book.faults.push(fault(
                format!("{ROWS}!{HEADER}"),
                0,
                format!("缺少列「{}」（{}）；请用本任务的模板填写", field.item.name_cn, field.id()),
                format!("the column `{}` is missing: fill the template of this task", field.id()),
            ));
        }
    }
    book.columns = places.into_iter().map(|(column, place)| (place, column)).collect();
    book.rows = rows;
    book.faults.extend(faults);
    Ok(())
}

/// Puts a cell where it belongs, as text.
fn put(
    draft: &FormDraft,
    cells: &mut Cells,
    place: usize,
    data: &Data,
    at: &str,
    row: u64,
    faults: &mut Vec<Fault>,
) {
    let Some(field) = draft.fields.get(place) else { return };
    match text(field.item.data_type, data) {
        Ok(text) => {
            if let Some(cell) = cells.get_mut(place) {
                *cell = Some(text).filter(|t| !t.trim().is_empty());
            }
        }
        Err((zh, en)) => {
            let mut said = fault(at.to_owned(), row, zh.to_owned(), en.to_owned());
            field.id().clone_into(&mut said.field);
            faults.push(said);
        }
    }
}

type Said = (&'static str, &'static str);

/// A cell as a person would have written it.
fn text(data_type: DataType, data: &Data) -> std::result::Result<String, Said> {
    match data {
        Data::Empty => Ok(String::new()),
        Data::String(s) | Data::DateTimeIso(s) | Data::DurationIso(s) => {
            Ok(s.replace("\r\n", "\n").replace('\r', "\n"))
        }
        Data::Bool(b) => Ok(b.to_string()),
        Data::Int(i) => Ok(i.to_string()),
        Data::Float(f) => float(data_type, *f),
        Data::DateTime(d) if d.is_datetime() => match (d.as_datetime(), data_type) {
            (Some(t), DataType::Date) => Ok(t.format("%Y-%m-%d").to_string()),
            (Some(t), _) => {
                let midnight =
                    t.time() == chrono::NaiveTime::MIN && data_type != DataType::DateTime;
                let shape = if midnight { "%Y-%m-%d" } else { "%Y-%m-%dT%H:%M:%S%.f" };
                Ok(t.format(shape).to_string())
            }
            (None, _) => Err(("不是有效的日期", "is no valid date")),
        },
        Data::DateTime(d) => Ok(d.as_f64().to_string()),
        Data::Error(_) => Err(("是公式错误值，请修正公式", "is an error value: mend the formula")),
    }
}

/// A number with the fifteen digits a spreadsheet vouches for.
fn float(data_type: DataType, f: f64) -> std::result::Result<String, Said> {
    if data_type == DataType::Float {
        return Ok(f.to_string());
    }
    if f.abs() >= 1e15 {
        return Err((
            "存为数值，超过 15 位的数字已丢失；请将单元格设为文本后重新填写",
            "was stored as a number, so that digits beyond the 15th are lost: make the cell a text and fill it in again",
        ));
    }
    let plain = f.to_string();
    if plain.bytes().filter(u8::is_ascii_digit).count() <= 15 {
        return Ok(plain);
    }
    // 0.1 + 0.2 in a formula: what the spreadsheet shows is meant.
    let rounded: f64 = format!("{f:.14e}").parse().unwrap_or(f);
    Ok(rounded.to_string())
}
