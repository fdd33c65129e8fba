//! Letters: which encoding a text is in, and its bytes as UTF-8 blocks in bounded memory.
//!
//! Files glued together from several sources change encoding between lines, so UTF-8 and the Chinese legacy encodings
//! are told apart line by line. Bytes that fit nothing become U+FFFD and the block is marked as damaged; typing then
//! refuses the cells that hold one instead of letting broken names into the lake.

use std::io::Read;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{BIG5, Decoder, Encoding, GB18030, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use model::{Error, Result};

use crate::content::{bad_file, io_error};

const BLOCK: usize = 1 << 20;
/// A single line of a legacy encoding may be this long before it is cut for decoding.
const LONGEST_LINE: usize = 64 << 20;

/// The encoding found or ordered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Letters {
    /// As told to the user: `utf-8`, `utf-8-bom`, `utf-16le`, `utf-16be`, `gb18030`, `big5`, or a WHATWG name.
    pub(crate) name: &'static str,
    bom: usize,
    way: Way,
}

#[derive(Clone, Copy, Debug)]
enum Way {
    /// UTF-8, with single lines of the legacy encoding allowed.
    Utf8(&'static Encoding),
    /// A legacy encoding, with single lines of UTF-8 allowed.
    Legacy(&'static Encoding),
    /// Exactly this one, statefully.
    Fixed(&'static Encoding),
}

/// A block of text was decoded. Blocks follow each other without gaps; a character is never split.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    /// Some bytes could not be decoded.
    pub(crate) damaged: bool,
}

/// How many lines with letters beyond ASCII were read which way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) utf8: u64,
    pub(crate) legacy: u64,
    pub(crate) damaged: u64,
}

/// Finds the encoding of a text from its beginning. `whole`: `head` is all of it.
pub(crate) fn detect(head: &[u8], whole: bool) -> Letters {
    let fixed = |name, bom, encoding| Letters { name, bom, way: Way::Fixed(encoding) };
    if head.starts_with(&[0xef, 0xbb, 0xbf]) {
        return Letters { name: "utf-8-bom", bom: 3, way: Way::Utf8(GB18030) };
    }
    if head.starts_with(&[0xff, 0xfe]) {
        return fixed("utf-16le", 2, UTF_16LE);
    }
    if head.starts_with(&[0xfe, 0xff]) {
        return fixed("utf-16be", 2, UTF_16BE);
    }
    if head.starts_with(&[0x84, 0x31, 0x95, 0x33]) {
        return Letters { name: "gb18030", bom: 4, way: Way::Legacy(GB18030) };
    }
    if let Some(encoding) = bare_utf16(head) {
        let name = if encoding == UTF_16LE { "utf-16le" } else { "utf-16be" };
        return fixed(name, 0, encoding);
    }
    let valid = match std::str::from_utf8(head) {
        Ok(_) => true,
        // Only a character cut off by the end of the sample may be wrong.
        Err(e) => !whole && e.error_len().is_none(),
    };
    if valid {
        return Letters { name: "utf-8", bom: 0, way: Way::Utf8(GB18030) };
    }
    let mut legacy_lines: Vec<u8> = Vec::new();
    let mut tally = Tally::default();
    let last_whole =
        if whole { head.len() } else { memchr::memrchr(b'\n', head).map_or(head.len(), |n| n + 1) };
    for line in
        head.get(..last_whole).unwrap_or_default().split_inclusive(|b| *b == b'\n' || *b == b'\r')
    {
        if line.is_ascii() {
            continue;
        }
        match line_way(line, None) {
            LineWay::Utf8 => tally.utf8 += 1,
            LineWay::Damaged => tally.damaged += 1,
            LineWay::Legacy | LineWay::Unsure => {
                tally.legacy += 1;
                legacy_lines.extend_from_slice(line);
            }
        }
    }
    if tally.utf8 + tally.damaged > tally.legacy {
        let legacy = if legacy_lines.is_empty() { GB18030 } else { legacy_of(&legacy_lines).1 };
        return Letters { name: "utf-8", bom: 0, way: Way::Utf8(legacy) };
    }
    let (name, encoding) = legacy_of(&legacy_lines);
    Letters { name, bom: 0, way: Way::Legacy(encoding) }
}

/// An encoding ordered by the user.
pub(crate) fn ordered(label: &str, head: &[u8]) -> Result<Letters> {
    let label = label.trim().to_ascii_lowercase();
    let marked = |mark: &[u8]| if head.starts_with(mark) { mark.len() } else { 0 };
    Ok(match label.as_str() {
        "" | "auto" => return Ok(detect(head, false)),
        "utf-8" | "utf8" | "utf-8-bom" | "utf-8-sig" => Letters {
            name: if marked(&[0xef, 0xbb, 0xbf]) > 0 { "utf-8-bom" } else { "utf-8" },
            bom: marked(&[0xef, 0xbb, 0xbf]),
            way: Way::Fixed(UTF_8),
        },
        "utf-16le" | "utf16le" | "utf-16" => {
            Letters { name: "utf-16le", bom: marked(&[0xff, 0xfe]), way: Way::Fixed(UTF_16LE) }
        }
        "utf-16be" | "utf16be" => {
            Letters { name: "utf-16be", bom: marked(&[0xfe, 0xff]), way: Way::Fixed(UTF_16BE) }
        }
        "gb18030" | "gbk" | "gb2312" | "cp936" => {
            Letters { name: "gb18030", bom: 0, way: Way::Fixed(GB18030) }
        }
        "big5" => Letters { name: "big5", bom: 0, way: Way::Fixed(BIG5) },
        other => match Encoding::for_label(other.as_bytes()) {
            Some(encoding) => Letters { name: encoding.name(), bom: 0, way: Way::Fixed(encoding) },
            None => {
                return Err(Error::invalid(
                    format!(
                        "不认识的编码「{other}」；可用 utf-8、utf-16le、utf-16be、gb18030、big5"
                    ),
                    format!(
                        "unknown encoding `{other}`; use utf-8, utf-16le, utf-16be, gb18030 or big5"
                    ),
                ));
            }
        },
    })
}

/// UTF-16 without a mark: ASCII signs show as a zero on one side, and the other reading is nonsense.
fn bare_utf16(head: &[u8]) -> Option<&'static Encoding> {
    if head.len() < 4 || !head.len().is_multiple_of(2) && head.len() < 64 {
        return None;
    }
    let pairs: Vec<[u8; 2]> =
        head.chunks_exact(2).take(4096).filter_map(|p| p.try_into().ok()).collect();
    let control = |high: u8, low: u8| {
        high == 0 && (low == b'\n' || low == b'\r' || low == b'\t' || (0x20..0x7f).contains(&low))
    };
    let le = pairs.iter().filter(|[a, b]| control(*b, *a)).count();
    let be = pairs.iter().filter(|[a, b]| control(*a, *b)).count();
    let (most, encoding) = if le >= be { (le, UTF_16LE) } else { (be, UTF_16BE) };
    // Some ASCII (separators and line ends) on one side only, and hardly any zero pair.
    let zeros = pairs.iter().filter(|p| **p == [0, 0]).count();
    let sound = most * 20 >= pairs.len() && most > le.min(be) * 8 && zeros * 50 <= pairs.len();
    if !sound {
        return None;
    }
    let even = head.get(..head.len() - head.len() % 2)?;
    let text = encoding.decode_without_bom_handling(even).0;
    let total = text.chars().count().max(1);
    let strange = text
        .chars()
        .filter(|c| {
            matches!(c, '\u{fffd}' | '\u{e000}'..='\u{f8ff}')
                || (c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
        })
        .count();
    (strange * 50 <= total).then_some(encoding)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineWay {
    Utf8,
    Legacy,
    /// Mostly UTF-8 with some broken bytes.
    Damaged,
    /// Valid as both; the file decides.
    Unsure,
}

/// How one line beyond ASCII reads. `legacy` is tried where UTF-8 fails.
fn line_way(line: &[u8], legacy: Option<&'static Encoding>) -> LineWay {
    match std::str::from_utf8(line) {
        Ok(text) => {
            if text.chars().any(|c| u32::from(c) >= 0x800) {
                LineWay::Utf8
            } else {
                LineWay::Unsure
            }
        }
        Err(_) => {
            let mut good = 0;
            let mut bad = 0;
            for chunk in line.utf8_chunks() {
                good += chunk.valid().chars().filter(|c| matches!(c, '\u{4e00}'..='\u{9fff}' | '\u{3000}'..='\u{303f}' | '\u{ff00}'..='\u{ffef}')).count() * 3;
                bad += chunk.invalid().len();
            }
            if good >= bad * 3 && good > 0 {
                return LineWay::Damaged;
            }
            match legacy {
                Some(e)
                    if e.decode_without_bom_handling_and_without_replacement(line).is_none()
                        && good > bad =>
                {
                    LineWay::Damaged
                }
                _ => LineWay::Legacy,
            }
        }
    }
}

/// Which legacy encoding these bytes are in.
fn legacy_of(bytes: &[u8]) -> (&'static str, &'static Encoding) {
    let bytes = bytes.get(..bytes.len().min(256 << 10)).unwrap_or_default();
    let errors = |e: &'static Encoding| {
        let text = e.decode_without_bom_handling(bytes).0;
        text.chars().filter(|c| *c == '\u{fffd}').count()
    };
    // Share of two-byte characters that are the everyday ones of GB 2312 (level 1 and punctuation).
    let mut pairs = 0_usize;
    let mut common = 0_usize;
    let mut rest = bytes;
    while let Some((&lead, tail)) = rest.split_first() {
        if lead < 0x80 {
            rest = tail;
            continue;
        }
        let Some((&trail, tail)) = tail.split_first() else { break };
        pairs += 1;
        if trail >= 0xa1 && ((0xb0..=0xd7).contains(&lead) || matches!(lead, 0xa1..=0xa3)) {
            common += 1;
        }
        rest = tail;
    }
    let gb_errors = errors(GB18030);
    if gb_errors * 100 <= pairs && common * 10 >= pairs * 6 {
        return ("gb18030", GB18030);
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(bytes, true);
    let guess = detector.guess(None, Utf8Detection::Deny);
    if guess == encoding_rs::GBK || guess == GB18030 {
        return ("gb18030", GB18030);
    }
    if guess == BIG5 && errors(BIG5) * 100 <= pairs {
        return ("big5", BIG5);
    }
    if gb_errors == 0 && common * 3 >= pairs {
        return ("gb18030", GB18030);
    }
    if errors(guess) == 0 {
        return (guess.name(), guess);
    }
    if gb_errors * 20 <= pairs { ("gb18030", GB18030) } else { ("windows-1252", WINDOWS_1252) }
}

/// Blocks of decoded text from a byte stream.
pub(crate) struct Blocks {
    reader: Box<dyn Read + Send>,
    letters: Letters,
    decoder: Option<Decoder>,
    /// Bytes read; those before `held` wait to be decoded.
    raw: Vec<u8>,
    held: usize,
    /// Bytes read at a time.
    step: usize,
    started: bool,
    ended: bool,
    pub(crate) tally: Tally,
}

impl std::fmt::Debug for Blocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blocks").field("letters", &self.letters).finish_non_exhaustive()
    }
}

impl Blocks {
    pub(crate) fn new(reader: Box<dyn Read + Send>, letters: Letters) -> Self {
        let decoder = match letters.way {
            Way::Fixed(e) => Some(e.new_decoder_without_bom_handling()),
            _ => None,
        };
        Self {
            reader,
            letters,
            decoder,
            raw: Vec::new(),
            held: 0,
            step: BLOCK,
            started: false,
            ended: false,
            tally: Tally::default(),
        }
    }

    #[cfg(test)]
    pub(crate) fn by_steps(self, step: usize) -> Self {
        Self { step, ..self }
    }

    /// Appends the next block to `text`; `None` at the end.
    pub(crate) fn next_block(&mut self, text: &mut String) -> Result<Option<Block>> {
        let before = text.len();
        let mut block = Block { damaged: false };
        while !self.ended {
            self.read()?;
            let raw = std::mem::take(&mut self.raw);
            let bytes = raw.get(..self.held).unwrap_or_default();
            let (taken, damaged) = match (&mut self.decoder, self.letters.way) {
                (Some(decoder), _) => (bytes.len(), decode_on(decoder, bytes, self.ended, text)),
                (None, Way::Utf8(legacy)) => self.utf8(bytes, legacy, text),
                (None, Way::Legacy(e) | Way::Fixed(e)) => self.legacy(bytes, e, text),
            };
            block.damaged |= damaged;
            self.keep(raw, taken);
            if text.len() > before {
                return Ok(Some(block));
            }
        }
        Ok(None)
    }

    /// Reads on, without the mark at the beginning.
    fn read(&mut self) -> Result<()> {
        let end = self.held + self.step;
        if self.raw.len() < end {
            self.raw.resize(end, 0);
        }
        let mut read = 0;
        while let Some(room) = self.raw.get_mut(self.held + read..end)
            && !room.is_empty()
        {
            match self.reader.read(room) {
                Ok(0) => break,
                Ok(n) => read += n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(io_error(e)),
            }
        }
        self.ended = read == 0;
        self.held += read;
        if !self.started && (self.held >= self.letters.bom || self.ended) {
            let raw = std::mem::take(&mut self.raw);
            self.keep(raw, self.letters.bom.min(self.held));
            self.started = true;
        }
        Ok(())
    }

    /// Lets go of the first `taken` bytes.
    fn keep(&mut self, mut raw: Vec<u8>, taken: usize) {
        raw.copy_within(taken..self.held, 0);
        self.held -= taken;
        self.raw = raw;
    }

    /// Takes in whole lines where there are any, else whole characters: how many bytes, and whether some are damaged.
    fn utf8(&mut self, raw: &[u8], legacy: &'static Encoding, text: &mut String) -> (usize, bool) {
        let end = match memchr::memrchr2(b'\n', b'\r', raw) {
            _ if self.ended => raw.len(),
            Some(at) => at + 1,
            None => match std::str::from_utf8(raw) {
                Err(e) if e.error_len().is_none() => e.valid_up_to(),
                _ => raw.len(),
            },
        };
        let lines = raw.get(..end).unwrap_or_default();
        match UTF_8.decode_without_bom_handling_and_without_replacement(lines) {
            Some(sound) => {
                text.push_str(&sound);
                (end, false)
            }
            None => (end, self.by_line(lines, legacy, true, text)),
        }
    }

    fn legacy(
        &mut self,
        raw: &[u8],
        encoding: &'static Encoding,
        text: &mut String,
    ) -> (usize, bool) {
        let end = match memchr::memrchr2(b'\n', b'\r', raw) {
            _ if self.ended => raw.len(),
            Some(at) => at + 1,
            None if raw.len() < LONGEST_LINE => return (0, false),
            None => raw.len(),
        };
        let lines = raw.get(..end).unwrap_or_default();
        (end, self.by_line(lines, encoding, false, text))
    }

    /// Decodes line by line: each in UTF-8 or in the legacy encoding, whichever it is. Answers whether some bytes are
    /// damaged.
    fn by_line(
        &mut self,
        raw: &[u8],
        legacy: &'static Encoding,
        mostly_utf8: bool,
        text: &mut String,
    ) -> bool {
        text.reserve(raw.len() + raw.len() / 2);
        let mut damaged = false;
        for line in raw.split_inclusive(|b| *b == b'\n' || *b == b'\r') {
            if line.is_ascii() {
                text.push_str(std::str::from_utf8(line).unwrap_or_default());
                continue;
            }
            let way = match line_way(line, Some(legacy)) {
                LineWay::Unsure if mostly_utf8 => LineWay::Utf8,
                LineWay::Unsure => LineWay::Legacy,
                other => other,
            };
            if way == LineWay::Legacy {
                self.tally.legacy += 1;
                let (decoded, wrong) = legacy.decode_without_bom_handling(line);
                damaged |= wrong;
                self.tally.damaged += u64::from(wrong);
                text.push_str(&decoded);
            } else {
                self.tally.utf8 += 1;
                let decoded = String::from_utf8_lossy(line);
                let wrong = way == LineWay::Damaged;
                damaged |= wrong;
                self.tally.damaged += u64::from(wrong);
                text.push_str(&decoded);
            }
        }
        damaged
    }
}

fn decode_on(decoder: &mut Decoder, raw: &[u8], last: bool, text: &mut String) -> bool {
    text.reserve(decoder.max_utf8_buffer_length(raw.len()).unwrap_or(raw.len() * 3 + 16));
    decoder.decode_to_string(raw, text, last).2
}

/// Refuses content that is no text at all.
pub(crate) fn refuse_binary(head: &str, damaged: bool) -> Result<()> {
    let sample: Vec<char> = head.chars().take(65_536).collect();
    if sample.is_empty() {
        return Ok(());
    }
    let strange = sample
        .iter()
        .filter(|c| {
            (c.is_control()
                && !matches!(
                    c,
                    '\n' | '\r'
                        | '\t'
                        | '\0'
                        | '\u{1}'
                        | '\u{1e}'
                        | '\u{1f}'
                        | '\u{b}'
                        | '\u{c}'
                        | '\u{1a}'
                ))
                || (damaged && **c == '\u{fffd}')
        })
        .count();
    let zeros = sample.iter().filter(|c| **c == '\0').count();
    if strange * 10 > sample.len() || zeros * 4 > sample.len() {
        return Err(Error::new(
            model::Code::UnsupportedFormat,
            "这不是文本，也不是认识的数据格式；请提供 CSV、XLSX、JSON、Parquet 或 GeoJSON",
            "this is neither text nor a known data format; provide CSV, XLSX, JSON, Parquet or GeoJSON",
        ));
    }
    Ok(())
}

/// Refuses text without any sign in it.
pub(crate) fn refuse_blank(head: &str, whole: bool) -> Result<()> {
    if whole
        && head.trim_matches(|c: char| c.is_whitespace() || c == '\0' || c == '\u{feff}').is_empty()
    {
        return Err(bad_file(
            "文件里没有内容（只有空白），没有数据可读",
            "the file holds nothing but white space; there is nothing to read",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
