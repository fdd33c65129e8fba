//! The workbook of a form: what is filled once stands in one sheet, the rows in another, with headers that are locked, a
//! second header row with codes, lists of choices, notes with the rules, and text columns where a number would lose digits.

use model::code::DataType;
use model::report::{Cells, FormDraft, FormField, FormVersion, Task, TotalRule};
use model::value::Value;
use model::{Error, Op, Result};
use policy::Action;
use rust_xlsxwriter::{
    DataValidation, Format, FormatBorder, Formula, Note, ProtectionOptions, Workbook, Worksheet,
    XlsxError,
};

use super::look::{all_rows, known};
use super::{check, design, plan};
use crate::{App, audit};

/// Names of the sheets. The last two are hidden.
pub(super) const HEAD: &str = "表头";
pub(super) const ROWS: &str = "明细";
const LISTS: &str = "代码";
pub(super) const MARK: &str = "_form";
/// Rows of the header above the rows.
pub(super) const HEADER: u32 = 2;
/// Last row of a sheet.
const LAST: u32 = 1_048_575;
/// Longest text that a data validation shows.
const MESSAGE: usize = 250;
/// Whole numbers up to here are exact in a spreadsheet.
const DIGITS: usize = 15;

fn failed(error: XlsxError) -> Error {
    Error::internal("a workbook could not be written").caused_by(error)
}

/// The empty template of a task.
pub async fn template(app: &App, op: &Op, id: &str) -> Result<(String, Vec<u8>)> {
    let (task, _) = known(app, op, id, Action::ReportRead).await?;
    let form = design::version(app, &task.form, task.form_version).await?;
    audit::record(app, audit::event(op, "report.template", id)).await?;
    written(task, form, Vec::new()).await
}

/// The template with the rows that the caller sees: the draft for those who fill it, else what was handed in.
pub async fn filled(app: &App, op: &Op, id: &str) -> Result<(String, Vec<u8>)> {
    let (task, _) = known(app, op, id, Action::ReportRead).await?;
    let form = design::version(app, &task.form, task.form_version).await?;
    let fills = app.may(op, Action::ReportFill, &policy::Target::report(&task));
    let rows = if fills && task.state.writable() {
        all_rows(app, &task, 0).await?
    } else if task.revision > 0 {
        all_rows(app, &task, task.revision).await?
    } else {
        Vec::new()
    };
    let mut event = audit::event(op, "report.export", id);
    event.rows = rows.len() as u64;
    audit::record(app, event).await?;
    written(task, form, rows).await
}

async fn written(
    task: Task,
    form: FormVersion,
    rows: Vec<(u64, Cells)>,
) -> Result<(String, Vec<u8>)> {
    let name = format!("{} {} {}", task.title, task.period, task.org_name);
    let name = format!("{}.xlsx", name.split_whitespace().collect::<Vec<_>>().join("-"));
    let made = tokio::task::spawn_blocking(move || workbook(&task, &form, &rows));
    let bytes = made.await.map_err(|e| Error::internal("xlsx writer").caused_by(e))??;
    Ok((name, bytes))
}

/// Formats of one workbook.
struct Formats {
    header: Format,
    code: Format,
    text: Format,
    plain: Format,
}

impl Formats {
    fn new() -> Self {
        let header = Format::new().set_bold().set_text_wrap().set_background_color("E4F0F7");
        Self {
            header: header.set_border(FormatBorder::Thin),
            code: Format::new().set_font_color("52616D").set_background_color("F2F5F7"),
            text: Format::new().set_num_format("@").set_unlocked(),
            plain: Format::new().set_unlocked(),
        }
    }
    fn of(&self, field: &FormField) -> &Format {
        if field.as_text() { &self.text } else { &self.plain }
    }
}

pub(super) fn workbook(task: &Task, form: &FormVersion, rows: &[(u64, Cells)]) -> Result<Vec<u8>> {
    let draft = &form.draft;
    let mut book = Workbook::new();
    let formats = Formats::new();
    let lists = lists(draft);
    let head = check::head(draft, rows);
    let once: Vec<(usize, &FormField)> =
        draft.fields.iter().enumerate().filter(|(_, f)| draft.belongs(f, 0)).collect();
    if draft.has_rows() {
        let sheet = book.add_worksheet();
        sheet.set_name(ROWS).map_err(failed)?;
        rows_sheet(sheet, draft, &formats, &lists, rows).map_err(failed)?;
    }
    if !once.is_empty() {
        let sheet = book.add_worksheet();
        sheet.set_name(HEAD).map_err(failed)?;
        head_sheet(sheet, &once, &formats, &lists, &head).map_err(failed)?;
    }
    let sheet = book.add_worksheet();
    sheet.set_name(LISTS).map_err(failed)?.set_hidden(true);
    for (column, (_, list)) in (0_u16..).zip(&lists) {
        for (row, text) in (0_u32..).zip(list) {
            sheet.write_string(row, column, text).map_err(failed)?;
        }
    }
    let sheet = book.add_worksheet();
    sheet.set_name(MARK).map_err(failed)?.set_hidden(true);
    let mark = [form.form.clone(), form.version.to_string(), task.id.clone(), task.period.clone()];
    for (row, text) in (0_u32..).zip(&mark) {
        sheet.write_string(row, 0, text).map_err(failed)?;
    }
    book.save_to_buffer().map_err(failed)
}

/// Choices by field, as shown: `01 工业`.
fn lists(draft: &FormDraft) -> Vec<(String, Vec<String>)> {
    let shown = |f: &FormField| {
        f.codes.iter().map(|c| format!("{} {}", c.code, c.name).trim().to_owned()).collect()
    };
    let with = draft.fields.iter().filter(|f| !f.codes.is_empty());
    with.map(|f| (f.id().to_owned(), shown(f))).collect()
}

fn rows_sheet(
    sheet: &mut Worksheet,
    draft: &FormDraft,
    formats: &Formats,
    lists: &[(String, Vec<String>)],
    rows: &[(u64, Cells)],
) -> std::result::Result<(), XlsxError> {
    let fields: Vec<(usize, &FormField)> =
        draft.fields.iter().enumerate().filter(|(_, f)| draft.belongs(f, 1)).collect();
    sheet.set_row_height(0, 32)?;
    for (column, (_, field)) in (0_u16..).zip(&fields) {
        sheet.set_column_format(column, formats.of(field))?;
        sheet.set_column_width(column, width(field))?;
        sheet.write_string_with_format(0, column, heading(field), &formats.header)?;
        sheet.write_string_with_format(1, column, field.id(), &formats.code)?;
        sheet.insert_note(0, column, &Note::new(rules(field)))?;
        if let Some(valid) = validation(field, lists) {
            sheet.add_data_validation(HEADER, column, LAST, column, &valid)?;
        }
    }
    for (row, (_, cells)) in (HEADER..).zip(rows.iter().filter(|(n, _)| *n > 0)) {
        for (column, (place, field)) in (0_u16..).zip(&fields) {
            if let Some(text) = cells.get(*place).and_then(Option::as_deref) {
                cell(sheet, row, column, field, formats.of(field), text)?;
            }
        }
    }
    sheet.set_freeze_panes(HEADER, 0)?;
    guard(sheet);
    Ok(())
}

fn head_sheet(
    sheet: &mut Worksheet,
    fields: &[(usize, &FormField)],
    formats: &Formats,
    lists: &[(String, Vec<String>)],
    head: &Cells,
) -> std::result::Result<(), XlsxError> {
    for (column, text, wide) in
        [(0_u16, "项目 Item", 28), (1, "代码 Code", 20), (2, "填写 Value", 40)]
    {
        sheet.write_string_with_format(0, column, text, &formats.header)?;
        sheet.set_column_width(column, wide)?;
    }
    for (row, (place, field)) in (1_u32..).zip(fields) {
        sheet.write_string_with_format(row, 0, heading(field), &formats.header)?;
        sheet.write_string_with_format(row, 1, field.id(), &formats.code)?;
        sheet.insert_note(row, 0, &Note::new(rules(field)))?;
        let format = formats.of(field);
        match head.get(*place).and_then(Option::as_deref) {
            Some(text) => cell(sheet, row, 2, field, format, text)?,
            None => {
                sheet.write_blank(row, 2, format)?;
            }
        }
        if let Some(valid) = validation(field, lists) {
            sheet.add_data_validation(row, 2, row, 2, &valid)?;
        }
    }
    guard(sheet);
    Ok(())
}

/// Headers are locked; cells are free, and rows may be added, sorted and taken away.
fn guard(sheet: &mut Worksheet) {
    sheet.protect_with_options(&ProtectionOptions {
        insert_rows: true,
        delete_rows: true,
        format_cells: true,
        format_columns: true,
        format_rows: true,
        sort: true,
        use_autofilter: true,
        ..ProtectionOptions::default()
    });
}

fn width(field: &FormField) -> f64 {
    let name = field.item.name_cn.chars().count() * 2;
    f64::from(u32::try_from(name.clamp(12, 40)).unwrap_or(12))
}

fn heading(field: &FormField) -> String {
    let unit = if field.item.unit.is_empty() {
        String::new()
    } else {
        format!("（{}）", field.item.unit)
    };
    let star = if field.required { " *" } else { "" };
    format!("{}{unit}{star}", field.item.name_cn)
}

/// What is asked of a field, in words.
pub(super) fn rules(field: &FormField) -> String {
    let mut said = vec![format!("{}（{}）", field.item.name_cn, field.item.data_type.zh())];
    if field.required {
        said.push("必填".into());
    }
    if field.item.length > 0 {
        said.push(format!("最多 {} 字", field.item.length));
    }
    if field.item.precision > 0 {
        said.push(format!("最多 {} 位，小数 {} 位", field.item.precision, field.item.scale));
    }
    if !field.item.format.is_empty() {
        said.push(format!("格式 {}", field.item.format));
    }
    if !field.least.is_empty() || !field.most.is_empty() {
        said.push(format!("范围 {} 至 {}", field.least, field.most));
    }
    if !field.pattern.is_empty() {
        said.push(format!("应符合 {}", field.pattern));
    }
    if !field.help.is_empty() {
        said.push(field.help.clone());
    }
    said.join("\n")
}

fn cut(text: &str) -> String {
    text.chars().take(MESSAGE).collect()
}

/// Excel's own check, where it can say what we ask: choices and bounds of numbers. What it lets through is checked again.
fn validation(field: &FormField, lists: &[(String, Vec<String>)]) -> Option<DataValidation> {
    let list = lists.iter().position(|(id, _)| id == field.id());
    let valid = match list {
        Some(n) => {
            let column = column_name(u16::try_from(n).ok()?);
            let last = lists.get(n).map_or(1, |(_, list)| list.len());
            let range = format!("={LISTS}!${column}$1:${column}${last}");
            DataValidation::new().allow_list_formula(Formula::new(range))
        }
        None => DataValidation::new(),
    };
    let valid = valid.set_input_message(cut(&rules(field))).ok()?;
    valid.set_error_message(cut(&rules(field))).ok()
}

/// `A`, `B`, … `AA`: how a column is called.
pub(super) fn column_name(column: u16) -> String {
    let mut n = u32::from(column);
    let mut name = Vec::new();
    loop {
        name.push(char::from(b'A' + u8::try_from(n % 26).unwrap_or(0)));
        if n < 26 {
            break;
        }
        n = n / 26 - 1;
    }
    name.iter().rev().collect()
}

/// A number where a spreadsheet holds it exactly, else text.
fn cell(
    sheet: &mut Worksheet,
    row: u32,
    column: u16,
    field: &FormField,
    format: &Format,
    text: &str,
) -> std::result::Result<(), XlsxError> {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let number = text.parse::<f64>().ok().filter(|n| n.is_finite());
    let exact = field.item.data_type == DataType::Float || digits <= DIGITS;
    match number {
        Some(number) if field.numeric() && !field.as_text() && exact => {
            sheet.write_number_with_format(row, column, number, format)?;
        }
        _ if field.codes.iter().any(|c| c.code == text && !c.name.is_empty()) => {
            let name = field.codes.iter().find(|c| c.code == text).map_or("", |c| &c.name);
            sheet.write_string_with_format(row, column, format!("{text} {name}"), format)?;
        }
        _ => {
            sheet.write_string_with_format(row, column, text, format)?;
        }
    }
    Ok(())
}

/// The tree of a plan's period as a workbook: who has reported, how many rows, totals, what is overdue.
pub async fn overview(
    app: &App,
    op: &Op,
    id: &str,
    period: Option<&str>,
) -> Result<(String, Vec<u8>)> {
    let (view, period, rows) = plan::roll_up(app, op, id, period).await?;
    let draft = match rows.first() {
        Some(row) => design::version(app, &row.task.form, row.task.form_version).await?.draft,
        None => FormDraft::default(),
    };
    let mut table = vec![overview_header(&draft)];
    table.extend(rows.iter().map(overview_row));
    let mut event = audit::event(op, "report.overview", id);
    event.rows = rows.len() as u64;
    audit::record(app, event).await?;
    let made = tokio::task::spawn_blocking(move || plain(&table));
    let bytes = made.await.map_err(|e| Error::internal("xlsx writer").caused_by(e))??;
    let name = format!("{} {period}", view.plan.title);
    Ok((format!("{}.xlsx", name.split_whitespace().collect::<Vec<_>>().join("-")), bytes))
}

fn overview_header(draft: &FormDraft) -> Vec<Value> {
    let words = [
        "单位",
        "行政区划",
        "层级",
        "状态",
        "期限",
        "逾期",
        "迟报",
        "行数",
        "下级已受理",
        "下级任务",
        "提交时间",
    ];
    let mut header: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
    header.extend(draft.totalled().map(|(_, field)| {
        let word = if field.total == TotalRule::Max { "最大" } else { "合计" };
        format!("{}（{word}）", field.item.name_cn)
    }));
    header.into_iter().map(Value::Text).collect()
}

fn overview_row(row: &plan::RollUp) -> Vec<Value> {
    let task = &row.task;
    let number = |n: u64| Value::Integer(i64::try_from(n).unwrap_or(i64::MAX));
    let yes = |is: bool| Value::Text(if is { "是" } else { "" }.to_owned());
    let mut cells = vec![
        Value::Text(format!("{}{}", "　".repeat(row.depth), task.org_name)),
        Value::Text(task.region.clone()),
        number(row.depth as u64 + 1),
        Value::Text(task.state.zh().to_owned()),
        Value::Text(task.due.to_string()),
        yes(row.overdue),
        yes(task.late),
        number(task.rows),
        number(row.below_accepted),
        number(row.below),
        Value::Text(task.submitted_at.clone()),
    ];
    cells.extend(row.totals.iter().map(|n| n.map_or(Value::Null, Value::Decimal)));
    cells
}

fn plain(table: &[Vec<Value>]) -> Result<Vec<u8>> {
    let mut book = Workbook::new();
    let bold = Format::new().set_bold();
    let sheet = book.add_worksheet();
    for (row, cells) in (0_u32..).zip(table) {
        for (column, value) in (0_u16..).zip(cells) {
            let Some(text) = value.to_text() else { continue };
            let digits = text.bytes().filter(u8::is_ascii_digit).count();
            let numeric =
                matches!(value, Value::Integer(_) | Value::Decimal(_)) && digits <= DIGITS;
            match text.parse::<f64>() {
                Ok(number) if numeric => sheet.write_number(row, column, number),
                _ if row == 0 => sheet.write_string_with_format(row, column, text, &bold),
                _ => sheet.write_string(row, column, text),
            }
            .map_err(failed)?;
        }
    }
    sheet.set_freeze_panes(1, 0).map_err(failed)?;
    book.save_to_buffer().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_called_as_a_spreadsheet_does() {
        for (n, name) in [(0, "A"), (25, "Z"), (26, "AA"), (701, "ZZ"), (702, "AAA")] {
            assert_eq!(column_name(n), name);
        }
    }
}
