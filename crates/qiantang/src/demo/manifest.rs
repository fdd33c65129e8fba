//! Manifests for `--load DIR`: what the data files of a folder are, so that they can be catalogued and collected.
//!
//! A manifest is TOML: `[[dataset]]` with the catalogue fields, the file (relative to DIR), hints for reading and
//! the items. `DIR/manifest.toml` is used when there is one, else the project's `demo/real-data.toml`.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Component, Path, PathBuf};

use model::code::{
    DataType, Domain, Grade, OpenType, ResourceKind, ShareType, SyncMode, UpdateCycle,
};
use model::entry::EntryDraft;
use model::item::Item;
use model::{Code, Error, Result};
use policy::port::ReadOptions;
use serde::Deserialize;

pub(crate) use super::flatten::Flatten;

/// The manifest of the real data sets, part of the project.
const REAL_DATA: &str = include_str!("../../../../demo/real-data.toml");

/// A data set to be catalogued and collected.
#[derive(Clone, Debug)]
pub(crate) struct DataSet {
    pub(crate) draft: EntryDraft,
    /// The file, resolved against DIR; it exists.
    pub(crate) path: PathBuf,
    /// File name as people know it (relative path in DIR).
    pub(crate) name: String,
    pub(crate) options: ReadOptions,
    /// The file's own number of data records, when the manifest says it.
    pub(crate) expected_rows: Option<u64>,
    flatten: Option<Flatten>,
}

impl DataSet {
    /// The file to collect: the data set's own, or, for nested JSON, a table of the same content written into
    /// `scratch` (same bytes every time, so that collecting it twice changes nothing).
    pub(crate) fn source(&self, scratch: &Path) -> Result<PathBuf> {
        let Some(how) = &self.flatten else { return Ok(self.path.clone()) };
        let unreadable = |e: &dyn std::fmt::Display| {
            Error::new(
                Code::InvalidFile,
                format!("文件 `{}` 不能转换为表：{e}", self.name),
                format!("the file `{}` cannot be turned into a table: {e}", self.name),
            )
        };
        let text = fs::read(&self.path).map_err(|e| unreadable(&e))?;
        let root = serde_json::from_slice(&text).map_err(|e| unreadable(&e))?;
        fs::create_dir_all(scratch).map_err(|e| unreadable(&e))?;
        let target = scratch.join(format!("{}.csv", self.draft.code));
        let mut out = BufWriter::new(File::create(&target).map_err(|e| unreadable(&e))?);
        super::flatten::write(how, &root, &mut out).map_err(|e| unreadable(&e))?;
        out.flush().map_err(|e| unreadable(&e))?;
        Ok(target)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    version: u32,
    dataset: Vec<Described>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Described {
    code: String,
    title: String,
    #[serde(default)]
    title_en: String,
    description: String,
    org: String,
    region: String,
    domain: String,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default = "table")]
    kind: String,
    cycle: String,
    #[serde(default = "full")]
    mode: String,
    #[serde(default = "unconditional")]
    share: String,
    #[serde(default)]
    share_condition: String,
    #[serde(default)]
    share_basis: String,
    #[serde(default = "unconditional")]
    open: String,
    #[serde(default)]
    open_condition: String,
    #[serde(default)]
    open_basis: String,
    #[serde(default)]
    time_range: String,
    #[serde(default)]
    source_system: String,
    licence: String,
    attribution: String,
    file: String,
    #[serde(default)]
    rows: Option<u64>,
    #[serde(default)]
    format: Option<String>,
    #[serde(default)]
    encoding: Option<String>,
    #[serde(default)]
    delimiter: Option<char>,
    #[serde(default)]
    sheet: Option<String>,
    #[serde(default)]
    header_rows: Option<u64>,
    #[serde(default)]
    operation_column: Option<String>,
    #[serde(default)]
    flatten: Option<Flatten>,
    items: Vec<DescribedItem>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DescribedItem {
    id: String,
    name: String,
    #[serde(default)]
    en: String,
    #[serde(rename = "type", default = "text")]
    data_type: String,
    #[serde(default)]
    definition: String,
    #[serde(default)]
    format: String,
    #[serde(default)]
    domain: String,
    #[serde(default)]
    unit: String,
    #[serde(default)]
    length: u32,
    #[serde(default)]
    precision: u8,
    #[serde(default)]
    scale: u8,
    #[serde(default = "l1")]
    grade: String,
    #[serde(default)]
    share: Option<String>,
    #[serde(default)]
    open: Option<String>,
    #[serde(default)]
    primary: bool,
    #[serde(default)]
    lookup: bool,
    #[serde(default)]
    required: bool,
}

fn table() -> String {
    ResourceKind::Table.as_str().into()
}
fn full() -> String {
    SyncMode::Full.as_str().into()
}
fn unconditional() -> String {
    ShareType::Unconditional.as_str().into()
}
fn text() -> String {
    DataType::Text.as_str().into()
}
fn l1() -> String {
    Grade::L1.as_str().into()
}

/// The data sets of a folder: by the manifest given, else by `DIR/manifest.toml`, else by the project's manifest of
/// the real data.
pub(crate) fn read(manifest: Option<&Path>, dir: &Path) -> Result<Vec<DataSet>> {
    let own = dir.join("manifest.toml");
    let Some(file) = manifest.or_else(|| own.is_file().then_some(own.as_path())) else {
        return parse(REAL_DATA, "demo/real-data.toml", dir);
    };
    let text = fs::read_to_string(file).map_err(|e| {
        Error::new(
            Code::InvalidFile,
            format!("清单 `{}` 无法读取：{e}", file.display()),
            format!("the manifest `{}` cannot be read: {e}", file.display()),
        )
    })?;
    parse(&text, &file.display().to_string(), dir)
}

/// Reads a manifest, resolving its files against `dir`. `name` stands in messages. Every fault says which line or
/// which data set and key it concerns; nothing is returned unless all is right.
pub(crate) fn parse(manifest: &str, name: &str, dir: &Path) -> Result<Vec<DataSet>> {
    let parsed: Manifest = toml::from_str(manifest).map_err(|e| {
        // The text of the parser names line, column and key.
        let line =
            e.span().map(|s| manifest.get(..s.start).unwrap_or_default().matches('\n').count() + 1);
        let at = line.map_or_else(String::new, |l| format!(":{l}"));
        Error::invalid(
            format!("清单 {name}{at} 有误：{}", e.message()),
            format!("the manifest {name}{at} is wrong: {}", e.message()),
        )
        .detail(e.to_string())
    })?;
    if parsed.version != 1 {
        return Err(Error::invalid(
            format!("清单 {name} 的 version 应为 1，现为 {}", parsed.version),
            format!("the version of the manifest {name} must be 1, it is {}", parsed.version),
        ));
    }
    let mut fields = Vec::new();
    let mut out: Vec<DataSet> = Vec::new();
    for described in parsed.dataset {
        let code = described.code.clone();
        if out.iter().any(|d| d.draft.code == code) {
            fields.push(fault(&code, "code", "目录编码重复", "the code stands twice"));
        }
        match described.resolve(dir) {
            Ok(data_set) => out.push(data_set),
            Err(e) => fields.push(*e),
        }
    }
    if fields.is_empty() {
        return Ok(out);
    }
    let list: Vec<String> = fields.iter().map(|f| format!("{}: {}", f.field, f.en)).collect();
    let list_zh: Vec<String> = fields.iter().map(|f| format!("{}：{}", f.field, f.zh)).collect();
    Err(Error::invalid(
        format!("清单 {name} 有 {} 处错误：{}", list_zh.len(), list_zh.join("；")),
        format!("the manifest {name} has {} faults: {}", list.len(), list.join("; ")),
    )
    .with_fields(fields))
}

fn fault(code: &str, key: &str, zh: impl Into<String>, en: impl Into<String>) -> model::FieldError {
    model::FieldError { field: format!("{code}.{key}"), zh: zh.into(), en: en.into() }
}

type Fault = Box<model::FieldError>;

/// A word of a code list, or a fault that names all words.
fn word<T>(
    code: &str,
    key: &str,
    text: &str,
    parse: fn(&str) -> Option<T>,
    known: &[&str],
) -> std::result::Result<T, Fault> {
    parse(text).ok_or_else(|| {
        let list = known.join(", ");
        Box::new(fault(
            code,
            key,
            format!("`{text}` 不在代码表中，可用：{list}"),
            format!("`{text}` is not known; use one of {list}"),
        ))
    })
}

macro_rules! parse {
    ($list:ident, $code:expr, $key:expr, $text:expr) => {
        word(
            $code,
            $key,
            $text,
            $list::parse,
            &$list::ALL.iter().map(|v| v.as_str()).collect::<Vec<_>>(),
        )
    };
}

impl Described {
    fn resolve(self, dir: &Path) -> std::result::Result<DataSet, Fault> {
        let code = self.code.clone();
        let code = code.as_str();
        let share_type = parse!(ShareType, code, "share", &self.share)?;
        let open_type = parse!(OpenType, code, "open", &self.open)?;
        let mut items = Vec::with_capacity(self.items.len());
        for item in &self.items {
            items.push(item.resolve(code, share_type, open_type, &self.attribution)?);
        }
        let options = ReadOptions {
            format: self.format.clone(),
            encoding: self.encoding.clone(),
            delimiter: self.delimiter,
            sheet: self.sheet.clone(),
            header_rows: self.header_rows,
            batch_rows: 0,
            operation_column: self.operation_column.clone(),
        };
        let draft = EntryDraft {
            domain: parse!(Domain, code, "domain", &self.domain)?,
            kind: parse!(ResourceKind, code, "kind", &self.kind)?,
            update_cycle: parse!(UpdateCycle, code, "cycle", &self.cycle)?,
            sync_mode: parse!(SyncMode, code, "mode", &self.mode)?,
            share_type,
            open_type,
            items,
            code: self.code,
            title: self.title,
            title_en: self.title_en,
            description: self.description,
            org: self.org,
            region: self.region,
            tags: self.tags,
            share_condition: self.share_condition,
            share_basis: self.share_basis,
            open_condition: self.open_condition,
            open_basis: self.open_basis,
            raised_grade: None,
            time_range: self.time_range,
            source_system: self.source_system,
            licence: self.licence,
            attribution: self.attribution,
            profile: model::entry::Profile::default(),
        };
        let path = inside(dir, code, &self.file)?;
        let expected_rows = self.rows;
        Ok(DataSet { draft, path, name: self.file, options, expected_rows, flatten: self.flatten })
    }
}

/// The file, which must lie inside the folder and exist.
fn inside(dir: &Path, code: &str, file: &str) -> std::result::Result<PathBuf, Fault> {
    let relative = Path::new(file);
    if relative.components().any(|c| !matches!(c, Component::Normal(_))) {
        return Err(Box::new(fault(
            code,
            "file",
            format!("`{file}` 应为目录内的相对路径"),
            format!("`{file}` must be a relative path inside the folder"),
        )));
    }
    let path = dir.join(relative);
    if !path.is_file() {
        return Err(Box::new(fault(
            code,
            "file",
            format!("文件 `{}` 不存在", path.display()),
            format!("the file `{}` does not exist", path.display()),
        )));
    }
    Ok(path)
}

impl DescribedItem {
    fn resolve(
        &self,
        code: &str,
        share: ShareType,
        open: OpenType,
        source: &str,
    ) -> std::result::Result<Item, Fault> {
        let at = |key: &str| format!("items.{}.{key}", self.id);
        if !Item::identifier_ok(&self.id) {
            return Err(Box::new(fault(
                code,
                &at("id"),
                "标识符只含小写字母、数字和下划线，以字母或下划线开头",
                "an identifier has lower-case letters, digits and underscores and does not start with a digit",
            )));
        }
        let mut item =
            Item::new(&self.id, &self.name, parse!(DataType, code, &at("type"), &self.data_type)?);
        item.grade = parse!(Grade, code, &at("grade"), &self.grade)?;
        item.share_type = match &self.share {
            Some(word) => parse!(ShareType, code, &at("share"), word)?,
            None => share,
        };
        item.open_type = match &self.open {
            Some(word) => parse!(OpenType, code, &at("open"), word)?,
            None => open,
        };
        item.name_en.clone_from(&self.en);
        item.definition.clone_from(&self.definition);
        item.format.clone_from(&self.format);
        item.value_domain.clone_from(&self.domain);
        item.unit.clone_from(&self.unit);
        item.source_org = source.to_owned();
        item.version = "1.0".into();
        (item.length, item.precision, item.scale) = (self.length, self.precision, self.scale);
        (item.primary, item.lookup) = (self.primary, self.lookup);
        item.nullable = !(self.required || self.primary);
        Ok(item)
    }
}
