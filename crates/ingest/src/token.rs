//! Records and cells of delimited text, straight over the decoded bytes.
//!
//! The scanner forgives nothing silently. A quote that is never closed, or that is followed by other signs, makes its
//! own line a bad record and reading goes on with the next line, so that one stray quote cannot swallow the rest of a file.

use model::{Code, Error, Result};

use crate::cell::{Cell, Mark};
use crate::letters::Blocks;

/// Largest cell, in bytes of UTF-8.
pub(crate) const CELL_LIMIT: usize = 16 << 20;
const RECORD_LIMIT: usize = 48 << 20;
/// So much text is kept in sight before the end, to recognise notes and totals there.
const HOLD: usize = 64 << 10;

/// How cells are told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dialect {
    pub(crate) delimiter: Vec<u8>,
    pub(crate) quote: Option<u8>,
    /// A backslash takes the meaning of the next sign away.
    pub(crate) escape: bool,
    /// Runs of blanks count as one delimiter.
    pub(crate) collapse: bool,
}

impl Dialect {
    pub(crate) fn new(delimiter: &str) -> Self {
        Self {
            delimiter: delimiter.as_bytes().to_vec(),
            quote: Some(b'"'),
            escape: false,
            collapse: false,
        }
    }
}

/// Where a cell lies: in the text, or in the scratch of unescaped cells.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: usize,
    end: usize,
    quoted: bool,
    unescape: bool,
}

/// What is wrong with a record's quoting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Something other than a delimiter follows a closing quote.
    Stray,
    /// The quote is never closed.
    Unclosed,
}

/// One record: cells refer to the text they were scanned from.
#[derive(Debug, Default)]
pub(crate) struct Record {
    spans: Vec<Span>,
    scratch: String,
    pub(crate) trouble: Option<Trouble>,
    /// Line where it starts, from 1.
    pub(crate) line: u64,
}

enum Scan {
    /// A record ends before this position, having taken so many lines.
    Done(usize, u64),
    /// The text ends inside the record.
    More,
    /// The text is over and a quote is still open.
    Open,
}

impl Record {
    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// A cell of this record over the text it was scanned from.
    #[inline]
    pub(crate) fn cell<'a>(&'a self, text: &'a str, at: usize) -> Option<Cell<'a>> {
        let span = self.spans.get(at)?;
        let from = if span.unescape { self.scratch.as_str() } else { text };
        let mark = if span.quoted { Mark::Exact } else { Mark::Plain };
        let text = from.get(span.start..span.end)?;
        if text.as_bytes().first() == Some(&b'=') {
            // `="007"` is how exports keep Excel from dropping zeros.
            let inner = text.strip_prefix("=\"").and_then(|t| t.strip_suffix('"'));
            if let Some(inner) = inner.filter(|t| !t.contains('"')) {
                return Some(Cell { text: inner, mark: Mark::Exact });
            }
        }
        Some(Cell { text, mark })
    }

    /// Nothing but white space on the line.
    fn blank(&self, text: &str) -> bool {
        match self.spans.as_slice() {
            [] => true,
            [one] => {
                !one.quoted && text.get(one.start..one.end).is_some_and(|t| t.trim().is_empty())
            }
            _ => false,
        }
    }

    fn longest(&self) -> usize {
        self.spans.iter().map(|s| s.end - s.start).max().unwrap_or(0)
    }

    /// Scans one record from `start`. `last`: nothing follows the text.
    fn scan(&mut self, text: &str, start: usize, last: bool, dialect: &Dialect) -> Scan {
        self.spans.clear();
        self.scratch.clear();
        self.trouble = None;
        let bytes = text.as_bytes();
        let first = dialect.delimiter.first().copied().unwrap_or(b',');
        let wide = dialect.delimiter.len() > 1;
        let mut at = start;
        let mut lines = 1;
        if dialect.collapse {
            at = skip_blanks(bytes, at);
        }
        loop {
            let mut from = at;
            if let Some(quote) = dialect.quote {
                if bytes.get(from) == Some(&b' ') && first != b' ' {
                    let after = skip_spaces(bytes, from);
                    if bytes.get(after) == Some(&quote) {
                        from = after;
                    }
                }
                if bytes.get(from) == Some(&quote) {
                    match self.quoted(bytes, from + 1, quote, dialect.escape) {
                        None if last => return Scan::Open,
                        None => return Scan::More,
                        Some((end, broken_lines)) => {
                            lines += broken_lines;
                            at = if first == b' ' { end } else { skip_spaces(bytes, end) };
                        }
                    }
                    let ends = match bytes.get(at) {
                        None if !last => return Scan::More,
                        None | Some(b'\n' | b'\r') => true,
                        Some(b) => {
                            *b == first
                                && (!wide
                                    || bytes
                                        .get(at..)
                                        .is_some_and(|r| r.starts_with(&dialect.delimiter)))
                        }
                    };
                    if !ends {
                        self.trouble = Some(Trouble::Stray);
                        at += self.plain(bytes, at, first, dialect);
                        // Keep the cell as it was written, for mending.
                        self.spans.pop();
                        self.spans.push(Span {
                            start: from,
                            end: at,
                            quoted: true,
                            unescape: false,
                        });
                    }
                } else {
                    let length = self.plain(bytes, at, first, dialect);
                    self.spans.push(Span {
                        start: at,
                        end: at + length,
                        quoted: false,
                        unescape: false,
                    });
                    at += length;
                }
            } else {
                let length = self.plain(bytes, at, first, dialect);
                self.spans.push(Span {
                    start: at,
                    end: at + length,
                    quoted: false,
                    unescape: false,
                });
                at += length;
            }
            match bytes.get(at) {
                None if last => return self.done(text, at, lines, dialect),
                None => return Scan::More,
                Some(b'\n') => return self.done(text, at + 1, lines, dialect),
                Some(b'\r') => {
                    return match bytes.get(at + 1) {
                        Some(b'\n') => self.done(text, at + 2, lines, dialect),
                        None if !last => Scan::More,
                        _ => self.done(text, at + 1, lines, dialect),
                    };
                }
                Some(_) => at += dialect.delimiter.len().max(1),
            }
            if dialect.collapse {
                at = skip_blanks(bytes, at);
                match bytes.get(at) {
                    None if last => return self.done(text, at, lines, dialect),
                    Some(b'\n') => return self.done(text, at + 1, lines, dialect),
                    Some(b'\r') if bytes.get(at + 1) == Some(&b'\n') => {
                        return self.done(text, at + 2, lines, dialect);
                    }
                    _ => {}
                }
            }
        }
    }

    /// Length of a bare cell from `at`, up to a delimiter or line end.
    #[inline]
    fn plain(&self, bytes: &[u8], at: usize, first: u8, dialect: &Dialect) -> usize {
        let rest = bytes.get(at..).unwrap_or_default();
        if !dialect.escape && dialect.delimiter.len() == 1 {
            return memchr::memchr3(first, b'\n', b'\r', rest).unwrap_or(rest.len());
        }
        let mut skipped = 0;
        loop {
            let tail = rest.get(skipped..).unwrap_or_default();
            let found = tail.iter().position(|&b| {
                b == first || b == b'\n' || b == b'\r' || (dialect.escape && b == b'\\')
            });
            let Some(found) = found else { return rest.len() };
            let here = skipped + found;
            match tail.get(found) {
                Some(b'\\') if first != b'\\' => skipped = (here + 2).min(rest.len()),
                Some(b'\n' | b'\r') => return here,
                _ if dialect.delimiter.len() > 1
                    && !tail.get(found..).is_some_and(|t| t.starts_with(&dialect.delimiter)) =>
                {
                    skipped = here + 1;
                }
                _ => return here,
            }
        }
    }

    /// A quoted cell whose opening quote was taken: pushes its span, answers the position after the closing quote
    /// and how many line ends it holds.
    fn quoted(
        &mut self,
        bytes: &[u8],
        start: usize,
        quote: u8,
        escape: bool,
    ) -> Option<(usize, u64)> {
        let mut at = start;
        let mut unescape = false;
        loop {
            let tail = bytes.get(at..)?;
            let found = if escape {
                memchr::memchr2(quote, b'\\', tail)?
            } else {
                memchr::memchr(quote, tail)?
            };
            let here = at + found;
            let escaped = bytes.get(here) == Some(&b'\\') && escape && quote != b'\\';
            if escaped || bytes.get(here + 1) == Some(&quote) {
                unescape = true;
                at = here + 2;
            } else {
                self.spans.push(Span { start, end: here, quoted: true, unescape });
                let inside = bytes.get(start..here).unwrap_or_default();
                return Some((here + 1, line_ends(inside)));
            }
        }
    }

    /// Finishes a record: cells with doubled or escaped signs are written out into the scratch.
    fn done(&mut self, text: &str, next: usize, lines: u64, dialect: &Dialect) -> Scan {
        if dialect.escape || self.spans.iter().any(|s| s.unescape) {
            for span in &mut self.spans {
                let raw = text.get(span.start..span.end).unwrap_or_default();
                let escaped = dialect.escape && raw.contains('\\') && raw != "\\N";
                if !span.unescape && !escaped {
                    continue;
                }
                let start = self.scratch.len();
                unescape(
                    raw,
                    if span.quoted { dialect.quote } else { None },
                    dialect.escape,
                    &mut self.scratch,
                );
                *span =
                    Span { start, end: self.scratch.len(), quoted: span.quoted, unescape: true };
            }
        }
        Scan::Done(next, lines)
    }

    /// The line from `start` as one bad record.
    fn line_only(&mut self, text: &str, start: usize, trouble: Trouble) -> usize {
        self.spans.clear();
        self.scratch.clear();
        self.trouble = Some(trouble);
        let rest = text.as_bytes().get(start..).unwrap_or_default();
        let length = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        self.spans.push(Span { start, end: start + length, quoted: false, unescape: false });
        let mut next = start + length;
        if rest.get(length) == Some(&b'\r') && rest.get(length + 1) == Some(&b'\n') {
            next += 1;
        }
        (next + 1).min(text.len())
    }
}

fn unescape(raw: &str, quote: Option<u8>, escape: bool, out: &mut String) {
    let quote = quote.map(char::from);
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        if Some(c) == quote {
            // The first of a doubled pair.
            out.extend(chars.next());
        } else if c == '\\' && escape {
            match chars.next() {
                Some('n') => out.push('\n'),
                Some('r') => out.push('\r'),
                Some('t') => out.push('\t'),
                Some(other) => out.push(other),
                None => out.push('\\'),
            }
        } else {
            out.push(c);
        }
    }
}

fn skip_spaces(bytes: &[u8], at: usize) -> usize {
    at + bytes.get(at..).unwrap_or_default().iter().take_while(|b| **b == b' ').count()
}

fn skip_blanks(bytes: &[u8], at: usize) -> usize {
    at + bytes
        .get(at..)
        .unwrap_or_default()
        .iter()
        .take_while(|b| matches!(b, b' ' | b'\t'))
        .count()
}

/// Line ends of every kind: LF, CR LF, CR.
pub(crate) fn line_ends(bytes: &[u8]) -> u64 {
    let mut count = 0;
    for at in memchr::memchr2_iter(b'\n', b'\r', bytes) {
        if bytes.get(at) == Some(&b'\n') || bytes.get(at + 1) != Some(&b'\n') {
            count += 1;
        }
    }
    count
}

/// A record given out by [`rows_of`]: line, start offset and cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) line: u64,
    pub(crate) start: usize,
    pub(crate) cells: Vec<String>,
    pub(crate) quoted: Vec<bool>,
    pub(crate) trouble: Option<Trouble>,
    /// A blank line stands before it.
    pub(crate) gap: bool,
}

/// Records of a text in hand, from offset `start` (which is on line `line`), blank lines left out.
/// `whole`: the text is complete; otherwise an unfinished last record is left out.
pub(crate) fn rows_of(
    text: &str,
    start: usize,
    line: u64,
    dialect: &Dialect,
    whole: bool,
    limit: usize,
) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut record = Record::default();
    let (mut at, mut line, mut gap) = (start, line, false);
    while at < text.len() && rows.len() < limit {
        let Some((next, lines)) = record.take(text, at, whole, dialect) else { break };
        if record.blank(text) {
            gap = true;
        } else {
            let cells = (0..record.len()).filter_map(|i| record.cell(text, i));
            let (cells, quoted) = cells.map(|c| (c.text.to_owned(), c.mark == Mark::Exact)).unzip();
            rows.push(Row { line, start: at, cells, quoted, trouble: record.trouble, gap });
            gap = false;
        }
        at = next;
        line += lines;
    }
    rows
}

impl Record {
    /// Scans with recovery: the next position and the lines taken, or `None` when more text is needed.
    fn take(
        &mut self,
        text: &str,
        at: usize,
        last: bool,
        dialect: &Dialect,
    ) -> Option<(usize, u64)> {
        match self.scan(text, at, last, dialect) {
            Scan::Done(next, lines) => {
                if self.trouble.is_some() && lines > 1 {
                    // The open quote belongs to the first line; the lines after it are sound until shown otherwise.
                    let next = self.line_only(text, at, Trouble::Unclosed);
                    return Some((next, 1));
                }
                Some((next, lines))
            }
            Scan::More => None,
            Scan::Open => Some((self.line_only(text, at, Trouble::Unclosed), 1)),
        }
    }
}

/// Says how many of the last rows are notes or totals.
pub(crate) type FooterRule = Box<dyn Fn(&[Row]) -> usize + Send>;

/// The records of a stream, in bounded memory.
pub(crate) struct Tokens {
    blocks: Blocks,
    text: String,
    at: usize,
    end: usize,
    over: bool,
    line: u64,
    dialect: Dialect,
    record: Record,
    footer_rule: Option<FooterRule>,
    /// The rows at the end that are not data, as text.
    pub(crate) footer: Vec<Row>,
    /// Some text so far holds undecodable bytes, or NULs.
    pub(crate) damaged: bool,
    pub(crate) nul: bool,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("line", &self.line).finish_non_exhaustive()
    }
}

impl Tokens {
    pub(crate) fn new(blocks: Blocks, dialect: Dialect, footer_rule: Option<FooterRule>) -> Self {
        Self {
            blocks,
            text: String::new(),
            at: 0,
            end: 0,
            over: false,
            line: 1,
            dialect,
            record: Record::default(),
            footer_rule,
            footer: Vec::new(),
            damaged: false,
            nul: false,
        }
    }

    pub(crate) fn tally(&self) -> crate::letters::Tally {
        self.blocks.tally
    }

    fn fill(&mut self) -> Result<()> {
        self.text.drain(..self.at);
        self.at = 0;
        let before = self.text.len();
        match self.blocks.next_block(&mut self.text)? {
            Some(block) => {
                let fresh = self.text.as_bytes().get(before..).unwrap_or_default();
                self.damaged |= block.damaged;
                self.nul = self.nul || memchr::memchr(0, fresh).is_some();
            }
            None => self.over = true,
        }
        self.end = self.text.len();
        if self.over
            && let Some(rule) = self.footer_rule.take()
        {
            let rows = rows_of(&self.text, self.at, self.line, &self.dialect, true, usize::MAX);
            let count = rule(&rows).min(rows.len());
            let keep = rows.len() - count;
            if let Some(first) = rows.get(keep) {
                self.end = first.start;
            }
            self.footer = rows.into_iter().skip(keep).collect();
        }
        Ok(())
    }

    /// Leaves out whole lines (the preamble), whatever they hold.
    pub(crate) fn skip_lines(&mut self, lines: u64) -> Result<()> {
        for _ in 0..lines {
            loop {
                let rest = self.text.as_bytes().get(self.at..self.end).unwrap_or_default();
                let found = memchr::memchr2(b'\n', b'\r', rest);
                let pair = found.is_some_and(|n| {
                    rest.get(n) == Some(&b'\r') && rest.get(n + 1) == Some(&b'\n')
                });
                match found {
                    Some(n) if n + 1 < rest.len() || self.over => {
                        self.at += n + 1 + usize::from(pair);
                        break;
                    }
                    _ if self.over => {
                        self.at = self.end;
                        break;
                    }
                    _ if rest.len() > RECORD_LIMIT => return Err(self.too_large()),
                    _ => self.fill()?,
                }
            }
            self.line += 1;
        }
        Ok(())
    }

    /// Moves to the next record that is not blank; `false` at the end.
    pub(crate) fn advance(&mut self) -> Result<bool> {
        loop {
            if !self.over && self.text.len() - self.at < HOLD {
                self.fill()?;
                continue;
            }
            if self.at >= self.end {
                return Ok(false);
            }
            let text = self.text.get(..self.end).unwrap_or_default();
            match self.record.take(text, self.at, self.over, &self.dialect) {
                None if self.over => return Ok(false),
                None => {
                    if self.text.len() - self.at > RECORD_LIMIT {
                        return Err(self.too_large());
                    }
                    self.fill()?;
                }
                Some((next, lines)) => {
                    self.record.line = self.line;
                    self.at = next;
                    self.line += lines;
                    if self.record.blank(&self.text) {
                        continue;
                    }
                    if self.record.longest() > CELL_LIMIT {
                        self.line = self.record.line;
                        return Err(self.too_large());
                    }
                    return Ok(true);
                }
            }
        }
    }

    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    #[inline]
    pub(crate) fn cell(&self, at: usize) -> Option<Cell<'_>> {
        self.record.cell(&self.text, at)
    }

    fn too_large(&self) -> Error {
        Error::new(
            Code::TooLarge,
            format!(
                "第 {} 行起的单元格超过 16 MiB；可能缺少右引号，或列分隔符、引号设置不对，请检查该行",
                self.line
            ),
            format!(
                "the cell that starts at line {} is larger than 16 MiB; a closing quote may be missing or the delimiter or quote is wrong; look at that line",
                self.line
            ),
        )
    }
}

#[cfg(test)]
mod tests;
