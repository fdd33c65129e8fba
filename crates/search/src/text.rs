//! From text to what is indexed: normal characters, runs, Chinese words and bigrams.
//!
//! Normalising keeps the number of characters, so that a match found in normal form marks the same
//! characters of the original: full width → half width, lower case, traditional → simplified.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use jieba_rs::{Jieba, TokenizeMode};
use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

/// Longest text indexed per field value, in characters; the rest cannot be searched.
const MAX_CHARS: usize = 20_000;

/// What a character is to search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    /// Written without spaces: Han, kana, Hangul.
    Cjk,
    /// Letters and digits of every other script.
    Word,
    /// All else separates.
    Break,
}

/// A stretch of characters of one script: positions in the normalised text, end excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) script: Script,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// The dictionary, loaded once per process.
pub(crate) fn jieba() -> &'static Jieba {
    static JIEBA: OnceLock<Jieba> = OnceLock::new();
    JIEBA.get_or_init(Jieba::new)
}

/// Normal form, character for character.
pub(crate) fn normalise(text: &str) -> Vec<char> {
    let folded: String = text
        .chars()
        .map(|c| match c {
            '\u{3000}' => ' ',
            '\u{FF01}'..='\u{FF5E}' => {
                char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c).to_ascii_lowercase()
            }
            _ => c.to_lowercase().next().unwrap_or(c),
        })
        .collect();
    if folded.is_ascii() {
        folded.chars().collect()
    } else {
        fast2s::convert(&folded).chars().collect()
    }
}

/// The script of a normalised character.
pub(crate) fn script(c: char) -> Script {
    match u32::from(c) {
        0x3005..=0x3007
        | 0x3040..=0x30FF
        | 0x3400..=0x4DBF
        | 0x4E00..=0x9FFF
        | 0xAC00..=0xD7AF
        | 0xF900..=0xFAFF
        | 0x20000..=0x323AF => Script::Cjk,
        _ if c.is_alphanumeric() => Script::Word,
        _ => Script::Break,
    }
}

/// Runs of CJK and of word characters, in order.
pub(crate) fn runs(chars: &[char]) -> Vec<Run> {
    let mut out: Vec<Run> = Vec::new();
    for (i, &c) in chars.iter().enumerate() {
        let script = script(c);
        if script == Script::Break {
            continue;
        }
        match out.last_mut() {
            Some(last) if last.script == script && last.end == i => last.end = i + 1,
            _ => out.push(Run { script, start: i, end: i + 1 }),
        }
    }
    out
}

/// The characters of a run as text.
pub(crate) fn slice(chars: &[char], run: Run) -> String {
    chars.get(run.start..run.end).unwrap_or_default().iter().collect()
}

/// A term at a position; offsets are not kept, highlights are found anew.
pub(crate) fn token(text: String, position: usize) -> Token {
    Token { offset_from: 0, offset_to: 0, position, text, position_length: 1 }
}

fn bounded(text: &str) -> Vec<char> {
    let mut chars = normalise(text);
    chars.truncate(MAX_CHARS);
    chars
}

/// Words: jieba in search mode (long words and the words inside them) and whole words of other scripts.
pub(crate) fn words(text: &str) -> Vec<Token> {
    let chars = bounded(text);
    let mut tokens = Vec::new();
    for run in runs(&chars) {
        let piece = slice(&chars, run);
        if run.script == Script::Word {
            tokens.push(token(piece, run.start));
        } else {
            for t in jieba().tokenize(&piece, TokenizeMode::Search, true) {
                tokens.push(token(t.word.to_owned(), run.start + t.start));
            }
        }
    }
    tokens.sort_by_key(|t| t.position);
    tokens
}

/// Whole words of other scripts than Chinese.
pub(crate) fn latin(text: &str) -> Vec<Token> {
    let chars = bounded(text);
    let words = runs(&chars).into_iter().filter(|r| r.script == Script::Word);
    words.map(|run| token(slice(&chars, run), run.start)).collect()
}

/// Single characters and pairs of neighbours of CJK runs, each at the position of its first character, so
/// that a phrase of pairs finds any substring: words that no dictionary knows are found too.
pub(crate) fn grams(text: &str) -> Vec<Token> {
    let chars = bounded(text);
    let mut tokens = Vec::new();
    for run in runs(&chars).into_iter().filter(|r| r.script == Script::Cjk) {
        for at in run.start..run.end {
            tokens.push(token(chars.iter().skip(at).take(1).collect(), at));
            if at + 1 < run.end {
                tokens.push(token(chars.iter().skip(at).take(2).collect(), at));
            }
        }
    }
    tokens
}

/// An analysis as the engine wants it: a function from a text to its terms. Terms of short texts are kept for a while:
/// item and organisation names come again and again.
#[derive(Clone, Copy)]
pub(crate) struct Analysis {
    /// Which drawer of the kept terms is this analysis's.
    pub(crate) kept: usize,
    pub(crate) of: fn(&str) -> Vec<Token>,
}

/// Longest text whose terms are kept, in bytes.
const KEPT_TEXT: usize = 120;
/// Terms kept in one thread before all are forgotten.
const KEPT_TERMS: usize = 400_000;

#[derive(Default)]
struct Kept {
    drawers: [HashMap<Box<str>, Arc<[Token]>>; 5],
    terms: usize,
}

thread_local! {
    static KEPT: RefCell<Kept> = RefCell::default();
}

impl Analysis {
    fn terms(self, text: &str) -> Arc<[Token]> {
        if text.len() > KEPT_TEXT {
            return (self.of)(text).into();
        }
        KEPT.with_borrow_mut(|kept| {
            if let Some(known) = kept.drawers.get(self.kept).and_then(|d| d.get(text)) {
                return Arc::clone(known);
            }
            let made: Arc<[Token]> = (self.of)(text).into();
            if kept.terms > KEPT_TERMS {
                *kept = Kept::default();
            }
            kept.terms += made.len();
            if let Some(drawer) = kept.drawers.get_mut(self.kept) {
                drawer.insert(text.into(), Arc::clone(&made));
            }
            made
        })
    }
}

/// Terms being handed to the engine.
pub(crate) struct Terms {
    all: Arc<[Token]>,
    /// The next one's number.
    next: usize,
    /// What stands for a term before the first and after the last, or one that a filter changes.
    other: Token,
    changed: bool,
}

impl Tokenizer for Analysis {
    type TokenStream<'a> = Terms;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Terms {
        Terms { all: self.terms(text), next: 0, other: Token::default(), changed: false }
    }
}

impl TokenStream for Terms {
    fn advance(&mut self) -> bool {
        self.changed = false;
        if self.next < self.all.len() {
            self.next += 1;
            true
        } else {
            false
        }
    }
    fn token(&self) -> &Token {
        let here = self.next.checked_sub(1).and_then(|i| self.all.get(i));
        match here {
            Some(token) if !self.changed => token,
            _ => &self.other,
        }
    }
    fn token_mut(&mut self) -> &mut Token {
        if !self.changed {
            self.other = self.token().clone();
            self.changed = true;
        }
        &mut self.other
    }
}

/// Words too common to ask for, in questions typed as sentences.
const STOP: &[&str] = &[
    "的",
    "了",
    "和",
    "与",
    "及",
    "或",
    "在",
    "是",
    "有",
    "请",
    "请问",
    "什么",
    "怎么",
    "怎么样",
    "如何",
    "哪些",
    "哪里",
    "多少",
    "我",
    "我要",
    "想",
    "查",
    "查询",
    "一下",
    "吗",
    "呢",
    "关于",
];

/// The words of a CJK query piece that carry meaning; the piece itself when nothing else is left.
pub(crate) fn query_words(piece: &str) -> Vec<String> {
    let cut = jieba().cut(piece, true);
    let mut out: Vec<String> = Vec::new();
    for t in &cut {
        let long = t.word.chars().nth(1).is_some();
        if long && !STOP.contains(&t.word) && !out.iter().any(|w| w == t.word) {
            out.push(t.word.to_owned());
        }
    }
    if out.is_empty() {
        out.push(piece.to_owned());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(t: &[Token]) -> Vec<&str> {
        t.iter().map(|t| t.text.as_str()).collect()
    }

    #[test]
    fn normal_form_keeps_the_number_of_characters() {
        for text in
            ["ＡＢＣ１２３　臨時托育", "İstanbul ǅ ß", "桃園市登革熱確診個案", "😀a\u{0301}", ""]
        {
            assert_eq!(normalise(text).len(), text.chars().count(), "{text}");
        }
        let n: String = normalise("ＡＢｃ　臨時資料").iter().collect();
        assert_eq!(n, "abc 临时资料");
    }

    #[test]
    fn words_hold_long_words_and_the_words_inside() {
        let w = words("中国科学院PM2.5监测");
        let t = texts(&w);
        for want in ["中国科学院", "科学院", "pm2", "5", "监测"] {
            assert!(t.contains(&want), "{want} in {t:?}");
        }
        assert!(w.windows(2).all(|p| p[0].position <= p[1].position));
    }

    #[test]
    fn grams_stand_at_their_first_character() {
        let g = grams("空气a质");
        let got: Vec<(usize, &str)> = g.iter().map(|t| (t.position, t.text.as_str())).collect();
        assert_eq!(got, [(0, "空"), (0, "空气"), (1, "气"), (3, "质")]);
    }

    #[test]
    fn a_question_leaves_its_words() {
        let w = query_words("杭州市的空气质量怎么样");
        assert!(
            w.iter().any(|w| w == "杭州市") && !w.iter().any(|w| w == "的" || w == "怎么样"),
            "{w:?}"
        );
        assert_eq!(query_words("的"), ["的"]);
    }
}
