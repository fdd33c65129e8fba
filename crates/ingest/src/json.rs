//! JSON, JSON lines and GeoJSON: the table inside the text, and its records into the sink, streaming.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::item::Item;
use model::parcel::Sniffed;
use model::{Error, Result};
use policy::port::ReadOptions;

use crate::cell::Mark;
use crate::content::{Content, bad_file};
use crate::delimited::{Head, head};
use crate::grid::{Grid, GridCell, GridRow, Rows};
use crate::hand::Hand;
use crate::json_fields::{Fields, check, columns_of};
use crate::json_place::{choose, names_beside};
use crate::json_scan::{self, Frame, Frames, Kind, Site};
use crate::layout::Manner;
use crate::letters::{Blocks, Letters};
use crate::matching::{self, Header, Matched};
use crate::shape::Shape;
use crate::sink::Sink;
use crate::typing::Doubt;
use crate::why::Why;

/// Text looked at to find the table.
const HEAD: u64 = 4 << 20;

/// Whether a text is JSON of some form, and the head with it when it is.
pub(crate) fn recognise(content: &Content, options: &ReadOptions) -> Result<Option<Plan>> {
    let ordered = options.format.as_deref();
    let asked = matches!(ordered, Some("json" | "jsonl" | "ndjson" | "geojson"));
    if ordered.is_some() && !asked {
        return Ok(None);
    }
    let first = head(content, options, 64 << 10)?;
    let start = json_scan::skip(first.text.as_bytes(), 0);
    if !asked && !looks_like(&first.text, start) {
        return Ok(None);
    }
    let text = head(content, options, HEAD)?;
    Plan::of(content, options, text, asked).map(Some)
}

/// The first signs of a JSON text, told from a delimited one that starts with a bracket.
fn looks_like(text: &str, start: usize) -> bool {
    let bytes = text.as_bytes();
    let second = json_scan::skip(bytes, start + 1);
    let likely = match (bytes.get(start), bytes.get(second)) {
        (Some(b'{'), Some(b'"' | b'}') | None) => true,
        (Some(b'['), Some(b'{' | b'[' | b'"' | b']' | b'-' | b'0'..=b'9')) => true,
        (Some(b'['), Some(b't' | b'f' | b'n')) => ["true", "false", "null"]
            .iter()
            .any(|w| text.get(second..).is_some_and(|t| t.starts_with(w))),
        _ => false,
    };
    // A value followed by a comma on the top level is a delimited line.
    likely
        && json_scan::value_end(bytes, start).is_none_or(|end| {
            let next = end
                + bytes
                    .get(end..)
                    .unwrap_or_default()
                    .iter()
                    .take_while(|b| matches!(b, b' ' | b'\t'))
                    .count();
            !matches!(bytes.get(next), Some(b',' | b'\t' | b';' | b'|'))
        })
}

/// A JSON text understood.
pub(crate) struct Plan {
    letters: Letters,
    site: Site,
    by_line: bool,
    geo: bool,
    /// Names of the cells of array rows, from beside the table.
    beside: Option<Vec<Header>>,
    head: String,
    pub(crate) sniffed: Sniffed,
}

impl Plan {
    fn of(content: &Content, options: &ReadOptions, head: Head, asked: bool) -> Result<Self> {
        let text = head.text;
        let bytes = text.as_bytes();
        let start = json_scan::skip(bytes, 0);
        let mut notes = content.notes.clone();
        let first_end = json_scan::value_end(bytes, start);
        let more =
            first_end.map(|end| json_scan::skip(bytes, end)).filter(|next| *next < text.len());
        let lines_named = matches!(options.format.as_deref(), Some("jsonl" | "ndjson"))
            || matches!(content.ending().as_str(), "jsonl" | "ndjson" | "geojsonl" | "geojsons");
        let sequence = more.is_some() || (lines_named && bytes.get(start) == Some(&b'{'));
        let mut beside = None;
        let (site, by_line) = if sequence {
            let line_end = memchr::memchr2(b'\n', b'\r', bytes.get(start..).unwrap_or_default())
                .map(|n| n + start);
            let one_line = |end: usize| line_end.is_none_or(|l| end <= l);
            let by_line = match (first_end, more) {
                (Some(end), Some(next)) => {
                    one_line(end) && text.get(end..next).is_some_and(|t| t.contains(['\n', '\r']))
                }
                (Some(end), None) => one_line(end),
                (None, _) => lines_named,
            };
            (Site { path: Vec::new(), kind: Kind::Sequence, start, count: 0, bytes: 0 }, by_line)
        } else {
            let sites = json_scan::locate(&text, start);
            let site = choose(&sites, options, start, &text, &mut notes)?;
            if site.kind == Kind::Arrays {
                beside = names_beside(&sites, &site, &text);
            }
            (site, false)
        };
        if asked
            && first_end.is_none()
            && head.whole
            && !sequence
            && !matches!(bytes.get(start), Some(b'{' | b'['))
        {
            return Err(bad_file("内容不是 JSON", "the content is not JSON"));
        }
        let mut plan = Self {
            letters: head.letters,
            site,
            by_line,
            geo: false,
            beside,
            head: text,
            sniffed: Sniffed {
                format: if sequence { "jsonl" } else { "json" }.to_owned(),
                compression: content.compression.to_owned(),
                encoding: head.letters.name.to_owned(),
                delimiter: None,
                quote: None,
                preamble: 0,
                header_rows: 0,
                footer: 0,
                sheet: None,
                columns: Vec::new(),
                records: None,
                notes,
            },
        };
        plan.find_geo();
        if !plan.site.path.is_empty() {
            let path = plan.site.path.join(".");
            if !plan.geo {
                plan.sniffed.notes.push((
                    format!("数据取自 JSON 中的「{path}」"),
                    format!("the records are those of `{path}` in the JSON"),
                ));
            }
            plan.sniffed.sheet = (!plan.geo).then_some(path);
        }
        Ok(plan)
    }

    /// GeoJSON: features with properties and geometry; the coordinate system is noted.
    fn find_geo(&mut self) {
        let text = &self.head;
        let start = json_scan::skip(text.as_bytes(), 0);
        let collection = self.site.path == ["features"] && text.contains("FeatureCollection");
        let first = json_scan::value_end(text.as_bytes(), self.site.start.max(start))
            .and_then(|end| text.get(self.site.start.max(start)..end));
        let feature = matches!(self.site.kind, Kind::Sequence)
            && first.is_some_and(|f| {
                json_scan::members(f).iter().any(|(k, v)| k == "type" && *v == "\"Feature\"")
                    && json_scan::members(f).iter().any(|(k, _)| k == "geometry")
            });
        self.geo = collection || feature;
        if !self.geo {
            return;
        }
        self.sniffed.format = "geojson".to_owned();
        let crs = text.find("\"crs\"").and_then(|at| stated_name(text.get(at..)?));
        let (zh, en) = match crs {
            Some(name) if name.contains("CRS84") || name.contains("4326") => {
                (format!("坐标系 WGS84（{name}）"), format!("coordinates are WGS84 ({name})"))
            }
            Some(name) if name.contains("4490") => {
                (format!("坐标系 CGCS2000（{name}）"), format!("coordinates are CGCS2000 ({name})"))
            }
            Some(name) => (
                format!("文件声明的坐标系为 {name}，坐标按原样保存，不作转换"),
                format!(
                    "the file states the coordinate system {name}; coordinates are kept as they are"
                ),
            ),
            None => (
                "未声明坐标系，按 GeoJSON 规定为 WGS84".to_owned(),
                "no coordinate system is stated; GeoJSON means WGS84".to_owned(),
            ),
        };
        self.sniffed.notes.push((zh, en));
    }

    fn frames(&self, content: &Content, done: Arc<AtomicU64>) -> Result<Frames> {
        Frames::new(Blocks::new(content.stream(done)?, self.letters), &self.site, self.by_line)
    }

    /// Frames over the head only, for what must be known before reading.
    fn head_frames(&self) -> Result<Frames> {
        let bytes = self.head.clone().into_bytes();
        let letters = crate::letters::ordered("utf-8", &[])?;
        Frames::new(
            Blocks::new(Box::new(std::io::Cursor::new(bytes)), letters),
            &self.site,
            self.by_line,
        )
    }

    fn is_rows(&self) -> bool {
        self.site.kind == Kind::Arrays
    }

    /// Reads the whole text to learn columns, types and the number of records.
    pub(crate) fn sniff(mut self, content: &Content, options: &ReadOptions) -> Result<Sniffed> {
        if self.is_rows() {
            let mut rows = ArrayRows { plan: &self, content, done: Arc::default() };
            let grid = Grid::plan(&mut rows, ARRAYS, options, None, self.beside.clone())?;
            let mut sniffed = self.sniffed.clone();
            grid.sniff(&mut rows, &mut sniffed)?;
            return Ok(sniffed);
        }
        let mut frames = self.frames(content, Arc::default())?;
        let mut table = Fields::new(self.geo, self.site.kind);
        let mut shapes: Vec<(Shape, u64)> = Vec::new();
        let (mut records, mut bad, mut first_bad) = (0_u64, 0_u64, 0_u64);
        let mut first_why: Option<Why> = None;
        while let Some(frame) = frames.next_frame()? {
            records += 1;
            if let Err(why) = table.take(frames.text(frame)) {
                bad += 1;
                if first_why.is_none() {
                    (first_bad, first_why) = (frame.line, Some(why));
                }
                continue;
            }
            if records > 1_000_000 && !records.is_multiple_of(16) {
                continue;
            }
            shapes.resize(table.names.len(), (Shape::default(), 0));
            for (at, (shape, present)) in shapes.iter_mut().enumerate() {
                if let Some(cell) = table.cell(at) {
                    *present += 1;
                    shape.see(cell.text, false, frame.line);
                }
            }
        }
        let good = records - bad;
        if bad > 0 && good == 0 {
            return Err(nothing_valid(first_bad, first_why));
        }
        self.sniffed.columns = columns_of(&table, &shapes, good);
        self.sniffed.records = Some(records);
        if bad > 0 {
            self.sniffed.notes.push((
                format!("{bad} 条记录不是合法的 JSON 对象（首见于第 {first_bad} 行），读取时将被隔离"),
                format!("{bad} records are not valid JSON objects (first at line {first_bad}) and will go to quarantine"),
            ));
        }
        for (name, (shape, _)) in table.names.iter().zip(&shapes) {
            self.sniffed.notes.extend(shape.notes(name));
        }
        Ok(self.sniffed)
    }

    /// Matches columns by the head of the text, before anything is read.
    pub(crate) fn prepare(
        &mut self,
        content: &Content,
        items: &[Item],
        options: &ReadOptions,
    ) -> Result<Prepared> {
        if self.is_rows() {
            let mut rows = ArrayRows { plan: self, content, done: Arc::default() };
            let grid = Grid::plan(&mut rows, ARRAYS, options, Some(items), self.beside.clone())?;
            let (matched, columns) = grid.matched(items, options)?;
            grid.describe(&mut self.sniffed);
            return Ok(Prepared::Rows { grid, matched, columns });
        }
        let mut table = Fields::new(self.geo, self.site.kind);
        let mut frames = self.head_frames()?;
        let mut shapes: Vec<(Shape, u64)> = Vec::new();
        let mut good = 0;
        let mut first_bad: Option<(u64, Why)> = None;
        // The head ends inside the text: an error at its end is not the file's.
        while let Ok(Some(frame)) = frames.next_frame() {
            if let Err(why) = table.take(frames.text(frame)) {
                first_bad.get_or_insert((frame.line, why));
            } else {
                good += 1;
                shapes.resize(table.names.len(), (Shape::default(), 0));
                for (at, (shape, present)) in shapes.iter_mut().enumerate() {
                    if let Some(cell) = table.cell(at) {
                        *present += 1;
                        shape.see(cell.text, false, frame.line);
                    }
                }
            }
            if good >= 20_000 {
                break;
            }
        }
        if let (0, Some((line, why))) = (good, first_bad) {
            return Err(nothing_valid(line, Some(why)));
        }
        self.sniffed.columns = columns_of(&table, &shapes, good);
        let headers: Vec<Header> = table.names.iter().map(Header::plain).collect();
        let matched = if good == 0 && headers.is_empty() {
            // No record at all: nothing can be missing.
            Matched { of_item: vec![None; items.len()], operation: None }
        } else {
            matching::settle(&headers, items, true, options.operation_column.as_deref())?
        };
        let columns = matched.columns(&headers, items);
        table.clear();
        Ok(Prepared::Fields { table, matched, columns })
    }

    /// Sends every record through the sink.
    pub(crate) fn run(
        &self,
        content: &Content,
        prepared: Prepared,
        items: &[Item],
        batch_rows: usize,
        done: Arc<AtomicU64>,
        hand: &Hand,
    ) -> Result<()> {
        done.store(0, Ordering::Relaxed);
        match prepared {
            Prepared::Rows { grid, matched, .. } => {
                let sink = Sink::new(items, matched, |c| grid.hint(c), batch_rows, done.clone());
                let mut rows = ArrayRows { plan: self, content, done };
                grid.run(&mut rows, sink, hand)
            }
            Prepared::Fields { mut table, matched, .. } => {
                let free: Vec<usize> = matched
                    .of_item
                    .iter()
                    .enumerate()
                    .filter(|(_, c)| c.is_none())
                    .map(|(i, _)| i)
                    .collect();
                let mut sink = Sink::new(
                    items,
                    matched,
                    |_| crate::typing::Hint::default(),
                    batch_rows,
                    done.clone(),
                );
                let mut frames = self.frames(content, done)?;
                let mut record = 0;
                while let Some(frame) = frames.next_frame()? {
                    record += 1;
                    sink.doubt = Doubt { nul: true, damage: frames.damaged() };
                    let known = table.names.len();
                    match table.take(frames.text(frame)) {
                        Ok(()) => {
                            if table.names.len() > known && !free.is_empty() {
                                late(&table, known, items, &free, &mut sink);
                            }
                            sink.row(record, frame.line, |column| table.cell(column));
                        }
                        Err(why) => {
                            let raw = frames.text(frame);
                            sink.refuse(record, frame.line, why, raw, &[Some(raw.to_owned())], 0);
                        }
                    }
                    if sink.ready() {
                        hand.give(sink.take())?;
                    }
                }
                if !sink.is_empty() {
                    hand.give(sink.take())?;
                }
                Ok(())
            }
        }
    }
}

/// The refusal of a text in which no record is valid.
fn nothing_valid(line: u64, why: Option<Why>) -> Error {
    let (zh, en) = why.map(|w| (w.zh, w.en)).unwrap_or_default();
    bad_file(
        format!("没有一条记录是合法的 JSON 对象（第 {line} 行：{zh}）；名称和文本须用双引号"),
        format!(
            "no record is a valid JSON object (line {line}: {en}); names and texts need double quotes"
        ),
    )
}

/// Rows of arrays may be shorter than the header; the names of groups are unknown.
const ARRAYS: Manner = Manner { ragged: true, reach: false };

/// Keys that appear only now may belong to items without a column so far.
fn late(table: &Fields, known: usize, items: &[Item], free: &[usize], sink: &mut Sink) {
    for (column, name) in table.names.iter().enumerate().skip(known) {
        let wanted: Vec<Item> = free.iter().filter_map(|i| items.get(*i)).cloned().collect();
        let matched = matching::by_name(&[Header::plain(name)], &wanted, None);
        if let Some(at) = matched.of_item.iter().position(Option::is_some)
            && let Some(item) = free.get(at)
        {
            sink.late_column(*item, column);
        }
    }
}

/// How the columns were matched.
pub(crate) enum Prepared {
    Fields { table: Fields, matched: Matched, columns: Vec<(String, Option<String>)> },
    Rows { grid: Grid, matched: Matched, columns: Vec<(String, Option<String>)> },
}

impl Prepared {
    pub(crate) fn columns(&self) -> Vec<(String, Option<String>)> {
        match self {
            Prepared::Fields { columns, .. } | Prepared::Rows { columns, .. } => columns.clone(),
        }
    }
}

/// The value of the first `"name":` in a text.
fn stated_name(text: &str) -> Option<&str> {
    let after = text.match_indices("\"name\"").find_map(|(at, word)| {
        text.get(at + word.len()..)?.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')
    })?;
    after.split('"').next()
}

/// Arrays of arrays as rows.
struct ArrayRows<'a> {
    plan: &'a Plan,
    content: &'a Content,
    done: Arc<AtomicU64>,
}

impl Rows for ArrayRows<'_> {
    fn each(&mut self, take: &mut dyn FnMut(GridRow) -> Result<bool>) -> Result<()> {
        let mut frames = self.plan.frames(self.content, self.done.clone())?;
        let mut number = 0;
        while let Some(frame) = frames.next_frame()? {
            number += 1;
            if !take(array_row(frames.text(frame), frame, number)?)? {
                break;
            }
        }
        Ok(())
    }
}

fn array_row(raw: &str, frame: Frame, number: u64) -> Result<GridRow> {
    check(raw).map_err(|why| {
        Error::new(
            model::Code::InvalidFile,
            format!("第 {} 行起的第 {number} 条记录{}", frame.line, why.zh),
            format!("record {number}, which starts at line {}, {}", frame.line, why.en),
        )
    })?;
    let values = if raw.starts_with('[') { json_scan::elements(raw) } else { vec![raw] };
    let cells = values
        .into_iter()
        .map(|v| {
            json_scan::cell_text(v).map(|t| GridCell { text: t.into_owned(), mark: Mark::Exact })
        })
        .collect();
    Ok(GridRow { line: number, cells, gap: false })
}
