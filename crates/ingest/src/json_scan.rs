//! JSON texts cut into values without building trees: where the table lies, where each record starts and ends.
//!
//! The scanner only balances brackets and strings; each record found is checked strictly before it is used. Numbers
//! keep their digits, because no value passes through a binary float.

use std::borrow::Cow;

use model::{Code, Error, Result};

use crate::content::bad_file;
use crate::letters::Blocks;
use crate::token::line_ends;

/// Largest record.
const RECORD_LIMIT: usize = 48 << 20;

pub(crate) fn blank(b: u8) -> bool {
    matches!(b, b' ' | b'\n' | b'\r' | b'\t' | 0x1e | 0)
}

/// First position from `at` that is no white space.
pub(crate) fn skip(bytes: &[u8], at: usize) -> usize {
    at + bytes.get(at..).unwrap_or_default().iter().take_while(|b| blank(**b)).count()
}

/// End of the value that starts at `at`, or `None` when the text ends inside it.
pub(crate) fn value_end(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at)? {
        b'"' => string_end(bytes, at),
        b'{' | b'[' => {
            let mut depth = 0_usize;
            let mut here = at;
            loop {
                let rest = bytes.get(here..)?;
                let next =
                    rest.iter().position(|b| matches!(b, b'"' | b'{' | b'}' | b'[' | b']'))?;
                here += next;
                match bytes.get(here)? {
                    b'"' => here = string_end(bytes, here)?,
                    b'{' | b'[' => {
                        depth += 1;
                        here += 1;
                    }
                    _ => {
                        depth -= 1;
                        here += 1;
                        if depth == 0 {
                            return Some(here);
                        }
                    }
                }
            }
        }
        _ => {
            let rest = bytes.get(at..)?;
            let length =
                rest.iter().position(|b| matches!(b, b',' | b']' | b'}' | b':') || blank(*b))?;
            // A sign that starts no value is taken alone, so that scanning always moves on.
            Some(at + length.max(1))
        }
    }
}

fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut here = at + 1;
    loop {
        let found = memchr::memchr2(b'"', b'\\', bytes.get(here..)?)?;
        if bytes.get(here + found) == Some(&b'\\') {
            here += found + 2;
        } else {
            return Some(here + found + 1);
        }
    }
}

/// What the elements of a container are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Objects,
    Arrays,
    Scalars,
    /// An object used as a table: names are keys of rows.
    Map,
    /// Whole values one after the other, by line or not.
    Sequence,
}

/// A place in the text that could be the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    pub(crate) path: Vec<String>,
    pub(crate) kind: Kind,
    /// Offset of the first element.
    pub(crate) start: usize,
    pub(crate) count: usize,
    pub(crate) bytes: usize,
}

/// Finds arrays and maps that could be the table, in the order of the text.
pub(crate) fn locate(text: &str, start: usize) -> Vec<Site> {
    let mut sites = Vec::new();
    walk(text, start, &mut Vec::new(), &mut sites);
    sites
}

fn walk(text: &str, at: usize, path: &mut Vec<String>, sites: &mut Vec<Site>) -> Option<usize> {
    match text.as_bytes().get(at)? {
        b'[' => walk_array(text, at, path, sites),
        b'{' if path.len() < 8 => walk_object(text, at, path, sites),
        _ => value_end(text.as_bytes(), at),
    }
}

fn walk_array(text: &str, at: usize, path: &[String], sites: &mut Vec<Site>) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut objects, mut arrays, mut scalars) = (0, 0, 0);
    let mut here = at + 1;
    let end = loop {
        here = skip(bytes, here);
        match bytes.get(here) {
            None => break None,
            Some(b']') => break Some(here + 1),
            Some(b',') => here += 1,
            Some(first) => {
                match first {
                    b'{' => objects += 1,
                    b'[' => arrays += 1,
                    _ => scalars += 1,
                }
                match value_end(bytes, here) {
                    Some(end) => here = end,
                    None => break None,
                }
            }
        }
    };
    let kind = if objects > 0 && objects >= arrays + scalars {
        Kind::Objects
    } else if arrays > 0 && arrays >= scalars {
        Kind::Arrays
    } else {
        Kind::Scalars
    };
    sites.push(Site {
        path: path.to_vec(),
        kind,
        start: at + 1,
        count: objects + arrays + scalars,
        bytes: end.unwrap_or(text.len()) - at,
    });
    end
}

fn walk_object(
    text: &str,
    at: usize,
    path: &mut Vec<String>,
    sites: &mut Vec<Site>,
) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut count, mut plain) = (0, 0);
    let mut here = at + 1;
    let end = loop {
        here = skip(bytes, here);
        match bytes.get(here) {
            None => break None,
            Some(b'}') => break Some(here + 1),
            Some(b'"') => {
                let Some(key_end) = value_end(bytes, here) else { break None };
                let key = string(text.get(here..key_end).unwrap_or_default()).into_owned();
                let mut value = skip(bytes, key_end);
                if bytes.get(value) == Some(&b':') {
                    value = skip(bytes, value + 1);
                }
                count += 1;
                plain += usize::from(!matches!(bytes.get(value), Some(b'[')));
                path.push(key);
                let end = walk(text, value, path, sites);
                path.pop();
                match end {
                    Some(end) => here = end,
                    None => break None,
                }
            }
            Some(_) => here += 1,
        }
    };
    if count >= 3 && plain == count {
        sites.push(Site {
            path: path.clone(),
            kind: Kind::Map,
            start: at + 1,
            count,
            bytes: end.unwrap_or(text.len()) - at,
        });
    }
    end
}

/// The text of a JSON string in quotes.
pub(crate) fn string(raw: &str) -> Cow<'_, str> {
    let inner = raw.strip_prefix('"').and_then(|r| r.strip_suffix('"')).unwrap_or(raw);
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    serde_json::from_str::<String>(raw).map_or(Cow::Borrowed(inner), Cow::Owned)
}

/// Names and raw values of an object's text that is known to be valid.
pub(crate) fn members(object: &str) -> Vec<(Cow<'_, str>, &str)> {
    let bytes = object.as_bytes();
    let mut out = Vec::new();
    let mut here = skip(bytes, 0) + 1;
    loop {
        here = skip(bytes, here);
        match bytes.get(here) {
            None | Some(b'}') => return out,
            Some(b',') => here += 1,
            Some(_) => {
                let Some(key_end) = value_end(bytes, here) else { return out };
                let key = string(object.get(here..key_end).unwrap_or_default());
                let colon = skip(bytes, key_end);
                let value = skip(bytes, colon + 1);
                let Some(end) = value_end(bytes, value) else { return out };
                out.push((key, object.get(value..end).unwrap_or_default()));
                here = end.max(value + 1);
            }
        }
    }
}

/// Raw values of an array's text that is known to be valid.
pub(crate) fn elements(array: &str) -> Vec<&str> {
    let bytes = array.as_bytes();
    let mut out = Vec::new();
    let mut here = skip(bytes, 0) + 1;
    loop {
        here = skip(bytes, here);
        match bytes.get(here) {
            None | Some(b']') => return out,
            Some(b',') => here += 1,
            Some(_) => {
                let Some(end) = value_end(bytes, here) else { return out };
                out.push(array.get(here..end).unwrap_or_default());
                here = end.max(here + 1);
            }
        }
    }
}

/// A raw value as cell text: strings bare, nested values as JSON without white space, null as nothing.
pub(crate) fn cell_text(raw: &str) -> Option<Cow<'_, str>> {
    match raw.as_bytes().first()? {
        b'"' => Some(string(raw)),
        b'{' | b'[' => Some(compact(raw)),
        b'n' => None,
        _ => Some(Cow::Borrowed(raw)),
    }
}

fn compact(raw: &str) -> Cow<'_, str> {
    if !raw.bytes().any(blank) {
        return Cow::Borrowed(raw);
    }
    let mut out = String::with_capacity(raw.len());
    let bytes = raw.as_bytes();
    let mut here = 0;
    while here < bytes.len() {
        let next = if bytes.get(here) == Some(&b'"') {
            string_end(bytes, here).unwrap_or(bytes.len())
        } else if bytes.get(here).is_some_and(|b| blank(*b)) {
            here = skip(bytes, here);
            continue;
        } else {
            here + bytes
                .get(here..)
                .unwrap_or_default()
                .iter()
                .position(|b| *b == b'"' || blank(*b))
                .unwrap_or(bytes.len() - here)
        };
        out.push_str(raw.get(here..next).unwrap_or_default());
        here = next.max(here + 1);
    }
    Cow::Owned(out)
}

/// Checks a record strictly.
pub(crate) fn valid(raw: &str) -> std::result::Result<(), serde_json::Error> {
    serde_json::from_str::<serde::de::IgnoredAny>(raw).map(|_| ())
}

/// The records of a stream, one raw text at a time, in bounded memory.
pub(crate) struct Frames {
    blocks: Blocks,
    text: String,
    at: usize,
    over: bool,
    /// Line of `at`.
    line: u64,
    kind: Kind,
    by_line: bool,
    /// Brackets still open around the table.
    depth: usize,
    done: bool,
}

impl std::fmt::Debug for Frames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frames").field("line", &self.line).finish_non_exhaustive()
    }
}

/// A record's place in [`Frames::text`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    start: usize,
    end: usize,
    pub(crate) line: u64,
}

impl Frames {
    /// Starts at a site. `by_line`: each line is a value of its own.
    pub(crate) fn new(blocks: Blocks, site: &Site, by_line: bool) -> Result<Self> {
        let mut frames = Self {
            blocks,
            text: String::new(),
            at: 0,
            over: false,
            line: 1,
            kind: site.kind,
            by_line,
            depth: if site.kind == Kind::Sequence { 0 } else { site.path.len() + 1 },
            done: false,
        };
        while frames.text.len() < site.start && !frames.over {
            frames.fill()?;
        }
        frames.move_to(site.start.min(frames.text.len()));
        Ok(frames)
    }

    pub(crate) fn text(&self, frame: Frame) -> &str {
        self.text.get(frame.start..frame.end).unwrap_or_default()
    }

    pub(crate) fn damaged(&self) -> bool {
        self.blocks.tally.damaged > 0
    }

    fn fill(&mut self) -> Result<()> {
        self.text.drain(..self.at);
        self.at = 0;
        self.over = self.blocks.next_block(&mut self.text)?.is_none();
        Ok(())
    }

    fn move_to(&mut self, to: usize) {
        self.line += line_ends(self.text.as_bytes().get(self.at..to).unwrap_or_default());
        self.at = to;
    }

    /// Moves over white space and commas; the byte found, or `None` at the end of the text.
    fn next_sign(&mut self) -> Result<Option<u8>> {
        loop {
            let bytes = self.text.as_bytes();
            let skipped = bytes
                .get(self.at..)
                .unwrap_or_default()
                .iter()
                .take_while(|b| blank(**b) || (**b == b',' && self.kind != Kind::Sequence))
                .count();
            // A pair of CR and LF may be split by the end of the block: it is counted when whole.
            self.move_to(self.at + skipped);
            if let Some(b) = self.text.as_bytes().get(self.at) {
                return Ok(Some(*b));
            }
            if self.over {
                return Ok(None);
            }
            self.fill()?;
        }
    }

    /// The next record's raw text.
    pub(crate) fn next_frame(&mut self) -> Result<Option<Frame>> {
        if self.done {
            return Ok(None);
        }
        if self.by_line {
            return self.next_line();
        }
        let Some(sign) = self.next_sign()? else {
            self.done = true;
            return if self.depth == 0 { Ok(None) } else { Err(self.cut_off()) };
        };
        if self.depth > 0 && matches!(sign, b']' | b'}') {
            self.done = true;
            self.finish()?;
            return Ok(None);
        }
        loop {
            let bytes = self.text.as_bytes();
            let mut end = value_end(bytes, self.at);
            if self.kind == Kind::Map
                && let Some(key_end) = end
            {
                let colon = skip(bytes, key_end);
                end = match bytes.get(colon) {
                    Some(b':') => value_end(bytes, skip(bytes, colon + 1)),
                    Some(_) => Some(key_end),
                    None => None,
                };
            }
            if end.is_none() && self.over && self.depth == 0 && !matches!(sign, b'{' | b'[' | b'"')
            {
                // A bare scalar ends with the text.
                end = Some(self.text.len());
            }
            if let Some(end) = end {
                let frame = Frame { start: self.at, end, line: self.line };
                self.move_to(end);
                return Ok(Some(frame));
            }
            if self.over {
                return Err(self.cut_off());
            }
            if self.text.len() - self.at > RECORD_LIMIT {
                return Err(Error::new(
                    Code::TooLarge,
                    format!(
                        "第 {} 行起的 JSON 记录超过 48 MiB；请检查括号与引号是否配对",
                        self.line
                    ),
                    format!(
                        "the JSON record that starts at line {} is larger than 48 MiB; check its brackets and quotes",
                        self.line
                    ),
                ));
            }
            self.fill()?;
        }
    }

    fn next_line(&mut self) -> Result<Option<Frame>> {
        if self.next_sign()?.is_none() {
            self.done = true;
            return Ok(None);
        }
        loop {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            let found = memchr::memchr2(b'\n', b'\r', rest);
            if found.is_none() && !self.over {
                if rest.len() > RECORD_LIMIT {
                    return Err(Error::new(
                        Code::TooLarge,
                        format!("第 {} 行超过 48 MiB", self.line),
                        format!("line {} is larger than 48 MiB", self.line),
                    ));
                }
                self.fill()?;
                continue;
            }
            let end = self.at + found.unwrap_or(rest.len());
            let frame = Frame { start: self.at, end, line: self.line };
            self.move_to(end);
            return Ok(Some(frame));
        }
    }

    /// Reads on to the end of the text, which must close every bracket around the table.
    fn finish(&mut self) -> Result<()> {
        let mut open = i64::try_from(self.depth).unwrap_or(i64::MAX);
        let mut in_string = false;
        let mut escaped = false;
        loop {
            for &b in self.text.as_bytes().get(self.at..).unwrap_or_default() {
                if in_string {
                    in_string = escaped || b != b'"';
                    escaped = !escaped && b == b'\\';
                    continue;
                }
                match b {
                    b'"' => in_string = true,
                    b'{' | b'[' => open += 1,
                    b'}' | b']' => open -= 1,
                    _ => {}
                }
            }
            self.move_to(self.text.len());
            if self.over {
                break;
            }
            self.fill()?;
        }
        if open > 0 || in_string { Err(self.cut_off()) } else { Ok(()) }
    }

    fn cut_off(&self) -> Error {
        bad_file(
            format!(
                "JSON 在第 {} 行附近中断，括号或引号没有闭合；文件可能不完整，请重新导出",
                self.line
            ),
            format!(
                "the JSON breaks off near line {}: a bracket or quote is not closed; the file may be incomplete, export it again",
                self.line
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_located() {
        let find = |text: &str| {
            locate(text, 0)
                .into_iter()
                .map(|s| (s.path.join("."), s.kind, s.count))
                .collect::<Vec<_>>()
        };
        assert_eq!(find("[{\"a\":1},{\"a\":[1,2]}]"), [(String::new(), Kind::Objects, 2)]);
        assert_eq!(
            find("{\"code\":0,\"result\":{\"total\":1,\"records\":[{\"a\":1}]}}"),
            [("result.records".to_owned(), Kind::Objects, 1)]
        );
        assert_eq!(find("{\"a\":{\"x\":1,\"y\":2,\"z\":3}}"), [("a".to_owned(), Kind::Map, 3)]);
        assert_eq!(find("{\"data\":[{\"a\":1},{\"a\":").len(), 1);
        assert!(find("{\"data\":").is_empty());
    }

    #[test]
    fn values_keep_their_text() {
        let object = "{ \"a\" : 1.10, \"b\\n\":\"x\\\"y\", \"c\":null, \"d\":{ \"e\" : [1, \"a b\"] }, \"f\":true}";
        let got: Vec<(String, Option<String>)> = members(object)
            .into_iter()
            .map(|(k, v)| (k.into_owned(), cell_text(v).map(Cow::into_owned)))
            .collect();
        let want = [
            ("a", Some("1.10")),
            ("b\n", Some("x\"y")),
            ("c", None),
            ("d", Some("{\"e\":[1,\"a b\"]}")),
            ("f", Some("true")),
        ];
        assert_eq!(got, want.map(|(k, v)| (k.to_owned(), v.map(str::to_owned))));
        assert_eq!(elements("[1, [2,3], \"]\"]"), ["1", "[2,3]", "\"]\""]);
    }
}
