//! Words and limits of the basket as data (`rules/basket.toml`).

use serde::{Deserialize, Serialize};

/// The rule file's part on baskets.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BasketRules {
    /// Day from which it holds, `YYYY-MM-DD`.
    pub effective: String,
    pub limit: Limit,
    #[serde(default = "FileRules::shipped")]
    pub attachment: FileRules,
    #[serde(rename = "area")]
    pub areas: Vec<Word>,
    #[serde(rename = "apply_type")]
    pub apply_types: Vec<Word>,
    #[serde(rename = "need")]
    pub needs: Vec<Word>,
    #[serde(rename = "objection")]
    pub objections: Vec<ObjectionWord>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    pub parts: usize,
    pub text: usize,
    pub precedents: u32,
    pub advice_least: usize,
}

/// Files that go with a form.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRules {
    /// Most bytes of one file.
    pub bytes: u64,
    /// Most files of one form.
    pub most: usize,
    #[serde(rename = "kind")]
    pub kinds: Vec<FileKind>,
}

/// A kind of file that is taken.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileKind {
    /// End of the name, without the dot.
    pub ext: String,
    pub media: String,
    /// First bytes, in hex.
    pub begins: String,
}

impl FileRules {
    /// None are taken by a rule file that says nothing of them.
    fn shipped() -> Self {
        Self { bytes: 0, most: 0, kinds: Vec::new() }
    }
    /// The kind that a name's end tells.
    #[must_use]
    pub fn kind_of(&self, name: &str) -> Option<&FileKind> {
        let (_, ext) = name.rsplit_once('.')?;
        self.kinds.iter().find(|k| k.ext.eq_ignore_ascii_case(ext))
    }
    /// All kinds in words.
    #[must_use]
    pub fn words(&self) -> String {
        self.kinds.iter().map(|k| k.ext.as_str()).collect::<Vec<_>>().join("、")
    }
}

impl FileKind {
    /// Whether a content begins as this kind does.
    #[must_use]
    pub fn begins(&self, head: &[u8]) -> bool {
        let wanted = self.begins.as_bytes().chunks(2).map(|pair| {
            std::str::from_utf8(pair).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok())
        });
        wanted.enumerate().all(|(n, byte)| byte.is_some() && head.get(n).copied() == byte)
    }
}

/// A word of a list with its names.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Word {
    pub id: String,
    pub zh: String,
    pub en: String,
}

/// A kind of objection with its points.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectionWord {
    pub id: String,
    pub zh: String,
    pub en: String,
    pub points: Vec<Word>,
}
