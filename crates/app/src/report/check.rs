//! Every cell against its field. Types, lengths, formats and check digits are asked of the intake, item by item: what
//! passes here is what the landing takes. Then choices, bounds and patterns, and the rules between fields.

use std::collections::{HashMap, HashSet};

use futures::StreamExt;
use model::code::DataType;
use model::report::{Auto, Cells, Fault, FormDraft, FormField, Task};
use model::{Error, Result};
use policy::port::{CellRow, ReadOptions, Source};
use regex::Regex;
use rust_decimal::Decimal;

use super::rule::Rules;
use crate::App;

/// What was found: rows with their values as they will land, and what is wrong.
#[derive(Clone, Debug, Default)]
pub(super) struct Checked {
    pub(super) rows: Vec<(u64, Cells)>,
    pub(super) faults: Vec<Fault>,
}

/// What the platform fills in for a task.
pub(super) fn auto_of(task: &Task) -> impl Fn(Auto) -> String + '_ {
    |auto| match auto {
        Auto::Typed => String::new(),
        Auto::OrgName => task.org_name.clone(),
        Auto::OrgCode => task.org_code.clone(),
        Auto::Region => task.region.clone(),
        Auto::Period => task.period.clone(),
    }
}

/// Checks rows by themselves: cells, and the rules within a record. Row 0 must be among them.
pub(super) async fn rows(
    app: &App,
    draft: &FormDraft,
    task: &Task,
    rows: Vec<(u64, Cells)>,
) -> Result<Checked> {
    let mut checked = Checked { rows, faults: Vec::new() };
    for (n, field) in draft.fields.iter().enumerate().filter(|(_, f)| f.typed()) {
        column(app, draft, n, field, &mut checked).await?;
    }
    let rules = Rules::compile(draft, app.rules.report.expression_steps)?;
    if !rules.is_empty() {
        let auto = auto_of(task);
        let head = head(draft, &checked.rows);
        let records = checked.rows.iter().filter(|(n, _)| *n > 0 || !draft.has_rows());
        let wrong: HashSet<(u64, &str)> =
            checked.faults.iter().map(|f| (f.row, f.field.as_str())).collect();
        let bad = |row: u64, field: &FormField| wrong.contains(&(row, field.id()));
        let mut faults = Vec::new();
        let mut first = true;
        for (n, cells) in records {
            let record = draft.record(&auto, &head, cells);
            faults.extend(rules.ask(draft, *n, &record, first, &bad));
            first = false;
        }
        if first {
            let record = draft.record(&auto, &head, &draft.blank());
            let once = rules.ask(draft, 0, &record, true, &bad);
            faults.extend(once.into_iter().filter(|f| f.row == 0));
        }
        checked.faults.extend(faults);
    }
    checked.faults.sort_by_key(|fault| fault.row);
    Ok(checked)
}

/// Checks a whole fill: rows by themselves, their number, keys that come twice, sums.
pub(super) async fn whole(
    app: &App,
    draft: &FormDraft,
    task: &Task,
    key: &[String],
    all: Vec<(u64, Cells)>,
) -> Result<Checked> {
    let mut checked = rows(app, draft, task, all).await?;
    let count = checked.rows.iter().filter(|(n, _)| *n > 0).count();
    if draft.has_rows() {
        let group = &draft.group;
        let most = if group.most == 0 {
            app.rules.report.rows_most
        } else {
            usize::try_from(group.most).unwrap_or(usize::MAX).min(app.rules.report.rows_most)
        };
        let least = usize::try_from(group.least).unwrap_or(0);
        if count < least || count > most {
            checked.faults.insert(
                0,
                of_form(
                    format!("「{}」应有 {least} 至 {most} 行，现有 {count} 行", group.title),
                    format!("`{}` needs {least} to {most} rows and has {count}", group.title_en),
                ),
            );
        }
    }
    twice(draft, task, key, &mut checked);
    let rules = Rules::compile(draft, app.rules.report.expression_steps)?;
    if !rules.is_empty() {
        let head = head(draft, &checked.rows);
        let record = draft.record(&auto_of(task), &head, &draft.blank());
        let sums = sums(draft, &checked.rows);
        let rows = u64::try_from(count).unwrap_or(u64::MAX);
        checked.faults.extend(rules.ask_whole(draft, &record, rows, &sums));
    }
    Ok(checked)
}

fn of_form(zh: String, en: String) -> Fault {
    Fault { row: 0, field: String::new(), at: String::new(), zh, en }
}

/// What is filled once.
pub(super) fn head(draft: &FormDraft, rows: &[(u64, Cells)]) -> Cells {
    rows.iter().find(|(n, _)| *n == 0).map_or_else(|| draft.blank(), |(_, cells)| cells.clone())
}

/// The records that rows make for the entry, with the row each comes from.
pub(super) fn records<'a>(
    draft: &'a FormDraft,
    task: &'a Task,
    rows: &'a [(u64, Cells)],
) -> impl Iterator<Item = (u64, Cells)> + 'a {
    let head = head(draft, rows);
    rows.iter()
        .filter(|(n, _)| *n > 0 || !draft.has_rows())
        .map(move |(n, cells)| (*n, draft.record(&auto_of(task), &head, cells)))
}

/// The business key of a record.
pub(super) fn key_of(draft: &FormDraft, key: &[String], record: &Cells) -> String {
    let cell =
        |id: &String| draft.place(id).and_then(|n| record.get(n)?.clone()).unwrap_or_default();
    key.iter().map(cell).collect::<Vec<_>>().join("\u{1f}")
}

fn twice(draft: &FormDraft, task: &Task, key: &[String], checked: &mut Checked) {
    let mut seen: HashMap<String, u64> = HashMap::new();
    let mut faults = Vec::new();
    for (n, record) in records(draft, task, &checked.rows) {
        if let Some(before) = seen.insert(key_of(draft, key, &record), n) {
            let typed = |id: &&String| {
                draft.place(id).and_then(|n| draft.fields.get(n)).is_some_and(FormField::typed)
            };
            faults.push(Fault {
                row: n,
                field: key.iter().find(typed).cloned().unwrap_or_default(),
                at: String::new(),
                zh: format!("主键与第 {before} 行重复"),
                en: format!("has the key of row {before}"),
            });
        }
    }
    checked.faults.extend(faults);
}

fn sums(draft: &FormDraft, rows: &[(u64, Cells)]) -> Vec<Option<Decimal>> {
    let sum = |n: usize| {
        let cells = rows.iter().filter_map(|(_, cells)| number(cells.get(n)?.as_deref()?));
        cells.fold(None, |sum: Option<Decimal>, cell| {
            Some(sum.unwrap_or_default().saturating_add(cell))
        })
    };
    draft.fields.iter().enumerate().map(|(n, f)| if f.numeric() { sum(n) } else { None }).collect()
}

fn number(text: &str) -> Option<Decimal> {
    text.parse().or_else(|_| Decimal::from_scientific(text)).ok()
}

/// One field in all the rows it belongs to.
async fn column(
    app: &App,
    draft: &FormDraft,
    n: usize,
    field: &FormField,
    checked: &mut Checked,
) -> Result<()> {
    let mut given = Vec::new();
    for (at, (row, cells)) in checked.rows.iter_mut().enumerate() {
        if !draft.belongs(field, *row) {
            continue;
        }
        let Some(cell) = cells.get_mut(n) else { continue };
        match chosen(field, cell.take()) {
            Some(text) => given.push((at, *row, text)),
            None if field.required => {
                checked.faults.push(fault(field, *row, "必填", "is required"))
            }
            None => {}
        }
    }
    let most = app.rules.report.cell_most;
    let mut values = typed(app, field, &given).await?;
    let limits = Limits::of(field)?;
    for (at, row, text) in given {
        let mut said = match values.remove(&row) {
            Some(Ok(value)) => {
                let wrong = limits.wrong(field, &value);
                put(checked, at, n, &value);
                wrong
            }
            Some(Err(said)) => {
                put(checked, at, n, &text);
                Some(said)
            }
            None => return Err(Error::internal("report: the intake left a cell out")),
        };
        if text.chars().count() > most {
            said = Some((format!("最多 {most} 个字符"), format!("has {most} characters at most")));
        }
        if let Some((zh, en)) = said {
            checked.faults.push(fault(field, row, zh, en));
        }
    }
    Ok(())
}

fn put(checked: &mut Checked, at: usize, n: usize, value: &str) {
    if let Some(cell) = checked.rows.get_mut(at).and_then(|(_, cells)| cells.get_mut(n)) {
        *cell = Some(value.to_owned());
    }
}

fn fault(field: &FormField, row: u64, zh: impl Into<String>, en: impl Into<String>) -> Fault {
    let (field, at) = (field.id().to_owned(), String::new());
    Fault { row, field, at, zh: zh.into(), en: en.into() }
}

/// The code of a choice that was given by its name or as `code name`; other texts as they are. `None` for nothing.
fn chosen(field: &FormField, cell: Option<String>) -> Option<String> {
    let text = cell.filter(|text| !text.trim().is_empty())?;
    let plain = text.trim();
    let code = field.codes.iter().find(|c| c.code == plain).or_else(|| {
        field.codes.iter().filter(|c| !c.name.is_empty()).find(|c| {
            c.name == plain || plain.strip_prefix(&c.code).is_some_and(|rest| rest.trim() == c.name)
        })
    });
    Some(code.map_or(text.clone(), |c| c.code.clone()))
}

type Said = (String, String);

/// Cells of one field as the intake reads them, by row.
async fn typed(
    app: &App,
    field: &FormField,
    given: &[(usize, u64, String)],
) -> Result<HashMap<u64, std::result::Result<String, Said>>> {
    let mut item = field.item.clone();
    item.nullable = true;
    let rows = given
        .iter()
        .map(|(_, row, text)| CellRow {
            record: *row,
            cells: vec![Some(text.clone())],
            operation: None,
        })
        .collect();
    let source = Source::Cells { name: field.id().to_owned(), rows };
    let mut reading = app.intake.read(&source, &[item], &ReadOptions::default()).await?;
    let mut values = HashMap::with_capacity(given.len());
    while let Some(chunk) = reading.chunks.next().await {
        let chunk = chunk?;
        for (at, record) in chunk.batch.records.iter().enumerate() {
            let value = chunk.batch.columns.first().and_then(|c| c.value(at).to_text());
            let said = value.ok_or_else(|| ("不能识别".to_owned(), "is not understood".to_owned()));
            values.insert(*record, said);
        }
        for reject in chunk.rejects {
            values.insert(reject.record, Err((reject.zh, reject.en)));
        }
    }
    Ok(values)
}

/// What a designer has set for a field beyond its item.
struct Limits {
    pattern: Option<Regex>,
    least: Option<Decimal>,
    most: Option<Decimal>,
}

/// The pattern of a field, matched against the whole text.
pub(super) fn pattern(field: &FormField) -> Result<Option<Regex>> {
    if field.pattern.is_empty() {
        return Ok(None);
    }
    let whole = format!("^(?:{})$", field.pattern);
    regex::RegexBuilder::new(&whole).size_limit(1 << 20).build().map(Some).map_err(|e| {
        Error::invalid(
            format!("「{}」的格式表达式有误", field.item.name_cn),
            format!("the pattern of `{}` is wrong", field.id()),
        )
        .field(field.id(), e.to_string(), e.to_string())
    })
}

impl Limits {
    fn of(field: &FormField) -> Result<Self> {
        let bound = |text: &str| if field.numeric() { number(text) } else { None };
        Ok(Self { pattern: pattern(field)?, least: bound(&field.least), most: bound(&field.most) })
    }

    fn wrong(&self, field: &FormField, value: &str) -> Option<Said> {
        if !field.codes.is_empty() && !field.codes.iter().any(|c| c.code == value) {
            let some: Vec<&str> = field.codes.iter().take(10).map(|c| c.code.as_str()).collect();
            let more = if field.codes.len() > 10 { "、…" } else { "" };
            return Some((
                format!("`{value}` 不在可选值中（{}{more}）", some.join("、")),
                format!("`{value}` is none of the choices ({}{more})", some.join(", ")),
            ));
        }
        if self.pattern.as_ref().is_some_and(|pattern| !pattern.is_match(value)) {
            return Some((
                format!("`{value}` 不符合格式 {}", field.pattern),
                format!("`{value}` does not match the pattern {}", field.pattern),
            ));
        }
        let (low, high) = if field.numeric() {
            let number = number(value)?;
            (self.least.is_some_and(|b| number < b), self.most.is_some_and(|b| number > b))
        } else if matches!(field.item.data_type, DataType::Date | DataType::DateTime) {
            let over = |bound: &str| value.get(..bound.len()).unwrap_or(value) > bound;
            let low = !field.least.is_empty() && value < field.least.as_str();
            (low, !field.most.is_empty() && over(&field.most))
        } else {
            (false, false)
        };
        if low {
            return Some((
                format!("`{value}` 小于下限 {}", field.least),
                format!("`{value}` is below {}", field.least),
            ));
        }
        high.then(|| {
            (
                format!("`{value}` 大于上限 {}", field.most),
                format!("`{value}` is above {}", field.most),
            )
        })
    }
}
