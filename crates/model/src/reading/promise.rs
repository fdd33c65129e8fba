//! What a workbook promises to hold. Parsers set memory aside by such a number before they have read anything, so that a file of a few
//! bytes ends the whole process by promising thousands of millions: it is held against what the part can hold at all.

/// Bytes of the shortest text in a workbook's table of texts: `<si/>`.
const LEAST_TEXT: u64 = 5;
const NAME: &[u8] = b"uniqueCount";
/// Within so many bytes a declaration ends.
const DECLARATION: usize = 256;
/// Encodings in which the bytes of an ASCII letter are that letter and nothing else.
const LETTERS: [&str; 9] = [
    "utf-8",
    "utf8",
    "us-ascii",
    "ascii",
    "iso-8859-1",
    "windows-1252",
    "gb2312",
    "gbk",
    "gb18030",
];

/// Whether a part of this name is the table of texts of a workbook (SpreadsheetML).
#[must_use]
pub fn holds_texts(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with("sharedstrings.xml")
}

/// Reads a table of texts piece by piece and keeps what it promises.
#[derive(Debug, Default)]
pub struct Promise {
    head: Vec<u8>,
    stage: Stage,
    matched: usize,
    number: u64,
    most: u64,
    bytes: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Name,
    Equals,
    Quote,
    Digits,
}

impl Promise {
    /// Takes the next bytes.
    pub fn feed(&mut self, piece: &[u8]) {
        let wanting = DECLARATION.saturating_sub(self.head.len());
        self.head.extend(piece.iter().take(wanting));
        self.bytes = self.bytes.saturating_add(piece.len() as u64);
        for byte in piece {
            self.step(*byte);
        }
    }

    fn step(&mut self, byte: u8) {
        match self.stage {
            Stage::Name => {
                self.matched = match NAME.get(self.matched) {
                    Some(wanted) if *wanted == byte => self.matched + 1,
                    _ => usize::from(NAME.first() == Some(&byte)),
                };
                if self.matched == NAME.len() {
                    (self.stage, self.matched, self.number) = (Stage::Equals, 0, 0);
                }
            }
            Stage::Equals if byte == b'=' => self.stage = Stage::Quote,
            Stage::Quote if matches!(byte, b'"' | b'\'') => self.stage = Stage::Digits,
            Stage::Equals | Stage::Quote if byte.is_ascii_whitespace() => {}
            Stage::Digits if byte.is_ascii_digit() => {
                let digit = u64::from(byte - b'0');
                self.number = self.number.saturating_mul(10).saturating_add(digit);
                self.most = self.most.max(self.number);
            }
            _ => self.stage = Stage::Name,
        }
    }

    /// Whether what was read can be so: no more texts are promised than its bytes can hold, in letters in which a promise can be read.
    #[must_use]
    pub fn sound(&self) -> bool {
        self.most <= self.bytes / LEAST_TEXT && plain(&self.head)
    }
}

/// Whether a part of XML that begins so is written in letters that stand for themselves.
fn plain(head: &[u8]) -> bool {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    if head.iter().take(4).any(|b| *b == 0 || *b >= 0xfe) {
        return false;
    }
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let Some(declaration) = text.trim_start().strip_prefix("<?xml") else { return true };
    let Some((declaration, _)) = declaration.split_once("?>") else { return false };
    let Some((_, encoding)) = declaration.split_once("encoding") else { return true };
    let encoding = encoding.trim_start().trim_start_matches('=').trim_start();
    let word = encoding.get(1..).and_then(|rest| rest.split(['"', '\'']).next());
    word.is_some_and(|word| LETTERS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound(text: &str, step: usize) -> bool {
        let mut promise = Promise::default();
        text.as_bytes().chunks(step).for_each(|piece| promise.feed(piece));
        promise.sound()
    }

    #[test]
    fn a_promise_is_held_against_the_bytes() {
        let texts = "<si><t>a</t></si>".repeat(3);
        for (attributes, good) in [
            ("count=\"9\" uniqueCount=\"3\"", true),
            ("uniqueCount=\"99999999999999\"", false),
            ("uniqueCount = '99999999999999'", false),
            ("uniqueCount\n=\n \"99999999999999999999999999\"", false),
            ("uniqueCount=\"many\"", true),
            ("", true),
        ] {
            let text = format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><sst {attributes}>{texts}</sst>"
            );
            for step in [1, 7, 4_096] {
                assert_eq!(sound(&text, step), good, "{attributes} by {step}");
            }
        }
    }

    #[test]
    fn letters_that_hide_something_are_none() {
        for (head, good) in [
            ("<sst>", true),
            ("\u{feff}<?xml version='1.0' encoding='utf-8' standalone='yes'?>", true),
            ("<?xml version=\"1.0\" encoding = \"GB2312\"?>", true),
            ("<?xml version=\"1.0\"?>", true),
            ("<?xml version=\"1.0\" encoding=\"ISO-2022-JP\"?>", false),
            ("<?xml version=\"1.0\" encoding=\"utf-16\"?>", false),
            ("<\0s\0s\0t\0", false),
        ] {
            assert_eq!(sound(head, 5), good, "{head}");
        }
        assert!(!sound(&format!("<?xml {} ?>", " ".repeat(300)), 64));
        let mut promise = Promise::default();
        promise.feed(&[0xff, 0xfe, b'<', 0]);
        assert!(!promise.sound());
    }
}
