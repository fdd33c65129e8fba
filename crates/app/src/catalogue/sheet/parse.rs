//! From rows of cells to drafts. Every fault is told with its row and column; one fault refuses the whole file.

use std::collections::{BTreeMap, HashMap};

use model::FieldError;
use model::code::{
    DataType, Domain, Grade, OpenType, ResourceKind, ShareType, SyncMode, UpdateCycle,
};
use model::entry::EntryDraft;
use model::item::Item;

use super::columns::{Column, ENTRY, ITEM, ORG_NAME};
use super::table::Table;

/// Drafts read from a file, with the row of each item (to place later faults).
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub(super) drafts: Vec<ParsedEntry>,
    pub(super) faults: Vec<FieldError>,
}

#[derive(Debug)]
pub(super) struct ParsedEntry {
    pub(super) draft: EntryDraft,
    /// Row numbers of the items, in order; the first is the entry's.
    pub(super) rows: Vec<u64>,
}

impl ParsedEntry {
    /// Says a fault of the draft by row and header.
    pub(super) fn place(&self, fault: FieldError) -> FieldError {
        let (index, field) = fault
            .field
            .strip_prefix("items[")
            .and_then(|rest| rest.split_once("]."))
            .map_or((0, fault.field.as_str()), |(i, f)| (i.parse().unwrap_or(0), f));
        let row = self.rows.get(index).copied().unwrap_or(0);
        let of_item = fault.field.starts_with("items[");
        let item_key = format!("item_{field}");
        let header = if of_item {
            ITEM.iter().find(|c| c.key == field || c.key == item_key).map(|c| c.zh)
        } else {
            ENTRY.iter().find(|c| c.key == field).map(|c| c.zh)
        };
        FieldError { field: at(row, header.unwrap_or("数据项")), ..fault }
    }
}

fn at(row: u64, header: &str) -> String {
    format!("rows[{row}].{header}")
}

/// Which cell holds which column.
struct Places {
    entry: Vec<Option<usize>>,
    item: Vec<Option<usize>>,
}

/// Reads drafts. `existing` are the declarations now in the ledger by code: columns that the file lacks keep their
/// present value; `alias` maps others' wording by column.
pub(super) fn parse(
    table: &Table,
    existing: &HashMap<String, EntryDraft>,
    alias: &BTreeMap<String, BTreeMap<String, String>>,
) -> Parsed {
    let mut parsed = Parsed::default();
    let mut rows = table.iter();
    let Some((_, header)) = rows.next() else {
        parsed.faults.push(FieldError {
            field: "file".into(),
            zh: "文件是空的".into(),
            en: "the file is empty".into(),
        });
        return parsed;
    };
    let Some(places) = places(header, &mut parsed.faults) else { return parsed };
    let mut reader = Reader {
        parsed,
        places,
        existing,
        alias,
        by_code: HashMap::new(),
        heads: Vec::new(),
        item_lookup: HashMap::new(),
        code: String::new(),
    };
    for (row, cells) in rows {
        reader.row(*row, cells);
    }
    reader.parsed
}

fn places(header: &[String], faults: &mut Vec<FieldError>) -> Option<Places> {
    let find = |key: &str, zh: &str| {
        header.iter().position(|h| {
            let h = h.trim_start_matches('\u{feff}').trim();
            h == zh || h.eq_ignore_ascii_case(key)
        })
    };
    let places = Places {
        entry: ENTRY.iter().map(|c| find(c.key, c.zh)).collect(),
        item: ITEM.iter().map(|c| find(c.key, c.zh)).collect(),
    };
    let before = faults.len();
    for (i, h) in header.iter().enumerate() {
        let known = places.entry.contains(&Some(i)) || places.item.contains(&Some(i));
        if !known && !h.is_empty() && h != ORG_NAME {
            let twice = header.iter().take(i).any(|o| o == h);
            let (zh, en) = if twice {
                ("列标题重复", "this header stands twice")
            } else {
                (
                    "不认识的列标题，请使用导出文件中的标题",
                    "unknown header, use those of an exported file",
                )
            };
            faults.push(FieldError {
                field: format!("headings.{h}"),
                zh: zh.into(),
                en: en.into(),
            });
        }
    }
    let mut needed = |zh: &str, place: Option<usize>| {
        if place.is_none() {
            faults.push(FieldError {
                field: format!("headings.{zh}"),
                zh: format!("缺少列“{zh}”"),
                en: format!("the column `{zh}` is missing"),
            });
        }
    };
    // The code and the identifier say what a row is about; other needed columns are asked for by new entries only.
    needed("目录编码", places.entry.first().copied().flatten());
    needed("标识符", places.item.first().copied().flatten());
    (faults.len() == before).then_some(places)
}

struct Reader<'a> {
    parsed: Parsed,
    places: Places,
    existing: &'a HashMap<String, EntryDraft>,
    alias: &'a BTreeMap<String, BTreeMap<String, String>>,
    by_code: HashMap<String, usize>,
    /// Each entry as its first row says, without items.
    heads: Vec<EntryDraft>,
    /// Position of an item in its present declaration, by entry code and identifier.
    item_lookup: HashMap<String, HashMap<String, usize>>,
    code: String,
}

impl Reader<'_> {
    fn row(&mut self, row: u64, cells: &[String]) {
        let code = self.places.entry.first().copied().flatten().and_then(|i| cells.get(i));
        match code.map(String::as_str) {
            // Merged cells leave the rows below empty: they belong to the entry above.
            None | Some("") if !self.code.is_empty() => {}
            None | Some("") => {
                self.fault(row, "目录编码", "不能为空", "must not be empty");
                return;
            }
            Some(code) => code.clone_into(&mut self.code),
        }
        let position = match self.by_code.get(&self.code) {
            Some(&position) => {
                self.same_entry(row, cells, position);
                position
            }
            None => self.new_entry(row, cells),
        };
        let item = self.item(row, cells, position);
        if let Some(e) = self.parsed.drafts.get_mut(position) {
            e.draft.items.push(item);
            e.rows.push(row);
        }
    }

    fn fault(&mut self, row: u64, header: &str, zh: impl Into<String>, en: impl Into<String>) {
        self.parsed.faults.push(FieldError {
            field: at(row, header),
            zh: zh.into(),
            en: en.into(),
        });
    }

    fn new_entry(&mut self, row: u64, cells: &[String]) -> usize {
        let now = self.existing.get(&self.code);
        let is_new = now.is_none();
        let mut draft = now
            .map_or_else(|| blank(&self.code), |d| EntryDraft { items: Vec::new(), ..d.clone() });
        if let Some(d) = now {
            let places =
                d.items.iter().enumerate().map(|(i, item)| (item.identifier.clone(), i)).collect();
            self.item_lookup.insert(self.code.clone(), places);
        }
        let places = self.places.entry.clone();
        self.fill(row, cells, ENTRY, &places, is_new, &mut draft);
        // A merged cell's code stands in `self.code` only.
        draft.code.clone_from(&self.code);
        let position = self.parsed.drafts.len();
        self.by_code.insert(self.code.clone(), position);
        self.heads.push(draft.clone());
        self.parsed.drafts.push(ParsedEntry { draft, rows: Vec::new() });
        position
    }

    /// Entry columns of a further row must be empty or the same.
    fn same_entry(&mut self, row: u64, cells: &[String], position: usize) {
        let Some(first) = self.heads.get(position).cloned() else { return };
        for (column, place) in ENTRY.iter().zip(self.places.entry.clone()) {
            let Some(cell) = place.and_then(|i| cells.get(i)).filter(|c| !c.is_empty()) else {
                continue;
            };
            let cell = self.ours(column.key, cell);
            if (column.get)(&first) == cell {
                continue;
            }
            let mut as_read = first.clone();
            if (column.set)(&mut as_read, &cell).is_err() || as_read != first {
                self.fault(
                    row,
                    column.zh,
                    format!("与目录 `{}` 第一行不一致：`{cell}`", self.code),
                    format!("differs from the first row of the entry `{}`: `{cell}`", self.code),
                );
            }
        }
    }

    fn item(&mut self, row: u64, cells: &[String], position: usize) -> Item {
        let places = self.places.item.clone();
        let identifier = places
            .first()
            .copied()
            .flatten()
            .and_then(|i| cells.get(i))
            .cloned()
            .unwrap_or_default();
        let now = self
            .item_lookup
            .get(&self.code)
            .and_then(|all| all.get(&identifier))
            .and_then(|i| self.existing.get(&self.code)?.items.get(*i))
            .cloned();
        let is_new = now.is_none();
        let mut item = now.unwrap_or_else(|| {
            let mut item = Item::new(&identifier, "", DataType::Text);
            // What the row does not say is as the entry says.
            if let Some(e) = self.parsed.drafts.get(position) {
                item.share_type = e.draft.share_type;
                item.open_type = e.draft.open_type;
            }
            item
        });
        self.fill(row, cells, ITEM, &places, is_new, &mut item);
        item
    }

    fn fill<T>(
        &mut self,
        row: u64,
        cells: &[String],
        columns: &[Column<T>],
        places: &[Option<usize>],
        is_new: bool,
        into: &mut T,
    ) {
        for (column, place) in columns.iter().zip(places) {
            let cell = place.map(|i| cells.get(i).map_or("", String::as_str));
            match cell {
                None | Some("")
                    if column.needed && column.key == "code" && (is_new || cell.is_some()) => {}
                None | Some("") if column.needed && (is_new || cell.is_some()) => {
                    self.fault(row, column.zh, "不能为空", "must not be empty");
                }
                None => {}
                // An empty cell of a code list takes the default.
                Some("") => {
                    let _default_kept = (column.set)(into, "");
                }
                Some(text) => {
                    let text = self.ours(column.key, text);
                    if let Err((zh, en)) = (column.set)(into, &text) {
                        self.fault(row, column.zh, zh, en);
                    }
                }
            }
        }
    }

    /// Others' wording of a column's value in ours.
    fn ours(&self, key: &str, value: &str) -> String {
        self.alias
            .get(key.strip_prefix("item_").unwrap_or(key))
            .and_then(|words| words.get(value))
            .map_or(value, String::as_str)
            .to_owned()
    }
}

/// An entry of which nothing is said yet.
fn blank(code: &str) -> EntryDraft {
    EntryDraft {
        code: code.to_owned(),
        title: String::new(),
        title_en: String::new(),
        description: String::new(),
        org: String::new(),
        region: String::new(),
        domain: Domain::Other,
        tags: Vec::new(),
        kind: ResourceKind::Table,
        update_cycle: UpdateCycle::Irregular,
        sync_mode: SyncMode::Full,
        share_type: ShareType::Restricted,
        share_condition: String::new(),
        share_basis: String::new(),
        open_type: OpenType::None,
        open_condition: String::new(),
        open_basis: String::new(),
        raised_grade: None::<Grade>,
        time_range: String::new(),
        source_system: String::new(),
        licence: String::new(),
        attribution: String::new(),
        profile: model::entry::Profile::default(),
        items: Vec::new(),
    }
}
