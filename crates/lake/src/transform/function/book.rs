//! Lists that functions look things up in: those the house knows, and tables handed in.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::DataType as ArrowType;
use futures::StreamExt;
use model::code;
use model::{Code, Error, Result};

use super::super::input::{Input, Spool};
use super::super::words::{Refusal, bad_sql, broken};
use super::{Given, Told};

/// Table of a region's codes by year when none is named.
pub(super) const HISTORY: &str = "admin_division_history";
/// Rows that a list may have: it is held in memory.
const MOST: usize = 2_000_000;

/// Codes and names, both ways.
#[derive(Debug, Default)]
struct List {
    name_of: HashMap<String, String>,
    code_of: HashMap<String, String>,
}

impl List {
    fn of(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut list = Self::default();
        for (code, name) in pairs {
            list.add(code, name);
        }
        list
    }
    fn add(&mut self, code: String, name: String) {
        self.code_of.entry(name.clone()).or_insert_with(|| code.clone());
        self.name_of.entry(code).or_insert(name);
    }
}

/// Codes of regions through the years.
#[derive(Debug, Default)]
struct History {
    /// Code to the region it stands for: of those that ever bore it, the latest.
    unit: HashMap<u32, (i32, u32)>,
    /// The region's code in a year.
    code: HashMap<(u32, i32), u32>,
}

impl History {
    fn add(&mut self, year: i32, code: u32, unit: u32) {
        let latest = self.unit.entry(code).or_insert((year, unit));
        if year >= latest.0 {
            *latest = (year, unit);
        }
        self.code.insert((unit, year), code);
    }
}

/// Everything that can be looked up in one run.
#[derive(Debug)]
pub(in super::super) struct Books {
    inputs: HashMap<String, OnceLock<Book>>,
}

#[derive(Debug)]
struct Book {
    list: List,
    history: History,
}

static HOUSE: std::sync::LazyLock<HashMap<&'static str, List>> = std::sync::LazyLock::new(house);

macro_rules! lists {
    ($into:ident, $($name:literal => $list:ident),* $(,)?) => {
        $($into.insert($name, List::of(code::$list::ALL.iter().map(|v| (v.as_str().to_owned(), v.zh().to_owned()))));)*
    };
}

/// Lists that the house knows.
fn house() -> HashMap<&'static str, List> {
    let mut all = HashMap::new();
    lists!(all,
        "share_type" => ShareType, "open_type" => OpenType, "grade" => Grade,
        "update_cycle" => UpdateCycle, "resource_kind" => ResourceKind, "data_level" => DataLevel,
        "data_range" => DataRange, "provider_channel" => ProviderChannel,
        "processing_level" => ProcessingLevel, "shared_mode" => SharedMode,
        "table_type" => TableType, "app_scene" => AppScene, "data_kind" => DataKind,
        "open_level" => OpenLevel, "system_level" => SystemLevel, "domain" => Domain,
        "data_type" => DataType, "sync_mode" => SyncMode,
    );
    // GB/T 2261.1-2003.
    let sex = [("0", "未知的性别"), ("1", "男性"), ("2", "女性"), ("9", "未说明的性别")];
    let mut list = List::of(sex.map(|(c, n)| (c.to_owned(), n.to_owned())));
    for (code, short) in [("1", "男"), ("2", "女"), ("0", "未知"), ("9", "未说明")] {
        list.code_of.insert(short.to_owned(), code.to_owned());
    }
    all.insert("gender", list);
    // GB/T 2260, the province's regions.
    all.insert(
        "region",
        List::of(model::region::zhejiang().into_iter().map(|r| (r.code, r.name_cn))),
    );
    all
}

impl Books {
    pub(in super::super) fn new(inputs: Vec<String>) -> Self {
        Self { inputs: inputs.into_iter().map(|name| (name, OnceLock::new())).collect() }
    }

    /// Whether a name is an input's; an error when it is nothing.
    pub(in super::super) fn known(&self, name: &str) -> Result<bool> {
        if self.inputs.contains_key(name) {
            return Ok(true);
        }
        if HOUSE.contains_key(name) {
            return Ok(false);
        }
        let mut there: Vec<&str> =
            self.inputs.keys().map(String::as_str).chain(HOUSE.keys().copied()).collect();
        there.sort_unstable();
        Err(bad_sql(
            format!("没有代码表 `{name}`；可用：{}。其他代码表请作为输入表给出", there.join("、")),
            format!(
                "there is no code list `{name}`; known: {}. Give others as inputs",
                there.join(", ")
            ),
        ))
    }

    /// Reads a table that functions look things up in.
    pub(in super::super) async fn read(&self, input: &Input, spool: &Arc<Spool>) -> Result<()> {
        let Some(slot) = self.inputs.get(input.name()) else { return Ok(()) };
        let mut book = Book { list: List::default(), history: History::default() };
        let names: Vec<String> = input.columns().map(str::to_owned).collect();
        let at = |name: &str| names.iter().position(|n| n == name);
        let pair = pair_of(&names);
        let year = at("year");
        let levels: Vec<(usize, usize)> = ["county", "city", "province"]
            .iter()
            .filter_map(|l| Some((at(&format!("{l}_adcode"))?, at(&format!("{l}_id"))?)))
            .collect();
        let mut rows = spool.read(None);
        let mut read = 0;
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(broken)?;
            read += batch.num_rows();
            if read > MOST {
                return Err(Error::new(
                    Code::TooLarge,
                    format!("代码表 `{}` 超过 {MOST} 行，请改用 JOIN", input.name()),
                    format!(
                        "the list `{}` has more than {MOST} rows: join it instead",
                        input.name()
                    ),
                ));
            }
            if let Some((code, name)) = pair {
                let (codes, names) = (texts(&batch, code)?, texts(&batch, name)?);
                for row in 0..batch.num_rows() {
                    if let (Some(code), Some(name)) = (codes.get(row), names.get(row)) {
                        book.list.add(
                            code.clone().unwrap_or_default(),
                            name.clone().unwrap_or_default(),
                        );
                    }
                }
            }
            if let Some(year) = year {
                years(&batch, year, &levels, &mut book.history)?;
            }
        }
        // Read once a run.
        drop(slot.set(book));
        Ok(())
    }
}

/// Columns of code and name: by their names, else the first two.
fn pair_of(names: &[String]) -> Option<(usize, usize)> {
    let find = |words: &[&str]| names.iter().position(|n| words.contains(&n.as_str()));
    let code = find(&["code", "dm", "daima", "bianma"]);
    let name = find(&["name", "mc", "mingcheng", "name_cn"]);
    code.zip(name).or_else(|| (names.len() >= 2).then_some((0, 1)))
}

fn years(
    batch: &RecordBatch,
    year: usize,
    levels: &[(usize, usize)],
    into: &mut History,
) -> Result<()> {
    let years = texts(batch, year)?;
    for (code, unit) in levels {
        let (codes, units) = (texts(batch, *code)?, texts(batch, *unit)?);
        for ((year, code), unit) in years.iter().zip(&codes).zip(&units) {
            let number =
                |t: &Option<String>| t.as_deref().and_then(|t| t.trim().parse::<u32>().ok());
            if let (Some(year), Some(code), Some(unit)) = (number(year), number(code), number(unit))
            {
                into.add(i32::try_from(year).unwrap_or(0), code, unit);
            }
        }
    }
    Ok(())
}

fn texts(batch: &RecordBatch, column: usize) -> Result<Vec<Option<String>>> {
    let Some(array) = batch.columns().get(column) else { return Ok(Vec::new()) };
    let cast = arrow::compute::cast(array, &ArrowType::Utf8).map_err(crate::fault::arrow)?;
    Ok(cast.as_string::<i32>().iter().map(|t| t.map(str::to_owned)).collect())
}

/// Whether a table can be looked things up in.
pub(super) fn check(input: &Input, history: bool) -> Result<()> {
    let names: Vec<String> = input.columns().map(str::to_owned).collect();
    let has = |name: &str| names.iter().any(|n| n == name);
    if history {
        let level = ["county", "city", "province"]
            .iter()
            .any(|l| has(&format!("{l}_adcode")) && has(&format!("{l}_id")));
        if has("year") && level {
            return Ok(());
        }
        return Err(bad_sql(
            format!(
                "`{}` 应有 year 以及 county_adcode、county_id（或 city_、province_）各列，才能按年查区划代码",
                input.name()
            ),
            format!(
                "`{}` must have the columns year, county_adcode and county_id (or city_, province_) to tell codes by year",
                input.name()
            ),
        ));
    }
    if pair_of(&names).is_some() {
        return Ok(());
    }
    Err(bad_sql(
        format!("代码表 `{}` 至少要有代码和名称两列", input.name()),
        format!("the list `{}` needs two columns at least, code and name", input.name()),
    ))
}

pub(super) fn code_map(books: &Books, given: &[Given<'_>]) -> std::result::Result<Told, Refusal> {
    let text = |at: usize| given.get(at).map(|g| g.text());
    let (name, value) = (text(0).unwrap_or_default(), text(1).unwrap_or_default().trim());
    let list = match books.inputs.get(name) {
        Some(slot) => slot.get().map(|b| &b.list),
        None => HOUSE.get(name),
    };
    let Some(list) = list else {
        return Err(Refusal {
            zh: format!("没有代码表 `{name}`"),
            en: format!("there is no code list `{name}`"),
        });
    };
    let found = match text(2).unwrap_or("name") {
        "name" | "名称" => list.name_of.get(value),
        "code" | "代码" => list.code_of.get(value),
        other => {
            return Err(Refusal {
                zh: format!(
                    "code_map 的方向应为 name（代码转名称）或 code（名称转代码），现为 `{other}`"
                ),
                en: format!(
                    "the direction of code_map is name (code to name) or code (name to code), not `{other}`"
                ),
            });
        }
    };
    match (found, text(3)) {
        (Some(found), _) => Ok(Told::Text(found.clone())),
        (None, Some(otherwise)) => Ok(Told::Text(otherwise.to_owned())),
        (None, None) => Err(Refusal {
            zh: format!("不在代码表 {name} 内"),
            en: format!("is not in the code list {name}"),
        }),
    }
}

/// The code that the region of `code` had in a year; null when there was no such region then.
pub(super) fn region_as_of(
    books: &Books,
    given: &[Given<'_>],
) -> std::result::Result<Told, Refusal> {
    let (Some(Given::Text(code)), Some(Given::Integer(year))) = (given.first(), given.get(1))
    else {
        return Ok(Told::Null);
    };
    let table = given.get(2).map_or(HISTORY, |g| g.text());
    let Some(history) = books.inputs.get(table).and_then(|slot| slot.get()).map(|b| &b.history)
    else {
        return Err(Refusal {
            zh: format!("没有输入表 `{table}`"),
            en: format!("there is no input `{table}`"),
        });
    };
    let number: Option<u32> = code.trim().parse().ok().filter(|_| code.trim().len() == 6);
    let Some((_, unit)) = number.and_then(|n| history.unit.get(&n)) else {
        return Err(Refusal {
            zh: format!("区划代码 `{code}` 在历年区划中不存在"),
            en: format!("the region code `{code}` was never in use"),
        });
    };
    let year = i32::try_from(*year).unwrap_or(i32::MAX);
    Ok(history.code.get(&(*unit, year)).map_or(Told::Null, |c| Told::Text(format!("{c:06}"))))
}
