//! Delimited text: what it is, and its records into the sink, streaming.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::item::Item;
use model::parcel::{Sniffed, SniffedColumn};
use model::{Code, Error, Result};
use policy::port::ReadOptions;

use crate::content::{Content, bad_file};
use crate::dialect::{self, Chosen};
use crate::hand::Hand;
use crate::layout::{self, Layout, Manner};
use crate::letters::{self, Blocks, Letters, Tally};
use crate::matching;
use crate::shape::Shape;
use crate::sink::Sink;
use crate::token::{FooterRule, Tokens, Trouble, rows_of};
use crate::typing::Hint;
use crate::why::{Why, cut};

/// Text looked at before reading starts.
const HEAD: u64 = 1 << 20;
/// Beyond this many records types are learned from every sixteenth.
const ALL_RECORDS: u64 = 1_000_000;

/// The decoded beginning of a text.
pub(crate) struct Head {
    pub(crate) letters: Letters,
    pub(crate) text: String,
    /// `text` is everything.
    pub(crate) whole: bool,
    tally: Tally,
}

/// Decodes the beginning of a text and refuses what is none.
pub(crate) fn head(content: &Content, options: &ReadOptions, limit: u64) -> Result<Head> {
    let raw = content.head(limit + 1)?;
    let whole = raw.len() as u64 <= limit;
    let letters = match &options.encoding {
        Some(label) => letters::ordered(label, &raw)?,
        None => letters::detect(&raw, whole),
    };
    let mut blocks = Blocks::new(Box::new(std::io::Cursor::new(raw)), letters);
    let (mut text, mut damaged) = (String::new(), false);
    while let Some(block) = blocks.next_block(&mut text)? {
        damaged |= block.damaged;
    }
    letters::refuse_binary(&text, damaged)?;
    letters::refuse_blank(&text, whole)?;
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    // The last line of a part may be cut off inside a letter, which says nothing of the file.
    let tally = if whole { blocks.tally } else { Tally::default() };
    Ok(Head { letters, text, whole, tally })
}

/// Everything known of a text table before its records are read.
pub(crate) struct Plan {
    letters: Letters,
    chosen: Chosen,
    layout: Layout,
    /// Lines before the header.
    preamble: u64,
    width: usize,
    hints: Vec<Hint>,
    /// Lines of the head by the way they were read.
    tally: Tally,
    pub(crate) sniffed: Sniffed,
}

/// Plans the reading. With `items` the header row is the one that names them.
pub(crate) fn plan(
    content: &Content,
    options: &ReadOptions,
    items: Option<&[Item]>,
) -> Result<Plan> {
    let head = head(content, options, HEAD)?;
    refuse_markup(&head.text)?;
    let chosen = dialect::choose(&head.text, head.whole, options.delimiter);
    let rows = rows_of(&head.text, 0, 1, &chosen.dialect, head.whole, layout::ROWS);
    let rows: Vec<_> = match rows.first() {
        // Excel's own line that names the delimiter.
        Some(first)
            if first.cells.concat().to_ascii_lowercase().starts_with("sep=")
                || head.text.to_ascii_lowercase().starts_with("sep=") =>
        {
            rows.into_iter().skip(1).collect()
        }
        _ => rows,
    };
    if rows.is_empty() {
        if head.whole {
            return Err(bad_file("文件里没有数据行", "the file holds no rows"));
        }
        return Err(Error::new(
            Code::InvalidFile,
            "文件开头 1 MiB 内没有完整的一行；请检查分隔符、引号与换行",
            "no complete row within the first MiB; check delimiter, quotes and line ends",
        ));
    }
    let mut layout = layout::analyse(&rows, Manner::TEXT, options.header_rows);
    if let (Some(items), None) = (items, options.header_rows) {
        layout = layout.by_items(&rows, items, Manner::TEXT);
    }
    let start_line = rows.get(layout.at).map_or(1, |r| r.line);
    let width = layout.headers.len().max(1);
    let mut shapes = vec![Shape::default(); width];
    for row in rows_of(&head.text, 0, 1, &chosen.dialect, head.whole, 20_000)
        .iter()
        .filter(|r| r.line >= start_line && r.cells.len() == width && r.trouble.is_none())
        .skip(layout.header_rows)
    {
        for (shape, cell) in shapes.iter_mut().zip(&row.cells) {
            shape.see(cell, false, row.line);
        }
    }
    let sniffed = Sniffed {
        format: "csv".to_owned(),
        compression: content.compression.to_owned(),
        encoding: head.letters.name.to_owned(),
        delimiter: (chosen.dialect.delimiter != dialect::NO_SIGN.as_bytes())
            .then(|| String::from_utf8_lossy(&chosen.dialect.delimiter).into_owned()),
        quote: chosen.dialect.quote.filter(|_| chosen.quoted).map(|q| char::from(q).to_string()),
        preamble: start_line - 1,
        header_rows: layout.header_rows as u64,
        footer: 0,
        sheet: None,
        columns: columns(&layout, &shapes),
        records: None,
        notes: content.notes.iter().chain(&chosen.notes).cloned().collect(),
    };
    Ok(Plan {
        letters: head.letters,
        preamble: start_line - 1,
        width,
        hints: shapes.iter().map(Shape::hint).collect(),
        chosen,
        layout,
        tally: head.tally,
        sniffed,
    })
}

/// The columns as found. A delimiter at every line's end makes a last one of nothing, which is left out.
fn columns(layout: &Layout, shapes: &[Shape]) -> Vec<SniffedColumn> {
    let mut columns: Vec<SniffedColumn> =
        layout.headers.iter().zip(shapes).map(|(h, s)| s.column(&h.name)).collect();
    let blank = |at: usize| shapes.get(at).is_some_and(|s| s.values == 0);
    while columns.len() > 1
        && layout.header_rows > 0
        && blank(columns.len() - 1)
        && columns.last().is_some_and(|c| c.name == format!("column_{}", columns.len()))
    {
        columns.pop();
    }
    columns
}

/// HTML and XML are often called `.xls` or `.csv`.
pub(crate) fn refuse_markup(text: &str) -> Result<()> {
    let head: String = text.trim_start().chars().take(200).collect::<String>().to_ascii_lowercase();
    let refuse = |zh: &str, en: &str| Err(Error::new(Code::UnsupportedFormat, zh, en));
    if head.starts_with("<!doctype html")
        || head.starts_with("<html")
        || head.starts_with("<table")
        || head.starts_with("<head")
        || head.starts_with("<meta")
        || head.starts_with("<style")
    {
        return refuse(
            "这是 HTML 网页（不少系统把它导出成 .xls）；请用 Excel 打开后另存为 XLSX 或 CSV",
            "this is an HTML page (many systems export it as .xls); open it in Excel and save it as XLSX or CSV",
        );
    }
    if head.starts_with("<?xml") || (head.starts_with('<') && head.contains("xmlns")) {
        return refuse(
            "这是 XML 文件；请用 Excel 打开后另存为 XLSX，或提供 CSV、JSON",
            "this is an XML file; open it in Excel and save it as XLSX, or provide CSV or JSON",
        );
    }
    Ok(())
}

impl Plan {
    fn tokens(&self, content: &Content, done: Arc<AtomicU64>) -> Result<Tokens> {
        let blocks = Blocks::new(content.stream(done)?, self.letters);
        let layout = self.layout.clone();
        let rule: FooterRule = Box::new(move |rows| layout.footer(rows, false));
        let mut tokens = Tokens::new(blocks, self.chosen.dialect.clone(), Some(rule));
        tokens.skip_lines(self.preamble)?;
        for _ in 0..self.layout.header_rows {
            tokens.advance()?;
        }
        Ok(tokens)
    }

    /// A record's cells are as many as the columns, or more that are all empty.
    fn even(&self, tokens: &Tokens) -> bool {
        let cells = tokens.record().len();
        cells == self.width
            || (cells > self.width
                && (self.width..cells).all(|c| tokens.cell(c).is_none_or(|t| t.blank())))
    }

    /// The header row once more, in the middle of glued files.
    fn header_again(&self, tokens: &Tokens) -> bool {
        let same = |at: usize| {
            let header = self.layout.headers.get(at).map(|h| h.name.as_str());
            tokens.cell(at).map(|c| c.trimmed()) == header
        };
        self.layout.header_rows == 1 && self.width > 1 && same(0) && (1..self.width).all(same)
    }

    /// What the beginning tells.
    pub(crate) fn glance(mut self) -> Sniffed {
        self.encoding_notes(self.tally);
        self.sniffed
    }

    /// Reads the whole text once to count records, learn types and find notes at the end.
    pub(crate) fn sniff(mut self, content: &Content) -> Result<Sniffed> {
        let mut tokens = self.tokens(content, Arc::default())?;
        let mut shapes = vec![Shape::default(); self.width];
        let mut records = 0_u64;
        let (mut uneven, mut troubled, mut again) =
            (Lines::default(), Lines::default(), Lines::default());
        while tokens.advance()? {
            records += 1;
            let line = tokens.record().line;
            if tokens.record().trouble.is_some() {
                troubled.see(line);
            } else if !self.even(&tokens) {
                uneven.see(line);
            } else if self.header_again(&tokens) {
                again.see(line);
            } else if records <= ALL_RECORDS || records.is_multiple_of(16) {
                for (column, shape) in shapes.iter_mut().enumerate() {
                    if let Some(cell) = tokens.cell(column) {
                        shape.see(cell.text, cell.null_word(), line);
                    }
                }
            }
        }
        self.encoding_notes(tokens.tally());
        let notes = &mut self.sniffed.notes;
        let width = self.width;
        uneven.note(
            notes,
            &format!("单元格数与表头的 {width} 列不符"),
            &format!("do not have the header's {width} cells"),
        );
        troubled.note(notes, "引号不配对", "have unbalanced quotes");
        again.note(notes, "重复了表头", "repeat the header");
        self.more_notes(&tokens, &shapes);
        self.sniffed.footer = tokens.footer.len() as u64;
        self.sniffed.records = Some(records);
        self.sniffed.columns = columns(&self.layout, &shapes);
        Ok(self.sniffed)
    }

    fn more_notes(&mut self, tokens: &Tokens, shapes: &[Shape]) {
        let notes = &mut self.sniffed.notes;
        if tokens.nul {
            notes.push((
                "文件含有空字符（NUL），含有它的行将被隔离".to_owned(),
                "the file holds NUL characters; rows with one go to quarantine".to_owned(),
            ));
        }
        if self.sniffed.header_rows == 0 {
            notes.push((
                "没有表头行，列按位置命名".to_owned(),
                "there is no header row; columns are named by position".to_owned(),
            ));
        }
        if !tokens.footer.is_empty() {
            let rows: Vec<String> =
                tokens.footer.iter().map(|r| r.cells.join(" ").trim().to_owned()).collect();
            let text = cut(&rows.join(" / "), 120);
            notes.push((
                format!("末尾 {} 行是说明或合计，不作为数据：{text}", rows.len()),
                format!(
                    "the last {} rows are notes or totals and not taken as data: {text}",
                    rows.len()
                ),
            ));
        }
        for (header, shape) in self.layout.headers.iter().zip(shapes) {
            notes.extend(shape.notes(&header.name));
        }
        if self.layout.headers.iter().any(|h| h.name.starts_with("column_"))
            && self.sniffed.header_rows > 0
        {
            notes.push((
                "有的列没有表头，已命名为 column_N".to_owned(),
                "some columns have no header and are named column_N".to_owned(),
            ));
        }
    }

    fn encoding_notes(&mut self, tally: Tally) {
        let notes = &mut self.sniffed.notes;
        if self.letters.name == "utf-8" && tally.legacy > 0 && tally.utf8 == 0 {
            self.sniffed.encoding = "gb18030".to_owned();
        } else if tally.legacy > 0 && tally.utf8 > 0 {
            notes.push((
                format!("文件混有两种编码：{} 行 UTF-8、{} 行 GB18030 等，已逐行识别", tally.utf8, tally.legacy),
                format!("two encodings are mixed: {} lines of UTF-8 and {} of GB18030 or the like; each line is read in its own", tally.utf8, tally.legacy),
            ));
        }
        if tally.damaged > 0 {
            notes.push((
                format!("{} 行有无法解码的字节，所在的行将被隔离", tally.damaged),
                format!(
                    "{} lines hold bytes that cannot be decoded; those rows go to quarantine",
                    tally.damaged
                ),
            ));
        }
        if self.sniffed.encoding == "big5" {
            notes.push((
                "文本为 Big5 编码（繁体中文）".to_owned(),
                "the text is in Big5 (traditional Chinese)".to_owned(),
            ));
        }
    }

    /// Matches the columns and makes the sink; nothing has been read of the records yet.
    pub(crate) fn sink(
        &self,
        items: &[Item],
        options: &ReadOptions,
        done: Arc<AtomicU64>,
    ) -> Result<(Sink, Vec<(String, Option<String>)>)> {
        let headers = &self.layout.headers;
        let matched = matching::settle(
            headers,
            items,
            self.layout.header_rows > 0,
            options.operation_column.as_deref(),
        )?;
        let columns = matched.columns(headers, items);
        let hint = |column: usize| self.hints.get(column).copied().unwrap_or_default();
        Ok((Sink::new(items, matched, hint, options.batch_rows, done), columns))
    }

    /// Sends every record through the sink.
    pub(crate) fn run(
        &self,
        content: &Content,
        mut sink: Sink,
        done: Arc<AtomicU64>,
        hand: &Hand,
    ) -> Result<()> {
        done.store(0, Ordering::Relaxed);
        let mut tokens = self.tokens(content, done)?;
        let mut record = 0_u64;
        while tokens.advance()? {
            record += 1;
            sink.doubt.nul = tokens.nul;
            sink.doubt.damage = tokens.damaged;
            let line = tokens.record().line;
            let cells = tokens.record().len();
            if tokens.record().trouble.is_none()
                && (cells == self.width || self.even(&tokens))
                && !self.all_blank(&tokens)
                && !self.header_again(&tokens)
            {
                sink.row(record, line, |column| tokens.cell(column));
            } else {
                self.refuse(&mut sink, &tokens, record, line);
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

    fn all_blank(&self, tokens: &Tokens) -> bool {
        self.width > 1 && (0..self.width).all(|c| tokens.cell(c).is_none_or(|t| t.blank()))
    }

    fn refuse(&self, sink: &mut Sink, tokens: &Tokens, record: u64, line: u64) {
        let cells: Vec<Option<String>> =
            (0..tokens.record().len()).map(|c| tokens.cell(c).map(|t| t.text.to_owned())).collect();
        let why = match tokens.record().trouble {
            Some(Trouble::Unclosed) => Why::plain(
                "左引号没有配对的右引号，该行单独隔离；请补上右引号或去掉多余的引号",
                "a quote is opened and never closed; close it or remove it",
            ),
            Some(Trouble::Stray) => Why::plain(
                "右引号后面还有其他字符；单元格内的引号请写两遍",
                "something follows a closing quote; write quotes inside a cell twice",
            ),
            None if self.even(tokens) => {
                Why::plain("整行都是空的，请删除该行", "the whole row is empty; remove it")
            }
            None => Why::told(
                format!(
                    "该行有 {} 个单元格，表头有 {} 列；请检查分隔符、引号或漏填的列",
                    cells.len(),
                    self.width
                ),
                format!(
                    "the row has {} cells but the header has {} columns; check delimiters, quotes and missing cells",
                    cells.len(),
                    self.width
                ),
            ),
        };
        let text = cells.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" | ");
        sink.refuse(record, line, why, &text, &cells, self.width);
    }
}

/// Lines with the same fault: how many, and the first of them.
#[derive(Debug, Default)]
struct Lines {
    first: Vec<u64>,
    count: u64,
}

impl Lines {
    fn see(&mut self, line: u64) {
        self.count += 1;
        if self.first.len() < 5 {
            self.first.push(line);
        }
    }
    fn note(&self, notes: &mut Vec<(String, String)>, zh: &str, en: &str) {
        if self.count == 0 {
            return;
        }
        let list = self.first.iter().map(u64::to_string).collect::<Vec<_>>().join("、");
        notes.push((
            format!("{} 行{zh}（第 {list} 行等），读取时将被隔离", self.count),
            format!("{} rows {en} (lines {list} …) and will go to quarantine", self.count),
        ));
    }
}
